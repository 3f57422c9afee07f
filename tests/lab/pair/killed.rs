//! SIGKILL to each process of the pair, one after the other: no client notices,
//! and nobody takes over from somebody who is back in a moment. If pulse is gone
//! for good, its VIP is gone with it.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};

use super::product::Product;
use super::site::{BACKUP, MASTER, Pair, Plan, Timers, figure};

#[test]
fn any_one_process_of_either_director_can_be_killed() {
    scenario(|lab| {
        // Whoever is killed has until then to be back.
        let pair = Pair::in_service(lab, Plan { timers: Timers::Patient, ..Plan::OURS });
        let load = pair.load();
        let watch = pair.watch();
        for (which, name) in [(MASTER, "active"), (BACKUP, "standby")] {
            let director = &pair.directors[which];
            for (pid, process) in Product::Ours.processes(director) {
                let from = Instant::now();
                signal(pid, Signal::SIGKILL);
                wait_until(SOON, &format!("the {name} director is whole again without its old {process}"), || {
                    let now = Product::Ours.processes(director);
                    Product::Ours.is_whole(director) && now.iter().all(|(other, _)| *other != pid)
                });
                figure(&format!("{process} of the {name} director killed"), &load, from);
                load.assert_none_failed(from, Instant::now());
                watch.assert_unchanged();
            }
        }
        // Adopted, not started anew: all of it still goes when it is told to.
        Product::Ours.stop(&pair.directors[BACKUP]);
        Product::Ours.stop(&pair.directors[MASTER]);
        pair.wait_for_vip_on(&[]);
    });
}

#[test]
fn a_director_whose_pulse_is_gone_for_good_keeps_nothing_of_the_vip() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let load = pair.load();
        let (marks, from) = (pair.marks(), Instant::now());
        let all = Product::Ours.processes(&pair.directors[MASTER]);
        let pulses: Vec<u32> = all.iter().filter(|(_, name)| name.starts_with("pulse")).map(|(pid, _)| *pid).collect();
        assert!(pulses.len() > 1, "a guardian and its worker");
        for what in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in &pulses {
                signal(*pid, what);
            }
        }
        pair.directors[BACKUP].log.wait_for(marks[BACKUP], "partner dead: activating lvs");
        pair.wait_for_service(BACKUP);
        figure("pulse and its guardian killed", &load, from);

        // It is started again and finds that it was replaced.
        let from = Instant::now();
        Product::Ours.start(&pair.directors[MASTER]);
        pair.wait_until_ready(MASTER);
        let watch = pair.watch();
        load.wait_for_served(150);
        watch.assert_unchanged();
        load.assert_none_failed(from, Instant::now());
    });
}
