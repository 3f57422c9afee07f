//! What a whole node acts on: a kernel that has the VIPs for as long as they are
//! lent, an lvsd that may be ill, a guardian. Its hands do one action after the
//! other as the real ones do (`run.rs`): what each came to is decided on before the
//! next, and nothing is read meanwhile.

use common::child::{self, Exit};

use super::lvsd::Lvsd;
use super::*;
use crate::addresses::Reach;
use crate::arp::Mac;
use crate::lease::late;
use crate::messages::Message;
use crate::node::{Action as Act, Command, Listening};
use crate::run::LATE;
use crate::wish::Wish;
use crate::witness::{Plan, Questions};

/// What is below a whole node, and outlives it.
#[derive(Debug)]
pub(super) struct Machine {
    /// When the kernel removes the VIPs; `None`: never.
    loan_ends: Option<Duration>,
    /// For how many seconds the hands lend what they add.
    valid: Option<u32>,
    /// As the ledger says.
    was_active: bool,
    /// As its file says.
    pub(super) is_released: bool,
    pub(super) lvsd: Option<Lvsd>,
    pub(super) illness: Option<Illness>,
    /// When that began, or ended; it may have had none.
    pub(super) illness_changed: Option<Duration>,
    pids: u32,
    has_guardian: bool,
    listening: Listening,
    todo: VecDeque<Act>,
    pub(super) is_busy: bool,
    /// Somebody wants a start as soon as the last life is over.
    pub(super) start_is_due: bool,
}

impl Machine {
    /// As it is when it has booted.
    pub(super) fn new() -> Self {
        Self {
            loan_ends: None,
            valid: None,
            was_active: false,
            is_released: false,
            lvsd: None,
            illness: None,
            illness_changed: None,
            pids: 100,
            has_guardian: true,
            listening: Listening::default(),
            todo: VecDeque::new(),
            is_busy: false,
            start_is_due: false,
        }
    }

    /// Without power; what ails lvsd is on the disk.
    pub(super) fn crash(&mut self) {
        let Self { illness, illness_changed, pids, .. } = *self;
        *self = Self { illness, illness_changed, pids, ..Self::new() };
    }

    /// The process is gone.
    pub(super) fn gone(&mut self) {
        self.todo.clear();
        self.is_busy = false;
        self.start_is_due = false;
        self.listening = Listening::default();
    }

    pub(super) fn has_guardian(&self) -> bool {
        self.has_guardian
    }

    pub(super) fn pid(&mut self) -> u32 {
        self.pids += 1;
        self.pids
    }
}

/// The same VIP for all.
fn vip() -> std::net::IpAddr {
    [10, 0, 0, 9].into()
}

fn witness() -> std::net::IpAddr {
    [10, 0, 0, 1].into()
}

fn claim(is_announced: bool) -> node::Event {
    let mac: Mac = [2, 0, 0, 0, 0, 1];
    node::Event::Claimed { claim: crate::arp::Claim { address: vip(), mac, is_announced }, by_partner: true }
}

impl World {
    /// A start of a whole node.
    pub(super) fn start_node(&mut self, host: usize, id: StartId, clock: Instant) {
        let h = &mut self.hosts[host];
        h.machine.has_guardian = true;
        h.machine.valid = None;
        let start = node::Start {
            role: if host == 0 { crate::identity::Role::Master } else { crate::identity::Role::Backup },
            carrying_on: h.machine.was_active,
            left: 0, // nothing fails to be removed here
            forced: false,
            guardian: Some(h.machine.pid()),
            released: h.machine.is_released,
            pair: Some(node::Part { settings: h.settings.clone(), id }),
        };
        let mut out = Vec::new();
        h.director = Some(Director::Whole(Box::new(Node::start(start, clock, &mut out))));
        h.machine.todo = out.into();
        self.act(host);
    }

