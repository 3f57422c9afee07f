//! Whether this director could serve: links, lvsd, `check_cmd`, failover services,
//! and whether it was released by hand.

use std::time::{Duration, Instant};

use super::rest::Rest;
use super::settings::Path;
use crate::heartbeat::Reason;

/// Something that fails and is mended.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    fails: bool,
    mended: Option<Instant>,
}

impl Condition {
    fn holds(self, now: Instant, steady: Duration) -> bool {
        !self.fails && self.mended.is_none_or(|mended| now.saturating_duration_since(mended) >= steady)
    }
}

/// A condition of the director that is watched from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// lvsd runs and can serve.
    Lvsd,
    /// `check_cmd` succeeds.
    Check,
    /// The failover services that lvsd keeps can run here; to the partner this is
    /// lvsd's affair.
    Services,
}

#[derive(Clone, Debug)]
pub(super) struct Fitness {
    lvsd: Condition,
    check: Condition,
    /// They run here only while this director is active, and can fail only then.
    pub(super) services_fail: bool,
    pub(super) rest: Rest,
    /// Per path, whether its link is down.
    down: Vec<bool>,
    pub(super) is_released: bool,
}

impl Fitness {
    pub(super) fn new(paths: usize) -> Self {
        let (lvsd, check, rest) = Default::default();
        Self { lvsd, check, services_fail: false, rest, down: vec![false; paths], is_released: false }
    }

    /// After a reload; a link that is gone from the file is forgotten.
    pub(super) fn resize(&mut self, paths: usize) {
        self.down.resize(paths, false);
    }

    pub(super) fn fail(&mut self, watched: Watched, now: Instant) {
        if let Some(condition) = self.watched(watched) {
            *condition = Condition { fails: true, mended: None };
        } else if !std::mem::replace(&mut self.services_fail, true) {
            self.rest.failing(now);
        }
    }

    pub(super) fn mend(&mut self, watched: Watched, now: Instant) {
        match self.watched(watched) {
            Some(condition) if condition.fails => *condition = Condition { fails: false, mended: Some(now) },
            Some(_) => {}
            None => {
                self.services_fail = false;
                self.rest.mended(now);
            }
        }
    }

    /// `None`: the services.
    fn watched(&mut self, watched: Watched) -> Option<&mut Condition> {
        match watched {
            Watched::Lvsd => Some(&mut self.lvsd),
            Watched::Check => Some(&mut self.check),
            Watched::Services => None,
        }
    }

    /// Whether this is news.
    pub(super) fn set_link(&mut self, path: usize, is_up: bool) -> bool {
        self.down.get_mut(path).is_some_and(|down| std::mem::replace(down, !is_up) == is_up)
    }

    /// A link the VIPs need is down, or every link is.
    pub(super) fn is_cut_off(&self, paths: &[Path]) -> bool {
        let needed_is_down = self.down.iter().zip(paths).any(|(down, path)| *down && path.serves);
        needed_is_down || (!self.down.is_empty() && self.down.iter().all(|down| *down))
    }

    /// Why this director should not be active; the gravest first.
    pub(super) fn reason(&self, paths: &[Path], now: Instant, steady: Duration) -> Option<Reason> {
        if self.is_cut_off(paths) {
            Some(Reason::Link)
        } else if !self.lvsd.holds(now, steady) || self.services_fail {
            Some(Reason::Lvsd)
        } else if !self.check.holds(now, steady) {
            Some(Reason::Check)
        } else if self.is_released {
            Some(Reason::Released)
        } else {
            None
        }
    }
}
