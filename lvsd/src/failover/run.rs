//! The loop of an lvsd that keeps failover services: it waits for signals, the
//! lines of nannies and parents, and the nearest deadline; hands each to the
//! [`Service`] or to [`Nannies`]; and does what they ask.
//!
//! ```text
//!            guests answered              TERM             services and nannies gone
//!  Meeting ──────────────────► Working ────────► Stopping ───────────────────────────► exit
//!                                │ Ask::Release
//!                                └────────────► exit, everything stays
//! ```
//!
//! It runs on both directors; pulse says which is the active one, and so whose
//! services run.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use common::channel::{Line, MeetingPlace, Said};
use common::command::Running;
use common::daemon;
use common::ipvs::ServiceKey;
use common::log::Log;

use super::ledger::{Ledger, LedgerFile};
use super::service::{Action, Event, Service, Trouble, Which};
use super::wanted::Block;
use crate::asking::Asking;
use crate::file::Notes;
use crate::hands;
use crate::hosts::Hosts;
use crate::messages::Message;
use crate::nannies::Nannies;
use crate::parents::{self, Parents, Request};
use crate::renewal::Renewal;
use crate::run::{End, Settings};
use crate::wanted::Monitor;

mod commands;
mod monitors;
mod reload;
mod succession;

const SIGNALS: Token = Token(0);
const MEETING: Token = Token(1);
const RESOLVER: Token = Token(2);
/// Parents' tokens begin here, nannies' behind them.
const PARENTS: usize = 3;
const NANNIES: usize = PARENTS + parents::MAX;

/// How often what needs no event is looked at: lines that ended, a log that was away.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Waking up this much later than asked, we were away.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// What a stop waits for beyond the times of its parts.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// How many lines of `--status` fit into a packet: a name has 255 bytes at most.
const STATUS_LINES: usize = 32;

/// Events taken from the kernel at once; the rest comes in the next turn.
const EVENTS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Meeting,
    Working,
    Stopping { until: Instant },
}

/// What pulse said of this director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Nothing yet: what runs goes on, what does not is not started.
    Untold,
    /// It is the active one; so is one without a pulse.
    Serve,
    /// It is not.
    Rest,
}

/// One service and what belongs to it.
#[derive(Debug)]
struct Kept {
    name: String,
    at: SocketAddr,
    start: (Vec<String>, Duration),
    stop: (Vec<String>, Duration),
    /// `None`: it is only here to be stopped.
    monitor: Option<Rc<Monitor>>,
    service: Service,
    command: Option<(Which, Running)>,
}

impl Kept {
    fn new(block: &Block, service: Service) -> Self {
        Self {
            name: block.name.clone(),
            at: block.at,
            start: (block.start.clone(), block.start_within),
            stop: (block.stop.clone(), block.stop_within),
            monitor: Some(Rc::clone(&block.monitor)),
            service,
            command: None,
        }
    }
}

/// The daemon.
pub struct Keeper {
    settings: Settings,
    log: Log,
    poll: Poll,
    signals: Signals,
    meeting: Option<MeetingPlace>,
    parents: Parents,
    nannies: Nannies,
    renewal: Renewal,
    kept: BTreeMap<ServiceKey, Kept>,
    /// What a predecessor started.
    inherited: Ledger,
    file: Option<LedgerFile>,
    asking: Asking,
    /// Meeting places still to be knocked at.
    calls: VecDeque<PathBuf>,
    /// Commands that wait for their turn.
    queue: VecDeque<(ServiceKey, Which)>,
    /// Commands that were killed and have not ended yet.
    dying: Vec<Running>,
    phase: Phase,
    part: Part,
    /// What the file asks for, of the active director.
    blocks: Vec<Block>,
    /// A service is over for which another may have waited.
    has_room: bool,
    is_ready: bool,
    look_at: Instant,
    woke: Instant,
    /// What was said of the file as it is.
    notes: Notes,
}

