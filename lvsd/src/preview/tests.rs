use std::fmt::Write as _;

use common::ipvs::fake::Fake;
use common::ipvs::{Agreement as _, Destination, ForwardingMethod, Ipvs, Protocol, Service, Timeouts};
use proptest::prelude::*;

use super::*;
use crate::hands::Kernel;
use crate::nanny_command::Manner;
use crate::plan::Why;
use crate::wanted::tests::config;

fn wanted(text: &str) -> Wanted {
    Wanted::new(&config(text), Path::new(DEFAULT_MONITOR), &Manner::default()).0
}

fn key(last: u8) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, last].into(), port: 80 }
}

/// A director: its kernel, its ledger, and the nannies that run, whose servers are
/// all well.
struct Site {
    fake: Fake,
    kernel: Kernel<Fake>,
    ledger: Ledger,
    found: Vec<Found>,
}

impl Site {
    fn new() -> Self {
        let fake = Fake::default();
        Self { kernel: Kernel::new(fake.clone()), fake, ledger: Ledger::default(), found: Vec::new() }
    }

    fn plan(&mut self, wanted: &Wanted) -> Vec<Item> {
        let keys: Vec<ServiceKey> = self.kernel.services().unwrap().into_keys().collect();
        let table = self.kernel.table(&keys).unwrap();
        let world =
            World { table: &table, ledger: &self.ledger, found: &self.found, since_boot: Duration::from_secs(100) };
        preview(wanted, &world, |_| Standby::Undecided)
    }

    fn say(&mut self, text: &str) -> Vec<String> {
        self.plan(&wanted(text)).iter().map(ToString::to_string).collect()
    }

    /// Plans it and does it.
    fn reload(&mut self, wanted: &Wanted) -> Vec<Item> {
        let items = self.plan(wanted);
        for virtuals in &wanted.virtuals {
            self.ledger.services.insert(virtuals.service.key, virtuals.name.clone());
        }
        for item in &items {
            self.perform(item);
        }
        let is_wanted: HashSet<Target> = wanted.monitors().map(|monitor| monitor.target).collect();
        self.ledger.leaving.retain(|target, _| !is_wanted.contains(target));
        self.ledger.drains = wanted.monitors().filter_map(|monitor| Some((monitor.target, monitor.drain?))).collect();
        items
    }

    fn perform(&mut self, item: &Item) {
        match item {
            Item::Start(monitor) | Item::Join(monitor) | Item::Tell(monitor, _) | Item::Replace(monitor, _) => {
                self.found.retain(|found| found.target != monitor.target);
                let Monitor { target, program, arguments, place, assignment, .. } = (**monitor).clone();
                self.found.push(Found { target, program, arguments, place, assignment });
                let destination = Destination::new(target.destination, ForwardingMethod::Masquerade, 1);
                self.fake.add_destination(&target.service, &destination).or_exists().unwrap();
            }
            Item::Stop(Departure { target, stay, name, server, .. }) => {
                self.found.retain(|found| found.target != *target);
                match stay {
                    None => {
                        self.fake.delete_destination(&target.service, &target.destination).or_absent().unwrap();
                    }
                    Some(stay) => {
                        let (name, server) = (name.clone(), server.clone());
                        let left = Left { name, server, weight: 1, drain: stay.drain, until: None, wait: stay.wait };
                        self.ledger.leaving.insert(*target, left);
                    }
                }
            }
            Item::Step(step) => {
                self.kernel.apply(step).unwrap();
                match step {
                    Step::Drain { service, destination, .. } => {
                        let target = Target { service: *service, destination: destination.key };
                        let until = Some(Duration::from_secs(160));
                        self.ledger.leaving.entry(target).and_modify(|left| left.until = until);
                        self.fake.set_connections(service, &destination.key, 3, 0);
                    }
                    Step::RemoveDestination { service, destination, .. } => {
                        self.ledger.leaving.remove(&Target { service: *service, destination: *destination });
                    }
                    Step::Return { service, destination, .. } => {
                        self.ledger.leaving.remove(&Target { service: *service, destination: destination.key });
                    }
                    Step::DeleteService { key, .. } => {
                        self.ledger.services.remove(key);
                    }
                    Step::SetTimeouts(_)
                    | Step::AddService { .. }
                    | Step::EditService { .. }
                    | Step::AddSorry { .. }
                    | Step::EditSorry { .. } => {}
                }
            }
            Item::Draining { .. } | Item::Later(_) => {}
        }
    }

