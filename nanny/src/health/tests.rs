use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules { threshold: 3, weight: 5, quiesce: false };
const EVENTS: [Event; 8] = [
    Event::Found(None),
    Event::Found(Some(0)),
    Event::Found(Some(7)),
    Event::Good,
    Event::Bad,
    Event::OpaqueOn,
    Event::RoseOn,
    Event::GlassesOff,
];
const STATES: [State; 8] = [
    State::New,
    State::Adopted { weight: 7 },
    State::Adopted { weight: 0 },
    State::Down { good: 0 },
    State::Down { good: 2 },
    State::Up,
    State::Opaque,
    State::Rose,
];

fn after(rules: Rules, state: State, event: Event) -> (State, Vec<Change>) {
    let mut health = Health { rules, state };
    let mut out = Vec::new();
    health.handle(event, &mut out);
    (health.state, out)
}

#[test]
fn every_pair_of_state_and_event_does_what_this_table_says() {
    use Change::{Admitted, ForcedOut, GlassesOff, LeftOut, OpaqueOn, Removed, RoseOn};
    use State::{Adopted, Down, New, Opaque, Rose, Up};
    let down = Down { good: 0 };
    let opaque = |changes: &[Change]| (Opaque, changes.to_vec());
    let rose = |changes: &[Change]| (Rose, changes.to_vec());
    for state in STATES {
        for event in EVENTS {
            let expected = match (state, event) {
                (New, Event::Found(Some(weight))) => (Adopted { weight }, vec![Change::Adopted(weight)]),
                (New, Event::Good) => (Up, vec![Admitted]),
                (New, Event::Bad) => (down, vec![LeftOut]),
                (New, Event::OpaqueOn) => opaque(&[OpaqueOn]),
                (New, Event::RoseOn) => rose(&[RoseOn, Admitted]),

                (Adopted { weight: 0 }, Event::Good) => (Up, vec![Admitted]),
                (Adopted { weight: 0 }, Event::OpaqueOn) => opaque(&[OpaqueOn]),
                (Adopted { weight: 0 }, Event::RoseOn) => rose(&[RoseOn, Admitted]),
                (Adopted { .. }, Event::Good) => (Up, vec![]),
                (Adopted { .. }, Event::Bad) => (down, vec![Removed]),
                (Adopted { .. }, Event::OpaqueOn) => opaque(&[OpaqueOn, ForcedOut]),
                (Adopted { .. }, Event::RoseOn) => rose(&[RoseOn]),

                (Down { good: 0 }, Event::Good) => (Down { good: 1 }, vec![]),
                (Down { good: 2 }, Event::Good) => (Up, vec![Admitted]),
                (Down { .. }, Event::Bad) => (down, vec![]),
                (Down { .. }, Event::OpaqueOn) => opaque(&[OpaqueOn]),
                (Down { .. }, Event::RoseOn) => rose(&[RoseOn, Admitted]),

                (Up, Event::Bad) => (down, vec![Removed]),
                (Up, Event::OpaqueOn) => opaque(&[OpaqueOn, ForcedOut]),
                (Up, Event::RoseOn) => rose(&[RoseOn]),

                (Opaque, Event::RoseOn) => rose(&[RoseOn, Admitted]),
                (Opaque, Event::GlassesOff) => (down, vec![GlassesOff]),
                (Rose, Event::OpaqueOn) => opaque(&[OpaqueOn, ForcedOut]),
                (Rose, Event::GlassesOff) => (Up, vec![GlassesOff]),

                (state, _) => (state, vec![]),
            };
            assert_eq!(after(RULES, state, event), expected, "{state:?}, {event:?}");
        }
    }
}

#[test]
fn a_healthy_server_is_admitted_by_its_first_check_but_returns_only_after_the_reentry_time() {
    let mut health = Health::new(RULES);
    let mut out = Vec::new();
    health.handle(Event::Good, &mut out);
    assert_eq!(health.wanted(), Wanted::Weight(5));
    health.handle(Event::Bad, &mut out);
    assert_eq!(health.wanted(), Wanted::Absent);
    for _ in 0..2 {
        health.handle(Event::Good, &mut out);
        assert_eq!(health.wanted(), Wanted::Absent);
    }
    health.handle(Event::Good, &mut out);
    assert_eq!(health.wanted(), Wanted::Weight(5));
    assert_eq!(out, [Change::Admitted, Change::Removed, Change::Admitted]);
}

