//! Checks by program, with programs that behave badly in every way.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::OFTEN;
use crate::ground::{Answer, Nanny, Server, wait_for, wait_until};
use crate::held::Held;
use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

/// A program of a test; its folder is gone with it.
struct Program {
    dir: TempDir,
    line: String,
}

impl Program {
    fn new(script: &str) -> Self {
        Self::file(&format!("#!/bin/sh\ncd {{DIR}}\n{script}\n"))
    }

    fn file(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap().to_owned();
        let path = dir.path().join("check");
        // Not by this process: what it has open for writing, a child that another test
        // starts meanwhile has too, and it cannot be run then (ETXTBSY).
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(&path).stdin(Stdio::piped());
        let mut install = install.spawn().unwrap();
        install.stdin.take().unwrap().write_all(text.replace("{DIR}", &at).as_bytes()).unwrap();
        assert!(install.wait().unwrap().success());
        Self { dir, line: format!("{} %h %p", path.display()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The process id the script wrote into this file.
    fn pid_in(&self, name: &str) -> Pid {
        wait_for(name, || fs::read_to_string(self.path(name)).ok()?.trim().parse().ok().map(Pid::from_raw))
    }

    fn nanny(&self, more: &[&str]) -> Nanny {
        Nanny::start(8080, &[&["-e", &self.line, "-x", "OK", "-t", "20", "-a", "0.01"], more].concat())
    }
}

/// Not there, or dead and waiting for its parent.
fn is_gone(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn the_program_gets_address_and_port_and_its_ok_admits() {
    let program = Program::new("[ \"$1 $2\" = '127.0.0.1 8080' ] && echo OK");
    let mut nanny = program.nanny(&[]);
    nanny.wait_for("External program use requested: (");
    nanny.wait_for("[ active ] making 127.0.0.1:8080 available");
}

#[test]
fn a_program_has_the_usual_limit_of_files_and_nothing_of_how_its_nanny_was_started() {
    // As lvsd does, which has a descriptor per nanny.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let program = Program::new("echo $(ulimit -Sn) $(ulimit -Hn) ${PIRANHA_STARTED_BY-unset} $HERE");
    let hard = if hard == RLIM_INFINITY { "unlimited".to_owned() } else { hard.to_string() };
    let expected = format!("{} {hard} unset yes", hard.parse().map_or(1024, |hard: u64| hard.min(1024)));
    let mut command = Nanny::command();
    command.env("PIRANHA_STARTED_BY", "1").env("HERE", "yes").stdin(Stdio::null());
    let mut nanny = Nanny::run(8080, &["-e", &program.line, "-x", &expected, "-v"], &mut command);
    nanny.wait_for(&format!("Got result ({expected}"));
    nanny.wait_for("[ active ]");
}

#[test]
fn an_ok_without_a_line_end_is_an_ok() {
    let mut nanny = Nanny::start(8080, &["-e", "/bin/echo -n OK", "-x", "OK"]);
    nanny.wait_for("[ active ]");
}

#[test]
fn a_script_without_a_first_line_is_run_by_sh() {
    let program = Program::file("echo OK\n");
    program.nanny(&[]).wait_for("[ active ]");
}

#[test]
fn programs_that_fail_are_failures_and_each_is_said_in_its_way() {
    for (script, words) in [
        ("echo FAIL", "Trouble. Received results are not what we expected from (127.0.0.1:8080)"),
        ("true", "Ran the external sending program to (127.0.0.1:8080) but didn't get anything back"),
        ("echo OK; exit 1", "The following exited abnormally: "),
        ("echo OK; kill -9 $$", "terminated with signal 9"),
        ("head -c 1000000000 /dev/zero", "unexpected return of more than 4095 bytes running the following: "),
        ("sleep 600", "timeout running the following: "),
    ] {
        let program = Program::new(&format!("echo $$ > pid.new; mv pid.new pid; {script}"));
        let more = if script.starts_with("sleep") { &["-t", "0.5"][..] } else { &[] };
        let mut nanny = program.nanny(more);
        // Of one that was killed before it got so far, there is another soon.
        program.pid_in("pid");
        nanny.wait_for(words);
        nanny.wait_for("[inactive] leaving out 127.0.0.1:8080");
        assert_eq!(nanny.stop(), Some(0), "{script}");
        let pid = program.pid_in("pid");
        wait_until("the program is gone", || is_gone(pid));
    }
}

#[test]
fn a_program_that_is_not_there_is_said_once() {
    let mut nanny = Nanny::start(8080, &["-e", "/nonexistent/check %h", "-x", "OK", "-t", "0.1", "-v"]);
    nanny.wait_for("failed to run \"/nonexistent/check\": No such file or directory");
    nanny.wait_for("[inactive] leaving out");
    for _ in 0..5 {
        nanny.wait_for("avail: 0");
    }
    nanny.stop();
    assert_eq!(nanny.said("failed to run"), 1);
}

#[test]
fn a_program_that_hangs_takes_a_server_out_and_its_children_with_it() {
    let program =
        Program::new("if [ -e hang ]; then sleep 600 & echo $! > child.new; mv child.new child; wait; fi; echo OK");
    let mut nanny = program.nanny(&["-t", "0.5", "-a", "0.5"]);
    nanny.wait_for("[ active ]");
    fs::write(program.path("hang"), "").unwrap();
    let child = program.pid_in("child");
    nanny.wait_for("timeout running the following: ");
    nanny.wait_for("[inactive] shutting down");
    wait_until("the program's child is gone", || is_gone(child));
    fs::remove_file(program.path("hang")).unwrap();
    nanny.wait_for("[ active ]");
}

#[test]
fn a_program_whose_file_does_not_answer_takes_a_server_out_in_time() {
    let program = Program::new("echo OK");
    let held = Held::new(&program.path("check"));
    let mut nanny = program.nanny(&["-t", "0.5", "-a", "0.5"]);
    nanny.wait_for("timeout running the following: ");
    nanny.wait_for("[inactive] leaving out 127.0.0.1:8080");
    drop(held);
    nanny.wait_for("[ active ]");
    let held = Held::new(&program.path("check"));
    nanny.wait_for("[inactive] shutting down");
    assert_eq!(nanny.stop(), Some(0), "nor does a stop wait for it");
    drop(held);
}

#[test]
fn a_child_left_behind_with_the_pipe_is_neither_waited_for_nor_left() {
    let program = Program::new("sleep 600 & echo $! > child.new; mv child.new child; echo OK");
    let mut nanny = program.nanny(&["-t", "20"]);
    nanny.wait_for("[ active ]");
    let child = program.pid_in("child");
    wait_until("the child is gone", || is_gone(child));
}

#[test]
fn a_running_program_is_killed_when_nanny_ends() {
    let program = Program::new("echo $$ > pid.new; mv pid.new pid; sleep 600");
    let mut nanny = program.nanny(&["-t", "60"]);
    let pid = program.pid_in("pid");
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(nanny.said(&format!("Killing child {pid}")), 1);
    wait_until("the program is gone", || is_gone(pid));
}

#[test]
fn a_program_can_be_stopped_by_signals() {
    // The original's could not: it inherited blocked signals (#243908).
    let program = Program::new("echo $$ > pid.new; mv pid.new pid; sleep 600 & wait");
    let mut nanny = program.nanny(&["-t", "60"]);
    nix::sys::signal::kill(program.pid_in("pid"), Signal::SIGTERM).unwrap();
    nanny.wait_for("terminated with signal 15");
}

#[test]
fn of_a_program_nothing_is_expected_of_nothing_good_comes() {
    let mut nanny = Nanny::start(8080, &["-e", "/bin/echo OK", "-t", "20"]);
    nanny.wait_for("Expect string is NULL, but the external sending program returned a non-NULL result");
    nanny.wait_for("[inactive] leaving out");
    let mut nanny = Nanny::start(8080, &["-e", " ", "-x", "OK"]);
    nanny.wait_for("No command to run");
}

#[test]
fn a_load_monitor_raises_the_weight_of_an_idle_server() {
    let monitor = Program::new("echo \"$1  up 3 days,  load 0.00, 0.05, 0.01\"");
    let word = monitor.path("check").to_str().unwrap().to_owned();
    let server = Server::start(Answer::Text(b"HTTP"));
    let mut nanny = Nanny::start(server.port, &["-x", "HTTP", "-t", "20", "-w", "100", "-v", "-U", &word]);
    nanny.wait_for("[ active ]");
    nanny.wait_for("Loadavg of 127.0.0.1 is 0.000000");
    nanny.wait_for("Computing new weight 150 based on last weight 100 and load 0.000000");
}

#[test]
fn a_load_monitor_that_hangs_or_talks_nonsense_costs_a_line_and_no_check() {
    let nonsense = Program::new("echo rup: RPC: Program not registered");
    let hung = Program::new("echo $$ > pid; exec sleep 1000");
    let server = Server::start(Answer::Text(b"HTTP"));
    let start = |program: &Program| {
        let word = program.path("check").to_str().unwrap().to_owned();
        Nanny::start(server.port, &[&["-x", "HTTP", "-U", &word], &OFTEN[..]].concat())
    };
    start(&nonsense).wait_for("bad load average returned: rup: RPC: Program not registered");
    start(&Program::new("exit 1")).wait_for("failed to read remote load");
    let mut nanny = start(&hung);
    let pid = hung.pid_in("pid");
    let asked = server.asked();
    wait_until("checks go on", || server.asked() >= asked + 3);
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(nanny.said("[inactive]"), 0);
    assert_eq!(nanny.said("Killing child"), 1);
    wait_until("the monitor is gone", || is_gone(pid));
}
