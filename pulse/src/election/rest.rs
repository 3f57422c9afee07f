//! PURE. How long a director whose failover services could not run is no better than
//! the one that has them now.
//!
//! What lvsd says of services it does not run proves nothing: once they are handed
//! over they do not fail here any more. So each hand-over on their account is followed
//! by a rest, and each one in a row by a rest twice as long: a service that is broken
//! on both directors moves ever more rarely. What nobody holds is taken all the same;
//! a rest only keeps the partner from handing over.

use std::time::{Duration, Instant};

/// How often a rest is doubled: a minute becomes an hour.
const DOUBLINGS: u32 = 6;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// Hand-overs in a row.
    times: u32,
    until: Option<Instant>,
    /// When the services were last said to be well; often they just do not run here.
    well_from: Option<Instant>,
    longest: Duration,
}

impl Rest {
    /// The services fail here. When they had not for as long as the longest rest takes,
    /// since the last one was over, they ran well meanwhile, here or there.
    pub(super) fn failing(&mut self, now: Instant) {
        let well_from = self.until.max(self.well_from);
        if well_from.is_some_and(|from| now.saturating_duration_since(from) >= self.longest) {
            self.forget();
        }
    }

    /// They do not any more.
    pub(super) fn mended(&mut self, now: Instant) {
        self.well_from = Some(now);
    }

    /// They are handed over now; how many times in a row that is, and how long the rest.
    pub(super) fn begin(&mut self, first: Duration, now: Instant) -> (u32, Duration) {
        self.longest = first.saturating_mul(1 << DOUBLINGS);
        self.times = self.times.saturating_add(1);
        let lasts = first.saturating_mul(1 << (self.times - 1).min(DOUBLINGS));
        self.until = now.checked_add(lasts);
        (self.times, lasts)
    }

    /// Somebody may have mended what was wrong.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// What is left of it.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(60);

    #[test]
    fn each_rest_in_a_row_is_twice_as_long_up_to_an_hour_or_so() {
        let (mut rest, mut now, mut minutes) = (Rest::default(), Instant::now(), Vec::new());
        for times in 1..=9 {
            let (counted, lasts) = rest.begin(FIRST, now);
            assert_eq!((counted, rest.left(now)), (times, Some(lasts)));
            minutes.push(lasts.as_secs() / 60);
            now += lasts;
            assert_eq!(rest.left(now), None);
            now += FIRST;
        }
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn services_that_ran_for_long_begin_anew_and_so_do_those_that_somebody_looked_at() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        rest.begin(FIRST, now);
        let almost = now + FIRST * 64 + Duration::from_secs(59);
        rest.failing(almost);
        // that they failed for long is no sign of health, nor is a moment in between
        rest.mended(almost + FIRST * 100);
        rest.failing(almost + FIRST * 101);
        assert_eq!(rest.begin(FIRST, almost + FIRST * 200), (2, FIRST * 2));
        rest.failing(almost + FIRST * (200 + 2 + 64));
        assert_eq!(rest.begin(FIRST, almost + FIRST * 300), (1, FIRST));
        rest.forget();
        assert_eq!(rest.left(almost + FIRST * 300), None);
        assert_eq!(rest.begin(FIRST, almost + FIRST * 300), (1, FIRST));
    }

    #[test]
    fn times_that_are_beyond_any_clock_are_no_rest() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        assert_eq!(rest.begin(Duration::MAX, now), (1, Duration::MAX));
        assert_eq!(rest.left(now), None);
        rest.forget();
        assert_eq!(rest.begin(Duration::ZERO, now), (1, Duration::ZERO));
        assert_eq!(rest.left(now), None);
    }
}
