//! Which virtual IPs pulse is to let go of, where virtuals ask for it (`vip_withdraw`):
//! those on which every virtual is down. One virtual that may serve keeps the address,
//! whether it asks or not; one that nobody has judged yet leaves it as it is. So a
//! start, a reload and a successor of ours move no address before they know. Pure.
//!
//! A virtual is down when fewer servers than its quorum are in use, those that min_up
//! keeps included: the [`Quorum`] says so, which waits for verdicts. One with a sorry
//! server serves whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use common::ipvs::ServiceKey;

use crate::quorum::Quorum;
use crate::sorry::Tally;
use crate::wanted::Virtual;

/// How one virtual stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Not judged yet.
    Unknown,
    /// Clients get an answer.
    Serves,
    /// They do not.
    Down,
}

/// Whether the virtual IP of these is to be withdrawn, if it is now or is not.
pub fn decide(is_withdrawn: bool, stands: impl IntoIterator<Item = Stand>) -> bool {
    stands
        .into_iter()
        .fold(None, |so_far, stand| match (so_far, stand) {
            (Some(Stand::Serves), _) | (_, Stand::Serves) => Some(Stand::Serves),
            (Some(Stand::Unknown), _) | (_, Stand::Unknown) => Some(Stand::Unknown),
            (None | Some(Stand::Down), Stand::Down) => Some(Stand::Down),
        })
        .is_some_and(|all| match all {
            Stand::Serves => false,
            Stand::Unknown => is_withdrawn,
            Stand::Down => true,
        })
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All on it are down.
    Withdraw,
    /// One serves again.
    Return,
    /// None asks any more.
    Spare,
}

/// One virtual on an address that may be withdrawn.
#[derive(Debug)]
struct Member {
    key: ServiceKey,
    has_sorry: bool,
    /// From its first look at the verdicts on.
    quorum: Option<Quorum>,
}

impl Member {
    fn stand(&self) -> Stand {
        match (self.has_sorry, self.quorum.and_then(|quorum| quorum.has())) {
            (true, _) | (false, Some(true)) => Stand::Serves,
            (false, None) => Stand::Unknown,
            (false, Some(false)) => Stand::Down,
        }
    }
}

/// All virtual IPs that may be withdrawn, and which are.
#[derive(Debug, Default)]
pub struct Withdrawal {
    members: BTreeMap<IpAddr, Vec<Member>>,
    withdrawn: BTreeSet<IpAddr>,
}

impl Withdrawal {
    /// Going on from what a predecessor knew.
    pub fn recall(withdrawn: BTreeSet<IpAddr>) -> Self {
        Self { members: BTreeMap::new(), withdrawn }
    }

    /// Those that are.
    pub fn withdrawn(&self) -> &BTreeSet<IpAddr> {
        &self.withdrawn
    }

    /// These virtuals are wanted from now on.
    pub fn load(&mut self, virtuals: &[Virtual]) -> Vec<(IpAddr, Change)> {
        let asked: BTreeSet<IpAddr> = virtuals.iter().filter(|it| it.pool.withdraws).filter_map(|it| it.vip).collect();
        let mut before: BTreeMap<ServiceKey, Quorum> = std::mem::take(&mut self.members)
            .into_values()
            .flatten()
            .filter_map(|member| Some((member.key, member.quorum?)))
            .collect();
        for (vip, it) in virtuals.iter().filter_map(|it| Some((it.vip?, it))) {
            if asked.contains(&vip) {
                let key = it.service.key;
                let member = Member { key, has_sorry: it.sorry.is_some(), quorum: before.remove(&key) };
                self.members.entry(vip).or_default().push(member);
            }
        }
        let wanted: BTreeSet<IpAddr> = virtuals.iter().filter_map(|it| it.vip).collect();
        let mut changes = Vec::new();
        for vip in std::mem::take(&mut self.withdrawn) {
            match self.members.get(&vip) {
                Some(members) if decide(true, members.iter().map(Member::stand)) => {
                    self.withdrawn.insert(vip);
                }
                Some(_) => changes.push((vip, Change::Return)),
                None if wanted.contains(&vip) => changes.push((vip, Change::Spare)),
                // It left the file.
                None => {}
            }
        }
        changes
    }

    /// The verdicts in one virtual changed, or the patience with them is over.
    pub fn judge(&mut self, it: &Virtual, tally: Tally, now: Instant) -> Option<(IpAddr, Change)> {
        let vip = it.vip?;
        let members = self.members.get_mut(&vip)?;
        let member = members.iter_mut().find(|member| member.key == it.service.key)?;
        let is_withdrawn = self.withdrawn.contains(&vip);
        let grace_until = now + it.timeout;
        let known = is_withdrawn.then_some(false);
        let quorum = member.quorum.get_or_insert_with(|| Quorum::new(known, grace_until));
        let in_use = Tally { available: tally.available + tally.kept, ..tally };
        quorum.judge(it.pool.rules, in_use, now, grace_until);
        let is_to_be = decide(is_withdrawn, members.iter().map(Member::stand));
        if is_to_be {
            self.withdrawn.insert(vip);
        } else {
            self.withdrawn.remove(&vip);
        }
        match (is_withdrawn, is_to_be) {
            (false, false) | (true, true) => None,
            (false, true) => Some((vip, Change::Withdraw)),
            (true, false) => Some((vip, Change::Return)),
        }
    }

    /// When the patience with whose verdicts is over.
    pub fn graces(&self) -> impl Iterator<Item = (Instant, ServiceKey)> {
        let members = self.members.values().flatten();
        members.filter_map(|member| Some((member.quorum.as_ref()?.deadline()?, member.key)))
    }
}

#[cfg(test)]
mod tests;
