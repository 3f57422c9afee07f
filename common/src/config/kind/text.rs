//! Words, texts and lists, and how a text is quoted in lvs.cf.

use super::{Kind, Quotes, Reader, Span, Value, Written};

/// Longest word or path, in bytes (PATH_MAX).
const WORD_MAX: usize = 4095;

/// Longest word with a form of its own, in bytes.
const FORMED_MAX: usize = 255;

/// Longest list, in words: what the original's 99 words a line leave.
const LIST_MAX: usize = 95;

/// The schedulers of the kernel (net/netfilter/ipvs/Kconfig). The original knew
/// the first eight.
const SCHEDULERS: [&str; 14] =
    ["rr", "lc", "wlc", "wrr", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];

/// How a text stands behind `=` in lvs.cf, so that exactly it is read back;
/// `None` if it cannot be written there.
pub(in crate::config) fn lvscf_text(text: &str, quotes: Quotes) -> Option<String> {
    if text.contains(|c: char| (c.is_control() && c != '\t') || c == '\u{fffd}') {
        return None;
    }
    let bytes = text.as_bytes();
    // a double quote inside double quotes is read if a backslash precedes it
    let is_escaped = |at: usize| at > 0 && bytes.get(at - 1) == Some(&b'\\');
    if text.match_indices('"').all(|(at, _)| is_escaped(at)) {
        return Some(format!("\"{text}\""));
    }
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match (quotes, inner) {
        (Quotes::Dropped, _) if !text.contains('\'') => Some(format!("'{text}'")),
        (Quotes::SingleKept, Some(inner)) if !inner.contains('\'') => Some(text.to_owned()),
        (Quotes::Dropped | Quotes::SingleKept, _) => None,
    }
}

/// How a word stands in lvs.cf that others follow on its line (a block's name, a
/// word of a list), where an escaped quote would run on; `None` if it cannot.
pub(in crate::config) fn lvscf_name(text: &str) -> Option<String> {
    if is_bare(text) {
        return Some(text.to_owned());
    }
    if text.contains('"') || text.ends_with('\\') {
        let is_plain = !text.contains(|c: char| c == '\'' || (c.is_control() && c != '\t') || c == '\u{fffd}');
        return is_plain.then(|| format!("'{text}'"));
    }
    lvscf_text(text, Quotes::Dropped)
}

/// Whether it needs no quotes in lvs.cf.
pub(in crate::config) fn is_bare(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+".contains(c);
    !text.is_empty() && text.chars().all(is_plain)
}

fn check_length(text: &str, max: usize, span: Span, reader: &mut Reader<'_>) -> bool {
    if text.len() > max {
        let message = format!("the text is {} bytes long, {max} is the most", text.len());
        reader.error("text-too-long", span, message, "");
    }
    text.len() <= max
}

fn check_writable(text: &str, quotes: Quotes, span: Span, reader: &mut Reader<'_>) -> bool {
    let good = lvscf_text(text, quotes).is_some();
    if !good {
        let help = "no control characters, and not both kinds of quotes";
        reader.error("unwritable-text", span, "the text cannot be written in lvs.cf", help);
    }
    good
}

/// A text that always has a value.
pub(in crate::config) struct Word;

impl Kind for Word {
    type Value = String;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<String> {
        let text = reader.scalar(value, span)?;
        let good = check_length(&text, WORD_MAX, span, reader) && check_writable(&text, Quotes::Dropped, span, reader);
        good.then_some(text)
    }

    fn write(&self, value: &String) -> Option<Written> {
        Some(Written::Text(value.clone(), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        "word".to_owned()
    }
}

/// A text for nanny: `send`, `expect`. Its escapes are nanny's to convert; bytes
/// that TOML can hold and lvs.cf cannot become escapes here.
pub(in crate::config) struct Text {
    pub(in crate::config) max: usize,
}

impl Kind for Text {
    type Value = Option<String>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<String>> {
        let mut text = reader.scalar(value, span)?;
        if lvscf_text(&text, Quotes::SingleKept).is_none() {
            text = escape(&text);
        }
        warn_of_single_quotes(&text, span, reader);
        let good =
            check_length(&text, self.max, span, reader) && check_writable(&text, Quotes::SingleKept, span, reader);
        good.then_some(Some(text))
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.as_ref().map(|text| Written::Text(text.clone(), Quotes::SingleKept))
    }

    fn describe(&self) -> String {
        format!("text, up to {} bytes", self.max)
    }
}

/// Line ends and quotes as nanny's escapes (piranha.md 1.6).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '"' if !escaped => out.push_str("\\\""),
            c => out.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    out
}

fn warn_of_single_quotes(text: &str, span: Span, reader: &mut Reader<'_>) {
    if text.len() > 1 && text.starts_with('\'') && text.ends_with('\'') {
        let message = "the single quotes belong to the text, as they always did";
        reader.warning("single-quotes", span, message, "use double quotes around a text");
    }
}

/// A command line or a path that may be absent. An empty one is absent.
pub(in crate::config) struct Command {
    pub(in crate::config) max: usize,
    pub(in crate::config) quotes: Quotes,
}

impl Kind for Command {
    type Value = Option<String>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<String>> {
        let text = reader.scalar(value, span)?;
        if self.quotes == Quotes::SingleKept {
            warn_of_single_quotes(&text, span, reader);
        }
        if text.is_empty() {
            reader.warning("empty-text", span, "an empty text: as if the line were not there", "remove the line");
            return Some(None);
        }
        let good = check_length(&text, self.max, span, reader) && check_writable(&text, self.quotes, span, reader);
        good.then_some(Some(text))
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.as_ref().map(|text| Written::Text(text.clone(), self.quotes))
    }

