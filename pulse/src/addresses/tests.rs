use common::config::DeviceAddress;
use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn place(address: &str, device: &str, label: Option<&str>) -> DeviceAddress {
    DeviceAddress { address: ip(address), device: device.to_owned(), label: label.map(str::to_owned) }
}

#[allow(clippy::unnecessary_wraps)] // as the configuration has it
fn mask(text: &str) -> Option<Ipv4Addr> {
    Some(text.parse().unwrap())
}

fn link(index: u32, name: &str, up: bool) -> Link {
    let mac = Some([2, 0, 0, 0, 0, 1]);
    Link {
        index,
        name: name.to_owned(),
        mac,
        up,
        running: up,
        loopback: false,
        noarp: false,
        mtu: 1500,
        carrier_changes: 0,
    }
}

/// A kernel in memory, with the one trait of the real one that matters here:
/// promote_secondaries is off.
#[derive(Clone, Debug, Default)]
struct Kernel {
    host: Host,
    ledger: BTreeSet<Entry>,
}

impl Kernel {
    fn with_links(links: Vec<Link>) -> Self {
        Self { host: Host { links, addresses: Vec::new() }, ledger: BTreeSet::new() }
    }

    fn put(&mut self, wanted: &Wanted, index: u32) {
        let mut address = wanted.on(index);
        let name = self.host.links.iter().find(|link| link.index == index).map(|link| link.name.clone());
        address.label = address.label.or(name).filter(|_| wanted.address.is_ipv4());
        let there = |one: &Address| (one.index, one.address, one.prefix) == (index, wanted.address, wanted.prefix);
        if !self.host.addresses.iter().any(there) {
            self.host.addresses.push(address);
        }
    }

    fn take(&mut self, entry: &Entry, index: u32) {
        self.host.addresses.retain(|one| (one.index, one.address, one.prefix) != (index, entry.address, entry.prefix));
    }

    /// Performs steps as the hands do.
    fn perform(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Add { wanted, index, .. } => {
                    self.ledger.insert(wanted.entry());
                    self.put(wanted, *index);
                }
                Step::Remove { entry, index } => {
                    self.take(entry, *index);
                    self.ledger.remove(entry);
                }
                Step::Forget(entry) => {
                    self.ledger.remove(entry);
                }
            }
        }
    }

    fn settle(&mut self, wanted: &[Wanted]) -> Look {
        let look = look(wanted, &self.host, &self.ledger, Reach::All);
        self.perform(&look.steps);
        look
    }

    fn has(&self, index: u32, address: &str) -> bool {
        self.host.addresses.iter().any(|one| one.index == index && one.address == ip(address))
    }
}

#[test]
fn mask_and_broadcast_are_the_files() {
    let one = Wanted::new(&place("10.1.2.3", "eth0", Some("eth0:1")), mask("255.255.255.0"));
    assert_eq!((one.prefix, one.broadcast, one.by_class), (24, Some([10, 1, 2, 255].into()), false));
    let wide = Wanted::new(&place("10.1.2.3", "eth0", None), mask("255.255.252.0"));
    assert_eq!((wide.prefix, wide.broadcast), (22, Some([10, 1, 3, 255].into())));
}

#[test]
fn without_a_mask_the_class_decides_as_it_did_with_ifconfig() {
    for (address, prefix) in [("10.1.2.3", 8), ("172.16.0.9", 16), ("192.168.1.9", 24), ("224.0.0.9", 32)] {
        for mask in [None, mask("0.0.0.0"), mask("255.0.255.0")] {
            let one = Wanted::new(&place(address, "eth0", None), mask);
            assert_eq!((one.prefix, one.by_class), (prefix, true), "{address} {mask:?}");
        }
    }
    assert_eq!(Wanted::new(&place("10.1.2.3", "eth0", None), None).broadcast, Some([10, 255, 255, 255].into()));
}

