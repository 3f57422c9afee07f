use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    fall: 2,
    threshold: 3,
    weight: 5,
    failed: Failed::Removed,
    slow_start: Duration::from_secs(100),
    dampen: Duration::ZERO,
};
const EVENTS: [Event; 13] = [
    Event::Found(None),
    Event::Found(Some(0)),
    Event::Found(Some(7)),
    Event::Good,
    Event::Bad,
    Event::Tick,
    Event::Stay(true),
    Event::Stay(false),
    Event::Was(true),
    Event::Was(false),
    Event::OpaqueOn,
    Event::RoseOn,
    Event::GlassesOff,
];
const LAST_BAD: State = State::Up { bad: 1, ramp: None };

fn states(now: Instant) -> [State; 11] {
    let ramp = Ramp::begin(RULES.weight, RULES.slow_start, now);
    [
        State::New,
        State::Adopted { weight: 7, bad: 0 },
        State::Adopted { weight: 7, bad: 1 },
        State::Adopted { weight: 0, bad: 0 },
        State::Down { good: 0 },
        State::Down { good: 2 },
        FULL,
        LAST_BAD,
        State::Up { bad: 0, ramp },
        State::Opaque,
        State::Rose,
    ]
}

fn at(rules: Rules, state: State, stays: bool) -> Health {
    Health { rules, state, stays, flaps: Flaps::default() }
}

fn after(rules: Rules, state: State, stays: bool, event: Event, now: Instant) -> (State, Vec<Change>) {
    let mut health = at(rules, state, stays);
    let mut out = Vec::new();
    health.handle(event, now, &mut out);
    (health.state, out)
}

fn feed(health: &mut Health, events: &[Event]) -> Vec<Change> {
    let mut out = Vec::new();
    let now = Instant::now();
    for event in events {
        health.handle(*event, now, &mut out);
    }
    out
}

#[test]
fn every_pair_of_state_and_event_does_what_this_table_says() {
    use Change::{Admitted, ForcedOut, GlassesOff, Held, LeftOut, OpaqueOn, Removed, RoseOn};
    use State::{Adopted, Down, New, Opaque, Rose, Up};
    let now = Instant::now();
    let ramp = Ramp::begin(RULES.weight, RULES.slow_start, now);
    assert!(ramp.is_some());
    let opaque = |changes: &[Change]| (Opaque, changes.to_vec());
    let rose = |changes: &[Change]| (Rose, changes.to_vec());
    for state in states(now) {
        for event in EVENTS {
            for stays in [false, true] {
                let failed = if stays { Held } else { Removed };
                let expected = match (state, event, stays) {
                    (New, Event::Found(Some(weight)), _) => (Adopted { weight, bad: 0 }, vec![Change::Adopted(weight)]),
                    (New, Event::Good, _) => (FULL, vec![Admitted]),
                    (New, Event::Bad, false) => (FALLEN, vec![LeftOut]),
                    (New, Event::Bad, true) => (FALLEN, vec![Held]),
                    (New, Event::OpaqueOn, _) => opaque(&[OpaqueOn]),
                    (New, Event::RoseOn, _) => rose(&[RoseOn, Admitted]),

                    (Adopted { weight: 0, .. }, Event::Good, _) => (FULL, vec![Admitted]),
                    (Adopted { weight: 0, .. }, Event::OpaqueOn, _) => opaque(&[OpaqueOn]),
                    (Adopted { weight: 0, .. }, Event::RoseOn, _) => rose(&[RoseOn, Admitted]),
                    (Adopted { .. }, Event::Good, _) => (FULL, vec![]),
                    (Adopted { weight, bad: 0 }, Event::Bad, _) => (Adopted { weight, bad: 1 }, vec![]),
                    (Adopted { .. }, Event::Bad, _) => (FALLEN, vec![failed]),
                    (Adopted { .. }, Event::OpaqueOn, _) => opaque(&[OpaqueOn, ForcedOut]),
                    (Adopted { .. }, Event::RoseOn, _) => rose(&[RoseOn]),

                    (Down { good: 0 }, Event::Good, _) => (Down { good: 1 }, vec![]),
                    (Down { .. }, Event::Good, false) => (Up { bad: 0, ramp }, vec![Admitted]),
                    (Down { .. }, Event::Good, true) => (FULL, vec![Admitted]),
                    (Down { .. }, Event::Bad, _) => (FALLEN, vec![]),
                    (Down { .. }, Event::Stay(true), false) => (state, vec![Held]),
                    (Down { .. }, Event::Stay(false), true) => (state, vec![Removed]),
                    (Down { .. }, Event::OpaqueOn, false) => opaque(&[OpaqueOn]),
                    (Down { .. }, Event::OpaqueOn, true) => opaque(&[OpaqueOn, ForcedOut]),
                    (Down { .. }, Event::RoseOn, _) => rose(&[RoseOn, Admitted]),

                    (New | Adopted { .. } | Down { .. }, Event::Was(false), _) => (FALLEN, vec![]),
                    (Down { .. }, Event::Was(true), _) => (Adopted { weight: 0, bad: 0 }, vec![]),

                    (Up { ramp, .. }, Event::Good, _) => (Up { bad: 0, ramp }, vec![]),
                    (Up { bad: 0, ramp }, Event::Bad, _) => (Up { bad: 1, ramp }, vec![]),
                    (Up { .. }, Event::Bad, _) => (FALLEN, vec![failed]),
                    (Up { .. }, Event::OpaqueOn, _) => opaque(&[OpaqueOn, ForcedOut]),
                    (Up { .. }, Event::RoseOn, _) => rose(&[RoseOn]),

                    (Opaque, Event::RoseOn, _) => rose(&[RoseOn, Admitted]),
                    (Opaque, Event::GlassesOff, false) => (FALLEN, vec![GlassesOff]),
                    (Opaque, Event::GlassesOff, true) => (FALLEN, vec![GlassesOff, Held]),
                    (Rose, Event::OpaqueOn, _) => opaque(&[OpaqueOn, ForcedOut]),
                    (Rose, Event::GlassesOff, _) => (FULL, vec![GlassesOff]),

                    (state, _, _) => (state, vec![]),
                };
                assert_eq!(after(RULES, state, stays, event, now), expected, "{state:?}, {event:?}, stays: {stays}");
            }
        }
    }
}

