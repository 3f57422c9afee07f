use proptest::prelude::*;

use super::*;

const MAC: Mac = [0x02, 0x42, 0xac, 0x11, 0x00, 0x05];

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// piranha.md 2.7, field by field.
#[test]
fn the_reply_is_the_frame_send_arp_sent() {
    let expected = hex("ffffffffffff 0242ac110005 0806
         0001 0800 06 04 0002
         0242ac110005 0a000009
         0242ac110005 0a000009
         000000000000000000000000000000000000");
    assert_eq!(expected.len(), 60);
    assert_eq!(gratuitous(Form::Reply, MAC, [10, 0, 0, 9].into()), expected);
}

#[test]
fn the_request_asks_with_an_unknown_target() {
    let expected = hex("ffffffffffff 0242ac110005 0806
         0001 0800 06 04 0001
         0242ac110005 c0a88e64
         000000000000 c0a88e64
         000000000000000000000000000000000000");
    assert_eq!(gratuitous(Form::Request, MAC, [192, 168, 142, 100].into()), expected);
}

/// Written out from RFC 4861 4.4 and RFC 8200 8.1; the sum was added by hand:
/// 2001+0db8+9 + ff02+1 + 20 + 3a + 8800 + 2000 + 2001+0db8+9 + 0201+0242+ac11+0005.
#[test]
fn the_advertisement_overrides_is_unsolicited_and_sums_up() {
    let sum: u32 = 0x2001
        + 0x0db8
        + 9
        + 0xff02
        + 1
        + 0x20
        + 0x3a
        + 0x8800
        + 0x2000
        + 0x2001
        + 0x0db8
        + 9
        + 0x0201
        + 0x0242
        + 0xac11
        + 0x0005;
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = format!("{:04x}", 0xffff - folded);
    let expected = hex(&format!(
        "333300000001 0242ac110005 86dd
         60000000 0020 3a ff
         20010db8000000000000000000000009
         ff020000000000000000000000000001
         88 00 {checksum} 20000000
         20010db8000000000000000000000009
         02 01 0242ac110005"
    ));
    assert_eq!(neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), false), expected);
}

#[test]
fn a_forwarding_director_says_that_it_is_a_router() {
    let host = neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), false);
    let router = neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), true);
    assert_eq!((host[58], router[58]), (0x20, 0xa0));
}

/// RFC 1071: a receiver that sums everything, the checksum included, gets ones.
#[test]
fn a_receiver_finds_the_checksum_right_for_any_address() {
    for low in [0_u16, 1, 0x7fff, 0xfffe, 0xffff] {
        let vip = Ipv6Addr::new(0xfd00, low, 0xffff, 0, low, 1, 2, low);
        let frame = neighbour_advertisement(MAC, vip, false);
        let mut covered = frame[22..54].to_vec();
        covered.extend_from_slice(&[0, 0, 0, 32, 0, 0, 0, 58]);
        covered.extend_from_slice(&frame[54..]);
        assert_eq!(internet_checksum(&covered), 0, "{vip}");
    }
}

