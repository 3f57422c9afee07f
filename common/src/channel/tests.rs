use std::net::IpAddr;

use nix::sys::socket::{Shutdown, shutdown};
use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::destinations::Failed;
use crate::ipvs::{DestinationKey, ForwardingMethod, Protocol};

/// Ends it, as its process's death does. A child that another test starts at this moment
/// has a copy of the descriptor until it is another program: dropped here alone, the
/// line would go on for as long.
fn end(line: &Line) {
    shutdown(line.fd.as_raw_fd(), Shutdown::Both).unwrap();
}

fn target(n: u8) -> Target {
    let service = ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, n].into(), port: 80 };
    Target { service, destination: DestinationKey { address: [10, 0, 0, 1].into(), port: 80 } }
}

fn assignment(n: u8) -> Assignment {
    Assignment {
        target: target(n),
        method: ForwardingMethod::Tunnel,
        weight: 3,
        failed: Failed::Removed,
        slow_start: Duration::ZERO,
        limits: None,
        stays: true,
    }
}

fn any_said() -> impl Strategy<Value = Said> {
    prop_oneof![
        (any::<u32>(), any::<u32>(), prop::collection::vec("[^\0]{0,40}", 0..20))
            .prop_map(|(pid, version, arguments)| Said::Hello { pid, version, arguments }),
        Just(Said::Ready),
        Just(Said::Alive),
        (any::<bool>(), any::<u32>()).prop_map(|(available, weight)| Said::Verdict { available, weight }),
        ".{0,80}".prop_map(Said::Leaving),
        (any::<u64>(), "[ -~\n]{0,80}").prop_map(|(at, text)| Said::Why { at, text }),
        ".{0,80}".prop_map(Said::Unable),
        Just(Said::Able),
        prop::collection::vec(any::<IpAddr>(), 0..400).prop_map(|addresses| Said::Withdrawn(services::Page {
            number: 1,
            of: 2,
            addresses
        })),
        ("[^\0]{0,80}", any::<u64>()).prop_map(|(name, lost)| {
            let text = name.clone();
            Said::News(services::News { what: services::Happened::ServerDown, name, text, lost })
        }),
        (any::<bool>(), any::<Option<usize>>(), "(.|\n){0,80}").prop_map(|(done, next, text)| Said::Answer {
            done,
            next,
            text
        }),
        (any::<u32>(), prop::option::of(0..=2_592_000_000_u64))
            .prop_map(|(strikes, ago)| { Said::Flaps(Flaps { strikes, returned: ago.map(Duration::from_millis) }) }),
        prop::collection::vec((any::<u8>(), any::<Option<(bool, u32)>>()), 0..9).prop_map(|all| {
            Said::Holds(all.into_iter().map(|(n, verdict)| Held { assignment: assignment(n), verdict }).collect())
        }),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|all| Said::Dropped(all.into_iter().map(target).collect())),
    ]
}

proptest! {
    #[test]
    fn what_was_said_is_what_is_heard(said in any_said()) {
        prop_assert_eq!(Said::decode(&said.encode()), Ok(said));
    }

    #[test]
    fn hostile_packets_are_garbage_and_never_a_panic(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Said::decode(&packet);
        let _ = Ask::decode(&packet);
    }
}

#[test]
fn asks_round_trip() {
    let order = Ask::Order { what: "weight=5".to_owned(), server: "web one/a b".to_owned() };
    let of_several = [
        Ask::Hold(vec![assignment(1); 3]),
        Ask::Drop { stays: true, targets: vec![target(1), target(2)] },
        Ask::Drop { stays: false, targets: vec![target(3)] },
        Ask::CheckService(target(1).service),
    ];
    let plain = [
        Ask::Release,
        Ask::Check,
        Ask::Renew,
        Ask::Why,
        Ask::Stay(true),
        Ask::Stay(false),
        Ask::Was(true),
        Ask::Was(false),
        Ask::Flapped(Flaps { strikes: 0, returned: None }),
        Ask::Flapped(Flaps { strikes: 4, returned: Some(Duration::from_millis(86_400_001)) }),
        Ask::Status(7),
        order,
    ];
    for ask in plain.into_iter().chain(of_several) {
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    }
}

#[test]
fn who_speaks_another_version_is_understood_as_far_as_that() {
    let arguments = || vec!["-c".to_owned(), "-h".to_owned()];
    for (packet, version) in
        [(&b"hello 7\0-c\0-h"[..], 0), (b"hello 7 1\0-c\0-h", 1), (b"hello 7 23 and more\0-c\0-h", 23)]
    {
        assert_eq!(Said::decode(packet), Ok(Said::Hello { pid: 7, version, arguments: arguments() }));
    }
    assert_eq!(Said::decode(b"hello 7 x\0-c"), Err(DecodeError::BadField("hello")));
    assert_eq!(Ask::Release.encode(), b"release", "every version ends by this");
}

