use std::ffi::OsString;

use super::*;
use crate::probe::checks;

/// The one check that these words ask for, of 192.0.2.7:8080.
fn check(words: &[&str]) -> Result<Check, String> {
    let own = ["--lvs", "-h", "192.0.2.7", "-r", "8080", "-V", "192.0.2.1", "-t", "3"];
    let line = own.iter().chain(words).map(OsString::from);
    match crate::args::parse(line) {
        Ok(args) => Ok(checks(&args).unwrap().remove(0)),
        Err(crate::args::Refusal::Usage(text)) => Err(text),
        Err(other @ crate::args::Refusal::Answer(_)) => panic!("{other:?}"),
    }
}

/// A check with these options.
fn with(kind: &str, options: &[&str]) -> Result<Check, String> {
    let options = options.iter().flat_map(|option| ["--with", option]);
    check(&["--check", kind].into_iter().chain(options).collect::<Vec<_>>())
}

fn sends(check: &Check) -> String {
    match &check.plan {
        Plan::Converse { topic, .. } => String::from_utf8_lossy(topic.sends()).into_owned(),
        Plan::Run(command) => command.line(),
    }
}

#[test]
fn a_check_goes_to_the_server_unless_it_says_otherwise() {
    let to = |options: &[&str]| with("tcp", options).unwrap().target;
    let plain = Target { to: "192.0.2.7:8080".parse().unwrap(), source: None, interface: None, mark: 0 };
    assert_eq!(to(&[]), plain);
    let options = ["address=192.0.2.9", "port=81", "source_address=192.0.2.2", "source_interface=eth1", "mark=7"];
    let elsewhere = Target {
        to: "192.0.2.9:81".parse().unwrap(),
        source: Some("192.0.2.2".parse().unwrap()),
        interface: Some("eth1".to_owned()),
        mark: 7,
    };
    assert_eq!(to(&options), elsewhere);
    let why = with("tcp", &["source_address=2001:db8::1"]).unwrap_err();
    assert!(why.contains("another family"), "{why}");
}

#[test]
fn http_asks_for_the_host_as_browsers_do() {
    let host = |kind: &str, options: &[&str]| {
        let text = sends(&with(kind, options).unwrap());
        text.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap().to_owned()
    };
    assert_eq!(host("http", &[]), "192.0.2.7:8080");
    assert_eq!(host("http", &["port=80"]), "192.0.2.7");
    assert_eq!(host("https", &["port=443"]), "192.0.2.7");
    assert_eq!(host("http", &["address=2001:db8::7", "port=80"]), "[2001:db8::7]");
    assert_eq!(host("http", &["address=2001:db8::7"]), "[2001:db8::7]:8080");
    assert_eq!(host("http", &["host=www.example"]), "www.example");
    let text = sends(&with("http", &["method=HEAD", "path=/a?b=c=d", "headers=X-A: 1", "headers=X-B: 2"]).unwrap());
    assert!(text.starts_with("HEAD /a?b=c=d HTTP/1.1\r\n") && text.ends_with("X-A: 1\r\nX-B: 2\r\n\r\n"), "{text}");
}

#[test]
fn a_certificate_must_have_the_name_that_is_asked_for() {
    let tls = |kind: &str, options: &[&str]| match with(kind, options).unwrap().plan {
        Plan::Converse { transport: Transport::Tls(tls), .. } => tls,
        other @ (Plan::Converse { .. } | Plan::Run(_)) => panic!("{other:?}"),
    };
    let plain = tls("https", &["host=www.example:8443"]);
    let fortnight = Duration::from_secs(14 * 86_400);
    let expected = Tls {
        name: Some("www.example".into()),
        verify: true,
        ca_file: None,
        expiry_warning: fortnight,
        is_http2: false,
    };
    assert_eq!(plain, expected);
    assert_eq!(tls("grpcs", &["host=www.example:8443"]), Tls { is_http2: true, ..expected });
    assert_eq!(tls("https", &["host=192.0.2.9"]).name, None, "an address is none");
    let own = tls("tls", &["tls_name=a.example", "verify=0", "ca_file=/etc/ca.pem", "expiry_warning=0"]);
    assert_eq!((own.name.as_deref(), own.verify), (Some("a.example"), false));
    assert_eq!((own.ca_file, own.expiry_warning), (Some("/etc/ca.pem".into()), Duration::ZERO));
}

#[test]
fn scripts_get_address_and_port() {
    let script = with("script", &["program=/bin/check -h %h %p", "port=99", "exit_is_weight=1"]).unwrap();
    assert_eq!(sends(&script), "/bin/check -h 192.0.2.7 99");
}

#[test]
fn escapes_are_those_of_the_originals_texts() {
    assert_eq!(sends(&with("tcp", &["send=PING\\r\\n"]).unwrap()), "PING\r\n");
    let raw = check(&["-T", "--check", "tcp", "--with", "send=PING\\r\\n"]).unwrap();
    assert_eq!(sends(&raw), "PING\\r\\n");
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    for (kind, options, why) in [
        ("gopher", &[][..], "bad argument --check gopher: no such check"),
        ("tcp", &["path=/"], "bad option path of check tcp: there is no such option"),
        ("tcp", &["port=x"], "bad option port of check tcp: it is no number or none of these"),
        ("tcp", &["port"], "bad argument --with port: it takes NAME=VALUE"),
        (
            "http",
            &["status=2xx"],
            "bad option status of check http: \"2xx\" is no HTTP status (100 to 599) and no range of them",
        ),
        ("http", &["path=a"], "bad option path of check http: a path begins with /"),
        ("dns", &["query=a..b"], "bad option query of check dns: \"a..b\" is no domain name"),
        ("script", &[], "bad option program of check script: it is missing"),
        ("https", &["verify=yes"], "bad option verify of check https: it takes 0 or 1"),
        ("grpc", &["service=a\tb"], "bad option service of check grpc: \"a\\tb\" is no name of a gRPC service"),
        ("grpc", &["host=a b"], "bad option host of check grpc: \"a b\" is no host name"),
        ("grpc", &["verify=0"], "bad option verify of check grpc: there is no such option"),
    ] {
        let said = with(kind, options).unwrap_err();
        assert!(said.starts_with(why), "{said}");
    }
    assert_eq!(check(&["--with", "port=1"]).unwrap_err(), "bad argument --with: it belongs behind --check");
    assert_eq!(check(&["--check", "tcp"].repeat(9)).unwrap_err(), "more than 8 checks");
}
