//! Which nannies the virtual services want, and whose guests are.

use std::time::Instant;

use common::ipvs::{Ipvs, ServiceKey};

use super::{Daemon, Phase, Virtuals};
use crate::nannies::{Id, Wish};
use crate::nanny_command::{self, Arguments};
use crate::wanted::Target;

impl<K: Ipvs> Daemon<Virtuals<K>> {
    pub(super) fn want_monitors(&mut self, key: &ServiceKey, now: Instant) {
        let Some(wanted) = self.own.services.find(key) else { return };
        let mut out = Vec::new();
        for monitor in &wanted.monitors {
            let before = self.own.follows.remove(&monitor.target);
            let follows = before.is_some_and(|before| self.nannies.follow(&before, monitor, now, &mut out));
            let wish = self.nannies.want(monitor, now, &mut out);
            let wish = if follows { Wish::Replaced } else { wish };
            if let Some(outcome) = &mut self.own.reload
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

    /// A guest said who it is: it is the nanny of a destination that the file
    /// wants, or goes. One that says nothing is known by the name of its place.
    pub(super) fn introduce_guest(&mut self, id: Id, arguments: Option<&Arguments>, now: Instant) {
        if let Some(claims) = self.nannies.claims(id) {
            return self.introduce_shared(id, arguments, claims, now);
        }
        let target = arguments.and_then(nanny_command::target);
        let place = self.nannies.meeting_place(id).unwrap_or_default();
        let monitor = match target {
            Some(target) => self
                .own
                .services
                .find(&target.service)
                .and_then(|wanted| wanted.monitors.iter().find(|monitor| monitor.target == target)),
            None => self.own.services.wanted().monitors().find(|monitor| monitor.place == place),
        };
        let mut out = Vec::new();
        if let Some(monitor) = monitor {
            self.nannies.place(id, monitor, arguments, now, &mut out);
        } else {
            self.own.strays += 1;
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
        let wanted = self.own.services.wanted();
        // One that says nothing is frozen; its successor is told.
        let claims = if arguments.is_some() {
            claims
        } else {
            wanted.monitors().filter(|monitor| monitor.place == place).map(|monitor| monitor.target).collect()
        };
        let mut out = Vec::new();
        for target in claims {
            let of_service = self.own.services.find(&target.service);
            let monitor = of_service.and_then(|it| it.monitors.iter().find(|monitor| monitor.target == target));
            match monitor {
                Some(monitor) if monitor.place == place => {
                    self.nannies.place(id, monitor, arguments, now, &mut out);
                }
                // Another's soon, or nobody's.
                Some(_) | None if self.phase == Phase::Meeting => {
                    self.own.strays += usize::from(monitor.is_none());
                    self.nannies.shelter(id, target, arguments);
                }
                Some(_) | None => {}
            }
        }
        self.nannies.settle_in(id, now, &mut out);
        self.perform(out, now);
    }
}
