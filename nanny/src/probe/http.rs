//! An HTTP check: one request, the status of its answer, and what its body must
//! hold. Pure. HTTP/1.1 and 1.0, bodies by length, in chunks or up to the end.
//!
//! An answer is looked at only as far as the verdict needs: without a wanted body
//! the head is enough. Everything has a limit; what is beyond it is a failure.

use std::fmt::Write as _;

use httparse::{EMPTY_HEADER, Response, Status};

use super::Outcome;
use super::exchange::{Next, Pattern};

/// The longest head of an answer, in bytes.
pub const HEAD_MAX: usize = 16 * 1024;

/// The most lines of a head.
const HEADERS_MAX: usize = 64;

/// How many answers of the kind "100 Continue" may stand before the real one.
const INTERIM_MAX: u8 = 4;

/// How much of a body is looked at, in bytes.
pub const BODY_MAX: usize = 64 * 1024;

/// The longest extension of a chunk's size, in bytes.
const EXTENSION_MAX: u16 = 256;

/// How much is read at once, at most.
const READ: usize = 4096;

/// What must be in the body.
#[derive(Debug)]
pub enum Body {
    /// Whatever is in it.
    Any,
    /// This text, somewhere.
    Text(Vec<u8>),
    /// This pattern, somewhere in the first [`BODY_MAX`] bytes.
    Pattern(Pattern),
}

/// What is asked and what a good answer is; one per check.
#[derive(Debug)]
pub struct Request {
    bytes: Vec<u8>,
    statuses: Vec<(u16, u16)>,
    body: Body,
    /// The answer to HEAD has no body, whatever it says.
    is_head: bool,
}

/// What a request is made of. All of it was judged by [`common::check`].
#[derive(Debug)]
pub struct Parts<'a> {
    /// `GET`, ...
    pub method: &'a str,
    /// With its query.
    pub path: &'a str,
    /// For `Host:`.
    pub host: &'a str,
    /// `Name: value`, each.
    pub headers: &'a [String],
}

