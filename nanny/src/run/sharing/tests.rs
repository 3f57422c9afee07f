//! A nanny of several destinations over a table in memory: told by lvsd, judged by
//! checks whose outcomes the test decides.

use std::cell::Cell;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use common::channel::{Line, Received};
use common::destinations::{Failed, unpack};
use common::ipvs::fake::Fake;
use common::ipvs::{Destination, DestinationKey, ForwardingMethod, Ipvs, Operation, Protocol, Service, ServiceKey};
use common::log::Log;
use proptest::prelude::*;

use super::*;
use crate::hands::{Ended, Hands};
use crate::health::Event;
use crate::probe::{self, Outcome};
use crate::run::Setup;

const SERVICES: u8 = 4;

fn service(n: u8) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, n].into(), port: 80 }
}

fn target(n: u8) -> Target {
    Target { service: service(n), destination: DestinationKey { address: [127, 0, 0, 1].into(), port: 9 } }
}

fn assignment(n: u8) -> Assignment {
    Assignment {
        target: target(n),
        method: ForwardingMethod::Masquerade,
        weight: 10 + u32::from(n),
        failed: Failed::Removed,
        slow_start: Duration::ZERO,
        limits: None,
        stays: false,
    }
}

/// The nanny, its kernel, and lvsd's end of the line.
struct Stage {
    nanny: Nanny,
    fake: Fake,
    line: Line,
}

impl Stage {
    fn new(policy: &str) -> Self {
        let fake = Fake::default();
        for n in 0..SERVICES {
            fake.clone().add_service(&Service::new(service(n), "rr")).unwrap();
        }
        let opened = fake.clone();
        let words = format!("-c -h 127.0.0.1 -p 80 -r 9 -t 1 -a 1 {policy} --shared 1 --lvs");
        let args = crate::args::parse(words.split_whitespace().map(OsString::from)).unwrap();
        let hands = Hands::new(probe::checks(&args).unwrap(), 0, None).unwrap();
        let (line, theirs) = Line::pair().unwrap();
        let setup = Setup {
            args,
            log: Log::new(false),
            open: Some(Box::new(move || Ok(Box::new(opened.clone()) as Box<dyn Ipvs>))),
            line: Some(Line::of(theirs)),
            launch: None,
            place: None,
            arguments: vec!["-c".into()],
            seed: 7,
            secure: None,
        };
        let mut nanny = Nanny::new(setup, hands);
        nanny.start().unwrap();
        let stage = Self { nanny, fake, line };
        assert_eq!(stage.heard(), [Said::hello(vec!["-c".into()]), Said::Ready]);
        stage
    }

    /// What lvsd heard since the last time.
    fn heard(&self) -> Vec<Said> {
        std::iter::from_fn(|| match self.line.receive_said() {
            Received::Message(said) => Some(said),
            Received::Garbage(_) | Received::Nothing | Received::Ended => None,
        })
        .collect()
    }

    fn hold(&mut self, all: &[Assignment]) {
        self.nanny.hold(all, Instant::now());
    }

    fn checked(&mut self, good: bool) {
        let outcome = if good { Outcome::Good } else { Outcome::ReadTimedOut };
        let ended = Ended { outcome, weight: None, by: 0, said: Vec::new(), transcript: "why".into() };
        self.nanny.judge(&ended, Instant::now());
    }

    /// The weights that the kernel has, by service.
    fn weights(&self) -> Vec<Option<u32>> {
        let of = |n| {
            let entries = self.fake.clone().destinations(&service(n)).unwrap();
            entries.iter().find(|it| it.destination.key == target(n).destination).map(|it| it.destination.weight)
        };
        (0..SERVICES).map(of).collect()
    }
}

fn held(n: u8, verdict: Option<(bool, u32)>) -> Held {
    Held { assignment: assignment(n), verdict }
}

#[test]
fn one_check_is_the_verdict_on_all_and_each_has_its_own_weight() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0), assignment(1)]);
    assert_eq!(stage.heard(), [Said::Holds(vec![held(0, None), held(1, None)])]);
    assert_eq!(stage.weights(), [None; 4]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None]);
    assert_eq!(stage.heard(), [Said::Holds(vec![held(0, Some((true, 10))), held(1, Some((true, 11)))])]);
    stage.checked(false);
    assert_eq!(stage.weights(), [None; 4]);
    assert_eq!(stage.heard(), [Said::Holds(vec![held(0, Some((false, 0))), held(1, Some((false, 0)))])]);
}

