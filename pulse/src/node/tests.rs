#![allow(clippy::wildcard_enum_match_arm, clippy::format_push_string, clippy::unchecked_time_subtraction)]

use std::collections::VecDeque;

use common::child::Exit;
use proptest::prelude::*;

use super::*;
use crate::addresses::Reach;
use crate::heartbeat::{Claim, Datagram, Echo, Flags, Heartbeat, Service, StartId, State as Doing, Word};
use crate::identity::Role;

mod pair;
mod simulator;

/// As late as a loop must be to be told that it slept.
const LATE: Duration = Duration::from_secs(3600);

const MS: Duration = Duration::from_millis(1);

fn vip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

struct Life {
    node: Node,
    now: Instant,
}

impl Life {
    fn begin(start: Start) -> (Self, Vec<Action>) {
        let now = Instant::now();
        let mut out = Vec::new();
        let node = Node::start(start, now, &mut out);
        (Self { node, now }, out)
    }

    fn new() -> Self {
        let mut life = Self::begin(fresh()).0;
        life.after(MS, Event::Lvsd(child::Event::Spawned(10)));
        life.after(MS, Event::Lvsd(child::Event::Heard));
        life
    }

    fn after(&mut self, wait: Duration, event: Event) -> Vec<Action> {
        self.now += wait;
        let mut out = Vec::new();
        self.node.handle(event, self.now, &mut out);
        out
    }

    fn active() -> Self {
        let mut life = Self::new();
        life.after(MS, Event::Lvsd(child::Event::Ready));
        life.after(MS, looked(&[], &[9]));
        life
    }

    fn lowering() -> Self {
        let mut life = Self::active();
        life.after(MS, Event::Terminate(15));
        life
    }

    fn stopping() -> Self {
        let mut life = Self::lowering();
        life.after(MS, Event::Lowered(0));
        life
    }

    fn over() -> Self {
        let mut life = Self::stopping();
        life.after(MS, Event::Lvsd(child::Event::Gone(Exit::Status(0))));
        life
    }
}

fn fresh() -> Start {
    Start {
        role: Role::Master,
        carrying_on: false,
        left: 0,
        forced: false,
        guardian: Some(5),
        released: false,
        pair: None,
    }
}

fn looked(held: &[u8], raised: &[u8]) -> Event {
    let ips = |last: &[u8]| last.iter().map(|last| vip(*last)).collect();
    Event::Looked { held: ips(held), raised: ips(raised), more: false }
}

fn died(signal: i32) -> Event {
    Event::Lvsd(child::Event::Gone(Exit::Signal(signal)))
}

/// An action's name, and of a line its text.
fn short(action: &Action) -> String {
    match action {
        Action::Say(message) => format!("\"{message}\""),
        other => format!("{other:?}"),
    }
}

fn all_events() -> Vec<Event> {
    vec![
        Event::Lvsd(child::Event::Ready),
        died(9),
        Event::Withdrawn([vip(9)].into()),
        Event::Withdrawn(BTreeSet::new()),
        Event::Guardian(child::Event::Gone(Exit::Unknown)),
        Event::AddressesChanged,
        Event::CarrierBack(vec![vip(9)]),
        looked(&[9], &[]),
        Event::Lingers,
        Event::Lowered(0),
        Event::Lowered(2),
        Event::Reread(None),
        Event::Hangup,
        Event::Terminate(15),
        Event::OtherSignal(10),
        Event::Release,
        Event::Tick,
        Event::Slept(LATE),
    ]
}

/// Every state and event: what the state becomes, and what is done. A change of
/// behaviour is a change of this table.
#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let makers: [fn() -> Life; 5] = [Life::new, Life::active, Life::lowering, Life::stopping, Life::over];
    let mut table = String::new();
    for event in all_events() {
        table.push_str(&format!("{event:?}\n"));
        for make in makers {
            let mut life = make();
            let before = name(life.node.state);
            let out = life.after(MS, event.clone());
            let done: Vec<String> = out.iter().map(short).collect();
            table.push_str(&format!("    {before} -> {}: {}\n", name(life.node.state), done.join(", ")));
        }
    }
    let expected = include_str!("table.txt");
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/node/table.txt"), &table).unwrap();
    } else {
        assert_eq!(table, expected);
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Standby => "Standby",
        State::Holding => "Holding",
        State::Starting { .. } => "Starting",
        State::Active { .. } => "Active",
        State::Lowering { then: Then::Standby, .. } => "Yielding",
        State::Lowering { then: Then::Stop { .. }, .. } => "Lowering",
        State::StoppingLvsd { .. } => "StoppingLvsd",
        State::Over => "Over",
    }
}

