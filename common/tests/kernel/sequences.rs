//! Random sequences of our own changes and of other hands' ipvsadm: after
//! settling (read, compare, change the difference) the kernel has the plan.

use std::collections::BTreeMap;

use common::ipvs::client::Client;
use common::ipvs::{Agreement as _, Destination, DestinationKey, Family, ForwardingMethod, Ipvs, Service, ServiceKey};

use crate::conformance::{at, tcp};
use crate::{namespace, run};

type Plan = BTreeMap<ServiceKey, (Service, BTreeMap<DestinationKey, Destination>)>;

/// How many times, in a test that must be the same every time it runs.
const SEQUENCES: u64 = 200;

/// Marsaglia's xorshift64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// A service by its key and by ipvsadm's option.
fn services() -> [(ServiceKey, &'static str); 3] {
    [
        (tcp("192.0.2.1", 80), "-t 192.0.2.1:80"),
        (tcp("2001:db8::1", 80), "-t [2001:db8::1]:80"),
        (ServiceKey::Mark { family: Family::V4, mark: 21 }, "-f 21"),
    ]
}

/// A destination of that service by its key and by ipvsadm's option.
fn server(service: &ServiceKey, n: usize) -> (DestinationKey, String) {
    match (service, service.family()) {
        (ServiceKey::Mark { .. }, _) => (at(&format!("198.51.100.{n}"), 0), format!("-r 198.51.100.{n}:0")),
        (_, Family::V4) => (at(&format!("198.51.100.{n}"), 80), format!("-r 198.51.100.{n}:80")),
        (_, Family::V6) => (at(&format!("2001:db8:1::{n}"), 80), format!("-r [2001:db8:1::{n}]:80")),
    }
}

/// ipvsadm as another hand uses it: what it asks may have become impossible.
fn stranger(arguments: &str) {
    let _ = std::process::Command::new("ipvsadm").args(arguments.split_whitespace()).output().unwrap();
}

fn step(dice: &mut Dice, plan: &mut Plan, ipvs: &mut dyn Ipvs) {
    let methods = [ForwardingMethod::Masquerade, ForwardingMethod::DirectRouting, ForwardingMethod::Tunnel];
    let flags = ["-m", "-g", "-i"];
    let schedulers = ["rr", "wlc", "sh"];
    let (key, option) = dice.one(&services());
    let number = dice.below(5) + 1;
    let (server, server_option) = server(&key, number);
    let weight = dice.below(100) as u32;
    let (method, flag) = (dice.one(&methods), dice.one(&flags));
    match dice.below(10) {
        0 => _ = plan.insert(key, (Service::new(key, dice.one(&schedulers)), BTreeMap::new())),
        1 => _ = plan.remove(&key),
        2..=4 => {
            if let Some((_, servers)) = plan.get_mut(&key) {
                servers.insert(server, Destination::new(server, method, weight));
            }
        }
        5 => {
            if let Some((_, servers)) = plan.get_mut(&key) {
                servers.remove(&server);
            }
        }
        6 => settle(plan, ipvs),
        7 => stranger(&format!("-e {option} {server_option} {flag} -w {weight}")),
        8 => stranger(&format!("-d {option} {server_option}")),
        _ => match dice.below(4) {
            0 => stranger(&format!("-D {option}")),
            1 => stranger(&format!("-E {option} -s {}", dice.one(&schedulers))),
            2 => stranger(&format!("-A {option} -s {}", dice.one(&schedulers))),
            _ => stranger(&format!("-a {option} {server_option} {flag} -w {weight}")),
        },
    }
}

/// Changes the difference between the plan and the table. All three services are
/// configured or were: the unrelated one beside them is not touched.
fn settle(plan: &Plan, ipvs: &mut dyn Ipvs) {
    for (key, _) in services() {
        let Some((service, servers)) = plan.get(&key) else {
            ipvs.delete_service(&key).or_absent().unwrap();
            continue;
        };
        match ipvs.service(&key).unwrap() {
            None => _ = ipvs.add_service(service).or_exists().unwrap(),
            Some(entry) if entry.service != *service => ipvs.edit_service(service).unwrap(),
            Some(_) => {}
        }
        let has: BTreeMap<_, _> = ipvs
            .destinations(&key)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.destination.key, entry.destination))
            .collect();
        for gone in has.keys().filter(|key| !servers.contains_key(key)) {
            ipvs.delete_destination(&key, gone).or_absent().unwrap();
        }
        for (at, wanted) in servers {
            match has.get(at) {
                None => _ = ipvs.add_destination(&key, wanted).or_exists().unwrap(),
                Some(found) if found != wanted => ipvs.edit_destination(&key, wanted).unwrap(),
                Some(_) => {}
            }
        }
    }
}

fn table(ipvs: &mut dyn Ipvs) -> Plan {
    let mut table = Plan::new();
    for entry in ipvs.services().unwrap() {
        let key = entry.service.key;
        let servers = ipvs.destinations(&key).unwrap();
        let servers = servers.into_iter().map(|entry| (entry.destination.key, entry.destination)).collect();
        table.insert(key, (entry.service, servers));
    }
    table
}

#[test]
#[ignore = "needs a kernel with IPVS: run by the lab"]
fn after_any_sequence_the_table_settles_to_the_plan() {
    let _guard = namespace();
    let mut ipvs = Client::open().unwrap();
    run("ipvsadm", "-A -t 203.0.113.1:25 -s rr");
    run("ipvsadm", "-a -t 203.0.113.1:25 -r 198.51.100.99:25 -m -w 3");
    let unrelated = table(&mut ipvs);
    assert_eq!(unrelated.len(), 1);
    let mut changed = 0;
    let mut plan = Plan::new();
    for seed in 1..=SEQUENCES {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..10 {
            step(&mut dice, &mut plan, &mut ipvs);
        }
        let mut wanted = plan.clone();
        wanted.extend(unrelated.clone());
        changed += usize::from(table(&mut ipvs) != wanted);
        settle(&plan, &mut ipvs);
        assert_eq!(table(&mut ipvs), wanted, "sequence {seed}");
    }
    // The dice did put something out of order to settle.
    assert!(changed > 100, "{changed} of {SEQUENCES}");
}
