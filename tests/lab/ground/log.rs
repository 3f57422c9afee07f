//! /var/log/messages of a director, as a real rsyslogd writes it, and questions
//! about what stands in it and in which order.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Machine;
use super::lab::Process;
use super::wait::{SOON, wait_for, wait_until};

const CONFIG: &str = "\
module(load=\"imuxsock\" SysSock.Name=\"/dev/log\" SysSock.RateLimit.Interval=\"0\")
module(load=\"builtin:omfile\" Template=\"RSYSLOG_TraditionalFileFormat\")
*.* action(type=\"omfile\" File=\"/var/log/messages\")
";

/// A syslogd of a machine's own.
pub struct Syslog {
    rsyslogd: Process,
    file: PathBuf,
    socket: PathBuf,
}

impl Syslog {
    /// Starts rsyslogd in the machine and waits for its socket.
    pub fn start(machine: &Machine) -> Self {
        machine.write("/run/lab-rsyslog.conf", CONFIG);
        let rsyslogd = Self::launch(machine);
        let this = Self { rsyslogd, file: machine.path("/var/log/messages"), socket: machine.path("/dev/log") };
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

    /// All that was logged so far.
    pub fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.file).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The present end of the log: what follows it can be looked at alone.
    pub fn mark(&self) -> usize {
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

    /// How many lines behind the mark hold these words.
    pub fn count(&self, mark: usize, words: &str) -> usize {
        self.since(mark).iter().filter(|line| line.contains(words)).count()
    }

    /// These words stand behind the mark in this order, each in a line of its
    /// own, other lines between them or not.
    pub fn assert_order(&self, mark: usize, all: &[&str]) {
        let lines = self.since(mark);
        let mut rest = lines.iter();
        for words in all {
            assert!(
                rest.any(|line| line.contains(words)),
                "\"{words}\" is not in the log, or not in the order {all:#?}:\n{}",
                lines.join("\n")
            );
        }
    }

    /// Nobody said this behind the mark.
    pub fn assert_never(&self, mark: usize, words: &str) {
        let said: Vec<String> = self.since(mark).into_iter().filter(|line| line.contains(words)).collect();
        assert!(said.is_empty(), "the log says \"{words}\":\n{}", said.join("\n"));
    }
}
