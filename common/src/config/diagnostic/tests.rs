use super::*;

fn one() -> Diagnostic {
    Diagnostic {
        id: "unknown-keyword",
        severity: Severity::Error,
        file: "lvs.cf".into(),
        line: 12,
        column: 6,
        width: 8,
        source: "     keepalve = \"6\"".into(),
        message: "unknown command \"keepalve\"".into(),
        help: "did you mean \"keepalive\"?".into(),
    }
}

#[test]
fn a_diagnostic_is_one_line_for_grep() {
    assert_eq!(one().to_string(), "lvs.cf:12:6: error: unknown command \"keepalve\"");
    let file = Diagnostic::of_file("unreadable", Severity::Error, "x.cf", "no such file".into());
    assert_eq!(file.to_string(), "x.cf: error: no such file");
}

#[test]
fn a_rendered_diagnostic_shows_the_line_the_caret_and_what_to_do() {
    let expected = "\
lvs.cf:12:6: error: unknown command \"keepalve\" [unknown-keyword]
 12 |      keepalve = \"6\"
    |      ^^^^^^^^
    = did you mean \"keepalive\"?
";
    assert_eq!(one().render(false), expected);
    let coloured = one().render(true);
    assert!(coloured.contains("\x1b[1;31merror:"), "{coloured}");
    let plain = regexless_strip(&coloured);
    assert_eq!(plain, expected);
}

/// The text without its ANSI colour sequences.
fn regexless_strip(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push_str(part.split_once('m').unwrap().1);
    }
    out
}

#[test]
fn a_long_line_is_shown_around_its_caret() {
    let mut d = one();
    d.source = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
    (d.column, d.width) = (501, 4);
    let text = d.render(false);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].len() < 130, "{text}");
    assert_eq!(lines[1].find("HERE"), lines[2].find("^^^^"));
}

#[test]
fn json_escapes_what_it_must() {
    let mut d = one();
    d.source = "a\t\"b\"\\".into();
    let text = json(&[d]);
    assert!(text.contains(r#""source": "a\u0009\"b\"\\""#), "{text}");
    assert!(
        text.starts_with(
            "[\n  {\"id\": \"unknown-keyword\", \"severity\": \"error\", \"file\": \"lvs.cf\", \"line\": 12"
        )
    );
    assert_eq!(json(&[]), "[]\n");
}

#[test]
fn too_many_problems_are_counted_and_an_error_is_never_lost_to_warnings() {
    let mut report = Report::default();
    let warning = Diagnostic { severity: Severity::Warning, ..one() };
    for _ in 0..DIAGNOSTICS_MAX + 5 {
        report.add(warning.clone());
    }
    assert!(!report.has_errors());
    report.add(one());
    assert!(report.has_errors());
    let list = report.finish();
    assert_eq!(list.len(), DIAGNOSTICS_MAX + 1);
    assert_eq!(list.iter().filter(|d| d.id == "unknown-keyword" && d.severity == Severity::Error).count(), 1);
    assert_eq!(list.last().unwrap().to_string(), "lvs.cf: error: 6 more problems are not shown");
}
