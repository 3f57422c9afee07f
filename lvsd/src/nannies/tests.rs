use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use common::channel::{Flaps, Said, VERSION};
use common::ipvs::{DestinationKey, Protocol};
use nix::sys::socket::{MsgFlags, recv, send};

use super::hearing::{FIND_AGAIN_AFTER, PACKETS_MAX};
use super::*;
use crate::services::Keepers as _;
use crate::sorry::Tally;
use crate::wanted::Virtual;

const FIRST: Id = 16;
const MS: Duration = Duration::from_millis(1);

fn arguments(words: &[&str]) -> Arguments {
    words.iter().collect()
}

fn monitor_with(server: u8, words: &[&str]) -> Rc<Monitor> {
    let service = ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, 1].into(), port: 80 };
    let destination = DestinationKey { address: [10, 0, 0, server].into(), port: 80 };
    Rc::new(Monitor {
        target: Target { service, destination },
        name: "web".to_owned(),
        server: format!("s{server}"),
        program: PathBuf::from("/usr/sbin/nanny"),
        arguments: arguments(words),
        place: format!("tcp-192.0.2.1-80-10.0.0.{server}-80"),
        assignment: None,
        weight: 1,
        drain: None,
        is_nanny: true,
    })
}

fn monitor(server: u8) -> Rc<Monitor> {
    monitor_with(server, &["-c", "-w", "1"])
}

/// The nanny's end of a line.
struct FakeNanny(OwnedFd);

impl FakeNanny {
    fn says(&self, said: &Said) {
        send(self.0.as_raw_fd(), &said.encode(), MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    fn hello(&self, words: &[&str]) {
        let arguments = words.iter().map(|word| (*word).to_owned()).collect();
        self.says(&Said::Hello { pid: 1, version: VERSION, arguments });
    }

    fn hears(&self) -> Option<Ask> {
        let mut buffer = [0; 64];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).ok()?;
        Ask::decode(&buffer[..length]).ok()
    }

    /// The next of what it was asked, but for why its server is down and what its
    /// predecessor found.
    fn was_asked(&self) -> Option<Ask> {
        std::iter::from_fn(|| self.hears()).find(|ask| !matches!(ask, Ask::Why | Ask::Was(_) | Ask::Flapped(_)))
    }

    /// What it was told of its predecessor.
    fn inherited(&self) -> Vec<Ask> {
        let all = std::iter::from_fn(|| self.hears());
        all.filter(|ask| matches!(ask, Ask::Was(_) | Ask::Flapped(_))).collect()
    }
}

/// The nannies, the time, and what came out since the last look.
struct Stage {
    nannies: Nannies,
    now: Instant,
    out: Vec<Action>,
}

impl Stage {
    fn new() -> Self {
        Self { nannies: Nannies::new(Rules::default(), FIRST), now: Instant::now(), out: Vec::new() }
    }

