use proptest::prelude::*;

use super::*;

fn entry_of(address: &str, prefix: u8, device: &str) -> Entry {
    Entry { address: address.parse().unwrap(), prefix, device: device.to_owned() }
}

fn any_contents() -> impl Strategy<Value = Contents> {
    let entry = prop_oneof![
        (any::<std::net::Ipv4Addr>().prop_map(IpAddr::V4), 0_u8..=32),
        (any::<std::net::Ipv6Addr>().prop_map(IpAddr::V6), 0_u8..=128),
    ];
    let entry = (entry, "[a-z][a-z0-9.@-]{0,14}");
    let entry = entry.prop_map(|((address, prefix), device)| Entry { address, prefix, device });
    let late = prop::collection::btree_set(any::<IpAddr>(), 0..4);
    (any::<bool>(), any::<bool>(), prop::collection::btree_set(entry, 0..12), late)
        .prop_map(|(active, lent, entries, late)| Contents { active, lent, entries, late })
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_read(contents in any_contents()) {
        prop_assert_eq!(Contents::parse(&contents.print("b"), "b"), Ok(contents));
    }

    /// A crash while writing, on a disk that keeps only the beginning.
    #[test]
    fn a_torn_ledger_is_never_taken_for_a_shorter_one(contents in any_contents(), cut in any::<prop::sample::Index>()) {
        let text = contents.print("b");
        let cut = 1 + cut.index(text.len() - 1);
        prop_assert!(Contents::parse(text.get(..cut).unwrap_or("?"), "b").is_err());
    }

    #[test]
    fn hostile_text_is_no_ledger_and_no_panic(text in "\\PC{1,200}") {
        prop_assert!(Contents::parse(&text, "b").is_err());
        let _ = Contents::parse(&format!("{HEAD}\nboot b\n{text}\nend\n"), "b");
    }
}

#[test]
fn a_ledger_of_another_boot_owns_nothing() {
    let contents = Contents {
        active: true,
        lent: true,
        entries: [entry_of("10.0.0.9", 24, "eth0")].into(),
        late: [[10, 0, 0, 9].into()].into(),
    };
    assert_eq!(Contents::parse(&contents.print("before"), "now"), Ok(Contents::default()));
    assert_eq!(Contents::parse(&format!("{HEAD}\naddress 10.0.0.9/24 eth0\nend\n"), "now"), Ok(Contents::default()));
}

#[test]
fn a_line_that_means_nothing_is_named() {
    let text = |line| format!("{HEAD}\nboot b\n{line}\nend\n");
    for line in
        ["address 10.0.0.9 eth0", "address 10.0.0.9/33 eth0", "address 10.0.0.9/24", "inactive", "late 10.0.0.9/24", ""]
    {
        assert_eq!(Contents::parse(&text(line), "b"), Err(Unreadable::Line(3)), "{line}");
    }
}

#[test]
fn the_next_pulse_finds_what_the_last_one_wrote_and_an_empty_ledger_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let (mut first, trouble) = Ledger::open(&path, "b".into());
    assert_eq!((first.contents(), trouble), (&Contents::default(), None));
    let vip = entry_of("10.0.0.9", 24, "eth0");
    first.change(|it| it.entries.extend([vip.clone()])).unwrap();
    let (mut second, trouble) = Ledger::open(&path, "b".into());
    assert_eq!(trouble, None);
    assert!(second.contents().entries.contains(&vip));
    second.change(|it| it.entries.clear()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_a_power_failure_emptied_is_an_empty_ledger_and_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    std::fs::write(&path, "").unwrap();
    let (ledger, trouble) = Ledger::open(&path, "b".into());
    assert_eq!((ledger.contents(), trouble), (&Contents::default(), None));
}

#[test]
fn a_file_that_is_no_ledger_is_reported_and_owns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    let (ledger, trouble) = Ledger::open(&path, "b".into());
    assert_eq!(ledger.contents(), &Contents::default());
    assert!(trouble.is_some());
}

#[test]
fn a_ledger_that_cannot_be_written_still_holds_in_memory() {
    let (mut ledger, _) = Ledger::open(Path::new("/nonexistent/ledger"), "b".into());
    let vip = entry_of("10.0.0.9", 24, "eth0");
    assert!(ledger.change(|it| it.entries.extend([vip.clone()])).is_err());
    assert!(ledger.contents().entries.contains(&vip));
}

#[test]
fn a_ledger_that_could_not_be_written_is_written_with_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let (mut ledger, _) = Ledger::open(&folder.join("ledger"), "b".into());
    let vip = entry_of("10.0.0.9", 24, "eth0");
    assert!(ledger.change(|it| it.entries.extend([vip.clone()])).is_err());
    assert!(ledger.change(|_| ()).is_err(), "nothing changed, and it is still not written");
    std::fs::create_dir(&folder).unwrap();
    ledger.change(|_| ()).unwrap();
    let (next, trouble) = Ledger::open(&folder.join("ledger"), "b".into());
    assert_eq!((next.contents(), trouble), (ledger.contents(), None));
}

#[test]
fn a_ledger_is_roots_alone_and_a_full_disk_leaves_no_half_of_one() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let (mut ledger, _) = Ledger::open(&path, "b".into());
    ledger.change(|it| it.active = true).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // what stands for a full disk: every write to it fails
    symlink("/dev/full", dir.path().join("ledger.new")).unwrap();
    assert!(ledger.change(|it| it.entries.extend([entry_of("10.0.0.9", 24, "eth0")])).is_err());
    assert!(std::fs::symlink_metadata(dir.path().join("ledger.new")).is_err(), "it is gone");
    assert!(ledger.change(|_| ()).is_ok());
}
