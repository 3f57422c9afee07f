//! The rules about failover services, and about the commands that tell whether a
//! director can serve.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Linter;
use crate::config::check::Origin;
use crate::config::table::{Config, VirtualService};
use crate::ipvs::Protocol;

/// pulse kills an lvsd that does not stop in 20 s, and lvsd allows itself 5 more than
/// its slowest stop_cmd.
const STOP_MAX: Duration = Duration::from_secs(15);

/// What is set to another value than the default although only a failover block
/// has a use for it. A default in writing says nothing.
pub(super) fn for_failovers(service: &VirtualService) -> Vec<&'static str> {
    let default = VirtualService::default();
    let set = [
        ("start_timeout", service.start_timeout != default.start_timeout),
        ("stop_timeout", service.stop_timeout != default.stop_timeout),
        ("restarts", service.restarts != default.restarts),
        ("restart_period", service.restart_period != default.restart_period),
    ];
    set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
}

/// The same of what only a virtual service in the kernel has a use for
/// (piranha.md 1.5).
fn for_virtuals(service: &VirtualService) -> Vec<&'static str> {
    let default = VirtualService::default();
    let set = [
        ("sorry_server", service.sorry_server != default.sorry_server),
        ("sorry_port", service.sorry_port != default.sorry_port),
        ("sorry_method", service.sorry_method != default.sorry_method),
        ("fwmark", service.fwmark != default.fwmark),
        ("persistent", service.persistent != default.persistent),
        ("pmask", service.pmask != default.pmask),
        ("load_monitor", service.load_monitor != default.load_monitor),
        ("scheduler", service.scheduler != default.scheduler),
        ("reentry", service.reentry != default.reentry),
        ("rise", service.rise != default.rise),
        ("slow_start", service.slow_start != default.slow_start),
        ("dampen", service.dampen != default.dampen),
        ("max_connections", service.max_connections != default.max_connections),
        ("min_connections", service.min_connections != default.min_connections),
        ("quiesce_server", service.quiesce_server != default.quiesce_server),
        ("inhibit", service.inhibit != default.inhibit),
        ("quorum", service.quorum != default.quorum),
        ("hysteresis", service.hysteresis != default.hysteresis),
        ("quorum_up", service.quorum_up != default.quorum_up),
        ("quorum_down", service.quorum_down != default.quorum_down),
        ("min_up", service.min_up != default.min_up),
        ("drain", service.drain != default.drain),
        ("share_probe", service.share_probe != default.share_probe),
    ];
    set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
}

