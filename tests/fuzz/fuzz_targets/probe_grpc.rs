//! Any bytes as the answer to a gRPC check, in pieces of any length: no panic, no hang, no
//! more kept than the limits; and the pieces do not change the verdict.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanny::probe::Outcome;
use nanny::probe::exchange::Next;
use nanny::probe::grpc::{Call, Request};

/// Of a frame with its header, and of the answers to 256 pings.
const FRAME_MAX: usize = 9 + 16 * 1024;
const OWED_MAX: usize = 256 * 17;

fn outcome(answer: &[u8], piece: usize) -> Outcome {
    let request = Request::new("a", "x", false);
    let (mut call, mut sent) = (Call::new(&request), 0);
    for bytes in answer.chunks(piece) {
        while let Next::Send(bytes) = call.next(&request) {
            let length = bytes.len();
            sent += length;
            call.sent(length);
        }
        if let Some(outcome) = call.received(bytes) {
            return outcome;
        }
        assert!(call.got().len() <= FRAME_MAX && sent <= request.bytes().len() + OWED_MAX);
    }
    call.ended()
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, answer) = input;
    assert_eq!(outcome(answer, usize::from(piece) + 1), outcome(answer, 1));
});
