//! Checks by name against servers that misbehave in every way, and what is said of
//! it. Real servers are in [`crate::daemons`].

use std::net::{IpAddr, TcpListener};
use std::time::{Duration, Instant};

use common::channel::{Ask, Line, Received, Said};

use crate::OFTEN;
use crate::ground::{Answer, Echo, Nanny, Server, free_port, wait_for, wait_until};

/// A check of a kind, with what its server says that is good, and what is not.
struct Kind {
    words: &'static [&'static str],
    good: &'static [u8],
    wrong: (&'static [u8], &'static str),
    /// Begins well, and a flood follows.
    flood: (&'static [u8], &'static str),
}

/// SETTINGS; a head of status 200; a message; the call's status, 0.
const SERVING: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x14\x01\x04\0\0\0\x01\x88\x0f\x10\x10application/grpc\
    \0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01\
    \0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010";

/// SETTINGS; status 5 of the call.
const NOT_FOUND: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x10\x01\x05\0\0\0\x01\x88\0\x0bgrpc-status\x015";

const KINDS: [Kind; 4] = [
    Kind {
        words: &["--check", "tcp", "--with", "expect=^220 .*ready$", "--with", "use_regex=1"],
        good: b"220 ready",
        wrong: (b"554 no", "Trouble. Received results are not what we expected from (127.0.0.1:"),
        flood: (b"220 ", "Trouble. Received results are not what we expected from (127.0.0.1:"),
    },
    Kind {
        words: &["--check", "http", "--with", "body=alive"],
        good: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive",
        wrong: (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", ": HTTP status 503 Service Unavailable"),
        flood: (b"HTTP/1.1 200 OK\r\n\r\n", ": the beginning of the body is not as expected"),
    },
    Kind {
        words: &["--check", "smtp"],
        // Closes after it, which is bad: only the greeting is there.
        good: b"",
        wrong: (b"554 no service\r\n", ": SMTP reply \"554 no service\""),
        flood: (b"220 ", ": a line is longer than 1024 bytes"),
    },
    Kind {
        words: &["--check", "grpc", "--with", "service=shop.Cart"],
        good: SERVING,
        wrong: (NOT_FOUND, ": gRPC status NOT_FOUND (it knows no service of this name)"),
        flood: (b"\0\0\0\x04\0\0\0\0\0", ": the answer is no gRPC: a frame is longer than 16384 bytes"),
    },
];

/// For a check that is to be over before its server has answered, and for one whose
/// time must not be over before that.
const SHORT: [&str; 2] = ["-t", "1.5"];
const LONG: [&str; 2] = ["-t", "20"];

#[test]
fn each_way_to_fail_leaves_the_server_out_with_its_reason() {
    for Kind { words, good, wrong, flood } in KINDS {
        let rows = [
            (Answer::Stall, "READ to 127.0.0.1", SHORT),
            // In the middle of either, a read or a write.
            (Answer::Reset, "Connection reset by peer", LONG),
            (Answer::HalfClose, "was too short", LONG),
            (Answer::Text(wrong.0), wrong.1, LONG),
            (Answer::Flood(flood.0), flood.1, LONG),
            // It dripped something, so it is known to be no whole answer.
            (Answer::Drip(if good.is_empty() { b"220 " } else { good }), "127.0.0.1", SHORT),
        ];
        let running: Vec<_> = rows
            .into_iter()
            .map(|(answer, expected, timeout)| {
                let server = Server::start(answer);
                let nanny = Nanny::start(server.port, &[words, &timeout].concat());
                (server, nanny, expected)
            })
            .collect();
        for (server, mut nanny, expected) in running {
            let line = nanny.wait_for("127.0.0.1");
            assert!(line.contains("starting LVS client monitor"), "{line}");
            nanny.wait_for(expected);
            nanny.wait_for("[inactive] leaving out 127.0.0.1");
            drop(server);
        }
        let mut nanny = Nanny::start(free_port(), &[words, &LONG].concat());
        nanny.wait_for("failed: Connection refused");
        nanny.wait_for("[inactive] leaving out 127.0.0.1");
    }
}

#[test]
fn a_good_answer_admits_in_pieces_too() {
    for kind in [&KINDS[1], &KINDS[3]] {
        for answer in [Answer::Text(kind.good), Answer::ByteByByte(kind.good)] {
            let server = Server::start(answer);
            Nanny::start(server.port, &[kind.words, &LONG].concat()).wait_for("[ active ]");
        }
    }
}

#[test]
fn a_drip_is_over_at_the_deadline_of_the_whole_check() {
    let server = Server::start(Answer::Drip(KINDS[1].good));
    let begun = Instant::now();
    let mut nanny = Nanny::start(server.port, &["--check", "http", "-t", "1.2"]);
    nanny.wait_for("READ to 127.0.0.1");
    assert!(begun.elapsed() >= Duration::from_millis(1200));
}

#[test]
fn several_checks_are_all_needed_unless_fewer_are() {
    let well = Server::start(Answer::Text(b"HTTP/1.1 200 OK\r\n\r\n"));
    let dead = format!("port={}", free_port());
    let both = [&["--check", "http", "--check", "tcp", "--with", &dead, "-a", "0.2"], &OFTEN[..]].concat();
    let mut all = Nanny::start(well.port, &both);
    all.wait_for("check tcp: CONNECT to 127.0.0.1");
    all.wait_for("[inactive] leaving out");
    let mut any = Nanny::start(well.port, &[&both[..], &["--checks-needed", "1"]].concat());
    any.wait_for("[ active ]");
    well.answer(Answer::Text(b"HTTP/1.1 500 Oh\r\n\r\n"));
    any.wait_for("[inactive] shutting down");
}

#[test]
fn a_check_comes_from_the_address_and_device_it_was_told() {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let words = ["--check", "tcp", "--with", "source_address=127.0.0.77", "--with", "source_interface=lo", "-t", "5"];
    let mut nanny = Nanny::start(port, &words);
    let (_stream, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), "127.0.0.77".parse::<IpAddr>().unwrap());
    nanny.wait_for("[ active ]");
    let words = ["--check", "tcp", "--with", "source_address=192.0.2.99", "-t", "5"];
    Nanny::start(port, &words).wait_for("failed: Cannot assign requested address");
    let words = ["--check", "tcp", "--with", "source_interface=none0", "-t", "5"];
    Nanny::start(port, &words).wait_for("failed: No such device");
}

