//! SIGKILL to each process of the pair, one after the other: no client notices,
//! and nobody takes over from somebody who is back in a moment.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};

use super::product::Product;
use super::site::{BACKUP, MASTER, Pair, Plan, figure};

#[test]
fn any_one_process_of_either_director_can_be_killed() {
    scenario(|lab| {
        let pair = Pair::in_service(lab, Plan::OURS);
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
