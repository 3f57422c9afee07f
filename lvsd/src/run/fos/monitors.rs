//! The nannies of failover services: one for each that should run.

use std::rc::Rc;
use std::time::Instant;

use super::{Daemon, Failover, Serves as _};
use crate::messages::Message;
use crate::nannies::{Id, Wish};
use crate::nanny_command::Arguments;

impl Daemon<Failover> {
    /// How many were started, replaced, and left as they are.
    pub(super) fn want_monitors(&mut self, now: Instant) -> (usize, usize, usize) {
        let (mut counts, mut out) = ((0, 0, 0), Vec::new());
        let wanted = self.own.kept.values().filter(|kept| !kept.service.is_leaving());
        for monitor in wanted.filter_map(|kept| kept.monitor.clone()) {
            match self.nannies.want(&monitor, now, &mut out) {
                Wish::Started => counts.0 += 1,
                Wish::Replaced => counts.1 += 1,
                Wish::Unchanged => counts.2 += 1,
            }
        }
        self.perform(out, now);
        // They are few.
        while self.start_next(now) {}
        counts
    }

    pub(super) fn introduce_guest(&mut self, id: Id, arguments: Option<&Arguments>, now: Instant) {
        let place = self.nannies.meeting_place(id).unwrap_or_default();
        let wanted = self.own.kept.values().filter(|kept| !kept.service.is_leaving());
        let monitor = wanted.filter_map(|kept| kept.monitor.as_ref()).find(|it| it.place == place).map(Rc::clone);
        let mut out = Vec::new();
        match &monitor {
            Some(monitor) => self.nannies.place(id, monitor, arguments, now, &mut out),
            None => self.nannies.dismiss(id, None, now, &mut out),
        }
        self.perform(out, now);
        // Its verdict may have come with its name.
        if let Some(monitor) = monitor {
            self.judged(&monitor.target.service, now);
        }
    }

    /// The nannies speak of destinations, which there are none of here.
    pub(super) fn of_services(&self, line: Message) -> Message {
        let at = |name: &str| self.own.kept.values().find(|kept| kept.name == name).map(|kept| kept.at);
        if let Message::MonitorCreated { name, pid, .. } = &line
            && let Some(at) = at(name)
        {
            return Message::FailoverWatched { at, pid: *pid };
        }
        if let Message::NannyDied { name, exit, why, again_in, .. } = &line
            && let Some(at) = at(name)
        {
            return Message::FailoverUnwatched { at, exit: *exit, why: why.clone(), again_in: *again_in };
        }
        line
    }
}
