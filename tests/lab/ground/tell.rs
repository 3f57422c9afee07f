//! Telling a scenario as a story, for the demo: what is being done, what the log
//! says about it, what the kernel's table holds. Silent in an ordinary run.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Lab;
use super::part::GUEST_JOB;

/// Set by tests/demo: the story is told.
pub(super) const TELL: &str = "PIRANHA_TELL";
/// Set by `tests/demo --keep`: a shell at the end, before the lab goes.
pub(super) const KEEP: &str = "PIRANHA_KEEP";
/// Set by `tests/demo --shell`: a shell as soon as the machines stand.
pub(super) const ONLY_GROUND: &str = "PIRANHA_SHELL";

/// What a guest tells, in its job's folder.
pub(super) const STORY: &str = "story";

/// What a guest has measured, in its job's folder.
const FIGURES: &str = "figures";

/// Something measured: printed in every run, past the harness, which keeps what
/// a passing test prints to itself.
pub fn figure(text: &str) {
    if let Some(job) = std::env::var_os(GUEST_JOB) {
        append(&Path::new(&job).join(FIGURES), &format!("{text}\n"));
    } else {
        let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
    }
}

/// Prints what a guest has measured, in one piece: other tests print too.
pub(super) fn print_figures(job: &Path) {
    let figures = std::fs::read_to_string(job.join(FIGURES)).unwrap_or_default();
    if !figures.is_empty() {
        let _ = std::io::stderr().write_all(format!("\n{figures}").as_bytes());
    }
}

fn append(to: &Path, text: &str) {
    let file = std::fs::File::options().append(true).create(true).open(to);
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
}

/// Whether somebody wants to read along.
pub fn tells() -> bool {
    std::env::var_os(TELL).is_some()
}

/// Whether a shell is wanted, now or at the end.
pub(super) fn keeps() -> bool {
    std::env::var_os(KEEP).is_some() || only_ground()
}

/// Whether the shell is wanted at once, instead of the story.
pub fn only_ground() -> bool {
    std::env::var_os(ONLY_GROUND).is_some()
}

/// A step of the story.
pub fn step(text: &str) {
    say(&format!("\n\x1b[1m== {text}\x1b[0m\n"));
}

/// Something seen, set off from the story.
pub fn show(text: &str) {
    for line in text.lines() {
        say(&format!("    {line}\n"));
    }
}

fn say(text: &str) {
    if !tells() {
        return;
    }
    // From a guest it goes through a file, which the host passes on.
    if let Some(job) = std::env::var_os(GUEST_JOB) {
        append(&Path::new(&job).join(STORY), text);
    } else {
        let mut out = std::io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Opens a shell in the lab if somebody asked for one. Called while the machines
/// stand.
pub fn shell_if_asked(lab: &Lab) {
    if keeps() {
        shell(lab);
    }
}

/// A shell outside all machines, with `on MACHINE COMMAND...` to go into one.
fn shell(lab: &Lab) {
    let machines: Vec<String> = lab.machines().iter().map(|(name, pid)| format!("{name}={pid}")).collect();
    let rc = format!(
        "unset HISTFILE\n\
         declare -A machine=({})\n\
         on() {{ local pid=${{machine[$1]}}; shift; nsenter --mount --net --pid --uts --target \"$pid\" -- \"${{@:-bash}}\"; }}\n\
         PS1='lab# '\n\
         echo; echo 'You are in the lab, beside its machines: {}'\n\
         echo 'on MACHINE COMMAND...   on director ipvsadm -Ln   on director tail /var/log/messages   on director (a shell there)'\n\
         echo 'The lab ends with this shell.'\n",
        lab.machines().iter().map(|(name, pid)| format!("[{name}]={pid}")).collect::<Vec<_>>().join(" "),
        machines.join(" ")
    );
    let rc_file = std::env::temp_dir().join(format!("piranha-lab-shell-{}", std::process::id()));
    std::fs::write(&rc_file, rc).expect("the shell's start file");
    let mut shell = Command::new("setsid");
    shell.args(["--ctty", "--wait", "bash", "--rcfile"]).arg(&rc_file).arg("-i");
    // In a guest the terminal is its first console; elsewhere it is ours.
    if std::env::var_os(super::INSIDE).is_some() {
        let open = || std::fs::File::options().read(true).write(true).open("/dev/tty1").expect("the guest's terminal");
        shell.stdin(open()).stdout(open()).stderr(open());
    } else {
        shell = Command::new("bash");
        shell.arg("--rcfile").arg(&rc_file).arg("-i").stdin(Stdio::inherit());
    }
    let _ = shell.status();
    let _ = std::fs::remove_file(rc_file);
}
