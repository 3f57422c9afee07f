//! Failover services: where they are broken they fail a while after they were started,
//! and what lvsd says of them is over when it has stopped them. And what the judge
//! knows of rests, counted by itself.

use super::*;

/// Who handed services over, and does not take them back by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rests {
    times: [u32; HOSTS],
    /// On the host's own clock, which may be behind.
    until: [Option<Duration>; HOSTS],
    mended: [Duration; HOSTS],
    rested: [bool; HOSTS],
}

impl Rests {
    pub(super) fn holds(&self, host: usize, now: Duration, hosts: &[Host]) -> bool {
        self.until[host].is_some_and(|until| now - hosts[host].behind < until)
    }

    pub(super) fn forget(&mut self, host: usize) {
        (self.times[host], self.until[host]) = (0, None);
    }

    pub(super) fn begin(&mut self, host: usize, now: Duration, hosts: &[Host]) {
        let (clock, first) = (now - hosts[host].behind, hosts[host].settings.steady);
        self.until[host] = Some(clock + first * [1, 2, 4, 8, 16, 32, 64][self.times[host].min(6) as usize]);
        self.times[host] += 1;
    }

    fn failing(&mut self, host: usize, now: Duration, hosts: &[Host]) {
        let (clock, first) = (now - hosts[host].behind, hosts[host].settings.steady);
        let well_from = self.until[host].map(|until| until.max(self.mended[host]));
        if well_from.is_some_and(|from| clock >= from + first * 64) {
            self.forget(host);
        }
    }

    fn mended(&mut self, host: usize, now: Duration, hosts: &[Host]) {
        self.mended[host] = now - hosts[host].behind;
    }

    /// Whether one has begun or ended since this was last asked.
    pub(super) fn turned(&mut self, now: Duration, hosts: &[Host]) -> bool {
        let rested = [0, 1].map(|host| self.holds(host, now, hosts));
        std::mem::replace(&mut self.rested, rested) != rested
    }
}

impl World {
    /// The services were started there.
    pub(super) fn serve(&mut self, host: usize) {
        if self.hosts[host].broken > 0 {
            let life = self.hosts[host].life;
            let after = self.dice.up_to(self.hosts[host].settings.keepalive * 2);
            self.later(self.now + after, Happening::ServicesFail { host, life });
        }
    }

    pub(super) fn fail_services(&mut self, host: usize) {
        let here = &mut self.hosts[host];
        if here.broken > 0 && here.vips && !std::mem::replace(&mut here.services_fail, true) {
            self.tell(|_| format!("{host}: services fail"));
            self.judge.stirred(self.now);
            self.judge.rests.failing(host, self.now, &self.hosts);
            self.feed(host, Event::Failing(Watched::Services));
        }
    }

    pub(super) fn rest_services(&mut self, host: usize) {
        let here = &mut self.hosts[host];
        if !here.vips && std::mem::take(&mut here.services_fail) {
            self.judge.rests.mended(host, self.now, &self.hosts);
            self.feed(host, Event::Mended(Watched::Services));
        }
    }

    pub(super) fn break_services(&mut self, host: usize) {
        self.hosts[host].broken += 1;
        if self.hosts[host].vips {
            self.serve(host);
        }
    }

    pub(super) fn mend_services(&mut self, host: usize) {
        self.hosts[host].broken -= 1;
        if self.hosts[host].broken == 0 && std::mem::take(&mut self.hosts[host].services_fail) {
            self.judge.rests.mended(host, self.now, &self.hosts);
            self.ask(host, Event::Mended(Watched::Services));
        }
    }

    /// Somebody wants the VIPs moved: whoever is asked to take them forgets its rest.
    pub(super) fn relocate(&mut self, host: usize) {
        self.thaw(host, false);
        if self.hosts[host].election().is_some_and(|it| it.state() == State::Standby) {
            self.judge.rests.forget(host);
        }
        self.feed(host, Event::Asked(Request::Relocate));
    }
}
