//! The table in memory, for tests of those who use [`Ipvs`]: it answers as the
//! kernel does (the same conformance test runs over both), fails on demand, and
//! remembers what it was asked.
//!
//! ```
//! use common::ipvs::fake::Fake;
//! use common::ipvs::{Error, Ipvs, Operation, Protocol, Service, ServiceKey};
//!
//! let fake = Fake::default();
//! let mut ipvs = fake.clone(); // the same table: one end for the code, one for the test
//! let key = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
//! ipvs.add_service(&Service::new(key, "rr")).unwrap();
//!
//! fake.fail(Operation::DeleteService, Error::Timeout("delete service"));
//! assert!(matches!(ipvs.delete_service(&key), Err(Error::Timeout(_))));
//! ipvs.delete_service(&key).unwrap(); // the failure was good for one call
//! assert_eq!(fake.count(Operation::DeleteService), 2);
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

use super::client::check;
use super::{
    Destination, DestinationEntry, DestinationKey, Error, ForwardingMethod, Ipvs, Operation, Service, ServiceEntry,
    ServiceFlags, ServiceKey, Stats, SyncDaemon, SyncRole, Timeouts, Tunnel,
};

/// The schedulers the fake has: those of Linux 6.1.
pub const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

/// One call as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The verb.
    pub operation: Operation,
    /// The service it was about, if one.
    pub service: Option<ServiceKey>,
    /// The destination it was about, if one.
    pub destination: Option<DestinationKey>,
}

/// A table in memory; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    table: Rc<RefCell<Table>>,
}

#[derive(Debug)]
struct Table {
    /// In the order of their adding.
    services: Vec<(Service, Vec<DestinationEntry>)>,
    timeouts: Timeouts,
    daemons: Vec<SyncDaemon>,
    calls: Vec<Call>,
    /// Failures that wait for their call, oldest first.
    failures: VecDeque<(Operation, Error)>,
    /// A verb that takes its time.
    slow: Option<(Operation, Duration)>,
}

impl Default for Table {
    fn default() -> Self {
        // A fresh kernel's: 15 minutes, 2 minutes, 5 minutes.
        let timeouts = Timeouts {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        };
        Self {
            services: Vec::new(),
            timeouts,
            daemons: Vec::new(),
            calls: Vec::new(),
            failures: VecDeque::new(),
            slow: None,
        }
    }
}

impl Fake {
    /// Makes the next call of that verb fail, and change nothing. Several wait
    /// for as many calls.
    pub fn fail(&self, operation: Operation, error: Error) {
        self.table.borrow_mut().failures.push_back((operation, error));
    }

    /// Lets each call of that verb take so long from now on, as one does that loads a
    /// module.
    pub fn slow_down(&self, operation: Operation, takes: Duration) {
        self.table.borrow_mut().slow = Some((operation, takes));
    }

    /// All calls since the last [`Fake::forget_calls`], in order, failed ones too.
    pub fn calls(&self) -> Vec<Call> {
        self.table.borrow().calls.clone()
    }

    /// How many of them were that verb.
    pub fn count(&self, operation: Operation) -> usize {
        self.table.borrow().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// Starts counting anew, for instance after a test played the stranger who
    /// runs ipvsadm by hand.
    pub fn forget_calls(&self) {
        self.table.borrow_mut().calls.clear();
    }

    /// Lets a destination have connections, as traffic would. `false`: it is not
    /// there.
    pub fn set_connections(&self, service: &ServiceKey, at: &DestinationKey, active: u32, inactive: u32) -> bool {
        let table = &mut *self.table.borrow_mut();
        let entry =
            table.find(service).and_then(|(_, entries)| entries.iter_mut().find(|entry| entry.destination.key == *at));
        entry.map(|entry| (entry.active, entry.inactive) = (active, inactive)).is_some()
    }

    /// Notes the call and gives its failure, if one waits.
    fn enter(
        &self,
        operation: Operation,
        service: Option<&ServiceKey>,
        destination: Option<&DestinationKey>,
    ) -> Result<(), Error> {
        let table = &mut *self.table.borrow_mut();
        table.calls.push(Call { operation, service: service.copied(), destination: destination.copied() });
        if let Some((_, takes)) = table.slow.filter(|(slow, _)| *slow == operation) {
            std::thread::sleep(takes);
        }
        let waiting = table.failures.iter().position(|(of, _)| *of == operation);
        if let Some((_, error)) = waiting.and_then(|at| table.failures.remove(at)) {
            return Err(error);
        }
        service.map_or(Ok(()), |key| check(operation, key))
    }
}

impl Table {
    fn find(&mut self, key: &ServiceKey) -> Option<&mut (Service, Vec<DestinationEntry>)> {
        self.services.iter_mut().find(|(service, _)| service.key == *key)
    }

