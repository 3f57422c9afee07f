//! The kernel's IPVS table: virtual services and their destinations.
//!
//! Types here, bytes in [`message`], the socket in [`client`], a table in memory
//! for tests in [`fake`]. Numbers and meanings are those of linux/ip_vs.h and
//! net/netfilter/ipvs/ip_vs_ctl.c.
//!
//! ```no_run
//! use common::ipvs::{Agreement, Destination, DestinationKey, ForwardingMethod, Ipvs, Protocol, Service, ServiceKey};
//! use common::ipvs::client::Client;
//!
//! # fn main() -> Result<(), common::ipvs::Error> {
//! let mut ipvs = Client::open()?;
//! let key = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
//! ipvs.add_service(&Service::new(key, "wlc")).or_exists()?;
//!
//! let server = DestinationKey { address: "198.51.100.7".parse().unwrap(), port: 80 };
//! ipvs.add_destination(&key, &Destination::new(server, ForwardingMethod::DirectRouting, 1)).or_exists()?;
//! for entry in ipvs.destinations(&key)? {
//!     println!("{} has {} connections", entry.destination.key, entry.active);
//! }
//! ipvs.delete_destination(&key, &server).or_absent()?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use crate::netlink::Agreement;
pub use error::{Error, Operation};

pub mod client;
mod error;
pub mod fake;
pub mod message;

/// Transport protocol of a service (IPPROTO_*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 132
    Sctp,
}

/// Address family of a service or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// AF_INET
    V4,
    /// AF_INET6
    V6,
}

/// What makes a service that service to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceKey {
    /// By protocol, address and port (0: any port, needs persistence).
    Address {
        /// tcp, udp or sctp.
        protocol: Protocol,
        /// The virtual address.
        address: IpAddr,
        /// The virtual port.
        port: u16,
    },
    /// By firewall mark.
    Mark {
        /// IPv4 and IPv6 marks are services apart.
        family: Family,
        /// Never 0.
        mark: u32,
    },
}

/// How a packet gets to its destination (IP_VS_CONN_F_FWD_MASK).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardingMethod {
    /// NAT; the only method under which the destination's port may differ.
    Masquerade,
    /// The director itself.
    Local,
    /// IP in IP, or what [`Tunnel`] says.
    Tunnel,
    /// Direct routing.
    DirectRouting,
    /// Cache bypass.
    Bypass,
    /// 5 to 7: none that this program knows. Read, never asked for.
    Other(u8),
}

/// Encapsulation of tunnelled packets (kernel 5.3 and later; before, always IPIP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    IpIp,
    /// Generic UDP encapsulation to this port, with IP_VS_TUNNEL_ENCAP_FLAG_*.
    Gue {
        /// UDP port of the decapsulator.
        port: u16,
        /// IP_VS_TUNNEL_ENCAP_FLAG_*.
        flags: u16,
    },
    /// GRE, with IP_VS_TUNNEL_ENCAP_FLAG_*.
    Gre {
        /// IP_VS_TUNNEL_ENCAP_FLAG_*.
        flags: u16,
    },
    /// None that this program knows. Read, never asked for.
    Other {
        /// IP_VS_CONN_F_TUNNEL_TYPE_*.
        kind: u8,
        /// As the kernel has it.
        port: u16,
        /// As the kernel has it.
        flags: u16,
    },
}

/// Service flags (IP_VS_SVC_F_*), those that user space sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ServiceFlags(pub u32);

impl ServiceFlags {
    /// A client stays with its real server.
    pub const PERSISTENT: u32 = 0x0001;
    /// A UDP packet is a connection of its own.
    pub const ONE_PACKET: u32 = 0x0004;
    /// Scheduler flags 1 to 3 (sh-fallback and sh-port, mh-fallback and mh-port).
    pub const SCHEDULER: [u32; 3] = [0x0008, 0x0010, 0x0020];
    /// All of them: the mask that is sent beside the flags, so that the kernel's
    /// own flag (hashed, 0x0002) is left alone.
    pub const MASK: u32 = 0x003d;
}

/// A virtual service as it should be or as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is.
    pub key: ServiceKey,
    /// Its scheduler's name: rr, wlc, sh, ...; 15 bytes at most.
    pub scheduler: String,
    /// IP_VS_SVC_F_* without the kernel's own.
    pub flags: ServiceFlags,
    /// How long a client stays with its real server, in whole seconds; zero
    /// without [`ServiceFlags::PERSISTENT`].
    pub persistence: Duration,
    /// Which part of the client's address counts for persistence, as a prefix
    /// length: 32 (IPv4) or 128 (IPv6) for all of it. Read as
    /// [`Service::NO_PREFIX`] where other hands set a mask that is none.
    pub prefix: u8,
    /// Persistence engine (`sip`), if any; 15 bytes at most.
    pub engine: Option<String>,
}

