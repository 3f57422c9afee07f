//! The first process of a guest and of a machine.
//!
//! A guest runs over the machine's own files (hostfs), so whatever anybody may
//! write gets a file system in memory first. A machine (a director, a real
//! server, a client) is a set of namespaces; its first process makes the folders
//! that must be its own, takes in orphans, and ends with the line to the test,
//! and the kernel ends everything else in the machine with it.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{ENTRANCE, Master, PART, this_binary};
use crate::ground::jitter::{self, JITTER};

/// Where a guest finds what it is to do, on the kernel's command line: a folder
/// with `command` (arguments, a line each) and `environment` (NAME=VALUE, a line
/// each); it leaves `output` and `status` there.
pub(in crate::ground) const GUEST_JOB: &str = "PIRANHA_LAB_JOB";

/// Where Debian's user-mode-linux keeps its modules. /lib/modules is not made:
/// a guest must leave nothing on the machine.
pub(crate) const MODULES: &str = "/usr/lib/uml/modules";

/// What the kernel's command line must say so that this binary is the first
/// process of a guest.
pub(in crate::ground) fn guest_command_line(job: &Path) -> Vec<String> {
    let mut line = vec![
        format!("init={}", this_binary().display()),
        format!("{PART}=guest"),
        format!("{GUEST_JOB}={}", job.display()),
    ];
    line.extend(["--", "--exact", ENTRANCE, "--nocapture", "--test-threads=1"].map(str::to_owned));
    line
}

fn tmpfs(at: &str) -> io::Result<()> {
    let mode = if at.ends_with("tmp") || at.ends_with("shm") { "mode=1777" } else { "mode=0755" };
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(mode))
        .map_err(|e| io::Error::other(format!("a tmpfs on {at}: {e}")))
}

/// One of the kernel's own file systems; the kernel may have mounted it itself.
fn kernel_files(kind: &str, at: &str, options: Option<&str>) -> io::Result<()> {
    match mount(Some(kind), at, Some(kind), MsFlags::empty(), options) {
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(e) => Err(io::Error::other(format!("{at}: {e}"))),
    }
}

/// The first process of a guest: file systems, modules, the command, the end.
pub(super) fn in_guest() {
    let job = PathBuf::from(std::env::var_os(GUEST_JOB).expect("the guest's job"));
    let status = prepare_guest(&job).and_then(|()| run_job(&job));
    let status = status.unwrap_or_else(|e| format!("the guest could not be set up: {e}"));
    // The host reads no status as a guest that died.
    let _ =
        fs::write(job.join("status.new"), status).and_then(|()| fs::rename(job.join("status.new"), job.join("status")));
    nix::unistd::sync();
    let _ = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_POWER_OFF);
}

fn prepare_guest(job: &Path) -> io::Result<()> {
    kernel_files("proc", "/proc", None)?;
    kernel_files("sysfs", "/sys", None)?;
    kernel_files("devtmpfs", "/dev", None)?;
    fs::create_dir_all("/dev/shm")?;
    fs::create_dir_all("/dev/pts")?;
    kernel_files("devpts", "/dev/pts", Some("ptmxmode=0666"))?;
    for at in ["/dev/shm", "/run", "/var/log", "/tmp", "/var/tmp"] {
        // The project itself may lie there.
        if !job.starts_with(at) && !this_binary().starts_with(at) {
            tmpfs(at)?;
        }
    }
    let at = modules(job)?;
    let environment = fs::read_to_string(job.join("environment"))?;
    if let Some(seed) = environment.lines().find_map(|line| line.strip_prefix(JITTER)?.strip_prefix('=')) {
        jitter::begin(seed, &at.join("cgroup"))?;
    }
    fs::write("/proc/sys/kernel/printk", "1")?;
    // Of the host's files only the job's can be written.
    mount(Some(job), job, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/", None::<&str>, read_only, None::<&str>)?;
    Ok(())
}

/// Lets the kernel load its modules by itself. What it needs for that lies where
/// no machine puts anything of its own: iptables looks for it too. It answers where.
fn modules(job: &Path) -> io::Result<&'static Path> {
    let free = ["/mnt", "/media", "/srv"].iter().find(|at| Path::new(at).is_dir() && !job.starts_with(at));
    let at = *free.ok_or_else(|| io::Error::other("no folder is free for a tmpfs"))?;
    tmpfs(at)?;
    let modprobe = format!("{at}/modprobe");
    fs::create_dir_all(format!("{at}/lib"))?;
    symlink(MODULES, format!("{at}/lib/modules"))?;
    fs::write(&modprobe, format!("#!/bin/sh\nexec /sbin/modprobe -d {at} \"$@\"\n"))?;
    fs::set_permissions(&modprobe, fs::Permissions::from_mode(0o755))?;
    fs::write("/proc/sys/kernel/modprobe", modprobe)?;
    Ok(Path::new(at))
}

