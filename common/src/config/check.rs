//! From what was typed to the model: [`Raw`] in, [`Config`] out, and everything
//! that is wrong with it. Pure but for the names it asks [`super::Outside`] for.

use std::net::IpAddr;

use super::diagnostic::Severity;
use super::kind::Reader;
use super::machine::program_of;
use super::raw::{Raw, Statement, Value};
use super::source::Span;
use super::table::{
    Block, Config, HEARTBEAT_PATHS_MAX, HealthCheck, Place, RealServer, Stray, VirtualService, WITNESSES_MAX, keywords,
    stray,
};
use super::{ServiceKind, kind};
use crate::check::{CHECKS_MAX, CheckKind, WORDS_MAX};
use crate::ipvs::ForwardingMethod;

/// The most virtual services; the kernel's table has no limit of its own, and
/// more than ports times a few addresses is a runaway template.
pub(super) const VIRTUALS_MAX: usize = 65_536;
/// The most real servers, all virtuals together.
pub(super) const SERVERS_MAX: usize = 1_000_000;
/// The longest name of a block, in bytes: it goes into a nanny's messages.
const NAME_MAX: usize = 255;

/// Where a block and its keywords stand, for what is said about them later.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The block's name, or its keyword.
    pub(super) span: Span,
    /// Each keyword that was set, with its value's place; the last one counts.
    pub(super) keys: Vec<(&'static str, Span)>,
    /// Something in it could not be read, and nobody knows what.
    pub(super) broken: bool,
    /// Keywords whose value could not be read.
    pub(super) broken_keys: Vec<&'static str>,
    pub(super) virtuals: Vec<Origin>,
    pub(super) failovers: Vec<Origin>,
    pub(super) servers: Vec<Origin>,
    pub(super) checks: Vec<Origin>,
}

impl Origin {
    /// Where a keyword's value stands; the block itself if it is not set.
    pub(super) fn of(&self, key: &str) -> Span {
        self.keys.iter().rev().find(|(k, _)| *k == key).map_or(self.span, |(_, span)| *span)
    }

    /// Whether these keywords have the value that was meant: a rule about others
    /// would judge what nobody wrote.
    pub(super) fn is_sure_of(&self, keys: &[&str]) -> bool {
        !self.broken && !self.broken_keys.iter().any(|key| keys.contains(key))
    }

    /// Whether all of it could be read.
    fn is_whole(&self) -> bool {
        !self.broken && self.broken_keys.is_empty()
    }

    /// Whether a keyword is set.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(k, _)| *k == key)
    }
}

/// Reads the model. Whether it is whole is what the reader's report says.
pub(super) fn read(raw: &Raw, reader: &mut Reader<'_>) -> (Config, Origin) {
    let mut config = Config::default();
    let mut origin = Origin { broken: reader.loose, ..Origin::default() };
    for statement in &raw.statements {
        match statement.key.as_str() {
            "virtual" => {
                for (raw, span) in blocks(statement, &mut origin, reader) {
                    let (service, its) = read_virtual(raw, span, reader);
                    config.virtuals.push(service);
                    origin.virtuals.push(its);
                }
            }
            "failover" => {
                for (raw, span) in blocks(statement, &mut origin, reader) {
                    let (service, its) = read_virtual(raw, span, reader);
                    config.failovers.push(service);
                    origin.failovers.push(its);
                }
            }
            _ => assign(&mut config, &mut origin, statement, reader),
        }
    }
    check_counts(&config, &origin, reader);
    // one private address alone has no effect (piranha.md 1.2)
    if config.primary_private.is_none()
        && config.backup_private.take().is_some()
        && origin.is_sure_of(&["primary_private"])
    {
        let help = "set primary_private too: one of them alone has no effect";
        reader.warning("private-alone", origin.of("backup_private"), "there is no second heartbeat path", help);
    }
    check_pair(&config, &origin, reader);
    let network = origin.is_sure_of(&["network"]).then_some(config.network);
    match config.service {
        _ if !origin.is_sure_of(&["service"]) => {}
        ServiceKind::Lvs => {
            for (service, its) in config.virtuals.iter().zip(&origin.virtuals) {
                check_virtual(service, its, network, reader);
            }
        }
        ServiceKind::Fos => {
            check_shared_disk(&origin, reader);
            for (service, its) in config.failovers.iter().zip(&origin.failovers) {
                check_failover(service, its, reader);
            }
        }
    }
    (config, origin)
}

