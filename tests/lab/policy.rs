//! When servers go out of use and come back, and what a service as a whole holds
//! to, as the kernel's table shows it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::Lab;
use crate::ground::director::{LVSD, Watch};
use crate::ground::lab::signal;
use crate::ground::real_server::RealServer;
use crate::ground::scenario;
use crate::ground::tell;
use crate::ground::wait::{SOON, wait_until};
use crate::site::{BOTH, LVS_CF, SERVICE, Site};

/// The site's configuration with checks by connection, quick ones, and these lines in
/// the virtual.
fn lvs_cf(keys: &str) -> String {
    let checked = "     expect = \"OK\"\n     use_regex = 0\n     send_program = \"/etc/sysconfig/ha/lvs.sh %h\"\n";
    let quick = format!("     interval = 0.2\n     rise = 2\n{keys}");
    let text = LVS_CF.replace(checked, &quick).replace("reentry = 6", "reentry = 0.2");
    let text = text.replace("timeout = 6", "timeout = 3").replace("weight = 1", "weight = 64");
    assert!(text.contains(&quick) && text.contains("reentry = 0.2") && text.contains("weight = 64"));
    text
}

/// A site with this configuration in service.
fn in_service(site: &Site, text: &str) {
    site.director.configure(text);
    site.director.start_pulse();
    site.wait_in_service();
}

/// The weights that a destination was seen with, in order, 0 while it was not there.
fn weights(watch: &Watch, server: &str) -> Vec<u32> {
    let weight = |seen: crate::ground::director::Seen| {
        let service = seen.table.service(SERVICE)?.clone();
        service.destinations.iter().find(|it| it.address.to_string() == server).map(|it| it.weight)
    };
    let mut all: Vec<u32> = watch.states().into_iter().map(|seen| weight(seen).unwrap_or(0)).collect();
    all.dedup();
    all
}

#[test]
fn the_last_server_stays_whoever_dies_and_one_that_returns_grows() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        let keys = "     fall = 2\n     retry = 0.05\n     slow_start = 2\n     min_up = 1\n     max_connections = 100\n     \
                    min_connections = 80\n";
        in_service(&site, &lvs_cf(keys));
        let limits = site.director.ipvsadm("-Ln --thresholds");
        assert_eq!(
            limits.lines().filter(|line| line.contains(" 100 ") && line.contains(" 80 ")).count(),
            2,
            "{limits}"
        );

        site.servers[0].kill();
        site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
        let mark = site.director.log.mark();
        let watch = site.director.watch();
        site.servers[1].kill();
        let director = &site.director;
        director.log.wait_for(mark, "[ failed ] keeping 192.168.142.159:8080 in use although its checks fail");
        director.log.wait_for(mark, "Virtual Server 100: 0 real servers are well and min_up is 1; keeping 1 in use");

        // Every nanny is another process after a reload, and lvsd after its death.
        let old = director.machine.processes("nanny");
        director.configure(&lvs_cf(&keys.replace("fall = 2", "fall = 1")));
        director.signal_pulse(Signal::SIGHUP);
        wait_until(SOON, "other nannies", || {
            let new = director.machine.processes("nanny");
            new.len() == 2 && new.iter().all(|it| !old.contains(it))
        });
        director.wait_until_met(2);
        let begun = director.log.mark();
        for lvsd in director.machine.processes("lvsd") {
            signal(lvsd, Signal::SIGKILL);
        }
        director.log.wait_for(begun, "found 1 virtual services and 2 monitors at work, going on with them");
        watch.assert_unchanged();

        site.servers[0].start();
        site.director.wait_for_destinations(SERVICE, &BOTH[..1]);
        wait_until(SOON, "the full weight", || weights(&watch, BOTH[0]).last() == Some(&64));
        // The table is looked at now and then, so that a step may not have been seen.
        let grown = weights(&watch, BOTH[0]);
        assert!(grown.is_sorted() && grown.iter().all(|it| [0, 2, 4, 8, 16, 32, 64].contains(it)), "{grown:?}");
        assert!(grown.len() >= 3, "in one step: {grown:?}");
        assert_eq!(weights(&watch, BOTH[1]), [64, 0]);
        let states = watch.states();
        assert!(states.iter().all(|seen| !seen.table.destinations(SERVICE).is_empty()), "there always was one");
        site.director.log.wait_for(mark, "Virtual Server 100: 1 real servers are well; none that fails is kept in use");
    });
}

