//! What the fake has beyond the kernel: failures on demand, a memory of calls,
//! connections without traffic. That it follows the kernel's rules is tested in
//! tests/kernel, by the same test that asks the kernel.

use super::*;
use crate::ipvs::{Agreement as _, Protocol};

fn key(port: u16) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port }
}

fn at() -> DestinationKey {
    DestinationKey { address: "198.51.100.7".parse().unwrap(), port: 80 }
}

#[test]
fn clones_share_one_table() {
    let fake = Fake::default();
    fake.clone().add_service(&Service::new(key(80), "rr")).unwrap();
    assert_eq!(fake.clone().services().unwrap().len(), 1);
    assert_eq!(Fake::default().services().unwrap().len(), 0);
}

#[test]
fn a_failure_is_for_one_call_of_its_verb_and_changes_nothing() {
    let fake = Fake::default();
    let mut ipvs = fake.clone();
    fake.fail(Operation::AddService, Error::Timeout("add service"));
    fake.fail(Operation::AddService, Error::Permission);
    assert_eq!(ipvs.services().unwrap(), []);
    assert!(matches!(ipvs.add_service(&Service::new(key(80), "rr")), Err(Error::Timeout(_))));
    assert!(matches!(ipvs.add_service(&Service::new(key(80), "rr")), Err(Error::Permission)));
    assert_eq!(ipvs.services().unwrap(), []);
    ipvs.add_service(&Service::new(key(80), "rr")).unwrap();
    assert_eq!(ipvs.services().unwrap().len(), 1);
}

#[test]
fn calls_are_remembered_in_order_with_what_they_were_about() {
    let fake = Fake::default();
    let mut ipvs = fake.clone();
    let destination = Destination::new(at(), ForwardingMethod::Masquerade, 1);
    ipvs.add_service(&Service::new(key(80), "rr")).unwrap();
    ipvs.add_destination(&key(80), &destination).unwrap();
    ipvs.delete_destination(&key(81), &at()).or_absent().unwrap();
    let calls = fake.calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation).collect();
    assert_eq!(operations, [Operation::AddService, Operation::AddDestination, Operation::DeleteDestination]);
    assert_eq!((calls[2].service, calls[2].destination), (Some(key(81)), Some(at())));
    assert_eq!(fake.count(Operation::AddDestination), 1);
    fake.forget_calls();
    assert_eq!(fake.count(Operation::AddDestination), 0);
}

#[test]
fn connections_are_there_when_a_test_says_so_and_survive_an_edit() {
    let fake = Fake::default();
    let mut ipvs = fake.clone();
    let destination = Destination::new(at(), ForwardingMethod::Masquerade, 1);
    assert!(!fake.set_connections(&key(80), &at(), 3, 4));
    ipvs.add_service(&Service::new(key(80), "rr")).unwrap();
    ipvs.add_destination(&key(80), &destination).unwrap();
    assert!(fake.set_connections(&key(80), &at(), 3, 4));
    ipvs.edit_destination(&key(80), &Destination { weight: 0, ..destination }).unwrap();
    let entry = ipvs.destination(&key(80), &at()).unwrap().unwrap();
    assert_eq!((entry.active, entry.inactive, entry.destination.weight), (3, 4, 0));
}
