//! A pair that is upgraded by its packages while it serves: rpm under a systemd, dpkg
//! (rpm where there is none) under the init script. The packages' own scripts do the
//! restarts; clients notice nothing, and what runs afterwards is what was installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use crate::ground::client::{Client, Pace};
use crate::ground::director::Director;
use crate::ground::real_server::RealServer;
use crate::ground::wait::{SOON, holds_within, wait_until};
use crate::ground::{Machine, scenario_with};
use crate::installed::{built, programs_are_new, said};
use crate::site::{BOTH, SERVICE, VIP, VIP_ON_DEVICE};
use crate::systemd::Systemd;

/// Tells a guest where the packages are.
const PACKAGES: &str = "PIRANHA_LAB_PACKAGES";

const LVS_CF: &str = "primary = 192.168.142.160\nbackup = 192.168.142.161\nbackup_active = 1\nservice = lvs\n\
                      keepalive = 1\ndeadtime = 20\nnetwork = direct\n\
                      virtual 100 {\n active = 1\n address = 192.168.142.100 eth0:1\n vip_nmask = 255.255.255.0\n \
                      port = 80\n server 158 {\n  address = 192.168.142.158\n  active = 1\n }\n}\n";

/// The packages of two releases: `first` and `second`, each with `rpm` and, where this
/// machine can, `deb`.
fn packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os(PACKAGES) {
            return folder.into();
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lab-packages");
        let made = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/packages.sh"))
            .arg(&folder)
            .env("BUILT", built())
            .output()
            .expect("packages.sh runs");
        assert!(made.status.success(), "{}", said(&made));
        folder
    })
}

/// The files of one release, for a shell.
fn files(release: &str, kind: &str) -> String {
    format!("{}/{release}/{kind}/*", packages().display())
}

/// Its /usr and its init scripts are its own from here on: what is installed is
/// written to memory.
fn own_usr(machine: &Machine) {
    machine.run(
        "sh",
        &[
            "-c",
            "mkdir -p /run/usr-new /run/usr-work && \
                 mount -t overlay overlay -o lowerdir=/usr,upperdir=/run/usr-new,workdir=/run/usr-work /usr && \
             for folder in /etc/init.d /etc/rc.d; do if [ -L $folder ]; then rm $folder; mkdir $folder; fi; done",
        ],
    );
}

/// A shell's words that install a release.
fn install(kind: &str, release: &str) -> String {
    let files = files(release, kind);
    match kind {
        "deb" => format!(
            "mkdir -p /run/dpkg/info /run/dpkg/updates && touch /run/dpkg/status && \
             dpkg --admindir=/run/dpkg --log=/run/dpkg.log --force-depends --force-confold --force-unsafe-io -i {files}"
        ),
        _ => format!("rpm --dbpath /run/rpm --define '_tmppath /run' --nodeps -U {files}"),
    }
}

/// The programs that run below a systemd, whose processes have numbers of their own.
fn programs(systemd: &Systemd) -> Vec<String> {
    let each = "for it in /proc/[0-9]*; do case $(cat $it/comm) in pulse*|lvsd*|nanny*) readlink $it/exe;; esac; done";
    said(&systemd.run(each)).lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect()
}

#[test]
fn a_pair_is_upgraded_by_its_packages_and_nobody_notices() {
    scenario_with(&[(PACKAGES, &packages().display().to_string())], |lab| {
        lab.network("front");
        let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
        let mut server = RealServer::new(lab, "158", "front", &["192.168.142.158/24"]);
        server.direct_routing("192.168.142.100/32");
        server.serve(&["tcp 80"]);
        let [active, standby] = ["160", "161"].map(|name| {
            let director = Director::new(lab, name, "front", &[&format!("192.168.142.{name}/24")]);
            own_usr(&director.machine);
            director.configure(LVS_CF);
            director
        });
        // One with init scripts, the other with a systemd.
        let kind = if packages().join("first/deb").is_dir() { "deb" } else { "rpm" };
        let shell = |line: &str| active.machine.run("sh", &["-c", line]);
        shell(&install(kind, "first"));
        shell("/etc/init.d/pulse start || /etc/rc.d/init.d/pulse start");
        standby.machine.run("sh", &["-c", &install("rpm", "first")]);
        let systemd = Systemd::start(&standby, "/usr/lib/systemd/system/pulse.service");
        systemd.must("systemctl start pulse");
        for director in [&active, &standby] {
            director.wait_for_destinations(SERVICE, &BOTH[..1]);
        }
        active.wait_for_address(VIP_ON_DEVICE);
        wait_until(SOON, "one active director", || !standby.has_address(VIP_ON_DEVICE));

        let load = client.open_connections(VIP, Pace::STEADY);
        load.wait_for_served(20);
        let (from, watches) = (Instant::now(), [active.watch(), standby.watch()]);
        let marks = [&active, &standby].map(|director| director.log.mark());
        systemd.must(&install("rpm", "second"));
        standby.log.wait_for(marks[1], "1 monitors were replaced and run the new program");
        load.wait_for_served(20);
        shell(&install(kind, "second"));
        active.log.wait_for(marks[0], "1 monitors were replaced and run the new program");
        load.wait_for_served(20);
        wait_until(SOON, "only new programs run", || programs_are_new(&active));
        let mut below = Vec::new();
        let only_new = || {
            below = programs(&systemd);
            below.sort_unstable();
            below == ["/usr/sbin/lvsd", "/usr/sbin/nanny", "/usr/sbin/pulse"]
        };
        assert!(holds_within(SOON, only_new), "{below:?}");
        for director in [&active, &standby] {
            assert_eq!(std::fs::read_to_string(director.machine.path("/etc/sysconfig/ha/lvs.cf")).unwrap(), LVS_CF);
        }
        watches.iter().for_each(crate::ground::director::Watch::assert_unchanged);
        drop(watches);
        load.assert_none_failed(from, Instant::now());

        // Gone is gone: the package takes along what runs, and the partner takes over.
        shell(if kind == "deb" {
            "dpkg --admindir=/run/dpkg --log=/run/dpkg.log --force-depends --remove piranha-ng"
        } else {
            "rpm --dbpath /run/rpm --define '_tmppath /run' --nodeps -e piranha-ng"
        });
        assert!(active.daemons().is_empty() && active.table().services.is_empty());
        standby.wait_for_address(VIP_ON_DEVICE);
        load.wait_for_served(20);
        drop(load);
        systemd.must("rpm --dbpath /run/rpm --define '_tmppath /run' --nodeps -e piranha-ng");
        assert!(standby.table().services.is_empty() && !standby.has_address(VIP_ON_DEVICE));
        assert_eq!(programs(&systemd), [""; 0]);
    });
}
