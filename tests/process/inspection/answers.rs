//! What is answered about files that are files.

use std::fs::File;
use std::io::Read as _;

use serde_json::Value;

use super::*;

#[test]
fn a_good_file_is_0_with_one_line_and_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "lvs.cf", GOOD);
    let mut fingerprints = Vec::new();
    for program in [PULSE, LVSD] {
        for line in [&["--check", &path][..], &["--check", "-c", &path], &["-c", &path, "--check"], &[&path, "--check"]]
        {
            let ran = run(program, line);
            assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{line:?}: {ran:?}");
            let sum = format!("{path}: good: 1 virtual service, 1 real server, 0 warnings, fingerprint ");
            assert!(ran.last_line().starts_with(&sum), "{line:?}: {ran:?}");
            assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
            fingerprints.push(ran.fingerprint().to_owned());
        }
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 1, "both see the same configuration");
}

#[test]
fn a_bad_file_is_78_with_every_problem_and_its_caret_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace(" active = 1\n addr", "\tactive = yes\n addr").replace("network", "netwrok");
    let path = file(&folder, "lvs.cf", &format!("{text}deadtime=5\n"));
    for program in [PULSE, LVSD] {
        let ran = run(program, &["--check", &path]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(78), ""), "{ran:?}");
        assert_eq!(ran.last_line(), format!("{path}: bad: 2 errors, 1 warning"));
        let lines: Vec<&str> = ran.out.lines().collect();
        for (place, marked) in [("2:1: error", "netwrok"), ("4:11: error", "yes"), ("13:9: warning", "=")] {
            let head = format!("{path}:{place}: ");
            let at =
                lines.iter().position(|line| line.starts_with(&head)).unwrap_or_else(|| panic!("{place}: {ran:?}"));
            let (line, carets) = (lines[at + 1], lines[at + 2]);
            let column = carets.find('^').unwrap();
            assert_eq!(carets.trim_end().len() - column, marked.len(), "{ran:?}");
            assert!(line[column..].starts_with(marked), "the caret is not below {marked}:\n{line}\n{carets}");
        }
    }
}

#[test]
fn the_standard_input_is_a_dash() {
    for program in [PULSE, LVSD] {
        for line in [&["--check", "-"][..], &["--check=-"], &["--check", "-c", "-"], &["--check", "/dev/stdin"]] {
            let ran = run_on(program, line, GOOD);
            assert_eq!(ran.code, Some(0), "{line:?}: {ran:?}");
            let name = if line.contains(&"/dev/stdin") { "/dev/stdin" } else { "<stdin>" };
            assert!(ran.last_line().starts_with(&format!("{name}: good: ")), "{line:?}: {ran:?}");
        }
        let ran = run_on(program, &["--check", "-"], "keepalve = 3\n");
        assert_eq!(ran.code, Some(78));
        assert!(ran.out.starts_with("<stdin>:1:1: error: unknown command \"keepalve\""), "{ran:?}");
        let toml = run_on(LVSD, &["--convert", "-"], GOOD).out;
        assert_eq!(run_on(program, &["--check", "--toml", "-"], &toml).code, Some(0));
        assert_eq!(run_on(program, &["--check", "-"], &toml).code, Some(78), "TOML is not lvs.cf");
    }
}

#[test]
fn hosts_are_looked_up_whatever_the_file_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("primary = 127.0.0.1", "primary = localhost");
    let path = file(&folder, "lvs.cf", &text);
    let unknown = text.replace("address = 192.0.2.11", "address = no-such-host.invalid");
    for program in [PULSE, LVSD] {
        let fingerprint = run_on(program, &["--check", "-"], GOOD).fingerprint().to_owned();
        for ran in [run(program, &["--check", &path]), run_on(program, &["--check", "-"], &text)] {
            assert_eq!((ran.code, ran.fingerprint()), (Some(0), fingerprint.as_str()), "{ran:?}");
        }
        let ran = run_on(program, &["--check", "-"], &unknown);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.out.contains("\"no-such-host.invalid\" is no address and no host that is known"), "{ran:?}");
    }
    let dumped = run_on(LVSD, &["--dump", "-"], &text);
    assert!(dumped.out.contains("primary = 127.0.0.1\n"), "{dumped:?}");
    let converted = run_on(LVSD, &["--convert", "-"], &text);
    assert!(converted.out.contains("primary = \"localhost\"\n"), "{converted:?}");
}

