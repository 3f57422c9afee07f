//! A nanny that keeps a destination in each of several services, on the other end of
//! its line.

use std::rc::Rc;
use std::time::Duration;

use common::channel::{Flaps, Said};
use common::destinations::{Failed, shared_place};
use common::ipvs::ForwardingMethod;

use super::*;
use crate::messages::Message;
use crate::nannies::Wish;
use crate::nannies::tests::stage::{FIRST, FakeNanny, Stage, arguments};
use crate::services::Keepers as _;
use crate::wanted::tests::examples;
use crate::wanted::{Monitor, Pool, Virtual};

const WORDS: [&str; 5] = ["-c", "-h", "10.0.0.1", "--shared", "1"];

fn target(service: u8) -> Target {
    Target { service: examples::key(service), destination: examples::server(1) }
}

fn assignment(service: u8) -> Assignment {
    Assignment {
        target: target(service),
        method: ForwardingMethod::Masquerade,
        weight: 1,
        failed: Failed::Removed,
        slow_start: Duration::ZERO,
        limits: None,
        stays: false,
    }
}

fn place() -> String {
    shared_place([10, 0, 0, 1].into(), 80, WORDS)
}

/// In this service, by the nanny of several.
fn shared(service: u8) -> Rc<Monitor> {
    Rc::new(Monitor {
        name: format!("w{service}"),
        server: "a".to_owned(),
        arguments: arguments(&WORDS),
        place: place(),
        assignment: Some(assignment(service)),
        ..examples::monitor(service, 1)
    })
}

/// The same by one of its own.
fn alone(service: u8) -> Rc<Monitor> {
    let arguments = arguments(&["-c", "-h", "10.0.0.1", "-V", "192.0.2.1"]);
    Rc::new(Monitor { arguments, place: format!("tcp-{service}"), assignment: None, ..(*shared(service)).clone() })
}

/// A service with this floor.
fn virtual_service(service: u8, min_up: u32) -> Virtual {
    let pool = Pool { min_up, ..Pool::default() };
    Virtual { pool, monitors: vec![shared(service)], ..examples::virtual_service(service, &[]) }
}

impl FakeNanny {
    fn holds(&self, all: &[(u8, Option<(bool, u32)>)]) {
        let held = |(service, verdict): &(u8, _)| Held { assignment: assignment(*service), verdict: *verdict };
        self.says(&Said::Holds(all.iter().map(held).collect()));
    }
}

impl Stage {
    fn leave(&mut self, service: u8, stays: bool) {
        assert!(self.nannies.leave(&target(service), stays, self.now, &mut self.out));
        self.nannies.speak();
    }

    /// One that keeps these, said so, and found their server well.
    fn sharing(services: &[u8]) -> (Self, FakeNanny) {
        let mut stage = Self::new();
        for service in services {
            assert_eq!(stage.want(&shared(*service)), Wish::Started);
        }
        let nanny = stage.start(FIRST, 100);
        nanny.hello(&WORDS);
        nanny.says(&Said::Ready);
        nanny.holds(&services.iter().map(|service| (*service, Some((true, 1)))).collect::<Vec<_>>());
        stage.hear(FIRST);
        stage.taken();
        nanny.was_asked_all();
        (stage, nanny)
    }
}

fn hold(services: &[u8]) -> Ask {
    Ask::Hold(services.iter().map(|service| assignment(*service)).collect())
}

fn created(service: u8) -> Action {
    Action::Say(Message::MonitorCreated { name: format!("w{service}"), server: "a".to_owned(), pid: 100 })
}

#[test]
fn one_process_is_started_and_told_all_of_them() {
    let mut stage = Stage::new();
    assert_eq!((stage.want(&shared(1)), stage.want(&shared(2))), (Wish::Started, Wish::Started));
    assert_eq!(stage.taken(), [Action::Find(FIRST)]);
    let nanny = stage.start(FIRST, 100);
    assert_eq!(nanny.was_asked_all(), [hold(&[1, 2])]);
    assert_eq!(stage.taken(), [created(1), created(2)], "a line for each");
    nanny.holds(&[(1, None), (2, None)]);
    nanny.holds(&[(1, Some((true, 1))), (2, Some((true, 1)))]);
    stage.hear(FIRST);
    assert_eq!(stage.taken(), [Action::Judged(target(1).service), Action::Judged(target(2).service)]);
    stage.nannies.repeat();
    stage.taken();
    assert_eq!(nanny.was_asked_all(), [], "it was answered");
    assert_eq!((stage.nannies.len(), stage.want(&shared(1))), (1, Wish::Unchanged));
}

