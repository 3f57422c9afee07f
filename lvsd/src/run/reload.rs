//! A reload: the file is read again, what it brings is set up service by service
//! (`set_ups`), and only then does what left it go.

use std::collections::BTreeSet;
use std::time::Instant;

use common::ipvs::Ipvs;
use common::names::{self, Known};

use super::{Daemon, Outcome, Phase, RESOLVER, Settings};
use crate::asking::Asking;
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
        // It was begun for a file that may be another by now.
        self.end_lookup();
        let names = names::names_in(&self.settings.file);
        if names.is_empty() {
            return self.take(&names, &Known::default(), now);
        }
        let watch = (self.poll.registry(), RESOLVER);
        self.lookup = Asking::begin(&names, &self.hosts, watch, now);
        if self.lookup.is_none() {
            self.take(&names, &Known::default(), now);
        }
    }

    /// The host names of a reload, when all came or their time is over.
    pub(super) fn take_answers(&mut self, now: Instant) {
        let Some((names, answers)) = self.lookup.as_mut().and_then(|asking| asking.answers(now)) else { return };
        self.end_lookup();
        self.take(&names, &answers, now);
    }

    pub(super) fn end_lookup(&mut self) {
        if let Some(asking) = self.lookup.take() {
            asking.end();
        }
    }

    /// For a successor that has no name server.
    pub(super) fn keep_hosts(&mut self) {
        if self.settings.places.is_some()
            && let Err(e) = self.hosts.keep()
        {
            self.log.say(&Message::NoState { reason: format!("host names: {e}") });
        }
    }

    /// What the file asks for is what should be, unless it is wrong.
    fn take(&mut self, names: &BTreeSet<String>, answers: &Known, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        let stale = self.hosts.learn(names, answers);
        let Settings { file, nanny, manner, .. } = &self.settings;
        let (mut wanted, mut lines) = match file::read(file, &self.hosts, nanny, manner) {
            Ok(asked) => asked,
            Err(trouble) => return trouble.lines.iter().for_each(|line| self.log.say(line)),
        };
        self.keep_hosts();
        lines.extend(Message::stale(stale));
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
        // Guests that were not introduced yet are seen off with the others of the start.
        if self.phase == Phase::Working {
            self.reload = is_reload.then(Outcome::default);
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
