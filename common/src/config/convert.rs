//! One syntax as the other, `--convert`: the statements as they were typed (host
//! and service names stay names, includes stay includes, defaults are not added)
//! with their comments. In front of a statement stand the comments that stood
//! above it or on its line. Keys come before blocks, since TOML knows no other
//! way; what that would change is written out.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::Syntax;
use super::kind::{Quotes, Reader, Written, lvscf_name};
use super::print::{indent, lvscf_values, toml_text, toml_value};
use super::raw::{Raw, Statement, Value};
use super::source::{Span, lines};
use super::table::{Block, Config, HealthCheck, Place, RealServer, Stray, VirtualService, may_repeat, stray};

/// A statement or a block with what stands above it.
#[derive(Debug)]
struct Item {
    /// Each with whether a blank line stood above it.
    comments: Vec<(String, bool)>,
    /// A blank line stood above, below the comments.
    gap: bool,
    start: usize,
    end: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Key(String, Written),
    /// What cannot stand in the other syntax, as it was typed.
    Remark(String),
    Block(String, String, Vec<Item>),
}

/// A comment, without its `#`.
struct Comment {
    at: usize,
    text: String,
    /// It stands behind a statement.
    behind: bool,
    gap: bool,
}

/// Writes the statements of a text in a syntax. The text is one that reads
/// without errors, and `raw` has its positions from 0.
pub(super) fn convert(text: &str, raw: &Raw, to: Syntax, reader: &mut Reader<'_>) -> String {
    let mut items = items::<Config>(text, raw, reader);
    let mut comments = comments(text, raw).into();
    attach(text, &mut items, &mut comments);
    let mut out = String::new();
    write_items(&items, to, &mut Vec::new(), &mut out);
    for Comment { text, gap, .. } in comments {
        write_comment(&text, gap, "", &mut out);
    }
    if out.is_empty() {
        // an empty file is refused, one with a blank line is not
        out.push('\n');
    }
    out
}

fn items<B: Block>(text: &str, raw: &Raw, reader: &mut Reader<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut statements: Vec<&Statement> = raw.statements.iter().collect();
    statements.sort_by_key(|s| s.key_span.start);
    let last_port = statements.iter().rposition(|s| s.key == "port");
    let mut named = false;
    for (n, statement) in statements.iter().enumerate() {
        match (B::PLACE, statement.key.as_str()) {
            (Place::Global, "virtual" | "failover") => {
                for (raw, start, end) in blocks(statement) {
                    let inner = self::items::<VirtualService>(text, raw, reader);
                    items.push(block(&statement.key, raw, (start, end), inner));
                }
            }
            (Place::Virtual, "server") => {
                // a server takes the port as it stands above it; below all keys it would take the last one
                let above = statements.iter().take(n).rposition(|s| s.key == "port");
                let port = (above != last_port).then(|| above.and_then(|at| statements.get(at).copied()));
                for (raw, start, end) in blocks(statement) {
                    let mut inner = self::items::<RealServer>(text, raw, reader);
                    if let Some(port) = port.filter(|_| !raw.statements.iter().any(|s| s.key == "port")) {
                        let typed = port.and_then(|s| VirtualService::rewrite("port", &s.value, s.span, reader));
                        let what = What::Key("port".to_owned(), typed.unwrap_or(Written::Number(80)));
                        inner.push(Item { comments: Vec::new(), gap: false, start: end, end, what });
                    }
                    items.push(block("server", raw, (start, end), inner));
                }
            }
            (Place::Virtual | Place::Server, "check") => {
                let start = statement.key_span.start as usize;
                for (kind, span) in statement.words() {
                    let what = What::Block("check".to_owned(), kind.to_owned(), Vec::new());
                    items.push(Item { comments: Vec::new(), gap: false, start, end: span.end as usize, what });
                }
                for (raw, start, end) in blocks(statement) {
                    let inner = self::items::<HealthCheck>(text, raw, reader);
                    items.push(block("check", raw, (start, end), inner));
                }
            }
            (Place::Virtual | Place::Server | Place::Check, "name") if !std::mem::replace(&mut named, true) => {}
            (Place::Global | Place::Virtual | Place::Server | Place::Check, _) => {
                if may_repeat(B::PLACE, &statement.key) {
                    // TOML has a list; the first statement says all of it
                    if statements.iter().take(n).all(|s| s.key != statement.key) {
                        let all = statements.iter().skip(n).filter(|s| s.key == statement.key).copied();
                        items.push(key::<B>(text, &together(&all.collect::<Vec<_>>()), false, reader));
                    }
                    continue;
                }
                let again = statements.iter().skip(n + 1).any(|s| s.key == statement.key);
                items.push(key::<B>(text, statement, again, reader));
            }
        }
    }
    items
}

