use common::child::Exit;
use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    has_start: true,
    has_stop: true,
    settle: Duration::from_secs(30),
    doubt: Duration::from_secs(1),
    restarts: 2,
    period: Duration::from_secs(600),
};

struct Stage {
    service: Service,
    now: Instant,
}

fn failure() -> Failure {
    Failure::Ended(Exit::Status(1), "no such port".to_owned())
}

fn run(which: Which) -> Action {
    Action::Run(which)
}

impl Stage {
    /// Started; its start_cmd runs.
    fn new(rules: Rules) -> Self {
        let (now, mut out) = (Instant::now(), Vec::new());
        let service = Service::start(rules, now, &mut out);
        assert_eq!(out, [run(Which::Start)]);
        Self { service, now }
    }

    fn serving(rules: Rules) -> Self {
        let mut stage = Self::new(rules);
        assert_eq!(stage.feed(Event::Ended(Ok(()))), [Action::Check]);
        assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
        stage
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.service.handle(event, self.now, &mut out);
        out
    }

    /// So long later.
    fn tick(&mut self, later: Duration) -> Vec<Action> {
        self.now += later;
        self.feed(Event::Tick)
    }

    /// Two failed checks in a row.
    fn lose(&mut self) -> Vec<Action> {
        assert_eq!(self.feed(Event::Judged(false)), []);
        self.tick(RULES.doubt)
    }

    /// stop_cmd and start_cmd succeed and a good check follows.
    fn restart(&mut self) {
        assert_eq!(self.feed(Event::Ended(Ok(()))), [run(Which::Start)]);
        assert_eq!(self.feed(Event::Ended(Ok(()))), [Action::Check]);
        assert_eq!(self.feed(Event::Judged(true)), [Action::Serves]);
    }
}

#[test]
fn one_failed_check_is_an_accident_and_two_are_a_failure() {
    // piranha.md 5: the second consecutive failure triggers
    let mut stage = Stage::serving(RULES);
    assert_eq!(stage.feed(Event::Judged(false)), []);
    assert_eq!(stage.tick(RULES.doubt / 2), []);
    assert_eq!(stage.feed(Event::Judged(true)), []);
    assert_eq!(stage.tick(RULES.doubt), []);
    let again = Action::Again { trouble: Trouble::Lost, time: 1, of: 2 };
    assert_eq!(stage.lose(), [again, run(Which::Stop)]);
}

#[test]
fn it_is_started_again_as_often_as_said_and_then_given_up() {
    let mut stage = Stage::serving(RULES);
    for time in 1..=2 {
        assert_eq!(stage.lose()[0], Action::Again { trouble: Trouble::Lost, time, of: 2 });
        stage.restart();
        assert_eq!(stage.service.given_up(), None);
    }
    assert_eq!(stage.lose(), [Action::GivenUp(Trouble::Lost)]);
    assert_eq!(stage.service.given_up(), Some("it does not answer"));
    // alone, a late service is better than none
    assert_eq!(stage.tick(REST), [run(Which::Stop)]);
    stage.restart();
    assert_eq!(stage.service.given_up(), None);
    // what was used up stays used up
    assert_eq!(stage.lose(), [Action::GivenUp(Trouble::Lost)]);
}

#[test]
fn restarts_long_ago_do_not_count() {
    let mut stage = Stage::serving(RULES);
    for _ in 0..2 {
        stage.lose();
        stage.restart();
    }
    assert_eq!(stage.tick(RULES.period), []);
    assert_eq!(stage.lose()[0], Action::Again { trouble: Trouble::Lost, time: 1, of: 2 });
}

#[test]
fn with_no_restarts_the_other_director_gets_it_at_once() {
    let mut stage = Stage::serving(Rules { restarts: 0, ..RULES });
    assert_eq!(stage.lose(), [Action::GivenUp(Trouble::Lost)]);
}

