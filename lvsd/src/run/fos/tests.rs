//! The loop with real processes: commands that start and stop one, and a watcher
//! that never speaks, as a `client_monitor` of an operator's own may be. What nanny
//! sees is said by the test; nanny itself is shown in the lab.
//! One test at a time: waitpid takes any child.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mio::Events;
use signal_hook::consts::signal::SIGTERM;

use common::channel::{Ask, Line, MeetingPlace, Received};
use common::child::Rules;
use common::daemon;
use common::log::Log;

use super::*;
use crate::hands;
use crate::hosts::Hosts;
use crate::nanny_command::Manner;
use crate::run::End;
use crate::run::tests::{one_at_a_time, starter};

/// Generous: a condition that does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    daemon: Option<Daemon<Failover>>,
    /// pulse's end of the line.
    pulse: Line,
    said: Vec<Said>,
    events: RefCell<Events>,
    dir: tempfile::TempDir,
    ended: Option<End>,
    _one: std::sync::MutexGuard<'static, ()>,
}

fn script(path: &Path, text: &str) {
    // Moved into place: the one that was there may be on its way.
    let new = path.with_extension("new");
    std::fs::write(&new, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

impl Stage {
    /// One service. `start` and `stop` append to `calls` and run the service, which
    /// is a process whose pid is in `pid`; the test says its nanny's words. All of
    /// them end with the test's folder.
    fn new(keys: &str) -> Self {
        Self::with(keys, &[])
    }

    /// The same with these files there before.
    fn with(keys: &str, files: &[&str]) -> Self {
        let one = one_at_a_time();
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        script(
            &dir.path().join("start"),
            &format!(
                "echo start >> {at}/calls\n[ -e {at}/broken ] && echo no port >&2 && exit 3\n\
                 (while [ -e {at}/lvs.cf ]; do sleep 0.1; done) & echo $! > {at}/pid.new; mv {at}/pid.new {at}/pid"
            ),
        );
        script(&dir.path().join("stop"), &format!("echo stop >> {at}/calls\nkill $(cat {at}/pid) && rm {at}/pid"));
        for file in files {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let watch = format!("exec >{at}/watched 2>&1; while [ -e {at}/lvs.cf ]; do sleep 0.1; done");
        script(&dir.path().join("watch"), &watch);
        std::fs::write(dir.path().join("lvs.cf"), Self::file(dir.path(), keys)).unwrap();
        let (pulse, events) = (Line::pair().unwrap().0, RefCell::new(Events::with_capacity(64)));
        let mut stage = Self { daemon: None, pulse, said: Vec::new(), events, dir, ended: None, _one: one };
        stage.start();
        stage
    }

    fn file(dir: &Path, keys: &str) -> String {
        let at = dir.display();
        format!(
            "service = fos\nfailover web {{\n active = 1\n address = 192.0.2.9 eth0:1\n port = 443\n timeout = 0.1\n\
             \x20client_monitor = {at}/watch\n start_cmd = \"{at}/start now\"\n stop_cmd = \"{at}/stop now\"\n{keys}\n}}\n"
        )
    }

    /// A daemon that nobody started, of which pulse hears.
    fn start(&mut self) {
        self.start_under(None);
    }

    /// The same with the line of a pulse that started it.
    fn start_under(&mut self, pulse: Option<Line>) {
        let folder = self.dir.path();
        let settings = Settings {
            file: folder.join("lvs.cf"),
            nanny: "/nonexistent/nanny".into(),
            manner: Manner::default(),
            rules: Rules::default(),
            starter: starter(),
            places: Some(folder.join("nanny")),
        };
        let hosts = Hosts::new(folder.join("hosts"));
        let (blocks, lines) = file::read_failover(&settings.file, &hosts, &settings.nanny, &settings.manner).unwrap();
        assert_eq!(lines, []);
        let file = LedgerFile::at(folder.join("fos.ledger"), daemon::boot_id());
        let (ledger, _) = file.read().unwrap();
        let place = folder.join("lvsd");
        // A test beside this one that forks holds the descriptors of a dead one for a moment.
        let deadline = Instant::now() + PATIENCE;
        let meeting = loop {
            match MeetingPlace::open(&place) {
                Ok(meeting) => break Some(meeting),
                Err(e) => assert!(Instant::now() < deadline, "{e}"),
            }
        };
        let own = Failover::new(ledger, Some(file), pulse.is_some());
        let mut daemon = Daemon::new(settings, hosts, Log::new(false), own, meeting, pulse).unwrap();
        daemon.start(blocks);
        self.daemon = Some(daemon);
        self.pulse = common::channel::join(&place).unwrap();
    }

    fn tell(&mut self, ask: &Ask) {
        self.pulse.send(&ask.encode()).unwrap();
    }

    fn daemon(&mut self) -> &mut Daemon<Failover> {
        self.daemon.as_mut().unwrap()
    }

    /// Lets the loop turn until the condition holds.
    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "never: {what}; {:?}", self.calls());
            let daemon = self.daemon.as_mut().unwrap();
            daemon.look_at = daemon.look_at.min(Instant::now() + Duration::from_millis(20));
            self.ended = daemon.turn(&mut self.events.borrow_mut()).unwrap();
            while let Received::Message(said) = self.pulse.receive_said() {
                self.said.push(said);
            }
            if self.ended.is_some() {
                return;
            }
        }
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn pid(&self) -> Option<i32> {
        std::fs::read_to_string(self.dir.path().join("pid")).ok()?.trim().parse().ok()
    }

    fn has_said(&self, words: &str) -> bool {
        self.said.iter().any(|said| String::from_utf8_lossy(&said.encode()).contains(words))
    }

    /// What its nanny says.
    fn judge(&mut self, available: bool) {
        let key = *self.daemon().own.kept.keys().next().unwrap();
        self.daemon().feed(&key, Event::Judged(available), Instant::now());
    }

    /// No command runs.
    fn is_idle(&self) -> bool {
        self.daemon.as_ref().unwrap().own.kept.values().all(|kept| kept.command.is_none())
    }

    fn is_started(&self) -> bool {
        self.pid().is_some() && self.is_idle()
    }

    fn stop(&mut self) {
        self.daemon().begin_stop(SIGTERM, Instant::now());
        self.until("the end", |_| false);
        assert_eq!(self.ended, Some(End::Stopped));
    }
}

#[test]
fn it_is_started_once_watched_and_stopped_at_the_end() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.until("pulse hears of it", |stage| stage.has_said("ready"));
    stage.judge(true);
    let pid = stage.pid();
    stage.stop();
    assert_eq!(stage.calls(), ["start", "stop"]);
    assert_eq!(stage.pid(), None, "{pid:?} is stopped");
    assert!(!stage.dir.path().join("fos.ledger").exists(), "nothing is left for a successor");
}

