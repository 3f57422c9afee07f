//! Fifty random reloads under load: what stays serves every connection, the table
//! is what the file says after each, and nannies that did not change keep their
//! processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use crate::ground::client::{Client, Pace};
use crate::ground::director::Director;
use crate::ground::random::Random;
use crate::ground::real_server::RealServer;
use crate::ground::table::Table;
use crate::ground::wait::{SOON, holds_within, wait_until};
use crate::ground::{Machine, scenario};

const RELOADS: usize = 50;
/// 200 a second, as far as the machine bears them. Who is dropped by a director is
/// never answered; who waits for a busy machine is.
const PACE: Pace = Pace { every: Duration::from_millis(5), patience: Duration::from_secs(30), under_way_max: 50 };
/// So are checks: what is shown is what reloads cost, not what a failed check does.
const TIMEOUT: u64 = 20;
/// Beyond the drain and some looks of lvsd.
const SETTLED: Duration = Duration::from_secs(120);
const SCHEDULERS: [&str; 4] = ["rr", "wlc", "lc", "wrr"];
const SERVERS: [u8; 5] = [151, 152, 153, 154, 155];

/// A virtual as the file has it.
#[derive(Clone, Debug)]
struct Virtual {
    scheduler: &'static str,
    persistent: u64,
    port: u16,
    mark: u64,
    timeout: u64,
    quiesce: bool,
    sorry: bool,
    /// Weight and whether it is active, by the last byte of the address.
    servers: BTreeMap<u8, (u64, bool)>,
}

impl Virtual {
    fn new(servers: &[u8]) -> Self {
        let servers = servers.iter().map(|server| (*server, (1, true))).collect();
        let (scheduler, persistent, port, mark) = ("rr", 0, 80, 0);
        Self { scheduler, persistent, port, mark, timeout: TIMEOUT, quiesce: false, sorry: false, servers }
    }
}

/// The file: virtuals 100 (which stays) to 104.
#[derive(Clone, Debug)]
struct Model {
    virtuals: BTreeMap<u8, Virtual>,
}

impl Model {
    fn new() -> Self {
        let virtuals = [(100, Virtual::new(&[151, 152, 153])), (101, Virtual::new(&[151, 154]))];
        Self { virtuals: virtuals.into() }
    }

    /// One thing becomes another; in words.
    fn edit(&mut self, random: &mut Random) -> String {
        let last = 101 + u8::try_from(random.below(4)).expect("small");
        if random.below(4) == 0 {
            if self.virtuals.remove(&last).is_some() {
                return format!("no virtual {last}");
            }
            let (one, two) = (random.of(&SERVERS), random.of(&SERVERS));
            self.virtuals.insert(last, Virtual::new(&[one, two]));
            return format!("virtual {last} with {one} and {two}");
        }
        let is_spare = random.toss() && self.virtuals.contains_key(&last);
        let key = if is_spare { last } else { 100 };
        let what = self.virtuals.get_mut(&key).expect("it is there");
        let server = random.of(&SERVERS);
        // What stays serves from these two all the time.
        let is_fixed = key == 100 && server <= 152;
        match random.below(if key == 100 { 5 } else { 9 }) {
            0 => what.scheduler = random.of(&SCHEDULERS),
            1 => what.timeout = TIMEOUT + random.below(4),
            2 => what.quiesce = !what.quiesce,
            3 => {
                let weight = 1 + random.below(5);
                what.servers.entry(server).or_insert((1, true)).0 = weight;
            }
            4 if is_fixed => what.servers.entry(server).or_insert((1, true)).0 += 1,
            4 => match what.servers.get(&server) {
                Some(_) if random.toss() => drop(what.servers.remove(&server)),
                Some((weight, active)) => drop(what.servers.insert(server, (*weight, !active))),
                None => drop(what.servers.insert(server, (2, true))),
            },
            5 => what.persistent = random.of(&[0, 60, 300]),
            6 => what.port = random.of(&[80, 81]),
            7 => what.mark = if what.mark == 0 { u64::from(key) } else { 0 },
            _ => what.sorry = !what.sorry,
        }
        format!("{key}: {:?}", self.virtuals[&key])
    }

    fn file(&self) -> String {
        let mut text = "primary = 192.168.142.160\nservice = lvs\nbackup_active = 0\nnetwork = direct\n".to_owned();
        // So that finished connections do not keep a drained server for two minutes.
        text += "tcpfin_timeout = 1\n";
        for (last, what) in &self.virtuals {
            let Virtual { scheduler, persistent, port, mark, timeout, quiesce, sorry, servers } = what;
            // In use when it has no real server; its servers are all well.
            let sorry = if *sorry { " sorry_server = 192.168.142.156\n" } else { "" };
            // Longer than a connection may take.
            let drain = if *last == 100 { PACE.patience.as_secs() + 10 } else { 0 };
            write!(
                text,
                "virtual v{last} {{\n active = 1\n address = 192.168.142.{last} eth0:{last}\n vip_nmask = 255.255.255.0\n \
                 port = {port}\n fwmark = {mark}\n persistent = {persistent}\n scheduler = {scheduler}\n \
                 timeout = {timeout}\n reentry = {timeout}\n quiesce_server = {}\n drain = {drain}\n{sorry}",
                u8::from(*quiesce)
            )
            .expect("a String takes all");
            for (server, (weight, active)) in servers {
                write!(
                    text,
                    " server s{server} {{\n address = 192.168.142.{server}\n active = {}\n weight = {weight}\n }}\n",
                    u8::from(*active)
                )
                .expect("a String takes all");
            }
            text += "}\n";
        }
        text
    }

