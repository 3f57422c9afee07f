//! The nannies: one machine of [`common::child`] and one line for each real
//! server, keyed by the destination it keeps. What happens to a process becomes
//! an event of its machine; what the machine wants done comes out as [`Action`].
//!
//! ```text
//! want ──► Find ─┬─ somebody is at its meeting place: Hello ─► adopted, or replaced if its arguments differ
//!                └─ nobody: Start ─► a child of ours
//! ```
//!
//! One that checks a server for several virtual services keeps a destination in each
//! (`seats`); see `sharing`.
//!
//! A nanny found at start is first a guest: a process with a line that nobody
//! placed yet. A nanny whose monitor left the file is told to stop and stays here
//! until it is gone, so that its destination has an owner for as long as it may
//! still write it. No clock, no process and no log here; the lines are sockets,
//! for the machines' sake never waited on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::channel::services::News;
use common::channel::{Ask, Line};
use common::child::{self, Event, Exit, Rules};
use common::ipvs::ServiceKey;

use crate::messages::Message;
use crate::nanny_command::Arguments;
use crate::wanted::{Monitor, Target};
use nanny::Nanny;

mod departures;
mod guests;
mod hearing;
mod nanny;
mod renewing;
mod seat;
mod sharing;
mod verdicts;
mod wishes;

/// How long a process found at a meeting place may take to say who it is. A
/// nanny may be inside a netlink call, which ends within a second.
pub const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// Which nanny; never used twice, and the loop's token for its line.
pub type Id = usize;

/// What must be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at its meeting place; answer with [`Nannies::found`] or do as for
    /// [`Action::Start`].
    Find(Id),
    /// Start it; answer with [`Nannies::started`] or [`Nannies::not_started`].
    Start(Id),
    /// The line of a living one ended: look whether it answers again, with
    /// [`Nannies::found`] or [`Nannies::lost`].
    FindAgain(Id),
    /// Send TERM.
    Terminate(u32),
    /// Send KILL.
    Kill(u32),
    /// Log a line.
    Say(Message),
    /// The operator's programs should hear of it.
    News(News),
    /// A verdict changed in this service.
    Judged(ServiceKey),
    /// A guest said its arguments, or nothing in time: place it with
    /// [`Nannies::place`], or let it go with [`Nannies::dismiss`].
    Introduced(Id, Option<Arguments>),
    /// A nanny is gone for good.
    Ended(Option<Target>),
}

/// What a wish led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// There was none.
    Started,
    /// There is one with other arguments.
    Replaced,
    /// It runs as it should.
    Unchanged,
}

/// All of them. See the module's text.
#[derive(Debug)]
pub struct Nannies {
    rules: Rules,
    all: BTreeMap<Id, Nanny>,
    next: Id,
    by_target: HashMap<Target, Id>,
    /// Those that keep several.
    by_place: HashMap<String, Id>,
    /// Of those, who may have to be told something.
    speaking: BTreeSet<Id>,
    by_pid: HashMap<u32, Id>,
    /// May hold entries that are too early; [`Nannies::tick`] puts them right.
    deadlines: BinaryHeap<Reverse<(Instant, Id)>>,
    /// Children of ours whose line ended before they did.
    lineless: BTreeSet<Id>,
    /// Guests that no wish led to and that have not said who they are.
    strangers: usize,
    /// Why the last start failed, so that ten thousand failures are one line.
    trouble: Option<String>,
    scratch: Vec<child::Action>,
    /// How many servers failed so far.
    falls: u64,
}

impl Nannies {
    /// None yet. Ids (and so tokens) begin at `first`.
    pub fn new(rules: Rules, first: Id) -> Self {
        Self {
            rules,
            all: BTreeMap::new(),
            next: first,
            by_target: HashMap::new(),
            by_place: HashMap::new(),
            speaking: BTreeSet::new(),
            by_pid: HashMap::new(),
            deadlines: BinaryHeap::new(),
            lineless: BTreeSet::new(),
            strangers: 0,
            trouble: None,
            scratch: Vec::new(),
            falls: 0,
        }
    }

    /// How many there are, those on their way out included.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The services in which a nanny keeps something.
    pub fn busy(&self) -> HashSet<ServiceKey> {
        self.by_target.keys().map(|target| target.service).collect()
    }

    /// What to run for [`Action::Start`]; `None` if it is no longer wanted.
    pub fn monitor(&self, id: Id) -> Option<&Rc<Monitor>> {
        self.all.get(&id)?.monitor.as_ref()
    }

