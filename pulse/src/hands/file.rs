//! Reads the file again, as the hands do it: the hosts it names are looked up first,
//! and one that is no good changes nothing.

use std::collections::VecDeque;
use std::time::Instant;

use common::names::{self, Known, Lookup};
use nix::sys::signal::Signal;

use super::{Hands, signal, watch};
use crate::identity::role;
use crate::messages::Message;
use crate::node::Event;
use crate::ready::Source;
use crate::settings::Settings;
use crate::start;
use crate::supervisor::State;

impl Hands {
    /// Whether the file was read; `false` while the hosts it names are looked up.
    pub(super) fn reread(&mut self) -> bool {
        self.log.say(&Message::Rereading);
        self.supervisor.tell_reloading();
        self.end_lookup(); // it was begun for a file that may be another by now
        let names = names::names_in(&self.args.configfile);
        if names.is_empty() {
            self.reread_with(&Known::default());
            return true;
        }
        match Lookup::start(&self.program, &names, Instant::now()) {
            Ok(lookup) => {
                self.lookups.push(lookup.pid());
                // Unwatched it is read within a second.
                let _ = watch(&self.registry, &lookup, Source::Hosts);
                self.lookup = Some(lookup);
                false
            }
            Err(e) => {
                self.log.say(&Message::System { what: "look up the hosts in the file", error: e.to_string() });
                self.log.say(&Message::OldStays);
                true
            }
        }
    }

    fn reread_with(&mut self, hosts: &Known) {
        match start::read(&self.args.configfile, hosts) {
            Ok(read) if read.settings.service != self.settings.service => {
                self.log.say(&Message::OtherService(read.settings.path));
                self.log.say(&Message::OldStays);
            }
            Ok(read) if !self.is_our_part(&read.settings) => {
                self.log.say(&Message::OtherPart);
                self.log.say(&Message::OldStays);
            }
            Ok(read) => {
                read.remarks.iter().for_each(|remark| self.log.say(remark));
                start::keep(&read);
                self.settings = read.settings;
                self.realtime.see_to(self.settings.realtime, &self.log);
                self.listeners.set_rules(self.settings.listeners.clone());
                self.checks.reload(self.settings.check.clone(), Instant::now(), &self.log);
                let ends = self.pair().map(|(pair, role)| pair.ends(role));
                if let Some((ends, heartbeats)) = ends.zip(self.heartbeats.as_mut()) {
                    heartbeats.reload(ends, read.keyring, &self.registry, &self.log);
                }
                self.follow_networks();
            }
            Err(refused) => {
                self.log.say(&refused.message);
                self.log.say(&Message::OldStays);
            }
        }
    }

    pub(super) fn receive_hosts(&mut self, events: &mut VecDeque<Event>) {
        if let Some(hosts) = self.lookup.as_mut().and_then(|lookup| lookup.read(Instant::now())) {
            self.end_lookup();
            self.reread_with(&hosts);
            events.push_back(self.reread_event());
        }
    }

    pub(super) fn end_lookup(&mut self) {
        if let Some(lookup) = self.lookup.take().filter(|lookup| self.lookups.contains(&lookup.pid())) {
            signal(lookup.pid(), Signal::SIGKILL);
        }
    }

    /// The file was read, or could not be; the old one may have stayed.
    pub(super) fn reread_event(&self) -> Event {
        self.supervisor.tell(State::Ready);
        Event::Reread(self.pair().map(|(pair, role)| Box::new(pair.election(role))))
    }

    /// Whether a file makes the same director of this host as the one it started
    /// with. A single one may change its address, for nobody else goes by it.
    fn is_our_part(&mut self, settings: &Settings) -> bool {
        if settings.pair.is_none() || self.settings.pair.is_none() {
            return settings.pair.is_some() == self.settings.pair.is_some();
        }
        let Ok(host) = self.interfaces.read() else { return true };
        let here: Vec<_> = host.addresses.iter().map(|address| address.address).collect();
        role(settings.primary, settings.backup, &here) == self.role
    }
}
