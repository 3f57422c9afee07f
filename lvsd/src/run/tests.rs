//! What tests with real children share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::command::Starter;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Held by whoever starts children, or reaps them: waitpid takes any.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The test's program is no lvsd.
pub(crate) fn starter() -> Starter {
    Starter::by(concat!(env!("CARGO_MANIFEST_DIR"), "/../common/tests/become"))
}
