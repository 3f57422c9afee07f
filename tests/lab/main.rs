//! Scenarios against a real kernel with IPVS. Where this machine has none, each
//! boots a guest of its own (see `ground`). `cargo test --test lab` runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on must fail, and say why"
)]

mod bad_input;
#[path = "../bench/pair.rs"]
mod bench;
mod checks;
mod deaths;
#[path = "../bench/detection.rs"]
mod detection;
mod devices;
mod failover;
mod forwarding;
mod ground;
mod init_script;
mod installed;
mod manners;
mod netlink;
mod packages;
mod pair;
mod policy;
mod real_server_script;
mod reload;
#[path = "../bench/saturation.rs"]
mod saturation;
mod shared;
mod site;
mod story;
mod synchronised;
mod syslog;
mod systemd;
mod the_ground;
mod withdrawal;
