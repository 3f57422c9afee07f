//! Directors that sleep: their kernel goes on, they do not; when they wake up
//! they look before they act.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::scenario;

use super::product::Product;
use super::site::{BACKUP, MASTER, Pair, Plan, figure};

fn signal_all(pids: &[u32], what: Signal) {
    for pid in pids {
        signal(*pid, what);
    }
}

#[test]
fn a_frozen_director_is_replaced_and_yields_when_it_wakes_up() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
        let load = pair.load();
        for (what, name, active) in
            [("pulse of the active director frozen", "pulse", MASTER), ("all of it frozen", "", BACKUP)]
        {
            let all = Product::Ours.processes(&pair.directors[active]).into_iter();
            let victims: Vec<u32> = all.filter(|(_, it)| name.is_empty() || it == name).map(|(pid, _)| pid).collect();
            let (marks, from) = (pair.marks(), Instant::now());
            assert!(!victims.is_empty());
            signal_all(&victims, Signal::SIGSTOP);
            let standby = 1 - active;
            pair.directors[standby].log.wait_for(marks[standby], "partner dead: activating lvs");
            pair.directors[standby].wait_for_address(super::site::VIP_ON_DEVICE);
            figure(what, &load, from);

            let from = Instant::now();
            signal_all(&victims, Signal::SIGCONT);
            pair.wait_for_service(standby);
            pair.directors[active].log.wait_for(marks[active], "deactivating LVS");
            pair.directors[active].log.assert_order(marks[active], &["was not running for", "deactivating LVS"]);
            pair.directors[standby].log.assert_never(marks[standby], "deactivating");
            figure("it wakes up", &load, from);
            load.assert_none_failed(from, Instant::now());
            pair.wait_until_ready(active);
        }
    });
}
