//! Everything the election can say. The texts of the original are its own
//! (piranha.md 6.1), down to their capitals; the others are in the same voice.

use std::fmt;
use std::time::Duration;

use common::log::{Level, Message};

use super::settings::Role;
use super::{Activation, Deactivation};
use crate::arp::Shown;
use crate::heartbeat::{Reason, Service};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// This director becomes active.
    Activating {
        /// Our role; the original words it by the other's.
        role: Role,
        /// What moves.
        service: Service,
        /// Why.
        why: Activation,
    },
    /// This director gives the VIPs away.
    Deactivating {
        /// What moves.
        service: Service,
        /// Why.
        why: Deactivation,
    },
    /// The partner is active too, and we stay.
    ResendingArps,
    /// The partner does not hold the VIPs any more, as we do.
    Uncontested,
    /// The partner announces our VIPs, and no heartbeat comes from it.
    Rivalled,
    /// It does not announce them any more.
    Unrivalled,
    /// A monitored link went down; the path's name.
    LinkDown(String),
    /// With that this director cannot serve.
    LinksFailed,
    /// It can again.
    LinksRestored,
    /// The partner runs the other kind of service.
    Incompatible,
    /// We are active and nobody is left to take over.
    PartnerLost {
        /// How long it was silent.
        silent: Duration,
    },
    /// It speaks again.
    PartnerAlive,
    /// It said that it is being stopped.
    PartnerLeft,
    /// It was started again.
    PartnerRestarted,
    /// It is heard and has not answered anything we said.
    PartnerDeaf,
    /// Its heartbeats do not come on this path any more, on another they do.
    PathLost {
        /// The path's name.
        path: String,
    },
    /// They come again.
    PathRestored {
        /// The path's name.
        path: String,
    },
    /// It has another configuration than we have.
    ConfigurationDiffers,
    /// It has our configuration again.
    ConfigurationAgrees,
    /// Both directors have one role.
    SameRole(Role),
    /// The partner is silent, and we may not take over.
    Unable {
        /// Why.
        reason: Reason,
    },
    /// We should not be active, and nobody can take over.
    Reluctant {
        /// Why.
        reason: Reason,
        /// The partner could, but has failed as well.
        partner_rests: bool,
    },
    /// The failover services were handed over, as they cannot run here.
    Rests {
        /// How often in a row.
        times: u32,
        /// How long it does not want them back.
        lasts: Duration,
    },
    /// The partner is silent, and so is every witness.
    Isolated,
    /// A witness answers again.
    Connected,
    /// The partner is silent, but somebody answers for a VIP.
    VipHeld {
        /// Who.
        mac: [u8; 6],
    },
    /// This process did not run for a while.
    Slept {
        /// How long.
        lasted: Duration,
    },
    /// What was asked by hand cannot be done.
    Refused(Refusal),
    /// The VIPs should be gone and nobody has said that they are.
    NotLowered,
}

/// Why something asked by hand cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The partner is not there, or unfit.
    PartnerCannot,
    /// This director is unfit.
    Unfit(Reason),
    /// An original gives way to the MASTER only.
    PartnerWillNot,
    /// This director is changing its state just now.
    Busy,
    /// It is not active anywhere, or here already.
    Pointless,
}

/// `50ms`, `5.0s`: as a person would say it.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{}ms", self.0.as_millis())
        } else {
            write!(f, "{:.1}s", self.0.as_secs_f64())
        }
    }
}

fn lower(service: Service) -> &'static str {
    match service {
        Service::Lvs => "lvs",
        Service::Fos => "fos",
    }
}

fn upper(service: Service) -> &'static str {
    match service {
        Service::Lvs => "LVS",
        Service::Fos => "FOS",
    }
}

