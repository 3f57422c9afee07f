//! The netlink library's own proof against a kernel (common/tests/kernel): built
//! on the host, where Cargo is, and run where IPVS is.

use std::process::Command;

use crate::ground::{in_a_guest, scenario_with};

/// Where the host says what it built.
const BUILT: &str = "PIRANHA_KERNEL_TESTS";

#[test]
fn the_netlink_library_holds_what_it_says_against_the_kernel() {
    let program = std::env::var(BUILT).unwrap_or_else(|_| built());
    scenario_with(&[(BUILT, &program)], |lab| {
        let mut words = vec!["--ignored", "--test-threads=1"];
        if !in_a_guest() {
            // These take IPVS out of the kernel, and here it is not ours to take.
            words.extend(["--skip", "module::"]);
        }
        let machine = lab.machine("kernel");
        let said = machine.run(&program, &words);
        assert!(said.contains("test result: ok. ") && !said.contains("ok. 0 passed"), "{said}");
        eprintln!("{said}");
    });
}

/// Builds the library's tests and finds the program.
fn built() -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build.args(["test", "--package", "common", "--test", "kernel", "--no-run", "--message-format=json"]);
    let output = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let artifact = said.lines().find(|line| line.contains("\"name\":\"kernel\"")).expect("the kernel tests were built");
    let (_, path) = artifact.split_once("\"executable\":\"").expect("an executable");
    path.split('"').next().expect("its path").to_owned()
}
