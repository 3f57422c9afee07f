//! The one place that builds a nanny's argument list, and the one that reads it
//! back. Order and forms are the original's (piranha.md 3.2), since operators
//! search `ps` for `nanny -c -h IP -p PORT`:
//!
//! ```text
//! nanny -c -h RIP -p VPORT -r RPORT [-f FWMARK] [-u | --sctp] [-e SEND_PROGRAM] [-s SEND] [-x EXPECT] [-q] [--regex] [-v]
//!    -a REENTRY -I IPVSADM -t TIMEOUT -w WEIGHT -V VIP -M m|g|i [-U LOADCMD] [--nodaemon] --lvs
//! ```
//!
//! That of a failover service is shorter, of the policy it has what is about checks
//! alone, and it ends in `--fos`.
//! Ours alone are `--sctp`, `--check KIND`, `--with NAME=VALUE` behind it and
//! `--checks-needed N`, these given only if the file has checks by name and then instead
//! of -e, -s, -x and --regex; and what stands before `--lvs` only if it is not as nanny
//! has it by itself: the policy of the file, and `--log-facility NAME` if lvsd was given
//! one. A nanny says its arguments to a new lvsd, which sees by them whose
//! destination it keeps ([`target`]) and whether it is still the wanted one. One that
//! keeps several is told them on its line: its command line holds what all of them have
//! in common, and ends in `--shared N --lvs`.
//! Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use common::config::{Config, HealthCheck, RealServer, VirtualService};
use common::destinations::{Assignment, Failed, Limits, method_letter, method_of, shared_place};
use common::ipvs::{DestinationKey, Family, ForwardingMethod, Protocol, ServiceKey};

use crate::wanted::Target;

/// What lvsd's own command line means for its nannies'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// `--nodaemon`: lines on stdout too.
    pub foreground: bool,
    /// `-v`.
    pub verbose: bool,
    /// The syslog facility's name, if it is not the default.
    pub log_facility: Option<String>,
}

/// A command line behind the program's name. One string with a NUL between the
/// arguments: ten thousand of them are kept, and a `String` each would cost five
/// times the memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arguments(Box<str>);

impl Arguments {
    /// The arguments in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split('\0')
    }
}

