//! PURE. Which virtual IPs should be on which device, and the steps from what
//! the kernel has to that.
//!
//! The steps follow from three lists: what the configuration wants, what is on
//! the interfaces, and the ledger of what pulse itself added. An address that is
//! not in the ledger was there before us: it is used and announced, and never
//! removed. No interface is brought up or down, ever; the original took whole
//! network cards down with their VIP (piranha.md 2.4).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use common::config::{Config, DeviceAddress};
use common::ipvs::ForwardingMethod;
use common::netlink::route::{Address, Link};

use crate::ledger::Entry;

/// One address this director should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The virtual IP, or the address of the NAT router.
    pub address: IpAddr,
    /// The device, without a label's part: `eth0`.
    pub device: String,
    /// The label, `eth0:1`, if one was given. IPv6 addresses have none.
    pub label: Option<String>,
    /// The prefix length, 0 to 32 or 128.
    pub prefix: u8,
    /// The broadcast address; none for IPv6 and where the network has no room
    /// for one (RFC 3021).
    pub broadcast: Option<Ipv4Addr>,
    /// Whether the prefix comes from the class of the address because the file
    /// has no usable mask for it.
    pub by_class: bool,
}

impl Wanted {
    /// As the original computed it: the broadcast address from the mask, and
    /// without a mask (or with one no kernel accepts) the mask of the address's
    /// class (piranha.md 1.3). An IPv6 address stands alone, as /128: lvs.cf has
    /// no mask for it, and its network is routed by the device's own address.
    pub fn new(place: &DeviceAddress, mask: Option<Ipv4Addr>) -> Self {
        let given = mask.and_then(prefix_of);
        let (prefix, broadcast) = match place.address {
            IpAddr::V4(address) => {
                let prefix = given.unwrap_or_else(|| class_prefix(address));
                (prefix, broadcast(address, prefix))
            }
            IpAddr::V6(_) => (128, None),
        };
        Self {
            address: place.address,
            device: place.device.clone(),
            label: place.label.clone().filter(|_| place.address.is_ipv4()),
            prefix,
            broadcast,
            by_class: place.address.is_ipv4() && given.is_none(),
        }
    }

    /// What the ledger says once it is added.
    pub fn entry(&self) -> Entry {
        Entry { address: self.address, prefix: self.prefix, device: self.device.clone() }
    }

    /// What the kernel is asked to add to the link with this index.
    pub fn on(&self, index: u32) -> Address {
        Address {
            index,
            address: self.address,
            prefix: self.prefix,
            broadcast: self.broadcast,
            label: self.label.clone(),
            scope: 0, // the whole world: clients are anywhere
            // Nobody else may have it when we raise it, and it must answer at once.
            nodad: self.address.is_ipv6(),
            // As a host address it would be the best match for its whole network:
            // the director's own probes would come from the VIP, and a real server
            // that has it on lo would answer itself.
            deprecated: self.address.is_ipv6(),
            valid: None,
        }
    }
}

/// The distinct addresses the configuration wants, in file order: the NAT router
/// first, then the VIP of each active block; the first one with an address
/// decides its device and mask (piranha.md 2.4).
pub fn wanted(config: &Config) -> Vec<Wanted> {
    let router = config.nat_router.as_ref().filter(|_| config.network == ForwardingMethod::Masquerade);
    let router = router.map(|place| Wanted::new(place, config.nat_nmask));
    let vips = config.running().filter_map(|vip| Some(Wanted::new(vip.address.as_ref()?, vip.vip_nmask)));
    let mut seen = HashSet::new();
    router.into_iter().chain(vips).filter(|wanted| seen.insert(wanted.address)).collect()
}

/// Those that are to be held, of those that the file wants.
pub fn without<'a>(wanted: &'a [Wanted], withheld: &BTreeSet<IpAddr>) -> Cow<'a, [Wanted]> {
    if withheld.is_empty() {
        return Cow::Borrowed(wanted);
    }
    wanted.iter().filter(|one| !withheld.contains(&one.address)).cloned().collect()
}

/// How many addresses of a ledger the kernel has.
pub fn count_there(ledger: &BTreeSet<Entry>, host: &Host) -> usize {
    ledger.iter().filter(|entry| there(entry, host).is_some()).count()
}

fn there<'a>(entry: &Entry, host: &'a Host) -> Option<&'a Address> {
    let link = host.links.iter().find(|link| link.name == entry.device)?;
    let same = |one: &&Address| (one.index, one.address, one.prefix) == (link.index, entry.address, entry.prefix);
    host.addresses.iter().find(same)
}