#[test]
fn a_single_director_starts_lvsd_at_once_and_says_so() {
    let (_, out) = Life::begin(fresh());
    let done: Vec<String> = out.iter().map(short).collect();
    assert_eq!(
        done,
        [
            "\"STARTING PULSE AS MASTER\"",
            "\"no partner configured: activating lvs\"",
            "Run(Active)",
            "TellAlive",
            "SpawnLvsd",
            "Lend(None)"
        ]
    );
}

#[test]
fn a_pulse_that_comes_back_does_not_run_active_cmd_again() {
    let (_, out) = Life::begin(Start { carrying_on: true, ..fresh() });
    assert!(!out.contains(&Action::Run(Command::Active)));
    assert!(out.contains(&Action::Say(Message::CarryingOn)));
}

#[test]
fn addresses_wait_for_lvsd_and_for_no_more_than_their_time() {
    let mut life = Life::new();
    assert_eq!(life.after(MS, Event::Lvsd(child::Event::Ready)), [Action::Look(Reach::All)]);
    assert!(life.after(Duration::ZERO, Event::Tick).contains(&Action::Synchronise(Some(SyncRole::Master))));

    let mut life = Life::new();
    let nearly = life.after(RAISE_WITHIN - MS * 10, Event::Tick);
    assert!(!nearly.contains(&Action::Look(Reach::All)));
    life.after(MS, Event::Lvsd(child::Event::Heard));
    let out = life.after(MS * 20, Event::Tick);
    assert!(out.starts_with(&[Action::Say(Message::LvsdNotReady(RAISE_WITHIN)), Action::Look(Reach::All)]), "{out:?}");
}

#[test]
fn what_is_raised_is_announced_five_times_and_the_end_is_said() {
    let mut life = Life::new();
    life.after(MS, Event::Lvsd(child::Event::Ready));
    let mut out = life.after(MS, looked(&[7], &[9]));
    assert_eq!(out, [Action::Announce(vec![vip(7), vip(9)])], "without waiting for anything else");
    let (mut announced, mut finished) = (Vec::new(), 0);
    for _ in 0..600 {
        out.extend(life.after(MS * 10, Event::Tick));
        for action in out.drain(..) {
            match action {
                Action::Announce(vips) => announced.extend(vips),
                Action::Say(Message::ArpsFinished) => finished += 1,
                Action::Look(_) => {}
                _ => {}
            }
        }
        life.after(Duration::ZERO, Event::Lvsd(child::Event::Heard));
    }
    assert_eq!((announced.len(), finished), (10, 1));
    // later looks that find everything in place announce nothing
    life.after(MS, looked(&[7, 9], &[]));
    let out = life.after(MS, Event::Tick);
    assert!(!out.iter().any(|action| matches!(action, Action::Announce(_))));
    // but an address that was put back is announced again
    assert!(life.after(MS, looked(&[7], &[9])).contains(&Action::Announce(vec![vip(9)])));
}

#[test]
fn a_carrier_that_comes_back_announces_what_is_held_and_nothing_else() {
    let mut life = Life::active();
    while life.node.announcements.deadline().is_some() {
        life.after(MS * 500, Event::Tick);
    }
    life.after(MS, Event::CarrierBack(vec![vip(9), vip(77)]));
    assert!(life.after(MS, Event::Tick).contains(&Action::Announce(vec![vip(9)])));
}

