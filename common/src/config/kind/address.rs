//! Addresses, masks, and an address with its device.

use std::net::{IpAddr, Ipv4Addr};

use super::{Kind, Quotes, Reader, Span, Value, Written};
use crate::config::outside::{ipv4, literal};
use crate::config::{DeviceAddress, HeartbeatPath};

/// IFNAMSIZ without its NUL: the longest device name or label, in bytes.
const DEVICE_MAX: usize = 15;

/// A host by address or name. 0.0.0.0 means none where it may stand.
pub(in crate::config) struct Host {
    pub(in crate::config) zero: bool,
}

impl Kind for Host {
    type Value = Option<IpAddr>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<IpAddr>> {
        let text = reader.scalar(value, span)?;
        let Some(address) = reader.host(&text) else {
            let message = format!("invalid argument: \"{text}\" is no address and no host that is known");
            reader.error("invalid-argument", span, message, "an address works without the resolver too");
            return None;
        };
        if !address.is_unspecified() {
            return Some(Some(address));
        }
        if self.zero {
            return Some(None);
        }
        let help = "leave the line away if there is none";
        reader.error("invalid-host", span, "invalid host name or ip address", help);
        None
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.map(|address| Written::Text(address.to_string(), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        "host name or address".to_owned()
    }

    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        let text = reader.scalar(value, span)?;
        let text = literal(&text).map_or(text, |address| address.to_string());
        Some(Written::Text(text, Quotes::Dropped))
    }
}

/// An address, no name.
pub(in crate::config) struct Ip;

impl Kind for Ip {
    type Value = Option<IpAddr>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<IpAddr>> {
        let text = reader.scalar(value, span)?;
        if let Some(address) = literal(&text) {
            return Some(Some(address).filter(|a| !a.is_unspecified()));
        }
        reader.error("invalid-argument", span, format!("invalid argument: \"{text}\" is no address"), "");
        None
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.map(|address| Written::Text(address.to_string(), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        "address".to_owned()
    }
}

/// Some hosts by address or name: one, or several between brackets. May stand
/// several times.
pub(in crate::config) struct Hosts {
    /// The most of them, all lines together; who has them all counts.
    pub(in crate::config) max: usize,
}

impl Hosts {
    /// The words, with their places.
    fn words(value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Vec<(String, Span)>> {
        Some(match value {
            Value::List(list) => {
                let texts = list.iter().map(|(value, at)| reader.scalar(value, *at).map(|text| (text, *at)));
                texts.collect::<Option<_>>()?
            }
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::Block(_) => {
                vec![(reader.scalar(value, span)?, span)]
            }
        })
    }
}

impl Kind for Hosts {
    type Value = Vec<IpAddr>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Vec<IpAddr>> {
        let words = Self::words(value, span, reader)?;
        let mut hosts = Vec::with_capacity(words.len());
        for (word, at) in words {
            let host = Host { zero: false }.read(&Value::Text(word), at, reader)??;
            if matches!(host, IpAddr::V6(host) if host.is_unicast_link_local()) {
                let message = format!("{host} is an address of every link: it does not say where");
                reader.error("invalid-argument", at, message, "give it a global address, or a unique local one");
                return None;
            }
            hosts.push(host);
        }
        Some(hosts)
    }

    fn store(&self, place: &mut Vec<IpAddr>, value: Vec<IpAddr>) {
        place.extend(value);
    }

    fn write(&self, value: &Vec<IpAddr>) -> Option<Written> {
        (!value.is_empty()).then(|| Written::List(value.iter().map(IpAddr::to_string).collect()))
    }

    fn describe(&self) -> String {
        format!("host name or address, or up to {} in brackets", self.max)
    }

    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        let words = Self::words(value, span, reader)?;
        let plain = |(text, _): (String, Span)| literal(&text).map_or(text, |address| address.to_string());
        Some(Written::List(words.into_iter().map(plain).collect()))
    }
}

/// A netmask; 0.0.0.0 means not set. One with holes is read: the kernel refuses it,
/// and the address keeps the mask of its class, as it always did.
pub(in crate::config) struct Mask;

fn is_contiguous(mask: Ipv4Addr) -> bool {
    mask.to_bits().leading_ones() == mask.to_bits().count_ones()
}

impl Kind for Mask {
    type Value = Option<Ipv4Addr>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<Ipv4Addr>> {
        let text = reader.scalar(value, span)?;
        if let Some(mask) = ipv4(&text) {
            if !is_contiguous(mask) {
                let message = format!("{mask} has ones behind a zero: the address gets its classful mask instead");
                reader.warning("mask-holes", span, message, "the kernel refuses such a mask");
            }
            return Some(Some(mask).filter(|mask| !mask.is_unspecified()));
        }
        reader.error("bad-mask", span, format!("Bad subnet mask specified: \"{text}\""), "255.255.255.0");
        None
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        value.map(|mask| Written::Text(mask.to_string(), Quotes::Dropped))
    }

    fn describe(&self) -> String {
        "netmask".to_owned()
    }
}

/// The netmask of persistence: one that cannot be read is ignored, and
/// 255.255.255.255 is the same as none, as it always was.
pub(in crate::config) struct PersistenceMask;

impl Kind for PersistenceMask {
    type Value = Option<Ipv4Addr>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<Ipv4Addr>> {
        let text = reader.scalar(value, span)?;
        if let Some(mask) = ipv4(&text) {
            let is_set = !mask.is_unspecified() && mask != Ipv4Addr::BROADCAST;
            if !is_contiguous(mask) {
                let message = format!("Bad subnet mask specified: {mask} has ones behind a zero");
                reader.error("bad-mask", span, message, "");
                return None;
            }
            return Some(Some(mask).filter(|_| is_set));
        }
        reader.warning("bad-pmask", span, format!("\"{text}\" is no mask: it is ignored"), "255.255.255.0");
        Some(None)
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        Mask.write(value)
    }

    fn describe(&self) -> String {
        "netmask".to_owned()
    }
}

/// `ADDRESS DEVICE`, the device with an alias label or without.
pub(in crate::config) struct Device;

impl Device {
    /// The two words, with their places.
    fn words(value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<[(String, Span); 2]> {
        let mut words: Vec<(String, Span)> = match value {
            Value::List(list) => {
                let texts = list.iter().map(|(value, at)| reader.scalar(value, *at).map(|text| (text, *at)));
                texts.collect::<Option<_>>()?
            }
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::Block(_) => {
                let text = reader.scalar(value, span)?;
                text.split_ascii_whitespace().map(|word| (word.to_owned(), span)).collect()
            }
        };
        let third = words.drain(words.len().min(2)..).next();
        if let Some((_, at)) = third {
            reader.error("unexpected-arguments", at, "unexpected arguments: an address and a device are expected", "");
            return None;
        }
        let pair = words.try_into().ok();
        if pair.is_none() {
            let help = "write both: 192.0.2.9 eth0:1";
            reader.error("missing-arguments", span, "missing arguments: an address and a device are expected", help);
        }
        pair
    }

    fn label(text: &str, span: Span, reader: &mut Reader<'_>) -> Option<(String, Option<String>)> {
        let device = text.split(':').next().unwrap_or_default();
        let message = if device.is_empty() {
            format!("\"{text}\" has no device before the colon")
        } else if text.len() > DEVICE_MAX {
            format!("\"{text}\" is longer than {DEVICE_MAX} bytes, the most the kernel takes")
        } else if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '"' || c == '\'') {
            format!("\"{text}\" is no device name")
        } else {
            return Some((device.to_owned(), (device != text).then(|| text.to_owned())));
        };
        reader.error("bad-device", span, message, "");
        None
    }
}

impl Kind for Device {
    type Value = Option<DeviceAddress>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<DeviceAddress>> {
        let [(address, address_span), (device, device_span)] = Self::words(value, span, reader)?;
        let address = Host { zero: true }.read(&Value::Text(address), address_span, reader)?;
        let (device, label) = Self::label(&device, device_span, reader)?;
        Some(address.map(|address| DeviceAddress { address, device, label }))
    }

    fn write(&self, value: &Self::Value) -> Option<Written> {
        let DeviceAddress { address, device, label } = value.as_ref()?;
        Some(Written::Words([address.to_string(), label.as_ref().unwrap_or(device).clone()]))
    }

    fn describe(&self) -> String {
        "address device[:label]".to_owned()
    }

    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        let [(address, _), (device, _)] = Self::words(value, span, reader)?;
        let address = literal(&address).map_or(address, |address| address.to_string());
        Some(Written::Words([address, device]))
    }
}

/// `PRIMARY BACKUP`: the two ends of a heartbeat path. May stand several times; in
/// TOML it is a list.
pub(in crate::config) struct Paths {
    /// The most of them, all lines together; who has them all counts.
    pub(in crate::config) max: usize,
}

impl Paths {
    /// The words, two for each path, with their places.
    fn words(value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Vec<(String, Span)>> {
        let typed: Vec<(String, Span)> = match value {
            Value::List(list) => {
                let texts = list.iter().map(|(value, at)| reader.scalar(value, *at).map(|text| (text, *at)));
                texts.collect::<Option<_>>()?
            }
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::Block(_) => {
                vec![(reader.scalar(value, span)?, span)]
            }
        };
        let split = |(text, at): &(String, Span)| {
            text.split_ascii_whitespace().map(|word| (word.to_owned(), *at)).collect::<Vec<_>>()
        };
        let words: Vec<_> = typed.iter().flat_map(split).collect();
        if words.is_empty() || !words.len().is_multiple_of(2) {
            let message = "missing arguments: a path has two addresses, the primary's and the backup's";
            reader.error("missing-arguments", span, message, "heartbeat_path = 192.0.2.1 192.0.2.2");
            return None;
        }
        Some(words)
    }
}

impl Kind for Paths {
    type Value = Vec<HeartbeatPath>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Vec<HeartbeatPath>> {
        let words = Self::words(value, span, reader)?;
        let mut paths = Vec::new();
        for pair in words.chunks(2) {
            let [(primary, primary_at), (backup, backup_at)] = pair else { continue };
            let mut end =
                |text: &String, at: Span| Host { zero: false }.read(&Value::Text(text.clone()), at, reader)?;
            let (primary, backup) = (end(primary, *primary_at)?, end(backup, *backup_at)?);
            if primary.is_ipv4() != backup.is_ipv4() {
                let message = "the two ends of a path are of different families";
                reader.error("mixed-families", *backup_at, message, "give it two IPv4 or two IPv6 addresses");
                return None;
            }
            paths.push(HeartbeatPath { primary, backup });
        }
        Some(paths)
    }

    fn store(&self, place: &mut Vec<HeartbeatPath>, value: Vec<HeartbeatPath>) {
        place.extend(value);
    }

    fn write(&self, value: &Vec<HeartbeatPath>) -> Option<Written> {
        let rows = value.iter().map(|HeartbeatPath { primary, backup }| [primary.to_string(), backup.to_string()]);
        (!value.is_empty()).then(|| Written::Rows(rows.collect()))
    }

    fn describe(&self) -> String {
        format!("two addresses; up to {} times", self.max)
    }

    fn rewrite(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
        let words = Self::words(value, span, reader)?;
        let plain = |(text, _): &(String, Span)| literal(text).map_or_else(|| text.clone(), |it| it.to_string());
        let rows = words.chunks(2).filter_map(|pair| match pair {
            [primary, backup] => Some([plain(primary), plain(backup)]),
            _ => None,
        });
        Some(Written::Rows(rows.collect()))
    }
}
