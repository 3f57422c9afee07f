//! The loop of the pulse that does the work: one wait, then everything that came
//! is turned into events for [`crate::node`], and what it decides is done by
//! [`crate::hands`].

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::channel::{Line, MeetingPlace, Said};
use common::daemon::{self, ExitStatus};
use common::log::{LONG_QUEUE, Log};
use mio::{Events, Interest, Poll};
use nix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use crate::args::Args;
use crate::hands::{Hands, Tools, text};
use crate::messages::Message;
use crate::node::{Action, Event, Node, Part, Start};
use crate::ready::{Ready, Source};
use crate::start::{self, Refused};
use crate::supervisor::Supervisor;

/// A loop that woke this much later than it asked to was itself asleep (a paused
/// machine, SIGSTOP), and what it did not hear meanwhile proves nothing.
pub const LATE: Duration = Duration::from_secs(1);

/// How often everything is read whether it is known to have something to say or not:
/// what could not be watched is read at least so often, as is what could not be had.
const READ_ALL_EVERY: Duration = Duration::from_secs(1);

/// How many events one wait returns; each only says that there is something.
const EVENTS: usize = 16;

/// The wait, and what ends it.
pub struct Wait {
    poll: Poll,
    signals: Signals,
    events: Events,
    suspended: Suspended,
    signals_due: bool,
    child_ended: bool,
}

/// How much time the machine has been suspended, which monotonic time leaves out: the
/// other clock goes on.
struct Suspended {
    with: Duration,
    without: Instant,
}

impl Suspended {
    fn since_boot() -> Duration {
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
    }

    fn new() -> Self {
        Self { with: Self::since_boot(), without: Instant::now() }
    }

    /// Since the last call; both clocks are read in one order, so that a wait between
    /// the two is no suspension.
    fn passed(&mut self, with: Duration, without: Instant) -> Duration {
        let last = std::mem::replace(self, Self { with, without });
        with.saturating_sub(last.with).saturating_sub(without.saturating_duration_since(last.without))
    }
}

/// Something that is being done.
struct Work {
    began: Instant,
    /// `None`: it takes no time of ours worth asking for.
    cpu: Option<Duration>,
}

impl Work {
    /// Less than that is nobody's concern.
    const SHORT: Duration = Duration::from_millis(2);

    /// On a busy machine a process gets at least this part of the time.
    const SHARE: u32 = 8;

    fn begin(what: &Action, began: Instant) -> Self {
        let is_beat = matches!(what, Action::SendHeartbeat(_));
        Self { began, cpu: (!is_beat).then(Self::cpu) }
    }

    fn cpu() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
    }

    /// It is done, then: hundreds of addresses take their time, and that is no sleep. But
    /// time in which we did not run is one, as anywhere else.
    fn end(self, until: Instant) -> Option<Event> {
        let lasted = until.saturating_duration_since(self.began);
        if lasted < Self::SHORT {
            return None;
        }
        let ours = self.cpu.map_or(Duration::ZERO, |before| Self::cpu().saturating_sub(before));
        let idle = lasted.saturating_sub(ours * Self::SHARE);
        Some(if idle > LATE { Event::Slept(idle) } else { Event::Worked { lasted, until } })
    }
}