#[test]
fn a_start_that_fails_waits_for_what_it_may_lack() {
    let mut stage = Stage::new(RULES);
    let trouble = Trouble::Start(failure());
    assert_eq!(trouble.to_string(), "start_cmd exited with status 1, its last line: no such port");
    assert_eq!(stage.feed(Event::Ended(Err(failure()))), [Action::Again { trouble: trouble.clone(), time: 1, of: 2 }]);
    assert_eq!(stage.tick(PAUSE / 2), []);
    assert_eq!(stage.tick(PAUSE / 2), [run(Which::Stop)]);
    // there is nothing to stop: no news
    assert_eq!(stage.feed(Event::Ended(Err(failure()))), [run(Which::Start)]);
    assert_eq!(stage.feed(Event::Ended(Err(failure()))), [Action::Again { trouble: trouble.clone(), time: 2, of: 2 }]);
    assert_eq!(stage.tick(PAUSE), [run(Which::Stop)]);
    assert_eq!(stage.feed(Event::Ended(Ok(()))), [run(Which::Start)]);
    assert_eq!(stage.feed(Event::Ended(Err(failure()))), [Action::GivenUp(trouble)]);
    // the same trouble is said once
    assert_eq!(stage.tick(REST), [run(Which::Stop)]);
    assert_eq!(stage.feed(Event::Ended(Ok(()))), [run(Which::Start)]);
    assert_eq!(stage.feed(Event::Ended(Err(failure()))), []);
    // somebody mends it by hand
    assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
    assert_eq!(stage.service.given_up(), None);
}

#[test]
fn a_start_cmd_that_is_the_service_itself_is_told_what_it_must_do() {
    let mut stage = Stage::new(Rules { restarts: 0, ..RULES });
    assert_eq!(stage.feed(Event::Judged(true)), []);
    let failure = Failure::TimedOut(RULES.settle, String::new());
    let out = stage.feed(Event::Ended(Err(failure.clone())));
    assert_eq!(out, [Action::GivenUp(Trouble::Foreground(failure))]);
    assert_eq!(
        stage.service.given_up(),
        Some("start_cmd was killed after 30s, although the service answered: it must end when that is started")
    );
}

#[test]
fn a_service_that_starts_and_never_answers_is_a_failure() {
    let mut stage = Stage::new(RULES);
    stage.feed(Event::Ended(Ok(())));
    assert_eq!(stage.feed(Event::Judged(false)), []);
    assert_eq!(stage.tick(RULES.settle / 2), []);
    let out = stage.tick(RULES.settle / 2);
    assert_eq!(out[0], Action::Again { trouble: Trouble::Unsettled(RULES.settle), time: 1, of: 2 });
}

#[test]
fn a_director_that_slept_asks_before_it_judges() {
    let mut stage = Stage::serving(RULES);
    stage.feed(Event::Judged(false));
    stage.now += Duration::from_secs(3600);
    assert_eq!(stage.feed(Event::Slept), [Action::Check]);
    assert_eq!(stage.feed(Event::Tick), []);
    assert_eq!(stage.feed(Event::Judged(true)), []);
}

#[test]
fn an_adopted_service_is_not_started() {
    let mut stage = Stage { service: Service::adopt(RULES, Past::default(), Instant::now()), now: Instant::now() };
    assert_eq!(stage.feed(Event::Tick), []);
    assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
}

#[test]
fn a_new_lvsd_knows_how_often_it_was_started_again() {
    let mut stage = Stage::serving(RULES);
    stage.lose();
    stage.restart();
    let past = stage.service.past();
    let (mut service, now) = (Service::adopt(RULES, past, stage.now), stage.now);
    assert_eq!(service.restarts(now), (1, 2));
    let mut out = Vec::new();
    service.handle(Event::Judged(true), now, &mut out);
    stage.service = service;
    assert_eq!(stage.lose()[0], Action::Again { trouble: Trouble::Lost, time: 2, of: 2 });
    stage.restart();
    assert_eq!(stage.lose(), [Action::GivenUp(Trouble::Lost)]);
    // and that it was given up: neither tried anew nor said again
    let past = stage.service.past();
    stage.service = Service::adopt(RULES, past, stage.now);
    assert_eq!(stage.service.given_up(), Some("it does not answer"));
    assert_eq!(stage.tick(REST / 2), []);
    assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
    assert_eq!(stage.service.given_up(), None);
    // all of it is long ago one day
    assert_eq!(stage.service.restarts(stage.now + RULES.period), (0, 2));
}

#[test]
fn a_reload_tries_at_once_what_was_given_up() {
    let mut stage = Stage::serving(Rules { restarts: 0, ..RULES });
    assert_eq!(stage.lose(), [Action::GivenUp(Trouble::Lost)]);
    assert_eq!(stage.tick(REST / 4), []);
    stage.service.set_rules(RULES, stage.now);
    assert_eq!(stage.feed(Event::Tick), [run(Which::Stop)]);
    stage.restart();
}

