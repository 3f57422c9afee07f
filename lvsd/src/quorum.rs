//! Whether a virtual has as many good real servers as it needs. It is lost when there
//! are fewer than the quorum, and gained again when there are as many more as the
//! hysteresis asks for. As the sorry server ([`crate::sorry`]) it waits for verdicts at
//! start and after a reload, and a successor goes on from what lvsd last knew. Pure.

use std::time::Instant;

use crate::sorry::Tally;

/// What is asked of a virtual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// So many good real servers at least.
    pub quorum: u32,
    /// So many more to gain it again.
    pub hysteresis: u32,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there for the first time.
    First,
    /// It is there again.
    Gained,
    /// It is not there any more, or was not from the start.
    Lost,
}

/// The state for one virtual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// `None`: not known yet.
    has: Option<bool>,
    /// Verdicts that may decide are awaited until then.
    until: Option<Instant>,
}

impl Quorum {
    /// At the start of lvsd, or of a virtual service. `known`: what a predecessor knew.
    pub fn new(known: Option<bool>, grace_until: Instant) -> Self {
        Self { has: known, until: known.is_none().then_some(grace_until) }
    }

    /// Whether it is there; `None` before that is known.
    pub fn has(&self) -> Option<bool> {
        self.has
    }

    /// When [`Quorum::judge`] is needed although no verdict came.
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Looks at the verdicts. `grace_until` is when patience with nannies that are
    /// silent from now on would end.
    pub fn judge(&mut self, rules: Rules, tally: Tally, now: Instant, grace_until: Instant) -> Option<Change> {
        let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let quorum = count(rules.quorum);
        let enough = match self.has {
            // More than there are is never reached; all of them are enough then.
            Some(false) => (quorum + count(rules.hysteresis)).min(tally.servers).max(quorum),
            Some(true) | None => quorum,
        };
        if tally.available >= enough {
            return self.decide(true);
        }
        if self.has == Some(false) {
            self.until = None;
            return None;
        }
        let may_be_enough = tally.available + tally.silent >= quorum;
        if !may_be_enough || now >= *self.until.get_or_insert(grace_until) {
            return self.decide(false);
        }
        None
    }

    fn decide(&mut self, has: bool) -> Option<Change> {
        self.until = None;
        match (self.has.replace(has), has) {
            (Some(before), now) if before == now => None,
            (None, true) => Some(Change::First),
            (Some(_), true) => Some(Change::Gained),
            (_, false) => Some(Change::Lost),
        }
    }
}

#[cfg(test)]
mod tests;
