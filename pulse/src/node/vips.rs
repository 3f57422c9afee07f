//! PURE. What a director does for its virtual IPs beside raising and announcing
//! them: it has them on loan while a partner would take over, hears who else claims
//! them, and asks before it takes them from a silent partner.

use std::net::IpAddr;
use std::time::Instant;

use super::{Action, Node, State};
use crate::arp::Claim;
use crate::claimants::{Claimants, Rounds};
use crate::election::{self, Election};
use crate::lease::{Lease, Terms};
use crate::witness::{Inquiry, Plan, Questions};

/// Whom the network is listened to for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Claims to our virtual IPs.
    pub vips: bool,
    /// Witnesses.
    pub witnesses: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Vips {
    /// Those with the partner, if there is one.
    pub(super) terms: Option<Terms>,
    lease: Lease,
    /// A heartbeat was sent since the last turn.
    pub(super) has_beaten: bool,
    claimants: Claimants,
    rounds: Rounds,
    inquiry: Option<Inquiry>,
    listening: Listening,
}

impl Vips {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let inquiry = self.inquiry.as_ref().map(Inquiry::deadline);
        let all = [self.lease.deadline(), self.claimants.deadline(), self.rounds.deadline(), inquiry];
        all.into_iter().flatten().min()
    }
}

impl Node {
    /// The election wants to know whether we are the one cut off.
    pub(super) fn on_inquire(&mut self, plan: &Plan, now: Instant) {
        if self.is_asking() {
            self.vips.inquiry = Some(Inquiry::begin(plan, now));
        }
    }

    pub(super) fn on_witness(&mut self, witness: IpAddr) {
        if let Some(inquiry) = &mut self.vips.inquiry {
            inquiry.heard(witness);
        }
    }

    pub(super) fn on_claimed(&mut self, claim: Claim, now: Instant) {
        if let Some(inquiry) = &mut self.vips.inquiry {
            inquiry.claimed(claim.mac);
        }
        match self.state {
            State::Active { .. } => {
                if self.held.contains(&claim.address) && self.vips.claimants.heard(claim, now) {
                    self.announcements.defend(claim.address, now);
                }
            }
            // Whoever has them has every right to.
            State::Standby
            | State::Starting { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    fn is_asking(&self) -> bool {
        matches!(self.pair.as_ref().map(Election::state), Some(election::State::Asking { .. }))
    }

    /// At every tick, which every turn of the loop ends with.
    pub(super) fn tend(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.state == State::Over {
            return;
        }
        self.inquire(now, out);
        let asks = self.vips.inquiry.is_some();
        let vips = asks || matches!(self.state, State::Active { .. });
        let listening = Listening { vips, witnesses: asks };
        if std::mem::replace(&mut self.vips.listening, listening) != listening {
            out.push(Action::Listen(listening));
        }
        self.put_questions(now, out);
        match self.state {
            State::Active { .. } => {
                self.lend(now, out);
                let asked = self.vips.rounds.turn(&self.held, now);
                if !asked.is_empty() {
                    out.push(Action::Probe(asked));
                }
                out.extend(self.vips.claimants.turn(now).into_iter().map(Action::Accuse));
            }
            State::Starting { .. } | State::Holding => {
                self.lend(now, out);
                self.forget_others();
            }
            State::Standby | State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {
                self.vips.lease.end();
                self.forget_others();
            }
        }
    }

    fn forget_others(&mut self) {
        self.vips.claimants.clear();
        self.vips.rounds.clear();
    }

    /// Renews what is on loan, or lends it at all.
    pub(super) fn lend(&mut self, now: Instant, out: &mut Vec<Action>) {
        let beats = std::mem::take(&mut self.vips.has_beaten);
        let terms = self.vips.terms.filter(|_| self.pair.as_ref().is_some_and(Election::has_successor));
        out.extend(self.vips.lease.turn(terms, beats, now).map(Action::Lend));
    }

    /// Whether the inquiry has come to its end.
    fn inquire(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.is_asking() {
            self.vips.inquiry = None;
        }
        if let Some(answer) = self.vips.inquiry.as_ref().and_then(|inquiry| inquiry.answer(now)) {
            self.vips.inquiry = None;
            self.feed_pair(election::Event::Witness(answer), now, out);
        }
    }

    fn put_questions(&mut self, now: Instant, out: &mut Vec<Action>) {
        let questions = self.vips.inquiry.as_mut().map(|inquiry| inquiry.ask(now)).unwrap_or_default();
        if questions != Questions::default() {
            out.push(Action::Ask(questions));
        }
    }
}
