//! Whether the real server is in use: outcomes of checks and signals in, changes
//! worth a line out. Pure; what the kernel should have follows from the state
//! ([`Health::wanted`]), and the verdict lvsd hears too ([`Health::verdict`]).
//!
//! ```text
//!            found in the kernel               good × threshold
//!      New ─────────────────────► Adopted     ┌───────────────► Up
//!       │ first good: Up             │ good: Up                  │
//!       │ first bad:  Down           │ bad:  Down                │ bad
//!       └────────────────────────────┴──────► Down ◄─────────────┘
//!
//!      any ── opaque glasses ──► Opaque (out)        ── off ──► Down
//!      any ── rose glasses ────► Rose (in, full)     ── off ──► Up
//! ```
//!
//! As the original (piranha.md 4.4): the first failed check takes a server out;
//! it returns after so many good ones in a row as fit into the reentry time; a
//! server that was never judged is admitted by its first good check. Unlike it:
//! a server found in the kernel stays as it is until its first check, and there
//! is no ramp of weights.

/// How health is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Good checks in a row before a failed server returns; 0 is 1.
    pub threshold: u32,
    /// The weight of a server in use, 0 to 65535.
    pub weight: u32,
    /// A failed server keeps its destination, with weight 0.
    pub quiesce: bool,
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
    /// No longer in use: a check failed.
    Removed,
    /// Its very first check failed, it never was in use.
    LeftOut,
    /// Found in use in the kernel with this weight; stays until the first check.
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
        /// The kernel's weight, kept until the first check.
        weight: u32,
    },
    /// Out of use; so many good checks in a row since the last bad one.
    Down {
        /// Below the threshold.
        good: u32,
    },
    /// In use.
    Up,
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
}

impl Health {
    /// Nothing is known.
    pub fn new(rules: Rules) -> Self {
        Self { rules, state: State::New }
    }

    /// One event; changes are appended to `out` in the order they are to be said.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Change>) {
        let mut say = |change| out.push(change);
        self.state = match (self.state, event) {
            (State::New, Event::Found(None)) => State::New,
            (State::New, Event::Found(Some(0))) if self.rules.quiesce && self.rules.weight > 0 => {
                say(Change::AdoptedQuiesced);
                State::Down { good: 0 }
            }
            (State::New, Event::Found(Some(weight))) => {
                say(Change::Adopted(weight));
                State::Adopted { weight }
            }

            (State::New, Event::Good) => {
                say(Change::Admitted);
                State::Up
            }
            (State::New, Event::Bad) => {
                say(Change::LeftOut);
                State::Down { good: 0 }
            }
            // Somebody had drained it: the check puts it to work again.
            (State::Adopted { weight: 0 }, Event::Good) if self.rules.weight > 0 => {
                say(Change::Admitted);
                State::Up
            }
            (State::Adopted { .. }, Event::Good) => State::Up,
            (State::Up | State::Adopted { .. }, Event::Bad) => {
                say(Change::Removed);
                State::Down { good: 0 }
            }
            (State::Down { good }, Event::Good) if good.saturating_add(1) >= self.rules.threshold => {
                say(Change::Admitted);
                State::Up
            }
            (State::Down { good }, Event::Good) => State::Down { good: good + 1 },
            (State::Down { .. }, Event::Bad) => State::Down { good: 0 },
            (State::Up, Event::Good) => State::Up,

            (state @ (State::New | State::Adopted { .. } | State::Down { .. } | State::Up | State::Rose), Event::OpaqueOn) => {
                say(Change::OpaqueOn);
                if Self::in_use(state) {
                    say(Change::ForcedOut);
                }
                State::Opaque
            }
            (state @ (State::New | State::Adopted { .. } | State::Down { .. } | State::Up | State::Opaque), Event::RoseOn) => {
                say(Change::RoseOn);
                if !Self::in_use(state) {
                    say(Change::Admitted);
                }
                State::Rose
            }
            (State::Opaque, Event::GlassesOff) => {
                say(Change::GlassesOff);
                State::Down { good: 0 }
            }
            (State::Rose, Event::GlassesOff) => {
                say(Change::GlassesOff);
                State::Up
            }

            // Judged already: what the kernel has is to be set right, not adopted.
            (state @ (State::Adopted { .. } | State::Down { .. } | State::Up | State::Opaque | State::Rose), Event::Found(_))
            // With glasses on nothing is checked: this is a late outcome.
            | (state @ (State::Opaque | State::Rose), Event::Good | Event::Bad)
            // They are on already.
            | (state @ State::Opaque, Event::OpaqueOn)
            | (state @ State::Rose, Event::RoseOn)
            // There are none to take off.
            | (state @ (State::New | State::Adopted { .. } | State::Down { .. } | State::Up), Event::GlassesOff) => state,
        };
    }

    /// A server in use has this weight from now on.
    pub fn weigh(&mut self, weight: u32) {
        self.rules.weight = weight;
    }

    /// What the kernel should have now.
    pub fn wanted(&self) -> Wanted {
        match self.state {
            State::New => Wanted::Untouched,
            State::Adopted { weight } => Wanted::Weight(weight),
            State::Up | State::Rose => Wanted::Weight(self.rules.weight),
            State::Down { .. } | State::Opaque if self.rules.quiesce => Wanted::Quiesced,
            State::Down { .. } | State::Opaque => Wanted::Absent,
        }
    }

    /// Whether the server is in use and with which weight; `None` before anything
    /// is known.
    pub fn verdict(&self) -> Option<(bool, u32)> {
        match self.state {
            State::New => None,
            State::Adopted { weight } => Some((weight > 0, weight)),
            State::Up | State::Rose => Some((true, self.rules.weight)),
            State::Down { .. } | State::Opaque => Some((false, 0)),
        }
    }

    /// Whether checks are to be made: not with glasses on.
    pub fn is_checking(&self) -> bool {
        match self.state {
            State::New | State::Adopted { .. } | State::Down { .. } | State::Up => true,
            State::Opaque | State::Rose => false,
        }
    }

    /// Where the judgement stands.
    pub fn state(&self) -> State {
        self.state
    }

    fn in_use(state: State) -> bool {
        match state {
            State::Adopted { weight } => weight > 0,
            State::Up | State::Rose => true,
            State::New | State::Down { .. } | State::Opaque => false,
        }
    }
}

#[cfg(test)]
mod tests;
