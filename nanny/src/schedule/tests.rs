use common::hash::fnv1a;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

proptest! {
    #[test]
    fn the_next_check_is_later_than_now_and_at_most_an_interval_away(
        interval in 10..100_000_u32, seed: u64, now in 0..10_000_000_u32,
    ) {
        let start = Instant::now();
        let schedule = Schedule::new(start, interval * MS, seed);
        let now = start + now * MS;
        let next = schedule.next(now);
        prop_assert!(next > now && next <= now + interval * MS);
    }

    #[test]
    fn checks_do_not_drift_however_late_each_is(
        interval in 100..10_000_u32, seed: u64, delays in prop::collection::vec(0..99_u32, 1..50),
    ) {
        let start = Instant::now();
        let schedule = Schedule::new(start, interval * MS, seed);
        let first = schedule.next(start);
        let mut due = first;
        for (n, delay) in (1_u32..).zip(delays) {
            due = schedule.next(due + delay * MS);
            prop_assert_eq!(due, first + n * interval * MS);
        }
    }

    #[test]
    fn a_spread_is_more_than_nothing_and_at_most_all(time in 1..1_000_000_u32, seed: u64) {
        let part = spread(time * MS, seed);
        prop_assert!(!part.is_zero() && part <= time * MS);
    }

    #[test]
    fn soon_is_at_most_an_eighth_earlier(time in 8..1_000_000_u32, seed: u64) {
        let part = soon(time * MS, seed);
        prop_assert!(part >= time * MS * 7 / 8 && part < time * MS);
    }
}

#[test]
fn nannies_of_neighbouring_servers_do_not_fire_together() {
    let interval = Duration::from_secs(10);
    let mut phases: Vec<Duration> =
        (1..=200).map(|n| spread(interval, fnv1a(format!("tcp-192.0.2.1-80-198.51.100.{n}-80").bytes()))).collect();
    phases.sort();
    let crowded = phases.windows(20).filter(|twenty| twenty[19].saturating_sub(twenty[0]) < interval / 50).count();
    assert_eq!(crowded, 0, "20 of 200 nannies within a fiftieth of the interval");
}

#[test]
fn looks_are_stretched_as_a_service_grows() {
    assert_eq!(look_every(0), LOOK_EVERY);
    assert_eq!(look_every(200), LOOK_EVERY);
    assert_eq!(look_every(1_000), Duration::from_secs(50));
    assert_eq!(look_every(40_000), LOOK_MAX);
    assert_eq!(look_every(usize::MAX), LOOK_MAX);
}

#[test]
fn a_late_process_was_asleep_and_a_busy_one_was_not() {
    let asked = Instant::now();
    let late = |by, interval| overslept(asked, asked + by, interval);
    let second = Duration::from_secs(1);
    assert_eq!(late(100 * MS, 10 * MS), None);
    assert_eq!(late(300 * MS, 10 * MS), Some(300 * MS));
    assert_eq!(late(second, 10 * second), None);
    assert_eq!(late(2 * second, 10 * second), Some(2 * second));
    assert_eq!(overslept(asked + second, asked, second), None, "woken early by an event");
}
