//! What a check does and every way it can end.
//!
//! A check is a conversation ([`talk`]) over TCP, UDP, TLS or ICMP, or a program of
//! the operator's ([`program`]). One deadline, the interval, stands over all of it
//! (the original gave each step an interval of its own, piranha.md 4.3).

pub mod certificate;
pub mod dns;
pub mod exchange;
pub mod grpc;
pub mod http;
pub mod jury;
pub mod options;
pub mod ping;
pub mod program;
pub mod smtp;
pub mod talk;
pub mod transcript;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use common::check::{CheckKind, unescape};

use common::child::Exit;
use nix::errno::Errno;

use crate::args::Args;
use exchange::{Expect, Script};
use program::{Command, Good};
use talk::Topic;

/// The original's question to a web server.
const WEB_SEND: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// And the beginning of a good answer.
const WEB_EXPECT: &[u8] = b"HTTP";

/// One check of the server.
#[derive(Debug)]
pub struct Check {
    /// As it was asked for by name; `None`: by the original's options.
    pub kind: Option<CheckKind>,
    /// Where it goes.
    pub target: Target,
    /// What it does.
    pub plan: Plan,
}

/// Where a check goes, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address and port that are tried.
    pub to: SocketAddr,
    /// The address it comes from.
    pub source: Option<IpAddr>,
    /// The device it goes out of.
    pub interface: Option<String>,
    /// The mark of its packets; 0: none.
    pub mark: u32,
}

/// What bytes travel in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A connection.
    Tcp,
    /// One of SCTP's.
    Sctp,
    /// Datagrams.
    Udp,
    /// A connection with TLS in it.
    Tls(Tls),
    /// ICMP.
    Icmp,
}

/// What TLS is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The name that is asked for and that the certificate must have; `None`: the
    /// certificate must have the address.
    pub name: Option<String>,
    /// The certificate must be good.
    pub verify: bool,
    /// Whose signature makes it good; `None`: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How long before its end it is warned of; zero: not at all.
    pub expiry_warning: Duration,
    /// HTTP/2 is spoken in it, which the server must agree to.
    pub is_http2: bool,
}

/// How a check is made.
#[derive(Debug)]
pub enum Plan {
    /// Over a socket.
    Converse {
        /// In what.
        transport: Transport,
        /// About what.
        topic: Topic,
    },
    /// By a program.
    Run(Command),
}

/// How a check ended. The words are the original's where it had any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server is well.
    Good,
    /// No connection within the interval.
    ConnectTimedOut,
    /// No connection: refused, unreachable, ...
    ConnectFailed(Errno),
    /// The server took no data within the interval.
    WriteTimedOut,
    /// Sending failed.
    WriteFailed(Errno),
    /// No answer within the interval.
    ReadTimedOut,
    /// Receiving failed; for UDP, 111: nobody listens there.
    ReadFailed(Errno),
    /// The answer ended before the expected text did.
    TooShort,
    /// The answer, or the program's output, is not the expected text.
    Unexpected,
    /// The answer is wrong in a way that can be said.
    Wrong(String),
    /// There is no TLS with it; in words.
    TlsFailed(String),
    /// The TLS handshake did not end within the interval.
    TlsTimedOut,
    /// No echo came back within the interval.
    PingTimedOut,
    /// The echo could not be sent, or an error came back.
    PingFailed(Errno),
    /// The expected text is no regular expression; in the parser's words.
    BadPattern(String),
    /// The command line of the program is empty.
    NoProgram,
    /// The program could not be started.
    ProgramNotRun(String, Errno),
    /// The program ran longer than the interval, and was killed.
    ProgramTimedOut(String),
    /// The program of an earlier check was killed and does not end.
    ProgramStuck(String),
    /// The program ended badly.
    ProgramFailed(String, Exit),
    /// The program printed more than the limit, and was killed.
    ProgramBabbled(String),
    /// The program printed nothing.
    ProgramSilent,
    /// The program ended badly, and nothing was expected of it.
    ProgramForNothing,
    /// The program ended well, but nothing was expected of it.
    NothingExpected,
}

/// What the arguments ask for: the checks by name, or the original's one.
///
/// # Errors
/// A check cannot be made; in words.
pub fn checks(args: &Args) -> Result<Vec<Check>, String> {
    if args.checks.is_empty() {
        let target = Target { to: args.real, source: None, interface: None, mark: 0 };
        return Ok(vec![Check { kind: None, target, plan: Plan::original(args) }]);
    }
    args.checks.iter().map(|asked| asked.check(args)).collect()
}

