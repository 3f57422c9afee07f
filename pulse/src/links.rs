//! PURE. Which links a director with `monitor_links` watches, and what it sees: the
//! interfaces that have its own heartbeat addresses (piranha.md 2.6). What cannot
//! be found counts as up, as it did there; what was found once and is not there any
//! more is down: the card was pulled, or an interface that went down took its IPv6
//! address along.

use std::net::IpAddr;

use crate::addresses::Host;

#[derive(Clone, Copy, Debug)]
struct Watched {
    address: IpAddr,
    /// The link it was last seen on.
    on: Option<u32>,
    is_up: bool,
}

/// The links of the heartbeat paths, in their order.
#[derive(Clone, Debug, Default)]
pub struct Links {
    watched: Vec<Watched>,
}

impl Links {
    /// Watches the links with these addresses of ours. One that was watched before
    /// is what it was; any other is up until it is seen.
    pub fn watch(&mut self, addresses: &[IpAddr]) {
        let before = std::mem::take(&mut self.watched);
        let known = |address| before.iter().find(|one| one.address == address).copied();
        let new = |address| Watched { address, on: None, is_up: true };
        self.watched = addresses.iter().map(|address| known(*address).unwrap_or(new(*address))).collect();
    }

    /// Whether there is anything to look at.
    pub fn is_watching(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Whether a path's link is up, or not watched.
    pub fn is_up(&self, path: usize) -> bool {
        self.watched.get(path).is_none_or(|watched| watched.is_up)
    }

    /// What has changed: the path's index, and whether its link is up now.
    pub fn look(&mut self, host: &Host) -> Vec<(usize, bool)> {
        let mut changes = Vec::new();
        for (path, watched) in self.watched.iter_mut().enumerate() {
            let here = host.addresses.iter().find(|one| one.address == watched.address).map(|one| one.index);
            watched.on = here.or(watched.on);
            let link = host.links.iter().find(|link| Some(link.index) == watched.on);
            let is_up = match (watched.on, link) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(_), Some(link)) => link.up && link.running,
            };
            if is_up != watched.is_up {
                watched.is_up = is_up;
                changes.push((path, is_up));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests;
