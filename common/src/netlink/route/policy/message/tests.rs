//! Bytes as linux/fib_rules.h and rtnetlink.h lay them out, written by hand (on a
//! little-endian host), round trips, and bytes nobody would send.

use proptest::prelude::*;

use super::*;
use crate::netlink::message::messages;

fn tcp() -> Rule {
    Rule { ipv6: false, priority: 539, table: 539, ip_protocol: Some(6), origin: Some(53) }
}

#[cfg(target_endian = "little")]
mod known {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_rule_is_added_and_deleted_as_the_header_says() {
        assert_eq!(add_rule(&tcp()).stamp(1), [
            0x3c, 0, 0, 0, 32, 0, 5, 6, 1, 0, 0, 0, 0, 0, 0, 0, // REQUEST|ACK|EXCL|CREATE
            2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, // AF_INET, from and to anywhere, any TOS, FR_ACT_TO_TBL
            8, 0, 6, 0, 0x1b, 2, 0, 0,          // FRA_PRIORITY
            8, 0, 15, 0, 0x1b, 2, 0, 0,         // FRA_TABLE
            5, 0, 22, 0, 6, 0, 0, 0,            // FRA_IP_PROTO
            5, 0, 21, 0, 53, 0, 0, 0,           // FRA_PROTOCOL
        ]);
        let bare = Rule { ipv6: true, ip_protocol: None, origin: None, ..tcp() };
        assert_eq!(delete_rule(&bare).stamp(1), [
            0x2c, 0, 0, 0, 33, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
            8, 0, 6, 0, 0x1b, 2, 0, 0,
            8, 0, 15, 0, 0x1b, 2, 0, 0,
        ]);
        assert_eq!(list_rules().stamp(1)[..20], [28, 0, 0, 0, 34, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_local_route_is_added_and_deleted_as_the_header_says() {
        let route = LocalRoute { address: "192.0.2.80".parse().unwrap(), index: 1, table: 539, origin: 53 };
        let body = [
            2, 32, 0, 0, 0, 53, 254, 2, 0, 0, 0, 0, // AF_INET, /32, RT_SCOPE_HOST, RTN_LOCAL
            8, 0, 1, 0, 192, 0, 2, 80,              // RTA_DST
            8, 0, 4, 0, 1, 0, 0, 0,                 // RTA_OIF
            8, 0, 15, 0, 0x1b, 2, 0, 0,             // RTA_TABLE
        ];
        let mut request = add_local(&route);
        assert_eq!(request.stamp(1)[4..8], [24, 0, 5, 6]);
        assert_eq!(request.stamp(1)[16..], body);
        let mut request = delete_local(&route);
        assert_eq!(request.stamp(1)[4..8], [25, 0, 5, 0]);
        assert_eq!(request.stamp(1)[16..], body);
        let six = LocalRoute { address: "2001:db8::80".parse().unwrap(), ..route };
        assert_eq!(add_local(&six).stamp(1)[16..22], [10, 128, 0, 0, 0, 53]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_rule_is_read_with_all_that_kernels_add() {
        let body = [
            2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
            8, 0, 15, 0, 0x1b, 2, 0, 0,        // FRA_TABLE
            8, 0, 14, 0, 255, 255, 255, 255,   // FRA_SUPPRESS_PREFIXLEN
            8, 0, 6, 0, 0x1b, 2, 0, 0,         // FRA_PRIORITY
            5, 0, 21, 0, 53, 0, 0, 0,          // FRA_PROTOCOL
            5, 0, 22, 0, 6, 0, 0, 0,           // FRA_IP_PROTO
            5, 0, 99, 0, 1, 0, 0, 0,           // not invented yet
        ];
        assert_eq!(read_rule(&body), Ok(Some(tcp())));
        // The first rule of every kernel: no priority, and a table that fits the header.
        let local = [2, 0, 0, 0, 255, 0, 0, 1, 0, 0, 0, 0, 8, 0, 15, 0, 255, 0, 0, 0];
        let rule = Rule { ipv6: false, priority: 0, table: 255, ip_protocol: None, origin: None };
        assert_eq!(read_rule(&local), Ok(Some(rule.clone())));
        assert_eq!(read_rule(&local[..12]), Ok(Some(rule)), "as Linux 2.6.18 says it");
        let mut other = local;
        other[7] = 6; // FR_ACT_BLACKHOLE
        assert_eq!(read_rule(&other), Ok(None));
        other = local;
        other[0] = 128; // RTNL_FAMILY_IPMR
        assert_eq!(read_rule(&other), Ok(None));
    }
}

#[test]
fn cut_at_any_length_it_is_an_error_or_says_less() {
    let body = add_rule(&tcp()).stamp(1)[16..].to_vec();
    // The last three bytes are padding.
    for length in 0..body.len() - 3 {
        if let Ok(Some(rule)) = read_rule(&body[..length]) {
            assert_ne!(rule, tcp(), "{length}");
        }
    }
    assert!(read_rule(&body[..RULE_HEADER - 1]).is_err());
}

proptest! {
    #[test]
    fn a_rule_that_is_asked_for_reads_as_itself(
        ipv6 in any::<bool>(),
        priority in any::<u32>(),
        table in any::<u32>(),
        ip_protocol in any::<Option<u8>>(),
        origin in any::<Option<u8>>(),
    ) {
        let rule = Rule { ipv6, priority, table, ip_protocol, origin };
        for mut request in [add_rule(&rule), delete_rule(&rule)] {
            let message = messages(request.stamp(1)).next().unwrap().unwrap();
            prop_assert_eq!(read_rule(message.body), Ok(Some(rule.clone())));
        }
    }

    #[test]
    fn hostile_bytes_are_never_a_panic(mut body in prop::collection::vec(any::<u8>(), 0..80), family in prop::sample::select(vec![0, 2, 7, 10])) {
        if let Some(first) = body.first_mut() {
            *first = family;
        }
        let _ = read_rule(&body);
    }
}
