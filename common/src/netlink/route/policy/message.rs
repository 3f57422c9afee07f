//! Rules and local routes as bytes (linux/fib_rules.h, rtnetlink.h).
//!
//! Pure. Rules that do something else than to name a table (a blackhole, a jump),
//! and those of other families (multicast has its own), are left out.
//!
//! ```
//! use common::netlink::message::messages;
//! use common::netlink::route::policy::{message, Rule};
//!
//! let rule = Rule { ipv6: false, priority: 100, table: 1000, ip_protocol: Some(6), origin: Some(200) };
//! let mut request = message::add_rule(&rule);
//! let bytes = request.stamp(1);
//! let message = messages(bytes).next().unwrap().unwrap();
//! assert_eq!(message::read_rule(message.body).unwrap(), Some(rule));
//! ```

use super::{LocalRoute, Rule};
use crate::netlink::message::{ACK, CREATE, DUMP, EXCLUSIVE, Malformed, Request, array};
use crate::netlink::route::message::{INET, INET6, UNSPECIFIED, family, split};

/// RTM_*.
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const NEW_RULE: u16 = 32;
const DEL_RULE: u16 = 33;
const GET_RULE: u16 = 34;

/// FRA_*.
mod fra {
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const TABLE: u16 = 15;
    pub(super) const PROTOCOL: u16 = 21;
    pub(super) const IP_PROTO: u16 = 22;
}

/// RTA_*.
mod rta {
    pub(super) const DESTINATION: u16 = 1;
    pub(super) const OUT_INTERFACE: u16 = 4;
    pub(super) const TABLE: u16 = 15;
}

/// FR_ACT_TO_TBL.
const TO_TABLE: u8 = 1;
/// RTN_LOCAL.
const LOCAL: u8 = 2;
/// RT_SCOPE_HOST.
const HOST: u8 = 254;
/// RT_TABLE_UNSPEC: the number is in an attribute, where there is room for it.
const TABLE_ELSEWHERE: u8 = 0;

/// Bytes of struct fib_rule_hdr.
const RULE_HEADER: usize = 12;

/// Asks for the rules of all families.
pub fn list_rules() -> Request {
    let mut request = Request::new(GET_RULE, DUMP);
    request.fixed(&[UNSPECIFIED; RULE_HEADER]);
    request
}

fn rule_request(kind: u16, flags: u16, rule: &Rule) -> Request {
    let mut request = Request::new(kind, ACK | flags);
    request.fixed(&[family(rule.ipv6), 0, 0, 0, TABLE_ELSEWHERE, 0, 0, TO_TABLE, 0, 0, 0, 0]);
    request.u32(fra::PRIORITY, rule.priority).u32(fra::TABLE, rule.table);
    if let Some(ip_protocol) = rule.ip_protocol {
        request.u8(fra::IP_PROTO, ip_protocol);
    }
    if let Some(origin) = rule.origin {
        request.u8(fra::PROTOCOL, origin);
    }
    request
}

/// Adds a rule; there must not be the same yet.
pub fn add_rule(rule: &Rule) -> Request {
    rule_request(NEW_RULE, CREATE | EXCLUSIVE, rule)
}

/// Deletes a rule: the first that is as this one says.
pub fn delete_rule(rule: &Rule) -> Request {
    rule_request(DEL_RULE, 0, rule)
}

fn local_request(kind: u16, flags: u16, route: &LocalRoute) -> Request {
    let mut request = Request::new(kind, ACK | flags);
    let (family, bits) = if route.address.is_ipv4() { (INET, 32) } else { (INET6, 128) };
    request.fixed(&[family, bits, 0, 0, TABLE_ELSEWHERE, route.origin, HOST, LOCAL, 0, 0, 0, 0]);
    request.address(rta::DESTINATION, route.address);
    request.u32(rta::OUT_INTERFACE, route.index).u32(rta::TABLE, route.table);
    request
}

/// Adds a local route; it must not be there yet.
pub fn add_local(route: &LocalRoute) -> Request {
    local_request(NEW_ROUTE, CREATE | EXCLUSIVE, route)
}

/// Deletes a local route.
pub fn delete_local(route: &LocalRoute) -> Request {
    local_request(DEL_ROUTE, 0, route)
}

/// Reads a rule (an answer to `list_rules`). `None`: one of another kind.
pub fn read_rule(body: &[u8]) -> Result<Option<Rule>, Malformed> {
    let (family, attributes) = split(body, RULE_HEADER).ok_or(Malformed("short rule header"))?;
    let [table, _, _, action] = array(body, 4).ok_or(Malformed("short rule header"))?;
    let ipv6 = match family {
        INET => false,
        INET6 => true,
        _ => return Ok(None),
    };
    // A rule of the highest priority has none.
    let mut rule = Rule { ipv6, priority: 0, table: u32::from(table), ip_protocol: None, origin: None };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            fra::PRIORITY => rule.priority = attribute.u32()?,
            fra::TABLE => rule.table = attribute.u32()?,
            fra::IP_PROTO => rule.ip_protocol = Some(attribute.u8()?),
            fra::PROTOCOL => rule.origin = Some(attribute.u8()?),
            _ => {}
        }
    }
    Ok(Some(rule).filter(|_| action == TO_TABLE))
}

#[cfg(test)]
mod tests;
