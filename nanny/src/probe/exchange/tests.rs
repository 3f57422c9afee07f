use common::check::unescape;
use proptest::prelude::*;

use super::*;

/// How a conversation ends whose answer arrives in these pieces; `closes`: the
/// server closes after it, else it stays silent until the deadline.
fn outcome(script: &Script, pieces: &[&[u8]], closes: bool) -> Outcome {
    let mut exchange = Exchange::default();
    while let Next::Send(bytes) = exchange.next(script) {
        exchange.sent(bytes.len());
    }
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match exchange.next(script) {
                Next::Receive(room) => {
                    assert!(room > 0, "a read of nothing looks like the end");
                    let (now, later) = rest.split_at(room.min(rest.len()));
                    if let Some(outcome) = exchange.received(script, now) {
                        return outcome;
                    }
                    rest = later;
                }
                Next::Over(outcome) => return outcome,
                Next::Send(_) | Next::Listen(_) => panic!("nothing is received now"),
            }
        }
    }
    if let Next::Over(outcome) = exchange.next(script) {
        return outcome;
    }
    if closes { exchange.ended(script) } else { exchange.timed_out(script) }
}

fn expecting(text: &str, is_pattern: bool) -> Script {
    Script::new(b"QUIT\r\n".to_vec(), Expect::new(Some(text.into()), is_pattern), None)
}

#[test]
fn the_answer_must_begin_with_the_expected_text() {
    let http = expecting("HTTP", false);
    for (answer, closes, expected) in [
        ("HTTP/1.0 200 OK\r\n", false, Outcome::Good),
        ("HTTP", false, Outcome::Good),
        ("HTT", true, Outcome::TooShort),
        ("HTT", false, Outcome::TooShort),
        ("", true, Outcome::TooShort),
        ("", false, Outcome::ReadTimedOut),
        ("220 smtp", false, Outcome::Unexpected),
        ("HTxP", false, Outcome::Unexpected),
        ("X", false, Outcome::Unexpected),
    ] {
        assert_eq!(outcome(&http, &[answer.as_bytes()], closes), expected, "{answer:?}, {closes}");
    }
}

#[test]
fn a_star_is_any_byte_and_the_empty_text_anything_or_the_end() {
    let star = expecting("*", false);
    assert_eq!(outcome(&star, &[b"\0"], false), Outcome::Good);
    assert_eq!(outcome(&star, &[], true), Outcome::TooShort);
    assert_eq!(outcome(&star, &[], false), Outcome::ReadTimedOut);
    let empty = expecting("", false);
    assert_eq!(outcome(&empty, &[b"x"], false), Outcome::Good);
    assert_eq!(outcome(&empty, &[], true), Outcome::Good);
    assert_eq!(outcome(&empty, &[], false), Outcome::ReadTimedOut);
}

#[test]
fn without_an_expected_text_connecting_or_sending_is_enough() {
    for send in ["", "hello"] {
        let script = Script::new(send.into(), Expect::new(None, false), None);
        assert_eq!(outcome(&script, &[], false), Outcome::Good);
    }
}

#[test]
fn a_pattern_is_looked_for_in_what_came_and_not_beyond_its_limit() {
    let ok = expecting("^HTTP/1\\.[01] (200|302)", true);
    assert_eq!(outcome(&ok, &[b"HTTP/1.1 302 Found"], false), Outcome::Good);
    assert_eq!(outcome(&ok, &[b"HTTP/1.1 500"], true), Outcome::Unexpected);
    assert_eq!(outcome(&ok, &[b"HTTP/1.1 500"], false), Outcome::Unexpected);
    assert_eq!(outcome(&ok, &[], true), Outcome::TooShort);
    assert_eq!(outcome(&ok, &[], false), Outcome::ReadTimedOut);
    let far = [b"x".repeat(PATTERN_SEES), b"needle".to_vec()].concat();
    assert_eq!(outcome(&expecting("needle", true), &[&far], false), Outcome::Unexpected);
    assert_eq!(outcome(&expecting("x.needle", true), &[b"x\nneedle"], false), Outcome::Good, "a dot is any character");
}

#[test]
fn a_pattern_with_an_end_waits_for_the_end() {
    let exactly = expecting("^OK$", true);
    assert_eq!(outcome(&exactly, &[b"OK"], true), Outcome::Good);
    assert_eq!(outcome(&exactly, &[b"OK", b"AY"], true), Outcome::Unexpected);
    assert_eq!(outcome(&exactly, &[b"OK"], false), Outcome::Good, "at the deadline that was all");
    assert!(!mentions_end(r"a\$b\\d") && mentions_end(r"a\\$") && mentions_end(r"\bOK") && !mentions_end(r"\."));
}

#[test]
fn a_pattern_that_is_none_fails_each_check_with_the_reason() {
    for bad in ["(", "(((a{1000}){1000}){1000})"] {
        let script = expecting(bad, true);
        assert!(matches!(outcome(&script, &[b"x"], true), Outcome::BadPattern(why) if !why.is_empty()), "{bad}");
    }
}

#[test]
fn posix_classes_are_understood() {
    assert_eq!(outcome(&expecting("^[[:digit:]]{3} ", true), &[b"220 x"], false), Outcome::Good);
}

#[test]
fn a_write_that_does_not_end_is_told_from_a_read() {
    let script = expecting("HTTP", false);
    let mut exchange = Exchange::default();
    exchange.sent(3);
    assert_eq!(exchange.next(&script), Next::Send(b"T\r\n"));
    assert_eq!(exchange.timed_out(&script), Outcome::WriteTimedOut);
}

#[test]
fn over_udp_an_empty_datagram_is_sent_and_silence_is_listened_to() {
    let silence = Duration::from_millis(500);
    let script = Script::new(Vec::new(), Expect::new(None, false), Some(silence));
    let mut exchange = Exchange::default();
    assert_eq!(exchange.next(&script), Next::Send(b""));
    exchange.sent(0);
    assert_eq!(exchange.next(&script), Next::Listen(silence));
}

/// Cuts `bytes` where `cuts` says so.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.push(bytes.len());
    at.sort_unstable();
    let mut from = 0;
    at.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

proptest! {
    #[test]
    fn however_the_answer_is_cut_the_verdict_is_the_same(
        answer in prop_oneof![
            "(HTTP|HTT|OK|220 |2|é|\r\n|x){0,6}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..600),
            "OK{1,300}".prop_map(String::into_bytes),
        ],
        expect in prop_oneof![Just("HTTP"), Just("*"), Just(""), Just("OK"), Just("2"), Just("O.*K$"), Just("[^é]$"), Just("(OK|2)+"), Just("x\\b")],
        is_pattern: bool, closes: bool, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let script = expecting(expect, is_pattern);
        let whole = outcome(&script, &[&answer], closes);
        prop_assert_eq!(outcome(&script, &pieces(&answer, &cuts), closes), whole.clone());
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        prop_assert_eq!(outcome(&script, &bytes, closes), whole);
    }

    #[test]
    fn hostile_patterns_and_answers_never_panic(
        pattern in prop::collection::vec(any::<u8>(), 0..60), answer in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let script = Script::new(Vec::new(), Expect::new(Some(unescape(&pattern)), true), None);
        let _ = outcome(&script, &[&answer], true);
    }
}
