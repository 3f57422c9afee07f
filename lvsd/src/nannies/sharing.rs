//! Nannies that keep several destinations: what such a one is told, one by one, on its
//! line, while it goes on with the others.
//!
//! ```text
//! wanted     ─► to be said ─► hold ─► said ─► holds, as it was said ─► (nothing)
//! not wanted ─► to be said ─► drop ─► said ─► dropped ─► the seat is free: who waits for it comes
//! ```
//!
//! What is said and not answered is said again at the next look; a process that begins
//! is told everything. A seat that leaves is its nanny's until this one said that it let
//! go, or is dead: never do two write to one destination.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Instant;

use common::channel::{ASK_ROOM, Ask};
use common::child::Event;
use common::destinations::{Assignment, DESTINATIONS_MAX, Held, is_shared_place, pack};
use common::ipvs::{DestinationKey, ServiceKey};

use super::nanny::Nanny;
use super::seat::Seat;
use super::{Action, Id, Nannies};
use crate::wanted::Target;

/// What one of them has to be told.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// About whom something is to be said.
    unsaid: BTreeSet<Target>,
    /// About whom something was said that was not answered.
    said: BTreeSet<Target>,
    /// What a guest keeps, before it is known whose it is.
    claims: Vec<Held>,
}

impl Words {
    /// A process begins, or is met: it is told everything.
    pub(super) fn begin(&mut self, seats: &BTreeMap<Target, Seat>) {
        self.said.clear();
        self.unsaid = seats.iter().filter(|(_, seat)| !seat.is_sheltered).map(|(target, _)| *target).collect();
    }

    /// Something is to be said about this one.
    pub(super) fn add(&mut self, target: Target) {
        self.said.remove(&target);
        self.unsaid.insert(target);
    }

    fn forget(&mut self, target: &Target) {
        self.unsaid.remove(target);
        self.said.remove(target);
    }
}

impl Nannies {
    /// Says what is to be said. Call it before the loop waits.
    pub fn speak(&mut self) {
        for id in std::mem::take(&mut self.speaking) {
            if let Some(nanny) = self.all.get_mut(&id) {
                nanny.speak();
            }
        }
    }

    /// What was not answered is to be said again.
    pub fn repeat(&mut self) {
        for (id, nanny) in &mut self.all {
            if nanny.words.said.is_empty() && nanny.words.unsaid.is_empty() {
                continue;
            }
            nanny.words.unsaid.append(&mut nanny.words.said);
            self.speaking.insert(*id);
        }
    }

    /// Its nanny is to let go of a destination, which stays in the kernel or does not;
    /// the others notice nothing.
    pub(super) fn let_go(&mut self, id: Id, target: &Target, stays: bool, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        // One that was found and did not say its name yet may keep it.
        let has_process = nanny.child.pid().is_some() || nanny.guest.is_some();
        let Some(seat) = nanny.seats.get_mut(target) else { return };
        (seat.wanted, seat.is_sheltered, seat.stays_behind) = (None, false, stays);
        if has_process {
            nanny.words.add(*target);
            self.speaking.insert(id);
        } else {
            self.vacate(id, target, now, out);
        }
    }

    /// A destination is its nanny's no more.
    pub(super) fn vacate(&mut self, id: Id, target: &Target, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        let Some(seat) = nanny.seats.remove(target) else { return };
        nanny.words.forget(target);
        let (is_idle, flaps) = (nanny.seats.is_empty(), nanny.flaps);
        if is_idle {
            nanny.monitor = None;
        }
        if self.by_target.get(target) == Some(&id) {
            self.by_target.remove(target);
        }
        out.push(Action::Ended(Some(*target)));
        self.hand_on(seat, flaps, now, out);
        if is_idle && self.all.get(&id).is_some_and(|nanny| nanny.seats.is_empty()) {
            self.end(id, now, out);
        }
    }

    /// A shared nanny's process is gone: who was leaving has left, and the next one is
    /// for the others.
    pub(super) fn lost_process(&mut self, id: Id) -> Vec<Target> {
        let Some(nanny) = self.all.get_mut(&id).filter(|nanny| nanny.is_shared()) else { return Vec::new() };
        nanny.line = None;
        nanny.monitor = nanny.seats.values().find_map(|seat| seat.wanted.clone());
        nanny.seats.iter().filter(|(_, seat)| seat.wanted.is_none()).map(|(target, _)| *target).collect()
    }

