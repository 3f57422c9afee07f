//! A configuration file looked at without running it: `--check`, `--dump` and
//! `--convert`. What is to be printed and how the program is to exit come out.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::path::Path;
use std::time::Instant;

use crate::config::{
    self, Config, Diagnostic, Failed, Fingerprint, Loaded, Machine, Outside, Patient, ServiceKind, Severity, Syntax,
    json_text,
};
use crate::daemon::ExitStatus;
use crate::names::{self, Known, Lookup};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// For the standard output.
    pub out: String,
    /// For the standard error.
    pub err: String,
    /// How the program is to exit: [`ExitStatus::Stopped`] if the file is good,
    /// warnings or not.
    pub status: ExitStatus,
}

impl Inspection {
    /// Prints it for this program, and says how that is to exit: half an answer on a
    /// full disk is no success.
    pub fn print(&self, program: &str) -> ExitStatus {
        // Nobody could be told.
        let _ = io::stderr().write_all(self.err.as_bytes());
        let mut stdout = io::stdout().lock();
        match stdout.write_all(self.out.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader that has seen enough is the reader's affair.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                let _ = writeln!(io::stderr(), "{program}: cannot write: {e}");
                ExitStatus::System
            }
            Ok(()) | Err(_) => self.status,
        }
    }
}

/// How the result of a check is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: each problem with its line, a caret and what to do, and a last
    /// line that sums up.
    Text {
        /// With ANSI sequences, see [`coloured`].
        colour: bool,
    },
    /// For programs: one JSON object with `file`, `good`, `errors`, `warnings`
    /// (counts), `fingerprint` (null if the file is not good), `refusal` (null, or
    /// why this daemon would not start with it) and `diagnostics`, see [`config::json`].
    Json,
}

/// A file that is to be looked at.
pub struct Inspector<'a> {
    /// The file; `-` is the standard input.
    pub path: &'a Path,
    /// How it is written.
    pub syntax: Syntax,
    /// Where it and what it includes are read from.
    pub outside: &'a dyn Outside,
    /// How the hosts that it names are looked up: somebody waits, but not for ever.
    pub look_up: fn(&BTreeSet<String>) -> Known,
    /// How the machine is looked at.
    pub observe: fn(&Config) -> Machine,
}

impl<'a> Inspector<'a> {
    /// Looks at a file of this machine. It is TOML if its name says so, or if the
    /// user does.
    pub fn new(path: &'a Path, toml: bool) -> Self {
        let syntax = if toml { Syntax::Toml } else { Syntax::of(path) };
        Self { path, syntax, outside: &Patient, look_up, observe: Machine::observe }
    }

    /// `--check`: everything there is to say about it. `refusal` is why this daemon
    /// would not start with a file that is good as such.
    pub fn check(&self, format: Format, refusal: impl FnOnce(&Config) -> Option<String>) -> Inspection {
        let read = self.with_names(|outside| config::examine(self.path, self.syntax, outside, self.observe));
        let (verdict, status) = match read {
            Ok(loaded) => {
                let refusal = refusal(&loaded.config);
                let status = if refusal.is_some() { ExitStatus::Configuration } else { ExitStatus::Stopped };
                (Verdict::of(loaded, refusal), status)
            }
            Err(failed) => {
                let status = self.status(&failed);
                (Verdict { size: None, diagnostics: failed.diagnostics, refusal: None }, status)
            }
        };
        let out = match format {
            Format::Text { colour } => verdict.text(&self.name(), colour),
            Format::Json => verdict.json(&self.name()),
        };
        Inspection { out, err: String::new(), status }
    }

    /// `--dump`: what it means, every default included and every name resolved, in
    /// its own syntax. `colour` is for the problems of a bad file.
    pub fn dump(&self, colour: bool) -> Inspection {
        let read = self.with_names(|outside| config::load_with(self.path, self.syntax, outside));
        self.printed(read.map(|loaded| config::dump(&loaded.config, self.syntax)), colour)
    }

    /// `--convert`: lvs.cf as TOML, TOML as lvs.cf, with their comments. `colour`
    /// is for the problems of a bad file.
    pub fn convert(&self, colour: bool) -> Inspection {
        let to = match self.syntax {
            Syntax::LvsCf => Syntax::Toml,
            Syntax::Toml => Syntax::LvsCf,
        };
        self.printed(self.with_names(|outside| config::convert(self.path, self.syntax, to, outside)), colour)
    }

    fn with_names<T>(&self, judge: impl Fn(&dyn Outside) -> T) -> T {
        names::with_names(self.outside, self.look_up, judge)
    }

    fn printed(&self, text: Result<String, Failed>, colour: bool) -> Inspection {
        match text {
            Ok(out) => Inspection { out, err: String::new(), status: ExitStatus::Stopped },
            Err(failed) => {
                let status = self.status(&failed);
                let verdict = Verdict { size: None, diagnostics: failed.diagnostics, refusal: None };
                Inspection { out: String::new(), err: verdict.text(&self.name(), colour), status }
            }
        }
    }

