//! The life of one supervised child, as a pure machine: events and the time in,
//! actions out. pulse keeps lvsd with it, its guardian keeps pulse, lvsd keeps a
//! machine per nanny.
//!
//! ```text
//!            spawn                 ready                    stop
//!   Waiting ───────► Starting ───────────► Running ───────────────► Stopping
//!      ▲                │  gone / silent      │  gone / silent          │ gone
//!      └────────────────┴─────────────────────┘                        ▼
//!        at once the first time, then later and later                 Over
//! ```
//!
//! The rules, as numbers, are [`Rules`]; they stand in piranha-ng.7 too. There is
//! no last try: a child that should run is started for ever, at most
//! [`Rules::backoff_max`] apart. Nothing that belongs to the child in the kernel
//! is touched on its death: the next one adopts it.

use std::fmt;
use std::time::{Duration, Instant};

/// How children are kept. One value for all of a parent's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A child says it is alive this often.
    pub beat: Duration,
    /// A child that said nothing this long is frozen: it is killed and replaced.
    pub frozen_after: Duration,
    /// How long a TERM may take before KILL.
    pub stop_within: Duration,
    /// The first wait before a start that follows a failed one; doubled each
    /// time. The very first restart does not wait.
    pub backoff_first: Duration,
    /// The longest wait between two starts; also the wait after an exit that
    /// another start cannot mend (usage 64, configuration 78).
    pub backoff_max: Duration,
    /// A child that ran this long was healthy: failures are forgotten.
    pub healthy_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(2),
            frozen_after: Duration::from_secs(10),
            stop_within: Duration::from_secs(10),
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            healthy_after: Duration::from_secs(60),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status, 0 to 255.
    Status(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was not our child and its line ended: how is not known.
    Unknown,
}

impl Exit {
    /// What waitpid(2) said, if it said that the process ended.
    pub fn from_wait(status: nix::sys::wait::WaitStatus) -> Option<(nix::unistd::Pid, Self)> {
        use nix::sys::wait::WaitStatus;
        match status {
            WaitStatus::Exited(pid, code) => Some((pid, Self::Status(code))),
            WaitStatus::Signaled(pid, signal, _) => Some((pid, Self::Signal(signal as i32))),
            WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(..)
            | WaitStatus::Continued(..)
            | WaitStatus::StillAlive => None,
        }
    }

    /// Whether starting it again with the same arguments cannot help.
    fn is_hopeless(self) -> bool {
        matches!(self, Self::Status(64 | 78))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "terminated with signal {signal}"),
            Self::Unknown => f.write_str("is gone"),
        }
    }
}

/// What happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Action::Spawn`] was done: this process runs.
    Spawned(u32),
    /// [`Action::Spawn`] could not be done.
    SpawnFailed,
    /// A living one was found at its meeting place.
    Adopted(u32),
    /// It said that everything it owns is as it should be.
    Ready,
    /// It said anything.
    Heard,
    /// It ended, seen by waitpid or by the end of its line.
    Gone(Exit),
    /// It should end, for good.
    Stop,
    /// It should be replaced by a fresh one now (new arguments, no failure).
    Replace,
    /// The time of [`Child::deadline`] has come, or any other turn of the loop.
    Tick,
    /// This parent was itself asleep: silence until now proves nothing.
    Slept,
}

/// What the parent must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn,
    /// Ask it to end.
    Terminate(u32),
    /// End it.
    Kill(u32),
    /// Ask it to leave without touching anything, its successor follows.
    Release(u32),
    /// Worth a line in the log.
    Report(Report),
}

/// What a parent may want to say about a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It ended on its own; the next start is this far away.
    Died {
        /// The process that was.
        pid: u32,
        /// How it ended.
        exit: Exit,
        /// When the next one starts.
        again_in: Duration,
    },
    /// It said nothing for [`Rules::frozen_after`] and is being killed.
    Frozen {
        /// The process.
        pid: u32,
        /// How long it was silent.
        silent: Duration,
    },
    /// It could not be started; the next try is this far away.
    NotStarted {
        /// When the next try is made.
        again_in: Duration,
    },
    /// It did not end within [`Rules::stop_within`] and is being killed.
    Stubborn {
        /// The process.
        pid: u32,
    },
}

