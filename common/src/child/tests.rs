use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn rules() -> Rules {
    Rules::default()
}

struct Life {
    child: Child,
    now: Instant,
}

impl Life {
    fn new() -> Self {
        let now = Instant::now();
        Self { child: Child::new(rules(), 7, now), now }
    }

    fn after(&mut self, wait: Duration, event: Event) -> Vec<Action> {
        self.now += wait;
        let mut out = Vec::new();
        self.child.handle(event, self.now, &mut out);
        out
    }

    fn running(pid: u32) -> Self {
        let mut life = Self::new();
        assert_eq!(life.after(Duration::ZERO, Event::Tick), [Action::Spawn]);
        life.after(MS, Event::Spawned(pid));
        life.after(MS, Event::Ready);
        assert!(life.child.is_ready());
        life
    }
}

fn died_again_in(out: &[Action]) -> Duration {
    match out {
        [Action::Report(Report::Died { again_in, .. }), ..] => *again_in,
        other => panic!("no death reported: {other:?}"),
    }
}

#[test]
fn the_first_death_is_answered_at_once() {
    let mut life = Life::running(10);
    let out = life.after(MS, Event::Gone(Exit::Signal(9)));
    assert_eq!(died_again_in(&out), Duration::ZERO);
    assert_eq!(out.last(), Some(&Action::Spawn));
}

#[test]
fn deaths_in_a_row_wait_longer_and_longer_but_never_for_ever() {
    let mut life = Life::running(10);
    let mut last = Duration::ZERO;
    for n in 0..100_u32 {
        let out = life.after(MS, Event::Gone(Exit::Status(70)));
        let wait = died_again_in(&out);
        assert!(wait <= rules().backoff_max, "try {n} waits {wait:?}");
        assert!(wait >= last.mul_f64(0.74), "try {n} waits {wait:?} after {last:?}");
        last = wait;
        if !wait.is_zero() {
            assert_eq!(life.after(wait, Event::Tick), [Action::Spawn]);
        }
        life.after(MS, Event::Spawned(100 + n));
    }
    assert!(last >= rules().backoff_max.mul_f64(0.7));
}

#[test]
fn a_child_that_ran_well_starts_with_a_clean_sheet() {
    let mut life = Life::running(10);
    life.after(MS, Event::Gone(Exit::Signal(11)));
    life.after(MS, Event::Spawned(11));
    for _ in 0..40 {
        life.after(rules().beat, Event::Heard);
    }
    let out = life.after(MS, Event::Gone(Exit::Signal(11)));
    assert_eq!(died_again_in(&out), Duration::ZERO);
}

#[test]
fn what_a_start_cannot_mend_is_not_hammered() {
    let mut life = Life::running(10);
    let wait = died_again_in(&life.after(MS, Event::Gone(Exit::Status(78))));
    assert!(wait >= rules().backoff_max.mul_f64(0.7));
}

#[test]
fn a_frozen_child_is_killed_and_replaced() {
    let mut life = Life::running(10);
    let silent = rules().frozen_after;
    assert_eq!(life.after(silent, Event::Tick), [Action::Report(Report::Frozen { pid: 10, silent }), Action::Kill(10)]);
    assert_eq!(life.after(MS, Event::Gone(Exit::Signal(9))), [Action::Spawn]);
}

#[test]
fn silence_heard_by_a_parent_that_slept_is_no_evidence() {
    let mut life = Life::running(10);
    assert_eq!(life.after(rules().frozen_after * 5, Event::Slept), []);
    assert_eq!(life.after(MS, Event::Tick), []);
    assert!(life.child.is_ready());
}

#[test]
fn a_stop_is_term_then_kill_and_nothing_comes_back() {
    let mut life = Life::running(10);
    assert_eq!(life.after(MS, Event::Stop), [Action::Terminate(10)]);
    assert_eq!(
        life.after(rules().stop_within, Event::Tick),
        [Action::Report(Report::Stubborn { pid: 10 }), Action::Kill(10)]
    );
    assert_eq!(life.after(MS, Event::Gone(Exit::Signal(9))), []);
    assert!(life.child.is_over());
}

#[test]
fn a_stop_while_waiting_ends_it_without_a_start() {
    let mut life = Life::running(10);
    life.after(MS, Event::Gone(Exit::Status(78)));
    life.after(MS, Event::Stop);
    assert!(life.child.is_over());
    assert_eq!(life.after(rules().backoff_max * 2, Event::Tick), []);
}

#[test]
fn a_replacement_follows_without_counting_as_a_failure() {
    let mut life = Life::running(10);
    assert_eq!(life.after(MS, Event::Replace), [Action::Release(10)]);
    assert_eq!(life.after(MS, Event::Gone(Exit::Status(0))), [Action::Spawn]);
    assert_eq!(life.child.failures(), 0);
}

#[test]
fn an_adopted_child_runs_and_its_end_is_seen() {
    let mut life = Life::new();
    assert_eq!(life.after(MS, Event::Adopted(55)), []);
    assert_eq!(life.child.pid(), Some(55));
    let out = life.after(MS, Event::Gone(Exit::Unknown));
    assert_eq!(out.last(), Some(&Action::Spawn));
}

#[test]
fn many_that_fail_together_do_not_come_back_together() {
    let now = Instant::now();
    let mut waits: Vec<Duration> = (0..50)
        .map(|seed| {
            let mut child = Child::new(rules(), seed * 7919, now);
            let mut out = Vec::new();
            for pid in 0..5 {
                child.handle(Event::Spawned(pid), now, &mut out);
                out.clear();
                child.handle(Event::Gone(Exit::Status(1)), now, &mut out);
            }
            died_again_in(&out)
        })
        .collect();
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 40, "only {} different waits", waits.len());
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1_u32..9).prop_map(Event::Spawned),
        Just(Event::SpawnFailed),
        (1_u32..9).prop_map(Event::Adopted),
        Just(Event::Ready),
        Just(Event::Heard),
        prop_oneof![Just(Exit::Status(0)), Just(Exit::Status(78)), Just(Exit::Signal(9)), Just(Exit::Unknown)]
            .prop_map(Event::Gone),
        Just(Event::Replace),
        Just(Event::Tick),
        Just(Event::Slept),
    ]
}

proptest! {
    /// Whatever happens, short of a stop there is always a process, a start under
    /// way, or a deadline at which one follows.
    #[test]
    fn a_wanted_child_is_never_forgotten(events in prop::collection::vec((0_u64..40_000, any_event()), 0..60)) {
        let mut life = Life::new();
        for (wait, event) in events {
            life.after(Duration::from_millis(wait), event);
            let spawning = life.child.state == State::Spawning;
            prop_assert!(spawning || life.child.pid().is_some() || life.child.deadline().is_some());
            prop_assert!(!life.child.is_over());
            if let Some(deadline) = life.child.deadline() {
                prop_assert!(deadline <= life.now + rules().backoff_max.max(rules().frozen_after));
            }
        }
    }

    /// After a stop no start is ever asked for again.
    #[test]
    fn a_stopped_child_stays_away(
        before in prop::collection::vec(any_event(), 0..20),
        after in prop::collection::vec((0_u64..40_000, any_event()), 0..40),
    ) {
        let mut life = Life::new();
        for event in before {
            life.after(MS, event);
        }
        life.after(MS, Event::Stop);
        for (wait, event) in after {
            let out = life.after(Duration::from_millis(wait), event);
            prop_assert!(!out.contains(&Action::Spawn), "{:?} asked for a start", event);
        }
    }
}
