//! Those who look after us or look in, as the hands have them: the guardian,
//! started or found, and whoever asks something by hand.

use std::collections::VecDeque;

use common::channel::{Line, MeetingPlace, Received, Said};
use common::child::{self, Exit};
use common::daemon;
use nix::sys::signal::Signal;

use super::children::quiet;
use super::{Hands, READ_AT_ONCE, signal, text, watch};
use crate::node::Event;
use crate::ready::Source;
use crate::supervisor::State;
use crate::wish::{Asked, Guardian};

/// How many guardians may be listening. There is one, and for a moment its
/// successor, and a second pulse that asks whether anybody is there.
const PARENTS_MAX: usize = 4;

/// A guardian, or somebody who looks in.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) line: Line,
    pub(super) pid: u32,
}

impl Hands {
    pub(super) fn spawn_guardian(&mut self) -> child::Event {
        if let Some(parent) = self.parents.first() {
            return child::Event::Adopted(parent.pid);
        }
        let mut command = daemon::command(&self.program);
        command.args(self.args.passed_on("--guard"));
        match quiet(&mut command).spawn() {
            Ok(guardian) => {
                self.guardians.push(guardian.id());
                child::Event::Spawned(guardian.id())
            }
            Err(_) => child::Event::SpawnFailed, // the node says when it tries again
        }
    }

    pub(super) fn receive_parents(&mut self, events: &mut VecDeque<Event>) -> bool {
        while let Some(line) = self.place.as_ref().and_then(MeetingPlace::accept) {
            self.welcome(line, events);
        }
        let mut more = false;
        let mut ended = Vec::new();
        for parent in &self.parents {
            more |= !(0..READ_AT_ONCE).any(|_| match parent.line.receive_with(Asked::decode) {
                Received::Message(asked) => {
                    events.push_back(match asked {
                        Asked::By(Guardian::Release) => Event::Release,
                        Asked::By(Guardian::Check) => Event::AddressesChanged,
                        Asked::Wish(wish) => Event::Wish { asker: parent.pid, wish },
                    });
                    false
                }
                Received::Garbage(_) => false,
                Received::Nothing => true,
                Received::Ended => {
                    ended.push(parent.pid);
                    true
                }
            });
        }
        self.parents.retain(|parent| !ended.contains(&parent.pid));
        if !ended.is_empty() && self.parents.is_empty() {
            events.push_back(Event::Guardian(child::Event::Gone(Exit::Unknown)));
        }
        more
    }

    /// A new guardian came in: it hears who we are, and everything that holds.
    fn welcome(&mut self, line: Line, events: &mut VecDeque<Event>) {
        let pid = line.peer().map_or(0, |peer| peer.pid().unsigned_abs());
        if self.parents.len() >= PARENTS_MAX || watch(&self.registry, &line, Source::Parents).is_err() {
            return;
        }
        let hello = Said::hello(text(&daemon::arguments()));
        // One that is gone again is seen when its line is read.
        let _ = line.send(&hello.encode());
        if self.leaving {
            let _ = line.send(&leaving().encode());
        } else if self.ready {
            let _ = line.send(&Said::Ready.encode());
        }
        self.parents.push(Parent { line, pid });
        events.push_back(Event::Guardian(child::Event::Adopted(pid)));
        events.push_back(Event::Guardian(child::Event::Ready));
    }

    /// The end was asked for. A guardian we started that has not found us yet would
    /// take our end for a death, and start another pulse.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.tell(&leaving());
        self.supervisor.tell(State::Stopping);
        for pid in &self.guardians {
            if !self.parents.iter().any(|parent| parent.pid == *pid) {
                signal(*pid, Signal::SIGKILL);
            }
        }
    }

    pub(super) fn tell(&self, said: &Said) {
        for parent in &self.parents {
            // One that is gone is seen when its line is read.
            let _ = parent.line.send(&said.encode());
        }
    }
}

fn leaving() -> Said {
    Said::Leaving("asked to stop".to_owned())
}
