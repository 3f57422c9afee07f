//! Failover services as real processes: two directors, haproxy as the service, and
//! a client that asks for it all the time and counts.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::ground::{inside, wait_until};
use crate::pair::site::{Host, Site};

/// Quick, and yet slow beside a machine that runs many tests at once.
const FILE: &str = r#"primary = 10.0.0.1
backup = 10.0.0.2
backup_active = 1
keepalive = 0.2
deadtime = 4
service = fos
failover web {
    active = 1
    address = 10.0.0.9 v0:1
    vip_nmask = 255.255.255.0
    port = 8080
    send = "GET / HTTP/1.0\r\n\r\n"
    expect = "HTTP/1.1 200"
    timeout = 1
    start_cmd = "haproxy -D -f /run/haproxy.cfg"
    stop_cmd = "/run/stop now"
    restarts = 1
}
"#;

/// A second service in the same file, whose start is a script.
const MAIL: &str = r#"failover mail {
    active = 1
    address = 10.0.0.8 v0:2
    vip_nmask = 255.255.255.0
    port = 2525
    timeout = 1
    start_cmd = "/run/mail start"
    stop_cmd = "/run/mail stop"
    restarts = 1
}
"#;

/// What mail is when it can run.
const MAILER: &str = "global
    pidfile /run/mailer.pid
defaults
    mode tcp
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend mail
    bind 10.0.0.8:2525
    tcp-request content reject
";

/// It binds the address by name, so that it starts only where the address is.
const HAPROXY: &str = "global
    pidfile /run/haproxy.pid
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend web
    bind 10.0.0.9:8080
    http-request return status 200 content-type text/plain lf-string NAME
";

const STOP: &str = "#!/bin/sh\nkill $(cat /run/haproxy.pid) && rm /run/haproxy.pid\n";

/// One answer, or that there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    at: Instant,
    /// Who answered.
    by: Option<String>,
}

/// Asks every few milliseconds.
struct Client {
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn ask() -> Option<String> {
    let address: SocketAddr = ([10, 0, 0, 9], 8080).into();
    let within = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, within).ok()?;
    stream.set_read_timeout(Some(within)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.rsplit_once("\r\n\r\n")?.1.trim().to_owned())
}

