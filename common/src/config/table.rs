//! Every keyword, declared once: its name, its type, its default, what may be
//! written (a kind of [`super::kind`] with its range), since when it is there,
//! whom it concerns, and what it means. The model's structs, the reader, the
//! printers, the fingerprint and lvs.cf(5) all come from these rows; a new
//! keyword is one more row. The order is that in which a file is written, the
//! original's own (piranha.md 9.3).

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::kind::{
    Checks, Command, Count, Device, Failback, Flag, Formed, Host, Hosts, Ip, Kind, List, LowByte, Mark, Mask, OneOf,
    Own, OwnTime, Paths, PersistenceMask, Port, Quotes, Reader, Scheduler, Serial, Switch, SyncLength, SyncTtl, Text,
    Time, Weight, Word, Written,
};
use super::raw::Value;
use super::source::Span;
use super::{DeviceAddress, HeartbeatPath, KeyUse, ServiceKind};
use crate::check::{self, CheckKind};
use crate::ipvs::{ForwardingMethod, Protocol};

/// Where a keyword stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Outside of all blocks.
    Global,
    /// In a `virtual` or `failover` block.
    Virtual,
    /// In a `server` block.
    Server,
    /// In a `check` block.
    Check,
}

/// Since when it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Piranha 0.8.6 knows it.
    Piranha,
    /// It is ours; Piranha refuses the file.
    Ours,
}

/// Whom it concerns, which is also whether it counts in the fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Both directors must agree on it.
    Pair,
    /// Each director may have its own.
    Node,
    /// It is read and does nothing.
    Nobody,
}

/// What is known about a keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyword {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What may be written, with unit and range.
    pub value: String,
    /// Its default as it would be written; empty if it has none.
    pub default: String,
    /// Since when it is there.
    pub since: Since,
    /// Whom it concerns.
    pub scope: Scope,
    /// What it means.
    pub doc: String,
}

