//! The model as text again, in either syntax: `--dump`. What is printed reads
//! back as the same model (a property test says so).

use std::fmt::Write as _;

use super::Syntax;
use super::kind::{Quotes, Written, is_bare, lvscf_name, lvscf_text};
use super::table::{Block, Config, Entry, HealthCheck, RealServer};

/// What stands behind `=` in lvs.cf, for each line of the keyword.
pub(super) fn lvscf_values(written: &Written) -> Vec<String> {
    match written {
        Written::Rows(rows) => rows.iter().map(|row| lvscf_value(&Written::Words(row.clone()))).collect(),
        Written::Number(_) | Written::Flag(_) | Written::Text(..) | Written::Words(_) | Written::List(_) => {
            vec![lvscf_value(written)]
        }
    }
}

/// A value behind `=` in lvs.cf.
pub(super) fn lvscf_value(written: &Written) -> String {
    match written {
        Written::Number(n) => n.to_string(),
        Written::Flag(flag) => u8::from(*flag).to_string(),
        // what cannot be written is refused when it is read
        Written::Text(text, Quotes::SingleKept) => lvscf_text(text, Quotes::SingleKept).unwrap_or_default(),
        Written::Text(text, Quotes::Dropped) => lvscf_word(text),
        Written::Words([first, second]) => format!("{} {}", lvscf_word(first), lvscf_word(second)),
        Written::Rows(_) => lvscf_values(written).join(" "),
        Written::List(words) => {
            let words: String = words.iter().map(|word| lvscf_name(word).unwrap_or_default() + " ").collect();
            format!("[ {words}]")
        }
    }
}

/// The last word of a line of lvs.cf, in quotes where they are needed.
pub(super) fn lvscf_word(text: &str) -> String {
    if is_bare(text) {
        return text.to_owned();
    }
    lvscf_text(text, Quotes::Dropped).unwrap_or_default()
}

/// A value behind `=` in TOML.
pub(super) fn toml_value(written: &Written) -> String {
    match written {
        Written::Number(n) => n.to_string(),
        Written::Flag(flag) => flag.to_string(),
        Written::Text(text, _) => toml_text(text),
        Written::Words([first, second]) => toml_text(&format!("{first} {second}")),
        Written::Rows(rows) => {
            let rows: Vec<String> =
                rows.iter().map(|[first, second]| toml_text(&format!("{first} {second}"))).collect();
            format!("[{}]", rows.join(", "))
        }
        Written::List(words) => {
            let words: Vec<String> = words.iter().map(|word| toml_text(word)).collect();
            format!("[{}]", words.join(", "))
        }
    }
}

/// A TOML string; a literal one where that spares backslashes.
pub(super) fn toml_text(text: &str) -> String {
    let is_odd = |c: char| c.is_control() && c != '\t';
    if text.contains('\\') && !text.contains('\'') && !text.contains(is_odd) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The whole effective configuration, defaults included, in one of the syntaxes.
pub(super) fn config(config: &Config, syntax: Syntax) -> String {
    let mut out = String::new();
    entries(config, syntax, 0, &mut out);
    for (keyword, services) in [("virtual", &config.virtuals), ("failover", &config.failovers)] {
        for service in services {
            block(service, &service.name, syntax, &[keyword], &mut out, |out| {
                checks(&service.checks, syntax, &[keyword, "check"], out);
                for server in &service.servers {
                    self::server(server, syntax, keyword, out);
                }
            });
        }
    }
    out
}

fn server(server: &RealServer, syntax: Syntax, outer: &str, out: &mut String) {
    block(server, &server.name, syntax, &[outer, "server"], out, |out| {
        checks(&server.checks, syntax, &[outer, "server", "check"], out);
    });
}

fn checks(checks: &[HealthCheck], syntax: Syntax, path: &[&str], out: &mut String) {
    for check in checks {
        block(check, &check.kind.to_string(), syntax, path, out, |_| {});
    }
}

fn block<B: Block>(
    block: &B,
    name: &str,
    syntax: Syntax,
    path: &[&str],
    out: &mut String,
    inner: impl FnOnce(&mut String),
) {
    let depth = path.len();
    let indent = indent(depth - 1);
    match syntax {
        Syntax::LvsCf => {
            let keyword = path.last().copied().unwrap_or_default();
            let _ = writeln!(out, "{indent}{keyword} {} {{", lvscf_name(name).unwrap_or_default());
            entries(block, syntax, depth, out);
            inner(out);
            let _ = writeln!(out, "{indent}}}");
        }
        Syntax::Toml => {
            let _ = writeln!(out, "\n[[{}]]\nname = {}", path.join("."), toml_text(name));
            entries(block, syntax, 0, out);
            inner(out);
        }
    }
}

/// As the original's web interface indents, by depth (piranha.md 9.3).
pub(super) fn indent(depth: usize) -> &'static str {
    match depth {
        0 => "",
        1 => "     ",
        2 => "         ",
        _ => "             ",
    }
}

fn entries<B: Block>(block: &B, syntax: Syntax, depth: usize, out: &mut String) {
    block.write(&mut |Entry { name, written, .. }| {
        if !block.says(name) {
            return;
        }
        let _ = match syntax {
            Syntax::LvsCf => lvscf_values(&written)
                .into_iter()
                .try_for_each(|value| writeln!(out, "{}{name} = {value}", indent(depth))),
            Syntax::Toml => writeln!(out, "{name} = {}", toml_value(&written)),
        };
    });
}
