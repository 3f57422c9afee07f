//! What can go wrong with the table, and with which of its verbs.

use crate::netlink::Agreement;

/// Why the kernel's table could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no IPVS and could not load it.
    #[error(
        "this kernel has no IPVS: load it with \"modprobe ip_vs\" (Debian and RHEL ship it with the kernel; \
         in a container the host must load it)"
    )]
    NoIpvs,
    /// Not allowed: CAP_NET_ADMIN is needed.
    #[error("not permitted: IPVS needs root or CAP_NET_ADMIN")]
    Permission,
    /// The service is not there (ESRCH).
    #[error("no such virtual service")]
    NoSuchService,
    /// The destination is not there (ENOENT).
    #[error("no such destination")]
    NoSuchDestination,
    /// No synchronisation daemon of that role runs (ESRCH).
    #[error("no such synchronisation daemon")]
    NoSuchSyncDaemon,
    /// It is there already (EEXIST).
    #[error("already exists")]
    Exists,
    /// The kernel does not know the scheduler and cannot load it.
    #[error("the kernel has no scheduler \"{0}\"")]
    NoScheduler(String),
    /// Any other refusal, with the kernel's own words where it gave some.
    #[error("{operation}: {errno}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// What it answered.
        errno: nix::errno::Errno,
        /// Extended acknowledgement text; may be empty.
        detail: String,
    },
    /// No answer in time; the socket was opened anew.
    #[error("{0}: no answer from the kernel in time")]
    Timeout(&'static str),
    /// An answer that cannot be read.
    #[error("{operation}: unreadable answer from the kernel: {what}")]
    Unreadable {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The socket itself failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// One verb of the table: what an error names, what a fake counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the method of [`Ipvs`] of that name
pub enum Operation {
    Services,
    Service,
    AddService,
    EditService,
    DeleteService,
    Destinations,
    AddDestination,
    EditDestination,
    DeleteDestination,
    Timeouts,
    SetTimeouts,
    SyncDaemons,
    StartSyncDaemon,
    StopSyncDaemon,
}

impl Operation {
    /// Its name in an error.
    pub fn name(self) -> &'static str {
        match self {
            Self::Services => "list services",
            Self::Service => "look up service",
            Self::AddService => "add service",
            Self::EditService => "edit service",
            Self::DeleteService => "delete service",
            Self::Destinations => "list destinations",
            Self::AddDestination => "add destination",
            Self::EditDestination => "edit destination",
            Self::DeleteDestination => "delete destination",
            Self::Timeouts => "read timeouts",
            Self::SetTimeouts => "set timeouts",
            Self::SyncDaemons => "list synchronisation daemons",
            Self::StartSyncDaemon => "start synchronisation daemon",
            Self::StopSyncDaemon => "stop synchronisation daemon",
        }
    }
}

impl Agreement for Result<(), Error> {
    type Error = Error;

    fn or_exists(self) -> Result<bool, Error> {
        match self {
            Ok(()) => Ok(true),
            Err(Error::Exists) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn or_absent(self) -> Result<bool, Error> {
        match self {
            Ok(()) => Ok(true),
            Err(Error::NoSuchService | Error::NoSuchDestination | Error::NoSuchSyncDaemon) => Ok(false),
            Err(e) => Err(e),
        }
    }
}
