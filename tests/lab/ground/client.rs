//! A client: opens connections on a schedule, whatever became of the last ones,
//! and holds some open with data flowing; every one is recorded with its time,
//! the server that answered, or what went wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::wait::{SOON, holds_within, wait_until};
use super::{Lab, Machine};

/// How long a connection on a schedule may take from its first packet to the end of
/// the answer, unless something else is said. A lost packet is sent again after one
/// second: that client waited, and was served.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long the kernel waits for one that is asked once, or held: it has no idea of
/// who did not run meanwhile.
const KERNELS_PATIENCE: Duration = Duration::from_secs(15);

/// What a turn may take beyond the pace before it counts as one in which the client did
/// not run: a tick of the kernel and a little.
const TURN: Duration = Duration::from_millis(20);

/// How connections are opened on a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// One after this long.
    pub every: Duration,
    /// How long it may take from its first packet to the end of the answer, not
    /// counting the time in which the client itself did not get to run.
    pub patience: Duration,
    /// With so many under way none is added, so that a machine too slow for the
    /// schedule is asked less instead of failing at it.
    pub under_way_max: usize,
}

impl Pace {
    /// Slow enough for a guest that shares its processor with others, and leaves some of
    /// it to what is shown. Who is dropped is never answered; who waits for a busy
    /// machine is.
    pub const STEADY: Self =
        Self { every: Duration::from_millis(25), patience: Duration::from_secs(30), under_way_max: 20 };
}

/// Whatever became of the last ones, up to more than a takeover of some seconds leaves
/// under way.
impl From<Duration> for Pace {
    fn from(every: Duration) -> Self {
        Self { every, patience: PATIENCE, under_way_max: 100 }
    }
}

/// How often a held connection says something, and how long it waits for the echo.
const PULSE: Duration = Duration::from_millis(50);

/// The ports connections on a schedule come from, one after the other. The kernel
/// itself takes the same port again after seconds, and a director drops what
/// comes from it for a minute if the connection before went to a server that was
/// taken out (net.ipv4.vs.expire_nodest_conn is 0 by default); five minutes pass
/// here before one returns.
const PORTS: Range<u16> = 1024..32768;

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This server answered.
    Served(String),
    /// It failed, in these words.
    Failed(String),
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// When it was opened.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// The client's port, by which the director's /proc/net/ip_vs_conn knows it.
    pub port: u16,
    /// How it ended.
    pub outcome: Outcome,
}

/// A machine that asks.
pub struct Client {
    /// The machine.
    pub machine: Machine,
    /// Counts through [`PORTS`].
    next_port: Arc<AtomicU16>,
}

impl Client {
    /// A client on `network`.
    pub fn new(lab: &Lab, name: &str, network: &str, addresses: &[&str]) -> Self {
        let machine = lab.machine(name);
        lab.plug(&machine, network, "eth0", addresses);
        Self { machine, next_port: Arc::new(AtomicU16::new(PORTS.start)) }
    }

    /// One HTTP request: the server's name, or what went wrong.
    pub fn ask(&self, vip: &str) -> Result<String, String> {
        self.ask_within(KERNELS_PATIENCE, vip)
    }

    /// The same where nobody is expected to answer.
    pub fn ask_within(&self, patience: Duration, vip: &str) -> Result<String, String> {
        let to: SocketAddr = vip.parse().expect("an address");
        self.machine.inside(move || request(to, patience).map_err(|e| e.to_string()))
    }

    /// One datagram and its answer.
    pub fn ask_udp(&self, vip: &str, what: &str) -> Result<String, String> {
        let to: SocketAddr = vip.parse().expect("an address");
        let what = what.to_owned();
        self.machine.inside(move || datagram(to, &what).map_err(|e| e.to_string()))
    }

    /// One message over SCTP and its answer.
    pub fn ask_sctp(&self, vip: &str, what: &str) -> Result<String, String> {
        let to: SocketAddr = vip.parse().expect("an address");
        let what = what.to_owned();
        self.machine.inside(move || sctp(to, &what).map_err(|e| e.to_string()))
    }

