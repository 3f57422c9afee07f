//! lvsd: sets up the virtual services of the configuration in the kernel's IPVS
//! table and keeps one nanny per real server running.
//!
//! pulse starts it and listens to it; it never adds a real server (nanny does)
//! and never touches an interface (pulse does). What it does not do either: flush
//! the table, touch a service that is not configured, or take anything away
//! because a process died.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`args`] | what was typed |
//! | [`inspect`] | `--check`, `--dump`, `--convert` |
//! | [`mod@file`] | the configuration file, or words about why not |
//! | [`hosts`] | the addresses that host names had last |
//! | [`asking`] | host names that are looked up for a reload |
//! | [`failover`] | `service = fos`: the same without IPVS, for services of this host |
//! | [`wanted`] | pure: what the file asks of lvsd |
//! | [`nanny_command`] | pure: a nanny's arguments, both ways |
//! | [`plan`] | pure: what should be, what is → steps |
//! | [`departure`] | pure: how what runs and is not wanted goes |
//! | [`leaver`] | pure: what left the file and stays in the kernel for a while |
//! | [`preview`] | pure: all of it at once, for `--plan` |
//! | [`floor`] | pure: who stays in use whatever checks say |
//! | [`quorum`] | pure: whether a virtual has as many servers as it needs |
//! | [`withdrawal`] | pure: which virtual IPs nothing behind serves |
//! | [`scripts`] | pure: which of the operator's scripts run |
//! | [`sorry`] | pure: when the sorry server stands in |
//! | [`orders`] | pure: what operators want of single servers |
//! | [`status`] | pure: what `--status` prints |
//! | [`ledger`] | which services an lvsd made, for its successor |
//! | [`services`] | the virtual services between two looks |
//! | [`mod@slice`] | pure: how much of what is long is done in one turn |
//! | [`nannies`] | the nannies: a machine and a line for each |
//! | [`renewal`] | pure: nannies of an old program, replaced a few at a time |
//! | [`parents`] | the lines to those who watch lvsd |
//! | `start` | from the command line to the loop |
//! | [`run`] | the one loop, and what it does for either kind of service |
//! | [`hands`] | the one place that acts |
//! | [`messages`] | everything it can log |
#![forbid(unsafe_code)]

pub mod args;
pub mod asking;
pub mod departure;
pub mod failover;
pub mod file;
pub mod floor;
pub mod hands;
pub mod hosts;
pub mod inspect;
pub mod leaver;
pub mod ledger;
pub mod messages;
pub mod nannies;
pub mod nanny_command;
pub mod orders;
pub mod parents;
pub mod plan;
pub mod preview;
pub mod quorum;
pub mod renewal;
pub mod run;
pub mod scripts;
pub mod services;
pub mod slice;
pub mod sorry;
mod start;
pub mod status;
pub mod wanted;
pub mod withdrawal;

use common::command::starter;
use common::names;

/// The whole program: from the command line to the exit code.
pub fn main() -> std::process::ExitCode {
    common::daemon::shed_inheritance();
    if let Some(ended) = starter::asked().or_else(names::asked) {
        return ended;
    }
    match args::parse(std::env::args_os()) {
        args::Asked::Print(text) => start::print(&text),
        args::Asked::Wrong(text) => start::complain(&text, common::daemon::ExitStatus::Usage),
        args::Asked::Run(args) => start::start(&args),
    }
}
