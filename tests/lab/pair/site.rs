//! The site of the pair: two directors on the clients' network, a cable between
//! them for heartbeats, real servers, a client. What runs on the directors is the
//! trio or keepalived, so that both play the same scenes.
//!
//! ```text
//!   client .10 ──┬── front 192.168.142.0/24 ──┬── 158, 159 (direct routing)
//!                │ .160                  .161 │
//!             master ── beat 10.9.0.0/24 ── backup      VIP .100 on one of them
//!                │ .2                      .3 │
//!                └──── back 10.0.0.0/24 ──────┴── 158, 159 (NAT; router .1)
//! ```

use std::time::{Duration, Instant};

use crate::ground::client::{Client, Load, Pace};
use crate::ground::director::Director;
use crate::ground::gap::Gap;
use crate::ground::real_server::RealServer;
use crate::ground::wait::{SOON, wait_for, wait_until};
use crate::ground::{Lab, tell};

use super::holders::{Holders, holds};
use super::product::Product;

/// The virtual service's address.
pub const VIP: &str = "192.168.142.100:80";
/// The address alone.
pub const VIP_ADDRESS: &str = "192.168.142.100";
/// The address as an interface has it.
pub const VIP_ON_DEVICE: &str = "192.168.142.100/24";
/// The virtual service as the table names it.
pub const SERVICE: &str = "TCP 192.168.142.100:80";
/// The directors' addresses on the clients' network, the master's first.
pub const FRONT: [&str; 2] = ["192.168.142.160", "192.168.142.161"];
/// The same on the cable between them.
pub const BEAT: [&str; 2] = ["10.9.0.1", "10.9.0.2"];

/// The interface to the clients, on every machine.
pub const TO_CLIENTS: &str = "eth0";
/// The directors' interface to each other.
pub const TO_PARTNER: &str = "eth1";
/// The directors' interface to real servers behind NAT.
pub const TO_SERVERS: &str = "eth2";

/// A hundred connections a second, and no patience with a lost packet: a first
/// one is sent again after a second.
const HASTY: Pace =
    Pace { every: Duration::from_millis(10), patience: Duration::from_millis(900), under_way_max: usize::MAX };

/// The director that has `primary`, and the one that has `backup`.
pub const MASTER: usize = 0;
/// See [`MASTER`].
pub const BACKUP: usize = 1;

/// How packets come to the real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The servers have the VIP themselves.
    Direct,
    /// The servers are behind the directors, on a port of their own.
    Nat,
}

/// How fast a silent director is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timers {
    /// What each product does when nothing is said.
    Default,
    /// Seconds, but not many: for scenes on a machine that may be busy.
    Quick,
    /// A silence that no busy machine reaches: for scenes in which nobody takes over.
    Patient,
    /// A tenth of a second, and three of them.
    Tenth,
    /// As fast as each product goes.
    Fastest,
}

/// Everything a site can differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What runs on the directors.
    pub product: Product,
    /// How packets come to the real servers.
    pub method: Method,
    /// How fast they watch each other.
    pub timers: Timers,
    /// Whether they tell each other of their connections.
    pub sync: bool,
    /// Whether heartbeats go by the cable between them, too.
    pub private: bool,
    /// Whether who sends heartbeats goes before everything else on the processor.
    pub realtime: bool,
}

impl Plan {
    /// The trio, direct routing, both heartbeat paths.
    pub const OURS: Self = Self {
        product: Product::Ours,
        method: Method::Direct,
        timers: Timers::Quick,
        sync: false,
        private: true,
        realtime: false,
    };

    /// The destinations of the virtual service.
    pub fn destinations(self) -> [&'static str; 2] {
        match self.method {
            Method::Direct => ["192.168.142.158:80", "192.168.142.159:80"],
            Method::Nat => ["10.0.0.158:8080", "10.0.0.159:8080"],
        }
    }
}

/// The site. Dropped in this order.
pub struct Pair<'lab> {
    /// The one with `primary`, and the one with `backup`.
    pub directors: [Director; 2],
    /// 192.168.142.10.
    pub client: Client,
    /// Called 158 and 159.
    pub servers: Vec<RealServer>,
    /// What it was built by.
    pub plan: Plan,
    lab: &'lab Lab,
}

impl<'lab> Pair<'lab> {
    /// Builds it, with the directors configured and nothing started on them.
    pub fn new(lab: &'lab Lab, plan: Plan) -> Self {
        lab.network("front");
        lab.network("beat");
        lab.network("back");
        let directors = [(MASTER, "master"), (BACKUP, "backup")].map(|(which, name)| {
            let front = format!("{}/24", FRONT[which]);
            let director = Director::new(lab, name, "front", &[&front]);
            lab.plug(&director.machine, "beat", TO_PARTNER, &[&format!("{}/24", BEAT[which])]);
            lab.plug(&director.machine, "back", TO_SERVERS, &[&format!("10.0.0.{}/24", which + 2)]);
            plan.product.configure(&director, plan, which);
            director
        });
        let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
        let servers = ["158", "159"].map(|name| {
            let (network, address) = match plan.method {
                Method::Direct => ("front", format!("192.168.142.{name}/24")),
                Method::Nat => ("back", format!("10.0.0.{name}/24")),
            };
            let mut server = RealServer::new(lab, name, network, &[&address]);
            match plan.method {
                Method::Direct => server.direct_routing(&format!("{VIP_ADDRESS}/32")),
                Method::Nat => server.behind("10.0.0.1"),
            }
            server.serve(&["tcp 80", "tcp 8080"]);
            server
        });
        Self { directors, client, servers: servers.into(), plan, lab }
    }