#[test]
fn a_network_without_room_has_no_broadcast_address() {
    for text in ["255.255.255.255", "255.255.255.254"] {
        assert_eq!(Wanted::new(&place("10.1.2.3", "eth0", None), mask(text)).broadcast, None);
    }
}

#[test]
fn an_ipv6_address_stands_alone_at_once_and_has_no_label() {
    let one = Wanted::new(&place("2001:db8::9", "eth0", Some("eth0:1")), mask("255.255.255.0"));
    let address = one.on(3);
    assert_eq!((address.prefix, address.broadcast, address.label, address.nodad), (128, None, None, true));
    assert!(address.deprecated, "never the source of the director's own probes");
    assert!(!one.by_class);
}

#[test]
fn a_new_vip_is_added_with_its_label_and_then_nothing_is_left_to_do() {
    let wanted = [Wanted::new(&place("10.0.0.9", "eth0", Some("eth0:1")), mask("255.255.255.0"))];
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true)]);
    let first = kernel.settle(&wanted);
    assert_eq!(first.steps, [Step::Add { wanted: wanted[0].clone(), index: 2, put_back: false }]);
    let second = kernel.settle(&wanted);
    assert_eq!((second.steps, second.held), (vec![], vec![ip("10.0.0.9")]));
    assert_eq!(second.remarks, BTreeSet::new());
}

#[test]
fn a_vip_that_was_there_before_is_held_and_never_removed() {
    let wanted = [Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.255"))];
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true)]);
    // with another prefix: the network card's own address is used as a VIP
    let own = Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.0"));
    kernel.put(&own, 2);
    let look = kernel.settle(&wanted);
    assert_eq!((look.steps, look.held), (vec![], vec![ip("10.0.0.9")]));
    assert_eq!(look.remarks, [Remark::Foreign { address: ip("10.0.0.9"), device: "eth0".into() }].into());
    kernel.settle(&[]);
    assert!(kernel.has(2, "10.0.0.9"));
}

#[test]
fn a_vip_somebody_removed_is_put_back() {
    let wanted = [Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.0"))];
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true)]);
    kernel.settle(&wanted);
    kernel.take(&wanted[0].entry(), 2);
    assert_eq!(kernel.settle(&wanted).steps, [Step::Add { wanted: wanted[0].clone(), index: 2, put_back: true }]);
}

#[test]
fn a_missing_device_is_remarked_and_the_others_go_on() {
    let wanted = [
        Wanted::new(&place("10.7.0.9", "eth7", None), mask("255.255.255.0")),
        Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.0")),
    ];
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", false)]);
    let look = kernel.settle(&wanted);
    assert_eq!(look.steps.len(), 1);
    assert_eq!(
        look.remarks,
        [
            Remark::NoDevice { address: ip("10.7.0.9"), device: "eth7".into() },
            Remark::DeviceDown { address: ip("10.0.0.9"), device: "eth0".into() },
        ]
        .into()
    );
    kernel.host.links.push(link(9, "eth7", true));
    assert_eq!(kernel.settle(&wanted).steps, [Step::Add { wanted: wanted[0].clone(), index: 9, put_back: false }]);
}

#[test]
fn a_new_mask_is_added_before_the_old_one_goes() {
    let narrow = Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.255"));
    let wide = Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.0"));
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true)]);
    kernel.settle(std::slice::from_ref(&narrow));
    assert_eq!(
        kernel.settle(std::slice::from_ref(&wide)).steps,
        [Step::Add { wanted: wide, index: 2, put_back: false }, Step::Remove { entry: narrow.entry(), index: 2 }]
    );
}

