//! Real servers that behave as told, and a nanny whose lines are read as it says
//! them. Whatever a test starts ends with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything takes on the slowest machine; a test that waits so long failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// A process whose command line has these words in a row, wherever; zombies have none.
pub(crate) fn find_process(words: &[&str]) -> Option<Pid> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let has: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.iter().all(|word| has.contains(&word.as_bytes())).then(|| Pid::from_raw(pid))
    })
}

/// What a server does with a connection.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// Says this and closes.
    Text(&'static [u8]),
    /// Says this, a byte a segment.
    ByteByByte(&'static [u8]),
    /// Keeps the connection and says nothing.
    Stall,
    /// Says this, a byte a second.
    Drip(&'static [u8]),
    /// Says this, and then x up to a gigabyte, or as long as somebody listens.
    Flood(&'static [u8]),
    /// Resets the connection.
    Reset,
    /// Says that it has nothing to say, and goes on listening.
    HalfClose,
}

fn drip(mut stream: TcpStream, text: &[u8]) {
    for byte in text.chunks(1) {
        if stream.write_all(byte).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn flood(mut stream: TcpStream, text: &[u8]) {
    let (mut left, piece) = (1u64 << 30, vec![b'x'; 65_536]);
    if stream.write_all(text).is_err() {
        return;
    }
    while left > 0 && stream.write_all(&piece).is_ok() {
        left -= piece.len() as u64;
    }
}

/// A port that nobody has, nor gets while its server is away: it is given out once, and
/// from below those that the kernel chooses. Of those a check would sooner or later get
/// the very one it connects to, and so an answer where nobody listens: its own.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Elsewhere in another run that goes on beside this one.
    let begin = u16::try_from(std::process::id() % u32::from(COUNT / 100)).unwrap() * 100;
    loop {
        let port = FIRST + (begin + GIVEN.fetch_add(1, Ordering::SeqCst)) % COUNT;
        let is_free = TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok();
        if is_free {
            return port;
        }
    }
}

/// A TCP server on a port of its own.
pub(crate) struct Server {
    /// Its port, also after a restart.
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What changes while it serves, and does so at once.
struct State {
    answer: Answer,
    /// How many connections came.
    asked: usize,
    /// Those that are open still.
    kept: Vec<TcpStream>,
}

impl Server {
    /// Listens at once.
    pub(crate) fn start(answer: Answer) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let state = State { answer, asked: 0, kept: Vec::new() };
        let mut server = Self { port, state: Arc::new(Mutex::new(state)), stop: Arc::default(), thread: None };
        server.serve(listener);
        server
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, stop) = (self.state.clone(), self.stop.clone());
        self.thread = Some(std::thread::spawn(move || {
            loop {
                let Ok((stream, _)) = listener.accept() else { continue };
                if stop.load(Ordering::SeqCst) {
                    // In this order: who sees a connection end finds nobody who listens.
                    drop(listener);
                    state.lock().unwrap().kept.clear();
                    return;
                }
                let answer = {
                    let mut state = state.lock().unwrap();
                    state.asked += 1;
                    match state.answer {
                        Answer::Flood(_) | Answer::Reset => {}
                        Answer::Text(_)
                        | Answer::ByteByByte(_)
                        | Answer::Stall
                        | Answer::Drip(_)
                        | Answer::HalfClose => state.kept.push(stream.try_clone().unwrap()),
                    }
                    state.answer
                };
                say(stream, answer);
            }
        }));
    }

    /// How many connections came.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// Closes all connections, and goes on listening.
    pub(crate) fn hang_up(&self) {
        self.state.lock().unwrap().kept.clear();
    }

    /// From the next connection on; how many came before.
    pub(crate) fn answer(&self, answer: Answer) -> usize {
        let mut state = self.state.lock().unwrap();
        state.answer = answer;
        state.asked
    }

    /// The port refuses.
    pub(crate) fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.store(true, Ordering::SeqCst);
            let _ = TcpStream::connect(("127.0.0.1", self.port));
            thread.join().unwrap();
        }
    }

    /// Listens again; how many connections came before.
    pub(crate) fn restart(&mut self) -> usize {
        let asked = self.asked();
        self.stop.store(false, Ordering::SeqCst);
        let listener = wait_for("the port", || TcpListener::bind(("127.0.0.1", self.port)).ok());
        self.serve(listener);
        asked
    }
}

/// What becomes of a new connection.
fn say(mut stream: TcpStream, answer: Answer) {
    match answer {
        Answer::Text(text) => {
            let _ = stream.write_all(text);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        Answer::ByteByByte(text) => {
            stream.set_nodelay(true).unwrap();
            for byte in text.chunks(1) {
                let _ = stream.write_all(byte);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Answer::Stall => {}
        Answer::Drip(text) => {
            std::thread::spawn(move || drip(stream, text));
        }
        Answer::Flood(text) => {
            std::thread::spawn(move || flood(stream, text));
        }
        Answer::Reset => {
            let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
            nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
        }
        Answer::HalfClose => {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A UDP server that sends this back to whoever asks, until it is silent.
pub(crate) struct Echo {
    /// Its address and port.
    pub(crate) at: SocketAddr,
    silent: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Listens at once; asserts that it is asked in these words.
    pub(crate) fn start(ip: &str, expected: &'static [u8], answer: &'static [u8]) -> Self {
        let socket = UdpSocket::bind((ip, free_port())).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let at = socket.local_addr().unwrap();
        let (silent, gone) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (is_silent, is_gone) = (silent.clone(), gone.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while !is_gone.load(Ordering::SeqCst) {
                let Ok((n, from)) = socket.recv_from(&mut buffer) else { continue };
                assert_eq!(&buffer[..n], expected);
                if !is_silent.load(Ordering::SeqCst) {
                    // Who asked may be gone.
                    let _ = socket.send_to(answer, from);
                }
            }
        });
        Self { at, silent, gone, thread: Some(thread) }
    }

    /// It is there still, and says nothing more.
    pub(crate) fn silence(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// The port refuses.
    pub(crate) fn stop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A nanny in the foreground that does not touch the kernel.
pub(crate) struct Nanny {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
    /// How far [`Nanny::wait_for`] has read.
    read: usize,
}

impl Nanny {
    /// Watches 127.0.0.1:`port` for 192.0.2.1:80.
    pub(crate) fn start(port: u16, more: &[&str]) -> Self {
        Self::start_on(port, more, Stdio::null())
    }

    /// The same with this stdin.
    pub(crate) fn start_on(port: u16, more: &[&str], stdin: Stdio) -> Self {
        Self::run(port, more, Self::command().stdin(stdin))
    }

    /// Watches a failover service on 127.0.0.1:`port`.
    pub(crate) fn watch(port: u16, more: &[&str], stdin: Stdio) -> Self {
        let mut command = Self::command();
        command.args(["-n", "--fos", "-h", "127.0.0.1", "-p", &port.to_string()]).args(more);
        Self::listen(command.stdin(stdin))
    }

    /// Checks 127.0.0.1:`port` for the services that it is told on this stdin.
    pub(crate) fn share(port: u16, more: &[&str], stdin: Stdio) -> Self {
        let mut command = Self::command();
        command
            .args(["-n", "--norun", "--lvs", "--shared", "1", "-h", "127.0.0.1", "-r", &port.to_string()])
            .args(more);
        Self::listen(command.stdin(stdin))
    }

    /// The program itself.
    pub(crate) fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_nanny"))
    }

    /// The same by a command prepared for it.
    pub(crate) fn run(port: u16, more: &[&str], command: &mut Command) -> Self {
        command
            .args(["-n", "--norun", "--lvs", "-h", "127.0.0.1", "-r", &port.to_string(), "-V", "192.0.2.1", "-M", "g"])
            .args(more);
        Self::listen(command)
    }

    fn listen(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines, heard: Vec::new(), read: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// The next line with these words, behind the last one waited for.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let line = self.next_line(words, until);
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Such lines in whatever order, behind the last one waited for.
    pub(crate) fn wait_for_all(&mut self, words: &[&str]) {
        let until = Instant::now() + DEADLINE;
        let mut missing = words.to_vec();
        while let Some(first) = missing.first() {
            let line = self.next_line(first, until);
            missing.retain(|words| !line.contains(words));
        }
    }

    fn next_line(&mut self, words: &str, until: Instant) -> String {
        if self.read == self.heard.len() {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.heard.push(line),
                Err(e @ (RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => {
                    panic!("{e}: {words:?} not in {:#?}", self.heard)
                }
            }
        }
        self.read += 1;
        self.heard[self.read - 1].clone()
    }

    /// TERM and its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Its exit code, and all it said is heard.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let status = wait_for("the end of nanny", || self.child.try_wait().unwrap());
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.heard.push(line);
        }
        status.code()
    }

    /// How many lines have these words; after [`Nanny::wait`], of all lines.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.heard.iter().filter(|line| line.contains(words)).count()
    }
}

impl Drop for Nanny {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