    fn taken(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    fn want(&mut self, monitor: &Rc<Monitor>) -> Wish {
        self.nannies.want(monitor, self.now, &mut self.out)
    }

    /// Answers a Find or Start with a new process.
    fn start(&mut self, id: Id, pid: u32) -> FakeNanny {
        let (line, theirs) = Line::pair().unwrap();
        self.nannies.started(id, pid, line, self.now, &mut self.out);
        FakeNanny(theirs)
    }

    fn find(&mut self, id: Id, pid: u32) -> FakeNanny {
        let (line, theirs) = Line::pair().unwrap();
        self.nannies.found(id, line, pid, self.now);
        FakeNanny(theirs)
    }

    fn read(&mut self, id: Id) -> bool {
        self.nannies.read(id, self.now, &mut self.out)
    }

    fn after(&mut self, wait: Duration) -> Vec<Action> {
        self.now += wait;
        self.nannies.tick(self.now, &mut self.out);
        self.taken()
    }

    fn reaped(&mut self, pid: u32, exit: Exit) -> Vec<Action> {
        assert!(self.nannies.reaped(pid, exit, self.now, &mut self.out));
        self.taken()
    }

    /// One that runs and said so.
    fn running(server: u8, pid: u32) -> (Self, FakeNanny) {
        let mut stage = Self::new();
        stage.want(&monitor(server));
        assert_eq!(stage.taken(), [Action::Find(FIRST)]);
        let nanny = stage.start(FIRST, pid);
        nanny.hello(&["-c", "-w", "1"]);
        nanny.says(&Said::Ready);
        assert!(!stage.read(FIRST));
        stage.taken();
        (stage, nanny)
    }

    fn pid(&self, server: u8) -> Option<u32> {
        self.nannies.pid(&monitor(server).target)
    }
}

fn died(server: u8, exit: Exit) -> Action {
    let server = format!("s{server}");
    Action::Say(Message::NannyDied { name: "web".to_owned(), server, exit, why: None, again_in: Duration::ZERO })
}

#[test]
fn a_wish_is_looked_for_then_started_and_logged() {
    let mut stage = Stage::new();
    assert_eq!(stage.want(&monitor(3)), Wish::Started);
    assert_eq!(stage.taken(), [Action::Find(FIRST)]);
    assert!(stage.nannies.owns(&monitor(3).target));
    stage.start(FIRST, 100);
    let created = Message::MonitorCreated { name: "web".to_owned(), server: "s3".to_owned(), pid: 100 };
    assert_eq!(stage.taken(), [Action::Say(created)]);
    assert_eq!(stage.want(&monitor(3)), Wish::Unchanged);
    assert_eq!(stage.taken(), []);
}

/// A virtual with this floor and these servers.
fn pool(min_up: u32, servers: &[u8]) -> Virtual {
    let monitors: Vec<Rc<Monitor>> = servers.iter().map(|server| monitor(*server)).collect();
    let service = common::ipvs::Service::new(monitors[0].target.service, "rr");
    Virtual {
        name: "web".to_owned(),
        port: 80,
        service,
        vip: None,
        sorry: None,
        pool: crate::wanted::Pool { min_up, ..crate::wanted::Pool::default() },
        timeout: Duration::from_secs(6),
        drain: Duration::ZERO,
        monitors,
        disabled: Vec::new(),
    }
}

/// Two running nannies of one virtual, whose servers are good.
fn two_good() -> (Stage, [FakeNanny; 2]) {
    let (mut stage, first) = Stage::running(3, 100);
    stage.want(&monitor(4));
    let second = stage.start(FIRST + 1, 101);
    second.hello(&["-c", "-w", "1"]);
    let nannies = [first, second];
    for (n, nanny) in nannies.iter().enumerate() {
        stage.verdict(nanny, FIRST + n, true, 1);
    }
    (stage, nannies)
}

impl Stage {
    fn verdict(&mut self, nanny: &FakeNanny, id: Id, available: bool, weight: u32) {
        nanny.says(&Said::Verdict { available, weight });
        assert!(!self.read(id));
    }
}

#[test]
fn the_last_good_one_is_told_to_stay_and_is_free_again_when_there_are_more() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (None, None));
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (None, Some(Ask::Stay(true))));
    stage.nannies.keep_floor(&pool);
    assert_eq!(second.was_asked(), None, "told once");
    stage.verdict(&second, FIRST + 1, false, 1);
    stage.nannies.keep_floor(&pool);
    assert_eq!(
        stage.nannies.tally(pool.monitors.iter().map(|m| &m.target)),
        Tally { available: 0, kept: 1, silent: 0, servers: 2 }
    );
    stage.verdict(&first, FIRST, true, 1);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), Some(Ask::Stay(false))));
}

#[test]
fn a_nanny_whose_server_is_down_is_asked_why_once_and_the_answer_lasts_until_it_is_up() {
    let (mut stage, [first, _second]) = two_good();
    let target = monitor(3).target;
    let why = |stage: &Stage| stage.nannies.known(&target, stage.now).why;
    assert_eq!(first.hears(), None);
    stage.verdict(&first, FIRST, false, 0);
    stage.verdict(&first, FIRST, false, 0);
    assert_eq!((first.hears(), first.hears()), (Some(Ask::Why), None));
    first.says(&Said::Why { at: 1, text: "connecting\nrefused".to_owned() });
    assert!(!stage.read(FIRST));
    assert_eq!(why(&stage).as_deref(), Some("connecting\nrefused"));
    stage.verdict(&first, FIRST, true, 1);
    assert_eq!(why(&stage), None);
    first.says(&Said::Why { at: 1, text: "late".to_owned() });
    assert!(!stage.read(FIRST));
    assert_eq!(why(&stage), None);
}

