//! PURE. The life of one failover service: events and the time in, actions out.
//!
//! ```text
//!            start_cmd ended        good check            failed check
//!  Starting ────────────────► Settling ─────────► Serving ───────────► Doubted
//!     ▲ │                        │                   ▲   good check       │
//!     │ │ failed                 │ no good check     └────────────────────┤
//!     │ ▼                        ▼                      another failed one│
//!     └─────── Stopping ◄──── start again? ◄──────────────────────────────┘
//!      stop_cmd ended  ▲         │ not any more: pulse is told
//!                      │         ▼
//!                      └───── Resting: another try after a while
//! ```
//!
//! A check may fail by accident, a start may not: as in the original a second
//! failure in a row counts (piranha.md 5). Each start but the first one is counted,
//! within a time that slides; a service that has used them up is one that this
//! director cannot run.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use common::command::Failure;

/// How long a service that was given up rests before it is tried again, for a
/// director without a partner that could do better.
pub const REST: Duration = Duration::from_secs(30);

/// How long a start that failed is let be: what it lacked may come meanwhile, a
/// port that its predecessor still holds, for one.
pub const PAUSE: Duration = Duration::from_secs(1);

/// How one is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether there is a start_cmd.
    pub has_start: bool,
    /// Whether there is a stop_cmd.
    pub has_stop: bool,
    /// How long a started service may be without a good check.
    pub settle: Duration,
    /// How long a failed check is doubted: the next one is over by then.
    pub doubt: Duration,
    /// How often it is started again...
    pub restarts: u32,
    /// ... within this time.
    pub period: Duration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command that [`Action::Run`] asked for has ended, or could not be run, or
    /// had its time.
    Ended(Result<(), Failure>),
    /// Its nanny's verdict.
    Judged(bool),
    /// It should not run here any more.
    Stop,
    /// The time of [`Service::deadline`] has come, or any other turn of the loop.
    Tick,
    /// lvsd was itself asleep: what did not come meanwhile proves nothing.
    Slept,
}

/// Which of its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// start_cmd
    Start,
    /// stop_cmd
    Stop,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run this command, instead of one that runs.
    Run(Which),
    /// Have its nanny look at once.
    Check,
    /// It runs: a good check says so.
    Serves,
    /// It failed and is started again, for the nth time of so many.
    Again {
        /// Why.
        trouble: Trouble,
        /// From 1.
        time: u32,
        /// How often at most.
        of: u32,
    },
    /// It failed and this director gives up.
    GivenUp(Trouble),
    /// stop_cmd was of no use.
    NotStopped(Failure),
    /// It is stopped, or was never ours to stop.
    Over,
}

/// Why it does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// start_cmd was of no use.
    Start(Failure),
    /// start_cmd had its time and was killed, while the service it started answered.
    Foreground(Failure),
    /// There was no good check this long after it was started.
    Unsettled(Duration),
    /// Its checks fail.
    Lost,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(failure) => write!(f, "start_cmd {failure}"),
            Self::Foreground(failure) => {
                write!(f, "start_cmd {failure}, although the service answered: it must end when that is started")
            }
            Self::Unsettled(time) => write!(f, "no good check within {time:?}"),
            Self::Lost => f.write_str("it does not answer"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Settling { until: Instant },
    Serving,
    Doubted { until: Instant },
    Stopping { again: bool },
    Resting { until: Instant },
    Over,
}

/// What a command that runs is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// start_cmd
    Start,
    /// stop_cmd
    Stop,
    /// stop_cmd, and start_cmd after it.
    Restart,
}

impl UnderWay {
    /// For the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// What this word was.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Start, Self::Stop, Self::Restart].into_iter().find(|it| it.word() == word)
    }

    /// The keyword of the command that runs.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Start => "start_cmd",
            Self::Stop | Self::Restart => "stop_cmd",
        }
    }
}

/// What a new lvsd must know of one, or it would start a broken one for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// When it was started again, oldest first.
    pub restarts: Vec<Instant>,
    /// Why this director cannot run it, if so.
    pub given_up: Option<String>,
    /// A command that an lvsd before us started; its end is still to come as
    /// [`Event::Ended`].
    pub under_way: Option<UnderWay>,
}

