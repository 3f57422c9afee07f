//! The only place where lvsd acts on the world outside: the kernel's IPVS table,
//! processes and their signals, meeting places. It decides nothing and logs
//! nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use common::channel::{Line, join};
use common::child::Exit;
use common::ipvs::{Agreement as _, Destination, Error, Ipvs, Service, ServiceKey, Timeouts};

use crate::plan::{Step, Table};
use crate::wanted::{Monitor, Wanted};

/// The kernel's table, or a test's.
#[derive(Debug)]
pub struct Kernel<K> {
    table: K,
}

impl<K: Ipvs> Kernel<K> {
    /// Over these verbs.
    pub fn new(table: K) -> Self {
        Self { table }
    }

    /// Does one step. What is so already is agreement.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn apply(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::SetTimeouts(timeouts) => self.table.set_timeouts(timeouts),
            Step::AddService { service, .. } => {
                if !self.table.add_service(service).or_exists()? {
                    self.table.edit_service(service)?;
                }
                Ok(())
            }
            Step::EditService { service, .. } => match self.table.edit_service(service) {
                Err(Error::NoSuchService) => self.table.add_service(service),
                other => other,
            },
            Step::DeleteService { key, .. } => self.table.delete_service(key).or_absent().map(drop),
            Step::AddSorry { service, destination, .. } => {
                self.table.add_destination(service, destination).or_exists().map(drop)
            }
            Step::EditSorry { service, destination, .. } => self.table.edit_destination(service, destination),
            Step::RemoveDestination { service, destination, .. } => {
                self.table.delete_destination(service, destination).or_absent().map(drop)
            }
        }
    }

    /// The connection timeouts.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.table.timeouts()
    }

    /// All services.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn services(&mut self) -> Result<BTreeMap<ServiceKey, Service>, Error> {
        Ok(self.table.services()?.into_iter().map(|entry| (entry.service.key, entry.service)).collect())
    }

    /// One service, if it is there.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn service(&mut self, key: &ServiceKey) -> Result<Option<Service>, Error> {
        Ok(self.table.service(key)?.map(|entry| entry.service))
    }

    /// The destinations of a service; none if it is not there.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<Destination>, Error> {
        match self.table.destinations(key) {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.destination).collect()),
            Err(Error::NoSuchService) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// Everything that a plan for this configuration looks at.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn table(&mut self, wanted: &Wanted) -> Result<Table, Error> {
        let timeouts = self.timeouts()?;
        let services = self.services()?;
        let mut destinations = BTreeMap::new();
        for wanted in &wanted.virtuals {
            let key = wanted.service.key;
            if services.contains_key(&key) {
                destinations.insert(key, self.destinations(&key)?);
            }
        }
        Ok(Table { timeouts, services, destinations })
    }
}

/// Starts a nanny. Its stdin is the other end of the line; stdout and stderr are
/// ours. It gets a process group of its own, so that an interrupt typed at a
/// foreground lvsd reaches lvsd alone, which then stops all in order. Nothing is
/// done between fork and exec: that keeps the standard library on posix_spawn,
/// which does not copy our page tables.
///
/// # Errors
/// The system's, with the program's name.
pub fn spawn(monitor: &Monitor) -> io::Result<(u32, Line)> {
    use std::os::unix::process::CommandExt as _;
    let (line, theirs) = Line::pair()?;
    let child = Command::new(&monitor.program)
        .args(monitor.arguments.iter())
        .stdin(Stdio::from(theirs))
        .process_group(0)
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", monitor.program.display())))?;
    // Its end is seen by [`reap`], which needs no handle.
    Ok((child.id(), line))
}

/// Sends a signal. One that is gone already needs none.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // The only other failure is a process that is not ours to signal, and
        // its place would have shown us the door.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The next child that ended. SIGCHLD coalesces, so call it until it has none.
pub fn reap() -> Option<(u32, Exit)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => {
                let (pid, exit) = Exit::from_wait(status)?;
                return Some((pid.as_raw().unsigned_abs(), exit));
            }
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Joins the process at a meeting place, if there is one; with the process that
/// opened the place, as the kernel knows it.
pub fn meet(place: &Path) -> Option<(Line, u32)> {
    let line = join(place).ok()?;
    let pid = line.peer().ok()?.pid();
    Some((line, u32::try_from(pid).ok()?))
}

/// The names of all meeting places in a folder, in order.
pub fn places(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut places: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    places.sort();
    places
}
