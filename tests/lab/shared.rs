//! Several virtual services with the same servers: each server is checked once, and
//! every service has its own destination, which comes and goes by itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::ground::director::{LVS_CF as PATH, LVSD};
use crate::ground::lab::signal;
use crate::ground::tell;
use crate::ground::wait::{SOON, holds_within, wait_until};
use crate::ground::{Machine, scenario};
use crate::site::{BOTH, LVS_CF, Site};

const INTERVAL: Duration = Duration::from_millis(200);

/// A virtual service on 192.168.142.LAST with the site's servers and these keys.
fn block(last: u8, keys: &str) -> String {
    let servers = ["158", "159"].map(|server| {
        format!(" server {server} {{\n address = 192.168.142.{server}\n active = 1\n weight = 1\n port = 8080\n }}\n")
    });
    format!(
        "virtual w{last} {{\n active = 1\n address = 192.168.142.{last} eth0:{last}\n vip_nmask = 255.255.255.0\n \
         port = 80\n scheduler = rr\n timeout = 3\n interval = 0.2\n reentry = 0.2\n slow_start = 0\n{keys}{}}}\n",
        servers.concat()
    )
}

fn file(blocks: &[String]) -> String {
    let (head, _) = LVS_CF.split_once("virtual").expect("the site's virtual");
    format!("tcpfin_timeout = 1\n{head}{}", blocks.concat())
}

fn service(last: u8) -> String {
    format!("TCP 192.168.142.{last}:80")
}

impl Site {
    fn reread(&self, text: &str) {
        let mark = self.director.log.mark();
        self.director.configure(text);
        self.director.signal_pulse(Signal::SIGHUP);
        self.director.log.wait_for(mark, "configuration file reread:");
    }

    fn nannies(&self) -> BTreeSet<u32> {
        self.director.machine.processes("nanny").into_iter().collect()
    }

    fn wait_for_all(&self, lasts: &[u8], wanted: &[&str]) {
        for last in lasts {
            self.director.wait_for_destinations(&service(*last), wanted);
        }
    }

    fn wait_for_addresses(&self, lasts: &[u8]) {
        for last in lasts {
            self.director.wait_for_address(&format!("192.168.142.{last}/24"));
        }
    }

    fn planned(&self) -> String {
        String::from_utf8_lossy(&self.director.run_daemon(LVSD, &["--plan"]).stdout).into_owned()
    }

    /// Waits until there are so many nannies, which have all that they should and can be
    /// met by another lvsd.
    fn wait_for_nannies(&self, count: usize) {
        let nothing = format!("a reload with {PATH} would change nothing\n");
        let mut plan = String::new();
        let settled = holds_within(SOON, || {
            plan = self.planned();
            self.nannies().len() == count && plan == nothing
        });
        let nannies = self.nannies();
        assert!(settled, "waited in vain for {count} nannies: {nannies:?}, {plan}");
        self.director.wait_until_met(count);
    }

    /// Waits until nannies have checked the first server some times more.
    fn wait_for_checks(&self) {
        let before = self.accepted(0);
        wait_until(SOON, "some checks", || self.accepted(0) >= before + 10);
    }

    /// Kills lvsd; what the next one goes on with.
    fn kill_lvsd(&self) -> String {
        let mark = self.director.log.mark();
        for lvsd in self.director.machine.processes("lvsd") {
            signal(lvsd, Signal::SIGKILL);
        }
        self.director.log.wait_for(mark, " at work, going on with them")
    }

    /// However slow this machine is, one nanny makes no more checks than its interval
    /// allows.
    fn assert_checked_once(&self) {
        let (begun, before) = (Instant::now(), self.accepted(0));
        wait_until(SOON, "some checks", || self.accepted(0) >= before + 30);
        let (count, time) = (self.accepted(0) - before, begun.elapsed());
        let most = time.as_millis() / INTERVAL.as_millis() + 5;
        tell::show(&format!("{count} checks in {time:?} for two services"));
        assert!(u128::from(count) <= most, "{count} checks in {time:?}, one nanny makes {most}");
    }

    /// Each service's status says why the first server is out.
    fn wait_for_reasons(&self) {
        let mut shown = String::new();
        wait_until(SOON, "both say why", || {
            shown = String::from_utf8_lossy(&self.director.run_daemon(LVSD, &["--status"]).stdout).into_owned();
            shown.matches("connecting to 192.168.142.158:8080\n").count() >= 2
        });
        assert!(shown.contains("w101/158 192.168.142.158:80: down"), "{shown}");
    }

