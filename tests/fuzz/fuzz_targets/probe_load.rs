//! Any bytes as what a load monitor printed: no panic, and the weight stays in its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanny::load::{Load, average};

fuzz_target!(|input: (u16, u32, &[u8])| {
    let (weight, scale, output) = input;
    let mut load = Load::new(u32::from(weight), scale);
    if let Some(average) = average(output) {
        load.measured(average);
    }
    assert!(load.weight() >= u32::from(weight) && load.weight() <= 65_535);
});