/// Several statements of one keyword as one, at the place of the first.
fn together(all: &[&Statement]) -> Statement {
    let mut values = Vec::new();
    for Statement { value, span, .. } in all {
        match value {
            Value::List(list) => values.extend(list.iter().cloned()),
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::Block(_) => {
                values.push((value.clone(), *span));
            }
        }
    }
    let (key, key_span, span) =
        all.first().map_or_else(Default::default, |first| (first.key.clone(), first.key_span, first.span));
    Statement { key, key_span, value: Value::List(values), span }
}

/// The blocks under a keyword, with where each begins and its first line ends.
fn blocks(statement: &Statement) -> Vec<(&Raw, usize, usize)> {
    let key = statement.key_span.start;
    let is_single = matches!(statement.value, Value::Block(_));
    let place = |(raw, span): (_, Span)| (raw, if is_single { key } else { span.start } as usize, span.end as usize);
    statement.blocks().into_iter().map(place).collect()
}

fn block(keyword: &str, raw: &Raw, (start, end): (usize, usize), inner: Vec<Item>) -> Item {
    let name = raw.statements.iter().find(|s| s.key == "name").map(|s| match &s.value {
        Value::Text(name) => name.clone(),
        Value::Integer(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        // no name has this form: the text reads without errors
        Value::Boolean(_) | Value::List(_) | Value::Block(_) => String::new(),
    });
    let what = What::Block(keyword.to_owned(), name.unwrap_or_default(), inner);
    Item { comments: Vec::new(), gap: false, start, end, what }
}

fn key<B: Block>(text: &str, statement: &Statement, again: bool, reader: &mut Reader<'_>) -> Item {
    let Statement { key, key_span, value, span } = statement;
    let (start, end) = (key_span.start as usize, span.end as usize);
    let known = match stray(B::PLACE, key) {
        Some(Stray::As(known)) => Some(known),
        Some(Stray::Ignored) => None,
        None => Some(key.as_str()),
    };
    let typed = known.filter(|_| !again).and_then(|known| {
        let include = (known == "include").then(|| reader.scalar(value, *span)).flatten();
        let include = include.map(|path| Written::Text(path, Quotes::Dropped));
        let written = include.or_else(|| B::rewrite(known, value, *span, reader));
        written.map(|written| What::Key(known.to_owned(), written))
    });
    let what = typed.unwrap_or_else(|| What::Remark(text.get(start..end).unwrap_or_default().to_owned()));
    Item { comments: Vec::new(), gap: false, start, end, what }
}

/// The comments of a text: each `#` that is in no value, to the end of its line.
fn comments(text: &str, raw: &Raw) -> Vec<Comment> {
    let mut values = Vec::new();
    value_places(raw, &mut values);
    values.sort_unstable();
    let is_inside = |at: usize| {
        let before = values.partition_point(|(start, _)| *start <= at);
        values.get(before.wrapping_sub(1)).is_some_and(|(_, end)| at < *end)
    };
    let mut out = Vec::new();
    let mut was_blank = false;
    for line in lines(text) {
        let line_text = text.get(line.start..line.end).unwrap_or_default();
        if let Some((at, _)) = line_text.match_indices('#').find(|(at, _)| !is_inside(line.start + at)) {
            let (before, rest) = line_text.split_at(at);
            let comment = rest.get(1..).unwrap_or_default().trim_end();
            let text = comment.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
            out.push(Comment { at: line.start + at, text, behind: !before.trim().is_empty(), gap: was_blank });
        }
        was_blank = line_text.trim().is_empty();
    }
    out
}

fn value_places(raw: &Raw, out: &mut Vec<(usize, usize)>) {
    for statement in &raw.statements {
        statement.blocks().into_iter().for_each(|(inner, _)| value_places(inner, out));
        match &statement.value {
            Value::Block(_) => {}
            Value::List(_) if statement.value.is_block() => {}
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                out.push((statement.span.start as usize, statement.span.end as usize));
            }
        }
    }
}

