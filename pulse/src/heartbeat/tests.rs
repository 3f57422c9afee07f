use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"sixteen bytes or";
const OTHER: &[u8] = b"another sixteen.";

fn ring(keys: &[(u8, &[u8])], trust: Trust) -> Keyring {
    Keyring::new(keys.iter().map(|(id, secret)| Key::new(*id, secret).unwrap()).collect(), trust).unwrap()
}

fn beat() -> Heartbeat {
    Heartbeat {
        word: Word::Lvs(Claim::Stopped),
        state: State::Unfit,
        start: StartId::new(0x1122_3344_5566_7788),
        sequence: 5,
        heard: Some(Echo { start: StartId::new(0x0102_0304_0506_0708), sequence: 9 }),
        also_heard: None,
        fingerprint: 0xaabb,
        interval: Duration::from_millis(50),
        flags: Flags { leaving: true, handover: false, ask: true, want: false, master: true },
        reason: Some(Reason::Lvsd),
        path: 1,
    }
}

fn words() -> [(Word, [u8; 4]); 7] {
    [
        (Word::Lvs(Claim::Running), [0xda, 0xdb, 0xad, 0xbd]),
        (Word::Lvs(Claim::Stopped), [0xbd, 0xda, 0xbd, 0xad]),
        (Word::Fos(Claim::Running), [0xbe, 0xba, 0xef, 0xbe]),
        (Word::Fos(Claim::Stopped), [0xef, 0xbe, 0xad, 0xde]),
        (Word::StopMe, [0xda, 0xda, 0xad, 0xde]),
        (Word::Hold, [0xbe, 0xba, 0xaf, 0xde]),
        (Word::Held, [0xda, 0xda, 0xaf, 0xde]),
    ]
}

#[test]
fn the_words_are_the_originals_bytes_in_both_directions() {
    for (word, bytes) in words() {
        assert_eq!(word.to_bytes(), bytes);
        assert_eq!(decode(&bytes, &Keyring::none()), Ok(Datagram::Original(word)));
    }
}

#[test]
fn a_heartbeat_stands_on_the_wire_as_the_picture_says() {
    #[rustfmt::skip]
    let expected = [
        0xbd, 0xda, 0xbd, 0xad,                         // word
        b'N', b'G', 1, 2,                               // magic, version, unfit
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, // start
        5, 0, 0, 0, 0, 0, 0, 0,                         // sequence
        8, 7, 6, 5, 4, 3, 2, 1,                         // heard start
        9, 0, 0, 0, 0, 0, 0, 0,                         // heard sequence
        0xbb, 0xaa, 0, 0, 0, 0, 0, 0,                   // fingerprint
        0x50, 0xc3, 0, 0,                               // 50,000 microseconds
        0b1_0101, 0,                                    // leaving, ask, master
        2, 1,                                           // lvsd, path 1
    ];
    assert_eq!(beat().encode(&Keyring::none()), expected);
    assert_eq!(decode(&expected, &Keyring::none()), Ok(Datagram::Ours(beat())));
}

#[test]
fn what_an_original_reads_of_ours_is_the_word() {
    let bytes = beat().encode(&ring(&[(1, SECRET)], Trust::Enforce));
    assert_eq!(bytes[..4], Word::Lvs(Claim::Stopped).to_bytes());
}

#[test]
fn the_mac_is_hmac_sha256_of_rfc_4231() {
    let key = Key::new(1, &[0x0b; 20]).unwrap();
    let expected: [u8; 32] = [
        0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b, 0x88, 0x1d,
        0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7,
    ];
    assert_eq!(key.mac(b"Hi There"), expected);
}

