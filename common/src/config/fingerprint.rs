//! What two directors compare to see that their files have drifted apart: a
//! number of the meaning, not of the bytes.
//!
//! It is FNV-1a ([`crate::hash`]) over lines `keyword=value`, sorted,
//! of what concerns both directors and is not the default: comments, order,
//! spelling, names of blocks, device names, inactive blocks and keywords of one
//! node do not count. A keyword that a later version adds does not change it
//! while it has its default. The lines are part of the heartbeat's contract:
//! directors of different versions compare the number.

use std::fmt;

use crate::hash::fnv1a;

use super::kind::Written;
use super::print::lvscf_value;
use super::table::{Block, Config, Entry, HealthCheck, Scope, VirtualService};

/// The meaning of a configuration as a number. Not for secrets: whoever wants to
/// can make two files with the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

/// 16 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The fingerprint of a configuration.
pub fn fingerprint(config: &Config) -> Fingerprint {
    Fingerprint(fnv1a(meaning(config).bytes()))
}

/// The lines that are hashed.
fn meaning(config: &Config) -> String {
    let mut lines = pair_lines(config);
    for (keyword, services) in [("virtual", &config.virtuals), ("failover", &config.failovers)] {
        let active = services.iter().filter(|service| service.active);
        lines.extend(active.map(|service| format!("{keyword}\n{}", block(service))));
    }
    lines.sort_unstable();
    lines.join("\n")
}

fn block(service: &VirtualService) -> String {
    let mut lines = pair_lines(service);
    lines.extend(checks(&service.checks));
    let active = service.servers.iter().filter(|server| server.active);
    lines.extend(active.map(|server| {
        let mut lines = pair_lines(server);
        // the default of a server's port is the virtual's, which is no constant
        lines.retain(|line| !line.starts_with("port="));
        lines.extend(checks(&server.checks));
        format!("server\n  port={}\n  {}", server.port, lines.join("\n  "))
    }));
    lines.sort_unstable();
    lines.join("\n ")
}

/// Each check on a line of its own.
fn checks(checks: &[HealthCheck]) -> impl Iterator<Item = String> {
    checks.iter().map(|check| {
        let mut lines = pair_lines(check);
        lines.retain(|line| line.split_once('=').is_some_and(|(key, _)| check.kind.takes(key)));
        lines.sort_unstable();
        format!("check {} {}", check.kind, lines.join(" "))
    })
}

