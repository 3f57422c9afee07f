//! The partner's hardware addresses: what the kernel knows of those that
//! heartbeats go to. One that does not answer any more keeps what it had.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::netlink::route::Neighbour;

use crate::arp::Mac;

/// The shortest time between two looks at the kernel's list.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Partner {
    macs: BTreeMap<IpAddr, Mac>,
    looked: Option<Instant>,
}

impl Partner {
    /// Whether the kernel's list may say something new.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now >= looked + AGAIN)
    }

    /// Takes over what the list says of these addresses, which are all it has.
    pub(super) fn learn(&mut self, addresses: &[IpAddr], neighbours: &[Neighbour], now: Instant) {
        self.looked = Some(now);
        self.macs.retain(|address, _| addresses.contains(address));
        let its = neighbours.iter().filter(|one| addresses.contains(&one.address));
        self.macs.extend(its.map(|one| (one.address, one.mac)));
    }

    /// Whether it is one of its.
    pub(super) fn has(&self, mac: Mac) -> bool {
        self.macs.values().any(|its| *its == mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_of_an_address_stays_until_another_is_known_or_it_leaves_the_file() {
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let known = |n: u8, mac: u8| Neighbour { index: 2, address: ip(n), mac: [2, 0, 0, 0, 0, mac] };
        let has = |partner: &Partner, mac: u8| partner.has([2, 0, 0, 0, 0, mac]);
        let (mut partner, now) = (Partner::default(), Instant::now());
        assert!(partner.is_due(now) && !has(&partner, 1));
        partner.learn(&[ip(1), ip(2)], &[known(1, 1), known(9, 9)], now);
        assert!(!partner.is_due(now) && partner.is_due(now + AGAIN));
        assert!(has(&partner, 1) && !has(&partner, 9));
        partner.learn(&[ip(1), ip(2)], &[known(2, 2)], now);
        assert!(has(&partner, 1) && has(&partner, 2), "one does not answer any more");
        partner.learn(&[ip(1), ip(2)], &[known(1, 3)], now);
        assert!(!has(&partner, 1) && has(&partner, 3), "another card");
        partner.learn(&[ip(2)], &[], now);
        assert!(!has(&partner, 3) && has(&partner, 2));
    }
}
