//! The operator's programs on a file system that does not answer: whoever starts one
//! waits in execve(2). Nothing of it delays a heartbeat.

use std::time::{Duration, Instant};

use crate::ground::{inside, wait_until};
use crate::held::Held;
use crate::pair::site::Site;

const HEARTBEATS: &str = "keepalive = 20ms\ndeadtime = 2\n";

#[test]
fn programs_that_hang_before_they_run_delay_no_heartbeat_and_are_killed_in_time() {
    inside("hung::programs_that_hang_before_they_run_delay_no_heartbeat_and_are_killed_in_time", |_| {
        let site = Site::new(&format!(
            "{HEARTBEATS}cmd_timeout = 3\nnotify = /run/told\nnotify_timeout = 1\n\
             check_cmd = /run/check\ncheck_interval = 0.5\ncheck_timeout = 1\ncheck_fall = 8\n"
        ));
        for host in [&site.master, &site.backup] {
            host.program("run/told", "#!/bin/sh\n");
            host.program("run/check", "#!/bin/sh\n");
        }
        let files = ["run/note", "run/told", "run/check"].map(|file| site.master.path(file));
        let held = files.map(|file| Held::new(&file));
        site.boot();
        site.wait_for(&site.master);
        site.master.wait_for_line("notify was killed after 1s");
        site.master.wait_for_line("active_cmd was killed after 3s");
        assert_eq!(site.master.commands(), "", "it was run");
        // Until now it did not matter, and nobody has missed a heartbeat.
        assert_eq!(site.backup.count("activating lvs"), 0);
        site.master.wait_for_line("check_cmd was killed after 1s (8 in a row)");
        site.wait_for(&site.backup);
        assert_eq!(site.backup.count("partner dead"), 0, "it was handed over");
        drop(held);
        wait_until("what did not hang was run", || site.backup.commands() == "active\n");
        site.master.wait_for_line("check_cmd succeeds again");
    });
}

#[test]
fn a_stop_does_not_wait_for_programs_that_hang_before_they_run() {
    inside("hung::a_stop_does_not_wait_for_programs_that_hang_before_they_run", |_| {
        let site = Site::new(HEARTBEATS);
        let held = Held::new(&site.master.path("run/note"));
        site.boot();
        site.wait_for(&site.master);
        let since = Instant::now();
        site.master.stop();
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
        site.wait_for(&site.backup);
        assert_eq!(site.backup.count("partner dead"), 0, "it was handed over");
        assert_eq!(site.master.commands(), "");
        drop(held);
    });
}
