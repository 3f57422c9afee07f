use proptest::prelude::*;

use super::frames::write;
use super::*;

fn request() -> Request {
    Request::new("", "a.example", false)
}

/// What a server says.
#[derive(Clone, Debug, Default)]
struct Says(Vec<u8>);

impl Says {
    /// Its settings, which come before all else.
    fn settings() -> Self {
        Self::default().frame((SETTINGS, 0, 0), &[0, 3, 0, 0, 0, 100])
    }

    fn frame(mut self, kind: (u8, u8, u32), payload: &[u8]) -> Self {
        write(&mut self.0, kind, payload);
        self
    }

    fn headers(self, flags: u8, fields: &[(&str, &str)]) -> Self {
        self.frame((HEADERS, flags | END_HEADERS, STREAM), &block(fields))
    }

    fn head(self) -> Self {
        self.headers(0, &[(":status", "200"), ("content-type", "application/grpc")])
    }

    fn message(self, fields: &[u8]) -> Self {
        self.frame((DATA, 0, STREAM), &prefixed(fields))
    }

    fn status(self, code: &str) -> Self {
        self.headers(END_STREAM, &[("grpc-status", code), ("grpc-message", "")])
    }

    /// A whole answer with these fields in its message.
    fn answer(fields: &[u8]) -> Self {
        Self::settings().frame((SETTINGS, ACK, 0), &[]).head().message(fields).status("0")
    }

    /// Without a message.
    fn only(fields: &[(&str, &str)]) -> Self {
        let head = [(":status", "200"), ("content-type", "application/grpc")];
        Self::settings().headers(END_STREAM, &[&head[..], fields].concat())
    }

    /// How the check ends: then the server closes.
    fn outcome(&self) -> Outcome {
        outcome(&self.0, self.0.len().max(1)).0
    }

    fn why(&self) -> String {
        let outcome = self.outcome();
        if let Outcome::Wrong(why) = outcome { why } else { panic!("{outcome:?}") }
    }
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        hpack::write(&mut block, name, value);
    }
    block
}

fn prefixed(fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fields.len()).unwrap().to_be_bytes();
    [&[0][..], &length, fields].concat()
}

/// How a check ends whose answer comes in pieces of this length, and what it sent beyond
/// its request; then the server closes.
fn outcome(answer: &[u8], piece: usize) -> (Outcome, Vec<u8>) {
    let request = request();
    let (mut call, mut sent) = (Call::new(&request), Vec::new());
    for bytes in answer.chunks(piece) {
        while let Next::Send(bytes) = call.next(&request) {
            sent.push(bytes[0]);
            call.sent(1);
        }
        if let Some(outcome) = call.received(bytes) {
            return (outcome, sent);
        }
    }
    while let Next::Send(bytes) = call.next(&request) {
        sent.push(bytes[0]);
        call.sent(1);
    }
    (call.ended(), sent.split_off(request.bytes.len()))
}

const SERVING: [u8; 2] = [1 << 3, 1];

#[test]
fn the_request_is_one_call_of_the_health_service() {
    let request = Request::new("shop.Cart", "a.example:50051", true);
    let frames = request.bytes().strip_prefix(PREFACE).unwrap();
    let mut reading = Frames::default();
    reading.add(frames);
    let mut next = || reading.take().unwrap().unwrap();
    let settings = next();
    assert_eq!(
        (settings.kind, settings.flags, settings.stream, settings.payload()),
        (SETTINGS, 0, 0, &OUR_SETTINGS[..])
    );
    let headers = next();
    assert_eq!((headers.kind, headers.flags, headers.stream), (HEADERS, END_HEADERS, STREAM));
    let mut all = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    hpack::read(headers.payload(), |name, value| all.push(format!("{}={}", text(name), text(value)))).unwrap();
    let expected = [
        ":method=POST",
        ":scheme=https",
        ":path=/grpc.health.v1.Health/Check",
        ":authority=a.example:50051",
        "te=trailers",
        "content-type=application/grpc",
        "user-agent=piranha-ng",
    ];
    assert_eq!(all, expected);
    let data = next();
    assert_eq!((data.kind, data.flags, data.stream), (DATA, END_STREAM, STREAM));
    assert_eq!(data.payload(), b"\0\0\0\0\x0b\x0a\x09shop.Cart");
    assert_eq!(reading.take(), Ok(None));
    assert_eq!(message(""), [0; 5]);
    let long = message(&"x".repeat(200));
    assert_eq!(long.get(..8), Some(&b"\0\0\0\0\xcb\x0a\xc8\x01"[..]));
}

