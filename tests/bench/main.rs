//! What the largest file anybody told of costs, to be checked and to be reloaded:
//! 2,284 virtual services with 37,298 real servers (keepalived's issue 2318).
//! Prints its figures, and beside those of a check what keepalived needs for the
//! same services in its own syntax, in the same run:
//! `cargo test --release --test bench -- --nocapture`. A machine may be slow, so
//! only the growth is judged: four times the file must not cost sixteen times.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a test that prints")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::config::{Loaded, Syntax, System, convert, dump, fingerprint, load};
use common::inspection::{Format, Inspector};
use common::ipvs::{Destination, DestinationEntry, ForwardingMethod, ServiceKey, Stats};
use lvsd::departure::{Running, departures};
use lvsd::ledger::Ledger;
use lvsd::nanny_command::Manner;
use lvsd::plan::Table;
use lvsd::preview::{Found, Item, World, preview};
use lvsd::sorry::Standby;
use lvsd::wanted::{Monitor, Wanted};
use nix::time::{ClockId, clock_gettime};

const VIRTUALS: usize = 2284;
const SERVERS: usize = 37_298;

/// How much more four times as much may cost. Doubling twice in `n log n` is less
/// than five; caches that overflow add to it; in `n * n` it is sixteen.
const GROWTH_MAX: f64 = 10.0;

/// Each is measured so often; the best counts, as the others were disturbed.
const RUNS: usize = 3;

/// A file with a share of all; `weight` is that of all servers.
fn file(share: usize, weight: u32) -> String {
    let (virtuals, servers) = (VIRTUALS / share, SERVERS / share);
    let mut text = "network = direct\n".to_owned();
    let mut given = 0;
    for number in 0..virtuals {
        let [a, b] = [number / 200, number % 200 + 1];
        write!(
            text,
            "virtual web{number} {{\n active = 1\n address = 10.1.{a}.{b} eth0\n vip_nmask = 255.255.255.255\n port = 80\n \
             drain = 60\n send = \"GET / HTTP/1.0\\r\\n\\r\\n\"\n expect = \"HTTP\"\n scheduler = wlc\n timeout = 6\n"
        )
        .unwrap();
        let until = servers * (number + 1) / virtuals;
        while given < until {
            let [c, d] = [given / 250, given % 250 + 1];
            write!(
                text,
                " server s{given} {{\n address = 10.{}.{}.{d}\n active = 1\n weight = {weight}\n }}\n",
                10 + c / 250,
                c % 250
            )
            .unwrap();
            given += 1;
        }
        text += "}\n";
    }
    text
}

/// The same services as keepalived has them.
fn keepalived_conf(share: usize) -> String {
    let (virtuals, servers) = (VIRTUALS / share, SERVERS / share);
    let mut text = "global_defs {\n}\n".to_owned();
    let mut given = 0;
    for number in 0..virtuals {
        let [a, b] = [number / 200, number % 200 + 1];
        write!(text, "virtual_server 10.1.{a}.{b} 80 {{\n lb_algo wlc\n lb_kind DR\n protocol TCP\n delay_loop 6\n")
            .unwrap();
        let until = servers * (number + 1) / virtuals;
        while given < until {
            let [c, d] = [given / 250, given % 250 + 1];
            write!(
                text,
                " real_server 10.{}.{}.{d} 80 {{\n  weight 1\n  HTTP_GET {{\n   url {{\n    path /\n    status_code 200\n   \
                 }}\n   connect_timeout 6\n  }}\n }}\n",
                10 + c / 250,
                c % 250
            )
            .unwrap();
            given += 1;
        }
        text += "}\n";
    }
    text
}

fn wanted(loaded: &Loaded) -> Wanted {
    Wanted::new(&loaded.config, Path::new("/usr/sbin/nanny"), &Manner::default()).0
}

/// A director on which this runs already.
fn running(wanted: &Wanted) -> (Table, Ledger, Vec<Found>) {
    let mut destinations: BTreeMap<ServiceKey, Vec<DestinationEntry>> = BTreeMap::new();
    let mut found = Vec::new();
    for monitor in wanted.monitors() {
        let Monitor { target, program, arguments, place, assignment, .. } = (**monitor).clone();
        let destination = Destination::new(target.destination, ForwardingMethod::DirectRouting, 1);
        let entry = DestinationEntry { destination, active: 3, inactive: 9, persistent: 0, stats: Stats::default() };
        destinations.entry(target.service).or_default().push(entry);
        found.push(Found { target, program, arguments, place, assignment });
    }
    let services = wanted.virtuals.iter().map(|it| (it.service.key, it.service.clone())).collect();
    let table = Table { services, destinations, ..Table::default() };
    let drains = wanted.monitors().filter_map(|monitor| Some((monitor.target, monitor.drain?))).collect();
    let services = wanted.virtuals.iter().map(|it| (it.service.key, it.name.clone())).collect();
    (table, Ledger { services, drains, ..Ledger::default() }, found)
}

/// The processor's time we had: others on the machine do not count.
fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// The best of some runs, with what the last one made.
fn best<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let once = |run: &mut dyn FnMut() -> T| {
        let begin = own_time();
        let made = run();
        (own_time().saturating_sub(begin), made)
    };
    let (mut time, mut made) = once(&mut run);
    for _ in 1..RUNS {
        let (again, other) = once(&mut run);
        (time, made) = (time.min(again), other);
    }
    (time, made)
}

