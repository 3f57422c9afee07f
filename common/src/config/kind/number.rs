//! Numbers. A number is what strtol(3) reads with base 0: decimal, `0x10`, or
//! octal with a leading zero (piranha.md 1.1 no. 8). Unlike the original we have
//! ranges, and no silent truncation.

use super::{Kind, Reader, Span, Value, Written};

/// strtol(3), base 0, with nothing behind the number.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hex {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits.get(1..)?, 8),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    // as strtol does: what is too much is the most
    let n = i64::from_str_radix(digits, radix).unwrap_or(i64::MAX);
    Some(if negative { -n } else { n })
}

/// Says that a leading zero made it octal.
pub(super) fn warn_of_octal(text: &str, n: i64, span: Span, reader: &mut Reader<'_>) {
    let is_octal = text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if is_octal && text.parse::<i64>().is_ok_and(|decimal| decimal != n) {
        let message = format!("\"{text}\" is octal: {n}");
        reader.warning("octal", span, message, "leave the zero away if it is meant to be decimal");
    }
}

/// A number in a range; reports what is wrong.
pub(super) fn read_integer(
    value: &Value,
    span: Span,
    range: std::ops::RangeInclusive<i64>,
    reader: &mut Reader<'_>,
) -> Option<i64> {
    let text = reader.scalar(value, span)?;
    let Some(n) = integer(&text) else {
        reader.error("integer-expected", span, format!("integer expected, not \"{text}\""), "");
        return None;
    };
    warn_of_octal(&text, n, span, reader);
    if !range.contains(&n) {
        let (low, high) = (range.start(), range.end());
        reader.error("out-of-range", span, format!("{n} is out of range: {low} to {high}"), "");
        return None;
    }
    Some(n)
}

/// `serial_no`: nobody compares it, so that a too long one is cut as it always was.
pub(in crate::config) struct Serial;

impl Kind for Serial {
    type Value = i32;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<i32> {
        let n = read_integer(value, span, i64::MIN..=i64::MAX, reader)?;
        i32::try_from(n).ok().or_else(|| {
            let [low @ .., _, _, _, _] = n.to_le_bytes();
            let low = i32::from_le_bytes(low);
            reader.warning("serial-cut", span, format!("{n} is cut to 32 bits: {low}"), "");
            Some(low)
        })
    }

    fn write(&self, value: &i32) -> Option<Written> {
        Some(Written::Number(i64::from(*value)))
    }

    fn describe(&self) -> String {
        "integer".to_owned()
    }
}

/// 0 or 1; in TOML true and false too.
pub(in crate::config) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<bool> {
        if let Value::Boolean(flag) = value {
            return Some(*flag);
        }
        let text = reader.scalar(value, span)?;
        match integer(&text) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => {
                reader.error("boolean-expected", span, format!("boolean expected, not \"{text}\""), "write 0 or 1");
                None
            }
            None => {
                reader.error("integer-expected", span, format!("integer expected, not \"{text}\""), "write 0 or 1");
                None
            }
        }
    }

    fn write(&self, value: &bool) -> Option<Written> {
        Some(Written::Flag(*value))
    }

    fn describe(&self) -> String {
        "0 or 1".to_owned()
    }
}

/// An integer of which only zero and not zero count.
pub(in crate::config) struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<bool> {
        if let Value::Boolean(flag) = value {
            return Some(*flag);
        }
        read_integer(value, span, i64::MIN..=i64::MAX, reader).map(|n| n != 0)
    }

    fn write(&self, value: &bool) -> Option<Written> {
        Some(Written::Flag(*value))
    }

    fn describe(&self) -> String {
        "0 or 1 (any other integer is 1)".to_owned()
    }
}

/// A byte; of a larger number the low byte counts, as it always did.
pub(in crate::config) struct LowByte;

impl Kind for LowByte {
    type Value = u8;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<u8> {
        let n = read_integer(value, span, i64::MIN..=i64::MAX, reader)?;
        u8::try_from(n).ok().or_else(|| {
            let [low, ..] = n.to_le_bytes();
            reader.warning("byte-cut", span, format!("{n} is cut to 8 bits: {low}"), "0 to 255");
            Some(low)
        })
    }