/// What `--format json` says, read by somebody else.
fn json(program: &str, text: &str) -> (Option<i32>, Value) {
    let ran = run_on(program, &["--check", "--format", "json", "-"], text);
    assert_eq!(ran.err, "");
    let value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e} in:\n{}", ran.out));
    (ran.code, value)
}

#[test]
fn json_is_for_programs_whatever_stands_in_the_file() {
    for program in [PULSE, LVSD] {
        let (code, good) = json(program, GOOD);
        assert_eq!(code, Some(0));
        let fingerprint = run_on(program, &["--check", "-"], GOOD).fingerprint().to_owned();
        let expected = serde_json::json!({
            "file": "<stdin>", "good": true, "errors": 0, "warnings": 0, "fingerprint": fingerprint, "refusal": null,
            "diagnostics": []
        });
        assert_eq!(good, expected);

        let odd = "keepalve = \"\u{1}\\\u{2028}\"\n";
        let (code, bad) = json(program, odd);
        assert_eq!(
            (code, &bad["good"], &bad["errors"], &bad["fingerprint"]),
            (Some(78), &false.into(), &1.into(), &Value::Null)
        );
        let first = &bad["diagnostics"][0];
        let [id, severity, source] = ["id", "severity", "source"].map(|field| first[field].as_str().unwrap());
        assert_eq!((id, severity, source), ("unknown-keyword", "error", odd.trim_end()));
        let [line, column, width] = ["line", "column", "width"].map(|field| first[field].as_u64().unwrap());
        assert_eq!((line, column, width), (1, 1, 8));
        assert_eq!(first["help"], "did you mean \"keepalive\"?");
        assert_eq!(first["message"], "unknown command \"keepalve\"");
        assert_eq!(first["file"], "<stdin>");
    }
}

#[test]
fn a_file_that_the_program_would_refuse_at_its_start_does_not_pass() {
    let other = "service = fos\nfailover f {\n active = 0\n}\n";
    for (program, text, reason) in [
        (PULSE, other, "no active fos services defined"),
        (PULSE, "primary = 127.0.0.1\n", "no active lvs services defined"),
    ] {
        let ran = run_on(program, &["--check", "-"], text);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.last_line().starts_with("<stdin>: bad: 1 error, "), "{ran:?}");
        assert!(ran.out.contains(&format!("<stdin>: error: {reason}")), "{ran:?}");
        let (code, value) = json(program, text);
        assert_eq!((code, &value["good"], &value["fingerprint"]), (Some(78), &false.into(), &Value::Null));
        assert!(value["refusal"].as_str().unwrap().contains(reason), "{value}");
    }
}

/// What a command prints on a terminal.
fn on_a_terminal(mut command: Command) -> String {
    let terminal = nix::pty::openpty(None, None).unwrap();
    command.stdin(Stdio::null()).stdout(terminal.slave).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    drop(command); // the last one here that holds the terminal's other end
    let mut master = File::from(terminal.master);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // at the end the system says EIO
        let _ = master.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    });
    within_deadline(child, |mut child| child.wait().unwrap());
    reader.join().unwrap()
}

#[test]
fn colours_are_for_terminals() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "lvs.cf", "keepalve = 3\n");
    for program in [PULSE, LVSD] {
        let make = |no_color: Option<&str>| {
            let mut command = command(program, &["--check", &path]);
            command.env("TERM", "xterm").env_remove("NO_COLOR");
            no_color.map(|value| command.env("NO_COLOR", value));
            command
        };
        let piped = run_with(make(None), b"");
        assert!(piped.out.contains("[unknown-keyword]") && !piped.out.contains('\x1b'), "{piped:?}");
        let shown = on_a_terminal(make(None));
        assert!(shown.contains("\x1b[1;31merror:\x1b[0m"), "{shown:?}");
        let shown = on_a_terminal(make(Some("1")));
        assert!(shown.contains("[unknown-keyword]") && !shown.contains('\x1b'), "{shown:?}");
    }
}

