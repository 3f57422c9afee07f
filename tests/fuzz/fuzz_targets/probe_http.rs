//! Any bytes as the answer to an HTTP check, in pieces of any length: no panic, no
//! hang, no more kept than the limit; and the pieces do not change the verdict.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanny::probe::Outcome;
use nanny::probe::exchange::Pattern;
use nanny::probe::http::{BODY_MAX, Body, HEAD_MAX, Parts, Reading, Request};

fn outcome(request: &Request, answer: &[u8], piece: usize) -> Outcome {
    let mut reading = Reading::default();
    for bytes in answer.chunks(piece) {
        if let Some(outcome) = reading.received(request, bytes) {
            return outcome;
        }
        assert!(reading.got().len() <= BODY_MAX.max(HEAD_MAX) + piece);
    }
    reading.ended(request)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, answer) = input;
    let body = match kind & 3 {
        0 => Body::Any,
        1 => Body::Text(b"alive".to_vec()),
        _ => Body::Pattern(Pattern::new(b"a+(b|c)$")),
    };
    let method = if kind & 4 == 0 { "GET" } else { "HEAD" };
    let request = Request::new(&Parts { method, path: "/", host: "x", headers: &[] }, vec![(200, 399)], body);
    let piece = usize::from(kind >> 3) + 1;
    assert_eq!(outcome(&request, answer, piece).is_good(), outcome(&request, answer, 1).is_good());
});