#[test]
fn what_nothing_serves_goes_and_comes_back_with_a_line_each_and_is_announced_anew() {
    let mut life = Life::active();
    life.after(MS * 500, Event::Tick);
    let lines = |out: &[Action]| out.iter().map(short).filter(|it| it.starts_with('"')).collect::<Vec<_>>();
    let out = life.after(MS, Event::Withdrawn([vip(9)].into()));
    assert_eq!(out[0], Action::Withhold([vip(9)].into()));
    assert_eq!(lines(&out), ["\"withdrawing virtual IP 10.0.0.9: lvsd says that no virtual service on it is up\""]);
    assert!(life.after(MS, Event::Tick).contains(&Action::Look(Reach::All)), "at once");
    life.after(MS, looked(&[], &[]));
    let asked = life.after(MS, Event::Wish { asker: 1, wish: crate::wish::Wish::Status });
    assert!(short(&asked[0]).contains("withdrawn: 10.0.0.9"), "{asked:?}");
    for _ in 0..100 {
        let out = life.after(MS * 10, Event::Tick);
        assert!(!out.iter().any(|it| matches!(it, Action::Announce(_) | Action::Say(_))), "{out:?}");
    }
    // The next lvsd is believed before it is ready, and the dead one until then.
    for event in [died(9), Event::Lvsd(child::Event::Spawned(11)), Event::Withdrawn([vip(9)].into())] {
        let out = life.after(MS, event);
        assert!(!out.iter().any(|it| matches!(it, Action::Withhold(_))), "{out:?}");
    }
    assert_eq!(life.after(MS, Event::Lvsd(child::Event::Ready)), []);

    let out = life.after(MS * 200, Event::Withdrawn(BTreeSet::new()));
    assert_eq!(lines(&out), ["\"raising virtual IP 10.0.0.9 again: lvsd says that it is served\""]);
    assert!(life.after(MS, Event::Tick).contains(&Action::Look(Reach::All)));
    assert!(life.after(MS, looked(&[], &[9])).contains(&Action::Announce(vec![vip(9)])));
}

#[test]
fn who_becomes_active_holds_nothing_that_its_lvsd_does_not_serve() {
    let mut life = Life::new();
    life.after(MS, Event::Withdrawn([vip(8), vip(9)].into()));
    let out = life.after(MS, Event::Lvsd(child::Event::Ready));
    let withheld = "not holding virtual IP 10.0.0.8 and 1 more: lvsd says that no virtual service on it is up";
    assert_eq!(short(&out[0]), format!("\"{withheld}\""));
    assert_eq!(out[1], Action::Look(Reach::All));
    // An lvsd that has no word for it.
    life.after(MS, died(9));
    life.after(MS, Event::Lvsd(child::Event::Spawned(11)));
    let out = life.after(MS, Event::Lvsd(child::Event::Ready));
    assert_eq!(out[0], Action::Withhold(BTreeSet::new()));
}

#[test]
fn a_death_of_lvsd_moves_no_address_and_another_is_started_at_once() {
    let mut life = Life::active();
    let out = life.after(MS, died(9));
    assert_eq!(
        out.iter().map(short).collect::<Vec<_>>(),
        [
            "\"Child process 10 terminated with signal 9\"",
            "\"starting lvsd again at once, everything stays as it is\"",
            "SpawnLvsd"
        ]
    );
}

#[test]
fn a_change_by_others_is_looked_at_soon_but_not_in_a_storm() {
    let mut life = Life::active();
    life.after(MS, Event::Tick);
    let mut looks = 0;
    for _ in 0..1000 {
        life.after(Duration::ZERO, Event::AddressesChanged);
        let out = life.after(MS, Event::Tick);
        looks += out.iter().filter(|action| **action == Action::Look(Reach::All)).count();
        life.after(Duration::ZERO, Event::Lvsd(child::Event::Heard));
    }
    assert!((8..=11).contains(&looks), "{looks} looks in a second");
}

#[test]
fn a_reload_removes_first_then_tells_lvsd_and_adds_a_moment_later() {
    let mut life = Life::active();
    assert_eq!(life.after(MS, Event::Hangup), [Action::Reread]);
    assert_eq!(life.after(MS, Event::Reread(None)), [Action::Look(Reach::Removals), Action::HangupLvsd(10)]);
    let soon = life.after(RELOAD_GRACE - MS, Event::Tick);
    assert!(!soon.contains(&Action::Look(Reach::All)));
    assert!(life.after(MS, Event::Tick).contains(&Action::Look(Reach::All)));
}

