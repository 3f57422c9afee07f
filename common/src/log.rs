//! Where a daemon's lines go: syslog, stdout, or both. No wording lives here;
//! each daemon's lines are one enum in its own `messages.rs`.
//!
//! The transport never blocks and never gives up: a line for a reader that is
//! away or stuck (syslogd, or a pager behind stdout) waits in a short queue and goes
//! out with a later one, and when the queue is full the oldest line is dropped and
//! counted; the count stands in the log where the lines would. The line carries no
//! time stamp: syslogd stamps what it receives on /dev/log by its own clock and
//! in its own zone (RFC 3164 4.3.2 says what a receiver does without one).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use syslog::{Facility, LogFormat, Severity};

/// How much a line matters. The original logged everything at `info`
/// (piranha.md 6); ours have severities, the texts stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is given up, or the daemon exits.
    Error,
    /// It goes on, but somebody should look.
    Warning,
    /// A change of role or of health.
    Notice,
    /// Start, stop, reload, and what follows from them.
    Info,
    /// Each probe, each heartbeat; only with `--verbose`.
    Debug,
}

/// One line a daemon can say. Implemented by each daemon's `messages.rs`.
pub trait Message: Display {
    /// The severity it is logged with.
    fn level(&self) -> Level;
}

/// The longest line that is sent, in bytes; what is longer is cut at a
/// character. rsyslogd's own default limit is 8 KiB.
pub const LINE_MAX: usize = 1024;

/// How many lines wait for a syslogd that is away, if nothing else is said. A burst
/// of one restart fits; ten thousand nannies with a queue each must not hold the
/// machine's memory.
const QUEUE_MAX: usize = 32;

/// The same for a daemon of which there is one on a machine: what lvsd says of two
/// thousand virtual services while rsyslogd is started again. Half a MiB of usual lines,
/// four of the longest, and none when nothing waits.
pub const LONG_QUEUE: usize = 4096;

/// Stands where lines were dropped.
pub struct Lost {
    /// How many.
    pub lines: u64,
}

impl Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} log lines were lost here, nobody took them in time", self.lines)
    }
}

impl Message for Lost {
    fn level(&self) -> Level {
        Level::Warning
    }
}

/// A facility by its name in syslog.conf: `daemon`, `local0` to `local7`, ...
///
/// # Errors
/// The name is none of syslog.conf(5)'s.
pub fn facility(name: &str) -> Result<Facility, String> {
    Facility::from_str(name).map_err(|()| format!("unknown syslog facility \"{name}\""))
}

/// Writes `IDENT[PID]: TEXT` behind the priority, without a time stamp.
#[derive(Clone)]
struct Line {
    facility: Facility,
    ident: &'static str,
    pid: u32,
}

impl<T: Display> LogFormat<T> for Line {
    fn format<W: io::Write>(&self, w: &mut W, severity: Severity, text: T) -> syslog::Result<()> {
        let priority = self.facility as u8 | severity as u8;
        let head = format!("<{priority}>{}[{}]: ", self.ident, self.pid);
        let mut line = OneLine(head);
        // Writing into a String cannot fail.
        let _ = fmt::Write::write_str(&mut line, &words(&text));
        w.write_all(line.0.as_bytes()).map_err(syslog::Error::Io)
    }
}

/// What std puts behind the system's words.
const NUMBER: &str = " (os error ";

/// A text as the log has it: the system's words for an error without the number
/// behind them, for the original's lines end in strerror(3)'s text (piranha.md 6).
pub fn words(text: &impl Display) -> String {
    let text = text.to_string();
    let mut parts = text.split(NUMBER);
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest.strip_prefix(')').filter(|_| rest.len() < part.len()) {
            Some(rest) => words.push_str(rest),
            None => words.extend([NUMBER, part]),
        }
    }
    words
}

/// Collects text as one bounded line: control characters (a server's answer may
/// hold any) become blanks, so that no reply can forge a line of ours.
struct OneLine(String);

