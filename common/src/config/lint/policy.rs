//! The rules about when a real server goes out of use and comes back.

use std::time::Duration;

use super::Linter;
use crate::check::CheckKind;
use crate::config::check::Origin;
use crate::config::table::{HealthCheck, VirtualService};
use crate::ipvs::{ForwardingMethod, Protocol};

impl Linter<'_> {
    pub(super) fn policy(&mut self, service: &VirtualService, origin: &Origin) {
        let period = service.interval.unwrap_or(service.timeout);
        let sure_of_times = origin.is_sure_of(&["reentry", "timeout", "interval", "rise"]);
        if service.reentry < period && service.reentry > Duration::ZERO && service.rise == 1 && sure_of_times {
            let than = if service.interval.is_some() { "interval" } else { "timeout" };
            let message = format!("reentry is less than {than}: one good check is enough");
            self.warn("reentry-short", origin.of("reentry"), message, "");
        }
        let fit = service.reentry.as_nanos() / period.as_nanos().max(1);
        if service.rise > 1 && u128::from(service.rise) <= fit && sure_of_times {
            let message = format!("rise has no effect: {fit} checks fit into reentry, which must be good too");
            self.warn("ineffective", origin.of("rise"), message, "set reentry to the time that is meant");
        }
        self.retry(service, origin);
        self.watch(service, origin);
        self.pool(service, origin);
        let sure_of_limits = |its: &Origin| its.is_sure_of(&["max_connections", "min_connections"]);
        if !sure_of_limits(origin) {
            return;
        }
        self.limits(service.max_connections, service.min_connections, origin);
        for (server, its) in service.servers.iter().zip(&origin.servers) {
            if server.max_connections.or(server.min_connections).is_some() && sure_of_limits(its) {
                let (max, min) = (server.max_connections, server.min_connections);
                self.limits(max.or(service.max_connections), min.or(service.min_connections), its);
            }
        }
    }

    pub(super) fn retry(&mut self, service: &VirtualService, origin: &Origin) {
        let default = VirtualService::default();
        let servers_fall = service.servers.iter().any(|server| server.fall.is_some_and(|fall| fall > 1));
        let sure_of_fall = origin.is_sure_of(&["fall"]) && origin.servers.iter().all(|its| its.is_sure_of(&["fall"]));
        if service.retry != default.retry && service.fall == 1 && !servers_fall && sure_of_fall {
            let message = "retry has no effect: with fall = 1 the first failed check is the last";
            self.warn("ineffective", origin.of("retry"), message, "");
        }
    }

    pub(super) fn watch(&mut self, service: &VirtualService, origin: &Origin) {
        let is_sure = |its: &Origin| its.is_sure_of(&["source_address", "source_interface", "mark"]);
        let are_sure = |its: &Origin| its.is_sure_of(&["check"]) && its.checks.iter().all(is_sure);
        let is_sure = origin.is_sure_of(&["protocol", "send_program"]) && are_sure(origin);
        if service.watch != Some(true) || !is_sure || !origin.servers.iter().all(are_sure) {
            return;
        }
        let is_connection = |check: &HealthCheck| {
            let is_plain = check.source_address.is_none() && check.source_interface.is_none() && check.mark == 0;
            is_plain && matches!(check.kind, CheckKind::Tcp | CheckKind::Http | CheckKind::Grpc)
        };
        let original = service.protocol == Protocol::Tcp && service.send_program.is_none();
        let has_one =
            |checks: &[HealthCheck]| if checks.is_empty() { original } else { checks.iter().any(is_connection) };
        let mut active = service.servers.iter().filter(|server| server.active).peekable();
        let any = if active.peek().is_none() {
            has_one(&service.checks)
        } else {
            active.any(|it| has_one(it.checks(service)))
        };
        if !any {
            let message = "watch has no effect: only checks by a plain TCP connection have one to hold";
            self.warn("ineffective", origin.of("watch"), message, "");
        }
    }

    fn pool(&mut self, service: &VirtualService, origin: &Origin) {
        let active = service.servers.iter().filter(|server| server.active).count();
        let is_more = |count: u32| usize::try_from(count).is_ok_and(|count| count > active);
        let sure_of_servers = origin.servers.iter().all(|its| its.is_sure_of(&["active"]));
        if active > 0 && is_more(service.quorum) && sure_of_servers {
            let message = format!("quorum is {} and there are {active} active real servers", service.quorum);
            self.warn("quorum-unreachable", origin.of("quorum"), message, "there never will be a quorum");
        }
        let sure_of_scripts = origin.is_sure_of(&["quorum_up", "quorum_down", "vip_withdraw"])
            && self.origin.is_sure_of(&["notify", "notify_fifo"]);
        let is_told = self.config.notify.is_some() || self.config.notify_fifo.is_some();
        if sure_of_scripts
            && service.quorum > 1
            && !service.vip_withdraw
            && !is_told
            && service.quorum_up.as_ref().or(service.quorum_down.as_ref()).is_none()
        {
            let message = "quorum has no effect but a line in the log: nothing depends on it";
            self.warn("ineffective", origin.of("quorum"), message, "set quorum_up, quorum_down or vip_withdraw");
        }
        self.withdrawal(service, origin);
        if active > 0 && sure_of_servers && usize::try_from(service.min_up).is_ok_and(|min_up| min_up >= active) {
            let message = "min_up keeps every real server in use, whatever its checks say";
            self.warn("floor-holds-all", origin.of("min_up"), message, "set it below the number of real servers");
        }
        let method = service.sorry_method.unwrap_or(self.config.network);
        let port = service.sorry_port.unwrap_or(service.port);
        if !origin.is_sure_of(&["sorry_server", "sorry_port", "sorry_method", "port"]) {
            return;
        }
        if service.sorry_server.is_none() {
            for (key, is_set) in
                [("sorry_port", service.sorry_port.is_some()), ("sorry_method", service.sorry_method.is_some())]
            {
                if is_set {
                    self.warn("ineffective", origin.of(key), format!("{key} has no effect without sorry_server"), "");
                }
            }
        } else if self.origin.is_sure_of(&["network"]) && method.destination_port(service.port, port) != port {
            let message = format!("packets go to port {} of the sorry server, whatever sorry_port is", service.port);
            self.warn("port-mapping", origin.of("sorry_port"), message, "only NAT changes ports");
        }
    }

    /// What keeps the virtual IP up whatever happens to the real servers.
    fn withdrawal(&mut self, service: &VirtualService, origin: &Origin) {
        if !service.vip_withdraw || !origin.is_sure_of(&["address", "sorry_server", "vip_withdraw"]) {
            return;
        }
        let Some(vip) = service.virtual_address() else {
            let message = "vip_withdraw has no effect: there is no virtual address";
            return self.warn("ineffective", origin.of("vip_withdraw"), message, "");
        };
        let router = self.config.nat_router.as_ref().map(|router| router.address);
        let others = self.config.virtuals.iter().filter(|other| other.active && other.virtual_address() == Some(vip));
        let with_sorry = others.filter(|other| other.sorry_server.is_some()).map(|other| other.name.as_str());
        let sorry = with_sorry.reduce(|first, other| if other == service.name { other } else { first });
        let why = match sorry {
            _ if router == Some(vip) && self.config.network == ForwardingMethod::Masquerade => {
                "the real servers' way out is there".to_owned()
            }
            Some(name) if name == service.name => "clients get the sorry server".to_owned(),
            Some(name) => format!("virtual \"{name}\" on the same address has a sorry server"),
            None => return,
        };
        let help = "a virtual with a sorry server is never down";
        let help = if sorry.is_some() { help } else { "" };
        self.warn("ineffective", origin.of("vip_withdraw"), format!("vip_withdraw has no effect: {why}"), help);
    }

    fn limits(&mut self, max: Option<u32>, min: Option<u32>, origin: &Origin) {
        let (max, min) = (max.unwrap_or(0), min.unwrap_or(0));
        if min > max {
            let message = format!("min_connections ({min}) is more than max_connections ({max})");
            self.warn("connection-limits", origin.of("min_connections"), message, "it is taken for as many");
        }
    }
}
