use common::netlink::route::{Address, Link};
use proptest::prelude::*;

use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 7];

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn plan(witnesses: &[&str], timeout: u64, vip_probe: u64) -> Plan {
    let witnesses = witnesses.iter().map(|text| ip(text)).collect();
    Plan { witnesses, timeout: ms(timeout), vip_probe: ms(vip_probe) }
}

impl Inquiry {
    fn turn(&mut self, now: Instant) -> (Questions, Option<Answer>) {
        (self.ask(now), self.answer(now))
    }
}

const NONE: Questions = Questions { witnesses: false, vips: false };

#[test]
fn nothing_to_ask_is_no_inquiry() {
    assert_eq!(plan(&[], 1000, 0).wait(), None);
    assert_eq!(plan(&["10.0.0.254"], 1000, 0).wait(), Some(ms(1000)));
    assert_eq!(plan(&[], 1000, 300).wait(), Some(ms(300)));
    assert_eq!(plan(&["10.0.0.254"], 1000, 3000).wait(), Some(ms(3000)));
}

#[test]
fn one_witness_that_answers_is_enough() {
    let now = Instant::now();
    let mut inquiry = Inquiry::begin(&plan(&["10.0.0.254", "10.0.0.253"], 900, 0), false, now);
    let ask = Questions { witnesses: true, vips: false };
    assert_eq!(inquiry.turn(now), (ask, None));
    assert_eq!((inquiry.turn(now), inquiry.deadline()), ((NONE, None), now + ms(300)));
    inquiry.heard(ip("10.0.0.77"));
    assert_eq!(inquiry.turn(now + ms(300)), (ask, None), "that was no witness");
    inquiry.heard(ip("10.0.0.253"));
    assert_eq!(inquiry.turn(now + ms(301)), (NONE, Some(Answer::Heard)));
}

#[test]
fn silence_is_an_answer_after_three_questions() {
    let now = Instant::now();
    let mut inquiry = Inquiry::begin(&plan(&["10.0.0.254"], 900, 0), false, now);
    let mut at = now;
    let mut asked = Vec::new();
    let answer = loop {
        let (questions, answer) = inquiry.turn(at);
        asked.extend(questions.witnesses.then_some(at - now));
        if let Some(answer) = answer {
            break answer;
        }
        at = inquiry.deadline();
    };
    assert_eq!((answer, at - now), (Answer::Silent, ms(900)));
    assert_eq!(asked, [ms(0), ms(300), ms(600)]);
}

#[test]
fn a_claim_to_a_virtual_ip_ends_it_at_once_if_it_was_asked_for() {
    let now = Instant::now();
    let mut inquiry = Inquiry::begin(&plan(&["10.0.0.254"], 900, 300), false, now);
    assert_eq!(inquiry.turn(now).0, Questions { witnesses: true, vips: true });
    inquiry.heard(ip("10.0.0.254"));
    assert_eq!(
        (inquiry.turn(now + ms(1)), inquiry.deadline()),
        ((NONE, None), now + ms(300)),
        "the claims take longer"
    );
    inquiry.claimed(MAC, false);
    assert_eq!(inquiry.turn(now + ms(2)), (NONE, Some(Answer::VipHeld { mac: MAC })));

    let mut inquiry = Inquiry::begin(&plan(&["10.0.0.254"], 900, 0), false, now);
    inquiry.claimed(MAC, false);
    assert_eq!(inquiry.turn(now).1, None, "nobody asked");
}

#[test]
fn without_witnesses_the_probe_alone_decides() {
    let now = Instant::now();
    let mut inquiry = Inquiry::begin(&plan(&[], 900, 300), false, now);
    assert_eq!(inquiry.turn(now), (Questions { witnesses: false, vips: true }, None));
    assert_eq!(inquiry.turn(now + ms(299)).1, None);
    assert_eq!(inquiry.turn(now + ms(300)), (NONE, Some(Answer::Heard)));
}

