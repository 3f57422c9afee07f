use common::ipvs::fake::Fake;
use common::ipvs::{Ipvs as _, Protocol, Service, ServiceKey, Tunnel};
use proptest::prelude::*;

use super::*;

fn owned(method: ForwardingMethod) -> Owned {
    Owned { key: DestinationKey { address: "198.51.100.7".parse().unwrap(), port: 80 }, method, limits: None }
}

fn has(method: ForwardingMethod, weight: u32) -> Seen {
    Seen::Present(Destination::new(owned(method).key, method, weight))
}

#[test]
fn every_wish_meets_every_state_of_the_kernel() {
    use ForwardingMethod::{DirectRouting, Masquerade};
    let ours = owned(DirectRouting);
    let with = |weight| Destination::new(ours.key, DirectRouting, weight);
    let table = [
        (Wanted::Untouched, Seen::NoService, Step::Nothing),
        (Wanted::Untouched, Seen::Absent, Step::Nothing),
        (Wanted::Untouched, has(Masquerade, 9), Step::Nothing),
        (Wanted::Weight(5), Seen::NoService, Step::Nothing),
        (Wanted::Weight(5), Seen::Absent, Step::Add(with(5))),
        (Wanted::Weight(5), has(DirectRouting, 5), Step::Nothing),
        (Wanted::Weight(5), has(DirectRouting, 9), Step::Edit(with(5))),
        (Wanted::Weight(5), has(Masquerade, 5), Step::Edit(with(5))),
        (Wanted::Quiesced, Seen::NoService, Step::Nothing),
        (Wanted::Quiesced, Seen::Absent, Step::Nothing),
        (Wanted::Quiesced, has(DirectRouting, 5), Step::Edit(with(0))),
        (Wanted::Quiesced, has(DirectRouting, 0), Step::Nothing),
        (Wanted::Absent, Seen::NoService, Step::Nothing),
        (Wanted::Absent, Seen::Absent, Step::Nothing),
        (Wanted::Absent, has(DirectRouting, 5), Step::Delete),
    ];
    for (wanted, seen, step) in table {
        assert_eq!(ours.step(wanted, &seen, None), step, "{wanted:?}, {seen:?}");
    }
}

#[test]
fn the_kernels_local_is_not_fought_over() {
    let ours = owned(ForwardingMethod::DirectRouting);
    assert_eq!(ours.step(Wanted::Weight(5), &has(ForwardingMethod::Local, 5), None), Step::Nothing);
}

#[test]
fn the_operators_thresholds_survive_an_edit_and_a_return() {
    let ours = owned(ForwardingMethod::Tunnel);
    let limited = Destination {
        upper_threshold: 100,
        lower_threshold: 50,
        tunnel: Tunnel::Gue { port: 6080, flags: 0 },
        ..Destination::new(ours.key, ours.method, 5)
    };
    let edited = Destination { weight: 7, ..limited.clone() };
    assert_eq!(ours.step(Wanted::Weight(7), &Seen::Present(limited.clone()), None), Step::Edit(edited.clone()));
    assert_eq!(ours.step(Wanted::Weight(7), &Seen::Absent, Some(&limited)), Step::Add(edited));
}

#[test]
fn configured_thresholds_are_set_and_put_back_and_0_takes_them_away() {
    let limits = |upper, lower| Some(Limits { upper, lower });
    let ours = |limits| Owned { limits, ..owned(ForwardingMethod::Tunnel) };
    let key = ours(None).key;
    let with = |upper_threshold, lower_threshold| Destination {
        upper_threshold,
        lower_threshold,
        ..Destination::new(key, ForwardingMethod::Tunnel, 5)
    };
    let seen = |upper, lower| Seen::Present(with(upper, lower));
    let step = |wanted, seen: &Seen, last: Option<&Destination>| ours(wanted).step(Wanted::Weight(5), seen, last);
    assert_eq!(step(limits(100, 75), &Seen::Absent, None), Step::Add(with(100, 75)));
    assert_eq!(step(limits(100, 75), &Seen::Absent, Some(&with(7, 3))), Step::Add(with(100, 75)));
    assert_eq!(step(limits(100, 75), &seen(100, 75), None), Step::Nothing);
    assert_eq!(step(limits(100, 75), &seen(100, 0), None), Step::Edit(with(100, 75)));
    assert_eq!(step(limits(0, 0), &seen(100, 75), None), Step::Edit(with(0, 0)));
    assert_eq!(step(None, &seen(100, 75), None), Step::Nothing);
}

proptest! {
    #[test]
    fn one_step_is_enough(
        wanted in prop_oneof![
            Just(Wanted::Untouched), (0..9_u32).prop_map(Wanted::Weight), Just(Wanted::Quiesced), Just(Wanted::Absent)
        ],
        there in prop::option::of(0..9_u32),
        nat: bool,
    ) {
        let ours = owned(if nat { ForwardingMethod::Masquerade } else { ForwardingMethod::DirectRouting });
        let service = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
        let mut fake = Fake::default();
        fake.add_service(&Service::new(service, "rr")).unwrap();
        if let Some(weight) = there {
            fake.add_destination(&service, &Destination::new(ours.key, ForwardingMethod::Tunnel, weight)).unwrap();
        }
        let look = |fake: &mut Fake| {
            fake.destinations(&service).unwrap().pop().map_or(Seen::Absent, |entry| Seen::Present(entry.destination))
        };
        match ours.step(wanted, &look(&mut fake), None) {
            Step::Nothing => {}
            Step::Add(destination) => fake.add_destination(&service, &destination).unwrap(),
            Step::Edit(destination) => fake.edit_destination(&service, &destination).unwrap(),
            Step::Delete => fake.delete_destination(&service, &ours.key).unwrap(),
        }
        prop_assert_eq!(ours.step(wanted, &look(&mut fake), None), Step::Nothing);
    }
}
