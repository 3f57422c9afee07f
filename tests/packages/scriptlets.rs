//! What the packages do to a system when they come, follow each other and go: their
//! scripts run, on a copy of this machine that is thrown away (`scriptlets.sh`).

use std::collections::BTreeMap;

use super::*;

/// What was called in each step.
fn steps(ground: &Ground, init: &str, kind: &str) -> BTreeMap<String, Vec<String>> {
    for folder in ["upper", "work", "tree"] {
        let _ = fs::remove_dir_all(ground.at(folder));
    }
    let mut command = Command::new(root().join("tests/packages/scriptlets.sh"));
    let said = must(command.arg(ground.folder.path()).args([init, kind]));
    let mut steps: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut step = String::new();
    for line in said.lines() {
        match line.strip_prefix("== ") {
            Some(name) => name.clone_into(&mut step),
            // It does so itself when it is installed, and it is known already.
            None if ["chkconfig --add realserver", "systemctl daemon-reload"].contains(&line) => continue,
            None => {}
        }
        let calls = steps.entry(step.clone()).or_default();
        if !line.starts_with("== ") {
            calls.push(line.to_owned());
        }
    }
    steps
}

fn assert_step(steps: &BTreeMap<String, Vec<String>>, step: &str, calls: &[&str]) {
    assert_eq!(steps.get(step).map(|lines| lines.iter().map(String::as_str).collect()), Some(calls.to_vec()), "{step}");
}

#[test]
fn an_rpm_hands_over_to_its_successor_and_takes_over_what_the_original_was() {
    if !can("the rpm's scripts", &["rpm", "rpmbuild", "unshare"]) {
        return;
    }
    let ground = Ground::new();
    let source = source(&ground);
    rpms(&ground, &source, "first");
    rpms(&ground, &source, "second");
    original(&ground);

    let sysv = steps(&ground, "sysv", "rpm");
    // What the original's package takes away as it goes comes back: in which run
    // levels it was on, and that it ran.
    let original_goes = ["chkconfig --add pulse", "chkconfig --del pulse", "service pulse stop", "pulse.init stop"];
    let back = ["chkconfig --level 35 pulse on", "pulse.init start"];
    assert_step(&sysv, "replaced", &[&original_goes[..], &back].concat());
    assert_step(&sysv, "upgraded", &["chkconfig --add pulse", "pulse.init condrestart"]);
    assert_step(&sysv, "removed", &["chkconfig --del realserver", "pulse.init stop", "chkconfig --del pulse"]);
    assert_step(&sysv, "fresh", &["chkconfig --add pulse"]);

    let systemd = steps(&ground, "systemd", "rpm");
    let original_goes = ["chkconfig --del pulse", "service pulse stop", "pulse.init stop"];
    let (before, back) =
        (["systemctl is-enabled pulse.service"], ["systemctl enable pulse.service", "systemctl start pulse.service"]);
    assert_step(&systemd, "replaced", &[&before[..], &original_goes, &back].concat());
    assert_step(&systemd, "upgraded", &["systemctl try-restart pulse.service"]);
    let units = "systemctl list-units --all --plain --no-legend realserver@*";
    assert_step(&systemd, "removed", &[units, "systemctl --no-reload disable --now pulse.service"]);
    assert_step(&systemd, "fresh", &["systemctl is-enabled pulse.service"]);
}

#[test]
fn a_deb_hands_over_to_its_successor_and_leaves_nothing_at_a_purge() {
    if !can("the .deb's scripts", &["dpkg", "dpkg-deb", "unshare"]) {
        return;
    }
    let ground = Ground::new();
    debs(&ground, "first", "");
    debs(&ground, "second", "+b");
    let sysv = steps(&ground, "sysv", "deb");
    assert_step(&sysv, "fresh", &[]);
    assert_step(&sysv, "upgraded", &["pulse.init condrestart"]);
    assert_step(&sysv, "removed", &["pulse.init stop"]);
    assert_step(&sysv, "purged", &[]);
    let systemd = steps(&ground, "systemd", "deb");
    assert_step(&systemd, "fresh", &[]);
    assert_step(&systemd, "upgraded", &["systemctl try-restart pulse.service"]);
    let units = "systemctl list-units --all --plain --no-legend realserver@*";
    assert_step(&systemd, "removed", &["systemctl --no-reload disable --now pulse.service", units]);
    assert_step(&systemd, "purged", &[]);
}