/// One service. See the module's picture.
#[derive(Clone, Debug)]
pub struct Service {
    rules: Rules,
    state: State,
    /// Its nanny's last verdict.
    available: Option<bool>,
    /// When it was started again, oldest first; at most `restarts` of them.
    again: VecDeque<Instant>,
    /// pulse was told that it cannot run here, and why.
    given_up: Option<String>,
}

impl Service {
    /// One that should run and does not.
    pub fn start(rules: Rules, now: Instant, out: &mut Vec<Action>) -> Self {
        let mut service = Self::adopt(rules, Past::default(), now);
        if rules.has_start {
            out.push(Action::Run(Which::Start));
            service.state = State::Starting;
        }
        service
    }

    /// One that an lvsd before us started: whether it runs, its nanny will say.
    pub fn adopt(rules: Rules, past: Past, now: Instant) -> Self {
        let Past { restarts, given_up, under_way } = past;
        let state = match (under_way, &given_up) {
            (Some(UnderWay::Start), _) => State::Starting,
            (Some(UnderWay::Stop), _) => State::Stopping { again: false },
            (Some(UnderWay::Restart), _) => State::Stopping { again: true },
            (None, Some(_)) => State::Resting { until: now + REST },
            (None, None) => State::Settling { until: now + rules.settle },
        };
        Self { rules, state, available: None, again: restarts.into(), given_up }
    }

    /// The file was read again. Whoever has it read may have mended what was wrong:
    /// what was given up is tried at once.
    pub fn set_rules(&mut self, rules: Rules, now: Instant) {
        self.rules = rules;
        if let State::Resting { until } = &mut self.state {
            *until = now.min(*until);
        }
    }

    /// For the next lvsd.
    pub fn past(&self) -> Past {
        let under_way = match self.state {
            State::Starting => Some(UnderWay::Start),
            State::Stopping { again: false } => Some(UnderWay::Stop),
            State::Stopping { again: true } => Some(UnderWay::Restart),
            State::Settling { .. } | State::Serving | State::Doubted { .. } | State::Resting { .. } | State::Over => {
                None
            }
        };
        Past { restarts: self.again.iter().copied().collect(), given_up: self.given_up.clone(), under_way }
    }

    /// How often it was started again within the time that counts, and how often it
    /// may be.
    pub fn restarts(&self, now: Instant) -> (usize, u32) {
        let counts = |at: &&Instant| now.saturating_duration_since(**at) < self.rules.period;
        (self.again.iter().filter(counts).count(), self.rules.restarts)
    }

