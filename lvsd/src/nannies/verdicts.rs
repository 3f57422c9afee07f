//! What is known of real servers by the word of their nannies, and what of it those of a
//! service have to know of each other: who stays in use whatever checks say.

use std::time::Instant;

use common::channel::Ask;
use common::ipvs::DestinationKey;

use super::nanny::Nanny;
use super::seat::Seat;
use super::{Action, Id, Nannies};
use crate::floor::{self, Member};
use crate::services::Keepers;
use crate::sorry::Tally;
use crate::status::Known;
use crate::wanted::{Target, Virtual};

impl Keepers for Nannies {
    fn owns(&self, target: &Target) -> bool {
        self.by_target.contains_key(target)
    }

    fn expected(&self, wanted: &Virtual) -> Option<Vec<DestinationKey>> {
        let mut expected = Vec::new();
        for target in wanted.monitors.iter().map(|monitor| &monitor.target) {
            let (good, weight) = self.seat(target)?.verdict?;
            if good || weight > 0 {
                expected.push(target.destination);
            }
        }
        Some(expected)
    }
}

impl Nannies {
    /// What the nannies of these destinations say.
    pub fn tally<'a>(&self, targets: impl Iterator<Item = &'a Target>) -> Tally {
        let mut tally = Tally::default();
        for target in targets {
            tally.servers += 1;
            match self.member(target) {
                Member { available: Some(true), .. } => tally.available += 1,
                Member { is_kept: true, .. } => tally.kept += 1,
                Member { available: Some(false), .. } => {}
                Member { available: None, .. } => tally.silent += 1,
            }
        }
        tally
    }

    /// What is known of this real server.
    pub fn known(&self, target: &Target, now: Instant) -> Known {
        let nanny = self.by_target.get(target).and_then(|id| self.all.get(id));
        let of = |(nanny, seat): (&Nanny, &Seat)| Known {
            verdict: seat.verdict,
            since: seat.since.map(|since| now.saturating_duration_since(since)),
            why: nanny.why.clone().filter(|_| seat.is_down()),
        };
        nanny.and_then(|nanny| Some((nanny, nanny.seats.get(target)?))).map_or_else(Known::default, of)
    }

    fn seat(&self, target: &Target) -> Option<&Seat> {
        self.all.get(self.by_target.get(target)?)?.seats.get(target)
    }

    pub(super) fn member(&self, target: &Target) -> Member {
        self.seat(target).map_or_else(Member::default, Seat::member)
    }

    /// Tells the nannies of this virtual who of them stays in use whatever checks say.
    pub fn keep_floor(&mut self, wanted: &Virtual) {
        let members: Vec<Member> = wanted.monitors.iter().map(|monitor| self.member(&monitor.target)).collect();
        let stay = floor::who_stays(wanted.pool.min_up, &members);
        for (monitor, stays) in wanted.monitors.iter().zip(stay) {
            let Some(&id) = self.by_target.get(&monitor.target) else { continue };
            let Some(nanny) = self.all.get_mut(&id) else { continue };
            let Some(seat) = nanny.seats.get_mut(&monitor.target) else { continue };
            // What a nanny of several holds, it says by itself.
            let told = seat.stays.or_else(|| monitor.assignment.map(|_| false));
            // One that was found may be what a lvsd before us kept: its verdict says so.
            let is_unknown = told.is_none() && seat.verdict.is_none() && !stays;
            if told == Some(stays) || is_unknown || !monitor.is_nanny {
                continue;
            }
            seat.stays = Some(stays);
            if nanny.is_shared() {
                nanny.words.add(monitor.target);
                self.speaking.insert(id);
            } else if let Some(line) = &nanny.line {
                // A line that is broken shows when it is read; its next process is reminded.
                let _ = line.send(&Ask::Stay(stays).encode());
            }
        }
    }

    /// Its nanny's word about a destination: whether it is good, and its weight. `Some`:
    /// whether it is good is news.
    pub(super) fn judged(
        &mut self,
        id: Id,
        target: &Target,
        (available, weight): (bool, u32),
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Option<bool> {
        let nanny = self.all.get_mut(&id)?;
        let seat = nanny.seats.get_mut(target)?;
        let before = seat.member();
        let is_news = seat.verdict.is_none_or(|(was, _)| was != available);
        out.extend(seat.news(target, available, nanny.is_ours).map(Action::News));
        seat.verdict = Some((available, weight));
        if is_news {
            seat.since = Some(now);
        }
        if before.available == Some(true) && seat.available() == Some(false) {
            self.falls += 1;
            seat.fell = Some(self.falls);
        }
        if seat.available() == Some(true) {
            seat.fell = None;
        }
        // One that crossed our word on its way says more in a moment.
        seat.refuses = seat.verdict == Some((false, 0)) && (seat.stays == Some(true) || seat.refuses);
        let after = seat.member();
        if before.available != after.available || before.is_kept != after.is_kept {
            out.push(Action::Judged(target.service));
        }
        is_news.then_some(available)
    }

    /// After words about any number of its destinations: when one is down, the nanny is
    /// asked why.
    pub(super) fn ask_why(&mut self, id: Id, news: impl IntoIterator<Item = bool>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        let mut news = news.into_iter().peekable();
        if news.peek().is_some() {
            nanny.why = None;
        }
        if news.any(|available| !available) {
            nanny.ask_why();
        }
    }
}
