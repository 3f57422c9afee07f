use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const TOKEN: Token = Token([1, 2, 3, 4, 5, 6, 7, 8]);
const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The answer a host would give.
fn answer(to: IpAddr, question: &[u8], options: usize) -> Vec<u8> {
    let mut message = question.to_vec();
    message[0] = if to.is_ipv4() { 0 } else { 129 };
    message[2..4].fill(0);
    if to.is_ipv6() {
        return message;
    }
    let checksum = internet_checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
    let mut packet = vec![0; 20 + 4 * options];
    packet[0] = 0x40 | u8::try_from(5 + options).unwrap();
    packet.extend_from_slice(&message);
    packet
}

/// RFC 792: type 8, code 0, checksum, identifier, sequence, data. The sum by hand:
/// 0800 + 0001 + 0102 + 0304 + 0506 + 0708 = 1815.
#[test]
fn the_question_is_as_the_rfc_has_it() {
    assert_eq!(echo_request(V4, TOKEN), [8, 0, 0xe7, 0xea, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(echo_request(V6, TOKEN), [128, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn only_the_answer_is_the_answer() {
    for to in [V4, V6] {
        let question = echo_request(to, TOKEN);
        let good = answer(to, &question, 0);
        assert!(is_echo_reply(to, &good, TOKEN));
        assert!(!is_echo_reply(to, &good, Token([0; 8])), "to another question");
        assert!(!is_echo_reply(to, &good[..good.len() - 1], TOKEN), "cut off");
        assert!(!is_echo_reply(to, &[], TOKEN));
        let mut longer = good.clone();
        longer.push(0);
        assert!(!is_echo_reply(to, &longer, TOKEN), "more than was asked");
        let at = good.len() - 16;
        for (at, byte) in [(at, 3), (at + 1, 1), (at, question[0])] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(!is_echo_reply(to, &bad, TOKEN), "{at} {byte}");
        }
    }
    assert!(is_echo_reply(V4, &answer(V4, &echo_request(V4, TOKEN), 10), TOKEN), "with all options");
    assert!(!is_echo_reply(V4, &answer(V6, &echo_request(V6, TOKEN), 0), TOKEN));
    let mut damaged = answer(V4, &echo_request(V4, TOKEN), 0);
    damaged[22] ^= 1;
    assert!(!is_echo_reply(V4, &damaged, TOKEN), "its checksum is wrong");
}

proptest! {
    #[test]
    fn hostile_packets_are_no_answer_and_no_panic(packet in prop::collection::vec(any::<u8>(), 0..100), four in any::<bool>()) {
        let from = if four { V4 } else { V6 };
        prop_assert!(!is_echo_reply(from, &packet, TOKEN));
    }

    #[test]
    fn every_question_has_its_answer(token in any::<[u8; 8]>(), options in 0_usize..11, four in any::<bool>()) {
        let to = if four { V4 } else { V6 };
        prop_assert!(is_echo_reply(to, &answer(to, &echo_request(to, Token(token)), options), Token(token)));
    }
}
