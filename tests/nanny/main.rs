//! nanny as a process: checks over real sockets and by real programs, signals, the
//! line to lvsd, the way to the background. No rights and no IPVS are needed: all
//! of it runs with `--norun`; what reaches the kernel is shown in the lab.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test ends by them

mod checks;
mod daemons;
mod ground;
#[path = "../held.rs"]
mod held;
mod programs;
mod shared;

use std::net::UdpSocket;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::channel::{Ask, Line, Received, Said, VERSION};
use ground::{Answer, Echo, Nanny, Server, free_port, wait_until};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{Shutdown, shutdown};

/// Five checks a second, each of which has all the time in the world.
const OFTEN: [&str; 4] = ["-t", "20", "--period", "0.2"];

/// Five checks a second, none of which may take longer.
const HASTY: [&str; 2] = ["-t", "0.2"];

#[test]
fn a_server_comes_goes_and_comes_back() {
    let mut server = Server::start(Answer::Text(b"HTTP/1.0 200 OK\r\n"));
    let words = [&["-s", "GET /\\r\\n", "-x", "HTTP", "-a", "0.6"], &OFTEN[..]].concat();
    let mut nanny = Nanny::start(server.port, &words);
    nanny.wait_for("starting LVS client monitor for 192.0.2.1:80 -> 127.0.0.1");
    nanny.wait_for("[ active ] making 127.0.0.1");
    server.stop(); // which may reset a check as well as refuse the next
    nanny.wait_for(&format!("[inactive] shutting down 127.0.0.1:{} due to connection failure", server.port));
    let asked = server.restart();
    nanny.wait_for("[ active ] making 127.0.0.1");
    assert!(server.asked() - asked >= 3, "it returns after reentry / interval good checks");
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(nanny.said("Terminating due to signal 15"), 1);
}

#[test]
fn an_answer_in_pieces_is_an_answer() {
    let server = Server::start(Answer::ByteByByte(b"HTTP/1.0"));
    let mut nanny = Nanny::start(server.port, &["-x", "HTTP/1.0", "-t", "20"]);
    nanny.wait_for("[ active ]");
}

#[test]
fn a_server_that_stalls_babbles_or_closes_is_left_out_with_the_reason() {
    for (answer, expected, how) in [
        (Answer::Stall, "READ to 127.0.0.1", &HASTY[..]),
        (Answer::Text(b"220 hello"), "Trouble. Received results are not what we expected from (127.0.0.1", &OFTEN),
        (Answer::Text(b"HT"), "was too short", &OFTEN),
    ] {
        let server = Server::start(answer);
        let mut nanny = Nanny::start(server.port, &[&["-x", "HTTP"], how].concat());
        nanny.wait_for(expected);
        nanny.wait_for("[inactive] leaving out 127.0.0.1");
        let asked = server.asked();
        wait_until("four more checks", || server.asked() >= asked + 4);
        assert_eq!(nanny.stop(), Some(0));
        assert_eq!(nanny.said(expected), 1, "the same failure is said once");
    }
}

#[test]
fn a_udp_server_is_well_while_nobody_says_otherwise() {
    let port = free_port();
    let socket = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let mut nanny = Nanny::start(port, &["-u", "-t", "0.2", "-a", "0.2"]);
    nanny.wait_for("[ active ]");
    drop(socket);
    nanny.wait_for("READ returned error 111:Connection refused");
    nanny.wait_for("[inactive] shutting down");
}

#[test]
fn a_udp_server_of_which_an_answer_is_expected_must_give_it() {
    let server = Echo::start("127.0.0.1", b"ping", b"pong and more");
    let mut nanny = Nanny::start(server.at.port(), &["-u", "-s", "ping", "-x", "pong", "-t", "0.2"]);
    nanny.wait_for("[ active ]");
    server.silence();
    nanny.wait_for("READ to 127.0.0.1");
    nanny.wait_for("[inactive] shutting down");
}

#[test]
fn glasses_overrule_checks_until_they_are_taken_off() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let mut nanny = Nanny::start(server.port, &[&["-x", "HTTP", "-a", "0.2"], &OFTEN[..]].concat());
    nanny.wait_for("[ active ]");
    nanny.signal(Signal::SIGUSR1);
    nanny.wait_for("opaque glasses on");
    nanny.wait_for("[inactive] shutting down 127.0.0.1");
    nanny.signal(Signal::SIGUSR2);
    nanny.wait_for("rose-colored glasses on");
    nanny.wait_for("[ active ]");
    nanny.signal(Signal::SIGUSR1);
    nanny.wait_for("[inactive] shutting down 127.0.0.1");
    nanny.signal(Signal::SIGHUP);
    nanny.wait_for("DEBUG -- removing glasses");
    nanny.wait_for("[ active ]");
}

