use super::*;
use crate::nanny_command::Manner;
use crate::wanted::tests::config;

fn wanted(servers: usize) -> Wanted {
    let mut text = "virtual web {\n active = 1\n address = 192.0.2.1 eth0:1\n".to_owned();
    for n in 0..servers {
        let (high, low) = (n / 250, n % 250 + 1);
        let _ = writeln!(text, " server s{n} {{\n address = 10.0.{high}.{low}\n active = 1\n weight = 5\n }}");
    }
    Wanted::new(&config(&(text + "}\n")), "/opt/nanny".as_ref(), &Manner::default()).0
}

#[test]
fn each_server_has_a_line_that_says_how_it_is_and_why() {
    let mut wanted = wanted(6);
    let target = |n: usize| wanted.virtuals[0].monitors[n].target;
    let mut orders =
        Orders::from([(target(1), Order::Weight(0)), (target(2), Order::Weight(9)), (target(5), Order::Disabled)]);
    crate::orders::obey(&mut wanted, &mut orders);
    let known = |monitor: &Monitor| match monitor.server.as_str() {
        "s0" => Known { verdict: Some((true, 5)), since: Some(Duration::from_secs(3725)), why: None },
        "s1" => Known { verdict: Some((true, 0)), since: None, why: None },
        "s2" => Known {
            verdict: Some((false, 0)),
            since: Some(Duration::from_secs(59)),
            why: Some("connecting to 10.0.0.3:80\nrefused".to_owned()),
        },
        "s3" => Known { verdict: Some((false, 5)), since: Some(Duration::from_secs(200_000)), why: None },
        _ => Known::default(),
    };
    let (text, next) = part(&wanted, &orders, &BTreeSet::new(), known, 0);
    let lines = [
        "web tcp 192.0.2.1:80: 2 of 6 real servers in use",
        "  web/s0 10.0.0.1:80: up, weight 5 for 1h 2m",
        "  web/s1 10.0.0.2:80: up, weight 0, drained by the operator",
        "  web/s2 10.0.0.3:80: down for 59s, weight 9 by the operator, 5 in the file",
        "    the last check that failed:",
        "      connecting to 10.0.0.3:80",
        "      refused",
        "  web/s3 10.0.0.4:80: down, kept in use with weight 5 for 2d 7h",
        "  web/s4 10.0.0.5:80: not judged",
        "  web/s5 10.0.0.6:80: disabled by the operator",
    ];
    assert_eq!((text, next), (lines.join("\n") + "\n", None));
    let withdrawn = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
    let (text, _) = part(&wanted, &orders, &withdrawn, known, 0);
    assert_eq!(text.lines().next(), Some("web tcp 192.0.2.1:80: 2 of 6 real servers in use, virtual IP withdrawn"));
}

#[test]
fn long_answers_come_in_parts_that_fit_into_a_packet() {
    let wanted = wanted(1000);
    let (mut text, mut from, mut parts) = (String::new(), Some(0), 0);
    while let Some(at) = from {
        let (more, next) = part(&wanted, &Orders::default(), &BTreeSet::new(), |_| Known::default(), at);
        assert!(more.len() < common::channel::PACKET_MAX);
        text += &more;
        from = next;
        parts += 1;
    }
    assert_eq!(text.lines().count(), 1001);
    assert!(parts > 3);
}
