//! From the command line to the loop: what must be in order before lvsd runs, and
//! the mode that only looks at what would be done (`--test-start`).
//!
//! Until the loop runs, what goes wrong is said on stderr with the original's
//! `lvs: ` in front, and in syslog too unless in the foreground: pulse gives its
//! lvsd no terminal.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use common::channel::{Line, MeetingPlace};
use common::child::Rules;
use common::daemon::{self, Background, ExitStatus, PidFile, PidFileError};
use common::ipvs::client::Client;
use common::ipvs::{Error, Ipvs};
use common::log::Log;

use crate::args::Args;
use crate::file;
use crate::hands::Kernel;
use crate::inspect;
use crate::ledger::{Ledger, LedgerFile};
use crate::messages::Message;
use crate::nanny_command::{Arguments, Manner};
use crate::plan::{self, Table};
use crate::run::{Daemon, End, Settings};
use crate::services::Services;
use crate::sorry::Standby;
use crate::wanted::Wanted;

/// The original's.
const PID_FILE: &str = "/var/run/lvs.pid";

/// How long the caller of a daemon that goes to the background waits for its
/// start: reading a file whose host names nobody resolves is what takes longest.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Prints what was asked for.
pub(crate) fn print(text: &str) -> ExitCode {
    // A closed stdout is the reader's affair.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitStatus::Stopped.into()
}

/// Says why not, and exits so.
pub(crate) fn complain(text: &str, status: ExitStatus) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    status.into()
}

/// Does what the command line asks for.
pub(crate) fn start(args: &Args) -> ExitCode {
    if let Err(text) = common::log::facility(args.log_facility.as_deref().unwrap_or("daemon")) {
        return complain(&format!("lvs: bad argument --log-facility: {text}"), ExitStatus::Usage);
    }
    if let Ok(Some(look)) = inspect::asked(args) {
        return inspect::look(look);
    }
    if args.test_start {
        return test_start(args);
    }
    if args.nodaemon || args.nofork {
        if args.nofork {
            // Fails only for one that leads a group already.
            let _ = nix::unistd::setsid();
        }
        return serve(args, None);
    }
    match daemon::background(START_WITHIN) {
        Ok(Background::Foreground(code)) => code.into(),
        Ok(Background::Daemon(launch)) => serve(args, Some(launch)),
        Err(e) => complain(&format!("lvs: cannot go to the background: {e}"), ExitStatus::System),
    }
}

fn manner(args: &Args) -> Manner {
    let log_facility = args.log_facility.clone();
    Manner { foreground: args.nodaemon, verbose: args.verbose, log_facility }
}

/// `--test-start`: reads everything, changes nothing, needs no rights.
fn test_start(args: &Args) -> ExitCode {
    let (wanted, lines) = match file::read(&args.configfile, &daemon::sibling("nanny"), &manner(args)) {
        Ok(read) => read,
        Err(trouble) => {
            return complain(&join(trouble.lines.iter().map(ToString::to_string)), trouble.status);
        }
    };
    let mut text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let table = Client::open().and_then(|client| Kernel::new(client).table(&wanted));
    let table = table.unwrap_or_else(|e| {
        text.push(format!("cannot read the IPVS table: {e}; taking it for empty"));
        Table::default()
    });
    let (ledger, _) = LedgerFile::at(daemon::run_root().join("lvsd.ledger")).read().unwrap_or_default();
    text.extend(would(&wanted, &table, &ledger));
    print(&(join(text.into_iter()) + "\n"))
}

/// What a start would do, in words.
fn would(wanted: &Wanted, table: &Table, ledger: &Ledger) -> Vec<String> {
    let owned = |target: &_| wanted.monitors().any(|monitor| monitor.target == *target);
    let steps = plan::plan(wanted, table, ledger, owned, |_| Standby::Undecided);
    let steps = steps.iter().map(|step| format!("would {step}"));
    let starts = wanted.monitors().map(|monitor| {
        let command = shell_words(&monitor.program, &monitor.arguments);
        format!("would start nanny for child {}/{}: {command}", monitor.name, monitor.server)
    });
    steps.chain(starts).collect()
}