#[test]
fn what_a_dead_lvsd_started_is_adopted_and_not_started_twice() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.judge(true);
    let pid = stage.pid();
    // as if killed: whatever it held is closed, and nothing was told
    stage.daemon = None;
    stage.start();
    stage.until("ready", |stage| stage.has_said("ready"));
    stage.judge(true);
    assert_eq!((stage.calls(), stage.pid()), (vec!["start".to_owned()], pid));
    stage.stop();
    assert_eq!(stage.calls(), ["start", "stop"]);
}

#[test]
fn what_left_the_file_while_nobody_looked_is_stopped_by_the_next() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.daemon = None;
    let text = Stage::file(stage.dir.path(), "").replace("port = 443", "port = 444");
    std::fs::write(stage.dir.path().join("lvs.cf"), text).unwrap();
    stage.start();
    stage.until("one went, one came", |stage| stage.calls().len() == 3 && stage.is_idle());
    // one script of one service, perhaps: never both at once
    assert_eq!(stage.calls(), ["start", "stop", "start"]);
    stage.stop();
}

#[test]
fn a_broken_service_is_not_started_for_ever_by_one_lvsd_after_the_other() {
    let mut stage = Stage::new(" restarts = 1");
    stage.until("started", Stage::is_started);
    stage.judge(true);
    stage.judge(false);
    stage.until("started again", |stage| stage.calls() == ["start", "stop", "start"] && stage.is_started());
    // as if killed
    stage.daemon = None;
    stage.start();
    stage.judge(true);
    assert!(stage.daemon().status(0, Instant::now()).0.contains("; 1 of 1 restarts used\n"));
    stage.judge(false);
    stage.until("given up", |stage| stage.has_said("unable"));
    assert_eq!(stage.calls().len(), 3);
    // and the next one says so without having tried
    stage.daemon = None;
    stage.said.clear();
    stage.start();
    stage.until("said again", |stage| stage.has_said("unable failover service web cannot run here: it does not"));
    let (status, _) = stage.daemon().status(0, Instant::now());
    assert!(status.contains("web 192.0.2.9:443: given up, tried again in a while, as it does not answer"), "{status}");
    assert_eq!(stage.calls().len(), 3);
    // a boot later nothing of it is believed: nothing runs
    stage.daemon = None;
    let ledger = stage.dir.path().join("fos.ledger");
    let text = std::fs::read_to_string(&ledger).unwrap();
    assert!(text.starts_with(&format!("boot\t{}\n", daemon::boot_id())), "{text}");
    std::fs::write(&ledger, text.replacen("boot\t", "boot\tanother-", 1)).unwrap();
    stage.start();
    stage.until("started as at first", |stage| stage.calls().len() == 4 && stage.is_started());
    assert_eq!(stage.calls()[3], "start");
    stage.stop();
}

