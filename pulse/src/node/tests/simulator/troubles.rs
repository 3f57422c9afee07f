//! What begins and ends with each trouble.

use common::child::Rules;

use super::*;
use crate::run::LATE;

impl World {
    pub(super) fn begin(&mut self, n: usize) {
        let trouble = self.faults[n].trouble.clone();
        self.tell(|world| format!("--- {trouble:?} for {:?}", world.faults[n].lasts));
        self.judge.disturbed(self.now);
        match trouble {
            Trouble::Cut { ways } => self.each_way(ways, |wire| wire.cuts += 1),
            Trouble::Filtered { ways } => self.each_way(ways, |wire| wire.filters += 1),
            Trouble::Isolated { host } => {
                self.each_way(0xff, |wire| wire.cuts += 1);
                self.hosts[host].witness_cuts += 1;
            }
            Trouble::Lossy { ways, loss, duplication } => {
                self.each_way(ways, |wire| (wire.loss, wire.duplication) = (loss, duplication));
            }
            Trouble::Slow { ways, beats } => {
                let slowness = self.hosts[0].settings.keepalive * beats.into() / 4;
                self.each_way(ways, |wire| wire.slowness = slowness);
            }
            Trouble::Frozen { host, machine, .. } => self.freeze(host, machine),
            Trouble::Crashed { host } => {
                self.gone(host);
                self.hosts[host].vips = false;
                self.hosts[host].machine.crash();
            }
            // An original that is killed leaves everything, and nobody knows of it.
            Trouble::Killed { host }
            | Trouble::Shot { host }
            | Trouble::Unguarded { host }
            | Trouble::Deleted { host }
            | Trouble::Ill { host, .. }
                if self.hosts[host].is_original => {}
            Trouble::Killed { host } => self.kill(host),
            Trouble::Shot { host } => self.shoot(host),
            Trouble::Unguarded { host } => self.lose_guardian(host),
            Trouble::Deleted { host } => self.delete(host),
            Trouble::Ill { host, illness } => self.fall_ill(host, illness),
            Trouble::Stopped { host } => self.stop(host, Request::Stop),
            Trouble::Detached { host } => self.stop(host, Request::Detach),
            Trouble::Relocated { host } => {
                self.judge.relocated(self.now);
                self.relocate(host);
            }
            Trouble::Released { host } => {
                self.hosts[host].is_released = true;
                self.ask(host, Event::Asked(Request::Release));
            }
            Trouble::Failing { host, watched } => {
                self.hosts[host].fails[watched] = true;
                self.ask(host, Event::Failing([Watched::Lvsd, Watched::Check][watched]));
            }
            Trouble::LinkDown { host, path } => {
                self.hosts[host].links_down[path] = true;
                self.ask(host, Event::Link { path, is_up: false });
            }
            Trouble::Broken { hosts } => self.each_host(hosts, Self::break_services),
            Trouble::Reloaded { host, keepalive, deadtime } => self.reload(host, keepalive, deadtime),
            Trouble::Replayed { to, times } => self.replay(to, times),
            Trouble::Forged { to, word } => self.forge(to, word),
        }
    }

