//! What clients saw of something that happened: for how long nobody was served,
//! and how many connections failed.

use std::fmt;
use std::time::{Duration, Instant};

use super::client::{Connection, Load, Outcome};

/// A first packet that is lost is sent again after this time.
const RETRANSMISSION: Duration = Duration::from_secs(1);

/// What clients saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The longest time in which no connection was answered.
    pub longest: Duration,
    /// Connections that failed.
    pub failed: usize,
    /// Connections that were answered after a second or more: they had lost a
    /// packet, or the machine was busy.
    pub waited: usize,
    /// Connections that were opened.
    pub of: usize,
}

impl Gap {
    /// Of connections that were all opened after `from`.
    fn of(all: &[Connection], from: Instant) -> Self {
        let mut answered: Vec<Instant> = all
            .iter()
            .filter(|connection| matches!(connection.outcome, Outcome::Served(_)))
            .map(|connection| connection.at + connection.took)
            .collect();
        answered.sort();
        let before = std::iter::once(from).chain(answered.iter().copied());
        let longest = before.zip(&answered).map(|(before, after)| after.saturating_duration_since(before)).max();
        let served = all.iter().filter(|connection| matches!(connection.outcome, Outcome::Served(_)));
        Self {
            longest: longest.unwrap_or_default(),
            failed: all.len() - answered.len(),
            waited: served.filter(|connection| connection.took >= RETRANSMISSION).count(),
            of: all.len(),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.longest.as_secs_f64() * 1000.0;
        write!(f, "longest gap {ms:.0} ms, {} of {} connections failed", self.failed, self.of)?;
        if self.waited > 0 { write!(f, ", {} took a second or more", self.waited) } else { Ok(()) }
    }
}

impl Load {
    /// What was seen between the two moments; the second must lie behind the first
    /// answer that followed.
    pub fn gap(&self, from: Instant, to: Instant) -> Gap {
        let all = self.between(from, to);
        assert!(
            all.iter().any(|connection| matches!(connection.outcome, Outcome::Served(_))),
            "nobody was served in that time: the gap has no end"
        );
        Gap::of(&all, from)
    }
}

#[test]
fn a_gap_lies_between_two_answers_whatever_failed_in_it() {
    let from = Instant::now();
    let ms = Duration::from_millis;
    let connection = |at: u64, took: u64, served: bool| Connection {
        at: from + ms(at),
        took: ms(took),
        port: 0,
        outcome: if served { Outcome::Served("158".to_owned()) } else { Outcome::Failed("refused".to_owned()) },
    };
    let all = [
        connection(5, 1, true),
        connection(10, 95, true), // answered after the next two were opened
        connection(15, 900, false),
        connection(100, 1, true),
        connection(110, 1001, true),
    ];
    let gap = Gap::of(&all, from);
    assert_eq!(gap, Gap { longest: ms(1006), failed: 1, waited: 1, of: 5 });
    assert_eq!(gap.to_string(), "longest gap 1006 ms, 1 of 5 connections failed, 1 took a second or more");
    let gap = Gap::of(&all[..4], from);
    assert_eq!(gap.to_string(), "longest gap 95 ms, 1 of 4 connections failed");
}
