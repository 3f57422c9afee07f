//! Which process one is: its number, which is another's some time after it ended, and
//! when it was started, by which the two are told apart.

use std::fs;

/// A process, for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its number, and its group's.
    pub pid: u32,
    /// When it was started, as the kernel counts: in ticks since the machine was.
    pub since: u64,
}

impl Identity {
    /// The process with this number, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        living(&stat).map(|since| Self { pid, since })
    }

    /// Whether it has not ended.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// When the process of this line of /proc was started, if it lives. Its name may hold
/// blanks and brackets.
fn living(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let since = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 81234 9 10";

    #[test]
    fn a_process_is_known_by_its_start_until_it_ends() {
        assert_eq!(living(STAT), Some(81234));
        assert_eq!(living(&STAT.replace(" S ", " Z ")), None);
        let us = Identity::of(std::process::id()).unwrap();
        assert!(us.is_alive());
        assert!(!Identity { since: us.since + 1, ..us }.is_alive());
        assert_eq!(Identity::of(u32::MAX), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_stands_there_is_read_or_nothing(text in "([0-9) (SZ-]{0,8}|42 \\(a\\) S 1 2 ){0,12}") {
            let _ = living(&text);
        }
    }
}
