//! PURE. What a director does for late packets when it has given its virtual IPs up
//! in order: for a moment it goes on serving what still comes to its hardware
//! address, and neither has nor announces nor answers for them.
//!
//! ```text
//! here    rules, routes ─ addresses gone ─ STOPPED ──────────── LINGER ─ gone ─ lvsd ends
//! there                                    addresses, announced
//! clients ──────────────── to us ──────────────────── to the successor ──────────────────
//! ```
//!
//! Clients send here until they hear the successor. Without the addresses their
//! packets would be forwarded, or wait, or be dropped where nothing is forwarded, and
//! the successor knows nothing of the connections that they belong to. But a packet is
//! IPVS's if its route is a local one, whoever has the address: a table of ours has
//! such routes, and a rule for each protocol leads there. The question of ARP is of no
//! protocol, so that the kernel finds no such route for it and does not answer; that
//! of IPv6 it answers for addresses of interfaces only.
//!
//! All of it claims nothing. What a pulse leaves of it that is killed in that moment
//! is in the ledger and removed by the next one; meanwhile it keeps nobody from
//! reaching the successor but this host itself.
//!
//! Only a director that served until now, and could have gone on, lingers, and only if
//! there is somebody to take over. It does not if
//! * its links are down: nobody reaches it, and when somebody does again, the partner
//!   has taken over;
//! * lvsd or `check_cmd` fails: what it serves is not to be relied on;
//! * it did not know whether it was the active one: others may serve for long.
//!
//! Of its virtual IPs those are left out that
//! * are moved for a local service (`service = fos`), or have a destination on this
//!   host: its answers would need the address;
//! * are the NAT router's: what comes to it is forwarded, and needs no address.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use common::config::{Config, ServiceKind};
use common::netlink::route::policy::{LocalRoute, Rule};

use crate::election::Deactivation;
use crate::heartbeat::Reason;
use crate::ledger::Entry;

/// How long. The successor announces a virtual IP as soon as it has it, and again a
/// second later ([`crate::announce::APART`]): one that misses the first announcement
/// sends its lost packet again after a second, too.
pub const LINGER: Duration = Duration::from_millis(1200);

/// The number of the table; it is the port of heartbeats, and nobody else's.
pub const TABLE: u32 = 539;

/// The number of the rules: behind that of the local table, whose addresses come first,
/// and before the main one, which would have the packets forwarded.
pub const PRIORITY: u32 = 539;

/// Who made them, as `ip rule` and `ip route` show it (RTPROT_*).
pub const ORIGIN: u8 = 139;

/// IPPROTO_*: those that IPVS balances.
const PROTOCOLS: [u8; 3] = [6, 17, 132];

/// A virtual IP of the file, and what serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The virtual IP.
    pub vip: IpAddr,
    /// The addresses of its real servers and sorry servers.
    pub by: BTreeSet<IpAddr>,
}

/// What lingering is about in a file.
pub fn served(config: &Config) -> Vec<Served> {
    let mut all: Vec<Served> = Vec::new();
    if config.service == ServiceKind::Fos {
        return all;
    }
    for block in config.running() {
        let Some(vip) = block.virtual_address() else { continue };
        let by = block.servers.iter().filter_map(|server| server.address).chain(block.sorry_server);
        match all.iter_mut().find(|one| one.vip == vip) {
            Some(one) => one.by.extend(by),
            None => all.push(Served { vip, by: by.collect() }),
        }
    }
    all
}

/// The virtual IPs to linger for, of those that we added and remove.
pub fn late(served: &[Served], added: &BTreeSet<Entry>, here: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    let added: BTreeSet<IpAddr> = added.iter().map(|entry| entry.address).collect();
    let is_local = |address: &IpAddr| address.is_loopback() || here.contains(address);
    let remote = served.iter().filter(|one| !one.by.iter().any(is_local));
    remote.map(|one| one.vip).filter(|vip| added.contains(vip)).collect()
}

/// Whether a director that gives way for this reason could have gone on serving.
pub fn is_in_order(why: Deactivation) -> bool {
    match why {
        Deactivation::PartnerActive
        | Deactivation::PartnerDeaf
        | Deactivation::PartnerAnnounces
        | Deactivation::Wanted
        | Deactivation::Relocated
        | Deactivation::Stopped
        | Deactivation::Unfit(Reason::Released) => true,
        Deactivation::Unfit(Reason::Link | Reason::Lvsd | Reason::Check | Reason::Rests | Reason::Other(_)) => false,
    }
}

/// The rules for these virtual IPs.
pub fn rules(vips: &BTreeSet<IpAddr>) -> Vec<Rule> {
    let families: BTreeSet<bool> = vips.iter().map(IpAddr::is_ipv6).collect();
    let rule = |ipv6, ip_protocol| Rule {
        ipv6,
        priority: PRIORITY,
        table: TABLE,
        ip_protocol: Some(ip_protocol),
        origin: Some(ORIGIN),
    };
    families.into_iter().flat_map(|ipv6| PROTOCOLS.map(|ip_protocol| rule(ipv6, ip_protocol))).collect()
}

/// The route for one of them; `lo` is the number of the loopback interface.
pub fn route(vip: IpAddr, lo: u32) -> LocalRoute {
    LocalRoute { address: vip, index: lo, table: TABLE, origin: ORIGIN }
}

/// Whether a rule is one of ours. A kernel that does not say whose it is made it less
/// than we asked for, too.
pub fn is_ours(rule: &Rule) -> bool {
    (rule.priority, rule.table) == (PRIORITY, TABLE) && rule.origin.is_none_or(|origin| origin == ORIGIN)
}

/// Whether the kernel has made of our rules what we asked for. An old one leaves the
/// protocol out, and the rule would be about ARP, too.
pub fn are_kept(wanted: &[Rule], there: &[Rule]) -> bool {
    wanted.iter().all(|rule| there.contains(rule))
        && there.iter().filter(|rule| is_ours(rule)).all(|rule| rule.ip_protocol.is_some())
}

#[cfg(test)]
mod tests;
