//! TOML, from text to [`Raw`] by the toml crate, which goes on behind an error:
//! all of them are found at once.

use std::ops::Range;

use serde::de::Deserialize as _;
use toml::de::{DeTable, Deserializer};

use super::raw::Raw;

/// Reads a text; the errors with their places.
pub(super) fn parse(text: &str) -> (Raw, Vec<(Range<usize>, String)>) {
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
