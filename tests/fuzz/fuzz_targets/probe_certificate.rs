//! Any bytes as a certificate: no panic, no hang.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanny::probe::certificate::not_after;

fuzz_target!(|der: &[u8]| {
    if let Some(end) = not_after(der) {
        // Years 0 to 9999.
        assert!((-62_200_000_000..=253_402_300_800).contains(&end), "{end}");
    }
});