#[test]
fn of_servers_that_fall_at_once_the_last_is_called_back() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.verdict(&second, FIRST + 1, false, 0);
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), None));
}

#[test]
fn a_nanny_that_is_started_again_is_told_before_it_can_check() {
    let (mut stage, [first, second]) = two_good();
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool(1, &[3, 4]));
    assert_eq!(second.was_asked(), Some(Ask::Stay(true)));
    stage.taken();
    stage.reaped(101, Exit::Signal(9));
    stage.after(Duration::from_secs(1));
    let again = stage.start(FIRST + 1, 102);
    assert_eq!(again.was_asked(), Some(Ask::Stay(true)));
}

#[test]
fn what_a_guest_says_behind_its_hello_is_heard_when_it_has_its_place() {
    let mut stage = Stage::new();
    let (line, theirs) = Line::pair().unwrap();
    let found = FakeNanny(theirs);
    let id = stage.nannies.guest(&monitor(3).place, line, 100, stage.now);
    found.hello(&["-c", "-w", "1"]);
    found.says(&Said::Verdict { available: false, weight: 1 });
    assert!(stage.read(id), "there is more");
    stage.nannies.place(id, &monitor(3), Some(&monitor(3).arguments), stage.now, &mut stage.out);
    assert!(!stage.read(id));
    assert_eq!(stage.nannies.known(&monitor(3).target, stage.now).verdict, Some((false, 1)));
}

/// What an lvsd before us told it, nobody knows; and a line that was down lost a word.
#[test]
fn a_nanny_that_is_found_is_told_what_holds_now() {
    let mut stage = Stage::new();
    let (line, theirs) = Line::pair().unwrap();
    let found = FakeNanny(theirs);
    let id = stage.nannies.guest(&monitor(3).place, line, 100, stage.now);
    found.hello(&["-c", "-w", "1"]);
    stage.read(id);
    stage.nannies.place(id, &monitor(3), Some(&monitor(3).arguments), stage.now, &mut stage.out);
    stage.nannies.keep_floor(&pool(0, &[3]));
    assert_eq!(found.was_asked(), None, "it may be the one that is kept");
    stage.verdict(&found, id, true, 1);
    stage.nannies.keep_floor(&pool(0, &[3]));
    assert_eq!(found.was_asked(), Some(Ask::Stay(false)));
    stage.nannies.keep_floor(&pool(0, &[3]));
    assert_eq!(found.was_asked(), None, "told once");
    drop(found);
    stage.read(id);
    stage.nannies.keep_floor(&pool(1, &[3]));
    stage.nannies.keep_floor(&pool(0, &[3]));
    let again = stage.find(id, 100);
    assert_eq!(again.was_asked(), Some(Ask::Stay(false)));
}

#[test]
fn a_nanny_hears_what_its_predecessor_found_unless_its_checks_are_others() {
    let (mut stage, first) = Stage::running(3, 100);
    assert_eq!(first.inherited(), [], "it is the first");
    stage.verdict(&first, FIRST, true, 0);
    let mut pid = 100;
    let mut next = |stage: &mut Stage| {
        stage.reaped(pid, Exit::Signal(9));
        stage.after(Duration::from_secs(60));
        pid += 1;
        stage.start(FIRST, pid)
    };
    let second = next(&mut stage);
    assert_eq!(second.inherited(), [Ask::Was(true)], "drained, and well");
    second.hello(&["-c", "-w", "1"]);
    second.says(&Said::Flaps(Flaps { strikes: 2, returned: Some(Duration::from_secs(1)) }));
    stage.verdict(&second, FIRST, false, 0);
    stage.want(&monitor_with(3, &["-c", "-w", "5"]));
    let third = next(&mut stage);
    let ago = |seconds| Flaps { strikes: 2, returned: Some(Duration::from_secs(seconds)) };
    assert_eq!(third.inherited(), [Ask::Was(false), Ask::Flapped(ago(61))]);
    third.hello(&["-c", "-w", "5"]);
    stage.read(FIRST);
    stage.want(&monitor_with(3, &["-c", "-w", "5", "-x", "OK"]));
    let fourth = next(&mut stage);
    assert_eq!(fourth.inherited(), [], "another question, another answer");
}

