//! What happens to the server as it happens to each of its destinations: the judge of
//! each is told, the kernel is brought to what it wants, and lvsd hears what is news.

use std::time::Instant;

use common::channel::{SAID_ROOM, Said};
use common::destinations::{Held, Target, pack};
use common::ipvs;
use common::log::Log;

use super::kept::Kept;
use super::{LOOKS_PER_TURN, Nanny};
use crate::hands::table::Kernel;
use crate::health::{Change, Event};
use crate::messages::Message;
use crate::schedule;

impl Nanny {
    /// Hands an event to the judge of each destination; says what changed.
    /// [`Self::settle`] is to follow.
    pub(super) fn feed(&mut self, event: Event, now: Instant) {
        let mut changes = Vec::new();
        for n in 0..self.kept.len() {
            if let Some(kept) = self.kept.get_mut(n) {
                kept.health.handle(event, now, &mut changes);
            }
            self.say_changes(n, &mut changes);
        }
    }

    /// What changed of one destination. What is about this process is said once.
    pub(super) fn say_changes(&self, n: usize, changes: &mut Vec<Change>) {
        let (real, is_one) = (self.args.real, self.kept.len() == 1);
        let Some(kept) = self.kept.get(n) else { return };
        for change in changes.drain(..) {
            let line = match change {
                Change::OpaqueOn | Change::RoseOn | Change::GlassesOff if n > 0 => continue,
                Change::OpaqueOn => Message::OpaqueOn,
                Change::RoseOn => Message::RoseOn,
                Change::GlassesOff => Message::GlassesOff,
                Change::Admitted if self.args.fos => Message::ServiceWell { real },
                Change::Removed | Change::ForcedOut if self.args.fos => Message::ServiceLost { real },
                Change::LeftOut if self.args.fos => Message::ServiceAbsent { real },
                Change::Admitted => Message::Active { real },
                Change::Removed => Message::Inactive { real },
                Change::Held => Message::Held { real },
                Change::Dampened(checks) => Message::Dampened { real, checks },
                Change::LeftOut => Message::LeftOut { real },
                Change::Adopted(weight) => Message::Adopted { real, weight },
                Change::AdoptedQuiesced => Message::AdoptedQuiesced { real },
                Change::ForcedOut => Message::ForcedOut { real },
            };
            say_of(&self.log, &kept.name, is_one, &line);
        }
    }

    /// Brings the kernel to what the judges want, and only then tells lvsd: on that word
    /// it takes out the sorry server, and what a destination replaces.
    pub(super) fn settle(&mut self) {
        let is_one = self.kept.len() == 1;
        let mut news = Vec::new();
        for kept in &mut self.kept {
            let log = &self.log;
            let verdict = kept.settle(self.kernel.as_mut(), &mut |name, line| say_of(log, name, is_one, line));
            if verdict.is_some() {
                news.push(kept.held());
            }
        }
        self.tell(&news);
    }

    /// The verdicts of these, to all who listen.
    pub(super) fn tell(&mut self, news: &[Held]) {
        if self.args.service.is_none() {
            for packet in pack(news, SAID_ROOM) {
                let targets: Vec<Target> = packet.iter().map(|held| held.assignment.target).collect();
                if !self.hands.parents.tell(&Said::Holds(packet)) {
                    self.unheard(&targets);
                }
            }
        } else {
            for Held { assignment, verdict } in news {
                let Some((available, weight)) = *verdict else { continue };
                if !self.hands.parents.tell(&Said::Verdict { available, weight }) {
                    self.unheard(&[assignment.target]);
                }
            }
        }
    }

    /// A full line lost what was said of these: it is said again when they are settled
    /// the next time.
    fn unheard(&mut self, targets: &[Target]) {
        let lost = self.kept.iter_mut().filter(|kept| targets.contains(kept.target()));
        lost.for_each(|kept| kept.told = None);
    }

    /// Reads the kernel's entries of up to so many destinations; their judges learn
    /// what it has. All of them, if one could not be read: it says why.
    pub(super) fn look_and_adopt(&mut self, count: usize, now: Instant) -> Result<(), ipvs::Error> {
        let mut changes = Vec::new();
        for _ in 0..count.min(self.kept.len()) {
            self.looked = if self.looked < self.kept.len() { self.looked } else { 0 };
            let n = self.looked;
            self.looked += 1;
            self.look_at(n, now, &mut changes)?;
        }
        if !self.ready {
            self.ready = true;
            self.hands.parents.tell(&Said::Ready);
        }
        Ok(())
    }

    /// Reads the kernel's entry of one destination.
    pub(super) fn look_at(&mut self, n: usize, now: Instant, changes: &mut Vec<Change>) -> Result<(), ipvs::Error> {
        // Said in another way by those who exit for it.
        let exits = !self.started && !self.supervised;
        let is_one = self.kept.len() == 1;
        if let (Some(kept), Some(kernel)) = (self.kept.get_mut(n), &mut self.kernel) {
            let log = &self.log;
            kept.look(kernel, now, changes, &mut |name, line| {
                if !(exits && matches!(line, Message::TableTrouble { error: ipvs::Error::Permission })) {
                    say_of(log, name, is_one, line);
                }
            })?;
        }
        self.say_changes(n, changes);
        Ok(())
    }

    /// Reads the kernel and sets it right, a slice of the destinations at a time; also
    /// decides when to do so next.
    pub(super) fn look(&mut self, now: Instant) {
        let (first, count) = (self.looked, self.kept.len().min(LOOKS_PER_TURN));
        // What was wrong has been said.
        let looked = self.look_and_adopt(LOOKS_PER_TURN, now);
        if looked.is_ok() {
            self.settle();
        }
        let is_refused = self.kernel.as_ref().is_some_and(Kernel::is_refused);
        let every = if is_refused {
            schedule::LOOK_EVERY_REFUSED
        } else {
            let neighbours = self.kept.iter().cycle().skip(first).take(count).map(Kept::neighbours).max();
            schedule::look_every(neighbours.unwrap_or(0))
        };
        self.next_look = now + schedule::slice(every, count, self.kept.len());
    }
}

/// A line about one destination: among several with its service.
pub(super) fn say_of(log: &Log, service: &str, is_one: bool, line: &Message) {
    // They name it themselves, or are about all of them.
    let is_whole = matches!(
        line,
        Message::PutBack { .. }
            | Message::TakenOut { .. }
            | Message::ServiceMissing { .. }
            | Message::ServiceBack { .. }
            | Message::TableTrouble { .. }
            | Message::TableWell
            | Message::OpaqueOn
            | Message::RoseOn
            | Message::GlassesOff
    );
    if is_one || is_whole {
        log.say(line);
    } else {
        log.say(&Message::Among { service, line });
    }
}