#[test]
fn a_failover_service_is_watched_without_a_destination() {
    let mut server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny = Nanny::watch(server.port, &[&["-x", "HTTP"], &OFTEN[..]].concat(), theirs.into());
    let hear = |expected: &Said| {
        ground::wait_for("a word on the line", || match line.receive_said() {
            Received::Message(said) if said == *expected => Some(()),
            Received::Message(_) | Received::Nothing => None,
            other @ (Received::Garbage(_) | Received::Ended) => panic!("{other:?}"),
        });
    };
    let at = format!("127.0.0.1:{}", server.port);
    nanny.wait_for(&format!("Failover service monitor for {at} started"));
    nanny.wait_for(&format!("failover service {at} is available"));
    hear(&Said::Verdict { available: true, weight: 1 });
    server.stop();
    // A check under way may be reset first.
    nanny.wait_for_all(&[
        &format!("CONNECT to {at} failed: Connection refused"),
        &format!("failover service {at} is not available any more"),
    ]);
    hear(&Said::Verdict { available: false, weight: 0 });
    server.restart();
    hear(&Said::Verdict { available: true, weight: 1 });
    assert_eq!(nanny.stop(), Some(0));
    // whether there is IPVS here or not, and whoever asks
    assert_eq!(nanny.said("IPVS"), 0);
}

#[test]
fn a_word_from_lvsd_is_a_check_at_once() {
    let mut server = Server::start(Answer::Text(b"HTTP"));
    server.stop();
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny = Nanny::watch(server.port, &["-t", "1000"], theirs.into());
    nanny.wait_for("is not available yet");
    server.restart();
    line.send(&Ask::Check.encode()).unwrap();
    nanny.wait_for("is available");
}

#[test]
fn lvsd_hears_of_it_and_its_death_changes_nothing() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny =
        Nanny::start_on(server.port, &["-x", "HTTP", "-t", "20", "--period", "0.2", "-w", "7"], theirs.into());
    let hear = |expected: &dyn Fn(&Said) -> bool| {
        ground::wait_for("a word on the line", || match line.receive_said() {
            Received::Message(said) if expected(&said) => Some(said),
            Received::Message(_) | Received::Nothing => None,
            other @ (Received::Garbage(_) | Received::Ended) => panic!("{other:?}"),
        })
    };
    let Said::Hello { pid, version, arguments } = hear(&|_| true) else { panic!("Hello is the first word") };
    assert_eq!((pid, version), (nanny.pid(), VERSION));
    assert!(arguments.contains(&"--norun".to_owned()), "{arguments:?}");
    assert_eq!(hear(&|_| true), Said::Ready);
    hear(&|said| *said == Said::Verdict { available: true, weight: 7 });
    hear(&|said| *said == Said::Alive);
    line.send(&Ask::Check.encode()).unwrap();
    line.send(b"a word of the next version").unwrap();
    hear(&|said| *said == Said::Alive);
    drop(line);
    let asked = server.asked();
    wait_until("checks go on", || server.asked() >= asked + 2);
    assert_eq!(nanny.stop(), Some(0));
}

#[test]
fn one_whose_lvsd_ended_before_it_began_ends_too() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    // Closing is not enough: a child that another test starts at this moment has a copy.
    shutdown(line.as_fd().as_raw_fd(), Shutdown::Both).unwrap();
    let mut nanny = Nanny::start_on(server.port, &["-x", "HTTP"], theirs.into());
    nanny.wait_for("lvsd ended before it could know of this monitor of");
    assert_eq!(nanny.wait(), Some(0));
    assert_eq!((server.asked(), nanny.said("[ active ]")), (0, 0));
}

#[test]
fn a_released_nanny_ends_without_a_word_about_its_server() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let (line, theirs) = Line::pair().unwrap();
    let mut nanny = Nanny::start_on(server.port, &["-x", "HTTP"], theirs.into());
    nanny.wait_for("[ active ]");
    line.send(&Ask::Release.encode()).unwrap();
    assert_eq!(nanny.wait(), Some(0));
    assert_eq!(nanny.said("Terminating") + nanny.said("[inactive]"), 0);
}

#[test]
fn a_nanny_that_slept_does_not_judge_what_it_did_not_see() {
    let server = Server::start(Answer::Text(b"HTTP"));
    // Time enough to be stopped in the middle of a check.
    let mut nanny = Nanny::start(server.port, &["-x", "HTTP", "-t", "2", "--period", "0.4"]);
    nanny.wait_for("[ active ]");
    let asked = server.answer(Answer::Stall);
    wait_until("a check is in flight", || server.asked() > asked);
    nanny.signal(Signal::SIGSTOP);
    server.answer(Answer::Text(b"HTTP"));
    // Longer than the check and what passes for a busy machine; not a wait for anything.
    std::thread::sleep(Duration::from_millis(3200));
    nanny.signal(Signal::SIGCONT);
    nanny.wait_for("this process did not run for");
    let asked = server.asked();
    wait_until("two checks more", || server.asked() >= asked + 2);
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(nanny.said("[inactive]"), 0);
}

