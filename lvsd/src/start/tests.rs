use super::*;

#[test]
fn a_command_line_is_printed_as_one_would_type_it() {
    let arguments: Arguments = ["-s", "GET / HTTP/1.0\\r\\n", "-x", "", "it's", "-h", "10.0.0.1"].iter().collect();
    assert_eq!(
        shell_words(Path::new("/usr/sbin/nanny"), &arguments),
        "/usr/sbin/nanny -s 'GET / HTTP/1.0\\r\\n' -x '' 'it'\\''s' -h 10.0.0.1"
    );
}

#[test]
fn a_dry_start_says_what_it_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvs.cf");
    let text = "virtual web {\n active = 1\n address = 192.0.2.1 eth0:1\n server a {\n address = 10.0.0.3\n \
                active = 1\n }\n}\n";
    std::fs::write(&path, text).unwrap();
    let (wanted, _) = file::read(&path, Path::new("/usr/sbin/nanny"), &Manner::default()).unwrap();
    assert_eq!(
        would(&wanted, &Table::default(), &Ledger::new()),
        [
            "would add virtual service web: tcp 192.0.2.1:80, scheduler wlc",
            "would start nanny for child web/a: /usr/sbin/nanny -c -h 10.0.0.3 -p 80 -r 80 -a 180 -I /sbin/ipvsadm \
             -t 10 -w 1 -V 192.0.2.1 -M m --lvs",
        ]
    );
}

#[test]
fn lines_on_stderr_have_the_originals_prefix_once() {
    assert_eq!(on_stderr(&Message::CannotOpen { file: "F".to_owned() }), "lvs: failed to open F");
    assert_eq!(on_stderr(&Message::Diagnostic("F:1:1: error: x".to_owned())), "F:1:1: error: x");
    assert_eq!(on_stderr(&Message::Rereading), "lvs: rereading configuration file");
}
