//! Performs what [`crate::addresses`] decided: reads links and addresses, adds
//! and removes, keeps the ledger ahead of every addition, renews what is on loan,
//! sends announcements and questions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound;

use common::log::Log;
use common::netlink::Agreement as _;
use common::netlink::route::{Address, Change, Error, Link, Neighbour, Route};

use crate::addresses::{self, Host, Reach, Remark, Remarks, Step, Wanted};
use crate::arp::{self, Form, Mac};
use crate::fenced::packet_socket::PacketSocket;
use crate::ledger::{Entry, Ledger};
use crate::messages::Message;
use crate::notify::Notice;
use crate::witness::{self, Onlink};

mod linger;

/// How many additions are made in one turn of the loop: a file with thousands of
/// virtual IPs must not stop the beat.
const SLICE: usize = 256;

/// How many virtual IPs are asked for before a takeover; one that somebody has is
/// evidence enough, and nobody has only the last of hundreds.
const PROBED_MAX: usize = 256;

/// The answer to a look.
#[derive(Debug, Default)]
pub struct Looked {
    /// Wanted addresses that were there.
    pub held: Vec<IpAddr>,
    /// Wanted addresses that were added now.
    pub raised: Vec<IpAddr>,
    /// Whether there is more to do.
    pub more: bool,
}

/// Links, addresses, and what pulse did to them.
#[derive(Debug)]
pub struct Interfaces {
    route: Route,
    packets: PacketSocket,
    ledger: Ledger,
    remarks: Remarks,
    /// Troubles that were said and are not over; by address, to say each once.
    troubles: BTreeMap<IpAddr, String>,
    /// The trouble with reading, with the ledger, and with loans that was said.
    unread: Option<String>,
    unwritten: Option<String>,
    unlent: Option<String>,
    /// For how many seconds the kernel has our addresses; for ever without.
    valid: Option<u32>,
    /// A renewal is under way, and this was the last one renewed.
    lending: Option<Bound<Entry>>,
    /// Virtual IPs that should be there and are not, or were not a moment ago.
    lost: BTreeSet<IpAddr>,
    /// What is to be told of them.
    notices: Vec<Notice>,
    /// Addresses whose announcement failed, and it was said.
    mute: HashSet<IpAddr>,
    /// The links, as they were last seen.
    links: Vec<Link>,
    /// Links by number: whether they had a carrier, and how often that had changed.
    carriers: HashMap<u32, (bool, u32)>,
    /// The kernel had more news than room for them.
    news_lost: bool,
}

impl Interfaces {
    /// Takes over what it works with.
    pub fn new(route: Route, packets: PacketSocket, ledger: Ledger) -> Self {
        Self {
            route,
            packets,
            ledger,
            remarks: Remarks::default(),
            troubles: BTreeMap::new(),
            unread: None,
            unwritten: None,
            unlent: None,
            valid: None,
            lending: None,
            lost: BTreeSet::new(),
            notices: Vec::new(),
            mute: HashSet::new(),
            links: Vec::new(),
            carriers: HashMap::new(),
            news_lost: false,
        }
    }

