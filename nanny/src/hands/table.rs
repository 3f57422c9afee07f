//! The kernel's destination: reads it, and changes it when it is not as it should
//! be ([`crate::destination`] decides how). A refusal is never fatal: it is said
//! once, and tried again at the next look.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

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

/// The way to the kernel's table, opened when it is first needed, and what was said
/// about its refusals: a trouble that many destinations have is one line.
pub struct Kernel {
    open: Open,
    ipvs: Option<Box<dyn Ipvs>>,
    /// How many destinations have which trouble.
    troubles: BTreeMap<Rc<str>, usize>,
    refused: bool,
}

impl Kernel {
    /// Nothing is opened yet.
    pub fn new(open: Open) -> Self {
        Self { open, ipvs: None, troubles: BTreeMap::new(), refused: false }
    }

    /// Whether the kernel refuses for a reason that only a person can mend: no
    /// IPVS, no right.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    fn ipvs(&mut self) -> Result<&mut dyn Ipvs, ipvs::Error> {
        let ipvs = match &mut self.ipvs {
            Some(ipvs) => ipvs,
            empty @ None => empty.insert((self.open)()?),
        };
        Ok(ipvs.as_mut())
    }

    /// A destination has this trouble, in words that all who have it share; `true`: it
    /// is the first.
    fn troubled(&mut self, text: &str) -> (Rc<str>, bool) {
        let known = self.troubles.get_key_value(text).map(|(known, _)| Rc::clone(known));
        let is_first = known.is_none();
        let text = known.unwrap_or_else(|| text.into());
        *self.troubles.entry(Rc::clone(&text)).or_default() += 1;
        (text, is_first)
    }

    /// A destination has this trouble no more; `true`: none has any.
    fn mended(&mut self, text: &str) -> bool {
        if let Some(count) = self.troubles.get_mut(text) {
            *count -= 1;
            if *count == 0 {
                self.troubles.remove(text);
            }
        }
        self.troubles.is_empty()
    }
}

/// One destination in the kernel.
pub struct Table {
    service: ServiceKey,
    service_name: Rc<str>,
    owned: Owned,
    /// The name of the server in the log: where checks go, as the original's.
    real: SocketAddr,
    seen: Option<Seen>,
    /// The destination as it last was, for putting it back as it was.
    last: Option<Destination>,
    /// What the kernel last was brought to.
    settled: Option<Wanted>,
    /// What was said about the kernel's refusal.
    trouble: Option<Rc<str>>,
    service_missing: bool,
    destinations: u32,
}

impl Table {
    /// Nothing is read yet.
    pub fn new(service: ServiceKey, service_name: Rc<str>, owned: Owned, real: SocketAddr) -> Self {
        Self {
            service,
            service_name,
            owned,
            real,
            seen: None,
            last: None,
            settled: None,
            trouble: None,
            service_missing: false,
            destinations: 0,
        }
    }

    /// The destination is to be kept so from now on.
    pub fn own(&mut self, owned: Owned) {
        if self.owned != owned {
            self.owned = owned;
            // What differs from now on nobody else changed.
            self.settled = None;
        }
    }

    /// Reads the kernel. `Some`: it could be read, and holds the destination with
    /// this weight or does not.
    ///
    /// # Errors
    /// It could not be read; that was said, if it is news.
    pub fn look(&mut self, kernel: &mut Kernel, say: Say) -> Result<Option<u32>, ipvs::Error> {
        let read = kernel.ipvs().and_then(|ipvs| ipvs.destinations(&self.service));
        match read {
            Ok(entries) => {
                self.destinations = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                let ours = entries.into_iter().find(|entry| entry.destination.key == self.owned.key);
                self.now_there(kernel, say);
                let seen = ours.map_or(Seen::Absent, |entry| Seen::Present(entry.destination));
                let weight = match &seen {
                    Seen::Present(destination) => Some(destination.weight),
                    Seen::NoService | Seen::Absent => None,
                };
                self.remember(seen);
                Ok(weight)
            }
            Err(ipvs::Error::NoSuchService) => {
                self.now_missing(kernel, say);
                Ok(None)
            }
            Err(e) => {
                self.in_trouble(&e, kernel, say);
                Err(e)
            }
        }
    }

