#![allow(clippy::format_collect)]

use std::collections::BTreeSet;

use common::log;

use super::*;

fn vip() -> IpAddr {
    [10, 0, 0, 9].into()
}

fn claim(others: usize, again: bool) -> Report {
    Report { mac: [2, 0, 0, 0, 0, 7], vip: vip(), others, again }
}

/// At least one of every line.
#[allow(clippy::too_many_lines)]
fn samples() -> Vec<Message> {
    let file = || PathBuf::from("/etc/sysconfig/ha/lvs.cf");
    let (address, device, error) = (vip(), || "eth0".to_owned(), || "Operation not permitted".to_owned());
    let second = Duration::from_secs(1);
    let mut all = vec![
        Message::ConfigUnreadable(file()),
        Message::ConfigBad { path: file(), line: 12, text: "unknown keyword \"prt\"".into() },
        Message::NoServices { path: file(), service: ServiceKind::Lvs },
        Message::NoServices { path: file(), service: ServiceKind::Fos },
        Message::OtherService(file()),
        Message::Withdrawing(vec![address]),
        Message::Withdrawing(vec![address; 3]),
        Message::Returning(vec![address]),
        Message::Returning(vec![address; 3]),
        Message::Withheld(vec![address]),
        Message::Withheld(vec![address; 3]),
        Message::Unable("failover service web cannot run here: it does not answer".to_owned()),
        Message::Able,
        Message::CheckFailing { failure: Failure::Ended(Exit::Status(1), "disk full".to_owned()), times: 2 },
        Message::CheckFailing { failure: Failure::TimedOut(Duration::from_secs(5), String::new()), times: 2 },
        Message::CheckMended,
        Message::NotifyFailed(Failure::Ended(Exit::Status(1), "no network".to_owned())),
        Message::NoticesDropped(3),
        Message::FifoTrouble { path: "/run/events".into(), error: "it is no FIFO".to_owned() },
        Message::FosArpsFinished,
        Message::NoPrimary(file()),
        Message::UndefinedBackup,
        Message::MaskByClass { address, prefix: 8 },
        Message::Rereading,
        Message::OldStays,
        Message::Starting(Role::Master),
        Message::Starting(Role::Backup),
        Message::BackupInactive,
        Message::Stranger { primary: Some([10, 0, 0, 1].into()), backup: None },
        Message::NotRoot,
        Message::System { what: "watch interfaces", error: "Too many open files".into() },
        Message::AlreadyRunning(1234),
        Message::AlreadyRunning(0),
        Message::PidFile("failed to open /var/run/pulse.pid: Permission denied".into()),
        Message::NoLvsd { path: "/usr/sbin/lvsd".into(), error: "No such file or directory".into() },
        Message::NotUp(second * 30),
        Message::Realtime(50),
        Message::NoRealtime,
        Message::RealtimeRefused { priority: 50, error: error() },
        Message::MemoryNotLocked("Cannot allocate memory".into()),
        Message::Alone,
        Message::Forced,
        Message::CarryingOn,
        Message::LedgerUnreadable("it is cut off".into()),
        Message::LedgerUnwritten("No space left on device".into()),
        Message::NoMeetingPlace("Read-only file system".into()),
        Message::NoKeys { file: "/etc/sysconfig/ha/heartbeat.key".into() },
        Message::KeyFile { file: "/etc/sysconfig/ha/heartbeat.key".into(), why: "it is too long".into() },
        Message::Dropped {
            counters: Box::new(Counters { accepted: 9, stranger: 12, garbled: 3, unsigned: 1, ..Counters::default() }),
            within: second * 600,
        },
        Message::NotBound("Address already in use".into()),
        Message::PathUnbound { path: "Private".into(), error: "Address already in use".into() },
        Message::PathBound("Private".into()),
        Message::NotSent { path: "Private".into(), error: "Network is unreachable".into() },
        Message::OtherPart,
        Message::Synchronising { role: "master", device: device() },
        Message::NotSynchronised { device: device(), error: "No such device".into() },
        Message::Executing("/usr/sbin/lvsd --nofork -c /etc/sysconfig/ha/lvs.cf".into()),
        Message::LvsdFound(1235),
        Message::LvsdOther(1235),
        Message::LvsdOld(1235),
        Message::LvsdNotReady(second * 10),
        Message::LvsdUnready(second * 30),
        Message::ChildEnded { pid: 1235, exit: Exit::Status(71) },
        Message::ChildEnded { pid: 1235, exit: Exit::Signal(9) },
        Message::ChildEnded { pid: 1235, exit: Exit::Unknown },
        Message::StartingAgain { what: What::Lvsd, again_in: Duration::ZERO },
        Message::StartingAgain { what: What::Pulse, again_in: second * 5 / 2 },
        Message::Frozen { what: What::Lvsd, pid: 1235, silent: second * 10 },
        Message::Stubborn { what: What::Lvsd, pid: 1235 },
        Message::NotStarted { what: What::Guardian, again_in: second },
        Message::UnknownChild(1236),
        Message::CommandFailed { keyword: "active_cmd", failure: Failure::Ended(Exit::Status(1), String::new()) },
        Message::CommandFailed {
            keyword: "inactive_cmd",
            failure: Failure::TimedOut(Duration::from_secs(300), "mounting /data".to_owned()),
        },
        Message::Adding { address: "10.0.0.9/24".into(), device: device(), label: Some("eth0:1".into()) },
        Message::Adding { address: "2001:db8::9/128".into(), device: device(), label: None },
        Message::Removing { address: "10.0.0.9/24".into(), device: device() },
        Message::PutBack { address, device: device() },
        Message::PutBackLent { address, device: device() },
        Message::NotLent { address, device: device(), error: error() },
        Message::Claimed { report: claim(0, false), suspect: Suspect::RealServer([10, 0, 0, 11].into()) },
        Message::Claimed { report: claim(0, true), suspect: Suspect::Unknown },
        Message::Claimed { report: claim(198, false), suspect: Suspect::Partner([10, 0, 0, 2].into()) },
        Message::Claimed { report: claim(0, false), suspect: Suspect::Host([10, 0, 0, 77].into()) },
        Message::NotListening(error()),
        Message::NotAsked { witness: [10, 0, 0, 254].into(), error: "Network is unreachable".into() },
        Message::Collateral { address: [10, 0, 0, 8].into(), with: address },
        Message::Foreign { address, more: 0, device: device() },
        Message::Foreign { address, more: 299, device: device() },
        Message::NoDevice { address, more: 0, device: device() },
        Message::NoDevice { address, more: 299, device: device() },
        Message::DeviceDown { address, more: 0, device: device() },
        Message::DeviceDown { address, more: 299, device: device() },
        Message::NotAdded { address, device: device(), error: error() },
        Message::NotRemoved { address, device: device(), error: error() },
        Message::NotRead(error()),
        Message::NotLingering(error()),
        Message::NotCeased(error()),
        Message::LeftBehind(1),
        Message::LeftBehind(2),
        Message::LeftOver(1),
        Message::LeftOver(2),
        Message::NotAnnounced { address, device: device(), error: error() },
        Message::ArpsFinished,
        Message::WouldExecute("/usr/sbin/lvsd --nofork -c /etc/sysconfig/ha/lvs.cf".into()),
        Message::WouldAdd { address: "10.0.0.9/24".into(), device: device(), label: Some("eth0:1".into()) },
        Message::WouldAdd { address: "10.0.0.9/24".into(), device: device(), label: None },
        Message::WouldRemove { address: "10.0.0.9/24".into(), device: device() },
        Message::Terminating(15),
        Message::SignalIgnored(10),
        Message::Released,
        Message::PulseOther(1234),
        Message::WaitingForStop(1234),
        Message::GuardianGone(1233),
    ];
    all.extend(of_the_election().into_iter().map(Message::Pair));
    all
}

