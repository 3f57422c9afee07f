use super::*;

fn command(line: &str, expect: Option<&str>) -> Command {
    Command::new(line.as_bytes(), "198.51.100.7:8080".parse().unwrap(), Good::Output(expect.map(Into::into)))
}

fn words(line: &str) -> Vec<String> {
    command(line, None).words().iter().map(|word| word.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_word_that_is_the_token_is_substituted_and_no_part_of_a_word() {
    assert_eq!(words("/bin/check -h %h -p %p"), ["/bin/check", "-h", "198.51.100.7", "-p", "8080"]);
    assert_eq!(words("/bin/check http://%h/ %H %%h"), ["/bin/check", "http://%h/", "%H", "%%h"]);
}

#[test]
fn blanks_split_and_nothing_quotes() {
    assert_eq!(words("  a  'b c'\t$d;|e  "), ["a", "'b", "c'", "$d;|e"]);
    assert!(words("").is_empty() && words(" \t").is_empty());
    let ipv6 = Command::new(b"a %h", "[2001:db8::7]:80".parse().unwrap(), Good::Status);
    assert_eq!(ipv6.line(), "a 2001:db8::7");
}

#[test]
fn the_output_but_for_one_line_end_must_be_the_expected_text() {
    let ok = command("x", Some("OK"));
    let well = Exit::Status(0);
    for (output, expected) in [
        ("OK\n", Outcome::Good),
        ("OK", Outcome::Good),
        ("OK\n\n", Outcome::Unexpected),
        ("OK\r\n", Outcome::Unexpected),
        ("OKAY\n", Outcome::Unexpected),
        ("O", Outcome::Unexpected),
        ("\n", Outcome::Unexpected),
        ("", Outcome::ProgramSilent),
    ] {
        assert_eq!(ok.judge(well, output.as_bytes()).0, expected, "{output:?}");
    }
    assert_eq!(command("x", Some("")).judge(well, b"").0, Outcome::Good);
    assert_eq!(command("x", Some("*")).judge(well, b"anything").0, Outcome::Unexpected, "no wildcard for programs");
}

#[test]
fn a_program_that_ends_badly_has_failed_whatever_it_printed() {
    let ok = command("/bin/check 1", Some("OK"));
    for exit in [Exit::Status(1), Exit::Signal(11)] {
        assert_eq!(ok.judge(exit, b"OK\n").0, Outcome::ProgramFailed("/bin/check 1".into(), exit));
    }
}

#[test]
fn a_program_of_which_nothing_is_expected_never_makes_a_server_available() {
    let none = command("x", None);
    assert_eq!(none.judge(Exit::Status(0), b"OK\n").0, Outcome::NothingExpected);
    assert_eq!(none.judge(Exit::Status(1), b"").0, Outcome::ProgramForNothing);
}

#[test]
fn a_script_is_judged_by_its_exit_status_which_may_be_a_weight() {
    let script = |good| Command::new(b"x", "198.51.100.7:80".parse().unwrap(), good);
    let failed = |exit| (Outcome::ProgramFailed("x".into(), exit), None);
    for (exit, plain, weight) in [
        (Exit::Status(0), (Outcome::Good, None), (Outcome::Good, None)),
        (Exit::Status(1), failed(Exit::Status(1)), failed(Exit::Status(1))),
        (Exit::Status(2), failed(Exit::Status(2)), (Outcome::Good, Some(0))),
        (Exit::Status(254), failed(Exit::Status(254)), (Outcome::Good, Some(252))),
        (Exit::Status(255), failed(Exit::Status(255)), failed(Exit::Status(255))),
        (Exit::Signal(9), failed(Exit::Signal(9)), failed(Exit::Signal(9))),
    ] {
        assert_eq!(script(Good::Status).judge(exit, b"whatever"), plain);
        assert_eq!(script(Good::Weight).judge(exit, b""), weight);
    }
}