#[test]
fn whatever_it_does_a_stop_runs_stop_cmd_once_and_is_the_end() {
    let (ended, failed, judged) = (Event::Ended(Ok(())), Event::Ended(Err(failure())), Event::Judged);
    let reach = [
        vec![],
        vec![ended.clone()],
        vec![ended.clone(), judged(true)],
        vec![ended, judged(true), judged(false)],
        vec![failed.clone()],
        vec![failed, Event::Tick],
    ];
    for (n, reach) in reach.into_iter().enumerate() {
        let mut stage = Stage::new(RULES);
        for event in reach {
            stage.now += if event == Event::Tick { PAUSE } else { Duration::ZERO };
            stage.feed(event);
        }
        // stop_cmd of a restart is as good
        let expected: &[Action] = if n == 5 { &[] } else { &[Action::Run(Which::Stop)] };
        assert_eq!(stage.feed(Event::Stop), expected, "{n}");
        assert!(stage.service.is_leaving() && !stage.service.is_over());
        assert_eq!(stage.feed(Event::Judged(false)), []);
        assert_eq!(stage.feed(Event::Stop), []);
        assert_eq!(stage.feed(Event::Ended(Err(failure()))), [Action::NotStopped(failure()), Action::Over]);
        assert!(stage.service.is_over());
    }
    let mut stage = Stage::serving(Rules { has_stop: false, ..RULES });
    assert_eq!(stage.feed(Event::Stop), [Action::Over]);
}

#[test]
fn what_nobody_starts_is_only_watched() {
    let rules = Rules { has_start: false, has_stop: false, ..RULES };
    let mut out = Vec::new();
    let now = Instant::now();
    let mut stage = Stage { service: Service::start(rules, now, &mut out), now };
    assert_eq!(out, []);
    assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
    assert_eq!(stage.lose(), [Action::GivenUp(Trouble::Lost)]);
    assert_eq!(stage.tick(REST), []);
    assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Ended(Ok(()))),
        Just(Event::Ended(Err(failure()))),
        any::<bool>().prop_map(Event::Judged),
        Just(Event::Tick),
        Just(Event::Slept),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// However it goes: one command at a time and each answered, no more restarts
    /// within the period than said, and a stop ends it.
    #[test]
    fn its_life_keeps_its_rules(events in proptest::collection::vec((event(), 0u64..5000), 0..80)) {
        let mut stage = Stage::new(RULES);
        let mut running = Some(Which::Start);
        let mut again = Vec::new();
        for (event, later) in events.into_iter().chain([(Event::Stop, 0), (Event::Ended(Ok(())), 0)]) {
            stage.now += Duration::from_millis(later);
            if matches!(event, Event::Ended(_)) && running.take().is_none() {
                continue;
            }
            let is_stop = event == Event::Stop;
            for action in stage.feed(event) {
                match action {
                    Action::Run(which) => {
                        prop_assert!(running.is_none() || is_stop, "two at once");
                        running = Some(which);
                    }
                    Action::Again { .. } => again.push(stage.now),
                    Action::GivenUp(_) => prop_assert!(stage.service.given_up().is_some()),
                    Action::Check | Action::Serves | Action::NotStopped(_) | Action::Over => {}
                }
            }
        }
        prop_assert!(stage.service.is_over());
        for (at, restart) in again.iter().enumerate() {
            let within = again[at..].iter().filter(|other| **other < *restart + RULES.period).count();
            prop_assert!(within <= RULES.restarts as usize);
        }
    }
}

#[test]
fn a_command_that_another_lvsd_started_goes_on_as_if_it_were_ours() {
    let adopted = |under_way, given_up: Option<&str>| {
        let past = Past { restarts: vec![], given_up: given_up.map(str::to_owned), under_way: Some(under_way) };
        let now = Instant::now();
        let stage = Stage { service: Service::adopt(RULES, past.clone(), now), now };
        assert_eq!(stage.service.past(), past);
        stage
    };
    let mut stage = adopted(UnderWay::Start, None);
    assert_eq!(stage.feed(Event::Ended(Ok(()))), [Action::Check]);
    assert_eq!(stage.feed(Event::Judged(true)), [Action::Serves]);
    let mut stage = adopted(UnderWay::Restart, Some("it does not answer"));
    assert_eq!(stage.feed(Event::Ended(Ok(()))), [run(Which::Start)]);
    let mut stage = adopted(UnderWay::Stop, None);
    assert_eq!(stage.feed(Event::Stop), []);
    assert_eq!(stage.feed(Event::Ended(Ok(()))), [Action::Over]);
    for under_way in [UnderWay::Start, UnderWay::Stop, UnderWay::Restart] {
        assert_eq!(UnderWay::from_word(under_way.word()), Some(under_way));
    }
}
