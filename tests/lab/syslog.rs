//! A syslogd that is missing, restarted or stuck costs lines at most, never
//! service.

use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::scenario;
use crate::site::{BOTH, SERVICE, Site};

const OUT: &str = "[inactive] shutting down 192.168.142.158:8080 due to connection failure";
const IN: &str = "[ active ] making 192.168.142.158:8080 available";

#[test]
fn the_trio_starts_without_a_syslogd_and_speaks_as_soon_as_there_is_one() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        site.director.log.stop();
        let mark = site.director.log.mark();
        site.director.start_pulse();
        site.wait_in_service();
        site.director.log.start_again(&site.director.machine);
        site.servers[0].kill();
        site.director.log.wait_for(mark, OUT);
        // What was said meanwhile waited.
        site.director.log.wait_for(mark, "STARTING PULSE AS MASTER");
        site.director.log.wait_for(mark, "create_monitor for 100/158 running as pid");

        site.director.log.stop();
        let mark = site.director.log.mark();
        site.director.log.start_again(&site.director.machine);
        site.servers[0].start();
        site.director.log.wait_for(mark, IN);
    });
}

#[test]
fn a_stuck_syslogd_holds_nothing_up() {
    scenario(|lab| {
        let mut site = Site::in_service(lab);
        let mark = site.director.log.mark();
        signal(site.director.log.pid(), Signal::SIGSTOP);
        // More than its socket holds.
        for _ in 0..3 {
            site.servers[0].kill();
            site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
            site.servers[0].start();
            site.director.wait_for_destinations(SERVICE, &BOTH);
        }
        signal(site.director.log.pid(), Signal::SIGCONT);
        site.director.log.wait_for(mark, IN);
        site.director.stop_pulse();
        site.director.log.wait_for(mark, "Terminating due to signal 15");
    });
}
