//! Two directors as real processes: who has the VIP, when one of them is started,
//! stopped, killed, frozen, cut off, or is an original.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::ground::{inside, wait_until};

mod cost;
pub mod site;
mod vips;
use site::Site;

/// Quick, and yet slow beside a machine that runs many tests at once.
const QUICK: &str = "keepalive = 0.2\ndeadtime = 3\n";

/// Long enough that whatever would happen without a reason has happened.
fn a_while() {
    std::thread::sleep(Duration::from_secs(5));
}

#[test]
fn two_booted_at_once_end_with_the_master_active_and_neither_moves_again() {
    inside("pair::two_booted_at_once_end_with_the_master_active_and_neither_moves_again", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        wait_until("the standby's lvsd runs", || site.backup.lvsd().is_some());
        a_while();
        assert!(site.master.has_vip() && !site.backup.has_vip());
        assert_eq!((site.master.count("activating lvs"), site.backup.count("activating lvs")), (1, 0));
        wait_until("active_cmd was run", || site.master.commands() == "active\n");
        assert_eq!(site.backup.commands(), "");
        site.backup.wait_for_line("STARTING PULSE AS BACKUP");
    });
}

#[test]
fn a_clean_stop_hands_over_at_once_and_a_start_takes_nothing_back() {
    inside("pair::a_clean_stop_hands_over_at_once_and_a_start_takes_nothing_back", |_| {
        // a deadtime that nobody here waits for
        let site = Site::new("keepalive = 0.2\ndeadtime = 60\n");
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        site.master.stop();
        site.wait_for(&site.backup);
        site.backup.wait_for_line("partner stopped: activating lvs");
        wait_until("inactive_cmd was run", || site.master.commands() == "active\ninactive\n");
        site.master.start();
        site.master.wait_for_line("STARTING PULSE AS MASTER");
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip());
        assert_eq!(site.master.count(": activating"), 1, "no fail-back unless it is asked for");
        site.backup.stop();
        site.wait_for(&site.master);
        site.master.stop();
        assert!(!site.master.has_vip());
    });
}

#[test]
fn a_director_that_is_gone_is_followed_after_deadtime_and_comes_back_as_the_standby() {
    inside("pair::a_director_that_is_gone_is_followed_after_deadtime_and_comes_back_as_the_standby", |_| {
        let site = Site::new(QUICK);
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        let lvsd = site.master.lvsd();
        let since = Instant::now();
        site.master.kill_pulse();
        site.backup.wait_for_line("partner dead: activating lvs");
        assert!(since.elapsed() > Duration::from_secs(2), "not before deadtime: {:?}", since.elapsed());
        wait_until("the backup has the VIP", || site.backup.has_vip());
        site.master.start();
        site.master.wait_for_line("lvs was active already: carrying on");
        site.master.wait_for_line("partner active: deactivating LVS");
        site.wait_for(&site.backup);
        assert_eq!(site.master.lvsd(), lvsd, "lvsd is kept, and its table with it");
        wait_until("inactive_cmd was run", || site.master.commands() == "active\ninactive\n");
    });
}

/// The words of a supervisor's unit are the same at every start.
#[test]
fn a_forced_start_is_one_that_was_asked_for_and_none_that_follows_a_death() {
    inside("pair::a_forced_start_is_one_that_was_asked_for_and_none_that_follows_a_death", |_| {
        let site = Site::new(QUICK);
        site.backup.start();
        wait_until("the backup has the VIP", || site.backup.has_vip());
        let mut pulse = site.master.supervised(&["--forceactive"]);
        site.wait_for(&site.master);
        site.master.ask("--relocate").unwrap();
        site.wait_for(&site.backup);
        pulse.kill().unwrap();
        pulse.wait().unwrap();
        let mut next = site.master.supervised(&["--forceactive"]);
        wait_until("it is back", || site.master.count("STARTING PULSE AS MASTER") == 2);
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip(), "a dead standby moves nothing");
        assert_eq!(site.master.count("Forced active on startup"), 1);
        site.master.kill(&[next.id()], "TERM");
        assert_eq!(next.wait().unwrap().code(), Some(0));
        let mut last = site.master.supervised(&["--forceactive"]);
        site.wait_for(&site.master);
        assert_eq!(site.master.count("Forced active on startup"), 2);
        site.master.kill(&[last.id()], "TERM");
        last.wait().unwrap();
    });
}

