//! The one place where pulse acts: performs each action of [`crate::node`],
//! starts and signals processes, speaks to lvsd and to the guardian, and turns
//! what comes back into events. It decides nothing.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use common::channel::{Ask, Line, MeetingPlace, Said};
use common::config::ServiceKind;
use common::daemon::PidFile;
use common::ipvs::SyncDaemon;
use common::log::Log;
use common::names::Lookup;
use common::netlink::route::Monitor;
use nix::sys::signal::Signal;

use crate::addresses::without;
use crate::args::Args;
use crate::election;
use crate::identity::Role;
use crate::links::Links;
use crate::messages::Message;
use crate::node::{Action, Event, Listening};
use crate::notify::{Notice, Standing};
use crate::ready::{Ready, Source};
use crate::settings::{Pair, Settings};
use crate::start;
use crate::supervisor::{State, Supervisor};

pub use common::process::signal;

pub mod checks;
mod children;
pub mod commands;
pub mod echoes;
mod file;
pub mod heartbeats;
pub mod interfaces;
pub mod listeners;
mod lvsd;
mod network;
mod parents;
mod partner;
mod realtime;
pub mod segment;
mod sync;
use checks::Checks;
use commands::Commands;
use echoes::Echoes;
use heartbeats::Heartbeats;
use interfaces::{Interfaces, Looked};
use listeners::Listeners;
use lvsd::Lvsd;
use parents::Parent;
use partner::Partner;
use realtime::Realtime;
use segment::Segment;
use sync::Sync;

/// How many messages are read from one line, and how many changes from the
/// kernel, in one turn of the loop; the rest in the next, which follows at once.
const READ_AT_ONCE: usize = 256;

/// What the hands work with.
pub struct Hands {
    log: Rc<Log>,
    args: Args,
    settings: Settings,
    /// Which director this is, for as long as it runs.
    role: Role,
    /// This director is the active one.
    is_active: bool,
    heartbeats: Option<Heartbeats>,
    sync: Sync,
    /// Who else speaks in the networks of our addresses.
    segment: Segment,
    partner: Partner,
    listening: Listening,
    echoes: Echoes,
    /// The addresses that are not held although the file wants them.
    withheld: BTreeSet<IpAddr>,
    /// The trouble with listening that was said.
    deaf: Option<String>,
    /// Whether we go before all others on the processor.
    realtime: Realtime,
    /// The links of the heartbeats, with monitor_links.
    links: Links,
    /// They are to be looked at, and told one by one.
    links_due: bool,
    checks: Checks,
    /// As the listeners know it.
    check_failed: bool,
    listeners: Listeners,
    /// Our own program, as it was called when we started: the file may have been
    /// replaced since.
    program: PathBuf,
    lvsd_program: PathBuf,
    interfaces: Interfaces,
    monitor: Monitor,
    lvsd: Option<Lvsd>,
    parents: Vec<Parent>,
    place: Option<MeetingPlace>,
    commands: Commands,
    /// Guardians we started and have not reaped.
    guardians: Vec<u32>,
    /// The file is being read again.
    reading: Option<file::Reading>,
    /// The hosts it names are being looked up.
    lookup: Option<Lookup>,
    /// Processes that look hosts up and are not reaped.
    lookups: Vec<u32>,
    ready: bool,
    leaving: bool,
    registry: mio::Registry,
    supervisor: Supervisor,
    ending: Option<bool>,
}

/// What [`Hands::new`] takes over.
pub struct Tools {
    /// Where lines go.
    pub log: Rc<Log>,
    /// What was typed.
    pub args: Args,
    /// What the file says.
    pub settings: Settings,
    /// Which director this is.
    pub role: Role,
    /// The last pulse was killed while active.
    pub carrying_on: bool,
    /// In a pair, its sockets.
    pub heartbeats: Option<Heartbeats>,
    /// Our own program.
    pub program: PathBuf,
    /// The lvsd to start.
    pub lvsd_program: PathBuf,
    /// Links and addresses.
    pub interfaces: Interfaces,
    /// The kernel's news about them.
    pub monitor: Monitor,
    /// Where a new guardian finds us.
    pub place: Option<MeetingPlace>,
    /// The line of the guardian that started us, and its process.
    pub guardian: Option<(Line, u32)>,
    /// The loop's.
    pub registry: mio::Registry,
    /// Who started us, if it wants to be told.
    pub supervisor: Supervisor,
}

