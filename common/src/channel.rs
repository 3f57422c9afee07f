//! The line between a parent daemon and its child, and the place where a new
//! parent finds the child again.
//!
//! ```text
//! parent                                   child
//!   socketpair ── stdin of the child ──────► reads Ask, says Said
//!   SIGKILL'd; the child sees the end of the line and carries on with its work
//! new parent ── connects to the child's meeting place ─► answers Said::Hello
//! ```
//!
//! A packet is one message in words, so that strace shows what was said. A child
//! that says nothing for too long is frozen (see [`crate::child`]); a line that
//! ends is a dead process on its other end, whoever its parent is. Neither end
//! ever waits for the other: a full line costs the message, never the sender.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, getsockname, getsockopt, recv, send,
    socketpair, sockopt,
};

use crate::destinations::{Assignment, Held, Record, Target, unpack};
use crate::ipvs::ServiceKey;

mod flaps;
mod meeting;

pub use flaps::Flaps;
pub use meeting::{MeetingPlace, failover_place, join, nanny_place};

pub mod services;

/// The longest packet, in bytes. The longest message is a nanny's command line:
/// two paths of 4095 bytes and a few strings of 255 (lvs.cf(5)).
pub const PACKET_MAX: usize = 16 * 1024;

/// The longest answer to [`Ask::Why`], in characters.
const WHY_MAX: usize = 4000;

/// The longest reason, in characters: a line of the log.
const REASON_MAX: usize = crate::log::LINE_MAX;

/// The longest question, in bytes: an order about a real server with two long names.
pub const ASK_MAX: usize = 1024;

/// What of a question its records may take.
pub const ASK_ROOM: usize = ASK_MAX - 16;

/// What of an answer they may take: as much as one reader's patience.
pub const SAID_ROOM: usize = PACKET_MAX / 2;

/// Which words are spoken on lines; said in [`Said::Hello`]. It counts up when words
/// change so that a sibling of another version cannot be worked with: whoever hears
/// another one replaces that sibling by a fresh process, which leaves the kernel as
/// it is. A word that is only new needs no count, it is passed over. Never change
/// `hello PID VERSION` and `release`: that is all it takes.
pub const VERSION: u32 = 1;

/// What a child tells its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The first message on a line: who is there. `arguments` is the command
    /// line without the program, so that a new parent sees whether it is still
    /// the wanted one.
    Hello {
        /// Process id, in the child's pid namespace.
        pid: u32,
        /// Its [`VERSION`]; 0 if it says none.
        version: u32,
        /// The command line behind the program's name; none if a packet does not hold
        /// it, so that it is not taken for the one that is wanted.
        arguments: Vec<String>,
    },
    /// Everything it owns is as it should be for the first time.
    Ready,
    /// Its loop turned; said every [`crate::child::Rules::beat`].
    Alive,
    /// nanny's verdict on its real server, said on every change and after Hello.
    Verdict {
        /// Whether the real server is in use.
        available: bool,
        /// The weight its destination has now, 0 to 65535.
        weight: u32,
    },
    /// It goes on its own; the text says why. Its end follows.
    Leaving(String),
    /// nanny's answer to [`Ask::Why`].
    Why {
        /// When the last check that failed did, in seconds since 1970; 0: none did.
        at: u64,
        /// What happened in it, a line a step, the last one the reason.
        text: String,
    },
    /// lvsd's word that this director cannot serve, and why; said on every change
    /// and after Hello.
    Unable(String),
    /// It can again.
    Able,
    /// lvsd's word on virtual IPs that nothing behind serves; said on every change,
    /// between Hello and Ready, and with the beat.
    Withdrawn(services::Page),
    /// lvsd's word that something happened to its services.
    News(services::News),
    /// nanny: how its real server comes and goes, where that is dampened; said on every
    /// change and after Hello.
    Flaps(Flaps),
    /// A shared nanny: it keeps these, and this is what became of them. Said of all
    /// before Hello, after [`Ask::Hold`] of those in it, and of each at every change.
    Holds(Vec<Held>),
    /// A shared nanny: it does not keep these any more.
    Dropped(Vec<Target>),
    /// lvsd's answer to [`Ask::Order`] and [`Ask::Status`].
    Answer {
        /// It did as it was asked.
        done: bool,
        /// More of the answer begins here.
        next: Option<usize>,
        /// In words.
        text: String,
    },
}

