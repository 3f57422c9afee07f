//! Links and addresses as bytes (linux/rtnetlink.h, if_link.h, if_addr.h).
//!
//! Pure. An answer keeps what it can: unknown attributes are skipped, addresses
//! of other families and links of other tables (a bridge reports its ports as
//! links, too) are left out.
//!
//! ```
//! use common::netlink::message::messages;
//! use common::netlink::route::{message, Address, Change};
//!
//! let vip = Address {
//!     index: 2,
//!     address: "192.0.2.80".parse().unwrap(),
//!     prefix: 24,
//!     broadcast: Some("192.0.2.255".parse().unwrap()),
//!     label: Some("eth0:1".to_owned()),
//!     scope: 0,
//!     nodad: false,
//!     deprecated: false,
//!     valid: None,
//! };
//! let mut request = message::add_address(&vip);
//! let bytes = request.stamp(1);
//! let event = messages(bytes).next().unwrap().unwrap();
//! assert_eq!(message::read_change(event.kind, event.body).unwrap(), Some(Change::AddressAdded(vip)));
//! ```

use std::net::{IpAddr, Ipv4Addr};

use nix::libc;

use super::{Address, Change, Link, Neighbour};
use crate::netlink::message::{
    ACK, Attribute, Attributes, CREATE, DUMP, EXCLUSIVE, Malformed, REPLACE, Request, array,
};

/// RTM_*.
const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const DEL_NEIGHBOUR: u16 = 29;
const GET_NEIGHBOUR: u16 = 30;

/// IFLA_*.
mod ifla {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const IFNAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const CARRIER_CHANGES: u16 = 35;
}

/// IFA_*.
mod ifa {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const LOCAL: u16 = 2;
    pub(super) const LABEL: u16 = 3;
    pub(super) const BROADCAST: u16 = 4;
    pub(super) const CACHEINFO: u16 = 6;
    pub(super) const FLAGS: u16 = 8;
}

/// NDA_*.
mod nda {
    pub(super) const DESTINATION: u16 = 1;
    pub(super) const LINK_ADDRESS: u16 = 2;
}

/// IFF_*.
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const NOARP: u32 = 0x80;
const LOWER_UP: u32 = 0x1_0000;

/// IFA_F_NODAD.
const NODAD: u8 = 0x02;
/// IFA_F_DEPRECATED for IPv6, IFA_F_SECONDARY for IPv4.
const DEPRECATED: u8 = 0x20;

/// INFINITY_LIFE_TIME.
const FOR_EVER: u32 = u32::MAX;

/// NUD_INCOMPLETE | NUD_FAILED: asked for, and no answer.
const UNKNOWN_NEIGHBOUR: u16 = 0x01 | 0x20;

/// Address families as the first byte of a body.
pub(super) const UNSPECIFIED: u8 = 0;
pub(super) const INET: u8 = 2;
pub(super) const INET6: u8 = 10;
const _: () = assert!(INET as libc::c_int == libc::AF_INET && INET6 as libc::c_int == libc::AF_INET6);

/// AF_*, of an address.
pub(super) fn family(is_ipv6: bool) -> u8 {
    if is_ipv6 { INET6 } else { INET }
}

/// Bytes of struct ifinfomsg and struct ifaddrmsg.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// Bytes of struct ndmsg.
const NEIGHBOUR_HEADER: usize = 12;

/// Asks for all links.
pub fn list_links() -> Request {
    let mut request = Request::new(GET_LINK, DUMP);
    request.fixed(&[UNSPECIFIED; LINK_HEADER]);
    request
}

/// Asks for all addresses of both families.
pub fn list_addresses() -> Request {
    let mut request = Request::new(GET_ADDRESS, DUMP);
    request.fixed(&[UNSPECIFIED; ADDRESS_HEADER]);
    request
}

