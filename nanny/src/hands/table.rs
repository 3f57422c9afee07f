//! The kernel's destination: reads it, and changes it when it is not as it should
//! be ([`crate::destination`] decides how). A refusal is never fatal: it is said
//! once, and tried again at the next look.

use std::net::SocketAddr;

use common::ipvs::{self, Agreement as _, Destination, Ipvs, ServiceKey};

use crate::destination::{Owned, Seen, Step};
use crate::health::Wanted;
use crate::messages::Message;

/// How often one settlement looks again because somebody else changed the table
/// between our look and our change. The next look goes on from there.
const ROUNDS: u32 = 3;

/// How the kernel's table is opened.
pub type Open = Box<dyn FnMut() -> Result<Box<dyn Ipvs>, ipvs::Error>>;

/// Where lines go.
pub type Say<'a> = &'a mut dyn FnMut(&Message);

/// One destination in the kernel.
pub struct Table {
    open: Open,
    ipvs: Option<Box<dyn Ipvs>>,
    service: ServiceKey,
    service_name: String,
    owned: Owned,
    /// The name of the server in the log: where checks go, as the original's.
    real: SocketAddr,
    seen: Option<Seen>,
    /// The destination as it last was, for putting it back as it was.
    last: Option<Destination>,
    /// What the kernel last was brought to.
    settled: Option<Wanted>,
    /// What was said about the kernel's refusal.
    trouble: Option<String>,
    refused: bool,
    service_missing: bool,
    destinations: usize,
}

impl Table {
    /// Nothing is opened or read yet.
    pub fn new(open: Open, service: ServiceKey, service_name: &str, owned: Owned, real: SocketAddr) -> Self {
        Self {
            open,
            ipvs: None,
            service,
            service_name: service_name.to_owned(),
            owned,
            real,
            seen: None,
            last: None,
            settled: None,
            trouble: None,
            refused: false,
            service_missing: false,
            destinations: 0,
        }
    }

    /// Reads the kernel. `Some`: it could be read, and holds the destination with
    /// this weight or does not.
    ///
    /// # Errors
    /// It could not be read; that was said, if it is news.
    pub fn look(&mut self, say: Say) -> Result<Option<u32>, ipvs::Error> {
        let read = self.kernel().and_then(|(ipvs, service)| ipvs.destinations(&service));
        match read {
            Ok(entries) => {
                self.destinations = entries.len();
                let ours = entries.into_iter().find(|entry| entry.destination.key == self.owned.key);
                self.now_there(say);
                let seen = ours.map_or(Seen::Absent, |entry| Seen::Present(entry.destination));
                let weight = match &seen {
                    Seen::Present(destination) => Some(destination.weight),
                    Seen::NoService | Seen::Absent => None,
                };
                self.remember(seen);
                Ok(weight)
            }
            Err(ipvs::Error::NoSuchService) => {
                self.now_missing(say);
                Ok(None)
            }
            Err(e) => Err(self.in_trouble(e, say)),
        }
    }

    /// Brings the kernel to what is wanted, starting from what was last seen.
    pub fn settle(&mut self, wanted: Wanted, say: Say) {
        for _ in 0..ROUNDS {
            let Some(seen) = &self.seen else {
                if self.look(say).is_err() {
                    return;
                }
                continue;
            };
            if *seen == Seen::NoService {
                // It may have come meanwhile; the next look says.
                self.settled = None;
                return;
            }
            let step = self.owned.step(wanted, seen, self.last.as_ref());
            if step == Step::Nothing {
                self.settled = Some(wanted);
                return;
            }
            self.announce(wanted, &step, say);
            match self.perform(&step) {
                Ok(()) => {
                    self.well(say);
                    self.remember(match step {
                        Step::Add(destination) | Step::Edit(destination) => Seen::Present(destination),
                        Step::Delete | Step::Nothing => Seen::Absent,
                    });
                    self.settled = Some(wanted);
                    return;
                }
                // Not as it was seen: look again.
                Err(ipvs::Error::Exists | ipvs::Error::NoSuchDestination) => {
                    self.settled = None;
                    self.seen = None;
                }
                Err(ipvs::Error::NoSuchService) => {
                    self.now_missing(say);
                    return;
                }
                Err(e) => {
                    self.settled = None;
                    self.seen = None;
                    self.in_trouble(e, say);
                    return;
                }
            }
        }
    }

