use common::ipvs::fake::Fake;
use common::ipvs::{DestinationKey, Error, ForwardingMethod, Operation, Protocol, Service};

use super::*;

const UP: Wanted = Wanted::Weight(5);

fn service() -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 }
}

fn key(last: u8) -> DestinationKey {
    DestinationKey { address: std::net::Ipv4Addr::new(198, 51, 100, last).into(), port: 80 }
}

fn destination(last: u8, weight: u32) -> Destination {
    Destination::new(key(last), ForwardingMethod::DirectRouting, weight)
}

/// A table over a fake kernel, and what it said.
struct Test {
    fake: Fake,
    table: Table,
    kernel: Kernel,
    said: Vec<String>,
}

impl Test {
    /// With the service and a neighbour's destination in it.
    fn new() -> Self {
        let test = Self::without_service();
        test.fake.clone().add_service(&Service::new(service(), "rr")).unwrap();
        test.fake.clone().add_destination(&service(), &destination(8, 1)).unwrap();
        test
    }

    fn without_service() -> Self {
        let fake = Fake::default();
        let opened = fake.clone();
        let open: Open = Box::new(move || Ok(Box::new(opened.clone()) as Box<dyn Ipvs>));
        let owned = Owned { key: key(7), method: ForwardingMethod::DirectRouting, limits: None };
        let real = "198.51.100.7:8080".parse().unwrap();
        let table = Table::new(service(), "192.0.2.1:80".into(), owned, real);
        Self { fake, table, kernel: Kernel::new(open), said: Vec::new() }
    }

    fn settle(&mut self, wanted: Wanted) {
        let said = &mut self.said;
        self.table.settle(wanted, &mut self.kernel, &mut |message| said.push(message.to_string()));
    }

    /// The loop's tick.
    fn look_and_settle(&mut self, wanted: Wanted) {
        let said = &mut self.said;
        if self.table.look(&mut self.kernel, &mut |message| said.push(message.to_string())).is_ok() {
            self.settle(wanted);
        }
    }

