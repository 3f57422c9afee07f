//! When a certificate ends, in its DER form (RFC 5280 4.1); the TLS library judges
//! all else. Pure.

/// Tags of the fields on the way.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity, in seconds since 1970.
pub fn not_after(der: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(der, Some(SEQUENCE))?;
    let (_, signed, _) = element(certificate, Some(SEQUENCE))?;
    // [version], serial number, signature algorithm, issuer, validity, ...
    let (tag, _, behind) = element(signed, None)?;
    let mut rest = if tag == VERSION { element(behind, None)?.2 } else { behind };
    for _ in 0..2 {
        rest = element(rest, Some(SEQUENCE))?.2;
    }
    let (_, validity, _) = element(rest, Some(SEQUENCE))?;
    let (_, _, rest) = element(validity, None)?;
    let (tag, time, _) = element(rest, None)?;
    seconds(tag, time)
}

/// The first element: its tag, its content and what is behind it.
fn element(der: &[u8], expected: Option<u8>) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..0x80 => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        // Longer than any certificate, or without an end.
        0x80 | 0x84..=0xff => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (expected.is_none() || expected == Some(*tag)).then_some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` in seconds since 1970.
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |at: usize, n: usize| {
        let digits = digits.get(at..at + n)?;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => number(0, 2).map(|year| (if year < 50 { 2000 + year } else { 1900 + year }, 2))?,
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at, 2)?, number(at + 2, 2)?);
    let (hour, minute, second) = (number(at + 4, 2)?, number(at + 6, 2)?, number(at + 8, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date of the Gregorian calendar, whose years are counted from
/// March here so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), content].concat()
    }

    fn certificate(version: bool, end: &[u8]) -> Vec<u8> {
        let version = if version { tlv(VERSION, &[2, 1, 2]) } else { Vec::new() };
        let (serial, algorithm, issuer) = (tlv(2, &[7; 9]), tlv(SEQUENCE, &[5, 0]), tlv(SEQUENCE, &[0x31; 200]));
        let begin = [&[UTC_TIME, 13], b"200101000000Z".as_slice()].concat();
        let validity = tlv(SEQUENCE, &[begin.as_slice(), end].concat());
        let signed = [version, serial, algorithm, issuer, validity, tlv(SEQUENCE, b"more")].concat();
        tlv(SEQUENCE, &tlv(SEQUENCE, &signed))
    }

    #[test]
    fn the_end_is_found_in_either_form() {
        for (text, tag, seconds) in [
            ("700101000000Z", UTC_TIME, Some(0)),
            ("491231235959Z", UTC_TIME, Some(2_524_607_999)),
            ("20240229120000Z", GENERALIZED_TIME, Some(1_709_208_000)),
            ("20500101000000Z", GENERALIZED_TIME, Some(2_524_608_000)),
            ("99991231235959Z", GENERALIZED_TIME, Some(253_402_300_799)),
            ("20501301000000Z", GENERALIZED_TIME, None),
            ("2050010100000Z", GENERALIZED_TIME, None),
            ("5001010000+1Z", UTC_TIME, None),
            ("500101000000Z", 0x16, None),
        ] {
            let time = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            assert_eq!(not_after(&certificate(true, &time)), seconds, "{text}");
            assert_eq!(not_after(&certificate(false, &time)), seconds, "{text}, version 1");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_no_certificate_or_one(
            bytes in any::<Vec<u8>>(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let _ = not_after(&bytes);
            let mut damaged = certificate(true, &[&[UTC_TIME, 13], b"300101000000Z".as_slice()].concat());
            for (at, to) in changes {
                let at = at.index(damaged.len());
                damaged[at] = to;
                let _ = not_after(&damaged);
                let _ = not_after(&damaged[..at]);
            }
        }
    }
}
