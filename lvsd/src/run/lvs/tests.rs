//! The loop with real processes over a table in memory. The nanny is a script that
//! never speaks, as a `client_monitor` of an operator's own may be; ours is proved
//! against a real kernel in the lab. One test at a time: waitpid takes any child.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::MutexGuard;

use mio::Events;
use signal_hook::consts::signal::SIGTERM;

use common::channel::Line;
use common::child::Rules;
use common::ipvs::fake::Fake;
use common::ipvs::{Destination, DestinationKey, ForwardingMethod, Operation, Protocol, Service};
use common::log::Log;

use super::*;
use crate::hands;
use crate::hosts::Hosts;
use crate::ledger::{Ledger, LedgerFile};
use crate::nanny_command::Manner;
use crate::run::End;
use crate::run::tests::{one_at_a_time, starter};

/// Generous: a condition that does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    daemon: Daemon<Virtuals<Fake>>,
    events: RefCell<Events>,
    table: Fake,
    dir: tempfile::TempDir,
    ended: Option<End>,
    _one: MutexGuard<'static, ()>,
}

fn key(last: u8) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, last].into(), port: 80 }
}

/// A virtual `v1`, `v2`, ... with servers 10.0.0.N, all watched by the script.
fn file(dir: &Path, virtuals: &[(u8, &str, &[u8])]) -> String {
    let script = dir.join("watch").display().to_string();
    let mut text = String::new();
    for (last, keys, servers) in virtuals {
        writeln!(text, "virtual v{last} {{\n active = 1\n address = 192.0.2.{last} eth0:{last}\n{keys}").unwrap();
        writeln!(text, " client_monitor = {script}").unwrap();
        for server in *servers {
            writeln!(text, " server s{server} {{\n address = 10.0.0.{server}\n active = 1\n }}").unwrap();
        }
        text += "}\n";
    }
    text
}

impl Stage {
    fn start(virtuals: &[(u8, &str, &[u8])]) -> Self {
        let one = one_at_a_time();
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("watch");
        std::fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let table = Fake::default();
        let settings = Settings {
            file: dir.path().join("lvs.cf"),
            nanny: "/nonexistent/nanny".into(),
            manner: Manner::default(),
            rules: Rules::default(),
            starter: starter(),
            places: Some(dir.path().join("nanny")),
        };
        std::fs::write(&settings.file, file(dir.path(), virtuals)).unwrap();
        let hosts = Hosts::new(dir.path().join("hosts"));
        let (wanted, _) = file::read(&settings.file, &hosts, &settings.nanny, &settings.manner).unwrap();
        let services = Services::new(Ledger::default(), Some(LedgerFile::at(dir.path().join("ledger"), String::new())));
        let own = Virtuals::new(table.clone(), services);
        let mut daemon = Daemon::new(settings, hosts, Log::new(false), own, None, None).unwrap();
        daemon.start(wanted);
        let mut stage =
            Self { daemon, events: RefCell::new(Events::with_capacity(64)), table, dir, ended: None, _one: one };
        stage.until(|daemon| daemon.is_ready);
        stage
    }

    /// Lets the loop turn until the condition holds.
    fn until(&mut self, condition: impl Fn(&Daemon<Virtuals<Fake>>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.daemon) {
            assert!(Instant::now() < deadline, "the condition did not come");
            // The loop waits for its own deadlines; the test has an eye on the clock too.
            self.daemon.look_at = self.daemon.look_at.min(Instant::now() + Duration::from_millis(50));
            if let Some(end) = self.daemon.turn(&mut self.events.borrow_mut()).unwrap() {
                self.ended = Some(end);
                return;
            }
        }
    }

    fn pid(&self, service: u8, server: u8) -> Option<u32> {
        let destination = DestinationKey { address: [10, 0, 0, server].into(), port: 80 };
        self.daemon.nannies.pid(&Target { service: key(service), destination })
    }

    fn services(&self) -> BTreeSet<ServiceKey> {
        self.table.clone().services().unwrap().iter().map(|entry| entry.service.key).collect()
    }

