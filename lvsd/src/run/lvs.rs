//! What the loop does for virtual services: they are set up in the kernel one by one,
//! looked at, judged by what their nannies say, and taken away at a stop.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use common::child::Exit;
use common::command::Running;
use common::ipvs::{DestinationKey, Ipvs, ServiceKey};

use super::{Daemon, Phase, SLICE_MAX, Serves, Settings};
use crate::departure::{self, Departure};
use crate::file::{self, Asked};
use crate::hands::Kernel;
use crate::messages::Message;
use crate::nannies::Id;
use crate::nanny_command::Arguments;
use crate::parents::Request;
use crate::scripts::Scripts;
use crate::services::{self, LOOK_EVERY, Services};
use crate::slice::Slice;
use crate::wanted::{Target, Virtual, Wanted};

mod monitors;
mod operator;
mod reload;

/// How many services' destinations are looked at in one turn: about 10 ms.
const LOOKS_PER_TURN: usize = 100;

/// How long the news of an end waits for more of them, before a service that has
/// nothing left is deleted.
const GATHER: Duration = Duration::from_millis(50);

/// What a reload led to so far.
#[derive(Debug, Default)]
struct Outcome {
    started: usize,
    replaced: usize,
    stopped: usize,
    unchanged: usize,
    /// Who is in these numbers: an order in between begins the round anew.
    counted: HashSet<Target>,
}

/// The virtual services, and what is to be done about them.
pub struct Virtuals<K> {
    kernel: Kernel<K>,
    services: Services,
    scripts: Scripts,
    /// Those that run, by process.
    begun: BTreeMap<u32, Running>,
    /// Services still to be set up, in file order.
    set_ups: VecDeque<ServiceKey>,
    reload: Option<Outcome>,
    /// What runs and is not wanted, until everything that is was set up.
    departures: Vec<Departure>,
    /// Whose nanny a newcomer follows at the same meeting place.
    follows: HashMap<Target, Target>,
    /// Nannies found at start that the file does not want.
    strays: usize,
}

impl<K: Ipvs> Virtuals<K> {
    /// None yet, in this table; `services` knows what a predecessor left.
    pub fn new(table: K, services: Services) -> Self {
        Self {
            kernel: Kernel::new(table),
            services,
            scripts: Scripts::default(),
            begun: BTreeMap::new(),
            set_ups: VecDeque::new(),
            reload: None,
            departures: Vec::new(),
            follows: HashMap::new(),
            strays: 0,
        }
    }
}

impl<K: Ipvs> Serves for Daemon<Virtuals<K>> {
    type Wanted = Wanted;

    fn read(&self) -> Asked {
        let Settings { file, nanny, manner, .. } = &self.settings;
        file::read(file, self.asking.hosts(), nanny, manner)
    }

    fn begin(&mut self, mut wanted: Wanted, now: Instant) {
        self.own.services.obey(&mut wanted);
        let mut out = Vec::new();
        self.own.services.load(wanted, &mut out);
        self.perform_services(out, now);
        self.parents.say_withdrawn(self.own.services.withdrawn());
    }

    fn reload(&mut self, mut wanted: Wanted, now: Instant) {
        self.own.services.obey(&mut wanted);
        self.change(wanted, true, now);
    }

    fn begin_work(&mut self, now: Instant) {
        if self.own.strays > 0 {
            self.log.say(&Message::StoppingStrays { monitors: self.own.strays });
        }
        let departures =
            departure::departures(self.own.services.wanted(), &self.nannies.running(), self.own.services.ledger());
        self.see_off(departures, now);
        self.queue_set_ups(now);
    }

    fn answer(&mut self, request: &Request, now: Instant) {
        self.answer_request(request, now);
    }

    fn child_ended(&mut self, pid: u32, exit: Exit, now: Instant) {
        self.script_ended(pid, exit, now);
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        // Services are looked at while we work, and at no other time.
        let is_working = self.phase == Phase::Working;
        if !self.own.set_ups.is_empty() || is_working && self.own.services.has_round() {
            return Some(now);
        }
        let graces = self.own.services.graces().map(|(at, _)| at);
        let services = graces.chain(self.own.services.leaving_deadline()).filter(|_| is_working).min();
        services.into_iter().chain(self.own.scripts.deadline()).min()
    }

    fn look(&mut self, now: Instant) {
        if self.phase != Phase::Working {
            return;
        }
        let (mut out, nannies) = (Vec::new(), &self.nannies);
        self.own.services.look(&mut self.own.kernel, || nannies.busy(), &mut out);
        if self.starts.is_empty() && self.own.set_ups.is_empty() {
            self.own.services.await_newcomers(now);
            self.judge_by_the_table(now, &mut out);
        }
        self.perform_services(out, now);
    }

    fn tend(&mut self, now: Instant) {
        self.end_scripts(now);
        if self.phase != Phase::Working {
            return;
        }
        let mut out = Vec::new();
        self.own.services.wake_leavers(now);
        let mut slice = Slice::new(LOOKS_PER_TURN, SLICE_MAX, Instant::now());
        while self.own.services.has_round() && slice.has_room(Instant::now()) {
            self.own.services.tend_next(&mut self.own.kernel, &self.nannies, now, &mut out);
        }
        let over: Vec<ServiceKey> =
            self.own.services.graces().filter(|(at, _)| *at <= now).map(|(_, key)| key).collect();
        for key in over {
            self.judge(&key, now, &mut out);
        }
        self.perform_services(out, now);
    }

