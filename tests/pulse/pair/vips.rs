//! What becomes of the virtual IPs of a pair when nobody of ours can do anything
//! about them, when others claim them, and when a director is cut off.

use common::netlink::route::{Change, Monitor};
use pulse::arp::{self, Form};
use pulse::fenced::packet_socket::PacketSocket;

use super::site::{Host, Site};
use super::{QUICK, a_while};
use crate::ground::{inside, wait_until};

const FOREIGN: arp::Mac = [2, 0, 0, 0, 0, 0x66];

/// The VIP goes from one to the other, and there is no moment when both have it.
fn wait_without_overlap(from: &Host, to: &Host) {
    wait_until("the other has the VIP", || {
        // in this order: what the first had it may have lost by the second look
        let (there, still_here) = (to.has_vip(), from.has_vip());
        assert!(!(there && still_here), "both have it");
        there
    });
}

/// How often the VIP left an interface so far.
fn losses(monitor: &mut Monitor) -> usize {
    let mut count = 0;
    while let Some(change) = monitor.next().unwrap() {
        count += usize::from(matches!(change, Change::AddressGone(one) if one.address.to_string() == "10.0.0.9"));
    }
    count
}

#[test]
fn a_director_whose_pulse_is_gone_for_good_has_no_vip_when_the_partner_takes_it() {
    inside("pair::vips::a_director_whose_pulse_is_gone_for_good_has_no_vip_when_the_partner_takes_it", |_| {
        // renewed between the beats, and with them
        for times in [QUICK, "keepalive = 0.5\ndeadtime = 3\n"] {
            let site = Site::new(times);
            site.boot();
            site.wait_for(&site.master);
            a_while();
            site.master.kill_pulse();
            assert!(site.master.lvsd().is_some(), "lvsd and its rules go on");
            wait_without_overlap(&site.master, &site.backup);
            assert!(!site.master.has_vip());
        }
    });
}

/// As the kernel may have refused it, or not answered in time.
#[test]
fn a_vip_that_a_stop_could_not_remove_goes_with_the_next_start() {
    inside("pair::vips::a_vip_that_a_stop_could_not_remove_goes_with_the_next_start", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        let ledger = site.master.read("run/piranha-ng/pulse.ledger").unwrap();
        site.master.stop();
        site.wait_for(&site.backup);
        let left: Vec<&str> = ledger.lines().filter(|line| !matches!(*line, "active" | "lent")).collect();
        site.master.write("run/piranha-ng/pulse.ledger", &(left.join("\n") + "\n"));
        site.master.ip("addr add 10.0.0.9/24 dev v0");
        site.master.start();
        site.master.wait_for_line("one virtual IP was left by the last pulse: removing it");
        wait_until("it is gone", || !site.master.has_vip());
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip(), "nothing else moved");
        assert_eq!((site.master.count(": activating"), site.backup.count(": activating")), (1, 1));
        assert_eq!(site.master.commands(), "active\ninactive\n");
    });
}

/// The kernel counts in seconds: what is left is not much more than one.
#[test]
fn with_a_short_deadtime_the_vip_of_a_dead_director_goes_a_little_later() {
    inside("pair::vips::with_a_short_deadtime_the_vip_of_a_dead_director_goes_a_little_later", |_| {
        let site = Site::new("keepalive = 0.1\ndeadtime = 0.5\n");
        site.boot();
        site.wait_for(&site.master);
        site.master.kill_pulse();
        site.backup.wait_for_line("partner dead: activating lvs");
        site.wait_for(&site.backup);
        assert!(site.master.worker().is_none(), "nobody of ours did it");
    });
}

#[test]
fn a_frozen_pulse_has_no_vip_when_the_partner_takes_it_and_does_not_take_it_back() {
    inside("pair::vips::a_frozen_pulse_has_no_vip_when_the_partner_takes_it_and_does_not_take_it_back", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        let both = [site.master.guardian(), site.master.worker().unwrap()];
        site.master.kill(&both, "STOP");
        wait_without_overlap(&site.master, &site.backup);
        site.master.kill(&both, "CONT");
        site.master.wait_for_line("listening first");
        site.master.wait_for_line("partner active: deactivating LVS");
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip());
        assert_eq!(site.master.count("putting it back"), 0);
    });
}

