use super::*;
use crate::election::Event as Of;
use crate::heartbeat::{Claim, Datagram, Flags, StartId, State, Word};

/// Its port counts from one of this process's own, as the same tests may run beside it.
fn at(text: &str) -> SocketAddr {
    let mut address: SocketAddr = text.parse().unwrap();
    // Below those that the kernel gives to others.
    let first = 20_000 + u16::try_from(std::process::id() % 5000).unwrap() * 2;
    address.set_port(first + address.port());
    address
}

fn end(name: &str, ours: &str, partner: &str) -> End {
    End { name: name.to_owned(), ours: at(ours), partner: at(partner) }
}

fn beat() -> Heartbeat {
    Heartbeat {
        word: Word::Lvs(Claim::Stopped),
        state: State::Standby,
        start: StartId::new(7),
        sequence: 1,
        heard: None,
        also_heard: None,
        fingerprint: 0,
        interval: Duration::from_secs(2),
        flags: Flags::default(),
        reason: None,
        path: 0,
    }
}

struct Side {
    heartbeats: Heartbeats,
    poll: mio::Poll,
    log: Log,
}

impl Side {
    fn new(ends: Vec<End>) -> Self {
        let (heartbeats, troubles) = Heartbeats::open(ends, Keyring::none(), Instant::now());
        assert!(troubles.is_empty(), "{troubles:?}");
        Self { heartbeats, poll: mio::Poll::new().unwrap(), log: Log::new(false) }
    }

    /// What is heard until something is.
    fn hear(&mut self) -> Vec<Event> {
        let since = Instant::now();
        let mut events = VecDeque::new();
        while events.is_empty() {
            assert!(since.elapsed() < Duration::from_secs(60), "nothing is heard");
            self.heartbeats.receive(Instant::now(), &mut events, self.poll.registry(), &self.log);
        }
        events.into()
    }
}

fn heard(path: usize, number: u8) -> Event {
    Event::Pair(Box::new(Of::Datagram { path, datagram: Datagram::Ours(beat().on(number)) }))
}

#[test]
fn a_beat_goes_out_on_every_path_and_each_is_told_by_its_sender() {
    let mut one = Side::new(vec![
        end("Primary", "127.1.0.1:0", "127.1.0.2:0"),
        end("Private", "127.1.1.1:0", "127.1.1.2:0"),
        end("6", "[::1]:0", "[::1]:1"),
    ]);
    let mut other = Side::new(vec![
        end("Primary", "127.1.0.2:0", "127.1.0.1:0"),
        end("Private", "127.1.1.2:0", "127.1.1.1:0"),
        end("6", "[::1]:1", "[::1]:0"),
    ]);
    one.heartbeats.send(&beat(), &one.log);
    let mut all = Vec::new();
    while all.len() < 3 {
        all.extend(other.hear());
    }
    for (path, number) in [(0, 0), (1, 1), (2, 2)] {
        assert!(all.contains(&heard(path, number)), "{all:?}");
    }
}

#[test]
fn two_paths_from_one_address_share_its_socket_and_a_crossing_beat_still_counts() {
    // backup_private is backup: piranha.md 1.2
    let mut backup =
        Side::new(vec![end("Primary", "127.2.0.2:0", "127.2.0.1:0"), end("Private", "127.2.0.2:0", "127.2.1.1:0")]);
    assert_eq!(backup.heartbeats.sockets.len(), 1);
    let private = UdpSocket::bind("127.2.1.1:0").unwrap();
    private.send_to(&beat().encode(&Keyring::none()), at("127.2.0.2:0")).unwrap();
    assert_eq!(backup.hear(), [heard(1, 0)]);
    let mut both =
        Side::new(vec![end("Primary", "127.2.0.3:0", "127.2.0.1:0"), end("Private", "127.2.1.3:0", "127.2.1.1:0")]);
    private.send_to(&beat().encode(&Keyring::none()), at("127.2.0.3:0")).unwrap();
    assert_eq!(both.hear(), [heard(1, 0)], "any address of the partner on any of ours");
}

#[test]
fn strangers_and_garbage_are_counted_and_nothing_else() {
    let mut side = Side::new(vec![end("Primary", "127.3.0.1:0", "127.3.0.2:0")]);
    let stranger = UdpSocket::bind("127.3.0.3:0").unwrap();
    stranger.send_to(&beat().encode(&Keyring::none()), at("127.3.0.1:0")).unwrap();
    assert_eq!(side.hear(), [Event::Unheard(Box::new(Counters { stranger: 1, ..Counters::default() }))]);
    let partner = UdpSocket::bind("127.3.0.2:0").unwrap();
    for bytes in [&b"x"[..], &[0; 600], b""] {
        partner.send_to(bytes, at("127.3.0.1:0")).unwrap();
    }
    let mut garbled = 0;
    while garbled < 3 {
        for event in side.hear() {
            let Event::Unheard(counters) = event else { panic!("{event:?}") };
            garbled += counters.garbled;
        }
    }
}

#[test]
fn an_address_that_is_not_there_is_bound_already_and_a_taken_port_is_tried_again() {
    let mut away = Side::new(vec![end("Primary", "192.0.2.1:0", "192.0.2.2:0")]);
    assert!(away.heartbeats.sockets[0].socket.is_some());
    away.heartbeats.send(&beat(), &away.log); // fails, and is no reason to end
    assert!(away.heartbeats.paths[0].trouble.is_some());

    let taken = UdpSocket::bind(at("127.4.0.1:0")).unwrap();
    let ends = || vec![end("Primary", "127.4.0.1:0", "127.4.0.2:0")];
    let (mut heartbeats, troubles) = Heartbeats::open(ends(), Keyring::none(), Instant::now());
    assert_eq!((troubles[0].0.as_str(), troubles[0].1.kind()), ("Primary", io::ErrorKind::AddrInUse));
    drop(taken);
    let poll = mio::Poll::new().unwrap();
    // A child that another test starts at this moment may have a copy, for a moment.
    let (mut events, mut later) = (VecDeque::new(), Instant::now());
    while heartbeats.sockets[0].socket.is_none() {
        later += AGAIN;
        heartbeats.receive(later, &mut events, poll.registry(), &Log::new(false));
    }
}

#[test]
fn a_reload_keeps_the_sockets_that_stay() {
    let stays = || end("Primary", "127.5.0.1:0", "127.5.0.2:0");
    let mut side = Side::new(vec![end("Private", "127.5.1.1:0", "127.5.1.2:0"), stays()]);
    let partner = UdpSocket::bind("127.5.0.2:0").unwrap();
    partner.send_to(&beat().encode(&Keyring::none()), at("127.5.0.1:0")).unwrap();
    let ends = vec![stays(), end("x", "127.5.2.1:0", "127.5.2.2:0")];
    side.heartbeats.reload(ends, Keyring::none(), side.poll.registry(), &side.log);
    assert_eq!(side.hear(), [heard(0, 0)], "what waited in it is not lost, and its path is counted anew");
    assert_eq!(side.heartbeats.sockets.len(), 2);
}