    /// Links and addresses, as the kernel has them now.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn read(&mut self) -> Result<Host, Error> {
        Ok(Host { links: self.route.links()?, addresses: self.route.addresses()? })
    }

    /// Marks this director as active, or not, for a pulse to come.
    pub fn set_active(&mut self, active: bool, log: &Log) {
        self.change_ledger(log, |ledger| ledger.active = active);
    }

    /// Compares and mends. `None` if the kernel did not answer.
    pub fn look(&mut self, wanted: &[Wanted], reach: Reach, log: &Log) -> Option<Looked> {
        let host = self.read_or_say(log)?;
        let mut look = addresses::look(wanted, &host, &self.ledger.contents().entries, reach);
        let mut reached = Vec::new();
        if reach == Reach::All {
            let (unreached, over) = self.remarks.reach(&look.remarks);
            // An event for each of them, and a line for all of a device.
            let lines = unreached.into_iter().flat_map(|remark| spoken([remark]));
            self.notices.extend(lines.flat_map(|line| Notice::of_line(&line)));
            reached = over;
            for line in spoken(self.remarks.fresh(look.remarks)) {
                log.say(&line);
            }
        }
        let more = look.steps.len() > SLICE;
        look.steps.truncate(SLICE);
        self.write_ahead(&look.steps, reach, log);
        let mut raised = Vec::new();
        let mut removals = Vec::new();
        let mut forgotten = BTreeSet::new();
        // Additions first: an address with a new mask is never away. But one with
        // a new label is the same address to the kernel and must go first.
        for step in &look.steps {
            match step {
                Step::Add { wanted, index, put_back } => {
                    let replaces = removals.iter().any(|(entry, _)| *entry == wanted.entry());
                    self.remove(&host, &mut removals, &mut forgotten, Some(wanted), log);
                    if replaces && !forgotten.contains(&wanted.entry()) {
                        continue; // still there, still ours
                    }
                    if *put_back {
                        let (address, device) = (wanted.address, wanted.device.clone());
                        self.lost.insert(address);
                        let line = match self.valid {
                            None => Message::PutBack { address, device },
                            Some(_) => Message::PutBackLent { address, device },
                        };
                        self.say(&line, log);
                    }
                    if self.add(wanted, *index, log) {
                        raised.push(wanted.address);
                        forgotten.remove(&wanted.entry());
                    } else {
                        forgotten.insert(wanted.entry());
                    }
                }
                Step::Remove { entry, index } => removals.push((entry.clone(), *index)),
                Step::Forget(entry) => {
                    forgotten.insert(entry.clone());
                }
            }
        }
        self.remove(&host, &mut removals, &mut forgotten, None, log);
        self.change_ledger(log, |ledger| ledger.entries.retain(|entry| !forgotten.contains(entry)));
        for (address, device) in reached {
            let notice = Notice::of_return(address, &device);
            let is_wanted = wanted.iter().any(|one| one.address == address);
            if is_wanted && !self.lost.contains(&address) && !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        Some(Looked { held: look.held, raised, more })
    }

    /// A line, and the event that it tells of.
    fn say(&mut self, line: &Message, log: &Log) {
        log.say(line);
        self.notices.extend(Notice::of_line(line));
    }

    /// What happened to virtual IPs since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Removes every address in the ledger; how many are still there.
    pub fn lower(&mut self, log: &Log) -> usize {
        self.lost.clear();
        let Some(host) = self.read_or_say(log) else { return self.ledger.contents().entries.len() };
        let look = addresses::look(&[], &host, &self.ledger.contents().entries, Reach::All);
        let mut removals = Vec::new();
        let mut forgotten = BTreeSet::new();
        for step in look.steps {
            match step {
                Step::Remove { entry, index } => removals.push((entry, index)),
                Step::Forget(entry) => {
                    forgotten.insert(entry);
                }
                Step::Add { .. } => {}
            }
        }
        self.remove(&host, &mut removals, &mut forgotten, None, log);
        self.change_ledger(log, |ledger| {
            ledger.entries.retain(|entry| !forgotten.contains(entry));
            ledger.lent &= !ledger.entries.is_empty();
        });
        self.ledger.contents().entries.len()
    }

    /// Lends the kernel our addresses anew, for so many seconds or for ever; what is
    /// added from now on, too. Goes on in [`Interfaces::lend_on`].
    pub fn lend(&mut self, valid: Option<u32>, log: &Log) {
        self.valid = valid;
        self.change_ledger(log, |ledger| ledger.lent = valid.is_some() && !ledger.entries.is_empty());
        self.lending = Some(Bound::Unbounded);
    }

    /// Renews some of the addresses. `true` if there are more.
    pub fn lend_on(&mut self, log: &Log) -> bool {
        let Some(from) = self.lending.take() else { return false };
        let after = (from.as_ref(), Bound::Unbounded);
        let entries: Vec<Entry> =
            self.ledger.contents().entries.range::<Entry, _>(after).take(SLICE).cloned().collect();
        if entries.is_empty() {
            return false;
        }
        // Only what is there: else it would come back without a word and unannounced.
        let Some(host) = self.read_or_say(log) else {
            self.lending = Some(from); // tried again in the next turn
            return false;
        };
        let links: HashMap<&str, u32> = host.links.iter().map(|link| (link.name.as_str(), link.index)).collect();
        let there: HashMap<_, &Address> =
            host.addresses.iter().map(|one| ((one.index, one.address, one.prefix), one)).collect();
        for entry in &entries {
            let index = links.get(entry.device.as_str()).copied().unwrap_or_default();
            let Some(one) = there.get(&(index, entry.address, entry.prefix)) else { continue };
            if self.valid.is_none() && one.valid.is_none() {
                continue;
            }
            let renewed = self.route.renew_address(&Address { valid: self.valid, ..(*one).clone() });
            match renewed.or_absent() {
                Ok(_) => self.unlent = None,
                Err(e) => {
                    let error = e.to_string();
                    if self.unlent.replace(error.clone()).as_ref() != Some(&error) {
                        let (address, device) = (entry.address, entry.device.clone());
                        log.say(&Message::NotLent { address, device, error });
                    }
                }
            }
        }
        self.lending = entries.into_iter().next_back().map(Bound::Excluded);
        true
    }

    /// Whether a claim that came on the link with this index is about the address on
    /// `device`, and not our own: what we announce comes back through loops and bonds.
    pub fn is_foreign(&self, index: u32, mac: Mac, device: &str) -> bool {
        let is_there = self.links.iter().any(|link| link.index == index && link.name == device);
        is_there && self.links.iter().all(|link| link.mac != Some(mac))
    }

    /// Whether a change is one that we made: a renewal is told like an addition.
    pub fn is_own(&self, change: &Change) -> bool {
        match change {
            Change::AddressAdded(one) => {
                let first = Entry { address: one.address, prefix: one.prefix, device: String::new() };
                let next = self.ledger.contents().entries.range(first..).next();
                next.is_some_and(|entry| (entry.address, entry.prefix) == (one.address, one.prefix))
            }
            Change::Link(_) | Change::LinkGone(_) | Change::AddressGone(_) | Change::Overrun => false,
        }
    }

    /// Everybody the kernel knows in our networks; nobody if it does not say.
    pub fn neighbours(&mut self) -> Vec<Neighbour> {
        self.route.neighbours().unwrap_or_default()
    }

    /// Asks who has these addresses, where they are on a network of ours. A frame
    /// that cannot be sent is one that was not answered.
    pub fn ask_for(&mut self, targets: &[IpAddr], wanted: &[Wanted], log: &Log) {
        let Some(host) = self.read_or_say(log) else { return };
        let vips: Vec<IpAddr> = wanted.iter().map(|one| one.address).collect();
        for target in targets {
            let Some(Onlink { index, mac, from }) = witness::onlink(*target, &host, &vips) else { continue };
            let _ = match (from, *target) {
                (IpAddr::V4(from), IpAddr::V4(target)) => self.packets.send(index, &arp::request(mac, from, target)),
                (IpAddr::V6(from), IpAddr::V6(target)) => {
                    self.packets.send(index, &arp::neighbour_solicitation(mac, from, target))
                }
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Ok(()),
            };
        }
    }

    /// Asks who has these virtual IPs, without claiming them.
    pub fn probe(&mut self, is_asked: impl Fn(&IpAddr) -> bool, wanted: &[Wanted], log: &Log) {
        let Some(host) = self.read_or_say(log) else { return };
        for one in wanted.iter().filter(|one| is_asked(&one.address)).take(PROBED_MAX) {
            let link = host.links.iter().find(|link| link.name == one.device);
            let Some(link) = link.filter(|link| link.up && !link.loopback && !link.noarp) else { continue };
            let Some(mac) = link.mac else { continue };
            let frame = match one.address {
                IpAddr::V4(vip) => arp::request(mac, Ipv4Addr::UNSPECIFIED, vip),
                IpAddr::V6(vip) => arp::neighbour_solicitation(mac, Ipv6Addr::UNSPECIFIED, vip),
            };
            let _ = self.packets.send(link.index, &frame);
        }
    }

    /// Sends one announcement, in both forms, for each of `vips`.
    pub fn announce(&mut self, vips: &[IpAddr], wanted: &[Wanted], log: &Log) {
        let links = match self.route.links() {
            Ok(links) => links,
            Err(e) => return self.say_unread(&e, log),
        };
        let devices: HashMap<IpAddr, &str> = wanted.iter().map(|one| (one.address, one.device.as_str())).collect();
        for vip in vips {
            // One that a reload dropped, or whose device is gone, is nobody's to announce.
            let Some(link) = devices.get(vip).and_then(|device| links.iter().find(|link| link.name == *device)) else {
                continue;
            };
            // Nobody is there to hear it; when a link that is down comes up, it is announced again.
            let Some(mac) = link.mac.filter(|_| link.up && !link.loopback && !link.noarp) else { continue };
            let sent = frames(*vip, mac, &link.name).iter().try_for_each(|frame| self.packets.send(link.index, frame));
            match sent {
                Ok(()) => {
                    self.mute.remove(vip);
                }
                Err(e) => {
                    if self.mute.insert(*vip) {
                        let (address, device) = (*vip, link.name.clone());
                        log.say(&Message::NotAnnounced { address, device, error: e.to_string() });
                    }
                }
            }
        }
    }

    /// What a change means: the virtual IPs whose link got its carrier back.
    pub fn carrier_back(&mut self, change: &Change, wanted: &[Wanted]) -> Vec<IpAddr> {
        match change {
            Change::Link(link) => self.carrier_of(link, wanted),
            Change::LinkGone(index) => {
                self.carriers.remove(index);
                Vec::new()
            }
            Change::AddressAdded(_) | Change::AddressGone(_) => Vec::new(),
            Change::Overrun => {
                self.news_lost = true;
                Vec::new()
            }
        }
    }

    /// The same, for what was lost of the news; asked when what was left of them is
    /// read, for that is older.
    pub fn carriers_back(&mut self, wanted: &[Wanted], log: &Log) -> Vec<IpAddr> {
        if !self.news_lost {
            return Vec::new();
        }
        let Some(Host { links, .. }) = self.read_or_say(log) else { return Vec::new() };
        self.news_lost = false;
        self.carriers.retain(|index, _| links.iter().any(|link| link.index == *index));
        links.iter().flat_map(|link| self.carrier_of(link, wanted)).collect()
    }

    fn carrier_of(&mut self, link: &Link, wanted: &[Wanted]) -> Vec<IpAddr> {
        let (has, changes) = carrier(link);
        let before = self.carriers.insert(link.index, (has, changes));
        // It may have gone and come back in what nobody told us of.
        let back = has && before.is_some_and(|(had, before)| !had || changes != before);
        wanted.iter().filter(|one| back && one.device == link.name).map(|one| one.address).collect()
    }

    fn add(&mut self, wanted: &Wanted, index: u32, log: &Log) -> bool {
        let (address, device) = (wanted.address, wanted.device.clone());
        let with_prefix = format!("{address}/{}", wanted.prefix);
        log.say(&Message::Adding { address: with_prefix, device: device.clone(), label: wanted.label.clone() });
        match self.route.add_address(&Address { valid: self.valid, ..wanted.on(index) }).or_exists() {
            Ok(added) => {
                self.troubles.remove(&address);
                if self.lost.remove(&address) {
                    self.notices.push(Notice::of_return(address, &device));
                }
                added // if it was there after all, it is somebody else's
            }
            Err(e) => {
                let error = e.to_string();
                self.lost.insert(address);
                if self.troubles.insert(address, error.clone()).as_ref() != Some(&error) {
                    self.say(&Message::NotAdded { address, device, error }, log);
                }
                false
            }
        }
    }

    /// Removes `removals` (only that of `only`, if given), newest first: the
    /// kernel lists an address before those that would go with it. What went
    /// with them nevertheless is put back.
    fn remove(
        &mut self,
        host: &Host,
        removals: &mut Vec<(Entry, u32)>,
        gone: &mut BTreeSet<Entry>,
        only: Option<&Wanted>,
        log: &Log,
    ) {
        let entry = only.map(Wanted::entry);
        let (mut now, later): (Vec<_>, Vec<_>) =
            removals.drain(..).partition(|(one, _)| entry.as_ref().is_none_or(|entry| entry == one));
        *removals = later;
        if now.is_empty() {
            return;
        }
        let order: HashMap<(u32, IpAddr, u8), usize> = host.addresses.iter().enumerate().map(key).collect();
        now.sort_by_key(|(entry, index)| std::cmp::Reverse(order.get(&(*index, entry.address, entry.prefix)).copied()));
        for (entry, index) in &now {
            let (address, device) = (entry.address, entry.device.clone());
            log.say(&Message::Removing { address: format!("{address}/{}", entry.prefix), device: device.clone() });
            // Who had it before us, as the kernel may remember, has it no more or not
            // yet: late packets would go there and come back until they are dropped.
            // They wait for the successor's announcement instead, and go on to it.
            let _ = self.route.forget_neighbour(*index, address);
            match self.route.delete_address(&bare(entry, *index)).or_absent() {
                Ok(_) => {
                    self.troubles.remove(&address);
                    gone.insert(entry.clone());
                }
                Err(e) => {
                    let error = e.to_string();
                    if self.troubles.insert(address, error.clone()).as_ref() != Some(&error) {
                        log.say(&Message::NotRemoved { address, device, error });
                    }
                }
            }
        }
        self.put_back_collateral(host, &now, log);
    }

    fn put_back_collateral(&mut self, host: &Host, removed: &[(Entry, u32)], log: &Log) {
        let after = match self.route.addresses() {
            Ok(after) => after,
            Err(e) => return self.say_unread(&e, log),
        };
        let ours: HashSet<(u32, IpAddr, u8)> =
            removed.iter().map(|(entry, index)| (*index, entry.address, entry.prefix)).collect();
        let mut restored = HashSet::new();
        for (entry, index) in removed {
            for lost in addresses::collateral(&host.addresses, &after, entry, *index) {
                let key = (lost.index, lost.address, lost.prefix);
                if ours.contains(&key) || !restored.insert(key) {
                    continue;
                }
                log.say(&Message::Collateral { address: lost.address, with: entry.address });
                if let Err(e) = self.route.add_address(&lost).or_exists() {
                    let (address, device) = (lost.address, entry.device.clone());
                    log.say(&Message::NotAdded { address, device, error: e.to_string() });
                }
            }
        }
    }

    /// In one piece, for a takeover waits for it: what comes, that it is on loan, and
    /// whose addresses are raised is active.
    fn write_ahead(&mut self, steps: &[Step], reach: Reach, log: &Log) {
        let coming: Vec<Entry> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Add { wanted, .. } => Some(wanted.entry()),
                Step::Remove { .. } | Step::Forget(_) => None,
            })
            .collect();
        let is_lent = self.valid.is_some();
        self.change_ledger(log, |ledger| {
            ledger.active |= reach == Reach::All;
            ledger.entries.extend(coming);
            ledger.lent |= is_lent && !ledger.entries.is_empty();
        });
    }

    fn change_ledger(&mut self, log: &Log, how: impl FnOnce(&mut crate::ledger::Contents)) {
        match self.ledger.change(how) {
            Ok(()) => self.unwritten = None,
            Err(e) => {
                let error = e.to_string();
                if self.unwritten.replace(error.clone()).as_ref() != Some(&error) {
                    log.say(&Message::LedgerUnwritten(error));
                }
            }
        }
    }

    pub(super) fn read_or_say(&mut self, log: &Log) -> Option<Host> {
        match self.read() {
            Ok(host) => {
                self.unread = None;
                self.links.clone_from(&host.links);
                for link in &host.links {
                    // Only the monitor's news changes it, so that none is missed.
                    self.carriers.entry(link.index).or_insert_with(|| carrier(link));
                }
                Some(host)
            }
            Err(e) => {
                self.say_unread(&e, log);
                None
            }
        }
    }

    fn say_unread(&mut self, error: &Error, log: &Log) {
        let error = error.to_string();
        if self.unread.replace(error.clone()).as_ref() != Some(&error) {
            log.say(&Message::NotRead(error));
        }
    }
}

