//! Puts pulse before everything else that wants the processor, as `realtime_priority`
//! asks, and its memory where no swapping can reach it: a heartbeat that is late
//! because a backup runs is one that the partner may take for a death. pulse alone;
//! lvsd, the nannies, the guardian and all scripts wait their turn.

use std::io;
use std::time::Duration;

use common::log::Log;
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use crate::fenced::scheduler::set_realtime;
use crate::messages::Message;

/// The longest time it may run without a pause: reading the largest file takes a
/// small part of it. Everybody else on its processor waits meanwhile, and one that
/// runs on will not stop by itself, so the kernel ends it (SIGXCPU); its guardian
/// starts another.
const SPIN_MAX: Duration = Duration::from_secs(5);

/// How far the kernel went along.
#[derive(Debug, Default)]
pub(super) struct Realtime {
    priority: Option<u8>,
    is_locked: bool,
    /// The troubles that were said.
    refused: Option<Message>,
    unlocked: Option<Message>,
}

impl Realtime {
    /// From now on this priority, or none. What is refused is said once, and pulse
    /// goes on without it.
    pub(super) fn see_to(&mut self, wanted: Option<u8>, log: &Log) {
        match wanted {
            None if self.priority.is_none() => (self.refused, self.unlocked) = (None, None),
            None => self.give_up(log),
            Some(priority) => {
                let trouble = self.ask_for(priority, log).err();
                let trouble = trouble.map(|e| Message::RealtimeRefused { priority, error: e.to_string() });
                say_once(&mut self.refused, trouble, log);
                if self.priority.is_some() && !self.is_locked {
                    let trouble = lock_memory().err();
                    self.is_locked = trouble.is_none();
                    let trouble = trouble.map(|e| Message::MemoryNotLocked(e.desc().to_owned()));
                    say_once(&mut self.unlocked, trouble, log);
                }
            }
        }
    }

    fn ask_for(&mut self, priority: u8, log: &Log) -> io::Result<()> {
        limit_spinning(Some(SPIN_MAX))?;
        set_realtime(Some(priority))?;
        if self.priority.replace(priority) != Some(priority) {
            log.say(&Message::Realtime(priority));
        }
        Ok(())
    }

    fn give_up(&mut self, log: &Log) {
        // Only a kernel without these calls refuses, and it had them a moment ago.
        match set_realtime(None) {
            Ok(()) => log.say(&Message::NoRealtime),
            Err(e) => {
                return log.say(&Message::System { what: "give up the realtime priority", error: e.to_string() });
            }
        }
        let _ = limit_spinning(None);
        let _ = munlockall();
        *self = Self::default();
    }
}

/// A trouble that is new; without one, the next is.
fn say_once(said: &mut Option<Message>, trouble: Option<Message>, log: &Log) {
    if let Some(line) = trouble.as_ref().filter(|line| said.as_ref() != Some(line)) {
        log.say(line);
    }
    *said = trouble;
}

/// The soft limit alone: a program of the operator's inherits it, and may lift it.
fn limit_spinning(longest: Option<Duration>) -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_RTTIME)?;
    let soft = longest.map_or(hard, |longest| u64::try_from(longest.as_micros()).unwrap_or(hard).min(hard));
    setrlimit(Resource::RLIMIT_RTTIME, soft, hard)
}

/// What is there and what comes. With a limit on it, what comes could be refused one
/// day, and there is no going on without memory: so there must be none, or the right
/// to lock all the same.
fn lock_memory() -> nix::Result<()> {
    if !has_right_to_lock() {
        setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;
    }
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
}

/// CAP_IPC_LOCK, see capabilities(7) and proc_pid_status(5).
fn has_right_to_lock() -> bool {
    const IPC_LOCK: u64 = 1 << 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    rights.and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok()).is_some_and(|rights| rights & IPC_LOCK != 0)
}
