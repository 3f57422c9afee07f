//! PURE. `check_cmd`: when it is run, and what its outcomes mean for this director.
//! So many failures in a row count, and so many good runs in a row mend them. A run
//! that takes too long is a failure at that moment, whenever its process ends.

use std::time::{Duration, Instant};

use common::command::Failure;

/// What the file says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The command.
    pub words: Vec<String>,
    /// From one run to the next.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// So many failures in a row count; 0 is 1.
    pub fall: u32,
    /// So many good ones mend them; 0 is 1.
    pub rise: u32,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run it; answered with [`Check::ended`].
    Run,
    /// This director should not serve; the last failure of so many.
    Failing(Failure, u32),
    /// It may again.
    Mended,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Check {
    rules: Rules,
    /// `None`: it runs.
    next: Option<Instant>,
    bad: u32,
    good: u32,
    fails: bool,
}

impl Check {
    /// Due at once; good until it is known to be bad.
    pub fn new(rules: Rules, now: Instant) -> Self {
        Self { rules, next: Some(now), bad: 0, good: 0, fails: false }
    }

    /// What the file says.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The file was read again. What is known stays known.
    pub fn set_rules(&mut self, rules: Rules, now: Instant) {
        self.next = self.next.map(|next| next.min(now + rules.interval));
        self.rules = rules;
    }

    /// Whether this director should not serve for it.
    pub fn fails(&self) -> bool {
        self.fails
    }

    /// When [`Check::tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// What is due.
    pub fn tick(&mut self, now: Instant) -> Option<Action> {
        self.next.filter(|next| now >= *next)?;
        self.next = None;
        Some(Action::Run)
    }

    /// A run is over.
    pub fn ended(&mut self, outcome: Result<(), Failure>, now: Instant) -> Option<Action> {
        if self.next.is_some() {
            return None; // late news
        }
        self.next = Some(now + self.rules.interval);
        match outcome {
            Ok(()) => {
                (self.bad, self.good) = (0, self.good.saturating_add(1));
                if self.fails && self.good >= self.rules.rise {
                    self.fails = false;
                    return Some(Action::Mended);
                }
            }
            Err(failure) => {
                (self.bad, self.good) = (self.bad.saturating_add(1), 0);
                if !self.fails && self.bad >= self.rules.fall {
                    self.fails = true;
                    return Some(Action::Failing(failure, self.bad));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