#[test]
fn a_udp_check_goes_elsewhere_than_the_server() {
    let mut echo = Echo::start("::1", b"hi\n", b"hi\n");
    let port = format!("port={}", echo.at.port());
    let words =
        ["--check", "udp", "--with", "address=::1", "--with", &port, "--with", "send=hi\\n", "--with", "expect=hi"];
    let mut nanny = Nanny::start(9, &[&words[..], &["-t", "1"]].concat());
    nanny.wait_for("[ active ]");
    echo.stop();
    // Nobody is there any more, and one question may have been under way.
    nanny.wait_for_all(&["READ returned error 111:Connection refused", "[inactive] shutting down"]);
}

#[test]
fn an_echo_comes_back_from_who_is_there() {
    for address in ["127.0.0.1", "::1"] {
        let with = format!("address={address}");
        Nanny::start(9, &["--check", "ping", "--with", &with, "-t", "5"]).wait_for("[ active ]");
    }
    // TEST-NET-1: no route, or no answer.
    let words = ["--check", "ping", "--with", "address=192.0.2.99", "-t", "0.5"];
    let mut nanny = Nanny::start(9, &words);
    nanny.wait_for("ping of 192.0.2.99");
    nanny.wait_for("[inactive] leaving out");
}

#[test]
fn a_script_says_by_its_status_whether_and_with_what_weight() {
    let script = |text: &str| format!("program=/bin/sh -c {text}");
    // Split at blanks, so the shell gets one word.
    let start = |text: &str, more: &[&str]| {
        let with = script(text);
        Nanny::start(9, &[&["--check", "script", "--with", &with, "-t", "2"], more].concat())
    };
    start("exit", &[]).wait_for("[ active ]");
    start("kill${IFS}-9${IFS}$$", &[]).wait_for("terminated with signal 9");
    start("exit${IFS}7", &[]).wait_for("exited with status 7");
    start("exit${IFS}7", &["--with", "exit_is_weight=1"]).wait_for("[ active ]");
    start("exit${IFS}255", &["--with", "exit_is_weight=1"]).wait_for("exited with status 255");
    start("sleep${IFS}100", &["-t", "0.3"]).wait_for("timeout running the following");
    start("yes|head${IFS}-c${IFS}1000000", &[]).wait_for("[ active ]");
}