#[test]
fn a_server_that_serves_is_well() {
    assert_eq!(Says::answer(&SERVING).outcome(), Outcome::Good);
    // As grpc-go, grpc-java and C++ may say it: a window, a ping, and the pieces padded.
    let padded = [&[3][..], &prefixed(&SERVING), &[0; 3]].concat();
    let says = Says::settings()
        .frame((8, 0, 0), &[0, 1, 0, 0])
        .headers(0, &[(":status", "103")])
        .headers(0, &[(":status", "200"), ("content-type", "application/grpc+proto"), ("x", "y")])
        .frame((PING, 0, 0), b"12345678")
        .frame((DATA, 0x8, STREAM), &padded)
        .frame((0xfa, 0xff, 7), b"who knows")
        .status("0");
    assert_eq!(says.outcome(), Outcome::Good);
    // A header block in pieces, with padding and priority.
    let head = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    let first = [&[2, 0, 0, 0, 0, 16][..], &head[..7], &[0, 0]].concat();
    let says = Says::settings()
        .frame((HEADERS, 0x28, STREAM), &first)
        .frame((CONTINUATION, 0, STREAM), &head[7..8])
        .frame((CONTINUATION, END_HEADERS, STREAM), &head[8..])
        .message(&[
            2 << 3 | 2,
            1,
            b'x',
            3 << 3,
            0x80,
            1,
            4 << 3 | 5,
            0,
            0,
            0,
            0,
            5 << 3 | 1,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            1 << 3,
            1,
        ])
        .status("0");
    assert_eq!(says.outcome(), Outcome::Good, "fields that are not known are passed over");
    // A field of the static table, and Huffman's code: nghttp2's way.
    let says = Says::settings()
        .frame((HEADERS, END_HEADERS, STREAM), b"\x20\x88\x5f\x8b\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64")
        .message(&SERVING)
        .frame((HEADERS, END_HEADERS | END_STREAM, STREAM), b"\x40\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x01\x30");
    assert_eq!(says.outcome(), Outcome::Good);
}

#[test]
fn what_is_asked_of_us_is_acknowledged() {
    let says = Says::settings().frame((PING, 0, 0), b"12345678").frame((PING, ACK, 0), b"12345678");
    let expected = Says::default().frame((SETTINGS, ACK, 0), &[]).frame((PING, ACK, 0), b"12345678");
    for piece in [1, 20, 1000] {
        let (outcome, sent) = outcome(&says.0, piece);
        assert_eq!((outcome, sent), (Outcome::TooShort, expected.0.clone()));
    }
}

#[test]
fn who_does_not_serve_says_so() {
    for (fields, why) in [
        (&[][..], "gRPC health UNKNOWN"),
        (&[1 << 3, 0], "gRPC health UNKNOWN"),
        (&[1 << 3, 2], "gRPC health NOT_SERVING"),
        (&[1 << 3, 3], "gRPC health SERVICE_UNKNOWN"),
        (&[1 << 3, 4], "gRPC health code 4"),
        (&[1 << 3, 1, 1 << 3, 2], "gRPC health NOT_SERVING"),
    ] {
        assert_eq!(Says::answer(fields).why(), why);
    }
}