impl Wait {
    /// Listens for signals, first of all, so that from here on none kills.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2])?;
        let poll = Poll::new()?;
        poll.registry().register(&mut signals, Source::Signals.token(), Interest::READABLE)?;
        let suspended = Suspended::new();
        let events = Events::with_capacity(EVENTS);
        Ok(Self { poll, signals, events, suspended, signals_due: true, child_ended: true })
    }

    /// Where everything else that can be waited for is registered.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn registry(&self) -> io::Result<mio::Registry> {
        self.poll.registry().try_clone()
    }

    /// Waits until something came or the deadline is there; if it slept on, for how
    /// long.
    ///
    /// # Errors
    /// The system's; a wait that was interrupted is over.
    pub fn until(&mut self, deadline: Option<Instant>) -> io::Result<Option<Duration>> {
        let began = Instant::now();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(began));
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            Err(_) | Ok(()) => {}
        }
        self.signals_due |= self.ready().has(Source::Signals);
        let (since_boot, now) = (Suspended::since_boot(), Instant::now());
        let late = deadline.map(|deadline| now.saturating_duration_since(deadline.max(began)));
        let suspended = Some(self.suspended.passed(since_boot, now));
        Ok(late.max(suspended).filter(|late| *late > LATE))
    }

    /// When the last wait was over.
    pub fn woken(&self) -> Instant {
        self.suspended.without
    }

    /// What had something to say then.
    pub fn ready(&self) -> Ready {
        let mut ready = Ready::default();
        self.events.iter().for_each(|event| ready.add_token(event.token()));
        ready
    }

    /// The signals that came, but for SIGCHLD.
    pub fn signals(&mut self) -> Vec<i32> {
        if !std::mem::take(&mut self.signals_due) {
            return Vec::new();
        }
        let all: Vec<i32> = self.signals.pending().collect();
        self.child_ended |= all.contains(&SIGCHLD);
        all.into_iter().filter(|signal| *signal != SIGCHLD).collect()
    }

    /// Whether a child ended since the last call, as [`Wait::signals`] saw it.
    pub fn child_ended(&mut self) -> bool {
        std::mem::take(&mut self.child_ended)
    }
}

/// Where lines go: stdout in the foreground, syslog otherwise (piranha.md 2.1).
pub fn log(args: &Args) -> Log {
    let log = Log::new(args.verbose);
    if args.test_start {
        return log.with_stdout("pulse").patient();
    }
    if args.nodaemon {
        return log.with_stdout("pulse");
    }
    match common::log::facility(&args.log_facility) {
        Ok(facility) => log.with_syslog("pulse", facility).holding(LONG_QUEUE),
        Err(_) => log, // the command line was checked
    }
}

/// The program as it was called, also when an upgrade replaced its file since.
pub fn program() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| "/usr/sbin/pulse".into());
    match path.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => path.into(),
        None => path,
    }
}

/// Runs a director in this process, in the foreground or below a guardian.
pub fn run(args: Args) -> ExitStatus {
    let log = Rc::new(log(&args));
    match direct(args, &log) {
        Ok(()) => ExitStatus::Stopped,
        Err(refused) => {
            refused.say(&log);
            refused.status
        }
    }
}

fn direct(args: Args, log: &Rc<Log>) -> Result<(), Refused> {
    let mut wait = Wait::new().map_err(|e| Refused::system("listen for signals", &e))?;
    let guardian = args.worker.then(Line::from_stdin).flatten();
    if let Some(line) = &guardian {
        let hello = Said::hello(text(&daemon::arguments()));
        // A guardian that is gone is seen when its line is read.
        let _ = line.send(&hello.encode());
    }
    let pid_file = (args.nodaemon || args.foreground).then(start::take_pid_file).transpose()?;
    let outcome = begin(args, log, &wait, guardian).and_then(|begun| turn(begun, &mut wait, log));
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    outcome
}