    fn finish_connections(&mut self) {
        for target in self.ledger.leaving.keys() {
            self.fake.set_connections(&target.service, &target.destination, 0, 0);
        }
    }
}

const ONE: &str = "virtual web {\n active = 1\n address = 192.0.2.1 eth0:1\n drain = 60\n \
                   server a {\n address = 10.0.0.3\n active = 1\n }\n server b {\n address = 10.0.0.4\n active = 1\n }\n}\n";

#[test]
fn a_start_a_quiet_reload_and_edits_are_said_in_words() {
    let mut site = Site::new();
    let command = |server| {
        format!(
            "/usr/sbin/nanny -c -h 10.0.0.{server} -p 80 -r 80 -a 180 -I /sbin/ipvsadm -t 10 -w 1 -V 192.0.2.1 -M m \
             --lvs"
        )
    };
    assert_eq!(
        site.say(ONE),
        [
            "add virtual service web: tcp 192.0.2.1:80, scheduler wlc".to_owned(),
            format!("start nanny for child web/a: {}", command(3)),
            format!("start nanny for child web/b: {}", command(4)),
        ]
    );
    site.reload(&wanted(ONE));
    assert!(site.say(ONE).is_empty());
    assert_eq!(
        site.say(&ONE.replace("drain = 60", "scheduler = rr\n timeout = 6\n send = \"GET /\"")),
        [
            "change virtual service web (tcp 192.0.2.1:80): scheduler wlc -> rr",
            "replace nanny for child web/a: -t 10 -> -s 'GET /' -t 6; 10.0.0.3:80 stays",
            "replace nanny for child web/b: -t 10 -> -s 'GET /' -t 6; 10.0.0.4:80 stays",
        ]
    );
    assert!(site.say(&ONE.replace("drain = 60", "drain = 61")).is_empty(), "how it leaves is no change of what is");
}

#[test]
fn leaving_draining_and_coming_back_are_said_in_words() {
    let mut site = Site::new();
    site.reload(&wanted(ONE));
    let without_b = ONE.replace("10.0.0.4\n active = 1", "10.0.0.4\n active = 0");
    let stop = "stop nanny for child web/10.0.0.4:80: 10.0.0.4:80 stays";
    assert_eq!(site.say(&without_b), [stop, "drain 10.0.0.4:80 of web/10.0.0.4:80: 0 connections, 60 s at most"]);
    site.reload(&wanted(&without_b));
    let draining = "10.0.0.4:80 of web/10.0.0.4:80 is draining: 3 connections, 59 s at most";
    let said = site.say(&without_b);
    assert!(said == [draining] || said == [draining.replace("59", "60")], "{said:?}");
    assert!(!site.plan(&wanted(&without_b)).iter().any(Item::is_act));
    let said = site.say(ONE);
    assert_eq!(said[0], "give 10.0.0.4:80 of web/10.0.0.4:80 its weight back: 1");
    assert!(said[1].starts_with("start nanny for child web/b") && said.len() == 2, "{said:?}");
    let said = site.say("network = nat\n");
    assert_eq!(
        said.last().unwrap(),
        "delete virtual service web: tcp 192.0.2.1:80, when its last real server has gone"
    );
    site.finish_connections();
    assert_eq!(site.say(&without_b), ["remove 10.0.0.4:80 from web/10.0.0.4:80"]);
}

