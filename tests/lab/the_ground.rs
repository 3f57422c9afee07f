//! The ground itself, proven with ipvsadm alone before any daemon stands on it:
//! what a scenario fails for is then the product's fault, not the lab's.

use std::time::{Duration, Instant};

use crate::ground::client::Client;
use crate::ground::director::Director;
use crate::ground::real_server::{Manner, RealServer};
use crate::ground::{Lab, in_a_guest, scenario};

const VIP: &str = "192.168.142.100:80";
const SERVICE: &str = "TCP 192.168.142.100:80";

/// A director that holds the VIP, a client, and nothing behind them yet.
fn front(lab: &Lab) -> (Director, Client) {
    lab.network("front");
    let director = Director::new(lab, "director", "front", &["192.168.142.160/24", "192.168.142.100/24"]);
    let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
    (director, client)
}

#[test]
fn direct_routing_carries_connections_and_a_dead_server_is_felt() {
    scenario(|lab| {
        let (director, client) = front(lab);
        let mut servers: Vec<RealServer> =
            ["158", "159"].map(|name| RealServer::new(lab, name, "front", &[&format!("192.168.142.{name}/24")])).into();
        for server in &mut servers {
            server.direct_routing("192.168.142.100/32");
            server.serve(&["tcp 80"]);
        }
        director.ipvsadm("-A -t 192.168.142.100:80 -s rr");
        director.ipvsadm("-a -t 192.168.142.100:80 -r 192.168.142.158:8080 -g");
        director.ipvsadm("-a -t 192.168.142.100:80 -r 192.168.142.159 -g");

        let held = client.hold(VIP, 4);
        assert_eq!(held.servers(), [("158".to_owned(), 2), ("159".to_owned(), 2)].into());
        let from = Instant::now();
        let load = client.open_connections(VIP, Duration::from_millis(10));
        load.wait_for_served(100);
        let to = Instant::now();
        load.assert_none_failed(from, to);
        let served = load.served_between(from, to);
        assert!(served["158"] > 40 && served["159"] > 40, "{served:?}");
        assert_eq!(
            director.table().destinations(SERVICE),
            ["192.168.142.158:80", "192.168.142.159:80"],
            "ipvsadm itself sets the virtual port under direct routing"
        );
        assert_eq!(director.table().configured(), director.kernel_table().configured());

        let watch = director.watch();
        let from = Instant::now();
        servers[0].kill();
        load.wait_for_served(50);
        assert!(!load.failed_between(from, Instant::now()).is_empty(), "nobody takes a dead server out yet");
        held.assert_flowing("159");
        watch.assert_unchanged();
        director.ipvsadm("-d -t 192.168.142.100:80 -r 192.168.142.158:80");
        director.wait_for_destinations(SERVICE, &["192.168.142.159:80"]);
        let from = Instant::now();
        load.wait_for_served(50);
        load.assert_none_failed(from, Instant::now());
        held.wait_for_broken("158", 2);
        assert_eq!(watch.states().len(), 2);
        servers[0].start();
        assert_eq!(client.ask("192.168.142.158:80").unwrap(), "158");
        servers[0].behave(80, Manner::Refuse);
        assert!(client.ask("192.168.142.158:80").unwrap_err().contains("refused"));
    });
}

#[test]
fn nat_rewrites_ports_and_answers_come_back_through_the_director() {
    scenario(|lab| {
        let (director, client) = front(lab);
        lab.network("back");
        lab.plug(&director.machine, "back", "eth1", &["10.0.0.1/24", "2001:db8:2::1/64"]);
        lab.plug(&director.machine, "front", "eth2", &["2001:db8:1::100/64"]);
        lab.plug(&client.machine, "front", "eth1", &["2001:db8:1::10/64"]);
        let mut server = RealServer::new(lab, "web", "back", &["10.0.0.2/24", "2001:db8:2::2/64"]);
        server.behind("10.0.0.1");
        server.behind("2001:db8:2::1");
        server.serve(&["tcp 8080", "udp 10.0.0.2:5353"]);
        director.ipvsadm("-A -t 192.168.142.100:80 -s wlc");
        director.ipvsadm("-a -t 192.168.142.100:80 -r 10.0.0.2:8080 -m");
        director.ipvsadm("-A -u 192.168.142.100:53 -s rr");
        director.ipvsadm("-a -u 192.168.142.100:53 -r 10.0.0.2:5353 -m");
        director.ipvsadm("-A -t [2001:db8:1::100]:80 -s rr -p 300 -M 64");
        director.ipvsadm("-a -t [2001:db8:1::100]:80 -r [2001:db8:2::2]:8080 -m");
        assert_eq!(client.ask(VIP).unwrap(), "web");
        assert_eq!(client.ask_udp("192.168.142.100:53", "anybody?").unwrap(), "web: anybody?");
        assert_eq!(client.ask("[2001:db8:1::100]:80").unwrap(), "web");
        assert_eq!(director.table().destinations("TCP [2001:db8:1::100]:80"), ["[2001:db8:2::2]:8080"]);
        assert!(director.table().service("TCP [2001:db8:1::100]:80").unwrap().flags.starts_with("persistent 300"));
    });
}