    fn entries(&mut self, key: &ServiceKey) -> Result<&mut Vec<DestinationEntry>, Error> {
        self.find(key).map(|(_, entries)| entries).ok_or(Error::NoSuchService)
    }
}

fn refused(operation: Operation, errno: Errno) -> Error {
    Error::Refused { operation: operation.name(), errno, detail: String::new() }
}

/// What the kernel makes of a service that is asked for.
fn accepted_service(operation: Operation, asked: &Service) -> Result<Service, Error> {
    // Too long a name does not get past the attribute's policy.
    let too_long = asked.scheduler.len() > 15 || asked.engine.as_ref().is_some_and(|engine| engine.len() > 15);
    if too_long {
        return Err(refused(operation, Errno::EINVAL));
    }
    let scheduled = asked.scheduler == "none" || SCHEDULERS.contains(&asked.scheduler.as_str());
    match &asked.engine {
        None if !scheduled => return Err(Error::NoScheduler(asked.scheduler.clone())),
        Some(engine) if !scheduled || engine != "sip" => return Err(refused(operation, Errno::ENOENT)),
        None | Some(_) => {}
    }
    if asked.key.family().bits() == 128 && !(1..=128).contains(&asked.prefix) {
        return Err(refused(operation, Errno::EINVAL));
    }
    let flags = ServiceFlags(asked.flags.0 & ServiceFlags::MASK);
    let persistent = flags.0 & ServiceFlags::PERSISTENT != 0;
    let persistence = if persistent { Duration::from_secs(asked.persistence.as_secs()) } else { Duration::ZERO };
    Ok(Service { flags, persistence, prefix: asked.prefix.min(asked.key.family().bits()), ..asked.clone() })
}

/// What the kernel makes of a destination that is asked for. It never touches the
/// port, whatever the forwarding method: that was ipvsadm's doing (piranha.md 7.1).
fn accepted_destination(operation: Operation, service: &ServiceKey, asked: &Destination) -> Result<Destination, Error> {
    let same_family = asked.key.address.is_ipv4() == (service.family().bits() == 32);
    if !same_family && asked.method != ForwardingMethod::Tunnel {
        return Err(refused(operation, Errno::EINVAL));
    }
    if i32::try_from(asked.weight).is_err() || asked.lower_threshold > asked.upper_threshold {
        return Err(refused(operation, Errno::ERANGE));
    }
    if matches!(asked.tunnel, Tunnel::Gue { port: 0, .. }) && asked.method == ForwardingMethod::Tunnel {
        return Err(refused(operation, Errno::EINVAL));
    }
    Ok(asked.clone())
}

/// Where the kernel sends nothing: it looks when a destination is new.
fn is_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.octets().starts_with(&[0]),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

/// The longest timeout a kernel takes that counts a hundred ticks a second.
const TIMEOUT_MAX: u64 = i32::MAX as u64 / 100;

impl Ipvs for Fake {
    fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.enter(Operation::Services, None, None)?;
        let table = self.table.borrow();
        let entry = |(service, _): &(Service, _)| ServiceEntry { service: service.clone(), stats: Stats::default() };
        Ok(table.services.iter().map(entry).collect())
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error> {
        self.enter(Operation::Service, Some(key), None)?;
        let found = self.table.borrow_mut().find(key).map(|(service, _)| service.clone());
        Ok(found.map(|service| ServiceEntry { service, stats: Stats::default() }))
    }

    fn add_service(&mut self, service: &Service) -> Result<(), Error> {
        self.enter(Operation::AddService, Some(&service.key), None)?;
        let table = &mut *self.table.borrow_mut();
        if table.find(&service.key).is_some() {
            return Err(Error::Exists);
        }
        table.services.push((accepted_service(Operation::AddService, service)?, Vec::new()));
        Ok(())
    }

    fn edit_service(&mut self, service: &Service) -> Result<(), Error> {
        self.enter(Operation::EditService, Some(&service.key), None)?;
        let table = &mut *self.table.borrow_mut();
        let (found, _) = table.find(&service.key).ok_or(Error::NoSuchService)?;
        *found = accepted_service(Operation::EditService, service)?;
        Ok(())
    }