#[test]
fn one_more_is_told_to_the_living_one() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    assert_eq!(stage.want(&shared(3)), Wish::Started);
    assert_eq!(stage.taken(), [created(3)]);
    assert_eq!(nanny.was_asked_all(), [hold(&[3])]);
    stage.nannies.repeat();
    stage.taken();
    assert_eq!(nanny.was_asked_all(), [hold(&[3])], "until it is answered");
}

#[test]
fn what_differs_of_one_is_told_and_nothing_is_replaced() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    let heavier = Assignment { weight: 7, ..assignment(1) };
    let monitor = Rc::new(Monitor { assignment: Some(heavier), ..(*shared(1)).clone() });
    assert_eq!(stage.want(&monitor), Wish::Replaced);
    assert_eq!((stage.taken(), nanny.was_asked_all()), (vec![], vec![Ask::Hold(vec![heavier])]));
    // An answer to an earlier word is none to this.
    nanny.holds(&[(1, Some((true, 1)))]);
    stage.hear(FIRST);
    stage.nannies.repeat();
    stage.taken();
    assert_eq!(nanny.was_asked_all(), [Ask::Hold(vec![heavier])]);
}

#[test]
fn one_that_leaves_is_its_nannys_until_that_let_go_of_it() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    stage.leave(1, true);
    assert_eq!(nanny.was_asked_all(), [Ask::Drop { stays: true, targets: vec![target(1)] }]);
    assert!(stage.nannies.owns(&target(1)));
    nanny.says(&Said::Dropped(vec![target(1)]));
    stage.hear(FIRST);
    assert_eq!(stage.taken(), [Action::Ended(Some(target(1)))]);
    assert!(!stage.nannies.owns(&target(1)) && stage.nannies.owns(&target(2)));
    // The last one: then nothing is left to do.
    stage.leave(2, false);
    assert_eq!(nanny.was_asked_all(), [Ask::Drop { stays: false, targets: vec![target(2)] }]);
    nanny.says(&Said::Dropped(vec![target(2)]));
    stage.hear(FIRST);
    assert_eq!(stage.taken(), [Action::Ended(Some(target(2))), Action::Terminate(100)]);
    assert_eq!(stage.killed(100), []);
    assert!(stage.nannies.is_empty());
}

#[test]
fn one_that_is_wanted_again_while_it_leaves_comes_back() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    stage.leave(1, true);
    assert_eq!(stage.want(&shared(1)), Wish::Started);
    assert_eq!(stage.nannies.running().len(), 2, "a reload that drops it again has to know of it");
    nanny.was_asked_all();
    nanny.says(&Said::Dropped(vec![target(1)]));
    stage.hear(FIRST);
    assert_eq!(stage.taken(), [Action::Ended(Some(target(1))), created(1)]);
    assert_eq!(nanny.was_asked_all(), [hold(&[1])]);
    // And one that a reload drops again meanwhile does not.
    stage.leave(1, true);
    stage.want(&shared(1));
    stage.leave(1, true);
    nanny.says(&Said::Dropped(vec![target(1)]));
    stage.hear(FIRST);
    assert_eq!(stage.taken(), [Action::Ended(Some(target(1)))]);
    assert!(!stage.nannies.owns(&target(1)));
}

#[test]
fn a_dead_one_is_followed_by_one_with_all_its_destinations() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2, 3]);
    stage.leave(2, true);
    let actions = stage.killed(100);
    drop(nanny);
    let Action::Say(Message::NannyDied { server, .. }) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(server, "a and 2 more");
    assert!(actions.contains(&Action::Find(FIRST)) && actions.contains(&Action::Ended(Some(target(2)))), "{actions:?}");
    let nanny = stage.start(FIRST, 101);
    assert_eq!(nanny.was_asked_all(), [hold(&[1, 3])]);
}

#[test]
fn the_next_one_hears_first_what_the_dead_one_found_of_the_server() {
    for (verdicts, was) in [([(true, 1), (true, 0)], true), ([(false, 0), (false, 1)], false)] {
        let (mut stage, nanny) = Stage::sharing(&[1, 2]);
        nanny.holds(&[(1, Some(verdicts[0])), (2, Some(verdicts[1]))]);
        let flaps = Flaps { strikes: 3, returned: None };
        nanny.says(&Said::Flaps(flaps));
        stage.hear(FIRST);
        stage.killed(100);
        let next = stage.start(FIRST, 101);
        assert_eq!(next.hears_all(), [Ask::Was(was), Ask::Flapped(flaps), hold(&[1, 2])]);
    }
}

