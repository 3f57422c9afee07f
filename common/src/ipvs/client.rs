//! The kernel's table over generic netlink: [`Client`] is [`Ipvs`] for real.
//!
//! A client is one socket and a few words of memory; buffers live as long as a
//! call. When the family's number went stale (ip_vs was unloaded and loaded
//! again) it is looked up anew and the command sent once more.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::message;
use super::{
    Destination, DestinationEntry, DestinationKey, Error, Ipvs, Operation, Service, ServiceEntry, ServiceKey,
    SyncDaemon, SyncRole, Timeouts,
};
use crate::netlink::generic;
use crate::netlink::message::{Malformed, Refusal, Request};
use crate::netlink::socket::{self, Socket};

/// How long a call waits for the kernel's answers. They are normally there when
/// the send returns; a second is what a heartbeat's keeper can spare.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a list of services or destinations may take in all, while its parts
/// keep coming: ten thousand services are a tenth of a second on a slow machine.
pub const LIST_DEADLINE: Duration = Duration::from_secs(10);

/// How long the answer to a stop of a synchronisation daemon is waited for. A
/// daemon whose thread had not run yet ends with EINTR, and netlink sends no
/// acknowledgement for that number (netlink_rcv_skb): a look at the daemons tells.
const PATIENCE_WITH_A_STOP: Duration = Duration::from_millis(250);

/// The kernel's table.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    /// The family's message type in this boot, until ip_vs is loaded again.
    family: u16,
}

