//! How much memory a nanny costs. An installation may run ten thousand of them,
//! so two hundred of the static release build are started, and the average of
//! what each has for itself has a limit (crates.md 4.7); so has what one more
//! destination costs a nanny of several.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    reason = "a test that cannot go on must fail, and say why"
)]

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::channel::{ASK_ROOM, Ask, Line, Received, Said};
use common::destinations::{self, Assignment, Failed, Target};
use common::ipvs::{DestinationKey, ForwardingMethod, Protocol, ServiceKey};
use own_run::OwnRun;

#[path = "../own_run.rs"]
mod own_run;
#[path = "../lab/ground/wait.rs"]
#[allow(dead_code, unreachable_pub, reason = "made for the lab, which needs more of it")]
mod wait;

/// How many are started: enough that what they share counts for nothing.
const NANNIES: u8 = 200;

/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What one may have for itself, in KiB.
const LIMIT: u64 = 110;

#[test]
fn two_hundred_nannies_have_at_most_110_kib_each_for_themselves() {
    let nanny = build();
    let probed = Arc::new(Mutex::new(HashMap::<IpAddr, u32>::new()));
    let port = listen(Arc::clone(&probed));
    let own_run = OwnRun::new();
    let mut all = Nannies(Vec::new());
    for n in 1..=NANNIES {
        let mut command = Command::new(&nanny);
        command.args(["-c", "-h", &format!("127.1.0.{n}"), "-p", "80", "-r", &port.to_string()]);
        command.args(["-s", "GET / HTTP/1.0\\r\\n\\r\\n", "-x", "HTTP", "-a", "2", "-t", "1", "-w", "1"]);
        command.args(["-V", "192.0.2.100", "-M", "m", "--norun", "--lvs"]);
        // Cargo's environment would be counted as nanny's own memory.
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        all.0.push(own_run.spawn(command).expect("nanny starts"));
    }
    wait::wait_until(PATIENCE, "every nanny has probed its server twice", || {
        let probed = probed.lock().expect("no panic holds it");
        all.0.iter_mut().for_each(|nanny| assert_eq!(nanny.try_wait().expect("our child"), None, "a nanny ended"));
        probed.len() == usize::from(NANNIES) && probed.values().all(|count| *count >= 2)
    });
    let sizes: Vec<u64> = all.0.iter().map(|nanny| private_kib(nanny.id())).collect();
    let average = sizes.iter().sum::<u64>() / u64::from(NANNIES);
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    let figure =
        format!("\n{NANNIES} nannies: {average} KiB private each on average, {least} to {most}, limit {LIMIT}\n");
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(figure.as_bytes());
    assert!(average <= LIMIT, "{average} KiB private each on average, the limit is {LIMIT}");
}

/// How many destinations a nanny of several has here: as many as lvsd gives it.
const DESTINATIONS: usize = destinations::SHARE;

/// What each of them may cost it, in bytes.
const DESTINATION_LIMIT: u64 = 1024;

