//! Cables pulled, switches gone deaf, packets that go one way only: at most one
//! director can be reached, and both say what they make of it.

use std::time::Instant;

use crate::ground::client::Load;
use crate::ground::director::Director;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};

use super::product::Product;
use super::site::{BACKUP, MASTER, Pair, Plan, TO_CLIENTS, TO_PARTNER, VIP, figure};

#[test]
fn a_director_that_is_cut_off_is_replaced_and_yields_or_wins_by_rule_when_it_is_back() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let [master, backup] = &pair.directors;
        let load = pair.load();

        // The cable between them alone.
        let (marks, watch, from) = (pair.marks(), pair.watch(), Instant::now());
        pair.pull(MASTER, TO_PARTNER);
        for (director, mark) in pair.directors.iter().zip(marks) {
            director.log.wait_for(mark, "Private heartbeat path: nothing heard");
        }
        pair.mend(MASTER);
        for (director, mark) in pair.directors.iter().zip(marks) {
            director.log.wait_for(mark, "Private heartbeat path: heard again");
            director.log.assert_never(mark, "activating");
        }
        figure("heartbeat link cut", &load, from);
        load.assert_none_failed(from, Instant::now());
        watch.assert_unchanged();

        // All of the active one's.
        let (marks, from) = (pair.marks(), Instant::now());
        pair.cut_off(MASTER);
        backup.log.wait_for(marks[BACKUP], "partner dead: activating lvs");
        figure("active director's cables cut", &load, from);

        // Both were active, or the master had yielded: one is now, for good.
        let from = Instant::now();
        pair.mend(MASTER);
        pair.wait_until_agreed();
        figure("the cables are in again", &load, from);
        wait_until(SOON, "clients are served again", || pair.client.ask(VIP).is_ok());
        let watch = pair.watch();
        load.wait_for_served(150);
        watch.assert_unchanged();
        let all = [master.log.since(marks[MASTER]), backup.log.since(marks[BACKUP])].concat().join("\n");
        assert!(all.contains("deactivating LVS"), "one yielded, and said so:\n{all}");

        // Whose switch is deaf sees its link go on; nothing tells it but silence.
        let active = pair.active();
        let (marks, from) = (pair.marks(), Instant::now());
        pair.silence(active);
        pair.directors[1 - active].log.wait_for(marks[1 - active], "partner dead: activating lvs");
        figure("active director's switch ports deaf", &load, from);
        pair.mend(active);
        pair.wait_for_service(pair.wait_until_agreed());
    });
}

/// Of what the director sends to its partner, nothing arrives there any more: the
/// network loses it.
fn lose_what_leaves(director: &Director) {
    for device in [TO_CLIENTS, TO_PARTNER] {
        director.machine.run("tc", &["qdisc", "add", "dev", device, "root", "netem", "loss", "100%"]);
    }
}

fn lose_nothing(director: &Director) {
    for device in [TO_CLIENTS, TO_PARTNER] {
        director.machine.run("tc", &["qdisc", "del", "dev", device, "root"]);
    }
}

/// A rule that somebody wrote without thinking of heartbeats.
fn firewall(director: &Director, what: &str) {
    let rule = format!("{what} INPUT -p udp --dport 539 -j DROP");
    director.machine.run("sh", &["-c", &format!("iptables-legacy {rule} || iptables {rule}")]);
}

#[test]
fn packets_that_go_one_way_only_leave_one_director_active() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let [master, backup] = &pair.directors;
        let load = pair.load();

        // The active one does not hear the other: nobody else should serve.
        let (marks, watch, from) = (pair.marks(), pair.watch(), Instant::now());
        firewall(master, "-I");
        master.log.wait_for(marks[MASTER], "partner dead");
        load.wait_for_served(150);
        watch.assert_unchanged();
        firewall(master, "-D");
        master.log.wait_for(marks[MASTER], "partner is alive");
        figure("active director's firewall drops heartbeats", &load, from);
        load.assert_none_failed(from, Instant::now());
        watch.assert_unchanged();
        drop(watch);

        // The standby one does not: it takes over, sees that the other one announces
        // the VIP, and yields to it.
        let (marks, from) = (pair.marks(), Instant::now());
        firewall(backup, "-I");
        let yields = [
            "partner dead: activating lvs",
            "partner active and not heard: deactivating LVS",
            "answers for a VIP: not activating",
        ];
        backup.log.assert_order(marks[BACKUP], &yields);
        pair.wait_for_service(MASTER);
        assert_stays(&pair, &load);
        firewall(backup, "-D");
        figure("standby director's firewall drops heartbeats", &load, from);

        // Nothing that the active one sends gets anywhere.
        let active = pair.active();
        let (marks, from) = (pair.marks(), Instant::now());
        lose_what_leaves(&pair.directors[active]);
        pair.directors[1 - active].log.wait_for(marks[1 - active], "partner dead: activating lvs");
        pair.wait_for_service(1 - active);
        pair.directors[active].log.wait_for(marks[active], "deactivating LVS");
        figure("active director sends nothing", &load, from);
        lose_nothing(&pair.directors[active]);
        assert_stays(&pair, &load);
    });
}