impl Client {
    /// Opens the table; the kernel loads IPVS if it can.
    ///
    /// # Errors
    /// [`Error::NoIpvs`], or the socket's own. Rights are only checked by the verbs.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(SockProtocol::NetlinkGeneric)?;
        let family = generic::family(&mut socket, message::FAMILY, Instant::now() + DEADLINE)
            .map_err(|e| explain("look up IPVS", e))?
            .ok_or(Error::NoIpvs)?;
        Ok(Self { socket, family })
    }

    /// Runs one exchange; once more if the family's number turns out stale. An
    /// unknown family is ENOENT to the kernel, as other things are: the number
    /// tells them apart.
    fn run<T>(
        &mut self,
        operation: Operation,
        request: &mut Request,
        until: Instant,
        mut exchange: impl FnMut(&mut Socket, &mut Request, Instant) -> Result<T, socket::Error>,
    ) -> Result<T, Failure> {
        request.set_kind(self.family);
        let outcome = exchange(&mut self.socket, request, until).map_err(|e| Failure::from_socket(operation, e));
        let Err(Failure::Refused(Refusal { errno: Errno::ENOENT | Errno::EOPNOTSUPP, .. })) = outcome else {
            return outcome;
        };
        let family = generic::family(&mut self.socket, message::FAMILY, until)
            .map_err(|e| Failure::Told(explain(operation.name(), e)))?
            .ok_or(Failure::Told(Error::NoIpvs))?;
        if family == self.family {
            return outcome;
        }
        self.family = family;
        request.set_kind(family);
        exchange(&mut self.socket, request, until).map_err(|e| Failure::from_socket(operation, e))
    }

    /// Asks for something to be done or for one entry.
    fn ask<T>(
        &mut self,
        operation: Operation,
        mut request: Request,
        until: Instant,
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Option<T>, Failure> {
        self.run(operation, &mut request, until, |socket, request, until| {
            let mut answer = None;
            socket.request(request, until, |body| {
                answer = read(body)?;
                Ok(())
            })?;
            Ok(answer)
        })
    }

    fn order(&mut self, operation: Operation, request: Request) -> Result<(), Failure> {
        self.ask(operation, request, Instant::now() + DEADLINE, |_| Ok(None::<()>)).map(drop)
    }

    fn list<T>(
        &mut self,
        operation: Operation,
        mut request: Request,
        until: Instant,
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, Error> {
        self.run(operation, &mut request, until, |socket, request, until| socket.dump(request, until, &mut read))
            .map_err(|failure| failure.into_error(operation))
    }

    fn lookup(
        &mut self,
        operation: Operation,
        key: &ServiceKey,
        until: Instant,
    ) -> Result<Option<ServiceEntry>, Error> {
        check(operation, key)?;
        match self.ask(operation, message::get_service(key), until, message::read_service) {
            Err(Failure::Refused(refusal)) if refusal.errno == Errno::ESRCH => Ok(None),
            outcome => outcome.map_err(|failure| failure.into_error(operation)),
        }
    }

    /// The entries of a service's destinations that `wanted` lets through.
    fn destinations_that(
        &mut self,
        operation: Operation,
        service: &ServiceKey,
        wanted: impl Fn(&DestinationKey) -> bool,
    ) -> Result<Vec<DestinationEntry>, Error> {
        check(operation, service)?;
        let family = service.family();
        let until = Instant::now() + LIST_DEADLINE;
        let entries = self.list(operation, message::list_destinations(service), until, |body| {
            Ok(message::read_destination(body, family)?.filter(|entry| wanted(&entry.destination.key)))
        })?;
        // The kernel answers an unknown service with an empty list.
        if entries.is_empty() && self.lookup(operation, service, until)?.is_none() {
            return Err(Error::NoSuchService);
        }
        Ok(entries)
    }
}

impl Ipvs for Client {
    fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let until = Instant::now() + LIST_DEADLINE;
        let mut services = self.list(Operation::Services, message::list_services(), until, message::read_service)?;
        keep_first(&mut services, |entry| entry.service.key);
        Ok(services)
    }

    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error> {
        self.lookup(Operation::Service, key, Instant::now() + DEADLINE)
    }

    fn add_service(&mut self, service: &Service) -> Result<(), Error> {
        check(Operation::AddService, &service.key)?;
        self.order(Operation::AddService, message::add_service(service))
            .map_err(|failure| failure.of_service(Operation::AddService, service))
    }

    fn edit_service(&mut self, service: &Service) -> Result<(), Error> {
        check(Operation::EditService, &service.key)?;
        self.order(Operation::EditService, message::edit_service(service))
            .map_err(|failure| failure.of_service(Operation::EditService, service))
    }

    fn delete_service(&mut self, key: &ServiceKey) -> Result<(), Error> {
        check(Operation::DeleteService, key)?;
        self.order(Operation::DeleteService, message::delete_service(key))
            .map_err(|failure| failure.into_error(Operation::DeleteService))
    }

    fn destinations(&mut self, service: &ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let mut destinations = self.destinations_that(Operation::Destinations, service, |_| true)?;
        keep_first(&mut destinations, |entry| entry.destination.key);
        Ok(destinations)
    }

    fn destination(
        &mut self,
        service: &ServiceKey,
        destination: &DestinationKey,
    ) -> Result<Option<DestinationEntry>, Error> {
        Ok(self.destinations_that(Operation::Destinations, service, |key| key == destination)?.pop())
    }

    fn add_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error> {
        check(Operation::AddDestination, service)?;
        self.order(Operation::AddDestination, message::add_destination(service, destination))
            .map_err(|failure| failure.into_error(Operation::AddDestination))
    }

    fn edit_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error> {
        check(Operation::EditDestination, service)?;
        self.order(Operation::EditDestination, message::edit_destination(service, destination))
            .map_err(|failure| failure.into_error(Operation::EditDestination))
    }

    fn delete_destination(&mut self, service: &ServiceKey, destination: &DestinationKey) -> Result<(), Error> {
        check(Operation::DeleteDestination, service)?;
        self.order(Operation::DeleteDestination, message::delete_destination(service, destination))
            .map_err(|failure| failure.into_error(Operation::DeleteDestination))
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let until = Instant::now() + DEADLINE;
        self.ask(Operation::Timeouts, message::get_timeouts(), until, |body| message::read_timeouts(body).map(Some))
            .map_err(|failure| failure.into_error(Operation::Timeouts))?
            .ok_or(Error::Unreadable { operation: Operation::Timeouts.name(), what: "no answer in it".to_owned() })
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.order(Operation::SetTimeouts, message::set_timeouts(timeouts))
            .map_err(|failure| failure.into_error(Operation::SetTimeouts))
    }

    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        let until = Instant::now() + DEADLINE;
        self.list(Operation::SyncDaemons, message::list_sync_daemons(), until, message::read_sync_daemon)
    }

    fn start_sync_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Error> {
        self.order(Operation::StartSyncDaemon, message::start_sync_daemon(daemon))
            .map_err(|failure| failure.into_error(Operation::StartSyncDaemon))
    }

    fn stop_sync_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        let operation = Operation::StopSyncDaemon;
        let until = Instant::now() + PATIENCE_WITH_A_STOP;
        let outcome = self
            .ask(operation, message::stop_sync_daemon(role), until, |_| Ok(None::<()>))
            .map_err(|failure| failure.into_error(operation));
        if let Err(Error::Timeout(_)) = outcome
            && self.sync_daemons()?.iter().all(|running| running.role != role)
        {
            return Ok(());
        }
        outcome.map(drop)
    }
}

