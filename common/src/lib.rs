//! What at least two of the three daemons share today, and nothing else.
//!
//! | module | what it is | used by |
//! | --- | --- | --- |
//! | [`channel`] | the line between a parent daemon and its child, and the place where a new parent finds it again | pulse, lvsd, nanny |
//! | [`check`] | the words of health checks: kinds, options, texts with a form of their own | lvsd (and pulse, by `config`), nanny |
//! | [`child`] | the life of one supervised child, as a pure machine | pulse (lvsd and its own worker), lvsd (nannies) |
//! | [`command`] | a command of the operator's, run in a group of its own with a deadline, whatever its file system does | pulse, lvsd, nanny |
//! | [`config`] | the configuration: lvs.cf and TOML in, one complete model or all the errors out | pulse, lvsd |
//! | [`daemon`] | going to the background, pid files, exit codes, the place of the siblings | pulse, lvsd, nanny |
//! | [`destinations`] | what is said on the line about single ones of several destinations | lvsd, nanny |
//! | [`hash`] | a number for a text, the same in every version | lvsd, nanny (and pulse, by `config`) |
//! | [`inspection`] | a configuration file looked at without running it: checked, dumped, converted | pulse, lvsd |
//! | [`ipvs`] | virtual services and destinations of the kernel, by generic netlink | lvsd, nanny, pulse (sync daemon) |
//! | [`log`] | levels, the sinks a line goes to; no wording | pulse, lvsd, nanny |
//! | [`names`] | the host names of a configuration, looked up by a process of its own | pulse, lvsd |
//! | [`netlink`] | one request and its replies; generic netlink and the few rtnetlink verbs | under `ipvs`; pulse |
//! | [`process`] | signals by process id, and the ends of children | pulse, lvsd |
//! | [`state`] | a small file for a successor, replaced in one step | pulse, lvsd |
//!
//! A module comes in only if two daemons use it today, it has a noun for a name,
//! it does not log, exit, or know which daemon calls it, and its errors are its
//! own. It leaves with its second user. Not here: the heartbeat and ARP (pulse),
//! probes (nanny), plans (lvsd), any daemon's messages.
#![forbid(unsafe_code)]

pub mod channel;
pub mod check;
pub mod child;
pub mod command;
#[cfg(feature = "config")]
pub mod config;
pub mod daemon;
pub mod destinations;
pub mod hash;
#[cfg(feature = "config")]
pub mod inspection;
pub mod ipvs;
pub mod log;
#[cfg(feature = "config")]
pub mod names;
pub mod netlink;
pub mod process;
pub mod state;
