use std::fmt::Write as _;
use std::path::PathBuf;

use common::child::Exit;
use common::ipvs::{DestinationKey, Error};
use common::log::{Lost, Message as _, words};
use nix::errno::Errno;

use super::*;

fn outcomes() -> Vec<Outcome> {
    let program = || "/usr/local/bin/check 198.51.100.7".to_owned();
    vec![
        Outcome::Good,
        Outcome::ConnectTimedOut,
        Outcome::ConnectFailed(Errno::ECONNREFUSED),
        Outcome::WriteTimedOut,
        Outcome::WriteFailed(Errno::EPIPE),
        Outcome::ReadTimedOut,
        Outcome::ReadFailed(Errno::ECONNREFUSED),
        Outcome::TooShort,
        Outcome::Unexpected,
        Outcome::Wrong("HTTP status 503 Service Unavailable".into()),
        Outcome::TlsFailed("the certificate has expired".into()),
        Outcome::TlsTimedOut,
        Outcome::PingTimedOut,
        Outcome::PingFailed(Errno::EHOSTUNREACH),
        Outcome::BadPattern("unclosed group".into()),
        Outcome::NoProgram,
        Outcome::ProgramNotRun("/usr/local/bin/check".into(), Errno::ENOENT),
        Outcome::ProgramTimedOut(program()),
        Outcome::ProgramStuck(program()),
        Outcome::ProgramFailed(program(), Exit::Status(1)),
        Outcome::ProgramFailed(program(), Exit::Signal(9)),
        Outcome::ProgramBabbled(program()),
        Outcome::ProgramSilent,
        Outcome::ProgramForNothing,
        Outcome::NothingExpected,
    ]
}

fn everything() -> String {
    let real: SocketAddr = "198.51.100.7:8080".parse().unwrap();
    let service = "192.0.2.1:80";
    let key = DestinationKey { address: real.ip(), port: 80 };
    let had = Destination::new(key, ForwardingMethod::Masquerade, 9);
    let gets = Destination::new(key, ForwardingMethod::DirectRouting, 1);
    let limited = Destination { upper_threshold: 200, lower_threshold: 150, ..gets.clone() };
    let refused = std::io::Error::from_raw_os_error(Errno::EACCES as i32);
    let outcomes = outcomes();
    let command = Command::new(b"/usr/local/bin/check %h", real, crate::probe::program::Good::Status);
    let among = [Message::Active { real }, Message::Inactive { real }];
    let mut lines = vec![
        Message::Starting { service, real },
        Message::Stopping { service, real },
        Message::TooMany { service, real },
        Message::Among { service, line: &among[0] },
        Message::Among { service, line: &among[1] },
        Message::Starting { service: "[2001:db8::1]:80", real: "[2001:db8::7]:80".parse().unwrap() },
        Message::Watching { service },
        Message::ServiceWell { real },
        Message::ServiceLost { real },
        Message::ServiceAbsent { real },
        Message::AssumingWeb,
        Message::ProgramRequested { program: b"/usr/local/bin/check %h", send: None },
        Message::ProgramRequested { program: b"/usr/local/bin/check %h", send: Some(b"QUIT\\r\\n") },
        Message::IntervalZero,
        Message::LoadUnread { command: "rup" },
        Message::BadLoad { text: b"rup: RPC: Program not registered" },
        Message::Loadavg { address: real.ip(), load: 0.07 },
        Message::NewWeight { weight: 150, last: 100, load: 0.07 },
        Message::Adopted { real, weight: 3 },
        Message::AdoptedQuiesced { real },
        Message::Active { real },
        Message::Inactive { real },
        Message::ForcedOut { real },
        Message::LeftOut { real },
        Message::Held { real },
        Message::Dampened { real, checks: 12 },
        Message::OpaqueOn,
        Message::RoseOn,
        Message::GlassesOff,
        Message::AdjustingWeight { real, weight: 5 },
        Message::ServiceMissing { service },
        Message::ServiceBack { service },
        Message::PutBack { destination: key, service },
        Message::SetRight { had: &had, gets: &gets },
        Message::SetRight { had: &gets, gets: &limited },
        Message::TakenOut { destination: key, service },
        Message::TableTrouble { error: &Error::NoIpvs },
        Message::TableTrouble { error: &Error::Permission },
        Message::TableWell,
        Message::NoRight { error: &Error::Permission },
        Message::NotRemoved { destination: key, error: &Error::Permission },
        Message::Slept { late: Duration::from_millis(12_345), real },
        Message::PlaceTaken { real, service },
        Message::Orphaned { real, service },
        Message::NoPlace {
            path: Path::new("/run/piranha-ng/nanny/tcp-192.0.2.1-80-198.51.100.7-8080"),
            error: &refused,
        },
        Message::LineEnded,
        Message::LineJoined { pid: 4711 },
        Message::Released { real },
        Message::Terminating { signal: 15 },
        Message::KillingChild { pid: 4711 },
        Message::Fatal { doing: "wait for events", error: &refused },
        Message::WatchEnded { real },
        Message::Opening { protocol: "TCP", port: 8080 },
        Message::Sending { text: b"QUIT" },
        Message::Received { text: b"HTTP" },
        Message::Invoking { program: &command },
        Message::ProgramResult { text: b"OK", real },
        Message::Judged { good: true, active: false, count: 2 },
    ];
    lines.extend(outcomes.iter().map(|outcome| Message::Trouble { check: None, real, outcome }));
    lines.push(Message::Trouble { check: Some(CheckKind::Http), real, outcome: &Outcome::ReadTimedOut });
    lines.extend(
        [0, 1, 86_400, 13 * 86_400]
            .map(|seconds| Message::CertificateEnds { real, left: Duration::from_secs(seconds) }),
    );
    lines.push(Message::CannotCheck { why: "bad option path of check tcp: there is no such option" });
    let mut text = String::new();
    for line in &lines {
        writeln!(text, "{:7} {}", format!("{:?}", line.level()).to_lowercase(), words(line)).unwrap();
    }
    let lost = Lost { lines: 17 };
    writeln!(text, "{:7} {lost}", format!("{:?}", lost.level()).to_lowercase()).unwrap();
    text
}

