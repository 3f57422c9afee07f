//! What two directors compare to see that their files have drifted apart: a
//! number of the meaning, not of the bytes.
//!
//! It is FNV-1a (64 bit, draft-eastlake-fnv) over lines `keyword=value`, sorted,
//! of what concerns both directors and is not the default: comments, order,
//! spelling, names of blocks, device names, inactive blocks and keywords of one
//! node do not count. A keyword that a later version adds does not change it
//! while it has its default. The lines are part of the heartbeat's contract:
//! directors of different versions compare the number.

use std::fmt;

use super::kind::Written;
use super::print::lvscf_value;
use super::table::{Block, Config, Entry, Scope, VirtualService};

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

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The fingerprint of a configuration.
pub fn fingerprint(config: &Config) -> Fingerprint {
    let mut hash = FNV_OFFSET;
    for byte in meaning(config).bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    }
    Fingerprint(hash)
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
    let active = service.servers.iter().filter(|server| server.active);
    lines.extend(active.map(|server| {
        let mut lines = pair_lines(server);
        // the default of a server's port is the virtual's, which is no constant
        lines.retain(|line| !line.starts_with("port="));
        format!("server\n  port={}\n  {}", server.port, lines.join("\n  "))
    }));
    lines.sort_unstable();
    lines.join("\n ")
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
    use super::super::tests::good;
    use super::*;

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
        ] {
            assert_ne!(of(&FILE.replace(from, to)), of(FILE), "{to}");
        }
    }
}
