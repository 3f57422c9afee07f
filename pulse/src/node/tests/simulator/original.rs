//! The original's machine as piranha.md 2.3 tells it, for lvs mode: what an
//! upgraded director meets on the other side. It reads four bytes, has no
//! sequence, no good-bye and no doubt; a stop and a sleep are not noticed.

use super::*;

pub(super) enum Does {
    Send(Word),
    Raise,
    Lower,
}

pub(super) struct Original {
    role: Role,
    keepalive: Duration,
    deadtime: Duration,
    is_active: bool,
    link_fails: bool,
    child_fails: bool,
    send_at: Instant,
    dead_at: Instant,
}

impl Original {
    pub(super) fn start(settings: &Settings, now: Instant) -> (Self, Vec<Does>) {
        let mut original = Self {
            role: settings.role,
            keepalive: settings.keepalive,
            deadtime: settings.deadtime,
            is_active: false,
            link_fails: false,
            child_fails: false,
            send_at: now,
            dead_at: now + settings.deadtime,
        };
        let said = original.handle(&Event::Tick, now);
        (original, said)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.send_at.min(self.dead_at)
    }

    pub(super) fn is_fit(&self) -> bool {
        !self.link_fails && !self.child_fails
    }

    fn word(&self) -> Word {
        Word::Lvs(if self.is_active { Claim::Running } else { Claim::Stopped })
    }

    fn activate(&mut self, does: &mut Vec<Does>) {
        self.is_active = true;
        does.push(Does::Raise);
    }

    fn deactivate(&mut self, does: &mut Vec<Does>) {
        if std::mem::take(&mut self.is_active) {
            does.push(Does::Lower);
        }
    }

    pub(super) fn handle(&mut self, event: &Event, now: Instant) -> Vec<Does> {
        let mut does = Vec::new();
        match event {
            Event::Datagram { datagram: Datagram::Original(word) | Datagram::Ours(Heartbeat { word, .. }), .. } => {
                self.dead_at = now + self.deadtime;
                self.hear(*word, &mut does);
            }
            Event::Link { path: 0, is_up } => {
                self.link_fails = !is_up;
                if self.link_fails {
                    self.deactivate(&mut does);
                }
            }
            Event::Failing(Watched::Lvsd) if self.is_active => {
                self.child_fails = true;
                self.deactivate(&mut does);
            }
            Event::Asked(Request::Stop) => {
                self.deactivate(&mut does);
                return does;
            }
            Event::Link { .. }
            | Event::Failing(_)
            | Event::Asked(_)
            | Event::Tick
            | Event::Slept { .. }
            | Event::Worked { .. }
            | Event::Mended(_)
            | Event::Witness(_)
            | Event::Announced
            | Event::Lowered
            | Event::Reloaded(_) => {}
        }
        if now >= self.dead_at {
            self.dead_at = now + self.deadtime;
            if !self.is_active && self.is_fit() {
                self.activate(&mut does);
            }
        }
        if now >= self.send_at {
            self.send_at = now + self.keepalive;
            does.push(Does::Send(self.word()));
        }
        does
    }

    fn hear(&mut self, word: Word, does: &mut Vec<Does>) {
        match (word, self.is_active, self.role) {
            (Word::Lvs(Claim::Stopped), false, _) if self.is_fit() => self.activate(does),
            (Word::Lvs(Claim::Running), false, _) => self.child_fails = false,
            (Word::Lvs(Claim::Running), true, Role::Backup) => {
                does.push(Does::Send(self.word()));
                self.deactivate(does);
            }
            (Word::Lvs(_) | Word::Fos(_) | Word::Hold | Word::Held | Word::StopMe, _, _) => {}
        }
    }
}
