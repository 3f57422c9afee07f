//! `--check`: the options that look at a configuration file and do nothing. What
//! is typed is read and judged here; the looking is [`common::inspection`]'s.

use std::io;
use std::path::{Path, PathBuf};

use common::config::Config;
use common::daemon::ExitStatus;
use common::inspection::{self, Format, Inspector, coloured};

use crate::args::{Args, CONFIG_FILE};
use crate::settings::Settings;

/// What was typed of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Inspect {
    /// Check FILE: print every problem with its line and what to do, then one line that sums up, with the
    /// configuration's fingerprint; exit 0 (there may be warnings) or 78
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub check: Option<Option<PathBuf>>,

    /// FILE is TOML, whatever its name: of use with the standard input
    #[arg(long)]
    pub toml: bool,

    /// How --check answers: text for people, json for programs
    #[arg(long, value_name = "text|json", value_parser = ["text", "json"], hide_possible_values = true)]
    pub format: Option<String>,

    /// What --check looks at instead of the file of -c; - is the standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// A look at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look<'a> {
    /// The file.
    pub file: &'a Path,
    /// It is TOML whatever its name.
    pub toml: bool,
    /// `--format json`
    pub json: bool,
}

/// Which look the command line asks for, if any.
///
/// # Errors
/// What does not go together, in words.
pub fn asked(args: &Args) -> Result<Option<Look<'_>>, String> {
    let Inspect { check, toml, format, file } = &args.inspect;
    let Some(named) = check else {
        return match (file, toml, format) {
            (Some(_), _, _) => Err("unexpected arguments".to_owned()),
            (None, true, _) => Err("bad argument --toml: it belongs to --check".to_owned()),
            (None, false, Some(_)) => Err("bad argument --format: it belongs to --check".to_owned()),
            (None, false, None) => Ok(None),
        };
    };
    if args.test_start {
        return Err("bad argument --test-start: it does not go together with --check".to_owned());
    }
    let places = (args.configfile.as_path(), Path::new(CONFIG_FILE));
    let file = inspection::file(named.as_deref(), file.as_deref(), places)
        .map_err(|text| format!("bad argument --check: {text}"))?;
    Ok(Some(Look { file, toml: *toml, json: format.as_deref() == Some("json") }))
}

/// Looks, and prints what it sees.
pub(crate) fn look(Look { file, toml, json }: Look<'_>) -> ExitStatus {
    let format = if json { Format::Json } else { Format::Text { colour: coloured(&io::stdout()) } };
    Inspector::new(file, toml).check(format, refusal).print("pulse")
}

/// Why pulse does not start with a good file.
fn refusal(config: &Config) -> Option<String> {
    Settings::new(config).err().map(|message| message.to_string())
}

#[cfg(test)]
mod tests;
