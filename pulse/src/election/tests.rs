#![allow(
    clippy::unchecked_time_subtraction,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a mistake in a test fails it"
)]

use super::lines::Seconds;
use super::*;
use crate::heartbeat::{Echo, Service};

mod behaviour;
mod hands_over;
mod rests;
mod rivals;
mod table;

const MS: Duration = Duration::from_millis(1);
const KEEPALIVE: Duration = Duration::from_secs(2);
const DEADTIME: Duration = Duration::from_secs(5);
const US: u64 = 7;
const PARTNER: u64 = 1000;

fn settings(role: Role) -> Settings {
    let path = |name: &str, serves| Path { name: name.to_owned(), serves };
    Settings {
        role,
        service: Service::Lvs,
        keepalive: KEEPALIVE,
        deadtime: DEADTIME,
        paths: vec![path("Primary", true), path("Private", false)],
        witness: None,
        look_every: KEEPALIVE,
        auto_failback: None,
        steady: Duration::from_secs(60),
        fingerprint: 1,
    }
}

/// One director, and a partner whose heartbeats the test makes up.
struct Node {
    election: Election,
    now: Instant,
    /// What the last call did.
    out: Vec<Action>,
    /// The newest beat of ours.
    said: Heartbeat,
    partner: Heartbeat,
}

impl Node {
    fn start(settings: Settings, how: Start) -> Self {
        let (now, mut out) = (Instant::now(), Vec::new());
        let is_master = settings.role == Role::Master;
        let election = Election::start(settings, StartId::new(US), how, now, &mut out);
        let said = beats(&out)[0];
        let partner = Heartbeat {
            word: Word::Lvs(Claim::Stopped),
            state: Doing::Standby,
            start: StartId::new(PARTNER),
            sequence: 0,
            heard: None,
            also_heard: None,
            fingerprint: 1,
            interval: KEEPALIVE,
            flags: Flags { master: !is_master, ..Flags::default() },
            reason: None,
            path: 0,
        };
        Self { election, now, out, said, partner }
    }

    fn fresh(role: Role) -> Self {
        Self::start(settings(role), Start::Fresh)
    }

    /// Active, with a standby partner.
    fn active(role: Role) -> Self {
        let mut node = Self::start(settings(role), Start::Forced);
        node.partner_says(Doing::Standby);
        assert_eq!(node.election.state(), State::Active);
        node
    }

    /// Standby, with an active partner.
    fn standby(role: Role) -> Self {
        let mut node = Self::fresh(role);
        node.partner_says(Doing::Active);
        assert_eq!(node.election.state(), State::Standby);
        node
    }

    fn event(&mut self, event: Event) -> &[Action] {
        self.out.clear();
        self.election.handle(event, self.now, &mut self.out);
        if let Some(beat) = beats(&self.out).last() {
            self.said = *beat;
        }
        &self.out
    }

    fn asked(&mut self, request: Request) -> &[Action] {
        self.event(Event::Asked(request))
    }

    /// Ticks as the caller would, until then; everything that was done.
    fn wait(&mut self, time: Duration) -> Vec<Action> {
        let (end, mut all) = (self.now + time, Vec::new());
        while let Some(deadline) = self.election.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            all.extend_from_slice(self.event(Event::Tick));
        }
        self.now = end;
        all
    }

    /// The same with a partner that says this at every keepalive.
    fn wait_with(&mut self, time: Duration, state: Doing) -> Vec<Action> {
        let (end, mut all) = (self.now + time, Vec::new());
        while self.now < end {
            let step = KEEPALIVE.min(end - self.now);
            all.extend(self.wait(step));
            all.extend_from_slice(self.partner_says(state));
        }
        all
    }

    /// The partner's next heartbeat, which answers our last one.
    fn partner_says(&mut self, state: Doing) -> &[Action] {
        self.partner_says_with(state, |_| {})
    }

    fn partner_says_with(&mut self, state: Doing, change: impl FnOnce(&mut Heartbeat)) -> &[Action] {
        self.partner.sequence += 1;
        let echo = Echo { start: self.said.start, sequence: self.said.sequence };
        let word = match state {
            Doing::Active => Word::Lvs(Claim::Running),
            Doing::Standby | Doing::Unfit => Word::Lvs(Claim::Stopped),
            Doing::Listening | Doing::Lowering => Word::Hold,
        };
        let mut beat = Heartbeat { word, state, heard: Some(echo), ..self.partner };
        change(&mut beat);
        self.event(Event::Datagram { path: 0, datagram: Datagram::Ours(beat) })
    }

    fn original_says(&mut self, word: Word) -> &[Action] {
        self.event(Event::Datagram { path: 0, datagram: Datagram::Original(word) })
    }
}

fn beats(actions: &[Action]) -> Vec<Heartbeat> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::SendHeartbeat(beat) => Some(*beat),
            _ => None,
        })
        .collect()
}

fn lines(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Say(line) => Some(line.to_string()),
            _ => None,
        })
        .collect()
}

/// Everything but heartbeats and lines.
fn deeds(actions: &[Action]) -> Vec<Action> {
    actions.iter().filter(|action| !matches!(action, Action::SendHeartbeat(_) | Action::Say(_))).cloned().collect()
}
