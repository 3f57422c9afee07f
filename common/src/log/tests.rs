use super::*;

struct Said(&'static str, Level);

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Message for Said {
    fn level(&self) -> Level {
        self.1
    }
}

fn receiver(path: &std::path::Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn received(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 2048];
    let mut lines = Vec::new();
    while let Ok(n) = socket.recv(&mut buffer) {
        lines.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
    }
    lines
}

fn log_at(path: &std::path::Path) -> Log {
    Log::new(false).with_syslog_at("nanny", Facility::LOG_DAEMON, path.to_owned())
}

#[test]
fn a_line_is_priority_ident_pid_and_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let socket = receiver(&path);
    log_at(&path).say(&Said("[ active ] making 10.0.0.1:80 available", Level::Notice));
    let pid = std::process::id();
    // daemon is facility 3, notice is severity 5 (RFC 3164 4.1.1)
    assert_eq!(received(&socket), [format!("<29>nanny[{pid}]: [ active ] making 10.0.0.1:80 available")]);
}

#[test]
fn lines_said_while_syslogd_is_away_arrive_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = log_at(&path);
    log.say(&Said("before", Level::Info));
    let first = receiver(&path);
    log.say(&Said("one", Level::Info));
    assert_eq!(received(&first).len(), 2);
    drop(first);
    std::fs::remove_file(&path).unwrap();
    log.say(&Said("away", Level::Info));
    let second = receiver(&path);
    log.flush();
    let lines = received(&second);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with(": away"));
}

#[test]
fn a_stuck_syslogd_costs_the_oldest_lines_and_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let _stuck = receiver(&path);
    let log = log_at(&path);
    for _ in 0..5_000 {
        log.say(&Said("x", Level::Info));
    }
    assert!(log.dropped() > 0, "a reader that never reads must not take every line");
    assert!(log.waiting() == QUEUE_MAX);
}

#[test]
fn where_lines_were_lost_their_number_stands() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = log_at(&path).holding(3);
    for number in 0..10 {
        log.say(&Said(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"][number], Level::Info));
    }
    let reader = receiver(&path);
    log.flush();
    log.say(&Said("k", Level::Info));
    let lines = received(&reader);
    let texts: Vec<&str> = lines.iter().map(|line| line.split_once("]: ").unwrap().1).collect();
    assert_eq!(texts, ["7 log lines were lost here, nobody took them in time", "h", "i", "j", "k"]);
    assert!(lines[0].starts_with("<28>"), "a warning: {}", lines[0]);
    assert_eq!((log.dropped(), log.waiting()), (7, 0));
}

#[test]
fn a_reader_of_stdout_that_stops_reading_costs_the_oldest_lines_and_no_time() {
    use std::io::Read as _;
    let (mut reader, writer) = io::pipe().unwrap();
    let mut output = Output::new("pulse", writer);
    for number in 0..5_000 {
        output.say(&format!("line {number}"));
    }
    assert!(output.queue.dropped > 0, "a reader that never reads must not take every line");
    let mut buffer = [0; 4096];
    let mut text = String::new();
    while !text.ends_with("pulse: line 4999\n") {
        let read = reader.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        output.flush();
    }
    assert!(text.starts_with("pulse: line 0\npulse: line 1\n"));
    let lost: Vec<&str> = text.lines().filter(|line| !line.starts_with("pulse: line ")).collect();
    let dropped = output.queue.dropped;
    assert_eq!(
        lost,
        [format!("pulse: {dropped} log lines were lost here, nobody took them in time")],
        "no line is torn"
    );
    assert_eq!(text.lines().count() as u64, 5_000 - dropped + 1);
    drop(reader);
    output.say(&"nobody is there"); // a SIGPIPE would end the test
}

#[test]
fn a_patient_output_waits_for_its_reader_and_loses_nothing() {
    use std::io::Read as _;
    let (mut reader, writer) = io::pipe().unwrap();
    let saying = std::thread::spawn(move || {
        let mut output = Output { patient: true, ..Output::new("pulse", writer) };
        (0..10_000).for_each(|number| output.say(&number));
        output.queue.dropped
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!((saying.join().unwrap(), text.lines().count()), (0, 10_000));
}

#[test]
fn a_servers_answer_cannot_forge_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let socket = receiver(&path);
    log_at(&path).say(&Said("got \n<13>pulse[1]: forged\0 %s", Level::Info));
    let lines = received(&socket);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("got  <13>pulse[1]: forged  %s"), "{lines:?}");
}

#[test]
fn a_long_line_is_cut_at_a_character() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let socket = receiver(&path);
    let text: &'static str = Box::leak("\u{e4}".repeat(4_000).into_boxed_str());
    log_at(&path).say(&Said(text, Level::Info));
    assert!(received(&socket)[0].len() <= LINE_MAX);
}

#[test]
fn debug_lines_need_verbose() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let socket = receiver(&path);
    log_at(&path).say(&Said("probe", Level::Debug));
    assert_eq!(received(&socket), Vec::<String>::new());
}

#[test]
fn the_system_speaks_in_words_and_anything_else_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let socket = receiver(&path);
    log_at(&path).say(&Said("/run: Read-only file system (os error 30), going on", Level::Warning));
    assert!(received(&socket)[0].ends_with("/run: Read-only file system, going on"));
    let error = io::Error::from_raw_os_error(13);
    assert_eq!(words(&error), "Permission denied");
    assert_eq!(words(&format!("{error}: {error}")), "Permission denied: Permission denied");
    for text in ["", "(os error 2)", "a (os error x)", "a (os error 2", "a (os error )"] {
        assert_eq!(words(&text), text);
    }
}