/// Three seconds of connections, in which the VIP stays where it is.
fn assert_stays(pair: &Pair, load: &Load) {
    let watch = pair.watch();
    load.wait_for_served(150);
    watch.assert_unchanged();
}

/// Heartbeats of the director are lost on their way, and nothing else is.
fn lose_heartbeats(director: &Director) {
    for device in [TO_CLIENTS, TO_PARTNER] {
        let words = format!(
            "qdisc add dev {device} root handle 1: prio bands 4
             qdisc add dev {device} parent 1:4 netem loss 100%
             filter add dev {device} parent 1: protocol ip u32 match ip dport 539 0xffff flowid 1:4"
        );
        for line in words.lines() {
            director.machine.run("tc", &line.split_whitespace().collect::<Vec<_>>());
        }
    }
}

/// Neither hears the other, and clients reach both: whoever is outranked sees that
/// the other one is active, yields, and takes over when it is gone.
#[test]
fn two_that_are_active_and_not_heard_see_each_other_and_one_yields() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let [master, backup] = &pair.directors;
        let load = pair.load();
        let rivals = "partner announces our VIPs, but no heartbeat comes from it";
        let yields = [
            "partner dead: activating lvs",
            "(the other director, ",
            rivals,
            "partner active and not heard: deactivating LVS",
            "answers for a VIP: not activating",
        ];

        // By a firewall rule on each.
        let (marks, from) = (pair.marks(), Instant::now());
        firewall(master, "-I");
        firewall(backup, "-I");
        backup.log.wait_for(marks[BACKUP], yields[4]);
        backup.log.assert_order(marks[BACKUP], &yields);
        pair.wait_for_service(MASTER);
        assert_stays(&pair, &load);
        let over = [rivals, "partner does not announce our VIPs any more: resending arps"];
        master.log.wait_for(marks[MASTER], over[1]);
        master.log.assert_order(marks[MASTER], &over);
        master.log.assert_never(marks[MASTER], "deactivating");
        figure("both firewalls drop heartbeats", &load, from);

        // The one that is active is gone: nothing answers for the VIP any more.
        let (marks, from) = (pair.marks(), Instant::now());
        pair.cut_off(MASTER);
        backup.log.wait_for(marks[BACKUP], "partner dead: activating lvs");
        wait_until(SOON, "clients are served again", || pair.client.ask(VIP).is_ok());
        figure("the active one's cables are cut meanwhile", &load, from);

        // Both are active, until the cables are in again.
        let (marks, from) = (pair.marks(), Instant::now());
        pair.mend(MASTER);
        backup.log.wait_for(marks[BACKUP], yields[3]);
        pair.wait_for_service(MASTER);
        assert_stays(&pair, &load);
        figure("they are in again", &load, from);

        // Heartbeats come again: nothing moves.
        let marks = pair.marks();
        firewall(master, "-D");
        firewall(backup, "-D");
        for (director, mark) in pair.directors.iter().zip(marks) {
            director.log.wait_for(mark, "partner is alive");
        }
        assert_stays(&pair, &load);

        // By a network that loses them; the backup was active when it began.
        Product::Ours.relocate(master);
        pair.wait_for_service(BACKUP);
        pair.wait_until_agreed();
        let (marks, from) = (pair.marks(), Instant::now());
        pair.directors.iter().for_each(lose_heartbeats);
        master.log.wait_for(marks[MASTER], "partner dead: activating lvs");
        backup.log.wait_for(marks[BACKUP], yields[4]);
        pair.wait_for_service(MASTER);
        assert_stays(&pair, &load);
        figure("the network loses heartbeats", &load, from);
        pair.directors.iter().for_each(lose_nothing);
        backup.log.wait_for(marks[BACKUP], "partner is alive");
        assert_stays(&pair, &load);
    });
}
