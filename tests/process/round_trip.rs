//! lvsd writes a nanny's command line, nanny reads it: whatever the configuration
//! asks for arrives as it was meant.

use std::ffi::OsString;
use std::io::Write as _;

use lvsd::nanny_command::{Manner, arguments, takes_value};
use nanny::args::options::ROWS;
use nanny::args::{Args, Place, parse};
use proptest::prelude::*;

/// A `virtual` block with one server, keyword by keyword.
#[derive(Clone, Debug)]
struct Wanted {
    network: &'static str,
    udp: bool,
    mark: u32,
    six: bool,
    port: u16,
    server_port: u16,
    weight: u16,
    timeout: u16,
    reentry: u16,
    send: Option<String>,
    expect: Option<String>,
    program: Option<String>,
    regex: bool,
    quiesce: bool,
    verbose: bool,
    foreground: bool,
}

fn texts() -> impl Strategy<Value = Option<String>> {
    // What lvs.cf can hold between double quotes, dashes first and escapes included.
    proptest::option::of("[ -!#-~]{0,40}")
}

prop_compose! {
    fn wanted()(
        (network, udp, mark, six) in (prop_oneof![Just("nat"), Just("direct"), Just("tunnel")], any::<bool>(), prop_oneof![Just(0), 1..=i32::MAX.cast_unsigned()], any::<bool>()),
        (port, server_port, weight) in (1..=u16::MAX, 1..=u16::MAX, any::<u16>()),
        (timeout, reentry) in (1_u16..600, 1_u16..600),
        (send, expect, program) in (texts(), texts(), texts()),
        (regex, quiesce, verbose, foreground) in any::<(bool, bool, bool, bool)>(),
    ) -> Wanted {
        Wanted { network, udp, mark, six, port, server_port, weight, timeout, reentry, send, expect, program, regex, quiesce, verbose, foreground }
    }
}

impl Wanted {
    fn lvs_cf(&self) -> String {
        let (vip, rip) = if self.six { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") };
        let mut file = format!("primary = 192.0.2.9\nnetwork = {}\nvirtual v {{\n active = 1\n", self.network);
        let mut line = |key: &str, value: String| file.push_str(&[" ", key, " = ", &value, "\n"].concat());
        line("address", format!("{vip} eth0:1"));
        line("protocol", if self.udp { "udp" } else { "tcp" }.to_owned());
        line("port", self.port.to_string());
        line("fwmark", self.mark.to_string());
        line("timeout", self.timeout.to_string());
        line("reentry", self.reentry.to_string());
        line("use_regex", u8::from(self.regex).to_string());
        line("quiesce_server", u8::from(self.quiesce).to_string());
        for (key, text) in [("send", &self.send), ("expect", &self.expect), ("send_program", &self.program)] {
            if let Some(text) = text {
                line(key, format!("\"{text}\""));
            }
        }
        let (port, weight) = (self.server_port, self.weight);
        file + &format!(
            " server s {{\n  address = {rip}\n  active = 1\n  port = {port}\n  weight = {weight}\n }}\n}}\n"
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_nanny_reads_what_lvsd_wrote_as_it_was_meant(wanted in wanted()) {
        let mut file = tempfile::Builder::new().suffix(".cf").tempfile().unwrap();
        file.write_all(wanted.lvs_cf().as_bytes()).unwrap();
        // Not every random text makes sense to the reader (a pattern that is none);
        // what it refuses no nanny will see.
        let Ok(loaded) = common::config::load(file.path()) else { return Err(TestCaseError::reject("refused")) };
        let config = loaded.config;
        let service = &config.virtuals[0];
        let server = &service.servers[0];
        let manner = Manner { foreground: wanted.foreground, verbose: wanted.verbose, log_facility: None };
        let line = arguments(&config, service, server, &manner).unwrap();
        let read: Args = parse(line.iter().map(OsString::from)).unwrap();

        prop_assert_eq!(read.service, service.service_key());
        prop_assert_eq!(Some(read.destination()), service.destination(server, config.network).map(|d| d.key));
        prop_assert_eq!(Some(read.real.ip()), server.address);
        prop_assert_eq!(read.real.port(), wanted.server_port);
        prop_assert_eq!(read.virtual_port, wanted.port);
        prop_assert_eq!(read.method, config.network);
        prop_assert_eq!(read.weight, u32::from(wanted.weight));
        prop_assert_eq!(read.interval.as_secs(), u64::from(wanted.timeout));
        prop_assert_eq!(read.reentry.as_secs(), u64::from(wanted.reentry));
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        prop_assert_eq!(read.send, bytes(&service.send));
        prop_assert_eq!(read.expect, bytes(&service.expect));
        prop_assert_eq!(read.program, bytes(&service.send_program));
        prop_assert_eq!((read.regex, read.quiesce, read.udp), (wanted.regex, wanted.quiesce, wanted.udp));
        prop_assert_eq!((read.verbose, read.dry), (wanted.verbose, false));
        prop_assert_eq!(read.place, if wanted.foreground { Place::Foreground } else { Place::Child });
    }
}

/// lvsd reads its command lines back, and finds their options by this.
#[test]
fn lvsd_knows_which_of_nannys_options_have_a_value() {
    for row in &ROWS {
        let option = row.short.map_or_else(|| format!("--{}", row.long), |short| format!("-{short}"));
        assert_eq!(takes_value(&option), row.value.is_some(), "{option}");
    }
}
