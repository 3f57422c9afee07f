//! The socket of a check: connects, and moves the bytes that
//! [`crate::probe::talk`] asks for. Never waits; the loop calls
//! [`Conversation::advance`] whenever the socket is ready.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UdpSocket};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::secure::{Begin, Session};
use crate::probe::exchange::Next;
use crate::probe::talk::{Talk, Topic};
use crate::probe::transcript::Transcript;
use crate::probe::{Outcome, Target, Transport};

/// How much is read at once: a page of the stack is a page of each of ten thousand.
const READ_SIZE: usize = 512;

/// How often bytes are moved in one turn of the loop: who sends faster than we read
/// must not keep us from looking at the clock.
const STEPS_A_TURN: usize = 128;

/// The longest answer over a connection that is read, in bytes.
pub const ANSWER_MAX: usize = 1024 * 1024;

/// When a server's certificate ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub of: SocketAddr,
    /// In seconds since 1970.
    pub ends: i64,
    /// How long before that it is warned of.
    pub warn_before: Duration,
}

/// One conversation with the real server.
#[derive(Debug)]
pub struct Conversation {
    socket: Socket,
    to: SocketAddr,
    stage: Stage,
    talk: Talk,
    warn_before: Duration,
    /// When silence becomes an answer (UDP).
    good_at: Option<Instant>,
    /// How long the answer is so far.
    received: usize,
    /// The turn in which there was more than one turn is for: nobody will tell us of it again.
    paused: Option<Instant>,
    /// What happened so far.
    pub transcript: Transcript,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Securing,
    Talking,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Tls(TcpStream, Box<dyn Session>),
    Icmp(File),
}

