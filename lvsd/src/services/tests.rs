//! The services between two looks, over a table in memory.

use std::cell::RefCell;

use common::ipvs::fake::Fake;
use common::ipvs::{Destination, DestinationKey, ForwardingMethod, Operation, Timeouts};

use super::*;
use crate::departure::{Departure, Stay};
use crate::sorry::Tally;
use crate::wanted::tests::examples::{self, key, server};

mod leavers;
mod verdicts;

fn destination(last: u8) -> Destination {
    Destination::new(server(last), ForwardingMethod::DirectRouting, 1)
}

fn virtual_service(last: u8, scheduler: &str) -> Virtual {
    let service = Service::new(key(last), scheduler);
    Virtual { service, vip: Some([192, 0, 2, last].into()), ..examples::virtual_service(last, &[3]) }
}

/// The services over a table in memory, with nannies that own server 3 everywhere.
struct Stage {
    table: Fake,
    kernel: Kernel<Fake>,
    services: Services,
    now: Instant,
    busy: RefCell<HashSet<ServiceKey>>,
    nannies: Nannies,
}

/// Nannies that own server 3 everywhere while it is theirs, or in one service alone;
/// that have judged or not, and found it well or not.
struct Nannies {
    own: bool,
    own_in: Option<ServiceKey>,
    judged: bool,
    well: bool,
}

impl Keepers for Nannies {
    fn owns(&self, target: &Target) -> bool {
        (self.own || self.own_in == Some(target.service)) && target.destination == server(3)
    }

    fn expected(&self, wanted: &Virtual) -> Option<Vec<DestinationKey>> {
        let well = wanted.monitors.iter().map(|monitor| monitor.target.destination);
        self.judged.then(|| well.filter(|_| self.well).collect())
    }
}

impl Stage {
    fn new(ledger: Ledger) -> Self {
        let table = Fake::default();
        Self {
            kernel: Kernel::new(table.clone()),
            table,
            services: Services::new(ledger, None),
            now: Instant::now(),
            busy: RefCell::default(),
            nannies: Nannies { own: true, own_in: None, judged: true, well: true },
        }
    }

    fn load(&mut self, virtuals: Vec<Virtual>) -> Vec<String> {
        let mut out = Vec::new();
        self.services.load(Wanted { virtuals, ..Wanted::default() }, &mut out);
        in_words(out)
    }

    fn set_up(&mut self, last: u8) -> Vec<String> {
        let mut out = Vec::new();
        self.services.set_up(&key(last), &mut self.kernel, &self.nannies, self.now, &mut out);
        in_words(out)
    }

    /// A whole round.
    fn look(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let busy = || self.busy.borrow().clone();
        self.services.look(&mut self.kernel, busy, &mut out);
        while self.services.has_round() {
            self.services.tend_next(&mut self.kernel, &self.nannies, self.now, &mut out);
        }
        self.services.keep_what_changed(&mut out);
        in_words(out)
    }

    fn judge(&mut self, last: u8, available: usize, silent: usize) -> Vec<String> {
        let mut out = Vec::new();
        let tally = |_: &Virtual| Tally { available, kept: 0, silent, servers: 3 };
        self.services.judge(&key(last), tally, &mut self.kernel, &self.nannies, self.now, &mut out);
        in_words(out)
    }

    fn judge_kept(&mut self, last: u8, available: usize, kept: usize) -> Vec<String> {
        let mut out = Vec::new();
        let tally = |_: &Virtual| Tally { available, kept, silent: 0, servers: 3 };
        self.services.judge(&key(last), tally, &mut self.kernel, &self.nannies, self.now, &mut out);
        in_words(out)
    }

    fn keys(&mut self) -> Vec<ServiceKey> {
        self.kernel.services().unwrap().into_keys().collect()
    }

    fn servers(&mut self, last: u8) -> Vec<DestinationKey> {
        self.kernel.destinations(&key(last)).unwrap().iter().map(|entry| entry.key).collect()
    }

    /// What changed the table since the last call.
    fn writes(&self) -> usize {
        let writes = [
            Operation::AddService,
            Operation::EditService,
            Operation::DeleteService,
            Operation::AddDestination,
            Operation::EditDestination,
            Operation::DeleteDestination,
            Operation::SetTimeouts,
        ];
        let count = writes.iter().map(|operation| self.table.count(*operation)).sum();
        self.table.forget_calls();
        count
    }
}

fn in_words(actions: Vec<Action>) -> Vec<String> {
    let word = |action| match action {
        Action::Say(message) => message.to_string(),
        Action::Up(key) => format!("up: {key}"),
        Action::PutBack(key) => format!("put back: {key}"),
        Action::Emptied => "emptied".to_owned(),
        Action::Run(script) => format!("run {} for {}", script.command, script.name),
        Action::News(_) => String::new(),
    };
    actions.into_iter().map(word).filter(|word| !word.is_empty()).collect()
}

