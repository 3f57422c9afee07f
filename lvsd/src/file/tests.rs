use common::names::Known;

use super::*;

fn read_text(text: &str) -> Result<(Wanted, Vec<Message>), Trouble> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvs.cf");
    std::fs::write(&path, text).unwrap();
    read(&path, &Known::default(), Path::new("/usr/sbin/nanny"), &Manner::default())
}

fn words(trouble: &Trouble) -> Vec<String> {
    trouble.lines.iter().map(ToString::to_string).collect()
}

#[test]
fn a_missing_file_is_said_in_the_originals_words() {
    let trouble =
        read(Path::new("/nonexistent/lvs.cf"), &Known::default(), Path::new("nanny"), &Manner::default()).unwrap_err();
    assert_eq!(words(&trouble)[0], "lvs: failed to open /nonexistent/lvs.cf");
    assert_eq!(trouble.status, ExitStatus::Configuration);
}

#[test]
fn a_wrong_file_is_said_in_the_originals_words_and_in_ours() {
    let trouble = read_text("serial_no = 1\nfrobnicate = 2\nvirtual web {\n port = x\n}\n").unwrap_err();
    let words = words(&trouble);
    assert!(words[0].starts_with("lvs: error parsing ") && words[0].ends_with(" on line 2."), "{words:?}");
    assert!(words[1].contains("lvs.cf:2:1: error: "), "{words:?}");
    assert!(words[2].contains("lvs.cf:4:9: error: "), "all errors are said at once: {words:?}");
    assert_eq!(words.len(), 3, "and no warnings: {words:?}");
    assert_eq!(trouble.status, ExitStatus::Configuration);
}

#[test]
fn a_good_file_is_read() {
    let (wanted, lines) =
        read_text("virtual web {\n active = 1\n address = 192.0.2.1 eth0:1\n}\n").unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!((wanted.virtuals.len(), lines), (1, vec![]));
}

#[test]
fn a_reload_does_not_make_failover_services_of_virtual_ones() {
    let trouble = read_text("service = fos\n").unwrap_err();
    assert!(
        words(&trouble)[0].ends_with(": service = fos takes the place of service = lvs at a restart of pulse only")
    );
    assert_eq!(trouble.status, ExitStatus::Configuration);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvs.cf");
    std::fs::write(&path, "service = lvs\n").unwrap();
    let trouble = read_failover(&path, &Known::default(), Path::new("nanny"), &Manner::default()).unwrap_err();
    assert!(words(&trouble)[0].contains(": service = lvs takes the place of service = fos"), "{trouble:?}");
    assert_eq!(service(&path, &Known::default()), ServiceKind::Lvs);
    std::fs::write(&path, "service = fos\nfailover web {\n active = 1\n address = 192.0.2.9 eth0:1\n}\n").unwrap();
    assert_eq!(service(&path, &Known::default()), ServiceKind::Fos);
    let (blocks, lines) = read_failover(&path, &Known::default(), Path::new("nanny"), &Manner::default()).unwrap();
    assert_eq!((blocks.len(), lines), (1, vec![]));
}