#[test]
fn a_flood_is_not_read_to_its_end() {
    let server = Server::start(Answer::Flood(b"HTTP/1.1 200 OK\r\n\r\n"));
    let mut nanny = Nanny::start(server.port, &[&["--check", "http"], &OFTEN[..]].concat());
    nanny.wait_for("[ active ]");
    let asked = server.asked();
    wait_until("ten more checks", || server.asked() >= asked + 10);
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(nanny.said("[inactive]"), 0);
}

/// When the last bad check of a server was, and what nanny says of it to who asks.
fn why(port: u16, words: &[&str]) -> (u64, String) {
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny = Nanny::start_on(port, &[words, &OFTEN[..]].concat(), theirs.into());
    nanny.wait_for("[inactive] leaving out");
    line.send(&Ask::Why.encode()).unwrap();
    wait_for("an answer", || match line.receive_said() {
        Received::Message(Said::Why { at, text }) => Some((at, text)),
        Received::Message(_) | Received::Nothing => None,
        other @ (Received::Garbage(_) | Received::Ended) => panic!("{other:?}"),
    })
}

#[test]
fn who_asks_why_a_grpc_server_is_out_hears_what_went_and_came() {
    let server = Server::start(Answer::Text(NOT_FOUND));
    let (_, text) = why(server.port, &["--check", "grpc", "--with", "service=shop.Cart"]);
    for expected in [
        "bytes: \"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\x00\\x00\\x12\\x04",
        ":path\\x1c/grpc.health.v1.Health/Check",
        "\\x00\\x0bgrpc-status\\x015\"",
        "gRPC status NOT_FOUND (it knows no service of this name)",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn who_asks_why_a_server_is_out_hears_what_happened_in_its_last_bad_check() {
    let server = Server::start(Answer::Text(b"HTTP/1.1 503 Service Unavailable\r\nX: \xff\r\n\r\n"));
    let port = server.port;
    let (at, text) = why(port, &["--check", "http"]);
    assert!(at > 1_700_000_000, "{at}");
    let expected = [
        format!("connecting to 127.0.0.1:{port}"),
        "connected".to_owned(),
        "bytes: \"GET / HTTP/1.1\\r\\nHost: 127.0.0.1".to_owned(),
        "bytes: \"HTTP/1.1 503 Service Unavailable\\r\\nX: \\xff\\r\\n\\r\\n\"".to_owned(),
        format!(
            "Trouble. Received results are not what we expected from (127.0.0.1:{port}): HTTP status 503 Service Unavailable"
        ),
    ];
    let steps: Vec<&str> = text.lines().collect();
    assert_eq!(steps.len(), expected.len(), "{text}");
    for (step, expected) in steps.iter().zip(&expected) {
        assert!(step.starts_with('+') && step.contains(expected.as_str()), "{step}");
    }
}

/// Every option of every kind, in a file that lvsd accepts.
const EVERYTHING: &str = r#"
virtual all {
 active = 1
 address = 192.0.2.1 eth0:1
 check tcp {
  port = 81
  address = 127.0.0.9
  source_address = 127.0.0.8
  source_interface = lo
  mark = 7
  send = "a b\r\n"
  expect = "^c=d"
  use_regex = 1
 }
 check tls {
  tls_name = a.example
  verify = 0
  ca_file = /etc/ca.pem
  expiry_warning = 1500ms
 }
 check https {
  method = HEAD
  path = /a?b=c
  host = www.example
  headers = [ "X-A: b c" X-B:1 ]
  status = "200, 300-399"
  body = "alive"
 }
 check grpcs {
  service = shop.Cart
  tls_name = b.example
 }
 check smtp {
  helo = x.example
 }
 check dns {
  query = www.example.
  query_type = TYPE257
  rcode = 3
  answer = "10 mail.example"
 }
 check script {
  program = "/bin/check -x %h %p"
  exit_is_weight = 1
 }
 check = ping
 checks_needed = 5
 server one {
  active = 1
  address = 127.0.0.7
 }
}
"#;

#[test]
fn nanny_takes_every_option_that_lvsd_gives_it() {
    use common::config::{Fake, HealthCheck, Syntax, load_with};
    use lvsd::nanny_command::Manner;
    let mut world = Fake::default();
    world.files.insert("lvs.cf".into(), EVERYTHING.as_bytes().to_vec());
    let config = load_with("lvs.cf".as_ref(), Syntax::LvsCf, &world).unwrap().config;
    let service = &config.virtuals[0];
    let arguments = lvsd::nanny_command::arguments(&config, service, &service.servers[0], &Manner::default()).unwrap();
    let args = nanny::args::parse(arguments.iter().map(Into::into)).unwrap();
    let checks = nanny::probe::checks(&args).unwrap();
    assert_eq!((checks.len(), args.checks_needed), (8, 5));
    for (check, configured) in checks.iter().zip(&service.checks) {
        assert_eq!(check.kind, Some(configured.kind));
    }
    // Nothing that a keyword can say is forgotten above.
    let words: String = service.checks.iter().flat_map(HealthCheck::words).collect();
    for keyword in common::config::keywords().iter().filter(|keyword| keyword.place == common::config::Place::Check) {
        assert!(words.contains(&format!("{}=", keyword.name)), "{}", keyword.name);
    }
}

#[test]
fn a_handshake_fails_in_every_way_with_its_reason() {
    for (answer, expected, timeout) in [
        (Answer::Stall, "timed out", SHORT),
        (Answer::Reset, "READ returned error 104:Connection reset by peer", LONG),
        (Answer::HalfClose, "failed: the server closed the connection in the handshake", LONG),
        (Answer::Text(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "failed: the answer is not TLS", LONG),
        (Answer::Flood(b""), "failed: the answer is not TLS", LONG),
        (Answer::Drip(b"\x16\x03\x03\x01\x00"), "timed out", SHORT),
    ] {
        let server = Server::start(answer);
        let mut nanny = Nanny::start(server.port, &[&["--check", "tls"], &timeout[..]].concat());
        nanny.wait_for(expected);
        nanny.wait_for("[inactive] leaving out 127.0.0.1");
    }
}

/// What ps shows does not depend on whether a check needs TLS.
#[test]
fn a_nanny_with_tls_is_called_nanny_too() {
    let server = Server::start(Answer::Stall);
    let plain = Nanny::start(server.port, &["--check", "tcp"]);
    let secure = Nanny::start(server.port, &["--check", "tls"]);
    let name = |nanny: &Nanny| {
        let line = std::fs::read(format!("/proc/{}/cmdline", nanny.pid())).unwrap();
        let first = line.split(|byte| *byte == 0).next().unwrap().to_vec();
        String::from_utf8(first).unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let exe = |nanny: &Nanny| std::fs::read_link(format!("/proc/{}/exe", nanny.pid())).unwrap();
    // While it does it has no arguments for a moment.
    wait_until("it became the other program", || exe(&secure).ends_with("nanny-tls") && !name(&secure).is_empty());
    assert_eq!((name(&plain), name(&secure)), ("nanny".to_owned(), "nanny".to_owned()));
    assert!(exe(&plain).ends_with("nanny"));
}