#[test]
fn a_call_that_failed_says_how() {
    let text = "Method not found!";
    for (status, message, why) in [
        ("5", "unknown service", "gRPC status NOT_FOUND: unknown service (it knows no service of this name)"),
        ("12", text, "gRPC status UNIMPLEMENTED: Method not found! (it has no health service)"),
        ("14", "", "gRPC status UNAVAILABLE"),
        ("99", "", "gRPC status code 99"),
        ("0", "", "the gRPC answer has no message"),
        ("x", "", "the HTTP/2 answer is garbled: the status of the call is no number"),
    ] {
        assert_eq!(Says::only(&[("grpc-status", status), ("grpc-message", message)]).why(), why);
    }
    // A message does not help a call that failed after it.
    assert_eq!(Says::settings().head().message(&SERVING).status("13").why(), "gRPC status INTERNAL");
    let long = "y".repeat(1000);
    let why = Says::only(&[("grpc-status", "2"), ("grpc-message", &long)]).why();
    assert_eq!(why, format!("gRPC status UNKNOWN: {}", "y".repeat(60)));
}

#[test]
fn an_answer_that_is_not_grpc_is_named() {
    let web =
        |status: &str, kind: &str| Says::settings().headers(0, &[(":status", status), ("content-type", kind)]).why();
    assert_eq!(web("404", "text/html"), "HTTP status 404");
    assert_eq!(web("200", "text/html"), "the answer is no gRPC: its content-type is \"text/html\"");
    assert_eq!(
        web("200", "application/grpc-web"),
        "the answer is no gRPC: its content-type is \"application/grpc-web\""
    );
    // A proxy in front may know the call's status all the same.
    let says = Says::settings()
        .headers(END_STREAM, &[(":status", "503"), ("grpc-status", "14"), ("grpc-message", "no upstream")]);
    assert_eq!(says.why(), "gRPC status UNAVAILABLE: no upstream");
    for (answer, why) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "the answer is no gRPC: it speaks HTTP/1 and not HTTP/2"),
        (b"220 mail.example ESMTP\r\n", "the answer is no gRPC: it is not HTTP/2"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "the answer is no gRPC: it is TLS"),
    ] {
        assert_eq!(Says(answer.to_vec()).why(), why);
    }
    assert_eq!(Says::default().frame((HEADERS, 0, 1), &[]).why(), "the answer is no gRPC: it is not HTTP/2");
}

