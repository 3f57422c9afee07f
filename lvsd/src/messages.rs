//! Everything lvsd can say in the log. What the original said keeps its text
//! (piranha.md 6.2), so that twenty years of log searches go on finding it; the
//! severities are ours, the original had none. New lines are in the same voice.
//!
//! `tests/messages/lvsd.txt` shows one sample of each.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::child::Exit;
use common::command::Failure;
use common::ipvs::{DestinationKey, ServiceKey, Timeouts};
use common::log::{Level, Message as Line};

use crate::orders::Order;
use crate::quorum::Rules;
use crate::scripts::RUN_MAX;

/// One line. Names are the blocks' names in the file.
#[allow(missing_docs, reason = "a field is what its name says")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A virtual service is about to be set up; `port` is its virtual port.
    Starting { name: String, port: u16 },
    /// A nanny was started for a real server.
    MonitorCreated { name: String, server: String, pid: u32 },
    /// A virtual service is being taken away: a stop, or it left the file.
    ShuttingDown { name: String },
    /// The kernel refused to add, change or delete the service; a line of
    /// [`Message::Refused`] with the reason follows.
    IpvsFailed { name: String },
    /// The kernel refused the connection timeouts.
    TimeoutsFailed { timeouts: Timeouts },
    /// Why, and what happens next.
    TimeoutsRefused { reason: String },
    /// A nanny died. The first words are the original's, its end was "shutting
    /// down lvs" or "manual action needed!" (piranha.md 3.3).
    NannyDied { name: String, server: String, exit: Exit, why: Option<String>, again_in: Duration },
    /// TERM or INT came.
    SignalStop { signal: i32 },
    /// HUP came.
    Rereading,
    /// USR1 or USR2 came: what they are to a nanny they are not to lvsd.
    SignalIgnored { signal: i32 },
    /// The file cannot be read.
    CannotOpen { file: String },
    /// The file is wrong; the lines of [`Message::Diagnostic`] say how.
    ParseError { file: String, line: u32 },
    /// One diagnostic, as `file:line:column: severity: message`.
    Diagnostic(String),
    /// The resolver did not answer for these host names, which had addresses before;
    /// the first few of them.
    NamesStale { names: String, count: usize },
    /// No real server of the virtual service is left.
    SorryIn { name: String, address: IpAddr },
    /// Failed real servers stay in use, because no more are good than must be in use.
    FloorHolds { name: String, available: usize, kept: usize, min_up: u32 },
    /// None does any more.
    FloorOver { name: String, available: usize },
    /// The operator wants something of a real server.
    Ordered { name: String, server: String, order: Option<Order>, weight: u32 },
    /// Fewer good real servers than the quorum.
    QuorumLost { name: String, available: usize, rules: Rules },
    /// Enough again.
    QuorumGained { name: String, available: usize, rules: Rules },
    /// Every virtual on it is down, and one asks for this.
    VipWithdrawn { vip: IpAddr },
    /// One of them is up again, or new.
    VipReturns { vip: IpAddr, name: Option<String> },
    /// None asks for it any more.
    VipSpared { vip: IpAddr },
    /// pulse did not take so many of the last events.
    NewsLost { lost: u64 },
    /// quorum_up or quorum_down is run.
    ScriptBegins { name: String, command: String, pid: u32 },
    /// It cannot be run.
    ScriptNotRun { name: String, command: String, reason: String },
    /// It ended badly.
    ScriptFailed { name: String, command: String, exit: Exit },
    /// It ran too long.
    ScriptKilled { name: String, command: String },
    /// Real servers are back.
    SorryOut { name: String, available: usize, address: IpAddr },

    /// Why the kernel refused, and what happens next.
    Refused { name: String, reason: String, again_in: Duration },
    /// A refused service was taken at a later try.
    SetUpAfterAll { name: String },
    /// A service that ran was gone from the kernel.
    ServicePutBack { name: String },
    /// A service in the kernel was not as configured; `what` names each
    /// difference as `scheduler rr -> wlc`.
    ServiceChanged { name: String, what: String },
    /// A destination of ours that nobody configured was removed.
    ForeignRemoved { name: String, destination: DestinationKey },
    /// A destination could not be added or removed.
    DestinationFailed { name: String, destination: DestinationKey, reason: String },
    /// A real server that left the file keeps its connections for a while.
    DrainBegins { name: String, server: String, destination: DestinationKey, connections: u32, limit: Duration },
    /// It has none any more, or the time is over.
    DrainEnds { name: String, server: String, destination: DestinationKey, connections: u32, limit: Duration },
    /// Somebody else removed it.
    DrainGone { name: String, server: String, destination: DestinationKey },
    /// The file wants it again.
    DrainReturns { name: String, server: String, destination: DestinationKey },
    /// A real server that left the file is removed, after its successors stand.
    Left { name: String, server: String, destination: DestinationKey },
    /// One that left the file stays: what is to take its place is bad.
    LeaverKept { name: String, server: String, destination: DestinationKey },
    /// The connection timeouts were set.
    TimeoutsSet { timeouts: Timeouts },
    /// What a dead lvsd left was found at work.
    Adopted { services: usize, monitors: usize },
    /// Nannies that the file does not want any more were found at work.
    StoppingStrays { monitors: usize },
    /// Nannies run a program that an upgrade replaced.
    Renewing { monitors: usize, at_once: usize },
    /// All of them run the new one.
    Renewed { monitors: usize },
    /// The outcome of a reload.
    Reread { started: usize, replaced: usize, stopped: usize, unchanged: usize },

    /// The server's port and the kernel's differ.
    ProbeElsewhere { name: String, server: String, kernel_port: u16, probe_port: u16 },
    /// A server that is the same destination as one before it.
    SameDestination { name: String, server: String, destination: DestinationKey },
    /// A virtual that is the same service to the kernel as one before it.
    SameService { name: String, first: String, service: ServiceKey },
    /// A virtual or server that lacks what it cannot be without.
    Incomplete { name: String, what: &'static str },

    /// A failover service is being started.
    FailoverStarting { at: SocketAddr },
    /// A failover service is being stopped.
    FailoverStopping { at: SocketAddr },
    /// Its nanny was started.
    FailoverWatched { at: SocketAddr, pid: u32 },
    /// It runs.
    FailoverServes { name: String, at: SocketAddr },
    /// start_cmd failed; the line that says why follows.
    FailoverNotStarted { at: SocketAddr },
    /// It fails its checks; the line that says what is done follows.
    FailoverDied { name: String, at: SocketAddr },
    /// It is started again.
    FailoverAgain { name: String, why: String, time: u32, of: u32 },
    /// It is given up here.
    FailoverGivenUp { name: String, why: String },
    /// stop_cmd was of no use.
    FailoverNotStopped { name: String, failure: Failure },
    /// One that a dead lvsd started was found.
    FailoverAdopted { name: String, at: SocketAddr },
    /// A command of a service, of an lvsd before us, runs still.
    FailoverUnderWay { name: String, command: &'static str, left: Duration },
    /// One that is watched where another is.
    SameFailover { name: String, first: String, at: SocketAddr },
    /// Its nanny died.
    FailoverUnwatched { at: SocketAddr, exit: Exit, why: Option<String>, again_in: Duration },
    /// A stop ended although these services did not.
    FailoverLeftBehind { services: usize },

    /// A nanny was silent too long.
    NannyFrozen { name: String, server: String, pid: u32, silent: Duration },
    /// A nanny did not end when asked.
    NannyStubborn { name: String, server: String, pid: u32 },
    /// A nanny could not be started.
    NannyNotStarted { name: String, server: String, reason: String, again_in: Duration },
    /// The same trouble for yet another nanny.
    NannyNotStartedEither { name: String, server: String },
    /// A stop ended although these did not.
    LeftBehind { monitors: usize },

    /// The kernel's table cannot be read.
    TableUnreadable { reason: String },
    /// It can again.
    TableReadable,
    /// State cannot be kept; what that means is in the line.
    NoState { reason: String },
    /// It can be kept again.
    StateKept,
    /// The ledger has lines that are none.
    LedgerDamaged { lines: usize },
    /// This process was itself asleep, or kept from its loop.
    Slept { slept: Duration },
    /// Another lvsd takes over.
    Released,
}

/// How many host names a line has.
const NAMES_MAX: usize = 5;

impl Message {
    /// The line about names without an answer, if there are some.
    pub fn stale(names: Vec<String>) -> Option<Self> {
        let count = names.len();
        let mut first: Vec<String> = names.into_iter().take(NAMES_MAX).collect();
        if count > NAMES_MAX {
            first.push("...".to_owned());
        }
        (count > 0).then(|| Self::NamesStale { names: first.join(", "), count })
    }
}

/// Whole seconds, or with as many decimals as milliseconds need.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match millis {
            0 => write!(f, "{whole} s"),
            m if m % 100 == 0 => write!(f, "{whole}.{} s", m / 100),
            m => write!(f, "{whole}.{m:03} s"),
        }
    }
}

