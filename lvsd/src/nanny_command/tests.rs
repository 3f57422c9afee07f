use common::channel::Said;

use super::*;
use crate::wanted::tests::config;

/// The arguments of the first server of the first virtual of this file.
fn first(text: &str, manner: &Manner) -> Arguments {
    let config = config(text);
    let service = &config.virtuals[0];
    arguments(&config, service, &service.servers[0], manner).unwrap()
}

fn line(text: &str, manner: &Manner) -> String {
    first(text, manner).iter().collect::<Vec<_>>().join(" ")
}

fn file(global: &str, service: &str, server: &str) -> String {
    format!(
        "{global}\nvirtual diff {{\n active = 1\n address = 192.168.142.100 eth0:1\n{service}\n server 128 {{\n \
         address = 192.168.142.158\n active = 1\n{server}\n }}\n}}\n"
    )
}

/// piranha.md 3.2: each row is a file and the line that operators see in ps.
#[test]
fn the_arguments_stand_in_the_originals_order_and_forms() {
    let quiet = Manner::default();
    let rows = [
        (
            file("network = direct", " port = 80\n timeout = 6\n reentry = 15", " weight = 3"),
            "-c -h 192.168.142.158 -p 80 -r 80 -a 15 -I /sbin/ipvsadm -t 6 -w 3 -V 192.168.142.100 -M g --lvs",
        ),
        (
            file("network = nat", "", " port = 8080"),
            "-c -h 192.168.142.158 -p 80 -r 8080 -a 180 -I /sbin/ipvsadm -t 10 -w 1 -V 192.168.142.100 -M m --lvs",
        ),
        (
            file(
                "network = tunnel\nipvsadm = /opt/ipvsadm",
                " fwmark = 21\n protocol = udp\n quiesce_server = 1\n use_regex = 1\n send = \"a b\"\n expect = \"c\"\n \
                 load_monitor = none",
                "",
            ),
            "-c -h 192.168.142.158 -p 80 -r 80 -f 21 -u -s a b -x c -q --regex -a 180 -I /opt/ipvsadm -t 10 -w 1 \
             -V 192.168.142.100 -M i -U none --lvs",
        ),
        (
            file(
                "rsh_command = ssh",
                " send_program = \"/bin/check %h\"\n expect = \"OK\"\n load_monitor = uptime",
                "",
            ),
            "-c -h 192.168.142.158 -p 80 -r 80 -e /bin/check %h -x OK -a 180 -I /sbin/ipvsadm -t 10 -w 1 \
             -V 192.168.142.100 -M m -U ssh --lvs",
        ),
    ];
    for (text, wanted) in rows {
        assert_eq!(line(&text, &quiet), wanted, "{text}");
    }
}

#[test]
fn a_text_with_blanks_is_one_argument_and_an_empty_one_is_one_too() {
    let arguments = first(&file("", " send = \"GET / HTTP/1.0\\r\\n\\r\\n\"\n expect = \"\"", ""), &Manner::default());
    let words: Vec<&str> = arguments.iter().collect();
    let at = words.iter().position(|word| *word == "-s").unwrap();
    assert_eq!(words[at..at + 4], ["-s", "GET / HTTP/1.0\\r\\n\\r\\n", "-x", ""], "escapes are nanny's");
}

#[test]
fn the_longest_that_a_file_can_ask_for_is_heard_whole() {
    let (path, text) = (format!("/{}", "p".repeat(4094)), "t".repeat(255));
    let service = format!(
        " send = \"{text}\"\n expect = \"{text}\"\n send_program = \"/{}\"\n load_monitor = uptime",
        "p".repeat(253)
    );
    let longest = first(&file(&format!("ipvsadm = {path}\nrsh_command = {path}"), &service, ""), &Manner::default());
    let arguments = longest.iter().map(str::to_owned).collect();
    let packet = Said::Hello { pid: u32::MAX, version: u32::MAX, arguments }.encode();
    let Ok(Said::Hello { arguments: heard, .. }) = Said::decode(&packet) else { panic!("{packet:?}") };
    assert_eq!(heard.into_iter().collect::<Arguments>(), longest);
    assert!(packet.len() > 2 * 4095 + 2 * 255, "the file was refused");
}

#[test]
fn lvsds_own_options_are_handed_on() {
    let manner = Manner { foreground: true, verbose: true, log_facility: Some("local3".to_owned()) };
    assert_eq!(
        line(&file("", "", ""), &manner),
        "-c -h 192.168.142.158 -p 80 -r 80 -v -a 180 -I /sbin/ipvsadm -t 10 -w 1 -V 192.168.142.100 -M m --nodaemon \
         --log-facility local3 --lvs"
    );
}

