//! The node in a pair: what follows from what the election decides.

use super::*;
use crate::arp;
use crate::claimants::Report;
use crate::election::{Activation, Path, Request, Settings};
use crate::linger::LINGER;
use crate::messages::Message;
use crate::replay::Counters;
use crate::wish::Wish;
use crate::witness::{Plan, Questions};

const KEEPALIVE: Duration = Duration::from_secs(2);
const DEADTIME: Duration = Duration::from_secs(5);

fn settings(role: election::Role) -> Settings {
    Settings {
        role,
        service: Service::Lvs,
        keepalive: KEEPALIVE,
        deadtime: DEADTIME,
        paths: vec![Path { name: "Primary".to_owned(), serves: true }],
        witness: None,
        look_every: KEEPALIVE,
        auto_failback: None,
        steady: DEADTIME,
        fingerprint: 0,
    }
}

fn paired(role: Role) -> Start {
    let seat = if role == Role::Master { election::Role::Master } else { election::Role::Backup };
    Start { role, pair: Some(Part { settings: settings(seat), id: StartId::new(7) }), ..fresh() }
}

/// A director with a partner whose heartbeats the test makes up.
struct Pair {
    life: Life,
    sent: Option<Heartbeat>,
    sequence: u64,
}

impl Pair {
    fn begin(start: Start) -> Self {
        let (life, out) = Life::begin(start);
        let mut pair = Self { life, sent: None, sequence: 0 };
        pair.note(&out);
        pair
    }

    /// Its lvsd runs and is ready.
    fn new(role: Role) -> Self {
        Self::of(paired(role))
    }

    fn of(start: Start) -> Self {
        let mut pair = Self::begin(start);
        pair.after(MS, Event::Lvsd(child::Event::Spawned(10)));
        pair.after(MS, Event::Lvsd(child::Event::Heard));
        pair.after(MS, Event::Lvsd(child::Event::Ready));
        pair
    }

    fn standby() -> Self {
        let mut pair = Self::new(Role::Backup);
        pair.hear(Doing::Active);
        assert_eq!(pair.life.node.state, State::Standby);
        pair
    }

    fn starting() -> Self {
        let mut pair = Self::begin(Start { forced: true, ..paired(Role::Backup) });
        pair.after(MS, Event::Lvsd(child::Event::Spawned(10)));
        pair.after(MS, Event::Lvsd(child::Event::Heard));
        pair
    }

    fn active() -> Self {
        let mut pair = Self::of(Start { forced: true, ..paired(Role::Backup) });
        pair.hear(Doing::Standby);
        pair.after(MS, looked(&[], &[9]));
        assert_eq!(name(pair.life.node.state), "Active");
        pair
    }

    fn holding() -> Self {
        let pair = Self::of(Start { carrying_on: true, ..paired(Role::Backup) });
        assert_eq!(pair.life.node.state, State::Holding);
        pair
    }

    fn yielding() -> Self {
        let mut pair = Self::active();
        pair.hear(Doing::Active);
        assert_eq!(name(pair.life.node.state), "Yielding");
        pair
    }

    fn lowering() -> Self {
        let mut pair = Self::active();
        pair.after(MS, Event::Terminate(15));
        pair
    }

    fn stopping() -> Self {
        let mut pair = Self::lowering();
        pair.after(MS, Event::Lowered(0));
        pair
    }

    /// Standby by hand, and late packets are served.
    fn lingering() -> Self {
        let mut pair = Self::active();
        pair.after(MS, Event::Pair(Box::new(election::Event::Asked(Request::Relocate))));
        pair.hear(Doing::Standby);
        pair.after(MS, Event::Lingers);
        pair.after(MS, Event::Lowered(0));
        assert_eq!(called(&pair.life.node), "Standby, lingering");
        pair
    }

    /// The same, while it is being stopped.
    fn lingering_at_last() -> Self {
        let mut pair = Self::lowering();
        pair.after(MS, Event::Lingers);
        pair.after(MS, Event::Lowered(0));
        assert_eq!(called(&pair.life.node), "StoppingLvsd, lingering");
        pair
    }

    fn note(&mut self, out: &[Action]) {
        let mut sent = out.iter().filter_map(|action| match action {
            Action::SendHeartbeat(beat) => Some(**beat),
            _ => None,
        });
        self.sent = sent.next_back().or(self.sent);
    }

    fn after(&mut self, wait: Duration, event: Event) -> Vec<Action> {
        let out = self.life.after(wait, event);
        self.note(&out);
        out
    }

    /// The partner's next heartbeat, which answers our last one.
    fn partner(&mut self, state: Doing, flags: Flags) -> Event {
        self.sequence += 1;
        let word = match state {
            Doing::Active => Word::Lvs(Claim::Running),
            Doing::Standby | Doing::Unfit => Word::Lvs(Claim::Stopped),
            Doing::Listening | Doing::Lowering => Word::Hold,
        };
        let beat = Heartbeat {
            word,
            state,
            start: StartId::new(1000),
            sequence: self.sequence,
            heard: self.sent.map(|sent| Echo { start: sent.start, sequence: sent.sequence }),
            also_heard: None,
            fingerprint: 0,
            interval: KEEPALIVE,
            flags,
            reason: None,
            path: 0,
        };
        Event::Pair(Box::new(election::Event::Datagram { path: 0, datagram: Datagram::Ours(beat) }))
    }

