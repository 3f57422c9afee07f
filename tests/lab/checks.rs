//! Each kind of check against a server of its kind, alive, dead, and in front of it
//! every bad manner: what the kernel's table has then, and what the log says of it.
//! (tests/nanny has the same kinds in more detail, without a table.)

mod farm;

use std::fmt::Write as _;

use crate::ground::director::Director;
use crate::ground::real_server::Manner;
use crate::ground::wait::{SOON, holds_within};
use crate::ground::{Lab, scenario_with};

use farm::{ADDRESS, Cluster, Farm};

/// Where the host says what it made.
const CLUSTER: &str = "PIRANHA_POSTGRES_CLUSTER";

/// A virtual service on the port of one of the farm's daemons.
struct Kind {
    protocol: &'static str,
    port: u16,
    /// The check, as in lvs.cf.
    check: &'static str,
    /// What the log says of it when it is refused, meets silence, and meets each of
    /// [`MANNERS`]; nothing: it stays in use.
    words: [&'static str; 7],
}

const MANNERS: [Manner; 5] = [Manner::Reset, Manner::Blurt, Manner::Drip, Manner::Flood, Manner::HalfClose];

const RESET: &str = "Connection reset by peer";

/// Those that are well while their daemon is.
const KINDS: [Kind; 8] = [
    Kind {
        protocol: "tcp",
        port: 80,
        check: "check http {\n path = /health\n status = 200\n body = alive\n}",
        words: [
            "CONNECT to 192.168.142.158:80 failed: Connection refused",
            "CONNECT to 192.168.142.158:80 timed out",
            RESET,
            "not what we expected from (192.168.142.158:80)",
            "READ to 192.168.142.158:80 timed out",
            "not what we expected from (192.168.142.158:80): the beginning of the body is not as expected",
            "READ from 192.168.142.158:80 was too short",
        ],
    },
    Kind {
        protocol: "tcp",
        port: 443,
        check: "check https {\n host = www.example\n ca_file = /etc/sysconfig/ha/ca.pem\n body = alive\n}",
        words: [
            "CONNECT to 192.168.142.158:443 failed: Connection refused",
            "CONNECT to 192.168.142.158:443 timed out",
            RESET,
            "TLS with 192.168.142.158:443 failed: the answer is not TLS",
            "TLS with 192.168.142.158:443 failed: the answer is not TLS",
            "TLS with 192.168.142.158:443 failed: the answer is not TLS",
            "TLS with 192.168.142.158:443 failed: the server closed the connection in the handshake",
        ],
    },
    Kind {
        protocol: "tcp",
        port: 25,
        check: "check smtp {\n helo = director.example\n}",
        words: [
            "CONNECT to 192.168.142.158:25 failed: Connection refused",
            "CONNECT to 192.168.142.158:25 timed out",
            RESET,
            "not what we expected from (192.168.142.158:25)",
            "READ to 192.168.142.158:25 timed out",
            "not what we expected from (192.168.142.158:25)",
            "READ from 192.168.142.158:25 was too short",
        ],
    },
    Kind {
        protocol: "udp",
        port: 53,
        check: "check dns {\n query = www.example\n answer = 192.0.2.7\n}",
        // Misled, it hears its own question, which is no answer.
        words: [
            "READ returned error 111:Connection refused",
            "READ to 192.168.142.158:53 timed out",
            "READ to 192.168.142.158:53 timed out",
            "READ to 192.168.142.158:53 timed out",
            "READ to 192.168.142.158:53 timed out",
            "READ to 192.168.142.158:53 timed out",
            "READ to 192.168.142.158:53 timed out",
        ],
    },
    // As in etc/examples.
    Kind {
        protocol: "tcp",
        port: 6379,
        check: "check tcp {\n send = \"PING\\r\\n\"\n expect = \"+PONG\"\n}",
        words: [
            "CONNECT to 192.168.142.158:6379 failed: Connection refused",
            "CONNECT to 192.168.142.158:6379 timed out",
            RESET,
            "not what we expected from (192.168.142.158:6379)",
            "not what we expected from (192.168.142.158:6379)",
            "not what we expected from (192.168.142.158:6379)",
            "READ from 192.168.142.158:6379 was too short",
        ],
    },
    // As in etc/examples, with the program's place.
    Kind {
        protocol: "tcp",
        port: 5432,
        check: "check script {\n program = \"PG_ISREADY -q -h %h -p %p\"\n}",
        words: ["/pg_isready -q -h 192.168.142.158 -p 5432\""; 7],
    },
    Kind {
        protocol: "tcp",
        port: 8404,
        check: "check http {\n path = /up\n status = 200\n}",
        words: [
            "CONNECT to 192.168.142.158:8404 failed: Connection refused",
            "CONNECT to 192.168.142.158:8404 timed out",
            RESET,
            "not what we expected from (192.168.142.158:8404)",
            "READ to 192.168.142.158:8404 timed out",
            "",
            "READ from 192.168.142.158:8404 was too short",
        ],
    },
    // The last: where no package has its server, it is left out.
    Kind {
        protocol: "tcp",
        port: 50051,
        check: "check grpc {\n service = shop.Cart\n}",
        words: [
            "CONNECT to 192.168.142.158:50051 failed: Connection refused",
            "CONNECT to 192.168.142.158:50051 timed out",
            RESET,
            "not what we expected from (192.168.142.158:50051): the answer is no gRPC: it is not HTTP/2",
            "READ to 192.168.142.158:50051 timed out",
            "not what we expected from (192.168.142.158:50051): the answer is no gRPC: it speaks HTTP/1 and not HTTP/2",
            "READ from 192.168.142.158:50051 was too short",
        ],
    },
];

/// Those whose servers are here.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().take(if farm::has_grpcio() { KINDS.len() } else { KINDS.len() - 1 })
}

