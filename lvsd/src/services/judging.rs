//! What becomes of a virtual service as a whole when its real servers fail or come
//! back: the floor that is held, the quorum, the virtual IP, the sorry server. The
//! verdicts go in; each decision is another module's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use common::channel::services::{Happened, News};
use common::ipvs::{Ipvs, ServiceKey};

use super::{Action, Keepers, Services, State};
use crate::hands::Kernel;
use crate::messages::Message;
use crate::quorum::{self, Quorum};
use crate::scripts::Script;
use crate::sorry::{Change, Sorry, Tally};
use crate::wanted::Virtual;
use crate::withdrawal;

impl State {
    /// The line about servers that stay in use although they failed, when the first of
    /// them does and when none does any more.
    fn floor(&mut self, wanted: &Virtual, tally: Tally) -> Option<Message> {
        let (keeps, silent) = (tally.kept > 0, tally.silent > 0);
        // The nanny of one of them may just be another process by now.
        if keeps == self.keeps || (!keeps && silent) {
            return None;
        }
        self.keeps = keeps;
        let (name, min_up) = (wanted.name.clone(), wanted.pool.min_up);
        Some(if keeps {
            Message::FloorHolds { name, available: tally.available, kept: tally.kept, min_up }
        } else {
            Message::FloorOver { name, available: tally.available }
        })
    }

    /// `Some`: whether there is a quorum, and that is news. Where somebody cares it is
    /// said, and its script is run.
    fn judge_quorum(&mut self, wanted: &Virtual, tally: Tally, now: Instant, out: &mut Vec<Action>) -> Option<bool> {
        let change = self.quorum.as_mut()?.judge(wanted.pool.rules, tally, now, now + wanted.timeout)?;
        let (name, available, rules) = (wanted.name.clone(), tally.available, wanted.pool.rules);
        let (line, what) = match change {
            // Nobody heard that it was not there.
            quorum::Change::First => (None, None),
            quorum::Change::Gained => {
                (Some(Message::QuorumGained { name, available, rules }), Some(Happened::VirtualUp))
            }
            quorum::Change::Lost => (Some(Message::QuorumLost { name, available, rules }), Some(Happened::VirtualDown)),
        };
        out.extend(line.as_ref().zip(what).map(|(line, what)| news(what, wanted, line)));
        let has = change != quorum::Change::Lost;
        if let Some(care) = &wanted.pool.quorum {
            out.extend(line.map(Action::Say));
            let command = if has { &care.up } else { &care.down };
            let (service, name) = (wanted.service.key, wanted.name.clone());
            out.extend(command.clone().map(|command| Action::Run(Script { service, name, command })));
        }
        Some(has)
    }
}

/// What happened to a virtual, in the words of this line.
fn news(what: Happened, wanted: &Virtual, line: &Message) -> Action {
    Action::News(News { what, name: wanted.name.clone(), text: line.to_string(), lost: 0 })
}

impl Services {
    /// The verdicts of a service's nannies changed, or their grace is over.
    pub fn judge<K: Ipvs>(
        &mut self,
        key: &ServiceKey,
        tally: impl Fn(&Virtual) -> Tally,
        kernel: &mut Kernel<K>,
        keepers: &impl Keepers,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(wanted) = self.index.get(key).and_then(|n| self.wanted.virtuals.get(*n)) else { return };
        let Some(state) = self.states.get_mut(key) else { return };
        let tally = tally(wanted);
        out.extend(state.floor(wanted, tally).map(Action::Say));
        if let Some((vip, change)) = self.withdrawal.judge(wanted, tally, now) {
            out.push(Action::Say(words(vip, change, Some(wanted))));
            self.ledger_due = true;
        }
        if let Some(has) = state.judge_quorum(wanted, tally, now, out) {
            self.ledger.quorums.insert(*key, has);
            self.ledger_due = true;
        }
        let Some(wanted) = self.index.get(key).and_then(|n| self.wanted.virtuals.get(*n)) else { return };
        let Some(state) = self.states.get_mut(key) else { return };
        let (Some(server), Some(sorry)) = (&wanted.sorry, &mut state.sorry) else { return };
        let (name, address) = (wanted.name.clone(), server.key.address);
        let (line, what) = match sorry.judge(tally, now, now + wanted.timeout) {
            None => return,
            Some(Change::Activate) => (Message::SorryIn { name, address }, Happened::SorryIn),
            Some(Change::Deactivate(available)) => (Message::SorryOut { name, available, address }, Happened::SorryOut),
        };
        out.extend([news(what, wanted, &line), Action::Say(line)]);
        self.tend_one(key, kernel, keepers, now, out);
    }

    /// The virtual IPs that pulse is to let go of.
    pub fn withdrawn(&self) -> &BTreeSet<IpAddr> {
        self.withdrawal.withdrawn()
    }

    /// When a grace of first verdicts ends, and whose.
    pub fn graces(&self) -> impl Iterator<Item = (Instant, ServiceKey)> {
        let of = |state: &State| {
            let sorry = state.sorry.as_ref().and_then(Sorry::deadline);
            sorry.into_iter().chain(state.quorum.as_ref().and_then(Quorum::deadline)).min()
        };
        let of_states = self.states.iter().filter_map(move |(key, state)| Some((of(state)?, *key)));
        of_states.chain(self.withdrawal.graces())
    }
}

/// The line about a virtual IP. `by`: the virtual that decided it.
pub(super) fn words(vip: IpAddr, change: withdrawal::Change, by: Option<&Virtual>) -> Message {
    match change {
        withdrawal::Change::Withdraw => Message::VipWithdrawn { vip },
        withdrawal::Change::Return => Message::VipReturns { vip, name: by.map(|it| it.name.clone()) },
        withdrawal::Change::Spare => Message::VipSpared { vip },
    }
}
