//! What happens to a pair, and back: the script that the scenes and the benchmark
//! play with either product.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::director::Director;
use crate::ground::gap::Gap;
use crate::ground::lab::signal;
use crate::ground::tell;
use crate::ground::wait::{holds_within, wait_until};

use super::site::{BACKUP, MASTER, Pair, SERVICE, VIP, gap_since};

/// How long anything may take that waits for timers of seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// Every product has shown by then what it makes of an event: a takeover, a
/// respawn, a fail-back.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How often a pair is brought back to where it was: with the fastest timers, on a
/// machine that has other things to do, it may leave again meanwhile.
const SETTLINGS: usize = 3;

/// What happens to the active director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All its cables to clients and partner are pulled.
    Cut,
    /// Its service is stopped.
    Stop,
    /// Its service is restarted, as its init script does it.
    Restart,
    /// Its service is stopped, and started as soon as that is done.
    StopAndStart,
    /// By hand, its VIPs are given to the other one.
    Relocate,
    /// Nothing; it is the other one that is stopped. What this costs is what it costs
    /// the one processor of a guest that processes end.
    StopStandby,
    /// SIGKILL to the process of that place in its list.
    Kill(usize),
}

impl Pair<'_> {
    /// Lets it happen to the master, which is active, and says what a client saw
    /// of it until things were calm again.
    pub fn measure(&self, event: Event) -> Gap {
        let (product, director, standby) = (self.plan.product, &self.directors[MASTER], &self.directors[BACKUP]);
        // Found out before: looking at all processes is work that a client notices.
        let victim = match event {
            Event::Kill(place) => Some(product.processes(director)[place].0),
            Event::Stop | Event::StopAndStart => Some(product.first_process(director)),
            Event::StopStandby => Some(product.first_process(standby)),
            Event::Cut | Event::Restart | Event::Relocate => None,
        };
        let load = self.hasty_load();
        let from = Instant::now();
        match event {
            Event::Cut => self.cut_off(MASTER),
            Event::Restart => product.restart(director),
            Event::Relocate => product.relocate(director),
            Event::Stop | Event::StopAndStart | Event::StopStandby => {
                signal(victim.expect("its first process"), Signal::SIGTERM);
            }
            Event::Kill(_) => signal(victim.expect("a process of its"), Signal::SIGKILL),
        }
        if event == Event::StopAndStart {
            product.wait_until_stopped(victim.expect("its first process"));
            product.start(director);
        } else {
            // Nobody looks while it happens.
            std::thread::sleep(AFTERMATH);
        }
        match event {
            Event::Cut | Event::Stop | Event::Relocate => {
                wait_until(PATIENCE, "the backup takes over", || self.holds_vip(BACKUP));
            }
            Event::Restart | Event::StopAndStart | Event::StopStandby | Event::Kill(_) => {}
        }
        // Somebody serves, and does after a while. Who does not for so long will not by
        // itself: that is a gap as well, and the next event must find a pair.
        let mut calm = Instant::now() + AFTERMATH;
        while Instant::now() < calm {
            if !load.serves_within(PATIENCE, 10) {
                tell::figure(&format!("{product:?}: nobody is served after {event:?}, starting anew"));
                self.settle();
                calm = Instant::now() + AFTERMATH;
            }
        }
        gap_since(&load, from)
    }

    /// Back to how it was in the beginning: both run, the master is active. What an
    /// event left in a state that nobody gets out of by itself is started anew.
    pub fn settle(&self) {
        self.mend(MASTER);
        let product = self.plan.product;
        for _ in 0..SETTLINGS {
            for director in &self.directors {
                if !holds_within(AFTERMATH, || product.is_whole(director)) {
                    product.end(director);
                    product.start(director);
                }
            }
            // Who fails back does so by itself.
            if !holds_within(AFTERMATH, || self.holds_vip(MASTER)) {
                self.take_out(BACKUP);
                if !holds_within(PATIENCE, || self.holds_vip(MASTER)) {
                    self.take_out(MASTER);
                    product.start(&self.directors[MASTER]);
                    wait_until(PATIENCE, "the master serves alone", || self.holds_vip(MASTER));
                }
                product.start(&self.directors[BACKUP]);
            }
            if holds_within(PATIENCE, || self.is_settled()) {
                return;
            }
        }
        self.wait_for_service(MASTER);
        self.wait_until_ready(MASTER);
        self.wait_until_ready(BACKUP);
    }

    /// Stops what is on a director, or ends it if it does not stop.
    fn take_out(&self, which: usize) {
        let (product, director) = (self.plan.product, &self.directors[which]);
        signal(product.first_process(director), Signal::SIGTERM);
        if !holds_within(PATIENCE, || product.processes(director).is_empty()) {
            product.end(director);
            director.forget();
        }
    }

    fn is_settled(&self) -> bool {
        let product = self.plan.product;
        let are_whole = self.directors.iter().all(|director| product.is_whole(director));
        let is_ready =
            |director: &Director| director.kernel_table().destinations(SERVICE).len() == self.plan.destinations().len();
        are_whole
            && self.holds_vip(MASTER)
            && !self.holds_vip(BACKUP)
            && self.directors.iter().all(is_ready)
            && self.client.ask(VIP).is_ok()
    }
}