pub(super) fn words(reason: Reason) -> String {
    match reason {
        Reason::Link => "local link failure".to_owned(),
        Reason::Lvsd => "lvsd cannot serve".to_owned(),
        Reason::Check => "check_cmd fails".to_owned(),
        Reason::Released => "released by hand".to_owned(),
        Reason::Rests => "failover services failed here".to_owned(),
        Reason::Other(code) => format!("unfit by reason {code}"),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activating { role, service, why } => activating(f, *role, lower(*service), *why),
            Self::Deactivating { service, why } => deactivating(f, upper(*service), *why),
            Self::ResendingArps => f.write_str("partner active: resending arps"),
            Self::Uncontested => f.write_str("partner holds no VIP any more: resending arps"),
            Self::Rivalled => f.write_str("partner announces our VIPs, but no heartbeat comes from it: check the way"),
            Self::Unrivalled => f.write_str("partner does not announce our VIPs any more: resending arps"),
            Self::LinkDown(path) => write!(f, "{path} NIC: link down"),
            Self::LinksFailed => f.write_str("Local NIC link failure: Pulse disabled"),
            Self::LinksRestored => f.write_str("Local NIC link(s) restored: Pulse enabled"),
            Self::Incompatible => {
                f.write_str("Incompatible heartbeat received -- other system not using identical services")
            }
            Self::PartnerLost { silent } => {
                write!(f, "partner dead: silent for {}, nobody could take over from us", Seconds(*silent))
            }
            Self::PartnerAlive => f.write_str("partner is alive"),
            Self::PartnerLeft => f.write_str("partner is being stopped"),
            Self::PartnerRestarted => f.write_str("partner was started again"),
            Self::PartnerDeaf => f.write_str("partner is heard, but it does not hear us: check the way there"),
            Self::PathLost { path } => write!(f, "{path} heartbeat path: nothing heard"),
            Self::PathRestored { path } => write!(f, "{path} heartbeat path: heard again"),
            Self::ConfigurationDiffers => f.write_str("partner has another configuration: copy lvs.cf and reload"),
            Self::ConfigurationAgrees => f.write_str("partner has our configuration again"),
            Self::SameRole(Role::Master) => f.write_str("partner says that it is the MASTER too: check primary"),
            Self::SameRole(Role::Backup) => f.write_str("partner says that it is the BACKUP too: check primary"),
            Self::Unable { reason } => write!(f, "partner dead, but {}: not activating", words(*reason)),
            Self::Reluctant { reason, partner_rests: false } => {
                write!(f, "{}, but the partner cannot take over: staying active", words(*reason))
            }
            Self::Reluctant { reason, partner_rests: true } => {
                write!(
                    f,
                    "{}, but on the partner, too, services failed: staying active until it has rested",
                    words(*reason)
                )
            }
            Self::Rests { times, lasts } => {
                write!(
                    f,
                    "failover services were handed over (number {times} in a row): not taken back for {}",
                    Seconds(*lasts)
                )
            }
            Self::Isolated => f.write_str("neither partner nor witness heard: not activating"),
            Self::Connected => f.write_str("witness heard again: listening for the partner"),
            Self::VipHeld { mac } => {
                write!(f, "partner dead, but {} answers for a VIP: not activating", Shown(*mac))
            }
            Self::Slept { lasted } => write!(f, "was not running for {}: listening first", Seconds(*lasted)),
            Self::Refused(refusal) => refused(f, *refusal),
            Self::NotLowered => f.write_str("VIPs were not confirmed to be removed, going on"),
        }
    }
}

fn activating(f: &mut fmt::Formatter<'_>, role: Role, service: &str, why: Activation) -> fmt::Result {
    let cause = match (why, role) {
        (Activation::Forced, _) => "Forced active on startup",
        (Activation::PartnerDead { .. }, _) => "partner dead",
        (Activation::PartnerInactive, Role::Master) => "backup inactive",
        (Activation::PartnerInactive, Role::Backup) => "primary inactive",
        (Activation::PartnerLeft, _) => "partner stopped",
        (Activation::Failback, _) => "auto_failback",
        (Activation::Relocated, _) => "relocated by hand",
        (Activation::Resumed, _) => return write!(f, "partner did not take over: {service} stays active"),
    };
    write!(f, "{cause}: activating {service}")
}

fn deactivating(f: &mut fmt::Formatter<'_>, service: &str, why: Deactivation) -> fmt::Result {
    let cause = match why {
        Deactivation::PartnerActive => "partner active",
        Deactivation::PartnerDeaf => "partner active and does not hear us",
        Deactivation::PartnerAnnounces => "partner active and not heard",
        Deactivation::Unfit(reason) => return write!(f, "{}: deactivating {service}", words(reason)),
        Deactivation::Wanted => "partner asks for it",
        Deactivation::Relocated => "relocated by hand",
        Deactivation::Stopped => "stopping",
    };
    write!(f, "{cause}: deactivating {service}")
}

fn refused(f: &mut fmt::Formatter<'_>, refusal: Refusal) -> fmt::Result {
    match refusal {
        Refusal::PartnerCannot => f.write_str("not relocating: the partner cannot take over"),
        Refusal::Unfit(reason) => write!(f, "not relocating: {}", words(reason)),
        Refusal::PartnerWillNot => {
            f.write_str("not relocating: the partner is an original MASTER, which keeps what it has")
        }
        Refusal::Busy => f.write_str("not relocating: a change is under way"),
        Refusal::Pointless => f.write_str("not relocating: the partner is not active"),
    }
}

impl Message for Line {
    fn level(&self) -> Level {
        match self {
            Self::Activating { .. }
            | Self::Deactivating { .. }
            | Self::Uncontested
            | Self::Unrivalled
            | Self::LinksRestored
            | Self::PartnerAlive
            | Self::PathRestored { .. }
            | Self::ConfigurationAgrees
            | Self::Connected => Level::Notice,
            Self::PartnerLeft | Self::PartnerRestarted => Level::Info,
            Self::ResendingArps
            | Self::Rivalled
            | Self::LinkDown(_)
            | Self::LinksFailed
            | Self::Incompatible
            | Self::PartnerLost { .. }
            | Self::PartnerDeaf
            | Self::PathLost { .. }
            | Self::ConfigurationDiffers
            | Self::SameRole(_)
            | Self::Slept { .. }
            | Self::Refused(_)
            | Self::Reluctant { .. }
            | Self::Rests { .. }
            | Self::NotLowered => Level::Warning,
            Self::Unable { .. } | Self::Isolated | Self::VipHeld { .. } => Level::Error,
        }
    }
}
