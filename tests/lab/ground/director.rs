//! A director: a machine with a syslogd, the configuration, the daemons under
//! test, and the kernel's table to look at.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::channel::{Said, join};

use super::lab::SUITE;
use super::log::Syslog;
use super::table::Table;
use super::wait::{SOON, holds_within, wait_until};
use super::{Lab, Machine, tell};

/// The daemons under test, as Cargo just built them.
pub const PULSE: &str = env!("CARGO_BIN_EXE_pulse");
/// See [`PULSE`].
pub const LVSD: &str = env!("CARGO_BIN_EXE_lvsd");

/// Where operators have their configuration.
pub const LVS_CF: &str = "/etc/sysconfig/ha/lvs.cf";

/// A machine that balances.
pub struct Director {
    /// Its syslogd. Dropped before the machine it runs on.
    pub log: Syslog,
    /// The machine.
    pub machine: Machine,
}

impl Director {
    /// A machine called `name` on `network`, with an address, a syslogd and
    /// forwarding on, and no daemon yet.
    pub fn new(lab: &Lab, name: &str, network: &str, addresses: &[&str]) -> Self {
        let machine = lab.machine(name);
        lab.plug(&machine, network, "eth0", addresses);
        machine.sysctl("net.ipv4.ip_forward", "1");
        machine.sysctl("net.ipv6.conf.all.forwarding", "1");
        let log = Syslog::start(&machine);
        Self { log, machine }
    }

    /// Writes lvs.cf.
    pub fn configure(&self, text: &str) {
        self.machine.write(LVS_CF, text);
    }