/// What a parent asks of its child. Stop is a signal (TERM), as it always was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// End, and leave everything in the kernel as it is: another takes over.
    Release,
    /// Compare with the kernel now instead of at the next tick.
    Check,
    /// Of lvsd: replace the nannies whose program was replaced, one after another. A
    /// pulse that adopted lvsd says so: it may have been started by an upgrade.
    Renew,
    /// Of a nanny: why did the last check fail that did? Answered by [`Said::Why`].
    Why,
    /// pulse's word that this director is the active one; said on every change and
    /// after Hello. Failover services run from here on.
    Serve,
    /// The same when it is not.
    Rest,
    /// nanny: its real server is among the last of its service, and stays in use even
    /// if checks fail; or is not any more. Said on every change and after its Hello.
    Stay(bool),
    /// Of a shared nanny: keep these, so, from now on.
    Hold(Vec<Assignment>),
    /// Of a shared nanny: keep these no more.
    Drop {
        /// They stay in the kernel as they are.
        stays: bool,
        /// Which.
        targets: Vec<Target>,
    },
    /// Of a shared nanny: [`Ask::Check`] about what it keeps in this service.
    CheckService(ServiceKey),
    /// nanny: its predecessor, whose checks were the same, found the real server good, or
    /// bad. Said before its first check.
    Was(bool),
    /// nanny: what that predecessor knew of how the real server comes and goes. Said before
    /// its first check.
    Flapped(Flaps),
    /// lvsd: the operator wants something of one real server.
    Order {
        /// `drain`, `disable`, `enable` or `weight=N`.
        what: String,
        /// What it is called.
        server: String,
    },
    /// lvsd: how things are, from this line on.
    Status(usize),
}

/// Why bytes are not a message. The packet is ignored and counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not UTF-8.
    #[error("not text")]
    NotText,
    /// An unknown first word; a newer partner says more than we know.
    #[error("unknown word \"{0}\"")]
    UnknownWord(String),
    /// A field is missing or not what it should be.
    #[error("bad field in \"{0}\"")]
    BadField(&'static str),
    /// Longer than any packet; what was cut off is not guessed.
    #[error("too long: {0} bytes")]
    TooLong(usize),
}

impl Said {
    /// Who we are, with the command line behind the program's name.
    pub fn hello(arguments: Vec<String>) -> Self {
        Self::Hello { pid: std::process::id(), version: VERSION, arguments }
    }

    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { pid, version, arguments } => {
                let mut text = format!("hello {pid} {version}");
                let nameless = text.len();
                for argument in arguments {
                    text.push('\0');
                    text.push_str(argument);
                }
                if text.len() > PACKET_MAX {
                    text.truncate(nameless);
                }
                text.into_bytes()
            }
            Self::Ready => b"ready".to_vec(),
            Self::Alive => b"alive".to_vec(),
            Self::Verdict { available, weight } => {
                let mut text = String::from(if *available { "up" } else { "down" });
                let _ = write!(text, " {weight}");
                text.into_bytes()
            }
            Self::Leaving(why) => {
                let why: String = why.chars().take(REASON_MAX).collect();
                format!("leaving {why}").into_bytes()
            }
            Self::Why { at, text } => {
                let text: String = text.chars().take(WHY_MAX).collect();
                format!("why {at} {text}").into_bytes()
            }
            Self::Unable(why) => {
                let why: String = why.chars().take(REASON_MAX).collect();
                format!("unable {why}").into_bytes()
            }
            Self::Able => b"able".to_vec(),
            Self::News(news) => format!("news {news}").into_bytes(),
            Self::Withdrawn(page) => format!("withdrawn {page}").into_bytes(),
            Self::Flaps(flaps) => format!("flaps {flaps}").into_bytes(),
            Self::Holds(held) => records("holds", held),
            Self::Dropped(targets) => records("dropped", targets),
            Self::Answer { done, next, text } => {
                let next = next.map_or_else(|| "-".to_owned(), |next| next.to_string());
                format!("answer {} {next} {text}", if *done { "yes" } else { "no" }).into_bytes()
            }
        }
    }

    /// The message in a packet.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(packet).map_err(|_| DecodeError::NotText)?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "hello" => {
                let mut parts = rest.split('\0');
                let (pid, version) = parts.next().and_then(decode_who).ok_or(DecodeError::BadField("hello"))?;
                Ok(Self::Hello { pid, version, arguments: parts.map(str::to_owned).collect() })
            }
            "ready" => Ok(Self::Ready),
            "alive" => Ok(Self::Alive),
            "up" | "down" => {
                let weight = rest.parse().map_err(|_| DecodeError::BadField("verdict"))?;
                Ok(Self::Verdict { available: word == "up", weight })
            }
            "leaving" => Ok(Self::Leaving(rest.to_owned())),
            "why" => {
                let (at, text) = rest.split_once(' ').ok_or(DecodeError::BadField("why"))?;
                let at = at.parse().map_err(|_| DecodeError::BadField("why"))?;
                Ok(Self::Why { at, text: text.to_owned() })
            }
            "unable" => Ok(Self::Unable(rest.to_owned())),
            "able" => Ok(Self::Able),
            "news" => rest.parse().map(Self::News).map_err(|()| DecodeError::BadField("news")),
            "withdrawn" => rest.parse().map(Self::Withdrawn).map_err(|()| DecodeError::BadField("withdrawn")),
            "flaps" => rest.parse().map(Self::Flaps).map_err(|()| DecodeError::BadField("flaps")),
            "holds" => unpack(rest).map(Self::Holds).ok_or(DecodeError::BadField("holds")),
            "dropped" => unpack(rest).map(Self::Dropped).ok_or(DecodeError::BadField("dropped")),
            "answer" => Self::decode_answer(rest).ok_or(DecodeError::BadField("answer")),
            other => Err(DecodeError::UnknownWord(other.chars().take(32).collect())),
        }
    }
}

