//! pulse: decides whether this director is active, and holds its addresses.

pub mod addresses;
pub mod announce;
pub mod args;
pub mod arp;
pub mod identity;
pub mod ledger;
pub mod messages;
pub mod node;
pub mod settings;

/// The program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
