//! `service = fos`, whole: haproxy on one of two directors, with clients. What dies is
//! started again where it was, as often as the file says; what cannot be started goes
//! to the other director, and nothing of it is left on the first.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::client::{Client, Load};
use crate::ground::director::Director;
use crate::ground::lab::signal;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Lab, scenario, tell};
use crate::pair::holders::{Holders, holds};
use crate::pair::site::{BACKUP, BEAT, FRONT, MASTER, TO_CLIENTS, TO_PARTNER, VIP, gap_since};

const LVS_CF: &str = r#"service = fos
backup_active = 1
keepalive = 200ms
deadtime = 3s
failover web {
    active = 1
    address = 192.168.142.100 eth0:1
    vip_nmask = 255.255.255.0
    port = 80
    send = "GET / HTTP/1.0\r\n\r\n"
    expect = "HTTP/1.1 200"
    timeout = 10
    interval = 0.2
    start_cmd = "haproxy -D -f /run/haproxy.cfg"
    stop_cmd = "/run/haproxy.stop now"
    restarts = 2
}
"#;

/// It binds the address by name, so that it starts only where that is.
const HAPROXY: &str = "global
    pidfile /run/haproxy.pid
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend web
    bind 192.168.142.100:80
    http-request return status 200 content-type text/plain lf-string NAME
";

const STOP: &str = "#!/bin/sh\nkill $(cat /run/haproxy.pid) && rm /run/haproxy.pid\n";

const RUNS: &str = "failover service web 192.168.142.100:80 runs";

/// How often a client comes; a guest has one processor.
const PACE: Duration = Duration::from_millis(20);

/// Two directors that can run haproxy, and a client.
struct Site<'lab> {
    directors: [Director; 2],
    client: Client,
    lab: &'lab Lab,
}

impl<'lab> Site<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        lab.network("front");
        lab.network("beat");
        let directors = [(MASTER, "master"), (BACKUP, "backup")].map(|(which, name)| {
            let director = Director::new(lab, name, "front", &[&format!("{}/24", FRONT[which])]);
            lab.plug(&director.machine, "beat", TO_PARTNER, &[&format!("{}/24", BEAT[which])]);
            let pair = format!("primary = {}\nbackup = {}\n", FRONT[0], FRONT[1]);
            let cable = format!("primary_private = {}\nbackup_private = {}\n", BEAT[0], BEAT[1]);
            director.configure(&format!("{pair}{cable}{LVS_CF}"));
            director.machine.write_script("/run/haproxy.stop", STOP);
            director
        });
        let site = Self { directors, client: Client::new(lab, "client", "front", &["192.168.142.10/24"]), lab };
        site.mend(MASTER);
        site.mend(BACKUP);
        site
    }

    /// haproxy can be started there.
    fn mend(&self, which: usize) {
        let machine = &self.directors[which].machine;
        machine.write("/run/haproxy.cfg", &HAPROXY.replace("NAME", machine.name()));
    }

    fn marks(&self) -> [usize; 2] {
        [MASTER, BACKUP].map(|which| self.directors[which].log.mark())
    }

    fn first_pids(&self) -> [u32; 2] {
        [MASTER, BACKUP].map(|which| self.directors[which].machine.first_pid())
    }

    fn haproxy(&self, which: usize) -> Vec<u32> {
        self.directors[which].machine.processes("haproxy")
    }

    /// The address and the service are there and nowhere else.
    fn wait_until_only_on(&self, which: usize) {
        let pids = self.first_pids();
        wait_until(SOON, &format!("all of it is on {which} (0 is the master) and nothing on the other"), || {
            holds(pids[which])
                && !holds(pids[1 - which])
                && self.haproxy(which).len() == 1
                && self.haproxy(1 - which).is_empty()
        });
    }

    /// A new client is served by that director, and each one after it.
    fn wait_for_answers_of(&self, which: usize) {
        let name = self.directors[which].machine.name();
        wait_until(SOON, &format!("{name} answers"), || self.client.ask(VIP).as_deref() == Ok(name));
    }

    fn kill_haproxy(&self, which: usize) {
        for pid in self.haproxy(which) {
            signal(pid, Signal::SIGKILL);
        }
    }

    fn cables(&self, which: usize, change: fn(&Lab, &crate::ground::Machine, &str)) {
        for device in [TO_CLIENTS, TO_PARTNER] {
            change(self.lab, &self.directors[which].machine, device);
        }
    }
}

/// What clients saw, printed; and who answered them.
fn seen(what: &str, load: &Load, from: Instant) -> Vec<String> {
    tell::figure(&format!("failover: {what}: {}", gap_since(load, from)));
    load.served_between(from, Instant::now()).into_keys().collect()
}

