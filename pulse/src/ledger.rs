//! The ledger: exactly which addresses pulse added, in a file that outlives a
//! killed pulse, so that the next one takes them for its own, and at the end
//! removes these and no others.
//!
//! An address is written here *before* it is added. A crash in between leaves an
//! entry without an address, which harms nobody; the other order would leave an
//! address that no one ever removes. The file is replaced in one step and ends
//! with a word that a torn one lacks. It belongs to one boot: where /run is on a
//! disk (RHEL 6) it would else claim addresses that somebody configured since. So it
//! need not survive a power failure either, and no takeover waits for a disk.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use common::state;

/// An address pulse added.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length, 0 to 128.
    pub prefix: u8,
    /// The device it is on.
    pub device: String,
}

/// What a ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whether this director was active: active_cmd has been run, or is about to be
    /// now that addresses are added, and inactive_cmd has not.
    pub active: bool,
    /// Whether the addresses are on loan ([`crate::lease`]), for a partner's sake.
    pub lent: bool,
    /// The addresses pulse added.
    pub entries: BTreeSet<Entry>,
    /// The virtual IPs for which late packets are served ([`crate::linger`]).
    pub late: BTreeSet<IpAddr>,
}

/// Why a file is no ledger. It is then ignored: what is on the interfaces counts
/// as foreign and is never removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Another program's file, or a newer version's.
    #[error("it does not begin with \"{HEAD}\"")]
    Head,
    /// It was not written to its end.
    #[error("it is cut off")]
    Torn,
    /// A line means nothing.
    #[error("line {0} means nothing")]
    Line(usize),
}

const HEAD: &str = "piranha-ng pulse ledger 1";
const END: &str = "end";

/// The largest ledger that is read, in bytes: 40,000 addresses.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

impl Contents {
    /// The file's text. `boot` is the kernel's id of this boot.
    pub fn print(&self, boot: &str) -> String {
        let mut text = format!("{HEAD}\nboot {boot}\n");
        if self.active {
            text.push_str("active\n");
        }
        if self.lent {
            text.push_str("lent\n");
        }
        for Entry { address, prefix, device } in &self.entries {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "address {address}/{prefix} {device}");
        }
        for address in &self.late {
            let _ = writeln!(text, "late {address}");
        }
        text.push_str(END);
        text.push('\n');
        text
    }

    /// What a file's text says. A ledger of another boot is an empty one.
    pub fn parse(text: &str, boot: &str) -> Result<Self, Unreadable> {
        if text.is_empty() {
            return Ok(Self::default()); // what a power failure leaves of one
        }
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(Unreadable::Head);
        }
        if lines.next_back() != Some(END) || !text.ends_with('\n') {
            return Err(Unreadable::Torn);
        }
        let mut contents = Self::default();
        let mut same_boot = false;
        for (number, line) in (2..).zip(lines) {
            let bad = Unreadable::Line(number);
            match line.split_once(' ') {
                None if line == "active" => contents.active = true,
                None if line == "lent" => contents.lent = true,
                Some(("boot", id)) => same_boot = id == boot,
                Some(("address", rest)) => {
                    contents.entries.insert(entry(rest).ok_or(bad)?);
                }
                Some(("late", address)) => {
                    contents.late.insert(address.parse().map_err(|_| bad)?);
                }
                Some(_) | None => return Err(bad),
            }
        }
        Ok(if same_boot { contents } else { Self::default() })
    }
}

fn entry(text: &str) -> Option<Entry> {
    let (place, device) = text.split_once(' ')?;
    let (address, prefix) = place.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (prefix <= longest && !device.is_empty()).then(|| Entry { address, prefix, device: device.to_owned() })
}

/// A ledger and its file.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    boot: String,
    contents: Contents,
    /// The file does not say what the contents are.
    unwritten: bool,
}

impl Ledger {
    /// Opens the ledger at `path`; without a file it is empty. A file that cannot
    /// be read gives an empty ledger and the reason.
    pub fn open(path: &Path, boot: String) -> (Self, Option<String>) {
        let (contents, trouble) = match read(path) {
            Ok(Some(text)) => match Contents::parse(&text, &boot) {
                Ok(contents) => (contents, None),
                Err(e) => (Contents::default(), Some(e.to_string())),
            },
            Ok(None) => (Contents::default(), None),
            Err(e) => (Contents::default(), Some(e.to_string())),
        };
        (Self { path: path.to_owned(), boot, contents, unwritten: false }, trouble)
    }

    /// What it says.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Changes it, and its file in one step. A file that could not be replaced the
    /// last time is tried again even if nothing changes.
    ///
    /// # Errors
    /// The file could not be replaced; the change holds in memory.
    pub fn change(&mut self, how: impl FnOnce(&mut Contents)) -> io::Result<()> {
        let before = self.contents.clone();
        how(&mut self.contents);
        self.unwritten |= self.contents != before;
        if self.unwritten {
            self.write()?;
            self.unwritten = false;
        }
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        if self.contents == Contents::default() {
            return state::remove(&self.path);
        }
        state::replace(&self.path, self.contents.print(&self.boot))
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let text = state::read(path, SIZE_MAX)?.map(String::from_utf8);
    text.transpose().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests;
