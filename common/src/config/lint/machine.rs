//! The rules that need to know the machine. What is not known is not judged.

use std::net::IpAddr;

use super::Linter;
use crate::config::machine::{Machine, Program, program_of};
use crate::config::source::Span;
use crate::config::{DeviceAddress, ServiceKind};

impl Linter<'_> {
    pub(super) fn machine(&mut self, machine: &Machine) {
        self.addresses(machine);
        self.forwarding(machine);
        if self.config.syncdaemon && self.origin.is_sure_of(&["syncd_iface"]) {
            let (device, span) = (&self.config.syncd_iface, self.origin.of("syncd_iface"));
            if machine.lacks_device(device) {
                self.warn("syncd-interface", span, format!("there is no device {device}"), "set syncd_iface");
            }
        }
        if let Some(router) = self.config.nat_router.as_ref().filter(|_| self.is_nat()) {
            self.device(router, self.origin.of("nat_router"), machine);
        }
        for (key, command) in [
            ("active_cmd", &self.config.active_cmd),
            ("inactive_cmd", &self.config.inactive_cmd),
            ("check_cmd", &self.config.check_cmd),
            ("notify", &self.config.notify),
        ] {
            if let Some(command) = command {
                self.command(command, self.origin.of(key), machine);
            }
        }
        for (service, origin) in self.active() {
            if let Some(address) = &service.address {
                self.device(address, origin.of("address"), machine);
            }
            let is_lvs = self.config.service == ServiceKind::Lvs;
            for (key, command) in [("start_cmd", &service.start_cmd), ("stop_cmd", &service.stop_cmd)] {
                if let Some(command) = command.as_ref().filter(|_| !is_lvs) {
                    self.command(command, origin.of(key), machine);
                }
            }
            let lacks = is_lvs && machine.schedulers.as_ref().is_some_and(|has| !has.contains(&service.scheduler));
            if lacks && origin.is_sure_of(&["scheduler"]) {
                let message = format!("this kernel has no scheduler \"{}\"", service.scheduler);
                self.warn(
                    "no-scheduler",
                    origin.of("scheduler"),
                    message,
                    "install its module ip_vs_NAME, or choose another",
                );
            }
            let own = service.servers.iter().zip(&origin.servers).filter(|(server, _)| server.active);
            let own = own.flat_map(|(server, its)| server.checks.iter().zip(&its.checks));
            for (check, its) in service.checks.iter().zip(&origin.checks).chain(own) {
                if let Some(command) = check.program.as_ref().filter(|_| check.kind.takes("program")) {
                    self.command(command, its.of("program"), machine);
                }
            }
            for (key, command) in [("quorum_up", &service.quorum_up), ("quorum_down", &service.quorum_down)] {
                if let Some(command) = command {
                    self.command(command, origin.of(key), machine);
                }
            }
            if let Some(command) = &service.send_program {
                self.command(command, origin.of("send_program"), machine);
                self.inverted(command, origin.of("send_program"), machine);
            }
        }
    }

    fn addresses(&mut self, machine: &Machine) {
        let (Some(primary), Some(ours)) = (self.config.primary, &machine.addresses) else { return };
        if !self.origin.is_sure_of(&["primary", "backup", "backup_active"]) {
            return;
        }
        let backup = self.config.backup.filter(|_| self.config.backup_active);
        if !ours.contains(&primary) && !backup.is_some_and(|backup| ours.contains(&backup)) {
            let message = "neither primary nor backup is an address of this machine";
            self.warn("not-ours", self.origin.of("primary"), message, "pulse does not start here");
        }
    }

    fn forwarding(&mut self, machine: &Machine) {
        if !self.is_nat() || self.config.service != ServiceKind::Lvs {
            return;
        }
        let servers = self.active().into_iter().flat_map(|(service, _)| &service.servers);
        let addresses: Vec<_> = servers.filter(|server| server.active).filter_map(|server| server.address).collect();
        let span = self.origin.of("network");
        for (is_family, forwards, sysctl) in [
            (addresses.iter().any(IpAddr::is_ipv4), machine.ipv4_forward, "net.ipv4.ip_forward"),
            (addresses.iter().any(IpAddr::is_ipv6), machine.ipv6_forward, "net.ipv6.conf.all.forwarding"),
        ] {
            if is_family && forwards == Some(false) {
                let message = "network = nat, and this machine does not forward packets";
                self.warn("no-ip-forward", span, message, &format!("set {sysctl} = 1"));
            }
        }
    }

    fn device(&mut self, address: &DeviceAddress, span: Span, machine: &Machine) {
        if machine.lacks_device(&address.device) {
            self.warn("device-missing", span, format!("there is no device {}", address.device), "");
        }
    }

    fn command(&mut self, command: &str, span: Span, machine: &Machine) {
        let path = program_of(command);
        match machine.programs.get(path) {
            None => {}
            Some(Program::Missing) => self.warn("program-missing", span, format!("there is no program {path}"), ""),
            Some(Program::File { executable, writable_by_others, .. }) => {
                if !executable {
                    let help = format!("chmod +x {path}");
                    self.warn("program-not-executable", span, format!("{path} is not executable"), &help);
                }
                if *writable_by_others {
                    let help = format!("chown root {path}; chmod go-w {path}");
                    self.warn("program-writable", span, format!("{path} can be written by others than root"), &help);
                }
            }
        }
    }

    fn inverted(&mut self, command: &str, span: Span, machine: &Machine) {
        let path = program_of(command);
        if let Some(Program::File { beginning, .. }) = machine.programs.get(path)
            && is_inverted(beginning)
        {
            let message = format!("{path} seems to say OK when its count is not 1");
            self.warn("inverted-check", span, message, "the original manual's sample has OK and FAIL swapped");
        }
    }
}

/// Whether a script is the manual's: `if [ $COUNT != "1" ]; then` followed by
/// echo OK.
fn is_inverted(script: &str) -> bool {
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "then");
    while let Some(line) = lines.next() {
        let condition: String = line.chars().filter(|c| !"\"'".contains(*c)).collect();
        let is_test = condition.starts_with("if ") && (condition.contains("!= 1 ") || condition.contains("-ne 1 "));
        if is_test {
            let behind = condition.split_once("echo").map(|(_, said)| said.to_owned());
            let said = behind.or_else(|| lines.next().and_then(|next| next.strip_prefix("echo")).map(str::to_owned));
            return said.is_some_and(|said| said.contains("OK") && !said.trim_start().starts_with("FAIL"));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_inverted;

    #[test]
    fn only_the_swapped_script_is_taken_for_it() {
        assert!(is_inverted(
            "#!/bin/sh\nTEST=`dig $1 | grep -c x`\nif [ $TEST != \"1\" ]; then\n\techo \"OK\"\nelse\n\techo FAIL\nfi"
        ));
        assert!(is_inverted("if [ $T -ne 1 ]\nthen\n echo OK\nfi"));
        assert!(is_inverted("if [ $T != 1 ]; then echo OK; else echo FAIL; fi"));
        assert!(!is_inverted("if [ $T != 1 ]; then echo FAIL; else echo OK; fi"));
        assert!(!is_inverted("if [ $T = 1 ]; then\n echo OK\nfi"));
        assert!(!is_inverted("if [ \"$T\" != \"\" ]; then\n echo OK\nfi"));
        assert!(!is_inverted("if [ $T != 1 ]; then\n exit 1\nfi\necho OK"));
        assert!(!is_inverted(""));
    }
}