#[test]
fn a_cut_off_heartbeat_is_refused_at_every_length() {
    let keyring = ring(&[(1, SECRET)], Trust::Enforce);
    let bytes = Heartbeat { also_heard: beat().heard, ..beat() }.encode(&keyring);
    assert_eq!(bytes.len(), 109, "the longest of ours");
    for length in 0..bytes.len() {
        let e = decode(&bytes[..length], &keyring).unwrap_err();
        assert!(matches!(e, DecodeError::Short | DecodeError::NoMac), "{length}: {e:?}");
    }
    let plain = beat().encode(&Keyring::none());
    for length in (0..plain.len()).filter(|length| *length != 4) {
        assert_eq!(decode(&plain[..length], &Keyring::none()), Err(DecodeError::Short), "{length}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let none = Keyring::none();
    let plain = beat().encode(&none);
    let changed = |at: usize, byte: u8| {
        let mut bytes = plain.clone();
        bytes[at] = byte;
        decode(&bytes, &none)
    };
    assert_eq!(decode(&[0; DATAGRAM_MAX + 1], &none), Err(DecodeError::Long));
    assert_eq!(decode(&[0; 4], &none), Err(DecodeError::UnknownWord));
    assert_eq!(changed(4, b'X'), Err(DecodeError::Foreign));
    assert_eq!(changed(6, 2), Err(DecodeError::Version(2)));
    assert_eq!(changed(7, 1), Err(DecodeError::Contradiction), "stopped, but active");
    assert_eq!(changed(16, 0), Err(DecodeError::Malformed), "sequence 0");
    assert_eq!(changed(55, 8), Err(DecodeError::Malformed), "path 8");
    let nobody = [&plain[..8], &[0; 8], &plain[16..]].concat();
    assert_eq!(decode(&nobody, &none), Err(DecodeError::Malformed), "start 0");
    let bad_extension = [&plain[..], &[ALSO_HEARD, 3, 0, 0, 0]].concat();
    assert_eq!(decode(&bad_extension, &none), Err(DecodeError::Malformed));
    let cut_extension = [&plain[..], &[9, 3, 0, 0]].concat();
    assert_eq!(decode(&cut_extension, &none), Err(DecodeError::Short));
}

#[test]
fn nothing_may_follow_the_mac() {
    let keyring = ring(&[(1, SECRET)], Trust::Enforce);
    let bytes = [&beat().encode(&keyring)[..], &[9, 0]].concat();
    assert_eq!(decode(&bytes, &keyring), Err(DecodeError::Malformed));
}

#[test]
fn a_later_versions_extensions_states_and_flags_are_no_error() {
    let none = Keyring::none();
    let mut bytes = [&beat().encode(&none)[..], &[9, 3, 1, 2, 3]].concat();
    bytes[53] = 0x80; // an unknown flag
    assert_eq!(decode(&bytes, &none), Ok(Datagram::Ours(beat())));
    bytes[7] = 77;
    let read = decode(&bytes, &none).unwrap();
    assert_eq!(read, Datagram::Ours(Heartbeat { state: State::Standby, ..beat() }), "read by its word");
}

#[test]
fn with_a_key_enforced_only_its_mac_lets_a_datagram_in() {
    let keyring = ring(&[(1, SECRET)], Trust::Enforce);
    assert_eq!(decode(&beat().encode(&keyring), &keyring), Ok(Datagram::Ours(beat())));
    assert_eq!(decode(&Word::Lvs(Claim::Stopped).to_bytes(), &keyring), Err(DecodeError::NoMac));
    assert_eq!(decode(&beat().encode(&Keyring::none()), &keyring), Err(DecodeError::NoMac));
    let wrong = beat().encode(&ring(&[(1, OTHER)], Trust::Enforce));
    assert_eq!(decode(&wrong, &keyring), Err(DecodeError::WrongMac));
    let unknown = beat().encode(&ring(&[(2, SECRET)], Trust::Enforce));
    assert_eq!(decode(&unknown, &keyring), Err(DecodeError::UnknownKey(2)));
}

#[test]
fn keys_that_are_lost_let_nothing_in_that_they_would_have_kept_out() {
    let four = Word::Lvs(Claim::Stopped).to_bytes();
    let (signed, bare) = (beat().encode(&ring(&[(1, SECRET)], Trust::Enforce)), beat().encode(&Keyring::none()));
    for trust in [Trust::Enforce, Trust::Permissive, Trust::ReceiveOnly] {
        let lost = Keyring::lost(trust);
        assert_eq!(decode(&signed, &lost), Err(DecodeError::UnknownKey(1)));
        for datagram in [&four[..], &bare] {
            assert_eq!(decode(datagram, &lost).is_err(), trust == Trust::Enforce);
        }
        assert_eq!(beat().encode(&lost), bare, "there is nothing to sign with");
    }
}

#[test]
fn keys_roll_out_in_three_sweeps_and_rotate_without_losing_a_heartbeat() {
    let old: &[(u8, &[u8])] = &[(1, SECRET)];
    let old_new: &[(u8, &[u8])] = &[(1, SECRET), (2, OTHER)];
    let new_old: &[(u8, &[u8])] = &[(2, OTHER), (1, SECRET)];
    let new: &[(u8, &[u8])] = &[(2, OTHER)];
    let steps = [
        Keyring::none(),
        ring(old, Trust::ReceiveOnly),
        ring(old, Trust::Permissive),
        ring(old, Trust::Enforce),
        ring(old_new, Trust::Enforce),
        ring(new_old, Trust::Enforce),
        ring(new, Trust::Enforce),
    ];
    for pair in steps.windows(2) {
        for (sender, receiver) in [(&pair[0], &pair[1]), (&pair[1], &pair[0]), (&pair[1], &pair[1])] {
            assert!(decode(&beat().encode(sender), receiver).is_ok(), "{sender:?} to {receiver:?}");
        }
    }
    assert!(decode(&beat().encode(&steps[0]), &steps[3]).is_err(), "a sweep left out is noticed");
}

#[test]
fn keys_that_cannot_be_used_are_refused_and_never_printed() {
    assert_eq!(Key::new(1, b"short").unwrap_err(), KeyError::Length(5));
    assert_eq!(Key::new(1, &[7; 65]).unwrap_err(), KeyError::Length(65));
    let key = Key::new(1, SECRET).unwrap();
    assert_eq!(format!("{key:?}"), "Key { id: 1, .. }");
    assert_eq!(Keyring::new(vec![], Trust::Enforce).unwrap_err(), KeyError::Number(0));
    assert_eq!(Keyring::new(vec![key.clone(), key.clone()], Trust::Enforce).unwrap_err(), KeyError::Twice(1));
    assert_eq!(Keyring::new(vec![key; 3], Trust::Enforce).unwrap_err(), KeyError::Number(3));
}

fn any_echo() -> impl Strategy<Value = Option<Echo>> {
    proptest::option::of((any::<u64>(), any::<u64>()).prop_map(|(s, n)| Echo { start: StartId::new(s), sequence: n }))
}

prop_compose! {
    fn any_heartbeat()(
        service in prop_oneof![Just(Service::Lvs), Just(Service::Fos)],
        state in 0..5_u8,
        start in any::<u64>(),
        sequence in 1..u64::MAX,
        heard in any_echo(),
        also_heard in any_echo(),
        fingerprint in any::<u64>(),
        interval in any::<u32>(),
        flags in 0..32_u16,
        reason in any::<u8>(),
        path in 0..8_u8,
    ) -> Heartbeat {
        let state = State::from_code(state, None);
        let word = match state {
            State::Active => service.word(Claim::Running),
            State::Standby | State::Unfit => service.word(Claim::Stopped),
            State::Listening | State::Lowering => Word::Hold,
        };
        Heartbeat {
            word, state, start: StartId::new(start), sequence, heard, also_heard, fingerprint,
            interval: Duration::from_micros(interval.into()),
            flags: Flags::from_bits(flags), reason: Reason::from_code(reason), path,
        }
    }
}

proptest! {
    #[test]
    fn every_heartbeat_comes_out_as_it_went_in(beat in any_heartbeat(), keyed in any::<bool>()) {
        let keyring = if keyed { ring(&[(9, SECRET)], Trust::Enforce) } else { Keyring::none() };
        let bytes = beat.encode(&keyring);
        prop_assert!(bytes.len() <= DATAGRAM_MAX);
        prop_assert_eq!(decode(&bytes, &keyring), Ok(Datagram::Ours(beat)));
    }

    #[test]
    fn no_bytes_are_too_hostile(bytes in proptest::collection::vec(any::<u8>(), 0..600), keyed in any::<bool>()) {
        let keyring = if keyed { ring(&[(1, SECRET)], Trust::Enforce) } else { Keyring::none() };
        let read = decode(&bytes, &keyring);
        prop_assert!(!keyed || read.is_err(), "accepted without a key: {read:?}");
    }

    /// The same behind a valid head, where random bytes never come.
    #[test]
    fn no_tail_is_too_hostile(
        beat in any_heartbeat(),
        head in 8..56_usize,
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&beat.encode(&Keyring::none())[..head], &tail[..]].concat();
        let _ = decode(&bytes, &Keyring::none());
        prop_assert!(decode(&bytes, &ring(&[(1, SECRET)], Trust::Enforce)).is_err());
    }

    #[test]
    fn with_a_key_not_one_bit_can_be_changed(beat in any_heartbeat(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let keyring = ring(&[(1, SECRET)], Trust::Enforce);
        let mut bytes = beat.encode(&keyring);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes, &keyring).is_err());
    }

    #[test]
    fn what_decodes_encodes_to_the_same_meaning(bytes in proptest::collection::vec(any::<u8>(), 48)) {
        let whole = [&Word::Hold.to_bytes()[..], b"NG\x01\x03", &bytes].concat();
        if let Ok(Datagram::Ours(beat)) = decode(&whole, &Keyring::none()) {
            prop_assert_eq!(decode(&beat.encode(&Keyring::none()), &Keyring::none()), Ok(Datagram::Ours(beat)));
        }
    }
}