#[test]
fn every_line_is_as_operators_know_it() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/messages/nanny.txt");
    let now = everything();
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(now, golden, "if this is meant, run again with PIRANHA_UPDATE=1 and review the difference");
}

#[test]
fn the_originals_lines_are_verbatim() {
    // piranha.md 5, 6.3 and 6.5
    let all = everything();
    for line in [
        "starting LVS client monitor for 192.0.2.1:80 -> 198.51.100.7:8080",
        "Failover service monitor for 192.0.2.1:80 started",
        "nanny: no monitor configured, assuming web service on port 80",
        "External program use requested: (/usr/local/bin/check %h), IGNORING send string option ((null))",
        "[ active ] making 198.51.100.7:8080 available",
        "[inactive] shutting down 198.51.100.7:8080 due to connection failure",
        "Terminating due to signal 15",
        "Killing child 4711",
        "CONNECT to 198.51.100.7:8080 timed out",
        "READ to 198.51.100.7:8080 timed out",
        "READ from 198.51.100.7:8080 was too short",
        "READ returned error 111:Connection refused",
        "WRITE operation for 198.51.100.7:8080 returned error: Broken pipe",
        "Error 'unclosed group' processing expected regular expression",
        "No command to run",
        "Ran the external sending program. The result and expected response are both NULL! You may wish to revise your settings",
        "Ran the external sending program to (198.51.100.7:8080) but didn't get anything back",
        "Trouble. Received results are not what we expected from (198.51.100.7:8080)",
        "Expect string is NULL, but the external sending program returned a non-NULL result",
        "opaque glasses on",
        "rose-colored glasses on",
        "DEBUG -- removing glasses",
        "Adjusting weight of 198.51.100.7:8080 to 5",
        "bad load average returned: rup: RPC: Program not registered",
        "Loadavg of 198.51.100.7 is 0.070000",
        "Computing new weight 150 based on last weight 100 and load 0.070000",
        "avail: 1 active: 0: count: 2",
        "Opening TCP socket to remote service port 8080...",
        "Sending len=4, text=\"QUIT\"",
        "READ got len=4, text=HTTP",
        "Got result (OK) from command sent to (198.51.100.7:8080)",
    ] {
        assert!(all.lines().any(|said| said.get(8..) == Some(line)), "missing: {line}");
    }
}
