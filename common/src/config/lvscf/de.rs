//! lvs.cf as a serde data format: the tree of statements, offered to a
//! `Deserialize` type as a map whose keys may repeat (the last one counts, but
//! each is judged) with positions for [`toml::Spanned`]. A block is a map that
//! begins with its name.

use std::ops::Range;

use serde::de::value::{BorrowedStrDeserializer, Error, StringDeserializer, UsizeDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Body, Node, Word};
use crate::config::table::keeps_single_quotes;

/// How the name begins under which [`toml::Spanned`] asks for its fields.
const SPANNED: &str = "$__serde_spanned";

/// The statements of a file or a block.
#[derive(Clone, Copy)]
pub(in crate::config) struct Statements<'t> {
    pub(in crate::config) text: &'t str,
    pub(in crate::config) nodes: &'t [Node],
    pub(in crate::config) name: Option<&'t Word>,
}

/// Any item with its place.
struct Placed<'t> {
    item: Item<'t>,
    span: Range<usize>,
}

#[derive(Clone)]
enum Item<'t> {
    Text(String),
    Words(Vec<(String, Range<usize>)>),
    Block(Statements<'t>),
}

impl<'de> Deserializer<'de> for Statements<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { text, nodes, name } = self;
        visitor.visit_map(Entries { text, nodes: nodes.iter(), name, value: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'t> {
    text: &'t str,
    nodes: std::slice::Iter<'t, Node>,
    name: Option<&'t Word>,
    value: Option<Placed<'t>>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if let Some(word) = self.name.take() {
            let item = Item::Text(part(self.text, &word.text).to_owned());
            self.value = Some(Placed { item, span: word.span.clone() });
            let key = Placed { item: Item::Text("name".to_owned()), span: word.span.clone() };
            return seed.deserialize(key).map(Some);
        }
        let Some(node) = self.nodes.next() else { return Ok(None) };
        self.value = Some(value(self.text, node));
        let key = Placed { item: Item::Text(part(self.text, &node.key).to_owned()), span: node.key.clone() };
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let nothing = || Placed { item: Item::Words(Vec::new()), span: 0..0 };
        let value = self.value.take().unwrap_or_else(nothing);
        seed.deserialize(value)
    }
}

/// One word is a text, none or several are a list; `[ a b ]` is a list of what
/// is between the brackets.
fn value<'t>(text: &'t str, node: &'t Node) -> Placed<'t> {
    match &node.body {
        Body::Block(name, nodes) => {
            let item = Item::Block(Statements { text, nodes, name: Some(name) });
            Placed { item, span: node.key.start..name.span.end }
        }
        Body::Words(words, span) => {
            let keep = keeps_single_quotes(part(text, &node.key));
            let typed = |word: &Word| {
                let range = if keep && word.quote == Some('\'') { &word.span } else { &word.text };
                (part(text, range).to_owned(), word.span.clone())
            };
            let is = |word: &Word, bracket: &str| word.quote.is_none() && part(text, &word.text) == bracket;
            let item = match words.as_slice() {
                [one] => Item::Text(typed(one).0),
                [first, inner @ .., last] if is(first, "[") && is(last, "]") => {
                    Item::Words(inner.iter().map(typed).collect())
                }
                several => Item::Words(several.iter().map(typed).collect()),
            };
            Placed { item, span: span.clone() }
        }
    }
}

fn part<'t>(text: &'t str, range: &Range<usize>) -> &'t str {
    text.get(range.clone()).unwrap_or_default()
}

impl<'de> Deserializer<'de> for Placed<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.item.deserialize_any(visitor)
    }

    /// A struct of the three fields start, end and value is [`toml::Spanned`].
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name.starts_with(SPANNED) && fields.len() == 3 {
            return visitor.visit_map(SpannedFields { fields: fields.iter(), left: 3, placed: Some(self) });
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct SpannedFields<'t> {
    fields: std::slice::Iter<'static, &'static str>,
    left: usize,
    placed: Option<Placed<'t>>,
}

impl<'de> MapAccess<'de> for SpannedFields<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.left = self.fields.len();
        seed.deserialize(BorrowedStrDeserializer::new(field)).map(Some)
    }

    /// The fields in their order: start, end, value.
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let span = self.placed.as_ref().map_or(0..0, |placed| placed.span.clone());
        let number = |n: usize| -> UsizeDeserializer<Error> { n.into_deserializer() };
        match (self.left, self.placed.take_if(|_| self.left == 0)) {
            (_, Some(placed)) => seed.deserialize(placed.item),
            (2, None) => seed.deserialize(number(span.start)),
            (_, None) => seed.deserialize(number(span.end)),
        }
    }
}

impl<'de> Deserializer<'de> for Item<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Text(text) => StringDeserializer::new(text).deserialize_any(visitor),
            Self::Words(words) => visitor.visit_seq(List { words: words.into_iter() }),
            Self::Block(statements) => statements.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct List {
    words: std::vec::IntoIter<(String, Range<usize>)>,
}

impl<'de> SeqAccess<'de> for List {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((word, span)) = self.words.next() else { return Ok(None) };
        seed.deserialize(Placed { item: Item::Text(word), span }).map(Some)
    }
}
