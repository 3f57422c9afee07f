use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::heartbeat::{Claim, Flags, State, Word};

const US: u64 = 7;
const PARTNER: u64 = 100;

fn start(n: u64) -> StartId {
    StartId::new(n)
}

fn us() -> Session {
    let mut session = Session::new(start(US));
    for _ in 0..10 {
        session.stamp();
    }
    session
}

/// A heartbeat of `from` that echoes our sequence `echoed`; 0: nothing.
fn beat(from: u64, sequence: u64, echoed: u64) -> Heartbeat {
    let heard = (echoed > 0).then(|| Echo { start: start(US), sequence: echoed });
    Heartbeat {
        word: Word::Lvs(Claim::Stopped),
        state: State::Standby,
        start: start(from),
        sequence,
        heard,
        also_heard: None,
        fingerprint: 0,
        interval: Duration::from_secs(2),
        flags: Flags::default(),
        reason: None,
        path: 0,
    }
}

fn proof(session: &mut Session, beat: Heartbeat) -> Result<Proof, Dropped> {
    session.admit(&beat).map(|admitted| admitted.proof)
}

#[test]
fn two_starts_prove_each_other_within_a_round_trip_and_a_half() {
    let (mut a, mut b) = (Session::new(start(1)), Session::new(start(2)));
    let say = |from: &mut Session| {
        let (heard, also_heard) = from.echoes();
        Heartbeat { start: from.ours(), heard, also_heard, ..beat(1, from.stamp(), 0) }
    };
    assert_eq!(proof(&mut b, say(&mut a)), Ok(Proof::None));
    let answer = b.stamp();
    let (heard, also_heard) = b.echoes();
    let answer = Heartbeat { start: b.ours(), heard, also_heard, ..beat(2, answer, 0) };
    assert_eq!(proof(&mut a, answer), Ok(Proof::Fresh));
    let thanks = say(&mut a);
    let admitted = b.admit(&thanks).unwrap();
    assert_eq!((admitted.proof, admitted.is_new_start, admitted.hears_us), (Proof::Fresh, true, true));
    assert!(a.is_proved() && b.is_proved());
}

#[test]
fn a_heartbeat_is_heard_once_on_each_path() {
    let mut session = us();
    assert!(session.admit(&beat(PARTNER, 5, 3)).unwrap().is_newest);
    assert_eq!(session.admit(&beat(PARTNER, 5, 3)), Err(Dropped::Replayed));
    let second_path = session.admit(&beat(PARTNER, 5, 3).on(1)).unwrap();
    assert!(!second_path.is_newest, "the same beat says nothing new");
    assert_eq!(session.admit(&beat(PARTNER, 5, 3).on(1)), Err(Dropped::Replayed));
}

#[test]
fn a_late_heartbeat_is_let_in_once_and_one_far_too_late_never() {
    let mut session = us();
    session.admit(&beat(PARTNER, 100, 3)).unwrap();
    assert!(!session.admit(&beat(PARTNER, 98, 3)).unwrap().is_newest);
    assert_eq!(session.admit(&beat(PARTNER, 98, 3)), Err(Dropped::Replayed));
    assert!(session.admit(&beat(PARTNER, 37, 3)).is_ok(), "63 behind");
    assert_eq!(session.admit(&beat(PARTNER, 36, 3)), Err(Dropped::Replayed), "64 behind");
    session.admit(&beat(PARTNER, 1000, 3)).unwrap();
    assert!(session.admit(&beat(PARTNER, 999, 3)).is_ok(), "a jump forgets what it skips");
}

#[test]
fn our_own_heartbeat_thrown_back_is_dropped() {
    assert_eq!(us().admit(&beat(US, 5, 3)), Err(Dropped::Reflected));
}

#[test]
fn a_start_that_never_answered_us_proves_nothing() {
    let mut session = us();
    assert_eq!(proof(&mut session, beat(PARTNER, 5, 0)), Ok(Proof::None));
    assert_eq!(proof(&mut session, beat(PARTNER, 5, 0)), Err(Dropped::Replayed), "not even twice");
    assert!(!session.is_proved());
    let other = Heartbeat { heard: Some(Echo { start: start(8), sequence: 3 }), ..beat(PARTNER, 6, 0) };
    assert_eq!(proof(&mut session, other), Ok(Proof::None), "it answered our last start");
    assert_eq!(proof(&mut session, beat(PARTNER, 7, 10)), Ok(Proof::Fresh));
}

