//! The site most scenarios play on, and the story's: one director without a
//! partner, two real servers on the same network (direct routing), a client. The
//! configuration is a RHEL 5.5 operator's, whose real servers listen on another
//! port than the virtual service.

use crate::ground::Lab;
use crate::ground::client::Client;
use crate::ground::director::Director;
use crate::ground::real_server::RealServer;

/// The virtual service's address.
pub const VIP: &str = "192.168.142.100:80";
/// The address as an interface has it.
pub const VIP_ON_DEVICE: &str = "192.168.142.100/24";
/// The virtual service as the table names it.
pub const SERVICE: &str = "TCP 192.168.142.100:80";
/// Both destinations: the virtual port, whatever port the servers listen on.
pub const BOTH: [&str; 2] = ["192.168.142.158:80", "192.168.142.159:80"];

/// What the original runs happily until the first real server fails. A check has
/// four seconds: a guest on a busy machine may need one to start the script.
pub const LVS_CF: &str = r#"serial_no = 34
primary = 192.168.142.160
service = lvs
backup_active = 0
backup = 0.0.0.0
heartbeat = 1
heartbeat_port = 539
keepalive = 6
deadtime = 18
network = direct
nat_nmask = 255.255.255.0
debug_level = NONE
virtual 100 {
     active = 1
     address = 192.168.142.100 eth0:1
     vip_nmask = 255.255.255.0
     port = 80
     expect = "OK"
     use_regex = 0
     send_program = "/etc/sysconfig/ha/lvs.sh %h"
     load_monitor = none
     scheduler = rr
     protocol = tcp
     timeout = 6
     reentry = 6
     quiesce_server = 0
     server 158 {
         address = 192.168.142.158
         active = 1
         weight = 1
         port = 8080
     }
     server 159 {
         address = 192.168.142.159
         active = 1
         weight = 1
         port = 8080
     }
}
"#;

/// [`LVS_CF`] where only a server that says so is out: a check that is slow is the machine's
/// fault, whatever else it has to do. A dead one is found out sooner.
pub fn patient_lvs_cf() -> String {
    LVS_CF.replace("timeout = 6", "timeout = 30\n     interval = 3").replace("reentry = 6", "reentry = 3")
}

/// [`LVS_CF`] with a scheduler that nobody has, and the line it stands on.
pub fn wrong_lvs_cf() -> (String, usize) {
    let wrong = LVS_CF.replace("scheduler = rr", "scheduler = fastest");
    let line = wrong.lines().position(|line| line.contains("fastest")).expect("it is there");
    (wrong, line + 1)
}

/// The operator's own check: what the application on 8080 says of itself.
pub const LVS_SH: &str = r#"#!/bin/bash
answer=$( (exec 3<>"/dev/tcp/$1/8080" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && read -r line <&3 && echo "$line") 2>/dev/null)
case $answer in
*200*) echo OK ;;
*) echo FAIL ;;
esac
"#;

/// The site. Dropped in this order.
pub struct Site {
    /// 192.168.142.160.
    pub director: Director,
    /// 192.168.142.10.
    pub client: Client,
    /// 192.168.142.158 and 159, called so; they answer on 80 and 8080.
    pub servers: Vec<RealServer>,
}

impl Site {
    /// Builds it, with the configuration and the check script written and nothing
    /// started on the director.
    pub fn new(lab: &Lab) -> Self {
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let client = Client::new(lab, "client", "front", &["192.168.142.10/24"]);
        let servers = ["158", "159"].map(|name| {
            let mut server = RealServer::new(lab, name, "front", &[&format!("192.168.142.{name}/24")]);
            server.direct_routing("192.168.142.100/32");
            server.serve(&["tcp 80", "tcp 8080"]);
            server
        });
        director.machine.write_script("/etc/sysconfig/ha/lvs.sh", LVS_SH);
        director.configure(LVS_CF);
        Self { director, client, servers: servers.into() }
    }

    /// The same with patient checks, pulse started and everything in service.
    pub fn in_service(lab: &Lab) -> Self {
        let site = Self::new(lab);
        site.director.configure(&patient_lvs_cf());
        site.director.start_pulse();
        site.wait_in_service();
        site
    }

    /// Waits until both servers and the VIP are there.
    pub fn wait_in_service(&self) {
        self.director.wait_for_destinations(SERVICE, &BOTH);
        self.director.wait_for_address(VIP_ON_DEVICE);
    }
}
