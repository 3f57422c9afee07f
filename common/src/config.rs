//! The configuration: complete, valid, typed. What each keyword means is
//! piranha.md 1.2 to 1.6; a field has the keyword's name.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::ipvs::{ForwardingMethod, Protocol};

/// Which kind of service the pair runs (`service`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// IPVS virtual services.
    Lvs,
    /// Failover services: one local service that moves with the VIP.
    Fos,
}

/// `IP DEV` or `IP DEV:LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAddress {
    /// The address.
    pub address: IpAddr,
    /// The device, without the label's part behind the colon: `eth0`.
    pub device: String,
    /// The whole label, `eth0:1`, if one was given; 15 bytes at most.
    pub label: Option<String>,
}

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    pub serial_no: i32,
    pub primary: Option<IpAddr>,
    pub primary_private: Option<IpAddr>,
    pub backup: Option<IpAddr>,
    pub backup_private: Option<IpAddr>,
    pub backup_active: bool,
    pub heartbeat: bool,
    pub heartbeat_port: u16,
    pub keepalive: Duration,
    pub deadtime: Duration,
    pub service: ServiceKind,
    pub network: ForwardingMethod,
    pub nat_router: Option<DeviceAddress>,
    pub nat_nmask: Option<Ipv4Addr>,
    pub rsh_command: String,
    pub sync: bool,
    pub debug_level: String,
    pub monitor_links: bool,
    pub syncdaemon: bool,
    pub syncd_iface: String,
    pub syncd_id: u8,
    pub tcp_timeout: Duration,
    pub tcpfin_timeout: Duration,
    pub udp_timeout: Duration,
    pub hard_shutdown: bool,
    pub active_cmd: Option<String>,
    pub inactive_cmd: Option<String>,
    pub ipvsadm: String,
    pub primary_shared: Option<String>,
    pub backup_shared: Option<String>,
    pub reservation_conflict_action: Option<String>,
    /// `virtual` blocks in file order.
    pub virtuals: Vec<VirtualService>,
    /// `failover` blocks in file order.
    pub failovers: Vec<VirtualService>,
}

/// A `virtual` (or `failover`) block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    /// The block's name; a label only.
    pub name: String,
    pub active: bool,
    pub address: Option<DeviceAddress>,
    pub vip_nmask: Option<Ipv4Addr>,
    pub port: u16,
    pub protocol: Protocol,
    /// 0: none.
    pub fwmark: u32,
    pub scheduler: String,
    /// Zero: not persistent.
    pub persistent: Duration,
    pub pmask: Option<Ipv4Addr>,
    pub sorry_server: Option<IpAddr>,
    pub timeout: Duration,
    pub reentry: Duration,
    /// As in the file, escapes not converted (nanny does), outer quotes gone.
    pub send: Option<String>,
    pub expect: Option<String>,
    pub use_regex: bool,
    pub send_program: Option<String>,
    pub load_monitor: Option<String>,
    pub quiesce_server: bool,
    pub client_monitor: String,
    pub start_cmd: Option<String>,
    pub stop_cmd: Option<String>,
    pub master: Option<String>,
    pub dirs: Vec<String>,
    /// `server` blocks in file order.
    pub servers: Vec<RealServer>,
}

/// A `server` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// The block's name; a label only.
    pub name: String,
    pub address: Option<IpAddr>,
    pub active: bool,
    pub weight: u32,
    /// Where it listens, and where the probe goes.
    pub port: u16,
}