impl<S: AsRef<str>> FromIterator<S> for Arguments {
    fn from_iter<I: IntoIterator<Item = S>>(arguments: I) -> Self {
        let mut text = String::new();
        for (n, argument) in arguments.into_iter().enumerate() {
            if n > 0 {
                text.push('\0');
            }
            text.push_str(argument.as_ref());
        }
        Self(text.into_boxed_str())
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The arguments for one real server. Nothing if it has no address.
pub fn arguments(config: &Config, service: &VirtualService, server: &RealServer, manner: &Manner) -> Option<Arguments> {
    let vip = service.virtual_address().unwrap_or_else(|| unspecified(service));
    let rip = server.address?;
    let mut list = List(vec!["-c".to_owned()]);
    list.pair("-h", &rip);
    list.pair("-p", &service.port);
    list.pair("-r", &server.port);
    list.pair_if("-f", (service.fwmark != 0).then_some(service.fwmark));
    list.flag_if("-u", service.protocol == Protocol::Udp);
    list.flag_if("--sctp", service.protocol == Protocol::Sctp);
    let checks = server.checks(service);
    let is_original = checks.is_empty();
    originals(service, is_original, &mut list);
    list.flag_if("-q", service.quiesce_server);
    list.flag_if("--regex", service.use_regex && is_original);
    list.flag_if("-v", manner.verbose);
    list.pair("-a", &seconds(service.reentry));
    list.pair("-I", &config.ipvsadm);
    list.pair("-t", &seconds(service.timeout));
    list.pair("-w", &server.weight);
    list.pair("-V", &vip);
    list.pair("-M", &method_letter(config.network));
    list.pair_if("-U", load_command(config, service));
    policy(service, server, Whose::One, &mut list);
    list.flag_if("--nodaemon", manner.foreground);
    named(checks, server.checks_needed(service), &mut list);
    list.pair_if("--log-facility", manner.log_facility.as_ref());
    list.flag_if("--lvs", true);
    Some(list.0.iter().collect())
}

/// The same for a nanny that checks this server for several services: what its checks
/// and their judgement follow from, and the virtual port, by which it is found with ps.
/// Two servers with the same words here are checked by one nanny. Behind them comes
/// [`number`].
pub fn shared_arguments(
    config: &Config,
    service: &VirtualService,
    server: &RealServer,
    manner: &Manner,
) -> Option<Arguments> {
    let rip = server.address?;
    let mut list = List(vec!["-c".to_owned()]);
    list.pair("-h", &rip);
    list.pair("-p", &service.port);
    list.pair("-r", &server.port);
    list.flag_if("-u", service.protocol == Protocol::Udp);
    list.flag_if("--sctp", service.protocol == Protocol::Sctp);
    let checks = server.checks(service);
    let is_original = checks.is_empty();
    originals(service, is_original, &mut list);
    list.flag_if("--regex", service.use_regex && is_original);
    list.flag_if("-v", manner.verbose);
    list.pair("-a", &seconds(service.reentry));
    list.pair("-I", &config.ipvsadm);
    list.pair("-t", &seconds(service.timeout));
    list.pair_if("-U", load_command(config, service));
    policy(service, server, Whose::Several, &mut list);
    list.flag_if("--nodaemon", manner.foreground);
    named(checks, server.checks_needed(service), &mut list);
    list.pair_if("--log-facility", manner.log_facility.as_ref());
    Some(list.0.iter().collect())
}

/// The command line of the nanny with this number of those with these arguments.
pub fn number(shared: &Arguments, number: usize) -> Arguments {
    let number = number.to_string();
    shared.iter().chain(["--shared", &number, "--lvs"]).collect()
}

/// The server and the port that a nanny of several services checks, and where it is met;
/// `None`: these are not the arguments of one.
pub fn shared_meeting(arguments: &Arguments) -> Option<String> {
    let (mut server, mut port, mut is_shared) = (None, None, false);
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        match option {
            "-h" => server = rest.next()?.parse::<IpAddr>().ok(),
            "-r" => port = rest.next()?.parse::<u16>().ok(),
            "--shared" => is_shared = rest.next().is_some(),
            option if takes_value(option) => drop(rest.next()?),
            _ => {}
        }
    }
    is_shared.then_some(())?;
    Some(shared_place(server?, port?, arguments.iter()))
}

/// What its nanny is told of one of several destinations.
pub fn assignment(config: &Config, service: &VirtualService, server: &RealServer, target: Target) -> Assignment {
    let upper = server.max_connections.or(service.max_connections);
    let lower = server.min_connections.or(service.min_connections);
    let limits = upper.or(lower).map(|_| {
        let upper = upper.unwrap_or(0);
        Limits { upper, lower: lower.unwrap_or(0).min(upper) }
    });
    Assignment {
        target,
        method: config.network,
        weight: server.weight,
        failed: match (service.inhibit, service.quiesce_server) {
            (true, _) => Failed::Inhibited,
            (false, true) => Failed::Quiesced,
            (false, false) => Failed::Removed,
        },
        slow_start: server.slow_start.unwrap_or(service.slow_start),
        limits,
        stays: false,
    }
}

/// Whose policy is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// That of a nanny with one destination.
    One,
    /// Of one with several: without what is said of each on its line.
    Several,
}

