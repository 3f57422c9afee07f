//! pulse as real processes, each test in namespaces of its own: its network, its
//! mounts, its processes. lvsd is a stand-in that speaks on its line as lvsd does,
//! so no IPVS is needed; the whole suite on a real kernel is shown by the lab.

// What a test may do and a daemon may not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unused_self,
    unreachable_pub
)]

mod fos;
mod ground;
#[path = "../held.rs"]
mod held;
mod hung;
mod pair;
mod realtime;
mod segment;
mod stand_in;
mod syslog;

use std::time::{Duration, Instant};

use ground::{Ground, inside, wait_until};

#[test]
fn a_start_is_over_when_lvsd_runs_and_the_addresses_follow_it() {
    inside("a_start_is_over_when_lvsd_runs_and_the_addresses_follow_it", |ground| {
        let frames = ground.capture();
        ground.start();
        assert!(ground.guardian() > 0, "the pid file is there when the command returns");
        ground.wait_for_vip("10.0.0.9/24");
        let shown = ground.ip("-4 -o addr show dev v0");
        assert!(shown.contains("inet 10.0.0.9/24 brd 10.0.0.255 scope global secondary v0:1"), "{shown}");
        ground.wait_for_line("gratuitous lvs arps finished");
        ground.assert_order(&[
            "STARTING PULSE AS MASTER",
            "no partner configured: activating lvs",
            "gratuitous lvs arps",
        ]);
        assert_eq!(ground.lvsd_arguments(), "--nofork -c /run/lvs.cf --log-facility=local3");
        let mac = ground.mac("v0");
        let reply = pulse::arp::gratuitous(pulse::arp::Form::Reply, mac, [10, 0, 0, 9].into());
        let request = pulse::arp::gratuitous(pulse::arp::Form::Request, mac, [10, 0, 0, 9].into());
        let seen = frames.seen();
        for frame in [reply, request] {
            assert_eq!(seen.iter().filter(|it| **it == frame).count(), 5, "each form five times");
        }
    });
}

#[test]
fn a_stop_leaves_the_interface_as_it_was() {
    inside("a_stop_leaves_the_interface_as_it_was", |ground| {
        // 10.0.0.9 becomes the first of its network, 10.0.5.2 hangs on a VIP, and
        // the kernel would take it along
        ground.file("virtual b {\n active = 1\n address = 10.0.5.9 v0:2\n vip_nmask = 255.255.255.0\n}\n");
        ground.start();
        ground.wait_for_vip("10.0.5.9/24");
        std::fs::write("/proc/sys/net/ipv4/conf/v0/promote_secondaries", "0").unwrap();
        ground.ip("addr add 10.0.5.2/24 dev v0");
        ground.stop();
        let left = ground.ip("-4 -o addr show dev v0");
        assert!(left.contains("10.0.0.1/24") && left.contains("10.0.5.2/24"), "others stay: {left}");
        assert!(!left.contains("10.0.0.9") && !left.contains("10.0.5.9"), "ours are gone: {left}");
        assert!(left.lines().count() == 2, "{left}");
        ground.assert_order(&["Terminating due to signal 15", "the kernel removed 10.0.5.2 together with 10.0.5.9"]);
        assert!(!std::path::Path::new("/run/pulse.pid").exists());
        assert!(!std::path::Path::new("/run/piranha-ng/pulse.ledger").exists());
        assert_eq!(ground.processes(), Vec::<String>::new());
        wait_until("inactive_cmd has run", || ground.commands() == "active\ninactive\n");
    });
}

#[test]
fn an_address_that_was_there_before_is_used_and_stays() {
    inside("an_address_that_was_there_before_is_used_and_stays", |ground| {
        ground.ip("addr add 10.0.0.9/32 dev v0");
        ground.start();
        ground.wait_for_line("virtual IP 10.0.0.9 was on v0 before: using it, it will not be removed");
        ground.wait_for_line("gratuitous lvs arps finished");
        ground.stop();
        assert!(ground.ip("-4 -o addr show dev v0").contains("10.0.0.9/32"));
    });
}

