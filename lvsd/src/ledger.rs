//! What lvsd's successor must know, kept in a file: the services an lvsd made, so
//! that one that left the configuration while no lvsd ran is removed by the next,
//! and one that somebody else made never is; how long its servers drain, in case
//! they leave it meanwhile; which are draining; which services have their quorum, so
//! that scripts run at a change of it and not at a change of lvsd; and which virtual
//! IPs are withdrawn.
//!
//! A line each, fields between tabs; keys as the log shows them:
//!
//! ```text
//! boot              ID
//! withdrawn         192.0.2.1
//! tcp 192.0.2.1:80  web
//! tcp 192.0.2.1:80  quorum   up
//! tcp 192.0.2.1:80  order    10.0.0.2:80  disabled, or WEIGHT
//! tcp 192.0.2.1:80  drain    10.0.0.3:80  MILLISECONDS
//! tcp 192.0.2.1:80  leaving  10.0.0.4:80  WEIGHT  MILLISECONDS  UNTIL  web  a  [tcp 192.0.2.1:81]
//! ```
//!
//! UNTIL is on the clock that began with the machine (CLOCK_BOOTTIME), in
//! milliseconds, 0 if it does not drain yet; behind the names stands the service whose
//! newcomers it waits for. The file is replaced in one step,
//! before the kernel is asked to add a service and after it deleted one: after a
//! crash in between it names too much, and what is not there is nothing to delete.
//! It belongs to one boot: where /run is on a disk (RHEL 6) it would else claim
//! services that somebody made since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::ipvs::{DestinationKey, ServiceKey};
use common::state;

use crate::orders::{Order, Orders};
use crate::wanted::Target;

/// The largest file that is read, in bytes: a hundred thousand servers that drain.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// The longest drain that is believed: the range of the keyword.
const DRAIN_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The word before the id of the boot.
pub(crate) const BOOT: &str = "boot";

/// The word before a virtual IP; no service's key is one word.
const WITHDRAWN: &str = "withdrawn";

/// One that was leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The virtual's name.
    pub name: String,
    /// The server's name.
    pub server: String,
    /// Its weight before it was drained.
    pub weight: u32,
    /// How long it drains in all.
    pub drain: Duration,
    /// When that is over, since the machine's start; `None`: it did not begin.
    pub until: Option<Duration>,
    /// Whose newcomers it waited for.
    pub wait: Option<ServiceKey>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The services, with their names.
    pub services: BTreeMap<ServiceKey, String>,
    /// Whether they have their quorum, where that was decided.
    pub quorums: BTreeMap<ServiceKey, bool>,
    /// The virtual IPs that nothing behind serves.
    pub withdrawn: BTreeSet<IpAddr>,
    /// What operators want of single servers.
    pub orders: Orders,
    /// How long real servers drain when they leave.
    pub drains: BTreeMap<Target, Duration>,
    /// Which do.
    pub leaving: BTreeMap<Target, Left>,
}

impl Ledger {
    /// Services alone.
    pub fn of<const N: usize>(services: [(ServiceKey, String); N]) -> Self {
        Self { services: services.into(), ..Self::default() }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.quorums.is_empty()
            && self.withdrawn.is_empty()
            && self.orders.is_empty()
            && self.drains.is_empty()
            && self.leaving.is_empty()
    }
}

/// The file's text. `boot` is the kernel's id of this boot.
pub fn print(ledger: &Ledger, boot: &str) -> String {
    let mut text = format!("{BOOT}\t{boot}\n");
    // Writing into a String cannot fail.
    for vip in &ledger.withdrawn {
        let _ = writeln!(text, "{WITHDRAWN}\t{vip}");
    }
    for (key, name) in &ledger.services {
        let _ = writeln!(text, "{key}\t{}", plain(name));
    }
    for (key, has) in &ledger.quorums {
        let _ = writeln!(text, "{key}\tquorum\t{}", if *has { "up" } else { "down" });
    }
    for (Target { service, destination }, order) in &ledger.orders {
        let _ = match order {
            Order::Disabled => writeln!(text, "{service}\torder\t{destination}\tdisabled"),
            Order::Weight(weight) => writeln!(text, "{service}\torder\t{destination}\t{weight}"),
        };
    }
    for (Target { service, destination }, drain) in &ledger.drains {
        let _ = writeln!(text, "{service}\tdrain\t{destination}\t{}", drain.as_millis());
    }
    for (Target { service, destination }, left) in &ledger.leaving {
        let until = left.until.map_or(0, |until| until.as_millis().max(1));
        let (weight, drain) = (left.weight, left.drain.as_millis());
        let _ = write!(text, "{service}\tleaving\t{destination}\t{weight}\t{drain}\t{until}");
        let _ = write!(text, "\t{}\t{}", plain(&left.name), plain(&left.server));
        let _ = left.wait.map(|wait| write!(text, "\t{wait}"));
        text.push('\n');
    }
    text
}

