//! What left the file: who waits for newcomers, who drains, and when it goes.

use super::*;
use crate::leaver::WAIT_MAX;

impl Stage {
    /// Service 1 with server 3 at work, whose nanny then leaves it to lvsd.
    fn leaving(wait: Option<ServiceKey>, drain: u64) -> Self {
        let mut stage = Self::new(Ledger::default());
        stage.load(vec![virtual_service(1, "wlc")]);
        stage.set_up(1);
        stage.table.clone().add_destination(&key(1), &destination(3)).unwrap();
        let mut out = Vec::new();
        stage.load(vec![Virtual { monitors: vec![], ..virtual_service(1, "wlc") }]);
        stage.services.leave(&[departure(1, wait, drain)], &mut out);
        assert!(stage.look().is_empty(), "its nanny may still write it");
        stage.nannies.own = false;
        stage.services.nanny_ended(&departure(1, None, 0).target);
        stage
    }

    fn weight(&mut self, last: u8) -> Option<u32> {
        let entries = self.kernel.destinations(&key(last)).unwrap();
        entries.iter().find(|entry| entry.key == server(3)).map(|entry| entry.weight)
    }

    fn connections(&self, active: u32) {
        assert!(self.table.set_connections(&key(1), &server(3), active, 0));
    }
}

#[test]
fn a_drained_server_gets_weight_0_and_goes_with_its_last_connection() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    assert_eq!(stage.look(), ["draining v1/s3 (10.0.0.3:80): 2 connections, 60 s at most"]);
    assert_eq!(stage.weight(1), Some(0));
    assert!(stage.look().is_empty());
    stage.table.clone().edit_destination(&key(1), &destination(3)).unwrap();
    assert!(stage.look().is_empty(), "somebody gave it weight");
    assert_eq!(stage.weight(1), Some(0));
    stage.connections(0);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it"]);
    assert_eq!(stage.weight(1), None);
    assert!(stage.look().is_empty());
}

#[test]
fn a_drained_server_goes_when_its_time_is_over() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    stage.look();
    assert_eq!(stage.services.leaving_deadline(), Some(stage.now + Duration::from_secs(60)));
    stage.now += Duration::from_secs(60);
    stage.services.wake_leavers(stage.now);
    assert!(stage.services.has_round());
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) still has 2 connections after 60 s, removing it"]);
    assert_eq!(stage.services.leaving_deadline(), None);
}

#[test]
fn one_that_leaves_waits_for_newcomers_and_for_a_service_the_kernel_refuses() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![virtual_service(1, "wlc"), virtual_service(2, "nonesuch")]);
    stage.services.index.remove(&key(1));
    stage.set_up(2);
    stage.now += Duration::from_secs(3600);
    stage.services.await_newcomers(stage.now);
    stage.look();
    assert_eq!(stage.weight(1), Some(1), "there is nothing in its place");
    stage.load(vec![virtual_service(2, "rr")]);
    stage.nannies.judged = false;
    stage.look();
    stage.services.await_newcomers(stage.now);
    assert!(stage.look().is_empty());
    assert_eq!(stage.weight(1), Some(1), "the newcomers have not been judged");
    stage.nannies.judged = true;
    stage.services.newcomer_judged(&key(2));
    assert!(stage.look().is_empty());
    assert_eq!(stage.weight(1), Some(1), "the newcomer is said to be well and is not in the kernel");
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.nannies.own_in = Some(key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
    assert!(said.contains(&"emptied".to_owned()));
    stage.look();
    assert_eq!(stage.keys(), [key(2)], "and its service went behind it");
}

#[test]
fn one_that_leaves_is_kept_while_all_newcomers_are_bad_and_goes_when_one_is_good() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![virtual_service(2, "rr")]);
    stage.set_up(2);
    stage.nannies.own_in = Some(key(2));
    stage.nannies.well = false;
    stage.services.await_newcomers(stage.now);
    let kept =
        "v1/s3 (10.0.0.3:80) is not configured any more, keeping it: none of those in its place is well".to_owned();
    assert!(stage.look().contains(&kept));
    stage.now += WAIT_MAX * 2;
    stage.services.wake_leavers(stage.now);
    assert_eq!(stage.look(), [""; 0], "however long it takes, and said once");
    assert_eq!(stage.weight(1), Some(1));
    stage.nannies.well = true;
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.services.newcomer_judged(&key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
}

#[test]
fn nobody_waits_for_newcomers_of_a_virtual_without_servers() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![Virtual { monitors: vec![], ..virtual_service(2, "rr") }]);
    stage.set_up(2);
    stage.services.newcomer_judged(&key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
}

