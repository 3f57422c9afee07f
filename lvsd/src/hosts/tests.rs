use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use common::names::Lookup;

use super::*;
use crate::run::tests::one_at_a_time;

/// The answers of a process that prints these lines.
fn answers(lines: &str) -> Known {
    // A script that is written while a child of another test is started could not be run,
    // and some tests reap whatever child there is.
    let _one = one_at_a_time();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("resolver");
    std::fs::write(&program, format!("#!/bin/sh\nprintf '{lines}'\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Lookup::start(&program, &names(&["a.example"]), Instant::now()).unwrap().wait(|| ())
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_name_without_an_answer_keeps_its_address_across_a_restart_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lvsd.hosts");
    let mut hosts = Hosts::new(file.clone());
    let both = names(&["a.example", "b.example"]);
    assert!(!hosts.know(&both));
    assert!(hosts.learn(&both, &answers("a.example 10.0.0.1\\nb.example 2001:db8::1\\n")).is_empty());
    hosts.keep().unwrap();

    let mut hosts = Hosts::new(file.clone());
    assert!(hosts.know(&both));
    assert_eq!(hosts.learn(&both, &answers("a.example 10.0.0.9\\n")), ["b.example"]);
    assert_eq!(hosts.host("a.example"), Some("10.0.0.9".parse().unwrap()), "what changed counts");
    assert_eq!(hosts.host("b.example"), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(hosts.learn(&names(&["c.example"]), &Known::default()), [""; 0], "it never had one");
    assert_eq!((hosts.host("c.example"), hosts.host("a.example")), (None, None), "what left the file is forgotten");
    hosts.keep().unwrap();
    assert!(!file.exists());
    hosts.keep().unwrap();
}

#[test]
fn damaged_lines_of_the_file_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lvsd.hosts");
    std::fs::write(&file, b"a 10.0.0.1\n\xff\xfe\nb\nc 10.0.0\nd 2001:db8::1\n").unwrap();
    let hosts = Hosts::new(file);
    assert!(hosts.know(&names(&["a", "d"])));
    assert_eq!(hosts.addresses.len(), 2);
}
