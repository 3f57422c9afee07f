//! How much memory a nanny costs. An installation may run ten thousand of them,
//! so two hundred of the static release build are started, and the average of
//! what each has for itself has a limit (crates.md 4.7).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
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

use own_run::OwnRun;

#[path = "../own_run.rs"]
mod own_run;
#[path = "../lab/ground/wait.rs"]
#[allow(dead_code, unreachable_pub, reason = "made for the lab, which needs more of it")]
mod wait;

/// How many are started: enough that what they share counts for nothing.
const NANNIES: u8 = 200;

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
    wait::wait_until(Duration::from_secs(60), "every nanny has probed its server twice", || {
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
