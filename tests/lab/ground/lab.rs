//! Networks and machines. A network is a bridge in a namespace that holds nothing
//! else; a machine is a set of namespaces (network, mounts, processes, host name)
//! with a first process, a thread of ours that lives in it, and interfaces
//! plugged into networks.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::part::{self, Part};
use super::worker::Worker;

/// What a machine has of its own.
pub(super) const MACHINE: CloneFlags = CloneFlags::CLONE_NEWNET
    .union(CloneFlags::CLONE_NEWNS)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWUTS);

/// One scenario's networks and machines. They go when it is dropped.
pub struct Lab {
    switch: Rc<Worker>,
    cables: RefCell<Vec<Cable>>,
    machines: RefCell<Vec<(String, u32)>>,
    networks: RefCell<BTreeSet<String>>,
}

/// One cable; its number is that of the port it ends in.
struct Cable {
    machine: String,
    device: String,
    network: String,
}

impl Lab {
    pub(super) fn new() -> Self {
        part::this_binary();
        // Where IPv6 is a module, the first socket of its family loads it.
        drop(std::net::UdpSocket::bind("[::]:0"));
        let switch = Rc::new(Worker::new(CloneFlags::CLONE_NEWNET).expect("the right to make namespaces"));
        Self { switch, cables: RefCell::default(), machines: RefCell::default(), networks: RefCell::default() }
    }

    /// The machines by name, with their first processes.
    pub fn machines(&self) -> Vec<(String, u32)> {
        self.machines.borrow().clone()
    }

    /// A network: a bridge that forwards at once and speaks no protocol. One that
    /// is there already stays.
    pub fn network(&self, name: &str) {
        if !self.networks.borrow_mut().insert(name.to_owned()) {
            return;
        }
        self.wire(&format!("link add {name} type bridge forward_delay 0 mcast_snooping 0\nlink set {name} up\n"));
    }

    /// A machine without any interface but lo.
    pub fn machine(&self, name: &str) -> Machine {
        let worker = Rc::new(Worker::new(MACHINE).expect("the right to make namespaces"));
        let host_name = name.to_owned();
        let first = worker.run(move || Part::start("machine", &[&host_name]));
        self.machines.borrow_mut().push((name.to_owned(), first.pid()));
        let machine = Machine {
            name: name.to_owned(),
            started: RefCell::new(Vec::new()),
            first,
            worker,
            _switch: Rc::clone(&self.switch),
        };
        machine.ip("link set lo up\n");
        // No address waits for a duplicate that cannot be there.
        machine.sysctl("net.ipv6.conf.default.accept_dad", "0");
        machine.sysctl("net.ipv6.conf.all.accept_dad", "0");
        machine
    }

    /// Plugs a new interface of `machine` into `network`, with these addresses
    /// (`192.0.2.1/24`).
    pub fn plug(&self, machine: &Machine, network: &str, device: &str, addresses: &[&str]) {
        let cable = self.cables.borrow().len();
        let pid = machine.first.pid();
        self.wire(&format!(
            "link add port{cable} type veth peer name {device} netns {pid}\n\
             link set port{cable} master {network} up\n"
        ));
        let [machine_is, device_is, network_is] = [machine.name(), device, network].map(str::to_owned);
        self.cables.borrow_mut().push(Cable { machine: machine_is, device: device_is, network: network_is });
        let mut batch = format!("link set {device} up\n");
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            let _ = writeln!(batch, "addr add {address} dev {device}{nodad}");
        }
        machine.ip(&batch);
    }

    /// Pulls that cable out of the switch: the interface sees no link any more.
    pub fn pull(&self, machine: &Machine, device: &str) {
        let (port, _) = self.port(machine, device);
        self.wire(&format!("link set {port} down\n"));
    }

    /// The switch forwards nothing from or to that cable any more, and its light
    /// stays on.
    pub fn silence(&self, machine: &Machine, device: &str) {
        let (port, _) = self.port(machine, device);
        self.wire(&format!("link set {port} nomaster\n"));
    }

    /// The end of [`Self::pull`] and [`Self::silence`].
    pub fn mend(&self, machine: &Machine, device: &str) {
        let (port, network) = self.port(machine, device);
        self.wire(&format!("link set {port} master {network} up\n"));
    }

    /// A cable's port of the switch, and the network it belongs to. A machine that
    /// is gone may have had the same name.
    fn port(&self, machine: &Machine, device: &str) -> (String, String) {
        let cables = self.cables.borrow();
        let found = cables.iter().rposition(|cable| cable.machine == machine.name() && cable.device == device);
        let number = found.unwrap_or_else(|| panic!("{} has no {device}", machine.name()));
        (format!("port{number}"), cables[number].network.clone())
    }

    fn wire(&self, batch: &str) {
        let batch = batch.to_owned();
        self.switch.run(move || ip_batch(&batch));
    }
}

/// A director, a real server, a client: anything with a network stack of its own.
pub struct Machine {
    name: String,
    /// What the test started in it and must reap: the kernel does not let a first
    /// process go before.
    started: RefCell<Vec<SharedChild>>,
    // Dropped in this order: the first process takes all others with it, the
    // thread leaves, and the namespaces are gone.
    first: Part,
    worker: Rc<Worker>,
    // The cables' other ends.
    _switch: Rc<Worker>,
}

/// A child that its machine ends if nobody else did.
pub(super) type SharedChild = Arc<Mutex<Child>>;

/// SIGKILL; it is gone and reaped when this returns.
pub(super) fn end(child: &SharedChild) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.started.borrow().iter().for_each(end);
    }
}

