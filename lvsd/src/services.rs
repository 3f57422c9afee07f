//! The virtual services: set up in file order, looked after every few seconds,
//! taken away at a stop or when they leave the file. The decisions are
//! [`crate::plan`]'s and [`crate::sorry`]'s; here is what is known about each
//! service between two looks, so that a trouble is one line when it begins and
//! one when it is over, however often it is tried.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use common::channel::services::News;
use common::ipvs::{DestinationEntry, DestinationKey, Error, Ipvs, Service, ServiceKey};

use crate::hands::Kernel;
use crate::leaver::Leavers;
use crate::ledger::{Ledger, LedgerFile};
use crate::messages::Message;
use crate::orders::{self, Order};
use crate::plan::{self, Step, Why};
use crate::quorum::Quorum;
use crate::scripts::Script;
use crate::sorry::{Sorry, Standby};
use crate::wanted::{Target, Virtual, Wanted};
use crate::withdrawal::Withdrawal;

mod judging;
mod leavers;

/// How often the kernel's table is compared with the file. What somebody else
/// deleted is back after at most this long.
pub const LOOK_EVERY: Duration = Duration::from_secs(3);

/// What the services know of the nannies.
pub trait Keepers {
    /// Whether one keeps this destination, even one on its way out.
    fn owns(&self, target: &Target) -> bool;
    /// The destinations of this virtual that the kernel should have, by what their nannies
    /// found and did; `None` until all of them have judged.
    fn expected(&self, wanted: &Virtual) -> Option<Vec<DestinationKey>>;
}

/// What the loop must do or say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Log a line.
    Say(Message),
    /// The operator's programs should hear of it.
    News(News),
    /// The service is in the kernel: its nannies may run.
    Up(ServiceKey),
    /// The service is back in the kernel, empty: its nannies should look now.
    PutBack(ServiceKey),
    /// The last destination of a service that left the file is gone.
    Emptied,
    /// Run the operator's script.
    Run(Script),
}

/// What is known about one service.
#[derive(Debug, Default)]
struct State {
    /// It was set up, by us or by a predecessor.
    up: bool,
    /// It was tried at least once.
    tried: bool,
    /// Why the last try failed, as the log has it.
    trouble: Option<String>,
    /// The same for its destinations.
    destination_trouble: Option<String>,
    sorry: Option<Sorry>,
    /// Servers stay in use although they failed, and that was said.
    keeps: bool,
    quorum: Option<Quorum>,
    /// The line that it is being taken away was said.
    leaving: bool,
}

/// What a look found to be done.
#[derive(Debug)]
enum Mend {
    /// A service is not as it should be.
    SetUp(ServiceKey),
    /// One left the file, and nobody keeps anything in it any more.
    Delete(Step),
}

/// All of them.
#[derive(Debug)]
pub struct Services {
    wanted: Wanted,
    index: HashMap<ServiceKey, usize>,
    states: HashMap<ServiceKey, State>,
    /// What leaves is kept in `leavers`, and put into the ledger as it is written.
    ledger: Ledger,
    file: Option<LedgerFile>,
    leavers: Leavers,
    /// Which services have leavers that wait for the newcomers of this one.
    waiting: HashMap<ServiceKey, BTreeSet<ServiceKey>>,
    /// When leavers are due, and where; what is too early or stale does no harm.
    deadlines: BTreeSet<(Instant, ServiceKey)>,
    /// Whose leavers are to be looked at in the next slice.
    due: BTreeSet<ServiceKey>,
    /// What the ledger said when we started, until it was looked at.
    left_behind: HashSet<ServiceKey>,
    withdrawal: Withdrawal,
    /// What the last look found to be done, in order.
    mends: VecDeque<Mend>,
    /// Whose destinations are still to be looked at in this round.
    round: VecDeque<ServiceKey>,
    /// The ledger changed in a way that may wait for the end of the turn.
    ledger_due: bool,
    /// The last time it could not be written, which was said.
    ledger_trouble: bool,
    table_trouble: bool,
    timeouts_trouble: bool,
}

