use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use mio::{Events, Poll};

use super::*;
use crate::probe::exchange::Pattern;
use crate::probe::http::{Body, Parts, Request};

const LONG: Duration = Duration::from_secs(60);

fn wants_alive() -> Topic {
    let parts = Parts { method: "GET", path: "/", host: "a", headers: &[] };
    Topic::Http(Request::new(&parts, vec![(200, 200)], Body::Pattern(Pattern::new(b"alive"))))
}

/// One byte of a body in each 200 that are sent, faster than they are read.
#[test]
fn who_never_stops_sending_neither_keeps_the_loop_nor_the_check() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = format!("1;{}\r\nx\r\n", "y".repeat(200)).repeat(100);
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    let mut poll = Poll::new().unwrap();
    let (topic, target) = (wants_alive(), Target { to, source: None, interface: None, mark: 0 });
    let began = Instant::now();
    let at = (poll.registry(), Token(0));
    let mut conversation = Conversation::begin((&Transport::Tcp, &topic), &target, None, at, began).unwrap();
    let mut events = Events::with_capacity(8);
    let outcome = loop {
        let now = Instant::now();
        let before = conversation.received;
        let ended = conversation.due(&topic, now, began + LONG).or_else(|| conversation.advance(&topic, now));
        assert!(conversation.received - before <= 2 * STEPS_A_TURN * READ_SIZE);
        if let Some(ended) = ended {
            break ended;
        }
        let left = conversation.deadline(began + LONG).saturating_duration_since(Instant::now());
        poll.poll(&mut events, Some(left)).unwrap();
    };
    assert_eq!(outcome, Outcome::Wrong(format!("the answer is longer than {ANSWER_MAX} bytes")));
    drop(conversation);
    server.join().unwrap();
}
