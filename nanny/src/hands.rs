//! The one place that waits and acts: sockets and programs of checks, signals,
//! the lines to lvsd. It decides nothing; [`crate::run`] does.

pub mod conversation;
pub mod parents;
pub mod process;
pub mod secure;
pub mod slot;
pub mod table;
pub mod tls;
pub mod watched;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use common::child::Exit;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::probe::jury::{Jury, Verdict};
use crate::probe::program::Command;
use crate::probe::{Check, Outcome};
use conversation::Certificate;
use parents::{PLACE, Parents};
use process::Process;
use secure::Begin;
use slot::{Report, Slot, Whose};
use watched::Watched;

const SIGNALS: Token = Token(0);
const WATCH: Token = Token(15);
const LOAD: Token = Token(16);
/// The first check's; the others' follow.
const FIRST_CHECK: usize = 32;

/// Events taken from the kernel at once; the rest come with the next turn.
const EVENTS: usize = 8;

/// What woke the loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Woken {
    /// A signal waits.
    pub signals: bool,
    /// The check's socket or pipe is ready.
    pub check: bool,
    /// The load monitor printed something.
    pub load: bool,
    /// Something happened on the idle connection.
    pub watch: bool,
    /// Somebody is at the meeting place.
    pub place: bool,
    /// Something came on these lines.
    pub lines: [bool; parents::LINES_MAX],
}

/// A round of checks that ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// The weight it asks for.
    pub weight: Option<u32>,
    /// Which check decided.
    pub by: usize,
    /// What the server or the program said to that one.
    pub said: Vec<u8>,
    /// What happened in that one.
    pub transcript: String,
}

/// What became of a child that ended.
#[derive(Debug)]
pub enum ChildEnd {
    /// It was the check's program, or one that a check waited for.
    Check(Ended),
    /// It was the load monitor; what it printed, if it ended well.
    Load(Option<Vec<u8>>),
    /// It was killed before, and nobody waits for it.
    Forgotten,
}

/// The round of checks in flight.
#[derive(Debug)]
struct Round {
    jury: Jury,
    /// What was said and what happened in the first check that was bad.
    bad: Option<(Vec<u8>, String)>,
}

/// See the module.
#[derive(Debug)]
pub struct Hands {
    poll: Poll,
    events: Events,
    signals: SignalFd,
    /// The lines to lvsd.
    pub parents: Parents,
    slots: Vec<Slot>,
    /// So many of the checks must be good.
    needed: usize,
    round: Option<Round>,
    /// Certificates that were seen.
    certificates: Vec<Certificate>,
    load: Option<Process>,
    /// A killed load monitor whose end was not seen yet: no second one meanwhile.
    load_dying: Option<Pid>,
    /// The idle connection.
    watched: Option<Watched>,
}

impl Hands {
    /// Takes the signals: from here on they come through the loop.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new(checks: Vec<Check>, needed: usize, secure: Option<Begin>) -> io::Result<Self> {
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
        let checks = checks.into_iter().enumerate();
        let slots = checks.map(|(n, check)| Slot::new(check, Token(FIRST_CHECK + n), secure)).collect();
        let (round, certificates) = (None, Vec::new());
        let (load, load_dying, watched) = (None, None, None);
        Ok(Self { poll, events, signals, parents, slots, needed, round, certificates, load, load_dying, watched })
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
                LOAD => woken.load = true,
                WATCH => woken.watch = true,
                PLACE => woken.place = true,
                Token(FIRST_CHECK..) => woken.check = true,
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

    /// Begins a round: all checks at once. `Some`: it ended at once.
    pub fn begin(&mut self, now: Instant) -> Option<Ended> {
        self.abandon();
        self.round = Some(Round { jury: Jury::new(self.slots.len(), self.needed), bad: None });
        let registry = self.poll.registry();
        for n in 0..self.slots.len() {
            let report = self.slots.get_mut(n).and_then(|slot| slot.begin(registry, now));
            if let Some(ended) = report.and_then(|report| vote(&mut self.round, &mut self.certificates, n, report)) {
                return Some(self.conclude(ended));
            }
        }
        None
    }

    /// A check's socket or pipe is ready. `Some`: the round ended.
    pub fn advance(&mut self, now: Instant) -> Option<Ended> {
        self.each(|slot| slot.advance(now))
    }

    fn each(&mut self, mut step: impl FnMut(&mut Slot) -> Option<Report>) -> Option<Ended> {
        for (n, slot) in self.slots.iter_mut().enumerate() {
            let report = step(slot);
            if let Some(ended) = report.and_then(|report| vote(&mut self.round, &mut self.certificates, n, report)) {
                return Some(self.conclude(ended));
            }
        }
        None
    }

