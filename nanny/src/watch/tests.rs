use std::ffi::OsString;

use proptest::prelude::*;

use super::*;

const PERIOD: Duration = Duration::from_secs(10);
const EVENTS: [Event; 4] = [Event::Good, Event::Bad, Event::Ended, Event::Suspended];

fn held<S: Into<OsString>>(words: impl IntoIterator<Item = S>) -> Option<String> {
    let line = ["--lvs", "-h", "198.51.100.7", "-V", "192.0.2.1"].map(OsString::from);
    let args = crate::args::parse(line.into_iter().chain(words.into_iter().map(Into::into))).unwrap();
    target(args.watch, &crate::probe::checks(&args).unwrap()).map(|to| to.to_string())
}

#[test]
fn web_servers_are_watched_unless_said_otherwise_and_others_only_if_said() {
    for (words, expected) in [
        ("", Some("198.51.100.7:80")),
        ("-s GET%20/ -x HTTP -p 81", None),
        ("-p 25 -x 220", None),
        ("-p 25 -x 220 --watch", Some("198.51.100.7:25")),
        ("--no-watch", None),
        ("-u -s x --watch", None),
        ("-e /bin/true -x OK --watch", None),
        ("-p 8080", None),
        // By name, where the check goes.
        ("--check http", Some("198.51.100.7:80")),
        ("--check http --with method=PUT --with port=81", Some("198.51.100.7:81")),
        ("--check http --no-watch", None),
        ("--check tcp", None),
        ("--check tcp --with port=81 --watch", Some("198.51.100.7:81")),
        ("--check ping --check http --with address=203.0.113.9", Some("203.0.113.9:80")),
        ("--check tcp --check http --with port=81", Some("198.51.100.7:81")),
        ("--check ping --watch", None),
        ("--check udp --with send=x --watch", None),
        ("--check https --watch", None),
        ("--check http --with mark=7 --watch", None),
        ("--check http --with source_address=203.0.113.1 --check http --with port=81", Some("198.51.100.7:81")),
    ] {
        assert_eq!(held(words.split_whitespace()).as_deref(), expected, "{words}");
    }
    assert!(held(["-p", "8080", "-s", "GET / HTTP/1.0\\r\\n\\r\\n"]).is_some());
    assert!(held(["-p", "8080", "--check", "tcp", "--with", "send=GET / HTTP/1.0\\r\\n\\r\\n"]).is_some());
}

#[test]
fn every_pair_of_state_and_event_does_what_this_table_says() {
    let now = Instant::now();
    let (without, held) = (State::Without { until: now }, State::Held { since: now });
    let later = State::Without { until: now + PERIOD };
    for state in [State::Never, without, later, held] {
        for event in EVENTS {
            let mut watch = Watch { state, ..Watch::new(true, PERIOD, now) };
            let action = watch.handle(event, now);
            let expected = match (state, event) {
                (State::Without { until }, Event::Good) if until == now => (held, Some(Action::Open)),
                (State::Held { .. }, Event::Bad | Event::Suspended) => (without, Some(Action::Close)),
                (State::Held { .. }, Event::Ended) => (State::Without { until: now + PERIOD * 2 }, Some(Action::Check)),
                (State::Without { .. }, Event::Bad) => (without, None),
                (state, _) => (state, None),
            };
            assert_eq!((watch.state, action), expected, "{state:?}, {event:?}");
        }
    }
}

#[test]
fn a_check_that_is_good_right_after_an_end_is_made_once_more() {
    let now = Instant::now();
    let mut watch = Watch::new(true, PERIOD, now);
    let events = [Event::Good, Event::Ended, Event::Good, Event::Good];
    let actions = events.map(|event| watch.handle(event, now));
    assert_eq!(actions, [Some(Action::Open), Some(Action::Check), Some(Action::CheckSoon), None]);
}

#[test]
fn a_server_that_closes_what_is_idle_is_left_alone_longer_and_longer() {
    let mut now = Instant::now();
    let mut watch = Watch::new(true, PERIOD, now);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let begun = now;
        while watch.handle(Event::Good, now) != Some(Action::Open) {
            now += PERIOD;
        }
        waits.push((now - begun).as_secs() / PERIOD.as_secs());
        assert_eq!(watch.handle(Event::Ended, now), Some(Action::Check));
    }
    assert_eq!(waits, [0, 2, 4, 8, 16, 32, 64, 64]);
    while watch.handle(Event::Good, now) != Some(Action::Open) {
        now += PERIOD;
    }
    now += PERIOD * PERIODS_HELD;
    assert_eq!(watch.handle(Event::Ended, now), Some(Action::Check));
    assert_eq!(watch.state, State::Without { until: now + PERIOD }, "it was held long enough");
}

proptest! {
    /// Ends make checks, and checks that are good make connections that end: never in a
    /// circle that is faster than the checks are by themselves.
    #[test]
    fn while_checks_are_good_there_is_at_most_one_extra_check_a_period(
        events in prop::collection::vec((prop::sample::select(EVENTS.to_vec()), 0..30_u64), 0..80),
    ) {
        let mut now = Instant::now();
        let mut watch = Watch::new(true, PERIOD, now);
        let mut last: Option<Instant> = None;
        for (event, seconds) in events {
            now += Duration::from_secs(seconds);
            if event == Event::Bad {
                last = None;
            }
            if watch.handle(event, now) == Some(Action::Check) {
                prop_assert!(last.is_none_or(|last| now >= last + PERIOD));
                last = Some(now);
            }
        }
    }
}