/// A name that cannot forge a field.
pub(crate) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Reads the file's text; the number says how many lines are none. A ledger of
/// another boot is an empty one.
pub fn parse(text: &str, boot: &str) -> (Ledger, usize) {
    parse_lines(text, boot, parse_line)
}

/// The same of any ledger with a line for each entry: what they say, as `parse_line`
/// takes it down. It says nothing of a line that is none.
pub(crate) fn parse_lines<L: Default>(
    text: &str,
    boot: &str,
    parse_line: impl Fn(&[&str], &mut L) -> Option<()>,
) -> (L, usize) {
    let mut ledger = L::default();
    let (mut bad, mut same_boot) = (0, false);
    for line in text.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [BOOT, id] = fields[..] {
            same_boot = id == boot;
        } else if parse_line(&fields, &mut ledger).is_none() {
            bad += 1;
        }
    }
    (if same_boot { ledger } else { L::default() }, bad)
}

fn parse_line(fields: &[&str], ledger: &mut Ledger) -> Option<()> {
    let target = |key: &str, destination: &str| {
        let at: SocketAddr = destination.parse().ok()?;
        let destination = DestinationKey { address: at.ip(), port: at.port() };
        Some(Target { service: ServiceKey::parse(key)?, destination })
    };
    let millis = |text: &str| Some(Duration::from_millis(text.parse().ok()?));
    match *fields {
        [WITHDRAWN, vip] => {
            ledger.withdrawn.insert(vip.parse().ok()?);
        }
        [key, name] => {
            ledger.services.insert(ServiceKey::parse(key)?, name.to_owned());
        }
        [key, "quorum", has @ ("up" | "down")] => {
            ledger.quorums.insert(ServiceKey::parse(key)?, has == "up");
        }
        [key, "order", destination, order] => {
            let weight = || order.parse::<u16>().ok().map(|weight| Order::Weight(weight.into()));
            let order = if order == "disabled" { Order::Disabled } else { weight()? };
            ledger.orders.insert(target(key, destination)?, order);
        }
        [key, "drain", destination, drain] => {
            ledger.drains.insert(target(key, destination)?, millis(drain)?.min(DRAIN_MAX));
        }
        [key, "leaving", destination, weight, drain, until, name, server, ref wait @ ..] => {
            let wait = match *wait {
                [] => None,
                [wait] => Some(ServiceKey::parse(wait)?),
                [_, _, ..] => return None,
            };
            let until = Some(millis(until)?).filter(|until| !until.is_zero());
            let (name, server, weight) = (name.to_owned(), server.to_owned(), weight.parse().ok()?);
            let left = Left { name, server, weight, drain: millis(drain)?.min(DRAIN_MAX), until, wait };
            ledger.leaving.insert(target(key, destination)?, left);
        }
        _ => return None,
    }
    Some(())
}

/// The file.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    boot: String,
}

impl LedgerFile {
    /// The one at this path in this boot; nothing is opened yet.
    pub fn at(path: PathBuf, boot: String) -> Self {
        Self { path, boot }
    }

    /// What a predecessor wrote, and how many lines are none; empty if there is
    /// no file.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn read(&self) -> io::Result<(Ledger, usize)> {
        Ok(read(&self.path)?.map_or_else(Default::default, |text| parse(&text, &self.boot)))
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// The system's; the old file stands.
    pub fn write(&self, ledger: &Ledger) -> io::Result<()> {
        state::replace(&self.path, print(ledger, &self.boot))
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

/// The text of a ledger, as far as one is read; `None`: there is no file.
///
/// # Errors
/// It is there and cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    Ok(state::read(path, FILE_MAX)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests;
