//! A model of the original's pulse as piranha.md 2.2 to 2.4 describe it: its four
//! bytes, its state machine, its order of doing things. What it says goes to the
//! machine's syslog under its name.
//!
//! Its words: `master` or `backup`, its own and its partner's address, keepalive
//! and deadtime in milliseconds, the VIP as an interface has it, the virtual
//! service, then the destinations. It is told `stop` and answers when it is down.

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Master;

const PORT: u16 = 539;
const DEVICE: &str = "eth0";

// 2.2, as the bytes are on the wire
const RUNNING: [u8; 4] = [0xda, 0xdb, 0xad, 0xbd];
const STOPPED: [u8; 4] = [0xbd, 0xda, 0xbd, 0xad];
const STOP_ME: [u8; 4] = [0xda, 0xda, 0xad, 0xde];
const HOLD: [u8; 4] = [0xbe, 0xba, 0xaf, 0xde];
const HELD: [u8; 4] = [0xda, 0xda, 0xaf, 0xde];

/// Announcements after a takeover (2.4).
const ANNOUNCEMENTS: u8 = 5;

struct Original {
    is_master: bool,
    partner: IpAddr,
    keepalive: Duration,
    deadtime: Duration,
    vip: String,
    service: String,
    destinations: Vec<String>,
    socket: UdpSocket,
    is_active: bool,
    beat_at: Instant,
    dead_at: Instant,
    announce_at: Instant,
    announcements: u8,
}

pub(super) fn play(mut master: Master, words: &[&str]) {
    let [role, own, partner, keepalive, deadtime, vip, service, destinations @ ..] = words else {
        panic!("too few words: {words:?}")
    };
    let ms = |text: &str| Duration::from_millis(text.parse().expect("milliseconds"));
    let socket = UdpSocket::bind((*own, PORT)).expect("failed to bind to heartbeat address");
    socket.set_nonblocking(true).expect("a socket");
    let now = Instant::now();
    let mut this = Original {
        is_master: *role == "master",
        partner: partner.parse().expect("an address"),
        keepalive: ms(keepalive),
        deadtime: ms(deadtime),
        vip: (*vip).to_owned(),
        service: (*service).to_owned(),
        destinations: destinations.iter().map(|it| (*it).to_owned()).collect(),
        socket,
        is_active: false,
        beat_at: now,
        dead_at: now + ms(deadtime),
        announce_at: now,
        announcements: 0,
    };
    say(&format!("STARTING PULSE AS {}", if this.is_master { "MASTER" } else { "BACKUP" }));
    master.answer("ready");
    while this.turn(&mut master) {}
}

impl Original {
    /// One turn of its select(); false at the end.
    fn turn(&mut self, master: &mut Master) -> bool {
        let next = self.beat_at.min(self.dead_at).min(self.announce_at);
        let left = u16::try_from(next.saturating_duration_since(Instant::now()).as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds = [
            PollFd::new(master.line.get_ref().as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        if poll(&mut fds, PollTimeout::from(left)).is_err() {
            return true;
        }
        let [told, heard] = fds.map(|fd| fd.any().unwrap_or(false));
        // What waits first: a busy machine may have kept us from it.
        if heard {
            self.hear();
        }
        self.timers();
        if !told {
            return true;
        }
        let wish = master.wish();
        if wish.is_some() {
            say("Terminating due to signal 15");
            self.deactivate();
            master.answer("done");
        }
        false
    }

    fn timers(&mut self) {
        let now = Instant::now();
        if now >= self.beat_at {
            self.beat();
            self.beat_at = now + self.keepalive;
        }
        if now >= self.dead_at {
            if !self.is_active {
                say("partner dead: activating lvs");
                self.activate();
            }
            self.dead_at = Instant::now() + self.deadtime;
        }
        if now >= self.announce_at {
            if self.announcements > 0 {
                announce();
                self.announcements -= 1;
            }
            self.announce_at = now + Duration::from_secs(1);
        }
    }

    fn beat(&self) {
        // Errors are silent (2.2).
        let _ = self.socket.send_to(if self.is_active { &RUNNING } else { &STOPPED }, (self.partner, PORT));
    }

    fn hear(&mut self) {
        // What is longer is cut off and accepted (2.2).
        let mut word = [0; 4];
        let Ok((n, from)) = self.socket.recv_from(&mut word) else { return };
        if from.ip() != self.partner {
            return;
        }
        if n != word.len() {
            return say("bad heartbeat packet");
        }
        match (word, self.is_active, self.is_master) {
            (STOPPED, false, true) => {
                say("backup inactive: activating lvs");
                self.activate();
            }
            (STOPPED, false, false) => {
                say("primary inactive: activating lvs");
                self.activate();
            }
            (RUNNING, true, true) => {
                say("partner active: resending arps");
                self.announcements = ANNOUNCEMENTS;
                self.announce_at = Instant::now();
            }
            (RUNNING, true, false) => {
                self.beat();
                say("partner active: deactivating LVS");
                self.deactivate();
            }
            (STOP_ME, ..) => panic!("somebody says STOPME"),
            (STOPPED | RUNNING | HOLD | HELD, ..) => {}
            _ => return say("Incompatible heartbeat received -- other system not using identical services"),
        }
        self.dead_at = Instant::now() + self.deadtime;
    }

    /// The rules, then the VIP (2.4).
    fn activate(&mut self) {
        self.is_active = true;
        run("ipvsadm", &["-A", "-t", &self.service, "-s", "rr"]);
        for destination in &self.destinations {
            run("ipvsadm", &["-a", "-t", &self.service, "-r", destination, "-g"]);
        }
        run("ip", &["addr", "add", &self.vip, "dev", DEVICE]);
        self.announcements = ANNOUNCEMENTS;
        self.announce_at = Instant::now();
    }

    /// In this order, too.
    fn deactivate(&mut self) {
        if std::mem::take(&mut self.is_active) {
            run("ipvsadm", &["-D", "-t", &self.service]);
            run("ip", &["addr", "del", &self.vip, "dev", DEVICE]);
        }
    }
}

/// The kernel announces the addresses of an interface whose hardware address is
/// set, even to what it was.
fn announce() {
    let _ = std::fs::write(format!("/proc/sys/net/ipv4/conf/{DEVICE}/arp_notify"), "1");
    let shown = Command::new("ip").args(["-o", "link", "show", DEVICE]).output().expect("iproute2");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let mac = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).expect("its address");
    run("ip", &["link", "set", DEVICE, "address", mac]);
}

fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().expect("it starts");
    assert!(status.success(), "{program} {words:?}: {status}");
}

fn say(text: &str) {
    let line = format!("<30>pulse[{}]: {text}", std::process::id());
    let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(line.as_bytes(), "/dev/log"));
}
