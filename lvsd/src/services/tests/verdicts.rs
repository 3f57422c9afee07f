//! What verdicts lead to: the sorry server, the quorum, and who hears of it.

use super::*;
use crate::quorum;
use crate::wanted::{Care, Pool};

fn with_sorry(last: u8) -> Virtual {
    Virtual { sorry: Some(destination(9)), ..virtual_service(last, "wlc") }
}

/// What the operator's programs are told.
fn told(actions: &[Action]) -> Vec<String> {
    let of = |action: &Action| match action {
        Action::News(News { what, name, text, .. }) => Some(format!("{what:?} {name}: {text}")),
        Action::Say(_) | Action::Up(_) | Action::PutBack(_) | Action::Emptied | Action::Run(_) => None,
    };
    actions.iter().filter_map(of).collect()
}

#[test]
fn the_sorry_server_comes_and_goes_with_the_verdicts() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![with_sorry(1)]);
    stage.set_up(1);
    assert_eq!(stage.services.graces().count(), 1);
    assert!(stage.judge(1, 0, 1).is_empty());
    assert!(stage.servers(1).is_empty(), "nobody has judged yet");
    assert!(stage.judge(1, 1, 0).is_empty());
    assert_eq!(stage.judge(1, 0, 0), ["Virtual Server v1: No real servers; activate sorry_server 10.0.0.9"]);
    assert_eq!(stage.servers(1), [server(9)]);
    stage.table.clone().delete_destination(&key(1), &server(9)).unwrap();
    assert!(stage.look().is_empty());
    assert_eq!(stage.servers(1), [server(9)], "it is put back like anything of ours");
    assert_eq!(stage.judge(1, 2, 0), ["Virtual Server v1: 2 real servers; deactivate sorry_server 10.0.0.9"]);
    assert!(stage.servers(1).is_empty());
}

#[test]
fn a_sorry_server_that_a_predecessor_put_in_stays_until_a_verdict() {
    let mut stage = Stage::new(Ledger::of([(key(1), "v1".to_owned())]));
    stage.table.clone().add_service(&Service::new(key(1), "wlc")).unwrap();
    stage.table.clone().add_destination(&key(1), &destination(9)).unwrap();
    stage.load(vec![with_sorry(1)]);
    stage.set_up(1);
    stage.judge(1, 0, 1);
    stage.look();
    assert_eq!(stage.servers(1), [server(9)]);
    assert_eq!(stage.judge(1, 1, 0), ["Virtual Server v1: 1 real servers; deactivate sorry_server 10.0.0.9"]);
    assert!(stage.servers(1).is_empty());
}

#[test]
fn servers_that_stay_although_they_failed_are_said_once_and_so_is_their_end() {
    let mut stage = Stage::new(Ledger::default());
    let pool = Pool { min_up: 2, ..Pool::default() };
    stage.load(vec![Virtual { pool, ..with_sorry(1) }]);
    stage.set_up(1);
    assert_eq!(stage.judge_kept(1, 3, 0), [""; 0]);
    let holds = "Virtual Server v1: 1 real servers are well and min_up is 2; keeping 1 in use although checks fail";
    assert_eq!(stage.judge_kept(1, 1, 1), [holds]);
    assert_eq!(stage.judge_kept(1, 0, 2), [""; 0], "nor does the sorry server stand in");
    assert!(!stage.servers(1).contains(&server(9)));
    let over = "Virtual Server v1: 2 real servers are well; none that fails is kept in use";
    assert_eq!(stage.judge_kept(1, 2, 0), [over]);
}

#[test]
fn a_quorum_that_comes_or_goes_runs_its_script_and_a_successor_knows_of_it() {
    let care = Care { up: Some("/up".into()), down: Some("/down".into()) };
    let rules = quorum::Rules { quorum: 2, hysteresis: 0 };
    let pool = Pool { rules, quorum: Some(care), ..Pool::default() };
    let wanted = || Virtual { pool: pool.clone(), ..virtual_service(1, "wlc") };
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![wanted()]);
    stage.set_up(1);
    assert_eq!(stage.judge(1, 1, 2), [""; 0], "the others are awaited");
    assert_eq!(stage.judge(1, 3, 0), ["run /up for v1"], "without a line: nobody heard that it was not there");
    let lost = "Virtual Server v1: 1 real servers are well, quorum 2 is lost";
    assert_eq!(stage.judge(1, 1, 0), [lost, "run /down for v1"]);
    assert_eq!(stage.judge(1, 0, 0), [""; 0]);

    let mut next = Stage::new(Ledger { quorums: stage.services.ledger().quorums.clone(), ..Ledger::default() });
    next.load(vec![wanted()]);
    next.set_up(1);
    assert_eq!(next.judge(1, 0, 0), [""; 0], "it was lost before");
    let gained = "Virtual Server v1: 2 real servers are well, quorum 2 is there";
    assert_eq!(next.judge(1, 2, 0), [gained, "run /up for v1"]);
    let uncared = Virtual { pool: Pool { quorum: None, ..pool.clone() }, ..wanted() };
    next.load(vec![uncared]);
    assert_eq!(next.judge(1, 0, 0), [""; 0], "nobody cares any more");
}

