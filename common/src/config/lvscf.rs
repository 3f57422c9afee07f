//! lvs.cf, from text to a tree of statements with positions. Pure, recovers at
//! each line, and judges only the form: which keywords exist is the table's
//! affair. The grammar is the original's (piranha.md 1.1):
//!
//! ```text
//! line      = [ statement | header | "}" anything | "#" anything ]
//! statement = key "=" word*            words are separated by blanks and tabs
//! header    = ("virtual" | "failover" | "server" | "check") name "{"
//! word      = '"' text '"' | "'" text "'" | text without blanks
//! ```
//!
//! What the original refuses or misreads but users write is read with a warning:
//! CRLF, a comment behind a value, no blanks around `=` or before `{`, `{` on
//! the next line, a closing brace that is missing or followed by something.

use std::ops::Range;

use super::diagnostic::Severity;
use super::source::{Line, LineEnd, lines};

pub(super) mod de;
mod line;

use line::{Header, Parsed};

/// The longest line, in bytes. The longest value is 255 bytes; a list of
/// directories may take more.
const LINE_MAX: usize = 8 * 1024;

/// How deep blocks may be nested. The grammar needs three.
const DEPTH_MAX: usize = 8;

/// How many warnings are kept; a file in another style has some for each line.
const WARNINGS_MAX: usize = 10_000;

/// After so many errors the rest is not read: it is no lvs.cf.
const ERRORS_MAX: usize = 1000;

/// A word of a line. `text` is the part without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: Range<usize>,
    pub(super) quote: Option<char>,
    pub(super) span: Range<usize>,
}

/// A statement or a block.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) key: Range<usize>,
    pub(super) body: Body,
}

/// What stands behind a key.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// The words behind `=`, and where they are.
    Words(Vec<Word>, Range<usize>),
    /// The block's name and its statements.
    Block(Word, Vec<Node>),
}

/// Something wrong with the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// A text as it was read.
#[derive(Debug)]
pub(super) struct Tree {
    /// What stands outside of all blocks.
    pub(super) nodes: Vec<Node>,
    pub(super) problems: Vec<Problem>,
    /// Something outside of all blocks could not be read.
    pub(super) broken: bool,
    /// Where the keys of the blocks are in which something could not be read.
    pub(super) broken_blocks: Vec<usize>,
}

/// Reads a text. A problem of severity error means that the tree is not whole.
pub(super) fn parse(text: &str) -> Tree {
    let mut parser = Parser {
        text,
        problems: Vec::new(),
        broken: false,
        broken_blocks: Vec::new(),
        open: Vec::new(),
        root: Vec::new(),
        pending: None,
        odd_ends: false,
        errors: 0,
    };
    let end = parser.start_and_end();
    for line in lines(text) {
        if line.start >= end.end {
            break;
        }
        if parser.errors >= ERRORS_MAX {
            parser.broken = true; // nobody knows what stands below
            break;
        }
        let line = Line { start: line.start.max(end.start), end: line.end.min(end.end), ..line };
        parser.line(line);
    }
    parser.finish();
    let Parser { root: nodes, problems, broken, broken_blocks, .. } = parser;
    Tree { nodes, problems, broken, broken_blocks }
}

struct Open {
    key: Range<usize>,
    name: Word,
    nodes: Vec<Node>,
}

struct Parser<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    broken: bool,
    broken_blocks: Vec<usize>,
    open: Vec<Open>,
    root: Vec<Node>,
    /// A header whose brace did not come yet.
    pending: Option<Header>,
    odd_ends: bool,
    errors: usize,
}

