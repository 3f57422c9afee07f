//! A gRPC check: one call of grpc.health.v1.Health/Check, and the status that it
//! answers with. Pure. HTTP/2 as far as one call needs it ([`frames`], [`hpack`]).
//!
//! All of ours is sent at once: our settings leave the server no dynamic table, so that
//! a header block is read without what was before it, and a message is far smaller than
//! any window. The answer counts when it is whole: a message says nothing if the call
//! failed after it.

pub mod frames;
pub mod hpack;

use super::Outcome;
use super::exchange::Next;
use frames::{ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames};
use frames::{GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM, SETTINGS};

/// How a client begins (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Ours: no dynamic table, no pushed streams, and header blocks of [`BLOCK_MAX`].
const OUR_SETTINGS: [u8; 18] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 6, 0, 0, 0x40, 0];

const PATH: &str = "/grpc.health.v1.Health/Check";

/// The call's stream.
const STREAM: u32 = 1;

/// The longest header block, in bytes.
const BLOCK_MAX: usize = 16 * 1024;

/// The longest message, in bytes; a good one has two.
const MESSAGE_MAX: usize = 4096;

/// Before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// How much of a text of the server is said.
const TEXT_MAX: usize = 60;

/// How much is read at once, at most.
const READ: usize = 4096;

/// The codes of a call that ended (grpc.io, status codes), from 0.
const CODES: &str = "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS \
    PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE \
    DATA_LOSS UNAUTHENTICATED";

/// The health of a service (grpc.health.v1.HealthCheckResponse), from 0.
const HEALTH: &str = "UNKNOWN SERVING NOT_SERVING SERVICE_UNKNOWN";

/// Why a stream or a connection is given up (RFC 9113 7), from 0.
const REASONS: &str = "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED \
    FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY \
    HTTP_1_1_REQUIRED";

/// The nth of these names, or its number.
fn name(names: &str, number: u64) -> String {
    let nth = usize::try_from(number).ok().and_then(|n| names.split_ascii_whitespace().nth(n));
    nth.map_or_else(|| format!("code {number}"), str::to_owned)
}

/// What is asked; one per check.
#[derive(Debug)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// The health of this service, which may be empty: of the whole server. `host` is whom
    /// it is asked of; both were judged by [`common::check`].
    pub fn new(service: &str, host: &str, is_secure: bool) -> Self {
        let mut block = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", if is_secure { "https" } else { "http" }),
            (":path", PATH),
            (":authority", host),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "piranha-ng"),
        ] {
            hpack::write(&mut block, name, value);
        }
        let mut bytes = PREFACE.to_vec();
        frames::write(&mut bytes, (SETTINGS, 0, 0), &OUR_SETTINGS);
        frames::write(&mut bytes, (HEADERS, END_HEADERS, STREAM), &block);
        frames::write(&mut bytes, (DATA, END_STREAM, STREAM), &message(service));
        Self { bytes }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// grpc.health.v1.HealthCheckRequest: field 1 is the service.