    /// Brings the kernel to what is wanted, starting from what was last seen.
    pub fn settle(&mut self, wanted: Wanted, kernel: &mut Kernel, say: Say) {
        for _ in 0..ROUNDS {
            let Some(seen) = &self.seen else {
                if self.look(kernel, say).is_err() {
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
            match self.perform(&step, kernel) {
                Ok(()) => {
                    self.well(kernel, say);
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
                    self.now_missing(kernel, say);
                    return;
                }
                Err(e) => {
                    self.settled = None;
                    self.seen = None;
                    self.in_trouble(&e, kernel, say);
                    return;
                }
            }
        }
    }

    /// Adds the destination without looking first: lvsd has put a service back and
    /// asks all of its nannies at once, and a look reads what all of them added.
    /// `false`: nothing was absent, or something is in the way; look.
    pub fn put_back(&mut self, wanted: Wanted, kernel: &mut Kernel, say: Say) -> bool {
        let Step::Add(destination) = self.owned.step(wanted, &Seen::Absent, self.last.as_ref()) else { return false };
        let step = Step::Add(destination.clone());
        // A refusal is met again, and said, by the look.
        if self.perform(&step, kernel).is_err() {
            return false;
        }
        self.now_there(kernel, say);
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
    pub fn remove(&mut self, kernel: &mut Kernel) -> Result<(), ipvs::Error> {
        let ipvs = match kernel.ipvs() {
            Ok(ipvs) => ipvs,
            // No table, no destination.
            Err(ipvs::Error::NoIpvs) => return Ok(()),
            Err(e) => return Err(e),
        };
        match ipvs.delete_destination(&self.service, &self.owned.key).or_absent() {
            Ok(_) | Err(ipvs::Error::NoIpvs) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Whether the kernel is as it was last wanted.
    pub fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// How many destinations the service has.
    pub fn destinations(&self) -> usize {
        usize::try_from(self.destinations).unwrap_or(usize::MAX)
    }

    /// It is not kept any more: its trouble is nobody's.
    pub fn forget(&mut self, kernel: &mut Kernel) {
        if let Some(text) = self.trouble.take() {
            kernel.mended(&text);
        }
    }

    fn perform(&self, step: &Step, kernel: &mut Kernel) -> Result<(), ipvs::Error> {
        let (key, service) = (self.owned.key, self.service);
        let ipvs = kernel.ipvs()?;
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
        let (real, destination, service) = (self.real, self.owned.key, &*self.service_name);
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

    fn now_missing(&mut self, kernel: &mut Kernel, say: Say) {
        if !self.service_missing {
            say(&Message::ServiceMissing { service: &self.service_name });
        }
        self.service_missing = true;
        self.settled = None;
        self.destinations = 0;
        self.seen = Some(Seen::NoService);
        self.well(kernel, say);
    }

    fn now_there(&mut self, kernel: &mut Kernel, say: Say) {
        self.well(kernel, say);
        if self.service_missing {
            say(&Message::ServiceBack { service: &self.service_name });
        }
        self.service_missing = false;
    }

    fn well(&mut self, kernel: &mut Kernel, say: Say) {
        if let Some(text) = self.trouble.take()
            && kernel.mended(&text)
        {
            say(&Message::TableWell);
        }
        kernel.refused = false;
    }

    fn in_trouble(&mut self, error: &ipvs::Error, kernel: &mut Kernel, say: Say) {
        let text = error.to_string();
        if self.trouble.as_deref() != Some(&text) {
            self.forget(kernel);
            let (text, is_first) = kernel.troubled(&text);
            if is_first {
                say(&Message::TableTrouble { error });
            }
            self.trouble = Some(text);
        }
        self.settled = None;
        kernel.refused = matches!(error, ipvs::Error::NoIpvs | ipvs::Error::Permission);
    }
}

#[cfg(test)]
mod tests;