/// The arguments for a failover service at its virtual address. The original's
/// watched it from the other director, whose address it gave (piranha.md 5).
pub fn failover_arguments(service: &VirtualService, address: IpAddr, manner: &Manner) -> Arguments {
    let mut list = List(vec!["-c".to_owned()]);
    list.pair("-h", &address);
    list.pair("-p", &service.port);
    list.flag_if("-u", service.protocol == Protocol::Udp);
    list.flag_if("--sctp", service.protocol == Protocol::Sctp);
    let is_original = service.checks.is_empty();
    originals(service, is_original, &mut list);
    list.flag_if("--regex", service.use_regex && is_original);
    list.flag_if("-v", manner.verbose);
    list.pair("-t", &seconds(service.timeout));
    checking(service, service.interval, service.fall, &mut list);
    list.flag_if("--nodaemon", manner.foreground);
    named(&service.checks, service.checks_needed, &mut list);
    list.pair_if("--log-facility", manner.log_facility.as_ref());
    list.flag_if("--fos", true);
    list.0.iter().collect()
}

/// The check of the original's words, where no other is named.
fn originals(service: &VirtualService, is_original: bool, list: &mut List) {
    list.pair_if("-e", service.send_program.as_ref().filter(|_| is_original));
    list.pair_if("-s", service.send.as_ref().filter(|_| is_original));
    list.pair_if("-x", service.expect.as_ref().filter(|_| is_original));
}

/// The checks that are named, and how many of them must be good.
fn named(checks: &[HealthCheck], needed: u32, list: &mut List) {
    list.0.extend(checks.iter().flat_map(HealthCheck::words));
    list.pair_if("--checks-needed", (!checks.is_empty() && needed != 0).then_some(needed));
}

/// When checks are made, and how many of them must fail.
fn checking(service: &VirtualService, interval: Option<Duration>, fall: u32, list: &mut List) {
    let default = VirtualService::default();
    list.pair_if("--period", unless(interval.unwrap_or(service.timeout), service.timeout));
    list.flag_if("--watch", service.watch == Some(true));
    list.flag_if("--no-watch", service.watch == Some(false));
    list.pair_if("--fall", (fall != default.fall).then_some(fall));
    list.pair_if("--retry", unless(service.retry, default.retry));
}

/// What the original's nanny had no words for; the server's own comes first.
fn policy(service: &VirtualService, server: &RealServer, whose: Whose, list: &mut List) {
    let default = VirtualService::default();
    checking(service, server.interval.or(service.interval), server.fall.unwrap_or(service.fall), list);
    let rise = server.rise.unwrap_or(service.rise);
    let slow_start = server.slow_start.unwrap_or(service.slow_start);
    list.pair_if("--rise", (rise != default.rise).then_some(rise));
    let is_one = whose == Whose::One;
    list.pair_if("--slow-start", unless(slow_start, default.slow_start).filter(|_| is_one));
    list.pair_if("--dampen", unless(service.dampen, default.dampen));
    if !is_one {
        return;
    }
    list.flag_if("--inhibit", service.inhibit);
    list.pair_if("--max-connections", server.max_connections.or(service.max_connections));
    list.pair_if("--min-connections", server.min_connections.or(service.min_connections));
}

/// Nanny's options that have a value, as [`arguments`] writes them.
const VALUED: [&str; 28] = [
    "-h",
    "-p",
    "-r",
    "-f",
    "-V",
    "-M",
    "-S",
    "-e",
    "-s",
    "-x",
    "-a",
    "-I",
    "-t",
    "-w",
    "-U",
    "--check",
    "--with",
    "--checks-needed",
    "--log-facility",
    "--shared",
    "--period",
    "--fall",
    "--retry",
    "--rise",
    "--slow-start",
    "--dampen",
    "--max-connections",
    "--min-connections",
];

/// Whether a word follows this option that is none.
pub fn takes_value(option: &str) -> bool {
    VALUED.contains(&option)
}

/// What of a command line is about how the server is checked, and not about what
/// follows from it.
const CHECKING: [&str; 13] =
    ["-h", "-p", "-r", "-u", "--sctp", "-e", "-s", "-x", "-t", "--regex", "--check", "--with", "--checks-needed"];

