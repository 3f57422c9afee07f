use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::arp::{self, Form, advertisement_claim, arp_claim};

const MAC: arp::Mac = [2, 0, 0, 0, 0, 7];

/// The kernel's interpreter, for these few instructions; a load from behind the
/// end gives nothing.
fn comes_through(program: &[Instruction], packet: &[u8]) -> bool {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let it = program[at];
        at += 1;
        let offset = it.operand as usize;
        match it.code {
            LOAD_WORD => match packet.get(offset..offset + 4) {
                Some(word) => accumulator = u32::from_be_bytes(word.try_into().unwrap()),
                None => return false,
            },
            LOAD_BYTE => match packet.get(offset) {
                Some(byte) => accumulator = u32::from(*byte),
                None => return false,
            },
            IF_EQUAL => at += usize::from(if accumulator == it.operand { it.if_true } else { it.if_false }),
            RETURN => return it.operand > 0,
            other => panic!("no such instruction: {other}"),
        }
    }
}

fn four(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

#[test]
fn without_addresses_nobody_is_woken() {
    let frame = arp::gratuitous(Form::Reply, MAC, [10, 0, 0, 9].into());
    for program in
        [nothing(), arp_claims(&[]), arp_claims(&["2001:db8::9".parse().unwrap()]), advertised_claims(&[four(9)])]
    {
        assert!(!comes_through(&program, &frame[14..]));
    }
}

#[test]
fn with_too_many_addresses_every_claim_comes_through() {
    let all: Vec<IpAddr> = (0..2000).map(four).collect();
    let frame = arp::gratuitous(Form::Reply, MAC, [192, 0, 2, 1].into());
    assert!(comes_through(&arp_claims(&all), &frame[14..]));
    assert!(!comes_through(&arp_claims(&all[..ADDRESSES_MAX]), &frame[14..]));
    let all: Vec<IpAddr> = (0..2000_u128).map(|n| Ipv6Addr::from_bits(n << 64 | n).into()).collect();
    let frame = arp::neighbour_advertisement(MAC, "2001:db8::1:9".parse().unwrap(), false);
    assert!(comes_through(&advertised_claims(&all), &frame[14..]));
    let asked = arp::neighbour_solicitation(MAC, Ipv6Addr::LOCALHOST, "2001:db8::1:9".parse().unwrap());
    assert!(!comes_through(&advertised_claims(&all), &asked[14..]), "but nothing else");
}

proptest! {
    #[test]
    fn a_claim_comes_through_if_it_is_for_one_of_ours(
        ours in prop::collection::vec(0_u32..40, 0..20),
        claimed in 0_u32..40,
        reply in any::<bool>(),
    ) {
        let addresses: Vec<IpAddr> = ours.iter().map(|n| four(*n)).collect();
        let form = if reply { Form::Reply } else { Form::Request };
        let frame = arp::gratuitous(form, MAC, Ipv4Addr::from_bits(0x0a00_0000 + claimed));
        prop_assert!(arp_claim(&frame[14..]).is_some());
        prop_assert_eq!(comes_through(&arp_claims(&addresses), &frame[14..]), ours.contains(&claimed));

        let six = |n: u32| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n));
        let addresses: Vec<IpAddr> = ours.iter().map(|n| six(*n).into()).collect();
        let frame = arp::neighbour_advertisement(MAC, six(claimed), false);
        prop_assert_eq!(comes_through(&advertised_claims(&addresses), &frame[14..]), ours.contains(&claimed));
    }

    /// The sieve never keeps back what the reader would take.
    #[test]
    fn what_is_kept_back_is_no_claim_to_ours(packet in prop::collection::vec(any::<u8>(), 0..90), ours in any::<[u8; 4]>()) {
        let address = IpAddr::from(ours);
        if !comes_through(&arp_claims(&[address]), &packet) {
            prop_assert!(arp_claim(&packet).is_none_or(|claim| claim.address != address));
        }
        let mut six = [0; 16];
        six[12..].copy_from_slice(&ours);
        let address = IpAddr::from(six);
        if !comes_through(&advertised_claims(&[address]), &packet) {
            prop_assert!(advertisement_claim(&packet, MAC).is_none_or(|claim| claim.address != address));
        }
    }
}
