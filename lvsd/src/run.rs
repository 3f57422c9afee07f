//! lvsd's one loop: it waits for signals, the lines of nannies and parents, and
//! the nearest deadline; hands each to [`Nannies`] or to what this lvsd
//! [serves](Serves); and does what they ask through [`crate::hands`].
//!
//! ```text
//!            guests answered              TERM            nothing left to wait for
//!  Meeting ──────────────────► Working ────────► Stopping ─────────────────────────► end
//!                                │ Ask::Release
//!                                └────────────► end, everything stays
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | [`lvs`] | `service = lvs`: virtual services in the kernel |
//! | [`fos`] | `service = fos`: services of this host |
//! | `monitors` | the loop's dealings with processes |
//! | `reload` | how the file is read again |
//!
//! Work that can be long (ten thousand starts, two thousand services) is done a
//! slice per turn, so that the loop keeps answering and keeps its beat.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use common::channel::{Line, MeetingPlace};
use common::child::{Exit, Rules};
use common::command::Starter;
use common::daemon;
use common::ipvs::ServiceKey;
use common::log::Log;

use crate::asking::Asking;
use crate::file::{Asked, Notes};
use crate::hands;
use crate::hosts::Hosts;
use crate::messages::Message;
use crate::nannies::{Id, Nannies};
use crate::nanny_command::{Arguments, Manner};
use crate::parents::{self, Parents, Request};
use crate::renewal::Renewal;
use crate::services::LOOK_EVERY;
use crate::slice::Slice;
use crate::wanted::Target;

pub mod fos;
pub mod lvs;
mod monitors;
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

/// How long each of these may take in one turn but for its last step: one may wait for
/// a module to be loaded, several in a row would look like a frozen lvsd.
const SLICE_MAX: Duration = Duration::from_millis(50);

/// Waking up this much later than asked, or after a turn that took this long, we
/// were away: asleep, or busy with something long.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// Events taken from the kernel at once; the rest comes in the next turn.
const EVENTS: usize = 1024;

/// What is longer than all that a stop waits for, for a process that not even KILL ends.
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
    /// What starts the operator's commands.
    pub starter: Starter,
    /// The folder of their meeting places; without one a successor of ours finds
    /// none of them.
    pub places: Option<PathBuf>,
}

