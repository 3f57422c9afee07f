//! What a heartbeat costs: the system calls of an active director, counted.

use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::site::Site;
use crate::ground::{inside, wait_until};

const KEEPALIVE: Duration = Duration::from_millis(20);

/// Ours that goes out and the partner's that comes in: two waits, a look at the socket
/// before silence is judged, a beat sent, one read, and the look behind it.
const CALLS_FOR_A_BEAT: usize = 8;

/// What is done now and then: a look at the addresses, an announcement, a beat of
/// lvsd's.
const CALLS_NOW_AND_THEN: usize = 200;

#[test]
fn a_heartbeat_costs_few_system_calls() {
    inside("pair::cost::a_heartbeat_costs_few_system_calls", |_| {
        let site = Site::new(&format!("keepalive = {}ms\ndeadtime = 10\n", KEEPALIVE.as_millis()));
        site.boot();
        site.wait_for(&site.master);
        wait_until("the standby's lvsd runs", || site.backup.lvsd().is_some());
        site.master.wait_for_line("gratuitous lvs arps finished");
        let (calls, took) = calls_of(site.master.worker().expect("pulse runs"), Duration::from_secs(2));
        // A busy machine may have let fewer beats happen, never more.
        let beats = usize::try_from(took.as_millis() / KEEPALIVE.as_millis()).unwrap() + 1;
        assert!(calls > beats / 10, "the director that was counted does nothing");
        let most = beats * CALLS_FOR_A_BEAT + CALLS_NOW_AND_THEN;
        assert!(calls <= most, "{calls} system calls for {beats} beats, {most} at most");
    });
}

/// How many system calls a process makes in that time, or in what it took to count.
fn calls_of(pid: u32, time: Duration) -> (usize, Duration) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    ptrace::seize(pid, Options::PTRACE_O_TRACESYSGOOD).unwrap();
    ptrace::interrupt(pid).unwrap();
    let (begin, mut stops) = (Instant::now(), 0);
    loop {
        let passed_on = match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => {
                stops += 1;
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::PtraceEvent(..) => None,
            ended @ (WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive) => panic!("it ended while it was counted: {ended:?}"),
        };
        if begin.elapsed() >= time {
            ptrace::detach(pid, passed_on).unwrap();
            return (stops / 2, begin.elapsed()); // once when it begins, once when it ends
        }
        ptrace::syscall(pid, passed_on).unwrap();
    }
}
