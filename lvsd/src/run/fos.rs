//! What the loop does for failover services: it feeds the machine of each what its
//! commands and its nanny say, and does what they ask.
//!
//! It runs on both directors; pulse says which is the active one, and so whose
//! services run.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::channel::Said;
use common::child::Exit;
use common::command::Running;
use common::ipvs::ServiceKey;

use super::{Daemon, Phase, Serves, Settings};
use crate::failover::ledger::{Ledger, LedgerFile};
use crate::failover::service::{Action, Event, Service, Trouble, Which};
use crate::failover::wanted::Block;
use crate::file::{self, Asked};
use crate::messages::Message;
use crate::nannies::Id;
use crate::nanny_command::Arguments;
use crate::parents::Request;
use crate::wanted::Monitor;

mod commands;
mod monitors;
mod reload;
mod succession;

/// How many lines of `--status` fit into a packet: a name has 255 bytes at most.
const STATUS_LINES: usize = 32;

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

/// The failover services, and their commands.
#[derive(Debug)]
pub struct Failover {
    kept: BTreeMap<ServiceKey, Kept>,
    /// What a predecessor started.
    inherited: Ledger,
    file: Option<LedgerFile>,
    /// Commands that wait for their turn.
    queue: VecDeque<(ServiceKey, Which)>,
    /// Commands that were killed and have not ended yet.
    dying: Vec<Running>,
    part: Part,
    /// What the file asks for, of the active director.
    blocks: Vec<Block>,
    /// A service is over for which another may have waited.
    has_room: bool,
}

impl Failover {
    /// None yet. `inherited` is what a predecessor left in `file`; a pulse, if there is
    /// one, says whose services run.
    pub fn new(inherited: Ledger, file: Option<LedgerFile>, has_pulse: bool) -> Self {
        Self {
            kept: BTreeMap::new(),
            inherited,
            file,
            queue: VecDeque::new(),
            dying: Vec::new(),
            part: if has_pulse { Part::Untold } else { Part::Serve },
            blocks: Vec::new(),
            has_room: false,
        }
    }
}

impl Serves for Daemon<Failover> {
    type Wanted = Vec<Block>;

    fn read(&self) -> Asked<Vec<Block>> {
        let Settings { file, nanny, manner, .. } = &self.settings;
        file::read_failover(file, self.asking.hosts(), nanny, manner)
    }

    fn begin(&mut self, blocks: Vec<Block>, now: Instant) {
        self.succeed(&blocks, now);
        self.own.blocks = blocks;
        if self.own.part == Part::Serve {
            self.take_up(now);
        }
        self.write_ledger();
    }

    fn reload(&mut self, blocks: Vec<Block>, now: Instant) {
        self.change(blocks, now);
    }

    /// An address does not wait for its service, which may want to bind it.
    fn begin_work(&mut self, now: Instant) {
        self.want_monitors(now);
        self.be_ready();
    }

    fn answer(&mut self, request: &Request, now: Instant) {
        match request {
            Request::Serve => self.play(Part::Serve, now),
            Request::Rest => self.play(Part::Rest, now),
            Request::Order { line, .. } => {
                let text =
                    "service = fos: there are no real servers here; pulse --relocate moves the services".to_owned();
                self.parents.answer(*line, &Said::Answer { done: false, next: None, text });
            }
            Request::Status { line, from } => {
                let (text, next) = self.status(*from, now);
                self.parents.answer(*line, &Said::Answer { done: true, next, text });
            }
            // There is no kernel to compare with.
            Request::Check => {}
            // The loop's own.
            Request::Release | Request::Renew => {}
        }
    }

    fn child_ended(&mut self, pid: u32, exit: Exit, now: Instant) {
        self.command_ended(pid, exit, now);
    }

    fn slept(&mut self, now: Instant) {
        self.feed_all(&Event::Slept, now);
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.own.has_room {
            return Some(now);
        }
        let services = self.own.kept.values().filter_map(|kept| kept.service.deadline());
        services.chain(self.commands_deadline(now)).min()
    }

    fn tend(&mut self, now: Instant) {
        self.tick_commands(now);
        self.feed_all(&Event::Tick, now);
        if std::mem::take(&mut self.own.has_room) && self.own.part == Part::Serve {
            self.take_up(now);
        }
    }

    fn stop_within(&self) -> Duration {
        self.own.kept.values().map(|kept| kept.stop.1).max().unwrap_or_default()
    }

    fn stop(&mut self, now: Instant) {
        let all: Vec<ServiceKey> = self.own.kept.keys().copied().collect();
        self.let_go(&all, now);
        self.write_ledger();
    }

    fn is_stopped(&self) -> bool {
        self.own.kept.values().all(|kept| kept.service.is_over())
    }

    fn name_what_is_left(&mut self) {
        let services = self.own.kept.values().filter(|kept| !kept.service.is_over()).count();
        if services > 0 {
            self.log.say(&Message::FailoverLeftBehind { services });
        }
    }

    fn in_our_words(&self, line: Message) -> Message {
        self.of_services(line)
    }

    /// pulse is told when the service cannot run here.
    fn tells_news(&self) -> bool {
        false
    }

    fn introduce(&mut self, id: Id, arguments: Option<&Arguments>, now: Instant) {
        self.introduce_guest(id, arguments, now);
    }

