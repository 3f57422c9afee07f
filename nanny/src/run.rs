//! nanny's one loop: waits for the nearest of {signal, socket or program of the
//! check, lvsd, time}, feeds the machines, and has the hands do what follows.
//!
//! ```text
//!  check ends ──► Health ──► Wanted ──► Table::settle ──► the kernel     of each
//!  signal ──────►   │  └───► Change ──► log                              destination
//!                   └──────► verdict ─► lvsd, when the kernel has it
//!  look is due ─► Table::look ──► Health (adopts what is there), Table::settle (repairs)
//!  lvsd: hold, drop ─► one destination more or less; the others do not notice
//! ```
//!
//! Nothing here ends because of the kernel, because of the real server or because
//! lvsd is gone: only TERM, INT and [`common::channel::Ask::Release`] end it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use common::channel::{Line, Said};
use common::check::{CHECKS_MAX, CheckKind};
use common::child::Rules as ChildRules;
use common::daemon::{ExitStatus, Launch};
use common::ipvs;
use common::log::Log;
use nix::sys::signal::Signal;

use crate::args::{Args, Place};
use crate::flaps::Flaps;
use crate::hands::conversation::Certificate;
use crate::hands::secure::Begin;
use crate::hands::table::{Kernel, Open};
use crate::hands::{ChildEnd, Ended, Hands, Woken};
use crate::health::{Event, State};
use crate::load;
use crate::messages::Message;
use crate::probe::{self, Outcome, Plan, Transport};
use crate::record::Standing;
use crate::schedule::{self, Schedule};
use crate::watch::{self, Watch};

mod asks;
mod destinations;
mod kept;
mod monitor;
mod sharing;

use destinations::say_of;
use kept::{Before, Kept};
use monitor::Monitor;

/// How many destinations are looked at in one turn: a millisecond or two.
const LOOKS_PER_TURN: usize = 16;

/// How often a failure is said again that differs from the last one in its words alone:
/// some answers have a number in them that is another each time.
const REWORD_EVERY: Duration = Duration::from_secs(600);

/// How often the end of a certificate is warned of.
const WARN_EVERY: Duration = Duration::from_secs(86_400);

/// What the loop starts from.
pub struct Setup {
    /// What is to be done.
    pub args: Args,
    /// Where lines go.
    pub log: Log,
    /// How the kernel's table is opened; `None`: it is left alone (`--norun`).
    pub open: Option<Open>,
    /// lvsd's line.
    pub line: Option<Line>,
    /// Who waits for the start in the foreground.
    pub launch: Option<Launch>,
    /// Where a new lvsd finds this process.
    pub place: Option<PathBuf>,
    /// What is said of the command line in [`Said::Hello`].
    pub arguments: Vec<String>,
    /// Decides the phase of checks and looks.
    pub seed: u64,
    /// How TLS begins, in the program that has it.
    pub secure: Option<Begin>,
}

/// Runs until asked to stop; the exit status.
pub fn run(setup: Setup) -> ExitStatus {
    let checks = match probe::checks(&setup.args) {
        Ok(checks) => checks,
        Err(why) => {
            setup.log.say(&Message::CannotCheck { why: &why });
            return ExitStatus::Usage;
        }
    };
    if setup.args.service.is_none() && setup.line.is_none() {
        setup.log.say(&Message::CannotCheck { why: "--shared is lvsd's, which tells the destinations on its line" });
        return ExitStatus::Usage;
    }
    if setup.secure.is_none() && setup.args.checks.iter().any(|check| check.kind.is_secure()) {
        setup.log.say(&Message::CannotCheck {
            why: "checks of tls, https and grpcs need the program nanny-tls beside nanny",
        });
        return ExitStatus::Usage;
    }
    let hands = match Hands::new(checks, setup.args.checks_needed, setup.secure) {
        Ok(hands) => hands,
        Err(error) => {
            setup.log.say(&Message::Fatal { doing: "set up signals and events", error: &error });
            return ExitStatus::System;
        }
    };
    let mut nanny = Nanny::new(setup, hands);
    if let Err(status) = nanny.start() {
        return status;
    }
    loop {
        let asked = nanny.deadline();
        let woken = match nanny.hands.wait(asked) {
            Ok(woken) => woken,
            Err(error) => {
                nanny.log.say(&Message::Fatal { doing: "wait for events", error: &error });
                return ExitStatus::System;
            }
        };
        if let Err(status) = nanny.turn(asked, woken, Instant::now()) {
            return status;
        }
    }
}

