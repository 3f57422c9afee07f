use std::fmt::Write as _;

use common::ipvs::Protocol;
use common::log::{Lost, Message as _, words};

use super::*;

/// The same for failover services.
fn failover_samples() -> Vec<Message> {
    let name = || "web".to_owned();
    let at: SocketAddr = "192.0.2.1:443".parse().unwrap();
    vec![
        Message::FailoverStarting { at },
        Message::FailoverStopping { at },
        Message::FailoverWatched { at, pid: 4711 },
        Message::FailoverServes { name: name(), at },
        Message::FailoverNotStarted { at },
        Message::FailoverDied { name: name(), at },
        Message::FailoverAgain { name: name(), why: "it does not answer".to_owned(), time: 1, of: 3 },
        Message::FailoverGivenUp { name: name(), why: "no good check within 30s".to_owned() },
        Message::FailoverNotStopped {
            name: name(),
            failure: Failure::Ended(Exit::Status(1), "httpd is not running".to_owned()),
        },
        Message::FailoverNotStopped {
            name: name(),
            failure: Failure::TimedOut(Duration::from_secs(10), String::new()),
        },
        Message::FailoverAdopted { name: name(), at },
        Message::FailoverUnderWay { name: name(), command: "start_cmd", left: Duration::from_millis(8125) },
        Message::SameFailover { name: name(), first: "mail".to_owned(), at },
        Message::FailoverUnwatched { at, exit: Exit::Signal(9), why: None, again_in: Duration::ZERO },
        Message::FailoverLeftBehind { services: 1 },
    ]
}

/// One sample per line; a new variant belongs here too.
#[allow(clippy::too_many_lines)]
fn samples() -> Vec<Message> {
    let name = || "web".to_owned();
    let server = || "a".to_owned();
    let seconds = Duration::from_secs;
    let destination = DestinationKey { address: "10.0.0.3".parse().unwrap(), port: 80 };
    let timeouts =
        Timeouts { tcp: Duration::from_secs(900), tcp_fin: Duration::from_secs(0), udp: Duration::from_secs(300) };
    let service = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
    vec![
        Message::Starting { name: name(), port: 80 },
        Message::VipWithdrawn { vip: "192.0.2.1".parse().unwrap() },
        Message::VipReturns { vip: "192.0.2.1".parse().unwrap(), name: Some(name()) },
        Message::VipReturns { vip: "192.0.2.1".parse().unwrap(), name: None },
        Message::NewsLost { lost: 7 },
        Message::VipSpared { vip: "192.0.2.1".parse().unwrap() },
        Message::MonitorCreated { name: name(), server: server(), pid: 4711 },
        Message::ShuttingDown { name: name() },
        Message::IpvsFailed { name: name() },
        Message::TimeoutsFailed { timeouts },
        Message::TimeoutsRefused { reason: "set timeouts: EINVAL: Invalid argument".to_owned() },
        Message::NannyDied {
            name: name(),
            server: server(),
            exit: Exit::Signal(9),
            why: None,
            again_in: Duration::ZERO,
        },
        Message::NannyDied {
            name: name(),
            server: server(),
            exit: Exit::Status(71),
            why: Some("another nanny keeps 10.0.0.3:80".to_owned()),
            again_in: Duration::from_millis(437),
        },
        Message::NannyDied {
            name: name(),
            server: server(),
            exit: Exit::Status(0),
            why: None,
            again_in: Duration::ZERO,
        },
        Message::SignalStop { signal: 15 },
        Message::Rereading,
        Message::SignalIgnored { signal: 10 },
        Message::CannotOpen { file: "/etc/sysconfig/ha/lvs.cf".to_owned() },
        Message::ParseError { file: "/etc/sysconfig/ha/lvs.cf".to_owned(), line: 7 },
        Message::Diagnostic("/etc/sysconfig/ha/lvs.cf:7:5: error: unknown command".to_owned()),
        Message::stale((0..7).map(|n| format!("host{n}.example")).collect()).unwrap(),
        Message::FloorHolds { name: name(), available: 0, kept: 1, min_up: 1 },
        Message::FloorOver { name: name(), available: 2 },
        Message::Ordered { name: name(), server: server(), order: None, weight: 3 },
        Message::Ordered { name: name(), server: server(), order: Some(Order::Disabled), weight: 3 },
        Message::Ordered { name: name(), server: server(), order: Some(Order::Weight(0)), weight: 3 },
        Message::QuorumLost { name: name(), available: 1, rules: Rules { quorum: 2, hysteresis: 1 } },
        Message::QuorumGained { name: name(), available: 3, rules: Rules { quorum: 2, hysteresis: 1 } },
        Message::ScriptBegins { name: name(), command: "/usr/local/bin/page us".to_owned(), pid: 4712 },
        Message::ScriptNotRun {
            name: name(),
            command: "/usr/local/bin/page us".to_owned(),
            reason: "Permission denied (os error 13)".to_owned(),
        },
        Message::ScriptFailed { name: name(), command: "/usr/local/bin/page us".to_owned(), exit: Exit::Status(1) },
        Message::ScriptKilled { name: name(), command: "/usr/local/bin/page us".to_owned() },
        Message::SorryIn { name: name(), address: "10.0.0.9".parse().unwrap() },
        Message::SorryOut { name: name(), available: 2, address: "10.0.0.9".parse().unwrap() },
        Message::Refused {
            name: name(),
            reason: "the kernel has no scheduler \"xyz\"".to_owned(),
            again_in: Duration::from_secs(3),
        },
        Message::SetUpAfterAll { name: name() },
        Message::ServicePutBack { name: name() },
        Message::ServiceChanged { name: name(), what: "scheduler rr -> wlc".to_owned() },
        Message::ForeignRemoved { name: name(), destination },
        Message::DestinationFailed { name: name(), destination, reason: "no such virtual service".to_owned() },
        Message::DrainBegins { name: name(), server: server(), destination, connections: 12, limit: seconds(60) },
        Message::DrainEnds { name: name(), server: server(), destination, connections: 0, limit: seconds(60) },
        Message::DrainEnds { name: name(), server: server(), destination, connections: 3, limit: seconds(60) },
        Message::DrainGone { name: name(), server: server(), destination },
        Message::DrainReturns { name: name(), server: server(), destination },
        Message::Left { name: name(), server: server(), destination },
        Message::LeaverKept { name: name(), server: server(), destination },
        Message::TimeoutsSet { timeouts },
        Message::Adopted { services: 2, monitors: 4 },
        Message::StoppingStrays { monitors: 1 },
        Message::Renewing { monitors: 40, at_once: 10 },
        Message::Renewed { monitors: 40 },
        Message::Reread { started: 1, replaced: 2, stopped: 0, unchanged: 40 },
        Message::ProbeElsewhere { name: name(), server: server(), kernel_port: 80, probe_port: 8080 },
        Message::SameDestination { name: name(), server: server(), destination },
        Message::SameService { name: name(), first: "www".to_owned(), service },
        Message::Incomplete { name: "web/a".to_owned(), what: "it has no address" },
        Message::NannyFrozen { name: name(), server: server(), pid: 4711, silent: Duration::from_secs(10) },
        Message::NannyStubborn { name: name(), server: server(), pid: 4711 },
        Message::NannyNotStarted {
            name: name(),
            server: server(),
            reason: "/usr/sbin/nanny: No such file or directory (os error 2)".to_owned(),
            again_in: Duration::from_millis(500),
        },
        Message::NannyNotStartedEither { name: name(), server: server() },
        Message::LeftBehind { monitors: 1 },
        Message::TableUnreadable { reason: "list services: no answer from the kernel in time".to_owned() },
        Message::TableReadable,
        Message::NoState { reason: "/run/piranha-ng: Read-only file system (os error 30)".to_owned() },
        Message::StateKept,
        Message::LedgerDamaged { lines: 3 },
        Message::Slept { slept: Duration::from_millis(61_500) },
        Message::Released,
    ]
}

