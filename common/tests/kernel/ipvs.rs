//! Every kind of service and destination, in and out of the kernel's table, with
//! ipvsadm looking on.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use common::ipvs::client::Client;
use common::ipvs::fake::SCHEDULERS;
use common::ipvs::{
    Agreement as _, Destination, Error, Family, ForwardingMethod, Ipvs as _, Protocol, Service, ServiceFlags,
    ServiceKey, SyncDaemon, SyncRole, Tunnel,
};
use nix::errno::Errno;

use crate::conformance::{at, tcp};
use crate::{namespace, run};

/// Each of the kernel's services by its key: three protocols and a mark, twice.
fn keys() -> Vec<ServiceKey> {
    let mut keys = Vec::new();
    for (address, family) in [("192.0.2.1", Family::V4), ("2001:db8::1", Family::V6)] {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            keys.push(ServiceKey::Address { protocol, address: address.parse().unwrap(), port: 80 });
        }
        keys.push(ServiceKey::Mark { family, mark: 21 });
    }
    keys
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn every_kind_of_service_reads_as_it_was_asked() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    let mut asked = BTreeMap::new();
    for (at, key) in keys().into_iter().enumerate() {
        let service = Service {
            flags: ServiceFlags(ServiceFlags::PERSISTENT | ServiceFlags::SCHEDULER[at % 3]),
            persistence: Duration::from_secs(60 + at as u64),
            prefix: if key.family() == Family::V4 { 20 } else { 56 },
            ..Service::new(key, "sh")
        };
        ipvs.add_service(&service).unwrap();
        assert_eq!(ipvs.service(&key).unwrap().unwrap().service, service);
        asked.insert(key, service);
    }
    let ops = Service {
        flags: ServiceFlags(ServiceFlags::ONE_PACKET),
        ..Service::new(
            ServiceKey::Address { protocol: Protocol::Udp, address: "192.0.2.1".parse().unwrap(), port: 53 },
            "rr",
        )
    };
    ipvs.add_service(&ops).unwrap();
    asked.insert(ops.key, ops);
    let read: BTreeMap<_, _> =
        ipvs.services().unwrap().into_iter().map(|entry| (entry.service.key, entry.service)).collect();
    assert_eq!(read, asked);
    let seen = run("ipvsadm", "-Sn");
    for line in [
        "-A -t 192.0.2.1:80 -s sh -p 60 -M 255.255.240.0 -b sh-fallback",
        "-A -f 21 -s sh -p 63 -M 255.255.240.0 -b sh-fallback",
        "-A -t [2001:db8::1]:80 -s sh -p 64 -M 56 -b sh-port",
        "-A -u 192.0.2.1:53 -s rr -o",
    ] {
        assert!(seen.lines().any(|seen| seen.trim() == line), "{line} is not in\n{seen}");
    }
    for key in asked.keys() {
        let plain = Service::new(*key, "wlc");
        ipvs.edit_service(&plain).unwrap();
        assert_eq!(ipvs.service(key).unwrap().unwrap().service, plain);
    }
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn every_scheduler_of_the_kernel_takes_a_service() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    for (scheduler, port) in SCHEDULERS.into_iter().zip(1..) {
        let service = Service::new(tcp("192.0.2.1", port), scheduler);
        ipvs.add_service(&service).unwrap();
        assert_eq!(ipvs.service(&service.key).unwrap().unwrap().service, service);
    }
    let table = run("ipvsadm", "-Ln");
    for (scheduler, port) in SCHEDULERS.into_iter().zip(1..) {
        assert!(table.contains(&format!("TCP  192.0.2.1:{port} {scheduler}\n")), "{scheduler}\n{table}");
    }
    let none = Service::new(tcp("192.0.2.1", 99), "none");
    ipvs.add_service(&none).unwrap();
    assert_eq!(ipvs.service(&none.key).unwrap().unwrap().service, none);
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn the_sip_engine_is_kept() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    let service = Service {
        flags: ServiceFlags(ServiceFlags::PERSISTENT | ServiceFlags::ONE_PACKET),
        persistence: Duration::from_secs(60),
        engine: Some("sip".to_owned()),
        ..Service::new(
            ServiceKey::Address { protocol: Protocol::Udp, address: "192.0.2.1".parse().unwrap(), port: 5060 },
            "rr",
        )
    };
    ipvs.add_service(&service).unwrap();
    assert_eq!(ipvs.services().unwrap()[0].service, service);
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn every_kind_of_destination_reads_as_it_was_asked() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    let methods = [
        (ForwardingMethod::Masquerade, Tunnel::IpIp),
        (ForwardingMethod::Local, Tunnel::IpIp),
        (ForwardingMethod::DirectRouting, Tunnel::IpIp),
        (ForwardingMethod::Bypass, Tunnel::IpIp),
        (ForwardingMethod::Tunnel, Tunnel::IpIp),
        (ForwardingMethod::Tunnel, Tunnel::Gue { port: 6080, flags: 1 }),
        (ForwardingMethod::Tunnel, Tunnel::Gre { flags: 1 }),
    ];
    for key in keys() {
        ipvs.add_service(&Service::new(key, "wlc")).unwrap();
        let mut asked = BTreeMap::new();
        for (n, (method, tunnel)) in methods.into_iter().enumerate() {
            let address =
                if key.family() == Family::V4 { format!("198.51.100.{n}") } else { format!("2001:db8:1::{n}") };
            let destination = Destination {
                upper_threshold: 1000,
                lower_threshold: n as u32,
                tunnel,
                ..Destination::new(at(&address, 8000 + n as u16), method, 65_535 - n as u32)
            };
            ipvs.add_destination(&key, &destination).unwrap();
            asked.insert(destination.key, destination);
        }
        let read: BTreeMap<_, _> = ipvs
            .destinations(&key)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.destination.key, entry.destination))
            .collect();
        assert_eq!(read, asked, "{key}");
        // Each becomes each of the others in place.
        for (n, destination) in asked.values().enumerate() {
            let (method, tunnel) = methods[(n + 1) % methods.len()];
            let edited = Destination { method, tunnel, weight: 0, ..destination.clone() };
            ipvs.edit_destination(&key, &edited).unwrap();
            let entry = ipvs.destination(&key, &edited.key).unwrap().unwrap();
            assert_eq!(entry.destination, edited);
            assert_eq!((entry.active, entry.inactive, entry.persistent), (0, 0, 0));
        }
    }
    let table = run("ipvsadm", "-Sn");
    for line in [
        "-a -t 192.0.2.1:80 -r 198.51.100.1:8001 -g -w 0",
        "-a -f 21 -r 198.51.100.3:8003 -i -w 0 --tun-type ipip",
        "-a -u [2001:db8::1]:80 -r [2001:db8:1::4]:8004 -i -w 0 --tun-type gue --tun-port 6080 --tun-csum",
        "-a --sctp-service 192.0.2.1:80 -r 198.51.100.5:8005 -i -w 0 --tun-type gre --tun-csum",
        "-a -f 21 -6 -r [2001:db8:1::6]:8006 -m -w 0",
    ] {
        assert!(table.lines().any(|seen| seen.trim() == line), "{line} is not in\n{table}");
    }
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn a_dump_of_many_parts_is_whole() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    let key = tcp("192.0.2.1", 80);
    ipvs.add_service(&Service::new(key, "wlc")).unwrap();
    let all: Vec<_> = (0..300)
        .map(|n| {
            Destination::new(at(&format!("198.51.{}.{}", n / 200, n % 200 + 1), 80), ForwardingMethod::DirectRouting, n)
        })
        .collect();
    for destination in &all {
        ipvs.add_destination(&key, destination).unwrap();
    }
    let mut read: Vec<_> = ipvs.destinations(&key).unwrap().into_iter().map(|entry| entry.destination).collect();
    read.sort_by_key(|destination| destination.weight);
    assert_eq!(read, all);
    for destination in [&all[0], &all[299]] {
        assert_eq!(ipvs.destination(&key, &destination.key).unwrap().unwrap().destination, *destination);
    }
    for port in 1..=200 {
        ipvs.add_service(&Service::new(tcp("192.0.2.9", port), "rr")).unwrap();
    }
    assert_eq!(ipvs.services().unwrap().len(), 201);
    ipvs.delete_service(&key).unwrap();
    assert!(matches!(ipvs.destinations(&key), Err(Error::NoSuchService)));
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn traffic_is_counted() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    // The director itself serves: a connection to the VIP ends at a listener here.
    let listener = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
    run("ip", "addr add 192.0.2.1/32 dev lo");
    let key = tcp("192.0.2.1", 80);
    ipvs.add_service(&Service::new(key, "rr")).unwrap();
    ipvs.add_destination(&key, &Destination::new(at("127.0.0.1", 8080), ForwardingMethod::Masquerade, 1)).unwrap();
    let connection = std::net::TcpStream::connect("192.0.2.1:80").unwrap();
    let _served = listener.accept().unwrap();
    let mut read = || ipvs.destination(&key, &at("127.0.0.1", 8080)).unwrap().unwrap();
    assert_eq!(read().active, 1);
    // The kernel adds its counters up every two seconds.
    let deadline = Instant::now() + Duration::from_secs(30);
    while read().stats.connections == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let entry = read();
    assert_eq!(entry.stats.connections, 1);
    assert!(entry.stats.packets_in >= 2 && entry.stats.bytes_in >= 80, "{entry:?}");
    assert_eq!(ipvs.service(&key).unwrap().unwrap().stats.connections, 1);
    drop(connection);
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn what_other_hands_made_is_read_and_never_an_obstacle() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    run("ipvsadm", "-A -t 192.0.2.1:80 -s wrr -p 300 -M 255.0.255.0");
    run("ipvsadm", "-a -t 192.0.2.1:80 -r 198.51.100.7:8080 -g -w 5 -x 9 -y 3");
    let key = tcp("192.0.2.1", 80);
    let service = ipvs.service(&key).unwrap().unwrap().service;
    assert_eq!((service.prefix, service.persistence.as_secs()), (Service::NO_PREFIX, 300));
    // ipvsadm rewrote the port (piranha.md 7.1): the entry is RIP:80.
    let entry = ipvs.destination(&key, &at("198.51.100.7", 80)).unwrap().unwrap();
    let destination = entry.destination;
    assert_eq!((destination.weight, destination.upper_threshold, destination.lower_threshold), (5, 9, 3));
    assert_eq!(destination.method, ForwardingMethod::DirectRouting);
    run("ipvsadm", "-d -t 192.0.2.1:80 -r 198.51.100.7:80");
    assert!(!ipvs.delete_destination(&key, &destination.key).or_absent().unwrap());
    run("ipvsadm", "-D -t 192.0.2.1:80");
    assert!(!ipvs.delete_destination(&key, &destination.key).or_absent().unwrap());
    assert!(!ipvs.delete_service(&key).or_absent().unwrap());
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn synchronisation_daemons_take_every_attribute() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    let four = SyncDaemon {
        role: SyncRole::Master,
        interface: "d0".to_owned(),
        id: 255,
        maxlen: 1200,
        group: Some("239.1.2.3".parse().unwrap()),
        port: 9000,
        ttl: 5,
    };
    let six = SyncDaemon { role: SyncRole::Backup, group: Some("ff05::77".parse().unwrap()), id: 1, ..four.clone() };
    ipvs.start_sync_daemon(&four).unwrap();
    ipvs.start_sync_daemon(&six).unwrap();
    assert_eq!(ipvs.sync_daemons().unwrap(), [four.clone(), six]);
    let seen = run("ipvsadm", "-L --daemon");
    assert!(seen.contains("master sync daemon (mcast=d0, syncid=255, maxlen=1200, group=239.1.2.3, port=9000, ttl=5)"));
    ipvs.stop_sync_daemon(SyncRole::Master).unwrap();
    let nowhere = SyncDaemon { interface: "nosuch0".to_owned(), ..four };
    let refused = ipvs.start_sync_daemon(&nowhere);
    assert!(matches!(refused, Err(Error::Refused { errno: Errno::ENODEV, .. })), "{refused:?}");
}

