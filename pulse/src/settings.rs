//! PURE. What pulse takes from the configuration, and the reasons why it will
//! not start with one.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::config::{self, Config, HeartbeatPath, KeyUse, ServiceKind};
use common::ipvs::{SyncDaemon, SyncRole};

use crate::addresses::{self, Wanted};
use crate::check;
use crate::election;
use crate::hands::listeners::Rules as Listeners;
use crate::heartbeat::{Service, Trust};
use crate::linger;
use crate::messages::Message;
use crate::witness::Plan;

/// How long lvsd must be well again before a director that could not serve takes
/// part again; twice the longest wait between two starts of it.
const STEADY: Duration = Duration::from_secs(60);

/// The shortest time between two questions whether a partner that is not heard has
/// the virtual IPs; each is as many frames as there are of those.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much longer the election waits for an answer than the inquiry takes.
const WITNESS_GRACE: Duration = Duration::from_millis(500);

/// The configuration as pulse sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file it came from.
    pub path: PathBuf,
    /// The address of the one director.
    pub primary: Option<IpAddr>,
    /// The address of the other one.
    pub backup: Option<IpAddr>,
    /// What is run, which a reload does not change.
    pub service: ServiceKind,
    /// `None`: there is no partner.
    pub pair: Option<Pair>,
    /// The synchronisation of connections, as master; `None`: there is none.
    pub sync: Option<SyncDaemon>,
    /// The addresses of the real servers, to know one by.
    pub real_servers: Vec<IpAddr>,
    /// The addresses to hold while active, in file order.
    pub wanted: Vec<Wanted>,
    /// The virtual IPs, and what serves each.
    pub served: Vec<linger::Served>,
    /// Whether this director can serve, if a command says.
    pub check: Option<check::Rules>,
    /// Who is told of what happens.
    pub listeners: Listeners,
    /// Run when this director becomes active; program and arguments.
    pub active_cmd: Option<Vec<String>>,
    /// Run when it ceases to be.
    pub inactive_cmd: Option<Vec<String>>,
    /// How long either may take.
    pub cmd_timeout: Duration,
    /// The priority of pulse on a busy processor, 1 to 99; `None`: everybody's.
    pub realtime: Option<u8>,
}

/// What two directors have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The UDP port of heartbeats.
    pub port: u16,
    /// What the pair runs.
    pub service: Service,
    /// Between two heartbeats.
    pub keepalive: Duration,
    /// The silence after which the partner is dead.
    pub deadtime: Duration,
    /// The ways heartbeats go, the public one first.
    pub ways: Vec<Way>,
    /// The MASTER takes the virtual IPs back after this time.
    pub auto_failback: Option<Duration>,
    /// Where the keys are, and how far they are enforced.
    pub keys: Option<(PathBuf, Trust)>,
    /// Whether a director whose links are down gives way.
    pub monitor_links: bool,
    /// What is asked before a takeover from a silent partner.
    pub witness: Plan,
    /// What both compare.
    pub fingerprint: u64,
}

/// One way heartbeats go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// For the log.
    pub name: String,
    /// The two ends.
    pub ends: HeartbeatPath,
    /// Whether the virtual IPs need its link.
    pub serves: bool,
}

/// The same as one of the two directors sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// For the log.
    pub name: String,
    /// Where we receive, and send from.
    pub ours: SocketAddr,
    /// Where we send, and whom we hear.
    pub partner: SocketAddr,
}

impl Pair {
    fn new(config: &Config, primary: IpAddr, backup: IpAddr) -> Self {
        let mut ways = vec![Way { name: "Primary".to_owned(), ends: HeartbeatPath { primary, backup }, serves: true }];
        // The original knew a second path by the primary's address on it.
        let private = config.primary_private.filter(|private| *private != primary);
        ways.extend(private.map(|private| {
            let ends = HeartbeatPath { primary: private, backup: config.backup_private.unwrap_or(backup) };
            Way { name: "Private".to_owned(), ends, serves: false }
        }));
        ways.extend(config.heartbeat_path.iter().map(|ends| {
            let name = format!("{}-{}", ends.primary, ends.backup);
            Way { name, ends: *ends, serves: false }
        }));
        Self {
            port: config.heartbeat_port,
            service: match config.service {
                ServiceKind::Lvs => Service::Lvs,
                ServiceKind::Fos => Service::Fos,
            },
            keepalive: config.keepalive,
            deadtime: config.deadtime,
            ways,
            auto_failback: config.auto_failback,
            keys: config.heartbeat_key_file.as_ref().map(|file| (file.into(), trust(config.heartbeat_key_use))),
            monitor_links: config.monitor_links,
            witness: Plan {
                witnesses: config.witness.clone(),
                timeout: config.witness_timeout,
                vip_probe: config.vip_probe,
            },
            fingerprint: config::fingerprint(config).0,
        }
    }

