//! Virtual IPs on devices that are made of others: a VLAN, a bond, a bridge. They
//! are raised and announced there, IPv6 answers at once, and who else has them is
//! found out there.

use std::time::Duration;

use crate::ground::client::Client;
use crate::ground::director::Director;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Machine, scenario};

const LVS_CF: &str = "primary = 192.168.142.160
service = lvs
backup_active = 0
network = direct
";

/// The devices, each on a network of its own, with their VIPs.
const PLACES: [(&str, &str); 3] = [("eth0.5", "10.5.0.100"), ("bond0", "10.6.0.100"), ("br0", "10.7.0.100")];

const SIX: &str = "2001:db8:5::100";

/// The three devices on `eth0`, `eth1` and `eth2`, with the host's own number in
/// each of their networks.
fn build(machine: &Machine, number: u8) {
    machine.ip(&format!(
        "link add link eth0 name eth0.5 type vlan id 5\n\
         link set eth0.5 up\n\
         link add bond0 type bond mode active-backup miimon 100\n\
         link set eth1 down\n\
         link set eth1 master bond0\n\
         link set bond0 up\n\
         link add br0 type bridge forward_delay 0 mcast_snooping 0\n\
         link set eth2 master br0\n\
         link set br0 up\n\
         addr add 10.5.0.{number}/24 dev eth0.5\n\
         addr add 2001:db8:5::{number}/64 dev eth0.5 nodad\n\
         addr add 10.6.0.{number}/24 dev bond0\n\
         addr add 10.7.0.{number}/24 dev br0\n"
    ));
}

/// The hardware address of a device.
fn mac(machine: &Machine, device: &str) -> String {
    let shown = machine.run("ip", &["-o", "link", "show", "dev", device]);
    shown.split_once("link/ether ").and_then(|(_, rest)| rest.split(' ').next()).expect("a hardware address").to_owned()
}

#[test]
fn virtual_ips_on_a_vlan_a_bond_and_a_bridge_are_announced_and_watched() {
    scenario(|lab| {
        for network in ["front", "bonded", "bridged"] {
            lab.network(network);
        }
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
        let thief = lab.machine("thief");
        lab.plug(&thief, "front", "eth0", &[]);
        for (machine, number) in [(&director.machine, 160), (&client.machine, 10), (&thief, 66)] {
            lab.plug(machine, "bonded", "eth1", &[]);
            lab.plug(machine, "bridged", "eth2", &[]);
            build(machine, number);
        }
        // what it is told it believes, also of those it never spoke to
        client.machine.sysctl("net.ipv4.conf.all.arp_accept", "1");
        for (device, vip) in PLACES {
            thief.ip(&format!("addr add {vip}/32 dev {device}\n"));
        }
        thief.ip(&format!("addr add {SIX}/128 dev eth0.5 nodad\n"));
        let server = "    server one {\n        address = 192.168.142.158\n        active = 1\n    }\n}\n";
        let four = PLACES.map(|(device, vip)| {
            format!("virtual {device} {{\n    active = 1\n    address = {vip} {device}:1\n    vip_nmask = 255.255.255.0\n{server}")
        });
        let six = format!(
            "virtual six {{\n    active = 1\n    address = {SIX} eth0.5\n    server one {{\n        \
             address = 2001:db8::158\n        active = 1\n    }}\n}}\n"
        );
        director.configure(&format!("{LVS_CF}{}{six}", four.concat()));
        director.start_pulse();
        for (device, vip) in PLACES {
            director.wait_for_address(&format!("{vip}/24"));
            let ours = mac(&director.machine, device);
            wait_until(SOON, &format!("the client knows {vip}"), || {
                client.machine.run("ip", &["neigh", "show", vip]).contains(&format!("dev {device} lladdr {ours}"))
            });
            let theirs = mac(&thief, device);
            director.log.wait_for(0, &format!("claimed by {theirs}"));
        }
        // no duplicate is looked for, though there is one
        let mut shown = String::new();
        wait_until(SOON, "the IPv6 address is up", || {
            shown = director.machine.run("ip", &["-6", "-o", "addr", "show", "dev", "eth0.5"]);
            shown.contains(&format!("{SIX}/128"))
        });
        assert!(!shown.contains("tentative"), "{shown}");
        thief.ip(&format!("addr del {SIX}/128 dev eth0.5\n"));
        let ours = mac(&director.machine, "eth0.5");
        wait_until(SOON, "the director answers for the IPv6 address", || {
            // there is no server; it is asked where it is
            let _ = client.ask_within(Duration::from_secs(1), &format!("[{SIX}]:80"));
            client.machine.run("ip", &["neigh", "show", SIX]).contains(&format!("lladdr {ours}"))
        });

        director.stop_pulse();
    });
}
