//! Whether the real server is in use: outcomes of checks, signals and lvsd's word
//! in, changes worth a line out. Pure; what the kernel should have follows from the
//! state ([`Health::wanted`]), and the verdict lvsd hears too ([`Health::verdict`]).
//!
//! ```text
//!            found in the kernel               good × returns after
//!      New ─────────────────────► Adopted     ┌──────────────────► Up
//!       │ first good: Up             │ good: Up                     │
//!       │ first bad:  Down           │ bad × fall: Down             │ bad × fall
//!       └────────────────────────────┴───────► Down ◄───────────────┘
//!
//!      any ── opaque glasses ──► Opaque (out)        ── off ──► Down
//!      any ── rose glasses ────► Rose (in, full)     ── off ──► Up
//! ```
//!
//! As the original (piranha.md 4.4, 4.6), where nothing else is configured: the first
//! failed check takes a server out; it returns after so many good ones in a row as
//! fit into the reentry time, with a small weight that grows; a server that was never
//! judged is admitted by its first good check. Unlike it: a server found in the kernel
//! stays as it is until its first verdict, and grows only after a failure.
//!
//! A nanny whose predecessor had judged is told how ([`Event::Was`]): what the kernel has
//! with weight 0 may be a drained server that is well, and what it does not have one that
//! fails.
//!
//! A server that is Down stays in the kernel all the same while lvsd says so
//! ([`Event::Stay`]): it is among the last of its service.

use std::time::{Duration, Instant};

pub use common::destinations::Failed;

use crate::flaps::Flaps;
use crate::ramp::Ramp;
use crate::record::Standing;

/// How health is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failed checks in a row before a server is taken out; 0 is 1.
    pub fall: u32,
    /// Good checks in a row before a failed server returns; 0 is 1.
    pub threshold: u32,
    /// The weight of a server in use, 0 to 65535.
    pub weight: u32,
    /// What becomes of a failed server's destination.
    pub failed: Failed,
    /// How long the weight of a server that returned takes to be the full one.
    pub slow_start: Duration,
    /// A server that falls within this time after its return needs twice as many good
    /// checks as the last time; zero is never.
    pub dampen: Duration,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel was read: the destination is there with this weight, or is not.
    Found(Option<u32>),
    /// A check ended well.
    Good,
    /// A check ended badly.
    Bad,
    /// Nothing but time.
    Tick,
    /// lvsd: it is among the last of its service and stays, whatever checks say; or
    /// is not any more.
    Stay(bool),
    /// lvsd: the verdict of this nanny's predecessor, before its own first check.
    Was(bool),
    /// SIGUSR1: out, whatever the checks say.
    OpaqueOn,
    /// SIGUSR2: in with full weight, whatever the checks say.
    RoseOn,
    /// SIGHUP: back to checks.
    GlassesOff,
}

/// What changed; each is a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// In use from now on.
    Admitted,
    /// No longer in use: checks failed.
    Removed,
    /// Checks failed, or it was out: it is in the kernel all the same, among the last.
    Held,
    /// It fell too soon after its return, and needs so many good checks now.
    Dampened(u32),
    /// Its very first check failed, it never was in use.
    LeftOut,
    /// Found in use in the kernel with this weight; stays until the first verdict.
    Adopted(u32),
    /// Found in the kernel with weight 0 as a quiesced server's; it has to earn
    /// its return.
    AdoptedQuiesced,
    /// Forced out.
    OpaqueOn,
    /// No longer in use because it was forced out.
    ForcedOut,
    /// Forced in.
    RoseOn,
    /// Checks count again.
    GlassesOff,
}

/// What the kernel should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What it has: nothing is known yet.
    Untouched,
    /// The destination with this weight.
    Weight(u32),
    /// Weight 0 if the destination is there; it is not added for that.
    Quiesced,
    /// No destination.
    Absent,
}

/// Where the judgement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not judged, and not found in the kernel.
    New,
    /// Not judged, but found in the kernel with this weight.
    Adopted {
        /// The kernel's weight, kept until the first verdict.
        weight: u32,
        /// So many bad checks in a row, too few for a verdict.
        bad: u32,
    },
    /// Out of use; so many good checks in a row since the last bad one.
    Down {
        /// Below what it takes to return.
        good: u32,
    },
    /// In use.
    Up {
        /// So many bad checks in a row since the last good one; below `fall`.
        bad: u32,
        /// Its weight is not the full one yet.
        ramp: Option<Ramp>,
    },
    /// Forced out.
    Opaque,
    /// Forced in.
    Rose,
}

/// The judge. See the module's picture.
#[derive(Clone, Debug)]
pub struct Health {
    rules: Rules,
    state: State,
    /// lvsd's word.
    stays: bool,
    /// How it comes and goes.
    flaps: Flaps,
}

const FULL: State = State::Up { bad: 0, ramp: None };
const FALLEN: State = State::Down { good: 0 };

