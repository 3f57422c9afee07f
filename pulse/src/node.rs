//! PURE. The life of a director as pulse sees it: events and the time in,
//! actions out.
//!
//! ```text
//!              lvsd ready, or RAISE_WITHIN over          TERM, INT
//!   Starting ──────────────────────────────────► Active ───────────┐
//!      │                                                           ▼
//!      └────────────────── TERM, INT ──────────────────────► Lowering
//!                                                                  │ addresses gone, or LOWER_WITHIN over
//!   Over ◄─────────────────────────── StoppingLvsd ◄───────────────┘
//!                 lvsd gone, or its time over
//! ```
//!
//! The addresses come after lvsd's rules, and go before them: a client that
//! reaches a virtual IP without rules gets a reset, one that reaches no virtual
//! IP tries again. What lvsd does meanwhile (it dies, freezes, comes back) moves
//! no address; [`common::child::Child`] keeps it, and the guardian the same way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::child::{self, Child, Report, Rules};

use crate::addresses::Reach;
use crate::announce::Announcements;
use crate::identity::Role;
use crate::messages::{Message, What};

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

/// What is known when the node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which director this is.
    pub role: Role,
    /// The last pulse was killed while active, and its ledger says so.
    pub carrying_on: bool,
    /// `--forceactive`.
    pub forced: bool,
    /// The guardian's process, if there is one.
    pub guardian: Option<u32>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// To lvsd.
    Lvsd(child::Event),
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
    /// The answer to [`Action::Lower`]: so many of ours are still there.
    Lowered(usize),
    /// The answer to [`Action::Reread`].
    Reread,
    /// HUP.
    Hangup,
    /// TERM or INT, by its number.
    Terminate(i32),
    /// Another signal, by its number.
    OtherSignal(i32),
    /// The guardian asks it to make room for another pulse.
    Release,
    /// The time of [`Node::deadline`] has come, or any other turn of the loop.
    Tick,
    /// The loop was asleep much longer than it asked to be.
    Slept,
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
    /// Remove every address that is ours; answered with [`Event::Lowered`].
    Lower,
    /// Announce these.
    Announce(Vec<IpAddr>),
    /// Read the file again; answered with [`Event::Reread`].
    Reread,
    /// End; `stopped` if nothing of ours is left, otherwise another follows.
    Exit {
        /// Whether it is an orderly stop.
        stopped: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting { raise_at: Instant },
    Active { looked: Instant, look_at: Instant },
    Lowering { again_at: Instant, until: Instant },
    StoppingLvsd { until: Instant },
    Over,
}

/// A single director.
#[derive(Clone, Debug)]
pub struct Node {
    state: State,
    lvsd: Child,
    guardian: Option<Child>,
    announcements: Announcements,
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
    /// It should end as soon as it can take the signal, for only lvsd removes
    /// what an lvsd left in the kernel.
    stop_due: bool,
    alive_at: Instant,
}

