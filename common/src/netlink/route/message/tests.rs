//! Bytes as linux/if_link.h and if_addr.h lay them out, written by hand (on a
//! little-endian host), round trips, and bytes nobody would send.

use proptest::prelude::*;

use super::*;
use crate::netlink::message::messages;

fn vip() -> Address {
    Address {
        index: 2,
        address: "192.0.2.80".parse().unwrap(),
        prefix: 24,
        broadcast: Some(Ipv4Addr::new(192, 0, 2, 255)),
        label: Some("eth0:1".to_owned()),
        scope: 0,
        nodad: false,
        deprecated: false,
        valid: None,
    }
}

/// A link message: AF_UNSPEC, ARPHRD_ETHER, number 3, IFF_UP|BROADCAST|RUNNING|MULTICAST|LOWER_UP.
#[rustfmt::skip]
const ETH0: [u8; 56] = [
    0, 0, 1, 0, 3, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0,
    9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, // IFLA_IFNAME
    10, 0, 1, 0, 2, 0, 0, 0, 0, 7, 0, 0,            // IFLA_ADDRESS
    8, 0, 4, 0, 0xdc, 5, 0, 0,                      // IFLA_MTU
    8, 0, 35, 0, 6, 0, 0, 0,                        // IFLA_CARRIER_CHANGES
];

