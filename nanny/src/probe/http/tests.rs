use proptest::prelude::*;

use super::*;

fn request(method: &str, statuses: &str, body: Body) -> Request {
    let parts = Parts { method, path: "/health", host: "www.example", headers: &[] };
    Request::new(&parts, common::check::statuses(statuses).unwrap(), body)
}

/// How a check ends whose answer arrives in these pieces; then the server closes,
/// or is silent until the deadline.
fn outcome<'a>(request: &Request, pieces: impl IntoIterator<Item = &'a [u8]>, closes: bool) -> Outcome {
    let mut reading = Reading::default();
    while let Next::Send(bytes) = reading.next(request) {
        reading.sent(bytes.len());
    }
    for piece in pieces {
        for part in piece.chunks(READ) {
            if let Some(outcome) = reading.received(request, part) {
                return outcome;
            }
        }
    }
    if closes { reading.ended(request) } else { reading.timed_out(request) }
}

fn whole(request: &Request, answer: &str) -> Outcome {
    outcome(request, [answer.as_bytes()], true)
}

fn text(text: &str) -> Body {
    Body::Text(text.into())
}

fn why(outcome: Outcome) -> String {
    if let Outcome::Wrong(why) = outcome { why } else { panic!("{outcome:?}") }
}

#[test]
fn the_request_is_http_1_1_and_given_headers_replace_ours() {
    let plain = request("GET", "200", Body::Any);
    let expected = "GET /health HTTP/1.1\r\nHost: www.example\r\nUser-Agent: piranha-ng\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(plain.bytes()), expected);
    let headers = ["user-agent: probe".to_owned(), "X-A: 1".to_owned()];
    let parts = Parts { method: "HEAD", path: "/", host: "h", headers: &headers };
    let expected =
        "HEAD / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nConnection: close\r\nuser-agent: probe\r\nX-A: 1\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(Request::new(&parts, Vec::new(), Body::Any).bytes()), expected);
}