/// The blocks under a keyword that begins some.
fn blocks<'r>(statement: &'r Statement, origin: &mut Origin, reader: &mut Reader<'_>) -> Vec<(&'r Raw, Span)> {
    let blocks = statement.blocks();
    let typed = match &statement.value {
        Value::List(list) => list.len(),
        Value::Block(_) | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => 1,
    };
    if blocks.len() != typed {
        origin.broken = true; // a block is missing
        let message = format!("\"{}\" begins a block", statement.key);
        reader.error("wrong-type", statement.span, message, "lvs.cf: KEYWORD NAME {; TOML: [[KEYWORD]]");
    }
    blocks
}

/// The name of a block, and its other statements.
fn name(raw: &Raw, span: Span, reader: &mut Reader<'_>) -> (String, Span) {
    let Some(statement) = raw.statements.iter().find(|s| s.key == "name") else {
        reader.error("missing-name", span, "missing arguments: a block has a name", "name = \"...\"");
        return (String::new(), span);
    };
    let name = reader.scalar(&statement.value, statement.span).unwrap_or_default();
    if name.len() > NAME_MAX {
        let message = format!("the name is {} bytes long, {NAME_MAX} is the most", name.len());
        reader.error("text-too-long", statement.span, message, "");
    } else if kind::lvscf_name(&name).is_none() {
        let help = "no control characters, and not both kinds of quotes";
        reader.error("unwritable-text", statement.span, "the name cannot be written in lvs.cf", help);
    }
    (name, statement.span)
}

/// The statements of a block without the first `name`, which is its name; a
/// second one is a keyword that does not exist.
fn inner(raw: &Raw) -> impl Iterator<Item = &Statement> {
    let mut seen = false;
    raw.statements.iter().filter(move |s| s.key != "name" || std::mem::replace(&mut seen, true))
}

fn read_virtual(raw: &Raw, span: Span, reader: &mut Reader<'_>) -> (VirtualService, Origin) {
    let broken = reader.broken_blocks.contains(&span.start);
    let (name, span) = name(raw, span, reader);
    let mut service = VirtualService { name, ..VirtualService::default() };
    let mut origin = Origin { span, broken, ..Origin::default() };
    // servers that took the port as it was, to say so if it changes below them
    let mut inherited = Vec::new();
    for statement in inner(raw) {
        if statement.key == "check" {
            read_checks(statement, &mut service.checks, &mut origin, reader);
            continue;
        }
        if statement.key != "server" {
            assign(&mut service, &mut origin, statement, reader);
            continue;
        }
        for (raw, span) in blocks(statement, &mut origin, reader) {
            let (server, its) = read_server(raw, span, service.port, reader);
            if !its.has("port") {
                inherited.push((its.span, server.port));
            }
            service.servers.push(server);
            origin.servers.push(its);
        }
    }
    for (span, port) in inherited {
        if port != service.port {
            let message = format!("the server has port {port}: the virtual's port is set below it");
            let help = format!("set port = {} above the server, or in it", service.port);
            reader.warning("port-below-server", span, message, &help);
        }
    }
    (service, origin)
}

fn read_server(raw: &Raw, span: Span, port: u16, reader: &mut Reader<'_>) -> (RealServer, Origin) {
    let broken = reader.broken_blocks.contains(&span.start);
    let (name, span) = name(raw, span, reader);
    let mut server = RealServer { name, port, ..RealServer::default() };
    let mut origin = Origin { span, broken, ..Origin::default() };
    for statement in inner(raw) {
        if statement.key == "check" {
            read_checks(statement, &mut server.checks, &mut origin, reader);
        } else {
            assign(&mut server, &mut origin, statement, reader);
        }
    }
    (server, origin)
}

