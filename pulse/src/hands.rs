//! The one place where pulse acts: performs each action of [`crate::node`],
//! starts and signals processes, speaks to lvsd and to the guardian, and turns
//! what comes back into events. It decides nothing.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

use common::channel::{self, Ask, Line, MeetingPlace, Received, Said};
use common::child::{self, Exit};
use common::config::ServiceKind;
use common::daemon::{self, PidFile};
use common::ipvs::SyncDaemon;
use common::log::Log;
use common::names::{self, Known, Lookup};
use common::netlink::route::Monitor;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::args::Args;
use crate::election::{self, Watched};
use crate::identity::{Role, role};
use crate::links::Links;
use crate::messages::Message;
use crate::node::{Action, Command as UserCommand, Event, Listening};
use crate::notify::{Notice, Standing};
use crate::settings::{Pair, Settings};
use crate::start;
use crate::supervisor::{State, Supervisor};
use crate::wish::{Asked, Guardian};

pub mod checks;
pub mod echoes;
pub mod heartbeats;
pub mod interfaces;
pub mod listeners;
mod network;
pub mod segment;
mod sync;
use checks::Checks;
use echoes::Echoes;
use heartbeats::Heartbeats;
use interfaces::{Interfaces, Looked};
use listeners::Listeners;
use segment::Segment;
use sync::Sync;

/// How many messages are read from one line, and how many changes from the
/// kernel, in one turn of the loop; the rest in the next, which follows at once.
const READ_AT_ONCE: usize = 256;

/// How many guardians may be listening. There is one, and for a moment its
/// successor, and a second pulse that asks whether anybody is there.
const PARENTS_MAX: usize = 4;

/// lvsd, as a process and a line to it.
#[derive(Debug)]
struct Lvsd {
    pid: u32,
    /// Gone once it ended: the process follows.
    line: Option<Line>,
    /// Whether it is our child, whose end waitpid tells.
    ours: bool,
}

