//! A third host that has the VIP.

use std::time::Instant;

use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};

use super::site::{MASTER, Pair, Plan, VIP, VIP_ON_DEVICE, figure};

#[test]
fn a_stranger_with_the_vip_is_told_of_by_its_address_and_the_vip_is_defended() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let (load, watch) = (pair.load(), pair.watch());
        // A third host has the VIP and says so.
        let ([mark, _], from) = (pair.marks(), Instant::now());
        let stranger = lab.machine("stranger");
        lab.plug(&stranger, "front", "eth0", &["192.168.142.66/24", VIP_ON_DEVICE]);
        let shown = stranger.run("ip", &["-o", "link", "show", "eth0"]);
        let mac = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).expect("its address");
        // What hosts do when an address comes up: the kernel announces it.
        stranger.sysctl("net.ipv4.conf.eth0.arp_notify", "1");
        stranger.ip(&format!("link set eth0 address {mac}\n"));
        wait_until(SOON, "the active director tells of the stranger by its address", || {
            pair.directors[MASTER].log.since(mark).iter().any(|line| line.contains(mac))
        });
        pair.directors[MASTER].log.wait_for(mark, "announcing again");
        drop(stranger);
        wait_until(SOON, "clients are served again", || pair.client.ask(VIP).is_ok());
        watch.assert_unchanged();
        figure("a stranger had the VIP", &load, from);
    });
}