#[test]
fn a_start_says_the_originals_line_adds_the_service_and_lets_its_nannies_run() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![virtual_service(1, "wlc")]);
    assert_eq!(stage.set_up(1), ["starting virtual service v1 active: 80", "up: tcp 192.0.2.1:80"]);
    assert_eq!(stage.keys(), [key(1)]);
    assert!(stage.look().is_empty());
    assert_eq!(stage.writes(), 1);
}

#[test]
fn a_predecessors_service_is_taken_over_without_a_write_or_a_line_for_each() {
    let mut stage = Stage::new(Ledger::of([(key(1), "v1".to_owned())]));
    stage.table.clone().add_service(&Service::new(key(1), "wlc")).unwrap();
    stage.table.clone().add_destination(&key(1), &destination(3)).unwrap();
    stage.table.forget_calls();
    stage.load(vec![virtual_service(1, "wlc")]);
    assert_eq!(stage.set_up(1), ["up: tcp 192.0.2.1:80"]);
    assert_eq!((stage.writes(), stage.services.adopted()), (0, 1));
}

#[test]
fn what_nobody_configured_in_our_service_goes_and_a_strangers_service_stays() {
    let mut stage = Stage::new(Ledger::default());
    for last in [1, 7] {
        stage.table.clone().add_service(&Service::new(key(last), "wlc")).unwrap();
        stage.table.clone().add_destination(&key(last), &destination(5)).unwrap();
    }
    stage.load(vec![virtual_service(1, "wlc")]);
    let said = stage.set_up(1);
    assert_eq!(said[1], "removing 10.0.0.5:80 from virtual service v1, it is not configured");
    assert_eq!((stage.servers(1), stage.servers(7)), (vec![], vec![server(5)]));
    stage.table.clone().add_destination(&key(1), &destination(6)).unwrap();
    assert_eq!(stage.look(), ["removing 10.0.0.6:80 from virtual service v1, it is not configured"]);
}

#[test]
fn a_configured_server_whose_nanny_is_dead_too_waits_for_its_next_nanny() {
    let mut stage = Stage::new(Ledger::of([(key(1), "v1".to_owned())]));
    stage.table.clone().add_service(&Service::new(key(1), "wlc")).unwrap();
    stage.table.clone().add_destination(&key(1), &destination(3)).unwrap();
    stage.nannies.own = false;
    stage.load(vec![virtual_service(1, "wlc")]);
    assert_eq!(stage.set_up(1), ["up: tcp 192.0.2.1:80"]);
    assert_eq!(stage.servers(1), [server(3)]);
}

#[test]
fn a_refused_service_is_two_lines_once_and_tried_again_while_others_go_on() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![virtual_service(1, "nonesuch"), virtual_service(2, "wlc")]);
    let said = stage.set_up(1);
    assert_eq!(said[..2], ["starting virtual service v1 active: 80", "ipvsadm failed for virtual server v1!"]);
    assert!(said[2].contains("nonesuch") && said[2].ends_with("trying again every 3 s"), "{said:?}");
    assert_eq!(said.len(), 3, "its nannies do not run");
    stage.set_up(2);
    assert!(stage.look().is_empty(), "the same reason is not said again");
    assert_eq!(stage.keys(), [key(2)]);
    stage.load(vec![virtual_service(1, "rr"), virtual_service(2, "wlc")]);
    assert_eq!(stage.look(), ["virtual service v1 is set up after all", "up: tcp 192.0.2.1:80"]);
}

#[test]
fn a_service_that_somebody_deleted_is_put_back_with_one_line() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![virtual_service(1, "wlc")]);
    stage.set_up(1);
    stage.table.clone().delete_service(&key(1)).unwrap();
    assert_eq!(
        stage.look(),
        [
            "virtual service v1 was gone from the kernel, putting it back",
            "put back: tcp 192.0.2.1:80",
            "up: tcp 192.0.2.1:80",
        ]
    );
    assert!(stage.look().is_empty());
}

#[test]
fn a_service_that_somebody_changed_is_changed_back_in_place() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![virtual_service(1, "wlc")]);
    stage.set_up(1);
    stage.table.clone().edit_service(&Service::new(key(1), "rr")).unwrap();
    stage.table.clone().add_destination(&key(1), &destination(3)).unwrap();
    stage.table.forget_calls();
    assert_eq!(stage.look()[0], "changing virtual service v1: scheduler rr -> wlc");
    assert_eq!((stage.servers(1), stage.writes()), (vec![server(3)], 1));
}

#[test]
fn what_leaves_the_file_goes_when_its_nannies_are_gone() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![virtual_service(1, "wlc"), virtual_service(2, "wlc")]);
    stage.set_up(1);
    stage.set_up(2);
    assert_eq!(stage.load(vec![virtual_service(2, "wlc")]), ["shutting down virtual service v1"]);
    stage.busy.borrow_mut().insert(key(1));
    assert!(stage.look().is_empty());
    assert_eq!(stage.keys(), [key(1), key(2)]);
    stage.busy.borrow_mut().clear();
    assert!(stage.look().is_empty(), "it was said already");
    assert_eq!(stage.keys(), [key(2)]);
}

