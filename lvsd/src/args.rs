//! lvsd's command line: the original's (piranha.md 3.1) and what is ours.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

use crate::inspect::{self, Inspect};

/// Where the file has been since 1999.
pub const DEFAULT_FILE: &str = "/etc/sysconfig/ha/lvs.cf";

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "lvsd",
    about = "Sets up the virtual services of lvs.cf in the kernel's IPVS table and keeps one nanny per real server running.",
    override_usage = "lvsd [-ntv] [-c FILE] [OPTION]...\n       lvsd --check|--dump|--convert [FILE]",
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = "Exit status: 0 asked to stop, 64 usage, 70 bug, 71 system call, 77 permission, 78 configuration."
)]
pub struct Args {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub configfile: PathBuf,

    /// Say more; the nannies are started with -v
    #[arg(short, long)]
    pub verbose: bool,

    /// Stay in the foreground; lines go to stdout instead of syslog
    #[arg(short, long)]
    pub nodaemon: bool,

    /// Stay the child of the process that started it; lines go to syslog
    #[arg(long)]
    pub nofork: bool,

    /// Print what would be done and do nothing
    #[arg(short, long)]
    pub test_start: bool,

    /// Print what a reload with FILE (the configuration file by default) would do now, in
    /// order, or a start if no lvsd runs, and do nothing
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub plan: Option<Option<PathBuf>>,

    /// Print the virtual services and their real servers as the running lvsd sees them
    #[arg(long)]
    pub status: bool,

    /// The real server that --drain, --disable, --enable or --weight is about: VIRTUAL/SERVER by
    /// their names, or VIP:PORT/RIP:PORT as the kernel has them
    #[arg(long, value_name = "SERVER", requires = "order")]
    pub server: Option<String>,

    /// Give it weight 0: no new connections
    #[arg(long, requires = "server", group = "order")]
    pub drain: bool,

    /// Take it out of the table, and do not check it
    #[arg(long, requires = "server", group = "order")]
    pub disable: bool,

    /// Take --drain, --disable or --weight back
    #[arg(long, requires = "server", group = "order")]
    pub enable: bool,

    /// Give it this weight instead of the file's
    #[arg(long, value_name = "WEIGHT", requires = "server", group = "order")]
    pub weight: Option<u16>,

    /// Syslog facility: daemon, local0 to local7, ...
    #[arg(long, value_name = "NAME")]
    pub log_facility: Option<String>,

    /// Print the version
    #[arg(long)]
    pub version: bool,

    /// Print help
    #[arg(short = '?', long, visible_alias = "usage", action = ArgAction::Help)]
    pub help: Option<bool>,

    /// To look at a file and do nothing else.
    #[command(flatten, next_help_heading = "To look at a file and do nothing else")]
    pub inspect: Inspect,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To run like this.
    Run(Box<Args>),
    /// Only to print this, help or version.
    Print(String),
    /// Nothing that is understood; the text says why.
    Wrong(String),
}

/// Reads a command line, the program's name included.
pub fn parse<I>(line: I) -> Asked
where
    I: IntoIterator,
    I::Item: Into<std::ffi::OsString> + Clone,
{
    match Args::try_parse_from(line) {
        Ok(args) if args.version => Asked::Print(common::daemon::version("lvs")),
        Ok(args) => match inspect::asked(&args) {
            Ok(_) => Asked::Run(Box::new(args)),
            Err(text) => Asked::Wrong(format!("lvs: {text}")),
        },
        Err(e) if e.use_stderr() => Asked::Wrong(wording(&e)),
        Err(e) => Asked::Print(e.to_string()),
    }
}

/// `lvs: bad argument X: REASON` and `lvs: unexpected arguments`, as the original
/// said.
fn wording(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let text = |kind| error.get(kind).map(ToString::to_string);
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    if error.kind() == ErrorKind::UnknownArgument && !argument.starts_with('-') {
        return "lvs: unexpected arguments".to_owned();
    }
    let whole = error.to_string();
    let reason = whole.lines().next().unwrap_or_default().trim_start_matches("error: ");
    format!("lvs: bad argument {argument}: {reason}")
}

#[cfg(test)]
mod tests;