#[test]
fn who_gives_up_says_why() {
    let settings = Says::settings;
    let refused = settings().frame((RST_STREAM, 0, STREAM), &[0, 0, 0, 7]);
    assert_eq!(refused.why(), "the server gave the call up (RST_STREAM, REFUSED_STREAM)");
    let calm = settings().frame((GOAWAY, 0, 0), b"\0\0\0\x01\0\0\0\x0btoo_many_pings");
    assert_eq!(calm.why(), "the server goes away (GOAWAY, ENHANCE_YOUR_CALM: too_many_pings)");
    let before = settings().frame((GOAWAY, 0, 0), &[0; 8]);
    assert_eq!(before.why(), "the server goes away (GOAWAY, NO_ERROR)");
    // Told to end, it answers what it was asked; or not.
    let leaving = settings().frame((GOAWAY, 0, 0), &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(leaving.why(), "the server goes away (GOAWAY)");
    assert_eq!(leaving.head().message(&SERVING).status("0").outcome(), Outcome::Good);
}

#[test]
fn an_answer_that_is_cut_or_garbled_is_no_good_one() {
    let good = Says::answer(&SERVING).0;
    for end in 0..good.len() {
        assert!(!Says(good[..end].to_vec()).outcome().is_good(), "{end}");
    }
    let settings = || Says::settings();
    let head = || Says::settings().head();
    for (says, why) in [
        (settings().message(&SERVING), "the HTTP/2 answer is garbled: a message before its head"),
        (head().frame((DATA, END_STREAM, STREAM), &prefixed(&SERVING)), "the gRPC call ended without a status"),
        (head().headers(END_STREAM, &[("x", "y")]), "the gRPC call ended without a status"),
        (head().head(), "the HTTP/2 answer is garbled: a second head"),
        (settings().headers(0, &[("x", "y")]), "the HTTP/2 answer is garbled: its head has no status"),
        (
            settings().frame((HEADERS, END_HEADERS, STREAM), &[0xff]),
            "the HTTP/2 answer is garbled: a header block cannot be read",
        ),
        (
            settings().frame((HEADERS, END_HEADERS, 3), &[]),
            "the HTTP/2 answer is garbled: a stream that was not asked for",
        ),
        (settings().frame((PUSH_PROMISE, 0, 1), &[]), "the HTTP/2 answer is garbled: a stream that was not asked for"),
        (settings().frame((PING, 0, 1), b"12345678"), "the HTTP/2 answer is garbled: a frame of a strange stream"),
        (settings().frame((PING, 0, 0), b"1234"), "the HTTP/2 answer is garbled: a frame is cut"),
        (settings().frame((SETTINGS, 0, 0), b"1234"), "the HTTP/2 answer is garbled: a frame is cut"),
        (settings().frame((GOAWAY, 0, 0), b"1234"), "the HTTP/2 answer is garbled: a frame is cut"),
        (settings().frame((RST_STREAM, 0, STREAM), b"12"), "the HTTP/2 answer is garbled: a frame is cut"),
        (head().frame((DATA, 0x8, STREAM), &[9, 0]), "the HTTP/2 answer is garbled: a frame is cut"),
        (head().frame((DATA, 0x8, STREAM), &[]), "the HTTP/2 answer is garbled: a frame is cut"),
        (settings().frame((HEADERS, 0x24, STREAM), &[0; 4]), "the HTTP/2 answer is garbled: a frame is cut"),
        (
            settings().frame((CONTINUATION, 4, STREAM), &[]),
            "the HTTP/2 answer is garbled: a header block is interrupted",
        ),
        (
            settings().frame((HEADERS, 0, STREAM), &[]).frame((PING, 0, 0), b"12345678"),
            "the HTTP/2 answer is garbled: a header block is interrupted",
        ),
        (
            head().frame((DATA, 0, STREAM), &[1, 0, 0, 0, 2, 8, 1]),
            "the message of the gRPC answer is compressed, which was not asked for",
        ),
        (head().frame((DATA, 0, STREAM), &[0, 0, 0, 0, 2, 8]).status("0"), "the message of the gRPC answer is garbled"),
        (head().message(&SERVING).message(&SERVING).status("0"), "the message of the gRPC answer is garbled"),
        (head().message(&[1 << 3]).status("0"), "the message of the gRPC answer is garbled"),
        (head().message(&[0]).status("0"), "the message of the gRPC answer is garbled"),
        (head().message(&[1 << 3 | 3]).status("0"), "the message of the gRPC answer is garbled"),
        (head().message(&[2 << 3 | 2, 9, 1]).status("0"), "the message of the gRPC answer is garbled"),
        (head().message(&[0xff; 11]).status("0"), "the message of the gRPC answer is garbled"),
    ] {
        assert_eq!(says.why(), why);
    }
}

#[test]
fn a_flood_ends_at_the_limits() {
    let settings = Says::settings;
    let repeat = |says: Says, kind, payload: &[u8], times| (0..times).fold(says, |says, _| says.frame(kind, payload));
    let many = "the answer is no gRPC: it has more than 256 frames";
    assert_eq!(repeat(settings(), (PING, 0, 0), b"12345678", 1000).why(), many);
    assert_eq!(repeat(settings(), (SETTINGS, 0, 0), &[], 1000).why(), many);
    assert_eq!(repeat(settings().head(), (DATA, 0, STREAM), &[], 1000).why(), many);
    let long = repeat(settings(), (0xfa, 0, 0), &[0; 16384], 5);
    assert_eq!(long.why(), "the answer is no gRPC: it is longer than 65536 bytes");
    let frame = Says([&settings().0[..], &[0, 0x40, 1, DATA, 0]].concat()).0;
    let frame = Says([frame, b"xxxxxxxx".to_vec()].concat());
    assert_eq!(frame.why(), "the answer is no gRPC: a frame is longer than 16384 bytes");
    let block = settings().frame((HEADERS, 0, STREAM), &[0; 10_000]).frame((CONTINUATION, 0, STREAM), &[0; 10_000]);
    assert_eq!(block.why(), "the headers of the gRPC answer are longer than 16384 bytes");
    let message = settings().head().frame((DATA, 0, STREAM), &[0, 0, 0, 0x10, 1]);
    assert_eq!(message.why(), "the message of the gRPC answer is longer than 4096 bytes");
    let messages = settings().head().message(&SERVING).frame((DATA, 0, STREAM), &[0; 5000]);
    assert_eq!(messages.why(), "the gRPC answer has more than one message");
}

#[test]
fn a_deadline_is_told_by_what_was_missing() {
    let request = request();
    let mut call = Call::new(&request);
    assert_eq!(call.timed_out(), Outcome::WriteTimedOut);
    call.sent(request.bytes().len());
    assert_eq!((call.next(&request), call.timed_out()), (Next::Receive(READ), Outcome::ReadTimedOut));
    assert_eq!(call.ended(), Outcome::TooShort);
}

/// Something like an answer: frames of every kind in any order, some with what belongs in them.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let of_any_kind = (
        0u8..11,
        prop_oneof![Just(0u8), Just(1), Just(4), Just(5), any::<u8>()],
        prop_oneof![Just(0u32), Just(1), any::<u32>()],
        proptest::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(kind, flags, stream, payload)| Says::default().frame((kind, flags, stream), &payload).0);
    let frame = prop_oneof![
        of_any_kind,
        Just(Says::default().head().0),
        Just(Says::default().message(&SERVING).0),
        Just(Says::default().status("0").0),
        proptest::collection::vec(any::<u8>(), 0..30),
    ];
    (proptest::bool::weighted(0.9), proptest::collection::vec(frame, 0..8)).prop_map(|(begins_well, frames)| {
        let first = if begins_well { Says::settings().0 } else { Vec::new() };
        [first, frames.concat()].concat()
    })
}

