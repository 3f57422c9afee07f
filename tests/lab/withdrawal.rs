//! `vip_withdraw`: a virtual IP behind which nothing serves leaves the interface and
//! comes back with the first server, whoever dies meanwhile, and whoever takes over. The
//! operator's programs hear of it all.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::ground::client::Client;
use crate::ground::director::{Director, LVS_CF as FILE, PULSE};
use crate::ground::lab::signal;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{scenario, tell};
use crate::pair::holders::Holders;
use crate::pair::product::Product;
use crate::pair::site::{BACKUP, MASTER, Pair, Plan};
use crate::site::{BOTH, LVS_CF, SERVICE, Site, VIP, VIP_ON_DEVICE};

const GONE_LVSD: &str = "virtual IP 192.168.142.100: no virtual service on it is up, pulse is to withdraw it";
const BACK_LVSD: &str = "pulse may hold it again";
const GONE_PULSE: &str = "withdrawing virtual IP 192.168.142.100: lvsd says";
const BACK_PULSE: &str = "raising virtual IP 192.168.142.100 again: lvsd says";
const WITHHELD: &str = "not holding virtual IP 192.168.142.100: lvsd says";

/// The site's configuration with quick checks by connection and this in the virtual.
fn lvs_cf(keys: &str) -> String {
    let checked = "     expect = \"OK\"\n     use_regex = 0\n     send_program = \"/etc/sysconfig/ha/lvs.sh %h\"\n";
    let text = LVS_CF.replace(checked, &format!("     interval = 0.2\n     slow_start = 0\n{keys}"));
    let text = text.replace("reentry = 6", "reentry = 0.1").replace("timeout = 6", "timeout = 3");
    assert!(text.contains(keys) && text.contains("interval") && text.contains("reentry = 0.1"));
    format!("notify = /etc/sysconfig/ha/told.sh\nnotify_fifo = /run/events\n{text}")
}