    /// Why this director cannot run it, if so.
    pub fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// What it is doing, for a status line.
    pub fn doing(&self) -> &'static str {
        match self.state {
            State::Starting => "being started",
            State::Settling { .. } => "started, not answering yet",
            State::Serving => "serving",
            State::Doubted { .. } => "serving, a check failed",
            State::Stopping { again: true } => "being stopped to be started again",
            State::Stopping { again: false } => "being stopped",
            State::Resting { .. } => "given up, tried again in a while",
            State::Over => "stopped",
        }
    }

    /// Whether it is stopped for good.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether it is stopped or on its way there.
    pub fn is_leaving(&self) -> bool {
        matches!(self.state, State::Over | State::Stopping { again: false })
    }

    /// When [`Event::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Settling { until } | State::Doubted { until } | State::Resting { until } => Some(until),
            // A command has a deadline of its own.
            State::Starting | State::Serving | State::Stopping { .. } | State::Over => None,
        }
    }

    /// One event. What must be done is appended to `out`.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        if let Event::Judged(available) = event {
            self.available = Some(available);
        }
        self.state = match (self.state, event) {
            (State::Starting, Event::Ended(Ok(()))) => {
                out.push(Action::Check);
                if self.available == Some(true) { self.serve(out) } else { self.settle(now) }
            }
            (State::Starting, Event::Ended(Err(failure @ Failure::TimedOut(..)))) if self.available == Some(true) => {
                self.fail(Trouble::Foreground(failure), now, out)
            }
            (State::Starting, Event::Ended(Err(failure))) => self.fail(Trouble::Start(failure), now, out),

            (State::Settling { .. } | State::Resting { .. }, Event::Judged(true)) => self.serve(out),
            (State::Doubted { .. }, Event::Judged(true)) => State::Serving,
            (State::Settling { until }, Event::Tick) if now >= until => {
                self.fail(Trouble::Unsettled(self.rules.settle), now, out)
            }
            (State::Settling { .. }, Event::Slept) => {
                out.push(Action::Check);
                self.settle(now)
            }
            (State::Serving, Event::Judged(false)) => State::Doubted { until: now + self.rules.doubt },
            (State::Doubted { until }, Event::Tick) if now >= until => self.fail(Trouble::Lost, now, out),
            (State::Doubted { .. }, Event::Slept) => {
                out.push(Action::Check);
                State::Doubted { until: now + self.rules.doubt }
            }
            (State::Resting { until }, Event::Tick) if now >= until => self.again(now, out),

            (State::Stopping { again }, Event::Ended(outcome)) => {
                // One that does not run cannot be stopped, which is as good; the
                // start tells whether something is wrong.
                out.extend(outcome.err().filter(|_| !again).map(Action::NotStopped));
                if again {
                    out.push(Action::Run(Which::Start));
                    State::Starting
                } else {
                    out.push(Action::Over);
                    State::Over
                }
            }
            (State::Stopping { .. }, Event::Stop) => State::Stopping { again: false },
            (
                State::Starting
                | State::Settling { .. }
                | State::Serving
                | State::Doubted { .. }
                | State::Resting { .. },
                Event::Stop,
            ) => {
                if self.rules.has_stop {
                    out.push(Action::Run(Which::Stop));
                    State::Stopping { again: false }
                } else {
                    out.push(Action::Over);
                    State::Over
                }
            }

            // Its nanny speaks of the one before, or says what is known.
            (state @ (State::Starting | State::Stopping { .. } | State::Over), Event::Judged(_))
            | (state @ State::Serving, Event::Judged(true))
            | (
                state @ (State::Settling { .. } | State::Doubted { .. } | State::Resting { .. }),
                Event::Judged(false),
            )
            // Late news of a command that another took the place of.
            | (
                state @ (State::Settling { .. }
                | State::Serving
                | State::Doubted { .. }
                | State::Resting { .. }
                | State::Over),
                Event::Ended(_),
            )
            // Nothing is due.
            | (
                state @ (State::Starting
                | State::Settling { .. }
                | State::Serving
                | State::Doubted { .. }
                | State::Stopping { .. }
                | State::Resting { .. }
                | State::Over),
                Event::Tick,
            )
            // Nothing is judged by its silence.
            | (
                state @ (State::Starting
                | State::Serving
                | State::Stopping { .. }
                | State::Resting { .. }
                | State::Over),
                Event::Slept,
            )
            | (state @ State::Over, Event::Stop) => state,
        };
    }

    fn settle(&self, now: Instant) -> State {
        State::Settling { until: now + self.rules.settle }
    }

    fn serve(&mut self, out: &mut Vec<Action>) -> State {
        self.given_up = None;
        out.push(Action::Serves);
        State::Serving
    }

    fn fail(&mut self, trouble: Trouble, now: Instant, out: &mut Vec<Action>) -> State {
        let period = self.rules.period;
        self.again.retain(|at| now.saturating_duration_since(*at) < period);
        let used = u32::try_from(self.again.len()).unwrap_or(u32::MAX);
        if self.given_up.is_none() && self.rules.has_start && used < self.rules.restarts {
            self.again.push_back(now);
            let is_start = matches!(trouble, Trouble::Start(_) | Trouble::Foreground(_));
            out.push(Action::Again { trouble, time: used + 1, of: self.rules.restarts });
            return if is_start { State::Resting { until: now + PAUSE } } else { self.again(now, out) };
        }
        let reason = trouble.to_string();
        if self.given_up.as_ref() != Some(&reason) {
            self.given_up = Some(reason);
            out.push(Action::GivenUp(trouble));
        }
        State::Resting { until: now + REST }
    }

    /// What is left of it goes first.
    fn again(&self, now: Instant, out: &mut Vec<Action>) -> State {
        match (self.rules.has_start, self.rules.has_stop) {
            (true, true) => {
                out.push(Action::Run(Which::Stop));
                State::Stopping { again: true }
            }
            (true, false) => {
                out.push(Action::Run(Which::Start));
                State::Starting
            }
            // It is nobody's to start: the next good check says that it runs.
            (false, _) => State::Resting { until: now + REST },
        }
    }
}

#[cfg(test)]
mod tests;
