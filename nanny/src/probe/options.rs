//! From the words of `--check` and `--with` to a check. Pure; what cannot be done
//! is refused in words, before anything is started.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use common::check::{self, CheckKind};

use super::exchange::{Expect, Pattern, Script};
use super::http::{Body, Parts, Request};
use super::program::{Command, Good};
use super::talk::Topic;
use super::{Check, Plan, Target, Tls, Transport, dns, grpc, smtp, udp_silence};
use crate::args::Args;

/// How long before its end a certificate is warned of, unless asked otherwise.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 86_400);

/// The statuses that are good unless asked otherwise.
const STATUSES: &str = "200-399";

/// A check as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it speaks.
    pub kind: CheckKind,
    /// Its options, in order.
    pub options: Vec<(String, String)>,
}

impl Asked {
    fn last(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> Vec<String> {
        let values = self.options.iter().filter(|(known, _)| known == name);
        values.map(|(_, value)| value.clone()).collect()
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.last(name)
            .map(|text| text.parse().map_err(|_| self.bad(name, "it is no number or none of these")))
            .transpose()
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.last(name) {
            None => Ok(default),
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(_) => Err(self.bad(name, "it takes 0 or 1")),
        }
    }

    fn bad(&self, name: &str, why: &str) -> String {
        format!("bad option {name} of check {}: {why}", self.kind)
    }

    /// A value that [`common::check`] reads.
    fn read<T>(&self, name: &str, text: &str, read: fn(&str) -> Result<T, String>) -> Result<T, String> {
        read(text).map_err(|why| self.bad(name, &why))
    }

    fn text(&self, name: &str, args: &Args) -> Option<Vec<u8>> {
        self.last(name).map(|text| if args.suppress { text.into() } else { check::unescape(text.as_bytes()) })
    }

    /// The check.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self, args: &Args) -> Result<Check, String> {
        if let Some((name, _)) = self.options.iter().find(|(name, _)| !self.kind.takes(name)) {
            return Err(self.bad(name, "there is no such option"));
        }
        let target = self.target(args)?;
        let plan = match self.kind {
            CheckKind::Script => self.script(target.to)?,
            CheckKind::Tcp => self.text_plan(Transport::Tcp, args),
            CheckKind::Udp => self.text_plan(Transport::Udp, args),
            CheckKind::Tls => self.text_plan(Transport::Tls(self.tls(None)?), args),
            CheckKind::Http => {
                Plan::Converse { transport: Transport::Tcp, topic: Topic::Http(self.request(target.to, 80, args)?) }
            }
            CheckKind::Https => {
                let tls = self.tls(self.last("host"))?;
                let topic = Topic::Http(self.request(target.to, 443, args)?);
                Plan::Converse { transport: Transport::Tls(tls), topic }
            }
            CheckKind::Grpc => {
                Plan::Converse { transport: Transport::Tcp, topic: Topic::Grpc(self.call(target.to, false)?) }
            }
            CheckKind::Grpcs => {
                let tls = Tls { is_http2: true, ..self.tls(self.last("host"))? };
                Plan::Converse { transport: Transport::Tls(tls), topic: Topic::Grpc(self.call(target.to, true)?) }
            }
            CheckKind::Smtp => {
                let helo = self.last("helo").unwrap_or("localhost");
                self.read("helo", helo, check::host)?;
                Plan::Converse { transport: Transport::Tcp, topic: Topic::Smtp(smtp::Visit::new(helo)) }
            }
            CheckKind::Dns => self.dns(args)?,
            CheckKind::Ping => Plan::Converse { transport: Transport::Icmp, topic: Topic::Echo },
        };
        Ok(Check { kind: Some(self.kind), target, plan })
    }

    fn target(&self, args: &Args) -> Result<Target, String> {
        let address = |name| {
            let parsed =
                self.last(name).map(|text| text.parse::<IpAddr>().map_err(|_| self.bad(name, "it is no address")));
            parsed.transpose()
        };
        let to = address("address")?.unwrap_or(args.real.ip());
        let port = self.number("port")?.unwrap_or(args.real.port());
        let source = address("source_address")?;
        if source.is_some_and(|source| source.is_ipv4() != to.is_ipv4()) {
            return Err(self.bad("source_address", "it is of another family than the address the check goes to"));
        }
        let interface = self.last("source_interface").map(str::to_owned);
        if let Some(name) = &interface {
            self.read("source_interface", name, check::interface)?;
        }
        let mark = self.number("mark")?.unwrap_or(0);
        Ok(Target { to: SocketAddr::new(to, port), source, interface, mark })
    }

