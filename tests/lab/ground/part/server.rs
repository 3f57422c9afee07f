//! A real server: HTTP on some ports, UDP or SCTP echo on others, and every bad manner a
//! health check must stand, changed while it runs.
//!
//! Its words: its name, then `tcp PORT`, `udp ADDRESS:PORT` or `sctp ADDRESS:PORT`, one each. It is
//! told `PORT MANNER` and answers `done` when the manner holds.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn6, SockaddrStorage, bind, listen, setsockopt,
    socket, sockopt,
};

use super::Master;
use crate::ground::download;

/// How long a silent client is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a flood.
const FLOOD: usize = 1 << 30;

/// How a port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As it should.
    Answer,
    /// Nobody listens: connections are refused.
    Refuse,
    /// Accepts and never says a word.
    Stall,
    /// Never stops talking, and never says what was asked.
    Babble,
    /// Says the right thing, one byte at a time, a tenth of a second apart.
    Trickle,
    /// Answers at once, with something else.
    Wrong,
    /// Accepts and resets.
    Reset,
    /// Says something else before it is asked, and goes on listening.
    Blurt,
    /// Says the beginning of the right thing, a byte a second.
    Drip,
    /// Says that a gigabyte long, as fast as it goes.
    Flood,
    /// Says at once that it has nothing to say, and goes on listening.
    HalfClose,
}

impl Manner {
    fn named(name: &str) -> Self {
        match name {
            "answer" => Self::Answer,
            "refuse" => Self::Refuse,
            "stall" => Self::Stall,
            "babble" => Self::Babble,
            "trickle" => Self::Trickle,
            "wrong" => Self::Wrong,
            "reset" => Self::Reset,
            "blurt" => Self::Blurt,
            "drip" => Self::Drip,
            "flood" => Self::Flood,
            "halfclose" => Self::HalfClose,
            other => panic!("no manner {other}"),
        }
    }
}

struct Port {
    manner: Manner,
    listener: Option<TcpListener>,
}

pub(super) fn serve(mut master: Master, words: &[&str]) {
    let name = words.first().copied().unwrap_or("server").to_owned();
    // A client that vanishes in the middle is waited for, and holds two of them.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many descriptors as there may be");
    }
    let mut ports = HashMap::new();
    let mut echoes = Vec::new();
    for word in words.iter().skip(1) {
        match word.split_once(' ') {
            Some(("tcp", port)) => {
                let port = port.parse().expect("a port");
                ports.insert(port, Port { manner: Manner::Answer, listener: Some(listener(port)) });
            }
            Some(("udp", address)) => echoes.push(UdpSocket::bind(address).expect("its UDP address")),
            Some(("sctp", address)) => {
                let (name, listener) = (name.clone(), sctp_listener(address.parse().expect("its SCTP address")));
                std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(echo(stream, &name))));
            }
            _ => panic!("no such word: {word}"),
        }
    }
    master.answer("ready");
    while turn(&mut master, &name, &mut ports, &echoes) {}
}

/// One turn of the loop; false at the end of the line.
fn turn(master: &mut Master, name: &str, ports: &mut HashMap<u16, Port>, echoes: &[UdpSocket]) -> bool {
    let listeners: Vec<(&TcpListener, Manner)> =
        ports.values().filter_map(|p| p.listener.as_ref().map(|l| (l, p.manner))).collect();
    let mut fds = vec![PollFd::new(master.line.get_ref().as_fd(), PollFlags::POLLIN)];
    fds.extend(listeners.iter().map(|(l, _)| PollFd::new(l.as_fd(), PollFlags::POLLIN)));
    fds.extend(echoes.iter().map(|e| PollFd::new(e.as_fd(), PollFlags::POLLIN)));
    if poll(&mut fds, PollTimeout::NONE).is_err() {
        return true;
    }
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
    drop(fds);
    for ((listener, manner), _) in listeners.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
        if let Ok((stream, _)) = listener.accept() {
            let (name, manner) = (name.to_owned(), *manner);
            // A client that goes away in the middle is no fault of ours.
            std::thread::spawn(move || drop(converse(stream, &name, manner)));
        }
    }
    for (echo, _) in echoes.iter().zip(&ready[1 + listeners.len()..]).filter(|(_, ready)| **ready) {
        let mut datagram = [0; 2048];
        if let Ok((n, from)) = echo.recv_from(&mut datagram) {
            let answer = [name.as_bytes(), b": ", &datagram[..n]].concat();
            let _ = echo.send_to(&answer, from);
        }
    }
    if ready[0] {
        let Some(wish) = master.wish() else { return false };
        let (port, manner) = wish.split_once(' ').expect("PORT MANNER");
        behave(ports, port.parse().expect("a port"), Manner::named(manner));
        master.answer("done");
    }
    true
}

