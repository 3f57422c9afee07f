//! When an idle connection to the real server is held, whose end means "check now": a
//! server whose process dies is found out in a round trip, whatever the interval. Its
//! end is no verdict: the check is. Pure; [`crate::hands::watched`] has the connection.
//!
//! ```text
//!           good check                it ended: check now
//!  Without ────────────► Held ───────────────────────────► Without, for a while
//!     ▲                    │ bad check, or glasses
//!     └────────────────────┘
//! ```
//!
//! A server may close what is idle: then it is connected to again only after a good
//! check and a while, which grows as long as that goes on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::probe::talk::Topic;
use crate::probe::{Check, Plan, Target, Transport};

/// Methods of HTTP by which its servers are known.
const WEB: [&[u8]; 4] = [b"GET ", b"HEAD ", b"OPTIONS ", b"POST "];

/// One that is held for fewer periods than this was closed for being idle.
const PERIODS_HELD: u32 = 8;

/// The longest while without, in periods.
const PERIODS_MAX: u32 = 64;

/// A dying process ends its connections before, with or after its listening socket: a
/// check that was still good is made once more after this time.
pub const SECOND_LOOK: Duration = Duration::from_millis(5);

/// Where a connection is held for these checks, if it is. Where it was not said: with web
/// servers, which have idle connections from every browser. Others may serve one
/// client at a time, or count such connections as attacks; one in TLS that says nothing
/// is ended by every server. A check that comes from somewhere special has none: it
/// would have to come from there too.
pub fn target<'a>(said: Option<bool>, checks: impl IntoIterator<Item = &'a Check>) -> Option<SocketAddr> {
    let is_held = |check: &&Check| match &check.plan {
        Plan::Converse { transport: Transport::Tcp, topic } => said.unwrap_or_else(|| asks_web(topic)),
        Plan::Converse {
            transport: Transport::Sctp | Transport::Udp | Transport::Tls(_) | Transport::Icmp, ..
        }
        | Plan::Run(_) => false,
    };
    let is_plain = |check: &&Check| {
        let Target { to: _, source, interface, mark } = &check.target;
        source.is_none() && interface.is_none() && *mark == 0
    };
    checks.into_iter().filter(is_plain).find(is_held).map(|check| check.target.to)
}

fn asks_web(topic: &Topic) -> bool {
    matches!(topic, Topic::Http(_)) || WEB.iter().any(|method| topic.sends().starts_with(method))
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A check ended well.
    Good,
    /// A check ended badly.
    Bad,
    /// The server ended the connection, or it could not be opened.
    Ended,
    /// No checks for now.
    Suspended,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect.
    Open,
    /// Let go of it.
    Close,
    /// Check the server now.
    Check,
    /// Check it after [`SECOND_LOOK`].
    CheckSoon,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None is held, nor will be.
    Never,
    /// None is held, and none is opened before then.
    Without { until: Instant },
    /// It is held, or on its way.
    Held { since: Instant },
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    state: State,
    period: Duration,
    /// The check after an end is on its way.
    is_first_look: bool,
    /// How many periods the next while without is.
    periods: u32,
}

impl Watch {
    /// None yet. `period` is the time between two checks.
    pub fn new(wanted: bool, period: Duration, now: Instant) -> Self {
        let state = if wanted { State::Without { until: now } } else { State::Never };
        Self { state, period, is_first_look: false, periods: 1 }
    }

    /// One event.
    pub fn handle(&mut self, event: Event, now: Instant) -> Option<Action> {
        let was_first_look = std::mem::replace(&mut self.is_first_look, event == Event::Ended);
        let (state, action) = match (self.state, event) {
            (state @ State::Without { .. }, Event::Good) if was_first_look => (state, Some(Action::CheckSoon)),
            (State::Without { until }, Event::Good) if now >= until => (State::Held { since: now }, Some(Action::Open)),
            (State::Held { .. }, Event::Bad | Event::Suspended) => (State::Without { until: now }, Some(Action::Close)),
            (State::Held { since }, Event::Ended) => {
                let is_young = now < since + self.period * PERIODS_HELD;
                self.periods = if is_young { (self.periods * 2).min(PERIODS_MAX) } else { 1 };
                (State::Without { until: now + self.period * self.periods }, Some(Action::Check))
            }
            // It was about to fail, and not closing what is idle.
            (State::Without { .. }, Event::Bad) => {
                self.periods = 1;
                (State::Without { until: now }, None)
            }
            (state @ State::Never, Event::Good | Event::Bad | Event::Ended | Event::Suspended)
            | (state @ State::Without { .. }, Event::Good | Event::Ended | Event::Suspended)
            | (state @ State::Held { .. }, Event::Good) => (state, None),
        };
        self.state = state;
        action
    }
}

#[cfg(test)]
mod tests;