fn address_request(kind: u16, flags: u16, address: &Address) -> Request {
    let mut request = Request::new(kind, ACK | flags);
    let family = family(address.address.is_ipv6());
    let flag = |wanted: bool, bit: u8| if wanted && address.address.is_ipv6() { bit } else { 0 };
    let flags = flag(address.nodad, NODAD) | flag(address.deprecated, DEPRECATED);
    request.fixed(&[family, address.prefix, flags, address.scope]).fixed(&address.index.to_ne_bytes());
    // On a broadcast network the address and its prefix's address are one.
    request.address(ifa::LOCAL, address.address).address(ifa::ADDRESS, address.address);
    if address.address.is_ipv4() {
        if let Some(broadcast) = address.broadcast {
            request.address(ifa::BROADCAST, IpAddr::V4(broadcast));
        }
        if let Some(label) = &address.label {
            request.text(ifa::LABEL, label);
        }
    }
    let valid = address.valid.unwrap_or(FOR_EVER);
    if address.deprecated && address.address.is_ipv6() {
        request.attribute(ifa::CACHEINFO, &cache_info(0, valid));
    } else if address.valid.is_some() {
        // Preferred as long as valid; one that is preferred for ever is never
        // looked at again.
        request.attribute(ifa::CACHEINFO, &cache_info(valid, valid));
    }
    request
}

/// struct ifa_cacheinfo; the two stamps behind the times are the kernel's own.
fn cache_info(preferred: u32, valid: u32) -> [u8; 16] {
    let mut info = [0; 16];
    let (times, _) = info.split_at_mut(8);
    let (first, second) = times.split_at_mut(4);
    first.copy_from_slice(&preferred.to_ne_bytes());
    second.copy_from_slice(&valid.to_ne_bytes());
    info
}

/// Adds an address; it must not be there yet.
pub fn add_address(address: &Address) -> Request {
    address_request(NEW_ADDRESS, CREATE | EXCLUSIVE, address)
}

/// Changes the lifetime of an address that is there.
pub fn renew_address(address: &Address) -> Request {
    address_request(NEW_ADDRESS, REPLACE, address)
}

/// Asks for all neighbours of both families.
pub fn list_neighbours() -> Request {
    let mut request = Request::new(GET_NEIGHBOUR, DUMP);
    request.fixed(&[UNSPECIFIED; NEIGHBOUR_HEADER]);
    request
}

/// Deletes what is known of a neighbour.
pub fn forget_neighbour(index: u32, address: IpAddr) -> Request {
    let mut request = Request::new(DEL_NEIGHBOUR, ACK);
    let family = family(address.is_ipv6());
    let [a, b, c, d] = index.to_ne_bytes();
    let header: [u8; NEIGHBOUR_HEADER] = [family, 0, 0, 0, a, b, c, d, 0, 0, 0, 0];
    request.fixed(&header).address(nda::DESTINATION, address);
    request
}

/// Deletes an address.
pub fn delete_address(address: &Address) -> Request {
    address_request(DEL_ADDRESS, 0, address)
}

/// Reads a link (an answer to `list_links`). `None`: a link of another table.
pub fn read_link(body: &[u8]) -> Result<Option<Link>, Malformed> {
    let short = Malformed("short link header");
    let (family, attributes) = split(body, LINK_HEADER).ok_or(short)?;
    if family != UNSPECIFIED {
        return Ok(None);
    }
    let flags = array(body, 8).map(u32::from_ne_bytes).ok_or(short)?;
    let mut link = Link {
        index: array(body, 4).map(u32::from_ne_bytes).ok_or(short)?,
        name: String::new(),
        mac: None,
        up: flags & UP != 0,
        running: flags & LOWER_UP != 0,
        loopback: flags & LOOPBACK != 0,
        noarp: flags & NOARP != 0,
        mtu: 0,
        carrier_changes: 0,
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            ifla::IFNAME => link.name = attribute.text(),
            // Tunnels have addresses of other lengths here.
            ifla::ADDRESS => link.mac = <[u8; 6]>::try_from(attribute.payload).ok(),
            ifla::MTU => link.mtu = attribute.u32()?,
            ifla::CARRIER_CHANGES => link.carrier_changes = attribute.u32()?,
            _ => {}
        }
    }
    Ok(Some(link))
}