/// `check KIND { ... }`, or `check = KIND` for one without options.
fn read_checks(statement: &Statement, checks: &mut Vec<HealthCheck>, outer: &mut Origin, reader: &mut Reader<'_>) {
    let mut found = Vec::new();
    for (text, span) in statement.words() {
        if let Some(kind) = check_kind(text, span, reader) {
            let check = HealthCheck { kind, ..HealthCheck::default() };
            found.push((check, Origin { span, ..Origin::default() }));
        }
    }
    if statement.value.is_block() {
        for (raw, span) in blocks(statement, outer, reader) {
            let broken = reader.broken_blocks.contains(&span.start);
            let (name, span) = name(raw, span, reader);
            let mut origin = Origin { span, broken, ..Origin::default() };
            let kind = check_kind(&name, span, reader);
            let mut check = HealthCheck { kind: kind.unwrap_or_default(), ..HealthCheck::default() };
            for statement in inner(raw) {
                assign(&mut check, &mut origin, statement, reader);
            }
            if kind.is_some() {
                check_check(&check, &mut origin, reader);
                found.push((check, origin));
            }
        }
    } else if statement.words().is_empty() {
        let help = "check KIND { ... }, or check = KIND";
        reader.error("wrong-type", statement.span, "a check has a kind", help);
    }
    for (check, origin) in found {
        if checks.len() == CHECKS_MAX {
            let message = format!("a real server has more than {CHECKS_MAX} checks");
            reader.error("too-many", origin.span, message, "");
        }
        checks.push(check);
        outer.checks.push(origin);
    }
}

fn check_kind(name: &str, span: Span, reader: &mut Reader<'_>) -> Option<CheckKind> {
    let kind = CheckKind::of(name);
    if kind.is_none() {
        let help = CheckKind::ALL.map(|(name, _)| name).join(", ");
        reader.error("invalid-argument", span, format!("invalid argument: no check \"{name}\""), &help);
    }
    kind
}

/// What cannot be meant of a check.
fn check_check(check: &HealthCheck, origin: &mut Origin, reader: &mut Reader<'_>) {
    let errors = reader.report.errors();
    let runs_nothing = check.program.as_deref().is_none_or(|command| program_of(command).is_empty());
    if check.kind == CheckKind::Script && runs_nothing && origin.is_sure_of(&["program"]) {
        reader.error(
            "check-incomplete",
            origin.span,
            "a script check without its program",
            "program = \"/path %h %p\"",
        );
    }
    for header in &check.headers {
        if let Err(why) = crate::check::header(header) {
            reader.error("invalid-argument", origin.of("headers"), format!("invalid argument: {why}"), "");
        }
    }
    origin.broken |= reader.report.errors() > errors;
}

fn assign<B: Block>(block: &mut B, origin: &mut Origin, statement: &Statement, reader: &mut Reader<'_>) {
    let Statement { key, key_span, value, span } = statement;
    let errors = reader.report.errors();
    if let Some(known) = block.assign(key, value, *span, reader) {
        origin.keys.push((known, *span));
        if reader.report.errors() > errors {
            origin.broken_keys.push(known);
        }
        return;
    }
    match stray(B::PLACE, key) {
        Some(Stray::As(known)) => {
            let help = format!("write {known}: the original refuses \"{key}\"");
            reader.warning("stray-keyword", *key_span, format!("\"{key}\" is read as {known}"), &help);
            block.assign(known, value, *span, reader);
            origin.keys.push((known, *span));
        }
        Some(Stray::Ignored) => {
            let message = format!("\"{key}\" has no meaning here and is ignored");
            reader.warning("stray-keyword", *key_span, message, "remove it: the original refuses the file");
        }
        // the keyword that seems meant has not the value that was meant
        None => origin.broken_keys.extend(unknown(B::PLACE, key, *key_span, reader)),
    }
}

