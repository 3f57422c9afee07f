//! Answers: what the kernel has.
//!
//! `Ok(None)` is an entry that is none of ours: of another protocol or family.

use std::net::IpAddr;
use std::time::Duration;

use super::numbers::{daemon, dest, prefix, svc, top};
use crate::ipvs::{
    Destination, DestinationEntry, DestinationKey, Family, ForwardingMethod, Protocol, Service, ServiceEntry,
    ServiceFlags, ServiceKey, Stats, SyncDaemon, SyncRole, Timeouts, Tunnel,
};
use crate::netlink::generic;
use crate::netlink::message::{Attribute, Attributes, Malformed, array};

/// The nest of that kind in a generic message's body.
fn nest(body: &[u8], kind: u16) -> Result<Option<Attributes<'_>>, Malformed> {
    for attribute in generic::attributes(body)? {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(Some(attribute.nested()));
        }
    }
    Ok(None)
}

fn address(attribute: &Attribute<'_>, family: Family) -> Result<IpAddr, Malformed> {
    match family {
        Family::V4 => attribute.ipv4().map(IpAddr::V4),
        Family::V6 => attribute.ipv6().map(IpAddr::V6),
    }
}

fn stats(attributes: Attributes<'_>) -> Result<Stats, Malformed> {
    let mut stats = Stats::default();
    for attribute in attributes {
        let attribute = attribute?;
        let place = match attribute.kind {
            1 => &mut stats.connections,
            2 => &mut stats.packets_in,
            3 => &mut stats.packets_out,
            4 => &mut stats.bytes_in,
            5 => &mut stats.bytes_out,
            6 => &mut stats.connections_per_second,
            7 => &mut stats.packets_in_per_second,
            8 => &mut stats.packets_out_per_second,
            9 => &mut stats.bytes_in_per_second,
            10 => &mut stats.bytes_out_per_second,
            _ => continue,
        };
        *place = attribute.counter()?;
    }
    Ok(stats)
}

/// What can make a service's key, as it comes.
#[derive(Default)]
struct KeyParts<'a> {
    family: u16,
    protocol: u16,
    address: Option<Attribute<'a>>,
    port: u16,
    mark: u32,
}

impl KeyParts<'_> {
    fn key(&self) -> Result<Option<ServiceKey>, Malformed> {
        let Some(family) = Family::from_number(self.family) else { return Ok(None) };
        if self.mark != 0 {
            return Ok(Some(ServiceKey::Mark { family, mark: self.mark }));
        }
        let Some(protocol) = Protocol::from_number(self.protocol) else { return Ok(None) };
        let attribute = self.address.ok_or(Malformed("service without address or mark"))?;
        Ok(Some(ServiceKey::Address { protocol, address: address(&attribute, family)?, port: self.port }))
    }
}

/// Reads a service (an answer to `list_services` or `get_service`).
pub fn read_service(body: &[u8]) -> Result<Option<ServiceEntry>, Malformed> {
    let attributes = nest(body, top::SERVICE)?.ok_or(Malformed("no service in the answer"))?;
    let mut parts = KeyParts::default();
    let (mut scheduler, mut engine) = (String::new(), None);
    let (mut flags, mut seconds, mut mask) = (0, 0, None);
    let (mut narrow, mut wide) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            svc::AF => parts.family = attribute.u16()?,
            svc::PROTOCOL => parts.protocol = attribute.u16()?,
            svc::ADDR => parts.address = Some(attribute),
            svc::PORT => parts.port = attribute.u16_be()?,
            svc::FWMARK => parts.mark = attribute.u32()?,
            svc::SCHED_NAME => scheduler = attribute.text(),
            // Flags, then a mask that an answer sets to all ones.
            svc::FLAGS => {
                flags = array(attribute.payload, 0).map(u32::from_ne_bytes).ok_or(Malformed("short service flags"))?;
            }
            svc::TIMEOUT => seconds = attribute.u32()?,
            svc::NETMASK => mask = Some(attribute.u32()?),
            svc::PE_NAME => engine = Some(attribute.text()).filter(|name| !name.is_empty()),
            svc::STATS => narrow = Some(stats(attribute.nested())?),
            svc::STATS64 => wide = Some(stats(attribute.nested())?),
            _ => {}
        }
    }
    let Some(key) = parts.key()? else { return Ok(None) };
    let family = key.family();
    let flags = ServiceFlags(flags & ServiceFlags::MASK);
    let persistent = flags.0 & ServiceFlags::PERSISTENT != 0;
    let service = Service {
        key,
        scheduler,
        flags,
        persistence: if persistent { Duration::from_secs(seconds.into()) } else { Duration::ZERO },
        prefix: mask.map_or(family.bits(), |mask| prefix(family, mask)),
        engine,
    };
    Ok(Some(ServiceEntry { service, stats: wide.or(narrow).unwrap_or_default() }))
}

