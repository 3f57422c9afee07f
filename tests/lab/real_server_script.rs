//! `service realserver start` makes a real server for direct routing and for
//! tunnels of a bare host, and a stop makes the bare host of it again.

use std::time::Duration;

use crate::ground::client::Client;
use crate::ground::director::Director;
use crate::ground::real_server::RealServer;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Lab, Machine};
use crate::installed::{expect_of, install, scenario};

const SETTINGS: &str = "/etc/sysconfig/realserver";
const VIP: &str = "192.168.142.100:80";
const VIP6: &str = "[2001:db8::100]:80";

/// All that the script may change, as text: addresses, links, kernel variables and
/// its own files.
fn everything(machine: &Machine) -> String {
    let shell = "ip -o address show | sed 's/valid_lft.*//'; ip -o link show | sed 's/ qdisc [a-z]*//; s/ qlen.*//'; \
                 grep -r . /proc/sys/net/ipv4/conf/*/arp_ignore /proc/sys/net/ipv4/conf/*/arp_announce \
                 /proc/sys/net/ipv4/conf/*/rp_filter; ls /run/realserver 2>&1 || true";
    machine.run("sh", &["-c", shell])
}

fn site(lab: &Lab, network: &str) -> (Director, Client, RealServer) {
    lab.network("front");
    let director = Director::new(lab, "director", "front", &["192.168.142.160/24", "2001:db8::160/64"]);
    let client = Client::new(lab, "client", "front", &["192.168.142.10/24", "2001:db8::10/64"]);
    let mut server = RealServer::new(lab, "web", "front", &["192.168.142.158/24", "2001:db8::158/64"]);
    install(&server.machine, "realserver");
    server.serve(&["tcp 80"]);
    let service = |name: &str, vip: &str, server: &str| {
        format!(
            "virtual {name} {{\n active = 1\n address = {vip} eth0:1\n port = 80\n\
             \x20server one {{\n address = {server}\n active = 1\n }}\n}}\n"
        )
    };
    let four = service("four", "192.168.142.100", "192.168.142.158");
    let six = service("six", "2001:db8::100", "2001:db8::158");
    director
        .configure(&format!("primary = 192.168.142.160\nnat_nmask = 255.255.255.0\nnetwork = {network}\n{four}{six}"));
    (director, client, server)
}

fn expect(server: &RealServer, verb: &str, status: i32, words: &str) {
    expect_of(&server.machine, "realserver", verb, status, words);
}

#[test]
fn direct_routing_with_silent_arp_and_nothing_left_behind() {
    scenario(|lab| {
        let (director, client, server) = site(lab, "direct");
        let web = &server.machine;
        let before = everything(web);
        expect(&server, "start", 6, "no virtual IP");
        expect(&server, "status", 3, "");
        expect(&server, "fly", 2, "Usage:");
        web.write(SETTINGS, "VIPS='192.168.142.100 2001:db8::100'\n");
        expect(&server, "start", 0, "");
        expect(&server, "start", 0, "");
        expect(&server, "status", 0, "192.168.142.100 is on lo");

        // Nobody but the director may answer for the VIP, and there is none yet.
        let answers = |vip: &str| client.ask_within(Duration::from_secs(4), vip).is_ok();
        assert!(!answers(VIP) && !answers(VIP6), "the real server answers itself");
        web.sysctl("net.ipv4.conf.all.arp_ignore", "0");
        client.machine.run("ip", &["neigh", "flush", "all"]);
        assert_eq!(client.ask(VIP).as_deref(), Ok("web"), "without arp_ignore it would");
        web.sysctl("net.ipv4.conf.all.arp_ignore", "1");
        client.machine.run("ip", &["neigh", "flush", "all"]);

        director.start_pulse();
        director.wait_for_destinations("TCP 192.168.142.100:80", &["192.168.142.158:80"]);
        director.wait_for_destinations("TCP [2001:db8::100]:80", &["[2001:db8::158]:80"]);
        wait_until(SOON, "both VIPs are served", || client.ask(VIP).is_ok() && client.ask(VIP6).is_ok());
        assert_eq!(client.ask(VIP).as_deref(), Ok("web"));
        assert_eq!(client.ask(VIP6).as_deref(), Ok("web"));

        // A changed file: what stays wanted is not touched, the other one goes.
        web.write(SETTINGS, "VIPS=192.168.142.100\n");
        let held = client.hold(VIP, 2);
        expect(&server, "restart", 0, "");
        held.assert_flowing("web");
        assert!(!everything(web).contains("2001:db8::100/128"));
        web.run("ip", &["address", "del", "192.168.142.100/32", "dev", "lo"]);
        expect(&server, "status", 3, "192.168.142.100 is not on lo");
        expect(&server, "condrestart", 0, "");
        expect(&server, "status", 0, "");
        expect(&server, "stop", 0, "");
        expect(&server, "stop", 0, "");
        assert_eq!(everything(web), before);

        // What is not ours stays: somebody's own address, and a value changed since.
        web.run("ip", &["address", "add", "192.168.142.100/32", "dev", "lo"]);
        web.sysctl("net.ipv4.conf.all.arp_ignore", "2");
        expect(&server, "start", 0, "");
        web.sysctl("net.ipv4.conf.all.arp_announce", "1");
        expect(&server, "stop", 0, "");
        let after = everything(web);
        for stays in ["192.168.142.100/32", "all/arp_ignore:2", "all/arp_announce:1"] {
            assert!(after.contains(stays), "{stays} is gone:\n{after}");
        }
    });
}

