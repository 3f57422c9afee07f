//! The weights of a server that returns after a failure: a part of the full weight
//! first, then twice as much at every step. Pure.
//!
//! As the original's (piranha.md 4.6): from a thirty-second of the weight, at least
//! 1, doubled every 20 seconds. Unlike the original's it has an end, and a server
//! that did not fail (a start, a nanny that died) is not kept waiting for its share.

use std::time::{Duration, Instant};

/// How often the weight is doubled; the first part is 1/2^DOUBLINGS.
const DOUBLINGS: u32 = 5;

/// Where the weight stands, below the full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    step: u32,
    /// When it is doubled.
    pub next: Instant,
}

impl Ramp {
    /// The first part, if a weight can have parts. All of them together take `time`.
    pub fn begin(full: u32, time: Duration, now: Instant) -> Option<Self> {
        Self { step: 0, next: now }.goes_on(full, time, now)
    }

    /// Where it stands at `now`; `None`: at its end. A process that slept has not
    /// shown anything meanwhile: it goes one step at a time.
    pub fn at(self, full: u32, time: Duration, now: Instant) -> Option<Self> {
        if now < self.next {
            return Some(self);
        }
        Self { step: self.step + 1, ..self }.goes_on(full, time, now)
    }

    /// The weight now.
    pub fn weight(self, full: u32) -> u32 {
        let first = (full >> DOUBLINGS).max(1);
        first.checked_shl(self.step).map_or(full, |weight| weight.min(full))
    }

    fn goes_on(self, full: u32, time: Duration, now: Instant) -> Option<Self> {
        let is_part = !time.is_zero() && self.step < DOUBLINGS && self.weight(full) < full;
        is_part.then(|| Self { next: now + time / DOUBLINGS, ..self })
    }
}

#[cfg(test)]
mod tests;