#[test]
fn of_a_bad_file_nothing_comes_out_but_its_problems_on_stderr() {
    let checked = run_on(LVSD, &["--check", "-"], "keepalve = 3\n");
    for option in ["--dump", "--convert"] {
        let ran = run_on(LVSD, &[option, "-"], "keepalve = 3\n");
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(78), "", checked.out.as_str()));
    }
}

#[test]
fn what_cannot_be_written_is_no_success_but_a_reader_may_go() {
    for (program, line) in [(LVSD, ["--convert", "-"]), (LVSD, ["--check", "-"]), (PULSE, ["--check", "-"])] {
        let folder = tempfile::tempdir().unwrap();
        let input = || File::open(file(&folder, "lvs.cf", GOOD)).unwrap();
        let mut full = command(program, &line);
        full.stdin(input()).stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::null());
        assert_eq!(status_of(full).code(), Some(71), "{line:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut gone = command(program, &line);
        gone.stdin(input()).stdout(writer).stderr(Stdio::null());
        assert_eq!(status_of(gone).code(), Some(0), "{line:?}");
    }
}

#[test]
fn a_wrong_command_line_is_64_and_says_what_is_wrong() {
    for (program, line, text) in [
        (LVSD, &["--check", "a", "b"][..], "lvs: bad argument --check: two files are named, a and b\n"),
        (LVSD, &["--check", "--convert", "a"], "lvs: bad argument --convert: it does not go together with --check\n"),
        (
            LVSD,
            &["--dump", "--format", "json", "a"],
            "lvs: bad argument --format: it belongs to --check, not to --dump\n",
        ),
        (LVSD, &["a"], "lvs: unexpected arguments\n"),
        (PULSE, &["--check", "a", "b"], "pulse: bad argument --check: two files are named, a and b\n"),
        (PULSE, &["--toml"], "pulse: bad argument --toml: it belongs to --check\n"),
        (PULSE, &["a"], "pulse: unexpected arguments\n"),
    ] {
        let ran = run(program, line);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(64), "", text), "{line:?}");
    }
    for program in [PULSE, LVSD] {
        let ran = run(program, &["--check", "--format", "xml"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(64), ""));
        assert!(ran.err.contains("bad argument --format") && ran.err.contains("xml"), "{ran:?}");
    }
}

/// A failover service that nobody complains about.
const FAILOVER: &str = "service = fos\nprimary = 127.0.0.1\nfailover web {\n active = 1\n address = 192.0.2.9 lo:1\n \
                        vip_nmask = 255.255.255.255\n start_cmd = \"/bin/true start\"\n stop_cmd = \"/bin/true stop\"\n}\n";

#[test]
fn a_file_for_failover_services_is_answered_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "lvs.cf", FAILOVER);
    for program in [PULSE, LVSD] {
        let ran = run(program, &["--check", &path]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let sum = format!("{path}: good: 1 failover service, 0 warnings, fingerprint ");
        assert!(ran.last_line().starts_with(&sum), "{ran:?}");
    }
    let dump = run(LVSD, &["--dump", &path]);
    for line in ["failover web {", "start_cmd = \"/bin/true start\"", "restarts = 3", "stop_timeout = 10"] {
        assert!(dump.out.lines().any(|it| it.trim() == line), "{line}: {dump:?}");
    }
    // there and back, and it is the same configuration
    let there = run(LVSD, &["--convert", &path]);
    assert_eq!((there.code, there.err.as_str()), (Some(0), ""), "{there:?}");
    assert!(there.out.contains("[failover.web]") || there.out.contains("[[failover]]"), "{there:?}");
    let back = run_on(LVSD, &["--convert", "--toml", "-"], &there.out);
    let fingerprint = |text: &str| run_on(LVSD, &["--check", "-"], text).fingerprint().to_owned();
    assert_eq!(fingerprint(&back.out), fingerprint(FAILOVER), "{back:?}");
    // nothing runs and nothing is started
    let start = "start failover service web 192.0.2.9:80: /bin/true start\n";
    let ran = run(LVSD, &["--test-start", "-c", &path]);
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (Some(0), format!("would {start}"), ""));
    let ran = run(LVSD, &["--plan", &path]);
    let out = format!("a start with {path} would:\n  {start}");
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (Some(0), out, ""));
}
