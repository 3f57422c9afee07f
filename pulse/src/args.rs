//! What was typed: the original's command line (piranha.md 2.1), long and short
//! forms, and the few options that are new. No I/O, no checks against the world.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::{ArgAction, CommandFactory as _, Parser};
use common::daemon::ExitStatus;

use crate::control;
use crate::inspect::{self, Inspect};

/// Where the configuration is unless -c says otherwise.
pub const CONFIG_FILE: &str = "/etc/sysconfig/ha/lvs.cf";

/// Heartbeat and addresses of a Linux director: starts lvsd, raises the virtual
/// IPs and announces them.
// The flags are the original's; each stands alone.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "pulse",
    override_usage = "pulse [-ntv] [-c FILE] [OPTION]...\n       pulse --check [FILE]\n       pulse --relocate | --release | --restore | --status",
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    after_help = "Exit status: 0 asked to stop, 64 usage, 70 bug, 71 system call, 77 permission, 78 configuration."
)]
pub struct Args {
    /// Read the configuration from FILE
    #[arg(short = 'c', long, value_name = "FILE", default_value = CONFIG_FILE)]
    pub configfile: PathBuf,

    /// Stay in the foreground and write messages to stdout instead of syslog
    #[arg(short, long)]
    pub nodaemon: bool,

    /// Stay in the foreground and write messages to syslog, as systemd wants it
    #[arg(long)]
    pub foreground: bool,

    /// Print what would be done, and change nothing
    #[arg(short, long, visible_alias = "norun")]
    pub test_start: bool,

    /// Write DEBUG messages too, and start lvsd with -v
    #[arg(short, long)]
    pub verbose: bool,

    /// Become active at once, without listening for the partner (a single director always does)
    #[arg(long)]
    pub forceactive: bool,

    /// Take over from the pulse that runs, without letting go of anything
    #[arg(long, conflicts_with_all = ["nodaemon", "foreground", "test_start"])]
    pub restart: bool,

    /// Ask the pulse that runs to end and leave everything as it is; its supervisor starts another
    #[arg(long, conflicts_with_all = ["nodaemon", "foreground", "test_start", "restart"])]
    pub detach: bool,

    /// The lvsd to start instead of the one beside pulse or in /usr/sbin
    #[arg(long, value_name = "PATH", visible_alias = "lvs")]
    pub lvsd: Option<PathBuf>,

    /// Accepted for compatibility: there is no fos
    #[arg(long, value_name = "PATH")]
    pub fos: Option<PathBuf>,

    /// The syslog facility messages are written with
    #[arg(long, value_name = "NAME", default_value = "daemon", value_parser = facility_name)]
    pub log_facility: String,

    /// Ask the pulse that runs to give the virtual IPs to the other director, or to fetch them; what is open stays
    #[arg(long)]
    pub relocate: bool,

    /// Ask the pulse that runs to hand over and stay the standby until --restore
    #[arg(long)]
    pub release: bool,

    /// Ask the pulse that runs to take part again
    #[arg(long)]
    pub restore: bool,

    /// Print how the pulse that runs and its partner stand
    #[arg(long)]
    pub status: bool,

    /// Print version information
    #[arg(long)]
    pub version: bool,

    /// Print this text
    #[arg(short = '?', long)]
    pub help: bool,

    /// Print a short text
    #[arg(long)]
    pub usage: bool,

    /// This process is the guardian; set by pulse itself
    #[arg(long, hide = true, action = ArgAction::SetTrue, conflicts_with = "worker")]
    pub guard: bool,

    /// This process does the work; set by the guardian
    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    pub worker: bool,

    /// To look at a file and do nothing else.
    #[command(flatten, next_help_heading = "To look at a file and do nothing else")]
    pub inspect: Inspect,
}

fn facility_name(name: &str) -> Result<String, String> {
    common::log::facility(name).map(|_| name.to_owned())
}

/// An answer instead of a run: text for stdout (status 0) or stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text, with its newline.
    pub text: String,
    /// How the process exits.
    pub status: ExitStatus,
}

/// Understands a command line, the program's name first.
///
/// # Errors
/// Help and version (status 0), and what cannot be understood (64), in the words
/// of the original.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Args, Answer> {
    let args = Args::try_parse_from(line).map_err(|e| refused(&e))?;
    let answer = |text| Err(Answer { text, status: ExitStatus::Stopped });
    if args.help {
        return answer(Args::command().render_help().to_string());
    }
    if args.usage {
        return answer(format!("{}\n", Args::command().render_usage()));
    }
    if args.version {
        return answer(common::daemon::version("pulse"));
    }
    let wrong = |text| Answer { text: format!("pulse: {text}\n"), status: ExitStatus::Usage };
    inspect::asked(&args).map_err(wrong)?;
    control::asked(&args).map_err(wrong)?;
    Ok(args)
}

#[allow(clippy::wildcard_enum_match_arm)] // clap's list is open
fn refused(error: &clap::Error) -> Answer {
    let context = |kind| error.get(kind).map(ToString::to_string);
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    // "-c <FILE>" is the option -c to whoever typed it
    let argument = argument.split_whitespace().next().unwrap_or_default().trim_end_matches('=').to_owned();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    let text = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => format!("bad argument {argument}: unknown option"),
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => "unexpected arguments".to_owned(),
        ErrorKind::InvalidValue if value.is_empty() => format!("bad argument {argument}: missing argument"),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            format!("bad argument {argument}: invalid value \"{value}\"")
        }
        ErrorKind::TooFewValues | ErrorKind::NoEquals | ErrorKind::WrongNumberOfValues => {
            format!("bad argument {argument}: missing argument")
        }
        // Whatever else clap finds, in its own words.
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Answer { text: format!("pulse: {text}\n"), status: ExitStatus::Usage }
}

impl Args {
    /// The arguments of the process that does the work, or of its guardian, so
    /// that it means the same as this one.
    pub fn passed_on(&self, flag: &str) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![flag.into(), "-c".into(), self.configfile.clone().into()];
        line.extend(self.verbose.then(|| "-v".into()));
        line.extend(self.forceactive.then(|| "--forceactive".into()));
        let path = |name: &str, path: &Path| {
            let mut option = OsString::from(name);
            option.push(path);
            option
        };
        line.extend(self.lvsd.as_deref().map(|it| path("--lvsd=", it)));
        line.extend(self.fos.as_deref().map(|it| path("--fos=", it)));
        line.push(format!("--log-facility={}", self.log_facility).into());
        line
    }

    /// lvsd's arguments, as the original gave them (piranha.md 2.4).
    pub fn for_lvsd(&self) -> Vec<OsString> {
        let mode = if self.nodaemon { "--nodaemon" } else { "--nofork" };
        let mut line: Vec<OsString> = vec![mode.into(), "-c".into(), self.configfile.clone().into()];
        line.extend(self.verbose.then(|| "-v".into()));
        if self.log_facility != "daemon" {
            line.push(format!("--log-facility={}", self.log_facility).into());
        }
        line
    }
}

#[cfg(test)]
mod tests;
