//! Which failover services were started, kept in a file for the next lvsd: it
//! adopts those that the file still wants instead of starting them twice, and
//! stops the others, for which it needs the command that stops them.
//!
//! A line each, fields between tabs: `tcp 192.0.2.9:443  web  10000  /etc/init.d/httpd stop`,
//! the third how long the command may take in milliseconds. It is written before a
//! service is started and after it is stopped: after a crash in between it names
//! too much, and what does not answer is started again in any case.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::command::words;
use common::ipvs::ServiceKey;

use crate::ledger::{parse_key, plain};

/// The largest file that is read, in bytes: tens of thousands of services.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// The longest time that is believed: the range of the keyword.
const WITHIN_MAX: Duration = Duration::from_secs(3600);

/// One that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its block's name.
    pub name: String,
    /// stop_cmd; empty: none.
    pub stop: Vec<String>,
    /// How long it may take.
    pub stop_within: Duration,
}

/// All of them.
pub type Ledger = BTreeMap<ServiceKey, Started>;

/// The file's text.
pub fn print(ledger: &Ledger) -> String {
    let mut text = String::new();
    for (key, Started { name, stop, stop_within }) in ledger {
        // Writing into a String cannot fail; a word of a command has no blank in it.
        let stop: Vec<String> = stop.iter().map(|word| plain(word)).collect();
        let _ = writeln!(text, "{key}\t{}\t{}\t{}", plain(name), stop_within.as_millis(), stop.join(" "));
    }
    text
}

/// Reads the file's text; the number says how many lines are none.
pub fn parse(text: &str) -> (Ledger, usize) {
    let mut ledger = Ledger::new();
    let mut bad = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        match parse_line(line) {
            Some((key, started)) => drop(ledger.insert(key, started)),
            None => bad += 1,
        }
    }
    (ledger, bad)
}

fn parse_line(line: &str) -> Option<(ServiceKey, Started)> {
    let mut fields = line.split('\t');
    let key = parse_key(fields.next()?)?;
    let (name, millis, stop) = (fields.next()?, fields.next()?, fields.next()?);
    let stop_within = Duration::from_millis(millis.parse().ok()?).min(WITHIN_MAX);
    let started = Started { name: name.to_owned(), stop: words(stop), stop_within };
    fields.next().is_none().then_some((key, started))
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

    /// Replaces the file; an empty one is removed. It lives in memory (/run) and so
    /// is not synced.
    ///
    /// # Errors
    /// The system's; the old file stands.
    pub fn write(&self, ledger: &Ledger) -> io::Result<()> {
        if ledger.is_empty() {
            return match std::fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let new = self.path.with_extension("new");
        File::create(&new)?.write_all(print(ledger).as_bytes())?;
        std::fs::rename(&new, &self.path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use common::ipvs::Protocol;
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn entry()(
            address in any::<[u8; 4]>(), port in any::<u16>(), name in "[^\\p{C}]{0,20}",
            stop in proptest::collection::vec("[!-~]{1,12}", 0..4), millis in 0u64..=3_600_000,
        ) -> (ServiceKey, Started) {
            let key = ServiceKey::Address { protocol: Protocol::Tcp, address: address.into(), port };
            (key, Started { name, stop, stop_within: Duration::from_millis(millis) })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(ledger in proptest::collection::btree_map(Just(()), entry(), 0..1), more in proptest::collection::vec(entry(), 0..5)) {
            let ledger: Ledger = ledger.into_values().chain(more).collect();
            prop_assert_eq!(parse(&print(&ledger)), (ledger, 0));
        }

        #[test]
        fn whatever_stands_there_is_read_or_counted(text in "([ \t\n0-9a-z.:]|tcp 192.0.2.1:80\t){0,60}") {
            let lines = text.lines().filter(|line| !line.is_empty()).count();
            let (ledger, bad) = parse(&text);
            prop_assert!(ledger.len() + bad <= lines);
        }
    }

    #[test]
    fn the_file_is_there_while_something_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::at(dir.path().join("fos.ledger"));
        assert_eq!(file.read().unwrap(), (Ledger::new(), 0));
        let text = "tcp 192.0.2.9:443\tweb\t10000\t/etc/init.d/httpd stop\n";
        let (ledger, bad) = parse(text);
        assert_eq!((bad, print(&ledger).as_str()), (0, text));
        file.write(&ledger).unwrap();
        assert_eq!(file.read().unwrap(), (ledger, 0));
        file.write(&Ledger::new()).unwrap();
        assert!(!file.path().exists());
        assert_eq!(parse("tcp 192.0.2.9:443\tweb\nrubbish\n").1, 2);
    }
}
