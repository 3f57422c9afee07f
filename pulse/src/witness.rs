//! PURE. What a director asks before it takes over from a silent partner: whether
//! any `witness` hears it, and with `vip_probe` whether somebody has a virtual IP.
//!
//! A witness is heard by ICMP echo, and where it is on a network of ours by ARP or
//! neighbour discovery as well: a firewall may drop the one, a router is between us
//! and the other. Each is asked three times, and one answer of one witness will
//! do. The first claim to a virtual IP ends it; that nobody has one takes all of
//! `vip_probe` to see. Who yielded to a partner that is not heard asks for the
//! virtual IPs in any case, and goes by that one's answers alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::addresses::Host;
use crate::arp::Mac;
use crate::election::Answer;

/// How often each question is asked, evenly over the time: a frame may be lost.
const TRIES: u32 = 3;

/// How long a partner that is seen and not heard may take to answer for a virtual IP.
const PARTNER_WITHIN: Duration = Duration::from_millis(300);

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who may be heard.
    pub witnesses: Vec<IpAddr>,
    /// How long they may take.
    pub timeout: Duration,
    /// How long claims to the virtual IPs are waited for; zero: they are not asked
    /// for.
    pub vip_probe: Duration,
}

impl Plan {
    /// How long an inquiry may last; `None`: there is nothing to ask.
    pub fn wait(&self) -> Option<Duration> {
        let timeout = if self.witnesses.is_empty() { Duration::ZERO } else { self.timeout };
        Some(timeout.max(self.vip_probe)).filter(|wait| !wait.is_zero())
    }
}

/// One round of questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// To every witness.
    pub witnesses: bool,
    /// For every virtual IP.
    pub vips: bool,
}

/// An inquiry under way.
#[derive(Clone, Debug)]
pub struct Inquiry {
    plan: Plan,
    /// The partner is seen and not heard.
    is_eclipsed: bool,
    began: Instant,
    asked: u32,
    is_heard: bool,
    held_by: Option<Mac>,
}

impl Inquiry {
    /// Begins one; the first questions are due at once.
    pub fn begin(plan: &Plan, is_eclipsed: bool, now: Instant) -> Self {
        Self { plan: plan.clone(), is_eclipsed, began: now, asked: 0, is_heard: false, held_by: None }
    }

    /// For how long virtual IPs are asked for.
    fn vip_probe(&self) -> Duration {
        if self.is_eclipsed { self.plan.vip_probe.max(PARTNER_WITHIN) } else { self.plan.vip_probe }
    }

    fn wait(&self) -> Duration {
        self.plan.wait().unwrap_or_default().max(self.vip_probe())
    }

    /// A witness answered.
    pub fn heard(&mut self, witness: IpAddr) {
        self.is_heard |= self.plan.witnesses.contains(&witness);
    }

    /// Somebody else has a virtual IP.
    pub fn claimed(&mut self, mac: Mac, by_partner: bool) {
        if !self.plan.vip_probe.is_zero() || (self.is_eclipsed && by_partner) {
            self.held_by.get_or_insert(mac);
        }
    }

    /// What is to be asked now.
    pub fn ask(&mut self, now: Instant) -> Questions {
        let is_due = self.answer(now).is_none() && self.ask_at().is_some_and(|at| now >= at);
        if is_due {
            self.asked += 1;
        }
        let witnesses = is_due && !self.is_heard && !self.plan.witnesses.is_empty();
        Questions { witnesses, vips: is_due && now < self.began + self.vip_probe() }
    }

    /// What it has come to, if it has.
    pub fn answer(&self, now: Instant) -> Option<Answer> {
        let is_heard = self.is_heard || self.plan.witnesses.is_empty();
        if let Some(mac) = self.held_by {
            Some(Answer::VipHeld { mac })
        } else if is_heard {
            (now >= self.began + self.vip_probe()).then_some(Answer::Heard)
        } else {
            (now >= self.began + self.plan.timeout).then_some(Answer::Silent)
        }
    }

    fn ask_at(&self) -> Option<Instant> {
        let wait = self.wait();
        (self.asked < TRIES).then(|| self.began + wait * self.asked / TRIES)
    }

    /// When there is next something to ask, or an answer, although nothing came.
    pub fn deadline(&self) -> Instant {
        let is_heard = self.is_heard || self.plan.witnesses.is_empty();
        let ends = self.began + if is_heard { self.vip_probe() } else { self.plan.timeout };
        self.ask_at().map_or(ends, |at| at.min(ends))
    }
}

/// From where a neighbour on one of our networks is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onlink {
    /// The link's number.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// Our own address there.
    pub from: IpAddr,
}

/// The link whose network has this address, and what we are called there. None of
/// `not` is us: a virtual IP may be somebody else's by now.
pub fn onlink(target: IpAddr, host: &Host, not: &[IpAddr]) -> Option<Onlink> {
    host.addresses.iter().filter(|one| !not.contains(&one.address)).find_map(|one| {
        if !same_network(one.address, target, one.prefix) || one.address == target {
            return None;
        }
        let link = host.links.iter().find(|link| link.index == one.index)?;
        let mac = link.mac.filter(|_| link.up && link.running && !link.loopback && !link.noarp)?;
        Some(Onlink { index: link.index, mac, from: one.address })
    })
}

fn same_network(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let width = u32::from(prefix);
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = Ipv4Addr::to_bits(one) ^ Ipv4Addr::to_bits(other);
            differing.leading_zeros() >= width.min(32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = Ipv6Addr::to_bits(one) ^ Ipv6Addr::to_bits(other);
            differing.leading_zeros() >= width.min(128)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests;
