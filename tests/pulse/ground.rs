//! The ground a test of pulse stands on: namespaces of its own, a pair of
//! interfaces (v0 is the director's, v1 the segment's other end), a syslog that
//! collects, a file, and a stand-in for lvsd. When the test ends, so do its
//! processes, its interfaces and its files.

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::netlink::route::{Change, Monitor};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};

use crate::stand_in;
use crate::syslog::Syslog;

/// How long anything may take on a busy machine before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// The whole test, set-up included.
const LIMIT: &str = "400";

pub const INSIDE: &str = "PIRANHA_INSIDE";

/// Prepares what only a shell does without unsafe code: private mounts.
const PREPARE: &str = "set -e
mount -t tmpfs none /run
mount --bind /run /var/run
mkdir /run/dev
for n in null zero full random urandom tty; do
    mknod -m 666 /run/dev/$n c $(stat -c '0x%t 0x%T' /dev/$n)
done
mount --bind /run/dev /dev
ip link set lo up
ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip addr add 10.0.0.1/24 dev v0
exec \"$@\"";

const FILE: &str = "primary = 10.0.0.1
service = lvs
backup_active = 0
network = direct
active_cmd = \"/run/note active\"
inactive_cmd = \"/run/note inactive\"
virtual a {
    active = 1
    address = 10.0.0.9 v0:1
    vip_nmask = 255.255.255.0
}
";

/// Runs `scenario` in namespaces of its own: this test's binary is started again
/// there, for this test alone.
pub fn inside(name: &str, scenario: impl FnOnce(&mut Ground)) {
    if std::env::var_os(INSIDE).is_some() {
        return scenario(&mut Ground::new());
    }
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("PIRANHA_REQUIRE").is_none(), "{name} needs root");
        return eprintln!("SKIPPED: {name}: needs root for namespaces");
    }
    let binary = std::env::current_exe().unwrap();
    let output = Command::new("timeout")
        .args(["-k", "5", LIMIT, "unshare", "-m", "-n", "-p", "-f", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", PREPARE, "sh"])
        .arg(binary)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inside:\n    {}", indented(&text));
    assert!(text.contains("1 passed"), "the test did not run inside: {text}");
    text.lines().filter(|line| line.starts_with("measured: ")).for_each(|line| eprintln!("{line}"));
}

/// The words of the harness inside, which are not those of the one outside: who adds
/// up its results reads lines from their beginning.
fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// Waits for a condition, generously.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub struct Ground {
    syslog: Syslog,
}

/// Announcements that came out of an interface.
pub struct Frames {
    socket: std::os::fd::OwnedFd,
    index: u32,
    seen: RefCell<Vec<Vec<u8>>>,
}

/// What left the interfaces.
pub struct Watch {
    monitor: Monitor,
    gone: Vec<String>,
}

impl Ground {
    fn new() -> Self {
        fs::write("/run/lvs.cf", FILE).unwrap();
        let binary = std::env::current_exe().unwrap();
        let lvsd = format!(
            "#!/bin/sh\nexport LVSD_ARGUMENTS=\"$*\"\nexec {} --ignored --exact lvsd_stand_in \
             --test-threads=1 >/dev/null 2>&1\n",
            binary.display()
        );
        program("/run/lvsd", &lvsd);
        program("/run/note", "#!/bin/sh\necho $1 >> /run/commands\n");
        Self { syslog: Syslog::at("/dev/log".into()) }
    }

    // the file

    pub fn file(&self, more: &str) {
        fs::write("/run/lvs.cf", format!("{FILE}{more}")).unwrap();
    }

    pub fn whole_file(&self, virtuals: &str) {
        let head = FILE.split_once("virtual").unwrap().0;
        fs::write("/run/lvs.cf", format!("{head}{virtuals}")).unwrap();
    }

    pub fn break_file(&self) {
        fs::write("/run/lvs.cf", "this is no configuration\n").unwrap();
    }

    // processes

