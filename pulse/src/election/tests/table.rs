//! Every state with every event: where it leads, as one table.

use proptest::prelude::*;

use super::*;

const STATES: [&str; 7] = ["standby", "asking", "listening", "active", "lowering", "leaving", "over"];

fn name(state: State) -> &'static str {
    match state {
        State::Standby => "standby",
        State::Asking { .. } => "asking",
        State::Listening { .. } => "listening",
        State::Active => "active",
        State::Lowering { then: Then::Leave, .. } => "ending",
        State::Lowering { .. } => "lowering",
        State::Leaving { .. } => "leaving",
        State::Over => "over",
    }
}

fn in_state(state: &str) -> Node {
    let mut node = match state {
        "standby" => Node::standby(Role::Backup),
        "asking" => {
            let mut node = Node::start(Settings { witness: Some(KEEPALIVE), ..settings(Role::Backup) }, Start::Fresh);
            node.wait(DEADTIME);
            node
        }
        "listening" => Node::start(settings(Role::Backup), Start::Holding),
        "active" | "lowering" | "leaving" | "over" => Node::active(Role::Backup),
        other => panic!("{other}"),
    };
    match state {
        "lowering" => {
            node.partner_says(Doing::Active);
        }
        "leaving" => {
            node.asked(Request::Stop);
            node.event(Event::Lowered);
        }
        "over" => {
            node.asked(Request::Detach);
        }
        _ => {}
    }
    assert_eq!(name(node.election.state()), state);
    node
}

/// By name, since what a heartbeat must echo depends on the node.
fn happen(node: &mut Node, event: &str) {
    let said = match event {
        "partner active" => Some(Doing::Active),
        "partner standby" | "partner leaves" => Some(Doing::Standby),
        "partner unfit" => Some(Doing::Unfit),
        "partner listening" => Some(Doing::Listening),
        "partner lowering" => Some(Doing::Lowering),
        _ => None,
    };
    if let Some(state) = said {
        node.partner_says_with(state, |beat| beat.flags.leaving = event == "partner leaves");
        return;
    }
    node.event(match event {
        "STOPME" => Event::Datagram { path: 0, datagram: Datagram::Original(Word::StopMe) },
        "tick" => Event::Tick,
        "slept" => Event::Slept { lasted: DEADTIME },
        "link down" => Event::Link { path: 0, is_up: false },
        "private link down" => Event::Link { path: 1, is_up: false },
        "lvsd fails" => Event::Failing(Watched::Lvsd),
        "lvsd mended" => Event::Mended(Watched::Lvsd),
        "witness heard" => Event::Witness(Answer::Heard),
        "witness silent" => Event::Witness(Answer::Silent),
        "VIP held" => Event::Witness(Answer::VipHeld { mac: [2, 0, 0, 0, 0, 1] }),
        "partner announces" => Event::Announced,
        "lowered" => Event::Lowered,
        "stop" => Event::Asked(Request::Stop),
        "detach" => Event::Asked(Request::Detach),
        "relocate" => Event::Asked(Request::Relocate),
        "release" => Event::Asked(Request::Release),
        "restore" => Event::Asked(Request::Restore),
        "reload" => Event::Reloaded(Box::new(settings(Role::Backup))),
        other => panic!("{other}"),
    });
}

