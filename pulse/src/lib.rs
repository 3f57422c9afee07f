//! skeleton

pub mod election;
pub mod heartbeat;
pub mod replay;

/// placeholder
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
