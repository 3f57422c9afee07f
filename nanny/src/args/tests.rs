use proptest::prelude::*;

use super::*;
use crate::probe::{Plan, Transport};

fn typed(line: &str) -> Result<Args, Refusal> {
    parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))
}

fn usage(line: &str) -> String {
    match typed(line).unwrap_err() {
        Refusal::Usage(text) => text,
        Refusal::Answer(text) => panic!("not refused: {text}"),
    }
}

#[test]
fn the_command_line_lvsd_builds_is_understood() {
    // piranha.md 3.2, live capture
    let args = parse(
        [
            "-c",
            "-h",
            "198.51.100.7",
            "-p",
            "80",
            "-r",
            "8080",
            "-f",
            "7",
            "-u",
            "-e",
            "/bin/check %h",
            "-s",
            "GET / HTTP/1.0\\r\\n\\r\\n",
            "-x",
            "HTTP",
            "-q",
            "--regex",
            "-v",
            "-a",
            "15",
            "-I",
            "/sbin/ipvsadm",
            "-t",
            "6",
            "-w",
            "3",
            "-V",
            "192.0.2.1",
            "-M",
            "g",
            "-U",
            "none",
            "--nodaemon",
            "--lvs",
        ]
        .map(OsString::from),
    )
    .unwrap();
    assert_eq!(args.interval, Duration::from_secs(6));
    assert_eq!(args.reentry, Duration::from_secs(15));
    assert_eq!(args.threshold(), 2);
    assert_eq!(args.service, Some(ServiceKey::Mark { family: Family::V4, mark: 7 }));
    assert_eq!(args.service_name, "192.0.2.1:80");
    assert_eq!(args.real, "198.51.100.7:8080".parse().unwrap());
    assert_eq!(args.destination().port, 80, "under direct routing the kernel's port is the virtual one");
    assert_eq!((args.weight, args.method), (3, ForwardingMethod::DirectRouting));
    assert_eq!(args.program.as_deref(), Some(b"/bin/check %h".as_slice()));
    assert_eq!(args.send.as_deref(), Some(b"GET / HTTP/1.0\\r\\n\\r\\n".as_slice()));
    assert_eq!(args.expect.as_deref(), Some(b"HTTP".as_slice()));
    assert!(args.udp && args.quiesce && args.regex && args.verbose && !args.dry);
    assert_eq!((args.place, args.load), (Place::Foreground, None));
}

#[test]
fn an_sctp_service_is_another_than_the_tcp_service_beside_it_and_its_checks_are_sctps() {
    let args = typed("-h 198.51.100.7 -p 80 -V 192.0.2.1 --sctp --lvs").unwrap();
    let address = "192.0.2.1".parse().unwrap();
    assert_eq!(args.service, Some(ServiceKey::Address { protocol: Protocol::Sctp, address, port: 80 }));
    let checks = crate::probe::checks(&args).unwrap();
    let Plan::Converse { transport, topic } = &checks[0].plan else { panic!("{checks:?}") };
    assert_eq!((transport, topic.sends()), (&Transport::Sctp, &b""[..]), "nor is it taken for a web server");
    let refused = typed("-h 198.51.100.7 -V 192.0.2.1 --sctp -u --lvs").unwrap_err();
    assert_eq!(refused, Refusal::Usage("--udp and --sctp exclude each other".to_owned()));
}

#[test]
fn what_is_left_out_is_as_the_original_had_it() {
    let args = typed("-h 198.51.100.7 -V 192.0.2.1 --lvs").unwrap();
    assert_eq!((args.interval, args.reentry), (Duration::from_secs(10), Duration::from_secs(180)));
    assert_eq!(args.real.port(), 80);
    assert_eq!((args.weight, args.method), (1, ForwardingMethod::Masquerade));
    assert_eq!((args.send, args.expect, args.program), (None, None, None));
    assert_eq!(args.place, Place::Background);
    assert_eq!(typed("-h 198.51.100.7 -p 8080 -V 192.0.2.1 --lvs").unwrap().real.port(), 8080);
}

