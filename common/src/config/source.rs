//! The texts a configuration was read from, and positions in them. All files of
//! one configuration (the named one and what it includes) share one range of
//! offsets, so that a [`Span`] is two numbers wherever it came from.

use std::ops::Range;

/// The longest configuration, all files together, in bytes. Forty thousand real
/// servers are about 6 MB; what is longer is not a configuration.
pub(super) const TOTAL_MAX: usize = 64 * 1024 * 1024;

/// How much of a line a location holds, in characters: no line of lvs.cf is longer.
const SHOWN_MAX: usize = 8 * 1024;

/// From one offset up to another, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// A range of one text that begins at `base`. Texts are limited to
    /// [`TOTAL_MAX`], so that the numbers fit.
    pub(super) fn new(base: u32, range: &Range<usize>) -> Self {
        let offset = |at: usize| base.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        Self { start: offset(range.start), end: offset(range.end) }
    }
}

/// One file's text. Bytes that are not UTF-8 (comments in old encodings) are
/// U+FFFD here; a value that holds one is refused where it is read.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// As named by the user or by an include.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    base: u32,
    line_starts: Vec<u32>,
}

/// Where a span is, for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) file: String,
    /// From 1.
    pub(super) line: u32,
    /// From 1, in characters.
    pub(super) column: u32,
    /// In characters, at least 1, within the line.
    pub(super) width: u32,
    /// The line itself, without its end.
    pub(super) text: String,
}

/// All texts of one configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    files: Vec<SourceFile>,
    total: usize,
}

impl Sources {
    /// Adds a text and returns the offset of its first byte; `None` when it is
    /// too much.
    pub(super) fn add(&mut self, name: String, text: String) -> Option<u32> {
        let base = self.total;
        // one byte apart, so that the end of one is not the start of the next
        let total = base.checked_add(text.len())?.checked_add(1)?;
        if total > TOTAL_MAX {
            return None;
        }
        self.total = total;
        let base = u32::try_from(base).ok()?;
        let line_starts = lines(&text).map(|line| u32::try_from(line.start).unwrap_or(u32::MAX)).collect();
        self.files.push(SourceFile { name, text, base, line_starts });
        Some(base)
    }

    /// The text that was added first.
    pub(super) fn first(&self) -> &str {
        self.files.first().map_or("", |file| &file.text)
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Where the span is; `None` if there is no text at all.
    pub(super) fn locate(&self, span: Span) -> Option<Location> {
        let file = self.files.iter().rev().find(|f| f.base <= span.start).or(self.files.first())?;
        let start = span.start.saturating_sub(file.base);
        let index = file.line_starts.partition_point(|&s| s <= start).saturating_sub(1);
        let line_start = *file.line_starts.get(index).unwrap_or(&0);
        let rest = file.text.get(line_start as usize..).unwrap_or_default();
        let text = rest.split(['\r', '\n']).next().unwrap_or_default();
        let within = (start - line_start.min(start)) as usize;
        let before = text.get(..within.min(text.len())).unwrap_or(text);
        let end = within + (span.end.saturating_sub(span.start)) as usize;
        let marked = text.get(before.len()..end.min(text.len()).max(before.len())).unwrap_or_default();
        Some(Location {
            file: file.name.clone(),
            line: u32::try_from(index + 1).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
            width: u32::try_from(marked.chars().count()).unwrap_or(u32::MAX).max(1),
            text: text.chars().take(SHOWN_MAX).collect(),
        })
    }
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// A line feed, as it should be.
    Lf,
    /// Carriage return and line feed: the file was edited on DOS.
    CrLf,
    /// A carriage return alone.
    Cr,
    /// The end of the text.
    Eof,
}

/// One line: where it is, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) ending: LineEnd,
}

/// The lines of a text, whatever they end with. A text has at least one line.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line> + '_ {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let rest = text.get(start..)?;
        let Some(at) = rest.find(['\r', '\n']) else {
            next = None;
            return Some(Line { start, end: text.len(), ending: LineEnd::Eof });
        };
        let end = start + at;
        let ending = match text.get(end..).unwrap_or_default() {
            s if s.starts_with("\r\n") => LineEnd::CrLf,
            s if s.starts_with('\r') => LineEnd::Cr,
            _ => LineEnd::Lf,
        };
        next = Some(if ending == LineEnd::CrLf { end + 2 } else { end + 1 });
        Some(Line { start, end, ending })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_in_its_file_and_line_whatever_ends_the_lines() {
        let mut sources = Sources::default();
        assert_eq!(sources.add("a".into(), "one\r\ntwo\rthrée x\n".into()), Some(0));
        let base = sources.add("b".into(), "four".into()).unwrap();
        let at = |start, end| sources.locate(Span { start, end }).unwrap();
        assert_eq!((at(0, 3).line, at(0, 3).column, at(0, 3).width), (1, 1, 3));
        assert_eq!(at(5, 6).text, "two");
        let x = at(16, 17);
        assert_eq!((x.line, x.column, x.width, x.text.as_str()), (3, 7, 1, "thrée x"));
        let b = at(base + 1, base + 9);
        assert_eq!((b.file.as_str(), b.line, b.column, b.width), ("b", 1, 2, 3));
    }

    #[test]
    fn a_text_beyond_the_limit_is_not_taken() {
        let mut sources = Sources::default();
        assert_eq!(sources.add("big".into(), "x".repeat(TOTAL_MAX)), None);
        assert_eq!(sources.len(), 0);
    }
}