/// The orders alone outlive it.
#[test]
fn a_quorum_that_was_there_before_a_stop_is_news_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = || LedgerFile::at(dir.path().join("lvsd.ledger"), String::new());
    let care = Care { up: Some("/up".into()), down: None };
    let rules = quorum::Rules { quorum: 1, hysteresis: 0 };
    let pool = Pool { rules, quorum: Some(care), withdraws: true, ..Pool::default() };
    let wanted = || Virtual { pool: pool.clone(), ..virtual_service(1, "wlc") };
    let target = Target { service: key(1), destination: server(3) };
    for _ in 0..2 {
        let mut stage = Stage::new(Ledger::default());
        stage.services = Services::new(file().read().unwrap().0, Some(file()));
        stage.services.order(target, Some(Order::Weight(0)));
        stage.load(vec![wanted()]);
        let mut out = Vec::new();
        stage.services.leave(&[departure(1, None, 5)], &mut out);
        stage.set_up(1);
        assert_eq!(stage.judge(1, 1, 0), ["run /up for v1"]);
        stage.judge(1, 0, 0);
        assert_eq!(stage.services.withdrawn().len(), 1);
        stage.services.remove_all(&mut stage.kernel, &mut out);
        let left = file().read().unwrap().0;
        assert_eq!(left, Ledger { orders: [(target, Order::Weight(0))].into(), ..Ledger::default() });
    }
}

/// Two virtuals on one address, of which one asks.
#[test]
fn a_virtual_ip_goes_with_the_last_that_serves_on_it_and_a_successor_knows_of_it() {
    let vip = "192.0.2.1".parse().unwrap();
    let with = |last: u8, withdraws: bool| {
        let pool = Pool { rules: quorum::Rules { quorum: 1, hysteresis: 0 }, withdraws, ..Pool::default() };
        Virtual { vip: Some(vip), pool, ..virtual_service(last, "wlc") }
    };
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![with(1, true), with(2, false)]);
    stage.set_up(1);
    stage.set_up(2);
    assert_eq!([stage.judge(1, 0, 0), stage.judge(2, 1, 0)], [[""; 0], [""; 0]]);
    let gone = "virtual IP 192.0.2.1: no virtual service on it is up, pulse is to withdraw it";
    assert_eq!(stage.judge(2, 0, 0), [gone]);
    stage.services.keep_what_changed(&mut Vec::new());
    assert_eq!((stage.services.withdrawn().len(), stage.services.ledger().withdrawn.contains(&vip)), (1, true));

    let mut next = Stage::new(Ledger { withdrawn: [vip].into(), ..Ledger::default() });
    assert_eq!(next.load(vec![with(1, true), with(2, false)]), [""; 0]);
    next.set_up(1);
    assert_eq!((next.judge(1, 0, 3), next.services.withdrawn().len()), (vec![], 1), "as it was until it is known");
    let back = "virtual IP 192.0.2.1: virtual service v1 is up, pulse may hold it again";
    assert_eq!((next.judge(1, 1, 2), next.services.withdrawn().len()), (vec![back.to_owned()], 0));

    let spared = "virtual IP 192.0.2.1: no virtual service on it has vip_withdraw any more, pulse may hold it again";
    assert_eq!(stage.load(vec![with(1, false), with(2, false)]), [spared]);
    assert!(stage.services.withdrawn().is_empty());
}

#[test]
fn who_listens_hears_of_each_virtual_and_sorry_server_whoever_cares_for_the_quorum() {
    let pool = Pool { rules: quorum::Rules { quorum: 1, hysteresis: 0 }, ..Pool::default() };
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![Virtual { pool, ..with_sorry(1) }]);
    stage.set_up(1);
    let mut judge = |available: usize| {
        let mut out = Vec::new();
        let tally = |_: &Virtual| Tally { available, kept: 0, silent: 0, servers: 3 };
        stage.services.judge(&key(1), tally, &mut stage.kernel, &stage.nannies, stage.now, &mut out);
        told(&out)
    };
    assert_eq!(judge(1), [""; 0], "well from the start");
    let down = [
        "VirtualDown v1: Virtual Server v1: 0 real servers are well, quorum 1 is lost",
        "SorryIn v1: Virtual Server v1: No real servers; activate sorry_server 10.0.0.9",
    ];
    assert_eq!(judge(0), down);
    assert_eq!(judge(0), [""; 0]);
    let up = [
        "VirtualUp v1: Virtual Server v1: 2 real servers are well, quorum 1 is there",
        "SorryOut v1: Virtual Server v1: 2 real servers; deactivate sorry_server 10.0.0.9",
    ];
    assert_eq!(judge(2), up);
}