    fn hear(&mut self, state: Doing) -> Vec<Action> {
        let is_backup = self.life.node.pair.is_some();
        let event = self.partner(state, Flags { master: is_backup, ..Flags::default() });
        self.after(MS, event)
    }

    /// Ticks as the loop would, and lvsd says that it is alive; everything done.
    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let (end, mut all) = (self.life.now + time, Vec::new());
        while let Some(deadline) = self.life.node.deadline().filter(|deadline| *deadline <= end) {
            self.life.now = deadline.max(self.life.now);
            all.extend(self.after(Duration::ZERO, Event::Lvsd(child::Event::Heard)));
            all.extend(self.after(Duration::ZERO, Event::Tick));
        }
        self.life.now = end;
        all
    }
}

/// As [`super::short`], and of a heartbeat what it says.
fn told(actions: &[Action]) -> Vec<String> {
    let short = |action: &Action| match action {
        Action::SendHeartbeat(beat) => {
            let word = if beat.flags.leaving { "leaving" } else { "" };
            format!("<{:?}{word}>", beat.state)
        }
        other => short(other),
    };
    actions.iter().map(short).collect()
}

/// The state, and whether late packets are served.
fn called(node: &Node) -> String {
    let lingers = if node.lingers.is_some() { ", lingering" } else { "" };
    format!("{}{lingers}", name(node.state))
}

/// The same as `table.txt` for a director of a pair.
#[test]
fn every_event_in_every_state_of_a_pair_does_what_the_table_says() {
    let makers: [fn() -> Pair; 9] = [
        Pair::standby,
        Pair::lingering,
        Pair::starting,
        Pair::active,
        Pair::holding,
        Pair::yielding,
        Pair::lowering,
        Pair::stopping,
        Pair::lingering_at_last,
    ];
    let asked = |request| Event::Pair(Box::new(election::Event::Asked(request)));
    let mut events: Vec<(String, Option<Event>)> =
        all_events().into_iter().map(|event| (format!("{event:?}"), Some(event))).collect();
    events.extend([Request::Relocate, Request::Release].map(|it| (format!("{it:?}"), Some(asked(it)))));
    // heartbeats must echo what was said last, and so are made in the state
    events.extend(["partner active", "partner standby", "partner leaves"].map(|it| (it.to_owned(), None)));
    let mut table = String::new();
    for (what, event) in events {
        table.push_str(&format!("{what}\n"));
        for make in makers {
            let mut pair = make();
            let before = called(&pair.life.node);
            let event = event.clone().unwrap_or_else(|| match what.as_str() {
                "partner active" => pair.partner(Doing::Active, Flags { master: true, ..Flags::default() }),
                "partner standby" => pair.partner(Doing::Standby, Flags { master: true, ..Flags::default() }),
                _ => pair.partner(Doing::Standby, Flags { master: true, leaving: true, ..Flags::default() }),
            });
            let out = pair.after(MS, event);
            let after = called(&pair.life.node);
            table.push_str(&format!("    {before} -> {after}: {}\n", told(&out).join(", ")));
        }
    }
    let expected = include_str!("pair.txt");
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/node/tests/pair.txt"), &table).unwrap();
    } else {
        assert_eq!(table, expected);
    }
}

#[test]
fn a_standby_director_keeps_lvsd_and_holds_nothing() {
    let mut pair = Pair::begin(paired(Role::Backup));
    assert!(pair.after(MS, Event::Lvsd(child::Event::Spawned(10))).contains(&Action::TellReady));
    pair.after(MS, Event::Lvsd(child::Event::Ready));
    let mut all = Vec::new();
    for _ in 0..30 {
        all.extend(pair.wait(KEEPALIVE / 2));
        all.extend(pair.hear(Doing::Active));
    }
    let deeds: Vec<_> = told(&all)
        .into_iter()
        .filter(|it| !it.starts_with('<') && it != "TellAlive" && it != "Synchronise(Some(Backup))")
        .collect();
    assert_eq!(deeds, Vec::<String>::new());
}

#[test]
fn a_takeover_raises_in_the_same_turn_because_the_rules_are_there() {
    let mut pair = Pair::standby();
    let out = pair.wait(DEADTIME + MS);
    let line = Action::Say(Message::Pair(election::Line::Activating {
        role: election::Role::Backup,
        service: Service::Lvs,
        why: Activation::PartnerDead { silent: DEADTIME },
    }));
    let at = out.iter().position(|action| *action == line).unwrap();
    assert_eq!(told(&out[at + 1..at + 5]), ["<Active>", "Lend(None)", "Look(All)", "Run(Active)"]);
    // The loop decides on what a look came to before it does the next.
    assert_eq!(pair.after(Duration::ZERO, looked(&[], &[9])), [Action::Announce(vec![vip(9)])]);
}

#[test]
fn a_takeover_waits_for_an_lvsd_that_never_was_ready_and_not_for_one_that_died() {
    let mut pair = Pair::begin(paired(Role::Backup));
    pair.after(MS, Event::Lvsd(child::Event::Spawned(10)));
    let out = pair.wait(DEADTIME * 2);
    assert!(out.contains(&Action::Run(Command::Active)) && !out.contains(&Action::Look(Reach::All)));
    let out = pair.after(MS, Event::Lvsd(child::Event::Ready));
    assert!(out.contains(&Action::Look(Reach::All)), "{out:?}");

    let mut pair = Pair::standby();
    pair.after(MS, died(9));
    let out = pair.wait(DEADTIME + MS);
    assert!(out.contains(&Action::Look(Reach::All)), "its rules stay: {out:?}");
}