struct Nanny {
    args: Args,
    log: Log,
    hands: Hands,
    /// One; with `--shared` as many as lvsd told.
    kept: Vec<Kept>,
    /// `None`: it is left alone.
    kernel: Option<Kernel>,
    /// Where the checks stand, for who joins.
    standing: Standing,
    /// What is known from before, for the same.
    before: Before,
    /// What lvsd was told of how the server comes and goes.
    told_flaps: Flaps,
    /// The weight the last good check asked for, for the same.
    asked_weight: Option<u32>,
    /// The glasses that are on.
    glasses: Option<Event>,
    /// Who is looked at next.
    looked: usize,
    schedule: Schedule,
    /// When the check in flight must be over.
    check_until: Instant,
    next_check: Instant,
    next_look: Instant,
    next_beat: Instant,
    /// Whose certificate's end was warned of within a day, and when; no more than there
    /// are checks.
    warned: Vec<(Certificate, Instant)>,
    /// When the last bad check ended, in seconds since 1970, and what happened in it.
    why: Option<(u64, String)>,
    /// From a failed check to the next while the server is in doubt.
    retry: Duration,
    watch: Watch,
    /// Where the idle connection goes, if there is to be one.
    watched: Option<SocketAddr>,
    /// The failure that was last said and when, until a check is good.
    complained: Option<(Outcome, Instant)>,
    monitor: Option<Monitor>,
    /// The kernel was read, so all is as it should be or is being waited for.
    ready: bool,
    supervised: bool,
    /// The start is over: no refusal of the kernel ends it any more.
    started: bool,
    launch: Option<Launch>,
    line: Option<Line>,
    place: Option<PathBuf>,
    arguments: Vec<String>,
}

/// `Err` ends the loop with this status.
type Flow = Result<(), ExitStatus>;

impl Nanny {
    fn new(setup: Setup, hands: Hands) -> Self {
        let Setup { args, log, open, line, launch, place, arguments, seed, secure: _ } = setup;
        let kernel = open.map(Kernel::new);
        let own = args.assignment().map(|own| Kept::new(&args, own, &args.service_name, kernel.is_some()));
        let watched = watch::target(args.watch, hands.checks());
        let now = Instant::now();
        Self {
            schedule: Schedule::new(now, args.period, seed),
            kept: own.into_iter().collect(),
            kernel,
            standing: Standing::Unknown,
            before: Before::default(),
            told_flaps: Flaps::default(),
            asked_weight: None,
            glasses: None,
            looked: 0,
            check_until: now,
            next_check: now,
            next_look: now + schedule::spread(schedule::LOOK_EVERY, seed),
            next_beat: now,
            warned: Vec::new(),
            why: None,
            retry: schedule::soon(args.retry, seed),
            watch: Watch::new(watched.is_some(), args.period, now),
            watched,
            complained: None,
            monitor: args.load.as_ref().map(|word| Monitor {
                command: load::command(word, args.real),
                due: now,
                complained: false,
            }),
            ready: false,
            supervised: line.is_some(),
            started: false,
            args,
            log,
            hands,
            launch,
            line,
            place,
            arguments,
        }
    }

    /// Up to the first check: says what is watched, looks at the kernel, meets lvsd.
    fn start(&mut self) -> Flow {
        self.introduce();
        if let (Err(ipvs::Error::Permission), false) =
            (self.look_and_adopt(LOOKS_PER_TURN, Instant::now()), self.supervised)
        {
            self.refuse_to_start(&Message::NoRight { error: &ipvs::Error::Permission });
            return Err(ExitStatus::Permission);
        }
        self.open_place()?;
        // An lvsd that ended before there was a place to find this process at has a
        // successor that does not know of it and starts another, or has stopped for good.
        if self.line.as_ref().is_some_and(Line::is_ended) {
            self.log.say(&Message::Orphaned { real: self.args.real, service: &self.args.service_name });
            self.hands.parents.close();
            return Err(ExitStatus::Stopped);
        }
        self.started = true;
        if let Some(line) = self.line.take() {
            self.meet(line);
        }
        self.settle();
        if let Some(launch) = self.launch.take() {
            // It is in the background in any case.
            let _ = launch.ready();
        }
        Ok(())
    }

