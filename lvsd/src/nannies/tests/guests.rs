//! Nannies that an lvsd before us started.

use common::channel::Said;

use super::super::hearing::FIND_AGAIN_AFTER;
use super::super::*;
use super::died;
use super::stage::{FIRST, Stage, arguments, monitor};
use crate::services::Keepers as _;

#[test]
fn what_a_guest_says_behind_its_hello_is_heard_when_it_has_its_place() {
    let mut stage = Stage::new();
    let (id, found) = stage.guest(&monitor(3).place, 100);
    found.hello(&["-c", "-w", "1"]);
    found.says(&Said::Verdict { available: false, weight: 1 });
    assert!(stage.read(id), "there is more");
    stage.place(id, &monitor(3), Some(&monitor(3).arguments));
    stage.hear(id);
    assert_eq!(stage.nannies.known(&monitor(3).target, stage.now).verdict, Some((false, 1)));
}

#[test]
fn one_that_answers_at_its_place_with_the_same_arguments_is_adopted() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.taken();
    let nanny = stage.find(FIRST, 77);
    nanny.hello(&["-c", "-w", "1"]);
    nanny.says(&Said::Ready);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::Judged(monitor(3).target.service)]);
    assert_eq!(stage.pid(3), Some(77));
    assert_eq!(stage.nannies.adopted(), 1);
    assert_eq!(nanny.was_asked(), None);
}

#[test]
fn one_with_other_arguments_is_asked_to_leave_its_destination_and_followed() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    let nanny = stage.find(FIRST, 77);
    stage.taken();
    nanny.hello(&["-c", "-w", "9"]);
    stage.read(FIRST);
    assert_eq!(nanny.was_asked(), Some(Ask::Release));
    assert_eq!(stage.taken(), [], "no signal: a signal would take the destination away");
    drop(nanny);
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST)]);
    stage.nannies.lost(FIRST, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Find(FIRST)]);
}

#[test]
fn one_that_hangs_up_before_it_said_who_it_is_was_none() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.taken();
    drop(stage.find(FIRST, 77));
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::Start(FIRST)]);
}

#[test]
fn one_that_answers_and_says_nothing_is_adopted_and_found_frozen() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.taken();
    let _nanny = stage.find(FIRST, 77);
    assert_eq!(stage.after(HELLO_WITHIN), []);
    assert_eq!(stage.pid(3), Some(77));
    assert!(stage.after(Rules::default().frozen_after).contains(&Action::Kill(77)));
}

#[test]
fn the_end_of_an_adopted_ones_line_is_its_end_unless_it_answers_again() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    let nanny = stage.find(FIRST, 77);
    nanny.hello(&["-c", "-w", "1"]);
    stage.read(FIRST);
    stage.taken();
    drop(nanny);
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST)]);
    // Another lvsd knocked and it changed lines: it is there.
    let nanny = stage.find(FIRST, 77);
    assert_eq!((stage.pid(3), stage.taken()), (Some(77), vec![]));
    stage.now += FIND_AGAIN_AFTER;
    drop(nanny);
    stage.read(FIRST);
    stage.taken();
    stage.nannies.lost(FIRST, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [died(3, Exit::Unknown), Action::Find(FIRST)]);
}

#[test]
fn a_guest_that_is_not_wanted_works_on_until_it_is_told_to_leave() {
    let mut stage = Stage::new();
    let (id, guest) = stage.guest("place", 70);
    guest.hello(&["-c"]);
    stage.read(id);
    stage.taken();
    assert!(stage.nannies.shelter(id, monitor(3).target, Some(&arguments(&["-c"]))));
    assert_eq!(stage.nannies.running().iter().map(|it| it.target).collect::<Vec<_>>(), [monitor(3).target]);
    assert!(stage.nannies.owns(&monitor(3).target));
    stage.nannies.leave(&monitor(3).target, false, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(70)]);
    assert!(stage.nannies.running().is_empty());
}

#[test]
fn a_sheltered_one_that_the_file_wants_again_is_kept_or_replaced_by_its_arguments() {
    for (said, wish) in [(["-c", "-w", "1"], Wish::Unchanged), (["-c", "-w", "7"], Wish::Replaced)] {
        let mut stage = Stage::new();
        let (id, guest) = stage.guest("place", 70);
        guest.hello(&said);
        stage.read(id);
        assert!(stage.nannies.shelter(id, monitor(3).target, Some(&arguments(&said))));
        stage.taken();
        assert_eq!(stage.want(&monitor(3)), wish);
        let asked = (wish == Wish::Replaced).then_some(Ask::Release);
        assert_eq!((stage.taken(), guest.was_asked()), (vec![], asked));
        assert_eq!((stage.want(&monitor(3)), stage.pid(3)), (Wish::Unchanged, Some(70)), "it is said once");
    }
}

#[test]
fn a_guest_is_placed_or_dismissed_by_its_arguments() {
    let mut stage = Stage::new();
    let mut guests = Vec::new();
    for n in 0..3_u8 {
        let (id, guest) = stage.guest(&format!("place {n}"), 70 + u32::from(n));
        assert_eq!(id, FIRST + usize::from(n));
        guests.push(guest);
    }
    assert!(stage.nannies.has_guests());
    let words = ["-c", "-w", "1"];
    for (n, guest) in guests.iter().enumerate() {
        guest.hello(&words);
        stage.read(FIRST + n);
        assert_eq!(stage.taken(), [Action::Introduced(FIRST + n, Some(arguments(&words)))]);
    }
    assert!(!stage.nannies.has_guests());
    let said = arguments(&words);
    stage.place(FIRST, &monitor(3), Some(&said));
    // A second one for the same destination goes without touching it.
    stage.place(FIRST + 1, &monitor(3), Some(&said));
    assert_eq!(stage.taken(), []);
    assert_eq!(guests[1].was_asked(), Some(Ask::Release));
    stage.nannies.dismiss(FIRST + 2, Some(monitor(9).target), stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(72)]);
    assert!(stage.nannies.owns(&monitor(9).target), "until it is gone its destination is its own");
    assert_eq!(guests[0].was_asked(), None);
    assert_eq!((stage.want(&monitor(3)), stage.pid(3)), (Wish::Unchanged, Some(70)));
    // The released one ends, and nobody follows it.
    drop(guests.remove(1));
    stage.read(FIRST + 1);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST + 1)]);
    stage.nannies.lost(FIRST + 1, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Ended(None)]);
}

#[test]
fn a_guest_that_says_nothing_is_introduced_without_arguments() {
    let mut stage = Stage::new();
    let (id, _guest) = stage.guest("place", 70);
    assert_eq!(stage.nannies.deadline(), Some(stage.now + HELLO_WITHIN));
    assert_eq!(stage.after(HELLO_WITHIN), [Action::Introduced(id, None)]);
}