impl Plan {
    /// What the original's options ask for. Without strings and program a TCP service
    /// on port 80 is taken for a web server (piranha.md 1.6); see [`assumes_web`].
    fn original(args: &Args) -> Self {
        let text = |typed: &Vec<u8>| if args.suppress { typed.clone() } else { unescape(typed) };
        let expect = args.expect.as_ref().map(text);
        if let Some(line) = &args.program {
            return Self::Run(Command::new(line, args.real, Good::Output(expect)));
        }
        let transport = match (args.sctp, args.udp) {
            (true, _) => Transport::Sctp,
            (false, true) => Transport::Udp,
            (false, false) => Transport::Tcp,
        };
        let script = if assumes_web(args) {
            Script::new(WEB_SEND.to_vec(), Expect::Prefix(WEB_EXPECT.to_vec()), None)
        } else {
            let silence = args.udp.then(|| udp_silence(args));
            let send = args.send.as_ref().map(text).unwrap_or_default();
            Script::new(send, Expect::new(expect, args.regex), silence)
        };
        Self::Converse { transport, topic: Topic::Text(script) }
    }
}

/// How long no answer to a UDP datagram must last until it counts as a good one,
/// where none is expected: "port unreachable" comes within a round trip, and hosts
/// send one a second to the same director (Linux icmp_ratelimit). At most half of
/// the interval.
const UDP_SILENCE: Duration = Duration::from_secs(1);

fn udp_silence(args: &Args) -> Duration {
    UDP_SILENCE.min(args.interval / 2)
}

/// Whether the check is the original's guess for port 80.
pub fn assumes_web(args: &Args) -> bool {
    args.checks.is_empty()
        && args.virtual_port == 80
        && !args.udp
        && !args.sctp
        && args.send.is_none()
        && args.expect.is_none()
        && args.program.is_none()
}

impl Outcome {
    /// Whether the server is well.
    pub fn is_good(&self) -> bool {
        *self == Self::Good
    }

    /// Whether it is the same failure, if maybe in other words.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The line for the log, about this real server.
    pub fn about(&self, real: SocketAddr) -> impl fmt::Display + '_ {
        About { outcome: self, real }
    }
}

struct About<'a> {
    outcome: &'a Outcome,
    real: SocketAddr,
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = self.real;
        match self.outcome {
            Outcome::Good => write!(f, "{real} answers as expected"),
            Outcome::ConnectTimedOut => write!(f, "CONNECT to {real} timed out"),
            Outcome::ConnectFailed(e) => write!(f, "CONNECT to {real} failed: {}", e.desc()),
            Outcome::WriteTimedOut => write!(f, "WRITE to {real} timed out"),
            Outcome::WriteFailed(e) => write!(f, "WRITE operation for {real} returned error: {}", e.desc()),
            Outcome::ReadTimedOut => write!(f, "READ to {real} timed out"),
            Outcome::ReadFailed(e) => write!(f, "READ returned error {}:{}", *e as i32, e.desc()),
            Outcome::TooShort => write!(f, "READ from {real} was too short"),
            Outcome::Unexpected => write!(f, "Trouble. Received results are not what we expected from ({real})"),
            Outcome::Wrong(why) => {
                write!(f, "Trouble. Received results are not what we expected from ({real}): {why}")
            }
            Outcome::TlsFailed(why) => write!(f, "TLS with {real} failed: {why}"),
            Outcome::TlsTimedOut => write!(f, "TLS with {real} timed out"),
            Outcome::PingTimedOut => write!(f, "ping of {} timed out", real.ip()),
            Outcome::PingFailed(e) => write!(f, "ping of {} failed: {}", real.ip(), e.desc()),
            Outcome::BadPattern(why) => write!(f, "Error '{why}' processing expected regular expression"),
            Outcome::NoProgram => f.write_str("No command to run"),
            Outcome::ProgramNotRun(program, e) => write!(f, "failed to run \"{program}\": {}", e.desc()),
            Outcome::ProgramTimedOut(program) => write!(f, "timeout running the following: \"{program}\""),
            Outcome::ProgramStuck(program) => {
                write!(f, "timeout running the following: \"{program}\" (killed, but it does not end)")
            }
            Outcome::ProgramFailed(program, exit) => {
                write!(f, "The following exited abnormally: \"{program}\" {exit}")
            }
            Outcome::ProgramBabbled(program) => {
                write!(
                    f,
                    "unexpected return of more than {} bytes running the following: \"{program}\"",
                    program::OUTPUT_MAX
                )
            }
            Outcome::ProgramSilent => {
                write!(f, "Ran the external sending program to ({real}) but didn't get anything back")
            }
            Outcome::ProgramForNothing => f.write_str(
                "Ran the external sending program. The result and expected response are both NULL! \
                 You may wish to revise your settings",
            ),
            Outcome::NothingExpected => {
                f.write_str("Expect string is NULL, but the external sending program returned a non-NULL result")
            }
        }
    }
}
