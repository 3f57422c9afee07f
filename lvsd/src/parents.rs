//! The lines to those who watch lvsd: the pulse that started it, and any later
//! one that found it at its meeting place. A new one does not push the old one
//! out: whoever only knocks to see whether somebody is there hangs up again.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use common::channel::services::{News, pages};
use common::channel::{Ask, Line, Received, Said};

/// How many lines are kept; the oldest goes for one more.
pub const MAX: usize = 4;

/// How many packets of one parent are read in a row.
const PACKETS_MAX: usize = 16;

/// What a parent asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "a field is what its name says")]
pub enum Request {
    /// End and leave everything.
    Release,
    /// Compare with the kernel now.
    Check,
    /// Replace the nannies whose program was replaced.
    Renew,
    /// This director is active.
    Serve,
    /// It is not.
    Rest,
    /// An operator's order, to be answered on the line with this token.
    Order { line: usize, what: String, server: String },
    /// How things are, from this line of the answer on.
    Status { line: usize, from: usize },
}

/// How many events wait for pulse: about 200 KiB.
const NEWS_MAX: usize = 1024;

/// Events on their way to pulse. The oldest are lost where there are too many, or where
/// no pulse has ever been.
#[derive(Debug, Default)]
struct Outbox {
    waiting: VecDeque<News>,
    /// Lost since the last one that was taken.
    lost: u64,
    /// Lost since the line about it.
    unsaid: u64,
    /// The tokens of those who said whose turn it is, as nobody does but pulse.
    pulses: BTreeSet<usize>,
    /// There was one.
    had_pulse: bool,
}

impl Outbox {
    fn push(&mut self, news: News) {
        if !self.had_pulse && self.pulses.is_empty() {
            return;
        }
        self.had_pulse = true;
        if self.waiting.len() >= NEWS_MAX {
            self.waiting.pop_front();
            self.lost += 1;
            self.unsaid += 1;
        }
        self.waiting.push_back(news);
    }

    fn deliver(&mut self, lines: &[(usize, Line)]) -> Option<u64> {
        self.pulses.retain(|token| lines.iter().any(|(other, _)| other == token));
        while let Some(news) = self.waiting.front() {
            let packet = Said::News(News { lost: self.lost, ..news.clone() }).encode();
            let mut pulses = lines.iter().filter(|(token, _)| self.pulses.contains(token)).peekable();
            pulses.peek()?;
            // One that takes it is enough: another is on its way out. A line that ended
            // shows when it is read.
            let taken = pulses.filter(|(_, line)| line.try_send(&packet).unwrap_or(false)).count();
            if taken == 0 {
                return None;
            }
            self.lost = 0;
            self.waiting.pop_front();
        }
        Some(std::mem::take(&mut self.unsaid)).filter(|lost| *lost > 0)
    }
}

/// The lines.
#[derive(Debug)]
pub struct Parents {
    beat: Duration,
    next_beat: Instant,
    first_token: usize,
    /// Oldest first.
    lines: Vec<(usize, Line)>,
    news: Outbox,
    /// Why this director cannot serve, if so.
    unable: Option<String>,
    /// The virtual IPs to be let go of; `None`: not known yet.
    withdrawn: Option<BTreeSet<IpAddr>>,
}

impl Parents {
    /// None yet. They hear from us every `beat`; tokens are `first_token` to
    /// `first_token + MAX - 1`.
    pub fn new(beat: Duration, first_token: usize, now: Instant) -> Self {
        Self {
            beat,
            next_beat: now,
            first_token,
            lines: Vec::new(),
            news: Outbox::default(),
            unable: None,
            withdrawn: None,
        }
    }

    /// One more. One that cannot be listened to is turned away.
    pub fn welcome(&mut self, line: Line, is_ready: bool, registry: &Registry) {
        if self.lines.len() >= MAX {
            self.lines.remove(0);
        }
        let is_free = |token: &usize| self.lines.iter().all(|(other, _)| other != token);
        let Some(token) = (self.first_token..self.first_token + MAX).find(is_free) else { return };
        if listen(&line, token, registry).is_err() {
            return;
        }
        self.news.pulses.remove(&token);
        let arguments =
            common::daemon::arguments().iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let hello = Said::hello(arguments);
        let state = if is_ready { Said::Ready } else { Said::Alive };
        let unable = self.unable.clone().map(Said::Unable);
        // No address is raised by who is told first that we are ready.
        let greeting = std::iter::once(hello).chain(self.list()).chain([state]).chain(unable);
        if greeting.into_iter().all(|said| line.send(&said.encode()).is_ok()) {
            self.lines.push((token, line));
        }
    }

