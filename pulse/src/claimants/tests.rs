use proptest::prelude::*;

use super::*;

fn vip(n: u8) -> IpAddr {
    [10, 0, 0, n].into()
}

fn mac(n: u8) -> Mac {
    [2, 0, 0, 0, 0, n]
}

fn claim(vip_n: u8, mac_n: u8) -> Claim {
    Claim { address: vip(vip_n), mac: mac(mac_n), is_announced: true }
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_claimant_is_said_at_once_and_then_once_a_minute_while_it_goes_on() {
    let (mut claimants, now) = (Claimants::default(), Instant::now());
    assert!(claimants.heard(claim(9, 1), now));
    let report = Report { mac: mac(1), vip: vip(9), others: 0, again: false };
    assert_eq!(claimants.turn(now), [report]);
    assert_eq!((claimants.turn(now), claimants.deadline()), (vec![], None));
    for n in 1..59 {
        claimants.heard(claim(9, 1), now + s(n));
        assert_eq!(claimants.turn(now + s(n)), []);
    }
    assert_eq!(claimants.deadline(), Some(now + REPEAT));
    assert_eq!(claimants.turn(now + s(60)), [Report { again: true, ..report }]);
    assert_eq!((claimants.turn(now + s(300)), claimants.deadline()), (vec![], None), "it stopped");
}

#[test]
fn one_that_claims_everything_is_two_lines() {
    let (mut claimants, now) = (Claimants::default(), Instant::now());
    for n in 1..=200 {
        assert!(claimants.heard(claim(n, 1), now), "each is announced");
        let said = claimants.turn(now).len();
        assert_eq!(said, usize::from(n == 1));
    }
    assert_eq!(claimants.deadline(), Some(now + GATHER));
    assert_eq!(claimants.turn(now + GATHER), [Report { mac: mac(1), vip: vip(2), others: 198, again: false }]);
    claimants.heard(claim(201, 1), now + s(2));
    assert_eq!(claimants.deadline(), Some(now + GATHER + REPEAT));
}

#[test]
fn each_claimant_of_one_address_is_said() {
    let (mut claimants, now) = (Claimants::default(), Instant::now());
    claimants.heard(claim(9, 1), now);
    claimants.heard(claim(9, 2), now);
    let said: Vec<Mac> = claimants.turn(now).iter().map(|report| report.mac).collect();
    assert_eq!(said, [mac(1), mac(2)]);
}

#[test]
fn an_address_is_defended_once_a_second_and_every_address() {
    let (mut claimants, now) = (Claimants::default(), Instant::now());
    assert!(claimants.heard(claim(9, 1), now));
    assert!(!claimants.heard(claim(9, 2), now + s(1) / 2));
    assert!(claimants.heard(claim(8, 1), now + s(1) / 2));
    assert!(claimants.heard(claim(9, 1), now + s(1)));
}

#[test]
fn one_that_was_away_is_news_again() {
    let (mut claimants, now) = (Claimants::default(), Instant::now());
    claimants.heard(claim(9, 1), now);
    claimants.turn(now);
    claimants.heard(claim(9, 1), now + FORGET);
    assert!(!claimants.turn(now + FORGET)[0].again);
    claimants.clear();
    assert_eq!((claimants.turn(now + s(9999)), claimants.deadline()), (vec![], None));
}

#[test]
fn a_suspect_is_named_by_what_it_is_to_us() {
    let known = |n: u8, m: u8| Neighbour { index: 2, address: vip(n), mac: mac(m) };
    // the partner has a second address, a real server the virtual IP
    let neighbours = [known(7, 2), known(2, 2), known(9, 3), known(11, 3), known(77, 4), known(9, 5)];
    let who = |m| suspect(mac(m), &neighbours, &[vip(2)], &[vip(11), vip(12)], &[vip(9)]);
    assert_eq!(who(2), Suspect::Partner(vip(2)));
    assert_eq!(who(3), Suspect::RealServer(vip(11)));
    assert_eq!(who(4), Suspect::Host(vip(77)));
    assert_eq!(who(5), Suspect::Unknown, "the virtual IP is nobody's name");
    assert_eq!(who(6), Suspect::Unknown);
}

#[test]
fn every_virtual_ip_is_asked_for_once_a_minute() {
    for count in [1_u32, 32, 33, 200] {
        let held: BTreeSet<IpAddr> = (0..count).map(|n| std::net::Ipv4Addr::from_bits(n).into()).collect();
        let (mut rounds, start) = (Rounds::default(), Instant::now());
        let (mut now, mut asked) = (start, Vec::new());
        while now < start + ASK_EVERY {
            let vips = rounds.turn(&held, ASK_EVERY, now);
            assert!(vips.len() <= ASK_BURST && !vips.is_empty());
            asked.extend(vips);
            now = rounds.deadline().unwrap();
        }
        let distinct: BTreeSet<IpAddr> = asked.iter().copied().collect();
        assert_eq!((asked.len(), distinct), (count as usize, held), "{count}");
    }
    let mut rounds = Rounds::default();
    assert_eq!((rounds.turn(&BTreeSet::new(), ASK_EVERY, Instant::now()), rounds.deadline()), (vec![], None));
}

proptest! {
    /// However many claim, and whatever: bounded lines, bounded announcements, and
    /// everybody who fits in is said.
    #[test]
    fn a_flood_is_bounded(claims in prop::collection::vec((1_u8..6, any::<u8>(), 0_u64..400), 0..400)) {
        let (mut claimants, start) = (Claimants::default(), Instant::now());
        let (mut now, mut lines, mut announced) = (start, 0, 0);
        for (vip, mac, wait) in &claims {
            now += Duration::from_millis(*wait);
            announced += u64::from(claimants.heard(claim(*vip, *mac), now));
            lines += claimants.turn(now).len() as u64;
            prop_assert!(claimants.deadline().is_none_or(|due| due > now));
        }
        let seconds = (now - start).as_secs() + 1;
        prop_assert!(announced <= 5 * seconds);
        prop_assert!(lines <= CLAIMANTS_MAX as u64 * (2 + seconds / 60));
        let first = claims.first().map(|_| 1).unwrap_or_default();
        prop_assert!(lines >= first && announced >= first);
    }
}
