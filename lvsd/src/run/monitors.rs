//! The loop's dealings with processes: looking for those of a predecessor,
//! starting, signalling, and listening to them.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Daemon, Serves};
use crate::hands;
use crate::nannies::{Action, Id};

impl<S> Daemon<S>
where
    Self: Serves,
{
    /// Does what the nannies' machines asked for.
    pub(super) fn perform(&mut self, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Say(line) => self.log.say(&self.in_our_words(line)),
                Action::News(news) => {
                    if self.tells_news() {
                        self.parents.tell(news);
                    }
                }
                Action::Terminate(pid) => hands::signal(pid, Signal::SIGTERM),
                Action::Kill(pid) => hands::signal(pid, Signal::SIGKILL),
                Action::Find(id) => self.starts.push_back((id, true)),
                Action::Start(id) => self.starts.push_back((id, false)),
                Action::FindAgain(id) => self.find_again(id, now),
                Action::Introduced(id, arguments) => self.introduce(id, arguments.as_ref(), now),
                Action::Judged(key) => self.judged(&key, now),
                Action::Ended(target) => self.nanny_ended(target, now),
            }
        }
    }

    /// Knocks at up to `count` meeting places. Whoever is there was started by an
    /// lvsd before us.
    pub(super) fn meet_guests(&mut self, count: usize, now: Instant) {
        for _ in 0..count {
            let Some(path) = self.calls.pop_front() else { return };
            hands::knock(&mut self.nannies, &path, self.poll.registry(), now);
        }
    }

    /// Starts one that waits for it, if one does.
    pub(super) fn start_next(&mut self, now: Instant) -> bool {
        let Some((id, look_first)) = self.starts.pop_front() else { return false };
        if let Some(monitor) = self.nannies.monitor(id).cloned()
            && !(look_first && self.find(id, now))
        {
            let mut out = Vec::new();
            hands::start(&mut self.nannies, id, &monitor, self.poll.registry(), now, &mut out);
            self.perform(out, now);
        }
        true
    }

    /// Whether a process answers at its meeting place; it is taken if so.
    fn find(&mut self, id: Id, now: Instant) -> bool {
        hands::find(&mut self.nannies, id, self.settings.places.as_deref(), self.poll.registry(), now)
    }

    fn find_again(&mut self, id: Id, now: Instant) {
        if !self.find(id, now) {
            let mut out = Vec::new();
            self.nannies.lost(id, now, &mut out);
            self.perform(out, now);
        }
    }
}
