use common::ipvs::{Family, Protocol};
use proptest::prelude::*;

use super::*;

const BOOT_ID: &str = "b0071d";

fn any_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    prop_oneof![
        (protocol, any::<IpAddr>(), any::<u16>()).prop_map(|(protocol, address, port)| ServiceKey::Address {
            protocol,
            address,
            port
        }),
        (family, 1..u32::MAX).prop_map(|(family, mark)| ServiceKey::Mark { family, mark }),
    ]
}

fn any_target() -> impl Strategy<Value = Target> {
    let at = any::<(IpAddr, u16)>();
    (any_key(), at)
        .prop_map(|(service, (address, port))| Target { service, destination: DestinationKey { address, port } })
}

prop_compose! {
    fn any_left()(
        name in "[^\\p{Cc}]{0,20}", server in "[^\\p{Cc}]{0,20}", weight in any::<u32>(),
        drain in 0..=DRAIN_MAX.as_secs(), until in proptest::option::of(1..u64::from(u32::MAX)),
        wait in proptest::option::of(any_key()),
    ) -> Left {
        let until = until.map(Duration::from_millis);
        Left { name, server, weight, drain: Duration::from_secs(drain), until, wait }
    }
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Disabled), (0..=65_535_u32).prop_map(Order::Weight)]
}

prop_compose! {
    fn any_ledger()(
        services in proptest::collection::btree_map(any_key(), "[^\\p{Cc}]{0,40}", 0..20),
        quorums in proptest::collection::btree_map(any_key(), any::<bool>(), 0..9),
        withdrawn in proptest::collection::btree_set(any::<IpAddr>(), 0..9),
        orders in proptest::collection::btree_map(any_target(), any_order(), 0..9),
        drains in proptest::collection::btree_map(any_target(), (0..1000_u64).prop_map(Duration::from_millis), 0..9),
        leaving in proptest::collection::btree_map(any_target(), any_left(), 0..9),
    ) -> Ledger {
        Ledger { services, quorums, withdrawn, orders, drains, leaving }
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(ledger in any_ledger()) {
        prop_assert_eq!(parse(&print(&ledger, BOOT_ID), BOOT_ID), (ledger, 0));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let (ledger, bad) = parse(&text, BOOT_ID);
        prop_assert!(ledger.services.len() + ledger.quorums.len() + ledger.withdrawn.len() + ledger.orders.len() + ledger.drains.len() + ledger.leaving.len() + bad <= text.lines().count());
    }
}

#[test]
fn a_line_looks_as_in_the_log() {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: "2001:db8::1".parse().unwrap(), port: 80 };
    let mark = ServiceKey::Mark { family: Family::V6, mark: 21 };
    let ledger = Ledger::of([(key, "web".to_owned()), (mark, "ftp".to_owned())]);
    assert_eq!(print(&ledger, BOOT_ID), "boot\tb0071d\ntcp [2001:db8::1]:80\tweb\nmark 21 (IPv6)\tftp\n");
}

#[test]
fn a_name_cannot_forge_a_line() {
    let key = ServiceKey::Mark { family: Family::V4, mark: 1 };
    let ledger = Ledger::of([(key, "a\nmark 2\tb".to_owned())]);
    assert_eq!(parse(&print(&ledger, BOOT_ID), BOOT_ID).0.services.len(), 1);
}

#[test]
fn damaged_lines_are_counted_and_the_others_count() {
    let (ledger, bad) =
        parse("boot\tb0071d\ntcp 192.0.2.1:80\tweb\nmark 0\tnone\nnonsense\ntcp 192.0.2.1\tx\nmark 7\tm\n", BOOT_ID);
    assert_eq!((ledger.services.len(), bad), (2, 3));
}

#[test]
fn the_file_is_replaced_read_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = LedgerFile::at(dir.path().join("lvsd.ledger"), BOOT_ID.to_owned());
    assert_eq!(file.read().unwrap(), (Ledger::default(), 0));
    let ledger = Ledger::of([(ServiceKey::Mark { family: Family::V4, mark: 1 }, "one".to_owned())]);
    file.write(&ledger).unwrap();
    assert_eq!(file.read().unwrap(), (ledger, 0));
    file.write(&Ledger::default()).unwrap();
    assert_eq!(file.read().unwrap(), (Ledger::default(), 0));
    file.remove();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_ledger_of_another_boot_or_of_none_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvsd.ledger");
    let at = |boot: &str| LedgerFile::at(path.clone(), boot.to_owned());
    let ledger = Ledger::of([(ServiceKey::Mark { family: Family::V4, mark: 1 }, "one".to_owned())]);
    at("before").write(&ledger).unwrap();
    assert_eq!(at("after").read().unwrap(), (Ledger::default(), 0));
    assert_eq!(at("before").read().unwrap(), (ledger, 0));
    assert_eq!(parse("mark 1\tone\n", BOOT_ID), (Ledger::default(), 0));
}

#[test]
fn the_file_is_for_its_owner_alone_and_a_torn_one_is_not_left() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvsd.ledger");
    let file = LedgerFile::at(path.clone(), BOOT_ID.to_owned());
    file.write(&Ledger::default()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // A folder that is not empty cannot be replaced.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir_all(path.join("x")).unwrap();
    file.write(&Ledger::default()).unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
