//! What is to be done so that the kernel has the destination it should have.
//! Pure: what it should have and what it has in, one step out. A destination is
//! (address, port as the kernel has it): under direct routing and tunnelling that
//! is the virtual port, wherever checks go (piranha.md 7.1).

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
}

impl Owned {
    /// The step from what is to what should be. Thresholds and encapsulation are
    /// the operator's: they stay as they are, and a destination that is put back
    /// gets those of `last`, as it was last seen.
    pub fn step(&self, wanted: Wanted, seen: &Seen, last: Option<&Destination>) -> Step {
        match (wanted, seen) {
            (Wanted::Untouched, Seen::NoService | Seen::Absent | Seen::Present(_))
            // lvsd owns services: this one waits until it is there.
            | (Wanted::Weight(_) | Wanted::Quiesced | Wanted::Absent, Seen::NoService)
            | (Wanted::Quiesced | Wanted::Absent, Seen::Absent) => Step::Nothing,
            (Wanted::Absent, Seen::Present(_)) => Step::Delete,
            (Wanted::Weight(weight), Seen::Absent) => {
                let fresh = || Destination::new(self.key, self.method, weight);
                Step::Add(last.map_or_else(fresh, |last| self.like(last, weight)))
            }
            (Wanted::Weight(weight), Seen::Present(has)) => self.correct(has, weight),
            (Wanted::Quiesced, Seen::Present(has)) => self.correct(has, 0),
        }
    }

    fn correct(&self, has: &Destination, weight: u32) -> Step {
        // Older kernels say Local of an address of their own, whatever was asked.
        let forwards = has.method == self.method || has.method == ForwardingMethod::Local;
        if forwards && has.weight == weight { Step::Nothing } else { Step::Edit(self.like(has, weight)) }
    }

    fn like(&self, other: &Destination, weight: u32) -> Destination {
        Destination { key: self.key, method: self.method, weight, ..other.clone() }
    }
}

#[cfg(test)]
mod tests;
