//! The product as an operator installs it: by init/install, with programs that
//! are stripped first, since a guest reads its host's files slowly.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::ground::director::{Director, LVSD, PULSE};
use crate::ground::{Lab, Machine, scenario_with};

/// Tells a guest where the stripped programs are.
const BUILT: &str = "PIRANHA_LAB_BUILT";

/// Where [`install`] puts the init scripts.
pub const INITDIR: &str = "/etc/rc.d/init.d";
/// Where [`install`] puts everything else.
pub const PREFIX: &str = "/run/usr";

/// A scenario that installs.
pub fn scenario<F: FnOnce(&Lab)>(body: F) {
    let built = built().display().to_string();
    scenario_with(&[(BUILT, &built)], body);
}

/// The folder of the programs, stripped once a run.
pub fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os(BUILT) {
            return folder.into();
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stripped");
        std::fs::create_dir_all(&folder).expect("a folder below target");
        for program in [PULSE, LVSD, env!("CARGO_BIN_EXE_nanny"), env!("CARGO_BIN_EXE_nanny-tls")] {
            let to = folder.join(Path::new(program).file_name().expect("its name"));
            let new = to.with_extension(std::process::id().to_string());
            let done = Command::new("strip").arg("-o").arg(&new).arg(program).status().expect("binutils");
            assert!(done.success(), "strip {program}: {done}");
            std::fs::rename(&new, &to).expect("it can be renamed");
        }
        folder
    })
}

/// Installs one part of what was just built.
pub fn install(machine: &Machine, part: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let built = built().display();
    let line = format!("PREFIX={PREFIX} INITDIR={INITDIR} BUILT={built} {root}/init/install {part}");
    machine.run("sh", &["-c", &line]);
}

/// Whether its daemons (pulse, perhaps with a guardian, lvsd, a nanny at least) run
/// the programs that are installed now.
pub fn programs_are_new(director: &Director) -> bool {
    let daemons = director.daemons();
    let program = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    daemons.len() >= 3 && daemons.iter().all(|(pid, _)| !program(pid).to_string_lossy().ends_with(" (deleted)"))
}

/// `service NAME VERB`.
pub fn service(machine: &Machine, name: &str, verb: &str) -> Output {
    machine.output(&format!("{INITDIR}/{name}"), &[verb])
}

/// What it printed, on stdout and on stderr.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The verb of `service pulse` ends with this status, and says these words.
pub fn expect(director: &Director, verb: &str, status: i32, words: &str) {
    expect_of(&director.machine, "pulse", verb, status, words);
}

/// The same of any service.
pub fn expect_of(machine: &Machine, name: &str, verb: &str, status: i32, words: &str) {
    let output = service(machine, name, verb);
    assert_eq!(output.status.code(), Some(status), "{name} {verb}: {}", said(&output));
    assert!(said(&output).contains(words), "{name} {verb} does not say \"{words}\": {}", said(&output));
}
