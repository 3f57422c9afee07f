//! What the node is told, and what it wants done.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::child;
use common::ipvs::SyncRole;

use crate::addresses::Reach;
use crate::arp::Claim;
use crate::claimants::Report;
use crate::election;
use crate::heartbeat::{Heartbeat, StartId};
use crate::identity::Role;
use crate::messages::Message;
use crate::node::Listening;
use crate::replay::Counters;
use crate::wish::{Answer, Wish};
use crate::witness::{Plan, Questions};

/// This director's part in a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the election goes by.
    pub settings: election::Settings,
    /// This start; random for each.
    pub id: StartId,
}

/// What is known when the node starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which director this is.
    pub role: Role,
    /// The last pulse was killed while active, and its ledger says so.
    pub carrying_on: bool,
    /// So many addresses of a pulse that ended in order are still there.
    pub left: usize,
    /// `--forceactive`.
    pub forced: bool,
    /// The guardian's process, if there is one.
    pub guardian: Option<u32>,
    /// The last pulse was released by hand, and not restored.
    pub released: bool,
    /// `None`: there is no partner.
    pub pair: Option<Part>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// To lvsd.
    Lvsd(child::Event),
    /// lvsd's word on virtual IPs that nothing behind serves.
    Withdrawn(BTreeSet<IpAddr>),
    /// To the guardian.
    Guardian(child::Event),
    /// The kernel reported a change of links or addresses.
    AddressesChanged,
    /// A link with these virtual IPs got its carrier back.
    CarrierBack(Vec<IpAddr>),
    /// The answer to [`Action::Look`] with [`Reach::All`].
    Looked {
        /// Addresses that were there.
        held: Vec<IpAddr>,
        /// Addresses that were added.
        raised: Vec<IpAddr>,
        /// Whether there is more to do at once.
        more: bool,
    },
    /// The answer to [`Action::Linger`], if it can be done.
    Lingers,
    /// The answer to [`Action::Lower`]: so many of ours are still there.
    Lowered(usize),
    /// The answer to [`Action::Reread`], with what the election goes by from now on.
    Reread(Option<Box<election::Settings>>),
    /// For the election: a datagram of the partner, a link, a witness, a wish.
    Pair(Box<election::Event>),
    /// Somebody wants something.
    Wish {
        /// Whose process it is.
        asker: u32,
        /// What.
        wish: Wish,
    },
    /// The answer to [`Action::AskWitness`]: what to ask, and for how long.
    Inquire(Box<Plan>),
    /// A witness answered.
    Witness(IpAddr),
    /// Somebody else says that it has a virtual IP of ours.
    Claimed {
        /// What it says.
        claim: Claim,
        /// Its hardware address is the partner's.
        by_partner: bool,
    },
    /// Datagrams that were not worth an event, by what was wrong with them.
    Unheard(Box<Counters>),
    /// HUP.
    Hangup,
    /// TERM or INT, by its number.
    Terminate(i32),
    /// Another signal, by its number.
    OtherSignal(i32),
    /// The guardian asks it to make room for another pulse.
    Release,
    /// The time of [`super::Node::deadline`] has come, or any other turn of the loop.
    Tick,
    /// What was done just now took this long, until then. What came meanwhile is not
    /// read yet.
    Worked {
        /// How long.
        lasted: Duration,
        /// When it was done.
        until: Instant,
    },
    /// The loop was asleep this much longer than it asked to be.
    Slept(Duration),
}

/// One of the user's two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// active_cmd.
    Active,
    /// inactive_cmd.
    Inactive,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a line into the log.
    Say(Message),
    /// Adopt a living lvsd or start one; answered with an event for it.
    SpawnLvsd,
    /// Send TERM to lvsd.
    TerminateLvsd(u32),
    /// Send KILL to lvsd.
    KillLvsd(u32),
    /// Ask lvsd to leave everything to another.
    ReleaseLvsd(u32),
    /// Send HUP to lvsd.
    HangupLvsd(u32),
    /// Adopt a living guardian or start one; answered with an event for it.
    SpawnGuardian,
    /// Tell the guardian that the start succeeded.
    TellReady,
    /// Tell the guardian that the loop turns.
    TellAlive,
    /// Tell the guardian that the end was asked for.
    TellLeaving,
    /// Run one of the user's commands, without waiting for it.
    Run(Command),
    /// Compare the addresses with the kernel and mend; answered with
    /// [`Event::Looked`] for [`Reach::All`].
    Look(Reach),
    /// From now on look, raise and announce as if these were not wanted.
    Withhold(BTreeSet<IpAddr>),
    /// Serve what comes for our virtual IPs when they are gone, too; answered with
    /// [`Event::Lingers`].
    Linger,
    /// Cease to.
    Cease,
    /// Remove every address that is ours; answered with [`Event::Lowered`].
    Lower,
    /// Announce these.
    Announce(Vec<IpAddr>),
    /// Send this on every heartbeat path.
    SendHeartbeat(Box<Heartbeat>),
    /// Have this half of the connection synchronisation run, or none; as far as the
    /// file asks for it.
    Synchronise(Option<SyncRole>),
    /// Answer an [`Event::Wish`].
    Answer {
        /// Whose process it was.
        asker: u32,
        /// What became of it.
        answer: Answer,
    },
    /// Remember for a pulse to come that this director was released, or restored.
    Remember {
        /// Which.
        is_released: bool,
    },
    /// Look up who is to be asked; answered with [`Event::Inquire`].
    AskWitness,
    /// Ask those.
    Ask(Questions),
    /// Hear those from now on.
    Listen(Listening),
    /// Ask who has these virtual IPs of ours.
    Probe(Vec<IpAddr>),
    /// Say who claims one.
    Accuse(Report),
    /// Have the kernel keep our addresses for so many seconds from now, or for ever.
    Lend(Option<u32>),
    /// Read the file again; answered with [`Event::Reread`].
    Reread,
    /// End; `stopped` if nothing of ours is left, otherwise another follows.
    Exit {
        /// Whether it is an orderly stop.
        stopped: bool,
    },
}
