//! One request and its replies over a netlink socket, by a deadline.
//!
//! An answer counts only if the kernel sent it, to our port, for this request's
//! number. After anything but an orderly end (silence, a lost or an unreadable
//! answer, a dump left in the middle) the socket is closed and the next request
//! opens another, so that a late answer goes to nobody.
//!
//! The kernel works on a request inside the send itself. What it takes there (a
//! module to load, its own lock) no user of netlink can cut short; the deadline
//! bounds the wait for answers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, getsockname, recv, recvfrom,
    send, setsockopt, socket,
};

use super::message::{DUMP_INTERRUPTED, Malformed, Refusal, Reply, Request, messages};

/// How large the reply buffer starts, in bytes: what a kernel puts into one
/// datagram of a dump for a reader it does not know yet.
const BUFFER: usize = 4096;
/// The buffer a long dump ends with: the most a kernel puts into one datagram
/// for a reader that offers it.
const BUFFER_OF_A_LONG_DUMP: usize = 32 * 1024;
/// After so many datagrams a dump is long. A nanny's service seldom is, and its
/// memory stays small.
const LONG_DUMP: usize = 8;
/// The largest datagram that is read. A link with hundreds of virtual functions
/// makes some 100 KiB; beyond this it is no answer of the kernel's.
const DATAGRAM_MAX: usize = 1024 * 1024;
/// How often a dump is read again because the table changed meanwhile.
const DUMP_TRIES: usize = 5;

/// The longest wait for the next part of an answer. The kernel makes it while it
/// is asked for it, so a longer silence is none that ends.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// NETLINK_CAP_ACK and NETLINK_EXT_ACK of linux/netlink.h. nix has a macro for
/// the options it does not know; the system call in it is nix's, and safe.
const CAP_ACK: libc::c_int = 10;
const EXT_ACK: libc::c_int = 11;

/// Acknowledgements do not repeat the request (Linux 4.3).
#[derive(Clone, Copy, Debug)]
struct CappedAcknowledgement;
nix::setsockopt_impl!(CappedAcknowledgement, libc::SOL_NETLINK, CAP_ACK, bool, nix::sys::socket::sockopt::SetBool);

/// Acknowledgements carry words (Linux 4.12).
#[derive(Clone, Copy, Debug)]
struct ExtendedAcknowledgement;
nix::setsockopt_impl!(ExtendedAcknowledgement, libc::SOL_NETLINK, EXT_ACK, bool, nix::sys::socket::sockopt::SetBool);

/// Why a request has no good end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel says no. The socket is in order.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer by the deadline. Whether the request was carried out is not known.
    #[error("no answer from the kernel in time")]
    Timeout,
    /// An answer that cannot be read.
    #[error("unreadable answer from the kernel: {0}")]
    Malformed(#[from] Malformed),
    /// The table changed during every one of several readings.
    #[error("the table changed during each of {DUMP_TRIES} readings")]
    Interrupted,
    /// The socket itself failed; ENOBUFS is an answer that was lost.
    #[error("netlink socket: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// A socket of one netlink protocol and the port the kernel knows it by.
#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    port: u32,
}

/// A line to one part of the kernel.
#[derive(Debug)]
pub struct Socket {
    protocol: SockProtocol,
    /// `None` after a disorderly end.
    open: Option<Open>,
    sequence: u32,
    /// [`SILENCE_MAX`]; a test has no time for it.
    silence_max: Duration,
}

impl Socket {
    /// Opens a line; close-on-exec, and with the kernel's words in its refusals
    /// where it has such.
    ///
    /// # Errors
    /// Out of descriptors or memory, or a kernel without that protocol.
    pub fn new(protocol: SockProtocol) -> io::Result<Self> {
        Ok(Self { protocol, open: Some(Open::new(protocol)?), sequence: 0, silence_max: SILENCE_MAX })
    }

    /// Sends a request that is acknowledged ([`super::message::ACK`]) and gives
    /// every entry of the answer to `read`.
    ///
    /// # Errors
    /// All of [`Error`] but `Interrupted`.
    pub fn request(
        &mut self,
        request: &mut Request,
        until: Instant,
        mut read: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        self.exchange(request, until, &mut read).map(drop)
    }

