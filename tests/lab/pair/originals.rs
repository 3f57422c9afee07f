//! A partner that is still Piranha (piranha.md 2.2 to 2.4), in either role: one
//! director is upgraded first, the other some weeks later.

use std::time::Instant;

use crate::ground::original::Original;
use crate::ground::scenario;

use super::product::Product;
use super::site::{BACKUP, FRONT, MASTER, Pair, Plan, SERVICE, VIP_ON_DEVICE, figure};

/// Starts the original on that director of the pair.
fn original(pair: &Pair<'_>, which: usize) -> Original {
    let role = if which == MASTER { "master" } else { "backup" };
    let service = SERVICE.trim_start_matches("TCP ");
    let mut words = vec![role, FRONT[which], FRONT[1 - which], "200", "3000", VIP_ON_DEVICE, service];
    words.extend(pair.plan.destinations());
    Original::start(&pair.directors[which], &words)
}

/// It hears the public path alone; the private one needs no second scene.
const PLAN: Plan = Plan { private: false, ..Plan::OURS };

#[test]
fn the_model_of_the_original_does_what_the_original_did() {
    scenario(|lab| {
        let pair = Pair::new(lab, PLAN);
        let [master, backup] = &pair.directors;
        // A single one waits for deadtime, its partner hears RUNNING.
        let first = original(&pair, BACKUP);
        backup.log.wait_for(0, "partner dead: activating lvs");
        pair.wait_for_vip_on(&[BACKUP]);
        let second = original(&pair, MASTER);
        let (load, watch) = (pair.load(), pair.watch());
        load.wait_for_served(150);
        watch.assert_unchanged();
        drop(watch);
        master.log.assert_never(0, "activating");
        // Cut apart both are active; together again the MASTER wins.
        let (marks, from) = (pair.marks(), Instant::now());
        pair.cut_off(BACKUP);
        master.log.wait_for(marks[MASTER], "partner dead: activating lvs");
        figure("an original cut off", &load, from);
        pair.mend(BACKUP);
        backup.log.wait_for(marks[BACKUP], "partner active: deactivating LVS");
        master.log.wait_for(marks[MASTER], "partner active: resending arps");
        pair.wait_for_service(MASTER);
        let (marks, from) = (pair.marks(), Instant::now());
        second.stop();
        backup.log.wait_for(marks[BACKUP], "partner dead: activating lvs");
        pair.wait_for_service(BACKUP);
        figure("an original stopped", &load, from);
        first.stop();
        pair.wait_for_vip_on(&[]);
    });
}

#[test]
fn ours_as_the_backup_of_an_original() {
    scenario(|lab| {
        let pair = Pair::new(lab, PLAN);
        let [master, backup] = &pair.directors;
        let theirs = original(&pair, MASTER);
        master.log.wait_for(0, "activating lvs");
        pair.wait_for_vip_on(&[MASTER]);
        let (load, watch) = (pair.load(), pair.watch());
        Product::Ours.start(backup);
        pair.wait_until_ready(BACKUP);
        load.wait_for_served(150);
        watch.assert_unchanged();
        backup.log.assert_never(0, "activating lvs");

        // It says no good-bye (2.3): a silent partner is waited for.
        let ([_, mark], from) = (pair.marks(), Instant::now());
        theirs.stop();
        pair.wait_for_service(BACKUP);
        backup.log.assert_order(mark, &["partner dead: activating lvs"]);
        figure("an original stopped, ours takes over", &load, from);

        // It is back, hears RUNNING, and stays standby (2.3: no fail-back).
        let (mark, from, watch) = (master.log.mark(), Instant::now(), pair.watch());
        let theirs = original(&pair, MASTER);
        load.wait_for_served(150);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        master.log.assert_never(mark, "activating lvs");
        drop(watch);

        // Our last word is STOPPED, which it knows.
        let ([mark, _], from) = (pair.marks(), Instant::now());
        Product::Ours.stop(backup);
        pair.wait_for_vip_on(&[MASTER]);
        master.log.assert_order(mark, &["backup inactive: activating lvs"]);
        figure("ours stopped, an original takes over", &load, from);
        theirs.stop();
    });
}

#[test]
fn ours_as_the_master_of_an_original() {
    scenario(|lab| {
        let pair = Pair::new(lab, PLAN);
        let [master, backup] = &pair.directors;
        let watch = pair.watch();
        // Both booted at once: the original alone would start at our first word.
        let theirs = original(&pair, BACKUP);
        Product::Ours.start(master);
        pair.wait_for_one();
        watch.assert_moved(0);
        watch.assert_never_two();
        let first = pair.active();
        let load = pair.load();

        // Whoever it was: it is cut off, the other takes over, and when they hear
        // each other again the MASTER wins (2.3).
        let (marks, from) = (pair.marks(), Instant::now());
        pair.cut_off(first);
        pair.directors[1 - first].log.wait_for(marks[1 - first], "partner dead: activating lvs");
        figure(&format!("the active one of a mixed pair cut off ({first})"), &load, from);
        pair.mend(first);
        backup.log.wait_for(marks[BACKUP], "partner active: deactivating LVS");
        pair.wait_for_vip_on(&[MASTER]);
        master.log.wait_for(marks[MASTER], "partner active: resending arps");
        load.wait_for_served(100);

        // Ours dies with all it has; the original takes over, and keeps it.
        let (marks, from) = (pair.marks(), Instant::now());
        Product::Ours.end(master);
        master.forget();
        backup.log.wait_for(marks[BACKUP], "partner dead: activating lvs");
        pair.wait_for_vip_on(&[BACKUP]);
        figure("ours lost its power, an original takes over", &load, from);
        let (from, watch) = (Instant::now(), pair.watch());
        Product::Ours.start(master);
        load.wait_for_served(150);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
        theirs.stop();
        pair.wait_for_vip_on(&[MASTER]);
        Product::Ours.stop(master);
    });
}
