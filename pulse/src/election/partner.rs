//! The partner as its heartbeats show it: who it is, what it credibly said last,
//! since when it is silent, which paths work, and whether it hears us.
//!
//! Believing is not symmetrical. That the partner holds the VIPs is believed of
//! any heartbeat of its present start: a stale one costs a moment of waiting. That
//! it does not hold them is believed only when it is proved that it says so now
//! ([`Proof::Fresh`]): a stale one would cost two active directors. A start that
//! has proved nothing is no evidence at all, but while it is heard the partner is
//! not silent either.

use std::time::{Duration, Instant};

use super::lines::Line;
use super::settings::{Role, Settings};
use super::{Action, Mark};
use crate::heartbeat::{Claim, Datagram, Heartbeat, Reason, Service, State, Word};
use crate::replay::{Counters, Proof, Session};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unknown,
    Original,
    Ours,
}

/// What it said about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) state: State,
    /// It has let go for us to take.
    pub(super) hands_over: bool,
    pub(super) wants: bool,
    /// It is unfit for no other reason than that its services failed a while ago.
    pub(super) rests: bool,
    /// It has our role; a mistake in the configuration.
    has_our_role: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing to go by since judgement began.
    Unknown,
    Says(Said),
    /// It stopped in order.
    Left,
    /// Nothing for as long as it may be silent.
    Silent,
}

/// What hearing a datagram brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// It changed or confirmed the standing.
    pub(super) counts: bool,
    /// It should be answered at once.
    pub(super) asks: bool,
    /// It is the first of a new start.
    pub(super) is_new_start: bool,
}

const NOTHING: Heard = Heard { counts: false, asks: false, is_new_start: false };

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    heard: Option<Instant>,
    is_lost: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Partner {
    pub(super) session: Session,
    pub(super) counters: Counters,
    pub(super) kind: Kind,
    pub(super) standing: Standing,
    /// It was silent since it was last heard with something that counts.
    pub(super) was_silent: bool,
    /// Silence before this proves nothing.
    judged_from: Instant,
    /// When it was heard again after a silence.
    back_from: Instant,
    /// What an original said before this may come out of a buffer.
    settled_from: Instant,
    /// When it last showed that it hears us, or was heard again after a silence.
    heard_us: Instant,
    /// Since when a start is heard that has proved nothing.
    unproved_from: Option<Instant>,
    interval: Option<Duration>,
    ways: Vec<Way>,
    drift: Mark,
    incompatible: Mark,
    same_role: Mark,
    deaf: Mark,
}

impl Partner {
    pub(super) fn new(session: Session, settings: &Settings, now: Instant) -> Self {
        Self {
            session,
            counters: Counters::default(),
            kind: Kind::Unknown,
            standing: Standing::Unknown,
            was_silent: false,
            judged_from: now,
            back_from: now,
            settled_from: now,
            heard_us: now,
            unproved_from: None,
            interval: None,
            ways: vec![Way::default(); settings.paths.len()],
            drift: Mark::default(),
            incompatible: Mark::default(),
            same_role: Mark::default(),
            deaf: Mark::default(),
        }
    }

    pub(super) fn resize(&mut self, paths: usize) {
        self.ways.resize(paths, Way::default());
    }

    /// How long it may be silent: `deadtime`, unless its own beat is slower than
    /// that (drifted files, or a reload that has reached only one of the two).
    pub(super) fn allowed(&self, settings: &Settings) -> Duration {
        let beat = self.interval.unwrap_or(settings.keepalive);
        if beat * 5 / 4 <= settings.deadtime { settings.deadtime } else { beat * 5 / 2 }
    }

    /// When it will have been silent for too long.
    pub(super) fn deadline(&self, settings: &Settings) -> Instant {
        self.last_heard().map_or(self.judged_from, |heard| heard.max(self.judged_from)) + self.allowed(settings)
    }

