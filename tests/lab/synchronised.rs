//! The synchronisation of connections: what a client has open lives on when the
//! other director takes over, there and back.

use std::time::Instant;

use crate::ground::client::Pace;
use crate::ground::director::Director;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};
use crate::site::{BOTH, LVS_CF, SERVICE, Site, VIP, VIP_ON_DEVICE};

/// The site's file for two directors. The device comes a while after pulse.
fn paired() -> String {
    let pair = "backup_active = 1\nbackup = 192.168.142.161\nsyncdaemon = 1\nsyncd_iface = sync0\nsyncd_id = 42\nsync_port = 8850\n";
    let head = LVS_CF.replace("backup_active = 0\nbackup = 0.0.0.0\n", pair);
    head.replace("keepalive = 6\ndeadtime = 18\n", "keepalive = 0.5\ndeadtime = 10\n")
}

/// Waits until exactly this half of the kernel's daemon runs.
fn wait_for_half(director: &Director, half: &str) {
    let wanted = format!("{half} sync daemon (mcast=sync0, syncid=42");
    wait_until(SOON, &wanted, || {
        let shown = director.ipvsadm("-L --daemon");
        shown.contains(&wanted) && shown.matches("sync daemon").count() == 1
    });
}

#[test]
fn connections_that_are_open_live_on_when_the_roles_change() {
    scenario(|lab| {
        let site = Site::new(lab);
        let (first, second) = (&site.director, Director::new(lab, "second", "front", &["192.168.142.161/24"]));
        second.machine.write_script("/etc/sysconfig/ha/lvs.sh", crate::site::LVS_SH);
        for director in [first, &second] {
            director.configure(&paired());
            director.start_pulse();
        }
        site.wait_in_service();
        second.wait_for_destinations(SERVICE, &BOTH);
        for director in [first, &second] {
            director.log.wait_for(0, "sync daemon: connections are not synchronised over sync0");
        }
        lab.network("cable");
        lab.plug(&first.machine, "cable", "sync0", &["10.9.0.1/24"]);
        lab.plug(&second.machine, "cable", "sync0", &["10.9.0.2/24"]);
        wait_for_half(first, "master");
        wait_for_half(&second, "backup");
        let held = site.client.hold(VIP, 4);
        let known = || second.ipvsadm("-Lnc").lines().filter(|line| line.contains("ESTABLISHED")).count();
        wait_until(SOON, "the standby knows the connections", || known() >= 4);

        first.stop_pulse();
        second.wait_for_address(VIP_ON_DEVICE);
        assert!(!first.has_address(VIP_ON_DEVICE));
        second.log.wait_for(0, "partner stopped: activating lvs");
        let (from, load) = (Instant::now(), site.client.open_connections(VIP, Pace::STEADY));
        load.wait_for_served(20);
        load.assert_none_failed(from, Instant::now());
        for server in ["158", "159"] {
            held.assert_flowing(server);
        }
        wait_for_half(&second, "master");
        assert_eq!(first.ipvsadm("-L --daemon").matches("sync daemon").count(), 0, "stopped with the rest");

        // back again: the first one learns what is open while it is the standby
        first.start_pulse();
        wait_for_half(first, "backup");
        first.wait_for_destinations(SERVICE, &BOTH);
        let known = || first.ipvsadm("-Lnc").lines().filter(|line| line.contains("ESTABLISHED")).count();
        wait_until(SOON, "the standby knows the connections", || known() >= 4);
        second.stop_pulse();
        first.wait_for_address(VIP_ON_DEVICE);
        for server in ["158", "159"] {
            held.assert_flowing(server);
            assert_eq!(held.broken(server), Vec::<String>::new());
        }
        first.stop_pulse();
    });
}