#[test]
fn a_server_that_somebody_wants_out_is_not_counted_on() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!(second.was_asked(), Some(Ask::Stay(true)));
    // Opaque glasses: out, whatever it was told.
    stage.verdict(&second, FIRST + 1, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), Some(Ask::Stay(false))));
}

#[test]
fn a_server_that_is_drained_is_not_counted_on() {
    let (mut stage, [first, second]) = two_good();
    let pool = pool(1, &[3, 4]);
    stage.verdict(&first, FIRST, false, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!(second.was_asked(), Some(Ask::Stay(true)));
    stage.verdict(&second, FIRST + 1, true, 0);
    stage.nannies.keep_floor(&pool);
    assert_eq!((first.was_asked(), second.was_asked()), (Some(Ask::Stay(true)), Some(Ask::Stay(false))));
}

#[test]
fn a_good_server_with_weight_0_is_none_that_clients_get() {
    let (mut stage, [first, _second]) = two_good();
    stage.verdict(&first, FIRST, true, 0);
    let pool = pool(0, &[3, 4]);
    assert_eq!(
        stage.nannies.tally(pool.monitors.iter().map(|m| &m.target)),
        Tally { available: 1, kept: 0, silent: 0, servers: 2 }
    );
}

#[test]
fn a_death_is_one_line_and_one_start_and_nobody_else_is_touched() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.want(&monitor(4));
    stage.start(FIRST + 1, 101);
    stage.taken();
    assert_eq!(stage.reaped(100, Exit::Signal(9)), [died(3, Exit::Signal(9)), Action::Find(FIRST)]);
    assert!(stage.nannies.owns(&monitor(3).target), "its destination has an owner all the time");
    assert_eq!(stage.pid(4), Some(101));
}

#[test]
fn last_words_go_into_the_line() {
    let (mut stage, nanny) = Stage::running(3, 100);
    nanny.says(&Said::Leaving("no more memory".to_owned()));
    drop(nanny);
    let out = stage.reaped(100, Exit::Status(71));
    assert!(matches!(&out[0], Action::Say(Message::NannyDied { why: Some(why), .. }) if why == "no more memory"));
}

#[test]
fn a_silent_one_is_killed_and_replaced() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    assert_eq!(stage.after(Rules::default().frozen_after / 2), []);
    let out = stage.after(Rules::default().frozen_after / 2);
    assert!(matches!(out[..], [Action::Say(Message::NannyFrozen { pid: 100, .. }), Action::Kill(100)]), "{out:?}");
    assert_eq!(stage.reaped(100, Exit::Signal(9)), [Action::Find(FIRST)]);
}

#[test]
fn one_that_keeps_saying_that_it_lives_is_left_alone() {
    let (mut stage, nanny) = Stage::running(3, 100);
    for _ in 0..50 {
        nanny.says(&Said::Alive);
        stage.read(FIRST);
        assert_eq!(stage.after(Rules::default().beat), []);
    }
}

#[test]
fn silence_while_lvsd_slept_is_no_evidence() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.now += Rules::default().frozen_after * 6;
    stage.nannies.slept(stage.now);
    assert_eq!(stage.after(MS), []);
    assert_eq!(stage.pid(3), Some(100));
}