#[test]
fn a_director_that_lives_or_is_soon_back_never_loses_its_vip() {
    inside("pair::vips::a_director_that_lives_or_is_soon_back_never_loses_its_vip", |_| {
        // four seconds on loan: on a busy machine a new pulse may need one
        let site = Site::new("keepalive = 0.2\ndeadtime = 5\n");
        site.boot();
        site.wait_for(&site.master);
        let mut monitor = site.master.monitor();
        assert!(!site.master.ip("-4 addr show dev v0 to 10.0.0.9").contains("forever"), "on loan");
        a_while();
        for _ in 0..3 {
            let worker = site.master.worker().unwrap();
            site.master.kill(&[worker], "KILL");
            wait_until("another pulse", || site.master.worker().is_some_and(|now| now != worker));
            a_while();
        }
        assert_eq!(losses(&mut monitor), 0);
        assert_eq!(site.master.count("putting it back"), 0);
        assert_eq!(site.backup.count("activating"), 0);
    });
}

#[test]
fn a_director_alone_has_its_vip_for_ever_and_a_dead_pulse_costs_nothing() {
    inside("pair::vips::a_director_alone_has_its_vip_for_ever_and_a_dead_pulse_costs_nothing", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        let mut monitor = site.master.monitor();
        site.backup.stop();
        let is_permanent = || site.master.ip("-4 addr show dev v0 to 10.0.0.9").contains("valid_lft forever");
        wait_until("it is permanent", is_permanent);
        site.master.kill_pulse();
        a_while();
        assert!(site.master.has_vip());
        assert_eq!(losses(&mut monitor), 0);
        // adopted, and on loan again when there is a partner
        site.master.start();
        site.master.wait_for_line("lvs was active already: carrying on");
        site.backup.start();
        wait_until("it is on loan", || !is_permanent());
        assert_eq!(losses(&mut monitor), 0);
    });
}

#[test]
fn a_vip_that_somebody_removes_is_back_at_once_on_a_pair_too() {
    inside("pair::vips::a_vip_that_somebody_removes_is_back_at_once_on_a_pair_too", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        site.master.wait_for_line("gratuitous lvs arps finished");
        for n in 1..=3 {
            site.master.ip("addr del 10.0.0.9/24 dev v0");
            wait_until("it is back, with a line", || {
                site.master.count("putting it back") == n && site.master.has_vip()
            });
        }
        assert_eq!(site.backup.count("activating"), 0);
    });
}

#[test]
fn who_claims_the_vip_is_named_and_answered() {
    inside("pair::vips::who_claims_the_vip_is_named_and_answered", |ground| {
        let site = Site::with_switch(QUICK);
        site.boot();
        site.wait_for(&site.master);
        site.master.wait_for_line("gratuitous lvs arps finished");
        let (segment, frames) = (PacketSocket::open().unwrap(), ground.capture_on("sw"));
        let switch = nix::net::if_::if_nametoindex("sw").unwrap();
        // 10.0.0.11 is a real server of the file
        site.master.ip("neigh replace 10.0.0.11 lladdr 02:00:00:00:00:66 dev v0");
        segment.send(switch, &arp::gratuitous(Form::Reply, FOREIGN, [10, 0, 0, 9].into())).unwrap();
        site.master.wait_for_line(
            "virtual IP 10.0.0.9 is claimed by 02:00:00:00:00:66 (real server 10.0.0.11: set arp_ignore = 1 and \
             arp_announce = 2 there), announcing again",
        );
        let ours = arp::gratuitous(Form::Reply, site.master.mac(), [10, 0, 0, 9].into());
        wait_until("it is announced again", || frames.seen().contains(&ours));
        for _ in 0..20 {
            segment.send(switch, &arp::gratuitous(Form::Reply, FOREIGN, [10, 0, 0, 9].into())).unwrap();
        }
        a_while();
        assert_eq!(site.master.count("claimed by"), 1, "said once");
        assert_eq!(site.backup.count("claimed by"), 0, "not by the one that does not hold it");
        assert_eq!(site.master.count("gratuitous lvs arps finished"), 1);
    });
}

