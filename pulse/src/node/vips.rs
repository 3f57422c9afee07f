//! PURE. What a director does for its virtual IPs beside raising and announcing
//! them: it has them on loan while a partner would take over, hears who else claims
//! them, and asks before it takes them from a silent partner.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Action, LOOK_GAP, Node, State};
use crate::arp::Claim;
use crate::claimants::{ASK_EVERY, Claimants, Rounds};
use crate::election::{self, Election};
use crate::lease::{Lease, Terms};
use crate::messages::Message;
use crate::withdrawal::{self, Change, Withdrawal};
use crate::witness::{Inquiry, Plan, Questions};

/// While the partner is silent virtual IPs are asked for as often as it may be, and
/// not more often than this.
const ASK_SILENT_MIN: Duration = Duration::from_secs(1);

/// After so long an advertisement is no answer to a question of ours.
const ANSWERED: Duration = Duration::from_millis(500);

/// How often addresses are announced while those of a dead partner may be there.
const OVERLAP_EVERY: Duration = Duration::from_millis(200);

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
    terms: Option<Terms>,
    /// How long a partner's addresses may outlive it.
    excess: Duration,
    /// Until when those of a dead partner may be there beside ours, and when ours are
    /// announced again meanwhile.
    overlap: Option<(Instant, Instant)>,
    lease: Lease,
    /// A heartbeat was sent since the last turn.
    pub(super) has_beaten: bool,
    claimants: Claimants,
    rounds: Rounds,
    inquiry: Option<Inquiry>,
    /// When virtual IPs were last asked for.
    asked: Option<Instant>,
    listening: Listening,
    pub(super) withdrawal: Withdrawal,
}

impl Vips {
    /// There is a partner, and both have these times.
    pub(super) fn agree(&mut self, keepalive: Duration, deadtime: Duration) {
        let terms = Terms::new(keepalive, deadtime);
        self.excess = terms.excess(keepalive, deadtime);
        self.terms = Some(terms);
    }

    /// The partner is dead, and we take over now.
    pub(super) fn overlap(&mut self, now: Instant) {
        self.overlap = (!self.excess.is_zero()).then(|| (now + self.excess, now + OVERLAP_EVERY));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let inquiry = self.inquiry.as_ref().map(Inquiry::deadline);
        let overlap = self.overlap.map(|(_, at)| at);
        let all = [self.lease.deadline(), self.claimants.deadline(), self.rounds.deadline(), inquiry, overlap];
        all.into_iter().flatten().min()
    }
}

impl Node {
    /// lvsd came, said its list of virtual IPs that nothing behind serves, or is ready.
    pub(super) fn on_withdrawal(&mut self, event: withdrawal::Event, now: Instant, out: &mut Vec<Action>) {
        let Some(Change { gone, back }) = self.vips.withdrawal.handle(event) else { return };
        out.push(Action::Withhold(self.vips.withdrawal.list().clone()));
        match &mut self.state {
            State::Active { looked, look_at } => {
                *look_at = (*look_at).min(now.max(*looked + LOOK_GAP));
                self.held.retain(|vip| !gone.contains(vip));
                self.announcements.keep_only(|vip| !gone.contains(vip));
                out.extend((!gone.is_empty()).then_some(Action::Say(Message::Withdrawing(gone))));
                out.extend((!back.is_empty()).then_some(Action::Say(Message::Returning(back))));
            }
            // Nobody here holds them, or not for long.
            State::Standby
            | State::Starting { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    /// The election wants to know whether we are the one cut off.
    pub(super) fn on_inquire(&mut self, plan: &Plan, now: Instant) {
        if self.is_asking() {
            let is_eclipsed = self.pair.as_ref().is_some_and(Election::is_eclipsed);
            self.vips.inquiry = Some(Inquiry::begin(plan, is_eclipsed, now));
        }
    }

    pub(super) fn on_witness(&mut self, witness: IpAddr) {
        if let Some(inquiry) = &mut self.vips.inquiry {
            inquiry.heard(witness);
        }
    }

    pub(super) fn on_claimed(&mut self, claim: Claim, by_partner: bool, now: Instant, out: &mut Vec<Action>) {
        if let Some(inquiry) = &mut self.vips.inquiry {
            inquiry.claimed(claim.mac, by_partner);
        }
        match self.state {
            State::Active { .. } => {
                if !self.held.contains(&claim.address) {
                    return;
                }
                if self.vips.claimants.heard(claim, now) {
                    self.announcements.defend(claim.address, now);
                }
                if by_partner && self.is_announced(claim, now) {
                    self.feed_pair(election::Event::Announced, now, out);
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

    /// Whether it was said unasked: for IPv6 an answer looks the same.
    fn is_announced(&self, claim: Claim, now: Instant) -> bool {
        let is_answer = claim.address.is_ipv6() && self.vips.asked.is_some_and(|asked| now < asked + ANSWERED);
        claim.is_announced && !is_answer
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
                self.outshout(now);
                let asked = self.vips.rounds.turn(&self.held, self.ask_every(), now);
                if !asked.is_empty() {
                    self.vips.asked = Some(now);
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

    /// A partner that is not heard may be active all the same.
    fn ask_every(&self) -> Duration {
        let silent = self.pair.as_ref().and_then(Election::silence);
        silent.map_or(ASK_EVERY, |allowed| allowed.clamp(ASK_SILENT_MIN, ASK_EVERY))
    }

    /// Announces again, for who asks for an address gets two answers.
    fn outshout(&mut self, now: Instant) {
        let Some((until, at)) = self.vips.overlap.filter(|(_, at)| now >= *at) else { return };
        let next = at.max(now) + OVERLAP_EVERY;
        self.vips.overlap = (next <= until).then_some((until, next));
        self.held.iter().for_each(|vip| self.announcements.defend(*vip, now));
    }

    fn forget_others(&mut self) {
        self.vips.overlap = None;
        self.vips.claimants.clear();
        self.vips.rounds.clear();
    }

    /// Renews what is on loan, or lends it at all.
    pub(super) fn lend(&mut self, now: Instant, out: &mut Vec<Action>) {
        let beats = std::mem::take(&mut self.vips.has_beaten);
        let terms = self.vips.terms.filter(|_| self.pair.as_ref().is_some_and(Election::has_successor));
        let Some(valid) = self.vips.lease.turn(terms, beats, now) else { return };
        out.push(Action::Lend(valid));
        if !beats {
            self.beat_for_loan(now, out);
        }
    }

    /// A loan has begun between two beats: the partner should count from now, too.
    pub(super) fn beat_for_loan(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.vips.lease.is_from_beats() {
            self.beat_now(now, out);
            // The loan is as new as this beat.
            self.vips.has_beaten = false;
        }
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
        if questions.vips {
            self.vips.asked = Some(now);
        }
        if questions != Questions::default() {
            out.push(Action::Ask(questions));
        }
    }
}
