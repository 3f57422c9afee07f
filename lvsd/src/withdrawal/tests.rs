use std::time::Duration;

use common::ipvs::{Protocol, Service};
use proptest::prelude::*;

use super::*;
use crate::quorum::Rules;
use crate::wanted::Pool;
use crate::wanted::tests::examples;

const GRACE: Duration = Duration::from_secs(6);

fn vip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// A virtual on that address and port.
fn on(last: u8, port: u16, withdraws: bool) -> Virtual {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: vip(last), port };
    Virtual {
        name: format!("v{port}"),
        port,
        service: Service::new(key, "wlc"),
        vip: Some(vip(last)),
        pool: Pool { rules: Rules { quorum: 1, hysteresis: 0 }, withdraws, ..Pool::default() },
        timeout: GRACE,
        ..examples::virtual_service(last, &[])
    }
}

fn tally(available: usize, kept: usize, silent: usize) -> Tally {
    Tally { available, kept, silent, servers: 3 }
}

/// Each pair of stands under each state: what becomes of the address.
#[test]
fn an_address_goes_when_all_are_down_and_stays_as_it_is_while_nobody_knows() {
    use Stand::{Down, Serves, Unknown};
    for (stands, held, withdrawn) in [
        ([Serves, Serves], false, false),
        ([Serves, Unknown], false, false),
        ([Serves, Down], false, false),
        ([Unknown, Serves], false, false),
        ([Unknown, Unknown], false, true),
        ([Unknown, Down], false, true),
        ([Down, Serves], false, false),
        ([Down, Unknown], false, true),
        ([Down, Down], true, true),
    ] {
        assert_eq!((decide(false, stands), decide(true, stands)), (held, withdrawn), "{stands:?}");
    }
    assert!(!decide(true, []) && !decide(false, []));
}

#[test]
fn a_start_waits_for_verdicts_and_servers_kept_in_use_serve() {
    let (mut all, it, now) = (Withdrawal::default(), on(1, 80, true), Instant::now());
    assert_eq!(all.load(std::slice::from_ref(&it)), []);
    assert_eq!(all.judge(&it, tally(0, 0, 3), now), None);
    let graces: Vec<_> = all.graces().collect();
    assert_eq!(graces, [(now + GRACE, it.service.key)]);
    assert_eq!(all.judge(&it, tally(0, 0, 3), now + GRACE), Some((vip(1), Change::Withdraw)));
    assert_eq!(all.judge(&it, tally(0, 1, 2), now + GRACE), Some((vip(1), Change::Return)));
    assert_eq!(all.judge(&it, tally(0, 0, 0), now + GRACE), Some((vip(1), Change::Withdraw)));
    assert_eq!(all.graces().count(), 0);
}

#[test]
fn an_address_comes_back_with_as_many_as_the_hysteresis_asks_for() {
    let mut it = on(1, 80, true);
    it.pool.rules = Rules { quorum: 2, hysteresis: 1 };
    let (mut all, now) = (Withdrawal::default(), Instant::now());
    all.load(std::slice::from_ref(&it));
    assert_eq!(all.judge(&it, tally(2, 0, 0), now), None);
    assert_eq!(all.judge(&it, tally(1, 0, 0), now), Some((vip(1), Change::Withdraw)));
    assert_eq!(all.judge(&it, tally(2, 0, 0), now), None);
    assert_eq!(all.judge(&it, tally(3, 0, 0), now), Some((vip(1), Change::Return)));
}

#[test]
fn a_sorry_server_a_reload_and_what_nobody_asks_for_keep_the_address() {
    let (mut all, now) = (Withdrawal::default(), Instant::now());
    let (it, other) = (on(1, 80, true), on(1, 443, false));
    all.load(&[it.clone(), on(2, 80, false)]);
    assert_eq!(all.judge(&on(2, 80, false), tally(0, 0, 0), now), None, "nobody asks");
    assert_eq!(all.judge(&it, tally(0, 0, 0), now), Some((vip(1), Change::Withdraw)));
    assert_eq!(all.load(&[it.clone(), other.clone()]), [], "as it is until the other is judged");
    assert_eq!(all.judge(&other, tally(0, 0, 3), now), None);
    assert_eq!(all.judge(&other, tally(1, 0, 2), now), Some((vip(1), Change::Return)));
    assert_eq!(all.judge(&other, tally(0, 0, 0), now), Some((vip(1), Change::Withdraw)));

    let sorry = common::ipvs::Destination::new(
        common::ipvs::DestinationKey { address: vip(9), port: 80 },
        common::ipvs::ForwardingMethod::Masquerade,
        1,
    );
    let with_sorry = Virtual { sorry: Some(sorry), ..other.clone() };
    assert_eq!(all.load(&[it.clone(), with_sorry.clone()]), [(vip(1), Change::Return)]);
    assert_eq!(all.judge(&with_sorry, tally(0, 0, 0), now), None);
    assert_eq!(all.load(&[it.clone(), other.clone()]), []);
    assert_eq!(all.judge(&other, tally(0, 0, 0), now), Some((vip(1), Change::Withdraw)));
    let spared = on(1, 80, false);
    assert_eq!(all.load(&[spared, other]), [(vip(1), Change::Spare)]);
    assert_eq!((all.load(std::slice::from_ref(&it)), all.withdrawn().len()), (vec![], 0));
    assert_eq!(all.judge(&it, tally(0, 0, 0), now), Some((vip(1), Change::Withdraw)), "asked for again");
    assert_eq!((all.load(&[]), all.withdrawn().len()), (vec![], 0), "it left the file");
}

proptest! {
    /// Whatever is judged, in whatever order: an address is withdrawn only where one
    /// asks, and where none is known to serve; and each change is told.
    #[test]
    fn what_is_withdrawn_is_down_in_all_its_virtuals(
        asks in prop::collection::vec((1u8..4, any::<bool>()), 1..7),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, 0usize..2, 0usize..2, 0u64..9), 0..40),
    ) {
        let virtuals: Vec<Virtual> = (80..).zip(&asks).map(|(port, (last, ask))| on(*last, port, *ask)).collect();
        let (mut all, mut now, mut told) = (Withdrawal::default(), Instant::now(), BTreeSet::new());
        all.load(&virtuals);
        let mut serving: BTreeMap<ServiceKey, bool> = BTreeMap::new();
        for (which, available, kept, silent, seconds) in steps {
            now += Duration::from_secs(seconds);
            let it = which.get(&virtuals);
            serving.insert(it.service.key, available + kept > 0);
            match all.judge(it, tally(available, kept, silent), now) {
                Some((vip, Change::Withdraw)) => assert!(told.insert(vip)),
                Some((vip, Change::Return)) => assert!(told.remove(&vip)),
                Some((_, Change::Spare)) => panic!("nothing was loaded"),
                None => {}
            }
            prop_assert_eq!(all.withdrawn(), &told);
            for vip in &told {
                let on_it = || virtuals.iter().filter(|it| it.vip == Some(*vip));
                prop_assert!(on_it().any(|it| it.pool.withdraws));
                prop_assert!(on_it().all(|it| serving.get(&it.service.key) == Some(&false)));
            }
        }
    }
}