    /// Opens connections to `vip` from now on.
    pub fn open_connections(&self, vip: &str, pace: impl Into<Pace>) -> Load {
        let pace = pace.into();
        let to = vip.parse().expect("an address");
        let shared = Arc::new(Shared::default());
        let (run, next_port) = (Arc::clone(&shared), Arc::clone(&self.next_port));
        let thread = self.thread(move || Schedule::new(to, pace, &run, &next_port).run());
        Load { shared, pace, thread: Some(thread) }
    }

    /// Opens `count` connections to `vip` and keeps them open, with a line and its
    /// echo twenty times a second on each. All stand when this returns.
    pub fn hold(&self, vip: &str, count: usize) -> Held {
        let to: SocketAddr = vip.parse().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let lines = (0..count).map(|_| {
            let shared = Arc::new(Mutex::new(HeldLine::default()));
            let (line, until) = (Arc::clone(&shared), Arc::clone(&stop));
            let thread = self.thread(move || keep_talking(to, &line, &until));
            (shared, thread)
        });
        let held = Held { lines: lines.collect(), stop };
        wait_until(SOON, "all held connections stand", || {
            held.lines.iter().all(|(line, _)| line.lock().expect("no panic holds it").echoes > 0)
        });
        held
    }

    /// A thread in the client's network.
    pub(super) fn thread(&self, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.machine.first_pid())).expect("its network");
        std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).expect("the right to enter it");
            run();
        })
    }
}

fn request(to: SocketAddr, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(who(&answer))
}

fn datagram(to: SocketAddr, what: &str) -> std::io::Result<String> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    // Connected: an answer from any other address than the VIP is none.
    socket.connect(to)?;
    socket.set_read_timeout(Some(KERNELS_PATIENCE))?;
    socket.send(what.as_bytes())?;
    let mut buffer = [0; 2048];
    let n = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

fn sctp(to: SocketAddr, what: &str) -> std::io::Result<String> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Sctp)?;
    // Its connect(2) waits as long as a send would.
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::seconds(15))?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
    let mut stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(KERNELS_PATIENCE))?;
    stream.write_all(what.as_bytes())?;
    let mut buffer = [0; 2048];
    let n = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// haproxy says the latter, whatever it was asked in.
const OK: [&[u8]; 2] = [b"HTTP/1.0 200", b"HTTP/1.1 200"];

/// The name in an answer's body.
fn who(answer: &str) -> String {
    answer.split_once("\r\n\r\n").map_or(answer, |(_, body)| body).trim().to_owned()
}

#[derive(Default)]
struct Shared {
    done: Mutex<Vec<Connection>>,
    /// When the oldest connection that is still under way was opened.
    oldest: Mutex<Option<Instant>>,
    stop: AtomicBool,
}

/// Connections on a schedule, and their record.
pub struct Load {
    shared: Arc<Shared>,
    pace: Pace,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// All that were opened between `from` and `to`; waits until those are done.
    pub fn between(&self, from: Instant, to: Instant) -> Vec<Connection> {
        wait_until(SOON + self.pace.patience, "the connections opened until then are done", || {
            let oldest = *self.shared.oldest.lock().expect("no panic holds it");
            oldest.is_some_and(|oldest| oldest > to)
        });
        let done = self.shared.done.lock().expect("no panic holds it");
        let mut all: Vec<Connection> = done.iter().filter(|c| c.at >= from && c.at <= to).cloned().collect();
        all.sort_by_key(|c| c.at);
        all
    }

    /// Waits until this many more connections were served.
    pub fn wait_for_served(&self, more: usize) {
        assert!(
            self.serves_within(SOON, more),
            "waited {} s in vain: {more} more connections are served",
            SOON.as_secs()
        );
    }

    /// Whether this many more connections are served by then.
    pub fn serves_within(&self, deadline: Duration, more: usize) -> bool {
        let served = || {
            let done = self.shared.done.lock().expect("no panic holds it");
            done.iter().filter(|c| matches!(c.outcome, Outcome::Served(_))).count()
        };
        let before = served();
        holds_within(deadline, || served() >= before + more)
    }

