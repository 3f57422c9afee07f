use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use common::ipvs::fake::Fake;
use common::ipvs::{Destination, DestinationKey, ForwardingMethod, Operation, Protocol, Timeouts};

use super::*;
use crate::departure::{Departure, Stay};
use crate::leaver::WAIT_MAX;
use crate::nanny_command::Arguments;
use crate::quorum;
use crate::sorry::Tally;
use crate::wanted::{Care, Monitor, Pool};

fn key(last: u8) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: [192, 0, 2, last].into(), port: 80 }
}

fn server(last: u8) -> DestinationKey {
    DestinationKey { address: IpAddr::from([10, 0, 0, last]), port: 80 }
}

fn destination(last: u8) -> Destination {
    Destination::new(server(last), ForwardingMethod::DirectRouting, 1)
}

fn virtual_service(last: u8, scheduler: &str) -> Virtual {
    let monitor = Monitor {
        target: Target { service: key(last), destination: server(3) },
        name: format!("v{last}"),
        server: "s3".to_owned(),
        program: "/usr/sbin/nanny".into(),
        arguments: Arguments::from_iter(["-c"]),
        place: "p".to_owned(),
        assignment: None,
        weight: 1,
        drain: None,
        is_nanny: true,
    };
    Virtual {
        name: format!("v{last}"),
        port: 80,
        service: Service::new(key(last), scheduler),
        vip: Some([192, 0, 2, last].into()),
        sorry: None,
        pool: Pool::default(),
        timeout: Duration::from_secs(6),
        drain: Duration::ZERO,
        monitors: vec![Rc::new(monitor)],
        disabled: Vec::new(),
    }
}

fn with_sorry(last: u8) -> Virtual {
    Virtual { sorry: Some(destination(9)), ..virtual_service(last, "wlc") }
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

/// What the operator's programs are told.
fn told(actions: &[Action]) -> Vec<String> {
    let of = |action: &Action| match action {
        Action::News(News { what, name, text, .. }) => Some(format!("{what:?} {name}: {text}")),
        Action::Say(_) | Action::Up(_) | Action::PutBack(_) | Action::Emptied | Action::Run(_) => None,
    };
    actions.iter().filter_map(of).collect()
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
fn the_sorry_server_comes_and_goes_with_the_verdicts() {
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![with_sorry(1)]);
    stage.set_up(1);
    assert_eq!(stage.services.graces().count(), 1);
    assert!(stage.judge(1, 0, 1).is_empty());
    assert!(stage.servers(1).is_empty(), "nobody has judged yet");
    assert!(stage.judge(1, 1, 0).is_empty());
    assert_eq!(stage.judge(1, 0, 0), ["Virtual Server v1: No real servers; activate sorry_server 10.0.0.9"]);
    assert_eq!(stage.servers(1), [server(9)]);
    stage.table.clone().delete_destination(&key(1), &server(9)).unwrap();
    assert!(stage.look().is_empty());
    assert_eq!(stage.servers(1), [server(9)], "it is put back like anything of ours");
    assert_eq!(stage.judge(1, 2, 0), ["Virtual Server v1: 2 real servers; deactivate sorry_server 10.0.0.9"]);
    assert!(stage.servers(1).is_empty());
}

#[test]
fn a_sorry_server_that_a_predecessor_put_in_stays_until_a_verdict() {
    let mut stage = Stage::new(Ledger::of([(key(1), "v1".to_owned())]));
    stage.table.clone().add_service(&Service::new(key(1), "wlc")).unwrap();
    stage.table.clone().add_destination(&key(1), &destination(9)).unwrap();
    stage.load(vec![with_sorry(1)]);
    stage.set_up(1);
    stage.judge(1, 0, 1);
    stage.look();
    assert_eq!(stage.servers(1), [server(9)]);
    assert_eq!(stage.judge(1, 1, 0), ["Virtual Server v1: 1 real servers; deactivate sorry_server 10.0.0.9"]);
    assert!(stage.servers(1).is_empty());
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

impl Stage {
    /// Service 1 with server 3 at work, whose nanny then leaves it to lvsd.
    fn leaving(wait: Option<ServiceKey>, drain: u64) -> Self {
        let mut stage = Self::new(Ledger::default());
        stage.load(vec![virtual_service(1, "wlc")]);
        stage.set_up(1);
        stage.table.clone().add_destination(&key(1), &destination(3)).unwrap();
        let mut out = Vec::new();
        stage.load(vec![Virtual { monitors: vec![], ..virtual_service(1, "wlc") }]);
        stage.services.leave(&[departure(1, wait, drain)], &mut out);
        assert!(stage.look().is_empty(), "its nanny may still write it");
        stage.nannies.own = false;
        stage.services.nanny_ended(&departure(1, None, 0).target);
        stage
    }

    fn weight(&mut self, last: u8) -> Option<u32> {
        let entries = self.kernel.destinations(&key(last)).unwrap();
        entries.iter().find(|entry| entry.key == server(3)).map(|entry| entry.weight)
    }

    fn connections(&self, active: u32) {
        assert!(self.table.set_connections(&key(1), &server(3), active, 0));
    }
}

#[test]
fn a_drained_server_gets_weight_0_and_goes_with_its_last_connection() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    assert_eq!(stage.look(), ["draining v1/s3 (10.0.0.3:80): 2 connections, 60 s at most"]);
    assert_eq!(stage.weight(1), Some(0));
    assert!(stage.look().is_empty());
    stage.table.clone().edit_destination(&key(1), &destination(3)).unwrap();
    assert!(stage.look().is_empty(), "somebody gave it weight");
    assert_eq!(stage.weight(1), Some(0));
    stage.connections(0);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it"]);
    assert_eq!(stage.weight(1), None);
    assert!(stage.look().is_empty());
}

#[test]
fn a_drained_server_goes_when_its_time_is_over() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    stage.look();
    assert_eq!(stage.services.leaving_deadline(), Some(stage.now + Duration::from_secs(60)));
    stage.now += Duration::from_secs(60);
    stage.services.wake_leavers(stage.now);
    assert!(stage.services.has_round());
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) still has 2 connections after 60 s, removing it"]);
    assert_eq!(stage.services.leaving_deadline(), None);
}

