//! Listens for who says that it has certain addresses: our virtual IPs while we
//! hold them or are about to, and the witnesses while they are asked.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use crate::arp::{self, Claim};
use crate::fenced::packet_socket::Listener;
use crate::hands::watch;
use crate::ready::Source;
use crate::sieve::{self, Instruction};

/// How many packets are read in one turn of the loop.
const READ_AT_ONCE: usize = 256;

/// Enough for an ARP packet and for an advertisement with more options than there
/// are; what is longer is cut, and then no claim.
const PACKET: usize = 256;

/// The two ways to claim an address, each heard only while there is one of its
/// family to listen for.
#[derive(Debug, Default)]
pub struct Segment {
    arp: Option<Listener>,
    advertised: Option<Listener>,
    addresses: Vec<IpAddr>,
}

impl Segment {
    /// Listens for these from now on.
    ///
    /// # Errors
    /// The system's; what was listened for before is then not heard any more either.
    pub fn listen(&mut self, addresses: Vec<IpAddr>, registry: &mio::Registry) -> io::Result<()> {
        if addresses == self.addresses {
            return Ok(());
        }
        let [four, six] = [addresses.iter().any(IpAddr::is_ipv4), addresses.iter().any(IpAddr::is_ipv6)];
        let (arp, advertised) = (sieve::arp_claims(&addresses), sieve::advertised_claims(&addresses));
        self.addresses.clear();
        turn(&mut self.arp, four.then_some((arp::ETHERTYPE_ARP, &arp)), registry)?;
        turn(&mut self.advertised, six.then_some((arp::ETHERTYPE_IPV6, &advertised)), registry)?;
        self.addresses = addresses;
        Ok(())
    }

    /// The claims that came, each with the link it came on. `true` if there may be
    /// more.
    pub fn receive(&self, claims: &mut VecDeque<(u32, Claim)>) -> bool {
        let mut more = false;
        let mut buffer = [0; PACKET];
        for listener in [&self.arp, &self.advertised] {
            let Some(open) = listener else { continue };
            more |= !(0..READ_AT_ONCE).any(|_| {
                let Some(received) = open.receive(&mut buffer) else { return true };
                let packet = buffer.get(..received.length).unwrap_or_default();
                let claim = match &self.arp {
                    Some(arp) if std::ptr::eq(arp, open) => arp::arp_claim(packet),
                    Some(_) | None => received.from.and_then(|from| arp::advertisement_claim(packet, from)),
                };
                claims.extend(claim.map(|claim| (received.index, claim)));
                false
            });
        }
        more
    }
}

/// Opens, changes or closes one.
fn turn(
    listener: &mut Option<Listener>,
    wanted: Option<(u16, &Vec<Instruction>)>,
    registry: &mio::Registry,
) -> io::Result<()> {
    match (listener.take(), wanted) {
        (_, None) => {}
        (Some(open), Some((_, sieve))) => {
            open.set_sieve(sieve)?;
            *listener = Some(open);
        }
        (None, Some((ethertype, sieve))) => {
            let open = Listener::open(ethertype, sieve)?;
            watch(registry, &open, Source::Claims)?;
            *listener = Some(open);
        }
    }
    Ok(())
}