#[test]
fn a_service_with_another_address_is_stopped_before_it_is_started_there() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    let at = stage.dir.path().display().to_string();
    script(&stage.dir.path().join("stop"), &format!("sleep 0.3; echo stop >> {at}/calls; kill $(cat {at}/pid)"));
    let text = Stage::file(stage.dir.path(), "").replace("port = 443", "port = 444");
    std::fs::write(stage.dir.path().join("lvs.cf"), &text).unwrap();
    stage.daemon().reread(Instant::now());
    stage.until("moved", |stage| stage.calls().len() == 3 && stage.is_started());
    assert_eq!(stage.calls(), ["start", "stop", "start"]);
    // one without a stop_cmd is over at once
    let without = |text: &str| text.replace("stop_cmd", "# stop_cmd");
    for text in [without(&text), without(&text).replace("port = 444", "port = 445")] {
        std::fs::write(stage.dir.path().join("lvs.cf"), text).unwrap();
        stage.daemon().reread(Instant::now());
    }
    stage.until("moved again", |stage| stage.calls().len() == 4 && stage.is_started());
    assert_eq!(stage.daemon().own.kept.len(), 1);
    stage.stop();
}

#[test]
fn the_next_lvsd_and_a_plan_know_that_this_is_the_standby() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.tell(&Ask::Rest);
    stage.until("stopped", |stage| stage.daemon.as_ref().unwrap().own.kept.is_empty());
    let file = LedgerFile::at(stage.dir.path().join("fos.ledger"), daemon::boot_id());
    assert_eq!(file.read().unwrap(), (Ledger { is_standby: true, ..Ledger::default() }, 0));
    assert!(stage.daemon().status(0, Instant::now()).0.starts_with("this director is the standby"));
    stage.stop();
    assert!(!file.path().exists());
}

#[test]
fn a_service_that_dies_is_started_again_and_then_handed_over() {
    let mut stage = Stage::new(" restarts = 1");
    stage.until("started", Stage::is_started);
    stage.judge(true);
    stage.judge(false);
    stage.until("started again", |stage| stage.calls() == ["start", "stop", "start"] && stage.is_started());
    assert!(!stage.has_said("unable"));
    stage.judge(true);
    stage.judge(false);
    stage.until("pulse is told", |stage| {
        stage.has_said("unable failover service web cannot run here: it does not answer")
    });
    // somebody mends it by hand
    stage.judge(true);
    stage.until("pulse is told", |stage| stage.said.contains(&Said::Able));
    stage.stop();
}

#[test]
fn a_new_pulse_hears_at_once_that_it_cannot_run_here() {
    let mut stage = Stage::with(" restarts = 0", &["broken"]);
    stage.until("given up", |stage| stage.has_said("unable"));
    assert!(stage.has_said("start_cmd exited with status 3, its last line: no port"), "{:?}", stage.said);
    stage.said.clear();
    stage.pulse = common::channel::join(&stage.dir.path().join("lvsd")).unwrap();
    stage.until("told again", |stage| stage.has_said("unable"));
    stage.stop();
}

#[test]
fn a_start_that_hangs_is_killed_and_a_reload_and_a_stop_do_not_wait_for_it() {
    let mut stage = Stage::new(" start_timeout = 0.3\n restarts = 0");
    script(&stage.dir.path().join("start"), "exec sleep 1000");
    // the one of the beginning is stopped, its successor hangs
    let text = Stage::file(stage.dir.path(), " start_timeout = 0.3\n restarts = 0").replace("port = 443", "port = 444");
    std::fs::write(stage.dir.path().join("lvs.cf"), text).unwrap();
    stage.daemon().reread(Instant::now());
    stage.until("told", |stage| stage.has_said("unable"));
    // Whether it got so far as to say what it waits for is nobody's to say.
    assert!(stage.has_said("start_cmd was killed after 300ms"), "{:?}", stage.said);
    stage.stop();
}

