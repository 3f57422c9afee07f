//! The conversation of a check: send this, expect that. Pure; the bytes come and
//! go through [`crate::hands`].
//!
//! The verdict does not depend on how the network cut the answer into pieces (the
//! original looked at the first piece only): a text is compared byte by byte as it
//! arrives, a pattern is looked for in all that arrived, up to
//! [`PATTERN_SEES`] bytes, and a pattern that asks where the answer ends (`$`)
//! waits for the end. A datagram is an answer by itself.

use std::time::Duration;

use regex_lite::{Regex, RegexBuilder};

use super::Outcome;

/// How much of the answer a pattern is looked for in; the original's limit.
pub const PATTERN_SEES: usize = 254;

/// The largest compiled pattern, in bytes. A pattern is at most 255 bytes in
/// lvs.cf; this stops `(a{1000}){1000}` from eating a director's memory.
const PATTERN_SIZE_MAX: usize = 64 * 1024;

/// What a good answer is.
#[derive(Debug)]
pub enum Expect {
    /// Nothing is waited for.
    Nothing,
    /// The empty text: that the server says anything or closes.
    Readable,
    /// `*`: a byte.
    Anything,
    /// This beginning.
    Prefix(Vec<u8>),
    /// This somewhere in the first [`PATTERN_SEES`] bytes; `at_end`: more bytes
    /// may turn a match into none.
    Pattern {
        /// Compiled once, at start.
        regex: Regex,
        /// It mentions the end of the answer.
        at_end: bool,
    },
    /// A pattern that cannot be compiled fails each check, as it always did.
    BadPattern(String),
}

impl Expect {
    /// `text` as it stands after escapes; `None`: nothing is expected.
    pub fn new(text: Option<Vec<u8>>, is_pattern: bool) -> Self {
        match text {
            None => Self::Nothing,
            Some(text) if text.is_empty() => Self::Readable,
            Some(text) if text == b"*" => Self::Anything,
            Some(text) if is_pattern => Self::pattern(&characters(&text)),
            Some(text) => Self::Prefix(text),
        }
    }

    fn pattern(text: &str) -> Self {
        match compile(text) {
            Ok(regex) => Self::Pattern { regex, at_end: mentions_end(text) },
            Err(why) => Self::BadPattern(why),
        }
    }
}

/// A pattern that is looked for in a whole text.
#[derive(Debug)]
pub enum Pattern {
    /// Compiled once, at start.
    Good(Regex),
    /// Why it cannot be compiled.
    Bad(String),
}

impl Pattern {
    /// As it stands after escapes.
    pub fn new(text: &[u8]) -> Self {
        match compile(&characters(text)) {
            Ok(regex) => Self::Good(regex),
            Err(why) => Self::Bad(why),
        }
    }

    /// Whether it is in the text.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Good(regex) => regex.is_match(&characters(text)),
            Self::Bad(_) => false,
        }
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    // POSIX: a dot is any character, a line end too.
    let built = RegexBuilder::new(text).dot_matches_new_line(true).size_limit(PATTERN_SIZE_MAX).build();
    built.map_err(|e| e.to_string())
}

/// Bytes as characters, one each: an answer may be cut anywhere, and need not be
/// text. Patterns see bytes as in the C locale.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Whether the pattern can match a part of the answer and not the whole: `$`, or
/// an escape that looks at what follows.
fn mentions_end(pattern: &str) -> bool {
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'$' => return true,
            b'\\' if matches!(bytes.next(), Some(b'b' | b'B' | b'z' | b'<' | b'>')) => return true,
            _ => {}
        }
    }
    false
}

/// What is said and expected; one per nanny.
#[derive(Debug)]
pub struct Script {
    send: Vec<u8>,
    expect: Expect,
    /// Over UDP, and how long silence lasts that counts as an answer.
    silence: Option<Duration>,
}

impl Script {
    /// `silence`: the conversation is over UDP (see [`Next::Listen`]).
    pub fn new(send: Vec<u8>, expect: Expect, silence: Option<Duration>) -> Self {
        Self { send, expect, silence }
    }

    /// Over UDP instead of TCP.
    pub fn is_datagram(&self) -> bool {
        self.silence.is_some()
    }

