//! From the command line to the loop: what must be in order before lvsd runs, and
//! the modes that look at what would be done (`--plan`, `--test-start`).
//!
//! Until the loop runs, what goes wrong is said on stderr with the original's
//! `lvs: ` in front, and in syslog too unless in the foreground: pulse gives its
//! lvsd no terminal.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use common::channel::{Ask, Line, MeetingPlace, Said};
use common::child::Rules;
use common::command::Starter;
use common::config::ServiceKind;
use common::daemon::{self, Background, ExitStatus, PidFile, PidFileError};
use common::ipvs::client::Client;
use common::ipvs::{Error, Ipvs};
use common::log::{LONG_QUEUE, Log, words};
use common::names::{self, Lookup};

use crate::args::{self, Args, Asked};
use crate::failover;
use crate::file;
use crate::hands::{self, Kernel};
use crate::hosts::Hosts;
use crate::inspect;
use crate::ledger::{Ledger, LedgerFile};
use crate::messages::Message;
use crate::nanny_command::Manner;
use crate::orders;
use crate::plan::Table;
use crate::preview::{self, Item, World};
use crate::run::fos::Failover;
use crate::run::lvs::Virtuals;
use crate::run::{Daemon, Serves, Settings};
use crate::services::Services;
use crate::sorry::Standby;
use crate::wanted::{Virtual, Wanted};

/// The original's.
const PID_FILE: &str = "/var/run/lvs.pid";

/// Which failover services were started, in the folder of what is kept.
const FAILOVER_LEDGER: &str = "fos.ledger";

/// How long the caller of a daemon that goes to the background waits for its
/// start: host names that nobody resolves are what takes longest.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Prints what was asked for.
pub(crate) fn print(text: &str) -> ExitCode {
    // A closed stdout is the reader's affair.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitStatus::Stopped.into()
}

