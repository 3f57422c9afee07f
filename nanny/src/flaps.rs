//! A server that comes and goes: how often in a row it fell too soon after it returned,
//! and how many good checks it takes to return for that (`dampen`). What is known of it
//! outlives a nanny: lvsd tells it to the next one. Pure.

use std::time::{Duration, Instant};

use common::channel;

/// How often falling again and again doubles what it takes to return.
const STRIKES_MAX: u32 = 4;

/// What is known. The more strikes, the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaps {
    /// How often in a row it fell too soon.
    strikes: u32,
    /// When it last returned, until it falls.
    returned: Option<Instant>,
}

impl Flaps {
    /// It returned after a failure.
    pub fn return_at(&mut self, now: Instant) {
        self.returned = Some(now);
    }

    /// It failed; `true`: within `dampen` after its return. Zero is never.
    pub fn fall_at(&mut self, dampen: Duration, now: Instant) -> bool {
        let soon = self.returned.take().is_some_and(|at| now < at + dampen);
        self.strikes = if soon { (self.strikes + 1).min(STRIKES_MAX) } else { 0 };
        soon
    }

    /// How many good checks in a row it takes to return; so many where it does not flap.
    pub fn returns_after(&self, threshold: u32) -> u32 {
        threshold.max(1).saturating_mul(1 << self.strikes.min(STRIKES_MAX))
    }

    /// In the words of the line.
    pub fn told(&self, now: Instant) -> channel::Flaps {
        let returned = self.returned.map(|at| now.saturating_duration_since(at));
        channel::Flaps { strikes: self.strikes, returned }
    }

    /// As a nanny before this one told it.
    pub fn recall(told: channel::Flaps, now: Instant) -> Self {
        // Before this machine was started is long ago.
        let returned = told.returned.and_then(|ago| now.checked_sub(ago));
        Self { strikes: told.strikes.min(STRIKES_MAX), returned }
    }
}

#[cfg(test)]
mod tests;