#[test]
fn a_monitor_of_the_operators_own_may_stay_mute() {
    let mut stage = Stage::new();
    let mute = Rc::new(Monitor { is_nanny: false, ..(*monitor(3)).clone() });
    stage.want(&mute);
    let nanny = stage.start(FIRST, 100);
    stage.taken();
    for _ in 0..5 {
        assert_eq!(stage.after(Rules::default().frozen_after), []);
    }
    // Once it spoke, its silence means something.
    nanny.says(&Said::Alive);
    stage.read(FIRST);
    assert!(stage.after(Rules::default().frozen_after).contains(&Action::Kill(100)));
}

#[test]
fn one_that_answers_at_its_place_with_the_same_arguments_is_adopted() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.taken();
    let nanny = stage.find(FIRST, 77);
    nanny.hello(&["-c", "-w", "1"]);
    nanny.says(&Said::Ready);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::Judged(monitor(3).target.service)]);
    assert_eq!(stage.pid(3), Some(77));
    assert_eq!(stage.nannies.adopted(), 1);
    assert_eq!(nanny.was_asked(), None);
}

#[test]
fn one_with_other_arguments_is_asked_to_leave_its_destination_and_followed() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    let nanny = stage.find(FIRST, 77);
    stage.taken();
    nanny.hello(&["-c", "-w", "9"]);
    stage.read(FIRST);
    assert_eq!(nanny.was_asked(), Some(Ask::Release));
    assert_eq!(stage.taken(), [], "no signal: a signal would take the destination away");
    drop(nanny);
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST)]);
    stage.nannies.lost(FIRST, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Find(FIRST)]);
}

#[test]
fn one_that_hangs_up_before_it_said_who_it_is_was_none() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.taken();
    drop(stage.find(FIRST, 77));
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::Start(FIRST)]);
}

#[test]
fn one_that_answers_and_says_nothing_is_adopted_and_found_frozen() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.taken();
    let _nanny = stage.find(FIRST, 77);
    assert_eq!(stage.after(HELLO_WITHIN), []);
    assert_eq!(stage.pid(3), Some(77));
    assert!(stage.after(Rules::default().frozen_after).contains(&Action::Kill(77)));
}

#[test]
fn the_end_of_an_adopted_ones_line_is_its_end_unless_it_answers_again() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    let nanny = stage.find(FIRST, 77);
    nanny.hello(&["-c", "-w", "1"]);
    stage.read(FIRST);
    stage.taken();
    drop(nanny);
    stage.read(FIRST);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST)]);
    // Another lvsd knocked and it changed lines: it is there.
    let nanny = stage.find(FIRST, 77);
    assert_eq!((stage.pid(3), stage.taken()), (Some(77), vec![]));
    stage.now += FIND_AGAIN_AFTER;
    drop(nanny);
    stage.read(FIRST);
    stage.taken();
    stage.nannies.lost(FIRST, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [died(3, Exit::Unknown), Action::Find(FIRST)]);
}

#[test]
fn a_line_that_keeps_ending_does_not_keep_us_busy() {
    let (mut stage, nanny) = Stage::running(3, 100);
    drop(nanny);
    stage.read(FIRST);
    assert_eq!(stage.taken(), [], "waitpid tells of a child's end");
    stage.nannies.find_lineless(&mut stage.out);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST)]);
    stage.nannies.lost(FIRST, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [], "waitpid tells of a child's end");
    assert_eq!(stage.reaped(100, Exit::Signal(9)), [died(3, Exit::Signal(9)), Action::Find(FIRST)]);
    stage.nannies.find_lineless(&mut stage.out);
    assert_eq!(stage.taken(), []);
}

#[test]
fn a_reload_replaces_the_changed_keeps_the_same_and_stops_the_removed() {
    let (mut stage, first) = Stage::running(3, 100);
    for server in [4, 5] {
        stage.want(&monitor(server));
        let id = FIRST + usize::from(server) - 3;
        std::mem::forget(stage.start(id, 97 + u32::from(server)));
    }
    stage.taken();
    assert_eq!(stage.nannies.running().len(), 3);
    stage.nannies.leave(&monitor(5).target, false, stage.now, &mut stage.out);
    assert_eq!(stage.nannies.running().len(), 2);
    assert_eq!(stage.taken(), [Action::Terminate(102)]);
    assert_eq!(stage.want(&monitor_with(3, &["-c", "-w", "5"])), Wish::Replaced);
    assert_eq!(stage.want(&monitor(4)), Wish::Unchanged);
    assert_eq!(first.was_asked(), Some(Ask::Release));
    assert_eq!(stage.taken(), []);
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Find(FIRST)]);
    assert_eq!(stage.reaped(102, Exit::Status(0)), [Action::Ended(Some(monitor(5).target))]);
    assert!(!stage.nannies.owns(&monitor(5).target));
    assert_eq!(stage.nannies.monitor(FIRST).unwrap().arguments, arguments(&["-c", "-w", "5"]));
}

