use super::*;

fn parsed(line: &[&str]) -> Result<Args, Answer> {
    parse(["pulse"].iter().chain(line).map(OsString::from))
}

fn answer(line: &[&str]) -> (ExitStatus, String) {
    let Answer { text, status } = parsed(line).unwrap_err();
    (status, text)
}

#[test]
fn without_options_it_is_the_originals_file_in_the_background() {
    let args = parsed(&[]).unwrap();
    assert_eq!(args.configfile, Path::new(CONFIG_FILE));
    assert!(!args.nodaemon && !args.verbose && !args.test_start && !args.forceactive);
    assert_eq!(args.log_facility, "daemon");
}

/// piranha.md 2.1.
#[test]
fn every_option_of_the_original_is_understood() {
    let short = parsed(&["-c", "/a", "-n", "-t", "-v"]).unwrap();
    let long = parsed(&["--configfile=/a", "--nodaemon", "--test-start", "--verbose"]).unwrap();
    assert_eq!(short, long);
    assert_eq!(parsed(&["--norun"]).unwrap(), parsed(&["-t"]).unwrap());
    assert!(parsed(&["--forceactive"]).unwrap().forceactive);
    assert_eq!(parsed(&["--lvsd=/x"]).unwrap().lvsd.as_deref(), Some(Path::new("/x")));
    assert_eq!(parsed(&["--lvs=/x"]).unwrap(), parsed(&["--lvsd", "/x"]).unwrap(), "the manual's spelling");
    assert_eq!(parsed(&["--fos=/x"]).unwrap().fos.as_deref(), Some(Path::new("/x")));
    assert!(parsed(&["-v", "-v"]).is_ok(), "OPTIONS may repeat what the script gives");
}

#[test]
fn what_is_wrong_is_said_in_the_originals_words() {
    let usage = |text: &str| (ExitStatus::Usage, format!("pulse: {text}\n"));
    assert_eq!(answer(&["--bogus"]), usage("bad argument --bogus: unknown option"));
    assert_eq!(answer(&["-x"]), usage("bad argument -x: unknown option"));
    assert_eq!(answer(&["extra"]), usage("unexpected arguments"));
    assert_eq!(answer(&["-c"]), usage("bad argument --configfile: missing argument"));
    assert_eq!(answer(&["--log-facility=none"]), usage("bad argument --log-facility: invalid value \"none\""));
}

#[test]
fn a_restart_is_for_the_background_and_is_not_passed_on() {
    let args = parsed(&["--restart", "-v"]).unwrap();
    assert!(args.restart);
    assert_eq!(
        parse(std::iter::once("pulse".into()).chain(args.passed_on("--worker"))).map(|it| it.restart),
        Ok(false)
    );
    assert!(parsed(&["--detach"]).unwrap().detach && parsed(&["--foreground"]).unwrap().foreground);
    assert_eq!(parsed(&["--detach", "--restart"]).unwrap_err().status, ExitStatus::Usage);
    assert_eq!(parsed(&["--restart", "--foreground"]).unwrap_err().status, ExitStatus::Usage);
    assert_eq!(parsed(&["--restart", "-n"]).unwrap_err().status, ExitStatus::Usage);
}

#[test]
fn version_has_the_originals_three_lines() {
    let (status, text) = answer(&["--version"]);
    assert_eq!(status, ExitStatus::Stopped);
    let version = env!("CARGO_PKG_VERSION");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("Program Version:\tpulse {version}"));
    assert!(lines[1].starts_with("Built:\t\t\t"));
    assert_eq!(lines[2], format!("A component of:\t\tpiranha-ng-{version}"));
}

#[test]
fn help_and_usage_are_no_errors_and_hide_what_is_not_for_hands() {
    for line in [["--help"], ["-?"], ["--usage"]] {
        let (status, text) = answer(&line);
        assert_eq!(status, ExitStatus::Stopped);
        assert!(text.contains("pulse"), "{text}");
        assert!(!text.contains("worker") && !text.contains("guard"), "{text}");
    }
}

#[test]
fn a_process_that_is_started_with_what_is_passed_on_means_the_same() {
    let args =
        parsed(&["-c", "/a b", "-v", "--forceactive", "--lvsd=/l", "--fos=/f", "--log-facility=local3"]).unwrap();
    for flag in ["--worker", "--guard"] {
        let line = ["pulse".into()].into_iter().chain(args.passed_on(flag));
        let again = parse(line).unwrap();
        assert_eq!(Args { worker: flag == "--worker", guard: flag == "--guard", ..args.clone() }, again);
    }
}

/// piranha.md 2.4.
#[test]
fn lvsd_is_started_as_the_original_started_it() {
    let line = |line: &[&str]| parsed(line).unwrap().for_lvsd();
    assert_eq!(line(&["-c", "/a"]), ["--nofork", "-c", "/a"]);
    assert_eq!(line(&["-c", "/a", "-v"]), ["--nofork", "-c", "/a", "-v"]);
    assert_eq!(line(&["-c", "/a", "-n"]), ["--nodaemon", "-c", "/a"]);
    assert_eq!(line(&["-c", "/a", "--log-facility=local3"]), ["--nofork", "-c", "/a", "--log-facility=local3"]);
}

/// Every option of --help is in the manual, and the manual has no other.
#[test]
fn the_manual_and_the_help_name_the_same_options() {
    let manual = include_str!("../../pulse.8");
    let command = Args::command();
    let mut documented: Vec<String> = manual
        .lines()
        .filter(|line| line.starts_with(".It Fl "))
        .flat_map(|line| line.split(" Fl ").skip(1).map(|part| part.split_whitespace().next().unwrap_or("").to_owned()))
        .map(|name| name.trim_end_matches(',').replace("\\&", ""))
        .collect();
    let mut offered = Vec::new();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        offered.extend(argument.get_short().map(|short| short.to_string()));
        offered.extend(argument.get_long().map(|long| format!("-{long}")));
        offered.extend(argument.get_visible_aliases().into_iter().flatten().map(|alias| format!("-{alias}")));
    }
    documented.sort();
    offered.sort();
    assert_eq!(documented, offered);
}

/// The rules in the manual are the rules in the code.
#[test]
fn the_manuals_numbers_are_the_codes() {
    use crate::{announce, node};
    use common::child::Rules;
    let manual = include_str!("../../pulse.8");
    let rules = Rules::default();
    let numbers = [
        ("says that it is alive every", rules.beat.as_secs_f64(), "seconds"),
        ("silent for", rules.frozen_after.as_secs_f64(), "seconds"),
        ("then after", rules.backoff_first.as_secs_f64(), "seconds"),
        ("at most every", rules.backoff_max.as_secs_f64(), "seconds"),
        ("forgotten after", rules.healthy_after.as_secs_f64(), "seconds"),
        ("killed after", node::lvsd_rules().stop_within.as_secs_f64(), "seconds"),
        ("waits for lvsd at most", node::RAISE_WITHIN.as_secs_f64(), "seconds"),
        ("compared with the kernel every", node::LOOK_EVERY.as_secs_f64(), "seconds"),
        ("tried for", node::LOWER_WITHIN.as_secs_f64(), "seconds"),
        ("raised", node::RELOAD_GRACE.as_secs_f64(), "second later"),
        ("announced", f64::from(announce::TIMES), "times"),
    ];
    let words = manual.split_whitespace().collect::<Vec<_>>().join(" ");
    for (before, number, after) in numbers {
        let sentence = format!("{before} {number} {after}");
        assert!(words.contains(&sentence), "the manual does not say \"{sentence}\"");
    }
}
