//! What the file asks for, in lvsd's terms: the services, and for each of them
//! the monitors (one nanny per real server, or one for all virtuals that check it
//! alike) and the sorry server. What cannot be
//! done as written is left out here, once, with a line that says so.
//! Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use common::channel::nanny_place;
use common::config::{Config, RealServer, VirtualService};
pub use common::destinations::Target;
use common::destinations::{Assignment, SHARE};
use common::hash::fnv1a;
use common::ipvs::{Destination, ForwardingMethod, Service, ServiceKey, Timeouts};

use crate::messages::Message;
use crate::nanny_command::{self, Arguments, Manner};
use crate::quorum;

/// The original's `client_monitor`, which stands in every old file's mind.
pub const DEFAULT_MONITOR: &str = "/usr/sbin/nanny";

/// A destination and the nanny that keeps it, as it should run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The destination.
    pub target: Target,
    /// The virtual's name in the file.
    pub name: String,
    /// The server's name in the file.
    pub server: String,
    /// The program.
    pub program: PathBuf,
    /// Its command line behind the program's name.
    pub arguments: Arguments,
    /// The name of its meeting place.
    pub place: String,
    /// What that nanny is told on its line, if it keeps others too; those have the same
    /// program, arguments and place.
    pub assignment: Option<Assignment>,
    /// Its server's weight in the file.
    pub weight: u32,
    /// How long its destination drains when it leaves, where that has to be known:
    /// it does, or its own block says that it does not.
    pub drain: Option<Duration>,
    /// Whether it is our nanny. A `client_monitor` of the operator's own need not
    /// speak on its line; it is watched by its end alone until it does.
    pub is_nanny: bool,
}

/// A virtual service as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// Its name in the file.
    pub name: String,
    /// Its port in the file; a service by mark has one too.
    pub port: u16,
    /// The service.
    pub service: Service,
    /// Its virtual IP, if pulse may let go of it: the NAT router's stays.
    pub vip: Option<IpAddr>,
    /// What takes its place when no real server is available.
    pub sorry: Option<Destination>,
    /// What becomes of it as a whole when its real servers fail.
    pub pool: Pool,
    /// How long one probe may take: the grace of first verdicts.
    pub timeout: Duration,
    /// How long real servers drain whose own block says nothing.
    pub drain: Duration,
    /// One per active server, in file order.
    pub monitors: Vec<Rc<Monitor>>,
    /// Those that an operator disabled.
    pub disabled: Vec<Rc<Monitor>>,
}

/// What a virtual service as a whole has to hold to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// No less real servers than this stay in use, whatever checks say; 0: none has to.
    pub min_up: u32,
    /// When there are enough good ones.
    pub rules: quorum::Rules,
    /// What happens when there are not; `None`: nobody cares.
    pub quorum: Option<Care>,
    /// Its virtual IP goes with the last that serves on it.
    pub withdraws: bool,
}

/// What depends on a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Care {
    /// A command that is run when it comes.
    pub up: Option<String>,
    /// A command that is run when it goes.
    pub down: Option<String>,
}

/// All that the file asks of lvsd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Zero where the kernel's are to be left alone.
    pub timeouts: Timeouts,
    /// The active virtuals in file order.
    pub virtuals: Vec<Virtual>,
    /// Real servers that are in the file and not active, and how long they drain.
    pub inactive: HashMap<Target, Duration>,
}

impl Wanted {
    /// Reads the configuration. `nanny` is our own monitor, taken where the file
    /// has the default one. The lines say what was left out or will surprise.
    pub fn new(config: &Config, nanny: &Path, manner: &Manner) -> (Self, Vec<Message>) {
        let mut reader = Reader { config, nanny, manner, lines: Vec::new(), alike: BTreeMap::new() };
        let mut first: HashMap<ServiceKey, &str> = HashMap::new();
        let mut virtuals: Vec<Virtual> = Vec::new();
        for block in config.virtuals.iter().filter(|block| block.active) {
            let Some(wanted) = reader.virtual_service(block) else { continue };
            let key = wanted.service.key;
            if let Some(first) = first.get(&key) {
                let (name, first) = (block.name.clone(), (*first).to_owned());
                reader.lines.push(Message::SameService { name, first, service: key });
                continue;
            }
            first.insert(key, &block.name);
            reader.compare(block, &wanted, virtuals.len());
            virtuals.push(wanted);
        }
        reader.share(&mut virtuals);
        let timeouts = Timeouts { tcp: config.tcp_timeout, tcp_fin: config.tcpfin_timeout, udp: config.udp_timeout };
        let inactive = reader.inactive();
        (Self { timeouts, virtuals, inactive }, reader.lines)
    }

    /// Every monitor, in file order.
    pub fn monitors(&self) -> impl Iterator<Item = &Rc<Monitor>> {
        self.virtuals.iter().flat_map(|wanted| &wanted.monitors)
    }
}

struct Reader<'a> {
    config: &'a Config,
    nanny: &'a Path,
    manner: &'a Manner,
    lines: Vec<Message>,
    /// Where there are monitors, by virtual and server, whose checks follow from the same
    /// words.
    alike: BTreeMap<Arguments, Vec<(usize, usize, Assignment)>>,
}

