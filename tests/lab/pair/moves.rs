//! Stopped, started, restarted, booted: the VIP moves when it must, at once, and
//! only then.

use std::time::Instant;

use crate::ground::scenario;

use super::product::Product;
use super::site::{BACKUP, MASTER, Pair, Plan, figure};

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
        let from = Instant::now();
        Product::Ours.stop(backup);
        figure("standby director stopped", &load, from);
        load.assert_none_failed(from, Instant::now());
        Product::Ours.stop(master);
        pair.wait_for_vip_on(&[]);
        assert!(master.table().services.is_empty() && backup.table().services.is_empty());
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
