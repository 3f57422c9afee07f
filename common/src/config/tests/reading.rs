//! What lvs.cf means, rule by rule of piranha.md 1.1 to 1.5, in files of our own.

use std::time::Duration;

use super::*;
use crate::ipvs::{ForwardingMethod, Protocol};

fn config(text: &str) -> Config {
    good(text).config
}

/// The first virtual of a file that has nothing but one, with these lines in it.
fn service(lines: &str) -> VirtualService {
    config(&format!("virtual v {{\n{lines}\n}}\n")).virtuals.remove(0)
}

#[test]
fn an_empty_block_has_the_originals_defaults() {
    let config = config("virtual v {\n server a {\n }\n}\n");
    assert_eq!((config.heartbeat_port, config.keepalive, config.deadtime), (539, secs(2), secs(5)));
    assert_eq!((config.network, config.service), (ForwardingMethod::Masquerade, ServiceKind::Lvs));
    assert_eq!((config.rsh_command.as_str(), config.syncd_iface.as_str()), ("rsh", "eth0"));
    assert!(config.hard_shutdown && !config.backup_active && !config.monitor_links && !config.syncdaemon);
    let service = &config.virtuals[0];
    assert!(!service.active && !service.use_regex && !service.quiesce_server);
    assert_eq!((service.port, service.protocol, service.fwmark), (80, Protocol::Tcp, 0));
    assert_eq!((service.scheduler.as_str(), service.timeout, service.reentry), ("wlc", secs(10), secs(180)));
    assert_eq!((&service.send, &service.expect, &service.send_program), (&None, &None, &None));
    assert_eq!(service.client_monitor, "/usr/sbin/nanny");
    let server = &service.servers[0];
    assert_eq!((server.active, server.weight, server.port, server.address), (false, 1, 80, None));
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_last_of_repeated_keywords_counts_and_repeated_blocks_are_further_ones() {
    let config = config("keepalive = 3\nkeepalive = 4\nvirtual v {\n}\nvirtual v {\n port = 1\n}\n");
    assert_eq!(config.keepalive, secs(4));
    assert_eq!(config.virtuals.iter().map(|v| v.port).collect::<Vec<_>>(), [80, 1]);
    // an earlier one that is wrong is an error all the same, as it was
    assert_eq!(ids("keepalive = x\nkeepalive = 4\n"), ["integer-expected"]);
}

#[test]
fn a_server_takes_the_virtuals_port_as_it_stands_above_it() {
    let server = |name: &str| format!(" server {name} {{\n }}\n");
    let text = [&server("a"), "port = 8080\n", &server("b"), "port = http\n", " server c {\n port = 7\n }\n"].concat();
    let ports: Vec<u16> = service(&text).servers.iter().map(|s| s.port).collect();
    assert_eq!(ports, [80, 8080, 7]);
    assert_eq!(ids(&format!("virtual v {{\n{text}}}\n")), ["port-below-server"], "b is warned of, a is on 80 again");
}

#[test]
fn quotes_are_dropped_but_for_single_ones_around_checks() {
    let config = config("active_cmd = 'a b'\ninactive_cmd = \"c d\"\nkeepalive = \"6\"\nrsh_command = 'ssh'\n");
    assert_eq!((config.active_cmd.as_deref(), config.inactive_cmd.as_deref()), (Some("a b"), Some("c d")));
    assert_eq!((config.keepalive, config.rsh_command.as_str()), (secs(6), "ssh"));
    let service = service(" send = 'GET /'\n expect = \"OK\"\n send_program = /bin/x\n");
    assert_eq!(service.send.as_deref(), Some("'GET /'"));
    assert_eq!(service.expect.as_deref(), Some("OK"));
    assert_eq!(service.send_program.as_deref(), Some("/bin/x"));
}

#[test]
fn escapes_are_not_converted_and_quoted_text_may_hold_anything_else() {
    let service = service(" send = \"GET /#x\t{ }'\\r\\n\\r\\n\"  \n expect = \"HTTP\"   \n");
    assert_eq!(service.send.as_deref(), Some("GET /#x\t{ }'\\r\\n\\r\\n"));
    assert_eq!(service.expect.as_deref(), Some("HTTP"), "blanks behind a quote broke the original");
    assert_eq!(self::service(" send = \"\"\n").send.as_deref(), Some(""));
    assert_eq!(self::service(" expect = \"C:\\\"\n").expect.as_deref(), Some("C:\\"));
}

#[test]
fn a_hash_begins_a_comment_where_it_did_and_where_it_can_only_mean_that() {
    assert_eq!(service("  # a comment\n\t#another\n expect = #1\n").expect.as_deref(), Some("#1"));
    assert_eq!(service(" expect = ab#c\n").expect.as_deref(), Some("ab#c"));
    assert_eq!(ids("keepalive = 7 # x\n"), ["inline-comment"]);
    assert_eq!(ids("keepalive = 7 #x y\n"), ["inline-comment"]);
    assert_eq!(ids("active_cmd = \"/x # y\" # z\n"), ["inline-comment"]);
    assert_eq!(ids("virtual v { # x\n}\n"), ["inline-comment"]);
    assert_eq!(ids("virtual v {\n} # x\n"), Vec::<&str>::new());
    assert_eq!(ids("keepalive = # x\n"), ["missing-arguments", "inline-comment"]);
    assert_eq!(config("virtual # {\n}\n").virtuals[0].name, "#");
}

#[test]
fn names_are_labels_and_may_be_almost_anything() {
    for (typed, name) in [
        ("[server_name]", "[server_name]"),
        ("158", "158"),
        ("\"my web site\"", "my web site"),
        ("'it is'", "it is"),
        ("a=b", "a=b"),
        ("=", "="),
        ("a{b", "a{b"),
        ("sql1.example.com", "sql1.example.com"),
    ] {
        let text = format!("virtual {typed} {{\n}}\n");
        assert_eq!(config(&text).virtuals[0].name, name);
        assert!(ids(&text).is_empty(), "{typed}");
    }
}

#[test]
fn numbers_have_any_base_and_mean_what_they_meant() {
    let config =
        config("keepalive = 010\nserial_no = 4294967297\nsyncd_id = 258\nmonitor_links = 7\nbackup_active = 0x1\n");
    assert_eq!((config.keepalive, config.serial_no, config.syncd_id), (secs(8), 1, 2));
    assert!(config.monitor_links && config.backup_active);
}

#[test]
fn times_have_decimals_and_units_wherever_a_time_stands() {
    let config = config("keepalive = 0.05\ndeadtime = 200ms\ntcp_timeout = 15m\n");
    assert_eq!((config.keepalive, config.deadtime), (Duration::from_millis(50), Duration::from_millis(200)));
    assert_eq!(config.tcp_timeout, secs(900));
    let service = service(" timeout = 1.5\n reentry = 2m\n persistent = 1h\n");
    assert_eq!(
        (service.timeout, service.reentry, service.persistent),
        (Duration::from_millis(1500), secs(120), secs(3600))
    );
}

#[test]
fn addresses_are_inet_aton_then_names_and_all_may_be_ipv6() {
    let config =
        config("primary = 10.1\nbackup = localhost\nprimary_private = 2001:db8::1\nbackup_private = 2001:db8::2\n");
    let text = |a: Option<IpAddr>| a.unwrap().to_string();
    assert_eq!((text(config.primary), text(config.backup)), ("10.0.0.1".into(), "127.0.0.1".into()));
    assert_eq!(
        (text(config.primary_private), text(config.backup_private)),
        ("2001:db8::1".into(), "2001:db8::2".into())
    );
    let service = service(
        " address = 2001:db8::9 eth0:1\n sorry_server = 2001:db8::7\n server a {\n address = 2001:db8::3\n }\n",
    );
    assert_eq!(text(service.virtual_address()), "2001:db8::9");
    assert_eq!(
        (text(service.sorry_server), text(service.servers[0].address)),
        ("2001:db8::7".into(), "2001:db8::3".into())
    );
}

#[test]
fn heartbeat_paths_add_up_in_either_syntax() {
    let path = |primary: &str, backup: &str| HeartbeatPath {
        primary: primary.parse().unwrap(),
        backup: backup.parse().unwrap(),
    };
    let both = [path("10.9.0.1", "10.9.0.2"), path("2001:db8::1", "2001:db8::2")];
    let file = "heartbeat_path = 10.9.1 10.9.0.2\nkeepalive = 1\nheartbeat_path = 2001:db8::1 2001:db8::2\n";
    assert_eq!(config(file).heartbeat_path, both);
    assert_eq!(
        converting::convert_text(file, "lvs.cf", Syntax::Toml),
        "heartbeat_path = [\"10.9.0.1 10.9.0.2\", \"2001:db8::1 2001:db8::2\"]\nkeepalive = 1\n"
    );
    let toml = "heartbeat_path = [\"10.9.0.1 10.9.0.2\", \"2001:db8::1 2001:db8::2\"]\n";
    assert_eq!(
        converting::convert_text(toml, "x.toml", Syntax::LvsCf),
        "heartbeat_path = 10.9.0.1 10.9.0.2\nheartbeat_path = 2001:db8::1 2001:db8::2\n"
    );
    for (bad, id) in [
        ("heartbeat_path = 10.9.0.1\n".to_owned(), "missing-arguments"),
        ("heartbeat_path = 10.9.0.1 2001:db8::2\n".to_owned(), "mixed-families"),
        ("heartbeat_path = 10.9.0.1 0.0.0.0\n".to_owned(), "invalid-host"),
        ("heartbeat_path = 10.9.0.1 10.9.0.2\n".repeat(7), "too-many"),
    ] {
        assert_eq!(ids(&bad), [id], "{bad}");
    }
}

#[test]
fn a_synchronisation_has_a_group_that_is_one() {
    let config = config("sync_group = ff02::81\nsync_maxlen = 9000\nsync_port = 8849\nsync_ttl = 2\n");
    assert_eq!(config.sync_group, Some("ff02::81".parse().unwrap()));
    assert_eq!((config.sync_maxlen, config.sync_port, config.sync_ttl), (9000, 8849, 2));
    assert_eq!(ids("sync_group = 10.0.0.1\n"), ["invalid-argument"]);
    assert_eq!(ids("sync_ttl = 256\nsync_maxlen = -1\n"), ["out-of-range", "out-of-range"]);
}

#[test]
fn a_failback_is_off_on_or_after_a_time() {
    let of = |typed: &str| config(&format!("auto_failback = {typed}\n")).auto_failback;
    assert_eq!(config("primary = 10.0.0.1\n").auto_failback, None, "as the original");
    assert_eq!((of("off"), of("on"), of("0"), of("90s")), (None, Some(secs(60)), Some(secs(0)), Some(secs(90))));
    assert_eq!(converting::model("auto_failback = true\n", "x.toml").auto_failback, Some(secs(60)));
    assert_eq!(ids("auto_failback = yes\n"), ["integer-expected"]);
}

#[test]
fn witnesses_are_one_or_several_between_brackets() {
    let two: [IpAddr; 2] = ["10.9.0.254".parse().unwrap(), "2001:db8::fe".parse().unwrap()];
    for file in ["witness = 10.9.254\n", "witness = [ 10.9.0.254 ]\n"] {
        assert_eq!(config(file).witness, two[..1], "{file}");
    }
    let repeated = "witness = 10.9.0.254\nwitness = 2001:db8::fe\n";
    for file in ["witness = [ 10.9.0.254 2001:db8::fe ]\n", "witness = 10.9.0.254 2001:db8::fe\n", repeated] {
        assert_eq!(config(file).witness, two, "{file}");
    }
    let toml = "witness = [\"10.9.0.254\", \"2001:db8::fe\"]\n";
    assert_eq!(converting::convert_text(repeated, "lvs.cf", Syntax::Toml), toml);
    let file = "witness = [ 10.9.0.254 2001:db8::fe ]\n";
    assert_eq!(converting::convert_text(toml, "x.toml", Syntax::LvsCf), file);
    for (bad, id) in [
        ("witness = nobody.invalid\n".to_owned(), "invalid-argument"),
        ("witness = fe80::1\n".to_owned(), "invalid-argument"),
        ("witness = 0.0.0.0\n".to_owned(), "invalid-host"),
        ("witness = 10.0.0.1\n".repeat(9), "too-many"),
        ("witness_timeout = 0\n".to_owned(), "out-of-range"),
    ] {
        assert_eq!(ids(&bad), [id], "{bad}");
    }
}

#[test]
fn an_address_has_a_device_with_or_without_a_label() {
    let labelled = service(" address = 10.0.0.9 eth0.5:web\n").address.unwrap();
    assert_eq!((labelled.device.as_str(), labelled.label.as_deref()), ("eth0.5", Some("eth0.5:web")));
    let bare = service(" address = 10.0.0.9 bond0\n").address.unwrap();
    assert_eq!((bare.device.as_str(), bare.label), ("bond0", None));
    assert_eq!(service(" address = 10.0.0.9 \"#0\"\n").address.unwrap().device, "#0");
    assert_eq!(service(" address = 0.0.0.0 eth0:1\n").address, None, "the web interface's place holder");
}

#[test]
fn what_means_not_set_is_not_set() {
    let config = config("backup = 0.0.0.0\nnat_nmask = 0.0.0.0\n");
    assert_eq!((config.backup, config.nat_nmask), (None, None));
    let service = service(
        " vip_nmask = 0.0.0.0\n sorry_server = 0.0.0.0\n pmask = 255.255.255.255\n server a {\n address = 0.0.0.0\n }\n",
    );
    assert_eq!((service.vip_nmask, service.sorry_server, service.pmask), (None, None, None));
    assert_eq!(service.servers[0].address, None);
    assert_eq!(self::service(" pmask = nonsense\n").pmask, None);
}

/// inet_aton(3) takes them (piranha.md 1.1 no. 11); it is the kernel that does not.
#[test]
fn a_netmask_with_holes_is_read_with_a_warning() {
    let text = "nat_nmask = 0.255.0.0\nvirtual v {\n vip_nmask = 255.0.255.0\n}\n";
    let config = config(text);
    assert_eq!(config.nat_nmask, Some("0.255.0.0".parse().unwrap()));
    assert_eq!(config.virtuals[0].vip_nmask, Some("255.0.255.0".parse().unwrap()));
    assert_eq!(ids(text), ["mask-holes", "mask-holes"]);
}

#[test]
fn a_backups_private_address_alone_has_no_effect() {
    let config = config("primary = 10.0.0.1\nbackup = 10.0.0.2\nbackup_active = 1\nbackup_private = 10.1.0.2\n");
    assert_eq!((config.primary_private, config.backup_private), (None, None));
}

#[test]
fn every_word_of_a_closed_set_is_known() {
    for (word, method) in [
        ("nat", ForwardingMethod::Masquerade),
        ("direct", ForwardingMethod::DirectRouting),
        ("tunnel", ForwardingMethod::Tunnel),
    ] {
        assert_eq!(config(&format!("network = {word}\n")).network, method);
    }
    for scheduler in ["rr", "lc", "wlc", "wrr", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"] {
        assert_eq!(service(&format!(" scheduler = {scheduler}\n")).scheduler, scheduler);
    }
    for (word, protocol) in [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)] {
        assert_eq!(service(&format!(" protocol = {word}\n")).protocol, protocol);
    }
    assert_eq!(config("service = fos\n").service, ServiceKind::Fos);
    assert_eq!(service(" dirs = [ /a /b ]\n").dirs, ["/a", "/b"]);
    assert_eq!(service(" dirs = [ /a ]\n").dirs, ["/a"]);
}