    fn set_up_next(&mut self, now: Instant) -> bool {
        let Some(key) = self.own.set_ups.pop_front() else { return false };
        let mut out = Vec::new();
        self.own.services.set_up(&key, &mut self.own.kernel, &self.nannies, now, &mut out);
        self.perform_services(out, now);
        true
    }

    fn end_turn(&mut self, now: Instant) {
        self.keep_what_changed(now);
        self.parents.say_withdrawn(self.own.services.withdrawn());
        if self.phase == Phase::Working && self.own.set_ups.is_empty() {
            if !self.own.departures.is_empty() {
                self.depart(now);
            } else if self.starts.is_empty() {
                self.work_is_done(now);
            }
        }
    }

    fn release(&mut self, now: Instant) {
        self.keep_what_changed(now);
    }

    fn stop(&mut self, _now: Instant) {
        for wanted in &self.own.services.wanted().virtuals {
            self.log.say(&Message::ShuttingDown { name: wanted.name.clone() });
        }
        self.own.set_ups.clear();
    }

    fn take_away(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.own.services.remove_all(&mut self.own.kernel, &mut out);
        self.perform_services(out, now);
    }

    fn tells_news(&self) -> bool {
        true
    }

    fn introduce(&mut self, id: Id, arguments: Option<&Arguments>, now: Instant) {
        self.introduce_guest(id, arguments, now);
    }

    fn judged(&mut self, key: &ServiceKey, now: Instant) {
        if self.phase == Phase::Working {
            let mut out = Vec::new();
            self.judge(key, now, &mut out);
            self.own.services.newcomer_judged(key);
            self.perform_services(out, now);
        }
    }

    fn nanny_ended(&mut self, target: Option<Target>, now: Instant) {
        let Some(target) = target else { return };
        self.own.services.nanny_ended(&target);
        // It left the file.
        if self.own.services.find(&target.service).is_none() {
            self.look_at = self.look_at.min(now + GATHER);
        }
    }
}

impl<K: Ipvs> Daemon<Virtuals<K>> {
    /// For a successor, once in a turn however much it was.
    fn keep_what_changed(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.own.services.keep_what_changed(&mut out);
        self.perform_services(out, now);
    }

    /// Timeouts at once, services in file order, and a look when that may be done.
    fn queue_set_ups(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.own.services.tend_timeouts(&mut self.own.kernel, &mut out);
        self.perform_services(out, now);
        self.own.set_ups = self.own.services.wanted().virtuals.iter().map(|wanted| wanted.service.key).collect();
        self.look_at = now + LOOK_EVERY;
    }

    /// Everything was tried once: the start, or a reload, is over.
    fn work_is_done(&mut self, now: Instant) {
        if self.own.reload.is_some() || !self.is_ready {
            self.own.services.await_newcomers(now);
        }
        if !self.is_ready {
            let (services, monitors) = (self.own.services.adopted(), self.nannies.adopted());
            if services + monitors > 0 {
                self.log.say(&Message::Adopted { services, monitors });
            }
            self.be_ready();
        }
        if let Some(Outcome { started, replaced, stopped, unchanged, .. }) = self.own.reload.take() {
            self.log.say(&Message::Reread { started, replaced, stopped, unchanged });
        }
    }

    /// The services with monitors that say nothing.
    fn judge_by_the_table(&mut self, now: Instant, out: &mut Vec<services::Action>) {
        let silent = |wanted: &&Virtual| wanted.monitors.iter().any(|monitor| !monitor.is_nanny);
        let keys: Vec<ServiceKey> =
            self.own.services.wanted().virtuals.iter().filter(silent).map(|wanted| wanted.service.key).collect();
        for key in keys {
            self.judge(&key, now, out);
        }
    }

    fn judge(&mut self, key: &ServiceKey, now: Instant, out: &mut Vec<services::Action>) {
        if let Some(wanted) = self.own.services.find(key) {
            self.nannies.keep_floor(wanted);
        }
        // A program that is not our nanny says nothing: what it keeps in the kernel, with
        // weight, counts as well.
        let others = |wanted: &&Virtual| wanted.monitors.iter().any(|monitor| !monitor.is_nanny);
        let kept = match self.own.services.find(key).filter(others) {
            Some(_) => self.own.kernel.destinations(key).unwrap_or_default(),
            None => Vec::new(),
        };
        let kept: HashSet<DestinationKey> = kept.iter().filter(|it| it.weight > 0).map(|it| it.key).collect();
        let nannies = &self.nannies;
        let tally = |wanted: &Virtual| {
            let mut tally = nannies.tally(wanted.monitors.iter().map(|monitor| &monitor.target));
            let is_mute = |target: &Target| nannies.known(target, now).verdict.is_none();
            let mute = wanted.monitors.iter().filter(|monitor| !monitor.is_nanny && is_mute(&monitor.target));
            let well = mute.filter(|monitor| kept.contains(&monitor.target.destination)).count();
            tally.silent -= well.min(tally.silent);
            tally.available += well;
            tally
        };
        self.own.services.judge(key, tally, &mut self.own.kernel, nannies, now, out);
    }

    /// Does what the services asked for.
    fn perform_services(&mut self, actions: Vec<services::Action>, now: Instant) {
        for action in actions {
            match action {
                services::Action::Say(line) => self.log.say(&line),
                services::Action::News(news) => self.parents.tell(news),
                services::Action::PutBack(key) => self.nannies.ask_check(&key),
                services::Action::Up(key) => self.want_monitors(&key, now),
                services::Action::Run(script) => {
                    self.own.scripts.ask(script);
                    self.run_scripts(now);
                }
                services::Action::Emptied => self.look_at = self.look_at.min(now + GATHER),
            }
        }
    }
}

#[cfg(test)]
mod tests;
