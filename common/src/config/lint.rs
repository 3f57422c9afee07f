//! What is read but will not work, or not as it looks. Pure: the model, where
//! its parts stand, and for some rules what is known about the machine go in;
//! warnings come out. Each rule has its id and its paragraph in
//! [`super::rules`]. A file with errors is looked at too: a rule speaks where it
//! is sure of every keyword that it judges by.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::check::Origin;
use super::diagnostic::{Report, Severity};
use super::machine::Machine;
use super::services::can_be_destination;
use super::source::{Sources, Span};
use super::table::{Config, RealServer, VirtualService};
use super::{DeviceAddress, HeartbeatPath, ServiceKind};
use crate::ipvs::{ForwardingMethod, ServiceKey};

mod failover;
mod machine;
mod policy;
mod probe;

use failover::for_failovers;

/// Less than that a process waits for its turn, even where a few others never pause.
const BUSY: Duration = Duration::from_millis(100);

/// When the shortest loan of a virtual IP is over: one second, and the most that the
/// kernel is late with it (`late` in pulse's `lease.rs`).
const LOAN_OVER: Duration = Duration::from_millis(1375);

/// What the rules look at, and where they speak.
pub(super) struct Linter<'a> {
    pub(super) config: &'a Config,
    pub(super) origin: &'a Origin,
    pub(super) sources: &'a Sources,
    pub(super) report: &'a mut Report,
}

impl<'a> Linter<'a> {
    /// The rules that need only the file.
    pub(super) fn file(&mut self) {
        if !self.origin.is_sure_of(&["service"]) {
            return;
        }
        self.other_kind();
        self.pair();
        self.router();
        self.commands();
        let active = self.active();
        if self.config.service == ServiceKind::Fos {
            self.failovers(&active);
            return;
        }
        if active.is_empty() && !self.origin.broken && sure_of_all(&self.origin.virtuals, &["active"]) {
            let (span, help) = (self.origin.of("service"), "set active = 1 in a virtual block");
            self.warn("no-active-virtual", span, "no virtual is active: there is nothing to do", help);
        }
        for (service, origin) in &active {
            self.service(service, origin);
            self.policy(service, origin);
            self.probe(service, origin);
        }
        self.director_is_server(&active);
        self.labels(&active);
        self.same_services(&active);
    }

    /// The rules that need to know the machine.
    pub(super) fn on(&mut self, machine: &Machine) {
        if self.origin.is_sure_of(&["service"]) {
            self.machine(machine);
        }
    }

    fn warn(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: &str) {
        self.report.say(self.sources, (id, Severity::Warning), span, message.into(), help);
    }

    /// The blocks that are run.
    fn active(&self) -> Vec<(&'a VirtualService, &'a Origin)> {
        let (blocks, origins) = match self.config.service {
            ServiceKind::Lvs => (&self.config.virtuals, &self.origin.virtuals),
            ServiceKind::Fos => (&self.config.failovers, &self.origin.failovers),
        };
        blocks.iter().zip(origins).filter(|(service, origin)| service.active && !origin.broken).collect()
    }

    /// Blocks of the kind that `service` does not name; a file may hold both.
    fn other_kind(&mut self) {
        let (kind, blocks, origins) = match self.config.service {
            ServiceKind::Lvs => ("failover", &self.config.failovers, &self.origin.failovers),
            ServiceKind::Fos => ("virtual", &self.config.virtuals, &self.origin.virtuals),
        };
        let service = if kind == "failover" { "lvs" } else { "fos" };
        for (block, origin) in blocks.iter().zip(origins).filter(|(block, _)| block.active) {
            let message = format!("{kind} \"{}\" is active and is not run: service = {service}", block.name);
            self.warn("other-kind", origin.span, message, "set active = 0 in it, or the other service");
        }
    }

