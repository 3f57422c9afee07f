//! The host names of the file: the addresses that they had last, and the look-up
//! for a reload, which goes on beside the loop.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::Signal;

use common::daemon;
use common::names::{self, Known, Lookup};

use crate::hands;
use crate::hosts::{Hosts, PATIENCE};
use crate::messages::Message;

/// The names in the file, and what is known of them now.
pub type Answers = (BTreeSet<String>, Known);

/// A look-up that runs.
#[derive(Debug)]
struct Running {
    lookup: Lookup,
    names: BTreeSet<String>,
    until: Instant,
    /// The process has not been reaped.
    lives: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Asking {
    hosts: Hosts,
    /// A successor that has no name server finds them.
    is_kept: bool,
    running: Option<Running>,
}

impl Asking {
    /// Nothing is asked yet.
    pub fn new(hosts: Hosts, is_kept: bool) -> Self {
        Self { hosts, is_kept, running: None }
    }

    /// The world as the file is read in it.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Asks for the names in the file. The answers, if there is nothing to wait for:
    /// it has none, or there is no process to ask and what is known counts.
    pub fn begin(&mut self, file: &Path, watch: (&Registry, Token), now: Instant) -> Option<Answers> {
        // It was begun for a file that may be another by now.
        self.end();
        let names = names::names_in(file);
        if !names.is_empty() {
            self.running = self.start(&names, watch, now);
        }
        self.running.is_none().then(|| (names, Known::default()))
    }

    fn start(&self, names: &BTreeSet<String>, (registry, token): (&Registry, Token), now: Instant) -> Option<Running> {
        let patience = if self.hosts.know(names) { PATIENCE } else { names::WITHIN };
        let lookup = Lookup::start(&daemon::sibling("lvsd"), names, now).ok()?;
        // Unwatched it is read at the next deadline.
        let fd = lookup.as_fd().as_raw_fd();
        let _ = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
        Some(Running { lookup, names: names.clone(), until: now + patience, lives: true })
    }

    /// When the time of the look-up is over.
    pub fn until(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.until)
    }

    /// The answers, when all came or their time is over.
    pub fn answers(&mut self, now: Instant) -> Option<Answers> {
        let running = self.running.as_mut()?;
        // For us its time is over before its own is, if so.
        let is_over = now >= running.until;
        let answers = running.lookup.read(if is_over { now + names::WITHIN } else { now })?;
        let names = std::mem::take(&mut running.names);
        self.end();
        Some((names, answers))
    }

    /// A child ended that may be the one that looks names up.
    pub fn ended(&mut self, pid: u32) {
        if let Some(running) = &mut self.running {
            running.lives &= running.lookup.pid() != pid;
        }
    }

    /// Answers are not wanted any more.
    pub fn end(&mut self) {
        if let Some(running) = self.running.take().filter(|running| running.lives) {
            hands::signal(running.lookup.pid(), Signal::SIGKILL);
        }
    }

    /// Takes the answers; a line about the names that go on with an old address.
    pub fn learn(&mut self, (names, answers): &Answers) -> Option<Message> {
        Message::stale(self.hosts.learn(names, answers))
    }

    /// Keeps what is known for a successor; a line about why it cannot be.
    pub fn keep(&self) -> Option<Message> {
        let error = self.is_kept.then(|| self.hosts.keep().err()).flatten()?;
        Some(Message::NoState { reason: format!("host names: {error}") })
    }
}
