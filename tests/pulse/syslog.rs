//! A syslog that collects what is said on a host, for tests that wait for a line.

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Instant;

use crate::ground::wait_until;

pub struct Syslog {
    place: PathBuf,
    socket: Option<UnixDatagram>,
    lines: RefCell<Vec<String>>,
}

impl Syslog {
    /// At this `dev/log`.
    pub fn at(place: PathBuf) -> Self {
        let mut syslog = Self { place, socket: None, lines: RefCell::default() };
        syslog.back();
        syslog
    }

    /// Nobody listens any more.
    pub fn away(&mut self) {
        self.socket = None;
        fs::remove_file(&self.place).unwrap();
    }

    pub fn back(&mut self) {
        let socket = UnixDatagram::bind(&self.place).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.socket = Some(socket);
    }

    fn collect(&self) {
        let mut buffer = [0; 2048];
        while let Some(Ok(n)) = self.socket.as_ref().map(|socket| socket.recv(&mut buffer)) {
            let line = String::from_utf8(buffer[..n].to_vec()).unwrap();
            eprintln!("{:?} {}: {line}", Instant::now(), self.place.display());
            self.lines.borrow_mut().push(line);
        }
    }

    /// How many lines have this text.
    pub fn count(&self, text: &str) -> usize {
        self.collect();
        self.lines.borrow().iter().filter(|line| line.contains(text)).count()
    }

    /// The first line with this text, which comes.
    pub fn wait_for(&self, text: &str) -> String {
        wait_until(text, || self.count(text) > 0);
        self.lines.borrow().iter().find(|line| line.contains(text)).unwrap().clone()
    }

    /// These came, in this order.
    pub fn assert_order(&self, texts: &[&str]) {
        self.collect();
        let lines = self.lines.borrow();
        let at = texts.iter().map(|text| lines.iter().position(|line| line.contains(text)));
        let at: Vec<usize> = at.map(|at| at.expect("the line is there")).collect();
        assert!(at.is_sorted(), "{texts:?} at {at:?}");
    }
}

impl Drop for Syslog {
    /// What nobody waited for is of interest when the test failed.
    fn drop(&mut self) {
        self.collect();
    }
}