#[test]
fn whoever_yields_says_so_when_the_addresses_are_gone_and_keeps_lvsd() {
    let mut pair = Pair::active();
    let out = pair.hear(Doing::Active);
    let line = "\"partner active: deactivating LVS\"";
    assert_eq!(told(&out), ["<Active>", line, "Linger", "Lower"], "once more, so that the MASTER announces after us");
    assert_eq!(told(&pair.after(MS, Event::Lowered(1))), Vec::<String>::new());
    let out = pair.wait(LOWER_AGAIN * 2);
    assert!(out.contains(&Action::Lower), "tried until it is done");
    let out = pair.after(MS, Event::Lowered(0));
    assert_eq!(told(&out), ["<Standby>", "Synchronise(Some(Backup))", "Run(Inactive)"]);
    assert_eq!(pair.life.node.lvsd(), Some(10));
}

#[test]
fn addresses_that_a_stop_could_not_remove_go_before_the_first_heartbeat() {
    let (mut life, out) = Life::begin(Start { left: 2, ..paired(Role::Master) });
    let lower = out.iter().position(|action| *action == Action::Lower).unwrap();
    let beat = out.iter().position(|action| matches!(action, Action::SendHeartbeat(_)));
    assert!(beat.is_none_or(|beat| lower < beat), "{out:?}");
    assert!(out.contains(&Action::Say(Message::LeftOver(2))));
    assert!(!life.after(MS, Event::Lowered(1)).contains(&Action::Lower));
    assert!(life.after(LOWER_AGAIN, Event::Tick).contains(&Action::Lower), "tried until it is done");
    life.after(MS, Event::Lowered(0));
    assert_eq!(life.node.state, State::Standby);

    let mut pair = Pair::of(Start { left: 2, ..paired(Role::Master) });
    let out = pair.wait(DEADTIME * 2);
    assert!(out.contains(&Action::Look(Reach::All)), "nobody else serves: {out:?}");

    let (_, out) = Life::begin(Start { left: 2, ..fresh() });
    assert!(!out.contains(&Action::Lower), "a single director goes on with them");
}

#[test]
fn a_stop_tells_the_partner_as_soon_as_the_addresses_are_gone_and_not_before() {
    let mut pair = Pair::active();
    let out = pair.after(MS, Event::Terminate(15));
    assert!(!told(&out).iter().any(|it| it.contains("leaving")), "{out:?}");
    let out = pair.after(MS, Event::Lowered(0));
    assert_eq!(told(&out), ["<Standbyleaving>"], "the partner takes over before there is anything else to do");
    let out = pair.wait(DEADTIME);
    assert_eq!(out.iter().filter(|action| matches!(action, Action::SendHeartbeat(_))).count(), 4);
    assert!(out.contains(&Action::TerminateLvsd(10)), "{out:?}");
    let out = pair.after(MS, Event::Lvsd(child::Event::Gone(Exit::Status(0))));
    assert_eq!(told(&out[out.len() - 3..]), ["Run(Inactive)", "Synchronise(None)", "Exit { stopped: true }"]);
}

#[test]
fn a_stop_goes_on_as_soon_as_the_partner_is_seen_to_serve() {
    let mut pair = Pair::active();
    pair.after(MS, Event::Terminate(15));
    pair.after(MS, Event::Lowered(0));
    let out = pair.hear(Doing::Active);
    assert!(out.contains(&Action::TerminateLvsd(10)), "{out:?}");
}

/// Everything done up to the moment when late packets are served no more, and what is
/// done then.
fn lingers(pair: &mut Pair) -> (Vec<Action>, Vec<Action>) {
    let before = pair.wait(LINGER - MS * 2);
    assert!(pair.life.node.lingers.is_some());
    let after = pair.wait(MS * 3);
    assert!(pair.life.node.lingers.is_none());
    (before, after)
}

#[test]
fn a_stop_serves_late_packets_for_a_moment_and_lvsd_ends_after_it() {
    let mut pair = Pair::active();
    let out = pair.after(MS, Event::Terminate(15));
    assert_eq!(told(&out)[1..4], ["TellLeaving", "Linger", "Lower"], "before the addresses go");
    assert_eq!(pair.after(Duration::ZERO, Event::Lingers), []);
    // However long that takes, its time begins when they are gone.
    pair.after(LINGER / 2, Event::Lowered(1));
    let out = pair.after(LINGER / 4, Event::Lowered(0));
    assert_eq!(told(&out), ["<Standbyleaving>"], "the partner does not wait for it");
    pair.hear(Doing::Active);
    let (before, after) = lingers(&mut pair);
    assert!(!before.contains(&Action::TerminateLvsd(10)) && !before.contains(&Action::Cease), "{before:?}");
    let at = after.iter().position(|action| *action == Action::Cease).unwrap();
    assert_eq!(after[at + 1], Action::TerminateLvsd(10));
}