/// Those that are never well: the port of nginx, the check, and why not.
const NEVER: [(u16, &str, &str); 4] = [
    (444, "check https {\n host = www.example\n ca_file = /etc/sysconfig/ha/ca.pem\n}", "the certificate has expired"),
    (
        445,
        "check https {\n host = www.example\n ca_file = /etc/sysconfig/ha/ca.pem\n}",
        "the certificate is signed by nobody who is trusted",
    ),
    (
        446,
        "check https {\n host = www.example\n ca_file = /etc/sysconfig/ha/ca.pem\n}",
        "the certificate is for another name",
    ),
    (
        447,
        "check http {\n port = 80\n path = /down\n body = alive\n}",
        "HTTP status 503 Service Temporarily Unavailable",
    ),
];

/// One virtual service for each, on the port of its daemon.
fn lvs_cf(pg_isready: &str) -> String {
    let mut text = "primary = 192.168.142.160\nservice = lvs\nbackup_active = 0\nnetwork = direct\n".to_owned();
    let kinds = kinds().map(|kind| (kind.protocol, kind.port, kind.check));
    let never = NEVER.iter().map(|(port, check, _)| ("tcp", *port, *check));
    for (protocol, port, check) in kinds.chain(never) {
        // A script is a process, which a guest is slow to start.
        let timeout = if check.starts_with("check script") { 5 } else { 2 };
        let _ = write!(
            text,
            "virtual v{port} {{\n active = 1\n address = 192.168.142.100 eth0:1\n vip_nmask = 255.255.255.0\n \
             port = {port}\n protocol = {protocol}\n timeout = {timeout}\n interval = 0.4\n reentry = 0.1\n slow_start = 0\n{check}\n \
             server farm {{\n  address = {ADDRESS}\n  active = 1\n }}\n}}\n"
        );
    }
    text.replace("PG_ISREADY", pg_isready)
}

/// Of a nanny's own, in an unoptimised build, with TLS.
const MEMORY_KIB: u64 = 2048;

