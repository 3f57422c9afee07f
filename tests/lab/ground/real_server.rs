//! A real server: a machine that answers, made ready for one of the three ways
//! packets come to it.

use super::part::Part;
use super::{Lab, Machine};

/// How a port answers; see the part `server` for what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "said there")]
pub enum Manner {
    Answer,
    Refuse,
    Stall,
    Babble,
    Trickle,
    Wrong,
    Reset,
    Blurt,
    Drip,
    Flood,
    HalfClose,
}

/// A machine with a server process on it.
pub struct RealServer {
    /// The machine.
    pub machine: Machine,
    words: Vec<String>,
    part: Option<Part>,
}

impl RealServer {
    /// A machine called `name` on `network` with these addresses, and nothing on
    /// it yet.
    pub fn new(lab: &Lab, name: &str, network: &str, addresses: &[&str]) -> Self {
        let machine = lab.machine(name);
        lab.plug(&machine, network, "eth0", addresses);
        Self { machine, words: vec![name.to_owned()], part: None }
    }

    /// For direct routing: takes packets to the VIP (`192.0.2.100/32`), and says
    /// so to nobody. IPv6 needs no more than the address: neighbours are answered
    /// for the addresses of the interface that is asked, never for lo's.
    pub fn direct_routing(&self, vip: &str) {
        self.machine.sysctl("net.ipv4.conf.all.arp_ignore", "1");
        self.machine.sysctl("net.ipv4.conf.all.arp_announce", "2");
        let nodad = if vip.contains(':') { " nodad" } else { "" };
        self.machine.ip(&format!("addr add {vip} dev lo{nodad}\n"));
    }

    /// For tunnelling: takes IPIP packets sent to `own` (its address), with the
    /// VIP inside.
    pub fn tunnel(&self, own: &str, vip: &str) {
        self.direct_routing(vip);
        self.machine.ip(&format!("link add tunnel0 type ipip local {own}\nlink set tunnel0 up\n"));
        // The inner packet's answer leaves through another interface.
        self.machine.sysctl("net.ipv4.conf.all.rp_filter", "0");
        self.machine.sysctl("net.ipv4.conf.tunnel0.rp_filter", "0");
    }

    /// For NAT: answers go back through the director.
    pub fn behind(&self, director: &str) {
        let family = if director.contains(':') { "-6" } else { "-4" };
        self.machine.run("ip", &[family, "route", "add", "default", "via", director]);
    }

    /// Starts the server: `tcp PORT`, `udp ADDRESS:PORT` each.
    pub fn serve(&mut self, ports: &[&str]) {
        self.words.truncate(1);
        self.words.extend(ports.iter().map(|port| (*port).to_owned()));
        self.start();
    }

    /// Starts it again after [`Self::kill`].
    pub fn start(&mut self) {
        self.part = Some(self.machine.start_part("server", self.words.clone()));
    }

    /// SIGKILL to the server process; the machine stays.
    pub fn kill(&mut self) {
        self.part.take().expect("a running server").kill();
    }

    /// Changes how a port answers; in force when this returns.
    pub fn behave(&mut self, port: u16, manner: Manner) {
        let server = self.part.as_mut().expect("a running server");
        let manner = format!("{manner:?}").to_lowercase();
        assert_eq!(server.ask(&format!("{port} {manner}")), "done");
    }
}