    fn pair(&mut self) {
        let Config { primary, primary_private, backup, backup_private, keepalive, deadtime, .. } = *self.config;
        self.of_no_use();
        let at = |key| self.origin.of(key);
        let sure_of = |keys: &[&str]| self.origin.is_sure_of(keys);
        if !sure_of(&["backup_active"]) {
            return;
        }
        if !self.config.backup_active {
            if backup.is_some() {
                let help = "set backup_active = 1, or remove backup";
                self.warn("backup-unused", at("backup"), "backup_active is 0: there is no backup director", help);
            }
            if !self.config.witness.is_empty() {
                let message = "witness has no effect without a partner";
                self.warn("ineffective", at("witness"), message, "");
            }
            return;
        }
        if backup.is_none() && sure_of(&["backup"]) {
            let help = "set backup, or backup_active = 0";
            self.warn("backup-undefined", at("backup_active"), "the backup is active and has no address", help);
        }
        if primary.is_none() && sure_of(&["primary"]) {
            self.warn("no-primary", at("backup_active"), "primary is not set: no node is the primary director", "");
        }
        let public = (primary.is_some() && primary == backup).then(|| at("backup"));
        let private = (primary_private.is_some() && primary_private == backup_private).then(|| at("backup_private"));
        let is_one = |path: &&HeartbeatPath| path.primary == path.backup;
        let further = self.config.heartbeat_path.iter().find(is_one).map(|_| at("heartbeat_path"));
        for span in public.into_iter().chain(private).chain(further) {
            self.warn("heartbeat-same", span, "both directors have the same heartbeat address", "");
        }
        self.witnesses();
        if !sure_of(&["keepalive", "deadtime"]) {
            return;
        }
        if deadtime < BUSY && self.config.realtime_priority == 0 && sure_of(&["realtime_priority"]) {
            let message = format!("deadtime ({deadtime:?}) is shorter than a busy processor may keep pulse waiting");
            let help = "set realtime_priority = 1 on both directors";
            self.warn("deadtime-busy", at("deadtime"), message, help);
        }
        if keepalive >= deadtime {
            let message = format!("keepalive ({keepalive:?}) is not less than deadtime ({deadtime:?})");
            let help = "three times keepalive is usual for deadtime";
            self.warn("keepalive-deadtime", at("keepalive"), message, help);
        } else if deadtime < keepalive * 2 {
            let message = format!("deadtime ({deadtime:?}) is less than twice keepalive ({keepalive:?})");
            self.warn("deadtime-close", at("deadtime"), message, "one lost heartbeat would be a takeover");
        } else if deadtime < keepalive + LOAN_OVER {
            let message =
                format!("deadtime ({deadtime:?}) is shorter than the kernel keeps a dead pulse's virtual IPs");
            let least = keepalive + LOAN_OVER;
            let help = format!("from {least:?} on they are gone before the partner has them");
            self.warn("deadtime-short", at("deadtime"), message, &help);
        }
    }

    /// What counts only together with something that is not there.
    fn of_no_use(&mut self) {
        let config = self.config;
        if !self.origin.is_sure_of(&["backup_active", "syncdaemon", "heartbeat_key_file"]) {
            return;
        }
        let (pair, sync) = ("backup_active = 1", "syncdaemon = 1");
        let usual = Config::default().heartbeat_key_use;
        for (key, is_set, is_there, without) in [
            ("heartbeat_path", !config.heartbeat_path.is_empty(), config.backup_active, pair),
            ("heartbeat_key_file", config.heartbeat_key_file.is_some(), config.backup_active, pair),
            ("auto_failback", config.auto_failback.is_some(), config.backup_active, pair),
            ("sync_maxlen", config.sync_maxlen != 0, config.syncdaemon, sync),
            ("sync_group", config.sync_group.is_some(), config.syncdaemon, sync),
            ("sync_port", config.sync_port != 0, config.syncdaemon, sync),
            ("sync_ttl", config.sync_ttl != 0, config.syncdaemon, sync),
            (
                "heartbeat_key_use",
                config.heartbeat_key_use != usual,
                config.heartbeat_key_file.is_some(),
                "heartbeat_key_file",
            ),
        ] {
            if is_set && !is_there {
                self.warn("ineffective", self.origin.of(key), format!("{key} has no effect without {without}"), "");
            }
        }
    }

    /// The standby director's rules would match what the active one sends it.
    fn director_is_server(&mut self, active: &[(&VirtualService, &Origin)]) {
        let Config { primary, primary_private, backup, backup_private, .. } = *self.config;
        if !self.config.backup_active || self.is_nat() || !self.origin.is_sure_of(&["backup_active", "network"]) {
            return;
        }
        let further = self.config.heartbeat_path.iter().flat_map(|path| [path.primary, path.backup]);
        let named = [primary, primary_private, backup, backup_private].into_iter().flatten();
        let directors: Vec<IpAddr> = named.chain(further).collect();
        for (service, origin) in active {
            for (server, its) in service.servers.iter().zip(&origin.servers).filter(|(server, _)| server.active) {
                if server.address.is_some_and(|address| directors.contains(&address)) {
                    let message = format!("server \"{}\" is a director of this pair", server.name);
                    let help = "only network = nat lets a director be a real server";
                    self.warn("director-is-server", its.of("address"), message, help);
                }
            }
        }
    }