    fn pulse(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulse"));
        command.current_dir("/run").env_remove(INSIDE).stdin(Stdio::null());
        // a relative name, as an operator may type it
        command.args(["-c", "lvs.cf", "--lvsd=/run/lvsd", "--log-facility=local3"]).args(arguments);
        command
    }

    /// Exit status, stdout, stderr.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        finished(&mut self.pulse(arguments))
    }

    pub fn run_as_nobody(&self, arguments: &[&str]) -> (i32, String, String) {
        use std::os::unix::process::CommandExt as _;
        let copy = "/run/pulse-for-nobody"; // the build folder may be closed to nobody
        fs::copy(env!("CARGO_BIN_EXE_pulse"), copy).unwrap();
        let mut command = Command::new(copy);
        finished(command.args(["-c", "/run/lvs.cf"]).args(arguments).uid(65534).gid(65534))
    }

    /// `service pulse start`.
    pub fn start(&self) {
        self.start_with(&[]);
    }

    pub fn start_with(&self, arguments: &[&str]) {
        let (status, output, error) = self.run(arguments);
        assert_eq!(status, 0, "{output}{error}");
    }

    /// A start by something that leaves it a descriptor, a umask and blocked signals.
    pub fn start_carelessly(&self) {
        let pulse = self.pulse(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 0; exec 9>/run/left-open; exec \"$@\"", "sh"]).current_dir("/run");
        command.arg(pulse.get_program()).args(pulse.get_args()).env_remove(INSIDE);
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
            mask.add(signal);
        }
        mask.thread_block().unwrap();
        let (status, output, error) = finished(&mut command);
        mask.thread_unblock().unwrap();
        assert_eq!(status, 0, "{output}{error}");
    }

    /// A start without these rights (`-sys_nice`), as in a container.
    pub fn start_without(&self, rights: &str) {
        let pulse = self.pulse(&[]);
        let mut command = Command::new("setpriv");
        command.arg(format!("--bounding-set={rights}")).arg(pulse.get_program()).args(pulse.get_args());
        let (status, output, error) = finished(command.current_dir("/run").env_remove(INSIDE));
        assert_eq!(status, 0, "{output}{error}");
    }

    /// The same by something that ignores the end of its children.
    pub fn run_by_a_careless_parent(&self) -> (i32, String, String) {
        let pulse = self.pulse(&[]);
        let mut command = Command::new("bash");
        command.args(["-c", "trap '' CHLD; exec \"$@\"", "bash"]).current_dir("/run");
        finished(command.arg(pulse.get_program()).args(pulse.get_args()).env_remove(INSIDE))
    }

    /// Where the descriptors above stderr of a process lead.
    pub fn descriptors(&self, pid: u32) -> Vec<String> {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let open = open.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().unwrap() > 2));
        open.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
    }

    /// The signals a process blocks, as the kernel shows them.
    pub fn blocked(&self, pid: u32) -> String {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim().to_owned()
    }

    /// `service pulse stop`.
    pub fn stop(&self) {
        self.kill(self.guardian(), "TERM");
        wait_until("the pid file is gone", || !Path::new("/run/pulse.pid").exists());
        wait_until("all have ended", || self.processes().is_empty());
    }

    pub fn foreground(&self) -> Child {
        let output = fs::File::create("/run/output").unwrap();
        self.pulse(&["-n"]).stdout(output).spawn().unwrap()
    }

    /// A name server that answers nothing until it is told to.
    pub fn name_server(&self) -> UdpSocket {
        fs::write("/run/resolv.conf", "nameserver 127.0.0.1\noptions timeout:15 attempts:1\n").unwrap();
        fs::write("/run/nsswitch.conf", "hosts: files dns\n").unwrap();
        for file in ["resolv.conf", "nsswitch.conf"] {
            let (ours, theirs) = (format!("/run/{file}"), format!("/etc/{file}"));
            let status = Command::new("mount").args(["--bind", &ours, &theirs]).status().unwrap();
            assert!(status.success(), "mount on {theirs}");
        }
        let server = UdpSocket::bind("127.0.0.1:53").unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        server
    }

    /// Answers every question so far and the next few for an IPv4 address with it.
    pub fn answer_with(&self, server: &UdpSocket, address: [u8; 4], until: impl Fn() -> bool) {
        server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let since = Instant::now();
        let mut question = [0; 512];
        while !until() {
            assert!(since.elapsed() < PATIENCE, "the answers led to nothing");
            let Ok((length, asker)) = server.recv_from(&mut question) else { continue };
            // RFC 1035 4.1: the question again, behind it the answer (type A, class IN)
            let mut answer = question[..length].to_vec();
            let is_a = answer[length - 4..] == [0, 1, 0, 1] || answer.windows(5).any(|it| it == [0, 0, 1, 0, 1]);
            (answer[2], answer[3]) = (0x81, 0x80);
            let question_end = 12 + answer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            answer.truncate(question_end);
            answer[6..12].copy_from_slice(&[0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend_from_slice(&address);
            }
            server.send_to(&answer, asker).unwrap();
        }
    }

    /// In the foreground, with a stdout that is full already.
    pub fn foreground_unread(&self) -> (Child, std::io::PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        while (&writer).write(&[b'x'; 4096]).is_ok() {}
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        (self.pulse(&["-n"]).stdout(writer).spawn().unwrap(), reader)
    }

    pub fn foreground_output(&self) -> String {
        fs::read_to_string("/run/output").unwrap()
    }

    pub fn kill(&self, pid: u32, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
        assert!(status.success(), "no process {pid} to kill");
    }

    /// Ends two so that neither sees the other die, and waits for it.
    pub fn kill_both(&self, both: [u32; 2]) {
        for signal in ["STOP", "KILL"] {
            for pid in both {
                self.kill(pid, signal);
            }
        }
        wait_until("both are dead", || living().iter().all(|(pid, ..)| !both.contains(pid)));
    }

    pub fn guardian_if_any(&self) -> Option<u32> {
        fs::read_to_string("/run/pulse.pid").ok()?.trim().parse().ok()
    }

    pub fn guardian(&self) -> u32 {
        self.guardian_if_any().expect("a pid in the pid file")
    }

    pub fn worker_if_any(&self) -> Option<u32> {
        living().into_iter().find(|(_, name, line)| name == "pulse" && line.contains("--worker")).map(|(pid, ..)| pid)
    }

    pub fn worker(&self) -> u32 {
        wait_until("there is a pulse", || self.worker_if_any().is_some());
        self.worker_if_any().unwrap()
    }

    /// The stand-in that runs and has said so.
    pub fn lvsd_if_any(&self) -> Option<u32> {
        let pid = fs::read_to_string(stand_in::PID).ok()?.trim().parse().ok()?;
        living().iter().any(|(living, ..)| *living == pid).then_some(pid)
    }

    pub fn lvsd(&self) -> u32 {
        wait_until("there is an lvsd", || self.lvsd_if_any().is_some());
        self.lvsd_if_any().unwrap()
    }

    pub fn lvsd_arguments(&self) -> String {
        fs::read_to_string(stand_in::ARGUMENTS).unwrap()
    }

    pub fn hangups(&self) -> u32 {
        fs::read_to_string(stand_in::HANGUPS).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn lvsd_is_never_ready(&self) {
        fs::write(stand_in::NEVER_READY, "").unwrap();
    }

    /// It does not end on TERM until [`Ground::lvsd_may_stop`].
    pub fn lvsd_is_slow_to_stop(&self) {
        fs::write(stand_in::SLOW_TO_STOP, "").unwrap();
    }

    pub fn lvsd_may_stop(&self) {
        fs::remove_file(stand_in::SLOW_TO_STOP).unwrap();
    }

    /// The suite's processes that live.
    pub fn processes(&self) -> Vec<String> {
        let ours = |line: &str| line.contains("lvsd_stand_in") || line.contains("--lvsd=/run/lvsd");
        living().into_iter().filter(|(_, _, line)| ours(line)).map(|(pid, name, _)| format!("{name} {pid}")).collect()
    }

    /// active_cmd and inactive_cmd note that they ran after so much time.
    pub fn commands_take(&self, time: Duration) {
        program("/run/note", &format!("#!/bin/sh\nsleep {}\necho $1 >> /run/commands\n", time.as_secs()));
    }

    /// How many of those run.
    pub fn sleepers(&self) -> usize {
        living().into_iter().filter(|(_, name, _)| name == "sleep").count()
    }

    /// What active_cmd and inactive_cmd noted.
    pub fn commands(&self) -> String {
        fs::read_to_string("/run/commands").unwrap_or_default()
    }

    // interfaces

    pub fn ip(&self, arguments: &str) -> String {
        let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn wait_for_vip(&self, vip: &str) {
        wait_until(vip, || self.ip("-4 -o addr show dev v0").contains(&format!("inet {vip} ")));
    }

    pub fn mac(&self, device: &str) -> [u8; 6] {
        let text = fs::read_to_string(format!("/sys/class/net/{device}/address"));
        // /sys shows the network it was mounted in; ask ip where it is another's
        let text = text.unwrap_or_else(|_| {
            let shown = self.ip(&format!("-o link show dev {device}"));
            shown.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned()
        });
        let bytes: Vec<u8> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }

    pub fn monitor(&self) -> Watch {
        Watch { monitor: Monitor::open().unwrap(), gone: Vec::new() }
    }

    /// What comes out of v0, seen on the other end.
    pub fn capture(&self) -> Frames {
        self.capture_on("v1")
    }

    pub fn capture_on(&self, device: &str) -> Frames {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
        let index = nix::net::if_::if_nametoindex(device).unwrap();
        Frames { socket, index, seen: RefCell::default() }
    }

    // syslog

    pub fn count_lines(&self, text: &str) -> usize {
        self.syslog.count(text)
    }

    pub fn wait_for_line(&self, text: &str) {
        let line = self.syslog.wait_for(text);
        // local3 is facility 19 (RFC 3164 4.1.1)
        assert!(line.starts_with("<15") && line.contains(">pulse["), "{line}");
    }

    pub fn assert_order(&self, texts: &[&str]) {
        self.syslog.assert_order(texts);
    }

    pub fn syslog_away(&mut self) {
        self.syslog.away();
    }

    pub fn syslog_back(&mut self) {
        self.syslog.back();
    }
}

impl Frames {
    /// The announcements of the VIPs so far: gratuitous ARP, that is ARP whose
    /// sender and target are the same.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        use std::os::fd::AsRawFd as _;
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
            let frame = buffer[..n].to_vec();
            let here = from.is_some_and(|from| from.ifindex() == self.index as usize);
            if here && n >= 42 && frame[12..14] == [8, 6] && frame[28..32] == frame[38..42] {
                self.seen.borrow_mut().push(frame);
            }
        }
        self.seen.borrow().clone()
    }
}

