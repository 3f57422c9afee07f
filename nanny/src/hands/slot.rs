//! One of the server's checks and what of it is in flight: a conversation, or a
//! program.

use std::time::Instant;

use common::child::Exit;
use mio::{Registry, Token};
use nix::unistd::Pid;

use super::conversation::{Certificate, Conversation};
use super::process::{self, Process};
use super::secure::Begin;
use crate::probe::transcript::Transcript;
use crate::probe::{Check, Outcome, Plan};

/// A check that ended.
#[derive(Debug)]
pub struct Report {
    /// How.
    pub outcome: Outcome,
    /// The weight it asks for.
    pub weight: Option<u32>,
    /// What the server or the program said.
    pub said: Vec<u8>,
    /// What happened.
    pub transcript: String,
    /// The server's certificate.
    pub certificate: Option<Certificate>,
}

/// See the module.
#[derive(Debug)]
pub struct Slot {
    /// What is done.
    pub check: Check,
    token: Token,
    secure: Option<Begin>,
    flight: Option<Flight>,
    /// A killed program whose end was not seen yet.
    dying: Option<Pid>,
}

#[derive(Debug)]
enum Flight {
    Conversation(Box<Conversation>),
    Process(Process, Transcript),
    /// The program of the last check was killed and has not ended yet.
    Waiting(Transcript),
}

/// Whose a child was that ended.
#[derive(Debug)]
pub enum Whose {
    /// Not this check's.
    Other,
    /// This check's; it goes on, or nothing was in flight.
    Ours,
    /// This check's, which ended with it.
    Ended(Report),
}

impl Slot {
    /// Nothing is in flight.
    pub fn new(check: Check, token: Token, secure: Option<Begin>) -> Self {
        Self { check, token, secure, flight: None, dying: None }
    }

    /// Whether something is in flight.
    pub fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Begins. `Some`: it ended at once.
    pub fn begin(&mut self, registry: &Registry, now: Instant) -> Option<Report> {
        self.abandon();
        let begun = match &self.check.plan {
            Plan::Converse { transport, topic } => {
                let at = (registry, self.token);
                Conversation::begin((transport, topic), &self.check.target, self.secure, at, now)
                    .map(|conversation| Flight::Conversation(Box::new(conversation)))
            }
            Plan::Run(command) => {
                let mut transcript = Transcript::new(now);
                match self.dying {
                    Some(pid) => {
                        transcript.note(now, format_args!("the last one, process {pid}, has not ended yet"));
                        Ok(Flight::Waiting(transcript))
                    }
                    None => Process::begin(command, registry, self.token).map(|process| {
                        transcript.note(now, format_args!("running {}", command.line()));
                        Flight::Process(process, transcript)
                    }),
                }
            }
        };
        match begun {
            Ok(flight) => {
                self.flight = Some(flight);
                // A datagram goes out now; a connection may stand already.
                self.advance(now)
            }
            Err(outcome) => {
                let mut transcript = Transcript::new(now);
                transcript.note(now, format_args!("{}", outcome.about(self.check.target.to)));
                let transcript = transcript.finish();
                Some(Report { outcome, weight: None, said: Vec::new(), transcript, certificate: None })
            }
        }
    }

    /// The socket or pipe is ready. `Some`: it ended.
    pub fn advance(&mut self, now: Instant) -> Option<Report> {
        let outcome = match (&mut self.flight, &self.check.plan) {
            (Some(Flight::Conversation(conversation)), Plan::Converse { topic, .. }) => {
                conversation.advance(topic, now)?
            }
            (Some(Flight::Process(process, _)), Plan::Run(command)) => {
                if process.read(command.is_read()) {
                    return None;
                }
                Outcome::ProgramBabbled(command.line())
            }
            (None | Some(Flight::Conversation(_) | Flight::Process(..) | Flight::Waiting(..)), _) => return None,
        };
        let report = self.report(outcome, None, now);
        self.abandon();
        Some(report)
    }

    /// What the time `now` means, whose deadline is given. `Some`: it ended.
    pub fn due(&mut self, now: Instant, deadline: Instant) -> Option<Report> {
        let outcome = match (self.flight.as_mut()?, &self.check.plan) {
            (Flight::Conversation(conversation), Plan::Converse { topic, .. }) => {
                conversation.due(topic, now, deadline)?
            }
            (Flight::Process(..), Plan::Run(command)) if now >= deadline => Outcome::ProgramTimedOut(command.line()),
            (Flight::Waiting(..), Plan::Run(command)) if now >= deadline => Outcome::ProgramStuck(command.line()),
            (Flight::Conversation(_) | Flight::Process(..) | Flight::Waiting(..), _) => return None,
        };
        let report = self.report(outcome, None, now);
        self.abandon();
        Some(report)
    }

    /// When [`Slot::due`] is next worth asking.
    pub fn deadline(&self, deadline: Instant) -> Instant {
        match &self.flight {
            Some(Flight::Conversation(conversation)) => conversation.deadline(deadline),
            Some(Flight::Process(..) | Flight::Waiting(..)) | None => deadline,
        }
    }

    /// A child ended and is to be reaped; if it was this check's, it is.
    pub fn child_ended(&mut self, pid: Pid, exit: Exit, registry: &Registry, now: Instant) -> Whose {
        if let (Some(Flight::Process(process, transcript)), Plan::Run(command)) = (&mut self.flight, &self.check.plan)
            && process.pid() == pid
        {
            let within = process.read(command.is_read());
            transcript.note(now, format_args!("the program {exit}"));
            let (outcome, weight) = match process.not_run() {
                Some(outcome) => (outcome, None),
                None if within => command.judge(exit, process.output()),
                None => (Outcome::ProgramBabbled(command.line()), None),
            };
            let report = self.report(outcome, weight, now);
            process::reap(pid);
            self.flight = None;
            return Whose::Ended(report);
        }
        if self.dying != Some(pid) {
            return Whose::Other;
        }
        process::reap(pid);
        self.dying = None;
        match self.flight {
            Some(Flight::Waiting(..)) => {
                self.flight = None;
                self.begin(registry, now).map_or(Whose::Ours, Whose::Ended)
            }
            None | Some(Flight::Conversation(_) | Flight::Process(..)) => Whose::Ours,
        }
    }

    /// Ends it without an outcome. The process killed for it, if there was one.
    pub fn abandon(&mut self) -> Option<Pid> {
        match self.flight.take()? {
            Flight::Process(process, _) => {
                process.kill();
                self.dying = Some(process.pid());
                self.dying
            }
            Flight::Conversation(_) | Flight::Waiting(..) => None,
        }
    }

    /// What is in flight is over. A frame of its own: a page of the stack that is
    /// touched once is kept by each of ten thousand processes.
    #[inline(never)]
    fn report(&mut self, outcome: Outcome, weight: Option<u32>, now: Instant) -> Report {
        let (said, mut transcript, certificate) = match &mut self.flight {
            Some(Flight::Conversation(conversation)) => {
                (conversation.got().to_vec(), conversation.transcript.take(), conversation.certificate())
            }
            Some(Flight::Process(process, transcript)) => {
                transcript.bytes(now, "printed", process.output());
                (process.output().to_vec(), transcript.take(), None)
            }
            Some(Flight::Waiting(transcript)) => (Vec::new(), transcript.take(), None),
            None => (Vec::new(), Transcript::new(now), None),
        };
        let transcript = if outcome.is_good() {
            String::new()
        } else {
            transcript.note(now, format_args!("{}", outcome.about(self.check.target.to)));
            transcript.finish()
        };
        Report { outcome, weight, said, transcript, certificate }
    }
}
