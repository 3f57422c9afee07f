//! What the hands do in the networks of our addresses: listen for others who claim
//! them and for witnesses, ask both, look at the links of the heartbeats, and hear
//! from the kernel what changes.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use common::netlink::route::{Change, Monitor};

use super::{Hands, READ_AT_ONCE, watch};
use crate::addresses::Wanted;
use crate::claimants::{Report, suspect};
use crate::election;
use crate::messages::Message;
use crate::node::Event;
use crate::ready::Source;
use crate::settings::Pair;
use crate::witness::Questions;

impl Hands {
    fn witnesses(&self) -> Vec<IpAddr> {
        self.settings.pair.as_ref().map(|pair| pair.witness.witnesses.clone()).unwrap_or_default()
    }

    /// What the file says may be another by now.
    pub(super) fn follow_networks(&mut self) {
        self.listen();
        let pair = self.pair();
        let ends = pair.filter(|(pair, _)| pair.monitor_links).map(|(pair, role)| pair.ends(role)).unwrap_or_default();
        self.links.watch(&ends.iter().map(|end| end.ours.ip()).collect::<Vec<_>>());
        self.links_due = true;
    }

    /// Listens for whom the node wants to hear.
    pub(super) fn listen(&mut self) {
        let mut addresses: Vec<IpAddr> = Vec::new();
        if self.listening.vips {
            self.know_partner();
            addresses.extend(self.settings.wanted.iter().map(|one| one.address));
        }
        if self.listening.witnesses {
            addresses.extend(self.witnesses());
        } else {
            self.echoes.end();
        }
        match self.segment.listen(addresses, &self.registry) {
            Ok(()) => self.deaf = None,
            Err(e) => {
                let error = e.to_string();
                if self.deaf.replace(error.clone()).as_ref() != Some(&error) {
                    self.log.say(&Message::NotListening(error));
                }
            }
        }
    }

    /// One round of questions.
    pub(super) fn ask(&mut self, Questions { witnesses, vips }: Questions) {
        if witnesses {
            let all = self.witnesses();
            self.echoes.ask(&all, &self.registry, &self.log);
            self.interfaces.ask_for(&all, &self.settings.wanted, &self.log);
        }
        if vips {
            self.interfaces.probe(|_| true, &self.settings.wanted, &self.log);
        }
    }

    /// The addresses that heartbeats go to.
    fn partner_addresses(&self) -> Vec<IpAddr> {
        self.pair().map_or_else(Vec::new, |(pair, role)| pair.ends(role).iter().map(|end| end.partner.ip()).collect())
    }

    fn know_partner(&mut self) {
        let now = Instant::now();
        if self.settings.pair.is_some() && self.partner.is_due(now) {
            let neighbours = self.interfaces.neighbours();
            self.partner.learn(&self.partner_addresses(), &neighbours, now);
        }
    }

    pub(super) fn accuse(&mut self, report: Report) {
        let partner = self.partner_addresses();
        let vips: Vec<IpAddr> = self.settings.wanted.iter().map(|one| one.address).collect();
        let neighbours = self.interfaces.neighbours();
        let suspect = suspect(report.mac, &neighbours, &partner, &self.settings.real_servers, &vips);
        self.say(&Message::Claimed { report, suspect });
    }

    /// What others said of themselves. `true` if there may be more.
    pub(super) fn receive_claims(&mut self, events: &mut VecDeque<Event>) -> bool {
        let mut claims = VecDeque::new();
        let more = self.segment.receive(&mut claims);
        if claims.is_empty() {
            events.extend(self.echoes.receive().into_iter().map(Event::Witness));
            return more;
        }
        self.know_partner();
        let witnesses = self.witnesses();
        for (index, claim) in claims {
            if witnesses.contains(&claim.address) {
                events.push_back(Event::Witness(claim.address));
            }
            let is_it = |one: &&Wanted| one.address == claim.address;
            let wanted = self.settings.wanted.iter().find(is_it);
            if wanted.is_some_and(|wanted| self.interfaces.is_foreign(index, claim.mac, &wanted.device)) {
                let by_partner = self.partner.has(claim.mac);
                events.push_back(Event::Claimed { claim, by_partner });
            }
        }
        events.extend(self.echoes.receive().into_iter().map(Event::Witness));
        more
    }

    /// Looks at the links of the heartbeats, after a change or a reload.
    pub(super) fn look_at_links(&mut self, events: &mut VecDeque<Event>) {
        let is_all = std::mem::take(&mut self.links_due);
        let Some(paths) = self.settings.pair.as_ref().map(|Pair { ways, .. }| ways.len()) else { return };
        let changes = if self.links.is_watching() {
            let Some(host) = self.interfaces.read_or_say(&self.log) else {
                self.links_due = is_all;
                return;
            };
            self.links.look(&host)
        } else {
            Vec::new()
        };
        // After a reload a path may be another one, or not be monitored any more.
        let all = (0..paths).map(|path| (path, self.links.is_up(path)));
        let told: Vec<(usize, bool)> = if is_all { all.collect() } else { changes };
        events.extend(told.into_iter().map(|(path, is_up)| {
            let event = election::Event::Link { path, is_up };
            Event::Pair(Box::new(event))
        }));
    }

    pub(super) fn receive_changes(&mut self, events: &mut VecDeque<Event>) -> bool {
        let mut is_changed = false;
        let mut back = Vec::new();
        let mut more = true;
        for _ in 0..READ_AT_ONCE {
            match self.monitor.next() {
                Ok(Some(change)) => {
                    is_changed |= !self.interfaces.is_own(&change);
                    back.extend(self.interfaces.carrier_back(&change, &self.settings.wanted));
                }
                Ok(None) => {
                    more = false;
                    break;
                }
                Err(e) => {
                    // The look every few seconds goes on without it.
                    self.log.say(&Message::NotRead(e.to_string()));
                    self.reopen_monitor();
                    back.extend(self.interfaces.carrier_back(&Change::Overrun, &self.settings.wanted));
                    (is_changed, more) = (true, false);
                    break;
                }
            }
        }
        if !more {
            back.extend(self.interfaces.carriers_back(&self.settings.wanted, &self.log));
        }
        if is_changed || self.links_due {
            self.look_at_links(events);
        }
        if is_changed {
            events.push_back(Event::AddressesChanged);
        }
        if !back.is_empty() {
            events.push_back(Event::CarrierBack(back));
        }
        more
    }

    fn reopen_monitor(&mut self) {
        if let Ok(monitor) = Monitor::open()
            && watch(&self.registry, &monitor, Source::Kernel).is_ok()
        {
            self.monitor = monitor;
        }
    }
}
