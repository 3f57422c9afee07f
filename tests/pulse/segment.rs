//! What pulse hears from a network and asks of it, against a real kernel: the
//! packet filters, links of several kinds, witnesses.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::log::Log;
use nix::net::if_::if_nametoindex;
use pulse::arp::{self, Claim, Form, Mac};
use pulse::fenced::packet_socket::PacketSocket;
use pulse::hands::echoes::Echoes;
use pulse::hands::segment::Segment;

use crate::ground::{inside, wait_until};

const FOREIGN: Mac = [2, 0, 0, 0, 0, 0x66];
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

fn registry() -> mio::Registry {
    // nobody waits; what came is asked for
    mio::Poll::new().unwrap().registry().try_clone().unwrap()
}

fn listening(addresses: &[IpAddr]) -> Segment {
    let mut segment = Segment::default();
    segment.listen(addresses.to_vec(), &registry()).unwrap();
    segment
}

/// What is heard until all of these were, each as often as it stands here.
fn heard(segment: &Segment, until: &[Claim]) -> Vec<(u32, Claim)> {
    let mut claims = VecDeque::new();
    wait_until("all claims", || {
        segment.receive(&mut claims);
        let count = |wanted: &Claim| until.iter().filter(|claim| *claim == wanted).count();
        until.iter().all(|wanted| claims.iter().filter(|(_, claim)| claim == wanted).count() >= count(wanted))
    });
    claims.into()
}

#[test]
fn only_foreign_claims_to_the_given_addresses_are_heard() {
    inside("segment::only_foreign_claims_to_the_given_addresses_are_heard", |ground| {
        let index = if_nametoindex("v0").unwrap();
        let mut segment = listening(&[VIP.into(), VIP6.into()]);
        let (ours, theirs) = (PacketSocket::open().unwrap(), PacketSocket::open().unwrap());
        let far_end = if_nametoindex("v1").unwrap();
        let say = |frame: &[u8]| theirs.send(far_end, frame).unwrap();
        // what we announce ourselves, what is about others, questions and probes
        ours.send(index, &arp::gratuitous(Form::Reply, ground.mac("v0"), VIP)).unwrap();
        ours.send(index, &arp::neighbour_advertisement(ground.mac("v0"), VIP6, false)).unwrap();
        say(&arp::gratuitous(Form::Reply, FOREIGN, [10, 0, 0, 8].into()));
        say(&arp::request(FOREIGN, [10, 0, 0, 66].into(), VIP));
        say(&arp::request(FOREIGN, Ipv4Addr::UNSPECIFIED, VIP));
        say(&arp::neighbour_advertisement(FOREIGN, "2001:db8::8".parse().unwrap(), false));
        say(&arp::neighbour_solicitation(FOREIGN, "2001:db8::66".parse().unwrap(), VIP6));
        // and the claims
        let (four, six) = (
            Claim { address: VIP.into(), mac: FOREIGN, is_announced: true },
            Claim { address: VIP6.into(), mac: FOREIGN, is_announced: true },
        );
        say(&arp::neighbour_advertisement(FOREIGN, VIP6, false));
        say(&arp::gratuitous(Form::Request, FOREIGN, VIP));
        say(&arp::gratuitous(Form::Reply, FOREIGN, VIP));
        let mut claims = heard(&segment, &[four, four, six]);
        claims.sort();
        // v1 is in this namespace, too, and hears ours
        claims.retain(|(link, _)| *link == index);
        assert_eq!(claims, [(index, four), (index, four), (index, six)]);

        // other addresses from now on, in the same sockets
        segment.listen(vec![IpAddr::from([10, 0, 0, 8])], &registry()).unwrap();
        say(&arp::gratuitous(Form::Reply, FOREIGN, VIP));
        say(&arp::neighbour_advertisement(FOREIGN, VIP6, false));
        say(&arp::gratuitous(Form::Reply, FOREIGN, [10, 0, 0, 8].into()));
        let other = Claim { address: [10, 0, 0, 8].into(), mac: FOREIGN, is_announced: true };
        assert_eq!(heard(&segment, &[other]), [(index, other)]);
    });
}

