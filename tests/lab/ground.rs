//! The ground the product is shown on: a kernel with IPVS, machines that are
//! namespaces on it, and everything a scenario needs to act and to look.
//!
//! ```text
//! cargo test ── scenario() ── this kernel has IPVS, and we are root: run it here
//!                         └── else: linux.uml ── init: this binary, part "guest"
//!                                                  └── this binary, --exact SCENARIO
//! Lab ── networks (bridges in a namespace of their own)
//!    └── machines: Director · RealServer · Client, each net+mount+pid+uts
//! ```
//!
//! Nothing outlives a test: a machine ends with the line to the test process, a
//! guest when the line of its warden to the test process ends.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

pub mod client;
pub mod director;
pub mod download;
pub mod gap;
mod guest;
mod jitter;
mod killed;
pub mod lab;
pub mod log;
pub mod original;
mod part;
pub mod random;
pub mod real_server;
pub mod table;
pub mod tell;
mod tree;
pub mod wait;
mod worker;

pub use lab::{Lab, Machine};
pub(crate) use part::MODULES;

/// Set inside a guest: the scenario runs right here.
pub(crate) const INSIDE: &str = "PIRANHA_LAB_INSIDE";

/// What may be missing without failing: `PIRANHA_REQUIRE=lab` allows nothing.
const REQUIRE: &str = "PIRANHA_REQUIRE";

/// Where a scenario can run.
enum Place {
    /// On this kernel, in namespaces.
    Here,
    /// In a user-mode Linux guest.
    Guest,
    /// Nowhere, for this reason.
    Nowhere(String),
}

/// Runs a scenario where a kernel with IPVS is. Its name is the test's, found
/// from the closure, so it cannot be mistyped.
///
/// # Panics
/// When the scenario does, or when there is nowhere to run it although
/// `PIRANHA_REQUIRE=lab` says there must be.
pub fn scenario<F: FnOnce(&Lab)>(body: F) {
    scenario_with(&[], body);
}

/// The same, with more for the guest's environment: what was found out on the
/// host, such as the path of a program built there.
pub fn scenario_with<F: FnOnce(&Lab)>(environment: &[(&str, &str)], body: F) {
    run(environment, guest::SCENARIO_MAX, body);
}

/// The same for one that takes longer than a test may.
pub fn long_scenario<F: FnOnce(&Lab)>(limit: Duration, body: F) {
    run(&[], limit, body);
}

fn run<F: FnOnce(&Lab)>(environment: &[(&str, &str)], limit: Duration, body: F) {
    let name = name_of::<F>();
    match place() {
        Place::Here => body(&Lab::new()),
        Place::Guest => guest::run(&name, environment, limit),
        Place::Nowhere(why) => skip(&name, &why),
    }
}

/// Whether this is a guest's kernel, where anything may be tried.
pub fn in_a_guest() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// One line that nobody can overlook, or a failure where the lab is required.
fn skip(name: &str, why: &str) {
    assert!(std::env::var(REQUIRE).is_err(), "{name} cannot run here: {why}");
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(format!("\nSKIPPED: {name}: {why}\n").as_bytes());
}

/// `lab::story::what_it_shows::{{closure}}` is `story::what_it_shows`.
fn name_of<F>() -> String {
    let full = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    full.split_once("::").map_or(full, |(_, name)| name).to_owned()
}

fn place() -> Place {
    // Found out once: it costs processes.
    static HERE: OnceLock<Result<(), String>> = OnceLock::new();
    if in_a_guest() {
        return Place::Here;
    }
    match (HERE.get_or_init(this_kernel), guest::available()) {
        (Ok(()), _) => Place::Here,
        (Err(_), Ok(())) => Place::Guest,
        (Err(here), Err(guest)) => Place::Nowhere(format!("{here}; {guest}")),
    }
}

/// Whether scenarios can run on this kernel.
fn this_kernel() -> Result<(), String> {
    worker::Worker::new(lab::MACHINE).map_err(|e| format!("no namespaces here ({e})"))?;
    let listed = Command::new("ipvsadm").arg("-Ln").output().map_err(|e| format!("no ipvsadm here ({e})"))?;
    if listed.status.success() { Ok(()) } else { Err("no IPVS in this kernel".to_owned()) }
}

/// The folder for what a test leaves while it runs, below Cargo's target.
pub(crate) fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lab")
}

#[test]
fn a_scenario_is_named_after_its_test() {
    fn name_of_value<F>(_: &F) -> String {
        name_of::<F>()
    }
    assert_eq!(name_of_value(&|| ()), "ground::a_scenario_is_named_after_its_test");
}
