//! Times. The original counts whole seconds (an integer, base 0); we also take
//! decimals and units: `0.05`, `50ms`, `3s`, `2m`, `1h`, `1d`.

use std::time::Duration;

use super::number::{integer, warn_of_octal};
use super::{Kind, Quotes, Reader, Span, Value, Written};

/// A span of time in a range.
pub(in crate::config) struct Time {
    pub(in crate::config) min: Duration,
    pub(in crate::config) max: Duration,
    /// The kernel takes whole seconds only.
    pub(in crate::config) whole: bool,
}

const SECOND: u128 = 1_000_000_000;

/// The unit's length in nanoseconds.
fn unit(name: &str) -> Option<u128> {
    Some(match name {
        "ms" => SECOND / 1000,
        "" | "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => 86_400 * SECOND,
        _ => return None,
    })
}

/// A time that is not negative; `None` if it is none.
fn parse(text: &str) -> Option<Duration> {
    if let Some(n) = integer(text) {
        return u64::try_from(n).ok().map(Duration::from_secs);
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, name) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // 08 is neither octal nor meant to be decimal for sure
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let unit = unit(name)?;
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = fraction.parse::<u128>().ok()?.checked_mul(unit)?;
    let nanos = whole.parse::<u128>().ok()?.checked_mul(unit)?.checked_add(parts / scale)?;
    let seconds = u64::try_from(nanos / SECOND).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % SECOND).ok()?))
}

/// As short as it can be written exactly: `6`, `50ms`, `0.0005`.
pub(in crate::config) fn text(time: Duration) -> String {
    let nanos = time.subsec_nanos();
    if nanos == 0 {
        time.as_secs().to_string()
    } else if nanos.is_multiple_of(1_000_000) {
        format!("{}ms", time.as_millis())
    } else {
        let fraction = format!("{nanos:09}");
        format!("{}.{}", time.as_secs(), fraction.trim_end_matches('0'))
    }
}

impl Kind for Time {
    type Value = Duration;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Duration> {
        let typed = reader.scalar(value, span)?;
        let (low, high) = (text(self.min), text(self.max));
        let Some(time) = parse(&typed) else {
            if integer(&typed).is_some() {
                reader.error("out-of-range", span, format!("{typed} is out of range: {low} to {high} seconds"), "");
            } else {
                let help = "seconds, or a number with ms, s, m, h or d behind it";
                reader.error("integer-expected", span, format!("integer expected: \"{typed}\" is no time"), help);
            }
            return None;
        };
        warn_of_octal(&typed, i64::try_from(time.as_secs()).unwrap_or(i64::MAX), span, reader);
        if time < self.min || time > self.max {
            reader.error("out-of-range", span, format!("{typed} is out of range: {low} to {high} seconds"), "");
            return None;
        }
        if self.whole && time.subsec_nanos() != 0 {
            reader.error("whole-seconds", span, format!("{typed} is not whole seconds, which the kernel counts"), "");
            return None;
        }
        Some(time)
    }

    fn write(&self, value: &Duration) -> Option<Written> {
        if value.subsec_nanos() == 0 {
            return i64::try_from(value.as_secs()).ok().map(Written::Number);
        }
        Some(Written::Text(text(*value), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        let whole = if self.whole { ", whole seconds" } else { "" };
        format!("time, {} to {}{whole}", text(self.min), text(self.max))
    }
}

/// A time that need not be given: without it another keyword's counts.
pub(in crate::config) struct OwnTime(pub(in crate::config) Time);

impl Kind for OwnTime {
    type Value = Option<Duration>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<Duration>> {
        self.0.read(value, span, reader).map(Some)
    }

    fn write(&self, value: &Option<Duration>) -> Option<Written> {
        value.as_ref().and_then(|time| self.0.write(time))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// `off`, `on` (the usual time) or a time.
pub(in crate::config) struct Failback {
    pub(in crate::config) on: Duration,
    pub(in crate::config) max: Duration,
}

impl Kind for Failback {
    type Value = Option<Duration>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<Duration>> {
        match value {
            Value::Boolean(is_on) => return Some(is_on.then_some(self.on)),
            Value::Text(text) if text == "on" => return Some(Some(self.on)),
            Value::Text(text) if text == "off" => return Some(None),
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Block(_) => {}
        }
        let time = Time { min: Duration::ZERO, max: self.max, whole: false };
        time.read(value, span, reader).map(Some)
    }

    fn write(&self, value: &Option<Duration>) -> Option<Written> {
        let time = Time { min: Duration::ZERO, max: self.max, whole: false };
        match value {
            Some(value) => time.write(value),
            None => Some(Written::Text("off".to_owned(), Quotes::Dropped)),
        }
    }

    fn describe(&self) -> String {
        format!("off, on ({}) or a time, 0 to {}", text(self.on), text(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_integers_of_any_base_decimals_and_units() {
        let ms = Duration::from_millis;
        for (typed, time) in [
            ("6", ms(6000)),
            ("0x10", ms(16_000)),
            ("010", ms(8000)),
            ("0.05", ms(50)),
            ("50ms", ms(50)),
            ("1.5s", ms(1500)),
            ("3s", ms(3000)),
            ("2m", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("1d", ms(86_400_000)),
            ("0.000000001", Duration::from_nanos(1)),
        ] {
            assert_eq!(parse(typed), Some(time), "{typed}");
        }
        for typed in [
            "",
            "-1",
            "3 s",
            "s",
            ".5",
            "5.",
            "1.2.3",
            "08",
            "3x",
            "1e3",
            "0.0000000001",
            "NaN",
            "99999999999999999999d",
        ] {
            assert_eq!(parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_time_is_written_so_that_it_is_read_back() {
        for time in [0, 1, 50, 1500, 1_000_000, 999_999_999_999].map(Duration::from_micros) {
            assert_eq!(parse(&text(time)), Some(time), "{}", text(time));
        }
        assert_eq!(text(Duration::from_millis(1500)), "1500ms");
        assert_eq!(text(Duration::from_micros(500)), "0.0005");
    }
}
