//! The options that look at a configuration file and do nothing: `--check`,
//! `--dump`, `--convert`. What is typed is read and judged here; the looking is
//! [`common::inspection`]'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::inspection::{self, Format, Inspector, coloured};

use crate::args::{Args, DEFAULT_FILE};

/// What was typed of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Inspect {
    /// Check FILE: print every problem with its line and what to do, then one line that sums up, with the
    /// configuration's fingerprint; exit 0 (there may be warnings) or 78
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub check: Option<Option<PathBuf>>,

    /// Print what FILE means, with every default, included file and resolved name
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub dump: Option<Option<PathBuf>>,

    /// Print lvs.cf as TOML, or TOML as lvs.cf, with its comments
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub convert: Option<Option<PathBuf>>,

    /// FILE is TOML, whatever its name: of use with the standard input
    #[arg(long)]
    pub toml: bool,

    /// How --check answers: text for people, json for programs
    #[arg(long, value_name = "text|json", value_parser = ["text", "json"], hide_possible_values = true)]
    pub format: Option<String>,

    /// What --check, --dump or --convert looks at instead of the file of -c; - is the standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `--check`
    Check {
        /// `--format json`
        json: bool,
    },
    /// `--dump`
    Dump,
    /// `--convert`
    Convert,
}

/// A look at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look<'a> {
    /// What is wanted of it.
    pub what: What,
    /// The file.
    pub file: &'a Path,
    /// It is TOML whatever its name.
    pub toml: bool,
}

/// Which look the command line asks for, if any.
///
/// # Errors
/// What does not go together, in words.
pub fn asked(args: &Args) -> Result<Option<Look<'_>>, String> {
    let Inspect { check, dump, convert, toml, format, file } = &args.inspect;
    let json = format.as_deref() == Some("json");
    let all =
        [("--check", check, What::Check { json }), ("--dump", dump, What::Dump), ("--convert", convert, What::Convert)];
    let mut given = all.into_iter().filter_map(|(name, value, what)| Some((name, value.as_ref()?, what)));
    let Some((name, named, what)) = given.next() else {
        return match (file, toml, format) {
            (Some(_), _, _) => Err("unexpected arguments".to_owned()),
            (None, true, _) => Err("bad argument --toml: it belongs to --check, --dump or --convert".to_owned()),
            (None, false, Some(_)) => Err("bad argument --format: it belongs to --check".to_owned()),
            (None, false, None) => Ok(None),
        };
    };
    let other = given.next().map(|(other, ..)| other).or(args.test_start.then_some("--test-start"));
    let other = other.or(args.plan.is_some().then_some("--plan"));
    if let Some(other) = other {
        return Err(format!("bad argument {other}: it does not go together with {name}"));
    }
    if format.is_some() && !matches!(what, What::Check { .. }) {
        return Err(format!("bad argument --format: it belongs to --check, not to {name}"));
    }
    let places = (args.configfile.as_path(), Path::new(DEFAULT_FILE));
    let file = inspection::file(named.as_deref(), file.as_deref(), places)
        .map_err(|text| format!("bad argument {name}: {text}"))?;
    Ok(Some(Look { what, file, toml: *toml }))
}

/// Looks, and prints what it sees.
pub(crate) fn look(Look { what, file, toml }: Look<'_>) -> ExitCode {
    let inspector = Inspector::new(file, toml);
    let of_problems = coloured(&std::io::stderr());
    let inspection = match what {
        What::Check { json: true } => inspector.check(Format::Json, |_| None),
        What::Check { json: false } => inspector.check(Format::Text { colour: coloured(&std::io::stdout()) }, |_| None),
        What::Dump => inspector.dump(of_problems),
        What::Convert => inspector.convert(of_problems),
    };
    inspection.print("lvs").into()
}

#[cfg(test)]
mod tests;
