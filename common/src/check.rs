//! The words of health checks that lvs.cf and nanny's command line share: the
//! kinds, which options each takes, and what the texts with a form of their own
//! mean. lvsd refuses what nanny could not do before it starts one.

use std::fmt;

/// The most checks of one real server.
pub const CHECKS_MAX: usize = 8;

/// The most bytes that the checks of one real server may take on nanny's command
/// line: it has to fit a packet to lvsd beside everything else.
pub const WORDS_MAX: usize = 8 * 1024;

/// The most ranges of HTTP statuses.
const RANGES_MAX: usize = 16;

/// What a check speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CheckKind {
    /// A connection; a text sent and one expected, if given.
    #[default]
    Tcp,
    /// The same in datagrams.
    Udp,
    /// The same within TLS.
    Tls,
    /// A request and the status of its answer.
    Http,
    /// The same within TLS.
    Https,
    /// A gRPC call that asks for the server's health.
    Grpc,
    /// The same within TLS.
    Grpcs,
    /// The greeting of a mail server.
    Smtp,
    /// A question to a name server.
    Dns,
    /// An ICMP echo.
    Ping,
    /// A program's exit status.
    Script,
}

/// Where a check comes from and goes.
const WAY: [&str; 4] = ["address", "source_address", "source_interface", "mark"];
const TEXTS: [&str; 3] = ["send", "expect", "use_regex"];
const REQUEST: [&str; 7] = ["method", "path", "host", "headers", "status", "body", "use_regex"];
const TLS: [&str; 4] = ["tls_name", "verify", "ca_file", "expiry_warning"];
const CALL: [&str; 2] = ["service", "host"];
const QUESTION: [&str; 4] = ["query", "query_type", "rcode", "answer"];

impl CheckKind {
    /// Every kind by its name.
    pub const ALL: [(&'static str, Self); 11] = [
        ("tcp", Self::Tcp),
        ("udp", Self::Udp),
        ("tls", Self::Tls),
        ("http", Self::Http),
        ("https", Self::Https),
        ("grpc", Self::Grpc),
        ("grpcs", Self::Grpcs),
        ("smtp", Self::Smtp),
        ("dns", Self::Dns),
        ("ping", Self::Ping),
        ("script", Self::Script),
    ];

    /// The kind of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Whether an option means something to it.
    pub fn takes(self, option: &str) -> bool {
        let is = |options: &[&str]| options.contains(&option);
        match self {
            Self::Tcp | Self::Udp => option == "port" || is(&WAY) || is(&TEXTS),
            Self::Tls => option == "port" || is(&WAY) || is(&TEXTS) || is(&TLS),
            Self::Http => option == "port" || is(&WAY) || is(&REQUEST),
            Self::Https => option == "port" || is(&WAY) || is(&REQUEST) || is(&TLS),
            Self::Grpc => option == "port" || is(&WAY) || is(&CALL),
            Self::Grpcs => option == "port" || is(&WAY) || is(&CALL) || is(&TLS),
            Self::Smtp => option == "port" || is(&WAY) || option == "helo",
            Self::Dns => option == "port" || is(&WAY) || is(&QUESTION),
            Self::Ping => is(&WAY),
            Self::Script => is(&["address", "port", "program", "exit_is_weight"]),
        }
    }

    /// Whether it needs a TLS library.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Grpcs)
    }
}

impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

/// HTTP statuses: `200-399`, `200 204 301-302`, commas or blanks between.
///
/// # Errors
/// It is none; in words.
pub fn statuses(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let status = |text: &str| {
        let good = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| good && (100..=599).contains(n))
    };
    let words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    let range = |word: &str| {
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        let range = status(low).zip(status(high)).filter(|(low, high)| low <= high);
        range.ok_or_else(|| format!("\"{word}\" is no HTTP status (100 to 599) and no range of them"))
    };
    let ranges = words.map(range).collect::<Result<Vec<_>, _>>()?;
    match ranges.len() {
        0 => Err("no HTTP status is given".to_owned()),
        1..=RANGES_MAX => Ok(ranges),
        n => Err(format!("{n} ranges of HTTP statuses are given, {RANGES_MAX} are the most")),
    }
}

