//! Everything pulse and its guardian can say. The texts of piranha.md 6.1 are
//! the original's to the letter, for operators have grepped for them for twenty
//! years; tests/messages/pulse.txt holds one sample of every line, so that a
//! change of wording is seen.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use common::child::Exit;
use common::command::Failure;
use common::config::ServiceKind;
use common::log::{self, Level};

use crate::arp::Shown;
use crate::claimants::{Report, Suspect};
use crate::election::Line;
use crate::identity::Role;
use crate::replay::Counters;

/// One line of pulse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    // the file
    /// The file cannot be read.
    ConfigUnreadable(PathBuf),
    /// The file is wrong; the first error of it.
    ConfigBad {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// What is wrong.
        text: String,
    },
    /// There is nothing to do.
    NoServices {
        /// The file.
        path: PathBuf,
        /// Of this kind.
        service: ServiceKind,
    },
    /// A reload finds the other kind of service.
    OtherService(PathBuf),
    /// These virtual IPs go, for nothing behind them serves.
    Withdrawing(Vec<IpAddr>),
    /// They come back.
    Returning(Vec<IpAddr>),
    /// They are not raised by a director that becomes active.
    Withheld(Vec<IpAddr>),
    /// lvsd says that this director cannot serve.
    Unable(String),
    /// It can again.
    Able,
    /// A run of notify was of no use.
    NotifyFailed(Failure),
    /// So many events came faster than notify could be run.
    NoticesDropped(u64),
    /// notify_fifo cannot be written.
    FifoTrouble {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// check_cmd fails for good.
    CheckFailing {
        /// The last of its failures.
        failure: Failure,
        /// So many in a row.
        times: u32,
    },
    /// It succeeds again.
    CheckMended,
    /// A pair without a primary.
    NoPrimary(PathBuf),
    /// `backup_active = 1` without a backup.
    UndefinedBackup,
    /// A virtual IP without a usable mask.
    MaskByClass {
        /// The virtual IP.
        address: IpAddr,
        /// The prefix its class gives it.
        prefix: u8,
    },
    /// A reload begins.
    Rereading,
    /// A reload found a file that cannot be used.
    OldStays,

    // start
    /// The role is known.
    Starting(Role),
    /// The backup of a director that has none.
    BackupInactive,
    /// Neither director's address is on this host.
    Stranger {
        /// `primary`.
        primary: Option<IpAddr>,
        /// `backup`.
        backup: Option<IpAddr>,
    },
    /// No right to send frames.
    NotRoot,
    /// The system refuses something that is needed.
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: String,
    },
    /// Another pulse is here.
    AlreadyRunning(u32),
    /// The pid file cannot be written; the text names it.
    PidFile(String),
    /// lvsd cannot be started.
    NoLvsd {
        /// The program.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// The start did not end in time.
    NotUp(Duration),
    /// pulse goes before everything else on its processor, with this priority.
    Realtime(u8),
    /// It does not any more.
    NoRealtime,
    /// The kernel does not let it.
    RealtimeRefused {
        /// The priority.
        priority: u8,
        /// What the kernel said.
        error: String,
    },
    /// Its memory may be swapped out.
    MemoryNotLocked(String),
    /// Only one director: it becomes active at once.
    Alone,
    /// `--forceactive`.
    Forced,
    /// The last pulse was killed while active.
    CarryingOn,
    /// The ledger of a pulse before is no ledger.
    LedgerUnreadable(String),
    /// The ledger cannot be written.
    LedgerUnwritten(String),
    /// The meeting place cannot be opened.
    NoMeetingPlace(String),

    // the pair
    /// A line of the election.
    Pair(Line),
    /// A pulse that comes back has no keys, and believes nobody.
    NoKeys {
        /// The file.
        file: PathBuf,
    },
    /// The keys of heartbeats cannot be used.
    KeyFile {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// Datagrams were dropped.
    Dropped {
        /// How many, and why.
        counters: Box<Counters>,
        /// Within this time.
        within: Duration,
    },
    /// The heartbeat socket cannot be had; there is no start.
    NotBound(String),
    /// A heartbeat socket cannot be had now.
    PathUnbound {
        /// The path.
        path: String,
        /// What the system said.
        error: String,
    },
    /// It can be had again.
    PathBound(String),
    /// Heartbeats do not leave this host.
    NotSent {
        /// The path.
        path: String,
        /// What the system said.
        error: String,
    },
    /// A reload would make another director of this one.
    OtherPart,

    /// The synchronisation daemon runs.
    Synchronising {
        /// `master` or `backup`.
        role: &'static str,
        /// Its device.
        device: String,
    },
    /// It cannot be started or stopped.
    NotSynchronised {
        /// Its device.
        device: String,
        /// What the kernel said.
        error: String,
    },

    // lvsd
    /// It is started with this command line.
    Executing(String),
    /// One was found running.
    LvsdFound(u32),
    /// One was found running, with other arguments.
    LvsdOther(u32),
    /// One was found running a program whose file is another since.
    LvsdOld(u32),
    /// It is ready, or it is not within this time.
    LvsdNotReady(Duration),
    /// It lives and has not been ready for so long.
    LvsdUnready(Duration),
    /// A child ended; the original's two lines.
    ChildEnded {
        /// The process.
        pid: u32,
        /// How.
        exit: Exit,
    },
    /// It is started again.
    StartingAgain {
        /// What is started.
        what: What,
        /// When.
        again_in: Duration,
    },
    /// It is silent.
    Frozen {
        /// What it is.
        what: What,
        /// The process.
        pid: u32,
        /// For how long.
        silent: Duration,
    },
    /// It does not end.
    Stubborn {
        /// What it is.
        what: What,
        /// The process.
        pid: u32,
    },
    /// It cannot be started now.
    NotStarted {
        /// What it is.
        what: What,
        /// The next try.
        again_in: Duration,
    },
    /// A process that nobody started ended.
    UnknownChild(u32),
    /// active_cmd or inactive_cmd was of no use.
    CommandFailed {
        /// Its keyword.
        keyword: &'static str,
        /// How.
        failure: Failure,
    },

    // addresses
    /// One is being added.
    Adding {
        /// The address with its prefix.
        address: String,
        /// The device.
        device: String,
        /// The label, if there is one.
        label: Option<String>,
    },
    /// One is being removed.
    Removing {
        /// The address with its prefix.
        address: String,
        /// The device.
        device: String,
    },
    /// Somebody removed it.
    PutBack {
        /// The virtual IP.
        address: IpAddr,
        /// Its device.
        device: String,
    },
    /// One that is on loan is gone.
    PutBackLent {
        /// The virtual IP.
        address: IpAddr,
        /// Its device.
        device: String,
    },
    /// The kernel does not renew a loan.
    NotLent {
        /// The virtual IP.
        address: IpAddr,
        /// Its device.
        device: String,
        /// Why.
        error: String,
    },
    /// Somebody else says that it has a virtual IP.
    Claimed {
        /// Who, and what.
        report: Report,
        /// Who it probably is.
        suspect: Suspect,
    },
    /// Others' claims cannot be heard.
    NotListening(String),
    /// A witness cannot be asked.
    NotAsked {
        /// The witness.
        witness: IpAddr,
        /// Why.
        error: String,
    },
    /// It went with another that shared its network.
    Collateral {
        /// The address that went.
        address: IpAddr,
        /// The one that was removed.
        with: IpAddr,
    },
    /// It was there before.
    Foreign {
        /// The virtual IP.
        address: IpAddr,
        /// How many there are beside it of which the same is to be said.
        more: usize,
        /// Its device.
        device: String,
    },
    /// Its device does not exist.
    NoDevice {
        /// The virtual IP.
        address: IpAddr,
        /// As above.
        more: usize,
        /// The device.
        device: String,
    },
    /// Its device is down.
    DeviceDown {
        /// The virtual IP.
        address: IpAddr,
        /// As above.
        more: usize,
        /// The device.
        device: String,
    },
    /// It could not be added.
    NotAdded {
        /// The virtual IP.
        address: IpAddr,
        /// Its device.
        device: String,
        /// What the kernel said.
        error: String,
    },
    /// It could not be removed.
    NotRemoved {
        /// The virtual IP.
        address: IpAddr,
        /// Its device.
        device: String,
        /// What the kernel said.
        error: String,
    },
    /// Interfaces and addresses could not be read.
    NotRead(String),
    /// Late packets cannot be served.
    NotLingering(String),
    /// What they were served by could not be removed.
    NotCeased(String),
    /// Addresses are left at a stop.
    LeftBehind(usize),
    /// They were found at the next start.
    LeftOver(usize),
    /// A frame could not be sent.
    NotAnnounced {
        /// The virtual IP.
        address: IpAddr,
        /// Its device.
        device: String,
        /// What the kernel said.
        error: String,
    },
    /// All are announced.
    ArpsFinished,
    /// The same of failover services.
    FosArpsFinished,

    // --test-start
    /// A program would be started.
    WouldExecute(String),
    /// An address would be added and announced.
    WouldAdd {
        /// The address with its prefix.
        address: String,
        /// The device.
        device: String,
        /// The label, if there is one.
        label: Option<String>,
    },
    /// An address would be removed.
    WouldRemove {
        /// The address with its prefix.
        address: String,
        /// The device.
        device: String,
    },

    // signals and the end
    /// TERM or INT.
    Terminating(i32),
    /// USR1, USR2: they killed the original without clean-up.
    SignalIgnored(i32),
    /// Another pulse follows.
    Released,
    /// A pulse was found by a new guardian, with other arguments.
    PulseOther(u32),
    /// A start found a pulse that is not done with its stop.
    WaitingForStop(u32),
    /// pulse's guardian is gone.
    GuardianGone(u32),
}

/// Who a line about a supervised process speaks of, and what its death leaves as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// lvsd, kept by pulse.
    Lvsd,
    /// pulse, kept by its guardian.
    Pulse,
    /// The guardian, kept by pulse.
    Guardian,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Lvsd => "lvsd",
            Self::Pulse => "pulse",
            Self::Guardian => "the guardian of pulse",
        }
    }
}