#[test]
fn a_new_label_replaces_the_address_and_so_does_a_new_device() {
    let old = Wanted::new(&place("10.0.0.9", "eth0", Some("eth0:1")), mask("255.255.255.0"));
    let label = Wanted::new(&place("10.0.0.9", "eth0", Some("eth0:2")), mask("255.255.255.0"));
    let device = Wanted::new(&place("10.0.0.9", "eth1", None), mask("255.255.255.0"));
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true), link(3, "eth1", true)]);
    kernel.settle(std::slice::from_ref(&old));
    let steps = kernel.settle(std::slice::from_ref(&label)).steps;
    assert_eq!(
        steps,
        [Step::Remove { entry: old.entry(), index: 2 }, Step::Add { wanted: label.clone(), index: 2, put_back: false }]
    );
    assert_eq!(
        kernel.settle(std::slice::from_ref(&device)).steps,
        [Step::Add { wanted: device, index: 3, put_back: false }, Step::Remove { entry: label.entry(), index: 2 }]
    );
}

#[test]
fn the_first_half_of_a_reload_only_removes_what_is_wanted_nowhere() {
    let gone = Wanted::new(&place("10.0.0.8", "eth0", None), mask("255.255.255.0"));
    let narrow = Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.255"));
    let wide = Wanted::new(&place("10.0.0.9", "eth0", None), mask("255.255.255.0"));
    let new = Wanted::new(&place("10.0.0.7", "eth0", None), mask("255.255.255.0"));
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true)]);
    kernel.settle(&[gone.clone(), narrow]);
    let look = look(&[wide, new], &kernel.host, &kernel.ledger, Reach::Removals);
    assert_eq!(look.steps, [Step::Remove { entry: gone.entry(), index: 2 }]);
}

#[test]
fn what_went_with_its_network_is_found_and_nothing_else() {
    let on = |text: &str, prefix: u8, index: u32| Address {
        index,
        address: ip(text),
        prefix,
        broadcast: None,
        label: None,
        scope: 0,
        nodad: false,
        deprecated: false,
        valid: None,
    };
    let before = vec![
        on("10.0.0.9", 24, 2),
        on("10.0.0.10", 24, 2), // same network: goes
        on("10.0.0.11", 32, 2), // another mask: gone for another reason
        on("10.0.1.10", 24, 2), // another network
        on("10.0.0.12", 24, 3), // another link
    ];
    let after = vec![];
    let removed = Entry { address: ip("10.0.0.9"), prefix: 24, device: "eth0".into() };
    assert_eq!(collateral(&before, &after, &removed, 2), [on("10.0.0.10", 24, 2)]);
    assert_eq!(collateral(&before, &before, &removed, 2), []);
    let all = Entry { prefix: 0, ..removed };
    assert_eq!(collateral(&[on("10.0.0.9", 0, 2), on("192.0.2.1", 0, 2)], &[], &all, 2), [on("192.0.2.1", 0, 2)]);
}

#[test]
fn a_remark_is_said_when_it_becomes_true_and_again_when_it_comes_back() {
    let remark = Remark::NoDevice { address: ip("10.0.0.9"), device: "eth0".into() };
    let mut remarks = Remarks::default();
    assert_eq!(remarks.fresh([remark.clone()].into()).len(), 1);
    assert_eq!(remarks.fresh([remark.clone()].into()), []);
    assert_eq!(remarks.fresh(BTreeSet::new()), []);
    assert_eq!(remarks.fresh([remark.clone()].into()), [remark]);
}

#[test]
fn a_virtual_ip_that_nobody_can_reach_is_one_event_until_somebody_can() {
    let (address, device) = (ip("10.0.0.9"), || "eth0".to_owned());
    let gone = Remark::NoDevice { address, device: device() };
    let down = Remark::DeviceDown { address, device: device() };
    let foreign = Remark::Foreign { address, device: device() };
    let mut remarks = Remarks::default();
    let mut turn = |now: &[&Remark]| {
        let now: BTreeSet<Remark> = now.iter().copied().cloned().collect();
        let reach = remarks.reach(&now);
        remarks.fresh(now);
        reach
    };
    assert_eq!(turn(&[&foreign]), (vec![], vec![]));
    assert_eq!(turn(&[&gone]), (vec![gone.clone()], vec![]));
    assert_eq!(turn(&[&down]), (vec![], vec![]), "for another reason");
    assert_eq!(turn(&[&down, &foreign]), (vec![], vec![]));
    assert_eq!(turn(&[&foreign]), (vec![], vec![(address, device())]));
    assert_eq!(turn(&[&down]), (vec![down], vec![]));
}