#[test]
fn a_newcomers_service_that_cannot_be_read_is_waited_for() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![virtual_service(2, "rr")]);
    stage.set_up(2);
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.nannies.own_in = Some(key(2));
    let (mut out, own) = (Vec::new(), stage.kernel.entries(&key(1)).unwrap());
    stage.table.fail(Operation::Destinations, Error::Timeout("destinations"));
    stage.services.tend_leavers(&key(1), &own, &mut stage.kernel, &stage.nannies, stage.now, &mut out);
    assert_eq!((out, stage.weight(1)), (vec![], Some(1)));
    stage.look();
    assert_eq!(stage.weight(1), None);
}

#[test]
fn patience_with_newcomers_has_an_end() {
    let mut stage = Stage::leaving(Some(key(1)), 0);
    stage.nannies.judged = false;
    stage.services.await_newcomers(stage.now);
    assert!(stage.look().is_empty());
    stage.now += WAIT_MAX;
    stage.services.wake_leavers(stage.now);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is not configured any more, removing it"]);
}

#[test]
fn one_that_comes_back_while_it_drains_goes_on_at_once() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    stage.look();
    stage.load(vec![virtual_service(1, "wlc")]);
    assert_eq!(
        stage.set_up(1),
        ["v1/s3 (10.0.0.3:80) was draining and is wanted again, giving its weight back", "up: tcp 192.0.2.1:80"]
    );
    assert_eq!(stage.weight(1), Some(1));
    stage.nannies.own = true;
    stage.now += Duration::from_secs(60);
    stage.services.wake_leavers(stage.now);
    assert!(stage.look().is_empty());
    assert_eq!(stage.weight(1), Some(1));
}

#[test]
fn a_step_that_fails_is_said_once_and_done_later() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    // A whole look: it is due, and its service's turn comes too.
    for _ in 0..2 {
        stage.table.fail(Operation::EditDestination, Error::Permission);
    }
    let said = stage.look();
    assert!(said[0].starts_with("destination 10.0.0.3:80 of virtual service v1: "));
    assert_eq!(said.len(), 1);
    stage.table.fail(Operation::EditDestination, Error::Permission);
    assert!(stage.look().is_empty());
    assert_eq!(stage.look(), ["draining v1/s3 (10.0.0.3:80): 2 connections, 60 s at most"]);
    stage.connections(0);
    stage.table.fail(Operation::DeleteDestination, Error::Permission);
    assert_eq!(stage.look().len(), 1);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it"]);
}

#[test]
fn a_drain_survives_lvsds_death_with_the_time_it_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let file = || LedgerFile::at(dir.path().join("lvsd.ledger"), String::new());
    let mut stage = Stage::leaving(None, 60);
    stage.services.file = Some(file());
    stage.connections(2);
    stage.look();
    stage.services = Services::new(file().read().unwrap().0, Some(file()));
    stage.load(vec![Virtual { monitors: vec![], ..virtual_service(1, "wlc") }]);
    assert_eq!(stage.set_up(1), ["up: tcp 192.0.2.1:80"]);
    stage.look();
    assert_eq!(stage.weight(1), Some(0));
    let left = stage.services.leaving_deadline().unwrap() - Instant::now();
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(30), "{left:?}");
    stage.connections(0);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it"]);
    assert!(file().read().unwrap().0.leaving.is_empty());
}

#[test]
fn a_service_that_left_stays_while_its_servers_drain() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(1);
    stage.load(vec![]);
    stage.look();
    assert_eq!((stage.keys(), stage.weight(1)), (vec![key(1)], Some(0)));
    stage.connections(0);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it", "emptied"]);
    stage.look();
    assert_eq!(stage.keys(), []);
}

#[test]
fn one_that_waits_for_newcomers_waits_for_them_under_the_next_lvsd_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = || LedgerFile::at(dir.path().join("lvsd.ledger"), String::new());
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.services.file = Some(file());
    stage.load(vec![virtual_service(2, "rr")]);
    stage.services = Services::new(file().read().unwrap().0, Some(file()));
    stage.load(vec![virtual_service(2, "rr")]);
    stage.look();
    assert_eq!(stage.weight(1), Some(1), "there is nothing in its place");
    stage.nannies.judged = false;
    stage.set_up(2);
    stage.services.await_newcomers(stage.now);
    stage.look();
    assert_eq!(stage.weight(1), Some(1), "the newcomers have not been judged");
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.nannies.judged = true;
    stage.nannies.own_in = Some(key(2));
    stage.services.newcomer_judged(&key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
}