#[test]
fn one_whose_destination_stays_is_asked_to_leave_it_and_nobody_follows() {
    let (mut stage, nanny) = Stage::running(3, 100);
    stage.nannies.leave(&monitor(3).target, true, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [], "no signal: a signal would take the destination away");
    assert_eq!(nanny.was_asked(), Some(Ask::Release));
    assert!(stage.nannies.owns(&monitor(3).target), "it may still write it");
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Ended(Some(monitor(3).target))]);
    assert!(stage.nannies.is_empty());
}

#[test]
fn one_that_is_not_asked_in_time_is_killed_which_leaves_the_destination_too() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.nannies.leave(&monitor(3).target, true, stage.now, &mut stage.out);
    let out = stage.after(Rules::default().stop_within);
    assert!(matches!(out[..], [Action::Say(Message::NannyStubborn { pid: 100, .. }), Action::Kill(100)]), "{out:?}");
}

#[test]
fn a_follower_at_the_same_place_is_one_process_after_the_other() {
    let (mut stage, nanny) = Stage::running(3, 100);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    stage.taken();
    let new = Rc::new(Monitor { place: monitor(3).place.clone(), ..(*monitor(4)).clone() });
    stage.nannies.follow(&monitor(3).target, &new, stage.now, &mut stage.out);
    assert_eq!((nanny.was_asked(), stage.taken()), (Some(Ask::Release), vec![]));
    assert!(!stage.nannies.owns(&monitor(3).target) && stage.nannies.owns(&monitor(4).target));
    assert_eq!(stage.nannies.tally([monitor(4).target].iter()).silent, 1, "the other destination's verdict is not its");
    assert_eq!(stage.want(&new), Wish::Unchanged);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.taken(), [], "nor is what it says on its way out");
    assert_eq!(stage.nannies.tally([monitor(4).target].iter()).silent, 1);
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Find(FIRST)]);
    let nanny = stage.start(FIRST, 101);
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    let tally = stage.nannies.tally([monitor(4).target].iter());
    assert_eq!((tally.available, tally.silent), (1, 0));
}

#[test]
fn who_is_in_use_is_known_when_all_of_a_virtual_have_judged() {
    let (mut stage, third) = Stage::running(3, 100);
    let wanted = pool(0, &[3, 4]);
    stage.want(&monitor(4));
    let fourth = stage.start(FIRST + 1, 101);
    third.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.nannies.expected(&wanted), None);
    fourth.says(&Said::Verdict { available: false, weight: 0 });
    stage.read(FIRST + 1);
    assert_eq!(stage.nannies.expected(&wanted), Some(vec![monitor(3).target.destination]));
}

#[test]
fn a_guest_that_is_not_wanted_works_on_until_it_is_told_to_leave() {
    let mut stage = Stage::new();
    let (line, theirs) = Line::pair().unwrap();
    let id = stage.nannies.guest("place", line, 70, stage.now);
    let guest = FakeNanny(theirs);
    guest.hello(&["-c"]);
    stage.read(id);
    stage.taken();
    assert!(stage.nannies.shelter(id, monitor(3).target, Some(&arguments(&["-c"]))));
    assert_eq!(stage.nannies.running().iter().map(|it| it.target).collect::<Vec<_>>(), [monitor(3).target]);
    assert!(stage.nannies.owns(&monitor(3).target));
    stage.nannies.leave(&monitor(3).target, false, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(70)]);
    assert!(stage.nannies.running().is_empty());
}