/// Reads a destination of a service of that family (an answer to
/// `list_destinations`).
pub fn read_destination(body: &[u8], service: Family) -> Result<Option<DestinationEntry>, Malformed> {
    let attributes = nest(body, top::DEST)?.ok_or(Malformed("no destination in the answer"))?;
    let mut family = Some(service);
    let (mut at, mut port) = (None, 0);
    let (mut method, mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0, 0);
    let (mut active, mut inactive, mut persistent) = (0, 0, 0);
    let (mut kind, mut tunnel_port, mut tunnel_flags) = (0, 0, 0);
    let (mut narrow, mut wide) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            dest::ADDR => at = Some(attribute),
            dest::PORT => port = attribute.u16_be()?,
            dest::FWD_METHOD => method = attribute.u32()?,
            dest::WEIGHT => weight = attribute.u32()?,
            dest::U_THRESH => upper_threshold = attribute.u32()?,
            dest::L_THRESH => lower_threshold = attribute.u32()?,
            dest::ACTIVE_CONNS => active = attribute.u32()?,
            dest::INACT_CONNS => inactive = attribute.u32()?,
            dest::PERSIST_CONNS => persistent = attribute.u32()?,
            // Before Linux 3.18 a destination was always of its service's family.
            dest::ADDR_FAMILY => family = Family::from_number(attribute.u16()?),
            dest::TUN_TYPE => kind = attribute.u8()?,
            dest::TUN_PORT => tunnel_port = attribute.u16_be()?,
            dest::TUN_FLAGS => tunnel_flags = attribute.u16()?,
            dest::STATS => narrow = Some(stats(attribute.nested())?),
            dest::STATS64 => wide = Some(stats(attribute.nested())?),
            _ => {}
        }
    }
    let Some(family) = family else { return Ok(None) };
    let at = at.ok_or(Malformed("destination without address"))?;
    let destination = Destination {
        key: DestinationKey { address: address(&at, family)?, port },
        method: ForwardingMethod::from_number(method),
        weight,
        upper_threshold,
        lower_threshold,
        tunnel: Tunnel::from_parts(kind, tunnel_port, tunnel_flags),
    };
    let stats = wide.or(narrow).unwrap_or_default();
    Ok(Some(DestinationEntry { destination, active, inactive, persistent, stats }))
}

/// Reads the timeouts (an answer to `get_timeouts`). A kernel without a protocol
/// has no timeout for it: zero.
pub fn read_timeouts(body: &[u8]) -> Result<Timeouts, Malformed> {
    let mut timeouts = Timeouts::default();
    for attribute in generic::attributes(body)? {
        let attribute = attribute?;
        let place = match attribute.kind {
            top::TIMEOUT_TCP => &mut timeouts.tcp,
            top::TIMEOUT_TCP_FIN => &mut timeouts.tcp_fin,
            top::TIMEOUT_UDP => &mut timeouts.udp,
            _ => continue,
        };
        *place = Duration::from_secs(attribute.u32()?.into());
    }
    Ok(timeouts)
}

/// Reads a synchronisation daemon (an answer to `list_sync_daemons`). What
/// kernels before 4.3 do not say is zero or `None`.
pub fn read_sync_daemon(body: &[u8]) -> Result<Option<SyncDaemon>, Malformed> {
    let attributes = nest(body, top::DAEMON)?.ok_or(Malformed("no synchronisation daemon in the answer"))?;
    let mut role = None;
    let mut found =
        SyncDaemon { role: SyncRole::Master, interface: String::new(), id: 0, maxlen: 0, group: None, port: 0, ttl: 0 };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            daemon::STATE => role = SyncRole::from_number(attribute.u32()?),
            daemon::MCAST_IFN => found.interface = attribute.text(),
            // The kernel keeps 32 bits and puts the lowest eight on the wire.
            daemon::SYNC_ID => found.id = u8::try_from(attribute.u32()? & 0xff).unwrap_or_default(),
            daemon::SYNC_MAXLEN => found.maxlen = attribute.u16()?,
            daemon::MCAST_GROUP => found.group = Some(IpAddr::V4(attribute.ipv4()?)),
            daemon::MCAST_GROUP6 => found.group = Some(IpAddr::V6(attribute.ipv6()?)),
            daemon::MCAST_PORT => found.port = attribute.u16()?,
            daemon::MCAST_TTL => found.ttl = attribute.u8()?,
            _ => {}
        }
    }
    Ok(role.map(|role| SyncDaemon { role, ..found }))
}