proptest! {
    #[test]
    fn the_pieces_in_which_an_answer_comes_do_not_matter(
        says in prop_oneof![
            Just(Says::answer(&SERVING)),
            Just(Says::answer(&[1 << 3, 2])),
            Just(Says::only(&[("grpc-status", "5")])),
            answer().prop_map(Says),
        ],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let (request, answer) = (request(), &says.0);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
        places.extend([0, answer.len()]);
        places.sort_unstable();
        let mut call = Call::new(&request);
        let found = places.windows(2).find_map(|w| call.received(&answer[w[0]..w[1]]));
        prop_assert_eq!(found.unwrap_or_else(|| call.ended()), says.outcome());
    }

    #[test]
    fn only_a_whole_answer_is_a_good_one(says in answer().prop_map(Says)) {
        let whole = [&Says::default().message(&SERVING).0[..], &Says::default().status("0").0].map(|part| {
            says.0.windows(part.len()).any(|window| window == part)
        });
        prop_assert!(!says.outcome().is_good() || whole == [true, true]);
    }

    #[test]
    fn hostile_answers_are_judged_and_cost_no_more_than_the_limits(
        pieces in proptest::collection::vec(answer(), 0..12),
    ) {
        let request = request();
        let mut call = Call::new(&request);
        for piece in &pieces {
            if call.received(piece).is_some() {
                break;
            }
            prop_assert!(call.got().len() <= PREFIX + MESSAGE_MAX);
            prop_assert!(call.frames.rest().len() < 9 + 16 * 1024);
            while let Next::Send(bytes) = call.next(&request) {
                let bytes = bytes.len();
                call.sent(bytes);
            }
        }
    }
}
