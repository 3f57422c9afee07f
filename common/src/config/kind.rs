//! The kinds of values: how each is read from what was typed, how it is written
//! again, and how the manual describes it. A row of [`super::table`] names the
//! kind of its keyword with its range.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::diagnostic::{Report, Severity};
use super::outside::{Outside, literal};
use super::raw::Value;
use super::source::{Sources, Span};
use crate::ipvs::Protocol;

mod address;
mod number;
mod text;
mod time;

pub(super) use address::{Device, Host, Ip, Mask, Paths, PersistenceMask};
pub(super) use number::{Checks, Count, Flag, LowByte, Mark, Port, Serial, Switch, SyncLength, SyncTtl, Weight};
pub(super) use text::{Command, Formed, List, OneOf, Scheduler, Text, Word, is_bare, lvscf_name, lvscf_text};
pub(super) use time::{Failback, OwnTime, Time};

/// A kind of value.
pub(super) trait Kind {
    /// What the model holds.
    type Value;
    /// Reads a value; reports why not and gives `None`.
    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Self::Value>;
    /// Sets the keyword: the last one that is written counts, unless it may stand
    /// more than once.
    fn store(&self, place: &mut Self::Value, value: Self::Value) {
        *place = value;
    }
    /// As it is written again; `None` if it is not set.
    fn write(&self, value: &Self::Value) -> Option<Written>;
    /// What may be written, for the manual: `0 to 65535`, `seconds ...`.
    fn describe(&self) -> String;
    /// What was typed, to be written in the other syntax: names stay names.
    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        self.read(value, span, reader).and_then(|value| self.write(&value))
    }
}

/// A value that need not be given.
pub(super) struct Own<K>(pub(super) K);

impl<K: Kind> Kind for Own<K> {
    type Value = Option<K::Value>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Self::Value> {
        self.0.read(value, span, reader).map(Some)
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.as_ref().and_then(|value| self.0.write(value))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        self.0.rewrite(value, span, reader)
    }
}

/// A value as it can be written in either syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Number(i64),
    Flag(bool),
    /// A word, or a text that always stands in quotes.
    Text(String, Quotes),
    /// Two words: `10.0.0.9 eth0:1`.
    Words([String; 2]),
    /// Several times two words: a line each in lvs.cf, a list in TOML.
    Rows(Vec<[String; 2]>),
    List(Vec<String>),
}

/// How lvs.cf treats quotes around a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// Both kinds are dropped.
    Dropped,
    /// Double quotes are dropped, single quotes belong to the text.
    SingleKept,
}

/// What a kind needs while it reads.
pub(super) struct Reader<'a> {
    pub(super) sources: Sources,
    pub(super) report: Report,
    pub(super) outside: &'a dyn Outside,
    /// Something outside of the blocks of what was read last could not be read.
    pub(super) loose: bool,
    /// Where the blocks begin in which something could not be read.
    pub(super) broken_blocks: HashSet<u32>,
    hosts: HashMap<String, Option<IpAddr>>,
    services: HashMap<String, Option<u16>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(outside: &'a dyn Outside) -> Self {
        Self {
            sources: Sources::default(),
            report: Report::default(),
            outside,
            loose: false,
            broken_blocks: HashSet::new(),
            hosts: HashMap::new(),
            services: HashMap::new(),
        }
    }

    pub(super) fn error(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: &str) {
        self.report.say(&self.sources, (id, Severity::Error), span, message.into(), help);
    }

    pub(super) fn warning(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: &str) {
        self.report.say(&self.sources, (id, Severity::Warning), span, message.into(), help);
    }

    /// The one word or number of a value, as text.
    pub(super) fn scalar(&mut self, value: &Value, span: Span) -> Option<String> {
        let text = match value {
            Value::Text(text) => text.clone(),
            Value::Integer(n) => n.to_string(),
            Value::Float(n) => n.to_string(),
            Value::Boolean(_) => {
                self.error("wrong-type", span, "a text or a number is expected here, not true or false", "");
                return None;
            }
            Value::List(list) => {
                match list.get(1) {
                    Some((_, second)) => {
                        let help = "a text with blanks stands in quotes";
                        self.error(
                            "unexpected-arguments",
                            *second,
                            "unexpected arguments: one value is expected",
                            help,
                        );
                    }
                    None if list.is_empty() => self.error("missing-arguments", span, "missing arguments", ""),
                    None => self.error("wrong-type", span, "a text or a number is expected here, not a list", ""),
                }
                return None;
            }
            Value::Block(_) => {
                self.error("wrong-type", span, "a value is expected here, not a block", "");
                return None;
            }
        };
        self.is_text(&text, span).then_some(text)
    }

    /// Whether it was text in the file: no bytes that are not UTF-8.
    pub(super) fn is_text(&mut self, text: &str, span: Span) -> bool {
        let good = !text.contains('\u{fffd}');
        if !good {
            self.error("not-utf-8", span, "the value is not UTF-8", "save the file as UTF-8");
        }
        good
    }

    /// The address of a literal or a name; each name is asked for once.
    pub(super) fn host(&mut self, text: &str) -> Option<IpAddr> {
        if let Some(address) = literal(text) {
            return Some(address);
        }
        if let Some(known) = self.hosts.get(text) {
            return *known;
        }
        // the resolver is not asked for what is no name
        let is_name = text.len() <= 253 && text.chars().all(|c| c.is_alphanumeric() || "-._".contains(c));
        let found = if is_name { self.outside.host(text) } else { None };
        self.hosts.insert(text.to_owned(), found);
        found
    }

    /// The port of a service name: TCP first, whatever the virtual's protocol,
    /// as the original did; then UDP, which it did not ask for. Each is asked for
    /// once: forty thousand servers may have the same one.
    pub(super) fn service(&mut self, name: &str) -> Option<u16> {
        if let Some(known) = self.services.get(name) {
            return *known;
        }
        let ask = |protocol| self.outside.service(name, protocol);
        let found = ask(Protocol::Tcp).or_else(|| ask(Protocol::Udp)).or_else(|| ask(Protocol::Sctp));
        self.services.insert(name.to_owned(), found);
        found
    }
}