/// What makes a destination that destination within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationKey {
    /// The real server's address.
    pub address: IpAddr,
    /// The port the kernel sends to. Under direct routing and tunnelling the
    /// kernel never rewrites a port: it is the virtual port.
    pub port: u16,
}

/// A destination as it should be or as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What it is.
    pub key: DestinationKey,
    /// How packets get there.
    pub method: ForwardingMethod,
    /// 0 (gets no new connections) to 65535.
    pub weight: u32,
    /// Above this number of connections it gets no new ones; 0: no limit.
    pub upper_threshold: u32,
    /// Below this number it gets new ones again; 0: three quarters of the upper.
    pub lower_threshold: u32,
    /// Encapsulation, for [`ForwardingMethod::Tunnel`].
    pub tunnel: Tunnel,
}

/// Traffic counters (IPVS_STATS_ATTR_*), 64 bit where the kernel has them. The
/// kernel adds them up every two seconds, so they are as old as that at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients that passed the director.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients that passed the director.
    pub bytes_out: u64,
    /// Connections per second now.
    pub connections_per_second: u64,
    /// Packets per second now, from clients.
    pub packets_in_per_second: u64,
    /// Packets per second now, to clients.
    pub packets_out_per_second: u64,
    /// Bytes per second now, from clients.
    pub bytes_in_per_second: u64,
    /// Bytes per second now, to clients.
    pub bytes_out_per_second: u64,
}

/// A service in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// What the kernel has.
    pub service: Service,
    /// Its counters.
    pub stats: Stats,
}

/// A destination in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationEntry {
    /// What the kernel has.
    pub destination: Destination,
    /// Connections now, established.
    pub active: u32,
    /// Connections now, not established.
    pub inactive: u32,
    /// Persistence templates now.
    pub persistent: u32,
    /// Its counters.
    pub stats: Stats,
}

/// Connection timeouts, in whole seconds. Zero in a request leaves the kernel's
/// value; the kernel takes up to i32::MAX / HZ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: Duration,
    /// TCP connections after FIN.
    pub tcp_fin: Duration,
    /// UDP.
    pub udp: Duration,
}

/// Which half of the connection synchronisation a director runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncRole {
    /// Sends (IP_VS_STATE_MASTER).
    Master,
    /// Receives (IP_VS_STATE_BACKUP).
    Backup,
}

/// The connection synchronisation daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Which half.
    pub role: SyncRole,
    /// The interface it multicasts on; 15 bytes at most.
    pub interface: String,
    /// Only partners with the same id listen to each other; 0 to 255.
    pub id: u8,
    /// Longest datagram in bytes; 0: the kernel's default.
    pub maxlen: u16,
    /// Multicast group; `None`: the kernel's 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port; 0: the kernel's 8848.
    pub port: u16,
    /// Multicast TTL; 0: the kernel's 1.
    pub ttl: u8,
}

/// The verbs of the table: a kernel ([`client::Client`]) or a table in memory
/// ([`fake::Fake`]). Every call returns within [`client::DEADLINE`], but a list of
/// thousands may take up to [`client::LIST_DEADLINE`] while its parts keep coming.
///
/// A long dump is read in parts, and the kernel does not say when the table
/// changes in between: an entry may then be missing from it, though none is in it
/// twice. Adding what is there answers [`Error::Exists`], so nothing is lost.
pub trait Ipvs {
    /// All services.
    fn services(&mut self) -> Result<Vec<ServiceEntry>, Error>;
    /// One service, or `None`.
    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error>;
    /// Adds a service; [`Error::Exists`] if it is there.
    fn add_service(&mut self, service: &Service) -> Result<(), Error>;
    /// Changes a service in place; [`Error::NoSuchService`] if it is not there.
    fn edit_service(&mut self, service: &Service) -> Result<(), Error>;
    /// Deletes a service with its destinations.
    fn delete_service(&mut self, key: &ServiceKey) -> Result<(), Error>;
    /// The destinations of a service; [`Error::NoSuchService`] if it is not there.
    fn destinations(&mut self, service: &ServiceKey) -> Result<Vec<DestinationEntry>, Error>;
    /// One destination, or `None`; [`Error::NoSuchService`] if its service is not
    /// there. Takes a look at all of the service's, but keeps only the one.
    fn destination(
        &mut self,
        service: &ServiceKey,
        destination: &DestinationKey,
    ) -> Result<Option<DestinationEntry>, Error> {
        Ok(self.destinations(service)?.into_iter().find(|entry| entry.destination.key == *destination))
    }
    /// Adds a destination; [`Error::Exists`] if it is there.
    fn add_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error>;
    /// Changes a destination in place; [`Error::NoSuchDestination`] if it is not there.
    fn edit_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error>;
    /// Deletes a destination.
    fn delete_destination(&mut self, service: &ServiceKey, destination: &DestinationKey) -> Result<(), Error>;
    /// The connection timeouts.
    fn timeouts(&mut self) -> Result<Timeouts, Error>;
    /// Sets those that are not zero.
    fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error>;
    /// The synchronisation daemons that run, none to two.
    fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, Error>;
    /// Starts one; [`Error::Exists`] if one of that role runs.
    fn start_sync_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Error>;
    /// Stops one; [`Error::NoSuchSyncDaemon`] if none of that role runs.
    fn stop_sync_daemon(&mut self, role: SyncRole) -> Result<(), Error>;
}