#[test]
fn a_stop_serves_late_packets_even_if_lvsd_is_gone_and_cannot_come_back() {
    let mut pair = Pair::active();
    pair.after(MS, Event::Lvsd(child::Event::Gone(Exit::Status(78))));
    pair.after(MS, Event::Terminate(15));
    pair.after(MS, Event::Lingers);
    pair.after(MS, Event::Lowered(0));
    pair.hear(Doing::Active);
    let (before, after) = lingers(&mut pair);
    assert!(!before.iter().any(|action| matches!(action, Action::Exit { .. })), "{before:?}");
    let done = told(&after);
    assert!(done.ends_with(&["Exit { stopped: true }".to_owned()]) && done.contains(&"Cease".to_owned()), "{done:?}");
}

#[test]
fn whoever_hands_over_serves_late_packets_unless_it_becomes_active_again() {
    let mut pair = Pair::lingering();
    let (before, after) = lingers(&mut pair);
    assert!(!before.contains(&Action::Cease) && after.contains(&Action::Cease));
    assert!(!pair.wait(LINGER * 2).contains(&Action::Cease), "once");

    let mut pair = Pair::lingering();
    let leaves = pair.partner(Doing::Standby, Flags { master: true, leaving: true, ..Flags::default() });
    let out = pair.after(MS, leaves);
    let of = |wanted: &Action| out.iter().position(|action| action == wanted).unwrap();
    assert!(of(&Action::Cease) < of(&Action::Look(Reach::All)), "{out:?}");
    assert!(!pair.wait(LINGER * 2).contains(&Action::Cease));
}

#[test]
fn late_packets_are_for_the_partner_where_there_is_one_and_we_could_not_have_gone_on() {
    let lowered = |mut pair: Pair, event: Event| -> Vec<Action> {
        let mut out = pair.after(MS, event);
        out.extend(pair.hear(Doing::Standby));
        assert!(out.contains(&Action::Lower), "{out:?}");
        out
    };
    let failing = |what| Event::Pair(Box::new(election::Event::Failing(what)));
    let link_down = Event::Pair(Box::new(election::Event::Link { path: 0, is_up: false }));
    for event in [failing(election::Watched::Lvsd), failing(election::Watched::Check), link_down] {
        let out = lowered(Pair::active(), event.clone());
        assert!(!out.contains(&Action::Linger), "{event:?}");
    }
    for make in [Pair::holding, Pair::starting, Pair::standby] {
        assert!(!lowered(make(), Event::Terminate(15)).contains(&Action::Linger));
    }
    assert!(lowered(Pair::active(), Event::Terminate(15)).contains(&Action::Linger));
    // The partner is gone, or there never was one.
    let mut alone = Pair::active();
    let leaves = alone.partner(Doing::Standby, Flags { master: true, leaving: true, ..Flags::default() });
    alone.after(MS, leaves);
    assert!(!alone.after(MS, Event::Terminate(15)).contains(&Action::Linger));
    assert!(!Life::active().after(MS, Event::Terminate(15)).contains(&Action::Linger));
}

#[test]
fn the_stop_of_a_standby_runs_no_inactive_cmd() {
    let mut pair = Pair::standby();
    pair.after(MS, Event::Terminate(15));
    pair.after(MS, Event::Lowered(0));
    let mut out = pair.wait(DEADTIME);
    out.extend(pair.after(MS, Event::Lvsd(child::Event::Gone(Exit::Status(0)))));
    assert!(out.contains(&Action::Exit { stopped: true }) && !out.contains(&Action::Run(Command::Inactive)));
}

#[test]
fn a_pulse_that_comes_back_touches_and_announces_nothing_until_it_knows_who_serves() {
    let mut pair = Pair::holding();
    let out = pair.wait(DEADTIME - MS * 100);
    let quiet = |action: &Action| matches!(action, Action::SendHeartbeat(_) | Action::TellAlive | Action::Lend(_));
    assert!(out.iter().all(quiet), "{out:?}");
    let out = pair.hear(Doing::Standby);
    assert!(out.contains(&Action::Look(Reach::All)) && !out.contains(&Action::Run(Command::Active)), "{out:?}");

    let mut pair = Pair::holding();
    let out = pair.hear(Doing::Active);
    assert!(out.contains(&Action::Lower), "{out:?}");
    assert!(pair.after(MS, Event::Lowered(0)).contains(&Action::Run(Command::Inactive)));
}

#[test]
fn a_director_that_slept_announces_nothing_until_it_knows_who_serves() {
    let mut pair = Pair::active();
    pair.life.now += DEADTIME * 10;
    pair.after(Duration::ZERO, Event::Slept(DEADTIME * 10));
    assert_eq!(pair.life.node.state, State::Holding);
    let out = pair.after(Duration::ZERO, Event::Tick);
    assert!(!out.iter().any(|action| matches!(action, Action::Announce(_) | Action::Look(_))), "{out:?}");
    let out = pair.hear(Doing::Standby);
    assert!(out.contains(&Action::Look(Reach::All)) && !out.contains(&Action::Run(Command::Active)));
    assert_eq!(pair.after(Duration::ZERO, looked(&[9], &[])), [Action::Announce(vec![vip(9)])], "all of them anew");
}

#[test]
fn a_release_tells_the_partner_to_wait_and_leaves_everything() {
    let out = Pair::active().after(MS, Event::Release);
    let leaving = "\"leaving everything as it is to another pulse\"";
    assert_eq!(told(&out), [leaving, "<Listening>", "Exit { stopped: false }"]);
}