/// Says why not, and exits so.
pub(crate) fn complain(text: &str, status: ExitStatus) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}", words(&text));
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
    if let Some(file) = &args.plan {
        return plan(file.as_deref().unwrap_or(&args.configfile), args);
    }
    if args.test_start {
        return test_start(args);
    }
    if args.status || args.server.is_some() {
        return ask(args);
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

/// The hosts that the file names, looked up, and a line about those that were not.
/// `beat` is called now and then meanwhile: pulse takes silence for death.
fn hosts(path: &Path, beat: impl FnMut()) -> (Hosts, Option<Message>) {
    let mut hosts = Hosts::new(daemon::run_root().join("lvsd.hosts"));
    let asked = names::names_in(path);
    if asked.is_empty() {
        return (hosts, None);
    }
    // Without a process to ask, what is known counts.
    let lookup = Lookup::start(&daemon::sibling("lvsd"), &asked, Instant::now());
    let answers = lookup.map(|lookup| lookup.wait(beat)).unwrap_or_default();
    let stale = hosts.learn(&asked, &answers);
    (hosts, Message::stale(stale))
}

fn manner(args: &Args) -> Manner {
    let log_facility = args.log_facility.clone();
    Manner { foreground: args.nodaemon, verbose: args.verbose, log_facility }
}

/// `--test-start`: reads everything, changes nothing, needs no rights.
fn test_start(args: &Args) -> ExitCode {
    let (hosts, stale) = hosts(&args.configfile, || ());
    if file::service(&args.configfile, &hosts) == ServiceKind::Fos {
        return match preview_failover(&args.configfile, &hosts, &manner(args)) {
            Ok((items, lines)) => {
                let text = lines.iter().chain(&stale).map(ToString::to_string);
                print(&(join(text.chain(items.iter().map(|item| format!("would {}", item.text)))) + "\n"))
            }
            Err(trouble) => complain(&join(trouble.lines.iter().map(ToString::to_string)), trouble.status),
        };
    }
    let (mut wanted, lines) = match file::read(&args.configfile, &hosts, &daemon::sibling("nanny"), &manner(args)) {
        Ok(read) => read,
        Err(trouble) => {
            return complain(&join(trouble.lines.iter().map(ToString::to_string)), trouble.status);
        }
    };
    let mut text: Vec<String> = lines.iter().chain(&stale).map(ToString::to_string).collect();
    let mut ledger = read_ledger();
    orders::obey(&mut wanted, &mut ledger.orders);
    let table = look(&wanted, &ledger).unwrap_or_else(|e| {
        text.push(format!("cannot read the IPVS table: {e}; taking it for empty"));
        Table::default()
    });
    let world = World { table: &table, ledger: &ledger, found: &[], since_boot: hands::since_boot() };
    text.extend(preview::preview(&wanted, &world, unknown).iter().map(|item| format!("would {item}")));
    print(&(join(text.into_iter()) + "\n"))
}

/// `--plan`: what a reload with this file would do, or a start if no lvsd runs.
fn plan(file: &Path, args: &Args) -> ExitCode {
    let living = hands::living_lvsd(Path::new(PID_FILE));
    // As it was told to start its nannies, so it would go on.
    let manner = match living.as_ref().map(args::parse) {
        Some(Asked::Run(its)) => manner(&its),
        Some(Asked::Print(_) | Asked::Wrong(_)) | None => manner(args),
    };
    let (hosts, stale) = hosts(file, || ());
    let what = if living.is_some() { "reload" } else { "start" };
    if file::service(file, &hosts) == ServiceKind::Fos {
        return match preview_failover(file, &hosts, &manner) {
            Ok((items, lines)) => plan_of(what, file, &items, lines.iter().chain(&stale)),
            Err(trouble) => complain(&join(trouble.lines.iter().map(on_stderr)), trouble.status),
        };
    }
    let (mut wanted, lines) = match file::read(file, &hosts, &daemon::sibling("nanny"), &manner) {
        Ok(read) => read,
        Err(trouble) => return complain(&join(trouble.lines.iter().map(on_stderr)), trouble.status),
    };
    let mut ledger = read_ledger();
    orders::obey(&mut wanted, &mut ledger.orders);
    let table = match look(&wanted, &ledger) {
        Ok(table) => table,
        Err(e) => return complain(&format!("lvs: {e}"), status_of(&e)),
    };
    let found = hands::monitors();
    let world = World { table: &table, ledger: &ledger, found: &found, since_boot: hands::since_boot() };
    let items = preview::preview(&wanted, &world, unknown);
    let file = file.display();
    // What is worth a warning is no step.
    for line in lines.iter().chain(&stale) {
        let _ = writeln!(io::stderr(), "{}", on_stderr(line));
    }
    let end = if items.iter().any(Item::is_act) { ":" } else { " change nothing" };
    let mut text = vec![format!("a {what} with {file} would{end}")];
    text.extend(items.iter().map(|item| format!("  {item}")));
    print(&(join(text.into_iter()) + "\n"))
}

/// What would be done with failover services, and what is worth a line.
fn preview_failover(file: &Path, hosts: &Hosts, manner: &Manner) -> file::Asked<Vec<failover::preview::Item>> {
    let (blocks, lines) = file::read_failover(file, hosts, &daemon::sibling("nanny"), manner)?;
    let (ledger, _) = failover_ledger(daemon::run_root()).read().unwrap_or_default();
    Ok((failover::preview::preview(&blocks, &ledger), lines))
}

/// Of this boot, in the folder of what is kept.
fn failover_ledger(folder: &Path) -> failover::ledger::LedgerFile {
    failover::ledger::LedgerFile::at(folder.join(FAILOVER_LEDGER), daemon::boot_id())
}

fn plan_of<'a>(
    what: &str,
    file: &Path,
    items: &[failover::preview::Item],
    lines: impl Iterator<Item = &'a Message>,
) -> ExitCode {
    for line in lines {
        let _ = writeln!(io::stderr(), "{}", on_stderr(line));
    }
    let end = if items.iter().any(|item| item.is_act) { ":" } else { " change nothing" };
    let head = format!("a {what} with {} would{end}", file.display());
    print(&(join(std::iter::once(head).chain(items.iter().map(|item| format!("  {}", item.text)))) + "\n"))
}

