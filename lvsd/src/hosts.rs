//! The addresses that the host names of the configuration had last. They are looked
//! up beside the loop ([`common::names`]); a name that has no answer goes on with
//! the address it had, which is kept in a file, so that neither a reload nor an lvsd
//! that starts again depends on a name server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use common::config::Outside;
use common::names::Known;
use common::state;

/// How long a reload waits for answers when it can do without: a name server that is
/// not dead answers in less, and longer an operator wonders.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The largest file that is read, in bytes: a hundred thousand names.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Addresses by name; the rest of the world is the real one.
#[derive(Debug)]
pub struct Hosts {
    addresses: BTreeMap<String, IpAddr>,
    file: PathBuf,
}

impl Hosts {
    /// As they are in this file; none if it is not there.
    pub fn new(file: PathBuf) -> Self {
        // What cannot be read is not known.
        let bytes = state::read(&file, FILE_MAX).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let line = |line: &str| {
            let (name, address) = line.split_once(' ')?;
            Some((name.to_owned(), address.parse().ok()?))
        };
        Self { addresses: text.lines().filter_map(line).collect(), file }
    }

    /// Whether all of these have an address.
    pub fn know(&self, names: &BTreeSet<String>) -> bool {
        names.iter().all(|name| self.addresses.contains_key(name))
    }

    /// Takes the answers for the names that the file has now, and forgets all others.
    /// Those that had none and keep the address they had.
    pub fn learn(&mut self, names: &BTreeSet<String>, answers: &Known) -> Vec<String> {
        let before = std::mem::take(&mut self.addresses);
        let mut stale = Vec::new();
        for name in names {
            let answer = answers.host(name);
            if answer.is_none() && before.contains_key(name) {
                stale.push(name.clone());
            }
            if let Some(address) = answer.or_else(|| before.get(name).copied()) {
                self.addresses.insert(name.clone(), address);
            }
        }
        stale
    }

    /// Writes the file. Without names there is none.
    ///
    /// # Errors
    /// The system's; the old file stands.
    pub fn keep(&self) -> io::Result<()> {
        if self.addresses.is_empty() {
            return state::remove(&self.file);
        }
        let mut text = String::new();
        for (name, address) in &self.addresses {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name} {address}");
        }
        state::replace(&self.file, text)
    }
}

impl Outside for Hosts {
    fn host(&self, name: &str) -> Option<IpAddr> {
        self.addresses.get(name).copied()
    }
}

#[cfg(test)]
mod tests;