/// The keywords of a block that concern both directors and have been set.
fn pair_lines<B: Block>(block: &B) -> Vec<String> {
    let mut lines = Vec::new();
    block.write(&mut |Entry { name, written, scope, is_default }| {
        if scope == Scope::Pair && !is_default {
            let value = match &written {
                // the device may have another name on the other node
                Written::Words([address, _]) => address.clone(),
                Written::Number(_) | Written::Flag(_) | Written::Text(..) | Written::List(_) | Written::Rows(_) => {
                    lvscf_value(&written)
                }
            };
            lines.push(format!("{name}={value}"));
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::kind::Reader;
    use super::super::raw::Value;
    use super::super::source::Span;
    use super::super::table::{Keyword, Place, keywords};
    use super::super::tests::good;
    use super::super::{Fake, Syntax, convert, dump, load_with};
    use super::*;
    use crate::check::CheckKind;

    const FILE: &str = "\
primary = 192.0.2.1
backup = 192.0.2.2
backup_active = 1
virtual web {
 active = 1
 address = 192.0.2.9 eth0:1
 send = \"GET / HTTP/1.0\\r\\n\\r\\n\"
 server a {
  address = 192.0.2.11
  active = 1
 }
 server b {
  address = 192.0.2.12
  active = 1
 }
}
virtual dns {
 active = 1
 address = 192.0.2.9 eth0:1
 protocol = udp
 port = 53
}
";

    fn of(text: &str) -> Fingerprint {
        fingerprint(&good(text).config)
    }

    #[test]
    fn the_number_is_the_same_in_every_version() {
        assert_eq!(of(FILE).to_string(), "7a1f8c7d8f44ab06");
    }

    #[test]
    fn what_means_the_same_has_the_same_number() {
        for (what, from, to) in [
            ("comments and blanks", "backup_active = 1", "\n# hello\n   backup_active   =  0x1  "),
            ("a default in writing", "virtual web {", "keepalive = 2\nvirtual web {\n weight_no = 1\n"),
            ("the name of a block", "server a {", "server first {"),
            ("another device on the node", "eth0:1", "bond1:1"),
            ("a keyword of one node", "backup_active = 1", "backup_active = 1\nactive_cmd = /bin/x\nserial_no = 9"),
            ("an inactive block", "virtual dns {", "virtual old {\n port = 7\n}\nvirtual dns {"),
        ] {
            let text = FILE.replace(from, &to.replace(" weight_no = 1\n", ""));
            assert_ne!(text, FILE);
            assert_eq!(of(&text), of(FILE), "{what}");
        }
        let (globals, rest) = FILE.split_once("virtual web").unwrap();
        let (web, dns) = rest.split_once("virtual dns").unwrap();
        assert_eq!(of(&format!("virtual dns{dns}virtual web{web}{globals}")), of(FILE), "the order of blocks");
    }

    #[test]
    fn what_means_something_else_has_another_number() {
        for (from, to) in [
            ("192.0.2.12", "192.0.2.13"),
            ("port = 53", "port = 54"),
            ("backup_active = 1", "keepalive = 3"),
            ("  address = 192.0.2.11\n  active = 1", "  address = 192.0.2.11\n  active = 0"),
            (" server b {", " server b {\n weight = 2"),
            (" server b {", " server b {\n port = 8080"),
            (" server b {", " check = tcp\n server b {"),
            (" server b {", " check http {\n path = /x\n }\n server b {"),
            (" server b {", " server b {\n check = ping"),
        ] {
            assert_ne!(of(&FILE.replace(from, to)), of(FILE), "{to}");
        }
    }

    /// FILE's models with every value of a keyword that can be read.
    fn variants(keyword: &Keyword) -> Vec<Config> {
        let texts =
            ["0", "1", "7", "9", "198.51.100.7", "198.51.100.8", "255.255.255.0", "255.255.0.0", "/a", "/b", "none"];
        let pairs = ["198.51.100.3 198.51.100.5", "198.51.100.4 198.51.100.5", "198.51.100.7 e:1", "198.51.100.8 e:1"];
        let mut models = Vec::new();
        let words = ["200", "404", "MX", "NS", "HEAD"];
        for text in texts.into_iter().chain(pairs).chain(words).chain(keyword.value.split(", ")) {
            let world = Fake::default();
            let mut reader = Reader::new(&world);
            let mut config = good(FILE).config;
            // no blanks but in what is two words: a list is read from its words
            let value = if keyword.value.starts_with("list") {
                Value::List(vec![(Value::Text(text.replace(' ', "_")), Span::default())])
            } else {
                Value::Text(text.to_owned())
            };
            let [web, ..] = config.virtuals.as_mut_slice() else { panic!("no virtual") };
            let [.., server] = web.servers.as_mut_slice() else { panic!("no server") };
            let known = match keyword.place {
                Place::Virtual => web.assign(keyword.name, &value, Span::default(), &mut reader),
                Place::Server => server.assign(keyword.name, &value, Span::default(), &mut reader),
                Place::Global => config.assign(keyword.name, &value, Span::default(), &mut reader),
                Place::Check => {
                    let takes = CheckKind::ALL.into_iter().find(|(_, kind)| kind.takes(keyword.name));
                    let (_, kind) = takes.expect("a kind that takes it");
                    let mut check = HealthCheck { kind, ..HealthCheck::default() };
                    let known = check.assign(keyword.name, &value, Span::default(), &mut reader);
                    web.checks.push(check);
                    known
                }
            };
            assert_eq!(known, Some(keyword.name));
            if !reader.report.has_errors() && !models.contains(&config) {
                models.push(config);
            }
        }
        models
    }

    #[test]
    fn each_keyword_counts_if_both_directors_must_agree_on_it_and_only_then() {
        for keyword in keywords() {
            let models = variants(&keyword);
            let at = format!("{:?} {}", keyword.place, keyword.name);
            assert!(models.len() > 1, "{at}: no two values of it are known here");
            let numbers: BTreeSet<_> = models.iter().map(fingerprint).collect();
            let expected = match keyword.scope {
                Scope::Pair => models.len(),
                Scope::Node | Scope::Nobody => 1,
            };
            assert_eq!(numbers.len(), expected, "{at}");
        }
    }

    #[test]
    fn however_it_is_written_it_is_the_same() {
        let mut world = Fake::default();
        world.files.insert("lvs.cf".into(), FILE.into());
        let toml = convert(Path::new("lvs.cf"), Syntax::LvsCf, Syntax::Toml, &world).unwrap();
        world.files.insert("lvs.toml".into(), toml.into());
        let dumped = dump(&good(FILE).config, Syntax::LvsCf);
        let (globals, blocks) = FILE.split_once("virtual web").unwrap();
        world.files.insert("main.cf".into(), format!("include = blocks.cf\n{globals}").into());
        world.files.insert("blocks.cf".into(), format!("virtual web{blocks}").into());
        let number = |name: &str| {
            let path = Path::new(name);
            fingerprint(&load_with(path, Syntax::of(path), &world).unwrap().config)
        };
        assert_eq!([number("lvs.toml"), number("main.cf"), of(&dumped)], [of(FILE); 3]);
    }

    #[test]
    fn spelling_and_order_within_a_block_do_not_count() {
        let spelt = FILE
            .replace("port = 53", "port = 0x35")
            .replace("192.0.2.11", "192.0.523")
            .replace("backup_active = 1", "backup_active=\"1\" # yes")
            .replace('\n', "\r\n");
        assert_eq!(of(&spelt), of(FILE));
        let turned = FILE.replace(" protocol = udp\n port = 53\n", " port = 53\n protocol = udp\n");
        assert_ne!(turned, FILE);
        assert_eq!(of(&turned), of(FILE));
    }
}