    /// The name of its meeting place.
    pub fn meeting_place(&self, id: Id) -> Option<&str> {
        Some(self.all.get(&id)?.place.as_str())
    }

    /// Its process, if there is one.
    pub fn pid(&self, target: &Target) -> Option<u32> {
        self.all.get(self.by_target.get(target)?)?.child.pid()
    }

    /// When [`Nannies::tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Stops all of them, at once.
    pub fn stop_all(&mut self, now: Instant, out: &mut Vec<Action>) {
        let all: Vec<Id> = self.all.keys().copied().collect();
        for id in all {
            if let Some(nanny) = self.all.get_mut(&id) {
                nanny.seats.values_mut().for_each(|seat| seat.next = None);
            }
            self.stop(id, now, out);
        }
    }

    /// The answer to [`Action::FindAgain`]: nobody answers. A child of ours is
    /// not judged by that, waitpid tells of its end.
    pub fn lost(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        if self.all.get(&id).is_some_and(|nanny| !nanny.is_ours) {
            self.feed(id, Event::Gone(Exit::Unknown), now, out);
        }
    }

    /// The answer to [`Action::Start`].
    pub fn started(&mut self, id: Id, pid: u32, line: Line, now: Instant, out: &mut Vec<Action>) {
        self.trouble = None;
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.line = Some(line);
        nanny.is_ours = true;
        nanny.spoke = false;
        nanny.is_predecessor = false;
        nanny.is_going = false;
        nanny.leaving = None;
        // By itself it goes with its checks.
        for seat in nanny.seats.values_mut() {
            seat.stays = seat.stays.filter(|stays| *stays);
        }
        nanny.remind();
        for seat in nanny.seats.values_mut() {
            seat.stays.get_or_insert(false);
        }
        nanny.hand_over(now);
        self.speaking.insert(id);
        self.by_pid.insert(pid, id);
        for label in nanny.seats.values().filter_map(|seat| seat.label.as_ref()) {
            let (name, server) = (label.name.clone(), label.server.clone());
            out.push(Action::Say(Message::MonitorCreated { name, server, pid }));
        }
        self.feed(id, Event::Spawned(pid), now, out);
    }

    /// The other answer to [`Action::Start`].
    pub fn not_started(&mut self, id: Id, reason: &str, now: Instant, out: &mut Vec<Action>) {
        let known = self.trouble.as_deref() == Some(reason);
        let mark = out.len();
        self.feed(id, Event::SpawnFailed, now, out);
        for action in out.iter_mut().skip(mark) {
            if let Action::Say(Message::NannyNotStarted { name, server, reason: why, .. }) = action {
                if known {
                    let (name, server) = (std::mem::take(name), std::mem::take(server));
                    *action = Action::Say(Message::NannyNotStartedEither { name, server });
                } else {
                    reason.clone_into(why);
                }
            }
        }
        self.trouble = Some(reason.to_owned());
    }

    /// waitpid said that this process ended. `false`: none of ours.
    pub fn reaped(&mut self, pid: u32, exit: Exit, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(id) = self.by_pid.remove(&pid) else { return false };
        // Its last words may be waiting still.
        self.read(id, now, out);
        if let Some(nanny) = self.all.get_mut(&id)
            && nanny.child.pid() == Some(pid)
        {
            nanny.line = None;
            self.lineless.remove(&id);
            self.feed(id, Event::Gone(exit), now, out);
        }
        true
    }