#[test]
fn a_reload_never_signals_an_lvsd_that_is_not_there_or_does_not_listen_yet() {
    let mut life = Life::active();
    life.after(MS, died(9));
    assert_eq!(life.after(MS, Event::Reread(None)), [Action::Look(Reach::Removals)]);
    life.after(MS, Event::Lvsd(child::Event::Spawned(11)));
    let out = life.after(MS, Event::Lvsd(child::Event::Heard));
    assert!(out.contains(&Action::HangupLvsd(11)), "but passes it on as soon as there is one: {out:?}");
}

#[test]
fn a_stop_waits_for_a_fresh_lvsd_to_listen_so_that_it_cleans_up_instead_of_dying() {
    let mut life = Life::active();
    life.after(MS, died(9));
    life.after(MS, Event::Lvsd(child::Event::Spawned(11)));
    life.after(MS, Event::Terminate(15));
    assert_eq!(life.after(MS, Event::Lowered(0)), []);
    assert_eq!(life.after(MS, Event::Lvsd(child::Event::Heard)), [Action::TerminateLvsd(11)]);
}

#[test]
fn a_stop_does_not_wait_for_an_lvsd_that_cannot_be_started() {
    let mut life = Life::active();
    life.after(MS, Event::Lvsd(child::Event::Gone(Exit::Status(78))));
    life.after(MS, Event::Terminate(15));
    let out = life.after(MS, Event::Lowered(0));
    assert_eq!(out, [Action::Run(Command::Inactive), Action::Synchronise(None), Action::Exit { stopped: true }]);
}

#[test]
fn a_stop_lowers_the_addresses_then_ends_lvsd_then_runs_inactive_cmd() {
    let mut life = Life::active();
    let out = life.after(MS, Event::Terminate(15));
    assert_eq!(out, [Action::Say(Message::Terminating(15)), Action::TellLeaving, Action::Lower]);
    assert_eq!(life.after(MS, Event::Lowered(0)), [Action::TerminateLvsd(10)]);
    let out = life.after(MS, Event::Lvsd(child::Event::Gone(Exit::Status(0))));
    assert_eq!(out, [Action::Run(Command::Inactive), Action::Synchronise(None), Action::Exit { stopped: true }]);
    assert_eq!(life.node.deadline(), None);
}

#[test]
fn addresses_that_cannot_be_removed_are_tried_again_and_then_named() {
    let mut life = Life::lowering();
    assert_eq!(life.after(MS, Event::Lowered(2)), []);
    assert!(life.after(LOWER_AGAIN, Event::Tick).contains(&Action::Lower));
    let out = life.after(LOWER_WITHIN, Event::Lowered(1));
    assert_eq!(out, [Action::Say(Message::LeftBehind(1)), Action::TerminateLvsd(10)]);
}

#[test]
fn a_stop_ends_even_if_lvsd_does_not() {
    let mut life = Life::stopping();
    let (mut killed, mut ended) = (false, false);
    for _ in 0..500 {
        for action in life.after(MS * 100, Event::Tick) {
            killed |= action == Action::KillLvsd(10);
            ended |= action == Action::Exit { stopped: true };
        }
    }
    assert!(killed && ended);
}

#[test]
fn the_guardian_is_replaced_while_we_run_and_not_while_we_stop() {
    let gone = || Event::Guardian(child::Event::Gone(Exit::Unknown));
    let out = Life::active().after(MS, gone());
    assert_eq!(out, [Action::Say(Message::GuardianGone(5)), Action::SpawnGuardian]);
    assert_eq!(Life::lowering().after(MS, gone()), []);
    assert_eq!(Life::stopping().after(MS, gone()), []);
}

#[test]
fn silence_heard_by_a_pulse_that_slept_kills_nobody() {
    let mut life = Life::active();
    life.now += Duration::from_secs(3600);
    assert_eq!(life.after(MS, Event::Slept(LATE)), []);
    let out = life.after(MS, Event::Tick);
    assert!(!out.contains(&Action::KillLvsd(10)), "{out:?}");
}

#[test]
fn a_release_leaves_everything() {
    let out = Life::active().after(MS, Event::Release);
    assert_eq!(out, [Action::Say(Message::Released), Action::Exit { stopped: false }]);
}

// properties: a world that answers, with lvsd, guardian and kernel as bad as they may be

#[derive(Clone, Debug)]
enum World {
    LvsdSays(child::Event),
    LvsdDies,
    GuardianDies,
    Changed,
    CarrierBack,
    Hangup,
    Other,
    Slept,
    Withdrawn(BTreeSet<IpAddr>),
}