#[test]
fn who_looks_for_its_partner_goes_by_the_partners_answers_alone() {
    let now = Instant::now();
    let nothing_else = plan(&[], 900, 0);
    let mut inquiry = Inquiry::begin(&nothing_else, true, now);
    assert_eq!(inquiry.turn(now), (Questions { witnesses: false, vips: true }, None));
    inquiry.claimed(MAC, false);
    assert_eq!(inquiry.turn(now + ms(1)), (NONE, None), "a real server without arp_ignore");
    inquiry.claimed(MAC, true);
    assert_eq!(inquiry.turn(now + ms(2)).1, Some(Answer::VipHeld { mac: MAC }));
    let inquiry = Inquiry::begin(&nothing_else, true, now);
    assert_eq!(inquiry.answer(now + PARTNER_WITHIN), Some(Answer::Heard));
}

fn host() -> Host {
    let link = |index, name: &str, mac| Link {
        index,
        name: name.to_owned(),
        mac,
        up: true,
        running: true,
        loopback: name == "lo",
        noarp: false,
        mtu: 1500,
        carrier_changes: 0,
    };
    let on = |index, address: &str, prefix| Address {
        index,
        address: ip(address),
        prefix,
        broadcast: None,
        label: None,
        scope: 0,
        nodad: false,
        deprecated: false,
        valid: None,
    };
    let links = vec![link(1, "lo", Some([0; 6])), link(2, "eth0", Some(MAC)), link(3, "tun0", None)];
    let addresses = vec![
        on(1, "127.0.0.1", 8),
        on(2, "10.0.0.9", 24),
        on(2, "10.0.0.1", 24),
        on(3, "10.9.0.1", 24),
        on(2, "2001:db8::1", 64),
    ];
    Host { links, addresses }
}

#[test]
fn a_neighbour_is_asked_from_our_own_address_in_its_network() {
    let (host, vips) = (host(), [ip("10.0.0.9")]);
    let from = |text: &str| Some(Onlink { index: 2, mac: MAC, from: ip(text) });
    assert_eq!(onlink(ip("10.0.0.254"), &host, &vips), from("10.0.0.1"));
    assert_eq!(onlink(ip("2001:db8::fe"), &host, &vips), from("2001:db8::1"));
    for elsewhere in ["192.0.2.1", "127.0.0.2", "10.9.0.2", "10.0.0.1", "2001:db9::1"] {
        assert_eq!(onlink(ip(elsewhere), &host, &vips), None, "{elsewhere}");
    }
    let mut pulled = host;
    pulled.links[1].running = false;
    assert_eq!(onlink(ip("10.0.0.254"), &pulled, &vips), None);
}

proptest! {
    #[test]
    fn it_always_ends_in_time_and_asks_at_most_three_times(
        witnesses in 0_usize..3,
        timeout in 1_u64..3000,
        vip_probe in 0_u64..3000,
        is_eclipsed in any::<bool>(),
        by_partner in any::<bool>(),
        events in prop::collection::vec((0_u64..500, 0_u8..4), 0..20),
    ) {
        let all = ["10.0.0.254", "10.0.0.253", "2001:db8::1"];
        let plan = plan(&all[..witnesses], timeout, vip_probe);
        prop_assume!(plan.wait().is_some() || is_eclipsed);
        let within = plan.wait().unwrap_or_default().max(if is_eclipsed { PARTNER_WITHIN } else { Duration::ZERO });
        let start = Instant::now();
        let mut inquiry = Inquiry::begin(&plan, is_eclipsed, start);
        let (mut now, mut asked, mut events) = (start, 0, events.into_iter());
        let mut heard = false;
        let answer = loop {
            let (questions, answer) = inquiry.turn(now);
            asked += u32::from(questions.witnesses || questions.vips);
            if let Some(answer) = answer {
                break answer;
            }
            prop_assert!(now <= start + within);
            match events.next() {
                Some((_, 0)) => {
                    inquiry.heard(ip("10.0.0.254"));
                    heard |= witnesses > 0;
                }
                Some((_, 1)) => inquiry.claimed(MAC, by_partner),
                Some((after, _)) => now = (now + ms(after)).min(inquiry.deadline().max(now)),
                None => now = inquiry.deadline().max(now + ms(1)),
            }
        };
        prop_assert!(asked <= TRIES && now <= start + within + ms(1));
        match answer {
            Answer::Heard => prop_assert!(heard || witnesses == 0),
            Answer::Silent => prop_assert!(!heard && witnesses > 0),
            Answer::VipHeld { .. } => prop_assert!(vip_probe > 0 || (is_eclipsed && by_partner)),
        }
    }
}