#[test]
fn a_killed_pulse_is_back_before_anybody_takes_over() {
    inside("pair::a_killed_pulse_is_back_before_anybody_takes_over", |_| {
        let site = Site::new(QUICK);
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        for host in [&site.master, &site.backup] {
            let worker = host.worker().unwrap();
            host.kill(&[worker], "KILL");
            wait_until("another pulse", || host.worker().is_some_and(|now| now != worker));
        }
        site.master.wait_for_line("partner did not take over: lvs stays active");
        a_while();
        assert!(site.master.has_vip() && !site.backup.has_vip());
        wait_until("active_cmd was run", || site.master.commands() == "active\n");
        assert_eq!(site.backup.commands(), "");
        assert_eq!(site.backup.count("activating"), 0);
    });
}

#[test]
fn a_killed_pulse_that_comes_back_to_a_broken_file_still_has_its_partner() {
    inside("pair::a_killed_pulse_that_comes_back_to_a_broken_file_still_has_its_partner", |_| {
        let site = Site::new(QUICK);
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        site.master.break_file();
        let worker = site.master.worker().unwrap();
        site.master.kill(&[worker], "KILL");
        site.master.wait_for_line("the old configuration stays in force");
        site.master.wait_for_line("partner did not take over: lvs stays active");
        a_while();
        assert!(site.master.has_vip() && !site.backup.has_vip());
        assert_eq!(site.backup.count("activating"), 0);
        site.master.stop();
        site.wait_for(&site.backup);
    });
}

#[test]
fn a_frozen_director_is_followed_and_yields_when_it_wakes() {
    inside("pair::a_frozen_director_is_followed_and_yields_when_it_wakes", |_| {
        let site = Site::new(QUICK);
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        let all = [site.master.guardian(), site.master.worker().unwrap(), site.master.lvsd().unwrap()];
        site.master.kill(&all, "STOP");
        site.backup.wait_for_line("partner dead: activating lvs");
        wait_until("the backup has the VIP", || site.backup.has_vip());
        site.master.kill(&all, "CONT");
        site.wait_for(&site.backup);
        site.master.wait_for_line("listening first");
        a_while();
        assert!(site.backup.has_vip() && !site.master.has_vip());
        assert_eq!(site.backup.count("deactivating"), 0);
    });
}

#[test]
fn directors_that_were_cut_off_from_each_other_agree_again() {
    inside("pair::directors_that_were_cut_off_from_each_other_agree_again", |_| {
        let site = Site::new(QUICK);
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        site.backup.ip("link set v0 down");
        site.backup.wait_for_line("partner dead: activating lvs");
        site.backup.ip("link set v0 up");
        site.wait_for(&site.master);
        site.backup.wait_for_line("partner active: deactivating LVS");
        site.master.wait_for_line("partner active: resending arps");
        assert_eq!(site.master.count("deactivating"), 0);
    });
}

#[test]
fn who_is_neither_director_is_told_so_and_two_ports_are_not_shared() {
    inside("pair::who_is_neither_director_is_told_so_and_two_ports_are_not_shared", |_| {
        let site = Site::new(QUICK);
        site.master.ip("addr del 10.0.0.1/24 dev v0");
        let (status, error) = site.master.run(&[]);
        let sentence = "pulse: this host has neither the address of primary (10.0.0.1) nor that of backup (10.0.0.2)\n";
        assert_eq!(status, 78);
        assert!(error.ends_with(sentence), "{error}");
        site.master.ip("addr add 10.0.0.1/24 dev v0");
        let taken = site.master.socket("10.0.0.1:539");
        let (status, error) = site.master.run(&[]);
        assert_eq!(status, 71, "{error}");
        assert!(error.contains("pulse: failed to bind to heartbeat address: Address already in use"), "{error}");
        assert!(error.contains("\npulse: cannot create heartbeat socket. running as root?\n"), "{error}");
        drop(taken);
        site.master.start();
    });
}

