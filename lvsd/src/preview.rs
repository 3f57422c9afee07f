//! What a start or a reload would do, in the order in which it would do it, for
//! `--plan` and `--test-start`. Every answer is that of the part that acts:
//! [`crate::plan`], [`crate::departure`], [`crate::leaver`]; here they are only
//! asked all at once, of a world that was looked at once. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::channel::nanny_place;
use common::destinations::Assignment;
use common::ipvs::{Destination, DestinationEntry, ServiceKey};

use crate::departure::{self, Departure, Running};
use crate::leaver::{self, Leaver, Next, Stage};
use crate::ledger::{Ledger, Left};
use crate::messages::Seconds;
use crate::nanny_command::{self, Arguments};
use crate::plan::{self, Step, Table};
use crate::sorry::Standby;
use crate::wanted::{DEFAULT_MONITOR, Monitor, Target, Virtual, Wanted};

/// A monitor that runs, as its command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The destination it keeps.
    pub target: Target,
    /// Its program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Arguments,
    /// Where it is met, if it is a nanny.
    pub place: String,
    /// What it was told, if it keeps others too.
    pub assignment: Option<Assignment>,
}

/// A process that may be a monitor of lvsd's, by its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// It keeps one destination.
    Monitor(Found),
    /// It keeps several, which have to be asked for at its meeting place.
    Shared {
        /// Its program.
        program: PathBuf,
        /// Its arguments.
        arguments: Arguments,
        /// Where it is met.
        place: String,
    },
}

impl Process {
    /// Reads /proc/PID/cmdline; `None` if it is not a monitor of lvsd's.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('\0').unwrap_or(line).split('\0');
        let mut program = words.next()?;
        let mut rest: Vec<&str> = words.collect();
        // A script has its interpreter before it.
        if rest.first().is_some_and(|word| word.starts_with('/')) {
            program = rest.remove(0);
        }
        if rest.last() != Some(&"--lvs") {
            return None;
        }
        let (program, arguments) = (PathBuf::from(program), rest.into_iter().collect());
        if let Some(place) = nanny_command::shared_meeting(&arguments) {
            return Some(Self::Shared { program, arguments, place });
        }
        let (target, probe_port) = nanny_command::target_and_probe(&arguments)?;
        let place = nanny_place(&target.service, target.destination.address, probe_port);
        Some(Self::Monitor(Found { target, program, arguments, place, assignment: None }))
    }

    /// What it keeps; of one that keeps several as it said at its meeting place.
    pub fn found(self, ask: impl FnOnce(&str) -> Vec<Assignment>) -> Vec<Found> {
        match self {
            Self::Monitor(found) => vec![found],
            Self::Shared { program, arguments, place } => {
                let found = |told: Assignment| Found {
                    target: told.target,
                    program: program.clone(),
                    arguments: arguments.clone(),
                    place: place.clone(),
                    assignment: Some(told),
                };
                ask(&place).into_iter().map(found).collect()
            }
        }
    }
}

impl Found {
    fn is_nanny(&self) -> bool {
        self.program.file_name() == Path::new(DEFAULT_MONITOR).file_name()
    }
}

/// One thing that would be done, or that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A change of the kernel's table.
    Step(Step),
    /// A nanny is started.
    Start(Rc<Monitor>),
    /// A nanny that runs, or is started, takes one more.
    Join(Rc<Monitor>),
    /// A nanny is told to keep one of its destinations in another way.
    Tell(Rc<Monitor>, Assignment),
    /// A nanny is replaced, its destination stays; with how it runs now.
    Replace(Rc<Monitor>, Arguments),
    /// A nanny ends; the text says what becomes of its destination.
    Stop(Departure),
    /// A destination drains; nothing is to be done about it now.
    Draining {
        /// Which.
        target: Target,
        /// Its names.
        name: String,
        /// What it still has.
        connections: u32,
        /// The time it has left.
        left: Duration,
    },
    /// A service goes when its last destination has gone.
    Later(Step),
}

