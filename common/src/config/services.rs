//! The model as it is to be run: which blocks, and for the kernel services and
//! destinations.

use std::net::IpAddr;
use std::time::Duration;

use super::{Config, RealServer, ServiceKind, VirtualService};
use crate::ipvs::{Destination, DestinationKey, Family, ForwardingMethod, Service, ServiceFlags, ServiceKey, Tunnel};

impl Config {
    /// The active blocks of the kind that is run (`service`), in file order.
    pub fn running(&self) -> impl Iterator<Item = &VirtualService> {
        let blocks = match self.service {
            ServiceKind::Lvs => &self.virtuals,
            ServiceKind::Fos => &self.failovers,
        };
        blocks.iter().filter(|block| block.active)
    }
}

/// Whether the kernel takes it for a real server's address, as far as that can be told
/// without its routes.
pub(super) fn can_be_destination(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && v4.octets().first() != Some(&0),
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified() && !v6.is_unicast_link_local(),
    }
}

impl VirtualService {
    /// The virtual address, without its device.
    pub fn virtual_address(&self) -> Option<IpAddr> {
        self.address.as_ref().map(|a| a.address)
    }

    /// What makes it that service to the kernel: its firewall mark if it has one,
    /// else protocol, address and port. `None` if it has neither.
    pub fn service_key(&self) -> Option<ServiceKey> {
        let address = self.virtual_address();
        if self.fwmark != 0 {
            // a mark without an address is of the family of its real servers
            let any = address.or_else(|| self.servers.iter().find_map(|s| s.address));
            let family = if any.is_some_and(|a| a.is_ipv6()) { Family::V6 } else { Family::V4 };
            return Some(ServiceKey::Mark { family, mark: self.fwmark });
        }
        Some(ServiceKey::Address { protocol: self.protocol, address: address?, port: self.port })
    }

    /// The service as the kernel is to have it. `pmask` counts only with
    /// `persistent`, as ever, and only for IPv4.
    pub fn service(&self) -> Option<Service> {
        let key = self.service_key()?;
        let is_persistent = self.persistent > Duration::ZERO;
        let flags = if is_persistent { ServiceFlags::PERSISTENT } else { 0 };
        let prefix = match (key.family(), self.pmask) {
            (Family::V6, _) => 128,
            // contiguous: the reader refuses others; leading ones are at most 32
            (Family::V4, Some(mask)) if is_persistent => u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32),
            (Family::V4, _) => 32,
        };
        Some(Service {
            key,
            scheduler: self.scheduler.clone(),
            flags: ServiceFlags(flags),
            persistence: self.persistent,
            prefix,
            engine: None,
        })
    }

    /// A real server's destination as the kernel is to have it while the server is
    /// good: under direct routing and tunnelling its port is the virtual one,
    /// whatever the server's is. `None` if the server has no address.
    pub fn destination(&self, server: &RealServer, method: ForwardingMethod) -> Option<Destination> {
        let port = method.destination_port(self.port, server.port);
        Some(Destination {
            key: DestinationKey { address: server.address?, port },
            method,
            weight: server.weight,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel: Tunnel::default(),
        })
    }

    /// The sorry server's destination: on the virtual port with weight 1, as the
    /// original adds it (piranha.md 3.4), if nothing else is said. `None` if there is none.
    pub fn sorry_destination(&self, method: ForwardingMethod) -> Option<Destination> {
        let port = self.sorry_port.unwrap_or(self.port);
        let server = RealServer { address: Some(self.sorry_server?), port, ..RealServer::default() };
        self.destination(&server, self.sorry_method.unwrap_or(method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DeviceAddress;
    use crate::ipvs::Protocol;

    fn web() -> VirtualService {
        let device = |address: &str| DeviceAddress {
            address: address.parse().unwrap(),
            device: "eth0".into(),
            label: Some("eth0:1".into()),
        };
        VirtualService { name: "web".into(), address: Some(device("192.0.2.9")), ..VirtualService::default() }
    }

    #[test]
    fn a_virtual_is_its_address_or_its_mark_to_the_kernel() {
        let mut service = web();
        let address = "192.0.2.9".parse().unwrap();
        let key = ServiceKey::Address { protocol: Protocol::Tcp, address, port: 80 };
        assert_eq!(service.service_key(), Some(key));
        service.fwmark = 21;
        assert_eq!(service.service_key(), Some(ServiceKey::Mark { family: Family::V4, mark: 21 }));
        service.address.as_mut().unwrap().address = "2001:db8::9".parse().unwrap();
        assert_eq!(service.service_key(), Some(ServiceKey::Mark { family: Family::V6, mark: 21 }));
        service.address = None;
        assert_eq!(service.service_key(), Some(ServiceKey::Mark { family: Family::V4, mark: 21 }));
        service.fwmark = 0;
        assert_eq!(service.service_key(), None);
    }

    #[test]
    fn a_persistence_mask_counts_only_with_persistence() {
        let mut service = web();
        service.pmask = Some("255.255.240.0".parse().unwrap());
        let plain = service.service().unwrap();
        assert_eq!((plain.flags.0, plain.prefix, plain.persistence), (0, 32, Duration::ZERO));
        service.persistent = Duration::from_secs(60);
        let sticky = service.service().unwrap();
        assert_eq!((sticky.flags.0, sticky.prefix), (ServiceFlags::PERSISTENT, 20));
        assert_eq!(sticky.persistence, Duration::from_secs(60));
        service.address.as_mut().unwrap().address = "2001:db8::9".parse().unwrap();
        assert_eq!(service.service().unwrap().prefix, 128);
    }

    #[test]
    fn only_nat_gives_a_destination_the_servers_port() {
        let service = web();
        let server =
            RealServer { address: Some("192.0.2.3".parse().unwrap()), port: 8080, weight: 7, ..RealServer::default() };
        for (method, port) in [
            (ForwardingMethod::Masquerade, 8080),
            (ForwardingMethod::DirectRouting, 80),
            (ForwardingMethod::Tunnel, 80),
        ] {
            let destination = service.destination(&server, method).unwrap();
            assert_eq!((destination.key.port, destination.weight, destination.method), (port, 7, method));
        }
        assert_eq!(service.destination(&RealServer::default(), ForwardingMethod::Tunnel), None);
        assert_eq!(service.sorry_destination(ForwardingMethod::Masquerade), None);
    }

    #[test]
    fn a_sorry_server_is_as_the_others_unless_it_says_otherwise() {
        use ForwardingMethod::{DirectRouting, Masquerade, Tunnel};
        let sorry = |sorry_port, sorry_method, network| {
            let sorry_server = Some("192.0.2.200".parse().unwrap());
            let service = VirtualService { sorry_server, sorry_port, sorry_method, ..web() };
            let destination = service.sorry_destination(network).unwrap();
            (destination.key.port, destination.method, destination.weight)
        };
        assert_eq!(sorry(None, None, DirectRouting), (80, DirectRouting, 1)); // piranha.md 3.4
        assert_eq!(sorry(Some(8080), None, Masquerade), (8080, Masquerade, 1));
        assert_eq!(sorry(Some(8080), None, Tunnel), (80, Tunnel, 1));
        assert_eq!(sorry(Some(8080), Some(Masquerade), DirectRouting), (8080, Masquerade, 1));
    }
}
