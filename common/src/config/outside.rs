//! What a configuration needs from outside its text: other files (includes),
//! host names, service names. Behind a trait, so that all the rest is pure.
//!
//! Nothing here waits for another process but [`Patient`], and that not long: a
//! pipe in the place of a file must not stop a daemon that reads it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::ipvs::Protocol;

/// How many bytes are read: one more than may be, so that what is too long is seen.
const BYTES_MAX: usize = super::source::TOTAL_MAX + 1;

/// How long [`Patient`] waits for the end of a pipe: a program that makes a
/// configuration takes a moment, and somebody sits in front of it.
const PIPE_WITHIN: Duration = Duration::from_secs(5);

/// The world around the text: this machine's, but for its host names, which are
/// what worlds differ in.
pub trait Outside {
    /// The bytes of a file; `-` is the standard input.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("-") { all_of(io::stdin().lock()) } else { all_of(open(path)?) }
    }

    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    /// The address of a host, IPv4 before IPv6; literals are not asked for.
    fn host(&self, name: &str) -> Option<IpAddr>;

    /// The port of a service (services(5)).
    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let text = std::fs::read("/etc/services").ok()?;
        service_in(&String::from_utf8_lossy(&text), name, protocol)
    }
}

/// The real one: the file system, the system's resolver, /etc/services.
#[derive(Debug, Default)]
pub struct System;

/// The same for a command that somebody waits for: pipes are read too (a shell's
/// `<(program)`, /dev/stdin), if they end within five seconds.
#[derive(Debug, Default)]
pub struct Patient;

impl Outside for System {
    fn host(&self, name: &str) -> Option<IpAddr> {
        let found: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
        found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
    }
}

impl Outside for Patient {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("-") {
            return System.read(path);
        }
        let file = open_any(path)?;
        if file.metadata()?.file_type().is_fifo() { all_of_pipe(file, PIPE_WITHIN) } else { all_of(only_file(file)?) }
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        System.host(name)
    }
}

/// Opens a configuration file to read it. Opening and reading never wait.
///
/// # Errors
/// The system's; and it is no file (a folder, a pipe, a device).
pub fn open(path: &Path) -> io::Result<File> {
    only_file(open_any(path)?)
}

/// Opens whatever it is; a pipe whose other end nobody holds, too.
fn open_any(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

fn only_file(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    let other = |text| Err(io::Error::new(ErrorKind::InvalidInput, text));
    if kind.is_dir() {
        Err(io::Error::from_raw_os_error(nix::libc::EISDIR))
    } else if kind.is_fifo() {
        other("it is a pipe, not a file")
    } else if kind.is_file() {
        Ok(file)
    } else {
        other("it is a device, not a file")
    }
}

fn all_of(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What comes out of a pipe that does not block, until its end.
fn all_of_pipe(mut pipe: File, within: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + within;
    let mut bytes = Vec::new();
    while bytes.len() < BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        // first, and not after a read: a pipe that nobody opened yet reads as if it had ended
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => {
                let what = if bytes.is_empty() { "nothing came out of the pipe" } else { "the pipe did not end" };
                return Err(io::Error::new(ErrorKind::TimedOut, format!("{what} within {} s", within.as_secs())));
            }
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(e.into()),
        }
        let mut part = [0; 16 * 1024];
        match pipe.read(&mut part) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(part.get(..n).unwrap_or_default()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

/// Looks a name or alias up in the text of services(5).
fn service_in(text: &str, name: &str, protocol: Protocol) -> Option<u16> {
    let protocol = protocol.to_string();
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (official, (port, its)) = (words.next()?, words.next()?.split_once('/')?);
        let is_it = its == protocol && (official == name || words.any(|alias| alias == name));
        if is_it { port.parse().ok() } else { None }
    })
}

/// A world in memory, for tests of the reader and of what reads with it.
#[derive(Debug, Default)]
pub struct Fake {
    /// Files by path.
    pub files: HashMap<PathBuf, Vec<u8>>,
    /// Hosts by name.
    pub hosts: HashMap<String, IpAddr>,
    /// TCP and UDP services by name.
    pub services: HashMap<String, u16>,
}

impl Outside for Fake {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(nix::libc::ENOENT))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let inside = self.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.hosts.get(name).copied()
    }

    fn service(&self, name: &str, _: Protocol) -> Option<u16> {
        self.services.get(name).copied()
    }
}

