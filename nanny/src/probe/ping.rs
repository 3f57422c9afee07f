//! An ICMP echo: the message and its reply (RFC 792, RFC 4443). Pure.

use std::net::IpAddr;

use super::Outcome;
use super::exchange::Next;

/// How many packets that are no reply to our echo are passed over: a raw socket
/// hears every ICMP packet of the server.
const STRANGERS_MAX: u16 = 1024;

/// Where the identifier, which a ping socket's kernel chooses, ends.
const HEADER: usize = 8;

/// One echo as it goes.
#[derive(Debug)]
pub struct Echo {
    message: Vec<u8>,
    is_v6: bool,
    sent: bool,
    got: Vec<u8>,
    strangers: u16,
}

impl Echo {
    /// To this address; `cookie` should not be foreseen.
    pub fn new(to: IpAddr, cookie: u64) -> Self {
        let is_v6 = to.is_ipv6();
        let (kind, [a, b, ..]) = (if is_v6 { 128 } else { 8 }, cookie.to_be_bytes());
        let mut message = vec![kind, 0, 0, 0, a, b, 0, 1];
        message.extend(cookie.to_be_bytes());
        // The kernel fills in that of ICMPv6, which covers the addresses.
        if !is_v6 {
            let sum = checksum(&message);
            message.splice(2..4, sum.to_be_bytes());
        }
        Self { message, is_v6, sent: false, got: Vec::new(), strangers: 0 }
    }

    /// What is to be done now.
    pub fn next(&self) -> Next<'_> {
        if self.sent { Next::Receive(256) } else { Next::Send(&self.message) }
    }

    /// It was sent.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// A packet. `None`: it is no reply to our echo.
    pub fn received(&mut self, packet: &[u8]) -> Option<Outcome> {
        if self.is_reply(packet) {
            packet.clone_into(&mut self.got);
            return Some(Outcome::Good);
        }
        self.strangers += 1;
        (self.strangers >= STRANGERS_MAX).then(|| Outcome::Wrong("a flood of ICMP packets and no reply".to_owned()))
    }

    /// The deadline came.
    pub fn timed_out(&self) -> Outcome {
        Outcome::PingTimedOut
    }

    /// The reply, for the log.
    pub fn got(&self) -> &[u8] {
        &self.got
    }

    fn is_reply(&self, packet: &[u8]) -> bool {
        let icmp = if self.is_v6 { Some(packet) } else { without_ip(packet) };
        let Some([kind, 0, _, _, _, _, rest @ ..]) = icmp else { return false };
        // Sequence and cookie.
        *kind == if self.is_v6 { 129 } else { 0 } && Some(rest) == self.message.get(HEADER - 2..)
    }
}

/// A raw socket of IPv4 hears the IP header too, a ping socket does not.
fn without_ip(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? {
        first if first >> 4 == 4 => packet.get(usize::from(first & 15) * 4..),
        _ => Some(packet),
    }
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [a, b] => u32::from(u16::from_be_bytes([*a, *b])),
        [a] => u32::from(*a) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V4: &str = "192.0.2.1";

    /// The reply to an echo, as a ping socket hears it.
    fn reply(echo: &Echo) -> Vec<u8> {
        let mut reply = echo.message.clone();
        *reply.first_mut().unwrap() = if echo.is_v6 { 129 } else { 0 };
        reply
    }

    #[test]
    fn a_reply_with_our_cookie_is_one_with_or_without_its_ip_header() {
        for address in [V4, "2001:db8::1"] {
            let mut echo = Echo::new(address.parse().unwrap(), 0x0123_4567_89ab_cdef);
            assert_eq!(echo.next(), Next::Send(&echo.message.clone()));
            echo.sent();
            let reply = reply(&echo);
            let mut other = reply.clone();
            *other.last_mut().unwrap() ^= 1;
            assert_eq!(echo.received(&other), None, "somebody else's");
            assert_eq!(echo.received(&echo.message.clone()), None, "our own request, which loopback shows");
            assert_eq!(echo.received(&reply), Some(Outcome::Good));
        }
        let mut echo = Echo::new(V4.parse().unwrap(), 7);
        let with_header = [[0x46; 24].as_slice(), &reply(&echo)].concat();
        assert_eq!(echo.received(&with_header), Some(Outcome::Good), "a header with options");
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let echo = Echo::new(V4.parse().unwrap(), u64::MAX);
        assert_eq!(checksum(&echo.message), 0, "over all of a message it is 0");
    }

    #[test]
    fn a_flood_of_other_packets_ends() {
        let mut echo = Echo::new(V4.parse().unwrap(), 7);
        let ended = (0..=STRANGERS_MAX).find_map(|_| echo.received(b"x"));
        assert!(matches!(ended, Some(Outcome::Wrong(_))));
    }

    proptest! {
        #[test]
        fn hostile_packets_are_no_reply(packet in any::<Vec<u8>>(), v6 in any::<bool>()) {
            let address = if v6 { "2001:db8::1" } else { V4 };
            let mut echo = Echo::new(address.parse().unwrap(), 0x5eed);
            prop_assert_eq!(echo.received(&packet), None);
        }
    }
}