impl Service {
    /// What [`Service::prefix`] is when the kernel's mask has holes. No service
    /// that is asked for has it, so such a mask always differs from the plan.
    pub const NO_PREFIX: u8 = u8::MAX;

    /// A service without flags, persistence or engine.
    pub fn new(key: ServiceKey, scheduler: &str) -> Self {
        Self {
            key,
            scheduler: scheduler.to_owned(),
            flags: ServiceFlags::default(),
            persistence: Duration::ZERO,
            prefix: key.family().bits(),
            engine: None,
        }
    }
}

impl Destination {
    /// A destination without thresholds, tunnelled (if so) as IP in IP.
    pub fn new(key: DestinationKey, method: ForwardingMethod, weight: u32) -> Self {
        Self { key, method, weight, upper_threshold: 0, lower_threshold: 0, tunnel: Tunnel::IpIp }
    }
}

impl SyncDaemon {
    /// Whether a daemon that runs is this one. What is left to the kernel here
    /// (group, port, TTL) may be anything there: the kernel reports the values it
    /// chose. The length is not compared, as the kernel fits it to the interface.
    pub fn is_met_by(&self, running: &Self) -> bool {
        self.role == running.role
            && self.interface == running.interface
            && self.id == running.id
            && (self.group.is_none() || self.group == running.group)
            && (self.port == 0 || self.port == running.port)
            && (self.ttl == 0 || self.ttl == running.ttl)
    }
}

impl Family {
    /// Bits of its addresses: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl ForwardingMethod {
    /// The port the kernel's destination has, for a real server that listens on
    /// `server_port` behind a service on `virtual_port`. Only masquerading rewrites
    /// ports; under the other methods a differing server port is where the probe
    /// goes (piranha.md 7.1: the story this project started from).
    pub fn destination_port(self, virtual_port: u16, server_port: u16) -> u16 {
        match self {
            Self::Masquerade => server_port,
            Self::DirectRouting | Self::Tunnel | Self::Local | Self::Bypass | Self::Other(_) => virtual_port,
        }
    }
}

impl ServiceKey {
    /// The family its client packets have.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address: IpAddr::V4(_), .. } => Family::V4,
            Self::Address { address: IpAddr::V6(_), .. } => Family::V6,
            Self::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// `tcp 192.0.2.1:80`, `tcp [2001:db8::1]:80`, `mark 21`, `mark 21 (IPv6)`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address, port } => {
                write!(f, "{protocol} {}", std::net::SocketAddr::new(*address, *port))
            }
            Self::Mark { family: Family::V4, mark } => write!(f, "mark {mark}"),
            Self::Mark { family: Family::V6, mark } => write!(f, "mark {mark} (IPv6)"),
        }
    }
}

impl ServiceKey {
    /// The inverse of its `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ')?;
        let protocol = match word {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            "mark" => {
                let (family, number) = match rest.strip_suffix(" (IPv6)") {
                    Some(number) => (Family::V6, number),
                    None => (Family::V4, rest),
                };
                let mark = number.parse().ok().filter(|mark| *mark != 0)?;
                return Some(Self::Mark { family, mark });
            }
            _ => return None,
        };
        let socket: std::net::SocketAddr = rest.parse().ok()?;
        Some(Self::Address { protocol, address: socket.ip(), port: socket.port() })
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`.
impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}
