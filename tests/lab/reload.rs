//! `service pulse reload`: the difference is applied, and nothing else; a wrong
//! file changes nothing.

use nix::sys::signal::Signal;

use crate::ground::lab::signal;
use crate::ground::real_server::RealServer;
use crate::ground::scenario;
use crate::ground::wait::{SOON, wait_until};
mod changes;
mod random;

use crate::site::{BOTH, SERVICE, Site, VIP, VIP_ON_DEVICE, patient_lvs_cf, wrong_lvs_cf};

#[test]
fn a_wrong_file_changes_nothing_and_a_right_one_only_what_it_says() {
    scenario(|lab| {
        let (site, patient) = (Site::in_service(lab), patient_lvs_cf());
        let director = &site.director;
        let nannies = director.machine.processes("nanny");
        let mark = director.log.mark();
        let watch = director.watch();
        // Meant for a nanny, and sent to lvsd.
        signal(director.machine.processes("lvsd")[0], Signal::SIGUSR1);
        director.log.wait_for(mark, "signal 10 means nothing, ignoring");
        let (wrong, at) = wrong_lvs_cf();
        director.configure(&wrong);
        director.signal_pulse(Signal::SIGHUP);
        let line = director.log.wait_for(mark, "lvs: error parsing");
        assert!(line.contains(&format!("on line {at}.")), "{line}");
        watch.assert_unchanged();
        drop(watch);
        assert_eq!(director.machine.processes("nanny"), nannies);

        let mut third = RealServer::new(lab, "157", "front", &["192.168.142.157/24"]);
        third.direct_routing("192.168.142.100/32");
        third.serve(&["tcp 80", "tcp 8080"]);
        let (head, _) = patient.rsplit_once('}').expect("the virtual's end");
        let server = "     server 157 {\n         address = 192.168.142.157\n         active = 1\n         port = 8080\n     }\n}\n";
        director.configure(&format!("{head}{server}"));
        let kept_open = site.client.hold(VIP, 4);
        director.signal_pulse(Signal::SIGHUP);
        director.wait_for_destinations(SERVICE, &["192.168.142.157:80", BOTH[0], BOTH[1]]);
        let now = director.machine.processes("nanny");
        assert!(nannies.iter().all(|old| now.contains(old)), "who did not change went on: {nannies:?} {now:?}");
        kept_open.assert_flowing("158");
        kept_open.assert_flowing("159");

        // Its first server gone, and the VIP's mask another.
        director.configure(&patient.replace(
            "server 158 {\n         address = 192.168.142.158\n         active = 1",
            "server 158 {\n         address = 192.168.142.158\n         active = 0",
        ));
        director.signal_pulse(Signal::SIGHUP);
        director.wait_for_destinations(SERVICE, &BOTH[1..]);
        wait_until(SOON, "one nanny", || director.machine.processes("nanny").len() == 1);
        assert!(nannies.contains(&director.nanny("192.168.142.159").expect("it goes on")));
        assert!(director.has_address(VIP_ON_DEVICE));
        kept_open.assert_flowing("159");
        director.log.assert_never(mark, "died");
    });
}
