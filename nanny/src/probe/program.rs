//! A check by the operator's program: its command line and the judgement of how it
//! ended. Pure; the process itself is [`crate::hands::process`]'s.
//!
//! The command line is split at blanks, without quotes and without a shell; a word
//! that is exactly `%h` becomes the real server's address, exactly `%p` the port
//! where checks go (piranha.md 1.6). Deliberate changes to the original: a program
//! that exits with a status other than 0 has failed, and of the output one line
//! end is cut off instead of one byte, so `echo -n OK` says OK.

use std::ffi::CString;
use std::net::SocketAddr;

use common::child::Exit;

use super::Outcome;

/// How much output is compared, in bytes; the original's limit. A program that
/// prints more is killed.
pub const OUTPUT_MAX: usize = 4095;

/// What makes a program's end a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Good {
    /// This output, as `send_program` has it; `None`: nothing ever is.
    Output(Option<Vec<u8>>),
    /// Exit status 0.
    Status,
    /// Exit status 0, or 2 to 254, which says the weight: 2 less than it
    /// (keepalived's MISC_CHECK with misc_dynamic). 255 is what ssh and others
    /// exit with when they fail, so it is no weight.
    Weight,
}

/// The program and what its good end is.
#[derive(Debug)]
pub struct Command {
    words: Vec<CString>,
    good: Good,
}

impl Command {
    /// The words of `line` for this real server.
    pub fn new(line: &[u8], real: SocketAddr, good: Good) -> Self {
        let word = |word: &[u8]| match word {
            b"%h" => CString::new(real.ip().to_string()),
            b"%p" => CString::new(real.port().to_string()),
            // A word came as an argument, so it holds no NUL.
            word => CString::new(word),
        };
        let words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
        Self { words: words.filter_map(|bytes| word(bytes).ok()).collect(), good }
    }

    /// The words, the program's name first; none: there is nothing to run.
    pub fn words(&self) -> &[CString] {
        &self.words
    }

    /// The whole command line, for the log.
    pub fn line(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// How the check ended, given how the program did and what it printed; and the
    /// weight it asks for.
    pub fn judge(&self, exit: Exit, output: &[u8]) -> (Outcome, Option<u32>) {
        match &self.good {
            Good::Output(expect) => (self.judge_output(expect.as_deref(), exit, output), None),
            Good::Status | Good::Weight if exit == Exit::Status(0) => (Outcome::Good, None),
            Good::Weight => match exit {
                Exit::Status(status @ 2..=254) => (Outcome::Good, u32::try_from(status - 2).ok()),
                Exit::Status(_) | Exit::Signal(_) | Exit::Unknown => (Outcome::ProgramFailed(self.line(), exit), None),
            },
            Good::Status => (Outcome::ProgramFailed(self.line(), exit), None),
        }
    }

    /// Whether what it prints beyond the limit is a failure.
    pub fn is_read(&self) -> bool {
        matches!(self.good, Good::Output(_))
    }

    fn judge_output(&self, expect: Option<&[u8]>, exit: Exit, output: &[u8]) -> Outcome {
        let Some(expect) = expect else {
            return if exit == Exit::Status(0) { Outcome::NothingExpected } else { Outcome::ProgramForNothing };
        };
        if exit != Exit::Status(0) {
            return Outcome::ProgramFailed(self.line(), exit);
        }
        if output.strip_suffix(b"\n").unwrap_or(output) == expect {
            Outcome::Good
        } else if output.is_empty() {
            Outcome::ProgramSilent
        } else {
            Outcome::Unexpected
        }
    }
}

#[cfg(test)]
mod tests;
