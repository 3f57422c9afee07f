//! When the sorry server of a virtual service stands in (piranha.md 3.4). The
//! original asked every five seconds, and at start often let it in for one round;
//! here it comes with the verdict that takes the last real server away, goes with
//! the one that brings one back, and waits at start until there are verdicts.
//! Pure.

use std::time::Instant;

/// What the nannies of one virtual say now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Good real servers in use.
    pub available: usize,
    /// Failed ones that are in use all the same, among the last.
    pub kept: usize,
    /// Nannies that have not judged yet.
    pub silent: usize,
    /// Real servers in all.
    pub servers: usize,
}

/// Whether the sorry server should be in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// Not known yet: as it is, it stays.
    Undecided,
    /// It should be there.
    In,
    /// It should not.
    Out,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The last real server is gone.
    Activate,
    /// There are so many again.
    Deactivate(usize),
}

/// The state for one virtual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sorry {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Verdicts are awaited until then.
    Grace {
        until: Instant,
    },
    In,
    Out,
}

impl Sorry {
    /// At the start of lvsd, or of a virtual service. `present`: a predecessor
    /// left it in the table, so it is in until a verdict says otherwise.
    pub fn new(present: bool, grace_until: Instant) -> Self {
        Self { state: if present { State::In } else { State::Grace { until: grace_until } } }
    }

    /// What the table should have.
    pub fn standby(&self) -> Standby {
        match self.state {
            State::Grace { .. } => Standby::Undecided,
            State::In => Standby::In,
            State::Out => Standby::Out,
        }
    }

    /// When [`Sorry::judge`] is needed although no verdict came.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Grace { until } => Some(until),
            State::In | State::Out => None,
        }
    }

    /// Looks at the verdicts. `grace_until` is when patience with nannies that
    /// are silent from now on would end.
    pub fn judge(&mut self, tally: Tally, now: Instant, grace_until: Instant) -> Option<Change> {
        let (state, change) = match (self.state, tally.available + tally.kept, tally.silent) {
            (State::Grace { .. } | State::Out, 1.., _) => (State::Out, None),
            (State::In, available @ 1.., _) => (State::Out, Some(Change::Deactivate(available))),
            (State::Grace { .. } | State::Out, 0, 0) => (State::In, Some(Change::Activate)),
            (State::Grace { until }, 0, 1..) if now >= until => (State::In, Some(Change::Activate)),
            // A reload brought real servers nobody has judged yet.
            (State::Out, 0, 1..) => (State::Grace { until: grace_until }, None),
            (state @ (State::Grace { .. } | State::In), 0, _) => (state, None),
        };
        self.state = state;
        change
    }
}

#[cfg(test)]
mod tests;