/// How long the running lvsd may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// `--status`, `--drain` and so on: asks the running lvsd.
fn ask(args: &Args) -> ExitCode {
    let what = match (args.drain, args.disable, args.weight) {
        (true, ..) => "drain".to_owned(),
        (false, true, _) => "disable".to_owned(),
        (false, false, Some(weight)) => format!("weight={weight}"),
        (false, false, None) => "enable".to_owned(),
    };
    let mut question = match &args.server {
        Some(server) => Ask::Order { what, server: server.clone() },
        None => Ask::Status(0),
    };
    let mut text = String::new();
    loop {
        match hands::ask_lvsd(&question, ANSWER_WITHIN) {
            Ok((true, more, next)) => {
                text += &more;
                match next {
                    Some(next) => question = Ask::Status(next),
                    None => return print(&(text.trim_end().to_owned() + "\n")),
                }
            }
            Ok((false, why, _)) => return complain(&format!("lvs: {why}"), ExitStatus::Usage),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return complain(&format!("lvs: {e}"), ExitStatus::Permission);
            }
            Err(e) => return complain(&format!("lvs: no lvsd answers: {e}"), ExitStatus::System),
        }
    }
}

/// What nannies will say is not known beforehand.
fn unknown(_: &Virtual) -> Standby {
    Standby::Undecided
}

/// What a running lvsd, or the last one, left for its successor.
fn read_ledger() -> Ledger {
    LedgerFile::at(daemon::run_root().join("lvsd.ledger"), daemon::boot_id()).read().unwrap_or_default().0
}