/// The addresses of a ledger as the kernel has them, for a pulse that has no
/// file to go by.
pub fn as_they_are(ledger: &BTreeSet<Entry>, host: &Host) -> Vec<Wanted> {
    let wanted = ledger.iter().map(|entry| {
        let label = there(entry, host).and_then(|one| one.label.clone()).filter(|label| *label != entry.device);
        let broadcast = match entry.address {
            IpAddr::V4(address) => broadcast(address, entry.prefix),
            IpAddr::V6(_) => None,
        };
        let Entry { address, prefix, device } = entry.clone();
        Wanted { address, device, label, prefix, broadcast, by_class: false }
    });
    let mut seen = HashSet::new();
    wanted.filter(|one| seen.insert(one.address)).collect()
}

/// The prefix length of a mask; `None` for 0.0.0.0 (unset, as in the original)
/// and for masks with holes, which the kernel refuses.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let prefix = bits.leading_ones();
    (bits != 0 && prefix + bits.trailing_zeros() == 32).then_some(u8::try_from(prefix).unwrap_or(32))
}

/// The class's mask, as ifconfig and the kernel give it (RFC 791 3.2).
fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        [192..=223, ..] => 24,
        [224..=255, ..] => 32,
    }
}

fn broadcast(address: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    (prefix < 31).then(|| Ipv4Addr::from_bits(address.to_bits() | hosts))
}

/// What the kernel has, in one look.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Every link.
    pub links: Vec<Link>,
    /// Every address.
    pub addresses: Vec<Address>,
}

/// How far a look goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything: add what is missing, remove what is no longer wanted.
    All,
    /// Only remove addresses that are wanted nowhere any more: the first half of
    /// a reload, before lvsd drops their services.
    Removals,
}

/// One change to make, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Add it to the link with this index. `put_back` if it was there before and
    /// somebody else removed it.
    Add {
        /// What to add.
        wanted: Wanted,
        /// The link's index.
        index: u32,
        /// Whether it is in the ledger already.
        put_back: bool,
    },
    /// Remove what we added.
    Remove {
        /// What to remove.
        entry: Entry,
        /// The index of its link.
        index: u32,
    },
    /// Strike from the ledger what is neither there nor wanted.
    Forget(Entry),
}

/// What is to be said about an address, once, while it is so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// Its device does not exist.
    NoDevice {
        /// The address.
        address: IpAddr,
        /// The device.
        device: String,
    },
    /// Its device is down.
    DeviceDown {
        /// The address.
        address: IpAddr,
        /// The device.
        device: String,
    },
    /// It was there before us.
    Foreign {
        /// The address.
        address: IpAddr,
        /// The device.
        device: String,
    },
}

/// The result of comparing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What to change.
    pub steps: Vec<Step>,
    /// Wanted addresses that are there.
    pub held: Vec<IpAddr>,
    /// What is worth a line while it lasts.
    pub remarks: BTreeSet<Remark>,
}

/// Compares what is wanted with what is there and with what we added.
pub fn look(wanted: &[Wanted], host: &Host, ledger: &BTreeSet<Entry>, reach: Reach) -> Look {
    let links: HashMap<&str, &Link> = host.links.iter().map(|link| (link.name.as_str(), link)).collect();
    let mut there: HashMap<(u32, IpAddr), Vec<&Address>> = HashMap::new();
    for address in &host.addresses {
        there.entry((address.index, address.address)).or_default().push(address);
    }
    let mut look = Look::default();
    if reach == Reach::All {
        for one in wanted {
            keep(one, links.get(one.device.as_str()).copied(), &there, ledger, &mut look);
        }
    }
    let wanted_entries: HashSet<Entry> = wanted.iter().map(Wanted::entry).collect();
    let wanted_somewhere: HashSet<IpAddr> = wanted.iter().map(|wanted| wanted.address).collect();
    for entry in ledger.iter().filter(|entry| !wanted_entries.contains(entry)) {
        if reach == Reach::Removals && wanted_somewhere.contains(&entry.address) {
            continue;
        }
        let link = links.get(entry.device.as_str());
        let index = link.map(|link| link.index).filter(|index| {
            let same_place = there.get(&(*index, entry.address));
            same_place.is_some_and(|all| all.iter().any(|one| one.prefix == entry.prefix))
        });
        look.steps.push(match index {
            Some(index) => Step::Remove { entry: entry.clone(), index },
            None => Step::Forget(entry.clone()),
        });
    }
    look
}

