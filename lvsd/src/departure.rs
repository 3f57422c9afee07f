//! What becomes of a real server that the file does not ask for any more: whether
//! its nanny takes the destination along at once, or leaves it in the kernel for
//! lvsd to take out later ([`crate::leaver`]).
//!
//! ```text
//! drain, or something new comes into its virtual in the same reload ── the nanny is released, the destination stays
//! else ────────────────────────────────────────────────────────────── the nanny ends and takes it along
//! ```
//!
//! New in its virtual: in the same service to the kernel, or in the virtual that
//! has its name now. So a changed port, mark, address or forwarding method, or one
//! server put in another's place, never leaves clients without a destination: the
//! new is judged and in the kernel before the old goes. Pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use common::ipvs::ServiceKey;

use crate::ledger::Ledger;
use crate::wanted::{Target, Wanted};

/// A nanny that runs, as far as a reload looks at it.
#[derive(Clone, Debug)]
pub struct Running<'a> {
    /// The destination it keeps.
    pub target: Target,
    /// Where it is met, if it keeps nothing else.
    pub place: Option<&'a str>,
    /// The names of its virtual and of itself when it was last wanted; those of one
    /// that was only found running are not known.
    pub names: Option<(&'a str, &'a str)>,
    /// Whether it is our nanny, which leaves its destination when it is asked to.
    pub is_nanny: bool,
}

/// How a destination stays after its nanny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Until the nannies of this service have judged their servers, and the kernel has
    /// those in use.
    pub wait: Option<ServiceKey>,
    /// Then with weight 0 until it has no connections, for this long at most.
    pub drain: Duration,
}

/// One that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Its destination.
    pub target: Target,
    /// The virtual's name when it was wanted; `?` if nobody knows.
    pub name: String,
    /// The server's name, or its address.
    pub server: String,
    /// How the destination stays; `None`: the nanny takes it along.
    pub stay: Option<Stay>,
    /// Whose nanny follows at the same meeting place: there it is one process after
    /// the other, not both.
    pub followed_by: Option<Target>,
}

/// Everything that runs and is not wanted, in the order of `running`. The ledger
/// knows what the file said while they were in it.
pub fn departures(wanted: &Wanted, running: &[Running<'_>], ledger: &Ledger) -> Vec<Departure> {
    let runs: HashSet<&Target> = running.iter().map(|running| &running.target).collect();
    let is_wanted: HashSet<&Target> = wanted.monitors().map(|monitor| &monitor.target).collect();
    let mut places: HashMap<&str, Target> = HashMap::new();
    let mut growing: HashSet<ServiceKey> = HashSet::new();
    let mut names: HashMap<&str, ServiceKey> = HashMap::new();
    for monitor in wanted.monitors().filter(|monitor| !runs.contains(&monitor.target)) {
        if monitor.assignment.is_none() {
            places.insert(&monitor.place, monitor.target);
        }
        growing.insert(monitor.target.service);
        names.insert(&monitor.name, monitor.target.service);
    }
    let services: HashMap<ServiceKey, Duration> =
        wanted.virtuals.iter().map(|wanted| (wanted.service.key, wanted.drain)).collect();
    let sorry: HashSet<Target> = wanted
        .virtuals
        .iter()
        .filter_map(|wanted| Some(Target { service: wanted.service.key, destination: wanted.sorry.as_ref()?.key }))
        .collect();
    let leaves = running.iter().filter(|running| !is_wanted.contains(&running.target));
    let departure = |running: &Running<'_>| {
        let Running { target, place, names: labels, is_nanny } = *running;
        let known = ledger.services.get(&target.service).map(String::as_str);
        let name = labels.map(|(name, _)| name).or(known);
        let same_service = growing.get(&target.service).copied();
        let wait = same_service.or_else(|| names.get(name?).copied());
        let as_it_is = wanted.inactive.get(&target).or_else(|| ledger.drains.get(&target));
        let drain = as_it_is.or_else(|| services.get(&target.service)).copied().unwrap_or_default();
        let followed_by = place.and_then(|place| places.get(place)).copied().filter(|_| is_nanny);
        // What is the sorry server from now on is no leaver.
        let can_stay = is_nanny && !sorry.contains(&target);
        let stays = can_stay && (wait.is_some() || !drain.is_zero() || followed_by.is_some());
        Departure {
            target,
            name: name.unwrap_or("?").to_owned(),
            server: labels.map_or_else(|| target.destination.to_string(), |(_, server)| server.to_owned()),
            stay: stays.then_some(Stay { wait, drain }),
            followed_by,
        }
    };
    leaves.map(departure).collect()
}

#[cfg(test)]
mod tests;
