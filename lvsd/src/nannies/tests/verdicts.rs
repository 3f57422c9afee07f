//! What nannies say of their servers, who is in use by that, and whom a floor keeps there.

use common::channel::{Flaps, Said};

use super::super::*;
use super::stage::{FIRST, FakeNanny, Stage, monitor, monitor_with};
use crate::services::Keepers as _;
use crate::sorry::Tally;
use crate::wanted::tests::examples;
use crate::wanted::{Pool, Virtual};

/// A virtual with this floor and these servers.
fn pool(min_up: u32, servers: &[u8]) -> Virtual {
    let monitors = servers.iter().map(|server| monitor(*server)).collect();
    let pool = Pool { min_up, ..Pool::default() };
    Virtual { pool, monitors, ..examples::virtual_service(1, &[]) }
}

/// Two running nannies of one virtual, whose servers are good.
fn two_good() -> (Stage, [FakeNanny; 2]) {
    let (mut stage, first) = Stage::running(3, 100);
    stage.want(&monitor(4));
    let second = stage.start(FIRST + 1, 101);
    second.hello(&["-c", "-w", "1"]);
    let nannies = [first, second];
    for (n, nanny) in nannies.iter().enumerate() {
        stage.verdict(nanny, FIRST + n, true, 1);
    }
    (stage, nannies)
}

#[test]
fn the_tally_counts_who_is_up_and_who_has_not_judged() {
    let (mut stage, nanny) = Stage::running(3, 100);
    let targets = [monitor(3).target, monitor(4).target];
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 0, kept: 0, silent: 2, servers: 2 });
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 1, kept: 0, silent: 1, servers: 2 });
    nanny.says(&Said::Verdict { available: false, weight: 0 });
    stage.read(FIRST);
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 0, kept: 0, silent: 1, servers: 2 });
    // Its death is no verdict on the real server.
    stage.reaped(100, Exit::Signal(9));
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 0, kept: 0, silent: 1, servers: 2 });
}

#[test]
fn a_good_server_with_weight_0_is_none_that_clients_get() {
    let (mut stage, [first, _second]) = two_good();
    stage.verdict(&first, FIRST, true, 0);
    let pool = pool(0, &[3, 4]);
    assert_eq!(
        stage.nannies.tally(pool.monitors.iter().map(|m| &m.target)),
        Tally { available: 1, kept: 0, silent: 0, servers: 2 }
    );
}

#[test]
fn who_is_in_use_is_known_when_all_of_a_virtual_have_judged() {
    let (mut stage, third) = Stage::running(3, 100);
    let wanted = pool(0, &[3, 4]);
    stage.want(&monitor(4));
    let fourth = stage.start(FIRST + 1, 101);
    third.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.nannies.expected(&wanted), None);
    fourth.says(&Said::Verdict { available: false, weight: 0 });
    stage.read(FIRST + 1);
    assert_eq!(stage.nannies.expected(&wanted), Some(vec![monitor(3).target.destination]));
}

#[test]
fn a_nanny_whose_server_is_down_is_asked_why_once_and_the_answer_lasts_until_it_is_up() {
    let (mut stage, [first, _second]) = two_good();
    let target = monitor(3).target;
    let why = |stage: &Stage| stage.nannies.known(&target, stage.now).why;
    assert_eq!(first.hears(), None);
    stage.verdict(&first, FIRST, false, 0);
    stage.verdict(&first, FIRST, false, 0);
    assert_eq!((first.hears(), first.hears()), (Some(Ask::Why), None));
    first.says(&Said::Why { at: 1, text: "connecting\nrefused".to_owned() });
    stage.hear(FIRST);
    assert_eq!(why(&stage).as_deref(), Some("connecting\nrefused"));
    stage.verdict(&first, FIRST, true, 1);
    assert_eq!(why(&stage), None);
    first.says(&Said::Why { at: 1, text: "late".to_owned() });
    stage.hear(FIRST);
    assert_eq!(why(&stage), None);
}