impl Services {
    /// None yet. `ledger` is what a predecessor left; without a file nothing is
    /// kept for a successor.
    pub fn new(mut ledger: Ledger, file: Option<LedgerFile>) -> Self {
        let leavers = leavers::recall(std::mem::take(&mut ledger.leaving));
        let withdrawal = Withdrawal::recall(std::mem::take(&mut ledger.withdrawn));
        Self {
            wanted: Wanted::default(),
            index: HashMap::new(),
            states: HashMap::new(),
            left_behind: ledger.services.keys().copied().collect(),
            ledger,
            file,
            due: leavers.keys().copied().collect(),
            waiting: leavers::waiting(&leavers),
            leavers,
            deadlines: BTreeSet::new(),
            withdrawal,
            mends: VecDeque::new(),
            round: VecDeque::new(),
            ledger_due: false,
            ledger_trouble: false,
            table_trouble: false,
            timeouts_trouble: false,
        }
    }

    /// What should be.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Has a wish follow the operators' orders before it is loaded.
    pub fn obey(&mut self, wanted: &mut Wanted) {
        orders::obey(wanted, &mut self.ledger.orders);
    }

    /// Another order about one server, or none; [`Services::load`] keeps it.
    pub fn order(&mut self, target: Target, order: Option<Order>) {
        match order {
            Some(order) => self.ledger.orders.insert(target, order),
            None => self.ledger.orders.remove(&target),
        };
    }

    /// The virtual with this key, if the file wants it.
    pub fn find(&self, key: &ServiceKey) -> Option<&Virtual> {
        self.wanted.virtuals.get(*self.index.get(key)?)
    }

    /// How many a predecessor left that are set up now without a change of hands.
    pub fn adopted(&self) -> usize {
        self.left_behind.iter().filter(|key| self.states.get(key).is_some_and(|state| state.up)).count()
    }

    /// This should be from now on. What left the file is said here, and deleted
    /// by a later [`Services::look`], when its nannies are gone.
    pub fn load(&mut self, wanted: Wanted, out: &mut Vec<Action>) {
        self.index = wanted.virtuals.iter().enumerate().map(|(n, wanted)| (wanted.service.key, n)).collect();
        let before = std::mem::replace(&mut self.wanted, wanted);
        for gone in before.virtuals.iter().filter(|gone| !self.index.contains_key(&gone.service.key)) {
            out.push(Action::Say(Message::ShuttingDown { name: gone.name.clone() }));
            self.states.insert(gone.service.key, State { leaving: true, ..State::default() });
        }
        for wanted in &self.wanted.virtuals {
            let state = self.states.entry(wanted.service.key).or_default();
            state.leaving = false;
            if wanted.sorry.is_none() {
                state.sorry = None;
            }
            self.ledger.services.insert(wanted.service.key, wanted.name.clone());
        }
        self.ledger.quorums.retain(|key, _| self.index.contains_key(key));
        self.mends.clear();
        self.round.clear();
        let changes = self.withdrawal.load(&self.wanted.virtuals);
        out.extend(changes.into_iter().map(|(vip, change)| judging::words(vip, change, None)).map(Action::Say));
        self.keep_ledger(out);
    }

    /// Makes one service as it should be, the first time or again, and looks at
    /// what a predecessor left in it.
    pub fn set_up<K: Ipvs>(
        &mut self,
        key: &ServiceKey,
        kernel: &mut Kernel<K>,
        keepers: &impl Keepers,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(wanted) = self.index.get(key).and_then(|n| self.wanted.virtuals.get(*n)) else { return };
        let state = self.states.entry(*key).or_default();
        let was_up = state.up;
        let have = kernel.service(key);
        if !std::mem::replace(&mut state.tried, true) {
            let is_adopted = self.left_behind.contains(key) && matches!(have, Ok(Some(_)));
            if !is_adopted {
                let (name, port) = (wanted.name.clone(), wanted.port);
                out.push(Action::Say(Message::Starting { name, port }));
            }
        }
        match have.and_then(|have| make(wanted, have.as_ref(), was_up, kernel, out).map(|()| have.is_some())) {
            Ok(was_there) => {
                recover(state, wanted, out);
                let mut destinations = Ok(Vec::new());
                if was_there {
                    destinations = kernel.entries(key);
                } else if was_up {
                    out.push(Action::PutBack(*key));
                }
                if state.sorry.is_none()
                    && let Some(sorry) = &wanted.sorry
                {
                    let has = |list: &Vec<DestinationEntry>| list.iter().any(|it| it.destination.key == sorry.key);
                    state.sorry = Some(Sorry::new(destinations.as_ref().is_ok_and(has), now + wanted.timeout));
                }
                if state.quorum.is_none() {
                    let known = self.ledger.quorums.get(key).copied();
                    state.quorum = Some(Quorum::new(known, now + wanted.timeout));
                }
                let returned = leavers::bring_back(wanted, &mut self.leavers, &destinations, kernel, out);
                let held = |target: &Target| keepers.owns(target) || leavers::has(&self.leavers, target);
                tend(wanted, state, &destinations, kernel, held, out);
                out.push(Action::Up(*key));
                if returned {
                    self.keep_ledger(out);
                }
            }
            Err(e) => {
                fail(state, wanted.name.as_str(), &e, out);
                if state.up {
                    // It stands as it was; its nannies are another matter.
                    out.push(Action::Up(*key));
                }
            }
        }
    }

