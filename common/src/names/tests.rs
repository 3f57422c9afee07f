use std::os::unix::fs::PermissionsExt as _;

use std::sync::mpsc::channel;

use super::*;

const FILE: &str = "primary = director.example\nbackup = 10.0.0.2\nservice = lvs\nvirtual a {\n  active = 1\n  \
                    address = vip.example eth0:1\n  server b {\n    address = director.example\n    active = 1\n  }\n}\n";

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn folder(script: &str) -> (tempfile::TempDir, Lookup) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("resolver");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lookup = loop {
        match Lookup::start(&program, &names(&["a.example", "b.example"]), Instant::now()) {
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
fn answers_are_the_whole_lines_and_the_question_is_the_option_with_the_names_on_stdin() {
    let script = format!(
        "test \"$*\" = '{OPTION}' || exit 1\ntest \"$(cat)\" = \"$(printf 'a.example\\nb.example')\" || exit 1\n\
         echo a.example 10.0.0.1\necho b.example 2001:db8::1\necho nonsense\nprintf 'c.example 10.0.0'"
    );
    let (_folder, lookup) = folder(&script);
    let known = lookup.wait(|| ());
    assert_eq!(known.host("a.example"), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(known.host("b.example"), Some("2001:db8::1".parse().unwrap()));
    assert_eq!((known.host("c.example"), known.host("nonsense")), (None, None));
}

#[test]
fn a_resolver_that_never_answers_is_ended_when_its_time_is_over() {
    let (_folder, mut lookup) = folder("echo a.example 10.0.0.1; exec sleep 1000");
    let pid = Pid::from_raw(i32::try_from(lookup.pid()).unwrap());
    let since = Instant::now();
    while lookup.known().host("a.example").is_none() {
        assert!(since.elapsed() < Duration::from_secs(60), "it says nothing");
        assert_eq!(lookup.read(since), None);
        std::thread::sleep(Duration::from_millis(2));
    }
    lookup.until = Instant::now();
    let known = lookup.wait(|| panic!("there is nothing to wait for"));
    assert_eq!(known.host("a.example"), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(kill(pid, None), Err(Errno::ESRCH), "it is gone, and reaped");
}

#[test]
fn who_waits_for_a_resolver_says_that_it_lives() {
    let (folder, lookup) = folder("while [ ! -e $0.go ]; do sleep 0.01; done; echo a.example 10.0.0.1");
    let go = folder.path().join("resolver.go");
    // It answers only when it has been said.
    let known = lookup.wait(|| std::fs::write(&go, "").unwrap());
    assert_eq!(known.host("a.example"), Some("10.0.0.1".parse().unwrap()));
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

#[test]
fn a_name_without_an_answer_does_not_keep_the_others_waiting() {
    let others = 200;
    let all = (0..=others).map(|n| format!("{n}.example"));
    let (said, list) = channel();
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let first: Vec<String> = list.iter().take(others).collect();
            assert!(!first.contains(&"0.example".to_owned()));
            go.send(()).unwrap();
            assert_eq!(list.iter().collect::<Vec<_>>(), ["0.example"]);
        });
        let host = |name: &str| {
            if name == "0.example" {
                wait.lock().unwrap().recv_timeout(Duration::from_secs(300)).expect("all others were answered");
            }
            "10.0.0.1".parse().ok()
        };
        answer(all, host, |name, _| said.send(name.to_owned()).unwrap());
        drop(said);
    });
}

#[test]
fn a_file_is_judged_with_its_names_once_and_read_once() {
    let mut world = config::Fake::default();
    world.files.insert("lvs.cf".into(), FILE.into());
    let read = |outside: &dyn Outside| outside.read(Path::new("lvs.cf")).unwrap();
    let asked = |outside: &dyn Outside| (read(outside), outside.host("a.example"), outside.host("b.example"));
    let known = |list: &BTreeSet<String>| {
        assert_eq!(*list, names(&["a.example", "b.example"]));
        Known { addresses: [("a.example".to_owned(), "10.0.0.1".parse().unwrap())].into() }
    };
    let verdict = with_names(&world, known, asked);
    assert_eq!(verdict, (FILE.into(), Some("10.0.0.1".parse().unwrap()), None));
    let verdict = with_names(&world, |_| panic!("nothing to look up"), read);
    assert_eq!(verdict, Vec::<u8>::from(FILE));
}