/// The interval of a scenario in which nobody would look, and much less.
const UNLOOKED: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_secs(20);

/// How long the table goes on naming a server that died, when nobody would look at it
/// for a minute: its process was killed, its cable is cut, a router says that it is gone.
#[test]
fn a_dead_server_is_out_before_anybody_would_have_looked() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        let text = lvs_cf("     watch = 1\n     slow_start = 0\n").replace("interval = 0.2", "interval = 60");
        in_service(&site, &text);
        let mut took: Vec<Duration> = (0..5).map(|_| dies(&mut site, RealServer::kill, RealServer::start)).collect();
        took.sort();
        tell::show(&format!("killed servers were out of the table after {took:?}; the interval is 60 s"));
        assert!(took.iter().all(|it| *it < AT_ONCE), "{took:?}");

        let [cut, mend] = [Lab::silence, Lab::mend].map(|act| move |it: &mut RealServer| act(lab, &it.machine, "eth0"));
        let cut = dies(&mut site, cut, mend);
        let reject = "INPUT -p tcp --dport 8080 -j REJECT --reject-with icmp-host-unreachable";
        let gone = dies(&mut site, |it| filter(it, &format!("-I {reject}")), |it| filter(it, &format!("-D {reject}")));
        tell::figure(&format!("out of the table, checked once a minute: cable cut {cut:?}, ICMP {gone:?}"));
        assert!(cut < UNLOOKED && gone < UNLOOKED, "{cut:?} {gone:?}");
    });
}

/// The first server dies in this way, while an idle connection to it is held, and comes
/// back in that: how long it stayed in the table.
fn dies(site: &mut Site, how: impl FnOnce(&mut RealServer), back: impl FnOnce(&mut RealServer)) -> Duration {
    let mark = site.director.log.mark();
    for nanny in ["192.168.142.158", "192.168.142.159"].map(|it| site.director.nanny(it).expect("it runs")) {
        wait_until(SOON, "the idle connection", || sockets(nanny) >= 1);
    }
    let begun = Instant::now();
    how(&mut site.servers[0]);
    wait_until(SOON, "it is out", || site.director.kernel_table().destinations(SERVICE) == BOTH[1..]);
    let took = begun.elapsed();
    site.director.log.wait_for(mark, "[inactive] shutting down 192.168.142.158:8080");
    back(&mut site.servers[0]);
    // Nobody would look at it for a minute either.
    let nanny = site.director.nanny("192.168.142.158").expect("it runs");
    signal(nanny, Signal::SIGUSR2);
    site.director.log.wait_for(mark, "rose-colored glasses on");
    signal(nanny, Signal::SIGHUP);
    site.director.wait_for_destinations(SERVICE, &BOTH);
    took
}

fn filter(server: &RealServer, rule: &str) {
    server.machine.run("sh", &["-c", &format!("iptables-legacy {rule} || iptables {rule}")]);
}

/// Established TCP connections of a process to port 8080.
fn sockets(pid: u32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).map(|it| it.flatten().collect::<Vec<_>>());
    let own: Vec<String> = links
        .unwrap_or_default()
        .iter()
        .filter_map(|fd| Some(std::fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let fields = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .filter(|line| line.get(2).is_some_and(|it| it.ends_with(":1F90")) && line.get(3) == Some(&"01"))
        .filter(|line| line.get(9).is_some_and(|inode| own.contains(&format!("socket:[{inode}]"))))
        .count()
}

#[test]
fn a_lost_quorum_is_told_to_a_script_and_the_sorry_server_stands_in_on_its_own_port() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        let script = "#!/bin/sh\necho $1 >> /run/quorum\n";
        site.director.machine.write_script("/etc/sysconfig/ha/quorum.sh", script);
        let keys = "     quorum = 2\n     quorum_up = \"/etc/sysconfig/ha/quorum.sh up\"\n     \
                    quorum_down = \"/etc/sysconfig/ha/quorum.sh down\"\n     sorry_server = 192.168.142.10\n     \
                    sorry_port = 8081\n     sorry_method = nat\n";
        in_service(&site, &lvs_cf(keys));
        let told = |site: &Site| {
            let text = std::fs::read_to_string(site.director.machine.path("/run/quorum")).unwrap_or_default();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        wait_until(SOON, "up", || told(&site) == "up");
        let mark = site.director.log.mark();
        site.servers[0].kill();
        wait_until(SOON, "down", || told(&site) == "up down");
        site.director.log.wait_for(mark, "Virtual Server 100: 1 real servers are well, quorum 2 is lost");

        for lvsd in site.director.machine.processes("lvsd") {
            signal(lvsd, Signal::SIGKILL);
        }
        site.director.log.wait_for(mark, "monitors at work, going on with them");
        site.servers[1].kill();
        site.director.wait_for_destinations(SERVICE, &["192.168.142.10:8081"]);
        let service = site.director.kernel_table().service(SERVICE).cloned().expect("it stays");
        assert_eq!(service.destinations[0].method, "Masq");
        site.servers.iter_mut().for_each(RealServer::start);
        site.director.wait_for_destinations(SERVICE, &BOTH);
        wait_until(SOON, "up again", || told(&site) == "up down up");
        site.director.log.wait_for(mark, "Virtual Server 100: 2 real servers are well, quorum 2 is there");
        site.director.log.assert_order(mark, &["activate sorry_server", "deactivate sorry_server"]);
    });
}

