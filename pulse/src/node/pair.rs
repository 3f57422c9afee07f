//! PURE. The node's part in the election: what happens is passed on to it, what it
//! decides is done here, or becomes an action.

use std::time::Instant;

use super::{Action, Message, Node, Part, State};
use crate::election::{self, Election};
use crate::lease::Terms;
use crate::replay::Counters;

impl Node {
    pub(super) fn join(
        &mut self,
        Part { settings, id }: Part,
        carrying_on: bool,
        forced: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let how = match (carrying_on, forced) {
            (true, _) => election::Start::Holding,
            (false, true) => election::Start::Forced,
            (false, false) => election::Start::Fresh,
        };
        self.vips.terms = Some(Terms::new(settings.keepalive, settings.deadtime));
        let mut decided = Vec::new();
        self.pair = Some(Election::start(settings, id, how, now, &mut decided));
        self.obey(decided, now, out);
    }

    pub(super) fn feed_pair(&mut self, event: election::Event, now: Instant, out: &mut Vec<Action>) {
        let Some(election) = self.pair.as_mut() else { return };
        let mut decided = Vec::new();
        election.handle(event, now, &mut decided);
        self.obey(decided, now, out);
    }

    pub(super) fn count(&mut self, unheard: &Counters) {
        if let Some(election) = &mut self.pair {
            election.counters_mut().add(unheard);
        }
    }

    fn obey(&mut self, decided: Vec<election::Action>, now: Instant, out: &mut Vec<Action>) {
        for action in decided {
            match action {
                election::Action::SendHeartbeat(beat) => {
                    self.vips.has_beaten = true;
                    out.push(Action::SendHeartbeat(Box::new(beat)));
                }
                election::Action::BecomeActive { .. } => self.become_active(now, out),
                election::Action::Yield { .. } => self.give_way(now, out),
                election::Action::Reannounce => self.reannounce(now),
                election::Action::AskWitness => out.push(Action::AskWitness),
                election::Action::Say(line) => out.push(Action::Say(Message::Pair(line))),
                election::Action::Finished => {
                    if let State::StoppingLvsd { .. } = self.state {
                        self.finish_if_over(out);
                    }
                }
            }
        }
        let state = self.pair.as_ref().map(Election::state);
        if matches!(state, Some(election::State::Listening { .. })) {
            self.hold();
        }
    }

    fn reannounce(&mut self, now: Instant) {
        if let State::Active { .. } = self.state {
            self.announce_again(now);
        }
    }
}