/// Its nanny was replaced: by a drain that is over, or while it was down.
#[test]
fn a_successor_takes_a_drained_server_for_well_and_a_failed_one_for_failed() {
    for failed in [Failed::Removed, Failed::Quiesced, Failed::Inhibited] {
        let mut drained = Health::new(Rules { failed, ..RULES });
        feed(&mut drained, &[Event::Found(Some(0)), Event::Was(true), Event::Good]);
        assert_eq!(drained.verdict(), Some((true, 5)), "{failed:?}: at once, and with its whole weight");
        let mut down = Health::new(Rules { failed, ..RULES });
        feed(&mut down, &[Event::Found(None), Event::Was(false), Event::Good, Event::Good]);
        assert_eq!(down.verdict(), Some((false, 0)), "{failed:?}");
        assert_eq!(feed(&mut down, &[Event::Good]), [Change::Admitted]);
        assert_eq!(down.verdict(), Some((true, 1)), "{failed:?}: it comes back slowly");
    }
}

#[test]
fn a_healthy_server_is_admitted_by_its_first_check_but_returns_only_after_the_reentry_time() {
    let mut health = Health::new(Rules { fall: 1, ..RULES });
    assert_eq!(feed(&mut health, &[Event::Good]), [Change::Admitted]);
    assert_eq!(health.wanted(), Wanted::Weight(5));
    assert_eq!(feed(&mut health, &[Event::Bad]), [Change::Removed]);
    assert_eq!(health.wanted(), Wanted::Absent);
    assert_eq!(feed(&mut health, &[Event::Good, Event::Good]), []);
    assert_eq!(health.wanted(), Wanted::Absent);
    assert_eq!(feed(&mut health, &[Event::Good]), [Change::Admitted]);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(1), Some((true, 1))), "the first part of 5");
}

#[test]
fn the_weight_of_a_server_that_returned_grows_with_time_and_a_fall_begins_it_anew() {
    let mut now = Instant::now();
    let mut health = at(RULES, State::Down { good: 2 }, false);
    health.handle(Event::Good, now, &mut Vec::new());
    let mut weights = Vec::new();
    while let Some(next) = health.deadline() {
        weights.push(health.verdict().unwrap().1);
        now = next;
        health.handle(Event::Tick, now, &mut Vec::new());
    }
    weights.push(health.verdict().unwrap().1);
    assert_eq!(weights, [1, 2, 4, 5]);
    for event in [Event::Bad, Event::Bad, Event::Good, Event::Good, Event::Good] {
        health.handle(event, now, &mut Vec::new());
    }
    assert_eq!(health.wanted(), Wanted::Weight(1));
}

