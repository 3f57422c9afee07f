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
mod deaths;
mod forwarding;
mod ground;
mod manners;
mod netlink;
mod policy;
mod reload;
mod site;
mod story;
mod synchronised;
mod syslog;
mod the_ground;
