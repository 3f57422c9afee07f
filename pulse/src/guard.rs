//! The guardian. Under SysV nobody starts a killed pulse again, so in daemon
//! mode pulse is two processes:
//!
//! ```text
//! pulse-guard (its pid is in /var/run/pulse.pid)      pulse
//!   keeps pulse by the rules of common::child  ──►      does the work; at the end
//!   passes TERM, INT and HUP on to it                   of its line, unless a stop
//!   touches nothing in the kernel              ◄──      was asked for, it starts
//!                                                       another guardian
//! ```
//!
//! So either may be killed, and after a moment there are two again. The new
//! guardian finds the pulse that started it at its meeting place. If both are
//! killed at once, lvsd, the nannies, and the addresses stay as they are, and the
//! next start adopts them all. The guardian's name is `pulse-guard`, so that
//! `killall -9 pulse` is a death pulse survives; `pulse` in `ps` is the worker.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::channel::{self, Ask, Line, Received, Said};
use common::child::{Action, Child, Event, Exit, Rules};
use common::daemon::{self, ExitStatus, Launch};
use common::log::Log;
use common::process;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::args::Args;
use crate::hands::{signal, text, watch};
use crate::messages::{Message, What};
use crate::node::reported;
use crate::ready::Source;
use crate::run::{self, Wait};
use crate::start::{self, Refused};

/// The name in `ps` and for killall: 15 bytes at most, and not `pulse`.
const NAME: &std::ffi::CStr = c"pulse-guard";

/// How many starts a stop waits for when there is no pulse that could carry it
/// out: a fresh one takes over what its predecessor left and removes it.
const STARTS_FOR_A_STOP: u32 = 3;

/// How long a restart tries to follow the guardian that is, and how often.
const SUCCEED_WITHIN: Duration = Duration::from_secs(10);
const SUCCEED_AGAIN: Duration = Duration::from_millis(20);

/// How pulse is kept. Its own stop takes 55 s at worst: its addresses, late packets,
/// lvsd, and the user's commands.
fn rules() -> Rules {
    Rules { stop_within: Duration::from_secs(60), ..Rules::default() }
}

/// When to wake although nothing came. Only a wait that is short beside the time
/// after which pulse counts as frozen shows that it was us who slept.
fn wake_at(deadline: Option<Instant>, now: Instant) -> Instant {
    let soon = now + rules().beat;
    deadline.map_or(soon, |deadline| deadline.min(soon))
}

/// The pulse that does the work.
struct Worker {
    pid: u32,
    line: Option<Line>,
    /// Whether it is our child, whose end waitpid tells.
    ours: bool,
    /// It said hello: it handles signals now.
    listens: bool,
    /// It was asked to make room for another: that one's start is the one that counts.
    leaves: bool,
}

struct Guardian {
    args: Args,
    log: Rc<Log>,
    program: std::path::PathBuf,
    registry: mio::Registry,
    child: Child,
    worker: Option<Worker>,
    /// The line to a pulse that is to be taken over.
    joined: Option<Line>,
    /// The command that waits for the outcome of the start.
    launch: Option<Launch>,
    /// The signal that asked for a stop.
    stop: Option<i32>,
    /// The stop was passed on.
    stopping: bool,
    hangup: bool,
    failed_starts: u32,
    /// The exit status of the first pulse, which never came up; or of the end.
    ending: Option<u8>,
}

/// Guards a pulse. `launch` is the command that wants to know how the start
/// went; without one the guardian was started by the pulse it is to guard.
pub fn run(args: Args, launch: Option<Launch>) -> u8 {
    // Neither can fail in a way that matters: the name is for ps, and a guardian
    // that was started by pulse may lead a session already.
    let _ = nix::sys::prctl::set_name(NAME);
    let _ = nix::unistd::setsid();
    let log = Rc::new(run::log(&args));
    match guard(args, &log, launch) {
        Ok(status) => status,
        Err(refused) => {
            refused.say(&log);
            refused.status as u8
        }
    }
}