fn message(service: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    if !service.is_empty() {
        fields.push(1 << 3 | 2);
        let mut length = service.len();
        while length > 0x7f {
            fields.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        fields.push(u8::try_from(length).unwrap_or_default());
        fields.extend_from_slice(service.as_bytes());
    }
    let mut message = vec![0];
    message.extend(u32::try_from(fields.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(fields);
    message
}

/// A header block that is not whole yet.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    ends_stream: bool,
}

/// What a header block says to a call.
#[derive(Debug, Default)]
struct Fields {
    status: Option<String>,
    content_type: Option<String>,
    grpc_status: Option<String>,
    grpc_message: Option<String>,
}

/// One call as it goes.
#[derive(Debug, Default)]
pub struct Call {
    /// How much of the request is left.
    unsent: usize,
    /// What the server wants to be acknowledged, and how much of it was.
    owed: Vec<u8>,
    paid: usize,
    frames: Frames,
    block: Option<Block>,
    /// The head of the answer was good.
    has_head: bool,
    /// The message, with its prefix.
    message: Vec<u8>,
    /// The server takes no calls after ours.
    leaves: bool,
}

fn wrong(why: impl Into<String>) -> Outcome {
    Outcome::Wrong(why.into())
}

fn garbled(what: &str) -> Outcome {
    wrong(format!("the HTTP/2 answer is garbled: {what}"))
}

impl Call {
    /// A new one.
    pub fn new(request: &Request) -> Self {
        Self { unsent: request.bytes.len(), ..Self::default() }
    }

    /// What is to be done now.
    pub fn next<'a>(&'a self, request: &'a Request) -> Next<'a> {
        let sent = request.bytes.len().saturating_sub(self.unsent);
        let unsent = request.bytes.get(sent..).unwrap_or_default();
        let unpaid = self.owed.get(self.paid..).unwrap_or_default();
        match (unsent.is_empty(), unpaid.is_empty()) {
            (false, _) => Next::Send(unsent),
            (true, false) => Next::Send(unpaid),
            (true, true) => Next::Receive(READ),
        }
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        match self.unsent {
            0 => self.paid = self.paid.saturating_add(bytes),
            unsent => self.unsent = unsent.saturating_sub(bytes),
        }
    }

    /// This much more of the answer is there. `None`: it goes on.
    pub fn received(&mut self, bytes: &[u8]) -> Option<Outcome> {
        self.frames.add(bytes);
        loop {
            let step = match self.frames.take() {
                Ok(None) => return None,
                Ok(Some(frame)) => self.frame(&frame),
                Err(why) => Err(wrong(format!("the answer is no gRPC: {why}"))),
            };
            if let Err(outcome) = step {
                return Some(outcome);
            }
        }
    }

    /// The server closed.
    pub fn ended(&self) -> Outcome {
        match self.frames.rest() {
            // An alert, which is all that TLS has to say to us.
            [0x15, 3, ..] => wrong("the answer is no gRPC: it is TLS"),
            _ if self.leaves => wrong("the server goes away (GOAWAY)"),
            _ => Outcome::TooShort,
        }
    }

    /// The deadline came.
    pub fn timed_out(&self) -> Outcome {
        if self.unsent > 0 { Outcome::WriteTimedOut } else { Outcome::ReadTimedOut }
    }

    /// The message so far, for the log.
    pub fn got(&self) -> &[u8] {
        &self.message
    }

    /// A whole frame. An error is the end, be it a good one.
    fn frame(&mut self, frame: &Frame) -> Result<(), Outcome> {
        let is_ours = frame.stream == STREAM;
        let is_connections = frame.stream == 0;
        match (frame.kind, &mut self.block) {
            (CONTINUATION, Some(block)) if is_ours => {
                block.bytes.extend_from_slice(frame.payload());
                self.block_goes_on(frame.has(END_HEADERS))
            }
            (CONTINUATION, _) | (_, Some(_)) => Err(garbled("a header block is interrupted")),
            (HEADERS, None) if is_ours => {
                let bytes = frame.content().ok_or_else(|| garbled("a frame is cut"))?.to_vec();
                self.block = Some(Block { bytes, ends_stream: frame.has(END_STREAM) });
                self.block_goes_on(frame.has(END_HEADERS))
            }
            (DATA, None) if is_ours && self.has_head => {
                self.data(frame.content().ok_or_else(|| garbled("a frame is cut"))?)?;
                if frame.has(END_STREAM) { Err(wrong("the gRPC call ended without a status")) } else { Ok(()) }
            }
            (DATA, None) if is_ours => Err(garbled("a message before its head")),
            (DATA | HEADERS | PUSH_PROMISE, None) => Err(garbled("a stream that was not asked for")),
            (RST_STREAM, None) if is_ours => {
                let code = number(frame.payload(), 0).ok_or_else(|| garbled("a frame is cut"))?;
                Err(wrong(format!("the server gave the call up (RST_STREAM, {})", name(REASONS, code))))
            }
            (SETTINGS, None) if is_connections => self.settings(frame),
            (PING, None) if is_connections => self.ping(frame),
            (GOAWAY, None) if is_connections => self.goaway(frame),
            (RST_STREAM | SETTINGS | PING | GOAWAY, None) => Err(garbled("a frame of a strange stream")),
            // Windows, which are wide enough, priorities, and what is not known has no say.
            (_, None) => Ok(()),
        }
    }

    fn settings(&mut self, frame: &Frame) -> Result<(), Outcome> {
        if frame.has(ACK) {
            return Ok(());
        }
        if !frame.payload().len().is_multiple_of(6) {
            return Err(garbled("a frame is cut"));
        }
        frames::write(&mut self.owed, (SETTINGS, ACK, 0), &[]);
        Ok(())
    }

    fn ping(&mut self, frame: &Frame) -> Result<(), Outcome> {
        if frame.payload().len() != 8 {
            return Err(garbled("a frame is cut"));
        }
        if !frame.has(ACK) {
            frames::write(&mut self.owed, (PING, ACK, 0), frame.payload());
        }
        Ok(())
    }

    /// A server that is told to end may still answer what it was asked before.
    fn goaway(&mut self, frame: &Frame) -> Result<(), Outcome> {
        let last = number(frame.payload(), 0).ok_or_else(|| garbled("a frame is cut"))? & 0x7fff_ffff;
        let code = number(frame.payload(), 4).ok_or_else(|| garbled("a frame is cut"))?;
        if last >= u64::from(STREAM) && code == 0 {
            self.leaves = true;
            return Ok(());
        }
        let mut why = format!("the server goes away (GOAWAY, {}", name(REASONS, code));
        let text = said(frame.payload().get(8..).unwrap_or_default());
        if !text.is_empty() {
            why = format!("{why}: {text}");
        }
        Err(wrong(why + ")"))
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        self.message.extend_from_slice(bytes);
        if let Some((prefix, _)) = self.message.split_first_chunk::<PREFIX>() {
            let [compressed, length @ ..] = *prefix;
            if compressed != 0 {
                return Err(wrong("the message of the gRPC answer is compressed, which was not asked for"));
            }
            let is_long = usize::try_from(u32::from_be_bytes(length)).map_or(true, |length| length > MESSAGE_MAX);
            if is_long {
                return Err(wrong(format!("the message of the gRPC answer is longer than {MESSAGE_MAX} bytes")));
            }
        }
        if self.message.len() > PREFIX + MESSAGE_MAX {
            return Err(wrong("the gRPC answer has more than one message"));
        }
        Ok(())
    }

    fn block_goes_on(&mut self, is_whole: bool) -> Result<(), Outcome> {
        if self.block.as_ref().is_some_and(|block| block.bytes.len() > BLOCK_MAX) {
            return Err(wrong(format!("the headers of the gRPC answer are longer than {BLOCK_MAX} bytes")));
        }
        match self.block.take_if(|_| is_whole) {
            Some(Block { bytes, ends_stream }) => self.fields(&fields(&bytes)?, ends_stream),
            None => Ok(()),
        }
    }

    /// A whole header block: the answer's head, or its end.
    fn fields(&mut self, fields: &Fields, ends_stream: bool) -> Result<(), Outcome> {
        if ends_stream && fields.grpc_status.is_some() {
            return Err(self.judge(fields));
        }
        if self.has_head {
            let why =
                if ends_stream { wrong("the gRPC call ended without a status") } else { garbled("a second head") };
            return Err(why);
        }
        let status = fields.status.as_deref().ok_or_else(|| garbled("its head has no status"))?;
        if status.starts_with('1') && status.len() == 3 && !ends_stream {
            return Ok(());
        }
        if status != "200" {
            return Err(wrong(format!("HTTP status {status}")));
        }
        let kind = fields.content_type.as_deref().unwrap_or_default();
        let behind = kind.strip_prefix("application/grpc");
        if !behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(['+', ';'])) {
            return Err(wrong(format!("the answer is no gRPC: its content-type is \"{kind}\"")));
        }
        if ends_stream {
            return Err(wrong("the gRPC call ended without a status"));
        }
        self.has_head = true;
        Ok(())
    }

    /// The call ended with this status.
    fn judge(&self, fields: &Fields) -> Outcome {
        let status = fields.grpc_status.as_deref().unwrap_or_default();
        let Ok(code) = status.parse::<u64>() else { return garbled("the status of the call is no number") };
        if code == 0 {
            return match health(&self.message) {
                Ok(1) => Outcome::Good,
                Ok(health) => wrong(format!("gRPC health {}", name(HEALTH, health))),
                Err(outcome) => outcome,
            };
        }
        let mut why = format!("gRPC status {}", name(CODES, code));
        if let Some(text) = fields.grpc_message.as_deref().filter(|text| !text.is_empty()) {
            why = format!("{why}: {text}");
        }
        match code {
            5 => why.push_str(" (it knows no service of this name)"),
            12 => why.push_str(" (it has no health service)"),
            _ => {}
        }
        wrong(why)
    }
}

/// What a header block says.
#[inline(never)]
fn fields(block: &[u8]) -> Result<Fields, Outcome> {
    let mut fields = Fields::default();
    let read = hpack::read(block, |name, value| {
        let place = match name {
            b":status" => &mut fields.status,
            b"content-type" => &mut fields.content_type,
            b"grpc-status" => &mut fields.grpc_status,
            b"grpc-message" => &mut fields.grpc_message,
            _ => return,
        };
        *place = Some(said(value));
    });
    read.map_err(|hpack::Garbled| garbled("a header block cannot be read"))?;
    Ok(fields)
}

/// The beginning of a text of the server, for the log.
fn said(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..text.len().min(TEXT_MAX)).unwrap_or_default()).replace(char::is_control, " ")
}

