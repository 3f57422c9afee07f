//! Has this process go before all others on its processor, or wait its turn again.
//! Its children wait their turn in any case (SCHED_RESET_ON_FORK), which neither nix
//! nor the crates for thread priorities can ask for.

use std::io;

use nix::libc;

/// SCHED_RR with this priority, 1 to 99; SCHED_OTHER without one.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_NICE, or in a control group that has no
/// realtime to give.
pub fn set_realtime(priority: Option<u8>) -> io::Result<()> {
    let policy = if priority.is_some() { libc::SCHED_RR | libc::SCHED_RESET_ON_FORK } else { libc::SCHED_OTHER };
    let this_process: libc::pid_t = 0;
    // The kernel's sched_param is this one number.
    let priority = libc::c_int::from(priority.unwrap_or_default());
    // SAFETY: `priority` lives through the call, and the kernel only reads it, and as
    // much of it as its own sched_param is long, one int. The call by its number,
    // for musl's function of the name refuses always.
    let set = unsafe { libc::syscall(libc::SYS_sched_setscheduler, this_process, policy, &raw const priority) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
