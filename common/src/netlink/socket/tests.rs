//! A socket pair stands in for the kernel: what it will answer lies there before
//! the question, as no wait here may depend on another thread.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockFlag, SockType, socketpair};

use super::super::message::{ACK, DUMP};
use super::*;

impl Socket {
    /// Whether the last request came to an orderly end.
    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A line whose other end is a test.
    fn over(fd: OwnedFd) -> Self {
        let open = Some(Open { fd, port: 0 });
        Self { protocol: SockProtocol::NetlinkRoute, open, sequence: 0, silence_max: SHORT }
    }
}

fn line() -> (Socket, OwnedFd) {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_NONBLOCK).unwrap();
    (Socket::over(ours), theirs)
}

/// What lies there is read however short this is.
const SHORT: Duration = Duration::from_millis(20);

fn soon() -> Instant {
    Instant::now() + SHORT
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A message to port 0.
fn message(kind: u16, flags: u16, sequence: u32, port: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
    bytes.extend([sequence.to_ne_bytes(), port.to_ne_bytes()].concat());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn entry(sequence: u32, body: &[u8]) -> Vec<u8> {
    message(30, 2, sequence, 0, body)
}

fn done(sequence: u32) -> Vec<u8> {
    message(3, 2, sequence, 0, &[0; 4])
}

fn acknowledgement(sequence: u32, code: i32) -> Vec<u8> {
    message(2, 0, sequence, 0, &[code.to_ne_bytes().to_vec(), vec![0; 16]].concat())
}

fn say(kernel: &OwnedFd, datagram: &[u8]) {
    let sent = send(kernel.as_raw_fd(), datagram, MsgFlags::empty()).unwrap();
    assert_eq!(sent, datagram.len());
}

fn ask(socket: &mut Socket, until: Instant) -> Result<Vec<Vec<u8>>, Error> {
    let mut bodies = Vec::new();
    socket.request(&mut Request::new(30, ACK), until, |body| {
        bodies.push(body.to_vec());
        Ok(())
    })?;
    Ok(bodies)
}

fn dump(socket: &mut Socket, until: Instant) -> Result<Vec<Vec<u8>>, Error> {
    socket.dump(&mut Request::new(30, DUMP), until, |body| Ok(Some(body.to_vec())))
}

#[test]
fn an_answer_ends_with_its_acknowledgement() {
    let (mut socket, kernel) = line();
    say(&kernel, &entry(1, b"four"));
    say(&kernel, &acknowledgement(1, 0));
    assert_eq!(ask(&mut socket, later()).unwrap(), [b"four"]);
    let mut request = [0; 64];
    let length = recv(kernel.as_raw_fd(), &mut request, MsgFlags::empty()).unwrap();
    assert_eq!(request[..length], *Request::new(30, ACK).stamp(1));
    say(&kernel, &acknowledgement(2, 0));
    assert_eq!(ask(&mut socket, later()).unwrap(), [[0_u8; 0]; 0]);
}

#[test]
fn answers_to_others_and_to_former_requests_are_passed_over() {
    let (mut socket, kernel) = line();
    say(&kernel, &[entry(0, b"late"), acknowledgement(0, 0)].concat());
    say(&kernel, &message(30, 0, 1, 4711, b"notours!"));
    say(&kernel, &[entry(1, b"ours"), acknowledgement(1, 0)].concat());
    assert_eq!(ask(&mut socket, later()).unwrap(), [b"ours"]);
}

#[test]
fn a_refusal_leaves_the_line_in_order() {
    let (mut socket, kernel) = line();
    say(&kernel, &acknowledgement(1, -2));
    assert!(matches!(ask(&mut socket, later()), Err(Error::Refused(Refusal { errno: Errno::ENOENT, .. }))));
    assert!(socket.is_open());
}

#[test]
fn silence_ends_at_the_deadline_and_takes_the_line_with_it() {
    let (mut socket, kernel) = line();
    assert!(matches!(ask(&mut socket, soon()), Err(Error::Timeout)));
    assert!(!socket.is_open());
    // The late answer finds nobody.
    assert_eq!(send(kernel.as_raw_fd(), &acknowledgement(1, 0), MsgFlags::MSG_NOSIGNAL), Err(Errno::EPIPE));
}

#[test]
fn a_far_deadline_is_not_an_endless_silence() {
    let (mut socket, kernel) = line();
    let start = Instant::now();
    say(&kernel, &entry(1, b"part"));
    assert!(matches!(dump(&mut socket, start + Duration::from_secs(3600)), Err(Error::Timeout)));
    assert!(start.elapsed() >= SHORT);
}

#[test]
fn an_answer_that_waits_counts_though_the_deadline_is_past() {
    let (mut socket, kernel) = line();
    say(&kernel, &acknowledgement(1, 0));
    assert!(ask(&mut socket, Instant::now()).is_ok());
}

#[test]
fn chatter_cannot_stretch_the_deadline() {
    let (mut socket, kernel) = line();
    for _ in 0..10 {
        say(&kernel, &entry(0, b"late"));
    }
    assert!(matches!(ask(&mut socket, Instant::now()), Err(Error::Timeout)));
    assert!(!socket.is_open());
}

#[test]
fn after_a_disorderly_end_the_next_request_has_a_line_of_its_own() {
    let (mut socket, kernel) = line();
    say(&kernel, &[1, 2, 3]);
    assert!(matches!(ask(&mut socket, later()), Err(Error::Malformed(_))));
    assert!(!socket.is_open());
    // RTM_GETLINK over the kernel's own rtnetlink: at least the loopback answers.
    let mut request = Request::new(18, DUMP);
    request.fixed(&[0; 16]);
    let links = socket.dump(&mut request, later(), |body| Ok(Some(body.len()))).unwrap();
    assert!(!links.is_empty() && socket.is_open());
}

#[test]
fn a_dump_comes_in_parts_of_any_size() {
    let (mut socket, kernel) = line();
    let long = vec![0x5a; 20_000];
    say(&kernel, &[entry(1, b"one."), entry(1, b"two.")].concat());
    say(&kernel, &entry(1, &long));
    say(&kernel, &done(1));
    assert_eq!(dump(&mut socket, later()).unwrap(), [b"one.".to_vec(), b"two.".to_vec(), long]);
}

#[test]
fn a_dump_of_many_parts_is_whole() {
    let (mut socket, kernel) = line();
    for n in 0..100_u8 {
        say(&kernel, &entry(1, &[n; 4]));
    }
    say(&kernel, &done(1));
    assert_eq!(dump(&mut socket, later()).unwrap().len(), 100);
}

#[test]
fn a_dump_that_was_interrupted_is_read_again() {
    let (mut socket, kernel) = line();
    say(&kernel, &[entry(1, b"old."), message(30, 2 | DUMP_INTERRUPTED, 1, 0, b"torn"), done(1)].concat());
    say(&kernel, &[entry(2, b"new."), done(2)].concat());
    assert_eq!(dump(&mut socket, later()).unwrap(), [b"new."]);
}

#[test]
fn a_dump_is_not_read_again_for_ever() {
    let (mut socket, kernel) = line();
    for sequence in 1..=100 {
        say(&kernel, &message(3, 2 | DUMP_INTERRUPTED, sequence, 0, &[0; 4]));
    }
    assert!(matches!(dump(&mut socket, later()), Err(Error::Interrupted)));
    assert_eq!(socket.sequence as usize, DUMP_TRIES);
}

#[test]
fn a_dump_that_the_reader_gives_up_leaves_no_rest_behind() {
    let (mut socket, kernel) = line();
    say(&kernel, &entry(1, b"junk"));
    say(&kernel, &[entry(1, b"rest"), done(1)].concat());
    let outcome: Result<Vec<()>, _> =
        socket.dump(&mut Request::new(30, DUMP), later(), |_| Err(Malformed("not what I asked for")));
    assert!(matches!(outcome, Err(Error::Malformed(Malformed("not what I asked for")))));
    assert!(!socket.is_open());
}

#[test]
fn lost_messages_are_an_error() {
    let (mut socket, kernel) = line();
    say(&kernel, &message(4, 0, 1, 0, &[]));
    let outcome = ask(&mut socket, later());
    assert!(matches!(&outcome, Err(Error::Io(e)) if e.raw_os_error() == Some(libc::ENOBUFS)), "{outcome:?}");
    assert!(!socket.is_open());
}

#[test]
fn a_closed_line_is_an_error_and_not_a_wait() {
    let (mut socket, kernel) = line();
    drop(kernel);
    assert!(matches!(ask(&mut socket, later()), Err(Error::Io(_))));
}
