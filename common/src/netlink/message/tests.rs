//! Bytes as linux/netlink.h lays them out, written by hand (on a little-endian
//! host), and bytes nobody would send.

use proptest::prelude::*;

use super::*;

#[cfg(target_endian = "little")]
mod known {
    use super::*;

    #[test]
    fn a_request_is_header_fixed_part_and_padded_attributes() {
        let mut request = Request::new(20, ACK | CREATE | EXCLUSIVE);
        request.fixed(&[2, 24, 0, 0, 9, 0, 0, 0]).text(3, "eth0").u16_be(5, 80).u8(6, 7);
        assert_eq!(
            request.stamp(0x0102_0304),
            [
                0x34, 0, 0, 0, 20, 0, 0x05, 0x06, 4, 3, 2, 1, 0, 0, 0, 0, // nlmsghdr: 52 bytes, flags 0x605
                2, 24, 0, 0, 9, 0, 0, 0, // the family's
                9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, // NUL, then three of padding
                6, 0, 5, 0, 0, 80, 0, 0, // network order
                5, 0, 6, 0, 7, 0, 0, 0,
            ]
        );
    }

    #[test]
    fn a_nest_has_the_length_of_what_is_in_it_and_says_that_it_is_one() {
        let mut request = Request::new(16, 0);
        request.nest(1, |r| _ = r.u16(2, 6).nest(3, |r| _ = r.u32(4, 5)));
        assert_eq!(
            request.stamp(0)[16..],
            [24, 0, 1, 0x80, 6, 0, 2, 0, 6, 0, 0, 0, 12, 0, 3, 0x80, 8, 0, 4, 0, 5, 0, 0, 0]
        );
    }

    /// nlmsghdr, error number, the request's own header.
    fn acknowledgement(flags: u16, code: i32, length: u32, rest: &[u8]) -> Vec<u8> {
        let total = 36 + u32::try_from(rest.len()).unwrap();
        let mut bytes = total.to_ne_bytes().to_vec();
        bytes.extend([2, 0]);
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([7, 0, 0, 0, 9, 0, 0, 0]);
        bytes.extend(code.to_ne_bytes());
        bytes.extend(length.to_ne_bytes());
        bytes.extend([20, 0, 5, 0, 7, 0, 0, 0, 9, 0, 0, 0]);
        bytes.extend(rest);
        bytes
    }

