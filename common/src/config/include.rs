//! Files into statements: one text by its syntax, and the files it includes in
//! the place where it includes them. Cycles and depth are bounded.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::Deserialize as _;

use crate::log::words;

use super::Syntax;
use super::diagnostic::{Diagnostic, Severity};
use super::kind::Reader;
use super::lvscf::Tree;
use super::lvscf::de::Statements;
use super::raw::{Raw, Statement, Value};
use super::source::{Span, TOTAL_MAX};
use super::{lvscf, toml_file};

/// How deep files may include files.
const DEPTH_MAX: usize = 8;
/// How many files one configuration may have.
const FILES_MAX: usize = 1024;

/// Reads a file and what it includes. `None` if there is nothing to judge: the
/// report says why.
pub(super) fn read(path: &Path, syntax: Syntax, reader: &mut Reader<'_>) -> Option<Raw> {
    let mut raw = read_one(path, syntax, reader)?;
    let mut open = vec![path.to_owned()];
    expand(&mut raw, path, &mut open, reader);
    Some(raw)
}

/// Reads a file without what it includes.
pub(super) fn read_one(path: &Path, syntax: Syntax, reader: &mut Reader<'_>) -> Option<Raw> {
    let name = if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() };
    let bytes = match reader.outside.read(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            let message = if e.kind() == ErrorKind::NotFound {
                "there is no such file".to_owned()
            } else if e.kind() == ErrorKind::PermissionDenied {
                "this user may not read the file".to_owned()
            } else {
                // the original's words
                format!("I/O error while reading configuration: {}", words(&e))
            };
            reader.report.add(Diagnostic::of_file("unreadable", Severity::Error, &name, message));
            return None;
        }
    };
    if bytes.is_empty() {
        let message = "Empty configuration".to_owned();
        reader.report.add(Diagnostic::of_file("empty", Severity::Error, &name, message));
        return None;
    }
    text(&name, bytes, syntax, reader)
}

/// One text into statements, its own problems reported.
fn text(name: &str, bytes: Vec<u8>, syntax: Syntax, reader: &mut Reader<'_>) -> Option<Raw> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    };
    let Some(base) = reader.sources.add(name.to_owned(), text.clone()) else {
        let message = format!("the configuration is longer than {TOTAL_MAX} bytes");
        reader.report.add(Diagnostic::of_file("too-long", Severity::Error, name, message));
        return None;
    };
    let mut raw = match syntax {
        Syntax::LvsCf => lvscf_raw(&text, base, reader),
        Syntax::Toml => {
            let (raw, errors) = toml_file::parse(&text);
            // what was found beside them is not the file
            reader.loose |= !errors.is_empty();
            for (range, message) in errors {
                let is_unquoted = message.contains("must be quoted") || message.contains("float");
                let help = if is_unquoted { "texts and addresses stand in quotes" } else { "" };
                reader.error("toml-syntax", Span::new(base, &range), message, help);
            }
            raw
        }
    };
    raw.shift(base);
    Some(raw)
}

fn lvscf_raw(text: &str, base: u32, reader: &mut Reader<'_>) -> Raw {
    let Tree { nodes, problems, broken, broken_blocks } = lvscf::parse(text);
    reader.loose |= broken;
    reader.broken_blocks.extend(broken_blocks.into_iter().map(|at| Span::new(base, &(at..at)).start));
    for problem in problems {
        let span = Span::new(base, &problem.span);
        let about = (problem.id, problem.severity);
        reader.report.say(&reader.sources, about, span, problem.message, problem.help);
    }
    // a tree always is a map of values: there is nothing that could fail
    Raw::deserialize(Statements { text, nodes: &nodes, name: None }).unwrap_or_default()
}

/// Puts the statements of included files in the place of `include`, in blocks
/// too. `open` are the files that are being read, the inmost last.
fn expand(raw: &mut Raw, file: &Path, open: &mut Vec<PathBuf>, reader: &mut Reader<'_>) {
    if !raw.statements.iter().any(|s| s.key == "include" || s.value.is_block()) {
        return;
    }
    let statements = std::mem::take(&mut raw.statements);
    for mut statement in statements {
        if statement.key == "include" {
            let errors = reader.report.errors();
            for path in included(&statement, file, reader) {
                raw.statements.extend(include(&path, statement.span, open, reader));
            }
            reader.loose |= reader.report.errors() > errors;
            continue;
        }
        match &mut statement.value {
            Value::Block(inner) => expand_block(inner, statement.span, (file, open), reader),
            Value::List(list) => {
                for (value, span) in list {
                    if let Value::Block(inner) = value {
                        expand_block(inner, *span, (file, open), reader);
                    }
                }
            }
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
        }
        raw.statements.push(statement);
    }
}

/// The same in a block: what is missing from a file that it includes is missing
/// from the block, and not from what is around it.
fn expand_block(inner: &mut Raw, span: Span, (file, open): (&Path, &mut Vec<PathBuf>), reader: &mut Reader<'_>) {
    let around = std::mem::take(&mut reader.loose);
    expand(inner, file, open, reader);
    if std::mem::replace(&mut reader.loose, around) {
        reader.broken_blocks.insert(span.start);
    }
}

/// The files a statement names: one path, or a pattern of a folder in the order
/// of names.
fn included(statement: &Statement, file: &Path, reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let Some(pattern) = reader.scalar(&statement.value, statement.span) else { return Vec::new() };
    // a relative path is relative to the file that includes
    let path = file.parent().unwrap_or(Path::new("")).join(&pattern);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return vec![path];
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut names = match reader.outside.list(&folder) {
        Ok(names) => names,
        Err(e) => {
            let message = format!("include \"{pattern}\": {}", words(&e));
            reader.error("include", statement.span, message, "");
            return Vec::new();
        }
    };
    // as in a shell, a pattern does not mean hidden files
    names.retain(|n| !n.starts_with('.') && matches_pattern(&name, n));
    names.sort();
    if names.is_empty() {
        reader.warning("include", statement.span, format!("include \"{pattern}\" names no file"), "");
    }
    names.iter().map(|name| folder.join(name)).collect()
}

/// `*` is any number of characters, `?` is one.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(q) if *q == '?' || q == c => {
                p += 1;
                n += 1;
            }
            Some(_) | None => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, n) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

fn include(path: &Path, span: Span, open: &mut Vec<PathBuf>, reader: &mut Reader<'_>) -> Vec<Statement> {
    let shown = path.display();
    let refused = if open.iter().any(|p| p == path) {
        Some(format!("include \"{shown}\": the file includes itself"))
    } else if open.len() >= DEPTH_MAX {
        Some(format!("include \"{shown}\": files are included deeper than {DEPTH_MAX}"))
    } else if reader.sources.len() >= FILES_MAX {
        Some(format!("include \"{shown}\": there are more than {FILES_MAX} files"))
    } else {
        None
    };
    if let Some(message) = refused {
        reader.error("include", span, message, "");
        return Vec::new();
    }
    let bytes = match reader.outside.read(path) {
        Ok(bytes) => bytes,
        Err(e) => {
            reader.error("include", span, format!("include \"{shown}\": {}", words(&e)), "");
            return Vec::new();
        }
    };
    let Some(mut raw) = text(&shown.to_string(), bytes, Syntax::of(path), reader) else { return Vec::new() };
    open.push(path.to_owned());
    expand(&mut raw, path, open, reader);
    open.pop();
    raw.statements
}
