//! How soon a dead real server is out of the table, and how often a good one is
//! thrown out, beside keepalived with equal settings: the same servers, the same
//! deaths, one product after the other in the same guest. Prints a table:
//! `cargo test --release --test lab detection_beside_keepalived -- --ignored`. It
//! takes minutes, needs keepalived, and a machine with nothing else to do.
//!
//! Twenty web servers are asked for a page four times a second; an answer may take
//! a second, and two bad ones, a tenth of a second apart, are the verdict. Half of
//! them die in one breath: each is a sample of its own, for their checks have
//! phases of their own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ground::director::{Director, kernel_table};
use crate::ground::lab::Process;
use crate::ground::real_server::{Manner, RealServer};
use crate::ground::wait::{holds_within, wait_until};
use crate::ground::{Lab, long_scenario, tell};
use crate::pair::product::Product;

const SERVICE: &str = "TCP 192.168.142.100:80";

const SERVERS: u8 = 20;

/// So many of them die together.
const VICTIMS: usize = 10;

/// How long nobody dies, for the false verdicts.
const CALM: Duration = Duration::from_secs(60);

/// For a death to be found out, or a life, under any of the conditions.
const PATIENCE: Duration = Duration::from_secs(60);

/// For all of it, on a machine that does something else as well.
const LIMIT: Duration = Duration::from_secs(1800);

/// How a server dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// Its process is killed.
    Killed,
    /// It goes on with the connections it has, and refuses others.
    Refuses,
    /// Its packets are dropped.
    Silent,
}

const DEATHS: [Death; 3] = [Death::Killed, Death::Refuses, Death::Silent];

/// What makes it hard to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hardship {
    None,
    /// Two loops for each processor.
    Busy,
    /// Of each hundred packets one is lost, in each direction.
    Loss,
    /// Each packet to a server takes up to 400 ms, 200 on average.
    Jitter,
    /// All three.
    All,
}

const HARDSHIPS: [(Hardship, &str); 5] = [
    (Hardship::None, "nothing else happens"),
    (Hardship::Busy, "processors busy"),
    (Hardship::Loss, "1 % of all packets lost"),
    (Hardship::Jitter, "200 ms of jitter"),
    (Hardship::All, "all three"),
];

const LOSS: &str = "loss 1%";
const JITTER: &str = "delay 200ms 200ms";

fn address(number: u8) -> String {
    format!("192.168.142.{}", 200 + number)
}

fn destination(number: u8) -> String {
    format!("{}:80", address(number))
}

fn lvs_cf() -> String {
    let mut text = "primary = 192.168.142.160\nservice = lvs\nbackup_active = 0\nnetwork = direct\nvirtual web {\n    active = 1\n    \
         address = 192.168.142.100 eth0:1\n    vip_nmask = 255.255.255.0\n    port = 80\n    scheduler = rr\n    \
         timeout = 1\n    interval = 250ms\n    fall = 2\n    retry = 100ms\n    reentry = 100ms\n    slow_start = 0\n    \
         check http {\n        status = 200\n    }\n"
        .to_owned();
    for number in 1..=SERVERS {
        let _ = write!(
            text,
            "    server s{number} {{\n        address = {}\n        active = 1\n    }}\n",
            address(number)
        );
    }
    text + "}\n"
}

/// The same in keepalived's words.
fn keepalived_conf() -> String {
    let mut text = "virtual_server 192.168.142.100 80 {\n    delay_loop 0.25\n    retry 1\n    delay_before_retry 0.1\n    lb_algo rr\n    \
         lb_kind DR\n    protocol TCP\n"
        .to_owned();
    for number in 1..=SERVERS {
        let _ = write!(
            text,
            "    real_server {} 80 {{\n        HTTP_GET {{\n            url {{\n                path /\n                \
             status_code 200\n            }}\n            connect_timeout 1\n        }}\n    }}\n",
            address(number)
        );
    }
    text + "}\n"
}