impl Machine {
    /// Its name, which is its host name too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its first process, as this process sees it.
    pub fn first_pid(&self) -> u32 {
        self.first.pid()
    }

    /// Does something on a thread inside.
    pub fn inside<R: Send + 'static>(&self, what: impl FnOnce() -> R + Send + 'static) -> R {
        self.worker.run(what)
    }

    /// A file of its own (/run, /var/log, /etc, /dev), seen from here.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first.pid()))
    }

    /// Writes such a file.
    pub fn write(&self, path: &str, text: &str) {
        let at = self.path(path);
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder).expect("its folder");
        }
        fs::write(&at, text).unwrap_or_else(|e| panic!("{}: {path}: {e}", self.name));
    }

    /// Writes a script that can be run.
    pub fn write_script(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(path, text);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Sets a kernel variable by its dotted name.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = value.to_owned();
        let done = self.inside(move || fs::write(path, value));
        done.unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name));
    }

    /// iproute2, a command a line.
    pub fn ip(&self, batch: &str) {
        let batch = batch.to_owned();
        self.inside(move || ip_batch(&batch));
    }

    /// Runs a program to its end.
    pub fn output<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let output = self.inside(move || command.output());
        output.unwrap_or_else(|e| panic!("{}: {program}: {e}", self.name))
    }

    /// Runs a program that must succeed; what it printed.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> String {
        let output = self.output(program, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}: {program} {:?}: {}: {text}{}",
            self.name,
            arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Starts a program.
    pub fn start(&self, mut command: Command) -> Process {
        let program = command.get_program().display().to_string();
        let child = self.inside(move || command.spawn());
        let child = Arc::new(Mutex::new(child.unwrap_or_else(|e| panic!("{}: {program}: {e}", self.name))));
        self.started.borrow_mut().push(Arc::clone(&child));
        Process { child }
    }

    /// Starts a part of this test binary in the machine.
    pub(super) fn start_part(&self, part: &'static str, words: Vec<String>) -> Part {
        let part = self.inside(move || Part::start(part, &words.iter().map(String::as_str).collect::<Vec<_>>()));
        self.started.borrow_mut().push(part.child());
        part
    }

    /// Its processes of that name (as in `killall`), but zombies, oldest first.
    pub fn processes(&self, name: &str) -> Vec<u32> {
        let mut found: Vec<u32> =
            self.all_processes().into_iter().filter(|(_, comm)| comm == name).map(|(pid, _)| pid).collect();
        found.sort_unstable();
        found
    }

    /// All its processes but zombies: as this process numbers them, with their names. A
    /// child of the suite's that has not become its program yet is a script or another
    /// daemon with its parent's name, and none: none of the suite's goes on as a copy.
    pub fn all_processes(&self) -> Vec<(u32, String)> {
        let ours = fs::read_link(format!("/proc/{}/ns/pid", self.first.pid())).expect("the machine lives");
        let entries =
            fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        entries
            .filter(|pid: &u32| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns == ours))
            .filter_map(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                let (head, tail) = stat.rsplit_once(") ")?;
                let comm = head.split_once(" (").map(|(_, comm)| comm.to_owned()).unwrap_or_default();
                let is_copy = SUITE.iter().any(|name| comm.starts_with(name)) && is_copy(tail);
                (!tail.starts_with('Z') && !is_copy).then_some((pid, comm))
            })
            .collect()
    }

    /// The command line of one of its processes.
    pub fn command_line(pid: u32) -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// The number one of its processes has inside: what its pid files and log say.
    pub fn inner_pid(pid: u32) -> u32 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("NSpid:")).unwrap_or_default();
        line.split_whitespace().last().and_then(|n| n.parse().ok()).expect("a living process")
    }

    /// One of its processes by the number it has inside; `None` if there is none.
    pub fn outer_pid(&self, inner: u32) -> Option<u32> {
        self.all_processes().into_iter().map(|(pid, _)| pid).find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|l| l.starts_with("NSpid:") && l.split_whitespace().last() == Some(&inner.to_string()))
        })
    }
}

/// What the names of the daemons under test begin with.
pub(super) const SUITE: [&str; 3] = ["pulse", "lvsd", "nanny"];

/// Whether a process runs what its parent ran, by its /proc/PID/stat behind the name: the
/// seventh field is the flags, `PF_FORKNOEXEC` among them.
fn is_copy(stat: &str) -> bool {
    stat.split(' ').nth(6).and_then(|flags| flags.parse::<u64>().ok()).is_some_and(|flags| flags & 0x40 != 0)
}

/// Sends a signal to a process; one that is gone already is the test's mistake.
pub fn signal(pid: u32, signal: Signal) {
    let number = i32::try_from(pid).expect("a process id");
    kill(Pid::from_raw(number), signal).unwrap_or_else(|e| panic!("{signal} to {pid}: {e}"));
}

/// A program in a machine. Killed when dropped.
pub struct Process {
    child: SharedChild,
}

impl Process {
    /// Its process id, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.child.lock().expect("no panic holds it").id()
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&self) {
        end(&self.child);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `ip -batch` in the calling thread's namespaces.
fn ip_batch(batch: &str) {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("iproute2 is installed");
    child.stdin.take().expect("its stdin").write_all(batch.as_bytes()).expect("ip reads");
    let output = child.wait_with_output().expect("ip ends");
    assert!(output.status.success(), "ip: {}\n{batch}", String::from_utf8_lossy(&output.stderr));
}