/// `at once`, or `in 2.5 s`.
struct When(Duration);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { f.write_str("at once") } else { write!(f, "in {:.1} s", self.0.as_secs_f64()) }
    }
}

impl fmt::Display for Message {
    // One arm a line; splitting the table would hide it.
    #[allow(clippy::too_many_lines)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigUnreadable(path) => write!(f, "failed to open {}", path.display()),
            Self::ConfigBad { path, line, text } => {
                write!(f, "error parsing {} at line {line}: {text}", path.display())
            }
            Self::NoServices { path, service } => {
                let service = match service {
                    ServiceKind::Lvs => "lvs",
                    ServiceKind::Fos => "fos",
                };
                write!(f, "no active {service} services defined in {}", path.display())
            }
            Self::OtherService(path) => {
                write!(f, "{}: another service (lvs, fos) takes a restart of pulse", path.display())
            }
            Self::Unable(why) => write!(f, "lvsd says: {why}"),
            Self::CheckFailing { failure, times } => {
                write!(f, "check_cmd {failure} ({times} in a row): this director does not serve if the other one can")
            }
            Self::NotifyFailed(failure) => write!(f, "notify {failure}"),
            Self::Withdrawing(vips) => {
                write!(f, "withdrawing virtual IP {}: lvsd says that no virtual service on it is up", Several(vips))
            }
            Self::Returning(vips) => {
                write!(f, "raising virtual IP {} again: lvsd says that it is served", Several(vips))
            }
            Self::Withheld(vips) => {
                write!(f, "not holding virtual IP {}: lvsd says that no virtual service on it is up", Several(vips))
            }
            Self::NoticesDropped(count) => write!(f, "notify is too slow: {count} events are lost"),
            Self::FifoTrouble { path, error } => {
                write!(f, "notify_fifo {} cannot be written: {error}", path.display())
            }
            Self::CheckMended => f.write_str("check_cmd succeeds again"),
            Self::Able => f.write_str("lvsd says: this director can serve again"),
            Self::NoPrimary(path) => {
                write!(f, "backup_active = 1 in {}, but primary is not set: a pair has two addresses", path.display())
            }
            Self::UndefinedBackup => f.write_str("Undefined backup node marked as active? -- clearing that!"),
            Self::MaskByClass { address, prefix } => write!(
                f,
                "virtual IP {address} has no usable mask, taking /{prefix} by its class; set vip_nmask (or nat_nmask)"
            ),
            Self::Rereading => f.write_str("rereading configuration file"),
            Self::OldStays => f.write_str("the old configuration stays in force"),
            Self::Starting(Role::Master) => f.write_str("STARTING PULSE AS MASTER"),
            Self::Starting(Role::Backup | Role::Stranger) => f.write_str("STARTING PULSE AS BACKUP"),
            Self::BackupInactive => f.write_str("We are backup node and backup is marked inactive -- exiting pulse"),
            Self::Stranger { primary, backup } => {
                f.write_str("this host has neither the address of primary")?;
                primary.map_or(Ok(()), |address| write!(f, " ({address})"))?;
                f.write_str(" nor that of backup")?;
                backup.map_or(Ok(()), |address| write!(f, " ({address})"))
            }
            Self::NotRoot => f.write_str("cannot create ARP socket. running as root?"),
            Self::System { what, error } => write!(f, "cannot {what}: {error}"),
            Self::AlreadyRunning(0) => f.write_str("already running"),
            Self::AlreadyRunning(pid) => write!(f, "already running as process {pid}"),
            Self::PidFile(text) => f.write_str(text),
            Self::NoLvsd { path, error } => write!(f, "cannot start {}: {error}", path.display()),
            Self::NotUp(limit) => write!(f, "pulse did not come up within {} s", limit.as_secs()),
            Self::Realtime(priority) => write!(f, "running with realtime priority {priority}"),
            Self::NoRealtime => f.write_str("running without realtime priority again"),
            Self::RealtimeRefused { priority, error } => {
                write!(f, "cannot run with realtime priority {priority} ({error}): ")?;
                f.write_str("heartbeats are late when the processor is busy")
            }
            Self::MemoryNotLocked(error) => {
                write!(f, "cannot lock memory ({error}): heartbeats are late when it is swapped out")
            }
            Self::Alone => f.write_str("no partner configured: activating lvs"),
            Self::Forced => f.write_str("Forced active on startup: activating lvs"),
            Self::CarryingOn => f.write_str("lvs was active already: carrying on"),
            Self::LedgerUnreadable(error) => {
                write!(f, "cannot read the list of addresses the last pulse added ({error}), ignoring it")
            }
            Self::LedgerUnwritten(error) => {
                write!(f, "cannot write the list of addresses added ({error}): they stay if pulse is killed")
            }
            Self::NoMeetingPlace(error) => {
                write!(f, "cannot open a meeting place ({error}): a new guardian will not find this pulse")
            }
            Self::Pair(line) => line.fmt(f),
            Self::NoKeys { file } => write!(
                f,
                "going on without the keys in {}: no heartbeat is signed, and none that needs a key believed",
                file.display()
            ),
            Self::KeyFile { file, why } => write!(f, "heartbeat_key_file {}: {why}", file.display()),
            Self::Dropped { counters, within } => {
                write!(f, "heartbeats dropped within {} s: ", within.as_secs())?;
                counters.write_dropped(f)
            }
            Self::NotBound(error) => write!(f, "failed to bind to heartbeat address: {error}"),
            Self::PathUnbound { path, error } => {
                write!(f, "{path} heartbeat path: failed to bind to heartbeat address: {error}, trying again")
            }
            Self::PathBound(path) => write!(f, "{path} heartbeat path: bound to its address"),
            Self::NotSent { path, error } => {
                write!(f, "Warning -- failed to send heartbeat ({} if): {error}", path.to_lowercase())
            }
            Self::OtherPart => f.write_str(
                "primary, backup or backup_active now make another director of this host: \
                 that takes a restart of pulse, which lets go of nothing",
            ),
            Self::Synchronising { role, device } => write!(f, "sync daemon: {role} on {device}"),
            Self::NotSynchronised { device, error } => {
                write!(f, "sync daemon: connections are not synchronised over {device} ({error}), trying again")
            }
            Self::Executing(command) => write!(f, "DEBUG -- Executing '{command}'"),
            Self::LvsdFound(pid) => write!(f, "lvsd is running as process {pid}: carrying on with it"),
            Self::LvsdOther(pid) => {
                write!(f, "lvsd (process {pid}) runs with other arguments: replacing it, its services stay")
            }
            Self::LvsdOld(pid) => {
                write!(
                    f,
                    "lvsd (process {pid}) runs a program that was replaced since: replacing it, its services stay"
                )
            }
            Self::LvsdUnready(limit) => write!(
                f,
                "lvsd has not been ready for {} s: this director does not serve if the other one can",
                limit.as_secs()
            ),
            Self::LvsdNotReady(limit) => {
                write!(f, "lvsd is not ready after {} s: raising the virtual IPs without waiting on", limit.as_secs())
            }
            Self::ChildEnded { pid, exit } => write!(f, "Child process {pid} {exit}"),
            Self::StartingAgain { what, again_in } => {
                write!(f, "starting {} again {}, everything stays as it is", what.name(), When(*again_in))
            }
            Self::Frozen { what, pid, silent } => write!(
                f,
                "{} (process {pid}) has been silent for {} s: killing it and starting another",
                what.name(),
                silent.as_secs()
            ),
            Self::Stubborn { what, pid } => write!(f, "{} (process {pid}) does not end: killing it", what.name()),
            Self::NotStarted { what, again_in } => {
                write!(f, "cannot start {}: trying again {}", what.name(), When(*again_in))
            }
            Self::UnknownChild(pid) => write!(f, "Skipping death of unknown child {pid}"),
            Self::CommandFailed { keyword, failure } => write!(f, "{keyword} {failure}"),
            Self::Adding { address, device, label: Some(label) } => {
                write!(f, "DEBUG -- adding {address} to {device} as {label}")
            }
            Self::Adding { address, device, label: None } => write!(f, "DEBUG -- adding {address} to {device}"),
            Self::Removing { address, device } => write!(f, "DEBUG -- removing {address} from {device}"),
            Self::PutBack { address, device } => {
                write!(f, "virtual IP {address} was removed from {device} by somebody else: putting it back")
            }
            Self::PutBackLent { address, device } => write!(
                f,
                "virtual IP {address} was gone from {device}, removed by somebody else or not renewed in time: \
                 putting it back"
            ),
            Self::NotLent { address, device, error } => {
                write!(f, "virtual IP {address} on {device} cannot be renewed ({error}), trying again")
            }
            Self::Claimed { report, suspect } => claimed(f, report, suspect),
            Self::NotListening(error) => {
                write!(f, "cannot hear who else has our virtual IPs ({error})")
            }
            Self::NotAsked { witness, error } => write!(f, "cannot ask witness {witness} ({error})"),
            Self::Collateral { address, with } => {
                write!(f, "the kernel removed {address} together with {with}: putting it back")
            }
            Self::Foreign { address, more: 0, device } => {
                write!(f, "virtual IP {address} was on {device} before: using it, it will not be removed")
            }
            Self::Foreign { address, more, device } => {
                write!(f, "virtual IP {address} and {more} more were on {device} before: ")?;
                f.write_str("using them, they will not be removed")
            }
            Self::NoDevice { address, more: 0, device } => {
                write!(f, "virtual IP {address} is not up: there is no device {device}, waiting for it")
            }
            Self::NoDevice { address, more, device } => {
                write!(f, "virtual IP {address} and {more} more are not up: there is no device {device}, ")?;
                f.write_str("waiting for it")
            }
            Self::DeviceDown { address, more: 0, device } => {
                write!(f, "virtual IP {address} is on {device}, which is down: nobody will reach it there")
            }
            Self::DeviceDown { address, more, device } => {
                write!(f, "virtual IP {address} and {more} more are on {device}, which is down: ")?;
                f.write_str("nobody will reach them there")
            }
            Self::NotAdded { address, device, error } => {
                write!(f, "virtual IP {address} cannot be added to {device} ({error}), trying again")
            }
            Self::NotRemoved { address, device, error } => {
                write!(f, "virtual IP {address} cannot be removed from {device} ({error}), trying again")
            }
            Self::NotRead(error) => write!(f, "cannot read interfaces and addresses ({error}), trying again"),
            Self::NotLingering(error) => {
                write!(f, "cannot serve late packets for the virtual IPs ({error}), they wait for the partner")
            }
            Self::NotCeased(error) => write!(f, "cannot remove the rules and routes for late packets ({error})"),
            Self::LeftBehind(1) => f.write_str("one virtual IP could not be removed and stays"),
            Self::LeftBehind(count) => write!(f, "{count} virtual IPs could not be removed and stay"),
            Self::LeftOver(1) => f.write_str("one virtual IP was left by the last pulse: removing it"),
            Self::LeftOver(count) => write!(f, "{count} virtual IPs were left by the last pulse: removing them"),
            Self::NotAnnounced { address, device, error } => {
                write!(f, "virtual IP {address} cannot be announced on {device} ({error})")
            }
            Self::ArpsFinished => f.write_str("gratuitous lvs arps finished"),
            Self::FosArpsFinished => f.write_str("gratuitous fos arps finished"),
            Self::WouldExecute(command) => write!(f, "would execute '{command}'"),
            Self::WouldAdd { address, device, label: Some(label) } => {
                write!(f, "would add {address} to {device} as {label} and announce it")
            }
            Self::WouldAdd { address, device, label: None } => {
                write!(f, "would add {address} to {device} and announce it")
            }
            Self::WouldRemove { address, device } => write!(f, "would remove {address} from {device}"),
            Self::Terminating(signal) => write!(f, "Terminating due to signal {signal}"),
            Self::SignalIgnored(signal) => write!(f, "signal {signal} means nothing, ignoring"),
            Self::Released => f.write_str("leaving everything as it is to another pulse"),
            Self::PulseOther(pid) => {
                write!(f, "pulse (process {pid}) runs with other arguments: replacing it, everything stays as it is")
            }
            Self::WaitingForStop(pid) => {
                write!(f, "pulse (process {pid}) is still stopping: starting another when it is done")
            }
            Self::GuardianGone(pid) => write!(f, "the guardian of pulse (process {pid}) is gone: starting another"),
        }
    }
}

