use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use common::channel::{Ask, Line, Said, VERSION};
use common::child::{Exit, Rules};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::*;
use crate::wanted::tests::examples;
use crate::wanted::{Monitor, Target};

/// Processes up to this number were started by the lvsd before; they speak an older
/// version if they are odd.
const OLD: u32 = 100;

fn monitor(server: u8) -> Rc<Monitor> {
    Rc::new(examples::monitor(1, server))
}

/// lvsd around the renewal, and the nannies' ends of their lines.
struct Play {
    nannies: Nannies,
    renewal: Renewal,
    lines: BTreeMap<Id, OwnedFd>,
    /// The processes there were, in the order of their starts.
    started: u32,
    said: Vec<String>,
    /// Most that were without a process at work at a time.
    most: usize,
    /// The new program ends at once.
    is_broken: bool,
    now: Instant,
}

impl Play {
    /// As many nannies of a predecessor, adopted.
    fn new(count: u8) -> Self {
        let now = Instant::now();
        let mut play = Self {
            nannies: Nannies::new(Rules::default(), 16),
            renewal: Renewal::default(),
            lines: BTreeMap::new(),
            started: OLD,
            said: Vec::new(),
            most: 0,
            is_broken: false,
            now,
        };
        for server in 1..=count {
            let mut out = Vec::new();
            play.nannies.want(&monitor(server), now, &mut out);
            let [Action::Find(id)] = out[..] else { panic!("{out:?}") };
            let (ours, theirs) = Line::pair().unwrap();
            play.nannies.found(id, ours, u32::from(server), now);
            play.lines.insert(id, theirs);
            let version = if server % 2 == 0 { VERSION } else { VERSION + 1 };
            play.say(id, &Said::Hello { pid: 1, version, arguments: vec!["-c".to_owned()] });
            play.read(id);
        }
        play
    }

    fn say(&self, id: Id, said: &Said) {
        send(self.lines[&id].as_raw_fd(), &said.encode(), MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    /// The process ends. Closing is not enough: a child that another test starts at this
    /// moment has a copy of the descriptor until it is another program.
    fn end(&mut self, id: Id) {
        let line = self.lines.remove(&id).unwrap();
        shutdown(line.as_raw_fd(), Shutdown::Both).unwrap();
        self.read(id);
    }

    fn asked_to_leave(&self, id: Id) -> bool {
        let mut buffer = [0; 64];
        let length = recv(self.lines[&id].as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT);
        length.is_ok_and(|length| Ask::decode(&buffer[..length]) == Ok(Ask::Release))
    }

    fn read(&mut self, id: Id) {
        let mut out = Vec::new();
        self.nannies.read(id, self.now, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            let mut out = Vec::new();
            match action {
                Action::Say(line) => self.said.push(line.to_string()),
                Action::Find(id) | Action::Start(id) => {
                    let (ours, theirs) = Line::pair().unwrap();
                    self.started += 1;
                    self.nannies.started(id, self.started, ours, self.now, &mut out);
                    self.lines.insert(id, theirs);
                }
                Action::FindAgain(id) => self.nannies.lost(id, self.now, &mut out),
                Action::Judged(_) | Action::Ended(_) => {}
                other @ (Action::Terminate(_) | Action::Kill(_) | Action::News(_) | Action::Introduced(..)) => {
                    panic!("{other:?}")
                }
            }
            self.perform(out);
        }
    }

    /// One turn of lvsd, in which every process does as it was asked.
    fn turn(&mut self) {
        let mut out = Vec::new();
        self.nannies.tick(self.now, &mut out);
        self.renewal.step(&mut self.nannies, |pid| pid <= OLD && pid % 4 != 0, self.now, &mut out);
        self.perform(out);
        let ids: Vec<Id> = self.lines.keys().copied().collect();
        let away = ids.iter().filter(|id| self.nannies.is_on_its_way(**id)).count();
        self.most = self.most.max(away);
        for id in ids {
            let pid = self.nannies.pid(&self.target(id));
            if self.asked_to_leave(id) {
                self.end(id);
            } else if !self.nannies.is_on_its_way(id) {
                self.say(id, &Said::Alive);
                self.read(id);
            } else if let Some(pid) = pid.filter(|pid| *pid > OLD) {
                if self.is_broken {
                    let mut out = Vec::new();
                    self.nannies.reaped(pid, Exit::Status(71), self.now, &mut out);
                    self.perform(out);
                } else {
                    self.say(id, &Said::hello(vec!["-c".to_owned()]));
                    self.say(id, &Said::Ready);
                    self.read(id);
                }
            }
        }
    }

    fn target(&self, id: Id) -> Target {
        self.nannies.monitor(id).unwrap().target
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.now += Duration::from_millis(100);
            self.turn();
        }
    }

    fn processes(&self) -> BTreeSet<u32> {
        (1..=40).filter_map(|server| self.nannies.pid(&monitor(server).target)).collect()
    }
}

#[test]
fn who_is_old_is_replaced_a_few_at_a_time_and_who_is_not_stays() {
    let mut play = Play::new(40);
    play.turns(3);
    assert_eq!((play.processes().len(), play.started), (40, OLD), "nothing begins by itself");
    play.renewal.begin(&play.nannies);
    play.turns(40);
    // Every fourth runs the program that is there, and speaks our words.
    let stay: BTreeSet<u32> = (1..=10).map(|n| n * 4).collect();
    let new: BTreeSet<u32> = (OLD + 1..=OLD + 30).collect();
    assert_eq!(play.processes(), &stay | &new);
    assert_eq!(play.most, AT_ONCE);
    let lines: Vec<&String> = play.said.iter().filter(|line| !line.starts_with("create_monitor")).collect();
    assert_eq!(
        lines,
        [
            "30 monitors run a program that was replaced since: replacing them, 10 at a time, their destinations stay",
            "30 monitors were replaced and run the new program"
        ]
    );
    play.renewal.begin(&play.nannies);
    play.turns(5);
    assert_eq!(play.started, OLD + 30, "once is enough");
}

#[test]
fn a_new_program_that_does_not_run_costs_no_more_than_a_few() {
    let mut play = Play::new(40);
    play.renewal.begin(&play.nannies);
    play.is_broken = true;
    play.turns(200);
    assert_eq!(play.processes().iter().filter(|pid| **pid <= OLD).count(), 40 - AT_ONCE, "they watch on");
    // It is mended: the rest follows.
    play.is_broken = false;
    play.turns(600);
    assert_eq!(play.processes().iter().filter(|pid| **pid <= OLD).count(), 10);
    assert!(play.said.iter().any(|line| line.contains("run the new program")), "{:?}", play.said);
}

#[test]
fn who_leaves_the_file_meanwhile_holds_nobody_up() {
    let mut play = Play::new(40);
    play.renewal.begin(&play.nannies);
    play.is_broken = true;
    play.turns(5);
    let mut out = Vec::new();
    for server in 1..=20 {
        play.nannies.leave(&monitor(server).target, false, play.now, &mut out);
    }
    // They end as they are told.
    out.retain(|action| !matches!(action, Action::Terminate(_)));
    play.perform(out);
    let ended: Vec<Id> = play.lines.keys().copied().filter(|id| play.nannies.monitor(*id).is_none()).collect();
    for id in ended {
        play.end(id);
    }
    play.is_broken = false;
    play.turns(600);
    let left: Vec<u32> = (21..=40).filter_map(|server| play.nannies.pid(&monitor(server).target)).collect();
    assert_eq!(left.iter().filter(|pid| **pid <= OLD).count(), 5, "{left:?}");
}
