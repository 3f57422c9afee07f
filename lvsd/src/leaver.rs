//! Destinations that left the file and stay in the kernel for a while, without a
//! nanny: one by one, what is to be done about them. Pure.
//!
//! ```text
//!            newcomers stand, or patience over                  weight 0 set
//!  Waiting ────────────────────────────────────► Due ─────────────────────────► Draining ──► removed
//!                                                 │ no drain                     no connections, or time over
//!                                                 └──────────► removed
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::ipvs::{Destination, DestinationEntry, DestinationKey, ServiceKey};

use crate::departure::Stay;
use crate::ledger::Left;
use crate::plan::{Step, Why};
use crate::wanted::Target;

/// The longest wait for the first verdicts of newcomers: longer than any sensible
/// check takes, and short beside a forgotten `timeout = 3600`.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Beyond the longest check: a process has to start, and to be heard.
pub const WAIT_SLACK: Duration = Duration::from_secs(2);

/// Where one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It serves on until the newcomers of a service have been judged, one of them is
    /// good, and those in use are in the kernel; our patience with those that are not
    /// judged begins when they were all started.
    Waiting {
        /// Whose newcomers.
        service: ServiceKey,
        /// The end of our patience.
        until: Option<Instant>,
    },
    /// Its time has come.
    Due,
    /// It has weight 0.
    Draining {
        /// When it goes with whatever it has.
        until: Instant,
    },
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// The virtual's name in the file that had it.
    pub name: String,
    /// The server's.
    pub server: String,
    /// How long it drains; zero: not at all.
    pub drain: Duration,
    /// Its weight before it was drained, for its return; 0 is not known.
    pub weight: u32,
    /// Where it stands.
    pub stage: Stage,
    /// Why the last step failed, as the log has it.
    pub trouble: Option<String>,
    /// That it stays because all newcomers are bad was said.
    pub is_kept: bool,
}

/// By service, then by destination.
pub type Leavers = BTreeMap<ServiceKey, BTreeMap<DestinationKey, Leaver>>;

/// What is to be done about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing yet.
    Stay,
    /// Give it weight 0.
    Drain,
    /// Remove it.
    Remove,
    /// It is not there any more.
    Forget,
}

impl Leaver {
    /// One that begins to leave.
    pub fn new(name: String, server: String, stay: Stay) -> Self {
        let stage = stay.wait.map_or(Stage::Due, |service| Stage::Waiting { service, until: None });
        Self { name, server, drain: stay.drain, weight: 0, stage, trouble: None, is_kept: false }
    }

    /// One that an lvsd before us saw leave, in the ledger's words.
    pub fn recall(left: &Left, now: Instant, since_boot: Duration) -> Self {
        let stage = match (left.until, left.wait) {
            (None, None) => Stage::Due,
            (None, Some(service)) => Stage::Waiting { service, until: None },
            // A clock that is not the one it was written with makes no drain longer.
            (Some(until), _) => Stage::Draining { until: now + until.saturating_sub(since_boot).min(left.drain) },
        };
        let Left { name, server, drain, weight, .. } = left.clone();
        Self { name, server, drain, weight, stage, trouble: None, is_kept: false }
    }

    /// And as its successor is to find it.
    pub fn remember(&self, now: Instant, since_boot: Duration) -> Left {
        let (until, wait) = match self.stage {
            Stage::Waiting { service, .. } => (None, Some(service)),
            Stage::Due => (None, None),
            Stage::Draining { until } => (Some(since_boot + until.saturating_duration_since(now)), None),
        };
        let Self { name, server, drain, weight, .. } = self.clone();
        Left { name, server, weight, drain, until, wait }
    }

    /// What is to be done, if the kernel has this of it. `stand`: whether the newcomers
    /// it waits for do.
    pub fn next(&self, entry: Option<&DestinationEntry>, stand: bool, now: Instant) -> Next {
        let Some(entry) = entry else { return Next::Forget };
        let when_due = if self.drain.is_zero() { Next::Remove } else { Next::Drain };
        match self.stage {
            Stage::Waiting { until, .. } if stand || until.is_some_and(|until| now >= until) => when_due,
            Stage::Waiting { .. } => Next::Stay,
            Stage::Due => when_due,
            Stage::Draining { until } if now >= until || connections(entry) == 0 => Next::Remove,
            // Somebody gave it another weight; it is on its way out still.
            Stage::Draining { .. } if entry.destination.weight != 0 => Next::Drain,
            Stage::Draining { .. } => Next::Stay,
        }
    }

    /// When [`Leaver::next`] may have another answer although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waiting { until, .. } => until,
            Stage::Due => None,
            Stage::Draining { until } => Some(until),
        }
    }
}

/// The step that does it, if one does.
pub fn step(target: &Target, leaver: &Leaver, next: Next, entry: Option<&DestinationEntry>) -> Option<Step> {
    let Target { service, destination } = *target;
    let entry = entry?;
    let connections = connections(entry);
    let name = format!("{}/{}", leaver.name, leaver.server);
    match next {
        Next::Stay | Next::Forget => None,
        Next::Drain => {
            let destination = Destination { weight: 0, ..entry.destination.clone() };
            Some(Step::Drain { name, service, destination, connections, limit: leaver.drain })
        }
        Next::Remove => {
            let why = match leaver.stage {
                Stage::Waiting { .. } | Stage::Due => Why::Left,
                Stage::Draining { .. } => Why::Drained { connections },
            };
            Some(Step::RemoveDestination { name, service, destination, why })
        }
    }
}

/// The step that lets one that is wanted again go on as it was, if it needs one.
/// Its nanny finds it at work, as before; what it had to drain it has not lost.
pub fn back(target: &Target, leaver: &Leaver, entry: Option<&DestinationEntry>) -> Option<Step> {
    let entry = entry.filter(|entry| entry.destination.weight == 0 && leaver.weight > 0)?;
    let Stage::Draining { .. } = leaver.stage else { return None };
    let destination = Destination { weight: leaver.weight, ..entry.destination.clone() };
    let name = format!("{}/{}", leaver.name, leaver.server);
    Some(Step::Return { name, service: target.service, destination })
}

/// What a destination still has: connections in any state, and the templates that
/// would bring its persistent clients back.
pub fn connections(entry: &DestinationEntry) -> u32 {
    entry.active.saturating_add(entry.inactive).saturating_add(entry.persistent)
}

#[cfg(test)]
mod tests;