    /// One look at the whole table: timeouts, our services, what left the file. What
    /// is to be done about it, and the destinations, follow with [`Services::tend_next`].
    pub fn look<K: Ipvs>(
        &mut self,
        kernel: &mut Kernel<K>,
        busy: impl Fn() -> HashSet<ServiceKey>,
        out: &mut Vec<Action>,
    ) {
        self.ledger_due |= self.ledger_trouble;
        let have = match kernel.services() {
            Ok(have) => have,
            Err(e) => {
                if !std::mem::replace(&mut self.table_trouble, true) {
                    out.push(Action::Say(Message::TableUnreadable { reason: e.to_string() }));
                }
                return;
            }
        };
        if std::mem::take(&mut self.table_trouble) {
            out.push(Action::Say(Message::TableReadable));
        }
        self.tend_timeouts(kernel, out);
        // Those of the look before are found again if they still are to be done.
        self.mends = self
            .wanted
            .virtuals
            .iter()
            .filter(|wanted| plan::service(wanted, have.get(&wanted.service.key)).is_some())
            .map(|wanted| wanted.service.key)
            .filter(|key| self.states.get(key).is_some_and(|state| state.tried))
            .map(Mend::SetUp)
            .collect();
        self.find_leftovers(&have, busy, out);
        if self.round.is_empty() {
            self.round.extend(self.index.keys().filter(|key| have.contains_key(*key)));
            self.round.extend(self.leavers.keys().filter(|key| !self.index.contains_key(*key)));
        }
    }

    /// Whether [`Services::tend_next`] has something to look at.
    pub fn has_round(&self) -> bool {
        !self.mends.is_empty() || !self.round.is_empty() || !self.due.is_empty()
    }

    /// One service of this round: itself if the look found it wrong, else its
    /// destinations.
    pub fn tend_next<K: Ipvs>(
        &mut self,
        kernel: &mut Kernel<K>,
        keepers: &impl Keepers,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        match self.mends.pop_front() {
            // Asks for this one again: an entry may be missing from a long dump.
            Some(Mend::SetUp(key)) => return self.set_up(&key, kernel, keepers, now, out),
            Some(Mend::Delete(step)) => return self.delete(&step, kernel, out),
            None => {}
        }
        if let Some(key) = self.due.pop_first().or_else(|| self.round.pop_front()) {
            self.tend_one(&key, kernel, keepers, now, out);
        }
    }

    fn tend_one<K: Ipvs>(
        &mut self,
        key: &ServiceKey,
        kernel: &mut Kernel<K>,
        keepers: &impl Keepers,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let wanted = self.index.get(key).and_then(|n| self.wanted.virtuals.get(*n));
        let wanted = wanted.zip(self.states.get_mut(key).filter(|state| state.up));
        if wanted.is_none() && !self.leavers.contains_key(key) {
            return;
        }
        let destinations = kernel.entries(key);
        if let Some((wanted, state)) = wanted {
            let held = |target: &Target| keepers.owns(target) || leavers::has(&self.leavers, target);
            tend(wanted, state, &destinations, kernel, held, out);
        }
        if let Ok(destinations) = destinations {
            self.tend_leavers(key, &destinations, kernel, keepers, now, out);
        }
    }

