//! A DNS check: one question, the code of its answer, and a record it must hold
//! (RFC 1035). Pure; over UDP, or over TCP with its two bytes of length.

use std::net::{Ipv4Addr, Ipv6Addr};

use common::check::rcode_name;

use super::Outcome;
use super::exchange::Next;

/// How many records are compared.
const RECORDS_MAX: usize = 256;

/// How many names a name may lead to, each further on in front.
const JUMPS_MAX: u8 = 32;

/// How many datagrams that are no answer to our question are passed over.
const STRANGERS_MAX: u8 = 16;

const CLASS_IN: u16 = 1;
const HEADER: usize = 12;

/// What is asked and what a good answer is; one per check.
#[derive(Debug)]
pub struct Question {
    /// The message but for its id.
    name: Vec<u8>,
    kind: u16,
    rcode: u8,
    answer: Option<String>,
    is_stream: bool,
}

impl Question {
    /// `name` in wire form; `answer`: the data of a record as text.
    pub fn new(name: Vec<u8>, kind: u16, rcode: u8, answer: Option<String>, is_stream: bool) -> Self {
        let answer = answer.map(|text| text.strip_suffix('.').map(str::to_owned).unwrap_or(text));
        Self { name, kind, rcode, answer, is_stream }
    }

    fn message(&self, id: u16) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        // Recursion desired; one question.
        message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend_from_slice(&self.name);
        message.extend(self.kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        if self.is_stream {
            let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
            message.splice(0..0, length.to_be_bytes());
        }
        message
    }
}

/// One question as it is asked.
#[derive(Debug)]
pub struct Asking {
    id: u16,
    message: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
    strangers: u8,
}

impl Asking {
    /// With this id, which should not be foreseen.
    pub fn new(question: &Question, id: u16) -> Self {
        Self { id, message: question.message(id), sent: 0, got: Vec::new(), strangers: 0 }
    }