/// Where a child is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No process; the next start is due at `until`.
    Waiting { until: Instant },
    /// Asked for a process, no answer yet.
    Spawning,
    /// There is one and it has not said that it is ready.
    Starting { pid: u32, since: Instant, heard: Instant },
    /// There is one and it is ready.
    Running { pid: u32, since: Instant, heard: Instant },
    /// It was killed for its silence; a successor follows its end.
    Killing { pid: u32 },
    /// It was asked to leave for a successor; killed at `kill_at`.
    Replacing { pid: u32, kill_at: Instant },
    /// It was asked to end for good; killed at `kill_at`.
    Stopping { pid: u32, kill_at: Instant },
    /// No process, and none is wanted.
    Over,
}

/// One child. See the module's picture.
#[derive(Clone, Debug)]
pub struct Child {
    rules: Rules,
    /// Spreads restarts of many children that failed together.
    seed: u64,
    failures: u32,
    state: State,
}

impl Child {
    /// A child that should run and does not yet: due at once. `seed` (a hash of
    /// its name) decides the jitter of its restarts.
    pub fn new(rules: Rules, seed: u64, now: Instant) -> Self {
        Self { rules, seed, failures: 0, state: State::Waiting { until: now } }
    }

    /// Its process, if there is one.
    pub fn pid(&self) -> Option<u32> {
        match self.state {
            State::Starting { pid, .. }
            | State::Running { pid, .. }
            | State::Killing { pid }
            | State::Replacing { pid, .. }
            | State::Stopping { pid, .. } => Some(pid),
            State::Waiting { .. } | State::Spawning | State::Over => None,
        }
    }

    /// Whether it runs and said that it is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether a start was asked for and not answered yet.
    pub fn is_spawning(&self) -> bool {
        self.state == State::Spawning
    }

