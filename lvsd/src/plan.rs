//! The difference between what should be in the kernel and what is, as ordered
//! steps. A start, a reload, a stop and the look every few seconds are all the
//! same question asked of other arguments:
//!
//! ```text
//! wanted ─┐                     put back what is missing, change in place what differs,
//! table  ─┼─► steps             remove what is ours and no longer wanted;
//! ledger ─┘                     of what is not ours: nothing
//! ```
//!
//! Ours is a service that the file wants or that the ledger says an lvsd made.
//! Within our services a destination belongs to the nanny that keeps it (`owned`)
//! and is never touched; the sorry server belongs to lvsd; anything else is
//! nobody's and goes. Pure.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use common::ipvs::{
    Destination, DestinationEntry, DestinationKey, ForwardingMethod, Service, ServiceFlags, ServiceKey, Timeouts,
};

use crate::ledger::Ledger;
use crate::messages::Seconds;
use crate::sorry::Standby;
use crate::wanted::{Target, Virtual, Wanted};

/// The kernel's table, as far as lvsd looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Connection timeouts.
    pub timeouts: Timeouts,
    /// All services.
    pub services: BTreeMap<ServiceKey, Service>,
    /// The destinations of those that are ours.
    pub destinations: BTreeMap<ServiceKey, Vec<DestinationEntry>>,
}

/// Why a destination goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the sorry server, and there are real servers again.
    SorryOut,
    /// Nothing in the file asks for it.
    NotConfigured,
    /// It left the file; its nanny went before.
    Left,
    /// It left the file, and drained as long as it was to.
    Drained {
        /// What it has still.
        connections: u32,
    },
}

/// One change. Names are those of the file (or the ledger) and go into the log.
#[allow(missing_docs, reason = "a field is what its name says")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Set those that are not zero.
    SetTimeouts(Timeouts),
    /// Add a service.
    AddService { name: String, service: Service },
    /// Change a service in place; `what` names each difference.
    EditService { name: String, service: Service, what: String },
    /// Delete a service with whatever is in it.
    DeleteService { name: String, key: ServiceKey },
    /// Add the sorry server.
    AddSorry { name: String, service: ServiceKey, destination: Destination },
    /// Change the sorry server in place.
    EditSorry { name: String, service: ServiceKey, destination: Destination },
    /// Remove a destination.
    RemoveDestination { name: String, service: ServiceKey, destination: DestinationKey, why: Why },
    /// Give a destination that leaves weight 0.
    Drain { name: String, service: ServiceKey, destination: Destination, connections: u32, limit: Duration },
    /// Give one that was draining its weight back.
    Return { name: String, service: ServiceKey, destination: Destination },
}

/// What the step does, for `--plan` and `--test-start`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                write!(f, "set timeouts {} {} {}", tcp.as_secs(), tcp_fin.as_secs(), udp.as_secs())
            }
            Self::AddService { name, service } => {
                write!(f, "add virtual service {name}: {}, scheduler {}", service.key, service.scheduler)?;
                match persistence(service) {
                    0 => Ok(()),
                    time => write!(f, ", persistent {time}"),
                }
            }
            Self::EditService { name, service, what } => {
                write!(f, "change virtual service {name} ({}): {what}", service.key)
            }
            Self::DeleteService { name, key } => write!(f, "delete virtual service {name}: {key}"),
            Self::AddSorry { name, destination, .. } => write!(f, "add sorry server {} to {name}", destination.key),
            Self::EditSorry { name, destination, .. } => write!(f, "change sorry server {} of {name}", destination.key),
            Self::RemoveDestination { name, destination, .. } => write!(f, "remove {destination} from {name}"),
            Self::Drain { name, destination, connections, limit, .. } => {
                let limit = Seconds(*limit);
                write!(f, "drain {} of {name}: {connections} connections, {limit} at most", destination.key)
            }
            Self::Return { name, destination, .. } => {
                write!(f, "give {} of {name} its weight back: {}", destination.key, destination.weight)
            }
        }
    }
}

/// The timeouts to set: only those that are wanted (not zero) and different.
pub fn timeouts(wanted: &Timeouts, have: &Timeouts) -> Option<Step> {
    let differs = |wanted: Duration, have| !wanted.is_zero() && wanted != have;
    let any = differs(wanted.tcp, have.tcp) || differs(wanted.tcp_fin, have.tcp_fin) || differs(wanted.udp, have.udp);
    any.then_some(Step::SetTimeouts(*wanted))
}

/// What makes the service as it should be.
pub fn service(wanted: &Virtual, have: Option<&Service>) -> Option<Step> {
    let (name, service) = (wanted.name.clone(), wanted.service.clone());
    match have {
        None => Some(Step::AddService { name, service }),
        Some(have) => {
            let what = differences(&wanted.service, have);
            (!what.is_empty()).then_some(Step::EditService { name, service, what })
        }
    }
}