/// Reads an address (an answer to `list_addresses`). `None`: of another family.
pub fn read_address(body: &[u8]) -> Result<Option<Address>, Malformed> {
    let short = Malformed("short address header");
    let (family, attributes) = split(body, ADDRESS_HEADER).ok_or(short)?;
    let [_, prefix, header_flags, scope] = array(body, 0).ok_or(short)?;
    let index = array(body, 4).map(u32::from_ne_bytes).ok_or(short)?;
    let read: fn(&Attribute<'_>) -> Result<IpAddr, Malformed> = match family {
        INET => |attribute| attribute.ipv4().map(IpAddr::V4),
        INET6 => |attribute| attribute.ipv6().map(IpAddr::V6),
        _ => return Ok(None),
    };
    // IFA_FLAGS has the header's flags and those that did not fit there.
    let mut flags = u32::from(header_flags);
    let (mut local, mut peer): (Option<IpAddr>, Option<IpAddr>) = (None, None);
    let (mut broadcast, mut label): (Option<Ipv4Addr>, Option<String>) = (None, None);
    let mut valid = None;
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            ifa::LOCAL => local = Some(read(&attribute)?),
            ifa::ADDRESS => peer = Some(read(&attribute)?),
            ifa::BROADCAST if family == INET => broadcast = Some(attribute.ipv4()?),
            ifa::LABEL => label = Some(attribute.text()),
            ifa::FLAGS => flags = attribute.u32()?,
            ifa::CACHEINFO => {
                let seconds = array(attribute.payload, 4).map(u32::from_ne_bytes);
                let seconds = seconds.ok_or(Malformed("short address lifetimes"))?;
                valid = (seconds != FOR_EVER).then_some(seconds);
            }
            _ => {}
        }
    }
    let address = local.or(peer).ok_or(Malformed("address message without address"))?;
    let nodad = flags & u32::from(NODAD) != 0;
    // For IPv4 the same bit says "secondary".
    let deprecated = family == INET6 && flags & u32::from(DEPRECATED) != 0;
    Ok(Some(Address { index, address, prefix, broadcast, label, scope, nodad, deprecated, valid }))
}

/// Reads a neighbour (an answer to `list_neighbours`). `None`: of another family,
/// or nobody knows where it is.
pub fn read_neighbour(body: &[u8]) -> Result<Option<Neighbour>, Malformed> {
    let short = Malformed("short neighbour header");
    let (family, attributes) = split(body, NEIGHBOUR_HEADER).ok_or(short)?;
    let index = array(body, 4).map(u32::from_ne_bytes).ok_or(short)?;
    let state = array(body, 8).map(u16::from_ne_bytes).ok_or(short)?;
    let (mut address, mut mac) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match (attribute.kind, family) {
            (nda::DESTINATION, INET) => address = Some(IpAddr::V4(attribute.ipv4()?)),
            (nda::DESTINATION, INET6) => address = Some(IpAddr::V6(attribute.ipv6()?)),
            (nda::LINK_ADDRESS, _) => mac = <[u8; 6]>::try_from(attribute.payload).ok(),
            _ => {}
        }
    }
    let known = state & UNKNOWN_NEIGHBOUR == 0;
    Ok(address.zip(mac).filter(|_| known).map(|(address, mac)| Neighbour { index, address, mac }))
}

/// Reads an event. `None`: one that is not about links and addresses.
pub fn read_change(kind: u16, body: &[u8]) -> Result<Option<Change>, Malformed> {
    Ok(match kind {
        NEW_LINK => read_link(body)?.map(Change::Link),
        DEL_LINK => read_link(body)?.map(|link| Change::LinkGone(link.index)),
        NEW_ADDRESS => read_address(body)?.map(Change::AddressAdded),
        DEL_ADDRESS => read_address(body)?.map(Change::AddressGone),
        _ => None,
    })
}

pub(super) fn split(body: &[u8], header: usize) -> Option<(u8, Attributes<'_>)> {
    Some((*body.first()?, Attributes::new(body.get(header..)?)))
}

#[cfg(test)]
mod tests;