#[test]
fn an_unknown_word_is_named_and_bounded() {
    let long = "x".repeat(500);
    assert_eq!(Said::decode(long.as_bytes()), Err(DecodeError::UnknownWord("x".repeat(32))));
}

#[test]
fn the_end_of_a_line_is_seen_after_what_was_said_on_it() {
    let (parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    child.send(&Said::Ready.encode()).unwrap();
    end(&child);
    assert_eq!(parent.receive_said(), Received::Message(Said::Ready));
    assert_eq!(parent.receive_said(), Received::Ended);
    assert!(parent.send(&Ask::Check.encode()).is_err());
}

#[test]
fn last_words_are_heard_although_the_other_end_had_not_read_everything() {
    let (parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    parent.send(&Ask::Check.encode()).unwrap();
    child.send(&Said::Leaving("why".into()).encode()).unwrap();
    drop(child);
    assert_eq!(parent.receive_said(), Received::Message(Said::Leaving("why".into())));
    // A child that another test starts at this moment may have a copy, for a moment.
    let last = std::iter::repeat_with(|| parent.receive_said()).find(|said| *said != Received::Nothing);
    assert_eq!(last, Some(Received::Ended));
}

#[test]
fn a_command_line_that_no_packet_holds_is_left_out_and_never_cut() {
    let (parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    // "hello 7 1", and a NUL before each.
    let fits = vec!["x".repeat(PACKET_MAX - 10)];
    let more = vec!["x".repeat(PACKET_MAX - 9)];
    let hello = |arguments: &Vec<String>| Said::Hello { pid: 7, version: 1, arguments: arguments.clone() };
    for arguments in [&fits, &more] {
        child.send(&hello(arguments).encode()).unwrap();
    }
    assert_eq!(parent.receive_said(), Received::Message(hello(&fits)));
    assert_eq!(parent.receive_said(), Received::Message(hello(&Vec::new())));
    child.send(&Said::Leaving("\u{e4}".repeat(PACKET_MAX)).encode()).unwrap();
    assert_eq!(parent.receive_said(), Received::Message(Said::Leaving("\u{e4}".repeat(REASON_MAX))));
}

#[test]
fn a_packet_that_is_longer_than_any_is_garbage_and_the_next_is_heard() {
    let (parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    let long = [b"hello 7\0".as_slice(), &[b'x'; PACKET_MAX]].concat();
    child.send(&long).unwrap();
    child.send(&Said::Ready.encode()).unwrap();
    assert_eq!(parent.receive_said(), Received::Garbage(DecodeError::TooLong(PACKET_MAX + 8)));
    assert_eq!(parent.receive_said(), Received::Message(Said::Ready));
    parent.send(&[b'x'; ASK_MAX + 1]).unwrap();
    assert_eq!(child.receive_ask(), Received::Garbage(DecodeError::TooLong(ASK_MAX + 1)));
}

#[test]
fn a_parent_that_does_not_listen_never_stops_the_child() {
    let (_parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    nonblocking(child.as_fd()).unwrap();
    for _ in 0..10_000 {
        child.send(&Said::Alive.encode()).unwrap();
    }
}

#[test]
fn what_is_waited_for_comes_or_the_end_or_the_time_is_over() {
    let (parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    let ready = |said| matches!(said, Said::Ready).then_some(());
    let soon = || Instant::now() + Duration::from_millis(20);
    let late = || Instant::now() + Duration::from_secs(60);
    // what is not wanted is passed over, and so is what nobody can read
    for packet in [Said::Alive.encode(), b"?".to_vec(), Said::Ready.encode()] {
        child.send(&packet).unwrap();
    }
    assert_eq!(parent.wait_for(Said::decode, late(), ready).unwrap(), Some(()));
    assert_eq!(parent.wait_for(Said::decode, soon(), ready).unwrap_err().kind(), io::ErrorKind::TimedOut);
    // one that speaks without an end is not listened to without one
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let waited = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                child.send(&Said::Alive.encode()).unwrap();
            }
        });
        let waited = parent.wait_for(Said::decode, soon(), ready);
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        waited
    });
    assert_eq!(waited.unwrap_err().kind(), io::ErrorKind::TimedOut);
    end(&child);
    assert_eq!(parent.wait_for(Said::decode, late(), ready).unwrap(), None);
}

#[test]
fn a_line_has_ended_whatever_is_still_to_be_read() {
    let (ours, theirs) = Line::pair().unwrap();
    assert!(!ours.is_ended());
    Line { fd: theirs }.send(&Ask::Check.encode()).unwrap();
    assert!(ours.is_ended());
    assert_eq!(ours.receive_ask(), Received::Message(Ask::Check));
}