#[test]
fn long_forms_and_the_manuals_spellings_mean_the_same_as_short_forms() {
    let short = "-t 3 -a 9 -h 198.51.100.7 -p 81 -r 82 -V 192.0.2.1 -f 5 -M i -w 4 -S 2 -U rup -s A -x B -e C -T -q -u \
                 -I /x -c --norun --lvs -v";
    let long = "--interval 3 --reentrytime=9 --server 198.51.100.7 --port 81 --rport 82 --virtaddress 192.0.2.1 --fwmark 5 \
                --method -i --weight 4 --scale 2 --loadcmd rup --send_string A --expect_string B --send_program C --suppress \
                --quiesce_server --udp --ipvsadm /x --nofork --test-start --lvs --verbose";
    let manual =
        long.replace("quiesce_server", "quiesce-server").replace("--udp", "--UDP").replace("send_string", "send_str");
    let debug = |line: &str| format!("{:?}", typed(line).unwrap());
    assert_eq!(debug(short), debug(long));
    assert_eq!(debug(short), debug(&manual));
}

#[test]
fn what_the_original_did_not_have_is_as_it_was_unless_asked_for() {
    let args = typed("-h 198.51.100.7 -V 192.0.2.1 --lvs -t 4").unwrap();
    assert_eq!((args.period, args.retry), (Duration::from_secs(4), Duration::from_secs(1)));
    assert_eq!((args.fall, args.rise, args.threshold()), (1, 1, 45));
    assert_eq!((args.slow_start, args.dampen), (SLOW_START_DEFAULT, Duration::ZERO));
    assert_eq!((args.inhibit, args.limits), (false, None));
    let line = "-h 198.51.100.7 -V 192.0.2.1 --lvs -t 4 -a 10 --period 0.5 --retry 100ms --fall 3 --rise 2 \
                --slow-start 0 --dampen 2m --inhibit --max-connections 100 --min-connections 80";
    let args = typed(line).unwrap();
    assert_eq!((args.interval, args.period), (Duration::from_secs(4), Duration::from_millis(500)));
    assert_eq!(args.retry, Duration::from_millis(100));
    assert_eq!((args.fall, args.rise, args.threshold()), (3, 2, 20));
    assert_eq!((args.slow_start, args.dampen), (Duration::ZERO, Duration::from_secs(120)));
    assert!(args.inhibit);
    assert_eq!(args.limits, Some(Limits { upper: 100, lower: 80 }));
}

#[test]
fn rise_and_the_reentry_time_both_have_to_be_met() {
    let threshold = |words: &str| typed(&format!("-h ::1 -V ::2 --lvs -t 2 {words}")).unwrap().threshold();
    assert_eq!(threshold("-a 10"), 5);
    assert_eq!(threshold("-a 10 --rise 3"), 5);
    assert_eq!(threshold("-a 10 --rise 8"), 8);
}

#[test]
fn a_retry_is_never_later_than_the_next_check() {
    let retry = |words: &str| typed(&format!("-h ::1 -V ::2 --lvs {words}")).unwrap().retry;
    assert_eq!(retry("-t 0.2"), Duration::from_millis(200));
    assert_eq!(retry("-t 10 --period 0.3 --retry 5"), Duration::from_millis(300));
    assert_eq!(retry("-t 10 --retry 0"), INTERVAL_MIN);
}

#[test]
fn a_lower_threshold_above_the_upper_one_is_cut_since_the_kernel_refuses_it() {
    let limits = |words: &str| typed(&format!("-h ::1 -V ::2 --lvs {words}")).unwrap().limits;
    assert_eq!(limits("--max-connections 5 --min-connections 9"), Some(Limits { upper: 5, lower: 5 }));
    assert_eq!(limits("--min-connections 9"), Some(Limits { upper: 0, lower: 0 }));
}

