//! Reading the configuration file for lvsd, at start and at a reload: what it
//! asks for, or the original's words and our diagnostics about why not.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use common::config::{self, Loaded, Outside, ServiceKind, Severity, Syntax};
use common::daemon::ExitStatus;

use crate::failover::wanted::{self as failover, Block};
use crate::messages::Message;
use crate::nanny_command::Manner;
use crate::wanted::Wanted;

/// Why the file cannot be used.
#[derive(Debug)]
pub struct Trouble {
    /// The lines that say so, in order.
    pub lines: Vec<Message>,
    /// What lvsd exits with when that happens at start.
    pub status: ExitStatus,
}

/// What a file asks for, and the lines that come with it: warnings, and what was
/// left out.
pub type Asked<T = Wanted> = Result<(T, Vec<Message>), Trouble>;

/// What was said of the file as it is, so that a reload says only what is new.
#[derive(Debug, Default)]
pub struct Notes(HashSet<String>);

impl Notes {
    /// Those lines that were not said of the reading before.
    pub fn news<'a>(&mut self, lines: &'a [Message]) -> impl Iterator<Item = &'a Message> {
        let before = std::mem::replace(&mut self.0, lines.iter().map(ToString::to_string).collect());
        lines.iter().filter(move |line| !before.contains(&line.to_string()))
    }
}

/// What the file is for; of a wrong one what most are for, it is said where it is
/// read.
pub fn service(path: &Path, outside: &dyn Outside) -> ServiceKind {
    load(path, outside).map_or(ServiceKind::Lvs, |loaded| loaded.config.service)
}

/// Reads a file for virtual services, with the names of hosts as `outside` knows
/// them.
///
/// # Errors
/// It cannot be read, or is wrong, or is for failover services.
pub fn read(path: &Path, outside: &dyn Outside, nanny: &Path, manner: &Manner) -> Asked {
    let loaded = load(path, outside)?;
    if loaded.config.service != ServiceKind::Lvs {
        return Err(other(path, "fos", "lvs"));
    }
    Ok(Wanted::new(&loaded.config, nanny, manner))
}

/// The same of a file for failover services.
///
/// # Errors
/// It cannot be read, or is wrong, or is for virtual services.
pub fn read_failover(path: &Path, outside: &dyn Outside, nanny: &Path, manner: &Manner) -> Asked<Vec<Block>> {
    let loaded = load(path, outside)?;
    if loaded.config.service != ServiceKind::Fos {
        return Err(other(path, "lvs", "fos"));
    }
    Ok(failover::wanted(&loaded.config, nanny, manner))
}

/// A reload cannot make one of the other.
fn other(path: &Path, is: &str, was: &str) -> Trouble {
    let path = path.display();
    let text = format!("{path}: service = {is} takes the place of service = {was} at a restart of pulse only");
    Trouble { lines: vec![Message::Diagnostic(text)], status: ExitStatus::Configuration }
}

fn load(path: &Path, outside: &dyn Outside) -> Result<Loaded, Trouble> {
    if let Err(e) = config::open(path) {
        let is_forbidden = e.kind() == io::ErrorKind::PermissionDenied;
        let status = if is_forbidden { ExitStatus::Permission } else { ExitStatus::Configuration };
        let file = path.display().to_string();
        let reason = Message::Diagnostic(format!("{file}: {e}"));
        return Err(Trouble { lines: vec![Message::CannotOpen { file }, reason], status });
    }
    config::load_with(path, Syntax::of(path), outside)
        .map_err(|failed| Trouble { lines: words(path, &failed), status: ExitStatus::Configuration })
}

/// The original's line, with the line of the first error, and all of them. What
/// there is to warn of in such a file is `--check`'s to say.
fn words(path: &Path, failed: &config::Failed) -> Vec<Message> {
    let line = failed.first().map_or(0, |diagnostic| diagnostic.line);
    let first = Message::ParseError { file: path.display().to_string(), line };
    let errors = failed.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    std::iter::once(first).chain(errors.map(|error| Message::Diagnostic(error.to_string()))).collect()
}

#[cfg(test)]
mod tests;