impl fmt::Write for OneLine {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            if self.0.len() + c.len_utf8() > LINE_MAX {
                break;
            }
            self.0.push(if c.is_control() { ' ' } else { c });
        }
        Ok(())
    }
}

/// Lines that wait for their reader, up to a number.
struct Queue<T> {
    waiting: VecDeque<T>,
    max: usize,
    /// How many were dropped, and how many of those are told of.
    dropped: u64,
    told: u64,
}

impl<T> Queue<T> {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), max: QUEUE_MAX, dropped: 0, told: 0 }
    }

    fn push(&mut self, line: T) {
        if self.waiting.len() >= self.max {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(line);
    }

    /// What is to be said in front of the oldest line.
    fn lost(&self) -> Option<Lost> {
        Some(self.dropped - self.told).filter(|lines| *lines > 0).map(|lines| Lost { lines })
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives back the memory of a burst.
    fn rest(&mut self) {
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            self.waiting = VecDeque::new();
        }
    }
}

/// A syslog socket that reconnects and never blocks.
struct Sender {
    path: PathBuf,
    line: Line,
    socket: Option<UnixDatagram>,
    queue: Queue<Vec<u8>>,
}

impl Sender {
    fn new(path: PathBuf, line: Line) -> Self {
        Self { path, line, socket: None, queue: Queue::new() }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }

    /// One attempt, over the open socket or a new one.
    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(line) {
                Ok(_) => return Ok(()),
                // A full queue: the daemon is stuck, the socket is right.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(e),
                // Anything else: syslogd has been restarted.
                Err(_) => self.socket = None,
            }
        }
        let socket = self.connect()?;
        socket.send(line)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends what waits, oldest first; stops at the first that does not go.
    fn flush(&mut self) {
        if let Some(lost) = self.queue.lost() {
            let mut line = Vec::new();
            // Writing into a Vec cannot fail.
            let _ = self.line.format(&mut line, Severity::LOG_WARNING, &lost);
            if self.send(&line).is_err() {
                return;
            }
            self.queue.told = self.queue.dropped;
        }
        while let Some(line) = self.queue.waiting.pop_front() {
            if self.send(&line).is_err() {
                self.queue.waiting.push_front(line);
                return;
            }
        }
        self.queue.rest();
    }
}

/// The backend `syslog::Logger` wants; a datagram per `write_all`.
impl io::Write for Sender {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.flush();
        if !self.queue.is_empty() || self.send(line).is_err() {
            self.queue.push(line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self);
        Ok(())
    }
}

/// A terminal or a pipe, as `NAME: TEXT`. Whoever reads there may stop reading (a
/// pager, a ^S), and the loop must not: a line goes out when there is room for it,
/// and waits otherwise. The descriptor itself stays blocking, for others have it too.
struct Output<W> {
    name: &'static str,
    to: W,
    /// Rather waits for the reader than loses a line.
    patient: bool,
    queue: Queue<String>,
}

impl<W: io::Write + AsFd> Output<W> {
    fn new(name: &'static str, to: W) -> Self {
        Self { name, to, patient: false, queue: Queue::new() }
    }

    fn line(&self, text: &dyn Display) -> String {
        let mut line = OneLine(format!("{}: ", self.name));
        // Writing into a String cannot fail.
        let _ = fmt::Write::write_str(&mut line, &words(&text));
        line.0.push('\n');
        line.0
    }

    fn say(&mut self, text: &dyn Display) {
        self.queue.push(self.line(text));
        self.flush();
    }

    fn flush(&mut self) {
        while !self.queue.is_empty() && (self.patient || self.has_room()) {
            let line = match self.queue.lost() {
                Some(lost) => {
                    self.queue.told = self.queue.dropped;
                    Some(self.line(&lost))
                }
                None => self.queue.waiting.pop_front(),
            };
            if let Some(line) = line {
                // A closed stdout is the reader's affair.
                let _ = self.to.write_all(line.as_bytes()).and_then(|()| self.to.flush());
            }
        }
        self.queue.rest();
    }

