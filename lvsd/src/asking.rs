//! Host names that are being looked up for a reload, beside the loop.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::Signal;

use common::daemon;
use common::names::{self, Known, Lookup};

use crate::hands;
use crate::hosts::{Hosts, PATIENCE};

/// See the module.
#[derive(Debug)]
pub struct Asking {
    lookup: Lookup,
    names: BTreeSet<String>,
    until: Instant,
    /// The process has not been reaped.
    lives: bool,
}

impl Asking {
    /// Asks for these; `None`: there is no process to ask, what is known counts.
    pub fn begin(
        names: &BTreeSet<String>,
        hosts: &Hosts,
        (registry, token): (&Registry, Token),
        now: Instant,
    ) -> Option<Self> {
        let patience = if hosts.know(names) { PATIENCE } else { names::WITHIN };
        let lookup = Lookup::start(&daemon::sibling("lvsd"), names, now).ok()?;
        // Unwatched it is read at the next deadline.
        let fd = lookup.as_fd().as_raw_fd();
        let _ = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
        Some(Self { lookup, names: names.clone(), until: now + patience, lives: true })
    }

    /// When its time is over.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The answers, when all came or their time is over.
    pub fn answers(&mut self, now: Instant) -> Option<(BTreeSet<String>, Known)> {
        // For us its time is over before its own is, if so.
        let is_over = now >= self.until;
        let answers = self.lookup.read(if is_over { now + names::WITHIN } else { now })?;
        Some((std::mem::take(&mut self.names), answers))
    }

    /// A child ended that may be the one that looks names up.
    pub fn ended(&mut self, pid: u32) {
        self.lives &= self.lookup.pid() != pid;
    }

    /// Its answers are not wanted any more.
    pub fn end(self) {
        if self.lives {
            hands::signal(self.lookup.pid(), Signal::SIGKILL);
        }
    }
}
