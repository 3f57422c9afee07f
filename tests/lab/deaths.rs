//! Whatever of the trio is killed or frozen, in whatever combination: clients
//! notice nothing, the table and the VIP never change, everything comes back and
//! goes on from what it finds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::client::Pace;
use crate::ground::director::Director;
use crate::ground::lab::signal;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};
use crate::site::{BOTH, SERVICE, Site, VIP, VIP_ON_DEVICE};

/// A frozen process is given ten seconds before it counts as frozen.
const FROZEN: Duration = Duration::from_secs(120);

/// The trio's processes of that name.
fn all(director: &Director, name: &str) -> BTreeSet<u32> {
    director.machine.processes(name).into_iter().collect()
}

fn signal_all(pids: &BTreeSet<u32>, what: Signal) {
    for pid in pids {
        signal(*pid, what);
    }
}

fn kill_all(pids: &BTreeSet<u32>) {
    signal_all(pids, Signal::SIGKILL);
}

/// Waits until `count` processes of that name run and none of `old` does.
fn wait_for_others(director: &Director, name: &str, count: usize, old: &BTreeSet<u32>) {
    wait_until(FROZEN, &format!("{count} other {name}"), || {
        let now = all(director, name);
        now.len() == count && now.is_disjoint(old)
    });
}

#[test]
fn all_three_killed_in_one_breath_cost_no_connection() {
    scenario(|lab| {
        let site = Site::in_service(lab);
        let director = &site.director;
        let held = site.client.hold(VIP, 4);
        let load = site.client.open_connections(VIP, Pace::STEADY);
        let (from, watch) = (Instant::now(), director.watch());
        load.wait_for_served(20);
        let old = ["pulse", "lvsd", "nanny"].map(|name| (name, all(director, name)));
        old.iter().rev().for_each(|(_, pids)| kill_all(pids));
        for (name, pids) in &old {
            assert!(!pids.is_empty(), "{name} ran");
            wait_for_others(director, name, pids.len(), pids);
        }
        load.wait_for_served(100);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        held.assert_flowing("158");
        held.assert_flowing("159");
        director.stop_pulse();
        assert!(director.table().services.is_empty() && !director.has_address(VIP_ON_DEVICE));
    });
}

#[test]
fn pulse_killed_with_its_guardian_leaves_the_service_and_the_next_start_goes_on_with_it() {
    scenario(|lab| {
        let site = Site::in_service(lab);
        let director = &site.director;
        let load = site.client.open_connections(VIP, Pace::STEADY);
        let (from, watch) = (Instant::now(), director.watch());
        let below = [all(director, "lvsd"), all(director, "nanny")];
        // In one breath, or either would have the other back.
        let pulses: BTreeSet<u32> =
            director.daemons().into_iter().filter(|(_, name)| name.starts_with("pulse")).map(|(pid, _)| pid).collect();
        assert!(pulses.len() > 1, "a guardian and its worker");
        signal_all(&pulses, Signal::SIGSTOP);
        kill_all(&pulses);
        load.wait_for_served(100);
        assert_eq!([all(director, "lvsd"), all(director, "nanny")], below, "they go on alone");
        director.start_pulse();
        load.wait_for_served(50);
        assert_eq!([all(director, "lvsd"), all(director, "nanny")], below, "the new pulse has them");
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        drop(load);
        director.stop_pulse();
        assert!(director.table().services.is_empty() && !director.has_address(VIP_ON_DEVICE));
    });
}

#[test]
fn the_process_in_the_pid_file_can_be_killed_like_any_other() {
    scenario(|lab| {
        let site = Site::in_service(lab);
        let director = &site.director;
        let (from, watch) = (Instant::now(), director.watch());
        let load = site.client.open_connections(VIP, Pace::STEADY);
        let read = || std::fs::read_to_string(director.machine.path("/run/pulse.pid")).unwrap_or_default();
        let before = read();
        director.signal_pulse(Signal::SIGKILL);
        wait_until(SOON, "another process in the pid file, and alive", || {
            let now = read();
            now != before && now.trim().parse().is_ok_and(|pid| director.machine.outer_pid(pid).is_some())
        });
        load.wait_for_served(50);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        drop((load, watch));
        director.stop_pulse();
        assert!(director.table().services.is_empty() && !director.has_address(VIP_ON_DEVICE));
    });
}