/// Whether they check the same server in the same way.
pub fn same_checks(one: &Arguments, other: &Arguments) -> bool {
    let checking = |arguments: &Arguments| {
        let mut words = Vec::new();
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let value = if takes_value(option) { rest.next() } else { None };
            if CHECKING.contains(&option) {
                words.push((option.to_owned(), value.map(str::to_owned)));
            }
        }
        words
    };
    checking(one) == checking(other)
}

/// The same command line with another weight.
pub fn with_weight(arguments: &Arguments, weight: u32) -> Arguments {
    let weight = weight.to_string();
    let mut option = "";
    let mut list = Vec::new();
    for word in arguments.iter() {
        list.push(if option == "-w" { weight.as_str() } else { word });
        option = if takes_value(option) { "" } else { word };
    }
    list.into_iter().collect()
}

/// Whose destination a nanny with these arguments keeps, if they are ones that
/// [`arguments`] builds.
pub fn target(arguments: &Arguments) -> Option<Target> {
    target_and_probe(arguments).map(|(target, _)| target)
}

/// The same with the port that its probes go to.
pub fn target_and_probe(arguments: &Arguments) -> Option<(Target, u16)> {
    let mut server = None;
    let mut vip = None;
    let (mut port, mut probe_port, mut mark) = (80, None, 0);
    let (mut protocol, mut method) = (Protocol::Tcp, ForwardingMethod::Masquerade);
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        match option {
            "-h" => server = rest.next()?.parse::<IpAddr>().ok(),
            "-V" => vip = rest.next()?.parse::<IpAddr>().ok(),
            "-p" => port = rest.next()?.parse().ok()?,
            "-r" => probe_port = Some(rest.next()?.parse().ok()?),
            "-f" => mark = rest.next()?.parse().ok()?,
            "-M" => method = method_of(rest.next()?.trim_start_matches('-'))?,
            "-u" => protocol = Protocol::Udp,
            "--sctp" => protocol = Protocol::Sctp,
            option if takes_value(option) => drop(rest.next()?),
            // Flags without a value say nothing about the destination.
            _ => {}
        }
    }
    let (address, rip) = (vip?, server?);
    let service = if mark == 0 {
        ServiceKey::Address { protocol, address, port }
    } else {
        ServiceKey::Mark { family: if address.is_ipv4() { Family::V4 } else { Family::V6 }, mark }
    };
    let probe_port = probe_port.unwrap_or(port);
    let port = method.destination_port(port, probe_port);
    Some((Target { service, destination: DestinationKey { address: rip, port } }, probe_port))
}

/// A service by mark needs no address; the original passed 0.0.0.0 then.
fn unspecified(service: &VirtualService) -> IpAddr {
    match service.service_key().map(|key| key.family()) {
        Some(Family::V6) => Ipv6Addr::UNSPECIFIED.into(),
        Some(Family::V4) | None => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// `none` goes through literally, `uptime` becomes `rsh_command`, any other word
/// is the program nanny runs (piranha.md 1.3).
fn load_command<'a>(config: &'a Config, service: &'a VirtualService) -> Option<&'a String> {
    match service.load_monitor.as_ref() {
        Some(word) if word == "uptime" => Some(&config.rsh_command),
        other => other,
    }
}

/// A time that nanny does not take by itself.
fn unless(time: Duration, default: Duration) -> Option<String> {
    (time != default).then(|| seconds(time))
}

/// Seconds as the original wrote them (`6`), with decimals only where the file
/// asks for what the original could not do (`0.05`).
fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    match time.subsec_micros() {
        0 => whole.to_string(),
        micros => format!("{whole}.{micros:06}").trim_end_matches('0').to_owned(),
    }
}

/// The list as it grows.
struct List(Vec<String>);

impl List {
    fn pair(&mut self, option: &str, value: &dyn ToString) {
        self.0.push(option.to_owned());
        self.0.push(value.to_string());
    }

    fn pair_if(&mut self, option: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.pair(option, &value);
        }
    }

    fn flag_if(&mut self, option: &str, given: bool) {
        if given {
            self.0.push(option.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