/// The kernel does not acknowledge such a stop.
#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn a_synchronisation_daemon_that_never_ran_is_stopped_all_the_same() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    for role in [SyncRole::Master, SyncRole::Backup].repeat(10) {
        let daemon = SyncDaemon { role, interface: "d0".to_owned(), id: 1, maxlen: 0, group: None, port: 0, ttl: 0 };
        ipvs.start_sync_daemon(&daemon).unwrap();
        ipvs.stop_sync_daemon(role).unwrap();
        assert_eq!(ipvs.sync_daemons().unwrap(), []);
        assert!(!ipvs.stop_sync_daemon(role).or_absent().unwrap());
    }
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn refusals_carry_the_kernels_words() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    let daemon = SyncDaemon {
        role: SyncRole::Master,
        interface: "an-interface-name-that-is-too-long".to_owned(),
        id: 1,
        maxlen: 0,
        group: None,
        port: 0,
        ttl: 0,
    };
    let refused = ipvs.start_sync_daemon(&daemon).unwrap_err().to_string();
    assert!(refused.starts_with("start synchronisation daemon: EINVAL"), "{refused}");
    assert!(refused.to_lowercase().contains("attribute"), "{refused}");
}

/// Runs itself again as nobody.
#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn without_rights_it_is_permission() {
    if nix::unistd::geteuid().is_root() {
        let _guard = namespace();
        Client::open().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "ipvs::without_rights_it_is_permission"])
            .uid(65534)
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let key = tcp("192.0.2.1", 80);
    let mut ipvs = Client::open().unwrap();
    assert!(matches!(ipvs.services(), Err(Error::Permission)));
    assert!(matches!(ipvs.service(&key), Err(Error::Permission)));
    assert!(matches!(ipvs.add_service(&Service::new(key, "rr")), Err(Error::Permission)));
    assert!(matches!(ipvs.destinations(&key), Err(Error::Permission)));
}