#[test]
fn a_new_identity_is_there_before_the_old_goes() {
    let mut site = Site::new();
    let one = ONE.replace(" drain = 60\n", "");
    site.reload(&wanted(&one));
    let said = site.say(&one.replace("active = 1\n address = 192", "active = 1\n fwmark = 5\n address = 192"));
    let order: Vec<&str> =
        said.iter().map(|line| line.split_once(" nanny").map_or(line.as_str(), |(verb, _)| verb)).collect();
    assert_eq!(
        order,
        [
            "add virtual service web: mark 5, scheduler wlc",
            "start",
            "start",
            "stop",
            "remove 10.0.0.3:80 from web/10.0.0.3:80",
            "stop",
            "remove 10.0.0.4:80 from web/10.0.0.4:80",
            "delete virtual service web: tcp 192.0.2.1:80",
        ]
    );
    assert!(said[3].ends_with("10.0.0.3:80 stays until the new servers of mark 5 are judged"), "{said:?}");
}

#[test]
fn a_monitor_is_known_by_its_command_line() {
    let place = "tcp-192.0.2.1-80-10.0.0.3-8080";
    let line = "/opt/nanny -c -h 10.0.0.3 -p 80 -r 8080 -V 192.0.2.1 -M g --lvs ";
    let read = |line: &str| match Process::read(&line.replace(' ', "\0"))? {
        Process::Monitor(found) => Some(found),
        Process::Shared { .. } => panic!("it keeps one destination"),
    };
    let found = read(line).unwrap();
    assert_eq!((found.program.to_str(), found.place.as_str(), found.is_nanny()), (Some("/opt/nanny"), place, true));
    let script = read(&format!("/bin/sh {}", line.replace("nanny", "own"))).unwrap();
    assert_eq!((script.program.to_str(), &script.arguments), (Some("/opt/own"), &found.arguments));
    assert!(!script.is_nanny());
    for other in ["", " ", "/bin/sh -c x ", "nanny -c --lvs ", "/opt/nanny -h 10.0.0.3 -V 192.0.2.1 "] {
        assert_eq!(read(other), None, "{other:?}");
    }
}

/// A random file: virtuals 1 to 4, each with some of six servers.
fn any_file() -> impl Strategy<Value = String> {
    let server = (1..=6_u8, any::<bool>(), 1..4_u8, proptest::option::of(0..3_u8));
    let servers = proptest::collection::btree_map(1..=6_u8, server, 0..5);
    let one = (servers, prop_oneof![Just("rr"), Just("wlc")], 0..2_u8, 0..3_u8, 5..8_u8, 80..82_u16);
    let network = prop_oneof![Just("nat"), Just("direct")];
    (proptest::collection::btree_map(1..=4_u8, one, 0..4), network).prop_map(|(virtuals, network)| {
        let mut text = format!("network = {network}\n");
        for (last, (servers, scheduler, drain, mark, timeout, port)) in virtuals {
            let mark = if mark == 2 { last } else { 0 };
            let drain = u32::from(drain) * 60;
            writeln!(text, "virtual v{last} {{\n active = 1\n address = 192.0.2.{last} eth0:{last}").unwrap();
            writeln!(text, " scheduler = {scheduler}\n drain = {drain}\n fwmark = {mark}\n timeout = {timeout}")
                .unwrap();
            for (server, (_, active, weight, own)) in servers {
                writeln!(text, " server s{server} {{\n address = 10.0.0.{server}\n port = {port}").unwrap();
                writeln!(text, " active = {}\n weight = {weight}", u8::from(active)).unwrap();
                if let Some(own) = own {
                    writeln!(text, " drain = {own}").unwrap();
                }
                text += " }\n";
            }
            text += "}\n";
        }
        text
    })
}