    /// How many of those opened since `from` are served by now.
    pub fn served_since(&self, from: Instant) -> usize {
        let done = self.shared.done.lock().expect("no panic holds it");
        done.iter().filter(|c| c.at >= from && matches!(c.outcome, Outcome::Served(_))).count()
    }

    /// Those that failed.
    pub fn failed_between(&self, from: Instant, to: Instant) -> Vec<Connection> {
        let mut all = self.between(from, to);
        all.retain(|c| matches!(c.outcome, Outcome::Failed(_)));
        all
    }

    /// There were some, and none failed.
    pub fn assert_none_failed(&self, from: Instant, to: Instant) {
        let all = self.between(from, to);
        assert!(!all.is_empty(), "no connection was opened in that time: nothing is shown");
        let failed: Vec<String> = all
            .iter()
            .filter_map(|c| match &c.outcome {
                Outcome::Failed(why) => {
                    Some(format!("after {:?}: {why} (took {:?}, from port {:04X})", c.at - from, c.took, c.port))
                }
                Outcome::Served(_) => None,
            })
            .collect();
        assert!(failed.is_empty(), "{} of {} connections failed:\n{}", failed.len(), all.len(), failed.join("\n"));
    }

    /// There were some, and none was left without an answer; those may have been reset
    /// that were under way when another director took over, which is one moment.
    pub fn assert_reset_at_one_moment(&self, from: Instant, to: Instant) {
        assert!(!self.between(from, to).is_empty(), "no connection was opened in that time: nothing is shown");
        let failed = self.failed_between(from, to);
        let is_reset = |it: &Connection| matches!(&it.outcome, Outcome::Failed(why) if why.contains("reset"));
        assert!(failed.iter().all(is_reset) && have_one_moment(&failed), "{failed:#?}");
    }

    /// How many each server answered between the two moments.
    pub fn served_between(&self, from: Instant, to: Instant) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for connection in self.between(from, to) {
            if let Outcome::Served(name) = connection.outcome {
                *count.entry(name).or_default() += 1;
            }
        }
        count
    }
}

/// Whether there was a moment in which all of them were under way.
fn have_one_moment(all: &[Connection]) -> bool {
    let last_opened = all.iter().map(|it| it.at).max();
    let first_ended = all.iter().map(|it| it.at + it.took).min();
    last_opened <= first_ended
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A connection under way.
struct Open {
    stream: TcpStream,
    at: Instant,
    /// The same by the schedule's clock.
    at_clock: Duration,
    asked: bool,
    answer: Vec<u8>,
}

impl Open {
    /// Something happened on it; what it came to, if it is over.
    fn go_on(&mut self) -> Option<Outcome> {
        if !self.asked {
            if let Some(error) = self.stream.take_error().unwrap_or_else(Some) {
                return Some(Outcome::Failed(error.to_string()));
            }
            if let Err(error) = self.stream.write_all(REQUEST) {
                return Some(Outcome::Failed(error.to_string()));
            }
            self.asked = true;
            return None;
        }
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) if OK.iter().any(|line| self.answer.starts_with(line)) => {
                    return Some(Outcome::Served(who(&String::from_utf8_lossy(&self.answer))));
                }
                Ok(0) => return Some(Outcome::Failed(format!("answered {:?}", String::from_utf8_lossy(&self.answer)))),
                Ok(n) => self.answer.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) => return Some(Outcome::Failed(e.to_string())),
            }
        }
    }

    fn wants(&self) -> PollFlags {
        if self.asked { PollFlags::POLLIN } else { PollFlags::POLLOUT }
    }
}

struct Schedule<'a> {
    to: SocketAddr,
    pace: Pace,
    next: Instant,
    /// The time in which it got to run, up to the last turn's begin.
    clock: Duration,
    turned: Instant,
    open: Vec<Open>,
    shared: &'a Shared,
    next_port: &'a AtomicU16,
}

