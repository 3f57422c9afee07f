//! Several checks of one server and one verdict: so many of them must be good.
//! Pure. The verdict stands as soon as nothing can change it.

use super::Outcome;

/// The votes so far.
#[derive(Debug, Default)]
pub struct Jury {
    needed: usize,
    left: usize,
    good: usize,
    weight: Option<u32>,
    bad: Option<(usize, Outcome)>,
}

/// What they come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Good, or that of the first bad check.
    pub outcome: Outcome,
    /// Which check decided.
    pub by: usize,
    /// The smallest weight that good checks asked for.
    pub weight: Option<u32>,
}

impl Jury {
    /// Of so many checks so many must be good; 0, or more than there are, is all.
    pub fn new(checks: usize, needed: usize) -> Self {
        let needed = if needed == 0 { checks } else { needed.min(checks) };
        Self { needed, left: checks, ..Self::default() }
    }

    /// A check ended, which it does once.
    pub fn vote(&mut self, check: usize, outcome: Outcome, weight: Option<u32>) -> Option<Verdict> {
        self.left = self.left.saturating_sub(1);
        if outcome.is_good() {
            self.good += 1;
            self.weight = match (self.weight, weight) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            return (self.good >= self.needed).then_some(Verdict { outcome, by: check, weight: self.weight });
        }
        let (by, outcome) = self.bad.get_or_insert((check, outcome)).clone();
        (self.good + self.left < self.needed).then_some(Verdict { outcome, by, weight: None })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(needed: usize, votes: &[(bool, Option<u32>)]) -> Option<Verdict> {
        let mut jury = Jury::new(votes.len(), needed);
        votes.iter().enumerate().find_map(|(check, (good, weight))| {
            jury.vote(check, if *good { Outcome::Good } else { Outcome::TooShort }, *weight)
        })
    }

    #[test]
    fn all_any_and_some() {
        let (good, bad) = ((true, None), (false, None));
        for (needed, votes, verdict, by) in [
            (0, [good, good, good], Outcome::Good, 2),
            (0, [good, bad, good], Outcome::TooShort, 1),
            (1, [bad, good, bad], Outcome::Good, 1),
            (1, [bad, bad, bad], Outcome::TooShort, 0),
            (2, [bad, good, good], Outcome::Good, 2),
            (2, [bad, good, bad], Outcome::TooShort, 0),
            (9, [good, good, bad], Outcome::TooShort, 2),
        ] {
            let found = of(needed, &votes).unwrap();
            assert_eq!((found.outcome, found.by), (verdict, by), "{needed} of {votes:?}");
        }
    }

    #[test]
    fn the_smallest_weight_counts() {
        let votes = [(true, Some(7)), (true, None), (true, Some(3))];
        assert_eq!(of(0, &votes).unwrap().weight, Some(3));
        assert_eq!(of(1, &votes).unwrap().weight, Some(7), "the others were not waited for");
    }

    proptest! {
        #[test]
        fn every_order_comes_to_one_verdict(votes in proptest::collection::vec(any::<bool>(), 1..9), needed in 0usize..10) {
            let wanted = if needed == 0 { votes.len() } else { needed.min(votes.len()) };
            let good = votes.iter().filter(|good| **good).count() >= wanted;
            let all: Vec<_> = votes.iter().map(|good| (*good, None)).collect();
            prop_assert_eq!(of(needed, &all).unwrap().outcome.is_good(), good);
        }
    }
}
