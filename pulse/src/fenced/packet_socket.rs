//! Sends ready-made Ethernet frames, and receives those that somebody should hear
//! of: the address of a packet socket and a packet filter cannot be built safely
//! with nix.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, recvfrom, socket};

use crate::arp::Mac;
use crate::sieve::Instruction;

/// A packet socket that only sends: bound to no protocol, it receives nothing.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens it.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        Ok(Self { fd: unbound(SockType::Raw)? })
    }

    /// Sends `frame`, Ethernet header included, out of the link with this index.
    /// Never blocks.
    ///
    /// # Errors
    /// The link is down (`NetworkDown`), gone, or its queue is full.
    pub fn send(&self, index: u32, frame: &[u8]) -> io::Result<()> {
        let (to, length) = address(0, index)?;
        // SAFETY: the descriptor is open, `frame` and `to` live through the call, and
        // both are given with their own lengths; the kernel only reads them.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                libc::MSG_DONTWAIT,
                (&raw const to).cast(),
                length,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn unbound(kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Packet, kind, flags, None)?)
}

/// The address of a protocol on a link; on all of them with index 0.
fn address(ethertype: u16, index: u32) -> io::Result<(libc::sockaddr_ll, libc::socklen_t)> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
        sll_protocol: ethertype.to_be(),
        sll_ifindex: i32::try_from(index).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    Ok((address, libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default()))
}

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The link.
    pub index: u32,
    /// Who sent the frame, if it is Ethernet.
    pub from: Option<Mac>,
    /// How many bytes of the buffer it fills.
    pub length: usize,
}

/// Hears the packets of one protocol that come in on any link, as far as a
/// [`crate::sieve`] lets them through. What this host sends itself is not among
/// them.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl Listener {
    /// Opens it, with the sieve in place from the first packet on.
    ///
    /// # Errors
    /// The system's.
    pub fn open(ethertype: u16, sieve: &[Instruction]) -> io::Result<Self> {
        let listener = Self { fd: unbound(SockType::Datagram)? };
        listener.set_sieve(sieve)?;
        let (protocol, length) = address(ethertype, 0)?;
        // SAFETY: the descriptor is open, and the address lives through the call and is
        // given with its own length; the kernel only reads it.
        let bound = unsafe { libc::bind(listener.fd.as_raw_fd(), (&raw const protocol).cast(), length) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(listener) }
    }

    /// Takes another sieve.
    ///
    /// # Errors
    /// The kernel finds it too long, or wrong.
    pub fn set_sieve(&self, sieve: &[Instruction]) -> io::Result<()> {
        let mut program: Vec<libc::sock_filter> = sieve
            .iter()
            .map(|it| libc::sock_filter { code: it.code, jt: it.if_true, jf: it.if_false, k: it.operand })
            .collect();
        let len = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
        let length = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or_default();
        // SAFETY: the descriptor is open; `program` is given with its own length, and the
        // instructions it points to, as many as it says, live through the call; the kernel
        // only reads both.
        let set = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                length,
            )
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next packet, behind its Ethernet header, if one is there.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<Received> {
        loop {
            match recvfrom::<LinkAddr>(self.fd.as_raw_fd(), buffer) {
                Ok((length, Some(from))) => {
                    let index = u32::try_from(from.ifindex()).ok()?;
                    return Some(Received { index, from: from.addr().filter(|_| from.halen() == 6), length });
                }
                // A link that went down is told of, once, and is no end.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Ok((_, None)) | Err(_) => return None,
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
