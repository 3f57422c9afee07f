//! Real servers with bad manners: whatever a port does instead of answering, its
//! own destination leaves, in time, and nothing else happens.

use crate::ground::director::Director;
use crate::ground::real_server::{Manner, RealServer};
use crate::ground::scenario;

const MANNERS: [(u16, Manner); 6] = [
    (8001, Manner::Refuse),
    (8002, Manner::Stall),
    (8003, Manner::Babble),
    (8004, Manner::Trickle),
    (8005, Manner::Wrong),
    (8006, Manner::Reset),
];

/// The one that goes on answering.
const WELL: u16 = 8007;

#[test]
fn a_server_that_refuses_stalls_babbles_trickles_lies_or_resets_loses_its_own_destination() {
    scenario(|lab| {
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let mut server = RealServer::new(lab, "158", "front", &["192.168.142.158/24"]);
        let ports: Vec<u16> = MANNERS.iter().map(|(port, _)| *port).chain([WELL]).collect();
        let listen: Vec<String> = ports.iter().map(|port| format!("tcp {port}")).collect();
        server.serve(&listen.iter().map(String::as_str).collect::<Vec<_>>());
        let virtuals: Vec<String> = ports.iter().map(|port| virtual_service(*port)).collect();
        director.configure(&format!("primary = 192.168.142.160\nnetwork = direct\n{}", virtuals.concat()));
        director.start_pulse();
        let service = |port: u16| format!("TCP 192.168.142.100:{port}");
        let destination = |port: u16| format!("192.168.142.158:{port}");
        for port in &ports {
            director.wait_for_destinations(&service(*port), &[&destination(*port)]);
        }
        let mark = director.log.mark();
        for (port, manner) in MANNERS {
            server.behave(port, manner);
        }
        for (port, _) in MANNERS {
            director.wait_for_destinations(&service(port), &[]);
            let line = format!("[inactive] shutting down {} due to connection failure", destination(port));
            director.log.wait_for(mark, &line);
            assert_eq!(director.log.count(mark, &line), 1, "one line for one change");
        }
        assert_eq!(director.kernel_table().destinations(&service(WELL)), [destination(WELL)]);
        director.log.assert_never(mark, "died");
        director.log.assert_never(mark, &format!(":{WELL}"));
        for (port, _) in MANNERS {
            server.behave(port, Manner::Answer);
        }
        for port in &ports {
            director.wait_for_destinations(&service(*port), &[&destination(*port)]);
        }
    });
}

/// What is expected is long enough for a server that says a byte at a time to
/// need longer than it has; a well one has more than a busy machine needs.
fn virtual_service(port: u16) -> String {
    let timeout = if port == WELL { 30 } else { 3 };
    format!(
        "virtual v{port} {{\n active = 1\n address = 192.168.142.100 eth0:1\n vip_nmask = 255.255.255.0\n port = {port}\n\
         \x20send = \"GET / HTTP/1.0\\r\\n\\r\\n\"\n expect = \"HTTP/1.0 200 OK\\r\\nServer: 158\\r\\nConnection: close\"\n \
         timeout = {timeout}\n interval = 1\n reentry = 1\n\
         \x20server s {{\n address = 192.168.142.158\n active = 1\n port = {port}\n }}\n}}\n"
    )
}
