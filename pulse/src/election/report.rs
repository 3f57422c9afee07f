//! How an election stands, for an operator: lines of `what: how`.

use std::fmt;
use std::time::Instant;

use super::lines::{Seconds, words};
use super::{Doing, Election, Kind, Reason, Role, Said, Standing, State};

/// The lines; see [`Election::report`].
pub struct Report<'a> {
    pub(super) election: &'a Election,
    pub(super) now: Instant,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { election, now } = *self;
        let role = match election.settings.role {
            Role::Master => "MASTER",
            Role::Backup => "BACKUP",
        };
        let state = match election.state {
            State::Standby => "standby",
            State::Asking { .. } => "asking the witnesses",
            State::Listening { .. } => "listening",
            State::Active => "active",
            State::Lowering { .. } => "handing over",
            State::Leaving { .. } | State::Over => "stopping",
        };
        writeln!(f, "role: {role}\nstate: {state}")?;
        match election.reserve(now) {
            Some(reason @ Reason::Rests) => {
                let left = Seconds(election.fitness.rest.left(now).unwrap_or_default());
                writeln!(f, "fit: no, {}, not taking them for another {left}", words(reason))?;
            }
            Some(reason) => writeln!(f, "fit: no, {}", words(reason))?,
            None => writeln!(f, "fit: yes")?,
        }
        write!(f, "partner: ")?;
        match election.partner.standing {
            Standing::Unknown => f.write_str("not known yet")?,
            Standing::Left => f.write_str("stopped")?,
            Standing::Silent if election.is_seen(now) => f.write_str("silent, but it answers for a VIP")?,
            Standing::Silent if election.is_rivalled() => f.write_str("silent, but it announces our VIPs")?,
            Standing::Silent => f.write_str("silent")?,
            Standing::Says(Said { rests: true, .. }) => f.write_str("unfit, failover services failed there")?,
            Standing::Says(Said { state, .. }) => f.write_str(match state {
                Doing::Standby => "standby",
                Doing::Active => "active",
                Doing::Unfit => "unfit",
                Doing::Listening => "listening",
                Doing::Lowering => "handing over",
            })?,
        }
        f.write_str(if election.partner.kind == Kind::Original { ", an original\n" } else { "\n" })?;
        for (path, heard) in election.settings.paths.iter().zip(election.partner.heard()) {
            match heard {
                Some(at) => {
                    let ago = Seconds(now.saturating_duration_since(at));
                    writeln!(f, "{} heartbeat path: heard {ago} ago", path.name)?;
                }
                None => writeln!(f, "{} heartbeat path: nothing heard", path.name)?,
            }
        }
        write!(f, "heartbeats: {}", election.counters())
    }
}