#[test]
fn a_reload_of_a_standby_reaches_lvsd_and_the_election_and_no_address() {
    let mut pair = Pair::standby();
    assert_eq!(pair.after(MS, Event::Hangup), [Action::Reread]);
    let faster = Settings { keepalive: KEEPALIVE / 4, ..settings(election::Role::Backup) };
    let out = pair.after(MS, Event::Reread(Some(Box::new(faster))));
    assert_eq!(told(&out), ["HangupLvsd(10)", "<Standby>"]);
    let beats = pair.wait(KEEPALIVE).iter().filter(|action| matches!(action, Action::SendHeartbeat(_))).count();
    assert_eq!(beats, 4);
}

#[test]
fn a_flood_is_summed_up_and_a_partner_that_was_started_again_is_none() {
    let mut pair = Pair::standby();
    let stranger = Counters { stranger: 1, ..Counters::default() };
    let mut said = Vec::new();
    for _ in 0..1300 {
        for _ in 0..100 {
            assert_eq!(pair.after(Duration::ZERO, Event::Unheard(Box::new(stranger))), []);
        }
        said.extend(told(&pair.wait(Duration::from_secs(1))).into_iter().filter(|it| it.contains("dropped")));
        pair.hear(Doing::Active);
    }
    assert_eq!(said.len(), 3, "after 10 s, and then every 10 minutes: {said:?}");
    assert!(said[1].contains(" from strangers"), "{said:?}");
    let unproved = Counters { unproved: 9, replayed: 9, downgraded: 9, ..Counters::default() };
    let mut pair = Pair::standby();
    pair.after(Duration::ZERO, Event::Unheard(Box::new(unproved)));
    assert!(!told(&pair.wait(DEADTIME * 4)).iter().any(|it| it.contains("dropped")));
}

#[test]
fn the_sync_daemon_follows_the_role_and_is_left_alone_while_that_is_not_known() {
    let of = |out: &[Action]| {
        let halves = out.iter().filter_map(|action| match action {
            Action::Synchronise(half) => Some(*half),
            _ => None,
        });
        halves.collect::<Vec<_>>()
    };
    let (backup, master) = (Some(SyncRole::Backup), Some(SyncRole::Master));
    let mut pair = Pair::standby();
    assert_eq!(of(&pair.wait(LOOK_EVERY)), [backup], "looked at again and again");
    let out = pair.wait(DEADTIME);
    assert_eq!(of(&out).last(), Some(&master));
    let looked_at = out.iter().position(|action| *action == Action::Look(Reach::All)).unwrap();
    let synchronised = out.iter().position(|action| *action == Action::Synchronise(master)).unwrap();
    assert!(looked_at < synchronised, "the clients come first");
    pair.hear(Doing::Active);
    assert_eq!(of(&pair.after(MS, Event::Lowered(0))), [backup]);
    assert_eq!(of(&Pair::holding().wait(DEADTIME - MS * 100)), []);
}

fn answer(out: &[Action]) -> (bool, String) {
    let mut answers = out.iter().filter_map(|action| match action {
        Action::Answer { asker: 77, answer } => Some((answer.is_done, answer.text.clone())),
        _ => None,
    });
    answers.next_back().unwrap()
}

#[test]
fn every_wish_is_answered_in_every_state() {
    let makers: [fn() -> Pair; 7] =
        [Pair::standby, Pair::starting, Pair::active, Pair::holding, Pair::yielding, Pair::lowering, Pair::stopping];
    for make in makers {
        for wish in [Wish::Relocate, Wish::StandBy, Wish::Restore, Wish::Status] {
            let mut pair = make();
            let out = pair.after(MS, Event::Wish { asker: 77, wish });
            let (is_done, text) = answer(&out);
            let stopping = pair.life.node.is_stopping();
            assert!(wish == Wish::Status || !stopping || (!is_done && text == "it is being stopped"), "{wish} {text}");
            assert!(wish != Wish::Status || text.contains("\nstate: ") && text.contains("\nlvsd: "), "{text}");
        }
    }
    let mut alone = Life::active();
    let out = alone.after(MS, Event::Wish { asker: 77, wish: Wish::Relocate });
    assert_eq!(answer(&out), (false, "there is no other director: backup_active is 0".to_owned()));
    let out = alone.after(MS, Event::Wish { asker: 77, wish: Wish::Status });
    assert_eq!(answer(&out), (true, "state: active\nlvsd: ready, process 10".to_owned()));
}

#[test]
fn a_wish_to_move_is_refused_while_nobody_can_take_over() {
    let mut pair = Pair::active();
    let out = pair.after(MS, Event::Wish { asker: 77, wish: Wish::Relocate });
    assert_eq!(answer(&out), (true, "the roles change".to_owned()));
    assert!(pair.hear(Doing::Standby).contains(&Action::Lower));
    let mut pair = Pair::active();
    pair.wait(DEADTIME * 2);
    let out = pair.after(MS, Event::Wish { asker: 77, wish: Wish::Relocate });
    assert_eq!(answer(&out), (false, "not relocating: the partner cannot take over".to_owned()));
    let out = pair.after(MS, Event::Wish { asker: 77, wish: Wish::StandBy });
    assert!(out.contains(&Action::Remember { is_released: true }));
    let staying = "released by hand, but the partner cannot take over: staying active";
    assert_eq!(answer(&out), (false, staying.to_owned()));
}