    /// The end of a stop, when the nannies are gone: every service of ours goes.
    pub fn remove_all<K: Ipvs>(&mut self, kernel: &mut Kernel<K>, out: &mut Vec<Action>) {
        self.leavers.clear();
        // A start after a stop begins anew: nobody's quorum is known, no virtual IP is
        // withdrawn, and nothing drains.
        self.withdrawal = Withdrawal::default();
        self.ledger.quorums.clear();
        self.ledger.drains.clear();
        for step in plan::stop(&self.wanted, &self.ledger) {
            self.delete(&step, kernel, out);
        }
        // What operators want outlives a stop.
        if self.ledger.services.is_empty()
            && self.ledger.orders.is_empty()
            && let Some(file) = &self.file
        {
            file.remove();
        } else {
            self.keep_ledger(out);
        }
    }

    /// The connection timeouts as they should be.
    pub fn tend_timeouts<K: Ipvs>(&mut self, kernel: &mut Kernel<K>, out: &mut Vec<Action>) {
        let step = kernel.timeouts().map(|have| plan::timeouts(&self.wanted.timeouts, &have));
        let (timeouts, outcome) = match step {
            Ok(None) => return self.timeouts_trouble = false,
            Ok(Some(step)) => (self.wanted.timeouts, kernel.apply(&step)),
            Err(e) => (self.wanted.timeouts, Err(e)),
        };
        match outcome {
            Ok(()) => {
                self.timeouts_trouble = false;
                out.push(Action::Say(Message::TimeoutsSet { timeouts }));
            }
            Err(e) if !std::mem::replace(&mut self.timeouts_trouble, true) => {
                out.push(Action::Say(Message::TimeoutsFailed { timeouts }));
                out.push(Action::Say(Message::TimeoutsRefused { reason: e.to_string() }));
            }
            Err(_) => {}
        }
    }

    /// Finds what an lvsd made and the file does not want, to be deleted, and forgets
    /// what is gone already.
    fn find_leftovers(
        &mut self,
        have: &BTreeMap<ServiceKey, Service>,
        busy: impl Fn() -> HashSet<ServiceKey>,
        out: &mut Vec<Action>,
    ) {
        if self.ledger.services.keys().all(|key| self.index.contains_key(key)) {
            return;
        }
        let mut busy = busy();
        busy.extend(self.leavers.keys());
        let (index, before) = (&self.index, self.ledger.services.len());
        let has = |key: &ServiceKey| have.contains_key(key);
        let steps = plan::leftovers(|key| index.contains_key(key), has, &self.ledger, |key| busy.contains(key));
        self.mends.extend(steps.map(Mend::Delete));
        self.ledger.services.retain(|key, _| index.contains_key(key) || has(key) || busy.contains(key));
        if self.ledger.services.len() != before {
            self.keep_ledger(out);
        }
        self.states.retain(|key, _| self.index.contains_key(key) || self.ledger.services.contains_key(key));
    }

    fn delete<K: Ipvs>(&mut self, step: &Step, kernel: &mut Kernel<K>, out: &mut Vec<Action>) {
        let Step::DeleteService { name, key } = step else { return };
        let state = self.states.entry(*key).or_default();
        if !self.index.contains_key(key) && !std::mem::replace(&mut state.leaving, true) {
            out.push(Action::Say(Message::ShuttingDown { name: name.clone() }));
        }
        match kernel.apply(step) {
            Ok(()) => {
                self.ledger.services.remove(key);
                self.ledger_due = true;
                if !self.index.contains_key(key) {
                    self.states.remove(key);
                }
            }
            Err(e) => fail(state, name, &e, out),
        }
    }

    /// Writes down what changed in this turn and was not worth a file of its own.
    pub fn keep_what_changed(&mut self, out: &mut Vec<Action>) {
        if self.ledger_due {
            self.keep_ledger(out);
        }
    }

