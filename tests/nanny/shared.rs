//! A nanny of several destinations as a process, told by lvsd's end of its line.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use common::channel::{Ask, Line, Received, Said};
use common::destinations::{Assignment, Failed, Target};
use common::ipvs::{DestinationKey, ForwardingMethod, Protocol, ServiceKey};

use crate::OFTEN;
use crate::ground::{Answer, Nanny, Server, wait_for};

/// 127.0.0.1 in 192.0.2.`service`:80.
fn assignment(service: u8) -> Assignment {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, service].into(), port: 80 };
    let destination = DestinationKey { address: Ipv4Addr::LOCALHOST.into(), port: 80 };
    Assignment {
        target: Target { service: key, destination },
        method: ForwardingMethod::DirectRouting,
        weight: u32::from(service),
        failed: Failed::Removed,
        slow_start: Duration::ZERO,
        limits: None,
        stays: false,
    }
}

fn hold(line: &Line, services: &[u8]) {
    line.send(&Ask::Hold(services.iter().map(|service| assignment(*service)).collect()).encode()).unwrap();
}

/// Waits until the nanny says this of a service.
fn hear(line: &Line, service: u8, verdict: (bool, u32)) {
    wait_for("its verdict", || {
        let Received::Message(Said::Holds(held)) = line.receive_said() else { return None };
        held.into_iter().find(|held| held.assignment == assignment(service) && held.verdict == Some(verdict))
    });
}

#[test]
fn a_server_is_asked_once_for_all_services_and_for_one_that_comes_later() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny = Nanny::share(server.port, &["-x", "HTTP", "-t", "3000"], Stdio::from(theirs));
    hold(&line, &[1, 2]);
    nanny.wait_for("starting LVS client monitor for 192.0.2.1:80 -> 127.0.0.1");
    nanny.wait_for(&format!("[ active ] making 127.0.0.1:{} available (192.0.2.1:80)", server.port));
    nanny.wait_for(&format!("[ active ] making 127.0.0.1:{} available (192.0.2.2:80)", server.port));
    hear(&line, 2, (true, 2));
    hold(&line, &[3]);
    nanny.wait_for(&format!("[ active ] making 127.0.0.1:{} available (192.0.2.3:80)", server.port));
    hear(&line, 3, (true, 3));
    let asked = server.asked();
    assert_eq!(nanny.stop(), Some(0));
    // And once more each time that the machine let it sleep in the middle of it.
    assert_eq!(asked, 1 + nanny.said("this process did not run for"));
}

#[test]
fn each_service_hears_of_a_failure_and_one_that_left_does_not() {
    let mut server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny =
        Nanny::share(server.port, &[&["-x", "HTTP", "-a", "0.2"], &OFTEN[..]].concat(), Stdio::from(theirs));
    hold(&line, &[1, 2, 3]);
    hear(&line, 3, (true, 3));
    line.send(&Ask::Drop { stays: true, targets: vec![assignment(2).target] }.encode()).unwrap();
    nanny.wait_for("stopping LVS client monitor for 192.0.2.2:80 -> 127.0.0.1");
    server.stop();
    hear(&line, 3, (false, 0));
    server.restart();
    hear(&line, 1, (true, 1));
    // It goes on without lvsd.
    drop(line);
    nanny.wait_for("available (192.0.2.1:80)");
    server.stop();
    nanny.wait_for("due to connection failure (192.0.2.1:80)");
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(nanny.said("shutting down"), 4, "two services, twice");
}

#[test]
fn one_service_of_several_has_the_original_s_lines_when_it_is_alone() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny = Nanny::share(server.port, &[&["-x", "HTTP"], &OFTEN[..]].concat(), Stdio::from(theirs));
    hold(&line, &[1]);
    let said = nanny.wait_for("[ active ]");
    assert!(said.ends_with(&format!("making 127.0.0.1:{} available", server.port)), "{said}");
}

#[test]
fn nobody_but_lvsd_starts_one() {
    let mut nanny = Nanny::share(9, &[], Stdio::null());
    assert_eq!(nanny.wait(), Some(64));
    assert_eq!(nanny.said("--shared is lvsd's"), 1);
}
