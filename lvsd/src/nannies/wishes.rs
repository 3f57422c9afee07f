//! Which nanny a destination gets: the one it has, another when that one let go of it,
//! one that checks its server already, or a new one.

use std::rc::Rc;
use std::time::Instant;

use common::channel::Flaps;
use common::child::Event;

use super::nanny::Nanny;
use super::seat::Seat;
use super::{Action, Id, Nannies, Wish};
use crate::messages::Message;
use crate::nanny_command;
use crate::wanted::Monitor;

impl Nannies {
    /// This one should run.
    pub fn want(&mut self, monitor: &Rc<Monitor>, now: Instant, out: &mut Vec<Action>) -> Wish {
        let Some(&id) = self.by_target.get(&monitor.target) else {
            self.employ(monitor, now, out);
            return Wish::Started;
        };
        let Some(nanny) = self.all.get_mut(&id) else { return Wish::Unchanged };
        if nanny.is_shared() || monitor.assignment.is_some() {
            return self.want_shared(id, monitor, now, out);
        }
        let found_with = nanny.found_with.take();
        let (arguments, is_same_program) = match &nanny.monitor {
            Some(before) => (Some(&before.arguments), before.program == monitor.program),
            // The file wants again what was sheltered.
            None => (found_with.as_ref(), true),
        };
        let is_same = arguments.map(|arguments| is_same_program && *arguments == monitor.arguments);
        let is_outdated =
            is_same == Some(false) && arguments.is_some_and(|it| !nanny_command::same_checks(it, &monitor.arguments));
        self.assign(id, monitor);
        match is_same {
            // On its way out: another follows when it is gone.
            None => Wish::Started,
            Some(true) => Wish::Unchanged,
            Some(false) => {
                self.outdate(id, is_outdated);
                self.feed(id, Event::Replace, now, out);
                Wish::Replaced
            }
        }
    }

    /// The next process of this nanny checks in another way, if so.
    pub(super) fn outdate(&mut self, id: Id, is_outdated: bool) {
        let seats = self.all.get_mut(&id).into_iter().flat_map(|nanny| nanny.seats.values_mut());
        seats.for_each(|seat| seat.is_outdated |= is_outdated);
    }

    /// The same where the nanny it has keeps others too, or the one it should have.
    fn want_shared(&mut self, id: Id, monitor: &Rc<Monitor>, now: Instant, out: &mut Vec<Action>) -> Wish {
        let Some(nanny) = self.all.get_mut(&id) else { return Wish::Unchanged };
        let is_elsewhere = nanny.place != monitor.place;
        let program = nanny.monitor.as_ref().map(|monitor| monitor.program.clone());
        let Some(seat) = nanny.seats.get_mut(&monitor.target) else { return Wish::Unchanged };
        if seat.is_leaving() {
            // It is given to whom it should have when this one has let go of it.
            seat.next = Some(Rc::clone(monitor));
            return Wish::Started;
        }
        if is_elsewhere {
            seat.next = Some(Rc::clone(monitor));
            self.depart(id, &monitor.target, true, now, out);
            return Wish::Replaced;
        }
        let before = seat.wanted.clone();
        self.assign(id, monitor);
        match before {
            None => Wish::Started,
            Some(_) if program.is_some_and(|program| program != monitor.program) => {
                // For all others in it too.
                self.feed(id, Event::Replace, now, out);
                Wish::Replaced
            }
            Some(before) if before.assignment != monitor.assignment => Wish::Replaced,
            Some(_) => Wish::Unchanged,
        }
    }

    /// A destination gets a nanny: one that checks for others already, or a new one.
    fn employ(&mut self, monitor: &Rc<Monitor>, now: Instant, out: &mut Vec<Action>) {
        let known = self.by_place.get(&monitor.place).copied().filter(|_| monitor.assignment.is_some());
        let id = known.unwrap_or_else(|| self.insert(Nanny::new(self.rules, &monitor.place, now)));
        self.assign(id, monitor);
        if known.is_none() {
            self.feed(id, Event::Tick, now, out);
            return;
        }
        let Some(nanny) = self.all.get(&id) else { return };
        if let Some(pid) = nanny.child.pid().filter(|_| nanny.guest.is_none() && !nanny.is_going) {
            let (name, server) = (monitor.name.clone(), monitor.server.clone());
            out.push(Action::Say(Message::MonitorCreated { name, server, pid }));
        }
    }

    /// Its nanny let go of it: who waits for it comes, and goes on with what is known.
    pub(super) fn hand_on(&mut self, seat: Seat, flaps: Option<(Flaps, Instant)>, now: Instant, out: &mut Vec<Action>) {
        let Some(next) = seat.next else { return };
        self.want(&next, now, out);
        let Some(nanny) = self.by_target.get(&next.target).and_then(|id| self.all.get_mut(id)) else { return };
        let Some(new) = nanny.seats.get_mut(&next.target) else { return };
        (new.stays, new.refuses, new.fell) = (new.stays.or(seat.stays), seat.refuses, seat.fell);
        // Its server is as it was found, if the next one would have found it in the same way.
        if seat.label.is_some_and(|label| nanny_command::same_checks(&label.arguments, &next.arguments)) {
            (new.verdict, new.since) = (seat.verdict, seat.since);
            nanny.flaps = nanny.flaps.or(flaps);
        }
    }

    /// This nanny is to keep it so.
    pub(super) fn assign(&mut self, id: Id, monitor: &Rc<Monitor>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.monitor = Some(Rc::clone(monitor));
        nanny.label = Some(Rc::clone(monitor));
        nanny.place.clone_from(&monitor.place);
        let mut is_told = monitor.assignment.is_none();
        if let Some(seat) = nanny.seats.get_mut(&monitor.target) {
            is_told |= seat.wanted.as_ref().is_some_and(|before| before.assignment == monitor.assignment);
            seat.wanted = Some(Rc::clone(monitor));
            seat.label = Some(Rc::clone(monitor));
            seat.next = None;
            seat.is_sheltered = false;
        } else {
            // A nanny that followed another has its destination instead of that one's.
            let before = if monitor.assignment.is_none() { nanny.seats.pop_first() } else { None };
            let Seat { stays, refuses, fell, .. } = before.map(|(_, seat)| seat).unwrap_or_default();
            nanny.seats.insert(monitor.target, Seat { stays, refuses, fell, ..Seat::of(monitor) });
        }
        if !is_told {
            nanny.words.add(monitor.target);
            self.speaking.insert(id);
        }
        self.by_target.insert(monitor.target, id);
    }
}
