//! A reload: what came is started, what left is stopped, and the rest goes on.

use std::rc::Rc;
use std::time::Instant;

use common::ipvs::ServiceKey;

use super::{Daemon, Failover, Part, Phase};
use crate::failover::wanted::Block;
use crate::messages::Message;

impl Daemon<Failover> {
    /// What the file asks for is what should be.
    pub(super) fn change(&mut self, blocks: Vec<Block>, now: Instant) {
        let gone: Vec<ServiceKey> =
            self.own.kept.keys().filter(|key| blocks.iter().all(|block| block.key != **key)).copied().collect();
        let stopped =
            gone.iter().filter(|key| self.own.kept.get(key).is_some_and(|kept| !kept.service.is_leaving())).count();
        self.let_go(&gone, now);
        for block in &blocks {
            if let Some(kept) = self.own.kept.get_mut(&block.key).filter(|kept| !kept.service.is_leaving()) {
                kept.name.clone_from(&block.name);
                kept.start = (block.start.clone(), block.start_within);
                kept.stop = (block.stop.clone(), block.stop_within);
                kept.monitor = Some(Rc::clone(&block.monitor));
                kept.service.set_rules(block.rules, now);
            }
        }
        self.own.blocks = blocks;
        // Guests that were not introduced yet are met first.
        let (started, replaced, unchanged) = match self.phase {
            Phase::Working => self.want_monitors(now),
            Phase::Meeting | Phase::Stopping { .. } => (0, 0, 0),
        };
        let before = self.nannies.len();
        if self.own.part == Part::Serve {
            self.take_up(now);
        }
        let started = started + self.nannies.len().saturating_sub(before);
        self.write_ledger();
        self.log.say(&Message::Reread { started, replaced, stopped, unchanged });
    }
}