    fn witnesses(&mut self) {
        let Config { primary, primary_private, backup, backup_private, .. } = *self.config;
        let router = self.config.nat_router.as_ref().filter(|_| self.is_nat());
        let vips = self.config.virtuals.iter().filter_map(|service| service.address.as_ref());
        let moving = vips.chain(router).map(|place| place.address);
        let ours: Vec<IpAddr> =
            [primary, primary_private, backup, backup_private].into_iter().flatten().chain(moving).collect();
        for witness in self.config.witness.iter().filter(|witness| ours.contains(witness)) {
            let message = format!("witness {witness} is an address of the directors themselves");
            let help = "name a third party: the gateway, a switch, a host that is always there";
            self.warn("witness-inside", self.origin.of("witness"), message, help);
        }
    }

    fn router(&mut self) {
        let Some(router) = self.config.nat_router.as_ref().filter(|_| self.is_nat()) else { return };
        let span = self.origin.of("nat_router");
        self.bare_device(router, span);
        if self.config.nat_nmask.is_none() && self.origin.is_sure_of(&["nat_nmask"]) {
            self.classful_mask(router.address, "nat_nmask", span);
        }
    }

    fn is_nat(&self) -> bool {
        self.config.network == ForwardingMethod::Masquerade && self.origin.is_sure_of(&["network"])
    }

    fn bare_device(&mut self, address: &DeviceAddress, span: Span) {
        if address.label.is_none() {
            let device = &address.device;
            let message = format!("the address is put on {device} itself, which the original takes down when it stops");
            self.warn("bare-device", span, message, &format!("give it a label: {device}:1"));
        }
    }

    fn classful_mask(&mut self, address: IpAddr, keyword: &str, span: Span) {
        let IpAddr::V4(address) = address else { return };
        let mask = classful(address);
        let message = format!("{keyword} is not set: the address gets its classful mask {mask}");
        self.warn("classful-mask", span, message, &format!("set {keyword}"));
    }

    fn address(&mut self, service: &VirtualService, origin: &Origin) {
        if let Some(address) = &service.address {
            self.bare_device(address, origin.of("address"));
            if service.vip_nmask.is_none() && origin.is_sure_of(&["vip_nmask"]) {
                self.classful_mask(address.address, "vip_nmask", origin.of("address"));
            }
        }
    }

    fn service(&mut self, service: &VirtualService, origin: &Origin) {
        let name = &service.name;
        self.address(service, origin);
        for key in for_failovers(service) {
            self.warn("ineffective", origin.of(key), format!("{key} has an effect in a failover block only"), "");
        }
        let is_ipv6 = service.virtual_address().is_some_and(|a| a.is_ipv6());
        for (key, mask) in [("vip_nmask", service.vip_nmask), ("pmask", service.pmask)] {
            if is_ipv6 && mask.is_some() {
                self.warn("ipv6-mask", origin.of(key), format!("{key} is ignored for an IPv6 address"), "");
            }
        }
        if service.pmask.is_some() && service.persistent.is_zero() && origin.is_sure_of(&["persistent"]) {
            self.warn("ineffective", origin.of("pmask"), "pmask has no effect without persistent", "");
        }
        let active: Vec<_> = service.servers.iter().zip(&origin.servers).filter(|(s, _)| s.active).collect();
        if active.is_empty() && sure_of_all(&origin.servers, &["active"]) {
            let message = format!("virtual \"{name}\" has no active real server");
            self.warn("no-active-server", origin.span, message, "set active = 1 in a server block");
        }
        let is_zero = |(server, _): &(&RealServer, &Origin)| server.weight == 0;
        if !active.is_empty() && active.iter().all(is_zero) && sure_of_all(&origin.servers, &["active", "weight"]) {
            let message = format!("every real server of \"{name}\" has weight 0: no client gets to any of them");
            self.warn("weight-zero", origin.span, message, "the original took 0 for 1");
        }
        if self.origin.is_sure_of(&["network"]) && origin.is_sure_of(&["port"]) {
            self.destinations(
                service,
                origin.of("sorry_server"),
                active.into_iter().filter(|(_, its)| its.is_sure_of(&["port", "address"])),
            );
        }
    }