impl Item {
    /// Whether something is done now.
    pub fn is_act(&self) -> bool {
        match self {
            Self::Step(_) | Self::Start(_) | Self::Join(_) | Self::Tell(..) | Self::Replace(..) | Self::Stop(_) => true,
            Self::Draining { .. } | Self::Later(_) => false,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(f),
            Self::Start(monitor) => {
                let Monitor { name, server, program, arguments, .. } = &**monitor;
                write!(f, "start nanny for child {name}/{server}: {}", shell_words(program, arguments))
            }
            Self::Join(monitor) => {
                let Monitor { name, server, target, .. } = &**monitor;
                write!(f, "give child {name}/{server} to the nanny that checks {} alike", target.destination.address)
            }
            Self::Tell(monitor, before) => {
                let Monitor { name, server, assignment, .. } = &**monitor;
                write!(f, "tell the nanny of child {name}/{server}: {}", told(before, assignment.as_ref()))
            }
            Self::Replace(monitor, before) => {
                let Monitor { name, server, target, arguments, .. } = &**monitor;
                write!(f, "replace nanny for child {name}/{server}: {}", difference(before, arguments))?;
                write!(f, "; {} stays", target.destination)
            }
            Self::Stop(Departure { name, server, target, stay, .. }) => {
                let what = match stay {
                    None => "is removed".to_owned(),
                    Some(departure::Stay { wait: Some(wait), .. }) => {
                        format!("stays until the new servers of {wait} are judged")
                    }
                    Some(departure::Stay { wait: None, .. }) => "stays".to_owned(),
                };
                write!(f, "stop nanny for child {name}/{server}: {} {what}", target.destination)
            }
            Self::Draining { target, name, connections, left } => {
                let left = Duration::from_secs(left.as_secs());
                write!(f, "{} of {name} is draining: {connections} connections, ", target.destination)?;
                write!(f, "{} at most", Seconds(left))
            }
            Self::Later(step) => write!(f, "{step}, when its last real server has gone"),
        }
    }
}

/// What there is.
#[derive(Debug)]
pub struct World<'a> {
    /// In the kernel.
    pub table: &'a Table,
    /// In the ledger.
    pub ledger: &'a Ledger,
    /// Running.
    pub found: &'a [Found],
    /// The time since the machine's start, by which the ledger counts.
    pub since_boot: Duration,
}

/// All of it in order: timeouts; the virtuals as in the file, each with its
/// destinations and nannies; then who leaves; then what is empty. `standby`: whether
/// sorry servers should be in, as far as that is known.
pub fn preview(wanted: &Wanted, world: &World<'_>, standby: impl Fn(&Virtual) -> Standby) -> Vec<Item> {
    let runs: HashMap<&Target, &Found> = world.found.iter().map(|found| (&found.target, found)).collect();
    let running: Vec<Running<'_>> = world.found.iter().map(running).collect();
    let departures = departure::departures(wanted, &running, world.ledger);
    let mut items: Vec<Item> =
        plan::timeouts(&wanted.timeouts, &world.table.timeouts).map(Item::Step).into_iter().collect();
    let mut places: HashSet<&str> = world.found.iter().map(|found| found.place.as_str()).collect();
    for wanted in &wanted.virtuals {
        come(wanted, world, &runs, standby(wanted), &mut places, &mut items);
    }
    let is_wanted: HashSet<&Target> = wanted.monitors().map(|monitor| &monitor.target).collect();
    let mut staying = HashSet::new();
    for departure in departures {
        let target = departure.target;
        let stay = departure.stay;
        let leaver = stay.map(|stay| Leaver::new(departure.name.clone(), departure.server.clone(), stay));
        items.push(Item::Stop(departure));
        if let Some(leaver) = leaver {
            go(&target, &leaver, world, &mut staying, &mut items);
        }
    }
    let runs_not = |target: &&Target| !is_wanted.contains(*target) && !runs.contains_key(*target);
    for target in world.ledger.leaving.keys().filter(runs_not) {
        if let Some(left) = world.ledger.leaving.get(target) {
            go(target, &recall(left, world.since_boot), world, &mut staying, &mut items);
        }
    }
    let keys: HashSet<ServiceKey> = wanted.virtuals.iter().map(|wanted| wanted.service.key).collect();
    let has = |key: &ServiceKey| world.table.services.contains_key(key);
    for step in plan::leftovers(|key| keys.contains(key), has, world.ledger, |_| false) {
        let waits = matches!(&step, Step::DeleteService { key, .. } if staying.contains(key));
        items.push(if waits { Item::Later(step) } else { Item::Step(step) });
    }
    items
}

fn running(found: &Found) -> Running<'_> {
    let place = Some(found.place.as_str()).filter(|_| found.assignment.is_none());
    Running { target: found.target, place, names: None, is_nanny: found.is_nanny() }
}

