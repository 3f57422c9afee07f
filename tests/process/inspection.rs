//! `--check`, `--dump` and `--convert` as they are typed: what stands where, exit
//! codes, and files that are none.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

mod answers;
mod odd_files;
mod shipped;

const PULSE: &str = env!("CARGO_BIN_EXE_pulse");
const LVSD: &str = env!("CARGO_BIN_EXE_lvsd");

/// A virtual service that nobody complains about, but for the machine it is not for.
const GOOD: &str = "primary = 127.0.0.1\nnetwork = direct\nvirtual web {\n active = 1\n address = 192.0.2.9 lo:1\n \
                    vip_nmask = 255.255.255.255\n send = \"GET / HTTP/1.0\\r\\n\\r\\n\"\n \
                    server one {\n  address = 192.0.2.11\n  active = 1\n }\n}\n";

/// How long a program may take that has nothing to wait for; it is about hanging,
/// not about speed.
const DEADLINE: Duration = Duration::from_secs(300);

/// What became of a program.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    /// The fingerprint in the last line of a good check.
    fn fingerprint(&self) -> &str {
        let (_, fingerprint) = self.last_line().rsplit_once(" fingerprint ").unwrap_or_else(|| panic!("{self:?}"));
        assert!(fingerprint.len() == 16 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()), "{self:?}");
        fingerprint
    }
}

/// Runs a program with a text on its standard input; one that does not end is
/// killed, and the test has failed.
fn run_with(mut command: Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // a program that does not read its input is no failure of ours
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = within_deadline(child, |child| child.wait_with_output().unwrap());
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn within_deadline<T: Send + 'static>(child: Child, wait: impl FnOnce(Child) -> T + Send + 'static) -> T {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (done, result) = channel();
    std::thread::spawn(move || done.send(wait(child)));
    result.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        panic!("still running after {DEADLINE:?}");
    })
}

/// The end of a program whose streams are elsewhere.
fn status_of(mut command: Command) -> ExitStatus {
    within_deadline(command.spawn().expect("the program starts"), |mut child| child.wait().unwrap())
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn run(program: &str, arguments: &[&str]) -> Ran {
    run_with(command(program, arguments), b"")
}

/// Runs a program on a text as its standard input.
fn run_on(program: &str, arguments: &[&str], input: &str) -> Ran {
    run_with(command(program, arguments), input.as_bytes())
}

/// A file with a text, for as long as the folder lives.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    name_of(&path)
}

fn name_of(path: &Path) -> String {
    path.to_str().expect("a name in UTF-8").to_owned()
}