/// What `notify` was told on a director, without its role and state: EVENT WHAT NAME.
fn told(director: &Director) -> Vec<String> {
    let text = std::fs::read_to_string(director.machine.path("/run/told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The lines of the FIFO from now on, up to the first of this event.
fn events(path: PathBuf, last: &'static str) -> JoinHandle<Vec<serde_json::Value>> {
    // The program that is told is started before it is made.
    wait_until(SOON, "the FIFO is made", || path.exists());
    // What nobody reads is dropped; who opens it for both waits for no writer.
    let fifo = File::options().read(true).write(true).open(path).expect("pulse made it");
    std::thread::spawn(move || {
        let mut events = Vec::new();
        for line in BufReader::new(fifo).lines() {
            let line = line.expect("it is text");
            events.push(serde_json::from_str::<serde_json::Value>(&line).unwrap_or_else(|e| panic!("{e}: {line}")));
            if events.last().is_some_and(|event| event["event"] == last) {
                break;
            }
        }
        events
    })
}

fn wait_until_gone(director: &Director) {
    wait_until(SOON, "the virtual IP is gone", || !director.has_address(VIP_ON_DEVICE));
}

/// Both said so, once.
fn assert_said_once(director: &Director, mark: usize, words: [&str; 2]) {
    director.log.wait_for(mark, words[1]);
    for words in words {
        assert_eq!(director.log.count(mark, words), 1, "{words}: {:#?}", director.log.since(mark));
    }
}

fn is_served(client: &Client) {
    wait_until(SOON, "a client is served", || client.ask(VIP).is_ok());
}

#[test]
fn a_virtual_ip_goes_with_its_last_server_and_comes_back_with_the_first() {
    scenario(|lab| {
        let mut site = Site::new(lab);
        let script = "#!/bin/sh\necho $1 $2 $6 >> /run/told\n";
        site.director.machine.write_script("/etc/sysconfig/ha/told.sh", script);
        site.director.configure(&lvs_cf("     vip_withdraw = 1\n"));
        site.director.start_pulse();
        site.wait_in_service();
        wait_until(SOON, "notify is told", || told(&site.director) == ["state active"]);
        let heard = events(site.director.machine.path("/run/events"), "vip");
        let mark = site.director.log.mark();
        site.servers.iter_mut().for_each(crate::ground::real_server::RealServer::kill);
        let director = &site.director;
        wait_until_gone(director);
        assert_said_once(director, mark, [GONE_LVSD, GONE_PULSE]);
        let heard = heard.join().expect("it reads");
        let (first, last) = (&heard[0], &heard[heard.len() - 1]);
        assert_eq!(
            (&first["event"], &first["what"], &first["state"]),
            (&"server".into(), &"down".into(), &"active".into())
        );
        assert_eq!((&last["what"], &last["name"]), (&"withdrawn".into(), &"192.168.142.100".into()));
        wait_until(SOON, "notify is told", || told(director).last().is_some_and(|it| it.starts_with("vip")));
        let mut all = told(director).split_off(1);
        all[..2].sort();
        assert_eq!(
            all,
            ["server down 100/158", "server down 100/159", "virtual down 100", "vip withdrawn 192.168.142.100"]
        );
        let me = director.machine.first_pid();
        let away = Holders::watch([me, me]);

        // Whoever dies: it stays away.
        let kill = |name: &str| {
            let all = director.machine.processes(name);
            assert!(!all.is_empty(), "{name} runs");
            for pid in all {
                signal(pid, Signal::SIGKILL);
            }
        };
        for (names, line) in [
            (["pulse"].as_slice(), WITHHELD),
            (&["lvsd"], "monitors at work, going on with them"),
            (&["pulse", "lvsd"], WITHHELD),
        ] {
            let mark = director.log.mark();
            for name in names {
                kill(name);
            }
            director.log.wait_for(mark, line);
            director.log.assert_never(mark, BACK_LVSD);
        }
        wait_until(SOON, "its status says so", || {
            let status = director.run_daemon(PULSE, &["--status"]);
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            status.contains("state: active") && status.contains("withdrawn: 192.168.142.100\n")
        });
        away.assert_unchanged();
        drop(away);

        // Nobody asks for it any more, and then somebody does.
        let mark = director.log.mark();
        director.configure(&lvs_cf(""));
        director.signal_pulse(Signal::SIGHUP);
        director.wait_for_address(VIP_ON_DEVICE);
        director.log.wait_for(mark, "no virtual service on it has vip_withdraw any more");
        director.configure(&lvs_cf("     vip_withdraw = 1\n"));
        director.signal_pulse(Signal::SIGHUP);
        director.log.wait_for(mark, GONE_LVSD);
        wait_until_gone(director);

        let mark = site.director.log.mark();
        site.servers[0].start();
        wait_until(SOON, "the first server is in", || site.director.kernel_table().destinations(SERVICE) == BOTH[..1]);
        let begun = Instant::now();
        site.director.wait_for_address(VIP_ON_DEVICE);
        tell::figure(&format!("a virtual IP was back {:?} after its first server", begun.elapsed()));
        assert_said_once(&site.director, mark, [BACK_LVSD, BACK_PULSE]);
        is_served(&site.client);
        let back = ["server up 100/158", "virtual up 100", "vip raised 192.168.142.100"];
        wait_until(SOON, "notify is told", || told(&site.director).ends_with(&back.map(str::to_owned)));
        site.director.log.assert_never(0, "was gone");

        // And away it leaves nothing behind at a stop either.
        site.servers[0].kill();
        wait_until_gone(&site.director);
        site.director.stop_pulse();
        site.servers[0].start();
        assert!(!site.director.has_address(VIP_ON_DEVICE) && site.director.table().services.is_empty());
    });
}

#[test]
fn who_takes_over_while_a_virtual_ip_is_withdrawn_does_not_raise_it() {
    scenario(|lab| {
        let mut pair = Pair::new(lab, Plan::OURS);
        for director in &pair.directors {
            let text = std::fs::read_to_string(director.machine.path(FILE)).expect("it was written");
            let quick = "timeout = 3\n    interval = 0.2\n    slow_start = 0\n    vip_withdraw = 1\n";
            let text = text.replace("timeout = 6\n", quick).replace("reentry = 6", "reentry = 0.1");
            assert!(text.contains(quick) && text.contains("reentry = 0.1"));
            director.configure(&text);
        }
        pair.start_both();
        let marks = pair.marks();
        pair.servers.iter_mut().for_each(crate::ground::real_server::RealServer::kill);
        pair.wait_for_vip_on(&[]);
        for which in [MASTER, BACKUP] {
            pair.directors[which].log.wait_for(marks[which], GONE_LVSD);
        }
        pair.directors[MASTER].log.wait_for(marks[MASTER], GONE_PULSE);
        let nowhere = pair.watch();

        // The role is another matter: it stays where it was until its holder leaves.
        let status = |which: usize| {
            let output = pair.directors[which].run_daemon(PULSE, &["--status"]);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert!(status(MASTER).contains("state: active") && status(BACKUP).contains("state: standby"));
        pair.directors[BACKUP].log.assert_never(marks[BACKUP], "activating lvs");
        Product::Ours.stop(&pair.directors[MASTER]);
        pair.directors[BACKUP].log.wait_for(marks[BACKUP], WITHHELD);
        wait_until(SOON, "the backup has the role", || status(BACKUP).contains("state: active"));
        Product::Ours.start(&pair.directors[MASTER]);
        wait_until(SOON, "the master is there again", || Product::Ours.is_whole(&pair.directors[MASTER]));
        nowhere.assert_unchanged();

        pair.servers[1].start();
        pair.wait_for_vip_on(&[BACKUP]);
        pair.directors[BACKUP].log.wait_for(marks[BACKUP], BACK_PULSE);
        is_served(&pair.client);
        pair.directors[MASTER].log.assert_never(marks[MASTER], BACK_PULSE);
    });
}