impl<'a> Schedule<'a> {
    fn new(to: SocketAddr, pace: Pace, shared: &'a Shared, next_port: &'a AtomicU16) -> Self {
        let (now, clock) = (Instant::now(), Duration::ZERO);
        Self { to, pace, next: now, clock, turned: now, open: Vec::new(), shared, next_port }
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.turn_the_clock();
            self.open_what_is_due();
            let ready = self.wait();
            self.look_after_all(&ready);
            let oldest = self.open.iter().map(|open| open.at).min().unwrap_or(self.next);
            *self.shared.oldest.lock().expect("no panic holds it") = Some(oldest);
        }
    }

    /// A client that was kept from running has not waited: its answers may lie there.
    fn turn_the_clock(&mut self) {
        let now = Instant::now();
        self.clock += (now - self.turned).min(self.pace.every + TURN);
        self.turned = now;
    }

    fn open_what_is_due(&mut self) {
        let now = Instant::now();
        while self.next <= now {
            if self.open.len() >= self.pace.under_way_max {
                self.next = now + self.pace.every;
                return;
            }
            let next = |port| Some(if port + 1 < PORTS.end { port + 1 } else { PORTS.start });
            let port = self.next_port.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(PORTS.start);
            // Before its first packet: what was true from then on was true for it.
            let (at, at_clock) = (Instant::now(), self.clock);
            match start(self.to, port) {
                Ok(stream) => {
                    self.open.push(Open { stream, at, at_clock, asked: false, answer: Vec::new() });
                }
                Err(e) => self.record(now, None, Outcome::Failed(e.to_string())),
            }
            self.next += self.pace.every;
            // A machine that was asleep does not open a thousand at once.
            if now.saturating_duration_since(self.next) > Duration::from_secs(1) {
                self.next = now + self.pace.every;
            }
        }
    }

    /// Which of the open ones have something to say.
    fn wait(&self) -> Vec<bool> {
        let left = self.next.saturating_duration_since(Instant::now());
        let timeout = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
        let mut fds: Vec<PollFd<'_>> =
            self.open.iter().map(|open| PollFd::new(open.stream.as_fd(), open.wants())).collect();
        let any = poll(&mut fds, PollTimeout::from(timeout)).is_ok_and(|n| n > 0);
        fds.iter().map(|fd| any && fd.any().unwrap_or(false)).collect()
    }

    fn look_after_all(&mut self, ready: &[bool]) {
        let mut still = Vec::new();
        for (mut open, ready) in std::mem::take(&mut self.open).into_iter().zip(ready) {
            let outcome = if *ready { open.go_on() } else { None };
            let late = self.clock > open.at_clock + self.pace.patience;
            match outcome {
                Some(outcome) => self.record(open.at, Some(&open.stream), outcome),
                None if late && open.asked => self.record_late(&open, "connected, no answer in time"),
                None if late => self.record_late(&open, "no connection in time"),
                None => still.push(open),
            }
        }
        self.open = still;
    }

    fn record_late(&self, open: &Open, what: &str) {
        self.record(open.at, Some(&open.stream), Outcome::Failed(what.to_owned()));
    }

    fn record(&self, at: Instant, stream: Option<&TcpStream>, outcome: Outcome) {
        let port = stream.and_then(|stream| stream.local_addr().ok()).map_or(0, |address| address.port());
        let connection = Connection { at, took: at.elapsed(), port, outcome };
        self.shared.done.lock().expect("no panic holds it").push(connection);
    }
}

/// Begins a connection from `port` without waiting for it.
fn start(to: SocketAddr, port: u16) -> nix::Result<TcpStream> {
    let (family, any) = match to {
        SocketAddr::V4(_) => (AddressFamily::Inet, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (AddressFamily::Inet6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, port)))?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(e) => Err(e),
    }
}

#[derive(Default)]
struct HeldLine {
    server: String,
    echoes: u64,
    /// When it broke and why.
    broken: Option<(Instant, String)>,
}

/// Connections that are held open.
pub struct Held {
    lines: Vec<(Arc<Mutex<HeldLine>>, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
}

impl Held {
    /// How many each server has.
    pub fn servers(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for (line, _) in &self.lines {
            *count.entry(line.lock().expect("no panic holds it").server.clone()).or_default() += 1;
        }
        count
    }

