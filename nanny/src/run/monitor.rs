//! The load monitor: when it is asked, and what its answer means for the weights.

use std::time::Instant;

use super::Nanny;
use super::destinations::say_of;
use super::kept::Kept;
use crate::health::{Health, State};
use crate::load;
use crate::messages::Message;
use crate::probe::program::Command;

/// The load monitor.
pub(super) struct Monitor {
    pub(super) command: Command,
    /// When it is asked again; when it runs, when it is killed.
    pub(super) due: Instant,
    /// That it cannot be read has been said.
    pub(super) complained: bool,
}

impl Nanny {
    /// Whether the server's load counts: it is in use for its checks' sake.
    pub(super) fn is_weighed(&self) -> bool {
        self.kept.iter().any(|kept| is_up(&kept.health))
    }

    /// Starts the load monitor, or ends one that takes too long.
    pub(super) fn ask_load(&mut self, now: Instant) {
        let is_weighed = self.is_weighed();
        let Some(monitor) = &mut self.monitor else { return };
        for Kept { health, load, assignment, .. } in &mut self.kept {
            if let Some(load) = load.as_mut().filter(|load| load.weight() != assignment.weight)
                && !is_up(health)
            {
                // A server that returns begins with its own weight.
                health.weigh(load.reset());
            }
        }
        if now < monitor.due {
            return;
        }
        if self.hands.is_loading() {
            self.hands.abandon_load();
            monitor.due = now + load::EVERY.saturating_sub(load::WITHIN);
            self.weigh(None);
        } else if is_weighed {
            monitor.due = now + load::WITHIN;
            if self.hands.begin_load(&monitor.command).is_err() {
                monitor.due = now + load::EVERY;
                self.weigh(None);
            }
        }
    }

    /// The load monitor ended; what it printed, if it did its work.
    pub(super) fn weigh(&mut self, output: Option<Vec<u8>>) {
        let Some(monitor) = &mut self.monitor else { return };
        let command = load::name(&monitor.command);
        let Some(output) = output else {
            if !std::mem::replace(&mut monitor.complained, true) {
                self.log.say(&Message::LoadUnread { command: &command });
            }
            return;
        };
        let Some(average) = load::average(&output) else {
            if !std::mem::replace(&mut monitor.complained, true) {
                self.log.say(&Message::BadLoad { text: &output });
            }
            return;
        };
        monitor.complained = false;
        let address = self.args.real.ip();
        self.log.say(&Message::Loadavg { address, load: average });
        let is_one = self.kept.len() == 1;
        for kept in self.kept.iter_mut().filter(|kept| is_up(&kept.health)) {
            let Some(load) = &mut kept.load else { continue };
            let last = load.weight();
            if let Some(weight) = load.measured(average) {
                kept.health.weigh(weight);
                let line = Message::NewWeight { weight, last, load: average };
                say_of(&self.log, &kept.name, is_one, &line);
            }
        }
        self.settle();
    }
}

/// Whether it is in use for its checks' sake.
fn is_up(health: &Health) -> bool {
    match health.state() {
        State::Up { .. } => true,
        State::New | State::Adopted { .. } | State::Down { .. } | State::Opaque | State::Rose => false,
    }
}