    /// Connections that a real server accepted so far.
    fn accepted(&self, server: usize) -> u64 {
        let path = format!("/proc/{}/net/snmp", self.servers[server].machine.first_pid());
        let text = std::fs::read_to_string(path).expect("its counters");
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let value = names.zip(values).find(|(name, _)| *name == "PassiveOpens").expect("PassiveOpens").1;
        value.parse().expect("a number")
    }
}

#[test]
fn a_server_behind_many_services_is_checked_once_and_each_keeps_its_own_destination() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        for server in &site.servers {
            for last in [101, 102, 103] {
                server.direct_routing(&format!("192.168.142.{last}/32"));
            }
        }
        let apart = block(102, "").replace("interval = 0.2", "interval = 60");
        let two = file(&[block(100, ""), block(101, ""), apart.clone()]);
        site.director.configure(&two);
        site.director.start_pulse();
        site.wait_for_all(&[100, 101, 102], &BOTH);
        site.wait_for_addresses(&[100, 101, 102]);
        wait_until(SOON, "a nanny a server, and another where the check is another", || site.nannies().len() == 4);

        site.assert_checked_once();

        let mark = site.director.log.mark();
        site.servers[0].kill();
        site.wait_for_all(&[100, 101], &BOTH[1..]);
        for last in [100, 101] {
            let line = format!(
                "[inactive] shutting down 192.168.142.158:8080 due to connection failure (192.168.142.{last}:80)"
            );
            site.director.log.wait_for(mark, &line);
        }
        site.wait_for_reasons();
        site.servers[0].start();
        site.wait_for_all(&[100, 101], &BOTH);
        site.director.log.wait_for(mark, "[ active ] making 192.168.142.158:8080 available (192.168.142.101:80)");
        // Nobody looks at the third service's for a minute.
        let mark = site.director.log.mark();
        for nanny in site.nannies() {
            signal(nanny, Signal::SIGUSR2);
            let rosy = format!("nanny[{}]: rose-colored glasses on", Machine::inner_pid(nanny));
            site.director.log.wait_for(mark, &rosy);
            signal(nanny, Signal::SIGHUP);
        }
        site.wait_for_all(&[100, 101, 102], &BOTH);

        // A nanny that dies takes nothing with it, and the next has all of its destinations.
        let nannies = site.nannies();
        let held: Vec<_> = [100, 101].map(|last| site.client.hold(&format!("192.168.142.{last}:80"), 4)).into();
        let watch = site.director.watch();
        for nanny in &nannies {
            signal(*nanny, Signal::SIGKILL);
        }
        wait_until(SOON, "other nannies", || site.nannies().is_disjoint(&nannies));
        site.wait_for_nannies(4);

        // So does a dead lvsd, and whoever comes after it finds all of them.
        let nannies = site.nannies();
        let found = site.kill_lvsd();
        assert!(found.contains("3 virtual services and 4 monitors at work"), "{found}");
        assert_eq!(site.nannies(), nannies);

        // One service more is a word to the nannies that are there.
        let three = file(&[block(100, ""), block(101, ""), apart.clone(), block(103, "")]);
        watch.assert_unchanged();
        drop(watch);
        site.director.configure(&three);
        let asked = site.planned();
        assert!(asked.contains("give child w103/158 to the nanny that checks 192.168.142.158 alike"), "{asked}");
        site.reread(&three);
        site.wait_for_all(&[100, 101, 102, 103], &BOTH);
        site.wait_for_addresses(&[103]);
        assert_eq!(site.nannies(), nannies, "nobody was started");

        // And one server less drains as ever, in its service alone.
        let without = |text: &str| text.replace("192.168.142.158\n active = 1", "192.168.142.158\n active = 0");
        let drained = file(&[block(100, ""), without(&block(101, " drain = 600\n")), apart.clone(), block(103, "")]);
        let mark = site.director.log.mark();
        site.reread(&drained);
        site.director.log.wait_for(mark, "draining w101/158 (192.168.142.158:80): ");
        site.director.log.wait_for(mark, "stopping LVS client monitor for 192.168.142.101:80 -> 192.168.142.158:8080");
        assert_eq!(site.nannies(), nannies, "the others' nannies go on");
        for held in &held {
            held.assert_flowing("158");
            held.assert_flowing("159");
        }

        // A nanny of its own for each, and back: nothing leaves the table.
        site.reread(&three);
        wait_until(SOON, "it is back", || {
            let table = site.director.kernel_table();
            table.service(&service(101)).is_some_and(|it| it.destinations.iter().all(|it| it.weight == 1))
        });
        let watch = site.director.watch();
        let alone = three.replace(" slow_start = 0\n", " slow_start = 0\n share_probe = 0\n");
        site.reread(&alone);
        site.wait_for_nannies(8);
        site.reread(&three);
        site.wait_for_nannies(4);
        watch.assert_unchanged();
        for held in &held {
            held.assert_flowing("159");
        }

        site.servers[1].kill();
        site.wait_for_all(&[100, 101, 103], &BOTH[..1]);
        let mark = site.director.log.mark();
        site.director.stop_pulse();
        assert!(site.director.kernel_table().services.is_empty(), "{}", site.director.kernel_table());
        site.director.log.assert_never(mark, "died");
    });
}