#[test]
fn a_sheltered_one_that_the_file_wants_again_is_kept_or_replaced_by_its_arguments() {
    for (said, wish) in [(["-c", "-w", "1"], Wish::Unchanged), (["-c", "-w", "7"], Wish::Replaced)] {
        let mut stage = Stage::new();
        let (line, theirs) = Line::pair().unwrap();
        let id = stage.nannies.guest("place", line, 70, stage.now);
        let guest = FakeNanny(theirs);
        guest.hello(&said);
        stage.read(id);
        assert!(stage.nannies.shelter(id, monitor(3).target, Some(&arguments(&said))));
        stage.taken();
        assert_eq!(stage.want(&monitor(3)), wish);
        let asked = (wish == Wish::Replaced).then_some(Ask::Release);
        assert_eq!((stage.taken(), guest.was_asked()), (vec![], asked));
        assert_eq!((stage.want(&monitor(3)), stage.pid(3)), (Wish::Unchanged, Some(70)), "it is said once");
    }
}

#[test]
fn one_that_is_wanted_again_while_it_ends_is_followed_by_another() {
    let (mut stage, _nanny) = Stage::running(3, 100);
    stage.nannies.leave(&monitor(3).target, false, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(100)]);
    assert_eq!(stage.want(&monitor(3)), Wish::Started);
    assert_eq!(stage.taken(), [], "two for one destination would fight");
    assert_eq!(stage.reaped(100, Exit::Status(0)), [Action::Find(FIRST)]);
    stage.start(FIRST, 101);
    assert_eq!(stage.pid(3), Some(101));
}

#[test]
fn a_stop_asks_all_at_once_and_kills_who_does_not_end() {
    let mut stage = Stage::new();
    let mut nannies = Vec::new();
    for server in 0..5 {
        stage.want(&monitor(server));
        nannies.push(stage.start(FIRST + usize::from(server), 100 + u32::from(server)));
    }
    stage.taken();
    stage.nannies.stop_all(stage.now, &mut stage.out);
    assert_eq!(stage.taken(), (100..105).map(Action::Terminate).collect::<Vec<_>>());
    for pid in 100..104 {
        stage.reaped(pid, Exit::Status(0));
    }
    assert_eq!(stage.nannies.len(), 1);
    let out = stage.after(Rules::default().stop_within);
    assert!(matches!(out[..], [Action::Say(Message::NannyStubborn { pid: 104, .. }), Action::Kill(104)]), "{out:?}");
    stage.reaped(104, Exit::Signal(9));
    assert!(stage.nannies.is_empty());
}

#[test]
fn a_stop_in_the_middle_of_a_start_leaves_nobody() {
    let mut stage = Stage::new();
    stage.want(&monitor(3));
    stage.want(&monitor(4));
    let guest = stage.find(FIRST + 1, 77);
    stage.taken();
    stage.nannies.stop_all(stage.now, &mut stage.out);
    // The one was not started yet; the other lives and has not said its name.
    assert_eq!(stage.taken(), [Action::Ended(Some(monitor(3).target)), Action::Terminate(77)]);
    assert_eq!(stage.nannies.monitor(FIRST), None);
    drop(guest);
    stage.read(FIRST + 1);
    stage.nannies.lost(FIRST + 1, stage.now, &mut stage.out);
    assert!(stage.nannies.is_empty());
}