/// An address as inet_aton(3) reads it (`10.1` is 10.0.0.1, `0x0a000001`, octal
/// parts), or an IPv6 address.
pub(super) fn literal(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    ipv4(text).map(IpAddr::V4)
}

/// inet_aton(3).
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(part);
    let mut parts: Vec<u32> = parts.by_ref().take(5).collect::<Option<_>>()?;
    let last = parts.pop()?;
    // the last part fills all bytes that the others left
    let room = 32u32.checked_sub(8 * u32::try_from(parts.len()).ok()?).filter(|&bits| bits > 0)?;
    if u64::from(last) >= 1u64 << room || parts.iter().any(|&p| p > 255) {
        return None;
    }
    let shifted = parts.iter().enumerate().map(|(n, &p)| p << (24 - 8 * n));
    Some(Ipv4Addr::from_bits(shifted.fold(last, |all, p| all | p)))
}

fn part(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (lower.get(1..)?, 8),
        None => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) { None } else { u32::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_addresses_are_read_as_inet_aton_does() {
        let read = |text| ipv4(text).map(|a| a.to_string());
        for (text, address) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1", "10.0.0.1"),
            ("10.1.258", "10.1.1.2"),
            ("0x0a000001", "10.0.0.1"),
            ("167772161", "10.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("255.255.255.255", "255.255.255.255"),
        ] {
            assert_eq!(read(text).as_deref(), Some(address), "{text}");
        }
        for text in
            ["", "10.", "10.1.2.3.4", "256.1.1.1", "1.2.65536", "10.1.2.09", "4294967296", "a", "+1", "1.-2", "0x"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    fn make_pipe(folder: &Path) -> PathBuf {
        let path = folder.join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| System.read(path).unwrap_err().to_string();
        assert_eq!(said(&make_pipe(folder.path())), "it is a pipe, not a file");
        assert_eq!(said(Path::new("/dev/zero")), "it is a device, not a file");
        assert!(said(folder.path()).starts_with("Is a directory"));
        assert_eq!(Patient.read(Path::new("/dev/zero")).unwrap_err().to_string(), "it is a device, not a file");
    }

    #[test]
    fn somebody_who_waits_may_read_a_pipe_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = make_pipe(folder.path());
        let within = Duration::from_millis(20);
        let silent = all_of_pipe(open_any(&path).unwrap(), within).unwrap_err();
        assert_eq!(silent.to_string(), "nothing came out of the pipe within 0 s");
        let writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        io::Write::write_all(&mut &writer, b"a = 1\n").unwrap();
        let endless = all_of_pipe(open_any(&path).unwrap(), within).unwrap_err();
        assert_eq!(endless.to_string(), "the pipe did not end within 0 s");
        drop(writer);
        let there = path.clone();
        let writer = std::thread::spawn(move || std::fs::write(there, "b = 2\n".repeat(20_000)));
        assert_eq!(Patient.read(&path).unwrap(), "b = 2\n".repeat(20_000).into_bytes());
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn services_are_found_by_name_and_alias() {
        let text = "# c\nhttp\t80/tcp\t\twww www-http # WorldWideWeb\ntftp 69/udp\nbad line\n";
        assert_eq!(service_in(text, "http", Protocol::Tcp), Some(80));
        assert_eq!(service_in(text, "www-http", Protocol::Tcp), Some(80));
        assert_eq!(service_in(text, "http", Protocol::Udp), None);
        assert_eq!(service_in(text, "tftp", Protocol::Udp), Some(69));
        assert_eq!(service_in(text, "nosuch", Protocol::Tcp), None);
    }
}
