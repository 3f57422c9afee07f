//! The loop's dealings with the nannies: one for each service that should run.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::{Event, Keeper};
use crate::hands;
use crate::messages::Message;
use crate::nannies::{self, Wish};

impl Keeper {
    /// How many were started, replaced, and left as they are.
    pub(super) fn want_monitors(&mut self, now: Instant) -> (usize, usize, usize) {
        let (mut counts, mut out) = ((0, 0, 0), Vec::new());
        let wanted = self.kept.values().filter(|kept| !kept.service.is_leaving());
        for monitor in wanted.filter_map(|kept| kept.monitor.clone()) {
            match self.nannies.want(&monitor, now, &mut out) {
                Wish::Started => counts.0 += 1,
                Wish::Replaced => counts.1 += 1,
                Wish::Unchanged => counts.2 += 1,
            }
        }
        self.perform_nannies(out, now);
        counts
    }

    /// Does what the nannies' machines asked for.
    pub(super) fn perform_nannies(&mut self, actions: Vec<nannies::Action>, now: Instant) {
        let mut actions: VecDeque<nannies::Action> = actions.into();
        while let Some(action) = actions.pop_front() {
            let mut out = Vec::new();
            match action {
                nannies::Action::Say(line) => self.log.say(&self.in_our_words(line)),
                // pulse is told when the service cannot run here.
                nannies::Action::News(_) => {}
                nannies::Action::Terminate(pid) => hands::signal(pid, Signal::SIGTERM),
                nannies::Action::Kill(pid) => hands::signal(pid, Signal::SIGKILL),
                nannies::Action::Find(id) if self.find(id, now) => {}
                nannies::Action::Find(id) | nannies::Action::Start(id) => {
                    if let Some(monitor) = self.nannies.monitor(id).cloned() {
                        hands::start(&mut self.nannies, id, &monitor, self.poll.registry(), now, &mut out);
                    }
                }
                nannies::Action::FindAgain(id) => {
                    if !self.find(id, now) {
                        self.nannies.lost(id, now, &mut out);
                    }
                }
                nannies::Action::Introduced(id, arguments) => {
                    let place = self.nannies.meeting_place(id).unwrap_or_default().to_owned();
                    let wanted = self.kept.values().filter(|kept| !kept.service.is_leaving());
                    let monitor = wanted.filter_map(|kept| kept.monitor.as_ref()).find(|it| it.place == place);
                    match monitor {
                        Some(monitor) => {
                            let monitor = Rc::clone(monitor);
                            self.nannies.place(id, &monitor, arguments.as_ref(), now, &mut out);
                            // Its verdict may have come with its name.
                            out.push(nannies::Action::Judged(monitor.target.service));
                        }
                        None => self.nannies.dismiss(id, None, now, &mut out),
                    }
                }
                nannies::Action::Judged(key) => {
                    let monitor = self.kept.get(&key).and_then(|kept| kept.monitor.as_ref());
                    let available = monitor.map(|monitor| self.nannies.tally([&monitor.target].into_iter()));
                    if let Some(tally) = available.filter(|tally| tally.silent == 0) {
                        self.feed(&key, Event::Judged(tally.available > 0), now);
                    }
                }
                nannies::Action::Ended(_) => {}
            }
            actions.extend(out);
        }
    }

    pub(super) fn find(&mut self, id: nannies::Id, now: Instant) -> bool {
        hands::find(&mut self.nannies, id, self.settings.places.as_deref(), self.poll.registry(), now)
    }

    /// The nannies speak of destinations, which there are none of here.
    pub(super) fn in_our_words(&self, line: Message) -> Message {
        let at = |name: &str| self.kept.values().find(|kept| kept.name == name).map(|kept| kept.at);
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
