use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::nanny_command::Manner;
use crate::wanted::Monitor;
use crate::wanted::tests::config;

/// What the text asks for; `V S` is a server 10.0.0.S of a virtual 192.0.2.V.
fn wanted(text: &str) -> Wanted {
    Wanted::new(&config(text), Path::new("/opt/nanny"), &Manner::default()).0
}

fn block(last: u8, keys: &str, servers: &[(u8, &str)]) -> String {
    let servers: Vec<String> = servers
        .iter()
        .map(|(server, keys)| format!(" server s{server} {{\n active = 1\n address = 10.0.0.{server}\n{keys}\n }}\n"))
        .collect();
    format!("virtual v{last} {{\n active = 1\n address = 192.0.2.{last} eth0:1\n{keys}\n{}}}\n", servers.concat())
}

/// What the ledger has while this is the file.
fn ledger(wanted: &Wanted) -> Ledger {
    let drains = wanted.monitors().filter_map(|monitor| Some((monitor.target, monitor.drain?))).collect();
    let services = wanted.virtuals.iter().map(|it| (it.service.key, it.name.clone())).collect();
    Ledger { services, drains, ..Ledger::default() }
}

/// Who leaves when one file takes the place of another, in words.
fn leave(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (wanted(before), wanted(after));
    let running = |monitor: &'_ Rc<Monitor>| Running {
        target: monitor.target,
        place: Some(Box::leak(monitor.place.clone().into_boxed_str())),
        names: Some(("v1", "s")).filter(|_| monitor.name == "v1"),
        is_nanny: monitor.is_nanny,
    };
    let running: Vec<Running<'_>> = before.monitors().map(running).collect();
    departures(&after, &running, &ledger(&before)).iter().map(in_words).collect()
}

fn in_words(departure: &Departure) -> String {
    let Departure { target, stay, followed_by, .. } = departure;
    let stay = match stay {
        None => "goes at once".to_owned(),
        Some(Stay { wait, drain }) => {
            let wait = wait.map_or(String::new(), |service| format!("waits for {service}, "));
            format!("{wait}drains {} s", drain.as_secs())
        }
    };
    let follow = followed_by.map_or(String::new(), |by| format!(", followed by {}", by.destination));
    format!("{} of {}: {stay}{follow}", target.destination, target.service)
}

#[test]
fn a_removed_server_takes_its_destination_along_at_once() {
    let before = block(1, "", &[(3, ""), (4, "")]) + &block(2, "", &[(3, "")]);
    assert_eq!(leave(&before, &before), [""; 0]);
    assert_eq!(
        leave(&before, &block(1, "", &[(3, "")])),
        ["10.0.0.4:80 of tcp 192.0.2.1:80: goes at once", "10.0.0.3:80 of tcp 192.0.2.2:80: goes at once"]
    );
}

#[test]
fn a_removed_server_drains_as_the_file_says_now_or_said_while_it_was_in_it() {
    let drains = |before: &str, after: &str| leave(before, after).concat();
    let both = |keys| block(1, keys, &[(3, ""), (4, "")]);
    let one = |keys| block(1, keys, &[(3, "")]);
    let gone = |time| format!("10.0.0.4:80 of tcp 192.0.2.1:80: drains {time} s");
    assert_eq!(drains(&both(" drain = 60"), &one("")), gone(60), "the virtual's, as it was");
    assert_eq!(drains(&both(""), &one(" drain = 30")), gone(30), "the virtual's, as it is");
    let own = block(1, " drain = 60", &[(3, ""), (4, " drain = 7")]);
    assert_eq!(drains(&own, &one(" drain = 60")), gone(7), "its own");
    let never = block(1, " drain = 60", &[(3, ""), (4, " drain = 0")]);
    assert!(drains(&never, &one(" drain = 60")).ends_with("goes at once"), "its own says no");
    let off = block(1, "", &[(3, ""), (4, " drain = 9\n active = 0")]);
    assert_eq!(drains(&both(" drain = 60"), &off), gone(9), "its own as it is, inactive");
    let all_off = own.replacen("active = 1", "active = 0", 1);
    assert_eq!(
        leave(&both(""), &all_off),
        ["10.0.0.3:80 of tcp 192.0.2.1:80: drains 60 s", "10.0.0.4:80 of tcp 192.0.2.1:80: drains 7 s"],
        "an inactive virtual's servers too"
    );
}

#[test]
fn what_leaves_a_virtual_waits_for_what_comes_into_it() {
    let waits = |before: &str, after: &str| leave(before, after).concat();
    let one = block(1, "", &[(3, "")]);
    assert_eq!(
        waits(&one, &block(1, "", &[(4, "")])),
        "10.0.0.3:80 of tcp 192.0.2.1:80: waits for tcp 192.0.2.1:80, drains 0 s"
    );
    assert_eq!(
        waits(&one, &block(1, " fwmark = 5", &[(3, "")])),
        "10.0.0.3:80 of tcp 192.0.2.1:80: waits for mark 5, drains 0 s"
    );
    assert_eq!(
        waits(&block(1, " drain = 9", &[(3, "")]), &block(1, " port = 81", &[(3, "")])),
        "10.0.0.3:80 of tcp 192.0.2.1:80: waits for tcp 192.0.2.1:81, drains 9 s"
    );
    assert!(waits(&one, &(block(2, "", &[(3, "")]))).ends_with("goes at once"), "another virtual is another matter");
}

#[test]
fn a_follower_at_the_same_meeting_place_is_named() {
    let file = |network: &str| format!("network = {network}\n{}", block(1, "", &[(3, " port = 8080")]));
    assert_eq!(
        leave(&file("nat"), &file("direct")),
        ["10.0.0.3:8080 of tcp 192.0.2.1:80: waits for tcp 192.0.2.1:80, drains 0 s, followed by 10.0.0.3:80"]
    );
    assert_eq!(leave(&file("direct"), &file("tunnel")), [""; 0], "the same destination, changed in place");
}

#[test]
fn a_monitor_that_cannot_be_asked_and_a_new_sorry_server_do_not_stay() {
    let before = block(1, " drain = 60\n client_monitor = /opt/own", &[(3, ""), (4, "")]);
    assert!(leave(&before, &block(1, "", &[(5, "")])).iter().all(|line| line.ends_with("goes at once")));
    let before = block(1, " drain = 60", &[(3, ""), (4, "")]);
    let after = block(1, " sorry_server = 10.0.0.4", &[(3, "")]);
    assert_eq!(leave(&before, &after), ["10.0.0.4:80 of tcp 192.0.2.1:80: goes at once"]);
}

#[test]
fn one_that_was_found_at_start_leaves_like_any_other() {
    let after = wanted(&block(1, "", &[(3, "")]));
    let before = wanted(&block(1, "", &[(4, "")]));
    let target = before.monitors().next().unwrap().target;
    let running = [Running { target, place: Some("p"), names: None, is_nanny: true }];
    let ledger = Ledger { drains: [(target, Duration::from_secs(5))].into(), ..Ledger::default() };
    assert_eq!(
        in_words(&departures(&after, &running, &ledger)[0]),
        "10.0.0.4:80 of tcp 192.0.2.1:80: waits for tcp 192.0.2.1:80, drains 5 s"
    );
}
