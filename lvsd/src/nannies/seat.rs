//! One destination that a nanny keeps, as lvsd knows it: how it should be kept, what its
//! nanny said of it, and what it was told.

use std::rc::Rc;
use std::time::Instant;

use common::channel::services::{Happened, News};
use common::destinations::{Assignment, Target};

use crate::floor::Member;
use crate::wanted::Monitor;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// As it should be kept; `None`: it should not, or it is sheltered.
    pub(super) wanted: Option<Rc<Monitor>>,
    /// As it was last wanted, for the log.
    pub(super) label: Option<Rc<Monitor>>,
    /// As it should be kept once this nanny has let go of it.
    pub(super) next: Option<Rc<Monitor>>,
    /// It was found at start, and is not wanted: it is kept until what is wanted stands.
    pub(super) is_sheltered: bool,
    /// It stays in the kernel when its nanny lets go of it.
    pub(super) stays_behind: bool,
    /// Whether its server is good, and the weight that it has; `None`: not judged.
    pub(super) verdict: Option<(bool, u32)>,
    /// What its nanny finds was found in another way than the next one will: that one
    /// judges by itself.
    pub(super) is_outdated: bool,
    /// When it began to be good or bad.
    pub(super) since: Option<Instant>,
    /// It was told to stay in use, or not to; `None`: nobody knows what an lvsd before
    /// us told it.
    pub(super) stays: Option<bool>,
    /// It was told to stay, and its server is out all the same: somebody wants it so.
    pub(super) refuses: bool,
    /// When its server last failed, in the order of all that did.
    pub(super) fell: Option<u64>,
}

impl Seat {
    /// One that is to be kept so.
    pub(super) fn of(monitor: &Rc<Monitor>) -> Self {
        Self { wanted: Some(Rc::clone(monitor)), label: Some(Rc::clone(monitor)), ..Self::default() }
    }

    /// What of it outlives its process.
    pub(super) fn anew(self) -> Self {
        let Self { wanted, label, next, stays, fell, .. } = self;
        Self { wanted, label, next, stays, fell, ..Self::default() }
    }

    /// It goes, and was not told to come.
    pub(super) fn is_leaving(&self) -> bool {
        self.wanted.is_none() && !self.is_sheltered
    }

    /// What its nanny is told, if it is told anything.
    pub(super) fn assignment(&self) -> Option<Assignment> {
        let told = self.wanted.as_ref()?.assignment?;
        Some(Assignment { stays: self.stays == Some(true), ..told })
    }

    /// Whether its server gets connections because it is good. One with weight 0 gets none.
    pub(super) fn available(&self) -> Option<bool> {
        self.verdict.map(|(good, weight)| good && weight > 0)
    }

    /// What is to be told of a verdict, before it is taken down: a change of the one
    /// before. One that is well from the start is no news, nor is what a lvsd before us
    /// has heard (`is_ours`: we started its nanny).
    pub(super) fn news(&self, target: &Target, available: bool, is_ours: bool) -> Option<News> {
        let is_news = match self.verdict {
            Some((was, _)) => was != available,
            None => !available && is_ours,
        };
        let label = self.label.as_ref().filter(|_| is_news)?;
        let (what, is) = if available { (Happened::ServerUp, "up") } else { (Happened::ServerDown, "down") };
        let text = format!("real server {} of virtual service {} is {is}", target.destination, label.name);
        Some(News { what, name: format!("{}/{}", label.name, label.server), text, lost: 0 })
    }

    /// Its server as the floor of its service sees it.
    pub(super) fn member(&self) -> Member {
        let is_kept = matches!(self.verdict, Some((false, 1..)));
        // One that is drained has nothing for clients, whatever it was told.
        let is_drained = matches!(self.verdict, Some((true, 0)));
        let (stays, fell) =
            if self.refuses || is_drained { (false, None) } else { (self.stays == Some(true), self.fell) };
        Member { available: self.available(), is_kept, stays, fell }
    }

    /// Whether its server is known to be down.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.verdict, Some((false, _)))
    }
}
