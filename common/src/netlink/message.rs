//! The framing every netlink family shares, on byte slices: message header,
//! attributes, nests, acknowledgements with their extended text.
//!
//! Source: linux/netlink.h. Numbers are in the host's order unless a name says
//! `_be`. Reading never trusts a length; writing never needs one from the caller.
//!
//! ```
//! use common::netlink::message::{messages, Attributes, Request, ACK};
//!
//! let mut request = Request::new(20, ACK);
//! request.fixed(&[2, 24, 0, 0]).u32(4, 0x0a00_0001).text(3, "eth0:1");
//! let bytes = request.stamp(7).to_vec();
//!
//! let message = messages(&bytes).next().unwrap().unwrap();
//! assert_eq!((message.kind, message.sequence), (20, 7));
//! let attributes = Attributes::new(&message.body[4..]);
//! assert_eq!(attributes.map(|a| a.unwrap().kind).collect::<Vec<_>>(), [4, 3]);
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

/// Bytes of struct nlmsghdr.
pub const HEADER: usize = 16;
/// Bytes of struct nlattr.
const ATTRIBUTE_HEADER: usize = 4;
/// The longest text that is written into an attribute, in bytes. Every name the
/// kernel takes is shorter (15 or 16), so a name that is cut here is refused
/// there all the same, and no length field can overflow.
const TEXT_MAX: usize = 127;

/// NLM_F_REQUEST.
pub const REQUEST: u16 = 0x001;
/// NLM_F_ACK: an acknowledgement is wanted.
pub const ACK: u16 = 0x004;
/// NLM_F_DUMP_INTR: the table changed while it was read.
pub const DUMP_INTERRUPTED: u16 = 0x010;
/// NLM_F_DUMP: all entries.
pub const DUMP: u16 = 0x300;
/// NLM_F_REPLACE: is there and is to be changed.
pub const REPLACE: u16 = 0x100;
/// NLM_F_EXCL: must not be there yet.
pub const EXCLUSIVE: u16 = 0x200;
/// NLM_F_CREATE.
pub const CREATE: u16 = 0x400;
/// NLM_F_CAPPED: the acknowledgement does not repeat the request's body.
const CAPPED: u16 = 0x100;
/// NLM_F_ACK_TLVS: the acknowledgement carries attributes.
const ACK_TLVS: u16 = 0x200;

/// NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN; kinds below 16 are control.
const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;

/// NLMSGERR_ATTR_*.
const ERROR_TEXT: u16 = 1;
const ERROR_OFFSET: u16 = 2;

/// NLA_F_NESTED; old kernels leave it out, so it is never looked at.
const NESTED: u16 = 0x8000;
/// The attribute's type without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const KIND_MASK: u16 = 0x3fff;

