//! pulse: decides whether this director is active, and holds its addresses.
//!
//! ```text
//! init ─► pulse-guard ─► pulse ─► lvsd
//!          guard.rs       run.rs    common::child keeps it
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | [`args`] | what was typed |
//! | [`inspect`] | `--check` |
//! | [`control`], [`wish`] | `--relocate` and the like: what an operator wants of the pulse that runs |
//! | [`settings`], [`identity`] | pure: what the file means for us, and who this host is |
//! | [`node`] | pure: the director's life; events in, actions out; in a pair with its part in the election |
//! | [`addresses`], [`ledger`] | which addresses are ours to hold, and which we added |
//! | [`election`], [`heartbeat`], [`replay`] | pure: which director of a pair is active, and what the two tell each other |
//! | [`check`] | pure: when `check_cmd` is run, and what its outcomes mean |
//! | [`notify`] | pure: which events the operator's programs are told of, and how |
//! | [`announce`], [`arp`] | pure: when an address is announced, and with which bytes |
//! | [`sync`] | pure: which half of the connection synchronisation runs |
//! | [`lease`] | pure: how long the kernel keeps the addresses of a pulse that is gone |
//! | [`linger`] | pure: how packets are served that come late, when the addresses are gone |
//! | [`claimants`], [`sieve`] | pure: who else claims them, and what of the network is heard at all |
//! | [`witness`], [`icmp`], [`links`] | pure: whether it is us who is cut off |
//! | [`start`], [`run`], [`hands`] | the start, the one loop, the one place that acts |
//! | [`fenced`] | sends and hears frames, and asks for realtime; the only unsafe code of the suite |
//! | [`guard`] | the guardian that keeps pulse alive where init does not |
//! | [`supervisor`], [`detach`] | where systemd does: what it is told, and how a restart asks for everything to stay |
//! | [`messages`] | everything it can say |
//!
//! Invariants: no address is raised before lvsd is ready (or has had its time);
//! none is removed that pulse did not add; a death, of whichever process, removes
//! nothing; no interface goes up or down.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::command::starter;
use common::daemon::{self, Background, ExitStatus};
use common::names;

pub mod addresses;
pub mod announce;
pub mod args;
pub mod arp;
pub mod check;
pub mod claimants;
pub mod control;
pub mod detach;
pub mod election;
pub mod fenced;
pub mod guard;
pub mod hands;
pub mod heartbeat;
pub mod icmp;
pub mod identity;
pub mod inspect;
pub mod lease;
pub mod ledger;
pub mod linger;
pub mod links;
pub mod messages;
pub mod node;
pub mod notify;
pub mod ready;
pub mod replay;
pub mod run;
pub mod settings;
pub mod sieve;
pub mod start;
pub mod supervisor;
pub mod sync;
pub mod wish;
pub mod withdrawal;
pub mod witness;

/// How long the command waits for the outcome of a start: reading the file and
/// starting lvsd take a moment even on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// The program.
pub fn main() -> ExitCode {
    daemon::shed_inheritance();
    if let Some(ended) = starter::asked().or_else(names::asked) {
        return ended;
    }
    let mut args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(answer) => {
            // Nobody who reads is nobody to tell.
            let _ = if answer.status == ExitStatus::Stopped {
                write!(std::io::stdout(), "{}", answer.text)
            } else {
                write!(std::io::stderr(), "{}", answer.text)
            };
            return answer.status.into();
        }
    };
    if let Ok(Some(look)) = inspect::asked(&args) {
        return inspect::look(look).into();
    }
    if let Ok(Some(wish)) = control::asked(&args) {
        return control::carry_out(wish).into();
    }
    if let Ok(path) = std::path::absolute(&args.configfile) {
        // The background has another folder to be in.
        args.configfile = path;
    }
    if args.test_start {
        return rehearse(&args).into();
    }
    if args.detach {
        return detach::detach(&run::log(&args)).into();
    }
    if args.worker || args.nodaemon || args.foreground {
        return run::run(args).into();
    }
    if args.guard {
        return guard::run(args, None).into();
    }
    // A caller that ignores its children has us ignore ours, and the outcome of the
    // start would be lost. Failing that, it is.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGCHLD, Arc::default());
    match daemon::background(START_WITHIN) {
        Ok(Background::Foreground(status)) => status.into(),
        Ok(Background::Daemon(launch)) => guard::run(args, Some(launch)).into(),
        Err(e) if e.kind() == std::io::ErrorKind::TimedOut => {
            start::Refused::not_up(START_WITHIN).say(&run::log(&args));
            ExitStatus::System.into()
        }
        Err(e) => {
            start::Refused::system("go to the background", &e).say(&run::log(&args));
            ExitStatus::System.into()
        }
    }
}

fn rehearse(args: &args::Args) -> ExitStatus {
    let log = run::log(args);
    match start::rehearse(args, &log) {
        Ok(()) => ExitStatus::Stopped,
        Err(refused) => {
            refused.say(&log);
            refused.status
        }
    }
}

#[cfg(test)]
mod tests {
    /// Decisions take time and the world as arguments.
    #[test]
    fn the_pure_files_ask_neither_clock_nor_system() {
        let files = [
            ("addresses", include_str!("addresses.rs")),
            ("announce", include_str!("announce.rs")),
            ("arp", include_str!("arp.rs")),
            ("check", include_str!("check.rs")),
            ("claimants", include_str!("claimants.rs")),
            ("icmp", include_str!("icmp.rs")),
            ("identity", include_str!("identity.rs")),
            ("notify", include_str!("notify.rs")),
            ("lease", include_str!("lease.rs")),
            ("links", include_str!("links.rs")),
            ("node", include_str!("node.rs")),
            ("node/vips", include_str!("node/vips.rs")),
            ("node/children", include_str!("node/children.rs")),
            ("node/pair", include_str!("node/pair.rs")),
            ("settings", include_str!("settings.rs")),
            ("sync", include_str!("sync.rs")),
            ("wish", include_str!("wish.rs")),
            ("sieve", include_str!("sieve.rs")),
            ("witness", include_str!("witness.rs")),
        ];
        for (name, text) in files {
            for forbidden in
                ["::now(", "std::fs", "std::env", "std::process", "std::io", "cfg!(test)", "nix::", ".say("]
            {
                assert!(!text.contains(forbidden), "{name}.rs has {forbidden}");
            }
        }
    }
}
