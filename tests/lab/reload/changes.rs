//! Reloads that are easy to get wrong, one by one: a new identity, a new
//! forwarding method, drain, the sorry server, edits in place, and the plan that
//! is printed before.

use std::collections::BTreeSet;
use std::process::Output;

use nix::sys::signal::Signal;

use crate::ground::director::{LVS_CF as PATH, LVSD};
use crate::ground::lab::signal;
use crate::ground::real_server::Manner;
use crate::ground::table::Table;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Lab, scenario};
use crate::site::{BOTH, LVS_CF, SERVICE, Site, VIP};

/// The site's file with a check that needs no script.
fn file() -> String {
    let lines = LVS_CF.lines().filter(|line| !line.contains("send_program") && !line.contains("expect"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn in_service(lab: &Lab) -> Site {
    let site = Site::new(lab);
    site.director.configure(&file());
    site.director.start_pulse();
    site.wait_in_service();
    site
}

impl Site {
    /// Writes the file and reloads.
    fn reload(&self, text: &str) {
        let mark = self.director.log.mark();
        self.director.configure(text);
        self.director.signal_pulse(Signal::SIGHUP);
        self.director.log.wait_for(mark, "configuration file reread:");
    }

    /// What a reload would do, a line each.
    fn plan(&self) -> Vec<String> {
        let output = self.director.machine.output(LVSD, &["--plan"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn weight(&self, address: &str) -> Option<u32> {
        let table = self.director.kernel_table();
        let service = table.service(SERVICE)?;
        service.destinations.iter().find(|it| it.address.to_string() == address).map(|it| it.weight)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The addresses of real servers in any service, which is what clients can reach.
fn reachable(table: &Table) -> BTreeSet<String> {
    let all = table.services.iter().flat_map(|service| &service.destinations);
    all.filter(|it| it.weight > 0).map(|it| it.address.ip().to_string()).collect()
}

/// What the log counts when both servers move to another meeting place, and when not.
const MOVED: &str = "monitors 2 started, 0 replaced, 2 stopped, 0 unchanged";
const FOLLOWED: &str = "monitors 0 started, 2 replaced, 0 stopped, 0 unchanged";

fn assert_all_reachable(states: &[crate::ground::director::Seen], what: &str) {
    let both = BTreeSet::from(["192.168.142.158".to_owned(), "192.168.142.159".to_owned()]);
    for state in states {
        assert!(reachable(&state.table).is_superset(&both), "{what}: a server was out of the table\n{}", state.table);
    }
}

#[test]
fn a_new_identity_stands_before_the_old_goes() {
    // A check that fails on a busy machine takes its server out, as it should.
    let file = || file().replace("timeout = 6", "timeout = 20");
    scenario(|lab| {
        let site = in_service(lab);
        let moves = [
            ("a mark", file().replace("port = 80\n", "port = 80\n fwmark = 7\n"), "FWM 7", "80", MOVED),
            ("another port", file().replace("port = 80\n", "port = 81\n"), "TCP 192.168.142.100:81", "81", MOVED),
            ("another method, so another kernel port", file().replace("direct", "nat"), SERVICE, "8080", MOVED),
            ("and back, at the same meeting places", file(), SERVICE, "80", FOLLOWED),
            ("another port under NAT", file().replace("direct", "nat").replace("8080", "80"), SERVICE, "80", FOLLOWED),
            ("a tunnel in place", file().replace("network = direct", "network = tunnel"), SERVICE, "80", FOLLOWED),
        ];
        for (what, text, service, port, count) in moves {
            let watch = site.director.watch_closely();
            let mark = site.director.log.mark();
            site.reload(&text);
            site.director.log.wait_for(mark, count);
            let servers: Vec<String> = ["158", "159"].map(|last| format!("192.168.142.{last}:{port}")).into();
            let alone = || {
                let table = site.director.kernel_table();
                table.services.len() == 1 && table.destinations(service) == servers
            };
            wait_until(SOON, &format!("{what}: only what the file says is there"), alone);
            assert_all_reachable(&watch.states(), what);
            wait_until(SOON, "two nannies", || site.director.machine.processes("nanny").len() == 2);
        }
        let tunnelled = || {
            let table = site.director.kernel_table();
            table.services.iter().flat_map(|it| &it.destinations).all(|it| it.method == "Tunnel")
        };
        wait_until(SOON, "the method is another", tunnelled);
    });
}

#[test]
fn what_can_be_changed_in_place_is_and_nothing_else_moves() {
    scenario(|lab| {
        let site = in_service(lab);
        let nannies = site.director.machine.processes("nanny");
        let kept_open = site.client.hold(VIP, 4);
        let watch = site.director.watch();
        let sticky = "scheduler = wlc\n persistent = 300\n pmask = 255.255.255.0";
        site.reload(&format!("tcp_timeout = 901\n{}", file().replace("scheduler = rr", sticky)));
        let is_edited = || {
            let service = site.director.table().service(SERVICE).cloned();
            service.is_some_and(|it| it.scheduler == "wlc" && it.flags == "persistent 300 mask 255.255.255.0")
        };
        wait_until(SOON, "the service is changed", is_edited);
        wait_until(SOON, "the timeout is changed", || site.director.ipvsadm("-L --timeout").contains("901"));
        assert_eq!(site.director.machine.processes("nanny"), nannies, "their arguments are the same");
        // Now the checks and the weight: the nannies change, their destinations do not go.
        site.reload(&file().replace("weight = 1", "weight = 5").replace("timeout = 6", "timeout = 5\n send = \"x\""));
        wait_until(SOON, "the weight is changed", || BOTH.iter().all(|it| site.weight(it) == Some(5)));
        assert_all_reachable(&watch.states(), "edits");
        for server in ["158", "159"] {
            kept_open.assert_flowing(server);
        }
        wait_until(SOON, "two other nannies", || {
            let now = site.director.machine.processes("nanny");
            now.len() == 2 && !nannies.iter().any(|old| now.contains(old))
        });
    });
}

#[test]
fn a_sorry_server_comes_and_goes_by_reload() {
    scenario(|lab| {
        let site = in_service(lab);
        let off = |text: &str| text.replace("active = 1\n         weight", "active = 0\n         weight");
        let sorry = |text: &str, last: u8| {
            text.replace("port = 80\n", &format!("port = 80\n sorry_server = 192.168.142.{last}\n"))
        };
        site.reload(&sorry(&file(), 150));
        site.director.wait_for_destinations(SERVICE, &BOTH);
        site.reload(&sorry(&off(&file()), 150));
        site.director.wait_for_destinations(SERVICE, &["192.168.142.150:80"]);
        let watch = site.director.watch();
        site.reload(&sorry(&off(&file()), 151));
        site.director.wait_for_destinations(SERVICE, &["192.168.142.151:80"]);
        let empty = watch.states().iter().any(|state| state.table.destinations(SERVICE).is_empty());
        assert!(!empty, "the new one is there before the old one goes");
        site.reload(&off(&file()));
        site.director.wait_for_destinations(SERVICE, &[]);
        site.reload(&file());
        site.director.wait_for_destinations(SERVICE, &BOTH);
    });
}

#[test]
fn quiescing_is_taken_up_and_given_up_while_a_server_is_down() {
    let file = || file().replace("timeout = 6", "timeout = 2").replace("reentry = 6", "reentry = 2");
    let quiescing = file().replace("quiesce_server = 0", "quiesce_server = 1");
    scenario(|lab| {
        let mut site = Site::new(lab);
        site.director.configure(&quiescing);
        site.director.start_pulse();
        site.wait_in_service();
        site.servers[0].behave(8080, Manner::Refuse);
        wait_until(SOON, "it is quiesced", || site.weight(BOTH[0]) == Some(0));
        site.reload(&file());
        site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
        site.reload(&quiescing);
        site.servers[0].behave(8080, Manner::Answer);
        wait_until(SOON, "it is back", || site.weight(BOTH[0]) == Some(1));
        site.servers[0].behave(8080, Manner::Refuse);
        wait_until(SOON, "it is quiesced again", || site.weight(BOTH[0]) == Some(0));
        site.reload(&quiescing.replace("quiesce_server = 1", "quiesce_server = 0\n drain = 5"));
        site.director.wait_for_destinations(SERVICE, &BOTH[1..]);
    });
}

#[test]
fn a_server_drains_through_lvsds_death_until_its_time_is_over_and_comes_back_at_once() {
    scenario(|lab| {
        let site = in_service(lab);
        let director = &site.director;
        let drain = |seconds: u32| {
            format!("tcpfin_timeout = 1\n{}", file())
                .replace("port = 80\n", &format!("port = 80\n drain = {seconds}\n"))
        };
        let without =
            |text: &str| text.replace("192.168.142.158\n         active = 1", "192.168.142.158\n         active = 0");
        site.reload(&drain(600));
        let kept_open = site.client.hold(VIP, 4);
        let mark = director.log.mark();
        director.configure(&without(&drain(600)));
        let plan = site.plan();
        assert!(plan.iter().any(|line| line.contains("drain 192.168.142.158:80 of 100/")), "{plan:?}");
        site.reload(&without(&drain(600)));
        let line = director.log.wait_for(mark, "draining 100/158 (192.168.142.158:80): ");
        assert!(line.ends_with("600 s at most"), "{line}");
        assert_eq!(site.weight(BOTH[0]), Some(0));
        let lvsd = director.machine.processes("lvsd")[0];
        signal(lvsd, Signal::SIGKILL);
        wait_until(SOON, "another lvsd", || director.machine.processes("lvsd").iter().any(|pid| *pid != lvsd));
        director.log.wait_for(mark, "at work, going on with them");
        for _ in 0..10 {
            assert_eq!(site.client.ask(VIP).expect("it is served"), "159");
        }
        kept_open.assert_flowing("158");
        wait_until(SOON, "nothing is left to do", || site.plan()[0].ends_with("would change nothing"));
        let plan = site.plan();
        assert!(plan[1].contains("192.168.142.158:80 of 100/158 is draining: "), "{plan:?}");

        site.reload(&drain(600));
        director.log.wait_for(mark, "100/158 (192.168.142.158:80) was draining and is wanted again");
        wait_until(SOON, "it has its weight again", || site.weight(BOTH[0]) == Some(1));
        wait_until(SOON, "its nanny", || director.nanny("192.168.142.158").is_some());

        site.reload(&drain(2));
        site.reload(&without(&drain(2)));
        let line = director.log.wait_for(mark, "158 (192.168.142.158:80) still has ");
        assert!(line.ends_with("connections after 2 s, removing it"), "{line}");
        director.wait_for_destinations(SERVICE, &BOTH[1..]);
        kept_open.assert_flowing("159");

        // The other way: its connections end before the time does.
        site.reload(&drain(600));
        director.wait_for_destinations(SERVICE, &BOTH);
        drop(kept_open);
        let kept_open = site.client.hold(VIP, 2);
        site.reload(&without(&drain(600)));
        kept_open.assert_flowing("158");
        drop(kept_open);
        director.log.wait_for(mark, "100/158 (192.168.142.158:80) is drained, removing it");
        director.wait_for_destinations(SERVICE, &BOTH[1..]);
        director.log.assert_never(mark, "it is not configured");
    });
}

#[test]
fn the_plan_is_what_the_reload_then_does() {
    scenario(|lab| {
        let site = in_service(lab);
        let director = &site.director;
        let watch = director.watch();
        assert_eq!(site.plan(), [format!("a reload with {PATH} would change nothing")]);
        let new = file().replace("scheduler = rr", "scheduler = wlc").replacen("weight = 1", "weight = 3", 1);
        director.configure(
            &(new + "virtual more {\n active = 1\n address = 192.168.142.101 eth0:2\n vip_nmask = 255.255.255.0\n}\n"),
        );
        let plan = site.plan();
        assert_eq!(
            plan,
            [
                format!("a reload with {PATH} would:"),
                "  change virtual service 100 (tcp 192.168.142.100:80): scheduler rr -> wlc".to_owned(),
                "  replace nanny for child 100/158: -w 1 -> -w 3; 192.168.142.158:80 stays".to_owned(),
                "  add virtual service more: tcp 192.168.142.101:80, scheduler wlc".to_owned(),
            ]
        );
        watch.assert_unchanged();
        drop(watch);
        let mark = director.log.mark();
        director.signal_pulse(Signal::SIGHUP);
        director.log.wait_for(mark, "monitors 0 started, 1 replaced, 0 stopped, 1 unchanged");
        director.log.assert_order(
            mark,
            &["changing virtual service 100: scheduler rr -> wlc", "starting virtual service more active: 80"],
        );
        wait_until(SOON, "nothing is left to do", || site.plan()[0].ends_with("would change nothing"));

        director.machine.write("/etc/sysconfig/ha/other.cf", "frobnicate = 1\n");
        let output = director.machine.output(LVSD, &["--plan", "/etc/sysconfig/ha/other.cf"]);
        assert_eq!(output.status.code(), Some(78));
        assert!(said(&output).contains("/etc/sysconfig/ha/other.cf:1:1: error:"), "{}", said(&output));
    });
}
