//! What a busy processor does to fast heartbeats, beside what it does to
//! keepalived's, in the same guest: a minute with two busy loops on each director,
//! and nothing else happens. Every takeover is one too many. Prints a table:
//! `cargo test --release --test lab beats_on_a_busy_processor -- --ignored --nocapture`.
//! It takes ten minutes, needs keepalived, and a machine with nothing else to do: a
//! guest that waits for its own processor is no director that waits for its.
//!
//! What the beats themselves cost cannot be told in a guest: its kernel accounts for
//! processor time by ticks of 10 ms, which beats of 10 ms hit always or never.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ground::director::Director;
use crate::ground::lab::Process;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Lab, Machine, long_scenario, tell};
use crate::pair::product::Product;
use crate::pair::site::{BACKUP, MASTER, Pair, Plan, Timers, VIP_ON_DEVICE};

/// On each director.
const LOOPS: usize = 2;

/// For how long the processor is busy.
const BUSY: Duration = Duration::from_secs(60);

/// For all of it, on a machine that does something else as well.
const LIMIT: Duration = Duration::from_secs(2400);

const CASES: [(Timers, bool, &str); 4] = [
    (Timers::Fastest, false, "10 ms"),
    (Timers::Fastest, true, "10 ms, realtime"),
    (Timers::Tenth, false, "100 ms"),
    (Timers::Tenth, true, "100 ms, realtime"),
];

/// Where a director's addresses are recorded.
const RECORD: &str = "/run/addresses";

/// What one product did in one case.
#[derive(Debug, Default)]
struct Taken {
    /// How often a director took the VIP.
    takeovers: usize,
    /// For how long both had it, and neither.
    both: Duration,
    neither: Duration,
}

impl Taken {
    fn cell(&self) -> String {
        format!("{} ({} ms, {} ms)", self.takeovers, self.both.as_millis(), self.neither.as_millis())
    }
}

/// One change: when, on which director, whether the VIP is there now.
type Change = (Duration, usize, bool);

/// What became of the VIP that the master had in the beginning.
fn judge(mut changes: Vec<Change>, end: Duration) -> Taken {
    changes.sort_unstable();
    let mut taken = Taken::default();
    let mut held = BTreeSet::from([MASTER]);
    let mut since = changes.first().map_or(end, |(at, ..)| *at);
    for (at, which, is_there) in changes.into_iter().chain([(end, usize::MAX, false)]) {
        let lasted = at.saturating_sub(since);
        match held.len() {
            0 => taken.neither += lasted,
            1 => {}
            _ => taken.both += lasted,
        }
        since = at;
        if is_there {
            // One that is renewed is told of, too.
            taken.takeovers += usize::from(held.insert(which));
        } else {
            held.remove(&which);
        }
    }
    taken
}

/// A line of `ip -ts -o monitor address`:
/// `[2026-11-21T12:00:00.123456] Deleted 3: eth0    inet 192.168.142.100/24 ...`
fn change(line: &str, which: usize) -> Option<Change> {
    line.split_whitespace().find(|word| *word == VIP_ON_DEVICE)?;
    let (stamp, _) = line.strip_prefix('[')?.split_once(']')?;
    let (date, time) = stamp.split_once('T')?;
    let day: u64 = date.rsplit('-').next()?.parse().ok()?;
    let mut parts = time.split(':');
    let (hours, minutes): (u64, u64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: f64 = parts.next()?.parse().ok()?;
    let at = Duration::from_secs(((day * 24 + hours) * 60 + minutes) * 60) + Duration::from_secs_f64(seconds);
    Some((at, which, !line.contains("] Deleted ")))
}

fn record(director: &Director) -> Process {
    let mut command = Command::new("sh");
    let shell = format!("exec ip -ts -o monitor address > {RECORD}");
    command.args(["-c", &shell]).stdin(Stdio::null());
    let recorder = director.machine.start(command);
    // Its socket is the only one of that number.
    let number = Machine::inner_pid(recorder.pid()).to_string();
    wait_until(SOON, "the addresses are recorded", || {
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/netlink", recorder.pid())).unwrap_or_default();
        sockets.lines().any(|line| line.split_whitespace().nth(2) == Some(&number))
    });
    recorder
}

fn busy_loop(director: &Director) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
    director.machine.start(command)
}

