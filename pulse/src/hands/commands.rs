//! Runs active_cmd and inactive_cmd, one at a time and not waited for: whichever was
//! asked for last is about how things are, and must be the last to act. One is
//! killed when its time is over. At the end of pulse they get a moment, because what
//! the next pulse starts must not overtake them.

use std::time::{Duration, Instant};

use common::child::Exit;
use common::command::{Running, Starter};
use common::log::Log;

use crate::messages::Message;

/// How long an orderly end of pulse waits for a command that runs. What runs longer
/// is left alone, and goes on.
const PARTING: Duration = Duration::from_secs(10);

/// The one that runs, and the one that is to follow it.
#[derive(Debug, Default)]
pub struct Commands {
    runs: Option<Run>,
    next: Option<Order>,
    /// Pulse ends when they are over, at this time at the latest.
    part_at: Option<Instant>,
}

/// A command that was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its keyword in the configuration.
    pub keyword: &'static str,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// How long it may run.
    pub within: Duration,
}

/// One that was started, or was killed and has not ended yet.
#[derive(Debug)]
struct Run {
    keyword: &'static str,
    running: Running,
}

impl Commands {
    /// Starts one, now or when the one that runs is over. What waited is no more about
    /// how things are, and what runs already need not be run again.
    pub fn run(&mut self, order: Order, now: Instant, log: &Log) {
        match &self.runs {
            Some(run) => self.next = (run.keyword != order.keyword).then_some(order),
            None => self.start(order, now, log),
        }
    }

    fn start(&mut self, order: Order, now: Instant, log: &Log) {
        let Order { keyword, words, within } = order;
        log.say(&Message::Executing(words.join(" ")));
        match Running::start(&words, &Starter::default(), within, now) {
            Ok(running) => self.runs = Some(Run { keyword, running }),
            Err(failure) => log.say(&Message::CommandFailed { keyword, failure }),
        }
    }

    /// Pulse ends, as soon as [`Commands::has_parted`].
    pub fn part(&mut self, now: Instant) {
        self.part_at.get_or_insert(now + PARTING);
    }

    /// Whether the end was asked for, and nothing runs or what does has had its moment.
    pub fn has_parted(&self, now: Instant) -> bool {
        self.part_at.is_some_and(|at| self.runs.is_none() || now >= at)
    }

    /// When [`Commands::turn`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let run = self.runs.as_ref()?;
        [Some(run.running.deadline()), self.part_at].into_iter().flatten().min()
    }

    /// Kills what had its time.
    pub fn turn(&mut self, now: Instant, log: &Log) {
        if let Some(Run { keyword, running }) = &mut self.runs
            && let Some(failure) = running.due(now)
        {
            log.say(&Message::CommandFailed { keyword, failure });
        }
        // Nobody is here afterwards to start it.
        if self.has_parted(now)
            && let Some(order) = self.next.take()
        {
            self.start(order, now, log);
        }
    }

    /// A child ended; `false`: it was not ours.
    pub fn reaped(&mut self, pid: u32, exit: Exit, now: Instant, log: &Log) -> bool {
        let Some(Run { keyword, running }) = self.runs.take_if(|run| run.running.pid() == pid) else { return false };
        if !running.is_killed()
            && let Err(failure) = running.judge(exit)
        {
            log.say(&Message::CommandFailed { keyword, failure });
        }
        if let Some(order) = self.next.take() {
            self.start(order, now, log);
        }
        true
    }
}
