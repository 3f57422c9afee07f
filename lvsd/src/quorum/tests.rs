use std::time::Duration;

use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(6);
const RULES: Rules = Rules { quorum: 2, hysteresis: 1 };

/// Over five servers.
fn judge(quorum: &mut Quorum, available: usize, silent: usize, now: Instant) -> Option<Change> {
    quorum.judge(RULES, Tally { available, kept: 0, silent, servers: 5 }, now, now + GRACE)
}

#[test]
fn at_start_it_waits_for_the_verdicts_that_may_decide() {
    let now = Instant::now();
    let mut quorum = Quorum::new(None, now + GRACE);
    assert_eq!((judge(&mut quorum, 1, 4, now), quorum.has()), (None, None));
    assert_eq!(quorum.deadline(), Some(now + GRACE));
    assert_eq!(judge(&mut quorum, 2, 3, now), Some(Change::First));
    assert_eq!((quorum.has(), quorum.deadline()), (Some(true), None));
}

#[test]
fn silence_beyond_the_grace_or_too_few_left_is_a_loss() {
    let now = Instant::now();
    let mut quorum = Quorum::new(None, now + GRACE);
    assert_eq!(judge(&mut quorum, 0, 5, now + GRACE), Some(Change::Lost));
    let mut quorum = Quorum::new(None, now + GRACE);
    assert_eq!(judge(&mut quorum, 0, 1, now), Some(Change::Lost), "whatever the silent one says");
}

#[test]
fn it_is_lost_below_the_quorum_and_gained_above_the_hysteresis() {
    let now = Instant::now();
    let mut quorum = Quorum::new(Some(true), now);
    assert_eq!(judge(&mut quorum, 2, 0, now), None);
    assert_eq!(judge(&mut quorum, 1, 0, now), Some(Change::Lost));
    assert_eq!(judge(&mut quorum, 0, 0, now), None);
    assert_eq!(judge(&mut quorum, 2, 0, now), None, "one more is needed");
    assert_eq!(judge(&mut quorum, 3, 0, now), Some(Change::Gained));
    assert_eq!(judge(&mut quorum, 2, 0, now), None);
}

#[test]
fn all_servers_are_enough_however_large_the_hysteresis() {
    let now = Instant::now();
    let rules = Rules { quorum: 2, hysteresis: 9 };
    let mut quorum = Quorum::new(Some(false), now);
    let mut judge =
        |available| quorum.judge(rules, Tally { available, kept: 0, silent: 0, servers: 3 }, now, now + GRACE);
    assert_eq!(judge(2), None);
    assert_eq!(judge(3), Some(Change::Gained));
}

#[test]
fn a_successor_whose_nannies_are_silent_yet_changes_nothing() {
    let now = Instant::now();
    let mut quorum = Quorum::new(Some(true), now);
    assert_eq!(judge(&mut quorum, 0, 5, now), None);
    assert_eq!((quorum.has(), quorum.deadline()), (Some(true), Some(now + GRACE)));
    assert_eq!(judge(&mut quorum, 2, 3, now), None);
    let mut quorum = Quorum::new(Some(false), now);
    assert_eq!((judge(&mut quorum, 0, 5, now), quorum.has()), (None, Some(false)));
}

#[test]
fn what_failed_and_is_kept_in_use_makes_no_quorum() {
    let now = Instant::now();
    let mut quorum = Quorum::new(Some(true), now);
    let tally = Tally { available: 1, kept: 4, silent: 0, servers: 5 };
    assert_eq!(quorum.judge(RULES, tally, now, now + GRACE), Some(Change::Lost));
}

proptest! {
    #[test]
    fn changes_alternate_and_match_the_verdicts(
        quorum in 1..4_u32, hysteresis in 0..3_u32, steps in prop::collection::vec((0..6_usize, 0..6_usize, 0..5_u64), 0..60),
    ) {
        let rules = Rules { quorum, hysteresis };
        let mut now = Instant::now();
        let mut machine = Quorum::new(None, now + GRACE);
        let mut last = None;
        for (available, silent, seconds) in steps {
            now += Duration::from_secs(seconds);
            let tally = Tally { available, kept: 0, silent, servers: 6 };
            let change = machine.judge(rules, tally, now, now + GRACE);
            match change {
                Some(Change::First | Change::Gained) => prop_assert!(available >= quorum as usize && last != Some(true)),
                Some(Change::Lost) => prop_assert!(available < quorum as usize && last != Some(false)),
                None => prop_assert_eq!(machine.has(), last),
            }
            last = machine.has();
        }
    }
}
