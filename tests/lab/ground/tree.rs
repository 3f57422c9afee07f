//! The tree of processes, read from /proc: to end a guest with all it is made of,
//! and to prove that nothing is left.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What is known of a process.
pub(super) struct Process {
    /// Its parent.
    pub(super) parent: u32,
    /// Its process group.
    pub(super) group: u32,
    /// When it started: with the process id, what makes it this one.
    pub(super) started: u64,
}

/// SIGKILL to a process and all below it. It is stopped first: a guest starts new
/// processes all the time; and killed last: who waits for its end may take it for
/// the end of all.
pub(super) fn end_tree(root: u32) {
    let to = |pid: u32, signal| i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), signal));
    let _ = to(root, Signal::SIGSTOP);
    for pid in descendants(root).into_keys().filter(|pid| *pid != root) {
        let _ = to(pid, Signal::SIGKILL);
    }
    let _ = to(root, Signal::SIGKILL);
}

/// The process group of the caller.
pub(super) fn own_group(all: &BTreeMap<u32, Process>) -> u32 {
    all.get(&std::process::id()).map_or(0, |process| process.group)
}

/// All processes.
pub(super) fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

/// proc(5): state, ppid and pgrp follow the name in parentheses, starttime is the
/// 22nd field.
fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let small = |at: usize| number(at).and_then(|n| u32::try_from(n).ok());
    Some(Process { parent: small(1)?, group: small(2)?, started: number(19)? })
}

/// A process and all below it.
pub(super) fn descendants(root: u32) -> BTreeMap<u32, Process> {
    let mut all = processes();
    let mut found = BTreeMap::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        next.extend(all.iter().filter(|(_, process)| process.parent == pid).map(|(child, _)| *child));
        if let Some(process) = all.remove(&pid) {
            found.insert(pid, process);
        }
    }
    found
}