#[test]
fn killing_any_one_process_takes_no_address_away_and_all_are_back() {
    inside("killing_any_one_process_takes_no_address_away_and_all_are_back", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        ground.wait_for_line("gratuitous lvs arps finished");
        wait_until("active_cmd ran", || ground.commands() == "active\n");
        let mut monitor = ground.monitor();
        let (guardian, worker, lvsd) = (ground.guardian(), ground.worker(), ground.lvsd());

        ground.kill(worker, "KILL");
        ground.wait_for_line(&format!("Child process {worker} terminated with signal 9"));
        wait_until("another pulse", || ground.worker_if_any().is_some_and(|now| now != worker));
        ground.wait_for_line(&format!("lvsd is running as process {lvsd}: carrying on with it"));
        assert_eq!(ground.guardian(), guardian);
        assert_eq!(ground.lvsd(), lvsd);

        let worker = ground.worker();
        ground.kill(guardian, "KILL");
        wait_until("another guardian in the pid file", || ground.guardian_if_any().is_some_and(|now| now != guardian));
        assert_eq!(ground.worker(), worker, "the pulse that works went on");

        // the new guardian keeps a pulse it did not start
        ground.kill(worker, "KILL");
        wait_until("another pulse", || ground.worker_if_any().is_some_and(|now| now != worker));

        // and the new pulse an lvsd it did not start
        wait_until("lvsd adopted", || ground.count_lines("lvsd is running as process") >= 2);
        ground.kill(lvsd, "KILL");
        wait_until("another lvsd", || ground.lvsd_if_any().is_some_and(|now| now != lvsd));
        ground.wait_for_line(&format!("Child process {lvsd} is gone"));
        let second = ground.lvsd();
        ground.wait_for_line("gratuitous lvs arps finished");
        ground.kill(second, "KILL");
        ground.wait_for_line(&format!("Child process {second} terminated with signal 9"));
        wait_until("a third lvsd", || ground.lvsd_if_any().is_some_and(|now| now != second));

        assert_eq!(monitor.gone(), Vec::<String>::new(), "no address ever left");
        assert_eq!(ground.commands(), "active\n", "active_cmd is not run again");
        ground.stop();
        assert_eq!(ground.processes(), Vec::<String>::new());
        assert_eq!(monitor.gone(), ["10.0.0.9"]);
    });
}

#[test]
fn when_both_are_killed_the_next_start_adopts_what_they_left() {
    inside("when_both_are_killed_the_next_start_adopts_what_they_left", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let (mut monitor, lvsd) = (ground.monitor(), ground.lvsd());
        ground.kill_both([ground.guardian(), ground.worker()]);
        ground.start();
        ground.wait_for_line("lvs was active already: carrying on");
        assert_eq!(ground.lvsd(), lvsd);
        assert_eq!(monitor.gone(), Vec::<String>::new());
        ground.stop();
        assert_eq!(ground.processes(), Vec::<String>::new());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"));
    });
}

#[test]
fn nothing_a_careless_caller_leaves_open_or_blocked_is_kept() {
    inside("nothing_a_careless_caller_leaves_open_or_blocked_is_kept", |ground| {
        use std::os::unix::fs::PermissionsExt as _;
        ground.start_carelessly();
        ground.wait_for_vip("10.0.0.9/24");
        for pid in [ground.guardian(), ground.worker(), ground.lvsd()] {
            let open = ground.descriptors(pid);
            assert!(open.iter().all(|file| file != "/run/left-open"), "{pid}: {open:?}");
            assert_eq!(ground.blocked(pid), "0000000000000000", "{pid}");
        }
        // what is made from here on, by scripts too, is not everybody's to write
        wait_until("active_cmd ran", || ground.commands() == "active\n");
        let mode = std::fs::metadata("/run/commands").unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        ground.stop();
    });
}

