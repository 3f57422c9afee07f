//! From the command line to a running director: reads the file, finds out who
//! this host is, and takes hold of everything that is needed, or says in one
//! sentence why it cannot. The same checks run whether a terminal, init or the
//! guardian asks.

use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::config::{self, Outside, Syntax, System};
use common::daemon::{self, ExitStatus, PidFile, PidFileError};
use common::log::Log;
use common::names::{self, Known, Lookup};
use common::netlink::route::{Monitor, Route};
use common::state;

use crate::addresses::{self, Reach, Step};
use crate::args::Args;
use crate::election;
use crate::fenced::packet_socket::PacketSocket;
use crate::hands::heartbeats::Heartbeats;
use crate::hands::interfaces::{Interfaces, spoken};
use crate::hands::text;
use crate::heartbeat::{KEY_FILE_MAX, Keyring, StartId, keyring};
use crate::identity::{Role, role};
use crate::ledger::{self, Ledger};
use crate::messages::Message;
use crate::run;
use crate::settings::Settings;

/// The pid that operators and init scripts signal: the guardian's, or in the
/// foreground that of pulse itself.
pub const PID_FILE: &str = "/var/run/pulse.pid";

/// How many diagnostics of the file are shown before they are only counted.
const DIAGNOSTICS_SHOWN: usize = 50;

/// A file that can be used.
#[derive(Debug)]
pub struct Read {
    /// What it says.
    pub settings: Settings,
    /// The keys it names.
    pub keyring: Keyring,
    /// Lines about it.
    pub remarks: Vec<Message>,
    /// The same file in the reader's own words, without real servers, for a pulse
    /// to come.
    pub copy: String,
    /// What the reader warns of, with file, line and caret, for a terminal.
    pub warnings: Vec<String>,
}

/// Why there will be no start.
#[derive(Debug)]
pub struct Refused {
    /// The reason.
    pub message: Message,
    /// More about it, for a terminal.
    pub details: Vec<String>,
    /// How the process exits.
    pub status: ExitStatus,
}

impl Refused {
    fn new(message: Message, status: ExitStatus) -> Self {
        Self { message, details: Vec::new(), status }
    }

    /// The system refuses something that is needed.
    pub fn system(what: &'static str, error: &dyn ToString) -> Self {
        Self::new(Message::System { what, error: error.to_string() }, ExitStatus::System)
    }

    /// The start takes too long; it goes on.
    pub fn not_up(limit: std::time::Duration) -> Self {
        Self::new(Message::NotUp(limit), ExitStatus::System)
    }

    /// Another pulse does this work.
    pub fn already_running() -> Self {
        Self::new(Message::AlreadyRunning(0), ExitStatus::System)
    }

    /// Says it: on stderr as the original did, and in the log, which is all that
    /// is left of a start at boot.
    pub fn say(&self, log: &Log) {
        log.say(&self.message);
        complain(&format!("pulse: {}", self.message));
        self.details.iter().for_each(|detail| complain(detail));
    }
}

