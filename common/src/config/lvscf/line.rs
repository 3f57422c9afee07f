//! One line of lvs.cf: its words, and what it is. Pure; knows no other line.

use std::ops::Range;

use super::{Problem, Word};
use crate::config::diagnostic::Severity;

/// What a line is.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Blank, or a comment.
    Nothing,
    /// It was one of the others, but cannot be used; a problem says why.
    Broken,
    /// Key, words, and where the words are (behind `=` when there are none).
    Statement(Range<usize>, Vec<Word>, Range<usize>),
    /// `virtual NAME {`, or without the brace.
    Header(Header),
    /// A whole block on one line, refused but closed.
    Closed(Header),
    /// `{` alone.
    OpenBrace(Range<usize>),
    /// `}`, whatever follows it.
    CloseBrace(Range<usize>),
}

/// The first line of a block.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) key: Range<usize>,
    pub(super) name: Word,
    pub(super) open: bool,
}

/// The keywords that begin a block.
const BLOCKS: [&str; 4] = ["virtual", "failover", "server", "check"];

struct Cursor<'t> {
    text: &'t str,
    at: usize,
    end: usize,
    problems: Vec<Problem>,
}

/// Reads the line that stands at `range` of the text.
pub(super) fn parse(text: &str, range: Range<usize>) -> (Parsed, Vec<Problem>) {
    let mut cursor = Cursor { text, at: range.start, end: range.end, problems: Vec::new() };
    let parsed = cursor.line();
    (parsed, cursor.problems)
}

