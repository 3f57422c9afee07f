//! PURE. The frames that tell a segment where a virtual IP lives now: gratuitous
//! ARP for IPv4, the unsolicited neighbour advertisement for IPv6. And the other
//! way: the frames that ask who has an address, and what a frame of somebody else
//! claims.
//!
//! The original sent replies only (piranha.md 2.7), and hosts that learn from
//! requests only stayed stale; so both forms are sent. The reply is byte for byte
//! the original's frame.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// `02:00:0a:00:00:01`
pub struct Shown(pub Mac);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(n, byte)| write!(f, "{}{byte:02x}", if n == 0 { "" } else { ":" }))
    }
}

const BROADCAST: Mac = [0xff; 6];
/// ETH_P_ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// ETH_P_IPV6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// The shortest Ethernet frame without its checksum (IEEE 802.3); what is
/// shorter is padded with zeros.
const FRAME_MIN: usize = 60;

/// The two ARP operations that carry a gratuitous announcement (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Operation 1, with the unknown target hardware address as zeros (RFC 5227 1.1).
    Request,
    /// Operation 2, with our own address as the target, as send_arp sent it.
    Reply,
}

/// A gratuitous ARP frame, 60 bytes: `vip` is at `mac`.
///
/// ```
/// use pulse::arp::{Form, gratuitous};
/// let frame = gratuitous(Form::Reply, [2, 0, 0, 0, 0, 1], [10, 0, 0, 9].into());
/// assert_eq!(frame.len(), 60);
/// ```
pub fn gratuitous(form: Form, mac: Mac, vip: Ipv4Addr) -> Vec<u8> {
    match form {
        Form::Request => arp(REQUEST, mac, vip, [0; 6], vip),
        Form::Reply => arp(REPLY, mac, vip, mac, vip),
    }
}

/// The question who has `target`. From 0.0.0.0 it is a probe (RFC 5227 2.1.1),
/// which claims nothing and teaches nobody anything.
pub fn request(mac: Mac, from: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(REQUEST, mac, from, [0; 6], target)
}

const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// To everybody.
fn arp(operation: u16, mac: Mac, sender: Ipv4Addr, target_mac: Mac, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP);
    frame.extend_from_slice(&1_u16.to_be_bytes()); // hardware: Ethernet
    frame.extend_from_slice(&0x0800_u16.to_be_bytes()); // protocol: IPv4
    frame.extend_from_slice(&[6, 4]); // the lengths of their addresses
    frame.extend_from_slice(&operation.to_be_bytes());
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&sender.octets());
    frame.extend_from_slice(&target_mac);
    frame.extend_from_slice(&target.octets());
    frame.resize(FRAME_MIN, 0);
    frame
}

/// What somebody says about itself: `address` is at `mac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// Who has it.
    pub mac: Mac,
    /// It tells everybody, as [`gratuitous`] and [`neighbour_advertisement`] do; a
    /// kernel answers whoever asks (for IPv6 a question of nobody's is answered so,
    /// too).
    pub is_announced: bool,
}

/// The claim in an ARP packet (without its Ethernet header): whoever asks or
/// answers says where it is, with its sender fields. `None` of one that is no ARP
/// for IPv4 over Ethernet, and of a probe.
pub fn arp_claim(packet: &[u8]) -> Option<Claim> {
    let (head, rest) = packet.split_first_chunk::<6>()?;
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let (sender, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<6>()?;
    let (target, _) = rest.split_first_chunk::<4>()?;
    let is_arp = *head == [0, 1, 8, 0, 6, 4] && matches!(u16::from_be_bytes(*operation), REQUEST | REPLY);
    let address = Ipv4Addr::from(*sender);
    let claim = Claim { address: address.into(), mac: *mac, is_announced: sender == target };
    (is_arp && !address.is_unspecified() && is_somebody(*mac)).then_some(claim)
}

/// The claim in an IPv6 packet that is a neighbour advertisement, from somebody on
/// this link. Without the option it is the frame's sender, `from`, who has it.
pub fn advertisement_claim(packet: &[u8], from: Mac) -> Option<Claim> {
    let (header, body) = packet.split_first_chunk::<40>()?;
    let [_, _, _, _, length_high, length_low, next_header, hop_limit, ..] = *header;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let body = body.get(..length)?;
    let (fixed, mut options) = body.split_first_chunk::<24>()?;
    let [kind, code, _, _, flags, _, _, _, target @ ..] = *fixed;
    if (next_header, hop_limit, kind, code) != (NEXT_HEADER_ICMPV6, HOP_LIMIT, ADVERTISEMENT, 0) {
        return None;
    }
    let mut mac = from;
    // RFC 4861 4.6: type, length in units of 8 bytes, which is never 0.
    while let [kind, units, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(units) * 8).filter(|_| units > 0)?;
        if let (TARGET_LINK_ADDRESS, [_, _, bytes @ ..]) = (kind, option) {
            mac = Mac::try_from(bytes).ok()?;
        }
        options = rest;
    }
    let address = Ipv6Addr::from(target);
    (!address.is_multicast() && !address.is_unspecified() && is_somebody(mac)).then_some(Claim {
        address: address.into(),
        mac,
        is_announced: flags & SOLICITED == 0,
    })
}