fn any_world() -> impl Strategy<Value = World> {
    prop_oneof![
        2 => Just(World::LvsdSays(child::Event::Ready)),
        4 => Just(World::LvsdSays(child::Event::Heard)),
        1 => Just(World::LvsdSays(child::Event::Replace)),
        2 => Just(World::LvsdDies),
        1 => Just(World::GuardianDies),
        2 => Just(World::Changed),
        1 => Just(World::CarrierBack),
        1 => Just(World::Hangup),
        1 => Just(World::Other),
        1 => Just(World::Slept),
        2 => prop::collection::btree_set((8u8..10).prop_map(vip), 0..3).prop_map(World::Withdrawn),
    ]
}

/// Plays the hands: answers every action, notes what was done in order.
struct Play {
    life: Life,
    /// lvsd's process, and whether it was told to end.
    lvsd: Option<u32>,
    pids: u32,
    /// What lvsd does with TERM, and what the kernel does with removals.
    stubborn: bool,
    stuck: bool,
    /// lvsd never speaks.
    mute: bool,
    done: Vec<Action>,
    ready: bool,
    raised_early: bool,
    started: Instant,
    withheld: BTreeSet<IpAddr>,
}

impl Play {
    fn new(stubborn: bool, stuck: bool) -> Self {
        let (life, actions) = Life::begin(fresh());
        let started = life.now;
        let mut play = Self {
            life,
            lvsd: None,
            pids: 100,
            stubborn,
            stuck,
            mute: false,
            done: Vec::new(),
            ready: false,
            raised_early: false,
            started,
            withheld: BTreeSet::new(),
        };
        play.perform(actions);
        play
    }

    fn event(&mut self, event: Event) {
        self.ready |= event == Event::Lvsd(child::Event::Ready);
        let out = self.life.after(Duration::ZERO, event);
        self.perform(out);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let mut queue: VecDeque<Action> = actions.into();
        while let Some(action) = queue.pop_front() {
            self.done.push(action.clone());
            let answer = match action {
                Action::SpawnLvsd => {
                    assert_eq!(self.lvsd, None, "a second lvsd");
                    self.pids += 1;
                    self.lvsd = Some(self.pids);
                    Some(Event::Lvsd(child::Event::Spawned(self.pids)))
                }
                Action::TerminateLvsd(_) if !self.stubborn => self.lvsd_gone(Exit::Status(0)),
                Action::ReleaseLvsd(_) => self.lvsd_gone(Exit::Status(0)),
                Action::KillLvsd(_) => self.lvsd_gone(Exit::Signal(9)),
                Action::SpawnGuardian => Some(Event::Guardian(child::Event::Spawned(7))),
                Action::Look(Reach::All) => {
                    let waited = self.life.now - self.started >= RAISE_WITHIN;
                    self.raised_early |= !self.ready && !waited;
                    let held = |last: &u8| !self.withheld.contains(&vip(*last));
                    let [there, raised] = [9, 8].map(|last| [last].into_iter().filter(held).collect::<Vec<u8>>());
                    Some(looked(&there, &raised))
                }
                Action::Withhold(vips) => {
                    self.withheld = vips;
                    None
                }
                Action::Announce(vips) | Action::Probe(vips) => {
                    assert!(vips.iter().all(|vip| !self.withheld.contains(vip)), "{vips:?} is withdrawn");
                    None
                }
                Action::Lower => Some(Event::Lowered(usize::from(self.stuck))),
                Action::Reread => Some(Event::Reread(None)),
                Action::Linger => Some(Event::Lingers),
                Action::Say(_)
                | Action::TerminateLvsd(_)
                | Action::HangupLvsd(_)
                | Action::TellReady
                | Action::TellAlive
                | Action::TellLeaving
                | Action::Run(_)
                | Action::Look(Reach::Removals)
                | Action::SendHeartbeat(_)
                | Action::AskWitness
                | Action::Synchronise(_)
                | Action::Answer { .. }
                | Action::Remember { .. }
                | Action::Ask(_)
                | Action::Listen(_)
                | Action::Accuse(_)
                | Action::Lend(_)
                | Action::Cease
                | Action::Exit { .. } => None,
            };
            if let Some(event) = answer {
                let mut out = Vec::new();
                self.life.node.handle(event, self.life.now, &mut out);
                queue.extend(out);
            }
        }
    }

