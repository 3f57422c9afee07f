use proptest::prelude::*;

use super::*;

fn vip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

/// Runs until nothing is left; what was announced when, and when it finished.
fn play(announcements: &mut Announcements, start: Instant) -> (Vec<(Duration, IpAddr)>, Vec<Duration>) {
    let (mut said, mut finished) = (Vec::new(), Vec::new());
    while let Some(now) = announcements.deadline() {
        let (vips, last) = announcements.turn(now);
        said.extend(vips.into_iter().map(|vip| (now - start, vip)));
        if last {
            finished.push(now - start);
        }
        assert!(said.len() < 100_000, "it never ends");
    }
    (said, finished)
}

#[test]
fn a_virtual_ip_is_announced_five_times_one_second_apart_beginning_at_once() {
    let start = Instant::now();
    let mut announcements = Announcements::default();
    announcements.begin(vip(9), start);
    let (said, finished) = play(&mut announcements, start);
    let expected: Vec<_> = (0..5).map(|n| (Duration::from_secs(n), vip(9))).collect();
    assert_eq!(said, expected);
    assert_eq!(finished, [Duration::from_secs(4)]);
}

#[test]
fn the_end_is_said_once_after_the_last_of_several() {
    let start = Instant::now();
    let mut announcements = Announcements::default();
    announcements.begin(vip(1), start);
    announcements.begin(vip(2), start + Duration::from_millis(500));
    let (said, finished) = play(&mut announcements, start);
    assert_eq!(said.len(), 10);
    assert_eq!(finished, [Duration::from_millis(4500)]);
}

#[test]
fn a_new_begin_counts_from_the_first_again() {
    let start = Instant::now();
    let mut announcements = Announcements::default();
    announcements.begin(vip(1), start);
    announcements.turn(start);
    announcements.begin(vip(1), start);
    assert_eq!(play(&mut announcements, start).0.len(), 5);
}

#[test]
fn what_is_no_longer_held_is_no_longer_announced() {
    let start = Instant::now();
    let mut announcements = Announcements::default();
    announcements.begin(vip(1), start);
    announcements.begin(vip(2), start);
    announcements.keep_only(|held| *held == vip(2));
    assert_eq!(announcements.turn(start).0, [vip(2)]);
    announcements.clear();
    assert_eq!(announcements.deadline(), None);
    assert_eq!(announcements.turn(start + APART), (Vec::new(), false));
}

#[test]
fn thousands_are_announced_in_slices_and_none_is_left_out() {
    let start = Instant::now();
    let mut announcements = Announcements::default();
    for n in 0..4_000_u16 {
        let [high, low] = n.to_be_bytes();
        announcements.begin([10, 1, high, low].into(), start);
    }
    let first = announcements.turn(start).0;
    assert_eq!(first.len(), BURST);
    assert_eq!(announcements.turn(start).0, [] as [IpAddr; 0], "the queue drains first");
    assert_eq!(announcements.deadline(), Some(start + PAUSE));
    let (said, finished) = play(&mut announcements, start);
    assert_eq!(said.len() + first.len(), 4_000 * usize::from(TIMES));
    assert_eq!(finished.len(), 1);
    let heard: std::collections::BTreeSet<_> =
        first.iter().chain(said.iter().map(|(_, vip)| vip)).take(4_000).collect();
    assert_eq!(heard.len(), 4_000, "every first announcement comes before any second");
    for row in said.windows(BURST + 1) {
        assert!(row[BURST].0 >= row[0].0 + PAUSE, "more than a row at once: {:?}", row[0]);
    }
}

proptest! {
    /// However late the loop turns, each is announced exactly five times and never
    /// twice within a second.
    #[test]
    fn lateness_neither_loses_nor_bunches_announcements(late in prop::collection::vec(0_u64..4000, 1..60)) {
        let start = Instant::now();
        let mut announcements = Announcements::default();
        announcements.begin(vip(1), start);
        announcements.begin(vip(2), start);
        let mut said: Vec<(Instant, IpAddr)> = Vec::new();
        let mut late = late.into_iter().cycle();
        while let Some(deadline) = announcements.deadline() {
            let now = deadline + Duration::from_millis(late.next().unwrap_or(0));
            for vip in announcements.turn(now).0 {
                if let Some((before, _)) = said.iter().rev().find(|(_, other)| *other == vip) {
                    prop_assert!(now - *before >= APART);
                }
                said.push((now, vip));
            }
        }
        prop_assert_eq!(said.len(), 2 * usize::from(TIMES));
    }
}

#[test]
fn a_defence_is_once_more_and_no_line() {
    let (mut announcements, now) = (Announcements::default(), Instant::now());
    announcements.defend(vip(9), now);
    assert_eq!(announcements.turn(now), (vec![vip(9)], false));
    assert_eq!((announcements.turn(now + APART), announcements.deadline()), ((vec![], false), None));
    // in the middle of a round it is beside it
    announcements.begin(vip(9), now);
    announcements.turn(now);
    announcements.defend(vip(9), now + APART / 2);
    let mut at = now + APART / 2;
    let mut times = 1;
    loop {
        let (vips, finished) = announcements.turn(at);
        times += vips.len();
        if finished {
            break;
        }
        at = announcements.deadline().unwrap();
    }
    assert_eq!(times, usize::from(TIMES) + 1);
}