    fn introduce(&self) {
        let args = &self.args;
        if probe::assumes_web(args) {
            self.log.say(&Message::AssumingWeb);
        }
        if let Some(program) = &args.program {
            self.log.say(&Message::ProgramRequested { program, send: args.send.as_deref() });
        }
        if args.interval_was_zero {
            self.log.say(&Message::IntervalZero);
        }
        match (args.service, args.fos) {
            // It is said of each destination as lvsd tells it.
            (None, _) => {}
            (Some(_), true) => self.log.say(&Message::Watching { service: &args.service_name }),
            (Some(_), false) => self.log.say(&Message::Starting { service: &args.service_name, real: args.real }),
        }
    }

    fn open_place(&mut self) -> Flow {
        let Some(path) = self.place.take() else { return Ok(()) };
        let opened = self.hands.registry().and_then(|registry| self.hands.parents.open(&path, &registry));
        match opened {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                let message = Message::PlaceTaken { real: self.args.real, service: &self.args.service_name };
                self.refuse_to_start(&message);
                Err(ExitStatus::System)
            }
            Err(error) => {
                self.log.say(&Message::NoPlace { path: &path, error: &error });
                Ok(())
            }
        }
    }

    /// Says why it ends before it began, to whoever there is to hear it.
    fn refuse_to_start(&self, message: &Message) {
        self.log.say(message);
        if let Some(line) = &self.line {
            let _ = line.send(&Said::Leaving(message.to_string()).encode());
        } else if self.args.place != Place::Foreground {
            crate::complain(&message.to_string());
        }
    }

    /// The nearest time at which something is due.
    fn deadline(&self) -> Instant {
        let mut nearest = if self.hands.is_checking() {
            self.hands.deadline(self.check_until)
        } else if self.wants_checks() {
            self.next_check
        } else {
            self.next_look
        };
        if self.kernel.is_some() || !self.wants_checks() {
            nearest = nearest.min(self.next_look);
        }
        if let Some(monitor) = self.monitor.as_ref().filter(|_| self.is_weighed() || self.hands.is_loading()) {
            nearest = nearest.min(monitor.due);
        }
        nearest = self.ramps().map_or(nearest, |at| nearest.min(at));
        if self.hands.parents.is_empty() { nearest } else { nearest.min(self.next_beat) }
    }

    /// Whether there is something to make checks for: not with glasses on.
    fn wants_checks(&self) -> bool {
        self.kept.iter().any(|kept| kept.health.is_checking())
    }

    /// When the next weight grows.
    fn ramps(&self) -> Option<Instant> {
        self.kept.iter().filter_map(|kept| kept.health.deadline()).min()
    }

    /// One turn of the loop.
    fn turn(&mut self, asked: Instant, woken: Woken, now: Instant) -> Flow {
        if let Some(late) = schedule::overslept(asked, now, self.args.interval)
            && self.hands.is_checking()
        {
            self.log.say(&Message::Slept { late, real: self.args.real });
            self.hands.abandon();
            self.next_check = now;
        }
        if woken.signals {
            self.signals(now)?;
        }
        if woken.place {
            while let Some(line) = self.hands.parents.accept() {
                self.meet(line);
            }
        }
        for (number, _) in woken.lines.iter().enumerate().filter(|(_, woken)| **woken) {
            self.asks(number, now)?;
        }
        if woken.check
            && let Some(ended) = self.hands.advance(now)
        {
            self.judge(&ended, now);
        }
        if woken.watch && self.hands.watch_ended() {
            self.watch(watch::Event::Ended, now);
        }
        if woken.load && !self.hands.advance_load() {
            self.weigh(None);
        }
        self.time(now);
        self.log.flush();
        Ok(())
    }

    /// What is due at `now`.
    fn time(&mut self, now: Instant) {
        if let Some(ended) = self.hands.due(now, self.check_until) {
            self.judge(&ended, now);
        }
        if self.ramps().is_some_and(|at| now >= at) {
            self.feed(Event::Tick, now);
            self.settle();
        }
        if now >= self.next_check && self.wants_checks() && !self.hands.is_checking() {
            self.next_check = self.schedule.next(now);
            self.check_until = now + self.args.interval;
            self.say_begin();
            if let Some(ended) = self.hands.begin(now) {
                self.judge(&ended, now);
            }
        }
        if now >= self.next_look {
            self.look(now);
        }
        self.ask_load(now);
        if now >= self.next_beat && !self.hands.parents.is_empty() {
            self.hands.parents.tell(&Said::Alive);
            self.next_beat = now + ChildRules::default().beat;
        }
    }

    /// A check ended.
    fn judge(&mut self, ended: &Ended, now: Instant) {
        let outcome = &ended.outcome;
        self.say_end(ended);
        let seen = self.hands.certificates();
        self.warn_of_ends(seen, now);
        let is_news = self
            .complained
            .as_ref()
            .is_none_or(|(last, at)| !outcome.is_like(last) || (outcome != last && now >= *at + REWORD_EVERY));
        if outcome.is_good() {
            self.complained = None;
        } else if is_news {
            let (check, real) = self.asked(ended.by);
            self.log.say(&Message::Trouble { check, real, outcome });
            self.complained = Some((outcome.clone(), now));
        }
        if !outcome.is_good() {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            self.why = Some((now.map_or(0, |since| since.as_secs()), ended.transcript.clone()));
        }
        if let (true, Some(weight)) = (outcome.is_good(), ended.weight) {
            self.asked_weight = Some(weight);
            self.kept.iter_mut().for_each(|kept| kept.weigh(weight));
        }
        let returns_after = self.before.flaps.returns_after(self.args.threshold());
        self.standing = self.standing.after(outcome.is_good(), self.args.fall, returns_after);
        self.before.was = None;
        self.feed(if outcome.is_good() { Event::Good } else { Event::Bad }, now);
        if self.kept.iter().any(|kept| kept.health.is_doubtful()) {
            self.next_check = self.next_check.min(now + self.retry);
        }
        if let Some(Kept { health, .. }) = self.kept.first() {
            let (active, count) = match health.state() {
                State::Down { good } => (false, good),
                State::New | State::Opaque => (false, 0),
                State::Adopted { .. } | State::Up { .. } | State::Rose => (true, health.returns_after()),
            };
            self.log.say(&Message::Judged { good: outcome.is_good(), active, count });
        }
        self.settle();
        self.tell_flaps(now);
        self.watch(if outcome.is_good() { watch::Event::Good } else { watch::Event::Bad }, now);
    }

    /// Something that matters to the idle connection.
    fn watch(&mut self, event: watch::Event, now: Instant) {
        match self.watch.handle(event, now) {
            Some(watch::Action::Open) => {
                let period = self.args.period;
                if !self.watched.is_some_and(|to| self.hands.watch(to, period)) {
                    self.watch(watch::Event::Ended, now);
                }
            }
            None => {}
            Some(watch::Action::Close) => self.hands.unwatch(),
            Some(watch::Action::CheckSoon) => self.next_check = self.next_check.min(now + watch::SECOND_LOOK),
            Some(watch::Action::Check) => {
                self.log.say(&Message::WatchEnded { real: self.watched.unwrap_or(self.args.real) });
                // One in flight may have begun before.
                self.hands.abandon();
                self.next_check = now;
            }
        }
    }

    /// Warns of certificates that end soon, of each once a day.
    fn warn_of_ends(&mut self, seen: Vec<Certificate>, now: Instant) {
        self.warned.retain(|(_, at)| now < *at + WARN_EVERY);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for certificate in seen {
            let left = certificate.ends.saturating_sub(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX));
            let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
            let is_news = self.warned.iter().all(|(known, _)| *known != certificate);
            if left < certificate.warn_before && is_news && self.warned.len() < CHECKS_MAX {
                self.warned.push((certificate, now));
                self.log.say(&Message::CertificateEnds { real: certificate.of, left });
            }
        }
    }

    /// Which check of several, by its kind, and where it went.
    fn asked(&self, check: usize) -> (Option<CheckKind>, SocketAddr) {
        let several = self.hands.checks().count() > 1;
        match self.hands.checks().nth(check) {
            Some(check) => (check.kind.filter(|_| several), check.target.to),
            None => (None, self.args.real),
        }
    }

    fn say_begin(&self) {
        for check in self.hands.checks() {
            match &check.plan {
                Plan::Converse { transport, topic } => {
                    let protocol = match transport {
                        Transport::Tcp | Transport::Tls(_) => "TCP",
                        Transport::Sctp => "SCTP",
                        Transport::Udp => "UDP",
                        Transport::Icmp => "ICMP",
                    };
                    self.log.say(&Message::Opening { protocol, port: check.target.to.port() });
                    if !topic.sends().is_empty() {
                        self.log.say(&Message::Sending { text: topic.sends() });
                    }
                }
                Plan::Run(command) => self.log.say(&Message::Invoking { program: command }),
            }
        }
    }

    fn say_end(&self, ended: &Ended) {
        let text = ended.said.as_slice();
        match self.hands.checks().nth(ended.by).map(|check| &check.plan) {
            None => {}
            Some(Plan::Converse { .. }) if text.is_empty() => {}
            Some(Plan::Converse { .. }) => self.log.say(&Message::Received { text }),
            Some(Plan::Run(_)) => self.log.say(&Message::ProgramResult { text, real: self.args.real }),
        }
    }

    fn signals(&mut self, now: Instant) -> Flow {
        while let Some(signal) = self.hands.signal() {
            if signal == Signal::SIGTERM || signal == Signal::SIGINT {
                return Err(self.terminate(signal));
            }
            let glasses = [
                (Signal::SIGUSR1, Event::OpaqueOn),
                (Signal::SIGUSR2, Event::RoseOn),
                (Signal::SIGHUP, Event::GlassesOff),
            ];
            if let Some((_, event)) = glasses.into_iter().find(|(of, _)| *of == signal) {
                self.glasses(event, now);
            }
        }
        // SIGCHLD, or not: it costs a look.
        while let Some(end) = self.hands.child_ended(now) {
            match end {
                ChildEnd::Check(ended) => self.judge(&ended, now),
                ChildEnd::Load(output) => {
                    if let Some(monitor) = &mut self.monitor {
                        monitor.due = now + load::EVERY;
                    }
                    self.weigh(output);
                }
                ChildEnd::Forgotten => {}
            }
        }
        Ok(())
    }

    fn glasses(&mut self, event: Event, now: Instant) {
        let is_off = event == Event::GlassesOff;
        if (is_off && self.glasses.is_none()) || self.glasses == Some(event) {
            return;
        }
        self.glasses = Some(event).filter(|_| !is_off);
        self.feed(event, now);
        self.hands.abandon();
        self.watch(watch::Event::Suspended, now);
        self.complained = None;
        self.next_check = now;
        self.settle();
    }

    /// The orderly end: the destination goes with its nanny.
    fn terminate(&mut self, signal: Signal) -> ExitStatus {
        self.log.say(&Message::Terminating { signal: signal as i32 });
        for pid in self.hands.abandon().into_iter().chain(self.hands.abandon_load()) {
            self.log.say(&Message::KillingChild { pid: pid.as_raw() });
        }
        let (mut status, is_one) = (ExitStatus::Stopped, self.kept.len() == 1);
        for kept in &mut self.kept {
            let log = &self.log;
            if let Some(kernel) = &mut self.kernel
                && !kept.remove(kernel, &mut |name, line| say_of(log, name, is_one, line))
            {
                status = ExitStatus::System;
            }
        }
        // Whoever finds nobody here starts another: not before this one is done.
        self.hands.parents.close();
        status
    }
}

#[cfg(test)]
mod tests;