#[test]
fn hundreds_of_addresses_fit_into_the_kernels_filter() {
    inside("segment::hundreds_of_addresses_fit_into_the_kernels_filter", |_| {
        let four = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + n));
        let six = |n: u32| IpAddr::from(Ipv6Addr::from_bits((VIP6.to_bits() >> 32) << 32 | u128::from(n)));
        let theirs = PacketSocket::open().unwrap();
        for count in [1, 512, 4000] {
            let all: Vec<IpAddr> = (0..count).map(four).chain((0..count).map(six)).collect();
            let segment = listening(&all);
            let IpAddr::V4(last) = four(count - 1) else { unreachable!() };
            let IpAddr::V6(last6) = six(count - 1) else { unreachable!() };
            let far_end = if_nametoindex("v1").unwrap();
            theirs.send(far_end, &arp::gratuitous(Form::Reply, FOREIGN, last)).unwrap();
            theirs.send(far_end, &arp::neighbour_advertisement(FOREIGN, last6, false)).unwrap();
            let claims = [IpAddr::V4(last), IpAddr::V6(last6)].map(|address| Claim {
                address,
                mac: FOREIGN,
                is_announced: true,
            });
            heard(&segment, &claims);
        }
    });
}

/// A director's address is often on a bridge: frames arrive on its port.
#[test]
fn a_claim_that_comes_through_a_bridge_is_heard_on_the_bridge() {
    inside("segment::a_claim_that_comes_through_a_bridge_is_heard_on_the_bridge", |ground| {
        ground.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0");
        ground.ip("link set v0 master br0");
        ground.ip("link set br0 up");
        let bridge = if_nametoindex("br0").unwrap();
        let segment = listening(&[VIP.into(), VIP6.into()]);
        let theirs = PacketSocket::open().unwrap();
        let claims = [
            Claim { address: VIP.into(), mac: FOREIGN, is_announced: true },
            Claim { address: VIP6.into(), mac: FOREIGN, is_announced: true },
        ];
        let far_end = if_nametoindex("v1").unwrap();
        let mut all = VecDeque::new();
        wait_until("both claims", || {
            theirs.send(far_end, &arp::gratuitous(Form::Reply, FOREIGN, VIP)).unwrap();
            theirs.send(far_end, &arp::neighbour_advertisement(FOREIGN, VIP6, false)).unwrap();
            segment.receive(&mut all);
            claims.iter().all(|claim| all.contains(&(bridge, *claim)))
        });
        assert!(all.iter().all(|(index, _)| *index == bridge), "{all:?}");
    });
}

#[test]
fn a_witness_that_answers_an_echo_is_heard_and_one_that_is_not_there_is_not() {
    inside("segment::a_witness_that_answers_an_echo_is_heard_and_one_that_is_not_there_is_not", |ground| {
        ground.ip("addr add 2001:db8::1/64 dev v0 nodad");
        let there: [IpAddr; 3] = ["127.0.0.1", "::1", "2001:db8::1"].map(|text| text.parse().unwrap());
        let gone: [IpAddr; 3] = ["10.0.0.77", "192.0.2.1", "2001:db8::77"].map(|text| text.parse().unwrap());
        let log = Log::new(false);
        let mut echoes = Echoes::default();
        let all: Vec<IpAddr> = gone.iter().chain(&there).copied().collect();
        let mut heard = std::collections::BTreeSet::new();
        // no route to 192.0.2.1: that is a line, and keeps nobody from being asked
        wait_until("all that are there", || {
            echoes.ask(&all, &registry(), &log);
            heard.extend(echoes.receive());
            heard.len() >= there.len()
        });
        assert_eq!(heard, there.into());
        echoes.end();
        assert!(echoes.receive().is_empty());
    });
}