#[test]
fn failover_blocks_have_the_same_keywords_and_a_list_of_their_own() {
    let config = config("failover f {\n start_cmd = \"/etc/init.d/x start\"\n scheduler = rr\n}\nvirtual v {\n}\n");
    assert_eq!((config.failovers.len(), config.virtuals.len()), (1, 1));
    assert_eq!(config.failovers[0].start_cmd.as_deref(), Some("/etc/init.d/x start"));
}

#[test]
fn a_port_is_a_tcp_service_first_whatever_the_protocol() {
    assert_eq!(service(" port = https\n").port, 443);
    assert_eq!(service(" protocol = udp\n port = tftp\n").port, 69);
}

/// A world that counts what it is asked.
struct Counting(Fake, std::cell::Cell<u32>);

impl Outside for Counting {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }

    fn host(&self, name: &str) -> Option<IpAddr> {
        self.1.set(self.1.get() + 1);
        self.0.host(name)
    }

    fn service(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.1.set(self.1.get() + 1);
        self.0.service(name, protocol)
    }
}

#[test]
fn a_name_is_asked_for_once_however_often_it_stands() {
    let server = "server a {\n address = localhost\n port = http\n}\n";
    let mut world = world();
    world.files.insert("lvs.cf".into(), format!("virtual v {{\n{}}}\n", server.repeat(1000)).into_bytes());
    let world = Counting(world, std::cell::Cell::default());
    let loaded = load_with(Path::new("lvs.cf"), Syntax::LvsCf, &world).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!((loaded.config.virtuals[0].servers.len(), world.1.get()), (1000, 2));
}

