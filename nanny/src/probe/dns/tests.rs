use common::check::{domain, record_type};
use proptest::prelude::*;

use super::*;

const ID: u16 = 0x1234;

fn question(kind: &str, rcode: u8, answer: Option<&str>, is_stream: bool) -> Question {
    let name = domain("www.example").unwrap();
    Question::new(name, record_type(kind).unwrap(), rcode, answer.map(Into::into), is_stream)
}

/// An answer with these records' data, all of them to our name by a pointer.
fn answer(question: &Question, rcode: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut message = ID.to_be_bytes().to_vec();
    message.extend([0x81, 0x80 | rcode, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    message.extend_from_slice(&question.name);
    message.extend(question.kind.to_be_bytes());
    message.extend([0, 1]);
    for (kind, data) in records {
        message.extend([0xc0, 12]);
        message.extend(record_type(kind).unwrap().to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

fn ask(question: &Question, message: &[u8]) -> Option<Outcome> {
    let mut asking = Asking::new(question, ID);
    while let Next::Send(bytes) = asking.next() {
        let n = bytes.len();
        asking.sent(n);
    }
    asking.received(question, message)
}

fn why(outcome: Option<Outcome>) -> String {
    if let Some(Outcome::Wrong(why)) = outcome { why } else { panic!("{outcome:?}") }
}

#[test]
fn the_question_is_that_of_rfc_1035() {
    let asking = Asking::new(&question("A", 0, None, false), ID);
    let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01".as_slice();
    assert_eq!(asking.next(), Next::Send(expected));
    let framed = Asking::new(&question("A", 0, None, true), ID);
    assert_eq!(framed.next(), Next::Send([b"\0\x1d".as_slice(), expected].concat().as_slice()));
}

#[test]
fn the_code_must_be_the_expected_one() {
    let a = question("A", 0, None, false);
    assert_eq!(ask(&a, &answer(&a, 0, &[])), Some(Outcome::Good), "an empty answer is one");
    assert_eq!(why(ask(&a, &answer(&a, 3, &[]))), "DNS answer NXDOMAIN");
    assert_eq!(why(ask(&a, &answer(&a, 2, &[]))), "DNS answer SERVFAIL");
    let refused = question("A", 5, None, false);
    assert_eq!(ask(&refused, &answer(&refused, 5, &[])), Some(Outcome::Good));
}

#[test]
fn a_record_of_the_type_must_be_the_expected_one() {
    for (kind, data, text) in [
        ("A", b"\xc0\x00\x02\x07".as_slice(), "192.0.2.7"),
        ("AAAA", b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", "2001:db8::7"),
        ("CNAME", b"\x04Mail\xc0\x10", "mail.example."),
        ("MX", b"\0\x0a\x04mail\xc0\x10", "10 mail.example"),
        ("SRV", b"\0\x01\0\x02\x13\xc4\x03sip\xc0\x10", "1 2 5060 sip.example"),
        ("TXT", b"\x03v=s\x03pf1", "v=spf1"),
        ("CAA", b"\0\x05issue", "00056973737565"),
    ] {
        let wanted = question(kind, 0, Some(text), false);
        let other = ("TYPE99", b"x".as_slice());
        assert_eq!(ask(&wanted, &answer(&wanted, 0, &[other, (kind, data)])), Some(Outcome::Good), "{kind}");
        let none = why(ask(&wanted, &answer(&wanted, 0, &[other])));
        assert_eq!(none, "the DNS answer has no record of the type asked for");
    }
    let a = question("A", 0, Some("192.0.2.8"), false);
    let message = answer(&a, 0, &[("A", b"\xc0\x00\x02\x07")]);
    assert_eq!(why(ask(&a, &message)), "the DNS answer is not as expected: \"192.0.2.7\"");
    let cut = why(ask(&a, message.split_last().unwrap().1));
    assert_eq!(cut, "the DNS answer is garbled");
}

#[test]
fn datagrams_that_answer_something_else_are_passed_over() {
    let a = question("A", 0, None, false);
    let good = answer(&a, 0, &[]);
    let change = |at: usize, to: u8| {
        let mut message = good.clone();
        message[at] = to;
        message
    };
    for (what, message) in [
        ("another id", change(1, 0)),
        ("a question", change(2, 1)),
        ("another name", change(13, b'x')),
        ("another type", change(good.len() - 3, 28)),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(ask(&a, &message), None, "{what}");
    }
    let mut asking = Asking::new(&a, ID);
    let ended = (0..100).find_map(|_| asking.received(&a, b"x"));
    assert_eq!(why(ended), "the datagrams are no answer to our question");
    assert_eq!(
        ask(
            &a,
            &answer(&a, 0, &[])[..12].iter().enumerate().map(|(n, b)| if n == 5 { 0 } else { *b }).collect::<Vec<_>>()
        ),
        Some(Outcome::Good),
        "an answer without the question"
    );
}

#[test]
fn a_stream_is_put_together() {
    let a = question("A", 0, Some("192.0.2.7"), true);
    let message = answer(&a, 0, &[("A", b"\xc0\x00\x02\x07")]);
    let framed = [u16::try_from(message.len()).unwrap().to_be_bytes().as_slice(), &message].concat();
    let mut asking = Asking::new(&a, ID);
    let (last, all) = framed.split_last().unwrap();
    assert!(all.iter().all(|byte| asking.received(&a, &[*byte]).is_none()));
    assert_eq!(asking.ended(), Outcome::TooShort);
    assert_eq!(asking.received(&a, &[*last]), Some(Outcome::Good));
    assert_eq!(why(Asking::new(&a, 1).received(&a, &framed)), "the answer is not to our question");
}

#[test]
fn a_name_that_points_at_itself_ends() {
    assert_eq!(name_at(b"\xc0\x00", 0), None);
    assert_eq!(
        name_at(b"\x01a\xc0\x00\xc0\x02", 4),
        None,
        "pointers must go backwards, and a label between them counts"
    );
    assert_eq!(name_at(b"\x01a\0\xc0\x00", 3), Some(("a".to_owned(), 5)));
}

proptest! {
    #[test]
    fn hostile_answers_are_judged(
        is_stream in any::<bool>(),
        body in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 12, 0xc0])], 0..80),
        counts in any::<[u8; 4]>(),
    ) {
        for kind in ["A", "MX", "SRV", "TXT", "NS", "TYPE999"] {
            let question = question(kind, 0, Some("x"), is_stream);
            let mut message = answer(&question, 0, &[]);
            message[4..8].copy_from_slice(&[0, counts[0] & 1, counts[2], counts[3]]);
            message.extend_from_slice(&body);
            if is_stream {
                message.splice(0..0, u16::try_from(message.len()).unwrap().to_be_bytes());
            }
            prop_assert!(ask(&question, &message).is_none_or(|outcome| !outcome.is_good() || kind == "TXT"));
            let _ = ask(&question, &body);
        }
    }
}
