//! The loop over real loopback sockets and a kernel's table in memory. A director's
//! hand on the other end of lvsd's line does what the test asks, on a thread of its own.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use common::channel::{Ask, Received, join};
use common::ipvs::fake::Fake;
use common::ipvs::{Destination, DestinationKey, ForwardingMethod, Ipvs, Operation, Protocol, Service, ServiceKey};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn service() -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 }
}

fn destination(weight: u32) -> Destination {
    let key = DestinationKey { address: "127.0.0.1".parse().unwrap(), port: 80 };
    Destination::new(key, ForwardingMethod::DirectRouting, weight)
}

fn neighbour() -> Destination {
    let key = DestinationKey { address: "198.51.100.9".parse().unwrap(), port: 80 };
    Destination::new(key, ForwardingMethod::DirectRouting, 4)
}

fn table(fake: &Fake) -> Vec<Destination> {
    fake.clone().destinations(&service()).unwrap().into_iter().map(|entry| entry.destination).collect()
}

/// A table with the service and a neighbour's destination.
fn fake() -> Fake {
    let fake = Fake::default();
    fake.clone().add_service(&Service::new(service(), "rr")).unwrap();
    fake.clone().add_destination(&service(), &neighbour()).unwrap();
    fake
}

/// Runs a nanny over `fake` until `hand`, on lvsd's end of the line, has it end.
fn run_with(fake: &Fake, server: SocketAddr, place: &Path, hand: impl FnOnce(Parent) + Send + 'static) -> ExitStatus {
    let path = place.to_owned();
    let hand = std::thread::spawn(move || {
        let until = Instant::now() + DEADLINE;
        let line = loop {
            match join(&path) {
                Ok(line) => break line,
                Err(e) => assert!(Instant::now() < until, "{e}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        hand(Parent { line });
    });
    let status = run(Setup { place: Some(place.to_owned()), ..setup(fake, server) });
    hand.join().unwrap();
    status
}

/// A nanny that was started, in the test's hand, and lvsd's end of the line.
fn met(fake: &Fake, place: &Path) -> (Nanny, Line) {
    let setup = setup(fake, "127.0.0.1:9".parse().unwrap());
    let hands = Hands::new(probe::checks(&setup.args).unwrap(), 0, None).unwrap();
    let mut nanny = Nanny::new(Setup { place: Some(place.to_owned()), ..setup }, hands);
    nanny.start().unwrap();
    let other_end = join(place).unwrap();
    nanny.meet(nanny.hands.parents.accept().unwrap());
    (nanny, other_end)
}

/// A nanny of weight 5 for this server over `fake`.
fn setup(fake: &Fake, server: SocketAddr) -> Setup {
    let port = server.port().to_string();
    let line = [
        "-n",
        "--lvs",
        "-h",
        "127.0.0.1",
        "-p",
        "80",
        "-r",
        &port,
        "-V",
        "192.0.2.1",
        "-M",
        "g",
        "-w",
        "5",
        "-t",
        "20",
        "--period",
        "0.2",
    ];
    let args = crate::args::parse(line.map(OsString::from).into_iter().chain(["-s".into(), "x".into()])).unwrap();
    let opened = fake.clone();
    Setup {
        args,
        log: Log::new(false),
        open: Some(Box::new(move || Ok(Box::new(opened.clone()) as Box<dyn Ipvs>))),
        line: None,
        launch: None,
        place: None,
        arguments: vec!["-n".into()],
        seed: 7,
        secure: None,
    }
}

struct Parent {
    line: Line,
}

impl Parent {
    fn hear(&self, expected: &Said) {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.line.receive_said() {
                Received::Message(said) if said == *expected => return,
                Received::Message(_) => continue,
                Received::Nothing => {}
                other @ (Received::Garbage(_) | Received::Ended) => panic!("{other:?}"),
            }
            assert!(Instant::now() < until, "waited in vain for {expected:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The end of a test, a failed one too.
impl Drop for Parent {
    fn drop(&mut self) {
        let _ = self.line.send(&Ask::Release.encode());
    }
}

#[test]
fn a_well_server_is_added_with_the_kernels_port_and_left_there_on_release() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
    let place = dir.path().join("place");
    let status = run_with(&fake, listener.local_addr().unwrap(), &place, |parent| {
        parent.hear(&Said::hello(vec!["-n".into()]));
        parent.hear(&Said::Ready);
        parent.hear(&Said::Verdict { available: true, weight: 5 });
        drop(parent);
    });
    assert_eq!(status, ExitStatus::Stopped);
    assert_eq!(table(&fake), [neighbour(), destination(5)]);
    assert!(!place.exists(), "its name is free for the next");
}

#[test]
fn what_is_found_stays_and_a_dead_server_loses_its_own_destination_only() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
    fake.clone().add_destination(&service(), &destination(5)).unwrap();
    fake.forget_calls();
    run_with(&fake, server, &dir.path().join("place"), move |parent| {
        parent.hear(&Said::Verdict { available: true, weight: 5 });
        drop(listener);
        parent.hear(&Said::Verdict { available: false, weight: 0 });
        drop(parent);
    });
    assert_eq!(table(&fake), [neighbour()]);
    assert_eq!(fake.count(Operation::AddDestination) + fake.count(Operation::EditDestination), 0);
    assert_eq!(fake.count(Operation::DeleteDestination), 1);
    assert_eq!(fake.count(Operation::DeleteService), 0);
}

#[test]
fn one_of_the_last_stays_in_the_kernel_until_lvsd_lets_it_go() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
    run_with(&fake, server, &dir.path().join("place"), move |parent| {
        parent.hear(&Said::Verdict { available: true, weight: 5 });
        parent.line.send(&Ask::Stay(true).encode()).unwrap();
        // Answers come in the order of the questions: it knows before its server is gone.
        parent.line.send(&Ask::Why.encode()).unwrap();
        parent.hear(&Said::Why { at: 0, text: String::new() });
        drop(listener);
        parent.hear(&Said::Verdict { available: false, weight: 5 });
        parent.line.send(&Ask::Stay(false).encode()).unwrap();
        parent.hear(&Said::Verdict { available: false, weight: 0 });
        parent.line.send(&Ask::Stay(true).encode()).unwrap();
        parent.hear(&Said::Verdict { available: false, weight: 5 });
        drop(parent);
    });
    assert_eq!(table(&fake), [neighbour(), destination(5)]);
    assert_eq!(fake.count(Operation::DeleteDestination), 1, "while it was let go");
}

#[test]
fn a_kernel_that_fails_is_tried_again_with_the_next_look() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
    fake.fail(Operation::AddDestination, ipvs::Error::Timeout("add destination"));
    run_with(&fake, listener.local_addr().unwrap(), &dir.path().join("place"), |parent| {
        parent.hear(&Said::Alive);
        parent.line.send(&Ask::Check.encode()).unwrap();
        parent.hear(&Said::Verdict { available: true, weight: 5 });
        drop(parent);
    });
    assert_eq!(table(&fake), [neighbour(), destination(5)]);
}

#[test]
fn lvsd_hears_a_verdict_when_the_kernel_has_it() {
    let fake = fake();
    let place = tempfile::tempdir().unwrap();
    let (mut nanny, other_end) = met(&fake, &place.path().join("place"));
    let verdict = || {
        std::iter::from_fn(|| match other_end.receive_said() {
            Received::Message(said) => Some(said),
            Received::Garbage(_) | Received::Nothing | Received::Ended => None,
        })
        .find(|said| matches!(said, Said::Verdict { .. }))
    };
    nanny.feed(Event::Good, Instant::now());
    assert_eq!((verdict(), table(&fake)), (None, vec![neighbour()]));
    fake.fail(Operation::AddDestination, ipvs::Error::Timeout("add destination"));
    nanny.settle();
    assert_eq!((verdict(), table(&fake)), (None, vec![neighbour()]), "the sorry server is not sent away for it");
    nanny.settle();
    assert_eq!(verdict(), Some(Said::Verdict { available: true, weight: 5 }));
    assert_eq!(table(&fake), [neighbour(), destination(5)]);
    nanny.feed(Event::Bad, Instant::now());
    assert_eq!((verdict(), table(&fake)), (None, vec![neighbour(), destination(5)]));
    nanny.settle();
    assert_eq!((verdict(), table(&fake)), (Some(Said::Verdict { available: false, weight: 0 }), vec![neighbour()]));
}

/// A nanny that is not started, over this table.
fn idle(fake: &Fake) -> Nanny {
    let setup = setup(fake, "127.0.0.1:9".parse().unwrap());
    let hands = Hands::new(probe::checks(&setup.args).unwrap(), 0, None).unwrap();
    Nanny::new(setup, hands)
}

#[test]
fn each_certificate_that_ends_soon_has_a_clock_of_its_own_and_there_are_not_too_many() {
    let mut nanny = idle(&fake());
    let now = Instant::now();
    let of = "127.0.0.1:443".parse().unwrap();
    let ending = |ends| Certificate { of, ends, warn_before: Duration::from_secs(3600) };
    nanny.warn_of_ends(vec![ending(1), ending(i64::MAX), ending(2)], now);
    nanny.warn_of_ends(vec![ending(1), ending(3)], now + WARN_EVERY / 2);
    let known: Vec<_> = nanny.warned.iter().map(|(certificate, at)| (certificate.ends, *at - now)).collect();
    assert_eq!(known, [(1, Duration::ZERO), (2, Duration::ZERO), (3, WARN_EVERY / 2)]);
    nanny.warn_of_ends(vec![ending(1)], now + WARN_EVERY);
    assert_eq!(nanny.warned.iter().filter(|(certificate, _)| certificate.ends == 1).count(), 1);
    // A server that shows another each time fills no memory and no disk.
    nanny.warn_of_ends((10..100).map(ending).collect(), now + WARN_EVERY);
    assert_eq!(nanny.warned.len(), CHECKS_MAX);
}

#[test]
fn a_failure_is_said_again_when_it_is_another_or_after_a_while_in_other_words() {
    let mut nanny = idle(&fake());
    let began = Instant::now();
    let mut said = |outcome: &Outcome, after: Duration| {
        let (said, transcript) = (Vec::new(), String::new());
        nanny.judge(&Ended { outcome: outcome.clone(), weight: None, by: 0, said, transcript }, began + after);
        nanny.complained.as_ref().is_some_and(|(last, at)| last == outcome && *at == began + after)
    };
    let (one, two) =
        (Outcome::Wrong("550 try again, id 1".to_owned()), Outcome::Wrong("550 try again, id 2".to_owned()));
    let second = Duration::from_secs(1);
    assert!(said(&one, Duration::ZERO));
    assert!(!said(&two, second), "the same in other words");
    assert!(said(&Outcome::ReadTimedOut, second * 2));
    assert!(said(&two, second * 3));
    assert!(!said(&one, REWORD_EVERY));
    assert!(said(&one, REWORD_EVERY + second * 3));
    assert!(!said(&one, REWORD_EVERY * 9), "in the same words never");
    assert!(!said(&Outcome::Good, REWORD_EVERY * 9));
    assert!(said(&one, REWORD_EVERY * 9), "it was well in between");
}

#[test]
fn a_script_that_asks_for_a_weight_undoes_no_drain() {
    for (configured, has) in [("5", 48), ("0", 0)] {
        let fake = fake();
        let setup = setup(&fake, "127.0.0.1:9".parse().unwrap());
        let line = ["-n", "--lvs", "-h", "127.0.0.1", "-V", "192.0.2.1", "-M", "g", "-w", configured];
        let args = crate::args::parse(line.map(OsString::from)).unwrap();
        let hands = Hands::new(probe::checks(&args).unwrap(), 0, None).unwrap();
        let mut nanny = Nanny::new(Setup { args, ..setup }, hands);
        nanny.start().unwrap();
        let (said, transcript) = (Vec::new(), String::new());
        nanny.judge(&Ended { outcome: Outcome::Good, weight: Some(48), by: 0, said, transcript }, Instant::now());
        assert_eq!(table(&fake), [neighbour(), destination(has)]);
    }
}

#[test]
fn a_verdict_that_a_full_line_lost_is_said_again() {
    let place = tempfile::tempdir().unwrap();
    let fake = fake();
    let (mut nanny, other_end) = met(&fake, &place.path().join("place"));
    while nanny.hands.parents.tell(&Said::Alive) {}
    let now = Instant::now();
    nanny.feed(Event::Good, now);
    nanny.settle();
    let verdicts = || {
        let all = std::iter::from_fn(|| match other_end.receive_said() {
            Received::Message(said) => Some(said),
            Received::Garbage(_) | Received::Nothing | Received::Ended => None,
        });
        all.filter(|said| matches!(said, Said::Verdict { .. })).count()
    };
    assert_eq!(verdicts(), 0);
    nanny.settle();
    assert_eq!(verdicts(), 1);
    nanny.settle();
    assert_eq!(verdicts(), 0, "it was heard");
}

#[test]
fn a_second_nanny_for_the_same_destination_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("place");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fake, server, second_path) = (fake(), listener.local_addr().unwrap(), path.clone());
    let status = run_with(&fake, server, &path, move |parent| {
        parent.hear(&Said::Verdict { available: true, weight: 5 });
        let second = self::fake();
        let opened = second.clone();
        let port = server.port().to_string();
        let line = ["-n", "--lvs", "-h", "127.0.0.1", "-r", &port, "-V", "192.0.2.1"];
        let status = run(Setup {
            args: crate::args::parse(line.map(OsString::from)).unwrap(),
            log: Log::new(false),
            open: Some(Box::new(move || Ok(Box::new(opened.clone()) as Box<dyn Ipvs>))),
            line: None,
            launch: None,
            place: Some(second_path),
            arguments: Vec::new(),
            seed: 7,
            secure: None,
        });
        assert_eq!(status, ExitStatus::System);
        assert_eq!(table(&second), [neighbour()], "it touched nothing");
        // The first one has not lost its parent to the visitor.
        parent.hear(&Said::Alive);
        drop(parent);
    });
    assert_eq!(status, ExitStatus::Stopped);
}

#[test]
fn visitors_do_not_cost_the_parent_its_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fake, dir) = (fake(), tempfile::tempdir().unwrap());
    let place = dir.path().join("place");
    let at = place.clone();
    run_with(&fake, listener.local_addr().unwrap(), &place, move |parent| {
        parent.hear(&Said::Ready);
        let is_answered = || {
            parent.line.send(&Ask::Why.encode()).unwrap();
            parent.hear(&Said::Why { at: 0, text: String::new() });
        };
        // More than there is room for; those on top are shown the door.
        let visitors: Vec<_> = (0..=crate::hands::parents::LINES_MAX).map(|_| join(&at)).collect();
        is_answered();
        drop(visitors);
        is_answered();
        drop(parent);
    });
}