#[test]
fn one_that_leaves_waits_for_newcomers_and_for_a_service_the_kernel_refuses() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![virtual_service(1, "wlc"), virtual_service(2, "nonesuch")]);
    stage.services.index.remove(&key(1));
    stage.set_up(2);
    stage.now += Duration::from_secs(3600);
    stage.services.await_newcomers(stage.now);
    stage.look();
    assert_eq!(stage.weight(1), Some(1), "there is nothing in its place");
    stage.load(vec![virtual_service(2, "rr")]);
    stage.nannies.judged = false;
    stage.look();
    stage.services.await_newcomers(stage.now);
    assert!(stage.look().is_empty());
    assert_eq!(stage.weight(1), Some(1), "the newcomers have not been judged");
    stage.nannies.judged = true;
    stage.services.newcomer_judged(&key(2));
    assert!(stage.look().is_empty());
    assert_eq!(stage.weight(1), Some(1), "the newcomer is said to be well and is not in the kernel");
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.nannies.own_in = Some(key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
    assert!(said.contains(&"emptied".to_owned()));
    stage.look();
    assert_eq!(stage.keys(), [key(2)], "and its service went behind it");
}

#[test]
fn one_that_leaves_is_kept_while_all_newcomers_are_bad_and_goes_when_one_is_good() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![virtual_service(2, "rr")]);
    stage.set_up(2);
    stage.nannies.own_in = Some(key(2));
    stage.nannies.well = false;
    stage.services.await_newcomers(stage.now);
    let kept =
        "v1/s3 (10.0.0.3:80) is not configured any more, keeping it: none of those in its place is well".to_owned();
    assert!(stage.look().contains(&kept));
    stage.now += WAIT_MAX * 2;
    stage.services.wake_leavers(stage.now);
    assert_eq!(stage.look(), [""; 0], "however long it takes, and said once");
    assert_eq!(stage.weight(1), Some(1));
    stage.nannies.well = true;
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.services.newcomer_judged(&key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
}

