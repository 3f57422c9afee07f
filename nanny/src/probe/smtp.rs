//! An SMTP check: the greeting, HELO, QUIT; each reply must be the good one
//! (RFC 5321). Pure.

use super::Outcome;
use super::exchange::Next;

/// The longest line of a reply, in bytes (RFC 5321 4.5.3.1.5 has 512).
const LINE_MAX: usize = 1024;

/// The most lines of a reply.
const LINES_MAX: u8 = 64;

/// What is said; one per check.
#[derive(Debug)]
pub struct Visit {
    /// After the greeting, and after the reply to HELO.
    says: [Vec<u8>; 2],
}

/// The codes of the good replies: greeting, HELO, QUIT.
const GOOD: [u16; 3] = [220, 250, 221];

impl Visit {
    /// By this name. It was judged by [`common::check::host`].
    pub fn new(helo: &str) -> Self {
        Self { says: [format!("HELO {helo}\r\n").into_bytes(), b"QUIT\r\n".to_vec()] }
    }
}

/// One conversation as it goes.
#[derive(Debug, Default)]
pub struct Talk {
    /// How many replies were good.
    replies: usize,
    /// How much of what follows the last reply was sent.
    sent: usize,
    line: Vec<u8>,
    lines: u8,
}

impl Talk {
    /// What is to be done now.
    pub fn next<'a>(&self, visit: &'a Visit) -> Next<'a> {
        let says = self.replies.checked_sub(1).and_then(|n| visit.says.get(n)).map_or(&[][..], Vec::as_slice);
        match says.get(self.sent..) {
            Some(unsent) if !unsent.is_empty() => Next::Send(unsent),
            _ => Next::Receive(512),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// This much more is there. `None`: it goes on.
    pub fn received(&mut self, bytes: &[u8]) -> Option<Outcome> {
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' {
                let (line, replies) = (std::mem::take(&mut self.line), self.replies);
                if let Some(outcome) = self.line(line.strip_suffix(b"\r").unwrap_or(&line)) {
                    return Some(outcome);
                }
                if self.replies > replies && at + 1 < bytes.len() {
                    return Some(Outcome::Wrong("the mail server speaks out of turn".to_owned()));
                }
            } else {
                self.line.push(*byte);
            }
            if self.line.len() > LINE_MAX {
                return Some(Outcome::Wrong(format!("a line is longer than {LINE_MAX} bytes")));
            }
        }
        None
    }

    fn line(&mut self, line: &[u8]) -> Option<Outcome> {
        let code = line.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok());
        let text = String::from_utf8_lossy(line.get(..line.len().min(60)).unwrap_or_default()).into_owned();
        let Some(code) = code.filter(|_| matches!(line.get(3), None | Some(b' ' | b'-'))) else {
            return Some(Outcome::Wrong(format!("\"{text}\" is no SMTP reply")));
        };
        if Some(&code) != GOOD.get(self.replies) {
            return Some(Outcome::Wrong(format!("SMTP reply \"{text}\"")));
        }
        self.lines += 1;
        if self.lines > LINES_MAX {
            return Some(Outcome::Wrong(format!("an SMTP reply has more than {LINES_MAX} lines")));
        }
        if line.get(3) != Some(&b'-') {
            (self.replies, self.sent, self.lines) = (self.replies + 1, 0, 0);
        }
        (self.replies == GOOD.len()).then_some(Outcome::Good)
    }

    /// The server closed. Many do at QUIT without a word, which is good manners enough.
    pub fn ended(&self) -> Outcome {
        if self.replies + 1 == GOOD.len() && self.line.is_empty() { Outcome::Good } else { Outcome::TooShort }
    }

    /// The deadline came.
    pub fn timed_out(&self, visit: &Visit) -> Outcome {
        match self.next(visit) {
            Next::Send(_) => Outcome::WriteTimedOut,
            Next::Receive(_) | Next::Listen(_) | Next::Over(_) => Outcome::ReadTimedOut,
        }
    }

    /// The line that is not whole yet, for the log.
    pub fn got(&self) -> &[u8] {
        &self.line
    }
}

#[cfg(test)]
mod tests;