/// What an original says: it is active, it is standby (piranha.md 2.2).
const RUNNING: [u8; 4] = [0xda, 0xdb, 0xad, 0xbd];
const STOPPED: [u8; 4] = [0xbd, 0xda, 0xbd, 0xad];

/// An original that says what it is told to, as often as it should.
struct Original(UdpSocket);

impl Original {
    /// Says so until it holds; what it heard meanwhile, as far as it reads.
    fn says(&self, word: [u8; 4], to: &str, what: &str, holds: impl Fn() -> bool) -> Vec<[u8; 4]> {
        let mut heard = Vec::new();
        wait_until(what, || {
            // a director that is not there refuses
            let _ = self.0.send_to(&word, to);
            let mut bytes = [0; 4]; // it cuts off what is longer
            while let Ok((4, _)) = self.0.recv_from(&mut bytes) {
                heard.push(bytes);
            }
            holds()
        });
        heard
    }
}

#[test]
fn an_original_backup_is_followed_when_it_gives_up_and_is_told_in_its_words() {
    inside("pair::an_original_backup_is_followed_when_it_gives_up_and_is_told_in_its_words", |_| {
        let site = Site::new(QUICK);
        let original = Original(site.backup.socket("10.0.0.2:539"));
        site.master.start();
        let master = "10.0.0.1:539";
        let since = Instant::now();
        let heard = original.says(RUNNING, master, "it is left alone", || since.elapsed() > Duration::from_secs(4));
        assert!(!site.master.has_vip());
        assert!(heard.contains(&STOPPED) && !heard.contains(&RUNNING), "{heard:?}");
        original.says(STOPPED, master, "the master serves", || site.master.has_vip());
        site.master.wait_for_line("backup inactive: activating lvs");
        let since = Instant::now();
        let heard = original.says(STOPPED, master, "it is told", || since.elapsed() > Duration::from_secs(2));
        assert_eq!(heard.last(), Some(&RUNNING));
        // both active: the original yields, and ours announces again
        original.says(RUNNING, master, "the arps are sent again", || {
            site.master.count("partner active: resending arps") > 0
        });
        assert!(site.master.has_vip());
    });
}

#[test]
fn an_original_master_is_yielded_to_and_followed_when_it_dies() {
    inside("pair::an_original_master_is_yielded_to_and_followed_when_it_dies", |_| {
        let site = Site::new(QUICK);
        let original = Original(site.master.socket("10.0.0.1:539"));
        site.backup.start();
        let backup = "10.0.0.2:539";
        wait_until("the backup serves, nobody else is there", || site.backup.has_vip());
        let heard = original.says(RUNNING, backup, "it yields", || !site.backup.has_vip());
        assert!(heard.contains(&RUNNING), "it says that it was active, so that the MASTER announces: {heard:?}");
        site.backup.wait_for_line("partner active: deactivating LVS");
        let since = Instant::now();
        let heard = original.says(RUNNING, backup, "it stays standby", || since.elapsed() > Duration::from_secs(4));
        assert_eq!(heard.last(), Some(&STOPPED));
        assert!(!site.backup.has_vip());
        wait_until("the backup serves, the original is silent", || site.backup.has_vip());
        assert_eq!(site.backup.count("partner dead: activating lvs"), 2);
    });
}

/// piranha.md 2.5: the original signalled itself for ever.
#[test]
fn a_reload_of_a_standby_reaches_its_lvsd_and_costs_no_time() {
    inside("pair::a_reload_of_a_standby_reaches_its_lvsd_and_costs_no_time", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        let worker = site.backup.worker().unwrap();
        site.backup.kill(&[site.backup.guardian()], "HUP");
        wait_until("lvsd was told", || site.backup.hangups() == 1);
        let before = site.backup.cpu_time(worker);
        a_while();
        let spent = site.backup.cpu_time(worker).saturating_sub(before);
        assert!(spent < Duration::from_secs(1), "{spent:?} of 5 s");
        assert_eq!((site.backup.worker(), site.backup.hangups()), (Some(worker), 1));
        site.backup.kill(&[site.backup.guardian()], "TERM");
        wait_until("it still listens", || site.backup.processes().is_empty());
        assert!(site.master.has_vip());
    });
}

