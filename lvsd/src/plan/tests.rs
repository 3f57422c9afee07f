use std::net::IpAddr;
use std::time::Duration;

use common::ipvs::fake::Fake;
use common::ipvs::{Agreement as _, Ipvs};
use proptest::prelude::*;

use super::*;
use crate::hands::Kernel;
use crate::preview::{Item, World, preview};
use crate::wanted::tests::examples::{self, key, server};

fn destination(last: u8) -> Destination {
    Destination::new(server(last), ForwardingMethod::DirectRouting, 1)
}

fn entry(last: u8) -> DestinationEntry {
    let stats = common::ipvs::Stats::default();
    DestinationEntry { destination: destination(last), active: 0, inactive: 0, persistent: 0, stats }
}

fn virtual_service(last: u8, scheduler: &str, servers: &[u8], sorry: Option<u8>) -> Virtual {
    let service = Service::new(key(last), scheduler);
    Virtual { service, sorry: sorry.map(destination), ..examples::virtual_service(last, servers) }
}

fn wanted(virtuals: Vec<Virtual>) -> Wanted {
    Wanted { virtuals, ..Wanted::default() }
}

/// All of it, but for the nannies.
fn plan(wanted: &Wanted, table: &Table, ledger: &Ledger, standby: Standby) -> Vec<Step> {
    let world = World { table, ledger, found: &[], since_boot: Duration::ZERO };
    let items = preview(wanted, &world, |_| standby).into_iter();
    items.filter_map(|item| if let Item::Step(step) = item { Some(step) } else { None }).collect()
}