#[test]
fn refusals_are_in_the_originals_words() {
    assert_eq!(usage("--lvs"), "No address supplied. Use '--help' for help. ");
    assert_eq!(usage("-h real1 -V 192.0.2.1 --lvs"), "bad IP address -- real1");
    assert_eq!(usage("-h 198.51.100.7 -V 192.0.2.1"), "unknown service type");
    assert_eq!(usage("-h 198.51.100.7 extra"), "unexpected arguments");
    assert_eq!(usage("--wrong"), "bad argument --wrong: unknown option");
    assert_eq!(usage("-h 198.51.100.7 -p"), "bad argument -p: missing argument");
    assert!(usage("-p 70000").starts_with("bad argument -p 70000: number too large or too small"));
    assert!(usage("-w 65536").starts_with("bad argument -w 65536: "));
    assert_eq!(usage("-t -3"), "bad argument -t -3: number too large or too small");
    assert_eq!(usage("-t 3x"), "bad argument -t 3x: it takes a number of seconds, or one with ms, s or m");
    assert_eq!(usage("-M t"), "bad argument -M t: it takes m, g or i");
    assert_eq!(usage("--fos --lvs -h 198.51.100.7"), "--lvs and --fos exclude each other");
    assert!(usage("--lvs -h 198.51.100.7").starts_with("No virtual service supplied"));
}

#[test]
fn a_failover_service_is_watched_where_it_is_and_back_with_one_good_check() {
    // piranha.md 4.1: with --fos the reentry time is the interval by default
    let args = typed("-c -h 192.0.2.9 -p 8443 -t 0.5 --fos").unwrap();
    assert!(args.fos && !args.dry);
    assert_eq!((args.real, args.service_name.as_str()), ("192.0.2.9:8443".parse().unwrap(), "192.0.2.9:8443"));
    assert_eq!((args.reentry, args.threshold()), (args.interval, 1));
    assert_eq!(typed("-h 192.0.2.9 -t 2 -a 10 --fos").unwrap().threshold(), 5);
    // and 180 s otherwise
    assert_eq!(typed("-h 192.0.2.9 -V 192.0.2.1 -a 0 --lvs").unwrap().reentry, Duration::from_secs(180));
}

#[test]
fn help_and_version_are_answers() {
    for line in ["--help", "-?", "--usage"] {
        assert!(matches!(typed(line).unwrap_err(), Refusal::Answer(text) if text.contains("--reentrytime")), "{line}");
    }
    let Refusal::Answer(version) = typed("--version").unwrap_err() else { panic!("refused") };
    assert!(version.starts_with("Program Version:\tnanny "), "{version}");
}

#[test]
fn times_have_units_and_zero_is_what_it_can_be() {
    let interval = |time: &str| typed(&format!("-h ::1 -V ::2 --lvs -t {time}")).unwrap().interval;
    assert_eq!(interval("0.5"), Duration::from_millis(500));
    assert_eq!(interval("50ms"), Duration::from_millis(50));
    assert_eq!(interval("3s"), Duration::from_secs(3));
    assert_eq!(interval("2m"), Duration::from_secs(120));
    assert_eq!(interval("0"), INTERVAL_FOR_ZERO, "the original died of it");
    assert_eq!(interval("1ms"), INTERVAL_MIN);
    assert_eq!(typed("-h ::1 -V ::2 --lvs -a 0").unwrap().reentry, REENTRY_DEFAULT);
    for wrong in ["inf", "nan", "1e30", "", "s"] {
        let line = ["-t", wrong, "-h", "::1", "-V", "::2", "--lvs"].map(OsString::from);
        assert!(matches!(parse(line), Err(Refusal::Usage(_))), "{wrong:?}");
    }
}

#[test]
fn only_masquerading_has_a_port_of_its_own_in_the_kernel() {
    for (method, port) in [("m", 8080), ("-m", 8080), ("g", 80), ("-g", 80), ("i", 80), ("-i", 80)] {
        let args = typed(&format!("-h 198.51.100.7 -p 80 -r 8080 -V 192.0.2.1 --lvs -M {method}")).unwrap();
        assert_eq!((args.destination().port, args.real.port()), (port, 8080), "{method}");
    }
}

