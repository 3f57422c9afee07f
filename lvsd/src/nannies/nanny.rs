//! One nanny as lvsd knows it: its machine, its line, and what it said.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::rc::Rc;
use std::time::Instant;

use common::channel::services::{Happened, News};
use common::channel::{Ask, Line};
use common::child::{Child, Report, Rules};

use super::Action;
use crate::floor::Member;
use crate::messages::Message;
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
    pub(super) target: Option<Target>,
    pub(super) place: String,
    pub(super) line: Option<Line>,
    pub(super) guest: Option<Guest>,
    /// Found at start, and not wanted: it works on until what is wanted stands.
    pub(super) is_sheltered: bool,
    /// Its destination stays when it goes.
    pub(super) leaves_destination: bool,
    /// The process kept another destination, and makes room for the one that keeps this.
    pub(super) is_predecessor: bool,
    /// Our own child: waitpid tells of its end, not the line.
    pub(super) is_ours: bool,
    /// It said something since it started.
    pub(super) spoke: bool,
    /// It speaks another version of our words.
    pub(super) speaks_otherwise: bool,
    /// Whether its server is good, and the weight that it has; `None`: not judged.
    pub(super) verdict: Option<(bool, u32)>,
    /// When it began to be good or bad.
    pub(super) since: Option<Instant>,
    /// How its last check failed, a line a step, while its server is down.
    pub(super) why: Option<String>,
    /// It was told to stay in use, or not to.
    pub(super) stays: bool,
    /// It was told to stay, and its server is out all the same: somebody wants it so.
    pub(super) refuses: bool,
    /// When its server last failed, in the order of all that did.
    pub(super) fell: Option<u64>,
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
            target: None,
            place: place.to_owned(),
            line: None,
            guest: None,
            is_sheltered: false,
            leaves_destination: false,
            is_predecessor: false,
            is_ours: false,
            spoke: false,
            speaks_otherwise: false,
            verdict: None,
            since: None,
            why: None,
            stays: false,
            refuses: false,
            fell: None,
            leaving: None,
            line_ended: None,
            queued: None,
        }
    }

    /// Whether its server gets connections because it is good. One with weight 0 gets none.
    pub(super) fn available(&self) -> Option<bool> {
        self.verdict.map(|(good, weight)| good && weight > 0)
    }

    /// Its server as the floor of its service sees it.
    pub(super) fn member(&self) -> Member {
        let is_kept = matches!(self.verdict, Some((false, 1..)));
        // One that is drained has nothing for clients, whatever it was told.
        let is_drained = matches!(self.verdict, Some((true, 0)));
        let (stays, fell) = if self.refuses || is_drained { (false, None) } else { (self.stays, self.fell) };
        Member { available: self.available(), is_kept, stays, fell }
    }

    /// Says to a process that just began what its predecessor was told: before its
    /// first check, so that this one does not take the server out.
    pub(super) fn remind(&self) {
        if self.stays
            && let Some(line) = &self.line
        {
            // A line that is broken shows when it is read.
            let _ = line.send(&Ask::Stay(true).encode());
        }
    }

    /// The server is down: its nanny is asked why.
    pub(super) fn ask_why(&self) {
        if let Some(line) = &self.line {
            // A line that is broken shows when it is read.
            let _ = line.send(&Ask::Why.encode());
        }
    }

    /// What is to be told of a verdict, before it is taken down: a change of the one
    /// before. One that is well from the start is no news, nor is what a lvsd before us
    /// has heard.
    pub(super) fn news(&self, available: bool) -> Option<News> {
        let is_news = match self.verdict {
            Some((was, _)) => was != available,
            None => !available && self.is_ours,
        };
        let target = self.target.filter(|_| is_news)?;
        let ((name, server), destination) = (self.names(), target.destination);
        let (what, is) = if available { (Happened::ServerUp, "up") } else { (Happened::ServerDown, "down") };
        let text = format!("real server {destination} of virtual service {name} is {is}");
        Some(News { what, name: format!("{name}/{server}"), text, lost: 0 })
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
        match &self.label {
            Some(label) => (label.name.clone(), label.server.clone()),
            None => ("?".to_owned(), self.place.clone()),
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
