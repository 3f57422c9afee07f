use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(list: &[&str]) -> BTreeSet<IpAddr> {
    list.iter().map(|text| ip(text)).collect()
}

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvs.cf");
    std::fs::write(&path, text).unwrap();
    common::config::load(&path).unwrap().config
}

fn entry(address: &str) -> Entry {
    Entry { address: ip(address), prefix: 24, device: "eth0".to_owned() }
}

const WEB: &str = "virtual web {\n active = 1\n address = 10.0.0.9 eth0:1\n sorry_server = 10.0.1.9\n \
                   server one {\n  active = 1\n  address = 10.0.1.1\n }\n}\n\
                   virtual mail {\n active = 1\n port = 25\n address = 10.0.0.9 eth0:1\n \
                   server two {\n  active = 1\n  address = 10.0.1.2\n }\n}\n";
const OTHER: &str = "virtual six {\n active = 1\n address = 2001:db8::9 eth0\n \
                     server one {\n  active = 1\n  address = 2001:db8:1::1\n }\n}\n\
                     virtual off {\n active = 0\n address = 10.0.0.7 eth0:2\n}\n";

#[test]
fn it_is_about_the_virtual_ips_that_run_and_whoever_serves_them() {
    let router = "network = nat\nnat_router = 10.0.1.254 eth1:1\n";
    let all = served(&config(&format!("{router}{WEB}{OTHER}")));
    let web = Served { vip: ip("10.0.0.9"), by: ips(&["10.0.1.1", "10.0.1.2", "10.0.1.9"]) };
    let six = Served { vip: ip("2001:db8::9"), by: ips(&["2001:db8:1::1"]) };
    assert_eq!(all, [web, six]);
    let fos = "service = fos\nfailover web {\n active = 1\n address = 10.0.0.9 eth0:1\n start_cmd = /bin/true\n \
               stop_cmd = /bin/true\n}\n";
    assert_eq!(served(&config(fos)), []);
}

#[test]
fn only_what_we_added_and_others_serve_is_lingered_for() {
    let all = served(&config(&format!("{WEB}{OTHER}")));
    let added: BTreeSet<Entry> = [entry("10.0.0.9"), entry("2001:db8::9"), entry("10.0.1.254")].into();
    let both = ips(&["10.0.0.9", "2001:db8::9"]);
    assert_eq!(late(&all, &added, &ips(&["10.0.0.2"])), both);
    assert_eq!(late(&all, &[entry("10.0.0.9")].into(), &BTreeSet::new()), ips(&["10.0.0.9"]));
    assert_eq!(late(&all, &BTreeSet::new(), &BTreeSet::new()), BTreeSet::new());
    // A real server, and a sorry server, that is this host.
    for here in ["10.0.1.2", "10.0.1.9"] {
        assert_eq!(late(&all, &added, &ips(&[here])), ips(&["2001:db8::9"]));
    }
    let local = served(&config(&WEB.replace("10.0.1.1", "127.0.0.1")));
    assert_eq!(late(&local, &added, &BTreeSet::new()), BTreeSet::new());
}

#[test]
fn whoever_cannot_serve_does_not_linger() {
    use Deactivation::{PartnerActive, PartnerAnnounces, PartnerDeaf, Relocated, Stopped, Unfit, Wanted};
    for why in [PartnerActive, PartnerDeaf, PartnerAnnounces, Wanted, Relocated, Stopped, Unfit(Reason::Released)] {
        assert!(is_in_order(why), "{why:?}");
    }
    for reason in [Reason::Link, Reason::Lvsd, Reason::Check, Reason::Other(9)] {
        assert!(!is_in_order(Unfit(reason)), "{reason:?}");
    }
}

#[test]
fn there_is_a_rule_for_each_protocol_and_family_and_none_for_every_packet() {
    let protocols = |vips: &[&str]| -> Vec<(bool, Option<u8>)> {
        rules(&ips(vips)).iter().map(|rule| (rule.ipv6, rule.ip_protocol)).collect()
    };
    let (four, six) = ([6, 17, 132].map(|it| (false, Some(it))), [6, 17, 132].map(|it| (true, Some(it))));
    assert_eq!(protocols(&["10.0.0.9", "10.0.0.8"]), four);
    assert_eq!(protocols(&["2001:db8::9"]), six);
    assert_eq!(protocols(&["10.0.0.9", "2001:db8::9"]), [four, six].concat());
    assert_eq!(protocols(&[]), []);
    assert!(rules(&ips(&["10.0.0.9"])).iter().all(is_ours));
}

#[test]
fn a_kernel_that_makes_more_of_a_rule_than_we_asked_for_is_found_out() {
    let wanted = rules(&ips(&["10.0.0.9"]));
    let others = Rule { ipv6: false, priority: 32766, table: 254, ip_protocol: None, origin: Some(2) };
    assert!(are_kept(&wanted, &[&[others.clone()][..], &wanted].concat()));
    assert!(!are_kept(&wanted, std::slice::from_ref(&others)), "they are not there");
    assert!(!are_kept(&wanted, &wanted[1..]));
    // Linux before 4.17.
    let old: Vec<Rule> = wanted.iter().map(|rule| Rule { ip_protocol: None, origin: None, ..rule.clone() }).collect();
    assert!(!are_kept(&wanted, &old));
    assert!(old.iter().all(is_ours), "and to be deleted");
    let left: Vec<Rule> = [&wanted[..], &old[..1]].concat();
    assert!(!are_kept(&wanted, &left), "one of another start");
    // Somebody else's under our numbers.
    assert!(!is_ours(&Rule { origin: Some(3), ..wanted[0].clone() }));
    assert!(!is_ours(&Rule { table: 540, ..wanted[0].clone() }));
    assert!(!is_ours(&Rule { priority: 540, ..wanted[0].clone() }));
}

#[test]
fn it_lasts_longer_than_the_second_announcement_needs() {
    assert!(LINGER > crate::announce::APART + Duration::from_millis(100));
}
