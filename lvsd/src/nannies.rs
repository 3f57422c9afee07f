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
use common::channel::{Ask, Line, Received, Said, VERSION};
use common::child::{self, Event, Exit, Rules};
use common::ipvs::{DestinationKey, ServiceKey};

use crate::floor::{self, Member};
use crate::messages::Message;
use crate::nanny_command::Arguments;
use crate::services::Keepers;
use crate::sorry::Tally;
use crate::status::Known;
use crate::wanted::{Monitor, Target, Virtual};
use nanny::Nanny;
use seat::Seat;

mod departures;
mod guests;
mod nanny;
mod renewing;
mod seat;
mod sharing;
mod wishes;

/// How long a process found at a meeting place may take to say who it is. A
/// nanny may be inside a netlink call, which ends within a second.
pub const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// How many packets of one nanny are read in a row, so that a babbling one does
/// not keep the others waiting.
const PACKETS_MAX: usize = 64;

/// The longest reason of a nanny's own that goes into a line, in characters.
const REASON_MAX: usize = 200;

/// A line that ends again this soon is looked for at the next round only, so that
/// a process that keeps hanging up does not keep us busy.
const FIND_AGAIN_AFTER: Duration = Duration::from_secs(1);

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

impl Keepers for Nannies {
    fn owns(&self, target: &Target) -> bool {
        self.by_target.contains_key(target)
    }

    fn expected(&self, wanted: &Virtual) -> Option<Vec<DestinationKey>> {
        let mut expected = Vec::new();
        for target in wanted.monitors.iter().map(|monitor| &monitor.target) {
            let (good, weight) = self.seat(target)?.verdict?;
            if good || weight > 0 {
                expected.push(target.destination);
            }
        }
        Some(expected)
    }
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