/// What makes the destinations of a wanted service as they should be, but for
/// those of the nannies: the configured ones, and those of nannies on their way
/// out (`owned`).
pub fn destinations(
    wanted: &Virtual,
    have: &[Destination],
    owned: impl Fn(&Target) -> bool,
    standby: Standby,
) -> Vec<Step> {
    let (name, service) = (&wanted.name, wanted.service.key);
    // One that the file wants is its nanny's even before there is a nanny: after
    // the death of all of them the next one adopts what is there.
    let wanted_here: HashSet<DestinationKey> = wanted.monitors.iter().map(|m| m.target.destination).collect();
    let is_owned = |key: &DestinationKey| wanted_here.contains(key) || owned(&Target { service, destination: *key });
    let sorry = wanted.sorry.as_ref().filter(|sorry| !is_owned(&sorry.key));
    let (mut steps, mut removals) = (Vec::new(), Vec::new());
    for entry in have.iter().filter(|entry| !is_owned(&entry.key)) {
        let why = match (sorry.filter(|sorry| sorry.key == entry.key), standby) {
            (Some(_), Standby::Undecided) => continue,
            (Some(sorry), Standby::In) => {
                if !same_sorry(sorry, entry) {
                    let (name, destination) = (name.clone(), sorry.clone());
                    steps.push(Step::EditSorry { name, service, destination });
                }
                continue;
            }
            (Some(_), Standby::Out) => Why::SorryOut,
            (None, Standby::Undecided | Standby::In | Standby::Out) => Why::NotConfigured,
        };
        removals.push(Step::RemoveDestination { name: name.clone(), service, destination: entry.key, why });
    }
    if let Some(sorry) = sorry
        && standby == Standby::In
        && !have.iter().any(|entry| entry.key == sorry.key)
    {
        steps.push(Step::AddSorry { name: name.clone(), service, destination: sorry.clone() });
    }
    // What comes is there before what it replaces goes.
    steps.append(&mut removals);
    steps
}

/// The services that an lvsd made, that the kernel has and the file does not want.
/// One whose nannies have not ended (`busy`) waits for them.
pub fn leftovers<'a>(
    wanted: impl Fn(&ServiceKey) -> bool + 'a,
    has: impl Fn(&ServiceKey) -> bool + 'a,
    ledger: &'a Ledger,
    busy: impl Fn(&ServiceKey) -> bool + 'a,
) -> impl Iterator<Item = Step> + 'a {
    ledger
        .services
        .iter()
        .filter(move |(key, _)| !wanted(key) && has(key) && !busy(key))
        .map(|(key, name)| Step::DeleteService { name: name.clone(), key: *key })
}

/// A stop, after the nannies ended: every configured service goes, and what the
/// ledger still has.
pub fn stop(wanted: &Wanted, ledger: &Ledger) -> Vec<Step> {
    let configured = wanted.virtuals.iter().map(|wanted| (wanted.service.key, wanted.name.clone()));
    let keys: HashSet<ServiceKey> = wanted.virtuals.iter().map(|wanted| wanted.service.key).collect();
    let others = ledger.services.iter().filter(|(key, _)| !keys.contains(key)).map(|(key, name)| (*key, name.clone()));
    configured.chain(others).map(|(key, name)| Step::DeleteService { name, key }).collect()
}

/// Every difference that matters, as `scheduler rr -> wlc`; empty if none does.
/// Without persistence the kernel keeps a netmask and a time that mean nothing.
fn differences(wanted: &Service, have: &Service) -> String {
    let mut list = Vec::new();
    if wanted.scheduler != have.scheduler {
        list.push(format!("scheduler {} -> {}", have.scheduler, wanted.scheduler));
    }
    let (persistent, was) = (is_persistent(wanted), is_persistent(have));
    if persistent != was || (persistent && wanted.persistence != have.persistence) {
        list.push(format!("persistent {} -> {}", persistence(have), persistence(wanted)));
    }
    if persistent && was && wanted.prefix != have.prefix {
        list.push(format!("pmask /{} -> /{}", have.prefix, wanted.prefix));
    } else if persistent && !was && wanted.prefix != wanted.key.family().bits() {
        list.push(format!("pmask /{}", wanted.prefix));
    }
    let (flags, had) = (other_flags(wanted), other_flags(have));
    if flags != had {
        list.push(format!("flags {had:#x} -> {flags:#x}"));
    }
    if wanted.engine != have.engine {
        let name = |engine: &Option<String>| engine.clone().unwrap_or_else(|| "none".to_owned());
        list.push(format!("persistence engine {} -> {}", name(&have.engine), name(&wanted.engine)));
    }
    list.join(", ")
}

fn is_persistent(service: &Service) -> bool {
    service.flags.0 & ServiceFlags::PERSISTENT != 0
}

fn persistence(service: &Service) -> u64 {
    if is_persistent(service) { service.persistence.as_secs() } else { 0 }
}

fn other_flags(service: &Service) -> u32 {
    service.flags.0 & ServiceFlags::MASK & !ServiceFlags::PERSISTENT
}

/// The kernel calls an address of the director's own `Local` whatever was asked.
fn same_sorry(wanted: &Destination, have: &Destination) -> bool {
    have.weight == wanted.weight && (have.method == wanted.method || have.method == ForwardingMethod::Local)
}

#[cfg(test)]
mod tests;
