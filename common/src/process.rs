//! Processes by their ids: signals to them, and the ends of children.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::child::Exit;

/// Sends a signal. One that is gone already needs none; 0 is no process but our own
/// group, and 1 is never a child.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && pid > 1
    {
        // The only other failure is a process that is not ours to signal, and
        // its place would have shown us the door.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The next child that ended. SIGCHLD coalesces, so call it until it has none.
pub fn reap() -> Option<(u32, Exit)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => {
                let (pid, exit) = Exit::from_wait(status)?;
                return Some((pid.as_raw().unsigned_abs(), exit));
            }
            Err(Errno::EINTR) => {}
            // No children.
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_goes_to_one_process_or_to_none() {
        // Pid 0 would be this process and its group, 1 everybody's parent.
        for pid in [0, 1, u32::MAX] {
            signal(pid, Signal::SIGKILL);
        }
    }
}
