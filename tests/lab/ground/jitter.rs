//! Unfair scheduling on purpose: with `PIRANHA_JITTER=SEED` some process or other of a
//! guest stands still for up to a tenth of a second, all the time. What a scenario shows
//! does not depend on who is faster; how it looks at it must not either.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::random::Random;

/// Asks for it; the number says which run it was.
pub(super) const JITTER: &str = "PIRANHA_JITTER";

/// How long a process stands still, and how long none does, in milliseconds.
const STILL: u64 = 100;
const GOES: u64 = 150;

fn sleep(random: &mut Random, most: u64) {
    std::thread::sleep(Duration::from_millis(1 + random.below(most)));
}

/// Begins it in a guest, by its first process. No signal does it, for a scenario stops
/// processes itself, but the kernel's freezer, whose folder is made at `at`.
pub(super) fn begin(seed: &str, at: &Path) -> io::Result<()> {
    let seed = seed.parse::<u64>().map_err(|e| io::Error::other(format!("{JITTER}={seed}: {e}")))?;
    let mut random = Random::new(seed);
    fs::create_dir_all(at)?;
    mount(Some("cgroup2"), at, Some("cgroup2"), MsFlags::empty(), None::<&str>)?;
    let (root, still) = (at.join("cgroup.procs"), at.join("still"));
    fs::create_dir_all(&still)?;
    std::thread::spawn(move || {
        loop {
            let all = candidates();
            if !all.is_empty() {
                // One that has ended meanwhile stays as it is.
                let _ = fs::write(still.join("cgroup.procs"), random.of(&all).to_string());
                let _ = fs::write(still.join("cgroup.freeze"), "1");
                sleep(&mut random, STILL);
                let _ = fs::write(still.join("cgroup.freeze"), "0");
                // With the children it had at that moment.
                for pid in fs::read_to_string(still.join("cgroup.procs")).unwrap_or_default().lines() {
                    let _ = fs::write(&root, pid);
                }
            }
            sleep(&mut random, GOES);
        }
    });
    Ok(())
}

/// Every process with a program but ourselves and what belongs to a systemd.
fn candidates() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_program = |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok();
    let in_root = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|it| it.trim() == "0::/");
    pids.filter(|pid| *pid != std::process::id()).filter(has_program).filter(in_root).collect()
}
