//! The loop's dealings with processes: looking for those of a predecessor,
//! starting, signalling, and listening to them.

use std::time::Instant;

use nix::sys::signal::Signal;

use common::ipvs::{Ipvs, ServiceKey};

use super::{Daemon, GATHER, Phase};
use crate::hands;
use crate::nannies::{self, Id, Wish};
use crate::nanny_command::{self, Arguments};
use crate::wanted::Target;

impl<K: Ipvs> Daemon<K> {
    /// Knocks at up to `count` meeting places. Whoever is there was started by an
    /// lvsd before us.
    pub(super) fn meet_guests(&mut self, count: usize, now: Instant) {
        for _ in 0..count {
            let Some(path) = self.calls.pop_front() else { return };
            hands::knock(&mut self.nannies, &path, self.poll.registry(), now);
        }
    }

    pub(super) fn want_monitors(&mut self, key: &ServiceKey, now: Instant) {
        let Some(wanted) = self.services.find(key) else { return };
        let mut out = Vec::new();
        for monitor in &wanted.monitors {
            let before = self.follows.remove(&monitor.target);
            let follows = before.is_some_and(|before| self.nannies.follow(&before, monitor, now, &mut out));
            let wish = self.nannies.want(monitor, now, &mut out);
            let wish = if follows { Wish::Replaced } else { wish };
            if let Some(outcome) = &mut self.reload
                && outcome.counted.insert(monitor.target)
            {
                match wish {
                    Wish::Started => outcome.started += 1,
                    Wish::Replaced => outcome.replaced += 1,
                    Wish::Unchanged => outcome.unchanged += 1,
                }
            }
        }
        self.perform(out, now);
        let mut out = Vec::new();
        self.judge(key, now, &mut out);
        self.perform_services(out, now);
    }

    /// Does what the nannies' machines asked for.
    pub(super) fn perform(&mut self, actions: Vec<nannies::Action>, now: Instant) {
        for action in actions {
            match action {
                nannies::Action::Say(line) => self.log.say(&line),
                nannies::Action::News(news) => self.parents.tell(news),
                nannies::Action::Terminate(pid) => hands::signal(pid, Signal::SIGTERM),
                nannies::Action::Kill(pid) => hands::signal(pid, Signal::SIGKILL),
                nannies::Action::Find(id) => self.starts.push_back((id, true)),
                nannies::Action::Start(id) => self.starts.push_back((id, false)),
                nannies::Action::FindAgain(id) => self.find_again(id, now),
                nannies::Action::Introduced(id, arguments) => self.introduce(id, arguments.as_ref(), now),
                nannies::Action::Judged(key) => {
                    let mut out = Vec::new();
                    if self.phase == Phase::Working {
                        self.judge(&key, now, &mut out);
                        self.services.newcomer_judged(&key);
                    }
                    self.perform_services(out, now);
                }
                nannies::Action::Ended(target) => {
                    if let Some(target) = &target {
                        self.services.nanny_ended(target);
                    }
                    let left_the_file = target.is_some_and(|target| self.services.find(&target.service).is_none());
                    if left_the_file {
                        self.look_at = self.look_at.min(now + GATHER);
                    }
                }
            }
        }
    }

    pub(super) fn start(&mut self, id: Id, look_first: bool, now: Instant) {
        let Some(monitor) = self.nannies.monitor(id).cloned() else { return };
        if look_first && self.find(id, now) {
            return;
        }
        let mut out = Vec::new();
        hands::start(&mut self.nannies, id, &monitor, self.poll.registry(), now, &mut out);
        self.perform(out, now);
    }

    /// Whether a process answers at its meeting place; it is taken if so.
    fn find(&mut self, id: Id, now: Instant) -> bool {
        hands::find(&mut self.nannies, id, self.settings.places.as_deref(), self.poll.registry(), now)
    }

    pub(super) fn find_again(&mut self, id: Id, now: Instant) {
        if !self.find(id, now) {
            let mut out = Vec::new();
            self.nannies.lost(id, now, &mut out);
            self.perform(out, now);
        }
    }

    /// A guest said who it is: it is the nanny of a destination that the file
    /// wants, or goes. One that says nothing is known by the name of its place.
    pub(super) fn introduce(&mut self, id: Id, arguments: Option<&Arguments>, now: Instant) {
        if let Some(claims) = self.nannies.claims(id) {
            return self.introduce_shared(id, arguments, claims, now);
        }
        let target = arguments.and_then(nanny_command::target);
        let place = self.nannies.meeting_place(id).unwrap_or_default();
        let monitor = match target {
            Some(target) => self
                .services
                .find(&target.service)
                .and_then(|wanted| wanted.monitors.iter().find(|monitor| monitor.target == target)),
            None => self.services.wanted().monitors().find(|monitor| monitor.place == place),
        };
        let mut out = Vec::new();
        if let Some(monitor) = monitor {
            self.nannies.place(id, monitor, arguments, now, &mut out);
        } else {
            self.strays += 1;
            let shelter = target.filter(|_| self.phase == Phase::Meeting);
            if !shelter.is_some_and(|target| self.nannies.shelter(id, target, arguments)) {
                self.nannies.dismiss(id, target, now, &mut out);
            }
        }
        self.perform(out, now);
    }

    /// The same of one that keeps several destinations: each of them is wanted of it, or
    /// goes by itself.
    fn introduce_shared(&mut self, id: Id, arguments: Option<&Arguments>, claims: Vec<Target>, now: Instant) {
        let place = self.nannies.meeting_place(id).unwrap_or_default().to_owned();
        let wanted = self.services.wanted();
        // One that says nothing is frozen; its successor is told.
        let claims = if arguments.is_some() {
            claims
        } else {
            wanted.monitors().filter(|monitor| monitor.place == place).map(|monitor| monitor.target).collect()
        };
        let mut out = Vec::new();
        for target in claims {
            let of_service = self.services.find(&target.service);
            let monitor = of_service.and_then(|it| it.monitors.iter().find(|monitor| monitor.target == target));
            match monitor {
                Some(monitor) if monitor.place == place => {
                    self.nannies.place(id, monitor, arguments, now, &mut out);
                }
                // Another's soon, or nobody's.
                Some(_) | None if self.phase == Phase::Meeting => {
                    self.strays += usize::from(monitor.is_none());
                    self.nannies.shelter(id, target, arguments);
                }
                Some(_) | None => {}
            }
        }
        self.nannies.settle_in(id, now, &mut out);
        self.perform(out, now);
    }
}