/// Bytes that are not what they should be; the text says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The kernel's "no", with its own words where it gave some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{errno}{}{text}", if text.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// Why.
    pub errno: Errno,
    /// Extended acknowledgement; may be empty.
    pub text: String,
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// A request as it is written: header, the family's fixed part, attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// An empty request of a message type, with flags beside [`REQUEST`].
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut request = Self { bytes: vec![0; HEADER] };
        request.set_kind(kind);
        request.put(6, &(flags | REQUEST).to_ne_bytes());
        request
    }

    /// Overwrites bytes that are there.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = at.checked_add(bytes.len()).and_then(|end| self.bytes.get_mut(at..end)) {
            place.copy_from_slice(bytes);
        }
    }

    /// Sets the message type: a generic family's number is known only at the
    /// time of sending.
    pub fn set_kind(&mut self, kind: u16) {
        self.put(4, &kind.to_ne_bytes());
    }

    /// Appends the family's fixed part, padded.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad()
    }

    fn pad(&mut self) -> &mut Self {
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    fn open(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        at
    }

    fn close(&mut self, at: usize) -> &mut Self {
        let length = u16::try_from(self.bytes.len().saturating_sub(at)).unwrap_or(u16::MAX);
        self.put(at, &length.to_ne_bytes());
        self.pad()
    }

    /// Appends an attribute of at most a few dozen bytes.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        let at = self.open(kind);
        self.bytes.extend_from_slice(payload);
        self.close(at)
    }

    /// Appends one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attribute(kind, &[value])
    }

    /// Appends a 16 bit number in the host's order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a 16 bit number in network order.
    pub fn u16_be(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends a 32 bit number in the host's order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends text with the NUL the kernel wants behind it.
    pub fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        let at = self.open(kind);
        let bytes = text.as_bytes();
        self.bytes.extend_from_slice(bytes.get(..TEXT_MAX).unwrap_or(bytes));
        self.bytes.push(0);
        self.close(at)
    }

    /// Appends an address of 4 or 16 bytes.
    pub fn address(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    /// Appends a nest and what `fill` puts into it.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.open(kind | NESTED);
        fill(self);
        self.close(at)
    }

    /// Writes the length and this sequence number into the header and gives the
    /// bytes to send. May be called again for another try.
    pub fn stamp(&mut self, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.put(0, &length.to_ne_bytes());
        self.put(8, &sequence.to_ne_bytes());
        &self.bytes
    }
}

/// The first `N` bytes from `at` on.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// NLM_F_*.
    pub flags: u16,
    /// The number of the request it answers; 0 for an event.
    pub sequence: u32,
    /// The port it is for; 0 for an event.
    pub port: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// What a message is to the one who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// An entry.
    Data(&'a [u8]),
    /// The request is done (error number 0).
    Acknowledged,
    /// The dump is complete.
    Done,
    /// The kernel says no, to the request or in the middle of a dump.
    Refused(Refusal),
    /// NLMSG_OVERRUN: messages were lost.
    Overrun,
    /// A control message without a meaning here.
    Nothing,
}

impl<'a> Message<'a> {
    /// Sorts the message; an acknowledgement is opened.
    pub fn reply(&self) -> Result<Reply<'a>, Malformed> {
        match self.kind {
            NOOP => Ok(Reply::Nothing),
            OVERRUN => Ok(Reply::Overrun),
            ERROR => {
                let code = array(self.body, 0).map(i32::from_ne_bytes).ok_or(Malformed("short acknowledgement"))?;
                // The request's header always follows, its body unless the kernel cut it off.
                let repeated = array(self.body, 4).map(u32::from_ne_bytes).unwrap_or_default();
                let repeated =
                    if self.flags & CAPPED == 0 { usize::try_from(repeated).unwrap_or(usize::MAX) } else { 0 };
                let words = 4_usize.saturating_add(aligned(repeated.max(HEADER)));
                Ok(self.verdict(code, words, Reply::Acknowledged))
            }
            // Kernels before 2.6 sent no number here.
            DONE => Ok(self.verdict(array(self.body, 0).map_or(0, i32::from_ne_bytes), 4, Reply::Done)),
            0..16 => Ok(Reply::Nothing),
            16.. => Ok(Reply::Data(self.body)),
        }
    }

    fn verdict(&self, code: i32, words_at: usize, good: Reply<'a>) -> Reply<'a> {
        // A dump's closing number is 0 or, on some kernels, a count; only negative ones are errors.
        if code >= 0 {
            return good;
        }
        let text = if self.flags & ACK_TLVS == 0 {
            String::new()
        } else {
            self.body.get(words_at..).map(explanation).unwrap_or_default()
        };
        Reply::Refused(Refusal { errno: Errno::from_raw(code.checked_neg().unwrap_or(0)), text })
    }
}

