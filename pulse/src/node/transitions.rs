//! PURE. What the node does in each state: every (state, event), and the few
//! decisions behind them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::child::{self, Rules};
use common::ipvs::SyncRole;

use super::{
    Action, Command, LOOK_EVERY, LOOK_GAP, LOWER_AGAIN, LOWER_WITHIN, Node, RAISE_WITHIN, RELOAD_GRACE, State, Then,
};
use crate::addresses::Reach;
use crate::election::{self, Deactivation};
use crate::linger;
use crate::messages::Message;
use crate::withdrawal;

impl Node {
    pub(super) fn on_lvsd(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let ready = event == child::Event::Ready;
        self.has_rules |= ready;
        let came = matches!(event, child::Event::Spawned(_) | child::Event::Adopted(_));
        match event {
            child::Event::Spawned(_) | child::Event::Adopted(_) | child::Event::Gone(_) => {
                self.on_withdrawal(withdrawal::Event::Came, now, out);
            }
            child::Event::Ready => self.on_withdrawal(withdrawal::Event::Ready, now, out),
            child::Event::SpawnFailed
            | child::Event::Heard
            | child::Event::Stop
            | child::Event::Replace
            | child::Event::Tick
            | child::Event::Slept => {}
        }
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
        self.stop_lvsd_if_due(now, out);
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

    pub(super) fn on_guardian(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
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

    pub(super) fn on_addresses_changed(&mut self, now: Instant) {
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

    pub(super) fn on_carrier_back(&mut self, vips: &[IpAddr], now: Instant) {
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

    pub(super) fn on_looked(
        &mut self,
        held: &[IpAddr],
        raised: &[IpAddr],
        more: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
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
                // Clients still send to who had them before.
                self.announce(now, out);
                if !raised.is_empty() {
                    self.beat_for_loan(now, out);
                }
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

    pub(super) fn on_lowered(&mut self, left: usize, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Lowering { then: Then::Standby, .. } if left == 0 => {
                self.state = State::Standby;
                self.linger_from(now);
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
                self.linger_from(now);
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

    pub(super) fn on_hangup(&mut self, out: &mut Vec<Action>) {
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
    pub(super) fn on_reread(&mut self, settings: Option<Box<election::Settings>>, now: Instant, out: &mut Vec<Action>) {
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
            self.vips.agree(settings.keepalive, settings.deadtime);
            self.feed_pair(election::Event::Reloaded(settings), now, out);
        }
    }

    pub(super) fn on_terminate(&mut self, signal: i32, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => {
                out.push(Action::Say(Message::Terminating(signal)));
                out.push(Action::TellLeaving);
                self.linger(true, out);
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

    pub(super) fn on_release(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby
            | State::Starting { .. }
            | State::Active { .. }
            | State::Holding
            | State::Lowering { then: Then::Standby, .. } => {
                out.push(Action::Say(Message::Released));
                self.cease(out);
                self.feed_pair(election::Event::Asked(election::Request::Detach), now, out);
                out.push(Action::Exit { stopped: false });
                self.announcements.clear();
                self.state = State::Over;
            }
            // A stop that was asked for is carried out.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    pub(super) fn on_tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.state != State::Over && now >= self.alive_at {
            self.alive_at = now + Rules::default().beat;
            out.push(Action::TellAlive);
        }
        // The partner counts the time since the last beat; all else can wait for it.
        self.feed_pair(election::Event::Tick, now, out);
        self.judge_unready(now, out);
        self.sum_up(now, out);
        self.turn_of_linger(now, out);
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
                self.announce(now, out);
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
    pub(super) fn on_slept(&mut self, lasted: Duration, now: Instant, out: &mut Vec<Action>) {
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
        self.judge_lvsd(child::Event::Slept, now, out);
        self.feed_pair(election::Event::Slept { lasted }, now, out);
    }

    pub(super) fn become_active(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby | State::Holding | State::Lowering { then: Then::Standby, .. } => {
                self.announced = false;
                self.cease(out);
                if self.has_rules {
                    // Clients wait for the addresses, and for nothing else.
                    self.raise(now, out);
                } else {
                    self.state = State::Starting { raise_at: now + RAISE_WITHIN };
                }
                self.run(Command::Active, out);
            }
            State::Active { .. } => self.announce_again(now),
            // Announced when they are raised.
            State::Starting { .. } => {}
            // Told to stop.
            State::Lowering { then: Then::Stop { .. }, .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    /// It is decided that the partner serves.
    pub(super) fn give_way(&mut self, why: Deactivation, now: Instant, out: &mut Vec<Action>) {
        match self.state {
            State::Standby | State::Starting { .. } | State::Active { .. } | State::Holding => {
                self.announcements.clear();
                self.linger(linger::is_in_order(why), out);
                out.push(Action::Lower);
                self.state = State::Lowering { again_at: now + LOWER_AGAIN, then: Then::Standby };
            }
            // Being done.
            State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    /// It is not known any more who serves.
    pub(super) fn hold(&mut self) {
        match self.state {
            State::Starting { .. } | State::Active { .. } => {
                self.announcements.clear();
                self.state = State::Holding;
            }
            State::Standby | State::Holding | State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => {}
        }
    }

    pub(super) fn synchronise(&mut self, role: SyncRole, now: Instant, out: &mut Vec<Action>) {
        self.sync = Some((role, now + LOOK_EVERY));
        out.push(Action::Synchronise(Some(role)));
    }

    fn announce(&mut self, now: Instant, out: &mut Vec<Action>) {
        let (vips, finished) = self.announcements.turn(now);
        if !vips.is_empty() {
            out.push(Action::Announce(vips));
        }
        if finished {
            out.push(Action::Say(Message::ArpsFinished));
        }
    }

    pub(super) fn announce_again(&mut self, now: Instant) {
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
        let withdrawn: Vec<IpAddr> = self.vips.withdrawal.list().iter().copied().collect();
        out.extend((!withdrawn.is_empty()).then_some(Action::Say(Message::Withheld(withdrawn))));
        out.push(Action::Look(Reach::All));
        self.state = State::Active { looked: now, look_at: now + LOOK_EVERY };
        // In this turn, when they are announced.
        self.sync = Some((SyncRole::Master, now));
    }

    pub(super) fn finish_if_over(&mut self, out: &mut Vec<Action>) {
        if self.lvsd.is_over() && self.has_left() && self.lingers.is_none() {
            self.finish(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Action>) {
        self.cease(out);
        self.run(Command::Inactive, out);
        self.sync = None;
        out.push(Action::Synchronise(None));
        out.push(Action::Exit { stopped: true });
        self.state = State::Over;
    }
}
