//! A reload: the file is read again, what it brings is set up service by service
//! (`set_ups`), and only then does what left it go.

use std::time::Instant;

use common::ipvs::Ipvs;

use super::{Daemon, Outcome, Phase, RESOLVER, Settings};
use crate::asking::Answers;
use crate::departure::{self, Departure};
use crate::file;
use crate::messages::Message;
use crate::wanted::Wanted;

impl<K: Ipvs> Daemon<K> {
    /// HUP: reads the file; if it names hosts, once their answers came. The loop goes
    /// on meanwhile.
    pub(super) fn reread(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::Rereading);
        let watch = (self.poll.registry(), RESOLVER);
        if let Some(answers) = self.asking.begin(&self.settings.file, watch, now) {
            self.take(&answers, now);
        }
    }

    /// The host names of a reload, when all came or their time is over.
    pub(super) fn take_answers(&mut self, now: Instant) {
        if let Some(answers) = self.asking.answers(now) {
            self.take(&answers, now);
        }
    }

    /// What the file asks for is what should be, unless it is wrong.
    fn take(&mut self, answers: &Answers, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        let stale = self.asking.learn(answers);
        let Settings { file, nanny, manner, .. } = &self.settings;
        let (mut wanted, mut lines) = match file::read(file, self.asking.hosts(), nanny, manner) {
            Ok(asked) => asked,
            Err(trouble) => return trouble.lines.iter().for_each(|line| self.log.say(line)),
        };
        self.asking.keep().iter().for_each(|line| self.log.say(line));
        lines.extend(stale);
        self.say_notes(&lines);
        self.services.obey(&mut wanted);
        self.change(wanted, true, now);
    }

    /// This should be from now on.
    pub(super) fn change(&mut self, wanted: Wanted, is_reload: bool, now: Instant) {
        let departures = departure::departures(&wanted, &self.nannies.running(), self.services.ledger());
        let mut out = Vec::new();
        self.services.load(wanted, &mut out);
        self.perform_services(out, now);
        // An operator's order in the middle of a reload does not make it none.
        if is_reload {
            self.reload = Some(Outcome::default());
        }
        // Guests that were not introduced yet are seen off with the others of the start.
        if self.phase == Phase::Working {
            self.see_off(departures, now);
            self.queue_set_ups(now);
        }
    }

    /// These go once everything that is wanted was set up. Those with a follower at
    /// the same meeting place go when it is its turn.
    pub(super) fn see_off(&mut self, departures: Vec<Departure>, now: Instant) {
        let mut out = Vec::new();
        self.services.leave(&departures, &mut out);
        self.perform_services(out, now);
        self.follows = departures.iter().filter_map(|it| Some((it.followed_by?, it.target))).collect();
        self.departures = departures;
    }

    /// Everything that is wanted was set up.
    pub(super) fn depart(&mut self, now: Instant) {
        // A follower whose service could not be set up follows later.
        self.follows.clear();
        let mut out = Vec::new();
        for departure in std::mem::take(&mut self.departures) {
            let left = self.nannies.leave(&departure.target, departure.stay.is_some(), now, &mut out);
            if let Some(outcome) = self.reload.as_mut().filter(|_| left) {
                outcome.stopped += 1;
            }
        }
        self.perform(out, now);
    }
}
