//! Meeting places: where a new parent finds a child that another one started, and
//! what they are called.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};

use super::{Line, nonblocking};
use crate::hash::fnv1a;
use crate::ipvs::{Family, ServiceKey};

/// How many strangers may wait at a meeting place.
const BACKLOG: i32 = 4;

/// Where a child can be found by a parent that did not start it: a socket below
/// /run/piranha-ng, named after what the child does. A dead child's socket stays
/// as a file that refuses, and the next one for the same job replaces it in one
/// step, so the name is never absent while a child is there.
#[derive(Debug)]
pub struct MeetingPlace {
    // std's listener accepts on a socket of any type, and hands out owned descriptors
    listener: UnixListener,
    path: PathBuf,
}

impl MeetingPlace {
    /// Opens the place at `path` (its folder must exist and be root's alone).
    ///
    /// # Errors
    /// `AddrInUse` when a living process answers there; otherwise the system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        match join(path) {
            Ok(_) => return Err(io::Error::from(io::ErrorKind::AddrInUse)),
            // Its waiting room is full, so somebody lives there.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::Error::from(io::ErrorKind::AddrInUse)),
            Err(_) => {}
        }
        let fd = seqpacket()?;
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(new);
        let _ = std::fs::remove_file(&new);
        bind(fd.as_raw_fd(), &UnixAddr::new(&new)?)?;
        listen(&fd, Backlog::new(BACKLOG)?)?;
        std::fs::rename(&new, path)?;
        Ok(Self { listener: UnixListener::from(fd), path: path.to_owned() })
    }

    /// The next parent that came, or `None`. Who is not our own user is shown
    /// the door.
    pub fn accept(&self) -> Option<Line> {
        loop {
            let (stream, _) = self.listener.accept().ok()?;
            let line = Line { fd: OwnedFd::from(stream) };
            if is_ours(&line) && nonblocking(line.as_fd()).is_ok() {
                return Some(line);
            }
        }
    }

    /// Takes the name away again; done at an orderly end.
    pub fn close(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl AsFd for MeetingPlace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The longest name of a nanny's meeting place, in bytes: a socket's path holds
/// 107, of which the folder takes 26 (below /var/run) and the name under which a
/// place is made (`.PID`) another 8.
const NANNY_PLACE_MAX: usize = 73;

/// The name of the meeting place of the nanny that watches `rip`:`rport` for a
/// service, below `daemon::run_dir("nanny")`: `tcp-192.0.2.1-80-198.51.100.7-8080`,
/// `mark21-198.51.100.7-80`. Two long IPv6 addresses do not fit; the name is then
/// cut, and a hash of the whole keeps it apart from others.
pub fn nanny_place(service: &ServiceKey, rip: IpAddr, rport: u16) -> String {
    let mut name = match service {
        ServiceKey::Address { protocol, address, port } => format!("{protocol}-{address}-{port}"),
        ServiceKey::Mark { family: Family::V4, mark } => format!("mark{mark}"),
        ServiceKey::Mark { family: Family::V6, mark } => format!("mark{mark}v6"),
    };
    let _ = write!(name, "-{rip}-{rport}");
    if name.len() > NANNY_PLACE_MAX {
        let hash = fnv1a(name.bytes());
        name.truncate(NANNY_PLACE_MAX - 17); // ASCII all of it
        let _ = write!(name, "-{hash:016x}");
    }
    name
}

/// The same of the nanny that watches a failover service: `fos-tcp-192.0.2.1-80`.
pub fn failover_place(service: &ServiceKey) -> String {
    match service {
        ServiceKey::Address { protocol, address, port } => format!("fos-{protocol}-{address}-{port}"),
        ServiceKey::Mark { mark, .. } => format!("fos-mark{mark}"),
    }
}

/// Joins a child at its meeting place. `NotFound` or `ConnectionRefused` means
/// there is none; `PermissionDenied` that a stranger answers.
///
/// # Errors
/// As above.
pub fn join(path: &Path) -> io::Result<Line> {
    let fd = seqpacket()?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let line = Line { fd };
    if is_ours(&line) { Ok(line) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
}

fn is_ours(line: &Line) -> bool {
    line.peer().is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw())
}

fn seqpacket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?)
}

#[cfg(test)]
mod tests;
