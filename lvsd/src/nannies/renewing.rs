//! Nannies that run on with an old program: what [`crate::renewal`] asks and wants.

use std::collections::VecDeque;
use std::time::Instant;

use common::child::Event;

use super::{Action, Id, Nannies};

impl Nannies {
    /// Those that are ours to replace: not an operator's own program, which need not
    /// say when it is ready.
    pub fn renewable(&self) -> VecDeque<Id> {
        let ours = self.all.iter().filter(|(_, nanny)| nanny.monitor.as_ref().is_some_and(|it| it.is_nanny));
        ours.map(|(id, _)| *id).collect()
    }

    /// Whether it is at work with another program than the one that there is now.
    pub fn is_old(&self, id: Id, is_old: impl Fn(u32) -> bool) -> bool {
        let Some(nanny) = self.all.get(&id).filter(|nanny| nanny.monitor.is_some()) else { return false };
        let at_work = nanny.child.pid().filter(|_| nanny.child.is_ready());
        at_work.is_some_and(|pid| nanny.speaks_otherwise || is_old(pid))
    }

    /// It makes room for a fresh process. `false`: it is gone.
    pub fn renew(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) -> bool {
        let is_there = self.all.contains_key(&id);
        self.feed(id, Event::Replace, now, out);
        is_there
    }

    /// Whether it is wanted, and not at work yet.
    pub fn is_on_its_way(&self, id: Id) -> bool {
        self.all.get(&id).is_some_and(|nanny| nanny.monitor.is_some() && !nanny.child.is_ready())
    }
}
