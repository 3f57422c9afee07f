//! piranha-ng-log(7): every line of the log, its severity, what it means and what
//! to do. Which lines there are and their severities come from the golden files,
//! which hold a sample of every message of the code; what they mean stands beside
//! them in tests/messages/*.meanings, and a line without its paragraph is an error
//! here. PIRANHA_UPDATE=1 writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{at, escape};

/// Lines, each with `<words>` for what differs, and what they mean.
struct Entry {
    section: String,
    lines: Vec<String>,
    meaning: String,
    to_do: Option<String>,
}

/// `= TITLE`, lines, and below them, indented, the paragraph; `Do:` begins the
/// advice.
fn entries(daemon: &str) -> Vec<Entry> {
    let text = std::fs::read_to_string(at(&format!("tests/messages/{daemon}.meanings"))).unwrap();
    let mut entries: Vec<Entry> = Vec::new();
    let (mut section, mut lines) = (String::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("= ") {
            title.clone_into(&mut section);
        } else if let Some(words) = line.strip_prefix("    ") {
            if !lines.is_empty() {
                let (section, lines) = (section.clone(), std::mem::take(&mut lines));
                entries.push(Entry { section, lines, meaning: String::new(), to_do: None });
            }
            let entry = entries.last_mut().expect("a line above");
            if let Some(advice) = words.strip_prefix("Do: ") {
                entry.to_do = Some(advice.to_owned());
            } else {
                if !entry.meaning.is_empty() {
                    entry.meaning.push(' ');
                }
                entry.meaning.push_str(words);
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    assert!(lines.is_empty(), "{daemon}: nothing is said about {lines:?}");
    entries
}

/// The fixed parts of a line; between two of them stands what differs.
fn fixed(line: &str) -> Vec<&str> {
    let mut parts = vec![];
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once('<') {
        parts.push(before);
        rest = behind.split_once('>').expect("a closed <").1;
    }
    parts.push(rest);
    parts
}

fn matches(line: &str, sample: &str) -> bool {
    let parts = fixed(line);
    let [first, middle @ .., last] = parts.as_slice() else { return sample == line };
    let Some(mut rest) = sample.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    middle.iter().all(|part| match rest.split_once(part) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// Severity and text of each sample.
fn samples(daemon: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(at(&format!("tests/messages/{daemon}.txt"))).unwrap();
    let sample = |line: &str| {
        let (severity, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        let text = text.strip_prefix("lvsd: ").unwrap_or(text);
        (severity.to_owned(), text.to_owned())
    };
    text.lines().map(sample).collect()
}

/// The severity of each line of the entries; panics with all that is wrong.
fn severities(daemon: &str, entries: &[Entry]) -> BTreeMap<String, String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = String::new();
    for (severity, sample) in samples(daemon) {
        let all = entries.iter().flat_map(|entry| &entry.lines).filter(|line| matches(line, &sample));
        // the one that says most of it
        let Some(line) = all.max_by_key(|line| fixed(line).concat().len()) else {
            let _ = writeln!(wrong, "{daemon}.meanings has no paragraph for: {sample}");
            continue;
        };
        let before = known.insert(line.clone(), severity.clone());
        if before.as_ref().is_some_and(|before| *before != severity) {
            let _ = writeln!(wrong, "two severities of one line: {sample}");
        }
    }
    for entry in entries {
        let mut serious = false;
        for line in &entry.lines {
            match known.get(line).map(String::as_str) {
                None => drop(writeln!(wrong, "{daemon}.meanings: no message is: {line}")),
                Some(severity) => serious |= severity == "error",
            }
        }
        if entry.meaning.is_empty() || (serious && entry.to_do.is_none()) {
            let _ = writeln!(wrong, "{daemon}.meanings does not say what to do: {}", entry.lines[0]);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    known
}

/// A line as the page has it: what differs in italics.
fn shown(line: &str) -> String {
    format!("\\fB{}\\fR", escape(line).replace('<', "\\fI").replace('>', "\\fB"))
}

const HEAD: &str = r#".\" Generated from tests/messages: see tests/process/manuals/log_reference.rs.
.TH PIRANHA\-NG\-LOG 7 "" "piranha-ng" "Miscellaneous"
.SH NAME
piranha\-ng\-log \- every line that pulse, lvsd and nanny can log
.SH DESCRIPTION
Lines go to syslog with the identifications
.BR pulse ", " lvsd " and " nanny
and the facility
.BR daemon ,
which
.B \-\-log\-facility
changes; most systems write them to
.IR /var/log/messages .
Texts that the original had are the original's. Their severities are ours:
.B error
is for what is given up or not served,
.B warning
for what goes on although somebody should look,
.B notice
for a change of role or health,
.B info
for a start, a stop or a reload and what follows from them;
.B debug
is said with
.B \-\-verbose
only. There is one line for each change of state: what goes on failing in the same way is said once.
"#;

fn page() -> String {
    let mut out = HEAD.to_owned();
    for daemon in ["pulse", "lvsd", "nanny"] {
        let entries = entries(daemon);
        let severities = severities(daemon, &entries);
        let _ = writeln!(out, ".SH {}", daemon.to_uppercase());
        let mut section = "";
        for entry in &entries {
            if entry.section != section {
                section = &entry.section;
                let _ = writeln!(out, ".SS {}", escape(section));
            }
            for (number, line) in entry.lines.iter().enumerate() {
                let severity = &severities[line];
                let _ = writeln!(out, "{}\n{} ({severity})", if number == 0 { ".TP" } else { ".TQ" }, shown(line));
            }
            let _ = writeln!(out, "{}", escape(&entry.meaning));
            if let Some(advice) = &entry.to_do {
                let _ = writeln!(out, ".br\n\\fITo do:\\fR {}", escape(advice));
            }
        }
    }
    out.push_str(
        ".SH SEE ALSO\n.BR piranha\\-ng (7),\n.BR pulse (8),\n.BR lvsd (8),\n.BR nanny (8),\n.BR lvs.cf (5)\n",
    );
    out
}

#[test]
fn every_line_of_every_daemon_has_its_paragraph() {
    let path = at("etc/piranha-ng-log.7");
    let page = page();
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "etc/piranha-ng-log.7 is older than tests/messages: PIRANHA_UPDATE=1 writes it anew");
}

#[test]
fn a_line_is_found_by_its_fixed_parts() {
    assert!(matches("starting <what> again <when>, all stays", "starting lvsd again at once, all stays"));
    assert!(!matches("starting <what> again <when>, all stays", "starting lvsd again at once"));
    assert!(!matches("IPVS: <why>; exiting", "IPVS: no right; trying again"));
    assert!(matches("already running", "already running"));
    assert!(!matches("already running", "already running as process 1"));
}
