//! A reload: what came is started, what left is stopped, and the rest goes on.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

use common::ipvs::ServiceKey;
use common::names::{self, Known};

use super::{Keeper, Part, Phase, RESOLVER, Settings};
use crate::asking::Asking;
use crate::file;
use crate::messages::Message;

impl Keeper {
    /// HUP: reads the file; if it names hosts, once their answers came.
    pub(super) fn reread(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::Rereading);
        // It was begun for a file that may be another by now.
        self.end_lookup();
        let names = names::names_in(&self.settings.file);
        if names.is_empty() {
            return self.take(&names, &Known::default(), now);
        }
        let watch = (self.poll.registry(), RESOLVER);
        self.lookup = Asking::begin(&names, &self.hosts, watch, now);
        if self.lookup.is_none() {
            self.take(&names, &Known::default(), now);
        }
    }

    pub(super) fn take_answers(&mut self, now: Instant) {
        let Some((names, answers)) = self.lookup.as_mut().and_then(|asking| asking.answers(now)) else { return };
        self.end_lookup();
        self.take(&names, &answers, now);
    }

    pub(super) fn end_lookup(&mut self) {
        if let Some(asking) = self.lookup.take() {
            asking.end();
        }
    }

    /// For a successor that has no name server.
    pub(super) fn keep_hosts(&mut self) {
        if self.settings.places.is_some()
            && let Err(e) = self.hosts.keep()
        {
            self.log.say(&Message::NoState { reason: format!("host names: {e}") });
        }
    }

    /// What the file asks for is what should be, unless it is wrong.
    pub(super) fn take(&mut self, names: &BTreeSet<String>, answers: &Known, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        let stale = self.hosts.learn(names, answers);
        let Settings { file, nanny, manner, .. } = &self.settings;
        let (blocks, mut lines) = match file::read_failover(file, &self.hosts, nanny, manner) {
            Ok(asked) => asked,
            Err(trouble) => return trouble.lines.iter().for_each(|line| self.log.say(line)),
        };
        self.keep_hosts();
        lines.extend(Message::stale(stale));
        self.say_notes(&lines);
        let gone: Vec<ServiceKey> =
            self.kept.keys().filter(|key| blocks.iter().all(|block| block.key != **key)).copied().collect();
        let stopped =
            gone.iter().filter(|key| self.kept.get(key).is_some_and(|kept| !kept.service.is_leaving())).count();
        self.let_go(&gone, now);
        for block in &blocks {
            if let Some(kept) = self.kept.get_mut(&block.key).filter(|kept| !kept.service.is_leaving()) {
                kept.name.clone_from(&block.name);
                kept.start = (block.start.clone(), block.start_within);
                kept.stop = (block.stop.clone(), block.stop_within);
                kept.monitor = Some(Rc::clone(&block.monitor));
                kept.service.set_rules(block.rules);
            }
        }
        self.blocks = blocks;
        // Guests that were not introduced yet are met first.
        let (started, replaced, unchanged) = match self.phase {
            Phase::Working => self.want_monitors(now),
            Phase::Meeting | Phase::Stopping { .. } => (0, 0, 0),
        };
        let before = self.nannies.len();
        if self.part == Part::Serve {
            self.take_up(now);
        }
        let started = started + self.nannies.len().saturating_sub(before);
        self.write_ledger();
        self.log.say(&Message::Reread { started, replaced, stopped, unchanged });
    }
}