#[test]
fn a_pulse_that_follows_a_released_one_is_released() {
    let mut pair = Pair::of(Start { released: true, ..paired(Role::Backup) });
    let out = pair.wait(DEADTIME * 2);
    assert!(!out.contains(&Action::Look(Reach::All)), "{out:?}");
    let out = pair.after(MS, Event::Wish { asker: 77, wish: Wish::Restore });
    assert!(out.contains(&Action::Look(Reach::All)) && out.contains(&Action::Remember { is_released: false }));
}

#[test]
fn an_lvsd_that_keeps_dying_hands_over_and_one_that_died_does_not() {
    let mut pair = Pair::active();
    let mut out = Vec::new();
    for death in 1..=children::DEATHS_MAX {
        out = pair.after(MS, died(9));
        let moved = out.contains(&Action::Lower) || pair.hear(Doing::Standby).contains(&Action::Lower);
        assert_eq!(moved, death == children::DEATHS_MAX, "{death}: {out:?}");
        while pair.life.node.lvsd().is_none() && !moved {
            pair.wait(MS * 100);
            if pair.life.node.lvsd.is_spawning() {
                pair.after(MS, Event::Lvsd(child::Event::Spawned(10 + death)));
            }
        }
    }
    assert!(told(&out).iter().any(|it| it == "<Active>"), "the partner hears of it at once: {out:?}");
    pair.after(MS, Event::Lowered(0));
    assert_eq!(pair.sent.unwrap().state, Doing::Unfit);
    // well again, but not at once
    while !pair.life.node.lvsd.is_spawning() {
        pair.wait(MS * 100);
        pair.hear(Doing::Active);
    }
    pair.after(MS, Event::Lvsd(child::Event::Spawned(99)));
    pair.after(MS, Event::Lvsd(child::Event::Ready));
    pair.hear(Doing::Active);
    assert_eq!(pair.sent.unwrap().state, Doing::Unfit);
    pair.wait(KEEPALIVE);
    pair.hear(Doing::Active);
    pair.wait(KEEPALIVE * 2);
    assert_eq!(pair.sent.unwrap().state, Doing::Standby);
}

fn lent(out: &[Action]) -> Vec<Option<u32>> {
    let valid = |action: &Action| match action {
        Action::Lend(valid) => Some(*valid),
        _ => None,
    };
    out.iter().filter_map(valid).collect()
}

#[test]
fn addresses_are_on_loan_while_a_partner_would_take_over_and_renewed_with_the_beats() {
    let mut pair = Pair::active();
    let mut renewals = Vec::new();
    for _ in 0..5 {
        let out = pair.wait(KEEPALIVE);
        let beats = out.iter().filter(|action| matches!(action, Action::SendHeartbeat(_))).count();
        renewals.extend(lent(&out));
        assert_eq!((beats, lent(&out).len()), (1, 1), "{out:?}");
        pair.hear(Doing::Standby);
    }
    assert_eq!(renewals, [Some(4); 5]);
    // dead: nobody takes over, and a dead pulse should cost nothing
    let out = pair.wait(DEADTIME * 3);
    assert_eq!(lent(&out).last(), Some(&None), "{out:?}");
    assert_eq!(lent(&pair.wait(DEADTIME * 3)), []);
    // and there again
    pair.wait(KEEPALIVE / 2);
    pair.hear(Doing::Standby);
    let out = pair.after(MS, Event::Tick);
    assert_eq!(lent(&out), [Some(4)]);
    assert!(is_followed_by_a_beat(&out), "or the partner would count from one long past: {out:?}");
    // somebody deleted it, and it was put back
    pair.wait(KEEPALIVE / 2);
    let out = pair.after(MS, looked(&[], &[9]));
    assert!(is_followed_by_a_beat(&out), "{out:?}");
    assert!(!is_followed_by_a_beat(&pair.after(MS, looked(&[9], &[]))));
}

fn is_followed_by_a_beat(out: &[Action]) -> bool {
    matches!(out, [.., Action::SendHeartbeat(_)])
}

#[test]
fn a_takeover_is_on_loan_from_the_first_moment_and_a_standby_lends_nothing() {
    let mut pair = Pair::standby();
    assert_eq!(lent(&pair.wait(KEEPALIVE)), []);
    let out = pair.hear(Doing::Unfit);
    let at = |wanted: &Action| out.iter().position(|action| action == wanted).unwrap();
    assert!(at(&Action::Lend(Some(4))) < at(&Action::Look(Reach::All)), "{out:?}");
    // and the next time, too
    let mut pair = Pair::yielding();
    pair.after(MS, Event::Lowered(0));
    pair.after(MS, Event::Tick);
    let out = pair.hear(Doing::Unfit);
    assert_eq!(lent(&out), [Some(4)], "{out:?}");
}

/// Of before the reload they would outlive the partner's new patience.
#[test]
fn a_reload_with_another_deadtime_lends_anew() {
    let mut pair = Pair::active();
    assert_eq!(lent(&pair.wait(KEEPALIVE)), [Some(4)]);
    for (deadtime, valid) in [(DEADTIME * 4, 17), (KEEPALIVE * 2, 3)] {
        let settings = Settings { deadtime, ..settings(election::Role::Backup) };
        pair.after(MS, Event::Reread(Some(Box::new(settings))));
        assert_eq!(lent(&pair.after(MS, Event::Tick)), [Some(valid)], "{deadtime:?}");
        pair.hear(Doing::Standby);
    }
}

