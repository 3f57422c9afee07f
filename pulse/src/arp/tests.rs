use super::*;

const MAC: Mac = [0x02, 0x42, 0xac, 0x11, 0x00, 0x05];

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// piranha.md 2.7, field by field.
#[test]
fn the_reply_is_the_frame_send_arp_sent() {
    let expected = hex("ffffffffffff 0242ac110005 0806
         0001 0800 06 04 0002
         0242ac110005 0a000009
         0242ac110005 0a000009
         000000000000000000000000000000000000");
    assert_eq!(expected.len(), 60);
    assert_eq!(gratuitous(Form::Reply, MAC, [10, 0, 0, 9].into()), expected);
}

#[test]
fn the_request_asks_with_an_unknown_target() {
    let expected = hex("ffffffffffff 0242ac110005 0806
         0001 0800 06 04 0001
         0242ac110005 c0a88e64
         000000000000 c0a88e64
         000000000000000000000000000000000000");
    assert_eq!(gratuitous(Form::Request, MAC, [192, 168, 142, 100].into()), expected);
}

/// Written out from RFC 4861 4.4 and RFC 8200 8.1; the sum was added by hand:
/// 2001+0db8+9 + ff02+1 + 20 + 3a + 8800 + 2000 + 2001+0db8+9 + 0201+0242+ac11+0005.
#[test]
fn the_advertisement_overrides_is_unsolicited_and_sums_up() {
    let sum: u32 = 0x2001
        + 0x0db8
        + 9
        + 0xff02
        + 1
        + 0x20
        + 0x3a
        + 0x8800
        + 0x2000
        + 0x2001
        + 0x0db8
        + 9
        + 0x0201
        + 0x0242
        + 0xac11
        + 0x0005;
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = format!("{:04x}", 0xffff - folded);
    let expected = hex(&format!(
        "333300000001 0242ac110005 86dd
         60000000 0020 3a ff
         20010db8000000000000000000000009
         ff020000000000000000000000000001
         88 00 {checksum} 20000000
         20010db8000000000000000000000009
         02 01 0242ac110005"
    ));
    assert_eq!(neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), false), expected);
}

#[test]
fn a_forwarding_director_says_that_it_is_a_router() {
    let host = neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), false);
    let router = neighbour_advertisement(MAC, "2001:db8::9".parse().unwrap(), true);
    assert_eq!((host[58], router[58]), (0x20, 0xa0));
}

/// RFC 1071: a receiver that sums everything, the checksum included, gets ones.
#[test]
fn a_receiver_finds_the_checksum_right_for_any_address() {
    for low in [0_u16, 1, 0x7fff, 0xfffe, 0xffff] {
        let vip = Ipv6Addr::new(0xfd00, low, 0xffff, 0, low, 1, 2, low);
        let frame = neighbour_advertisement(MAC, vip, false);
        let mut covered = frame[22..54].to_vec();
        covered.extend_from_slice(&[0, 0, 0, 32, 0, 0, 0, 58]);
        covered.extend_from_slice(&frame[54..]);
        assert_eq!(internet_checksum(&covered), 0, "{vip}");
    }
}
