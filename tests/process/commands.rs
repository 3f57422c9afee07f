//! How the daemons run an operator's program: by way of themselves, and so that it
//! cannot tell.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::child::Exit;
use common::command::starter::OPTION;
use common::command::{Failure, Running, Starter};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::held::Held;

const PROGRAMS: [&str; 4] = [
    env!("CARGO_BIN_EXE_pulse"),
    env!("CARGO_BIN_EXE_lvsd"),
    env!("CARGO_BIN_EXE_nanny"),
    env!("CARGO_BIN_EXE_nanny-tls"),
];

/// Generous: what does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

fn begin(daemon: &str, words: &[&str], within: Duration) -> Running {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Running::start(&words, &Starter::by(daemon), within, Instant::now()).unwrap()
}

fn end(running: &Running) -> Exit {
    let status = waitpid(Pid::from_raw(running.pid().try_into().unwrap()), None).unwrap();
    Exit::from_wait(status).unwrap().1
}

fn run(daemon: &str, words: &[&str]) -> Result<(), Failure> {
    let running = begin(daemon, words, PATIENCE);
    running.judge(end(&running))
}

fn failure(daemon: &str, words: &[&str]) -> String {
    run(daemon, words).unwrap_err().to_string()
}

/// Written by another process: one that another test starts has what this one has open,
/// and what is open for writing cannot be run.
fn file(path: &Path, text: &str, mode: u32) -> String {
    let words = ["-c", "printf %s \"$1\" > \"$0\"", path.to_str().unwrap(), text];
    assert!(Command::new("sh").args(words).status().unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_run_is_said_in_the_systems_words_and_is_no_status() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let not_executable = file(&dir.path().join("text"), "#!/bin/sh\n", 0o644);
    let no_interpreter = file(&dir.path().join("script"), "#!/nonexistent/sh\n", 0o755);
    for daemon in PROGRAMS {
        for (program, reason) in [
            ("/nonexistent/x", "No such file or directory (os error 2)"),
            ("no-such-program", "No such file or directory (os error 2)"),
            (&no_interpreter, "No such file or directory (os error 2)"),
            (&not_executable, "Permission denied (os error 13)"),
            (folder, "Permission denied (os error 13)"),
        ] {
            assert_eq!(failure(daemon, &[program, "now"]), format!("cannot be run: {program}: {reason}"));
        }
        assert_eq!(failure(daemon, &["sh", "-c", "exit 127"]), "exited with status 127");
        assert_eq!(
            failure(daemon, &["sh", "-c", "echo one; echo two >&2; exit 3"]),
            "exited with status 3, its last line: two"
        );
    }
}

#[test]
fn a_program_cannot_tell_by_whom_it_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    // By sh, as execvp(3) takes what names no interpreter.
    let plain = file(&dir.path().join("plain"), "echo \"$@\" >> said\n", 0o755);
    let script = "tr '\\0' ' ' < /proc/$$/cmdline; cat; pwd; umask; cat /proc/$$/comm; \
                  grep -E Sig[BI] /proc/self/status; echo $ABOUT; echo $0 $1";
    let script = format!("cd {}; {{ {script}; }} > new; mv new said", dir.path().display());
    let tell = |mut command: Command| {
        command.args(["-c", &script, OPTION, "--help"]).env("ABOUT", "us").current_dir("/").stdin(Stdio::null());
        assert!(command.status().unwrap().success());
        let text = fs::read_to_string(&said).unwrap();
        fs::remove_file(&said).unwrap();
        text
    };
    let told = tell(Command::new("sh"));
    assert!(told.ends_with(&format!("us\n{OPTION} --help\n")), "{told}");
    for daemon in PROGRAMS {
        let mut command = Command::new(daemon);
        command.args([OPTION, "sh"]);
        assert_eq!(tell(command), told);
        let words = format!("cd {}; exec {plain} a  b", dir.path().display());
        run(daemon, &["sh", "-c", &words]).unwrap();
        assert_eq!(fs::read_to_string(&said).unwrap(), "a b\n");
        fs::remove_file(&said).unwrap();
    }
    for daemon in [PROGRAMS[0], PROGRAMS[1]] {
        // The last is of ls itself.
        let listed = failure(daemon, &["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; exit 1"]);
        assert!(listed.ends_with("its last line: 0 1 2 3"), "{listed}");
    }
}

#[test]
fn one_whose_file_does_not_answer_is_started_at_once_and_killed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    for daemon in PROGRAMS {
        let program = file(&dir.path().join("program"), "#!/bin/sh\n", 0o755);
        let held = Held::new(Path::new(&program));
        let mut running = begin(daemon, &[&program], Duration::from_millis(100));
        let failure = loop {
            if let Some(failure) = running.due(Instant::now()) {
                break failure;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(failure.to_string(), "was killed after 100ms");
        assert_eq!(end(&running), Exit::Signal(9));
        drop(held);
        run(daemon, &[&program]).unwrap();
    }
}

#[test]
fn nobody_is_told_of_the_argument() {
    for daemon in PROGRAMS {
        let help = Command::new(daemon).arg("--help").output().unwrap();
        assert!(!String::from_utf8_lossy(&help.stdout).contains(OPTION));
    }
}
