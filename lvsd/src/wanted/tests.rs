use std::fmt::Write as _;

use common::destinations::Failed;

use super::*;

pub(crate) mod examples;

/// The configuration in this text.
pub(crate) fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvs.cf");
    std::fs::write(&path, text).unwrap();
    common::config::load(&path).unwrap_or_else(|failed| panic!("{failed}")).config
}

fn read(text: &str) -> (Wanted, Vec<String>) {
    let (wanted, lines) = Wanted::new(&config(text), Path::new("/opt/nanny"), &Manner::default());
    (wanted, lines.iter().map(ToString::to_string).collect())
}

fn block(name: &str, keys: &str, servers: &[(&str, &str)]) -> String {
    let mut text = format!("virtual {name} {{\n active = 1\n address = 192.0.2.1 eth0:1\n{keys}\n");
    for (name, keys) in servers {
        writeln!(text, " server {name} {{\n active = 1\n{keys}\n }}").unwrap();
    }
    text + "}\n"
}

#[test]
fn active_virtuals_and_servers_are_taken_in_file_order() {
    let text = block("b", " port = 81", &[("2", " address = 10.0.0.2"), ("1", " address = 10.0.0.1\n active = 0")])
        + "virtual off {\n address = 192.0.2.1 eth0:1\n port = 82\n}\n"
        + &block("a", " port = 83", &[("1", " address = 10.0.0.1")]);
    let (wanted, lines) = read(&text);
    let names: Vec<&str> = wanted.virtuals.iter().map(|wanted| wanted.name.as_str()).collect();
    let servers: Vec<String> =
        wanted.monitors().map(|monitor| format!("{}/{}", monitor.name, monitor.server)).collect();
    assert_eq!((names, servers, lines), (vec!["b", "a"], vec!["b/2".to_owned(), "a/1".to_owned()], vec![]));
}

/// piranha.md 7.1: the story this project started from.
#[test]
fn a_server_port_under_direct_routing_is_where_the_probe_goes_and_a_line_says_so() {
    let servers = [("128", " address = 10.0.0.3\n port = 8080")];
    let (wanted, lines) = read(&("network = direct\n".to_owned() + &block("diff", "", &servers)));
    let monitor = wanted.monitors().next().unwrap();
    assert_eq!(monitor.target.destination.port, 80);
    assert!(monitor.place.ends_with("10.0.0.3-8080"), "{}", monitor.place);
    assert_eq!(lines, ["diff/128: only NAT rewrites ports, so the kernel port is 80, the probe goes to 8080"],);
    let (wanted, lines) = read(&("network = nat\n".to_owned() + &block("diff", "", &servers)));
    assert_eq!((wanted.monitors().next().unwrap().target.destination.port, lines), (8080, vec![]));
}

#[test]
fn a_second_server_that_is_the_same_destination_is_left_out_with_a_line() {
    let servers = [("a", " address = 10.0.0.3\n port = 8080"), ("b", " address = 10.0.0.3\n port = 8081")];
    let (wanted, lines) = read(&("network = direct\n".to_owned() + &block("web", "", &servers)));
    assert_eq!(wanted.monitors().count(), 1);
    assert_eq!(lines[1], "web/b: 10.0.0.3:80 is a real server of web already, ignoring");
    // Under NAT they are two.
    let (wanted, _) = read(&block("web", "", &servers));
    assert_eq!(wanted.monitors().count(), 2);
}

#[test]
fn two_virtuals_that_are_one_service_to_the_kernel_are_the_first_with_a_line() {
    let (wanted, lines) = read(&(block("web", "", &[]) + &block("www", "", &[])));
    assert_eq!(wanted.virtuals.len(), 1);
    assert_eq!(lines, ["virtual service www: tcp 192.0.2.1:80 is virtual service web already, ignoring"]);
}

/// piranha.md 3.2: in the original the second of these got no real servers.
#[test]
fn two_virtuals_that_differ_in_their_mark_alone_have_a_nanny_each() {
    let servers = [("a", " address = 10.0.0.3")];
    let marked = |name, mark| block(name, &format!(" share_probe = 0\n fwmark = {mark}"), &servers);
    let (wanted, lines) = read(&(marked("one", 1) + &marked("two", 2)));
    let places: HashSet<&str> = wanted.monitors().map(|monitor| monitor.place.as_str()).collect();
    assert_eq!((wanted.virtuals.len(), places.len(), lines), (2, 2, vec![]));
}

/// The places of its monitors, in file order.
fn places(wanted: &Wanted) -> Vec<&str> {
    wanted.monitors().map(|monitor| monitor.place.as_str()).collect()
}

#[test]
fn one_nanny_checks_a_server_for_all_virtuals_that_check_it_alike() {
    let servers = [("a", " address = 10.0.0.3"), ("b", " address = 10.0.0.4")];
    let with = |name, port, keys: &str| block(name, &format!("{keys}\n fwmark = {port}"), &servers);
    let (wanted, _) =
        read(&(with("one", 1, "") + &with("two", 2, " quiesce_server = 1\n slow_start = 0\n min_up = 1")));
    let [a, b, other_a, other_b] = places(&wanted)[..] else { panic!("{wanted:?}") };
    assert!(a.starts_with("shared-10.0.0.3-80-") && b.starts_with("shared-10.0.0.4-80-"), "{a} {b}");
    assert_eq!((a, b), (other_a, other_b));
    let monitors: Vec<_> = wanted.monitors().collect();
    assert_eq!(monitors[0].arguments, monitors[2].arguments);
    let line: Vec<&str> = monitors[0].arguments.iter().collect();
    assert_eq!(line.join(" "), "-c -h 10.0.0.3 -p 80 -r 80 -a 180 -I /sbin/ipvsadm -t 10 --shared 1 --lvs");
    let told = [0, 2].map(|n: usize| monitors[n].assignment.unwrap());
    assert_eq!(told.map(|it| it.target), [monitors[0].target, monitors[2].target]);
    assert_eq!(told.map(|it| it.failed), [Failed::Removed, Failed::Quiesced]);
    assert_eq!(told.map(|it| it.slow_start.as_secs()), [100, 0]);
}