/// One paragraph on stderr.
fn complain(text: &str) {
    // A closed stderr is the caller's affair.
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Reads the file, with the names of hosts as `outside` knows them, and the keys it
/// names.
///
/// # Errors
/// Why it cannot be used.
pub fn read(path: &Path, outside: &dyn Outside) -> Result<Read, Refused> {
    let mut read = read_file(path, outside)?;
    read.keyring = keys(&read.settings).map_err(|message| Refused {
        message,
        details: read.warnings.clone(),
        status: ExitStatus::Configuration,
    })?;
    Ok(read)
}

/// The same without the keys.
fn read_file(path: &Path, outside: &dyn Outside) -> Result<Read, Refused> {
    if let Err(e) = config::open(path) {
        let denied = e.kind() == ErrorKind::PermissionDenied;
        let status = if denied { ExitStatus::Permission } else { ExitStatus::Configuration };
        let details = vec![format!("{}: {e}", path.display())];
        return Err(Refused { message: Message::ConfigUnreadable(path.to_owned()), details, status });
    }
    let loaded = config::load_with(path, Syntax::of(path), outside).map_err(|failed| {
        let message = match failed.first() {
            Some(first) if first.line > 0 => {
                Message::ConfigBad { path: path.to_owned(), line: first.line, text: first.message.clone() }
            }
            Some(_) | None => Message::ConfigUnreadable(path.to_owned()),
        };
        let mut details: Vec<String> = failed.diagnostics.iter().map(|it| it.render(false)).collect();
        shorten(&mut details);
        Refused { message, details, status: ExitStatus::Configuration }
    })?;
    let mut warnings: Vec<String> = loaded.warnings.iter().map(|it| it.render(false)).collect();
    shorten(&mut warnings);
    let (settings, remarks) = Settings::new(&loaded.config).map_err(|message| Refused {
        message,
        details: warnings.clone(),
        status: ExitStatus::Configuration,
    })?;
    let mut config = loaded.config;
    config.virtuals.iter_mut().for_each(|service| service.servers.clear());
    let copy = config::dump(&config, Syntax::LvsCf);
    Ok(Read { settings, keyring: Keyring::none(), remarks, copy, warnings })
}

/// The keys of heartbeats.
fn keys(settings: &Settings) -> Result<Keyring, Message> {
    let Some((file, trust)) = settings.pair.as_ref().and_then(|pair| pair.keys.as_ref()) else {
        return Ok(Keyring::none());
    };
    let bad = |why: String| Message::KeyFile { file: file.clone(), why };
    let text = secret(file).map_err(|e| bad(e.to_string()))?;
    keyring(&text, *trust).map_err(|e| bad(e.to_string()))
}

/// The text of a file that is nobody else's.
fn secret(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    // A pipe that nobody writes to must not hold the loop.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path)?;
    let meta = file.metadata()?;
    let refused = |why| Err(io::Error::other(why));
    if !meta.is_file() {
        return refused("it is no file");
    }
    if meta.mode() & 0o077 != 0 {
        return refused("others than its owner have rights to it: chmod 600");
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return refused("it does not belong to root: chown root");
    }
    let mut text = String::new();
    file.take(KEY_FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > KEY_FILE_MAX { refused("it is too long") } else { Ok(text) }
}

/// The last file that could be used. A killed pulse that comes back to a broken one
/// must know its partner: as a single director it would not let go of anything.
fn copy_path() -> PathBuf {
    daemon::run_dir("").unwrap_or_else(|_| daemon::run_root().to_owned()).join("pulse.last.cf")
}

/// Keeps the file that is in force for a pulse to come.
pub fn keep(read: &Read) {
    // Without it a pulse to come falls back on the ledger.
    let _ = state::replace(&copy_path(), &read.copy);
}

/// Whether a pulse was here before that did not end in order: it was killed, or was
/// asked to make room.
fn follows_another() -> bool {
    copy_path().exists()
}

/// Forgets it, and what an operator wanted; done at an orderly end.
pub fn forget() {
    let _ = std::fs::remove_file(copy_path());
    remember_released(false);
}

/// Whether an operator released this director, for a pulse to come.
pub fn remember_released(is_released: bool) {
    // Unremembered, it counts until this pulse ends.
    let _ = if is_released {
        std::fs::write(released_path(), "released by hand\n")
    } else {
        std::fs::remove_file(released_path())
    };
}

/// Whether the last pulse was released, and not stopped since.
pub fn is_released() -> bool {
    released_path().exists()
}

fn released_path() -> PathBuf {
    copy_path().with_file_name("pulse.released")
}

/// What holds while the keys of heartbeats cannot be read: no less than with them.
fn without_keys(settings: &Settings, log: &Log) -> Keyring {
    let Some((file, trust)) = settings.pair.as_ref().and_then(|pair| pair.keys.as_ref()) else {
        return Keyring::none();
    };
    log.say(&Message::NoKeys { file: file.clone() });
    Keyring::lost(*trust)
}

/// What was in force before the file was broken.
fn as_it_was(file: &Path, ledger: &ledger::Contents, host: &addresses::Host, log: &Log) -> (Settings, Keyring) {
    match read_file(&copy_path(), &Known::default()) {
        Ok(Read { mut settings, .. }) => {
            let keyring = keys(&settings).unwrap_or_else(|_| without_keys(&settings, log));
            file.clone_into(&mut settings.path);
            if let Some(pair) = &mut settings.pair {
                pair.fingerprint = 0; // the copy's is not the file's
            }
            (settings, keyring)
        }
        // What is on loan is for a partner to take, which hears nothing of us.
        Err(_) if ledger.lent => (Settings::as_it_was(file, Vec::new()), Keyring::none()),
        Err(_) => (Settings::as_it_was(file, addresses::as_they_are(&ledger.entries, host)), Keyring::none()),
    }
}

fn shorten(lines: &mut Vec<String>) {
    let more = lines.len().saturating_sub(DIAGNOSTICS_SHOWN);
    lines.truncate(DIAGNOSTICS_SHOWN);
    if more > 0 {
        lines.push(format!("... and {more} more"));
    }
}

/// Everything a director needs, taken hold of.
pub struct Ready {
    /// What the file says, or with a broken file what the last pulse held.
    pub settings: Settings,
    /// Who this host is.
    pub role: Role,
    /// The last pulse was killed while active.
    pub carrying_on: bool,
    /// So many addresses are there that one which ended in order could not remove.
    pub left: usize,
    /// The last pulse did not end in order, active or not.
    pub follows_another: bool,
    /// Links and addresses.
    pub interfaces: Interfaces,
    /// The kernel's news about them.
    pub monitor: Monitor,
    /// In a pair, the sockets and this start's id.
    pub heartbeats: Option<(Heartbeats, StartId)>,
}

/// The part in an election that a role is; a stranger has none.
pub fn part(role: Role) -> Option<election::Role> {
    match role {
        Role::Master => Some(election::Role::Master),
        Role::Backup => Some(election::Role::Backup),
        Role::Stranger => None,
    }
}

/// The hosts that the file names, looked up. `beat` is called now and then
/// meanwhile: a guardian takes silence for death.
fn hosts(path: &Path, beat: impl FnMut()) -> Known {
    let names = names::names_in(path);
    if names.is_empty() {
        return Known::default();
    }
    // Without a process to ask, the reader says of each name that it is unknown.
    Lookup::start(&run::program(), &names, Instant::now()).map(|lookup| lookup.wait(beat)).unwrap_or_default()
}

/// Takes hold of everything; remarks and warnings are said. `beat` is called now
/// and then when it takes long.
///
/// # Errors
/// Why there will be no start.
pub fn prepare(args: &Args, log: &Log, beat: impl FnMut()) -> Result<Ready, Refused> {
    let packets = packet_socket()?;
    let route = Route::open().map_err(|e| Refused::system("open the line to the kernel", &e))?;
    let monitor = Monitor::open().map_err(|e| Refused::system("watch interfaces", &e))?;
    let (ledger, trouble) = Ledger::open(&ledger_path(), daemon::boot_id());
    let carrying_on = ledger.contents().active;
    let follows_another = follows_another();
    let held = ledger.contents().clone();
    let mut interfaces = Interfaces::new(route, packets, ledger);
    let host = interfaces.read().map_err(|e| Refused::system("read interfaces and addresses", &e))?;
    let left = if carrying_on { 0 } else { addresses::count_there(&held.entries, &host) };
    interfaces.cease(log); // what a killed one left
    let (settings, keyring) = match read(&args.configfile, &hosts(&args.configfile, beat)) {
        Ok(read) => {
            read.warnings.iter().for_each(|warning| complain(warning));
            read.remarks.iter().for_each(|remark| log.say(remark));
            keep(&read);
            (read.settings, read.keyring)
        }
        // A killed pulse comes back to a file that somebody broke meanwhile: what
        // it held stays held, as at a reload of a broken file.
        Err(refused) if carrying_on => {
            refused.say(log);
            log.say(&Message::OldStays);
            as_it_was(&args.configfile, &held, &host, log)
        }
        Err(refused) => return Err(refused),
    };
    if let Some(error) = trouble {
        log.say(&Message::LedgerUnreadable(error));
    }
    let here: Vec<_> = host.addresses.iter().map(|address| address.address).collect();
    let role = our_role(&settings, &here, log)?;
    executable(&lvsd_program(args))?;
    let heartbeats = heartbeats(&settings, keyring, role, carrying_on, log)?;
    Ok(Ready { settings, role, carrying_on, left, follows_another, interfaces, monitor, heartbeats })
}

/// The heartbeat sockets. A fresh start without one is refused, as ever: another
/// pulse may have the port, and would hear what is meant for us.
fn heartbeats(
    settings: &Settings,
    keyring: Keyring,
    role: Role,
    carrying_on: bool,
    log: &Log,
) -> Result<Option<(Heartbeats, StartId)>, Refused> {
    let Some((pair, role)) = settings.pair.as_ref().zip(part(role)) else { return Ok(None) };
    let (heartbeats, troubles) = Heartbeats::open(pair.ends(role), keyring, Instant::now());
    for (path, error) in troubles {
        let error = error.to_string();
        if !carrying_on {
            let mut refused = Refused::new(Message::NotBound(error), ExitStatus::System);
            refused.details.push("pulse: cannot create heartbeat socket. running as root?".to_owned());
            return Err(refused);
        }
        log.say(&Message::PathUnbound { path, error });
    }
    let id = start_id().map_err(|e| Refused::system("read random numbers", &e))?;
    Ok(Some((heartbeats, id)))
}

/// An id that nobody can guess who does not hear us.
fn start_id() -> io::Result<StartId> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(StartId::new(u64::from_ne_bytes(bytes)))
}

fn packet_socket() -> Result<PacketSocket, Refused> {
    PacketSocket::open().map_err(|e| {
        if e.kind() == ErrorKind::PermissionDenied {
            Refused::new(Message::NotRoot, ExitStatus::Permission)
        } else {
            Refused::system("create the ARP socket", &e)
        }
    })
}

/// Where the ledger is.
pub fn ledger_path() -> PathBuf {
    // Where the folder cannot be made the ledger cannot be written, and says so.
    daemon::run_dir("").unwrap_or_else(|_| daemon::run_root().to_owned()).join("pulse.ledger")
}

/// The lvsd to start.
pub fn lvsd_program(args: &Args) -> PathBuf {
    args.lvsd.clone().unwrap_or_else(|| daemon::sibling("lvsd"))
}

fn executable(path: &Path) -> Result<(), Refused> {
    use nix::unistd::{AccessFlags, access};
    access(path, AccessFlags::X_OK).map_err(|e| {
        Refused::new(Message::NoLvsd { path: path.to_owned(), error: e.desc().to_owned() }, ExitStatus::System)
    })
}

/// The role of a host that may be active, alone or in a pair; the others are told
/// why not.
fn our_role(settings: &Settings, here: &[std::net::IpAddr], log: &Log) -> Result<Role, Refused> {
    let (primary, backup) = (settings.primary, settings.backup);
    let role = role(primary, backup, here);
    match (role, &settings.pair) {
        (Role::Master, _) | (Role::Backup, Some(_)) => Ok(role),
        // The original ran as a backup, and took the virtual IPs from whoever had them.
        (Role::Stranger, Some(_)) => {
            Err(Refused::new(Message::Stranger { primary, backup }, ExitStatus::Configuration))
        }
        (Role::Backup, None) => {
            log.say(&Message::Starting(role));
            Err(Refused::new(Message::BackupInactive, ExitStatus::Configuration))
        }
        (Role::Stranger, None) => {
            log.say(&Message::Starting(role));
            log.say(&Message::BackupInactive);
            Err(Refused::new(Message::Stranger { primary, backup }, ExitStatus::Configuration))
        }
    }
}

/// Takes the pid file. Without the rights of root that is said first, in the words
/// of the original, for everything else would fail for the same reason.
///
/// # Errors
/// A right is missing, somebody has the file, or it cannot be written.
pub fn take_pid_file() -> Result<PidFile, Refused> {
    packet_socket()?;
    PidFile::take(Path::new(PID_FILE)).map_err(|e| {
        let text = e.to_string();
        match e {
            PidFileError::Running(pid) => Refused::new(Message::AlreadyRunning(pid), ExitStatus::System),
            PidFileError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Refused::new(Message::PidFile(text), ExitStatus::Permission)
            }
            PidFileError::Io { .. } => Refused::new(Message::PidFile(text), ExitStatus::System),
        }
    })
}

