//! Every kind of virtual service lvs.cf can ask for: the kernel has what was
//! asked, and traffic flows.

use crate::ground::client::Client;
use crate::ground::director::Director;
use crate::ground::real_server::RealServer;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Lab, scenario};

/// The head of a file for one director; what differs is the network and the
/// virtual services.
fn lvs_cf(network: &str, virtuals: &str) -> String {
    format!("primary = 192.168.142.160\nservice = lvs\nbackup_active = 0\nnetwork = {network}\n{virtuals}")
}

/// A `virtual` block with one real server.
fn virtual_service(name: &str, address: &str, keywords: &[&str], server: &str, port: u16) -> String {
    let keywords: Vec<String> = keywords.iter().map(|keyword| format!("    {keyword}\n")).collect();
    format!(
        "virtual {name} {{\n    active = 1\n    address = {address} eth0:1\n    timeout = 10\n    interval = 1\n    reentry = 1\n{}\
         \x20   server one {{\n        address = {server}\n        active = 1\n        weight = 3\n        port = {port}\n    }}\n}}\n",
        keywords.concat()
    )
}

fn director_and_client(lab: &Lab) -> (Director, Client) {
    lab.network("front");
    let director = Director::new(lab, "director", "front", &["192.168.142.160/24", "2001:db8::160/64"]);
    let client = Client::new(lab, "client", "front", &["192.168.142.10/24", "2001:db8::10/64"]);
    (director, client)
}

fn web(lab: &Lab) -> RealServer {
    RealServer::new(lab, "web", "front", &["192.168.142.158/24", "2001:db8::158/64"])
}

#[test]
fn nat_with_another_port_on_the_real_server_and_a_router_address_of_pulses() {
    scenario(|lab| {
        let (director, client) = director_and_client(lab);
        lab.network("back");
        lab.plug(&director.machine, "back", "eth1", &["10.0.0.2/24"]);
        let mut server = RealServer::new(lab, "web", "back", &["10.0.0.158/24"]);
        server.behind("10.0.0.1");
        server.serve(&["tcp 8080"]);
        let web =
            virtual_service("web", "192.168.142.100", &["vip_nmask = 255.255.255.0", "port = 80"], "10.0.0.158", 8080);
        director.configure(&lvs_cf("nat", &format!("nat_router = 10.0.0.1 eth1:1\nnat_nmask = 255.255.255.0\n{web}")));
        director.start_pulse();
        director.wait_for_destinations("TCP 192.168.142.100:80", &["10.0.0.158:8080"]);
        director.wait_for_address("192.168.142.100/24");
        director.wait_for_address("10.0.0.1/24");
        let service = director.table().service("TCP 192.168.142.100:80").unwrap().clone();
        assert_eq!((service.destinations[0].method.as_str(), service.destinations[0].weight), ("Masq", 3));
        assert_eq!(service.scheduler, "wlc", "the default");
        assert_eq!(client.ask("192.168.142.100:80").unwrap(), "web");
        server.kill();
        director.wait_for_destinations("TCP 192.168.142.100:80", &[]);
        director.log.wait_for(0, "[inactive] shutting down 10.0.0.158:8080 due to connection failure");
        director.stop_pulse();
        assert!(!director.has_address("10.0.0.1/24") && director.has_address("10.0.0.2/24"));
    });
}

#[test]
fn a_tunnel_has_the_virtual_port_in_the_table_whatever_the_servers_port() {
    scenario(|lab| {
        let (director, client) = director_and_client(lab);
        let mut server = web(lab);
        server.tunnel("192.168.142.158", "192.168.142.100/32");
        server.serve(&["tcp 80", "tcp 8080"]);
        let mask = "vip_nmask = 255.255.255.0";
        director
            .configure(&lvs_cf("tunnel", &virtual_service("web", "192.168.142.100", &[mask], "192.168.142.158", 8080)));
        director.start_pulse();
        director.wait_for_destinations("TCP 192.168.142.100:80", &["192.168.142.158:80"]);
        director.wait_for_address("192.168.142.100/24");
        assert_eq!(director.table().service("TCP 192.168.142.100:80").unwrap().destinations[0].method, "Tunnel");
        assert_eq!(client.ask("192.168.142.100:80").unwrap(), "web");
        server.behave(8080, crate::ground::real_server::Manner::Refuse);
        director.wait_for_destinations("TCP 192.168.142.100:80", &[]);
    });
}

