//! Any bytes as what pulse hears from a network: ARP, neighbour advertisements, the
//! answers of witnesses; and as what the kernel says of links, addresses,
//! neighbours and rules. No panic, and nobody is believed to be nobody.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use common::netlink::route::{message, policy};
use libfuzzer_sys::fuzz_target;
use pulse::arp::{advertisement_claim, arp_claim};
use pulse::icmp::{Token, is_echo_reply};

fuzz_target!(|bytes: &[u8]| {
    let from = [2, 0, 0, 0, 0, 7];
    for claim in [arp_claim(bytes), advertisement_claim(bytes, from)].into_iter().flatten() {
        assert!(claim.mac != [0; 6] && claim.mac[0] & 1 == 0 && !claim.address.is_unspecified());
    }
    let token = Token([1, 2, 3, 4, 5, 6, 7, 8]);
    for witness in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let is_answer = is_echo_reply(witness, bytes, token);
        assert!(!is_answer || bytes.ends_with(&token.0));
    }
    let _ = (message::read_link(bytes), message::read_address(bytes), message::read_neighbour(bytes));
    let _ = policy::message::read_rule(bytes);
    for kind in 16..32 {
        let _ = message::read_change(kind, bytes);
    }
});