impl Request {
    /// The request as it is sent.
    pub fn new(parts: &Parts<'_>, statuses: Vec<(u16, u16)>, body: Body) -> Self {
        let Parts { method, path, host, headers } = parts;
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        let own = [("Host", *host), ("User-Agent", "piranha-ng"), ("Accept", "*/*"), ("Connection", "close")];
        let given = |name: &str| {
            let names = headers.iter().filter_map(|line| line.split_once(':'));
            names.map(|(given, _)| given).any(|given| given.eq_ignore_ascii_case(name))
        };
        for (name, value) in own.iter().filter(|(name, _)| !given(name)) {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        for header in *headers {
            let _ = write!(text, "{header}\r\n");
        }
        text.push_str("\r\n");
        let is_head = method.eq_ignore_ascii_case("HEAD");
        Self { bytes: text.into_bytes(), statuses, body, is_head }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunks(Chunk),
    /// With the connection.
    Close,
}

/// Where in a chunked body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the size, so far this, of so many digits.
    Size(u64, u8),
    /// Behind the size: so many bytes of an extension, up to the end of its line.
    Extension(u64, u16),
    /// So many bytes are left of the data.
    Data(u64),
    /// The line end behind the data.
    DataEnd,
    /// Behind the last chunk.
    Over,
}

/// One answer as it comes.
#[derive(Debug, Default)]
pub struct Reading {
    sent: usize,
    /// The head until it is whole; then the body, as far as it is looked at.
    got: Vec<u8>,
    interim: u8,
    framing: Option<Framing>,
    /// How much of the body has been searched in vain.
    searched: usize,
}

fn wrong(why: impl Into<String>) -> Outcome {
    Outcome::Wrong(why.into())
}

impl Reading {
    /// What is to be done now.
    pub fn next<'a>(&self, request: &'a Request) -> Next<'a> {
        match request.bytes.get(self.sent..) {
            Some(unsent) if !unsent.is_empty() => Next::Send(unsent),
            _ => Next::Receive(READ),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// This much more of the answer is there. `None`: it goes on.
    pub fn received(&mut self, request: &Request, bytes: &[u8]) -> Option<Outcome> {
        if self.framing.is_some() {
            return self.body(request, bytes);
        }
        // The end of a head is looked for in what is new alone: a byte at a time costs no more than all at once.
        let from = self.got.len().saturating_sub(3);
        self.got.extend_from_slice(bytes);
        if !self.could_be_http() {
            return Some(wrong("the answer is not HTTP"));
        }
        let mut from = from;
        while let Some(end) = end_of_head(&self.got, from).filter(|end| *end <= HEAD_MAX) {
            let rest = self.got.split_off(end);
            let head = std::mem::replace(&mut self.got, rest);
            match self.head(request, &head) {
                Ok(true) => {
                    let rest = std::mem::take(&mut self.got);
                    return self.body(request, &rest);
                }
                Ok(false) => from = 0,
                Err(outcome) => return Some(outcome),
            }
        }
        (self.got.len() > HEAD_MAX)
            .then(|| wrong(format!("the head of the HTTP answer is longer than {HEAD_MAX} bytes")))
    }

    /// The answer ended: the server closed.
    pub fn ended(&self, request: &Request) -> Outcome {
        match self.framing {
            Some(Framing::Close) => self.judge_body(request),
            Some(Framing::Length(_) | Framing::Chunks(_)) | None => Outcome::TooShort,
        }
    }

    /// The deadline came.
    pub fn timed_out(&self, request: &Request) -> Outcome {
        if self.sent < request.bytes.len() { Outcome::WriteTimedOut } else { Outcome::ReadTimedOut }
    }

    /// What is kept of the answer, for the log.
    pub fn got(&self) -> &[u8] {
        &self.got
    }

    fn could_be_http(&self) -> bool {
        // A blank line may stand before an answer (RFC 9112 2.2 has it for requests; servers do it too).
        let got = self.got.trim_ascii_start();
        let n = got.len().min(5);
        got.get(..n) == b"HTTP/".get(..n)
    }

    /// A whole head. `Ok(false)`: it was an interim one. Not in its caller's frame,
    /// which every kind of check has on its stack: the headers are 2 KiB.
    #[inline(never)]
    fn head(&mut self, request: &Request, head: &[u8]) -> Result<bool, Outcome> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        match response.parse(head) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) => return Err(wrong("the head of the HTTP answer is not whole")),
            Err(e) => return Err(wrong(format!("the answer is not HTTP: {e}"))),
        }
        let status = response.code.unwrap_or_default();
        // 101 is an answer of its own: what follows it is no HTTP.
        if (100..200).contains(&status) && status != 101 {
            self.interim += 1;
            let many = || wrong(format!("more than {INTERIM_MAX} interim HTTP answers"));
            return if self.interim > INTERIM_MAX { Err(many()) } else { Ok(false) };
        }
        if !request.statuses.iter().any(|(low, high)| (*low..=*high).contains(&status)) {
            let reason: String = response.reason.unwrap_or_default().chars().take(60).collect();
            return Err(wrong(format!("HTTP status {status} {reason}").trim_end()));
        }
        if matches!(request.body, Body::Any) {
            return Err(Outcome::Good);
        }
        let value = |name: &str| {
            let mut of_name = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            of_name.next_back().map(|header| header.value.trim_ascii())
        };
        let is_chunked =
            value("Transfer-Encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with(b"chunked"));
        self.framing = Some(if request.is_head || matches!(status, 204 | 304) {
            Framing::Length(0)
        } else if is_chunked {
            Framing::Chunks(Chunk::Size(0, 0))
        } else if let Some(length) = value("Content-Length") {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
            Framing::Length(length.ok_or_else(|| wrong("the Content-Length of the HTTP answer is no number"))?)
        } else {
            Framing::Close
        });
        Ok(true)
    }

    /// More of the body, maybe none.
    fn body(&mut self, request: &Request, bytes: &[u8]) -> Option<Outcome> {
        let framed = self.unframe(bytes);
        if let Body::Text(text) = &request.body {
            let from = self.searched.saturating_sub(text.len().saturating_sub(1));
            if contains(self.got.get(from..).unwrap_or_default(), text) {
                return Some(Outcome::Good);
            }
            self.searched = self.got.len();
        }
        match framed {
            Err(outcome) => return Some(outcome),
            Ok(true) => return Some(self.judge_body(request)),
            Ok(false) => {}
        }
        (self.got.len() >= BODY_MAX).then(|| self.judge_body(request))
    }

    /// Puts the data of a body behind what is there of it. `true`: it is whole.
    fn unframe(&mut self, mut bytes: &[u8]) -> Result<bool, Outcome> {
        let Self { got, framing, .. } = self;
        let mut keep = |data: &[u8]| {
            let room = BODY_MAX.saturating_sub(got.len());
            got.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        };
        loop {
            let take = |left: u64| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match framing {
                Some(Framing::Length(left)) => {
                    let n = take(*left);
                    keep(bytes.get(..n).unwrap_or_default());
                    *left = left.saturating_sub(n as u64);
                    return Ok(*left == 0);
                }
                Some(Framing::Close) | None => {
                    keep(bytes);
                    return Ok(false);
                }
                Some(Framing::Chunks(Chunk::Over)) => return Ok(true),
                Some(Framing::Chunks(Chunk::Data(left))) if *left > 0 => {
                    let n = take(*left);
                    if n == 0 {
                        return Ok(false);
                    }
                    keep(bytes.get(..n).unwrap_or_default());
                    *left = left.saturating_sub(n as u64);
                    bytes = bytes.get(n..).unwrap_or_default();
                }
                Some(Framing::Chunks(chunk)) => {
                    let Some((byte, rest)) = bytes.split_first() else { return Ok(false) };
                    bytes = rest;
                    *chunk = chunk.step(*byte).ok_or_else(|| wrong("the chunks of the HTTP answer are garbled"))?;
                }
            }
        }
    }

    /// All of the body that is looked at is there.
    fn judge_body(&self, request: &Request) -> Outcome {
        match &request.body {
            Body::Any => Outcome::Good,
            Body::Text(text) if contains(&self.got, text) => Outcome::Good,
            Body::Pattern(Pattern::Bad(why)) => Outcome::BadPattern(why.clone()),
            Body::Pattern(pattern) if pattern.matches(&self.got) => Outcome::Good,
            Body::Text(_) | Body::Pattern(_) => {
                let how = if self.got.len() >= BODY_MAX { "the beginning of the body" } else { "the body" };
                wrong(format!("{how} is not as expected"))
            }
        }
    }
}