    /// How much is sent, in bytes, and the first of it, for the log.
    pub fn sends(&self) -> &[u8] {
        &self.send
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Send this, or a part of it; over UDP one datagram, which may be empty.
    Send(&'a [u8]),
    /// Receive, at most so many bytes.
    Receive(usize),
    /// UDP without an expected text: any answer is good, a refusal is not, and
    /// silence of this length is good too.
    Listen(Duration),
    /// Close: it ended.
    Over(Outcome),
}

/// One conversation, from when the connection stands.
#[derive(Debug, Default)]
pub struct Exchange {
    sent: usize,
    /// The (maybe empty) datagram went out.
    datagram_sent: bool,
    got: Vec<u8>,
}

impl Exchange {
    /// What is to be done now.
    pub fn next<'a>(&self, script: &'a Script) -> Next<'a> {
        let unsent = script.send.get(self.sent..).unwrap_or_default();
        if !unsent.is_empty() || (script.is_datagram() && !self.datagram_sent) {
            return Next::Send(unsent);
        }
        match &script.expect {
            Expect::Nothing => script.silence.map_or(Next::Over(Outcome::Good), Next::Listen),
            Expect::Readable | Expect::Anything => Next::Receive(1),
            Expect::Prefix(prefix) => Next::Receive(prefix.len().saturating_sub(self.got.len())),
            Expect::Pattern { .. } => Next::Receive(PATTERN_SEES.saturating_sub(self.got.len())),
            Expect::BadPattern(why) => Next::Over(Outcome::BadPattern(why.clone())),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
        self.datagram_sent = true;
    }

    /// This much more of the answer is there. `None`: it goes on.
    pub fn received(&mut self, script: &Script, bytes: &[u8]) -> Option<Outcome> {
        self.got.extend_from_slice(bytes);
        match &script.expect {
            Expect::Nothing | Expect::Readable => Some(Outcome::Good),
            Expect::Anything => (!self.got.is_empty()).then_some(Outcome::Good),
            Expect::Prefix(prefix) if self.got.starts_with(prefix) => Some(Outcome::Good),
            Expect::Prefix(prefix) => (!prefix.starts_with(&self.got)).then_some(Outcome::Unexpected),
            Expect::Pattern { regex, at_end } => {
                self.got.truncate(PATTERN_SEES);
                let full = self.got.len() == PATTERN_SEES;
                if (full || !at_end) && self.matches(regex) {
                    return Some(Outcome::Good);
                }
                full.then_some(Outcome::Unexpected)
            }
            Expect::BadPattern(why) => Some(Outcome::BadPattern(why.clone())),
        }
    }

    /// The answer ended: the server closed, or the datagram was read.
    pub fn ended(&self, script: &Script) -> Outcome {
        match &script.expect {
            Expect::Nothing | Expect::Readable => Outcome::Good,
            Expect::Anything | Expect::Prefix(_) => Outcome::TooShort,
            Expect::Pattern { regex, .. } => {
                if self.matches(regex) {
                    Outcome::Good
                } else if self.got.is_empty() {
                    Outcome::TooShort
                } else {
                    Outcome::Unexpected
                }
            }
            Expect::BadPattern(why) => Outcome::BadPattern(why.clone()),
        }
    }

    /// The deadline came. What was said until then was the answer.
    pub fn timed_out(&self, script: &Script) -> Outcome {
        if let Next::Send(_) = self.next(script) {
            return Outcome::WriteTimedOut;
        }
        match &script.expect {
            Expect::Prefix(_) | Expect::Pattern { .. } if !self.got.is_empty() => self.ended(script),
            Expect::Nothing
            | Expect::Readable
            | Expect::Anything
            | Expect::Prefix(_)
            | Expect::Pattern { .. }
            | Expect::BadPattern(_) => Outcome::ReadTimedOut,
        }
    }

    /// The answer so far, for the log.
    pub fn got(&self) -> &[u8] {
        &self.got
    }

    fn matches(&self, regex: &Regex) -> bool {
        regex.is_match(&characters(&self.got))
    }
}

#[cfg(test)]
mod tests;