#[test]
fn a_start_during_a_stop_waits_for_its_end_and_then_starts() {
    inside("a_start_during_a_stop_waits_for_its_end_and_then_starts", |ground| {
        ground.lvsd_is_slow_to_stop();
        ground.commands_take(Duration::from_secs(1));
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let guardian = ground.guardian();
        // killproc: TERM, and KILL to the pid in the file when it takes too long
        ground.kill(guardian, "TERM");
        wait_until("the stop is under way", || ground.count_lines("Terminating due to signal 15") == 1);
        ground.kill(guardian, "KILL");
        // inactive_cmd takes its time, too
        ground.lvsd_may_stop();
        ground.start();
        assert_eq!(ground.count_lines("STARTING PULSE AS MASTER"), 2, "the command returned before its pulse was up");
        ground.wait_for_vip("10.0.0.9/24");
        assert!(ground.worker_if_any().is_some());
        // each waited for the one before, also that of the pulse that was stopped
        wait_until("active_cmd ran again", || ground.commands() == "active\ninactive\nactive\n");
        ground.stop();
        assert_eq!(ground.commands(), "active\ninactive\nactive\ninactive\n", "the stop waited for it");
    });
}

#[test]
fn a_stop_waits_for_a_command_that_hangs_but_not_for_ever() {
    inside("a_stop_waits_for_a_command_that_hangs_but_not_for_ever", |ground| {
        ground.commands_take(Duration::from_secs(1234));
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let since = Instant::now();
        ground.stop();
        assert!(since.elapsed() > Duration::from_secs(8), "active_cmd ran all the time");
        // it went on, and so does the one that nobody waits for any more
        wait_until("both run", || ground.sleepers() == 2);
        assert_eq!(ground.commands(), "");
    });
}

#[test]
fn a_stdout_that_nobody_reads_stops_nothing() {
    inside("a_stdout_that_nobody_reads_stops_nothing", |ground| {
        let (mut pulse, _never_read) = ground.foreground_unread();
        ground.wait_for_vip("10.0.0.9/24");
        ground.ip("addr del 10.0.0.9/24 dev v0");
        ground.wait_for_vip("10.0.0.9/24");
        ground.kill(pulse.id(), "TERM");
        wait_until("pulse has ended", || pulse.try_wait().unwrap().is_some());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"));
    });
}

#[test]
fn a_name_server_that_does_not_answer_stops_neither_the_loop_nor_the_start() {
    inside("a_name_server_that_does_not_answer_stops_neither_the_loop_nor_the_start", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let worker = ground.worker();
        let server = ground.name_server();
        ground.file("virtual b {\n active = 1\n address = vip.example v0:2\n vip_nmask = 255.255.255.0\n}\n");
        ground.kill(ground.guardian(), "HUP");
        let mut question = [0; 512];
        server.peek_from(&mut question).unwrap();
        ground.ip("addr del 10.0.0.9/24 dev v0");
        ground.wait_for_vip("10.0.0.9/24");
        assert_eq!(ground.hangups(), 0, "the file is not read yet");
        let vip_is_up = || ground.ip("-4 -o addr show dev v0").contains("10.0.0.77/24");
        ground.answer_with(&server, [10, 0, 0, 77], vip_is_up);
        wait_until("lvsd was told", || ground.hangups() == 1);
        assert_eq!(ground.worker(), worker);
        assert_eq!(ground.count_lines("Skipping death of unknown child"), 0);

        // a killed pulse comes back to the same silence, and is not taken for frozen
        ground.kill(worker, "KILL");
        wait_until("another pulse", || ground.worker_if_any().is_some_and(|pid| pid != worker));
        let second = ground.worker();
        wait_until("it gave up the names and carries on", || ground.count_lines("the old configuration stays") > 0);
        assert_eq!(ground.worker(), second, "it was replaced while it waited");
        assert_eq!(ground.count_lines("has been silent"), 0);
        assert!(vip_is_up());
        ground.stop();
    });
}

#[test]
fn a_term_to_the_worker_stops_both_and_a_kill_of_the_guardian_does_not_undo_it() {
    inside("a_term_to_the_worker_stops_both_and_a_kill_of_the_guardian_does_not_undo_it", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        ground.kill(ground.worker(), "TERM");
        wait_until("everything has ended", || ground.processes().is_empty());
        assert!(!std::path::Path::new("/run/pulse.pid").exists());

        // killproc: TERM, and KILL to the pid in the file when it takes too long
        ground.lvsd_is_slow_to_stop();
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let guardian = ground.guardian();
        ground.kill(guardian, "TERM");
        wait_until("the stop is under way", || ground.count_lines("Terminating due to signal 15") == 2);
        ground.kill(guardian, "KILL");
        ground.lvsd_may_stop();
        wait_until("everything has ended", || ground.processes().is_empty());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"));
        assert!(!std::path::Path::new("/run/pulse.pid").exists());
    });
}

