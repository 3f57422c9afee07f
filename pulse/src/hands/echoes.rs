//! Asks witnesses by ICMP echo. A socket for each, connected, so that the kernel
//! gives it only what comes from there; they are open while an inquiry lasts.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use common::log::Log;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, recv, send, socket,
};

use crate::hands::watch;
use crate::icmp::{self, Token};
use crate::messages::Message;
use crate::ready::Source;

/// How many packets of one witness are read in one turn of the loop.
const READ_AT_ONCE: usize = 64;

/// An answer with the longest IPv4 header is 76 bytes; what is longer is none.
const PACKET: usize = 128;

/// The questions that are under way.
#[derive(Debug, Default)]
pub struct Echoes {
    open: Vec<(IpAddr, OwnedFd, Token)>,
    /// Witnesses that could not be asked, and why; to say each once.
    troubles: BTreeMap<IpAddr, String>,
}

impl Echoes {
    /// Asks these, once more if they were asked.
    pub fn ask(&mut self, witnesses: &[IpAddr], registry: &mio::Registry, log: &Log) {
        for witness in witnesses {
            let known = self.open.iter().any(|(open, ..)| open == witness);
            let asked = if known { Ok(()) } else { self.begin(*witness, registry) };
            match asked.and_then(|()| self.send(*witness)) {
                Ok(()) => {
                    self.troubles.remove(witness);
                }
                Err(e) => {
                    let (witness, error) = (*witness, e.to_string());
                    if self.troubles.insert(witness, error.clone()).as_ref() != Some(&error) {
                        log.say(&Message::NotAsked { witness, error });
                    }
                }
            }
        }
    }

    fn begin(&mut self, witness: IpAddr, registry: &mio::Registry) -> io::Result<()> {
        let (family, protocol) = match witness {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Raw, flags, protocol)?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(witness, 0)))?;
        watch(registry, &socket, Source::Claims)?;
        let mut token = [0; 8];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut token)?;
        self.open.push((witness, socket, Token(token)));
        Ok(())
    }

    fn send(&self, witness: IpAddr) -> io::Result<()> {
        let Some((_, socket, token)) = self.open.iter().find(|(open, ..)| *open == witness) else { return Ok(()) };
        send(socket.as_raw_fd(), &icmp::echo_request(witness, *token), MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    /// The witnesses that answered.
    pub fn receive(&self) -> Vec<IpAddr> {
        let mut heard = Vec::new();
        let mut buffer = [0; PACKET];
        for (witness, socket, token) in &self.open {
            for _ in 0..READ_AT_ONCE {
                let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                    Ok(length) => length,
                    Err(Errno::EAGAIN) => break,
                    // An ICMP error for what we asked is no answer, and no end.
                    Err(_) => continue,
                };
                if icmp::is_echo_reply(*witness, buffer.get(..length).unwrap_or_default(), *token) {
                    heard.push(*witness);
                    break;
                }
            }
        }
        heard
    }

    /// The inquiry is over.
    pub fn end(&mut self) {
        self.open.clear();
    }
}
