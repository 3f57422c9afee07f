//! The operator's scripts that are run when a virtual gains or loses its quorum: one
//! at a time for a virtual, so that the last one run is about how things are; of what
//! comes meanwhile only the last waits. None is waited for, and one that does not end
//! is killed. Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use common::ipvs::ServiceKey;

/// How long a script may run.
pub const RUN_MAX: Duration = Duration::from_secs(60);

/// How many run at once, of all virtuals.
pub const RUNNING_MAX: usize = 16;

/// A script to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// For which virtual.
    pub service: ServiceKey,
    /// The virtual's name.
    pub name: String,
    /// What is run.
    pub command: String,
}

/// One that runs.
#[derive(Debug)]
struct Running {
    script: Script,
    until: Instant,
    /// It was killed and has not ended yet.
    killed: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Scripts {
    running: BTreeMap<u32, Running>,
    /// In the order in which they came; one for a virtual at most.
    waiting: VecDeque<Script>,
    /// Virtuals of which one runs.
    busy: HashSet<ServiceKey>,
}

impl Scripts {
    /// This one should run; one for the same virtual that still waits need not any more.
    pub fn ask(&mut self, script: Script) {
        self.waiting.retain(|other| other.service != script.service);
        self.waiting.push_back(script);
    }

    /// The next that may begin; answer with [`Scripts::began`], or not at all if it
    /// could not.
    pub fn take(&mut self) -> Option<Script> {
        if self.running.len() >= RUNNING_MAX {
            return None;
        }
        let at = self.waiting.iter().position(|script| !self.busy.contains(&script.service))?;
        self.waiting.remove(at)
    }

    /// It runs as this process.
    pub fn began(&mut self, script: Script, pid: u32, now: Instant) {
        self.busy.insert(script.service);
        self.running.insert(pid, Running { script, until: now + RUN_MAX, killed: false });
    }

    /// A process ended. The script, if it was one, and whether it had been killed.
    pub fn ended(&mut self, pid: u32) -> Option<(Script, bool)> {
        let Running { script, killed, .. } = self.running.remove(&pid)?;
        self.busy.remove(&script.service);
        Some((script, killed))
    }

    /// When [`Scripts::overdue`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.values().filter(|it| !it.killed).map(|it| it.until).min()
    }

    /// Those that run too long: to be killed, with all that they started.
    pub fn overdue(&mut self, now: Instant) -> Vec<u32> {
        let late = self.running.iter_mut().filter(|(_, it)| !it.killed && now >= it.until);
        late.map(|(pid, it)| {
            it.killed = true;
            *pid
        })
        .collect()
    }
}

#[cfg(test)]
mod tests;
