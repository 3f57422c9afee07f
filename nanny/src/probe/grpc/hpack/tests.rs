use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.replace(' ', "");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn fields(block: &[u8]) -> Result<Vec<(String, String)>, Garbled> {
    let mut all = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    read(block, |name, value| all.push((text(name), text(value)))).map(|()| all)
}

/// The code of each symbol, from the table.
fn codes() -> Vec<(u32, usize)> {
    let (mut all, mut code) = (Vec::new(), 0);
    for (length, count) in CODES.iter().enumerate() {
        code <<= 1;
        for _ in 0..*count {
            all.push((code, length));
            code += 1;
        }
    }
    all
}

fn encode(text: &[u8]) -> Vec<u8> {
    let codes = codes();
    let code = |letter| codes[LETTERS.iter().position(|known| known == letter).unwrap()];
    let mut bits = text.iter().map(code).map(|(code, length)| format!("{code:0length$b}")).collect::<Vec<_>>().concat();
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    bits.as_bytes().chunks(8).map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
}

#[test]
fn the_code_is_that_of_the_rfc() {
    let codes = codes();
    assert_eq!((codes.len(), codes[CODES_IN_ALL - 1]), (257, (0x3fff_ffff, 30)), "the last one is full of ones");
    // RFC 7541 appendix B.
    for (letter, code) in [
        (b'0', (0, 5)),
        (b' ', (0x14, 6)),
        (b':', (0x5c, 7)),
        (b'&', (0xf8, 8)),
        (b'!', (0x3f8, 10)),
        (0, (0x1ff8, 13)),
    ] {
        assert_eq!(codes[LETTERS.iter().position(|known| *known == letter).unwrap()], code);
    }
    assert_eq!(codes[LETTERS.iter().position(|known| *known == b'\\').unwrap()], (0x7fff0, 19));
}

/// RFC 7541 appendix C.
#[test]
fn the_examples_of_the_rfc_are_read() {
    for (coded, text) in [
        ("f1e3 c2e5 f23a 6ba0 ab90 f4ff", "www.example.com"),
        ("a8eb 1064 9cbf", "no-cache"),
        ("25a8 49e9 5ba9 7d7f", "custom-key"),
        ("6402", "302"),
        ("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3", "https://www.example.com"),
    ] {
        let mut out = Vec::new();
        decode(&bytes(coded), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
    assert_eq!(integer(&mut bytes("1f9a0a").as_slice(), 5), Ok(1337));
    assert_eq!(integer(&mut bytes("0a").as_slice(), 5), Ok(10));
    // A field with a name of its own; one whose name is of the table; one that is all of it.
    let with_name = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    assert_eq!(fields(&bytes(with_name)), Ok(vec![("custom-key".to_owned(), "custom-header".to_owned())]));
    let of_table = "040c 2f73 616d 706c 652f 7061 7468";
    assert_eq!(fields(&bytes(of_table)), Ok(vec![(String::new(), "/sample/path".to_owned())]));
    assert_eq!(fields(&bytes("82")), Ok(vec![(String::new(), String::new())]));
    let huffman = "4882 6402 5885 aec3 771a 4b";
    let status = (":status".to_owned(), "302".to_owned());
    assert_eq!(fields(&bytes(huffman)), Ok(vec![status, (String::new(), "private".to_owned())]));
}

#[test]
fn what_needs_a_table_we_do_not_have_is_no_block_and_its_size_is_passed_over() {
    assert_eq!(fields(&bytes("20 88")), Ok(vec![(":status".to_owned(), "200".to_owned())]));
    assert_eq!(fields(&bytes("3fe11f 88")).unwrap().len(), 1);
    for block in ["be", "80", "7e 0161", "0f 2f 0161", "88 40", "00 01", "00 0161", "00 0161 05 61", "0f 80808000 00"] {
        assert_eq!(fields(&bytes(block)), Err(Garbled), "{block}");
    }
}

#[test]
fn a_text_of_huffmans_ends_with_ones_and_holds_no_end() {
    let mut out = Vec::new();
    // "0", and zeros behind it; then a whole byte of ones; then the code that ends all.
    for text in ["00", "07ff", "07ff ffff ff"] {
        assert_eq!(decode(&bytes(text), &mut out), Err(Garbled), "{text}");
    }
    out.clear();
    decode(&bytes("07"), &mut out).unwrap();
    assert_eq!(out, b"0");
    // 0xff, of 26 bits, is nothing that is compared or said.
    out.clear();
    decode(&bytes("ffff fbbf"), &mut out).unwrap();
    assert_eq!(out, [OTHER]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(all in proptest::collection::vec(("[ -~]{0,300}", "[ -~]{0,300}"), 0..4)) {
        let mut block = Vec::new();
        for (name, value) in &all {
            write(&mut block, name, value);
        }
        prop_assert_eq!(fields(&block), Ok(all));
    }

    #[test]
    fn huffmans_code_is_read(text in proptest::collection::vec(prop::sample::select(LETTERS.to_vec()), 0..300)) {
        let coded = encode(&text);
        let mut block = vec![0, 1, b'n'];
        let mut length = Vec::new();
        write_integer(&mut length, 7, coded.len());
        length[0] |= 0x80;
        block.extend(length);
        block.extend(coded);
        let expected = ("n".to_owned(), String::from_utf8(text).unwrap());
        prop_assert_eq!(fields(&block), Ok(vec![expected]));
    }

    #[test]
    fn any_bytes_are_judged_and_hold_no_more_than_their_code_can(block in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = 0;
        let _ = read(&block, |name, value| bytes += name.len() + value.len());
        // A field of the table is a byte and says at most 12.
        prop_assert!(bytes <= 12 * block.len());
    }
}