#[test]
fn one_that_joins_is_judged_by_what_the_others_were_and_disturbs_none() {
    let mut stage = Stage::new("--rise 3");
    stage.hold(&[assignment(0)]);
    stage.checked(true);
    stage.fake.forget_calls();
    stage.heard();
    stage.hold(&[assignment(1)]);
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None], "the server is known to be well");
    assert_eq!(stage.heard().last(), Some(&Said::Holds(vec![held(1, Some((true, 11)))])));
    assert_eq!(stage.fake.count(Operation::EditDestination) + stage.fake.count(Operation::DeleteDestination), 0);
    stage.checked(false);
    stage.checked(true);
    // In the kernel from somebody else's days, and its server is out of use.
    let found = Destination::new(target(2).destination, ForwardingMethod::Masquerade, 12);
    stage.fake.clone().add_destination(&service(2), &found).unwrap();
    stage.hold(&[assignment(2), assignment(3)]);
    assert_eq!(stage.weights(), [None; 4]);
    // All of them return together, after as many good checks.
    stage.checked(true);
    assert_eq!(stage.weights(), [None; 4]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), Some(12), Some(13)]);
}

#[test]
fn what_the_kernel_has_stays_until_the_first_verdict() {
    let mut stage = Stage::new("--fall 2");
    for n in [0, 1] {
        let found = Destination::new(target(n).destination, ForwardingMethod::Masquerade, 3);
        stage.fake.clone().add_destination(&service(n), &found).unwrap();
    }
    stage.hold(&[assignment(0), assignment(1)]);
    assert_eq!(stage.heard()[0], Said::Holds(vec![held(0, Some((true, 3))), held(1, Some((true, 3)))]));
    stage.checked(false);
    assert_eq!(stage.weights(), [Some(3), Some(3), None, None]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None]);
}

#[test]
fn one_that_is_let_go_stays_or_goes_and_the_others_notice_nothing() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0), assignment(1), assignment(2)]);
    stage.checked(true);
    stage.heard();
    let now = Instant::now();
    stage.nanny.drop_all(&[target(0), target(3)], true, now);
    stage.nanny.drop_all(&[target(1)], false, now);
    assert_eq!(stage.heard(), [Said::Dropped(vec![target(0), target(3)]), Said::Dropped(vec![target(1)])]);
    assert_eq!(stage.weights(), [Some(10), None, Some(12), None]);
    stage.checked(false);
    assert_eq!(stage.weights(), [Some(10), None, None, None], "the first is nobody's here any more");
    stage.nanny.drop_all(&[target(2)], true, now);
    assert!(!stage.nanny.wants_checks(), "nothing is left to check for");
    // Old evidence is none.
    stage.hold(&[assignment(1)]);
    assert_eq!(stage.weights(), [Some(10), None, None, None]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None]);
}

#[test]
fn how_one_is_kept_changes_in_place() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0), assignment(1)]);
    stage.checked(true);
    stage.fake.forget_calls();
    let quiesced = Assignment { weight: 99, failed: Failed::Quiesced, ..assignment(0) };
    stage.hold(&[quiesced]);
    assert_eq!(stage.weights(), [Some(99), Some(11), None, None]);
    let limited = Assignment { limits: Some(common::destinations::Limits { upper: 9, lower: 5 }), ..quiesced };
    stage.hold(&[limited]);
    let entry = stage.fake.clone().destinations(&service(0)).unwrap().remove(0).destination;
    assert_eq!((entry.upper_threshold, entry.lower_threshold, entry.weight), (9, 5, 99));
    stage.checked(false);
    assert_eq!(stage.weights(), [Some(0), None, None, None]);
    // Its service has a floor, and the other's has none.
    stage.hold(&[Assignment { stays: true, ..limited }]);
    assert_eq!(stage.weights(), [Some(99), None, None, None]);
    stage.hold(&[limited]);
    assert_eq!(stage.weights(), [Some(0), None, None, None]);
    let edits = stage.fake.count(Operation::EditDestination);
    stage.hold(&[limited]);
    assert_eq!(stage.fake.count(Operation::EditDestination), edits, "to hear it twice does nothing");
}

