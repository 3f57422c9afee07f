//! What stands on the two directors: the trio, or keepalived beside it.

use std::fmt::Write as _;

use nix::sys::signal::Signal;

use crate::ground::director::Director;
use crate::ground::lab::signal;
use crate::ground::wait::{SOON, wait_until};

use super::site::{
    BEAT, FRONT, MASTER, Method, Plan, SERVICE, TO_CLIENTS, TO_PARTNER, TO_SERVERS, Timers, VIP_ADDRESS,
};

/// What stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// pulse, lvsd, nanny.
    Ours,
    /// Debian's.
    Keepalived,
}

/// Where nothing of the machine lies: /etc/keepalived may be a link out of it.
const KEEPALIVED_CONF: &str = "/run/keepalived.conf";

/// Debian keeps it here, which is not on everybody's PATH.
const KEEPALIVED: &str = "/usr/sbin/keepalived";

impl Product {
    /// Writes its configuration; `which` is [`MASTER`] or the other.
    pub fn configure(self, director: &Director, plan: Plan, which: usize) {
        self.write(director, &lvs_cf(plan), &keepalived_conf(plan, which));
    }

    /// Writes the one of these that is its own.
    pub fn write(self, director: &Director, ours: &str, theirs: &str) {
        match self {
            Self::Ours => director.configure(ours),
            Self::Keepalived => director.machine.write(KEEPALIVED_CONF, theirs),
        }
    }

    /// Starts it as an init script does.
    pub fn start(self, director: &Director) {
        match self {
            Self::Ours => director.start_pulse(),
            Self::Keepalived => drop(director.machine.run(KEEPALIVED, &["-f", KEEPALIVED_CONF])),
        }
    }

    /// Stops it as an init script does: TERM to the first process, which waits for
    /// the others.
    pub fn stop(self, director: &Director) {
        match self {
            Self::Ours => director.stop_pulse(),
            Self::Keepalived => {
                signal(self.first_process(director), Signal::SIGTERM);
                wait_until(SOON, "keepalived ends", || self.processes(director).is_empty());
            }
        }
    }

    /// Restarts it as an init script does, which is to stop and to start keepalived.
    pub fn restart(self, director: &Director) {
        match self {
            Self::Ours => {
                let output = director.try_pulse(&["--restart"]);
                assert!(output.status.success(), "pulse --restart: {}", String::from_utf8_lossy(&output.stderr));
            }
            Self::Keepalived => {
                let first = self.first_process(director);
                signal(first, Signal::SIGTERM);
                self.wait_until_stopped(first);
                self.start(director);
            }
        }
    }

    /// Whether it can be told to give the VIP to the other director.
    pub fn can_relocate(self) -> bool {
        match self {
            Self::Ours => true,
            Self::Keepalived => false,
        }
    }

    /// Tells it that.
    pub fn relocate(self, director: &Director) {
        assert!(self.can_relocate(), "nobody has told keepalived to do so");
        // One that was started a moment ago may not have been heard yet.
        wait_until(SOON, "pulse --relocate", || director.try_pulse(&["--relocate"]).status.success());
    }

    /// Waits for the first process, which ends when the others have, as an init
    /// script does. It costs next to nothing, so that clients do not notice.
    pub fn wait_until_stopped(self, first: u32) {
        let has_ended = || {
            let stat = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
        };
        wait_until(SOON, &format!("{self:?} ends"), has_ended);
    }

    /// Its processes, with their names, the first one first.
    pub fn processes(self, director: &Director) -> Vec<(u32, String)> {
        let mut all = match self {
            Self::Ours => director.daemons(),
            Self::Keepalived => {
                let all = director.machine.all_processes().into_iter();
                all.filter(|(_, name)| name.starts_with("keepalived")).collect()
            }
        };
        all.sort_unstable();
        all
    }

