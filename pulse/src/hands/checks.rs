//! Runs `check_cmd` for [`crate::check`]: started and not waited for, killed when
//! its time is over, and its outcome told to the election.

use std::collections::VecDeque;
use std::time::Instant;

use common::child::Exit;
use common::command::{Failure, Running, Starter};
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
    /// A run is due and waits for that; a failure if it still does then.
    waits_until: Option<Instant>,
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
                self.waits_until = None;
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
        let next = self.check.as_ref().and_then(Check::deadline);
        let mended = self.mended.then(Instant::now);
        commands.into_iter().chain([next, self.waits_until, mended]).flatten().min()
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
        }
        let Some(check) = &mut self.check else { return };
        if check.tick(now) == Some(Action::Run) {
            self.waits_until = Some(now + check.rules().timeout);
        }
        let rules = check.rules();
        let outcome = match (self.waits_until, &self.dying) {
            (Some(_), None) => Running::start(&rules.words, &Starter::default(), rules.timeout, now).map(Some),
            // What hangs in the kernel, over a dead disk, cannot be killed, and neither
            // could the next one: that this host is sick must not be hidden by it.
            (Some(until), Some(_)) if now >= until => Err(Failure::TimedOut(rules.timeout, String::new())),
            (Some(_), Some(_)) | (None, _) => return,
        };
        self.waits_until = None;
        match outcome {
            Ok(running) => self.running = running,
            Err(failure) => self.ended(Err(failure), now, events, log),
        }
    }

    /// A child ended; `false`: it was not ours.
    pub fn reaped(&mut self, pid: u32, exit: Exit, now: Instant, events: &mut VecDeque<Event>, log: &Log) -> bool {
        if self.dying.take_if(|dying| dying.pid() == pid).is_some() {
            self.waits_until = self.waits_until.map(|_| now);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::wait::waitpid;
    use nix::unistd::Pid;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Nobody reaps it, as nobody can one that hangs in the kernel. (The test's own
    /// program is no pulse and never becomes the words; that does not matter here.)
    #[test]
    fn a_check_that_cannot_even_be_killed_fails_again_and_again_and_one_that_ends_is_followed() {
        let (log, start) = (Log::new(false), Instant::now());
        let words = vec!["sleep".to_owned(), "1000".to_owned()];
        let rules = Rules { words, interval: SECOND * 5, timeout: SECOND * 3, fall: 3, rise: 1 };
        let mut checks = Checks::new(Some(rules), start);
        let (mut events, mut now, mut turns) = (VecDeque::new(), start, 0);
        checks.turn(now, &mut events, &log);
        let pid = checks.running.as_ref().unwrap().pid();
        while !checks.fails() && turns < 50 {
            now = checks.deadline().unwrap();
            checks.turn(now, &mut events, &log);
            assert!(checks.running.is_none(), "one at a time");
            turns += 1;
        }
        // three runs of 3 s with a pause of 5 s between them
        assert_eq!((checks.fails(), now - start), (true, SECOND * 19));
        assert_eq!(events, [told(election::Event::Failing)]);
        while checks.waits_until.is_none() {
            now = checks.deadline().unwrap();
            checks.turn(now, &mut events, &log);
        }
        assert!(checks.reaped(pid, Exit::Signal(9), now, &mut events, &log));
        assert_eq!(checks.deadline(), Some(now), "the run that waits");
        checks.turn(now, &mut events, &log);
        let next = checks.running.as_ref().unwrap().pid();
        checks.end(now);
        for pid in [pid, next] {
            waitpid(Pid::from_raw(i32::try_from(pid).unwrap()), None).unwrap();
        }
        assert_eq!(events.len(), 1);
    }
}