#[test]
fn tunnels_and_marks_and_ipv6_direct_routing_carry_connections() {
    scenario(|lab| {
        let (director, client) = front(lab);
        lab.plug(&director.machine, "front", "eth1", &["2001:db8::160/64", "2001:db8::100/64"]);
        lab.plug(&client.machine, "front", "eth1", &["2001:db8::10/64"]);
        let mut server = RealServer::new(lab, "web", "front", &["192.168.142.158/24", "2001:db8::158/64"]);
        server.tunnel("192.168.142.158", "192.168.142.100/32");
        server.direct_routing("2001:db8::100/128");
        server.serve(&["tcp 80", "tcp 443", "udp 192.168.142.100:53"]);
        director.ipvsadm("-A -t 192.168.142.100:80 -s rr");
        director.ipvsadm("-a -t 192.168.142.100:80 -r 192.168.142.158 -i");
        director.ipvsadm("-A -u 192.168.142.100:53 -s rr");
        director.ipvsadm("-a -u 192.168.142.100:53 -r 192.168.142.158 -g");
        director.ipvsadm("-A -t [2001:db8::100]:80 -s rr");
        director.ipvsadm("-a -t [2001:db8::100]:80 -r [2001:db8::158]:80 -g");
        director.mark("192.168.142.100", 443, 17);
        director.ipvsadm("-A -f 17 -s rr");
        director.ipvsadm("-a -f 17 -r 192.168.142.158 -g");
        assert_eq!(client.ask(VIP).unwrap(), "web");
        assert_eq!(client.ask("[2001:db8::100]:80").unwrap(), "web");
        assert_eq!(client.ask("192.168.142.100:443").unwrap(), "web");
        assert_eq!(client.ask_udp("192.168.142.100:53", "anybody?").unwrap(), "web: anybody?");
        assert_eq!(director.table().service(SERVICE).unwrap().destinations[0].method, "Tunnel");
        assert_eq!(director.table().destinations("FWM 17"), ["192.168.142.158:0"]);
        assert_eq!(director.table().configured(), director.kernel_table().configured());
    });
}

#[test]
fn every_director_has_a_log_a_configuration_and_processes_of_its_own() {
    scenario(|lab| {
        lab.network("front");
        let one = Director::new(lab, "one", "front", &["192.168.142.1/24"]);
        let mut two = Director::new(lab, "two", "front", &["192.168.142.2/24"]);
        one.configure("serial_no = 1\n");
        assert!(!two.machine.path("/etc/sysconfig/ha/lvs.cf").exists());
        assert!(one.machine.path("/etc/passwd").exists(), "the rest of /etc is as it was");
        if in_a_guest() {
            std::fs::write("/usr/written-by-a-guest", "").expect_err("the host's files are not the guest's to change");
        }
        let mark = two.log.mark();
        one.machine.run("logger", &["-t", "nanny", "first"]);
        one.machine.run("logger", &["-t", "nanny", "second"]);
        one.log.wait_for(0, "nanny: second");
        one.log.assert_order(0, &["first", "second"]);
        assert_eq!(one.log.count(0, "nanny: "), 2);
        two.log.assert_never(mark, "nanny");
        assert!(one.log.lines().iter().any(|line| line.contains(" one nanny: first")), "{:#?}", one.log.lines());

        let pid = two.log.pid();
        assert_eq!(two.machine.processes("rsyslogd"), [pid]);
        assert_eq!(two.machine.outer_pid(crate::ground::Machine::inner_pid(pid)), Some(pid));
        assert!(!one.machine.processes("rsyslogd").contains(&pid));
        two.log.stop();
        assert_eq!(two.machine.processes("rsyslogd"), [0_u32; 0]);
        two.log.start_again(&two.machine);
        two.machine.run("logger", &["third"]);
        two.log.wait_for(mark, "third");
    });
}
