//! lvsd's one loop: it waits for signals, the lines of nannies and parents, and
//! the nearest deadline; hands each to [`Services`] or [`Nannies`]; and does what
//! they ask through [`crate::hands`].
//!
//! ```text
//!            guests answered              TERM                  nannies gone
//!  Meeting ──────────────────► Working ────────► Stopping ─────────────────────► services deleted, exit
//!                                │ Ask::Release
//!                                └────────────► exit, everything stays
//! ```
//!
//! Work that can be long (ten thousand starts, two thousand services) is done a
//! slice per turn, so that the loop keeps answering and keeps its beat.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use common::channel::{Line, MeetingPlace};
use common::child::Rules;
use common::daemon;
use common::ipvs::{DestinationKey, Ipvs, ServiceKey};
use common::log::Log;

use crate::asking::Asking;
use crate::departure::{self, Departure};
use crate::file::Notes;
use crate::hands::{self, Kernel};
use crate::hosts::Hosts;
use crate::messages::Message;
use crate::nannies::{Id, Nannies};
use crate::nanny_command::Manner;
use crate::parents::{self, Parents, Request};
use crate::renewal::Renewal;
use crate::scripts::Scripts;
use crate::services::{self, LOOK_EVERY, Services};
use crate::slice::Slice;
use crate::wanted::{Target, Virtual, Wanted};

mod monitors;
mod operator;
mod reload;

const SIGNALS: Token = Token(0);
const MEETING: Token = Token(1);
const RESOLVER: Token = Token(2);
/// Parents' tokens begin here, nannies' behind them.
const PARENTS: usize = 3;
const NANNIES: usize = PARENTS + parents::MAX;

/// How many nannies are called, or started, or services set up, in one turn: about
/// 10 ms, where the kernel has nothing to load.
const STARTS_PER_TURN: usize = 50;

/// How many services' destinations are looked at in one turn: about 10 ms.
const LOOKS_PER_TURN: usize = 100;

/// How long each of these may take in one turn but for its last step: one may wait for
/// a module to be loaded, several in a row would look like a frozen lvsd.
const SLICE_MAX: Duration = Duration::from_millis(50);

/// Waking up this much later than asked, or after a turn that took this long, we
/// were away: asleep, or busy with something long.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// How long the news of an end waits for more of them, before a service that has
/// nothing left is deleted.
const GATHER: Duration = Duration::from_millis(50);

/// Events taken from the kernel at once; the rest comes in the next turn.
const EVENTS: usize = 1024;

/// What is longer than the nannies' own stop, for a process that not even KILL ends.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// What the loop is told once.
#[derive(Debug)]
pub struct Settings {
    /// The configuration file, read again on HUP.
    pub file: PathBuf,
    /// Our own nanny.
    pub nanny: PathBuf,
    /// How nannies are started.
    pub manner: Manner,
    /// How they are kept.
    pub rules: Rules,
    /// The folder of their meeting places; without one a successor of ours finds
    /// none of them.
    pub places: Option<PathBuf>,
}

impl Settings {
    /// The meeting places that there are now, to be knocked at.
    pub fn places(&self) -> VecDeque<PathBuf> {
        self.places.as_deref().map(hands::places).unwrap_or_default().into()
    }
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A stop: all is taken away.
    Stopped,
    /// Another lvsd goes on with everything.
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Meeting,
    Working,
    Stopping { until: Instant },
}

/// What a reload led to so far.
#[derive(Debug, Default)]
struct Outcome {
    started: usize,
    replaced: usize,
    stopped: usize,
    unchanged: usize,
    /// Who is in these numbers: an order in between begins the round anew.
    counted: HashSet<Target>,
}

/// The daemon.
pub struct Daemon<K> {
    settings: Settings,
    log: Log,
    poll: Poll,
    signals: Signals,
    meeting: Option<MeetingPlace>,
    parents: Parents,
    kernel: Kernel<K>,
    services: Services,
    nannies: Nannies,
    phase: Phase,
    asking: Asking,
    scripts: Scripts,
    renewal: Renewal,
    /// Meeting places still to be knocked at.
    calls: VecDeque<PathBuf>,
    /// Services still to be set up, in file order.
    set_ups: VecDeque<ServiceKey>,
    /// Nannies still to be started; `true`: look at its place first.
    starts: VecDeque<(Id, bool)>,
    /// Lines that may hold more than was read.
    unread: Vec<Id>,
    look_at: Instant,
    /// When the loop last woke.
    woke: Instant,
    reload: Option<Outcome>,
    /// What runs and is not wanted, until everything that is was set up.
    departures: Vec<Departure>,
    /// Whose nanny a newcomer follows at the same meeting place.
    follows: HashMap<Target, Target>,
    /// What was said of the file as it is.
    notes: Notes,
    /// Nannies found at start that the file does not want.
    strays: usize,
    is_ready: bool,
}