    /// These virtual IPs are to be let go of; said if it is news.
    pub fn say_withdrawn(&mut self, vips: &BTreeSet<IpAddr>) {
        if self.withdrawn.as_ref() != Some(vips) {
            self.withdrawn = Some(vips.clone());
            self.list().iter().for_each(|said| self.say(said));
        }
    }

    /// Something happened that the operator's programs should hear of: pulse knows
    /// them. It is said in [`Parents::deliver`].
    pub fn tell(&mut self, news: News) {
        self.news.push(news);
    }

    /// Says to pulse what is to be told, as far as its lines take it; what they do not
    /// waits. How many were lost, when that is over.
    pub fn deliver(&mut self) -> Option<u64> {
        self.news.deliver(&self.lines)
    }

    fn list(&self) -> Vec<Said> {
        self.withdrawn.iter().flat_map(pages).map(Said::Withdrawn).collect()
    }

    /// Whether this director can serve; said if it is news.
    pub fn say_unable(&mut self, unable: Option<String>) {
        if self.unable != unable {
            self.say(&unable.clone().map_or(Said::Able, Said::Unable));
            self.unable = unable;
        }
    }

    /// Everything was done for the first time.
    pub fn say_ready(&mut self) {
        self.say(&Said::Ready);
    }

    /// When [`Parents::beat`] is next needed; never while nobody listens.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.lines.is_empty()).then_some(self.next_beat)
    }

    /// Says that we live, if it is time.
    pub fn beat(&mut self, now: Instant) {
        if now >= self.next_beat {
            self.next_beat = now + self.beat;
            self.say(&Said::Alive);
            // A full line may have lost it.
            self.list().iter().for_each(|said| self.say(said));
        }
    }

    /// Reads one line. The end of a line changes nothing.
    pub fn read(&mut self, token: usize, requests: &mut Vec<Request>) {
        let Some((_, line)) = self.lines.iter().find(|(other, _)| *other == token) else { return };
        for _ in 0..PACKETS_MAX {
            match line.receive_ask() {
                Received::Message(Ask::Release) => requests.push(Request::Release),
                Received::Message(Ask::Check) => requests.push(Request::Check),
                Received::Message(Ask::Renew) => requests.push(Request::Renew),
                Received::Message(Ask::Serve) => {
                    self.news.pulses.insert(token);
                    requests.push(Request::Serve);
                }
                Received::Message(Ask::Rest) => {
                    self.news.pulses.insert(token);
                    requests.push(Request::Rest);
                }
                Received::Message(Ask::Order { what, server }) => {
                    requests.push(Request::Order { line: token, what, server });
                }
                Received::Message(Ask::Status(from)) => requests.push(Request::Status { line: token, from }),
                // What we ask our nannies is not asked of us.
                Received::Message(
                    Ask::Stay(_)
                    | Ask::Was(_)
                    | Ask::Flapped(_)
                    | Ask::Why
                    | Ask::Hold(_)
                    | Ask::Drop { .. }
                    | Ask::CheckService(_),
                )
                | Received::Garbage(_) => {}
                Received::Nothing => return,
                Received::Ended => break,
            }
        }
        // Over, or babbling: either way it is not heard any more.
        self.lines.retain(|(other, _)| *other != token);
    }

    /// Says something on one line, if it is there still.
    pub fn answer(&self, token: usize, said: &Said) {
        if let Some((_, line)) = self.lines.iter().find(|(other, _)| *other == token) {
            // A line that is broken shows when it is read.
            let _ = line.send(&said.encode());
        }
    }

    fn say(&mut self, said: &Said) {
        let packet = said.encode();
        self.lines.retain(|(_, line)| line.send(&packet).is_ok());
    }
}

fn listen(line: &Line, token: usize, registry: &Registry) -> io::Result<()> {
    registry.register(&mut SourceFd(&line.as_fd().as_raw_fd()), Token(token), Interest::READABLE)
}

#[cfg(test)]
mod tests;
