//! pulse: decides whether this director is active, and holds its addresses.

pub mod announce;
pub mod arp;
pub mod identity;

/// The program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