    /// Starts the load monitor, beside whatever check is in flight.
    ///
    /// # Errors
    /// It could not be started.
    pub fn begin_load(&mut self, command: &Command) -> Result<(), Outcome> {
        self.abandon_load();
        if self.load_dying.is_some() {
            return Err(Outcome::ProgramStuck(command.line()));
        }
        self.load = Some(Process::begin(command, self.poll.registry(), LOAD)?);
        Ok(())
    }

    /// The load monitor printed something. `false`: more than anybody reads; it is
    /// killed.
    pub fn advance_load(&mut self) -> bool {
        let within = self.load.as_mut().is_none_or(|process| process.read(true));
        if !within {
            self.abandon_load();
        }
        within
    }

    /// Whether the load monitor runs.
    pub fn is_loading(&self) -> bool {
        self.load.is_some()
    }

    /// Kills the load monitor, if it runs.
    pub fn abandon_load(&mut self) -> Option<Pid> {
        let process = self.load.take()?;
        process.kill();
        self.load_dying = Some(process.pid());
        self.load_dying
    }

    /// Takes away a child that ended; `None`: there is none.
    pub fn child_ended(&mut self, now: Instant) -> Option<ChildEnd> {
        let (pid, exit) = process::next_end()?;
        if let Some(mut process) = self.load.take_if(|process| process.pid() == pid) {
            let within = process.read(true);
            process::reap(pid);
            return Some(ChildEnd::Load((exit == Exit::Status(0) && within).then(|| process.output().to_vec())));
        }
        if self.load_dying == Some(pid) {
            process::reap(pid);
            self.load_dying = None;
            return Some(ChildEnd::Forgotten);
        }
        let registry = self.poll.registry();
        for (n, slot) in self.slots.iter_mut().enumerate() {
            match slot.child_ended(pid, exit, registry, now) {
                Whose::Other => {}
                Whose::Ours => return Some(ChildEnd::Forgotten),
                Whose::Ended(report) => {
                    let ended = vote(&mut self.round, &mut self.certificates, n, report);
                    let ended = ended.map(|ended| self.conclude(ended));
                    return Some(ended.map_or(ChildEnd::Forgotten, ChildEnd::Check));
                }
            }
        }
        process::reap(pid);
        Some(ChildEnd::Forgotten)
    }

    /// Opens the idle connection. `false`: it ended at once.
    pub fn watch(&mut self, to: SocketAddr, period: Duration) -> bool {
        self.watched = Watched::open(to, period, self.poll.registry(), WATCH).ok();
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

    /// Whether a round is in flight.
    pub fn is_checking(&self) -> bool {
        self.slots.iter().any(Slot::is_busy)
    }

    /// What the time `now` means for the round in flight, whose deadline is given.
    /// `Some`: it ended.
    pub fn due(&mut self, now: Instant, deadline: Instant) -> Option<Ended> {
        self.each(|slot| slot.due(now, deadline))
    }

    /// When [`Hands::due`] is next worth asking.
    pub fn deadline(&self, deadline: Instant) -> Instant {
        self.slots.iter().map(|slot| slot.deadline(deadline)).min().unwrap_or(deadline)
    }

    /// Ends the round in flight without an outcome. The processes killed for it.
    pub fn abandon(&mut self) -> Vec<Pid> {
        self.round = None;
        self.slots.iter_mut().filter_map(Slot::abandon).collect()
    }

    /// The round is over; what still runs is ended.
    fn conclude(&mut self, ended: Ended) -> Ended {
        self.abandon();
        ended
    }

    /// The certificates that were seen since the last call.
    pub fn certificates(&mut self) -> Vec<Certificate> {
        std::mem::take(&mut self.certificates)
    }

    /// How checks are made.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.slots.iter().map(|slot| &slot.check)
    }
}

/// A check of the round ended; maybe the round with it.
fn vote(flight: &mut Option<Round>, certificates: &mut Vec<Certificate>, n: usize, report: Report) -> Option<Ended> {
    let Report { outcome, weight, said, transcript, certificate } = report;
    certificates.extend(certificate);
    let round = flight.as_mut()?;
    let mut heard = (said, transcript);
    if !outcome.is_good() {
        heard = round.bad.get_or_insert(heard).clone();
    }
    let Verdict { outcome, by, weight } = round.jury.vote(n, outcome, weight)?;
    *flight = None;
    let (said, transcript) = heard;
    Some(Ended { outcome, weight, by, said, transcript })
}
