//! The services' part in what leaves the file and stays for a while: who does,
//! and doing step by step what [`crate::leaver`] decides. What cannot be done
//! stays to be done, and is tried again at the next look.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use common::ipvs::{DestinationEntry, DestinationKey, Error, Ipvs, ServiceKey};

use super::{Action, Keepers, Services};
use crate::departure::Departure;
use crate::hands::{self, Kernel};
use crate::leaver::{self, Leaver, Leavers, Next, Stage, WAIT_MAX, WAIT_SLACK};
use crate::ledger::{Ledger, Left};
use crate::messages::Message;
use crate::wanted::{Target, Virtual};

impl Services {
    /// What the file said before, as far as it is kept.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// These leave. Written to the ledger before anything is done about them.
    pub fn leave(&mut self, departures: &[Departure], out: &mut Vec<Action>) {
        self.ledger.drains =
            self.wanted.monitors().filter_map(|monitor| Some((monitor.target, monitor.drain?))).collect();
        for departure in departures {
            let Some(stay) = departure.stay else { continue };
            let Target { service, destination } = departure.target;
            let (name, server) = (departure.name.clone(), departure.server.clone());
            let leavers = self.leavers.entry(service).or_default();
            leavers.entry(destination).or_insert_with(|| Leaver::new(name, server, stay));
            if let Some(wait) = stay.wait {
                self.waiting.entry(wait).or_default().insert(service);
            }
            self.ledger.drains.insert(departure.target, stay.drain);
        }
        self.keep_ledger(out);
    }

    /// All newcomers were started: from now on our patience with them counts, but for
    /// those whose service the kernel refuses still.
    pub fn await_newcomers(&mut self, now: Instant) {
        let services: Vec<ServiceKey> = self.waiting.values().flatten().copied().collect();
        for service in services {
            let Some(leavers) = self.leavers.get_mut(&service) else { continue };
            for leaver in leavers.values_mut() {
                let Stage::Waiting { service: newcomers, until } = &mut leaver.stage else { continue };
                if !self.states.get(newcomers).is_some_and(|state| state.up) {
                    continue;
                }
                let wanted = self.index.get(newcomers).and_then(|n| self.wanted.virtuals.get(*n));
                let timeout = wanted.map_or(Duration::ZERO, |wanted| wanted.timeout);
                let until = *until.get_or_insert(now + (timeout + WAIT_SLACK).min(WAIT_MAX));
                self.deadlines.insert((until, service));
            }
            self.due.insert(service);
        }
    }

    /// A nanny is gone for good, so that its destination is ours if it leaves.
    pub fn nanny_ended(&mut self, target: &Target) {
        if has(&self.leavers, target) {
            self.due.insert(target.service);
        }
    }

    /// A nanny of this service said something new: who waited may go.
    pub fn newcomer_judged(&mut self, service: &ServiceKey) {
        if let Some(waiting) = self.waiting.get(service) {
            self.due.extend(waiting);
        }
    }

    /// When the next leaver is due.
    pub fn leaving_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Those whose time has come are looked at in the next slice.
    pub fn wake_leavers(&mut self, now: Instant) {
        while let Some((at, service)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            self.due.insert(service);
        }
    }

