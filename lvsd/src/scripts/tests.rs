use common::ipvs::Family;

use super::*;

fn script(mark: u32, command: &str) -> Script {
    let service = ServiceKey::Mark { family: Family::V4, mark };
    Script { service, name: format!("v{mark}"), command: command.to_owned() }
}

#[test]
fn one_runs_for_a_virtual_and_only_the_last_of_the_others_waits() {
    let now = Instant::now();
    let mut scripts = Scripts::default();
    scripts.ask(script(1, "down"));
    let first = scripts.take().unwrap();
    assert_eq!(first, script(1, "down"));
    scripts.began(first, 100, now);
    scripts.ask(script(1, "up"));
    scripts.ask(script(2, "down"));
    scripts.ask(script(1, "down"));
    assert_eq!(scripts.take(), Some(script(2, "down")), "another virtual does not wait");
    assert_eq!(scripts.take(), None);
    assert_eq!(scripts.ended(99), None);
    assert_eq!(scripts.ended(100), Some((script(1, "down"), false)));
    assert_eq!(scripts.take(), Some(script(1, "down")), "up is over by now");
    assert_eq!(scripts.take(), None);
}

#[test]
fn one_that_does_not_end_is_killed_once() {
    let now = Instant::now();
    let mut scripts = Scripts::default();
    scripts.began(script(1, "up"), 100, now);
    assert_eq!((scripts.deadline(), scripts.overdue(now)), (Some(now + RUN_MAX), vec![]));
    assert_eq!(scripts.overdue(now + RUN_MAX), [100]);
    assert_eq!((scripts.deadline(), scripts.overdue(now + RUN_MAX * 2)), (None, vec![]));
    assert_eq!(scripts.ended(100), Some((script(1, "up"), true)));
}

#[test]
fn there_is_a_limit_to_how_many_run() {
    let now = Instant::now();
    let mut scripts = Scripts::default();
    for mark in 1..40 {
        scripts.ask(script(mark, "up"));
    }
    let mut pid = 100;
    while let Some(script) = scripts.take() {
        scripts.began(script, pid, now);
        pid += 1;
    }
    assert_eq!(pid - 100, u32::try_from(RUNNING_MAX).unwrap());
    scripts.ended(100);
    assert!(scripts.take().is_some());
}