/// A command line as one would type it.
fn shell_words(program: &Path, arguments: &Arguments) -> String {
    let quoted = |word: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=%,@".contains(c);
        if !word.is_empty() && word.chars().all(is_plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words = std::iter::once(quoted(&program.to_string_lossy())).chain(arguments.iter().map(quoted));
    words.collect::<Vec<_>>().join(" ")
}

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

fn make_log(args: &Args) -> Log {
    let log = Log::new(args.verbose);
    if args.nodaemon {
        return log.with_stdout("lvs");
    }
    match common::log::facility(args.log_facility.as_deref().unwrap_or("daemon")) {
        Ok(facility) => log.with_syslog("lvsd", facility),
        Err(_) => log,
    }
}

/// A trouble before the loop runs.
struct Refusal {
    text: String,
    status: ExitStatus,
}

/// Runs until told to stop.
fn serve(args: &Args, launch: Option<daemon::Launch>) -> ExitCode {
    let log = make_log(args);
    let path = std::path::absolute(&args.configfile).unwrap_or_else(|_| args.configfile.clone());
    let nanny = daemon::sibling("nanny");
    let manner = manner(args);
    let (wanted, lines) = match file::read(&path, &nanny, &manner) {
        Ok(read) => read,
        Err(trouble) => {
            if !args.nodaemon {
                trouble.lines.iter().for_each(|line| log.say(line));
            }
            return complain(&join(trouble.lines.iter().map(on_stderr)), trouble.status);
        }
    };
    let (pid_file, client) = match open_all() {
        Ok(open) => open,
        Err(Refusal { text, status }) => {
            if !args.nodaemon {
                log.say(&Message::Diagnostic(text.clone()));
            }
            return complain(&format!("lvs: {text}"), status);
        }
    };
    let (services, meeting, places) = open_state(&log);
    let settings = Settings { file: path, nanny, manner, rules: Rules::default(), places };
    let parent = Line::from_stdin();
    if let Some(launch) = launch
        && let Err(e) = launch.ready()
    {
        pid_file.remove();
        return complain(&format!("lvs: cannot let go of the terminal: {e}"), ExitStatus::System);
    }
    let ended = Daemon::new(settings, log, client, services, meeting, parent).and_then(|mut daemon| {
        daemon.say_notes(&lines);
        daemon.run(wanted)
    });
    pid_file.remove();
    match ended {
        Ok(End::Stopped | End::Released) => ExitStatus::Stopped.into(),
        Err(e) => complain(&format!("lvs: {e}"), ExitStatus::System),
    }
}

/// The original's lines have the `lvs: ` in them, ours get it.
fn on_stderr(line: &Message) -> String {
    match line.to_string() {
        text if text.starts_with("lvs: ") || matches!(line, Message::Diagnostic(_)) => text,
        text => format!("lvs: {text}"),
    }
}

/// What lvsd cannot be without.
fn open_all() -> Result<(PidFile, Client), Refusal> {
    let pid_file = PidFile::take(Path::new(PID_FILE)).map_err(|e| {
        let is_forbidden = matches!(&e, PidFileError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied);
        let status = if is_forbidden { ExitStatus::Permission } else { ExitStatus::System };
        Refusal { text: e.to_string(), status }
    })?;
    // The kernel answers the first question, not the opening, if a right is missing.
    let client = Client::open().and_then(|mut client| client.timeouts().map(|_| client));
    match client {
        Ok(client) => {
            raise_descriptors();
            Ok((pid_file, client))
        }
        Err(e) => {
            pid_file.remove();
            let is_forbidden = matches!(e, Error::Permission);
            let status = if is_forbidden { ExitStatus::Permission } else { ExitStatus::System };
            Err(Refusal { text: e.to_string(), status })
        }
    }
}

/// A descriptor per nanny: as many as the system allows. With fewer the last
/// nannies are not started, and say so.
fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What lvsd can be without, with a line that says what that means.
fn open_state(log: &Log) -> (Services, Option<MeetingPlace>, Option<PathBuf>) {
    let no_state = |reason: String| log.say(&Message::NoState { reason });
    let opened = daemon::run_dir("").and_then(|folder| Ok((folder, daemon::run_dir("nanny")?)));
    let (folder, places) = match opened {
        Ok(folders) => folders,
        Err(e) => {
            no_state(format!("{}: {e}", daemon::run_root().display()));
            return (Services::new(Ledger::new(), None), None, None);
        }
    };
    let file = LedgerFile::at(folder.join("lvsd.ledger"));
    let ledger = match file.read() {
        Ok((ledger, bad)) => {
            if bad > 0 {
                log.say(&Message::LedgerDamaged { lines: bad });
            }
            ledger
        }
        Err(e) => {
            no_state(format!("{}: {e}", file.path().display()));
            Ledger::new()
        }
    };
    let place = folder.join("lvsd");
    let meeting = MeetingPlace::open(&place).map_err(|e| no_state(format!("{}: {e}", place.display()))).ok();
    (Services::new(ledger, Some(file)), meeting, Some(places))
}

#[cfg(test)]
mod tests;