/// It takes longer to read than such a partner is patient.
#[test]
fn a_reload_of_a_huge_file_keeps_the_beat() {
    inside("pair::a_reload_of_a_huge_file_keeps_the_beat", |_| {
        let site = Site::new("keepalive = 0.01\ndeadtime = 1\n");
        let partner = site.backup.socket("10.0.0.2:539");
        site.master.start();
        wait_until("the master has the VIP", || site.master.has_vip());
        wait_until("its lvsd runs", || site.master.lvsd().is_some());
        let mut file = site.master.read("run/lvs.cf").unwrap();
        for block in 0..200 {
            let servers: Vec<String> = (0..250)
                .map(|n| {
                    format!("    server s{n} {{\n        active = 1\n        address = 10.1.{block}.{n}\n    }}\n")
                })
                .collect();
            let head = format!("virtual v{block} {{\n    active = 0\n    address = 10.0.1.{block} v0:2\n");
            file += &[head, servers.concat(), "}\n".to_owned()].concat();
        }
        site.master.write("run/lvs.cf", &file);
        partner.set_nonblocking(true).unwrap();
        let (worker, before) = (site.master.worker().unwrap(), site.master.hangups());
        let (mut datagram, mut beats) = ([0; 512], 0);
        while partner.recv(&mut datagram).is_ok() {}
        let since = Instant::now();
        site.master.kill(&[worker], "HUP");
        wait_until("lvsd is told of the file that was read", || {
            while partner.recv(&mut datagram).is_ok() {
                beats += 1;
            }
            site.master.hangups() > before
        });
        assert!(beats > 4, "{beats} heartbeats in {:?}", since.elapsed());
        assert_eq!(site.master.count("the old configuration stays"), 0);
    });
}

#[test]
fn a_path_whose_loss_does_not_matter_is_named_and_so_is_its_return() {
    inside("pair::a_path_whose_loss_does_not_matter_is_named_and_so_is_its_return", |_| {
        let site = Site::new(&format!("{QUICK}heartbeat_path = 10.7.0.1 10.7.0.2\n"));
        for (host, address) in [(&site.master, "10.7.0.1/24"), (&site.backup, "10.7.0.2/24")] {
            host.ip(&format!("addr add {address} dev v0"));
        }
        site.boot();
        site.wait_for(&site.master);
        site.master.ip("addr del 10.7.0.1/24 dev v0");
        for host in [&site.master, &site.backup] {
            host.wait_for_line("10.7.0.1-10.7.0.2 heartbeat path: nothing heard");
        }
        // the address comes back, and nobody does anything about it
        site.master.ip("addr add 10.7.0.1/24 dev v0");
        for host in [&site.master, &site.backup] {
            host.wait_for_line("10.7.0.1-10.7.0.2 heartbeat path: heard again");
        }
        assert_eq!((site.master.count("activating"), site.backup.count("activating")), (1, 0));
    });
}

