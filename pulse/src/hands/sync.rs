//! Performs what [`crate::sync`] decided, by netlink, and says once what cannot be
//! done: the device may come later, and the kernel's IPVS with lvsd.

use common::ipvs::client::Client;
use common::ipvs::{Agreement as _, Error, Ipvs as _, SyncDaemon, SyncRole};
use common::log::Log;

use crate::messages::Message;
use crate::sync::{Step, steps};

/// The daemons as far as they are ours.
#[derive(Debug, Default)]
pub(super) struct Sync {
    client: Option<Client>,
    /// What was seen to, last; what runs is then ours to stop.
    seen_to: Option<SyncDaemon>,
    /// The trouble that was said.
    trouble: Option<String>,
}

impl Sync {
    /// Has this one run and no other. Without one, those that were ours are stopped,
    /// and what somebody else started stays.
    pub(super) fn see_to(&mut self, wanted: Option<&SyncDaemon>, log: &Log) {
        if wanted.is_none() && self.seen_to.is_none() {
            return;
        }
        match self.step(wanted, log) {
            Ok(()) => {
                self.trouble = None;
                self.seen_to = wanted.cloned();
            }
            Err(e) => {
                self.client = None; // IPVS may have been loaded anew
                let error = e.to_string();
                if self.trouble.as_ref() != Some(&error) {
                    let device = wanted.or(self.seen_to.as_ref()).map(|daemon| daemon.interface.clone());
                    log.say(&Message::NotSynchronised { device: device.unwrap_or_default(), error: error.clone() });
                    self.trouble = Some(error);
                }
            }
        }
    }

    fn step(&mut self, wanted: Option<&SyncDaemon>, log: &Log) -> Result<(), Error> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::open()?),
        };
        let running = client.sync_daemons()?;
        let is_other = self.seen_to.as_ref().zip(wanted).is_some_and(|(before, wanted)| before.maxlen != wanted.maxlen);
        for step in steps(wanted, &running, is_other) {
            match step {
                Step::Start(daemon) => {
                    // One that is there after all is looked at the next time.
                    client.start_sync_daemon(&daemon).or_exists()?;
                    log.say(&Message::Synchronising { role: word(daemon.role), device: daemon.interface });
                }
                Step::Stop(role) => {
                    client.stop_sync_daemon(role).or_absent()?;
                }
            }
        }
        Ok(())
    }
}

fn word(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}
