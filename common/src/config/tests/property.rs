//! Properties over random configurations and random damage to good files:
//! what is printed reads back, nothing panics or hangs, no error is lost.

#![expect(clippy::inconsistent_struct_constructor, reason = "fields stand as they are made")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proptest::prelude::*;

use super::converting::{AS_TOML, FILE};
use super::*;
use crate::check::CheckKind;
use crate::config::kind::{Quotes, lvscf_name, lvscf_text};
use crate::ipvs::{ForwardingMethod, Protocol};

/// Hosts that are not none.
fn host() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<[u8; 4]>().prop_map(|a| IpAddr::V4(Ipv4Addr::from(a)));
    let v6 = any::<[u16; 8]>().prop_map(|a| IpAddr::V6(Ipv6Addr::from(a)));
    prop_oneof![3 => v4, 1 => v6].prop_filter("none", |a| !a.is_unspecified())
}

fn heartbeat_path() -> impl Strategy<Value = HeartbeatPath> {
    let ends = (host(), host()).prop_filter("one family", |(primary, backup)| primary.is_ipv4() == backup.is_ipv4());
    ends.prop_map(|(primary, backup)| HeartbeatPath { primary, backup })
}

fn mask() -> impl Strategy<Value = Ipv4Addr> {
    (1u32..=31).prop_map(|bits| Ipv4Addr::from_bits(u32::MAX << (32 - bits)))
}

/// The mask of an address may have holes.
fn netmask() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![mask(), (1u32..).prop_map(Ipv4Addr::from_bits)]
}

fn word() -> impl Strategy<Value = String> {
    "[a-z/][a-zA-Z0-9_./:-]{0,20}"
}

/// Any text that both syntaxes can hold.
fn text(quotes: Quotes) -> impl Strategy<Value = String> {
    let text = prop_oneof!["[ -~]{0,30}", "[ \\\\\"'#{}=a\t]{0,12}", "[a-zé ]{1,30}"];
    text.prop_filter("cannot be written", move |text| lvscf_text(text, quotes).is_some())
}

fn command(quotes: Quotes) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text(quotes).prop_filter("empty is none", |text| !text.is_empty()))
}

fn name() -> impl Strategy<Value = String> {
    text(Quotes::Dropped).prop_filter("cannot be written", |name| lvscf_name(name).is_some())
}

fn time(max: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1..=max).prop_map(Duration::from_secs),
        (10..=max * 1000).prop_map(Duration::from_millis),
        (20_000_000..=max * 1_000_000_000).prop_map(Duration::from_nanos),
    ]
}

fn whole_time() -> impl Strategy<Value = Duration> {
    (0u64..=31 * 86_400).prop_map(Duration::from_secs)
}

fn device_address() -> impl Strategy<Value = DeviceAddress> {
    (host(), "[a-z]{1,4}[0-9]{1,2}", proptest::option::of("[a-z0-9]{0,4}")).prop_map(|(address, device, label)| {
        let label = label.map(|label| format!("{device}:{label}"));
        DeviceAddress { address, device, label }
    })
}

