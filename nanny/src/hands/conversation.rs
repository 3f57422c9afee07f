//! The socket of a check: connects, and moves the bytes that
//! [`crate::probe::exchange`] asks for. Never waits; the loop calls
//! [`Conversation::advance`] whenever the socket is ready.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use nix::errno::Errno;

use crate::probe::Outcome;
use crate::probe::exchange::{Exchange, Next, Script};

/// How much is read at once. Answers are looked at up to their first 255 bytes.
const READ_SIZE: usize = 256;

/// One conversation with the real server.
#[derive(Debug)]
pub struct Conversation {
    socket: Socket,
    connected: bool,
    exchange: Exchange,
    /// When silence becomes an answer (UDP).
    good_at: Option<Instant>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Conversation {
    /// Opens the socket and starts connecting.
    ///
    /// # Errors
    /// The check ended here, and so.
    pub fn begin(script: &Script, real: SocketAddr, registry: &Registry, token: Token) -> Result<Self, Outcome> {
        let failed = |e: io::Error| Outcome::ConnectFailed(errno(&e));
        let socket = if script.is_datagram() {
            let any = match real.ip() {
                IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let mut socket = UdpSocket::bind(any).map_err(failed)?;
            socket.connect(real).map_err(failed)?;
            registry.register(&mut socket, token, Interest::READABLE).map_err(failed)?;
            Socket::Udp(socket)
        } else {
            let mut stream = TcpStream::connect(real).map_err(failed)?;
            registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).map_err(failed)?;
            Socket::Tcp(stream)
        };
        let connected = script.is_datagram();
        Ok(Self { socket, connected, exchange: Exchange::default(), good_at: None })
    }

    /// Goes as far as the socket lets it. `None`: it goes on.
    pub fn advance(&mut self, script: &Script, now: Instant) -> Option<Outcome> {
        if !self.connected {
            match self.socket.connected() {
                Ok(true) => self.connected = true,
                Ok(false) => return None,
                Err(e) => return Some(Outcome::ConnectFailed(errno(&e))),
            }
        }
        let mut buffer = [0; READ_SIZE];
        loop {
            let step = match self.exchange.next(script) {
                Next::Over(outcome) => return Some(outcome),
                Next::Send(bytes) => match self.socket.send(bytes) {
                    Ok(n) => {
                        self.exchange.sent(n);
                        None
                    }
                    Err(e) => Some((e, Outcome::WriteFailed as fn(Errno) -> Outcome)),
                },
                Next::Receive(room) => {
                    let room = buffer.get_mut(..room.min(READ_SIZE)).unwrap_or_default();
                    match self.socket.receive(room) {
                        Ok(n) => {
                            if let Some(outcome) = self.heard(script, buffer.get(..n).unwrap_or_default()) {
                                return Some(outcome);
                            }
                            None
                        }
                        Err(e) => Some((e, Outcome::ReadFailed as fn(Errno) -> Outcome)),
                    }
                }
                Next::Listen(silence) => {
                    self.good_at.get_or_insert_with(|| now + silence);
                    match self.socket.receive(&mut buffer) {
                        Ok(_) => return Some(Outcome::Good),
                        Err(e) => Some((e, Outcome::ReadFailed as fn(Errno) -> Outcome)),
                    }
                }
            };
            match step {
                None => {}
                Some((e, _)) if e.kind() == io::ErrorKind::Interrupted => {}
                Some((e, _)) if e.kind() == io::ErrorKind::WouldBlock => return None,
                Some((e, failed)) => return Some(failed(errno(&e))),
            }
        }
    }

    fn heard(&mut self, script: &Script, bytes: &[u8]) -> Option<Outcome> {
        let over = script.is_datagram() || bytes.is_empty();
        if over && bytes.is_empty() {
            return Some(self.exchange.ended(script));
        }
        let outcome = self.exchange.received(script, bytes);
        if over { outcome.or_else(|| Some(self.exchange.ended(script))) } else { outcome }
    }

    /// The time came: silence that is an answer, or `deadline`.
    pub fn due(&self, script: &Script, now: Instant, deadline: Instant) -> Option<Outcome> {
        if self.good_at.is_some_and(|at| now >= at) {
            return Some(Outcome::Good);
        }
        (now >= deadline).then(
            || {
                if self.connected { self.exchange.timed_out(script) } else { Outcome::ConnectTimedOut }
            },
        )
    }

    /// When [`Conversation::due`] is next worth asking.
    pub fn deadline(&self, deadline: Instant) -> Instant {
        self.good_at.map_or(deadline, |at| at.min(deadline))
    }

    /// The answer so far.
    pub fn got(&self) -> &[u8] {
        self.exchange.got()
    }
}

impl Socket {
    /// Whether connecting has come to its good end; its bad one is the error.
    fn connected(&self) -> io::Result<bool> {
        let Self::Tcp(stream) = self else { return Ok(true) };
        if let Some(e) = stream.take_error()? {
            return Err(e);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Udp(socket) => socket.send(bytes),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Udp(socket) => socket.recv(buffer),
        }
    }
}

fn errno(e: &io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or(0))
}
