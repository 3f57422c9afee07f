//! Starts, deaths, silence, and the end of all.

use common::channel::Said;

use super::super::hearing::PACKETS_MAX;
use super::super::*;
use super::died;
use super::stage::{FIRST, Stage, monitor};
use crate::services::Keepers as _;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_wish_is_looked_for_then_started_and_logged() {
    let mut stage = Stage::new();
    assert_eq!(stage.want(&monitor(3)), Wish::Started);
    assert_eq!(stage.taken(), [Action::Find(FIRST)]);
    assert!(stage.nannies.owns(&monitor(3).target));
    stage.start(FIRST, 100);
    let created = Message::MonitorCreated { name: "web".to_owned(), server: "s3".to_owned(), pid: 100 };
    assert_eq!(stage.taken(), [Action::Say(created)]);
    assert_eq!(stage.want(&monitor(3)), Wish::Unchanged);
    assert_eq!(stage.taken(), []);
}

#[test]
fn a_death_is_one_line_and_one_start_and_nobody_else_is_touched() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.want(&monitor(4));
    stage.start(FIRST + 1, 101);
    stage.taken();
    assert_eq!(stage.reaped(100, Exit::Signal(9)), [died(3, Exit::Signal(9)), Action::Find(FIRST)]);
    assert!(stage.nannies.owns(&monitor(3).target), "its destination has an owner all the time");
    assert_eq!(stage.pid(4), Some(101));
}

#[test]
fn last_words_go_into_the_line() {
    let (mut stage, nanny) = Stage::running(3, 100);
    nanny.says(&Said::Leaving("no more memory".to_owned()));
    drop(nanny);
    let out = stage.reaped(100, Exit::Status(71));
    assert!(matches!(&out[0], Action::Say(Message::NannyDied { why: Some(why), .. }) if why == "no more memory"));
}

#[test]
fn a_silent_one_is_killed_and_replaced() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    assert_eq!(stage.after(Rules::default().frozen_after / 2), []);
    let out = stage.after(Rules::default().frozen_after / 2);
    assert!(matches!(out[..], [Action::Say(Message::NannyFrozen { pid: 100, .. }), Action::Kill(100)]), "{out:?}");
    assert_eq!(stage.reaped(100, Exit::Signal(9)), [Action::Find(FIRST)]);
}

#[test]
fn one_that_keeps_saying_that_it_lives_is_left_alone() {
    let (mut stage, nanny) = Stage::running(3, 100);
    for _ in 0..50 {
        nanny.says(&Said::Alive);
        stage.read(FIRST);
        assert_eq!(stage.after(Rules::default().beat), []);
    }
}

#[test]
fn silence_while_lvsd_slept_is_no_evidence() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.now += Rules::default().frozen_after * 6;
    stage.nannies.slept(stage.now);
    assert_eq!(stage.after(MS), []);
    assert_eq!(stage.pid(3), Some(100));
}

#[test]
fn a_monitor_of_the_operators_own_may_stay_mute() {
    let mut stage = Stage::new();
    let mute = Rc::new(Monitor { is_nanny: false, ..(*monitor(3)).clone() });
    stage.want(&mute);
    let nanny = stage.start(FIRST, 100);
    stage.taken();
    for _ in 0..5 {
        assert_eq!(stage.after(Rules::default().frozen_after), []);
    }
    // Once it spoke, its silence means something.
    nanny.says(&Said::Alive);
    stage.read(FIRST);
    assert!(stage.after(Rules::default().frozen_after).contains(&Action::Kill(100)));
}

#[test]
fn a_line_that_keeps_ending_does_not_keep_us_busy() {
    let (mut stage, nanny) = Stage::running(3, 100);
    drop(nanny);
    stage.read(FIRST);
    assert_eq!(stage.taken(), [], "waitpid tells of a child's end");
    stage.nannies.find_lineless(&mut stage.out);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST)]);
    stage.nannies.lost(FIRST, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [], "waitpid tells of a child's end");
    assert_eq!(stage.reaped(100, Exit::Signal(9)), [died(3, Exit::Signal(9)), Action::Find(FIRST)]);
    stage.nannies.find_lineless(&mut stage.out);
    assert_eq!(stage.taken(), []);
}

#[test]
fn a_stop_asks_all_at_once_and_kills_who_does_not_end() {
    let mut stage = Stage::new();
    let mut nannies = Vec::new();
    for server in 0..5 {
        stage.want(&monitor(server));
        nannies.push(stage.start(FIRST + usize::from(server), 100 + u32::from(server)));
    }
    stage.taken();
    stage.nannies.stop_all(stage.now, &mut stage.out);
    assert_eq!(stage.taken(), (100..105).map(Action::Terminate).collect::<Vec<_>>());
    for pid in 100..104 {
        stage.reaped(pid, Exit::Status(0));
    }
    assert_eq!(stage.nannies.len(), 1);
    let out = stage.after(Rules::default().stop_within);
    assert!(matches!(out[..], [Action::Say(Message::NannyStubborn { pid: 104, .. }), Action::Kill(104)]), "{out:?}");
    stage.reaped(104, Exit::Signal(9));
    assert!(stage.nannies.is_empty());
}

#[test]
fn a_stop_in_the_middle_of_a_start_leaves_nobody() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.want(&monitor(4));
    let guest = stage.find(FIRST + 1, 77);
    stage.taken();
    stage.nannies.stop_all(stage.now, &mut stage.out);
    // The one was not started yet; the other lives and has not said its name.
    assert_eq!(stage.taken(), [Action::Ended(Some(monitor(3).target)), Action::Terminate(77)]);
    assert_eq!(stage.nannies.monitor(FIRST), None);
    drop(guest);
    stage.read(FIRST + 1);
    stage.nannies.lost(FIRST + 1, stage.now, &mut stage.out);
    assert!(stage.nannies.is_empty());
}

#[test]
fn ten_failed_starts_for_one_reason_are_one_line() {
    let mut stage = Stage::new();
    for server in 0..10 {
        stage.want(&monitor(server));
        stage.nannies.not_started(FIRST + usize::from(server), "no such file", stage.now, &mut stage.out);
    }
    let lines = stage.taken();
    let loud = |action: &&Action| matches!(action, Action::Say(Message::NannyNotStarted { .. }));
    let quiet = |action: &&Action| matches!(action, Action::Say(Message::NannyNotStartedEither { .. }));
    assert_eq!((lines.iter().filter(loud).count(), lines.iter().filter(quiet).count()), (1, 9));
    let tried = stage.after(Rules::default().backoff_first);
    assert_eq!(tried.iter().filter(|action| matches!(action, Action::Find(_))).count(), 10);
}

#[test]
fn a_babbling_one_does_not_keep_the_others_waiting() {
    let (mut stage, nanny) = Stage::running(3, 100);
    for _ in 0..=PACKETS_MAX {
        nanny.says(&Said::Alive);
    }
    assert!(stage.read(FIRST), "the rest is read in the next turn");
    stage.hear(FIRST);
}

#[test]
fn a_service_that_was_put_back_has_its_nannies_look() {
    let (stage, nanny) = Stage::running(3, 100);
    stage.nannies.ask_check(&monitor(3).target.service);
    assert_eq!(nanny.was_asked(), Some(Ask::Check));
}