#[test]
fn included_files_stand_where_they_are_included_in_blocks_too() {
    let mut world = world();
    let mut add = |path: &str, text: &str| world.files.insert(path.into(), text.as_bytes().to_vec());
    add("/ha/lvs.cf", "include = conf.d/*.cf\nkeepalive = 4\nvirtual v {\n port = 8080\n include = /ha/servers\n}\n");
    add("/ha/conf.d/20.cf", "deadtime = 20\nvirtual last {\n}\n");
    add("/ha/conf.d/10.cf", "keepalive = 3\ndeadtime = 10\ninclude = ../more.toml\n");
    add("/ha/conf.d/.hidden.cf", "nonsense\n");
    add("/ha/conf.d/../more.toml", "[[virtual]]\nname = \"first\"\n");
    add("/ha/servers", "server a {\n weight = 3\n}\n");
    let config = load_with(Path::new("/ha/lvs.cf"), Syntax::LvsCf, &world).unwrap_or_else(|f| panic!("{f}")).config;
    assert_eq!((config.keepalive, config.deadtime), (secs(4), secs(20)));
    let names: Vec<_> = config.virtuals.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["first", "last", "v"]);
    assert_eq!((config.virtuals[2].servers[0].port, config.virtuals[2].servers[0].weight), (8080, 3));
}