/// The wall clock as `ip -ts` writes it.
fn now(director: &Director) -> Duration {
    let text = director.machine.run("date", &["+[%Y-%m-%dT%H:%M:%S.%6N]"]);
    change(&format!("{} {VIP_ON_DEVICE}", text.trim()), MASTER).expect("a time").0
}

/// Of takeovers; none where there were none to compare with.
fn ratio(theirs: &Taken, ours: &Taken) -> String {
    let count = |taken: &Taken| u32::try_from(taken.takeovers).map_or(f64::INFINITY, f64::from);
    if theirs.takeovers == 0 { "–".to_owned() } else { format!("{:.2}", count(ours) / count(theirs)) }
}

fn measure(lab: &Lab, product: Product, timers: Timers, realtime: bool) -> Taken {
    let plan = Plan { product, timers, realtime, private: false, ..Plan::OURS };
    let pair = Pair::in_service(lab, plan);
    let _recorders: Vec<Process> = pair.directors.iter().map(record).collect();
    let loops: Vec<Process> =
        pair.directors.iter().flat_map(|director| (0..LOOPS).map(|_| busy_loop(director))).collect();
    std::thread::sleep(BUSY);
    let end = now(&pair.directors[MASTER]);
    drop(loops);
    let mut changes = Vec::new();
    for which in [MASTER, BACKUP] {
        let path = pair.directors[which].machine.path(RECORD);
        let text = std::fs::read_to_string(path).expect("the record");
        changes.extend(text.lines().filter_map(|line| change(line, which)));
    }
    changes.retain(|(at, ..)| *at <= end);
    let taken = judge(changes, end);
    tell::figure(&format!("{product:?} {timers:?} realtime {realtime}: {taken:?}"));
    taken
}

#[test]
#[ignore = "not a test: prints a table, in ten minutes"]
fn beats_on_a_busy_processor() {
    long_scenario(LIMIT, |lab| {
        let mut text = format!(
            "\n| {LOOPS} busy loops on each director, {} s: takeovers (both had the VIP, neither) | keepalived | \
             piranha-ng | ratio |\n| --- | --- | --- | --- |\n",
            BUSY.as_secs()
        );
        for (timers, realtime, name) in CASES {
            let [theirs, ours] =
                [Product::Keepalived, Product::Ours].map(|product| measure(lab, product, timers, realtime));
            let _ = writeln!(text, "| {name} | {} | {} | {} |", theirs.cell(), ours.cell(), ratio(&theirs, &ours));
        }
        tell::figure(&text);
    });
}

#[test]
fn what_became_of_the_vip_is_read_from_both_records() {
    let ms = Duration::from_millis;
    let line = |time: &str, what: &str| {
        format!("[2026-11-21T00:00:{time}] {what}3: eth0    inet 192.168.142.100/24 brd 192.168.142.255 scope global")
    };
    let records = [
        (MASTER, line("10.000000", "")), // renewed
        (BACKUP, line("20.000000", "")),
        (MASTER, line("20.250000", "Deleted ")),
        (BACKUP, line("30.000000", "Deleted ")),
        (MASTER, line("30.100000", "")),
        (MASTER, "[2026-11-21T00:00:31.000000] 3: eth0    inet 192.168.142.160/24 scope global".to_owned()),
    ];
    let changes: Vec<Change> = records.iter().filter_map(|(which, line)| change(line, *which)).collect();
    assert_eq!(changes.len(), 5);
    let end = changes[0].0 + ms(60_000);
    let taken = judge(changes, end);
    assert_eq!((taken.takeovers, taken.both, taken.neither), (2, ms(250), ms(100)));
    assert_eq!(judge(Vec::new(), end).takeovers, 0);
}
