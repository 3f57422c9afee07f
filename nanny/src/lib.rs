//! nanny watches one real server of one virtual service and owns its destination
//! in the kernel.

#![forbid(unsafe_code)]

pub mod args;
pub mod destination;
pub mod health;
pub mod probe;
pub mod schedule;

/// The program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
