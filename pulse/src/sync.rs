//! PURE. Which of the kernel's two connection synchronisation daemons should run,
//! and the steps to that: a master tells what connections there are, a backup
//! takes them in.
//!
//! The active director runs the master and the standby one the backup, so that
//! whoever takes over has the connections already. What runs as it should is left
//! alone: a pulse that comes back, or a reload, interrupts nothing.

use common::ipvs::{SyncDaemon, SyncRole};

/// One step, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start this one.
    Start(SyncDaemon),
    /// Stop the one of this role.
    Stop(SyncRole),
}

/// The steps from what runs to what should. `is_other` says that what runs was
/// started with a length that is not wanted any more, which the kernel does not
/// tell. The new one is started before the old role ends: a connection that is
/// opened in between is told by one of them.
pub fn steps(wanted: Option<&SyncDaemon>, running: &[SyncDaemon], is_other: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(wanted) = wanted {
        let same_role = running.iter().find(|daemon| daemon.role == wanted.role);
        if same_role.is_none_or(|daemon| is_other || !wanted.is_met_by(daemon)) {
            steps.extend(same_role.map(|_| Step::Stop(wanted.role)));
            steps.push(Step::Start(wanted.clone()));
        }
    }
    let wanted_role = wanted.map(|daemon| daemon.role);
    steps.extend(running.iter().map(|daemon| daemon.role).filter(|role| Some(*role) != wanted_role).map(Step::Stop));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(role: SyncRole) -> SyncDaemon {
        SyncDaemon { role, interface: "eth0".to_owned(), id: 7, maxlen: 0, group: None, port: 0, ttl: 0 }
    }

    /// As the kernel tells it: with the values it chose.
    fn as_told(role: SyncRole) -> SyncDaemon {
        let group = Some([224, 0, 0, 81].into());
        SyncDaemon { maxlen: 1472, group, port: 8848, ttl: 1, ..daemon(role) }
    }

    #[test]
    fn what_runs_as_it_should_is_left_alone() {
        for role in [SyncRole::Master, SyncRole::Backup] {
            assert_eq!(steps(Some(&daemon(role)), &[as_told(role)], false), []);
        }
        assert_eq!(steps(None, &[], false), []);
    }

    #[test]
    fn a_change_of_role_starts_the_new_one_first() {
        let [master, backup] = [SyncRole::Master, SyncRole::Backup];
        let started = Step::Start(daemon(master));
        assert_eq!(steps(Some(&daemon(master)), &[as_told(backup)], false), [started, Step::Stop(backup)]);
        assert_eq!(steps(Some(&daemon(backup)), &[], false), [Step::Start(daemon(backup))]);
    }

    #[test]
    fn one_with_other_values_is_replaced_and_one_that_is_not_wanted_is_stopped() {
        let master = SyncRole::Master;
        let other = SyncDaemon { id: 8, ..as_told(master) };
        let again = vec![Step::Stop(master), Step::Start(daemon(master))];
        assert_eq!(steps(Some(&daemon(master)), &[other], false), again);
        assert_eq!(steps(Some(&daemon(master)), &[as_told(master)], true), again);
        let both = [as_told(master), as_told(SyncRole::Backup)];
        assert_eq!(steps(None, &both, false), [Step::Stop(master), Step::Stop(SyncRole::Backup)]);
    }
}
