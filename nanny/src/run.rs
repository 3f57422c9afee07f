//! nanny's one loop: waits for the nearest of {signal, socket or program of the
//! check, lvsd, time}, feeds the machines, and has the hands do what follows.
//!
//! ```text
//!  check ends ──► Health ──► Wanted ──► Table::settle ──► the kernel
//!  signal ──────►   │  └───► Change ──► log
//!                   └──────► verdict ─► lvsd, when the kernel has it
//!  look is due ─► Table::look ──► Health (adopts what is there), Table::settle (repairs)
//! ```
//!
//! Nothing here ends because of the kernel, because of the real server or because
//! lvsd is gone: only TERM, INT and [`Ask::Release`] end it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::channel::{Ask, Line, Received, Said};
use common::child::Rules as ChildRules;
use common::daemon::{ExitStatus, Launch};
use common::ipvs;
use common::log::Log;
use nix::sys::signal::Signal;

use crate::args::{Args, Place};
use crate::destination::Owned;
use crate::hands::table::{Open, Table};
use crate::hands::{Ended, Hands, Woken};
use crate::health::{Change, Event, Failed, Health, Rules, State};
use crate::messages::Message;
use crate::probe::{self, Outcome, Plan};
use crate::schedule::{self, Schedule};
use crate::watch::{self, Watch};

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
}