    /// Adds the destination without looking first: lvsd has put a service back and
    /// asks all of its nannies at once, and a look reads what all of them added.
    /// `false`: nothing was absent, or something is in the way; look.
    pub fn put_back(&mut self, wanted: Wanted, say: Say) -> bool {
        let Step::Add(destination) = self.owned.step(wanted, &Seen::Absent, self.last.as_ref()) else { return false };
        let step = Step::Add(destination.clone());
        // A refusal is met again, and said, by the look.
        if self.perform(&step).is_err() {
            return false;
        }
        self.now_there(say);
        if self.settled == Some(wanted) {
            say(&Message::PutBack { destination: self.owned.key, service: &self.service_name });
        }
        self.remember(Seen::Present(destination));
        self.settled = Some(wanted);
        true
    }

    /// Deletes the destination, whatever was seen.
    ///
    /// # Errors
    /// It may still be there.
    pub fn remove(&mut self) -> Result<(), ipvs::Error> {
        let key = self.owned.key;
        let (ipvs, service) = match self.kernel() {
            Ok(kernel) => kernel,
            // No table, no destination.
            Err(ipvs::Error::NoIpvs) => return Ok(()),
            Err(e) => return Err(e),
        };
        match ipvs.delete_destination(&service, &key).or_absent() {
            Ok(_) | Err(ipvs::Error::NoIpvs) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Whether the kernel is as it was last wanted.
    #[cfg(test)]
    fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// How many destinations the service has.
    pub fn destinations(&self) -> usize {
        self.destinations
    }

    /// Whether the kernel refuses for a reason that only a person can mend: no
    /// IPVS, no right.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    fn kernel(&mut self) -> Result<(&mut dyn Ipvs, ServiceKey), ipvs::Error> {
        let service = self.service;
        let ipvs = match &mut self.ipvs {
            Some(ipvs) => ipvs,
            empty @ None => empty.insert((self.open)()?),
        };
        Ok((ipvs.as_mut(), service))
    }

    fn perform(&mut self, step: &Step) -> Result<(), ipvs::Error> {
        let key = self.owned.key;
        let (ipvs, service) = self.kernel()?;
        match step {
            Step::Nothing => Ok(()),
            Step::Add(destination) => ipvs.add_destination(&service, destination),
            Step::Edit(destination) => ipvs.edit_destination(&service, destination),
            Step::Delete => ipvs.delete_destination(&service, &key).or_absent().map(drop),
        }
    }

    /// A step that nobody here asked for since the kernel was last settled is the
    /// repair of somebody else's change.
    fn announce(&self, wanted: Wanted, step: &Step, say: Say) {
        let (real, destination, service) = (self.real, self.owned.key, self.service_name.as_str());
        let had = match &self.seen {
            Some(Seen::Present(destination)) => Some(destination),
            Some(Seen::NoService | Seen::Absent) | None => None,
        };
        if self.settled == Some(wanted) {
            match (step, had) {
                (Step::Add(_), _) => say(&Message::PutBack { destination, service }),
                (Step::Edit(gets), Some(had)) => say(&Message::SetRight { had, gets }),
                (Step::Delete, _) => say(&Message::TakenOut { destination, service }),
                (Step::Edit(_), None) | (Step::Nothing, _) => {}
            }
        } else if let (Step::Edit(gets), Some(had)) = (step, had)
            && had.weight > 0
            && gets.weight > 0
            && had.weight != gets.weight
        {
            say(&Message::AdjustingWeight { real, weight: gets.weight });
        }
    }

    fn remember(&mut self, seen: Seen) {
        if let Seen::Present(destination) = &seen {
            self.last = Some(destination.clone());
        }
        self.seen = Some(seen);
    }

    fn now_missing(&mut self, say: Say) {
        if !self.service_missing {
            say(&Message::ServiceMissing { service: &self.service_name });
        }
        self.service_missing = true;
        self.settled = None;
        self.destinations = 0;
        self.seen = Some(Seen::NoService);
        self.well(say);
    }

    fn now_there(&mut self, say: Say) {
        self.well(say);
        if self.service_missing {
            say(&Message::ServiceBack { service: &self.service_name });
        }
        self.service_missing = false;
    }

    fn well(&mut self, say: Say) {
        if self.trouble.take().is_some() {
            say(&Message::TableWell);
        }
        self.refused = false;
    }

    fn in_trouble(&mut self, error: ipvs::Error, say: Say) -> ipvs::Error {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            say(&Message::TableTrouble { error: &error });
        }
        self.trouble = Some(text);
        self.settled = None;
        self.refused = matches!(error, ipvs::Error::NoIpvs | ipvs::Error::Permission);
        error
    }
}

#[cfg(test)]
mod tests;
