//! What nannies say on their lines, and the ends of those.

use std::time::{Duration, Instant};

use common::channel::{Received, Said, VERSION};
use common::child::Event;

use super::nanny::Nanny;
use super::seat::Seat;
use super::{Action, Id, Nannies};

/// How many packets of one nanny are read in a row, so that a babbling one does
/// not keep the others waiting.
pub(super) const PACKETS_MAX: usize = 64;

/// The longest reason of a nanny's own that goes into a line, in characters.
const REASON_MAX: usize = 200;

/// A line that ends again this soon is looked for at the next round only, so that
/// a process that keeps hanging up does not keep us busy.
pub(super) const FIND_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Nannies {
    /// Reads its line; `true` if there may be more, to be read after the others.
    pub fn read(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) -> bool {
        for _ in 0..PACKETS_MAX {
            let Some(line) = self.all.get(&id).and_then(|nanny| nanny.line.as_ref()) else { return false };
            match line.receive_said() {
                Received::Message(said) => {
                    self.heard(id, said, now, out);
                    // What it says next is about what it is given a seat for first.
                    let is_shared = self.all.get(&id).is_some_and(Nanny::is_shared);
                    if matches!(out.last(), Some(Action::Introduced(..))) && !is_shared {
                        return true;
                    }
                }
                // A newer nanny says more than we know, and lives.
                Received::Garbage(_) => self.feed(id, Event::Heard, now, out),
                Received::Nothing => return false,
                Received::Ended => {
                    self.line_ended(id, now, out);
                    return false;
                }
            }
        }
        true
    }

    fn heard(&mut self, id: Id, said: Said, now: Instant, out: &mut Vec<Action>) {
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.spoke = true;
        match said {
            Said::Hello { version, arguments, .. } if nanny.guest.is_some() => {
                nanny.speaks_otherwise = version != VERSION;
                self.introduced(id, Some(arguments.iter().collect()), now, out);
            }
            Said::Hello { version, .. } => {
                nanny.speaks_otherwise = version != VERSION;
                self.feed(id, Event::Heard, now, out);
            }
            Said::Alive | Said::Unable(_) | Said::Able | Said::Withdrawn(_) | Said::News(_) => {
                self.feed(id, Event::Heard, now, out);
            }
            Said::Flaps(flaps) => {
                nanny.flaps = Some((flaps, now)).filter(|_| !nanny.is_predecessor);
                self.feed(id, Event::Heard, now, out);
            }
            Said::Ready => self.feed(id, Event::Ready, now, out),
            // It was about the destination that this one's successor does not keep.
            Said::Verdict { .. } if nanny.is_predecessor => self.feed(id, Event::Heard, now, out),
            Said::Verdict { available, weight } => {
                if let Some(target) = nanny.seats.keys().next().copied().filter(|_| !nanny.is_shared()) {
                    let news = self.judged(id, &target, (available, weight), now, out);
                    self.ask_why(id, news);
                }
                self.feed(id, Event::Heard, now, out);
            }
            Said::Holds(held) => {
                self.heard_holds(id, held, now, out);
                self.feed(id, Event::Heard, now, out);
            }
            Said::Dropped(targets) => {
                self.feed(id, Event::Heard, now, out);
                self.heard_dropped(id, &targets, now, out);
            }
            Said::Why { text, .. } => {
                let is_down = nanny.seats.values().any(Seat::is_down);
                nanny.why = Some(text).filter(|text| is_down && !text.is_empty());
                self.feed(id, Event::Heard, now, out);
            }
            // It is lvsd's own word.
            Said::Answer { .. } => self.feed(id, Event::Heard, now, out),
            Said::Leaving(why) => nanny.leaving = Some(why.chars().take(REASON_MAX).collect()),
        }
    }

    fn line_ended(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let guest = self.take_guest(id);
        let Some(nanny) = self.all.get_mut(&id) else { return };
        nanny.line = None;
        if guest.is_some() {
            // It went before it said who it was.
            if nanny.monitor.is_some() {
                out.push(Action::Start(id));
            } else {
                self.feed(id, Event::Stop, now, out);
            }
        } else if nanny.is_ours || nanny.line_ended.is_some_and(|last| now < last + FIND_AGAIN_AFTER) {
            self.lineless.insert(id);
        } else {
            out.push(Action::FindAgain(id));
        }
        if let Some(nanny) = self.all.get_mut(&id) {
            nanny.line_ended = Some(now);
        }
    }
}