/// Gives each item the comments above it and on its line, in the order of the text.
fn attach(text: &str, items: &mut [Item], comments: &mut VecDeque<Comment>) {
    items.sort_by_key(|item| item.start);
    for item in items {
        let line_end =
            text.get(item.end..).and_then(|rest| rest.find(['\r', '\n'])).map_or(text.len(), |n| item.end + n);
        let above = text.get(..item.start).unwrap_or_default();
        let mut above = above.rsplit('\n').skip(1);
        item.gap = above.next().is_some_and(|line| line.trim().is_empty());
        let is_its = |c: &Comment| c.at < item.start || (c.behind && c.at <= line_end);
        while comments.front().is_some_and(is_its) {
            let Some(comment) = comments.pop_front() else { break };
            // one that stood behind the statement comes between it and what was above
            let gap = if comment.behind { std::mem::take(&mut item.gap) } else { comment.gap };
            item.comments.push((comment.text, gap));
        }
        if let What::Block(_, _, inner) = &mut item.what {
            attach(text, inner, comments);
        }
    }
}

fn write_comment(text: &str, gap: bool, indent: &str, out: &mut String) {
    if gap && !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "{indent}#{text}");
}

fn write_items(items: &[Item], to: Syntax, path: &mut Vec<String>, out: &mut String) {
    let indent = if to == Syntax::LvsCf { indent(path.len()) } else { "" };
    let (blocks, keys): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|i| matches!(i.what, What::Block(..)));
    for item in keys.into_iter().chain(blocks) {
        // a table stands apart, with its comments
        let mut apart = to == Syntax::Toml && matches!(item.what, What::Block(..));
        for (comment, gap) in &item.comments {
            write_comment(comment, *gap | std::mem::take(&mut apart), indent, out);
        }
        if (item.gap || apart) && !out.is_empty() {
            out.push('\n');
        }
        let _ = match (&item.what, to) {
            (What::Remark(typed), _) => writeln!(out, "{indent}# {}", typed.replace(['\r', '\n'], " ")),
            (What::Key(name, written), Syntax::LvsCf) => {
                lvscf_values(written).into_iter().try_for_each(|value| writeln!(out, "{indent}{name} = {value}"))
            }
            (What::Key(name, written), Syntax::Toml) => writeln!(out, "{name} = {}", toml_value(written)),
            (What::Block(keyword, name, inner), _) => {
                write_block((keyword, name), inner, to, path, out);
                Ok(())
            }
        };
    }
}

fn write_block((keyword, name): (&str, &str), inner: &[Item], to: Syntax, path: &mut Vec<String>, out: &mut String) {
    let indent = indent(path.len());
    path.push(keyword.to_owned());
    match to {
        Syntax::LvsCf => {
            let _ = writeln!(out, "{indent}{keyword} {} {{", lvscf_name(name).unwrap_or_default());
            write_items(inner, to, path, out);
            let _ = writeln!(out, "{indent}}}");
        }
        Syntax::Toml => {
            let _ = writeln!(out, "[[{}]]\nname = {}", path.join("."), toml_text(name));
            write_items(inner, to, path, out);
        }
    }
    path.pop();
}
