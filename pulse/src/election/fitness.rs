//! Whether this director could serve: links, lvsd, `check_cmd`, and whether it
//! was released by hand.

use std::time::{Duration, Instant};

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
    services: Condition,
    /// Per path, whether its link is down.
    down: Vec<bool>,
    pub(super) is_released: bool,
}

impl Fitness {
    pub(super) fn new(paths: usize) -> Self {
        let (lvsd, check, services) = Default::default();
        Self { lvsd, check, services, down: vec![false; paths], is_released: false }
    }

    /// After a reload; a link that is gone from the file is forgotten.
    pub(super) fn resize(&mut self, paths: usize) {
        self.down.resize(paths, false);
    }

    pub(super) fn fail(&mut self, watched: Watched) {
        *self.watched(watched) = Condition { fails: true, mended: None };
    }

    pub(super) fn mend(&mut self, watched: Watched, now: Instant) {
        let condition = self.watched(watched);
        if condition.fails {
            *condition = Condition { fails: false, mended: Some(now) };
        }
    }

    fn watched(&mut self, watched: Watched) -> &mut Condition {
        match watched {
            Watched::Lvsd => &mut self.lvsd,
            Watched::Check => &mut self.check,
            Watched::Services => &mut self.services,
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
        } else if !self.lvsd.holds(now, steady) || !self.services.holds(now, steady) {
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