/// Every measurement for a share of it all, by name.
fn measure(share: usize) -> Vec<(&'static str, Duration)> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, weight| {
        let path = dir.path().join(name);
        std::fs::write(&path, file(share, weight)).unwrap();
        path
    };
    let (path, changed) = (write("lvs.cf", 1), write("changed.cf", 2));
    let (read, loaded) = best(|| load(&path).unwrap());
    let inspector = Inspector::new(&path, false);
    let (check, verdict) = best(|| inspector.check(Format::Text { colour: false }, |_| None));
    let sum = format!("{} virtual services, {} real servers", VIRTUALS / share, SERVERS / share);
    assert!(verdict.out.contains(&format!(" good: {sum}, ")), "{}", verdict.out);
    let (print_config, text) = best(|| dump(&loaded.config, Syntax::LvsCf));
    assert!(text.len() > SERVERS / share * 40);
    let (turn, toml) = best(|| convert(&path, Syntax::LvsCf, Syntax::Toml, &System).unwrap());
    let toml_path = dir.path().join("lvs.toml");
    std::fs::write(&toml_path, toml).unwrap();
    let (read_toml, same) = best(|| load(&toml_path).unwrap());
    assert_eq!(fingerprint(&same.config), fingerprint(&loaded.config));
    let (mark, _) = best(|| fingerprint(&loaded.config));
    let (understand, same) = best(|| wanted(&loaded));
    assert_eq!((same.virtuals.len(), same.monitors().count()), (VIRTUALS / share, SERVERS / share));
    let other = wanted(&load(&changed).unwrap());
    let (table, ledger, found) = running(&same);
    let (nothing, void) = (Table::default(), Ledger::default());
    let look = |table, ledger, found| World { table, ledger, found, since_boot: Duration::from_secs(1) };
    let plan = |wanted: &Wanted, world: &World<'_>| best(|| preview(wanted, world, |_| Standby::Undecided));
    let acts = |items: &[Item]| items.iter().filter(|item| item.is_act()).count();

    let (start, items) = plan(&same, &look(&nothing, &void, &[]));
    assert_eq!(acts(&items), VIRTUALS / share + SERVERS / share);
    let (quiet, items) = plan(&same, &look(&table, &ledger, &found));
    assert_eq!(acts(&items), 0);
    let (replace, items) = plan(&other, &look(&table, &ledger, &found));
    assert_eq!(acts(&items), SERVERS / share);
    let (leave, items) = plan(&Wanted::default(), &look(&table, &ledger, &found));
    assert_eq!(acts(&items), 2 * (SERVERS / share), "each is released, then drained");
    let lines: Vec<Running<'_>> = found
        .iter()
        .map(|it| {
            let place = it.assignment.is_none().then_some(it.place.as_str());
            Running { target: it.target, place, names: None, is_nanny: true }
        })
        .collect();
    let (departure, list) = best(|| departures(&Wanted::default(), &lines, &ledger));
    assert_eq!(list.len(), SERVERS / share);
    let (print, text) = best(|| lvsd::ledger::print(&ledger, "boot"));
    let (parse, read_back) = best(|| lvsd::ledger::parse(&text, "boot"));
    assert_eq!(read_back, (ledger, 0));
    vec![
        ("parse and judge", read),
        ("parse and judge, as TOML", read_toml),
        ("--check, as it is printed", check),
        ("--dump", print_config),
        ("--convert", turn),
        ("fingerprint", mark),
        ("what it asks for", understand),
        ("plan of a start", start),
        ("plan of a reload, nothing changed", quiet),
        ("plan of a reload, every server changed", replace),
        ("plan of a reload, all leave and drain", leave),
        ("who leaves", departure),
        ("ledger written", print),
        ("ledger read", parse),
    ]
}

#[test]
fn a_reload_of_the_largest_file_grows_with_its_size_and_no_faster() {
    let (quarter, whole) = (measure(4), measure(1));
    println!("{VIRTUALS} virtual services, {SERVERS} real servers:");
    for ((name, small), (_, large)) in quarter.iter().zip(&whole) {
        let growth = large.as_secs_f64() / small.as_secs_f64();
        println!("{name:<40} {:>8.1} ms   {growth:.1} times a quarter of it", large.as_secs_f64() * 1000.0);
        // Below this the clock and the machine say more than the code.
        if *large > Duration::from_millis(20) {
            assert!(growth < GROWTH_MAX, "{name}: a quarter took {small:?}, all of it {large:?}");
        }
    }
}

/// The time of a whole process on a file, which has to be content with it; the best
/// of some runs. `None` if there is no such program here.
fn of_process(program: &str, arguments: &[&str], file: &Path) -> Option<Duration> {
    let once = || {
        let begin = Instant::now();
        let mut command = Command::new(program);
        command.args(arguments).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().ok()?;
        assert!(status.success(), "{program}: {status}");
        Some(begin.elapsed())
    };
    (0..RUNS).map(|_| once()).min().flatten()
}

/// Both programs as they are typed, from their start to their end.
#[test]
fn a_check_beside_keepalived_s() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ours = write("lvs.cf", file(1, 1));
    let theirs = write("keepalived.conf", keepalived_conf(1));
    let lvsd = of_process(env!("CARGO_BIN_EXE_lvsd"), &["--check"], &ours).unwrap();
    let peer = of_process("keepalived", &["-t", "-f"], &theirs);
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{VIRTUALS} virtual services, {SERVERS} real servers, a whole process:");
    println!("lvsd --check       {:>8.1} ms", millis(lvsd));
    match peer {
        Some(peer) => {
            let ratio = lvsd.as_secs_f64() / peer.as_secs_f64();
            println!("keepalived -t -f   {:>8.1} ms   ours takes {ratio:.2} of its time", millis(peer));
        }
        None => println!("keepalived is not installed: nothing to compare with"),
    }
    // An optimised build takes a third of a second. This is about a square that
    // slipped in, on whatever machine and in whatever build.
    assert!(lvsd < Duration::from_secs(60), "{lvsd:?}");
}
