//! /var/log/messages of a director, as a real rsyslogd writes it, and questions
//! about what stands in it and in which order.

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Machine;
use super::lab::Process;
use super::wait::{SOON, holds_within, wait_for, wait_until};

const CONFIG: &str = "\
module(load=\"imuxsock\" SysSock.Name=\"/dev/log\" SysSock.RateLimit.Interval=\"0\")
module(load=\"builtin:omfile\" Template=\"RSYSLOG_TraditionalFileFormat\")
*.* action(type=\"omfile\" File=\"/var/log/messages\")
";

/// How many lines wait for a syslogd that is slow: what a systemd sets on every host.
/// The kernel's own 10 are for a moment, and what a daemon said last is lost with it.
const WAITING_MAX: &str = "512";

/// What the lab says itself, with a number behind it.
const SO_FAR: &str = " lab: so far ";

/// A syslogd of a machine's own.
pub struct Syslog {
    rsyslogd: Process,
    file: PathBuf,
    socket: PathBuf,
    /// The last number behind [`SO_FAR`].
    settled: Cell<u32>,
}

impl Syslog {
    /// Starts rsyslogd in the machine and waits for its socket.
    pub fn start(machine: &Machine) -> Self {
        machine.write("/run/lab-rsyslog.conf", CONFIG);
        machine.sysctl("net.unix.max_dgram_qlen", WAITING_MAX);
        let rsyslogd = Self::launch(machine);
        let (file, socket) = (machine.path("/var/log/messages"), machine.path("/dev/log"));
        let this = Self { rsyslogd, file, socket, settled: Cell::new(0) };
        this.wait_for_socket();
        this
    }

    fn launch(machine: &Machine) -> Process {
        let mut command = Command::new("rsyslogd");
        command.args(["-n", "-f", "/run/lab-rsyslog.conf", "-i", "/run/rsyslogd.pid"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        machine.start(command)
    }

    fn wait_for_socket(&self) {
        wait_until(SOON, "rsyslogd opens /dev/log", || self.socket.exists());
    }

    /// Ends it, and its socket with it, as `service rsyslog stop` does.
    pub fn stop(&mut self) {
        self.rsyslogd.kill();
        let _ = std::fs::remove_file(&self.socket);
    }

    /// Starts it again: a new socket of the same name.
    pub fn start_again(&mut self, machine: &Machine) {
        self.rsyslogd = Self::launch(machine);
        self.wait_for_socket();
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.rsyslogd.pid()
    }

    /// All that stands in the file so far, in whole lines, but what the lab said itself.
    pub fn lines(&self) -> Vec<String> {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter(|line| !line.contains(SO_FAR)).map(str::to_owned).collect()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// What was said by now stands in the file when this returns: a line that is said
    /// behind it does. From a syslogd that is not there nothing more comes.
    fn settle(&self) {
        let number = self.settled.replace(self.settled.get() + 1);
        let words = format!("{SO_FAR}{number}.");
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let mut is_there = true;
        wait_until(SOON, "rsyslogd takes a line", || {
            match socket.send_to(format!("<31>{}", words.trim_start()).as_bytes(), &self.socket) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                sent => is_there = sent.is_ok(),
            }
            true
        });
        if is_there {
            wait_until(SOON, "rsyslogd writes what it was told", || self.text().contains(&words));
        }
    }

    /// The present end of the log: what is said from now on can be looked at alone.
    pub fn mark(&self) -> usize {
        self.settle();
        self.lines().len()
    }

    /// The lines behind a mark.
    pub fn since(&self, mark: usize) -> Vec<String> {
        self.lines().split_off(mark)
    }

    /// Waits for a line with these words behind the mark; that line.
    pub fn wait_for(&self, mark: usize, words: &str) -> String {
        wait_for(SOON, &format!("a line in the log with \"{words}\""), || {
            self.since(mark).into_iter().find(|line| line.contains(words))
        })
    }

    /// How many lines behind the mark hold these words, of what was said by now.
    pub fn count(&self, mark: usize, words: &str) -> usize {
        self.settle();
        self.since(mark).iter().filter(|line| line.contains(words)).count()
    }

    /// These words come to stand behind the mark in this order, each in a line of its
    /// own, other lines between them or not.
    pub fn assert_order(&self, mark: usize, all: &[&str]) {
        let stands = || {
            let lines = self.since(mark);
            let mut rest = lines.iter();
            all.iter().all(|words| rest.any(|line| line.contains(words)))
        };
        assert!(
            holds_within(SOON, stands),
            "the log does not say in this order {all:#?}:\n{}",
            self.since(mark).join("\n")
        );
    }

    /// Nobody has said this behind the mark until now.
    pub fn assert_never(&self, mark: usize, words: &str) {
        self.settle();
        let said: Vec<String> = self.since(mark).into_iter().filter(|line| line.contains(words)).collect();
        assert!(said.is_empty(), "the log says \"{words}\":\n{}", said.join("\n"));
    }
}