/// What makes, and what breaks, by place in the list: everything that comes is
/// there before anything that leaves goes.
fn breaks(item: &Item) -> Option<bool> {
    match item {
        Item::Start(_) | Item::Join(_) | Item::Tell(..) | Item::Replace(..) => Some(false),
        Item::Step(
            Step::AddService { .. } | Step::EditService { .. } | Step::AddSorry { .. } | Step::EditSorry { .. },
        ) => Some(false),
        Item::Step(Step::Return { .. }) => Some(false),
        Item::Stop(_) | Item::Step(Step::DeleteService { .. } | Step::Drain { .. }) => Some(true),
        Item::Step(Step::RemoveDestination { why: Why::Left | Why::Drained { .. }, .. }) => Some(true),
        // Nobody's destinations, and what concerns none.
        Item::Step(Step::RemoveDestination { .. } | Step::SetTimeouts(_)) | Item::Draining { .. } | Item::Later(_) => {
            None
        }
    }
}

proptest! {
    #[test]
    fn a_plan_that_was_done_leaves_nothing_to_do_and_keeps_its_order(files in proptest::collection::vec(any_file(), 2..5)) {
        let mut site = Site::new();
        let stranger = Service::new(key(77), "rr");
        site.fake.add_service(&stranger).unwrap();
        let guest = Destination::new(common::ipvs::DestinationKey { address: [10, 0, 0, 9].into(), port: 80 }, ForwardingMethod::Masquerade, 1);
        site.fake.add_destination(&key(77), &guest).unwrap();
        for file in &files {
            let wanted = wanted(file);
            let running: Vec<Found> = site.found.clone();
            let items = site.reload(&wanted);
            let order: Vec<bool> = items.iter().filter_map(breaks).collect();
            prop_assert!(order.is_sorted(), "{:?}", items);
            for monitor in wanted.monitors() {
                let same = |found: &&Found| found.target == monitor.target && found.arguments == monitor.arguments;
                if running.iter().any(|found| same(&found)) {
                    let touched = items.iter().any(|item| matches!(item, Item::Start(it) | Item::Join(it) | Item::Replace(it, _) if it == monitor));
                    prop_assert!(!touched, "what did not change keeps its process");
                }
            }
            let again = site.plan(&wanted);
            prop_assert!(!again.iter().any(Item::is_act), "{:?}", again);
        }
        // The connections end: what drained goes, then what is empty.
        let last = wanted(files.last().unwrap());
        site.finish_connections();
        site.reload(&last);
        site.reload(&last);
        prop_assert_eq!(site.plan(&last), vec![]);
        let services: HashSet<ServiceKey> = site.kernel.services().unwrap().into_keys().collect();
        let asked: HashSet<ServiceKey> = last.virtuals.iter().map(|it| it.service.key).chain([key(77)]).collect();
        prop_assert_eq!(services, asked);
        for virtuals in &last.virtuals {
            let has: HashSet<_> = site.kernel.destinations(&virtuals.service.key).unwrap().iter().map(|it| it.key).collect();
            let asked: HashSet<_> = virtuals.monitors.iter().map(|it| it.target.destination).collect();
            prop_assert_eq!(has, asked);
        }
        prop_assert_eq!(site.kernel.destinations(&key(77)).unwrap(), vec![guest]);
        prop_assert_eq!(site.kernel.service(&key(77)).unwrap(), Some(stranger));
        prop_assert_eq!(site.kernel.timeouts().unwrap(), Kernel::new(Fake::default()).timeouts().unwrap_or(Timeouts::default()));
    }
}

#[test]
fn a_command_line_is_printed_as_one_would_type_it() {
    let arguments: Arguments = ["-s", "GET / HTTP/1.0\\r\\n", "-x", "", "it's", "-h", "10.0.0.1"].iter().collect();
    assert_eq!(
        shell_words(Path::new("/usr/sbin/nanny"), &arguments),
        "/usr/sbin/nanny -s 'GET / HTTP/1.0\\r\\n' -x '' 'it'\\''s' -h 10.0.0.1"
    );
}