    fn describe(&self) -> String {
        format!("text, up to {} bytes", self.max)
    }
}

/// A word with a form of its own that may be absent.
pub(in crate::config) struct Formed {
    pub(in crate::config) what: &'static str,
    /// Why it is none.
    pub(in crate::config) read: fn(&str) -> Result<(), String>,
}

impl Kind for Formed {
    type Value = Option<String>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<String>> {
        let text = reader.scalar(value, span)?;
        if let Err(why) = (self.read)(&text) {
            reader.error("invalid-argument", span, format!("invalid argument: {why}"), "");
            return None;
        }
        let good =
            check_length(&text, FORMED_MAX, span, reader) && check_writable(&text, Quotes::Dropped, span, reader);
        good.then_some(Some(text))
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.as_ref().map(|text| Written::Text(text.clone(), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        self.what.to_owned()
    }
}

/// `[ a b c ]`; in TOML an array.
pub(in crate::config) struct List;

impl Kind for List {
    type Value = Vec<String>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Vec<String>> {
        let Value::List(list) = value else {
            reader.error("list-expected", span, "list expected", "[ a b c ], the brackets between blanks");
            return None;
        };
        if list.len() > LIST_MAX {
            let message = format!("the list has {} words, {LIST_MAX} is the most", list.len());
            reader.error("text-too-long", span, message, "");
            return None;
        }
        for (value, at) in list.first().into_iter().chain(list.last()) {
            if matches!(value, Value::Text(word) if word == "[" || word == "]") {
                reader.error("list-expected", *at, "list expected: a bracket is missing", "[ a b c ]");
                return None;
            }
        }
        let mut words = Vec::with_capacity(list.len());
        for (value, at) in list {
            let word = Word.read(value, *at, reader)?;
            if lvscf_name(&word).is_none() {
                reader.error("unwritable-text", *at, "the word cannot be written in a list of lvs.cf", "");
                return None;
            }
            words.push(word);
        }
        Some(words)
    }

    fn write(&self, value: &Vec<String>) -> Option<Written> {
        (!value.is_empty()).then(|| Written::List(value.clone()))
    }

    fn describe(&self) -> String {
        "list of words in brackets".to_owned()
    }
}

/// One of a few words.
pub(in crate::config) struct OneOf<T: 'static>(pub(in crate::config) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for OneOf<T> {
    type Value = T;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<T> {
        let text = reader.scalar(value, span)?;
        let found = self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let help = self.describe();
            reader.error("invalid-argument", span, format!("invalid argument \"{text}\""), &help);
        }
        found
    }

    fn write(&self, value: &T) -> Option<Written> {
        let word = self.0.iter().find(|(_, v)| v == value).map(|(word, _)| (*word).to_owned());
        word.map(|word| Written::Text(word, Quotes::Dropped))
    }

    fn describe(&self) -> String {
        let words: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
        words.join(", ")
    }
}

/// A scheduler's name.
pub(in crate::config) struct Scheduler;

impl Kind for Scheduler {
    type Value = String;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<String> {
        let text = reader.scalar(value, span)?;
        if SCHEDULERS.contains(&text.as_str()) {
            return Some(text);
        }
        let help = if text == "pcc" { "pcc is lc since the year 2000".to_owned() } else { self.describe() };
        reader.error("invalid-argument", span, format!("invalid argument: no scheduler \"{text}\""), &help);
        None
    }

    fn write(&self, value: &String) -> Option<Written> {
        Some(Written::Text(value.clone(), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        SCHEDULERS.join(", ")
    }
}
