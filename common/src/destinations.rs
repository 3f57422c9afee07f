//! What lvsd and a nanny that keeps several destinations (`--shared`) say of single
//! ones: which they are, how each is to be kept, and what became of it. Records of a
//! packet, a line each with tabs between the fields, so that strace shows what was
//! said; keys as the log shows them. Pure.
//!
//! ```text
//! lvsd                                            nanny
//!   hold  SERVICE DESTINATION METHOD WEIGHT ... ─►  looks at the kernel, and keeps it so
//!   ◄─ holds  all that, and up|down WEIGHT          now, and at every change
//!   drop  SERVICE DESTINATION ───────────────────►  lets go of it: takes it out, or leaves it
//!   ◄─ dropped  SERVICE DESTINATION
//! ```
//!
//! `hold` and `drop` say what is to be, not what is to change: lvsd repeats what was not
//! answered, and to hear a thing twice does nothing.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::hash::fnv1a;
use crate::ipvs::{DestinationKey, ForwardingMethod, ServiceKey};

/// How many destinations lvsd gives to one nanny before it starts another: what the
/// death of one leaves unwatched for a moment, and what one turn of its loop may have
/// to do in the kernel.
pub const SHARE: usize = 512;

/// The most that a nanny takes. The shares of a virtual's servers are not equal.
pub const DESTINATIONS_MAX: usize = 2 * SHARE;

/// The longest growth of a weight that is believed: the range of the keyword.
const SLOW_START_MAX: Duration = Duration::from_secs(86_400);

/// A destination in the whole table. The service's key contains the fwmark (the
/// original's did not: piranha.md 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The virtual service.
    pub service: ServiceKey,
    /// The real server in it, with the port the kernel has.
    pub destination: DestinationKey,
}

/// What becomes of a failed server's destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is removed.
    Removed,
    /// It keeps its place, with weight 0.
    Quiesced,
    /// It has a place with weight 0, if it was never in use too.
    Inhibited,
}

/// How many connections a destination may have; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At so many it gets no new ones.
    pub upper: u32,
    /// Below so many it does again.
    pub lower: u32,
}

/// A destination and how it is to be kept: all that may differ between those whose
/// checks are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub target: Target,
    /// How the kernel forwards to it.
    pub method: ForwardingMethod,
    /// Its full weight, 0 to 65535.
    pub weight: u32,
    /// What becomes of it when checks fail.
    pub failed: Failed,
    /// How long its weight grows when it returns.
    pub slow_start: Duration,
    /// Its thresholds, if they are not the operator's.
    pub limits: Option<Limits>,
    /// It stays in use whatever checks say: it is among the last of its service.
    pub stays: bool,
}

/// How one is kept, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which, and how.
    pub assignment: Assignment,
    /// Whether its server is in use, and with which weight; `None` before anything is
    /// known.
    pub verdict: Option<(bool, u32)>,
}

/// `tcp 192.0.2.1:80<TAB>198.51.100.7:80`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}", self.service, self.destination)
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, method, weight, failed, slow_start, limits, stays } = self;
        let (method, failed) = (method_letter(*method), failed_word(*failed));
        write!(f, "{target}\t{method}\t{weight}\t{failed}\t{}\t", slow_start.as_millis())?;
        match limits {
            None => f.write_char('-')?,
            Some(Limits { upper, lower }) => write!(f, "{upper}/{lower}")?,
        }
        f.write_str(if *stays { "\tstays" } else { "\t-" })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            None => write!(f, "{}\t-\t0", self.assignment),
            Some((available, weight)) => {
                write!(f, "{}\t{}\t{weight}", self.assignment, if available { "up" } else { "down" })
            }
        }
    }
}

/// Something that is a line of a packet.
pub trait Record: Copy + fmt::Display {
    /// Its inverse; `None`: it is none.
    fn parse(line: &str) -> Option<Self>;
}

impl Record for Target {
    fn parse(line: &str) -> Option<Self> {
        let (service, destination) = line.split_once('\t')?;
        target(service, destination)
    }
}