    fn lvsd_gone(&mut self, exit: Exit) -> Option<Event> {
        self.lvsd.take().map(|_| Event::Lvsd(child::Event::Gone(exit)))
    }

    fn happens(&mut self, world: World) {
        match world {
            World::LvsdSays(event) if self.lvsd.is_some() => self.event(Event::Lvsd(event)),
            World::LvsdDies => {
                if let Some(event) = self.lvsd_gone(Exit::Signal(11)) {
                    self.event(event);
                }
            }
            World::Withdrawn(vips) if self.lvsd.is_some() => self.event(Event::Withdrawn(vips)),
            World::LvsdSays(_) | World::Withdrawn(_) => {}
            World::GuardianDies => self.event(Event::Guardian(child::Event::Gone(Exit::Unknown))),
            World::Changed => self.event(Event::AddressesChanged),
            World::CarrierBack => self.event(Event::CarrierBack(vec![vip(9)])),
            World::Hangup => self.event(Event::Hangup),
            World::Other => self.event(Event::OtherSignal(12)),
            World::Slept => self.event(Event::Slept(LATE)),
        }
    }

    fn tick(&mut self, wait: Duration) {
        self.life.now += wait;
        if self.lvsd.is_some() && !self.mute {
            self.event(Event::Lvsd(child::Event::Heard));
        }
        self.event(Event::Tick);
    }

    fn position(&self, wanted: &Action) -> Option<usize> {
        self.done.iter().position(|action| action == wanted)
    }
}

proptest! {
    #[test]
    fn addresses_are_never_raised_before_lvsd_is_ready_or_its_time_is_over(
        steps in prop::collection::vec((0_u64..1500, any_world()), 0..60),
    ) {
        let mut play = Play::new(false, false);
        for (wait, world) in steps {
            play.tick(Duration::from_millis(wait));
            play.happens(world);
            prop_assert!(!play.raised_early);
            prop_assert!(!play.done.contains(&Action::Lower), "nothing but a stop lowers addresses");
            let deadline = play.life.node.deadline();
            prop_assert!(deadline.is_some_and(|at| at <= play.life.now + LOOK_EVERY), "the beat is never lost");
        }
    }

    /// Whatever happened before and whatever happens meanwhile, a stop ends, in
    /// order, and leaves nothing.
    #[test]
    fn a_stop_always_ends_in_order(
        before in prop::collection::vec((0_u64..1500, any_world()), 0..30),
        during in prop::collection::vec((0_u64..1500, any_world()), 0..30),
        stubborn in any::<bool>(),
        stuck in any::<bool>(),
        mute in any::<bool>(),
    ) {
        let mut play = Play::new(stubborn, stuck);
        play.mute = mute;
        for (wait, world) in before {
            play.tick(Duration::from_millis(wait));
            play.happens(world);
        }
        play.done.clear();
        let asked = play.life.now;
        play.event(Event::Terminate(15));
        for (wait, world) in during {
            play.tick(Duration::from_millis(wait));
            play.happens(world);
        }
        let exit = Action::Exit { stopped: true };
        while play.position(&exit).is_none() {
            play.tick(Duration::from_millis(100));
            prop_assert!(play.life.now - asked < Duration::from_secs(90), "it never ends");
        }
        prop_assert_eq!(play.done.iter().filter(|action| **action == exit).count(), 1);
        let end = play.position(&exit).unwrap_or(0);
        let lower = play.position(&Action::Lower).unwrap_or(usize::MAX);
        let inactive = play.position(&Action::Run(Command::Inactive)).unwrap_or(usize::MAX);
        prop_assert!(lower < inactive && inactive < end);
        for (at, action) in play.done.iter().enumerate() {
            match action {
                Action::TerminateLvsd(_) => prop_assert!(lower < at, "lvsd ended before the addresses"),
                Action::Look(_) | Action::Announce(_) | Action::SpawnGuardian => {
                    prop_assert!(false, "{:?} during a stop", action);
                }
                _ => {}
            }
        }
        if !mute {
            prop_assert_eq!(play.lvsd, None, "lvsd is gone");
        }
    }
}
