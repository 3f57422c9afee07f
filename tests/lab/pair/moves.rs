//! Stopped, started, restarted, booted: the VIP moves when it must, at once, and
//! only then.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::director::Director;
use crate::ground::lab::signal;
use crate::ground::wait::{SOON, holds_within, wait_until};
use crate::ground::{Lab, Machine, scenario};

use super::product::Product;
use super::site::{BACKUP, FRONT, MASTER, Pair, Plan, TO_CLIENTS, VIP, VIP_ADDRESS, figure};

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
        assert_eq!(pair.wait_until_agreed(), MASTER);
        pair.wait_until_ready(BACKUP);
        figure("active director restarted", &load, from);
        watch.assert_never_two();

        pair.wait_for_service(MASTER);
        pair.wait_until_ready(BACKUP);
        drop(load);
        late_packets_wait_for_the_successor(&pair);
        late_packets_are_served(lab, &pair);

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

/// For how long the successor is held up.
const HELD_UP: Duration = Duration::from_millis(400);

/// When a client sends a first packet again.
const SENT_AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(7)];

/// For how long a director that was stopped serves late packets, or a little less.
const SERVED_FOR: Duration = Duration::from_secs(1);

/// Where a director cannot serve them any more. Clients send to the director that was
/// stopped until they hear another announce the VIP. It remembers that the other one had
/// it, and the other one that it had it: what comes meanwhile must not be sent to and fro
/// between them until it is dropped.
fn late_packets_wait_for_the_successor(pair: &Pair<'_>) {
    let [master, backup] = &pair.directors;
    let file = "/etc/sysconfig/ha/lvs.cf";
    let text = std::fs::read_to_string(master.machine.path(file)).expect("its file");
    // Only a director without late packets to serve leaves them to wait.
    let sorry =
        text.replace("    scheduler = rr\n", &format!("    scheduler = rr\n    sorry_server = {}\n", FRONT[MASTER]));
    master.configure(&sorry);
    let mark = master.log.mark();
    master.signal_pulse(Signal::SIGHUP);
    master.log.wait_for(mark, "rereading configuration file");
    pair.wait_for_service(MASTER);
    for (here, there) in [(master, backup), (backup, master)] {
        let mac = mac(&there.machine);
        here.machine.ip(&format!("neigh replace {VIP_ADDRESS} lladdr {mac} dev {TO_CLIENTS} nud stale\n"));
    }
    let pulse = backup.machine.processes("pulse");
    let [pulse] = pulse[..] else { panic!("one pulse runs: {pulse:?}") };
    let load = pair.load();
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
    let again = first_packets_sent_again(pair) - before;
    let all = load.between(gone, Instant::now());
    let meanwhile = all.iter().filter(|it| it.at <= till).count();
    assert!(meanwhile > 5, "only {meanwhile} connections were opened meanwhile: nothing is shown");
    // What is lost is sent again, and so is what waits for longer on a busy machine.
    let back = all.iter().map(|it| it.at + it.took).min();
    let waited = |at: Instant| SENT_AGAIN.iter().filter(|after| Some(at + **after) < back).count();
    let overdue: usize = all.iter().map(|it| waited(it.at)).sum();
    assert!(again < overdue + meanwhile / 2, "of {meanwhile} first packets {again} were lost, {overdue} overdue");
    wait_until(SOON, "the master's processes are gone", || master.daemons().is_empty());
    master.configure(&text);
}