/// Every line of the election, and of those with a cause every cause.
fn of_the_election() -> Vec<Line> {
    use crate::election::{Activation, Deactivation, Refusal, Role};
    use crate::heartbeat::{Reason, Service};
    let second = Duration::from_secs(1);
    let (role, service) = (Role::Master, Service::Lvs);
    let activating = |why| Line::Activating { role, service, why };
    let deactivating = |why| Line::Deactivating { service, why };
    let path = || "Private".to_owned();
    vec![
        activating(Activation::Forced),
        activating(Activation::PartnerDead { silent: second * 5 }),
        activating(Activation::PartnerInactive),
        Line::Activating { role: Role::Backup, service, why: Activation::PartnerInactive },
        activating(Activation::PartnerLeft),
        activating(Activation::Failback),
        activating(Activation::Relocated),
        activating(Activation::Resumed),
        deactivating(Deactivation::PartnerActive),
        deactivating(Deactivation::PartnerDeaf),
        deactivating(Deactivation::PartnerAnnounces),
        deactivating(Deactivation::Unfit(Reason::Link)),
        deactivating(Deactivation::Unfit(Reason::Lvsd)),
        deactivating(Deactivation::Unfit(Reason::Check)),
        deactivating(Deactivation::Unfit(Reason::Released)),
        deactivating(Deactivation::Wanted),
        deactivating(Deactivation::Relocated),
        deactivating(Deactivation::Stopped),
        Line::ResendingArps,
        Line::Uncontested,
        Line::Rivalled,
        Line::Unrivalled,
        Line::LinkDown("Primary".to_owned()),
        Line::LinksFailed,
        Line::LinksRestored,
        Line::Incompatible,
        Line::PartnerLost { silent: second * 5 },
        Line::PartnerAlive,
        Line::PartnerLeft,
        Line::PartnerRestarted,
        Line::PartnerDeaf,
        Line::PathLost { path: path() },
        Line::PathRestored { path: path() },
        Line::ConfigurationDiffers,
        Line::ConfigurationAgrees,
        Line::SameRole(Role::Master),
        Line::SameRole(Role::Backup),
        Line::Unable { reason: Reason::Lvsd },
        Line::Reluctant { reason: Reason::Check, partner_rests: false },
        Line::Reluctant { reason: Reason::Lvsd, partner_rests: true },
        Line::Rests { times: 3, lasts: Duration::from_secs(240) },
        Line::Isolated,
        Line::Connected,
        Line::VipHeld { mac: [2, 0, 10, 0, 0, 9] },
        Line::Slept { lasted: second / 20 },
        Line::Refused(Refusal::PartnerCannot),
        Line::Refused(Refusal::Unfit(Reason::Released)),
        Line::Refused(Refusal::PartnerWillNot),
        Line::Refused(Refusal::Busy),
        Line::Refused(Refusal::Pointless),
        Line::NotLowered,
    ]
}

