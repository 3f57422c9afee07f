//! Who held the VIP, and when: looked at on both directors a hundred times a
//! second, in the kernel's own list of local addresses.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ground::director::local_addresses;

use super::site::VIP_ADDRESS;

/// Whether the machine with that first process answers for the VIP.
pub fn holds(first_pid: u32) -> bool {
    let vip = VIP_ADDRESS.parse().expect("an address");
    local_addresses(first_pid).contains(&vip)
}

/// From that moment on, whether the master and the backup held it.
type Change = (Instant, [bool; 2]);

fn look(first_pids: [u32; 2], changes: &Mutex<Vec<Change>>) {
    let mut changes = changes.lock().expect("no panic holds it");
    let now = at_once(first_pids);
    if changes.last().is_none_or(|(_, last)| *last != now) {
        changes.push((Instant::now(), now));
    }
}

/// What both had at one moment: a VIP that moves between two looks is not on both.
fn at_once([master, backup]: [u32; 2]) -> [bool; 2] {
    loop {
        let now = [holds(master), holds(backup)];
        if holds(master) == now[0] {
            return now;
        }
    }
}

/// The record.
pub struct Holders {
    first_pids: [u32; 2],
    changes: Arc<Mutex<Vec<Change>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Holders {
    pub fn watch(first_pids: [u32; 2]) -> Self {
        let changes = Arc::new(Mutex::new(Vec::new()));
        look(first_pids, &changes);
        let stop = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&changes), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                look(first_pids, &into);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { first_pids, changes, stop, thread: Some(thread) }
    }

    /// Everything that was seen until this moment, each different from the one
    /// before.
    fn seen(&self) -> Vec<Change> {
        look(self.first_pids, &self.changes);
        self.changes.lock().expect("no panic holds it").clone()
    }

    /// It stayed where it was.
    pub fn assert_unchanged(&self) {
        assert_eq!(self.seen().len(), 1, "the VIP moved:{}", self.story());
    }

    /// It was never on both.
    pub fn assert_never_two(&self) {
        assert!(self.seen().iter().all(|(_, held)| *held != [true, true]), "both held the VIP:{}", self.story());
    }

    /// It moved so often: from the one to the other is once, however it looked in
    /// between.
    pub fn assert_moved(&self, times: usize) {
        let mut alone: Vec<[bool; 2]> =
            self.seen().into_iter().map(|(_, held)| held).filter(|held| held[0] != held[1]).collect();
        alone.dedup();
        assert_eq!(alone.len(), times + 1, "it did not move {times} times:{}", self.story());
    }

    fn story(&self) -> String {
        let seen = self.seen();
        let begin = seen[0].0;
        seen.iter().fold(String::new(), |mut story, (at, [master, backup])| {
            let _ = write!(story, "\n  after {:?}: master {master}, backup {backup}", at.duration_since(begin));
            story
        })
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