impl Reader<'_> {
    /// Whose checks are those of others.
    fn compare(&mut self, block: &VirtualService, wanted: &Virtual, at: usize) {
        if !block.share_probe || block.client_monitor != DEFAULT_MONITOR {
            return;
        }
        for (n, monitor) in wanted.monitors.iter().enumerate() {
            let is_it = |server: &&RealServer| {
                let key = block.destination(server, self.config.network).map(|destination| destination.key);
                server.active && key == Some(monitor.target.destination)
            };
            let Some(server) = block.servers.iter().find(is_it) else { continue };
            let words = nanny_command::shared_arguments(self.config, block, server, self.manner);
            let Some(words) = words else { continue };
            let assignment = nanny_command::assignment(self.config, block, server, monitor.target);
            self.alike.entry(words).or_default().push((at, n, assignment));
        }
    }

    /// One nanny for all whose checks are the same, or as many as they need. Who is alone
    /// is left alone: its command line says all of it.
    fn share(&mut self, virtuals: &mut [Virtual]) {
        for (words, all) in std::mem::take(&mut self.alike) {
            if all.len() < 2 {
                continue;
            }
            let nannies = all.len().div_ceil(SHARE);
            let arguments: Vec<Arguments> = (1..=nannies).map(|n| nanny_command::number(&words, n)).collect();
            for (at, n, assignment) in all {
                let monitor = virtuals.get_mut(at).and_then(|wanted| wanted.monitors.get_mut(n));
                let Some(arguments) = arguments.get(whose(&assignment.target, nannies)) else { continue };
                let Some(monitor) = monitor else { continue };
                let Some(place) = nanny_command::shared_meeting(arguments) else { continue };
                let (arguments, assignment) = (arguments.clone(), Some(assignment));
                *monitor = Rc::new(Monitor { arguments, place, assignment, ..(**monitor).clone() });
            }
        }
    }

    fn virtual_service(&mut self, block: &VirtualService) -> Option<Virtual> {
        let Some(service) = block.service() else {
            let name = format!("virtual service {}", block.name);
            self.lines.push(Message::Incomplete { name, what: "it has no address" });
            return None;
        };
        let mut seen = HashSet::new();
        let mut monitors = Vec::new();
        for server in block.servers.iter().filter(|server| server.active) {
            let Some(monitor) = self.monitor(block, service.key, server) else {
                let name = format!("{}/{}", block.name, server.name);
                self.lines.push(Message::Incomplete { name, what: "it has no address" });
                continue;
            };
            let destination = monitor.target.destination;
            let (name, server_name) = (block.name.clone(), server.name.clone());
            if !seen.insert(destination) {
                self.lines.push(Message::SameDestination { name, server: server_name, destination });
                continue;
            }
            if destination.port != server.port {
                let (kernel_port, probe_port) = (destination.port, server.port);
                self.lines.push(Message::ProbeElsewhere { name, server: server_name, kernel_port, probe_port });
            }
            monitors.push(Rc::new(monitor));
        }
        let sorry = block.sorry_destination(self.config.network);
        let (name, port, timeout, drain) = (block.name.clone(), block.port, block.timeout, block.drain);
        let pool = pool(block);
        let vip = block.virtual_address().filter(|vip| self.router() != Some(*vip));
        Some(Virtual { name, port, service, vip, sorry, pool, timeout, drain, monitors, disabled: Vec::new() })
    }

    /// The real servers' way out.
    fn router(&self) -> Option<IpAddr> {
        let router = self.config.nat_router.as_ref().filter(|_| self.config.network == ForwardingMethod::Masquerade);
        router.map(|router| router.address)
    }

    /// The servers of inactive virtuals too.
    fn inactive(&self) -> HashMap<Target, Duration> {
        let mut inactive = HashMap::new();
        for block in &self.config.virtuals {
            let Some(service) = block.service_key() else { continue };
            for server in block.servers.iter().filter(|server| !(block.active && server.active)) {
                if let Some(destination) = block.destination(server, self.config.network) {
                    let target = Target { service, destination: destination.key };
                    inactive.insert(target, server.drain.unwrap_or(block.drain));
                }
            }
        }
        inactive
    }

    fn monitor(&self, block: &VirtualService, service: ServiceKey, server: &RealServer) -> Option<Monitor> {
        let destination = block.destination(server, self.config.network)?.key;
        let arguments = nanny_command::arguments(self.config, block, server, self.manner)?;
        let is_nanny = block.client_monitor == DEFAULT_MONITOR;
        let program = if is_nanny { self.nanny.to_owned() } else { PathBuf::from(&block.client_monitor) };
        let place = nanny_place(&service, destination.address, server.port);
        let drain = server.drain.or(Some(block.drain).filter(|drain| !drain.is_zero()));
        let (name, server, weight) = (block.name.clone(), server.name.clone(), server.weight);
        let target = Target { service, destination };
        let assignment = None;
        Some(Monitor { target, name, server, program, arguments, place, assignment, weight, drain, is_nanny })
    }
}

/// Which of so many nannies keeps this destination. When there is one more of them it
/// takes its share from all others, and no other changes hands (rendezvous hashing).
fn whose(target: &Target, nannies: usize) -> usize {
    let weight = |n: &usize| {
        // The same in every version of lvsd, so that a new one moves nothing.
        let hash = fnv1a(format!("{n}\t{target}").bytes());
        // FNV's last bytes move its high bits little.
        (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    };
    (0..nannies).max_by_key(weight).unwrap_or(0)
}

fn pool(block: &VirtualService) -> Pool {
    let rules = quorum::Rules { quorum: block.quorum, hysteresis: block.hysteresis };
    let (up, down) = (block.quorum_up.clone(), block.quorum_down.clone());
    let is_cared_for = rules.quorum > 1 || up.is_some() || down.is_some();
    let quorum = is_cared_for.then_some(Care { up, down });
    Pool { min_up: block.min_up, rules, quorum, withdraws: block.vip_withdraw }
}

#[cfg(test)]
pub(crate) mod tests;
