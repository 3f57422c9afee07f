//! One file per rule, with what is said about it, byte for byte:
//! tests/config/diagnostics/RULE.cf (or .toml) and RULE.txt beside it.
//! `PIRANHA_UPDATE=1` writes the latter anew; then read the difference.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::config::{rules, source};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config/diagnostics")
}

/// The files, without their expectations, by name.
fn fixtures() -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == "cf" || e == "toml")).collect();
    all.sort();
    all
}

/// The machine all of them are for: two devices, an old kernel, a few programs.
fn machine() -> Machine {
    let names = |list: &[&str]| Some(list.iter().map(|name| (*name).to_owned()).collect());
    let file = |executable, writable_by_others, beginning: &str| Program::File {
        executable,
        writable_by_others,
        beginning: beginning.to_owned(),
    };
    let inverted =
        "#!/bin/sh\nTEST=`dig $1 | grep -c www`\nif [ $TEST != \"1\" ]; then\n  echo OK\nelse\n  echo FAIL\nfi\n";
    let programs = [
        ("missing", Program::Missing),
        ("plain", file(false, false, "")),
        ("writable", file(true, true, "")),
        ("good", file(true, false, "#!/bin/sh\necho OK\n")),
        ("inverted", file(true, false, inverted)),
    ];
    Machine {
        devices: names(&["lo", "eth0", "eth1"]),
        addresses: Some(["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap()).into()),
        ipv4_forward: Some(false),
        ipv6_forward: None,
        schedulers: names(&["rr", "wrr", "lc", "wlc", "sh", "dh"]),
        programs: programs.map(|(name, program)| (format!("/usr/local/bin/{name}"), program)).into(),
    }
}

/// What is said about a file: the verdict, then each diagnostic.
fn verdict(path: &Path) -> (String, Vec<Diagnostic>) {
    let mut world = world();
    for entry in std::fs::read_dir(folder().join("include.d")).unwrap() {
        let entry = entry.unwrap();
        let name = Path::new("include.d").join(entry.file_name());
        world.files.insert(name, std::fs::read(entry.path()).unwrap());
    }
    let name = PathBuf::from(path.file_name().unwrap());
    world.files.insert(name.clone(), std::fs::read(path).unwrap());
    let (verdict, said) = match examine(&name, Syntax::of(&name), &world, |_| machine()) {
        Ok(loaded) => ("accepted", loaded.warnings),
        Err(failed) => ("refused", failed.diagnostics),
    };
    let mut text = format!("{verdict}\n");
    for diagnostic in &said {
        let _ = write!(text, "{}", diagnostic.render(false));
    }
    (text, said)
}

#[test]
fn each_rule_says_what_its_file_of_expectations_has() {
    let update = std::env::var_os("PIRANHA_UPDATE").is_some();
    let mut wrong = String::new();
    for path in fixtures() {
        let (said, _) = verdict(&path);
        let expected = path.with_extension("txt");
        if update {
            std::fs::write(&expected, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if said != expected {
            let _ = writeln!(wrong, "--- {}\n{expected}+++ is\n{said}", path.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_rule_has_a_file_and_every_file_its_rule() {
    let known: BTreeSet<&str> = rules::ids().collect();
    assert_eq!(known.len(), rules::ids().count(), "an id is there twice");
    let mut seen = BTreeSet::new();
    for path in fixtures() {
        let (_, said) = verdict(&path);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(said.iter().any(|d| d.id == name) || name == "none" && said.is_empty(), "{name}: {said:?}");
        for diagnostic in said {
            assert!(known.contains(diagnostic.id), "{} has no paragraph", diagnostic.id);
            seen.insert(diagnostic.id);
        }
    }
    // these need more text than a file here should have, or no file at all
    let elsewhere = BTreeSet::from(["too-long", "too-many", "unreadable"]);
    let missing: Vec<_> = known.difference(&seen).filter(|id| !elsewhere.contains(**id)).collect();
    assert!(missing.is_empty(), "no file shows {missing:?}");
}

#[test]
fn what_is_too_much_is_refused_with_its_limit() {
    let mut big = vec![b'#'; source::TOTAL_MAX];
    big.push(b'\n');
    let failed = read_bytes(&big, "lvs.cf").unwrap_err();
    assert_eq!(failed.to_string(), "lvs.cf: error: the configuration is longer than 67108864 bytes");
    for (text, message) in [
        ("a = 1\n".repeat(3_000_000), "the text is longer than 16777216 bytes"),
        (format!("a = \"{}\"\n", "x".repeat(65_536)), "the line is longer than 65536 bytes"),
    ] {
        let failed = read_bytes(text.as_bytes(), "lvs.toml").unwrap_err();
        assert_eq!(failed.first().unwrap().message, message);
    }
    let junk = "junk\n".repeat(100_000);
    let failed = read(&junk).unwrap_err();
    assert_eq!(failed.diagnostics.last().unwrap().message, "800 more problems are not shown");
    let many = "virtual v {\n}\n".repeat(65_537);
    let failed = read(&many).unwrap_err();
    assert_eq!(failed.first().unwrap().message, "there are 65537 virtual services, 65536 is the most");
    assert_eq!(failed.first().unwrap().id, "too-many");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let failed = load(Path::new("/nonexistent/lvs.cf")).unwrap_err();
    let expected = "/nonexistent/lvs.cf: error: there is no such file";
    assert_eq!(failed.to_string(), expected);
    assert_eq!(failed.first().unwrap().id, "unreadable");
    let failed = load(Path::new("/")).unwrap_err();
    assert_eq!(failed.to_string(), "/: error: I/O error while reading configuration: Is a directory");
}