/// The operator's reference; PIRANHA_UPDATE=1 writes it anew.
#[test]
fn every_line_is_as_the_operators_reference_has_it() {
    let mut text = String::new();
    for message in samples().into_iter().chain(failover_samples()) {
        let level = format!("{:?}", message.level()).to_lowercase();
        writeln!(text, "{level:<7} lvsd: {}", words(&message)).unwrap();
    }
    let lost = Lost { lines: 17 };
    writeln!(text, "{:<7} lvsd: {lost}", format!("{:?}", lost.level()).to_lowercase()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/messages/lvsd.txt");
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

/// piranha.md 6.2, word by word.
#[test]
fn the_originals_lines_are_the_originals() {
    let text = |message: Message| message.to_string();
    let diff = || "diff".to_owned();
    assert_eq!(text(Message::Starting { name: diff(), port: 80 }), "starting virtual service diff active: 80");
    assert_eq!(
        text(Message::MonitorCreated { name: diff(), server: "128".to_owned(), pid: 10089 }),
        "create_monitor for diff/128 running as pid 10089"
    );
    assert_eq!(text(Message::ShuttingDown { name: diff() }), "shutting down virtual service diff");
    assert_eq!(text(Message::IpvsFailed { name: diff() }), "ipvsadm failed for virtual server diff!");
    assert_eq!(text(Message::SignalStop { signal: 15 }), "shutting down due to signal 15");
    assert_eq!(text(Message::Rereading), "rereading configuration file");
    assert_eq!(text(Message::CannotOpen { file: "F".to_owned() }), "lvs: failed to open F");
    assert_eq!(text(Message::ParseError { file: "F".to_owned(), line: 3 }), "lvs: error parsing F on line 3.");
    let timeouts = Timeouts { tcp: Duration::from_secs(900), ..Timeouts::default() };
    assert_eq!(text(Message::TimeoutsFailed { timeouts }), "ipvsadm failed to set timeouts (900 0 0)");
    let died = Message::NannyDied {
        name: diff(),
        server: "128".to_owned(),
        exit: Exit::Signal(9),
        why: None,
        again_in: Duration::ZERO,
    };
    assert!(text(died).starts_with("nanny for child diff/128 died! "));
    assert_eq!(
        text(Message::SorryIn { name: diff(), address: "10.0.0.9".parse().unwrap() }),
        "Virtual Server diff: No real servers; activate sorry_server 10.0.0.9"
    );
    assert_eq!(
        text(Message::SorryOut { name: diff(), available: 1, address: "10.0.0.9".parse().unwrap() }),
        "Virtual Server diff: 1 real servers; deactivate sorry_server 10.0.0.9"
    );
}
