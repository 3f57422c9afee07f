//! What lvsd tells pulse of its virtual services, for pulse owns the virtual IPs and
//! knows the operator's programs: which virtual IPs nothing behind serves, as a list
//! in pages of which each fits into a packet, and what happened. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How many addresses a page has at most: of the longest, a packet holds 409.
const PAGE_MAX: usize = 400;

/// The most pages of a list: more virtual IPs than a configuration can have.
const PAGES_MAX: u32 = 256;

/// The longest name in [`News`], in characters: of a virtual and a server.
const NAME_MAX: usize = 520;

/// The longest text, in characters.
const TEXT_MAX: usize = crate::log::LINE_MAX;

/// A part of a list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which, from 0.
    pub number: u32,
    /// Of so many, 1 at least.
    pub of: u32,
    /// What stands on it.
    pub addresses: Vec<IpAddr>,
}

/// The pages of a list, one for an empty one.
pub fn pages(list: &BTreeSet<IpAddr>) -> Vec<Page> {
    let all: Vec<IpAddr> = list.iter().copied().collect();
    let mut parts: Vec<&[IpAddr]> = all.chunks(PAGE_MAX).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let of = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    (0..).zip(parts).map(|(number, part)| Page { number, of, addresses: part.to_vec() }).collect()
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)?;
        self.addresses.iter().try_for_each(|address| write!(f, " {address}"))
    }
}

impl FromStr for Page {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let (number, of) = words.next().and_then(|word| word.split_once('/')).ok_or(())?;
        let (number, of) = (number.parse().map_err(drop)?, of.parse().map_err(drop)?);
        if number >= of || of > PAGES_MAX {
            return Err(());
        }
        let addresses = words.map(|word| word.parse().map_err(drop)).collect::<Result<Vec<IpAddr>, ()>>()?;
        Ok(Self { number, of, addresses })
    }
}

/// Pages put together as they come. One that does not follow the one before is of a
/// list whose beginning was lost; the whole is said again.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    next: u32,
    of: u32,
    so_far: BTreeSet<IpAddr>,
}

impl Pages {
    /// One more page; the list if it was the last.
    pub fn take(&mut self, Page { number, of, addresses }: Page) -> Option<BTreeSet<IpAddr>> {
        if number == 0 {
            (self.next, self.of, self.so_far) = (0, of, BTreeSet::new());
        }
        if (number, of) != (self.next, self.of) {
            *self = Self::default();
            return None;
        }
        self.next += 1;
        self.so_far.extend(addresses);
        (self.next == of).then(|| std::mem::take(self).so_far)
    }
}

/// What happened to a virtual service or a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A real server is good again.
    ServerUp,
    /// A real server failed its checks.
    ServerDown,
    /// A virtual has its quorum again.
    VirtualUp,
    /// A virtual lost its quorum.
    VirtualDown,
    /// The sorry server stands in.
    SorryIn,
    /// It does not any more.
    SorryOut,
}

const WORDS: [(Happened, &str, &str); 6] = [
    (Happened::ServerUp, "server", "up"),
    (Happened::ServerDown, "server", "down"),
    (Happened::VirtualUp, "virtual", "up"),
    (Happened::VirtualDown, "virtual", "down"),
    (Happened::SorryIn, "sorry", "in"),
    (Happened::SorryOut, "sorry", "out"),
];

impl Happened {
    /// Its two words: what it is about, and what became of it.
    pub fn words(self) -> (&'static str, &'static str) {
        let found = WORDS.iter().find(|(it, ..)| *it == self);
        found.map(|(_, event, what)| (*event, *what)).unwrap_or_default()
    }
}

/// The same with whom it happened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What.
    pub what: Happened,
    /// `VIRTUAL/SERVER`, or `VIRTUAL`.
    pub name: String,
    /// In words.
    pub text: String,
    /// So many before it could not be said.
    pub lost: u64,
}

