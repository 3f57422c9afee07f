//! TOML, from text to [`Raw`] by the toml crate, which goes on behind an error:
//! all of them are found at once.

use std::ops::Range;

use serde::de::Deserialize as _;
use toml::de::{DeTable, Deserializer};

use super::raw::Raw;
use super::source::lines;

/// The longest text, in bytes: the parser keeps every error, and forty thousand
/// real servers are 5 MB.
const TEXT_MAX: usize = 16 * 1024 * 1024;

/// The longest line, in bytes: a list of tables may stand on one.
const LINE_MAX: usize = 64 * 1024;

/// Reads a text; the errors with their places.
pub(super) fn parse(text: &str) -> (Raw, Vec<(Range<usize>, String)>) {
    if text.len() > TEXT_MAX {
        return (Raw::default(), vec![(0..0, format!("the text is longer than {TEXT_MAX} bytes"))]);
    }
    if let Some(line) = lines(text).find(|line| line.end - line.start > LINE_MAX) {
        let message = format!("the line is longer than {LINE_MAX} bytes");
        return (Raw::default(), vec![(line.start..line.start + 1, message)]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> =
        errors.iter().map(|e| (e.span().unwrap_or(0..0), e.message().replace('\n', ", "))).collect();
    let mut raw = match Raw::deserialize(Deserializer::from(table)) {
        Ok(raw) => raw,
        Err(e) => {
            errors.push((e.span().unwrap_or(0..0), e.message().to_owned()));
            Raw::default()
        }
    };
    raw.order_as_toml();
    (raw, errors)
}
