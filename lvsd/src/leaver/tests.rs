use common::ipvs::{ForwardingMethod, Protocol, Stats};
use proptest::prelude::*;

use super::*;

fn service() -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, 1].into(), port: 80 }
}

fn target() -> Target {
    Target { service: service(), destination: DestinationKey { address: [10, 0, 0, 3].into(), port: 80 } }
}

fn entry(weight: u32, connections: [u32; 3]) -> DestinationEntry {
    let destination = Destination::new(target().destination, ForwardingMethod::DirectRouting, weight);
    let [active, inactive, persistent] = connections;
    DestinationEntry { destination, active, inactive, persistent, stats: Stats::default() }
}

fn leaver(drain: u64, stage: Stage) -> Leaver {
    let stay = Stay { wait: None, drain: Duration::from_secs(drain) };
    Leaver { stage, ..Leaver::new("web".to_owned(), "a".to_owned(), stay) }
}

#[test]
fn every_stage_has_its_answer_to_what_the_kernel_has() {
    let now = Instant::now();
    let (before, after) = (now.checked_sub(Duration::from_secs(1)).unwrap(), now + Duration::from_secs(1));
    let waiting = |until| Stage::Waiting { service: service(), until };
    let draining = |until| Stage::Draining { until };
    let busy = Some(entry(0, [1, 0, 0]));
    for (drain, stage, has, judged, next) in [
        (0, waiting(None), &busy, false, Next::Stay),
        (0, waiting(Some(after)), &busy, false, Next::Stay),
        (0, waiting(Some(after)), &busy, true, Next::Remove),
        (0, waiting(Some(before)), &busy, false, Next::Remove),
        (5, waiting(Some(before)), &busy, false, Next::Drain),
        (5, waiting(None), &busy, true, Next::Drain),
        (0, Stage::Due, &busy, false, Next::Remove),
        (5, Stage::Due, &busy, false, Next::Drain),
        (5, draining(after), &busy, false, Next::Stay),
        (5, draining(after), &Some(entry(0, [0, 1, 0])), false, Next::Stay),
        (5, draining(after), &Some(entry(0, [0, 0, 1])), false, Next::Stay),
        (5, draining(after), &Some(entry(0, [0, 0, 0])), false, Next::Remove),
        (5, draining(after), &Some(entry(7, [1, 0, 0])), false, Next::Drain),
        (5, draining(before), &busy, false, Next::Remove),
        (5, draining(after), &None, false, Next::Forget),
        (5, waiting(None), &None, true, Next::Forget),
        (5, Stage::Due, &None, true, Next::Forget),
    ] {
        let leaver = leaver(drain, stage);
        assert_eq!(leaver.next(has.as_ref(), judged, now), next, "{leaver:?} {has:?} {judged}");
    }
}

#[test]
fn steps_are_said_as_they_are_done() {
    let now = Instant::now();
    let say = |leaver: &Leaver, next, entry: &DestinationEntry| {
        step(&target(), leaver, next, Some(entry)).map(|step| step.to_string())
    };
    let due = leaver(60, Stage::Due);
    let drain = say(&due, Next::Drain, &entry(3, [2, 1, 1]));
    assert_eq!(drain.as_deref(), Some("drain 10.0.0.3:80 of web/a: 4 connections, 60 s at most"));
    assert_eq!(say(&due, Next::Remove, &entry(3, [0; 3])).as_deref(), Some("remove 10.0.0.3:80 from web/a"));
    assert_eq!((say(&due, Next::Stay, &entry(3, [0; 3])), say(&due, Next::Forget, &entry(3, [0; 3]))), (None, None));
    let draining = Leaver { weight: 3, ..leaver(60, Stage::Draining { until: now }) };
    let back = |leaver, weight| back(&target(), leaver, Some(&entry(weight, [0; 3]))).map(|step| step.to_string());
    assert_eq!(back(&draining, 0).as_deref(), Some("give 10.0.0.3:80 of web/a its weight back: 3"));
    assert_eq!((back(&draining, 2), back(&due, 0)), (None, None), "it has one, or it never was taken");
}

proptest! {
    /// Whatever happens, a leaver that is there gets weight 0 once, and goes no later
    /// than its drain after that; without one it goes without ever having weight 0.
    #[test]
    fn one_that_leaves_is_gone_in_time(
        drain in 0..20_u64,
        traffic in proptest::collection::vec(0..3_u32, 60),
        judged_at in 0..20_usize,
    ) {
        let start = Instant::now();
        let until = Some(start + Duration::from_secs(10));
        let mut leaver = leaver(drain, Stage::Waiting { service: service(), until });
        let mut has = entry(5, [0; 3]);
        let mut began = None;
        for (second, connections) in traffic.into_iter().enumerate() {
            let now = start + Duration::from_secs(u64::try_from(second).unwrap());
            has.active = connections;
            match leaver.next(Some(&has), second >= judged_at, now) {
                Next::Stay => prop_assert!(began.is_some() || second < judged_at.min(10)),
                Next::Forget => prop_assert!(false, "it is there"),
                Next::Drain => {
                    prop_assert_eq!(began, None);
                    began = Some(now);
                    has.destination.weight = 0;
                    leaver.stage = Stage::Draining { until: now + leaver.drain };
                }
                Next::Remove => {
                    prop_assert_eq!(began.is_some(), drain > 0);
                    if let Some(began) = began {
                        prop_assert!(connections == 0 || now - began >= leaver.drain);
                    }
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "it is still there");
    }
}
