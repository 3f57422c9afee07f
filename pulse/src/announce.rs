//! PURE. When virtual IPs are announced: five times, one second apart, as the
//! original's send_arp helper did (piranha.md 2.4), but beside everything else
//! instead of in a process that sleeps; and when the line that says so is due. One
//! that somebody else claims is announced once more whenever that is heard.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How often each virtual IP is announced; the original's number.
pub const TIMES: u8 = 5;

/// The time between two announcements of one virtual IP; the original's.
pub const APART: Duration = Duration::from_secs(1);

/// How many virtual IPs are announced in a row: two frames each, which every
/// interface's queue and every switch's own processor takes.
pub const BURST: usize = 32;

/// The pause after a full row: hundreds of virtual IPs are announced within a
/// tenth of a second, and none of their frames is dropped.
pub const PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
struct Round {
    left: u8,
    due: Instant,
}

/// What is being announced.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    rounds: BTreeMap<IpAddr, Round>,
    /// One of them is worth the line at the end.
    is_told: bool,
    /// The end of the pause after a full row.
    paused_until: Option<Instant>,
}

impl Announcements {
    /// Announces `vip` from now on, from the first time again if it was under way.
    pub fn begin(&mut self, vip: IpAddr, now: Instant) {
        self.rounds.insert(vip, Round { left: TIMES, due: now });
        self.is_told = true;
    }

    /// Announces `vip` once more, now, beside what is under way.
    pub fn defend(&mut self, vip: IpAddr, now: Instant) {
        let round = self.rounds.entry(vip).or_insert(Round { left: 0, due: now });
        *round = Round { left: round.left.saturating_add(1), due: now };
    }

    /// Stops announcing everything: nothing is held any more.
    pub fn clear(&mut self) {
        self.rounds.clear();
    }

    /// Stops announcing what `held` does not say yes to.
    pub fn keep_only(&mut self, held: impl Fn(&IpAddr) -> bool) {
        self.rounds.retain(|vip, _| held(vip));
    }

    /// The virtual IPs to announce now, [`BURST`] at most, those that wait longest
    /// first; and whether that was the last of all.
    pub fn turn(&mut self, now: Instant) -> (Vec<IpAddr>, bool) {
        if self.paused_until.is_some_and(|until| now < until) {
            return (Vec::new(), false);
        }
        let mut due: Vec<_> = self.rounds.iter().filter(|(_, round)| now >= round.due).collect();
        due.sort_by_key(|(_, round)| round.due);
        let vips: Vec<IpAddr> = due.into_iter().take(BURST).map(|(vip, _)| *vip).collect();
        for vip in &vips {
            if let Some(round) = self.rounds.get_mut(vip) {
                round.left = round.left.saturating_sub(1);
                round.due = now + APART;
            }
        }
        self.paused_until = (vips.len() == BURST).then(|| now + PAUSE);
        self.rounds.retain(|_, round| round.left > 0);
        let is_finished = !vips.is_empty() && self.rounds.is_empty();
        (vips, is_finished && std::mem::take(&mut self.is_told))
    }

    /// When the next [`Announcements::turn`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.rounds.values().map(|round| round.due).min()?;
        Some(self.paused_until.map_or(due, |until| due.max(until)))
    }
}

#[cfg(test)]
mod tests;