#[test]
fn a_pulse_that_is_killed_over_its_stop_leaves_nothing_behind_either() {
    inside("a_pulse_that_is_killed_over_its_stop_leaves_nothing_behind_either", |ground| {
        ground.lvsd_is_slow_to_stop();
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let (guardian, worker) = (ground.guardian(), ground.worker());
        // the addresses cannot go while it is stopped
        ground.kill(worker, "STOP");
        ground.kill(guardian, "TERM");
        ground.kill(worker, "KILL");
        ground.lvsd_may_stop();
        wait_until("everything has ended", || ground.processes().is_empty());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"));
        assert!(!std::path::Path::new("/run/pulse.pid").exists());
        assert!(!std::path::Path::new("/run/piranha-ng/pulse.ledger").exists());
    });
}

#[test]
fn frozen_processes_are_killed_and_replaced() {
    inside("frozen_processes_are_killed_and_replaced", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let mut monitor = ground.monitor();
        let lvsd = ground.lvsd();
        ground.kill(lvsd, "STOP");
        ground
            .wait_for_line(&format!("lvsd (process {lvsd}) has been silent for 10 s: killing it and starting another"));
        wait_until("another lvsd", || ground.lvsd_if_any().is_some_and(|now| now != lvsd));
        let worker = ground.worker();
        ground.kill(worker, "STOP");
        ground.wait_for_line(&format!(
            "pulse (process {worker}) has been silent for 10 s: killing it and starting another"
        ));
        wait_until("another pulse", || ground.worker_if_any().is_some_and(|now| now != worker));
        assert_eq!(monitor.gone(), Vec::<String>::new());
        ground.stop();
    });
}

#[test]
fn an_address_somebody_removed_comes_back_and_is_announced_again() {
    inside("an_address_somebody_removed_comes_back_and_is_announced_again", |ground| {
        ground.start();
        ground.wait_for_line("gratuitous lvs arps finished");
        let frames = ground.capture();
        ground.ip("addr del 10.0.0.9/24 dev v0");
        ground.wait_for_line("virtual IP 10.0.0.9 was removed from v0 by somebody else: putting it back");
        ground.wait_for_vip("10.0.0.9/24");
        wait_until("it is announced again", || frames.seen().len() >= 2);
        ground.stop();
    });
}

