//! PURE. lvsd and the guardian as the node keeps them: what [`Child`] decides
//! about each becomes actions and lines.

use std::time::{Duration, Instant};

use common::child::{self, Report};

use super::{Action, Node, State, lvsd_rules};
use crate::election::{self, Watched};
use crate::messages::{Message, What};

/// So many deaths of lvsd in a row are no accident: another director may do better.
/// One or two cost nothing, for the next one finds everything in place.
pub(super) const DEATHS_MAX: u32 = 3;

/// An lvsd that lives and is not ready for so long cannot be counted on either: a
/// director that could serve should. Twice what the largest file we know of takes.
pub const READY_WITHIN: Duration = Duration::from_secs(30);

impl Node {
    /// What lvsd's health means to the election.
    pub(super) fn judge_lvsd(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let is_well = event == child::Event::Ready;
        match event {
            child::Event::Ready => self.lvsd_unready = None,
            child::Event::Gone(_) | child::Event::SpawnFailed | child::Event::Spawned(_) | child::Event::Adopted(_) => {
                self.lvsd_unready.get_or_insert(now);
            }
            // What it said meanwhile is not read.
            child::Event::Slept => self.lvsd_unready = self.lvsd_unready.map(|_| now),
            child::Event::Heard | child::Event::Stop | child::Event::Replace | child::Event::Tick => {}
        }
        let is_ill =
            matches!(event, child::Event::Gone(_) | child::Event::SpawnFailed) && self.lvsd.failures() >= DEATHS_MAX;
        if is_ill && !self.is_stopping() && !std::mem::replace(&mut self.lvsd_fails, true) {
            self.feed_pair(election::Event::Failing(Watched::Lvsd), now, out);
        } else if is_well && std::mem::take(&mut self.lvsd_fails) {
            self.feed_pair(election::Event::Mended(Watched::Lvsd), now, out);
        }
    }

    /// Whether it has not been ready for too long.
    pub(super) fn judge_unready(&mut self, now: Instant, out: &mut Vec<Action>) {
        let is_due = self.unready_deadline().is_some_and(|due| now >= due);
        if is_due && !self.is_stopping() {
            self.lvsd_fails = true;
            out.push(Action::Say(Message::LvsdUnready(READY_WITHIN)));
            self.feed_pair(election::Event::Failing(Watched::Lvsd), now, out);
        }
    }

    /// When [`Node::judge_unready`] is needed.
    pub(super) fn unready_deadline(&self) -> Option<Instant> {
        let since = self.lvsd_unready.filter(|_| self.pair.is_some() && !self.lvsd_fails)?;
        Some(since + READY_WITHIN)
    }

    pub(super) fn feed_lvsd(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.lvsd.handle(event, now, &mut actions);
        for action in actions {
            match action {
                child::Action::Spawn => out.push(Action::SpawnLvsd),
                child::Action::Terminate(pid) => out.push(Action::TerminateLvsd(pid)),
                child::Action::Kill(pid) => out.push(Action::KillLvsd(pid)),
                child::Action::Release(pid) => out.push(Action::ReleaseLvsd(pid)),
                child::Action::Report(report) => say(&report, What::Lvsd, out),
            }
        }
    }

    pub(super) fn feed_guardian(&mut self, event: child::Event, now: Instant, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        if let Some(guardian) = &mut self.guardian {
            guardian.handle(event, now, &mut actions);
        }
        for action in actions {
            match action {
                child::Action::Spawn => out.push(Action::SpawnGuardian),
                child::Action::Report(report) => say(&report, What::Guardian, out),
                // It is never stopped, replaced or found frozen by us.
                child::Action::Terminate(_) | child::Action::Kill(_) | child::Action::Release(_) => {}
            }
        }
    }

    pub(super) fn tick_children(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.feed_lvsd(child::Event::Tick, now, out);
        self.feed_guardian(child::Event::Tick, now, out);
    }

    pub(super) fn stop_lvsd(&mut self, now: Instant, out: &mut Vec<Action>) {
        // TERM for its time, KILL for as long again.
        let from = self.lingers.unwrap_or(now);
        self.state = State::StoppingLvsd { until: from + lvsd_rules().stop_within * 2 };
        self.stop_due = true;
        self.stop_lvsd_if_due(now, out);
        self.finish_if_over(out);
    }

    /// When it can take the signal, and not before the last word: it takes down what
    /// the successor does not need, and that is work for the processor and the network.
    /// Late packets need it a little longer.
    pub(super) fn stop_lvsd_if_due(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.stop_due || !self.has_left() || self.lingers.is_some() {
            return;
        }
        let coming = self.lvsd.is_spawning() || self.lvsd.pid().is_some();
        if self.lvsd_listens || !coming {
            self.stop_due = false;
            self.feed_lvsd(child::Event::Stop, now, out);
        }
    }

    pub(super) fn hangup_lvsd(&mut self, out: &mut Vec<Action>) {
        self.hangup_due = false;
        out.extend(self.lvsd.pid().map(Action::HangupLvsd));
    }
}

/// What is said about a child that pulse or its guardian keeps.
pub(crate) fn reported(report: &Report, what: What) -> Vec<Message> {
    match *report {
        Report::Died { pid, exit, again_in } => {
            let first = match what {
                What::Guardian => Message::GuardianGone(pid),
                What::Lvsd | What::Pulse => Message::ChildEnded { pid, exit },
            };
            let at_once = what == What::Guardian && again_in.is_zero();
            let second = (!at_once).then_some(Message::StartingAgain { what, again_in });
            [first].into_iter().chain(second).collect()
        }
        Report::Frozen { pid, silent } => vec![Message::Frozen { what, pid, silent }],
        Report::NotStarted { again_in } => vec![Message::NotStarted { what, again_in }],
        Report::Stubborn { pid } => vec![Message::Stubborn { what, pid }],
    }
}

fn say(report: &Report, what: What, out: &mut Vec<Action>) {
    out.extend(reported(report, what).into_iter().map(Action::Say));
}
