//! The one place that waits and acts: sockets and programs of checks, signals,
//! the lines to lvsd. It decides nothing; [`crate::run`] does.

pub mod conversation;
pub mod parents;
pub mod process;
pub mod table;
pub mod watched;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::probe::{Outcome, Plan};
use conversation::Conversation;
use parents::{PLACE, Parents};
use process::Process;
use watched::Watched;

const SIGNALS: Token = Token(0);
const CHECK: Token = Token(1);
const WATCH: Token = Token(15);

/// Events taken from the kernel at once; the rest come with the next turn.
const EVENTS: usize = 8;

/// What woke the loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Woken {
    /// A signal waits.
    pub signals: bool,
    /// The check's socket or pipe is ready.
    pub check: bool,
    /// Something happened on the idle connection.
    pub watch: bool,
    /// Somebody is at the meeting place.
    pub place: bool,
    /// Something came on these lines.
    pub lines: [bool; parents::LINES_MAX],
}

/// A check that ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What the server or the program said.
    pub said: Vec<u8>,
}

/// A check in flight.
#[derive(Debug)]
enum Checking {
    Conversation(Conversation),
    Process(Process),
    /// The program of the last check was killed and has not ended yet.
    Waiting(Pid),
}

/// See the module.
#[derive(Debug)]
pub struct Hands {
    poll: Poll,
    events: Events,
    signals: SignalFd,
    /// The lines to lvsd.
    pub parents: Parents,
    plan: Plan,
    real: SocketAddr,
    checking: Option<Checking>,
    /// The idle connection.
    watched: Option<Watched>,
    /// A killed program whose end was not seen yet.
    dying: Option<Pid>,
}