    fn judged(&mut self, key: &ServiceKey, now: Instant) {
        let monitor = self.own.kept.get(key).and_then(|kept| kept.monitor.as_ref());
        let tally = monitor.map(|monitor| self.nannies.tally([&monitor.target].into_iter()));
        if let Some(tally) = tally.filter(|tally| tally.silent == 0) {
            self.feed(key, Event::Judged(tally.available > 0), now);
        }
    }
}

impl Daemon<Failover> {
    /// Starts what the file asks for and is not here. What is still being stopped comes
    /// after that, and so does what has its name and another address: they may be one
    /// service with one script.
    fn take_up(&mut self, now: Instant) {
        let mut out = Vec::new();
        for block in &self.own.blocks {
            let is_here = |(key, kept): (&ServiceKey, &Kept)| {
                *key == block.key || kept.name == block.name && kept.service.is_leaving() && !kept.service.is_over()
            };
            if !self.own.kept.iter().any(is_here) {
                let mut actions = Vec::new();
                let service = Service::start(block.rules, now, &mut actions);
                self.own.kept.insert(block.key, Kept::new(block, service));
                out.extend(actions.into_iter().map(|action| (block.key, action)));
            }
        }
        self.perform_services(out, now);
        // Their nannies wait for the guests: nobody's is started beside one that watches.
        if self.phase == Phase::Working {
            self.want_monitors(now);
        }
    }

    /// Stops these services and their nannies.
    fn let_go(&mut self, keys: &[ServiceKey], now: Instant) {
        let mut out = Vec::new();
        for key in keys {
            let Some(kept) = self.own.kept.get(key) else { continue };
            if let Some(monitor) = kept.monitor.as_ref().filter(|_| !kept.service.is_leaving()) {
                self.nannies.leave(&monitor.target, false, now, &mut out);
            }
        }
        self.perform(out, now);
        for key in keys {
            self.feed(key, Event::Stop, now);
        }
    }

    /// `lvsd --status`: a line for each service that runs or should, from this one on,
    /// as many as surely fit into a packet, and the number of the next.
    fn status(&self, from: usize, now: Instant) -> (String, Option<usize>) {
        let part = match self.own.part {
            Part::Untold => "pulse has not said yet whether this director is active",
            Part::Serve => "this director is active",
            Part::Rest => "this director is the standby: nothing should run here",
        };
        let head = if from == 0 { format!("{part}\n") } else { String::new() };
        let all = self.own.kept.values().skip(from).take(STATUS_LINES);
        let text = all.map(|kept| {
            let (service, mut line) = (&kept.service, format!("{} {}: {}", kept.name, kept.at, kept.service.doing()));
            let (used, of) = service.restarts(now);
            // Writing into a String cannot fail.
            let _ = service.given_up().map(|why| write!(line, ", as {why}"));
            let _ = (used > 0).then(|| write!(line, "; {used} of {of} restarts used"));
            line + "\n"
        });
        let next = from + STATUS_LINES;
        (head + &text.collect::<String>(), (next < self.own.kept.len()).then_some(next))
    }

    /// What pulse says of this director.
    fn play(&mut self, part: Part, now: Instant) {
        if self.is_stopping() || self.own.part == part {
            return;
        }
        self.own.part = part;
        match part {
            Part::Untold => {}
            Part::Serve => self.take_up(now),
            Part::Rest => {
                let all: Vec<ServiceKey> = self.own.kept.keys().copied().collect();
                self.let_go(&all, now);
                self.write_ledger();
            }
        }
    }

    fn feed_all(&mut self, event: &Event, now: Instant) {
        let keys: Vec<ServiceKey> = self.own.kept.keys().copied().collect();
        for key in keys {
            self.feed(&key, event.clone(), now);
        }
    }

    fn feed(&mut self, key: &ServiceKey, event: Event, now: Instant) {
        let Some(kept) = self.own.kept.get_mut(key) else { return };
        let mut actions = Vec::new();
        kept.service.handle(event, now, &mut actions);
        self.perform_services(actions.into_iter().map(|action| (*key, action)).collect(), now);
        let unable = self.own.kept.values().find_map(|kept| {
            let why = kept.service.given_up().filter(|_| !kept.service.is_leaving())?;
            Some(format!("failover service {} cannot run here: {why}", kept.name))
        });
        self.parents.say_unable(unable);
    }

    /// Does what the services asked for.
    fn perform_services(&mut self, actions: Vec<(ServiceKey, Action)>, now: Instant) {
        for (key, action) in actions {
            let Some(kept) = self.own.kept.get_mut(&key) else { continue };
            let (name, at) = (kept.name.clone(), kept.at);
            match action {
                Action::Run(which) => {
                    if let Some((_, mut running)) = kept.command.take() {
                        running.kill(now);
                        self.own.dying.push(running);
                    }
                    self.own.queue.retain(|(waiting, _)| *waiting != key);
                    self.own.queue.push_back((key, which));
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
        if let Some((_, mut running)) = self.own.kept.get_mut(key).and_then(|kept| kept.command.take()) {
            running.kill(now);
            self.own.dying.push(running);
        }
        // At a stop it is counted.
        if !self.is_stopping() {
            self.own.kept.remove(key);
            self.own.has_room = true;
        }
        self.write_ledger();
    }
}

#[cfg(test)]
mod tests;
