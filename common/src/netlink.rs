//! Netlink: the line to the kernel under [`crate::ipvs`] and [`route`].
//!
//! ```text
//! verbs     ipvs::client          route::Route, route::Monitor
//! bytes     ipvs::message         route::message            pure, no socket
//! framing   generic ── message    message                   pure, no socket
//! socket    socket::Socket: one request, its replies, a deadline
//! ```
//!
//! Synchronous and small: one request, one answer, at most a second. Nothing here
//! logs, and nothing the kernel (or who poses as it) may send makes it panic: what
//! is unknown is skipped, what is cut short is an error.

pub mod generic;
pub mod message;
pub mod route;
pub mod socket;

/// "It was so already" as an answer instead of an error, where the caller says
/// so: when what is wanted is a state of the kernel and not the change.
///
/// ```
/// use common::ipvs::{Agreement, Error};
///
/// let deleted: Result<(), Error> = Err(Error::NoSuchDestination);
/// assert_eq!(deleted.or_absent().unwrap(), false); // gone, and not by us
/// let added: Result<(), Error> = Ok(());
/// assert_eq!(added.or_exists().unwrap(), true); // there, and by us
/// ```
pub trait Agreement {
    /// The error of the verb.
    type Error;

    /// For an add: `true` when it was added now, `false` when it was there.
    /// What is there may differ from what was asked: edit it, or look.
    fn or_exists(self) -> Result<bool, Self::Error>;

    /// For a delete: `true` when it was deleted now, `false` when it was not
    /// there, nor what it would have been in.
    fn or_absent(self) -> Result<bool, Self::Error>;
}
