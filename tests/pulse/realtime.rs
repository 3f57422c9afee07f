//! A pulse that goes before everything else on its processor: it alone, for as long
//! as the file asks for it, and if the kernel lets it.

use std::fs;

use crate::ground::{Ground, inside, wait_until};

/// `/proc/PID/stat`, from the third field on.
const RT_PRIORITY: usize = 40 - 3;
const POLICY: usize = 41 - 3;

const OTHER: (u32, u32) = (0, 0);
const fn rr(priority: u32) -> (u32, u32) {
    (2, priority)
}

/// The policy and the realtime priority in a `stat`.
fn policy_in(stat: &str) -> (u32, u32) {
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[POLICY].parse().unwrap(), fields[RT_PRIORITY].parse().unwrap())
}

fn policy(pid: u32) -> (u32, u32) {
    policy_in(&fs::read_to_string(format!("/proc/{pid}/stat")).unwrap())
}

fn locked_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// In microseconds; `None` without a limit.
fn may_spin(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout")).unwrap();
    line.split_whitespace().next().unwrap().parse().ok()
}

fn reload(ground: &Ground, more: &str) {
    ground.file(more);
    let before = ground.hangups();
    ground.kill(ground.guardian(), "HUP");
    wait_until("lvsd was told of the reload", || ground.hangups() > before);
}

#[test]
fn pulse_alone_is_realtime_for_as_long_as_the_file_says() {
    inside("realtime::pulse_alone_is_realtime_for_as_long_as_the_file_says", |ground| {
        fs::write("/run/note", "#!/bin/sh\ncat /proc/$$/stat >> /run/stats\n").unwrap();
        ground.file("realtime_priority = 50\ncheck_cmd = /run/note\ncheck_interval = 50ms\n");
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let worker = ground.worker();
        assert_eq!(policy(worker), rr(50));
        assert!(locked_kib(worker) > 0);
        assert_eq!(may_spin(worker), Some(5_000_000));
        ground.assert_order(&["running with realtime priority 50", "no partner configured: activating lvs"]);
        // Those that it has started, and that have started it.
        assert_eq!((policy(ground.lvsd()), policy(ground.guardian())), (OTHER, OTHER));
        assert_eq!(locked_kib(ground.lvsd()), 0);
        let guardian = ground.guardian();
        ground.kill(guardian, "KILL");
        wait_until("there is another guardian", || ground.guardian_if_any().is_some_and(|pid| pid != guardian));
        assert_eq!(policy(ground.guardian()), OTHER);
        let stats = || fs::read_to_string("/run/stats").unwrap_or_default();
        wait_until("commands were run", || stats().lines().count() > 2);
        assert!(stats().lines().all(|stat| policy_in(stat) == OTHER), "{}", stats());

        reload(ground, "realtime_priority = 30\n");
        wait_until("it has another priority", || policy(worker) == rr(30));
        ground.wait_for_line("running with realtime priority 30");
        reload(ground, "");
        let is_like_others = || (policy(worker), locked_kib(worker), may_spin(worker)) == (OTHER, 0, None);
        wait_until("it is as others are", is_like_others);
        ground.wait_for_line("running without realtime priority again");
        reload(ground, "realtime_priority = 50\n");
        wait_until("it is realtime again", || policy(worker) == rr(50));
        // One that is killed is followed by one of its kind.
        ground.kill(worker, "KILL");
        wait_until("there is another pulse", || ground.worker_if_any().is_some_and(|pid| pid != worker));
        wait_until("which is realtime, too", || policy(ground.worker()) == rr(50));
        ground.stop();
    });
}

#[test]
fn a_kernel_that_refuses_is_one_line_and_pulse_goes_on() {
    inside("realtime::a_kernel_that_refuses_is_one_line_and_pulse_goes_on", |ground| {
        const REFUSED: &str = "cannot run with realtime priority 50 (Operation not permitted";
        ground.file("realtime_priority = 50\n");
        ground.start_without("-sys_nice");
        ground.wait_for_vip("10.0.0.9/24");
        ground.wait_for_line(REFUSED);
        let worker = ground.worker();
        assert_eq!((policy(worker), locked_kib(worker)), (OTHER, 0));
        reload(ground, "realtime_priority = 50\n");
        assert_eq!(ground.count_lines(REFUSED), 1, "once");
        reload(ground, "");
        reload(ground, "realtime_priority = 50\n");
        wait_until("again when it is asked for again", || ground.count_lines(REFUSED) == 2);
        assert_eq!(ground.count_lines("running with"), 0);
        ground.stop();

        // Without the right to lock more than so much, what comes could be refused.
        ground.start_without("-ipc_lock,-sys_resource");
        ground.wait_for_line("cannot lock memory (Operation not permitted): heartbeats are late");
        let worker = ground.worker();
        assert_eq!((policy(worker), locked_kib(worker)), (rr(50), 0));
        ground.stop();
    });
}