/// The 32 bits at a place.
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?).into())
}

/// The status in a message: field 1 of grpc.health.v1.HealthCheckResponse, which is 0 if
/// it is not there.
fn health(message: &[u8]) -> Result<u64, Outcome> {
    let garbled = || wrong("the message of the gRPC answer is garbled");
    let Some((prefix, mut rest)) = message.split_first_chunk::<PREFIX>() else {
        return Err(if message.is_empty() { wrong("the gRPC answer has no message") } else { garbled() });
    };
    let [_, length @ ..] = *prefix;
    if usize::try_from(u32::from_be_bytes(length)) != Ok(rest.len()) {
        return Err(garbled());
    }
    let mut health = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest).ok_or_else(garbled)?;
        let skipped = match (key >> 3, key & 7) {
            (1, 0) => {
                health = varint(&mut rest).ok_or_else(garbled)?;
                0
            }
            (0, _) => return Err(garbled()),
            (_, 0) => {
                varint(&mut rest).ok_or_else(garbled)?;
                0
            }
            (_, 1) => 8,
            (_, 2) => varint(&mut rest).ok_or_else(garbled)?,
            (_, 5) => 4,
            _ => return Err(garbled()),
        };
        rest = usize::try_from(skipped).ok().and_then(|skipped| rest.get(skipped..)).ok_or_else(garbled)?;
    }
    Ok(health)
}

/// A number of protobuf's: seven bits a byte, up to 64.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