#[test]
fn a_key_keeps_everybody_else_out_and_is_changed_without_a_takeover() {
    inside("pair::a_key_keeps_everybody_else_out_and_is_changed_without_a_takeover", |_| {
        let site = Site::new(&format!("{QUICK}heartbeat_key_file = /run/key\n"));
        let both = [&site.master, &site.backup];
        for host in both {
            host.secret("1 the first secret of both\n", 0o640);
        }
        let (status, error) = site.master.run(&[]);
        assert_eq!(status, 78, "{error}");
        let sentence = "pulse: heartbeat_key_file /run/key: others than its owner have rights to it: chmod 600\n";
        assert!(error.ends_with(sentence), "{error}");
        for host in both {
            host.secret("1 the first secret of both\n", 0o600);
        }
        site.boot();
        site.wait_for(&site.master);
        // whoever has no key cannot make the backup believe that nobody is active,
        // nor the master that somebody else is
        let outsider = site.master.socket("10.0.0.1:0");
        let forged: Vec<_> = (0..2000).map(|n| outsider.send_to([&STOPPED, &RUNNING][n % 2], "10.0.0.2:539")).collect();
        assert!(forged.iter().any(Result::is_ok));
        site.backup.wait_for_line("without a valid MAC");
        for (host, text) in [
            (both[0], "1 the first secret of both\n2 the second secret of both\n"),
            (both[1], "1 the first secret of both\n2 the second secret of both\n"),
            (both[0], "2 the second secret of both\n1 the first secret of both\n"),
            (both[1], "2 the second secret of both\n"),
            (both[0], "2 the second secret of both\n"),
        ] {
            host.secret(text, 0o600);
            let hangups = host.hangups();
            host.kill(&[host.guardian()], "HUP");
            wait_until("lvsd was told", || host.hangups() > hangups);
        }
        a_while();
        assert!(site.master.has_vip() && !site.backup.has_vip());
        assert_eq!((site.master.count("activating"), site.backup.count("activating")), (1, 0));
        // a key that nobody else has, and a key file that cannot be used
        site.backup.secret("nonsense\n", 0o600);
        site.backup.kill(&[site.backup.guardian()], "HUP");
        site.backup.wait_for_line("heartbeat_key_file /run/key: line 1 is not a number (0 to 255) and a secret");
        site.backup.wait_for_line("the old configuration stays in force");
        a_while();
        assert_eq!(site.backup.count("activating"), 0);
        // who is killed and comes back to it believes nobody, and is not believed; but
        // each sees that the other one announces
        site.master.secret("nonsense\n", 0o600);
        site.master.kill(&[site.master.worker().unwrap()], "KILL");
        site.master.wait_for_line("going on without the keys in /run/key");
        site.master.wait_for_line("partner did not take over: lvs stays active");
        site.backup.wait_for_line("partner active and not heard: deactivating LVS");
        site.wait_for(&site.master);
    });
}

#[test]
fn strangers_floods_and_odd_bytes_change_nothing_and_are_summed_up() {
    inside("pair::strangers_floods_and_odd_bytes_change_nothing_and_are_summed_up", |_| {
        let site = Site::new(QUICK);
        site.boot();
        site.wait_for(&site.master);
        site.backup.ip("addr add 10.0.0.66/24 dev v0");
        let (stranger, partner) = (site.backup.socket("10.0.0.66:0"), site.backup.socket("10.0.0.2:0"));
        let stop_me = [0xda, 0xda, 0xad, 0xde];
        let since = Instant::now();
        let mut sent = 0_u32;
        while since.elapsed() < Duration::from_secs(6) {
            for bytes in [&RUNNING[..], &STOPPED, &stop_me, &[0; 3], &[7; 600], &[0xff; 1400], b""] {
                sent += u32::from(stranger.send_to(bytes, "10.0.0.1:539").is_ok());
                sent += u32::from(partner.send_to(&bytes[..bytes.len().min(3)], "10.0.0.1:539").is_ok());
                sent += u32::from(partner.send_to(&stop_me, "10.0.0.1:539").is_ok());
            }
        }
        assert!(sent > 1000, "{sent}");
        site.master.wait_for_line("from strangers");
        assert_eq!(site.master.count("heartbeats dropped"), 1);
        assert!(site.master.has_vip() && !site.backup.has_vip());
        assert_eq!((site.master.count("activating"), site.backup.count("activating")), (1, 0));
    });
}

#[test]
fn files_that_have_drifted_apart_are_named_once_and_so_is_their_agreement() {
    inside("pair::files_that_have_drifted_apart_are_named_once_and_so_is_their_agreement", |_| {
        let site = Site::new(QUICK);
        site.backup.file(&format!("{QUICK}tcp_timeout = 900\n"));
        site.boot();
        for host in [&site.master, &site.backup] {
            host.wait_for_line("partner has another configuration: copy lvs.cf and reload");
        }
        site.backup.file(QUICK);
        site.backup.kill(&[site.backup.guardian()], "HUP");
        for host in [&site.master, &site.backup] {
            host.wait_for_line("partner has our configuration again");
            assert_eq!(host.count("another configuration"), 1);
        }
    });
}