#[test]
fn checks_follow_each_other_at_the_interval() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let begun = Instant::now();
    let mut nanny = Nanny::start(server.port, &["-x", "HTTP", "-t", "0.3"]);
    wait_until("twelve checks", || server.asked() >= 12);
    let (asked, taken) = (server.asked(), begun.elapsed());
    assert_eq!(nanny.stop(), Some(0));
    // One at once, one at each line of the grid, which may begin at once; and one more
    // after each time that the machine let it sleep.
    let lines = usize::try_from(taken.as_millis() / 300).unwrap() + 1;
    let most = 1 + lines + nanny.said("this process did not run for");
    assert!(asked <= most, "{asked} checks in {taken:?}");
}

#[test]
fn a_server_is_out_after_so_many_failed_checks_in_quick_succession() {
    let server = Server::start(Answer::Text(b"HTTP"));
    let policy = ["--period", "0.5", "--fall", "3", "--retry", "0.05"];
    let mut nanny = Nanny::start(server.port, &[&["-x", "HTTP", "-t", "20"], policy.as_slice()].concat());
    nanny.wait_for("[ active ]");
    let asked = server.answer(Answer::Text(b"500"));
    nanny.wait_for("[inactive] shutting down");
    assert!(server.asked() >= asked + 3, "{} checks", server.asked() - asked);
    assert_eq!(nanny.said("Trouble."), 1);
}

/// The next check by the clock is a minute away.
#[test]
fn the_end_of_an_idle_connection_is_a_check_at_once_and_no_verdict_by_itself() {
    let mut server = Server::start(Answer::Stall);
    let mut nanny = Nanny::start(server.port, &["-p", "8081", "-t", "20", "--period", "60", "--watch", "-v"]);
    nanny.wait_for("[ active ]");
    wait_until("the check's and the idle one", || server.asked() >= 2);
    server.hang_up();
    nanny.wait_for("ended the idle connection, checking it now");
    wait_until("two checks more", || server.asked() >= 4);
    assert_eq!(nanny.said("[inactive]"), 0, "it still listens");
    assert_eq!(nanny.stop(), Some(0));
    assert_eq!(server.asked(), 4);

    let mut nanny = Nanny::start(server.port, &["-p", "8081", "-t", "20", "--period", "60", "--watch"]);
    nanny.wait_for("[ active ]");
    // Its check's and the idle one, beside those of the nanny before.
    wait_until("the idle connection", || server.asked() >= 6);
    server.stop();
    nanny.wait_for("Connection refused");
    nanny.wait_for("[inactive] shutting down");
}

#[test]
fn it_goes_to_the_background_and_the_caller_hears_that_it_is_up() {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let port = free_port().to_string();
    let mark = format!("{}{}", std::process::id() % 10_000, RUN.fetch_add(1, Ordering::Relaxed));
    let status = Command::new(env!("CARGO_BIN_EXE_nanny"))
        .args(["--lvs", "--norun", "-h", "127.0.0.1", "-V", "192.0.2.1", "-r", &port, "-a", &mark])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let daemon = ground::find_process(&["--norun", "-r", &port, "-a", &mark]).expect("the daemon");
    assert_ne!(nix::unistd::getsid(Some(daemon)).unwrap(), nix::unistd::getsid(None).unwrap());
    for fd in 0..3 {
        assert_eq!(std::fs::read_link(format!("/proc/{daemon}/fd/{fd}")).unwrap().to_str(), Some("/dev/null"));
    }
    nix::sys::signal::kill(daemon, Signal::SIGTERM).unwrap();
    wait_until("the daemon ended", || ground::find_process(&["--norun", "-r", &port, "-a", &mark]).is_none());
}

#[test]
fn wrong_usage_is_64_in_the_originals_words() {
    for (line, words) in [
        (vec!["--lvs"], "nanny: No address supplied. Use '--help' for help. \n"),
        (vec!["--lvs", "-h", "x"], "nanny: bad IP address -- x\n"),
        (vec!["-h", "127.0.0.1"], "nanny: unknown service type\n"),
        (vec!["--wrong"], "nanny: bad argument --wrong: unknown option\n"),
        (vec!["more"], "nanny: unexpected arguments\n"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_nanny")).args(&line).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{line:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), words);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_line_that_is_none_is_left_alone() {
    // stdin is a socket, but not a line: nothing is said into it.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let server = Server::start(Answer::Text(b"HTTP"));
    let mut nanny = Nanny::start_on(server.port, &["-x", "HTTP"], std::os::fd::OwnedFd::from(theirs).into());
    nanny.wait_for("[ active ]");
    assert_eq!(nanny.stop(), Some(0));
    ours.set_nonblocking(true).unwrap();
    let mut buffer = [0; 16];
    // A child that another test starts at this moment may have a copy of it, for a moment.
    let read = || nix::unistd::read(ours.as_fd(), &mut buffer);
    let got = std::iter::repeat_with(read).find(|got| *got != Err(Errno::EAGAIN)).unwrap();
    assert!(matches!(got, Ok(0) | Err(Errno::ECONNRESET)), "{got:?}");
}
