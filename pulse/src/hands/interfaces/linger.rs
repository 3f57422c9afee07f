//! Performs what [`crate::linger`] decided: rules and routes beside the addresses,
//! before those go, and the end of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use common::log::Log;
use common::netlink::Agreement as _;
use common::netlink::route::Error;

use super::Interfaces;
use crate::linger::{self, Served};
use crate::messages::Message;

impl Interfaces {
    /// Has the kernel serve what comes for our virtual IPs when we have removed them,
    /// too. `true` if it will, for one of them at least.
    pub fn linger(&mut self, served: &[Served], log: &Log) -> bool {
        let Some(host) = self.read_or_say(log) else { return false };
        let Some(lo) = host.links.iter().find(|link| link.loopback).map(|link| link.index) else { return false };
        let here = host.addresses.iter().map(|one| one.address).collect();
        let vips = linger::late(served, &self.ledger.contents().entries, &here);
        if vips.is_empty() {
            return false;
        }
        self.change_ledger(log, |ledger| ledger.late.extend(&vips));
        let outcome = self.serve(&vips, lo);
        match &outcome {
            Ok(true) => return true,
            // An old kernel, or a small one: clients wait for the successor.
            Ok(false) | Err(Error::NoPolicyRouting) => {}
            Err(e) => log.say(&Message::NotLingering(e.to_string())),
        }
        self.cease(log);
        false
    }

    /// `false`: this kernel would make something else of it.
    fn serve(&mut self, vips: &BTreeSet<IpAddr>, lo: u32) -> Result<bool, Error> {
        // The table is empty, so that a rule about everything does nothing yet.
        let rules = linger::rules(vips);
        for rule in &rules {
            self.route.add_rule(rule).or_exists()?;
        }
        if !linger::are_kept(&rules, &self.route.rules()?) {
            return Ok(false);
        }
        for vip in vips {
            self.route.add_local(&linger::route(*vip, lo)).or_exists()?;
        }
        Ok(true)
    }

    /// The end of it, also of what a pulse left that was killed.
    pub fn cease(&mut self, log: &Log) {
        let late = self.ledger.contents().late.clone();
        let mut gone = BTreeSet::new();
        let mut trouble = None;
        for vip in &late {
            match self.route.delete_local(&linger::route(*vip, 0)).or_absent() {
                Ok(_) => {
                    gone.insert(*vip);
                }
                Err(e) => trouble = Some(e),
            }
        }
        trouble = self.delete_rules().err().or(trouble);
        if let Some(e) = trouble {
            log.say(&Message::NotCeased(e.to_string()));
        }
        self.change_ledger(log, |ledger| ledger.late.retain(|vip| !gone.contains(vip)));
    }

    fn delete_rules(&mut self) -> Result<(), Error> {
        for rule in self.route.rules()?.iter().filter(|rule| linger::is_ours(rule)) {
            self.route.delete_rule(rule).or_absent()?;
        }
        Ok(())
    }
}