#[test]
fn a_pulse_without_a_file_keeps_what_the_kernel_has_and_changes_nothing() {
    let wanted = [
        Wanted::new(&place("10.0.0.9", "eth0", Some("eth0:1")), mask("255.255.255.0")),
        Wanted::new(&place("10.0.0.8", "eth0", None), mask("255.255.255.255")),
        Wanted::new(&place("2001:db8::9", "eth0", None), None),
    ];
    let mut kernel = Kernel::with_links(vec![link(2, "eth0", true)]);
    kernel.settle(&wanted);
    let kept = as_they_are(&kernel.ledger, &kernel.host);
    assert_eq!(kept.len(), 3);
    assert_eq!(kernel.settle(&kept).steps, []);
    assert_eq!(count_there(&kernel.ledger, &kernel.host), 3);
    kernel.host.addresses.clear();
    assert_eq!(count_there(&kernel.ledger, &kernel.host), 0);
    let again = as_they_are(&kernel.ledger, &kernel.host);
    assert_eq!(kernel.settle(&again).steps.len(), 3, "and puts back what somebody removed");
}

// properties: a few addresses on a few devices, wanted, foreign, and changed by others

const POOL: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "2001:db8::2"];
const DEVICES: [&str; 3] = ["eth0", "eth1", "absent"];

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let mask = prop_oneof![Just(None), Just(mask("255.255.255.0")), Just(mask("255.255.255.255"))];
    (0..POOL.len(), 0..DEVICES.len(), mask, any::<bool>()).prop_map(|(address, device, mask, labelled)| {
        let device = DEVICES[device];
        let label = labelled.then(|| format!("{device}:1"));
        Wanted::new(&place(POOL[address], device, label.as_deref()), mask)
    })
}

fn any_file() -> impl Strategy<Value = Vec<Wanted>> {
    prop::collection::vec(any_wanted(), 0..6).prop_map(|all| {
        let mut seen = HashSet::new();
        all.into_iter().filter(|one| seen.insert(one.address)).collect()
    })
}

#[derive(Clone, Debug)]
enum Happens {
    /// A reload, or a start.
    File(Vec<Wanted>),
    /// Somebody adds an address.
    Added(Wanted),
    /// Somebody removes one.
    Removed(usize),
}

fn any_happening() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => any_file().prop_map(Happens::File),
        1 => any_wanted().prop_map(Happens::Added),
        1 => (0_usize..8).prop_map(Happens::Removed),
    ]
}

fn foreign(kernel: &Kernel) -> Vec<(u32, IpAddr, u8)> {
    let names: HashMap<u32, &str> = kernel.host.links.iter().map(|link| (link.index, link.name.as_str())).collect();
    let ours = |one: &Address| {
        let device = names[&one.index].to_owned();
        kernel.ledger.contains(&Entry { address: one.address, prefix: one.prefix, device })
    };
    kernel.host.addresses.iter().filter(|one| !ours(one)).map(|one| (one.index, one.address, one.prefix)).collect()
}