impl<K: Ipvs> Daemon<K> {
    /// Everything in place, nothing done yet. `parent` is the line of the pulse that
    /// started us, if one did.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new(
        settings: Settings,
        hosts: Hosts,
        log: Log,
        table: K,
        services: Services,
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
        let mut daemon = Self {
            nannies: Nannies::new(settings.rules, NANNIES),
            parents: Parents::new(settings.rules.beat, PARENTS, now),
            kernel: Kernel::new(table),
            settings,
            log,
            poll,
            signals,
            meeting,
            services,
            phase: Phase::Meeting,
            asking: Asking::new(hosts, is_kept),
            scripts: Scripts::default(),
            renewal: Renewal::default(),
            calls: VecDeque::new(),
            set_ups: VecDeque::new(),
            starts: VecDeque::new(),
            unread: Vec::new(),
            look_at: now + LOOK_EVERY,
            woke: now,
            reload: None,
            departures: Vec::new(),
            follows: HashMap::new(),
            notes: Notes::default(),
            strays: 0,
            is_ready: false,
        };
        if let Some(line) = parent {
            daemon.parents.welcome(line, false, daemon.poll.registry());
        }
        Ok(daemon)
    }

    /// Runs until told to stop or to make room.
    ///
    /// # Errors
    /// The wait itself failed.
    pub fn run(mut self, wanted: Wanted) -> io::Result<End> {
        self.begin(wanted);
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

    fn begin(&mut self, mut wanted: Wanted) {
        let now = Instant::now();
        self.services.obey(&mut wanted);
        self.asking.keep().iter().for_each(|line| self.log.say(line));
        let mut out = Vec::new();
        self.services.load(wanted, &mut out);
        self.perform_services(out, now);
        self.parents.say_withdrawn(self.services.withdrawn());
        self.calls = self.settings.places();
        self.begin_work(now);
    }

    /// Once the guests have said who they are, so that nobody's destination is
    /// taken for nobody's.
    fn begin_work(&mut self, now: Instant) {
        if self.phase == Phase::Meeting && self.calls.is_empty() && !self.nannies.has_guests() {
            self.phase = Phase::Working;
            if self.strays > 0 {
                self.log.say(&Message::StoppingStrays { monitors: self.strays });
            }
            let departures =
                departure::departures(self.services.wanted(), &self.nannies.running(), self.services.ledger());
            self.see_off(departures, now);
            self.queue_set_ups(now);
        }
    }

    /// One turn: the wait, what came, what is due, a slice of work.
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
        }
        self.woke = now;
        let requests = self.take_events(events, now);
        if requests.contains(&Request::Release) {
            self.keep_what_changed(now);
            self.log.say(&Message::Released);
            return Ok(Some(End::Released));
        }
        if requests.contains(&Request::Check) {
            self.look_at = now;
        }
        if requests.contains(&Request::Renew) {
            self.renewal.begin(&self.nannies);
        }
        for request in &requests {
            self.answer(request, now);
        }
        if self.unread.is_empty() {
            let mut out = Vec::new();
            self.nannies.tick(now, &mut out);
            self.perform(out, now);
        }
        self.parents.beat(now);
        self.scripts.overdue(now).into_iter().for_each(hands::kill_group);
        self.take_answers(now);
        self.work(now);
        self.keep_what_changed(now);
        if let Some(lost) = self.parents.deliver() {
            self.log.say(&Message::NewsLost { lost });
        }
        self.parents.say_withdrawn(self.services.withdrawn());
        let end = self.step_phase(now);
        self.nannies.speak();
        Ok(end)
    }

    /// For a successor, once in a turn however much it was.
    fn keep_what_changed(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.services.keep_what_changed(&mut out);
        self.perform_services(out, now);
    }

    /// Signals, lines, and what of the lines was left from the last turn.
    fn take_events(&mut self, events: &Events, now: Instant) -> Vec<Request> {
        let mut unread = std::mem::take(&mut self.unread);
        let mut requests = Vec::new();
        for event in events {
            match event.token() {
                SIGNALS => self.take_signals(now),
                MEETING => self.take_parents(),
                // Looked at in every turn.
                RESOLVER => {}
                Token(token) if token < NANNIES => self.parents.read(token, &mut requests),
                Token(id) => unread.push(id),
            }
        }
        for id in unread {
            let mut out = Vec::new();
            if self.nannies.read(id, now, &mut out) {
                self.unread.push(id);
            }
            self.perform(out, now);
        }
        requests
    }

    /// When the loop must wake although nothing came.
    fn deadline(&self, now: Instant) -> Instant {
        let idle = self.unread.is_empty()
            && self.calls.is_empty()
            && self.starts.is_empty()
            && self.set_ups.is_empty()
            // Services are looked at, and nannies renewed, while we work, and at no other time.
            && !(self.phase == Phase::Working && (self.services.has_round() || self.renewal.is_due()));
        if !idle {
            return now;
        }
        let phase = match self.phase {
            Phase::Meeting => None,
            Phase::Working => {
                let graces = self.services.graces().map(|(at, _)| at);
                graces.chain(self.services.leaving_deadline()).min()
            }
            Phase::Stopping { until } => Some(until),
        };
        let lookup = self.asking.until();
        let deadlines = [self.parents.deadline(), self.nannies.deadline(), phase, lookup, self.scripts.deadline()];
        deadlines.into_iter().flatten().fold(self.look_at, Instant::min)
    }

    fn take_signals(&mut self, now: Instant) {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            match signal {
                SIGCHLD => {
                    while let Some((pid, exit)) = hands::reap() {
                        self.asking.ended(pid);
                        self.script_ended(pid, exit, now);
                        let mut out = Vec::new();
                        self.nannies.reaped(pid, exit, now, &mut out);
                        self.perform(out, now);
                    }
                }
                SIGHUP => self.reread(now),
                SIGUSR1 | SIGUSR2 => self.log.say(&Message::SignalIgnored { signal }),
                stop => self.stop(stop, now),
            }
        }
    }

    fn take_parents(&mut self) {
        while let Some(line) = self.meeting.as_ref().and_then(MeetingPlace::accept) {
            self.parents.welcome(line, self.is_ready, self.poll.registry());
        }
    }

    /// The next state of the picture above.
    fn step_phase(&mut self, now: Instant) -> Option<End> {
        match self.phase {
            Phase::Meeting => self.begin_work(now),
            Phase::Working if self.set_ups.is_empty() && !self.departures.is_empty() => self.depart(now),
            Phase::Working if self.set_ups.is_empty() && self.starts.is_empty() => self.work_is_done(now),
            Phase::Stopping { until } if self.nannies.is_empty() || now >= until => {
                // One that was being started when an lvsd before us was killed had no
                // meeting place yet when we called.
                if now < until {
                    self.calls = self.settings.places();
                    self.stop_nannies(now);
                    if !self.nannies.is_empty() {
                        return None;
                    }
                }
                if !self.nannies.is_empty() {
                    self.log.say(&Message::LeftBehind { monitors: self.nannies.len() });
                }
                let mut out = Vec::new();
                self.services.remove_all(&mut self.kernel, &mut out);
                self.perform_services(out, now);
                return Some(End::Stopped);
            }
            Phase::Working | Phase::Stopping { .. } => {}
        }
        None
    }

    /// Timeouts at once, services in file order, and a look when that may be done.
    fn queue_set_ups(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.services.tend_timeouts(&mut self.kernel, &mut out);
        self.perform_services(out, now);
        self.set_ups = self.services.wanted().virtuals.iter().map(|wanted| wanted.service.key).collect();
        self.look_at = now + LOOK_EVERY;
    }

    /// Everything was tried once: the start, or a reload, is over.
    fn work_is_done(&mut self, now: Instant) {
        if self.reload.is_some() || !self.is_ready {
            self.services.await_newcomers(now);
        }
        if !std::mem::replace(&mut self.is_ready, true) {
            let (services, monitors) = (self.services.adopted(), self.nannies.adopted());
            if services + monitors > 0 {
                self.log.say(&Message::Adopted { services, monitors });
            }
            self.parents.say_ready();
            self.renewal.begin(&self.nannies);
        }
        if let Some(Outcome { started, replaced, stopped, unchanged, .. }) = self.reload.take() {
            self.log.say(&Message::Reread { started, replaced, stopped, unchanged });
        }
    }

    /// A slice of what can be long, and the look that is due.
    fn work(&mut self, now: Instant) {
        let mut out = Vec::new();
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.log.flush();
            let mut lost = Vec::new();
            self.nannies.find_lineless(&mut lost);
            self.nannies.repeat();
            self.perform(lost, now);
            if self.phase == Phase::Working {
                let nannies = &self.nannies;
                self.services.look(&mut self.kernel, || nannies.busy(), &mut out);
                if self.starts.is_empty() && self.set_ups.is_empty() {
                    self.services.await_newcomers(now);
                    self.judge_by_the_table(now, &mut out);
                }
            }
        }
        if self.phase == Phase::Working {
            self.services.wake_leavers(now);
            let mut slice = Slice::new(LOOKS_PER_TURN, SLICE_MAX, Instant::now());
            while self.services.has_round() && slice.has_room(Instant::now()) {
                self.services.tend_next(&mut self.kernel, &self.nannies, now, &mut out);
            }
            let over: Vec<ServiceKey> =
                self.services.graces().filter(|(at, _)| *at <= now).map(|(_, key)| key).collect();
            for key in over {
                self.judge(&key, now, &mut out);
            }
            let mut renewed = Vec::new();
            self.renewal.step(&mut self.nannies, daemon::is_replaced, now, &mut renewed);
            self.perform(renewed, now);
        }
        self.perform_services(out, now);
        self.meet_guests(STARTS_PER_TURN, now);
        let mut slice = Slice::new(STARTS_PER_TURN, SLICE_MAX, Instant::now());
        while slice.has_room(Instant::now()) {
            if let Some((id, look_first)) = self.starts.pop_front() {
                self.start(id, look_first, now);
            } else if let Some(key) = self.set_ups.pop_front() {
                let mut out = Vec::new();
                self.services.set_up(&key, &mut self.kernel, &self.nannies, now, &mut out);
                self.perform_services(out, now);
            } else {
                return;
            }
        }
    }

    /// The services with monitors that say nothing.
    fn judge_by_the_table(&mut self, now: Instant, out: &mut Vec<services::Action>) {
        let silent = |wanted: &&Virtual| wanted.monitors.iter().any(|monitor| !monitor.is_nanny);
        let keys: Vec<ServiceKey> =
            self.services.wanted().virtuals.iter().filter(silent).map(|wanted| wanted.service.key).collect();
        for key in keys {
            self.judge(&key, now, out);
        }
    }

    fn judge(&mut self, key: &ServiceKey, now: Instant, out: &mut Vec<services::Action>) {
        if let Some(wanted) = self.services.find(key) {
            self.nannies.keep_floor(wanted);
        }
        // A program that is not our nanny says nothing: what it keeps in the kernel, with
        // weight, counts as well.
        let others = |wanted: &&Virtual| wanted.monitors.iter().any(|monitor| !monitor.is_nanny);
        let kept = match self.services.find(key).filter(others) {
            Some(_) => self.kernel.destinations(key).unwrap_or_default(),
            None => Vec::new(),
        };
        let kept: HashSet<DestinationKey> = kept.iter().filter(|it| it.weight > 0).map(|it| it.key).collect();
        let nannies = &self.nannies;
        let tally = |wanted: &Virtual| {
            let mut tally = nannies.tally(wanted.monitors.iter().map(|monitor| &monitor.target));
            let is_mute = |target: &Target| nannies.known(target, now).verdict.is_none();
            let mute = wanted.monitors.iter().filter(|monitor| !monitor.is_nanny && is_mute(&monitor.target));
            let well = mute.filter(|monitor| kept.contains(&monitor.target.destination)).count();
            tally.silent -= well.min(tally.silent);
            tally.available += well;
            tally
        };
        self.services.judge(key, tally, &mut self.kernel, nannies, now, out);
    }

    fn stop(&mut self, signal: i32, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        self.log.say(&Message::SignalStop { signal });
        for wanted in &self.services.wanted().virtuals {
            self.log.say(&Message::ShuttingDown { name: wanted.name.clone() });
        }
        self.phase = Phase::Stopping { until: now + self.settings.rules.stop_within + STOP_SLACK };
        self.set_ups.clear();
        self.asking.end();
        self.stop_nannies(now);
    }

    /// All that there are; whoever was not called yet must end too.
    fn stop_nannies(&mut self, now: Instant) {
        self.meet_guests(usize::MAX, now);
        let mut out = Vec::new();
        self.nannies.stop_all(now, &mut out);
        self.perform(out, now);
    }

    /// What was said of an earlier reading of the file is not said again.
    pub fn say_notes(&mut self, lines: &[Message]) {
        self.notes.news(lines).for_each(|line| self.log.say(line));
    }

    /// Does what the services asked for.
    fn perform_services(&mut self, actions: Vec<services::Action>, now: Instant) {
        for action in actions {
            match action {
                services::Action::Say(line) => self.log.say(&line),
                services::Action::News(news) => self.parents.tell(news),
                services::Action::PutBack(key) => self.nannies.ask_check(&key),
                services::Action::Up(key) => self.want_monitors(&key, now),
                services::Action::Run(script) => {
                    self.scripts.ask(script);
                    self.run_scripts(now);
                }
                services::Action::Emptied => self.look_at = self.look_at.min(now + GATHER),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