fn turn((mut hands, mut node, begun): Begun, wait: &mut Wait, log: &Log) -> Result<(), Refused> {
    let mut queue: VecDeque<Event> = VecDeque::new();
    let (mut actions, mut decided) = (VecDeque::from(begun), Vec::new());
    let (mut more, mut read_all_at) = (Ready::ALL, Instant::now());
    while hands.ending().is_none() {
        let nearest = [node.deadline(), hands.deadline()].into_iter().flatten().min();
        let deadline = if more.any() { Some(Instant::now()) } else { nearest };
        if actions.is_empty() {
            let slept = wait.until(deadline).map_err(|e| Refused::system("wait for events", &e))?;
            queue.extend(slept.map(Event::Slept));
            queue.extend(wait.signals().into_iter().map(|signal| match signal {
                SIGTERM | SIGINT => Event::Terminate(signal),
                SIGHUP => Event::Hangup,
                other => Event::OtherSignal(other),
            }));
            let woken = wait.woken();
            let is_all = woken >= read_all_at;
            if is_all {
                read_all_at = woken + READ_ALL_EVERY;
            }
            let mut ready = if is_all { Ready::ALL } else { wait.ready().and(more) };
            // Nobody is judged silent while a beat of its waits to be read: it may have
            // come since the wait was over.
            if deadline.is_some_and(|deadline| woken >= deadline) {
                ready.add(Source::Partner);
            }
            more = hands.receive(ready, woken, &mut queue);
            if wait.child_ended() || is_all {
                hands.reap(node.guardian(), &mut queue);
            }
            queue.push_back(Event::Tick);
            log.flush();
        }
        // Looked at once for all that came: each look is a system call where the kernel
        // has no better way.
        let mut now = Instant::now();
        loop {
            // What an action came to is decided on before the next one: the partner
            // waits for the word that addresses are gone, clients for the
            // announcement of those that are there.
            while let Some(action) = actions.pop_front() {
                let work = Work::begin(&action, now);
                let done = hands.perform(action);
                now = Instant::now();
                for event in work.end(now).into_iter().chain(done) {
                    node.handle(event, now, &mut decided);
                }
                decided.drain(..).rev().for_each(|action| actions.push_front(action));
            }
            let Some(event) = queue.pop_front() else { break };
            node.handle(event, now, &mut decided);
            actions.extend(decided.drain(..));
        }
    }
    Ok(())
}

type Begun = (Hands, Node, Vec<Action>);

fn begin(args: Args, log: &Rc<Log>, wait: &Wait, guardian: Option<Line>) -> Result<Begun, Refused> {
    let (place, remark) = match meeting_place() {
        Ok(place) => (Some(place), None),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Err(Refused::already_running()),
        Err(e) => (None, Some(Message::NoMeetingPlace(e.to_string()))),
    };
    let alive = || {
        // A guardian that is gone is seen when its line is read.
        let _ = guardian.as_ref().map(|line| line.send(&Said::Alive.encode()));
    };
    let ready = match start::prepare(&args, log, alive) {
        Ok(ready) => ready,
        Err(refused) => {
            if let Some(place) = place {
                place.close();
            }
            return Err(refused);
        }
    };
    if let Some(remark) = remark {
        log.say(&remark);
    }
    let guardian = guardian.map(|line| {
        let pid = line.peer().map_or(0, |peer| peer.pid().unsigned_abs());
        (line, pid)
    });
    let (heartbeats, id) = ready.heartbeats.unzip();
    let election = ready.settings.pair.as_ref().zip(start::part(ready.role)).map(|(pair, role)| pair.election(role));
    let facts = Start {
        role: ready.role,
        carrying_on: ready.carrying_on,
        left: ready.left,
        // A supervisor says the same words each time. One that died was perhaps the
        // standby; a guardian knows that by itself.
        forced: args.forceactive && !(args.foreground && ready.follows_another),
        guardian: guardian.as_ref().map(|(_, pid)| *pid),
        released: start::is_released(),
        pair: election.zip(id).map(|(settings, id)| Part { settings, id }),
    };
    let registry = wait.registry().map_err(|e| Refused::system("wait for events", &e))?;
    let tools = Tools {
        log: Rc::clone(log),
        lvsd_program: start::lvsd_program(&args),
        args,
        settings: ready.settings,
        role: ready.role,
        carrying_on: ready.carrying_on,
        heartbeats,
        program: program(),
        interfaces: ready.interfaces,
        monitor: ready.monitor,
        place,
        guardian,
        registry,
        supervisor: Supervisor::of_this_process(),
    };
    let hands = Hands::new(tools).map_err(|e| Refused::system("wait for events", &e))?;
    let mut actions = Vec::new();
    let node = Node::start(facts, Instant::now(), &mut actions);
    Ok((hands, node, actions))
}

fn meeting_place() -> io::Result<MeetingPlace> {
    MeetingPlace::open(&daemon::run_dir("")?.join("pulse"))
}