#[test]
fn a_destination_more_costs_a_nanny_less_than_a_kib() {
    let nanny = build();
    let probed = Arc::new(Mutex::new(HashMap::<IpAddr, u32>::new()));
    let port = listen(Arc::clone(&probed));
    let own_run = OwnRun::new();
    let mut all = Nannies(Vec::new());
    let mut lines = Vec::new();
    for n in 1..=20_u8 {
        let (line, theirs) = Line::pair().expect("a line");
        let server = format!("127.2.0.{n}");
        let mut command = Command::new(&nanny);
        command.args(["-c", "-h", &server, "-p", "80", "-r", &port.to_string()]);
        command.args([
            "-s",
            "GET / HTTP/1.0\\r\\n\\r\\n",
            "-x",
            "HTTP",
            "-a",
            "2",
            "-t",
            "1",
            "--shared",
            "1",
            "--lvs",
        ]);
        command.env_clear().stdin(Stdio::from(theirs)).stdout(Stdio::null());
        all.0.push(own_run.spawn(command).expect("nanny starts"));
        let count = if n <= 10 { 1 } else { DESTINATIONS };
        tell(&line, &(0..count).map(|n| assignment(&server, n)).collect::<Vec<_>>());
        lines.push(line);
    }
    wait::wait_until(PATIENCE, "every nanny has probed its server twice", || {
        let probed = probed.lock().expect("no panic holds it");
        all.0.iter_mut().for_each(|nanny| assert_eq!(nanny.try_wait().expect("our child"), None, "a nanny ended"));
        probed.len() == all.0.len() && probed.values().all(|count| *count >= 2)
    });
    let sizes: Vec<u64> = all.0.iter().map(|nanny| private_kib(nanny.id())).collect();
    let average = |of: &[u64]| of.iter().sum::<u64>() * 1024 / 10;
    let (one, many) = (average(&sizes[..10]), average(&sizes[10..]));
    let each = many.saturating_sub(one) / (DESTINATIONS as u64 - 1);
    let figure = format!(
        "\na nanny of several: {} KiB private with one destination, {} KiB with {DESTINATIONS}: {each} bytes each, limit \
         {DESTINATION_LIMIT}\n",
        one / 1024,
        many / 1024
    );
    let _ = std::io::stderr().write_all(figure.as_bytes());
    assert!(one / 1024 <= LIMIT, "{one} bytes with one destination, the limit is {LIMIT} KiB");
    assert!(each > 0 && each <= DESTINATION_LIMIT, "{each} bytes a destination, the limit is {DESTINATION_LIMIT}");
}

/// A destination in the Nth of many services.
fn assignment(server: &str, n: usize) -> Assignment {
    let [_, _, high, low] = u32::try_from(n).expect("a small number").to_be_bytes();
    let service = ServiceKey::Address { protocol: Protocol::Tcp, address: [127, 3, high, low].into(), port: 80 };
    let destination = DestinationKey { address: server.parse().expect("an address"), port: 80 };
    Assignment {
        target: Target { service, destination },
        method: ForwardingMethod::Masquerade,
        weight: 1,
        failed: Failed::Removed,
        slow_start: Duration::ZERO,
        limits: None,
        stays: false,
    }
}

/// Tells a nanny its destinations as lvsd does, until it said that it has them.
fn tell(line: &Line, all: &[Assignment]) {
    for packet in destinations::pack(all, ASK_ROOM) {
        let count = packet.len();
        let ask = Ask::Hold(packet).encode();
        wait::wait_until(PATIENCE, "room on the line", || line.try_send(&ask).expect("it lives"));
        let mut held = 0;
        wait::wait_until(PATIENCE, "a nanny keeps its destinations", || {
            while let Received::Message(said) = line.receive_said() {
                held += if let Said::Holds(all) = said { all.len() } else { 0 };
            }
            held >= count
        });
    }
}

/// Killed when the test is done with them.
struct Nannies(Vec<Child>);

impl Drop for Nannies {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|nanny| drop(nanny.kill()));
        self.0.iter_mut().for_each(|nanny| drop(nanny.wait()));
    }
}

/// The static release build, in a target folder of its own: its flags would
/// otherwise rebuild everything for everybody.
fn build() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("static");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let triple = host_triple();
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--release",
        "--package",
        "piranha-ng",
        "--bin",
        "nanny",
        "--target",
        &triple,
        "--target-dir",
    ]);
    command
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    let output = command.env_remove("CARGO_ENCODED_RUSTFLAGS").output().expect("cargo runs");
    assert!(output.status.success(), "the static build: {}", String::from_utf8_lossy(&output.stderr));
    target.join(triple).join("release/nanny")
}

fn host_triple() -> String {
    let output = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())).arg("-vV").output();
    let said = String::from_utf8(output.expect("rustc runs").stdout).expect("text");
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// Answers every request on any local address, and counts them by that address.
/// The thread ends with the test run.
fn listen(probed: Arc<Mutex<HashMap<IpAddr, u32>>>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let mut request = [0; 256];
            let asked = stream.read(&mut request).is_ok_and(|n| n > 0);
            let answered = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nOK\n").is_ok();
            if let (true, true, Ok(address)) = (asked, answered, stream.local_addr()) {
                *probed.lock().expect("no panic holds it").entry(address.ip()).or_default() += 1;
            }
        }
    });
    port
}

/// What is this process's alone, dirty or clean, in KiB (proc(5), smaps_rollup).
fn private_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a living process");
    let lines = text.lines().filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