#[test]
fn a_text_may_begin_with_a_dash_be_empty_or_be_no_text() {
    use std::os::unix::ffi::OsStringExt as _;
    let mut line: Vec<OsString> =
        ["-h", "::1", "-V", "::2", "--lvs", "-s", "--lvs", "-x", ""].map(OsString::from).into();
    line.extend(["-e".into(), OsString::from_vec(vec![0xff, b' ', 0xfe])]);
    let args = parse(line).unwrap();
    assert_eq!(args.send.as_deref(), Some(b"--lvs".as_slice()));
    assert_eq!(args.expect.as_deref(), Some(b"".as_slice()));
    assert_eq!(args.program, Some(vec![0xff, b' ', 0xfe]));
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(
        interval in 1..1000_u32, reentry in 1..1000_u32, port in 1..=u16::MAX, rport in 1..=u16::MAX, mark in 0..9_u32,
        weight in 0..=65535_u32, texts in prop::collection::vec(prop::option::of("[^\0]{0,40}"), 3), flags: [bool; 4],
        v6: bool, method in 0..3_usize,
    ) {
        let (rip, vip) = if v6 { ("2001:db8::7", "2001:db8::1") } else { ("198.51.100.7", "192.0.2.1") };
        let mut line: Vec<String> = ["-c", "-h", rip, "-V", vip, "--lvs"].map(Into::into).into();
        let mut push = |name: &str, value: String| line.extend([name.to_owned(), value]);
        push("-t", interval.to_string());
        push("-a", reentry.to_string());
        push("-p", port.to_string());
        push("-r", rport.to_string());
        push("-f", mark.to_string());
        push("-w", weight.to_string());
        push("-M", ["m", "g", "i"][method].into());
        for (name, text) in ["-s", "-x", "-e"].iter().zip(&texts) {
            if let Some(text) = text {
                push(name, text.clone());
            }
        }
        line.extend(["-u", "-q", "--regex", "-v"].iter().zip(flags).filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()));
        let args = parse(line.into_iter().map(OsString::from)).unwrap();
        prop_assert_eq!(args.interval.as_secs(), u64::from(interval));
        prop_assert_eq!(args.reentry.as_secs(), u64::from(reentry));
        prop_assert_eq!(args.threshold(), (reentry / interval).max(1));
        prop_assert_eq!((args.virtual_port, args.real.port(), args.weight), (port, rport, weight));
        prop_assert_eq!(args.real.ip().to_string(), rip);
        prop_assert_eq!([args.udp, args.quiesce, args.regex, args.verbose], flags);
        let texts: Vec<_> = texts.into_iter().map(|text| text.map(String::into_bytes)).collect();
        prop_assert_eq!(vec![args.send, args.expect, args.program], texts);
    }
}

#[test]
fn the_manual_page_has_every_option_and_no_other() {
    let manual = include_str!("../../nanny.8");
    let mut documented: Vec<String> = Vec::new();
    for line in manual.lines().filter(|line| line.starts_with(".It Fl") || line.starts_with(".Fl -test-start")) {
        documented.extend(line.split_whitespace().filter_map(|word| word.strip_prefix('-')).map(str::to_owned));
    }
    documented.sort();
    let mut options: Vec<String> = options::ROWS.iter().map(|row| row.long.to_owned()).collect();
    options.push("test-start".to_owned());
    options.sort();
    assert_eq!(documented, options);
    for row in &options::ROWS {
        if let Some(short) = row.short {
            let short = if short == '?' { "\\&?".to_owned() } else { short.to_string() };
            assert!(manual.contains(&format!(".It Fl {short} , -{}", row.long)), "-{short}, --{}", row.long);
        }
    }
}

#[test]
fn help_fits_a_terminal_and_has_every_option() {
    let help = options::help();
    for row in &options::ROWS {
        assert!(help.contains(&format!("--{}", row.long)), "{}", row.long);
    }
    let longest = help.lines().map(str::len).max();
    assert!(longest <= Some(120), "{longest:?}");
}

#[test]
fn short_options_stand_together_and_carry_their_value() {
    let args = typed("-cqvt3 -h198.51.100.7 --virtaddress=192.0.2.1 --lvs -w 2 -w 9").unwrap();
    assert!(args.quiesce && args.verbose && args.place == Place::Child);
    assert_eq!((args.interval, args.weight), (Duration::from_secs(3), 9), "the last one counts");
    assert_eq!(usage("--lvs=1"), "bad argument --lvs: option does not take a value");
    assert_eq!(usage("-cZ"), "bad argument -Z: unknown option");
    assert_eq!(usage("--"), "unexpected arguments");
    assert_eq!(usage("-"), "unexpected arguments");
    assert_eq!(usage("--norun3"), "bad argument --norun3: unknown option");
}
