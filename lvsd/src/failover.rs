//! Failover services (`service = fos`): services of this host that run on one of
//! the two directors, without IPVS. lvsd starts and stops them and has a nanny
//! watch each; pulse moves the addresses.
//!
//! ```text
//! pulse ── lvsd ─┬─ start_cmd, stop_cmd   the service's own, run and ended
//!                └─ nanny --fos           watches the service at its address
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | [`wanted`] | pure: what the file asks for |
//! | [`service`] | pure: the life of one service; how often it is started again |
//! | [`ledger`] | which were started, for the next lvsd |
//! | [`preview`] | pure: what a start or a reload would do |
//!
//! What the loop does with all of it is [`crate::run::fos`].
//!
//! What runs and is watched stays when lvsd dies; the next one adopts it. A
//! service that fails is started again here, as often as the file says; then lvsd
//! tells pulse that it cannot serve, and goes on trying for as long as it is not
//! told to stop: without a partner that can, a late service is better than none.

pub mod ledger;
pub mod preview;
pub mod service;
pub mod wanted;