    /// Those of `server` that broke, with why.
    pub fn broken(&self, server: &str) -> Vec<String> {
        let lines = self.lines.iter().map(|(line, _)| line.lock().expect("no panic holds it"));
        lines
            .filter(|line| line.server == server)
            .filter_map(|line| line.broken.as_ref().map(|(_, why)| why.clone()))
            .collect()
    }

    /// Waits until so many of `server` are broken.
    pub fn wait_for_broken(&self, server: &str, count: usize) {
        let what = format!("{count} connections held to {server} break");
        wait_until(SOON, &what, || self.broken(server).len() == count);
    }

    /// Data still flows, from now on, on all connections of `server`.
    pub fn assert_flowing(&self, server: &str) {
        let echoes = || -> Vec<u64> {
            let lines = self.lines.iter().map(|(line, _)| line.lock().expect("no panic holds it"));
            lines.filter(|line| line.server == server).map(|line| line.echoes).collect()
        };
        let before = echoes();
        assert!(!before.is_empty(), "no connection is held to {server}: nothing is shown");
        assert_eq!(self.broken(server), [""; 0], "connections to {server} broke");
        wait_until(SOON, &format!("data flows on all connections held to {server}"), || {
            echoes().iter().zip(&before).all(|(now, before)| now > before)
        });
        assert_eq!(self.broken(server), [""; 0], "connections to {server} broke");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for (_, thread) in std::mem::take(&mut self.lines) {
            let _ = thread.join();
        }
    }
}

fn keep_talking(to: SocketAddr, line: &Mutex<HeldLine>, stop: &AtomicBool) {
    if let Err(e) = talk(to, line, stop) {
        line.lock().expect("no panic holds it").broken = Some((Instant::now(), e.to_string()));
    }
}

fn talk(to: SocketAddr, line: &Mutex<HeldLine>, stop: &AtomicBool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, KERNELS_PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PULSE))?;
    stream.write_all(b"GET /echo HTTP/1.0\r\n\r\n")?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(format!("{number}\n").as_bytes())?;
        let Some(echo) = hear(&mut reader, stop)? else { return Ok(()) };
        match echo.trim_end().split_once(' ') {
            Some((server, said)) if said == number.to_string() => {
                let mut line = line.lock().expect("no panic holds it");
                server.clone_into(&mut line.server);
                line.echoes += 1;
            }
            _ => return Err(std::io::Error::other(format!("echo {echo:?} to {number}"))),
        }
        number += 1;
        std::thread::sleep(PULSE);
    }
    Ok(())
}

/// The next line, in pieces of the stream's read timeout; `None` when it is told to stop.
fn hear(reader: &mut impl BufRead, stop: &AtomicBool) -> std::io::Result<Option<String>> {
    let (mut line, since) = (String::new(), Instant::now());
    loop {
        match reader.read_line(&mut line) {
            Ok(_) => return Ok(Some(line)),
            Err(e) if e.kind() != ErrorKind::WouldBlock || since.elapsed() > KERNELS_PATIENCE => return Err(e),
            Err(_) if stop.load(Ordering::Relaxed) => return Ok(None),
            Err(_) => {}
        }
    }
}

#[test]
fn what_was_under_way_when_another_took_over_had_one_moment() {
    let from = Instant::now();
    let ms = Duration::from_millis;
    let failed = |at: u64, took: u64| Connection {
        at: from + ms(at),
        took: ms(took),
        port: 0,
        outcome: Outcome::Failed("reset".to_owned()),
    };
    assert!(have_one_moment(&[]));
    assert!(have_one_moment(&[failed(0, 50)]));
    assert!(have_one_moment(&[failed(0, 50), failed(20, 300), failed(49, 1)]));
    // One after the other: nobody knew the service for a while.
    assert!(!have_one_moment(&[failed(0, 5), failed(20, 5)]));
    assert!(!have_one_moment(&[failed(0, 50), failed(20, 25), failed(46, 100)]));
}
