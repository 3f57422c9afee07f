//! What a supervisor such as systemd is told (sd_notify(3)): that pulse is up, that
//! it reads its file again, that it stops, and with every beat that it lives. A
//! datagram each, to the socket that the environment names; without one, nothing.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use common::daemon::SUPERVISOR_SOCKET;
use nix::time::{ClockId, clock_gettime};

/// What pulse has to say about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Up, or the file is read again; the supervisor may go on.
    Ready,
    /// The file is being read again, since this moment of the monotonic clock.
    Reloading(Duration),
    /// A stop was asked for.
    Stopping,
    /// The loop turned.
    Alive,
}

impl State {
    fn words(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading(since) => format!("RELOADING=1\nMONOTONIC_USEC={}", since.as_micros()),
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::Alive => "WATCHDOG=1".to_owned(),
        }
    }
}

/// The line to the supervisor, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor(Option<(UnixDatagram, SocketAddr)>);

impl Supervisor {
    /// The one that started us.
    pub fn of_this_process() -> Self {
        std::env::var_os(SUPERVISOR_SOCKET).map_or_else(Self::default, |name| Self::at(&name))
    }

    /// A name that is none is no supervisor: pulse serves without one.
    fn at(name: &OsStr) -> Self {
        let socket = || {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address(name)?))
        };
        Self(socket())
    }

    /// Tells it. One that does not listen costs the message, never a beat.
    pub fn tell(&self, state: State) {
        if let Some((socket, to)) = &self.0 {
            let _ = socket.send_to_addr(state.words().as_bytes(), to);
        }
    }

    /// Tells it that a reload begins now.
    pub fn tell_reloading(&self) {
        self.tell(State::Reloading(clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)));
    }
}

/// An absolute path, or with an @ in front a name in the abstract namespace.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes().split_first()? {
        (b'/', _) => SocketAddr::from_pathname(name).ok(),
        (b'@', rest) if !rest.is_empty() => SocketAddr::from_abstract_name(rest).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let n = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    }

    #[test]
    fn a_supervisor_hears_each_state_in_its_words_at_a_path_or_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("piranha-test-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, name) in [(at_path, path.as_os_str()), (abstract_one, OsStr::new(&format!("@{name}")))] {
            let supervisor = Supervisor::at(name);
            supervisor.tell(State::Ready);
            supervisor.tell(State::Reloading(Duration::from_micros(1_234_567)));
            supervisor.tell(State::Alive);
            supervisor.tell(State::Stopping);
            assert_eq!(heard(&socket), "READY=1");
            assert_eq!(heard(&socket), "RELOADING=1\nMONOTONIC_USEC=1234567");
            assert_eq!(heard(&socket), "WATCHDOG=1");
            assert_eq!(heard(&socket), "STOPPING=1");
        }
    }

    #[test]
    fn a_full_or_absent_socket_or_a_name_that_is_none_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        Supervisor::at(path.as_os_str()).tell(State::Ready);
        let _full = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(path.as_os_str());
        (0..10_000).for_each(|_| supervisor.tell(State::Alive));
        for name in ["", "@", "relative", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            assert!(Supervisor::at(OsStr::new(name)).0.is_none(), "{name}");
        }
    }
}
