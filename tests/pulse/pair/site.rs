//! Two directors for a test, each in a network and a mount namespace of its own
//! inside the test's, and a cable between them: `v0` at either end. The lvsd of
//! each is the stand-in.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::netlink::route::{Monitor, Route};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::{INSIDE, living, wait_until};
use crate::syslog::Syslog;

/// What only a shell does without unsafe code. It stays as the namespaces' anchor.
const PREPARE: &str = "set -e
mount -t tmpfs none /run
mount --bind /run /var/run
mkdir /run/dev
for n in null zero full random urandom tty; do
    mknod -m 666 /run/dev/$n c $(stat -c '0x%t 0x%T' /dev/$n)
done
mount --bind /run/dev /dev
ip link set lo up
touch /run/prepared
exec sleep 1000";

const VIP: &str = "10.0.0.9/24";

/// The file of both, but for its times.
const FILE: &str = "primary = 10.0.0.1
backup = 10.0.0.2
backup_active = 1
service = lvs
network = direct
active_cmd = \"/run/note active\"
inactive_cmd = \"/run/note inactive\"
virtual a {
    active = 1
    address = 10.0.0.9 v0:1
    vip_nmask = 255.255.255.0
    server s {
        active = 1
        address = 10.0.0.11
    }
}
";

/// The MASTER's and the BACKUP's on `v0`.
const ADDRESSES: [&str; 2] = ["10.0.0.1/24", "10.0.0.2/24"];

/// On the test's own host.
fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// A director's host.
pub struct Host {
    anchor: Child,
    syslog: Syslog,
}

/// The MASTER's host and the BACKUP's.
pub struct Site {
    pub master: Host,
    pub backup: Host,
}

impl Site {
    /// Two hosts whose file has these further lines.
    pub fn new(more: &str) -> Self {
        let site = Self { master: Host::new(), backup: Host::new() };
        site.connect("v0", ADDRESSES);
        site.file(more);
        site
    }

    /// The same with a switch in between, which is the test's own host: `sw`,
    /// 10.0.0.254, with a port for each, `port0` and `port1`.
    pub fn with_switch(more: &str) -> Self {
        let site = Self { master: Host::new(), backup: Host::new() };
        for device in ["sw", "port0", "port1"] {
            let _ = Command::new("ip").args(["link", "del", device]).stderr(Stdio::null()).status();
        }
        ip("addr flush dev v0"); // the ground's own, and it would answer for it
        ip("link add sw type bridge forward_delay 0 mcast_snooping 0");
        ip("addr add 10.0.0.254/24 dev sw");
        ip("link set sw up");
        for (port, (host, address)) in [&site.master, &site.backup].into_iter().zip(ADDRESSES).enumerate() {
            ip(&format!("link add port{port} type veth peer name v0 netns {}", host.anchor.id()));
            ip(&format!("link set port{port} master sw up"));
            host.ip(&format!("addr add {address} dev v0"));
            host.ip("link set v0 up");
        }
        site.file(more);
        site
    }

    /// A cable between the two, called so at either end.
    pub fn connect(&self, device: &str, addresses: [&str; 2]) {
        let [master, backup] = [&self.master, &self.backup].map(|host| host.anchor.id());
        ip(&format!("link add {device} netns {master} type veth peer name {device} netns {backup}"));
        for (host, address) in [&self.master, &self.backup].into_iter().zip(addresses) {
            host.ip(&format!("addr add {address} dev {device}"));
            host.ip(&format!("link set {device} up"));
        }
    }

    fn file(&self, more: &str) {
        self.master.file(more);
        self.backup.file(more);
    }

