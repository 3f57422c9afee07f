//! PURE. The node's part in the election: what happens is passed on to it, what it
//! decides is done here, or becomes an action.

use std::time::{Duration, Instant};

use super::{Action, Message, Node, Part, State};
use crate::election::{self, Election};
use crate::messages::Several;
use crate::replay::Counters;
use crate::wish::{Answer, Wish};

/// How long what was dropped is gathered before it is said for the first time, and
/// from then on while it does not end.
const SUM_UP_FIRST: Duration = Duration::from_secs(10);
const SUM_UP_EVERY: Duration = Duration::from_secs(600);

/// What was dropped, as far as it is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct SummedUp {
    counters: Counters,
    at: Instant,
    /// There was something to say.
    said: bool,
}

impl SummedUp {
    pub(super) fn new(now: Instant) -> Self {
        Self { counters: Counters::default(), at: now, said: false }
    }
}

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
        self.vips.agree(settings.keepalive, settings.deadtime);
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

    pub(super) fn beat_now(&mut self, now: Instant, out: &mut Vec<Action>) {
        let Some(election) = self.pair.as_mut() else { return };
        let mut decided = Vec::new();
        election.beat_now(now, &mut decided);
        self.obey(decided, now, out);
    }

    pub(super) fn count(&mut self, unheard: &Counters) {
        if let Some(election) = &mut self.pair {
            election.counters_mut().add(unheard);
        }
    }

    /// Datagrams that were dropped are worth a line now and then, never one each.
    pub(super) fn sum_up(&mut self, now: Instant, out: &mut Vec<Action>) {
        let SummedUp { counters: before, at, said } = self.dropped;
        let within = now.saturating_duration_since(at);
        if within < if said { SUM_UP_EVERY } else { SUM_UP_FIRST } {
            return;
        }
        let Some(counters) = self.pair.as_ref().map(|election| *election.counters()) else { return };
        let dropped = counters.since(&before);
        let said = dropped.strange() > 0;
        if said {
            out.push(Action::Say(Message::Dropped { counters: Box::new(dropped), within }));
        }
        self.dropped = SummedUp { counters, at: now, said };
    }

    /// Somebody wants something. What the election says against it is the answer.
    pub(super) fn on_wish(&mut self, asker: u32, wish: Wish, now: Instant, out: &mut Vec<Action>) {
        let answer = match (wish, self.is_stopping(), self.pair.is_some()) {
            (Wish::Status, _, _) => Answer { is_done: true, text: self.status(now) },
            (Wish::Relocate | Wish::StandBy | Wish::Restore, true, _) => refused("it is being stopped"),
            (Wish::Relocate | Wish::StandBy | Wish::Restore, false, false) => {
                refused("there is no other director: backup_active is 0")
            }
            (Wish::Relocate, false, true) => self.ask(election::Request::Relocate, "the roles change", now, out),
            (Wish::StandBy, false, true) => {
                out.push(Action::Remember { is_released: true });
                self.ask(election::Request::Release, "released: standby until --restore", now, out)
            }
            (Wish::Restore, false, true) => {
                out.push(Action::Remember { is_released: false });
                self.ask(election::Request::Restore, "restored: it takes part again", now, out)
            }
        };
        out.push(Action::Answer { asker, answer });
    }

    fn ask(&mut self, request: election::Request, text: &str, now: Instant, out: &mut Vec<Action>) -> Answer {
        let before = out.len();
        self.feed_pair(election::Event::Asked(request), now, out);
        let against = out.iter().skip(before).find_map(|action| {
            let Action::Say(Message::Pair(line)) = action else { return None };
            let is_against = matches!(line, election::Line::Refused(_) | election::Line::Reluctant { .. });
            is_against.then(|| line.to_string())
        });
        against.map_or_else(|| Answer { is_done: true, text: text.to_owned() }, |text| refused(&text))
    }

    /// How this director stands.
    fn status(&self, now: Instant) -> String {
        let stands = match &self.pair {
            Some(election) => election.report(now).to_string(),
            None => match self.state {
                State::Starting { .. } => "state: starting".to_owned(),
                State::Lowering { .. } | State::StoppingLvsd { .. } | State::Over => "state: stopping".to_owned(),
                State::Standby | State::Active { .. } | State::Holding => "state: active".to_owned(),
            },
        };
        let lvsd = match self.lvsd() {
            Some(pid) if self.lvsd.is_ready() => format!("ready, process {pid}"),
            Some(pid) => format!("not ready, process {pid}"),
            None => "not running".to_owned(),
        };
        let withdrawn = match self.vips.withdrawal.list() {
            list if list.is_empty() => String::new(),
            list => format!("\nwithdrawn: {}", Several(&list.iter().copied().collect::<Vec<_>>())),
        };
        format!("{stands}\nlvsd: {lvsd}{withdrawn}")
    }

    fn obey(&mut self, decided: Vec<election::Action>, now: Instant, out: &mut Vec<Action>) {
        for action in decided {
            match action {
                election::Action::SendHeartbeat(beat) => {
                    self.vips.has_beaten = true;
                    out.push(Action::SendHeartbeat(Box::new(beat)));
                }
                election::Action::BecomeActive { why } => {
                    if let election::Activation::PartnerDead { .. } = why {
                        self.vips.overlap(now);
                    }
                    self.become_active(now, out);
                }
                election::Action::Yield { why } => self.give_way(why, now, out),
                election::Action::Reannounce => self.reannounce(now),
                election::Action::AskWitness => out.push(Action::AskWitness),
                election::Action::Say(line) => out.push(Action::Say(Message::Pair(line))),
                election::Action::Finished => {
                    if let State::StoppingLvsd { .. } = self.state {
                        self.stop_lvsd_if_due(now, out);
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

    /// The last words have been said, or there is nobody to hear them.
    pub(super) fn has_left(&self) -> bool {
        self.pair.as_ref().is_none_or(|pair| pair.state() == election::State::Over)
    }

    fn reannounce(&mut self, now: Instant) {
        if let State::Active { .. } = self.state {
            self.announce_again(now);
        }
    }
}

fn refused(why: &str) -> Answer {
    Answer { is_done: false, text: why.to_owned() }
}
