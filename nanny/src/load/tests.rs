use proptest::prelude::*;

use super::*;

#[test]
fn what_the_originals_monitors_print_is_read() {
    for (output, load) in [
        ("192.0.2.11  up 3 days,  4:05,    load average: 0.07, 0.05, 0.01\n", Some(0.07)),
        // The original took "load" without a colon for garbage, for ever (piranha.md 4.6, #550126).
        ("web1          up  12+03:15,     2 users,  load 1.25, 0.05, 0.01\n", Some(1.25)),
        (" 10:15:01 up 10 days,  1:02,  3 users,  load average: 12.50, 3.00, 1.00\n", Some(12.5)),
        (" 10:15  up 10 days, 3 users, load averages: 0,99 0,80 0,70\n", Some(0.99)),
        ("no load here\nload average: 2.00, 1, 1\n", Some(2.0)),
        ("load average: 2\n", None),
        ("load average: -1.0,\n", None),
        ("load average: 99999999999999999999.0,\n", None),
        ("load", None),
        ("", None),
    ] {
        assert_eq!(average(output.as_bytes()), load, "{output:?}");
    }
}

#[test]
fn the_command_is_the_monitor_with_the_address() {
    let real = "192.0.2.11:80".parse().unwrap();
    for (word, line) in [
        ("rup", "rup 192.0.2.11"),
        ("ruptime", "ruptime 192.0.2.11"),
        ("ssh", "ssh 192.0.2.11 uptime"),
        ("/usr/bin/rsh", "/usr/bin/rsh 192.0.2.11 uptime"),
        ("/opt/load", "/opt/load 192.0.2.11"),
        ("/opt/load -a %h -v", "/opt/load -a 192.0.2.11 -v"),
    ] {
        assert_eq!(command(word, real).line(), line);
    }
}

#[test]
fn an_idle_server_rises_to_the_limit_and_a_busy_one_returns_to_its_own_weight() {
    let mut load = Load::new(100, 10);
    assert_eq!(load.measured(0.0), Some(150));
    assert_eq!(load.measured(0.875), Some(175), "100 / 2 * cbrt(1 / 8)");
    assert_eq!(load.measured(0.95), None, "less than a quarter");
    assert_eq!(load.measured(1.0), None);
    for _ in 0..50 {
        load.measured(0.0);
    }
    assert_eq!(load.weight(), 1000);
    assert_eq!(load.measured(28.0), Some(850), "100 / 2 * cbrt(27)");
    for _ in 0..50 {
        load.measured(5.0);
    }
    assert_eq!(load.weight(), 100, "never below the configured one");
    load.measured(0.0);
    assert_eq!(load.reset(), 100);
}

#[test]
fn a_weight_of_one_moves_too() {
    let mut load = Load::new(1, 10);
    assert_eq!(load.measured(0.0), Some(2));
    assert_eq!(load.measured(0.0), None, "a half is kept, not shown");
    assert_eq!(load.measured(0.0), Some(3));
    let mut none = Load::new(0, 10);
    assert_eq!(none.measured(0.0), None, "weight 0 is no new connections, whatever the load");
}

proptest! {
    #[test]
    fn whatever_a_monitor_says_the_weight_stays_in_its_limits(
        configured in 0u32..=65_535, scale in any::<u32>(), outputs in proptest::collection::vec(any::<Vec<u8>>(), 0..8),
        loads in proptest::collection::vec(0.0..1e6, 0..20),
    ) {
        let mut load = Load::new(configured, scale);
        for measured in outputs.iter().filter_map(|output| average(output)).chain(loads) {
            load.measured(measured);
            prop_assert!(load.weight() >= configured && load.weight() <= 65_535);
        }
    }

    #[test]
    fn a_number_behind_load_is_found_wherever_it_stands(before in "[^l]{0,40}", whole in 0u32..1000, cents in 0u32..100) {
        let text = format!("{before}load average: {whole}.{cents:02}, 1.00, 1.00");
        prop_assert_eq!(average(text.as_bytes()), format!("{whole}.{cents:02}").parse().ok());
    }
}