    /// What is to be done now.
    pub fn next(&self) -> Next<'_> {
        match self.message.get(self.sent..) {
            Some(unsent) if !unsent.is_empty() => Next::Send(unsent),
            _ => Next::Receive(4096),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// A datagram, or more of the stream. `None`: it goes on.
    pub fn received(&mut self, question: &Question, bytes: &[u8]) -> Option<Outcome> {
        if !question.is_stream {
            bytes.clone_into(&mut self.got);
            if self.is_ours(question, bytes) {
                return Some(judge(question, bytes));
            }
            self.strangers += 1;
            return (self.strangers >= STRANGERS_MAX).then(|| wrong("the datagrams are no answer to our question"));
        }
        self.got.extend_from_slice(bytes);
        let (length, message) = self.got.split_first_chunk::<2>()?;
        let message = message.get(..usize::from(u16::from_be_bytes(*length)))?;
        Some(if self.is_ours(question, message) {
            judge(question, message)
        } else {
            wrong("the answer is not to our question")
        })
    }

    /// The server closed.
    pub fn ended(&self) -> Outcome {
        Outcome::TooShort
    }

    /// The deadline came.
    pub fn timed_out(&self) -> Outcome {
        if self.sent < self.message.len() { Outcome::WriteTimedOut } else { Outcome::ReadTimedOut }
    }

    /// The answer so far, for the log.
    pub fn got(&self) -> &[u8] {
        &self.got
    }

    /// An answer, with our id and to our question.
    fn is_ours(&self, question: &Question, message: &[u8]) -> bool {
        let word = |at| u16_at(message, at);
        let header = word(0) == Some(self.id) && word(2).is_some_and(|flags| flags & 0x8000 != 0);
        // An error may come without the question (RFC 1035 4.1.1 does not say).
        let questions = word(4);
        let same = || {
            let (name, at) = name_at(message, HEADER)?;
            let (asked, _) = name_at(&question.name, 0)?;
            Some(name == asked && u16_at(message, at)? == question.kind && u16_at(message, at + 2)? == CLASS_IN)
        };
        header && (questions == Some(0) || (questions == Some(1) && same() == Some(true)))
    }
}

fn wrong(why: impl Into<String>) -> Outcome {
    Outcome::Wrong(why.into())
}

/// An answer to our question.
fn judge(question: &Question, message: &[u8]) -> Outcome {
    let code = message.get(3).map_or(0, |flags| flags & 15);
    if code != question.rcode {
        return wrong(format!("DNS answer {}", rcode_name(code)));
    }
    let Some(wanted) = &question.answer else { return Outcome::Good };
    match records(question, message) {
        None => wrong("the DNS answer is garbled"),
        Some(all) if all.iter().any(|record| record.eq_ignore_ascii_case(wanted)) => Outcome::Good,
        Some(all) if all.is_empty() => wrong("the DNS answer has no record of the type asked for"),
        Some(all) => {
            let first: String = all.first().map(|record| record.chars().take(60).collect()).unwrap_or_default();
            wrong(format!("the DNS answer is not as expected: \"{first}\""))
        }
    }
}

/// The data of the answer's records of the type asked for. `None`: it is cut, or no
/// message.
fn records(question: &Question, message: &[u8]) -> Option<Vec<String>> {
    let (questions, answers) = (u16_at(message, 4)?, u16_at(message, 6)?);
    let mut at = HEADER;
    for _ in 0..questions {
        (_, at) = name_at(message, at)?;
        at += 4;
    }
    let mut all = Vec::new();
    for _ in 0..answers {
        (_, at) = name_at(message, at)?;
        let (kind, class, length) = (u16_at(message, at)?, u16_at(message, at + 2)?, u16_at(message, at + 8)?);
        let data = at + 10;
        at = data + usize::from(length);
        let bytes = message.get(data..at)?;
        if kind == question.kind && class == CLASS_IN && all.len() < RECORDS_MAX {
            all.push(text(kind, message, data, bytes)?);
        }
    }
    Some(all)
}

/// A record's data as text, in the form of zone files for the types that have a
/// simple one; others in hexadecimal digits.
fn text(kind: u16, message: &[u8], at: usize, data: &[u8]) -> Option<String> {
    Some(match kind {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
        28 => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string(),
        2 | 5 | 12 => name_at(message, at)?.0,
        15 => format!("{} {}", u16_at(data, 0)?, name_at(message, at + 2)?.0),
        33 => {
            let (priority, weight, port) = (u16_at(data, 0)?, u16_at(data, 2)?, u16_at(data, 4)?);
            format!("{priority} {weight} {port} {}", name_at(message, at + 6)?.0)
        }
        16 => {
            let mut text = String::new();
            let mut rest = data;
            while let Some((length, behind)) = rest.split_first() {
                let (part, behind) = behind.split_at_checked(usize::from(*length))?;
                text.push_str(&String::from_utf8_lossy(part));
                rest = behind;
            }
            text
        }
        _ => {
            data.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|n| char::from_digit(n.into(), 16)).collect()
        }
    })
}

/// The name that begins at `at`, in lower case and without its last dot, and where
/// it ends. A pointer must point backwards.
fn name_at(message: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut name, mut here, mut end) = (String::new(), at, None);
    let mut jumps = 0;
    loop {
        let length = *message.get(here)?;
        match length >> 6 {
            0 if length == 0 => return Some((name, end.unwrap_or(here + 1))),
            0 => {
                let label = message.get(here + 1..here + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
                here += 1 + usize::from(length);
            }
            3 => {
                let target = usize::from(u16_at(message, here)? & 0x3fff);
                end = end.or(Some(here + 2));
                jumps += 1;
                if target >= here || jumps > JUMPS_MAX {
                    return None;
                }
                here = target;
            }
            _ => return None,
        }
        if name.len() > 1024 {
            return None;
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
