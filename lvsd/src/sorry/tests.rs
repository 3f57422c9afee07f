use std::time::Duration;

use super::*;

const GRACE: Duration = Duration::from_secs(6);

fn judge(sorry: &mut Sorry, available: usize, silent: usize, now: Instant) -> Option<Change> {
    sorry.judge(Tally { available, kept: 0, silent, servers: 2 }, now, now + GRACE)
}

#[test]
fn at_start_nothing_is_decided_before_there_are_verdicts() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    assert_eq!(judge(&mut sorry, 0, 2, now), None);
    assert_eq!(judge(&mut sorry, 0, 1, now + GRACE / 2), None);
    assert_eq!(sorry.standby(), Standby::Undecided);
    assert_eq!(sorry.deadline(), Some(now + GRACE));
}

#[test]
fn a_first_good_verdict_decides_without_a_line() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    assert_eq!(judge(&mut sorry, 1, 1, now), None);
    assert_eq!((sorry.standby(), sorry.deadline()), (Standby::Out, None));
}

#[test]
fn when_all_are_down_at_start_it_stands_in_with_the_last_verdict() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    assert_eq!(judge(&mut sorry, 0, 0, now), Some(Change::Activate));
    assert_eq!(sorry.standby(), Standby::In);
}

#[test]
fn silence_beyond_the_grace_counts_as_down() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    assert_eq!(judge(&mut sorry, 0, 1, now + GRACE), Some(Change::Activate));
}

#[test]
fn it_comes_and_goes_with_the_real_servers_and_says_so_once() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    judge(&mut sorry, 2, 0, now);
    assert_eq!(judge(&mut sorry, 1, 0, now), None);
    assert_eq!(judge(&mut sorry, 0, 0, now), Some(Change::Activate));
    assert_eq!(judge(&mut sorry, 0, 0, now), None);
    assert_eq!(judge(&mut sorry, 2, 0, now), Some(Change::Deactivate(2)));
    assert_eq!(judge(&mut sorry, 2, 0, now), None);
    assert_eq!(sorry.standby(), Standby::Out);
}

#[test]
fn one_that_a_predecessor_left_in_stays_until_a_real_server_is_back() {
    let now = Instant::now();
    let mut sorry = Sorry::new(true, now + GRACE);
    assert_eq!(judge(&mut sorry, 0, 2, now + GRACE * 2), None);
    assert_eq!(sorry.standby(), Standby::In);
    assert_eq!(judge(&mut sorry, 1, 1, now), Some(Change::Deactivate(1)));
}

#[test]
fn real_servers_that_a_reload_brought_get_a_grace_of_their_own() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    judge(&mut sorry, 1, 0, now);
    let later = now + GRACE * 10;
    assert_eq!(judge(&mut sorry, 0, 2, later), None);
    assert_eq!((sorry.standby(), sorry.deadline()), (Standby::Undecided, Some(later + GRACE)));
    assert_eq!(judge(&mut sorry, 0, 2, later + GRACE), Some(Change::Activate));
}

#[test]
fn it_does_not_stand_in_beside_servers_that_stay_although_they_failed() {
    let now = Instant::now();
    let mut sorry = Sorry::new(false, now + GRACE);
    judge(&mut sorry, 1, 0, now);
    assert_eq!(sorry.judge(Tally { available: 0, kept: 1, silent: 0, servers: 2 }, now, now + GRACE), None);
    assert_eq!(sorry.standby(), Standby::Out);
}
