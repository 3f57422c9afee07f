use nix::sys::wait::{WaitPidFlag, waitpid};

use super::*;

/// Generous: what does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(30);

fn start(words: &[&str], within: Duration) -> Result<Running, Failure> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let starter = Starter::by(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/become"));
    Running::start(&words, &starter, within, Instant::now())
}

fn shell(script: &str, within: Duration) -> Running {
    start(&["/bin/sh", "-c", script], within).unwrap()
}

/// Its end; `due` is asked meanwhile.
fn end(running: &mut Running) -> (Exit, Option<Failure>) {
    let until = Instant::now() + PATIENCE;
    let mut failure = None;
    loop {
        let pid = Pid::from_raw(running.pid().try_into().unwrap());
        if let Some((_, exit)) = Exit::from_wait(waitpid(pid, Some(WaitPidFlag::WNOHANG)).unwrap()) {
            return (exit, failure);
        }
        assert!(Instant::now() < until, "it does not end");
        failure = failure.or(running.due(Instant::now()));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn outcome(script: &str) -> Result<(), Failure> {
    ended(shell(script, PATIENCE))
}

fn ended(mut running: Running) -> Result<(), Failure> {
    let (exit, late) = end(&mut running);
    assert_eq!(late, None);
    running.judge(exit)
}

#[test]
fn a_line_is_split_at_blanks_and_nothing_else() {
    // piranha.md 2.8, 5: no quotes, no shell
    assert_eq!(words("/bin/a  'b c' \t$d"), ["/bin/a", "'b", "c'", "$d"]);
    assert_eq!(words("  "), Vec::<String>::new());
}

#[test]
fn what_fails_says_its_status_and_its_last_line() {
    assert_eq!(outcome("echo all is well"), Ok(()));
    let failed = outcome("echo one; echo two >&2; echo; exit 3").unwrap_err();
    assert_eq!(failed.to_string(), "exited with status 3, its last line: two");
    assert_eq!(outcome("kill -9 $$").unwrap_err().to_string(), "terminated with signal 9");
    assert_eq!(outcome("exit 127").unwrap_err().to_string(), "exited with status 127");
    let none = ended(start(&["/nonexistent/x"], PATIENCE).unwrap()).unwrap_err();
    assert!(none.to_string().starts_with("cannot be run: /nonexistent/x: No such file"), "{none}");
    assert_eq!(start(&[], PATIENCE).unwrap_err().to_string(), "cannot be run: there is no command");
    let words = ["true".to_owned()];
    let none = Running::start(&words, &Starter::by("/nonexistent"), PATIENCE, Instant::now()).unwrap_err();
    assert!(none.to_string().starts_with("cannot be run: true: No such file"), "{none}");
}

#[test]
fn one_that_hangs_is_killed_with_all_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("echo waiting; sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
    let mut running = shell(&script, PATIENCE);
    let until = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < until, "it does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    let failure = running.due(Instant::now() + PATIENCE).unwrap();
    assert_eq!(failure.to_string(), "was killed after 30s, its last line: waiting");
    assert!(running.is_killed());
    assert_eq!(end(&mut running), (Exit::Signal(9), None));
    let child = std::fs::read_to_string(file).unwrap();
    let until = Instant::now() + PATIENCE;
    let stat = format!("/proc/{}/stat", child.trim());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < until, "its child lives on");
    }
}

#[test]
fn a_service_that_was_left_behind_lives_on_whatever_it_prints() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("done");
    // more than is kept, after its starter has ended
    let script = format!("(sleep 0.2; head -c 200000 /dev/zero; echo alive > {}) & exit 0", file.display());
    let mut running = shell(&script, PATIENCE);
    let (exit, _) = end(&mut running);
    assert_eq!(running.judge(exit), Ok(()));
    drop(running);
    let until = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < until, "it died of our absence");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_kept_has_an_end() {
    let failed = outcome("head -c 1000000 /dev/zero | tr '\\0' x; exit 1").unwrap_err();
    let Failure::Ended(Exit::Status(1), line) = failed else { panic!("{failed}") };
    assert_eq!(line.len(), LINE_MAX);
    assert_eq!(last_line(b"a\n\n \nb \xff\n\n"), "b \u{fffd}");
    assert_eq!(last_line(b""), "");
}

#[test]
fn one_that_another_process_started_is_known_by_its_start_and_killed_in_time() {
    let started = shell("sleep 1000", PATIENCE);
    let identity = started.identity().unwrap();
    let now = Instant::now();
    let mut running = Running::inherit(identity, PATIENCE, now + Duration::from_secs(5)).unwrap();
    assert!(running.is_inherited() && !running.has_ended() && running.identity() == Some(identity));
    assert_eq!(running.due(now), None);
    // a number alone is anybody's
    let other = Identity { since: identity.since + 1, ..identity };
    assert!(Running::inherit(other, PATIENCE, now).is_none());
    let late = running.due(now + Duration::from_secs(5)).unwrap();
    assert_eq!(late.to_string(), "was killed after 30s");
    let deadline = Instant::now() + PATIENCE;
    while !running.has_ended() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(running.is_killed() && Running::inherit(identity, PATIENCE, now).is_none());
    let mut started = started;
    assert_eq!(end(&mut started).0, Exit::Signal(9));
}
