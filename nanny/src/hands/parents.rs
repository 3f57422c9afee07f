//! Those who hold a line to this process: the lvsd that started it, on stdin, and
//! whoever found it at its meeting place after that one's death. A visitor (a
//! second nanny that asks whether the place is taken) comes and goes without
//! costing the parent its line.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use common::channel::{Ask, Line, MeetingPlace, Received, Said};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

/// How many may hold a line: the old parent, the new one, and a visitor or two.
/// Who comes on top is shown the door.
pub const LINES_MAX: usize = 4;

/// The lines and the place.
#[derive(Debug, Default)]
pub struct Parents {
    place: Option<MeetingPlace>,
    lines: [Option<Line>; LINES_MAX],
}

/// The tokens of this part of the loop.
pub const PLACE: Token = Token(2);
const FIRST_LINE: usize = 3;

impl Parents {
    /// Which line a token of the loop means.
    pub fn line_of(token: Token) -> Option<usize> {
        token.0.checked_sub(FIRST_LINE).filter(|line| *line < LINES_MAX)
    }

    /// Opens the place.
    ///
    /// # Errors
    /// `AddrInUse`: another nanny is there.
    pub fn open(&mut self, path: &Path, registry: &Registry) -> io::Result<()> {
        let place = MeetingPlace::open(path)?;
        registry.register(&mut SourceFd(&place.as_fd().as_raw_fd()), PLACE, Interest::READABLE)?;
        self.place = Some(place);
        Ok(())
    }

    /// Adds a line; its number, or `None` if there are too many.
    ///
    /// # Errors
    /// The loop cannot watch it.
    pub fn add(&mut self, line: Line, registry: &Registry) -> io::Result<Option<usize>> {
        let Some((number, free)) = self.lines.iter_mut().enumerate().find(|(_, line)| line.is_none()) else {
            return Ok(None);
        };
        let fd = line.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), Token(FIRST_LINE + number), Interest::READABLE)?;
        *free = Some(line);
        Ok(Some(number))
    }

    /// The next who came to the place.
    pub fn accept(&self) -> Option<Line> {
        self.place.as_ref()?.accept()
    }

    /// What is asked on this line. Its end removes it.
    pub fn ask(&mut self, number: usize) -> Received<Ask> {
        let Some(slot) = self.lines.get_mut(number) else { return Received::Nothing };
        let received = slot.as_ref().map_or(Received::Nothing, Line::receive_ask);
        if received == Received::Ended {
            *slot = None;
        }
        received
    }

    /// Tells one of them. A line that is broken shows as its end.
    pub fn tell_one(&self, number: usize, said: &Said) {
        if let Some(line) = self.lines.get(number).and_then(Option::as_ref) {
            let _ = line.send(&said.encode());
        }
    }

    /// Tells all of them; `false`: one of them has no room for it. A line that is broken
    /// shows as its end.
    pub fn tell(&self, said: &Said) -> bool {
        let packet = said.encode();
        let mut all = true;
        for line in self.lines.iter().flatten() {
            all &= line.try_send(&packet).unwrap_or(true);
        }
        all
    }

    /// Whether nobody holds a line.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(Option::is_none)
    }

    /// Takes the place's name away; done at an orderly end.
    pub fn close(&mut self) {
        if let Some(place) = self.place.take() {
            place.close();
        }
    }
}
