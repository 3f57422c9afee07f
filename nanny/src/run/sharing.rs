//! What lvsd tells a nanny of several destinations: which those are. It takes one more
//! and lets go of one without the others noticing, and answers to each word.

use std::time::Instant;

use common::channel::{self, Said};
use common::destinations::{Assignment, DESTINATIONS_MAX, Held, Target};

use super::Nanny;
use super::destinations::say_of;
use super::kept::{self, Before, Kept};
use crate::flaps::Flaps;
use crate::health::Event;
use crate::messages::Message;
use crate::record::Standing;
use crate::watch;

impl Nanny {
    /// These are kept from now on, and so. A new one is looked for in the kernel, and
    /// judged by what the checks showed so far.
    pub(super) fn hold(&mut self, all: &[Assignment], now: Instant) {
        let was_empty = self.kept.is_empty();
        let mut held = Vec::new();
        for assignment in all {
            let known = self.kept.iter().position(|kept| kept.target() == &assignment.target);
            let n = known.or_else(|| self.take(*assignment, now));
            let Some(n) = n else { continue };
            let mut changes = Vec::new();
            if let Some(kept) = self.kept.get_mut(n) {
                kept.change(&self.args, *assignment, self.asked_weight, now, &mut changes);
            }
            self.say_changes(n, &mut changes);
            held.push(assignment.target);
        }
        if (self.standing == Standing::Unknown || self.before.was.is_some()) && was_empty && !self.kept.is_empty() {
            self.next_check = now;
            self.next_look = now;
        }
        self.settle();
        let held: Vec<Held> =
            self.kept.iter().map(Kept::held).filter(|kept| held.contains(&kept.assignment.target)).collect();
        self.tell(&held);
    }

    /// One more; its number among all, if there is room.
    fn take(&mut self, assignment: Assignment, now: Instant) -> Option<usize> {
        let (name, real) = (kept::name(&assignment.target.service), self.args.real);
        if self.kept.len() >= DESTINATIONS_MAX {
            self.log.say(&Message::TooMany { service: &name, real });
            return None;
        }
        self.log.say(&Message::Starting { service: &name, real });
        let n = self.kept.len();
        self.kept.push(Kept::new(&self.args, assignment, &name, self.kernel.is_some()));
        let mut changes = Vec::new();
        // What cannot be read was said, and is read again before it is changed.
        let _ = self.look_at(n, now, &mut changes);
        if let Some(kept) = self.kept.get_mut(n) {
            if let Some(weight) = self.asked_weight {
                kept.weigh(weight);
            }
            kept.join(&self.before, self.standing, now, &mut changes);
            if let Some(glasses) = self.glasses {
                kept.health.handle(glasses, now, &mut changes);
            }
        }
        self.say_changes(n, &mut changes);
        Some(n)
    }

    /// What its predecessor found. Its own checks know better.
    pub(super) fn inherit(&mut self, good: bool, now: Instant) {
        if self.standing != Standing::Unknown {
            return;
        }
        self.before.was = Some(good);
        if !good {
            self.standing = Standing::Down { good: 0 };
        }
        self.feed(Event::Was(good), now);
        self.settle();
    }

    /// How the server came and went for its predecessor.
    pub(super) fn recall(&mut self, told: channel::Flaps, now: Instant) {
        if self.standing == Standing::Unknown || self.before.was.is_some() {
            let flaps = Flaps::recall(told, now);
            self.before.flaps = flaps;
            self.kept.iter_mut().for_each(|kept| kept.health.recall(flaps));
        }
    }

    /// Says how the server comes and goes, for a successor of this process; if nobody
    /// cares, nothing.
    pub(super) fn tell_flaps(&mut self, now: Instant) {
        let flaps = self.kept.iter().map(|kept| kept.health.flaps()).max().unwrap_or_default();
        self.before.flaps = flaps;
        if flaps != self.told_flaps
            && !self.args.dampen.is_zero()
            && self.hands.parents.tell(&Said::Flaps(flaps.told(now)))
        {
            self.told_flaps = flaps;
        }
    }

    /// These are not kept any more; they stay in the kernel as they are, or go.
    pub(super) fn drop_all(&mut self, targets: &[Target], stays: bool, now: Instant) {
        for target in targets {
            let Some(n) = self.kept.iter().position(|kept| kept.target() == target) else { continue };
            let mut kept = self.kept.swap_remove(n);
            let log = &self.log;
            log.say(&Message::Stopping { service: &kept.name, real: self.args.real });
            if let Some(kernel) = self.kernel.as_mut().filter(|_| !stays) {
                kept.remove(kernel, &mut |name, line| say_of(log, name, false, line));
            }
            kept.forget(self.kernel.as_mut());
        }
        self.hands.parents.tell(&Said::Dropped(targets.to_vec()));
        if self.kept.is_empty() {
            self.hands.abandon();
            self.hands.abandon_load();
            self.watch(watch::Event::Suspended, now);
            // Who comes next begins anew.
            (self.standing, self.asked_weight, self.complained) = (Standing::Unknown, None, None);
            self.before = Before::default();
        }
    }

    /// lvsd has put services back: what is kept in them is added at once, or looked for.
    pub(super) fn put_back(&mut self, is_asked: impl Fn(&Target) -> bool, now: Instant) {
        let is_one = self.kept.len() == 1;
        let mut changes = Vec::new();
        for n in 0..self.kept.len() {
            let Some(kept) = self.kept.get_mut(n).filter(|kept| is_asked(kept.target())) else { continue };
            let log = &self.log;
            let put = |kernel| kept.put_back(kernel, &mut |name, line| say_of(log, name, is_one, line));
            if !self.kernel.as_mut().is_some_and(put) {
                // What was wrong has been said.
                let _ = self.look_at(n, now, &mut changes);
            }
        }
        self.settle();
    }
}

#[cfg(test)]
mod tests;