impl Conversation {
    /// Opens the socket and starts connecting. In a frame of its own, as all here that
    /// is large: the stack's high mark is what a process keeps.
    ///
    /// # Errors
    /// The check ended here, and so.
    #[inline(never)]
    pub fn begin(
        (transport, topic): (&Transport, &Topic),
        target: &Target,
        secure: Option<Begin>,
        (registry, token): (&Registry, Token),
        now: Instant,
    ) -> Result<Self, Outcome> {
        let failed = |e: Errno| match transport {
            Transport::Icmp => Outcome::PingFailed(e),
            Transport::Tcp | Transport::Sctp | Transport::Udp | Transport::Tls(_) => Outcome::ConnectFailed(e),
        };
        let fd = open(transport, target).map_err(failed)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut socket = match transport {
            // A connection of SCTP's is used as one of TCP's.
            Transport::Tcp | Transport::Sctp => Socket::Tcp(TcpStream::from_std(fd.into())),
            Transport::Udp => Socket::Udp(UdpSocket::from_std(fd.into())),
            Transport::Icmp => Socket::Icmp(fd.into()),
            Transport::Tls(tls) => {
                let begin = secure.ok_or_else(|| Outcome::TlsFailed("this program has no TLS".to_owned()))?;
                let session = begin(tls, target.to.ip()).map_err(Outcome::TlsFailed)?;
                Socket::Tls(TcpStream::from_std(fd.into()), session)
            }
        };
        let registered = match &mut socket {
            Socket::Tcp(stream) | Socket::Tls(stream, _) => registry.register(stream, token, both),
            Socket::Udp(socket) => registry.register(socket, token, Interest::READABLE),
            Socket::Icmp(file) => registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE),
        };
        registered.map_err(|e| failed(errno(&e)))?;
        let stage = match transport {
            Transport::Tcp | Transport::Sctp | Transport::Tls(_) => Stage::Connecting,
            Transport::Udp | Transport::Icmp => Stage::Talking,
        };
        let mut transcript = Transcript::new(now);
        transcript.note(
            now,
            format_args!("{} to {}", if stage == Stage::Talking { "talking" } else { "connecting" }, target.to),
        );
        let talk = topic.begin(target.to.ip(), chance());
        let warn_before = match transport {
            Transport::Tls(tls) => tls.expiry_warning,
            Transport::Tcp | Transport::Sctp | Transport::Udp | Transport::Icmp => Duration::ZERO,
        };
        Ok(Self {
            socket,
            to: target.to,
            stage,
            talk,
            warn_before,
            good_at: None,
            received: 0,
            paused: None,
            transcript,
        })
    }

    /// Goes as far as the socket and the turn let it. `None`: it goes on.
    pub fn advance(&mut self, topic: &Topic, now: Instant) -> Option<Outcome> {
        self.paused = None;
        for _ in 0..STEPS_A_TURN {
            let step = match self.stage {
                Stage::Connecting => self.connect(now),
                Stage::Securing => self.secure(now),
                Stage::Talking => self.step(topic, now),
            };
            match step {
                Ok(None) => {}
                Ok(Some(outcome)) => return Some(outcome),
                Err((e, _)) if e.kind() == io::ErrorKind::Interrupted => {}
                Err((e, _)) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Err((e, failed)) => {
                    self.transcript.note(now, format_args!("{e}"));
                    return Some(self.failed(&e, failed));
                }
            }
        }
        self.paused = Some(now);
        None
    }

    fn failed(&self, e: &io::Error, failed: fn(Errno) -> Outcome) -> Outcome {
        match (&self.socket, e.raw_os_error()) {
            (Socket::Icmp(_), _) => Outcome::PingFailed(errno(e)),
            (Socket::Tls(..), None) => Outcome::TlsFailed(e.to_string()),
            (Socket::Tcp(_) | Socket::Udp(_) | Socket::Tls(..), _) => failed(errno(e)),
        }
    }

    fn connect(&mut self, now: Instant) -> Step {
        let (Socket::Tcp(stream) | Socket::Tls(stream, _)) = &self.socket else {
            self.stage = Stage::Talking;
            return Ok(None);
        };
        match stream.take_error() {
            Ok(None) => {}
            // Only who was connected is reset: it may have been between two of our looks.
            Ok(Some(e)) if e.kind() == io::ErrorKind::ConnectionReset => return Err((e, Outcome::ReadFailed)),
            Ok(Some(e)) | Err(e) => return Err((e, Outcome::ConnectFailed)),
        }
        match stream.peer_addr() {
            Ok(_) => {
                self.stage = if matches!(self.socket, Socket::Tls(..)) { Stage::Securing } else { Stage::Talking };
                self.transcript.note(now, format_args!("connected"));
                Ok(None)
            }
            Err(e) if e.kind() == io::ErrorKind::NotConnected => {
                Err((io::ErrorKind::WouldBlock.into(), Outcome::ConnectFailed))
            }
            Err(e) => Err((e, Outcome::ConnectFailed)),
        }
    }

    fn secure(&mut self, now: Instant) -> Step {
        let Socket::Tls(stream, session) = &mut self.socket else {
            self.stage = Stage::Talking;
            return Ok(None);
        };
        if session.handshake(stream).map_err(|e| (e, Outcome::ReadFailed as fn(Errno) -> Outcome))? {
            self.stage = Stage::Talking;
            self.transcript.note(now, format_args!("handshake done: {}", session.describe()));
        }
        Ok(None)
    }

    #[inline(never)]
    fn step(&mut self, topic: &Topic, now: Instant) -> Step {
        let mut buffer = [0; READ_SIZE];
        match self.talk.next(topic) {
            Next::Over(outcome) => Ok(Some(outcome)),
            Next::Send(bytes) => {
                let sent = self.socket.send(bytes).map_err(|e| (e, Outcome::WriteFailed as fn(Errno) -> Outcome))?;
                self.transcript.bytes(now, "sent", bytes.get(..sent).unwrap_or_default());
                self.talk.sent(sent);
                Ok(None)
            }
            Next::Receive(room) => {
                let room = buffer.get_mut(..room.min(READ_SIZE)).unwrap_or_default();
                let got = self.socket.receive(room).map_err(|e| (e, Outcome::ReadFailed as fn(Errno) -> Outcome))?;
                let bytes = buffer.get(..got).unwrap_or_default();
                if bytes.is_empty() && !self.socket.is_datagram() {
                    self.transcript.note(now, format_args!("closed by the server"));
                    return Ok(Some(self.talk.ended(topic)));
                }
                self.transcript.bytes(now, "received", bytes);
                self.received = self.received.saturating_add(got);
                let outcome = self.talk.received(topic, bytes);
                // What else comes as datagrams (a raw socket hears each echo of the machine) is no answer.
                let is_long = self.received > ANSWER_MAX && !self.socket.is_datagram();
                Ok(outcome.or_else(|| {
                    is_long.then(|| Outcome::Wrong(format!("the answer is longer than {ANSWER_MAX} bytes")))
                }))
            }
            Next::Listen(silence) => {
                self.good_at.get_or_insert_with(|| now + silence);
                let got =
                    self.socket.receive(&mut buffer).map_err(|e| (e, Outcome::ReadFailed as fn(Errno) -> Outcome))?;
                self.transcript.bytes(now, "received", buffer.get(..got).unwrap_or_default());
                Ok(Some(Outcome::Good))
            }
        }
    }

    /// The time came: silence that is an answer, `deadline`, or the next turn.
    pub fn due(&mut self, topic: &Topic, now: Instant, deadline: Instant) -> Option<Outcome> {
        if self.good_at.is_some_and(|at| now >= at) {
            return Some(Outcome::Good);
        }
        if now < deadline {
            return self.paused.and_then(|_| self.advance(topic, now));
        }
        self.transcript.note(now, format_args!("the time is over"));
        Some(match self.stage {
            Stage::Connecting => Outcome::ConnectTimedOut,
            Stage::Securing => Outcome::TlsTimedOut,
            Stage::Talking => self.talk.timed_out(topic),
        })
    }

    /// When [`Conversation::due`] is next worth asking.
    pub fn deadline(&self, deadline: Instant) -> Instant {
        [self.good_at, self.paused].into_iter().flatten().fold(deadline, Instant::min)
    }

    /// The answer so far.
    pub fn got(&self) -> &[u8] {
        self.talk.got()
    }

    /// The server's certificate, if it showed one.
    pub fn certificate(&self) -> Option<Certificate> {
        match &self.socket {
            Socket::Tls(_, session) => {
                session.expires().map(|ends| Certificate { of: self.to, ends, warn_before: self.warn_before })
            }
            Socket::Tcp(_) | Socket::Udp(_) | Socket::Icmp(_) => None,
        }
    }
}