#[test]
fn a_start_that_is_over_is_never_accepted_again_however_many_there_were() {
    let mut session = us();
    let mut recorded = Vec::new();
    for n in 0..1000 {
        let first = beat(PARTNER + n, 1, session.stamp());
        let second = beat(PARTNER + n, 2, session.stamp());
        assert!(session.admit(&first).unwrap().is_new_start, "{n}");
        session.admit(&second).unwrap();
        recorded.extend([first, second, beat(PARTNER + n, 3, second.heard.unwrap().sequence)]);
    }
    session.stamp();
    let present = session.partner();
    for old in &recorded[..recorded.len() - 3] {
        assert_eq!(session.admit(old), Err(Dropped::Replayed), "{old:?}");
    }
    assert_eq!(session.partner(), present);
}

#[test]
fn a_flood_of_unknown_starts_does_not_push_the_partner_out() {
    let mut session = us();
    session.admit(&beat(PARTNER, 1, 10)).unwrap();
    for n in 0..1000 {
        assert_eq!(proof(&mut session, beat(5000 + n, 1, 0)), Ok(Proof::None));
    }
    assert_eq!(session.partner(), Some(start(PARTNER)));
    let (heard, _) = session.echoes();
    assert_eq!(heard, Some(Echo { start: start(PARTNER), sequence: 1 }), "and it is still echoed");
    assert_eq!(proof(&mut session, beat(PARTNER, 2, 10)), Ok(Proof::Fresh));
}

#[test]
fn a_young_start_that_was_played_a_recording_of_us_is_echoed_and_else_ignored() {
    let mut session = us();
    session.admit(&beat(PARTNER, 1, 10)).unwrap();
    session.stamp();
    assert_eq!(session.admit(&beat(PARTNER + 1, 1, 4)), Err(Dropped::Replayed));
    assert_eq!(session.echoes().1, Some(Echo { start: start(PARTNER + 1), sequence: 1 }), "so it learns who is new");
    assert_eq!(proof(&mut session, beat(PARTNER + 1, 2, 11)), Ok(Proof::Fresh));
}

#[test]
fn after_a_doubt_only_an_answer_to_something_new_is_fresh() {
    let mut session = us();
    assert_eq!(proof(&mut session, beat(PARTNER, 1, 10)), Ok(Proof::Fresh));
    session.doubt();
    assert!(!session.is_proved());
    assert_eq!(proof(&mut session, beat(PARTNER, 2, 10)), Ok(Proof::Known), "out of a buffer");
    let sent = session.stamp();
    assert_eq!(proof(&mut session, beat(PARTNER, 3, sent)), Ok(Proof::Fresh));
    assert!(session.is_proved());
}

#[test]
fn a_director_rolled_back_to_a_snapshot_is_heard_again() {
    let mut session = us(); // remembers to have sent 10, the partner has heard 500
    session.admit(&beat(PARTNER, 1, 500)).unwrap();
    assert_eq!(session.stamp(), 501, "what the partner has not heard yet");
    assert_eq!(session.admit(&beat(PARTNER, 2, 1 << 40)), Err(Dropped::Impossible));
    assert_eq!(session.stamp(), 502);
}

#[test]
fn every_drop_is_counted_and_said_in_one_line() {
    let mut counters = Counters { accepted: 17, ..Counters::default() };
    assert_eq!(counters.to_string(), "17 accepted");
    counters.count_dropped(Dropped::Replayed);
    counters.count_dropped(Dropped::Reflected);
    counters.count_dropped(Dropped::Impossible);
    counters.count_unreadable(DecodeError::WrongMac);
    counters.count_unreadable(DecodeError::Short);
    counters.count_unreadable(DecodeError::Version(3));
    let line = "17 accepted, 2 garbled, 1 of another version, 1 without a valid MAC, 2 replayed";
    assert_eq!(counters.to_string(), line);
}

proptest! {
    /// Against a plain list of everything heard.
    #[test]
    fn the_window_lets_each_sequence_in_at_most_once(sequences in proptest::collection::vec(1..200_u64, 1..300)) {
        let mut window = Window::default();
        let mut heard = Vec::new();
        for sequence in sequences {
            let newest = heard.iter().copied().max().unwrap_or(0);
            let expected = !heard.contains(&sequence) && sequence + WINDOW > newest;
            prop_assert_eq!(window.accept(sequence), expected, "{} after {:?}", sequence, heard);
            if expected {
                heard.push(sequence);
            }
        }
    }

    /// Whatever an attacker plays back of what was ever said, the state of the
    /// session is what the honest heartbeats alone make of it.
    #[test]
    fn a_recording_played_back_in_any_order_changes_nothing(
        plays in proptest::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let mut session = us();
        let mut recorded = Vec::new();
        for n in 1..4 {
            for sequence in 1..20 {
                let honest = beat(PARTNER * n, sequence, session.stamp());
                session.admit(&honest).unwrap();
                recorded.push(honest);
            }
        }
        let before = (session.partner(), session.echoes().0, session.sent);
        for play in plays {
            let _ = session.admit(play.get(&recorded)).unwrap_err();
        }
        prop_assert_eq!((session.partner(), session.echoes().0, session.sent), before);
    }
}
