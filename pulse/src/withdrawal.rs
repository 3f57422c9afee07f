//! PURE. Which virtual IPs this director lets go of although it is the active one,
//! because nothing behind them serves: lvsd's word, said anew by each lvsd before it is
//! ready. What a dead one said last goes on; one that becomes ready without a word on
//! it is of a version that has none.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another lvsd is there, or none.
    Came,
    /// lvsd's list.
    Said(BTreeSet<IpAddr>),
    /// lvsd is ready.
    Ready,
}

/// What that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// These are to be lowered.
    pub gone: Vec<IpAddr>,
    /// These may be held again.
    pub back: Vec<IpAddr>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Withdrawal {
    list: BTreeSet<IpAddr>,
    /// This lvsd said its list.
    has_spoken: bool,
}

impl Withdrawal {
    /// Those that are withdrawn.
    pub fn list(&self) -> &BTreeSet<IpAddr> {
        &self.list
    }

    /// One event; what it changes, if anything.
    pub fn handle(&mut self, event: Event) -> Option<Change> {
        let list = match (event, self.has_spoken) {
            (Event::Came, _) => {
                self.has_spoken = false;
                return None;
            }
            (Event::Ready, true) => return None,
            (Event::Ready, false) => BTreeSet::new(),
            (Event::Said(list), _) => list,
        };
        self.has_spoken = true;
        let gone: Vec<IpAddr> = list.difference(&self.list).copied().collect();
        let back: Vec<IpAddr> = self.list.difference(&list).copied().collect();
        self.list = list;
        (!gone.is_empty() || !back.is_empty()).then_some(Change { gone, back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(last: &[u8]) -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
    }

    fn said(last: &[u8]) -> Event {
        Event::Said(list(last).into_iter().collect())
    }

    fn change(gone: &[u8], back: &[u8]) -> Change {
        Change { gone: list(gone), back: list(back) }
    }

    /// Each event after each history: what it changes, and what is withdrawn then.
    #[test]
    fn every_event_in_every_state() {
        let silent = || Withdrawal { list: list(&[1]).into_iter().collect(), has_spoken: false };
        let spoken = || Withdrawal { has_spoken: true, ..silent() };
        for (mut before, event, changes, withdrawn) in [
            (silent(), Event::Came, None, [1].as_slice()),
            (silent(), said(&[1]), None, &[1]),
            (silent(), said(&[1, 2]), Some(change(&[2], &[])), &[1, 2]),
            (silent(), said(&[2]), Some(change(&[2], &[1])), &[2]),
            (silent(), said(&[]), Some(change(&[], &[1])), &[]),
            (silent(), Event::Ready, Some(change(&[], &[1])), &[]),
            (spoken(), Event::Came, None, &[1]),
            (spoken(), said(&[1]), None, &[1]),
            (spoken(), said(&[1, 2]), Some(change(&[2], &[])), &[1, 2]),
            (spoken(), said(&[2]), Some(change(&[2], &[1])), &[2]),
            (spoken(), said(&[]), Some(change(&[], &[1])), &[]),
            (spoken(), Event::Ready, None, &[1]),
            (Withdrawal::default(), Event::Ready, None, &[]),
        ] {
            let what = format!("{before:?} {event:?}");
            assert_eq!(before.handle(event), changes, "{what}");
            assert!(before.list().iter().eq(&list(withdrawn)), "{what}");
        }
    }

    #[test]
    fn the_next_lvsd_has_the_word_before_it_is_ready() {
        let mut it = Withdrawal::default();
        it.handle(Event::Came);
        assert_eq!(it.handle(said(&[1])), Some(change(&[1], &[])));
        it.handle(Event::Ready);
        it.handle(Event::Came);
        assert!(it.list().len() == 1, "it died");
        it.handle(said(&[1]));
        assert_eq!(it.handle(Event::Ready), None);
    }
}
