//! The three programs as an operator without any rights meets them: command
//! lines, what they print, exit codes. Nothing here touches a kernel's table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test that cannot go on must fail, and say why"
)]

mod command_lines;
mod commands;
#[path = "../held.rs"]
mod held;
mod inspection;
mod manuals;
#[path = "../own_run.rs"]
mod own_run;
mod round_trip;
