//! PURE. Who else says that it has our virtual IPs while this director is active:
//! a real server that answers ARP for them, the other director, a stranger. Each
//! is reported once, and again at a bounded rate while it goes on; and each time
//! the virtual IP is announced anew, for whoever heard the other one now believes
//! it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use common::netlink::route::Neighbour;

use crate::arp::{Claim, Mac};

/// So many claimants are told apart. More is an attack, or a loop in the network.
const CLAIMANTS_MAX: usize = 32;

/// How long after its first line a claimant's other claims are put together: one
/// that has all our virtual IPs is two lines, not hundreds.
const GATHER: Duration = Duration::from_secs(1);

/// After that, the shortest time between two lines about one claimant.
const REPEAT: Duration = Duration::from_secs(60);

/// One that was silent for so long is forgotten, and news when it comes back.
const FORGET: Duration = Duration::from_secs(600);

/// The shortest time between two announcements of one virtual IP: two that defend
/// the same address would else do nothing else (RFC 5227 2.4).
const DEFEND: Duration = Duration::from_secs(1);

/// How often each virtual IP is asked for: somebody who has it and only answers is
/// heard by nobody but those it answers.
pub const ASK_EVERY: Duration = Duration::from_secs(60);

/// How many are asked for in a row.
const ASK_BURST: usize = 32;

/// What is to be said about a claimant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who it is.
    pub mac: Mac,
    /// What it claims.
    pub vip: IpAddr,
    /// And how many more.
    pub others: usize,
    /// It was said before and goes on.
    pub again: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    /// Claimed since the last line and not before.
    fresh: BTreeSet<IpAddr>,
    /// Claimed before the last line.
    known: BTreeSet<IpAddr>,
    /// The lines so far, and the last one's time.
    lines: u32,
    said: Instant,
    /// A claim came since.
    goes_on: Option<IpAddr>,
    heard: Instant,
}

impl Seen {
    /// When its next line is due, if there is anything to say.
    fn due(&self) -> Option<Instant> {
        let has_news = !self.fresh.is_empty();
        match self.lines {
            0 => Some(self.said),
            1 if has_news => Some(self.said + GATHER),
            _ => (has_news || self.goes_on.is_some()).then_some(self.said + REPEAT),
        }
    }
}

/// Those seen so far.
#[derive(Clone, Debug, Default)]
pub struct Claimants {
    seen: BTreeMap<Mac, Seen>,
    defended: HashMap<IpAddr, Instant>,
}

impl Claimants {
    /// A foreign claim to a virtual IP we hold; whether to announce it again now.
    pub fn heard(&mut self, Claim { address, mac, .. }: Claim, now: Instant) -> bool {
        self.seen.retain(|_, seen| now < seen.heard + FORGET);
        if self.seen.contains_key(&mac) || self.seen.len() < CLAIMANTS_MAX {
            let seen = self.seen.entry(mac).or_insert_with(|| Seen {
                fresh: BTreeSet::new(),
                known: BTreeSet::new(),
                lines: 0,
                said: now,
                goes_on: None,
                heard: now,
            });
            seen.heard = now;
            if seen.known.contains(&address) {
                seen.goes_on = Some(address);
            } else {
                seen.fresh.insert(address);
            }
        }
        let is_time = self.defended.get(&address).is_none_or(|last| now >= *last + DEFEND);
        if is_time {
            self.defended.insert(address, now);
        }
        is_time
    }

    /// What is to be said now.
    pub fn turn(&mut self, now: Instant) -> Vec<Report> {
        let mut reports = Vec::new();
        for (mac, seen) in &mut self.seen {
            if seen.due().is_none_or(|due| now < due) {
                continue;
            }
            let fresh = std::mem::take(&mut seen.fresh);
            let first = fresh.first().copied().or(seen.goes_on.take());
            let others = fresh.len().saturating_sub(1);
            reports.extend(first.map(|vip| Report { mac: *mac, vip, others, again: fresh.is_empty() }));
            seen.known.extend(fresh);
            (seen.lines, seen.said, seen.goes_on) = (seen.lines.saturating_add(1), now, None);
        }
        reports
    }

    /// When the next [`Claimants::turn`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.seen.values().filter_map(Seen::due).min()
    }

    /// Nothing is held any more, so nobody claims what is ours.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whose turn it is to be asked for, round and round.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    every: Duration,
    at: Option<Instant>,
    last: Option<IpAddr>,
}

impl Rounds {
    /// The virtual IPs to ask for now, of those held; each is asked for so often.
    pub fn turn(&mut self, held: &BTreeSet<IpAddr>, every: Duration, now: Instant) -> Vec<IpAddr> {
        if every < std::mem::replace(&mut self.every, every) {
            self.at = self.at.map(|at| at.min(now + every));
        }
        if held.is_empty() || self.at.is_some_and(|at| now < at) {
            return Vec::new();
        }
        let bursts = u32::try_from(held.len().div_ceil(ASK_BURST)).unwrap_or(u32::MAX);
        // Rounded up, or a round would be over before its time.
        self.at = Some(now + every / bursts + Duration::from_millis(1));
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut vips: Vec<IpAddr> = held.range((after, Bound::Unbounded)).take(ASK_BURST).copied().collect();
        if vips.is_empty() {
            vips = held.iter().take(ASK_BURST).copied().collect();
        }
        self.last = vips.last().copied();
        vips
    }

    /// When it is the next one's turn.
    pub fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Nothing is held.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Who a claimant probably is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// The other director, at this address.
    Partner(IpAddr),
    /// A real server.
    RealServer(IpAddr),
    /// Somebody else in this network.
    Host(IpAddr),
    /// Nobody we know.
    Unknown,
}

/// Finds a hardware address among the neighbours the kernel knows. A virtual IP is
/// no name for anybody: that is what the claim is about.
pub fn suspect(
    mac: Mac,
    neighbours: &[Neighbour],
    partner: &[IpAddr],
    real_servers: &[IpAddr],
    vips: &[IpAddr],
) -> Suspect {
    let mut names: Vec<IpAddr> = neighbours.iter().filter(|one| one.mac == mac).map(|one| one.address).collect();
    names.retain(|name| !vips.contains(name));
    names.sort_unstable();
    let among = |known: &[IpAddr]| names.iter().find(|name| known.contains(name)).copied();
    let found = among(partner).map(Suspect::Partner).or_else(|| among(real_servers).map(Suspect::RealServer));
    found.or_else(|| names.first().copied().map(Suspect::Host)).unwrap_or(Suspect::Unknown)
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partner(address) => write!(f, "the other director, {address}"),
            Self::RealServer(address) => {
                write!(f, "real server {address}: set arp_ignore = 1 and arp_announce = 2 there")
            }
            Self::Host(address) => write!(f, "{address}: an address conflict"),
            Self::Unknown => f.write_str("a host we do not know: an address conflict, or a director of before"),
        }
    }
}

#[cfg(test)]
mod tests;