prop_compose! {
    /// Of each kind with what it takes; what it does not take is not printed.
    fn check()(
        (_, kind) in prop::sample::select(CheckKind::ALL.to_vec()),
        (address, source_address) in (proptest::option::of(host()), proptest::option::of(host())),
        (port, mark, use_regex, verify) in (proptest::option::of(1u16..), any::<u32>(), any::<bool>(), any::<bool>()),
        (send, expect) in (proptest::option::of(text(Quotes::SingleKept)), proptest::option::of(text(Quotes::SingleKept))),
        body in proptest::option::of(text(Quotes::SingleKept)),
        service in proptest::option::of("[a-z.]{1,20}"),
        (path, host) in (proptest::option::of("/[!-~]{0,20}".prop_filter("cannot be written", |text| {
            lvscf_text(text, Quotes::Dropped).is_some()
        })), proptest::option::of("[a-z.:]{1,20}")),
        status in proptest::option::of(prop_oneof![Just("200"), Just("200-299 404")]),
        headers in proptest::collection::vec("X-[A-Z]{1,3}: [a-z ]{0,5}", 0..3),
        (answer, program) in (command(Quotes::Dropped), command(Quotes::Dropped)),
        expiry_warning in time(365 * 86_400),
    ) -> HealthCheck {
        let all = HealthCheck::default();
        let takes = |key: &str| kind.takes(key);
        // A script without a program is an error.
        let program = program.filter(|line| !crate::command::words(line).is_empty());
        let program = if takes("program") { Some(program.unwrap_or_else(|| "/bin/true".to_owned())) } else { None };
        HealthCheck {
            kind, address, program,
            source_address: source_address.filter(|_| takes("source_address")),
            port: port.filter(|_| takes("port")),
            mark: if takes("mark") { mark } else { 0 },
            use_regex: use_regex && takes("use_regex"),
            verify: verify || !takes("verify"),
            send: send.filter(|_| takes("send")),
            expect: expect.filter(|_| takes("expect")),
            body: body.filter(|_| takes("body")),
            path: path.filter(|_| takes("path")),
            host: host.filter(|_| takes("host")),
            service: service.filter(|_| takes("service")),
            status: status.filter(|_| takes("status")).map(str::to_owned),
            headers: if takes("headers") { headers } else { Vec::new() },
            answer: answer.filter(|_| takes("answer")),
            expiry_warning: if takes("expiry_warning") { expiry_warning } else { all.expiry_warning },
            ..all
        }
    }
}

/// Mostly none, as in files.
fn checks_of_one() -> impl Strategy<Value = Vec<HealthCheck>> {
    prop_oneof![6 => Just(Vec::new()), 1 => proptest::collection::vec(check(), 1..3)]
}

prop_compose! {
    fn server()(
        name in name(), address in proptest::option::of(host()), weight in 0u32..=65_535, port in any::<u16>(),
        (interval, drain) in (proptest::option::of(time(86_400)), proptest::option::of(time(30 * 86_400))),
        (fall, rise) in (proptest::option::of(1u32..=1000), proptest::option::of(1u32..=1000)),
        slow_start in proptest::option::of(time(86_400)),
        (max_connections, min_connections) in any::<(Option<u32>, Option<u32>)>(),
        (checks_needed, checks) in (proptest::option::of(0u32..=8), checks_of_one()),
    ) -> RealServer {
        RealServer {
            name, address, weight, port, interval, fall, rise, slow_start, max_connections, min_connections, drain,
            checks_needed, checks,
            ..RealServer::default()
        }
    }
}

prop_compose! {
    /// What only a failover block has a use for.
    fn failover()(
        start_cmd in command(Quotes::SingleKept), stop_cmd in command(Quotes::SingleKept),
        (start_timeout, stop_timeout) in (time(3600), time(3600)),
        restarts in 0u32..=1000, restart_period in time(30 * 86_400).prop_filter("short", |t| t.as_secs() > 0),
    ) -> VirtualService {
        VirtualService {
            start_cmd, stop_cmd, start_timeout, stop_timeout, restarts, restart_period, ..VirtualService::default()
        }
    }
}

prop_compose! {
    fn checks()(
        failover in failover().boxed(),
        send in proptest::option::of(text(Quotes::SingleKept)),
        expect in proptest::option::of(text(Quotes::SingleKept)),
        use_regex in any::<bool>(),
        send_program in command(Quotes::SingleKept),
        load_monitor in command(Quotes::Dropped),
        timeout in time(86_400), reentry in time(30 * 86_400), drain in time(30 * 86_400),
        dirs in proptest::collection::vec(name().prop_filter("a bracket", |word| word != "[" && word != "]"), 0..4),
    ) -> VirtualService {
        VirtualService {
            send, expect, use_regex, send_program, load_monitor, timeout, reentry, drain, dirs,
            ..failover
        }
    }
}