    /// What the election would be told, as the node is told it.
    pub(super) fn translate(&mut self, host: usize, event: Event) {
        let wish = |wish| node::Event::Wish { asker: 1, wish };
        let event = match event {
            Event::Tick => node::Event::Tick,
            Event::Slept { lasted } => node::Event::Slept(lasted),
            Event::Asked(Request::Stop) => node::Event::Terminate(15),
            Event::Asked(Request::Detach) => node::Event::Release,
            Event::Asked(Request::Relocate) => wish(Wish::Relocate),
            Event::Asked(Request::Release) => wish(Wish::StandBy),
            Event::Asked(Request::Restore) => wish(Wish::Restore),
            Event::Reloaded(_) => node::Event::Hangup,
            other => node::Event::Pair(Box::new(other)),
        };
        if self.hosts[host].machine.is_busy {
            self.tell_node(host, event); // and is read later
        } else {
            self.feed_node(host, event);
        }
    }

    /// One event, and the tick that every turn of the loop ends with.
    fn feed_node(&mut self, host: usize, event: node::Event) {
        let is_tick = event == node::Event::Tick;
        self.decide(host, event);
        self.act(host);
        if is_tick {
            return;
        }
        if self.hosts[host].machine.is_busy {
            self.tell_node(host, node::Event::Tick);
        } else {
            self.decide(host, node::Event::Tick);
            self.act(host);
        }
    }

    /// What follows comes behind what is to be done already.
    fn decide(&mut self, host: usize, event: node::Event) {
        let clock = self.clock(host);
        let h = &mut self.hosts[host];
        let Some(Director::Whole(node)) = h.director.as_mut() else { return };
        let mut out = Vec::new();
        node.handle(event, clock, &mut out);
        h.machine.todo.extend(out);
    }

    /// What follows comes before what is to be done.
    fn decide_first(&mut self, host: usize, event: node::Event) {
        let after = std::mem::take(&mut self.hosts[host].machine.todo);
        self.decide(host, event);
        self.hosts[host].machine.todo.extend(after);
    }

    fn act(&mut self, host: usize) {
        while !self.hosts[host].machine.is_busy
            && let Some(action) = self.hosts[host].machine.todo.pop_front()
        {
            if let Some(event) = self.do_for_node(host, action) {
                self.decide_first(host, event);
            }
        }
        self.schedule(host);
    }

    fn do_for_node(&mut self, host: usize, action: Act) -> Option<node::Event> {
        match action {
            Act::Say(message) => self.hear_line(host, &message),
            Act::SpawnLvsd => return Some(node::Event::Lvsd(self.spawn_lvsd(host))),
            Act::TerminateLvsd(pid) | Act::ReleaseLvsd(pid) => self.end_lvsd(host, pid),
            Act::KillLvsd(pid) => self.later(self.now, Happening::Lvsd { host, pid, does: lvsd::Does::Ends }),
            Act::SpawnGuardian => {
                self.hosts[host].machine.has_guardian = true;
                let pid = self.hosts[host].machine.pid();
                return Some(node::Event::Guardian(child::Event::Spawned(pid)));
            }
            // Nobody who asks sees it.
            Act::Linger => return Some(node::Event::Lingers),
            Act::Run(command) => self.hosts[host].machine.was_active = command == Command::Active,
            Act::Look(Reach::All) => return self.look(host),
            Act::Lower => {
                if !self.hosts[host].vips {
                    return Some(node::Event::Lowered(0));
                }
                let work = self.dice.up_to(self.hosts[host].settings.keepalive / 20);
                self.work(host, work, Deed::Lower);
            }
            Act::Announce(_) => {
                self.judge.reannounced[host] += 1;
                self.announce(host, self.hosts[host].life, 1);
            }
            Act::SendHeartbeat(beat) => self.send(host, Datagram::Ours(*beat)),
            Act::Remember { is_released } => self.hosts[host].machine.is_released = is_released,
            Act::AskWitness => return Some(node::Event::Inquire(Box::new(self.plan(host)))),
            Act::Ask(Questions { witnesses, vips }) => {
                if witnesses && self.hosts[host].witness_cuts == 0 && !self.hosts[host].links_down[0] {
                    self.tell_later(host, node::Event::Witness(witness()));
                }
                if vips {
                    self.ask_for_vips(host);
                }
            }
            Act::Listen(listening) => self.hosts[host].machine.listening = listening,
            Act::Probe(_) => self.ask_for_vips(host),
            Act::Lend(valid) => {
                self.hosts[host].machine.valid = valid;
                self.lend(host);
            }
            Act::Reread => return Some(node::Event::Reread(Some(Box::new(self.hosts[host].settings.clone())))),
            Act::Exit { stopped } => self.exit(host, stopped),
            // A removal is for what is not wanted any more, and the VIP always is.
            Act::Look(Reach::Removals)
            | Act::HangupLvsd(_)
            | Act::TellReady
            | Act::TellAlive
            | Act::TellLeaving
            | Act::Withhold(_)
            | Act::Cease
            | Act::Synchronise(_)
            | Act::Answer { .. }
            | Act::Accuse(_) => {}
        }
        None
    }