impl Hands {
    /// Takes over its tools and registers them with the loop.
    ///
    /// # Errors
    /// The loop cannot watch them.
    pub fn new(tools: Tools) -> io::Result<Self> {
        let Tools {
            log,
            args,
            settings,
            role,
            carrying_on,
            heartbeats,
            program,
            lvsd_program,
            interfaces,
            monitor,
            place,
            guardian,
            registry,
            supervisor,
        } = tools;
        watch(&registry, &monitor, Source::Kernel)?;
        if let Some(heartbeats) = &heartbeats {
            heartbeats.watch(&registry)?;
        }
        if let Some(place) = &place {
            watch(&registry, place, Source::Parents)?;
        }
        let parents: Vec<Parent> = guardian.into_iter().map(|(line, pid)| Parent { line, pid }).collect();
        for parent in &parents {
            watch(&registry, &parent.line, Source::Parents)?;
        }
        let (lvsd, commands, guardians) = (None, Commands::default(), Vec::new());
        let checks = Checks::new(settings.check.clone(), Instant::now());
        let mut listeners = Listeners::default();
        listeners.set_rules(settings.listeners.clone());
        let mut hands = Self {
            log,
            args,
            settings,
            role,
            is_active: carrying_on,
            checks,
            check_failed: false,
            listeners,
            heartbeats,
            sync: Sync::default(),
            segment: Segment::default(),
            partner: Partner::default(),
            listening: Listening::default(),
            echoes: Echoes::default(),
            withheld: BTreeSet::new(),
            deaf: None,
            realtime: Realtime::default(),
            links: Links::default(),
            links_due: true,
            program,
            lvsd_program,
            interfaces,
            monitor,
            lvsd,
            parents,
            place,
            commands,
            guardians,
            reading: None,
            lookup: None,
            lookups: Vec::new(),
            ready: false,
            leaving: false,
            registry,
            supervisor,
            ending: None,
        };
        hands.realtime.see_to(hands.settings.realtime, &hands.log);
        hands.follow_networks();
        Ok(hands)
    }

    /// When [`Hands::receive`] is needed although nothing came.
    pub fn deadline(&self) -> Option<Instant> {
        [self.checks.deadline(), self.listeners.deadline(), self.commands.deadline()].into_iter().flatten().min()
    }

    /// Whether the end has come, and whether it is an orderly stop.
    pub fn ending(&self) -> Option<bool> {
        self.ending
    }

