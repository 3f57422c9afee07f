//! nanny's command line, which is its whole configuration: the original's
//! (piranha.md 4.1), in its long and short forms and with the spellings of its
//! manual page, and a few options of ours. Addresses are numbers: lvsd resolves
//! names (a static program has no resolver).
//!
//! [`parse`] has no side effect; what it cannot accept is a [`Refusal`] in the
//! original's words.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::{IntErrorKind, ParseIntError};
use std::os::unix::ffi::OsStrExt as _;
use std::str::FromStr;
use std::time::Duration;

use common::check::{CHECKS_MAX, CheckKind};
use common::destinations::{Assignment, Failed, Limits, Target};
use common::ipvs::{DestinationKey, Family, ForwardingMethod, Protocol, ServiceKey};
use syslog::Facility;

use crate::probe::options::Asked;
use options::Words;

pub mod options;

/// The shortest interval between two checks. A check is a connection and a
/// director has many of them to make.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The longest time an option takes: a year, so that no sum of times overflows.
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// What interval 0 means; the original died of a division by zero.
const INTERVAL_FOR_ZERO: Duration = Duration::from_secs(1);

/// The original's default of `--interval`.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(10);

/// The original's default of `--reentrytime`, also for 0; of a failover service it
/// is the interval.
const REENTRY_DEFAULT: Duration = Duration::from_secs(180);

/// The original's default of `--scale`.
const SCALE_DEFAULT: i64 = 10;

/// The longest that a server in doubt is left alone before it is checked again.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// The original's weights double every 20 seconds, from a thirty-second on.
const SLOW_START_DEFAULT: Duration = Duration::from_secs(100);

const NO_NUMBER: &str = "invalid numeric value";
const TOO_LARGE: &str = "number too large or too small";

/// Where nanny runs and where its lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Goes to the background; syslog.
    Background,
    /// `--nofork`: a child of the caller; syslog.
    Child,
    /// `--nodaemon`: in the foreground; stdout and syslog.
    Foreground,
}

/// What nanny is to do, complete and in its own terms.
#[derive(Clone, Debug)]
pub struct Args {
    /// How long a check may take and, without [`Args::period`], how often one begins.
    pub interval: Duration,
    /// Time between two checks.
    pub period: Duration,
    /// Time between two checks of a server that failed, and not often enough yet.
    pub retry: Duration,
    /// Failed checks in a row that take a server out.
    pub fall: u32,
    /// Good checks in a row that bring it back, beside the reentry time.
    pub rise: u32,
    /// How long its weight grows then.
    pub slow_start: Duration,
    /// Falling again within this time makes the return harder.
    pub dampen: Duration,
    /// `--interval 0` was given; [`Args::interval`] is a second then.
    pub interval_was_zero: bool,
    /// How long checks must be good before a failed server returns.
    pub reentry: Duration,
    /// The virtual service as the kernel knows it; `None`: several, which lvsd tells on
    /// its line.
    pub service: Option<ServiceKey>,
    /// `VIP:VPORT` for the log; the service's own words without `--virtaddress`.
    pub service_name: String,
    /// The virtual port.
    pub virtual_port: u16,
    /// The real server and the port where checks go.
    pub real: SocketAddr,
    /// How the kernel forwards.
    pub method: ForwardingMethod,
    /// Full weight, 0 to 65535.
    pub weight: u32,
    /// A load command other than `none`.
    pub load: Option<String>,
    /// How many times its weight a server may get for having no load.
    pub scale: u32,
    /// `--send_string` as typed.
    pub send: Option<Vec<u8>>,
    /// `--expect_string` as typed.
    pub expect: Option<Vec<u8>>,
    /// The checks asked for by name; none: the original's, by the options below.
    pub checks: Vec<Asked>,
    /// How many of the checks must be good; 0: all.
    pub checks_needed: usize,
    /// `--send_program` as typed.
    pub program: Option<Vec<u8>>,
    /// The expected text is a pattern.
    pub regex: bool,
    /// Backslashes in the texts stay.
    pub suppress: bool,
    /// A failed server gets weight 0.
    pub quiesce: bool,
    /// And has a place with weight 0 even if it never was in use.
    pub inhibit: bool,
    /// At so many connections it gets no new ones, and does again below so few; without
    /// them what the kernel has stays.
    pub limits: Option<Limits>,
    /// Whether an idle connection is held; `None`: as [`crate::watch::target`] has it.
    pub watch: Option<bool>,
    /// Checks go over UDP.
    pub udp: bool,
    /// Checks go over SCTP.
    pub sctp: bool,
    /// A failover service is watched: there is no destination to keep.
    pub fos: bool,
    /// The kernel is not touched.
    pub dry: bool,
    /// Where it runs.
    pub place: Place,
    /// Every check is logged.
    pub verbose: bool,
    /// The syslog facility.
    pub facility: Facility,
}

