use common::child::Exit;
use proptest::prelude::*;

use super::*;

fn rules() -> Rules {
    let second = Duration::from_secs(1);
    Rules { words: vec!["/x".into()], interval: second, timeout: second, fall: 2, rise: 3 }
}

fn bad() -> Result<(), Failure> {
    Err(Failure::Ended(Exit::Status(1), String::new()))
}

/// One run with this outcome, an interval later.
fn run(check: &mut Check, now: &mut Instant, outcome: Result<(), Failure>) -> Option<Action> {
    *now += check.rules.interval;
    assert_eq!(check.tick(*now), Some(Action::Run));
    assert_eq!((check.tick(*now), check.deadline()), (None, None));
    check.ended(outcome, *now)
}

#[test]
fn so_many_in_a_row_count_either_way() {
    let mut now = Instant::now();
    let mut check = Check::new(rules(), now);
    assert_eq!(check.deadline(), Some(now), "the first is due at once");
    for outcome in [bad(), Ok(()), bad()] {
        assert_eq!(run(&mut check, &mut now, outcome), None);
    }
    let Err(failure) = bad() else { return };
    assert_eq!(run(&mut check, &mut now, bad()), Some(Action::Failing(failure, 2)));
    for outcome in [bad(), Ok(()), Ok(()), bad(), Ok(()), Ok(())] {
        assert_eq!(run(&mut check, &mut now, outcome), None);
        assert!(check.fails());
    }
    assert_eq!(run(&mut check, &mut now, Ok(())), Some(Action::Mended));
}

#[test]
fn a_run_that_was_given_up_speaks_no_more() {
    let now = Instant::now();
    let mut check = Check::new(Rules { fall: 1, ..rules() }, now);
    check.tick(now);
    assert!(check.ended(bad(), now).is_some());
    assert_eq!(check.ended(Ok(()), now), None);
    assert_eq!(check.deadline(), Some(now + rules().interval));
    check.set_rules(Rules { interval: Duration::from_millis(10), ..rules() }, now);
    assert_eq!(check.deadline(), Some(now + Duration::from_millis(10)));
    assert!(check.fails());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn failing_and_mended_take_turns(outcomes in proptest::collection::vec(any::<bool>(), 0..100), fall in 0u32..4, rise in 0u32..4) {
        let mut now = Instant::now();
        let mut check = Check::new(Rules { fall, rise, ..rules() }, now);
        let mut fails = false;
        for good in outcomes {
            match run(&mut check, &mut now, if good { Ok(()) } else { bad() }) {
                Some(Action::Failing(..)) => { prop_assert!(!fails && !good); fails = true; }
                Some(Action::Mended) => { prop_assert!(fails && good); fails = false; }
                Some(Action::Run) => prop_assert!(false),
                None => {}
            }
            prop_assert_eq!(check.fails(), fails);
        }
    }
}