#[test]
fn a_device_that_comes_late_gets_its_address_and_nobody_waits_for_it() {
    inside("a_device_that_comes_late_gets_its_address_and_nobody_waits_for_it", |ground| {
        std::fs::write("/run/told", "#!/bin/sh\necho \"$1 $2 $6\" >> /run/events\n").unwrap();
        std::fs::set_permissions("/run/told", std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        ground.file(
            "virtual b {\n active = 1\n address = 10.7.0.9 late0:1\n vip_nmask = 255.255.255.0\n}\nnotify = /run/told\n",
        );
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        ground.wait_for_line("virtual IP 10.7.0.9 is not up: there is no device late0, waiting for it");
        ground.ip("link add late0 type veth peer name late1");
        wait_until("the address is up", || ground.ip("-4 -o addr show dev late0").contains("10.7.0.9/24"));
        ground.wait_for_line("virtual IP 10.7.0.9 is on late0, which is down: nobody will reach it there");
        assert!(!ground.ip("-o link show dev late0").contains(",UP"), "no interface is brought up");
        let frames = ground.capture_on("late1");
        ground.ip("link set late1 up");
        ground.ip("link set late0 up");
        wait_until("it is announced when its device has a carrier", || frames.seen().len() >= 2);
        assert_eq!(ground.count_lines("waiting for it"), 1, "one line per change of state");
        let events = || std::fs::read_to_string("/run/events").unwrap_or_default();
        wait_until("it was told", || events() == "state active \nvip lost 10.7.0.9\nvip back 10.7.0.9\n");
        ground.stop();
    });
}

/// More happens to interfaces than the kernel keeps for us: it says so once, and what
/// it still had is older than what it lost.
#[test]
fn a_carrier_whose_return_was_lost_among_other_news_is_announced_on() {
    inside("a_carrier_whose_return_was_lost_among_other_news_is_announced_on", |ground| {
        ground.ip("link add other type veth peer name end");
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        ground.wait_for_line("gratuitous lvs arps finished");
        let worker = ground.worker();
        std::fs::write("/run/batch", "link set other mtu 1400\nlink set other mtu 1500\n".repeat(2000)).unwrap();
        // The kernel takes its time to tell of a carrier.
        let pull = || {
            let mut told = ground.monitor();
            ground.ip("link set v1 down");
            told.wait_for_carrier("v0", false);
        };
        for is_loss_heard in [true, false] {
            if is_loss_heard {
                pull();
            }
            ground.kill(worker, "STOP");
            ground.ip("-batch /run/batch");
            if !is_loss_heard {
                pull();
            }
            let mut told = ground.monitor();
            ground.ip("link set v1 up");
            told.wait_for_carrier("v0", true);
            let frames = ground.capture();
            ground.kill(worker, "CONT");
            wait_until("it is announced", || frames.seen().len() >= 2);
            // five times in all
            wait_until("it is announced to the end", || frames.seen().len() >= 5);
        }
        assert_eq!(ground.worker(), worker);
        ground.stop();
    });
}

#[test]
fn a_reload_changes_what_the_file_changed_and_a_bad_file_changes_nothing() {
    inside("a_reload_changes_what_the_file_changed_and_a_bad_file_changes_nothing", |ground| {
        ground.file("virtual b {\n active = 1\n address = 10.0.5.9 v0:2\n vip_nmask = 255.255.255.0\n}\n");
        ground.start();
        ground.wait_for_vip("10.0.5.9/24");
        ground.wait_for_line("gratuitous lvs arps finished");
        let (worker, lvsd, mut monitor) = (ground.worker(), ground.lvsd(), ground.monitor());

        ground.break_file();
        ground.kill(ground.guardian(), "HUP");
        ground.wait_for_line("the old configuration stays in force");
        wait_until("lvsd was told", || ground.hangups() == 1);
        assert_eq!(monitor.gone(), Vec::<String>::new());

        // 10.0.0.9 gets another mask, 10.0.5.9 goes, 10.0.6.9 comes
        ground.whole_file(
            "virtual a {\n active = 1\n address = 10.0.0.9 v0:1\n vip_nmask = 255.255.255.255\n}\n\
             virtual c {\n active = 1\n address = 10.0.6.9 v0:3\n vip_nmask = 255.255.255.0\n}\n",
        );
        ground.kill(ground.guardian(), "HUP");
        ground.wait_for_vip("10.0.0.9/32");
        ground.wait_for_vip("10.0.6.9/24");
        wait_until("lvsd was told", || ground.hangups() == 2);
        for gone in ["10.0.0.9/24", "10.0.5.9/"] {
            wait_until("what went is gone", || !ground.ip("-4 -o addr show dev v0").contains(gone));
        }
        assert_eq!((ground.worker(), ground.lvsd()), (worker, lvsd));
        ground.stop();
        assert_eq!(ground.ip("-4 -o addr show dev v0").lines().count(), 1);
    });
}

#[test]
fn a_pulse_that_comes_back_to_a_broken_file_carries_on_and_can_be_stopped() {
    inside("a_pulse_that_comes_back_to_a_broken_file_carries_on_and_can_be_stopped", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let (mut monitor, lvsd, worker) = (ground.monitor(), ground.lvsd(), ground.worker());
        ground.break_file();
        ground.kill(worker, "KILL");
        ground.wait_for_line("the old configuration stays in force");
        ground.wait_for_line(&format!("lvsd is running as process {lvsd}: carrying on with it"));
        assert_eq!(monitor.gone(), Vec::<String>::new());
        ground.ip("addr del 10.0.0.9/24 dev v0");
        ground.wait_for_vip("10.0.0.9/24");
        ground.stop();
        assert_eq!(ground.processes(), Vec::<String>::new());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"));
    });
}

