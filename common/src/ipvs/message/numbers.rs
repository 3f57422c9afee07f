//! The numbers of linux/ip_vs.h, and what they are in [`crate::ipvs`]'s words.

use std::net::IpAddr;

use nix::libc;

use crate::ipvs::{Family, ForwardingMethod, Protocol, Service, SyncRole, Tunnel};

/// IPVS_GENL_NAME.
pub const FAMILY: &str = "IPVS";
/// IPVS_GENL_VERSION.
pub(super) const VERSION: u8 = 1;

/// IPVS_CMD_*.
pub(super) mod command {
    pub(in crate::ipvs::message) const NEW_SERVICE: u8 = 1;
    pub(in crate::ipvs::message) const SET_SERVICE: u8 = 2;
    pub(in crate::ipvs::message) const DEL_SERVICE: u8 = 3;
    pub(in crate::ipvs::message) const GET_SERVICE: u8 = 4;
    pub(in crate::ipvs::message) const NEW_DEST: u8 = 5;
    pub(in crate::ipvs::message) const SET_DEST: u8 = 6;
    pub(in crate::ipvs::message) const DEL_DEST: u8 = 7;
    pub(in crate::ipvs::message) const GET_DEST: u8 = 8;
    pub(in crate::ipvs::message) const NEW_DAEMON: u8 = 9;
    pub(in crate::ipvs::message) const DEL_DAEMON: u8 = 10;
    pub(in crate::ipvs::message) const GET_DAEMON: u8 = 11;
    pub(in crate::ipvs::message) const SET_CONFIG: u8 = 12;
    pub(in crate::ipvs::message) const GET_CONFIG: u8 = 13;
}

/// IPVS_CMD_ATTR_*.
pub(super) mod top {
    pub(in crate::ipvs::message) const SERVICE: u16 = 1;
    pub(in crate::ipvs::message) const DEST: u16 = 2;
    pub(in crate::ipvs::message) const DAEMON: u16 = 3;
    pub(in crate::ipvs::message) const TIMEOUT_TCP: u16 = 4;
    pub(in crate::ipvs::message) const TIMEOUT_TCP_FIN: u16 = 5;
    pub(in crate::ipvs::message) const TIMEOUT_UDP: u16 = 6;
}

/// IPVS_SVC_ATTR_*.
pub(super) mod svc {
    pub(in crate::ipvs::message) const AF: u16 = 1;
    pub(in crate::ipvs::message) const PROTOCOL: u16 = 2;
    pub(in crate::ipvs::message) const ADDR: u16 = 3;
    pub(in crate::ipvs::message) const PORT: u16 = 4;
    pub(in crate::ipvs::message) const FWMARK: u16 = 5;
    pub(in crate::ipvs::message) const SCHED_NAME: u16 = 6;
    pub(in crate::ipvs::message) const FLAGS: u16 = 7;
    pub(in crate::ipvs::message) const TIMEOUT: u16 = 8;
    pub(in crate::ipvs::message) const NETMASK: u16 = 9;
    pub(in crate::ipvs::message) const STATS: u16 = 10;
    pub(in crate::ipvs::message) const PE_NAME: u16 = 11;
    pub(in crate::ipvs::message) const STATS64: u16 = 12;
}

/// IPVS_DEST_ATTR_*.
pub(super) mod dest {
    pub(in crate::ipvs::message) const ADDR: u16 = 1;
    pub(in crate::ipvs::message) const PORT: u16 = 2;
    pub(in crate::ipvs::message) const FWD_METHOD: u16 = 3;
    pub(in crate::ipvs::message) const WEIGHT: u16 = 4;
    pub(in crate::ipvs::message) const U_THRESH: u16 = 5;
    pub(in crate::ipvs::message) const L_THRESH: u16 = 6;
    pub(in crate::ipvs::message) const ACTIVE_CONNS: u16 = 7;
    pub(in crate::ipvs::message) const INACT_CONNS: u16 = 8;
    pub(in crate::ipvs::message) const PERSIST_CONNS: u16 = 9;
    pub(in crate::ipvs::message) const STATS: u16 = 10;
    pub(in crate::ipvs::message) const ADDR_FAMILY: u16 = 11;
    pub(in crate::ipvs::message) const STATS64: u16 = 12;
    pub(in crate::ipvs::message) const TUN_TYPE: u16 = 13;
    pub(in crate::ipvs::message) const TUN_PORT: u16 = 14;
    pub(in crate::ipvs::message) const TUN_FLAGS: u16 = 15;
}

