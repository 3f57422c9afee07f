//! When the next check and the next look at the kernel are due. Pure.
//!
//! The first check is made at once, the following ones on a grid of one interval
//! whose phase is decided by the destination's name: they do not drift, and the
//! ten thousand nannies of one start do not fire together (the original's did,
//! piranha.md 7.3 no. 39). A server in doubt is checked again sooner ([`soon`]); the
//! grid goes on beside that.

use std::time::{Duration, Instant};

/// How often the kernel's entry is read and set right.
pub const LOOK_EVERY: Duration = Duration::from_secs(3);

/// The same while the kernel refuses for want of IPVS or rights, which takes a
/// person to change.
pub const LOOK_EVERY_REFUSED: Duration = Duration::from_secs(10);

/// The longest time between two looks, however many destinations there are.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// A look reads all destinations of the service, and each of them has a nanny
/// that looks: together they may read so many entries a second (a few percent of
/// one core).
const ENTRIES_PER_SECOND: u64 = 20_000;

/// The grid of checks.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Instant,
    phase: Duration,
    interval: Duration,
}

impl Schedule {
    /// A grid whose first line is at most one interval after `start`, how much
    /// less decided by `seed`. The interval is not zero.
    pub fn new(start: Instant, interval: Duration, seed: u64) -> Self {
        Self { start, phase: spread(interval, seed), interval }
    }

    /// The first line of the grid after `now`.
    pub fn next(&self, now: Instant) -> Instant {
        let first = self.start + self.phase;
        if now < first {
            return first;
        }
        let interval = self.interval.as_nanos().max(1);
        let into = now.saturating_duration_since(first).as_nanos() % interval;
        // Less than an interval, which is at most a year: it fits.
        now + Duration::from_nanos(u64::try_from(interval - into).unwrap_or(u64::MAX))
    }
}

/// A part of `time`, more than none of it and at most all, decided by `seed`.
pub fn spread(time: Duration, seed: u64) -> Duration {
    let part = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) + 1; // 1 to 65536
    time.mul_f64(f64::from(u32::try_from(part).unwrap_or(1)) / 65_536.0)
}

/// A little less than `time`, up to an eighth, decided by `seed`: many who lost
/// something at one moment do not all look again at one moment.
pub fn soon(time: Duration, seed: u64) -> Duration {
    time.saturating_sub(spread(time / 8, seed))
}

/// How long until the next look at a service with so many destinations.
pub fn look_every(destinations: usize) -> Duration {
    let n = u64::try_from(destinations).unwrap_or(u64::MAX);
    Duration::from_millis(n.saturating_mul(n).saturating_mul(1000) / ENTRIES_PER_SECOND).clamp(LOOK_EVERY, LOOK_MAX)
}

/// The part of `time` that belongs to `count` of `all`; all of it, if there is none.
pub fn slice(time: Duration, count: usize, all: usize) -> Duration {
    let part = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    if count == 0 || count >= all { time } else { time.saturating_mul(part(count)) / part(all) }
}

/// How long this process was asleep, if it was: it woke so much later than it
/// asked to that what it waited for may have come and gone unseen (a stopped
/// process, a paused virtual machine). A busy machine's delay is not sleep.
pub fn overslept(asked: Instant, now: Instant, interval: Duration) -> Option<Duration> {
    let late = now.saturating_duration_since(asked);
    let busy = (interval / 4).clamp(Duration::from_millis(250), Duration::from_secs(1));
    (late > busy).then_some(late)
}

#[cfg(test)]
mod tests;