impl Hands {
    /// Takes the signals: from here on they come through the loop.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new(plan: Plan, real: SocketAddr) -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for signal in
            [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGCHLD]
        {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&signals.as_fd().as_raw_fd()), SIGNALS, Interest::READABLE)?;
        let (events, parents) = (Events::with_capacity(EVENTS), Parents::default());
        Ok(Self { poll, events, signals, parents, plan, real, checking: None, watched: None, dying: None })
    }

    /// The loop's registry, for the lines.
    pub fn registry(&self) -> io::Result<mio::Registry> {
        self.poll.registry().try_clone()
    }

    /// Waits until something happens or `deadline` comes.
    ///
    /// # Errors
    /// The kernel's; there is no going on without waiting.
    pub fn wait(&mut self, deadline: Instant) -> io::Result<Woken> {
        let mut woken = Woken::default();
        // Whole milliseconds, rounded up by mio: never early and then a busy loop.
        let left = deadline.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(left)) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(woken),
            Err(e) => return Err(e),
        }
        for event in &self.events {
            match event.token() {
                SIGNALS => woken.signals = true,
                CHECK => woken.check = true,
                WATCH => woken.watch = true,
                PLACE => woken.place = true,
                token => {
                    if let Some(line) = Parents::line_of(token).and_then(|line| woken.lines.get_mut(line)) {
                        *line = true;
                    }
                }
            }
        }
        Ok(woken)
    }

    /// The next signal that waits.
    pub fn signal(&self) -> Option<Signal> {
        let info = self.signals.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }

    /// Begins a check. `Some`: it ended at once.
    pub fn begin(&mut self, now: Instant) -> Option<Ended> {
        self.abandon();
        let registry = self.poll.registry();
        let begun = match &self.plan {
            Plan::Converse(script) => {
                Conversation::begin(script, self.real, registry, CHECK).map(Checking::Conversation)
            }
            Plan::Run(command) => match self.dying {
                Some(pid) => Ok(Checking::Waiting(pid)),
                None => Process::begin(command, registry, CHECK).map(Checking::Process),
            },
        };
        match begun {
            Ok(checking) => {
                self.checking = Some(checking);
                // A datagram goes out now; a connection may stand already.
                self.advance(now)
            }
            Err(outcome) => Some(self.conclude(outcome)),
        }
    }

    /// The check's socket or pipe is ready. `Some`: the check ended.
    pub fn advance(&mut self, now: Instant) -> Option<Ended> {
        let outcome = match (&mut self.checking, &self.plan) {
            (Some(Checking::Conversation(conversation)), Plan::Converse(script)) => {
                conversation.advance(script, now)?
            }
            (Some(Checking::Process(process)), Plan::Run(command)) => {
                if process.read() {
                    return None;
                }
                Outcome::ProgramBabbled(command.line())
            }
            (None | Some(Checking::Conversation(_) | Checking::Process(_) | Checking::Waiting(_)), _) => return None,
        };
        Some(self.conclude(outcome))
    }

    /// Takes away a child that ended. `None`: there is none; `Some(Some(_))`: it
    /// was the check's program, or one that a check waited for.
    pub fn child_ended(&mut self, now: Instant) -> Option<Option<Ended>> {
        let (pid, exit) = process::next_end()?;
        let mut outcome = None;
        if let (Some(Checking::Process(process)), Plan::Run(command)) = (&mut self.checking, &self.plan)
            && process.pid() == pid
        {
            let within = process.read();
            outcome = Some(if within {
                command.judge(exit, process.output())
            } else {
                Outcome::ProgramBabbled(command.line())
            });
        }
        process::reap(pid);
        if self.dying == Some(pid) {
            self.dying = None;
        }
        if let Some(outcome) = outcome {
            let said = self.said().to_vec();
            self.checking = None;
            return Some(Some(Ended { outcome, said }));
        }
        match self.checking {
            Some(Checking::Waiting(waited)) if waited == pid => {
                self.checking = None;
                Some(self.begin(now))
            }
            None | Some(Checking::Conversation(_) | Checking::Process(_) | Checking::Waiting(_)) => Some(None),
        }
    }

    /// Opens the idle connection. `false`: it ended at once.
    pub fn watch(&mut self, period: Duration) -> bool {
        self.watched = Watched::open(self.real, period, self.poll.registry(), WATCH).ok();
        self.watched.is_some()
    }

    /// Lets go of it.
    pub fn unwatch(&mut self) {
        self.watched = None;
    }

    /// Whether it ended; then it is gone.
    pub fn watch_ended(&mut self) -> bool {
        self.watched.take_if(Watched::is_over).is_some()
    }

    /// Whether a check is in flight.
    pub fn is_checking(&self) -> bool {
        self.checking.is_some()
    }

    /// What the time `now` means for the check in flight, whose deadline is given.
    /// `Some`: it ended.
    pub fn due(&mut self, now: Instant, deadline: Instant) -> Option<Ended> {
        let outcome = match (self.checking.as_ref()?, &self.plan) {
            (Checking::Conversation(conversation), Plan::Converse(script)) => {
                conversation.due(script, now, deadline)?
            }
            (Checking::Process(_), Plan::Run(command)) if now >= deadline => Outcome::ProgramTimedOut(command.line()),
            (Checking::Waiting(_), Plan::Run(command)) if now >= deadline => Outcome::ProgramStuck(command.line()),
            (Checking::Conversation(_) | Checking::Process(_) | Checking::Waiting(_), _) => return None,
        };
        Some(self.conclude(outcome))
    }

    /// When [`Hands::due`] is next worth asking.
    pub fn deadline(&self, deadline: Instant) -> Instant {
        match &self.checking {
            Some(Checking::Conversation(conversation)) => conversation.deadline(deadline),
            Some(Checking::Process(_) | Checking::Waiting(_)) | None => deadline,
        }
    }

    /// Ends the check in flight without an outcome. The process killed for it, if
    /// there was one.
    pub fn abandon(&mut self) -> Option<Pid> {
        match self.checking.take()? {
            Checking::Process(process) => {
                process.kill();
                self.dying = Some(process.pid());
                Some(process.pid())
            }
            Checking::Conversation(_) | Checking::Waiting(_) => None,
        }
    }

    /// The check in flight is over; a program that still runs is killed.
    fn conclude(&mut self, outcome: Outcome) -> Ended {
        let said = self.said().to_vec();
        self.abandon();
        Ended { outcome, said }
    }

    /// What the server or the program said so far.
    fn said(&self) -> &[u8] {
        match &self.checking {
            Some(Checking::Conversation(conversation)) => conversation.got(),
            Some(Checking::Process(process)) => process.output(),
            Some(Checking::Waiting(_)) | None => &[],
        }
    }

    /// How checks are made.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}