fn in_words(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_file_wants_is_left_to_its_nanny_even_before_there_is_one() {
    let wanted = virtual_service(1, "wlc", &[1], None);
    let steps = destinations(&wanted, &[destination(1), destination(2)], |_| false, Standby::Out);
    assert_eq!(in_words(&steps), ["remove 10.0.0.2:80 from v1"]);
}

#[test]
fn a_start_on_an_empty_table_adds_the_services_in_file_order_and_nothing_else() {
    let mut web = virtual_service(2, "rr", &[3], None);
    web.service.flags = ServiceFlags(ServiceFlags::PERSISTENT);
    web.service.persistence = Duration::from_secs(300);
    let mut wanted = wanted(vec![web, virtual_service(1, "wlc", &[3, 4], Some(9))]);
    wanted.timeouts.udp = Duration::from_secs(60);
    let steps = plan(&wanted, &Table::default(), &Ledger::default(), Standby::Undecided);
    assert_eq!(
        in_words(&steps),
        [
            "set timeouts 0 0 60",
            "add virtual service v2: tcp 192.0.2.2:80, scheduler rr, persistent 300",
            "add virtual service v1: tcp 192.0.2.1:80, scheduler wlc",
        ]
    );
}

#[test]
fn what_is_there_already_is_left_alone() {
    let wanted = wanted(vec![virtual_service(1, "wlc", &[3], None)]);
    let table = Table {
        services: BTreeMap::from([(key(1), Service::new(key(1), "wlc")), (key(7), Service::new(key(7), "rr"))]),
        destinations: BTreeMap::from([(key(1), vec![entry(3)])]),
        ..Table::default()
    };
    assert_eq!(plan(&wanted, &table, &Ledger::default(), Standby::Undecided), []);
}

#[test]
fn a_reload_edits_in_place_and_deletes_what_left_the_file() {
    let mut changed = virtual_service(1, "sh", &[3], None);
    changed.service.flags = ServiceFlags(ServiceFlags::PERSISTENT);
    changed.service.persistence = Duration::from_secs(60);
    changed.service.prefix = 24;
    let wanted = wanted(vec![changed]);
    let table = Table {
        services: [1, 2, 7].map(|last| (key(last), Service::new(key(last), "wlc"))).into(),
        destinations: BTreeMap::from([(key(1), vec![entry(3), entry(4)])]),
        ..Table::default()
    };
    let ledger = Ledger::of([(key(1), "v1".to_owned()), (key(2), "old".to_owned()), (key(3), "gone".to_owned())]);
    let steps = plan(&wanted, &table, &ledger, Standby::Undecided);
    assert_eq!(
        in_words(&steps),
        [
            "change virtual service v1 (tcp 192.0.2.1:80): scheduler wlc -> sh, persistent 0 -> 60, pmask /24",
            "remove 10.0.0.4:80 from v1",
            "delete virtual service old: tcp 192.0.2.2:80",
        ],
        "service 7 is nobody's of ours"
    );
}

#[test]
fn a_stop_deletes_what_is_configured_and_what_was_made_in_order() {
    let wanted = wanted(vec![virtual_service(2, "wlc", &[], None), virtual_service(1, "wlc", &[], None)]);
    let ledger = Ledger::of([(key(1), "v1".to_owned()), (key(5), "left".to_owned())]);
    assert_eq!(
        in_words(&stop(&wanted, &ledger)),
        [
            "delete virtual service v2: tcp 192.0.2.2:80",
            "delete virtual service v1: tcp 192.0.2.1:80",
            "delete virtual service left: tcp 192.0.2.5:80",
        ]
    );
}

#[test]
fn a_service_whose_nannies_have_not_ended_waits_for_them() {
    let ledger = Ledger::of([(key(1), "a".to_owned()), (key(2), "b".to_owned())]);
    let steps: Vec<Step> = leftovers(|_| false, |_| true, &ledger, |busy| *busy == key(1)).collect();
    assert_eq!(in_words(&steps), ["delete virtual service b: tcp 192.0.2.2:80"]);
}

#[test]
fn the_sorry_server_is_lvsds_alone_and_stays_as_it_is_while_undecided() {
    let wanted = virtual_service(1, "wlc", &[3], Some(9));
    let owned = |target: &Target| target.destination == server(3);
    let steps = |have: &[Destination], standby| in_words(&destinations(&wanted, have, owned, standby));
    let both = [destination(3), destination(9)];
    assert!(steps(&both, Standby::Undecided).is_empty());
    assert!(steps(&both[..1], Standby::Undecided).is_empty());
    assert!(steps(&both, Standby::In).is_empty());
    assert_eq!(steps(&both[..1], Standby::In), ["add sorry server 10.0.0.9:80 to v1"]);
    assert_eq!(steps(&both, Standby::Out), ["remove 10.0.0.9:80 from v1"]);
    assert!(steps(&both[..1], Standby::Out).is_empty());
    let mut drained = destination(9);
    drained.weight = 0;
    assert_eq!(steps(&[drained], Standby::In), ["change sorry server 10.0.0.9:80 of v1"]);
}

#[test]
fn a_sorry_server_that_is_a_real_server_too_is_its_nannys() {
    let wanted = virtual_service(1, "wlc", &[9], Some(9));
    let owned = |target: &Target| target.destination == server(9);
    for standby in [Standby::In, Standby::Out, Standby::Undecided] {
        assert_eq!(destinations(&wanted, &[], owned, standby), []);
        assert_eq!(destinations(&wanted, &[destination(9)], owned, standby), []);
    }
}

#[test]
fn timeouts_that_are_zero_are_the_kernels_own_affair() {
    let seconds = Duration::from_secs;
    let have = Timeouts { tcp: seconds(900), tcp_fin: seconds(120), udp: seconds(300) };
    let zero = Timeouts::default();
    assert_eq!(timeouts(&zero, &have), None);
    assert_eq!(timeouts(&Timeouts { tcp: seconds(900), ..zero }, &have), None);
    let other = Timeouts { tcp: seconds(901), ..zero };
    assert_eq!(timeouts(&other, &have), Some(Step::SetTimeouts(other)));
}

#[test]
fn without_persistence_its_time_and_mask_mean_nothing() {
    let wanted = virtual_service(1, "wlc", &[], None);
    let mut have = wanted.service.clone();
    have.persistence = Duration::from_secs(360);
    have.prefix = 24;
    assert_eq!(service(&wanted, Some(&have)), None);
    have.flags = ServiceFlags(ServiceFlags::PERSISTENT);
    assert_eq!(differences(&wanted.service, &have), "persistent 360 -> 0");
}

// What the world may hold: services 1 to 6 and destinations 1 to 6, any of them.
fn any_service(last: u8) -> impl Strategy<Value = Service> {
    let scheduler = prop_oneof![Just("rr"), Just("wlc"), Just("sh")];
    (scheduler, prop_oneof![Just(0_u64), 1..1000_u64], 8..=32_u8).prop_map(move |(scheduler, persistent, prefix)| {
        let mut service = Service::new(key(last), scheduler);
        if persistent > 0 {
            service.flags = ServiceFlags(ServiceFlags::PERSISTENT);
            service.persistence = Duration::from_secs(persistent);
            service.prefix = prefix;
        }
        service
    })
}

fn subset() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::subsequence((1..=6_u8).collect::<Vec<_>>(), 0..=6)
}

