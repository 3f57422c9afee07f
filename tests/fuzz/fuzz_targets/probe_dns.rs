//! Any bytes as the answer to a DNS check, behind the header of an answer to our
//! question or as they are: no panic, no hang.
#![no_main]

use common::check::{domain, record_type};
use libfuzzer_sys::fuzz_target;
use nanny::probe::dns::{Asking, Question};

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (kind, raw, bytes) = input;
    let kinds = ["A", "AAAA", "NS", "MX", "SRV", "TXT", "SOA"];
    let kind = record_type(kinds[usize::from(kind) % kinds.len()]).unwrap();
    let name = domain("www.example").unwrap();
    for is_stream in [false, true] {
        let question = Question::new(name.clone(), kind, 0, Some("x".to_owned()), is_stream);
        let mut asking = Asking::new(&question, 0x1234);
        let mut message = Vec::new();
        if !raw {
            message.extend([0x12, 0x34, 0x81, 0x80, 0, 0, 0, 9, 0, 0, 0, 0]);
        }
        message.extend_from_slice(bytes);
        if is_stream {
            message.splice(0..0, u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        let _ = asking.received(&question, &message);
        let _ = asking.ended();
    }
});
