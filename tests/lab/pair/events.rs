//! What happens to a pair, and back: the script that the scenes and the benchmark
//! play with either product.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::gap::Gap;
use crate::ground::lab::signal;
use crate::ground::wait::{holds_within, wait_until};

use super::site::{BACKUP, MASTER, Pair, gap_since};

/// How long anything may take that waits for timers of seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// Every product has shown by then what it makes of an event: a takeover, a
/// respawn, a fail-back.
const AFTERMATH: Duration = Duration::from_secs(2);

/// What happens to the active director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All its cables to clients and partner are pulled.
    Cut,
    /// Its service is stopped.
    Stop,
    /// Its service is stopped, and started as soon as that is done.
    Restart,
    /// SIGKILL to the process of that place in its list.
    Kill(usize),
}

impl Pair<'_> {
    /// Lets it happen to the master, which is active, and says what a client saw
    /// of it until things were calm again.
    pub fn measure(&self, event: Event) -> Gap {
        let load = self.hasty_load();
        let from = Instant::now();
        let director = &self.directors[MASTER];
        match event {
            Event::Cut => {
                self.cut_off(MASTER);
                wait_until(PATIENCE, "the backup takes over", || self.holds_vip(BACKUP));
            }
            Event::Stop => {
                self.plan.product.stop(director);
                wait_until(PATIENCE, "the backup takes over", || self.holds_vip(BACKUP));
            }
            Event::Restart => {
                self.plan.product.stop(director);
                self.plan.product.start(director);
            }
            Event::Kill(place) => signal(self.plan.product.processes(director)[place].0, Signal::SIGKILL),
        }
        // Somebody serves, and does after a while.
        let calm = Instant::now() + AFTERMATH;
        wait_until(PATIENCE, "things are calm again", || {
            load.wait_for_served(10);
            Instant::now() > calm
        });
        gap_since(&load, from)
    }

    /// Back to how it was in the beginning: both run, the master is active.
    pub fn settle(&self) {
        self.mend(MASTER);
        let product = self.plan.product;
        for director in &self.directors {
            if !holds_within(AFTERMATH, || product.is_whole(director)) {
                product.end(director);
                product.start(director);
            }
        }
        self.wait_until_ready(MASTER);
        // Who fails back does so by itself.
        if !holds_within(AFTERMATH, || self.holds_vip(MASTER)) {
            product.stop(&self.directors[BACKUP]);
            wait_until(PATIENCE, "the master takes over", || self.holds_vip(MASTER));
            product.start(&self.directors[BACKUP]);
        }
        self.wait_for_service(MASTER);
        self.wait_until_ready(BACKUP);
    }
}
