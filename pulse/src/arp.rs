//! PURE. The frames that tell a segment where a virtual IP lives now: gratuitous
//! ARP for IPv4, the unsolicited neighbour advertisement for IPv6.
//!
//! The original sent replies only (piranha.md 2.7), and hosts that learn from
//! requests only stayed stale; so both forms are sent. The reply is byte for byte
//! the original's frame.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

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
    let (operation, target) = match form {
        Form::Request => (1_u16, [0; 6]),
        Form::Reply => (2_u16, mac),
    };
    let mut frame = ethernet(BROADCAST, mac, ETHERTYPE_ARP);
    frame.extend_from_slice(&1_u16.to_be_bytes()); // hardware: Ethernet
    frame.extend_from_slice(&0x0800_u16.to_be_bytes()); // protocol: IPv4
    frame.extend_from_slice(&[6, 4]); // the lengths of their addresses
    frame.extend_from_slice(&operation.to_be_bytes());
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&vip.octets());
    frame.extend_from_slice(&target);
    frame.extend_from_slice(&vip.octets());
    frame.resize(FRAME_MIN, 0);
    frame
}

/// An unsolicited neighbour advertisement to all nodes (RFC 4861 4.4, 7.2.6):
/// `vip` is at `mac`, overriding what was known. `router` must say what the
/// kernel's own advertisements say, that is whether it forwards IPv6: a change of
/// that flag makes hosts drop us as their router.
pub fn neighbour_advertisement(mac: Mac, vip: Ipv6Addr, router: bool) -> Vec<u8> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
    const NEXT_HEADER_ICMPV6: u8 = 58;
    const HOP_LIMIT: u8 = 255; // anything else is not from this link and is ignored
    const OVERRIDE: u8 = 0x20;
    const ROUTER: u8 = 0x80;

    let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    let mut after_checksum = vec![flags, 0, 0, 0];
    after_checksum.extend_from_slice(&vip.octets());
    after_checksum.extend_from_slice(&[2, 1]); // option: target link-layer address, in units of 8 bytes
    after_checksum.extend_from_slice(&mac);
    let head = [136_u8, 0]; // type: neighbour advertisement, code 0
    let length: u16 = 32; // head, checksum, flags, target, option

    let mut covered = Vec::with_capacity(72);
    covered.extend_from_slice(&vip.octets());
    covered.extend_from_slice(&ALL_NODES.octets());
    covered.extend_from_slice(&u32::from(length).to_be_bytes());
    covered.extend_from_slice(&[0, 0, 0, NEXT_HEADER_ICMPV6]);
    covered.extend_from_slice(&head);
    covered.extend_from_slice(&[0, 0]);
    covered.extend_from_slice(&after_checksum);

    let mut frame = ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[NEXT_HEADER_ICMPV6, HOP_LIMIT]);
    frame.extend_from_slice(&vip.octets());
    frame.extend_from_slice(&ALL_NODES.octets());
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
fn internet_checksum(bytes: &[u8]) -> u16 {
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