fn behave(ports: &mut HashMap<u16, Port>, number: u16, manner: Manner) {
    let port = ports.get_mut(&number).expect("one of its ports");
    port.manner = manner;
    if manner == Manner::Refuse {
        port.listener = None;
    } else if port.listener.is_none() {
        port.listener = Some(listener(number));
    }
}

/// IPv4 and IPv6 both, and at once after a predecessor that was killed.
fn listener(port: u16) -> TcpListener {
    let fd = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    setsockopt(&fd, sockopt::ReuseAddr, &true).expect("SO_REUSEADDR");
    setsockopt(&fd, sockopt::Ipv6V6Only, &false).expect("IPV6_V6ONLY");
    let address = SockaddrIn6::from(std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &address).expect("its port");
    listen(&fd, Backlog::new(512).expect("a backlog")).expect("it listens");
    TcpListener::from(fd)
}

/// At one address: a connection of SCTP's would use all that the server has.
fn sctp_listener(address: SocketAddr) -> TcpListener {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Sctp).expect("a socket");
    setsockopt(&fd, sockopt::ReuseAddr, &true).expect("SO_REUSEADDR");
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrStorage::from(address)).expect("its port");
    listen(&fd, Backlog::new(512).expect("a backlog")).expect("it listens");
    TcpListener::from(fd)
}

/// What comes goes back with the name.
fn echo(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut message = [0; 2048];
    let n = stream.read(&mut message)?;
    stream.write_all(&[name.as_bytes(), b": ", &message[..n]].concat())
}

/// One connection. `GET /echo` keeps it: each line comes back with the name;
/// `GET /download/PIECES` is a long answer.
fn converse(mut stream: TcpStream, name: &str, manner: Manner) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if manner == Manner::Reset {
        setsockopt(&stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
        return Ok(());
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    let answer = format!("HTTP/1.0 200 OK\r\nServer: {name}\r\nConnection: close\r\n\r\n{name}\n");
    match manner {
        Manner::Stall => drop(reader.read_to_end(&mut Vec::new())),
        Manner::Babble => loop {
            stream.write_all(&[b'b'; 1024])?;
            std::thread::sleep(Duration::from_millis(10));
        },
        Manner::Trickle => {
            for byte in answer.bytes() {
                stream.write_all(&[byte])?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Manner::Blurt => {
            stream.write_all(b"I AM NOT WELL\r\n")?;
            drop(reader.read_to_end(&mut Vec::new()));
        }
        Manner::Drip => {
            for byte in answer.bytes() {
                stream.write_all(&[byte])?;
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        Manner::Flood => {
            let piece = vec![b'x'; 1 << 16];
            stream.write_all(answer.as_bytes())?;
            for _ in 0..FLOOD / piece.len() {
                stream.write_all(&piece)?;
            }
        }
        Manner::HalfClose => {
            stream.shutdown(Shutdown::Write)?;
            drop(reader.read_to_end(&mut Vec::new()));
        }
        Manner::Wrong => {
            read_head(&mut reader)?;
            stream.write_all(b"I AM NOT WELL\r\n\r\n")?;
        }
        Manner::Answer | Manner::Refuse | Manner::Reset => {
            let first = read_head(&mut reader)?;
            if first.starts_with("GET /echo") {
                let mut line = String::new();
                while reader.read_line(&mut line)? > 0 {
                    stream.write_all(format!("{name} {line}").as_bytes())?;
                    line.clear();
                }
            } else if let Some(pieces) = first.strip_prefix("GET /download/") {
                let pieces = pieces.split(' ').next().and_then(|pieces| pieces.parse().ok()).unwrap_or_default();
                download::send(&mut stream, pieces)?;
            } else {
                stream.write_all(answer.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Reads up to the empty line that ends a request; the first line of it.
fn read_head(reader: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::from("x");
    while !line.trim_end().is_empty() {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            break;
        }
    }
    Ok(first)
}

#[test]
fn a_server_says_who_it_is_and_changes_its_manners_when_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = super::Part::start("server", &["web1", &format!("tcp {port}"), "udp 127.0.0.1:0"]);
    let get = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    assert!(get().unwrap().ends_with("\r\n\r\nweb1\n"));
    assert_eq!(server.ask(&format!("{port} wrong")), "done");
    assert_eq!(get().unwrap(), "I AM NOT WELL\r\n\r\n");
    assert_eq!(server.ask(&format!("{port} refuse")), "done");
    assert_eq!(get().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(server.ask(&format!("{port} stall")), "done");
    assert_eq!(get().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(server.ask(&format!("{port} reset")), "done");
    assert_eq!(get().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(server.ask(&format!("{port} answer")), "done");
    assert!(get().unwrap().ends_with("web1\n"));
}