#[test]
fn udp_sctp_marks_and_ipv6_are_services_like_any_other() {
    scenario(|lab| {
        let (director, client) = director_and_client(lab);
        let mut server = web(lab);
        server.direct_routing("192.168.142.100/32");
        server.direct_routing("2001:db8::100/128");
        server.serve(&[
            "tcp 80",
            "tcp 443",
            "udp 192.168.142.158:53",
            "udp 192.168.142.100:53",
            "sctp 192.168.142.158:3868",
            "sctp 192.168.142.100:3868",
        ]);
        let mask = "vip_nmask = 255.255.255.0";
        let udp = ["port = 53", "protocol = udp", "send = \"well?\"", "expect = \"web: well?\"", mask];
        let sctp = ["port = 3868", "protocol = sctp", "send = \"well?\"", "expect = \"web: well?\"", mask];
        let marked = ["fwmark = 17", "port = 80", "persistent = 300", mask];
        director.mark("192.168.142.100", 80, 17);
        director.mark("192.168.142.100", 443, 17);
        let all = [
            virtual_service("dns", "192.168.142.100", &udp, "192.168.142.158", 53),
            virtual_service("diameter", "192.168.142.100", &sctp, "192.168.142.158", 3868),
            virtual_service("marked", "192.168.142.100", &marked, "192.168.142.158", 80),
            virtual_service("six", "2001:db8::100", &["port = 80"], "2001:db8::158", 80),
        ];
        director.configure(&lvs_cf("direct", &all.concat()));
        director.start_pulse();
        director.wait_for_destinations("UDP 192.168.142.100:53", &["192.168.142.158:53"]);
        director.wait_for_destinations("SCTP 192.168.142.100:3868", &["192.168.142.158:3868"]);
        director.wait_for_destinations("FWM 17", &["192.168.142.158:80"]);
        director.wait_for_destinations("TCP [2001:db8::100]:80", &["[2001:db8::158]:80"]);
        director.wait_for_address("192.168.142.100/24");
        wait_until(SOON, "the IPv6 VIP is up", || {
            director.machine.run("ip", &["-6", "-o", "addr", "show", "dev", "eth0"]).contains("2001:db8::100/")
        });
        assert_eq!(client.ask_udp("192.168.142.100:53", "anybody?").unwrap(), "web: anybody?");
        assert_eq!(client.ask_sctp("192.168.142.100:3868", "anybody?").unwrap(), "web: anybody?");
        assert_eq!(client.ask("192.168.142.100:80").unwrap(), "web");
        assert_eq!(client.ask("192.168.142.100:443").unwrap(), "web");
        assert_eq!(client.ask("[2001:db8::100]:80").unwrap(), "web");
        server.kill();
        for service in ["UDP 192.168.142.100:53", "SCTP 192.168.142.100:3868", "FWM 17", "TCP [2001:db8::100]:80"] {
            director.wait_for_destinations(service, &[]);
        }
        director.stop_pulse();
        assert!(director.table().services.is_empty());
        assert!(!director.machine.run("ip", &["-6", "addr"]).contains("2001:db8::100/"));
    });
}

#[test]
fn every_scheduler_of_lvs_cf_and_persistence_with_its_mask_reach_the_kernel() {
    scenario(|lab| {
        let (director, client) = director_and_client(lab);
        let mut server = web(lab);
        server.direct_routing("192.168.142.100/32");
        let schedulers = ["rr", "lc", "wlc", "wrr", "lblc", "lblcr", "dh", "sh"];
        let ports: Vec<u16> = (8001..).take(schedulers.len()).collect();
        let listen: Vec<String> = ports.iter().map(|port| format!("tcp {port}")).collect();
        server.serve(&listen.iter().map(String::as_str).collect::<Vec<_>>());
        let all: Vec<String> = schedulers
            .iter()
            .zip(&ports)
            .map(|(scheduler, port)| {
                let (scheduler_is, port_is) = (format!("scheduler = {scheduler}"), format!("port = {port}"));
                let mut keywords = vec![scheduler_is.as_str(), port_is.as_str(), "vip_nmask = 255.255.255.0"];
                if *scheduler == "wlc" {
                    keywords.extend(["persistent = 300", "pmask = 255.255.255.0"]);
                }
                virtual_service(scheduler, "192.168.142.100", &keywords, "192.168.142.158", *port)
            })
            .collect();
        director.configure(&lvs_cf("direct", &all.concat()));
        director.start_pulse();
        director.wait_for_address("192.168.142.100/24");
        for (scheduler, port) in schedulers.iter().zip(&ports) {
            let service = format!("TCP 192.168.142.100:{port}");
            director.wait_for_destinations(&service, &[&format!("192.168.142.158:{port}")]);
            let found = director.table().service(&service).unwrap().clone();
            assert_eq!(found.scheduler, *scheduler);
            let flags = if *scheduler == "wlc" { "persistent 300 mask 255.255.255.0" } else { "" };
            assert_eq!(found.flags, flags);
            assert_eq!(client.ask(&format!("192.168.142.100:{port}")).unwrap(), "web");
        }
        assert_eq!(director.table().services.len(), schedulers.len());
    });
}