#[test]
fn a_pulse_that_comes_back_renews_what_is_there_while_it_listens() {
    let mut pair = Pair::begin(Start { carrying_on: true, ..paired(Role::Backup) });
    let out = pair.wait(KEEPALIVE * 2);
    assert!(lent(&out).len() >= 2 && lent(&out).iter().all(|valid| *valid == Some(4)), "{out:?}");
    pair.hear(Doing::Active);
    assert_eq!(lent(&pair.wait(KEEPALIVE * 2)), [], "on their way down");
}

const FOREIGN: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

fn claimed(last: u8, by_partner: bool) -> Event {
    Event::Claimed { claim: arp::Claim { address: vip(last), mac: FOREIGN, is_announced: true }, by_partner }
}

#[test]
fn who_claims_a_virtual_ip_is_named_and_the_address_announced_again() {
    let claim = claimed(9, false);
    let mut pair = Pair::active();
    pair.wait(MS * 4500);
    pair.after(MS, claim.clone());
    let out = pair.after(Duration::ZERO, Event::Tick);
    let report = Report { mac: FOREIGN, vip: vip(9), others: 0, again: false };
    assert!(out.contains(&Action::Accuse(report)) && out.contains(&Action::Announce(vec![vip(9)])), "{out:?}");
    pair.after(MS, claimed(8, false));
    let out = pair.after(Duration::ZERO, Event::Tick);
    assert!(!out.iter().any(|action| matches!(action, Action::Accuse(_))), "we do not hold that one: {out:?}");
    // whoever has them while we do not has every right to
    for mut pair in [Pair::standby(), Pair::holding(), Pair::yielding()] {
        pair.after(MS, claim.clone());
        let out = pair.after(Duration::ZERO, Event::Tick);
        assert!(!out.iter().any(|action| matches!(action, Action::Accuse(_) | Action::Announce(_))), "{out:?}");
    }
}

/// Active, and the partner has fallen silent.
fn alone() -> Pair {
    let mut pair = Pair::active();
    pair.wait(DEADTIME * 2);
    pair
}

#[test]
fn a_partner_that_is_not_heard_and_announces_gets_the_virtual_ips_by_rank() {
    let announces = |pair: &mut Pair| {
        pair.after(Duration::ZERO, claimed(9, true));
        pair.wait(KEEPALIVE / 2);
        pair.after(Duration::ZERO, claimed(9, true))
    };
    let mut pair = alone();
    assert_eq!(lent(&pair.wait(LOOK_EVERY)), [], "for ever: nobody would take over");
    assert!(announces(&mut pair).contains(&Action::Lower));
    pair.after(MS, Event::Lowered(0));
    // from then on it is asked for them
    while !pair.after(Duration::ZERO, Event::Tick).contains(&Action::AskWitness) {
        pair.life.now = pair.life.node.deadline().unwrap();
    }
    pair.after(Duration::ZERO, Event::Inquire(Box::default()));
    let out = pair.after(Duration::ZERO, Event::Tick);
    assert!(out.contains(&Action::Ask(Questions { witnesses: false, vips: true })), "{out:?}");
    pair.after(MS, claimed(9, true));
    let out = pair.after(MS, Event::Tick);
    assert!(out.contains(&Action::Say(Message::Pair(election::Line::VipHeld { mac: FOREIGN }))), "{out:?}");

    // somebody else's claims, and answers, move nothing
    let mut pair = alone();
    for _ in 0..4 {
        let claim = arp::Claim { address: vip(9), mac: FOREIGN, is_announced: false };
        pair.after(MS, Event::Claimed { claim, by_partner: true });
        pair.after(MS, claimed(9, false));
        assert!(!pair.wait(KEEPALIVE).contains(&Action::Lower));
    }
}

#[test]
fn an_advertisement_right_after_a_question_is_an_answer() {
    let six: IpAddr = "2001:db8::9".parse().unwrap();
    let mut pair = alone();
    pair.after(MS, Event::Looked { held: vec![six], raised: Vec::new(), more: false });
    let claim = arp::Claim { address: six, mac: FOREIGN, is_announced: true };
    for _ in 0..4 {
        // the partner is silent, so it is asked for as often as that may be
        while !pair.after(Duration::ZERO, Event::Tick).contains(&Action::Probe(vec![six])) {
            pair.life.now = pair.life.node.deadline().unwrap();
        }
        let out = pair.after(MS, Event::Claimed { claim, by_partner: true });
        assert!(!out.contains(&Action::Lower), "its kernel may be all that lives");
    }
    pair.after(MS * 600, Event::Claimed { claim, by_partner: true });
    let out = pair.after(KEEPALIVE / 2, Event::Claimed { claim, by_partner: true });
    assert!(out.contains(&Action::Lower), "{out:?}");
}

/// A standby whose partner fell silent, at the point where it asks.
fn asking(plan: &Plan) -> Pair {
    let wait = plan.wait().map(|wait| wait + DEADTIME);
    let part = Part { settings: Settings { witness: wait, ..settings(election::Role::Backup) }, id: StartId::new(7) };
    let mut pair = Pair::of(Start { pair: Some(part), ..paired(Role::Backup) });
    pair.hear(Doing::Active);
    while !pair.after(Duration::ZERO, Event::Tick).contains(&Action::AskWitness) {
        pair.life.now = pair.life.node.deadline().unwrap();
    }
    pair.after(Duration::ZERO, Event::Inquire(Box::new(plan.clone())));
    pair
}

