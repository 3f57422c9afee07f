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

use crate::addresses::Reach;
use crate::announce::Announcements;
use crate::election::{self, Election};
use crate::lease::Terms;
use crate::messages::Message;

mod children;
mod event;
mod pair;
mod vips;

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
    /// It died again and again, and has not been ready since.
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
        let Start { role, carrying_on, forced, guardian, released, pair } = start;
        out.push(Action::Say(Message::Starting(role)));
        let guardian = guardian.map(|pid| {
            let mut guardian = Child::new(guardian_rules(), u64::from(pid), now);
            guardian.handle(child::Event::Adopted(pid), now, &mut Vec::new());
            guardian
        });
        let mut node = Self {
            state: if carrying_on { State::Holding } else { State::Standby },
            pair: None,
            told: if carrying_on { Command::Active } else { Command::Inactive },
            has_rules: false,
            lvsd: Child::new(lvsd_rules(), 0, now),
            guardian,
            announcements: Announcements::default(),
            vips: Vips::default(),
            held: BTreeSet::new(),
            announced: false,
            told_ready: false,
            lvsd_listens: false,
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
            guardian.and_then(Child::deadline),
            self.announcements.deadline(),
            self.vips.deadline(),
        ];
        let sync = self.sync.map(|(_, look_at)| look_at);
        others.into_iter().chain([state, election, sync, Some(self.alive_at)]).flatten().min()
    }

    /// One event. What must be done is appended to `out`.
    pub fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        match event {
            Event::Lvsd(event) => self.on_lvsd(event, now, out),
            Event::Guardian(event) => self.on_guardian(event, now, out),
            Event::AddressesChanged => self.on_addresses_changed(now),
            Event::CarrierBack(vips) => self.on_carrier_back(&vips, now),
            Event::Looked { held, raised, more } => self.on_looked(&held, &raised, more, now),
            Event::Lowered(left) => self.on_lowered(left, now, out),
            Event::Reread(settings) => self.on_reread(settings, now, out),
            Event::Pair(event) => self.feed_pair(*event, now, out),
            Event::Inquire(plan) => self.on_inquire(&plan, now),
            Event::Witness(witness) => self.on_witness(witness),
            Event::Claimed(claim) => self.on_claimed(claim, now),
            Event::Unheard(counters) => self.count(&counters),
            Event::Wish { asker, wish } => self.on_wish(asker, wish, now, out),
            Event::Hangup => self.on_hangup(out),
            Event::Terminate(signal) => self.on_terminate(signal, now, out),
            Event::OtherSignal(signal) => out.push(Action::Say(Message::SignalIgnored(signal))),
            Event::Release => self.on_release(now, out),
            Event::Tick => self.on_tick(now, out),
            Event::Slept(lasted) => self.on_slept(lasted, now, out),
        }
    }

    fn on_lvsd(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let ready = event == child::Event::Ready;
        self.has_rules |= ready;
        let came = matches!(event, child::Event::Spawned(_) | child::Event::Adopted(_));
        match event {
            child::Event::Adopted(_) | child::Event::Ready | child::Event::Heard => self.lvsd_listens = true,
            child::Event::Spawned(_) | child::Event::SpawnFailed | child::Event::Gone(_) => self.lvsd_listens = false,
            child::Event::Stop | child::Event::Replace | child::Event::Tick | child::Event::Slept => {}
        }
        self.feed_lvsd(event, now, out);
        self.judge_lvsd(event, now, out);
        if came && !self.told_ready && !self.is_stopping() {
            self.told_ready = true;
            out.push(Action::TellReady);
        }
        if self.hangup_due && self.lvsd_listens {
            self.hangup_lvsd(out);
        }
        if self.stop_due {
            self.stop_lvsd_when_it_listens(now, out);
        }
        match self.state {
            State::Starting { .. } if ready => self.raise(now, out),
            State::StoppingLvsd { .. } => self.finish_if_over(out),
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::Over => {}
        }
    }

    fn on_guardian(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => self.feed_guardian(event, now, out),
            // The guardian may go first now; nobody needs another.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_addresses_changed(&mut self, now: Instant) {
        match &mut self.state {
            State::Active { looked, look_at } => *look_at = (*look_at).min(now.max(*looked + LOOK_GAP)),
            // Not raised yet, or on their way down: looked at anyway, or never again.
            State::Standby
            | State::Starting { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    fn on_carrier_back(&mut self, vips: &[IpAddr], now: Instant) {
        match self.state {
            State::Active { .. } => {
                for vip in vips.iter().filter(|vip| self.held.contains(*vip)) {
                    self.announcements.begin(*vip, now);
                }
            }
            // Announced when they are raised, or no longer ours to announce.
            State::Standby
            | State::Starting { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    fn on_looked(&mut self, held: &[IpAddr], raised: &[IpAddr], more: bool, now: Instant) {
        match &mut self.state {
            State::Active { look_at, .. } => {
                if more {
                    *look_at = now;
                }
                self.held = held.iter().chain(raised).copied().collect();
                self.announcements.keep_only(|vip| self.held.contains(vip));
                let old = if self.announced { &[] } else { held };
                old.iter().chain(raised).for_each(|vip| self.announcements.begin(*vip, now));
                self.announced = true;
            }
            // A stop or a sleep came between: what was raised goes with the rest.
            State::Standby
            | State::Starting { .. }
            | State::Holding
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    fn on_lowered(&mut self, left: usize, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Lowering { then: Then::Standby, .. } if left == 0 => {
                self.state = State::Standby;
                // The partner waits for this word; the user's command can wait for it.
                self.feed_pair(election::Event::Lowered, now, out);
                if self.state == State::Standby {
                    self.synchronise(SyncRole::Backup, now, out);
                    self.run(Command::Inactive, out);
                }
            }
            State::Lowering { then: Then::Stop { until }, .. } if left == 0 || now >= until => {
                if left > 0 {
                    out.push(Action::Say(Message::LeftBehind(left)));
                }
                self.feed_pair(election::Event::Lowered, now, out);
                self.stop_lvsd(now, out);
            }
            State::Lowering { then, .. } => self.state = State::Lowering { again_at: now + LOWER_AGAIN, then },
            // Nobody asked.
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    fn on_hangup(&mut self, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => out.push(Action::Reread),
            // A stop is not reloaded.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    /// The file was read, and is in force or refused. Addresses wanted no more go
    /// before lvsd drops their services; lvsd hears of the reload in any case and
    /// judges the file itself, as it always did; new addresses come after it.
    fn on_reread(&mut self, settings: Option<Box<election::Settings>>, now: Instant, out: &mut Vec<Action>) {
        match &mut self.state {
            State::Standby | State::Starting { .. } | State::Holding | State::Lowering { then: Then::Standby, .. } => {}
            State::Active { looked, look_at } => {
                out.push(Action::Look(Reach::Removals));
                (*looked, *look_at) = (now, now + RELOAD_GRACE);
            }
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => return,
        }
        self.hangup_due = true;
        if self.lvsd_listens {
            self.hangup_lvsd(out);
        }
        if let Some(settings) = settings {
            self.vips.terms = Some(Terms::new(settings.keepalive, settings.deadtime));
            self.feed_pair(election::Event::Reloaded(settings), now, out);
        }
    }

    fn on_terminate(&mut self, signal: i32, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => {
                out.push(Action::Say(Message::Terminating(signal)));
                out.push(Action::TellLeaving);
                out.push(Action::Lower);
                self.announcements.clear();
                self.state =
                    State::Lowering { again_at: now + LOWER_AGAIN, then: Then::Stop { until: now + LOWER_WITHIN } };
                self.feed_pair(election::Event::Asked(election::Request::Stop), now, out);
            }
            // Being done.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_release(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => {
                out.push(Action::Say(Message::Released));
                self.feed_pair(election::Event::Asked(election::Request::Detach), now, out);
                out.push(Action::Exit { stopped: false });
                self.announcements.clear();
                self.state = State::Over;
            }
            // A stop that was asked for is carried out.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.state != State::Over && now >= self.alive_at {
            self.alive_at = now + Rules::default().beat;
            out.push(Action::TellAlive);
        }
        // The partner counts the time since the last beat; all else can wait for it.
        self.feed_pair(election::Event::Tick, now, out);
        self.sum_up(now, out);
        if let Some((role, _)) = self.sync.filter(|(_, look_at)| now >= *look_at) {
            self.synchronise(role, now, out);
        }
        match &mut self.state {
            State::Standby | State::Holding => self.tick_children(now, out),
            State::Starting { raise_at } => {
                if now >= *raise_at {
                    out.push(Action::Say(Message::LvsdNotReady(RAISE_WITHIN)));
                    self.raise(now, out);
                }
                self.tick_children(now, out);
            }
            State::Active { looked, look_at } => {
                if now >= *look_at {
                    (*looked, *look_at) = (now, now + LOOK_EVERY);
                    out.push(Action::Look(Reach::All));
                }
                let (vips, finished) = self.announcements.turn(now);
                if !vips.is_empty() {
                    out.push(Action::Announce(vips));
                }
                if finished {
                    out.push(Action::Say(Message::ArpsFinished));
                }
                self.tick_children(now, out);
            }
            State::Lowering { again_at, then } => {
                if now >= *again_at {
                    *again_at = now + LOWER_AGAIN;
                    out.push(Action::Lower);
                }
                if *then == Then::Standby {
                    self.tick_children(now, out);
                }
            }
            State::StoppingLvsd { until } => {
                if now >= *until {
                    self.feed_lvsd(child::Event::Stop, now, out);
                    self.finish(out);
                } else {
                    self.feed_lvsd(child::Event::Tick, now, out);
                }
            }
            State::Over => {}
        }
        self.tend(now, out);
    }

    /// Silence heard by a director that was itself asleep proves nothing.
    fn on_slept(&mut self, lasted: Duration, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => {
                self.feed_lvsd(child::Event::Slept, now, out);
                self.feed_guardian(child::Event::Slept, now, out);
            }
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } => {
                self.feed_lvsd(child::Event::Slept, now, out);
            }
            State::Over => {}
        }
        self.feed_pair(election::Event::Slept { lasted }, now, out);
    }

    fn tick_children(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.feed_lvsd(child::Event::Tick, now, out);
        self.feed_guardian(child::Event::Tick, now, out);
    }

    /// It is decided that this director serves.
    fn become_active(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby | State::Holding | State::Lowering { then: Then::Standby, .. } => {
                self.announced = false;
                self.run(Command::Active, out);
                if self.has_rules {
                    self.raise(now, out);
                } else {
                    self.state = State::Starting { raise_at: now + RAISE_WITHIN };
                }
            }
            State::Active { .. } => self.announce_again(now),
            // Announced when they are raised.
            State::Starting { .. } => {}
            // Told to stop.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    /// It is decided that the partner serves.
    fn give_way(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby | State::Starting { .. } | State::Active { .. } | State::Holding => {
                self.announcements.clear();
                out.push(Action::Lower);
                self.state = State::Lowering { again_at: now + LOWER_AGAIN, then: Then::Standby };
            }
            // Being done.
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    /// It is not known any more who serves.
    fn hold(&mut self) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => {
                self.announcements.clear();
                self.state = State::Holding;
            }
            State::Standby | State::Holding | State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn synchronise(&mut self, role: SyncRole, now: Instant, out: &mut Vec<Action>) {
        self.sync = Some((role, now + LOOK_EVERY));
        out.push(Action::Synchronise(Some(role)));
    }

    fn announce_again(&mut self, now: Instant) {
        for vip in &self.held {
            self.announcements.begin(*vip, now);
        }
    }

    fn run(&mut self, command: Command, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.told, command) != command {
            out.push(Action::Run(command));
        }
    }

    fn raise(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.lend(now, out);
        out.push(Action::Look(Reach::All));
        self.state = State::Active { looked: now, look_at: now + LOOK_EVERY };
        self.synchronise(SyncRole::Master, now, out);
    }

    fn stop_lvsd(&mut self, now: Instant, out: &mut Vec<Action>) {
        // TERM for its time, KILL for as long again.
        self.state = State::StoppingLvsd { until: now + lvsd_rules().stop_within * 2 };
        self.stop_due = true;
        self.stop_lvsd_when_it_listens(now, out);
        self.finish_if_over(out);
    }

    fn stop_lvsd_when_it_listens(&mut self, now: Instant, out: &mut Vec<Action>) {
        let coming = self.lvsd.is_spawning() || self.lvsd.pid().is_some();
        if self.lvsd_listens || !coming {
            self.stop_due = false;
            self.feed_lvsd(child::Event::Stop, now, out);
        }
    }

    /// lvsd is gone, and the partner has been told.
    fn finish_if_over(&mut self, out: &mut Vec<Action>) {
        if self.lvsd.is_over() && self.pair.as_ref().is_none_or(|pair| pair.state() == election::State::Over) {
            self.finish(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Action>) {
        self.run(Command::Inactive, out);
        out.push(Action::Synchronise(None));
        out.push(Action::Exit { stopped: true });
        self.state = State::Over;
    }

    fn hangup_lvsd(&mut self, out: &mut Vec<Action>) {
        self.hangup_due = false;
        out.extend(self.lvsd.pid().map(Action::HangupLvsd));
    }
}

#[cfg(test)]
mod tests;
