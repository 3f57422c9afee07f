//! nanny watches one real server of one virtual service and owns its destination
//! in the kernel: adds it when the server answers, removes it (or gives it weight
//! 0) when it does not, and puts it back when somebody else removed it. lvsd starts
//! one per real server. It reads no file; its command line is its configuration.
//! One that lvsd tells its destinations (`--shared`) has several, in services whose
//! checks are the same: it checks once, and each is judged and kept by itself.
//! Of a failover service (`--fos`) there is no destination: it watches, and tells
//! lvsd what it sees.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`health`] | PURE: is the server in use? |
//! | [`flaps`] | PURE: how a server comes and goes, and what that costs it |
//! | [`record`] | PURE: what a destination that joins others is judged by |
//! | [`ramp`] | PURE: the weights of a server that returns |
//! | [`watch`] | PURE: when an idle connection is held whose end means "check now" |
//! | [`destination`] | PURE: what is to be done in the kernel? |
//! | [`load`] | PURE: what weight follows from the server's load? |
//! | [`schedule`] | PURE: when? |
//! | [`probe`] | PURE: what a check does and how it can end |
//! | [`run`] | the loop |
//! | [`hands`] | waits and acts |
//! | [`messages`] | everything it can say |

#![forbid(unsafe_code)]

pub mod args;
pub mod destination;
pub mod flaps;
pub mod hands;
pub mod health;
pub mod load;
pub mod messages;
pub mod probe;
pub mod ramp;
pub mod record;
pub mod run;
pub mod schedule;
pub mod watch;

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use common::channel::{Line, failover_place, nanny_place};
use common::command::starter;
use common::daemon::{self, Background, ExitStatus, Launch};
use common::destinations::shared_place;
use common::hash::fnv1a;
use common::ipvs::Ipvs;
use common::ipvs::client::Client;
use common::log::Log;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use args::{Args, Place, Refusal};
use hands::secure::Begin;

/// The program with TLS in it, beside this one.
const TLS_PROGRAM: &str = "nanny-tls";

/// How long the way to the background may take. The first look at the kernel
/// takes a second at most.
const START_WITHIN: Duration = Duration::from_secs(10);

/// The limit of open files that programs expect; more than nanny itself needs.
const DESCRIPTORS: u64 = 1024;

/// The program: arguments, the way to the background, the loop, the exit code.
pub fn main() -> ExitCode {
    run_program(None)
}

/// The same with TLS.
pub fn main_with_tls() -> ExitCode {
    run_program(Some(hands::tls::begin))
}

fn run_program(secure: Option<Begin>) -> ExitCode {
    if let Some(ended) = starter::asked() {
        return ended;
    }
    let args = match args::parse(daemon::arguments()) {
        Ok(args) => args,
        Err(Refusal::Answer(text)) => {
            // A closed stdout is the reader's affair.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitStatus::Stopped.into();
        }
        Err(Refusal::Usage(text)) => {
            complain(&text);
            return ExitStatus::Usage.into();
        }
    };
    if secure.is_none() && args.checks.iter().any(|check| check.kind.is_secure()) {
        become_secure();
    }
    let launch = match args.place {
        Place::Background => match daemon::background(START_WITHIN) {
            Ok(Background::Daemon(launch)) => Some(launch),
            Ok(Background::Foreground(code)) => return ExitCode::from(code),
            Err(e) => {
                complain(&format!("failed to go to the background: {e}"));
                return ExitStatus::System.into();
            }
        },
        Place::Child | Place::Foreground => None,
    };
    lower_descriptors();
    run::run(setup(args, launch, secure)).into()
}

/// Becomes the program with TLS; returns if it cannot, which the loop says, where the
/// log is.
#[inline(never)]
fn become_secure() {
    let _ = Command::new(daemon::sibling(TLS_PROGRAM)).arg0("nanny").args(daemon::arguments()).exec();
}

/// lvsd has as many descriptors as there are nannies. A program that makes a check
/// may be one that cannot count so far, select(2) ends at 1024; and one that closes
/// whatever it might have inherited takes a while up to a million.
fn lower_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // To lower it is no right to be refused.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(DESCRIPTORS), hard);
    }
}

fn setup(args: Args, launch: Option<Launch>, secure: Option<Begin>) -> run::Setup {
    let mut log = Log::new(args.verbose).with_syslog("nanny", args.facility);
    if args.place == Place::Foreground {
        log = log.with_stdout("nanny");
    }
    let arguments: Vec<String> = daemon::arguments().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (rip, rport) = (args.real.ip(), args.real.port());
    let name = match args.service {
        None => shared_place(rip, rport, arguments.iter().map(String::as_str)),
        Some(service) if args.fos => failover_place(&service),
        Some(service) => nanny_place(&service, rip, rport),
    };
    let kernel = !args.dry && !args.fos;
    // A dry one and the real one of a destination may live beside each other.
    let place = (!args.dry).then(|| {
        // What is wrong with the folder shows when the place is opened in it.
        daemon::run_dir("nanny").unwrap_or_else(|_| daemon::run_root().to_owned()).join(&name)
    });
    run::Setup {
        place,
        seed: fnv1a(name.bytes()),
        open: kernel.then(|| Box::new(|| Ok(Box::new(Client::open()?) as Box<dyn Ipvs>)) as hands::table::Open),
        line: if launch.is_some() { None } else { Line::from_stdin() },
        launch,
        log,
        secure,
        arguments,
        args,
    }
}

/// Tells whoever called from a shell.
fn complain(text: &str) {
    // A closed stderr is the reader's affair.
    let _ = writeln!(io::stderr(), "nanny: {text}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn pure_files_ask_neither_the_time_nor_the_world() {
        for (file, text) in [
            ("health.rs", include_str!("health.rs")),
            ("load.rs", include_str!("load.rs")),
            ("ramp.rs", include_str!("ramp.rs")),
            ("record.rs", include_str!("record.rs")),
            ("watch.rs", include_str!("watch.rs")),
            ("schedule.rs", include_str!("schedule.rs")),
            ("destination.rs", include_str!("destination.rs")),
            ("probe.rs", include_str!("probe.rs")),
            ("probe/certificate.rs", include_str!("probe/certificate.rs")),
            ("probe/dns.rs", include_str!("probe/dns.rs")),
            ("probe/grpc.rs", include_str!("probe/grpc.rs")),
            ("probe/grpc/frames.rs", include_str!("probe/grpc/frames.rs")),
            ("probe/grpc/hpack.rs", include_str!("probe/grpc/hpack.rs")),
            ("probe/http.rs", include_str!("probe/http.rs")),
            ("probe/jury.rs", include_str!("probe/jury.rs")),
            ("probe/options.rs", include_str!("probe/options.rs")),
            ("probe/ping.rs", include_str!("probe/ping.rs")),
            ("probe/smtp.rs", include_str!("probe/smtp.rs")),
            ("probe/talk.rs", include_str!("probe/talk.rs")),
            ("probe/exchange.rs", include_str!("probe/exchange.rs")),
            ("probe/program.rs", include_str!("probe/program.rs")),
        ] {
            for world in ["::now(", "std::fs", "std::env", "std::process", "nix::unistd", "mio::", "log.say"] {
                assert!(!text.contains(world), "{world} in {file}");
            }
        }
    }
}
