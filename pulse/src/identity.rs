//! PURE. Which of the two directors this host is, by the addresses it has.
//!
//! The original looked at the first IPv4 address of each interface only, and
//! called everyone who was not the primary the backup, a stranger too
//! (piranha.md 2.1); here all addresses count, and a stranger is told so.

use std::net::IpAddr;

/// Who this host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has the address of `primary`, or no director is named at all and it is
    /// the only one.
    Master,
    /// It has the address of `backup`.
    Backup,
    /// It has neither; the original took it for the backup.
    Stranger,
}

/// Whose host `here`, all the addresses of this host, is.
pub fn role(primary: Option<IpAddr>, backup: Option<IpAddr>, here: &[IpAddr]) -> Role {
    let has = |address: Option<IpAddr>| address.is_some_and(|address| here.contains(&address));
    if has(primary) {
        Role::Master
    } else if has(backup) {
        Role::Backup
    } else if primary.is_none() && backup.is_none() {
        Role::Master
    } else {
        Role::Stranger
    }
}

#[cfg(test)]
mod tests;