/// Says that there is no such keyword here, and gives the one that seems meant.
fn unknown(place: Place, key: &str, span: Span, reader: &mut Reader<'_>) -> Option<&'static str> {
    // looking for what is meant takes as long as reading a hundred lines
    let all = if reader.report.keeps(Severity::Error) { keywords() } else { Vec::new() };
    let elsewhere = all.iter().find(|k| k.name == key).map(|k| k.place);
    let here = || all.iter().filter(|k| k.place == place).map(|k| k.name).chain(blocks_at(place));
    let meant = if elsewhere.is_none() { nearest(key, here()) } else { None };
    let help = match elsewhere {
        Some(Place::Global) => "it stands outside of all blocks".to_owned(),
        Some(Place::Virtual) => "it stands in a virtual block".to_owned(),
        Some(Place::Server) => "it stands in a server block".to_owned(),
        Some(Place::Check) => "it stands in a check block".to_owned(),
        None => meant.map_or_else(String::new, |name| format!("did you mean \"{name}\"?")),
    };
    reader.error("unknown-keyword", span, format!("unknown command \"{key}\""), &help);
    meant
}

fn blocks_at(place: Place) -> impl Iterator<Item = &'static str> {
    let blocks: &[&str] = match place {
        Place::Global => &["virtual", "failover", "include"],
        Place::Virtual => &["server", "check", "include"],
        Place::Server => &["check", "include"],
        Place::Check => &["include"],
    };
    blocks.iter().copied()
}

