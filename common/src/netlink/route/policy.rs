//! Policy routing: which packets are looked up in which table of routes, and routes
//! that make an address local without giving it to an interface.
//!
//! Kernels before 4.17 take a rule with [`Rule::ip_protocol`] and leave that out
//! without a word. Look with [`Route::rules`] what has become of one.

use std::net::IpAddr;
use std::time::Instant;

use nix::errno::Errno;

use super::{DEADLINE, Error, Route, explain};

pub mod message;

/// A rule: packets that it is about are looked up in a table, and if that has no
/// route for them, the next rule's turn comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// About IPv6; otherwise about IPv4, and then about ARP's questions too.
    pub ipv6: bool,
    /// Those with the lower number come first; the local table's has 0.
    pub priority: u32,
    /// The table's number.
    pub table: u32,
    /// IPPROTO_*: about packets of that protocol only.
    pub ip_protocol: Option<u8>,
    /// RTPROT_*: who made it. Kernels before 4.17 do not keep it.
    pub origin: Option<u8>,
}

/// A route by which packets to an address are for this machine, although no
/// interface has it: nobody's question for the address is answered by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRoute {
    /// The address.
    pub address: IpAddr,
    /// The loopback interface's number.
    pub index: u32,
    /// The table's number.
    pub table: u32,
    /// RTPROT_*: who made it.
    pub origin: u8,
}

impl Route {
    /// All rules of both families that lead to a table; none on a kernel without
    /// policy routing.
    pub fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        let rules = self
            .socket
            .dump(&mut message::list_rules(), Instant::now() + DEADLINE, message::read_rule)
            .map_err(|e| explain("list rules", e));
        match without_support(rules) {
            Err(Error::NoPolicyRouting) => Ok(Vec::new()),
            rules => rules,
        }
    }

    /// Adds a rule; [`Error::Exists`] if there is the same, [`Error::NoPolicyRouting`]
    /// if the kernel has none of that family.
    pub fn add_rule(&mut self, rule: &Rule) -> Result<(), Error> {
        without_support(self.order("add rule", message::add_rule(rule)))
    }

    /// Deletes a rule; [`Error::NoSuchRule`] if it is not there.
    pub fn delete_rule(&mut self, rule: &Rule) -> Result<(), Error> {
        match without_support(self.order("delete rule", message::delete_rule(rule))) {
            Err(Error::NoSuchNeighbour | Error::NoPolicyRouting) => Err(Error::NoSuchRule),
            outcome => outcome,
        }
    }

    /// Makes an address local; [`Error::Exists`] if it is by the same table.
    pub fn add_local(&mut self, route: &LocalRoute) -> Result<(), Error> {
        self.order("add local route", message::add_local(route))
    }

    /// The end of that; [`Error::NoSuchRoute`] if it is not there.
    pub fn delete_local(&mut self, route: &LocalRoute) -> Result<(), Error> {
        match self.order("delete local route", message::delete_local(route)) {
            Err(Error::Refused { errno: Errno::ESRCH, .. }) => Err(Error::NoSuchRoute),
            outcome => outcome,
        }
    }
}

/// Said by a kernel without the code, and by one without it for that family.
fn without_support<T>(outcome: Result<T, Error>) -> Result<T, Error> {
    match outcome {
        Err(Error::Refused { errno: Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT, .. }) => Err(Error::NoPolicyRouting),
        outcome => outcome,
    }
}
