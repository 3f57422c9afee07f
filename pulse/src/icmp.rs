//! PURE. ICMP echo, for both families (RFC 792, RFC 4443): the question to a
//! witness, and whether a packet is its answer.

use std::net::IpAddr;

use crate::arp::internet_checksum;

/// What makes an answer the answer to this question: not to one of another
/// program, and not to one of long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; 8]);

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// An echo request to `to`, as a raw socket of its family takes it. The checksum
/// of ICMPv6 covers addresses that only the kernel knows, and is its to make.
pub fn echo_request(to: IpAddr, token: Token) -> Vec<u8> {
    let kind = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    let packet = |checksum: u16| {
        let [high, low] = checksum.to_be_bytes();
        // Identifier and sequence are of no use: the token says it all.
        let mut packet = vec![kind, 0, high, low, 0, 0, 0, 1];
        packet.extend_from_slice(&token.0);
        packet
    };
    let blank = packet(0);
    if to.is_ipv4() { packet(internet_checksum(&blank)) } else { blank }
}

/// Whether what a raw socket of that family received is the answer. IPv4 comes
/// with its IP header, IPv6 without; the kernel has looked at their checksums.
pub fn is_echo_reply(from: IpAddr, packet: &[u8], token: Token) -> bool {
    let message = match from {
        IpAddr::V4(_) => after_ipv4_header(packet),
        IpAddr::V6(_) => Some(packet),
    };
    let kind = if from.is_ipv4() { ECHO_REPLY } else { ECHO_REPLY_V6 };
    let Some(([its_kind, code, ..], data)) = message.and_then(|message| message.split_first_chunk::<8>()) else {
        return false;
    };
    let is_sound = from.is_ipv6() || message.is_some_and(|message| internet_checksum(message) == 0);
    (*its_kind, *code) == (kind, 0) && data == token.0 && is_sound
}

fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    (first >> 4 == 4 && length >= 20).then(|| packet.get(length..)).flatten()
}

#[cfg(test)]
mod tests;
