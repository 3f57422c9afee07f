//! Links, addresses and the events of both, with iproute2 looking on.

use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use common::netlink::Agreement as _;
use common::netlink::route::policy::{LocalRoute, Rule};
use common::netlink::route::{Address, Change, Error, Link, Monitor, Neighbour, Route};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{namespace, run};

fn link(route: &mut Route, name: &str) -> Link {
    route.links().unwrap().into_iter().find(|link| link.name == name).unwrap()
}

fn vip(index: u32) -> Address {
    Address {
        index,
        address: "192.0.2.80".parse().unwrap(),
        prefix: 24,
        broadcast: Some(Ipv4Addr::new(192, 0, 2, 255)),
        label: Some("d0:1".to_owned()),
        scope: 0,
        nodad: false,
        deprecated: false,
        valid: None,
    }
}

fn vip6(index: u32) -> Address {
    Address {
        index,
        address: "2001:db8::80".parse().unwrap(),
        prefix: 64,
        broadcast: None,
        label: None,
        scope: 0,
        nodad: true,
        deprecated: false,
        valid: None,
    }
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn links_are_what_ip_shows() {
    let _guard = namespace();
    run("ip", "link add d1 address 02:00:00:00:00:07 mtu 1400 type dummy");
    run("ip", "tunnel add t1 mode ipip local 192.0.2.2 remote 192.0.2.3");
    let mut route = Route::open().unwrap();
    let lo = link(&mut route, "lo");
    assert!(lo.loopback && lo.up && lo.running && lo.index == 1);
    let d0 = link(&mut route, "d0");
    assert!(d0.up && d0.running && d0.noarp && !d0.loopback && d0.mtu == 1500);
    let d1 = link(&mut route, "d1");
    assert!(!d1.up && !d1.running);
    assert_eq!((d1.mac, d1.mtu), (Some([2, 0, 0, 0, 0, 7]), 1400));
    // A tunnel's hardware address is an IPv4 address.
    assert_eq!(link(&mut route, "t1").mac, None);
    // Without a carrier: a cable whose other end is down.
    run("ip", "link add v0 type veth peer name v1");
    run("ip", "link set v0 up");
    let v0 = link(&mut route, "v0");
    assert!(v0.up && !v0.running);
    run("ip", "link set v1 up");
    assert!(link(&mut route, "v0").running);
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn an_address_comes_and_goes_exactly_as_asked() {
    let _guard = namespace();
    let mut route = Route::open().unwrap();
    let index = link(&mut route, "d0").index;
    let before = route.addresses().unwrap();
    let vip = vip(index);
    assert!(route.add_address(&vip).or_exists().unwrap());
    assert!(matches!(route.add_address(&vip), Err(Error::Exists)));
    assert!(route.addresses().unwrap().contains(&vip));
    let seen = run("ip", "-o -4 addr show dev d0");
    assert!(seen.contains("inet 192.0.2.80/24 brd 192.0.2.255 scope global secondary d0:1"), "{seen}");

    // A neighbour of it under the same label stays.
    run("ip", "addr add 192.0.2.81/24 dev d0 label d0:1");
    route.delete_address(&vip).unwrap();
    assert!(matches!(route.delete_address(&vip), Err(Error::NoSuchAddress)));
    assert!(!route.delete_address(&vip).or_absent().unwrap());
    run("ip", "addr del 192.0.2.81/24 dev d0");
    assert_eq!(route.addresses().unwrap(), before);

    // A host address without broadcast and label gets the interface's name.
    let host = Address { prefix: 32, broadcast: None, label: None, scope: 254, ..vip };
    route.add_address(&host).unwrap();
    let named = Address { label: Some("d0".to_owned()), ..host.clone() };
    assert!(route.addresses().unwrap().contains(&named));
    route.delete_address(&host).unwrap();
    assert_eq!(route.addresses().unwrap(), before);
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn an_ipv6_address_is_usable_at_once_without_duplicate_detection() {
    let _guard = namespace();
    run("ip", "link add v0 type veth peer name v1");
    run("ip", "link set v0 up");
    run("ip", "link set v1 up");
    let mut route = Route::open().unwrap();
    let vip = vip6(link(&mut route, "v0").index);
    route.add_address(&vip).unwrap();
    let seen = run("ip", "-o -6 addr show dev v0 to 2001:db8::80");
    assert!(seen.contains("2001:db8::80/64 scope global nodad") && !seen.contains("tentative"), "{seen}");
    assert!(route.addresses().unwrap().contains(&vip));
    assert!(!route.add_address(&vip).or_exists().unwrap());
    route.delete_address(&vip).unwrap();
    assert!(!route.delete_address(&vip).or_absent().unwrap());
    // One that is not preferred is never a source, however well it matches.
    let host = Address { prefix: 128, deprecated: true, ..vip.clone() };
    route.add_address(&host).unwrap();
    assert!(route.addresses().unwrap().contains(&host));
    let seen = run("ip", "-o -6 addr show dev v0 to 2001:db8::80");
    assert!(seen.contains("2001:db8::80/128 scope global nodad deprecated"), "{seen}");
    route.delete_address(&host).unwrap();
    // With detection it is tentative first.
    route.add_address(&Address { nodad: false, ..vip }).unwrap();
    assert!(run("ip", "-o -6 addr show dev v0 to 2001:db8::80").contains("tentative"));
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn refusals_are_told_apart_and_carry_the_kernels_words() {
    let _guard = namespace();
    let mut route = Route::open().unwrap();
    let index = link(&mut route, "d0").index;
    assert!(matches!(route.add_address(&vip(9999)), Err(Error::NoSuchLink)));
    assert!(matches!(route.add_address(&vip6(9999)), Err(Error::NoSuchLink)));
    assert!(!route.delete_address(&vip(9999)).or_absent().unwrap());
    let long = Address { label: Some("d0:a-label-that-is-too-long".to_owned()), ..vip(index) };
    let refused = route.add_address(&long).unwrap_err().to_string();
    assert!(refused.starts_with("add address: ERANGE"), "{refused}");
    assert!(refused.to_lowercase().contains("attribute"), "{refused}");
    std::fs::write("/proc/sys/net/ipv6/conf/d0/disable_ipv6", "1").unwrap();
    assert!(matches!(route.add_address(&vip6(index)), Err(Error::NoIpv6)));
}

/// Waits until the monitor has told everything that is in `wanted`, in that order
/// among other things, and gives all it told.
fn told(monitor: &mut Monitor, wanted: &[Change]) -> Vec<Change> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut all = Vec::new();
    let mut missing = wanted.iter().peekable();
    while missing.peek().is_some() {
        while let Some(change) = monitor.next().unwrap() {
            if missing.peek() == Some(&&change) {
                missing.next();
            }
            all.push(change);
        }
        if missing.peek().is_some() {
            assert!(Instant::now() < deadline, "{:?} was not told, but {all:#?}", missing.peek());
            let timeout = PollTimeout::try_from(1000).unwrap();
            let _ = poll(&mut [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)], timeout);
        }
    }
    all
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn a_monitor_hears_of_addresses_and_links() {
    let _guard = namespace();
    let mut monitor = Monitor::open().unwrap();
    let mut route = Route::open().unwrap();
    assert_eq!(monitor.next().unwrap(), None);
    let d0 = link(&mut route, "d0");
    let (vip, vip6) = (vip(d0.index), vip6(d0.index));
    route.add_address(&vip).unwrap();
    route.add_address(&vip6).unwrap();
    run("ip", "addr del 192.0.2.80/24 dev d0");
    route.delete_address(&vip6).unwrap();
    told(
        &mut monitor,
        &[
            Change::AddressAdded(vip.clone()),
            Change::AddressAdded(vip6.clone()),
            Change::AddressGone(vip),
            Change::AddressGone(vip6),
        ],
    );
    run("ip", "link set d0 down");
    run("ip", "link set d0 up");
    run("ip", "link del d0");
    told(
        &mut monitor,
        &[
            Change::Link(Link { up: false, running: false, ..d0.clone() }),
            Change::Link(d0.clone()),
            Change::LinkGone(d0.index),
        ],
    );
}

#[test]
#[ignore = "needs root and a bridge: run by the lab"]
fn leaving_a_bridge_is_not_being_gone() {
    let _guard = namespace();
    run("ip", "link add br0 type bridge");
    run("ip", "link set d0 master br0");
    let mut route = Route::open().unwrap();
    let br0 = link(&mut route, "br0").index;
    let mut monitor = Monitor::open().unwrap();
    run("ip", "link set d0 nomaster");
    run("ip", "link del br0");
    let all = told(&mut monitor, &[Change::LinkGone(br0)]);
    let gone: Vec<_> = all.iter().filter(|change| matches!(change, Change::LinkGone(_))).collect();
    assert_eq!(gone, [&Change::LinkGone(br0)], "{all:#?}");
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn a_monitor_that_is_not_read_says_that_it_missed_something() {
    let _guard = namespace();
    let mut monitor = Monitor::open().unwrap();
    let mut route = Route::open().unwrap();
    let vip = vip(link(&mut route, "d0").index);
    for _ in 0..2000 {
        route.add_address(&vip).unwrap();
        route.delete_address(&vip).unwrap();
    }
    told(&mut monitor, &[Change::Overrun]);
    // And goes on listening.
    while monitor.next().unwrap().is_some() {}
    route.add_address(&vip).unwrap();
    told(&mut monitor, &[Change::AddressAdded(vip)]);
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn a_dump_of_many_addresses_is_whole() {
    let _guard = namespace();
    let mut route = Route::open().unwrap();
    let before = route.addresses().unwrap().len();
    let index = link(&mut route, "d0").index;
    for n in 0..500_u32 {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + n).into();
        route.add_address(&Address { address, prefix: 32, broadcast: None, label: None, ..vip(index) }).unwrap();
    }
    assert_eq!(route.addresses().unwrap().len(), before + 500);
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn an_address_on_loan_goes_by_itself_and_stays_as_long_as_it_is_renewed() {
    let _guard = namespace();
    let mut route = Route::open().unwrap();
    let index = link(&mut route, "d0").index;
    let vip6 = Address { prefix: 128, deprecated: true, ..vip6(index) };
    let both = [vip(index), vip6];
    let here = |route: &mut Route| {
        let all = route.addresses().unwrap();
        both.each_ref().map(|one| all.iter().find(|it| it.address == one.address).map(|it| it.valid))
    };
    for vip in &both {
        route.add_address(&Address { valid: Some(1), ..vip.clone() }).unwrap();
    }
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(here(&mut route), [Some(Some(1)), Some(Some(1))], "on loan, and renewed in time");
        for vip in &both {
            route.renew_address(&Address { valid: Some(1), ..vip.clone() }).unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // For ever, and on loan again.
    for vip in &both {
        route.renew_address(vip).unwrap();
    }
    assert_eq!(here(&mut route), [Some(None), Some(None)]);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(here(&mut route), [Some(None), Some(None)]);
    let shown = run("ip", "-o -4 addr show dev d0");
    assert!(shown.contains("scope global secondary d0:1") && shown.contains("valid_lft forever"), "{shown}");
    let since = Instant::now();
    for vip in &both {
        route.renew_address(&Address { valid: Some(1), ..vip.clone() }).unwrap();
    }
    while here(&mut route) != [None, None] {
        assert!(since.elapsed() < Duration::from_secs(10), "it stays");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(since.elapsed() > Duration::from_millis(900), "sooner than asked: {:?}", since.elapsed());
}

#[test]
#[ignore = "needs root and a veth pair: run by the lab"]
fn neighbours_are_what_ip_shows() {
    let _guard = namespace();
    run("ip", "link add v0 type veth peer name v1");
    run("ip", "link set v0 up");
    let mut route = Route::open().unwrap();
    let index = link(&mut route, "v0").index;
    run("ip", "neigh add 192.0.2.7 lladdr 02:00:00:00:00:09 dev v0 nud stale");
    run("ip", "neigh add 2001:db8::7 lladdr 02:00:00:00:00:09 dev v0 nud permanent");
    let mut neighbours = route.neighbours().unwrap();
    neighbours.retain(|one| one.index == index);
    neighbours.sort_by_key(|one| one.address);
    let mac = [2, 0, 0, 0, 0, 9];
    let known = |address: &str| Neighbour { index, address: address.parse().unwrap(), mac };
    assert_eq!(neighbours, [known("192.0.2.7"), known("2001:db8::7")]);

    for address in ["192.0.2.7", "2001:db8::7"] {
        let address = address.parse().unwrap();
        route.forget_neighbour(index, address).unwrap();
        assert!(!route.forget_neighbour(index, address).or_absent().unwrap(), "it is forgotten");
    }
    neighbours = route.neighbours().unwrap();
    assert!(neighbours.iter().all(|one| one.index != index), "{neighbours:?}");
}

#[test]
#[ignore = "needs root and dummy interfaces: run by the lab"]
fn packets_of_a_rules_protocol_are_ours_and_nothing_else_is() {
    let _guard = namespace();
    let mut route = Route::open().unwrap();
    // What is not ours would go on to another host.
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        std::fs::write(format!("/proc/sys/net/{switch}"), "1").unwrap();
    }
    let before = route.rules().unwrap();
    assert!(before.iter().any(|rule| !rule.ipv6 && rule.table == 254 && rule.priority == 32766), "{before:?}");
    assert!(before.iter().any(|rule| rule.ipv6 && rule.table == 255), "{before:?}");
    for (ipv6, vip, client) in [(false, "192.0.2.80", "192.0.2.7"), (true, "2001:db8::80", "2001:db8::7")] {
        let rule = Rule { ipv6, priority: 539, table: 539, ip_protocol: Some(6), origin: Some(53) };
        assert!(route.add_rule(&rule).or_exists().unwrap());
        assert!(!route.add_rule(&rule).or_exists().unwrap());
        assert!(route.rules().unwrap().contains(&rule));
        let seen = run("ip", &format!("-{} rule", if ipv6 { 6 } else { 4 }));
        assert!(seen.contains("539:\tfrom all ipproto tcp lookup 539"), "{seen}");

        let index = link(&mut route, "lo").index;
        let local = LocalRoute { address: vip.parse().unwrap(), index, table: 539, origin: 53 };
        assert!(route.add_local(&local).or_exists().unwrap());
        assert!(!route.add_local(&local).or_exists().unwrap());
        let way = |of: &str| run("ip", &format!("route get {vip} from {client} iif d0 {of}"));
        assert!(way("ipproto tcp").starts_with("local "), "{}", way("ipproto tcp"));
        // Nor is ARP's question, which is of no protocol.
        for of in ["ipproto udp", ""] {
            assert!(!way(of).starts_with("local "), "{}", way(of));
        }

        route.delete_local(&local).unwrap();
        assert!(!route.delete_local(&local).or_absent().unwrap());
        route.delete_rule(&rule).unwrap();
        assert!(!route.delete_rule(&rule).or_absent().unwrap());
    }
    assert_eq!(route.rules().unwrap(), before);
}
