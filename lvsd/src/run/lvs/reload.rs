//! A reload: the file is read again, what it brings is set up service by service
//! (`set_ups`), and only then does what left it go.

use std::time::Instant;

use common::ipvs::Ipvs;

use super::{Daemon, Outcome, Phase, Virtuals};
use crate::departure::{self, Departure};
use crate::wanted::Wanted;

impl<K: Ipvs> Daemon<Virtuals<K>> {
    /// This should be from now on.
    pub(super) fn change(&mut self, wanted: Wanted, is_reload: bool, now: Instant) {
        let departures = departure::departures(&wanted, &self.nannies.running(), self.own.services.ledger());
        let mut out = Vec::new();
        self.own.services.load(wanted, &mut out);
        self.perform_services(out, now);
        // An operator's order in the middle of a reload does not make it none.
        if is_reload {
            self.own.reload = Some(Outcome::default());
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
        self.own.services.leave(&departures, &mut out);
        self.perform_services(out, now);
        self.own.follows = departures.iter().filter_map(|it| Some((it.followed_by?, it.target))).collect();
        self.own.departures = departures;
    }

    /// Everything that is wanted was set up.
    pub(super) fn depart(&mut self, now: Instant) {
        // A follower whose service could not be set up follows later.
        self.own.follows.clear();
        let mut out = Vec::new();
        for departure in std::mem::take(&mut self.own.departures) {
            let left = self.nannies.leave(&departure.target, departure.stay.is_some(), now, &mut out);
            if let Some(outcome) = self.own.reload.as_mut().filter(|_| left) {
                outcome.stopped += 1;
            }
        }
        self.perform(out, now);
    }
}
