//! The rules of the table, asked of the kernel and of the fake with the same
//! words: whoever tests against the fake tests against these.

use std::time::Duration;

use common::ipvs::client::Client;
use common::ipvs::fake::{Fake, SCHEDULERS};
use common::ipvs::{
    Agreement as _, Destination, DestinationKey, Error, Family, ForwardingMethod, Ipvs, Protocol, Service,
    ServiceFlags, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel,
};
use nix::errno::Errno;

#[test]
fn the_fake_follows_the_rules_of_the_table() {
    all(&mut Fake::default());
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn the_kernel_follows_the_rules_of_the_table() {
    let _guard = crate::namespace();
    all(&mut Client::open().unwrap());
}

fn all(ipvs: &mut dyn Ipvs) {
    what_is_missing_is_named(ipvs);
    what_is_there_is_named(ipvs);
    a_port_is_kept_whatever_the_method(ipvs);
    a_service_goes_with_its_destinations(ipvs);
    services_are_judged(ipvs);
    destinations_are_judged(ipvs);
    services_keep_what_they_were_given(ipvs);
    timeouts_change_one_by_one(ipvs);
    synchronisation_daemons_come_and_go(ipvs);
    assert_eq!(ipvs.services().unwrap(), []);
}

pub(crate) fn tcp(address: &str, port: u16) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: address.parse().unwrap(), port }
}

pub(crate) fn at(address: &str, port: u16) -> DestinationKey {
    DestinationKey { address: address.parse().unwrap(), port }
}

fn server(address: &str, port: u16) -> Destination {
    Destination::new(at(address, port), ForwardingMethod::Masquerade, 1)
}

fn refusal(outcome: Result<(), Error>) -> Errno {
    match outcome {
        Err(Error::Refused { errno, .. }) => errno,
        other => panic!("no refusal: {other:?}"),
    }
}

fn what_is_missing_is_named(ipvs: &mut dyn Ipvs) {
    let key = tcp("192.0.2.1", 80);
    let server = server("198.51.100.7", 80);
    assert_eq!(ipvs.services().unwrap(), []);
    assert_eq!(ipvs.service(&key).unwrap(), None);
    assert!(matches!(ipvs.edit_service(&Service::new(key, "rr")), Err(Error::NoSuchService)));
    assert!(matches!(ipvs.delete_service(&key), Err(Error::NoSuchService)));
    assert!(matches!(ipvs.destinations(&key), Err(Error::NoSuchService)));
    assert!(matches!(ipvs.destination(&key, &server.key), Err(Error::NoSuchService)));
    assert!(matches!(ipvs.add_destination(&key, &server), Err(Error::NoSuchService)));
    assert!(matches!(ipvs.edit_destination(&key, &server), Err(Error::NoSuchService)));
    assert!(matches!(ipvs.delete_destination(&key, &server.key), Err(Error::NoSuchService)));
    assert!(!ipvs.delete_destination(&key, &server.key).or_absent().unwrap());

    ipvs.add_service(&Service::new(key, "rr")).unwrap();
    assert_eq!(ipvs.destinations(&key).unwrap(), []);
    assert_eq!(ipvs.destination(&key, &server.key).unwrap(), None);
    assert!(matches!(ipvs.edit_destination(&key, &server), Err(Error::NoSuchDestination)));
    assert!(matches!(ipvs.delete_destination(&key, &server.key), Err(Error::NoSuchDestination)));
    assert!(!ipvs.delete_destination(&key, &server.key).or_absent().unwrap());
    assert!(ipvs.delete_service(&key).or_absent().unwrap());
    assert!(!ipvs.delete_service(&key).or_absent().unwrap());
}

fn what_is_there_is_named(ipvs: &mut dyn Ipvs) {
    let key = tcp("192.0.2.1", 80);
    let service = Service::new(key, "rr");
    let server = server("198.51.100.7", 8080);
    assert!(ipvs.add_service(&service).or_exists().unwrap());
    assert!(!ipvs.add_service(&service).or_exists().unwrap());
    // Being there is looked at before anything else is.
    assert!(matches!(ipvs.add_service(&Service::new(key, "nosuch")), Err(Error::Exists)));
    ipvs.add_destination(&key, &server).unwrap();
    assert!(matches!(ipvs.add_destination(&key, &server), Err(Error::Exists)));
    let heavier = Destination { weight: 7, ..server.clone() };
    assert!(!ipvs.add_destination(&key, &heavier).or_exists().unwrap());
    assert_eq!(ipvs.destination(&key, &server.key).unwrap().unwrap().destination, server);
    ipvs.edit_destination(&key, &heavier).unwrap();
    assert_eq!(ipvs.destination(&key, &server.key).unwrap().unwrap().destination, heavier);
    ipvs.delete_destination(&key, &server.key).unwrap();
    ipvs.delete_service(&key).unwrap();
}

