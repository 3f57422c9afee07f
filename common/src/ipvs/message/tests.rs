//! Bytes as linux/ip_vs.h lays them out, written by hand (on a little-endian
//! host), round trips of every type, and bytes nobody would send.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ipvs::{
    Destination, DestinationKey, Family, ForwardingMethod, Protocol, Service, ServiceFlags, ServiceKey, Stats,
    SyncDaemon, SyncRole, Timeouts, Tunnel,
};
use crate::netlink::message::{Malformed, Request};

/// What stands behind the netlink header.
fn body(mut request: Request) -> Vec<u8> {
    request.stamp(1)[16..].to_vec()
}

fn web() -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 }
}

/// A service as a kernel of 2010 answers: nests without NLA_F_NESTED, narrow
/// counters only; persistent, hashed, with a mask of 24 bits.
#[rustfmt::skip]
const OLD_SERVICE: [u8; 124] = [
    1, 1, 0, 0, // IPVS_CMD_NEW_SERVICE
    120, 0, 1, 0,
    6, 0, 1, 0, 2, 0, 0, 0,                       // AF_INET
    6, 0, 2, 0, 6, 0, 0, 0,                       // IPPROTO_TCP
    20, 0, 3, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    6, 0, 4, 0, 0, 80, 0, 0,                      // network order
    8, 0, 6, 0, b'w', b'l', b'c', 0,
    12, 0, 7, 0, 3, 0, 0, 0, 255, 255, 255, 255,  // PERSISTENT|HASHED, all of the mask
    8, 0, 8, 0, 0x2c, 1, 0, 0,                    // 300 seconds
    8, 0, 9, 0, 255, 255, 255, 0,
    28, 0, 10, 0,
        8, 0, 1, 0, 7, 0, 0, 0,                   // connections, 32 bits
        12, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0,      // bytes in, 64 bits
        4, 0, 11, 0,                              // padding
    8, 0, 99, 0, 1, 2, 3, 4,                      // not invented yet
];