    /// The leavers of one service, whose destinations these are.
    pub(super) fn tend_leavers<K: Ipvs>(
        &mut self,
        service: &ServiceKey,
        have: &[DestinationEntry],
        kernel: &mut Kernel<K>,
        keepers: &impl Keepers,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(mut leavers) = self.leavers.remove(service) else { return };
        let have: BTreeMap<DestinationKey, &DestinationEntry> =
            have.iter().map(|entry| (entry.destination.key, entry)).collect();
        let before = leavers.clone();
        let mut known = BTreeMap::new();
        leavers.retain(|key, leaver| {
            let target = Target { service: *service, destination: *key };
            if keepers.owns(&target) {
                return true;
            }
            let stand = match &mut leaver.stage {
                Stage::Waiting { service, until } => {
                    let newcomers = *known.entry(*service).or_insert_with(|| self.newcomers(service, kernel, keepers));
                    if matches!(newcomers, Newcomers::Refused | Newcomers::Failed) {
                        *until = None;
                    }
                    let is_kept = newcomers == Newcomers::Failed && have.contains_key(key);
                    if is_kept && !std::mem::replace(&mut leaver.is_kept, is_kept) {
                        let (name, server) = (leaver.name.clone(), leaver.server.clone());
                        out.push(Action::Say(Message::LeaverKept { name, server, destination: *key }));
                    }
                    newcomers == Newcomers::Stand
                }
                Stage::Due | Stage::Draining { .. } => true,
            };
            let entry = have.get(key).copied();
            let next = leaver.next(entry, stand, now);
            let stays = take_step(&target, leaver, next, entry, kernel, now, out);
            if let (true, Stage::Draining { until }) = (stays, leaver.stage) {
                self.deadlines.insert((until, *service));
            }
            stays
        });
        let (changed, is_empty) = (leavers != before, leavers.is_empty());
        if is_empty {
            self.waiting.retain(|_, waiting| {
                waiting.remove(service);
                !waiting.is_empty()
            });
            if !self.index.contains_key(service) {
                out.push(Action::Emptied);
            }
        } else {
            self.leavers.insert(*service, leavers);
        }
        if changed {
            self.keep_ledger(out);
        }
    }

    /// How far those are that a service's leavers wait for. A verdict is a nanny's
    /// word; whether clients are served is seen in the kernel.
    fn newcomers<K: Ipvs>(&self, service: &ServiceKey, kernel: &mut Kernel<K>, keepers: &impl Keepers) -> Newcomers {
        let Some(wanted) = self.index.get(service).and_then(|n| self.wanted.virtuals.get(*n)) else {
            // A later reload took them out again.
            return Newcomers::Stand;
        };
        if !self.states.get(service).is_some_and(|state| state.up) {
            return Newcomers::Refused;
        }
        let Some(expected) = keepers.expected(wanted) else { return Newcomers::Awaited };
        if expected.is_empty() && !wanted.monitors.is_empty() {
            return Newcomers::Failed;
        }
        // What cannot be read is not seen.
        let have = kernel.destinations(service).unwrap_or_default();
        let have: BTreeSet<DestinationKey> = have.into_iter().map(|destination| destination.key).collect();
        if expected.iter().all(|key| have.contains(key)) { Newcomers::Stand } else { Newcomers::Awaited }
    }
}

/// Those of a service that others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newcomers {
    /// The kernel refuses the service: there are none yet, however long that takes.
    Refused,
    /// Not all have been judged, or one in use is not in the kernel.
    Awaited,
    /// All have been judged, and none is in use: a mistyped port costs no service, the
    /// leavers serve on however long that takes.
    Failed,
    /// All have been judged, and those in use are in the kernel.
    Stand,
}

/// Does it, or says why not; `false`: it is over.
fn take_step<K: Ipvs>(
    target: &Target,
    leaver: &mut Leaver,
    next: Next,
    entry: Option<&DestinationEntry>,
    kernel: &mut Kernel<K>,
    now: Instant,
    out: &mut Vec<Action>,
) -> bool {
    let (name, server) = (leaver.name.clone(), leaver.server.clone());
    let destination = target.destination;
    let Some(step) = leaver::step(target, leaver, next, entry) else {
        let was_draining = matches!(leaver.stage, Stage::Draining { .. });
        if next == Next::Forget && was_draining {
            out.push(Action::Say(Message::DrainGone { name, server, destination }));
        }
        return next != Next::Forget;
    };
    if let Err(e) = kernel.apply(&step) {
        let reason = e.to_string();
        if leaver.trouble.as_deref() != Some(reason.as_str()) {
            out.push(Action::Say(Message::DestinationFailed { name, destination, reason: reason.clone() }));
            leaver.trouble = Some(reason);
        }
        return true;
    }
    leaver.trouble = None;
    let connections = entry.map_or(0, leaver::connections);
    match (next, leaver.stage) {
        (Next::Stay | Next::Forget, _) | (Next::Drain, Stage::Draining { .. }) => true,
        (Next::Drain, Stage::Waiting { .. } | Stage::Due) => {
            leaver.weight = entry.map_or(0, |entry| entry.destination.weight);
            leaver.stage = Stage::Draining { until: now + leaver.drain };
            let limit = leaver.drain;
            out.push(Action::Say(Message::DrainBegins { name, server, destination, connections, limit }));
            true
        }
        (Next::Remove, Stage::Draining { .. }) => {
            let limit = leaver.drain;
            out.push(Action::Say(Message::DrainEnds { name, server, destination, connections, limit }));
            false
        }
        (Next::Remove, Stage::Waiting { .. } | Stage::Due) => {
            out.push(Action::Say(Message::Left { name, server, destination }));
            false
        }
    }
}