    fn delete_service(&mut self, key: &ServiceKey) -> Result<(), Error> {
        self.enter(Operation::DeleteService, Some(key), None)?;
        let table = &mut *self.table.borrow_mut();
        table.find(key).ok_or(Error::NoSuchService)?;
        table.services.retain(|(service, _)| service.key != *key);
        Ok(())
    }

    fn destinations(&mut self, service: &ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        self.enter(Operation::Destinations, Some(service), None)?;
        self.table.borrow_mut().entries(service).cloned()
    }

    fn add_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error> {
        let operation = Operation::AddDestination;
        self.enter(operation, Some(service), Some(&destination.key))?;
        let table = &mut *self.table.borrow_mut();
        let entries = table.entries(service)?;
        let destination = accepted_destination(operation, service, destination)?;
        if entries.iter().any(|entry| entry.destination.key == destination.key) {
            return Err(Error::Exists);
        }
        if is_nowhere(destination.key.address) {
            return Err(refused(operation, Errno::EINVAL));
        }
        entries.push(DestinationEntry { destination, active: 0, inactive: 0, persistent: 0, stats: Stats::default() });
        Ok(())
    }

    fn edit_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error> {
        let operation = Operation::EditDestination;
        self.enter(operation, Some(service), Some(&destination.key))?;
        let table = &mut *self.table.borrow_mut();
        let entries = table.entries(service)?;
        let destination = accepted_destination(operation, service, destination)?;
        let entry = entries
            .iter_mut()
            .find(|entry| entry.destination.key == destination.key)
            .ok_or(Error::NoSuchDestination)?;
        entry.destination = destination;
        Ok(())
    }

    fn delete_destination(&mut self, service: &ServiceKey, destination: &DestinationKey) -> Result<(), Error> {
        self.enter(Operation::DeleteDestination, Some(service), Some(destination))?;
        let table = &mut *self.table.borrow_mut();
        let entries = table.entries(service)?;
        let before = entries.len();
        entries.retain(|entry| entry.destination.key != *destination);
        if entries.len() == before { Err(Error::NoSuchDestination) } else { Ok(()) }
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.enter(Operation::Timeouts, None, None)?;
        Ok(self.table.borrow().timeouts)
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.enter(Operation::SetTimeouts, None, None)?;
        if [timeouts.tcp, timeouts.tcp_fin, timeouts.udp].iter().any(|timeout| timeout.as_secs() > TIMEOUT_MAX) {
            return Err(refused(Operation::SetTimeouts, Errno::EINVAL));
        }
        let has = &mut self.table.borrow_mut().timeouts;
        for (place, value) in
            [(&mut has.tcp, timeouts.tcp), (&mut has.tcp_fin, timeouts.tcp_fin), (&mut has.udp, timeouts.udp)]
        {
            if value.as_secs() != 0 {
                *place = Duration::from_secs(value.as_secs());
            }
        }
        Ok(())
    }

    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.enter(Operation::SyncDaemons, None, None)?;
        Ok(self.table.borrow().daemons.clone())
    }

    fn start_sync_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Error> {
        self.enter(Operation::StartSyncDaemon, None, None)?;
        let daemons = &mut self.table.borrow_mut().daemons;
        if daemons.iter().any(|running| running.role == daemon.role) {
            return Err(Error::Exists);
        }
        if daemon.group.is_some_and(|group| !group.is_multicast()) {
            return Err(refused(Operation::StartSyncDaemon, Errno::EINVAL));
        }
        let or = |asked: u16, default: u16| if asked == 0 { default } else { asked };
        let shortest = if daemon.role == SyncRole::Backup { 1024 } else { 1 };
        daemons.push(SyncDaemon {
            // At most what fits into an Ethernet frame behind IP and UDP.
            maxlen: or(daemon.maxlen, 1472).clamp(shortest, 1472),
            group: daemon.group.or(Some(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81)))),
            port: or(daemon.port, 8848),
            ttl: daemon.ttl.max(1),
            ..daemon.clone()
        });
        daemons.sort_by_key(|running| running.role == SyncRole::Backup);
        Ok(())
    }

    fn stop_sync_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        self.enter(Operation::StopSyncDaemon, None, None)?;
        let daemons = &mut self.table.borrow_mut().daemons;
        let before = daemons.len();
        daemons.retain(|running| running.role != role);
        if daemons.len() == before { Err(Error::NoSuchSyncDaemon) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