/// Which of [`KINDS`] and [`NEVER`] have their server in the table.
fn in_use(director: &Director) -> Vec<u16> {
    let table = director.kernel_table();
    let has = |service: &&crate::ground::table::Service| !service.destinations.is_empty();
    let ports = table.services.iter().filter(has).filter_map(|service| service.key.rsplit_once(':')?.1.parse().ok());
    let mut ports: Vec<u16> = ports.collect();
    ports.sort_unstable();
    ports
}

fn all() -> Vec<u16> {
    let mut ports: Vec<u16> = kinds().map(|kind| kind.port).collect();
    ports.sort_unstable();
    ports
}

struct Site {
    director: Director,
    farm: Farm,
}

impl Site {
    fn new(lab: &Lab, cluster: &str) -> Self {
        lab.network("front");
        let mut farm = Farm::new(lab, cluster);
        farm.start();
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        director.machine.write("/etc/sysconfig/ha/ca.pem", &farm.authority());
        director.configure(&lvs_cf(&farm.pg_isready()));
        director.start_pulse();
        let site = Self { director, farm };
        site.wait_in_use(&all());
        site
    }

    fn wait_in_use(&self, ports: &[u16]) {
        let mut now = Vec::new();
        let same = || {
            now = in_use(&self.director);
            now == ports
        };
        assert!(holds_within(2 * SOON, same), "waited in vain: {ports:?} are in use; {now:?} are");
    }

    /// Waits until each kind is out of the table and has said why behind the mark; but
    /// those that are well all the same.
    fn wait_until_out(&self, mark: usize, which: usize) {
        let well: Vec<u16> = kinds().filter(|kind| kind.words[which].is_empty()).map(|kind| kind.port).collect();
        self.wait_in_use(&well);
        for kind in kinds().filter(|kind| !kind.words[which].is_empty()) {
            self.director.log.wait_for(mark, kind.words[which]);
            self.director.log.wait_for(mark, &format!("[inactive] shutting down {ADDRESS}:{}", kind.port));
        }
    }

    /// No nanny keeps what it is flooded with.
    fn assert_small(&self) {
        let nannies = self.director.daemons().into_iter().filter(|(_, name)| name.starts_with("nanny"));
        let mut looked_at = 0;
        for (pid, name) in nannies {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            // One that is ending has no memory any more.
            let Some(line) = status.lines().find_map(|line| line.strip_prefix("RssAnon:")) else { continue };
            let kib: u64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("its memory");
            assert!(kib < MEMORY_KIB, "{name}[{pid}]: {kib} KiB");
            looked_at += 1;
        }
        assert!(looked_at >= KINDS.len(), "only {looked_at} nannies run");
    }
}

#[test]
fn every_kind_of_check_and_every_way_to_fail_it() {
    let made = std::env::var(CLUSTER).is_err().then(Cluster::new);
    let cluster = made.as_ref().map_or_else(|| std::env::var(CLUSTER).unwrap_or_default(), Cluster::path);
    scenario_with(&[(CLUSTER, &cluster)], |lab| {
        let mut site = Site::new(lab, &cluster);
        for (port, _, why) in NEVER {
            site.director.log.wait_for(0, why);
            assert!(!in_use(&site.director).contains(&port), "{port}");
        }

        let mark = site.director.log.mark();
        site.farm.kill();
        site.wait_until_out(mark, 0);
        site.farm.start();
        site.wait_in_use(&all());

        let mark = site.director.log.mark();
        site.farm.silence();
        site.wait_until_out(mark, 1);
        site.farm.relent();
        site.wait_in_use(&all());

        for (which, manner) in (2..).zip(MANNERS) {
            let mark = site.director.log.mark();
            site.farm.mislead(manner);
            site.wait_until_out(mark, which);
            if manner == Manner::Flood {
                site.assert_small();
            }
            site.farm.relent();
            site.wait_in_use(&all());
        }
        site.director.stop_pulse();
        assert!(site.director.kernel_table().services.is_empty());
    });
}