/// `--test-start`: says what a start would do, and does none of it.
///
/// # Errors
/// Why a start would be refused.
pub fn rehearse(args: &Args, log: &Log) -> Result<(), Refused> {
    let read = read(&args.configfile, &System)?;
    read.warnings.iter().for_each(|warning| complain(warning));
    read.remarks.iter().for_each(|remark| log.say(remark));
    let mut route = Route::open().map_err(|e| Refused::system("open the line to the kernel", &e))?;
    let unread = |e: common::netlink::route::Error| Refused::system("read interfaces and addresses", &e);
    let host = addresses::Host { links: route.links().map_err(unread)?, addresses: route.addresses().map_err(unread)? };
    let here: Vec<_> = host.addresses.iter().map(|address| address.address).collect();
    log.say(&Message::Starting(our_role(&read.settings, &here, log)?));
    let Settings { wanted, active_cmd, .. } = read.settings;
    if let Some(words) = active_cmd {
        log.say(&Message::WouldExecute(words.join(" ")));
    }
    let path = lvsd_program(args);
    executable(&path)?;
    log.say(&Message::WouldExecute(format!("{} {}", path.display(), text(&args.for_lvsd()).join(" "))));
    let (ledger, _) = Ledger::open(&daemon::run_root().join("pulse.ledger"), daemon::boot_id());
    let look = addresses::look(&wanted, &host, &ledger.contents().entries, Reach::All);
    for line in spoken(look.remarks) {
        log.say(&line);
    }
    for step in look.steps {
        match step {
            Step::Add { wanted, .. } => log.say(&Message::WouldAdd {
                address: format!("{}/{}", wanted.address, wanted.prefix),
                device: wanted.device,
                label: wanted.label,
            }),
            Step::Remove { entry, .. } => log.say(&Message::WouldRemove {
                address: format!("{}/{}", entry.address, entry.prefix),
                device: entry.device,
            }),
            Step::Forget(_) => {}
        }
    }
    Ok(())
}
