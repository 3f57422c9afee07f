//! Any bytes as a heartbeat, with a key and without: no panic; and what is read
//! says the same when it is written again. Then as a key file and as a wish.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pulse::heartbeat::{Datagram, Keyring, Trust, decode, keyring};
use pulse::wish::{Answer, Asked};

fuzz_target!(|bytes: &[u8]| {
    let key = |trust| keyring("1 a secret of sixteen bytes and more", trust).unwrap();
    let lost = Keyring::lost(Trust::Enforce);
    assert!(decode(bytes, &lost).is_err(), "without the keys nothing is believed");
    for ring in [Keyring::none(), key(Trust::ReceiveOnly), key(Trust::Permissive), key(Trust::Enforce)] {
        if let Ok(Datagram::Ours(beat)) = decode(bytes, &ring) {
            assert_eq!(decode(&beat.encode(&key(Trust::Enforce)), &key(Trust::Enforce)), Ok(Datagram::Ours(beat)));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = keyring(text, Trust::Enforce);
    }
    let _ = (Asked::decode(bytes), Answer::decode(bytes));
});
