//! PURE. When virtual IPs are announced: five times, one second apart, as the
//! original's send_arp helper did (piranha.md 2.4), but beside everything else
//! instead of in a process that sleeps; and when the line that says so is due.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How often each virtual IP is announced; the original's number.
pub const TIMES: u8 = 5;

/// The time between two announcements of one virtual IP; the original's.
pub const APART: Duration = Duration::from_secs(1);

/// How many virtual IPs are announced in one turn of the loop, so that a
/// director with thousands of them keeps its beat.
pub const BURST: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Round {
    left: u8,
    due: Instant,
}

/// What is being announced.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    rounds: BTreeMap<IpAddr, Round>,
}

impl Announcements {
    /// Announces `vip` from now on, from the first time again if it was under way.
    pub fn begin(&mut self, vip: IpAddr, now: Instant) {
        self.rounds.insert(vip, Round { left: TIMES, due: now });
    }

    /// Stops announcing everything: nothing is held any more.
    pub fn clear(&mut self) {
        self.rounds.clear();
    }

    /// Stops announcing what `held` does not say yes to.
    pub fn keep_only(&mut self, held: impl Fn(&IpAddr) -> bool) {
        self.rounds.retain(|vip, _| held(vip));
    }

    /// The virtual IPs to announce now, [`BURST`] at most; and whether that was
    /// the last of all.
    pub fn turn(&mut self, now: Instant) -> (Vec<IpAddr>, bool) {
        let mut vips = Vec::new();
        for (vip, round) in &mut self.rounds {
            if vips.len() == BURST {
                break;
            }
            if now >= round.due {
                vips.push(*vip);
                round.left = round.left.saturating_sub(1);
                round.due = now + APART;
            }
        }
        self.rounds.retain(|_, round| round.left > 0);
        let finished = !vips.is_empty() && self.rounds.is_empty();
        (vips, finished)
    }

    /// When the next [`Announcements::turn`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.rounds.values().map(|round| round.due).min()
    }
}

#[cfg(test)]
mod tests;
