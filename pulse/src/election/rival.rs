//! PURE. A partner that is seen and not heard: both are active, no heartbeat comes
//! through in either direction (a firewall rule, a port that is filtered), and the
//! clients' network carries the announcements of both.
//!
//! Seen is who announces a VIP of ours with the partner's hardware address, which
//! its neighbours know. Unasked, twice, half a keepalive apart: a kernel whose pulse
//! is gone answers when it is asked and announces nothing, and one announcement may
//! be the last thing a director did. Each of two that are alive announces whenever
//! it sees the other one do so, so this takes a second or two.
//!
//! The rank decides, as if the heartbeats had come: the outranked one yields, or the
//! other one at the first announcement if it cannot serve. From then on the answers
//! to our questions for the VIPs take the place of the heartbeats: while the partner
//! answers there is no takeover, and there is one when it has not for `deadtime`.

use std::time::{Duration, Instant};

use super::{Action, Deactivation, Election, Line, Standing, Then};

/// After so long without an announcement there is no rival any more: two that are
/// alive announce once a second.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// How long an answer about the VIPs alone is waited for, beside a keepalive.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The partner, as it is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    /// Of those in a row.
    first: Instant,
    last: Instant,
    /// It has ceased to announce.
    is_quiet: bool,
}

impl Election {
    /// Whether we yielded to a partner that is not heard, so that its answers for the
    /// VIPs are all that shows whether it lives.
    pub fn is_eclipsed(&self) -> bool {
        self.eclipsed.is_some()
    }

    /// Whether it announces what we hold.
    pub(super) fn is_rivalled(&self) -> bool {
        self.rival.is_some_and(|rival| !rival.is_quiet)
    }

    /// We are active, and it announced a VIP of ours.
    pub(super) fn rivalled(&mut self, now: Instant, out: &mut Vec<Action>) {
        match self.partner.standing {
            // It is heard; what it says counts.
            Standing::Says(_) => return,
            Standing::Unknown | Standing::Left | Standing::Silent => {}
        }
        let known = self.rival.filter(|rival| !rival.is_quiet);
        if known.is_none() {
            out.push(Action::Say(Line::Rivalled));
        }
        let first = known.map_or(now, |rival| rival.first);
        self.rival = Some(Rival { first, last: now, is_quiet: false });
        let is_proved = now >= first + self.settings.keepalive / 2;
        match (self.partner.outranks(&self.settings), self.reason(now)) {
            (true, _) if is_proved => self.eclipse(Deactivation::PartnerAnnounces, now, out),
            (false, Some(reason)) => self.eclipse(Deactivation::Unfit(reason), now, out),
            (true, _) | (false, None) => {}
        }
    }

    fn eclipse(&mut self, why: Deactivation, now: Instant, out: &mut Vec<Action>) {
        self.eclipsed = Some(now);
        if self.partner.standing == Standing::Left {
            // It was started again since it said good-bye.
            self.partner.standing = Standing::Silent;
        }
        self.lower(why, Then::Standby, now, out);
    }

    /// Whether it has ceased to announce; so once.
    pub(super) fn is_rival_gone(&mut self, now: Instant) -> bool {
        let after = self.allowed().max(FORGOTTEN);
        let gone = self.rival.as_mut().filter(|rival| !rival.is_quiet && now >= rival.last + after);
        gone.map(|rival| rival.is_quiet = true).is_some()
    }

    /// Whether it answered for a VIP a moment ago.
    pub(super) fn is_seen(&self, now: Instant) -> bool {
        let lasts = self.allowed().max(self.settings.look_every);
        self.eclipsed.is_some_and(|seen| now < seen + lasts)
    }

    /// How long to wait for what is asked before a takeover; `None`: nothing is.
    pub(super) fn asks(&self) -> Option<Duration> {
        let eclipsed = self.eclipsed.map(|_| self.settings.keepalive + ANSWER_WITHIN);
        self.settings.witness.max(eclipsed)
    }
}
