//! What the clients' network shows of the VIPs, beside the heartbeats: who announces
//! them, and who answers for them. It is the first path's; a firewall that drops
//! heartbeats does not stop it. Who holds them and sees another's announcement
//! announces in its turn, and asks for them now and then, as the node does; an
//! original announces when it activates, and a kernel alone only answers.

use super::*;

/// How often the VIPs are announced when they are raised.
pub(super) const ANNOUNCEMENTS: u8 = 5;

impl World {
    /// What a second is to a pair of seconds: the time between two announcements.
    pub(super) fn unit(&self, host: usize) -> Duration {
        self.hosts[host].settings.keepalive / 4
    }

    /// Whether what is sent there arrives at the other side.
    fn shows(&mut self, from: usize) -> bool {
        let wire = self.wires[from][0];
        let is_up = !self.hosts[0].links_down[0] && !self.hosts[1].links_down[0];
        wire.cuts == 0 && is_up && !self.dice.percent(wire.loss)
    }

    pub(super) fn announce(&mut self, host: usize, life: u32, more: u8) {
        if !self.hosts[host].vips || self.hosts[host].director.is_none() {
            return;
        }
        if self.shows(host) {
            let delay = self.judge.delay / 2 + self.dice.up_to(self.judge.delay / 2);
            self.later(self.now + delay, Happening::Sees { to: 1 - host });
        }
        if more > 1 {
            self.later(self.now + self.unit(host), Happening::Announces { host, life, more: more - 1 });
        }
    }

    pub(super) fn see(&mut self, to: usize) {
        if self.hosts[to].is_whole {
            self.see_announced(to);
        } else if self.is_active(to) {
            self.feed(to, Event::Announced);
            self.defend(to);
        }
    }

    /// Whether one of ours listens to what others claim.
    fn is_active(&self, host: usize) -> bool {
        let Host { director, vips, .. } = &self.hosts[host];
        *vips && matches!(director, Some(Director::Bare(it)) if it.state() == State::Active)
    }

    /// Somebody else has what it holds.
    fn defend(&mut self, host: usize) {
        let unit = self.unit(host);
        if self.hosts[host].defended.is_none_or(|last| self.now >= last + unit) {
            self.hosts[host].defended = Some(self.now);
            self.announce(host, self.hosts[host].life, 1);
        }
    }

    pub(super) fn probe(&mut self, host: usize, life: u32) {
        if !self.hosts[host].vips {
            return;
        }
        if self.is_active(host) && self.is_answered(host) {
            self.defend(host);
        }
        self.later(self.now + self.hosts[host].settings.deadtime, Happening::Probes { host, life });
    }

    /// Whether the other one's kernel answers for the VIPs, asked three times.
    pub(super) fn is_answered(&mut self, host: usize) -> bool {
        let other = &self.hosts[1 - host];
        let answers = other.vips && !other.machine_is_frozen;
        answers && (0..3).any(|_| self.shows(host) && self.shows(1 - host))
    }

    /// What an inquiry comes to.
    pub(super) fn answer(&mut self, host: usize) -> Answer {
        let is_eclipsed = matches!(&self.hosts[host].director, Some(Director::Bare(it)) if it.is_eclipsed());
        let is_cut = self.hosts[host].settings.witness.is_some() && self.hosts[host].witness_cuts > 0;
        if is_eclipsed && self.is_answered(host) {
            Answer::VipHeld { mac: [2, 0, 0, 0, 0, 1] }
        } else if is_cut {
            Answer::Silent
        } else {
            Answer::Heard
        }
    }
}
