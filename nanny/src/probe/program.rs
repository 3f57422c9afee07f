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

/// The program and what it should print.
#[derive(Debug)]
pub struct Command {
    words: Vec<CString>,
    expect: Option<Vec<u8>>,
}

impl Command {
    /// The words of `line` for this real server.
    pub fn new(line: &[u8], real: SocketAddr, expect: Option<Vec<u8>>) -> Self {
        let word = |word: &[u8]| match word {
            b"%h" => CString::new(real.ip().to_string()),
            b"%p" => CString::new(real.port().to_string()),
            // A word came as an argument, so it holds no NUL.
            word => CString::new(word),
        };
        let words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
        Self { words: words.filter_map(|bytes| word(bytes).ok()).collect(), expect }
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

    /// How the check ended, given how the program did and what it printed.
    pub fn judge(&self, exit: Exit, output: &[u8]) -> Outcome {
        let Some(expect) = &self.expect else {
            return if exit == Exit::Status(0) { Outcome::NothingExpected } else { Outcome::ProgramForNothing };
        };
        if exit != Exit::Status(0) {
            return Outcome::ProgramFailed(self.line(), exit);
        }
        if output.strip_suffix(b"\n").unwrap_or(output) == expect.as_slice() {
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