impl Settings {
    /// The meeting places that there are now, to be knocked at.
    fn places(&self) -> VecDeque<PathBuf> {
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

/// What an lvsd serves: its answers to what comes out of the loop's wait. What is to be
/// done at all times has no default.
pub trait Serves {
    /// What a file asks of it.
    type Wanted;

    /// What the file asks for now, or why it cannot be used.
    ///
    /// # Errors
    /// The file is wrong.
    fn read(&self) -> Asked<Self::Wanted>;

    /// The loop begins with this; nannies of a predecessor are not met yet.
    fn begin(&mut self, wanted: Self::Wanted, now: Instant);

    /// The file asks for this from now on.
    fn reload(&mut self, wanted: Self::Wanted, now: Instant);

    /// The guests have said who they are, so that nobody's destination is taken for
    /// nobody's, and no second nanny is started beside one.
    fn begin_work(&mut self, now: Instant);

    /// A parent or an operator asks for something that the loop does not do itself.
    fn answer(&mut self, request: &Request, now: Instant);

    /// A child ended that is no nanny.
    fn child_ended(&mut self, pid: u32, exit: Exit, now: Instant);

    /// We were away for longer than what we judge others by.
    fn slept(&mut self, _now: Instant) {}

    /// When [`Serves::tend`] is next needed; `now`, if at once.
    fn deadline(&self, now: Instant) -> Option<Instant>;

    /// Every [`LOOK_EVERY`], or sooner if it was asked for.
    fn look(&mut self, _now: Instant) {}

    /// What is due, and a slice of what is long.
    fn tend(&mut self, now: Instant);

    /// One more thing to be set up that may start nannies, if there is one.
    fn set_up_next(&mut self, _now: Instant) -> bool {
        false
    }

    /// The turn is over, but for what is said to the nannies.
    fn end_turn(&mut self, _now: Instant) {}

    /// Another goes on with all of it.
    fn release(&mut self, _now: Instant) {}

    /// The longest that [`Serves::stop`] may take beside the nannies' end.
    fn stop_within(&self) -> Duration {
        Duration::ZERO
    }

    /// All ends, and so do the nannies after this.
    fn stop(&mut self, now: Instant);

    /// Whether a stop needs not wait any longer, if all nannies are gone.
    fn is_stopped(&self) -> bool {
        true
    }

    /// The last thing of a stop, before what is left of the nannies is named.
    fn name_what_is_left(&mut self) {}

    /// The last thing of a stop, after that.
    fn take_away(&mut self, _now: Instant) {}

    /// A line of the nannies' in words that fit.
    fn in_our_words(&self, line: Message) -> Message {
        line
    }

    /// Whether what the nannies tell the operator's programs is passed on.
    fn tells_news(&self) -> bool;

    /// A guest said who it is, or nothing in time.
    fn introduce(&mut self, id: Id, arguments: Option<&Arguments>, now: Instant);

    /// A verdict changed in this service.
    fn judged(&mut self, key: &ServiceKey, now: Instant);

    /// A nanny is gone for good.
    fn nanny_ended(&mut self, _target: Option<Target>, _now: Instant) {}
}

/// The daemon.
pub struct Daemon<S> {
    settings: Settings,
    log: Log,
    poll: Poll,
    signals: Signals,
    meeting: Option<MeetingPlace>,
    parents: Parents,
    nannies: Nannies,
    phase: Phase,
    asking: Asking,
    renewal: Renewal,
    /// Meeting places still to be knocked at.
    calls: VecDeque<PathBuf>,
    /// Nannies still to be started; `true`: look at its place first.
    starts: VecDeque<(Id, bool)>,
    /// Lines that may hold more than was read.
    unread: Vec<Id>,
    look_at: Instant,
    /// When the loop last woke.
    woke: Instant,
    /// What was said of the file as it is.
    notes: Notes,
    is_ready: bool,
    /// What it serves.
    own: S,
}

impl<S> Daemon<S>
where
    Self: Serves,
{
    /// Everything in place, nothing done yet. `parent` is the line of the pulse that
    /// started us, if one did.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new(
        settings: Settings,
        hosts: Hosts,
        log: Log,
        own: S,
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
        if let Some(line) = parent {
            parents.welcome(line, false, poll.registry());
        }
        Ok(Self {
            nannies: Nannies::new(settings.rules, NANNIES),
            parents,
            settings,
            log,
            poll,
            signals,
            meeting,
            phase: Phase::Meeting,
            asking: Asking::new(hosts, is_kept),
            renewal: Renewal::default(),
            calls: VecDeque::new(),
            starts: VecDeque::new(),
            unread: Vec::new(),
            look_at: now + LOOK_EVERY,
            woke: now,
            notes: Notes::default(),
            is_ready: false,
            own,
        })
    }

    /// Runs until told to stop or to make room. `lines` came with what is wanted.
    ///
    /// # Errors
    /// The wait itself failed.
    pub fn run(mut self, wanted: <Self as Serves>::Wanted, lines: &[Message]) -> io::Result<End> {
        self.say_notes(lines);
        self.start(wanted);
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

    fn start(&mut self, wanted: <Self as Serves>::Wanted) {
        let now = Instant::now();
        self.asking.keep().iter().for_each(|line| self.log.say(line));
        self.calls = self.settings.places();
        self.begin(wanted, now);
        self.meet(now);
    }

    /// One turn: the wait, what came, what is due, a slice of work.
    fn turn(&mut self, events: &mut Events) -> io::Result<Option<End>> {
        let before = Instant::now();
        let asked = self.wake_at(before);
        match self.poll.poll(events, Some(asked.saturating_duration_since(before))) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let now = Instant::now();
        let slept = now.saturating_duration_since(asked.max(before)) + before.saturating_duration_since(self.woke);
        if slept > OVERSLEPT {
            self.log.say(&Message::Slept { slept });
            self.nannies.slept(now);
            self.slept(now);
        }
        self.woke = now;
        let requests = self.take_events(events, now);
        if requests.contains(&Request::Release) {
            self.release(now);
            self.log.say(&Message::Released);
            return Ok(Some(End::Released));
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
        self.take_answers(now);
        self.work(now);
        if let Some(lost) = self.parents.deliver() {
            self.log.say(&Message::NewsLost { lost });
        }
        self.end_turn(now);
        let end = self.step_phase(now);
        self.nannies.speak();
        Ok(end)
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
    fn wake_at(&self, now: Instant) -> Instant {
        // Nannies are renewed while we work, and at no other time.
        let renews = self.phase == Phase::Working && self.renewal.is_due();
        if renews || !self.unread.is_empty() || !self.calls.is_empty() || !self.starts.is_empty() {
            return now;
        }
        let stop = match self.phase {
            Phase::Meeting | Phase::Working => None,
            Phase::Stopping { until } => Some(until),
        };
        let deadlines =
            [self.parents.deadline(), self.nannies.deadline(), self.asking.until(), stop, self.deadline(now)];
        deadlines.into_iter().flatten().fold(self.look_at, Instant::min)
    }

    fn take_signals(&mut self, now: Instant) {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            match signal {
                SIGCHLD => {
                    while let Some((pid, exit)) = hands::reap() {
                        self.asking.ended(pid);
                        let mut out = Vec::new();
                        if !self.nannies.reaped(pid, exit, now, &mut out) {
                            self.child_ended(pid, exit, now);
                        }
                        self.perform(out, now);
                    }
                }
                SIGHUP => self.reread(now),
                SIGUSR1 | SIGUSR2 => self.log.say(&Message::SignalIgnored { signal }),
                stop => self.begin_stop(stop, now),
            }
        }
    }

    fn take_parents(&mut self) {
        while let Some(line) = self.meeting.as_ref().and_then(MeetingPlace::accept) {
            self.parents.welcome(line, self.is_ready, self.poll.registry());
        }
    }

    /// The look that is due, and a slice of what can be long.
    fn work(&mut self, now: Instant) {
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.log.flush();
            let mut lost = Vec::new();
            self.nannies.find_lineless(&mut lost);
            self.nannies.repeat();
            self.perform(lost, now);
            self.look(now);
        }
        self.tend(now);
        if self.phase == Phase::Working {
            let mut renewed = Vec::new();
            self.renewal.step(&mut self.nannies, daemon::is_replaced, now, &mut renewed);
            self.perform(renewed, now);
        }
        self.meet_guests(STARTS_PER_TURN, now);
        let mut slice = Slice::new(STARTS_PER_TURN, SLICE_MAX, Instant::now());
        while slice.has_room(Instant::now()) && (self.start_next(now) || self.set_up_next(now)) {}
    }

    /// The next state of the picture above.
    fn step_phase(&mut self, now: Instant) -> Option<End> {
        match self.phase {
            Phase::Meeting => self.meet(now),
            Phase::Working => {}
            Phase::Stopping { until } if now >= until || self.is_stopped() && self.nannies.is_empty() => {
                // One that was being started when an lvsd before us was killed had no
                // meeting place yet when we called.
                if now < until {
                    self.calls = self.settings.places();
                    self.stop_nannies(now);
                    if !self.nannies.is_empty() {
                        return None;
                    }
                }
                self.name_what_is_left();
                if !self.nannies.is_empty() {
                    self.log.say(&Message::LeftBehind { monitors: self.nannies.len() });
                }
                self.take_away(now);
                return Some(End::Stopped);
            }
            Phase::Stopping { .. } => {}
        }
        None
    }

    /// Work begins when everybody who was here before us has answered, or not.
    fn meet(&mut self, now: Instant) {
        if self.calls.is_empty() && !self.nannies.has_guests() {
            self.phase = Phase::Working;
            self.begin_work(now);
        }
    }

    /// All that is wanted was tried once. Nannies of an old program may be replaced now.
    fn be_ready(&mut self) {
        self.is_ready = true;
        self.parents.say_ready();
        self.renewal.begin(&self.nannies);
    }

    fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    fn begin_stop(&mut self, signal: i32, now: Instant) {
        if self.is_stopping() {
            return;
        }
        self.log.say(&Message::SignalStop { signal });
        let longest = self.stop_within().max(self.settings.rules.stop_within);
        self.phase = Phase::Stopping { until: now + longest + STOP_SLACK };
        self.asking.end();
        self.stop(now);
        self.stop_nannies(now);
    }

    /// All that there are; whoever was not called yet must end too.
    fn stop_nannies(&mut self, now: Instant) {
        self.meet_guests(usize::MAX, now);
        let mut out = Vec::new();
        self.nannies.stop_all(now, &mut out);
        self.perform(out, now);
    }
}

#[cfg(test)]
pub(crate) mod tests;