/// Why nanny does not start, or what it says instead of starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Asked for: goes to stdout, exit 0.
    Answer(String),
    /// Wrong usage: goes to stderr, exit 64.
    Usage(String),
}

/// The command line, without the program's name, as what is to be done.
///
/// # Errors
/// [`Refusal`]: help and version too.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Args, Refusal> {
    let words = Words::read(arguments).map_err(Refusal::Usage)?;
    if words.has("help") {
        return Err(Refusal::Answer(options::help()));
    }
    if words.has("version") {
        return Err(Refusal::Answer(common::daemon::version("nanny")));
    }
    resolve(&words).map_err(Refusal::Usage)
}

fn resolve(words: &Words) -> Result<Args, String> {
    let port = value(words, "port", number)?.unwrap_or(80);
    let rport = value(words, "rport", number)?.unwrap_or(port);
    let mark = value(words, "fwmark", number)?.unwrap_or(0);
    let weight = value(words, "weight", weight)?.unwrap_or(1);
    let typed_interval = value(words, "interval", time)?.unwrap_or(INTERVAL_DEFAULT);
    let interval = if typed_interval.is_zero() { INTERVAL_FOR_ZERO } else { typed_interval.max(INTERVAL_MIN) };
    let period = value(words, "period", time)?.unwrap_or(interval).max(INTERVAL_MIN);
    let retry = value(words, "retry", time)?.unwrap_or(RETRY_DEFAULT).clamp(INTERVAL_MIN, period);
    let reentry = value(words, "reentrytime", time)?.filter(|time| !time.is_zero());
    let method = value(words, "method", method)?.unwrap_or(ForwardingMethod::Masquerade);
    let facility = value(words, "log-facility", common::log::facility)?.unwrap_or(Facility::LOG_DAEMON);
    let checks_needed = value(words, "checks-needed", number)?.unwrap_or(0);
    let scale = value(words, "scale", number::<i64>)?.unwrap_or(SCALE_DEFAULT);

    let rip = address(words, "server")?.ok_or("No address supplied. Use '--help' for help. ")?;
    let vip = address(words, "virtaddress")?;
    let fos = words.has("fos");
    if words.has("udp") && words.has("sctp") {
        return Err("--udp and --sctp exclude each other".into());
    }
    if fos == words.has("lvs") {
        return Err(if fos { "--lvs and --fos exclude each other" } else { "unknown service type" }.into());
    }
    let vip = vip.or(fos.then_some(rip));
    // The number tells those of one server apart, for ps and the meeting place alone.
    let shared = value(words, "shared", number::<u16>)?.is_some();
    if shared && (fos || mark != 0 || vip.is_some()) {
        return Err("--shared takes no --fos, --virtaddress and --fwmark: lvsd tells its destinations".into());
    }
    let service = match (mark, vip) {
        (0, None) if shared => None,
        (0, None) => return Err("No virtual service supplied: it takes --virtaddress or --fwmark".into()),
        (0, Some(address)) => {
            let protocol = match (words.has("sctp"), words.has("udp")) {
                (true, _) => Protocol::Sctp,
                (false, true) => Protocol::Udp,
                (false, false) => Protocol::Tcp,
            };
            Some(ServiceKey::Address { protocol, address, port })
        }
        (mark, vip) => {
            let family = if vip.unwrap_or(rip).is_ipv4() { Family::V4 } else { Family::V6 };
            Some(ServiceKey::Mark { family, mark })
        }
    };
    let text = |long| words.last(long).map(|word| word.value.as_bytes().to_vec());
    let checks = checks(words)?;
    let load = words.last("loadcmd").map(|word| word.value.to_string_lossy().into_owned());
    let args = Args {
        interval,
        interval_was_zero: typed_interval.is_zero(),
        period,
        retry,
        fall: value(words, "fall", number)?.unwrap_or(1),
        rise: value(words, "rise", number)?.unwrap_or(1),
        slow_start: value(words, "slow-start", time)?.unwrap_or(SLOW_START_DEFAULT),
        dampen: value(words, "dampen", time)?.unwrap_or(Duration::ZERO),
        reentry: reentry.unwrap_or(if fos { period } else { REENTRY_DEFAULT }),
        service_name: match (vip, service) {
            (Some(vip), _) => SocketAddr::new(vip, port).to_string(),
            (None, Some(service)) => service.to_string(),
            (None, None) => "several services".to_owned(),
        },
        service,
        virtual_port: port,
        real: SocketAddr::new(rip, rport),
        method,
        weight,
        load: load.filter(|word| !word.trim().is_empty() && word != "none"),
        // Negative or huge, as the original took it: no rise, or no limit.
        scale: u32::try_from(scale.clamp(1, i64::from(u32::MAX))).unwrap_or(1),
        checks,
        checks_needed,
        send: text("send_string"),
        expect: text("expect_string"),
        program: text("send_program"),
        regex: words.has("regex"),
        suppress: words.has("suppress"),
        quiesce: words.has("quiesce_server"),
        inhibit: words.has("inhibit"),
        limits: limits(words)?,
        watch: match (words.has("watch"), words.has("no-watch")) {
            (_, true) => Some(false),
            (true, false) => Some(true),
            (false, false) => None,
        },
        udp: words.has("udp"),
        sctp: words.has("sctp"),
        fos,
        dry: words.has("norun"),
        place: match (words.has("nodaemon"), words.has("nofork")) {
            (true, _) => Place::Foreground,
            (false, true) => Place::Child,
            (false, false) => Place::Background,
        },
        verbose: words.has("verbose"),
        facility,
    };
    crate::probe::checks(&args)?;
    Ok(args)
}

