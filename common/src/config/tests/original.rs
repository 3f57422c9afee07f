//! What Piranha 0.8.6's own parser said about files and one-idea probes, where
//! that collection is at hand (`../shared/lvscf` beside the project), and what
//! ours says. Each deviation is named here with its reason.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use super::*;
use crate::ipvs::{ForwardingMethod, Protocol};

/// Probes the original refuses and we read, each with what we warn of.
const TOLERATED: [(&str, &str); 11] = [
    ("brace_nl", "brace-on-next-line"),
    ("brace_nosp", "missing-blank"),
    ("debugkw", "stray-keyword"),
    ("mixed_cr_last", "line-ends"),
    ("mixed_cr_mid", "line-ends"),
    ("noeq_space", "missing-blank"),
    ("noeq_space2", "missing-blank"),
    ("q_embedded", "escaped-quote"),
    ("srv_port_name", "server-port-name"),
    ("trailing_comment", "inline-comment"),
    ("unit", ""), // 3s: a new way to write a time, nothing to warn of
];

/// Probes the original accepts and we refuse: a negative interval, and a lone
/// quote that made it read beyond its buffer.
const REFUSED: [&str; 2] = ["neg", "q_single_char"];

/// Accepted by both with other values: it read the first line of a CRLF file only.
const OTHERWISE: [&str; 1] = ["crlf"];

/// The collection; `None` is said on the terminal past the test harness, and is a
/// failure where `PIRANHA_REQUIRE` names it.
fn collection() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = root.ancestors().map(|a| a.join("shared/lvscf")).find(|p| p.is_dir());
    if found.is_none() {
        assert!(
            !std::env::var("PIRANHA_REQUIRE").is_ok_and(|r| r.contains("lvscf")),
            "no shared/lvscf beside the project"
        );
        let text = "SKIPPED: not compared with the original's parser: no shared/lvscf beside the project\n";
        io::stderr().write_all(text.as_bytes()).unwrap();
    }
    found
}

#[test]
fn every_lexical_probe_is_read_as_the_original_reads_it_but_for_the_named_ones() {
    let Some(folder) = collection() else { return };
    let oracle = std::fs::read(folder.join("lex/ORACLE.tsv")).unwrap();
    let oracle = String::from_utf8_lossy(&oracle);
    let mut seen = 0;
    for line in oracle.lines().filter(|l| !l.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = fields[0].strip_suffix(".cf").unwrap();
        // one probe's value holds a tab
        let sections = fields[6..].join("\t");
        let accepted = fields[2] == "0";
        let bytes = std::fs::read(folder.join("lex").join(fields[0])).unwrap();
        let result = read_bytes(&bytes, "lvs.cf");
        seen += 1;
        if let Some((_, id)) = TOLERATED.iter().find(|(n, _)| *n == name) {
            assert!(!accepted, "{name}: the original takes it too");
            let loaded = result.unwrap_or_else(|failed| panic!("{name}: {failed}"));
            let warned: Vec<_> = loaded.warnings.iter().map(|d| d.id).filter(|id| !rules::is_lint(id)).collect();
            assert!(id.is_empty() && warned.is_empty() || warned.contains(id), "{name}: {warned:?}");
        } else if REFUSED.contains(&name) {
            assert!(accepted && result.is_err(), "{name}");
        } else if OTHERWISE.contains(&name) {
            assert_ne!(global(&result.unwrap().config), without_names(fields[5]), "{name}");
        } else if accepted {
            let config = result.unwrap_or_else(|failed| panic!("{name}: {failed}")).config;
            assert_eq!(global(&config), without_names(fields[5]), "{name}");
            assert_eq!(blocks(&config).join(" ;; "), without_double_quotes(&sections), "{name}");
        } else {
            let failed = result.err().unwrap_or_else(|| panic!("{name} is refused by the original: {}", fields[4]));
            let line: u32 = fields[3].parse().unwrap();
            assert_eq!(failed.first().unwrap().line, line, "{name}: {failed}");
        }
    }
    assert!(seen >= 45, "only {seen} probes");
}

#[test]
fn a_file_with_dos_line_ends_is_read_to_its_end() {
    let text = "primary = 10.0.0.1\r\nbackup = 10.0.0.2\r\nvirtual v {\r\n address = 1.2.3.4 eth0\r\n}\r\n";
    let loaded = good(text);
    assert_eq!(loaded.config.backup, Some("10.0.0.2".parse().unwrap()));
    assert_eq!(loaded.config.virtuals.len(), 1);
    assert_eq!(ids(text), ["line-ends"]);
}

#[test]
fn every_real_file_has_the_values_the_original_read() {
    let Some(folder) = collection() else { return };
    // refused by the original for comments behind values
    let tolerated = ["17-portal1v1-inline-comments"];
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("verdict")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let verdict = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let lines: Vec<&str> = verdict.lines().collect();
        let result = read_bytes(&std::fs::read(folder.join(format!("{name}.cf"))).unwrap(), "lvs.cf");
        seen += 1;
        if lines[0].starts_with("rc=0 ") {
            let config = result.unwrap_or_else(|failed| panic!("{name}: {failed}")).config;
            assert_eq!(global(&config), without_names(lines[1]), "{name}");
            let expected: Vec<String> = lines[2..].iter().map(|l| without_double_quotes(l.trim())).collect();
            assert_eq!(blocks(&config), expected, "{name}");
        } else if tolerated.contains(&name) {
            let loaded = result.unwrap_or_else(|failed| panic!("{name}: {failed}"));
            assert!(loaded.warnings.iter().any(|d| d.id == "inline-comment"), "{name}");
            assert_eq!(loaded.config.virtuals[0].expect.as_deref(), Some("OK"));
        } else {
            assert!(result.is_err(), "{name} is refused by the original: {}", lines[0]);
        }
    }
    assert!(seen >= 15, "only {seen} files");
}

