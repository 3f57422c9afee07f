use std::os::unix::fs::PermissionsExt as _;

use super::*;

const FILE: &str = "primary = director.example\nbackup = 10.0.0.2\nservice = lvs\nvirtual a {\n  active = 1\n  \
                    address = vip.example eth0:1\n  server b {\n    address = director.example\n    active = 1\n  }\n}\n";

fn folder(script: &str) -> (tempfile::TempDir, Lookup) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("resolver");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lookup = loop {
        match Lookup::start(&program, Path::new("/etc/lvs.cf"), Instant::now()) {
            // another test's fork holds the script open for writing
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => {}
            lookup => break lookup.unwrap(),
        }
    };
    (folder, lookup)
}

#[test]
fn the_names_of_a_file_are_those_that_are_no_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lvs.cf");
    std::fs::write(&file, FILE).unwrap();
    assert_eq!(names_in(&file).into_iter().collect::<Vec<_>>(), ["director.example", "vip.example"]);
    assert!(names_in(&folder.path().join("none")).is_empty());
}

#[test]
fn answers_are_the_whole_lines_and_the_question_is_the_option_and_the_file() {
    let script = format!(
        "test \"$*\" = '{OPTION} /etc/lvs.cf' || exit 1\necho a.example 10.0.0.1\n\
                          echo b.example 2001:db8::1\necho nonsense\nprintf 'c.example 10.0.0'"
    );
    let (_folder, lookup) = folder(&script);
    let known = lookup.wait(|| ());
    assert_eq!(known.host("a.example"), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(known.host("b.example"), Some("2001:db8::1".parse().unwrap()));
    assert_eq!((known.host("c.example"), known.host("nonsense")), (None, None));
}

#[test]
fn a_resolver_that_never_answers_is_ended_when_its_time_is_over_and_we_say_that_we_live() {
    let (_folder, mut lookup) = folder("echo a.example 10.0.0.1; exec sleep 1000");
    lookup.until = Instant::now() + Duration::from_millis(300);
    let pid = Pid::from_raw(i32::try_from(lookup.pid()).unwrap());
    let mut beats = 0;
    let known = lookup.wait(|| beats += 1);
    assert_eq!(known.host("a.example"), Some("10.0.0.1".parse().unwrap()));
    assert!(beats > 0);
    assert_eq!(kill(pid, None), Err(Errno::ESRCH), "it is gone, and reaped");
}

#[test]
fn a_loop_that_looks_in_is_never_held() {
    let (_folder, mut lookup) = folder("exec sleep 1000");
    let now = Instant::now();
    assert_eq!(lookup.read(now), None);
    assert_eq!(lookup.read(now + WITHIN), Some(Known::default()));
    lookup.until = now;
    lookup.wait(|| ());
}