/// RFC 5227 2.1.1 and RFC 826; the last bytes are the original's padding.
#[test]
fn a_question_names_the_asker_and_a_probe_does_not() {
    let asked = request(MAC, [10, 0, 0, 1].into(), [10, 0, 0, 9].into());
    let expected = hex("ffffffffffff 0242ac110005 0806
         0001 0800 06 04 0001
         0242ac110005 0a000001
         000000000000 0a000009
         000000000000000000000000000000000000");
    assert_eq!(asked, expected);
    assert_eq!(arp_claim(&asked[14..]), Some(Claim { address: [10, 0, 0, 1].into(), mac: MAC, is_announced: false }));
    let probe = request(MAC, Ipv4Addr::UNSPECIFIED, [10, 0, 0, 9].into());
    assert_eq!(probe[28..32], [0; 4]);
    assert_eq!(arp_claim(&probe[14..]), None);
}

/// RFC 4861 4.3, 7.2.2 (the solicited-node group); RFC 4862 5.4.2 for the probe.
#[test]
fn a_solicitation_goes_to_those_who_may_have_the_address() {
    let (from, target): (Ipv6Addr, Ipv6Addr) = ("2001:db8::1".parse().unwrap(), "2001:db8::fe12:3456".parse().unwrap());
    let frame = neighbour_solicitation(MAC, from, target);
    let expected = hex("3333ff123456 0242ac110005 86dd
         60000000 0020 3a ff
         20010db8000000000000000000000001
         ff0200000000000000000001ff123456
         87 00");
    assert_eq!(frame[..expected.len()], expected);
    assert_eq!(frame[58..], hex("00000000 20010db80000000000000000fe123456 01 01 0242ac110005"));
    let probe = neighbour_solicitation(MAC, Ipv6Addr::UNSPECIFIED, target);
    assert_eq!((probe.len(), probe[18..20].to_vec()), (78, vec![0, 24]), "a probe has no option");
    for frame in [frame, probe] {
        let length = u8::try_from(frame.len() - 54).unwrap();
        let mut covered = frame[22..54].to_vec();
        covered.extend_from_slice(&[0, 0, 0, length, 0, 0, 0, 58]);
        covered.extend_from_slice(&frame[54..]);
        assert_eq!(internet_checksum(&covered), 0);
    }
}

#[test]
fn what_is_announced_is_what_is_claimed() {
    let vip: Ipv4Addr = [10, 0, 0, 9].into();
    for form in [Form::Request, Form::Reply] {
        assert_eq!(
            arp_claim(&gratuitous(form, MAC, vip)[14..]),
            Some(Claim { address: vip.into(), mac: MAC, is_announced: true })
        );
    }
    let vip: Ipv6Addr = "2001:db8::9".parse().unwrap();
    let frame = neighbour_advertisement(MAC, vip, true);
    let other = [2, 0, 0, 0, 0, 1];
    assert_eq!(
        advertisement_claim(&frame[14..], other),
        Some(Claim { address: vip.into(), mac: MAC, is_announced: true })
    );
    // Without the option (RFC 4861 4.4 allows it in an answer) the sender has it.
    let mut short = frame[14..78].to_vec();
    short[5] = 24;
    assert_eq!(advertisement_claim(&short, other), Some(Claim { address: vip.into(), mac: other, is_announced: true }));
    short[44] |= 0x40; // solicited
    assert_eq!(advertisement_claim(&short, other).map(|claim| claim.is_announced), Some(false), "an answer");
}

#[test]
fn what_is_no_claim_is_none() {
    let mut frame = gratuitous(Form::Reply, MAC, [10, 0, 0, 9].into())[14..].to_vec();
    frame[7] = 3; // RARP
    assert_eq!(arp_claim(&frame), None);
    let mut frame = gratuitous(Form::Reply, MAC, [10, 0, 0, 9].into())[14..].to_vec();
    frame[4] = 8; // hardware addresses of another length
    assert_eq!(arp_claim(&frame), None);
    let everybody = gratuitous(Form::Reply, BROADCAST, [10, 0, 0, 9].into());
    assert_eq!(arp_claim(&everybody[14..]), None);

    let good = neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), false)[14..].to_vec();
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        advertisement_claim(&bad, MAC)
    };
    assert!(with(7, 255).is_some());
    assert_eq!(with(7, 64), None, "not from this link");
    assert_eq!(with(6, 17), None, "no ICMPv6");
    assert_eq!(with(40, 135), None, "a question");
    assert_eq!(with(48, 0xff), None, "nobody has a group");
    assert_eq!(with(65, 0), None, "an option without length");
    assert_eq!(with(65, 2), None, "an option that is cut off");
    assert_eq!(with(66, 0x33), None, "a group's hardware address");
    assert_eq!(advertisement_claim(&good[..good.len() - 1], MAC), None, "cut off");
}

proptest! {
    #[test]
    fn hostile_packets_are_never_a_panic(mut packet in prop::collection::vec(any::<u8>(), 0..120), good in 0_usize..4) {
        // Some look right at first.
        let advertisement = neighbour_advertisement(MAC, Ipv6Addr::LOCALHOST, false);
        let reply = gratuitous(Form::Reply, MAC, [10, 0, 0, 9].into());
        match good {
            0 => packet.splice(..0, reply[14..22].iter().copied()).for_each(drop),
            1 => packet.splice(..0, advertisement[14..58].iter().copied()).for_each(drop),
            _ => {}
        }
        for claim in [arp_claim(&packet), advertisement_claim(&packet, MAC)].into_iter().flatten() {
            prop_assert!(is_somebody(claim.mac) && !claim.address.is_unspecified());
        }
    }

    #[test]
    fn any_claim_reads_as_itself(mac in any::<Mac>(), four in any::<Ipv4Addr>(), six in any::<Ipv6Addr>()) {
        let mac = [mac[0] & 0xfe, mac[1], mac[2], mac[3], mac[4], mac[5] | 1];
        let target = Ipv4Addr::from([10, 0, 0, 9]);
        prop_assume!(!four.is_unspecified() && !six.is_unspecified() && !six.is_multicast());
        let frame = request(mac, four, target);
        prop_assert_eq!(arp_claim(&frame[14..]), Some(Claim { address: four.into(), mac, is_announced: four == target }));
        let frame = neighbour_advertisement(mac, six, false);
        prop_assert_eq!(advertisement_claim(&frame[14..], MAC), Some(Claim { address: six.into(), mac, is_announced: true }));
    }
}