/// `primary=ADDRESS(as typed)` without what was typed.
fn without_names(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once('(') {
        Some((address, _)) if word.starts_with("primary=") || word.starts_with("backup=") => address.to_owned(),
        Some(_) | None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Texts as nanny gets them: the daemons take double quotes away.
fn without_double_quotes(text: &str) -> String {
    text.replace("<\"", "<").replace("\">", ">")
}

/// The globals as the probe of the original's parser prints them.
fn global(config: &Config) -> String {
    let address = |a: Option<IpAddr>| a.map_or("0.0.0.0".to_owned(), |a| a.to_string());
    let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "(null)".into());
    let backup_private = config.backup_private.or(config.backup);
    let network = match config.network {
        ForwardingMethod::Masquerade => 1,
        ForwardingMethod::DirectRouting => 2,
        ForwardingMethod::Tunnel => 3,
        ForwardingMethod::Local | ForwardingMethod::Bypass | ForwardingMethod::Other(_) => panic!("not in lvs.cf"),
    };
    let router = config.nat_router.as_ref();
    [
        format!("svc={} net={network}", u8::from(config.service == ServiceKind::Fos)),
        format!("primary={}", address(config.primary)),
        format!("ppriv={}", address(config.primary_private.or(config.primary))),
        format!("backup={} bpriv={}", address(config.backup), address(backup_private)),
        format!("active={} hb={}", u8::from(config.backup_active), u8::from(config.heartbeat)),
        format!("port={} ka={}", config.heartbeat_port, config.keepalive.as_secs()),
        format!("dt={} serial={}", config.deadtime.as_secs(), config.serial_no),
        format!("mon={} hard={}", u8::from(config.monitor_links), u8::from(config.hard_shutdown)),
        format!("sync={}/{}/{}", u8::from(config.syncdaemon), config.syncd_iface, config.syncd_id),
        format!("to={}/{}", config.tcp_timeout.as_secs(), config.tcpfin_timeout.as_secs())
            + &format!("/{}", config.udp_timeout.as_secs()),
        format!("rsh={} ipvs={} dbg={}", config.rsh_command, config.ipvsadm, config.debug_level),
        format!("nat={}", address(router.map(|r| r.address))),
        router.map_or("(null)".into(), |r| r.label.clone().unwrap_or_else(|| r.device.clone())),
        address(config.nat_nmask.map(IpAddr::V4)),
        format!("act={} inact={}", text(&config.active_cmd), text(&config.inactive_cmd)),
    ]
    .join(" ")
}

/// The blocks as the probe prints them, a line each.
fn blocks(config: &Config) -> Vec<String> {
    let mut out = Vec::new();
    for (kind, services) in [("VS", &config.virtuals), ("FOS", &config.failovers)] {
        for service in services {
            out.push(block(kind, service));
            for server in &service.servers {
                let address = server.address.map_or("0.0.0.0".to_owned(), |a| a.to_string());
                let RealServer { name, port, weight, .. } = server;
                out.push(format!("RS [{name}] {address}:{port} act={} w={weight}", u8::from(server.active)));
            }
        }
    }
    out
}

fn block(kind: &str, service: &VirtualService) -> String {
    let mut out = format!("{kind} [{}] act={}", service.name, u8::from(service.active));
    let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "(null)".into());
    let address = |a: Option<IpAddr>| a.map_or("0.0.0.0".to_owned(), |a| a.to_string());
    let device = service.address.as_ref();
    let label = device.map_or("(null)".into(), |a| a.label.clone().unwrap_or_else(|| a.device.clone()));
    let _ = write!(out, " addr={} dev={label}", address(device.map(|a| a.address)));
    let _ = write!(out, " nm={}", address(service.vip_nmask.map(IpAddr::V4)));
    let _ = write!(out, " sorry={} fw={}", address(service.sorry_server), service.fwmark);
    let protocol = match service.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => panic!("not in Piranha's lvs.cf"),
    };
    let scheduler = ["", "lc", "rr", "wlc", "wrr"].iter().position(|s| *s == service.scheduler).unwrap();
    let _ = write!(out, " proto={protocol} port={} sched={scheduler}", service.port);
    let _ = write!(out, " pers={} pmask={}", service.persistent.as_secs(), address(service.pmask.map(IpAddr::V4)));
    let _ = write!(out, " cm={} sp=<{}>", service.client_monitor, text(&service.send_program));
    let _ = write!(out, " send=<{}> exp=<{}>", text(&service.send), text(&service.expect));
    let _ = write!(out, " to={} re={}", service.timeout.as_secs(), service.reentry.as_secs());
    let _ = write!(out, " q={} rx={}", u8::from(service.quiesce_server), u8::from(service.use_regex));
    let _ = write!(out, " lm={} start=<{}>", text(&service.load_monitor), text(&service.start_cmd));
    let _ = write!(out, " stop=<{}>", text(&service.stop_cmd));
    out
}