    fn hear_line(&mut self, host: usize, message: &Message) {
        self.tell(|_| format!("{host} says: {message}"));
        match message {
            Message::Pair(Line::Activating { why, .. }) => {
                self.judge.became_active(host, *why, self.now, &self.hosts);
            }
            Message::Pair(Line::Deactivating { why, .. }) => {
                self.judge.yielded(host, *why, self.now, &self.hosts);
            }
            _ => {}
        }
    }

    /// The hands are busy for so long.
    fn work(&mut self, host: usize, work: Duration, deed: Deed) {
        let h = &mut self.hosts[host];
        h.machine.is_busy = true;
        let (life, began) = (h.life, self.now);
        self.later(self.now + work, Happening::Done { host, life, began, work, deed });
    }

    /// They are not any more, and what came meanwhile is read.
    pub(super) fn done(&mut self, host: usize, began: Duration, work: Duration, deed: Deed) {
        self.hosts[host].machine.is_busy = false;
        let answer = match deed {
            Deed::Raise => {
                self.set_vips(host, true);
                node::Event::Looked { held: vec![], raised: vec![vip()], more: false }
            }
            Deed::Lower => {
                self.set_vips(host, false);
                node::Event::Lowered(0)
            }
        };
        let lasted = self.now - began;
        if lasted > work + LATE {
            self.decide_first(host, node::Event::Slept(lasted));
        } else {
            let until = self.clock(host);
            self.decide_first(host, node::Event::Worked { lasted, until });
        }
        self.decide_first(host, answer);
        self.act(host);
        self.catch_up(host);
    }

    fn look(&mut self, host: usize) -> Option<node::Event> {
        if self.hosts[host].vips {
            return Some(node::Event::Looked { held: vec![vip()], raised: vec![], more: false });
        }
        self.hosts[host].machine.was_active = true; // the ledger is written ahead
        let work = self.dice.up_to(self.hosts[host].settings.keepalive / 10);
        self.work(host, work, Deed::Raise);
        None
    }

    fn set_vips(&mut self, host: usize, is_there: bool) {
        self.tell(|_| format!("{host}: the kernel {} the VIPs", if is_there { "has" } else { "has lost" }));
        self.hosts[host].vips = is_there;
        self.lend(host);
    }

    /// For as long as the hands said last, from now on.
    fn lend(&mut self, host: usize) {
        let (now, has_vips) = (self.now, self.hosts[host].vips);
        let lateness = |dice: &mut Dice, valid: u32| dice.up_to(late(valid));
        let ends = self.hosts[host]
            .machine
            .valid
            .filter(|_| has_vips)
            .map(|valid| now + Duration::from_secs(u64::from(valid)) + lateness(&mut self.dice, valid));
        self.hosts[host].machine.loan_ends = ends;
        if let Some(at) = ends {
            self.later(at, Happening::Expires { host, at });
        }
    }