/// The original's `T F U`.
struct Triple<'a>(&'a Timeouts);

impl fmt::Display for Triple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.0.tcp.as_secs(), self.0.tcp_fin.as_secs(), self.0.udp.as_secs())
    }
}

impl Line for Message {
    fn level(&self) -> Level {
        match self {
            Self::IpvsFailed { .. }
            | Self::Refused { .. }
            | Self::TimeoutsFailed { .. }
            | Self::TimeoutsRefused { .. }
            | Self::CannotOpen { .. }
            | Self::ParseError { .. }
            | Self::Diagnostic(_)
            | Self::SameService { .. }
            | Self::SameFailover { .. }
            | Self::FailoverNotStarted { .. }
            | Self::FailoverGivenUp { .. }
            | Self::Incomplete { .. }
            | Self::TableUnreadable { .. } => Level::Error,
            Self::NannyDied { .. }
            | Self::FailoverDied { .. }
            | Self::FailoverAgain { .. }
            | Self::FailoverNotStopped { .. }
            | Self::FailoverUnwatched { .. }
            | Self::FailoverLeftBehind { .. }
            | Self::FloorHolds { .. }
            | Self::QuorumLost { .. }
            | Self::VipWithdrawn { .. }
            | Self::NewsLost { .. }
            | Self::ScriptNotRun { .. }
            | Self::ScriptFailed { .. }
            | Self::ScriptKilled { .. }
            | Self::NannyFrozen { .. }
            | Self::NannyStubborn { .. }
            | Self::NannyNotStarted { .. }
            | Self::ServicePutBack { .. }
            | Self::ForeignRemoved { .. }
            | Self::DestinationFailed { .. }
            | Self::ProbeElsewhere { .. }
            | Self::SameDestination { .. }
            | Self::LeftBehind { .. }
            | Self::NamesStale { .. }
            | Self::LeaverKept { .. }
            | Self::NoState { .. }
            | Self::LedgerDamaged { .. } => Level::Warning,
            Self::FailoverServes { .. }
            | Self::FailoverAdopted { .. }
            | Self::FailoverUnderWay { .. }
            | Self::SorryIn { .. }
            | Self::SorryOut { .. }
            | Self::FloorOver { .. }
            | Self::QuorumGained { .. }
            | Self::VipReturns { .. }
            | Self::VipSpared { .. }
            | Self::Ordered { .. }
            | Self::DrainBegins { .. }
            | Self::DrainEnds { .. }
            | Self::DrainGone { .. }
            | Self::DrainReturns { .. }
            | Self::Left { .. }
            | Self::SetUpAfterAll { .. }
            | Self::StateKept
            | Self::ServiceChanged { .. }
            | Self::TableReadable
            | Self::Slept { .. }
            | Self::Released => Level::Notice,
            Self::Starting { .. }
            | Self::FailoverStarting { .. }
            | Self::FailoverStopping { .. }
            | Self::FailoverWatched { .. }
            | Self::ScriptBegins { .. }
            | Self::MonitorCreated { .. }
            | Self::ShuttingDown { .. }
            | Self::SignalStop { .. }
            | Self::Rereading
            | Self::SignalIgnored { .. }
            | Self::TimeoutsSet { .. }
            | Self::Adopted { .. }
            | Self::StoppingStrays { .. }
            | Self::Renewing { .. }
            | Self::Renewed { .. }
            | Self::Reread { .. } => Level::Info,
            Self::NannyNotStartedEither { .. } => Level::Debug,
        }
    }
}

