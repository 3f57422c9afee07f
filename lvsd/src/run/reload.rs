//! A reload: the file is read again, what it brings is set up service by service
//! (`set_ups`), and only then does what left it go.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Instant;

use mio::Interest;
use mio::unix::SourceFd;
use nix::sys::signal::Signal;

use common::daemon;
use common::ipvs::Ipvs;
use common::names::{self, Known, Lookup};

use super::{Daemon, Outcome, Phase, RESOLVER, Settings};
use crate::departure::{self, Departure};
use crate::file;
use crate::hands;
use crate::hosts::PATIENCE;
use crate::messages::Message;
use crate::wanted::Wanted;

/// Host names that are being looked up for a reload.
#[derive(Debug)]
pub(super) struct Asking {
    lookup: Lookup,
    names: BTreeSet<String>,
    pub(super) until: Instant,
    /// The process has not been reaped.
    lives: bool,
}

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
        let patience = if self.hosts.know(&names) { PATIENCE } else { names::WITHIN };
        let Ok(lookup) = Lookup::start(&daemon::sibling("lvsd"), &names, now) else {
            return self.take(&names, &Known::default(), now);
        };
        // Unwatched it is read at the next deadline.
        let fd = lookup.as_fd().as_raw_fd();
        let _ = self.poll.registry().register(&mut SourceFd(&fd), RESOLVER, Interest::READABLE);
        self.lookup = Some(Asking { lookup, names, until: now + patience, lives: true });
    }

    /// The host names of a reload, when all came or their time is over.
    pub(super) fn take_answers(&mut self, now: Instant) {
        let Some(asking) = &mut self.lookup else { return };
        let is_over = now >= asking.until;
        // For us its time is over before its own is, if so.
        let Some(answers) = asking.lookup.read(if is_over { now + names::WITHIN } else { now }) else { return };
        let names = std::mem::take(&mut asking.names);
        self.end_lookup();
        self.take(&names, &answers, now);
    }

    /// A child ended that may be the one that looks names up.
    pub(super) fn lookup_ended(&mut self, pid: u32) {
        if let Some(asking) = self.lookup.as_mut().filter(|asking| asking.lookup.pid() == pid) {
            asking.lives = false;
        }
    }

    pub(super) fn end_lookup(&mut self) {
        if let Some(asking) = self.lookup.take().filter(|asking| asking.lives) {
            hands::signal(asking.lookup.pid(), Signal::SIGKILL);
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
