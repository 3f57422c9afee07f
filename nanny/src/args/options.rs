//! nanny's options as a table, the reading of a command line by it, and its help.
//! What the values mean is [`super`]'s.
//!
//! Read with clap's lexer alone: clap's own parser leaves 70 KiB of stack and heap
//! behind that a process never gives back, and there is a process per real server.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

use clap_lex::RawArgs;

/// One option.
#[derive(Debug)]
pub struct Row {
    /// `-x`.
    pub short: Option<char>,
    /// `--long`, the name in this program.
    pub long: &'static str,
    /// Other long forms: those of the original's manual page.
    pub also: &'static [&'static str],
    /// The name of its value, if it takes one.
    pub value: Option<&'static str>,
    /// What `--help` says.
    pub help: &'static str,
}

const fn takes(short: char, long: &'static str, value: &'static str, help: &'static str) -> Row {
    Row { short: Some(short), long, also: &[], value: Some(value), help }
}

const fn long_takes(long: &'static str, value: &'static str, help: &'static str) -> Row {
    Row { short: None, long, also: &[], value: Some(value), help }
}

const fn flag(short: char, long: &'static str, help: &'static str) -> Row {
    Row { short: Some(short), long, also: &[], value: None, help }
}

const fn long_flag(long: &'static str, help: &'static str) -> Row {
    Row { short: None, long, also: &[], value: None, help }
}

