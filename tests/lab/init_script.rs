//! `service pulse VERB`: the init script as it is installed, driven with a shell
//! and nothing of a distribution around it (piranha.md 2.9).

use std::collections::BTreeSet;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::Lab;
use crate::ground::client::{Client, Pace};
use crate::ground::director::{Director, LVS_CF as PLACE};
use crate::ground::lab::signal;
use crate::ground::real_server::RealServer;
use crate::ground::wait::{SOON, wait_until};
use crate::installed::{INITDIR, expect, install, programs_are_new, said, scenario};
use crate::site::{BOTH, LVS_CF, SERVICE, Site, VIP, VIP_ON_DEVICE, wrong_lvs_cf};

const PROGRAM: &str = "/run/usr/sbin/pulse";
const SETTINGS: &str = "/etc/sysconfig/pulse";
const LOCK: &str = "/run/lock/subsys/pulse";

fn pids(director: &Director, starts_with: &str) -> BTreeSet<u32> {
    director.daemons().into_iter().filter(|(_, name)| name.starts_with(starts_with)).map(|(pid, _)| pid).collect()
}

#[test]
fn every_verb_tells_what_really_happened() {
    scenario(|lab| {
        let site = Site::new(lab);
        let director = &site.director;
        let machine = &director.machine;
        install(machine, "director");
        assert_eq!(std::fs::read_to_string(machine.path(PLACE)).unwrap(), LVS_CF, "the operator's file stays");

        expect(director, "status", 3, "pulse is stopped");
        expect(director, "stop", 0, "Shutting down pulse: [  OK  ]");
        expect(director, "reload", 7, "[FAILED]");
        expect(director, "force-reload", 7, "[FAILED]");
        expect(director, "condrestart", 0, "");
        expect(director, "try-restart", 0, "");
        expect(director, "fly", 1, "Usage: pulse {start|stop|status|restart|condrestart|try-restart|reload");
        let nobody =
            machine.output("setpriv", &["--reuid=65534", "--clear-groups", &format!("{INITDIR}/pulse"), "start"]);
        assert_eq!(nobody.status.code(), Some(4), "{}", said(&nobody));

        let (wrong, line) = wrong_lvs_cf();
        director.configure(&wrong);
        expect(director, "start", 6, &format!("error parsing {PLACE} at line {line}"));
        director.configure(LVS_CF);
        machine.write(SETTINGS, "OPTIONS=--bogus\n");
        expect(director, "start", 2, "bad argument --bogus");
        machine.write(SETTINGS, "OPTIONS='-c /etc/sysconfig/ha/none.cf'\n");
        expect(director, "start", 6, "/etc/sysconfig/ha/none.cf is missing");
        machine.write(SETTINGS, "");
        machine.write("/etc/sysconfig/network", "NETWORKING=no\n");
        expect(director, "start", 1, "");
        machine.write("/etc/sysconfig/network", "NETWORKING=yes\n");
        machine.run("mv", &[PROGRAM, "/run/usr/away"]);
        expect(director, "start", 5, "/run/usr/sbin/pulse is missing");
        machine.run("mv", &["/run/usr/away", PROGRAM]);
        assert!(director.daemons().is_empty() && !machine.path(LOCK).exists(), "nothing came of all that");

        machine.write(SETTINGS, "OPTIONS=-v\nDELAY=0.1\n");
        expect(director, "start", 0, "Starting pulse: [  OK  ]");
        assert!(machine.path(LOCK).exists());
        site.wait_in_service();
        expect(director, "status", 0, "is running...");
        let pulses = pids(director, "pulse");
        expect(director, "start", 0, "[  OK  ]");
        assert_eq!(pids(director, "pulse"), pulses, "one is enough");

        let (mark, watch) = (director.log.mark(), director.watch());
        director.configure(&wrong);
        expect(director, "reload", 6, "scheduler");
        expect(director, "restart", 6, "is left as it is");
        director.configure(&LVS_CF.replace("reentry = 6", "reentry = 7"));
        expect(director, "reload", 0, "Reloading pulse: [  OK  ]");
        director.log.wait_for(mark, "rereading");
        assert_eq!(pids(director, "pulse"), pulses);
        watch.assert_unchanged();
        drop(watch);

        // Both of its processes at once, and nobody is left who watches.
        for end in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in &pulses {
                signal(*pid, end);
            }
        }
        wait_until(SOON, "both are gone", || pids(director, "pulse").is_empty());
        expect(director, "status", 1, "pulse dead but pid file exists");
        assert!(director.has_address(VIP_ON_DEVICE));
        expect(director, "stop", 0, "[  OK  ]");
        assert!(director.daemons().is_empty() && !director.has_address(VIP_ON_DEVICE));
        assert!(director.table().services.is_empty() && !machine.path(LOCK).exists());
        machine.write(LOCK, "");
        expect(director, "status", 2, "pulse dead but subsys locked");
    });
}