#[test]
fn an_lvsd_with_other_arguments_is_replaced_and_no_address_moves() {
    inside("an_lvsd_with_other_arguments_is_replaced_and_no_address_moves", |ground| {
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        let (mut monitor, lvsd) = (ground.monitor(), ground.lvsd());
        ground.kill_both([ground.guardian(), ground.worker()]);
        ground.start_with(&["-v"]);
        ground.wait_for_line(&format!("lvsd (process {lvsd}) runs with other arguments: replacing it"));
        wait_until("another lvsd", || ground.lvsd_if_any().is_some_and(|now| now != lvsd));
        assert_eq!(ground.lvsd_arguments(), "--nofork -c /run/lvs.cf -v --log-facility=local3");
        assert_eq!(monitor.gone(), Vec::<String>::new());
        ground.stop();
    });
}

#[test]
fn a_slow_lvsd_delays_the_addresses_and_a_silent_start_does_not_hold_them_for_ever() {
    inside("a_slow_lvsd_delays_the_addresses_and_a_silent_start_does_not_hold_them_for_ever", |ground| {
        ground.lvsd_is_never_ready();
        ground.start();
        wait_until("lvsd runs", || ground.lvsd_if_any().is_some());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"), "not before lvsd is ready");
        ground.wait_for_line("lvsd is not ready after 10 s: raising the virtual IPs without waiting on");
        ground.wait_for_vip("10.0.0.9/24");
        ground.stop();
    });
}

#[test]
fn in_the_foreground_it_speaks_on_stdout_and_needs_no_guardian() {
    inside("in_the_foreground_it_speaks_on_stdout_and_needs_no_guardian", |ground| {
        let mut pulse = ground.foreground();
        ground.wait_for_vip("10.0.0.9/24");
        let pid = ground.guardian();
        assert_eq!(pid, pulse.id(), "the pid file names pulse itself");
        let (status, _, error) = ground.run(&["-n"]);
        assert_eq!((status, error.as_str()), (71, format!("pulse: already running as process {pid}\n").as_str()));
        ground.kill(pid, "INT");
        let status = pulse.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        let text = ground.foreground_output();
        assert!(text.lines().all(|line| line.starts_with("pulse: ")), "{text}");
        assert!(text.contains("pulse: STARTING PULSE AS MASTER\n"), "{text}");
        assert!(text.contains("pulse: Terminating due to signal 2\n"), "{text}");
        assert_eq!(ground.lvsd_arguments(), "--nodaemon -c /run/lvs.cf --log-facility=local3");
        assert_eq!(ground.count_lines(""), 0, "nothing goes to syslog");
        assert!(!std::path::Path::new("/run/pulse.pid").exists());
    });
}

#[test]
fn a_rehearsal_prints_what_it_would_do_and_does_nothing() {
    inside("a_rehearsal_prints_what_it_would_do_and_does_nothing", |ground| {
        let before = ground.ip("-4 -o addr show"); // IPv6 settles by itself
        let (status, output, _) = ground.run(&["--test-start"]);
        assert_eq!(status, 0);
        for line in [
            "pulse: STARTING PULSE AS MASTER\n",
            "pulse: would execute '/run/lvsd --nofork -c /run/lvs.cf --log-facility=local3'\n",
            "pulse: would add 10.0.0.9/24 to v0 as v0:1 and announce it\n",
        ] {
            assert!(output.contains(line), "{output}");
        }
        assert_eq!(ground.ip("-4 -o addr show"), before);
        assert_eq!(ground.processes(), Vec::<String>::new());
        assert!(!std::path::Path::new("/run/piranha-ng").exists());
        assert_eq!(ground.commands(), "");
    });
}

#[test]
fn a_start_that_fails_says_so_before_the_command_returns() {
    inside("a_start_that_fails_says_so_before_the_command_returns", refusals);
}

