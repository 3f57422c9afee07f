//! Runs `check_cmd` for [`crate::check`]: started and not waited for, killed when
//! its time is over, and its outcome told to the election.

use std::collections::VecDeque;
use std::time::Instant;

use common::child::Exit;
use common::command::{Failure, Running};
use common::log::Log;

use crate::check::{Action, Check, Rules};
use crate::election::{self, Watched};
use crate::messages::Message;
use crate::node::Event;

/// `check_cmd`, if there is one.
#[derive(Debug, Default)]
pub struct Checks {
    check: Option<Check>,
    running: Option<Running>,
    /// Killed and not ended yet: no other is started beside it.
    dying: Option<Running>,
    /// A reload mended it.
    mended: bool,
}

impl Checks {
    /// As the file says.
    pub fn new(rules: Option<Rules>, now: Instant) -> Self {
        Self { check: rules.map(|rules| Check::new(rules, now)), ..Self::default() }
    }

    /// The file was read again. A director without a check does not fail it.
    pub fn reload(&mut self, rules: Option<Rules>, now: Instant, log: &Log) {
        match (&mut self.check, rules) {
            (Some(check), Some(rules)) => check.set_rules(rules, now),
            (None, Some(rules)) => self.check = Some(Check::new(rules, now)),
            (check, None) => {
                if check.take().is_some_and(|check| check.fails()) {
                    log.say(&Message::CheckMended);
                    self.mended = true;
                }
                if let Some(mut running) = self.running.take() {
                    running.kill(now);
                    self.dying = Some(running);
                }
            }
        }
    }

    /// Whether it fails for good.
    pub fn fails(&self) -> bool {
        self.check.as_ref().is_some_and(Check::fails)
    }

    /// When [`Checks::turn`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let commands = [&self.running, &self.dying].map(|command| command.as_ref().map(Running::deadline));
        let next = self.check.as_ref().and_then(Check::deadline).filter(|_| self.dying.is_none());
        let mended = self.mended.then(Instant::now);
        commands.into_iter().chain([next, mended]).flatten().min()
    }

    /// What is due.
    pub fn turn(&mut self, now: Instant, events: &mut VecDeque<Event>, log: &Log) {
        if std::mem::take(&mut self.mended) {
            events.push_back(told(election::Event::Mended));
        }
        if let Some(failure) = self.running.as_mut().and_then(|running| running.due(now)) {
            self.dying = self.running.take();
            self.ended(Err(failure), now, events, log);
        }
        if let Some(dying) = &mut self.dying {
            dying.due(now);
            return;
        }
        let Some(check) = &mut self.check else { return };
        if check.tick(now) == Some(Action::Run) {
            let rules = check.rules();
            match Running::start(&rules.words, rules.timeout, now) {
                Ok(running) => self.running = Some(running),
                Err(failure) => self.ended(Err(failure), now, events, log),
            }
        }
    }

    /// A child ended; `false`: it was not ours.
    pub fn reaped(&mut self, pid: u32, exit: Exit, now: Instant, events: &mut VecDeque<Event>, log: &Log) -> bool {
        if self.dying.take_if(|dying| dying.pid() == pid).is_some() {
            return true;
        }
        let Some(running) = self.running.take_if(|running| running.pid() == pid) else { return false };
        self.ended(running.judge(exit), now, events, log);
        true
    }

    /// Nothing of it outlives pulse.
    pub fn end(&mut self, now: Instant) {
        self.check = None;
        for running in [&mut self.running, &mut self.dying].into_iter().flatten() {
            running.kill(now);
        }
    }

    fn ended(&mut self, outcome: Result<(), Failure>, now: Instant, events: &mut VecDeque<Event>, log: &Log) {
        match self.check.as_mut().and_then(|check| check.ended(outcome, now)) {
            Some(Action::Failing(failure, times)) => {
                log.say(&Message::CheckFailing { failure, times });
                events.push_back(told(election::Event::Failing));
            }
            Some(Action::Mended) => {
                log.say(&Message::CheckMended);
                events.push_back(told(election::Event::Mended));
            }
            Some(Action::Run) | None => {}
        }
    }
}

fn told(event: fn(Watched) -> election::Event) -> Event {
    Event::Pair(Box::new(event(Watched::Check)))
}
