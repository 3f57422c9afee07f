//! The story this project started from, whole: what killed a director at a RHEL
//! 5.5 site costs one destination now, and killing the daemons costs nothing.
//! It is also the demo: tests/demo has it told while it runs.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::client::Pace;
use crate::ground::lab::signal;
use crate::ground::tell::{self, step};
use crate::ground::wait::{SOON, wait_for, wait_until};
use crate::ground::{Machine, scenario};
use crate::site::{BOTH, LVS_CF, SERVICE, Site, VIP, VIP_ON_DEVICE};

#[test]
fn the_trio_outlives_what_kills_its_parts() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        if tell::only_ground() {
            tell::shell_if_asked(lab);
            return;
        }
        step("A director, two real servers, a client. The configuration of a RHEL 5.5 site: the servers are on 8080.");
        tell::show(LVS_CF);
        comes_into_service(&site);

        let held = site.client.hold(VIP, 6);
        assert_eq!(held.servers(), [("158".to_owned(), 3), ("159".to_owned(), 3)].into());
        let load = site.client.open_connections(VIP, Pace::STEADY);
        load.wait_for_served(50);

        a_real_server_dies(&mut site, &load);
        held.assert_flowing("159");
        held.wait_for_broken("158", 3);
        it_comes_back(&mut site, &load);

        // From here on nothing may fail, whatever is killed.
        let from = Instant::now();
        let watch = site.director.watch();
        the_nanny_is_killed(&site);
        load.wait_for_served(50);
        lvsd_is_killed(&site);
        load.wait_for_served(50);
        pulse_is_killed(&site);
        load.wait_for_served(50);
        let to = Instant::now();
        watch.assert_unchanged();
        drop(watch);
        load.assert_none_failed(from, to);
        held.assert_flowing("159");
        let served = load.served_between(from, to);
        step("Three of the trio were killed. What the client saw, from the first kill to the last return:");
        tell::show(&format!(
            "connections served by each server: {served:?}; failed: 0; the table and the VIP: never changed"
        ));

        somebody_deletes_the_destination(&site);
        drop((held, load));
        tell::shell_if_asked(lab);
        pulse_is_stopped(&site);
    });
}

fn comes_into_service(site: &Site) {
    let director = &site.director;
    step("service pulse start");
    director.start_pulse();
    site.wait_in_service();
    director.log.wait_for(0, "[ active ] making 192.168.142.159:8080 available");
    director.log.assert_order(
        0,
        &["STARTING PULSE AS MASTER", "starting virtual service 100 active: 80", "[ active ] making 192.168.142.15"],
    );
    for server in ["158", "159"] {
        let log = &director.log;
        log.wait_for(0, &format!("create_monitor for 100/{server} running as pid "));
        log.wait_for(0, &format!("starting LVS client monitor for {VIP} -> 192.168.142.{server}:8080"));
        log.wait_for(0, &format!("[ active ] making 192.168.142.{server}:8080 available"));
        log.wait_for(
            0,
            &format!("100/{server}: only NAT rewrites ports, so the kernel port is 80, the probe goes to 8080"),
        );
        let nanny = director.nanny(&format!("192.168.142.{server}")).expect("a nanny for each server");
        let line = Machine::command_line(nanny).join(" ");
        assert!(
            line.contains(&format!("nanny -c -h 192.168.142.{server} -p 80 -r 8080 -e /etc/sysconfig/ha/lvs.sh %h")),
            "operators grep ps for it: {line}"
        );
    }
    let shown = director.machine.run("ip", &["-4", "addr", "show", "dev", "eth0"]);
    assert!(shown.contains("192.168.142.100/24 brd 192.168.142.255 scope global secondary eth0:1"), "{shown}");
    assert_eq!(director.table().service(SERVICE).unwrap().scheduler, "rr");
    director.show(0);
}

fn a_real_server_dies(site: &mut Site, load: &crate::ground::client::Load) {
    let director = &site.director;
    step("The application on real server 158 is killed.");
    let nannies = director.machine.processes("nanny");
    let mark = director.log.mark();
    site.servers[0].kill();
    director.wait_for_destinations(SERVICE, &BOTH[1..]);
    let from = Instant::now();
    director.log.wait_for(mark, "[inactive] shutting down 192.168.142.158:8080 due to connection failure");
    director.log.assert_order(
        mark,
        &[
            "Trouble. Received results are not what we expected from (192.168.142.158:8080)",
            "[inactive] shutting down 192.168.142.158:8080 due to connection failure",
        ],
    );
    load.wait_for_served(50);
    load.assert_none_failed(from, Instant::now());
    assert!(director.has_address(VIP_ON_DEVICE), "the VIP stays");
    assert_eq!(director.machine.processes("nanny"), nannies, "both nannies live");
    director.log.assert_never(mark, "died");
    director.log.assert_never(mark, "159");
    director.show(mark);
}

