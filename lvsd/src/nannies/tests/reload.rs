//! Nannies whose wish changed, or went.

use common::channel::Said;

use super::super::*;
use super::stage::{FIRST, Stage, arguments, monitor, monitor_with};
use crate::services::Keepers as _;

#[test]
fn a_reload_replaces_the_changed_keeps_the_same_and_stops_the_removed() {
    let (mut stage, first) = Stage::running(3, 100);
    for server in [4, 5] {
        stage.want(&monitor(server));
        let id = FIRST + usize::from(server) - 3;
        std::mem::forget(stage.start(id, 97 + u32::from(server)));
    }
    stage.taken();
    assert_eq!(stage.nannies.running().len(), 3);
    stage.nannies.leave(&monitor(5).target, false, stage.now, &mut stage.out);
    assert_eq!(stage.nannies.running().len(), 2);
    assert_eq!(stage.taken(), [Action::Terminate(102)]);
    assert_eq!(stage.want(&monitor_with(3, &["-c", "-w", "5"])), Wish::Replaced);
    assert_eq!(stage.want(&monitor(4)), Wish::Unchanged);
    assert_eq!(first.was_asked(), Some(Ask::Release));
    assert_eq!(stage.taken(), []);
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Find(FIRST)]);
    assert_eq!(stage.reaped(102, Exit::Status(0)), [Action::Ended(Some(monitor(5).target))]);
    assert!(!stage.nannies.owns(&monitor(5).target));
    assert_eq!(stage.nannies.monitor(FIRST).unwrap().arguments, arguments(&["-c", "-w", "5"]));
}

#[test]
fn one_whose_destination_stays_is_asked_to_leave_it_and_nobody_follows() {
    let (mut stage, nanny) = Stage::running(3, 100);
    stage.nannies.leave(&monitor(3).target, true, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [], "no signal: a signal would take the destination away");
    assert_eq!(nanny.was_asked(), Some(Ask::Release));
    assert!(stage.nannies.owns(&monitor(3).target), "it may still write it");
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Ended(Some(monitor(3).target))]);
    assert!(stage.nannies.is_empty());
}

#[test]
fn one_that_is_not_asked_in_time_is_killed_which_leaves_the_destination_too() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.nannies.leave(&monitor(3).target, true, stage.now, &mut stage.out);
    let out = stage.after(Rules::default().stop_within);
    assert!(matches!(out[..], [Action::Say(Message::NannyStubborn { pid: 100, .. }), Action::Kill(100)]), "{out:?}");
}

#[test]
fn a_follower_at_the_same_place_is_one_process_after_the_other() {
    let (mut stage, nanny) = Stage::running(3, 100);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    stage.taken();
    let new = Rc::new(Monitor { place: monitor(3).place.clone(), ..(*monitor(4)).clone() });
    stage.nannies.follow(&monitor(3).target, &new, stage.now, &mut stage.out);
    assert_eq!((nanny.was_asked(), stage.taken()), (Some(Ask::Release), vec![]));
    assert!(!stage.nannies.owns(&monitor(3).target) && stage.nannies.owns(&monitor(4).target));
    assert_eq!(stage.nannies.tally([monitor(4).target].iter()).silent, 1, "the other destination's verdict is not its");
    assert_eq!(stage.want(&new), Wish::Unchanged);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.taken(), [], "nor is what it says on its way out");
    assert_eq!(stage.nannies.tally([monitor(4).target].iter()).silent, 1);
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Find(FIRST)]);
    let nanny = stage.start(FIRST, 101);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    let tally = stage.nannies.tally([monitor(4).target].iter());
    assert_eq!((tally.available, tally.silent), (1, 0));
}

#[test]
fn one_that_is_wanted_again_while_it_ends_is_followed_by_another() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.nannies.leave(&monitor(3).target, false, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(100)]);
    assert_eq!(stage.want(&monitor(3)), Wish::Started);
    assert_eq!(stage.taken(), [], "two for one destination would fight");
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Find(FIRST)]);
    stage.start(FIRST, 101);
    assert_eq!(stage.pid(3), Some(101));
}
