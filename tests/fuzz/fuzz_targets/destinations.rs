//! Any bytes as what lvsd and a nanny of several destinations say to each other: no
//! panic, and what was understood is understood again when it is said again.
#![no_main]

use common::channel::{Ask, Said};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    if let Ok(ask) = Ask::decode(packet) {
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    }
    if let Ok(said @ (Said::Holds(_) | Said::Dropped(_))) = Said::decode(packet) {
        assert_eq!(Said::decode(&said.encode()), Ok(said));
    }
});