    /// What is due. Call it after the lines were read.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(&Reverse((at, id))) = self.deadlines.peek() {
            if at > now {
                return;
            }
            self.deadlines.pop();
            let Some(nanny) = self.all.get_mut(&id) else { continue };
            if nanny.queued != Some(at) {
                continue;
            }
            nanny.queued = None;
            if nanny.deadline().is_none_or(|deadline| deadline > now) {
                self.schedule(id);
            } else if nanny.guest.is_some() {
                self.introduced(id, None, now, out);
            } else {
                if nanny.is_mute() {
                    nanny.child.handle(Event::Heard, now, &mut self.scratch);
                }
                self.feed(id, Event::Tick, now, out);
            }
        }
    }

    /// This process was itself asleep: silence until now proves nothing.
    pub fn slept(&mut self, now: Instant) {
        for nanny in self.all.values_mut() {
            // Slept asks for nothing to be done.
            nanny.child.handle(Event::Slept, now, &mut self.scratch);
            if let Some(guest) = &mut nanny.guest {
                guest.until = now + HELLO_WITHIN;
            }
        }
        self.scratch.clear();
    }

    /// Children whose line ended although they live: they are looked for again.
    pub fn find_lineless(&self, out: &mut Vec<Action>) {
        out.extend(self.lineless.iter().map(|id| Action::FindAgain(*id)));
    }

    /// Asks the nannies of a service to look at the kernel now.
    pub fn ask_check(&self, service: &ServiceKey) {
        self.ask_shared(service);
        for nanny in self.all.values().filter(|nanny| !nanny.is_shared()) {
            if nanny.seats.keys().any(|target| target.service == *service)
                && let Some(line) = &nanny.line
            {
                // One whose line ended is found out by reading it.
                let _ = line.send(&Ask::Check.encode());
            }
        }
    }

    fn insert(&mut self, nanny: Nanny) -> Id {
        let id = self.next;
        self.next += 1;
        if nanny.is_shared() {
            self.by_place.entry(nanny.place.clone()).or_insert(id);
        }
        self.all.insert(id, nanny);
        id
    }

    fn stop(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        if let Some(nanny) = self.all.get_mut(&id) {
            for seat in nanny.seats.values_mut() {
                (seat.wanted, seat.is_sheltered) = (None, false);
            }
        }
        self.end(id, now, out);
    }

    /// Its process is to end.
    fn end(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let guest = self.take_guest(id);
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.monitor = None;
        nanny.found_with = None;
        nanny.is_going = true;
        if let Some(guest) = guest {
            // None is wanted, and there is one: it goes.
            nanny.child.handle(Event::Stop, now, &mut self.scratch);
            self.feed(id, Event::Adopted(guest.pid), now, out);
        } else {
            self.feed(id, Event::Stop, now, out);
        }
    }

    /// One event for one machine, and what follows from it.
    fn feed(&mut self, id: Id, event: Event, now: Instant, out: &mut Vec<Action>) {
        let left = if matches!(event, Event::Gone(_)) { self.lost_process(id) } else { Vec::new() };
        let Some(nanny) = self.all.get_mut(&id) else { return };
        let mut actions = std::mem::take(&mut self.scratch);
        nanny.child.handle(event, now, &mut actions);
        let mut unwanted_start = false;
        for action in actions.drain(..) {
            match action {
                child::Action::Spawn if nanny.monitor.is_some() => out.push(Action::Find(id)),
                child::Action::Spawn => unwanted_start = true,
                child::Action::Terminate(pid) if nanny.leaves_destination => out.extend(nanny.release(pid)),
                child::Action::Terminate(pid) => out.push(Action::Terminate(pid)),
                child::Action::Kill(pid) => out.push(Action::Kill(pid)),
                child::Action::Release(pid) => out.extend(nanny.release(pid)),
                child::Action::Report(report) => out.push(Action::Say(nanny.words(&report))),
            }
        }
        if unwanted_start {
            nanny.child.handle(Event::Stop, now, &mut actions);
        }
        self.scratch = actions;
        if nanny.child.is_over() {
            if nanny.monitor.is_some() {
                // Wanted again while it was on its way out.
                let seats = std::mem::take(&mut nanny.seats);
                let fresh = Nanny {
                    monitor: nanny.monitor.take(),
                    label: nanny.label.take(),
                    seats: seats.into_iter().map(|(target, seat)| (target, seat.anew())).collect(),
                    ..Nanny::new(self.rules, &nanny.place, now)
                };
                *nanny = fresh;
                self.feed(id, Event::Tick, now, out);
            } else {
                self.forget(id, now, out);
            }
        } else {
            self.schedule(id);
        }
        for target in left {
            self.vacate(id, &target, now, out);
        }
    }

    fn forget(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.remove(&id) else { return };
        self.lineless.remove(&id);
        self.speaking.remove(&id);
        if self.by_place.get(&nanny.place) == Some(&id) {
            self.by_place.remove(&nanny.place);
        }
        if nanny.seats.is_empty() && !nanny.is_shared() {
            out.push(Action::Ended(None));
        }
        for (target, seat) in nanny.seats {
            if self.by_target.get(&target) == Some(&id) {
                self.by_target.remove(&target);
            }
            out.push(Action::Ended(Some(target)));
            self.hand_on(seat, nanny.flaps, now, out);
        }
    }

    fn schedule(&mut self, id: Id) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        let Some(deadline) = nanny.deadline() else { return };
        if nanny.queued.is_none_or(|queued| deadline < queued) {
            nanny.queued = Some(deadline);
            self.deadlines.push(Reverse((deadline, id)));
        }
    }
}

#[cfg(test)]
mod tests;