fn claimed(f: &mut fmt::Formatter<'_>, report: &Report, suspect: &Suspect) -> fmt::Result {
    let Report { mac, vip, others, again } = report;
    write!(f, "virtual IP {vip}")?;
    if *others > 0 {
        write!(f, " and {others} more")?;
    }
    let (are, still) = (if *others > 0 { "are" } else { "is" }, if *again { "still " } else { "" });
    write!(f, " {are} {still}claimed by {} ({suspect}), announcing again", Shown(*mac))
}

/// The first of them, and how many more.
pub(crate) struct Several<'a>(pub(crate) &'a [IpAddr]);

impl fmt::Display for Several<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [one] => write!(f, "{one}"),
            [first, more @ ..] => write!(f, "{first} and {} more", more.len()),
        }
    }
}

impl log::Message for Message {
    fn level(&self) -> Level {
        match self {
            Self::Pair(line) => line.level(),
            Self::ConfigUnreadable(_)
            | Self::ConfigBad { .. }
            | Self::NoServices { .. }
            | Self::OtherService(_)
            | Self::NoPrimary(_)
            | Self::NotBound(_)
            | Self::KeyFile { .. }
            | Self::NoKeys { .. }
            | Self::BackupInactive
            | Self::Stranger { .. }
            | Self::NotRoot
            | Self::System { .. }
            | Self::AlreadyRunning(_)
            | Self::PidFile(_)
            | Self::NoLvsd { .. }
            | Self::NotUp(_)
            | Self::NotAdded { .. }
            | Self::LeftBehind(_) => Level::Error,
            Self::UndefinedBackup
            | Self::Withdrawing(_)
            | Self::Withheld(_)
            | Self::Unable(_)
            | Self::CheckFailing { .. }
            | Self::NotifyFailed(_)
            | Self::NoticesDropped(_)
            | Self::FifoTrouble { .. }
            | Self::MaskByClass { .. }
            | Self::PathUnbound { .. }
            | Self::NotSynchronised { .. }
            | Self::Dropped { .. }
            | Self::NotSent { .. }
            | Self::OtherPart
            | Self::OldStays
            | Self::LedgerUnreadable(_)
            | Self::LedgerUnwritten(_)
            | Self::NoMeetingPlace(_)
            | Self::RealtimeRefused { .. }
            | Self::MemoryNotLocked(_)
            | Self::LvsdOther(_)
            | Self::LvsdOld(_)
            | Self::PulseOther(_)
            | Self::LvsdNotReady(_)
            | Self::LvsdUnready(_)
            | Self::ChildEnded { .. }
            | Self::StartingAgain { .. }
            | Self::Frozen { .. }
            | Self::Stubborn { .. }
            | Self::NotStarted { .. }
            | Self::CommandFailed { .. }
            | Self::PutBack { .. }
            | Self::PutBackLent { .. }
            | Self::NotLent { .. }
            | Self::Claimed { .. }
            | Self::NotListening(_)
            | Self::NotAsked { .. }
            | Self::Collateral { .. }
            | Self::NoDevice { .. }
            | Self::DeviceDown { .. }
            | Self::NotRemoved { .. }
            | Self::LeftOver(_)
            | Self::NotRead(_)
            | Self::NotLingering(_)
            | Self::NotCeased(_)
            | Self::NotAnnounced { .. }
            | Self::GuardianGone(_) => Level::Warning,
            Self::Able
            | Self::Returning(_)
            | Self::CheckMended
            | Self::Starting(_)
            | Self::Alone
            | Self::Forced
            | Self::CarryingOn
            | Self::Terminating(_) => Level::Notice,
            Self::Rereading
            | Self::PathBound(_)
            | Self::Realtime(_)
            | Self::NoRealtime
            | Self::Synchronising { .. }
            | Self::WaitingForStop(_)
            | Self::LvsdFound(_)
            | Self::UnknownChild(_)
            | Self::Foreign { .. }
            | Self::ArpsFinished
            | Self::FosArpsFinished
            | Self::WouldExecute(_)
            | Self::WouldAdd { .. }
            | Self::WouldRemove { .. }
            | Self::SignalIgnored(_)
            | Self::Released => Level::Info,
            Self::Executing(_) | Self::Adding { .. } | Self::Removing { .. } => Level::Debug,
        }
    }
}

#[cfg(test)]
mod tests;
