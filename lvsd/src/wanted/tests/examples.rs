//! A virtual service and its servers, for tests of what comes after the file.

use common::ipvs::{DestinationKey, Protocol};

use super::super::*;
use crate::nanny_command::Arguments;

/// 192.0.2.LAST, port 80.
pub(crate) fn key(last: u8) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, last].into(), port: 80 }
}

/// 10.0.0.LAST, port 80.
pub(crate) fn server(last: u8) -> DestinationKey {
    DestinationKey { address: [10, 0, 0, last].into(), port: 80 }
}

/// `sLAST` in `vSERVICE`.
pub(crate) fn monitor(service: u8, last: u8) -> Monitor {
    Monitor {
        target: Target { service: key(service), destination: server(last) },
        name: format!("v{service}"),
        server: format!("s{last}"),
        program: "/usr/sbin/nanny".into(),
        arguments: Arguments::from_iter(["-c"]),
        place: format!("tcp-192.0.2.{service}-80-10.0.0.{last}-80"),
        assignment: None,
        weight: 1,
        drain: None,
        is_nanny: true,
    }
}

/// `vLAST` with these servers.
pub(crate) fn virtual_service(last: u8, servers: &[u8]) -> Virtual {
    Virtual {
        name: format!("v{last}"),
        port: 80,
        service: Service::new(key(last), "wlc"),
        vip: None,
        sorry: None,
        pool: Pool::default(),
        timeout: Duration::from_secs(6),
        drain: Duration::ZERO,
        monitors: servers.iter().map(|server| Rc::new(monitor(last, *server))).collect(),
        disabled: Vec::new(),
    }
}
