//! One destination that this nanny keeps: how it is to be kept, its judge, its place in
//! the kernel, and what lvsd heard of it. What happens to the server happens to all of
//! them; each follows by itself.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use common::destinations::{Assignment, Held, Target};
use common::ipvs::{self, ServiceKey};

use crate::args::Args;
use crate::destination::Owned;
use crate::flaps::Flaps;
use crate::hands::table::{Kernel, Table};
use crate::health::{Change, Event, Health, Rules};
use crate::load::Load;
use crate::messages::Message;
use crate::record::Standing;

/// Where lines about one destination go, with its service's name.
pub(super) type Say<'a> = &'a mut dyn FnMut(&str, &Message);

/// What is known of the server from before a destination was kept here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// What this process was told that its predecessor found, until its own first check.
    pub(super) was: Option<bool>,
    /// How the server comes and goes.
    pub(super) flaps: Flaps,
}

/// See the module.
pub(super) struct Kept {
    pub(super) assignment: Assignment,
    /// Its service's name in the log.
    pub(super) name: Rc<str>,
    pub(super) health: Health,
    /// `None`: the kernel is left alone.
    table: Option<Table>,
    /// The weight that follows from the server's load, if that is asked for.
    pub(super) load: Option<Load>,
    /// The verdict lvsd has heard.
    pub(super) told: Option<(bool, u32)>,
}

/// How a destination is judged: by the checks' policy and its own.
fn rules(args: &Args, assignment: &Assignment) -> Rules {
    let Assignment { weight, failed, slow_start, .. } = *assignment;
    Rules { fall: args.fall, threshold: args.threshold(), weight, failed, slow_start, dampen: args.dampen }
}

fn owned(assignment: &Assignment) -> Owned {
    let Assignment { target, method, limits, .. } = *assignment;
    Owned { key: target.destination, method, limits }
}

/// The service's name in the log, as the original's where it has an address.
pub(super) fn name(service: &ServiceKey) -> String {
    match service {
        ServiceKey::Address { address, port, .. } => SocketAddr::new(*address, *port).to_string(),
        ServiceKey::Mark { .. } => service.to_string(),
    }
}

impl Kept {
    /// Nothing is known of it yet. `name` is its service's in the log.
    pub(super) fn new(args: &Args, assignment: Assignment, name: &str, has_table: bool) -> Self {
        let name: Rc<str> = name.into();
        let table = || Table::new(assignment.target.service, Rc::clone(&name), owned(&assignment), args.real);
        let table = has_table.then(table);
        Self {
            health: Health::new(rules(args, &assignment)),
            table,
            load: args.load.is_some().then(|| Load::new(assignment.weight, args.scale)),
            told: None,
            assignment,
            name,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.assignment.target
    }

    /// It is to be kept in another way; what was judged stands, and the weight that checks
    /// `asked` for. [`Self::settle`] is to follow.
    pub(super) fn change(
        &mut self,
        args: &Args,
        assignment: Assignment,
        asked: Option<u32>,
        now: Instant,
        out: &mut Vec<Change>,
    ) {
        let before = std::mem::replace(&mut self.assignment, assignment);
        if before.stays != assignment.stays {
            self.health.handle(Event::Stay(assignment.stays), now, out);
        }
        if (Assignment { stays: assignment.stays, ..before }) == assignment {
            return;
        }
        self.health.judge_by(rules(args, &assignment));
        if before.weight != assignment.weight {
            self.load = args.load.is_some().then(|| Load::new(assignment.weight, args.scale));
        }
        if let Some(load) = &self.load {
            self.health.weigh(load.weight());
        } else if let Some(weight) = asked {
            self.weigh(weight);
        }
        if let Some(table) = &mut self.table {
            table.own(owned(&assignment));
        }
    }

    /// A check asks for this weight. What is drained stays so.
    pub(super) fn weigh(&mut self, weight: u32) {
        if self.assignment.weight > 0 {
            self.health.weigh(weight);
        }
    }

    /// It joins others: first what the kernel has, then what a nanny before this one knew,
    /// then what the checks showed so far.
    pub(super) fn join(&mut self, before: &Before, standing: Standing, now: Instant, out: &mut Vec<Change>) {
        if self.assignment.stays {
            self.health.handle(Event::Stay(true), now, out);
        }
        self.health.recall(before.flaps);
        if let Some(good) = before.was {
            self.health.handle(Event::Was(good), now, out);
        }
        self.health.join(standing, now, out);
    }

    /// Reads the kernel; the judge learns what it has.
    ///
    /// # Errors
    /// It could not be read; that was said, if it is news.
    pub(super) fn look(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        out: &mut Vec<Change>,
        say: Say,
    ) -> Result<(), ipvs::Error> {
        if let Some(table) = &mut self.table {
            let found = table.look(kernel, &mut |line| say(&self.name, line))?;
            self.health.handle(Event::Found(found), now, out);
        }
        Ok(())
    }

    /// Brings the kernel to what its judge wants. `Some`: the verdict is news for lvsd; as
    /// long as the kernel refuses a server that is well it is none.
    pub(super) fn settle(&mut self, kernel: Option<&mut Kernel>, say: Say) -> Option<(bool, u32)> {
        if let (Some(table), Some(kernel)) = (&mut self.table, kernel) {
            table.settle(self.health.wanted(), kernel, &mut |line| say(&self.name, line));
        }
        let verdict = self.health.verdict();
        let is_there = self.table.as_ref().is_none_or(Table::is_settled);
        if verdict == self.told || (matches!(verdict, Some((true, _))) && !is_there) {
            return None;
        }
        self.told = verdict;
        verdict
    }

    /// Adds it without looking first; `false`: look.
    pub(super) fn put_back(&mut self, kernel: &mut Kernel, say: Say) -> bool {
        let wanted = self.health.wanted();
        self.table.as_mut().is_some_and(|table| table.put_back(wanted, kernel, &mut |line| say(&self.name, line)))
    }

    /// Deletes it from the kernel; an error is said.
    pub(super) fn remove(&mut self, kernel: &mut Kernel, say: Say) -> bool {
        let Some(table) = &mut self.table else { return true };
        match table.remove(kernel) {
            Ok(()) => true,
            Err(error) => {
                let destination = self.assignment.target.destination;
                say(&self.name, &Message::NotRemoved { destination, error: &error });
                false
            }
        }
    }

    /// It is not kept any more.
    pub(super) fn forget(mut self, kernel: Option<&mut Kernel>) {
        if let (Some(table), Some(kernel)) = (&mut self.table, kernel) {
            table.forget(kernel);
        }
    }

    /// How many destinations its service has, as last seen.
    pub(super) fn neighbours(&self) -> usize {
        self.table.as_ref().map_or(0, Table::destinations)
    }

    /// What lvsd is told of it.
    pub(super) fn held(&self) -> Held {
        Held { assignment: self.assignment, verdict: self.told }
    }
}
