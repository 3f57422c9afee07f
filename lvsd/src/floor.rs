//! Which real servers of a virtual stay in use whatever their checks say, so that no
//! less than `min_up` are: a check that is wrong about all of them must not empty a
//! service. The good ones are told while they are few, before they fail; of those that
//! failed the last to do so stay, or come back when all fell at once. One that never
//! was in use is not put there. Pure.

use std::cmp::Reverse;

/// A real server, as its nanny sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Good and in use, not, or not judged.
    pub available: Option<bool>,
    /// In use although it failed.
    pub is_kept: bool,
    /// It was told to stay.
    pub stays: bool,
    /// Its place in the order in which servers failed; `None`: it was not seen to.
    pub fell: Option<u64>,
}

/// For each of them, whether it is to stay.
pub fn who_stays(min_up: u32, members: &[Member]) -> Vec<bool> {
    let min_up = usize::try_from(min_up).unwrap_or(usize::MAX);
    let good = members.iter().filter(|member| member.available == Some(true)).count();
    // One of them may fall and leave enough.
    if min_up == 0 || good > min_up {
        return vec![false; members.len()];
    }
    let mut others: Vec<(Rank, Reverse<u64>, usize)> = members
        .iter()
        .enumerate()
        .filter_map(|(n, member)| Some((Rank::of(member)?, Reverse(member.fell.unwrap_or(0)), n)))
        .collect();
    others.sort_unstable();
    let mut stay: Vec<bool> = members.iter().map(|member| member.available == Some(true)).collect();
    for (_, _, n) in others.into_iter().take(min_up - good) {
        if let Some(stays) = stay.get_mut(n) {
            *stays = true;
        }
    }
    stay
}

/// Who is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Those that stay already, and those that were told and whose nanny was replaced.
    Stays,
    /// In the kernel for a lvsd before us.
    Kept,
    /// Out.
    Fell,
}

impl Rank {
    fn of(member: &Member) -> Option<Self> {
        match (member.available, member.stays, member.is_kept, member.fell) {
            (Some(true), ..) => None,
            (_, true, ..) => Some(Self::Stays),
            (_, false, true, _) => Some(Self::Kept),
            (Some(false), false, false, Some(_)) => Some(Self::Fell),
            (Some(false), false, false, None) | (None, false, false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