fn guard(args: Args, log: &Rc<Log>, launch: Option<Launch>) -> Result<u8, Refused> {
    let mut wait = Wait::new().map_err(|e| Refused::system("listen for signals", &e))?;
    let registry = wait.registry().map_err(|e| Refused::system("wait for events", &e))?;
    // A pulse that has been joined has a guardian all the time, and starts no other.
    let joined = args.restart.then(join).and_then(Result::ok);
    let pid_file = if args.restart { succeed(&mut wait)? } else { start::take_pid_file()? };
    let mut guardian = Guardian {
        args,
        log: Rc::clone(log),
        program: run::program(),
        registry,
        child: Child::new(rules(), u64::from(std::process::id()), Instant::now()),
        worker: None,
        joined,
        launch,
        stop: None,
        stopping: false,
        hangup: false,
        failed_starts: 0,
        ending: None,
    };
    let outcome = guardian.turn(&mut wait);
    pid_file.remove();
    outcome
}

impl Guardian {
    fn turn(&mut self, wait: &mut Wait) -> Result<u8, Refused> {
        self.feed(Event::Tick);
        loop {
            if let Some(status) = self.ending {
                return Ok(status);
            }
            let wake_at = wake_at(self.child.deadline(), Instant::now());
            let slept = wait.until(Some(wake_at)).map_err(|e| Refused::system("wait for events", &e))?;
            if slept.is_some() {
                self.feed(Event::Slept);
            }
            for signal in wait.signals() {
                self.on_signal(signal);
            }
            self.receive();
            self.reap();
            self.feed(Event::Tick);
            self.log.flush();
        }
    }

    fn on_signal(&mut self, number: i32) {
        match number {
            SIGTERM | SIGINT => {
                self.stop = self.stop.or(Some(number));
                if self.worker.is_none() {
                    // Nobody is there to carry it out; do not wait for the next try.
                    self.feed(Event::Replace);
                }
            }
            SIGHUP => self.hangup = true,
            _ => self.log.say(&Message::SignalIgnored(number)),
        }
        self.pass_on();
    }

    /// Passes on what was asked, once there is somebody who listens.
    fn pass_on(&mut self) {
        let Some(pid) = self.worker.as_ref().filter(|worker| worker.listens).map(|worker| worker.pid) else { return };
        if self.stop.is_some() && !self.stopping {
            self.stopping = true;
            self.feed(Event::Stop);
        } else if std::mem::take(&mut self.hangup) && !self.stopping {
            signal(pid, Signal::SIGHUP);
        }
    }

    fn feed(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.child.handle(event, Instant::now(), &mut actions);
        for action in actions {
            match action {
                Action::Spawn => {
                    let event = self.spawn();
                    self.feed(event);
                }
                Action::Terminate(pid) => {
                    signal(pid, if self.stop == Some(SIGINT) { Signal::SIGINT } else { Signal::SIGTERM });
                }
                Action::Kill(pid) => signal(pid, Signal::SIGKILL),
                Action::Release(_) => {
                    if let Some(line) = self.worker.as_ref().and_then(|worker| worker.line.as_ref()) {
                        // An ended line is a process on its way out already.
                        let _ = line.send(&Ask::Release.encode());
                    }
                }
                Action::Report(report) => {
                    for message in reported(&report, What::Pulse) {
                        self.log.say(&message);
                    }
                }
            }
        }
        if self.child.is_over() && self.ending.is_none() {
            self.ending = Some(ExitStatus::Stopped as u8);
        }
    }

    /// Adopts a living pulse, or starts one.
    fn spawn(&mut self) -> Event {
        match self.join() {
            Ok(worker) => {
                let pid = worker.pid;
                self.worker = Some(worker);
                Event::Adopted(pid)
            }
            Err(_) => match self.start() {
                Ok(worker) => {
                    let pid = worker.pid;
                    self.worker = Some(worker);
                    Event::Spawned(pid)
                }
                Err(e) => {
                    self.log.say(&Message::System { what: "start pulse", error: e.to_string() });
                    Event::SpawnFailed
                }
            },
        }
    }

