//! Stopped, started, restarted, booted: the VIP moves when it must, at once, and
//! only then.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Machine, scenario};

use super::product::Product;
use super::site::{BACKUP, MASTER, Pair, Plan, TO_CLIENTS, VIP_ADDRESS, figure};

#[test]
fn a_stop_hands_over_at_once_and_a_start_takes_nothing_back() {
    scenario(|lab| {
        let pair = Pair::new(lab, Plan::OURS);
        let [master, backup] = &pair.directors;
        let watch = pair.watch();
        pair.start_both();
        watch.assert_never_two();
        watch.assert_moved(0);
        master.log.assert_order(0, &["STARTING PULSE AS MASTER", "activating lvs"]);
        backup.log.assert_order(0, &["STARTING PULSE AS BACKUP"]);
        backup.log.assert_never(0, "activating lvs");
        let load = pair.load();

        let ([in_master, in_backup], from) = (pair.marks(), Instant::now());
        Product::Ours.stop(master);
        pair.wait_for_service(BACKUP);
        figure("active director stopped", &load, from);
        master.log.assert_order(in_master, &["Terminating due to signal 15", "stopping: deactivating LVS"]);
        backup.log.assert_order(in_backup, &["partner stopped: activating lvs"]);
        watch.assert_never_two();
        watch.assert_moved(1);

        let ([in_master, in_backup], from) = (pair.marks(), Instant::now());
        Product::Ours.start(master);
        backup.log.wait_for(in_backup, "partner");
        pair.wait_until_ready(MASTER);
        figure("standby director started", &load, from);
        load.assert_none_failed(from, Instant::now());
        master.log.assert_never(in_master, "activating lvs");
        watch.assert_moved(1);

        let from = Instant::now();
        Product::Ours.stop(backup);
        Product::Ours.start(backup);
        pair.wait_for_one();
        pair.wait_until_ready(BACKUP);
        figure("active director restarted", &load, from);
        watch.assert_never_two();

        pair.wait_for_service(MASTER);
        pair.wait_until_ready(BACKUP);
        drop(load);
        late_packets_wait_for_the_successor(&pair);

        Product::Ours.start(master);
        pair.wait_until_ready(MASTER);
        let load = pair.load();
        let from = Instant::now();
        Product::Ours.stop(master);
        figure("standby director stopped", &load, from);
        load.assert_none_failed(from, Instant::now());
        Product::Ours.stop(backup);
        pair.wait_for_vip_on(&[]);
        assert!(master.table().services.is_empty() && backup.table().services.is_empty());
    });
}

/// For how long the successor is held up. A client sends a first packet again after
/// a second.
const HELD_UP: Duration = Duration::from_millis(400);

/// Clients send to the director that was stopped until they hear another announce the
/// VIP. It remembers that the other one had it, and the other one that it had it: what
/// comes meanwhile must not be sent to and fro between them until it is dropped.
fn late_packets_wait_for_the_successor(pair: &Pair<'_>) {
    let [master, backup] = &pair.directors;
    for (here, there) in [(master, backup), (backup, master)] {
        let mac = mac(&there.machine);
        here.machine.ip(&format!("neigh replace {VIP_ADDRESS} lladdr {mac} dev {TO_CLIENTS} nud stale\n"));
    }
    let pulse = backup.machine.processes("pulse");
    let [pulse] = pulse[..] else { panic!("one pulse runs: {pulse:?}") };
    let load = pair.hasty_load();
    let (before, from) = (first_packets_sent_again(pair), Instant::now());
    signal(pulse, Signal::SIGSTOP);
    master.signal_pulse(Signal::SIGTERM);
    pair.wait_for_vip_on(&[]);
    let gone = Instant::now();
    std::thread::sleep(HELD_UP);
    signal(pulse, Signal::SIGCONT);
    let till = Instant::now();
    pair.wait_for_service(BACKUP);
    figure("active director stopped, successor held up for 400 ms", &load, from);
    let meanwhile = load.between(gone, till).len();
    let again = first_packets_sent_again(pair) - before;
    assert!(meanwhile > 5, "only {meanwhile} connections were opened meanwhile: nothing is shown");
    assert!(again < meanwhile / 2, "of {meanwhile} first packets {again} were lost");
    wait_until(SOON, "the master's processes are gone", || master.daemons().is_empty());
}

fn mac(machine: &Machine) -> String {
    let link = machine.run("ip", &["-o", "link", "show", TO_CLIENTS]);
    let mac = link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
    mac.unwrap_or_else(|| panic!("no address in {link}")).to_owned()
}

/// By the client's kernel, since it started.
fn first_packets_sent_again(pair: &Pair<'_>) -> usize {
    let path = format!("/proc/{}/net/netstat", pair.client.machine.first_pid());
    let text = std::fs::read_to_string(path).expect("the client's counters");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next().expect("their names"), lines.next().expect("their values"));
    let mut both = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = both.find(|(name, _)| *name == "TCPSynRetrans").expect("TCPSynRetrans");
    value.parse().expect("a number")
}

#[test]
fn both_booted_at_once_end_with_the_master_and_nothing_flaps() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        // The power fails, on the backup a moment later.
        Product::Ours.stop(&pair.directors[MASTER]);
        pair.wait_for_service(BACKUP);
        for director in &pair.directors {
            Product::Ours.end(director);
            director.forget();
        }
        pair.wait_for_vip_on(&[]);
        let (marks, watch) = (pair.marks(), pair.watch());
        pair.start_both();
        watch.assert_never_two();
        watch.assert_moved(0);
        let from = Instant::now();
        let load = pair.load();
        load.wait_for_served(150);
        load.assert_none_failed(from, Instant::now());
        watch.assert_moved(0);
        pair.directors[MASTER].log.assert_order(marks[MASTER], &["STARTING PULSE AS MASTER", "activating lvs"]);
        pair.directors[BACKUP].log.assert_never(marks[BACKUP], "activating lvs");
    });
}
