//! What operators want of single real servers, beside the file: weight 0 or another
//! one, or out of the table. It counts until it is taken back or its server leaves the
//! file; the ledger keeps it for the next lvsd. Pure.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use common::destinations::Assignment;

use crate::nanny_command;
use crate::wanted::{Monitor, Target, Virtual, Wanted};

/// What is to be done with a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No nanny watches it, and it is not in the table.
    Disabled,
    /// It has this weight instead of the file's.
    Weight(u32),
}

/// All of them.
pub type Orders = BTreeMap<Target, Order>;

/// The order in an operator's words: `drain`, `disable`, `weight=N`, or `enable`, which
/// is none.
///
/// # Errors
/// It is none of these, in words.
pub fn order(what: &str) -> Result<Option<Order>, String> {
    match (what, what.strip_prefix("weight=").map(str::parse::<u16>)) {
        ("drain", _) => Ok(Some(Order::Weight(0))),
        ("disable", _) => Ok(Some(Order::Disabled)),
        ("enable", _) => Ok(None),
        (_, Some(Ok(weight))) => Ok(Some(Order::Weight(weight.into()))),
        (_, Some(Err(_)) | None) => Err(format!("\"{what}\" is no order")),
    }
}

/// Has the wish follow the orders, whatever orders it followed before. Orders about
/// servers that are not in it are forgotten.
pub fn obey(wanted: &mut Wanted, orders: &mut Orders) {
    let mut known = HashSet::new();
    let Wanted { virtuals, inactive, .. } = wanted;
    for wanted in virtuals {
        let all = std::mem::take(&mut wanted.monitors).into_iter().chain(std::mem::take(&mut wanted.disabled));
        for monitor in all {
            let target = monitor.target;
            known.insert(target);
            inactive.remove(&target);
            match orders.get(&target) {
                None => wanted.monitors.push(weighing(monitor, None)),
                Some(Order::Weight(weight)) => wanted.monitors.push(weighing(monitor, Some(*weight))),
                Some(Order::Disabled) => {
                    inactive.insert(target, monitor.drain.unwrap_or(wanted.drain));
                    wanted.disabled.push(monitor);
                }
            }
        }
    }
    orders.retain(|target, _| known.contains(target));
}

/// With this weight, or the file's.
fn weighing(monitor: Rc<Monitor>, weight: Option<u32>) -> Rc<Monitor> {
    let weight = weight.unwrap_or(monitor.weight);
    if let Some(told) = monitor.assignment {
        let assignment = Some(Assignment { weight, ..told });
        return if told.weight == weight { monitor } else { Rc::new(Monitor { assignment, ..(*monitor).clone() }) };
    }
    let arguments = nanny_command::with_weight(&monitor.arguments, weight);
    if arguments == monitor.arguments { monitor } else { Rc::new(Monitor { arguments, ..(*monitor).clone() }) }
}

/// The real server that is called so: `VIRTUAL/SERVER` by their names in the file, as
/// the log has them, or as the kernel has them `ADDRESS:PORT/ADDRESS:PORT`, with
/// `MARK` for a mark's, and with the protocol before it where two are on one port:
/// `udp ADDRESS:PORT/ADDRESS:PORT`.
///
/// # Errors
/// None or several, in words that name two of them.
pub fn find<'a>(wanted: &'a Wanted, called: &str) -> Result<&'a Rc<Monitor>, String> {
    let is_it = |of: &Virtual, monitor: &Monitor| {
        let whole = monitor.target.service.to_string();
        let short = whole.strip_suffix(" (IPv6)").unwrap_or(&whole).rsplit(' ').next().unwrap_or_default();
        called.strip_prefix(&of.name).and_then(|rest| rest.strip_prefix('/')) == Some(&monitor.server)
            || called == in_kernels_words(monitor)
            || called == format!("{short}/{}", monitor.target.destination)
    };
    let of = |it: &'a Virtual| it.monitors.iter().chain(&it.disabled).filter(move |monitor| is_it(it, monitor));
    let mut found = wanted.virtuals.iter().flat_map(of);
    match (found.next(), found.next()) {
        (None, _) => Err(format!("no active real server is called \"{called}\"")),
        (Some(monitor), None) => Ok(monitor),
        (Some(one), Some(other)) => {
            let (one, other) = (in_kernels_words(one), in_kernels_words(other));
            Err(format!("several real servers are called \"{called}\": say \"{one}\", \"{other}\""))
        }
    }
}

fn in_kernels_words(monitor: &Monitor) -> String {
    format!("{}/{}", monitor.target.service, monitor.target.destination)
}

#[cfg(test)]
mod tests;
