//! A long download: a connection on which the server talks, byte by byte what
//! both sides know, and the client only acknowledges. One byte lost, doubled or
//! changed ends it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::wait::{SOON, wait_until};

/// How long a download may stand still: a change of directors costs some
/// retransmissions, each twice as late as the one before.
const STANDSTILL_MAX: Duration = Duration::from_secs(40);

/// What is sent in one go, and how long until the next: enough packets that a
/// director sees the connection all the time, few enough for a slow guest.
const PIECE: usize = 4096;
const PAUSE: Duration = Duration::from_millis(10);

/// The bytes of every download, in their order.
struct Content(u64);

impl Content {
    fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    fn fill(&mut self, piece: &mut [u8]) {
        for byte in piece {
            // xorshift: no byte tells what the next is
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0.to_le_bytes()[3];
        }
    }
}

/// The server's side of `GET /download/PIECES`.
pub(super) fn send(stream: &mut impl Write, pieces: usize) -> std::io::Result<()> {
    let mut content = Content::new();
    let mut piece = [0; PIECE];
    for _ in 0..pieces {
        content.fill(&mut piece);
        stream.write_all(&piece)?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

#[derive(Default)]
struct Progress {
    /// The client's port.
    port: u16,
    received: usize,
    /// The longest time between two reads.
    stood_still: Duration,
    /// How it ended.
    end: Option<Result<(), String>>,
}

/// A download under way.
pub struct Download {
    progress: Arc<Mutex<Progress>>,
    size: usize,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Begins a download from `vip` that takes about `lasts`; it flows when this
    /// returns.
    pub fn download(&self, vip: &str, lasts: Duration) -> Download {
        let to: SocketAddr = vip.parse().expect("an address");
        let pieces = usize::try_from(lasts.as_millis() / PAUSE.as_millis()).expect("some pieces");
        let progress = Arc::new(Mutex::new(Progress::default()));
        let tell = Arc::clone(&progress);
        let thread = self.thread(move || {
            let end = fetch(to, pieces, &tell).map_err(|e| e.to_string());
            tell.lock().expect("no panic holds it").end = Some(end);
        });
        let download = Download { progress, size: pieces * PIECE, thread: Some(thread) };
        download.assert_flowing();
        download
    }
}

impl Download {
    /// The client's port, by which a director's table knows it.
    pub fn port(&self) -> u16 {
        self.progress.lock().expect("no panic holds it").port
    }

    /// Bytes come, from now on.
    pub fn assert_flowing(&self) {
        let received = || self.progress.lock().expect("no panic holds it").received;
        let before = received();
        wait_until(SOON, "the download flows", || received() > before + 10 * PIECE || self.has_ended());
        let progress = self.progress.lock().expect("no panic holds it");
        if let Some(Err(why)) = &progress.end {
            panic!("the download broke after {} bytes: {why}", progress.received);
        }
    }

    /// Waits for its end, which must be the right one; for how long it stood still
    /// at most.
    pub fn finish(mut self) -> Duration {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
        let progress = self.progress.lock().expect("no panic holds it");
        assert_eq!(progress.end, Some(Ok(())), "the download broke after {} bytes", progress.received);
        assert_eq!(progress.received, self.size);
        progress.stood_still
    }

    fn has_ended(&self) -> bool {
        self.progress.lock().expect("no panic holds it").end.is_some()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fetch(to: SocketAddr, pieces: usize, progress: &Mutex<Progress>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, STANDSTILL_MAX)?;
    stream.set_read_timeout(Some(STANDSTILL_MAX))?;
    progress.lock().expect("no panic holds it").port = stream.local_addr()?.port();
    stream.write_all(format!("GET /download/{pieces} HTTP/1.0\r\n\r\n").as_bytes())?;
    receive(&mut stream, pieces, progress)
}

fn receive(stream: &mut impl Read, pieces: usize, progress: &Mutex<Progress>) -> std::io::Result<()> {
    let mut content = Content::new();
    let (mut buffer, mut expected) = ([0; PIECE], [0; PIECE]);
    let mut at = Instant::now();
    let mut received = 0;
    loop {
        let n = match stream.read(&mut buffer) {
            // A read with a deadline is not begun again for who was stopped in it.
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if n == 0 {
            let whole = received == pieces * PIECE;
            return if whole { Ok(()) } else { Err(std::io::Error::other("it ended too early")) };
        }
        content.fill(&mut expected[..n]);
        if buffer[..n] != expected[..n] {
            return Err(std::io::Error::other(format!("wrong bytes behind {received}")));
        }
        received += n;
        let mut progress = progress.lock().expect("no panic holds it");
        progress.received = received;
        progress.stood_still = progress.stood_still.max(at.elapsed());
        at = Instant::now();
    }
}

#[test]
fn a_download_is_right_to_the_last_byte_or_it_breaks() {
    let mut sent = Vec::new();
    send(&mut sent, 3).unwrap();
    let judge = |bytes: &[u8]| {
        let (mut bytes, progress) = (bytes, Mutex::new(Progress::default()));
        receive(&mut bytes, 3, &progress).map_err(|e| e.to_string())
    };
    assert_eq!(judge(&sent), Ok(()));
    assert_eq!(judge(&sent[..sent.len() - 1]), Err("it ended too early".to_owned()));
    assert!(judge(&[&sent[..], b"x"].concat()).is_err());
    let mut changed = sent.clone();
    changed[PIECE + 7] ^= 1;
    assert_eq!(judge(&changed), Err(format!("wrong bytes behind {PIECE}")));
    let doubled = [&sent[..PIECE], &sent].concat();
    assert!(judge(&doubled).is_err());
}
