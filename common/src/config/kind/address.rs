//! Addresses, masks, and an address with its device.

use std::net::{IpAddr, Ipv4Addr};

use super::{Kind, Quotes, Reader, Span, Value, Written};
use crate::config::DeviceAddress;
use crate::config::outside::{ipv4, literal};

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

/// A netmask; 0.0.0.0 means not set.
pub(in crate::config) struct Mask;

fn is_contiguous(mask: Ipv4Addr) -> bool {
    mask.to_bits().leading_ones() == mask.to_bits().count_ones()
}

/// Whether the mask is one; reports it if not.
fn check_contiguous(mask: Ipv4Addr, span: Span, reader: &mut Reader<'_>) -> bool {
    if !is_contiguous(mask) {
        let message = format!("Bad subnet mask specified: {mask} has ones behind a zero");
        reader.error("bad-mask", span, message, "");
    }
    is_contiguous(mask)
}

impl Kind for Mask {
    type Value = Option<Ipv4Addr>;

    fn read(&self, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Option<Ipv4Addr>> {
        let text = reader.scalar(value, span)?;
        if let Some(mask) = ipv4(&text) {
            return check_contiguous(mask, span, reader).then_some(Some(mask).filter(|m| !m.is_unspecified()));
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
            return check_contiguous(mask, span, reader).then_some(Some(mask).filter(|_| is_set));
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