#[cfg(target_endian = "little")]
mod known {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn an_address_is_added_as_the_header_says() {
        assert_eq!(add_address(&vip()).stamp(1), [
            0x3c, 0, 0, 0, 20, 0, 5, 6, 1, 0, 0, 0, 0, 0, 0, 0, // REQUEST|ACK|EXCL|CREATE
            2, 24, 0, 0, 2, 0, 0, 0,                            // AF_INET, /24, no flags, scope, number
            8, 0, 2, 0, 192, 0, 2, 80,                          // IFA_LOCAL
            8, 0, 1, 0, 192, 0, 2, 80,                          // IFA_ADDRESS
            8, 0, 4, 0, 192, 0, 2, 255,                         // IFA_BROADCAST
            11, 0, 3, 0, b'e', b't', b'h', b'0', b':', b'1', 0, 0, // IFA_LABEL
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn an_ipv6_address_has_neither_label_nor_broadcast() {
        let six = Address { address: "2001:db8::80".parse().unwrap(), prefix: 64, nodad: true, ..vip() };
        assert_eq!(delete_address(&six).stamp(1), [
            0x40, 0, 0, 0, 21, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            10, 64, 2, 0, 2, 0, 0, 0, // IFA_F_NODAD
            20, 0, 2, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
            20, 0, 1, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn an_address_that_is_never_a_source_has_no_preferred_lifetime() {
        let six = Address { address: "2001:db8::80".parse().unwrap(), prefix: 128, deprecated: true, ..vip() };
        assert_eq!(add_address(&six).stamp(1)[16..], [
            10, 128, 0x20, 0, 2, 0, 0, 0, // IFA_F_DEPRECATED
            20, 0, 2, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
            20, 0, 1, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
            20, 0, 6, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, // IFA_CACHEINFO: preferred 0, valid for ever
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_lifetime_is_renewed_as_the_header_says() {
        let leased = Address { valid: Some(4), broadcast: None, label: None, ..vip() };
        assert_eq!(renew_address(&leased).stamp(1)[4..], [
            20, 0, 5, 1, 1, 0, 0, 0, 0, 0, 0, 0, // REQUEST|ACK|REPLACE
            2, 24, 0, 0, 2, 0, 0, 0,
            8, 0, 2, 0, 192, 0, 2, 80,
            8, 0, 1, 0, 192, 0, 2, 80,
            20, 0, 6, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // IFA_CACHEINFO: preferred and valid 4 s
        ]);
        let six = Address { address: "2001:db8::80".parse().unwrap(), prefix: 128, deprecated: true, ..leased };
        let bytes = renew_address(&six).stamp(1).to_vec();
        assert_eq!(bytes[bytes.len() - 20..][..12], [20, 0, 6, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_neighbour_is_read_and_one_that_nobody_found_is_not() {
        let body = |state: u8| [
            2, 0, 0, 0, 3, 0, 0, 0, state, 0, 0, 1, // AF_INET, number 3, unicast
            8, 0, 1, 0, 10, 0, 0, 7,                // NDA_DST
            10, 0, 2, 0, 2, 0, 0, 0, 0, 9, 0, 0,    // NDA_LLADDR
            8, 0, 4, 0, 1, 0, 0, 0,                 // NDA_PROBES
        ];
        let known = Neighbour { index: 3, address: "10.0.0.7".parse().unwrap(), mac: [2, 0, 0, 0, 0, 9] };
        for state in [0x02, 0x04, 0x08, 0x10, 0x80] { // reachable, stale, delay, probe, permanent
            assert_eq!(read_neighbour(&body(state)), Ok(Some(known.clone())));
        }
        for state in [0x01, 0x20] { // incomplete, failed
            assert_eq!(read_neighbour(&body(state)), Ok(None));
        }
        assert_eq!(read_neighbour(&[7, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0]), Ok(None), "a bridge's table");
        assert!(read_neighbour(&body(2)[..11]).is_err());
        assert_eq!(list_neighbours().stamp(1)[4..8], [30, 0, 1, 3]);
    }

    #[test]
    fn a_neighbour_is_forgotten_by_its_address_and_link() {
        let request = forget_neighbour(3, "10.0.0.7".parse().unwrap());
        assert_eq!(request.clone().stamp(1)[4..8], [29, 0, 5, 0]); // NLM_F_REQUEST | NLM_F_ACK
        let body = [
            2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, // struct ndmsg
            8, 0, 1, 0, 10, 0, 0, 7, // NDA_DST
        ];
        assert_eq!(request.clone().stamp(1)[16..], body);
        let six = forget_neighbour(3, "2001:db8::7".parse().unwrap());
        assert_eq!(six.clone().stamp(1)[16], 10);
    }

    #[test]
    fn dumps_are_asked_for_with_an_empty_header() {
        assert_eq!(list_links().stamp(1)[..20], [32, 0, 0, 0, 18, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(list_addresses().stamp(1)[..20], [24, 0, 0, 0, 22, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_link_is_read() {
        let eth0 = Link {
            index: 3,
            name: "eth0".to_owned(),
            mac: Some([2, 0, 0, 0, 0, 7]),
            up: true,
            running: true,
            loopback: false,
            noarp: false,
            mtu: 1500,
            carrier_changes: 6,
        };
        assert_eq!(read_link(&ETH0), Ok(Some(eth0.clone())));
        let mut pulled = ETH0;
        pulled[10] = 0; // IFF_LOWER_UP
        assert_eq!(read_link(&pulled), Ok(Some(Link { running: false, ..eth0.clone() })));
        let mut strange = ETH0;
        strange[8] = 0x88; // IFF_LOOPBACK|IFF_NOARP
        let strange = read_link(&strange).unwrap().unwrap();
        assert!(strange.loopback && strange.noarp && !strange.up);
        assert_eq!(read_change(16, &ETH0), Ok(Some(Change::Link(eth0))));
        assert_eq!(read_change(17, &ETH0), Ok(Some(Change::LinkGone(3))));
    }

    #[test]
    fn a_bridge_that_speaks_of_its_port_speaks_of_no_link() {
        let mut port = ETH0;
        port[0] = 7; // AF_BRIDGE
        assert_eq!(read_change(17, &port), Ok(None));
        assert_eq!(read_change(16, &port), Ok(None));
    }

    #[test]
    #[rustfmt::skip]
    fn an_address_is_read_with_all_that_kernels_add() {
        let body = [
            2, 32, 0x80, 254, 2, 0, 0, 0, // permanent, host scope
            8, 0, 1, 0, 10, 0, 0, 2,      // IFA_ADDRESS: the other end of a line
            8, 0, 2, 0, 10, 0, 0, 1,      // IFA_LOCAL: this end
            9, 0, 3, 0, b'p', b'p', b'p', b'0', 0, 0, 0, 0,
            8, 0, 8, 0, 0x82, 2, 0, 0,    // IFA_FLAGS: permanent, nodad, noprefixroute
            20, 0, 6, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 1, 0, 0, 0, // IFA_CACHEINFO
            5, 0, 99, 0, 1, 0, 0, 0,      // not invented yet
        ];
        assert_eq!(read_address(&body), Ok(Some(Address {
            index: 2,
            address: "10.0.0.1".parse().unwrap(),
            prefix: 32,
            broadcast: None,
            label: Some("ppp0".to_owned()),
            scope: 254,
            nodad: true,
            deprecated: false,
            valid: None,
        })));
    }
}

#[test]
fn addresses_of_other_families_are_left_out() {
    assert_eq!(read_address(&[7, 0, 0, 0, 2, 0, 0, 0]), Ok(None));
    assert_eq!(read_change(24, &[]), Ok(None));
}

#[test]
fn cut_at_any_length_it_is_an_error_or_says_less() {
    let mut request = add_address(&vip());
    let body = request.stamp(1)[16..].to_vec();
    // The last byte is padding.
    for length in 0..body.len() - 1 {
        if let Ok(Some(address)) = read_address(&body[..length]) {
            assert_ne!(address, vip(), "{length}");
        }
    }
    for length in 0..ETH0.len() {
        let _ = read_link(&ETH0[..length]);
    }
    assert!(read_address(&body[..8]).is_err(), "an address message without an address");
}

prop_compose! {
    fn any_address()(
        index in any::<u32>(),
        address in any::<IpAddr>(),
        prefix in any::<u8>(),
        broadcast in any::<Option<Ipv4Addr>>(),
        label in prop::option::of("[a-z0-9:.]{1,15}"),
        scope in any::<u8>(),
        nodad in any::<bool>(),
        deprecated in any::<bool>(),
        valid in prop::option::of(1..u32::MAX),
    ) -> Address {
        let four = address.is_ipv4();
        Address {
            index,
            address,
            prefix,
            broadcast: broadcast.filter(|_| four),
            label: label.filter(|_| four),
            scope,
            nodad: nodad && !four,
            deprecated: deprecated && !four,
            valid,
        }
    }
}

proptest! {
    #[test]
    fn an_address_that_is_asked_for_reads_as_itself(address in any_address()) {
        let mut request = add_address(&address);
        let message = messages(request.stamp(1)).next().unwrap().unwrap();
        prop_assert_eq!(read_change(message.kind, message.body), Ok(Some(Change::AddressAdded(address.clone()))));
        let mut request = renew_address(&address);
        let message = messages(request.stamp(1)).next().unwrap().unwrap();
        prop_assert_eq!(read_change(message.kind, message.body), Ok(Some(Change::AddressAdded(address.clone()))));
        let mut request = delete_address(&address);
        let message = messages(request.stamp(1)).next().unwrap().unwrap();
        prop_assert_eq!(read_change(message.kind, message.body), Ok(Some(Change::AddressGone(address))));
    }

    #[test]
    fn hostile_bytes_are_never_a_panic(kind in 14_u16..26, mut body in prop::collection::vec(any::<u8>(), 0..120), family in prop::sample::select(vec![0, 2, 7, 10])) {
        if let Some(first) = body.first_mut() {
            *first = family;
        }
        let _ = (read_change(kind, &body), read_link(&body), read_address(&body), read_neighbour(&body));
    }
}