#[test]
fn a_reload_starts_what_came_stops_what_went_and_leaves_the_rest() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.judge(true);
    let path = stage.dir.path().join("lvs.cf");
    let reload = |stage: &mut Stage, text: &str| {
        std::fs::write(&path, text).unwrap();
        stage.daemon().reread(Instant::now());
    };
    let same = Stage::file(stage.dir.path(), " restarts = 9");
    reload(&mut stage, &same);
    reload(&mut stage, "service = lvs\n");
    reload(&mut stage, "rubbish\n");
    assert_eq!((stage.calls(), stage.daemon().own.kept.len()), (vec!["start".to_owned()], 1));
    reload(&mut stage, "service = fos\n");
    // and wanted again before it is gone
    reload(&mut stage, &same);
    stage.until("started anew", |stage| stage.calls() == ["start", "stop", "start"] && stage.is_started());
    reload(&mut stage, "service = fos\n");
    stage.until("gone", |stage| stage.calls().len() == 4 && stage.daemon.as_ref().unwrap().own.kept.is_empty());
    stage.stop();
}

#[test]
fn a_standby_runs_nothing_until_it_is_told_to() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.judge(true);
    stage.tell(&Ask::Rest);
    stage.until("stopped", |stage| stage.daemon.as_ref().unwrap().own.kept.is_empty());
    stage.until("nobody watches", |stage| stage.daemon.as_ref().unwrap().nannies.is_empty());
    assert_eq!(stage.calls(), ["start", "stop"]);
    let text = Stage::file(stage.dir.path(), " restarts = 9");
    std::fs::write(stage.dir.path().join("lvs.cf"), text).unwrap();
    stage.daemon().reread(Instant::now());
    stage.tell(&Ask::Rest);
    stage.until("ready", |stage| stage.has_said("ready"));
    assert_eq!(stage.calls().len(), 2);
    stage.tell(&Ask::Serve);
    stage.tell(&Ask::Serve);
    stage.until("started", Stage::is_started);
    assert_eq!(stage.calls(), ["start", "stop", "start"]);
    // a change of mind while it stops
    stage.tell(&Ask::Rest);
    stage.tell(&Ask::Serve);
    stage.until("started", |stage| stage.calls().len() == 5 && stage.is_started());
    stage.stop();
}

#[test]
fn one_that_was_not_told_yet_leaves_all_as_it_is() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    stage.daemon = None;
    let more = Stage::file(stage.dir.path(), "").replace("service = fos\n", "").replace("port = 443", "port = 444");
    let two = Stage::file(stage.dir.path(), "") + &more;
    std::fs::write(stage.dir.path().join("lvs.cf"), two).unwrap();
    let (line, _pulse) = Line::pair().unwrap();
    stage.start_under(Some(line));
    stage.until("ready", |stage| stage.has_said("ready"));
    assert_eq!(stage.calls(), ["start"]);
    stage.tell(&Ask::Serve);
    stage.until("the other is started", |stage| stage.calls() == ["start", "start"]);
    stage.stop();
}

#[test]
fn making_room_for_another_leaves_everything() {
    let mut stage = Stage::new("");
    stage.until("started", Stage::is_started);
    let pid = stage.pid();
    stage.tell(&Ask::Release);
    stage.until("the end", |_| false);
    assert_eq!(stage.ended, Some(End::Released));
    assert_eq!((stage.calls(), stage.pid()), (vec!["start".to_owned()], pid));
    assert!(stage.dir.path().join("fos.ledger").exists());
}

impl Stage {
    /// As if the lvsd were killed, and another one started.
    fn succeed(&mut self) {
        self.daemon = None;
        self.start();
    }

    fn ledger(&self) -> (LedgerFile, Ledger) {
        let file = LedgerFile::at(self.dir.path().join("fos.ledger"), daemon::boot_id());
        let (ledger, _) = file.read().unwrap();
        (file, ledger)
    }

    /// When the command that runs is killed, as a successor reads it.
    fn written_end(&self) -> Duration {
        self.ledger().1.started.values().find_map(|started| started.command).unwrap().until
    }

    /// Makes it this.
    fn write_end(&self, until: Duration) {
        let (file, mut ledger) = self.ledger();
        ledger.started.values_mut().filter_map(|started| started.command.as_mut()).for_each(|it| it.until = until);
        file.write(&ledger).unwrap();
    }

    /// The command that runs, as the process it is.
    fn command(&self) -> Option<common::command::Identity> {
        self.daemon.as_ref().unwrap().own.kept.values().find_map(|kept| kept.command.as_ref()?.1.identity())
    }
}

