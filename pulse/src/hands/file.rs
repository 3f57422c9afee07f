//! Reads the file again, as the hands do it: by a thread of its own, for forty
//! thousand servers take longer than a partner may be patient; with the hosts it
//! names looked up by a process. One that is no good changes nothing.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Instant;

use common::names::{self, Known, Lookup};
use nix::sys::signal::Signal;

use super::{Hands, signal, watch};
use crate::identity::role;
use crate::messages::Message;
use crate::node::Event;
use crate::ready::Source;
use crate::settings::Settings;
use crate::start::{self, Read, Refused};
use crate::supervisor::State;

/// What reading came to.
type Outcome = Result<Read, Refused>;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The names of hosts in it that have to be looked up first, or what it says.
    result: Receiver<Result<Outcome, BTreeSet<String>>>,
    /// Its end says that the result is there.
    _wakes: io::PipeReader,
    /// The file may be another by now.
    is_outdated: bool,
}

impl Reading {
    /// Begins; `None`: it is not known yet whether it names hosts.
    fn begin(path: PathBuf, hosts: Option<Known>, registry: &mio::Registry) -> io::Result<Self> {
        let (wakes, end) = io::pipe()?;
        let (told, result) = sync_channel(1);
        std::thread::Builder::new().name("pulse-reader".to_owned()).spawn(move || {
            // Nobody waits for it any more if the process ends.
            let _ = told.send(read(&path, hosts));
            drop((told, end));
        })?;
        // Unwatched it is read within a second.
        let _ = watch(registry, &wakes, Source::Hosts);
        Ok(Self { result, _wakes: wakes, is_outdated: false })
    }
}

fn read(path: &Path, hosts: Option<Known>) -> Result<Outcome, BTreeSet<String>> {
    if let Some(hosts) = hosts {
        return Ok(start::read(path, &hosts));
    }
    let names = names::names_in(path);
    if names.is_empty() { Ok(start::read(path, &Known::default())) } else { Err(names) }
}

impl Hands {
    /// The file is to be read again; [`Hands::receive_hosts`] tells when it was.
    pub(super) fn reread(&mut self) -> Option<Event> {
        self.log.say(&Message::Rereading);
        self.supervisor.tell_reloading();
        self.end_lookup(); // it was begun for a file that may be another by now
        if let Some(reading) = &mut self.reading {
            reading.is_outdated = true; // one at a time
            return None;
        }
        self.begin_reading(None)
    }

    /// `Some`: it could not be begun.
    fn begin_reading(&mut self, hosts: Option<Known>) -> Option<Event> {
        match Reading::begin(self.args.configfile.clone(), hosts, &self.registry) {
            Ok(reading) => {
                self.reading = Some(reading);
                None
            }
            Err(e) => Some(self.not_read("read the file", &e)),
        }
    }

    fn not_read(&mut self, what: &'static str, error: &io::Error) -> Event {
        self.log.say(&Message::System { what, error: error.to_string() });
        self.log.say(&Message::OldStays);
        self.reread_event()
    }

    fn look_up(&mut self, names: &BTreeSet<String>) -> Option<Event> {
        match Lookup::start(&self.program, names, Instant::now()) {
            Ok(lookup) => {
                self.lookups.push(lookup.pid());
                // Unwatched it is read within a second.
                let _ = watch(&self.registry, &lookup, Source::Hosts);
                self.lookup = Some(lookup);
                None
            }
            Err(e) => Some(self.not_read("look up the hosts in the file", &e)),
        }
    }

    fn take_over(&mut self, outcome: Outcome) {
        match outcome {
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
        events.extend(self.receive_reading());
        if let Some(hosts) = self.lookup.as_mut().and_then(|lookup| lookup.read(Instant::now())) {
            self.end_lookup();
            events.extend(self.begin_reading(Some(hosts)));
        }
    }

    fn receive_reading(&mut self) -> Option<Event> {
        let result = match self.reading.as_ref()?.result.try_recv() {
            Err(TryRecvError::Empty) => return None,
            result => result,
        };
        if self.reading.take().is_some_and(|reading| reading.is_outdated) {
            return self.begin_reading(None);
        }
        match result {
            Ok(Ok(outcome)) => self.take_over(outcome),
            Ok(Err(names)) => return self.look_up(&names),
            // It ends with a word, or the process does.
            Err(_) => {}
        }
        Some(self.reread_event())
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
