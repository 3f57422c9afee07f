//! What common says of the kernel, asked of a kernel.
//!
//! Needs root and a kernel that has IPVS, dummy, bridge and veth, so all but the
//! fake's own part is ignored and run by the lab:
//! `cargo test -p common --test kernel -- --ignored`. Every test has a network
//! namespace of its own; `module` unloads IPVS, which its lock keeps apart from
//! the others, and which a kernel refuses while anyone has a service.

// clippy knows a test by its attribute; the functions beside them are tests, too
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)] // of numbers below 300

mod conformance;
mod ipvs;
mod module;
mod route;
mod sequences;

use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use nix::sched::{CloneFlags, unshare};

/// Read: uses IPVS. Write: takes it away.
static MODULES: RwLock<()> = RwLock::new(());

/// Moves the test into a network namespace of its own, with an interface `d0` on
/// 192.0.2.2/24 and 2001:db8::2/64.
fn namespace() -> RwLockReadGuard<'static, ()> {
    let guard = MODULES.read().unwrap_or_else(PoisonError::into_inner);
    enter_namespace();
    guard
}

fn enter_namespace() {
    // Where IPv6 is a module, a socket of its family loads it; netlink does not.
    drop(std::net::UdpSocket::bind("[::]:0").expect("a kernel with IPv6"));
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (these tests need root)");
    for line in [
        "link set lo up",
        "link add d0 type dummy",
        "link set d0 up",
        "addr add 192.0.2.2/24 dev d0",
        "addr add 2001:db8::2/64 dev d0 nodad",
    ] {
        run("ip", line);
    }
}

/// Runs a program with blank-separated arguments and gives what it printed.
fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().expect(program);
    assert!(
        output.status.success(),
        "{program} {arguments}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}
