//! `pulse --relocate`, `--release`, `--restore`, `--status`: asks the pulse that
//! runs, tells what it says, and waits until what was wanted has come about.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use common::channel::{self, Line};
use common::daemon::{self, ExitStatus};

use crate::args::Args;
use crate::wish::{Answer, Wish};

/// How long an answer may take; the loop that gives it turns many times a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the virtual IPs may take to move: a few times the usual `deadtime`, for
/// who has just become active keeps them for one.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// How often it is asked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which wish the command line has, if any.
///
/// # Errors
/// What does not go together, in words.
pub fn asked(args: &Args) -> Result<Option<Wish>, String> {
    let Args { relocate, release, restore, status, .. } = args;
    let all =
        [(*relocate, Wish::Relocate), (*release, Wish::StandBy), (*restore, Wish::Restore), (*status, Wish::Status)];
    let mut wishes = all.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, wish)| wish);
    let wish = wishes.next();
    if wishes.next().is_some() {
        return Err("one of --relocate, --release, --restore and --status at a time".to_owned());
    }
    Ok(wish)
}

/// Asks, and prints what comes of it.
pub(crate) fn carry_out(wish: Wish) -> ExitStatus {
    let outcome = channel::join(&daemon::run_root().join("pulse")).map_err(|e| explain(&e)).and_then(|line| {
        let before = state(&ask(&line, Wish::Status)?.text).to_owned();
        let answer = ask(&line, wish)?;
        match (answer.is_done, wish) {
            (false, _) => return Err((answer.text, ExitStatus::System)),
            (true, Wish::Status | Wish::Restore) => return Ok(answer.text),
            // Nothing moves.
            (true, Wish::StandBy) if before != "active" => return Ok(answer.text),
            (true, Wish::Relocate | Wish::StandBy) => {}
        }
        let since = Instant::now();
        loop {
            let text = ask(&line, Wish::Status)?.text;
            match (before.as_str(), state(&text)) {
                ("active", "standby") | ("standby", "active") => return Ok(answer.text),
                _ if since.elapsed() >= DONE_WITHIN => {
                    let text = format!("not done within {} s; see the log", DONE_WITHIN.as_secs());
                    return Err((text, ExitStatus::System));
                }
                _ => std::thread::sleep(LOOK_EVERY),
            }
        }
    });
    // A closed output is the caller's affair.
    match outcome {
        Ok(text) => {
            let _ = writeln!(io::stdout(), "{}", text.trim_end());
            ExitStatus::Stopped
        }
        Err((text, status)) => {
            let _ = writeln!(io::stderr(), "pulse: {text}");
            status
        }
    }
}

fn explain(error: &io::Error) -> (String, ExitStatus) {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
        ("not running".to_owned(), ExitStatus::System)
    } else if kind == io::ErrorKind::PermissionDenied {
        ("only root may ask".to_owned(), ExitStatus::Permission)
    } else {
        (format!("cannot ask the pulse that runs: {error}"), ExitStatus::System)
    }
}

/// The state in a status: the word behind `state: `.
fn state(status: &str) -> &str {
    status.lines().find_map(|line| line.strip_prefix("state: ")).unwrap_or_default()
}

fn ask(line: &Line, wish: Wish) -> Result<Answer, (String, ExitStatus)> {
    let gone = |_| ("it ended".to_owned(), ExitStatus::System);
    line.send(wish.to_string().as_bytes()).map_err(gone)?;
    // What is no answer is what guardians are told.
    let answer = line.wait_for(Answer::decode, Instant::now() + ANSWER_WITHIN, |answer| answer);
    let answer = answer.map_err(|_| ("it does not answer".to_owned(), ExitStatus::System))?;
    answer.ok_or_else(|| ("it ended".to_owned(), ExitStatus::System))
}