impl Parser<'_> {
    fn say(&mut self, id: &'static str, severity: Severity, span: Range<usize>, message: String, help: &'static str) {
        self.keep(Problem { id, severity, span, message, help });
    }

    fn keep(&mut self, problem: Problem) {
        if problem.severity == Severity::Error {
            self.errors += 1;
            match self.open.last() {
                Some(open) => self.broken_blocks.push(open.key.start),
                None => self.broken = true,
            }
        }
        if problem.severity == Severity::Error || self.problems.len() < WARNINGS_MAX {
            self.problems.push(problem);
        }
    }

    fn error(&mut self, id: &'static str, span: Range<usize>, message: impl Into<String>, help: &'static str) {
        self.say(id, Severity::Error, span, message.into(), help);
    }

    fn warning(&mut self, id: &'static str, span: Range<usize>, message: impl Into<String>, help: &'static str) {
        self.say(id, Severity::Warning, span, message.into(), help);
    }

    /// Where the text that counts begins (behind a byte order mark) and ends (at
    /// a NUL byte, as it always did).
    fn start_and_end(&mut self) -> Range<usize> {
        let mut range = 0..self.text.len();
        if self.text.starts_with('\u{feff}') {
            range.start = '\u{feff}'.len_utf8();
            let help = "save the file without it: the original refuses its first line";
            self.warning("byte-order-mark", 0..range.start, "a byte order mark before the first line", help);
        }
        if let Some(nul) = self.text.find('\0') {
            range.end = nul;
            self.warning("nul-byte", nul..nul + 1, "a NUL byte: what follows it is not read", "remove it");
        }
        range
    }

    fn line(&mut self, line: Line) {
        let ending = match line.ending {
            LineEnd::CrLf => "the line ends with CR LF: the original reads only the first line of such a file",
            LineEnd::Cr => "the line ends with a CR alone: beside other line ends the original refuses it",
            LineEnd::Lf | LineEnd::Eof => "",
        };
        if !ending.is_empty() && !self.odd_ends {
            self.odd_ends = true;
            let help = "all such lines are read; \"sed -i 's/\\r$//' FILE\" mends the file";
            self.warning("line-ends", line.end..line.end, ending, help);
        }
        if line.end.saturating_sub(line.start) > LINE_MAX {
            let message = format!("the line is longer than {LINE_MAX} bytes");
            return self.error("line-too-long", line.start..line.start + 1, message, "");
        }
        let (parsed, problems) = line::parse(self.text, line.start..line.end);
        for problem in problems {
            self.keep(problem);
        }
        if let Some(header) = self.pending.take_if(|_| !matches!(parsed, Parsed::Nothing)) {
            if let Parsed::OpenBrace(span) = parsed {
                let help = "put it behind the name: the original refuses it here";
                self.warning("brace-on-next-line", span, "the brace stands on a line of its own", help);
                return self.open_block(header);
            }
            let help = "a block begins with \"KEYWORD NAME {\"";
            self.error("missing-brace", header.name.span.clone(), "missing arguments: { expected", help);
            self.open_block(header);
        }
        self.take(parsed);
    }

    fn take(&mut self, parsed: Parsed) {
        match parsed {
            Parsed::Nothing | Parsed::Broken => {}
            Parsed::Statement(key, words, span) => {
                let node = Node { key, body: Body::Words(words, span) };
                self.nodes().push(node);
            }
            Parsed::Header(header) if header.open => self.open_block(header),
            Parsed::Header(header) => self.pending = Some(header),
            Parsed::Closed(header) => {
                self.open_block(header);
                self.close();
            }
            Parsed::OpenBrace(span) => {
                self.error("unexpected-brace", span, "a block has no name", "a block begins with \"KEYWORD NAME {\"");
            }
            Parsed::CloseBrace(_) if !self.open.is_empty() => self.close(),
            Parsed::CloseBrace(span) => {
                self.error("unexpected-brace", span, "unknown command \"}\": no block is open", "");
            }
        }
    }

    fn open_block(&mut self, header: Header) {
        let is_inner = matches!(self.text.get(header.key.clone()), Some("server" | "check"));
        if !is_inner && !self.open.is_empty() {
            let help = "a \"}\" is missing above";
            self.error("missing-brace", header.key.clone(), "this block begins inside another one", help);
            while !self.open.is_empty() {
                self.close();
            }
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("blocks are nested deeper than {DEPTH_MAX}");
            return self.error("too-deep", header.key, message, "");
        }
        self.open.push(Open { key: header.key, name: header.name, nodes: Vec::new() });
    }

    fn close(&mut self) {
        if let Some(Open { key, name, nodes }) = self.open.pop() {
            let node = Node { key, body: Body::Block(name, nodes) };
            self.nodes().push(node);
        }
    }

    fn nodes(&mut self) -> &mut Vec<Node> {
        self.open.last_mut().map_or(&mut self.root, |open| &mut open.nodes)
    }

    fn finish(&mut self) {
        if let Some(header) = self.pending.take() {
            self.error("missing-brace", header.name.span, "missing arguments: { expected", "");
        }
        while let Some(open) = self.open.last() {
            let span = open.key.start..open.name.span.end;
            self.warning("missing-brace", span, "the block is not closed before the end of the file", "add a \"}\"");
            self.close();
        }
    }
}