    fn join(&mut self) -> io::Result<Worker> {
        let line = self.joined.take().map_or_else(join, Ok)?;
        watch(&self.registry, &line, Source::Parents)?;
        let pid = line.peer()?.pid().unsigned_abs();
        Ok(Worker { pid, line: Some(line), ours: false, listens: true, leaves: false })
    }

    fn start(&self) -> io::Result<Worker> {
        let (line, theirs) = Line::pair()?;
        watch(&self.registry, &line, Source::Parents)?;
        let mut command = daemon::command(&self.program);
        // Forced is the start that was asked for; a pulse that died later was
        // perhaps the standby.
        let asked_for = self.launch.is_some() && !self.args.restart;
        let args = Args { forceactive: self.args.forceactive && asked_for, ..self.args.clone() };
        command.args(args.passed_on("--worker")).stdin(theirs);
        Ok(Worker { pid: command.spawn()?.id(), line: Some(line), ours: true, listens: false, leaves: false })
    }

    fn receive(&mut self) {
        loop {
            let Some(worker) = self.worker.as_mut() else { return };
            let (ours, pid) = (worker.ours, worker.pid);
            let Some(line) = worker.line.as_ref() else { return };
            match line.receive_said() {
                Received::Message(Said::Hello { arguments, version, .. }) => {
                    worker.listens = true;
                    self.feed(Event::Heard);
                    let wanted = text(&self.args.passed_on("--worker"));
                    let other = is_other(&arguments, &wanted) || version != channel::VERSION;
                    if !ours && other {
                        self.log.say(&Message::PulseOther(pid));
                    }
                    if !ours && (other || self.is_restart()) {
                        self.replace();
                    }
                    self.pass_on();
                }
                Received::Message(Said::Ready) => {
                    if !worker.leaves {
                        self.tell_launch();
                    }
                    self.feed(Event::Ready);
                }
                // The last pulse still carries out its stop, and somebody asked for
                // a start meanwhile: that start comes after it.
                Received::Message(Said::Leaving(_)) if !ours && self.launch.is_some() => {
                    self.log.say(&Message::WaitingForStop(pid));
                    self.feed(Event::Replace);
                }
                // A TERM that went to it directly: it stops, and so do we.
                Received::Message(Said::Leaving(_)) => {
                    self.stop = self.stop.or(Some(SIGTERM));
                    self.pass_on();
                }
                Received::Message(
                    Said::Alive
                    | Said::Verdict { .. }
                    | Said::Why { .. }
                    | Said::Unable(_)
                    | Said::Able
                    | Said::Withdrawn(_)
                    | Said::News(_)
                    | Said::Flaps(_)
                    | Said::Holds(_)
                    | Said::Dropped(_)
                    | Said::Answer { .. },
                )
                | Received::Garbage(_) => {
                    self.feed(Event::Heard);
                }
                Received::Nothing => return,
                Received::Ended if ours => {
                    worker.line = None; // how it ended, waitpid will tell
                    return;
                }
                Received::Ended => return self.gone(Exit::Unknown),
            }
        }
    }

    fn reap(&mut self) {
        while let Some((pid, exit)) = process::reap() {
            if self.worker.as_ref().is_some_and(|worker| worker.ours && worker.pid == pid) {
                self.gone(exit);
            }
        }
    }

    fn gone(&mut self, exit: Exit) {
        self.worker = None;
        if let (Some(_), Exit::Status(status)) = (&self.launch, exit) {
            // It never came up, and has said why.
            self.ending = Some(u8::try_from(status).unwrap_or(ExitStatus::Bug as u8));
            return;
        }
        if self.stopping && cut_short(exit) {
            // Somebody killed it over its stop; another takes up what it left.
            self.stopping = false;
            self.child = Child::new(rules(), u64::from(std::process::id()), Instant::now());
        } else {
            self.feed(Event::Gone(exit));
        }
        if self.stop.is_none() || self.stopping {
            return;
        }
        // The stop still waits for a pulse that can carry it out.
        self.failed_starts += 1;
        if self.failed_starts >= STARTS_FOR_A_STOP {
            self.ending = Some(ExitStatus::Stopped as u8);
        } else if self.worker.is_none() {
            self.feed(Event::Replace);
        }
    }