#[test]
fn every_line_is_as_it_stands_in_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/messages/pulse.txt");
    let line = |it: &dyn log::Message| format!("{:<8}{it}\n", format!("{:?}", it.level()).to_lowercase());
    let lost = line(&log::Lost { lines: 17 });
    let lines: String = samples().iter().map(|it| line(it)).chain([lost]).collect();
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/messages")).unwrap();
        std::fs::write(path, lines).unwrap();
    } else {
        assert_eq!(lines, std::fs::read_to_string(path).unwrap());
    }
}

#[test]
fn no_line_is_without_a_sample() {
    let source = include_str!("../messages.rs");
    let body = source.split_once("pub enum Message {").unwrap().1.split_once("\n}\n").unwrap().0;
    let declared: BTreeSet<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .collect();
    let debugged: Vec<String> = samples().iter().map(|it| format!("{it:?}")).collect();
    let sampled: BTreeSet<&str> =
        debugged.iter().map(|it| it.split(|c: char| !c.is_alphanumeric()).next().unwrap()).collect();
    assert!(declared.len() > 50, "the list was not found");
    assert_eq!(declared, sampled);
}

/// piranha.md 6.1, to the letter.
#[test]
fn the_originals_lines_are_to_the_letter() {
    let said: Vec<String> = samples().iter().map(ToString::to_string).collect();
    for line in [
        "STARTING PULSE AS MASTER",
        "STARTING PULSE AS BACKUP",
        "We are backup node and backup is marked inactive -- exiting pulse",
        "Undefined backup node marked as active? -- clearing that!",
        "Forced active on startup: activating lvs",
        "gratuitous lvs arps finished",
        "Child process 1235 exited with status 71",
        "Child process 1235 terminated with signal 9",
        "Skipping death of unknown child 1236",
        "Terminating due to signal 15",
        "partner dead: activating lvs",
        "backup inactive: activating lvs",
        "primary inactive: activating lvs",
        "partner active: resending arps",
        "partner active: deactivating LVS",
        "local link failure: deactivating LVS",
        "Primary NIC: link down",
        "Local NIC link failure: Pulse disabled",
        "Local NIC link(s) restored: Pulse enabled",
        "Incompatible heartbeat received -- other system not using identical services",
        "failed to bind to heartbeat address: Address already in use",
        "Warning -- failed to send heartbeat (private if): Network is unreachable",
        "failed to open /etc/sysconfig/ha/lvs.cf",
        "failed to open /var/run/pulse.pid: Permission denied",
        "no active lvs services defined in /etc/sysconfig/ha/lvs.cf",
    ] {
        assert!(said.iter().any(|it| it == line), "{line}");
    }
    assert!(said.iter().any(|it| it.starts_with("error parsing /etc/sysconfig/ha/lvs.cf at line 12: ")));
}
