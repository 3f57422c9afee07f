use common::netlink::route::{Address, Link};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: u32, up: bool, running: bool) -> Link {
    let name = format!("eth{index}");
    Link { index, name, mac: None, up, running, loopback: false, noarp: false, mtu: 1500, carrier_changes: 0 }
}

fn on(index: u32, address: &str) -> Address {
    Address {
        index,
        address: ip(address),
        prefix: 24,
        broadcast: None,
        label: None,
        scope: 0,
        nodad: false,
        deprecated: false,
        valid: None,
    }
}

fn watching(addresses: &[&str]) -> Links {
    let mut links = Links::default();
    links.watch(&addresses.iter().map(|text| ip(text)).collect::<Vec<_>>());
    links
}

/// piranha.md 2.6, and its defect: the flags are those of the interface itself.
#[test]
fn a_link_is_down_without_carrier_and_when_it_is_switched_off() {
    let mut links = watching(&["10.0.0.1", "10.1.0.1"]);
    let addresses = vec![on(2, "10.0.0.1"), on(3, "10.1.0.1")];
    let mut see = |links_now: Vec<Link>| links.look(&Host { links: links_now, addresses: addresses.clone() });
    assert_eq!(see(vec![link(2, true, true), link(3, true, true)]), []);
    assert_eq!(see(vec![link(2, true, false), link(3, true, true)]), [(0, false)]);
    assert_eq!(see(vec![link(2, true, false), link(3, true, true)]), [], "said once");
    assert_eq!(see(vec![link(2, true, true), link(3, false, false)]), [(0, true), (1, false)]);
    // lo is down: nobody's business
    assert_eq!(see(vec![link(1, false, false), link(2, true, true), link(3, true, true)]), [(1, true)]);
}

#[test]
fn what_was_never_found_is_up() {
    let mut links = watching(&["10.0.0.1"]);
    assert_eq!(links.look(&Host::default()), []);
    assert_eq!(links.look(&Host { links: vec![link(2, false, false)], addresses: vec![] }), []);
}

#[test]
fn what_was_found_and_is_gone_is_down() {
    let mut links = watching(&["2001:db8::1"]);
    let there = Host { links: vec![link(2, true, true)], addresses: vec![on(2, "2001:db8::1")] };
    assert_eq!(links.look(&there), []);
    let off = Host { links: vec![link(2, false, false)], addresses: vec![] };
    assert_eq!(links.look(&off), [(0, false)], "its address went with it");
    assert_eq!(links.look(&Host::default()), [], "pulled");
    // another card takes its place
    let other = Host { links: vec![link(7, true, true)], addresses: vec![on(7, "2001:db8::1")] };
    assert_eq!(links.look(&other), [(0, true)]);
    // the address was taken away by hand, the cable is in
    assert_eq!(links.look(&Host { addresses: vec![], ..other }), []);
}

#[test]
fn a_reload_forgets_what_it_does_not_name_and_nothing_else() {
    let mut links = watching(&["10.0.0.1", "10.1.0.1"]);
    let down = Host {
        links: vec![link(2, true, false), link(3, true, false)],
        addresses: vec![on(2, "10.0.0.1"), on(3, "10.1.0.1")],
    };
    assert_eq!(links.look(&down), [(0, false), (1, false)]);
    links.watch(&[ip("10.1.0.1"), ip("10.2.0.1")]);
    assert_eq!(links.look(&down), [], "down as before, and one that is not found");
    links.watch(&[]);
    assert_eq!(links.look(&down), []);
}
