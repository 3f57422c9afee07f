//! PURE. What the election does in each state: the table of every (state, turn),
//! and the few decisions behind it. Decisions look at what is known and not at
//! what has just happened, so that a lost event is made up for by the next.

use std::time::Instant;

use super::{
    Action, Activation, Answer, Contest, Deactivation, Doing, Election, Kind, LAST_WORD_GAP, LAST_WORDS, Line, Reason,
    Refusal, Role, Said, Standing, State, Then, Turn,
};

impl Election {
    /// Every state with every turn.
    pub(super) fn step(&mut self, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby => self.in_standby(turn, now, out),
            State::Asking { until } => self.in_asking(until, turn, now, out),
            State::Listening { until } => self.in_listening(until, turn, now, out),
            State::Active => self.in_active(turn, now, out),
            State::Lowering { until, then } => self.in_lowering(until, then, turn, now, out),
            State::Leaving { .. } => self.in_leaving(turn, now, out),
            // Deaf and dumb, whatever happens.
            State::Over => {}
        }
    }

    /// Holds nothing: whatever is new may be the evidence that was missing.
    fn in_standby(&mut self, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match turn {
            Turn::Heard => self.consider_takeover(true, now, out),
            Turn::Tick
            | Turn::LinksRestored
            | Turn::Mended
            | Turn::Witness(_)
            | Turn::Announced
            | Turn::Lowered
            | Turn::Restore
            | Turn::Reloaded => self.consider_takeover(false, now, out),
            // The partner should know at once.
            Turn::Slept(_) | Turn::LinksFailed | Turn::Failing | Turn::Release => self.next_beat = now,
            Turn::Relocate => self.want(now, out),
            Turn::Stop => self.leave(now, out),
            Turn::Detach => self.end(out),
        }
    }

    /// Holds nothing, and is about to take over from a silent partner.
    fn in_asking(&mut self, until: Instant, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match turn {
            Turn::Witness(answer) => self.weigh(answer, now, out),
            Turn::Tick if now >= until => self.weigh(Answer::Silent, now, out),
            // Who has the VIPs is being asked.
            Turn::Tick | Turn::Mended | Turn::Announced | Turn::Lowered | Turn::Restore | Turn::Reloaded => {}
            Turn::Relocate => out.push(Action::Say(Line::Refused(Refusal::Busy))),
            // It is not that simple any more.
            Turn::Heard
            | Turn::LinksRestored
            | Turn::Slept(_)
            | Turn::LinksFailed
            | Turn::Failing
            | Turn::Release
            | Turn::Stop => {
                self.state = State::Standby;
                self.in_standby(turn, now, out);
            }
            Turn::Detach => self.end(out),
        }
    }

    /// May hold the VIPs of before.
    fn in_listening(&mut self, until: Instant, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match turn {
            Turn::Heard => self.consider_resuming(now, out),
            Turn::Tick if now >= until => self.activate(Activation::Resumed, now, out),
            Turn::Slept(_) | Turn::Reloaded => self.listen(now),
            Turn::LinksFailed => self.lower(Deactivation::Unfit(Reason::Link), Then::Standby, now, out),
            Turn::Relocate => out.push(Action::Say(Line::Refused(Refusal::Busy))),
            Turn::Stop => self.lower(Deactivation::Stopped, Then::Leave, now, out),
            Turn::Detach => self.detach(now, out),
            // Weighed when it goes on.
            Turn::Tick
            | Turn::LinksRestored
            | Turn::Failing
            | Turn::Mended
            | Turn::Witness(_)
            | Turn::Announced
            | Turn::Lowered
            | Turn::Release
            | Turn::Restore => {}
        }
    }

    /// Holds the VIPs.
    fn in_active(&mut self, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match turn {
            Turn::Slept(lasted) => {
                if self.is_unheard(lasted, now) {
                    self.listen(now);
                }
            }
            Turn::Relocate => self.relocate(now, out),
            Turn::Stop => self.lower(Deactivation::Stopped, Then::Leave, now, out),
            Turn::Detach => self.detach(now, out),
            Turn::Heard => self.consider_yielding(true, now, out),
            Turn::Announced => self.rivalled(now, out),
            Turn::Failing | Turn::Release => {
                self.answer(now);
                self.consider_yielding(false, now, out);
            }
            Turn::Tick
            | Turn::LinksFailed
            | Turn::LinksRestored
            | Turn::Mended
            | Turn::Witness(_)
            | Turn::Lowered
            | Turn::Restore
            | Turn::Reloaded => self.consider_yielding(false, now, out),
        }
    }

    /// Takes them away: what is learned meanwhile is decided on afterwards.
    fn in_lowering(&mut self, until: Instant, then: Then, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match turn {
            Turn::Lowered => self.lowered(then, now, out),
            Turn::Tick if now >= until => {
                out.push(Action::Say(Line::NotLowered));
                self.lowered(then, now, out);
            }
            Turn::Slept(_) => self.state = State::Lowering { until: now + self.allowed(), then },
            Turn::Stop => self.state = State::Lowering { until, then: Then::Leave },
            Turn::Detach => self.detach(now, out),
            Turn::Relocate => out.push(Action::Say(Line::Refused(Refusal::Busy))),
            Turn::Heard
            | Turn::Tick
            | Turn::LinksFailed
            | Turn::LinksRestored
            | Turn::Failing
            | Turn::Mended
            | Turn::Witness(_)
            | Turn::Announced
            | Turn::Release
            | Turn::Restore
            | Turn::Reloaded => {}
        }
    }

    /// Says good-bye, and nothing keeps it from that.
    fn in_leaving(&mut self, turn: Turn, now: Instant, out: &mut Vec<Action>) {
        match turn {
            Turn::Heard | Turn::Tick | Turn::Slept(_) => self.last_words(now, out),
            Turn::LinksFailed
            | Turn::LinksRestored
            | Turn::Failing
            | Turn::Mended
            | Turn::Witness(_)
            | Turn::Announced
            | Turn::Lowered
            | Turn::Stop
            | Turn::Detach
            | Turn::Relocate
            | Turn::Release
            | Turn::Restore
            | Turn::Reloaded => {}
        }
    }

    fn said(&self) -> Option<Said> {
        match self.partner.standing {
            Standing::Says(said) => Some(said),
            Standing::Unknown | Standing::Left | Standing::Silent => None,
        }
    }

    /// Whether the partner is there, fit and standby; somebody who wants it moved by
    /// hand knows better than a rest.
    fn can_hand_over(&self, now: Instant) -> bool {
        let by_hand = self.relocate_until.is_some() || self.reason(now) == Some(Reason::Released);
        self.said().is_some_and(|said| said.state == Doing::Standby || said.rests && by_hand)
    }

    fn consider_takeover(&mut self, was_heard: bool, now: Instant, out: &mut Vec<Action>) {
        if self.handed_over_until.is_some_and(|until| now >= until) {
            self.handed_over_until = None;
        }
        if self.said().is_some_and(|said| said.state == Doing::Active) {
            self.handed_over_until = None;
            self.first_refusal_until = None;
            self.consider_failback(now, out);
            return;
        }
        self.failback_from = None;
        let Some(why) = self.evidence(was_heard, now) else { return };
        let is_dead = matches!(why, Activation::PartnerDead { .. });
        let cannot = self.said().is_some_and(|said| said.state == Doing::Unfit);
        let is_alone = is_dead || cannot || why == Activation::PartnerLeft;
        if let Some(reason) = if is_alone { self.defect(now) } else { self.reason(now) } {
            if self.unable.rises(is_dead) {
                out.push(Action::Say(Line::Unable { reason }));
            }
        } else if let (true, Some(wait)) = (is_dead, self.asks()) {
            if now >= self.ask_again_at {
                self.state = State::Asking { until: now + wait };
                out.push(Action::AskWitness);
            }
        } else {
            self.activate(why, now, out);
        }
    }

    /// Why a fit director may take over, if it may. What the partner said counts at
    /// the moment it says it; that it is gone or silent counts as long as it is.
    fn evidence(&mut self, was_heard: bool, now: Instant) -> Option<Activation> {
        let said = match self.partner.standing {
            Standing::Unknown => return None,
            Standing::Silent => return Some(self.partner_dead(now)),
            Standing::Left => return Some(Activation::PartnerLeft),
            Standing::Says(said) => said,
        };
        let inactive = was_heard.then_some(Activation::PartnerInactive);
        match said.state {
            Doing::Active | Doing::Listening | Doing::Lowering => {
                self.first_refusal_until = None;
                None
            }
            Doing::Unfit => inactive,
            // We let go for it to take, and it has not seen that yet.
            Doing::Standby if self.handed_over_until.is_some() => None,
            Doing::Standby if said.hands_over || !self.partner.outranks(&self.settings) => inactive,
            // It will see that we are standby, too, and take over.
            Doing::Standby => {
                let allowed = self.allowed();
                let until = *self.first_refusal_until.get_or_insert(now + allowed);
                inactive.filter(|_| now >= until)
            }
        }
    }

    fn partner_dead(&self, now: Instant) -> Activation {
        let since = self.partner.deadline(&self.settings).checked_sub(self.allowed()).unwrap_or(now);
        Activation::PartnerDead { silent: now.saturating_duration_since(since) }
    }

    /// The partner is active: does the MASTER want the VIPs back by now?
    fn consider_failback(&mut self, now: Instant, out: &mut Vec<Action>) {
        let is_right = self.settings.role == Role::Master
            && !self.stays_away
            && self.reserve(now).is_none()
            && !self.partner.is_deaf(&self.settings, self.active_since, now);
        let Some(delay) = self.settings.auto_failback.filter(|_| is_right) else {
            self.failback_from = None;
            return;
        };
        let from = *self.failback_from.get_or_insert(now);
        if now >= from + delay && self.partner.kind == Kind::Original {
            self.activate(Activation::Failback, now, out);
        }
    }

    /// Whether our beats ask the partner for the VIPs.
    pub(super) fn wants(&self, now: Instant) -> bool {
        let by_hand = self.wanted_until.is_some_and(|until| now < until);
        let back = match (self.failback_from, self.settings.auto_failback) {
            (Some(from), Some(delay)) => now >= from + delay,
            (Some(_), None) | (None, _) => false,
        };
        self.state == State::Standby && (by_hand || back)
    }

    /// Somebody wants the VIPs to be here.
    fn want(&mut self, now: Instant, out: &mut Vec<Action>) {
        let is_there = self.said().is_some_and(|said| said.state == Doing::Active);
        self.fitness.rest.forget();
        let refusal = match (self.reason(now), is_there, self.partner.kind) {
            (Some(reason), _, _) => Refusal::Unfit(reason),
            (None, false, _) => Refusal::Pointless,
            (None, true, Kind::Original) if self.partner.outranks(&self.settings) => Refusal::PartnerWillNot,
            (None, true, Kind::Original) => return self.activate(Activation::Relocated, now, out),
            (None, true, Kind::Ours | Kind::Unknown) => {
                self.wanted_until = Some(now + self.allowed() * 3);
                self.next_beat = now;
                return;
            }
        };
        out.push(Action::Say(Line::Refused(refusal)));
    }

    /// What the witnesses say about a silent partner.
    fn weigh(&mut self, answer: Answer, now: Instant, out: &mut Vec<Action>) {
        self.state = State::Standby;
        let again = if self.is_eclipsed() { self.settings.look_every } else { self.settings.keepalive };
        self.ask_again_at = now + again;
        let was_isolated = self.isolated.0;
        if self.isolated.rises(answer == Answer::Silent) {
            out.push(Action::Say(Line::Isolated));
        }
        match answer {
            Answer::Silent => {}
            Answer::VipHeld { mac } => {
                self.eclipsed = self.eclipsed.map(|_| now);
                if self.vip_held.rises(true) {
                    out.push(Action::Say(Line::VipHeld { mac }));
                }
            }
            // The partner was cut off from us together with the witnesses.
            Answer::Heard if was_isolated => {
                out.push(Action::Say(Line::Connected));
                self.judge_anew(now);
            }
            Answer::Heard => {
                let is_due = self.partner.standing == Standing::Silent && !self.is_seen(now);
                if is_due && self.defect(now).is_none() {
                    self.activate(self.partner_dead(now), now, out);
                }
            }
        }
    }

    pub(super) fn activate(&mut self, why: Activation, now: Instant, out: &mut Vec<Action>) {
        // By itself the partner would not have done that during a rest.
        if self.fitness.rest.left(now).is_some() && self.said().is_some_and(|said| said.hands_over) {
            self.fitness.rest.forget();
        }
        self.state = State::Active;
        self.active_since = now;
        self.first_refusal_until = None;
        self.handed_over_until = None;
        self.wanted_until = None;
        self.failback_from = None;
        self.contest = None;
        (self.rival, self.eclipsed) = (None, None);
        self.stays_away = false;
        match self.said().map(|said| said.state) {
            Some(Doing::Active | Doing::Listening | Doing::Lowering) => self.suspect(now),
            Some(Doing::Standby | Doing::Unfit) | None => {}
        }
        self.partner.taken();
        self.vip_held.turn(false);
        self.lost.turn(self.partner.standing == Standing::Silent);
        let (role, service) = (self.settings.role, self.settings.service);
        out.push(Action::Say(Line::Activating { role, service, why }));
        // The partner should know before what may take a while.
        self.beat(now, out);
        out.push(Action::BecomeActive { why });
    }

    pub(super) fn listen(&mut self, now: Instant) {
        self.state = State::Listening { until: now + self.allowed() };
        self.next_beat = now;
    }

    fn consider_resuming(&mut self, now: Instant, out: &mut Vec<Action>) {
        let is_taken = match self.partner.standing {
            Standing::Unknown | Standing::Silent => return,
            Standing::Left => false,
            Standing::Says(said) => match said.state {
                Doing::Active => true,
                Doing::Standby | Doing::Unfit => false,
                // Both held them; the rank decides as if both were active.
                Doing::Listening => self.partner.outranks(&self.settings),
                Doing::Lowering => return,
            },
        };
        if is_taken {
            self.lower(Deactivation::PartnerActive, Then::Standby, now, out);
        } else {
            self.activate(Activation::Resumed, now, out);
        }
    }

    /// Active: is there a reason not to be any more?
    fn consider_yielding(&mut self, was_heard: bool, now: Instant, out: &mut Vec<Action>) {
        let reason = self.defect(now);
        if reason == Some(Reason::Link) {
            return self.lower(Deactivation::Unfit(Reason::Link), Then::Standby, now, out);
        }
        if self.partner.standing == Standing::Silent && self.lost.rises(true) {
            let silent = self.partner.last_heard().map_or_else(
                || now.saturating_duration_since(self.active_since),
                |heard| now.saturating_duration_since(heard),
            );
            out.push(Action::Say(Line::PartnerLost { silent }));
        }
        match self.said().map(|said| said.state) {
            Some(Doing::Active) => return self.contest(was_heard, now, out),
            // It claims nothing, but its kernel may still answer for the VIPs.
            Some(Doing::Listening | Doing::Lowering) => return self.suspect(now),
            Some(Doing::Standby | Doing::Unfit) | None => {}
        }
        if self.is_rival_gone(now) {
            out.push(Action::Say(Line::Unrivalled));
            out.push(Action::Reannounce);
        }
        if let Some(contest) = self.contest.take() {
            if contest.is_open {
                out.push(Action::Say(Line::Uncontested));
            }
            out.push(Action::Reannounce);
        }
        self.consider_handing_over(was_heard, reason, now, out);
    }

    /// Hands over, if there is a reason to and the partner has just said that it can.
    fn consider_handing_over(&mut self, was_heard: bool, reason: Option<Reason>, now: Instant, out: &mut Vec<Action>) {
        let can = self.can_hand_over(now);
        if self.relocate_until.is_some_and(|until| now >= until || !can) {
            self.relocate_until = None;
            out.push(Action::Say(Line::Refused(Refusal::PartnerCannot)));
        }
        if let Some(reason) = reason.filter(|_| self.reluctant.rises(reason.is_some() && !can)) {
            let partner_rests = self.said().is_some_and(|said| said.rests);
            out.push(Action::Say(Line::Reluctant { reason, partner_rests }));
        }
        if !(was_heard && can) {
            return;
        }
        let is_wanted = self.said().is_some_and(|said| said.wants) && now >= self.active_since + self.allowed();
        let why = match (reason, self.relocate_until) {
            (_, Some(_)) => Deactivation::Relocated,
            (Some(reason), None) => Deactivation::Unfit(reason),
            (None, None) if is_wanted => Deactivation::Wanted,
            (None, None) => return,
        };
        let rests = why == Deactivation::Unfit(Reason::Lvsd) && self.fitness.services_fail;
        self.lower(why, Then::HandOver, now, out);
        if rests {
            let (times, lasts) = self.fitness.rest.begin(self.settings.steady, now);
            out.push(Action::Say(Line::Rests { times, lasts }));
        }
        // Moved by hand: here, or by the BACKUP, which has no other way to want it.
        self.stays_away =
            why == Deactivation::Relocated || (why == Deactivation::Wanted && self.settings.role == Role::Master);
    }

    /// Whether the partner's answer is what a hand-over waits for.
    pub(super) fn is_handing_over(&self, now: Instant) -> bool {
        self.state == State::Active
            && self.can_hand_over(now)
            && (self.relocate_until.is_some() || self.defect(now).is_some())
    }

    /// Both are active.
    fn contest(&mut self, was_heard: bool, now: Instant, out: &mut Vec<Action>) {
        if self.partner.outranks(&self.settings) {
            // Once more, so that the one who stays announces after us (piranha.md
            // 7.2, 134007).
            self.beat(now, out);
            return self.lower(Deactivation::PartnerActive, Then::Standby, now, out);
        }
        let allowed = self.allowed();
        let Some(contest) = self.contest.as_mut().filter(|contest| contest.is_open) else {
            self.contest = Some(Contest { is_open: true, since: now, announce_at: now + allowed });
            out.push(Action::Say(Line::ResendingArps));
            out.push(Action::Reannounce);
            self.answer(now);
            return;
        };
        if now >= contest.announce_at {
            contest.announce_at = now + allowed;
            out.push(Action::Reannounce);
        }
        let since = contest.since;
        let is_deaf = match self.partner.kind {
            Kind::Ours | Kind::Unknown => self.partner.is_deaf(&self.settings, since, now),
            // It yields to the first heartbeat that it hears (piranha.md 2.3), so it has
            // heard none if it still says that it is active.
            Kind::Original => was_heard && now >= since + allowed,
        };
        if is_deaf {
            self.lower(Deactivation::PartnerDeaf, Then::Standby, now, out);
            // Ours shows when it hears us again. An original does not, and would not hear
            // the next fail-back either.
            self.stays_away |= self.partner.kind == Kind::Original;
        }
    }

    /// The partner may hold them, too, and will say that it does not any more. An
    /// earlier start of it may have left them.
    pub(super) fn suspect(&mut self, now: Instant) {
        let announce_at = now + self.allowed();
        self.contest.get_or_insert(Contest { is_open: false, since: now, announce_at });
    }

    /// Somebody wants the VIPs to be there.
    fn relocate(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.relocate_until = Some(now + self.allowed());
        if self.can_hand_over(now) {
            self.answer(now);
        } else {
            self.relocate_until = None;
            out.push(Action::Say(Line::Refused(Refusal::PartnerCannot)));
        }
    }

    pub(super) fn lower(&mut self, why: Deactivation, then: Then, now: Instant, out: &mut Vec<Action>) {
        self.state = State::Lowering { until: now + self.allowed(), then };
        (self.contest, self.rival) = (None, None);
        self.relocate_until = None;
        self.reluctant.turn(false);
        out.push(Action::Say(Line::Deactivating { service: self.settings.service, why }));
        out.push(Action::Yield { why });
    }

    fn lowered(&mut self, then: Then, now: Instant, out: &mut Vec<Action>) {
        self.state = State::Standby;
        self.next_beat = now;
        match then {
            Then::HandOver => self.handed_over_until = Some(now + self.allowed()),
            Then::Standby => {}
            Then::Leave => self.leave(now, out),
        }
    }

    /// The VIPs are gone: says so, and ends.
    fn leave(&mut self, now: Instant, out: &mut Vec<Action>) {
        let words = match self.partner.standing {
            Standing::Unknown | Standing::Says(_) => LAST_WORDS,
            Standing::Left | Standing::Silent => 1,
        };
        self.state = State::Leaving { words, at: now };
        self.handed_over_until = None;
        self.last_words(now, out);
    }

    fn last_words(&mut self, now: Instant, out: &mut Vec<Action>) {
        let State::Leaving { words, at } = self.state else { return };
        let is_known = words < LAST_WORDS && self.said().is_some_and(|said| said.state == Doing::Active);
        if !is_known && now >= at {
            self.beat(now, out);
            let at = now + LAST_WORD_GAP.min(self.settings.keepalive / 4);
            self.state = State::Leaving { words: words.saturating_sub(1), at };
        }
        if is_known || matches!(self.state, State::Leaving { words: 0, .. }) {
            self.end(out);
        }
    }

    /// Ends and lets go of nothing; the partner should wait for our successor.
    fn detach(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.listen(now);
        self.beat(now, out);
        self.end(out);
    }

    fn end(&mut self, out: &mut Vec<Action>) {
        self.state = State::Over;
        out.push(Action::Finished);
    }
}
