//! PURE. Which of two directors is active: events and the time in, actions out.
//!
//! ```text
//!                   partner dead, or gave up          partner active and outranks us,
//!              ┌────────────────────────────────┐     unfit, asked to, link failure
//!              │       nobody to ask            ▼
//!  ─► Standby ─┴─► Asking ── witness heard ─► Active ───────────────┐
//!       ▲  ▲         │ no witness               │ ▲                 │
//!       │  └─────────┘                 we slept ▼ │ it did not      ▼
//!       │                               Listening ┘ take over    Lowering
//!       │                                  ▲    └─ it did ─────►   │  │
//!       │           started with VIPs held ┘                       │  │ told to stop
//!       └───────────────── VIPs are gone ──────────────────────────┘  ▼
//!                                                              Leaving ─► Over
//! ```
//!
//! What holds (the simulator in `node/tests/` looks for the opposite):
//!
//! * A takeover needs evidence: the partner was silent on every path for
//!   `deadtime` while we were awake, connected and heard a witness if there are
//!   any; or it said, provably now, that it does not hold the VIPs.
//! * Two active directors: the one that is outranked yields at the first heartbeat
//!   it hears, the other one answers a claim at once and announces again. If the
//!   outranked one cannot hear, the other one yields after `deadtime`.
//! * Two that hear nothing of each other and share the clients' network see each
//!   other's announcements there: the outranked one yields, and is the standby for
//!   as long as the other one answers for the VIPs (`rival`).
//! * There is no fail-back unless it is asked for.
//! * Failover services that run on neither director move ever more rarely (`rest`).
//! * No heartbeat stops a director, and none makes it yield to nobody: who yields
//!   has heard somebody who is active or will be.
//!
//! Towards an original (four bytes) the rules are those of piranha.md 2.3. Two
//! things are done for it: a MASTER that knows nothing yet says HOLD, which an
//! original takes for a sign of life and nothing else, so that the two do not both
//! start; and so does a director that is between two states.
//!
//! The caller feeds every datagram that waits before a [`Event::Tick`], and ticks
//! at [`Election::deadline`]; one that comes much later is taken for a sleep.

use std::time::{Duration, Instant};

use crate::heartbeat::{Claim, Datagram, Flags, Heartbeat, Reason, StartId, State as Doing, Word};
use crate::replay::{Counters, Session};

mod event;
mod fitness;
mod lines;
mod partner;
mod report;
mod rest;
mod rival;
mod settings;

pub use event::{Action, Activation, Answer, Deactivation, Event, Request, Start};
use fitness::Fitness;
pub use fitness::Watched;
pub use lines::{Line, Refusal};
use partner::{Kind, Partner, Said, Standing};
pub use report::Report;
use rival::Rival;
pub use settings::{Path, Role, Settings};

/// How often a leaving director says so, unless it sees before that the partner
/// is active: on a link that loses a third, one in 240 stops is then noticed only
/// after `deadtime`.
const LAST_WORDS: u8 = 5;

/// The longest time between two last words: a stop should not take long.
const LAST_WORD_GAP: Duration = Duration::from_millis(50);

/// What an election is doing, for a status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Holds nothing.
    Standby,
    /// Holds nothing, the partner is silent, and the witnesses are asked until then.
    Asking {
        /// No answer by then is an answer.
        until: Instant,
    },
    /// Holds the VIPs and finds out whether the partner does.
    Listening {
        /// If nothing is heard by then, it does not.
        until: Instant,
    },
    /// Holds the VIPs.
    Active,
    /// Takes them away.
    Lowering {
        /// If nobody said by then that they are gone, it goes on.
        until: Instant,
        /// What follows.
        then: Then,
    },
    /// Holds nothing and says good-bye.
    Leaving {
        /// So many times more.
        words: u8,
        /// The next time then.
        at: Instant,
    },
    /// Says nothing any more.
    Over,
}

/// What follows when the VIPs are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Standby; the partner should take over at once.
    HandOver,
    /// Standby.
    Standby,
    /// The end.
    Leave,
}

/// Remembers whether something was so, to say it once.
#[derive(Clone, Copy, Debug, Default)]
struct Mark(bool);

impl Mark {
    /// What it is now, if it was not.
    fn turn(&mut self, is_so: bool) -> Option<bool> {
        (std::mem::replace(&mut self.0, is_so) != is_so).then_some(is_so)
    }

    /// Whether it is now and was not.
    fn rises(&mut self, is_so: bool) -> bool {
        self.turn(is_so) == Some(true)
    }
}

/// The partner has what we have.
#[derive(Clone, Copy, Debug)]
struct Contest {
    /// It says that it is active.
    is_open: bool,
    since: Instant,
    announce_at: Instant,
}

