//! What `lvsd --status` prints: a line for each virtual service, and one below it for
//! each of its real servers. It is answered in parts, of which each fits into a packet
//! of the line. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::orders::{Order, Orders};
use crate::wanted::{Monitor, Virtual, Wanted};

/// The longest part, in bytes, but for one line that is longer.
const PART_MAX: usize = 8 * 1024;

/// What is known of a real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether it is good, and its weight; `None`: not judged.
    pub verdict: Option<(bool, u32)>,
    /// For how long; `None`: this lvsd has not seen it change.
    pub since: Option<Duration>,
    /// How the last check failed, a line a step; a nanny says 2 KiB at most.
    pub why: Option<String>,
}

/// The lines from number `from` on, as many as fit, and the number of the next; `None`:
/// there is none.
pub fn part(
    wanted: &Wanted,
    orders: &Orders,
    withdrawn: &BTreeSet<IpAddr>,
    known: impl Fn(&Monitor) -> Known,
    from: usize,
) -> (String, Option<usize>) {
    let mut text = String::new();
    let lines = wanted.virtuals.iter().flat_map(|it| {
        let servers = it.monitors.iter().chain(&it.disabled);
        std::iter::once((it, None)).chain(servers.map(move |monitor| (it, Some(monitor))))
    });
    for (n, (it, monitor)) in lines.enumerate().skip(from) {
        if text.len() > PART_MAX {
            return (text, Some(n));
        }
        match monitor {
            None => service(it, withdrawn, &known, &mut text),
            Some(monitor) => server(monitor, orders.get(&monitor.target).copied(), known(monitor), &mut text),
        }
    }
    (text, None)
}

// Writing into a String cannot fail.

fn service(it: &Virtual, withdrawn: &BTreeSet<IpAddr>, known: &impl Fn(&Monitor) -> Known, text: &mut String) {
    let in_use = it.monitors.iter().filter(|monitor| matches!(known(monitor).verdict, Some((_, 1..)))).count();
    let all = it.monitors.len() + it.disabled.len();
    let vip = if it.vip.is_some_and(|vip| withdrawn.contains(&vip)) { ", virtual IP withdrawn" } else { "" };
    let _ = writeln!(text, "{} {}: {in_use} of {all} real servers in use{vip}", it.name, it.service.key);
}

fn server(monitor: &Monitor, order: Option<Order>, known: Known, text: &mut String) {
    let _ = write!(text, "  {}/{} {}: ", monitor.name, monitor.server, monitor.target.destination);
    let _ = match (order, known.verdict) {
        (Some(Order::Disabled), _) => write!(text, "disabled"),
        (_, None) => write!(text, "not judged"),
        (_, Some((true, weight))) => write!(text, "up, weight {weight}"),
        (_, Some((false, 0))) => write!(text, "down"),
        (_, Some((false, weight))) => write!(text, "down, kept in use with weight {weight}"),
    };
    if let (Some(since), None | Some(Order::Weight(_))) = (known.since, order) {
        let _ = write!(text, " for {}", roughly(since));
    }
    let _ = match order {
        None => Ok(()),
        Some(Order::Disabled) => write!(text, " by the operator"),
        Some(Order::Weight(0)) => write!(text, ", drained by the operator"),
        Some(Order::Weight(weight)) => {
            write!(text, ", weight {weight} by the operator, {} in the file", monitor.weight)
        }
    };
    text.push('\n');
    if let Some(why) = known.why {
        text.push_str("    the last check that failed:\n");
        for step in why.lines() {
            let _ = writeln!(text, "      {step}");
        }
    }
}

/// The two largest units.
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests;
