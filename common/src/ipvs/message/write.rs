//! Requests: what is asked of the kernel.

use std::net::IpAddr;
use std::time::Duration;

use super::numbers::{FORWARDING_MASK, VERSION, command, daemon, dest, netmask, svc, top};
use crate::ipvs::{
    Destination, DestinationKey, Family, Service, ServiceFlags, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel,
};
use crate::netlink::generic;
use crate::netlink::message::{ACK, DUMP, Request};

fn ask(command: u8) -> Request {
    generic::request(command, VERSION, ACK)
}

fn ask_all(command: u8) -> Request {
    generic::request(command, VERSION, DUMP)
}

/// union nf_inet_addr: always 16 bytes, IPv4 in the first four.
fn put_address(request: &mut Request, kind: u16, address: IpAddr) {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            bytes = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        }
        IpAddr::V6(v6) => bytes.copy_from_slice(&v6.octets()),
    }
    request.attribute(kind, &bytes);
}

fn put_key(request: &mut Request, key: &ServiceKey) {
    request.u16(svc::AF, key.family().number());
    match key {
        ServiceKey::Address { protocol, address, port } => {
            request.u16(svc::PROTOCOL, protocol.number());
            put_address(request, svc::ADDR, *address);
            request.u16_be(svc::PORT, *port);
        }
        ServiceKey::Mark { mark, .. } => {
            request.u32(svc::FWMARK, *mark);
        }
    }
}

fn about(command: u8, key: &ServiceKey) -> Request {
    let mut request = ask(command);
    request.nest(top::SERVICE, |r| put_key(r, key));
    request
}

/// Whole seconds, as IPVS counts its timeouts.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn full_service(command: u8, service: &Service) -> Request {
    let mut request = ask(command);
    request.nest(top::SERVICE, |r| {
        put_key(r, &service.key);
        let flags = service.flags.0 & ServiceFlags::MASK;
        // struct ip_vs_flags: the flags, and which of them are meant.
        let words = [flags.to_ne_bytes(), ServiceFlags::MASK.to_ne_bytes()].concat();
        let persistent = flags & ServiceFlags::PERSISTENT != 0;
        r.text(svc::SCHED_NAME, &service.scheduler)
            .attribute(svc::FLAGS, &words)
            .u32(svc::TIMEOUT, if persistent { seconds(service.persistence) } else { 0 })
            .u32(svc::NETMASK, netmask(service.key.family(), service.prefix));
        if let Some(engine) = &service.engine {
            r.text(svc::PE_NAME, engine);
        }
    });
    request
}

/// Asks for all services.
pub fn list_services() -> Request {
    ask_all(command::GET_SERVICE)
}

/// Asks for one service.
pub fn get_service(key: &ServiceKey) -> Request {
    about(command::GET_SERVICE, key)
}

/// Adds a service.
pub fn add_service(service: &Service) -> Request {
    full_service(command::NEW_SERVICE, service)
}

/// Changes a service.
pub fn edit_service(service: &Service) -> Request {
    full_service(command::SET_SERVICE, service)
}

/// Deletes a service and its destinations.
pub fn delete_service(key: &ServiceKey) -> Request {
    about(command::DEL_SERVICE, key)
}

/// Asks for a service's destinations. The kernel answers an unknown service with
/// an empty list.
pub fn list_destinations(key: &ServiceKey) -> Request {
    let mut request = ask_all(command::GET_DEST);
    request.nest(top::SERVICE, |r| put_key(r, key));
    request
}

fn put_destination_key(request: &mut Request, key: &DestinationKey) {
    put_address(request, dest::ADDR, key.address);
    request.u16_be(dest::PORT, key.port).u16(dest::ADDR_FAMILY, Family::of(key.address).number());
}

fn full_destination(command: u8, service: &ServiceKey, destination: &Destination) -> Request {
    let mut request = about(command, service);
    request.nest(top::DEST, |r| {
        put_destination_key(r, &destination.key);
        r.u32(dest::FWD_METHOD, destination.method.number() & FORWARDING_MASK)
            .u32(dest::WEIGHT, destination.weight)
            .u32(dest::U_THRESH, destination.upper_threshold)
            .u32(dest::L_THRESH, destination.lower_threshold);
        // Absent means IP in IP, as it always was.
        if destination.tunnel != Tunnel::IpIp {
            let (kind, port, flags) = destination.tunnel.parts();
            r.u8(dest::TUN_TYPE, kind).u16_be(dest::TUN_PORT, port).u16(dest::TUN_FLAGS, flags);
        }
    });
    request
}

/// Adds a destination.
pub fn add_destination(service: &ServiceKey, destination: &Destination) -> Request {
    full_destination(command::NEW_DEST, service, destination)
}

/// Changes a destination.
pub fn edit_destination(service: &ServiceKey, destination: &Destination) -> Request {
    full_destination(command::SET_DEST, service, destination)
}

/// Deletes a destination.
pub fn delete_destination(service: &ServiceKey, destination: &DestinationKey) -> Request {
    let mut request = about(command::DEL_DEST, service);
    request.nest(top::DEST, |r| put_destination_key(r, destination));
    request
}

/// Asks for the connection timeouts.
pub fn get_timeouts() -> Request {
    ask(command::GET_CONFIG)
}

/// Sets those timeouts that are not zero.
pub fn set_timeouts(timeouts: &Timeouts) -> Request {
    let mut request = ask(command::SET_CONFIG);
    let all =
        [(top::TIMEOUT_TCP, timeouts.tcp), (top::TIMEOUT_TCP_FIN, timeouts.tcp_fin), (top::TIMEOUT_UDP, timeouts.udp)];
    for (kind, timeout) in all {
        if seconds(timeout) != 0 {
            request.u32(kind, seconds(timeout));
        }
    }
    request
}

/// Asks for the synchronisation daemons that run.
pub fn list_sync_daemons() -> Request {
    ask_all(command::GET_DAEMON)
}

/// Starts a synchronisation daemon.
pub fn start_sync_daemon(daemon: &SyncDaemon) -> Request {
    let mut request = ask(command::NEW_DAEMON);
    request.nest(top::DAEMON, |r| {
        r.u32(daemon::STATE, daemon.role.number())
            .text(daemon::MCAST_IFN, &daemon.interface)
            .u32(daemon::SYNC_ID, daemon.id.into());
        if daemon.maxlen != 0 {
            r.u16(daemon::SYNC_MAXLEN, daemon.maxlen);
        }
        match daemon.group {
            Some(group @ IpAddr::V4(_)) => _ = r.address(daemon::MCAST_GROUP, group),
            Some(group @ IpAddr::V6(_)) => _ = r.address(daemon::MCAST_GROUP6, group),
            None => {}
        }
        if daemon.port != 0 {
            r.u16(daemon::MCAST_PORT, daemon.port);
        }
        if daemon.ttl != 0 {
            r.u8(daemon::MCAST_TTL, daemon.ttl);
        }
    });
    request
}

/// Stops the synchronisation daemon of a role.
pub fn stop_sync_daemon(role: SyncRole) -> Request {
    let mut request = ask(command::DEL_DAEMON);
    request.nest(top::DAEMON, |r| _ = r.u32(daemon::STATE, role.number()));
    request
}
