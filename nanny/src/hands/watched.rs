//! The idle connection to the real server whose end is a hint. Nothing is sent on it,
//! and what comes is thrown away.
//!
//! The kernel asks the other end now and then whether it is there (keep-alive), which
//! wakes nobody while it is. No answer, no neighbour at that address (ARP, ND), an ICMP
//! error from a router on the way: each is an end, and so a check at once. A
//! subscription to the kernel's neighbours would say only the second, wake each nanny
//! for everybody else's, and say nothing of servers behind a router.

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

/// The kernel asks whether the other end is still there as often as it is checked, but
/// at least this often: a packet each way. Seconds.
const ASK_EVERY: std::ops::RangeInclusive<u64> = 1..=5;

/// What is not answered is asked again after so many seconds, ...
const ASK_AGAIN: u32 = 1;

/// ... and so often without an answer, and the connection is over.
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
        setsockopt(&stream, sockopt::TcpKeepInterval, &ASK_AGAIN)?;
        setsockopt(&stream, sockopt::TcpKeepCount, &ASK_TIMES)?;
        // Otherwise what routers and neighbours say is kept until the last answer is missed.
        if real.is_ipv4() {
            setsockopt(&stream, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&stream, sockopt::Ipv6RecvErr, &true)?;
        }
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
