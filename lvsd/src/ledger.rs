//! Which services an lvsd made, kept in a file, so that one that left the
//! configuration while no lvsd ran is removed by the next, and one that somebody
//! else made never is.
//!
//! A line per service: its key as the log shows it, a tab, its name in the file.
//! The file is replaced in one step, before the kernel is asked to add a service
//! and after it deleted one: after a crash in between it names too much, and a
//! service that is not there is nothing to delete.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use common::ipvs::{Family, Protocol, ServiceKey};

/// The largest file that is read, in bytes: a hundred thousand services.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// The services, by key, with their names.
pub type Ledger = BTreeMap<ServiceKey, String>;

/// The file's text.
pub fn print(ledger: &Ledger) -> String {
    let mut text = String::new();
    for (key, name) in ledger {
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{key}\t{name}");
    }
    text
}

/// Reads the file's text; the number says how many lines are none.
pub fn parse(text: &str) -> (Ledger, usize) {
    let mut ledger = Ledger::new();
    let mut bad = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.split_once('\t').and_then(|(key, name)| Some((parse_key(key)?, name))) {
            Some((key, name)) => {
                ledger.insert(key, name.to_owned());
            }
            None => bad += 1,
        }
    }
    (ledger, bad)
}

/// The inverse of `ServiceKey`'s `Display`.
fn parse_key(text: &str) -> Option<ServiceKey> {
    let (word, rest) = text.split_once(' ')?;
    let protocol = match word {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "mark" => {
            let (family, number) = match rest.strip_suffix(" (IPv6)") {
                Some(number) => (Family::V6, number),
                None => (Family::V4, rest),
            };
            let mark = number.parse().ok().filter(|mark| *mark != 0)?;
            return Some(ServiceKey::Mark { family, mark });
        }
        _ => return None,
    };
    let socket: SocketAddr = rest.parse().ok()?;
    Some(ServiceKey::Address { protocol, address: socket.ip(), port: socket.port() })
}

/// The file.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
}

impl LedgerFile {
    /// The one at this path; nothing is opened yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// What a predecessor wrote, and how many lines are none; empty if there is
    /// no file.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self) -> io::Result<(Ledger, usize)> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(FILE_MAX).read_to_end(&mut bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Ledger::new(), 0)),
            Err(e) => return Err(e),
        };
        Ok(parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Replaces the file. It lives in memory (/run) and so is not synced.
    ///
    /// # Errors
    /// The system's; the old file stands.
    pub fn write(&self, ledger: &Ledger) -> io::Result<()> {
        let new = self.path.with_extension("new");
        File::create(&new)?.write_all(print(ledger).as_bytes())?;
        std::fs::rename(&new, &self.path)
    }

    /// Removes the file; done at an orderly end.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
