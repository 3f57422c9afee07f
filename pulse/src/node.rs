//! PURE. The life of a director as pulse sees it: events and the time in,
//! actions out. In a pair the election decides who is active; this is what
//! follows from it here.
//!
//! ```text
//!             become active                 lvsd ready, or RAISE_WITHIN over
//!   Standby ───────────────► Starting ──────────────────────────────► Active
//!     ▲  ▲                    (at once, if lvsd's rules are in place)  │ ▲ │
//!     │  │ addresses gone                            yield             │ │ │ asleep
//!     │  └──────────────────────────────────── Lowering ◄──────────────┘ │ ▼
//!     │                                            ▲    yield            Holding ◄─ started with
//!     │                                            └────────────────────────┘       addresses held
//!     any of them, TERM, INT ──► Lowering ──► StoppingLvsd ──► Over
//! ```
//!
//! When it gives addresses up in order it goes on serving late packets for a moment
//! ([`crate::linger`]), in Standby or before lvsd is told to end.
//!
//! The addresses come after lvsd's rules, and go before them: a client that
//! reaches a virtual IP without rules gets a reset, one that reaches no virtual
//! IP tries again. What lvsd does meanwhile (it dies, freezes, comes back) moves
//! no address; [`common::child::Child`] keeps it, and the guardian the same way.
//!
//! A standby director keeps lvsd and its nannies running, so that a takeover waits
//! for nothing: the rules are there, and every real server has its verdict. Rules
//! for an address that is not here match nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::child::{self, Child, Rules};
use common::ipvs::SyncRole;

use crate::announce::Announcements;
use crate::election::{self, Election};
use crate::messages::Message;
use crate::withdrawal;

mod children;
mod event;
mod linger;
mod pair;
mod transitions;
mod vips;

pub use children::READY_WITHIN;
pub(crate) use children::reported;
pub use event::{Action, Command, Event, Part, Start};
pub use vips::Listening;
use vips::Vips;

/// How long the addresses wait for lvsd at the start; the original waited as
/// long and then gave up (piranha.md 2.4).
pub const RAISE_WITHIN: Duration = Duration::from_secs(10);

/// How often addresses are compared with the kernel without a reason.
pub const LOOK_EVERY: Duration = Duration::from_secs(3);

/// The shortest time between two comparisons: another program that fights over
/// an address must not make us spin.
pub const LOOK_GAP: Duration = Duration::from_millis(100);

/// How long after a reload new addresses are raised, so that lvsd has their
/// services first.
pub const RELOAD_GRACE: Duration = Duration::from_secs(1);

/// How long the removal of addresses is tried at a stop, and how often.
pub const LOWER_WITHIN: Duration = Duration::from_secs(3);
const LOWER_AGAIN: Duration = Duration::from_millis(200);

/// How lvsd is kept. It has twice the time of its own children to stop in.
pub fn lvsd_rules() -> Rules {
    Rules { stop_within: Duration::from_secs(20), ..Rules::default() }
}

/// How the guardian is kept: it has nothing to say, so its silence proves nothing.
pub fn guardian_rules() -> Rules {
    Rules { frozen_after: Duration::from_secs(u64::from(u32::MAX)), ..Rules::default() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Has no address.
    Standby,
    /// Should have them, and lvsd is not ready.
    Starting {
        raise_at: Instant,
    },
    Active {
        looked: Instant,
        look_at: Instant,
    },
    /// May have those of before, and the election does not know yet whether they
    /// are the partner's by now: none is raised, removed or announced.
    Holding,
    Lowering {
        again_at: Instant,
        then: Then,
    },
    StoppingLvsd {
        until: Instant,
    },
    Over,
}

/// What follows when the addresses are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The partner serves. This is tried until it is done.
    Standby,
    /// The end. This is tried until then.
    Stop { until: Instant },
}

/// A director.
#[derive(Clone, Debug)]
pub struct Node {
    state: State,
    /// `None`: there is no partner.
    pair: Option<Election>,
    /// The user's command that holds: the other one was run last, or none.
    told: Command,
    /// lvsd's rules have been in place; the death of an lvsd takes nothing away.
    has_rules: bool,
    lvsd: Child,
    guardian: Option<Child>,
    announcements: Announcements,
    vips: Vips,
    /// Late packets are served, until then.
    lingers: Option<Instant>,
    /// What the last look found or raised.
    held: BTreeSet<IpAddr>,
    /// Everything held is announced after the first look, later only what is new.
    announced: bool,
    /// The guardian knows that the start succeeded.
    told_ready: bool,
    /// lvsd has spoken, so it handles signals: before, they would kill it.
    lvsd_listens: bool,
    /// A HUP came before lvsd could take one.
    hangup_due: bool,
    /// Since when it has not been ready.
    lvsd_unready: Option<Instant>,
    /// It died again and again, or was not ready for long, and has not been ready since.
    lvsd_fails: bool,
    /// It should end as soon as it can take the signal, for only lvsd removes
    /// what an lvsd left in the kernel.
    stop_due: bool,
    alive_at: Instant,
    dropped: pair::SummedUp,
    /// Which half of the connection synchronisation should run, and when it is looked
    /// at again; `None`: as it is.
    sync: Option<(SyncRole, Instant)>,
}

