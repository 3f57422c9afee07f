//! Sends ready-made Ethernet frames. The only module of the suite with unsafe
//! code: the address of a packet socket cannot be built safely with nix.
#![allow(unsafe_code, reason = "sendto(2) with a sockaddr_ll; nix has no constructor for one")]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

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
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        Ok(Self { fd: socket(AddressFamily::Packet, SockType::Raw, flags, None)? })
    }

    /// Sends `frame`, Ethernet header included, out of the link with this index.
    /// Never blocks.
    ///
    /// # Errors
    /// The link is down (`NetworkDown`), gone, or its queue is full.
    pub fn send(&self, index: u32, frame: &[u8]) -> io::Result<()> {
        let to = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
            sll_protocol: 0,
            sll_ifindex: i32::try_from(index).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
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