impl Linter<'_> {
    pub(super) fn failovers(&mut self, active: &[(&VirtualService, &Origin)]) {
        if active.is_empty() {
            let (span, help) = (self.origin.of("service"), "set active = 1 in a failover block");
            self.warn("no-active-failover", span, "no failover service is active: there is nothing to do", help);
        }
        let mut seen: HashMap<(Protocol, IpAddr, u16), &str> = HashMap::new();
        for (service, origin) in active {
            self.failover(service, origin);
            self.probe(service, origin);
            let Some(address) = service.virtual_address() else { continue };
            let key = (service.protocol, address, service.port);
            let first = *seen.entry(key).or_insert(&service.name);
            if first != service.name {
                let message = format!("failover \"{}\" is watched where \"{first}\" is", service.name);
                self.warn("same-failover", origin.of("port"), message, "each needs a port of its own");
            }
        }
        self.labels(active);
    }

    fn failover(&mut self, service: &VirtualService, origin: &Origin) {
        self.address(service, origin);
        if service.start_cmd.is_none() {
            let message = format!("failover \"{}\" has no start_cmd: nothing starts it", service.name);
            self.warn("no-start-cmd", origin.span, message, "set start_cmd, and stop_cmd");
        } else if service.stop_cmd.is_none() {
            let message = format!("failover \"{}\" has no stop_cmd: nothing stops it", service.name);
            self.warn("no-stop-cmd", origin.span, message, "it runs on where it is not wanted any more");
        }
        if service.stop_timeout > STOP_MAX && service.stop_cmd.is_some() {
            let message = "stop_timeout is longer than a stop of pulse waits for it (15 s)";
            let help = "stop the service by hand before pulse, or have stop_cmd end sooner";
            self.warn("slow-stop", origin.of("stop_timeout"), message, help);
        }
        for key in for_virtuals(service) {
            self.warn("ineffective", origin.of(key), format!("{key} has no effect in a failover block"), "");
        }
        for its in origin.checks.iter().filter(|its| its.has("exit_is_weight")) {
            let message = "exit_is_weight has no effect in a failover block";
            self.warn("ineffective", its.of("exit_is_weight"), message, "");
        }
        self.retry(service, origin);
        self.watch(service, origin);
        if let Some(server) = origin.servers.first() {
            self.warn("ineffective", server.span, "a server has no effect in a failover block", "");
        }
    }

    /// Times without the command they are for.
    pub(super) fn commands(&mut self) {
        let (config, default) = (self.config, Config::default());
        let (check, notify) = (config.check_cmd.is_none(), config.notify.is_none());
        let cmd = config.active_cmd.is_none() && config.inactive_cmd.is_none();
        for (key, command, is_idle) in [
            ("check_interval", "check_cmd", check && config.check_interval != default.check_interval),
            ("check_timeout", "check_cmd", check && config.check_timeout != default.check_timeout),
            ("check_fall", "check_cmd", check && config.check_fall != default.check_fall),
            ("check_rise", "check_cmd", check && config.check_rise != default.check_rise),
            ("cmd_timeout", "active_cmd or inactive_cmd", cmd && config.cmd_timeout != default.cmd_timeout),
            ("notify_timeout", "notify", notify && config.notify_timeout != default.notify_timeout),
        ] {
            if is_idle {
                self.warn("ineffective", self.origin.of(key), format!("{key} has no effect without {command}"), "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::table::{Place, keywords};
    use crate::ipvs::ForwardingMethod;

    /// What is about checks, addresses and programs.
    const BOTH: [&str; 17] = [
        "active",
        "address",
        "vip_nmask",
        "port",
        "protocol",
        "send",
        "expect",
        "use_regex",
        "send_program",
        "checks_needed",
        "timeout",
        "interval",
        "watch",
        "fall",
        "retry",
        "client_monitor",
        "master",
    ];

    #[test]
    fn each_keyword_of_a_block_has_an_effect_in_a_failover_block_or_is_said_to_have_none() {
        let two = Duration::from_secs(2);
        let service = VirtualService {
            sorry_server: Some([192, 0, 2, 1].into()),
            sorry_port: Some(1),
            sorry_method: Some(ForwardingMethod::Tunnel),
            fwmark: 2,
            persistent: two,
            pmask: Some([255, 0, 0, 0].into()),
            load_monitor: Some("x".to_owned()),
            scheduler: "rr".to_owned(),
            reentry: two,
            rise: 2,
            slow_start: two,
            dampen: two,
            max_connections: Some(2),
            min_connections: Some(2),
            quiesce_server: true,
            inhibit: true,
            quorum: 2,
            hysteresis: 2,
            quorum_up: Some("x".to_owned()),
            quorum_down: Some("x".to_owned()),
            min_up: 2,
            drain: two,
            share_probe: false,
            start_timeout: two,
            stop_timeout: two,
            restarts: 2,
            restart_period: two,
            ..VirtualService::default()
        };
        // The last of these is an error there.
        let own = ["start_cmd", "stop_cmd", "dirs", "vip_withdraw"].into_iter().chain(for_failovers(&service));
        let mut known: Vec<_> = for_virtuals(&service).into_iter().chain(own).chain(BOTH).collect();
        let mut all: Vec<_> =
            keywords().into_iter().filter(|it| it.place == Place::Virtual).map(|it| it.name).collect();
        known.sort_unstable();
        all.sort_unstable();
        assert_eq!(known, all);
    }
}
