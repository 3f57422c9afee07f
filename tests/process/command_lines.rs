//! What the programs answer to a command line, right or wrong.

use std::process::{Command, Output, Stdio};

use crate::own_run::OwnRun;

const PULSE: &str = env!("CARGO_BIN_EXE_pulse");
const LVSD: &str = env!("CARGO_BIN_EXE_lvsd");
const NANNY: &str = env!("CARGO_BIN_EXE_nanny");

/// Each program, and what it calls itself on stderr (piranha.md 3.1: lvsd was
/// called lvs until there was another lvs).
const ALL: [(&str, &str); 3] = [(PULSE, "pulse"), (LVSD, "lvs"), (NANNY, "nanny")];

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    OwnRun::new().output(command).expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn each_says_its_version_as_the_original_did() {
    for (program, name) in ALL {
        let output = run(program, &["--version"]);
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], format!("Program Version:\t{name} {}", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].starts_with("Built:\t"), "{text}");
        assert!(lines[2].starts_with("A component of:\t"), "{text}");
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn each_explains_itself_with_its_exit_codes() {
    for (program, name) in ALL {
        for word in ["--help", "-?", "--usage"] {
            let output = run(program, &[word]);
            assert_eq!(output.status.code(), Some(0), "{name} {word}: {}", stderr(&output));
            assert!(stdout(&output).contains("Usage: "), "{name} {word}: {}", stdout(&output));
        }
        let text = stdout(&run(program, &["--help"]));
        let (_, codes) =
            text.split_once("Exit ").unwrap_or_else(|| panic!("{name} --help names no exit codes: {text}"));
        for code in ["64", "70", "71", "77"] {
            assert!(codes.contains(code), "{name} --help does not name exit code {code}: {text}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_64_and_named() {
    for (program, name) in ALL {
        let output = run(program, &["--nonsense"]);
        assert_eq!(output.status.code(), Some(64), "{name}: {}", stderr(&output));
        assert!(stderr(&output).starts_with(&format!("{name}: bad argument --nonsense: ")), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
        let output = run(program, &["surplus"]);
        assert_eq!(output.status.code(), Some(64), "{name}: {}", stderr(&output));
        assert!(stderr(&output).starts_with(&format!("{name}: unexpected arguments")), "{}", stderr(&output));
    }
}

#[test]
fn a_nanny_without_a_server_or_a_service_says_which() {
    for (arguments, said) in [
        (&["-c", "--lvs"][..], "nanny: No address supplied. Use '--help' for help. "),
        (&["-c", "-h", "web.example", "-V", "192.0.2.1", "--lvs"], "nanny: bad IP address -- web.example"),
        (&["-c", "-h", "192.0.2.2", "-V", "192.0.2.1"], "nanny: unknown service type"),
    ] {
        let output = run(NANNY, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with(said), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_missing_file_is_78_and_named_in_the_originals_words() {
    let output = run(PULSE, &["-n", "-c", "/nonexistent/lvs.cf"]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    assert!(stderr(&output).contains("pulse: failed to open /nonexistent/lvs.cf"), "{}", stderr(&output));
    let output = run(LVSD, &["-n", "-c", "/nonexistent/lvs.cf"]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    assert!(stderr(&output).contains("lvs: failed to open /nonexistent/lvs.cf"), "{}", stderr(&output));
}

#[test]
fn the_shipped_examples_pass_the_check() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/etc");
    let files = std::fs::read_dir(folder).expect("etc").filter_map(|entry| Some(entry.ok()?.path()));
    let examples: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "cf")).collect();
    assert!(!examples.is_empty(), "no examples in {folder}");
    for example in examples {
        let output = run(LVSD, &["--check", "-c", example.to_str().expect("a name in UTF-8")]);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{}: {said}", example.display());
    }
}

/// `localhost` is in every /etc/hosts. The name is looked up by a process of lvsd's own.
#[test]
fn a_host_name_in_the_file_is_looked_up_and_a_wrong_one_is_an_error_of_its_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("lvs.cf");
    let write = |host: &str| {
        let text = "virtual web {\n active = 1\n address = 192.0.2.1 eth0:1\n server a {\n active = 1\n address = HOST\n }\n}\n";
        std::fs::write(&path, text.replace("HOST", host)).expect("the file");
    };
    let test_start = || run(LVSD, &["--test-start", "-c", path.to_str().expect("text")]);
    write("localhost");
    let output = test_start();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("nanny -c -h 127.0.0.1 "), "{}", stdout(&output));
    write("nobody.invalid");
    let output = test_start();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("lvs.cf:6:"), "{}", stderr(&output));
}

#[test]
fn a_plan_of_a_wrong_file_names_its_line_and_does_not_go_with_a_look() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("lvs.cf");
    std::fs::write(&path, "serial_no = 1\nfrobnicate = 1\n").expect("the file");
    let path = path.to_str().expect("text");
    for line in [vec!["--plan", path], vec!["-c", path, "--plan"]] {
        let output = run(LVSD, &line);
        assert_eq!(output.status.code(), Some(78), "{line:?}");
        assert!(stderr(&output).contains("lvs.cf:2:1: error:"), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
    let output = run(LVSD, &["--plan", path, "--check"]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(stderr(&output), "lvs: bad argument --plan: it does not go together with --check\n");
}
