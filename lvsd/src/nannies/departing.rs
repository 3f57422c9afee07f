//! Nannies whose destination is not wanted any more: which those may be, and the two
//! ways in which they go.

use std::rc::Rc;
use std::time::Instant;

use common::child::Event;

use super::nanny::Nanny;
use super::{Action, Nannies};
use crate::departure::Running;
use crate::wanted::{Monitor, Target};

impl Nannies {
    /// Those that run, or are to, and are not on their way out.
    pub fn running(&self) -> Vec<Running<'_>> {
        let running = |nanny: &'_ Nanny| nanny.monitor.is_some() || nanny.is_sheltered;
        self.all
            .values()
            .filter(|nanny| running(nanny))
            .filter_map(|nanny| {
                let label = nanny.label.as_deref();
                let names = label.map(|label| (label.name.as_str(), label.server.as_str()));
                let is_nanny = label.is_none_or(|label| label.is_nanny);
                Some(Running { target: nanny.target?, place: &nanny.place, names, is_nanny })
            })
            .collect()
    }

    /// The nanny of this destination goes, and takes it along or leaves it (`stays`).
    /// `false`: there is none.
    pub fn leave(&mut self, target: &Target, stays: bool, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(&id) = self.by_target.get(target) else { return false };
        if let Some(nanny) = self.all.get_mut(&id) {
            nanny.leaves_destination = stays;
        }
        self.stop(id, now, out);
        true
    }

    /// The nanny of this destination leaves it in the kernel, and another for this
    /// monitor follows at the same meeting place. `false`: there is none.
    pub fn follow(&mut self, target: &Target, monitor: &Rc<Monitor>, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(id) = self.by_target.remove(target) else { return false };
        self.assign(id, monitor);
        if let Some(nanny) = self.all.get_mut(&id) {
            nanny.is_sheltered = false;
            nanny.is_predecessor = nanny.child.pid().is_some();
            nanny.verdict = None;
        }
        self.feed(id, Event::Replace, now, out);
        true
    }
}