/// What must happen so that one wanted address is there.
fn keep(
    wanted: &Wanted,
    link: Option<&Link>,
    there: &HashMap<(u32, IpAddr), Vec<&Address>>,
    ledger: &BTreeSet<Entry>,
    look: &mut Look,
) {
    let (address, device) = (wanted.address, wanted.device.clone());
    let Some(link) = link else {
        look.remarks.insert(Remark::NoDevice { address, device });
        return;
    };
    if !link.up {
        look.remarks.insert(Remark::DeviceDown { address, device: device.clone() });
    }
    let entry = wanted.entry();
    let ours = |prefix: u8| ledger.contains(&Entry { prefix, ..entry.clone() });
    let here = there.get(&(link.index, address)).map(Vec::as_slice).unwrap_or_default();
    let add = |put_back| Step::Add { wanted: wanted.clone(), index: link.index, put_back };
    if let Some(exact) = here.iter().find(|one| one.prefix == wanted.prefix && ours(one.prefix)) {
        if label_changed(wanted, exact) {
            // The kernel cannot change a label in place.
            look.steps.push(Step::Remove { entry, index: link.index });
            look.steps.push(add(false));
        }
        look.held.push(address);
    } else if here.iter().any(|one| !ours(one.prefix)) {
        look.remarks.insert(Remark::Foreign { address, device });
        look.held.push(address);
    } else {
        look.steps.push(add(ledger.contains(&entry)));
    }
}

/// Whether the file's label is another one than the kernel's. The kernel calls
/// an address without a label by its device's name.
fn label_changed(wanted: &Wanted, there: &Address) -> bool {
    let wanted_label = wanted.label.as_deref().unwrap_or(&wanted.device);
    there.address.is_ipv4() && there.label.as_deref().unwrap_or(&wanted.device) != wanted_label
}

/// What the kernel took away together with `removed`: with promote_secondaries
/// off, the other addresses of its network on that link go with the first one.
/// They were not ours to remove and are put back.
pub fn collateral(before: &[Address], after: &[Address], removed: &Entry, index: u32) -> Vec<Address> {
    let IpAddr::V4(removed_v4) = removed.address else { return Vec::new() };
    let network = |address: Ipv4Addr| address.to_bits().checked_shr(32 - u32::from(removed.prefix)).unwrap_or(0);
    let still: HashSet<(IpAddr, u8)> =
        after.iter().filter(|one| one.index == index).map(|one| (one.address, one.prefix)).collect();
    let gone = before.iter().filter(|one| one.index == index && one.prefix == removed.prefix);
    let gone = gone.filter(|one| match one.address {
        IpAddr::V4(address) => address != removed_v4 && network(address) == network(removed_v4),
        IpAddr::V6(_) => false,
    });
    gone.filter(|one| !still.contains(&(one.address, one.prefix))).cloned().collect()
}

impl Remark {
    /// Of a virtual IP that nobody can reach: it, and its device.
    pub fn unreachable(&self) -> Option<(IpAddr, &str)> {
        match self {
            Self::NoDevice { address, device } | Self::DeviceDown { address, device } => Some((*address, device)),
            Self::Foreign { .. } => None,
        }
    }
}

/// Which remarks are said already: each is said when it becomes true.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    said: BTreeSet<Remark>,
}

impl Remarks {
    /// What of `now` says of a virtual IP that nobody can reach it any more, and those,
    /// with their devices, of which nothing does any more. Another reason is no news.
    pub fn reach(&self, now: &BTreeSet<Remark>) -> (Vec<Remark>, Vec<(IpAddr, String)>) {
        let addresses = |remarks: &BTreeSet<Remark>| -> HashSet<IpAddr> {
            remarks.iter().filter_map(Remark::unreachable).map(|(address, _)| address).collect()
        };
        let (before, after) = (addresses(&self.said), addresses(now));
        let is_new = |remark: &&Remark| remark.unreachable().is_some_and(|(address, _)| !before.contains(&address));
        let over = self.said.iter().filter_map(Remark::unreachable).filter(|(address, _)| !after.contains(address));
        let over = over.map(|(address, device)| (address, device.to_owned()));
        (now.iter().filter(is_new).cloned().collect(), over.collect())
    }

    /// Those of `now` that are new since the last call.
    pub fn fresh(&mut self, now: BTreeSet<Remark>) -> Vec<Remark> {
        let fresh = now.difference(&self.said).cloned().collect();
        self.said = now;
        fresh
    }
}

/// Remarks of which the same is to be said, together: the first of them, and how many
/// more. Three hundred virtual IPs on a NIC that is not there are one line.
pub fn gathered(remarks: impl IntoIterator<Item = Remark>) -> Vec<(Remark, usize)> {
    let same = |one: &Remark, other: &Remark| match (one, other) {
        (Remark::NoDevice { device, .. }, Remark::NoDevice { device: other, .. })
        | (Remark::DeviceDown { device, .. }, Remark::DeviceDown { device: other, .. })
        | (Remark::Foreign { device, .. }, Remark::Foreign { device: other, .. }) => device == other,
        (Remark::NoDevice { .. } | Remark::DeviceDown { .. } | Remark::Foreign { .. }, _) => false,
    };
    let mut all: Vec<(Remark, usize)> = Vec::new();
    for remark in remarks {
        // A host has few devices, so that there are few to look through.
        match all.iter_mut().find(|(first, _)| same(first, &remark)) {
            Some((_, more)) => *more += 1,
            None => all.push((remark, 0)),
        }
    }
    all
}

#[cfg(test)]
mod tests;