#[test]
fn nobody_waits_for_newcomers_of_a_virtual_without_servers() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![Virtual { monitors: vec![], ..virtual_service(2, "rr") }]);
    stage.set_up(2);
    stage.services.newcomer_judged(&key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
}

#[test]
fn a_newcomers_service_that_cannot_be_read_is_waited_for() {
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.load(vec![virtual_service(2, "rr")]);
    stage.set_up(2);
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.nannies.own_in = Some(key(2));
    let (mut out, own) = (Vec::new(), stage.kernel.entries(&key(1)).unwrap());
    stage.table.fail(Operation::Destinations, Error::Timeout("destinations"));
    stage.services.tend_leavers(&key(1), &own, &mut stage.kernel, &stage.nannies, stage.now, &mut out);
    assert_eq!((out, stage.weight(1)), (vec![], Some(1)));
    stage.look();
    assert_eq!(stage.weight(1), None);
}

#[test]
fn patience_with_newcomers_has_an_end() {
    let mut stage = Stage::leaving(Some(key(1)), 0);
    stage.nannies.judged = false;
    stage.services.await_newcomers(stage.now);
    assert!(stage.look().is_empty());
    stage.now += WAIT_MAX;
    stage.services.wake_leavers(stage.now);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is not configured any more, removing it"]);
}

#[test]
fn one_that_comes_back_while_it_drains_goes_on_at_once() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    stage.look();
    stage.load(vec![virtual_service(1, "wlc")]);
    assert_eq!(
        stage.set_up(1),
        ["v1/s3 (10.0.0.3:80) was draining and is wanted again, giving its weight back", "up: tcp 192.0.2.1:80"]
    );
    assert_eq!(stage.weight(1), Some(1));
    stage.nannies.own = true;
    stage.now += Duration::from_secs(60);
    stage.services.wake_leavers(stage.now);
    assert!(stage.look().is_empty());
    assert_eq!(stage.weight(1), Some(1));
}

#[test]
fn a_step_that_fails_is_said_once_and_done_later() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(2);
    // A whole look: it is due, and its service's turn comes too.
    for _ in 0..2 {
        stage.table.fail(Operation::EditDestination, Error::Permission);
    }
    let said = stage.look();
    assert!(said[0].starts_with("destination 10.0.0.3:80 of virtual service v1: "));
    assert_eq!(said.len(), 1);
    stage.table.fail(Operation::EditDestination, Error::Permission);
    assert!(stage.look().is_empty());
    assert_eq!(stage.look(), ["draining v1/s3 (10.0.0.3:80): 2 connections, 60 s at most"]);
    stage.connections(0);
    stage.table.fail(Operation::DeleteDestination, Error::Permission);
    assert_eq!(stage.look().len(), 1);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it"]);
}

#[test]
fn a_drain_survives_lvsds_death_with_the_time_it_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let file = || LedgerFile::at(dir.path().join("lvsd.ledger"), String::new());
    let mut stage = Stage::leaving(None, 60);
    stage.services.file = Some(file());
    stage.connections(2);
    stage.look();
    stage.services = Services::new(file().read().unwrap().0, Some(file()));
    stage.load(vec![Virtual { monitors: vec![], ..virtual_service(1, "wlc") }]);
    assert_eq!(stage.set_up(1), ["up: tcp 192.0.2.1:80"]);
    stage.look();
    assert_eq!(stage.weight(1), Some(0));
    let left = stage.services.leaving_deadline().unwrap() - Instant::now();
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(30), "{left:?}");
    stage.connections(0);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it"]);
    assert!(file().read().unwrap().0.leaving.is_empty());
}

#[test]
fn a_service_that_left_stays_while_its_servers_drain() {
    let mut stage = Stage::leaving(None, 60);
    stage.connections(1);
    stage.load(vec![]);
    stage.look();
    assert_eq!((stage.keys(), stage.weight(1)), (vec![key(1)], Some(0)));
    stage.connections(0);
    assert_eq!(stage.look(), ["v1/s3 (10.0.0.3:80) is drained, removing it", "emptied"]);
    stage.look();
    assert_eq!(stage.keys(), []);
}