    /// Both started in one breath, and the master in service.
    pub fn in_service(lab: &'lab Lab, plan: Plan) -> Self {
        let pair = Self::new(lab, plan);
        pair.start_both();
        pair
    }

    /// Starts both and waits until the master serves.
    pub fn start_both(&self) {
        for director in &self.directors {
            self.plan.product.start(director);
        }
        self.wait_for_service(MASTER);
        self.wait_until_ready(BACKUP);
        if self.plan.product == Product::Ours {
            assert_eq!(self.wait_until_agreed(), MASTER);
        }
    }

    /// Waits until that director serves, and the other does not.
    pub fn wait_for_service(&self, which: usize) {
        self.wait_for_vip_on(&[which]);
        self.directors[which].wait_for_destinations(SERVICE, &self.plan.destinations());
        wait_until(SOON, "a client is served", || self.client.ask(VIP).is_ok());
    }

    /// Waits until that director could take over.
    pub fn wait_until_ready(&self, which: usize) {
        self.plan.product.wait_until_ready(&self.directors[which], self.plan);
    }

    /// Waits until exactly these directors hold the VIP.
    pub fn wait_for_vip_on(&self, wanted: &[usize]) {
        let holders =
            || -> Vec<usize> { [MASTER, BACKUP].into_iter().filter(|which| self.holds_vip(*which)).collect() };
        wait_until(SOON, &format!("the VIP is on {wanted:?} (0 is the master)"), || holders() == wanted);
    }

    /// Waits until one director holds the VIP, whichever that is.
    pub fn wait_for_one(&self) {
        wait_until(SOON, "one director holds the VIP", || self.holds_vip(MASTER) != self.holds_vip(BACKUP));
    }

    /// Waits until one of ours is active, the other stands by, and both know: who holds
    /// the VIP before they have heard each other may not keep it. Which one it is.
    pub fn wait_until_agreed(&self) -> usize {
        let says = |which: usize, state: &str, partner: &str| {
            let status = Product::status(&self.directors[which]);
            status.contains(&format!("\nstate: {state}\n")) && status.contains(&format!("\npartner: {partner}\n"))
        };
        wait_for(SOON, "both know that one is active and the other stands by", || {
            [MASTER, BACKUP].into_iter().find(|active| {
                says(*active, "active", "standby")
                    && says(1 - active, "standby", "active")
                    && self.holds_vip(*active)
                    && !self.holds_vip(1 - active)
            })
        })
    }

    /// The one that holds the VIP.
    pub fn active(&self) -> usize {
        if self.holds_vip(MASTER) { MASTER } else { BACKUP }
    }

    /// Whether that director has the VIP.
    pub fn holds_vip(&self, which: usize) -> bool {
        holds(self.first_pids()[which])
    }

    /// Watches who holds the VIP, from now on.
    pub fn watch(&self) -> Holders {
        Holders::watch(self.first_pids())
    }

    fn first_pids(&self) -> [u32; 2] {
        [MASTER, BACKUP].map(|which| self.directors[which].machine.first_pid())
    }

    /// Fifty connections a second, as patient as clients are; some were served
    /// when this returns.
    pub fn load(&self) -> Load {
        let load = self.client.open_connections(VIP, Duration::from_millis(20));
        load.wait_for_served(20);
        load
    }

    /// A hundred connections a second, each in a hurry: what is lost is seen, and
    /// a machine with nothing else to do is needed.
    pub fn hasty_load(&self) -> Load {
        let load = self.client.open_connections(VIP, HASTY);
        load.wait_for_served(40);
        load
    }

    /// Pulls both cables of a director but the one to its servers.
    pub fn cut_off(&self, which: usize) {
        self.pull(which, TO_CLIENTS);
        self.pull(which, TO_PARTNER);
    }

    /// Pulls one of a director's cables.
    pub fn pull(&self, which: usize, device: &str) {
        self.lab.pull(&self.directors[which].machine, device);
    }

    /// The switch forwards nothing from or to a director, but to its servers.
    pub fn silence(&self, which: usize) {
        for device in [TO_CLIENTS, TO_PARTNER] {
            self.lab.silence(&self.directors[which].machine, device);
        }
    }

    /// All of a director's cables are in again, and the switch forwards.
    pub fn mend(&self, which: usize) {
        for device in [TO_CLIENTS, TO_PARTNER] {
            self.lab.mend(&self.directors[which].machine, device);
        }
    }

    /// The positions in both logs: what follows can be looked at alone.
    pub fn marks(&self) -> [usize; 2] {
        [MASTER, BACKUP].map(|which| self.directors[which].log.mark())
    }
}

/// What a client saw since `from`, and in the moments that follow.
pub fn gap_since(load: &Load, from: Instant) -> Gap {
    load.wait_for_served(20);
    load.gap(from, Instant::now())
}

/// The same, printed.
pub fn figure(what: &str, load: &Load, from: Instant) {
    tell::figure(&format!("pair: {what}: {}", gap_since(load, from)));
}
