//! What is known about the machine a configuration is to run on: facts, so that
//! the rules about them are pure, and the one function that looks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::table::Config;

/// How much of a script is looked at, in bytes.
const SCRIPT_MAX: u64 = 4096;

/// Facts. What is `None` or not in the map is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Network devices.
    pub devices: Option<BTreeSet<String>>,
    /// Addresses of its devices.
    pub addresses: Option<BTreeSet<IpAddr>>,
    /// net.ipv4.ip_forward
    pub ipv4_forward: Option<bool>,
    /// net.ipv6.conf.all.forwarding
    pub ipv6_forward: Option<bool>,
    /// Schedulers that the kernel has or can load.
    pub schedulers: Option<BTreeSet<String>>,
    /// Programs by absolute path.
    pub programs: BTreeMap<String, Program>,
}

/// A program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// There is none.
    Missing,
    /// There is one.
    File {
        /// By root.
        executable: bool,
        /// By its group or others, or by an owner who is not root.
        writable_by_others: bool,
        /// Its first few kilobytes as text.
        beginning: String,
    },
}

/// The program of a command line, which is split as [`crate::command::words`] does.
pub(super) fn program_of(command: &str) -> &str {
    command.split([' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default()
}

impl Machine {
    /// Looks at this machine, as far as a configuration needs it. Takes a few
    /// milliseconds; what cannot be read is not known.
    pub fn observe(config: &Config) -> Self {
        let (devices, addresses) = match nix::ifaddrs::getifaddrs() {
            Ok(list) => {
                let all: Vec<_> = list.collect();
                let devices = all.iter().map(|i| i.interface_name.clone()).collect();
                let addresses = all.iter().filter_map(|i| ip(i.address.as_ref()?)).collect();
                (Some(devices), Some(addresses))
            }
            Err(_) => (None, None),
        };
        let of_blocks = config
            .running()
            .flat_map(|it| [&it.send_program, &it.quorum_up, &it.quorum_down, &it.start_cmd, &it.stop_cmd]);
        let of_checks = config.running().flat_map(|it| {
            let own = it.servers.iter().filter(|server| server.active).flat_map(|server| &server.checks);
            it.checks.iter().chain(own).map(|check| &check.program)
        });
        let ours = [&config.active_cmd, &config.inactive_cmd, &config.check_cmd, &config.notify];
        let commands = of_blocks.chain(of_checks).chain(ours).filter_map(|command| command.as_deref());
        let paths = commands.map(program_of).filter(|path| path.starts_with('/'));
        Self {
            devices,
            addresses,
            ipv4_forward: switch("/proc/sys/net/ipv4/ip_forward"),
            ipv6_forward: switch("/proc/sys/net/ipv6/conf/all/forwarding"),
            schedulers: schedulers(),
            programs: paths.map(|path| (path.to_owned(), program(Path::new(path)))).collect(),
        }
    }

    /// Whether it is known that there is no such device.
    pub(super) fn lacks_device(&self, device: &str) -> bool {
        self.devices.as_ref().is_some_and(|devices| !devices.contains(device))
    }
}

fn ip(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

fn switch(path: &str) -> Option<bool> {
    std::fs::read_to_string(path).ok().map(|text| text.trim() != "0")
}

fn program(path: &Path) -> Program {
    let Ok(meta) = std::fs::metadata(path) else { return Program::Missing };
    let mode = meta.permissions().mode();
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path).map(|file| file.take(SCRIPT_MAX)) {
        // a program that cannot be read is still a program
        let _ = { file }.read_to_end(&mut bytes);
    }
    Program::File {
        executable: meta.is_file() && mode & 0o111 != 0,
        writable_by_others: mode & 0o022 != 0 || (meta.uid() != 0 && mode & 0o200 != 0),
        beginning: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The schedulers of the running kernel, loaded, built in or to be loaded.
fn schedulers() -> Option<BTreeSet<String>> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let folder = Path::new("/lib/modules").join(release.trim());
    let list = std::fs::read_to_string(folder.join("modules.dep")).ok()?;
    let built_in = std::fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
    let loaded = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let found = schedulers_in(&[&list, &built_in, &loaded]);
    // a kernel without IPVS is another complaint than one without a scheduler
    (!found.is_empty()).then_some(found)
}

/// Names behind `ip_vs_` in lists of modules. Those that are no schedulers
/// (ftp, pe_sip) do no harm.
fn schedulers_in(lists: &[&str]) -> BTreeSet<String> {
    let words = lists.iter().flat_map(|list| list.lines()).filter_map(|line| line.split([':', ' ']).next());
    let names = words.filter_map(|word| word.rsplit('/').next()?.strip_prefix("ip_vs_"));
    names.filter_map(|name| name.split('.').next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CheckKind;
    use crate::config::{HealthCheck, RealServer, VirtualService};

    #[test]
    fn schedulers_are_found_in_all_lists_of_modules() {
        let dep = "kernel/net/netfilter/ipvs/ip_vs.ko: kernel/x.ko\nkernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\n";
        let found =
            schedulers_in(&[dep, "kernel/net/netfilter/ipvs/ip_vs_wlc.ko\n", "ip_vs_sh 16384 0 - Live\nip_vs 1 2\n"]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["rr", "sh", "wlc"]);
    }

    #[test]
    fn a_machine_has_its_loopback_and_knows_its_programs() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("check");
        std::fs::write(&script, "#!/bin/sh\necho OK\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o646)).unwrap();
        let script = script.to_str().unwrap();
        let config = Config {
            active_cmd: Some(format!("{script} a b")),
            inactive_cmd: Some("/nonexistent/x".into()),
            ..Config::default()
        };
        let check = |program: &str| HealthCheck {
            kind: CheckKind::Script,
            program: Some(program.to_owned()),
            ..HealthCheck::default()
        };
        let server = |active, program| RealServer { active, checks: vec![check(program)], ..RealServer::default() };
        let config = Config {
            virtuals: vec![VirtualService {
                active: true,
                checks: vec![check("/nonexistent/virtual %h")],
                servers: vec![server(true, "/nonexistent/server"), server(false, "/nonexistent/inactive")],
                ..VirtualService::default()
            }],
            ..config
        };
        let machine = Machine::observe(&config);
        assert!(!machine.lacks_device("lo"));
        assert!(machine.lacks_device("nosuch0"));
        assert!(machine.addresses.as_ref().unwrap().contains(&"127.0.0.1".parse().unwrap()));
        for missing in ["/nonexistent/x", "/nonexistent/virtual", "/nonexistent/server"] {
            assert_eq!(machine.programs.get(missing), Some(&Program::Missing), "{missing}");
        }
        assert_eq!(machine.programs.get("/nonexistent/inactive"), None);
        let Some(Program::File { executable, writable_by_others, beginning }) = machine.programs.get(script) else {
            panic!("{machine:?}");
        };
        assert_eq!((*executable, *writable_by_others, beginning.as_str()), (false, true, "#!/bin/sh\necho OK\n"));
    }
}