impl Node {
    /// A director that becomes active, which a single one always does at once
    /// (the original waited for a partner it did not have, piranha.md 2.3).
    pub fn start(start: Start, now: Instant, out: &mut Vec<Action>) -> Self {
        out.push(Action::Say(Message::Starting(start.role)));
        if start.carrying_on {
            out.push(Action::Say(Message::CarryingOn));
        } else {
            out.push(Action::Say(if start.forced { Message::Forced } else { Message::Alone }));
            out.push(Action::Run(Command::Active));
        }
        let guardian = start.guardian.map(|pid| {
            let mut guardian = Child::new(guardian_rules(), u64::from(pid), now);
            guardian.handle(child::Event::Adopted(pid), now, &mut Vec::new());
            guardian
        });
        let mut node = Self {
            state: State::Starting { raise_at: now + RAISE_WITHIN },
            lvsd: Child::new(lvsd_rules(), 0, now),
            guardian,
            announcements: Announcements::default(),
            held: BTreeSet::new(),
            announced: false,
            told_ready: false,
            lvsd_listens: false,
            hangup_due: false,
            stop_due: false,
            alive_at: now,
        };
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
            State::Starting { .. } | State::Active { .. } => false,
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => true,
        }
    }

    /// When [`Event::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let state = match self.state {
            State::Starting { raise_at } => raise_at,
            State::Active { look_at, .. } => look_at,
            State::Lowering { again_at, .. } => again_at,
            State::StoppingLvsd { until } => until,
            State::Over => return None,
        };
        let guardian = self.guardian.as_ref().filter(|_| !self.is_stopping());
        let others = [self.lvsd.deadline(), guardian.and_then(Child::deadline), self.announcements.deadline()];
        others.into_iter().flatten().chain([state, self.alive_at]).min()
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
            Event::Reread => self.on_reread(now, out),
            Event::Hangup => self.on_hangup(out),
            Event::Terminate(signal) => self.on_terminate(signal, now, out),
            Event::OtherSignal(signal) => out.push(Action::Say(Message::SignalIgnored(signal))),
            Event::Release => self.on_release(out),
            Event::Tick => self.on_tick(now, out),
            Event::Slept => self.on_slept(now, out),
        }
    }

    fn on_lvsd(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let ready = event == child::Event::Ready;
        let came = matches!(event, child::Event::Spawned(_) | child::Event::Adopted(_));
        match event {
            child::Event::Adopted(_) | child::Event::Ready | child::Event::Heard => self.lvsd_listens = true,
            child::Event::Spawned(_) | child::Event::SpawnFailed | child::Event::Gone(_) => self.lvsd_listens = false,
            child::Event::Stop | child::Event::Replace | child::Event::Tick | child::Event::Slept => {}
        }
        self.feed_lvsd(event, now, out);
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
            State::StoppingLvsd { .. } if self.lvsd.is_over() => self.finish(out),
            State::Starting { .. }
            | State::Active { .. }
            | State::Lowering { .. }
            | State::StoppingLvsd { .. }
            | State::Over => {}
        }
    }

    fn on_guardian(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => self.feed_guardian(event, now, out),
            // The guardian may go first now; nobody needs another.
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_addresses_changed(&mut self, now: Instant) {
        match &mut self.state {
            State::Active { looked, look_at } => *look_at = (*look_at).min(now.max(*looked + LOOK_GAP)),
            // Not raised yet, or on their way down: looked at anyway, or never again.
            State::Starting { .. } | State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
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
            State::Starting { .. } | State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
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
            // A stop came between: what was raised is lowered with the rest.
            State::Starting { .. } | State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_lowered(&mut self, left: usize, now: Instant, out: &mut Vec<Action>) {
        match &mut self.state {
            State::Lowering { .. } if left == 0 => self.stop_lvsd(now, out),
            State::Lowering { until, .. } if now >= *until => {
                out.push(Action::Say(Message::LeftBehind(left)));
                self.stop_lvsd(now, out);
            }
            State::Lowering { again_at, .. } => *again_at = now + LOWER_AGAIN,
            // Nobody asked.
            State::Starting { .. } | State::Active { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_hangup(&mut self, out: &mut Vec<Action>) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => out.push(Action::Reread),
            // A stop is not reloaded.
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    /// The file was read, and is in force or refused. Addresses wanted no more go
    /// before lvsd drops their services; lvsd hears of the reload in any case and
    /// judges the file itself, as it always did; new addresses come after it.
    fn on_reread(&mut self, now: Instant, out: &mut Vec<Action>) {
        match &mut self.state {
            State::Starting { .. } => {}
            State::Active { looked, look_at } => {
                out.push(Action::Look(Reach::Removals));
                (*looked, *look_at) = (now, now + RELOAD_GRACE);
            }
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => return,
        }
        self.hangup_due = true;
        if self.lvsd_listens {
            self.hangup_lvsd(out);
        }
    }

    fn on_terminate(&mut self, signal: i32, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => {
                out.push(Action::Say(Message::Terminating(signal)));
                out.push(Action::TellLeaving);
                out.push(Action::Lower);
                self.announcements.clear();
                self.state = State::Lowering { again_at: now + LOWER_AGAIN, until: now + LOWER_WITHIN };
            }
            // Being done.
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_release(&mut self, out: &mut Vec<Action>) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => {
                out.push(Action::Say(Message::Released));
                out.push(Action::Exit { stopped: false });
                self.announcements.clear();
                self.state = State::Over;
            }
            // A stop that was asked for is carried out.
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    fn on_tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.state != State::Over && now >= self.alive_at {
            self.alive_at = now + Rules::default().beat;
            out.push(Action::TellAlive);
        }
        match &mut self.state {
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
            State::Lowering { again_at, .. } => {
                if now >= *again_at {
                    *again_at = now + LOWER_AGAIN;
                    out.push(Action::Lower);
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
    }

    /// Silence heard by a director that was itself asleep proves nothing.
    fn on_slept(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => {
                self.feed_lvsd(child::Event::Slept, now, out);
                self.feed_guardian(child::Event::Slept, now, out);
            }
            State::Lowering { .. } | State::StoppingLvsd { .. } => self.feed_lvsd(child::Event::Slept, now, out),
            State::Over => {}
        }
    }

    fn tick_children(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.feed_lvsd(child::Event::Tick, now, out);
        self.feed_guardian(child::Event::Tick, now, out);
    }

    fn raise(&mut self, now: Instant, out: &mut Vec<Action>) {
        out.push(Action::Look(Reach::All));
        self.state = State::Active { looked: now, look_at: now + LOOK_EVERY };
    }

    fn stop_lvsd(&mut self, now: Instant, out: &mut Vec<Action>) {
        // TERM for its time, KILL for as long again.
        self.state = State::StoppingLvsd { until: now + lvsd_rules().stop_within * 2 };
        self.stop_due = true;
        self.stop_lvsd_when_it_listens(now, out);
        if self.lvsd.is_over() {
            self.finish(out);
        }
    }

    fn stop_lvsd_when_it_listens(&mut self, now: Instant, out: &mut Vec<Action>) {
        let coming = self.lvsd.is_spawning() || self.lvsd.pid().is_some();
        if self.lvsd_listens || !coming {
            self.stop_due = false;
            self.feed_lvsd(child::Event::Stop, now, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Action>) {
        out.push(Action::Run(Command::Inactive));
        out.push(Action::Exit { stopped: true });
        self.state = State::Over;
    }

    fn hangup_lvsd(&mut self, out: &mut Vec<Action>) {
        self.hangup_due = false;
        out.extend(self.lvsd.pid().map(Action::HangupLvsd));
    }

    fn feed_lvsd(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.lvsd.handle(event, now, &mut actions);
        for action in actions {
            match action {
                child::Action::Spawn => out.push(Action::SpawnLvsd),
                child::Action::Terminate(pid) => out.push(Action::TerminateLvsd(pid)),
                child::Action::Kill(pid) => out.push(Action::KillLvsd(pid)),
                child::Action::Release(pid) => out.push(Action::ReleaseLvsd(pid)),
                child::Action::Report(report) => say(&report, What::Lvsd, out),
            }
        }
    }

    fn feed_guardian(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        if let Some(guardian) = &mut self.guardian {
            guardian.handle(event, now, &mut actions);
        }
        for action in actions {
            match action {
                child::Action::Spawn => out.push(Action::SpawnGuardian),
                child::Action::Report(report) => say(&report, What::Guardian, out),
                // It is never stopped, replaced or found frozen by us.
                child::Action::Terminate(_) | child::Action::Kill(_) | child::Action::Release(_) => {}
            }
        }
    }
}

/// What is said about a child that pulse or its guardian keeps.
pub(crate) fn reported(report: &Report, what: What) -> Vec<Message> {
    match *report {
        Report::Died { pid, exit, again_in } => {
            let first = match what {
                What::Guardian => Message::GuardianGone(pid),
                What::Lvsd | What::Pulse => Message::ChildEnded { pid, exit },
            };
            let at_once = what == What::Guardian && again_in.is_zero();
            let second = (!at_once).then_some(Message::StartingAgain { what, again_in });
            [first].into_iter().chain(second).collect()
        }
        Report::Frozen { pid, silent } => vec![Message::Frozen { what, pid, silent }],
        Report::NotStarted { again_in } => vec![Message::NotStarted { what, again_in }],
        Report::Stubborn { pid } => vec![Message::Stubborn { what, pid }],
    }
}

fn say(report: &Report, what: What, out: &mut Vec<Action>) {
    out.extend(reported(report, what).into_iter().map(Action::Say));
}

#[cfg(test)]
mod tests;
