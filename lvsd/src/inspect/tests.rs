use super::*;
use crate::args::Asked;

fn typed(line: &[&str]) -> Result<Box<Args>, String> {
    match crate::args::parse(std::iter::once(&"lvsd").chain(line)) {
        Asked::Run(args) => Ok(args),
        Asked::Wrong(text) => Err(text),
        Asked::Print(text) => panic!("{text}"),
    }
}

/// The look a command line asks for, with its file.
fn looked(line: &[&str]) -> (What, String, bool) {
    let args = typed(line).unwrap_or_else(|text| panic!("{line:?}: {text}"));
    let Look { what, file, toml } = asked(&args).unwrap().unwrap_or_else(|| panic!("{line:?} asks for none"));
    (what, file.display().to_string(), toml)
}

#[test]
fn the_file_may_stand_wherever_it_reads_naturally() {
    let check = What::Check { json: false };
    for line in [
        &["--check", "x"][..],
        &["--check=x"],
        &["x", "--check"],
        &["--check", "-c", "x"],
        &["-c", "x", "--check"],
        &["-cx", "--check", "-v"],
        &["--check", "-v", "x"],
        &["--check", "--format", "text", "x"],
        &["--check", "x", "-c", "x"],
    ] {
        assert_eq!(looked(line), (check, "x".to_owned(), false), "{line:?}");
    }
    assert_eq!(looked(&["--check"]), (check, DEFAULT_FILE.to_owned(), false));
    for line in [&["--check", "-"][..], &["--check=-"], &["-", "--check"], &["-c", "-", "--check"]] {
        assert_eq!(looked(line), (check, "-".to_owned(), false), "{line:?}");
    }
    assert_eq!(looked(&["--check", "--format=json", "x"]), (What::Check { json: true }, "x".to_owned(), false));
    assert_eq!(looked(&["--dump", "x"]), (What::Dump, "x".to_owned(), false));
    assert_eq!(looked(&["--convert", "--toml", "-"]), (What::Convert, "-".to_owned(), true));
}

#[test]
fn what_does_not_go_together_is_named() {
    for (line, text) in [
        (&["--check", "x", "y"][..], "lvs: bad argument --check: two files are named, x and y"),
        (&["-c", "x", "--dump", "y"], "lvs: bad argument --dump: two files are named, y and x"),
        (&["--check", "--dump", "x"], "lvs: bad argument --dump: it does not go together with --check"),
        (&["--convert", "x", "-t"], "lvs: bad argument --test-start: it does not go together with --convert"),
        (&["--dump", "x", "--format", "json"], "lvs: bad argument --format: it belongs to --check, not to --dump"),
        (&["--format", "json"], "lvs: bad argument --format: it belongs to --check"),
        (&["--toml"], "lvs: bad argument --toml: it belongs to --check, --dump or --convert"),
        (&["x"], "lvs: unexpected arguments"),
        (&["-n", "x"], "lvs: unexpected arguments"),
        (&["--check", "x", "y", "z"], "lvs: unexpected arguments"),
    ] {
        assert_eq!(typed(line).unwrap_err(), text, "{line:?}");
    }
    let text = typed(&["--check", "--format", "xml"]).unwrap_err();
    assert!(text.starts_with("lvs: bad argument --format") && text.contains("xml"), "{text}");
}

#[test]
fn without_these_options_lvsd_runs() {
    assert_eq!(asked(&typed(&["-n", "-c", "x"]).unwrap()), Ok(None));
}

#[test]
fn the_help_teaches_the_file_and_where_it_comes_from() {
    let Asked::Print(help) = crate::args::parse(["lvsd", "--help"]) else { panic!() };
    for part in ["--check [<FILE>]", "--dump [<FILE>]", "--convert [<FILE>]", "--format <text|json>", "standard input"]
    {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
    assert!(help.starts_with("Sets up the virtual services"), "{help}");
}