/// `Ok(None)`: go on; `Ok(Some(_))`: it ended. An error comes with what it means.
type Step = Result<Option<Outcome>, (io::Error, fn(Errno) -> Outcome)>;

impl Socket {
    fn is_datagram(&self) -> bool {
        match self {
            Self::Udp(_) | Self::Icmp(_) => true,
            Self::Tcp(_) | Self::Tls(..) => false,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Udp(socket) => socket.send(bytes),
            Self::Tls(stream, session) => session.send(stream, bytes),
            Self::Icmp(file) => file.write(bytes),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Udp(socket) => socket.recv(buffer),
            Self::Tls(stream, session) => session.receive(stream, buffer),
            Self::Icmp(file) => file.read(buffer),
        }
    }
}

/// A socket that is connected or connects, from where the check is to come.
fn open(transport: &Transport, target: &Target) -> Result<OwnedFd, Errno> {
    let is_v4 = target.to.is_ipv4();
    let family = if is_v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = match transport {
        Transport::Tcp | Transport::Tls(_) => socket(family, SockType::Stream, flags, None)?,
        Transport::Sctp => socket(family, SockType::Stream, flags, SockProtocol::Sctp)?,
        Transport::Udp => socket(family, SockType::Datagram, flags, None)?,
        Transport::Icmp => {
            let icmp = if is_v4 { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
            // Root's way; and that of a group in net.ipv4.ping_group_range.
            match socket(family, SockType::Raw, flags, icmp) {
                Err(Errno::EPERM | Errno::EACCES) => socket(family, SockType::Datagram, flags, icmp)?,
                socket => socket?,
            }
        }
    };
    if target.mark != 0 {
        setsockopt(&fd, sockopt::Mark, &target.mark)?;
    }
    if let Some(interface) = &target.interface {
        setsockopt(&fd, sockopt::BindToDevice, &interface.into())?;
    }
    if let Some(source) = target.source {
        if is_v4 && !matches!(transport, Transport::Sctp | Transport::Icmp) {
            // The port is chosen when the destination is known: there are as many as checks need.
            setsockopt(&fd, sockopt::IpBindAddressNoPort, &true)?;
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    }
    let to = match transport {
        // A raw socket takes its port for a protocol.
        Transport::Icmp => SocketAddr::new(target.to.ip(), 0),
        Transport::Tcp | Transport::Sctp | Transport::Udp | Transport::Tls(_) => target.to,
    };
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(e) => Err(e),
    }
}

/// A number that a stranger cannot foresee.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn errno(e: &io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests;