#[test]
fn servers_that_stay_although_they_failed_are_said_once_and_so_is_their_end() {
    let mut stage = Stage::new(Ledger::default());
    let pool = Pool { min_up: 2, ..Pool::default() };
    stage.load(vec![Virtual { pool, ..with_sorry(1) }]);
    stage.set_up(1);
    assert_eq!(stage.judge_kept(1, 3, 0), [""; 0]);
    let holds = "Virtual Server v1: 1 real servers are well and min_up is 2; keeping 1 in use although checks fail";
    assert_eq!(stage.judge_kept(1, 1, 1), [holds]);
    assert_eq!(stage.judge_kept(1, 0, 2), [""; 0], "nor does the sorry server stand in");
    assert!(!stage.servers(1).contains(&server(9)));
    let over = "Virtual Server v1: 2 real servers are well; none that fails is kept in use";
    assert_eq!(stage.judge_kept(1, 2, 0), [over]);
}

#[test]
fn a_quorum_that_comes_or_goes_runs_its_script_and_a_successor_knows_of_it() {
    let care = Care { up: Some("/up".into()), down: Some("/down".into()) };
    let rules = quorum::Rules { quorum: 2, hysteresis: 0 };
    let pool = Pool { rules, quorum: Some(care), ..Pool::default() };
    let wanted = || Virtual { pool: pool.clone(), ..virtual_service(1, "wlc") };
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![wanted()]);
    stage.set_up(1);
    assert_eq!(stage.judge(1, 1, 2), [""; 0], "the others are awaited");
    assert_eq!(stage.judge(1, 3, 0), ["run /up for v1"], "without a line: nobody heard that it was not there");
    let lost = "Virtual Server v1: 1 real servers are well, quorum 2 is lost";
    assert_eq!(stage.judge(1, 1, 0), [lost, "run /down for v1"]);
    assert_eq!(stage.judge(1, 0, 0), [""; 0]);

    let mut next = Stage::new(Ledger { quorums: stage.services.ledger().quorums.clone(), ..Ledger::default() });
    next.load(vec![wanted()]);
    next.set_up(1);
    assert_eq!(next.judge(1, 0, 0), [""; 0], "it was lost before");
    let gained = "Virtual Server v1: 2 real servers are well, quorum 2 is there";
    assert_eq!(next.judge(1, 2, 0), [gained, "run /up for v1"]);
    let uncared = Virtual { pool: Pool { quorum: None, ..pool.clone() }, ..wanted() };
    next.load(vec![uncared]);
    assert_eq!(next.judge(1, 0, 0), [""; 0], "nobody cares any more");
}

/// The orders alone outlive it.
#[test]
fn a_quorum_that_was_there_before_a_stop_is_news_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = || LedgerFile::at(dir.path().join("lvsd.ledger"), String::new());
    let care = Care { up: Some("/up".into()), down: None };
    let rules = quorum::Rules { quorum: 1, hysteresis: 0 };
    let pool = Pool { rules, quorum: Some(care), withdraws: true, ..Pool::default() };
    let wanted = || Virtual { pool: pool.clone(), ..virtual_service(1, "wlc") };
    let target = Target { service: key(1), destination: server(3) };
    for _ in 0..2 {
        let mut stage = Stage::new(Ledger::default());
        stage.services = Services::new(file().read().unwrap().0, Some(file()));
        stage.services.order(target, Some(Order::Weight(0)));
        stage.load(vec![wanted()]);
        let mut out = Vec::new();
        stage.services.leave(&[departure(1, None, 5)], &mut out);
        stage.set_up(1);
        assert_eq!(stage.judge(1, 1, 0), ["run /up for v1"]);
        stage.judge(1, 0, 0);
        assert_eq!(stage.services.withdrawn().len(), 1);
        stage.services.remove_all(&mut stage.kernel, &mut out);
        let left = file().read().unwrap().0;
        assert_eq!(left, Ledger { orders: [(target, Order::Weight(0))].into(), ..Ledger::default() });
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

#[test]
fn one_that_waits_for_newcomers_waits_for_them_under_the_next_lvsd_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = || LedgerFile::at(dir.path().join("lvsd.ledger"), String::new());
    let mut stage = Stage::leaving(Some(key(2)), 0);
    stage.services.file = Some(file());
    stage.load(vec![virtual_service(2, "rr")]);
    stage.services = Services::new(file().read().unwrap().0, Some(file()));
    stage.load(vec![virtual_service(2, "rr")]);
    stage.look();
    assert_eq!(stage.weight(1), Some(1), "there is nothing in its place");
    stage.nannies.judged = false;
    stage.set_up(2);
    stage.services.await_newcomers(stage.now);
    stage.look();
    assert_eq!(stage.weight(1), Some(1), "the newcomers have not been judged");
    stage.table.clone().add_destination(&key(2), &destination(3)).unwrap();
    stage.nannies.judged = true;
    stage.nannies.own_in = Some(key(2));
    stage.services.newcomer_judged(&key(2));
    let said = stage.look();
    assert!(said.contains(&"v1/s3 (10.0.0.3:80) is not configured any more, removing it".to_owned()), "{said:?}");
}

