//! What the election is told, and what it wants done.

use std::time::{Duration, Instant};

use super::{Line, Settings, Watched};
use crate::heartbeat::{Datagram, Heartbeat, Reason};

/// How this director begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing of the VIPs is here.
    Fresh,
    /// `--forceactive`
    Forced,
    /// VIPs of an earlier start are here (it died, or was replaced): they stay
    /// unless the partner has taken over.
    Holding,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A readable datagram came from one of the partner's addresses.
    Datagram {
        /// Index into [`super::Settings::paths`], by the address it came from.
        path: usize,
        /// What it was.
        datagram: Datagram,
    },
    /// [`super::Election::deadline`] has come, or any other turn of the loop.
    Tick,
    /// This process was busy for so long, until then, with what we wanted done: no
    /// sleep. What the partner said meanwhile is not read yet, and nothing is
    /// judged by this event.
    Worked {
        /// How long.
        lasted: Duration,
        /// When it was done.
        until: Instant,
    },
    /// This process, or the whole machine, did not run for this long.
    Slept {
        /// By a clock that goes on during a suspend.
        lasted: Duration,
    },
    /// A monitored link went up or down.
    Link {
        /// Index into [`super::Settings::paths`].
        path: usize,
        /// Whether it is up now.
        is_up: bool,
    },
    /// lvsd or `check_cmd` fails for good.
    Failing(Watched),
    /// It is well again.
    Mended(Watched),
    /// The answer to [`Action::AskWitness`].
    Witness(Answer),
    /// The partner's hardware address announced one of the VIPs we hold: unasked,
    /// so that it is its pulse that lives and not its kernel alone.
    Announced,
    /// [`Action::Yield`] is done: no VIP is here any more.
    Lowered,
    /// Somebody wants something.
    Asked(Request),
    /// The configuration was read again.
    Reloaded(Box<Settings>),
}

/// What witnesses said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One of them answered, and nobody did for a VIP.
    Heard,
    /// None did.
    Silent,
    /// Somebody answers for a VIP.
    VipHeld {
        /// Who.
        mac: [u8; 6],
    },
}

/// What somebody may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Hand over and end.
    Stop,
    /// End and leave everything as it is; a new start follows.
    Detach,
    /// Move the VIPs to the other director, whichever that is.
    Relocate,
    /// Hand over, and do not become active again before [`Request::Restore`].
    Release,
    /// The end of [`Request::Release`], and of what [`Request::Relocate`] means for
    /// `auto_failback`.
    Restore,
}

/// What must be done now, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this on every path, each time with [`Heartbeat::on`] that path.
    SendHeartbeat(Heartbeat),
    /// Serve: lvsd, then the VIPs, then their announcement; what is there already
    /// stays. Not answered: a failure comes as [`Event::Failing`].
    BecomeActive {
        /// On what evidence.
        why: Activation,
    },
    /// Take the VIPs away, then lvsd; answered by [`Event::Lowered`] as soon as the
    /// VIPs are gone.
    Yield {
        /// To what.
        why: Deactivation,
    },
    /// Announce the VIPs again: somebody else did, too.
    Reannounce,
    /// Ask the witnesses, and who answers for the VIPs (while
    /// [`super::Election::is_eclipsed`] in any case); answered by
    /// [`Event::Witness`] within [`super::Settings::witness`].
    AskWitness,
    /// Worth a line in the log.
    Say(Line),
    /// It is over; the process may end.
    Finished,
}

/// Why a director becomes active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// It was told to at its start.
    Forced,
    /// The partner was silent.
    PartnerDead {
        /// For this long, while we were awake.
        silent: Duration,
    },
    /// The partner said that it does not hold the VIPs.
    PartnerInactive,
    /// The partner said that it is being stopped.
    PartnerLeft,
    /// `auto_failback`, from an original that yields to the MASTER.
    Failback,
    /// By hand, from an original that yields to the MASTER.
    Relocated,
    /// It was active before, and the partner has not taken over.
    Resumed,
}

/// Why a director gives the VIPs away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deactivation {
    /// The partner is active and outranks us, or took over while we slept.
    PartnerActive,
    /// The partner is active and cannot hear that it should yield.
    PartnerDeaf,
    /// The partner announces the VIPs, although no heartbeat comes from it.
    PartnerAnnounces,
    /// We cannot serve, and the partner can (or the links are down).
    Unfit(Reason),
    /// The partner asked for them.
    Wanted,
    /// By hand.
    Relocated,
    /// We are being stopped.
    Stopped,
}
