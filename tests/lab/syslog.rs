//! A syslogd that is missing, restarted or stuck costs lines at most, never
//! service.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::log::{Level, Log, Message, facility};
use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};
use crate::site::{BOTH, SERVICE, Site, patient_lvs_cf};

const OUT: &str = "[inactive] shutting down 192.168.142.158:8080 due to connection failure";
const IN: &str = "[ active ] making 192.168.142.158:8080 available";

#[test]
fn the_trio_starts_without_a_syslogd_and_speaks_as_soon_as_there_is_one() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        site.director.configure(&patient_lvs_cf());
        site.director.log.stop();
        let mark = site.director.log.mark();
        site.director.start_pulse();
        site.wait_in_service();
        site.director.log.start_again(&site.director.machine);
        site.servers[0].kill();
        site.director.log.wait_for(mark, OUT);
        // What was said meanwhile waited.
        site.director.log.wait_for(mark, "STARTING PULSE AS MASTER");
        site.director.log.wait_for(mark, "create_monitor for 100/158 running as pid");

        site.director.log.stop();
        let mark = site.director.log.mark();
        site.director.log.start_again(&site.director.machine);
        site.servers[0].start();
        site.director.log.wait_for(mark, IN);
    });
}

#[test]
fn a_stuck_syslogd_holds_nothing_up() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        // The kernel's own, whatever a host's systemd would make of it.
        site.director.log.stop();
        site.director.machine.sysctl("net.unix.max_dgram_qlen", "10");
        site.director.log.start_again(&site.director.machine);
        site.director.configure(&patient_lvs_cf());
        site.director.start_pulse();
        site.wait_in_service();
        let mark = site.director.log.mark();
        signal(site.director.log.pid(), Signal::SIGSTOP);
        // More than its socket holds.
        for _ in 0..3 {
            site.servers[0].kill();
            site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
            site.servers[0].start();
            site.director.wait_for_destinations(SERVICE, &BOTH);
        }
        signal(site.director.log.pid(), Signal::SIGCONT);
        site.director.log.wait_for(mark, IN);
        site.director.stop_pulse();
        site.director.log.wait_for(mark, "Terminating due to signal 15");
    });
}

/// What /etc/rsyslog.d and /etc/logrotate.d get.
const RSYSLOG: &str = include_str!("../../etc/rsyslog/piranha-ng.conf");
const LOGROTATE: &str = include_str!("../../etc/logrotate/piranha-ng");
const OWN_FILE: &str = "/var/log/piranha-ng.log";

/// How many lines the load has at least.
const LOAD: usize = 1000;

struct Numbered(usize);

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load {}", self.0)
    }
}

impl Message for Numbered {
    fn level(&self) -> Level {
        Level::Notice
    }
}

/// Says lines as a daemon does, until there were enough of them and `ended` is true:
/// how many it said, and how many were dropped. It waits for a syslogd that is behind:
/// what one who does not loses is another test's.
fn load(socket: &Path, ended: &AtomicBool) -> (usize, u64) {
    let log = Log::new(false).with_syslog_at("nanny", facility("daemon").unwrap(), socket.to_owned());
    let mut said = 0;
    while said < LOAD || !ended.load(Ordering::Relaxed) {
        log.say(&Numbered(said));
        said += 1;
        if said.is_multiple_of(2) {
            thread::sleep(Duration::from_millis(2));
        }
        wait_until(SOON, "room for lines", || {
            log.flush();
            log.waiting() < 16
        });
    }
    wait_until(SOON, "syslogd took the last line", || {
        log.flush();
        log.waiting() == 0
    });
    (said, log.dropped())
}

#[test]
fn with_the_snippets_the_lines_have_a_file_of_their_own_and_rotating_it_loses_none() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        let director = &mut site.director;
        director.log.stop();
        let config = std::fs::read_to_string(director.machine.path("/run/lab-rsyslog.conf")).unwrap();
        let (modules, rule) = config.split_once("*.* ").unwrap();
        director.machine.write("/run/lab-rsyslog.conf", &format!("{modules}{RSYSLOG}*.* {rule}"));
        director.log.start_again(&director.machine);
        let machine = &director.machine;
        machine.write("/run/logrotate.conf", LOGROTATE);
        for (path, mode) in [("/run/logrotate.conf", 0o644), ("/var/log", 0o755)] {
            std::fs::set_permissions(machine.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let own = || std::fs::read_to_string(machine.path(OWN_FILE)).unwrap_or_default();

        // the trio's lines are there, and nowhere else; another's are where they were
        director.start_pulse();
        for words in ["pulse[", "lvsd[", "nanny["] {
            wait_until(SOON, words, || own().contains(words));
        }
        machine.run("logger", &["-t", "sshd", "another's line"]);
        director.log.wait_for(0, "another's line");
        for words in ["pulse[", "lvsd[", "nanny["] {
            director.log.assert_never(0, words);
        }

        let socket = machine.path("/dev/log");
        let ended = Arc::new(AtomicBool::new(false));
        let load = thread::spawn({
            let ended = Arc::clone(&ended);
            move || load(&socket, &ended)
        });
        // While lines come: in the present file, whichever that is.
        for _ in 1..=3 {
            wait_until(SOON, "lines in the file", || own().contains(": load "));
            machine.run("logrotate", &["--force", "--state", "/run/logrotate.state", "/run/logrotate.conf"]);
        }
        wait_until(SOON, "lines in the last file", || own().contains(": load "));
        ended.store(true, Ordering::Relaxed);
        let (said, dropped) = load.join().unwrap();
        assert_eq!(dropped, 0);
        let last = format!(": load {}\n", said - 1);
        wait_until(SOON, "the last line in the file", || own().contains(&last));
        let files = [".3.gz", ".2.gz", ".1", ""].map(|end| format!("{OWN_FILE}{end}"));
        let all = machine.run("zcat", &[&["-f".to_owned()][..], &files[..]].concat());
        let numbers: Vec<usize> = all.lines().filter_map(|line| line.split_once(": load ")?.1.parse().ok()).collect();
        assert_eq!(numbers, (0..said).collect::<Vec<_>>());
        // and what the daemons say goes on in the new file
        director.stop_pulse();
        wait_until(SOON, "the end in the new file", || own().contains("Terminating due to signal 15"));
    });
}