impl Keeper {
    /// Everything in place, nothing done yet. `parent` is the line of the pulse that
    /// started us, if one did; `inherited` is what a predecessor left in `file`.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new(
        settings: Settings,
        hosts: Hosts,
        log: Log,
        (inherited, file): (Ledger, Option<LedgerFile>),
        meeting: Option<MeetingPlace>,
        parent: Option<Line>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        if let Some(meeting) = &meeting {
            poll.registry().register(&mut SourceFd(&meeting.as_fd().as_raw_fd()), MEETING, Interest::READABLE)?;
        }
        let (now, is_kept) = (Instant::now(), settings.places.is_some());
        let mut parents = Parents::new(settings.rules.beat, PARENTS, now);
        let part = if parent.is_some() { Part::Untold } else { Part::Serve };
        if let Some(line) = parent {
            parents.welcome(line, false, poll.registry());
        }
        Ok(Self {
            nannies: Nannies::new(settings.rules, NANNIES),
            renewal: Renewal::default(),
            parents,
            settings,
            log,
            poll,
            signals,
            meeting,
            kept: BTreeMap::new(),
            inherited,
            file,
            asking: Asking::new(hosts, is_kept),
            calls: VecDeque::new(),
            queue: VecDeque::new(),
            dying: Vec::new(),
            phase: Phase::Meeting,
            part,
            blocks: Vec::new(),
            has_room: false,
            is_ready: false,
            look_at: now + LOOK_EVERY,
            woke: now,
            notes: Notes::default(),
        })
    }

    /// Runs until told to stop or to make room.
    ///
    /// # Errors
    /// The wait itself failed.
    pub fn run(mut self, blocks: Vec<Block>) -> io::Result<End> {
        self.begin(blocks);
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if let Some(end) = self.turn(&mut events)? {
                if let Some(meeting) = self.meeting.take() {
                    meeting.close();
                }
                return Ok(end);
            }
        }
    }

    /// What was said of an earlier reading of the file is not said again.
    pub fn say_notes(&mut self, lines: &[Message]) {
        self.notes.news(lines).for_each(|line| self.log.say(line));
    }

    fn begin(&mut self, blocks: Vec<Block>) {
        let now = Instant::now();
        self.asking.keep().iter().for_each(|line| self.log.say(line));
        self.calls = self.settings.places();
        self.succeed(&blocks, now);
        self.blocks = blocks;
        if self.part == Part::Serve {
            self.take_up(now);
        }
        self.write_ledger();
    }

    /// Starts what the file asks for and is not here. What is still being stopped comes
    /// after that, and so does what has its name and another address: they may be one
    /// service with one script.
    fn take_up(&mut self, now: Instant) {
        let mut out = Vec::new();
        for block in &self.blocks {
            let is_here = |(key, kept): (&ServiceKey, &Kept)| {
                *key == block.key || kept.name == block.name && kept.service.is_leaving() && !kept.service.is_over()
            };
            if !self.kept.iter().any(is_here) {
                let mut actions = Vec::new();
                let service = Service::start(block.rules, now, &mut actions);
                self.kept.insert(block.key, Kept::new(block, service));
                out.extend(actions.into_iter().map(|action| (block.key, action)));
            }
        }
        self.perform(out, now);
        // Their nannies wait for the guests: nobody's is started beside one that watches.
        if self.phase == Phase::Working {
            self.want_monitors(now);
        }
    }

    /// Stops these services and their nannies.
    fn let_go(&mut self, keys: &[ServiceKey], now: Instant) {
        let mut out = Vec::new();
        for key in keys {
            let Some(kept) = self.kept.get(key) else { continue };
            if let Some(monitor) = kept.monitor.as_ref().filter(|_| !kept.service.is_leaving()) {
                self.nannies.leave(&monitor.target, false, now, &mut out);
            }
        }
        self.perform_nannies(out, now);
        for key in keys {
            self.feed(key, Event::Stop, now);
        }
    }

    /// `lvsd --status`: a line for each service that runs or should, from this one on,
    /// as many as surely fit into a packet, and the number of the next.
    fn status(&self, from: usize, now: Instant) -> (String, Option<usize>) {
        let part = match self.part {
            Part::Untold => "pulse has not said yet whether this director is active",
            Part::Serve => "this director is active",
            Part::Rest => "this director is the standby: nothing should run here",
        };
        let head = if from == 0 { format!("{part}\n") } else { String::new() };
        let all = self.kept.values().skip(from).take(STATUS_LINES);
        let text = all.map(|kept| {
            let (service, mut line) = (&kept.service, format!("{} {}: {}", kept.name, kept.at, kept.service.doing()));
            let (used, of) = service.restarts(now);
            // Writing into a String cannot fail.
            let _ = service.given_up().map(|why| write!(line, ", as {why}"));
            let _ = (used > 0).then(|| write!(line, "; {used} of {of} restarts used"));
            line + "\n"
        });
        let next = from + STATUS_LINES;
        (head + &text.collect::<String>(), (next < self.kept.len()).then_some(next))
    }

    /// What pulse says of this director.
    fn play(&mut self, part: Part, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) || self.part == part {
            return;
        }
        self.part = part;
        match part {
            Part::Untold => {}
            Part::Serve => self.take_up(now),
            Part::Rest => {
                let all: Vec<ServiceKey> = self.kept.keys().copied().collect();
                self.let_go(&all, now);
                self.write_ledger();
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<Option<End>> {
        let before = Instant::now();
        let asked = self.deadline(before);
        match self.poll.poll(events, Some(asked.saturating_duration_since(before))) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let now = Instant::now();
        let slept = now.saturating_duration_since(asked.max(before)) + before.saturating_duration_since(self.woke);
        if slept > OVERSLEPT {
            self.log.say(&Message::Slept { slept });
            self.nannies.slept(now);
            self.feed_all(&Event::Slept, now);
        }
        self.woke = now;
        let requests = self.take_events(events, now);
        if requests.contains(&Request::Release) {
            self.log.say(&Message::Released);
            return Ok(Some(End::Released));
        }
        for request in requests {
            match request {
                Request::Serve => self.play(Part::Serve, now),
                Request::Rest => self.play(Part::Rest, now),
                Request::Renew => self.renewal.begin(&self.nannies),
                Request::Order { line, .. } => {
                    let text =
                        "service = fos: there are no real servers here; pulse --relocate moves the services".to_owned();
                    self.parents.answer(line, &Said::Answer { done: false, next: None, text });
                }
                Request::Status { line, from } => {
                    let (text, next) = self.status(from, now);
                    self.parents.answer(line, &Said::Answer { done: true, next, text });
                }
                // There is no kernel to compare with.
                Request::Check | Request::Release => {}
            }
        }
        let mut out = Vec::new();
        self.nannies.tick(now, &mut out);
        if self.phase == Phase::Working {
            self.renewal.step(&mut self.nannies, daemon::is_replaced, now, &mut out);
        }
        self.perform_nannies(out, now);
        self.tick_commands(now);
        self.feed_all(&Event::Tick, now);
        if std::mem::take(&mut self.has_room) && self.part == Part::Serve {
            self.take_up(now);
        }
        self.parents.beat(now);
        self.take_answers(now);
        self.look(now);
        Ok(self.step_phase(now))
    }

    fn take_events(&mut self, events: &Events, now: Instant) -> Vec<Request> {
        let mut requests = Vec::new();
        for event in events {
            match event.token() {
                SIGNALS => self.take_signals(now),
                MEETING => {
                    while let Some(line) = self.meeting.as_ref().and_then(MeetingPlace::accept) {
                        self.parents.welcome(line, self.is_ready, self.poll.registry());
                    }
                }
                // Looked at in every turn.
                RESOLVER => {}
                Token(token) if token < NANNIES => self.parents.read(token, &mut requests),
                Token(id) => {
                    let mut out = Vec::new();
                    // One that babbles is cut off: what it has to say is a word now and then.
                    while self.nannies.read(id, now, &mut out) && out.is_empty() {}
                    self.perform_nannies(out, now);
                }
            }
        }
        requests
    }

    fn take_signals(&mut self, now: Instant) {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            match signal {
                SIGCHLD => {
                    while let Some((pid, exit)) = hands::reap() {
                        self.reaped(pid, exit, now);
                    }
                }
                SIGHUP => self.reread(now),
                SIGUSR1 | SIGUSR2 => self.log.say(&Message::SignalIgnored { signal }),
                stop => self.stop(stop, now),
            }
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        let renews = self.renewal.is_due() && self.phase == Phase::Working;
        if !self.calls.is_empty() || renews || self.has_room {
            return now;
        }
        let phase = match self.phase {
            Phase::Meeting | Phase::Working => None,
            Phase::Stopping { until } => Some(until),
        };
        let lookup = self.asking.until();
        let commands = self.kept.values().filter_map(|kept| kept.command.as_ref()).map(|(_, running)| running);
        let commands = commands.chain(&self.dying).map(|running| commands::look_at(running, now)).min();
        let services = self.kept.values().filter_map(|kept| kept.service.deadline()).min();
        let deadlines = [self.parents.deadline(), self.nannies.deadline(), phase, lookup, commands, services];
        deadlines.into_iter().flatten().fold(self.look_at, Instant::min)
    }

    fn look(&mut self, now: Instant) {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.log.flush();
            let mut lost = Vec::new();
            self.nannies.find_lineless(&mut lost);
            self.perform_nannies(lost, now);
        }
        self.meet_guests(now);
    }

    /// The next state of the picture above.
    fn step_phase(&mut self, now: Instant) -> Option<End> {
        match self.phase {
            // Nobody's nanny is started beside the one that watches already.
            Phase::Meeting if self.calls.is_empty() && !self.nannies.has_guests() => {
                self.phase = Phase::Working;
                self.want_monitors(now);
                // An address does not wait for its service, which may want to bind it.
                self.is_ready = true;
                self.parents.say_ready();
                self.renewal.begin(&self.nannies);
            }
            Phase::Stopping { until } => {
                let services = self.kept.values().filter(|kept| !kept.service.is_over()).count();
                let over = services == 0 && self.nannies.is_empty();
                // As in the loop of virtual services: one may have come after we called.
                if over && now < until {
                    self.calls = self.settings.places();
                    self.stop_nannies(now);
                    if !self.nannies.is_empty() {
                        return None;
                    }
                }
                if over || now >= until {
                    if services > 0 {
                        self.log.say(&Message::FailoverLeftBehind { services });
                    }
                    if !self.nannies.is_empty() {
                        self.log.say(&Message::LeftBehind { monitors: self.nannies.len() });
                    }
                    return Some(End::Stopped);
                }
            }
            Phase::Meeting | Phase::Working => {}
        }
        None
    }

    fn feed_all(&mut self, event: &Event, now: Instant) {
        let keys: Vec<ServiceKey> = self.kept.keys().copied().collect();
        for key in keys {
            self.feed(&key, event.clone(), now);
        }
    }

    fn feed(&mut self, key: &ServiceKey, event: Event, now: Instant) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        let mut actions = Vec::new();
        kept.service.handle(event, now, &mut actions);
        self.perform(actions.into_iter().map(|action| (*key, action)).collect(), now);
        let unable = self.kept.values().find_map(|kept| {
            let why = kept.service.given_up().filter(|_| !kept.service.is_leaving())?;
            Some(format!("failover service {} cannot run here: {why}", kept.name))
        });
        self.parents.say_unable(unable);
    }

    /// Does what the services asked for.
    fn perform(&mut self, actions: Vec<(ServiceKey, Action)>, now: Instant) {
        for (key, action) in actions {
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            let (name, at) = (kept.name.clone(), kept.at);
            match action {
                Action::Run(which) => {
                    if let Some((_, mut running)) = kept.command.take() {
                        running.kill(now);
                        self.dying.push(running);
                    }
                    self.queue.retain(|(waiting, _)| *waiting != key);
                    self.queue.push_back((key, which));
                }
                Action::Check => self.nannies.ask_check(&key),
                Action::Serves => {
                    self.log.say(&Message::FailoverServes { name, at });
                    self.write_ledger();
                }
                Action::Again { trouble, time, of } => {
                    self.log.say(&match trouble {
                        Trouble::Start(_) | Trouble::Foreground(_) => Message::FailoverNotStarted { at },
                        Trouble::Unsettled(_) | Trouble::Lost => Message::FailoverDied { name: name.clone(), at },
                    });
                    self.log.say(&Message::FailoverAgain { name, why: trouble.to_string(), time, of });
                    self.write_ledger();
                }
                Action::GivenUp(trouble) => {
                    self.log.say(&Message::FailoverGivenUp { name, why: trouble.to_string() });
                    self.write_ledger();
                }
                Action::NotStopped(failure) => self.log.say(&Message::FailoverNotStopped { name, failure }),
                Action::Over => self.over(&key, now),
            }
        }
        self.run_commands(now);
    }

    /// A service is stopped for good, unless it is wanted again meanwhile, or another
    /// waited for that.
    fn over(&mut self, key: &ServiceKey, now: Instant) {
        if let Some((_, mut running)) = self.kept.get_mut(key).and_then(|kept| kept.command.take()) {
            running.kill(now);
            self.dying.push(running);
        }
        // At a stop it is counted.
        if !matches!(self.phase, Phase::Stopping { .. }) {
            self.kept.remove(key);
            self.has_room = true;
        }
        self.write_ledger();
    }

    fn stop(&mut self, signal: i32, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::SignalStop { signal });
        let longest = self.kept.values().map(|kept| kept.stop.1).max().unwrap_or_default();
        self.phase = Phase::Stopping { until: now + longest.max(self.settings.rules.stop_within) + STOP_SLACK };
        self.asking.end();
        let all: Vec<ServiceKey> = self.kept.keys().copied().collect();
        self.let_go(&all, now);
        self.write_ledger();
        self.stop_nannies(now);
    }

    /// All that there are; whoever was not called yet must end too.
    fn stop_nannies(&mut self, now: Instant) {
        self.meet_guests(now);
        let mut out = Vec::new();
        self.nannies.stop_all(now, &mut out);
        self.perform_nannies(out, now);
    }

    fn meet_guests(&mut self, now: Instant) {
        while let Some(path) = self.calls.pop_front() {
            hands::knock(&mut self.nannies, &path, self.poll.registry(), now);
        }
    }
}

#[cfg(test)]
mod tests;