/// When a server left the table; more than once is more than one.
type Departures = BTreeMap<String, Vec<Instant>>;

/// Reads the table all the time: when each server left it.
struct Sampler {
    departures: Arc<Mutex<Departures>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    fn start(director: &Director) -> Self {
        let first_pid = director.machine.first_pid();
        let departures = Arc::new(Mutex::new(Departures::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&departures), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut before: Vec<String> = (1..=SERVERS).map(destination).collect();
            while !until.load(Ordering::Relaxed) {
                let now = kernel_table(first_pid).destinations(SERVICE);
                let at = Instant::now();
                let mut departures = into.lock().expect("no panic holds it");
                for gone in before.iter().filter(|it| !now.contains(it)) {
                    departures.entry(gone.clone()).or_default().push(at);
                }
                drop(departures);
                before = now;
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { departures, stop, thread: Some(thread) }
    }

    /// When that server left the table for the first time.
    fn left(&self, number: u8) -> Option<Instant> {
        self.departures.lock().expect("no panic holds it").get(&destination(number))?.first().copied()
    }

    /// How often a server left it.
    fn removals(&self) -> usize {
        self.departures.lock().expect("no panic holds it").values().map(Vec::len).sum()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Site {
    /// Dropped first: they run on it.
    loops: Vec<Process>,
    director: Director,
    servers: Vec<RealServer>,
}

impl Site {
    fn new(lab: &Lab) -> Self {
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let servers = (1..=SERVERS).map(|number| {
            let name = format!("s{number}");
            let mut server = RealServer::new(lab, &name, "front", &[&format!("{}/24", address(number))]);
            server.serve(&["tcp 80"]);
            server
        });
        Self { servers: servers.collect(), loops: Vec::new(), director }
    }

    fn suffer(&mut self, hardship: Hardship) {
        let (busy, loss, jitter) = match hardship {
            Hardship::None => (false, false, false),
            Hardship::Busy => (true, false, false),
            Hardship::Loss => (false, true, false),
            Hardship::Jitter => (false, false, true),
            Hardship::All => (true, true, true),
        };
        let netem = |machine: &crate::ground::Machine, how: &str| {
            machine.run("sh", &["-c", &format!("tc qdisc add dev eth0 root netem {how}")]);
        };
        if loss {
            self.servers.iter().for_each(|server| netem(&server.machine, LOSS));
        }
        match (loss, jitter) {
            (false, false) => {}
            (true, false) => netem(&self.director.machine, LOSS),
            (false, true) => netem(&self.director.machine, JITTER),
            (true, true) => netem(&self.director.machine, &format!("{JITTER} {LOSS}")),
        }
        if busy {
            let count = 2 * std::thread::available_parallelism().map_or(1, usize::from);
            self.loops.extend((0..count).map(|_| {
                let mut command = Command::new("sh");
                command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
                self.director.machine.start(command)
            }));
        }
    }

    fn recover(&mut self) {
        self.loops.clear();
        for machine in self.servers.iter().map(|server| &server.machine).chain([&self.director.machine]) {
            machine.output("sh", &["-c", "tc qdisc del dev eth0 root 2>/dev/null"]);
        }
    }

    /// How many connections the director has begun: one is a check, but for the few
    /// idle ones.
    fn begun(&self) -> u64 {
        let path = format!("/proc/{}/net/snmp", self.director.machine.first_pid());
        let text = std::fs::read_to_string(path).expect("the kernel's counters");
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, numbers) = (lines.next().expect("names"), lines.next().expect("numbers"));
        let at = names.split_whitespace().position(|name| name == "ActiveOpens").expect("its name");
        numbers.split_whitespace().nth(at).and_then(|word| word.parse().ok()).expect("its number")
    }

    fn wait_for_all(&self) {
        let whole = || self.director.kernel_table().destinations(SERVICE).len() == usize::from(SERVERS);
        wait_until(PATIENCE, "all servers are in the table", whole);
    }

    /// How long each victim stayed in the table.
    fn die(&mut self, death: Death) -> Vec<Option<Duration>> {
        self.wait_for_all();
        let sampler = Sampler::start(&self.director);
        let mut died = Vec::new();
        for (number, server) in (1..).zip(&mut self.servers[..VICTIMS]) {
            let at = Instant::now();
            match death {
                Death::Killed => server.kill(),
                Death::Refuses => server.behave(80, Manner::Refuse),
                Death::Silent => filter(server, "-I INPUT -p tcp -j DROP"),
            }
            // Of a program that is started to do it, the end is when it is done.
            died.push((number, if matches!(death, Death::Silent) { Instant::now() } else { at }));
        }
        holds_within(PATIENCE, || died.iter().all(|(number, _)| sampler.left(*number).is_some()));
        let took = died.iter().map(|(number, at)| Some(sampler.left(*number)?.saturating_duration_since(*at)));
        let took = took.collect();
        for server in &mut self.servers[..VICTIMS] {
            match death {
                Death::Killed => server.start(),
                Death::Refuses => server.behave(80, Manner::Answer),
                Death::Silent => filter(server, "-F INPUT"),
            }
        }
        took
    }
}

fn filter(server: &RealServer, rule: &str) {
    server.machine.run("sh", &["-c", &format!("iptables-legacy {rule} || iptables {rule}")]);
}

/// What one product did under one hardship.
struct Taken {
    deaths: Vec<Vec<Option<Duration>>>,
    checks: u64,
    removals: usize,
}

impl Taken {
    fn row(&self) -> String {
        let deaths: Vec<String> = self.deaths.iter().map(|took| cell(took)).collect();
        format!(" {} | {} in {} |", deaths.join(" | "), self.removals, self.checks)
    }
}

/// Median and worst; one that was never found out is worst.
fn cell(took: &[Option<Duration>]) -> String {
    let mut known: Vec<Duration> = took.iter().copied().flatten().collect();
    known.sort();
    let never = took.len() - known.len();
    let (median, worst) = (known.get(took.len() / 2).copied(), known.last().copied());
    let ms = |time: Option<Duration>| time.map_or("never".to_owned(), |time| format!("{} ms", time.as_millis()));
    if never > 0 { format!("{} ({never} never)", ms(median)) } else { format!("{} ({})", ms(median), ms(worst)) }
}

/// One product from its start to its end.
fn measure(site: &mut Site, product: Product, (hardship, what): (Hardship, &str)) -> Taken {
    product.write(&site.director, &lvs_cf(), &keepalived_conf());
    product.start(&site.director);
    site.wait_for_all();
    site.suffer(hardship);
    let (sampler, begun) = (Sampler::start(&site.director), site.begun());
    std::thread::sleep(CALM);
    let (removals, checks) = (sampler.removals(), site.begun() - begun);
    drop(sampler);
    let deaths = DEATHS.iter().map(|death| site.die(*death)).collect();
    site.wait_for_all();
    site.recover();
    product.stop(&site.director);
    let taken = Taken { deaths, checks, removals };
    tell::figure(&format!("{product:?}, {what}: {}", taken.row()));
    taken
}

#[test]
#[ignore = "not a test: prints a table, in minutes"]
fn detection_beside_keepalived() {
    long_scenario(LIMIT, |lab| {
        let mut site = Site::new(lab);
        let mut text =
            "\n| | killed | refuses | silent | removed for nothing |\n| --- | --- | --- | --- | --- |\n".to_owned();
        for hardship in HARDSHIPS {
            // One after the other: what else this machine does disturbs both alike.
            let theirs = measure(&mut site, Product::Keepalived, hardship);
            let ours = measure(&mut site, Product::Ours, hardship);
            let (what, theirs, ours) = (hardship.1, theirs.row(), ours.row());
            let _ = writeln!(text, "| {what}: keepalived |{theirs}\n| {what}: piranha-ng |{ours}");
        }
        tell::figure(&text);
    });
}