    /// Performs one action; the answer, if there is one.
    pub fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Say(message) => self.say(&message),
            Action::SpawnLvsd => return Some(Event::Lvsd(self.spawn_lvsd())),
            Action::TerminateLvsd(pid) => signal(pid, Signal::SIGTERM),
            Action::KillLvsd(pid) => signal(pid, Signal::SIGKILL),
            Action::HangupLvsd(pid) => signal(pid, Signal::SIGHUP),
            Action::ReleaseLvsd(_) => {
                if let Some(line) = self.lvsd.as_ref().and_then(|lvsd| lvsd.line.as_ref()) {
                    // An ended line is a process on its way out already.
                    let _ = line.send(&Ask::Release.encode());
                }
            }
            Action::SpawnGuardian => return Some(Event::Guardian(self.spawn_guardian())),
            Action::TellReady => {
                self.ready = true;
                self.tell(&Said::Ready);
                self.supervisor.tell(State::Ready);
                if self.args.worker {
                    let_go();
                }
            }
            Action::TellAlive => {
                self.tell(&Said::Alive);
                self.supervisor.tell(State::Alive);
            }
            Action::TellLeaving => self.leave(),
            Action::Run(command) => self.run(command),
            Action::Look(reach) => {
                let wanted = without(&self.settings.wanted, &self.withheld);
                let looked = self.interfaces.look(&wanted, reach, &self.log);
                for notice in self.interfaces.notices() {
                    self.notify(&notice);
                }
                let looked = looked?;
                let Looked { held, raised, more } = looked;
                return (reach == crate::addresses::Reach::All).then_some(Event::Looked { held, raised, more });
            }
            Action::Withhold(vips) => self.withheld = vips,
            Action::Linger => {
                return self.interfaces.linger(&self.settings.served, &self.log).then_some(Event::Lingers);
            }
            Action::Cease => self.interfaces.cease(&self.log),
            Action::Lower => return Some(Event::Lowered(self.interfaces.lower(&self.log))),
            Action::Announce(vips) => self.interfaces.announce(&vips, &self.settings.wanted, &self.log),
            Action::SendHeartbeat(beat) => {
                if let Some(heartbeats) = &mut self.heartbeats {
                    heartbeats.send(&beat, &self.log);
                }
            }
            Action::Synchronise(role) => {
                let wanted = self.settings.sync.as_ref().zip(role);
                let wanted = wanted.map(|(sync, role)| SyncDaemon { role, ..sync.clone() });
                self.sync.see_to(wanted.as_ref(), &self.log);
            }
            Action::Answer { asker, answer } => {
                for parent in self.parents.iter().filter(|parent| parent.pid == asker) {
                    // One that is gone is seen when its line is read.
                    let _ = parent.line.send(&answer.encode());
                }
            }
            Action::Remember { is_released } => start::remember_released(is_released),
            Action::AskWitness => {
                let plan = self.settings.pair.as_ref().map(|pair| pair.witness.clone());
                return Some(Event::Inquire(Box::new(plan.unwrap_or_default())));
            }
            Action::Ask(questions) => self.ask(questions),
            Action::Listen(listening) => {
                self.listening = listening;
                self.listen();
            }
            Action::Probe(vips) => self.interfaces.probe(|vip| vips.contains(vip), &self.settings.wanted, &self.log),
            Action::Accuse(report) => self.accuse(report),
            Action::Lend(valid) => self.interfaces.lend(valid, &self.log),
            Action::Reread => return self.reread(),
            Action::Exit { stopped: false } => self.end(false),
            Action::Exit { stopped: true } => {
                self.commands.part(Instant::now());
                self.end_if_over();
            }
        }
        None
    }

    /// Everything that came since the last turn from those that have something to
    /// say; what is due is due at the moment given. Who may have more.
    pub fn receive(&mut self, ready: Ready, now: Instant, events: &mut VecDeque<Event>) -> Ready {
        let mut more = Ready::default();
        if ready.has(Source::Partner)
            && let Some(heartbeats) = &mut self.heartbeats
            && heartbeats.receive(now, events, &self.registry, &self.log)
        {
            more.add(Source::Partner);
        }
        // The links may be due for another reason than news.
        if (ready.has(Source::Kernel) || self.links_due) && self.receive_changes(events) {
            more.add(Source::Kernel);
        }
        // A witness, like the partner, is not judged silent while its answer waits.
        if (ready.has(Source::Claims) || self.listening.witnesses) && self.receive_claims(events) {
            more.add(Source::Claims);
        }
        if self.interfaces.lend_on(&self.log) {
            more.add(Source::Loans);
        }
        if ready.has(Source::Lvsd) && self.receive_lvsd(events) {
            more.add(Source::Lvsd);
        }
        if ready.has(Source::Parents) && self.receive_parents(events) {
            more.add(Source::Parents);
        }
        if ready.has(Source::Hosts) {
            self.receive_hosts(events);
        }
        self.checks.turn(now, events, &self.log);
        if self.checks.fails() != self.check_failed {
            self.check_failed = self.checks.fails();
            self.notify(&Notice::of_check(self.check_failed));
        }
        self.listeners.turn(now, &self.log);
        self.commands.turn(now, &self.log);
        self.end_if_over();
        more
    }

    /// An orderly stop is over when the user's commands are.
    fn end_if_over(&mut self) {
        if self.commands.has_parted(Instant::now()) {
            self.end(true);
        }
    }

    fn end(&mut self, stopped: bool) {
        self.end_lookup();
        self.checks.end(Instant::now());
        if let Some(place) = self.place.take().filter(|_| stopped) {
            place.close();
        }
        if stopped {
            start::forget();
        }
        if stopped && self.parents.is_empty() {
            // A guardian that was killed over the stop left its pid file; one
            // that somebody holds stays.
            let _ = start::take_pid_file().map(PidFile::remove);
        }
        self.ending = Some(stopped);
    }

    fn notify(&mut self, notice: &Notice) {
        let standing = Standing { role: self.role, is_active: self.is_active };
        self.listeners.tell(notice, standing, Instant::now(), &self.log);
    }

    fn say(&mut self, message: &Message) {
        // The node does not know what it moves.
        let is_fos = self.settings.service == ServiceKind::Fos;
        let is_finished = is_fos && *message == Message::ArpsFinished;
        self.log.say(if is_finished { &Message::FosArpsFinished } else { message });
        for notice in Notice::of_line(message) {
            self.notify(&notice);
        }
    }

    fn pair(&self) -> Option<(&Pair, election::Role)> {
        self.settings.pair.as_ref().zip(start::part(self.role))
    }
}

/// Wakes the loop when there is something to read, until nothing is left.
pub fn watch(registry: &mio::Registry, what: &impl std::os::fd::AsFd, source: Source) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let fd = what.as_fd().as_raw_fd();
    registry.register(&mut mio::unix::SourceFd(&fd), source.token(), mio::Interest::READABLE)
}

/// Lets go of the terminal we were started from, and of the folder.
fn let_go() {
    let _ = std::env::set_current_dir("/");
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        // Keeping the terminal is a lesser evil than not running.
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

/// Arguments as text, as they are said on a line.
pub fn text(arguments: &[OsString]) -> Vec<String> {
    arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}
