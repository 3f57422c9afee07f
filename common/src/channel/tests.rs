use proptest::prelude::*;

use super::*;

fn any_said() -> impl Strategy<Value = Said> {
    prop_oneof![
        (any::<u32>(), prop::collection::vec("[^\0]{0,40}", 0..20))
            .prop_map(|(pid, arguments)| Said::Hello { pid, arguments }),
        Just(Said::Ready),
        Just(Said::Alive),
        (any::<bool>(), any::<u32>()).prop_map(|(available, weight)| Said::Verdict { available, weight }),
        ".{0,80}".prop_map(Said::Leaving),
        (any::<u64>(), "[ -~\n]{0,80}").prop_map(|(at, text)| Said::Why { at, text }),
        ".{0,80}".prop_map(Said::Unable),
        Just(Said::Able),
        (any::<bool>(), any::<Option<usize>>(), "(.|\n){0,80}").prop_map(|(done, next, text)| Said::Answer {
            done,
            next,
            text
        }),
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
    for ask in [Ask::Release, Ask::Check, Ask::Why, Ask::Stay(true), Ask::Stay(false), Ask::Status(7), order] {
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    }
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
    drop(child);
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
    assert_eq!(parent.receive_said(), Received::Ended);
}

#[test]
fn a_command_line_that_no_packet_holds_is_left_out_and_never_cut() {
    let (parent, child) = Line::pair().unwrap();
    let child = Line { fd: child };
    // "hello 7", and a NUL before each.
    let fits = vec!["x".repeat(PACKET_MAX - 8)];
    let more = vec!["x".repeat(PACKET_MAX - 7)];
    for arguments in [fits.clone(), more] {
        child.send(&Said::Hello { pid: 7, arguments }.encode()).unwrap();
    }
    assert_eq!(parent.receive_said(), Received::Message(Said::Hello { pid: 7, arguments: fits }));
    assert_eq!(parent.receive_said(), Received::Message(Said::Hello { pid: 7, arguments: Vec::new() }));
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
fn a_new_parent_finds_the_child_and_a_second_child_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tcp-10.0.0.1");
    let place = MeetingPlace::open(&path).unwrap();
    let parent = join(&path).unwrap();
    let child = place.accept().unwrap();
    assert_eq!(parent.peer().unwrap().pid(), nix::unistd::getpid().as_raw());
    child.send(&Said::Hello { pid: 7, arguments: vec!["-c".into(), String::new()] }.encode()).unwrap();
    assert_eq!(
        parent.receive_said(),
        Received::Message(Said::Hello { pid: 7, arguments: vec!["-c".into(), String::new()] })
    );
    assert_eq!(MeetingPlace::open(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_dead_childs_place_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("place");
    drop(MeetingPlace::open(&path).unwrap()); // the file stays, nobody listens
    assert_eq!(join(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let place = MeetingPlace::open(&path).unwrap();
    join(&path).unwrap();
    place.close();
    assert_eq!(join(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_nannys_place_is_named_after_what_it_does() {
    use crate::ipvs::Protocol;
    let tcp = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
    assert_eq!(nanny_place(&tcp, "198.51.100.7".parse().unwrap(), 8080), "tcp-192.0.2.1-80-198.51.100.7-8080");
    let mark = ServiceKey::Mark { family: Family::V4, mark: 21 };
    assert_eq!(nanny_place(&mark, "198.51.100.7".parse().unwrap(), 80), "mark21-198.51.100.7-80");
    let mark = ServiceKey::Mark { family: Family::V6, mark: 21 };
    assert_eq!(nanny_place(&mark, "2001:db8::7".parse().unwrap(), 80), "mark21v6-2001:db8::7-80");
}

#[test]
fn the_place_of_a_watcher_is_no_nannys_and_fits() {
    let service = ServiceKey::Address {
        protocol: crate::ipvs::Protocol::Sctp,
        address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
        port: 65535,
    };
    let place = failover_place(&service);
    assert_eq!(place, "fos-sctp-2001:db8:1111:2222:3333:4444:5555:6666-65535");
    assert!(place.len() <= NANNY_PLACE_MAX);
}

#[test]
fn the_longest_nanny_place_is_a_socket_path_and_still_its_own() {
    use crate::ipvs::Protocol;
    let service = |port| ServiceKey::Address {
        protocol: Protocol::Sctp,
        address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
        port,
    };
    let rip: IpAddr = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff".parse().unwrap();
    let names: Vec<String> =
        [(1, 1), (1, 2), (2, 1)].map(|(v, r)| nanny_place(&service(60000 + v), rip, 60000 + r)).into();
    let folders = [crate::daemon::RUN_DIR, crate::daemon::OLD_RUN_DIR];
    for (name, folder) in names.iter().flat_map(|name| folders.map(|folder| (name, folder))) {
        let path = Path::new(folder).join("nanny").join(format!("{name}.4194304"));
        assert!(UnixAddr::new(&path).is_ok(), "{}: {} bytes", path.display(), path.as_os_str().len());
    }
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
}

#[test]
fn a_place_whose_waiting_room_is_full_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("place");
    let _place = MeetingPlace::open(&path).unwrap();
    let mut waiting = Vec::new();
    while let Ok(line) = join(&path) {
        waiting.push(line);
        assert!(waiting.len() < 100, "the waiting room has no limit");
    }
    assert_eq!(MeetingPlace::open(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