    /// Where the kernel sends the packets.
    fn destinations<'s>(
        &mut self,
        service: &VirtualService,
        sorry: Span,
        active: impl Iterator<Item = (&'s RealServer, &'s Origin)>,
    ) {
        let method = self.config.network;
        let mut destinations = HashMap::new();
        if let Some(address) = service.sorry_server {
            self.reachable("the sorry server", address, sorry);
        }
        for (server, its) in active {
            if let Some(address) = server.address {
                self.reachable(&format!("server \"{}\"", server.name), address, its.of("address"));
            }
            if method.destination_port(service.port, server.port) != server.port {
                let (from, to) = (service.port, server.port);
                let message =
                    format!("packets go to port {from} of server \"{}\": only the probe goes to {to}", server.name);
                let help = "only network = nat changes ports; let the server listen on the virtual port";
                self.warn("port-mapping", its.of("port"), message, help);
            }
            let Some(destination) = service.destination(server, method) else { continue };
            if let Some(first) = destinations.insert(destination.key, &server.name) {
                let message = format!("servers \"{first}\" and \"{}\" are one destination to the kernel", server.name);
                self.warn("same-destination", its.of("address"), message, "");
            }
        }
    }

    fn reachable(&mut self, what: &str, address: IpAddr, span: Span) {
        if !can_be_destination(address) {
            let message = format!("{what} has the address {address}, which the kernel takes for nobody's");
            self.warn(
                "no-destination",
                span,
                message,
                "a real server has a unicast address, in IPv6 no link-local one",
            );
        }
    }

    /// Two addresses on one label.
    fn labels(&mut self, active: &[(&VirtualService, &Origin)]) {
        let mut labels: HashMap<&str, (IpAddr, &str)> = HashMap::new();
        for (service, origin) in active {
            let Some(address) = &service.address else { continue };
            let Some(label) = address.label.as_deref() else { continue };
            let (first, name) = *labels.entry(label).or_insert((address.address, &service.name));
            if first != address.address {
                let message = format!("{label} already has the address of virtual \"{name}\"");
                self.warn("shared-label", origin.of("address"), message, "give each address a label of its own");
            }
        }
    }

    /// Two virtuals that are one service to the kernel.
    fn same_services(&mut self, active: &[(&VirtualService, &Origin)]) {
        let mut seen: HashMap<ServiceKey, &VirtualService> = HashMap::new();
        for (service, origin) in active {
            let Some(key) = service.service_key() else { continue };
            if !origin.is_sure_of(&["address", "port", "protocol", "fwmark"]) {
                continue;
            }
            let first = *seen.entry(key).or_insert(service);
            if std::ptr::eq(first, *service) {
                continue;
            }
            let message =
                format!("virtual \"{}\" is the same service to the kernel as \"{}\": {key}", service.name, first.name);
            let span = origin.of(if service.fwmark == 0 { "address" } else { "fwmark" });
            self.warn("same-service", span, message, "one block with all real servers is meant");
            let differs = (first.persistent, first.pmask) != (service.persistent, service.pmask);
            if service.fwmark != 0 && differs && origin.is_sure_of(&["persistent", "pmask"]) {
                let message =
                    format!("its persistence is not that of \"{}\", with which it shares the mark", first.name);
                self.warn("persistence-differs", origin.of("persistent"), message, "");
            }
        }
    }
}

/// Whether these keywords have the value that was meant in every block.
fn sure_of_all(blocks: &[Origin], keys: &[&str]) -> bool {
    blocks.iter().all(|block| block.is_sure_of(keys))
}

/// The mask of an address's class, as ifconfig(8) has it.
pub fn classful(address: Ipv4Addr) -> Ipv4Addr {
    let [first, ..] = address.octets();
    match first {
        0..=127 => Ipv4Addr::new(255, 0, 0, 0),
        128..=191 => Ipv4Addr::new(255, 255, 0, 0),
        192..=255 => Ipv4Addr::new(255, 255, 255, 0),
    }
}