/// `text` without NULs, which part the fields, and not too long.
fn plain(text: &str, max: usize) -> impl fmt::Display {
    text.chars().filter(|c| *c != '\0').take(max).collect::<String>()
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, what) = self.what.words();
        let (name, text) = (plain(&self.name, NAME_MAX), plain(&self.text, TEXT_MAX));
        write!(f, "{event} {what} {}\0{name}\0{text}", self.lost)
    }
}

impl FromStr for News {
    type Err = ();

    fn from_str(packet: &str) -> Result<Self, ()> {
        let (head, rest) = packet.split_once('\0').ok_or(())?;
        let (name, text) = rest.split_once('\0').ok_or(())?;
        let (words, lost) = head.rsplit_once(' ').ok_or(())?;
        let is_it = |(_, event, what): &&(Happened, &str, &str)| words.split_once(' ') == Some((event, what));
        let (what, ..) = WORDS.iter().find(is_it).ok_or(())?;
        let (name, text) = (name.to_owned(), text.to_owned());
        Ok(Self { what: *what, name, text, lost: lost.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::channel::{PACKET_MAX, Said};

    proptest! {
        // Each is of thousands of addresses.
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_list_is_put_together_again_whatever_was_said_before(
            lists in prop::collection::vec(prop::collection::btree_set(any::<IpAddr>(), 0..1000), 1..4),
            lost in any::<prop::sample::Index>(),
        ) {
            let mut all: Vec<Page> = lists.iter().flat_map(pages).collect();
            let before = all.len() - pages(lists.last().unwrap()).len();
            if before > 0 {
                all.remove(lost.index(before));
            }
            let mut together = Pages::default();
            let heard: Vec<_> = all
                .into_iter()
                .filter_map(|page| {
                    let packet = Said::Withdrawn(page).encode();
                    assert!(packet.len() <= PACKET_MAX);
                    let Ok(Said::Withdrawn(page)) = Said::decode(&packet) else { panic!("it reads back") };
                    together.take(page)
                })
                .collect();
            prop_assert_eq!(heard.last(), lists.last());
        }

        #[test]
        fn a_list_that_lost_a_page_is_none(first in any::<u32>(), count in 801..2000u32, lost in 0..3usize) {
            let list = (0..count).map(|n| Ipv4Addr::from_bits(first.wrapping_add(n)).into()).collect();
            let mut all = pages(&list);
            all.remove(lost);
            let mut together = Pages::default();
            prop_assert!(all.into_iter().all(|page| together.take(page).is_none()));
        }

        #[test]
        fn news_read_back(n in 0..6usize, name in "[^\0]{0,80}", text in "[^\0]{0,80}", lost in any::<u64>()) {
            let news = News { what: WORDS[n].0, name, text, lost };
            prop_assert_eq!(news.to_string().parse(), Ok(news));
        }

        #[test]
        fn whatever_comes_is_read_or_refused(text in ".{0,60}") {
            let _ = (text.parse::<Page>(), text.parse::<News>());
        }
    }

    #[test]
    fn the_longest_addresses_fit_into_a_packet() {
        let list: BTreeSet<IpAddr> = (0..PAGE_MAX)
            .map(|n| {
                IpAddr::from([
                    u16::MAX,
                    0xfedc,
                    0xfedc,
                    0xfedc,
                    0xfedc,
                    0xfedc,
                    0xfedc,
                    0xf000 + u16::try_from(n).unwrap(),
                ])
            })
            .collect();
        let pages = pages(&list);
        assert_eq!(pages.len(), 1);
        assert!(Said::Withdrawn(pages[0].clone()).encode().len() <= PACKET_MAX);
    }

    #[test]
    fn pages_and_news_that_make_no_sense_are_refused() {
        for text in ["", "0", "0/0", "1/1", "0/257", "0/1 x", "-1/1", "0/1  192.0.2.1"] {
            assert_eq!(text.parse::<Page>(), Err(()), "{text}");
        }
        for text in ["", "server up 0", "server up 0\0x", "server in 0\0a\0b", "server up x\0a\0b", "up 0\0a\0b"] {
            assert_eq!(text.parse::<News>(), Err(()), "{text:?}");
        }
    }
}
