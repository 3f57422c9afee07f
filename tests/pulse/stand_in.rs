//! What stands in for lvsd: speaks on its line and at its meeting place as lvsd
//! does (Hello, Ready, Alive, Release), ends on TERM, counts HUPs, and owns
//! nothing. Started through a script, for a test binary has options of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use common::channel::{Ask, Line, MeetingPlace, Received, Said};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

pub const PID: &str = "/run/lvsd.pid";
pub const ARGUMENTS: &str = "/run/lvsd.arguments";
pub const HANGUPS: &str = "/run/lvsd.hangups";
/// Files whose being there makes it behave badly.
pub const NEVER_READY: &str = "/run/lvsd.never-ready";
/// It dies before it has done anything.
pub const DIES: &str = "/run/lvsd.dies";
pub const SLOW_TO_STOP: &str = "/run/lvsd.slow-to-stop";

/// Runs until TERM or Release; says that it is alive every `beat`.
pub fn run(beat: Duration) {
    let Ok(arguments) = std::env::var("LVSD_ARGUMENTS") else { return };
    if Path::new(DIES).exists() {
        std::process::abort();
    }
    let mut signals = Signals::new([SIGTERM, SIGHUP]).unwrap();
    let mut lines: Vec<Line> = Line::from_stdin().into_iter().collect();
    let place = loop {
        // the predecessor may be on its way out
        match MeetingPlace::open(Path::new("/run/piranha-ng/lvsd")) {
            Ok(place) => break place,
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::AddrInUse),
        }
        std::thread::yield_now();
    };
    let words = arguments.split(' ').map(str::to_owned).collect();
    let hello = Said::hello(words).encode();
    let said_hello = lines.iter().all(|line| line.send(&hello).is_ok());
    assert!(said_hello, "the parent was gone");
    std::fs::write(ARGUMENTS, &arguments).unwrap();
    std::fs::write(PID, std::process::id().to_string()).unwrap();
    let ready = !Path::new(NEVER_READY).exists();
    if ready {
        lines.retain(|line| line.send(&Said::Ready.encode()).is_ok());
    }
    let (mut hangups, mut said) = (0, Instant::now());
    loop {
        for signal in signals.pending() {
            if signal == SIGTERM {
                while Path::new(SLOW_TO_STOP).exists() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                let _ = std::fs::remove_file(PID);
                return;
            }
            hangups += 1;
            std::fs::write(HANGUPS, hangups.to_string()).unwrap();
        }
        while let Some(line) = place.accept() {
            let _ = line.send(&hello);
            if ready {
                let _ = line.send(&Said::Ready.encode());
            }
            lines.push(line);
        }
        let mut released = false;
        lines.retain(|line| match line.receive_ask() {
            Received::Message(ask) => {
                released |= ask == Ask::Release;
                true
            }
            Received::Nothing | Received::Garbage(_) => true,
            Received::Ended => false,
        });
        if released {
            return;
        }
        if said.elapsed() >= beat {
            said = Instant::now();
            lines.retain(|line| line.send(&Said::Alive.encode()).is_ok());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
