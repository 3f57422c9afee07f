//! The idle connection to the real server whose end is a hint. Nothing is sent on it,
//! and what comes is thrown away.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};

/// How much a server may say that was not asked before it is hung up on, in bytes.
const BABBLE_MAX: usize = 64 * 1024;

/// How much is read at once.
const READ_SIZE: usize = 256;

/// The kernel asks whether the other end is still there at least this often, so that a
/// host that vanished and came back is not taken for one that is watched. Seconds.
const ASK_EVERY: std::ops::RangeInclusive<u64> = 1..=60;

/// So often without an answer, and the connection is over.
const ASK_TIMES: u32 = 3;

/// The connection.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    heard: usize,
}

impl Watched {
    /// Starts connecting.
    ///
    /// # Errors
    /// It ended before it began.
    pub fn open(real: SocketAddr, period: Duration, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(real)?;
        let seconds = u32::try_from(period.as_secs().clamp(*ASK_EVERY.start(), *ASK_EVERY.end())).unwrap_or(1);
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &seconds)?;
        setsockopt(&stream, sockopt::TcpKeepInterval, &seconds)?;
        setsockopt(&stream, sockopt::TcpKeepCount, &ASK_TIMES)?;
        registry.register(&mut stream, token, Interest::READABLE)?;
        Ok(Self { stream, heard: 0 })
    }

    /// Something happened on it; whether it is over.
    pub fn is_over(&mut self) -> bool {
        let mut buffer = [0; READ_SIZE];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(n) => self.heard = self.heard.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // It may be on its way still.
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => return false,
                Err(_) => return true,
            }
            if self.heard > BABBLE_MAX {
                return true;
            }
        }
    }
}