#[test]
fn a_weight_that_the_check_asks_for_outlives_a_change_of_anything_else() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0)]);
    let (said, transcript) = (Vec::new(), String::new());
    let ended = Ended { outcome: Outcome::Good, weight: Some(48), by: 0, said, transcript };
    stage.nanny.judge(&ended, Instant::now());
    stage.hold(&[Assignment { failed: Failed::Quiesced, ..assignment(0) }]);
    assert_eq!(stage.weights()[0], Some(48));
    stage.hold(&[Assignment { weight: 0, ..assignment(0) }]);
    assert_eq!(stage.weights()[0], Some(0), "it undoes no drain");
}

/// Its predecessor died, and the server is down for a while still.
#[test]
fn what_a_predecessor_found_bad_has_to_earn_its_place_in_every_service() {
    let mut stage = Stage::new("--rise 2");
    stage.nanny.inherit(false, Instant::now());
    stage.hold(&[assignment(0), assignment(1)]);
    assert!(stage.nanny.deadline() <= Instant::now(), "it is checked at once");
    stage.checked(true);
    stage.hold(&[assignment(2)]);
    assert_eq!(stage.weights(), [None; 4]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), Some(12), None], "all of them together");
    // Its own checks know better than a word that comes late.
    stage.nanny.inherit(false, Instant::now());
    assert_eq!(stage.weights(), [Some(10), Some(11), Some(12), None]);
}

#[test]
fn one_that_joins_a_server_that_comes_and_goes_waits_as_long_as_the_others() {
    let mut stage = Stage::new("--rise 2 --dampen 60");
    stage.hold(&[assignment(0), assignment(1)]);
    let fall_and_return = |stage: &mut Stage, good: u32| {
        stage.checked(false);
        (0..good).for_each(|_| stage.checked(true));
    };
    stage.checked(true);
    fall_and_return(&mut stage, 2);
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None]);
    stage.heard();
    // It fell again: twice as many.
    fall_and_return(&mut stage, 2);
    assert!(stage.heard().contains(&Said::Flaps(channel::Flaps { strikes: 1, returned: None })));
    stage.hold(&[assignment(2)]);
    stage.checked(true);
    assert_eq!(stage.weights(), [None; 4]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), Some(12), None]);
    // And falls with them the next time.
    fall_and_return(&mut stage, 7);
    assert_eq!(stage.weights(), [None; 4]);
    stage.checked(true);
    assert_eq!(stage.weights(), [Some(10), Some(11), Some(12), None]);
}

#[test]
fn a_successor_goes_on_with_the_strikes_of_the_nanny_before_it() {
    let flaps = |stage: &Stage| {
        let all = stage.heard().into_iter();
        all.filter_map(|said| if let Said::Flaps(flaps) = said { Some(flaps) } else { None }).next_back()
    };
    let mut first = Stage::new("--rise 2 --dampen 60");
    first.hold(&[assignment(0)]);
    for good in [true, false, true, true, false, true, true, true, true] {
        first.checked(good);
    }
    assert_eq!(first.weights()[0], Some(10), "after four");
    let told = flaps(&first).unwrap();
    assert_eq!((told.strikes, told.returned.is_some()), (1, true));
    let mut second = Stage::new("--rise 2 --dampen 60");
    second.nanny.inherit(true, Instant::now());
    second.nanny.recall(told, Instant::now());
    second.hold(&[assignment(0)]);
    for good in [true, false, true, true, true, true, true, true, true] {
        second.checked(good);
    }
    assert_eq!(second.weights()[0], None, "it takes eight now");
    second.checked(true);
    assert_eq!(second.weights()[0], Some(10));
    assert_eq!(flaps(&second).map(|flaps| flaps.strikes), Some(2));
}

#[test]
fn weight_0_in_the_kernel_is_no_failure_of_a_server_that_is_known_to_be_well() {
    let mut stage = Stage::new("--rise 3");
    stage.hold(&[assignment(0)]);
    stage.checked(true);
    let drained = Destination::new(target(1).destination, ForwardingMethod::Masquerade, 0);
    stage.fake.clone().add_destination(&service(1), &drained).unwrap();
    stage.hold(&[Assignment { failed: Failed::Quiesced, ..assignment(1) }]);
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None]);
}

#[test]
fn glasses_are_on_for_all_and_for_who_comes() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0), assignment(1)]);
    stage.checked(true);
    stage.nanny.glasses(Event::OpaqueOn, Instant::now());
    stage.hold(&[assignment(2)]);
    assert_eq!(stage.weights(), [None; 4]);
    assert!(!stage.nanny.wants_checks());
    stage.nanny.glasses(Event::RoseOn, Instant::now());
    assert_eq!(stage.weights(), [Some(10), Some(11), Some(12), None]);
    stage.nanny.glasses(Event::GlassesOff, Instant::now());
    assert!(stage.nanny.wants_checks());
}

