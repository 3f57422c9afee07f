//! How much of what can be long is done in one turn of the loop: so many steps, and
//! none that would begin after so long. The first is always done, so that each turn
//! comes on. Pure.

use std::time::{Duration, Instant};

/// What is left of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    is_fresh: bool,
    left: usize,
    until: Instant,
}

impl Slice {
    /// Of so many steps, that begin within so long from now on.
    pub fn new(steps: usize, within: Duration, now: Instant) -> Self {
        Self { is_fresh: true, left: steps, until: now + within }
    }

    /// Whether one more may begin; it counts as done then.
    pub fn has_room(&mut self, now: Instant) -> bool {
        let is_first = std::mem::take(&mut self.is_fresh);
        let has_room = self.left > 0 && (is_first || now < self.until);
        self.left = self.left.saturating_sub(1);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many steps of this length are done.
    fn steps(count: usize, within: Duration, step: Duration) -> usize {
        let mut now = Instant::now();
        let mut slice = Slice::new(count, within, now);
        std::iter::from_fn(|| {
            let has_room = slice.has_room(now);
            now += step;
            has_room.then_some(())
        })
        .count()
    }

    #[test]
    fn a_slice_ends_with_its_steps_or_its_time_and_is_never_empty() {
        assert_eq!(steps(50, MS * 100, Duration::ZERO), 50);
        assert_eq!(steps(50, MS * 100, MS), 50);
        assert_eq!(steps(50, MS * 100, MS * 10), 10);
        assert_eq!(steps(50, MS * 100, MS * 5000), 1);
        assert_eq!(steps(50, Duration::ZERO, MS), 1);
        assert_eq!(steps(0, MS * 100, MS), 0);
    }
}
