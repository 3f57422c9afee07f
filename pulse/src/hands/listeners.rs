//! Tells the operator's programs what happens: `notify`, one run at a time, and
//! `notify_fifo`. Neither is waited for, and nobody who listens costs nothing.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::child::Exit;
use common::command::{Failure, Running, Starter};
use common::log::Log;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::messages::Message;
use crate::notify::{Notice, Queue, Standing, arguments, json};

/// How often a FIFO whose reader is slow is tried.
const AGAIN: Duration = Duration::from_millis(500);

/// What the file says about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// `notify`, and how long a run may take.
    pub command: Option<(Vec<String>, Duration)>,
    /// `notify_fifo`.
    pub fifo: Option<PathBuf>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Listeners {
    rules: Rules,
    runs: Queue<Vec<String>>,
    running: Option<Running>,
    dying: Option<Running>,
    lines: Queue<(Notice, Standing, Duration)>,
    fifo: Option<File>,
    again: Option<Instant>,
    /// What was said about the FIFO.
    trouble: Option<String>,
}

impl Listeners {
    /// As the file says.
    pub fn set_rules(&mut self, rules: Rules) {
        if rules.fifo != self.rules.fifo {
            (self.fifo, self.lines, self.trouble) = (None, Queue::default(), None);
        }
        self.rules = rules;
    }

    /// This happened.
    pub fn tell(&mut self, notice: &Notice, standing: Standing, now: Instant, log: &Log) {
        if self.rules.command.is_some() {
            self.runs.push(notice, arguments(notice, standing));
        }
        if self.rules.fifo.is_some() {
            // For people, who know the time of day.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.lines.push(notice, (notice.clone(), standing, since));
        }
        self.turn(now, log);
    }

    /// So many events never came here.
    pub fn missed(&mut self, count: u64) {
        if self.rules.command.is_some() {
            self.runs.missed(count);
        }
        if self.rules.fifo.is_some() {
            self.lines.missed(count);
        }
    }

    /// When [`Listeners::turn`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let commands = [&self.running, &self.dying].map(|command| command.as_ref().map(Running::deadline));
        commands.into_iter().chain([self.again]).flatten().min()
    }

    /// What is due.
    pub fn turn(&mut self, now: Instant, log: &Log) {
        if let Some(failure) = self.running.as_mut().and_then(|running| running.due(now)) {
            self.dying = self.running.take();
            say(failure, log);
        }
        if let Some(dying) = &mut self.dying {
            dying.due(now);
        }
        self.run(now, log);
        self.write(now, log);
    }

    /// A child ended; `false`: it was not ours.
    pub fn reaped(&mut self, pid: u32, exit: Exit, now: Instant, log: &Log) -> bool {
        if self.dying.take_if(|dying| dying.pid() == pid).is_none() {
            let Some(running) = self.running.take_if(|running| running.pid() == pid) else { return false };
            if let Err(failure) = running.judge(exit) {
                say(failure, log);
            }
        }
        self.run(now, log);
        true
    }

    fn run(&mut self, now: Instant, log: &Log) {
        while self.running.is_none() && self.dying.is_none() {
            let Some((words, within)) = &self.rules.command else { return };
            let Some(arguments) = self.runs.pop() else { return };
            let dropped = self.runs.dropped();
            if dropped > 0 {
                log.say(&Message::NoticesDropped(dropped));
            }
            match Running::start(&[words.clone(), arguments].concat(), &Starter::default(), *within, now) {
                Ok(running) => self.running = Some(running),
                Err(failure) => say(failure, log),
            }
        }
    }

    fn write(&mut self, now: Instant, log: &Log) {
        self.again = None;
        while let Some((notice, standing, since)) = self.lines.front() {
            let Some(path) = &self.rules.fifo else { return };
            let opened = self.fifo.take().map_or_else(|| open(path), Ok);
            let written = opened.and_then(|mut fifo| {
                fifo.write_all(json(notice, *standing, *since, self.lines.count_dropped()).as_bytes())?;
                Ok(fifo)
            });
            match written {
                Ok(fifo) => {
                    self.fifo = Some(fifo);
                    self.trouble = None;
                    self.lines.dropped();
                    self.lines.pop();
                }
                // Its reader is slow.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.again = Some(now + AGAIN);
                    return;
                }
                Err(e) => {
                    // Nobody reads, which is nobody's trouble.
                    let is_idle = e.kind() == ErrorKind::BrokenPipe || e.raw_os_error() == Some(nix::libc::ENXIO);
                    let text = e.to_string();
                    if !is_idle && self.trouble.as_ref() != Some(&text) {
                        log.say(&Message::FifoTrouble { path: path.clone(), error: text.clone() });
                        self.trouble = Some(text);
                    }
                    self.lines = Queue::default();
                }
            }
        }
    }
}

fn say(failure: Failure, log: &Log) {
    log.say(&Message::NotifyFailed(failure));
}

/// The FIFO, which is made if it is not there.
fn open(path: &Path) -> std::io::Result<File> {
    if let Err(e) = mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)
        && e != nix::errno::Errno::EEXIST
    {
        return Err(e.into());
    }
    if !std::fs::metadata(path)?.file_type().is_fifo() {
        return Err(std::io::Error::other("it is no FIFO"));
    }
    OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}