/// That it flaps, that it has to earn its return, that it is among the last: the nannies
/// know it of a server, and whoever follows them goes on with it.
#[test]
fn what_is_known_of_a_server_outlives_its_nannies_and_lvsd() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        site.servers.iter().for_each(|server| server.direct_routing("192.168.142.101/32"));
        let shared = file(&[block(100, " min_up = 1\n dampen = 600\n"), block(101, " dampen = 600\n")]);
        let apart = |text: &str| text.replace(" dampen", " share_probe = 0\n dampen");
        site.director.configure(&shared);
        site.director.start_pulse();
        site.wait_for_all(&[100, 101], &BOTH);
        site.wait_for_nannies(2);

        // It comes and goes, which a nanny of its own for each destination knows after it.
        let fell = |site: &mut Site, checks: u32| {
            let mark = site.director.log.mark();
            let line = format!("fell again soon after its return, it returns after {checks} good checks now");
            site.servers[0].kill();
            site.wait_for_all(&[100, 101], &BOTH[1..]);
            wait_until(SOON, "two lines", || site.director.log.count(mark, &line) == 2);
        };
        site.servers[0].kill();
        site.wait_for_all(&[100, 101], &BOTH[1..]);
        site.servers[0].start();
        site.wait_for_all(&[100, 101], &BOTH);
        fell(&mut site, 2);
        site.servers[0].start();
        site.wait_for_all(&[100, 101], &BOTH);
        site.reread(&apart(&shared));
        site.wait_for_nannies(4);
        fell(&mut site, 4);

        // It is well again, and has to be for ten minutes, whoever checks it.
        let shared = shared.replace("reentry = 0.2", "reentry = 600");
        site.reread(&apart(&shared));
        site.wait_for_nannies(4);
        let watch = site.director.watch();
        site.servers[0].start();
        site.wait_for_checks();
        site.reread(&shared);
        site.wait_for_nannies(2);
        site.wait_for_checks();
        site.reread(&apart(&shared));
        site.wait_for_nannies(4);
        site.wait_for_checks();
        site.reread(&shared);
        site.wait_for_nannies(2);
        watch.assert_unchanged();

        // The other one is the last of the service that keeps its last, whatever happens.
        let mark = site.director.log.mark();
        site.servers[1].kill();
        site.wait_for_all(&[101], &[]);
        site.director.log.wait_for(mark, "[ failed ] keeping 192.168.142.159:8080 in use although its checks fail");
        site.wait_for_all(&[100], &BOTH[1..]);
        let (mark, watch) = (site.director.log.mark(), site.director.watch());
        let found = site.kill_lvsd();
        assert!(found.contains("2 virtual services and 2 monitors at work"), "{found}");
        site.wait_for_nannies(2);
        site.wait_for_checks();
        site.reread(&apart(&shared));
        site.wait_for_nannies(4);
        site.kill_lvsd();
        site.wait_for_nannies(4);
        site.reread(&shared);
        site.wait_for_nannies(2);
        site.wait_for_checks();
        watch.assert_unchanged();
        for words in ["[inactive] ", "[ active ] ", "[ failed ] "] {
            site.director.log.assert_never(mark, words);
        }

        // What the file stopped to want while no lvsd looked is taken back from its nanny.
        let shared = shared.replace("reentry = 600", "reentry = 0.2");
        site.reread(&shared);
        site.wait_for_all(&[100, 101], &BOTH[..1]);
        site.wait_for_nannies(2);
        let (first, second) = shared.split_at(shared.find("virtual w101").expect("the second service"));
        let without = second.replace("192.168.142.158\n active = 1", "192.168.142.158\n active = 0");
        assert_ne!(second, without);
        site.director.configure(&format!("{first}{without}"));
        site.kill_lvsd();
        site.wait_for_all(&[101], &[]);
        site.wait_for_nannies(2);
        assert_eq!(site.director.kernel_table().destinations(&service(100)), BOTH[..1]);
        site.director.stop_pulse();
    });
}
