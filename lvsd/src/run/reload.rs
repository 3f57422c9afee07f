//! HUP: the file is read again; if it names hosts, once their answers came. The loop
//! goes on meanwhile.

use std::time::Instant;

use super::{Daemon, RESOLVER, Serves};
use crate::asking::Answers;
use crate::messages::Message;

impl<S> Daemon<S>
where
    Self: Serves,
{
    pub(super) fn reread(&mut self, now: Instant) {
        if self.is_stopping() {
            return;
        }
        self.log.say(&Message::Rereading);
        let watch = (self.poll.registry(), RESOLVER);
        if let Some(answers) = self.asking.begin(&self.settings.file, watch, now) {
            self.take(&answers, now);
        }
    }

    /// The host names of a reload, when all came or their time is over.
    pub(super) fn take_answers(&mut self, now: Instant) {
        if let Some(answers) = self.asking.answers(now) {
            self.take(&answers, now);
        }
    }

    /// What the file asks for is what should be, unless it is wrong.
    fn take(&mut self, answers: &Answers, now: Instant) {
        if self.is_stopping() {
            return;
        }
        let stale = self.asking.learn(answers);
        let (wanted, mut lines) = match self.read() {
            Ok(asked) => asked,
            Err(trouble) => return trouble.lines.iter().for_each(|line| self.log.say(line)),
        };
        self.asking.keep().iter().for_each(|line| self.log.say(line));
        lines.extend(stale);
        self.say_notes(&lines);
        self.reload(wanted, now);
    }

    /// What was said of an earlier reading of the file is not said again.
    pub(super) fn say_notes(&mut self, lines: &[Message]) {
        self.notes.news(lines).for_each(|line| self.log.say(line));
    }
}
