//! The rules about health checks (piranha.md 1.6).

use super::Linter;
use crate::check;
use crate::config::check::Origin;
use crate::config::source::Span;
use crate::config::table::{HealthCheck, VirtualService};
use crate::ipvs::Protocol;

/// Ports where HTTP is spoken in the clear.
const HTTP_PORTS: [u16; 6] = [80, 591, 3128, 8000, 8008, 8080];
/// Ports of other protocols in which the client speaks first: DNS, HTTPS, LDAP,
/// LDAPS, SIP, PostgreSQL, Redis, memcached.
const CLIENT_FIRST_PORTS: [u16; 8] = [53, 389, 443, 636, 5060, 5432, 6379, 11211];
const METHODS: [&str; 4] = ["GET ", "HEAD ", "OPTIONS ", "POST "];

impl Linter<'_> {
    pub(super) fn probe(&mut self, service: &VirtualService, origin: &Origin) {
        if !origin.is_sure_of(&["send", "expect", "use_regex", "send_program", "port", "protocol"]) {
            return;
        }
        self.checks(service, origin);
        if service.servers.iter().filter(|server| server.active).all(|server| !server.checks(service).is_empty())
            && (!service.checks.is_empty() || service.servers.iter().any(|server| server.active))
        {
            let set = [
                ("send", service.send.is_some()),
                ("expect", service.expect.is_some()),
                ("use_regex", service.use_regex),
                ("send_program", service.send_program.is_some()),
            ];
            for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                self.warn(
                    "ineffective",
                    origin.of(key),
                    format!("{key} has no effect beside check"),
                    "put it into a check block",
                );
            }
        } else if service.send_program.is_some() {
            self.program(service, origin);
        } else {
            self.exchange(service, origin);
        }
    }

    fn checks(&mut self, service: &VirtualService, origin: &Origin) {
        for (check, its) in service.checks.iter().zip(&origin.checks) {
            self.check(check, its);
        }
        let needed = usize::try_from(service.checks_needed).unwrap_or(usize::MAX);
        if needed > service.checks.len() && origin.has("checks_needed") {
            self.checks_needed(origin.of("checks_needed"), needed, service.checks.len());
        }
        for (server, origin) in service.servers.iter().zip(&origin.servers).filter(|(server, _)| server.active) {
            for (check, its) in server.checks.iter().zip(&origin.checks) {
                self.check(check, its);
            }
            let (needed, there) = (server.checks_needed(service), server.checks(service).len());
            let needed = usize::try_from(needed).unwrap_or(usize::MAX);
            if needed > there && (server.checks_needed.is_some() || !server.checks.is_empty()) {
                self.checks_needed(origin.of("checks_needed"), needed, there);
            }
        }
    }

    fn checks_needed(&mut self, span: Span, needed: usize, there: usize) {
        self.warn(
            "checks-needed",
            span,
            format!("{needed} checks are needed and there are {there}"),
            "all are needed then",
        );
    }

    fn check(&mut self, check: &HealthCheck, origin: &Origin) {
        let kind = check.kind;
        for (key, span) in &origin.keys {
            if !kind.takes(key) {
                self.warn("ineffective", *span, format!("{key} has no effect in a check of {kind}"), "remove the line");
            }
        }
        let has_name = check.tls_name.is_some()
            || check
                .host
                .as_ref()
                .is_some_and(|host| kind.takes("host") && host.bytes().any(|b| b.is_ascii_alphabetic()));
        if kind.is_secure() && check.verify && !has_name {
            let message = "the certificate must have the server's address as its name";
            self.warn("tls-name", origin.span, message, "set tls_name, or host, or verify = 0");
        }
        for (key, text) in [("expect", &check.expect), ("body", &check.body)] {
            if let Some(text) = text.as_ref().filter(|_| check.use_regex && kind.takes(key))
                && let Err(e) = regex_lite::Regex::new(&unescape(text))
            {
                let message = format!("{key} is no regular expression: {e}");
                self.warn("bad-regex", origin.of(key), message, "every check would fail");
            }
        }
    }

    fn program(&mut self, service: &VirtualService, origin: &Origin) {
        if service.expect.is_none() {
            let message = "without expect the output is equal to nothing: the server is never available";
            self.warn("program-without-expect", origin.of("send_program"), message, "expect = \"OK\"");
        }
        if service.send.is_some() {
            self.warn("ineffective", origin.of("send"), "send has no effect beside send_program", "");
        }
        if service.use_regex {
            self.warn("ineffective", origin.of("use_regex"), "use_regex has no effect beside send_program", "");
        }
    }

    fn exchange(&mut self, service: &VirtualService, origin: &Origin) {
        let is_udp = service.protocol == Protocol::Udp;
        // an HTTP check is the default on port 80 if neither is set
        let is_silent = service.send.as_ref().is_none_or(String::is_empty);
        if is_udp && is_silent {
            let message = "nothing is sent to the UDP service: no check can succeed";
            self.warn("udp-without-send", origin.of("protocol"), message, "set send, or send_program");
        }
        if let Some(expect) = &service.expect {
            let is_client_first = HTTP_PORTS.contains(&service.port) || CLIENT_FIRST_PORTS.contains(&service.port);
            if expect.is_empty() {
                let message = "expect is empty: the check waits for an answer and compares nothing";
                self.warn(
                    "expect-unread",
                    origin.of("expect"),
                    message,
                    "remove the line to check the connection only",
                );
            } else if is_silent && is_client_first && !is_udp {
                let message = format!("nothing is sent: a server on port {} does not speak first", service.port);
                self.warn("expect-unread", origin.of("expect"), message, "set send");
            }
            if service.use_regex
                && let Err(e) = regex_lite::Regex::new(&unescape(expect))
            {
                let message = format!("expect is no regular expression: {e}");
                self.warn("bad-regex", origin.of("expect"), message, "every check would fail");
            }
        }
        let Some(send) = service.send.as_ref().map(|send| unescape(send)) else { return };
        let is_request = METHODS.iter().any(|method| send.starts_with(method));
        let is_http = HTTP_PORTS.contains(&service.port) && !send.is_empty() && !is_udp;
        if (is_request || is_http) && !send.contains("\r\n\r\n") {
            let message = "the request does not end with an empty line";
            self.warn("http-line-end", origin.of("send"), message, "end it with \\r\\n\\r\\n");
        }
    }
}

/// The text as nanny sends it.
fn unescape(text: &str) -> String {
    String::from_utf8_lossy(&check::unescape(text.as_bytes())).into_owned()
}