fn it_comes_back(site: &mut Site, load: &crate::ground::client::Load) {
    let director = &site.director;
    step("The application is started again; it must answer for `reentry` seconds first.");
    let mark = director.log.mark();
    site.servers[0].start();
    director.wait_for_destinations(SERVICE, &BOTH);
    director.log.wait_for(mark, "[ active ] making 192.168.142.158:8080 available");
    load.wait_for_served(20);
    director.show(mark);
}

fn the_nanny_is_killed(site: &Site) {
    let director = &site.director;
    step("kill -9 of the nanny of 159, whose server is well.");
    let mark = director.log.mark();
    let nanny = director.nanny("192.168.142.159").expect("it runs");
    let at = Instant::now();
    signal(nanny, Signal::SIGKILL);
    director.log.wait_for(mark, "nanny for child 100/159 died!");
    wait_until(SOON, "another nanny", || director.nanny("192.168.142.159").is_some_and(|new| new != nanny));
    director.log.wait_for(mark, "starting LVS client monitor for 192.168.142.100:80 -> 192.168.142.159:8080");
    tell::show(&format!("another was at work {} ms later", at.elapsed().as_millis()));
    director.wait_until_met(2);
    director.log.assert_never(mark, "158");
    director.show(mark);
}

fn lvsd_is_killed(site: &Site) {
    let director = &site.director;
    step("kill -9 of lvsd.");
    let mark = director.log.mark();
    let nannies = director.machine.processes("nanny");
    let lvsd = director.machine.processes("lvsd");
    assert_eq!(lvsd.len(), 1);
    let at = Instant::now();
    signal(lvsd[0], Signal::SIGKILL);
    director.log.wait_for(mark, "terminated with signal 9");
    wait_until(SOON, "another lvsd", || director.machine.processes("lvsd").iter().any(|new| *new != lvsd[0]));
    director.log.wait_for(mark, "monitors at work, going on with them");
    tell::show(&format!("another had found everything {} ms later", at.elapsed().as_millis()));
    assert_eq!(director.machine.processes("nanny"), nannies, "the nannies went on, and are the new lvsd's");
    director.show(mark);
}

fn pulse_is_killed(site: &Site) {
    let director = &site.director;
    step("kill -9 of pulse.");
    let mark = director.log.mark();
    let below: Vec<u32> = ["lvsd", "nanny"].iter().flat_map(|name| director.machine.processes(name)).collect();
    let pulse = director.machine.processes("pulse");
    let at = Instant::now();
    for pid in &pulse {
        signal(*pid, Signal::SIGKILL);
    }
    let new = wait_for(SOON, "another pulse", || {
        director.machine.processes("pulse").into_iter().find(|new| !pulse.contains(new))
    });
    tell::show(&format!("another ran {} ms later, as process {}", at.elapsed().as_millis(), Machine::inner_pid(new)));
    director.log.wait_for(mark, "STARTING PULSE AS MASTER");
    let now: Vec<u32> = ["lvsd", "nanny"].iter().flat_map(|name| director.machine.processes(name)).collect();
    assert_eq!(now, below, "lvsd and the nannies went on, and are the new pulse's");
    director.show(mark);
}

fn somebody_deletes_the_destination(site: &Site) {
    let director = &site.director;
    step("Somebody types ipvsadm -d for a destination that is alive.");
    let mark = director.log.mark();
    director.ipvsadm("-d -t 192.168.142.100:80 -r 192.168.142.159:80");
    director.log.wait_for(mark, "somebody else deleted 192.168.142.159:80 from");
    director.wait_for_destinations(SERVICE, &BOTH);
    director.show(mark);
}

fn pulse_is_stopped(site: &Site) {
    let director = &site.director;
    step("service pulse stop, beside a virtual service that is none of ours.");
    director.ipvsadm("-A -t 192.168.142.200:25 -s wlc");
    director.ipvsadm("-a -t 192.168.142.200:25 -r 192.168.142.158 -g");
    let mark = director.log.mark();
    director.stop_pulse();
    assert!(!director.has_address(VIP_ON_DEVICE), "the VIP is gone");
    assert!(director.has_address("192.168.142.160/24"), "the director's own address stays");
    let table = director.table();
    assert_eq!(table.services.len(), 1, "{table}");
    assert_eq!(table.destinations("TCP 192.168.142.200:25"), ["192.168.142.158:25"]);
    director.log.wait_for(mark, "shutting down virtual service 100");
    for daemon in ["pulse", "lvsd", "nanny"] {
        wait_until(SOON, &format!("{daemon} says why it ends"), || {
            let said = director.log.since(mark);
            said.iter().any(|line| line.contains(&format!(" {daemon}[")) && line.contains("due to signal 15"))
        });
    }
    assert!(!director.machine.path("/run/pulse.pid").exists() && !director.machine.path("/run/lvs.pid").exists());
    director.show(mark);
}
