//! pulse.service under a real systemd: this machine's own, as the first process of
//! a process namespace within a director, with pulse's unit and no other.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::ground::client::Pace;
use crate::ground::director::Director;
use crate::ground::lab::Process;
use crate::ground::wait::{holds_within, wait_for, wait_until};
use crate::installed::{PREFIX, install, said, scenario};
use crate::site::{LVS_CF, SERVICE, Site, VIP, VIP_ON_DEVICE, wrong_lvs_cf};

/// A watchdog of 10 s, a restart, and a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// What pulse.service is ordered after by itself. The distribution's own would
/// start udev, journald and much else.
const TARGETS: [&str; 7] = ["default", "sysinit", "basic", "shutdown", "network-online", "multi-user", "nss-lookup"];

const BOOT: &str = "mount -t sysfs none /sys && mount -t cgroup2 none /sys/fs/cgroup && \
                    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=lab SYSTEMD_UNIT_PATH=/run/units \
                    $systemd --log-target=console --log-level=info";

/// A systemd at work.
pub struct Systemd {
    /// It, as this process sees it.
    pid: u32,
    /// What ends it.
    _boot: Process,
}

impl Systemd {
    /// With this file as pulse's unit.
    pub fn start(director: &Director, unit: &str) -> Self {
        let machine = &director.machine;
        for target in TARGETS {
            machine.write(&format!("/run/units/{target}.target"), "[Unit]\nDefaultDependencies=no\n");
        }
        machine.run("cp", &[unit, "/run/units"]);
        let systemd =
            ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].into_iter().find(|it| fs::exists(it).unwrap_or(false));
        let mut boot = Command::new("unshare");
        boot.args(["--pid", "--mount", "--cgroup", "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT]);
        boot.env("systemd", systemd.expect("systemd is installed"));
        let console = fs::File::create(machine.path("/var/log/console")).expect("a console");
        boot.stdin(Stdio::null()).stdout(console.try_clone().expect("twice")).stderr(console);
        let boot = machine.start(boot);
        let parent = boot.pid();
        let pid = wait_for(LONG, "systemd runs", || child_named(parent, "systemd"));
        let this = Self { pid, _boot: boot };
        let up = holds_within(LONG, || {
            let state = said(&this.run("systemctl is-system-running"));
            state.starts_with("running") || state.starts_with("degraded")
        });
        let console = fs::read_to_string(machine.path("/var/log/console")).unwrap_or_default();
        assert!(up, "systemd does not come up:\n{console}");
        this
    }

    /// A command line of a shell beside it.
    pub fn run(&self, line: &str) -> Output {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.pid.to_string(), "-m", "-p", "-n", "-u", "-C", "sh", "-c", line])
            .stdin(Stdio::null());
        command.output().expect("nsenter")
    }

    /// One that must succeed; what it printed.
    pub fn must(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}\n{}", said(&output), said(&self.run("systemctl status pulse")));
        said(&output)
    }

    /// What systemd knows of the unit.
    fn knows(&self) -> BTreeMap<String, String> {
        let text = self.must("systemctl show pulse -p MainPID,ActiveState,SubState,Result,NRestarts,ExecMainStatus");
        text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    /// The main process, once the unit is up with another one than `old`.
    fn main_after(&self, old: &str) -> String {
        wait_for(LONG, "another pulse is up", || {
            let knows = self.knows();
            let main = knows["MainPID"].clone();
            (knows["ActiveState"] == "active" && main != "0" && main != old).then_some(main)
        })
    }
}

/// A child of a process, by its name.
fn child_named(parent: u32, name: &str) -> Option<u32> {
    let pids = fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.into_iter().find(|pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(") ") else { return false };
        head.ends_with(&format!("({name}")) && tail.split(' ').nth(1) == Some(&parent.to_string())
    })
}

#[test]
fn the_unit_starts_reloads_restarts_survives_and_stops() {
    scenario(|lab| {
        let site = Site::new(lab);
        let director = &site.director;
        install(&director.machine, "director");
        let without_script = |line: &&str| !line.contains("send_program") && !line.contains("expect");
        director.configure(&LVS_CF.lines().filter(without_script).collect::<Vec<_>>().join("\n"));
        let systemd = Systemd::start(director, &format!("{PREFIX}/lib/systemd/system/pulse.service"));
        let lvsd = || fs::read_to_string(director.machine.path("/run/lvs.pid")).unwrap_or_default();

        // Started is up: the unit is active when pulse says so, not before.
        systemd.must("systemctl start pulse");
        director.log.wait_for(0, "STARTING PULSE AS MASTER");
        site.wait_in_service();
        let first = systemd.main_after("");
        let first_lvsd = lvsd();
        let load = site.client.open_connections(VIP, Pace::STEADY);
        let (from, watch) = (Instant::now(), director.watch());
        load.wait_for_served(20);

        let mark = director.log.mark();
        systemd.must("systemctl reload pulse");
        director.log.wait_for(mark, "rereading");
        wait_until(LONG, "the reload is over", || systemd.knows()["ActiveState"] == "active");
        assert_eq!(systemd.main_after(""), first);

        systemd.must("systemctl restart pulse");
        let second = systemd.main_after(&first);
        director.log.wait_for(mark, "leaving everything as it is to another pulse");
        load.wait_for_served(20);

        systemd.must(&format!("kill -KILL {second}"));
        let third = systemd.main_after(&second);
        load.wait_for_served(20);

        // It runs and does not turn: only the watchdog sees that.
        systemd.must(&format!("kill -STOP {third}"));
        let fourth = systemd.main_after(&third);
        load.wait_for_served(20);
        assert_eq!(lvsd(), first_lvsd, "none of that was lvsd's affair");

        install(&director.machine, "director");
        systemd.must("systemctl restart pulse");
        systemd.main_after(&fourth);
        load.wait_for_served(20);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        drop((load, watch));

        systemd.must("systemctl stop pulse");
        assert_eq!(
            (systemd.knows()["ActiveState"].as_str(), systemd.knows()["Result"].as_str()),
            ("inactive", "success")
        );
        assert!(director.table().service(SERVICE).is_none() && !director.has_address(VIP_ON_DEVICE));
        assert_eq!(said(&systemd.run("cat /proc/[0-9]*/comm | grep -E '^(pulse|lvsd|nanny)'")), "", "nobody is left");

        // What another try cannot mend is not tried again.
        director.configure(&wrong_lvs_cf().0);
        assert!(!systemd.run("systemctl start pulse").status.success());
        let knows = systemd.knows();
        assert_eq!((knows["ActiveState"].as_str(), knows["ExecMainStatus"].as_str()), ("failed", "78"), "{knows:?}");
    });
}