impl Row {
    const fn or(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
}

/// All options, in the order of `--help`.
pub static ROWS: [Row; 44] = [
    takes('t', "interval", "TIME", "give a check this long, and make one this often [default: 10]"),
    long_takes("period", "TIME", "make a check this often [default: that of --interval]"),
    long_takes("retry", "TIME", "after a failed check below --fall make the next so soon [default: 1]"),
    long_takes("fall", "N", "so many failed checks in a row take a server out [default: 1]"),
    long_takes("rise", "N", "so many good checks in a row bring it back, --reentrytime too [default: 1]"),
    takes('a', "reentrytime", "TIME", "checks must be good so long before a failed server returns [default: 180]"),
    long_takes("slow-start", "TIME", "a server that returns gets its full weight after this [default: 100]"),
    long_takes("dampen", "TIME", "falling within this time doubles what it takes to return [default: 0]"),
    takes('h', "server", "ADDRESS", "the real server's address (required)"),
    takes('p', "port", "PORT", "the virtual service's port [default: 80]"),
    takes('r', "rport", "PORT", "the real server's port, where checks go [default: that of --port]"),
    takes('V', "virtaddress", "ADDRESS", "the virtual service's address"),
    takes('f', "fwmark", "MARK", "the virtual service's firewall mark, instead of its address and port"),
    takes('M', "method", "m|g|i", "forwarding: m masquerading, g direct routing, i tunnelling [default: m]"),
    takes('w', "weight", "WEIGHT", "the destination's weight, 0 to 65535 [default: 1]"),
    takes('S', "scale", "N", "a server without load gets at most N times its weight [default: 10]"),
    takes('U', "loadcmd", "WORD", "ask this program for the server's load, and weigh by it; none: do not"),
    takes('s', "send_string", "TEXT", "send this after connecting").or(&["send_str"]),
    takes('x', "expect_string", "TEXT", "the answer must begin with this; *: any byte").or(&["expect_str"]),
    takes('e', "send_program", "COMMAND", "run this instead of connecting; its output must be the expected text"),
    long_takes("check", "KIND", "tcp, udp, tls, http, https, grpc, grpcs, smtp, dns, ping or script; may be repeated"),
    long_takes("with", "NAME=VALUE", "an option of the --check before it"),
    long_takes("checks-needed", "N", "so many of the checks must be good [default: all]"),
    long_flag("regex", "the expected text is a regular expression"),
    flag('T', "suppress", "leave backslashes in the texts as they are"),
    flag('q', "quiesce_server", "give a failed server weight 0 instead of removing it").or(&["quiesce-server"]),
    long_flag("inhibit", "as -q, and one that never was well gets weight 0 instead of being left out"),
    long_takes("max-connections", "N", "no new connections beyond this; 0: as many as come"),
    long_takes("min-connections", "N", "after that, new ones again below this"),
    long_flag("watch", "hold an idle connection whose end means \"check now\" [default: to web servers]"),
    long_flag("no-watch", "hold none"),
    flag('u', "udp", "a UDP service").or(&["UDP"]),
    long_flag("sctp", "an SCTP service"),
    takes('I', "ipvsadm", "PATH", "accepted and ignored: no ipvsadm is run"),
    flag('c', "nofork", "stay a child of the caller, log to syslog"),
    flag('n', "nodaemon", "stay in the foreground, log to stdout and syslog"),
    long_flag("norun", "check and log, but do not touch IPVS (also --test-start)").or(&["test-start"]),
    long_flag("lvs", "serve an LVS virtual service (this or --fos is required)"),
    long_takes("shared", "N", "keep destinations in several services, as lvsd tells on its line"),
    long_flag("fos", "watch a failover service and tell lvsd; there is no destination"),
    flag('v', "verbose", "log every check"),
    long_takes("log-facility", "NAME", "syslog facility: daemon, local0, ... [default: daemon]"),
    long_flag("version", "print the version and exit"),
    flag('?', "help", "print this and exit").or(&["usage"]),
];

const ABOUT: &str = "\
Usage: nanny --lvs -h ADDRESS {-V ADDRESS [-p PORT] | -f MARK} [OPTION...]
       nanny --lvs --shared N -h ADDRESS [-p PORT] [OPTION...]
       nanny --fos -h ADDRESS [-p PORT] [OPTION...]

Watches one real server of an IPVS virtual service: adds its destination to the
kernel when it answers, removes it when it does not. Started by lvsd, one per
real server and service, or with --shared one for a server's destinations in
several services that are checked alike. With --fos it watches a failover service and leaves IPVS alone.
";

const AFTER: &str = "
TIME is seconds, or a number with ms, s or m: 10, 0.5, 500ms.
Signals: TERM and INT remove the destination and end; USR1 takes the server out
and USR2 puts it in, without checks, until HUP.
Exit codes: 0 asked to stop; 64 usage; 70 bug; 71 the system refused, or another
nanny watches this real server for this service, or the destination could not be
removed at the end; 77 no right to change IPVS. Under lvsd, and without IPVS,
nanny waits instead.
";

/// What `--help` prints.
pub fn help() -> String {
    let mut text = String::from(ABOUT);
    text.push('\n');
    for row in &ROWS {
        let short = row.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = row.value.map(|value| format!(" {value}")).unwrap_or_default();
        let option = format!("{short}--{}{value}", row.long);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {option:<29} {}", row.help);
    }
    text + AFTER
}

/// An option as given.
#[derive(Debug)]
pub struct Word {
    /// Which.
    pub row: &'static Row,
    /// How it was spelled, for complaints.
    pub typed: String,
    /// Its value; empty for those without.
    pub value: OsString,
}

/// What was given, in order.
#[derive(Debug)]
pub struct Words(Vec<Word>);

impl Words {
    /// Reads a command line.
    ///
    /// # Errors
    /// It is wrong, in the original's words.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let raw = RawArgs::new(arguments);
        let mut cursor = raw.cursor();
        let mut words = Vec::new();
        while let Some(argument) = raw.next(&mut cursor) {
            let mut take = |typed: &str, row: &'static Row, attached: Option<&OsStr>| {
                let value = match (row.value, attached) {
                    (None, None) => OsString::new(),
                    (None, Some(_)) => return Err(format!("bad argument {typed}: option does not take a value")),
                    (Some(_), Some(value)) => value.to_owned(),
                    // Whatever it is, as popt: a text may begin with a dash.
                    (Some(_), None) => match raw.next_os(&mut cursor) {
                        Some(value) => value.to_owned(),
                        None => return Err(format!("bad argument {typed}: missing argument")),
                    },
                };
                words.push(Word { row, typed: typed.to_owned(), value });
                Ok(())
            };
            if argument.is_escape() || argument.is_stdio() {
                return Err("unexpected arguments".into());
            } else if let Some((long, attached)) = argument.to_long() {
                let typed = format!("--{}", long.map_or_else(OsStr::to_string_lossy, Into::into));
                let name = typed.trim_start_matches("--");
                let row = ROWS.iter().find(|row| row.long == name || row.also.contains(&name));
                take(&typed, row.ok_or_else(|| unknown(&typed))?, attached)?;
            } else if let Some(mut shorts) = argument.to_short() {
                while let Some(short) = shorts.next_flag() {
                    let typed = short.map_or_else(|rest| format!("-{}", rest.display()), |short| format!("-{short}"));
                    let row = ROWS.iter().find(|row| short.is_ok_and(|short| row.short == Some(short)));
                    let row = row.ok_or_else(|| unknown(&typed))?;
                    let attached = row.value.and_then(|_| shorts.next_value_os());
                    take(&typed, row, attached)?;
                }
            } else {
                return Err("unexpected arguments".into());
            }
        }
        Ok(Self(words))
    }

    /// The option of this long name, as last given.
    pub fn last(&self, long: &str) -> Option<&Word> {
        self.0.iter().rev().find(|word| word.row.long == long)
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Word> {
        self.0.iter()
    }

    /// Whether it was given.
    pub fn has(&self, long: &str) -> bool {
        self.last(long).is_some()
    }
}

fn unknown(typed: &str) -> String {
    format!("bad argument {typed}: unknown option")
}