#[cfg(target_endian = "little")]
mod known {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_service_is_added_as_the_header_says() {
        let service = Service {
            flags: ServiceFlags(ServiceFlags::PERSISTENT),
            persistence: Duration::from_secs(300),
            prefix: 24,
            engine: Some("sip".to_owned()),
            ..Service::new(web(), "wlc")
        };
        assert_eq!(body(add_service(&service)), [
            1, 1, 0, 0, // IPVS_CMD_NEW_SERVICE, version 1
            92, 0, 1, 0x80,
            6, 0, 1, 0, 2, 0, 0, 0,
            6, 0, 2, 0, 6, 0, 0, 0,
            20, 0, 3, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            6, 0, 4, 0, 0, 80, 0, 0,
            8, 0, 6, 0, b'w', b'l', b'c', 0,
            12, 0, 7, 0, 1, 0, 0, 0, 0x3d, 0, 0, 0, // flags, and which of them are meant
            8, 0, 8, 0, 0x2c, 1, 0, 0,
            8, 0, 9, 0, 255, 255, 255, 0,
            8, 0, 11, 0, b's', b'i', b'p', 0,
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn an_ipv6_mark_has_neither_protocol_nor_address_and_a_prefix_for_a_mask() {
        let service = Service { prefix: 56, ..Service::new(ServiceKey::Mark { family: Family::V6, mark: 21 }, "sh") };
        assert_eq!(body(edit_service(&service)), [
            2, 1, 0, 0,
            56, 0, 1, 0x80,
            6, 0, 1, 0, 10, 0, 0, 0,
            8, 0, 5, 0, 21, 0, 0, 0,
            7, 0, 6, 0, b's', b'h', 0, 0,
            12, 0, 7, 0, 0, 0, 0, 0, 0x3d, 0, 0, 0,
            8, 0, 8, 0, 0, 0, 0, 0,
            8, 0, 9, 0, 56, 0, 0, 0,
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_destination_is_added_as_the_header_says() {
        let key = DestinationKey { address: "198.51.100.7".parse().unwrap(), port: 8080 };
        let destination = Destination {
            upper_threshold: 9,
            lower_threshold: 3,
            tunnel: Tunnel::Gue { port: 6080, flags: 1 },
            ..Destination::new(key, ForwardingMethod::Tunnel, 5)
        };
        let service = [
            48, 0, 1, 0x80,
            6, 0, 1, 0, 2, 0, 0, 0,
            6, 0, 2, 0, 6, 0, 0, 0,
            20, 0, 3, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            6, 0, 4, 0, 0, 80, 0, 0,
        ];
        let whole = [
            96, 0, 2, 0x80,
            20, 0, 1, 0, 198, 51, 100, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            6, 0, 2, 0, 0x1f, 0x90, 0, 0,
            6, 0, 11, 0, 2, 0, 0, 0,
            8, 0, 3, 0, 2, 0, 0, 0,
            8, 0, 4, 0, 5, 0, 0, 0,
            8, 0, 5, 0, 9, 0, 0, 0,
            8, 0, 6, 0, 3, 0, 0, 0,
            5, 0, 13, 0, 1, 0, 0, 0,       // GUE
            6, 0, 14, 0, 0x17, 0xc0, 0, 0, // network order
            6, 0, 15, 0, 1, 0, 0, 0,
        ];
        assert_eq!(body(add_destination(&web(), &destination)), [&[5, 1, 0, 0][..], &service, &whole].concat());
        // To delete, nothing but what makes it that destination.
        let bare = [&[40, 0, 2, 0x80], &whole[4..40]].concat();
        assert_eq!(body(delete_destination(&web(), &key)), [&[7, 1, 0, 0][..], &service, &bare].concat());
        assert_eq!(body(list_destinations(&web())), [&[8, 1, 0, 0][..], &service].concat());
    }

    #[test]
    fn what_tunnels_as_ever_says_nothing_of_tunnels() {
        let key = DestinationKey { address: "198.51.100.7".parse().unwrap(), port: 80 };
        let bytes = body(edit_destination(&web(), &Destination::new(key, ForwardingMethod::Tunnel, 5)));
        assert_eq!(bytes.len(), 4 + 48 + 72);
        assert_eq!(bytes[..4], [6, 1, 0, 0]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_synchronisation_daemon_is_started_as_the_header_says() {
        let daemon = SyncDaemon {
            role: SyncRole::Backup,
            interface: "eth1".to_owned(),
            id: 255,
            maxlen: 1200,
            group: Some("239.1.2.3".parse().unwrap()),
            port: 9000,
            ttl: 5,
        };
        assert_eq!(body(start_sync_daemon(&daemon)), [
            9, 1, 0, 0,
            64, 0, 3, 0x80,
            8, 0, 1, 0, 2, 0, 0, 0,
            9, 0, 2, 0, b'e', b't', b'h', b'1', 0, 0, 0, 0,
            8, 0, 3, 0, 255, 0, 0, 0,
            6, 0, 4, 0, 0xb0, 4, 0, 0,
            8, 0, 5, 0, 239, 1, 2, 3,
            6, 0, 7, 0, 0x28, 0x23, 0, 0, // the host's order, unlike any other port
            5, 0, 8, 0, 5, 0, 0, 0,
        ]);
        assert_eq!(body(stop_sync_daemon(SyncRole::Master)), [10, 1, 0, 0, 12, 0, 3, 0x80, 8, 0, 1, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn only_timeouts_that_are_to_change_are_sent() {
        let timeouts = Timeouts { tcp_fin: Duration::from_millis(30_999), ..Timeouts::default() };
        assert_eq!(body(set_timeouts(&timeouts)), [12, 1, 0, 0, 8, 0, 5, 0, 30, 0, 0, 0]);
        assert_eq!(body(get_timeouts()), [13, 1, 0, 0]);
    }

    #[test]
    fn commands_are_acknowledged_and_lists_are_dumps() {
        assert_eq!(delete_service(&web()).stamp(1)[6..8], [5, 0]);
        for mut list in [list_services(), list_sync_daemons(), list_destinations(&web())] {
            assert_eq!(list.stamp(1)[6..8], [1, 3]);
        }
        assert_eq!(body(list_services()), [4, 1, 0, 0]);
        assert_eq!(body(list_sync_daemons()), [11, 1, 0, 0]);
    }

    #[test]
    fn an_old_kernels_service_is_read() {
        let entry = read_service(&OLD_SERVICE).unwrap().unwrap();
        let service = Service {
            flags: ServiceFlags(ServiceFlags::PERSISTENT),
            persistence: Duration::from_secs(300),
            prefix: 24,
            ..Service::new(web(), "wlc")
        };
        assert_eq!(entry.service, service);
        assert_eq!(entry.stats, Stats { connections: 7, bytes_in: 1 << 32, ..Stats::default() });
    }

    #[test]
    #[rustfmt::skip]
    fn a_new_kernels_destination_is_read() {
        let bytes = [
            5, 1, 0, 0,
            176, 0, 2, 0x80,
            20, 0, 1, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            6, 0, 2, 0, 0, 80, 0, 0,
            6, 0, 11, 0, 10, 0, 0, 0,      // AF_INET6 behind an IPv4 service
            8, 0, 3, 0, 2, 1, 0, 0,        // tunnel, and a flag beyond the method's mask
            8, 0, 4, 0, 255, 255, 0, 0,
            8, 0, 7, 0, 1, 0, 0, 0,
            8, 0, 8, 0, 2, 0, 0, 0,
            8, 0, 9, 0, 3, 0, 0, 0,
            5, 0, 13, 0, 2, 0, 0, 0,       // GRE
            6, 0, 15, 0, 1, 0, 0, 0,
            16, 0, 10, 0, 12, 0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, // the narrow counters
            64, 0, 12, 0,                  // the wide ones
                12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                12, 0, 2, 0, 2, 0, 0, 0, 1, 0, 0, 0,
                12, 0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0,
                12, 0, 6, 0, 6, 0, 0, 0, 0, 0, 0, 0,
                12, 0, 10, 0, 10, 0, 0, 0, 0, 0, 0, 0,
        ];
        let entry = read_destination(&bytes, Family::V4).unwrap().unwrap();
        let key = DestinationKey { address: "2001:db8::7".parse().unwrap(), port: 80 };
        let tunnel = Tunnel::Gre { flags: 1 };
        assert_eq!(entry.destination, Destination { tunnel, ..Destination::new(key, ForwardingMethod::Tunnel, 65535) });
        assert_eq!((entry.active, entry.inactive, entry.persistent), (1, 2, 3));
        assert_eq!(entry.stats, Stats {
            connections: 1,
            packets_in: (1 << 32) + 2,
            packets_out: 3,
            connections_per_second: 6,
            bytes_out_per_second: 10,
            ..Stats::default()
        });
    }

    #[test]
    #[rustfmt::skip]
    fn a_destination_of_before_mixed_families_is_of_its_services() {
        let bytes = [
            5, 1, 0, 0, 32, 0, 2, 0,
            20, 0, 1, 0, 198, 51, 100, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            6, 0, 2, 0, 0, 80, 0, 0,
        ];
        let entry = read_destination(&bytes, Family::V4).unwrap().unwrap();
        assert_eq!(entry.destination.key.to_string(), "198.51.100.7:80");
        assert_eq!(entry.destination.tunnel, Tunnel::IpIp);
    }

    #[test]
    #[rustfmt::skip]
    fn what_is_none_of_ours_is_left_out_and_what_is_unknown_is_kept() {
        let mut gre = OLD_SERVICE;
        gre[20] = 47;
        assert_eq!(read_service(&gre), Ok(None));
        let mut family = OLD_SERVICE;
        family[12] = 1;
        assert_eq!(read_service(&family), Ok(None));
        let mut scheduler = OLD_SERVICE;
        scheduler[56..59].copy_from_slice(b"xyz");
        assert_eq!(read_service(&scheduler).unwrap().unwrap().service.scheduler, "xyz");
        let mut mask = OLD_SERVICE;
        mask[85] = 0; // 255.0.255.0
        assert_eq!(read_service(&mask).unwrap().unwrap().service.prefix, Service::NO_PREFIX);
        let strange = [
            5, 1, 0, 0, 56, 0, 2, 0,
            20, 0, 1, 0, 198, 51, 100, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            6, 0, 2, 0, 0, 80, 0, 0,
            8, 0, 3, 0, 7, 0, 0, 0,
            5, 0, 13, 0, 9, 0, 0, 0,
            6, 0, 14, 0, 0, 1, 0, 0,
        ];
        let entry = read_destination(&strange, Family::V4).unwrap().unwrap();
        assert_eq!(entry.destination.method, ForwardingMethod::Other(7));
        assert_eq!(entry.destination.tunnel, Tunnel::Other { kind: 9, port: 1, flags: 0 });
        // No daemon is one of no role.
        assert_eq!(read_sync_daemon(&[9, 1, 0, 0, 12, 0, 3, 0, 8, 0, 1, 0, 0, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn an_answer_about_something_else_is_an_error() {
        assert_eq!(read_service(&[1, 1, 0, 0]), Err(Malformed("no service in the answer")));
        assert_eq!(read_destination(&[5, 1, 0, 0], Family::V4), Err(Malformed("no destination in the answer")));
        assert_eq!(read_sync_daemon(&[9, 1, 0, 0]), Err(Malformed("no synchronisation daemon in the answer")));
        assert_eq!(read_timeouts(&[12, 1, 0]), Err(Malformed("short generic header")));
        let nameless = [1, 1, 0, 0, 20, 0, 1, 0, 6, 0, 1, 0, 2, 0, 0, 0, 6, 0, 2, 0, 6, 0, 0, 0];
        assert_eq!(read_service(&nameless), Err(Malformed("service without address or mark")));
    }
}

#[test]
fn cut_at_any_length_it_is_an_error_or_says_less() {
    let whole = read_service(&OLD_SERVICE).unwrap();
    for length in 0..OLD_SERVICE.len() - 8 {
        let cut = read_service(&OLD_SERVICE[..length]);
        assert!(cut.is_err(), "{length}: {cut:?}");
    }
    assert!(whole.is_some());
    let key = DestinationKey { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 1 };
    let bytes = body(add_destination(&web(), &Destination::new(key, ForwardingMethod::Masquerade, 1)));
    for length in 0..bytes.len() {
        assert!(read_destination(&bytes[..length], Family::V4).is_err(), "{length}");
    }
}

fn any_family() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![Family::V4, Family::V6])
}

fn any_service_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    prop_oneof![
        (protocol, any::<IpAddr>(), any::<u16>()).prop_map(|(protocol, address, port)| ServiceKey::Address {
            protocol,
            address,
            port
        }),
        (any_family(), 1..=u32::MAX).prop_map(|(family, mark)| ServiceKey::Mark { family, mark }),
    ]
}

fn any_tunnel() -> impl Strategy<Value = Tunnel> {
    prop_oneof![
        Just(Tunnel::IpIp),
        any::<(u16, u16)>().prop_map(|(port, flags)| Tunnel::Gue { port, flags }),
        any::<u16>().prop_map(|flags| Tunnel::Gre { flags }),
        (3..=u8::MAX, any::<(u16, u16)>()).prop_map(|(kind, (port, flags))| Tunnel::Other { kind, port, flags }),
    ]
}

fn any_method() -> impl Strategy<Value = ForwardingMethod> {
    prop::sample::select(vec![
        ForwardingMethod::Masquerade,
        ForwardingMethod::Local,
        ForwardingMethod::Tunnel,
        ForwardingMethod::DirectRouting,
        ForwardingMethod::Bypass,
        ForwardingMethod::Other(5),
        ForwardingMethod::Other(7),
    ])
}

prop_compose! {
    fn any_service()(
        key in any_service_key(),
        scheduler in "[a-z]{1,15}",
        flags in any::<u32>(),
        seconds in any::<u32>(),
        prefix in 0_u8..=128,
        engine in prop::option::of("[a-z]{1,15}"),
    ) -> Service {
        let flags = ServiceFlags(flags & ServiceFlags::MASK);
        let persistent = flags.0 & ServiceFlags::PERSISTENT != 0;
        Service {
            key,
            scheduler,
            flags,
            persistence: if persistent { Duration::from_secs(seconds.into()) } else { Duration::ZERO },
            prefix: prefix.min(key.family().bits()),
            engine,
        }
    }
}

prop_compose! {
    fn any_destination()(
        address in any::<IpAddr>(),
        port in any::<u16>(),
        method in any_method(),
        weight in any::<u32>(),
        upper_threshold in any::<u32>(),
        lower_threshold in any::<u32>(),
        tunnel in any_tunnel(),
    ) -> Destination {
        Destination { key: DestinationKey { address, port }, method, weight, upper_threshold, lower_threshold, tunnel }
    }
}

prop_compose! {
    fn any_sync_daemon()(
        role in prop::sample::select(vec![SyncRole::Master, SyncRole::Backup]),
        interface in "[a-z0-9.]{1,15}",
        id in any::<u8>(),
        maxlen in any::<u16>(),
        group in any::<Option<IpAddr>>(),
        port in any::<u16>(),
        ttl in any::<u8>(),
    ) -> SyncDaemon {
        SyncDaemon { role, interface, id, maxlen, group, port, ttl }
    }
}

proptest! {
    #[test]
    fn a_service_that_is_asked_for_reads_as_itself(service in any_service()) {
        for request in [add_service(&service), edit_service(&service)] {
            prop_assert_eq!(read_service(&body(request)).unwrap().unwrap().service, service.clone());
        }
        let named = read_service(&body(get_service(&service.key))).unwrap().unwrap().service;
        prop_assert_eq!(named.key, service.key);
        let named = read_service(&body(delete_service(&service.key))).unwrap().unwrap().service;
        prop_assert_eq!(named.key, service.key);
    }

    #[test]
    fn a_destination_that_is_asked_for_reads_as_itself(key in any_service_key(), destination in any_destination()) {
        for request in [add_destination(&key, &destination), edit_destination(&key, &destination)] {
            let bytes = body(request);
            let entry = read_destination(&bytes, key.family()).unwrap().unwrap();
            prop_assert_eq!(entry.destination, destination.clone());
            prop_assert_eq!(read_service(&bytes).unwrap().unwrap().service.key, key);
        }
        let bytes = body(delete_destination(&key, &destination.key));
        prop_assert_eq!(read_destination(&bytes, key.family()).unwrap().unwrap().destination.key, destination.key);
    }

    #[test]
    fn a_synchronisation_daemon_that_is_asked_for_reads_as_itself(daemon in any_sync_daemon()) {
        prop_assert_eq!(read_sync_daemon(&body(start_sync_daemon(&daemon))).unwrap().unwrap(), daemon.clone());
        let stopped = read_sync_daemon(&body(stop_sync_daemon(daemon.role))).unwrap().unwrap();
        prop_assert_eq!(stopped.role, daemon.role);
    }

    #[test]
    fn timeouts_that_are_asked_for_read_as_themselves(tcp in any::<u32>(), tcp_fin in any::<u32>(), udp in any::<u32>()) {
        let [tcp, tcp_fin, udp] = [tcp, tcp_fin, udp].map(|seconds| Duration::from_secs(seconds.into()));
        let timeouts = Timeouts { tcp, tcp_fin, udp };
        prop_assert_eq!(read_timeouts(&body(set_timeouts(&timeouts))).unwrap(), timeouts);
    }

    #[test]
    fn hostile_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), family in any_family()) {
        let _ = (read_service(&bytes), read_destination(&bytes, family));
        let _ = (read_timeouts(&bytes), read_sync_daemon(&bytes));
    }

    #[test]
    fn a_hostile_byte_anywhere_in_an_answer_is_never_a_panic(at in 0..OLD_SERVICE.len(), byte in any::<u8>(), family in any_family()) {
        let mut bytes = OLD_SERVICE;
        bytes[at] = byte;
        let _ = read_service(&bytes);
        bytes[6] = 2; // as a destination
        let _ = read_destination(&bytes, family);
        bytes[6] = 3;
        let _ = read_sync_daemon(&bytes);
    }
}