#[test]
fn one_moves_to_a_nanny_of_its_own_and_back_when_the_one_before_let_go() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    assert_eq!(stage.want(&alone(1)), Wish::Replaced);
    assert_eq!(stage.taken(), []);
    assert_eq!(nanny.was_asked_all(), [Ask::Drop { stays: true, targets: vec![target(1)] }]);
    nanny.says(&Said::Dropped(vec![target(1)]));
    stage.hear(FIRST);
    assert_eq!(stage.taken(), [Action::Ended(Some(target(1))), Action::Find(FIRST + 1)]);
    let own = stage.start(FIRST + 1, 101);
    stage.taken();
    assert_eq!(stage.want(&shared(1)), Wish::Replaced);
    assert_eq!(stage.taken(), []);
    assert_eq!((own.was_asked_all(), nanny.was_asked_all()), (vec![Ask::Release], vec![]));
    let actions = stage.killed(101);
    assert_eq!(actions, [Action::Ended(Some(target(1))), created(1)]);
    assert_eq!(nanny.was_asked_all(), [hold(&[1])]);
}

/// The last server of a service with a floor fails, and a reload has it kept by another.
#[test]
fn one_that_moves_stays_among_the_last_and_is_judged_as_before() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    stage.nannies.keep_floor(&virtual_service(1, 1));
    stage.taken();
    let held = Held { assignment: Assignment { stays: true, ..assignment(1) }, verdict: Some((false, 1)) };
    nanny.says(&Said::Holds(vec![held]));
    let flaps = Flaps { strikes: 1, returned: None };
    nanny.says(&Said::Flaps(flaps));
    stage.hear(FIRST);
    assert_eq!(stage.want(&alone(1)), Wish::Replaced);
    stage.taken();
    nanny.says(&Said::Dropped(vec![target(1)]));
    stage.hear(FIRST);
    stage.nannies.keep_floor(&virtual_service(1, 1));
    assert_eq!(stage.nannies.tally([target(1)].iter()).kept, 1);
    let own = stage.start(FIRST + 1, 101);
    assert_eq!(own.hears_all(), [Ask::Stay(true), Ask::Was(false), Ask::Flapped(flaps)]);
    // And back.
    own.says(&Said::Verdict { available: false, weight: 1 });
    stage.hear(FIRST + 1);
    nanny.was_asked_all();
    stage.want(&shared(1));
    stage.killed(101);
    assert_eq!(nanny.was_asked_all(), [Ask::Hold(vec![Assignment { stays: true, ..assignment(1) }])]);
}

#[test]
fn a_guest_is_taken_with_what_it_keeps_and_told_what_differs() {
    let mut stage = Stage::new();
    let (id, nanny) = stage.guest(&place(), 100);
    nanny.holds(&[(1, Some((true, 1))), (2, Some((false, 0))), (4, Some((true, 1)))]);
    nanny.hello(&WORDS);
    stage.hear(id);
    assert_eq!(stage.taken(), [Action::Introduced(id, Some(WORDS.iter().collect()))]);
    assert_eq!(stage.nannies.claims(id), Some([1, 2, 4].map(target).to_vec()));
    // The file wants the first and the second, and a third; the fourth until all stands.
    stage.place(id, &shared(1), None);
    let heavier = Assignment { weight: 7, ..assignment(2) };
    let monitor = Rc::new(Monitor { assignment: Some(heavier), ..(*shared(2)).clone() });
    stage.place(id, &monitor, None);
    assert!(stage.nannies.shelter(id, target(4), None));
    stage.nannies.settle_in(id, stage.now, &mut stage.out);
    assert_eq!(stage.want(&shared(3)), Wish::Started);
    stage.taken();
    let asked = nanny.was_asked_all();
    assert_eq!(asked, [Ask::Hold(vec![heavier, assignment(3)])]);
    assert_eq!(stage.nannies.member(&target(1)).available, Some(true));
    assert_eq!(stage.nannies.adopted(), 1);
    stage.leave(4, false);
    assert_eq!(nanny.was_asked_all(), [Ask::Drop { stays: false, targets: vec![target(4)] }]);
}

#[test]
fn a_guest_that_an_lvsd_before_us_told_to_stay_is_not_told_otherwise_by_its_adoption() {
    let mut stage = Stage::new();
    let (id, nanny) = stage.guest(&place(), 100);
    let stays = Assignment { stays: true, ..assignment(1) };
    nanny.says(&Said::Holds(vec![Held { assignment: stays, verdict: Some((false, 1)) }]));
    nanny.holds(&[(2, Some((false, 0)))]);
    nanny.hello(&WORDS);
    stage.hear(id);
    for service in [1, 2] {
        stage.place(id, &shared(service), None);
    }
    stage.nannies.settle_in(id, stage.now, &mut stage.out);
    stage.taken();
    assert_eq!(nanny.was_asked_all(), [], "it is among the last, and would be out of the kernel");
    // The floor is judged when its service is set up: it counts, and stays.
    stage.nannies.keep_floor(&virtual_service(1, 1));
    stage.taken();
    assert_eq!(nanny.was_asked_all(), []);
    stage.nannies.keep_floor(&virtual_service(1, 0));
    stage.taken();
    assert_eq!(nanny.was_asked_all(), [hold(&[1])]);
}

