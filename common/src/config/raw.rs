//! What was typed, with positions: the one shape that both syntaxes are
//! deserialized into by serde. Nothing is judged here, so that every problem is
//! found in one pass by [`super::check`] and not only the first.
//!
//! | lvs.cf | TOML | value |
//! | --- | --- | --- |
//! | `keepalive = 6` | `keepalive = 6` | text "6"; integer 6 |
//! | `address = 10.0.0.9 eth0:1` | `address = "10.0.0.9 eth0:1"` | a list of two; one text |
//! | `dirs = [ a b ]` | `dirs = ["a", "b"]` | a list |
//! | `virtual web {` ... `}` | `[[virtual]]` `name = "web"` ... | a block; a list of blocks |

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::source::Span;

/// The statements of a file or of a block, in the order in which they count.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    pub(super) statements: Vec<Statement>,
}

/// `key = value`, or a block under its keyword.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Value,
    pub(super) span: Span,
}

/// A value as either syntax has it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// TOML only.
    Boolean(bool),
    /// TOML only.
    Integer(i64),
    /// TOML only.
    Float(f64),
    Text(String),
    List(Vec<(Value, Span)>),
    Block(Raw),
}

impl Raw {
    /// Moves all positions: the text begins at `base`.
    pub(super) fn shift(&mut self, base: u32) {
        for statement in &mut self.statements {
            shift_span(&mut statement.key_span, base);
            shift_span(&mut statement.span, base);
            statement.value.shift(base);
        }
    }

    /// Puts keys before blocks and otherwise keeps the order of the text: in TOML
    /// order has no meaning, so that a block sees all keys of the one around it.
    pub(super) fn order_as_toml(&mut self) {
        for statement in &mut self.statements {
            statement.value.for_each_block(&mut Self::order_as_toml);
        }
        self.statements.sort_by_key(|s| (s.value.is_block(), s.key_span.start));
    }
}

impl Statement {
    /// The block, or in TOML the blocks, with their places; empty if it has none.
    pub(super) fn blocks(&self) -> Vec<(&Raw, Span)> {
        match &self.value {
            Value::Block(raw) => vec![(raw, self.span)],
            Value::List(list) => {
                let mut blocks = Vec::new();
                for (value, span) in list {
                    if let Value::Block(raw) = value {
                        blocks.push((raw, *span));
                    }
                }
                blocks
            }
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => Vec::new(),
        }
    }
}

impl Statement {
    /// The words of a value that is one or a list of them.
    pub(super) fn words(&self) -> Vec<(&str, Span)> {
        match &self.value {
            Value::Text(text) => vec![(text.as_str(), self.span)],
            Value::List(list) => {
                let words = list.iter().filter_map(|item| match &item.0 {
                    Value::Text(text) => Some((text.as_str(), item.1)),
                    Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Block(_) => None,
                });
                words.collect()
            }
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Block(_) => Vec::new(),
        }
    }
}

impl Value {
    fn shift(&mut self, base: u32) {
        match self {
            Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) => {}
            Self::List(list) => {
                for (value, span) in list {
                    value.shift(base);
                    shift_span(span, base);
                }
            }
            Self::Block(raw) => raw.shift(base),
        }
    }

    /// Whether it is a block or a list of blocks.
    pub(super) fn is_block(&self) -> bool {
        match self {
            Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) => false,
            Self::List(list) => list.first().is_some_and(|(value, _)| value.is_block()),
            Self::Block(_) => true,
        }
    }

    fn for_each_block(&mut self, f: &mut dyn FnMut(&mut Raw)) {
        match self {
            Self::Boolean(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) => {}
            Self::List(list) => list.iter_mut().for_each(|(value, _)| value.for_each_block(f)),
            Self::Block(raw) => f(raw),
        }
    }
}

fn shift_span(span: &mut Span, base: u32) {
    span.start = span.start.saturating_add(base);
    span.end = span.end.saturating_add(base);
}

fn span(range: &Range<usize>) -> Span {
    Span::new(0, range)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("statements")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut statements = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value::<Spanned<Value>>()?;
            let (key_span, value_span) = (span(&key.span()), span(&value.span()));
            let (key, value) = (key.into_inner(), value.into_inner());
            statements.push(Statement { key, key_span, value, span: value_span });
        }
        Ok(Raw { statements })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Boolean(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Integer(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Integer(i64::try_from(v).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element::<Spanned<Value>>()? {
            let at = span(&value.span());
            list.push((value.into_inner(), at));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        RawVisitor.visit_map(map).map(Value::Block)
    }
}
