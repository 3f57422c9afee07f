//! A reload: the file is read again, what it brings is set up service by service
//! (`set_ups`), and only then does what left it go.

use std::os::fd::AsRawFd as _;
use std::time::Instant;

use common::daemon;
use common::ipvs::Ipvs;
use common::names::Lookup;
use mio::Interest;
use mio::unix::SourceFd;

use super::{Daemon, Outcome, Phase, RESOLVER, Settings};
use crate::departure::{self, Departure};
use crate::file::{self, Asked};
use crate::messages::Message;

impl<K: Ipvs> Daemon<K> {
    /// HUP: reads the file, and asks for its host names if it has some. The beat goes
    /// on meanwhile.
    pub(super) fn reread(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::Rereading);
        // An earlier reload that still waits for its names is this one now.
        self.lookup = None;
        let asked = self.read_file();
        let names = self.names.asked();
        if names.is_empty() {
            return self.take(asked, now);
        }
        let program = daemon::sibling("lvsd");
        let asking = Lookup::ask(names.clone(), &program, now).and_then(|lookup| {
            if let Some(fd) = lookup.fd() {
                self.poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), RESOLVER, Interest::READABLE)?;
            }
            Ok(lookup)
        });
        self.lookup = Some(asking.unwrap_or_else(|_| Lookup::none(names)));
    }

    /// The host names of a reload, when their time is over or all came.
    pub(super) fn take_answers(&mut self, now: Instant) {
        if !self.lookup.as_mut().is_some_and(|lookup| lookup.is_done(now)) {
            return;
        }
        let Some(lookup) = self.lookup.take() else { return };
        let stale = self.names.learn(&lookup);
        let asked = self.read_file().map(|(wanted, mut lines)| {
            lines.extend(Message::stale(stale));
            (wanted, lines)
        });
        if asked.is_ok() {
            self.keep_names();
        }
        self.take(asked, now);
    }

    /// For a successor that has no resolver.
    pub(super) fn keep_names(&mut self) {
        if self.names.asked().is_empty() || self.settings.places.is_none() {
            return;
        }
        if let Err(e) = self.names.keep() {
            self.log.say(&Message::NoState { reason: format!("host names: {e}") });
        }
    }

    fn read_file(&self) -> Asked {
        let Settings { file, nanny, manner, .. } = &self.settings;
        file::read_at_once(file, &self.names, nanny, manner)
    }

    /// What the file asks for is what should be, unless it is wrong.
    fn take(&mut self, asked: Asked, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        let (wanted, lines) = match asked {
            Ok(asked) => asked,
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