/// `PID VERSION`; a later version may say more behind it.
fn decode_who(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split(' ');
    let pid = words.next()?.parse().ok()?;
    let version = words.next().map_or(Ok(0), str::parse).ok()?;
    Some((pid, version))
}

impl Said {
    fn decode_answer(rest: &str) -> Option<Self> {
        let (done, rest) = rest.split_once(' ')?;
        let (next, text) = rest.split_once(' ')?;
        let next = if next == "-" { None } else { Some(next.parse().ok()?) };
        matches!(done, "yes" | "no").then(|| Self::Answer { done: done == "yes", next, text: text.to_owned() })
    }
}

impl Ask {
    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Release => b"release".to_vec(),
            Self::Check => b"check".to_vec(),
            Self::Renew => b"renew".to_vec(),
            Self::Why => b"why".to_vec(),
            Self::Serve => b"serve".to_vec(),
            Self::Rest => b"rest".to_vec(),
            Self::Stay(true) => b"stay".to_vec(),
            Self::Stay(false) => b"stay not".to_vec(),
            Self::Was(true) => b"was up".to_vec(),
            Self::Was(false) => b"was down".to_vec(),
            Self::Flapped(flaps) => format!("flapped {flaps}").into_bytes(),
            Self::Hold(assignments) => records("hold", assignments),
            Self::Drop { stays: true, targets } => records("leave", targets),
            Self::Drop { stays: false, targets } => records("drop", targets),
            Self::CheckService(service) => format!("check {service}").into_bytes(),
            Self::Order { what, server } => format!("order {what} {server}").into_bytes(),
            Self::Status(from) => format!("status {from}").into_bytes(),
        }
    }

    /// The message in a packet.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(packet).map_err(|_| DecodeError::NotText)?;
        match text {
            "release" => Ok(Self::Release),
            "check" => Ok(Self::Check),
            "renew" => Ok(Self::Renew),
            "why" => Ok(Self::Why),
            "serve" => Ok(Self::Serve),
            "rest" => Ok(Self::Rest),
            "stay" => Ok(Self::Stay(true)),
            "stay not" => Ok(Self::Stay(false)),
            "was up" => Ok(Self::Was(true)),
            "was down" => Ok(Self::Was(false)),
            other if other.starts_with("order ") => {
                let bad = DecodeError::BadField("order");
                let (what, server) = other.get(6..).and_then(|rest| rest.split_once(' ')).ok_or(bad)?;
                Ok(Self::Order { what: what.to_owned(), server: server.to_owned() })
            }
            other if other.starts_with("status ") => {
                let from = other.get(7..).and_then(|rest| rest.parse().ok());
                from.map(Self::Status).ok_or(DecodeError::BadField("status"))
            }
            other => {
                let bad = |word| DecodeError::BadField(word);
                match other.split_once(' ') {
                    Some(("hold", rest)) => unpack(rest).map(Self::Hold).ok_or(bad("hold")),
                    Some((word @ ("drop" | "leave"), rest)) => {
                        let targets = unpack(rest).ok_or(bad("drop"))?;
                        Ok(Self::Drop { stays: word == "leave", targets })
                    }
                    Some(("flapped", flaps)) => flaps.parse().map(Self::Flapped).map_err(|()| bad("flapped")),
                    Some(("check", service)) => ServiceKey::parse(service).map(Self::CheckService).ok_or(bad("check")),
                    Some(_) | None => Err(DecodeError::UnknownWord(other.chars().take(32).collect())),
                }
            }
        }
    }
}

/// A word and what is about, a line each.
fn records<R: Record>(word: &str, of: &[R]) -> Vec<u8> {
    let mut text = format!("{word} ");
    for record in of {
        let _ = writeln!(text, "{record}");
    }
    text.into_bytes()
}

/// What came from the other end.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// A message.
    Message(T),
    /// A packet that is none; it is worth a count, not a death.
    Garbage(DecodeError),
    /// Nothing more for now.
    Nothing,
    /// The other end is gone.
    Ended,
}

/// One end of a line. Nonblocking, close-on-exec; register its descriptor for
/// reading in the loop and read until [`Received::Nothing`].
#[derive(Debug)]
pub struct Line {
    fd: OwnedFd,
}