    /// Starts pulse as an init script does, in daemon mode; it must succeed.
    pub fn start_pulse(&self) {
        let output = self.try_pulse(&[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pulse: {}: {said}{}", output.status, String::from_utf8_lossy(&output.stdout));
    }

    /// Starts pulse with these options and waits until the command returns.
    pub fn try_pulse(&self, options: &[&str]) -> Output {
        self.machine.output(PULSE, options)
    }

    /// `service pulse stop`, as far as the process goes: TERM to the process in
    /// the pid file, and everything of the suite is gone.
    pub fn stop_pulse(&self) {
        self.signal_pulse(nix::sys::signal::Signal::SIGTERM);
        wait_until(SOON, "pulse, lvsd and all nannies end", || self.daemons().is_empty());
    }

    /// What a loss of power leaves of daemons that are gone: no address that they
    /// added, no table, nothing in /run.
    pub fn forget(&self) {
        let shell = "ip -o -4 addr show label '*:*' | while read -r _ device _ address _; do \
                     ip addr del \"$address\" dev \"$device\"; done; ipvsadm -C; rm -rf /run/piranha-ng /run/*.pid";
        self.machine.run("sh", &["-c", shell]);
    }

    /// A signal to the process in /var/run/pulse.pid.
    pub fn signal_pulse(&self, signal: nix::sys::signal::Signal) {
        let text = fs::read_to_string(self.machine.path("/run/pulse.pid")).expect("/var/run/pulse.pid");
        let pid = self.machine.outer_pid(text.trim().parse().expect("a pid")).expect("pulse runs");
        super::lab::signal(pid, signal);
    }

    /// The suite's processes on this director, with their names.
    pub fn daemons(&self) -> Vec<(u32, String)> {
        let all = self.machine.all_processes().into_iter();
        all.filter(|(_, name)| SUITE.iter().any(|daemon| name.starts_with(daemon))).collect()
    }

    /// The nanny of a real server (`-h RIP`), if it runs.
    pub fn nanny(&self, rip: &str) -> Option<u32> {
        self.machine.processes("nanny").into_iter().find(|pid| {
            let line = Machine::command_line(*pid);
            line.windows(2).any(|pair| pair == ["-h", rip])
        })
    }

    /// Waits until so many nannies run and each answers at its meeting place. One that
    /// does not yet ends with the lvsd that started it, which nobody else could know of.
    pub fn wait_until_met(&self, nannies: usize) {
        let deadline = Duration::from_secs(2);
        let answering = || {
            self.machine.inside(move || {
                let places = fs::read_dir("/run/piranha-ng/nanny").into_iter().flatten().flatten();
                let answers = |place: &fs::DirEntry| {
                    let Ok(line) = join(&place.path()) else { return false };
                    let says_hello = |said| matches!(said, Said::Hello { .. }).then_some(());
                    line.wait_for(Said::decode, Instant::now() + deadline, says_hello).is_ok_and(|said| said.is_some())
                };
                places.filter(answers).count()
            })
        };
        wait_until(SOON, &format!("{nannies} nannies that answer at their meeting places"), || {
            self.machine.processes("nanny").len() == nannies && answering() == nannies
        });
    }

    /// `ipvsadm` with these words; it must succeed.
    pub fn ipvsadm(&self, words: &str) -> String {
        self.machine.run("ipvsadm", &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Marks TCP packets to that port, as the guides tell operators to for a
    /// service with `fwmark`. The kernel of a guest has no nftables, and the one of
    /// a recent RHEL no other.
    pub fn mark(&self, vip: &str, port: u16, mark: u32) {
        let (port, mark) = (port.to_string(), mark.to_string());
        let rule = [
            "-t",
            "mangle",
            "-A",
            "PREROUTING",
            "-p",
            "tcp",
            "-d",
            vip,
            "--dport",
            &port,
            "-j",
            "MARK",
            "--set-mark",
            &mark,
        ];
        let shell = format!("iptables-legacy {0} || iptables {0}", rule.join(" "));
        // One that is interrupted while the kernel loads what it needs fails.
        wait_until(SOON, &format!("iptables {}", rule.join(" ")), || {
            self.machine.output("sh", &["-c", &shell]).status.success()
        });
    }

    /// The kernel's table as ipvsadm tells it.
    pub fn table(&self) -> Table {
        Table::from_ipvsadm(&self.ipvsadm("-Ln"))
    }

    /// The same as /proc tells it: no process is started, so it can be asked often.
    pub fn kernel_table(&self) -> Table {
        kernel_table(self.machine.first_pid())
    }

    /// Waits until the destinations of a service are exactly these (`RIP:PORT`).
    pub fn wait_for_destinations(&self, service: &str, wanted: &[&str]) {
        let same = || self.kernel_table().destinations(service) == wanted;
        assert!(holds_within(SOON, same), "waited in vain: {service} has {wanted:?}\n{}", self.kernel_table());
    }

    /// Whether an interface has this address (`192.0.2.100/24`).
    pub fn has_address(&self, address: &str) -> bool {
        self.machine.run("ip", &["-o", "addr", "show"]).split_whitespace().any(|word| word == address)
    }

    /// Waits until the VIP is up.
    pub fn wait_for_address(&self, address: &str) {
        wait_until(SOON, &format!("{address} is up on {}", self.machine.name()), || self.has_address(address));
    }

    /// Watches the table and the addresses from now on.
    pub fn watch(&self) -> Watch {
        Watch::start(self.machine.first_pid(), Duration::from_millis(10))
    }

    /// The same as often as a guest's one processor allows, for what may be short.
    pub fn watch_closely(&self) -> Watch {
        Watch::start(self.machine.first_pid(), Duration::from_micros(500))
    }

    /// For the story: the table, and the log behind the mark.
    pub fn show(&self, mark: usize) {
        if tell::tells() {
            tell::show(&self.log.since(mark).join("\n"));
            tell::show(&self.ipvsadm("-Ln"));
        }
    }

    /// Runs a daemon in the foreground with its output kept, to its end.
    pub fn run_daemon(&self, program: &str, options: &[&str]) -> Output {
        self.machine.output(program, options)
    }
}

impl Drop for Director {
    /// A scenario that failed shows what its directors had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {}: /var/log/messages\n{}", self.machine.name(), self.log.lines().join("\n"));
            eprintln!("---- {}: the table\n{}", self.machine.name(), self.kernel_table());
            eprintln!("---- {}: connections\n{}", self.machine.name(), self.connections());
            let names: Vec<String> = self.daemons().into_iter().map(|(pid, name)| format!("{name}[{pid}]")).collect();
            eprintln!("---- {}: the daemons: {}", self.machine.name(), names.join(" "));
        }
    }
}

impl Director {
    /// The kernel's connections, without those that are over.
    fn connections(&self) -> String {
        let path = format!("/proc/{}/net/ip_vs_conn", self.machine.first_pid());
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text
            .lines()
            .filter(|line| !line.contains("FIN_WAIT") && !line.contains("CLOSE") && !line.contains("TIME_WAIT"));
        lines.take(40).collect::<Vec<_>>().join("\n")
    }
}

/// The table of the machine with this first process.
pub fn kernel_table(first_pid: u32) -> Table {
    Table::from_proc(&read_at_once(&format!("/proc/{first_pid}/net/ip_vs")).unwrap_or_default())
}

/// The IPv4 addresses that the machine with this first process answers for. Of the
/// kernel's tables that is the local one: what another calls local is nobody's address.
pub fn local_addresses(first_pid: u32) -> BTreeSet<Ipv4Addr> {
    let trie = fs::read_to_string(format!("/proc/{first_pid}/net/fib_trie")).unwrap_or_default();
    let table = trie.lines().skip_while(|line| *line != "Local:").skip(1).take_while(|line| !line.ends_with(':'));
    // "|-- ADDRESS" with "/32 host LOCAL" below it
    let lines: Vec<&str> = table.map(str::trim).collect();
    let local = lines.windows(2).filter(|pair| pair[1] == "/32 host LOCAL");
    local.filter_map(|pair| pair[0].strip_prefix("|-- ")?.parse().ok()).collect()
}

/// What the kernel tells in one call, up to a page. It counts services between two
/// calls, so that a reader of small pieces may miss or repeat what moves meanwhile.
fn read_at_once(path: &str) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let (mut text, mut page) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match file.read(&mut page)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            n => text.extend_from_slice(&page[..n]),
        }
    }
}