/// A virtual that is wanted.
fn come<'a>(
    wanted: &'a Virtual,
    world: &World<'_>,
    runs: &HashMap<&Target, &Found>,
    standby: Standby,
    places: &mut HashSet<&'a str>,
    items: &mut Vec<Item>,
) {
    let key = wanted.service.key;
    items.extend(plan::service(wanted, world.table.services.get(&key)).map(Item::Step));
    let entries = world.table.destinations.get(&key).map_or(&[][..], Vec::as_slice);
    let by_key: BTreeMap<_, &DestinationEntry> = entries.iter().map(|it| (it.destination.key, it)).collect();
    for monitor in &wanted.monitors {
        if let Some(left) = world.ledger.leaving.get(&monitor.target) {
            let entry = by_key.get(&monitor.target.destination).copied();
            let step = leaver::back(&monitor.target, &recall(left, world.since_boot), entry);
            items.extend(step.map(Item::Step));
        }
    }
    let have: Vec<Destination> = entries.iter().map(|entry| entry.destination.clone()).collect();
    let held = |target: &Target| runs.contains_key(target) || world.ledger.leaving.contains_key(target);
    items.extend(plan::destinations(wanted, &have, held, standby).into_iter().map(Item::Step));
    for monitor in &wanted.monitors {
        match runs.get(&monitor.target) {
            None if places.insert(&monitor.place) || monitor.assignment.is_none() => {
                items.push(Item::Start(Rc::clone(monitor)));
            }
            None => items.push(Item::Join(Rc::clone(monitor))),
            Some(found) if found.arguments == monitor.arguments && found.program == monitor.program => {
                // Whether it stays for lack of others is said as it comes.
                let stays = |it: Assignment| Assignment { stays: false, ..it };
                let before = found.assignment.filter(|it| Some(stays(*it)) != monitor.assignment);
                items.extend(before.map(|before| Item::Tell(Rc::clone(monitor), before)));
            }
            Some(found) => items.push(Item::Replace(Rc::clone(monitor), found.arguments.clone())),
        }
    }
}

/// One that leaves, when its time has come.
fn go(target: &Target, leaver: &Leaver, world: &World<'_>, staying: &mut HashSet<ServiceKey>, items: &mut Vec<Item>) {
    let entries = world.table.destinations.get(&target.service);
    let entry = entries.and_then(|list| list.iter().find(|entry| entry.destination.key == target.destination));
    let now = Instant::now();
    let next = leaver.next(entry, true, now);
    items.extend(leaver::step(target, leaver, next, entry).map(Item::Step));
    if next == Next::Drain || next == Next::Stay {
        staying.insert(target.service);
    }
    if let (Next::Stay, Stage::Draining { until }, Some(entry)) = (next, leaver.stage, entry) {
        let name = format!("{}/{}", leaver.name, leaver.server);
        let (connections, left) = (leaver::connections(entry), until.saturating_duration_since(now));
        items.push(Item::Draining { target: *target, name, connections, left });
    }
}

/// A leaver as the ledger has it.
fn recall(left: &Left, since_boot: Duration) -> Leaver {
    Leaver::recall(left, Instant::now(), since_boot)
}

/// A command line as one would type it.
fn shell_words(program: &Path, arguments: &Arguments) -> String {
    let program = program.to_string_lossy();
    let words = std::iter::once(quoted(&program)).chain(arguments.iter().map(quoted));
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=%,@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// `-w 1 -> -w 5`: what one command line has and the other has not.
fn difference(before: &Arguments, after: &Arguments) -> String {
    let (old, new) = (options(before), options(after));
    let only = |of: &[String], not: &[String]| {
        let list: Vec<&str> = of.iter().filter(|it| !not.contains(it)).map(String::as_str).collect();
        if list.is_empty() { "nothing".to_owned() } else { list.join(" ") }
    };
    match (only(&old, &new), only(&new, &old)) {
        (old, new) if old == new => "another program".to_owned(),
        (old, new) => format!("{old} -> {new}"),
    }
}

/// `weight 1 -> weight 5`: what differs of how one destination is kept.
fn told(before: &Assignment, after: Option<&Assignment>) -> String {
    let words = |it: &Assignment| {
        let limits = it.limits.map_or_else(|| "any".to_owned(), |it| format!("{}/{}", it.lower, it.upper));
        [
            format!("weight {}", it.weight),
            format!("{:?}", it.method),
            format!("{:?} when it fails", it.failed),
            format!("slow_start {}", Seconds(it.slow_start)),
            format!("connections {limits}"),
        ]
    };
    let Some(after) = after else { return String::new() };
    let (before, after) = (words(before), words(after));
    let differ = before.iter().zip(&after).filter(|(before, after)| before != after);
    differ.map(|(before, after)| format!("{before} -> {after}")).collect::<Vec<_>>().join(", ")
}

/// An option and its value together.
fn options(arguments: &Arguments) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for word in arguments.iter() {
        match list.last_mut() {
            Some(option) if !word.starts_with('-') => *option = format!("{option} {}", quoted(word)),
            Some(_) | None => list.push(quoted(word)),
        }
    }
    list
}

#[cfg(test)]
mod tests;