#[test]
fn what_left_the_file_while_no_lvsd_ran_goes_with_its_line() {
    let mut stage = Stage::new(Ledger::of([(key(1), "old".to_owned()), (key(4), "never".to_owned())]));
    for last in [1, 7] {
        stage.table.clone().add_service(&Service::new(key(last), "wlc")).unwrap();
    }
    stage.load(vec![]);
    assert_eq!(stage.look(), ["shutting down virtual service old"]);
    assert_eq!(stage.keys(), [key(7)]);
    assert!(stage.look().is_empty());
}

#[test]
fn a_stop_deletes_ours_and_agrees_when_they_are_gone() {
    let mut stage = Stage::new(Ledger::default());
    stage.table.clone().add_service(&Service::new(key(7), "rr")).unwrap();
    stage.load(vec![virtual_service(1, "wlc"), virtual_service(2, "wlc")]);
    stage.set_up(1);
    stage.set_up(2);
    stage.table.clone().delete_service(&key(2)).unwrap();
    let mut out = Vec::new();
    stage.services.remove_all(&mut stage.kernel, &mut out);
    assert_eq!((out, stage.keys()), (vec![], vec![key(7)]));
}

#[test]
fn a_kernel_that_does_not_answer_is_one_line_and_one_when_it_does() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![virtual_service(1, "wlc")]);
    stage.set_up(1);
    for _ in 0..3 {
        stage.table.fail(Operation::Services, Error::Timeout("services"));
    }
    assert!(stage.look()[0].starts_with("cannot read the IPVS table: "));
    assert!(stage.look().is_empty());
    assert!(stage.look().is_empty());
    assert_eq!(stage.look(), ["the IPVS table can be read again"]);
}

#[test]
fn timeouts_are_set_once_and_a_refusal_is_said_once() {
    let mut stage = Stage::new(Ledger::default());
    let timeouts = Timeouts { tcp: Duration::from_secs(1000), ..Timeouts::default() };
    let mut out = Vec::new();
    stage.services.load(Wanted { timeouts, ..Wanted::default() }, &mut out);
    stage.table.fail(Operation::SetTimeouts, Error::Permission);
    stage.table.fail(Operation::SetTimeouts, Error::Permission);
    let said = stage.look();
    assert_eq!(said[0], "ipvsadm failed to set timeouts (1000 0 0)");
    assert_eq!(said.len(), 2, "and the reason");
    assert!(stage.look().is_empty());
    assert_eq!(stage.look(), ["setting timeouts (1000 0 0)"]);
    assert!(stage.look().is_empty());
}

#[test]
fn the_ledger_is_written_before_the_kernel_is_asked_and_forgets_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvsd.ledger");
    let mut stage = Stage::new(Ledger::default());
    stage.services = Services::new(Ledger::default(), Some(LedgerFile::at(path.clone(), String::new())));
    let read =
        || LedgerFile::at(path.clone(), String::new()).read().unwrap().0.services.into_keys().collect::<Vec<_>>();
    stage.load(vec![virtual_service(1, "wlc"), virtual_service(2, "wlc")]);
    assert_eq!((read(), stage.keys()), (vec![key(1), key(2)], vec![]));
    stage.set_up(1);
    stage.set_up(2);
    stage.load(vec![virtual_service(2, "wlc")]);
    assert_eq!(read(), [key(1), key(2)], "it is there until the kernel deleted it");
    stage.look();
    assert_eq!(read(), [key(2)]);
    let mut out = Vec::new();
    stage.services.remove_all(&mut stage.kernel, &mut out);
    assert!(!path.exists());
}

fn departure(last: u8, wait: Option<ServiceKey>, drain: u64) -> Departure {
    Departure {
        target: Target { service: key(last), destination: server(3) },
        name: format!("v{last}"),
        server: "s3".to_owned(),
        stay: Some(Stay { wait, drain: Duration::from_secs(drain) }),
        followed_by: None,
    }
}

#[test]
fn a_ledger_that_could_not_be_written_is_written_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later/lvsd.ledger");
    let mut stage = Stage::new(Ledger::default());
    stage.services = Services::new(Ledger::default(), Some(LedgerFile::at(path.clone(), String::new())));
    let said = stage.load(vec![virtual_service(1, "wlc")]);
    assert!(said[0].starts_with("cannot keep state: "), "{said:?}");
    stage.set_up(1);
    assert_eq!(stage.look(), [""; 0], "said once");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    assert_eq!(stage.look(), ["state can be kept again"]);
    let read = LedgerFile::at(path, String::new()).read().unwrap().0;
    assert_eq!(read.services.into_keys().collect::<Vec<_>>(), [key(1)]);
    assert_eq!(stage.look(), [""; 0]);
}
