//! Files that are none, too big, not there, or not ours to read: always an answer,
//! and soon.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use super::*;

/// All that look at a file, and the two starts that read one before anything else.
const LOOKS: [(&str, &[&str]); 4] =
    [(PULSE, &["--check"]), (LVSD, &["--check"]), (LVSD, &["--dump"]), (LVSD, &["--convert"])];
const STARTS: [(&str, &[&str]); 2] = [(PULSE, &["-t", "-c"]), (LVSD, &["-n", "-c"])];

/// What is said about a file, wherever it is said.
fn said(program: &str, options: &[&str], path: &str) -> Ran {
    let Ran { code, out, err } = run(program, &[options, &[path]].concat());
    Ran { code, out: out + &err, err: String::new() }
}

#[test]
fn a_missing_file_is_78_and_named() {
    for (program, options) in LOOKS {
        let ran = said(program, options, "/nonexistent/lvs.cf");
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.starts_with("/nonexistent/lvs.cf: error: there is no such file [unreadable]\n"), "{ran:?}");
    }
    for (program, options) in STARTS {
        let ran = said(program, options, "/nonexistent/lvs.cf");
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.contains(": failed to open /nonexistent/lvs.cf"), "{ran:?}");
    }
}

#[test]
fn a_folder_or_a_device_is_78_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for (program, options) in LOOKS.into_iter().chain(STARTS) {
        let ran = said(program, options, &name_of(folder.path()));
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.contains("Is a directory"), "{ran:?}");
        let ran = said(program, options, "/dev/zero");
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.contains("it is a device, not a file"), "{ran:?}");
    }
}

#[test]
fn nobody_waits_for_ever_on_a_pipe_that_nobody_writes_to() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("lvs.cf");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (program, options) in [(PULSE, &["--check"]), (LVSD, &["--check"])] {
        let ran = said(program, options, &name_of(&pipe));
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.contains("nothing came out of the pipe within 5 s"), "{ran:?}");
    }
    for (program, options) in STARTS {
        let ran = said(program, options, &name_of(&pipe));
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.contains("it is a pipe, not a file"), "{ran:?}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_77() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = file(&folder, "lvs.cf", GOOD);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    for (program, name) in [(PULSE, "pulse"), (LVSD, "lvsd")] {
        let mut command = Command::new(program);
        // root may read everything
        if nix::unistd::geteuid().is_root() {
            let copy = folder.path().join(name);
            // Not by this process: what it has open for writing, a child that another
            // test starts meanwhile has too, and it cannot be run then.
            let copied = status_of({
                let mut cp = Command::new("cp");
                cp.arg(program).arg(&copy);
                cp
            });
            assert!(copied.success(), "{copied:?}");
            command = Command::new(copy);
            command.uid(65534).gid(65534);
        }
        let ran = run_with(
            {
                command.args(["--check", &path]);
                command
            },
            b"",
        );
        assert_eq!(ran.code, Some(77), "{ran:?}");
        assert!(
            ran.out.starts_with(&format!("{path}: error: this user may not read the file [unreadable]\n")),
            "{ran:?}"
        );
    }
}

#[test]
fn ten_megabytes_of_junk_are_refused_on_a_few_screens() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let mut noise = || {
        // xorshift64: any bytes will do, the same ones in every run
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let path = folder.path().join("junk");
    let noise: Vec<u8> = std::iter::repeat_with(&mut noise).take(10 << 17).flatten().collect();
    let looks: [&[&str]; 3] = [&["--check"], &["--check", "--toml"], &["--convert"]];
    // and lines that are statements, so that every part of the reader has its share
    for (bytes, looks) in [(noise, looks.as_slice()), (b"port = 1\nprot = 1\n".repeat(10 << 20 >> 4), &looks[..1])] {
        std::fs::write(&path, bytes).unwrap();
        for line in looks {
            let ran = said(LVSD, line, &name_of(&path));
            assert_eq!(ran.code, Some(78), "{line:?}");
            assert!(ran.out.len() < 1 << 20, "{line:?}: {} bytes are said", ran.out.len());
            assert!(ran.last_line().contains(": bad: "), "{line:?}: {}", ran.last_line());
        }
    }
}

#[test]
fn an_empty_file_is_refused_and_one_of_blanks_is_not() {
    assert_eq!(run_on(LVSD, &["--check", "-"], "").code, Some(78));
    assert_eq!(run_on(LVSD, &["--check", "/dev/null"], "").code, Some(78));
    assert_eq!(run_on(LVSD, &["--check", "-"], "\n").code, Some(0));
}
