//! Interfaces and their addresses (rtnetlink): the verbs a director needs to hold
//! a virtual address, and a [`Monitor`] of what others change; in [`policy`] those
//! to serve packets for one that it holds no more.
//!
//! ```no_run
//! use common::netlink::Agreement;
//! use common::netlink::route::{Address, Route};
//!
//! # fn main() -> Result<(), common::netlink::route::Error> {
//! let mut route = Route::open()?;
//! let eth0 = route.links()?.into_iter().find(|link| link.name == "eth0").expect("an eth0");
//! let vip = Address {
//!     index: eth0.index,
//!     address: "192.0.2.80".parse().unwrap(),
//!     prefix: 24,
//!     broadcast: Some("192.0.2.255".parse().unwrap()),
//!     label: Some("eth0:1".to_owned()),
//!     scope: 0,
//!     nodad: false,
//!     deprecated: false,
//!     valid: None,
//! };
//! let ours = route.add_address(&vip).or_exists()?;
//! if ours {
//!     route.delete_address(&vip).or_absent()?;
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::SockProtocol;

use super::Agreement;
use super::message::{Refusal, Request, messages};
use super::socket::{self, Socket, netlink_socket, receive};

pub mod message;
pub mod policy;

/// How long a call waits for the kernel's answers in all.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR.
const GROUPS: u32 = 0x001 | 0x010 | 0x100;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number; a name may go to another interface, a number does not.
    pub index: u32,
    /// Its name, 15 bytes at most.
    pub name: String,
    /// Its hardware address, if it is six bytes long.
    pub mac: Option<[u8; 6]>,
    /// Switched on (IFF_UP).
    pub up: bool,
    /// Has a carrier (IFF_LOWER_UP): the cable is in, the other end alive.
    pub running: bool,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// IFF_NOARP: no neighbours to announce an address to.
    pub noarp: bool,
    /// Longest packet in bytes.
    pub mtu: u32,
    /// How often the carrier came or went (IFLA_CARRIER_CHANGES, Linux 3.15); 0 where it
    /// is not counted.
    pub carrier_changes: u32,
}

/// An address of an interface. Index, address and prefix make it that address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length, 0 to 32 or 128.
    pub prefix: u8,
    /// Broadcast address, IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// Name of the address (`eth0:1`), IPv4 only, 15 bytes at most. The kernel
    /// names one without after its interface, and reports that.
    pub label: Option<String>,
    /// RT_SCOPE_*: 0 anywhere, 253 this link, 254 this host. IPv6 has it from the
    /// address itself.
    pub scope: u8,
    /// Usable at once instead of after duplicate address detection; IPv6 only.
    pub nodad: bool,
    /// Answered for, but not chosen as the source of what this machine begins
    /// (RFC 4862 5.5.4: no preferred lifetime); IPv6 only.
    pub deprecated: bool,
    /// In so many seconds the kernel removes it by itself, a moment later rather
    /// than sooner; `None`: never.
    pub valid: Option<u32>,
}

/// A neighbour the kernel knows: who has an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface's number.
    pub index: u32,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its hardware address, of six bytes.
    pub mac: [u8; 6],
}

/// What a [`Monitor`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link is new or has changed; the kernel says so more often than it is so.
    Link(Link),
    /// The link of that number is gone.
    LinkGone(u32),
    /// An address is there (also said when its flags change).
    AddressAdded(Address),
    /// An address is gone.
    AddressGone(Address),
    /// Events were lost: read links and addresses anew.
    Overrun,
}