/// A host that has the VIP, and says so to nobody who does not ask.
#[test]
fn who_only_answers_for_the_vip_is_found_and_with_vip_probe_before_a_takeover() {
    inside("pair::vips::who_only_answers_for_the_vip_is_found_and_with_vip_probe_before_a_takeover", |ground| {
        let site = Site::with_switch(&format!("{QUICK}vip_probe = 0.5\n"));
        ground.ip("addr add 10.0.0.9/32 dev sw");
        site.backup.start();
        site.backup.wait_for_line("answers for a VIP: not activating");
        a_while();
        assert!(!site.backup.has_vip());
        assert_eq!(site.backup.count("not activating"), 1);
        ground.ip("addr del 10.0.0.9/32 dev sw");
        site.wait_for(&site.backup);
        site.backup.wait_for_line("partner dead: activating lvs");
        site.backup.stop();

        let site = Site::with_switch(QUICK);
        ground.ip("addr add 10.0.0.9/32 dev sw");
        site.backup.start();
        site.wait_for(&site.backup);
        site.backup.wait_for_line("virtual IP 10.0.0.9 is claimed by");
    });
}

#[test]
fn a_director_that_hears_neither_partner_nor_witness_does_not_take_over() {
    inside("pair::vips::a_director_that_hears_neither_partner_nor_witness_does_not_take_over", |ground| {
        let site = Site::with_switch(&format!("{QUICK}witness = [ 192.0.2.1 10.0.0.254 ]\nwitness_timeout = 0.5\n"));
        site.boot();
        site.wait_for(&site.master);
        ground.ip("link set port1 down"); // the backup's
        site.backup.wait_for_line("neither partner nor witness heard: not activating");
        a_while();
        assert!(!site.backup.has_vip() && site.master.has_vip());
        ground.ip("link set port1 up");
        site.master.wait_for_line("partner is alive");
        a_while();
        assert_eq!(site.backup.count(": activating"), 0);
        // the witness answers no echo, but is on our network
        std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
        site.master.kill_pulse();
        wait_without_overlap(&site.master, &site.backup);
        site.backup.wait_for_line("partner dead: activating lvs");
        assert_eq!(site.backup.count("cannot ask witness 192.0.2.1 (Network is unreachable"), 1);
    });
}

#[test]
fn a_director_that_lost_its_link_gives_way_if_links_are_monitored() {
    inside("pair::vips::a_director_that_lost_its_link_gives_way_if_links_are_monitored", |ground| {
        // they hear each other on the cable, whatever becomes of the other link
        let site = Site::with_switch(&format!("{QUICK}monitor_links = 1\nheartbeat_path = 10.8.0.1 10.8.0.2\n"));
        site.connect("v1", ["10.8.0.1/24", "10.8.0.2/24"]);
        site.boot();
        site.wait_for(&site.master);
        a_while();
        ground.ip("link set port0 down"); // the master's
        for line in ["Primary NIC: link down", "Local NIC link failure: Pulse disabled"] {
            site.master.wait_for_line(line);
        }
        site.master.wait_for_line("local link failure: deactivating LVS");
        wait_without_overlap(&site.master, &site.backup);
        ground.ip("link set port0 up");
        site.master.wait_for_line("Local NIC link(s) restored: Pulse enabled");
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip());
        // the cable between them serves no client
        site.backup.ip("link set v1 down");
        site.backup.wait_for_line("10.8.0.1-10.8.0.2 NIC: link down");
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip());
    });
}