/// piranha.md 7.1: it was ipvsadm that rewrote the port, and only when adding.
fn a_port_is_kept_whatever_the_method(ipvs: &mut dyn Ipvs) {
    let key = tcp("192.0.2.1", 80);
    ipvs.add_service(&Service::new(key, "rr")).unwrap();
    for method in [
        ForwardingMethod::Masquerade,
        ForwardingMethod::Local,
        ForwardingMethod::Tunnel,
        ForwardingMethod::DirectRouting,
        ForwardingMethod::Bypass,
    ] {
        let server = Destination::new(at("198.51.100.7", 8080), method, 1);
        ipvs.add_destination(&key, &server).unwrap();
        assert!(matches!(ipvs.delete_destination(&key, &at("198.51.100.7", 80)), Err(Error::NoSuchDestination)));
        assert_eq!(ipvs.destinations(&key).unwrap()[0].destination, server);
        ipvs.delete_destination(&key, &server.key).unwrap();
    }
    ipvs.delete_service(&key).unwrap();
}

fn a_service_goes_with_its_destinations(ipvs: &mut dyn Ipvs) {
    let (key, other) = (tcp("192.0.2.1", 80), tcp("192.0.2.1", 443));
    for key in [key, other] {
        ipvs.add_service(&Service::new(key, "rr")).unwrap();
        ipvs.add_destination(&key, &server("198.51.100.7", 80)).unwrap();
    }
    ipvs.delete_service(&key).unwrap();
    assert_eq!(ipvs.destinations(&other).unwrap().len(), 1);
    ipvs.add_service(&Service::new(key, "rr")).unwrap();
    assert_eq!(ipvs.destinations(&key).unwrap(), []);
    ipvs.delete_service(&key).unwrap();
    ipvs.delete_service(&other).unwrap();
}

fn services_are_judged(ipvs: &mut dyn Ipvs) {
    let key = tcp("192.0.2.1", 80);
    let unknown = ipvs.add_service(&Service::new(key, "nosuch"));
    assert!(matches!(&unknown, Err(Error::NoScheduler(name)) if name == "nosuch"), "{unknown:?}");
    assert_eq!(ipvs.service(&key).unwrap(), None);
    assert_eq!(refusal(ipvs.add_service(&Service::new(key, "a-name-of-more-than-15-bytes"))), Errno::EINVAL);
    let engine = Service { engine: Some("nosuch".to_owned()), ..Service::new(key, "rr") };
    assert_eq!(refusal(ipvs.add_service(&engine)), Errno::ENOENT);

    ipvs.add_service(&Service::new(key, "rr")).unwrap();
    assert!(matches!(ipvs.edit_service(&Service::new(key, "nosuch")), Err(Error::NoScheduler(_))));
    assert_eq!(ipvs.service(&key).unwrap().unwrap().service, Service::new(key, "rr"));
    ipvs.delete_service(&key).unwrap();

    let six = Service::new(tcp("2001:db8::1", 80), "rr");
    for prefix in [0, 129] {
        assert_eq!(refusal(ipvs.add_service(&Service { prefix, ..six.clone() })), Errno::EINVAL);
    }
    ipvs.add_service(&six).unwrap();
    for prefix in [0, 129] {
        assert_eq!(refusal(ipvs.edit_service(&Service { prefix, ..six.clone() })), Errno::EINVAL);
    }
    ipvs.delete_service(&six.key).unwrap();

    let unmarked = ServiceKey::Mark { family: Family::V4, mark: 0 };
    assert_eq!(refusal(ipvs.add_service(&Service::new(unmarked, "rr"))), Errno::EINVAL);
    assert!(matches!(ipvs.service(&unmarked), Err(Error::Refused { errno: Errno::EINVAL, .. })));
}

fn destinations_are_judged(ipvs: &mut dyn Ipvs) {
    let key = tcp("192.0.2.1", 80);
    let good = server("198.51.100.7", 80);
    let tunnelled = |address, tunnel| Destination { method: ForwardingMethod::Tunnel, tunnel, ..server(address, 80) };
    ipvs.add_service(&Service::new(key, "rr")).unwrap();
    let bad = [
        (Destination { weight: 1 << 31, ..good.clone() }, Errno::ERANGE),
        (Destination { upper_threshold: 4, lower_threshold: 5, ..good.clone() }, Errno::ERANGE),
        (server("2001:db8::7", 80), Errno::EINVAL),
        (tunnelled("198.51.100.7", Tunnel::Gue { port: 0, flags: 0 }), Errno::EINVAL),
    ];
    for (destination, errno) in &bad {
        assert_eq!(refusal(ipvs.add_destination(&key, destination)), *errno, "{destination:?}");
        assert_eq!(refusal(ipvs.edit_destination(&key, destination)), *errno, "{destination:?}");
    }
    for address in ["224.0.0.1", "255.255.255.255", "0.0.0.0"] {
        assert_eq!(refusal(ipvs.add_destination(&key, &server(address, 80))), Errno::EINVAL, "{address}");
        assert!(matches!(ipvs.edit_destination(&key, &server(address, 80)), Err(Error::NoSuchDestination)));
    }
    for address in ["::", "ff02::1", "fe80::1"] {
        let inside = tunnelled(address, Tunnel::IpIp);
        assert_eq!(refusal(ipvs.add_destination(&key, &inside)), Errno::EINVAL, "{address}");
    }
    assert_eq!(ipvs.destinations(&key).unwrap(), []);
    // A tunnel may have the other family inside.
    let inside = tunnelled("2001:db8::7", Tunnel::IpIp);
    ipvs.add_destination(&key, &inside).unwrap();
    assert_eq!(ipvs.destinations(&key).unwrap()[0].destination, inside);
    ipvs.delete_service(&key).unwrap();
}