/// Each `--check` with the `--with` behind it.
fn checks(words: &Words) -> Result<Vec<Asked>, String> {
    let mut checks: Vec<Asked> = Vec::new();
    for word in words.iter() {
        let text = word.value.to_string_lossy();
        match word.row.long {
            "check" => {
                let kind =
                    CheckKind::of(&text).ok_or_else(|| format!("bad argument {} {text}: no such check", word.typed))?;
                checks.push(Asked { kind, options: Vec::new() });
            }
            "with" => {
                let option = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
                let option =
                    option.ok_or_else(|| format!("bad argument {} {text}: it takes NAME=VALUE", word.typed))?;
                let check = checks
                    .last_mut()
                    .ok_or_else(|| format!("bad argument {}: it belongs behind --check", word.typed))?;
                check.options.push(option);
            }
            _ => {}
        }
    }
    if checks.len() > CHECKS_MAX { Err(format!("more than {CHECKS_MAX} checks")) } else { Ok(checks) }
}

impl Args {
    /// The destination as the kernel has it: under direct routing and tunnelling
    /// its port is the virtual one.
    pub fn destination(&self) -> DestinationKey {
        let port = self.method.destination_port(self.virtual_port, self.real.port());
        DestinationKey { address: self.real.ip(), port }
    }

    /// The one destination that the command line names, if it does.
    pub fn assignment(&self) -> Option<Assignment> {
        let failed = match (self.inhibit, self.quiesce) {
            (true, _) => Failed::Inhibited,
            (false, true) => Failed::Quiesced,
            (false, false) => Failed::Removed,
        };
        let Self { method, weight, slow_start, limits, .. } = *self;
        let target = Target { service: self.service?, destination: self.destination() };
        Some(Assignment { target, method, weight, failed, slow_start, limits, stays: false })
    }

    /// How many checks in a row must be good before a failed server returns: as many
    /// as fit into the reentry time (piranha.md 4.4), and no less than were asked for.
    pub fn threshold(&self) -> u32 {
        let fit = u32::try_from(self.reentry.as_nanos() / self.period.as_nanos().max(1)).unwrap_or(u32::MAX);
        fit.max(self.rise)
    }
}

/// A lower limit above the upper one would be refused by the kernel.
fn limits(words: &Words) -> Result<Option<Limits>, String> {
    let upper = value(words, "max-connections", number)?;
    let lower = value(words, "min-connections", number)?;
    Ok(upper.or(lower).is_some().then(|| {
        let upper = upper.unwrap_or(0);
        Limits { upper, lower: lower.unwrap_or(0).min(upper) }
    }))
}

/// The value of an option, if it was given.
fn value<T>(words: &Words, long: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    let Some(word) = words.last(long) else { return Ok(None) };
    let text = word.value.to_string_lossy();
    read(&text).map(Some).map_err(|why| format!("bad argument {} {text}: {why}", word.typed))
}

fn address(words: &Words, long: &str) -> Result<Option<IpAddr>, String> {
    let Some(word) = words.last(long) else { return Ok(None) };
    let text = word.value.to_string_lossy();
    text.parse().map(Some).map_err(|_| format!("bad IP address -- {text}"))
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    let too_large = [IntErrorKind::PosOverflow, IntErrorKind::NegOverflow];
    text.parse().map_err(|e: ParseIntError| if too_large.contains(e.kind()) { TOO_LARGE } else { NO_NUMBER }.to_owned())
}

fn weight(text: &str) -> Result<u32, String> {
    // The kernel's is a signed 32 bit number, ipvsadm's limit is this one.
    number::<u16>(text).map(u32::from)
}

fn method(text: &str) -> Result<ForwardingMethod, String> {
    let letter = text.strip_prefix('-').unwrap_or(text);
    common::destinations::method_of(letter).ok_or_else(|| "it takes m, g or i".into())
}

/// `10`, `0.5`, `500ms`, `3s`, `2m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("it takes a number of seconds, or one with ms, s or m".into()),
    };
    let number: f64 = number.parse().map_err(|_| NO_NUMBER.to_owned())?;
    match Duration::try_from_secs_f64(number * factor) {
        Ok(time) if time <= TIME_MAX => Ok(time),
        Ok(_) | Err(_) => Err(TOO_LARGE.into()),
    }
}

#[cfg(test)]
mod tests;
