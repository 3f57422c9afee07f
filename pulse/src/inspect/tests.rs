use super::*;
use crate::args::parse;

fn typed(line: &[&str]) -> Result<Args, String> {
    parse(["pulse"].iter().chain(line).map(Into::into)).map_err(|answer| {
        assert_eq!(answer.status, ExitStatus::Usage, "{line:?}");
        answer.text
    })
}

#[test]
fn the_file_may_stand_wherever_it_reads_naturally() {
    for line in [
        &["--check", "x"][..],
        &["--check=x"],
        &["x", "--check"],
        &["--check", "-c", "x"],
        &["-c", "x", "--check"],
        &["--check", "-v", "x"],
        &["--check", "--format", "text", "x"],
    ] {
        let args = typed(line).unwrap();
        let look = Look { file: Path::new("x"), toml: false, json: false };
        assert_eq!(asked(&args), Ok(Some(look)), "{line:?}");
    }
    let args = typed(&["--check"]).unwrap();
    assert_eq!(asked(&args).unwrap().unwrap().file, Path::new(CONFIG_FILE));
    let args = typed(&["--check", "--toml", "--format=json", "-"]).unwrap();
    assert_eq!(asked(&args), Ok(Some(Look { file: Path::new("-"), toml: true, json: true })));
    assert_eq!(asked(&typed(&["-n", "-c", "x"]).unwrap()), Ok(None));
}

#[test]
fn what_does_not_go_together_is_named() {
    for (line, text) in [
        (&["--check", "x", "y"][..], "pulse: bad argument --check: two files are named, x and y\n"),
        (&["--check", "-t"], "pulse: bad argument --test-start: it does not go together with --check\n"),
        (&["--format", "json"], "pulse: bad argument --format: it belongs to --check\n"),
        (&["--toml"], "pulse: bad argument --toml: it belongs to --check\n"),
        (&["--check", "--format", "xml"], "pulse: bad argument --format: invalid value \"xml\"\n"),
        (&["x"], "pulse: unexpected arguments\n"),
        (&["-n", "x"], "pulse: unexpected arguments\n"),
    ] {
        assert_eq!(typed(line).unwrap_err(), text, "{line:?}");
    }
}

#[test]
fn a_file_that_pulse_does_not_start_with_does_not_pass() {
    let none = Config::default();
    assert_eq!(refusal(&none).unwrap(), "no active lvs services defined in ");
    let one = common::config::VirtualService { active: true, ..Default::default() };
    assert_eq!(refusal(&Config { virtuals: vec![one], ..none }), None);
}
