//! Nannies whose destination is not wanted any more: which those may be, and the two
//! ways in which they go.

use std::rc::Rc;
use std::time::Instant;

use common::child::Event;

use super::{Action, Id, Nannies};
use crate::departure::Running;
use crate::wanted::{Monitor, Target};

impl Nannies {
    /// Those that run, or are to, and are not on their way out.
    pub fn running(&self) -> Vec<Running<'_>> {
        let mut running = Vec::new();
        for nanny in self.all.values() {
            let place = Some(nanny.place.as_str()).filter(|_| !nanny.is_shared());
            for (target, seat) in nanny.seats.iter().filter(|(_, seat)| !seat.is_leaving() || seat.next.is_some()) {
                let label = seat.label.as_deref();
                let names = label.map(|label| (label.name.as_str(), label.server.as_str()));
                let is_nanny = label.is_none_or(|label| label.is_nanny);
                running.push(Running { target: *target, place, names, is_nanny });
            }
        }
        running
    }

    /// The nanny of this destination goes, and takes it along or leaves it (`stays`).
    /// `false`: there is none.
    pub fn leave(&mut self, target: &Target, stays: bool, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(&id) = self.by_target.get(target) else { return false };
        if let Some(seat) = self.all.get_mut(&id).and_then(|nanny| nanny.seats.get_mut(target)) {
            seat.next = None;
        }
        self.depart(id, target, stays, now, out);
        true
    }

    /// The same for another nanny that waits for it, if one does.
    pub(super) fn depart(&mut self, id: Id, target: &Target, stays: bool, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        if nanny.is_shared() {
            self.let_go(id, target, stays, now, out);
        } else {
            nanny.leaves_destination = stays;
            self.stop(id, now, out);
        }
    }

    /// The nanny of this destination leaves it in the kernel, and another for this
    /// monitor follows at the same meeting place. `false`: there is none.
    pub fn follow(&mut self, target: &Target, monitor: &Rc<Monitor>, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(id) = self.by_target.remove(target) else { return false };
        self.assign(id, monitor);
        if let Some(nanny) = self.all.get_mut(&id) {
            nanny.is_predecessor = nanny.child.pid().is_some();
            nanny.flaps = None;
        }
        self.feed(id, Event::Replace, now, out);
        true
    }
}
