//! Any bytes as what a mail server says: no panic, no hang, no line beyond the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanny::probe::exchange::Next;
use nanny::probe::smtp::{Talk, Visit};

fuzz_target!(|pieces: Vec<&[u8]>| {
    let (visit, mut talk) = (Visit::new("x"), Talk::default());
    for piece in pieces {
        if talk.received(piece).is_some() {
            return;
        }
        assert!(talk.got().len() <= 1024);
        if let Next::Send(bytes) = talk.next(&visit) {
            talk.sent(bytes.len());
        }
    }
    let _ = (talk.ended(), talk.timed_out(&visit));
});