/// IPVS_DAEMON_ATTR_*.
pub(super) mod daemon {
    pub(in crate::ipvs::message) const STATE: u16 = 1;
    pub(in crate::ipvs::message) const MCAST_IFN: u16 = 2;
    pub(in crate::ipvs::message) const SYNC_ID: u16 = 3;
    pub(in crate::ipvs::message) const SYNC_MAXLEN: u16 = 4;
    pub(in crate::ipvs::message) const MCAST_GROUP: u16 = 5;
    pub(in crate::ipvs::message) const MCAST_GROUP6: u16 = 6;
    pub(in crate::ipvs::message) const MCAST_PORT: u16 = 7;
    pub(in crate::ipvs::message) const MCAST_TTL: u16 = 8;
}

/// IP_VS_CONN_F_FWD_MASK.
pub(super) const FORWARDING_MASK: u32 = 7;

impl Protocol {
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    pub(super) fn from_number(number: u16) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }
}

impl Family {
    pub(super) fn number(self) -> u16 {
        u16::try_from(match self {
            Self::V4 => libc::AF_INET,
            Self::V6 => libc::AF_INET6,
        })
        .unwrap_or_default()
    }

    pub(super) fn from_number(number: u16) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.number() == number)
    }

    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl ForwardingMethod {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Masquerade => 0,
            Self::Local => 1,
            Self::Tunnel => 2,
            Self::DirectRouting => 3,
            Self::Bypass => 4,
            Self::Other(number) => u32::from(number),
        }
    }

    pub(super) fn from_number(number: u32) -> Self {
        match number & FORWARDING_MASK {
            0 => Self::Masquerade,
            1 => Self::Local,
            2 => Self::Tunnel,
            3 => Self::DirectRouting,
            4 => Self::Bypass,
            other => Self::Other(u8::try_from(other).unwrap_or_default()),
        }
    }
}

impl SyncRole {
    /// IP_VS_STATE_*.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Master => 1,
            Self::Backup => 2,
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        [Self::Master, Self::Backup].into_iter().find(|role| role.number() == number)
    }
}

impl Tunnel {
    /// IP_VS_CONN_F_TUNNEL_TYPE_*, port, flags.
    pub(super) fn parts(self) -> (u8, u16, u16) {
        match self {
            Self::IpIp => (0, 0, 0),
            Self::Gue { port, flags } => (1, port, flags),
            Self::Gre { flags } => (2, 0, flags),
            Self::Other { kind, port, flags } => (kind, port, flags),
        }
    }

    pub(super) fn from_parts(kind: u8, port: u16, flags: u16) -> Self {
        match kind {
            0 => Self::IpIp,
            1 => Self::Gue { port, flags },
            2 => Self::Gre { flags },
            _ => Self::Other { kind, port, flags },
        }
    }
}

/// A prefix length as the kernel wants it: a mask for IPv4, a length for IPv6.
pub(super) fn netmask(family: Family, prefix: u8) -> u32 {
    match family {
        // The mask's bytes in network order, as a number of the host's.
        Family::V4 => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            u32::from_ne_bytes(mask.to_be_bytes())
        }
        Family::V6 => prefix.into(),
    }
}

/// The prefix length in what the kernel has.
pub(super) fn prefix(family: Family, netmask: u32) -> u8 {
    match family {
        Family::V4 => {
            let mask = u32::from_be_bytes(netmask.to_ne_bytes());
            let ones = mask.leading_ones();
            if ones == mask.count_ones() { u8::try_from(ones).unwrap_or_default() } else { Service::NO_PREFIX }
        }
        Family::V6 => u8::try_from(netmask).unwrap_or(Service::NO_PREFIX),
    }
}
