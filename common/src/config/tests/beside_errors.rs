//! Errors and lints at once: what could be read is judged, what could not is not.

use super::*;

/// Nothing is to be said about it, and each rule has something to look at.
const QUIET: &str = "\
primary = 192.0.2.1
primary_private = 198.51.100.1
backup = 192.0.2.2
backup_private = 198.51.100.2
backup_active = 1
keepalive = 6
deadtime = 18
network = nat
nat_router = 198.51.100.9 eth1:1
nat_nmask = 255.255.255.255
service = lvs
virtual web {
 active = 1
 address = 192.0.2.9 eth0:1
 vip_nmask = 255.255.255.255
 port = 8080
 persistent = 60
 pmask = 255.255.255.0
 send = \"GET / HTTP/1.0\\r\\n\\r\\n\"
 expect = \"^HTTP/1\\.[01] \"
 use_regex = 1
 timeout = 6
 reentry = 15
 scheduler = wlc
 server a {
  address = 198.51.100.11
  active = 1
  weight = 1
 }
 server b {
  address = 198.51.100.12
  active = 1
  weight = 0
 }
}
virtual dns {
 active = 1
 address = 192.0.2.10 eth0:2
 vip_nmask = 255.255.255.255
 protocol = udp
 port = 53
 send_program = \"/usr/local/bin/good %h\"
 expect = OK
 fwmark = 7
 server a {
  address = 198.51.100.11
  active = 1
 }
}
virtual mail {
 active = 1
 address = 192.0.2.11 eth0:3
 vip_nmask = 255.255.255.255
 port = 25
 expect = \"220 \"
 watch = 1
 timeout = 6
 interval = 5
 reentry = 20
 rise = 5
 fall = 3
 retry = 0.5
 min_up = 1
 quorum = 2
 quorum_up = \"/usr/local/bin/page well\"
 max_connections = 200
 min_connections = 150
 sorry_server = 198.51.100.13
 sorry_port = 2525
 sorry_method = nat
 server a {
  address = 198.51.100.11
  active = 1
  port = 2525
  min_connections = 100
  max_connections = 120
 }
 server b {
  address = 198.51.100.12
  active = 1
  port = 2525
 }
}
virtual proxy {
 active = 1
 address = 192.0.2.12 eth0:4
 vip_nmask = 255.255.255.255
 port = 3128
 watch = 1
 check http {
  port = 3129
 }
 server a {
  address = 198.51.100.11
  active = 1
 }
}
";

fn said(text: &str) -> Vec<Diagnostic> {
    match read(text) {
        Ok(loaded) => loaded.warnings,
        Err(failed) => failed.diagnostics,
    }
}

#[test]
fn a_good_file_has_nothing_said_about_it() {
    assert_eq!(said(QUIET), []);
}

/// Whatever is wrong with whichever line, no rule judges by what it can only guess.
#[test]
fn no_rule_speaks_about_what_could_not_be_read() {
    let lines: Vec<&str> = QUIET.lines().collect();
    let mut damaged = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains('=')) {
        let (key, value) = line.split_once(" = ").unwrap();
        // nothing, no equal sign, a quote without end, nonsense, a misspelled keyword
        let [first, ..] = key.trim().as_bytes() else { panic!("{line}") };
        let slip = key.replacen(char::from(*first), "", 1);
        for bad in [
            format!("{key} ="),
            format!("{key} {value}"),
            format!("{key} = \"{value}"),
            format!("{key} = ( ) {value} ( )"),
            format!("{slip} = {value}"),
        ] {
            let text = [&lines[..at], &[&bad], &lines[at + 1..]].concat().join("\n");
            let said = said(&text);
            assert!(said.iter().any(|d| d.severity == Severity::Error), "{bad}");
            let warned: Vec<_> = said.iter().filter(|d| d.severity == Severity::Warning).collect();
            assert!(warned.is_empty(), "{bad}: {warned:?}");
            damaged += 1;
        }
    }
    assert!(damaged > 200, "{damaged}");
}

/// Beside an unknown keyword, wherever it stands, everything is said that is said
/// without it, about each of the files that show a rule.
#[test]
fn an_error_hides_no_warning_about_anything_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config/diagnostics");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if path.extension().is_none_or(|e| e != "cf") || text.contains(['\r', '\0', '\u{feff}']) {
            continue;
        }
        let Ok(loaded) = read(&text) else { continue };
        let ids = |list: &[Diagnostic]| -> Vec<&str> {
            list.iter().filter(|d| d.severity == Severity::Warning).map(|d| d.id).collect()
        };
        let lines: Vec<&str> = text.lines().collect();
        // above the rest, in it, and below it; not between a header and its brace
        for at in [0, lines.len() / 2, lines.len()] {
            if lines.get(at).is_some_and(|line| line.trim() == "{") {
                continue;
            }
            let text = [&lines[..at], &["zzz = 1"], &lines[at..]].concat().join("\n");
            let said = said(&text);
            assert!(said.iter().any(|d| d.message.contains("zzz")), "{}: {said:?}", path.display());
            assert_eq!(ids(&said), ids(&loaded.warnings), "{}:{at}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}