    pub(super) fn end(&mut self, n: usize) {
        let trouble = self.faults[n].trouble.clone();
        self.tell(|_| format!("--- over: {trouble:?}"));
        self.judge.disturbed(self.now);
        match trouble {
            Trouble::Cut { ways } => self.each_way(ways, |wire| wire.cuts -= 1),
            Trouble::Filtered { ways } => self.each_way(ways, |wire| wire.filters -= 1),
            Trouble::Isolated { host } => {
                self.each_way(0xff, |wire| wire.cuts -= 1);
                self.hosts[host].witness_cuts -= 1;
            }
            Trouble::Lossy { ways, .. } => self.each_way(ways, |wire| (wire.loss, wire.duplication) = (0, 0)),
            Trouble::Slow { ways, .. } => self.each_way(ways, |wire| wire.slowness = Duration::ZERO),
            Trouble::Frozen { host, clock_stands, .. } => self.thaw(host, clock_stands),
            Trouble::Ill { host, .. } => self.recover(host),
            Trouble::Crashed { host }
            | Trouble::Killed { host }
            | Trouble::Shot { host }
            | Trouble::Stopped { host }
            | Trouble::Detached { host } => {
                let how =
                    if self.hosts[host].vips && !self.hosts[host].is_original { Start::Holding } else { Start::Fresh };
                self.start(host, how);
            }
            Trouble::Released { host } => {
                self.thaw(host, false);
                self.hosts[host].is_released = false;
                self.judge.rests.forget(host);
                self.hosts[host].machine.is_released = false;
                self.ask(host, Event::Asked(Request::Restore));
            }
            Trouble::Failing { host, watched } => {
                self.thaw(host, false);
                self.hosts[host].fails[watched] = false;
                self.hosts[host].mended = self.now;
                self.ask(host, Event::Mended([Watched::Lvsd, Watched::Check][watched]));
            }
            Trouble::LinkDown { host, path } => {
                self.thaw(host, false);
                let was_cut_off = self.hosts[host].is_cut_off();
                self.hosts[host].links_down[path] = false;
                if was_cut_off && !self.hosts[host].is_cut_off() {
                    self.judge.awake(host, self.now);
                }
                self.ask(host, Event::Link { path, is_up: true });
            }
            Trouble::Broken { hosts } => self.each_host(hosts, Self::mend_services),
            Trouble::Reloaded { host, keepalive, deadtime } => self.reload(1 - host, keepalive, deadtime),
            Trouble::Relocated { .. }
            | Trouble::Replayed { .. }
            | Trouble::Forged { .. }
            | Trouble::Unguarded { .. }
            | Trouble::Deleted { .. } => {}
        }
    }

    fn each_host(&mut self, hosts: u8, change: impl Fn(&mut Self, usize)) {
        for host in (0..HOSTS).filter(|host| hosts & (1 << host) != 0) {
            change(self, host);
        }
    }

    fn each_way(&mut self, ways: u8, change: impl Fn(&mut Wire)) {
        for (host, wires) in self.wires.iter_mut().enumerate() {
            for (path, wire) in wires.iter_mut().enumerate() {
                if ways & (1 << (host * 4 + path)) != 0 {
                    change(wire);
                }
            }
        }
    }

    fn freeze(&mut self, host: usize, machine: bool) {
        let now = self.now;
        let it = &mut self.hosts[host];
        if !it.is_frozen && it.director.is_some() {
            it.is_frozen = true;
            it.frozen_at = now;
            it.machine_is_frozen = machine;
            let (is_guarded, life) = (it.is_whole && !machine, it.life);
            if is_guarded {
                // It may have heard it two seconds ago.
                let after = Rules::default().frozen_after - self.dice.up_to(Rules::default().beat);
                self.later(now + after, Happening::GivenUp { host, life });
            }
        }
    }

    /// The guardian kills a pulse that says nothing, and starts another.
    pub(super) fn give_up(&mut self, host: usize, life: u32) {
        let it = &self.hosts[host];
        if it.life == life && it.is_frozen && !it.machine_is_frozen && it.machine.has_guardian() {
            self.shoot(host);
        }
    }

    fn kill(&mut self, host: usize) {
        if self.hosts[host].machine_is_frozen {
            self.thaw(host, false); // or nobody could
        }
        self.gone(host);
    }

    /// SIGKILL to pulse alone.
    fn shoot(&mut self, host: usize) {
        self.kill(host);
        self.tell(|_| format!("{host} is killed"));
        if self.hosts[host].machine.has_guardian() {
            let after = Duration::from_millis(20) + self.dice.up_to(Duration::from_millis(500));
            self.later(self.now + after, Happening::Starts(host));
        }
    }

