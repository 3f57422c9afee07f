use super::*;

fn run(line: &[&str]) -> Args {
    match parse(std::iter::once(&"lvsd").chain(line)) {
        Asked::Run(args) => *args,
        other @ (Asked::Print(_) | Asked::Wrong(_)) => panic!("{other:?}"),
    }
}

fn wrong(line: &[&str]) -> String {
    match parse(std::iter::once(&"lvsd").chain(line)) {
        Asked::Wrong(text) => text,
        other @ (Asked::Run(_) | Asked::Print(_)) => panic!("{other:?}"),
    }
}

fn printed(line: &[&str]) -> String {
    match parse(std::iter::once(&"lvsd").chain(line)) {
        Asked::Print(text) => text,
        other @ (Asked::Run(_) | Asked::Wrong(_)) => panic!("{other:?}"),
    }
}

/// piranha.md 3.1, and 2.4 for what pulse passes.
#[test]
fn the_originals_options_are_understood_long_and_short() {
    let pulse = run(&["--nofork", "-c", "/etc/sysconfig/ha/lvs.cf", "-v"]);
    assert!(pulse.nofork && pulse.verbose && !pulse.nodaemon);
    assert_eq!(pulse.configfile, PathBuf::from(DEFAULT_FILE));
    assert_eq!(run(&[]).configfile, PathBuf::from(DEFAULT_FILE));
    assert_eq!(run(&["--configfile", "x"]), run(&["-cx"]));
    assert_eq!(run(&["--configfile=x"]), run(&["-c", "x"]));
    assert_eq!(run(&["--nodaemon"]), run(&["-n"]));
    assert_eq!(run(&["--test-start"]), run(&["-t"]));
    assert_eq!(run(&["--verbose"]), run(&["-v"]));
}

#[test]
fn what_is_not_understood_is_said_in_the_originals_words() {
    assert_eq!(wrong(&["extra"]), "lvs: unexpected arguments");
    assert!(wrong(&["--frobnicate"]).starts_with("lvs: bad argument --frobnicate: "));
    assert!(wrong(&["-c"]).starts_with("lvs: bad argument "), "{}", wrong(&["-c"]));
}

#[test]
fn version_and_help_are_printed() {
    assert!(printed(&["--version"]).starts_with("Program Version:\tlvs "));
    assert_eq!(printed(&["--help"]), printed(&["-?"]));
    assert_eq!(printed(&["--help"]), printed(&["--usage"]));
}

/// The manual and --help name the same options.
#[test]
fn the_manual_has_every_option_and_no_other() {
    use clap::CommandFactory as _;
    use std::collections::BTreeSet;
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/lvsd.8")).unwrap();
    let command = Args::command();
    let mut help = BTreeSet::new();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        help.extend(argument.get_short().map(|short| format!("{short}")));
        help.extend(argument.get_long().map(|long| format!("-{long}")));
        help.extend(argument.get_visible_aliases().unwrap_or_default().iter().map(|long| format!("-{long}")));
    }
    // Options are documented as list items: `.It Fl c , Fl -configfile Ar FILE`
    let items = manual.lines().filter(|line| line.starts_with(".It Fl"));
    let words = items.flat_map(|line| line.split("Fl ").skip(1).filter_map(|rest| rest.split_whitespace().next()));
    let documented: BTreeSet<String> = words.map(|word| word.replace("\\&", "")).collect();
    assert_eq!(documented, help);
}

/// A rule that changes must change in the manual too.
#[test]
fn the_manual_has_the_rules_as_numbers() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/lvsd.8")).unwrap();
    let rules = common::child::Rules::default();
    let numbers = [
        format!("beat {} s", rules.beat.as_secs()),
        format!("frozen {} s", rules.frozen_after.as_secs()),
        format!("stop {} s", rules.stop_within.as_secs()),
        format!("first backoff {} ms", rules.backoff_first.as_millis()),
        format!("longest backoff {} s", rules.backoff_max.as_secs()),
        format!("healthy {} s", rules.healthy_after.as_secs()),
        format!("look {} s", crate::services::LOOK_EVERY.as_secs()),
    ];
    for number in numbers {
        let item = format!(".It {number}");
        assert!(manual.lines().any(|line| line == item), "no line \"{item}\" in lvsd.8");
    }
}