impl Record for Assignment {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [service, destination, method, weight, failed, slow_start, limits, stays] = fields[..] else { return None };
        let limits = match limits.split_once('/') {
            Some((upper, lower)) => {
                let (upper, lower) = (upper.parse().ok()?, lower.parse().ok()?);
                // The kernel would refuse it.
                (lower <= upper).then_some(Some(Limits { upper, lower }))?
            }
            None if limits == "-" => None,
            None => return None,
        };
        let slow_start = Duration::from_millis(slow_start.parse().ok()?);
        Some(Self {
            target: target(service, destination)?,
            method: method_of(method)?,
            weight: weight.parse::<u16>().ok()?.into(),
            failed: failed_of(failed)?,
            slow_start: (slow_start <= SLOW_START_MAX).then_some(slow_start)?,
            limits,
            stays: match stays {
                "stays" => true,
                "-" => false,
                _ => return None,
            },
        })
    }
}

impl Record for Held {
    fn parse(line: &str) -> Option<Self> {
        let (rest, weight) = line.rsplit_once('\t')?;
        let (assignment, verdict) = rest.rsplit_once('\t')?;
        let weight: u32 = weight.parse().ok()?;
        let verdict = match verdict {
            "up" => Some((true, weight)),
            "down" => Some((false, weight)),
            "-" if weight == 0 => None,
            _ => return None,
        };
        Some(Self { assignment: Assignment::parse(assignment)?, verdict })
    }
}

/// The records as texts of at most `room` bytes each, a line a record; one that is
/// longer alone is a text of its own.
pub fn pack<R: Record>(records: &[R], room: usize) -> Vec<Vec<R>> {
    let mut packets: Vec<Vec<R>> = Vec::new();
    let mut left = 0;
    for record in records {
        let length = record.to_string().len() + 1;
        match packets.last_mut() {
            Some(packet) if length <= left => packet.push(*record),
            Some(_) | None => {
                packets.push(vec![*record]);
                left = room;
            }
        }
        left = left.saturating_sub(length);
    }
    packets
}

/// All lines of a text; `None`: one of them is none, or there are more than a nanny
/// keeps.
pub fn unpack<R: Record>(text: &str) -> Option<Vec<R>> {
    let mut records = Vec::new();
    for line in text.lines() {
        if records.len() == DESTINATIONS_MAX {
            return None;
        }
        records.push(R::parse(line)?);
    }
    Some(records)
}

/// The name of the meeting place of the nanny that checks `rip`:`rport` for several
/// virtual services: `shared-198.51.100.7-80-` and a hash of its arguments, which are
/// all that its checks follow from.
pub fn shared_place<'a>(rip: IpAddr, rport: u16, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let hash = fnv1a(arguments.into_iter().flat_map(|word| word.bytes().chain([0])));
    format!("shared-{rip}-{rport}-{hash:016x}")
}

/// Whether this is the name of such a place.
pub fn is_shared_place(name: &str) -> bool {
    name.starts_with("shared-")
}

fn target(service: &str, destination: &str) -> Option<Target> {
    let at: SocketAddr = destination.parse().ok()?;
    let destination = DestinationKey { address: at.ip(), port: at.port() };
    Some(Target { service: ServiceKey::parse(service)?, destination })
}

/// The letter of a forwarding method, as ipvsadm and nanny's `-M` have it. lvs.cf knows
/// three; the others never come from a file.
pub fn method_letter(method: ForwardingMethod) -> char {
    match method {
        ForwardingMethod::Masquerade
        | ForwardingMethod::Local
        | ForwardingMethod::Bypass
        | ForwardingMethod::Other(_) => 'm',
        ForwardingMethod::DirectRouting => 'g',
        ForwardingMethod::Tunnel => 'i',
    }
}

/// The method of such a letter.
pub fn method_of(letter: &str) -> Option<ForwardingMethod> {
    match letter {
        "m" => Some(ForwardingMethod::Masquerade),
        "g" => Some(ForwardingMethod::DirectRouting),
        "i" => Some(ForwardingMethod::Tunnel),
        _ => None,
    }
}

fn failed_word(failed: Failed) -> &'static str {
    match failed {
        Failed::Removed => "remove",
        Failed::Quiesced => "quiesce",
        Failed::Inhibited => "inhibit",
    }
}

fn failed_of(word: &str) -> Option<Failed> {
    match word {
        "remove" => Some(Failed::Removed),
        "quiesce" => Some(Failed::Quiesced),
        "inhibit" => Some(Failed::Inhibited),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
