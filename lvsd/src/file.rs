//! Reading the configuration file for lvsd, at start and at a reload: what it
//! asks for, or the original's words and our diagnostics about why not.

use std::io;
use std::path::Path;

use common::config::{self, ServiceKind};
use common::daemon::{self, ExitStatus};
use common::names::Names;

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
pub type Asked = Result<(Wanted, Vec<Message>), Trouble>;

/// Reads the file for a start: waits for the addresses of its host names.
///
/// # Errors
/// It cannot be read, or is wrong, or is for another kind of service.
pub fn read(path: &Path, names: &mut Names, nanny: &Path, manner: &Manner) -> Asked {
    readable(path)?;
    match names.load_waiting(path, &daemon::sibling("lvsd")) {
        Ok((loaded, stale)) => {
            let (wanted, mut lines) = understand(path, &loaded, nanny, manner)?;
            lines.extend(Message::stale(stale));
            Ok((wanted, lines))
        }
        Err(failed) => Err(wrong(path, &failed)),
    }
}

/// The same for a reload: with the addresses that are known, at once. If
/// [`Names::asked`] has names then, their answers may make it another.
///
/// # Errors
/// As there.
pub fn read_at_once(path: &Path, names: &Names, nanny: &Path, manner: &Manner) -> Asked {
    readable(path)?;
    let loaded = names.load(path).map_err(|failed| wrong(path, &failed))?;
    understand(path, &loaded, nanny, manner)
}

fn readable(path: &Path) -> Result<(), Trouble> {
    if let Err(e) = std::fs::File::open(path) {
        let is_forbidden = e.kind() == io::ErrorKind::PermissionDenied;
        let status = if is_forbidden { ExitStatus::Permission } else { ExitStatus::Configuration };
        let file = path.display().to_string();
        let reason = Message::Diagnostic(format!("{file}: {e}"));
        return Err(Trouble { lines: vec![Message::CannotOpen { file }, reason], status });
    }
    Ok(())
}

fn wrong(path: &Path, failed: &config::Failed) -> Trouble {
    Trouble { lines: words(path, failed), status: ExitStatus::Configuration }
}

fn understand(path: &Path, loaded: &config::Loaded, nanny: &Path, manner: &Manner) -> Asked {
    if loaded.config.service != ServiceKind::Lvs {
        let text = format!("{}: service = fos is not supported, only service = lvs", path.display());
        return Err(Trouble { lines: vec![Message::Diagnostic(text)], status: ExitStatus::Configuration });
    }
    Ok(Wanted::new(&loaded.config, nanny, manner))
}

/// The original's line, with the line of the first error, and all of them.
fn words(path: &Path, failed: &config::Failed) -> Vec<Message> {
    let line = failed.first().map_or(0, |diagnostic| diagnostic.line);
    let first = Message::ParseError { file: path.display().to_string(), line };
    let all = failed.diagnostics.iter().map(|diagnostic| Message::Diagnostic(diagnostic.to_string()));
    std::iter::once(first).chain(all).collect()
}

#[cfg(test)]
mod tests;