/// Neither nobody nor everybody.
fn is_somebody(mac: Mac) -> bool {
    let [first, ..] = mac;
    mac != [0; 6] && first & 1 == 0
}

const NEXT_HEADER_ICMPV6: u8 = 58;
const HOP_LIMIT: u8 = 255; // anything else is not from this link and is ignored
const SOLICITATION: u8 = 135;
/// The flag of an advertisement that is an answer (RFC 4861 4.4).
const SOLICITED: u8 = 0x40;
const ADVERTISEMENT: u8 = 136;
/// Options (RFC 4861 4.6.1).
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// An unsolicited neighbour advertisement to all nodes (RFC 4861 4.4, 7.2.6):
/// `vip` is at `mac`, overriding what was known. `router` must say what the
/// kernel's own advertisements say, that is whether it forwards IPv6: a change of
/// that flag makes hosts drop us as their router.
pub fn neighbour_advertisement(mac: Mac, vip: Ipv6Addr, router: bool) -> Vec<u8> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const OVERRIDE: u8 = 0x20;
    const ROUTER: u8 = 0x80;

    let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    discovery(mac, vip, ALL_NODES, [ADVERTISEMENT, flags], vip, Some(TARGET_LINK_ADDRESS))
}

/// The question who has `target` (RFC 4861 4.3), to those who may. From :: it is a
/// probe as duplicate address detection sends it (RFC 4862 5.4.2).
pub fn neighbour_solicitation(mac: Mac, from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    let option = (!from.is_unspecified()).then_some(SOURCE_LINK_ADDRESS);
    discovery(mac, from, group, [SOLICITATION, 0], target, option)
}

/// A neighbour discovery message: its kind and flags, whom it speaks of, and an
/// option with our link-layer address.
fn discovery(
    mac: Mac,
    from: Ipv6Addr,
    to: Ipv6Addr,
    [kind, flags]: [u8; 2],
    target: Ipv6Addr,
    option: Option<u8>,
) -> Vec<u8> {
    let mut after_checksum = vec![flags, 0, 0, 0];
    after_checksum.extend_from_slice(&target.octets());
    let mut length: u16 = 24; // head, checksum, flags, target
    if let Some(option) = option {
        length += 8;
        after_checksum.extend_from_slice(&[option, 1]); // in units of 8 bytes
        after_checksum.extend_from_slice(&mac);
    }
    let head = [kind, 0];

    let mut covered = Vec::with_capacity(72);
    covered.extend_from_slice(&from.octets());
    covered.extend_from_slice(&to.octets());
    covered.extend_from_slice(&u32::from(length).to_be_bytes());
    covered.extend_from_slice(&[0, 0, 0, NEXT_HEADER_ICMPV6]);
    covered.extend_from_slice(&head);
    covered.extend_from_slice(&[0, 0]);
    covered.extend_from_slice(&after_checksum);

    let [.., a, b, c, d] = to.octets();
    let mut frame = ethernet([0x33, 0x33, a, b, c, d], mac, ETHERTYPE_IPV6);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[NEXT_HEADER_ICMPV6, HOP_LIMIT]);
    frame.extend_from_slice(&from.octets());
    frame.extend_from_slice(&to.octets());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(&internet_checksum(&covered).to_be_bytes());
    frame.extend_from_slice(&after_checksum);
    frame
}

fn ethernet(to: Mac, from: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}

/// The ones' complement of the ones' complement sum (RFC 1071) over an even
/// number of bytes.
pub(crate) fn internet_checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests;