/// Between two parts of a dump an addition pushes an entry along, and it comes
/// again; the first is as good as the second.
fn keep_first<T, K: Eq + Hash>(entries: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = HashSet::with_capacity(entries.len());
    entries.retain(|entry| seen.insert(key(entry)));
}

/// Refuses a mark of 0 here: the kernel would take it for the service without
/// address and port.
pub(super) fn check(operation: Operation, key: &ServiceKey) -> Result<(), Error> {
    match key {
        ServiceKey::Mark { mark: 0, .. } => Err(Error::Refused {
            operation: operation.name(),
            errno: Errno::EINVAL,
            detail: "a firewall mark is never 0".to_owned(),
        }),
        ServiceKey::Mark { .. } | ServiceKey::Address { .. } => Ok(()),
    }
}

/// An end that is not good: the kernel's "no", whose meaning depends on what was
/// asked, or an error as it is.
enum Failure {
    Refused(Refusal),
    Told(Error),
}

impl Failure {
    fn from_socket(operation: Operation, error: socket::Error) -> Self {
        if let socket::Error::Refused(refusal) = error {
            return Self::Refused(refusal);
        }
        Self::Told(explain(operation.name(), error))
    }

    /// What a refusal means (ip_vs_genl_set_cmd and below): ESRCH is the service
    /// of any command, or the daemon to stop; ENOENT the destination to edit or to
    /// delete; EEXIST what was to be added.
    fn into_error(self, operation: Operation) -> Error {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Told(error) => return error,
        };
        match (operation, refusal.errno) {
            (_, Errno::EPERM) => Error::Permission,
            (Operation::StopSyncDaemon, Errno::ESRCH) => Error::NoSuchSyncDaemon,
            (_, Errno::ESRCH) => Error::NoSuchService,
            (Operation::EditDestination | Operation::DeleteDestination, Errno::ENOENT) => Error::NoSuchDestination,
            (_, Errno::EEXIST) => Error::Exists,
            (_, errno) => Error::Refused { operation: operation.name(), errno, detail: refusal.text },
        }
    }

    /// The same for a service to add or to edit, where ENOENT is a scheduler or a
    /// persistence engine that the kernel does not have.
    fn of_service(self, operation: Operation, service: &Service) -> Error {
        match (&self, &service.engine) {
            (Self::Refused(Refusal { errno: Errno::ENOENT, .. }), None) => {
                Error::NoScheduler(service.scheduler.clone())
            }
            (Self::Refused(Refusal { errno: Errno::ENOENT, .. }), Some(engine)) => Error::Refused {
                operation: operation.name(),
                errno: Errno::ENOENT,
                detail: format!(
                    "the kernel has no scheduler \"{}\" or no persistence engine \"{engine}\"",
                    service.scheduler
                ),
            },
            (Self::Refused(_) | Self::Told(_), _) => self.into_error(operation),
        }
    }
}

fn explain(operation: &'static str, error: socket::Error) -> Error {
    match error {
        socket::Error::Refused(Refusal { errno: Errno::EPERM, .. }) => Error::Permission,
        socket::Error::Refused(Refusal { errno, text }) => Error::Refused { operation, errno, detail: text },
        socket::Error::Timeout => Error::Timeout(operation),
        socket::Error::Malformed(what) => Error::Unreadable { operation, what: what.to_string() },
        socket::Error::Interrupted => Error::Unreadable { operation, what: socket::Error::Interrupted.to_string() },
        socket::Error::Io(e) => Error::Socket(e),
    }
}

#[cfg(test)]
mod tests;