/// Whether it is one of them.
pub(super) fn has(leavers: &Leavers, target: &Target) -> bool {
    leavers.get(&target.service).is_some_and(|of_service| of_service.contains_key(&target.destination))
}

/// Those that the file wants again go on at once; `true`: there were some.
pub(super) fn bring_back<K: Ipvs>(
    wanted: &Virtual,
    leavers: &mut Leavers,
    have: &Result<Vec<DestinationEntry>, Error>,
    kernel: &mut Kernel<K>,
    out: &mut Vec<Action>,
) -> bool {
    let service = wanted.service.key;
    let Some(of_service) = leavers.get_mut(&service) else { return false };
    let before = of_service.len();
    for target in wanted.monitors.iter().map(|monitor| monitor.target) {
        let Some(leaver) = of_service.remove(&target.destination) else { continue };
        let has = |list: &'_ Vec<DestinationEntry>| {
            list.iter().find(|entry| entry.destination.key == target.destination).cloned()
        };
        let entry = have.as_ref().ok().and_then(has);
        let Some(step) = leaver::back(&target, &leaver, entry.as_ref()) else { continue };
        let (name, server, destination) = (leaver.name, leaver.server, target.destination);
        out.push(Action::Say(match kernel.apply(&step) {
            Ok(()) => Message::DrainReturns { name, server, destination },
            // Its nanny will set it right.
            Err(e) => Message::DestinationFailed { name, destination, reason: e.to_string() },
        }));
    }
    let changed = of_service.len() != before;
    if of_service.is_empty() {
        leavers.remove(&service);
    }
    changed
}

/// The leavers as a successor is to find them.
pub(super) fn remember(leavers: &Leavers) -> BTreeMap<Target, Left> {
    let (now, since_boot) = (Instant::now(), hands::since_boot());
    let all = leavers.iter().flat_map(|(service, of_service)| of_service.iter().map(move |it| (*service, it)));
    let left = |(service, (destination, leaver)): (ServiceKey, (&DestinationKey, &Leaver))| {
        (Target { service, destination: *destination }, leaver.remember(now, since_boot))
    };
    all.map(left).collect()
}

/// And as he finds them.
pub(super) fn recall(left: BTreeMap<Target, Left>) -> Leavers {
    let (now, since_boot) = (Instant::now(), hands::since_boot());
    let mut leavers = Leavers::new();
    for (Target { service, destination }, left) in left {
        let leaver = Leaver::recall(&left, now, since_boot);
        leavers.entry(service).or_default().insert(destination, leaver);
    }
    leavers
}

/// Which services have leavers that wait for the newcomers of this one.
pub(super) fn waiting(leavers: &Leavers) -> HashMap<ServiceKey, BTreeSet<ServiceKey>> {
    let mut waiting: HashMap<ServiceKey, BTreeSet<ServiceKey>> = HashMap::new();
    for (service, of_service) in leavers {
        for leaver in of_service.values() {
            if let Stage::Waiting { service: newcomers, .. } = leaver.stage {
                waiting.entry(newcomers).or_default().insert(*service);
            }
        }
    }
    waiting
}