/// What clients depend on at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The table, without the connection counts.
    pub table: Table,
    /// The IPv4 addresses the machine answers for.
    pub addresses: BTreeSet<Ipv4Addr>,
}

impl Seen {
    fn now(first_pid: u32) -> Self {
        Self { table: kernel_table(first_pid).configured(), addresses: local_addresses(first_pid) }
    }
}

fn look(first_pid: u32, seen: &Mutex<Vec<Seen>>) {
    let mut seen = seen.lock().expect("no panic holds it");
    let now = Seen::now(first_pid);
    if seen.last() != Some(&now) {
        seen.push(now);
    }
}

/// Looks at the table and the addresses many times a second: every state they were
/// seen in.
pub struct Watch {
    first_pid: u32,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(first_pid: u32, every: Duration) -> Self {
        let seen = Arc::new(Mutex::new(vec![Seen::now(first_pid)]));
        let stop = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                look(first_pid, &into);
                std::thread::sleep(every);
            }
        });
        Self { first_pid, seen, stop, thread: Some(thread) }
    }

    /// The states until this moment, each different from the one before; the first is
    /// what was at the start. A short one may not have been seen.
    pub fn states(&self) -> Vec<Seen> {
        look(self.first_pid, &self.seen);
        self.seen.lock().expect("no panic holds it").clone()
    }

    /// Nothing ever changed.
    pub fn assert_unchanged(&self) {
        let states = self.states();
        let shown: Vec<String> = states.iter().map(|seen| format!("{:?}\n{}", seen.addresses, seen.table)).collect();
        assert_eq!(states.len(), 1, "the table or the addresses changed:\n{}", shown.join("then\n"));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
