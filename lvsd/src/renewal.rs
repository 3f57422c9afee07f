//! An upgrade goes on below lvsd: nannies whose program was replaced since they
//! were started, or that speak another version of our words, are replaced by fresh
//! processes, a few at a time. Their destinations stay as they are meanwhile, and
//! the next one follows only when one before it is at work: a new program that does
//! not run costs the watch over [`AT_ONCE`] real servers, not over all.
//! Pure; the processes are [`Nannies`]'.

use std::collections::VecDeque;
use std::time::Instant;

use crate::messages::Message;
use crate::nannies::{Action, Id, Nannies};

/// How many are being replaced at a time.
pub const AT_ONCE: usize = 10;

/// How many processes are looked at in one turn: about 10 ms.
const LOOKS_PER_TURN: usize = 500;

/// Who is to be replaced, and how far that is.
#[derive(Debug, Default)]
pub struct Renewal {
    /// Not looked at yet.
    unseen: VecDeque<Id>,
    /// To be replaced.
    old: VecDeque<Id>,
    /// Being replaced.
    under_way: Vec<Id>,
    /// How many there were to be replaced.
    found: usize,
}

impl Renewal {
    /// Everybody is looked at, from the first again if that is under way.
    pub fn begin(&mut self, nannies: &Nannies) {
        self.unseen = nannies.renewable();
        self.old.clear();
        self.found = self.under_way.len();
    }

    /// Whether [`Renewal::step`] has something to do at once.
    pub fn is_due(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// What can be done now. `is_old` says whether a process's program was replaced.
    pub fn step(&mut self, nannies: &mut Nannies, is_old: impl Fn(u32) -> bool, now: Instant, out: &mut Vec<Action>) {
        if !self.unseen.is_empty() {
            let some = self.unseen.len().min(LOOKS_PER_TURN);
            self.old.extend(self.unseen.drain(..some).filter(|id| nannies.is_old(*id, &is_old)));
            if !self.unseen.is_empty() {
                return;
            }
            if self.old.is_empty() {
                return;
            }
            self.found += self.old.len();
            out.push(Action::Say(Message::Renewing { monitors: self.old.len(), at_once: AT_ONCE }));
        }
        if self.found == 0 {
            return;
        }
        self.under_way.retain(|id| nannies.is_on_its_way(*id));
        while self.under_way.len() < AT_ONCE
            && let Some(id) = self.old.pop_front()
        {
            // One that was replaced for another reason meanwhile, or is gone, is new.
            if nannies.is_old(id, &is_old) && nannies.renew(id, now, out) {
                self.under_way.push(id);
            }
        }
        if self.under_way.is_empty() && self.old.is_empty() {
            out.push(Action::Say(Message::Renewed { monitors: self.found }));
            self.found = 0;
        }
    }
}

#[cfg(test)]
mod tests;