prop_compose! {
    fn any_virtual(last: u8)(
        service in any_service(last), servers in subset(), sorry in proptest::option::of(1..=9_u8)
    ) -> Virtual {
        Virtual { service, ..virtual_service(last, "wlc", &servers, sorry) }
    }
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let virtuals = subset().prop_flat_map(|keys| keys.into_iter().map(any_virtual).collect::<Vec<_>>());
    let time = || prop_oneof![Just(0_u64), 1..2000_u64].prop_map(Duration::from_secs);
    let timeouts = (time(), time(), time()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp });
    (virtuals, timeouts).prop_map(|(virtuals, timeouts)| Wanted { timeouts, virtuals, ..Wanted::default() })
}

fn any_table() -> impl Strategy<Value = Vec<(Service, Vec<u8>)>> {
    let entry = |last| (any_service(last), subset());
    subset().prop_flat_map(move |keys| keys.into_iter().map(entry).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn a_plan_that_was_done_leaves_nothing_to_plan_and_strangers_untouched(
        wanted in any_wanted(),
        there in any_table(),
        made in subset(),
        standby in prop_oneof![Just(Standby::In), Just(Standby::Out), Just(Standby::Undecided)],
    ) {
        let mut table = Fake::default();
        for (service, servers) in &there {
            table.add_service(service).unwrap();
            for last in servers {
                table.add_destination(&service.key, &destination(*last)).or_exists().unwrap();
            }
        }
        let services = made.iter().map(|last| (key(*last), format!("v{last}"))).collect();
        let ledger = Ledger { services, ..Ledger::default() };
        let mut kernel = Kernel::new(table.clone());
        let before = kernel.services().unwrap();
        let keys: Vec<ServiceKey> = (1..=6).map(key).collect();
        let steps = plan(&wanted, &kernel.table(&keys).unwrap(), &ledger, standby);
        for step in &steps {
            kernel.apply(step).unwrap();
        }
        let after = kernel.table(&keys).unwrap();
        prop_assert_eq!(plan(&wanted, &after, &ledger, standby), []);

        let is_wanted = |key: &ServiceKey| wanted.virtuals.iter().any(|wanted| wanted.service.key == *key);
        for (key, service) in &before {
            if !is_wanted(key) && !ledger.services.contains_key(key) {
                prop_assert_eq!(after.services.get(key), Some(service), "a stranger's service was touched");
                let servers = there.iter().find(|(service, _)| service.key == *key).map_or(0, |(_, list)| list.len());
                prop_assert_eq!(table.destinations(key).unwrap().len(), servers);
            }
        }
        for wanted in &wanted.virtuals {
            let have: Vec<DestinationKey> =
                after.destinations[&wanted.service.key].iter().map(|entry| entry.destination.key).collect();
            let was = there.iter().find(|(service, _)| service.key == wanted.service.key).map(|(_, list)| list);
            for monitor in &wanted.monitors {
                let last = |ip: IpAddr| if let IpAddr::V4(ip) = ip { ip.octets()[3] } else { 0 };
                let was_there = was.is_some_and(|list| list.contains(&last(monitor.target.destination.address)));
                prop_assert_eq!(have.contains(&monitor.target.destination), was_there, "a nanny's was touched");
            }
        }
    }
}
