//! The loop's dealings with the services' commands: each in its turn, for as long as
//! it may take.

use std::time::{Duration, Instant};

use common::child::Exit;
use common::command::{Failure, Running};
use common::ipvs::ServiceKey;

use super::{Daemon, Event, Failover, Kept, Which};
use crate::messages::Message;

/// How many commands run at once; the others wait for their turn.
const COMMANDS_MAX: usize = 32;

/// How often one that a predecessor started is looked at: nobody says when it ends.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Daemon<Failover> {
    /// When something may have to be done about one of them.
    pub(super) fn commands_deadline(&self, now: Instant) -> Option<Instant> {
        let of_services = self.own.kept.values().filter_map(|kept| kept.command.as_ref()).map(|(_, running)| running);
        let at = |running: &Running| {
            let due = running.deadline();
            if running.is_inherited() { due.min(now + LOOK_EVERY) } else { due }
        };
        of_services.chain(&self.own.dying).map(at).min()
    }

    /// A child ended.
    pub(super) fn command_ended(&mut self, pid: u32, exit: Exit, now: Instant) {
        self.own.dying.retain(|running| running.pid() != pid || running.is_inherited());
        let is_it = |running: &Running| running.pid() == pid && !running.is_inherited();
        let of = |kept: &Kept| kept.command.as_ref().is_some_and(|(_, running)| is_it(running));
        let Some((key, kept)) = self.own.kept.iter_mut().find(|(_, kept)| of(kept)) else { return };
        let (key, command) = (*key, kept.command.take());
        if let Some((_, running)) = command.filter(|(_, running)| !running.is_killed()) {
            self.feed(&key, Event::Ended(running.judge(exit)), now);
        }
    }

    pub(super) fn run_commands(&mut self, now: Instant) {
        while let Some((key, which)) = self.own.queue.pop_front() {
            let running = self.own.kept.values().filter(|kept| kept.command.is_some()).count() + self.own.dying.len();
            // At a stop the others' turn must not wait for one that hangs.
            if running >= COMMANDS_MAX {
                self.own.queue.push_front((key, which));
                return;
            }
            let Some(kept) = self.own.kept.get(&key) else { continue };
            let (words, within) = match which {
                Which::Start => kept.start.clone(),
                Which::Stop => kept.stop.clone(),
            };
            self.log.say(&match which {
                Which::Start => Message::FailoverStarting { at: kept.at },
                Which::Stop => Message::FailoverStopping { at: kept.at },
            });
            self.write_ledger();
            match Running::start(&words, &self.settings.starter, within, now) {
                Ok(running) => {
                    if let Some(kept) = self.own.kept.get_mut(&key) {
                        kept.command = Some((which, running));
                    }
                    self.write_ledger();
                }
                Err(failure) => self.feed(&key, Event::Ended(Err(failure)), now),
            }
        }
    }

    /// Kills what had its time, and sees what ended unseen.
    pub(super) fn tick_commands(&mut self, now: Instant) {
        let mut over: Vec<(ServiceKey, Failure)> = Vec::new();
        let mut ended: Vec<ServiceKey> = Vec::new();
        for (key, kept) in &mut self.own.kept {
            let Some((_, running)) = &mut kept.command else { continue };
            if running.has_ended() {
                kept.command = None;
                ended.push(*key);
            } else if let Some(failure) = running.due(now) {
                over.push((*key, failure));
            }
        }
        for key in ended {
            self.feed(&key, Event::Ended(Ok(())), now);
        }
        self.own.dying.retain(|running| !running.has_ended());
        for running in &mut self.own.dying {
            running.due(now);
        }
        for (key, failure) in over {
            if let Some((_, running)) = self.own.kept.get_mut(&key).and_then(|kept| kept.command.take()) {
                self.own.dying.push(running);
            }
            self.feed(&key, Event::Ended(Err(failure)), now);
        }
        self.run_commands(now);
    }
}
