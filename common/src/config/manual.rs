//! lvs.cf(5), from the table of keywords and the list of rules: `common/src/config/lvs.cf.5`
//! is what [`manual`] writes, and a test compares the two. In the macros of
//! man(7), which every man(1) reads.

use std::fmt::Write as _;

use super::diagnostic::DIAGNOSTICS_MAX;
use super::rules::CHAPTERS;
use super::table::{Keyword, Place, Scope, Since, keywords};

const HEAD: &str = r#".\" Generated from the table of keywords: see the section on lvs.cf(5) in common/src/config/manual.rs.
.TH LVS.CF 5 "" "piranha-ng" "File formats"
.SH NAME
lvs.cf \- configuration of the directors of a Linux virtual server
.SH DESCRIPTION
.B lvs.cf
says what
.BR pulse (8)
and
.BR lvsd (8)
are to do. It is the same file on both directors, usually
.IR /etc/sysconfig/ha/lvs.cf .
Every file that Piranha 0.8.6 accepts is accepted and means the same, unless it cannot be meant: a negative time, a port above 65535, an active virtual without an address.
.PP
A file whose name ends in
.I .toml
is TOML with the same keywords: see
.BR TOML .
.SH SYNTAX
A line is a statement, the beginning or the end of a block, a comment, or blank:
.PP
.EX
# the pair
primary = 192.0.2.1
keepalive = 0.5
virtual web {
     active = 1
     address = 192.0.2.9 eth0:1
     server one {
         address = 192.0.2.11
         active = 1
     }
}
.EE
.PP
Words are separated by blanks and tabs, also around = and before {. A text with blanks stands in double or single quotes. A # begins a comment where a line begins. Keywords are case sensitive. Of a keyword that is repeated the last one counts; repeated blocks are further ones, and their names are only labels.
.TP
.B Numbers
are decimal, hexadecimal (0x10) or, with a leading zero, octal (010 is 8).
.TP
.B Times
are seconds, or a number with a unit: 50ms, 3s, 2m, 1h, 1d. They may have decimals: 0.05. Where the kernel counts whole seconds they may not.
.TP
.B Addresses
are IPv4 or IPv6. Where a host may stand its name may too; it is resolved once, when the file is read.
.TP
.B Ports
are numbers or names of TCP services in
.BR services (5).
.SS Includes
.B include = PATTERN
stands for the statements of the files that the pattern names, in the order of their names; * and ? are wild in the last part of the path. A relative path is relative to the file that includes. It may stand outside of blocks and in them, and files may include files, 8 deep.
"#;

const CHECKS: &str = r#".SH CHECKS
Without
.B check
blocks real servers are checked by
.BR send ,
.B expect
and
.BR send_program ,
as ever. With them these say nothing, and the name of each block is what its check speaks:
.BR tcp ,
.BR udp ,
.BR tls ,
.BR http ,
.BR https ,
.BR grpc ,
.BR grpcs ,
.BR smtp ,
.BR dns
(over UDP for a UDP service, else over TCP),
.BR ping
or
.BR script .
A check without options may be written as a keyword:
.BR "check = tcp" .
.PP
.EX
virtual web {
     check https {
         host = www.example
         path = /health
         status = 200-299
         body = "alive"
     }
     check = ping
     server one {
         address = 192.0.2.11
         active = 1
         check http {
             port = 8080
         }
     }
}
.EE
.PP
All checks of a server begin at once and have one
.B timeout
together. All must be good, or as many as
.B checks_needed
says: 1 is any of them. A server with checks of its own has only these. In TOML they are
.B [[virtual.check]]
and
.BR [[virtual.server.check]] ,
or
.BR "check = [\(dqtcp\(dq, \(dqping\(dq]" .
What each does in detail is told in
.BR nanny (8).
"#;

const TOML: &str = r#".SH TOML
Keywords have the types of TOML: numbers, true and false, texts. Times that are no number of seconds, addresses and names are texts; an address with its device is one text. Blocks are arrays of tables with a
.BR name :
.PP
.EX
primary = "192.0.2.1"
keepalive = 0.5
[[virtual]]
name = "web"
active = true
address = "192.0.2.9 eth0:1"
[[virtual.server]]
name = "one"
address = "192.0.2.11"
active = true
.EE
.PP
The order of keywords has no meaning, and none is repeated. Real line ends in
.B send
and
.B expect
are the same as the escapes \er and \en.
"#;

const FINGERPRINT: &str = r#".SH FINGERPRINT
The meaning of a configuration is a number of 16 hexadecimal digits, by which directors see that their files have drifted apart. Comments, order, spelling, names of blocks and of devices, inactive blocks, defaults, and the keywords marked "each director may have its own" or "no effect" do not change it.
"#;

/// The whole manual page, in man(7).
pub fn manual() -> String {
    let mut out = HEAD.to_owned();
    let all = keywords();
    for (place, title) in [
        (Place::Global, "KEYWORDS OUTSIDE OF BLOCKS"),
        (Place::Virtual, "KEYWORDS IN A VIRTUAL OR FAILOVER BLOCK"),
        (Place::Server, "KEYWORDS IN A SERVER BLOCK"),
        (Place::Check, "KEYWORDS IN A CHECK BLOCK"),
    ] {
        let _ = writeln!(out, ".SH {title}");
        for keyword in all.iter().filter(|keyword| keyword.place == place) {
            self::keyword(keyword, &mut out);
        }
        let blocks = match place {
            Place::Global => {
                "A \\fBvirtual\\fR block is a virtual service, a \\fBfailover\\fR block a failover service; \\fBservice\\fR says which of the two are run."
            }
            Place::Virtual => {
                "A \\fBserver\\fR block is a real server, a \\fBcheck\\fR block a check of each of them; see \\fBCHECKS\\fR."
            }
            Place::Server => "A \\fBcheck\\fR block is a check of this server, instead of all those of the virtual.",
            Place::Check => continue,
        };
        let _ = writeln!(out, ".PP\n{blocks}");
    }
    out.push_str(CHECKS);
    out.push_str(TOML);
    out.push_str(FINGERPRINT);
    diagnostics(&mut out);
    out.push_str(".SH SEE ALSO\n.BR pulse (8),\n.BR lvsd (8),\n.BR nanny (8),\n.BR ipvsadm (8)\n");
    out
}

fn keyword(keyword: &Keyword, out: &mut String) {
    let Keyword { name, value, default, since, scope, doc, place: _ } = keyword;
    let _ = writeln!(out, ".TP\n\\fB{}\\fR = {}", escape(name), escape(value));
    let _ = write!(out, "{}", escape(doc));
    if !default.is_empty() {
        let _ = write!(out, " Default: {}.", escape(default));
    }
    out.push_str(match scope {
        Scope::Pair => "",
        Scope::Node => " Each director may have its own.",
        Scope::Nobody => " No effect.",
    });
    out.push_str(match since {
        Since::Piranha => "\n",
        Since::Ours => " Piranha does not know it.\n",
    });
}

fn diagnostics(out: &mut String) {
    let _ = writeln!(
        out,
        ".SH DIAGNOSTICS\nEverything that is wrong is said at once, up to {DIAGNOSTICS_MAX} lines, as\n\
         .IR \"FILE:LINE:COLUMN: SEVERITY: MESSAGE\" .\nAfter an error the file is not used: a daemon that runs keeps what it has. \
         A warning is about something that is read all the same. Each rule has a name that stays:"
    );
    for chapter in &CHAPTERS {
        let _ = writeln!(out, ".SS {}", chapter.title);
        for (id, text) in chapter.rules {
            let _ = writeln!(out, ".TP\n.B {}\n{}", escape(id), escape(text));
        }
    }
}

/// What roff would take for its own.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules;

    #[test]
    fn the_manual_page_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/lvs.cf.5");
        if std::env::var_os("PIRANHA_UPDATE").is_some() {
            std::fs::write(path, manual()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == manual(), "lvs.cf.5 is older than the table: PIRANHA_UPDATE=1 writes it anew");
    }

    #[test]
    fn every_keyword_and_every_rule_has_its_paragraph() {
        let page = manual();
        for keyword in keywords() {
            assert!(page.contains(&format!("\\fB{}\\fR = ", keyword.name)), "{}", keyword.name);
            assert!(keyword.doc.ends_with('.') && keyword.doc.len() > 15, "{}: {}", keyword.name, keyword.doc);
            assert!(!keyword.value.is_empty());
        }
        for id in rules::ids() {
            assert!(page.contains(&format!(".B {}\n", escape(id))), "{id}");
        }
    }
}