#[test]
fn a_server_that_falls_soon_after_its_return_needs_twice_as_many_good_checks() {
    let mut now = Instant::now();
    let dampen = Duration::from_secs(60);
    let mut health = Health::new(Rules { fall: 1, threshold: 2, dampen, ..RULES });
    let mut takes = |events: &[Event], waits: Duration| {
        let mut out = Vec::new();
        for event in events {
            health.handle(*event, now, &mut out);
        }
        let mut checks = 0;
        while health.verdict() == Some((false, 0)) {
            health.handle(Event::Good, now, &mut out);
            checks += 1;
        }
        now += waits;
        (checks, out.contains(&Change::Dampened(checks)))
    };
    let (soon, late) = (dampen / 2, dampen * 2);
    assert_eq!(takes(&[Event::Good, Event::Bad], soon), (2, false), "it never returned before");
    assert_eq!(takes(&[Event::Bad], soon), (4, true));
    assert_eq!(takes(&[Event::Bad], soon), (8, true));
    assert_eq!(takes(&[Event::Bad], soon), (16, true));
    assert_eq!(takes(&[Event::Bad], soon), (32, true));
    assert_eq!(takes(&[Event::Bad], late), (32, true), "sixteen times at most");
    assert_eq!(takes(&[Event::Bad], soon), (2, false), "it stood long enough");
}

#[test]
fn a_reentry_time_below_the_interval_is_the_first_good_check() {
    for threshold in [0, 1] {
        let rules = Rules { threshold, slow_start: Duration::ZERO, ..RULES };
        assert_eq!(after(rules, State::Down { good: 0 }, false, Event::Good, Instant::now()).0, FULL);
    }
}

#[test]
fn the_original_took_a_server_out_at_the_first_failed_check() {
    for fall in [0, 1] {
        let rules = Rules { fall, ..RULES };
        let (state, changes) = after(rules, FULL, false, Event::Bad, Instant::now());
        assert_eq!((state, changes), (FALLEN, vec![Change::Removed])); // piranha.md 4.4
    }
}

#[test]
fn what_is_found_in_the_kernel_stays_until_the_first_verdict() {
    let mut health = Health::new(RULES);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Untouched, None));
    feed(&mut health, &[Event::Found(Some(7))]);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(7), Some((true, 7))));
    feed(&mut health, &[Event::Bad]);
    assert_eq!((health.wanted(), health.is_doubtful()), (Wanted::Weight(7), true));
    feed(&mut health, &[Event::Good]);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(5), Some((true, 5))), "no ramp");
}

#[test]
fn a_quiesced_server_found_in_the_kernel_has_to_earn_its_return() {
    for (failed, wanted) in [(Failed::Quiesced, Wanted::Quiesced), (Failed::Inhibited, Wanted::Weight(0))] {
        let rules = Rules { failed, ..RULES };
        let (state, changes) = after(rules, State::New, false, Event::Found(Some(0)), Instant::now());
        assert_eq!((state, changes), (FALLEN, vec![Change::AdoptedQuiesced]));
        let health = at(rules, state, false);
        assert_eq!((health.wanted(), health.verdict()), (wanted, Some((false, 0))));
    }
}

#[test]
fn a_server_with_weight_0_is_drained_not_quiesced() {
    let rules = Rules { failed: Failed::Quiesced, weight: 0, ..RULES };
    let now = Instant::now();
    let (state, _) = after(rules, State::New, false, Event::Found(Some(0)), now);
    assert_eq!(state, State::Adopted { weight: 0, bad: 0 });
    assert_eq!(after(rules, state, false, Event::Good, now), (FULL, vec![]));
    assert_eq!(at(rules, FULL, false).wanted(), Wanted::Weight(0));
}

#[test]
fn one_of_the_last_stays_with_its_full_weight_and_returns_without_a_ramp() {
    let mut health = Health::new(Rules { failed: Failed::Quiesced, ..RULES });
    feed(&mut health, &[Event::Good, Event::Stay(true)]);
    assert_eq!(feed(&mut health, &[Event::Bad, Event::Bad]), [Change::Held]);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(5), Some((false, 5))));
    assert_eq!(feed(&mut health, &[Event::Good, Event::Good, Event::Good]), [Change::Admitted]);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(5), Some((true, 5))));
    assert_eq!(feed(&mut health, &[Event::Bad, Event::Bad, Event::Stay(false)]), [Change::Held, Change::Removed]);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Quiesced, Some((false, 0))));
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Good),
        4 => Just(Event::Bad),
        1 => Just(Event::Tick),
        1 => any::<bool>().prop_map(Event::Stay),
        1 => prop::option::of(0..9_u32).prop_map(Event::Found),
        1 => Just(Event::OpaqueOn),
        1 => Just(Event::RoseOn),
        1 => Just(Event::GlassesOff),
    ]
}

