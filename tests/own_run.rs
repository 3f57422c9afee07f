//! A /run of the test's own for the programs it starts, where it has the right to
//! one: their sockets and pid files must not stay on the machine, nor meet those
//! of a suite at work. Without the right they cannot write there anyway.

use std::process::{Child, Command, Output};

use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

#[path = "lab/ground/worker.rs"]
#[allow(unreachable_pub, reason = "made for the lab")]
mod worker;

/// Where programs are started with a /run of their own.
pub(crate) struct OwnRun(Option<worker::Worker>);

impl OwnRun {
    /// Makes one; it goes with this value and the programs.
    pub(crate) fn new() -> Self {
        let worker = worker::Worker::new(CloneFlags::CLONE_NEWNS).ok();
        if let Some(worker) = &worker {
            worker.run(prepare).expect("a /run of its own");
        }
        Self(worker)
    }

    /// Starts a program.
    #[allow(dead_code, reason = "not every test needs both")]
    pub(crate) fn spawn(&self, mut command: Command) -> std::io::Result<Child> {
        match &self.0 {
            Some(worker) => worker.run(move || command.spawn()),
            None => command.spawn(),
        }
    }

    /// Runs a program to its end.
    #[allow(dead_code, reason = "not every test needs both")]
    pub(crate) fn output(&self, mut command: Command) -> std::io::Result<Output> {
        match &self.0 {
            Some(worker) => worker.run(move || command.output()),
            None => command.output(),
        }
    }
}

fn prepare() -> nix::Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>)
}
