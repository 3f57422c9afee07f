//! PURE. What a file with `service = fos` asks of lvsd.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use common::channel::failover_place;
use common::command::words;
use common::config::{Config, VirtualService};
use common::ipvs::{DestinationKey, ServiceKey};

use super::service::Rules;
use crate::messages::Message;
use crate::nanny_command::{self, Manner};
use crate::wanted::{DEFAULT_MONITOR, Monitor, Target};

/// One active failover block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name in the file.
    pub name: String,
    /// Where it is watched, which is what makes it that service.
    pub key: ServiceKey,
    /// The same for the log.
    pub at: SocketAddr,
    /// Its nanny.
    pub monitor: Rc<Monitor>,
    /// start_cmd; empty: none.
    pub start: Vec<String>,
    /// How long it may take.
    pub start_within: Duration,
    /// stop_cmd; empty: none.
    pub stop: Vec<String>,
    /// How long it may take.
    pub stop_within: Duration,
    /// How it is kept.
    pub rules: Rules,
}

/// The active blocks in file order; the lines say what was left out.
pub fn wanted(config: &Config, nanny: &Path, manner: &Manner) -> (Vec<Block>, Vec<Message>) {
    let (mut blocks, mut lines): (Vec<Block>, Vec<Message>) = Default::default();
    let mut first: HashMap<ServiceKey, String> = HashMap::new();
    for service in config.running() {
        let name = service.name.clone();
        let Some(block) = block(service, nanny, manner) else {
            let name = format!("failover service {name}");
            lines.push(Message::Incomplete { name, what: "it has no address" });
            continue;
        };
        if let Some(first) = first.get(&block.key) {
            lines.push(Message::SameFailover { name, first: first.clone(), at: block.at });
            continue;
        }
        first.insert(block.key, name);
        blocks.push(block);
    }
    (blocks, lines)
}

fn block(service: &VirtualService, nanny: &Path, manner: &Manner) -> Option<Block> {
    let (protocol, address, port) = (service.protocol, service.virtual_address()?, service.port);
    let key = ServiceKey::Address { protocol, address, port };
    let at = SocketAddr::new(address, port);
    let is_nanny = service.client_monitor == DEFAULT_MONITOR;
    let monitor = Monitor {
        target: Target { service: key, destination: DestinationKey { address, port } },
        name: service.name.clone(),
        server: at.to_string(),
        program: if is_nanny { nanny.to_owned() } else { PathBuf::from(&service.client_monitor) },
        arguments: nanny_command::failover_arguments(service, address, manner),
        place: failover_place(&key),
        assignment: None,
        weight: 0,
        drain: None,
        is_nanny,
    };
    let command = |line: &Option<String>| line.as_deref().map(words).unwrap_or_default();
    let (start, stop) = (command(&service.start_cmd), command(&service.stop_cmd));
    let rules = Rules {
        has_start: !start.is_empty(),
        has_stop: !stop.is_empty(),
        settle: service.start_timeout,
        // The next check begins within a period; half of what it may take is time to answer.
        doubt: service.interval.unwrap_or(service.timeout) + service.timeout / 2,
        restarts: service.restarts,
        period: service.restart_period,
    };
    Some(Block {
        name: service.name.clone(),
        key,
        at,
        monitor: Rc::new(monitor),
        start,
        start_within: service.start_timeout,
        stop,
        stop_within: service.stop_timeout,
        rules,
    })
}

#[cfg(test)]
mod tests {
    use common::config::{Fake, Syntax, load_with};

    use super::*;

    fn read(text: &str) -> (Vec<Block>, Vec<String>) {
        let mut world = Fake::default();
        world.files.insert("lvs.cf".into(), format!("service = fos\n{text}").into());
        let config = load_with("lvs.cf".as_ref(), Syntax::LvsCf, &world).unwrap_or_else(|e| panic!("{e}")).config;
        let (blocks, lines) = wanted(&config, Path::new("/x/nanny"), &Manner::default());
        (blocks, lines.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_block_is_a_service_its_commands_and_a_watcher() {
        let text = "failover web {\n active = 1\n address = 192.0.2.9 eth0:1\n port = 443\n timeout = 0.5\n\
                    \x20start_cmd = \"/etc/init.d/httpd  start\"\n stop_cmd = \"/etc/init.d/httpd stop\"\n restarts = 7\n}\n\
                    failover old {\n address = 192.0.2.8 eth0:2\n}\n";
        let (blocks, lines) = read(text);
        assert_eq!((blocks.len(), lines.len()), (1, 0));
        let block = &blocks[0];
        // piranha.md 5: split at blanks
        assert_eq!(block.start, ["/etc/init.d/httpd", "start"]);
        assert_eq!(block.stop, ["/etc/init.d/httpd", "stop"]);
        assert_eq!((block.rules.restarts, block.rules.doubt), (7, Duration::from_millis(750)));
        assert_eq!(block.monitor.place, "fos-tcp-192.0.2.9-443");
        let line: Vec<&str> = block.monitor.arguments.iter().collect();
        assert_eq!(line.join(" "), "-c -h 192.0.2.9 -p 443 -t 0.5 --fos");
    }

    #[test]
    fn it_is_checked_as_its_block_says() {
        let text = "failover web {\n active = 1\n address = 192.0.2.9 eth0:1\n port = 443\n timeout = 4\n interval = 1\n\
                    \x20send = \"x\"\n expect = \"y\"\n use_regex = 1\n fall = 2\n retry = 0.5\n watch = 0\n checks_needed = 1\n\
                    \x20check http {\n path = /health\n }\n check = tcp\n}\n";
        let block = &read(text).0[0];
        let line: Vec<&str> = block.monitor.arguments.iter().collect();
        assert_eq!(
            line.join(" "),
            "-c -h 192.0.2.9 -p 443 -t 4 --period 1 --no-watch --fall 2 --retry 0.5 \
             --check http --with path=/health --check tcp --checks-needed 1 --fos"
        );
        assert_eq!(block.rules.doubt, Duration::from_secs(3), "the next check is over by then");
    }

    #[test]
    fn what_cannot_be_done_as_written_is_left_out_with_a_line() {
        let block = |name: &str, port: u16| {
            format!("failover {name} {{\n active = 1\n address = 192.0.2.9 eth0:1\n port = {port}\n}}\n")
        };
        let (blocks, lines) = read(&(block("web", 80) + &block("mail", 25) + &block("other", 80)));
        assert_eq!(blocks.iter().map(|block| block.name.as_str()).collect::<Vec<_>>(), ["web", "mail"]);
        assert_eq!(lines, ["failover service other: 192.0.2.9:80 is failover service web already, ignoring"]);
        assert!(!blocks[0].rules.has_start && !blocks[0].rules.has_stop);
    }
}
