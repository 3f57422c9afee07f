//! lvsd, as a whole node has it: a process that is ready soon after its start, says
//! that it lives, outlives its pulse, and has its illnesses.

use common::child::{self, Exit};

use super::*;

/// What lvsd suffers from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Illness {
    /// Each ends so long after its start, and the one that runs at once.
    Dies { after: Duration },
    /// It lives, and something keeps it from getting ready.
    Unready,
    /// Soon after its start it says nothing any more, and a TERM does not end it.
    Frozen,
    /// It cannot be started.
    Missing,
    /// It takes so long to be ready: no illness, if that is soon enough.
    Slow { ready_in: Duration },
}

/// What an lvsd does by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Beats,
    GetsReady,
    Ends,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lvsd {
    pid: u32,
    is_ready: bool,
}

/// How long an ill lvsd may go unnoticed: three that live for half a minute each,
/// with the waits between their starts.
const NOTICED_WITHIN: Duration = Duration::from_secs(150);

/// How long a director is not fit after its lvsd is well: the longest wait for the
/// next start, for that to be ready, and then to be trusted.
pub(super) const MENDED_WITHIN: Duration = Duration::from_secs(180);

/// How long an lvsd usually takes, from its start.
const HELLO_AFTER: Duration = Duration::from_millis(20);
const READY_AFTER: Duration = Duration::from_millis(300);

impl Machine {
    /// Whether lvsd can serve; `None` while its pulse may not know.
    pub(super) fn serves(&self, now: Duration) -> Option<bool> {
        let since = self.illness_changed.map_or(Duration::MAX, |changed| now - changed);
        match self.illness {
            None | Some(Illness::Slow { .. }) => (since >= MENDED_WITHIN).then_some(true),
            Some(Illness::Dies { .. } | Illness::Unready | Illness::Frozen | Illness::Missing) => {
                (since >= NOTICED_WITHIN).then_some(false)
            }
        }
    }
}

fn lvsd(event: child::Event) -> node::Event {
    node::Event::Lvsd(event)
}

impl World {
    pub(super) fn spawn_lvsd(&mut self, host: usize) -> child::Event {
        let machine = &mut self.hosts[host].machine;
        if let Some(Lvsd { pid, is_ready }) = machine.lvsd {
            self.tell_node(host, lvsd(child::Event::Heard));
            if is_ready {
                self.tell_later(host, lvsd(child::Event::Ready));
            }
            return child::Event::Adopted(pid);
        }
        if matches!(machine.illness, Some(Illness::Missing)) {
            return child::Event::SpawnFailed;
        }
        let pid = machine.pid();
        let illness = machine.illness;
        machine.lvsd = Some(Lvsd { pid, is_ready: false });
        let mut later = |after, does| self.later(self.now + after, Happening::Lvsd { host, pid, does });
        later(HELLO_AFTER, Does::Beats);
        match illness {
            Some(Illness::Unready | Illness::Missing) => {}
            Some(Illness::Slow { ready_in }) => later(ready_in, Does::GetsReady),
            Some(Illness::Dies { after }) => {
                later(READY_AFTER, Does::GetsReady);
                later(after, Does::Ends);
            }
            Some(Illness::Frozen) | None => later(READY_AFTER, Does::GetsReady),
        }
        child::Event::Spawned(pid)
    }

    pub(super) fn lvsd_does(&mut self, host: usize, pid: u32, does: Does) {
        let machine = &mut self.hosts[host].machine;
        let Some(it) = machine.lvsd.as_mut().filter(|lvsd| lvsd.pid == pid) else { return };
        match does {
            Does::Beats => {
                let is_frozen = it.is_ready && matches!(machine.illness, Some(Illness::Frozen));
                let beat = child::Rules::default().beat;
                self.later(self.now + beat, Happening::Lvsd { host, pid, does });
                if !is_frozen {
                    self.tell_node(host, lvsd(child::Event::Heard));
                }
            }
            Does::GetsReady => {
                it.is_ready = true;
                self.tell_node(host, lvsd(child::Event::Ready));
            }
            Does::Ends => {
                machine.lvsd = None;
                self.tell_node(host, lvsd(child::Event::Gone(Exit::Signal(9))));
            }
        }
    }

    /// What ails lvsd from now on.
    pub(super) fn fall_ill(&mut self, host: usize, illness: Illness) {
        let now = self.now;
        let machine = &mut self.hosts[host].machine;
        (machine.illness, machine.illness_changed) = (Some(illness), Some(now));
        let Some(Lvsd { pid, .. }) = machine.lvsd else { return };
        if !matches!(illness, Illness::Frozen) {
            self.lvsd_does(host, pid, Does::Ends);
        }
    }

    /// And what ailed it until now.
    pub(super) fn recover(&mut self, host: usize) {
        let now = self.now;
        let machine = &mut self.hosts[host].machine;
        (machine.illness, machine.illness_changed) = (None, Some(now));
        if let Some(Lvsd { pid, is_ready: false }) = machine.lvsd {
            self.later(now + READY_AFTER, Happening::Lvsd { host, pid, does: Does::GetsReady });
        }
    }

    /// A TERM, if it takes one.
    pub(super) fn end_lvsd(&mut self, host: usize, pid: u32) {
        if !matches!(self.hosts[host].machine.illness, Some(Illness::Frozen)) {
            let after = HELLO_AFTER + self.dice.up_to(READY_AFTER);
            self.later(self.now + after, Happening::Lvsd { host, pid, does: Does::Ends });
        }
    }
}
