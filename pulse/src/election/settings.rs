//! What the election goes by, as its caller took it from the configuration.

use std::time::Duration;

use crate::heartbeat::Service;

/// Which of the two this director is; from `primary` and `backup` among the
/// host's addresses, and fixed for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `primary` is ours. Keeps the VIPs when both directors are active.
    Master,
    /// `backup` is ours.
    Backup,
}

/// One way heartbeats go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// `Primary`, `Private` or what the configuration calls it; for the log.
    pub name: String,
    /// Whether a director without this path's link cannot serve. True of the
    /// public one; not of a cable between the two, which goes dark when the
    /// partner dies.
    pub serves: bool,
}

/// Everything the election goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// See [`Role`]; a reload cannot change it.
    pub role: Role,
    /// What the pair runs; a reload cannot change it.
    pub service: Service,
    /// Between two heartbeats; from 10 ms.
    pub keepalive: Duration,
    /// How long the partner may be silent before it counts as dead.
    pub deadtime: Duration,
    /// The heartbeat paths, 1 to [`crate::heartbeat::PATHS_MAX`]; the public one
    /// first. An [`super::Event::Datagram`] names one by its index.
    pub paths: Vec<Path>,
    /// How long witnesses may take to answer; `None`: nobody is asked before a
    /// takeover.
    pub witness: Option<Duration>,
    /// How often a partner that is seen and not heard is looked for; not less than
    /// keepalive.
    pub look_every: Duration,
    /// The MASTER takes the VIPs back this long after it is fit and hears the
    /// partner; `None`: it does not, as the original.
    pub auto_failback: Option<Duration>,
    /// How long lvsd or `check_cmd` must be well again before the director is fit, and
    /// how long its first rest is once it has handed over failover services. Keeps two
    /// directors that both fail from throwing the VIPs to and fro.
    pub steady: Duration,
    /// Of the configuration, told to the partner; 0: not told.
    pub fingerprint: u64,
}

/// Below this a heartbeat would be a busy loop; the original had one at 0
/// (piranha.md 2.3).
const KEEPALIVE_MIN: Duration = Duration::from_millis(10);

/// The longest a heartbeat can say of itself is 71 minutes.
const KEEPALIVE_MAX: Duration = Duration::from_secs(3600);

/// Longer than anybody waits for anything; keeps sums of times in range.
const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

impl Settings {
    /// The same, with times that cannot hurt.
    #[must_use]
    pub fn sane(mut self) -> Self {
        self.keepalive = self.keepalive.clamp(KEEPALIVE_MIN, KEEPALIVE_MAX);
        self.deadtime = self.deadtime.clamp(KEEPALIVE_MIN, WAIT_MAX);
        self.look_every = self.look_every.clamp(self.keepalive, WAIT_MAX);
        self.witness = self.witness.map(|wait| wait.min(WAIT_MAX));
        self.auto_failback = self.auto_failback.map(|wait| wait.min(WAIT_MAX));
        self.steady = self.steady.min(WAIT_MAX);
        self.paths.truncate(crate::heartbeat::PATHS_MAX);
        self
    }
}