    /// How many nannies that takes: one for all virtuals that check a server alike.
    fn checks(&self) -> usize {
        let of = |what: &Virtual| {
            let active = what.servers.iter().filter(|(_, (_, active))| *active);
            active.map(|(server, _)| (*server, what.port, what.timeout)).collect::<Vec<_>>()
        };
        self.virtuals.values().flat_map(of).collect::<BTreeSet<_>>().len()
    }

    /// What the kernel should have, as the table is printed without its counts.
    fn table(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for (last, what) in &self.virtuals {
            let Virtual { scheduler, persistent, port, mark, servers, .. } = what;
            let service = if *mark == 0 { format!("TCP 192.168.142.{last}:{port}") } else { format!("FWM {mark}") };
            let flags = if *persistent == 0 { String::new() } else { format!("persistent {persistent}") };
            lines.insert(format!("{service} {scheduler} {flags}"));
            let active: Vec<_> = servers.iter().filter(|(_, (_, active))| *active).collect();
            for (server, (weight, _)) in &active {
                lines.insert(format!("{service} -> 192.168.142.{server}:{port} Route {weight}"));
            }
            if active.is_empty() && what.sorry {
                lines.insert(format!("{service} -> 192.168.142.156:{port} Route 1"));
            }
        }
        lines
    }
}

/// The same of the kernel.
fn lines(table: &Table) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for service in &table.services {
        lines.insert(format!("{} {} {}", service.key, service.scheduler, service.flags));
        for it in &service.destinations {
            lines.insert(format!("{} -> {} {} {}", service.key, it.address, it.method, it.weight));
        }
    }
    lines
}

/// The nannies by their command lines.
fn nannies(director: &Director) -> BTreeMap<Vec<String>, u32> {
    director.machine.processes("nanny").into_iter().map(|pid| (Machine::command_line(pid), pid)).collect()
}

fn seed() -> u64 {
    let given = std::env::var("PIRANHA_SEED").ok().and_then(|text| text.parse().ok());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    given.unwrap_or_else(clock)
}

#[test]
fn fifty_random_reloads_under_load_cost_what_stays_no_connection() {
    scenario(|lab| {
        let seed = seed();
        eprintln!("PIRANHA_SEED={seed}");
        let mut random = Random::new(seed);
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
        let _servers = SERVERS.map(|last| {
            let mut server = RealServer::new(lab, &format!("s{last}"), "front", &[&format!("192.168.142.{last}/24")]);
            server.direct_routing("192.168.142.100/32");
            server.serve(&["tcp 80", "tcp 81"]);
            server
        });
        // A scheduler's module is loaded with its first use. That is a process of the
        // kernel's, for which lvsd waits: seconds on a busy machine, ten of which are
        // a frozen lvsd to pulse.
        for scheduler in SCHEDULERS {
            director.ipvsadm(&format!("-A -t 192.0.2.1:1 -s {scheduler}"));
            director.ipvsadm("-D -t 192.0.2.1:1");
        }
        let mut model = Model::new();
        director.configure(&model.file());
        director.start_pulse();
        director.wait_for_destinations(
            "TCP 192.168.142.100:80",
            &["192.168.142.151:80", "192.168.142.152:80", "192.168.142.153:80"],
        );
        director.wait_for_address("192.168.142.100/24");
        let load = client.open_connections("192.168.142.100:80", PACE);
        load.wait_for_served(50);
        let from = Instant::now();
        let start = director.log.mark();
        let mut kept = 0;
        for number in 0..RELOADS {
            let before = nannies(&director);
            let mark = director.log.mark();
            let edits: Vec<String> = (0..=random.below(5)).map(|_| model.edit(&mut random)).collect();
            director.configure(&model.file());
            director.signal_pulse(Signal::SIGHUP);
            director.log.wait_for(mark, "configuration file reread:");
            let wanted = model.table();
            let same = || lines(&director.table()) == wanted;
            assert!(
                holds_within(SETTLED, same),
                "reload {number}, seed {seed}: the table is not the plan's after\n{}\nwanted\n{}",
                edits.join("\n"),
                wanted.iter().cloned().collect::<Vec<_>>().join("\n")
            );
            let monitored = model.checks();
            wait_until(SOON, "as many nannies as checks", || director.machine.processes("nanny").len() == monitored);
            let after = nannies(&director);
            for (line, pid) in &before {
                if let Some(now) = after.get(line) {
                    assert_eq!(now, pid, "reload {number}, seed {seed}: a nanny that did not change: {line:?}");
                    kept += 1;
                }
            }
        }
        let to = Instant::now();
        let failed = load.failed_between(from, to);
        for connection in &failed {
            let at = SystemTime::now() - connection.at.elapsed();
            let at = at.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() % 86_400);
            eprintln!("seed {seed}: opened at {:02}:{:02}:{:02}: {connection:?}", at / 3600, at / 60 % 60, at % 60);
        }
        load.assert_none_failed(from, to);
        assert!(kept > RELOADS, "hardly anything stayed: nothing is shown");
        director.log.assert_never(start, "died");
        eprintln!("{} connections, {kept} times a nanny kept its process", load.between(from, to).len());
    });
}