/// An HTTP method.
///
/// # Errors
/// It is none; in words.
pub fn method(text: &str) -> Result<(), String> {
    let good = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    if good { Ok(()) } else { Err(format!("\"{text}\" is no HTTP method")) }
}

/// The path of an HTTP request, with its query.
///
/// # Errors
/// It is none; in words.
pub fn path(text: &str) -> Result<(), String> {
    let good = (text.starts_with('/') || text == "*") && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(()) } else { Err("a path begins with / and has neither blanks nor letters beyond ASCII".to_owned()) }
}

/// A host name or an address, as it stands in `Host:`, HELO or a certificate.
///
/// # Errors
/// It is none; in words.
pub fn host(text: &str) -> Result<(), String> {
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let good = (1..=253).contains(&text.len()) && text.bytes().all(is_host);
    if good { Ok(()) } else { Err(format!("\"{text}\" is no host name")) }
}

/// The name of a gRPC service, as its health is asked for: any text, and none for the
/// whole server.
///
/// # Errors
/// It is none; in words.
pub fn grpc_service(text: &str) -> Result<(), String> {
    let good = text.len() <= 255 && !text.contains(char::is_control);
    if good { Ok(()) } else { Err(format!("{text:?} is no name of a gRPC service")) }
}

/// `Name: value`.
///
/// # Errors
/// It is none; in words.
pub fn header(text: &str) -> Result<(), String> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let good = text.split_once(':').is_some_and(|(name, value)| {
        !name.is_empty() && name.bytes().all(is_name) && !value.chars().any(|c| c.is_control() && c != '\t')
    });
    if good { Ok(()) } else { Err(format!("\"{text}\" is no HTTP header: it takes \"Name: value\"")) }
}

/// A domain name as DNS has it on the wire (RFC 1035 3.1).
///
/// # Errors
/// It is none; in words.
pub fn domain(text: &str) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    let labels = text.strip_suffix('.').unwrap_or(text);
    for label in labels.split('.').filter(|_| !labels.is_empty()) {
        let is_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n) && label.bytes().all(is_label));
        wire.push(length.ok_or_else(|| format!("\"{text}\" is no domain name"))?);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    if wire.len() > 255 || text.is_empty() { Err(format!("\"{text}\" is no domain name")) } else { Ok(wire) }
}

const TYPES: [(&str, u16); 13] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DS", 43),
    ("DNSKEY", 48),
    ("CAA", 257),
];

/// A type of DNS records, by name or as `TYPE257`.
///
/// # Errors
/// It is none; in words.
pub fn record_type(text: &str) -> Result<u16, String> {
    let upper = text.to_ascii_uppercase();
    let named = TYPES.iter().find(|(name, _)| *name == upper).map(|(_, number)| *number);
    let number = upper.strip_prefix("TYPE").and_then(|number| number.parse().ok());
    named.or(number).ok_or_else(|| format!("\"{text}\" is no type of DNS records"))
}

const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
];

/// The code of a DNS answer, by name or number.
///
/// # Errors
/// It is none; in words.
pub fn rcode(text: &str) -> Result<u8, String> {
    let upper = text.to_ascii_uppercase();
    let named = RCODES.iter().position(|name| *name == upper).and_then(|at| u8::try_from(at).ok());
    let number = text.parse().ok().filter(|number| *number <= 15);
    named.or(number).ok_or_else(|| format!("\"{text}\" is no code of a DNS answer"))
}

/// The name of a code.
pub fn rcode_name(code: u8) -> String {
    RCODES.get(usize::from(code)).map_or_else(|| format!("code {code}"), |name| (*name).to_owned())
}

/// The name of a network device.
///
/// # Errors
/// It is none; in words.
pub fn interface(text: &str) -> Result<(), String> {
    let good = (1..=15).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
    if good { Ok(()) } else { Err(format!("\"{text}\" is no network device")) }
}