/// Two virtuals on one address, of which one asks.
#[test]
fn a_virtual_ip_goes_with_the_last_that_serves_on_it_and_a_successor_knows_of_it() {
    let vip = "192.0.2.1".parse().unwrap();
    let with = |last: u8, withdraws: bool| {
        let pool = Pool { rules: quorum::Rules { quorum: 1, hysteresis: 0 }, withdraws, ..Pool::default() };
        Virtual { vip: Some(vip), pool, ..virtual_service(last, "wlc") }
    };
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![with(1, true), with(2, false)]);
    stage.set_up(1);
    stage.set_up(2);
    assert_eq!([stage.judge(1, 0, 0), stage.judge(2, 1, 0)], [[""; 0], [""; 0]]);
    let gone = "virtual IP 192.0.2.1: no virtual service on it is up, pulse is to withdraw it";
    assert_eq!(stage.judge(2, 0, 0), [gone]);
    stage.services.keep_what_changed(&mut Vec::new());
    assert_eq!((stage.services.withdrawn().len(), stage.services.ledger().withdrawn.contains(&vip)), (1, true));

    let mut next = Stage::new(Ledger { withdrawn: [vip].into(), ..Ledger::default() });
    assert_eq!(next.load(vec![with(1, true), with(2, false)]), [""; 0]);
    next.set_up(1);
    assert_eq!((next.judge(1, 0, 3), next.services.withdrawn().len()), (vec![], 1), "as it was until it is known");
    let back = "virtual IP 192.0.2.1: virtual service v1 is up, pulse may hold it again";
    assert_eq!((next.judge(1, 1, 2), next.services.withdrawn().len()), (vec![back.to_owned()], 0));

    let spared = "virtual IP 192.0.2.1: no virtual service on it has vip_withdraw any more, pulse may hold it again";
    assert_eq!(stage.load(vec![with(1, false), with(2, false)]), [spared]);
    assert!(stage.services.withdrawn().is_empty());
}

#[test]
fn who_listens_hears_of_each_virtual_and_sorry_server_whoever_cares_for_the_quorum() {
    let pool = Pool { rules: quorum::Rules { quorum: 1, hysteresis: 0 }, ..Pool::default() };
    let mut stage = Stage::new(Ledger::default());
    stage.load(vec![Virtual { pool, ..with_sorry(1) }]);
    stage.set_up(1);
    let mut judge = |available: usize| {
        let mut out = Vec::new();
        let tally = |_: &Virtual| Tally { available, kept: 0, silent: 0, servers: 3 };
        stage.services.judge(&key(1), tally, &mut stage.kernel, &stage.nannies, stage.now, &mut out);
        told(&out)
    };
    assert_eq!(judge(1), [""; 0], "well from the start");
    let down = [
        "VirtualDown v1: Virtual Server v1: 0 real servers are well, quorum 1 is lost",
        "SorryIn v1: Virtual Server v1: No real servers; activate sorry_server 10.0.0.9",
    ];
    assert_eq!(judge(0), down);
    assert_eq!(judge(0), [""; 0]);
    let up = [
        "VirtualUp v1: Virtual Server v1: 2 real servers are well, quorum 1 is there",
        "SorryOut v1: Virtual Server v1: 2 real servers; deactivate sorry_server 10.0.0.9",
    ];
    assert_eq!(judge(2), up);
}
