//! The runs: many drawn scenarios, and a few that are named.

use std::cell::RefCell;

use proptest::test_runner::{Config, TestError, TestRunner};

use super::scenario::{Pairing, any_scenario};
use super::*;

const DEADTIME: Duration = Duration::from_secs(5);

/// Simulated hours of every test run, unless `PIRANHA_SIM_HOURS` says otherwise.
const HOURS: f64 = 10_000.0;

fn hours() -> f64 {
    std::env::var("PIRANHA_SIM_HOURS").map_or(HOURS, |hours| hours.parse().expect("PIRANHA_SIM_HOURS is a number"))
}

/// Draws scenarios until so many hours have been simulated. What fails is made as
/// small as it gets and printed whole, with its seed and what happened in it.
fn simulate(what: &str, pairing: Pairing, scale: std::ops::Range<u64>, hours: f64) {
    let total = RefCell::new(Tally::default());
    let strategy = any_scenario(pairing, scale);
    while total.borrow().time.as_secs_f64() < hours * 3600.0 {
        let config = Config {
            cases: 8,
            failure_persistence: None,
            max_shrink_iters: 20_000,
            max_shrink_time: 20_000,
            ..Config::default()
        };
        let result = TestRunner::new(config).run(&strategy, |scenario| {
            let tally = World::run(&scenario).map_err(proptest::test_runner::TestCaseError::fail)?;
            let mut total = total.borrow_mut();
            total.time += tally.time;
            total.faults += tally.faults;
            total.beats += tally.beats;
            total.takeovers += tally.takeovers;
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(why, scenario)) => {
                let story = World::retell(&scenario);
                panic!("{why}\n{scenario:#?}\n{story}");
            }
            Err(TestError::Abort(why)) => panic!("aborted: {why}"),
        }
    }
    let total = total.into_inner();
    println!(
        "{what}: {:.0} hours, {} faults, {} heartbeats, {} takeovers",
        total.time.as_secs_f64() / 3600.0,
        total.faults,
        total.beats,
        total.takeovers
    );
}

const ELECTIONS: Pairing = Pairing { mixed: false, whole: false };
const NODES: Pairing = Pairing { mixed: false, whole: true };

#[test]
fn two_elections_survive_whatever_goes_wrong() {
    simulate("two elections, slow beats", ELECTIONS, 60_000..600_000, hours() * 0.6);
    simulate("two elections, fast beats", ELECTIONS, 10..1000, hours() * 0.0002);
}

#[test]
fn an_election_and_an_original_survive_whatever_goes_wrong() {
    simulate("with an original, slow beats", Pairing { mixed: true, ..ELECTIONS }, 60_000..600_000, hours() * 0.4);
}

#[test]
fn two_nodes_survive_whatever_goes_wrong() {
    simulate("two nodes, usual beats", NODES, 1000..6000, hours() * 0.003);
}

#[test]
fn two_nodes_with_fast_beats_survive_whatever_goes_wrong() {
    simulate("two nodes, fast beats", NODES, 10..1000, hours() * 0.0001);
}

#[test]
fn a_node_and_an_original_survive_whatever_goes_wrong() {
    simulate("a node with an original, usual beats", Pairing { mixed: true, ..NODES }, 1000..6000, hours() * 0.003);
}

fn boot(is_whole: bool, original: Option<usize>, apart: u8, seed: u64) -> Scenario {
    Scenario {
        seed,
        keepalive: Duration::from_secs(2),
        deadtime: DEADTIME,
        paths: 2,
        is_keyed: seed.is_multiple_of(2) && original.is_none(),
        has_witness: false,
        auto_failback: false,
        is_whole,
        original,
        first: usize::from(seed.is_multiple_of(3)),
        apart,
        faults: vec![],
    }
}

fn boots_end_with_the_master_active(original: Option<usize>, takeovers: u64) {
    // With and without a key, and each of them the first.
    for seed in 0..6 {
        for apart in 0..20 {
            let tally = World::run(&boot(apart % 5 == 0, original, apart, seed)).unwrap();
            assert_eq!((tally.takeovers, tally.holders), (takeovers, [true, false]), "apart {apart}, seed {seed}");
        }
    }
}

#[test]
fn two_directors_booted_at_once_end_with_the_master_active_and_nothing_flaps() {
    boots_end_with_the_master_active(None, 1);
}

#[test]
fn a_master_of_ours_booted_with_an_original_backup_becomes_active_and_nothing_flaps() {
    boots_end_with_the_master_active(Some(1), 1);
}

#[test]
fn a_backup_of_ours_booted_with_an_original_master_leaves_it_active() {
    boots_end_with_the_master_active(Some(0), 0);
}

/// A day, if a deadtime were a minute.
fn broken(first: Fault, seed: u64) -> Scenario {
    Scenario { faults: vec![first], ..boot(false, None, 0, seed) }
}

#[test]
fn services_that_run_on_neither_director_move_ever_more_rarely() {
    for seed in 0..2 {
        let lasts = DEADTIME * 24 * 60;
        let tally =
            World::run(&broken(Fault { gap: DEADTIME, lasts, trouble: Trouble::Broken { hosts: 3 } }, seed)).unwrap();
        // 14 until each rests for an hour, and then one in an hour
        assert!((30..=36).contains(&tally.takeovers), "{} moves, seed {seed}", tally.takeovers);
    }
}

#[test]
fn services_that_run_on_one_director_only_end_there() {
    for seed in 0..2 {
        for host in 0..HOSTS {
            let trouble = Trouble::Broken { hosts: 1 << host };
            let tally = World::run(&broken(Fault { gap: DEADTIME, lasts: DEADTIME * 24 * 60, trouble }, seed)).unwrap();
            assert_eq!((tally.takeovers, tally.holders[host]), (1 + u64::from(host == 0), false), "seed {seed}");
        }
    }
}