prop_compose! {
    fn policy()(
        checks in checks().boxed(),
        interval in proptest::option::of(time(86_400)), retry in time(86_400),
        (fall, rise) in (1u32..=1000, 1u32..=1000),
        watch in any::<Option<bool>>(),
        slow_start in time(86_400), dampen in time(30 * 86_400), inhibit in any::<bool>(),
        (max_connections, min_connections) in any::<(Option<u32>, Option<u32>)>(),
        (min_up, quorum, hysteresis) in (0u32..=65_535, 1u32..=65_535, 0u32..=65_535),
        (quorum_up, quorum_down) in (command(Quotes::Dropped), command(Quotes::Dropped)),
        (sorry_port, vip_withdraw) in (proptest::option::of(1u16..), any::<bool>()),
        sorry_method in proptest::option::of(Just(ForwardingMethod::Tunnel)),
    ) -> VirtualService {
        VirtualService {
            watch, vip_withdraw, min_up, quorum, hysteresis, quorum_up, quorum_down, sorry_port, sorry_method, interval, retry, fall, rise, slow_start, dampen, inhibit, max_connections, min_connections, ..checks
        }
    }
}

prop_compose! {
    fn service()(
        checks in policy().boxed(),
        name in name(), address in proptest::option::of(device_address()), vip_nmask in proptest::option::of(netmask()),
        (port, fwmark) in any::<(u16, u32)>(),
        protocol in prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)],
        scheduler in prop_oneof![Just("wlc"), Just("rr"), Just("mh")],
        persistent in whole_time(), pmask in proptest::option::of(mask()),
        sorry_server in proptest::option::of(host()), quiesce_server in any::<bool>(), client_monitor in word(),
        servers in proptest::collection::vec(server().boxed(), 0..4),
        (own_checks, checks_needed) in (checks_of_one(), 0u32..=8),
    ) -> VirtualService {
        let scheduler = scheduler.to_owned();
        VirtualService {
            name, address, vip_nmask, port, fwmark, protocol, scheduler, persistent, pmask, sorry_server,
            quiesce_server, client_monitor, servers, checks_needed, checks: own_checks, ..checks
        }
    }
}

prop_compose! {
    /// The director's own commands, but for those of the original.
    fn commands()(
        (check_cmd, check_interval, check_timeout) in (command(Quotes::Dropped), time(86_400), time(3600)),
        (check_fall, check_rise) in (0u32..=1000, 0u32..=1000),
        (notify, notify_timeout, notify_fifo) in (command(Quotes::Dropped), time(3600), command(Quotes::Dropped)),
        cmd_timeout in time(86_400),
    ) -> Config {
        Config {
            check_cmd, check_interval, check_timeout, check_fall, check_rise, notify, notify_timeout, notify_fifo,
            cmd_timeout, ..Config::default()
        }
    }
}