fn refusals(ground: &mut Ground) {
    let refused = |ground: &Ground, status: i32, sentence: &str| {
        for mode in [&[][..], &["-n"]] {
            let (code, _, error) = ground.run(mode);
            assert_eq!(code, status, "{sentence}: {error}");
            assert!(error.lines().any(|line| line.starts_with(sentence)), "{sentence}: {error}");
        }
        wait_until("all have ended", || ground.processes().is_empty());
        assert!(!ground.ip("-4 -o addr show dev v0").contains("10.0.0.9"), "{sentence}");
        assert!(!std::path::Path::new("/run/pulse.pid").exists(), "{sentence}");
        assert!(!std::path::Path::new("/run/piranha-ng/pulse").exists(), "{sentence}");
    };
    std::fs::rename("/run/lvs.cf", "/run/away").unwrap();
    refused(ground, 78, "pulse: failed to open /run/lvs.cf");
    assert_eq!(ground.run_by_a_careless_parent().0, 78);
    std::fs::rename("/run/away", "/run/lvs.cf").unwrap();
    let good = std::fs::read_to_string("/run/lvs.cf").unwrap();

    std::fs::write("/run/lvs.cf", format!("{good}nonsense = 1\n")).unwrap();
    refused(ground, 78, &format!("pulse: error parsing /run/lvs.cf at line {}: ", good.lines().count() + 1));
    std::fs::write("/run/lvs.cf", good.replace("active = 1", "active = 0")).unwrap();
    refused(ground, 78, "pulse: no active lvs services defined in /run/lvs.cf");
    std::fs::write("/run/lvs.cf", format!("service = fos\n{}", good.replace("service = lvs\n", ""))).unwrap();
    refused(ground, 78, "pulse: no active fos services defined in /run/lvs.cf");
    std::fs::write("/run/lvs.cf", good.replace("primary = 10.0.0.1", "primary = 10.0.0.77")).unwrap();
    refused(ground, 78, "pulse: this host has neither the address of primary (10.0.0.77) nor that of backup");
    ground.wait_for_line("We are backup node and backup is marked inactive -- exiting pulse");
    std::fs::write("/run/lvs.cf", good.replace("primary = 10.0.0.1", "primary = 10.0.0.77\nbackup = 10.0.0.1"))
        .unwrap();
    refused(ground, 78, "pulse: We are backup node and backup is marked inactive -- exiting pulse");
    let pair =
        good.replace("backup_active = 0", "backup_active = 1\nbackup = 10.0.0.1").replace("primary = 10.0.0.1\n", "");
    std::fs::write("/run/lvs.cf", pair).unwrap();
    refused(ground, 78, "pulse: backup_active = 1 in /run/lvs.cf, but primary is not set: ");
    std::fs::write("/run/lvs.cf", &good).unwrap();

    std::fs::rename("/run/lvsd", "/run/lvsd.away").unwrap();
    refused(ground, 71, "pulse: cannot start /run/lvsd: No such file or directory");
    std::fs::rename("/run/lvsd.away", "/run/lvsd").unwrap();

    for mode in [&[][..], &["-n"]] {
        let (status, _, error) = ground.run_as_nobody(mode);
        assert_eq!((status, error.as_str()), (77, "pulse: cannot create ARP socket. running as root?\n"));
    }

    ground.start();
    let pid = ground.guardian();
    let (status, _, error) = ground.run(&[]);
    assert_eq!((status, error.as_str()), (71, format!("pulse: already running as process {pid}\n").as_str()));
    ground.wait_for_vip("10.0.0.9/24");
    ground.stop();
}

#[test]
fn a_syslog_that_is_away_costs_nothing() {
    inside("a_syslog_that_is_away_costs_nothing", |ground| {
        ground.syslog_away();
        ground.start();
        ground.wait_for_vip("10.0.0.9/24");
        ground.syslog_back();
        ground.wait_for_line("STARTING PULSE AS MASTER");
        ground.stop();
    });
}

/// Not a test: what the tests start in the place of lvsd.
#[test]
#[ignore = "the lvsd that the other tests start, not a test"]
fn lvsd_stand_in() {
    stand_in::run(Duration::from_millis(500));
}
