//! `--detach`: asks the pulse that runs to end and to leave everything as it is.
//! The unit of systemd asks so in a restart, and what it starts then adopts it all.

use std::io;
use std::time::{Duration, Instant};

use common::channel::{self, Ask, Line, Said};
use common::daemon::{self, ExitStatus};
use common::log::Log;

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

fn wait_for_end(line: &Line, end: Instant) -> io::Result<()> {
    // Whatever it still says, nothing but its end will do.
    line.wait_for(Said::decode, end, |_| None::<()>).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_the_end_and_not_for_ever() {
        let (ours, theirs) = Line::pair().unwrap();
        let soon = || Instant::now() + Duration::from_millis(10);
        assert_eq!(wait_for_end(&ours, soon()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        // A child that another test starts at this moment may have a copy, for a moment.
        wait_for_end(&ours, Instant::now() + Duration::from_secs(60)).unwrap();
    }
}