#[test]
fn the_master_takes_the_vips_back_when_it_is_asked_to() {
    inside("pair::the_master_takes_the_vips_back_when_it_is_asked_to", |_| {
        let site = Site::new("keepalive = 0.2\ndeadtime = 2\nauto_failback = 3\n");
        site.backup.start();
        wait_until("the backup serves", || site.backup.has_vip());
        let since = Instant::now();
        site.master.start();
        site.wait_for(&site.master);
        assert!(since.elapsed() > Duration::from_secs(2), "{:?}", since.elapsed());
        site.backup.wait_for_line("partner asks for it: deactivating LVS");
        a_while();
        assert!(site.master.has_vip() && !site.backup.has_vip());
    });
}

#[test]
fn an_operator_moves_the_vips_and_keeps_a_director_out_of_it() {
    inside("pair::an_operator_moves_the_vips_and_keeps_a_director_out_of_it", |_| {
        let site = Site::new(QUICK);
        let (master, backup) = (&site.master, &site.backup);
        assert_eq!(master.run(&["--status"]), (71, "pulse: not running\n".to_owned()));
        master.start();
        backup.start();
        site.wait_for(master);
        // the backup may not have been heard yet
        for line in ["partner: standby", "Primary heartbeat path: heard "] {
            wait_until(line, || master.ask("--status").unwrap().contains(line));
        }
        let status = master.ask("--status").unwrap();
        for line in ["role: MASTER", "state: active", "fit: yes", "lvsd: ready, process "] {
            assert!(status.contains(line), "{status}");
        }

        // by who has them, and by who wants them; when the command returns it is done
        assert_eq!(master.ask("--relocate").unwrap(), "the roles change\n");
        site.wait_for(backup);
        // it is refused until either has heard of the other's new role
        wait_until("the way back", || master.ask("--relocate").is_ok_and(|text| text == "the roles change\n"));
        site.wait_for(master);

        assert_eq!(master.ask("--release").unwrap(), "released: standby until --restore\n");
        site.wait_for(backup);
        assert!(master.ask("--status").unwrap().contains("fit: no, released by hand\n"));
        let refused = "pulse: not relocating: the partner cannot take over\n";
        assert_eq!(backup.ask("--relocate").unwrap_err(), refused);
        // a pulse that is killed meanwhile does not forget it
        let worker = master.worker().unwrap();
        master.kill(&[worker], "KILL");
        wait_until("another pulse", || master.worker().is_some_and(|now| now != worker));
        wait_until("it is released", || master.ask("--status").is_ok_and(|text| text.contains("released by hand")));
        backup.stop();
        a_while();
        assert!(!master.has_vip(), "released is released");
        assert_eq!(master.ask("--restore").unwrap(), "restored: it takes part again\n");
        wait_until("the master serves", || master.has_vip());
        assert_eq!(master.ask("--relocate").unwrap_err(), refused);
        master.stop();
    });
}

#[test]
fn a_director_whose_lvsd_keeps_dying_hands_over() {
    inside("pair::a_director_whose_lvsd_keeps_dying_hands_over", |_| {
        let site = Site::new("keepalive = 0.2\ndeadtime = 60\n");
        site.master.start();
        site.backup.start();
        site.wait_for(&site.master);
        let lvsd = site.master.lvsd().unwrap();
        site.master.kill(&[lvsd], "KILL");
        wait_until("another lvsd", || site.master.lvsd().is_some_and(|now| now != lvsd));
        assert_eq!(site.master.count("deactivating"), 0, "one death moves nothing");
        site.master.lvsd_dies();
        site.master.kill(&[site.master.lvsd().unwrap()], "KILL");
        site.master.wait_for_line("lvsd cannot serve: deactivating LVS");
        site.wait_for(&site.backup);
        assert!(site.master.ask("--status").unwrap().contains("fit: no, lvsd cannot serve"));
        site.backup.wait_for_line("activating lvs");
    });
}
