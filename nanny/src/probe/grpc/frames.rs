//! The frames of HTTP/2 (RFC 9113 4, 6) out of the bytes of a connection, and into
//! them. Pure; everything has a limit.

/// The longest frame, in bytes: what the other side may send unless we allow more.
const FRAME_MAX: usize = 16 * 1024;

/// The most bytes that are looked at, whatever is in them.
const BYTES_MAX: usize = 64 * 1024;

/// The most frames that are looked at: an answer has a dozen.
const FRAMES_MAX: u16 = 256;

const HEADER: usize = 9;

/// Kinds of frames.
pub const DATA: u8 = 0;
/// A header block, or its beginning.
pub const HEADERS: u8 = 1;
/// Somebody gives a stream up.
pub const RST_STREAM: u8 = 3;
/// What somebody wants of a connection.
pub const SETTINGS: u8 = 4;
/// A stream that we did not ask for.
pub const PUSH_PROMISE: u8 = 5;
/// A question whether we are there.
pub const PING: u8 = 6;
/// No streams beyond this one.
pub const GOAWAY: u8 = 7;
/// More of a header block.
pub const CONTINUATION: u8 = 9;

/// It answers one of ours (SETTINGS, PING).
pub const ACK: u8 = 0x1;
/// The last frame of a stream (DATA, HEADERS).
pub const END_STREAM: u8 = 0x1;
/// The last of a header block (HEADERS, CONTINUATION).
pub const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// [`DATA`], ...
    pub kind: u8,
    /// [`ACK`], ...
    pub flags: u8,
    /// Of which stream; 0: of the connection.
    pub stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What is in it.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What is in a frame of DATA or HEADERS, without its padding and the priority.
    /// `None`: it is cut.
    pub fn content(&self) -> Option<&[u8]> {
        let (padding, rest) = match self.payload.split_first() {
            Some((padding, rest)) if self.has(PADDED) => (usize::from(*padding), rest),
            None if self.has(PADDED) => return None,
            _ => (0, self.payload.as_slice()),
        };
        let rest = rest.get(..rest.len().checked_sub(padding)?)?;
        if self.kind == HEADERS && self.has(PRIORITY) { rest.get(5..) } else { Some(rest) }
    }
}

/// Puts a frame behind others.
pub fn write(out: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(length.get(1..).unwrap_or_default());
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Frames as they come.
#[derive(Debug, Default)]
pub struct Frames {
    /// The frame that is not whole yet.
    got: Vec<u8>,
    taken: u16,
    bytes: usize,
}

impl Frames {
    /// More is there.
    pub fn add(&mut self, bytes: &[u8]) {
        self.got.extend_from_slice(bytes);
    }

    /// Takes the next whole frame out, if there is one.
    ///
    /// # Errors
    /// In words.
    pub fn take(&mut self) -> Result<Option<Frame>, String> {
        let Some((header, behind)) = self.got.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [long, more @ .., kind, flags, _, _, _, _] = *header;
        let [.., a, b, c, d] = *header;
        let length = usize::from(long) << 16 | usize::from(u16::from_be_bytes(more));
        if self.taken == 0 && (kind != SETTINGS || flags & ACK != 0) {
            return Err(if header.starts_with(b"HTTP/") {
                "it speaks HTTP/1 and not HTTP/2"
            } else {
                "it is not HTTP/2"
            }
            .to_owned());
        }
        if length > FRAME_MAX {
            return Err(format!("a frame is longer than {FRAME_MAX} bytes"));
        }
        if self.taken >= FRAMES_MAX {
            return Err(format!("it has more than {FRAMES_MAX} frames"));
        }
        if self.bytes + length > BYTES_MAX {
            return Err(format!("it is longer than {BYTES_MAX} bytes"));
        }
        let Some(payload) = behind.get(..length) else { return Ok(None) };
        // The first bit of a stream's number means nothing.
        let stream = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        let frame = Frame { kind, flags, stream, payload: payload.to_vec() };
        self.got.drain(..HEADER + length);
        self.taken += 1;
        self.bytes += HEADER + length;
        Ok(Some(frame))
    }

    /// What is there of the next one.
    pub fn rest(&self) -> &[u8] {
        &self.got
    }
}