#[test]
fn a_reentry_time_below_the_interval_is_the_first_good_check() {
    for threshold in [0, 1] {
        let rules = Rules { threshold, ..RULES };
        assert_eq!(after(rules, State::Down { good: 0 }, Event::Good).0, State::Up);
    }
}

#[test]
fn what_is_found_in_the_kernel_stays_until_the_first_check() {
    let mut health = Health::new(RULES);
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Untouched, None));
    health.handle(Event::Found(Some(7)), &mut Vec::new());
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(7), Some((true, 7))));
    health.handle(Event::Good, &mut Vec::new());
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Weight(5), Some((true, 5))));
}

#[test]
fn a_quiesced_server_found_in_the_kernel_has_to_earn_its_return() {
    let rules = Rules { quiesce: true, ..RULES };
    let (state, changes) = after(rules, State::New, Event::Found(Some(0)));
    assert_eq!((state, changes), (State::Down { good: 0 }, vec![Change::AdoptedQuiesced]));
    let health = Health { rules, state };
    assert_eq!((health.wanted(), health.verdict()), (Wanted::Quiesced, Some((false, 0))));
}

#[test]
fn a_server_with_weight_0_is_drained_not_quiesced() {
    let rules = Rules { quiesce: true, weight: 0, ..RULES };
    let (state, _) = after(rules, State::New, Event::Found(Some(0)));
    assert_eq!(state, State::Adopted { weight: 0 });
    assert_eq!(after(rules, state, Event::Good), (State::Up, vec![]));
    assert_eq!(Health { rules, state: State::Up }.wanted(), Wanted::Weight(0));
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Good),
        3 => Just(Event::Bad),
        1 => prop::option::of(0..9_u32).prop_map(Event::Found),
        1 => Just(Event::OpaqueOn),
        1 => Just(Event::RoseOn),
        1 => Just(Event::GlassesOff),
    ]
}

proptest! {
    #[test]
    fn nobody_is_taken_out_without_a_failed_check_or_an_order(
        events in prop::collection::vec(any_event(), 0..60), quiesce: bool, threshold in 0..5_u32, weight in 0..3_u32,
    ) {
        let mut health = Health::new(Rules { threshold, weight, quiesce });
        for event in events {
            let before = health.verdict().is_some_and(|(available, _)| available);
            let mut out = Vec::new();
            health.handle(event, &mut out);
            let now = health.verdict().is_some_and(|(available, _)| available);
            if before && !now {
                prop_assert!(matches!(event, Event::Bad | Event::OpaqueOn), "{event:?}");
                prop_assert!(out.contains(&Change::Removed) || out.contains(&Change::ForcedOut));
            }
            if !before && now {
                prop_assert!(matches!(event, Event::Good | Event::RoseOn | Event::Found(Some(_))), "{event:?}");
            }
        }
    }

    #[test]
    fn after_a_failure_it_takes_the_whole_reentry_time_of_good_checks(
        checks in prop::collection::vec(any::<bool>(), 0..60), threshold in 1..6_u32,
    ) {
        let mut health = Health::new(Rules { threshold, ..RULES });
        health.handle(Event::Bad, &mut Vec::new());
        let mut row = 0;
        let mut up = false;
        for good in checks {
            row = if good { row + 1 } else { 0 };
            up = good && (up || row >= threshold);
            health.handle(if good { Event::Good } else { Event::Bad }, &mut Vec::new());
            prop_assert_eq!(health.verdict(), Some((up, if up { 5 } else { 0 })));
        }
    }

    #[test]
    fn with_glasses_on_checks_change_nothing(
        before in prop::collection::vec(any_event(), 0..20), checks in prop::collection::vec(any::<bool>(), 0..20), rose: bool,
    ) {
        let mut health = Health::new(RULES);
        for event in before {
            health.handle(event, &mut Vec::new());
        }
        health.handle(if rose { Event::RoseOn } else { Event::OpaqueOn }, &mut Vec::new());
        for good in checks {
            let mut out = Vec::new();
            health.handle(if good { Event::Good } else { Event::Bad }, &mut out);
            prop_assert!(out.is_empty() && !health.is_checking());
            prop_assert_eq!(health.verdict(), Some((rose, if rose { 5 } else { 0 })));
        }
    }
}