prop_compose! {
    fn configuration()(
        serial_no in any::<i32>(),
        (primary, primary_private) in (proptest::option::of(host()), proptest::option::of(host())),
        (backup, backup_private) in (proptest::option::of(host()), proptest::option::of(host())),
        heartbeat_path in proptest::collection::vec(heartbeat_path(), 0..3),
        (auto_failback, heartbeat_key_file) in (proptest::option::of(time(30 * 86_400)), command(Quotes::Dropped)),
        (sync_maxlen, sync_port, sync_ttl) in (0u32..=65_507, any::<u16>(), 0u32..=255),
        heartbeat_key_use in prop_oneof![Just(KeyUse::Receive), Just(KeyUse::Enforce)],
        witness in proptest::collection::vec(host().prop_filter("a place", |a| !matches!(a, IpAddr::V6(a) if a.is_unicast_link_local())), 0..3),
        (backup_active, heartbeat, sync, monitor_links) in any::<(bool, bool, bool, bool)>(),
        (syncdaemon, hard_shutdown, syncd_id) in any::<(bool, bool, u8)>(),
        heartbeat_port in 1u16.., keepalive in time(3600), deadtime in time(86_400),
        network in prop_oneof![Just(ForwardingMethod::Masquerade), Just(ForwardingMethod::Tunnel)],
        nat_router in proptest::option::of(device_address()), nat_nmask in proptest::option::of(netmask()),
        (rsh_command, debug_level, syncd_iface, ipvsadm) in (text(Quotes::Dropped), word(), word(), word()),
        (active_cmd, inactive_cmd) in (command(Quotes::Dropped), command(Quotes::Dropped)),
        commands in commands().boxed(),
        (tcp_timeout, udp_timeout) in (whole_time(), whole_time()),
        // in boxes, or the strategy is too large for a stack
        virtuals in proptest::collection::vec(service().boxed(), 0..3),
        failovers in proptest::collection::vec(service().boxed(), 0..2),
    ) -> Config {
        let backup_private = primary_private.and(backup_private);
        Config {
            serial_no, primary, primary_private, backup, backup_private, backup_active, heartbeat_path, auto_failback,
            heartbeat_key_file, heartbeat_key_use, sync_maxlen, sync_port, sync_ttl, heartbeat, sync,
            monitor_links, syncdaemon, hard_shutdown, syncd_id, heartbeat_port, keepalive, deadtime, network, nat_router, nat_nmask,
            witness, rsh_command, debug_level, syncd_iface, ipvsadm, active_cmd, inactive_cmd, tcp_timeout, udp_timeout,
            virtuals, failovers, ..commands
        }
    }
}

/// Damage: at a place, so many bytes are replaced with something.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, String)>> {
    let something = prop_oneof![
        "[\"'{}=#\\\\ \t\r\n\0\u{feff}]{0,3}",
        "[ -~é]{0,6}",
        Just("}\n".to_owned()),
        Just("virtual x {\n".to_owned()),
        Just("include = lvs.cf\n".to_owned()),
        Just("server y {\nport = 1\n".to_owned()),
        Just("check http {\npath = /\n".to_owned()),
        Just("check = tcp\n".to_owned()),
        Just("[[virtual]]\n".to_owned()),
        Just("99999999999999999999".to_owned()),
    ];
    proptest::collection::vec((any::<prop::sample::Index>(), 0usize..6, something), 1..5)
}

fn damaged(text: &str, edits: &[(prop::sample::Index, usize, String)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, len, new) in edits {
        let start = at.index(bytes.len() + 1);
        // bytes, not characters: what is left may be no UTF-8
        let end = (start + len).min(bytes.len());
        bytes.splice(start..end, new.bytes());
    }
    bytes
}