    fn weights(&self) -> Vec<(DestinationKey, u32)> {
        let entries = self.fake.clone().destinations(&service()).unwrap();
        entries.into_iter().map(|entry| (entry.destination.key, entry.destination.weight)).collect()
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}

#[test]
fn it_adds_changes_and_removes_its_own_destination_and_no_other() {
    let mut test = Test::new();
    test.settle(UP);
    assert_eq!(test.weights(), [(key(8), 1), (key(7), 5)]);
    test.settle(Wanted::Quiesced);
    assert_eq!(test.weights(), [(key(8), 1), (key(7), 0)]);
    test.settle(UP);
    test.settle(Wanted::Absent);
    assert_eq!(test.weights(), [(key(8), 1)]);
    assert_eq!(test.said(), [""; 0], "what health decided is said by health");
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    let mut test = Test::new();
    test.fake.clone().add_destination(&service(), &destination(7, 5)).unwrap();
    test.fake.forget_calls();
    test.look_and_settle(UP);
    test.look_and_settle(UP);
    assert_eq!(test.fake.calls().len(), 2);
    assert_eq!(test.fake.count(Operation::Destinations), 2);
}

#[test]
fn what_somebody_deleted_is_put_back_with_one_line() {
    let mut test = Test::new();
    test.settle(UP);
    test.fake.clone().delete_destination(&service(), &key(7)).unwrap();
    test.look_and_settle(UP);
    test.look_and_settle(UP);
    assert_eq!(test.weights(), [(key(8), 1), (key(7), 5)]);
    assert_eq!(test.said(), ["somebody else deleted 198.51.100.7:80 from 192.0.2.1:80, putting it back"]);
}

#[test]
fn what_somebody_changed_is_set_right_with_one_line() {
    let mut test = Test::new();
    test.settle(UP);
    let strange = Destination::new(key(7), ForwardingMethod::Masquerade, 50);
    test.fake.clone().edit_destination(&service(), &strange).unwrap();
    test.look_and_settle(UP);
    test.look_and_settle(UP);
    assert_eq!(test.weights(), [(key(8), 1), (key(7), 5)]);
    assert_eq!(
        test.said(),
        [
            "somebody else changed 198.51.100.7:80 to weight 50, masquerading; setting it back to weight 5, direct routing"
        ]
    );
}

#[test]
fn what_somebody_added_while_the_server_is_down_is_removed_with_one_line() {
    let mut test = Test::new();
    test.look_and_settle(Wanted::Absent);
    test.fake.clone().add_destination(&service(), &destination(7, 1)).unwrap();
    test.look_and_settle(Wanted::Absent);
    assert_eq!(test.weights(), [(key(8), 1)]);
    assert_eq!(test.said(), ["somebody else added 198.51.100.7:80 to 192.0.2.1:80 although it is down, removing it"]);
}

#[test]
fn agreement_is_no_error() {
    let mut test = Test::new();
    test.look_and_settle(Wanted::Absent);
    // Added behind our back between look and add: EEXIST, then an edit.
    test.fake.clone().add_destination(&service(), &destination(7, 1)).unwrap();
    test.settle(UP);
    assert_eq!(test.weights(), [(key(8), 1), (key(7), 5)]);
    // Deleted behind our back before the edit: ENOENT, then an add of nothing.
    test.fake.clone().delete_destination(&service(), &key(7)).unwrap();
    test.settle(Wanted::Quiesced);
    assert_eq!(test.weights(), [(key(8), 1)]);
    // And before the delete.
    test.settle(UP);
    test.fake.clone().delete_destination(&service(), &key(7)).unwrap();
    test.settle(Wanted::Absent);
    assert!(test.table.is_settled());
    assert_eq!(test.table.remove(&mut test.kernel).map_err(|e| e.to_string()), Ok(()));
    assert_eq!(test.said(), ["Adjusting weight of 198.51.100.7:8080 to 5"]);
}

#[test]
fn a_missing_service_is_waited_for_and_said_once() {
    let mut test = Test::without_service();
    for _ in 0..3 {
        test.look_and_settle(UP);
    }
    assert!(!test.table.is_settled());
    test.fake.clone().add_service(&Service::new(service(), "rr")).unwrap();
    test.look_and_settle(UP);
    assert_eq!(test.weights(), [(key(7), 5)]);
    assert_eq!(
        test.said(),
        [
            "the kernel has no virtual service 192.0.2.1:80, waiting for it",
            "the kernel has the virtual service 192.0.2.1:80 now"
        ]
    );
    // Deleted under our feet: an edit finds out, the next look waits.
    test.fake.clone().delete_service(&service()).unwrap();
    test.settle(Wanted::Weight(6));
    test.look_and_settle(Wanted::Weight(6));
    assert_eq!(test.said().len(), 2, "the edit's own line and the service's");
    assert_eq!(
        test.table.remove(&mut test.kernel).map_err(|e| e.to_string()),
        Ok(()),
        "nothing is there to be removed"
    );
}

#[test]
fn a_service_that_lvsd_put_back_is_filled_without_reading_it() {
    let mut test = Test::new();
    test.settle(UP);
    test.fake.clone().delete_service(&service()).unwrap();
    test.look_and_settle(UP);
    let said = &mut test.said;
    assert!(
        !test.table.put_back(UP, &mut test.kernel, &mut |message| said.push(message.to_string())),
        "it is not there yet"
    );
    test.fake.clone().add_service(&Service::new(service(), "rr")).unwrap();
    test.fake.forget_calls();
    assert!(test.table.put_back(UP, &mut test.kernel, &mut |message| said.push(message.to_string())));
    assert!(
        !test.table.put_back(UP, &mut test.kernel, &mut |message| said.push(message.to_string())),
        "it is there: look"
    );
    assert!(
        !test.table.put_back(Wanted::Absent, &mut test.kernel, &mut |_| ())
            && !test.table.put_back(Wanted::Untouched, &mut test.kernel, &mut |_| ())
    );
    assert_eq!(test.fake.count(Operation::Destinations), 0);
    assert_eq!(test.weights(), [(key(7), 5)]);
    assert_eq!(test.said().last().map(String::as_str), Some("the kernel has the virtual service 192.0.2.1:80 now"));
}

#[test]
fn a_kernel_that_refuses_is_asked_again_and_complained_of_once() {
    let mut test = Test::new();
    test.look_and_settle(Wanted::Absent);
    for _ in 0..2 {
        test.fake.fail(Operation::AddDestination, Error::Timeout("add destination"));
        test.look_and_settle(UP);
        assert!(!test.table.is_settled());
    }
    test.fake.fail(Operation::Destinations, Error::Permission);
    test.look_and_settle(UP);
    assert!(test.kernel.is_refused());
    test.look_and_settle(UP);
    assert_eq!(test.weights(), [(key(8), 1), (key(7), 5)]);
    assert!(test.table.is_settled() && !test.kernel.is_refused());
    let trouble = "IPVS: add destination: no answer from the kernel in time; trying again";
    let refused = "IPVS: not permitted: IPVS needs root or CAP_NET_ADMIN; trying again";
    let said = test.said();
    assert_eq!(said.iter().filter(|line| *line == refused).count(), 1);
    assert_eq!(said.last().map(String::as_str), Some("IPVS: well again"));
    assert!(said.iter().any(|line| line == trouble));
}

#[test]
fn without_ipvs_it_goes_on_asking() {
    let open: Open = Box::new(|| Err(Error::NoIpvs));
    let owned = Owned { key: key(7), method: ForwardingMethod::DirectRouting, limits: None };
    let mut kernel = Kernel::new(open);
    let mut table = Table::new(service(), "192.0.2.1:80".into(), owned, "198.51.100.7:80".parse().unwrap());
    let mut said = Vec::new();
    for _ in 0..3 {
        assert!(table.look(&mut kernel, &mut |message| said.push(message.to_string())).is_err());
        table.settle(UP, &mut kernel, &mut |message| said.push(message.to_string()));
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("IPVS: this kernel has no IPVS"));
    assert!(table.remove(&mut kernel).is_ok(), "where there is no table there is no destination");
}