    fn keep_ledger(&mut self, out: &mut Vec<Action>) {
        self.ledger_due = false;
        self.ledger.withdrawn.clone_from(self.withdrawal.withdrawn());
        let Some(file) = &self.file else { return };
        self.ledger.leaving = leavers::remember(&self.leavers);
        match file.write(&self.ledger) {
            Ok(()) if std::mem::take(&mut self.ledger_trouble) => out.push(Action::Say(Message::StateKept)),
            Ok(()) => {}
            // The file that stands would mislead a successor: it is tried again at each look.
            Err(e) => {
                if !std::mem::replace(&mut self.ledger_trouble, true) {
                    let reason = format!("{}: {e}", file.path().display());
                    out.push(Action::Say(Message::NoState { reason }));
                }
            }
        }
    }
}

/// Brings one service to what it should be.
fn make<K: Ipvs>(
    wanted: &Virtual,
    have: Option<&Service>,
    was_up: bool,
    kernel: &mut Kernel<K>,
    out: &mut Vec<Action>,
) -> Result<(), Error> {
    let Some(step) = plan::service(wanted, have) else { return Ok(()) };
    kernel.apply(&step)?;
    match step {
        Step::EditService { name, what, .. } => out.push(Action::Say(Message::ServiceChanged { name, what })),
        Step::AddService { name, .. } if was_up => out.push(Action::Say(Message::ServicePutBack { name })),
        Step::AddService { .. }
        | Step::SetTimeouts(_)
        | Step::DeleteService { .. }
        | Step::AddSorry { .. }
        | Step::EditSorry { .. }
        | Step::RemoveDestination { .. }
        | Step::Drain { .. }
        | Step::Return { .. } => {}
    }
    Ok(())
}

/// Makes the destinations that are lvsd's as they should be.
fn tend<K: Ipvs>(
    wanted: &Virtual,
    state: &mut State,
    have: &Result<Vec<DestinationEntry>, Error>,
    kernel: &mut Kernel<K>,
    held: impl Fn(&Target) -> bool,
    out: &mut Vec<Action>,
) {
    // What cannot be read is said by the look at the whole table.
    let Ok(have) = have else { return };
    let have: Vec<_> = have.iter().map(|entry| entry.destination.clone()).collect();
    let standby = state.sorry.as_ref().map_or(Standby::Out, Sorry::standby);
    let mut trouble = None;
    for step in plan::destinations(wanted, &have, held, standby) {
        let (destination, line) = match &step {
            Step::RemoveDestination { name, destination, why: Why::NotConfigured, .. } => {
                let (name, destination) = (name.clone(), *destination);
                (destination, Some(Message::ForeignRemoved { name, destination }))
            }
            Step::RemoveDestination { destination, why: Why::SorryOut, .. } => (*destination, None),
            Step::AddSorry { destination, .. } | Step::EditSorry { destination, .. } => (destination.key, None),
            // None of these is about the destinations of a service that stays.
            Step::RemoveDestination { why: Why::Left | Why::Drained { .. }, .. }
            | Step::SetTimeouts(_)
            | Step::AddService { .. }
            | Step::EditService { .. }
            | Step::DeleteService { .. }
            | Step::Drain { .. }
            | Step::Return { .. } => continue,
        };
        match kernel.apply(&step) {
            Ok(()) => out.extend(line.map(Action::Say)),
            Err(e) => {
                let (name, reason) = (wanted.name.clone(), e.to_string());
                let line = Message::DestinationFailed { name, destination, reason };
                if state.destination_trouble.as_deref() != Some(line.to_string().as_str()) {
                    out.push(Action::Say(line.clone()));
                }
                trouble = Some(line.to_string());
            }
        }
    }
    state.destination_trouble = trouble;
}

/// A try failed: two lines, once for each reason.
fn fail(state: &mut State, name: &str, error: &Error, out: &mut Vec<Action>) {
    let (name, reason) = (name.to_owned(), error.to_string());
    if state.trouble.as_deref() != Some(reason.as_str()) {
        out.push(Action::Say(Message::IpvsFailed { name: name.clone() }));
        out.push(Action::Say(Message::Refused { name, reason: reason.clone(), again_in: LOOK_EVERY }));
    }
    state.trouble = Some(reason);
}

/// A try succeeded.
fn recover(state: &mut State, wanted: &Virtual, out: &mut Vec<Action>) {
    if state.trouble.take().is_some() {
        out.push(Action::Say(Message::SetUpAfterAll { name: wanted.name.clone() }));
    }
    state.up = true;
}

#[cfg(test)]
mod tests;