#[test]
fn whatever_decides_about_a_check_or_its_judgement_keeps_nannies_apart() {
    let servers = [("a", " address = 10.0.0.3")];
    let one = block("one", " fwmark = 1", &servers);
    let differences = [
        " port = 81",
        " timeout = 9",
        " interval = 3",
        " fall = 2",
        " rise = 2",
        " retry = 0.5",
        " dampen = 60",
        " reentry = 1",
        " watch = 0",
        " send = \"x\"",
        " expect = \"x\"",
        " use_regex = 1",
        " send_program = \"/bin/x\"",
        " load_monitor = rup",
        " check = ping",
        " protocol = udp",
        " client_monitor = /opt/own",
        " share_probe = 0",
    ];
    for keys in differences {
        let (wanted, _) = read(&(one.clone() + &block("two", &format!("{keys}\n fwmark = 2"), &servers)));
        assert!(wanted.monitors().all(|monitor| monitor.assignment.is_none()), "{keys}");
        assert_eq!(places(&wanted).len(), 2);
    }
    for of_server in [" port = 81", " fall = 2", " interval = 3"] {
        let others = [("a", &*format!(" address = 10.0.0.3\n{of_server}"))];
        let (wanted, _) = read(&(one.clone() + &block("two", " fwmark = 2", &others)));
        assert!(wanted.monitors().all(|monitor| monitor.assignment.is_none()), "{of_server}");
    }
}

#[test]
fn so_many_virtuals_take_several_nannies_and_one_more_moves_few() {
    let target = |n: u32| {
        let service = ServiceKey::Mark { family: common::ipvs::Family::V4, mark: n + 1 };
        Target { service, destination: common::ipvs::DestinationKey { address: [10, 0, 0, 1].into(), port: 80 } }
    };
    let of = |nannies: usize| -> Vec<usize> { (0..10_000).map(|n| whose(&target(n), nannies)).collect() };
    let (before, after) = (of(20), of(21));
    for nanny in 0..20 {
        let share = before.iter().filter(|it| **it == nanny).count();
        assert!((400..600).contains(&share), "nanny {nanny} has {share} of 10000");
    }
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert!(moved.clone().all(|(_, after)| *after == 20), "only to the new one");
    assert!((350..650).contains(&moved.count()));
    assert!(of(1).iter().all(|it| *it == 0));
}

/// The reader refuses such a file; the model allows it.
#[test]
fn what_has_no_address_is_left_out_with_a_line() {
    let servers = [("a", " address = 10.0.0.2"), ("b", " address = 10.0.0.3")];
    let mut config = config(&(block("none", " port = 81", &[]) + &block("web", "", &servers)));
    config.virtuals[0].address = None;
    config.virtuals[1].servers[0].address = None;
    let (wanted, lines) = Wanted::new(&config, Path::new("nanny"), &Manner::default());
    assert_eq!((wanted.virtuals.len(), wanted.monitors().count()), (1, 1));
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["virtual service none: it has no address, ignoring", "web/a: it has no address, ignoring"]);
}

#[test]
fn the_default_monitor_is_our_own_nanny_and_another_is_taken_as_it_stands() {
    let servers = [("a", " address = 10.0.0.3")];
    let (wanted, _) = read(&block("web", "", &servers));
    let monitor = wanted.monitors().next().unwrap();
    assert_eq!((monitor.program.as_path(), monitor.is_nanny), (Path::new("/opt/nanny"), true));
    let (wanted, _) = read(&block("web", " client_monitor = /usr/local/bin/watch", &servers));
    let monitor = wanted.monitors().next().unwrap();
    assert_eq!((monitor.program.as_path(), monitor.is_nanny), (Path::new("/usr/local/bin/watch"), false));
}

#[test]
fn the_sorry_server_stands_on_the_virtual_port_with_weight_1() {
    let text =
        "network = tunnel\n".to_owned() + &block("web", " port = 81\n sorry_server = 10.0.0.9\n timeout = 7", &[]);
    let (wanted, _) = read(&text);
    let sorry = wanted.virtuals[0].sorry.as_ref().unwrap();
    assert_eq!((sorry.key.to_string().as_str(), sorry.weight), ("10.0.0.9:81", 1));
    assert_eq!(wanted.virtuals[0].timeout, Duration::from_secs(7));
}

/// What this file and others say of themselves: pure code takes the time and the
/// world as arguments.
#[test]
fn the_pure_files_ask_neither_the_clock_nor_the_world() {
    for file in
        ["wanted.rs", "plan.rs", "sorry.rs", "nanny_command.rs", "nannies.rs", "nannies/nanny.rs", "messages.rs"]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        for word in ["::now(", "std::fs", "std::env", "std::process", "thread", "cfg!(", "Command"] {
            assert!(!text.contains(word), "{file} contains {word}");
        }
    }
}