/// They go on being served by the director that was stopped, which claims nothing and
/// leaves nothing behind; also where nothing is forwarded.
fn late_packets_are_served(lab: &Lab, pair: &Pair<'_>) {
    let [master, backup] = &pair.directors;
    Product::Ours.start(master);
    pair.wait_until_ready(MASTER);
    Product::Ours.stop(backup);
    pair.wait_for_service(MASTER);
    Product::Ours.start(backup);
    pair.wait_until_ready(BACKUP);
    for director in &pair.directors {
        director.machine.sysctl("net.ipv4.ip_forward", "0");
    }
    let stranger = lab.machine("stranger");
    lab.plug(&stranger, "front", "eth0", &["192.168.142.66/24"]);
    // "ADDRESS HWTYPE FLAGS MAC", the MAC all zeros while nobody has answered.
    let neighbours = format!("/proc/{}/net/arp", stranger.first_pid());
    let answers = move || -> Vec<String> {
        let text = std::fs::read_to_string(&neighbours).expect("its neighbours");
        let asked = text.lines().filter(|line| line.split_whitespace().next() == Some(VIP_ADDRESS));
        asked.filter_map(|line| line.split_whitespace().nth(3).map(str::to_owned)).collect()
    };
    let pulse = backup.machine.processes("pulse");
    let [pulse] = pulse[..] else { panic!("one pulse runs: {pulse:?}") };
    let load = pair.load();
    let from = Instant::now();
    signal(pulse, Signal::SIGSTOP);
    master.signal_pulse(Signal::SIGTERM);
    pair.wait_for_vip_on(&[]);
    let gone = Instant::now();
    // A host that asks who has the VIP, a few times.
    stranger.inside(|| UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"?", VIP)).expect("a packet"));
    std::thread::sleep(HELD_UP);
    // A busy machine may need nearly as long as they are served at all.
    let are_served = holds_within(SERVED_FOR.saturating_sub(HELD_UP), || load.served_since(gone) > 5);
    let seen = answers();
    signal(pulse, Signal::SIGCONT);
    let till = Instant::now();
    assert_eq!(seen, ["00:00:00:00:00:00"], "it asked, and nobody answers for the VIP");
    pair.wait_for_service(BACKUP);
    let successor = mac(&backup.machine);
    wait_until(SOON, "the successor answers for the VIP", || answers() == [successor.as_str()]);
    figure("the same where late packets are served", &load, from);
    assert!(are_served, "late packets waited: {:#?}", load.between(gone, till));
    load.assert_reset_at_one_moment(from, till);
    wait_until(SOON, "the master's processes are gone", || master.daemons().is_empty());
    assert!(is_clean(master), "something is left");
    for director in &pair.directors {
        director.machine.sysctl("net.ipv4.ip_forward", "1");
    }
}

/// Neither a rule nor a route of the lingering is there.
fn is_clean(director: &Director) -> bool {
    let all = [&["-4", "rule"][..], &["-6", "rule"], &["route", "show", "table", "all"]];
    all.iter().all(|what| !director.machine.run("ip", what).contains("539"))
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

/// Roles that change by hand leave nothing behind either, nor does a pulse that was
/// killed while it served late packets, once another has started.
#[test]
fn what_late_packets_are_served_by_is_gone_after_every_hand_over() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let [master, backup] = &pair.directors;
        let (load, watch) = (pair.load(), pair.watch());
        for (what, here) in [("relocated", MASTER), ("relocated back", BACKUP)] {
            let from = Instant::now();
            Product::Ours.relocate(&pair.directors[here]);
            pair.wait_for_service(1 - here);
            pair.wait_until_agreed();
            figure(what, &load, from);
            wait_until(SOON, "late packets are served no more", || is_clean(&pair.directors[here]));
        }
        watch.assert_never_two();
        Product::Ours.stop(backup);
        let boot = backup.machine.run("cat", &["/proc/sys/kernel/random/boot_id"]);
        let ledger = format!("piranha-ng pulse ledger 1\nboot {}\nlate {VIP_ADDRESS}\nend\n", boot.trim());
        backup.machine.write("/run/piranha-ng/pulse.ledger", &ledger);
        backup.machine.ip(&format!(
            "rule add pref 539 ipproto tcp lookup 539 protocol 139\n\
             route add local {VIP_ADDRESS} dev lo table 539 proto 139\n"
        ));
        assert!(!is_clean(backup));
        Product::Ours.start(backup);
        pair.wait_until_ready(BACKUP);
        assert!(is_clean(backup), "something is left");
        let watch = pair.watch();
        Product::Ours.stop(master);
        pair.wait_for_service(BACKUP);
        watch.assert_never_two();
    });
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
