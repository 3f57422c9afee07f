//! What is due in the simulated world, and when.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    First,
    /// Duplicated on the way.
    Second,
    /// Recorded or made up by an attacker.
    Hostile,
}

#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) datagram: Datagram,
    /// In a pair with a key: what is really on the wire.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) sent: Duration,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// Somebody starts a director that does not run.
    Starts(usize),
    Arrives {
        to: usize,
        path: usize,
        packet: Packet,
    },
    Wakes {
        host: usize,
        life: u32,
    },
    Raised {
        host: usize,
        life: u32,
    },
    Lowered {
        host: usize,
        life: u32,
    },
    Answered {
        host: usize,
        life: u32,
        answer: Answer,
    },
    /// An announcement of the VIPs, so many more to come.
    Announces {
        host: usize,
        life: u32,
        more: u8,
    },
    /// The other host's announcement is seen.
    Sees {
        to: usize,
    },
    /// A service that is broken here has shown that it is.
    ServicesFail {
        host: usize,
        life: u32,
    },
    /// lvsd has stopped what does not belong here.
    ServicesRest {
        host: usize,
        life: u32,
    },
    /// Whoever holds the VIPs asks who else does.
    Probes {
        host: usize,
        life: u32,
    },
    /// To a whole node, from where it listens.
    Told {
        host: usize,
        life: u32,
        event: Box<node::Event>,
    },
    /// What a whole node's hands worked on is done.
    Done {
        host: usize,
        life: u32,
        began: Duration,
        work: Duration,
        deed: Deed,
    },
    /// The kernel removes the VIPs, unless the loan was renewed.
    Expires {
        host: usize,
        at: Duration,
    },
    /// An lvsd, by itself.
    Lvsd {
        host: usize,
        pid: u32,
        does: lvsd::Does,
    },
    /// Its guardian has not heard it for too long.
    GivenUp {
        host: usize,
        life: u32,
    },
    Begins(usize),
    Ends(usize),
}

/// What takes a whole node's hands a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Raise,
    Lower,
}

pub(super) struct Due(pub(super) Duration, pub(super) u64, pub(super) Happening);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
