//! A reload: what came is started, what left is stopped, and the rest goes on.

use std::rc::Rc;
use std::time::Instant;

use common::ipvs::ServiceKey;

use super::{Keeper, Part, Phase, RESOLVER, Settings};
use crate::asking::Answers;
use crate::file;
use crate::messages::Message;

impl Keeper {
    /// HUP: reads the file; if it names hosts, once their answers came.
    pub(super) fn reread(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::Rereading);
        let watch = (self.poll.registry(), RESOLVER);
        if let Some(answers) = self.asking.begin(&self.settings.file, watch, now) {
            self.take(&answers, now);
        }
    }

    /// The host names of a reload, when all came or their time is over.
    pub(super) fn take_answers(&mut self, now: Instant) {
        if let Some(answers) = self.asking.answers(now) {
            self.take(&answers, now);
        }
    }

    /// What the file asks for is what should be, unless it is wrong.
    fn take(&mut self, answers: &Answers, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        let stale = self.asking.learn(answers);
        let Settings { file, nanny, manner, .. } = &self.settings;
        let (blocks, mut lines) = match file::read_failover(file, self.asking.hosts(), nanny, manner) {
            Ok(asked) => asked,
            Err(trouble) => return trouble.lines.iter().for_each(|line| self.log.say(line)),
        };
        self.asking.keep().iter().for_each(|line| self.log.say(line));
        lines.extend(stale);
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
                kept.service.set_rules(block.rules, now);
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
