//! What is said about a configuration file: where, how bad, what, and what to
//! do. `Display` is one line, [`Diagnostic::render`] shows the line and a caret,
//! [`json`] is for tools. An id is never given to another meaning later.

use std::fmt::{self, Write as _};

use super::source::{Location, Sources, Span};

/// How many problems are kept; beyond that they are only counted. A screen shows
/// fifty, and a binary file taken for a configuration has one per line.
pub const DIAGNOSTICS_MAX: usize = 200;

/// The longest message, in characters: one that quotes the longest value.
const TEXT_MAX: usize = 500;

/// How much of a long line is shown, in characters.
const SHOWN_MAX: usize = 110;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is read, but somebody should look.
    Warning,
}

/// One thing said about one place of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which rule speaks: `unknown-keyword`, `port-mapping`, ...; listed in lvs.cf(5).
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// From 1; 0 when the whole file is meant.
    pub line: u32,
    /// From 1, in characters; 0 when the whole file is meant.
    pub column: u32,
    /// How many characters are meant.
    pub width: u32,
    /// The line's text.
    pub source: String,
    /// What is wrong, in the user's own words where they are quoted.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// `file:line:column: severity: message`, or `file: severity: message` for a
/// whole file.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, severity, message, .. } = self;
        if *line == 0 {
            write!(f, "{file}: {severity}: {message}")
        } else {
            write!(f, "{file}:{line}:{column}: {severity}: {message}")
        }
    }
}

impl Diagnostic {
    /// About a whole file.
    pub(super) fn of_file(id: &'static str, severity: Severity, file: &str, message: String) -> Self {
        let (source, help) = (String::new(), String::new());
        Self { id, severity, file: file.to_owned(), line: 0, column: 0, width: 0, source, message, help }
    }

    /// The one line, the source line, a caret under what is meant, and what to
    /// do; with `colour`, ANSI sequences for a terminal. Ends with a newline.
    pub fn render(&self, colour: bool) -> String {
        let paint = |code: &'static str| if colour { code } else { "" };
        let hue = paint(match self.severity {
            Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
        });
        let (bold, blue, off) = (paint("\x1b[1m"), paint("\x1b[1;34m"), paint("\x1b[0m"));
        let mut out = String::new();
        let place =
            if self.line == 0 { self.file.clone() } else { format!("{}:{}:{}", self.file, self.line, self.column) };
        let Self { severity, message, id, .. } = self;
        let _ = writeln!(out, "{bold}{place}:{off} {hue}{severity}:{off} {message} [{id}]");
        let margin = if self.line == 0 { 3 } else { self.line.to_string().len().max(3) };
        if self.line > 0 {
            let (shown, column, width) = self.window();
            let _ = writeln!(out, "{blue}{:>margin$} |{off} {shown}", self.line);
            let carets = "^".repeat(width);
            let _ = writeln!(out, "{blue}{:margin$} |{off} {:column$}{hue}{carets}{off}", "", "");
        }
        if !self.help.is_empty() {
            let _ = writeln!(out, "{blue}{:margin$} ={off} {}", "", self.help);
        }
        out
    }

    /// The part of the line that is shown, the caret's indent in it, and how
    /// many carets there are. Control characters are shown as blanks.
    fn window(&self) -> (String, usize, usize) {
        let column = (self.column as usize).saturating_sub(1);
        let skipped = if column > SHOWN_MAX * 3 / 4 { column - SHOWN_MAX / 4 } else { 0 };
        let shown = self.source.chars().skip(skipped).take(SHOWN_MAX);
        let shown: String = shown.map(|c| if c.is_control() || c == '\u{feff}' { ' ' } else { c }).collect();
        let indent = column - skipped;
        let width = (self.width as usize).clamp(1, SHOWN_MAX.saturating_sub(indent).max(1));
        (shown.trim_end().to_owned(), indent, width)
    }
}

/// All of them as a JSON array of objects with the fields of [`Diagnostic`], for
/// tools (`--check --format json`).
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::from("[");
    for (n, d) in diagnostics.iter().enumerate() {
        out.push_str(if n == 0 { "\n  " } else { ",\n  " });
        let _ = write!(
            out,
            "{{\"id\": {}, \"severity\": {}, \"file\": {}, \"line\": {}, \"column\": {}, \"width\": {}, \
             \"source\": {}, \"message\": {}, \"help\": {}}}",
            json_text(d.id),
            json_text(&d.severity.to_string()),
            json_text(&d.file),
            d.line,
            d.column,
            d.width,
            json_text(&d.source),
            json_text(&d.message),
            json_text(&d.help),
        );
    }
    out.push_str(if diagnostics.is_empty() { "]\n" } else { "\n]\n" });
    out
}

/// A JSON string (RFC 8259, section 7).
pub fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Control characters become blanks, and a text is no longer than anybody reads.
fn one_line(text: &mut String) {
    if text.chars().any(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
}

/// Collects what is said while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    list: Vec<Diagnostic>,
    /// How many of the list are warnings.
    warnings: usize,
    unsaid: usize,
    errors: usize,
}

impl Report {
    /// Adds one; when there are too many it is only counted, but for an error,
    /// which takes the place of a warning.
    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        // a value that is quoted in them may hold anything and be of any length
        for text in [&mut diagnostic.message, &mut diagnostic.help, &mut diagnostic.file] {
            one_line(text);
        }
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        if self.list.len() < DIAGNOSTICS_MAX {
            self.warnings += usize::from(diagnostic.severity == Severity::Warning);
            self.list.push(diagnostic);
            return;
        }
        self.unsaid += 1;
        // an error is worth more than a warning said earlier
        if diagnostic.severity == Severity::Error
            && let Some(at) = self.list.iter().rposition(|d| d.severity == Severity::Warning)
        {
            self.list.remove(at);
            self.warnings = self.warnings.saturating_sub(1);
            self.list.push(diagnostic);
        }
    }

    /// Adds one about a place in the texts.
    pub(super) fn say(
        &mut self,
        sources: &Sources,
        (id, severity): (&'static str, Severity),
        span: Span,
        message: String,
        help: &str,
    ) {
        if !self.keeps(severity) {
            // it would not be kept: finding its place is spared
            self.unsaid += 1;
            self.errors += usize::from(severity == Severity::Error);
            return;
        }
        let nowhere = || Location { file: String::new(), line: 0, column: 0, width: 0, text: String::new() };
        let Location { file, line, column, width, text } = sources.locate(span).unwrap_or_else(nowhere);
        let help = help.to_owned();
        self.add(Diagnostic { id, severity, file, line, column, width, source: text, message, help });
    }

    /// Whether one more of them would be shown; else what is costly to say about
    /// it is spared.
    pub(super) fn keeps(&self, severity: Severity) -> bool {
        self.list.len() < DIAGNOSTICS_MAX || (severity == Severity::Error && self.warnings > 0)
    }

    /// How many errors there are.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether the configuration is refused.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of them, by place.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        // the sort is stable: two about one place stay in the order they were found
        self.list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        if let (true, Some(last)) = (self.unsaid > 0, self.list.last()) {
            let severity = if self.has_errors() { Severity::Error } else { Severity::Warning };
            let file = last.file.clone();
            let message = format!("{} more problems are not shown", self.unsaid);
            self.list.push(Diagnostic::of_file("more", severity, &file, message));
        }
        self.list
    }
}

#[cfg(test)]
mod tests;
