//! Waiting for a condition with a generous deadline, the only way a test waits:
//! a fixed sleep is either too short on a loaded machine or too long everywhere.

use std::time::{Duration, Instant};

/// How often a condition is looked at. Looking costs a little, being late costs
/// the same again at most.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// For whatever a healthy machine does at once, and one with much else to do in a while;
/// only a broken one needs it all. Nothing is shown by the time itself.
pub const SOON: Duration = Duration::from_secs(60);

/// Whether `condition` holds before `deadline` has passed.
pub fn holds_within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        // Looked at once more after the deadline: this thread may have been asleep.
        let late = Instant::now() >= end;
        if condition() {
            return true;
        }
        if late {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// After `deadline`, naming `what` was waited for.
pub fn wait_until(deadline: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(deadline, condition), "waited {} s in vain: {what}", deadline.as_secs());
}

/// Waits until `look` finds something.
///
/// # Panics
/// After `deadline`, naming `what` was waited for.
pub fn wait_for<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(deadline, what, || {
        found = look();
        found.is_some()
    });
    found.expect("it was found")
}