#[test]
fn a_frozen_nanny_a_frozen_lvsd_and_a_frozen_pulse_are_replaced() {
    scenario(|lab| {
        let site = Site::in_service(lab);
        let director = &site.director;
        let load = site.client.open_connections(VIP, Pace::STEADY);
        let (from, watch) = (Instant::now(), director.watch());
        let mark = director.log.mark();

        let nanny = director.nanny("192.168.142.159").expect("it runs");
        signal(nanny, Signal::SIGSTOP);
        wait_until(FROZEN, "another nanny for 159", || {
            director.nanny("192.168.142.159").is_some_and(|new| new != nanny)
        });
        director.log.wait_for(mark, "nanny for child 100/159");
        director.wait_until_met(2);

        let nannies = all(director, "nanny");
        let lvsd = all(director, "lvsd");
        signal_all(&lvsd, Signal::SIGSTOP);
        wait_for_others(director, "lvsd", 1, &lvsd);
        director.log.wait_for(mark, "monitors at work, going on with them");
        assert_eq!(all(director, "nanny"), nannies, "the nannies are the new lvsd's");

        let pulse = all(director, "pulse");
        signal_all(&pulse, Signal::SIGSTOP);
        wait_for_others(director, "pulse", pulse.len(), &pulse);
        load.wait_for_served(20);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
    });
}

#[test]
fn a_nanny_killed_while_its_server_is_dead_does_not_bring_it_back() {
    scenario(|lab| {
        let mut site = Site::in_service(lab);
        site.servers[0].kill();
        site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
        let director = &site.director;
        let (mark, watch) = (director.log.mark(), director.watch());
        let nanny = director.nanny("192.168.142.158").expect("it lives on");
        signal(nanny, Signal::SIGKILL);
        wait_until(SOON, "another nanny for 158", || director.nanny("192.168.142.158").is_some_and(|new| new != nanny));
        director.log.wait_for(mark, "Trouble. Received results are not what we expected from (192.168.142.158:8080)");
        watch.assert_unchanged();
        drop(watch);
        site.servers[0].start();
        site.director.wait_for_destinations(SERVICE, &BOTH);
    });
}

#[test]
fn a_server_that_dies_together_with_lvsd_is_still_taken_out() {
    scenario(|lab| {
        let mut site = Site::in_service(lab);
        let lvsd = all(&site.director, "lvsd");
        kill_all(&lvsd);
        site.servers[0].kill();
        site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
        wait_for_others(&site.director, "lvsd", 1, &lvsd);
        let from = Instant::now();
        let load = site.client.open_connections(VIP, Pace::STEADY);
        load.wait_for_served(50);
        load.assert_none_failed(from, Instant::now());
    });
}

#[test]
fn what_somebody_deleted_by_hand_is_put_back() {
    scenario(|lab| {
        let site = Site::in_service(lab);
        let director = &site.director;
        let mark = director.log.mark();
        director.ipvsadm("-e -t 192.168.142.100:80 -r 192.168.142.158 -g -w 7");
        wait_until(SOON, "the weight is what the file says", || {
            director.kernel_table().service(SERVICE).is_some_and(|s| s.destinations.iter().all(|d| d.weight == 1))
        });
        director.ipvsadm("-D -t 192.168.142.100:80");
        director.wait_for_destinations(SERVICE, &BOTH);
        director.log.wait_for(mark, "virtual service 100 was gone from the kernel, putting it back");
        director.machine.run("ip", &["addr", "del", VIP_ON_DEVICE, "dev", "eth0"]);
        director.wait_for_address(VIP_ON_DEVICE);
        director.log.wait_for(mark, "192.168.142.100");
        director.log.assert_never(mark, "died");
    });
}