#[test]
fn every_state_goes_where_it_should_on_every_event() {
    // A BACKUP; `.` stays; `ending` is lowering with the end behind it.
    let table = "
        event             | standby | asking  | listening | active    | lowering | leaving | over
        partner active    | .       | standby | lowering  | lowering  | .        | over    | .
        partner standby   | .       | standby | active    | .         | .        | .       | .
        partner unfit     | active  | active  | active    | .         | .        | .       | .
        partner listening | .       | standby | lowering  | .         | .        | .       | .
        partner lowering  | .       | standby | .         | .         | .        | .       | .
        partner leaves    | active  | active  | active    | .         | .        | .       | .
        STOPME            | .       | standby | .         | .         | .        | .       | .
        tick              | .       | .       | .         | .         | .        | .       | .
        slept             | .       | standby | .         | listening | .        | .       | .
        link down         | .       | standby | lowering  | lowering  | .        | .       | .
        private link down | .       | .       | .         | .         | .        | .       | .
        lvsd fails        | .       | standby | .         | .         | .        | .       | .
        lvsd mended       | .       | .       | .         | .         | .        | .       | .
        witness heard     | .       | active  | .         | .         | .        | .       | .
        witness silent    | .       | standby | .         | .         | .        | .       | .
        VIP held          | .       | standby | .         | .         | .        | .       | .
        partner announces | .       | .       | .         | .         | .        | .       | .
        lowered           | .       | .       | .         | .         | standby  | .       | .
        stop              | leaving | over    | ending    | ending    | ending   | .       | .
        detach            | over    | over    | over      | over      | over     | .       | .
        relocate          | .       | .       | .         | .         | .        | .       | .
        release           | .       | standby | .         | .         | .        | .       | .
        restore           | .       | .       | .         | .         | .        | .       | .
        reload            | .       | .       | .         | .         | .        | .       | .";
    let mut wrong = Vec::new();
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for (state, expected) in STATES.iter().zip(&cells[1..]) {
            let mut node = in_state(state);
            happen(&mut node, cells[0]);
            let found = name(node.election.state());
            let expected = if *expected == "." { state } else { expected };
            if found != *expected {
                wrong.push(format!("{state}, {}: {found}, not {expected}", cells[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const EVENTS: [&str; 24] = [
    "partner active",
    "partner standby",
    "partner unfit",
    "partner listening",
    "partner lowering",
    "partner leaves",
    "STOPME",
    "tick",
    "slept",
    "link down",
    "private link down",
    "lvsd fails",
    "lvsd mended",
    "witness heard",
    "witness silent",
    "VIP held",
    "partner announces",
    "lowered",
    "stop",
    "detach",
    "relocate",
    "release",
    "restore",
    "reload",
];

proptest! {
    /// In whatever order things happen: VIPs are raised once and taken away once,
    /// only what holds them yields, and the end is the end.
    #[test]
    fn any_order_of_events_gives_a_sensible_order_of_actions(
        is_master in any::<bool>(),
        how in prop_oneof![Just(Start::Fresh), Just(Start::Forced), Just(Start::Holding)],
        has_witness in any::<bool>(),
        events in proptest::collection::vec((0..EVENTS.len(), 0..8000_u64), 0..60),
    ) {
        let role = if is_master { Role::Master } else { Role::Backup };
        let witness = has_witness.then_some(KEEPALIVE);
        let mut node = Node::start(Settings { witness, ..settings(role) }, how);
        let mut holds = how != Start::Fresh;
        let (mut is_over, mut sequence) = (false, 0);
        for (event, wait) in events {
            let was_eclipsed = node.election.is_eclipsed();
            let mut done = node.wait(MS * u32::try_from(wait).unwrap());
            happen(&mut node, EVENTS[event]);
            done.append(&mut node.out);
            for action in done {
                prop_assert!(!is_over, "after the end: {action:?}");
                match action {
                    Action::BecomeActive { why } => {
                        prop_assert!(!holds || why == Activation::Resumed, "raised twice: {why:?}");
                        holds = true;
                    }
                    Action::Yield { why } => {
                        prop_assert!(holds, "yields what it does not hold: {why:?}");
                        holds = false;
                    }
                    Action::Reannounce => prop_assert!(holds),
                    Action::SendHeartbeat(beat) => {
                        prop_assert!(beat.sequence > sequence, "a sequence twice");
                        sequence = beat.sequence;
                        let says_nothing = matches!(beat.state, Doing::Standby | Doing::Unfit);
                        prop_assert!(!(says_nothing && holds), "says that it holds nothing, and does");
                    }
                    Action::Finished => is_over = true,
                    Action::AskWitness => {
                        prop_assert!((has_witness || was_eclipsed) && !holds);
                    }
                    Action::Say(line) => prop_assert!(!line.to_string().is_empty()),
                }
            }
            if let Some(deadline) = node.election.deadline() {
                prop_assert!(deadline <= node.now + KEEPALIVE, "sleeps through a beat");
            }
        }
    }
}
