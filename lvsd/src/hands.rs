//! The only place where lvsd acts on the world outside: the kernel's IPVS table,
//! processes and their signals, meeting places. It decides nothing and logs
//! nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use common::channel::{ASK_MAX, Ask, Line, Said, join};
use common::daemon::{self, run_root};
use common::destinations::Assignment;
use common::ipvs::{Agreement as _, Destination, DestinationEntry, Error, Ipvs, Service, ServiceKey, Timeouts};

use crate::nannies::{self, Id, Nannies};
use crate::plan::{Step, Table};
use crate::preview::{Found, Process};
use crate::wanted::Monitor;

pub use common::process::{reap, signal};

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
            Step::Drain { service, destination, .. } | Step::Return { service, destination, .. } => {
                self.table.edit_destination(service, destination)
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
        Ok(self.entries(key)?.into_iter().map(|entry| entry.destination).collect())
    }

    /// The same with their connections.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn entries(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        match self.table.destinations(key) {
            Err(Error::NoSuchService) => Ok(Vec::new()),
            other => other,
        }
    }

    /// All that a plan looks at: the services, and the destinations of these.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn table<'a>(&mut self, keys: impl IntoIterator<Item = &'a ServiceKey>) -> Result<Table, Error> {
        let (timeouts, services) = (self.timeouts()?, self.services()?);
        let mut destinations = BTreeMap::new();
        for key in keys {
            if services.contains_key(key) && !destinations.contains_key(key) {
                destinations.insert(*key, self.entries(key)?);
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
fn spawn(monitor: &Monitor) -> io::Result<(u32, Line)> {
    use std::os::unix::process::CommandExt as _;
    let (line, theirs) = Line::pair()?;
    let child = daemon::command(&monitor.program)
        .args(monitor.arguments.iter())
        .stdin(Stdio::from(theirs))
        .process_group(0)
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", monitor.program.display())))?;
    // Its end is seen by [`reap`], which needs no handle.
    Ok((child.id(), line))
}

/// Whether a process answers at a nanny's meeting place; it is taken if so, and
/// heard through the registry.
pub fn find(nannies: &mut Nannies, id: Id, places: Option<&Path>, registry: &Registry, now: Instant) -> bool {
    let (Some(folder), Some(place)) = (places, nannies.meeting_place(id)) else { return false };
    let Some((line, pid)) = meet(&folder.join(place)) else { return false };
    if listen(&line, id, registry).is_err() {
        return false;
    }
    nannies.found(id, line, pid, now);
    true
}

/// Starts the nanny with this id, which is wanted so; what follows goes to `out`.
pub fn start(
    nannies: &mut Nannies,
    id: Id,
    monitor: &Monitor,
    registry: &Registry,
    now: Instant,
    out: &mut Vec<nannies::Action>,
) {
    match spawn(monitor) {
        Ok((pid, line)) => match listen(&line, id, registry) {
            Ok(()) => nannies.started(id, pid, line, now, out),
            Err(e) => {
                signal(pid, Signal::SIGKILL);
                nannies.not_started(id, &e.to_string(), now, out);
            }
        },
        Err(e) => nannies.not_started(id, &e.to_string(), now, out),
    }
}

/// Knocks at a meeting place that no wish led to.
pub fn knock(nannies: &mut Nannies, path: &Path, registry: &Registry, now: Instant) {
    let Some(place) = path.file_name().and_then(|name| name.to_str()) else { return };
    if let Some((line, pid)) = meet(path) {
        let fd = line.as_fd().as_raw_fd();
        let id = nannies.guest(place, line, pid, now);
        // One that cannot be heard counts as one that does not answer.
        let _ = registry.register(&mut SourceFd(&fd), Token(id), Interest::READABLE);
    }
}

fn listen(line: &Line, id: Id, registry: &Registry) -> io::Result<()> {
    registry.register(&mut SourceFd(&line.as_fd().as_raw_fd()), Token(id), Interest::READABLE)
}

/// The time since the machine's start, the same for all processes.
pub fn since_boot() -> Duration {
    // Every kernel that has IPVS has this clock.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// Joins the process at a meeting place, if there is one; with the process that
/// opened the place, as the kernel knows it.
pub fn meet(place: &Path) -> Option<(Line, u32)> {
    let line = join(place).ok()?;
    let pid = line.peer().ok()?.pid();
    Some((line, u32::try_from(pid).ok()?))
}

/// The command line of the lvsd that lives, by its pid file, if one answers at its
/// meeting place. Whoever only knocks changes nothing.
pub fn living_lvsd(pid_file: &Path) -> Option<Vec<String>> {
    let line = join(&run_root().join("lvsd")).ok()?;
    drop(line);
    let pid: u32 = std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    Some(line.trim_end_matches('\0').split('\0').map(str::to_owned).collect())
}

/// Asks the lvsd that lives: whether it did so, what it says, and where more of that
/// begins.
///
/// # Errors
/// None answers, or not in time.
pub fn ask_lvsd(ask: &Ask, within: Duration) -> io::Result<(bool, String, Option<usize>)> {
    let until = Instant::now() + within;
    let packet = ask.encode();
    if packet.len() > ASK_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let line = join(&run_root().join("lvsd"))?;
    line.send(&packet)?;
    // Its greeting and its beat are none.
    let of = |said| if let Said::Answer { done, next, text } = said { Some((done, text, next)) } else { None };
    let answer = line.wait_for(Said::decode, until, of)?;
    answer.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset))
}

/// The monitors that run in our namespaces, by their command lines: to look at them
/// disturbs nobody. Those that keep several destinations are asked which.
pub fn monitors() -> Vec<Found> {
    let ours = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    let (network, mounts) = (ours("net"), ours("mnt"));
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found: Vec<Found> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|entry| {
            let process = entry.path();
            let line = std::fs::read(process.join("cmdline")).ok()?;
            let found = Process::read(&String::from_utf8_lossy(&line))?;
            let of = |kind: &str| std::fs::read_link(process.join("ns").join(kind)).ok();
            (of("net") == network && of("mnt") == mounts).then_some(found)
        })
        .flat_map(|process| process.found(ask_nanny))
        .collect();
    found.sort_by_key(|found| found.target);
    found
}

/// How long a nanny may take to say what it keeps.
const NANNY_WITHIN: Duration = Duration::from_secs(2);

/// What the nanny at this meeting place keeps; nothing, if it does not say.
fn ask_nanny(place: &str) -> Vec<Assignment> {
    let Ok(line) = join(&run_root().join("nanny").join(place)) else { return Vec::new() };
    let mut all = Vec::new();
    let done = |said| {
        if let Said::Holds(held) = said {
            all.extend(held.into_iter().map(|held| held.assignment));
            return None;
        }
        // It says what it keeps before who it is.
        matches!(said, Said::Hello { .. }).then_some(())
    };
    // What was said by then counts, whatever ended the wait.
    let _ = line.wait_for(Said::decode, Instant::now() + NANNY_WITHIN, done);
    all
}

/// The names of all meeting places in a folder, in order.
pub fn places(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut places: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    places.sort();
    places
}