impl Chunk {
    fn step(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Size(size, digits), byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map(u64::from)?;
                (digits < 15).then_some(Self::Size(size * 16 + digit, digits + 1))
            }
            (Self::Size(_, 0), _) => None,
            (Self::Size(size, _) | Self::Extension(size, _), b'\n') => {
                Some(if size == 0 { Self::Over } else { Self::Data(size) })
            }
            (Self::Size(size, _), b';' | b' ' | b'\t' | b'\r') => Some(Self::Extension(size, 1)),
            (Self::Extension(size, seen), _) => (seen < EXTENSION_MAX).then_some(Self::Extension(size, seen + 1)),
            (Self::Size(..), _) => None,
            (Self::Data(_), b'\r') => Some(Self::DataEnd),
            (Self::Data(_) | Self::DataEnd, b'\n') => Some(Self::Size(0, 0)),
            (Self::Data(_) | Self::DataEnd, _) => None,
            (Self::Over, _) => Some(Self::Over),
        }
    }
}

/// Where the first head ends that ends behind `from`.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let new = bytes.get(from..)?;
    new.iter().enumerate().find_map(|(at, byte)| {
        let end = from + at;
        let before = bytes.get(..end)?;
        let is_end = *byte == b'\n' && (before.ends_with(b"\n") || before.ends_with(b"\n\r"));
        // Blank lines before the status line end nothing.
        (is_end && !before.trim_ascii().is_empty()).then_some(end + 1)
    })
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests;