#[test]
fn the_policy_stands_before_lvs_and_only_where_it_is_not_nannys_own() {
    let line = |service: &str, server: &str| line(&file("network = direct", service, server), &Manner::default());
    let rest = |line: String| line.split_once("-M g ").map(|(_, rest)| rest.to_owned()).unwrap();
    assert_eq!(
        rest(line(" interval = 10\n fall = 1\n retry = 1\n rise = 1\n slow_start = 100\n inhibit = 0", "")),
        "--lvs"
    );
    let service = " interval = 2\n watch = 1\n fall = 3\n retry = 0.25\n rise = 2\n slow_start = 0\n dampen = 60\n inhibit = 1\n \
                   max_connections = 100\n min_connections = 80";
    assert_eq!(
        rest(line(service, "")),
        "--period 2 --watch --fall 3 --retry 0.25 --rise 2 --slow-start 0 --dampen 60 --inhibit --max-connections 100 \
         --min-connections 80 --lvs"
    );
    assert_eq!(rest(line(" watch = 0", "")), "--no-watch --lvs");
    let service = service.replace("watch = 1\n ", "");
    let service = service.as_str();
    let server = " interval = 10\n fall = 1\n rise = 5\n slow_start = 30\n max_connections = 0\n min_connections = 0";
    assert_eq!(
        rest(line(service, server)),
        "--retry 0.25 --rise 5 --slow-start 30 --dampen 60 --inhibit --max-connections 0 --min-connections 0 --lvs"
    );
}

#[test]
fn fractions_of_a_second_have_no_more_digits_than_they_need() {
    let rows = [(6_000_000, "6"), (50_000, "0.05"), (1_500_000, "1.5"), (1, "0.000001"), (0, "0")];
    for (micros, wanted) in rows {
        assert_eq!(seconds(Duration::from_micros(micros)), wanted);
    }
}

/// A new lvsd knows by a nanny's arguments whose destination it keeps.
#[test]
fn a_nannys_destination_is_read_back_from_its_arguments() {
    for (global, service, server) in [
        ("network = direct", "", " port = 8080"),
        ("network = nat", " port = 443", " port = 8443"),
        ("network = tunnel", " fwmark = 7", ""),
        ("", " protocol = udp\n port = 53", ""),
        ("", " protocol = sctp\n port = 3868", ""),
        ("", " fall = 2\n interval = 1\n dampen = 9", " max_connections = 9\n min_connections = 8\n rise = 2"),
        // Values that look like options stay values.
        ("", " send = \"-h 1.2.3.4\"\n expect = \"-V\"", ""),
    ] {
        let text = file(global, service, server);
        let config = config(&text);
        let block = &config.virtuals[0];
        let wanted = Target {
            service: block.service_key().unwrap(),
            destination: block.destination(&block.servers[0], config.network).unwrap().key,
        };
        assert_eq!(target(&first(&text, &Manner::default())), Some(wanted), "{text}");
    }
}

#[test]
fn what_follows_from_checks_does_not_make_them_others() {
    let plain = first(&file("", " send = \"-w\"", ""), &Manner::default());
    for (service, server, is_same) in [
        (" send = \"-w\"", " weight = 7", true),
        (" send = \"-w\"\n quiesce_server = 1\n fall = 3\n rise = 4\n reentry = 9", "", true),
        (" send = \"-x\"", "", false),
        (" send = \"-w\"\n timeout = 2", "", false),
        (" send = \"-w\"", " port = 81", false),
        (" send = \"-w\"\n check = tcp", "", false),
    ] {
        let other = first(&file("", service, server), &Manner::default());
        assert_eq!(same_checks(&plain, &other), is_same, "{service} {server}");
    }
}

#[test]
fn other_command_lines_are_nobodys() {
    for words in [&["-c"][..], &["-h", "10.0.0.1"], &["-h", "x", "-V", "10.0.0.1"], &["-V", "10.0.0.1", "-h"]] {
        assert_eq!(target(&words.iter().collect()), None, "{words:?}");
    }
}

#[test]
fn checks_by_name_stand_instead_of_the_originals_and_a_servers_own_instead_of_its_virtuals() {
    let service = " send = \"x\"\n expect = \"y\"\n checks_needed = 1\n check https {\n host = www.example\n status = \"200 204\"\n \
                   headers = [ \"X-A: 1\" \"X-B: 2\" ]\n expiry_warning = 7d\n }\n check = ping";
    assert_eq!(
        line(&file("", service, ""), &Manner::default()),
        "-c -h 192.168.142.158 -p 80 -r 80 -a 180 -I /sbin/ipvsadm -t 10 -w 1 -V 192.168.142.100 -M m --check https \
         --with host=www.example --with headers=X-A: 1 --with headers=X-B: 2 --with status=200 204 \
         --with expiry_warning=604800 --check ping --checks-needed 1 --lvs"
    );
    let own = " checks_needed = 0\n check tcp {\n port = 81\n source_address = 192.168.142.2\n }";
    let arguments = first(&file("", service, own), &Manner::default());
    let words: Vec<&str> = arguments.iter().collect();
    let at = words.iter().position(|word| *word == "--check").unwrap();
    let expected = ["--check", "tcp", "--with", "port=81", "--with", "source_address=192.168.142.2", "--lvs"];
    assert_eq!(words[at..], expected);
    assert!(target(&arguments).is_some(), "its options are passed over");
}