    pub(super) fn thaw(&mut self, host: usize, clock_stands: bool) {
        if !std::mem::take(&mut self.hosts[host].is_frozen) {
            return;
        }
        let machine = std::mem::take(&mut self.hosts[host].machine_is_frozen);
        let lasted = self.now - self.hosts[host].frozen_at;
        let stood = machine && clock_stands && !self.hosts[host].is_original;
        let is_whole = self.hosts[host].is_whole;
        // The loop of a whole node looks for itself how late it woke.
        let late = self.now.saturating_sub(self.hosts[host].next_wake.max(self.hosts[host].frozen_at));
        let slept = if stood { lasted } else { late };
        let is_told = if is_whole { slept > LATE } else { stood };
        // A shorter one it cannot notice by itself: it was asleep anyway.
        if is_told || (!stood && lasted >= self.hosts[host].settings.keepalive + self.judge.allowed / 4) {
            self.judge.awake(host, self.now);
        }
        if stood {
            self.hosts[host].behind += lasted;
            self.put_off(host, lasted);
        }
        // What it was doing comes before what it reads.
        let is_deed = |happening: &Happening| {
            matches!(
                happening,
                Happening::Raised { .. }
                    | Happening::Lowered { .. }
                    | Happening::Done { .. }
                    | Happening::Expires { .. }
            )
        };
        let overdue = std::mem::take(&mut self.hosts[host].overdue);
        let (deeds, overdue): (Vec<_>, Vec<_>) = overdue.into_iter().partition(is_deed);
        self.hosts[host].overdue = overdue;
        if is_told && !self.hosts[host].machine.is_busy {
            self.feed(host, Event::Slept { lasted: slept });
        }
        for happening in deeds {
            self.happen(happening);
        }
        if !self.hosts[host].machine.is_busy {
            self.catch_up(host);
            self.feed(host, Event::Tick);
        }
    }

    fn gone(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        host.director = None;
        host.life += 1;
        host.is_frozen = false;
        host.machine_is_frozen = false;
        host.machine.gone();
        host.inbox.clear();
        host.overdue.clear();
    }

    fn stop(&mut self, host: usize, how: Request) {
        if self.hosts[host].is_frozen {
            return;
        }
        self.feed(host, Event::Asked(how));
        if self.hosts[host].is_original {
            self.gone(host);
        }
    }

    /// What nobody reads now is read later.
    pub(super) fn ask(&mut self, host: usize, event: Event) {
        self.thaw(host, false);
        self.feed(host, event);
    }

    fn reload(&mut self, host: usize, keepalive: Duration, deadtime: Duration) {
        if self.hosts[host].is_original {
            return;
        }
        let settings = Settings { keepalive, deadtime, ..self.hosts[host].settings.clone() };
        let before = std::mem::replace(&mut self.hosts[host].settings, settings.clone());
        if settings != before {
            self.judge.reloaded(host, before.deadtime, self.now);
        }
        self.judge.rests.forget(host);
        self.ask(host, Event::Reloaded(Box::new(settings)));
    }

    fn replay(&mut self, to: usize, times: u8) {
        for _ in 0..times {
            let from = self.dice.below(2) as usize; // our own, too
            let count = self.recorded[from].len() as u64;
            let Some(packet) = self.recorded[from].get(self.dice.below(count) as usize).cloned() else { continue };
            let path = self.dice.below(self.wires[to].len() as u64) as usize;
            let after = self.dice.up_to(self.hosts[to].settings.keepalive);
            self.later(self.now + after, Happening::Arrives { to, path, packet });
        }
    }

    fn forge(&mut self, to: usize, word: u8) {
        let words = [
            Word::Lvs(Claim::Running),
            Word::Lvs(Claim::Stopped),
            Word::Fos(Claim::Running),
            Word::Fos(Claim::Stopped),
            Word::StopMe,
            Word::Hold,
            Word::Held,
        ];
        let word = words[usize::from(word)];
        let bytes = Some(word.to_bytes().to_vec());
        let packet = Packet { datagram: Datagram::Original(word), bytes, sent: self.now, kind: Kind::Hostile };
        self.later(self.now, Happening::Arrives { to, path: 0, packet });
    }
}
