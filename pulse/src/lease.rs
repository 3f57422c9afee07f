//! PURE. How long the kernel keeps the virtual IPs of a director that has ceased
//! to say that it is there: self-fencing by the address's own lifetime.
//!
//! ```text
//! beat ── beat ── beat ── killed or frozen
//! renew   renew   renew ├────── valid ──────┤ late
//!                 ├───────────── deadtime ──────────┤ the partner takes over
//! ```
//!
//! While a partner is there that would take over, the addresses are on loan and
//! renewed as pulse beats; a pulse that is gone for good, with its guardian, or
//! frozen, loses them without anybody's help before the partner has them. A pulse
//! that is killed alone is back long before that. Where nobody would take over
//! they are permanent, and a dead pulse costs nothing.
//!
//! The kernel counts a lifetime in whole seconds and removes late, never early
//! ([`late`]). So what is left of the promise where `deadtime` is shorter than
//! about a second and a half is the rest of that time ([`Terms::excess`]).

use std::time::{Duration, Instant};

/// The shortest loan, in seconds.
const SHORTEST: u32 = 1;

/// What a killed pulse has at least to come back in, where beats renew the loan.
const RESERVE: Duration = Duration::from_secs(1);

/// How late the kernel may be with an address that is valid for so many seconds.
/// It puts removals within a quarter of a second together (net/ipv4/devinet.c,
/// net/ipv6/addrconf.c), and its timers are as coarse as an eighth of their time.
pub fn late(valid: u32) -> Duration {
    Duration::from_millis(250) + seconds(valid) / 8
}

fn seconds(valid: u32) -> Duration {
    Duration::from_secs(u64::from(valid))
}

/// The longest loan that is over, lateness included, after this time; 0 if none is.
fn longest_within(budget: Duration) -> u32 {
    let valid = budget.saturating_sub(late(0)) * 8 / 9;
    u32::try_from(valid.as_secs()).unwrap_or(u32::MAX - 1)
}

/// How addresses are lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For so many whole seconds.
    pub valid: u32,
    /// Renewed not more often than this.
    every: Duration,
    /// Only together with a beat: what the partner counts from is then the same
    /// moment. Else whenever it is time.
    with_beats: bool,
}

impl Terms {
    /// As long as the partner's patience allows.
    pub fn new(keepalive: Duration, deadtime: Duration) -> Self {
        let valid = longest_within(deadtime);
        if seconds(valid) >= keepalive + RESERVE {
            return Self { valid, every: seconds(valid) / 4, with_beats: true };
        }
        // Renewed between two beats, so up to a keepalive later than the last one.
        let valid = longest_within(deadtime.saturating_sub(keepalive)).max(SHORTEST);
        Self { valid, every: seconds(valid) / 4, with_beats: false }
    }

    /// How long an address may be left after the partner has taken over; zero but
    /// for a short `deadtime`.
    pub fn excess(&self, keepalive: Duration, deadtime: Duration) -> Duration {
        let after_beat = if self.with_beats { Duration::ZERO } else { keepalive };
        (after_beat + seconds(self.valid) + late(self.valid)).saturating_sub(deadtime)
    }
}

/// What the addresses are held under now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease {
    /// What was asked of the kernel last, and when: for so many seconds, or for ever.
    given: Option<(Option<u32>, Instant)>,
    terms: Option<Terms>,
}

impl Lease {
    /// What to ask of the kernel now: for so many seconds, or for ever (`None`
    /// within). `terms` are those with a partner that would take over, without one
    /// there are none; `beats` says that a heartbeat was sent just now.
    pub fn turn(&mut self, terms: Option<Terms>, beats: bool, now: Instant) -> Option<Option<u32>> {
        self.terms = terms;
        let wanted = terms.map(|terms| terms.valid);
        let is_due = match (self.given, terms) {
            (None, _) => true,
            (Some((given, _)), _) if given != wanted => true,
            (Some(_), None) => false,
            (Some((_, at)), Some(terms)) => {
                (beats || !terms.with_beats) && now.saturating_duration_since(at) >= terms.every
            }
        };
        if is_due {
            self.given = Some((wanted, now));
        }
        is_due.then_some(wanted)
    }

    /// Whether the loan counts from a beat, so that one that begins without is worth
    /// a beat of its own.
    pub fn is_from_beats(&self) -> bool {
        matches!(self.given, Some((Some(_), _))) && self.terms.is_some_and(|terms| terms.with_beats)
    }

    /// Nothing is held any more; the next addresses are lent anew.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// When [`Lease::turn`] has something to do without a beat.
    pub fn deadline(&self) -> Option<Instant> {
        let terms = self.terms.filter(|terms| !terms.with_beats)?;
        self.given.map(|(_, at)| at + terms.every)
    }
}

#[cfg(test)]
mod tests;
