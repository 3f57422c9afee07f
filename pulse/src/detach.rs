//! `--detach`: asks the pulse that runs to end and to leave everything as it is.
//! The unit of systemd asks so in a restart, and what it starts then adopts it all.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use common::channel::{self, Ask, Line, Received};
use common::daemon::{self, ExitStatus};
use common::log::Log;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::start::Refused;

/// How long it may take; it has nothing to do but to tell its partner.
const WITHIN: Duration = Duration::from_secs(10);

/// Asks, and waits for the end. Where no pulse runs there is nothing to ask.
pub fn detach(log: &Log) -> ExitStatus {
    let Ok(line) = channel::join(&daemon::run_root().join("pulse")) else { return ExitStatus::Stopped };
    // One that is gone already needs no asking.
    let _ = line.send(&Ask::Release.encode());
    match wait_for_end(&line, Instant::now() + WITHIN) {
        Ok(()) => ExitStatus::Stopped,
        Err(e) => {
            let refused = Refused::system("wait for the end of pulse", &e);
            refused.say(log);
            refused.status
        }
    }
}

fn wait_for_end(line: &Line, end: Instant) -> nix::Result<()> {
    loop {
        match line.receive_said() {
            Received::Ended => return Ok(()),
            Received::Message(_) | Received::Garbage(_) => continue,
            Received::Nothing => {}
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::ETIMEDOUT);
        }
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(line.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_the_end_and_not_for_ever() {
        let (ours, theirs) = Line::pair().unwrap();
        let soon = || Instant::now() + Duration::from_millis(10);
        assert_eq!(wait_for_end(&ours, soon()), Err(Errno::ETIMEDOUT));
        drop(theirs);
        assert_eq!(wait_for_end(&ours, soon()), Ok(()));
    }
}