proptest! {
    /// Whatever the file says and whatever others do: what is not in the ledger is
    /// never removed, and what is wanted is there as soon as its device is.
    #[test]
    fn foreign_addresses_stay_and_wanted_ones_are_held(happenings in prop::collection::vec(any_happening(), 1..14)) {
        let mut kernel = Kernel::with_links(vec![link(2, "eth0", true), link(3, "eth1", true)]);
        let mut file: Vec<Wanted> = Vec::new();
        for happens in happenings {
            match happens {
                Happens::File(new) => file = new,
                Happens::Added(wanted) => {
                    if let Some(index) = kernel.host.links.iter().find(|it| it.name == wanted.device).map(|it| it.index) {
                        kernel.put(&wanted, index);
                    }
                }
                Happens::Removed(at) => {
                    if at < kernel.host.addresses.len() {
                        kernel.host.addresses.remove(at);
                    }
                }
            }
            let before = foreign(&kernel);
            kernel.settle(&file);
            for one in before {
                prop_assert!(kernel.host.addresses.iter().any(|it| (it.index, it.address, it.prefix) == one));
            }
            for wanted in &file {
                let index = kernel.host.links.iter().find(|it| it.name == wanted.device).map(|it| it.index);
                if let Some(index) = index {
                    let held = kernel.host.addresses.iter().any(|it| it.index == index && it.address == wanted.address);
                    prop_assert!(held, "{:?} is not held", wanted);
                }
            }
            prop_assert_eq!(kernel.settle(&file).steps, vec![], "a second look finds nothing to do");
        }
    }

    /// Start, run, stop: the interfaces are as they were.
    #[test]
    fn after_a_stop_nothing_of_ours_stays_and_nothing_else_is_gone(
        there in prop::collection::vec(any_wanted(), 0..5),
        files in prop::collection::vec(any_file(), 1..5),
    ) {
        let mut kernel = Kernel::with_links(vec![link(2, "eth0", true), link(3, "eth1", true)]);
        for one in &there {
            if let Some(index) = kernel.host.links.iter().find(|it| it.name == one.device).map(|it| it.index) {
                kernel.put(one, index);
            }
        }
        let before = kernel.host.addresses.clone();
        for file in &files {
            kernel.settle(file);
        }
        kernel.settle(&[]);
        prop_assert_eq!(kernel.host.addresses, before);
        prop_assert_eq!(kernel.ledger, BTreeSet::new());
    }

    /// Additions never leave the ledger behind: every step that removes is one of ours.
    #[test]
    fn every_removal_is_of_an_entry_of_the_ledger(file in any_file(), ledger in prop::collection::btree_set(any_wanted().prop_map(|it| it.entry()), 0..5)) {
        let host = Host { links: vec![link(2, "eth0", true), link(3, "eth1", true)], addresses: Vec::new() };
        let mut kernel = Kernel { host, ledger: ledger.clone() };
        for entry in &ledger {
            let wanted = Wanted { address: entry.address, device: entry.device.clone(), label: None, prefix: entry.prefix, broadcast: None, by_class: false };
            let index = kernel.host.links.iter().find(|it| it.name == entry.device).map(|it| it.index);
            if let Some(index) = index {
                kernel.put(&wanted, index);
            }
        }
        for step in look(&file, &kernel.host, &kernel.ledger, Reach::All).steps {
            match step {
                Step::Remove { entry, .. } | Step::Forget(entry) => prop_assert!(ledger.contains(&entry)),
                Step::Add { .. } => {}
            }
        }
    }
}

#[test]
fn three_hundred_on_a_nic_that_is_not_there_are_one_remark() {
    let at = |n: u16| IpAddr::from([10, 1, u8::try_from(n / 256).unwrap(), u8::try_from(n % 256).unwrap()]);
    let absent = (0..300).map(|n| Remark::NoDevice { address: at(n), device: "eth7".into() });
    let other = Remark::NoDevice { address: ip("10.0.0.9"), device: "eth8".into() };
    let down = Remark::DeviceDown { address: ip("10.0.0.9"), device: "eth7".into() };
    let all: BTreeSet<Remark> = absent.chain([other.clone(), down.clone()]).collect();
    let first = Remark::NoDevice { address: at(0), device: "eth7".into() };
    assert_eq!(gathered(all), [(other, 0), (first, 299), (down, 0)]);
}