    /// What the election of the director with this role goes by.
    pub fn election(&self, role: election::Role) -> election::Settings {
        election::Settings {
            role,
            service: self.service,
            keepalive: self.keepalive,
            deadtime: self.deadtime,
            paths: self.ways.iter().map(|way| election::Path { name: way.name.clone(), serves: way.serves }).collect(),
            // Every inquiry ends with an answer; the election's own patience is for none.
            witness: self.witness.wait().map(|wait| wait + WITNESS_GRACE),
            look_every: self.keepalive.max(LOOK_EVERY),
            auto_failback: self.auto_failback,
            steady: STEADY,
            fingerprint: self.fingerprint,
        }
    }

    /// The ways, in the same order, as that director sees them.
    pub fn ends(&self, role: election::Role) -> Vec<End> {
        let end = |way: &Way| {
            let HeartbeatPath { primary, backup } = way.ends;
            let (ours, partner) = match role {
                election::Role::Master => (primary, backup),
                election::Role::Backup => (backup, primary),
            };
            let [ours, partner] = [ours, partner].map(|address| SocketAddr::new(address, self.port));
            End { name: way.name.clone(), ours, partner }
        };
        self.ways.iter().map(end).collect()
    }
}

fn sync(config: &Config) -> SyncDaemon {
    SyncDaemon {
        role: SyncRole::Master,
        interface: config.syncd_iface.clone(),
        id: config.syncd_id,
        // both are in range when they are read
        maxlen: u16::try_from(config.sync_maxlen).unwrap_or(u16::MAX),
        group: config.sync_group,
        port: config.sync_port,
        ttl: u8::try_from(config.sync_ttl).unwrap_or(u8::MAX),
    }
}

fn trust(wanted: KeyUse) -> Trust {
    match wanted {
        KeyUse::Receive => Trust::ReceiveOnly,
        KeyUse::Permissive => Trust::Permissive,
        KeyUse::Enforce => Trust::Enforce,
    }
}

impl Settings {
    /// The settings in a configuration, with what is worth a line about them.
    ///
    /// # Errors
    /// The reason why no director can run with it.
    pub fn new(config: &Config) -> Result<(Self, Vec<Message>), Message> {
        let path = config.path.clone();
        if config.running().next().is_none() {
            return Err(Message::NoServices { path, service: config.service });
        }
        let mut remarks = Vec::new();
        let pair = match (config.backup_active, config.primary, config.backup) {
            (true, Some(primary), Some(backup)) => Some(Pair::new(config, primary, backup)),
            (true, None, Some(_)) => return Err(Message::NoPrimary(path)),
            (true, _, None) => {
                remarks.push(Message::UndefinedBackup);
                None
            }
            (false, _, _) => None,
        };
        let wanted = addresses::wanted(config);
        remarks.extend(
            wanted
                .iter()
                .filter(|one| one.by_class)
                .map(|one| Message::MaskByClass { address: one.address, prefix: one.prefix }),
        );
        let settings = Self {
            path,
            primary: config.primary,
            backup: config.backup,
            service: config.service,
            pair,
            sync: config.syncdaemon.then(|| sync(config)),
            real_servers: real_servers(config),
            wanted,
            served: linger::served(config),
            check: words(config.check_cmd.as_deref()).map(|words| check::Rules {
                words,
                interval: config.check_interval,
                timeout: config.check_timeout,
                fall: config.check_fall,
                rise: config.check_rise,
            }),
            listeners: Listeners {
                command: words(config.notify.as_deref()).map(|words| (words, config.notify_timeout)),
                fifo: config.notify_fifo.as_ref().map(PathBuf::from),
            },
            active_cmd: words(config.active_cmd.as_deref()),
            inactive_cmd: words(config.inactive_cmd.as_deref()),
            cmd_timeout: config.cmd_timeout,
            realtime: u8::try_from(config.realtime_priority).ok().filter(|priority| *priority > 0),
        };
        Ok((settings, remarks))
    }

    /// What holds for a pulse that was killed and comes back to a file it cannot
    /// use: the addresses its predecessor held, and no commands.
    pub fn as_it_was(path: &Path, wanted: Vec<Wanted>) -> Self {
        let path = path.to_owned();
        let service = ServiceKind::Lvs;
        Self {
            path,
            primary: None,
            backup: None,
            service,
            pair: None,
            sync: None,
            real_servers: Vec::new(),
            wanted,
            served: Vec::new(),
            check: None,
            listeners: Listeners::default(),
            active_cmd: None,
            inactive_cmd: None,
            cmd_timeout: Duration::ZERO,
            realtime: None,
        }
    }
}

fn real_servers(config: &Config) -> Vec<IpAddr> {
    let servers = config.virtuals.iter().filter(|one| one.active).flat_map(|one| &one.servers);
    let mut all: Vec<IpAddr> = servers.filter_map(|server| server.address).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The words of a command line; `None` if there is nothing to run.
fn words(command: Option<&str>) -> Option<Vec<String>> {
    let words = common::command::words(command?);
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests;