/// The name that is meant, if one is near enough: a third of its letters.
pub(super) fn nearest(typed: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // a long word is no slip of a keyword, and the distance costs its square
    if typed.len() > 64 {
        return None;
    }
    let lower = typed.to_ascii_lowercase().replace('-', "_");
    names
        .map(|name| (distance(&lower, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.len().max(3))
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, delete, replace or swap to get from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = get(&above, j) + usize::from(x != y);
            best = best.min(get(&above, j + 1) + 1).min(get(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(get(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

fn check_counts(config: &Config, origin: &Origin, reader: &mut Reader<'_>) {
    let virtuals = config.virtuals.len() + config.failovers.len();
    let servers: usize = config.virtuals.iter().map(|v| v.servers.len()).sum();
    for (count, max, what) in [(virtuals, VIRTUALS_MAX, "virtual services"), (servers, SERVERS_MAX, "real servers")] {
        if count > max {
            let message = format!("there are {count} {what}, {max} is the most");
            reader.error("too-many", Span::default(), message, "");
        }
    }
    let paths = config.heartbeat_path.len();
    if paths > HEARTBEAT_PATHS_MAX {
        let message = format!("there are {paths} heartbeat paths of this kind, {HEARTBEAT_PATHS_MAX} is the most");
        reader.error("too-many", origin.of("heartbeat_path"), message, "");
    }
    let witnesses = config.witness.len();
    if witnesses > WITNESSES_MAX {
        let message = format!("there are {witnesses} witnesses, {WITNESSES_MAX} is the most");
        reader.error("too-many", origin.of("witness"), message, "");
    }
}

fn check_pair(config: &Config, origin: &Origin, reader: &mut Reader<'_>) {
    if let Some(group) = config.sync_group.filter(|group| !group.is_multicast()) {
        let message = format!("invalid argument: {group} is no multicast group");
        reader.error("invalid-argument", origin.of("sync_group"), message, "sync_group = 224.0.0.81");
    }
    for (key, value) in [("keepalive", config.keepalive), ("deadtime", config.deadtime)] {
        if config.backup_active && value.is_zero() {
            let help = "a pair needs both";
            reader.error("out-of-range", origin.of(key), format!("{key} is 0 with an active backup"), help);
        }
    }
}

/// What cannot be meant of a virtual that is run.
fn check_virtual(
    service: &VirtualService,
    origin: &Origin,
    network: Option<ForwardingMethod>,
    reader: &mut Reader<'_>,
) {
    if !service.active || !origin.is_whole() {
        return;
    }
    let name = &service.name;
    if service.address.is_none() && service.fwmark == 0 {
        let message = format!("virtual \"{name}\" is active and has neither address nor fwmark");
        reader.error("missing-address", origin.of("address"), message, "address = ADDRESS DEVICE:LABEL");
    }
    if service.port == 0 && service.fwmark == 0 && service.persistent.is_zero() {
        let message = format!("virtual \"{name}\" is on port 0: the kernel takes every port only with persistent");
        reader.error("port-zero", origin.of("port"), message, "set port, or persistent");
    }
    for (server, its) in service.servers.iter().zip(&origin.servers).filter(|(_, its)| its.is_whole()) {
        let (virtual_address, address) = (service.address.as_ref().map(|a| a.address), server.address);
        if server.active && address.is_none() {
            let message = format!("server \"{}\" is active and has no address", server.name);
            reader.error("missing-address", its.of("address"), message, "address = ADDRESS");
        }
        if server.active {
            let origins = if server.checks.is_empty() { &origin.checks } else { &its.checks };
            check_checks(server.checks(service), origins, address, reader);
        }
        let mixed = virtual_address.zip(address).is_some_and(|(v, s)| v.is_ipv4() != s.is_ipv4());
        if server.active && mixed && network.is_some_and(|network| network != ForwardingMethod::Tunnel) {
            let message = format!("server \"{}\" and its virtual address are of different families", server.name);
            reader.error("mixed-families", its.of("address"), message, "the kernel mixes them only under tunnel");
        }
    }
}

/// What cannot be meant of the checks of one real server, or of a failover service.
fn check_checks(checks: &[HealthCheck], origins: &[Origin], server: Option<IpAddr>, reader: &mut Reader<'_>) {
    let mut length = 0;
    for (check, its) in checks.iter().zip(origins).filter(|(_, its)| its.is_whole()) {
        length += check.words().iter().map(|word| word.len() + 1).sum::<usize>();
        if length > WORDS_MAX {
            let message = format!("the checks of a real server are longer than {WORDS_MAX} bytes together");
            reader.error("text-too-long", its.span, message, "");
            return;
        }
        let to = check.address.or(server);
        if let (Some(to), Some(source)) = (to, check.source_address)
            && to.is_ipv4() != source.is_ipv4()
            && check.kind.takes("source_address")
        {
            let message = format!("the check comes from {source} and goes to {to}, of another family");
            reader.error("mixed-families", its.of("source_address"), message, "");
            return;
        }
    }
}

/// Somebody relies on the disk being reserved, so that going on without would
/// let both directors write to it.
fn check_shared_disk(origin: &Origin, reader: &mut Reader<'_>) {
    for key in ["primary_shared", "backup_shared", "reservation_conflict_action"] {
        if origin.has(key) {
            let message = format!("{key}: reservations of a shared SCSI disk are not supported");
            let help = "remove the line if nothing depends on it; a shared disk needs a cluster file system or fencing";
            reader.error("shared-disk", origin.of(key), message, help);
        }
    }
}

/// What cannot be meant of a failover service that is run.
fn check_failover(service: &VirtualService, origin: &Origin, reader: &mut Reader<'_>) {
    if !service.active || !origin.is_whole() {
        return;
    }
    let name = &service.name;
    if service.address.is_none() {
        let message = format!("failover \"{name}\" is active and has no address");
        reader.error("missing-address", origin.of("address"), message, "address = ADDRESS DEVICE:LABEL");
    }
    if service.port == 0 {
        let message = format!("failover \"{name}\" is on port 0: there is nothing to watch");
        reader.error("port-zero", origin.of("port"), message, "set port");
    }
    if service.vip_withdraw {
        let message = format!("vip_withdraw in failover \"{name}\": a failover service has no real servers to lose");
        let help = "remove the line: a service that cannot run goes to the other director, with its virtual IP";
        reader.error("withdraw-failover", origin.of("vip_withdraw"), message, help);
    }
    check_checks(&service.checks, &origin.checks, service.virtual_address(), reader);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_keyword() {
        let names = || keywords().into_iter().map(|k| k.name);
        for (typed, meant) in [
            ("keepalve", Some("keepalive")),
            ("dead-time", Some("deadtime")),
            ("Deadtime", Some("deadtime")),
            ("primray", Some("primary")),
            ("wieght", Some("weight")),
            ("vip_netmask", Some("vip_nmask")),
            ("foo", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names()), meant, "{typed}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), names()), None);
    }
}
