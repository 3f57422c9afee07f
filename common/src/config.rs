//! The configuration: lvs.cf or TOML in, one complete, valid and typed model out,
//! or everything that is wrong with it.
//!
//! ```text
//! lvs.cf ─ lvscf ─► tree ─ lvscf::de ─┐ serde            Outside (names, files)
//!                                     ├──────► Raw ─ check ─► Config ─► print, fingerprint, services
//! .toml ── toml crate ────────────────┘          (table, kind)    └───► lint
//! ```
//!
//! Everything Piranha 0.8.6 accepts is accepted and means the same (piranha.md 1);
//! what it refuses or misreads but users write is read with a warning; what
//! cannot be meant is an error with its line. All keywords are rows of `table`.
//!
//! ```
//! use common::config::{Fake, Syntax, load_with};
//!
//! let mut world = Fake::default();
//! world.files.insert("lvs.cf".into(), b"keepalve = 3\n".to_vec());
//! let failed = load_with("lvs.cf".as_ref(), Syntax::LvsCf, &world).unwrap_err();
//! let first = failed.first().unwrap();
//! assert_eq!((first.line, &*first.message), (1, "unknown command \"keepalve\""));
//! ```

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;

mod check;
mod convert;
mod diagnostic;
mod fingerprint;
mod include;
mod kind;
mod lint;
mod lvscf;
mod machine;
mod manual;
mod outside;
mod print;
mod raw;
mod rules;
mod services;
mod source;
mod table;
mod toml_file;

pub use diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Severity, json, json_text};
pub use fingerprint::{Fingerprint, fingerprint};
pub use lint::classful;
pub use machine::{Machine, Program};
pub use manual::manual;
pub use outside::{Fake, Outside, Patient, System, open};
pub use table::{Config, HealthCheck, Keyword, Place, RealServer, Scope, Since, VirtualService, keywords};

use kind::Reader;
use lint::Linter;

use crate::ipvs::Protocol;

/// Which kind of service the pair runs (`service`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// IPVS virtual services.
    Lvs,
    /// Failover services: one local service that moves with the VIP.
    Fos,
}

/// `IP DEV` or `IP DEV:LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAddress {
    /// The address.
    pub address: IpAddr,
    /// The device, without the label's part behind the colon: `eth0`.
    pub device: String,
    /// The whole label, `eth0:1`, if one was given; 15 bytes at most.
    pub label: Option<String>,
}

/// Another way for heartbeats, by its two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatPath {
    /// The primary's address.
    pub primary: IpAddr,
    /// The backup's.
    pub backup: IpAddr,
}

/// How far the keys of `heartbeat_key_file` are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// What is signed must be signed right; we sign nothing.
    Receive,
    /// The same, and we sign.
    Permissive,
    /// What is not signed is dropped.
    Enforce,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// As Piranha's.
    LvsCf,
    /// A `.toml` file.
    Toml,
}

impl Syntax {
    /// The syntax of a file, by its name: `.toml` is TOML, all else lvs.cf.
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|e| e == "toml") { Self::Toml } else { Self::LvsCf }
    }
}

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The model.
    pub config: Config,
    /// What should be looked at, by place.
    pub warnings: Vec<Diagnostic>,
}

/// A configuration that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// All errors and warnings, by place; at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

impl Failed {
    /// The first error, for a daemon's one line about it.
    pub fn first(&self) -> Option<&Diagnostic> {
        self.diagnostics.iter().find(|d| d.severity == Severity::Error)
    }
}

/// One line for each problem.
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.diagnostics.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failed {}

/// Reads a configuration; `-` is the standard input, in lvs.cf's syntax. Names of
/// hosts are resolved here, once: the system's resolver may take its time.
///
/// # Errors
/// Everything that is wrong with it, an unreadable file included.
pub fn load(path: &Path) -> Result<Loaded, Failed> {
    load_with(path, Syntax::of(path), &System)
}

/// The same with the syntax given and the outside world as an argument.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_with(path: &Path, syntax: Syntax, outside: &dyn Outside) -> Result<Loaded, Failed> {
    examine(path, syntax, outside, |_| Machine::default())
}

/// The same with what will not work on a machine: the one that `observe` sees,
/// which looks for what a configuration names, as far as it could be read.
///
/// # Errors
/// Everything that is wrong with it, and everything there is to warn of in the
/// parts that could be read.
pub fn examine(
    path: &Path,
    syntax: Syntax,
    outside: &dyn Outside,
    observe: impl FnOnce(&Config) -> Machine,
) -> Result<Loaded, Failed> {
    let mut reader = Reader::new(outside);
    let read = include::read(path, syntax, &mut reader).map(|raw| check::read(&raw, &mut reader));
    let Reader { sources, mut report, .. } = reader;
    let Some((mut config, origin)) = read else { return Err(Failed { diagnostics: report.finish() }) };
    path.clone_into(&mut config.path);
    let mut linter = Linter { config: &config, origin: &origin, sources: &sources, report: &mut report };
    linter.file();
    linter.on(&observe(&config));
    let is_good = !report.has_errors();
    let diagnostics = report.finish();
    if is_good { Ok(Loaded { config, warnings: diagnostics }) } else { Err(Failed { diagnostics }) }
}

/// A file in another syntax: its statements as they were typed, with their
/// comments, not those of files it includes. It reads as the same model.
///
/// # Errors
/// Everything that is wrong with the file: only a good one is converted.
pub fn convert(path: &Path, from: Syntax, to: Syntax, outside: &dyn Outside) -> Result<String, Failed> {
    // the standard input can be read only once
    let once = Once { outside, path, bytes: outside.read(path) };
    load_with(path, from, &once)?;
    let mut reader = Reader::new(&once);
    let raw = include::read_one(path, from, &mut reader).unwrap_or_default();
    let text = reader.sources.first().to_owned();
    Ok(convert::convert(&text, &raw, to, &mut reader))
}

/// The world with one file read already.
struct Once<'a> {
    outside: &'a dyn Outside,
    path: &'a Path,
    bytes: io::Result<Vec<u8>>,
}

impl Outside for Once<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path != self.path {
            return self.outside.read(path);
        }
        self.bytes.as_ref().map(Clone::clone).map_err(|e| match e.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(e.kind(), e.to_string()),
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.outside.list(folder)
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.outside.host(name)
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.outside.service(name, protocol)
    }
}

/// The whole effective configuration, defaults included, as a file that reads
/// back as the same model.
pub fn dump(config: &Config, syntax: Syntax) -> String {
    print::config(config, syntax)
}

#[cfg(test)]
mod tests;
