//! IPVS taken away and brought back under a client's feet.

use std::fs;
use std::process::Command;
use std::sync::PoisonError;

use common::ipvs::client::Client;
use common::ipvs::{Error, Ipvs as _, Service};

use crate::conformance::tcp;
use crate::{MODULES, enter_namespace};

const LOADER: &str = "/proc/sys/kernel/modprobe";

/// Unloads IPVS with its schedulers; the last try is the one that counts, as
/// namespaces of tests that have ended go in the background.
fn unload() {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let loaded = fs::read_to_string("/proc/modules").unwrap();
        let mut names: Vec<_> =
            loaded.lines().filter_map(|line| line.split(' ').next()).filter(|n| n.starts_with("ip_vs")).collect();
        if names.is_empty() {
            return;
        }
        // ip_vs itself is under all the others.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let output = Command::new("rmmod").args(&names).output().unwrap();
        assert!(
            output.status.success() || std::time::Instant::now() < deadline,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Keeps the kernel from loading modules for as long as it lives.
struct NoLoading(String);

impl NoLoading {
    fn start() -> Self {
        let before = fs::read_to_string(LOADER).unwrap();
        fs::write(LOADER, "/nonexistent/modprobe").unwrap();
        Self(before)
    }
}

impl Drop for NoLoading {
    fn drop(&mut self) {
        fs::write(LOADER, self.0.trim()).unwrap();
    }
}

#[test]
#[ignore = "needs a kernel with IPVS as modules, and unloads them: run by the lab"]
fn a_kernel_without_ipvs_is_told_in_one_sentence() {
    let _guard = MODULES.write().unwrap_or_else(PoisonError::into_inner);
    enter_namespace();
    let mut early = Client::open().unwrap();
    unload();
    let no_loading = NoLoading::start();
    let refused = Client::open().unwrap_err();
    assert!(matches!(refused, Error::NoIpvs), "{refused:?}");
    assert!(refused.to_string().starts_with("this kernel has no IPVS: load it with \"modprobe ip_vs\""));
    // Who had it open before is told the same.
    assert!(matches!(early.services(), Err(Error::NoIpvs)));
    assert!(matches!(early.delete_service(&tcp("192.0.2.1", 80)), Err(Error::NoIpvs)));
    drop(no_loading);
    assert_eq!(early.services().unwrap(), []);
}

#[test]
#[ignore = "needs a kernel with IPVS as modules, and unloads them: run by the lab"]
fn a_client_outlives_the_module() {
    let _guard = MODULES.write().unwrap_or_else(PoisonError::into_inner);
    enter_namespace();
    let mut ipvs = Client::open().unwrap();
    for _ in 0..3 {
        let service = Service::new(tcp("192.0.2.1", 80), "wlc");
        ipvs.add_service(&service).unwrap();
        assert_eq!(ipvs.services().unwrap()[0].service, service);
        ipvs.delete_service(&service.key).unwrap();
        unload();
    }
    assert!(matches!(ipvs.add_service(&Service::new(tcp("192.0.2.1", 80), "nosuch")), Err(Error::NoScheduler(_))));
}