/// One arm per line an operator can read, so that this is the place to look.
#[expect(clippy::too_many_lines, reason = "a list of lines, not a course of action")]
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { name, port } => write!(f, "starting virtual service {name} active: {port}"),
            Self::MonitorCreated { name, server, pid } => {
                write!(f, "create_monitor for {name}/{server} running as pid {pid}")
            }
            Self::ShuttingDown { name } => write!(f, "shutting down virtual service {name}"),
            Self::IpvsFailed { name } => write!(f, "ipvsadm failed for virtual server {name}!"),
            Self::TimeoutsFailed { timeouts } => write!(f, "ipvsadm failed to set timeouts ({})", Triple(timeouts)),
            Self::TimeoutsRefused { reason } => write!(f, "timeouts: {reason}, trying again"),
            Self::NannyDied { name, server, exit, why, again_in } => {
                write!(f, "nanny for child {name}/{server} died! ({exit}{}) ", Because(why.as_deref()))?;
                write!(f, "starting another{}{}", Again(*again_in), Stays(*exit))
            }
            Self::SignalStop { signal } => write!(f, "shutting down due to signal {signal}"),
            Self::Rereading => f.write_str("rereading configuration file"),
            Self::SignalIgnored { signal } => write!(f, "signal {signal} means nothing, ignoring"),
            Self::CannotOpen { file } => write!(f, "lvs: failed to open {file}"),
            Self::ParseError { file, line } => write!(f, "lvs: error parsing {file} on line {line}."),
            Self::Diagnostic(text) => f.write_str(text),
            Self::NamesStale { names, count } => {
                write!(f, "no answer for {names}, going on with the addresses known before ({count} host names)")
            }
            Self::SorryIn { name, address } => {
                write!(f, "Virtual Server {name}: No real servers; activate sorry_server {address}")
            }
            Self::SorryOut { name, available, address } => {
                write!(f, "Virtual Server {name}: {available} real servers; deactivate sorry_server {address}")
            }

            Self::FloorHolds { name, available, kept, min_up } => {
                write!(f, "Virtual Server {name}: {available} real servers are well and min_up is {min_up}; ")?;
                write!(f, "keeping {kept} in use although checks fail")
            }
            Self::FloorOver { name, available } => {
                write!(f, "Virtual Server {name}: {available} real servers are well; none that fails is kept in use")
            }

            Self::Ordered { name, server, order: None, weight } => {
                write!(f, "{name}/{server}: as the file has it again, weight {weight}, on the operator's order")
            }
            Self::Ordered { name, server, order: Some(Order::Disabled), .. } => {
                write!(f, "{name}/{server}: disabled on the operator's order")
            }
            Self::Ordered { name, server, order: Some(Order::Weight(weight)), .. } => {
                write!(f, "{name}/{server}: weight {weight} on the operator's order")
            }
            Self::QuorumLost { name, available, rules } => {
                write!(f, "Virtual Server {name}: {available} real servers are well, quorum {} is lost", rules.quorum)
            }
            Self::QuorumGained { name, available, rules } => {
                write!(f, "Virtual Server {name}: {available} real servers are well, quorum {} is there", rules.quorum)
            }
            Self::VipWithdrawn { vip } => {
                write!(f, "virtual IP {vip}: no virtual service on it is up, pulse is to withdraw it")
            }
            Self::VipReturns { vip, name: Some(name) } => {
                write!(f, "virtual IP {vip}: virtual service {name} is up, pulse may hold it again")
            }
            Self::VipReturns { vip, name: None } => {
                write!(f, "virtual IP {vip}: another virtual service is on it, pulse may hold it again")
            }
            Self::VipSpared { vip } => {
                write!(
                    f,
                    "virtual IP {vip}: no virtual service on it has vip_withdraw any more, pulse may hold it again"
                )
            }
            Self::NewsLost { lost } => write!(f, "pulse did not take {lost} events for notify, they are lost"),
            Self::ScriptBegins { name, command, pid } => {
                write!(f, "Virtual Server {name}: running \"{command}\" as pid {pid}")
            }
            Self::ScriptNotRun { name, command, reason } => {
                write!(f, "Virtual Server {name}: failed to run \"{command}\": {reason}")
            }
            Self::ScriptFailed { name, command, exit } => {
                write!(f, "Virtual Server {name}: \"{command}\" failed: {exit}")
            }
            Self::ScriptKilled { name, command } => {
                write!(f, "Virtual Server {name}: \"{command}\" did not end within {}, killed", Seconds(RUN_MAX))
            }

            Self::Refused { name, reason, again_in } => {
                write!(f, "virtual service {name}: {reason}, trying again every {}", Seconds(*again_in))
            }
            Self::SetUpAfterAll { name } => write!(f, "virtual service {name} is set up after all"),
            Self::ServicePutBack { name } => {
                write!(f, "virtual service {name} was gone from the kernel, putting it back")
            }
            Self::ServiceChanged { name, what } => write!(f, "changing virtual service {name}: {what}"),
            Self::ForeignRemoved { name, destination } => {
                write!(f, "removing {destination} from virtual service {name}, it is not configured")
            }
            Self::DestinationFailed { name, destination, reason } => {
                write!(f, "destination {destination} of virtual service {name}: {reason}, trying again")
            }
            Self::DrainBegins { name, server, destination, connections, limit } => {
                write!(f, "draining {name}/{server} ({destination}): {connections} connections, ")?;
                write!(f, "{} at most", Seconds(*limit))
            }
            Self::DrainEnds { name, server, destination, connections: 0, .. } => {
                write!(f, "{name}/{server} ({destination}) is drained, removing it")
            }
            Self::DrainEnds { name, server, destination, connections, limit } => {
                write!(f, "{name}/{server} ({destination}) still has {connections} connections after ")?;
                write!(f, "{}, removing it", Seconds(*limit))
            }
            Self::DrainGone { name, server, destination } => {
                write!(f, "{name}/{server} ({destination}) was draining and is gone from the kernel")
            }
            Self::DrainReturns { name, server, destination } => {
                write!(f, "{name}/{server} ({destination}) was draining and is wanted again, giving its weight back")
            }
            Self::Left { name, server, destination } => {
                write!(f, "{name}/{server} ({destination}) is not configured any more, removing it")
            }
            Self::LeaverKept { name, server, destination } => {
                let what = format!("{name}/{server} ({destination}) is not configured any more");
                write!(f, "{what}, keeping it: none of those in its place is well")
            }
            Self::TimeoutsSet { timeouts } => write!(f, "setting timeouts ({})", Triple(timeouts)),
            Self::Adopted { services, monitors } => {
                write!(f, "found {services} virtual services and {monitors} monitors at work, going on with them")
            }
            Self::StoppingStrays { monitors } => {
                write!(f, "stopping {monitors} monitors that are not configured any more")
            }
            Self::Renewing { monitors, at_once } => {
                write!(f, "{monitors} monitors run a program that was replaced since: replacing them, ")?;
                write!(f, "{at_once} at a time, their destinations stay")
            }
            Self::Renewed { monitors } => write!(f, "{monitors} monitors were replaced and run the new program"),
            Self::Reread { started, replaced, stopped, unchanged } => {
                write!(f, "configuration file reread: monitors {started} started, {replaced} replaced, ")?;
                write!(f, "{stopped} stopped, {unchanged} unchanged")
            }

            Self::ProbeElsewhere { name, server, kernel_port, probe_port } => {
                write!(f, "{name}/{server}: only NAT rewrites ports, so the ")?;
                write!(f, "kernel port is {kernel_port}, the probe goes to {probe_port}")
            }
            Self::SameDestination { name, server, destination } => {
                write!(f, "{name}/{server}: {destination} is a real server of {name} already, ignoring")
            }
            Self::SameService { name, first, service } => {
                write!(f, "virtual service {name}: {service} is virtual service {first} already, ignoring")
            }
            Self::Incomplete { name, what } => write!(f, "{name}: {what}, ignoring"),

            Self::FailoverStarting { at } => write!(f, "Starting local service {at} ..."),
            Self::FailoverStopping { at } => write!(f, "Shutting down local service {at}"),
            Self::FailoverWatched { at, pid } => write!(f, "Starting monitor for {at} running as pid {pid}"),
            Self::FailoverServes { name, at } => write!(f, "failover service {name} {at} runs"),
            Self::FailoverNotStarted { at } => write!(f, "Failed to start service {at}!"),
            Self::FailoverDied { name, at } => {
                write!(f, "Service {name} {at} died. This is a restart condition!")
            }
            Self::FailoverAgain { name, why, time, of } => {
                write!(f, "failover service {name}: {why}, starting it again ({time} of {of})")
            }
            Self::FailoverGivenUp { name, why } => {
                write!(f, "failover service {name} cannot run here: {why}. This is a failover condition!")
            }
            Self::FailoverNotStopped { name, failure } => {
                write!(f, "failover service {name}: stop_cmd {failure}, it may run on")
            }
            Self::FailoverAdopted { name, at } => write!(f, "found failover service {name} {at} started, watching it"),
            Self::FailoverUnderWay { name, command, left } => {
                let left = left.as_millis();
                write!(f, "found {command} of failover service {name} running, it has {left}ms left")
            }
            Self::SameFailover { name, first, at } => {
                write!(f, "failover service {name}: {at} is failover service {first} already, ignoring")
            }
            Self::FailoverUnwatched { at, exit, why, again_in } => {
                write!(f, "Monitor for service {at} died! ({exit}{}) ", Because(why.as_deref()))?;
                write!(f, "starting another{}, the service stays", Again(*again_in))
            }
            Self::FailoverLeftBehind { services } => {
                write!(f, "{services} failover services did not end, leaving them behind")
            }

            Self::NannyFrozen { name, server, pid, silent } => {
                write!(f, "nanny for child {name}/{server} (pid {pid}) said nothing for {}, ", Seconds(*silent))?;
                f.write_str("killing it and starting another, its destination stays")
            }
            Self::NannyStubborn { name, server, pid } => {
                write!(f, "nanny for child {name}/{server} (pid {pid}) did not end when asked, killing it")
            }
            Self::NannyNotStarted { name, server, reason, again_in } => {
                write!(f, "nanny for child {name}/{server} cannot be started: {reason}, ")?;
                write!(f, "trying again{}", Again(*again_in))
            }
            Self::NannyNotStartedEither { name, server } => {
                write!(f, "nanny for child {name}/{server} cannot be started either")
            }
            Self::LeftBehind { monitors } => write!(f, "{monitors} monitors did not end, leaving them behind"),

            Self::TableUnreadable { reason } => write!(f, "cannot read the IPVS table: {reason}, trying again"),
            Self::TableReadable => f.write_str("the IPVS table can be read again"),
            Self::NoState { reason } => {
                write!(f, "cannot keep state: {reason}; another lvsd would not find what this one made, going on")
            }
            Self::StateKept => f.write_str("state can be kept again"),
            Self::LedgerDamaged { lines } => write!(f, "{lines} lines of the ledger cannot be read, ignoring them"),
            Self::Slept { slept } => {
                write!(f, "was away for {}, judging no monitor by that time", Seconds(*slept))
            }
            Self::Released => f.write_str("making room for another lvsd, everything stays in place"),
        }
    }
}

/// `: WHY`, or nothing.
struct Because<'a>(Option<&'a str>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

/// An end in order takes the destination away, any other leaves it.
struct Stays(Exit);

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Exit::Status(0) => Ok(()),
            Exit::Status(_) | Exit::Signal(_) | Exit::Unknown => f.write_str(", its destination stays"),
        }
    }
}

/// ` at once` or ` in 3 s`.
struct Again(Duration);

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { f.write_str(" at once") } else { write!(f, " in {}", Seconds(self.0)) }
    }
}

#[cfg(test)]
mod tests;