/// A block of the table.
pub(super) trait Block: Default {
    /// Where its keywords stand.
    const PLACE: Place;
    /// Its keywords, in order.
    fn keywords() -> Vec<Keyword>;
    /// Reads a value into its field and gives the keyword's own name; `None`
    /// if there is no such keyword here.
    fn assign(&mut self, key: &str, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<&'static str>;
    /// Says each keyword that has a value.
    fn write(&self, say: &mut dyn FnMut(Entry));
    /// Whether a keyword means something here.
    fn says(&self, key: &str) -> bool;
    /// A value as typed, for the other syntax.
    fn rewrite(key: &str, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written>;
}

/// One keyword with its value.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) written: Written,
    pub(super) scope: Scope,
    pub(super) is_default: bool,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A time up to some seconds.
const fn time(min: Duration, max: u64) -> Time {
    Time { min, max: seconds(max), whole: false }
}

/// A time the kernel counts in whole seconds; ipvsadm(8) takes 31 days at most.
const KERNEL_TIME: Time = Time { min: Duration::ZERO, max: seconds(31 * 86_400), whole: true };
/// The shortest check period; below it probes are a flood.
const PROBE_MIN: Duration = Duration::from_millis(10);
/// So many checks in a row; more take longer than anybody waits.
const CHECKS: Count = Count { min: 1, max: 1000 };
/// As the original has it (piranha.md 1.3).
const TEXT: Text = Text { max: 255 };
/// As the original has it for commands of a virtual.
const QUOTED: Command = Command { max: 254, quotes: Quotes::SingleKept };
/// Commands and paths of which the original drops the quotes; PATH_MAX.
const PLAIN: Command = Command { max: 4095, quotes: Quotes::Dropped };
/// Two addresses can be "none" in lvs.cf, written 0.0.0.0.
const HOST: Host = Host { zero: false };
const HOST_OR_NONE: Host = Host { zero: true };
/// Command lines and texts of checks, as long as those of a virtual, without the
/// quotes.
const CHECK_TEXT: Command = Command { max: 254, quotes: Quotes::Dropped };
const CHECK_PORT: Own<Port> = Own(Port { zero: false, names: true });
const TCP_PORT: Port = Port { zero: true, names: true };

/// Beside the public and the private one: pulse's heartbeats have room for eight.
pub(super) const HEARTBEAT_PATHS_MAX: usize = 6;

/// More than one or two are asked only in vain.
pub(super) const WITNESSES_MAX: usize = 8;

const SERVICES: OneOf<ServiceKind> = OneOf(&[("lvs", ServiceKind::Lvs), ("fos", ServiceKind::Fos)]);
const KEY_USES: OneOf<KeyUse> =
    OneOf(&[("receive", KeyUse::Receive), ("permissive", KeyUse::Permissive), ("enforce", KeyUse::Enforce)]);
const METHODS: OneOf<ForwardingMethod> = OneOf(&[
    ("nat", ForwardingMethod::Masquerade),
    ("direct", ForwardingMethod::DirectRouting),
    ("tunnel", ForwardingMethod::Tunnel),
]);
const PROTOCOLS: OneOf<Protocol> = OneOf(&[("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)]);

/// Whether single quotes around this keyword's value belong to it: the original
/// stores the quotes of these and takes only double ones away (piranha.md 1.1 no. 7).
pub(super) fn keeps_single_quotes(key: &str) -> bool {
    matches!(key, "send" | "expect" | "body" | "send_program" | "start_cmd" | "stop_cmd")
}

/// Whether a keyword may stand more than once, each time with a further value.
pub(super) fn may_repeat(place: Place, key: &str) -> bool {
    matches!((place, key), (Place::Global, "heartbeat_path" | "witness"))
}

macro_rules! table {
    (
        $(#[$meta:meta])*
        $block:ident at $place:ident {
            $( $(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $kind:expr, $since:ident, $scope:ident; )*
        } and {
            $( $(#[doc = $more_doc:literal])+ $more:ident: $more_type:ty, )*
        }
        $( says $says:expr )?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $block {
            $( $(#[doc = $more_doc])+ pub $more: $more_type, )*
            $( $(#[doc = $doc])+ pub $name: $type, )*
        }

        /// Every keyword's default.
        impl Default for $block {
            fn default() -> Self {
                Self { $( $more: Default::default(), )* $( $name: $default, )* }
            }
        }

        impl Block for $block {
            const PLACE: Place = Place::$place;

            fn keywords() -> Vec<Keyword> {
                let defaults = Self::default();
                vec![$( Keyword {
                    name: stringify!($name),
                    place: Place::$place,
                    value: $kind.describe(),
                    default: $kind.write(&defaults.$name).map(|w| super::print::lvscf_value(&w)).unwrap_or_default(),
                    since: Since::$since,
                    scope: Scope::$scope,
                    doc: concat!($($doc),+).trim().to_owned(),
                }, )*]
            }

            fn assign(&mut self, key: &str, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<&'static str> {
                match key {
                    $( stringify!($name) => {
                        if let Some(value) = $kind.read(value, span, reader) {
                            $kind.store(&mut self.$name, value);
                        }
                        Some(stringify!($name))
                    } )*
                    _ => None,
                }
            }

            fn write(&self, say: &mut dyn FnMut(Entry)) {
                let defaults = Self::default();
                $( if let Some(written) = $kind.write(&self.$name) {
                    let is_default = self.$name == defaults.$name;
                    say(Entry { name: stringify!($name), written, scope: Scope::$scope, is_default });
                } )*
            }

            fn says(&self, key: &str) -> bool {
                let says: &[fn(&Self, &str) -> bool] = &[$($says)?];
                says.iter().all(|says| says(self, key))
            }

            fn rewrite(key: &str, value: &Value, span: Span, reader: &mut Reader<'_>) -> Option<Written> {
                match key {
                    $( stringify!($name) => $kind.rewrite(value, span, reader), )*
                    _ => None,
                }
            }
        }
    };
}

table! {
    /// The whole configuration, the same on both directors.
    Config at Global {
        /// A number the web interface counts up when it writes the file; nothing compares it.
        serial_no: i32 = 0, Serial, Piranha, Nobody;
        /// The address of the primary director; the node that has it is the primary.
        primary: Option<IpAddr> = None, HOST, Piranha, Pair;
        /// The primary's address on the second heartbeat path; without it there is none.
        primary_private: Option<IpAddr> = None, HOST, Piranha, Pair;
        /// The shared disk as the primary sees it, for failover services.
        primary_shared: Option<String> = None, PLAIN, Piranha, Nobody;
        /// Which blocks are run: lvs for virtual services, fos for failover services.
        service: ServiceKind = ServiceKind::Lvs, SERVICES, Piranha, Pair;
        /// The program that stands in for load_monitor = uptime.
        rsh_command: String = "rsh".to_owned(), Word, Piranha, Node;
        /// Whether there is a backup director.
        backup_active: bool = false, Flag, Piranha, Pair;
        /// The address of the backup director. 0.0.0.0 is the same as none.
        backup: Option<IpAddr> = None, HOST_OR_NONE, Piranha, Pair;
        /// The backup's address on the second heartbeat path; without it it is backup.
        backup_private: Option<IpAddr> = None, HOST, Piranha, Pair;
        /// The shared disk as the backup sees it, for failover services.
        backup_shared: Option<String> = None, PLAIN, Piranha, Nobody;
        /// A further heartbeat path: the primary's address on it, then the backup's. Stands once for each path.
        heartbeat_path: Vec<HeartbeatPath> = Vec::new(), Paths { max: HEARTBEAT_PATHS_MAX }, Ours, Pair;
        /// A file with the keys that sign heartbeats, one or two lines of a number (0 to 255) and a secret (16 to 64 bytes); the first signs. It must be its owner's alone (mode 0600). See pulse(8).
        heartbeat_key_file: Option<String> = None, PLAIN, Ours, Node;
        /// How far the keys are enforced: receive (what is signed must be signed right), permissive (and ours are signed), enforce (and what is not signed is dropped).
        heartbeat_key_use: KeyUse = KeyUse::Enforce, KEY_USES, Ours, Node;
        /// Was to switch heartbeats; nothing reads it.
        heartbeat: bool = false, Flag, Piranha, Nobody;
        /// The UDP port of heartbeats, on both directors.
        heartbeat_port: u16 = 539, Port { zero: false, names: true }, Piranha, Pair;
        /// The time between two heartbeats.
        keepalive: Duration = seconds(2), time(Duration::ZERO, 3600), Piranha, Pair;
        /// The silence after which the partner is dead.
        deadtime: Duration = seconds(5), time(Duration::ZERO, 86_400), Piranha, Pair;
        /// The priority with which pulse goes before everything else on a busy processor (SCHED_RR), its memory locked, so that no heartbeat is late; 0 is everybody's. lvsd, the nannies and all commands keep everybody's. For heartbeats of less than some 100 ms: see pulse(8).
        realtime_priority: u32 = 0, Count { min: 0, max: 99 }, Ours, Node;
        /// Whether the primary takes the virtual addresses back: off (it does not), on (a minute after it is fit and hears the backup, so that it knows its connections by then), or the time it waits.
        auto_failback: Option<Duration> = None, Failback { on: seconds(60), max: seconds(30 * 86_400) }, Ours, Pair;
        /// How packets get to the real servers: the forwarding method of all virtual services.
        network: ForwardingMethod = ForwardingMethod::Masquerade, METHODS, Piranha, Pair;
        /// The real servers' gateway, which moves with the active director; only under network = nat.
        nat_router: Option<DeviceAddress> = None, Device, Piranha, Pair;
        /// The netmask of nat_router.
        nat_nmask: Option<Ipv4Addr> = None, Mask, Piranha, Pair;
        /// What to do about a conflict over the shared disk, for failover services.
        reservation_conflict_action: Option<String> = None, PLAIN, Piranha, Nobody;
        /// Was to say how much is logged; nothing reads it.
        debug_level: String = "NONE".to_owned(), Word, Piranha, Nobody;
        /// A command that is run, and not waited for, when the director becomes active.
        active_cmd: Option<String> = None, PLAIN, Piranha, Node;
        /// A command that is run, and not waited for, when the director becomes inactive.
        inactive_cmd: Option<String> = None, PLAIN, Piranha, Node;
        /// How long a run of active_cmd or inactive_cmd may take; then it is killed with its process group. What it started and left behind goes on.
        cmd_timeout: Duration = seconds(300), time(PROBE_MIN, 86_400), Ours, Node;
        /// A command that is run again and again, on the standby too: while it fails, with any status but 0, this director does not serve if the other one can.
        check_cmd: Option<String> = None, PLAIN, Ours, Node;
        /// The time from one run of check_cmd to the next.
        check_interval: Duration = seconds(5), time(PROBE_MIN, 86_400), Ours, Node;
        /// How long a run of check_cmd may take; then it is killed with its process group, and has failed.
        check_timeout: Duration = seconds(5), time(PROBE_MIN, 3600), Ours, Node;
        /// How many runs of check_cmd in a row must fail before it counts.
        check_fall: u32 = 2, Count { min: 0, max: 1000 }, Ours, Node;
        /// How many runs of check_cmd in a row must be good before the failure is over.
        check_rise: u32 = 2, Count { min: 0, max: 1000 }, Ours, Node;
        /// A command that is run for each event, with words about it as arguments: see NOTIFICATIONS in pulse(8).
        notify: Option<String> = None, PLAIN, Ours, Node;
        /// How long a run of notify may take; then it is killed with its process group.
        notify_timeout: Duration = seconds(10), time(PROBE_MIN, 3600), Ours, Node;
        /// A FIFO that gets a line of JSON for each event; it is made if it is not there, and costs nothing while nobody reads.
        notify_fifo: Option<String> = None, PLAIN, Ours, Node;
        /// Whether a director that lost its links gives up the virtual addresses.
        monitor_links: bool = false, Switch, Piranha, Pair;
        /// Who must be heard before a director takes over from a silent partner, or else it is the one cut off: the gateway, a switch, a third host. Asked by ICMP echo, and by ARP or neighbour discovery on a network of ours; one answer is enough. May stand several times.
        witness: Vec<IpAddr> = Vec::new(), Hosts { max: WITNESSES_MAX }, Ours, Node;
        /// How long the witnesses may take to answer.
        witness_timeout: Duration = seconds(1), time(PROBE_MIN, 60), Ours, Node;
        /// How long a director that is about to take over from a silent partner looks for somebody who has a virtual address, by ARP or neighbour discovery; while there is somebody, it does not take over. 0 is not at all.
        vip_probe: Duration = Duration::ZERO, time(Duration::ZERO, 60), Ours, Node;
        /// Whether connections are synchronised to the standby director.
        syncdaemon: bool = false, Flag, Piranha, Pair;
        /// The device over which connections are synchronised.
        syncd_iface: String = "eth0".to_owned(), Word, Piranha, Node;
        /// Only directors with the same id synchronise.
        syncd_id: u8 = 0, LowByte, Piranha, Pair;
        /// The longest datagram of the synchronisation, in bytes; 0 leaves it to the kernel, which fits it to the device.
        sync_maxlen: u32 = 0, SyncLength, Ours, Node;
        /// The multicast group of the synchronisation, IPv4 or IPv6; without it the kernel's 224.0.0.81.
        sync_group: Option<IpAddr> = None, Ip, Ours, Pair;
        /// The UDP port of the synchronisation; 0 is the kernel's 8848.
        sync_port: u16 = 0, Port { zero: true, names: false }, Ours, Pair;
        /// How many routers a datagram of the synchronisation passes; 0 is the kernel's choice, none.
        sync_ttl: u32 = 0, SyncTtl, Ours, Node;
        /// The kernel's timeout of established TCP connections; 0 leaves it.
        tcp_timeout: Duration = Duration::ZERO, KERNEL_TIME, Piranha, Pair;
        /// The kernel's timeout of TCP connections after FIN; 0 leaves it.
        tcpfin_timeout: Duration = Duration::ZERO, KERNEL_TIME, Piranha, Pair;
        /// The kernel's timeout of UDP connections; 0 leaves it.
        udp_timeout: Duration = Duration::ZERO, KERNEL_TIME, Piranha, Pair;
        /// Was to take all services down with one nanny; read, and never done: a nanny is started again.
        hard_shutdown: bool = true, Flag, Piranha, Nobody;
        /// Was to copy files between the directors; nothing reads it.
        sync: bool = false, Flag, Piranha, Nobody;
        /// The path of ipvsadm; we speak to the kernel ourselves and only pass it on to nanny's command line.
        ipvsadm: String = "/sbin/ipvsadm".to_owned(), Word, Piranha, Node;
    } and {
        /// The file it was read from.
        path: PathBuf,
        /// `virtual` blocks in file order.
        virtuals: Vec<VirtualService>,
        /// `failover` blocks in file order.
        failovers: Vec<VirtualService>,
    }
}

table! {
    /// A `virtual` (or `failover`) block.
    VirtualService at Virtual {
        /// Whether it is run.
        active: bool = false, Flag, Piranha, Pair;
        /// The virtual address and the device it is raised on, usually with an alias label. 0.0.0.0 is the same as none.
        address: Option<DeviceAddress> = None, Device, Piranha, Pair;
        /// Where clients go while no real server is available.
        sorry_server: Option<IpAddr> = None, Ip, Piranha, Pair;
        /// The port of the sorry server; without it the virtual's. Only NAT gets there.
        sorry_port: Option<u16> = None, Own(Port { zero: false, names: true }), Ours, Pair;
        /// How packets get to the sorry server; without it as network says.
        sorry_method: Option<ForwardingMethod> = None, Own(METHODS), Ours, Pair;
        /// The netmask of the virtual address.
        vip_nmask: Option<Ipv4Addr> = None, Mask, Piranha, Pair;
        /// The firewall mark that makes a packet one of this service, instead of address and port; 0 is none.
        fwmark: u32 = 0, Mark, Piranha, Pair;
        /// The virtual port.
        port: u16 = 80, TCP_PORT, Piranha, Pair;
        /// How long a client stays with its real server; 0 is not at all.
        persistent: Duration = Duration::ZERO, KERNEL_TIME, Piranha, Pair;
        /// Which part of the client's address counts for persistence.
        pmask: Option<Ipv4Addr> = None, PersistenceMask, Piranha, Pair;
        /// What nanny sends to a real server; \r \n \t \\ \" \' are escapes.
        send: Option<String> = None, TEXT, Piranha, Pair;
        /// What nanny expects as the beginning of the answer; \r \n \t \\ \" \' are escapes, * is anything.
        expect: Option<String> = None, TEXT, Piranha, Pair;
        /// Whether expect is an extended regular expression that is looked for in the answer.
        use_regex: bool = false, Flag, Piranha, Pair;
        /// A program that checks a real server instead of send; %h is the address, %p the port, expect is its output.
        send_program: Option<String> = None, QUOTED, Piranha, Pair;
        /// How many of its checks must be good for a real server to be; 0 is all of them.
        checks_needed: u32 = 0, Checks, Ours, Pair;
        /// The program that tells a real server's load, from which its weight follows: none, rup, ruptime, uptime.
        load_monitor: Option<String> = None, PLAIN, Piranha, Pair;
        /// How new connections are given to real servers.
        scheduler: String = "wlc".to_owned(), Scheduler, Piranha, Pair;
        /// The transport protocol, of the checks too that send and expect are for; those of a check block are of its kind.
        protocol: Protocol = Protocol::Tcp, PROTOCOLS, Piranha, Pair;
        /// The longest that a check may take and, without interval, the time between two checks.
        timeout: Duration = seconds(10), time(PROBE_MIN, 86_400), Piranha, Pair;
        /// The time between two checks; without it timeout is.
        interval: Option<Duration> = None, OwnTime(time(PROBE_MIN, 86_400)), Ours, Pair;
        /// Whether nanny holds an idle TCP connection to a real server, whose end means that a check is made at once: a process that died is found out in a round trip, a host that is gone in about ten seconds, whatever the interval. Only checks by tcp and http that come from no special address, device or mark have one; it goes where the first of them goes. Without this keyword, where the first goes that is a request to a web server, which is used to such connections; it does harm where a server has one client at a time, few connections, or an alarm for those that say nothing.
        watch: Option<bool> = None, Own(Flag), Ours, Pair;
        /// Whether one nanny checks a real server for all virtual services whose checks of it are the same: the address, both ports, what is asked and expected, and the policy from timeout and interval to fall, rise and dampen. Each has its own destination, weight, slow_start, quiesce_server, inhibit, limits and min_up, and its own lines in the log. 0 is a nanny of its own for each real server of this one, as the original had.
        share_probe: bool = true, Flag, Ours, Pair;
        /// So many failed checks in a row take a real server out of use. The original knew only 1.
        fall: u32 = 1, CHECKS, Ours, Pair;
        /// The time from a failed check to the next, while there were fewer than fall; never more than interval.
        retry: Duration = seconds(1), time(PROBE_MIN, 86_400), Ours, Pair;
        /// How long a failed real server must be good again before it gets connections: as many checks in a row as fit into it. 0 is 180.
        reentry: Duration = seconds(180), time(Duration::ZERO, 30 * 86_400), Piranha, Pair;
        /// So many good checks in a row are needed at least before a failed real server gets connections; reentry counts too.
        rise: u32 = 1, CHECKS, Ours, Pair;
        /// How long the weight of a real server grows that comes back after a failure: from a thirty-second of it, doubled five times. The original's is 100; 0 is the whole weight at once.
        slow_start: Duration = seconds(100), time(Duration::ZERO, 86_400), Ours, Pair;
        /// A real server that fails within this time after it came back needs twice as many good checks as the last time, up to 16 times as many; 0 is never.
        dampen: Duration = Duration::ZERO, time(Duration::ZERO, 30 * 86_400), Ours, Pair;
        /// At so many connections a real server gets no new ones; 0 is no limit. Without it a limit set with ipvsadm stays.
        max_connections: Option<u32> = None, Own(Mark), Ours, Pair;
        /// Below so many connections one that had max_connections gets new ones again; without it, below three quarters.
        min_connections: Option<u32> = None, Own(Mark), Ours, Pair;
        /// Whether a failed real server keeps its connections and gets weight 0 instead of being removed.
        quiesce_server: bool = false, Flag, Piranha, Pair;
        /// As quiesce_server, and a real server that never was good gets weight 0 too, instead of being left out.
        inhibit: bool = false, Flag, Ours, Pair;
        /// So many good real servers are enough; whether there are decides about quorum_up and quorum_down.
        quorum: u32 = 1, Count { min: 1, max: 65_535 }, Ours, Pair;
        /// So many more than quorum, or all there are, must be good before it counts as there again.
        hysteresis: u32 = 0, Count { min: 0, max: 65_535 }, Ours, Pair;
        /// A command that is run, and not waited for, when there are enough good real servers, at the first start too.
        quorum_up: Option<String> = None, PLAIN, Ours, Node;
        /// A command that is run, and not waited for, when there are not.
        quorum_down: Option<String> = None, PLAIN, Ours, Node;
        /// No less real servers than this stay in use when checks fail: the last ones are kept, with a warning. 0 is none.
        min_up: u32 = 0, Count { min: 0, max: 65_535 }, Ours, Pair;
        /// Whether the active director lets go of the virtual IP while every virtual on it is down, so that routing, or whoever else has the address, can take over. A virtual is down when fewer real servers than quorum are in use, those that min_up keeps included; hysteresis delays its return; one with a sorry server is never down. One that asks is enough, but all on the address must be down.
        vip_withdraw: bool = false, Flag, Ours, Pair;
        /// How long a real server that a reload takes out keeps its connections: it gets weight 0, and goes when it has none or the time is over; 0 is not at all.
        drain: Duration = Duration::ZERO, time(Duration::ZERO, 30 * 86_400), Ours, Pair;
        /// The path of nanny. Another program says nothing to lvsd: sorry_server and quorum count its real servers as well while they are in the kernel with a weight, and min_up leaves them alone.
        client_monitor: String = "/usr/sbin/nanny".to_owned(), Word, Piranha, Node;
        /// The command that starts a failover service; it ends, with status 0, when the service runs.
        start_cmd: Option<String> = None, QUOTED, Piranha, Pair;
        /// The command that stops a failover service.
        stop_cmd: Option<String> = None, QUOTED, Piranha, Pair;
        /// How long start_cmd may take, and then the service until its first good check.
        start_timeout: Duration = seconds(30), time(PROBE_MIN, 3600), Ours, Pair;
        /// How long stop_cmd may take.
        stop_timeout: Duration = seconds(10), time(PROBE_MIN, 3600), Ours, Pair;
        /// How often a failover service that fails is started again here, within restart_period, before the other director gets it.
        restarts: u32 = 3, Count { min: 0, max: 1000 }, Ours, Pair;
        /// The time in which restarts are counted.
        restart_period: Duration = seconds(600), time(seconds(1), 30 * 86_400), Ours, Pair;
        /// Was to name a host; nothing reads it.
        master: Option<String> = None, PLAIN, Piranha, Nobody;
        /// Was to list directories to copy; nothing reads it.
        dirs: Vec<String> = Vec::new(), List, Piranha, Nobody;
    } and {
        /// The block's name; a label only.
        name: String,
        /// `check` blocks in file order; none: the checks are those of `send` and the like.
        checks: Vec<HealthCheck>,
        /// `server` blocks in file order.
        servers: Vec<RealServer>,
    }
}

table! {
    /// A `server` block.
    RealServer at Server {
        /// The real server's address. 0.0.0.0 is the same as none.
        address: Option<IpAddr> = None, HOST_OR_NONE, Piranha, Pair;
        /// Whether it is used.
        active: bool = false, Flag, Piranha, Pair;
        /// Where it listens and where the probe goes; without it the virtual's port as it stands above this block.
        port: u16 = 80, Port { zero: true, names: false }, Piranha, Pair;
        /// Its share of new connections.
        weight: u32 = 1, Weight, Piranha, Pair;
        /// The virtual's interval, for this server alone; as the following ones without it the virtual's counts, wherever it stands.
        interval: Option<Duration> = None, OwnTime(time(PROBE_MIN, 86_400)), Ours, Pair;
        /// The virtual's fall, for this server alone.
        fall: Option<u32> = None, Own(CHECKS), Ours, Pair;
        /// The virtual's rise, for this server alone.
        rise: Option<u32> = None, Own(CHECKS), Ours, Pair;
        /// The virtual's slow_start, for this server alone.
        slow_start: Option<Duration> = None, OwnTime(time(Duration::ZERO, 86_400)), Ours, Pair;
        /// The virtual's max_connections, for this server alone.
        max_connections: Option<u32> = None, Own(Mark), Ours, Pair;
        /// The virtual's min_connections, for this server alone.
        min_connections: Option<u32> = None, Own(Mark), Ours, Pair;
        /// The virtual's drain, for this server alone; without it the virtual's counts, wherever it stands.
        drain: Option<Duration> = None, OwnTime(time(Duration::ZERO, 30 * 86_400)), Ours, Pair;
        /// The virtual's checks_needed, for this server alone.
        checks_needed: Option<u32> = None, Own(Checks), Ours, Pair;
    } and {
        /// The block's name; a label only.
        name: String,
        /// `check` blocks in file order; none: the virtual's.
        checks: Vec<HealthCheck>,
    }
}

table! {
    /// A `check` block: one check of a real server, or of each of a virtual.
    HealthCheck at Check {
        /// Where the check goes, if not to the real server.
        address: Option<IpAddr> = None, HOST, Ours, Pair;
        /// The port it goes to, if not the real server's. Not for ping.
        port: Option<u16> = None, CHECK_PORT, Ours, Pair;
        /// The director's address that it comes from. Not for script, as the two below.
        source_address: Option<IpAddr> = None, HOST, Ours, Node;
        /// The device that it goes out of.
        source_interface: Option<String> = None, Formed { what: "device", read: check::interface }, Ours, Node;
        /// The firewall mark of its packets, for routing by it; 0 is none.
        mark: u32 = 0, Mark, Ours, Pair;
        /// What is sent after connecting (tcp, udp, tls); escapes as in a virtual's send.
        send: Option<String> = None, TEXT, Ours, Pair;
        /// What the answer begins with (tcp, udp, tls), as a virtual's expect.
        expect: Option<String> = None, TEXT, Ours, Pair;
        /// Whether expect or body is an extended regular expression (tcp, udp, tls, http, https).
        use_regex: bool = false, Flag, Ours, Pair;
        /// The method of the request (http, https); without it GET.
        method: Option<String> = None, Formed { what: "HTTP method", read: check::method }, Ours, Pair;
        /// What is asked for (http, https); without it /.
        path: Option<String> = None, Formed { what: "path", read: check::path }, Ours, Pair;
        /// Whom it is asked of (http, https, grpc, grpcs); without it the address.
        host: Option<String> = None, Formed { what: "host name", read: check::host }, Ours, Pair;
        /// Further headers of the request (http, https), each "Name: value".
        headers: Vec<String> = Vec::new(), List, Ours, Pair;
        /// The good statuses (http, https): 200, 200-299, "200 204 301-302"; without it 200-399.
        status: Option<String> = None, Formed { what: "HTTP statuses", read: statuses }, Ours, Pair;
        /// A text that is somewhere in the first 64 KiB of the answer's body (http, https); escapes as in send.
        body: Option<String> = None, TEXT, Ours, Pair;
        /// The service whose health is asked for (grpc, grpcs); without it that of the whole server.
        service: Option<String> = None, Formed { what: "gRPC service", read: check::grpc_service }, Ours, Pair;
        /// The name in the certificate, and the one asked for (tls, https, grpcs); without it that of host, else the address.
        tls_name: Option<String> = None, Formed { what: "host name", read: check::host }, Ours, Pair;
        /// Whether the certificate must be good (tls, https, grpcs).
        verify: bool = true, Flag, Ours, Pair;
        /// Whose signatures make a certificate good (tls, https, grpcs): a file of certificates in PEM; without it those the system trusts.
        ca_file: Option<String> = None, PLAIN, Ours, Node;
        /// How long before its end a certificate is warned of (tls, https, grpcs); 0 is never.
        expiry_warning: Duration = seconds(14 * 86_400), time(Duration::ZERO, 365 * 86_400), Ours, Pair;
        /// The name given with HELO (smtp); without it localhost.
        helo: Option<String> = None, Formed { what: "host name", read: check::host }, Ours, Pair;
        /// The name that is asked about (dns); without it the root.
        query: Option<String> = None, Formed { what: "domain name", read: domain }, Ours, Pair;
        /// The type of records that is asked for (dns): A, AAAA, MX, TYPE257, ...; without it A, and NS of the root.
        query_type: Option<String> = None, Formed { what: "record type", read: record_type }, Ours, Pair;
        /// The answer's code (dns): NOERROR, NXDOMAIN, ... or its number; without it NOERROR.
        rcode: Option<String> = None, Formed { what: "DNS code", read: rcode }, Ours, Pair;
        /// A record's data that the answer holds (dns), as in zone files.
        answer: Option<String> = None, CHECK_TEXT, Ours, Pair;
        /// The program (script); it is split at blanks, %h is the address, %p the port.
        program: Option<String> = None, CHECK_TEXT, Ours, Pair;
        /// Whether an exit status of 2 to 254 is good too, and 2 more than the weight that the real server gets (script).
        exit_is_weight: bool = false, Flag, Ours, Pair;
    } and {
        /// The block's name: what the check speaks.
        kind: CheckKind,
    }
    says |check, key| check.kind.takes(key)
}

impl HealthCheck {
    /// As nanny's command line has it: `--check KIND`, and `--with NAME=VALUE` for
    /// each option that is set and means something to the kind.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["--check".to_owned(), self.kind.to_string()];
        self.write(&mut |Entry { name, written, is_default, .. }| {
            if is_default || !self.kind.takes(name) {
                return;
            }
            let values = match written {
                Written::Number(number) => vec![number.to_string()],
                Written::Flag(flag) => vec![u8::from(flag).to_string()],
                Written::Text(text, _) => vec![text],
                Written::Words([first, second]) => vec![format!("{first} {second}")],
                Written::List(list) => list,
                Written::Rows(rows) => rows.into_iter().map(|row| row.join(" ")).collect(),
            };
            words.extend(values.into_iter().flat_map(|value| ["--with".to_owned(), format!("{name}={value}")]));
        });
        words
    }
}

impl RealServer {
    /// The checks that count for it: its own, or those of its virtual.
    pub fn checks<'a>(&'a self, service: &'a VirtualService) -> &'a [HealthCheck] {
        if self.checks.is_empty() { &service.checks } else { &self.checks }
    }

    /// How many of them must be good; 0 is all.
    pub fn checks_needed(&self, service: &VirtualService) -> u32 {
        self.checks_needed.unwrap_or(service.checks_needed)
    }
}

fn statuses(text: &str) -> Result<(), String> {
    check::statuses(text).map(drop)
}

fn domain(text: &str) -> Result<(), String> {
    check::domain(text).map(drop)
}

fn record_type(text: &str) -> Result<(), String> {
    check::record_type(text).map(drop)
}

fn rcode(text: &str) -> Result<(), String> {
    check::rcode(text).map(drop)
}

/// All keywords with a value, in the order in which a file is written.
pub fn keywords() -> Vec<Keyword> {
    let mut all = Config::keywords();
    all.extend(VirtualService::keywords());
    all.extend(RealServer::keywords());
    all.extend(HealthCheck::keywords());
    all
}

/// What a keyword that the original's own tools write, but that has no meaning
/// where they write it, is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// As another keyword.
    As(&'static str),
    /// As nothing.
    Ignored,
}

/// Keywords of the original's manual and web interface that its parser refuses
/// (piranha.md 1.2, 1.3): they are read with a warning.
pub(super) fn stray(place: Place, key: &str) -> Option<Stray> {
    match (place, key) {
        (Place::Global, "debug") => Some(Stray::As("debug_level")),
        (Place::Virtual, "expect_program" | "nmask" | "heartbeat" | "deadtime" | "serial_no") => Some(Stray::Ignored),
        (Place::Server, "nmask" | "heartbeat" | "deadtime" | "expect_program") => Some(Stray::Ignored),
        (Place::Global | Place::Virtual | Place::Server | Place::Check, _) => None,
    }
}
