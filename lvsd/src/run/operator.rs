//! The loop's part in what operators have it run.

use std::time::Instant;

use common::child::Exit;
use common::ipvs::Ipvs;

use super::Daemon;
use crate::hands;
use crate::messages::Message;

impl<K: Ipvs> Daemon<K> {
    /// Starts what may be started.
    pub(super) fn run_scripts(&mut self, now: Instant) {
        while let Some(script) = self.scripts.take() {
            let (name, command) = (script.name.clone(), script.command.clone());
            match hands::run_script(&script.command) {
                Ok(pid) => {
                    self.log.say(&Message::ScriptBegins { name, command, pid });
                    self.scripts.began(script, pid, now);
                }
                Err(e) => self.log.say(&Message::ScriptNotRun { name, command, reason: e.to_string() }),
            }
        }
    }

    /// A child ended that may be a script; another may begin then.
    pub(super) fn script_ended(&mut self, pid: u32, exit: Exit, now: Instant) {
        let Some((script, killed)) = self.scripts.ended(pid) else { return };
        let (name, command) = (script.name, script.command);
        if killed {
            self.log.say(&Message::ScriptKilled { name, command });
        } else if exit != Exit::Status(0) {
            self.log.say(&Message::ScriptFailed { name, command, exit });
        }
        self.run_scripts(now);
    }
}
