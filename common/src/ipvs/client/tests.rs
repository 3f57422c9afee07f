//! What a refusal means, by what was asked (ip_vs_ctl.c); the rest of the client
//! is tested against a kernel (tests/kernel).

use super::*;
use crate::ipvs::{Agreement as _, Family, Protocol};

const ALL: [Operation; 14] = [
    Operation::Services,
    Operation::Service,
    Operation::AddService,
    Operation::EditService,
    Operation::DeleteService,
    Operation::Destinations,
    Operation::AddDestination,
    Operation::EditDestination,
    Operation::DeleteDestination,
    Operation::Timeouts,
    Operation::SetTimeouts,
    Operation::SyncDaemons,
    Operation::StartSyncDaemon,
    Operation::StopSyncDaemon,
];

fn refusal(errno: Errno) -> Failure {
    Failure::Refused(Refusal { errno, text: String::new() })
}

fn service() -> Service {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().unwrap(), port: 80 };
    Service::new(key, "wlc")
}

#[test]
fn a_missing_service_is_esrch_whatever_was_asked_of_it() {
    for operation in ALL {
        let error = refusal(Errno::ESRCH).into_error(operation);
        if operation == Operation::StopSyncDaemon {
            assert!(matches!(error, Error::NoSuchSyncDaemon));
        } else {
            assert!(matches!(error, Error::NoSuchService), "{operation:?}");
        }
    }
}

#[test]
fn a_missing_destination_is_enoent_of_edit_and_delete_only() {
    for operation in ALL {
        let error = refusal(Errno::ENOENT).into_error(operation);
        let of_a_destination = matches!(operation, Operation::EditDestination | Operation::DeleteDestination);
        assert_eq!(matches!(error, Error::NoSuchDestination), of_a_destination, "{operation:?}");
    }
}

#[test]
fn enoent_of_a_service_is_its_scheduler_or_its_engine() {
    let error = refusal(Errno::ENOENT).of_service(Operation::AddService, &service());
    assert_eq!(error.to_string(), "the kernel has no scheduler \"wlc\"");
    let sip = Service { engine: Some("sip".to_owned()), ..service() };
    let error = refusal(Errno::ENOENT).of_service(Operation::EditService, &sip);
    assert_eq!(
        error.to_string(),
        "edit service: ENOENT: No such file or directory: \
         the kernel has no scheduler \"wlc\" or no persistence engine \"sip\""
    );
    let error = refusal(Errno::ESRCH).of_service(Operation::EditService, &service());
    assert!(matches!(error, Error::NoSuchService));
}

#[test]
fn the_kernels_words_are_passed_on() {
    let failure =
        Failure::Refused(Refusal { errno: Errno::EINVAL, text: "Attribute failed policy validation".to_owned() });
    assert_eq!(
        failure.into_error(Operation::AddService).to_string(),
        "add service: EINVAL: Invalid argument: Attribute failed policy validation"
    );
    assert!(matches!(refusal(Errno::EPERM).into_error(Operation::Services), Error::Permission));
    assert!(matches!(refusal(Errno::EEXIST).into_error(Operation::StartSyncDaemon), Error::Exists));
    let refused = socket::Error::Refused(Refusal { errno: Errno::EPERM, text: String::new() });
    assert!(matches!(explain("look up IPVS", refused), Error::Permission));
    assert_eq!(
        explain("list services", socket::Error::Timeout).to_string(),
        "list services: no answer from the kernel in time"
    );
}

#[test]
fn agreement_is_given_where_it_is_asked_for() {
    assert!(Ok::<(), Error>(()).or_exists().unwrap());
    assert!(!Err(Error::Exists).or_exists().unwrap());
    assert!(matches!(Err(Error::NoSuchService).or_exists(), Err(Error::NoSuchService)));
    assert!(Ok::<(), Error>(()).or_absent().unwrap());
    for absent in [Error::NoSuchDestination, Error::NoSuchService, Error::NoSuchSyncDaemon] {
        assert!(!Err(absent).or_absent().unwrap());
    }
    assert!(matches!(Err(Error::NoIpvs).or_absent(), Err(Error::NoIpvs)));
}

#[test]
fn an_entry_that_comes_twice_counts_once() {
    let mut entries = vec![(1, 'a'), (2, 'b'), (1, 'c')];
    keep_first(&mut entries, |(key, _)| *key);
    assert_eq!(entries, [(1, 'a'), (2, 'b')]);
}

#[test]
fn a_mark_of_zero_is_never_sent() {
    let key = ServiceKey::Mark { family: Family::V6, mark: 0 };
    let error = check(Operation::AddDestination, &key).unwrap_err();
    assert_eq!(error.to_string(), "add destination: EINVAL: Invalid argument: a firewall mark is never 0");
    assert!(check(Operation::AddDestination, &service().key).is_ok());
}