fn services_keep_what_they_were_given(ipvs: &mut dyn Ipvs) {
    let sticky = Service {
        flags: ServiceFlags(ServiceFlags::PERSISTENT),
        persistence: Duration::from_secs(300),
        prefix: 24,
        ..Service::new(tcp("192.0.2.1", 0), SCHEDULERS[0])
    };
    ipvs.add_service(&sticky).unwrap();
    assert_eq!(ipvs.service(&sticky.key).unwrap().unwrap().service, sticky);
    // Without the flag there is no persistence to speak of.
    let plain = Service { flags: ServiceFlags(0), persistence: Duration::from_secs(7), ..sticky.clone() };
    ipvs.edit_service(&plain).unwrap();
    let kept = Service { persistence: Duration::ZERO, ..plain };
    assert_eq!(ipvs.service(&sticky.key).unwrap().unwrap().service, kept);
    ipvs.delete_service(&sticky.key).unwrap();
}

fn timeouts_change_one_by_one(ipvs: &mut dyn Ipvs) {
    let before = ipvs.timeouts().unwrap();
    assert!(!before.tcp.is_zero() && !before.tcp_fin.is_zero() && !before.udp.is_zero());
    let asked = Timeouts { tcp: Duration::from_secs(77), ..Timeouts::default() };
    ipvs.set_timeouts(&asked).unwrap();
    assert_eq!(ipvs.timeouts().unwrap(), Timeouts { tcp: Duration::from_secs(77), ..before });
    let too_long = Timeouts { udp: Duration::from_secs(u32::MAX.into()), ..Timeouts::default() };
    assert_eq!(refusal(ipvs.set_timeouts(&too_long)), Errno::EINVAL);
    ipvs.set_timeouts(&before).unwrap();
    assert_eq!(ipvs.timeouts().unwrap(), before);
}

fn synchronisation_daemons_come_and_go(ipvs: &mut dyn Ipvs) {
    let master = SyncDaemon {
        role: SyncRole::Master,
        interface: "d0".to_owned(),
        id: 7,
        maxlen: 0,
        group: None,
        port: 0,
        ttl: 0,
    };
    let backup = SyncDaemon {
        role: SyncRole::Backup,
        maxlen: 1200,
        group: Some("239.1.2.3".parse().unwrap()),
        port: 8849,
        ttl: 3,
        ..master.clone()
    };
    assert_eq!(ipvs.sync_daemons().unwrap(), []);
    assert!(matches!(ipvs.stop_sync_daemon(SyncRole::Master), Err(Error::NoSuchSyncDaemon)));
    ipvs.start_sync_daemon(&backup).unwrap();
    ipvs.start_sync_daemon(&master).unwrap();
    assert!(matches!(ipvs.start_sync_daemon(&master), Err(Error::Exists)));
    let running = ipvs.sync_daemons().unwrap();
    assert_eq!(running.len(), 2);
    assert!(master.is_met_by(&running[0]) && !backup.is_met_by(&running[0]));
    assert_eq!(running[0].group, Some("224.0.0.81".parse().unwrap()));
    assert_eq!((running[0].port, running[0].ttl, running[0].maxlen), (8848, 1, 1472));
    assert_eq!(running[1], backup);
    ipvs.stop_sync_daemon(SyncRole::Master).unwrap();
    assert_eq!(ipvs.sync_daemons().unwrap(), std::slice::from_ref(&backup));
    ipvs.stop_sync_daemon(SyncRole::Backup).unwrap();
    assert_eq!(ipvs.sync_daemons().unwrap(), []);
    // The length is fitted to the interface, and what receives has room for the least of all partners.
    let short = SyncDaemon { maxlen: 1000, ..backup };
    ipvs.start_sync_daemon(&short).unwrap();
    let running = ipvs.sync_daemons().unwrap();
    assert_eq!(running[0].maxlen, 1024);
    assert!(short.is_met_by(&running[0]));
    ipvs.stop_sync_daemon(SyncRole::Backup).unwrap();
    let group = Some("192.0.2.7".parse().unwrap());
    assert_eq!(refusal(ipvs.start_sync_daemon(&SyncDaemon { group, ..short })), Errno::EINVAL);
}
