//! A syslog that collects what is said on a host, for tests that wait for a line. It
//! reads all the time, whatever the test does: a kernel keeps ten lines for it, and who
//! ends with more to say takes them along.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ground::wait_until;

pub struct Syslog(Arc<Mutex<Heard>>);

struct Heard {
    place: PathBuf,
    socket: Option<UnixDatagram>,
    lines: Vec<String>,
}

impl Syslog {
    /// At this `dev/log`.
    pub fn at(place: PathBuf) -> Self {
        let heard = Arc::new(Mutex::new(Heard { place, socket: None, lines: Vec::new() }));
        let for_thread = Arc::downgrade(&heard);
        let mut syslog = Self(heard);
        syslog.back();
        std::thread::spawn(move || {
            while let Some(heard) = for_thread.upgrade() {
                heard.lock().unwrap_or_else(PoisonError::into_inner).collect();
                drop(heard);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        syslog
    }

    /// Nobody listens any more.
    pub fn away(&mut self) {
        let mut heard = self.heard();
        heard.socket = None;
        fs::remove_file(&heard.place).unwrap();
    }

    pub fn back(&mut self) {
        let mut heard = self.heard();
        let socket = UnixDatagram::bind(&heard.place).unwrap();
        socket.set_nonblocking(true).unwrap();
        heard.socket = Some(socket);
    }

    /// With all that was said until now.
    fn heard(&self) -> MutexGuard<'_, Heard> {
        // A test that fails holding it still shows what was said.
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.collect();
        heard
    }

    /// How many lines have this text.
    pub fn count(&self, text: &str) -> usize {
        self.heard().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// The first line with this text, which comes.
    pub fn wait_for(&self, text: &str) -> String {
        wait_until(text, || self.count(text) > 0);
        self.heard().lines.iter().find(|line| line.contains(text)).unwrap().clone()
    }

    /// These came, in this order.
    pub fn assert_order(&self, texts: &[&str]) {
        let heard = self.heard();
        let at = texts.iter().map(|text| heard.lines.iter().position(|line| line.contains(text)));
        let at: Vec<usize> = at.map(|at| at.expect("the line is there")).collect();
        assert!(at.is_sorted(), "{texts:?} at {at:?}");
    }
}

impl Heard {
    fn collect(&mut self) {
        let mut buffer = [0; 2048];
        while let Some(Ok(n)) = self.socket.as_ref().map(|socket| socket.recv(&mut buffer)) {
            let line = String::from_utf8(buffer[..n].to_vec()).unwrap();
            eprintln!("{:?} {}: {line}", Instant::now(), self.place.display());
            self.lines.push(line);
        }
    }
}

impl Drop for Syslog {
    /// What nobody waited for is of interest when the test failed.
    fn drop(&mut self) {
        drop(self.heard());
    }
}