impl Health {
    /// Nothing is known.
    pub fn new(rules: Rules) -> Self {
        Self { rules, state: State::New, stays: false, flaps: Flaps::default() }
    }

    /// One event; changes are appended to `out` in the order they are to be said.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Change>) {
        let was_held = self.is_held();
        let mut say = |change| out.push(change);
        self.state = match (self.state, event) {
            (State::New, Event::Found(None)) => State::New,
            (State::New, Event::Found(Some(0))) if self.rules.failed != Failed::Removed && self.rules.weight > 0 => {
                say(Change::AdoptedQuiesced);
                FALLEN
            }
            (State::New, Event::Found(Some(weight))) => {
                say(Change::Adopted(weight));
                State::Adopted { weight, bad: 0 }
            }

            (State::New, Event::Good) => {
                say(Change::Admitted);
                FULL
            }
            (State::New, Event::Bad) if self.stays => {
                say(Change::Held);
                FALLEN
            }
            (State::New, Event::Bad) => {
                say(Change::LeftOut);
                FALLEN
            }
            // Somebody had drained it: the check puts it to work again.
            (State::Adopted { weight: 0, .. }, Event::Good) if self.rules.weight > 0 => {
                say(Change::Admitted);
                FULL
            }
            (State::Adopted { .. }, Event::Good) => FULL,
            (State::Adopted { weight, bad }, Event::Bad) if bad + 1 < self.rules.fall => {
                State::Adopted { weight, bad: bad + 1 }
            }
            (State::Up { bad, ramp }, Event::Bad) if bad + 1 < self.rules.fall => State::Up { bad: bad + 1, ramp },
            (State::Up { .. } | State::Adopted { .. }, Event::Bad) => {
                say(if self.stays { Change::Held } else { Change::Removed });
                if self.flaps.fall_at(self.rules.dampen, now) {
                    say(Change::Dampened(self.returns_after()));
                }
                FALLEN
            }
            (State::Up { ramp, .. }, Event::Good) => State::Up { bad: 0, ramp },
            (State::Up { bad, ramp }, Event::Tick) => {
                State::Up { bad, ramp: ramp.and_then(|ramp| ramp.at(self.rules.weight, self.rules.slow_start, now)) }
            }

            (State::Down { good }, Event::Good) if good.saturating_add(1) >= self.returns_after() => {
                say(Change::Admitted);
                self.flaps.return_at(now);
                // What is in the kernel with its full weight has no way to go.
                let ramp = Ramp::begin(self.rules.weight, self.rules.slow_start, now).filter(|_| !self.stays);
                State::Up { bad: 0, ramp }
            }
            (State::Down { good }, Event::Good) => State::Down { good: good + 1 },
            (State::Down { .. }, Event::Bad) => FALLEN,

            (state, Event::OpaqueOn) if state != State::Opaque => {
                say(Change::OpaqueOn);
                if Self::in_use(state) || was_held {
                    say(Change::ForcedOut);
                }
                State::Opaque
            }
            (state, Event::RoseOn) if state != State::Rose => {
                say(Change::RoseOn);
                if !Self::in_use(state) {
                    say(Change::Admitted);
                }
                State::Rose
            }
            // As its predecessor left it, which the kernel does not tell: a failed server has to
            // earn its place still, a drained one had it.
            (State::New | State::Adopted { .. } | State::Down { .. }, Event::Was(false)) => FALLEN,
            (State::Down { .. }, Event::Was(true)) => State::Adopted { weight: 0, bad: 0 },

            (State::Opaque, Event::GlassesOff) => {
                say(Change::GlassesOff);
                if self.stays {
                    say(Change::Held);
                }
                FALLEN
            }
            (State::Rose, Event::GlassesOff) => {
                say(Change::GlassesOff);
                FULL
            }
            (state @ State::Down { .. }, Event::Stay(stays)) => {
                if stays != self.stays {
                    say(if stays { Change::Held } else { Change::Removed });
                }
                state
            }

            // It counts when the next verdict is bad, or the glasses are off.
            (state @ (State::New | State::Adopted { .. } | State::Up { .. } | State::Opaque | State::Rose), Event::Stay(_))
            // Judged already: what the kernel has is to be set right, not adopted.
            | (state @ (State::Adopted { .. } | State::Down { .. } | State::Up { .. } | State::Opaque | State::Rose), Event::Found(_))
            // That is known better by now.
            | (state @ (State::Up { .. } | State::Opaque | State::Rose), Event::Was(_))
            // Its first check will say.
            | (state @ (State::New | State::Adopted { .. }), Event::Was(true))
            // Nothing of it grows.
            | (state @ (State::New | State::Adopted { .. } | State::Down { .. } | State::Opaque | State::Rose), Event::Tick)
            // With glasses on nothing is checked: this is a late outcome.
            | (state @ (State::Opaque | State::Rose), Event::Good | Event::Bad)
            // They are on already; the other states are above.
            | (state, Event::OpaqueOn | Event::RoseOn)
            // There are none to take off.
            | (state @ (State::New | State::Adopted { .. } | State::Down { .. } | State::Up { .. }), Event::GlassesOff) => state,
        };
        if let Event::Stay(stays) = event {
            self.stays = stays;
        }
    }

    /// Judged in this way from now on; what was judged stands.
    pub fn judge_by(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// It joins others of the same checks, and was looked for in the kernel: what those
    /// checks showed so far counts for it as if it had been there.
    pub fn join(&mut self, standing: Standing, now: Instant, out: &mut Vec<Change>) {
        match standing {
            Standing::Unknown => {}
            Standing::Doubtful { bad } => self.repeat(Event::Bad, bad, now, out),
            Standing::Up { bad } => {
                // Weight 0 in the kernel is no failure of it: this process saw it well.
                self.handle(Event::Was(true), now, out);
                self.handle(Event::Good, now, out);
                self.repeat(Event::Bad, bad, now, out);
            }
            Standing::Down { good } => {
                self.repeat(Event::Bad, self.rules.fall.max(1), now, out);
                if let State::Down { .. } = self.state {
                    self.state = State::Down { good };
                }
            }
        }
    }

    fn repeat(&mut self, event: Event, times: u32, now: Instant, out: &mut Vec<Change>) {
        for _ in 0..times {
            if self.state == FALLEN {
                return;
            }
            self.handle(event, now, out);
        }
    }

    /// A server in use has this weight from now on.
    pub fn weigh(&mut self, weight: u32) {
        self.rules.weight = weight;
    }

    /// What the kernel should have now.
    pub fn wanted(&self) -> Wanted {
        match (self.state, self.rules.failed) {
            (State::New, _) => Wanted::Untouched,
            (State::Adopted { weight, .. }, _) => Wanted::Weight(weight),
            (State::Up { ramp, .. }, _) => Wanted::Weight(self.weight(ramp)),
            (State::Rose, _) => Wanted::Weight(self.rules.weight),
            (State::Down { .. }, _) if self.stays => Wanted::Weight(self.rules.weight),
            (State::Down { .. } | State::Opaque, Failed::Removed) => Wanted::Absent,
            (State::Down { .. } | State::Opaque, Failed::Quiesced) => Wanted::Quiesced,
            (State::Down { .. } | State::Opaque, Failed::Inhibited) => Wanted::Weight(0),
        }
    }

    /// Whether the server is in use and with which weight; `None` before anything is
    /// known. One that failed and has a weight stays because it is among the last.
    pub fn verdict(&self) -> Option<(bool, u32)> {
        match self.state {
            State::New => None,
            State::Adopted { weight, .. } => Some((weight > 0, weight)),
            State::Up { ramp, .. } => Some((true, self.weight(ramp))),
            State::Rose => Some((true, self.rules.weight)),
            State::Down { .. } if self.stays => Some((false, self.rules.weight)),
            State::Down { .. } | State::Opaque => Some((false, 0)),
        }
    }

    /// Whether checks are to be made: not with glasses on.
    pub fn is_checking(&self) -> bool {
        match self.state {
            State::New | State::Adopted { .. } | State::Down { .. } | State::Up { .. } => true,
            State::Opaque | State::Rose => false,
        }
    }

    /// Whether the last check was bad and the next one may be the verdict.
    pub fn is_doubtful(&self) -> bool {
        match self.state {
            State::Adopted { bad, .. } | State::Up { bad, .. } => bad > 0,
            State::New | State::Down { .. } | State::Opaque | State::Rose => false,
        }
    }

    /// When an [`Event::Tick`] is needed.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Up { ramp, .. } => ramp.map(|ramp| ramp.next),
            State::New | State::Adopted { .. } | State::Down { .. } | State::Opaque | State::Rose => None,
        }
    }

    /// Where the judgement stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// How it comes and goes.
    pub fn flaps(&self) -> Flaps {
        self.flaps
    }

    /// It came and went so before; what was judged stands.
    pub fn recall(&mut self, flaps: Flaps) {
        self.flaps = flaps;
    }

    /// How many good checks in a row a failed server needs now.
    pub fn returns_after(&self) -> u32 {
        self.flaps.returns_after(self.rules.threshold)
    }

    fn weight(&self, ramp: Option<Ramp>) -> u32 {
        ramp.map_or(self.rules.weight, |ramp| ramp.weight(self.rules.weight))
    }

    fn is_held(&self) -> bool {
        self.stays && matches!(self.state, State::Down { .. })
    }

    fn in_use(state: State) -> bool {
        match state {
            State::Adopted { weight, .. } => weight > 0,
            State::Up { .. } | State::Rose => true,
            State::New | State::Down { .. } | State::Opaque => false,
        }
    }
}

#[cfg(test)]
mod tests;
