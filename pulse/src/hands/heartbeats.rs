//! The heartbeat sockets, one for each address of ours: sends a beat on every
//! path, and tells the partner's datagrams from everybody else's.
//!
//! A socket is bound to its address whether the address is there yet or not
//! (ip(7), IP_FREEBIND), so that nothing is to be done when it goes and comes back.
//! It is not connected: the source port of an original's heartbeats need not be its
//! own, and what strangers send is counted instead of answered with an error.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use common::log::Log;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt};

use crate::election;
use crate::hands::watch;
use crate::heartbeat::{DATAGRAM_MAX, Heartbeat, Keyring, decode};
use crate::messages::Message;
use crate::node::Event;
use crate::ready::Source;
use crate::replay::Counters;
use crate::settings::End;

/// How many datagrams are read from a socket in one turn of the loop: more than its
/// buffer holds, so that silence is never judged with the partner's word unread.
const READ_AT_ONCE: usize = 1024;

/// How often a socket that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A socket of ours.
#[derive(Debug)]
struct Bound {
    ours: SocketAddr,
    /// `None`: something else has the port.
    socket: Option<UdpSocket>,
}

/// A path, with the index of its socket.
#[derive(Debug)]
struct Path {
    end: End,
    socket: usize,
    /// The trouble with sending that was said.
    trouble: Option<io::ErrorKind>,
}

/// All of them.
#[derive(Debug)]
pub struct Heartbeats {
    sockets: Vec<Bound>,
    paths: Vec<Path>,
    keyring: Keyring,
    again_at: Instant,
}

impl Heartbeats {
    /// Opens the sockets of these paths; those that cannot be had are tried again,
    /// and named with the reason.
    pub fn open(ends: Vec<End>, keyring: Keyring, now: Instant) -> (Self, Vec<(String, io::Error)>) {
        let mut heartbeats = Self { sockets: Vec::new(), paths: Vec::new(), keyring, again_at: now + AGAIN };
        let troubles = heartbeats.follow(ends);
        (heartbeats, troubles)
    }

    /// Takes over other paths. Sockets that stay are not touched, and lose nothing.
    fn follow(&mut self, ends: Vec<End>) -> Vec<(String, io::Error)> {
        let mut troubles = Vec::new();
        let mut old = std::mem::take(&mut self.sockets);
        self.paths.clear();
        for end in ends {
            let known = self.sockets.iter().position(|bound| bound.ours == end.ours);
            let socket = known.unwrap_or_else(|| {
                let kept = old.iter().position(|bound| bound.ours == end.ours).map(|at| old.swap_remove(at));
                let bound = kept.filter(|bound| bound.socket.is_some()).unwrap_or_else(|| {
                    let socket = open(end.ours).map_err(|e| troubles.push((end.name.clone(), e))).ok();
                    Bound { ours: end.ours, socket }
                });
                self.sockets.push(bound);
                self.sockets.len() - 1
            });
            self.paths.push(Path { end, socket, trouble: None });
        }
        troubles
    }

    /// Has the loop wake up for what comes in.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn watch(&self, registry: &mio::Registry) -> io::Result<()> {
        self.sockets
            .iter()
            .filter_map(|bound| bound.socket.as_ref())
            .try_for_each(|socket| watch(registry, socket, Source::Partner))
    }

    /// A reload: other paths and keys from now on.
    pub fn reload(&mut self, ends: Vec<End>, keyring: Keyring, registry: &mio::Registry, log: &Log) {
        self.keyring = keyring;
        let known: Vec<i32> = self.descriptors().collect();
        for (path, error) in self.follow(ends) {
            log.say(&Message::PathUnbound { path, error: error.to_string() });
        }
        let fresh = self.sockets.iter().filter_map(|bound| bound.socket.as_ref());
        for socket in fresh.filter(|socket| !known.contains(&socket.as_raw_fd())) {
            // Unwatched it is read with our next beat.
            let _ = watch(registry, socket, Source::Partner);
        }
    }

    fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.sockets.iter().filter_map(|bound| bound.socket.as_ref()).map(AsRawFd::as_raw_fd)
    }

    /// Sends a beat on every path.
    pub fn send(&mut self, beat: &Heartbeat, log: &Log) {
        for (number, path) in (0..).zip(&mut self.paths) {
            let Some(socket) = self.sockets.get(path.socket).and_then(|bound| bound.socket.as_ref()) else { continue };
            let trouble = socket.send_to(&beat.on(number).encode(&self.keyring), path.end.partner).err();
            let kind = trouble.as_ref().map(io::Error::kind);
            if let Some(e) = trouble.filter(|_| path.trouble != kind) {
                log.say(&Message::NotSent { path: path.end.name.clone(), error: e.to_string() });
            }
            path.trouble = kind;
        }
    }

    /// Reads what waits. `true` if there may be more.
    pub fn receive(&mut self, now: Instant, events: &mut VecDeque<Event>, registry: &mio::Registry, log: &Log) -> bool {
        if now >= self.again_at {
            self.again_at = now + AGAIN;
            self.try_again(registry, log);
        }
        let mut unheard = Counters::default();
        let mut more = false;
        for (index, bound) in self.sockets.iter().enumerate() {
            let Some(socket) = &bound.socket else { continue };
            more |= !(0..READ_AT_ONCE).any(|_| {
                let mut buffer = [0; DATAGRAM_MAX + 1];
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => {
                        let bytes = buffer.get(..length).unwrap_or_default();
                        let event = self.heard(index, from.ip(), bytes, &mut unheard);
                        events.extend(event.map(|event| Event::Pair(Box::new(event))));
                        false
                    }
                    // An ICMP error for something we sent, or a signal.
                    Err(e) => e.kind() == io::ErrorKind::WouldBlock,
                }
            });
        }
        if unheard != Counters::default() {
            events.push_back(Event::Unheard(Box::new(unheard)));
        }
        more
    }

    /// What came in on a socket from an address.
    fn heard(&self, socket: usize, from: IpAddr, bytes: &[u8], unheard: &mut Counters) -> Option<election::Event> {
        let is_its = |path: &&Path| path.end.partner.ip() == from;
        let here = self.paths.iter().position(|path| path.socket == socket && is_its(&path));
        // The original takes any address of the partner on any of its own, and so
        // may answer on another way than it is asked.
        let Some(path) = here.or_else(|| self.paths.iter().position(|path| is_its(&path))) else {
            unheard.stranger = unheard.stranger.saturating_add(1);
            return None;
        };
        match decode(bytes, &self.keyring) {
            Ok(datagram) => Some(election::Event::Datagram { path, datagram }),
            Err(e) => {
                unheard.count_unreadable(e);
                None
            }
        }
    }

    fn try_again(&mut self, registry: &mio::Registry, log: &Log) {
        for (index, bound) in self.sockets.iter_mut().enumerate().filter(|(_, bound)| bound.socket.is_none()) {
            if let Ok(socket) = open(bound.ours) {
                let _ = watch(registry, &socket, Source::Partner); // unwatched it is read with our next beat
                bound.socket = Some(socket);
                for path in self.paths.iter().filter(|path| path.socket == index) {
                    log.say(&Message::PathBound(path.end.name.clone()));
                }
            }
        }
    }
}

fn open(ours: SocketAddr) -> io::Result<UdpSocket> {
    let family = if ours.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Datagram, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    // Means the same on an IPv6 socket.
    setsockopt(&fd, sockopt::IpFreebind, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(ours))?;
    Ok(fd.into())
}

#[cfg(test)]
mod tests;