/// Runs until asked to stop; the exit status.
pub fn run(setup: Setup) -> ExitStatus {
    let plan = Plan::new(&setup.args);
    let hands = match Hands::new(plan, setup.args.real) {
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
    health: Health,
    /// `None`: the kernel is left alone.
    table: Option<Table>,
    schedule: Schedule,
    /// When the check in flight must be over.
    check_until: Instant,
    next_check: Instant,
    next_look: Instant,
    next_beat: Instant,
    /// From a failed check to the next while the server is in doubt.
    retry: Duration,
    watch: Watch,
    /// The failure that was last said, until a check is good.
    complained: Option<Outcome>,
    /// The verdict lvsd has heard.
    told: Option<(bool, u32)>,
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

fn rules(args: &Args) -> Rules {
    let failed = match (args.inhibit, args.quiesce) {
        (true, _) => Failed::Inhibited,
        (false, true) => Failed::Quiesced,
        (false, false) => Failed::Removed,
    };
    let Args { fall, weight, slow_start, dampen, .. } = *args;
    Rules { fall, threshold: args.threshold(), weight, failed, slow_start, dampen }
}

/// `Err` ends the loop with this status.
type Flow = Result<(), ExitStatus>;

impl Nanny {
    fn new(setup: Setup, hands: Hands) -> Self {
        let Setup { args, log, open, line, launch, place, arguments, seed } = setup;
        let owned = Owned { key: args.destination(), method: args.method, limits: args.limits };
        let table = open.map(|open| Table::new(open, args.service, &args.service_name, owned, args.real));
        let now = Instant::now();
        Self {
            schedule: Schedule::new(now, args.period, seed),
            health: Health::new(rules(&args)),
            check_until: now,
            next_check: now,
            next_look: now + schedule::spread(schedule::LOOK_EVERY, seed),
            next_beat: now,
            retry: schedule::soon(args.retry, seed),
            watch: Watch::new(watch::is_wanted(&args), args.period, now),
            complained: None,
            told: None,
            ready: false,
            supervised: line.is_some(),
            started: false,
            args,
            log,
            hands,
            table,
            launch,
            line,
            place,
            arguments,
        }
    }

    /// Up to the first check: says what is watched, looks at the kernel, meets lvsd.
    fn start(&mut self) -> Flow {
        self.introduce();
        if let (Err(ipvs::Error::Permission), false) = (self.look_and_adopt(Instant::now()), self.supervised) {
            self.refuse_to_start(&Message::NoRight { error: &ipvs::Error::Permission });
            return Err(ExitStatus::Permission);
        }
        self.open_place()?;
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
        if let Some(command) = &args.load {
            self.log.say(&Message::LoadIgnored { command, weight: args.weight });
        }
        self.log.say(&Message::Starting { service: &args.service_name, real: args.real });
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
        } else if self.health.is_checking() {
            self.next_check
        } else {
            self.next_look
        };
        if self.table.is_some() || !self.health.is_checking() {
            nearest = nearest.min(self.next_look);
        }
        nearest = self.health.deadline().map_or(nearest, |at| nearest.min(at));
        if self.hands.parents.is_empty() { nearest } else { nearest.min(self.next_beat) }
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
        self.time(now);
        self.log.flush();
        Ok(())
    }

    /// What is due at `now`.
    fn time(&mut self, now: Instant) {
        if let Some(ended) = self.hands.due(now, self.check_until) {
            self.judge(&ended, now);
        }
        if self.health.deadline().is_some_and(|at| now >= at) {
            self.feed(Event::Tick, now);
            self.settle();
        }
        if now >= self.next_check && self.health.is_checking() && !self.hands.is_checking() {
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
        if now >= self.next_beat && !self.hands.parents.is_empty() {
            self.hands.parents.tell(&Said::Alive);
            self.next_beat = now + ChildRules::default().beat;
        }
    }

    /// A check ended.
    fn judge(&mut self, ended: &Ended, now: Instant) {
        let outcome = &ended.outcome;
        self.say_end(ended);
        if outcome.is_good() {
            self.complained = None;
        } else if self.complained.as_ref() != Some(outcome) {
            self.log.say(&Message::Trouble { real: self.args.real, outcome });
            self.complained = Some(outcome.clone());
        }
        self.feed(if outcome.is_good() { Event::Good } else { Event::Bad }, now);
        if self.health.is_doubtful() {
            self.next_check = self.next_check.min(now + self.retry);
        }
        let (active, count) = match self.health.state() {
            State::Down { good } => (false, good),
            State::New | State::Opaque => (false, 0),
            State::Adopted { .. } | State::Up { .. } | State::Rose => (true, self.health.returns_after()),
        };
        self.log.say(&Message::Judged { good: outcome.is_good(), active, count });
        self.settle();
        self.watch(if outcome.is_good() { watch::Event::Good } else { watch::Event::Bad }, now);
    }

    /// Something that matters to the idle connection.
    fn watch(&mut self, event: watch::Event, now: Instant) {
        match self.watch.handle(event, now) {
            Some(watch::Action::Open) if !self.hands.watch(self.args.period) => self.watch(watch::Event::Ended, now),
            Some(watch::Action::Open) | None => {}
            Some(watch::Action::Close) => self.hands.unwatch(),
            Some(watch::Action::CheckSoon) => self.next_check = self.next_check.min(now + watch::SECOND_LOOK),
            Some(watch::Action::Check) => {
                self.log.say(&Message::WatchEnded { real: self.args.real });
                // One in flight may have begun before.
                self.hands.abandon();
                self.next_check = now;
            }
        }
    }

    fn say_begin(&self) {
        match self.hands.plan() {
            Plan::Converse(script) => {
                let protocol = if script.is_datagram() { "UDP" } else { "TCP" };
                self.log.say(&Message::Opening { protocol, port: self.args.real.port() });
                if !script.sends().is_empty() {
                    self.log.say(&Message::Sending { text: script.sends() });
                }
            }
            Plan::Run(command) => self.log.say(&Message::Invoking { program: command }),
        }
    }

    fn say_end(&self, ended: &Ended) {
        let text = ended.said.as_slice();
        match self.hands.plan() {
            Plan::Converse(_) if text.is_empty() => {}
            Plan::Converse(_) => self.log.say(&Message::Received { text }),
            Plan::Run(_) => self.log.say(&Message::ProgramResult { text, real: self.args.real }),
        }
    }

    /// Hands an event to the judge; says what changed. [`Self::settle`] is to follow.
    fn feed(&mut self, event: Event, now: Instant) {
        let mut changes = Vec::new();
        self.health.handle(event, now, &mut changes);
        let real = self.args.real;
        for change in changes {
            self.log.say(&match change {
                Change::Admitted => Message::Active { real },
                Change::Removed => Message::Inactive { real },
                Change::Held => Message::Held { real },
                Change::Dampened(checks) => Message::Dampened { real, checks },
                Change::LeftOut => Message::LeftOut { real },
                Change::Adopted(weight) => Message::Adopted { real, weight },
                Change::AdoptedQuiesced => Message::AdoptedQuiesced { real },
                Change::OpaqueOn => Message::OpaqueOn,
                Change::ForcedOut => Message::ForcedOut { real },
                Change::RoseOn => Message::RoseOn,
                Change::GlassesOff => Message::GlassesOff,
            });
        }
    }

    /// Brings the kernel to what health wants, and only then tells lvsd: on that word
    /// it takes out what this destination replaces.
    fn settle(&mut self) {
        if let Some(table) = &mut self.table {
            let log = &self.log;
            table.settle(self.health.wanted(), &mut |message| log.say(message));
        }
        let verdict = self.health.verdict();
        if verdict != self.told {
            self.told = verdict;
            if let Some((available, weight)) = verdict {
                self.hands.parents.tell(&Said::Verdict { available, weight });
            }
        }
    }

    /// Reads the kernel; health learns what it has.
    fn look_and_adopt(&mut self, now: Instant) -> Result<(), ipvs::Error> {
        if let Some(table) = &mut self.table {
            let log = &self.log;
            // Said in another way by those who exit for it.
            let exits = !self.started && !self.supervised;
            let found = table.look(&mut |message| {
                if !(exits && matches!(message, Message::TableTrouble { error: ipvs::Error::Permission })) {
                    log.say(message);
                }
            })?;
            self.feed(Event::Found(found), now);
        }
        if !self.ready {
            self.ready = true;
            self.hands.parents.tell(&Said::Ready);
        }
        Ok(())
    }

    /// Reads the kernel and sets it right; also decides when to do so next.
    fn look(&mut self, now: Instant) {
        // What was wrong has been said.
        let looked = self.look_and_adopt(now);
        if looked.is_ok() {
            self.settle();
        }
        let every = self.table.as_ref().map_or(schedule::LOOK_EVERY, |table| {
            if table.is_refused() { schedule::LOOK_EVERY_REFUSED } else { schedule::look_every(table.destinations()) }
        });
        self.next_look = now + every;
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
        while let Some(ended) = self.hands.child_ended(now) {
            if let Some(ended) = ended {
                self.judge(&ended, now);
            }
        }
        Ok(())
    }

    fn glasses(&mut self, event: Event, now: Instant) {
        let before = self.health.state();
        self.feed(event, now);
        if self.health.state() == before {
            return;
        }
        self.hands.abandon();
        self.watch(watch::Event::Suspended, now);
        self.complained = None;
        self.next_check = now;
        self.settle();
    }

    /// The orderly end: the destination goes with its nanny.
    fn terminate(&mut self, signal: Signal) -> ExitStatus {
        self.log.say(&Message::Terminating { signal: signal as i32 });
        if let Some(pid) = self.hands.abandon() {
            self.log.say(&Message::KillingChild { pid: pid.as_raw() });
        }
        self.hands.parents.close();
        if let Some(table) = &mut self.table
            && let Err(error) = table.remove()
        {
            self.log.say(&Message::NotRemoved { destination: self.args.destination(), error: &error });
            return ExitStatus::System;
        }
        ExitStatus::Stopped
    }

    /// What lvsd asks.
    fn asks(&mut self, number: usize, now: Instant) -> Flow {
        loop {
            match self.hands.parents.ask(number) {
                Received::Message(Ask::Release) => {
                    self.log.say(&Message::Released { real: self.args.real });
                    self.hands.abandon();
                    self.hands.parents.close();
                    return Err(ExitStatus::Stopped);
                }
                Received::Message(Ask::Check) => {
                    let log = &self.log;
                    let wanted = self.health.wanted();
                    let put_back = |table: &mut Table| table.put_back(wanted, &mut |message| log.say(message));
                    if !self.table.as_mut().is_some_and(put_back) {
                        self.look(now);
                    }
                }
                Received::Message(Ask::Stay(stays)) => {
                    self.feed(Event::Stay(stays), now);
                    self.settle();
                }
                // A newer lvsd may say more than we know; operators speak to lvsd.
                Received::Message(Ask::Order { .. } | Ask::Status(_)) | Received::Garbage(_) => {}
                Received::Nothing => return Ok(()),
                Received::Ended => {
                    self.log.say(&Message::LineEnded);
                    return Ok(());
                }
            }
        }
    }

    /// A new line: who we are and how things are.
    fn meet(&mut self, line: Line) {
        let pid = line.peer().map_or(0, |peer| peer.pid());
        let added = self.hands.registry().and_then(|registry| self.hands.parents.add(line, &registry));
        let Ok(Some(number)) = added else { return };
        self.log.say(&Message::LineJoined { pid });
        let hello = Said::Hello { pid: std::process::id(), arguments: self.arguments.clone() };
        self.hands.parents.tell_one(number, &hello);
        if self.ready {
            self.hands.parents.tell_one(number, &Said::Ready);
        }
        if let Some((available, weight)) = self.told {
            self.hands.parents.tell_one(number, &Said::Verdict { available, weight });
        }
    }
}

#[cfg(test)]
mod tests;