/// A guardian, or somebody who looks in.
#[derive(Debug)]
struct Parent {
    line: Line,
    pid: u32,
}

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
    listening: Listening,
    echoes: Echoes,
    /// The trouble with listening that was said.
    deaf: Option<String>,
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
    /// The user's commands that run, and their keywords.
    commands: Vec<(u32, &'static str)>,
    /// Guardians we started and have not reaped.
    guardians: Vec<u32>,
    /// The hosts of the file that is being read again are looked up.
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
        watch(&registry, &monitor)?;
        if let Some(heartbeats) = &heartbeats {
            heartbeats.watch(&registry)?;
        }
        if let Some(place) = &place {
            watch(&registry, place)?;
        }
        let parents: Vec<Parent> = guardian.into_iter().map(|(line, pid)| Parent { line, pid }).collect();
        for parent in &parents {
            watch(&registry, &parent.line)?;
        }
        let (lvsd, commands, guardians) = (None, Vec::new(), Vec::new());
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
            listening: Listening::default(),
            echoes: Echoes::default(),
            deaf: None,
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
            lookup: None,
            lookups: Vec::new(),
            ready: false,
            leaving: false,
            registry,
            supervisor,
            ending: None,
        };
        hands.follow_networks();
        Ok(hands)
    }

    /// When [`Hands::receive`] is needed although nothing came.
    pub fn deadline(&self) -> Option<Instant> {
        [self.checks.deadline(), self.listeners.deadline()].into_iter().flatten().min()
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
                let looked = self.interfaces.look(&self.settings.wanted, reach, &self.log)?;
                let Looked { held, raised, more } = looked;
                return (reach == crate::addresses::Reach::All).then_some(Event::Looked { held, raised, more });
            }
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
            Action::Reread => return self.reread().then(|| self.reread_event()),
            Action::Exit { stopped } => {
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
        }
        None
    }

    /// Everything that came since the last turn: from lvsd, from the guardian,
    /// from the kernel. `true` if there may be more.
    pub fn receive(&mut self, events: &mut VecDeque<Event>) -> bool {
        let partner = match &mut self.heartbeats {
            Some(heartbeats) => heartbeats.receive(Instant::now(), events, &self.registry, &self.log),
            None => false,
        };
        let kernel = self.receive_changes(events);
        let claims = self.receive_claims(events);
        let lending = self.interfaces.lend_on(&self.log);
        let lvsd = self.receive_lvsd(events);
        let parents = self.receive_parents(events);
        self.receive_hosts(events);
        self.checks.turn(Instant::now(), events, &self.log);
        if self.checks.fails() != self.check_failed {
            self.check_failed = self.checks.fails();
            self.notify(&Notice::of_check(self.check_failed));
        }
        self.listeners.turn(Instant::now(), &self.log);
        partner || kernel || claims || lending || lvsd || parents
    }

    /// Every child that ended since the last turn. `guardian` is the process the
    /// node has for its guardian.
    pub fn reap(&mut self, guardian: Option<u32>, events: &mut VecDeque<Event>) {
        loop {
            let status = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(_) => return, // no children
            };
            let Some((pid, exit)) = Exit::from_wait(status) else { return };
            let pid = pid.as_raw().unsigned_abs();
            if self.lvsd.as_ref().is_some_and(|lvsd| lvsd.ours && lvsd.pid == pid) {
                self.lvsd = None;
                events.push_back(Event::Lvsd(child::Event::Gone(exit)));
            } else if let Some(at) = self.commands.iter().position(|(running, _)| *running == pid) {
                let (_, keyword) = self.commands.swap_remove(at);
                if exit != Exit::Status(0) {
                    self.log.say(&Message::CommandEnded { keyword, exit });
                }
            } else if let Some(at) = self.guardians.iter().position(|started| *started == pid) {
                self.guardians.swap_remove(at);
                if guardian == Some(pid) {
                    self.parents.retain(|parent| parent.pid != pid);
                    events.push_back(Event::Guardian(child::Event::Gone(exit)));
                }
            } else if self.checks.reaped(pid, exit, Instant::now(), events, &self.log) {
                // what it means was told
            } else if self.listeners.reaped(pid, exit, Instant::now(), &self.log) {
                // and so was this
            } else if let Some(at) = self.lookups.iter().position(|looking| *looking == pid) {
                self.lookups.swap_remove(at); // what it said is in its pipe
            } else {
                self.log.say(&Message::UnknownChild(pid));
            }
        }
    }

    fn receive_changes(&mut self, events: &mut VecDeque<Event>) -> bool {
        let mut is_changed = false;
        let mut back = Vec::new();
        let mut more = true;
        for _ in 0..READ_AT_ONCE {
            match self.monitor.next() {
                Ok(Some(change)) => {
                    is_changed |= !self.interfaces.is_own(&change);
                    back.extend(self.interfaces.carrier_back(&change, &self.settings.wanted));
                }
                Ok(None) => {
                    more = false;
                    break;
                }
                Err(e) => {
                    // The look every few seconds goes on without it.
                    self.log.say(&Message::NotRead(e.to_string()));
                    self.reopen_monitor();
                    (is_changed, more) = (true, false);
                    break;
                }
            }
        }
        if is_changed || self.links_due {
            self.look_at_links(events);
        }
        if is_changed {
            events.push_back(Event::AddressesChanged);
        }
        if !back.is_empty() {
            events.push_back(Event::CarrierBack(back));
        }
        more
    }

    fn reopen_monitor(&mut self) {
        if let Ok(monitor) = Monitor::open()
            && watch(&self.registry, &monitor).is_ok()
        {
            self.monitor = monitor;
        }
    }

    fn receive_lvsd(&mut self, events: &mut VecDeque<Event>) -> bool {
        for _ in 0..READ_AT_ONCE {
            let Some(lvsd) = self.lvsd.as_mut() else { return false };
            let (pid, ours) = (lvsd.pid, lvsd.ours);
            let Some(line) = lvsd.line.as_ref() else { return false };
            match line.receive_said() {
                Received::Message(Said::Hello { arguments, .. }) => {
                    events.push_back(Event::Lvsd(child::Event::Heard));
                    // What the one before said is not this one's word.
                    events.push_back(services(election::Event::Mended));
                    self.tell_lvsd();
                    if !ours && arguments != text(&self.args.for_lvsd()) {
                        self.log.say(&Message::LvsdOther(pid));
                        events.push_back(Event::Lvsd(child::Event::Replace));
                    } else if !ours && daemon::is_replaced(pid) {
                        self.log.say(&Message::LvsdOld(pid));
                        events.push_back(Event::Lvsd(child::Event::Replace));
                    }
                }
                Received::Message(Said::Unable(why)) => {
                    self.say(&Message::Unable(why));
                    events.push_back(services(election::Event::Failing));
                }
                Received::Message(Said::Able) => {
                    self.say(&Message::Able);
                    events.push_back(services(election::Event::Mended));
                }
                Received::Message(Said::Ready) => events.push_back(Event::Lvsd(child::Event::Ready)),
                Received::Message(
                    Said::Alive | Said::Verdict { .. } | Said::Leaving(_) | Said::Answer { .. } | Said::Why { .. },
                )
                | Received::Garbage(_) => {
                    events.push_back(Event::Lvsd(child::Event::Heard));
                }
                Received::Nothing => return false,
                Received::Ended if ours => {
                    lvsd.line = None; // how it ended, waitpid will tell
                    return false;
                }
                Received::Ended => {
                    self.lvsd = None;
                    events.push_back(Event::Lvsd(child::Event::Gone(Exit::Unknown)));
                    return false;
                }
            }
        }
        true
    }

    fn receive_parents(&mut self, events: &mut VecDeque<Event>) -> bool {
        while let Some(line) = self.place.as_ref().and_then(MeetingPlace::accept) {
            self.welcome(line, events);
        }
        let mut more = false;
        let mut ended = Vec::new();
        for parent in &self.parents {
            more |= !(0..READ_AT_ONCE).any(|_| match parent.line.receive_with(Asked::decode) {
                Received::Message(asked) => {
                    events.push_back(match asked {
                        Asked::By(Guardian::Release) => Event::Release,
                        Asked::By(Guardian::Check) => Event::AddressesChanged,
                        Asked::Wish(wish) => Event::Wish { asker: parent.pid, wish },
                    });
                    false
                }
                Received::Garbage(_) => false,
                Received::Nothing => true,
                Received::Ended => {
                    ended.push(parent.pid);
                    true
                }
            });
        }
        self.parents.retain(|parent| !ended.contains(&parent.pid));
        if !ended.is_empty() && self.parents.is_empty() {
            events.push_back(Event::Guardian(child::Event::Gone(Exit::Unknown)));
        }
        more
    }

    /// A new guardian came in: it hears who we are, and everything that holds.
    fn welcome(&mut self, line: Line, events: &mut VecDeque<Event>) {
        let pid = line.peer().map_or(0, |peer| peer.pid().unsigned_abs());
        if self.parents.len() >= PARENTS_MAX || watch(&self.registry, &line).is_err() {
            return;
        }
        let hello = Said::Hello { pid: std::process::id(), arguments: text(&daemon::arguments()) };
        // One that is gone again is seen when its line is read.
        let _ = line.send(&hello.encode());
        if self.leaving {
            let _ = line.send(&leaving().encode());
        } else if self.ready {
            let _ = line.send(&Said::Ready.encode());
        }
        self.parents.push(Parent { line, pid });
        events.push_back(Event::Guardian(child::Event::Adopted(pid)));
        events.push_back(Event::Guardian(child::Event::Ready));
    }

    /// The end was asked for. A guardian we started that has not found us yet would
    /// take our end for a death, and start another pulse.
    fn leave(&mut self) {
        self.leaving = true;
        self.tell(&leaving());
        self.supervisor.tell(State::Stopping);
        for pid in &self.guardians {
            if !self.parents.iter().any(|parent| parent.pid == *pid) {
                signal(*pid, Signal::SIGKILL);
            }
        }
    }

    fn tell(&self, said: &Said) {
        for parent in &self.parents {
            // One that is gone is seen when its line is read.
            let _ = parent.line.send(&said.encode());
        }
    }

    fn spawn_lvsd(&mut self) -> child::Event {
        let place = daemon::run_root().join("lvsd");
        if let Ok(line) = channel::join(&place)
            && let Ok(peer) = line.peer()
            && watch(&self.registry, &line).is_ok()
        {
            let pid = peer.pid().unsigned_abs();
            self.log.say(&Message::LvsdFound(pid));
            self.lvsd = Some(Lvsd { pid, line: Some(line), ours: false });
            return child::Event::Adopted(pid);
        }
        match self.start_lvsd() {
            Ok(lvsd) => {
                let pid = lvsd.pid;
                self.lvsd = Some(lvsd);
                child::Event::Spawned(pid)
            }
            Err(e) => {
                self.log.say(&Message::NoLvsd { path: self.lvsd_program.clone(), error: e.to_string() });
                child::Event::SpawnFailed
            }
        }
    }

    fn start_lvsd(&self) -> io::Result<Lvsd> {
        let arguments = self.args.for_lvsd();
        let line = text(&arguments).join(" ");
        self.log.say(&Message::Executing(format!("{} {line}", self.lvsd_program.display())));
        let (line, theirs) = Line::pair()?;
        watch(&self.registry, &line)?;
        let mut command = daemon::command(&self.lvsd_program);
        command.args(arguments).stdin(theirs);
        if self.args.nodaemon {
            // A Ctrl-C is for us: we stop it when its addresses are gone.
            command.process_group(0);
        } else {
            // Ours may still be the terminal of whoever starts us.
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(Lvsd { pid: command.spawn()?.id(), line: Some(line), ours: true })
    }

    fn spawn_guardian(&mut self) -> child::Event {
        if let Some(parent) = self.parents.first() {
            return child::Event::Adopted(parent.pid);
        }
        let mut command = daemon::command(&self.program);
        command.args(self.args.passed_on("--guard"));
        match quiet(&mut command).spawn() {
            Ok(guardian) => {
                self.guardians.push(guardian.id());
                child::Event::Spawned(guardian.id())
            }
            Err(_) => child::Event::SpawnFailed, // the node says when it tries again
        }
    }

    fn run(&mut self, which: UserCommand) {
        let (command, keyword) = match which {
            UserCommand::Active => (&self.settings.active_cmd, "active_cmd"),
            UserCommand::Inactive => (&self.settings.inactive_cmd, "inactive_cmd"),
        };
        if let Some((program, arguments)) = command.as_ref().and_then(|words| words.split_first()) {
            self.log.say(&Message::Executing(format!("{program} {}", arguments.join(" "))));
            let mut command = daemon::command(program);
            command.args(arguments).process_group(0);
            match quiet(&mut command).spawn() {
                Ok(running) => self.commands.push((running.id(), keyword)),
                Err(e) => self.log.say(&Message::CommandFailed { keyword, error: e.to_string() }),
            }
        }
        self.is_active = which == UserCommand::Active;
        self.tell_lvsd();
        self.notify(&Notice::of_state(which));
        self.interfaces.set_active(self.is_active, &self.log);
    }

    /// Whose turn it is; failover services run on the active director.
    fn tell_lvsd(&self) {
        if let Some(line) = self.lvsd.as_ref().and_then(|lvsd| lvsd.line.as_ref()) {
            let ask = if self.is_active { Ask::Serve } else { Ask::Rest };
            // One that ended is started again, and told then.
            let _ = line.send(&ask.encode());
        }
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
        if let Some(notice) = Notice::of_line(message) {
            self.notify(&notice);
        }
    }

    /// Whether the file was read; `false` while the hosts it names are looked up.
    fn reread(&mut self) -> bool {
        self.log.say(&Message::Rereading);
        self.supervisor.tell_reloading();
        self.end_lookup(); // it was begun for a file that may be another by now
        let names = names::names_in(&self.args.configfile);
        if names.is_empty() {
            self.reread_with(&Known::default());
            return true;
        }
        match Lookup::start(&self.program, &names, Instant::now()) {
            Ok(lookup) => {
                self.lookups.push(lookup.pid());
                // Unwatched it is read with the next beat.
                let _ = watch(&self.registry, &lookup);
                self.lookup = Some(lookup);
                false
            }
            Err(e) => {
                self.log.say(&Message::System { what: "look up the hosts in the file", error: e.to_string() });
                self.log.say(&Message::OldStays);
                true
            }
        }
    }

    fn reread_with(&mut self, hosts: &Known) {
        match start::read(&self.args.configfile, hosts) {
            Ok(read) if read.settings.service != self.settings.service => {
                self.log.say(&Message::OtherService(read.settings.path));
                self.log.say(&Message::OldStays);
            }
            Ok(read) if !self.is_our_part(&read.settings) => {
                self.log.say(&Message::OtherPart);
                self.log.say(&Message::OldStays);
            }
            Ok(read) => {
                read.remarks.iter().for_each(|remark| self.log.say(remark));
                start::keep(&read);
                self.settings = read.settings;
                self.listeners.set_rules(self.settings.listeners.clone());
                self.checks.reload(self.settings.check.clone(), Instant::now(), &self.log);
                let ends = self.pair().map(|(pair, role)| pair.ends(role));
                if let Some((ends, heartbeats)) = ends.zip(self.heartbeats.as_mut()) {
                    heartbeats.reload(ends, read.keyring, &self.registry, &self.log);
                }
                self.follow_networks();
            }
            Err(refused) => {
                self.log.say(&refused.message);
                self.log.say(&Message::OldStays);
            }
        }
    }

    /// Whether a file makes the same director of this host as the one it started
    /// with. A single one may change its address, for nobody else goes by it.
    fn is_our_part(&mut self, settings: &Settings) -> bool {
        if settings.pair.is_none() || self.settings.pair.is_none() {
            return settings.pair.is_some() == self.settings.pair.is_some();
        }
        let Ok(host) = self.interfaces.read() else { return true };
        let here: Vec<_> = host.addresses.iter().map(|address| address.address).collect();
        role(settings.primary, settings.backup, &here) == self.role
    }

    fn pair(&self) -> Option<(&Pair, election::Role)> {
        self.settings.pair.as_ref().zip(start::part(self.role))
    }

    /// The file was read, or could not be; the old one may have stayed.
    fn reread_event(&self) -> Event {
        self.supervisor.tell(State::Ready);
        Event::Reread(self.pair().map(|(pair, role)| Box::new(pair.election(role))))
    }

    fn receive_hosts(&mut self, events: &mut VecDeque<Event>) {
        if let Some(hosts) = self.lookup.as_mut().and_then(|lookup| lookup.read(Instant::now())) {
            self.end_lookup();
            self.reread_with(&hosts);
            events.push_back(self.reread_event());
        }
    }

    fn end_lookup(&mut self) {
        if let Some(lookup) = self.lookup.take().filter(|lookup| self.lookups.contains(&lookup.pid())) {
            signal(lookup.pid(), Signal::SIGKILL);
        }
    }
}

/// What lvsd says of the services it keeps.
fn services(event: fn(Watched) -> election::Event) -> Event {
    Event::Pair(Box::new(event(Watched::Services)))
}

fn leaving() -> Said {
    Said::Leaving("asked to stop".to_owned())
}

/// Wakes the loop when there is something to read. Which it was does not matter:
/// everything is read in every turn.
pub fn watch(registry: &mio::Registry, what: &impl std::os::fd::AsFd) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let fd = what.as_fd().as_raw_fd();
    registry.register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE)
}

/// Sends a signal; a process that is gone needs none.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && pid > 1
    {
        let _ = kill(Pid::from_raw(pid), signal);
    }
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

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
