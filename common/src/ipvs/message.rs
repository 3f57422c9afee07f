//! IPVS requests and answers as bytes (linux/ip_vs.h, IPVS_CMD_* and IPVS_*_ATTR_*).
//!
//! Pure. Ports of addresses are in network order, everything else in the host's.
//! An answer keeps what it can: unknown attributes are skipped, an unknown
//! scheduler, tunnel or forwarding method is kept as it is, a service of a
//! protocol or family that is none of ours is left out.
//!
//! ```
//! use common::ipvs::{message, Family, Protocol, Service, ServiceKey};
//!
//! let key = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
//! let service = Service::new(key, "wlc");
//! let mut request = message::add_service(&service);
//!
//! // What is asked has the form of what is answered.
//! let body = &request.stamp(1)[16..];
//! assert_eq!(message::read_service(body).unwrap().unwrap().service, service);
//! ```

mod numbers;
mod read;
mod write;

pub use numbers::FAMILY;
pub use read::{read_destination, read_service, read_sync_daemon, read_timeouts};
pub use write::{
    add_destination, add_service, delete_destination, delete_service, edit_destination, edit_service, get_service,
    get_timeouts, list_destinations, list_services, list_sync_daemons, set_timeouts, start_sync_daemon,
    stop_sync_daemon,
};

#[cfg(test)]
mod tests;