impl Line {
    /// A new line: the parent's end, and the end that becomes the child's stdin.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        nonblocking(ours.as_fd())?;
        Ok((Self { fd: ours }, theirs))
    }

    /// The child's end, where the child is no process of its own.
    pub fn of(theirs: OwnedFd) -> Self {
        Self { fd: theirs }
    }

    /// The line a parent gave us as stdin, if stdin is one. Stdin itself is
    /// replaced by /dev/null, so that the end of the line is really its end.
    pub fn from_stdin() -> Option<Self> {
        let stdin = io::stdin();
        let fd = stdin.as_fd();
        let kind = getsockopt(&fd, sockopt::SockType).ok()?;
        let address = getsockname::<UnixAddr>(fd.as_raw_fd());
        if kind != SockType::SeqPacket || address.is_err() {
            return None;
        }
        let line = fd.try_clone_to_owned().ok()?;
        nonblocking(line.as_fd()).ok()?;
        if let Ok(null) = std::fs::File::open("/dev/null") {
            // Keeping the descriptor is a lesser evil than having no line.
            let _ = nix::unistd::dup2_stdin(&null);
        }
        Some(Self { fd: line })
    }

    /// Says something. A full line (the parent is stuck) loses the message: every
    /// message but [`Said::News`] is repeated, or a state that is said again on Hello.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.try_send(packet).map(drop)
    }

    /// The same; `false`: the line is full, and did not take it.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn try_send(&self, packet: &[u8]) -> io::Result<bool> {
        loop {
            return match send(self.fd.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Ok(_) => Ok(true),
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EMSGSIZE) => Ok(false),
                Err(Errno::EINTR) => continue,
                Err(e) => Err(e.into()),
            };
        }
    }

    /// The next packet as the parent sees it.
    pub fn receive_said(&self) -> Received<Said> {
        let mut buffer = vec![0; PACKET_MAX];
        self.receive(&mut buffer, Said::decode)
    }

    /// The next packet as the child sees it.
    pub fn receive_ask(&self) -> Received<Ask> {
        self.receive(&mut [0; ASK_MAX], Ask::decode)
    }

    /// The next packet, as somebody reads it who says more than [`Said`] and [`Ask`].
    pub fn receive_with<T>(&self, decode: fn(&[u8]) -> Result<T, DecodeError>) -> Received<T> {
        self.receive(&mut vec![0; PACKET_MAX], decode)
    }

    fn receive<T>(&self, buffer: &mut [u8], decode: fn(&[u8]) -> Result<T, DecodeError>) -> Received<T> {
        loop {
            // MSG_TRUNC: the length is the packet's, whatever the buffer holds of it.
            return match recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC) {
                Ok(0) => Received::Ended,
                Ok(n) => match buffer.get(..n).ok_or(DecodeError::TooLong(n)).and_then(decode) {
                    Ok(message) => Received::Message(message),
                    Err(e) => Received::Garbage(e),
                },
                Err(Errno::EAGAIN) => Received::Nothing,
                // ECONNRESET: it ended without having read all we said. The kernel tells
                // that first, once, and what it had said itself afterwards.
                Err(Errno::EINTR | Errno::ECONNRESET) => continue,
                Err(_) => Received::Ended,
            };
        }
    }

    /// Waits for the packet that `wanted` takes, and passes over all others; `None`
    /// when the other end is gone before it came. For programs that have no loop yet.
    ///
    /// # Errors
    /// `TimedOut` when it has not come by then, whatever else came; otherwise the
    /// system's.
    pub fn wait_for<T, W>(
        &self,
        decode: fn(&[u8]) -> Result<T, DecodeError>,
        until: Instant,
        mut wanted: impl FnMut(T) -> Option<W>,
    ) -> io::Result<Option<W>> {
        loop {
            match self.receive_with(decode) {
                Received::Message(message) => {
                    if let Some(wanted) = wanted(message) {
                        return Ok(Some(wanted));
                    }
                }
                Received::Ended => return Ok(None),
                Received::Garbage(_) | Received::Nothing => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            // poll(2) counts milliseconds: not a last one of turns without a wait
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Whether the other end is gone, whatever it said before and is still to be read.
    pub fn is_ended(&self) -> bool {
        let mut ends = [PollFd::new(self.as_fd(), PollFlags::empty())];
        // What cannot be asked shows when it is read.
        let asked = poll(&mut ends, PollTimeout::ZERO).is_ok();
        let [end] = ends;
        asked && end.revents().is_some_and(|it| it.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
    }

    /// The process on the other end, as the kernel knows it.
    ///
    /// # Errors
    /// Never on a connected line.
    pub fn peer(&self) -> io::Result<UnixCredentials> {
        Ok(getsockopt(&self.fd, sockopt::PeerCredentials)?)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests;