#[test]
fn a_nanny_hears_what_its_predecessor_found_unless_its_checks_are_others() {
    let (mut stage, first) = Stage::running(3, 100);
    assert_eq!(first.inherited(), [], "it is the first");
    stage.verdict(&first, FIRST, true, 0);
    let mut pid = 100;
    let mut next = |stage: &mut Stage| {
        stage.reaped(pid, Exit::Signal(9));
        stage.after(Duration::from_secs(60));
        pid += 1;
        stage.start(FIRST, pid)
    };
    let second = next(&mut stage);
    assert_eq!(second.inherited(), [Ask::Was(true)], "drained, and well");
    second.hello(&["-c", "-w", "1"]);
    second.says(&Said::Flaps(Flaps { strikes: 2, returned: Some(Duration::from_secs(1)) }));
    stage.verdict(&second, FIRST, false, 0);
    stage.want(&monitor_with(3, &["-c", "-w", "5"]));
    let third = next(&mut stage);
    let ago = |seconds| Flaps { strikes: 2, returned: Some(Duration::from_secs(seconds)) };
    assert_eq!(third.inherited(), [Ask::Was(false), Ask::Flapped(ago(61))]);
    third.hello(&["-c", "-w", "5"]);
    stage.read(FIRST);
    stage.want(&monitor_with(3, &["-c", "-w", "5", "-x", "OK"]));
    let fourth = next(&mut stage);
    assert_eq!(fourth.inherited(), [], "another question, another answer");
}

#[test]
fn the_last_good_one_is_told_to_stay_and_is_free_again_when_there_are_more() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (None, None));
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (None, Some(Ask::Stay(true))));
    stage.nannies.keep_floor(&pool);
    assert_eq!(second.was_asked(), None, "told once");
    stage.verdict(&second, FIRST + 1, false, 1);
    stage.nannies.keep_floor(&pool);
    assert_eq!(
        stage.nannies.tally(pool.monitors.iter().map(|m| &m.target)),
        Tally { available: 0, kept: 1, silent: 0, servers: 2 }
    );
    stage.verdict(&first, FIRST, true, 1);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), Some(Ask::Stay(false))));
}

#[test]
fn of_servers_that_fall_at_once_the_last_is_called_back() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.verdict(&second, FIRST + 1, false, 0);
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), None));
}

#[test]
fn a_nanny_that_is_started_again_is_told_before_it_can_check() {
    let (mut stage, [first, second]) = two_good();
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool(1, &[3, 4]));
    assert_eq!(second.was_asked(), Some(Ask::Stay(true)));
    stage.taken();
    stage.reaped(101, Exit::Signal(9));
    stage.after(Duration::from_secs(1));
    let again = stage.start(FIRST + 1, 102);
    assert_eq!(again.was_asked(), Some(Ask::Stay(true)));
}

/// What an lvsd before us told it, nobody knows; and a line that was down lost a word.
#[test]
fn a_nanny_that_is_found_is_told_what_holds_now() {
    let mut stage = Stage::new();
    let (id, found) = stage.guest(&monitor(3).place, 100);
    found.hello(&["-c", "-w", "1"]);
    stage.read(id);
    stage.place(id, &monitor(3), Some(&monitor(3).arguments));
    stage.nannies.keep_floor(&pool(0, &[3]));
    assert_eq!(found.was_asked(), None, "it may be the one that is kept");
    stage.verdict(&found, id, true, 1);
    stage.nannies.keep_floor(&pool(0, &[3]));
    assert_eq!(found.was_asked(), Some(Ask::Stay(false)));
    stage.nannies.keep_floor(&pool(0, &[3]));
    assert_eq!(found.was_asked(), None, "told once");
    drop(found);
    stage.read(id);
    stage.nannies.keep_floor(&pool(1, &[3]));
    stage.nannies.keep_floor(&pool(0, &[3]));
    let again = stage.find(id, 100);
    assert_eq!(again.was_asked(), Some(Ask::Stay(false)));
}

#[test]
fn a_server_that_somebody_wants_out_is_not_counted_on() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!(second.was_asked(), Some(Ask::Stay(true)));
    // Opaque glasses: out, whatever it was told.
    stage.verdict(&second, FIRST + 1, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), Some(Ask::Stay(false))));
}

#[test]
fn a_server_that_is_drained_is_not_counted_on() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!(second.was_asked(), Some(Ask::Stay(true)));
    stage.verdict(&second, FIRST + 1, true, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), Some(Ask::Stay(false))));
}