    /// What the nannies of these destinations say.
    pub fn tally<'a>(&self, targets: impl Iterator<Item = &'a Target>) -> Tally {
        let mut tally = Tally::default();
        for target in targets {
            tally.servers += 1;
            match self.member(target) {
                Member { available: Some(true), .. } => tally.available += 1,
                Member { is_kept: true, .. } => tally.kept += 1,
                Member { available: Some(false), .. } => {}
                Member { available: None, .. } => tally.silent += 1,
            }
        }
        tally
    }

    /// What is known of this real server.
    pub fn known(&self, target: &Target, now: Instant) -> Known {
        let nanny = self.by_target.get(target).and_then(|id| self.all.get(id));
        let of = |(nanny, seat): (&Nanny, &Seat)| Known {
            verdict: seat.verdict,
            since: seat.since.map(|since| now.saturating_duration_since(since)),
            why: nanny.why.clone().filter(|_| seat.is_down()),
        };
        nanny.and_then(|nanny| Some((nanny, nanny.seats.get(target)?))).map_or_else(Known::default, of)
    }

    fn seat(&self, target: &Target) -> Option<&Seat> {
        self.all.get(self.by_target.get(target)?)?.seats.get(target)
    }

    fn member(&self, target: &Target) -> Member {
        self.seat(target).map_or_else(Member::default, Seat::member)
    }

    /// Tells the nannies of this virtual who of them stays in use whatever checks say.
    pub fn keep_floor(&mut self, wanted: &Virtual) {
        let members: Vec<Member> = wanted.monitors.iter().map(|monitor| self.member(&monitor.target)).collect();
        let stay = floor::who_stays(wanted.pool.min_up, &members);
        for (monitor, stays) in wanted.monitors.iter().zip(stay) {
            let Some(&id) = self.by_target.get(&monitor.target) else { continue };
            let Some(nanny) = self.all.get_mut(&id) else { continue };
            let Some(seat) = nanny.seats.get_mut(&monitor.target) else { continue };
            // What a nanny of several holds, it says by itself.
            let told = seat.stays.or_else(|| monitor.assignment.map(|_| false));
            // One that was found may be what a lvsd before us kept: its verdict says so.
            let is_unknown = told.is_none() && seat.verdict.is_none() && !stays;
            if told == Some(stays) || is_unknown || !monitor.is_nanny {
                continue;
            }
            seat.stays = Some(stays);
            if nanny.is_shared() {
                nanny.words.add(monitor.target);
                self.speaking.insert(id);
            } else if let Some(line) = &nanny.line {
                // A line that is broken shows when it is read; its next process is reminded.
                let _ = line.send(&Ask::Stay(stays).encode());
            }
        }
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

    /// Reads its line; `true` if there may be more, to be read after the others.
    pub fn read(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) -> bool {
        for _ in 0..PACKETS_MAX {
            let Some(line) = self.all.get(&id).and_then(|nanny| nanny.line.as_ref()) else { return false };
            match line.receive_said() {
                Received::Message(said) => {
                    self.heard(id, said, now, out);
                    // What it says next is about what it is given a seat for first.
                    let is_shared = self.all.get(&id).is_some_and(Nanny::is_shared);
                    if matches!(out.last(), Some(Action::Introduced(..))) && !is_shared {
                        return true;
                    }
                }
                // A newer nanny says more than we know, and lives.
                Received::Garbage(_) => self.feed(id, Event::Heard, now, out),
                Received::Nothing => return false,
                Received::Ended => {
                    self.line_ended(id, now, out);
                    return false;
                }
            }
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

    fn heard(&mut self, id: Id, said: Said, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.spoke = true;
        match said {
            Said::Hello { version, arguments, .. } if nanny.guest.is_some() => {
                nanny.speaks_otherwise = version != VERSION;
                self.introduced(id, Some(arguments.iter().collect()), now, out);
            }
            Said::Hello { version, .. } => {
                nanny.speaks_otherwise = version != VERSION;
                self.feed(id, Event::Heard, now, out);
            }
            Said::Alive | Said::Unable(_) | Said::Able | Said::Withdrawn(_) | Said::News(_) => {
                self.feed(id, Event::Heard, now, out);
            }
            Said::Flaps(flaps) => {
                nanny.flaps = Some((flaps, now)).filter(|_| !nanny.is_predecessor);
                self.feed(id, Event::Heard, now, out);
            }
            Said::Ready => self.feed(id, Event::Ready, now, out),
            // It was about the destination that this one's successor does not keep.
            Said::Verdict { .. } if nanny.is_predecessor => self.feed(id, Event::Heard, now, out),
            Said::Verdict { available, weight } => {
                if let Some(target) = nanny.seats.keys().next().copied().filter(|_| !nanny.is_shared()) {
                    let news = self.judged(id, &target, (available, weight), now, out);
                    self.ask_why(id, news);
                }
                self.feed(id, Event::Heard, now, out);
            }
            Said::Holds(held) => {
                self.heard_holds(id, held, now, out);
                self.feed(id, Event::Heard, now, out);
            }
            Said::Dropped(targets) => {
                self.feed(id, Event::Heard, now, out);
                self.heard_dropped(id, &targets, now, out);
            }
            Said::Why { text, .. } => {
                let is_down = nanny.seats.values().any(Seat::is_down);
                nanny.why = Some(text).filter(|text| is_down && !text.is_empty());
                self.feed(id, Event::Heard, now, out);
            }
            // It is lvsd's own word.
            Said::Answer { .. } => self.feed(id, Event::Heard, now, out),
            Said::Leaving(why) => nanny.leaving = Some(why.chars().take(REASON_MAX).collect()),
        }
    }

    /// Its nanny's word about a destination: whether it is good, and its weight. `Some`:
    /// whether it is good is news.
    fn judged(
        &mut self,
        id: Id,
        target: &Target,
        (available, weight): (bool, u32),
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Option<bool> {
        let nanny = self.all.get_mut(&id)?;
        let seat = nanny.seats.get_mut(target)?;
        let before = seat.member();
        let is_news = seat.verdict.is_none_or(|(was, _)| was != available);
        out.extend(seat.news(target, available, nanny.is_ours).map(Action::News));
        seat.verdict = Some((available, weight));
        if is_news {
            seat.since = Some(now);
        }
        if before.available == Some(true) && seat.available() == Some(false) {
            self.falls += 1;
            seat.fell = Some(self.falls);
        }
        if seat.available() == Some(true) {
            seat.fell = None;
        }
        // One that crossed our word on its way says more in a moment.
        seat.refuses = seat.verdict == Some((false, 0)) && (seat.stays == Some(true) || seat.refuses);
        let after = seat.member();
        if before.available != after.available || before.is_kept != after.is_kept {
            out.push(Action::Judged(target.service));
        }
        is_news.then_some(available)
    }

    /// After words about any number of its destinations: when one is down, the nanny is
    /// asked why.
    fn ask_why(&mut self, id: Id, news: impl IntoIterator<Item = bool>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        let mut news = news.into_iter().peekable();
        if news.peek().is_some() {
            nanny.why = None;
        }
        if news.any(|available| !available) {
            nanny.ask_why();
        }
    }

    fn line_ended(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let guest = self.take_guest(id);
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.line = None;
        if guest.is_some() {
            // It went before it said who it was.
            if nanny.monitor.is_some() {
                out.push(Action::Start(id));
            } else {
                self.feed(id, Event::Stop, now, out);
            }
        } else if nanny.is_ours || nanny.line_ended.is_some_and(|last| now < last + FIND_AGAIN_AFTER) {
            self.lineless.insert(id);
        } else {
            out.push(Action::FindAgain(id));
        }
        if let Some(nanny) = self.all.get_mut(&id) {
            nanny.line_ended = Some(now);
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
