use proptest::prelude::*;

use super::*;

/// What a server that says these replies, each when it is its turn, hears; and how
/// the check ends. Then it closes.
fn visit(replies: &[&str]) -> (String, Outcome) {
    let visit = Visit::new("director.example");
    let (mut talk, mut heard) = (Talk::default(), String::new());
    for reply in replies {
        while let Next::Send(bytes) = talk.next(&visit) {
            // A byte at a time, both ways.
            heard.push(char::from(bytes[0]));
            talk.sent(1);
        }
        for byte in reply.as_bytes().chunks(1) {
            if let Some(outcome) = talk.received(byte) {
                return (heard, outcome);
            }
        }
    }
    while let Next::Send(bytes) = talk.next(&visit) {
        heard.push_str(std::str::from_utf8(bytes).unwrap());
        talk.sent(bytes.len());
    }
    (heard, talk.ended())
}

#[test]
fn a_mail_server_greets_and_parts() {
    let replies = ["220-mail.example\r\n220 ready\r\n", "250 hello\r\n", "221 bye\r\n"];
    assert_eq!(visit(&replies), ("HELO director.example\r\nQUIT\r\n".to_owned(), Outcome::Good));
    assert_eq!(visit(&replies[..2]).1, Outcome::Good, "closing at QUIT is enough");
    assert_eq!(visit(&["220\r\n", "250\n", "221\n"]).1, Outcome::Good, "a code alone, and line ends without CR");
    assert_eq!(visit(&replies[..1]).1, Outcome::TooShort);
    assert_eq!(visit(&[]).1, Outcome::TooShort);
}

#[test]
fn another_reply_is_a_failure_and_named() {
    for (replies, why) in [
        (&["554 no service\r\n"][..], "SMTP reply \"554 no service\""),
        (&["220 a\r\n", "450 busy\r\n"][..], "SMTP reply \"450 busy\""),
        (&["HTTP/1.1 400 Bad Request\r\n"][..], "\"HTTP/1.1 400 Bad Request\" is no SMTP reply"),
        (&["220x\r\n"][..], "\"220x\" is no SMTP reply"),
        (&["\r\n"][..], "\"\" is no SMTP reply"),
    ] {
        assert_eq!(visit(replies).1, Outcome::Wrong(why.to_owned()));
    }
    let mut talk = Talk::default();
    assert_eq!(
        talk.received(b"220 a\r\n250 b\r\n221 c\r\n"),
        Some(Outcome::Wrong("the mail server speaks out of turn".to_owned()))
    );
}

#[test]
fn lines_and_replies_have_their_limits() {
    let long = visit(&[&"220".repeat(1000)]).1;
    assert_eq!(long, Outcome::Wrong("a line is longer than 1024 bytes".to_owned()));
    let many = visit(&[&"220-x\r\n".repeat(100)]).1;
    assert_eq!(many, Outcome::Wrong("an SMTP reply has more than 64 lines".to_owned()));
}

proptest! {
    #[test]
    fn hostile_servers_are_judged(pieces in proptest::collection::vec(
        proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"220- \r\n".to_vec())], 0..60), 0..12)) {
        let visit = Visit::new("x");
        let mut talk = Talk::default();
        for piece in &pieces {
            if talk.received(piece).is_some() {
                break;
            }
            prop_assert!(talk.got().len() <= LINE_MAX);
            if let Next::Send(bytes) = talk.next(&visit) {
                talk.sent(bytes.len());
            }
        }
    }
}