    /// A restart that has not put a pulse of its own to work yet.
    fn is_restart(&self) -> bool {
        self.args.restart && self.launch.is_some()
    }

    fn replace(&mut self) {
        if let Some(worker) = self.worker.as_mut() {
            worker.leaves = true;
        }
        self.feed(Event::Replace);
    }

    /// The start succeeded: the command that asked for it may go.
    fn tell_launch(&mut self) {
        if let Some(launch) = self.launch.take() {
            // Whoever interrupted it meanwhile wanted no answer.
            let _ = launch.ready();
        }
    }
}

/// A line to the pulse that runs, whoever started it.
fn join() -> io::Result<Line> {
    channel::join(&daemon::run_root().join("pulse"))
}

/// Takes the pid file from the guardian there is, if there is one. That one is
/// ended as any crash would end it.
fn succeed(wait: &mut Wait) -> Result<daemon::PidFile, Refused> {
    let end = Instant::now() + SUCCEED_WITHIN;
    loop {
        match start::take_pid_file() {
            Err(Refused { message: Message::AlreadyRunning(pid), .. })
                if Instant::now() < end && may_be_guardian(pid) =>
            {
                signal(pid, Signal::SIGKILL); // 0 is one that has not written its pid yet
            }
            taken => return taken,
        }
        let soon = Some(Instant::now() + SUCCEED_AGAIN);
        wait.until(soon).map_err(|e| Refused::system("wait for events", &e))?;
    }
}

/// Whether the process in the pid file may be ended: a pulse in the foreground is its
/// supervisor's, and its death would be more than one of a guardian.
fn may_be_guardian(pid: u32) -> bool {
    let name = || std::fs::read_to_string(format!("/proc/{pid}/comm"));
    // One that is gone has left the pid file too.
    pid == 0 || name().map_or(true, |name| name.trim_end().as_bytes() == NAME.to_bytes())
}

/// Whether two command lines mean another pulse; how it was started does not count.
fn is_other(one: &[String], other: &[String]) -> bool {
    let lasting = |line: &&String| *line != "--forceactive";
    !one.iter().filter(lasting).eq(other.iter().filter(lasting))
}

/// Whether a pulse that was told to stop ended before it had. Of one that is not
/// our child the ledger tells: it is gone when nothing is left to remove.
fn cut_short(exit: Exit) -> bool {
    match exit {
        Exit::Status(_) => false,
        Exit::Signal(_) => true,
        Exit::Unknown => start::ledger_path().exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guardians_name_fits_the_kernel_and_is_not_hit_by_a_killall_of_pulse() {
        let name = NAME.to_str().unwrap();
        assert!(name.len() <= 15);
        assert_ne!(name, "pulse");
    }

    #[test]
    fn a_forced_start_does_not_make_another_pulse_of_the_same() {
        let line = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(!is_other(&line("--worker -c x --forceactive"), &line("--worker -c x")));
        assert!(is_other(&line("--worker -c x"), &line("--worker -c y")));
    }

    #[test]
    fn a_pause_of_both_is_seen_before_pulse_counts_as_frozen() {
        let now = Instant::now();
        let longest = wake_at(Some(now + rules().frozen_after), now) - now;
        // pulse may have been silent for a beat already when the pause began
        assert!(rules().beat + longest + run::LATE < rules().frozen_after);
        assert_eq!(wake_at(Some(now), now), now);
    }

    #[test]
    fn a_pulse_that_stops_in_order_is_never_killed_for_it() {
        use crate::linger::LINGER;
        use crate::node::{LOWER_WITHIN, lvsd_rules};
        assert!(rules().stop_within > LOWER_WITHIN + LINGER + lvsd_rules().stop_within * 2);
        assert_eq!(rules().frozen_after, Rules::default().frozen_after);
    }
}