    /// Why it could not be read: a missing right is not the file's fault.
    fn status(&self, failed: &Failed) -> ExitStatus {
        let is_unread = failed.first().is_some_and(|first| first.id == "unreadable");
        match config::open(self.path) {
            Err(e) if is_unread && e.kind() == ErrorKind::PermissionDenied => ExitStatus::Permission,
            Ok(_) | Err(_) => ExitStatus::Configuration,
        }
    }

    /// As the diagnostics name it.
    fn name(&self) -> String {
        if self.path == Path::new("-") { "<stdin>".to_owned() } else { self.path.display().to_string() }
    }
}

/// Asks this very program, as the daemon that it will be does. Names that have no
/// address when the time is over have none.
fn look_up(names: &BTreeSet<String>) -> Known {
    let program = std::env::current_exe();
    let lookup = program.and_then(|program| Lookup::start(&program, names, Instant::now()));
    lookup.map(|lookup| lookup.wait(|| ())).unwrap_or_default()
}

/// What is said about a file.
struct Verdict {
    /// Of a file without errors.
    size: Option<Size>,
    diagnostics: Vec<Diagnostic>,
    refusal: Option<String>,
}

/// What a good file asks for; only what is active counts.
struct Size {
    /// The services of the kind that is run, in words.
    services: String,
    fingerprint: Fingerprint,
}

impl Verdict {
    fn of(Loaded { config, warnings: diagnostics }: Loaded, refusal: Option<String>) -> Self {
        let active = || config.running();
        let servers = active().flat_map(|service| &service.servers).filter(|server| server.active);
        let services = match config.service {
            ServiceKind::Lvs => {
                format!("{}, {}", many(active().count(), "virtual service"), many(servers.count(), "real server"))
            }
            ServiceKind::Fos => many(active().count(), "failover service"),
        };
        let size = Size { services, fingerprint: config::fingerprint(&config) };
        Self { size: Some(size), diagnostics, refusal }
    }

    /// How many of them are shown.
    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == severity && d.id != "more").count()
    }

    fn is_good(&self) -> bool {
        self.size.is_some() && self.refusal.is_none()
    }

    fn text(&self, name: &str, colour: bool) -> String {
        let paint = |code: &'static str| if colour { code } else { "" };
        let (bold, off) = (paint("\x1b[1m"), paint("\x1b[0m"));
        let mut out: String = self.diagnostics.iter().map(|diagnostic| diagnostic.render(colour)).collect();
        if let Some(refusal) = &self.refusal {
            let hue = paint("\x1b[1;31m");
            let _ = writeln!(out, "{bold}{name}:{off} {hue}error:{off} {refusal}");
        }
        let errors = self.count(Severity::Error) + usize::from(self.refusal.is_some());
        let (errors, warnings) = (many(errors, "error"), many(self.count(Severity::Warning), "warning"));
        // past that many the last diagnostic says how many more there are
        let least = if self.diagnostics.iter().any(|d| d.id == "more") { "at least " } else { "" };
        let _ = match &self.size {
            Some(Size { services, fingerprint }) if self.is_good() => {
                let hue = paint("\x1b[1;32m");
                writeln!(
                    out,
                    "{bold}{name}:{off} {hue}good:{off} {services}, {least}{warnings}, fingerprint {fingerprint}"
                )
            }
            Some(_) | None => {
                let hue = paint("\x1b[1;31m");
                writeln!(out, "{bold}{name}:{off} {hue}bad:{off} {least}{errors}, {warnings}")
            }
        };
        out
    }

    fn json(&self, name: &str) -> String {
        let text_or_null = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), json_text);
        let fingerprint = self.size.as_ref().filter(|_| self.is_good()).map(|size| size.fingerprint.to_string());
        format!(
            "{{\n\"file\": {},\n\"good\": {},\n\"errors\": {},\n\"warnings\": {},\n\"fingerprint\": {},\n\
             \"refusal\": {},\n\"diagnostics\": {}}}\n",
            json_text(name),
            self.is_good(),
            self.count(Severity::Error),
            self.count(Severity::Warning),
            text_or_null(fingerprint.as_deref()),
            text_or_null(self.refusal.as_deref()),
            config::json(&self.diagnostics),
        )
    }
}

/// `1 error`, `2 errors`.
fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Which file is meant, of the three places where one can be named: behind the
/// option that looks at it, alone, or behind -c, which has a default.
///
/// # Errors
/// Two different ones; the words say so.
pub fn file<'a>(
    named: Option<&'a Path>,
    alone: Option<&'a Path>,
    (configfile, default): (&'a Path, &Path),
) -> Result<&'a Path, String> {
    let configured = (configfile != default).then_some(configfile);
    let mut all = [named, alone, configured].into_iter().flatten();
    let first = all.next().unwrap_or(configfile);
    match all.find(|other| *other != first) {
        Some(other) => Err(format!("two files are named, {} and {}", first.display(), other.display())),
        None => Ok(first),
    }
}

/// Whether what is written to a stream may have colours: it is a terminal that has
/// some, and its user did not ask for none (no-color.org).
pub fn coloured(stream: &impl IsTerminal) -> bool {
    let variable = std::env::var_os;
    stream.is_terminal() && wants_colour(variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
}

fn wants_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests;
