//! Runs active_cmd and inactive_cmd: started and not waited for, and killed when
//! their time is over. One that runs does not keep the other from being run: which
//! comes last is about how things are. A stop of pulse leaves what runs alone.

use std::time::{Duration, Instant};

use common::child::Exit;
use common::command::{Failure, Running};
use common::log::Log;

use crate::messages::Message;

/// Those that run, or were killed and have not ended yet, with their keywords.
#[derive(Debug, Default)]
pub struct Commands {
    all: Vec<(&'static str, Running)>,
}

impl Commands {
    /// Starts one.
    pub fn run(&mut self, keyword: &'static str, words: &[String], within: Duration, now: Instant, log: &Log) {
        log.say(&Message::Executing(words.join(" ")));
        match Running::start(words, within, now) {
            Ok(running) => self.all.push((keyword, running)),
            Err(failure) => say(keyword, failure, log),
        }
    }

    /// When [`Commands::turn`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        self.all.iter().map(|(_, running)| running.deadline()).min()
    }

    /// Kills what had its time.
    pub fn turn(&mut self, now: Instant, log: &Log) {
        for (keyword, running) in &mut self.all {
            if let Some(failure) = running.due(now) {
                say(keyword, failure, log);
            }
        }
    }

    /// A child ended; `false`: it was not ours.
    pub fn reaped(&mut self, pid: u32, exit: Exit, log: &Log) -> bool {
        let Some(at) = self.all.iter().position(|(_, running)| running.pid() == pid) else { return false };
        let (keyword, running) = self.all.swap_remove(at);
        if !running.is_killed()
            && let Err(failure) = running.judge(exit)
        {
            say(keyword, failure, log);
        }
        true
    }
}

fn say(keyword: &'static str, failure: Failure, log: &Log) {
    log.say(&Message::CommandFailed { keyword, failure });
}
