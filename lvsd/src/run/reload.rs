//! A reload: the file is read again, what it brings is set up service by service
//! (`set_ups`), and only then does what left it go.

use std::time::Instant;

use common::ipvs::Ipvs;

use super::{Daemon, Outcome, Phase};
use crate::departure::{self, Departure};
use crate::file;
use crate::messages::Message;

impl<K: Ipvs> Daemon<K> {
    pub(super) fn reread(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::Rereading);
        let read = file::read(&self.settings.file, &self.settings.nanny, &self.settings.manner);
        let (wanted, lines) = match read {
            Ok(read) => read,
            Err(trouble) => return trouble.lines.iter().for_each(|line| self.log.say(line)),
        };
        self.say_notes(&lines);
        let departures = departure::departures(&wanted, &self.nannies.running(), self.services.ledger());
        let mut out = Vec::new();
        self.services.load(wanted, &mut out);
        self.perform_services(out, now);
        // Guests that were not introduced yet are seen off with the others of the start.
        if self.phase == Phase::Working {
            self.reload = Some(Outcome { stopped: departures.len(), ..Outcome::default() });
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
            self.nannies.leave(&departure.target, departure.stay.is_some(), now, &mut out);
        }
        self.perform(out, now);
    }
}
