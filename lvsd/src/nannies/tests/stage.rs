//! The nannies without a loop, and the other ends of their lines.

use std::os::fd::{AsRawFd as _, OwnedFd};

use common::channel::{ASK_MAX, Said};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::super::*;
use crate::wanted::tests::examples;

/// The first nanny's.
pub(crate) const FIRST: Id = 16;

pub(crate) fn arguments(words: &[&str]) -> Arguments {
    words.iter().collect()
}

/// The nanny of one destination, asked for with these words.
pub(crate) fn monitor_with(server: u8, words: &[&str]) -> Rc<Monitor> {
    Rc::new(Monitor { name: "web".to_owned(), arguments: arguments(words), ..examples::monitor(1, server) })
}

pub(crate) fn monitor(server: u8) -> Rc<Monitor> {
    monitor_with(server, &["-c", "-w", "1"])
}

/// The nanny's end of a line.
pub(crate) struct FakeNanny(OwnedFd);

/// A child that another test starts at this moment has a copy of the descriptor until it
/// is another program: closed here alone, the line would go on for as long.
impl Drop for FakeNanny {
    fn drop(&mut self) {
        shutdown(self.0.as_raw_fd(), Shutdown::Both).unwrap();
    }
}

impl FakeNanny {
    pub(crate) fn says(&self, said: &Said) {
        send(self.0.as_raw_fd(), &said.encode(), MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    pub(crate) fn hello(&self, words: &[&str]) {
        self.says(&Said::hello(words.iter().map(|word| (*word).to_owned()).collect()));
    }

    pub(crate) fn hears(&self) -> Option<Ask> {
        let mut buffer = [0; ASK_MAX];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).ok().filter(|length| *length > 0)?;
        Ask::decode(&buffer[..length]).ok()
    }

    /// All that it hears now.
    pub(crate) fn hears_all(&self) -> Vec<Ask> {
        std::iter::from_fn(|| self.hears()).collect()
    }

    /// The next of what it was asked, but for why its server is down and what its
    /// predecessor found.
    pub(crate) fn was_asked(&self) -> Option<Ask> {
        std::iter::from_fn(|| self.hears()).find(is_asked)
    }

    /// All of that.
    pub(crate) fn was_asked_all(&self) -> Vec<Ask> {
        self.hears_all().into_iter().filter(is_asked).collect()
    }

    /// What it was told of its predecessor.
    pub(crate) fn inherited(&self) -> Vec<Ask> {
        self.hears_all().into_iter().filter(|ask| matches!(ask, Ask::Was(_) | Ask::Flapped(_))).collect()
    }
}

fn is_asked(ask: &Ask) -> bool {
    !matches!(ask, Ask::Why | Ask::Was(_) | Ask::Flapped(_))
}

/// The nannies, the time, and what came out since the last look.
pub(crate) struct Stage {
    pub(crate) nannies: Nannies,
    pub(crate) now: Instant,
    pub(crate) out: Vec<Action>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { nannies: Nannies::new(Rules::default(), FIRST), now: Instant::now(), out: Vec::new() }
    }

    /// What was asked of the loop since the last time.
    pub(crate) fn taken(&mut self) -> Vec<Action> {
        self.nannies.speak();
        std::mem::take(&mut self.out)
    }

    pub(crate) fn want(&mut self, monitor: &Rc<Monitor>) -> Wish {
        self.nannies.want(monitor, self.now, &mut self.out)
    }

    /// Answers a Find or Start with a new process.
    pub(crate) fn start(&mut self, id: Id, pid: u32) -> FakeNanny {
        let (line, theirs) = Line::pair().unwrap();
        self.nannies.started(id, pid, line, self.now, &mut self.out);
        self.nannies.speak();
        FakeNanny(theirs)
    }

    /// Answers a Find with one that was there.
    pub(crate) fn find(&mut self, id: Id, pid: u32) -> FakeNanny {
        let (line, theirs) = Line::pair().unwrap();
        self.nannies.found(id, line, pid, self.now);
        FakeNanny(theirs)
    }

    /// One that answers at a place that no wish led to.
    pub(crate) fn guest(&mut self, place: &str, pid: u32) -> (Id, FakeNanny) {
        let (line, theirs) = Line::pair().unwrap();
        (self.nannies.guest(place, line, pid, self.now), FakeNanny(theirs))
    }

    pub(crate) fn place(&mut self, id: Id, monitor: &Rc<Monitor>, arguments: Option<&Arguments>) {
        self.nannies.place(id, monitor, arguments, self.now, &mut self.out);
    }

    /// Reads its line; `true` if there may be more.
    pub(crate) fn read(&mut self, id: Id) -> bool {
        let has_more = self.nannies.read(id, self.now, &mut self.out);
        self.nannies.speak();
        has_more
    }

    /// Reads its line, to the end.
    pub(crate) fn hear(&mut self, id: Id) {
        assert!(!self.read(id));
    }

    pub(crate) fn verdict(&mut self, nanny: &FakeNanny, id: Id, available: bool, weight: u32) {
        nanny.says(&Said::Verdict { available, weight });
        self.hear(id);
    }

    pub(crate) fn after(&mut self, wait: Duration) -> Vec<Action> {
        self.now += wait;
        self.nannies.tick(self.now, &mut self.out);
        self.taken()
    }

    pub(crate) fn reaped(&mut self, pid: u32, exit: Exit) -> Vec<Action> {
        assert!(self.nannies.reaped(pid, exit, self.now, &mut self.out));
        self.taken()
    }

    pub(crate) fn killed(&mut self, pid: u32) -> Vec<Action> {
        self.reaped(pid, Exit::Signal(9))
    }

    /// One that runs and said so.
    pub(crate) fn running(server: u8, pid: u32) -> (Self, FakeNanny) {
        let mut stage = Self::new();
        stage.want(&monitor(server));
        assert_eq!(stage.taken(), [Action::Find(FIRST)]);
        let nanny = stage.start(FIRST, pid);
        nanny.hello(&["-c", "-w", "1"]);
        nanny.says(&Said::Ready);
        stage.hear(FIRST);
        stage.taken();
        (stage, nanny)
    }

    pub(crate) fn pid(&self, server: u8) -> Option<u32> {
        self.nannies.pid(&monitor(server).target)
    }
}