/// The escapes of lvs.cf's strings (piranha.md 1.6): `\\ \r \n \t \' \"`; others
/// stay as they are, and so does a text of a single character.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match (byte, after.first()) {
            (b'\\', Some(b'\\')) => Some(b'\\'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'\'')) => Some(b'\''),
            (b'\\', Some(b'"')) => Some(b'"'),
            _ => None,
        };
        if escaped.is_some() {
            rest = after.get(1..).unwrap_or_default();
        }
        out.push(escaped.unwrap_or(byte));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_lvs_cf() {
        let long = |text: &str| String::from_utf8(unescape(text.as_bytes())).unwrap();
        assert_eq!(long(r"GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.0\r\n\r\n");
        assert_eq!(long(r#"a\tb\\c\'d\"e\x\."#), "a\tb\\c'd\"e\\x\\.");
        assert_eq!(long(r"\\n"), r"\n");
        assert_eq!(long(r"\"), r"\");
        assert_eq!(long(r"end\"), r"end\");
        assert_eq!(long(""), "");
    }

    #[test]
    fn statuses_are_numbers_and_ranges() {
        assert_eq!(statuses("200"), Ok(vec![(200, 200)]));
        assert_eq!(statuses("200-399"), Ok(vec![(200, 399)]));
        assert_eq!(statuses("200, 204 301-302"), Ok(vec![(200, 200), (204, 204), (301, 302)]));
        for text in ["", " ", "99", "600", "2xx", "300-200", "200-", "-200", "+20", "200-299-300", "0200"] {
            assert!(statuses(text).is_err(), "{text}");
        }
        assert!(statuses(&"200 ".repeat(17)).is_err());
    }

    #[test]
    fn domains_become_labels() {
        assert_eq!(domain("a.example.").unwrap(), b"\x01a\x07example\0");
        assert_eq!(domain("a.example").unwrap(), b"\x01a\x07example\0");
        assert_eq!(domain(".").unwrap(), b"\0");
        for text in ["", "a..b", ".a", "a b", "é", &"a".repeat(64), &"a.".repeat(128)] {
            assert!(domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_dns_are_known_in_any_case_and_by_number() {
        assert_eq!((record_type("aaaa"), record_type("TYPE257")), (Ok(28), Ok(257)));
        assert_eq!((rcode("nxdomain"), rcode("5")), (Ok(3), Ok(5)));
        assert!(record_type("TYPE65536").is_err() && record_type("X").is_err() && rcode("16").is_err());
        assert_eq!((rcode_name(2), rcode_name(15)), ("SERVFAIL".to_owned(), "code 15".to_owned()));
    }

    #[test]
    fn what_could_cut_a_request_in_two_is_refused() {
        for text in ["/a b", "/a\r\nX: 1", "a", "", "/é"] {
            assert!(path(text).is_err(), "{text}");
        }
        for text in ["a b", "a\r\n", "", "a/b"] {
            assert!(host(text).is_err(), "{text}");
        }
        for text in ["X", "X y: 1", ": 1", "X: 1\r\nY: 2", ""] {
            assert!(header(text).is_err(), "{text}");
        }
        assert!(header("X-A: b").is_ok() && header("X:").is_ok());
        for text in ["a\nb", "\0", &"a".repeat(256)] {
            assert!(grpc_service(text).is_err(), "{text}");
        }
        assert!(grpc_service("").is_ok() && grpc_service("package.Service/é").is_ok());
        assert!(method("GET ").is_err() && method("").is_err() && method("HEAD").is_ok());
        assert!(interface("eth0.7").is_ok() && interface("a/b").is_err() && interface("").is_err());
    }

    #[test]
    fn every_kind_has_its_name() {
        for (name, kind) in CheckKind::ALL {
            assert_eq!((CheckKind::of(name), kind.to_string()), (Some(kind), name.to_owned()));
        }
        assert_eq!(CheckKind::of("HTTP"), None);
        assert!(
            CheckKind::Https.takes("path") && CheckKind::Https.takes("ca_file") && !CheckKind::Http.takes("ca_file")
        );
    }
}
