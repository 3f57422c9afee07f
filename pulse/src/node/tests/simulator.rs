//! Two directors in a world that goes wrong: links that lose, delay, duplicate,
//! reorder and work one way; processes and machines that freeze, die, are started
//! again, reloaded and told to move; recordings played back. One of the two may be
//! an original (`original.rs`). What goes wrong is a `Scenario` (`scenario.rs`,
//! `troubles.rs`), what must never happen stands in `judge.rs`.
//!
//! Two of ours are whole nodes on machines (`machine.rs`), whose kernels lend the
//! VIPs, whose lvsd falls ill (`lvsd.rs`) and whose guardian starts a killed pulse again; or the
//! elections of two alone. An election has no time scale of its own, so its slow pairs
//! (a beat in minutes) stand for any and give many hours; a node acts every second.
//!
//! Time is a number; nothing here sleeps.

#![allow(clippy::cast_possible_truncation, reason = "a mistake in a test fails it")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::election::{
    Action, Activation, Answer, Deactivation, Election, Event, Line, Path, Request, Role, Settings, Start, State, Then,
    Watched,
};
use crate::heartbeat::{
    Claim, Datagram, Flags, Heartbeat, Key, Keyring, Reason, Service, StartId, State as Doing, Trust, Word, decode,
};
use crate::node::{self, Node};

mod dice;
mod happening;
mod judge;
mod lvsd;
mod machine;
mod network;
mod original;
mod runs;
mod scenario;
mod services;
mod troubles;

use dice::Dice;
use happening::{Deed, Due, Happening, Kind, Packet};
use judge::Judge;
use lvsd::Illness;
use machine::Machine;
use network::ANNOUNCEMENTS;
use original::Original;
use scenario::{Fault, Scenario, Trouble};

/// Two, in the order MASTER, BACKUP.
const HOSTS: usize = 2;

/// What a socket holds for a process that does not read.
const SOCKET_BUFFER: usize = 200;

/// How many heartbeats an attacker has recorded. Only such as arrived: one that was
/// held back is new when it comes, however late, and `replay.rs` says so.
const RECORDED: usize = 64;

/// One direction of one path.
#[derive(Clone, Copy, Debug, Default)]
struct Wire {
    /// Nothing passes.
    cuts: u32,
    /// No heartbeat passes: somebody's firewall.
    filters: u32,
    loss: u8,
    duplication: u8,
    /// On top of the usual delay.
    slowness: Duration,
}

impl Wire {
    fn is_good(&self) -> bool {
        self.cuts == 0 && self.filters == 0 && self.loss == 0 && self.slowness.is_zero()
    }

    /// Whether announcements pass without fail.
    fn shows(&self) -> bool {
        self.cuts == 0 && self.loss == 0 && self.slowness.is_zero()
    }
}

enum Director {
    /// The election alone: its hours cost next to nothing.
    Bare(Box<Election>),
    Whole(Box<Node>),
    Original(Original),
}

struct Host {
    settings: Settings,
    /// `None`: no process, or no machine.
    director: Option<Director>,
    /// Each start is a life of its own; what was due in the last one is not.
    life: u32,
    is_original: bool,
    /// Its directors are whole nodes.
    is_whole: bool,
    machine: Machine,
    /// Stopped by SIGSTOP or with its whole machine.
    is_frozen: bool,
    machine_is_frozen: bool,
    frozen_at: Duration,
    /// How far its clock is behind: a machine's clock may stand while it is frozen.
    behind: Duration,
    inbox: VecDeque<(usize, Packet)>,
    /// What came due while it was frozen.
    overdue: Vec<Happening>,
    vips: bool,
    /// When it last announced them because somebody else did.
    defended: Option<Duration>,
    next_wake: Duration,
    links_down: Vec<bool>,
    witness_cuts: u32,
    is_released: bool,
    fails: [bool; 2],
    mended: Duration,
    /// How often its failover services were broken and not mended yet.
    broken: u32,
    services_fail: bool,
}