    fn only(bytes: &[u8]) -> Reply<'_> {
        let mut all = messages(bytes);
        let message = all.next().unwrap().unwrap();
        assert_eq!((message.sequence, message.port), (7, 9));
        assert!(all.next().is_none());
        message.reply().unwrap()
    }

    fn refused(errno: Errno, text: &str) -> Reply<'static> {
        Reply::Refused(Refusal { errno, text: text.to_owned() })
    }

    #[test]
    fn a_zero_is_an_acknowledgement() {
        assert_eq!(only(&acknowledgement(0x100, 0, 40, &[])), Reply::Acknowledged);
    }

    #[test]
    fn a_refusal_has_the_kernels_words_behind_the_capped_request() {
        let words = *b"\x0d\0\x01\0too long\0\0\0\0";
        let bytes = acknowledgement(0x300, -34, 40, &words);
        assert_eq!(only(&bytes), refused(Errno::ERANGE, "too long"));
    }

    #[test]
    fn a_refusal_has_the_kernels_words_behind_the_whole_request() {
        // The request was 21 bytes long: 5 of body, padded to 8.
        let rest = *b"\xaa\xaa\xaa\xaa\xaa\0\0\0\x08\0\x02\0\x14\0\0\0\x07\0\x01\0no\0\0";
        assert_eq!(only(&acknowledgement(0x200, -22, 21, &rest)), refused(Errno::EINVAL, "no"));
    }

    #[test]
    fn without_words_the_place_is_told() {
        let rest = *b"\x08\0\x02\0\x14\0\0\0";
        assert_eq!(only(&acknowledgement(0x300, -22, 40, &rest)), refused(Errno::EINVAL, "attribute at byte 20"));
        // Old kernels say nothing.
        assert_eq!(only(&acknowledgement(0, -2, 16, &[])), refused(Errno::ENOENT, ""));
    }

    #[test]
    fn a_dump_ends_well_or_with_words() {
        let done = |flags, code: i32, rest: &[u8]| {
            let mut bytes =
                vec![u8::try_from(20 + rest.len()).unwrap(), 0, 0, 0, 3, 0, 2, flags, 7, 0, 0, 0, 9, 0, 0, 0];
            bytes.extend(code.to_ne_bytes());
            bytes.extend(rest);
            bytes
        };
        assert_eq!(only(&done(0, 0, &[])), Reply::Done);
        assert_eq!(only(&done(2, -95, b"\x07\0\x01\0no\0\0")), refused(Errno::EOPNOTSUPP, "no"));
        // No number at all, and a number that is no error number.
        assert_eq!(only(&[16, 0, 0, 0, 3, 0, 2, 0, 7, 0, 0, 0, 9, 0, 0, 0]), Reply::Done);
        assert_eq!(only(&done(0, i32::MIN, &[])), refused(Errno::UnknownErrno, ""));
    }

    #[test]
    fn control_messages_are_sorted_out() {
        let kind = |kind| [16, 0, 0, 0, kind, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0];
        assert_eq!(only(&kind(1)), Reply::Nothing);
        assert_eq!(only(&kind(4)), Reply::Overrun);
        assert_eq!(only(&kind(9)), Reply::Nothing);
        assert_eq!(only(&kind(16)), Reply::Data(&[]));
        let bytes = kind(2);
        assert_eq!(messages(&bytes).next().unwrap().unwrap().reply(), Err(Malformed("short acknowledgement")));
    }

    #[test]
    fn messages_of_a_datagram_follow_each_other_padded() {
        let mut bytes = vec![17, 0, 0, 0, 16, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0, 0, 0];
        bytes.extend([16, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let all: Vec<_> = messages(&bytes).map(Result::unwrap).collect();
        assert_eq!(all.iter().map(|message| message.kind).collect::<Vec<_>>(), [16, 3]);
        assert_eq!(all[0].body, [0xaa]);
    }

    #[test]
    fn numbers_have_one_size_and_counters_two() {
        let four = Attribute { kind: 1, payload: &[1, 2, 0, 0] };
        assert_eq!((four.u32(), four.counter()), (Ok(513), Ok(513)));
        assert_eq!(four.u16(), Err(Malformed("number of the wrong size")));
        let eight = Attribute { kind: 1, payload: &[1, 0, 0, 0, 1, 0, 0, 0] };
        assert_eq!(eight.counter(), Ok(0x1_0000_0001));
        assert!(eight.u32().is_err());
        let port = Attribute { kind: 1, payload: &[0x1f, 0x90] };
        assert_eq!((port.u16_be(), port.u16()), (Ok(8080), Ok(0x901f)));
    }
}

#[test]
fn the_flag_bits_of_a_type_are_not_part_of_it() {
    let mut request = Request::new(16, 0);
    request.attribute(0x8003, &[1]).attribute(0x4003, &[2]).attribute(3, &[3]);
    let bytes = request.stamp(0).to_vec();
    let kinds: Vec<_> = Attributes::new(&bytes[16..]).map(|attribute| attribute.unwrap().kind).collect();
    assert_eq!(kinds, [3, 3, 3]);
}

#[test]
fn text_ends_at_its_nul_and_is_never_longer_than_a_name() {
    assert_eq!(Attribute { kind: 1, payload: b"rr\0junk" }.text(), "rr");
    assert_eq!(Attribute { kind: 1, payload: b"rr" }.text(), "rr");
    assert_eq!(Attribute { kind: 1, payload: b"" }.text(), "");
    let mut request = Request::new(16, 0);
    request.text(1, &"n".repeat(100_000));
    let bytes = request.stamp(0);
    assert_eq!(Attributes::new(&bytes[16..]).next().unwrap().unwrap().text(), "n".repeat(127));
}

#[test]
fn lengths_that_lie_end_the_reading() {
    for length in [0_u32, 1, 15, 17, u32::MAX] {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.resize(16, 0);
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all, [Err(Malformed("message cut short"))], "{length}");
    }
    for length in [0_u16, 1, 3, 5, u16::MAX] {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.resize(4, 0);
        let all: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(all, [Err(Malformed("attribute cut short"))], "{length}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(parts in prop::collection::vec((0_u16..0x4000, prop::collection::vec(any::<u8>(), 0..40)), 0..8)) {
        let mut request = Request::new(16, 0);
        for (kind, payload) in &parts {
            request.attribute(*kind, payload);
        }
        let bytes = request.stamp(3).to_vec();
        prop_assert_eq!(bytes.len() % 4, 0);
        let message = messages(&bytes).next().unwrap().unwrap();
        let read: Vec<_> = Attributes::new(message.body).map(|a| a.map(|a| (a.kind, a.payload.to_vec())).unwrap()).collect();
        prop_assert_eq!(read, parts);
    }

    #[test]
    fn hostile_bytes_are_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in messages(&bytes).flatten() {
            let _ = message.reply();
        }
        for attribute in Attributes::new(&bytes).flatten() {
            let _ = (attribute.u8(), attribute.u16(), attribute.u32(), attribute.counter(), attribute.text());
            let _ = (attribute.ipv4(), attribute.ipv6(), attribute.nested().count());
        }
    }

    #[test]
    fn hostile_acknowledgements_are_never_a_panic(flags in any::<u16>(), kind in 0_u16..5, body in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Message { kind, flags, sequence: 0, port: 0, body: &body }.reply();
    }
}
