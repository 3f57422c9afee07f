//! The parts this test binary plays when it is started again: the first process
//! of a guest, the first process of a machine, a real server. A process of its
//! own can be killed, stopped and counted like any server; the same binary needs
//! no second build, is never stale, and starts in milliseconds.
//!
//! A part is told on its stdin, a socket both ways, and ends when that ends: so
//! that nothing outlives a test however the test ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::lab::{SharedChild, end};
use super::tell;
use super::wait::SOON;

mod first;
mod original;
mod server;

pub(crate) use first::MODULES;
pub(super) use first::{GUEST_JOB, guest_command_line, read_status};

/// Names the part to play; without it the binary is a test run.
const PART: &str = "PIRANHA_LAB_PART";
/// The part's own words, separated by line feeds.
const WORDS: &str = "PIRANHA_LAB_PART_WORDS";
/// The test below, by which a part is entered.
const ENTRANCE: &str = "ground::part::this_binary_started_again_plays_a_part";

/// A part that plays, and the line to it.
#[derive(Debug)]
pub struct Part {
    child: SharedChild,
    line: BufReader<UnixStream>,
}

impl Part {
    /// Starts a part with its words, from the calling thread's namespaces, and
    /// waits until it says that it plays.
    pub fn start(part: &str, words: &[&str]) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let mut command = command(part, words);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        if !tell::keeps() {
            // An interrupt at the terminal, or a kill of the whole group, is the
            // test run's: a part ends when its line does.
            command.process_group(0);
        }
        let child = command.spawn().expect("this binary starts again");
        drop(command); // with our copy of the part's end of the line
        let mut this = Self { child: Arc::new(Mutex::new(child)), line: BufReader::new(ours) };
        let said = this.hear();
        assert_eq!(said, "ready", "part {part} {words:?}");
        this
    }

    /// Tells it something and waits for the answer.
    pub fn ask(&mut self, what: &str) -> String {
        writeln!(self.line.get_ref(), "{what}").expect("the part is there");
        self.hear()
    }

    fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.line.read_line(&mut answer).expect("the part is there");
        answer.trim_end().to_owned()
    }

    /// Its process id, in this process's namespace.
    pub fn pid(&self) -> u32 {
        self.child.lock().expect("no panic holds it").id()
    }

    /// SIGKILL, as a crash or the out-of-memory killer would; it is gone when
    /// this returns.
    pub fn kill(&self) {
        end(&self.child);
    }

    /// Whether it ended by itself.
    pub fn has_ended(&self) -> bool {
        self.child.lock().expect("no panic holds it").try_wait().is_ok_and(|status| status.is_some())
    }

    /// For the machine it runs in, which ends it if nobody else did.
    pub(super) fn child(&self) -> SharedChild {
        Arc::clone(&self.child)
    }
}

impl Drop for Part {
    /// The end of the line is the end of the part; one that does not see it is
    /// killed.
    fn drop(&mut self) {
        let _ = self.line.get_ref().shutdown(std::net::Shutdown::Both);
        let end = Instant::now() + SOON;
        while !self.has_ended() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }
}

/// Where this binary is. Found out before any machine is entered: a thread of
/// ours is nobody in a machine's /proc.
pub(super) fn this_binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::current_exe().expect("the path of this binary"))
}

fn command(part: &str, words: &[&str]) -> Command {
    let mut command = Command::new(this_binary());
    command.args(["--exact", ENTRANCE, "--nocapture", "--test-threads=1"]);
    command.env(PART, part).env(WORDS, words.join("\n"));
    command
}

/// The part's end of the line.
pub(super) struct Master {
    line: BufReader<UnixStream>,
}

impl Master {
    fn from_stdin() -> Self {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().expect("stdin is the line");
        Self { line: BufReader::new(UnixStream::from(stdin)) }
    }

    pub(super) fn answer(&self, what: &str) {
        // A master that is gone is seen at the next reading.
        let _ = writeln!(self.line.get_ref(), "{what}");
    }

    /// The next wish, or `None` at the end of the line.
    pub(super) fn wish(&mut self) -> Option<String> {
        let mut wish = String::new();
        match self.line.read_line(&mut wish) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(wish.trim_end().to_owned()),
        }
    }
}

/// Plays the part named in the environment; never returns from one.
fn play(part: &str) {
    let words = std::env::var(WORDS).unwrap_or_default();
    let words: Vec<&str> = words.lines().collect();
    match part {
        "guest" => first::in_guest(),
        "warden" => super::guest::keep_watch(Master::from_stdin(), &words),
        "machine" => first::in_machine(Master::from_stdin(), &words),
        "server" => server::serve(Master::from_stdin(), &words),
        "original" => original::play(Master::from_stdin(), &words),
        "echo" => {
            let mut master = Master::from_stdin();
            master.answer("ready");
            while let Some(wish) = master.wish() {
                master.answer(&wish);
            }
        }
        other => panic!("no part {other}"),
    }
    #[allow(clippy::exit, reason = "a part must not go on to report test results")]
    std::process::exit(0)
}

#[test]
fn this_binary_started_again_plays_a_part() {
    if let Ok(part) = std::env::var(PART) {
        play(&part);
    }
    let mut echo = Part::start("echo", &[]);
    assert_eq!(echo.ask("are you there?"), "are you there?");
    let pid = echo.pid();
    drop(echo);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it ends with the line");
}