    fn reload(&mut self, text: &str) {
        std::fs::write(self.dir.path().join("lvs.cf"), text).unwrap();
        self.daemon.reread(Instant::now());
        self.until(|daemon| daemon.own.reload.is_none());
    }

    fn stop(&mut self) {
        self.daemon.begin_stop(SIGTERM, Instant::now());
        self.until(|_| false);
        assert_eq!(self.ended, Some(End::Stopped));
    }
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn one_death_costs_nothing_and_a_stop_leaves_nothing() {
    let mut stage = Stage::start(&[(1, "", &[3, 4]), (2, "", &[3])]);
    stage.table.clone().add_service(&Service::new(key(7), "rr")).unwrap();
    let before = [stage.pid(1, 3), stage.pid(1, 4), stage.pid(2, 3)].map(Option::unwrap);
    assert!(before.iter().all(|pid| lives(*pid)));

    hands::signal(before[0], nix::sys::signal::Signal::SIGKILL);
    let target = Target { service: key(1), destination: DestinationKey { address: [10, 0, 0, 3].into(), port: 80 } };
    stage.until(|daemon| daemon.nannies.pid(&target).is_some_and(|pid| pid != before[0]));
    assert_eq!([stage.pid(1, 4), stage.pid(2, 3)], [Some(before[1]), Some(before[2])]);
    assert_eq!(stage.services(), BTreeSet::from([key(1), key(2), key(7)]));

    let last = [stage.pid(1, 3), stage.pid(1, 4), stage.pid(2, 3)].map(Option::unwrap);
    stage.stop();
    assert!(last.iter().all(|pid| !lives(*pid)));
    assert_eq!(stage.services(), BTreeSet::from([key(7)]), "a stranger's service still stands");
    assert!(!stage.dir.path().join("ledger").exists());
}

#[test]
fn what_somebody_deleted_or_added_by_hand_is_put_right() {
    let mut stage = Stage::start(&[(1, "", &[3])]);
    let mut hand = stage.table.clone();
    hand.delete_service(&key(1)).unwrap();
    stage.until(|_| hand.clone().service(&key(1)).unwrap().is_some());
    let foreign = DestinationKey { address: [10, 0, 0, 77].into(), port: 80 };
    hand.add_destination(&key(1), &Destination::new(foreign, ForwardingMethod::Masquerade, 1)).unwrap();
    stage.until(|_| hand.clone().destinations(&key(1)).unwrap().is_empty());
    stage.stop();
}

#[test]
fn a_reload_touches_what_changed_and_a_wrong_file_touches_nothing() {
    let mut stage = Stage::start(&[(1, "", &[3, 4]), (2, "", &[3])]);
    let (same, changed, removed) = (stage.pid(1, 3), stage.pid(1, 4).unwrap(), stage.pid(2, 3).unwrap());
    stage.reload("frobnicate = 1\n");
    assert_eq!([stage.pid(1, 3), stage.pid(1, 4), stage.pid(2, 3)], [same, Some(changed), Some(removed)]);

    let dir = stage.dir.path().to_owned();
    let text = file(&dir, &[(1, " scheduler = rr", &[3, 4]), (3, "", &[5])]);
    stage.reload(&text.replace("10.0.0.4\n", "10.0.0.4\n weight = 5\n"));
    stage.until(|daemon| daemon.own.services.find(&key(2)).is_none() && !daemon.nannies.busy().contains(&key(2)));
    let new = Target { service: key(1), destination: DestinationKey { address: [10, 0, 0, 4].into(), port: 80 } };
    stage.until(|daemon| daemon.nannies.pid(&new).is_some_and(|pid| pid != changed));
    let table = stage.table.clone();
    stage.until(|_| table.clone().service(&key(2)).unwrap().is_none());
    assert_eq!(stage.pid(1, 3), same, "what did not change keeps its process");
    assert!(!lives(changed) && !lives(removed));
    assert!(stage.pid(3, 5).is_some_and(lives));
    assert_eq!(table.clone().service(&key(1)).unwrap().unwrap().service.scheduler, "rr");
    stage.stop();
}

#[test]
fn making_room_for_another_leaves_everything() {
    let mut stage = Stage::start(&[(1, "", &[3])]);
    let pid = stage.pid(1, 3).unwrap();
    let (line, theirs) = Line::pair().unwrap();
    stage.daemon.parents.welcome(line, true, stage.daemon.poll.registry());
    let packet = common::channel::Ask::Release.encode();
    nix::sys::socket::send(theirs.as_raw_fd(), &packet, nix::sys::socket::MsgFlags::empty()).unwrap();
    stage.until(|_| false);
    assert_eq!(stage.ended, Some(End::Released));
    assert!(lives(pid) && stage.services() == BTreeSet::from([key(1)]));
    assert!(stage.dir.path().join("ledger").exists(), "the next one knows what is ours");
    hands::signal(pid, nix::sys::signal::Signal::SIGKILL);
    while hands::reap().is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn a_program_that_cannot_be_started_keeps_nobody_else_from_running() {
    let mut stage = Stage::start(&[(1, "", &[3])]);
    let dir = stage.dir.path().to_owned();
    let text = file(&dir, &[(1, "", &[3]), (2, "", &[3])]);
    let (before, after) = text.rsplit_once("/watch").unwrap();
    stage.reload(&format!("{before}/nonexistent{after}"));
    assert!(stage.pid(1, 3).is_some() && stage.pid(2, 3).is_none());
    assert_eq!(stage.services(), BTreeSet::from([key(1), key(2)]));
    stage.stop();
    assert!(stage.services().is_empty());
}

/// Their nannies never speak, so that their grace ends without a verdict.
#[test]
fn a_lost_quorum_runs_its_script_once_and_a_bad_one_is_only_said() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    std::fs::create_dir(&ran).unwrap();
    let keys =
        format!(" timeout = 0.05\n quorum_down = \"/bin/mkdir\t{}/down\"\n quorum_up = /nonexistent/up", ran.display());
    let bad = " timeout = 0.05\n quorum_down = /nonexistent/down";
    let mut stage = Stage::start(&[(1, &keys, &[3]), (2, bad, &[4])]);
    stage.until(|_| ran.join("down").exists());
    stage.until(|daemon| daemon.own.scripts.deadline().is_none());
    assert_eq!(stage.daemon.own.services.ledger().quorums, [(key(1), false), (key(2), false)].into());
    stage.stop();
}

/// As much as it likes, for nobody reads it.
#[test]
fn a_script_of_the_quorum_may_print() {
    let dir = tempfile::tempdir().unwrap();
    let (script, ran) = (dir.path().join("down"), dir.path().join("ran"));
    let text = format!("#!/bin/sh\nseq 10000 && seq 10000 >&2 && mkdir {}\n", ran.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let keys = format!(" timeout = 0.05\n quorum_down = {}", script.display());
    let mut stage = Stage::start(&[(1, &keys, &[3])]);
    stage.until(|daemon| daemon.own.services.ledger().quorums.contains_key(&key(1)));
    stage.until(|daemon| daemon.own.scripts.deadline().is_none());
    assert!(ran.exists(), "it was kept from going on");
    stage.stop();
}

/// A scheduler's module takes a moment to load, and there are several of them.
#[test]
fn a_kernel_that_is_slow_keeps_the_loop_from_no_turn() {
    let mut stage = Stage::start(&[(1, "", &[3])]);
    let dir = stage.dir.path().to_owned();
    let virtuals: Vec<(u8, &str, &[u8])> = (1..=5).map(|last| (last, "", [3].as_slice())).collect();
    stage.table.slow_down(Operation::AddService, SLICE_MAX);
    std::fs::write(dir.join("lvs.cf"), file(&dir, &virtuals)).unwrap();
    stage.daemon.reread(Instant::now());
    // One each, and the beat between them.
    let one_more = |stage: &mut Stage| {
        let before = stage.services().len();
        let table = stage.table.clone();
        stage.until(|_| table.clone().services().unwrap().len() > before);
        assert_eq!(stage.services().len(), before + 1);
    };
    (1..5).for_each(|_| one_more(&mut stage));
    stage.until(|daemon| daemon.own.reload.is_none() && !daemon.own.services.has_round());

    // The same when somebody else took them away.
    stage.services().iter().for_each(|key| stage.table.clone().delete_service(key).unwrap());
    (0..5).for_each(|_| one_more(&mut stage));

    // And when they leave the file.
    stage.table.slow_down(Operation::DeleteService, SLICE_MAX);
    std::fs::write(dir.join("lvs.cf"), file(&dir, &virtuals[..1])).unwrap();
    stage.daemon.reread(Instant::now());
    for left in (1..5).rev() {
        let table = stage.table.clone();
        stage.until(|_| table.clone().services().unwrap().len() <= left);
        assert_eq!(stage.services().len(), left);
    }
    stage.stop();
}

/// What is to be looked at in the kernel waits for its phase; the loop does not spin on it.
#[test]
fn a_round_that_no_phase_goes_on_with_keeps_nobody_awake() {
    let mut stage = Stage::start(&[(1, "", &[3])]);
    let daemon = &mut stage.daemon;
    daemon.own.services.look(&mut daemon.own.kernel, HashSet::new, &mut Vec::new());
    assert!(daemon.own.services.has_round());
    let now = Instant::now();
    // When the test had it look may be over by now.
    daemon.look_at = now + LOOK_EVERY;
    assert!(daemon.wake_at(now) <= now);
    for phase in [Phase::Meeting, Phase::Stopping { until: now + PATIENCE }] {
        daemon.phase = phase;
        assert!(daemon.wake_at(now) > now, "{phase:?}");
    }
    daemon.phase = Phase::Working;
    stage.stop();
}

/// It is said to be over, and each server is counted once.
#[test]
fn an_order_in_the_middle_of_a_reload_does_not_make_it_none() {
    let mut stage = Stage::start(&[(1, "", &[3]), (2, "", &[3])]);
    let dir = stage.dir.path().to_owned();
    std::fs::write(dir.join("lvs.cf"), file(&dir, &[(1, "", &[3, 4]), (2, "", &[3])])).unwrap();
    let now = Instant::now();
    stage.daemon.reread(now);
    let daemon = &mut stage.daemon;
    let mut out = Vec::new();
    assert_eq!(daemon.own.set_ups.pop_front(), Some(key(1)));
    daemon.own.services.set_up(&key(1), &mut daemon.own.kernel, &daemon.nannies, now, &mut out);
    daemon.perform_services(out, now);
    daemon.order("weight=5", "v1/s3", now).unwrap();
    daemon.work(now);
    assert!(daemon.own.set_ups.is_empty());
    let outcome = daemon.own.reload.as_ref().unwrap();
    assert_eq!((outcome.started, outcome.replaced, outcome.unchanged), (1, 0, 2));
    stage.until(|daemon| daemon.own.reload.is_none());
    stage.stop();
}

/// Nobody says whether they are well, but the kernel has them.
#[test]
fn the_sorry_server_goes_by_the_table_where_the_monitor_says_nothing() {
    let mut stage = Stage::start(&[(1, " timeout = 0.05\n sorry_server = 10.0.0.9\n", &[3])]);
    let at = |last: u8| DestinationKey { address: [10, 0, 0, last].into(), port: 80 };
    let has = |stage: &Stage, last: u8| {
        let table = stage.table.clone().destinations(&key(1)).unwrap();
        table.iter().any(|entry| entry.destination.key == at(last))
    };
    let table = stage.table.clone();
    let until = |stage: &mut Stage, last: u8, there: bool| {
        let table = table.clone();
        stage.until(move |_| {
            let all = table.clone().destinations(&key(1)).unwrap();
            all.iter().any(|entry| entry.destination.key == at(last)) == there
        });
    };
    until(&mut stage, 9, true);
    let server = Destination::new(at(3), ForwardingMethod::Masquerade, 1);
    stage.table.clone().add_destination(&key(1), &server).unwrap();
    until(&mut stage, 9, false);
    assert!(has(&stage, 3), "it is its monitor's");
    stage.table.clone().delete_destination(&key(1), &at(3)).unwrap();
    until(&mut stage, 9, true);
    stage.stop();
}