#[test]
fn the_status_decides_and_the_head_is_enough() {
    let any = request("GET", "200-299 301", Body::Any);
    assert_eq!(whole(&any, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), Outcome::Good);
    assert_eq!(whole(&any, "HTTP/1.0 204\r\n\r\n"), Outcome::Good);
    assert_eq!(whole(&any, "HTTP/1.1 301 Moved\nLocation: x\n\n"), Outcome::Good, "line ends without CR");
    assert_eq!(outcome(&any, [&b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"[..]], false), Outcome::Good);
    assert_eq!(why(whole(&any, "HTTP/1.1 503 Service Unavailable\r\n\r\n")), "HTTP status 503 Service Unavailable");
    assert_eq!(why(whole(&any, "HTTP/1.1 302 \r\n\r\n")), "HTTP status 302");
    assert_eq!(why(whole(&any, "220 mail ESMTP\r\n")), "the answer is not HTTP");
    assert_eq!(whole(&any, "HTTP/1.1 200 OK\r\n"), Outcome::TooShort);
    assert_eq!(whole(&any, ""), Outcome::TooShort);
    assert_eq!(outcome(&any, [&b"HTTP/1.1 2"[..]], false), Outcome::ReadTimedOut);
}

#[test]
fn interim_answers_are_passed_over_but_not_for_ever() {
    let any = request("GET", "200", Body::Any);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    assert_eq!(whole(&any, &format!("{interim}{interim}HTTP/1.1 200 OK\r\n\r\n")), Outcome::Good);
    assert_eq!(why(whole(&any, &interim.repeat(9))), "more than 4 interim HTTP answers");
    assert_eq!(why(whole(&any, "HTTP/1.1 101 Switching\r\n\r\n")), "HTTP status 101 Switching");
}

#[test]
fn the_body_is_looked_at_in_every_framing() {
    let ok = request("GET", "200", text("alive"));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nIt alive.",
        "HTTP/1.0 200 OK\r\n\r\nit is alive",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nali\r\n2;ext=1\r\nve\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, CHUNKED\r\n\r\n005\r\nalive\r\n0\r\nTrailer: 1\r\n\r\n",
    ] {
        assert_eq!(whole(&ok, answer), Outcome::Good, "{answer}");
    }
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nalive",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\ndead",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndead\r\n0\r\n\r\nalive",
    ] {
        if answer.contains("204") {
            assert_eq!(why(whole(&ok, answer)), "HTTP status 204 No Content");
        } else {
            assert_eq!(why(whole(&ok, answer)), "the body is not as expected", "{answer}");
        }
    }
    assert_eq!(whole(&ok, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ndead"), Outcome::TooShort);
    assert_eq!(whole(&ok, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nde"), Outcome::TooShort);
    let garbled = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(why(whole(&ok, garbled)), "the chunks of the HTTP answer are garbled");
    let length = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nalive";
    assert_eq!(why(whole(&ok, length)), "the Content-Length of the HTTP answer is no number");
    let head = request("HEAD", "200", text("alive"));
    assert_eq!(why(whole(&head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")), "the body is not as expected");
}

#[test]
fn a_pattern_sees_the_whole_body() {
    let request = request("GET", "200", Body::Pattern(Pattern::new(b"^\\{\"status\":\"(up|ok)\"\\}$")));
    assert_eq!(whole(&request, "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"up\"}"), Outcome::Good);
    assert_eq!(why(whole(&request, "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"up\"} ")), "the body is not as expected");
    let bad = self::request("GET", "200", Body::Pattern(Pattern::new(b"(")));
    assert!(matches!(whole(&bad, "HTTP/1.1 200 OK\r\n\r\nx"), Outcome::BadPattern(_)));
}

#[test]
fn a_flood_ends_at_the_limits() {
    let any = request("GET", "200", Body::Any);
    let flood = [b'x'; 4096];
    let head = b"HTTP/1.1 200 OK\r\nX: ".as_slice();
    let pieces = std::iter::once(head).chain(std::iter::repeat_n(flood.as_slice(), 1_000_000));
    assert_eq!(why(outcome(&any, pieces, false)), "the head of the HTTP answer is longer than 16384 bytes");
    let body = request("GET", "200", text("alive"));
    let pieces =
        std::iter::once(b"HTTP/1.1 200 OK\r\n\r\n".as_slice()).chain(std::iter::repeat_n(flood.as_slice(), 1_000_000));
    assert_eq!(why(outcome(&body, pieces, false)), "the beginning of the body is not as expected");
    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;".as_slice();
    let pieces = std::iter::once(chunk).chain(std::iter::repeat_n(flood.as_slice(), 1_000_000));
    assert_eq!(why(outcome(&body, pieces, false)), "the chunks of the HTTP answer are garbled");
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(why(whole(&any, &headers)), "the answer is not HTTP: too many headers");
}

proptest! {
    #[test]
    fn the_pieces_in_which_an_answer_comes_do_not_matter(
        answer in prop_oneof![
            Just("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nali\r\n2\r\nve\r\n0\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nit is dead."),
            Just("HTTP/1.1 200 OK\nServer: x\n\nit is alive"),
            Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\naliXX"),
            Just("\r\nHTTP/1.0 500 Oh\r\n\r\n"),
        ],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let request = request("GET", "200", text("alive"));
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len())).collect();
        places.extend([0, answer.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|w| &answer.as_bytes()[w[0]..w[1]]).filter(|p| !p.is_empty()).collect();
        prop_assert_eq!(outcome(&request, pieces, true), whole(&request, answer));
    }

    #[test]
    fn hostile_answers_are_judged_and_cost_no_more_than_the_limits(
        head in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")],
        pieces in proptest::collection::vec(proptest::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"\r\n:;0f HTTP/1.".to_vec())], 0..60), 0..12),
    ) {
        let request = request("GET", "200", Body::Pattern(Pattern::new(b"x+y")));
        let mut reading = Reading::default();
        for piece in std::iter::once(head.as_bytes()).chain(pieces.iter().map(Vec::as_slice)) {
            if reading.received(&request, piece).is_some() {
                break;
            }
            prop_assert!(reading.got().len() <= BODY_MAX.max(HEAD_MAX));
        }
        prop_assert!(!reading.ended(&request).is_good() || !reading.got().is_empty());
    }
}