/// Whether a link has a carrier, and how often that has changed.
fn carrier(link: &Link) -> (bool, u32) {
    (link.up && link.running, link.carrier_changes)
}

fn key((position, address): (usize, &Address)) -> ((u32, IpAddr, u8), usize) {
    ((address.index, address.address, address.prefix), position)
}

/// What the kernel needs to know which address is meant.
fn bare(entry: &Entry, index: u32) -> Address {
    let Entry { address, prefix, .. } = *entry;
    Address {
        index,
        address,
        prefix,
        broadcast: None,
        label: None,
        scope: 0,
        nodad: false,
        deprecated: false,
        valid: None,
    }
}

fn frames(vip: IpAddr, mac: Mac, device: &str) -> Vec<Vec<u8>> {
    match vip {
        IpAddr::V4(vip) => vec![arp::gratuitous(Form::Reply, mac, vip), arp::gratuitous(Form::Request, mac, vip)],
        IpAddr::V6(vip) => vec![arp::neighbour_advertisement(mac, vip, forwards_ipv6(device))],
    }
}

fn forwards_ipv6(device: &str) -> bool {
    let switch = format!("/proc/sys/net/ipv6/conf/{device}/forwarding");
    std::fs::read_to_string(switch).is_ok_and(|text| text.trim() != "0")
}

/// The lines for remarks.
pub fn spoken(remarks: impl IntoIterator<Item = Remark>) -> Vec<Message> {
    let line = |(remark, more)| match remark {
        Remark::NoDevice { address, device } => Message::NoDevice { address, more, device },
        Remark::DeviceDown { address, device } => Message::DeviceDown { address, more, device },
        Remark::Foreign { address, device } => Message::Foreign { address, more, device },
    };
    addresses::gathered(remarks).into_iter().map(line).collect()
}