/// One director's part in the election. See the module's picture.
#[derive(Clone, Debug)]
pub struct Election {
    settings: Settings,
    partner: Partner,
    fitness: Fitness,
    state: State,
    active_since: Instant,
    next_beat: Instant,
    last_beat: Option<Instant>,
    /// When something that took long was done.
    worked_until: Option<Instant>,
    /// We let go for the partner to take; until then it goes first.
    handed_over_until: Option<Instant>,
    /// Both are standby and it outranks us; until then it goes first.
    first_refusal_until: Option<Instant>,
    contest: Option<Contest>,
    /// The partner announces our VIPs, and is not heard.
    rival: Option<Rival>,
    /// We yielded to it, and then it answered for the VIPs.
    eclipsed: Option<Instant>,
    /// Asked by hand to give them to the partner, which must be heard by then.
    relocate_until: Option<Instant>,
    /// Asked by hand to have the VIPs.
    wanted_until: Option<Instant>,
    /// Since when everything is right for a fail-back.
    failback_from: Option<Instant>,
    /// Moved by hand, or left to an original that does not hear us: no fail-back
    /// against it.
    stays_away: bool,
    ask_again_at: Instant,
    isolated: Mark,
    unable: Mark,
    reluctant: Mark,
    lost: Mark,
    vip_held: Mark,
}

mod transitions;

/// What an event came to, after what does not depend on the state is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Heard,
    Tick,
    Slept(Duration),
    LinksFailed,
    LinksRestored,
    Failing,
    Mended,
    Witness(Answer),
    Announced,
    Lowered,
    Stop,
    Detach,
    Relocate,
    Release,
    Restore,
    Reloaded,
}

impl Election {
    /// A start. `id` must be random for each.
    pub fn start(settings: Settings, id: StartId, how: Start, now: Instant, out: &mut Vec<Action>) -> Self {
        let settings = settings.sane();
        let partner = Partner::new(Session::new(id), &settings, now);
        let mut election = Self {
            fitness: Fitness::new(settings.paths.len()),
            state: State::Standby,
            active_since: now,
            next_beat: now,
            last_beat: None,
            worked_until: None,
            handed_over_until: None,
            first_refusal_until: None,
            contest: None,
            rival: None,
            eclipsed: None,
            relocate_until: None,
            wanted_until: None,
            failback_from: None,
            stays_away: false,
            ask_again_at: now,
            isolated: Mark::default(),
            unable: Mark::default(),
            reluctant: Mark::default(),
            lost: Mark::default(),
            vip_held: Mark::default(),
            settings,
            partner,
        };
        match how {
            Start::Fresh => {}
            Start::Forced => election.activate(Activation::Forced, now, out),
            Start::Holding => election.listen(now),
        }
        election.beat_if_due(now, out);
        election
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the VIPs are here, or were when last looked at.
    pub fn holds_vips(&self) -> bool {
        match self.state {
            State::Active | State::Listening { .. } | State::Lowering { .. } => true,
            State::Standby | State::Asking { .. } | State::Leaving { .. } | State::Over => false,
        }
    }

    /// How it stands.
    pub fn report(&self, now: Instant) -> Report<'_> {
        Report { election: self, now }
    }

    /// Whether there is, or may be, a partner that would take over from us if we
    /// were not heard any more.
    pub fn has_successor(&self) -> bool {
        match self.partner.standing {
            Standing::Unknown | Standing::Says(_) => true,
            // It would see by other means that we are gone.
            Standing::Left | Standing::Silent => self.rival.is_some(),
        }
    }

    /// How long a partner that is silent, and may be active all the same, was allowed
    /// to be so.
    pub fn silence(&self) -> Option<Duration> {
        (self.partner.standing == Standing::Silent).then(|| self.allowed())
    }

    /// What came in, and what was dropped.
    pub fn counters(&self) -> &Counters {
        &self.partner.counters
    }