#[test]
fn a_start_that_outlives_its_lvsd_is_killed_by_the_next_when_its_time_is_over() {
    let mut stage = Stage::new(" start_timeout = 600\n restarts = 0");
    let at = stage.dir.path().display().to_string();
    stage.until("started", Stage::is_started);
    stage.judge(true);
    script(&stage.dir.path().join("start"), &format!("echo hangs >> {at}/calls; exec sleep 1000"));
    stage.tell(&Ask::Rest);
    stage.until("stopped", |stage| stage.daemon.as_ref().unwrap().own.kept.is_empty());
    stage.tell(&Ask::Serve);
    stage.until("hangs", |stage| stage.calls().len() == 3);
    let hangs = stage.command().unwrap();
    // five minutes later
    let half = Duration::from_secs(300);
    stage.daemon = None;
    let until = hands::since_boot() + half;
    stage.write_end(until);
    stage.start();
    assert_eq!(stage.command(), Some(hangs), "it is found");
    stage.until("ready", |stage| stage.has_said("ready"));
    stage.daemon = None;
    assert!(stage.written_end() < until + half / 2, "the time goes on, whoever counts it");
    // and when it is over
    stage.write_end(Duration::from_millis(1));
    stage.start();
    stage.until("told", |stage| stage.has_said("start_cmd was killed after 600s"));
    stage.until("gone", |_| !hangs.is_alive());
    assert_eq!(stage.calls(), ["start", "stop", "hangs"], "no other was started beside it");
    stage.stop();
}

#[test]
fn a_stop_that_outlives_its_lvsd_is_waited_for_before_anything_is_started() {
    let mut stage = Stage::new("");
    let at = stage.dir.path().display().to_string();
    let slow = format!(
        "echo stop >> {at}/calls; while [ ! -e {at}/go ]; do sleep 0.02; done; kill $(cat {at}/pid); rm {at}/pid; echo stopped >> {at}/calls"
    );
    script(&stage.dir.path().join("stop"), &slow);
    stage.until("started", Stage::is_started);
    stage.judge(true);
    stage.judge(false);
    stage.until("stops", |stage| stage.calls() == ["start", "stop"]);
    stage.succeed();
    stage.until("ready", |stage| stage.has_said("ready"));
    assert_eq!(stage.calls(), ["start", "stop"], "neither is done a second time");
    std::fs::write(stage.dir.path().join("go"), "").unwrap();
    stage.until("started again", |stage| stage.calls().len() == 4 && stage.is_started());
    assert_eq!(stage.calls(), ["start", "stop", "stopped", "start"]);
    assert!(stage.daemon().status(0, Instant::now()).0.contains("; 1 of 3 restarts used\n"));

    // one that ended while nobody looked was as good
    std::fs::remove_file(stage.dir.path().join("go")).unwrap();
    stage.judge(true);
    stage.judge(false);
    stage.until("stops", |stage| stage.calls().len() == 5);
    let stops = stage.command().unwrap();
    stage.daemon = None;
    std::fs::write(stage.dir.path().join("go"), "").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while stops.is_alive() {
        assert!(Instant::now() < deadline, "it ends");
        std::thread::sleep(Duration::from_millis(2));
    }
    stage.start();
    stage.until("started again", |stage| stage.calls().len() == 7 && stage.is_started());
    assert_eq!(stage.calls()[4..], ["stop", "stopped", "start"]);

    // and of one that left the file meanwhile, nothing more is done
    std::fs::remove_file(stage.dir.path().join("go")).unwrap();
    stage.judge(true);
    stage.judge(false);
    stage.until("stops", |stage| stage.calls().len() == 8);
    std::fs::write(stage.dir.path().join("lvs.cf"), "service = fos\n").unwrap();
    stage.succeed();
    std::fs::write(stage.dir.path().join("go"), "").unwrap();
    stage.until("over", |stage| stage.daemon.as_ref().unwrap().own.kept.is_empty());
    assert_eq!(stage.calls()[7..], ["stop", "stopped"]);
    stage.stop();
}

#[test]
fn a_start_that_outlives_its_lvsd_and_is_not_wanted_any_more_is_killed_at_once() {
    let mut stage = Stage::new(" start_timeout = 600");
    let at = stage.dir.path().display().to_string();
    stage.until("started", Stage::is_started);
    script(&stage.dir.path().join("start"), &format!("echo hangs >> {at}/calls; exec sleep 1000"));
    stage.judge(true);
    stage.judge(false);
    stage.until("hangs", |stage| stage.calls() == ["start", "stop", "hangs"]);
    let hangs = stage.command().unwrap();
    std::fs::write(stage.dir.path().join("lvs.cf"), "service = fos\n").unwrap();
    stage.succeed();
    stage.until("stopped", |stage| stage.daemon.as_ref().unwrap().own.kept.is_empty());
    stage.until("gone", |_| !hangs.is_alive());
    assert_eq!(stage.calls(), ["start", "stop", "hangs", "stop"]);
    stage.stop();
}
