//! Reading the configuration file for lvsd, at start and at a reload: what it
//! asks for, or the original's words and our diagnostics about why not.

use std::io;
use std::path::Path;

use common::config::{self, Outside, ServiceKind, Severity, Syntax};
use common::daemon::ExitStatus;

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

/// Why a file for failover services is refused.
pub(crate) const NOT_LVS: &str = "service = fos is not supported, only service = lvs";

/// What a file asks for, and the lines that come with it: warnings, and what was
/// left out.
pub type Asked = Result<(Wanted, Vec<Message>), Trouble>;

/// Reads the file, with the names of hosts as `outside` knows them.
///
/// # Errors
/// It cannot be read, or is wrong, or is for another kind of service.
pub fn read(path: &Path, outside: &dyn Outside, nanny: &Path, manner: &Manner) -> Asked {
    if let Err(e) = config::open(path) {
        let is_forbidden = e.kind() == io::ErrorKind::PermissionDenied;
        let status = if is_forbidden { ExitStatus::Permission } else { ExitStatus::Configuration };
        let file = path.display().to_string();
        let reason = Message::Diagnostic(format!("{file}: {e}"));
        return Err(Trouble { lines: vec![Message::CannotOpen { file }, reason], status });
    }
    let loaded = config::load_with(path, Syntax::of(path), outside)
        .map_err(|failed| Trouble { lines: words(path, &failed), status: ExitStatus::Configuration })?;
    if loaded.config.service != ServiceKind::Lvs {
        let text = format!("{}: {NOT_LVS}", path.display());
        return Err(Trouble { lines: vec![Message::Diagnostic(text)], status: ExitStatus::Configuration });
    }
    Ok(Wanted::new(&loaded.config, nanny, manner))
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