#[test]
fn tunnels_are_opened_for_both_families_and_closed_again() {
    scenario(|lab| {
        let (director, client, server) = site(lab, "tunnel");
        let web = &server.machine;
        // The modules make tunl0 and ip6tnl0 everywhere; as they are then, they must be again.
        web.ip("link add probe type ipip local 192.168.142.158\nlink del probe\n");
        web.ip("link add probe type ip6tnl local 2001:db8::158\nlink del probe\n");
        web.sysctl("net.ipv4.conf.all.rp_filter", "1");
        web.sysctl("net.ipv4.conf.tunl0.rp_filter", "1");
        let before = everything(web);
        web.write(SETTINGS, "VIPS='192.168.142.100 2001:db8::100'\nMODE=tunnel\n");
        expect(&server, "start", 0, "");
        director.start_pulse();
        director.wait_for_destinations("TCP 192.168.142.100:80", &["192.168.142.158:80"]);
        director.wait_for_destinations("TCP [2001:db8::100]:80", &["[2001:db8::158]:80"]);
        director.wait_for_address("192.168.142.100/24");
        wait_until(SOON, "both VIPs are served", || client.ask(VIP).is_ok() && client.ask(VIP6).is_ok());
        assert_eq!(client.ask(VIP).as_deref(), Ok("web"));
        assert_eq!(client.ask(VIP6).as_deref(), Ok("web"));
        for service in ["TCP 192.168.142.100:80", "TCP [2001:db8::100]:80"] {
            assert_eq!(director.table().service(service).unwrap().destinations[0].method, "Tunnel");
        }
        expect(&server, "stop", 0, "");
        assert_eq!(everything(web), before);
    });
}

#[test]
fn a_director_is_refused_and_stays_as_it_is() {
    scenario(|lab| {
        let (director, _client, server) = site(lab, "direct");
        let machine = &director.machine;
        install(machine, "realserver");
        machine.write(SETTINGS, "VIPS=192.168.142.100\n");
        let refuses = |why: &str| {
            let before = everything(machine);
            expect_of(machine, "realserver", "start", 1, why);
            assert_eq!(everything(machine), before);
        };
        refuses("is in /etc/sysconfig/ha/lvs.cf");
        director.start_pulse();
        director.wait_for_address("192.168.142.100/24");
        director.wait_for_address("2001:db8::100/128");
        refuses("pulse runs here");
        // And whoever holds the address some other way.
        let web = &server.machine;
        web.run("ip", &["address", "add", "192.168.142.100/24", "dev", "eth0"]);
        web.write(SETTINGS, "VIPS=192.168.142.100\n");
        expect(&server, "start", 1, "192.168.142.100 is on eth0");
        director.stop_pulse();
    });
}
