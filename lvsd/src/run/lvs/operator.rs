//! The loop's part in what operators have it run.

use std::rc::Rc;
use std::time::Instant;

use common::channel::Said;
use common::child::Exit;
use common::command::{Failure, Running, words};
use common::ipvs::Ipvs;

use super::{Daemon, Phase, Virtuals};
use crate::messages::Message;
use crate::orders;
use crate::parents::Request;
use crate::scripts;
use crate::status;
use crate::wanted::Monitor;

impl<K: Ipvs> Daemon<Virtuals<K>> {
    /// Does or answers what is asked.
    pub(super) fn answer_request(&mut self, request: &Request, now: Instant) {
        let (line, said) = match request {
            Request::Check => {
                self.look_at = now;
                return;
            }
            // Where there are virtual services the table is the same on both directors.
            Request::Serve | Request::Rest => return,
            // The loop's own.
            Request::Release | Request::Renew => return,
            Request::Order { line, what, server } => {
                let (done, text) = match self.order(what, server, now) {
                    Ok(text) => (true, text),
                    Err(text) => (false, text),
                };
                (*line, Said::Answer { done, next: None, text })
            }
            Request::Status { line, from } => {
                let known = |monitor: &Monitor| self.nannies.known(&monitor.target, now);
                let orders = &self.own.services.ledger().orders;
                let (text, next) =
                    status::part(self.own.services.wanted(), orders, self.own.services.withdrawn(), known, *from);
                (*line, Said::Answer { done: true, next, text })
            }
        };
        self.parents.answer(line, &said);
    }

    /// Does as the operator wants; what was done, or why not.
    pub(super) fn order(&mut self, what: &str, called: &str, now: Instant) -> Result<String, String> {
        if self.phase != Phase::Working {
            return Err("lvsd is just starting or stopping, try again".to_owned());
        }
        let order = orders::order(what)?;
        let monitor = Rc::clone(orders::find(self.own.services.wanted(), called)?);
        self.own.services.order(monitor.target, order);
        let mut wanted = self.own.services.wanted().clone();
        self.own.services.obey(&mut wanted);
        let (name, server, weight) = (monitor.name.clone(), monitor.server.clone(), monitor.weight);
        let line = Message::Ordered { name, server, order, weight };
        self.log.say(&line);
        self.change(wanted, false, now);
        Ok(line.to_string())
    }

    /// Starts what may be started.
    pub(super) fn run_scripts(&mut self, now: Instant) {
        while let Some(script) = self.own.scripts.take() {
            let (name, command) = (script.name.clone(), script.command.clone());
            match Running::start_unheard(&words(&command), &self.settings.starter, scripts::RUN_MAX, now) {
                Ok(running) => {
                    let pid = running.pid();
                    self.log.say(&Message::ScriptBegins { name, command, pid });
                    self.own.scripts.began(script, pid, now);
                    self.own.begun.insert(pid, running);
                }
                Err(Failure::NotRun { reason, .. }) => self.log.say(&Message::ScriptNotRun { name, command, reason }),
                Err(Failure::Ended(..) | Failure::TimedOut(..)) => {} // not at the start
            }
        }
    }

    /// A child ended that may be a script; another may begin then.
    pub(super) fn script_ended(&mut self, pid: u32, exit: Exit, now: Instant) {
        let Some((script, killed)) = self.own.scripts.ended(pid) else { return };
        let (name, command) = (script.name, script.command);
        let outcome = self.own.begun.remove(&pid).map_or(Ok(()), |running| running.judge(exit));
        if killed {
            self.log.say(&Message::ScriptKilled { name, command });
        } else if let Err(failure) = outcome {
            self.log.say(&match failure {
                Failure::NotRun { reason, .. } => Message::ScriptNotRun { name, command, reason },
                Failure::Ended(..) | Failure::TimedOut(..) => Message::ScriptFailed { name, command, exit },
            });
        }
        self.run_scripts(now);
    }

    /// Kills what had its time.
    pub(super) fn end_scripts(&mut self, now: Instant) {
        for pid in self.own.scripts.overdue(now) {
            if let Some(running) = self.own.begun.get_mut(&pid) {
                running.kill(now);
            }
        }
    }
}
