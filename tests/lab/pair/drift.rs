//! What is not as it should be without anybody being dead: files that have drifted
//! apart.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::scenario;

use super::product::Product;
use super::site::{BACKUP, Pair, Plan, Timers, figure};

#[test]
fn files_that_differ_are_told_of_on_both_sides() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan { timers: Timers::Patient, ..Plan::OURS });
        let (load, watch, from) = (pair.load(), pair.watch(), Instant::now());

        let marks = pair.marks();
        let file = pair.directors[BACKUP].machine.path(crate::ground::director::LVS_CF);
        let text = std::fs::read_to_string(&file).expect("its file");
        pair.directors[BACKUP].configure(&text.replacen("weight = 1", "weight = 7", 1));
        pair.directors[BACKUP].signal_pulse(Signal::SIGHUP);
        for (director, mark) in pair.directors.iter().zip(marks) {
            director.log.wait_for(mark, "partner has another configuration: copy lvs.cf and reload");
        }
        let marks = pair.marks();
        Product::Ours.configure(&pair.directors[BACKUP], pair.plan, BACKUP);
        pair.directors[BACKUP].signal_pulse(Signal::SIGHUP);
        for (director, mark) in pair.directors.iter().zip(marks) {
            director.log.wait_for(mark, "partner has our configuration again");
        }
        watch.assert_unchanged();
        figure("one director's file changed, and back", &load, from);
        load.assert_none_failed(from, Instant::now());
    });
}
