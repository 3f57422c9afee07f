use super::super::{Received, Said, VERSION};
use super::*;

#[test]
fn a_new_parent_finds_the_child_and_a_second_child_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tcp-10.0.0.1");
    let place = MeetingPlace::open(&path).unwrap();
    let parent = join(&path).unwrap();
    let child = place.accept().unwrap();
    assert_eq!(parent.peer().unwrap().pid(), nix::unistd::getpid().as_raw());
    let hello = Said::Hello { pid: 7, version: VERSION, arguments: vec!["-c".into(), String::new()] };
    child.send(&hello.encode()).unwrap();
    assert_eq!(parent.receive_said(), Received::Message(hello));
    assert_eq!(MeetingPlace::open(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_dead_childs_place_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("place");
    drop(MeetingPlace::open(&path).unwrap()); // the file stays, nobody listens
    // A child that another test starts at this moment may have a copy, for a moment.
    let error = std::iter::repeat_with(|| join(&path)).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
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