/// Reads damaged bytes. Whatever they are, the verdict can be shown; and what is
/// accepted is printed and converted so that it reads back as the same.
fn judge(bytes: &[u8], name: &str) {
    static IDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| rules::ids().collect());
    let said = match read_bytes(bytes, name) {
        Err(failed) => {
            assert!(failed.diagnostics.iter().any(|d| d.severity == Severity::Error));
            failed.diagnostics
        }
        Ok(loaded) => {
            let config = Config { path: "".into(), ..loaded.config };
            for (syntax, name) in [(Syntax::LvsCf, "lvs.cf"), (Syntax::Toml, "lvs.toml")] {
                assert_eq!(converting::model(&dump(&config, syntax), name), config);
            }
            let mut world = world();
            world.files.insert(name.into(), bytes.to_vec());
            let (from, to, other) = match Syntax::of(Path::new(name)) {
                Syntax::LvsCf => (Syntax::LvsCf, Syntax::Toml, "lvs.toml"),
                Syntax::Toml => (Syntax::Toml, Syntax::LvsCf, "lvs.cf"),
            };
            let converted = convert(Path::new(name), from, to, &world).unwrap();
            assert_eq!(converting::model(&converted, other), config, "converted:\n{converted}");
            loaded.warnings
        }
    };
    for diagnostic in &said {
        assert!(IDS.contains(diagnostic.id), "{}", diagnostic.id);
        assert!(!diagnostic.render(false).is_empty());
        assert_eq!(diagnostic.to_string().lines().count(), 1, "{diagnostic}");
    }
    assert!(json(&said).ends_with("]\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_configuration_reads_back_from_either_syntax(config in configuration()) {
        for (syntax, name) in [(Syntax::LvsCf, "lvs.cf"), (Syntax::Toml, "lvs.toml")] {
            let text = dump(&config, syntax);
            let read = converting::model(&text, name);
            prop_assert_eq!(&read, &config, "printed:\n{}", text);
            prop_assert_eq!(fingerprint(&read), fingerprint(&config));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_lvs_cf_is_read_or_refused_and_never_a_panic(edits in edits()) {
        judge(&damaged(FILE, &edits), "lvs.cf");
    }

    #[test]
    fn a_damaged_toml_is_read_or_refused_and_never_a_panic(edits in edits()) {
        judge(&damaged(AS_TOML, &edits), "lvs.toml");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_wrong_line_is_named_however_many_there_are(at in proptest::collection::vec(any::<prop::sample::Index>(), 1..12)) {
        let mut lines: Vec<&str> = FILE.lines().collect();
        for index in &at {
            lines.insert(index.index(lines.len() + 1), " nosuch = \"thing\"");
        }
        let wrong = |(n, line): (usize, &&str)| line.contains("nosuch").then_some(n + 1);
        let wrong: Vec<usize> = lines.iter().enumerate().filter_map(wrong).collect();
        let failed = read(&lines.join("\n")).unwrap_err();
        let errors = failed.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let named: Vec<usize> = errors.map(|d| usize::try_from(d.line).unwrap()).collect();
        prop_assert_eq!(named, wrong);
    }
}

#[test]
fn what_the_fuzzer_found_is_read_or_refused_and_never_a_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    for (target, name) in [("config_lvscf", "lvs.cf"), ("config_toml", "lvs.toml")] {
        let entries: Vec<_> = std::fs::read_dir(corpus.join(target)).unwrap().collect();
        assert!(entries.len() > 100, "{target}: {}", entries.len());
        for entry in entries {
            judge(&std::fs::read(entry.unwrap().path()).unwrap(), name);
        }
    }
}

/// As many as keepalived's issue 2318 has, in an optimised build.
#[test]
fn forty_thousand_servers_are_read_in_well_under_a_second() {
    use std::fmt::Write as _;
    let virtuals: u32 = if cfg!(debug_assertions) { 228 } else { 2284 };
    let mut text = String::from("primary = 192.0.2.1\nnetwork = direct\n");
    for n in 0..virtuals {
        let (high, low) = (n / 250, n % 250 + 1);
        let _ = writeln!(text, "virtual v{n} {{\n active = 1\n address = 10.0.{high}.{low} eth0:1\n scheduler = wlc");
        for server in 1..=16 {
            let address = format!("10.{server}.{high}.{low}");
            let _ = writeln!(text, " server s{server} {{\n  address = {address}\n  active = 1\n  weight = 1\n }}");
        }
        text.push_str("}\n");
    }
    // The processor's time we had: others on the machine do not count.
    let own_time = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let start = own_time();
    let loaded = good(&text);
    let taken = own_time().saturating_sub(start);
    assert_eq!(loaded.config.virtuals.iter().map(|v| v.servers.len()).sum::<usize>(), virtuals as usize * 16);
    println!("{} bytes, {} servers: read, checked and linted in {taken:?}", text.len(), virtuals * 16);
    // a slow machine may take ten times as long; a quadratic step would take minutes
    assert!(taken < Duration::from_secs(10), "{taken:?}");
}