    /// What it keeps, and what became of that.
    pub(super) fn heard_holds(&mut self, id: Id, held: Vec<Held>, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        if nanny.guest.is_some() {
            let room = DESTINATIONS_MAX.saturating_sub(nanny.words.claims.len());
            nanny.words.claims.extend(held.into_iter().take(room));
            return;
        }
        let mut news = Vec::new();
        for Held { assignment, verdict } in held {
            let target = assignment.target;
            let Some(nanny) = self.all.get_mut(&id) else { return };
            match nanny.seats.get(&target) {
                Some(seat) if seat.assignment() == Some(assignment) => nanny.words.forget(&target),
                Some(_) => {}
                None => {
                    // Nobody gave it this one, or another keeps it by now: it is to let go of it.
                    let stays_behind = self.by_target.contains_key(&target);
                    if nanny.seats.len() < DESTINATIONS_MAX {
                        nanny.seats.insert(target, Seat { stays_behind, ..Seat::default() });
                        nanny.words.add(target);
                        self.by_target.entry(target).or_insert(id);
                    }
                    continue;
                }
            }
            if let Some(verdict) = verdict {
                news.extend(self.judged(id, &target, verdict, now, out));
            }
        }
        self.ask_why(id, news);
        self.speaking.insert(id);
    }

    /// What it keeps no more.
    pub(super) fn heard_dropped(&mut self, id: Id, targets: &[Target], now: Instant, out: &mut Vec<Action>) {
        for target in targets {
            let seat = self.all.get(&id).and_then(|nanny| nanny.seats.get(target));
            if seat.is_some_and(Seat::is_leaving) {
                self.vacate(id, target, now, out);
            }
        }
        self.speaking.insert(id);
    }

    /// What a guest that keeps several says that it keeps; `None`: it is not one of those.
    pub fn claims(&self, id: Id) -> Option<Vec<Target>> {
        let nanny = self.all.get(&id).filter(|nanny| is_shared_place(&nanny.place))?;
        Some(nanny.words.claims.iter().map(|held| held.assignment.target).collect())
    }

    /// What a guest said that it keeps counts from here on. One that keeps nothing leaves.
    pub fn settle_in(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        let claims = std::mem::take(&mut nanny.words.claims);
        for Held { assignment, .. } in &claims {
            if let Some(seat) = nanny.seats.get_mut(&assignment.target) {
                // Who is held by a floor stays there until that is judged again.
                seat.stays.get_or_insert(assignment.stays);
            }
        }
        nanny.words.begin(&nanny.seats);
        self.heard_holds(id, claims, now, out);
        if self.all.get(&id).is_some_and(|nanny| nanny.seats.is_empty()) {
            self.feed(id, Event::Replace, now, out);
        }
    }

    /// The nannies that keep something in this service are to look at the kernel now.
    pub(super) fn ask_shared(&self, service: &ServiceKey) {
        let any = DestinationKey { address: Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        let first = Target { service: *service, destination: any };
        for nanny in self.all.values().filter(|nanny| nanny.is_shared()) {
            if nanny.seats.range(first..).next().is_some_and(|(target, _)| target.service == *service) {
                nanny.say(&Ask::CheckService(*service));
            }
        }
    }
}

impl Nanny {
    /// `false`: its line is full. One that is broken shows when it is read.
    fn say(&self, ask: &Ask) -> bool {
        self.line.as_ref().is_none_or(|line| line.try_send(&ask.encode()).unwrap_or(true))
    }

    fn speak(&mut self) {
        let can_hear = self.guest.is_none() && self.line.is_some() && self.child.pid().is_some();
        if !can_hear || self.is_going || self.words.unsaid.is_empty() {
            return;
        }
        let (mut holds, mut stay, mut go): (Vec<Assignment>, Vec<Target>, Vec<Target>) = Default::default();
        for target in &self.words.unsaid {
            match self.seats.get(target) {
                None => {}
                Some(seat) if seat.is_leaving() && seat.stays_behind => stay.push(*target),
                Some(seat) if seat.is_leaving() => go.push(*target),
                Some(seat) => holds.extend(seat.assignment()),
            }
        }
        let drops = |targets: &[Target], stays| {
            let packets = pack(targets, ASK_ROOM).into_iter();
            packets.map(move |targets| (targets.clone(), Ask::Drop { stays, targets })).collect::<Vec<_>>()
        };
        let mut packets = drops(&stay, true);
        packets.extend(drops(&go, false));
        packets.extend(
            pack(&holds, ASK_ROOM)
                .into_iter()
                .map(|all| (all.iter().map(|assignment| assignment.target).collect(), Ask::Hold(all))),
        );
        for (targets, ask) in packets {
            if !self.say(&ask) {
                // Its next word shows that it reads.
                return;
            }
            for target in targets {
                self.words.unsaid.remove(&target);
                self.words.said.insert(target);
            }
        }
        self.words.unsaid.clear();
    }
}

#[cfg(test)]
mod tests;