    /// Of [`Self::processes`], the one that init knows.
    pub fn first_process(self, director: &Director) -> u32 {
        let file = match self {
            Self::Ours => "/run/pulse.pid",
            Self::Keepalived => "/run/keepalived.pid",
        };
        let text = std::fs::read_to_string(director.machine.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        director.machine.outer_pid(text.trim().parse().expect("a pid")).expect("it runs")
    }

    /// Waits until that director could take over.
    pub fn wait_until_ready(self, director: &Director, plan: Plan) {
        wait_until(SOON, "all its processes run", || self.is_whole(director));
        director.wait_for_destinations(SERVICE, &plan.destinations());
        if self == Self::Ours {
            wait_until(SOON, "its lvsd is ready, and it has heard its partner", || {
                let status = Self::status(director);
                status.contains("\nfit: yes\n") && !status.contains("\npartner: not known yet")
            });
        }
    }

    /// What ours says of itself; nothing, if it does not.
    pub fn status(director: &Director) -> String {
        String::from_utf8_lossy(&director.try_pulse(&["--status"]).stdout).into_owned()
    }

    /// How many processes it should have on a director.
    fn process_count(self) -> usize {
        match self {
            Self::Ours => 5,       // the guardian, pulse, lvsd, a nanny for each server
            Self::Keepalived => 3, // the parent, vrrp, checkers
        }
    }

    /// Whether all its processes run.
    pub fn is_whole(self, director: &Director) -> bool {
        self.processes(director).len() == self.process_count()
    }

    /// SIGKILL to whatever of it is left, in one breath: they keep each other.
    pub fn end(self, director: &Director) {
        let all = self.processes(director);
        for what in [Signal::SIGSTOP, Signal::SIGKILL] {
            for (pid, _) in &all {
                signal(*pid, what);
            }
        }
        wait_until(SOON, "its processes are gone", || self.processes(director).is_empty());
    }
}

fn lvs_cf(plan: Plan) -> String {
    let mut text = format!("primary = {}\nbackup = {}\n", FRONT[0], FRONT[1]);
    if plan.private {
        let _ = write!(text, "primary_private = {}\nbackup_private = {}\n", BEAT[0], BEAT[1]);
    }
    text += "service = lvs\nbackup_active = 1\nheartbeat = 1\nheartbeat_port = 539\n";
    text += match plan.timers {
        Timers::Default => "",
        Timers::Quick => "keepalive = 200ms\ndeadtime = 3s\n",
        Timers::Patient => "keepalive = 200ms\ndeadtime = 20s\n",
        Timers::Tenth => "keepalive = 100ms\ndeadtime = 300ms\n",
        Timers::Fastest => "keepalive = 10ms\ndeadtime = 30ms\n",
    };
    if plan.realtime {
        text += "realtime_priority = 50\n";
    }
    if plan.sync {
        let _ = write!(text, "syncdaemon = 1\nsyncd_iface = {TO_PARTNER}\nsyncd_id = 7\n");
    }
    text += match plan.method {
        Method::Direct => "network = direct\n",
        Method::Nat => "network = nat\nnat_router = 10.0.0.1 eth2:1\nnat_nmask = 255.255.255.0\n",
    };
    let _ = write!(
        text,
        "virtual web {{\n    active = 1\n    address = {VIP_ADDRESS} eth0:1\n    vip_nmask = 255.255.255.0\n    \
         port = 80\n    scheduler = rr\n    protocol = tcp\n    timeout = 6\n    reentry = 6\n"
    );
    for (name, destination) in ["158", "159"].iter().zip(plan.destinations()) {
        let (address, port) = destination.split_once(':').expect("ADDRESS:PORT");
        let _ = write!(
            text,
            "    server {name} {{\n        address = {address}\n        active = 1\n        weight = 1\n        \
             port = {port}\n    }}\n"
        );
    }
    text + "}\n"
}

/// The same site in keepalived's words: checks of the same kind at the same pace.
fn keepalived_conf(plan: Plan, which: usize) -> String {
    let mut text = "global_defs {\n".to_owned();
    if plan.timers != Timers::Default {
        text += "    vrrp_version 3\n";
    }
    if plan.realtime {
        text += "    vrrp_rt_priority 50\n";
    }
    if plan.sync {
        let _ = writeln!(text, "    lvs_sync_daemon {TO_PARTNER} pair id 7");
    }
    text += "}\nvrrp_instance pair {\n    virtual_router_id 51\n";
    let _ = writeln!(text, "    interface {TO_CLIENTS}");
    text += match which {
        MASTER => "    state MASTER\n    priority 150\n",
        _ => "    state BACKUP\n    priority 100\n",
    };
    text += match plan.timers {
        Timers::Default => "",
        Timers::Quick | Timers::Patient => "    advert_int 1\n",
        Timers::Tenth => "    advert_int 0.1\n",
        Timers::Fastest => "    advert_int 0.01\n",
    };
    let _ = writeln!(text, "    virtual_ipaddress {{\n        {VIP_ADDRESS}/24 dev {TO_CLIENTS}");
    if plan.method == Method::Nat {
        let _ = writeln!(text, "        10.0.0.1/24 dev {TO_SERVERS}");
    }
    text += "    }\n}\n";
    let kind = match plan.method {
        Method::Direct => "DR",
        Method::Nat => "NAT",
    };
    let _ = write!(
        text,
        "virtual_server {VIP_ADDRESS} 80 {{\n    delay_loop 6\n    lb_algo rr\n    lb_kind {kind}\n    protocol TCP\n"
    );
    for destination in plan.destinations() {
        let (address, port) = destination.split_once(':').expect("ADDRESS:PORT");
        let _ = write!(
            text,
            "    real_server {address} {port} {{\n        weight 1\n        TCP_CHECK {{\n            connect_timeout 5\n        \
             }}\n    }}\n"
        );
    }
    text + "}\n"
}
