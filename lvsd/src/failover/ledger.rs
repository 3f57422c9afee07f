//! What the next lvsd must know of failover services, kept in a file: which were
//! started, so that it adopts those that the file still wants instead of starting
//! them twice, and stops the others, for which it needs the command that stops them;
//! how often they were started again, so that one that is broken is not started
//! for ever by one lvsd after the other; and which of their commands runs, so that none
//! outlives its time or has another one beside it.
//!
//! A line each, fields between tabs; keys as the log shows them:
//!
//! ```text
//! boot      ID
//! standby
//! tcp 192.0.2.9:443  web  10000  /etc/init.d/httpd stop
//! restarts  tcp 192.0.2.9:443  81234 97001
//! given up  tcp 192.0.2.9:443  it does not answer
//! command   tcp 192.0.2.9:443  restart  4711  8123499  107001  10000
//! ```
//!
//! The third field of a service is how long its command may take; restarts are times
//! on the clock that began with the machine (CLOCK_BOOTTIME); both in milliseconds. Of a
//! command it is what it is for (start, stop, restart), its process, when the kernel says
//! that this was started, until when it may run, and for how long it might in all. It
//! is written before a service is started and after it is stopped: after a crash in
//! between it names too much, and what does not answer is started again in any case.
//! It belongs to one boot: where /run is on a disk (RHEL 6) it would else claim that
//! services run which the boot before had.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::command::{Identity, words};
use common::ipvs::ServiceKey;
use common::state;

use super::service::UnderWay;
use crate::ledger::{BOOT, parse_lines, plain, read};

/// The longest time that is believed: the range of the keyword.
const WITHIN_MAX: Duration = Duration::from_secs(3600);

/// The most restarts of a service that are read: the range of the keyword.
const RESTARTS_MAX: usize = 1000;

const STANDBY: &str = "standby";
const RESTARTS: &str = "restarts";
const GIVEN_UP: &str = "given up";
const COMMAND: &str = "command";

/// One that was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// Its block's name.
    pub name: String,
    /// stop_cmd; empty: none.
    pub stop: Vec<String>,
    /// How long it may take.
    pub stop_within: Duration,
    /// When it was started again, since the machine's start, oldest first.
    pub restarts: Vec<Duration>,
    /// Why this director cannot run it, if so.
    pub given_up: Option<String>,
    /// Which of its commands runs.
    pub command: Option<Command>,
}

/// A command that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// What for.
    pub what: UnderWay,
    /// The process.
    pub identity: Identity,
    /// When it is killed, since the machine's start.
    pub until: Duration,
    /// How long it might run in all.
    pub within: Duration,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What was started.
    pub started: BTreeMap<ServiceKey, Started>,
    /// pulse said that this director is not the active one.
    pub is_standby: bool,
}

/// The file's text. `boot` is the kernel's id of this boot.
pub fn print(ledger: &Ledger, boot: &str) -> String {
    let mut text = format!("{BOOT}\t{boot}\n");
    if ledger.is_standby {
        text.push_str(STANDBY);
        text.push('\n');
    }
    for (key, Started { name, stop, stop_within, restarts, given_up, command }) in &ledger.started {
        // Writing into a String cannot fail; a word of a command has no blank in it.
        let stop: Vec<String> = stop.iter().map(|word| plain(word)).collect();
        let _ = writeln!(text, "{key}\t{}\t{}\t{}", plain(name), stop_within.as_millis(), stop.join(" "));
        if !restarts.is_empty() {
            let restarts: Vec<String> = restarts.iter().map(|at| at.as_millis().to_string()).collect();
            let _ = writeln!(text, "{RESTARTS}\t{key}\t{}", restarts.join(" "));
        }
        if let Some(reason) = given_up {
            let _ = writeln!(text, "{GIVEN_UP}\t{key}\t{}", plain(reason));
        }
        if let Some(Command { what, identity: Identity { pid, since }, until, within }) = command {
            let (until, within) = (until.as_millis(), within.as_millis());
            let _ = writeln!(text, "{COMMAND}\t{key}\t{}\t{pid}\t{since}\t{until}\t{within}", what.word());
        }
    }
    text
}

/// Reads the file's text; the number says how many lines are none. A ledger of
/// another boot is an empty one.
pub fn parse(text: &str, boot: &str) -> (Ledger, usize) {
    parse_lines(text, boot, parse_line)
}