#[test]
fn includes_end_though_files_include_each_other_or_go_on_for_ever() {
    let mut world = world();
    world.files.insert("a".into(), b"include = b\n".to_vec());
    world.files.insert("b".into(), b"include = a\n".to_vec());
    let failed = load_with(Path::new("a"), Syntax::LvsCf, &world).unwrap_err();
    assert_eq!(failed.to_string(), "b:1:11: error: include \"a\": the file includes itself");
    for n in 0..20 {
        world.files.insert(format!("deep{n}").into(), format!("include = deep{}\n", n + 1).into_bytes());
    }
    let failed = load_with(Path::new("deep0"), Syntax::LvsCf, &world).unwrap_err();
    assert_eq!(failed.to_string(), "deep7:1:11: error: include \"deep8\": files are included deeper than 8");
    let many = "include = leaf\n".repeat(1100);
    world.files.insert("wide".into(), many.into_bytes());
    world.files.insert("leaf".into(), b"# nothing\n".to_vec());
    let failed = load_with(Path::new("wide"), Syntax::LvsCf, &world).unwrap_err();
    assert!(
        failed.to_string().starts_with("wide:1024:11: error: include \"leaf\": there are more than 1024 files"),
        "{failed}"
    );
}

#[test]
fn toml_says_the_same_in_its_own_types() {
    let toml = r#"
primary = "10.0.0.1"
backup_active = true
backup = "10.0.0.2"
keepalive = 0.05
deadtime = "200ms"
network = "direct"

[[virtual]]
name = "web"
active = true
address = "10.0.0.9 eth0:1"
port = "http"
send = "GET / HTTP/1.0\r\n\r\n"
expect = 'HTTP "ok"'
server = [{ name = 1, address = "10.0.0.3", active = 1, weight = 0x10 }]
dirs = ["/a b", "/c"]
persistent = 60
"#;
    let lvscf = "primary = 10.0.0.1\nbackup_active = 1\nbackup = 10.0.0.2\nkeepalive = 0.05\ndeadtime = 200ms\nnetwork = direct\n\
        virtual web {\n active = 1\n address = 10.0.0.9 eth0:1\n port = http\n send = \"GET / HTTP/1.0\\r\\n\\r\\n\"\n \
        expect = \"HTTP \\\"ok\\\"\"\n server 1 {\n address = 10.0.0.3\n active = 1\n weight = 0x10\n }\n dirs = [ '/a b' /c ]\n persistent = 60\n}\n";
    let mut of_toml = read_bytes(toml.as_bytes(), "lvs.toml").unwrap_or_else(|f| panic!("{f}")).config;
    of_toml.path = "lvs.cf".into();
    assert_eq!(of_toml, config(lvscf));
}
