//! A kernel with IPVS where this one has none: Debian's user-mode Linux, which is
//! an ordinary program and boots over this machine's own files in two seconds.
//! The scenario's test runs inside, alone; its output and its exit come back.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::jitter::JITTER;
use super::part::{self, Master, Part};
use super::tree::end_tree;
use super::{INSIDE, scratch, tell};

const LINUX: &str = "linux.uml";

/// What a scenario may take at most; the longest takes a tenth of it when the
/// machine is idle.
pub(super) const SCENARIO_MAX: Duration = Duration::from_secs(600);

/// Memory of a guest in MiB. It is taken from the host only when it is used.
const MEMORY_MIB: u64 = 1024;

/// Whether a guest can be booted here.
pub(super) fn available() -> Result<(), String> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(LINUX).is_file()));
    if found { Ok(()) } else { Err("no user-mode-linux installed".to_owned()) }
}

/// Runs the test `name` of this binary in a guest.
pub(super) fn run(name: &str, environment: &[(&str, &str)], limit: Duration) {
    let job = job_of(name);
    let _ = fs::remove_dir_all(&job);
    prepare(&job, name, environment).expect("the guest's job can be written");
    let guest = Part::start("warden", &[&job.display().to_string()]);
    let ended = wait(&guest, &job.join(tell::STORY), limit);
    drop(guest);
    tell::print_figures(&job);
    let output = fs::read_to_string(job.join("output")).unwrap_or_default();
    match ended.and_then(|()| exit_status(&job)) {
        Ok(status) if status.success() && output.contains("1 passed") => {
            fs::remove_dir_all(&job).expect("the guest's job can be removed");
        }
        // The child's own harness would say so: a name that matches nothing.
        Ok(status) => fail(&job, &output, &format!("{name} failed in its guest: {status}")),
        Err(why) => fail(&job, &output, &format!("{name}: {why}")),
    }
}

fn fail(job: &Path, output: &str, what: &str) {
    // Set off: the harness inside speaks like the one outside.
    let output: Vec<String> = output.lines().map(|line| format!("  | {line}")).collect();
    let output = output.join("\n");
    panic!("{what}\n{output}\nthe guest's console and all it left are in {}", job.display());
}

fn prepare(job: &Path, name: &str, environment: &[(&str, &str)]) -> std::io::Result<()> {
    fs::create_dir_all(job)?;
    fs::write(job.join("command"), format!("--exact\n{name}\n--include-ignored\n--nocapture\n--test-threads=1\n"))?;
    let mut wanted: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    wanted.push(format!("{INSIDE}=1"));
    for name in ["PATH", "RUST_BACKTRACE", JITTER, tell::TELL, tell::KEEP, tell::ONLY_GROUND] {
        wanted.extend(std::env::var(name).map(|value| format!("{name}={value}")));
    }
    fs::write(job.join("environment"), wanted.join("\n"))
}

/// Part "warden": runs the guest and ends it, whatever it is made of, when the
/// line ends. The processes of a user-mode Linux are not told when it is killed.
pub(super) fn keep_watch(mut master: Master, words: &[&str]) {
    let job = Path::new(words.first().expect("the guest's job"));
    let mut guest = boot(job).expect("linux.uml starts");
    let pid = guest.id();
    master.answer("ready");
    std::thread::spawn(move || {
        while master.wish().is_some() {}
        end_tree(pid);
    });
    let _ = guest.wait();
}

fn boot(job: &Path) -> std::io::Result<Child> {
    let mut linux = Command::new(LINUX);
    linux.arg(format!("mem={MEMORY_MIB}M"));
    linux.args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet"]);
    linux.arg(format!("uml_dir={}", job.display())).args(["con=null", "con0=null,fd:2"]);
    linux.env("TMPDIR", memory_folder(job));
    linux.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(job.join("console"))?);
    if tell::keeps() {
        let terminal = fs::File::options().read(true).write(true).open("/dev/tty")?;
        linux.arg("con1=fd:0,fd:1").stdin(terminal.try_clone()?).stdout(terminal);
    }
    linux.args(part::guest_command_line(job)).spawn()
}

/// Where the guest's memory is, as a file without a name: in memory if there is
/// room and it may be executed, which a container's /dev/shm seldom allows.
fn memory_folder(job: &Path) -> &Path {
    let folders = ["/dev/shm", "/tmp"].map(Path::new);
    let fits = |folder: &&Path| {
        statvfs(*folder).is_ok_and(|fs| {
            let free = fs.blocks_available() * fs.fragment_size();
            free >= MEMORY_MIB << 20 && !fs.flags().contains(FsFlags::ST_NOEXEC)
        })
    };
    folders.into_iter().find(fits).unwrap_or(job)
}

/// Waits for the guest's end; what it says meanwhile is passed on to somebody
/// who wants the story told.
fn wait(guest: &Part, story: &Path, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    let mut passed_on = 0;
    loop {
        let ended = guest.has_ended();
        if tell::tells() {
            passed_on = pass_on(story, passed_on);
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= end && !tell::keeps() {
            return Err(format!("still not done after {} s", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pass_on(story: &Path, from: u64) -> u64 {
    let mut new = Vec::new();
    let read = fs::File::open(story).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut new)
    });
    if read.is_ok() {
        let _ = std::io::stdout().write_all(&new);
        let _ = std::io::stdout().flush();
    }
    from + new.len() as u64
}

fn exit_status(job: &Path) -> Result<ExitStatus, String> {
    let text = fs::read_to_string(job.join("status")).map_err(|_| "the guest died".to_owned())?;
    part::read_status(&text)
}

/// Where a scenario's guest keeps its job.
pub(super) fn job_of(name: &str) -> PathBuf {
    scratch().join(name.replace("::", "."))
}