/// Why interfaces or addresses could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not allowed: CAP_NET_ADMIN is needed.
    #[error("not permitted: this needs root or CAP_NET_ADMIN")]
    Permission,
    /// There is no such interface (ENODEV).
    #[error("no such interface")]
    NoSuchLink,
    /// There is no such address (EADDRNOTAVAIL).
    #[error("no such address")]
    NoSuchAddress,
    /// There is no such neighbour (ENOENT).
    #[error("no such neighbour")]
    NoSuchNeighbour,
    /// There is no such rule.
    #[error("no such rule")]
    NoSuchRule,
    /// There is no such route.
    #[error("no such route")]
    NoSuchRoute,
    /// The kernel looks everything up in the same tables.
    #[error("the kernel has no policy routing")]
    NoPolicyRouting,
    /// The address is there already (EEXIST).
    #[error("already exists")]
    Exists,
    /// IPv6 is switched off on the interface or in the kernel.
    #[error("IPv6 is switched off there (see net.ipv6.conf.*.disable_ipv6)")]
    NoIpv6,
    /// Any other refusal, with the kernel's own words where it gave some.
    #[error("{operation}: {errno}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// What it answered.
        errno: Errno,
        /// Extended acknowledgement text; may be empty.
        detail: String,
    },
    /// No answer in time; the socket is opened anew.
    #[error("{0}: no answer from the kernel in time")]
    Timeout(&'static str),
    /// An answer that cannot be read.
    #[error("{operation}: unreadable answer from the kernel: {what}")]
    Unreadable {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The socket itself failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
}

impl Agreement for Result<(), Error> {
    type Error = Error;

    fn or_exists(self) -> Result<bool, Error> {
        match self {
            Ok(()) => Ok(true),
            Err(Error::Exists) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn or_absent(self) -> Result<bool, Error> {
        match self {
            Ok(()) => Ok(true),
            Err(
                Error::NoSuchAddress
                | Error::NoSuchNeighbour
                | Error::NoSuchLink
                | Error::NoSuchRule
                | Error::NoSuchRoute,
            ) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// The verbs. Every call returns within [`DEADLINE`].
#[derive(Debug)]
pub struct Route {
    socket: Socket,
}

impl Route {
    /// Opens the line to the kernel.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::new(SockProtocol::NetlinkRoute)? })
    }

    /// All interfaces of this network namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.socket
            .dump(&mut message::list_links(), Instant::now() + DEADLINE, message::read_link)
            .map_err(|e| explain("list interfaces", e))
    }

    /// All addresses, IPv4 and IPv6, of all interfaces.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.socket
            .dump(&mut message::list_addresses(), Instant::now() + DEADLINE, message::read_address)
            .map_err(|e| explain("list addresses", e))
    }

    /// Adds an address; [`Error::Exists`] if that interface has it. (The same
    /// IPv4 address with another prefix length is another address.)
    pub fn add_address(&mut self, address: &Address) -> Result<(), Error> {
        let outcome = self.order("add address", message::add_address(address));
        // Said where there is no IPv6: by an interface, by a kernel without the module, by one without the code.
        if let Err(Error::Refused { errno: Errno::EACCES | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT, .. }) = outcome
            && address.address.is_ipv6()
        {
            return Err(Error::NoIpv6);
        }
        outcome
    }

    /// Gives an address that is there another [`Address::valid`] and changes
    /// nothing else. One that is not there is added: the kernel has it so. Look
    /// first.
    pub fn renew_address(&mut self, address: &Address) -> Result<(), Error> {
        self.order("renew address", message::renew_address(address))
    }

    /// All neighbours whose hardware address is known.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, Error> {
        self.socket
            .dump(&mut message::list_neighbours(), Instant::now() + DEADLINE, message::read_neighbour)
            .map_err(|e| explain("list neighbours", e))
    }

    /// Forgets the hardware address of a neighbour, so that the next packet to it asks
    /// anew and waits for the answer; [`Error::NoSuchNeighbour`] if it is not known.
    pub fn forget_neighbour(&mut self, index: u32, address: IpAddr) -> Result<(), Error> {
        self.order("forget neighbour", message::forget_neighbour(index, address))
    }

    /// Deletes exactly that address (and label, where given) and nothing else;
    /// [`Error::NoSuchAddress`] if it is not there.
    pub fn delete_address(&mut self, address: &Address) -> Result<(), Error> {
        self.order("delete address", message::delete_address(address))
    }

    fn order(&mut self, operation: &'static str, mut request: Request) -> Result<(), Error> {
        self.socket.request(&mut request, Instant::now() + DEADLINE, |_| Ok(())).map_err(|e| explain(operation, e))
    }
}

fn explain(operation: &'static str, error: socket::Error) -> Error {
    match error {
        socket::Error::Refused(Refusal { errno: Errno::EPERM, .. }) => Error::Permission,
        socket::Error::Refused(Refusal { errno: Errno::ENODEV, .. }) => Error::NoSuchLink,
        socket::Error::Refused(Refusal { errno: Errno::EADDRNOTAVAIL, .. }) => Error::NoSuchAddress,
        socket::Error::Refused(Refusal { errno: Errno::ENOENT, .. }) => Error::NoSuchNeighbour,
        socket::Error::Refused(Refusal { errno: Errno::EEXIST, .. }) => Error::Exists,
        socket::Error::Refused(Refusal { errno, text }) => Error::Refused { operation, errno, detail: text },
        socket::Error::Timeout => Error::Timeout(operation),
        socket::Error::Malformed(what) => Error::Unreadable { operation, what: what.to_string() },
        socket::Error::Interrupted => Error::Unreadable { operation, what: socket::Error::Interrupted.to_string() },
        socket::Error::Io(e) => Error::Socket(e),
    }
}

/// Hears of every change of links and addresses in this network namespace.
/// Nonblocking: register its descriptor for reading in the loop and call
/// [`Monitor::next`] until it has nothing. Open it before the first look at links
/// and addresses, so that nothing falls in between.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
    /// What the last datagram held beyond the change that was given out.
    waiting: VecDeque<Change>,
}

/// Bytes an event has room for before the buffer grows.
const EVENT: usize = 4096;

impl Monitor {
    /// Starts to listen.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { fd: netlink_socket(SockProtocol::NetlinkRoute, GROUPS)?, waiting: VecDeque::new() })
    }

    /// The next change, or `None` for now. Events that cannot be read are an
    /// overrun, too: something happened, look.
    ///
    /// # Errors
    /// The socket itself failed; open another.
    #[allow(clippy::should_implement_trait)] // an iterator would end where this one only waits
    pub fn next(&mut self) -> Result<Option<Change>, Error> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Ok(Some(change));
            }
            let mut buffer = vec![0; EVENT];
            match receive(self.fd.as_fd(), &mut buffer) {
                Ok(Some(datagram)) => self.waiting = changes(datagram),
                Ok(None) => return Ok(None),
                Err(socket::Error::Io(e)) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Some(Change::Overrun));
                }
                Err(e) => return Err(explain("watch interfaces", e)),
            }
        }
    }
}

fn changes(datagram: &[u8]) -> VecDeque<Change> {
    let mut changes = VecDeque::new();
    for event in messages(datagram) {
        let change = event.and_then(|event| message::read_change(event.kind, event.body));
        changes.extend(change.unwrap_or(Some(Change::Overrun)));
    }
    changes
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
