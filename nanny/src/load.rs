//! How loaded the real server is, as its load monitor tells, and the weight that
//! follows. Pure; the monitor's process is [`crate::hands`]'s.
//!
//! The formula is the original's (piranha.md 4.6). With the configured weight W,
//! the last weight w and the load L of the last minute:
//!
//! ```text
//! L < 1:  w + W/2 · ∛(1 − L), at most 10 W (--scale)
//! L > 1:  w − W/2 · ∛(L − 1), at least W
//! ```
//!
//! and it counts only if it differs from w by a quarter of W or more. So the load
//! raises a weight above the configured one and takes that back, but never goes
//! below it. Unlike the original we keep the fractions (with W = 1 it truncated all
//! effect away) and can read what ruptime prints.

use std::ffi::CString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::probe::program::{Command, Good};

/// How often the load is asked for while the server is in use; the original's.
pub const EVERY: Duration = Duration::from_secs(20);

/// How long a load monitor may take.
pub const WITHIN: Duration = Duration::from_secs(10);

/// The largest weight there is (ipvsadm(8)).
const WEIGHT_MAX: f64 = 65_535.0;

/// The highest load that is believed.
const LOAD_MAX: f64 = 1e6;

/// The weight as the load moves it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    configured: f64,
    most: f64,
    now: f64,
}

impl Load {
    /// At the configured weight; `scale` times that is the most.
    pub fn new(configured: u32, scale: u32) -> Self {
        let configured = f64::from(configured);
        let most = (configured * f64::from(scale)).clamp(configured, WEIGHT_MAX);
        Self { configured, most, now: configured }
    }

    /// The weight that a load asks for, if it is another one.
    pub fn measured(&mut self, load: f64) -> Option<u32> {
        let before = self.weight();
        let step = self.configured / 2.0 * (1.0 - load).cbrt();
        let wanted = (self.now + step).clamp(self.configured, self.most);
        if (wanted - self.now).abs() >= self.configured / 4.0 {
            self.now = wanted;
        }
        Some(self.weight()).filter(|weight| *weight != before)
    }

    /// Back to the configured weight: a server that returns begins anew.
    pub fn reset(&mut self) -> u32 {
        self.now = self.configured;
        self.weight()
    }

    /// The weight now.
    pub fn weight(&self) -> u32 {
        // Between 0 and 65535, so nothing is lost but the fraction.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let weight = self.now.round() as u32;
        weight
    }
}

/// What is run for `--loadcmd WORD` (piranha.md 4.6): `rup IP`, `ruptime IP`,
/// `ssh IP uptime` and the same for rsh, any other program with the address behind
/// it. A word `%h` says where the address belongs instead.
pub fn command(word: &str, real: SocketAddr) -> Command {
    let program = word.split([' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default();
    let is_shell = matches!(program.rsplit('/').next(), Some("rsh" | "ssh"));
    let has_place = word.split([' ', '\t']).any(|word| word == "%h");
    let place = if has_place { "" } else { " %h" };
    let line = format!("{word}{place}{}", if is_shell { " uptime" } else { "" });
    Command::new(line.as_bytes(), real, Good::Output(None))
}

/// The load of the last minute in what a monitor printed: the number behind the
/// first `load average:`, `load averages:` or `load` that has one. A decimal comma
/// is one too.
pub fn average(output: &[u8]) -> Option<f64> {
    let mut rest = output;
    loop {
        let at = rest.windows(4).position(|word| word == b"load")?;
        rest = rest.get(at + 4..)?;
        let number = rest.strip_prefix(b" averages").or_else(|| rest.strip_prefix(b" average")).unwrap_or(rest);
        let number = number.strip_prefix(b":").unwrap_or(number).trim_ascii_start();
        let end = number.iter().position(|b| !b.is_ascii_digit()).unwrap_or(number.len());
        let (whole, behind) = number.split_at_checked(end)?;
        let fraction = match behind {
            [b'.' | b',', digits @ ..] => {
                let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
                digits.get(..end).unwrap_or_default()
            }
            _ => &[],
        };
        if whole.is_empty() || fraction.is_empty() {
            continue;
        }
        let text = [whole, b".", fraction].concat();
        return std::str::from_utf8(&text).ok()?.parse().ok().filter(|load| *load <= LOAD_MAX);
    }
}

/// The program's name for the log.
pub fn name(command: &Command) -> String {
    command.words().first().map(CString::as_c_str).unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