#[test]
fn haproxy_runs_on_one_of_two_directors_whatever_dies() {
    scenario(|lab| {
        let site = Site::new(lab);
        let [master, backup] = &site.directors;
        for director in &site.directors {
            director.start_pulse();
        }
        master.log.wait_for(0, RUNS);
        site.wait_until_only_on(MASTER);
        let load = site.client.open_connections(VIP, PACE);
        load.wait_for_served(20);

        is_started_again_where_it_was(&site, &load);
        lvsd_is_killed(&site, &load);
        cannot_be_started_any_more(&site, &load);
        the_cables_are_cut(&site, &load);

        // Nothing of it is left when it is stopped, and the other one has it at once.
        let from = Instant::now();
        master.stop_pulse();
        site.wait_until_only_on(BACKUP);
        site.wait_for_answers_of(BACKUP);
        assert!(seen("active director stopped", &load, from).contains(&"backup".to_owned()));
        backup.stop_pulse();
        let pids = site.first_pids();
        assert!(!pids.into_iter().any(holds), "no address is left");
        assert!(site.haproxy(MASTER).is_empty() && site.haproxy(BACKUP).is_empty(), "no service is left");
    });
}

fn is_started_again_where_it_was(site: &Site<'_>, load: &Load) {
    let (master, watch) = (&site.directors[MASTER], Holders::watch(site.first_pids()));
    for time in 1..=2 {
        let (marks, from) = (site.marks(), Instant::now());
        site.kill_haproxy(MASTER);
        let again = format!("failover service web: it does not answer, starting it again ({time} of 2)");
        master.log.wait_for(marks[MASTER], &again);
        master.log.wait_for(marks[MASTER], RUNS);
        assert_eq!(seen("haproxy killed", load, from), ["master"]);
        assert_eq!(site.haproxy(MASTER).len(), 1);
    }
    watch.assert_unchanged();
    assert!(site.haproxy(BACKUP).is_empty(), "the standby runs nothing");
}

fn lvsd_is_killed(site: &Site<'_>, load: &Load) {
    let (master, before) = (&site.directors[MASTER], site.haproxy(MASTER));
    let (marks, from, watch) = (site.marks(), Instant::now(), Holders::watch(site.first_pids()));
    for pid in master.machine.processes("lvsd") {
        signal(pid, Signal::SIGKILL);
    }
    master.log.wait_for(marks[MASTER], "found failover service web 192.168.142.100:80 started, watching it");
    master.log.wait_for(marks[MASTER], RUNS);
    assert_eq!(seen("lvsd killed", load, from), ["master"]);
    load.assert_none_failed(from, Instant::now());
    assert_eq!(site.haproxy(MASTER), before, "nobody touched it");
    watch.assert_unchanged();
}

/// Its restarts are used up, which the lvsd that was killed knew and the next one does.
fn cannot_be_started_any_more(site: &Site<'_>, load: &Load) {
    let [master, backup] = &site.directors;
    let (marks, from, watch) = (site.marks(), Instant::now(), Holders::watch(site.first_pids()));
    master.machine.write("/run/haproxy.cfg", "nonsense\n");
    site.kill_haproxy(MASTER);
    site.wait_for_answers_of(BACKUP);
    let by = seen("haproxy killed for good", load, from);
    assert!(by.contains(&"backup".to_owned()), "{by:?}");
    site.wait_until_only_on(BACKUP);
    watch.assert_never_two();
    watch.assert_moved(1);
    let order = [
        "failover service web cannot run here: it does not answer. This is a failover condition!",
        "lvsd cannot serve: deactivating FOS",
        "failover services were handed over (number 1 in a row): not taken back for 60.0s",
    ];
    master.log.wait_for(marks[MASTER], order[2]);
    master.log.assert_order(marks[MASTER], &order);
    backup.log.wait_for(marks[BACKUP], RUNS);
    backup.log.assert_order(marks[BACKUP], &["activating fos", RUNS]);

    // Somebody mends it and says so.
    site.mend(MASTER);
    master.signal_pulse(Signal::SIGHUP);
    wait_until(SOON, "the master would take it again", || {
        let status = master.try_pulse(&["--status"]);
        String::from_utf8_lossy(&status.stdout).contains("fit: yes")
    });
}

fn the_cables_are_cut(site: &Site<'_>, load: &Load) {
    let [master, backup] = &site.directors;
    let (marks, from) = (site.marks(), Instant::now());
    site.cables(BACKUP, Lab::pull);
    master.log.wait_for(marks[MASTER], "partner dead: activating fos");
    site.wait_for_answers_of(MASTER);
    seen("active director's cables cut", load, from);
    // When they hear each other again the rank decides.
    let (from, watch) = (Instant::now(), Holders::watch(site.first_pids()));
    site.cables(BACKUP, Lab::mend);
    backup.log.wait_for(marks[BACKUP], "partner active: deactivating FOS");
    site.wait_until_only_on(MASTER);
    seen("the cables are in again", load, from);
    watch.assert_moved(0);
    assert_eq!(site.client.ask(VIP).as_deref(), Ok("master"));
}
