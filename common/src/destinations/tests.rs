use proptest::prelude::*;

use super::*;
use crate::ipvs::{Family, Protocol};

fn any_target() -> impl Strategy<Value = Target> {
    let address = any::<IpAddr>();
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let service = prop_oneof![
        (protocol, any::<IpAddr>(), any::<u16>()).prop_map(|(protocol, address, port)| ServiceKey::Address {
            protocol,
            address,
            port
        }),
        (prop_oneof![Just(Family::V4), Just(Family::V6)], 1_u32..)
            .prop_map(|(family, mark)| ServiceKey::Mark { family, mark }),
    ];
    (service, address, any::<u16>())
        .prop_map(|(service, address, port)| Target { service, destination: DestinationKey { address, port } })
}

fn any_assignment() -> impl Strategy<Value = Assignment> {
    let methods =
        [ForwardingMethod::Masquerade, ForwardingMethod::DirectRouting, ForwardingMethod::Tunnel].map(Just).to_vec();
    let method = proptest::strategy::Union::new(methods);
    let failed = prop_oneof![Just(Failed::Removed), Just(Failed::Quiesced), Just(Failed::Inhibited)];
    let limits = prop::option::of(any::<(u32, u32)>().prop_map(|(a, b)| Limits { upper: a.max(b), lower: a.min(b) }));
    let rest = (0..=86_400_000_u64, limits, any::<bool>());
    (any_target(), method, 0..=65_535_u32, failed, rest).prop_map(
        |(target, method, weight, failed, (millis, limits, stays))| {
            let slow_start = Duration::from_millis(millis);
            Assignment { target, method, weight, failed, slow_start, limits, stays }
        },
    )
}

fn any_held() -> impl Strategy<Value = Held> {
    (any_assignment(), any::<Option<(bool, u32)>>()).prop_map(|(assignment, verdict)| Held { assignment, verdict })
}

proptest! {
    #[test]
    fn records_come_back_as_they_were(assignment in any_assignment(), held in any_held()) {
        prop_assert_eq!(Assignment::parse(&assignment.to_string()), Some(assignment));
        prop_assert_eq!(Held::parse(&held.to_string()), Some(held));
        prop_assert_eq!(Target::parse(&assignment.target.to_string()), Some(assignment.target));
    }

    #[test]
    fn packets_hold_all_of_them_in_order_and_no_more_than_they_may(
        all in prop::collection::vec(any_assignment(), 0..60),
        room in 1_usize..2000,
    ) {
        let packets = pack(&all, room);
        for packet in &packets {
            let text = packet.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            prop_assert!(text.len() <= room || packet.len() == 1);
            let unpacked = unpack::<Assignment>(&text);
            prop_assert_eq!(unpacked.as_ref(), Some(packet));
        }
        prop_assert_eq!(packets.concat(), all);
    }

    #[test]
    fn hostile_text_is_none_and_never_a_panic(text in "(.|\n|\t){0,200}") {
        let _ = unpack::<Assignment>(&text);
        let _ = unpack::<Held>(&text);
        let _ = unpack::<Target>(&text);
    }
}

#[test]
fn a_record_reads_like_the_log() {
    let service = ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, 1].into(), port: 80 };
    let destination = DestinationKey { address: [198, 51, 100, 7].into(), port: 8080 };
    let target = Target { service, destination };
    let assignment = Assignment {
        target,
        method: ForwardingMethod::Masquerade,
        weight: 5,
        failed: Failed::Quiesced,
        slow_start: Duration::from_secs(100),
        limits: Some(Limits { upper: 100, lower: 75 }),
        stays: false,
    };
    let line = "tcp 192.0.2.1:80\t198.51.100.7:8080\tm\t5\tquiesce\t100000\t100/75\t-";
    assert_eq!(assignment.to_string(), line);
    let held = Held { assignment, verdict: Some((false, 0)) };
    assert_eq!(held.to_string(), format!("{line}\tdown\t0"));
    for wrong in [
        line.replace("\t5", "\t65536"),
        line.replace("\tm", "\tx"),
        line.replace("100/75", "75/100"),
        line.replace("100000", "86400001"),
        line.replace("quiesce", "kill"),
        format!("{line}\t"),
        line.replace("192.0.2.1:80", "192.0.2.1"),
    ] {
        assert_eq!(Assignment::parse(&wrong), None, "{wrong:?}");
    }
}

#[test]
fn more_than_a_nanny_keeps_are_none() {
    let line = "tcp 192.0.2.1:80\t198.51.100.7:80\n";
    assert_eq!(unpack::<Target>(&line.repeat(DESTINATIONS_MAX)).map(|all| all.len()), Some(DESTINATIONS_MAX));
    assert_eq!(unpack::<Target>(&line.repeat(DESTINATIONS_MAX + 1)), None);
}

#[test]
fn a_place_is_named_after_the_server_and_every_argument() {
    let place = |words: &[&str]| shared_place([198, 51, 100, 7].into(), 80, words.iter().copied());
    assert_eq!(place(&["-c", "-t", "6"]), "shared-198.51.100.7-80-ec7478a8e91e2cc8");
    assert_ne!(place(&["-c", "-t", "6"]), place(&["-c", "-t6"]));
    let longest = shared_place("1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap(), 65_535, ["-c"]);
    assert!(longest.len() <= 73, "{longest}");
}