    /// The same, for what only the receiver sees: strangers and unreadable ones.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.partner.counters
    }

    /// When [`Event::Tick`] is needed; `None` when it is over.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match self.state {
            State::Over => return None,
            State::Asking { until } | State::Listening { until } | State::Lowering { until, .. } => until,
            State::Leaving { at, .. } => return Some(at),
            State::Standby | State::Active => self.next_beat,
        };
        let silence = match self.partner.standing {
            Standing::Unknown | Standing::Says(_) => self.partner.deadline(&self.settings),
            Standing::Left | Standing::Silent => self.next_beat,
        };
        Some(own.min(silence).min(self.next_beat))
    }

    /// One event. What must be done is appended to `out`.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        if let Event::Worked { lasted, until } = event {
            self.worked_until = self.worked_until.max(Some(until));
            if lasted >= self.allowed() / 4 {
                self.partner.read_late(until);
            }
            return self.beat_if_due(now, out);
        }
        if let Some(lasted) = self.overslept(now)
            && !matches!(event, Event::Slept { .. })
        {
            self.turn(Event::Slept { lasted }, now, out);
        }
        self.turn(event, now, out);
        self.beat_if_due(now, out);
    }

    /// How much later than asked this turn comes, if that is too much to judge by.
    fn overslept(&self, now: Instant) -> Option<Duration> {
        let due = self.deadline()?;
        let late = now.saturating_duration_since(self.worked_until.map_or(due, |until| due.max(until)));
        (late >= self.partner.allowed(&self.settings) / 4).then_some(late)
    }

    /// Whether a sleep kept our beats back for so long that the partner may be about
    /// to take over.
    fn is_unheard(&self, lasted: Duration, now: Instant) -> bool {
        let unheard = self.last_beat.map_or(lasted, |beat| lasted.max(now.saturating_duration_since(beat)));
        unheard >= self.allowed() * 3 / 4
    }

    fn turn(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        if self.state == State::Over {
            return;
        }
        let turn = self.note(event, now, out);
        self.partner.age(&self.settings, now, out);
        self.step(turn, now, out);
    }

    /// Everything an event means whatever the state is.
    fn note(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) -> Turn {
        match event {
            Event::Datagram { path, datagram } => self.hear(path, datagram, now, out),
            Event::Tick | Event::Worked { .. } => Turn::Tick,
            Event::Slept { lasted } => {
                // A hiccup of a few beats is not worth a line unless something follows from it.
                if lasted >= self.allowed() || (self.state == State::Active && self.is_unheard(lasted, now)) {
                    out.push(Action::Say(Line::Slept { lasted }));
                }
                self.judge_anew(now);
                Turn::Slept(lasted)
            }
            Event::Link { path, is_up } => self.link(path, is_up, now, out),
            Event::Failing(watched) => {
                self.fitness.fail(watched, now);
                Turn::Failing
            }
            Event::Mended(watched) => {
                self.fitness.mend(watched, now);
                Turn::Mended
            }
            Event::Witness(answer) => Turn::Witness(answer),
            Event::Announced => Turn::Announced,
            Event::Lowered => Turn::Lowered,
            Event::Asked(Request::Stop) => Turn::Stop,
            Event::Asked(Request::Detach) => Turn::Detach,
            Event::Asked(Request::Relocate) => Turn::Relocate,
            Event::Asked(Request::Release) => {
                self.fitness.is_released = true;
                Turn::Release
            }
            Event::Asked(Request::Restore) => {
                self.fitness.is_released = false;
                self.fitness.rest.forget();
                self.stays_away = false;
                Turn::Restore
            }
            Event::Reloaded(settings) => {
                let Settings { role, service, .. } = self.settings;
                let before = std::mem::replace(&mut self.settings, Settings { role, service, ..settings.sane() });
                self.fitness.resize(self.settings.paths.len());
                self.fitness.rest.forget();
                self.partner.resize(self.settings.paths.len());
                // The silence so far was that of another address, or is measured by other times.
                if self.settings != before {
                    self.partner.extend(now);
                }
                self.next_beat = now;
                Turn::Reloaded
            }
        }
    }

    fn hear(&mut self, path: usize, datagram: Datagram, now: Instant, out: &mut Vec<Action>) -> Turn {
        let heard = self.partner.hear(path, datagram, &self.settings, now, out);
        if heard.asks {
            self.answer(now);
        }
        if !heard.counts {
            return Turn::Tick;
        }
        // Who was away may have held the VIPs all the time.
        let was_silent = std::mem::take(&mut self.partner.was_silent);
        if (heard.is_new_start || was_silent) && self.state == State::Active {
            self.suspect(now);
        }
        self.partner.counters.accepted = self.partner.counters.accepted.saturating_add(1);
        self.lost.turn(false);
        self.unable.turn(false);
        self.isolated.turn(false);
        // It speaks for itself again.
        (self.rival, self.eclipsed) = (None, None);
        Turn::Heard
    }

    fn link(&mut self, path: usize, is_up: bool, now: Instant, out: &mut Vec<Action>) -> Turn {
        let was_cut_off = self.fitness.is_cut_off(&self.settings.paths);
        if !self.fitness.set_link(path, is_up) {
            return Turn::Tick;
        }
        if let (false, Some(path)) = (is_up, self.settings.paths.get(path)) {
            out.push(Action::Say(Line::LinkDown(path.name.clone())));
        }
        match (was_cut_off, self.fitness.is_cut_off(&self.settings.paths)) {
            (false, true) => {
                out.push(Action::Say(Line::LinksFailed));
                Turn::LinksFailed
            }
            (true, false) => {
                out.push(Action::Say(Line::LinksRestored));
                self.judge_anew(now);
                Turn::LinksRestored
            }
            (false, false) | (true, true) => Turn::Tick,
        }
    }

    /// What we know may be long past.
    fn judge_anew(&mut self, now: Instant) {
        self.partner.judge_anew(&self.settings, now);
        self.first_refusal_until = None;
        self.handed_over_until = None;
        self.relocate_until = None;
        self.wanted_until = None;
        self.failback_from = None;
        self.contest = None;
        self.rival = None;
        self.eclipsed = self.eclipsed.map(|_| now);
        self.next_beat = now;
    }

    /// A beat out of turn, if it sends any now: something counts from it.
    pub fn beat_now(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.next_beat = now;
        self.beat_if_due(now, out);
    }

    fn reason(&self, now: Instant) -> Option<Reason> {
        self.fitness.reason(&self.settings.paths, now, self.settings.steady)
    }

    /// Why the partner should not hand over to us.
    fn reserve(&self, now: Instant) -> Option<Reason> {
        let rests = !self.holds_vips() && self.fitness.rest.left(now).is_some();
        self.reason(now).or_else(|| rests.then_some(Reason::Rests))
    }

    /// Why it could not serve if it had to. Being well for a while first is for one to
    /// whom the VIPs could be handed, lest two throw them to and fro; where nobody else
    /// serves it keeps clients waiting for nothing, and who serves has no reason to go.
    fn defect(&self, now: Instant) -> Option<Reason> {
        self.fitness.reason(&self.settings.paths, now, Duration::ZERO)
    }

    fn allowed(&self) -> Duration {
        self.partner.allowed(&self.settings)
    }

    /// A beat now instead of at its time, but not so often that asking for one
    /// becomes a way to flood.
    fn answer(&mut self, now: Instant) {
        let soonest = self.last_beat.map_or(now, |last| now.max(last + self.settings.keepalive / 8));
        self.next_beat = self.next_beat.min(soonest);
    }

    fn beat_if_due(&mut self, now: Instant, out: &mut Vec<Action>) {
        let is_time = match self.state {
            State::Over | State::Leaving { .. } => false,
            State::Standby
            | State::Asking { .. }
            | State::Listening { .. }
            | State::Active
            | State::Lowering { .. } => now >= self.next_beat,
        };
        if is_time {
            self.beat(now, out);
        }
    }

    fn beat(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.last_beat = Some(now);
        self.next_beat = now + self.settings.keepalive;
        let reason = self.reserve(now);
        let doing = match (self.state, reason) {
            (State::Active, _) => Doing::Active,
            (State::Listening { .. }, _) => Doing::Listening,
            (State::Lowering { .. }, _) => Doing::Lowering,
            (State::Standby | State::Asking { .. } | State::Leaving { .. } | State::Over, None) => Doing::Standby,
            (State::Standby | State::Asking { .. } | State::Leaving { .. } | State::Over, Some(_)) => Doing::Unfit,
        };
        let flags = Flags {
            leaving: matches!(self.state, State::Leaving { .. }),
            handover: self.handed_over_until.is_some(),
            ask: !self.partner.session.is_proved() || self.is_handing_over(now),
            want: self.wants(now),
            master: self.settings.role == Role::Master,
        };
        let (heard, also_heard) = self.partner.session.echoes();
        out.push(Action::SendHeartbeat(Heartbeat {
            word: self.word(doing, flags.leaving),
            state: doing,
            start: self.partner.session.ours(),
            sequence: self.partner.session.stamp(),
            heard,
            also_heard,
            fingerprint: self.settings.fingerprint,
            interval: self.settings.keepalive,
            flags,
            reason,
            path: 0,
        }));
    }

    /// What an original reads.
    fn word(&self, doing: Doing, is_leaving: bool) -> Word {
        match doing {
            Doing::Active => self.settings.service.word(Claim::Running),
            Doing::Listening | Doing::Lowering => Word::Hold,
            // An original BACKUP would take STOPPED for its turn.
            Doing::Standby
                if self.partner.kind == Kind::Unknown && self.settings.role == Role::Master && !is_leaving =>
            {
                Word::Hold
            }
            Doing::Standby | Doing::Unfit => self.settings.service.word(Claim::Stopped),
        }
    }
}

#[cfg(test)]
mod tests;