#[test]
fn what_another_keeps_is_left_to_it() {
    let (mut stage, first) = Stage::sharing(&[1, 2]);
    let (id, second) = stage.guest(&place(), 101);
    second.holds(&[(2, Some((true, 1))), (5, Some((true, 1)))]);
    second.hello(&WORDS);
    stage.hear(id);
    assert!(!stage.nannies.shelter(id, target(2), None));
    stage.nannies.settle_in(id, stage.now, &mut stage.out);
    stage.taken();
    let drop = |stays, service| Ask::Drop { stays, targets: vec![target(service)] };
    assert_eq!(second.was_asked_all(), [drop(true, 2), drop(false, 5)]);
    assert!(stage.nannies.owns(&target(5)), "until it let go of it");
    // A line may lose a word.
    stage.nannies.repeat();
    stage.taken();
    assert_eq!(second.was_asked_all(), [drop(true, 2), drop(false, 5)]);
    second.says(&Said::Dropped(vec![target(2), target(5)]));
    stage.hear(id);
    let ended = |service| Action::Ended(Some(target(service)));
    assert_eq!(stage.taken(), [ended(2), ended(5), Action::Terminate(101)]);
    assert!(stage.nannies.owns(&target(2)) && !stage.nannies.owns(&target(5)));
    assert_eq!(first.was_asked_all(), []);
}

#[test]
fn a_guest_that_keeps_nothing_leaves() {
    let mut stage = Stage::new();
    let (id, nanny) = stage.guest(&place(), 101);
    nanny.hello(&WORDS);
    stage.hear(id);
    stage.nannies.settle_in(id, stage.now, &mut stage.out);
    assert_eq!(nanny.was_asked_all(), [Ask::Release]);
}

#[test]
fn what_a_guest_may_keep_is_not_free_before_it_said_so() {
    let mut stage = Stage::new();
    stage.want(&shared(1));
    stage.want(&shared(2));
    let nanny = stage.find(FIRST, 100);
    stage.taken();
    stage.leave(1, true);
    assert_eq!((stage.taken(), stage.nannies.owns(&target(1))), (vec![], true));
    nanny.holds(&[(1, Some((true, 1))), (2, Some((true, 1)))]);
    nanny.hello(&WORDS);
    stage.hear(FIRST);
    assert_eq!(nanny.was_asked_all(), [Ask::Drop { stays: true, targets: vec![target(1)] }]);
}

#[test]
fn the_floor_of_one_service_is_told_with_its_destination() {
    let (mut stage, nanny) = Stage::sharing(&[1, 2]);
    stage.nannies.keep_floor(&virtual_service(1, 1));
    stage.taken();
    let stays = Assignment { stays: true, ..assignment(1) };
    assert_eq!(nanny.was_asked_all(), [Ask::Hold(vec![stays])]);
    // Its successor is told at once.
    stage.killed(100);
    let nanny = stage.start(FIRST, 101);
    assert_eq!(nanny.was_asked_all(), [Ask::Hold(vec![stays, assignment(2)])]);
}

#[test]
fn a_line_that_is_full_costs_nothing_but_time() {
    let mut stage = Stage::new();
    let all: Vec<u8> = (0..=255).collect();
    for service in &all {
        stage.want(&shared(*service));
    }
    let nanny = stage.start(FIRST, 100);
    let mut told: BTreeSet<Target> = BTreeSet::new();
    for _ in 0..all.len() {
        let heard: Vec<Assignment> = nanny
            .was_asked_all()
            .into_iter()
            .flat_map(|ask| if let Ask::Hold(all) = ask { all } else { Vec::new() })
            .collect();
        told.extend(heard.iter().map(|assignment| assignment.target));
        let held: Vec<Held> = heard.into_iter().map(|assignment| Held { assignment, verdict: None }).collect();
        nanny.says(&Said::Holds(held));
        stage.hear(FIRST);
    }
    assert_eq!(told.len(), all.len());
}

#[test]
fn a_stop_ends_the_process_and_frees_every_destination() {
    let (mut stage, _nanny) = Stage::sharing(&[1, 2]);
    stage.leave(1, true);
    stage.want(&shared(1));
    stage.nannies.stop_all(stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(100)]);
    assert!(stage.nannies.owns(&target(2)));
    let actions = stage.killed(100);
    assert_eq!(actions, [Action::Ended(Some(target(1))), Action::Ended(Some(target(2)))]);
    assert!(stage.nannies.is_empty());
}
