//! What needs no rights: errors, agreement, and a look at this machine.

use super::*;

#[test]
fn agreement_is_given_where_it_is_asked_for() {
    assert!(Ok::<(), Error>(()).or_exists().unwrap());
    assert!(!Err(Error::Exists).or_exists().unwrap());
    assert!(matches!(Err(Error::NoSuchAddress).or_exists(), Err(Error::NoSuchAddress)));
    assert!(Ok::<(), Error>(()).or_absent().unwrap());
    assert!(!Err(Error::NoSuchAddress).or_absent().unwrap());
    assert!(!Err(Error::NoSuchLink).or_absent().unwrap());
    assert!(matches!(Err(Error::Exists).or_absent(), Err(Error::Exists)));
}

#[test]
fn refusals_are_told_apart() {
    let told = |errno| explain("add address", Refusal { errno, text: "ipv4: why".to_owned() }.into()).to_string();
    assert_eq!(told(Errno::EPERM), "not permitted: this needs root or CAP_NET_ADMIN");
    assert_eq!(told(Errno::ENODEV), "no such interface");
    assert_eq!(told(Errno::EADDRNOTAVAIL), "no such address");
    assert_eq!(told(Errno::EEXIST), "already exists");
    assert_eq!(told(Errno::EINVAL), "add address: EINVAL: Invalid argument: ipv4: why");
    let without_words = explain("add address", Refusal { errno: Errno::EINVAL, text: String::new() }.into());
    assert_eq!(without_words.to_string(), "add address: EINVAL: Invalid argument");
    assert_eq!(
        explain("add address", socket::Error::Timeout).to_string(),
        "add address: no answer from the kernel in time"
    );
}

#[test]
fn every_machine_has_a_loopback() {
    let mut route = Route::open().unwrap();
    let links = route.links().unwrap();
    let lo = links.iter().find(|link| link.loopback).unwrap();
    assert_eq!(lo.name, "lo");
    let addresses = route.addresses().unwrap();
    assert!(addresses.iter().all(|address| links.iter().any(|link| link.index == address.index)));
}

#[test]
fn a_quiet_monitor_has_nothing_and_does_not_wait() {
    let mut monitor = Monitor::open().unwrap();
    while monitor.next().unwrap().is_some() {}
}

#[test]
fn an_event_that_cannot_be_read_is_an_overrun() {
    // RTM_NEWADDR with half a header.
    let mut event = Request::new(20, 0);
    event.fixed(&[2, 24, 0, 0]);
    assert_eq!(changes(event.stamp(0)), [Change::Overrun]);
    // RTM_NEWROUTE is none of ours.
    assert!(changes(Request::new(24, 0).fixed(&[0; 12]).stamp(0)).is_empty());
}