    /// The kernel's part in it.
    pub(super) fn expire(&mut self, host: usize, at: Duration) {
        if self.hosts[host].machine.loan_ends != Some(at) {
            return;
        }
        self.hosts[host].machine.loan_ends = None;
        self.tell(|_| format!("{host}: the kernel's loan is over"));
        self.hosts[host].vips = false;
        self.tell_node(host, node::Event::AddressesChanged);
    }

    /// The machine's clock stood for so long.
    pub(super) fn put_off(&mut self, host: usize, lasted: Duration) {
        let ends = self.hosts[host].machine.loan_ends.map(|at| at + lasted);
        self.hosts[host].machine.loan_ends = ends;
        if let Some(at) = ends {
            self.later(at, Happening::Expires { host, at });
        }
    }

    /// Somebody deletes the VIPs by hand.
    pub(super) fn delete(&mut self, host: usize) {
        if std::mem::take(&mut self.hosts[host].vips) {
            self.hosts[host].machine.loan_ends = None;
            self.tell_node(host, node::Event::AddressesChanged);
        }
    }

    /// Something that waits to be read.
    pub(super) fn tell_node(&mut self, host: usize, event: node::Event) {
        let life = self.hosts[host].life;
        self.later(self.now, Happening::Told { host, life, event: Box::new(event) });
    }

    /// The same, after a way through the network and back.
    pub(super) fn tell_later(&mut self, host: usize, event: node::Event) {
        let (life, delay) = (self.hosts[host].life, self.dice.up_to(self.judge.delay));
        self.later(self.now + delay, Happening::Told { host, life, event: Box::new(event) });
    }

    pub(super) fn told(&mut self, host: usize, event: node::Event) {
        let is_claim = matches!(event, node::Event::Claimed { .. });
        let is_witness = matches!(event, node::Event::Witness(_));
        let Listening { vips, witnesses } = self.hosts[host].machine.listening;
        if (is_claim && !vips) || (is_witness && !witnesses) {
            return;
        }
        self.feed_node(host, event);
    }

    /// The other one's announcement is seen.
    pub(super) fn see_announced(&mut self, host: usize) {
        self.told(host, claim(true));
    }

    fn ask_for_vips(&mut self, host: usize) {
        if self.is_answered(host) {
            self.tell_later(host, claim(false));
        }
    }

    fn plan(&self, host: usize) -> Plan {
        let settings = &self.hosts[host].settings;
        Plan {
            witnesses: settings.witness.map(|_| witness()).into_iter().collect(),
            timeout: settings.keepalive / 4,
            vip_probe: Duration::ZERO,
        }
    }

    /// The guardian is killed.
    pub(super) fn lose_guardian(&mut self, host: usize) {
        self.hosts[host].machine.has_guardian = false;
        self.tell_node(host, node::Event::Guardian(child::Event::Gone(Exit::Signal(9))));
    }

    fn exit(&mut self, host: usize, stopped: bool) {
        self.tell(|_| format!("{host} is over"));
        let h = &mut self.hosts[host];
        h.director = None;
        h.life += 1;
        let start_is_due = h.machine.start_is_due;
        h.machine.gone();
        h.inbox.clear();
        h.overdue.clear();
        if stopped {
            h.machine.was_active = false;
            h.machine.is_released = false;
            self.judge.stopped(host, &self.hosts);
        }
        if start_is_due {
            self.later(self.now, Happening::Starts(host));
        }
    }
}

/// How long after its last word a director that is gone may have the VIPs: the
/// partner's deadtime. A loan is of a second at least, may be renewed between two
/// beats, and is called in late.
pub(super) fn fenced_after(keepalive: Duration, deadtime: Duration) -> Duration {
    deadtime.max(keepalive + Duration::from_secs(1) + late(1))
}
