//! Processes found at meeting places: who they are, and whose they become.

use std::rc::Rc;
use std::time::Instant;

use common::channel::Line;
use common::child::Event;

use super::nanny::{Guest, Nanny};
use super::seat::Seat;
use super::{Action, HELLO_WITHIN, Id, Nannies};
use crate::nanny_command::{self, Arguments};
use crate::wanted::{Monitor, Target};

impl Nannies {
    /// Whether guests that no wish led to are awaited.
    pub fn has_guests(&self) -> bool {
        self.strangers > 0
    }

    /// How many run that an lvsd before us started.
    pub fn adopted(&self) -> usize {
        let adopted = |nanny: &&Nanny| !nanny.is_ours && nanny.monitor.is_some() && nanny.child.pid().is_some();
        self.all.values().filter(adopted).count()
    }

    /// Somebody answers at a meeting place that no wish led to. The id is the
    /// token of the line.
    pub fn guest(&mut self, place: &str, line: Line, pid: u32, now: Instant) -> Id {
        let id = self.insert(Nanny::new(self.rules, place, now));
        self.all.entry(id).and_modify(|nanny| {
            // The machine asks for a process; this one is the answer.
            nanny.child.handle(Event::Tick, now, &mut Vec::new());
            nanny.line = Some(line);
            nanny.guest = Some(Guest { pid, until: now + HELLO_WITHIN, is_stranger: true });
        });
        self.strangers += 1;
        self.schedule(id);
        id
    }

    /// A guest is the nanny that keeps this monitor's destination. Its arguments
    /// are as it said them; unknown ones pass (it is frozen, and will be found so).
    pub fn place(
        &mut self,
        id: Id,
        monitor: &Rc<Monitor>,
        arguments: Option<&Arguments>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.claims(id).is_some() {
            // Where another keeps it, it is told so by [`Nannies::settle_in`].
            if !self.by_target.contains_key(&monitor.target) {
                self.assign(id, monitor);
            }
            return;
        }
        if monitor.assignment.is_some() && self.shelter(id, monitor.target, arguments) {
            // It goes on until the nanny that keeps several has taken over.
            return;
        }
        if self.by_target.contains_key(&monitor.target) {
            // Two for one destination: this one leaves without touching it.
            self.feed(id, Event::Replace, now, out);
            return;
        }
        self.assign(id, monitor);
        if let Some(arguments) = arguments.filter(|arguments| **arguments != monitor.arguments) {
            self.outdate(id, !nanny_command::same_checks(arguments, &monitor.arguments));
            self.feed(id, Event::Replace, now, out);
        }
    }

    /// A guest with these arguments is not wanted, and keeps this destination; it works on
    /// for now. `false`: another keeps it.
    pub fn shelter(&mut self, id: Id, target: Target, arguments: Option<&Arguments>) -> bool {
        if self.by_target.contains_key(&target) {
            return false;
        }
        if let Some(nanny) = self.all.get_mut(&id) {
            nanny.found_with = arguments.filter(|_| !nanny.is_shared()).cloned();
            nanny.seats.insert(target, Seat { is_sheltered: true, ..Seat::default() });
            self.by_target.insert(target, id);
        }
        true
    }

    /// A guest is not wanted; it takes its destination with it.
    pub fn dismiss(&mut self, id: Id, target: Option<Target>, now: Instant, out: &mut Vec<Action>) {
        if let Some(target) = target
            && !self.by_target.contains_key(&target)
            && let Some(nanny) = self.all.get_mut(&id)
        {
            nanny.seats.insert(target, Seat::default());
            self.by_target.insert(target, id);
        }
        self.stop(id, now, out);
    }

    /// The answer to [`Action::Find`] and [`Action::FindAgain`]: this process
    /// answers at its meeting place.
    pub fn found(&mut self, id: Id, line: Line, pid: u32, now: Instant) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.line = Some(line);
        self.lineless.remove(&id);
        nanny.remind();
        self.speaking.insert(id);
        if nanny.child.pid().is_none() {
            nanny.is_going = false;
            nanny.is_ours = false;
            nanny.is_predecessor = false;
            nanny.guest = Some(Guest { pid, until: now + HELLO_WITHIN, is_stranger: false });
        }
        self.schedule(id);
    }

    /// The Hello of a process that was found, or the end of our patience.
    pub(super) fn introduced(&mut self, id: Id, arguments: Option<Arguments>, now: Instant, out: &mut Vec<Action>) {
        let Some(guest) = self.take_guest(id) else { return };
        let monitor = self.monitor(id).cloned();
        self.feed(id, Event::Adopted(guest.pid), now, out);
        match monitor {
            None => out.push(Action::Introduced(id, arguments)),
            Some(monitor) if arguments.as_ref().is_some_and(|arguments| *arguments != monitor.arguments) => {
                let is_same = arguments.is_some_and(|it| nanny_command::same_checks(&it, &monitor.arguments));
                self.outdate(id, !is_same);
                self.feed(id, Event::Replace, now, out);
            }
            Some(_) if self.claims(id).is_some() => self.settle_in(id, now, out),
            Some(_) => {}
        }
    }

    /// It is known who it is, or it is not awaited any more.
    pub(super) fn take_guest(&mut self, id: Id) -> Option<Guest> {
        let guest = self.all.get_mut(&id)?.guest.take()?;
        if guest.is_stranger {
            self.strangers -= 1;
        }
        Some(guest)
    }
}
