//! Everything nanny can say. The texts of piranha.md 6.3 stand here verbatim,
//! since operators search for them; new ones speak in the same voice. One line per
//! change of state: what goes on failing in the same way is said once.
//!
//! A server (`real`) is named as the original named it, with the port where checks
//! go; what the kernel holds by its own key, which operators compare with ipvsadm's.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use common::check::CheckKind;
use common::ipvs::{self, Destination, DestinationKey, ForwardingMethod};
use common::log::{self, Level};

use crate::probe::Outcome;
use crate::probe::program::Command;

/// A line of the log.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the words of the line
pub enum Message<'a> {
    /// Start.
    Starting { service: &'a str, real: SocketAddr },
    /// One destination of several: what is said, and in which service.
    Among { service: &'a str, line: &'a Message<'a> },
    /// lvsd wants a destination watched here no more.
    Stopping { service: &'a str, real: SocketAddr },
    /// lvsd told more destinations than one nanny keeps.
    TooMany { service: &'a str, real: SocketAddr },
    /// Start of the watch over a failover service.
    Watching { service: &'a str },
    /// A failover service answers.
    ServiceWell { real: SocketAddr },
    /// It does not any more.
    ServiceLost { real: SocketAddr },
    /// It does not yet.
    ServiceAbsent { real: SocketAddr },
    /// No check was asked for on port 80.
    AssumingWeb,
    /// A program makes the check; a send string is ignored.
    ProgramRequested { program: &'a [u8], send: Option<&'a [u8]> },
    /// `--interval 0`.
    IntervalZero,
    /// The load monitor could not be run, failed, took too long or said too much.
    LoadUnread { command: &'a str },
    /// What the load monitor printed holds no load.
    BadLoad { text: &'a [u8] },
    /// The load of the last minute.
    Loadavg { address: IpAddr, load: f64 },
    /// What follows from it.
    NewWeight { weight: u32, last: u32, load: f64 },
    /// The kernel holds the destination already.
    Adopted { real: SocketAddr, weight: u32 },
    /// The kernel holds it with weight 0, as quiesced.
    AdoptedQuiesced { real: SocketAddr },
    /// In use from now on.
    Active { real: SocketAddr },
    /// Out of use from now on.
    Inactive { real: SocketAddr },
    /// Out of use since it was asked for by a signal.
    ForcedOut { real: SocketAddr },
    /// Its first check failed.
    LeftOut { real: SocketAddr },
    /// Failed, and kept in use: among the last of its service.
    Held { real: SocketAddr },
    /// Fell too soon after its return.
    Dampened { real: SocketAddr, checks: u32 },
    /// Why a check failed; which, if there are several.
    Trouble { check: Option<CheckKind>, real: SocketAddr, outcome: &'a Outcome },
    /// A certificate is valid for so long and no longer.
    CertificateEnds { real: SocketAddr, left: Duration },
    /// A check cannot be made as it was asked for.
    CannotCheck { why: &'a str },
    /// SIGUSR1.
    OpaqueOn,
    /// SIGUSR2.
    RoseOn,
    /// SIGHUP.
    GlassesOff,
    /// The weight in the kernel changes with what is configured.
    AdjustingWeight { real: SocketAddr, weight: u32 },
    /// The virtual service is not in the kernel.
    ServiceMissing { service: &'a str },
    /// It is, again.
    ServiceBack { service: &'a str },
    /// The destination was deleted by a stranger.
    PutBack { destination: DestinationKey, service: &'a str },
    /// The destination was changed by a stranger.
    SetRight { had: &'a Destination, gets: &'a Destination },
    /// The destination was added by a stranger while the server is out of use.
    TakenOut { destination: DestinationKey, service: &'a str },
    /// The kernel's table cannot be read or changed.
    TableTrouble { error: &'a ipvs::Error },
    /// It can, again.
    TableWell,
    /// Started by hand without the right to change the table.
    NoRight { error: &'a ipvs::Error },
    /// The destination could not be removed at the end.
    NotRemoved { destination: DestinationKey, error: &'a ipvs::Error },
    /// The process itself did not run.
    Slept { late: Duration, real: SocketAddr },
    /// Another nanny serves this destination.
    PlaceTaken { real: SocketAddr, service: &'a str },
    /// The lvsd that started this process was gone before it could be found.
    Orphaned { real: SocketAddr, service: &'a str },
    /// There is no place where a new lvsd could find this process.
    NoPlace { path: &'a Path, error: &'a std::io::Error },
    /// lvsd, or whoever else held a line, is gone.
    LineEnded,
    /// A new lvsd found this process.
    LineJoined { pid: i32 },
    /// Asked to end and leave the destination.
    Released { real: SocketAddr },
    /// TERM or INT.
    Terminating { signal: i32 },
    /// A program is killed at the end.
    KillingChild { pid: i32 },
    /// The system refused what nanny cannot do without.
    Fatal { doing: &'a str, error: &'a std::io::Error },
    /// The idle connection ended.
    WatchEnded { real: SocketAddr },
    /// A check begins, over a socket.
    Opening { protocol: &'static str, port: u16 },
    /// Something is sent.
    Sending { text: &'a [u8] },
    /// Something was received.
    Received { text: &'a [u8] },
    /// A check begins, by a program.
    Invoking { program: &'a Command },
    /// What the program printed.
    ProgramResult { text: &'a [u8], real: SocketAddr },
    /// Where the judgement stands after a check.
    Judged { good: bool, active: bool, count: u32 },
}

impl log::Message for Message<'_> {
    fn level(&self) -> Level {
        match self {
            Self::Among { line, .. } => line.level(),
            Self::PlaceTaken { .. }
            | Self::TooMany { .. }
            | Self::NoRight { .. }
            | Self::NotRemoved { .. }
            | Self::CannotCheck { .. }
            | Self::Fatal { .. } => Level::Error,
            Self::IntervalZero
            | Self::LoadUnread { .. }
            | Self::BadLoad { .. }
            | Self::CertificateEnds { .. }
            | Self::Trouble { .. }
            | Self::Held { .. }
            | Self::ServiceMissing { .. }
            | Self::PutBack { .. }
            | Self::SetRight { .. }
            | Self::TakenOut { .. }
            | Self::TableTrouble { .. }
            | Self::Slept { .. }
            | Self::NoPlace { .. } => Level::Warning,
            Self::ServiceWell { .. }
            | Self::ServiceLost { .. }
            | Self::ServiceAbsent { .. }
            | Self::Active { .. }
            | Self::Inactive { .. }
            | Self::ForcedOut { .. }
            | Self::LeftOut { .. }
            | Self::Dampened { .. }
            | Self::OpaqueOn
            | Self::RoseOn
            | Self::GlassesOff
            | Self::ServiceBack { .. }
            | Self::TableWell => Level::Notice,
            Self::Starting { .. }
            | Self::Stopping { .. }
            | Self::Watching { .. }
            | Self::AssumingWeb
            | Self::ProgramRequested { .. }
            | Self::AdjustingWeight { .. }
            | Self::Terminating { .. }
            | Self::Orphaned { .. }
            | Self::KillingChild { .. } => Level::Info,
            // One for each of ten thousand nannies at a restart of lvsd.
            Self::Adopted { .. }
            | Self::AdoptedQuiesced { .. }
            | Self::LineEnded
            | Self::LineJoined { .. }
            | Self::Released { .. }
            | Self::Loadavg { .. }
            | Self::NewWeight { .. }
            | Self::WatchEnded { .. }
            | Self::Opening { .. }
            | Self::Sending { .. }
            | Self::Received { .. }
            | Self::Invoking { .. }
            | Self::ProgramResult { .. }
            | Self::Judged { .. } => Level::Debug,
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { service, real } => write!(f, "starting LVS client monitor for {service} -> {real}"),
            Self::Among { service, line } => write!(f, "{line} ({service})"),
            Self::Stopping { service, real } => write!(f, "stopping LVS client monitor for {service} -> {real}"),
            Self::TooMany { service, real } => {
                write!(f, "not watching {real} for {service}: this nanny has as many services as it can")
            }
            Self::Watching { service } => write!(f, "Failover service monitor for {service} started"),
            Self::ServiceWell { real } => write!(f, "failover service {real} is available"),
            Self::ServiceLost { real } => write!(f, "failover service {real} is not available any more"),
            Self::ServiceAbsent { real } => write!(f, "failover service {real} is not available yet"),
            Self::AssumingWeb => f.write_str("nanny: no monitor configured, assuming web service on port 80"),
            Self::ProgramRequested { program, send } => write!(
                f,
                "External program use requested: ({}), IGNORING send string option ({})",
                text(program),
                text(send.unwrap_or(b"(null)"))
            ),
            Self::IntervalZero => f.write_str("an interval of 0 cannot be, checking every second"),
            Self::LoadUnread { command } => write!(f, "failed to read remote load by \"{command}\""),
            Self::BadLoad { text: said } => write!(f, "bad load average returned: {}", text(said)),
            Self::Loadavg { address, load } => write!(f, "Loadavg of {address} is {load:.6}"),
            Self::NewWeight { weight, last, load } => {
                write!(f, "Computing new weight {weight} based on last weight {last} and load {load:.6}")
            }
            Self::Adopted { real, weight } => write!(f, "found {real} in use with weight {weight}, carrying on"),
            Self::AdoptedQuiesced { real } => write!(f, "found {real} quiesced, carrying on"),
            Self::Active { real } => write!(f, "[ active ] making {real} available"),
            Self::Inactive { real } => write!(f, "[inactive] shutting down {real} due to connection failure"),
            Self::ForcedOut { real } => write!(f, "[inactive] shutting down {real} on request"),
            Self::LeftOut { real } => write!(f, "[inactive] leaving out {real} until it answers as expected"),
            Self::Held { real } => {
                write!(f, "[ failed ] keeping {real} in use although its checks fail, it is among the last")
            }
            Self::Dampened { real, checks } => {
                write!(f, "{real} fell again soon after its return, it returns after {checks} good checks now")
            }
            Self::Trouble { check: None, real, outcome } => outcome.about(*real).fmt(f),
            Self::Trouble { check: Some(check), real, outcome } => write!(f, "check {check}: {}", outcome.about(*real)),
            Self::CertificateEnds { real, left } => write!(f, "the certificate of {real} {}", ending(*left)),
            Self::CannotCheck { why } => f.write_str(why),
            Self::OpaqueOn => f.write_str("opaque glasses on"),
            Self::RoseOn => f.write_str("rose-colored glasses on"),
            Self::GlassesOff => f.write_str("DEBUG -- removing glasses"),
            Self::AdjustingWeight { real, weight } => write!(f, "Adjusting weight of {real} to {weight}"),
            Self::ServiceMissing { service } => {
                write!(f, "the kernel has no virtual service {service}, waiting for it")
            }
            Self::ServiceBack { service } => write!(f, "the kernel has the virtual service {service} now"),
            Self::PutBack { destination, service } => {
                write!(f, "somebody else deleted {destination} from {service}, putting it back")
            }
            Self::SetRight { had, gets } => {
                write!(
                    f,
                    "somebody else changed {} to {}; setting it back to {}",
                    had.key,
                    Settings(had),
                    Settings(gets)
                )
            }
            Self::TakenOut { destination, service } => {
                write!(f, "somebody else added {destination} to {service} although it is down, removing it")
            }
            Self::TableTrouble { error } => write!(f, "IPVS: {error}; trying again"),
            Self::TableWell => f.write_str("IPVS: well again"),
            Self::NoRight { error } => write!(f, "IPVS: {error}; exiting"),
            Self::NotRemoved { destination, error } => write!(f, "failed to remove {destination}: {error}"),
            Self::Slept { late, real } => {
                write!(f, "this process did not run for {:.1}s, checking {real} anew", late.as_secs_f64())
            }
            Self::PlaceTaken { real, service } => {
                write!(f, "another nanny monitors {real} for {service} already, exiting")
            }
            Self::Orphaned { real, service } => {
                write!(f, "lvsd ended before it could know of this monitor of {real} for {service}, exiting")
            }
            Self::NoPlace { path, error } => {
                write!(f, "failed to open {}: {error}; a new lvsd will not find this nanny", path.display())
            }
            Self::LineEnded => f.write_str("DEBUG -- a line ended, carrying on"),
            Self::LineJoined { pid } => write!(f, "DEBUG -- joined by process {pid}"),
            Self::Released { real } => write!(f, "DEBUG -- released, leaving {real} as it is"),
            Self::Terminating { signal } => write!(f, "Terminating due to signal {signal}"),
            Self::KillingChild { pid } => write!(f, "Killing child {pid}"),
            Self::Fatal { doing, error } => write!(f, "failed to {doing}: {error}"),
            Self::WatchEnded { real } => write!(f, "DEBUG -- {real} ended the idle connection, checking it now"),
            Self::Opening { protocol, port } => {
                write!(f, "Opening {protocol} socket to remote service port {port}...")
            }
            Self::Sending { text: sent } => write!(f, "Sending len={}, text=\"{}\"", sent.len(), text(sent)),
            Self::Received { text: got } => write!(f, "READ got len={}, text={}", got.len(), text(got)),
            Self::Invoking { program } => write!(f, "Invoking:  {}", program.line()),
            Self::ProgramResult { text: got, real } => {
                write!(f, "Got result ({}) from command sent to ({real})", text(got))
            }
            Self::Judged { good, active, count } => {
                write!(f, "avail: {} active: {}: count: {count}", u8::from(*good), u8::from(*active))
            }
        }
    }
}

/// When a certificate that is valid for so long ends.
fn ending(left: Duration) -> String {
    match left.as_secs() / 86_400 {
        _ if left.is_zero() => "has expired".to_owned(),
        0 => "expires within a day".to_owned(),
        1 => "expires within two days".to_owned(),
        days => format!("expires in {days} days"),
    }
}

/// Bytes of others as text; [`common::log`] makes control characters blanks.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// What can differ of one destination.
struct Settings<'a>(&'a Destination);

impl fmt::Display for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Destination { weight, method, upper_threshold, lower_threshold, .. } = self.0;
        write!(f, "weight {weight}, {}", forwarding(*method))?;
        match (lower_threshold, upper_threshold) {
            (_, 0) => Ok(()),
            (lower, upper) => write!(f, ", {lower} to {upper} connections"),
        }
    }
}

fn forwarding(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Masquerade => "masquerading",
        ForwardingMethod::Local => "local",
        ForwardingMethod::Tunnel => "tunnelling",
        ForwardingMethod::DirectRouting => "direct routing",
        ForwardingMethod::Bypass => "bypass",
        ForwardingMethod::Other(_) => "an unknown method",
    }
}

#[cfg(test)]
mod tests;