#[test]
fn a_guest_is_placed_or_dismissed_by_its_arguments() {
    let mut stage = Stage::new();
    let mut guests = Vec::new();
    for n in 0..3_u8 {
        let (line, theirs) = Line::pair().unwrap();
        let id = stage.nannies.guest(&format!("place {n}"), line, 70 + u32::from(n), stage.now);
        assert_eq!(id, FIRST + usize::from(n));
        guests.push(FakeNanny(theirs));
    }
    assert!(stage.nannies.has_guests());
    let words = ["-c", "-w", "1"];
    for (n, guest) in guests.iter().enumerate() {
        guest.hello(&words);
        stage.read(FIRST + n);
        assert_eq!(stage.taken(), [Action::Introduced(FIRST + n, Some(arguments(&words)))]);
    }
    assert!(!stage.nannies.has_guests());
    let said = arguments(&words);
    stage.nannies.place(FIRST, &monitor(3), Some(&said), stage.now, &mut stage.out);
    // A second one for the same destination goes without touching it.
    stage.nannies.place(FIRST + 1, &monitor(3), Some(&said), stage.now, &mut stage.out);
    assert_eq!(stage.taken(), []);
    assert_eq!(guests[1].was_asked(), Some(Ask::Release));
    stage.nannies.dismiss(FIRST + 2, Some(monitor(9).target), stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Terminate(72)]);
    assert!(stage.nannies.owns(&monitor(9).target), "until it is gone its destination is its own");
    assert_eq!(guests[0].was_asked(), None);
    assert_eq!((stage.want(&monitor(3)), stage.pid(3)), (Wish::Unchanged, Some(70)));
    // The released one ends, and nobody follows it.
    drop(guests.remove(1));
    stage.read(FIRST + 1);
    assert_eq!(stage.taken(), [Action::FindAgain(FIRST + 1)]);
    stage.nannies.lost(FIRST + 1, stage.now, &mut stage.out);
    assert_eq!(stage.taken(), [Action::Ended(None)]);
}

#[test]
fn a_guest_that_says_nothing_is_introduced_without_arguments() {
    let mut stage = Stage::new();
    let (line, theirs) = Line::pair().unwrap();
    let id = stage.nannies.guest("place", line, 70, stage.now);
    assert_eq!(stage.nannies.deadline(), Some(stage.now + HELLO_WITHIN));
    assert_eq!(stage.after(HELLO_WITHIN), [Action::Introduced(id, None)]);
    drop(theirs);
}

#[test]
fn ten_failed_starts_for_one_reason_are_one_line() {
    let mut stage = Stage::new();
    for server in 0..10 {
        stage.want(&monitor(server));
        stage.nannies.not_started(FIRST + usize::from(server), "no such file", stage.now, &mut stage.out);
    }
    let lines = stage.taken();
    let loud = |action: &&Action| matches!(action, Action::Say(Message::NannyNotStarted { .. }));
    let quiet = |action: &&Action| matches!(action, Action::Say(Message::NannyNotStartedEither { .. }));
    assert_eq!((lines.iter().filter(loud).count(), lines.iter().filter(quiet).count()), (1, 9));
    let tried = stage.after(Rules::default().backoff_first);
    assert_eq!(tried.iter().filter(|action| matches!(action, Action::Find(_))).count(), 10);
}

#[test]
fn a_babbling_one_does_not_keep_the_others_waiting() {
    let (mut stage, nanny) = Stage::running(3, 100);
    for _ in 0..=PACKETS_MAX {
        nanny.says(&Said::Alive);
    }
    assert!(stage.read(FIRST), "the rest is read in the next turn");
    assert!(!stage.read(FIRST));
}

#[test]
fn the_tally_counts_who_is_up_and_who_has_not_judged() {
    let (mut stage, nanny) = Stage::running(3, 100);
    let targets = [monitor(3).target, monitor(4).target];
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 0, kept: 0, silent: 2, servers: 2 });
    nanny.says(&Said::Verdict { available: true, weight: 1 });
    stage.read(FIRST);
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 1, kept: 0, silent: 1, servers: 2 });
    nanny.says(&Said::Verdict { available: false, weight: 0 });
    stage.read(FIRST);
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 0, kept: 0, silent: 1, servers: 2 });
    // Its death is no verdict on the real server.
    stage.reaped(100, Exit::Signal(9));
    assert_eq!(stage.nannies.tally(targets.iter()), Tally { available: 0, kept: 0, silent: 1, servers: 2 });
}

#[test]
fn a_service_that_was_put_back_has_its_nannies_look() {
    let (stage, nanny) = Stage::running(3, 100);
    stage.nannies.ask_check(&monitor(3).target.service);
    assert_eq!(nanny.was_asked(), Some(Ask::Check));
}