impl Watch {
    /// Waits until the kernel says so.
    pub fn wait_for_carrier(&mut self, device: &str, is_there: bool) {
        wait_until("the kernel tells of a carrier", || {
            while let Some(change) = self.monitor.next().unwrap() {
                if let Change::Link(link) = change
                    && link.name == device
                    && link.running == is_there
                {
                    return true;
                }
            }
            false
        });
    }

    /// The addresses that left an interface so far.
    pub fn gone(&mut self) -> Vec<String> {
        while let Some(change) = self.monitor.next().unwrap() {
            match change {
                Change::AddressGone(address) => self.gone.push(address.address.to_string()),
                Change::Overrun => panic!("changes were lost"),
                Change::Link(_) | Change::LinkGone(_) | Change::AddressAdded(_) => {}
            }
        }
        self.gone.clone()
    }
}

fn finished(command: &mut Command) -> (i32, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn program(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Processes that are no zombies: pid, name, command line.
pub fn living() -> Vec<(u32, String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |what: &str| fs::read_to_string(entry.path().join(what)).unwrap_or_default();
        let (name, line, stat) = (read("comm"), read("cmdline").replace('\0', " "), read("stat"));
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).chars().next();
        if !matches!(state, None | Some('Z' | 'X')) {
            found.push((pid, name.trim().to_owned(), line));
        }
    }
    found
}
