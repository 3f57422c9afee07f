//! What is to be done so that the kernel has the destination it should have.
//! Pure: what it should have and what it has in, one step out. A destination is
//! (address, port as the kernel has it): under direct routing and tunnelling that
//! is the virtual port, wherever checks go (piranha.md 7.1).

pub use common::destinations::Limits;
use common::ipvs::{Destination, DestinationKey, ForwardingMethod};

use crate::health::Wanted;

/// What the kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not even the virtual service.
    NoService,
    /// The service without the destination.
    Absent,
    /// The destination.
    Present(Destination),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as it should be, or nothing can be done.
    Nothing,
    /// Add it so.
    Add(Destination),
    /// Change it so.
    Edit(Destination),
    /// Delete it.
    Delete,
}

/// The destination a nanny owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Address and port as the kernel has them.
    pub key: DestinationKey,
    /// How the kernel forwards to it.
    pub method: ForwardingMethod,
    /// Its thresholds, if they are not the operator's.
    pub limits: Option<Limits>,
}

impl Owned {
    /// The step from what is to what should be. Encapsulation, and thresholds that are
    /// not configured, are the operator's: they stay as they are, and a destination
    /// that is put back gets those of `last`, as it was last seen.
    pub fn step(&self, wanted: Wanted, seen: &Seen, last: Option<&Destination>) -> Step {
        match (wanted, seen) {
            (Wanted::Untouched, Seen::NoService | Seen::Absent | Seen::Present(_))
            // lvsd owns services: this one waits until it is there.
            | (Wanted::Weight(_) | Wanted::Quiesced | Wanted::Absent, Seen::NoService)
            | (Wanted::Quiesced | Wanted::Absent, Seen::Absent) => Step::Nothing,
            (Wanted::Absent, Seen::Present(_)) => Step::Delete,
            (Wanted::Weight(weight), Seen::Absent) => {
                let fresh = || Destination::new(self.key, self.method, weight);
                Step::Add(self.like(&last.cloned().unwrap_or_else(fresh), weight))
            }
            (Wanted::Weight(weight), Seen::Present(has)) => self.correct(has, weight),
            (Wanted::Quiesced, Seen::Present(has)) => self.correct(has, 0),
        }
    }

    fn correct(&self, has: &Destination, weight: u32) -> Step {
        // Older kernels say Local of an address of their own, whatever was asked.
        let forwards = has.method == self.method || has.method == ForwardingMethod::Local;
        let limits = Limits { upper: has.upper_threshold, lower: has.lower_threshold };
        let limited = self.limits.is_none_or(|wanted| wanted == limits);
        if forwards && limited && has.weight == weight { Step::Nothing } else { Step::Edit(self.like(has, weight)) }
    }

    fn like(&self, other: &Destination, weight: u32) -> Destination {
        let limits = self.limits.unwrap_or(Limits { upper: other.upper_threshold, lower: other.lower_threshold });
        let Limits { upper: upper_threshold, lower: lower_threshold } = limits;
        Destination { key: self.key, method: self.method, weight, upper_threshold, lower_threshold, ..other.clone() }
    }
}

#[cfg(test)]
mod tests;