impl Node {
    /// A start. A single director becomes active at once (the original waited for
    /// a partner it did not have, piranha.md 2.3); of a pair the election says which.
    pub fn start(start: Start, now: Instant, out: &mut Vec<Action>) -> Self {
        let Start { role, carrying_on, left, forced, guardian, released, pair } = start;
        out.push(Action::Say(Message::Starting(role)));
        let guardian = guardian.map(|pid| {
            let mut guardian = Child::new(guardian_rules(), u64::from(pid), now);
            guardian.handle(child::Event::Adopted(pid), now, &mut Vec::new());
            guardian
        });
        let state = if carrying_on {
            State::Holding
        } else if left > 0 && pair.is_some() {
            // The partner may serve: they go before it hears that we are here.
            out.push(Action::Say(Message::LeftOver(left)));
            out.push(Action::Lower);
            State::Lowering { again_at: now + LOWER_AGAIN, then: Then::Standby }
        } else {
            State::Standby
        };
        let mut node = Self {
            state,
            pair: None,
            told: if carrying_on { Command::Active } else { Command::Inactive },
            has_rules: false,
            lvsd: Child::new(lvsd_rules(), 0, now),
            guardian,
            announcements: Announcements::default(),
            vips: Vips::default(),
            lingers: None,
            held: BTreeSet::new(),
            announced: false,
            told_ready: false,
            lvsd_listens: false,
            lvsd_unready: Some(now),
            lvsd_fails: false,
            hangup_due: false,
            stop_due: false,
            alive_at: now,
            dropped: pair::SummedUp::new(now),
            sync: None,
        };
        if carrying_on {
            out.push(Action::Say(Message::CarryingOn));
        }
        if let Some(part) = pair {
            if !carrying_on {
                node.synchronise(SyncRole::Backup, now, out);
            }
            node.join(part, carrying_on, forced, now, out);
            if released {
                node.feed_pair(election::Event::Asked(election::Request::Release), now, out);
            }
        } else {
            if !carrying_on {
                out.push(Action::Say(if forced { Message::Forced } else { Message::Alone }));
            }
            node.become_active(now, out);
        }
        node.handle(Event::Tick, now, out);
        node
    }

    /// lvsd's process, if there is one.
    pub fn lvsd(&self) -> Option<u32> {
        self.lvsd.pid()
    }

    /// The guardian's process, if there is one.
    pub fn guardian(&self) -> Option<u32> {
        self.guardian.as_ref().and_then(Child::pid)
    }

    /// Whether a stop is under way or done.
    pub fn is_stopping(&self) -> bool {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => false,
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => true,
        }
    }

    /// When [`Event::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let state = match self.state {
            State::Standby | State::Holding => None,
            State::Starting { raise_at } => Some(raise_at),
            State::Active { look_at, .. } => Some(look_at),
            State::Lowering { again_at, .. } => Some(again_at),
            State::StoppingLvsd { until } => Some(until),
            State::Over => return None,
        };
        let guardian = self.guardian.as_ref().filter(|_| !self.is_stopping());
        let election = self.pair.as_ref().and_then(Election::deadline);
        let others = [
            self.lvsd.deadline(),
            self.unready_deadline().filter(|_| !self.is_stopping()),
            guardian.and_then(Child::deadline),
            self.announcements.deadline(),
            self.vips.deadline(),
            self.lingers,
        ];
        let sync = self.sync.map(|(_, look_at)| look_at);
        others.into_iter().chain([state, election, sync, Some(self.alive_at)]).flatten().min()
    }

    /// One event. What must be done is appended to `out`.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        match event {
            Event::Lvsd(event) => self.on_lvsd(event, now, out),
            Event::Withdrawn(list) => self.on_withdrawal(withdrawal::Event::Said(list), now, out),
            Event::Guardian(event) => self.on_guardian(event, now, out),
            Event::AddressesChanged => self.on_addresses_changed(now),
            Event::CarrierBack(vips) => self.on_carrier_back(&vips, now),
            Event::Looked { held, raised, more } => self.on_looked(&held, &raised, more, now, out),
            Event::Lingers => self.on_lingers(now, out),
            Event::Lowered(left) => self.on_lowered(left, now, out),
            Event::Reread(settings) => self.on_reread(settings, now, out),
            Event::Pair(event) => self.feed_pair(*event, now, out),
            Event::Inquire(plan) => self.on_inquire(&plan, now),
            Event::Witness(witness) => self.on_witness(witness),
            Event::Claimed { claim, by_partner } => self.on_claimed(claim, by_partner, now, out),
            Event::Unheard(counters) => self.count(&counters),
            Event::Wish { asker, wish } => self.on_wish(asker, wish, now, out),
            Event::Hangup => self.on_hangup(out),
            Event::Terminate(signal) => self.on_terminate(signal, now, out),
            Event::OtherSignal(signal) => out.push(Action::Say(Message::SignalIgnored(signal))),
            Event::Release => self.on_release(now, out),
            Event::Tick => self.on_tick(now, out),
            Event::Worked { lasted, until } => {
                self.feed_pair(election::Event::Worked { lasted, until }, now, out);
            }
            Event::Slept(lasted) => self.on_slept(lasted, now, out),
        }
    }
}

#[cfg(test)]
mod tests;
