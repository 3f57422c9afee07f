//! The kernel's IPVS table as an outsider sees it: `ipvsadm -Ln`, and
//! /proc/net/ip_vs, which says the same in hexadecimal and costs no process.
//! Nothing here is shared with the product: a mistake of ours in the netlink
//! codec would otherwise look right from both sides.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One virtual service with what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `TCP 192.0.2.1:80`, `UDP [2001:db8::1]:53`, `FWM 1`.
    pub key: String,
    /// `rr`, `wlc`, ...
    pub scheduler: String,
    /// What follows the scheduler: `persistent 300 mask 255.255.255.0`; may be empty.
    pub flags: String,
    /// In the order the kernel lists them.
    pub destinations: Vec<Destination>,
}

/// One destination of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Address and port as the kernel has them.
    pub address: SocketAddr,
    /// `Route`, `Masq`, `Tunnel`, `Local`.
    pub method: String,
    /// 0 is drained.
    pub weight: u32,
    /// Connections that carry data.
    pub active: u32,
    /// Connections that are closing, and datagrams.
    pub inactive: u32,
}

/// The whole table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// In the order the kernel lists them.
    pub services: Vec<Service>,
}

/// How numbers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// `ipvsadm -Ln`.
    Decimal,
    /// /proc/net/ip_vs.
    Hexadecimal,
}

impl Table {
    /// Reads the output of `ipvsadm -Ln`.
    pub fn from_ipvsadm(text: &str) -> Self {
        Self::parse(text, Numbers::Decimal)
    }

    /// Reads /proc/net/ip_vs. Persistence is in milliseconds there and the mask
    /// in hexadecimal; the flags are kept as they are written.
    pub fn from_proc(text: &str) -> Self {
        Self::parse(text, Numbers::Hexadecimal)
    }

    fn parse(text: &str, numbers: Numbers) -> Self {
        let mut table = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["->", "RemoteAddress:Port", ..] | [] => {}
                ["->", address, method, weight, active, inactive] => {
                    let address = address_and_port(address, numbers).unwrap_or_else(|| panic!("no address: {line}"));
                    let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("no number {word}: {line}"));
                    let service = table.services.last_mut().unwrap_or_else(|| panic!("no service before: {line}"));
                    service.destinations.push(Destination {
                        address,
                        method: (*method).to_owned(),
                        weight: number(weight),
                        active: number(active),
                        inactive: number(inactive),
                    });
                }
                ["FWM", mark, "IPv6", scheduler, flags @ ..] => {
                    table.add("FWM6", &marked(mark, numbers), scheduler, flags);
                }
                ["FWM", mark, scheduler, flags @ ..] => table.add("FWM", &marked(mark, numbers), scheduler, flags),
                [protocol @ ("TCP" | "UDP" | "SCTP"), address, scheduler, flags @ ..] => {
                    let address = address_and_port(address, numbers).unwrap_or_else(|| panic!("no address: {line}"));
                    table.add(protocol, &address.to_string(), scheduler, flags);
                }
                _ => {
                    assert!(line.starts_with("IP Virtual Server") || line.starts_with("Prot "), "unknown line: {line}");
                }
            }
        }
        table
    }

    fn add(&mut self, protocol: &str, what: &str, scheduler: &str, flags: &[&str]) {
        self.services.push(Service {
            key: format!("{protocol} {what}"),
            scheduler: scheduler.to_owned(),
            flags: flags.join(" "),
            destinations: Vec::new(),
        });
    }

    /// The service of that key.
    pub fn service(&self, key: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.key == key)
    }

    /// The destinations of that service, as `192.0.2.2:80`, sorted; none if there
    /// is no such service.
    pub fn destinations(&self, key: &str) -> Vec<String> {
        let mut all: Vec<String> = self
            .service(key)
            .map(|service| service.destinations.iter().map(|d| d.address.to_string()).collect())
            .unwrap_or_default();
        all.sort();
        all
    }

    /// The table without what changes by itself: the connection counts; and in an
    /// order of its own.
    #[must_use]
    pub fn configured(&self) -> Self {
        let mut table = self.clone();
        for service in &mut table.services {
            for destination in &mut service.destinations {
                (destination.active, destination.inactive) = (0, 0);
            }
            service.destinations.sort_by_key(|d| d.address);
        }
        table.services.sort_by(|a, b| a.key.cmp(&b.key));
        table
    }
}

/// One line a service, one a destination; what a failed assertion shows.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.services.is_empty() {
            return writeln!(f, "(empty table)");
        }
        for s in &self.services {
            writeln!(f, "{} {} {}", s.key, s.scheduler, s.flags)?;
            for d in &s.destinations {
                writeln!(f, "  -> {} {} weight {} ({} + {})", d.address, d.method, d.weight, d.active, d.inactive)?;
            }
        }
        Ok(())
    }
}

fn marked(mark: &str, numbers: Numbers) -> String {
    match numbers {
        Numbers::Decimal => mark.to_owned(),
        Numbers::Hexadecimal => u32::from_str_radix(mark, 16).map_or_else(|_| mark.to_owned(), |mark| mark.to_string()),
    }
}

/// `192.0.2.1:80`, `C0000201:0050`, `[2001:db8::1]:80`.
fn address_and_port(text: &str, numbers: Numbers) -> Option<SocketAddr> {
    if numbers == Numbers::Decimal {
        return text.parse().ok();
    }
    let (address, port) = text.rsplit_once(':')?;
    let address: IpAddr = match address.strip_prefix('[').and_then(|a| a.strip_suffix(']')) {
        Some(inner) => inner.parse().ok()?,
        None => IpAddr::from(u32::from_str_radix(address, 16).ok()?.to_be_bytes()),
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[test]
fn both_views_of_the_kernels_table_are_read_alike() {
    let listed = "IP Virtual Server version 1.2.1 (size=4096)\n\
        Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
        TCP  192.168.142.100:80 rr\n\
        \x20 -> 192.168.142.158:80           Route   1      3          12        \n\
        TCP  [2001:db8::100]:80 wlc\n\
        \x20 -> [2001:db8::158]:8080         Masq    7      0          0         \n\
        FWM  17 rr\n";
    let proc = "IP Virtual Server version 1.2.1 (size=4096)\n\
        Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
        TCP  C0A88E64:0050 rr \n\
        \x20 -> C0A88E9E:0050      Route   1      3          12        \n\
        TCP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0050 wlc \n\
        \x20 -> [2001:0db8:0000:0000:0000:0000:0000:0158]:1F90      Masq    7      0          0         \n\
        FWM  00000011 rr \n";
    let table = Table::from_ipvsadm(listed);
    assert_eq!(table, Table::from_proc(proc));
    assert_eq!(table.destinations("TCP 192.168.142.100:80"), ["192.168.142.158:80"]);
    assert_eq!(table.service("TCP [2001:db8::100]:80").unwrap().destinations[0].weight, 7);
    assert_eq!(table.service("FWM 17").unwrap().scheduler, "rr");
    assert_eq!(table.configured().services[1].destinations[0].active, 0);
}

#[test]
fn persistence_stands_behind_the_scheduler() {
    let table = Table::from_ipvsadm("TCP  10.0.0.1:443 wlc persistent 300 mask 255.255.255.0\nFWM  1 IPv6 wrr\n");
    assert_eq!(table.service("TCP 10.0.0.1:443").unwrap().flags, "persistent 300 mask 255.255.255.0");
    assert_eq!(table.service("FWM6 1").unwrap().scheduler, "wrr");
}
