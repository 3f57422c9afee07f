//! One nanny as lvsd knows it: its machine, its line, and what it keeps.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::rc::Rc;
use std::time::Instant;

use common::channel::{Ask, Flaps, Line};
use common::child::{Child, Report, Rules};
use common::destinations::is_shared_place;

use super::Action;
use super::seat::Seat;
use super::sharing::Words;
use crate::messages::Message;
use crate::nanny_command::Arguments;
use crate::wanted::{Monitor, Target};

/// A process found at a meeting place, of which we await the Hello.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) pid: u32,
    pub(super) until: Instant,
    /// No wish led to it.
    pub(super) is_stranger: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Nanny {
    pub(super) child: Child,
    /// As it should run; `None`: it should not.
    pub(super) monitor: Option<Rc<Monitor>>,
    /// As it was last wanted, for the log.
    pub(super) label: Option<Rc<Monitor>>,
    /// What it keeps: one destination, or several that it is told (`words`); none while
    /// it is a guest.
    pub(super) seats: BTreeMap<Target, Seat>,
    pub(super) words: Words,
    pub(super) place: String,
    pub(super) line: Option<Line>,
    pub(super) guest: Option<Guest>,
    /// The command line of one that was found, and is sheltered.
    pub(super) found_with: Option<Arguments>,
    /// Its destination stays when it goes.
    pub(super) leaves_destination: bool,
    /// It was told to end, and is not to be told anything else.
    pub(super) is_going: bool,
    /// The process kept another destination, and makes room for the one that keeps this.
    pub(super) is_predecessor: bool,
    /// Our own child: waitpid tells of its end, not the line.
    pub(super) is_ours: bool,
    /// It said something since it started.
    pub(super) spoke: bool,
    /// It speaks another version of our words.
    pub(super) speaks_otherwise: bool,
    /// How its last check failed, a line a step, while its server is down.
    pub(super) why: Option<String>,
    /// How its server comes and goes, and when it said so.
    pub(super) flaps: Option<(Flaps, Instant)>,
    pub(super) leaving: Option<String>,
    /// When its line last ended although it may live.
    pub(super) line_ended: Option<Instant>,
    /// Its earliest entry among the deadlines.
    pub(super) queued: Option<Instant>,
}

impl Nanny {
    pub(super) fn new(rules: Rules, place: &str, now: Instant) -> Self {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        Self {
            child: Child::new(rules, hasher.finish(), now),
            monitor: None,
            label: None,
            seats: BTreeMap::new(),
            words: Words::default(),
            place: place.to_owned(),
            line: None,
            guest: None,
            found_with: None,
            leaves_destination: false,
            is_going: false,
            is_predecessor: false,
            is_ours: false,
            spoke: false,
            speaks_otherwise: false,
            why: None,
            flaps: None,
            leaving: None,
            line_ended: None,
            queued: None,
        }
    }

    /// Whether it is told what it keeps.
    pub(super) fn is_shared(&self) -> bool {
        is_shared_place(&self.place)
    }

    /// Says to a process that just began what its predecessor was told, before its first
    /// check, so that this one does not take the server out; and to one that was found
    /// again what it may have missed.
    pub(super) fn remind(&mut self) {
        if self.is_shared() {
            self.words.begin(&self.seats);
        } else if let (Some(stays), Some(line)) = (self.seats.values().find_map(|seat| seat.stays), &self.line) {
            // A line that is broken shows when it is read.
            let _ = line.send(&Ask::Stay(stays).encode());
        }
    }

    /// Says to a process that just began what its predecessor found, if its checks are the
    /// same: what the kernel has does not tell a drained server from a failed one, nor one
    /// that keeps falling from one that fell once.
    pub(super) fn hand_over(&mut self, now: Instant) {
        let (mut was, mut is_outdated) = (None, false);
        for seat in self.seats.values_mut() {
            is_outdated |= std::mem::take(&mut seat.is_outdated);
            // Where there are several it is one server: who is drained was not found bad.
            was = was.max(seat.verdict.map(|(good, _)| good));
        }
        if is_outdated {
            self.flaps = None;
            return;
        }
        let flaps = self.flaps.map(|(flaps, at)| Ask::Flapped(flaps.after(now.saturating_duration_since(at))));
        if let Some(line) = &self.line {
            for ask in was.map(Ask::Was).into_iter().chain(flaps) {
                // A line that is broken shows when it is read.
                let _ = line.send(&ask.encode());
            }
        }
    }

    /// The server is down: its nanny is asked why.
    pub(super) fn ask_why(&self) {
        if let Some(line) = &self.line {
            // A line that is broken shows when it is read.
            let _ = line.send(&Ask::Why.encode());
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.guest {
            Some(guest) => Some(guest.until),
            None => self.child.deadline(),
        }
    }

    /// A `client_monitor` that is not our nanny may never speak.
    pub(super) fn is_mute(&self) -> bool {
        !self.spoke && self.is_ours && self.label.as_ref().is_some_and(|label| !label.is_nanny)
    }

    pub(super) fn names(&self) -> (String, String) {
        match (&self.label, self.seats.len()) {
            (Some(label), 0 | 1) => (label.name.clone(), label.server.clone()),
            (Some(label), all) => (label.name.clone(), format!("{} and {} more", label.server, all - 1)),
            (None, _) => ("?".to_owned(), self.place.clone()),
        }
    }

    /// Asks it to leave its destination to its successor. One that cannot be asked is
    /// killed, which leaves the destination too; one that never learned our words gets
    /// the signal it knows.
    pub(super) fn release(&self, pid: u32) -> Option<Action> {
        if self.is_mute() {
            return Some(Action::Terminate(pid));
        }
        match &self.line {
            Some(line) if line.send(&Ask::Release.encode()).is_ok() => None,
            Some(_) | None => Some(Action::Kill(pid)),
        }
    }

    /// What the log says about a report of its machine.
    pub(super) fn words(&mut self, report: &Report) -> Message {
        let (name, server) = self.names();
        match *report {
            Report::Died { exit, again_in, .. } => {
                Message::NannyDied { name, server, exit, why: self.leaving.take(), again_in }
            }
            Report::Frozen { pid, silent } => Message::NannyFrozen { name, server, pid, silent },
            Report::Stubborn { pid } => Message::NannyStubborn { name, server, pid },
            Report::NotStarted { again_in } => {
                Message::NannyNotStarted { name, server, reason: String::new(), again_in }
            }
        }
    }
}