impl Cursor<'_> {
    fn say(&mut self, id: &'static str, severity: Severity, span: Range<usize>, message: &str, help: &'static str) {
        self.problems.push(Problem { id, severity, span, message: message.to_owned(), help });
    }

    fn error(&mut self, id: &'static str, span: Range<usize>, message: &str, help: &'static str) -> Parsed {
        self.say(id, Severity::Error, span, message, help);
        Parsed::Broken
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn part(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn line(&mut self) -> Parsed {
        self.skip_blanks();
        let (start, rest) = (self.at, self.rest());
        let first_len = rest.find([' ', '\t']).unwrap_or(rest.len());
        let first = start..start + first_len;
        match rest.chars().next() {
            None | Some('#') => Parsed::Nothing,
            Some('}') => self.close_brace(first),
            Some('{') if rest.trim_end_matches([' ', '\t']) == "{" => Parsed::OpenBrace(first),
            Some('{') => self.error("unexpected-brace", first, "unknown command: a brace begins the line", ""),
            Some('"' | '\'') => {
                self.error("quoted-keyword", first, "quotation mismatch: a keyword is not quoted", "remove the quotes")
            }
            Some(_) => {
                let word = self.part(first.clone());
                let key_len = word.find(['=', '{']).unwrap_or(first_len);
                let is_block = BLOCKS.contains(&self.part(start..start + key_len));
                self.at = start + key_len;
                let key = start..self.at;
                // check is ours, and has a short form.
                let rest = if self.part(key.clone()) == "check" { self.rest().trim_start() } else { self.rest() };
                if is_block && !rest.starts_with('=') { self.header(key) } else { self.statement(key) }
            }
        }
    }

    fn close_brace(&mut self, first: Range<usize>) -> Parsed {
        let brace = first.start..first.start + 1;
        if first.len() > 1 && !self.part(first.clone()).starts_with("}#") {
            self.say(
                "unexpected-arguments",
                Severity::Error,
                first.clone(),
                "unexpected text at the closing brace",
                "",
            );
        }
        self.at = first.end;
        self.skip_blanks();
        if !self.rest().is_empty() && !self.rest().starts_with('#') {
            let span = self.at..self.end;
            self.say("after-brace", Severity::Warning, span, "what follows a closing brace is not read", "remove it");
        }
        Parsed::CloseBrace(brace)
    }

    fn statement(&mut self, key: Range<usize>) -> Parsed {
        self.skip_blanks();
        if !self.rest().starts_with('=') {
            let message = format!("equal (=) expected after command \"{}\"", self.part(key.clone()));
            return self.error("missing-equal", key, &message, "a line is \"KEYWORD = VALUE\"");
        }
        let equal = self.at;
        self.at += 1;
        let blank_before = equal > key.end;
        let blank_after = self.rest().is_empty() || self.rest().starts_with([' ', '\t']);
        if !(blank_before && blank_after) {
            let help = "put a blank on each side: the original refuses the line";
            self.say("missing-blank", Severity::Warning, equal..equal + 1, "no blanks around \"=\"", help);
        }
        let Some(words) = self.words(true) else { return Parsed::Broken };
        let span = match (words.first(), words.last()) {
            (Some(first), Some(last)) => first.span.start..last.span.end,
            (None, _) | (_, None) => equal..equal + 1,
        };
        Parsed::Statement(key, words, span)
    }

    /// The words up to the end of the line or a comment; `None` if quotes do not
    /// match. A value may be one word that begins with `#`, as in the original.
    fn words(&mut self, is_value: bool) -> Option<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            let rest = self.rest();
            let Some(first) = rest.chars().next() else { return Some(words) };
            if first == '#' {
                let alone = !rest.trim_end_matches([' ', '\t']).contains([' ', '\t']);
                if !(words.is_empty() && (alone || !is_value)) {
                    let span = self.at..self.end;
                    let help = "put it on a line of its own: the original refuses it here";
                    self.say("inline-comment", Severity::Warning, span, "a comment behind a value", help);
                    return Some(words);
                }
            }
            words.push(if first == '"' || first == '\'' { self.quoted(first)? } else { self.bare() });
        }
    }

    fn bare(&mut self) -> Word {
        let rest = self.rest();
        let len = rest.find([' ', '\t']).unwrap_or(rest.len());
        let span = self.at..self.at + len;
        self.at = span.end;
        Word { text: span.clone(), quote: None, span }
    }

    fn quoted(&mut self, quote: char) -> Option<Word> {
        let start = self.at;
        let inner = start + 1;
        let mut from = inner;
        loop {
            let Some(found) = self.part(from..self.end).find(quote) else {
                let help = "end the text with the same quote";
                self.error("quotation-mismatch", start..self.end, "quotation mismatch: the text does not end", help);
                return None;
            };
            let close = from + found;
            let escaped = quote == '"' && close > inner && self.part(close - 1..close) == "\\";
            // a backslash before the last quote of a line is one: C:\
            if escaped && self.part(close + 1..self.end).contains(quote) {
                let help = "the original refuses it; nanny turns \\\" into \"";
                self.say("escaped-quote", Severity::Warning, close - 1..close + 1, "a quote inside quotes", help);
                from = close + 1;
                continue;
            }
            self.at = close + 1;
            if !self.rest().is_empty() && !self.rest().starts_with([' ', '\t', '#']) {
                let help = "a text cannot hold its own quote; use the other one around it, or \\\"";
                self.error("quotation-mismatch", close..close + 1, "quotation mismatch: text behind a quote", help);
                return None;
            }
            return Some(Word { text: inner..close, quote: Some(quote), span: start..close + 1 });
        }
    }

    fn header(&mut self, key: Range<usize>) -> Parsed {
        let Some(mut words) = self.words(false) else { return Parsed::Broken };
        words.reverse();
        let (Some(mut name), brace) = (words.pop(), words.pop()) else {
            return self.error("missing-name", key, "missing arguments: a block has a name", "KEYWORD NAME {");
        };
        let is_bare = |word: &Word, text: &str| word.quote.is_none() && self.part(word.span.clone()) == text;
        match brace {
            Some(brace) if is_bare(&brace, "{") => self.behind_header(Header { key, name, open: true }, &words),
            None if is_bare(&name, "{") => {
                self.error("missing-name", key.clone(), "missing arguments: a block has a name", "KEYWORD NAME {");
                Parsed::Header(Header { key, name, open: true })
            }
            None if name.quote.is_none() && self.part(name.span.clone()).ends_with('{') => {
                let brace = name.span.end - 1..name.span.end;
                name.span.end = brace.start;
                name.text = name.span.clone();
                let help = "put a blank before it: the original refuses the line";
                self.say("missing-blank", Severity::Warning, brace, "no blank before \"{\"", help);
                Parsed::Header(Header { key, name, open: true })
            }
            None => Parsed::Header(Header { key, name, open: false }),
            Some(brace) => {
                let help = "a name with blanks is quoted";
                self.error("unexpected-arguments", brace.span, "unexpected arguments: { expected", help);
                Parsed::Header(Header { key, name, open: true })
            }
        }
    }

    /// What stands behind `{`, last word first.
    fn behind_header(&mut self, header: Header, words: &[Word]) -> Parsed {
        let Some(first) = words.last() else { return Parsed::Header(header) };
        let help = "a block takes several lines: each statement and the closing brace on its own";
        let message = "unexpected arguments behind the opening brace";
        let is_closed = words.first().is_some_and(|last| self.part(last.span.clone()) == "}");
        self.error("unexpected-arguments", first.span.clone(), message, help);
        if is_closed { Parsed::Closed(header) } else { Parsed::Header(header) }
    }
}
