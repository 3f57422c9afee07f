//! What a client sees of the pair beside what it sees of two keepalived: the same
//! site, the same script, one after the other in the same guest. Prints a table:
//! `cargo test --release --test lab a_pair_beside_keepalived -- --ignored`. It takes
//! minutes, needs keepalived, and a machine with nothing else to do.
//!
//! Both check real servers every six seconds and announce over the clients' network
//! alone. A hundred connections a second are opened; one that loses a packet has
//! failed. A gap is the longest time in which none was answered. That processes end
//! on the guest's one processor is a gap, too: "standby director stopped" is the floor
//! of all that stops any.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::ground::gap::Gap;
use crate::ground::{Lab, long_scenario, tell};
use crate::pair::events::Event;
use crate::pair::product::Product;
use crate::pair::site::{MASTER, Method, Pair, Plan, Timers, gap_since};

/// Each event is let happen so often.
const RUNS: usize = 3;

/// For all of it, on a machine that does something else as well.
const LIMIT: Duration = Duration::from_secs(1800);

const EVENTS: [(Event, &str); 6] = [
    (Event::StopStandby, "standby director stopped"),
    (Event::Cut, "active director's cable cut"),
    (Event::Stop, "active director stopped cleanly"),
    (Event::Restart, "active director restarted"),
    (Event::StopAndStart, "active director stopped, then started"),
    (Event::Relocate, "virtual IP relocated by hand"),
];

/// All runs of one event, as one product took it; without any, it has no such thing.
struct Taken {
    what: String,
    gaps: Vec<Gap>,
}

impl Taken {
    fn median(&self) -> Option<Duration> {
        let mut all: Vec<Duration> = self.gaps.iter().map(|gap| gap.longest).collect();
        all.sort();
        all.get(all.len() / 2).copied()
    }

    fn worst(&self) -> Duration {
        self.gaps.iter().map(|gap| gap.longest).max().unwrap_or_default()
    }

    /// Failed connections in one run, on average.
    fn failed(&self) -> String {
        let all: usize = self.gaps.iter().map(|gap| gap.failed).sum();
        let mean = all / self.gaps.len();
        let rest = all * 10 / self.gaps.len() % 10;
        if rest == 0 { mean.to_string() } else { format!("{mean}.{rest}") }
    }

    fn cell(&self) -> String {
        if self.gaps.is_empty() {
            return "–".to_owned();
        }
        format!("{} ({}), {}", ms(self.median().unwrap_or_default()), ms(self.worst()), self.failed())
    }
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn measure(lab: &Lab, product: Product, timers: Timers) -> Vec<Taken> {
    let plan = Plan { product, method: Method::Direct, timers, private: false, ..Plan::OURS };
    let pair = Pair::in_service(lab, plan);
    let quiet = {
        let load = pair.hasty_load();
        let from = Instant::now();
        load.wait_for_served(400);
        Taken { what: "nothing happens".to_owned(), gaps: vec![gap_since(&load, from)] }
    };
    let mut all = vec![quiet];
    for (event, what) in EVENTS {
        let runs = if event == Event::Relocate && !product.can_relocate() { 0 } else { RUNS };
        let gaps = (0..runs).map(|_| run(&pair, event)).collect();
        all.push(Taken { what: what.to_owned(), gaps });
    }
    // From the end: one that was started again is the last, and not met twice.
    let places = (0..product.processes(&pair.directors[MASTER]).len()).rev();
    let gaps = places.map(|place| run(&pair, Event::Kill(place))).collect();
    all.push(Taken { what: "any one process killed, each in turn".to_owned(), gaps });
    all
}

fn run(pair: &Pair<'_>, event: Event) -> Gap {
    let gap = pair.measure(event);
    tell::figure(&format!("{:?} {:?} {event:?}: {gap}", pair.plan.product, pair.plan.timers));
    pair.settle();
    gap
}

fn table(theirs: &[Taken], ours: &[Taken]) -> String {
    let mut text = String::new();
    for (theirs, ours) in theirs.iter().zip(ours) {
        let ratio = match (theirs.median(), ours.median()) {
            (Some(theirs), Some(ours)) => format!("{:.2}", ours.as_secs_f64() / theirs.as_secs_f64().max(0.001)),
            (None, _) | (_, None) => "–".to_owned(),
        };
        let _ = writeln!(text, "| {} | {} | {} | {ratio} |", ours.what, theirs.cell(), ours.cell());
    }
    text
}

#[test]
#[ignore = "not a test: prints a table, in minutes"]
fn a_pair_beside_keepalived() {
    long_scenario(LIMIT, |lab| {
        for (timers, name) in [(Timers::Default, "default"), (Timers::Fastest, "fastest")] {
            let theirs = measure(lab, Product::Keepalived, timers);
            let ours = measure(lab, Product::Ours, timers);
            tell::figure(&format!(
                "\n| {name} timers: median gap (worst), failed | keepalived | piranha-ng | ratio |\n\
                 | --- | --- | --- | --- |\n{}",
                table(&theirs, &ours)
            ));
        }
    });
}