#[test]
fn a_restart_lets_go_of_nothing_and_an_upgrade_comes_with_it() {
    scenario(|lab| {
        let site = Site::new(lab);
        let director = &site.director;
        install(&director.machine, "director");
        // nanny's own check: a guest may need long to start a script thrice at once.
        let without_script = |line: &&str| !line.contains("send_program") && !line.contains("expect");
        let file: Vec<&str> = LVS_CF.lines().filter(without_script).collect();
        director.configure(&file.join("\n"));
        expect(director, "start", 0, "[  OK  ]");
        site.wait_in_service();
        let held = site.client.hold(VIP, 4);
        let load = site.client.open_connections(VIP, Pace::STEADY);
        let (from, watch) = (Instant::now(), director.watch());
        load.wait_for_served(20);
        let below = [pids(director, "lvsd"), pids(director, "nanny")];
        for options in ["", "-v"] {
            let old = pids(director, "pulse");
            director.machine.write(SETTINGS, &format!("OPTIONS={options}\n"));
            expect(director, "restart", 0, "Restarting pulse: [  OK  ]");
            // The old one ends behind the new one's start.
            wait_until(SOON, "another pulse and another guardian", || {
                let new = pids(director, "pulse");
                new.len() == 2 && new.is_disjoint(&old)
            });
            load.wait_for_served(20);
            if options.is_empty() {
                assert_eq!([pids(director, "lvsd"), pids(director, "nanny")], below, "they had no reason to go");
            }
        }
        for (name, old) in ["lvsd", "nanny"].iter().zip(&below) {
            wait_until(SOON, "lvsd and nannies with the new option", || {
                let now = pids(director, name);
                now.len() == old.len() && now.is_disjoint(old)
            });
        }
        director.wait_until_met(2);
        // The programs are others: lvsd goes with them, and then the nannies.
        let (mark, old) = (director.log.mark(), ["lvsd", "nanny"].map(|name| pids(director, name)));
        install(&director.machine, "director");
        expect(director, "restart", 0, "[  OK  ]");
        director.log.wait_for(mark, "runs a program that was replaced since");
        director.log.wait_for(mark, "2 monitors were replaced and run the new program");
        for (name, old) in ["lvsd", "nanny"].iter().zip(&old) {
            wait_until(SOON, &format!("other processes of {name}"), || {
                let now = pids(director, name);
                now.len() == old.len() && now.is_disjoint(old)
            });
        }
        load.wait_for_served(20);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        held.assert_flowing("158");
        held.assert_flowing("159");
        drop((load, watch));
        expect(director, "stop", 0, "[  OK  ]");
        assert!(director.daemons().is_empty() && director.table().services.is_empty());
    });
}

#[test]
fn a_pair_is_upgraded_one_after_the_other_and_nobody_notices() {
    scenario(|lab| {
        lab.network("front");
        let directors = ["160", "161"].map(|name| pair_director(lab, name));
        let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
        let mut server = RealServer::new(lab, "158", "front", &["192.168.142.158/24"]);
        server.direct_routing("192.168.142.100/32");
        server.serve(&["tcp 80", "tcp 8080"]);
        for director in &directors {
            expect(director, "start", 0, "[  OK  ]");
        }
        let [active, standby] = &directors;
        active.wait_for_address(VIP_ON_DEVICE);
        for director in &directors {
            director.wait_for_destinations(SERVICE, &BOTH[..1]);
        }
        wait_until(SOON, "one active director", || !standby.has_address(VIP_ON_DEVICE));
        let load = client.open_connections(VIP, Pace::STEADY);
        load.wait_for_served(20);
        let (from, watches) = (Instant::now(), [active.watch(), standby.watch()]);
        for director in [standby, active, standby] {
            let mark = director.log.mark();
            install(&director.machine, "director");
            assert!(!programs_are_new(director), "they run on with what they began with");
            load.wait_for_served(20);
            expect(director, "restart", 0, "[  OK  ]");
            director.log.wait_for(mark, "1 monitors were replaced and run the new program");
            wait_until(SOON, "only new programs run", || programs_are_new(director));
            load.wait_for_served(50);
        }
        watches.iter().for_each(crate::ground::director::Watch::assert_unchanged);
        load.assert_none_failed(from, Instant::now());
        // A stop is another thing: the partner takes over, and without a sync daemon it
        // knows nothing of the connection that is under way.
        let from = Instant::now();
        expect(active, "stop", 0, "[  OK  ]");
        standby.wait_for_address(VIP_ON_DEVICE);
        load.wait_for_served(50);
        load.assert_reset_at_one_moment(from, Instant::now());
    });
}

/// One of the pair: the site's file, with a partner and one real server.
fn pair_director(lab: &Lab, name: &str) -> Director {
    let director = Director::new(lab, name, "front", &[&format!("192.168.142.{name}/24")]);
    install(&director.machine, "director");
    director.configure(
        "primary = 192.168.142.160\nbackup = 192.168.142.161\nbackup_active = 1\nservice = lvs\n\
         keepalive = 1\ndeadtime = 20\nnetwork = direct\n\
         virtual 100 {\n active = 1\n address = 192.168.142.100 eth0:1\n vip_nmask = 255.255.255.0\n port = 80\n\
         \x20server 158 {\n address = 192.168.142.158\n active = 1\n }\n}\n",
    );
    director
}