/// The kernel's table, as far as a plan goes.
fn look(wanted: &Wanted, ledger: &Ledger) -> Result<Table, Error> {
    let wanted = wanted.virtuals.iter().map(|wanted| &wanted.service.key);
    Kernel::new(Client::open()?).table(wanted.chain(ledger.services.keys()))
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
        Ok(facility) => log.with_syslog("lvsd", facility).holding(LONG_QUEUE),
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
    let parent = Line::from_stdin();
    let alive = || {
        // A parent that is gone is seen when its line is read.
        let _ = parent.as_ref().map(|line| line.send(&Said::Alive.encode()));
    };
    let (hosts, stale) = hosts(&path, alive);
    if file::service(&path, &hosts) == ServiceKind::Fos {
        return serve_failover(args, launch, log, (path, hosts, stale), parent);
    }
    let (wanted, lines) = match file::read(&path, &hosts, &nanny, &manner) {
        Ok((wanted, mut lines)) => {
            lines.extend(stale);
            (wanted, lines)
        }
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
    let settings = Settings { file: path, nanny, manner, rules: Rules::default(), starter: Starter::default(), places };
    let own = Virtuals::new(client, services);
    let daemon = || Daemon::new(settings, hosts, log, own, meeting, parent);
    run(daemon, wanted, &lines, launch, pid_file)
}

/// The same for failover services: no right to IPVS is needed, nor a kernel that has
/// it.
fn serve_failover(
    args: &Args,
    launch: Option<daemon::Launch>,
    log: Log,
    (path, hosts, stale): (PathBuf, Hosts, Option<Message>),
    parent: Option<Line>,
) -> ExitCode {
    let (nanny, manner) = (daemon::sibling("nanny"), manner(args));
    let refuse = |lines: &[Message], status: ExitStatus| {
        if !args.nodaemon {
            for line in lines {
                log.say(line);
            }
        }
        complain(&join(lines.iter().map(on_stderr)), status)
    };
    let (blocks, mut lines) = match file::read_failover(&path, &hosts, &nanny, &manner) {
        Ok(asked) => asked,
        Err(trouble) => return refuse(&trouble.lines, trouble.status),
    };
    lines.extend(stale);
    let pid_file = match take_pid_file() {
        Ok(pid_file) => pid_file,
        Err(Refusal { text, status }) => return refuse(&[Message::Diagnostic(format!("lvs: {text}"))], status),
    };
    raise_descriptors();
    let (folder, meeting, places) = open_folder(&log);
    let file = folder.map(|folder| failover_ledger(&folder));
    let inherited = match file.as_ref().map(failover::ledger::LedgerFile::read) {
        Some(Ok((ledger, bad))) => {
            if bad > 0 {
                log.say(&Message::LedgerDamaged { lines: bad });
            }
            ledger
        }
        Some(Err(e)) => {
            log.say(&Message::NoState { reason: format!("{FAILOVER_LEDGER}: {e}") });
            failover::ledger::Ledger::default()
        }
        None => failover::ledger::Ledger::default(),
    };
    let settings = Settings { file: path, nanny, manner, rules: Rules::default(), starter: Starter::default(), places };
    let own = Failover::new(inherited, file, parent.is_some());
    let daemon = || Daemon::new(settings, hosts, log, own, meeting, parent);
    run(daemon, blocks, &lines, launch, pid_file)
}

/// Lets go of the terminal, if there is one to let go of, and runs.
fn run<S>(
    daemon: impl FnOnce() -> io::Result<Daemon<S>>,
    wanted: <Daemon<S> as Serves>::Wanted,
    lines: &[Message],
    launch: Option<daemon::Launch>,
    pid_file: PidFile,
) -> ExitCode
where
    Daemon<S>: Serves,
{
    if let Some(launch) = launch
        && let Err(e) = launch.ready()
    {
        pid_file.remove();
        return complain(&format!("lvs: cannot let go of the terminal: {e}"), ExitStatus::System);
    }
    let ended = daemon().and_then(|daemon| daemon.run(wanted, lines));
    pid_file.remove();
    match ended {
        Ok(_) => ExitStatus::Stopped.into(),
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

fn take_pid_file() -> Result<PidFile, Refusal> {
    PidFile::take(Path::new(PID_FILE)).map_err(|e| {
        let is_forbidden = matches!(&e, PidFileError::Io { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied);
        let status = if is_forbidden { ExitStatus::Permission } else { ExitStatus::System };
        Refusal { text: e.to_string(), status }
    })
}

/// What lvsd cannot be without.
fn open_all() -> Result<(PidFile, Client), Refusal> {
    let pid_file = take_pid_file()?;
    // The kernel answers the first question, not the opening, if a right is missing.
    let client = Client::open().and_then(|mut client| client.timeouts().map(|_| client));
    match client {
        Ok(client) => {
            raise_descriptors();
            Ok((pid_file, client))
        }
        Err(e) => {
            pid_file.remove();
            Err(Refusal { text: e.to_string(), status: status_of(&e) })
        }
    }
}

/// What the kernel's refusal means for the exit status.
fn status_of(error: &Error) -> ExitStatus {
    if matches!(error, Error::Permission) { ExitStatus::Permission } else { ExitStatus::System }
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
    let (folder, meeting, places) = open_folder(log);
    let Some(folder) = folder else { return (Services::new(Ledger::default(), None), None, None) };
    let file = LedgerFile::at(folder.join("lvsd.ledger"), daemon::boot_id());
    let ledger = match file.read() {
        Ok((ledger, bad)) => {
            if bad > 0 {
                log.say(&Message::LedgerDamaged { lines: bad });
            }
            ledger
        }
        Err(e) => {
            no_state(format!("{}: {e}", file.path().display()));
            Ledger::default()
        }
    };
    (Services::new(ledger, Some(file)), meeting, places)
}

/// The folder of what is kept, the place in it where a new pulse finds us, and the
/// folder of the nannies' places.
fn open_folder(log: &Log) -> (Option<PathBuf>, Option<MeetingPlace>, Option<PathBuf>) {
    let no_state = |reason: String| log.say(&Message::NoState { reason });
    let opened = daemon::run_dir("").and_then(|folder| Ok((folder, daemon::run_dir("nanny")?)));
    let (folder, places) = match opened {
        Ok(folders) => folders,
        Err(e) => {
            no_state(format!("{}: {e}", daemon::run_root().display()));
            return (None, None, None);
        }
    };
    let place = folder.join("lvsd");
    let meeting = MeetingPlace::open(&place).map_err(|e| no_state(format!("{}: {e}", place.display()))).ok();
    (Some(folder), meeting, Some(places))
}

#[cfg(test)]
mod tests;