#[test]
fn a_service_that_was_put_back_gets_its_destination_at_once() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0), assignment(1)]);
    stage.checked(true);
    for n in [0, 1] {
        stage.fake.clone().delete_destination(&service(n), &target(n).destination).unwrap();
    }
    stage.nanny.put_back(|target| target.service == service(1), Instant::now());
    assert_eq!(stage.weights(), [None, Some(11), None, None]);
    // The other one with a look.
    stage.nanny.look(Instant::now());
    assert_eq!(stage.weights(), [Some(10), Some(11), None, None]);
}

#[test]
fn an_end_takes_all_of_them_along() {
    let mut stage = Stage::new("");
    stage.hold(&[assignment(0), assignment(1), assignment(2)]);
    stage.checked(true);
    stage.nanny.terminate(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(stage.weights(), [None; 4]);
}

#[test]
fn no_more_are_taken_than_a_nanny_keeps() {
    let mut stage = Stage::new("");
    let many = (0..=DESTINATIONS_MAX).map(|n| {
        let [_, _, high, low] = u32::try_from(n).unwrap().to_be_bytes();
        let service = ServiceKey::Address { protocol: Protocol::Tcp, address: [10, 0, high, low].into(), port: 80 };
        Assignment { target: Target { service, ..target(0) }, ..assignment(0) }
    });
    let many: Vec<Assignment> = many.collect();
    for packet in common::destinations::pack(&many, channel::ASK_ROOM) {
        let text = packet.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(unpack(&text).as_ref(), Some(&packet));
        stage.hold(&packet);
        stage.heard();
    }
    assert_eq!(stage.nanny.kept.len(), DESTINATIONS_MAX);
}

/// What happens to a nanny of several.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Check(bool),
    Hold(u8, bool),
    Let(u8, bool),
    Look,
    /// Somebody else adds it.
    Meddle(u8),
}

fn anything() -> impl Strategy<Value = Happens> {
    let n = 0..SERVICES;
    prop_oneof![
        4 => any::<bool>().prop_map(Happens::Check),
        2 => (n.clone(), proptest::bool::weighted(0.2)).prop_map(|(n, stays)| Happens::Hold(n, stays)),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, stays)| Happens::Let(n, stays)),
        1 => Just(Happens::Look),
        1 => n.prop_map(Happens::Meddle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_table_never_holds_a_server_whose_last_checks_failed_unless_a_floor_says_so(
        fall in 1_u32..4,
        rise in 1_u32..4,
        all in prop::collection::vec(anything(), 1..40),
    ) {
        let mut stage = Stage::new(&format!("--fall {fall} --rise {rise}"));
        let bad = Rc::new(Cell::new(0));
        for happens in all {
            match happens {
                Happens::Check(good) if stage.nanny.wants_checks() => {
                    bad.set(if good { 0 } else { bad.get() + 1 });
                    stage.checked(good);
                }
                Happens::Check(_) => {}
                Happens::Hold(n, stays) => stage.hold(&[Assignment { stays, ..assignment(n) }]),
                Happens::Let(n, stays) => {
                    stage.nanny.drop_all(&[target(n)], stays, Instant::now());
                    if stage.nanny.kept.is_empty() {
                        bad.set(0);
                    }
                }
                Happens::Look => stage.nanny.look(Instant::now()),
                Happens::Meddle(n) => {
                    let theirs = Destination::new(target(n).destination, ForwardingMethod::Masquerade, 1);
                    let _ = stage.fake.clone().add_destination(&service(n), &theirs);
                    stage.nanny.look(Instant::now());
                }
            }
            let weights = stage.weights();
            for kept in &stage.nanny.kept {
                let n = (0..SERVICES).find(|n| *kept.target() == target(*n)).unwrap();
                let weight = weights[usize::from(n)];
                if bad.get() >= fall && !kept.assignment.stays {
                    prop_assert_eq!(weight, None, "{:?}", happens);
                }
                let good = kept.told.is_some_and(|(available, _)| available);
                prop_assert!(!good || weight.is_some(), "lvsd was told that it is in use");
            }
        }
    }
}
