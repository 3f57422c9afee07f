//! The pair: two directors, one VIP, and everything that can come between them.
//! Each scene prints what a client saw of it.

mod cuts;
mod downloads;
mod drift;
pub mod events;
mod frozen;
pub mod holders;
mod killed;
mod moves;
mod originals;
pub mod product;
pub mod site;
mod strangers;