    /// Two hosts on a bridge with the test itself, which is 10.0.0.50, and the real
    /// lvsd. Neither has a file yet.
    pub fn on_a_bridge() -> Self {
        let ip =
            |words: &str| assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
        ip("link del v0");
        ip("link add br0 type bridge");
        ip("link set br0 up");
        ip("addr add 10.0.0.50/24 dev br0");
        let (master, backup) = (Host::new(), Host::new());
        for (name, host, address) in [("master", &master, "10.0.0.1/24"), ("backup", &backup, "10.0.0.2/24")] {
            ip(&format!("link add to-{name} type veth peer name v0 netns {}", host.anchor.id()));
            ip(&format!("link set to-{name} master br0 up"));
            host.ip(&format!("addr add {address} dev v0"));
            host.ip("link set v0 up");
            host.program("run/lvsd", &format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_lvsd")));
            host.write("run/name", name);
        }
        Self { master, backup }
    }

    /// Starts both, as an init would at boot.
    pub fn boot(&self) {
        let starts = [&self.master, &self.backup].map(Host::begin_start);
        for mut start in starts {
            assert!(start.wait().unwrap().success());
        }
    }

    /// Waits until the VIP is here and not there.
    pub fn wait_for(&self, holder: &Host) {
        let other = if std::ptr::eq(holder, &raw const self.master) { &self.backup } else { &self.master };
        wait_until("the VIP is on one of them", || holder.has_vip() && !other.has_vip());
    }
}

impl Host {
    fn new() -> Self {
        let anchor = Command::new("unshare")
            .args(["-m", "-n", "--kill-child", "sh", "-c", PREPARE])
            .env_remove(INSIDE)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let root = PathBuf::from(format!("/proc/{}/root", anchor.id()));
        // until it has a /run of its own it has ours
        let ours = fs::metadata("/run").unwrap();
        wait_until("the host is there", || {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(root.join("run")).is_ok_and(|run| run.dev() != ours.dev())
                && root.join("run/prepared").exists()
        });
        let host = Self { anchor, syslog: Syslog::at(root.join("dev/log")) };
        let binary = std::env::current_exe().unwrap();
        host.program(
            "run/lvsd",
            &format!(
                "#!/bin/sh\nexport LVSD_ARGUMENTS=\"$*\"\nexec {} --ignored --exact lvsd_stand_in \
                 --test-threads=1 >/dev/null 2>&1\n",
                binary.display()
            ),
        );
        host.program("run/note", "#!/bin/sh\necho $1 >> /run/commands\n");
        host
    }

    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.anchor.id())).join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// What a file holds, if it is there.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    pub fn program(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn file(&self, more: &str) {
        fs::write(self.path("run/lvs.cf"), format!("{more}{FILE}")).unwrap();
    }

    /// The key file.
    pub fn secret(&self, text: &str, mode: u32) {
        fs::write(self.path("run/key"), text).unwrap();
        fs::set_permissions(self.path("run/key"), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn break_file(&self) {
        fs::write(self.path("run/lvs.cf"), "this is no configuration\n").unwrap();
    }

    /// A command on this host.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.anchor.id().to_string(), "-m", "-n", "--", program]);
        command.env_remove(INSIDE).stdin(Stdio::null());
        command
    }

    pub fn ip(&self, arguments: &str) -> String {
        let output = self.command("ip").args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn has_vip(&self) -> bool {
        self.ip("-4 -o addr show dev v0").contains(&format!("inet {VIP} "))
    }

    /// `service pulse start`; exit status and stderr.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.pulse().args(arguments).output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
    }

    /// What the pulse that runs answers: stdout, or stderr of what is refused.
    pub fn ask(&self, wish: &str) -> Result<String, String> {
        let output = self.pulse().arg(wish).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn pulse(&self) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_pulse"));
        command.args(["-c", "/run/lvs.cf", "--lvsd=/run/lvsd", "--log-facility=local3"]);
        command
    }

    /// What lvsd answers to a question, on either standard file, and its exit status.
    pub fn lvsd_says(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(env!("CARGO_BIN_EXE_lvsd")).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
    }

    /// As a supervisor starts it.
    pub fn supervised(&self, arguments: &[&str]) -> Child {
        self.pulse().arg("--foreground").args(arguments).spawn().unwrap()
    }

    fn begin_start(&self) -> Child {
        self.pulse().spawn().unwrap()
    }

    pub fn start(&self) {
        let (status, error) = self.run(&[]);
        assert_eq!(status, 0, "{error}");
    }

    pub fn stop(&self) {
        self.kill(&[self.guardian()], "TERM");
        wait_until("all have ended", || self.processes().is_empty());
    }

    /// A child that is started at this moment looks like who starts it, and may be gone.
    pub fn kill(&self, pids: &[u32], signal: &str) {
        let signal: Signal = format!("SIG{signal}").parse().unwrap();
        let there = pids.iter().filter(|pid| match kill(Pid::from_raw((**pid).try_into().unwrap()), signal) {
            Ok(()) => true,
            Err(e) => {
                assert_eq!(e, Errno::ESRCH);
                false
            }
        });
        assert!(there.count() > 0, "nobody to kill");
    }

    pub fn guardian(&self) -> u32 {
        fs::read_to_string(self.path("run/pulse.pid")).unwrap().trim().parse().unwrap()
    }

    pub fn worker(&self) -> Option<u32> {
        let is_it = |(_, name, line): &&(u32, String, String)| name == "pulse" && line.contains("--worker");
        self.processes().iter().find(is_it).map(|(pid, ..)| *pid)
    }

    /// The suite's processes that live on this host.
    pub fn processes(&self) -> Vec<(u32, String, String)> {
        let network = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let here = network(self.anchor.id());
        let ours = |line: &str| line.contains("lvsd_stand_in") || line.contains("--lvsd=/run/lvsd");
        living().into_iter().filter(|(pid, _, line)| ours(line) && network(*pid) == here).collect()
    }

    /// Ends pulse and its guardian so that neither can do anything about it.
    pub fn kill_pulse(&self) {
        let both = [self.guardian(), self.worker().unwrap()];
        self.kill(&both, "STOP");
        self.kill(&both, "KILL");
        wait_until("both are dead", || living().iter().all(|(pid, ..)| !both.contains(pid)));
    }

    /// What active_cmd and inactive_cmd noted.
    pub fn commands(&self) -> String {
        fs::read_to_string(self.path("run/commands")).unwrap_or_default()
    }

    /// The processes of this host whose command line has these words.
    pub fn running(&self, words: &str) -> Vec<u32> {
        let network = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let here = network(self.anchor.id());
        let is_here = |(pid, _, line): &(u32, String, String)| line.contains(words) && network(*pid) == here;
        living().into_iter().filter(is_here).map(|(pid, ..)| pid).collect()
    }

    pub fn lvsd(&self) -> Option<u32> {
        let pid = fs::read_to_string(self.path("run/lvsd.pid")).ok()?.trim().parse().ok()?;
        self.processes().iter().any(|(living, ..)| *living == pid).then_some(pid)
    }

    pub fn lvsd_dies(&self) {
        fs::write(self.path("run/lvsd.dies"), "").unwrap();
    }

    pub fn hangups(&self) -> u32 {
        fs::read_to_string(self.path("run/lvsd.hangups")).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// How long a process has been on a CPU.
    pub fn cpu_time(&self, pid: u32) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<u64> =
            stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2).map(|n| n.parse().unwrap()).collect();
        Duration::from_millis(fields.iter().sum::<u64>() * 10) // USER_HZ is 100 everywhere
    }

    /// Does something in this host's network.
    fn inside<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.anchor.id())).unwrap();
        let enter = move || {
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            what()
        };
        // a thread of its own, for it stays there
        std::thread::spawn(enter).join().unwrap()
    }

    /// Hears of every change of its addresses.
    pub fn monitor(&self) -> Monitor {
        self.inside(|| Monitor::open().unwrap())
    }

    /// The hardware address of `v0`.
    pub fn mac(&self) -> [u8; 6] {
        let links = self.inside(|| Route::open().unwrap().links().unwrap());
        links.into_iter().find(|link| link.name == "v0").unwrap().mac.unwrap()
    }

    /// A UDP socket on this host, for who speaks in a director's place.
    pub fn socket(&self, address: &str) -> UdpSocket {
        let address = address.to_owned();
        let socket = self.inside(move || UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket
    }

    // syslog

    pub fn count(&self, text: &str) -> usize {
        self.syslog.count(text)
    }

    pub fn wait_for_line(&self, text: &str) {
        self.syslog.wait_for(text);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.anchor.kill();
        let _ = self.anchor.wait();
    }
}