#[test]
fn what_the_operator_wants_of_a_server_outlives_everything_and_is_undone_by_one_command() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        in_service(&site, &lvs_cf(""));
        let director = &site.director;
        let lvsd = |words: &[&str]| {
            let output = director.run_daemon(LVSD, words);
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let weight = |server: usize| {
            let table = director.kernel_table();
            table.service(SERVICE).and_then(|it| {
                it.destinations.iter().find(|it| it.address.to_string() == BOTH[server]).map(|it| it.weight)
            })
        };
        assert_eq!(lvsd(&["--server", "100/158", "--drain"]).0, Some(0));
        wait_until(SOON, "158 is drained", || weight(0) == Some(0));
        assert_eq!(lvsd(&["--server", "192.168.142.100:80/192.168.142.159:80", "--weight", "7"]).0, Some(0));
        wait_until(SOON, "159 weighs 7", || weight(1) == Some(7));
        assert_eq!(lvsd(&["--server", "100/157", "--drain"]).0, Some(64));

        director.configure(&lvs_cf("     fall = 2\n"));
        let mark = director.log.mark();
        director.signal_pulse(Signal::SIGHUP);
        director.log.wait_for(mark, "configuration file reread");
        director.wait_until_met(2);
        for lvsd in director.machine.processes("lvsd") {
            signal(lvsd, Signal::SIGKILL);
        }
        director.log.wait_for(mark, "monitors at work, going on with them");
        wait_until(SOON, "as before", || (weight(0), weight(1)) == (Some(0), Some(7)));
        director.stop_pulse();
        director.start_pulse();
        wait_until(SOON, "as before the stop", || (weight(0), weight(1)) == (Some(0), Some(7)));
        // The kernel has it before lvsd hears of it.
        let mut shown = String::new();
        wait_until(SOON, "both are judged", || {
            shown = lvsd(&["--status"]).1;
            shown.matches(": up, weight ").count() == 2
        });
        assert!(shown.contains("100 tcp 192.168.142.100:80: 1 of 2 real servers in use"), "{shown}");
        assert!(shown.contains("100/158 192.168.142.158:80: up, weight 0"), "{shown}");
        assert!(
            shown.contains("drained by the operator") && shown.contains("weight 7 by the operator, 64 in the file"),
            "{shown}"
        );

        assert_eq!(lvsd(&["--server", "100/158", "--disable"]).0, Some(0));
        director.wait_for_destinations(SERVICE, &BOTH[1..]);
        wait_until(SOON, "its nanny is gone", || director.nanny("192.168.142.158").is_none());
        for server in ["100/158", "100/159"] {
            assert_eq!(lvsd(&["--server", server, "--enable"]).0, Some(0));
        }
        wait_until(SOON, "as the file has it", || (weight(0), weight(1)) == (Some(64), Some(64)));

        site.servers[0].kill();
        director.wait_for_destinations(SERVICE, &BOTH[1..]);
        let mut shown = String::new();
        wait_until(SOON, "its nanny has said why", || {
            shown = lvsd(&["--status"]).1;
            shown.contains("the last check that failed:")
        });
        assert!(shown.contains(" connecting to 192.168.142.158:8080\n"), "{shown}");
    });
}