    /// A pipe that poll(2) calls writable takes a page, which is more than a line.
    fn has_room(&self) -> bool {
        let mut asked = [PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)];
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

/// Where lines go and how much is said.
pub struct Log {
    syslog: Option<RefCell<syslog::Logger<Sender, Line>>>,
    stdout: Option<RefCell<Output<io::Stdout>>>,
    verbose: bool,
}

impl Log {
    /// A log that says nothing anywhere; sinks are added to it.
    /// With `verbose` the lines of [`Level::Debug`] are said too.
    pub fn new(verbose: bool) -> Self {
        Self { syslog: None, stdout: None, verbose }
    }

    /// Adds syslog: `IDENT[PID]: TEXT`, through /dev/log.
    #[must_use]
    pub fn with_syslog(self, ident: &'static str, facility: Facility) -> Self {
        self.with_syslog_at(ident, facility, PathBuf::from("/dev/log"))
    }

    /// The same through another socket (tests).
    #[must_use]
    pub fn with_syslog_at(mut self, ident: &'static str, facility: Facility, path: PathBuf) -> Self {
        let line = Line { facility, ident, pid: std::process::id() };
        self.syslog = Some(RefCell::new(syslog::Logger::new(Sender::new(path, line.clone()), line)));
        self
    }

    /// Adds stdout, as `NAME: TEXT`; the original's foreground mode.
    #[must_use]
    pub fn with_stdout(mut self, name: &'static str) -> Self {
        self.stdout = Some(RefCell::new(Output::new(name, io::stdout())));
        self
    }

    /// Lets lines for stdout wait for its reader, however long: for a program that
    /// only prints what it would do, and has nothing else to do meanwhile.
    #[must_use]
    pub fn patient(self) -> Self {
        if let Some(output) = &self.stdout {
            output.borrow_mut().patient = true;
        }
        self
    }

    /// Lets so many lines wait for a reader that is away, instead of few.
    #[must_use]
    pub fn holding(self, lines: usize) -> Self {
        if let Some(logger) = &self.syslog {
            logger.borrow_mut().backend.queue.max = lines;
        }
        if let Some(output) = &self.stdout {
            output.borrow_mut().queue.max = lines;
        }
        self
    }

    /// Whether lines of [`Level::Debug`] are said.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Says one line. Never blocks (unless [`Log::patient`]), never fails.
    pub fn say(&self, message: &dyn Message) {
        let level = message.level();
        if level == Level::Debug && !self.verbose {
            return;
        }
        if let Some(logger) = &self.syslog {
            let logger = &mut *logger.borrow_mut();
            // The backend keeps what it cannot send, so there is no error to act on.
            let _ = match level {
                Level::Error => logger.err(message),
                Level::Warning => logger.warning(message),
                Level::Notice => logger.notice(message),
                Level::Info => logger.info(message),
                Level::Debug => logger.debug(message),
            };
        }
        if let Some(output) = &self.stdout {
            output.borrow_mut().say(message);
        }
    }

    /// Sends lines that waited for a reader. Called where the loop wakes anyway.
    pub fn flush(&self) {
        if let Some(output) = &self.stdout {
            output.borrow_mut().flush();
        }
        if let Some(logger) = &self.syslog {
            Sender::flush(&mut logger.borrow_mut().backend);
        }
    }

    /// How many lines were lost because nobody read too many of them.
    pub fn dropped(&self) -> u64 {
        let syslog = self.syslog.as_ref().map_or(0, |logger| logger.borrow().backend.queue.dropped);
        syslog + self.stdout.as_ref().map_or(0, |output| output.borrow().queue.dropped)
    }

    /// How many lines wait for a reader.
    pub fn waiting(&self) -> usize {
        let syslog = self.syslog.as_ref().map_or(0, |logger| logger.borrow().backend.queue.waiting.len());
        syslog + self.stdout.as_ref().map_or(0, |output| output.borrow().queue.waiting.len())
    }
}

#[cfg(test)]
mod tests;