impl Client {
    fn start() -> Self {
        let (asked, stop) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (kept, stopped) = (asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let (at, by) = (Instant::now(), ask());
                kept.lock().unwrap().push(Asked { at, by });
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { asked, stop, thread: Some(thread) }
    }

    fn since(&self, at: Instant) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.at >= at).cloned().collect()
    }

    /// Waits until this one answered a question asked after `at`; the gap the client
    /// saw and what failed meanwhile go to the test's output.
    fn wait_for(&self, by: &str, at: Instant, what: &str) {
        let mut answered = None;
        wait_until(&format!("{by} answers: {what}"), || {
            answered = self.since(at).into_iter().find(|asked| asked.by.as_deref() == Some(by));
            answered.is_some()
        });
        let until = answered.map_or(at, |asked| asked.at);
        let failed = self.since(at).iter().filter(|asked| asked.by.is_none() && asked.at <= until).count();
        eprintln!("measured: {what}: served again after {:?}, {failed} questions failed", until - at);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn ready(host: &Host, more: &str) {
    let name = host.read("run/name").unwrap();
    host.write("run/haproxy.cfg", &HAPROXY.replace("NAME", &name));
    host.program("run/stop", STOP);
    host.write("run/lvs.cf", &format!("{more}{FILE}"));
}

fn haproxy(host: &Host) -> Vec<u32> {
    host.running("haproxy -D")
}

#[test]
fn haproxy_that_dies_is_started_again_and_one_that_cannot_be_runs_on_the_other_director() {
    inside("fos::haproxy_that_dies_is_started_again_and_one_that_cannot_be_runs_on_the_other_director", |_| {
        let site = Site::on_a_bridge();
        let (master, backup) = (&site.master, &site.backup);
        ready(master, "");
        ready(backup, "");
        let client = Client::start();
        let begun = Instant::now();
        site.boot();
        site.wait_for(master);
        client.wait_for("master", begun, "boot of both");
        master.wait_for_line("Starting local service 10.0.0.9:8080 ...");
        master.wait_for_line("failover service web 10.0.0.9:8080 runs");
        assert!(haproxy(backup).is_empty(), "the standby runs nothing");

        // it dies, and is started again where it was
        let before = haproxy(master);
        master.kill(&before, "KILL");
        let killed = Instant::now();
        master.wait_for_line("Service web 10.0.0.9:8080 died. This is a restart condition!");
        master.wait_for_line("failover service web: it does not answer, starting it again (1 of 1)");
        client.wait_for("master", killed, "haproxy killed");
        wait_until("it runs", || haproxy(master).len() == 1 && haproxy(master) != before);
        wait_until("it is known to run", || master.count("failover service web 10.0.0.9:8080 runs") == 2);
        assert!(master.has_vip() && !backup.has_vip());

        // a dead lvsd costs nothing, and the next one does not start it again
        let (before, killed) = (haproxy(master), Instant::now());
        master.kill(&master.running("lvsd --nofork"), "KILL");
        master.wait_for_line("found failover service web 10.0.0.9:8080 started, watching it");
        wait_until("it is known to run", || master.count("failover service web 10.0.0.9:8080 runs") == 3);
        assert_eq!(haproxy(master), before);
        assert!(client.since(killed).iter().all(|asked| asked.by.as_deref() == Some("master")));

        // it dies for good
        master.write("run/haproxy.cfg", "nonsense\n");
        master.kill(&haproxy(master), "KILL");
        let killed = Instant::now();
        client.wait_for("backup", killed, "haproxy killed for good");
        site.wait_for(backup);
        let why = "failover service web cannot run here: ";
        master.wait_for_line(why);
        backup.wait_for_line("activating fos");
        assert!(client.since(killed).iter().all(|asked| asked.by.as_deref() != Some("master")));
        wait_until("nothing is left of it there", || haproxy(master).is_empty());

        // and a stop stops it
        backup.stop();
        assert!(haproxy(backup).is_empty());
        assert!(!backup.has_vip());
        backup.wait_for_line("Shutting down local service 10.0.0.9:8080");
        master.stop();
    });
}

#[test]
fn where_one_of_two_services_runs_nowhere_the_other_moves_once_and_stays() {
    inside("fos::where_one_of_two_services_runs_nowhere_the_other_moves_once_and_stays", |_| {
        let site = Site::on_a_bridge();
        let (master, backup) = (&site.master, &site.backup);
        for host in [master, backup] {
            ready(host, "");
            host.write("run/lvs.cf", &format!("{FILE}{MAIL}"));
            host.program("run/mail", "#!/bin/sh\necho no spool\nexit 3\n");
        }
        let client = Client::start();
        site.boot();
        let failed = "failover service mail cannot run here: start_cmd exited with status 3, its last line: no spool";
        // all that there is goes to the other one, which has not failed yet
        master.wait_for_line("failover service mail: start_cmd exited with status 3, its last line: no spool, starting it again (1 of 1)");
        master.wait_for_line(failed);
        site.wait_for(backup);
        let begun = Instant::now();
        client.wait_for("backup", begun, "a service beside one that runs nowhere");
        wait_until("nothing is left of it on the other", || haproxy(master).is_empty());
        backup.wait_for_line(failed);
        // it is not thrown to and fro for one that nobody can run
        let since = Instant::now();
        std::thread::sleep(Duration::from_secs(3));
        assert!(backup.has_vip() && !master.has_vip());
        assert_eq!((master.count("activating fos"), backup.count("activating fos")), (1, 1));
        assert!(client.since(since).iter().all(|asked| asked.by.as_deref() == Some("backup")));

        // who asks is told
        let (status, text) = backup.lvsd_says(&["--status"]);
        assert_eq!(status, 0, "{text}");
        assert!(text.starts_with("this director is active\n"), "{text}");
        assert!(text.contains("web 10.0.0.9:8080: serving\n"), "{text}");
        assert!(text.contains("mail 10.0.0.8:2525: ") && text.contains("no spool; 1 of 1 restarts used\n"), "{text}");
        let (_, text) = master.lvsd_says(&["--status"]);
        assert_eq!(text, "this director is the standby: nothing should run here\n");
        let refused = "lvs: service = fos: there are no real servers here; pulse --relocate moves the services\n";
        for host in [master, backup] {
            assert_eq!(host.lvsd_says(&["--server", "web/a", "--drain"]), (64, refused.to_owned()));
        }
        let (_, text) = backup.lvsd_says(&["-c", "/run/lvs.cf", "--plan"]);
        assert!(text.starts_with("a reload with /run/lvs.cf would:\n  keep failover service web "), "{text}");
        assert!(
            text.contains("  try failover service mail 10.0.0.8:2525 again, which was given up: start_cmd "),
            "{text}"
        );
        let (_, text) = master.lvsd_says(&["-c", "/run/lvs.cf", "--plan"]);
        assert!(text.starts_with("a reload with /run/lvs.cf would change nothing\n"), "{text}");
        let start = "  start failover service mail 10.0.0.8:2525, when this director becomes active: /run/mail start\n";
        assert!(text.contains(start), "{text}");

        // somebody mends it where it is, and says so
        backup.write("run/mailer.cfg", MAILER);
        let mended = "#!/bin/sh\n[ $1 = start ] && exec haproxy -D -f /run/mailer.cfg\nkill $(cat /run/mailer.pid)\n";
        backup.program("run/mail", mended);
        backup.kill(&[backup.guardian()], "HUP");
        backup.wait_for_line("failover service mail 10.0.0.8:2525 runs");
        let (_, text) = backup.lvsd_says(&["--status"]);
        assert!(text.contains("mail 10.0.0.8:2525: serving; 1 of 1 restarts used\n"), "{text}");

        // one that dies where nobody else is has its address, and comes back as soon as it can
        master.stop();
        backup.write("run/haproxy.cfg", "nonsense\n");
        let web = backup.read("run/haproxy.pid").unwrap().trim().parse().unwrap();
        backup.kill(&[web], "KILL");
        backup.wait_for_line("failover service web cannot run here: start_cmd exited with status 1");
        assert!(backup.has_vip());
        ready(backup, "");
        backup.write("run/lvs.cf", &format!("{FILE}{MAIL}"));
        let mended = Instant::now();
        backup.kill(&[backup.guardian()], "HUP");
        client.wait_for("backup", mended, "a service that is mended where nobody else is");
        backup.stop();
        assert!(backup.running("haproxy -D").is_empty());
    });
}

#[test]
fn a_start_cmd_that_outlives_its_lvsd_ends_in_its_time_and_has_no_other_beside_it() {
    inside("fos::a_start_cmd_that_outlives_its_lvsd_ends_in_its_time_and_has_no_other_beside_it", |_| {
        let site = Site::on_a_bridge();
        let (master, backup) = (&site.master, &site.backup);
        for host in [master, backup] {
            ready(host, "");
            let mail = MAIL.replace("restarts = 1", "restarts = 0\n    start_timeout = 10");
            host.write("run/lvs.cf", &format!("{FILE}{mail}"));
            host.program("run/mail", "#!/bin/sh\n[ $1 = start ] || exit 0\necho it >> /run/started\nexec sleep 1234\n");
        }
        site.boot();
        wait_until("it hangs", || master.running("sleep 1234").len() == 1);
        let hangs = master.running("sleep 1234");
        for time in 1..=2 {
            master.kill(&master.running("lvsd --nofork"), "KILL");
            wait_until("the next one finds it", || {
                master.count("found start_cmd of failover service mail running, it has ") == time
            });
            assert_eq!(master.running("sleep 1234"), hangs);
        }
        master.wait_for_line("failover service mail cannot run here: start_cmd was killed after 10s");
        wait_until("it is gone", || master.running("sleep 1234").is_empty());
        assert_eq!(master.read("run/started").as_deref(), Some("it\n"), "no other was started beside it");
        master.stop();
        backup.stop();
    });
}

#[test]
fn commands_of_a_change_of_role_that_hang_are_killed_and_keep_nobody_waiting() {
    inside("fos::commands_of_a_change_of_role_that_hang_are_killed_and_keep_nobody_waiting", |_| {
        let site = Site::new("keepalive = 0.2\ndeadtime = 3\ncmd_timeout = 0.5\n");
        let (master, backup) = (&site.master, &site.backup);
        // its command does not hang, and is to end by itself on any machine
        backup.file("keepalive = 0.2\ndeadtime = 3\ncmd_timeout = 20\n");
        // with a child, and more to say than anybody keeps
        let hangs = "#!/bin/sh\nhead -c 100000 /dev/zero\nsleep 1234 &\necho stuck\nwait\n";
        master.program("run/note", hangs);
        backup.program("run/note", "#!/bin/sh\necho $1 for a while >&2\nexit 3\n");
        site.boot();
        site.wait_for(master);
        master.wait_for_line("active_cmd was killed after 500ms");
        wait_until("its child is gone too", || master.running("sleep 1234").is_empty());
        assert_eq!(backup.count("partner dead"), 0);
        master.stop();
        site.wait_for(backup);
        backup.wait_for_line("active_cmd exited with status 3, its last line: active for a while");
        assert_eq!(backup.count("partner dead"), 0, "no heartbeat waited for it");
        backup.stop();
    });
}

#[test]
fn a_director_whose_check_fails_or_hangs_hands_over_and_a_sick_standby_takes_nothing() {
    inside("fos::a_director_whose_check_fails_or_hangs_hands_over_and_a_sick_standby_takes_nothing", |_| {
        let more =
            "keepalive = 0.2\ndeadtime = 3\ncheck_cmd = \"/run/check now\"\ncheck_interval = 0.1\ncheck_timeout = 3\n";
        let site = Site::new(more);
        let (master, backup) = (&site.master, &site.backup);
        for host in [master, backup] {
            host.program(
                "run/check",
                "#!/bin/sh\n[ -e /run/hangs ] && exec sleep 1234\n[ -e /run/sick ] && echo no disk && exit 3\nexit 0\n",
            );
        }
        site.boot();
        site.wait_for(master);
        master.write("run/sick", "");
        site.wait_for(backup);
        master.wait_for_line("check_cmd exited with status 3, its last line: no disk (2 in a row)");
        backup.wait_for_line("activating lvs");
        // nobody is fit: the active one stays
        backup.write("run/hangs", "");
        backup.wait_for_line("check_cmd was killed after 3s (2 in a row)");
        std::thread::sleep(Duration::from_secs(2));
        assert!(backup.has_vip() && !master.has_vip());
        assert_eq!(master.count("activating lvs"), 1, "a sick standby takes nothing");
        // no heartbeat waited for the script that hangs
        assert_eq!(master.count("partner dead"), 0);
        // a reload without the command is a cure
        backup.file("keepalive = 0.2\ndeadtime = 3\n");
        backup.kill(&[backup.guardian()], "HUP");
        backup.wait_for_line("check_cmd succeeds again");
        wait_until("no script is left", || backup.running("sleep 1234").is_empty());
    });
}

#[test]
fn programs_are_told_of_events_and_one_that_hangs_or_does_not_read_keeps_nobody_waiting() {
    inside("fos::programs_are_told_of_events_and_one_that_hangs_or_does_not_read_keeps_nobody_waiting", |_| {
        let more =
            "keepalive = 0.2\ndeadtime = 3\nnotify = \"/run/told it\"\nnotify_timeout = 3\nnotify_fifo = /run/events\n";
        let site = Site::new(more);
        let (master, backup) = (&site.master, &site.backup);
        master.program("run/told", "#!/bin/sh\necho \"$@\" >> /run/notes\n");
        backup.program("run/told", "#!/bin/sh\nexec sleep 1234\n");
        site.boot();
        site.wait_for(master);
        let notes = || master.read("run/notes").unwrap_or_default();
        wait_until("it is told", || notes().starts_with("it state active MASTER active"));
        // there was no reader until now, which was nobody's trouble
        assert_eq!(master.count("notify_fifo"), 0);
        // The program is started first, and the FIFO is made when there is something to
        // be written into it.
        let (no_wait, path) = (OFlag::O_NONBLOCK.bits(), master.path("run/events"));
        wait_until("the FIFO is made", || path.exists());
        let mut events = OpenOptions::new().read(true).custom_flags(no_wait).open(path).unwrap();
        backup.stop();
        // An event from before that waited for a reader may come first.
        let (mut line, mut event) = (String::new(), serde_json::Value::Null);
        wait_until("the partner's end is an event", || {
            let mut byte = [0];
            while event["what"] != "left" && events.read(&mut byte).is_ok_and(|n| n == 1) {
                line.push(byte[0].into());
                if line.ends_with('\n') {
                    event = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                    line.clear();
                }
            }
            event["what"] == "left"
        });
        assert_eq!(event["event"], "partner", "{event}");
        assert_eq!((&event["role"], &event["state"]), (&"MASTER".into(), &"active".into()));
        wait_until("it is told", || notes().contains("it partner left MASTER active"));
        master.ip("addr del 10.0.0.9/24 dev v0");
        wait_until("it is told of the address", || {
            let notes = notes();
            let lost = notes.find("it vip lost MASTER active virtual IP 10.0.0.9 ");
            let back = notes.find("it vip back MASTER active virtual IP 10.0.0.9 is on v0 again");
            lost.zip(back).is_some_and(|(lost, back)| lost < back)
        });
        // the other's listener hangs, and neither it nor anybody else waits for that
        backup.start();
        wait_until("the standby is back", || notes().contains("it partner back MASTER active"));
        master.stop();
        site.wait_for(backup);
        backup.wait_for_line("notify was killed after 3s");
        wait_until("it is gone", || backup.running("sleep 1234").is_empty());
    });
}