    /// Whether it is gone for good after [`Event::Stop`].
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// How often it failed since it was last healthy.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When [`Event::Tick`] is next needed; `None` while only an event can change
    /// anything.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Starting { heard, .. } | State::Running { heard, .. } => Some(heard + self.rules.frozen_after),
            State::Stopping { kill_at, .. } | State::Replacing { kill_at, .. } => Some(kill_at),
            State::Spawning | State::Killing { .. } | State::Over => None,
        }
    }

    /// One event. What must be done is appended to `out`.
    #[allow(clippy::unnested_or_patterns)] // each group of pairs has its own reason above it
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        self.state = match (self.state, event) {
            // A process appears.
            (State::Waiting { .. } | State::Spawning, Event::Spawned(pid)) => State::Starting { pid, since: now, heard: now },
            (State::Waiting { .. } | State::Spawning, Event::Adopted(pid)) => State::Running { pid, since: now, heard: now },
            (State::Spawning, Event::SpawnFailed) => {
                let again_in = self.fail(false);
                out.push(Action::Report(Report::NotStarted { again_in }));
                State::Waiting { until: now + again_in }
            }

            // It is time to start one.
            (State::Waiting { until }, Event::Tick) if now >= until => {
                out.push(Action::Spawn);
                State::Spawning
            }
            (State::Waiting { .. }, Event::Replace) => {
                self.failures = 0;
                State::Waiting { until: now }
            }
            (State::Waiting { .. }, Event::Stop) => State::Over,

            // It lives.
            (State::Starting { pid, since, .. }, Event::Ready) => State::Running { pid, since, heard: now },
            (State::Starting { pid, since, .. }, Event::Heard | Event::Slept) => State::Starting { pid, since, heard: now },
            (State::Running { pid, since, .. }, Event::Ready | Event::Heard | Event::Slept) => {
                if now.saturating_duration_since(since) >= self.rules.healthy_after {
                    self.failures = 0;
                }
                State::Running { pid, since, heard: now }
            }

            // It fell silent.
            (State::Starting { pid, heard, .. } | State::Running { pid, heard, .. }, Event::Tick)
                if now >= heard + self.rules.frozen_after =>
            {
                let silent = now.saturating_duration_since(heard);
                out.push(Action::Report(Report::Frozen { pid, silent }));
                out.push(Action::Kill(pid));
                State::Killing { pid }
            }

            // It ended, unasked.
            (State::Starting { pid, since, .. } | State::Running { pid, since, .. }, Event::Gone(exit)) => {
                if now.saturating_duration_since(since) >= self.rules.healthy_after {
                    self.failures = 0;
                }
                let again_in = self.fail(exit.is_hopeless());
                out.push(Action::Report(Report::Died { pid, exit, again_in }));
                Self::again(now, again_in, out)
            }
            (State::Killing { .. }, Event::Gone(_)) => {
                let again_in = self.fail(false);
                Self::again(now, again_in, out)
            }

            // It should go.
            (State::Starting { pid, .. } | State::Running { pid, .. } | State::Replacing { pid, .. }, Event::Stop) => {
                out.push(Action::Terminate(pid));
                State::Stopping { pid, kill_at: now + self.rules.stop_within }
            }
            (State::Killing { pid }, Event::Stop) => State::Stopping { pid, kill_at: now + self.rules.stop_within },
            (State::Spawning, Event::Stop) => State::Over,
            (State::Starting { pid, .. } | State::Running { pid, .. }, Event::Replace) => {
                out.push(Action::Release(pid));
                State::Replacing { pid, kill_at: now + self.rules.stop_within }
            }
            (State::Stopping { pid, kill_at }, Event::Tick) if now >= kill_at => {
                out.push(Action::Report(Report::Stubborn { pid }));
                out.push(Action::Kill(pid));
                State::Stopping { pid, kill_at: now + self.rules.stop_within }
            }
            (State::Replacing { pid, kill_at }, Event::Tick) if now >= kill_at => {
                out.push(Action::Report(Report::Stubborn { pid }));
                out.push(Action::Kill(pid));
                State::Replacing { pid, kill_at: now + self.rules.stop_within }
            }
            (State::Replacing { .. }, Event::Gone(_)) => {
                self.failures = 0;
                Self::again(now, Duration::ZERO, out)
            }
            (State::Stopping { .. }, Event::Gone(_)) => State::Over,

            // A process that came although none is wanted any more must not stay.
            (State::Over, Event::Spawned(pid) | Event::Adopted(pid)) => {
                out.push(Action::Terminate(pid));
                State::Stopping { pid, kill_at: now + self.rules.stop_within }
            }

            // While it is being ended, what it says and what we wish changes nothing;
            // a replacement follows its end in any case.
            (
                state @ (State::Killing { .. } | State::Replacing { .. } | State::Stopping { .. }),
                Event::Ready | Event::Heard | Event::Slept | Event::Tick | Event::Replace,
            )
            // There is one process per machine: a second answer is the same one's.
            | (
                state @ (State::Starting { .. }
                | State::Running { .. }
                | State::Killing { .. }
                | State::Replacing { .. }
                | State::Stopping { .. }),
                Event::Spawned(_) | Event::Adopted(_) | Event::SpawnFailed,
            )
            // Nothing is due.
            | (state @ (State::Waiting { .. } | State::Starting { .. } | State::Running { .. }), Event::Tick)
            | (state @ State::Stopping { .. }, Event::Stop)
            // No process, so nobody to hear or to lose: late news of the last one.
            | (
                state @ (State::Waiting { .. } | State::Spawning | State::Over),
                Event::Ready | Event::Heard | Event::Gone(_) | Event::Slept,
            )
            | (state @ (State::Spawning | State::Over), Event::Tick | Event::Replace)
            | (state @ (State::Waiting { .. } | State::Over), Event::SpawnFailed)
            | (state @ State::Over, Event::Stop) => state,
        };
    }

    /// Counts a failure; how long to wait before the next start.
    fn fail(&mut self, hopeless: bool) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if hopeless {
            return self.jittered(self.rules.backoff_max);
        }
        match self.failures {
            0 | 1 => Duration::ZERO,
            n => {
                let doubled = self.rules.backoff_first.saturating_mul(1 << (n - 2).min(16));
                self.jittered(doubled.min(self.rules.backoff_max))
            }
        }
    }

    /// Between three quarters of `wait` and all of it, decided by the child's
    /// name and the number of its failures.
    fn jittered(&self, wait: Duration) -> Duration {
        let mixed = (self.seed ^ u64::from(self.failures)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let quarter = wait / 4;
        wait.saturating_sub(quarter.mul_f64(f64::from(u32::try_from(mixed).unwrap_or(0)) / 65_536.0))
    }

    fn again(now: Instant, again_in: Duration, out: &mut Vec<Action>) -> State {
        if again_in.is_zero() {
            out.push(Action::Spawn);
            State::Spawning
        } else {
            State::Waiting { until: now + again_in }
        }
    }
}

#[cfg(test)]
mod tests;