    /// Sends a dump request and collects what `read` makes of each entry; an
    /// entry it answers with `None` is left out. A dump that was interrupted by a
    /// change, or lost an answer, is read again a few times. As large tables take
    /// their time, `until` may be far off: silence ends the wait after a second.
    ///
    /// # Errors
    /// All of [`Error`].
    pub fn dump<T>(
        &mut self,
        request: &mut Request,
        until: Instant,
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, Malformed>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_TRIES {
            let mut entries = Vec::new();
            let outcome = self.exchange(request, until, &mut |body| {
                entries.extend(read(body)?);
                Ok(())
            });
            match outcome {
                Ok(Consistent(true)) => return Ok(entries),
                Ok(Consistent(false)) => {}
                Err(Error::Io(e)) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::Interrupted)
    }

    fn exchange(&mut self, request: &mut Request, until: Instant, read: &mut Reader<'_>) -> Result<Consistent, Error> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::new(self.protocol)?,
        };
        self.sequence = self.sequence.wrapping_add(1);
        open.send(request.stamp(self.sequence))?;
        let outcome = open.collect(self.sequence, (until, self.silence_max), read);
        if matches!(outcome, Ok(_) | Err(Error::Refused(_))) {
            self.open = Some(open);
        }
        outcome
    }
}

/// Takes one entry.
type Reader<'a> = dyn FnMut(&[u8]) -> Result<(), Malformed> + 'a;

/// Whether the table stood still while it was read.
struct Consistent(bool);

impl Open {
    fn new(protocol: SockProtocol) -> io::Result<Self> {
        let fd = netlink_socket(protocol, 0)?;
        // Older kernels lack them and say less.
        let _ = setsockopt(&fd, CappedAcknowledgement, &true);
        let _ = setsockopt(&fd, ExtendedAcknowledgement, &true);
        connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        let port = getsockname::<NetlinkAddr>(fd.as_raw_fd())?.pid();
        Ok(Self { fd, port })
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn collect(
        &self,
        sequence: u32,
        (until, silence_max): (Instant, Duration),
        read: &mut Reader<'_>,
    ) -> Result<Consistent, Error> {
        let mut buffer = vec![0; BUFFER];
        let mut consistent = true;
        for datagrams in 1_usize.. {
            // What lies there when we come late (we were paused) still counts, what follows does not.
            if datagrams > 1 && Instant::now() >= until {
                break;
            }
            wait_readable(self.fd.as_fd(), until.min(Instant::now() + silence_max))?;
            for message in messages(receive(self.fd.as_fd(), &mut buffer)?.unwrap_or_default()) {
                let message = message?;
                if message.sequence != sequence || message.port != self.port {
                    continue;
                }
                consistent &= message.flags & DUMP_INTERRUPTED == 0;
                match message.reply()? {
                    Reply::Data(body) => read(body)?,
                    Reply::Acknowledged | Reply::Done => return Ok(Consistent(consistent)),
                    Reply::Refused(refusal) => return Err(refusal.into()),
                    Reply::Overrun => return Err(Errno::ENOBUFS.into()),
                    Reply::Nothing => {}
                }
            }
            if datagrams.is_multiple_of(LONG_DUMP) && buffer.len() < BUFFER_OF_A_LONG_DUMP {
                buffer.resize(buffer.len() * 2, 0);
            }
        }
        Err(Error::Timeout)
    }
}

/// A bound, nonblocking, close-on-exec socket; `groups` is a mask of RTMGRP_*.
pub(super) fn netlink_socket(protocol: SockProtocol, groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(fd)
}

/// Waits until there is something to read, or the deadline. A signal does not
/// end the wait, nor does it make it longer.
fn wait_readable(fd: BorrowedFd<'_>, until: Instant) -> Result<(), Error> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // poll counts in milliseconds: round up, or the last one is spent spinning
        let left = PollTimeout::try_from(left.saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], left) {
            Ok(0) => return Err(Error::Timeout),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The next datagram, or `None` if there is none; the buffer grows to hold it.
/// What another process sent is empty.
pub(super) fn receive<'a>(fd: BorrowedFd<'_>, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
    let length = loop {
        match recv(fd.as_raw_fd(), &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT) {
            Ok(length) => break length,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    if length > DATAGRAM_MAX {
        return Err(Malformed("datagram too long").into());
    }
    if length > buffer.len() {
        buffer.resize(length, 0);
    }
    let (length, ours) = loop {
        // The descriptor is nonblocking, and nobody else reads from it: the length is still right.
        match recvfrom::<NetlinkAddr>(fd.as_raw_fd(), buffer) {
            // The kernel's own port is 0; another process has its own.
            Ok((length, sender)) => break (length, sender.is_none_or(|sender| sender.pid() == 0)),
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    Ok(Some(buffer.get(..length).filter(|_| ours).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