    fn write(&self, value: &u8) -> Option<Written> {
        Some(Written::Number(i64::from(*value)))
    }

    fn describe(&self) -> String {
        "0 to 255".to_owned()
    }
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident, $low:literal to $high:expr) => {
        $(#[$doc])*
        pub(in crate::config) struct $name;

        impl Kind for $name {
            type Value = u32;

            fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<u32> {
                let n = read_integer(value, span, $low..=i64::from($high), reader)?;
                u32::try_from(n).ok()
            }

            fn write(&self, value: &u32) -> Option<Written> {
                Some(Written::Number(i64::from(*value)))
            }

            fn describe(&self) -> String {
                format!("{} to {}", $low, $high)
            }
        }
    };
}

ranged!(
    /// A destination's weight; the limit is ipvsadm(8)'s.
    Weight, 0 to 65_535u32
);
ranged!(
    /// A firewall mark; 0 is none.
    Mark, 0 to u32::MAX
);

ranged!(
    /// The longest datagram of the synchronisation daemon: what UDP over IPv4 holds;
    /// 0 is the kernel's choice.
    SyncLength, 0 to 65_507u32
);
ranged!(
    /// The TTL of its datagrams; 0 is the kernel's choice.
    SyncTtl, 0 to 255u32
);

ranged!(
    /// How many checks are needed; 0 is all.
    Checks, 0 to 8u32
);

/// How many of something.
pub(in crate::config) struct Count {
    pub(in crate::config) min: u32,
    pub(in crate::config) max: u32,
}

impl Kind for Count {
    type Value = u32;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<u32> {
        let n = read_integer(value, span, i64::from(self.min)..=i64::from(self.max), reader)?;
        u32::try_from(n).ok()
    }

    fn write(&self, value: &u32) -> Option<Written> {
        Some(Written::Number(i64::from(*value)))
    }

    fn describe(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}

/// A port, or the name of one in services(5).
pub(in crate::config) struct Port {
    /// 0 means any port.
    pub(in crate::config) zero: bool,
    /// The original takes names here.
    pub(in crate::config) names: bool,
}

impl Port {
    fn low(&self) -> i64 {
        i64::from(!self.zero)
    }
}

impl Kind for Port {
    type Value = u16;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<u16> {
        let text = reader.scalar(value, span)?;
        if integer(&text).is_some() || text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let n = read_integer(&Value::Text(text), span, self.low()..=65_535, reader)?;
            return u16::try_from(n).ok();
        }
        let port = reader.service(&text);
        match port {
            None => {
                let help = "a number, or a name in /etc/services";
                reader.error("invalid-argument", span, format!("invalid argument: no service \"{text}\""), help);
            }
            Some(port) if !self.names => {
                let message = format!("the port is a name: \"{text}\"");
                let help = format!("the original takes only numbers in a server block; write {port}");
                reader.warning("server-port-name", span, message, &help);
            }
            Some(_) => {}
        }
        port
    }

    fn write(&self, value: &u16) -> Option<Written> {
        Some(Written::Number(i64::from(*value)))
    }

    fn describe(&self) -> String {
        format!("{} to 65535, or a service name", self.low())
    }

    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        let text = reader.scalar(value, span)?;
        match integer(&text) {
            Some(n) => Some(Written::Number(n)),
            None => Some(Written::Text(text, super::Quotes::Dropped)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_strtol_does_with_base_0() {
        for (text, n) in [("0", 0), ("7", 7), ("-3", -3), ("+3", 3), ("0x10", 16), ("0X1f", 31), ("010", 8), ("00", 0)]
        {
            assert_eq!(integer(text), Some(n), "{text}");
        }
        assert_eq!(integer("99999999999999999999"), Some(i64::MAX));
        for text in ["", "-", "3s", "08", "0x", "1 ", "a", "--1", "1.5", "0x-1", "+-1"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
