//! The loop's dealings with the services' commands: each in its turn, for as long as
//! it may take.

use std::time::Instant;

use common::child::Exit;
use common::command::{Failure, Running};
use common::ipvs::ServiceKey;

use super::{Event, Keeper, Kept, Which};
use crate::messages::Message;

/// How many commands run at once; the others wait for their turn.
const COMMANDS_MAX: usize = 32;

impl Keeper {
    /// A child ended.
    pub(super) fn reaped(&mut self, pid: u32, exit: Exit, now: Instant) {
        self.asking.ended(pid);
        self.dying.retain(|running| running.pid() != pid);
        let mut out = Vec::new();
        if self.nannies.reaped(pid, exit, now, &mut out) {
            return self.perform_nannies(out, now);
        }
        let of = |kept: &Kept| kept.command.as_ref().is_some_and(|(_, running)| running.pid() == pid);
        let Some((key, kept)) = self.kept.iter_mut().find(|(_, kept)| of(kept)) else { return };
        let (key, command) = (*key, kept.command.take());
        if let Some((_, running)) = command.filter(|(_, running)| !running.is_killed()) {
            self.feed(&key, Event::Ended(running.judge(exit)), now);
        }
    }

    pub(super) fn run_commands(&mut self, now: Instant) {
        while let Some((key, which)) = self.queue.pop_front() {
            let running = self.kept.values().filter(|kept| kept.command.is_some()).count() + self.dying.len();
            // At a stop the others' turn must not wait for one that hangs.
            if running >= COMMANDS_MAX {
                self.queue.push_front((key, which));
                return;
            }
            let Some(kept) = self.kept.get(&key) else { continue };
            let (words, within) = match which {
                Which::Start => kept.start.clone(),
                Which::Stop => kept.stop.clone(),
            };
            self.log.say(&match which {
                Which::Start => Message::FailoverStarting { at: kept.at },
                Which::Stop => Message::FailoverStopping { at: kept.at },
            });
            self.write_ledger();
            match Running::start(&words, within, now) {
                Ok(running) => {
                    if let Some(kept) = self.kept.get_mut(&key) {
                        kept.command = Some((which, running));
                    }
                }
                Err(failure) => self.feed(&key, Event::Ended(Err(failure)), now),
            }
        }
    }

    /// Kills what had its time.
    pub(super) fn tick_commands(&mut self, now: Instant) {
        let mut over: Vec<(ServiceKey, Failure)> = Vec::new();
        for (key, kept) in &mut self.kept {
            if let Some((_, running)) = &mut kept.command
                && let Some(failure) = running.due(now)
            {
                over.push((*key, failure));
            }
        }
        for running in &mut self.dying {
            running.due(now);
        }
        for (key, failure) in over {
            if let Some((_, running)) = self.kept.get_mut(&key).and_then(|kept| kept.command.take()) {
                self.dying.push(running);
            }
            self.feed(&key, Event::Ended(Err(failure)), now);
        }
        self.run_commands(now);
    }
}