/// Runs the job's command; answers as [`ExitStatusExt::into_raw`] has it.
fn run_job(job: &Path) -> io::Result<String> {
    let arguments = fs::read_to_string(job.join("command"))?;
    let environment = fs::read_to_string(job.join("environment"))?;
    let output = fs::File::create(job.join("output"))?;
    let mut command = Command::new(this_binary());
    command.args(arguments.lines()).env_remove(PART).env("HOME", "/run").stdin(std::process::Stdio::null());
    command.envs(environment.lines().filter_map(|line| line.split_once('=')));
    command.stdout(output.try_clone()?).stderr(output);
    let child = Pid::from_raw(i32::try_from(command.spawn()?.id()).unwrap_or(-1));
    loop {
        // Everybody's orphans come to the first process.
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok((code << 8).to_string()),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return Ok((signal as i32).to_string()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// What `status` holds, as the exit status it was.
pub(in crate::ground) fn read_status(text: &str) -> Result<std::process::ExitStatus, String> {
    text.trim().parse().map(std::process::ExitStatus::from_raw).map_err(|_| text.to_owned())
}

/// The first process of a machine. Its words: the host name.
pub(super) fn in_machine(mut master: Master, words: &[&str]) {
    let name = words.first().copied().unwrap_or("machine");
    nix::unistd::sethostname(name).expect("a host name of its own");
    own_folders().expect("folders of its own");
    master.answer("ready");
    loop {
        let mut fds = [PollFd::new(master.line.get_ref().as_fd(), PollFlags::POLLIN)];
        // Orphans are taken in ten times a second: nobody counts zombies faster.
        let ready = poll(&mut fds, PollTimeout::from(100_u16));
        if ready.is_ok_and(|n| n > 0) && master.wish().is_none() {
            return;
        }
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
    }
}

/// Where a machine's first process keeps what its own /etc and /dev link to.
const SHARED: &str = "/run/lab-machine";

/// /proc, /run, /var/log, /dev and /etc of the machine's own: two directors on
/// one kernel share nothing that two directors in two racks do not share.
fn own_folders() -> io::Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
    tmpfs("/run")?;
    fs::create_dir_all("/run/lock/subsys")?;
    tmpfs("/var/log")?;
    for folder in ["/etc", "/dev"] {
        let shared = PathBuf::from(format!("{SHARED}{folder}"));
        fs::create_dir_all(&shared)?;
        mount(Some(folder), &shared, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
        tmpfs(folder)?;
        link_all(&shared, Path::new(folder), &["sysconfig", "log", "shm"])?;
    }
    fs::create_dir_all("/dev/shm")?;
    fs::create_dir_all("/etc/sysconfig/ha")?;
    let shared = format!("{SHARED}/etc/sysconfig");
    if Path::new(&shared).is_dir() {
        link_all(Path::new(&shared), Path::new("/etc/sysconfig"), &["ha"])?;
    }
    Ok(())
}

/// Everything in `from` appears in `to`, but for what is left out. The links are
/// relative: an absolute one, followed through /proc/PID/root, would lead into
/// the follower's own files.
fn link_all(from: &Path, to: &Path, but: &[&str]) -> io::Result<()> {
    let up = "../".repeat(to.components().count() - 1);
    let from_here = PathBuf::from(up + from.to_str().unwrap_or_default().trim_start_matches('/'));
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if !but.iter().any(|left_out| name == *left_out) {
            symlink(from_here.join(&name), to.join(&name))?;
        }
    }
    Ok(())
}
