//! What a check wants of TLS. The library that does it is linked by the program
//! `nanny-tls` alone ([`crate::hands::tls`]): its tables would be relocated, and so
//! paid for, in each of ten thousand nannies that need none.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;

use mio::net::TcpStream;

use crate::probe::Tls;

/// Begins TLS with a server at this address.
///
/// # Errors
/// In words.
pub type Begin = fn(&Tls, IpAddr) -> Result<Box<dyn Session>, String>;

/// TLS over a connection. An error that is not the system's is one of TLS, in words.
pub trait Session: Debug {
    /// Goes on with the handshake, by one step; whether it is over.
    ///
    /// # Errors
    /// `WouldBlock`: when the socket is ready again.
    fn handshake(&mut self, stream: &mut TcpStream) -> io::Result<bool>;

    /// Sends; how much was taken.
    ///
    /// # Errors
    /// As above.
    fn send(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize>;

    /// Receives; 0: the server said that it is done.
    ///
    /// # Errors
    /// As above. `Interrupted`: something came, and nothing of it is for the caller.
    fn receive(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize>;

    /// What was agreed on, for the transcript: `TLSv1.3, ...`.
    fn describe(&self) -> String;

    /// When the server's certificate ends, in seconds since 1970.
    fn expires(&self) -> Option<i64>;
}