struct World {
    now: Duration,
    origin: Instant,
    due: BinaryHeap<Reverse<Due>>,
    counter: u64,
    dice: Dice,
    hosts: Vec<Host>,
    /// By sender and path.
    wires: Vec<Vec<Wire>>,
    recorded: Vec<VecDeque<Packet>>,
    keyring: Keyring,
    faults: Vec<Fault>,
    judge: Judge,
    beats: u64,
    /// What happened, if somebody wants to know.
    story: Option<String>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    time: Duration,
    faults: u64,
    beats: u64,
    /// By directors of ours.
    takeovers: u64,
    /// Who has the VIPs at the end.
    holders: [bool; HOSTS],
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let paths = scenario.paths;
        let is_keyed = scenario.is_keyed;
        let keyring = if is_keyed {
            Keyring::new(vec![Key::new(1, b"the simulated pair").unwrap()], Trust::Enforce).unwrap()
        } else {
            Keyring::none()
        };
        let hosts = [Role::Master, Role::Backup].into_iter().enumerate().map(|(n, role)| Host {
            settings: scenario.settings(role),
            director: None,
            life: 0,
            is_original: scenario.original == Some(n),
            is_whole: scenario.is_whole && scenario.original != Some(n),
            machine: Machine::new(),
            is_frozen: false,
            machine_is_frozen: false,
            frozen_at: Duration::ZERO,
            behind: Duration::ZERO,
            inbox: VecDeque::new(),
            overdue: Vec::new(),
            vips: false,
            defended: None,
            next_wake: Duration::MAX,
            links_down: vec![false; paths],
            witness_cuts: 0,
            is_released: false,
            fails: [false; 2],
            mended: Duration::ZERO,
            broken: 0,
            services_fail: false,
        });
        Self {
            now: Duration::ZERO,
            origin: Instant::now(),
            due: BinaryHeap::new(),
            counter: 0,
            dice: Dice(scenario.seed),
            hosts: hosts.collect(),
            wires: vec![vec![Wire::default(); paths]; HOSTS],
            recorded: vec![VecDeque::new(); HOSTS],
            keyring,
            faults: scenario.faults.clone(),
            judge: Judge::new(scenario),
            beats: 0,
            story: None,
        }
    }

    /// Runs a scenario to its end and a while beyond.
    fn run(scenario: &Scenario) -> Result<Tally, String> {
        Self::new(scenario).play(scenario)
    }

    /// The same, for what happens in it.
    fn retell(scenario: &Scenario) -> String {
        let mut world = Self::new(scenario);
        world.story = Some(String::new());
        let _ = world.play(scenario);
        world.story.unwrap_or_default()
    }

    fn play(&mut self, scenario: &Scenario) -> Result<Tally, String> {
        self.start(scenario.first, Start::Fresh);
        let apart = scenario.start_apart();
        self.later(apart, Happening::Starts(1 - scenario.first));
        let mut at = apart;
        for n in 0..self.faults.len() {
            at += self.faults[n].gap;
            self.later(at, Happening::Begins(n));
            self.later(at + self.faults[n].lasts, Happening::Ends(n));
        }
        let last = self.faults.iter().map(|fault| fault.lasts).max().unwrap_or_default();
        let end = at + last + scenario.bound() * 3;
        while let Some(Reverse(Due(at, _, happening))) = self.due.pop() {
            if at > end {
                break;
            }
            self.judge.passes(self.now, at);
            self.now = at;
            self.happen(happening);
            self.judge.observe(self.now, &self.hosts, &self.wires);
            if let Some(verdict) = self.judge.verdict.take() {
                return Err(format!("at {:?}: {verdict}", self.now));
            }
        }
        Ok(Tally {
            time: end,
            faults: self.faults.len() as u64,
            beats: self.beats,
            takeovers: self.judge.takeovers,
            holders: [self.hosts[0].vips, self.hosts[1].vips],
        })
    }

    fn later(&mut self, at: Duration, happening: Happening) {
        self.counter += 1;
        self.due.push(Reverse(Due(at, self.counter, happening)));
    }

    fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        if let Some(mut story) = self.story.take() {
            let _ = writeln!(story, "{:>14.6} {}", self.now.as_secs_f64(), what(self));
            self.story = Some(story);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let host = match &happening {
            Happening::Begins(n) => return self.begin(*n),
            Happening::Starts(host) => return self.start(*host, Start::Fresh),
            Happening::Ends(n) => return self.end(*n),
            Happening::GivenUp { host, life } => return self.give_up(*host, *life),
            // Neither waits for a process, only for its machine.
            Happening::Expires { host, at } if !self.hosts[*host].machine_is_frozen => return self.expire(*host, *at),
            Happening::Lvsd { host, pid, does } if !self.hosts[*host].machine_is_frozen => {
                return self.lvsd_does(*host, *pid, *does);
            }
            Happening::Arrives { to, .. } | Happening::Sees { to } => *to,
            Happening::Expires { host, .. } | Happening::Lvsd { host, .. } => *host,
            Happening::Wakes { host, life }
            | Happening::Raised { host, life }
            | Happening::Lowered { host, life }
            | Happening::Answered { host, life, .. }
            | Happening::Announces { host, life, .. }
            | Happening::ServicesFail { host, life }
            | Happening::ServicesRest { host, life }
            | Happening::Told { host, life, .. }
            | Happening::Done { host, life, .. }
            | Happening::Probes { host, life } => {
                if *life != self.hosts[*host].life {
                    return;
                }
                *host
            }
        };
        let is_busy = self.hosts[host].machine.is_busy && !matches!(happening, Happening::Done { .. });
        if self.hosts[host].is_frozen || is_busy {
            self.postpone(host, happening);
            return;
        }
        match happening {
            Happening::Arrives { to, path, packet } => self.arrive(to, path, packet),
            Happening::Wakes { host, .. } => {
                if self.now >= self.hosts[host].next_wake {
                    self.feed(host, Event::Tick);
                }
            }
            Happening::Raised { host, life } => {
                self.hosts[host].vips = true;
                self.announce(host, life, ANNOUNCEMENTS);
                self.later(self.now + self.unit(host), Happening::Probes { host, life });
                self.serve(host);
            }
            Happening::Announces { host, life, more } => self.announce(host, life, more),
            Happening::Sees { to } => self.see(to),
            Happening::Probes { host, life } => self.probe(host, life),
            Happening::Lowered { host, .. } => {
                self.hosts[host].vips = false;
                let (life, work) = (self.hosts[host].life, self.hosts[host].settings.keepalive / 20);
                self.later(self.now + work, Happening::ServicesRest { host, life });
                self.feed(host, Event::Lowered);
            }
            Happening::ServicesFail { host, .. } => self.fail_services(host),
            Happening::ServicesRest { host, .. } => self.rest_services(host),
            Happening::Answered { host, answer, .. } => self.feed(host, Event::Witness(answer)),
            Happening::Told { host, event, .. } => self.told(host, *event),
            Happening::Done { host, began, work, deed, .. } => self.done(host, began, work, deed),
            Happening::Starts(_)
            | Happening::Begins(_)
            | Happening::Ends(_)
            | Happening::GivenUp { .. }
            | Happening::Expires { .. }
            | Happening::Lvsd { .. } => {}
        }
    }

    fn postpone(&mut self, host: usize, happening: Happening) {
        let host = &mut self.hosts[host];
        match happening {
            // A frozen machine's network card has no patience.
            Happening::Arrives { path, packet, .. } if !host.machine_is_frozen => {
                if host.inbox.len() < SOCKET_BUFFER {
                    host.inbox.push_back((path, packet));
                }
            }
            Happening::Arrives { .. } => {}
            other => host.overdue.push(other),
        }
    }

    /// Everything that came while nothing was read.
    fn catch_up(&mut self, host: usize) {
        for (path, packet) in std::mem::take(&mut self.hosts[host].inbox) {
            self.happen(Happening::Arrives { to: host, path, packet });
        }
        for happening in std::mem::take(&mut self.hosts[host].overdue) {
            self.happen(happening);
        }
    }

    fn arrive(&mut self, to: usize, path: usize, packet: Packet) {
        if self.hosts[to].links_down[path] || self.hosts[to].director.is_none() {
            return;
        }
        let datagram = match &packet.bytes {
            Some(bytes) => match decode(bytes, &self.keyring) {
                Ok(datagram) => datagram,
                Err(_) => return,
            },
            None => packet.datagram,
        };
        self.judge.delivered(to, &packet, self.now);
        if packet.kind != Kind::Hostile {
            self.record(1 - to, Packet { kind: Kind::Hostile, ..packet });
        }
        self.feed(to, Event::Datagram { path, datagram });
    }

    fn record(&mut self, from: usize, packet: Packet) {
        if self.recorded[from].len() == RECORDED {
            let chosen = self.dice.below(RECORDED as u64) as usize; // keeps some for long
            self.recorded[from].remove(chosen);
        }
        self.recorded[from].push_back(packet);
    }

    fn clock(&self, host: usize) -> Instant {
        self.origin + (self.now - self.hosts[host].behind)
    }

    /// One event for a host's director, and what it does about it.
    fn feed(&mut self, host: usize, event: Event) {
        let clock = self.clock(host);
        let mut out = Vec::new();
        match self.hosts[host].director.as_mut() {
            None => return,
            Some(Director::Bare(election)) => election.handle(event, clock, &mut out),
            Some(Director::Whole(_)) => return self.translate(host, event),
            Some(Director::Original(original)) => {
                let said = original.handle(&event, clock);
                return self.perform_original(host, said);
            }
        }
        self.perform(host, out);
    }

    fn perform(&mut self, host: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SendHeartbeat(beat) => self.send(host, Datagram::Ours(beat)),
                Action::BecomeActive { why } => {
                    self.tell(|_| format!("{host} becomes active: {why:?}"));
                    self.judge.became_active(host, why, self.now, &self.hosts);
                    let (life, work) = (self.hosts[host].life, self.hosts[host].settings.keepalive / 10);
                    self.later(self.now + work, Happening::Raised { host, life });
                }
                Action::Yield { why } => {
                    self.tell(|_| format!("{host} yields: {why:?}"));
                    let (life, work) = (self.hosts[host].life, self.hosts[host].settings.keepalive / 20);
                    self.judge.yielded(host, why, self.now, &self.hosts);
                    self.cancel_raise(host);
                    self.later(self.now + work, Happening::Lowered { host, life });
                }
                Action::AskWitness => {
                    let answer = self.answer(host);
                    let life = self.hosts[host].life;
                    let wait = self.hosts[host].settings.keepalive / 8;
                    self.later(self.now + wait, Happening::Answered { host, life, answer });
                }
                Action::Reannounce => {
                    self.judge.reannounced[host] += 1;
                    self.announce(host, self.hosts[host].life, ANNOUNCEMENTS);
                }
                Action::Say(line) => self.tell(|_| format!("{host} says: {line}")),
                Action::Finished => {
                    self.tell(|_| format!("{host} is over"));
                    self.hosts[host].director = None;
                    self.hosts[host].life += 1;
                }
            }
        }
        self.schedule(host);
    }

    fn cancel_raise(&mut self, host: usize) {
        let is_it =
            |happening: &Happening| matches!(happening, Happening::Raised { host: other, .. } if *other == host);
        let kept = std::mem::take(&mut self.due).into_iter().filter(|Reverse(due)| !is_it(&due.2)).collect();
        self.due = kept;
        self.hosts[host].overdue.retain(|happening| !is_it(happening));
    }

    fn perform_original(&mut self, host: usize, said: Vec<original::Does>) {
        for does in said {
            match does {
                original::Does::Send(word) => self.send(host, Datagram::Original(word)),
                original::Does::Raise => {
                    self.tell(|_| format!("{host} (original) activates"));
                    self.judge.changed(self.now);
                    self.hosts[host].vips = true;
                    self.announce(host, self.hosts[host].life, ANNOUNCEMENTS);
                }
                original::Does::Lower => {
                    self.tell(|_| format!("{host} (original) deactivates"));
                    self.judge.changed(self.now);
                    self.hosts[host].vips = false;
                }
            }
        }
        self.schedule(host);
    }

    fn schedule(&mut self, host: usize) {
        let deadline = match &self.hosts[host].director {
            Some(Director::Bare(election)) => election.deadline(),
            Some(Director::Whole(node)) => node.deadline(),
            Some(Director::Original(original)) => Some(original.deadline()),
            None => None,
        };
        let Some(deadline) = deadline else { return };
        let at = (deadline.saturating_duration_since(self.origin) + self.hosts[host].behind).max(self.now);
        if at != self.hosts[host].next_wake || at == self.now {
            self.hosts[host].next_wake = at;
            let life = self.hosts[host].life;
            self.later(at, Happening::Wakes { host, life });
        }
    }

    fn send(&mut self, from: usize, datagram: Datagram) {
        self.beats += 1;
        let to = 1 - from;
        self.judge.sent(from, &datagram, self.now, &self.hosts);
        for path in 0..self.wires[from].len() {
            let datagram = match datagram {
                Datagram::Ours(beat) => Datagram::Ours(beat.on(u8::try_from(path).unwrap())),
                original @ Datagram::Original(_) => original,
            };
            let bytes = match datagram {
                Datagram::Ours(beat) if self.keyring.enforces() => Some(beat.encode(&self.keyring)),
                Datagram::Ours(_) | Datagram::Original(_) => None,
            };
            let mut packet = Packet { datagram, bytes, sent: self.now, kind: Kind::First };
            let wire = self.wires[from][path];
            if wire.cuts > 0 || wire.filters > 0 || self.hosts[from].links_down[path] || self.dice.percent(wire.loss) {
                continue;
            }
            let copies = if self.dice.percent(wire.duplication) { 2 } else { 1 };
            let usual = self.judge.delay / 2;
            let mut delay = usual + self.dice.up_to(usual) + self.dice.up_to(wire.slowness);
            for _ in 0..copies {
                self.later(self.now + delay, Happening::Arrives { to, path, packet: packet.clone() });
                packet.kind = Kind::Second;
                delay += self.dice.up_to(usual);
            }
        }
    }

    fn start(&mut self, host: usize, how: Start) {
        let clock = self.clock(host);
        let id = StartId::new(self.dice.roll());
        let h = &mut self.hosts[host];
        if h.director.is_some() {
            // Somebody waits for the end of the last one.
            h.machine.start_is_due = h.is_stopping();
            return;
        }
        h.life += 1;
        h.inbox.clear();
        h.overdue.clear();
        h.next_wake = Duration::MAX;
        h.is_released = h.machine.is_released;
        h.services_fail &= h.vips;
        self.judge.started(host, self.now);
        self.tell(|_| format!("{host} starts: {how:?}"));
        let h = &mut self.hosts[host];
        if h.is_original {
            let (original, said) = Original::start(&h.settings, clock);
            h.director = Some(Director::Original(original));
            self.perform_original(host, said);
        } else if h.is_whole {
            self.start_node(host, id, clock);
        } else {
            let mut out = Vec::new();
            let election = Election::start(h.settings.clone(), id, how, clock, &mut out);
            h.director = Some(Director::Bare(Box::new(election)));
            self.perform(host, out);
        }
        for path in 0..self.hosts[host].links_down.len() {
            if self.hosts[host].links_down[path] {
                self.feed(host, Event::Link { path, is_up: false });
            }
        }
        for (n, watched) in [Watched::Lvsd, Watched::Check].into_iter().enumerate() {
            if self.hosts[host].fails[n] {
                self.feed(host, Event::Failing(watched));
            }
        }
        if self.hosts[host].services_fail {
            self.feed(host, Event::Failing(Watched::Services));
        }
    }
}