fn any_failed() -> impl Strategy<Value = Failed> {
    prop_oneof![Just(Failed::Removed), Just(Failed::Quiesced), Just(Failed::Inhibited)]
}

prop_compose! {
    fn any_rules()(
        fall in 0..4_u32, threshold in 0..5_u32, weight in 0..70_u32, failed in any_failed(),
        slow_start in 0..100_u64, dampen in 0..100_u64,
    ) -> Rules {
        let (slow_start, dampen) = (Duration::from_secs(slow_start), Duration::from_secs(dampen));
        Rules { fall, threshold, weight, failed, slow_start, dampen }
    }
}

proptest! {
    /// The one promise: what failed `fall` times in a row gets no new connections.
    #[test]
    fn the_table_never_holds_a_server_whose_last_checks_failed_unless_a_floor_or_the_operator_says_so(
        rules in any_rules(), events in prop::collection::vec((any_event(), 0..30_u64), 0..80),
    ) {
        let mut health = Health::new(rules);
        let mut now = Instant::now();
        let (mut bad, mut stays) = (0, false);
        for (event, seconds) in events {
            now += Duration::from_secs(seconds);
            let was_checking = health.is_checking();
            health.handle(event, now, &mut Vec::new());
            match event {
                Event::Bad if was_checking => bad += 1,
                Event::Good | Event::GlassesOff if was_checking => bad = 0,
                // Taken off, rose-colored glasses leave the server in.
                Event::GlassesOff => bad = 0,
                Event::Stay(word) => stays = word,
                Event::Found(_)
                | Event::Was(_)
                | Event::Good
                | Event::Bad
                | Event::Tick
                | Event::OpaqueOn
                | Event::RoseOn => {}
            }
            let holds = match health.wanted() {
                Wanted::Weight(weight) => weight > 0,
                Wanted::Untouched | Wanted::Quiesced | Wanted::Absent => false,
            };
            if holds && bad >= rules.fall.max(1) {
                prop_assert!(stays || health.state() == State::Rose, "{:?} after {bad} bad ones", health.state());
            }
        }
    }

    #[test]
    fn nobody_is_taken_out_without_failed_checks_or_an_order(
        rules in any_rules(), events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut health = Health::new(rules);
        let now = Instant::now();
        let mut bad = 0;
        for event in events {
            let before = health.verdict();
            let mut out = Vec::new();
            health.handle(event, now, &mut out);
            bad = if event == Event::Bad { bad + 1 } else if event == Event::Good { 0 } else { bad };
            let is = |verdict: Option<(bool, u32)>| verdict.is_some_and(|(available, _)| available);
            if is(before) && !is(health.verdict()) {
                prop_assert!(matches!(event, Event::Bad | Event::OpaqueOn), "{event:?}");
                prop_assert!(event == Event::OpaqueOn || bad >= rules.fall);
                prop_assert!(out.iter().any(|it| matches!(it, Change::Removed | Change::ForcedOut | Change::Held)));
            }
            if !is(before) && is(health.verdict()) {
                prop_assert!(matches!(event, Event::Good | Event::RoseOn | Event::Found(Some(_))), "{event:?}");
            }
        }
    }

    #[test]
    fn after_a_failure_it_takes_the_whole_reentry_time_of_good_checks(
        checks in prop::collection::vec(any::<bool>(), 0..60), threshold in 1..6_u32,
    ) {
        let rules = Rules { threshold, fall: 1, slow_start: Duration::ZERO, ..RULES };
        let mut health = Health::new(rules);
        feed(&mut health, &[Event::Bad]);
        let mut row = 0;
        let mut up = false;
        for good in checks {
            row = if good { row + 1 } else { 0 };
            up = good && (up || row >= threshold);
            feed(&mut health, &[if good { Event::Good } else { Event::Bad }]);
            prop_assert_eq!(health.verdict(), Some((up, if up { 5 } else { 0 })));
        }
    }

    #[test]
    fn with_glasses_on_checks_change_nothing(
        before in prop::collection::vec(any_event(), 0..20), checks in prop::collection::vec(any::<bool>(), 0..20), rose: bool,
    ) {
        let mut health = Health::new(RULES);
        feed(&mut health, &before);
        feed(&mut health, &[if rose { Event::RoseOn } else { Event::OpaqueOn }]);
        for good in checks {
            prop_assert_eq!(feed(&mut health, &[if good { Event::Good } else { Event::Bad }]), []);
            prop_assert!(!health.is_checking());
            prop_assert_eq!(health.verdict(), Some((rose, if rose { 5 } else { 0 })));
        }
    }
}