fn parse_line(fields: &[&str], ledger: &mut Ledger) -> Option<()> {
    let millis = |text: &str| Some(Duration::from_millis(text.parse().ok()?));
    match *fields {
        [STANDBY] => ledger.is_standby = true,
        [RESTARTS, key, times] => {
            let restarts = times.split(' ').take(RESTARTS_MAX).map(millis).collect::<Option<_>>()?;
            ledger.started.get_mut(&ServiceKey::parse(key)?)?.restarts = restarts;
        }
        [GIVEN_UP, key, reason] => ledger.started.get_mut(&ServiceKey::parse(key)?)?.given_up = Some(reason.to_owned()),
        [COMMAND, key, what, pid, since, until, within] => {
            let identity = Identity { pid: pid.parse().ok()?, since: since.parse().ok()? };
            let (until, within) = (millis(until)?, millis(within)?.min(WITHIN_MAX));
            let command = Command { what: UnderWay::from_word(what)?, identity, until, within };
            ledger.started.get_mut(&ServiceKey::parse(key)?)?.command = Some(command);
        }
        [key, name, within, stop] => {
            let stop_within = millis(within)?.min(WITHIN_MAX);
            let started = Started { name: name.to_owned(), stop: words(stop), stop_within, ..Started::default() };
            ledger.started.insert(ServiceKey::parse(key)?, started);
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

    /// Replaces the file; an empty one is removed.
    ///
    /// # Errors
    /// The system's; the old file stands.
    pub fn write(&self, ledger: &Ledger) -> io::Result<()> {
        if *ledger == Ledger::default() {
            return state::remove(&self.path);
        }
        state::replace(&self.path, print(ledger, &self.boot))
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

    const HERE: &str = "5c1f";

    prop_compose! {
        fn command()(
            what in prop_oneof![Just(UnderWay::Start), Just(UnderWay::Stop), Just(UnderWay::Restart)],
            pid in any::<u32>(), since in any::<u64>(), until in any::<u32>(), within in 0u64..=3_600_000,
        ) -> Command {
            let (until, within) = (Duration::from_millis(until.into()), Duration::from_millis(within));
            Command { what, identity: Identity { pid, since }, until, within }
        }
    }

    prop_compose! {
        fn entry()(
            address in any::<[u8; 4]>(), port in any::<u16>(), name in "[^\\p{C}]{0,20}",
            stop in proptest::collection::vec("[!-~]{1,12}", 0..4), millis in 0u64..=3_600_000,
            restarts in proptest::collection::vec(any::<u32>(), 0..4), given_up in proptest::option::of("[ -~]{0,20}"),
            command in proptest::option::of(command()),
        ) -> (ServiceKey, Started) {
            let key = ServiceKey::Address { protocol: Protocol::Tcp, address: address.into(), port };
            let restarts = restarts.into_iter().map(|at| Duration::from_millis(at.into())).collect();
            (key, Started { name, stop, stop_within: Duration::from_millis(millis), restarts, given_up, command })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(is_standby in any::<bool>(), all in proptest::collection::vec(entry(), 0..5)) {
            let ledger = Ledger { started: all.into_iter().collect(), is_standby };
            prop_assert_eq!(parse(&print(&ledger, HERE), HERE), (ledger, 0));
        }

        #[test]
        fn whatever_stands_there_is_read_or_counted(
            text in "([ \t\n0-9a-z.:]|tcp 192.0.2.1:80\t|restarts\t|given up\t|command\t|boot\t5c1f\n){0,60}",
        ) {
            let lines = text.lines().filter(|line| !line.is_empty()).count();
            let (ledger, bad) = parse(&text, HERE);
            prop_assert!(ledger.started.len() + bad <= lines);
        }
    }

    #[test]
    fn the_file_is_there_while_something_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = LedgerFile::at(dir.path().join("fos.ledger"), HERE.to_owned());
        assert_eq!(file.read().unwrap(), (Ledger::default(), 0));
        let text = "boot\t5c1f\nstandby\ntcp 192.0.2.9:443\tweb\t10000\t/etc/init.d/httpd stop\n\
                    restarts\ttcp 192.0.2.9:443\t81234 97001\ngiven up\ttcp 192.0.2.9:443\tit does not answer\n\
                    command\ttcp 192.0.2.9:443\trestart\t4711\t8123499\t107001\t10000\n";
        let (ledger, bad) = parse(text, HERE);
        assert_eq!((bad, print(&ledger, HERE).as_str()), (0, text));
        file.write(&ledger).unwrap();
        assert_eq!(file.read().unwrap(), (ledger, 0));
        file.write(&Ledger::default()).unwrap();
        assert!(!file.path().exists());
        let rubbish = "tcp 192.0.2.9:443\tweb\nrubbish\nrestarts\ttcp 192.0.2.9:443\t5\nrestarts\t5\n\
                       command\ttcp 192.0.2.9:443\tdance\t1\t2\t3\t4\n";
        assert_eq!(parse(rubbish, HERE), (Ledger::default(), 5));
    }

    #[test]
    fn a_ledger_of_another_boot_says_nothing() {
        let text = print(&parse("boot\t5c1f\ntcp 192.0.2.9:443\tweb\t10000\t\n", HERE).0, HERE);
        assert_eq!(parse(&text, HERE).0.started.len(), 1);
        assert_eq!(parse(&text, "77aa"), (Ledger::default(), 0));
        // nor does one that does not say of which it is
        assert_eq!(parse("tcp 192.0.2.9:443\tweb\t10000\t\n", HERE), (Ledger::default(), 0));
    }
}
