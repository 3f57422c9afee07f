use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A folder with a configuration in it, and a program that answers as it is told.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = "virtual web {\n active = 1\n address = 192.0.2.1 eth0:1\n server a {\n active = 1\n \
                    address = a.example\n }\n server b {\n active = 1\n address = b.example\n }\n}\n";
        std::fs::write(dir.path().join("lvs.cf"), text).unwrap();
        let stage = Self { dir };
        stage.program(script);
        stage
    }

    fn program(&self, script: &str) {
        let program = self.dir.path().join("resolve");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn names(&self) -> Names {
        Names::new(self.dir.path().join("hosts"))
    }

    /// The addresses of both servers, and who goes on with an old one.
    fn load(&self, names: &mut Names) -> Result<(Vec<String>, Vec<String>), Failed> {
        let program = self.dir.path().join("resolve");
        let (loaded, old) = names.load_waiting(&self.dir.path().join("lvs.cf"), &program)?;
        let servers = loaded.config.virtuals[0].servers.iter();
        Ok((servers.map(|server| server.address.unwrap().to_string()).collect(), old))
    }
}

const ANSWERS: &str = "test \"$1\" = --resolve || exit 64\nwhile read name; do case $name in\n\
                       a.example) echo $name 10.0.0.3;;\nb.example) echo $name 10.0.0.4;; esac; done";

#[test]
fn names_are_asked_for_once_and_their_answers_kept_for_the_next_process() {
    let stage = Stage::new(ANSWERS);
    let mut names = stage.names();
    let both = vec!["10.0.0.3".to_owned(), "10.0.0.4".to_owned()];
    assert_eq!(stage.load(&mut names).unwrap(), (both.clone(), vec![]));
    assert_eq!(names.asked(), ["a.example", "b.example"]);
    names.keep().unwrap();
    stage.program("exit 1");
    assert_eq!(
        stage.load(&mut stage.names()).unwrap(),
        (both, vec!["a.example".to_owned(), "b.example".to_owned()]),
        "who has no answer goes on with what is known"
    );
}

#[test]
fn an_answer_that_changed_counts() {
    let stage = Stage::new(ANSWERS);
    let mut names = stage.names();
    stage.load(&mut names).unwrap();
    stage.program("echo a.example 10.0.0.9; echo nonsense; echo b.example not-an-address");
    let (addresses, old) = stage.load(&mut names).unwrap();
    assert_eq!((addresses[0].as_str(), old), ("10.0.0.9", vec!["b.example".to_owned()]));
}

#[test]
fn a_name_nobody_ever_knew_is_an_error_of_the_file() {
    let stage = Stage::new("echo a.example 10.0.0.3");
    let failed = stage.load(&mut stage.names()).unwrap_err();
    let said = failed.to_string();
    assert!(said.contains("b.example") && !said.contains("a.example"), "{said}");
    std::fs::remove_file(stage.dir.path().join("resolve")).unwrap();
    assert!(stage.load(&mut stage.names()).unwrap_err().to_string().contains("a.example"), "no program, no answers");
}

#[test]
fn a_resolver_that_hangs_is_left_behind_with_what_it_said_before() {
    let stage = Stage::new("echo a.example 10.0.0.3\nexec sleep 1000");
    let names = vec!["a.example".to_owned()];
    let begin = Instant::now();
    let mut lookup = Lookup::ask(names, &stage.dir.path().join("resolve"), begin).unwrap();
    let pid = lookup.process.as_ref().unwrap().0.id();
    assert!(lookup.fd().is_some());
    let patience = begin + Duration::from_secs(20);
    while lookup.answers.is_empty() {
        assert!(!lookup.is_done(begin), "it is alive and has time");
        assert!(Instant::now() < patience, "no answer came");
        std::thread::yield_now();
    }
    assert!(lookup.is_done(lookup.deadline()));
    assert!(lookup.fd().is_none());
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), None).unwrap();
    assert!(matches!(status, nix::sys::wait::WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _)));
    let mut names = stage.names();
    assert!(names.learn(&lookup).is_empty());
    assert_eq!(names.host("a.example"), Some("10.0.0.3".parse().unwrap()));
}

#[test]
fn a_file_without_names_asks_nobody() {
    let stage = Stage::new("exit 1");
    let path = stage.dir.path().join("lvs.cf");
    let text = std::fs::read_to_string(&path).unwrap().replace("a.example", "10.0.0.3").replace("b.example", "10.1");
    std::fs::write(&path, text).unwrap();
    let mut names = stage.names();
    let (loaded, old) = names.load_waiting(&path, Path::new("/nonexistent")).unwrap();
    assert_eq!((loaded.config.virtuals.len(), old.len(), names.asked().len()), (1, 0, 0));
}

#[test]
fn damaged_lines_of_the_kept_file_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts");
    std::fs::write(&file, b"a 10.0.0.1\n\xff\xfe\nb\nc 10.0.0\nd 2001:db8::1\n").unwrap();
    let names = Names::new(file);
    assert_eq!(names.known.keys().collect::<Vec<_>>(), ["a", "d"]);
}
