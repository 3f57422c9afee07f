//! What a configuration needs from outside its text: other files (includes),
//! host names, service names. Behind a trait, so that all the rest is pure.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use crate::ipvs::Protocol;

/// The world around the text.
pub trait Outside {
    /// The bytes of a file; `-` is the standard input.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// The address of a host, IPv4 before IPv6; literals are not asked for.
    fn host(&self, name: &str) -> Option<IpAddr>;
    /// The port of a service (services(5)).
    fn service(&self, name: &str, protocol: Protocol) -> Option<u16>;
}

/// The real one: the file system, the system's resolver, /etc/services.
#[derive(Debug, Default)]
pub struct System;

impl Outside for System {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // one byte more than may be, so that what is too long is seen
        let limit = super::source::TOTAL_MAX as u64 + 1;
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
        } else {
            std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        let found: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
        found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let text = std::fs::read("/etc/services").ok()?;
        service_in(&String::from_utf8_lossy(&text), name, protocol)
    }
}

/// Looks a name or alias up in the text of services(5).
fn service_in(text: &str, name: &str, protocol: Protocol) -> Option<u16> {
    let protocol = protocol.to_string();
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (official, (port, its)) = (words.next()?, words.next()?.split_once('/')?);
        let is_it = its == protocol && (official == name || words.any(|alias| alias == name));
        if is_it { port.parse().ok() } else { None }
    })
}

/// A world in memory, for tests of the reader and of what reads with it.
#[derive(Debug, Default)]
pub struct Fake {
    /// Files by path.
    pub files: HashMap<PathBuf, Vec<u8>>,
    /// Hosts by name.
    pub hosts: HashMap<String, IpAddr>,
    /// TCP and UDP services by name.
    pub services: HashMap<String, u16>,
}

impl Outside for Fake {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(nix::libc::ENOENT))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let inside = self.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.hosts.get(name).copied()
    }

    fn service(&self, name: &str, _: Protocol) -> Option<u16> {
        self.services.get(name).copied()
    }
}

/// An address as inet_aton(3) reads it (`10.1` is 10.0.0.1, `0x0a000001`, octal
/// parts), or an IPv6 address.
pub(super) fn literal(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    ipv4(text).map(IpAddr::V4)
}

/// inet_aton(3).
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(part);
    let mut parts: Vec<u32> = parts.by_ref().take(5).collect::<Option<_>>()?;
    let last = parts.pop()?;
    // the last part fills all bytes that the others left
    let room = 32u32.checked_sub(8 * u32::try_from(parts.len()).ok()?).filter(|&bits| bits > 0)?;
    if u64::from(last) >= 1u64 << room || parts.iter().any(|&p| p > 255) {
        return None;
    }
    let shifted = parts.iter().enumerate().map(|(n, &p)| p << (24 - 8 * n));
    Some(Ipv4Addr::from_bits(shifted.fold(last, |all, p| all | p)))
}

fn part(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (lower.get(1..)?, 8),
        None => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) { None } else { u32::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_addresses_are_read_as_inet_aton_does() {
        let read = |text| ipv4(text).map(|a| a.to_string());
        for (text, address) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1", "10.0.0.1"),
            ("10.1.258", "10.1.1.2"),
            ("0x0a000001", "10.0.0.1"),
            ("167772161", "10.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("255.255.255.255", "255.255.255.255"),
        ] {
            assert_eq!(read(text).as_deref(), Some(address), "{text}");
        }
        for text in
            ["", "10.", "10.1.2.3.4", "256.1.1.1", "1.2.65536", "10.1.2.09", "4294967296", "a", "+1", "1.-2", "0x"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn services_are_found_by_name_and_alias() {
        let text = "# c\nhttp\t80/tcp\t\twww www-http # WorldWideWeb\ntftp 69/udp\nbad line\n";
        assert_eq!(service_in(text, "http", Protocol::Tcp), Some(80));
        assert_eq!(service_in(text, "www-http", Protocol::Tcp), Some(80));
        assert_eq!(service_in(text, "http", Protocol::Udp), None);
        assert_eq!(service_in(text, "tftp", Protocol::Udp), Some(69));
        assert_eq!(service_in(text, "nosuch", Protocol::Tcp), None);
    }
}