#[test]
fn a_witness_decides_who_was_cut_off() {
    let witness = vip(254);
    let plan = Plan { witnesses: vec![witness], timeout: MS * 900, vip_probe: Duration::ZERO };
    let ask = Action::Ask(Questions { witnesses: true, vips: false });
    let listen = |vips, witnesses| Action::Listen(Listening { vips, witnesses });

    let mut pair = asking(&plan);
    let out = pair.after(Duration::ZERO, Event::Tick);
    assert_eq!(out, [listen(true, true), ask.clone()], "heard before it is asked");
    pair.after(MS, Event::Witness(witness));
    let out = pair.after(Duration::ZERO, Event::Tick);
    assert!(out.contains(&Action::Look(Reach::All)) && out.contains(&listen(true, false)), "{out:?}");

    let mut pair = asking(&plan);
    pair.after(MS, Event::Witness(vip(77)));
    let out = pair.wait(MS * 1000);
    assert_eq!(out.iter().filter(|action| **action == ask).count(), 3);
    let isolated = Action::Say(Message::Pair(election::Line::Isolated));
    assert!(out.contains(&isolated) && !out.contains(&Action::Look(Reach::All)), "{out:?}");
    assert!(out.contains(&listen(false, false)));

    // the partner is heard: nothing is to be asked any more
    let mut pair = asking(&plan);
    pair.after(MS, Event::Tick);
    pair.hear(Doing::Active);
    let out = pair.after(MS, Event::Tick);
    assert!(out.contains(&listen(false, false)), "{out:?}");
}

#[test]
fn somebody_who_has_a_virtual_ip_keeps_us_from_taking_it_if_we_are_to_look() {
    let plan = Plan { witnesses: Vec::new(), timeout: MS, vip_probe: MS * 300 };
    let mut pair = asking(&plan);
    assert!(pair.after(MS, Event::Tick).contains(&Action::Ask(Questions { witnesses: false, vips: true })));
    pair.after(MS, claimed(9, false));
    let out = pair.after(MS, Event::Tick);
    let held = Action::Say(Message::Pair(election::Line::VipHeld { mac: FOREIGN }));
    assert!(out.contains(&held) && !out.contains(&Action::Look(Reach::All)), "{out:?}");

    let mut pair = asking(&plan);
    let out = pair.wait(MS * 301);
    assert!(out.contains(&Action::Look(Reach::All)), "nobody has it: {out:?}");
}

#[test]
fn an_lvsd_that_is_alive_and_never_ready_hands_over_to_a_partner_that_can_serve() {
    let unready = Message::LvsdUnready(READY_WITHIN);
    // as the active one, which raised its addresses without it
    let mut pair = Pair::starting();
    let mut all = Vec::new();
    for _ in 0..30 {
        all.extend(pair.wait(KEEPALIVE));
        all.extend(pair.hear(Doing::Standby));
    }
    let said = |all: &[Action], message: &Message| all.contains(&Action::Say(message.clone()));
    assert!(said(&all, &unready) && told(&all).contains(&"\"lvsd cannot serve: deactivating LVS\"".to_owned()));
    let times = all.iter().filter(|action| **action == Action::Say(unready.clone())).count();
    assert_eq!(times, 1);

    // as the standby one
    let mut pair = Pair::begin(paired(Role::Backup));
    pair.after(MS, Event::Lvsd(child::Event::Spawned(10)));
    for _ in 0..20 {
        pair.hear(Doing::Active);
        pair.wait(KEEPALIVE);
    }
    assert_eq!(pair.sent.unwrap().state, Doing::Unfit);
    pair.after(MS, Event::Lvsd(child::Event::Ready));
    for _ in 0..10 {
        pair.hear(Doing::Active);
        pair.wait(KEEPALIVE);
    }
    assert_eq!(pair.sent.unwrap().state, Doing::Standby, "ready, and well for a while");

    // nobody else could serve
    let mut alone = Life::begin(fresh()).0;
    alone.after(MS, Event::Lvsd(child::Event::Spawned(10)));
    assert!(!said(&alone.after(READY_WITHIN * 2, Event::Tick), &unready));
}

#[test]
fn while_a_dead_partners_addresses_may_still_be_there_ours_are_announced_more_often() {
    let announced = |keepalive: Duration, deadtime: Duration| {
        let timers = Settings { keepalive, deadtime, look_every: keepalive, ..settings(election::Role::Backup) };
        let part = Part { settings: timers, id: StartId::new(7) };
        let mut pair = Pair::of(Start { pair: Some(part), ..paired(Role::Backup) });
        pair.hear(Doing::Active);
        while !pair.wait(MS).contains(&Action::Look(Reach::All)) {}
        let mut out = pair.after(MS, looked(&[], &[9]));
        out.extend(pair.wait(MS * 1900));
        out.iter().filter(|action| **action == Action::Announce(vec![vip(9)])).count()
    };
    assert_eq!(announced(MS * 500, DEADTIME), 2, "the kernel has removed them in time");
    // 0.6 s too long, and 1.4 s
    assert_eq!((announced(MS * 200, MS * 1000), announced(MS * 10, MS * 30)), (4, 7));
}
