use std::os::fd::OwnedFd;

use mio::Poll;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::*;

const FIRST: usize = 2;

struct FakeParent(OwnedFd);

/// A child that another test starts at this moment has a copy of the descriptor until it
/// is another program: closed here alone, the line would go on for as long.
impl Drop for FakeParent {
    fn drop(&mut self) {
        shutdown(self.0.as_raw_fd(), Shutdown::Both).unwrap();
    }
}

impl FakeParent {
    fn asks(&self, ask: &Ask) {
        send(self.0.as_raw_fd(), &ask.encode(), MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    fn heard(&self) -> Vec<Said> {
        let mut buffer = [0; 4096];
        let mut all = Vec::new();
        while let Ok(length @ 1..) = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            all.push(Said::decode(&buffer[..length]).unwrap());
        }
        all
    }
}

fn welcome(parents: &mut Parents, is_ready: bool, poll: &Poll) -> FakeParent {
    let (line, theirs) = Line::pair().unwrap();
    parents.welcome(line, is_ready, poll.registry());
    FakeParent(theirs)
}

#[test]
fn a_parent_hears_who_we_are_then_that_we_are_ready_then_the_beat() {
    let (now, poll, beat) = (Instant::now(), Poll::new().unwrap(), Duration::from_secs(2));
    let mut parents = Parents::new(beat, FIRST, now);
    assert_eq!(parents.deadline(), None, "nobody listens");
    let pulse = welcome(&mut parents, false, &poll);
    let heard = pulse.heard();
    assert!(matches!(heard[0], Said::Hello { pid, .. } if pid == std::process::id()));
    assert_eq!(heard[1..], [Said::Alive]);
    parents.say_ready();
    parents.beat(now);
    parents.beat(now + beat / 2);
    assert_eq!(pulse.heard(), [Said::Ready, Said::Alive]);
    assert_eq!(parents.deadline(), Some(now + beat));
    let later = welcome(&mut parents, true, &poll);
    assert_eq!(later.heard()[1..], [Said::Ready]);
}

#[test]
fn asks_are_heard_and_the_end_of_a_line_changes_nothing_for_the_others() {
    let (now, poll) = (Instant::now(), Poll::new().unwrap());
    let mut parents = Parents::new(Duration::from_secs(2), FIRST, now);
    let first = welcome(&mut parents, true, &poll);
    let second = welcome(&mut parents, true, &poll);
    let mut requests = Vec::new();
    second.asks(&Ask::Check);
    second.asks(&Ask::Release);
    drop(first);
    parents.read(FIRST, &mut requests);
    parents.read(FIRST + 1, &mut requests);
    assert_eq!(requests, [Request::Check, Request::Release]);
    second.heard();
    parents.say_ready();
    assert_eq!(second.heard(), [Said::Ready]);
}

#[test]
fn one_who_only_knocks_pushes_nobody_out_and_too_many_push_out_the_oldest() {
    let (now, poll) = (Instant::now(), Poll::new().unwrap());
    let mut parents = Parents::new(Duration::from_secs(2), FIRST, now);
    let pulse = welcome(&mut parents, true, &poll);
    for _ in 0..20 {
        drop(welcome(&mut parents, true, &poll));
        for token in FIRST..FIRST + MAX {
            parents.read(token, &mut Vec::new());
        }
    }
    pulse.heard();
    parents.say_ready();
    assert_eq!(pulse.heard(), [Said::Ready]);
    let others: Vec<FakeParent> = (0..MAX).map(|_| welcome(&mut parents, true, &poll)).collect();
    for other in &others {
        other.heard();
    }
    parents.say_ready();
    assert_eq!(pulse.heard(), []);
    assert!(others.iter().all(|other| other.heard() == [Said::Ready]));
}

#[test]
fn a_list_of_virtual_ips_is_said_when_it_changes_before_we_are_ready_and_with_the_beat() {
    use common::channel::services::Page;
    let said = |last: &[u8]| {
        let addresses = last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect();
        Said::Withdrawn(Page { number: 0, of: 1, addresses })
    };
    let (now, poll, beat) = (Instant::now(), Poll::new().unwrap(), Duration::from_secs(2));
    let mut parents = Parents::new(beat, FIRST, now);
    let pulse = welcome(&mut parents, false, &poll);
    assert_eq!(pulse.heard()[1..], [Said::Alive], "not known yet");
    parents.say_withdrawn(&BTreeSet::new());
    parents.say_ready();
    assert_eq!(pulse.heard(), [said(&[]), Said::Ready]);
    let list = BTreeSet::from([IpAddr::from([192, 0, 2, 1])]);
    parents.say_withdrawn(&list);
    parents.say_withdrawn(&list);
    parents.beat(now);
    assert_eq!(pulse.heard(), [said(&[1]), Said::Alive, said(&[1])]);
    assert_eq!(welcome(&mut parents, true, &poll).heard()[1..], [said(&[1]), Said::Ready]);
}

/// The numbers of the events that were heard, and how many were lost before them.
fn numbers(heard: Vec<Said>) -> (Vec<usize>, u64) {
    let of = |said: Said| {
        let Said::News(News { name, lost, .. }) = said else { panic!("{said:?}") };
        (name.parse::<usize>().unwrap(), lost)
    };
    let all: Vec<(usize, u64)> = heard.into_iter().map(of).collect();
    (all.iter().map(|(n, _)| *n).collect(), all.iter().map(|(_, lost)| lost).sum())
}

#[test]
fn news_go_to_pulse_alone_wait_while_its_line_is_full_and_are_counted_when_lost() {
    use common::channel::services::Happened;
    let news = |n: usize| News { what: Happened::ServerDown, name: n.to_string(), text: String::new(), lost: 0 };
    let (now, poll) = (Instant::now(), Poll::new().unwrap());
    let mut parents = Parents::new(Duration::from_secs(2), FIRST, now);
    let read = |parents: &mut Parents| (FIRST..FIRST + MAX).for_each(|token| parents.read(token, &mut Vec::new()));
    parents.tell(news(0));
    assert_eq!(parents.deliver(), None, "there never was a pulse");
    let (pulse, other) = (welcome(&mut parents, true, &poll), welcome(&mut parents, true, &poll));
    pulse.asks(&Ask::Rest);
    read(&mut parents);
    pulse.heard();
    other.heard();
    parents.tell(news(1));
    assert_eq!((parents.deliver(), other.heard().len()), (None, 0));
    assert_eq!(numbers(pulse.heard()), (vec![1], 0));

    // It does not read: the line fills, then the queue, then the oldest are lost.
    for n in 0..5000 {
        parents.tell(news(n));
        assert_eq!(parents.deliver(), None);
    }
    let ((mut all, mut lost), mut said) = (numbers(pulse.heard()), None);
    while said.is_none() {
        said = parents.deliver();
        let (more, lost_before) = numbers(pulse.heard());
        all.extend(more);
        lost += lost_before;
    }
    assert_eq!((u64::try_from(all.len()).unwrap() + lost, said), (5000, Some(lost)));
    assert!(lost > 0 && all.is_sorted() && all.last() == Some(&4999));

    // The next pulse hears what happened while there was none.
    drop(pulse);
    read(&mut parents);
    parents.tell(news(7));
    parents.deliver();
    let next = welcome(&mut parents, true, &poll);
    next.heard();
    parents.deliver();
    assert_eq!(next.heard(), [], "who it is, it says first");
    next.asks(&Ask::Serve);
    read(&mut parents);
    assert_eq!((parents.deliver(), numbers(next.heard())), (None, (vec![7], 0)));
}
