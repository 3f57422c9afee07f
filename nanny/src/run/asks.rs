//! lvsd's line: who this is and how things are, said to whoever joins, and what is
//! asked on it.

use std::time::Instant;

use common::channel::{Ask, Line, Received, SAID_ROOM, Said};
use common::daemon::ExitStatus;
use common::destinations::{Held, pack};

use super::kept::Kept;
use super::{Flow, Nanny};
use crate::flaps::Flaps;
use crate::health::Event;
use crate::messages::Message;

impl Nanny {
    /// What lvsd asks.
    pub(super) fn asks(&mut self, number: usize, now: Instant) -> Flow {
        loop {
            match self.hands.parents.ask(number) {
                Received::Message(Ask::Release) => {
                    self.log.say(&Message::Released { real: self.args.real });
                    self.hands.abandon();
                    self.hands.abandon_load();
                    self.hands.parents.close();
                    return Err(ExitStatus::Stopped);
                }
                // It was started again: the answer counts, not the turn.
                Received::Message(Ask::Check) if self.args.fos => self.next_check = Instant::now(),
                Received::Message(Ask::Check) => self.put_back(|_| true, now),
                Received::Message(Ask::CheckService(service)) => {
                    self.put_back(|target| target.service == service, now);
                }
                Received::Message(Ask::Hold(all)) if self.args.service.is_none() => self.hold(&all, now),
                Received::Message(Ask::Drop { stays, targets }) if self.args.service.is_none() => {
                    self.drop_all(&targets, stays, now);
                }
                Received::Message(Ask::Why) => {
                    let (at, text) = self.why.clone().unwrap_or_default();
                    self.hands.parents.tell_one(number, &Said::Why { at, text });
                }
                Received::Message(Ask::Was(good)) => self.inherit(good, now),
                Received::Message(Ask::Flapped(flaps)) => self.recall(flaps, now),
                Received::Message(Ask::Stay(stays)) if self.args.service.is_some() => {
                    self.feed(Event::Stay(stays), now);
                    self.settle();
                }
                // Those of several are not asked of one, nor the other way. A newer lvsd may say
                // more than we know; operators and pulse speak to lvsd.
                Received::Message(
                    Ask::Hold(_)
                    | Ask::Drop { .. }
                    | Ask::Stay(_)
                    | Ask::Order { .. }
                    | Ask::Status(_)
                    | Ask::Renew
                    | Ask::Serve
                    | Ask::Rest,
                )
                | Received::Garbage(_) => {}
                Received::Nothing => return Ok(()),
                Received::Ended => {
                    self.log.say(&Message::LineEnded);
                    return Ok(());
                }
            }
        }
    }

    /// A new line: who we are and how things are.
    pub(super) fn meet(&mut self, line: Line) {
        let pid = line.peer().map_or(0, |peer| peer.pid());
        let added = self.hands.registry().and_then(|registry| self.hands.parents.add(line, &registry));
        let Ok(Some(number)) = added else { return };
        self.log.say(&Message::LineJoined { pid });
        if self.args.service.is_none() {
            // Who places it by its hello knows what it keeps then.
            let held: Vec<Held> = self.kept.iter().map(Kept::held).collect();
            for packet in pack(&held, SAID_ROOM) {
                self.hands.parents.tell_one(number, &Said::Holds(packet));
            }
        }
        let hello = Said::hello(self.arguments.clone());
        self.hands.parents.tell_one(number, &hello);
        if self.ready {
            self.hands.parents.tell_one(number, &Said::Ready);
        }
        if self.told_flaps != Flaps::default() {
            self.hands.parents.tell_one(number, &Said::Flaps(self.told_flaps.told(Instant::now())));
        }
        if let Some((available, weight)) = self.kept.first().and_then(|kept| kept.told)
            && self.args.service.is_some()
        {
            self.hands.parents.tell_one(number, &Said::Verdict { available, weight });
        }
    }
}
