//! Proof that a test run which is killed takes everything with it: the guest, the
//! processes the guest is made of, the machines.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::director::Director;
use super::tree::{descendants, own_group, processes};
use super::wait::{SOON, wait_until};
use super::{guest, name_of, part, scenario_with, tell};

/// Set for the run that is killed.
const VICTIM: &str = "PIRANHA_LAB_VICTIM";

#[test]
fn nothing_outlives_a_test_run_that_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        scenario_with(&[(VICTIM, "1")], |lab| {
            lab.network("front");
            let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
            tell::step(&format!("standing with {}", director.log.pid()));
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    }
    let name = name_of_this();
    let mut run = Command::new(part::this_binary());
    run.args(["--exact", &name, "--nocapture"]).env(VICTIM, "1").env(tell::TELL, "1").stdout(Stdio::piped());
    let mut victim = run.spawn().expect("this binary starts again");
    let mut said = BufReader::new(victim.stdout.take().expect("its stdout")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("standing with ")), "the run never stood");
    let before = descendants(victim.id());
    assert!(before.len() > 1, "nothing but the run itself: nothing is shown");
    victim.kill().expect("it lives");
    victim.wait().expect("it is ours");
    let groups: Vec<u32> = before.values().map(|process| process.group).collect();
    wait_until(SOON, "everything the run had started is gone", || {
        let now = processes();
        let left = now.iter().any(|(pid, process)| {
            before.get(pid).is_some_and(|old| old.started == process.started)
                || (process.parent == 1 && groups.contains(&process.group) && process.group != own_group(&now))
        });
        !left
    });
    let _ = fs::remove_dir_all(guest::job_of(&name));
}

fn name_of_this() -> String {
    fn name<F: Fn()>(_: F) -> String {
        name_of::<F>()
    }
    name(|| ()).replace("name_of_this", "nothing_outlives_a_test_run_that_is_killed")
}