    fn text_plan(&self, transport: Transport, args: &Args) -> Plan {
        let is_pattern = self.last("use_regex") == Some("1");
        let silence = matches!(transport, Transport::Udp).then(|| udp_silence(args));
        let send = self.text("send", args).unwrap_or_default();
        let script = Script::new(send, Expect::new(self.text("expect", args), is_pattern), silence);
        Plan::Converse { transport, topic: Topic::Text(script) }
    }

    fn request(&self, to: SocketAddr, port: u16, args: &Args) -> Result<Request, String> {
        let method = self.last("method").unwrap_or("GET");
        self.read("method", method, check::method)?;
        let path = self.last("path").unwrap_or("/");
        self.read("path", path, check::path)?;
        let headers = self.all("headers");
        for header in &headers {
            self.read("headers", header, check::header)?;
        }
        let host = self.host(to, port)?;
        let statuses = self.read("status", self.last("status").unwrap_or(STATUSES), check::statuses)?;
        let body = match self.text("body", args) {
            None => Body::Any,
            Some(text) if self.flag("use_regex", false)? => Body::Pattern(Pattern::new(&text)),
            Some(text) => Body::Text(text),
        };
        Ok(Request::new(&Parts { method, path, host: &host, headers: &headers }, statuses, body))
    }

    fn call(&self, to: SocketAddr, is_secure: bool) -> Result<grpc::Request, String> {
        let service = self.last("service").unwrap_or_default();
        self.read("service", service, check::grpc_service)?;
        let host = self.host(to, if is_secure { 443 } else { 80 })?;
        Ok(grpc::Request::new(service, &host, is_secure))
    }

    /// Whom it is asked of. As browsers have it: no port where it is the usual one.
    fn host(&self, to: SocketAddr, usual: u16) -> Result<String, String> {
        let host = match (self.last("host"), to.ip(), to.port() == usual) {
            (Some(host), _, _) => host.to_owned(),
            (None, IpAddr::V6(address), true) => format!("[{address}]"),
            (None, IpAddr::V4(address), true) => address.to_string(),
            (None, _, false) => to.to_string(),
        };
        self.read("host", &host, check::host)?;
        Ok(host)
    }

    fn tls(&self, host: Option<&str>) -> Result<Tls, String> {
        // An address in Host: is no name of a certificate, and a port belongs to neither.
        let host = host.map(|host| host.split_once(':').map_or(host, |(name, _)| name));
        let name = self.last("tls_name").or(host.filter(|host| host.bytes().any(|b| b.is_ascii_alphabetic())));
        if let Some(name) = name {
            self.read("tls_name", name, check::host)?;
        }
        let warning = self.last("expiry_warning").map(|text| self.read("expiry_warning", text, crate::args::time));
        let warning = warning.transpose()?.unwrap_or(EXPIRY_WARNING);
        Ok(Tls {
            name: name.map(str::to_owned),
            verify: self.flag("verify", true)?,
            ca_file: self.last("ca_file").map(PathBuf::from),
            expiry_warning: warning,
            is_http2: false,
        })
    }

    fn dns(&self, args: &Args) -> Result<Plan, String> {
        let query = self.last("query").unwrap_or(".");
        let name = self.read("query", query, check::domain)?;
        let kind = self.last("query_type").unwrap_or(if query == "." { "NS" } else { "A" });
        let kind = self.read("query_type", kind, check::record_type)?;
        let rcode = self.read("rcode", self.last("rcode").unwrap_or("NOERROR"), check::rcode)?;
        let answer = self.last("answer").map(str::to_owned);
        let transport = if args.udp { Transport::Udp } else { Transport::Tcp };
        let topic = Topic::Dns(dns::Question::new(name, kind, rcode, answer, !args.udp));
        Ok(Plan::Converse { transport, topic })
    }

    fn script(&self, to: SocketAddr) -> Result<Plan, String> {
        let good = if self.flag("exit_is_weight", false)? { Good::Weight } else { Good::Status };
        let line = self.last("program").unwrap_or_default();
        let command = Command::new(line.as_bytes(), to, good);
        if command.words().is_empty() { Err(self.bad("program", "it is missing")) } else { Ok(Plan::Run(command)) }
    }
}

#[cfg(test)]
mod tests;
