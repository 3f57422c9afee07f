//! PURE. The node's part in [`crate::linger`]: when it begins, and when it ends.
//!
//! It is beside the states: it begins while addresses are lowered, and goes on in
//! standby, where nothing depends on it, or until lvsd is told to end, which takes down
//! what it serves by. Whoever becomes active again ends it first.

use std::time::Instant;

use super::{Action, Node, State};
use crate::election::Election;
use crate::linger::LINGER;

impl Node {
    /// The addresses are about to go, and `is_in_order`: we could have served on.
    pub(super) fn linger(&self, is_in_order: bool, out: &mut Vec<Action>) {
        let is_followed = self.pair.as_ref().is_some_and(Election::has_successor);
        match self.state {
            State::Active { .. } => out.extend((is_in_order && is_followed).then_some(Action::Linger)),
            // Nothing is served, or by others as well, or that is decided already.
            State::Standby
            | State::Starting { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    /// The kernel has what it needs.
    pub(super) fn on_lingers(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.lingers = Some(now + LINGER);
        match self.state {
            State::Standby | State::Lowering { .. } | State::StoppingLvsd { .. } => {}
            // Not asked for, or no more.
            State::Starting { .. } | State::Active { .. } | State::Holding | State::Over => self.cease(out),
        }
    }

    /// The addresses are gone: its time counts from now on.
    pub(super) fn linger_from(&mut self, now: Instant) {
        self.lingers = self.lingers.map(|_| now + LINGER);
    }

    /// The end, if it is time.
    pub(super) fn turn_of_linger(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.lingers.is_some_and(|until| now >= until) {
            self.cease(out);
            if let State::StoppingLvsd { .. } = self.state {
                self.stop_lvsd_if_due(now, out);
                self.finish_if_over(out);
            }
        }
    }

    /// The end.
    pub(super) fn cease(&mut self, out: &mut Vec<Action>) {
        out.extend(self.lingers.take().map(|_| Action::Cease));
    }
}