/// The words of an extended acknowledgement. What is wrong in it is left out:
/// the error number stands without it.
fn explanation(attributes: &[u8]) -> String {
    let mut text = String::new();
    let mut offset = None;
    for attribute in Attributes::new(attributes).map_while(Result::ok) {
        match attribute.kind {
            ERROR_TEXT => text = String::from_utf8_lossy(until_nul(attribute.payload)).into_owned(),
            ERROR_OFFSET => offset = attribute.u32().ok(),
            _ => {}
        }
    }
    match (text.is_empty(), offset) {
        (true, Some(at)) => format!("attribute at byte {at}"),
        (true, None) | (false, _) => text,
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// The messages of a datagram, in order. The first that is malformed is the last.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// See [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = self.rest;
        let message = split_message(bytes);
        self.rest = match message {
            Ok((_, length)) => bytes.get(aligned(length)..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(message.map(|(message, _)| message))
    }
}

fn split_message(bytes: &[u8]) -> Result<(Message<'_>, usize), Malformed> {
    let cut = Malformed("message cut short");
    let length = array(bytes, 0).map(u32::from_ne_bytes).and_then(|l| usize::try_from(l).ok()).ok_or(cut)?;
    let body = bytes.get(HEADER..length).ok_or(cut)?;
    let message = Message {
        kind: array(bytes, 4).map(u16::from_ne_bytes).ok_or(cut)?,
        flags: array(bytes, 6).map(u16::from_ne_bytes).ok_or(cut)?,
        sequence: array(bytes, 8).map(u32::from_ne_bytes).ok_or(cut)?,
        port: array(bytes, 12).map(u32::from_ne_bytes).ok_or(cut)?,
        body,
    };
    Ok((message, length))
}

/// The attributes in a body or a nest, in order. The first that is malformed is
/// the last.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads `bytes` as attributes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = self.rest;
        let attribute = split_attribute(bytes);
        self.rest = match attribute {
            Some((_, length)) => bytes.get(aligned(length)..).unwrap_or_default(),
            None => &[],
        };
        Some(attribute.map(|(attribute, _)| attribute).ok_or(Malformed("attribute cut short")))
    }
}

fn split_attribute(bytes: &[u8]) -> Option<(Attribute<'_>, usize)> {
    let length = array(bytes, 0).map(u16::from_ne_bytes).map(usize::from)?;
    let kind = array(bytes, 2).map(u16::from_ne_bytes)? & KIND_MASK;
    let payload = bytes.get(ATTRIBUTE_HEADER..length)?;
    Some((Attribute { kind, payload }, length))
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type, without the flag bits.
    pub kind: u16,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn number<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        <[u8; N]>::try_from(self.payload).map_err(|_| Malformed("number of the wrong size"))
    }

    /// One byte.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.number().map(u8::from_ne_bytes)
    }

    /// 16 bits in the host's order.
    pub fn u16(&self) -> Result<u16, Malformed> {
        self.number().map(u16::from_ne_bytes)
    }

    /// 16 bits in network order.
    pub fn u16_be(&self) -> Result<u16, Malformed> {
        self.number().map(u16::from_be_bytes)
    }

    /// 32 bits in the host's order.
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.number().map(u32::from_ne_bytes)
    }

    /// 32 or 64 bits in the host's order: counters grew over the years.
    pub fn counter(&self) -> Result<u64, Malformed> {
        self.number().map(u64::from_ne_bytes).or_else(|_| self.u32().map(u64::from))
    }

    /// Text up to its NUL; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(until_nul(self.payload)).into_owned()
    }

    /// The first four bytes as an address.
    pub fn ipv4(&self) -> Result<Ipv4Addr, Malformed> {
        array::<4>(self.payload, 0).map(Ipv4Addr::from).ok_or(Malformed("short address"))
    }

    /// The first sixteen bytes as an address.
    pub fn ipv6(&self) -> Result<Ipv6Addr, Malformed> {
        array::<16>(self.payload, 0).map(Ipv6Addr::from).ok_or(Malformed("short address"))
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.payload)
    }
}

#[cfg(test)]
mod tests;