    /// When it was last heard on each path.
    pub(super) fn heard(&self) -> impl Iterator<Item = Option<Instant>> {
        self.ways.iter().map(|way| way.heard)
    }

    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.ways.iter().filter_map(|way| way.heard).max()
    }

    fn is_alive(&self, settings: &Settings, now: Instant) -> bool {
        self.last_heard().is_some_and(|heard| now < heard + self.allowed(settings))
    }

    /// Whether it has not shown for too long, counted from then, that it hears us.
    pub(super) fn is_deaf(&self, settings: &Settings, since: Instant, now: Instant) -> bool {
        now >= self.heard_us.max(since) + self.allowed(settings)
    }

    /// Silence until now proves nothing, and nor does what it said before.
    pub(super) fn judge_anew(&mut self, settings: &Settings, now: Instant) {
        self.session.doubt();
        self.judged_from = now;
        // Two beats: one may have been on its way, the next one is new.
        self.settled_from = now + settings.keepalive * 2;
        self.heard_us = now;
        self.standing = Standing::Unknown;
    }

    /// What came until then is read now, path after path.
    pub(super) fn read_late(&mut self, until: Instant) {
        self.back_from = self.back_from.max(until);
    }

    /// The silence is counted from now, what it said stays.
    pub(super) fn extend(&mut self, now: Instant) {
        self.judged_from = now;
        self.heard_us = now;
    }

    /// We have become active: what it let go is taken.
    pub(super) fn taken(&mut self) {
        if let Standing::Says(said) = &mut self.standing {
            said.hands_over = false;
            said.wants = false;
        }
    }

    /// Whether it keeps the VIPs when both are active: the MASTER does; if both
    /// have one role, the greater start.
    pub(super) fn outranks(&self, settings: &Settings) -> bool {
        if let Standing::Says(Said { has_our_role: true, .. }) = self.standing {
            return self.session.partner() > Some(self.session.ours());
        }
        settings.role == Role::Backup
    }

    pub(super) fn hear(
        &mut self,
        path: usize,
        datagram: Datagram,
        settings: &Settings,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Heard {
        if path >= self.ways.len() {
            self.counters.stranger = self.counters.stranger.saturating_add(1);
            return NOTHING;
        }
        match datagram {
            Datagram::Original(word) => self.hear_original(path, word, settings, now, out),
            Datagram::Ours(beat) => self.hear_ours(path, beat, settings, now, out),
        }
    }

    fn is_incompatible(&mut self, word: Word, service: Service, out: &mut Vec<Action>) -> bool {
        let is_other = match word {
            Word::Lvs(_) => service != Service::Lvs,
            Word::Fos(_) => service != Service::Fos,
            Word::StopMe | Word::Hold | Word::Held => return false,
        };
        if is_other {
            self.counters.incompatible = self.counters.incompatible.saturating_add(1);
            // Not again with each of two that alternate.
            if self.incompatible.rises(true) {
                out.push(Action::Say(Line::Incompatible));
            }
        }
        is_other
    }

    fn hear_original(
        &mut self,
        path: usize,
        word: Word,
        settings: &Settings,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Heard {
        let has_left = self.standing == Standing::Left;
        if self.kind == Kind::Ours && !has_left && self.is_alive(settings, now) {
            self.counters.downgraded = self.counters.downgraded.saturating_add(1);
            return NOTHING;
        }
        if self.is_incompatible(word, settings.service, out) {
            return NOTHING;
        }
        self.kind = Kind::Original;
        self.interval = None;
        self.heard_us = now;
        self.touch(path, settings, now, out);
        let before = match self.standing {
            Standing::Says(said) => Some(said),
            Standing::Unknown | Standing::Left | Standing::Silent => None,
        };
        let said = |state, hands_over| Said { state, hands_over, wants: false, rests: false, has_our_role: false };
        match word {
            Word::Lvs(Claim::Running) | Word::Fos(Claim::Running) => {
                self.standing = Standing::Says(said(State::Active, false));
            }
            // It goes from running to stopped only when it cannot serve any more.
            Word::Lvs(Claim::Stopped) | Word::Fos(Claim::Stopped) if now >= self.settled_from => {
                let gave_up = before.is_some_and(|before| before.state == State::Active || before.hands_over);
                self.standing = Standing::Says(said(State::Standby, gave_up));
            }
            Word::Lvs(Claim::Stopped) | Word::Fos(Claim::Stopped) | Word::Hold | Word::Held => {}
            Word::StopMe => self.counters.stop_me = self.counters.stop_me.saturating_add(1),
        }
        Heard { counts: true, ..NOTHING }
    }

    fn hear_ours(
        &mut self,
        path: usize,
        beat: Heartbeat,
        settings: &Settings,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Heard {
        let known = self.session.partner().is_some();
        let admitted = match self.session.admit(&beat) {
            Ok(admitted) => admitted,
            Err(dropped) => {
                self.counters.count_dropped(dropped);
                return NOTHING;
            }
        };
        let asks = beat.flags.ask && admitted.is_newest;
        if admitted.proof == Proof::None {
            self.counters.unproved = self.counters.unproved.saturating_add(1);
            self.hold(&beat, settings, now, out);
            return Heard { asks, ..NOTHING };
        }
        if self.is_incompatible(beat.word, settings.service, out) {
            return NOTHING;
        }
        if admitted.is_new_start && known {
            out.push(Action::Say(Line::PartnerRestarted));
        }
        if admitted.hears_us || !self.is_alive(settings, now) {
            self.heard_us = now;
        }
        self.unproved_from = None;
        self.kind = Kind::Ours;
        self.touch(path, settings, now, out);
        if !admitted.is_newest {
            return NOTHING;
        }
        self.interval = Some(beat.interval);
        self.compare(&beat, settings, out);
        let holds_them = matches!(beat.state, State::Active | State::Listening | State::Lowering);
        if admitted.proof == Proof::Fresh && beat.flags.leaving {
            if self.standing != Standing::Left {
                out.push(Action::Say(Line::PartnerLeft));
            }
            self.standing = Standing::Left;
        } else if admitted.proof == Proof::Fresh || holds_them {
            self.standing = Standing::Says(Said {
                state: beat.state,
                hands_over: beat.flags.handover,
                wants: beat.flags.want,
                rests: beat.state == State::Unfit && beat.reason == Some(Reason::Rests),
                has_our_role: beat.flags.master == (settings.role == Role::Master),
            });
        }
        Heard { counts: true, asks, is_new_start: admitted.is_new_start }
    }

    /// A start that proved nothing speaks. What it says is no evidence, but a
    /// partner that could serve and does not hear us will act by itself. The price:
    /// heartbeats recorded before our own start hold a takeover up while they last.
    fn hold(&mut self, beat: &Heartbeat, settings: &Settings, now: Instant, out: &mut Vec<Action>) {
        if beat.flags.leaving || beat.state == State::Unfit {
            return;
        }
        self.judged_from = now;
        match self.standing {
            Standing::Silent | Standing::Left => self.standing = Standing::Unknown,
            // The start that said it is over: it would have spoken again.
            Standing::Says(_) if !self.is_alive(settings, now) => self.standing = Standing::Unknown,
            Standing::Unknown | Standing::Says(_) => {}
        }
        self.unproved_from.get_or_insert(now);
        self.notice_deafness(settings, now, out);
    }

    fn compare(&mut self, beat: &Heartbeat, settings: &Settings, out: &mut Vec<Action>) {
        if beat.fingerprint != 0 && settings.fingerprint != 0 {
            match self.drift.turn(beat.fingerprint != settings.fingerprint) {
                Some(true) => out.push(Action::Say(Line::ConfigurationDiffers)),
                Some(false) => out.push(Action::Say(Line::ConfigurationAgrees)),
                None => {}
            }
        }
        if self.same_role.rises(beat.flags.master == (settings.role == Role::Master)) {
            out.push(Action::Say(Line::SameRole(settings.role)));
        }
    }

    fn touch(&mut self, path: usize, settings: &Settings, now: Instant, out: &mut Vec<Action>) {
        if !self.is_alive(settings, now) {
            self.back_from = now;
        }
        if self.standing == Standing::Silent {
            self.standing = Standing::Unknown;
            out.push(Action::Say(Line::PartnerAlive));
        }
        let Some(way) = self.ways.get_mut(path) else { return };
        way.heard = Some(now);
        if std::mem::take(&mut way.is_lost)
            && let Some(path) = settings.paths.get(path)
        {
            out.push(Action::Say(Line::PathRestored { path: path.name.clone() }));
        }
    }

    /// Time has passed: it may have fallen silent, altogether or on a path, or
    /// turn out not to hear us.
    pub(super) fn age(&mut self, settings: &Settings, now: Instant, out: &mut Vec<Action>) {
        match self.standing {
            Standing::Unknown | Standing::Says(_) if now >= self.deadline(settings) => {
                (self.standing, self.was_silent) = (Standing::Silent, true);
                self.incompatible.turn(false);
                return;
            }
            Standing::Unknown | Standing::Left | Standing::Silent => return,
            Standing::Says(_) => {}
        }
        self.notice_deafness(settings, now, out);
        let allowed = self.allowed(settings);
        let newest = self.last_heard();
        for (way, path) in self.ways.iter_mut().zip(&settings.paths) {
            let from = self.judged_from.max(self.back_from);
            let heard = way.heard.map_or(from, |heard| heard.max(from));
            // The others must have gone on without it: a dead partner falls silent
            // on all of them within a beat.
            if !way.is_lost && now >= heard + allowed && newest.is_some_and(|newest| newest >= heard + allowed / 2) {
                way.is_lost = true;
                out.push(Action::Say(Line::PathLost { path: path.name.clone() }));
            }
        }
    }

    fn notice_deafness(&mut self, settings: &Settings, now: Instant, out: &mut Vec<Action>) {
        let from = self.unproved_from.unwrap_or(self.heard_us);
        if self.deaf.rises(now >= from + self.allowed(settings)) {
            out.push(Action::Say(Line::PartnerDeaf));
        }
    }
}
