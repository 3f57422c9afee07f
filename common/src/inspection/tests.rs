use super::*;
use crate::config::Fake;

const GOOD: &str = "primary = 192.0.2.1\nvirtual web {\n active = 1\n address = 192.0.2.9 eth0:1\n \
                    vip_nmask = 255.255.255.255\n server one {\n  address = 192.0.2.11\n  active = 1\n }\n \
                    server spare {\n  address = 192.0.2.12\n }\n}\n";

fn nobody(names: &BTreeSet<String>) -> Known {
    panic!("{names:?} are looked up")
}

fn machine(_: &Config) -> Machine {
    Machine { devices: Some(["eth1".to_owned()].into()), ..Machine::default() }
}

fn any_machine(_: &Config) -> Machine {
    Machine::default()
}

/// What comes of a look at a text under some name.
fn look<T>(name: &str, text: &str, at: impl FnOnce(&Inspector<'_>) -> T) -> T {
    let mut world = Fake::default();
    world.files.insert(name.into(), text.as_bytes().to_vec());
    let path = Path::new(name);
    at(&Inspector { path, syntax: Syntax::of(path), outside: &world, look_up: nobody, observe: any_machine })
}

const PLAIN: Format = Format::Text { colour: false };

fn check(text: &str) -> Inspection {
    look("lvs.cf", text, |inspector| inspector.check(PLAIN, |_| None))
}

#[test]
fn a_good_file_is_summed_up_in_one_line_with_its_fingerprint() {
    let fingerprint = look("lvs.cf", GOOD, |inspector| {
        let loaded = config::load_with(inspector.path, inspector.syntax, inspector.outside).unwrap();
        config::fingerprint(&loaded.config)
    });
    let out = format!("lvs.cf: good: 1 virtual service, 1 real server, 0 warnings, fingerprint {fingerprint}\n");
    assert_eq!(check(GOOD), Inspection { out, err: String::new(), status: ExitStatus::Stopped });
}

#[test]
fn warnings_of_the_file_and_of_the_machine_stand_by_place_and_do_no_harm() {
    let mut world = Fake::default();
    let text = GOOD.replace(" vip_nmask = 255.255.255.255\n", "").replace("primary =", "primary=");
    world.files.insert("lvs.cf".into(), text.into_bytes());
    let path = Path::new("lvs.cf");
    let inspector = Inspector { path, syntax: Syntax::LvsCf, outside: &world, look_up: nobody, observe: machine };
    let Inspection { out, err, status } = inspector.check(PLAIN, |_| None);
    let heads: Vec<&str> = out.lines().filter(|line| line.starts_with("lvs.cf:")).collect();
    assert_eq!(heads[0], "lvs.cf:1:8: warning: no blanks around \"=\" [missing-blank]");
    assert!(heads[1].contains("[classful-mask]") && heads[2].contains("[device-missing]"), "{out}");
    assert!(heads[3].starts_with("lvs.cf: good: 1 virtual service, 1 real server, 3 warnings, "), "{out}");
    assert_eq!((heads.len(), err.as_str(), status), (4, "", ExitStatus::Stopped));
}

#[test]
fn a_bad_file_is_shown_with_all_its_errors_and_has_no_fingerprint() {
    let Inspection { out, status, .. } = check("keepalve = 3\nprimary = 1.2.3.4\nfoo = 1\ndeadtime=5\n");
    let expected = "\
lvs.cf:1:1: error: unknown command \"keepalve\" [unknown-keyword]
  1 | keepalve = 3
    | ^^^^^^^^
    = did you mean \"keepalive\"?
lvs.cf:1:1: warning: no virtual is active: there is nothing to do [no-active-virtual]
  1 | keepalve = 3
    | ^
    = set active = 1 in a virtual block
lvs.cf:3:1: error: unknown command \"foo\" [unknown-keyword]
  3 | foo = 1
    | ^^^
lvs.cf:4:9: warning: no blanks around \"=\" [missing-blank]
";
    assert!(out.starts_with(expected), "{out}");
    assert!(out.ends_with("\nlvs.cf: bad: 2 errors, 2 warnings\n"), "{out}");
    assert_eq!(status, ExitStatus::Configuration);
}

#[test]
fn a_good_file_that_this_daemon_refuses_is_refused() {
    let refused =
        |format| look("lvs.cf", GOOD, |it| it.check(format, |config| Some(format!("no {}", config.virtuals[0].name))));
    let Inspection { out, status, .. } = refused(PLAIN);
    assert_eq!(out, "lvs.cf: error: no web\nlvs.cf: bad: 1 error, 0 warnings\n");
    assert_eq!(status, ExitStatus::Configuration);
    let Inspection { out, status, .. } = refused(Format::Json);
    assert!(out.contains("\"good\": false,\n") && out.contains("\"refusal\": \"no web\",\n"), "{out}");
    assert!(out.contains("\"fingerprint\": null,\n"), "{out}");
    assert_eq!(status, ExitStatus::Configuration);
}

#[test]
fn problems_that_are_not_shown_are_not_forgotten_in_the_sum() {
    let Inspection { out, .. } = check(&"junk\n".repeat(300));
    let last: Vec<&str> = out.lines().rev().take(2).collect();
    assert_eq!(
        last,
        ["lvs.cf: bad: at least 200 errors, 0 warnings", "lvs.cf: error: 100 more problems are not shown [more]"]
    );
}

#[test]
fn json_is_one_object_whatever_the_file_is() {
    let json = |text| look("lvs.cf", text, |inspector| inspector.check(Format::Json, |_| None)).out;
    let good = json(GOOD);
    let beginning = "{\n\"file\": \"lvs.cf\",\n\"good\": true,\n\"errors\": 0,\n\"warnings\": 0,\n\"fingerprint\": \"";
    assert!(good.starts_with(beginning) && good.ends_with("\"refusal\": null,\n\"diagnostics\": []\n}\n"), "{good}");
    let bad = json("keepalve = 3\n");
    assert!(bad.contains("\"good\": false,\n\"errors\": 1,\n\"warnings\": 1,\n\"fingerprint\": null,\n"), "{bad}");
    assert!(
        bad.contains("{\"id\": \"unknown-keyword\", \"severity\": \"error\", \"file\": \"lvs.cf\", \"line\": 1,"),
        "{bad}"
    );
}

#[test]
fn a_dump_is_in_the_files_own_syntax_and_a_conversion_in_the_other() {
    let dump = |name, text| look(name, text, |inspector| inspector.dump(false)).out;
    let convert = |name, text| look(name, text, |inspector| inspector.convert(false)).out;
    let toml = convert("lvs.cf", GOOD);
    assert!(toml.contains("[[virtual]]\nname = \"web\"\n"), "{toml}");
    assert!(convert("lvs.toml", &toml).contains("virtual web {\n"), "{toml}");
    assert!(dump("lvs.cf", GOOD).contains("\nkeepalive = 2\n"));
    assert!(dump("lvs.cf", GOOD).contains("virtual web {\n"));
    assert!(dump("lvs.toml", &toml).contains("[[virtual]]\n"));
    assert!(dump("lvs.toml", &toml).contains("\nkeepalive = 2\n"));
}

#[test]
fn of_a_bad_file_nothing_is_printed_but_its_problems_on_stderr() {
    let shown = check("keepalve = 3\n").out;
    for is_dump in [true, false] {
        let Inspection { out, err, status } =
            look("lvs.cf", "keepalve = 3\n", |it| if is_dump { it.dump(false) } else { it.convert(false) });
        assert_eq!((out.as_str(), err.as_str(), status), ("", shown.as_str(), ExitStatus::Configuration));
    }
}

#[test]
fn a_missing_file_is_a_bad_configuration() {
    let inspector = Inspector::new(Path::new("/nonexistent/lvs.cf"), false);
    let Inspection { out, status, .. } = inspector.check(PLAIN, |_| None);
    assert_eq!(
        out,
        "/nonexistent/lvs.cf: error: there is no such file [unreadable]\n/nonexistent/lvs.cf: bad: 1 error, 0 warnings\n"
    );
    assert_eq!(status, ExitStatus::Configuration);
}

#[test]
fn toml_is_what_is_named_so_or_called_so() {
    assert_eq!(Inspector::new(Path::new("a.toml"), false).syntax, Syntax::Toml);
    assert_eq!(Inspector::new(Path::new("-"), true).syntax, Syntax::Toml);
    assert_eq!(Inspector::new(Path::new("-"), false).syntax, Syntax::LvsCf);
}

#[test]
fn one_file_may_be_named_in_any_of_its_places() {
    let [a, b, default] = ["a", "b", "/etc/lvs.cf"].map(Path::new);
    assert_eq!(file(None, None, (default, default)), Ok(default));
    assert_eq!(file(Some(a), None, (default, default)), Ok(a));
    assert_eq!(file(None, Some(a), (default, default)), Ok(a));
    assert_eq!(file(None, None, (a, default)), Ok(a));
    assert_eq!(file(Some(a), Some(a), (a, default)), Ok(a));
    let two = Err("two files are named, a and b".to_owned());
    assert_eq!(file(Some(a), Some(b), (default, default)), two);
    assert_eq!(file(Some(a), None, (b, default)), two);
    assert_eq!(file(None, Some(a), (b, default)), two);
}

#[test]
fn colours_are_for_terminals_that_have_some_and_for_people_who_want_them() {
    let wants =
        |no_color: Option<&str>, term: Option<&str>| wants_colour(no_color.map(OsStr::new), term.map(OsStr::new));
    assert!(wants(None, Some("xterm")));
    assert!(wants(Some(""), Some("xterm")), "an empty NO_COLOR asks for nothing");
    assert!(!wants(Some("1"), Some("xterm")));
    assert!(!wants(None, Some("dumb")));
    assert!(!wants(None, None));
    let colourful = look("lvs.cf", "keepalve = 3\n", |it| it.check(Format::Text { colour: true }, |_| None)).out;
    assert!(colourful.contains("\x1b[1;31mbad:\x1b[0m"), "{colourful}");
    assert!(!check("keepalve = 3\n").out.contains('\x1b'));
}

#[test]
fn what_the_machine_lacks_is_said_of_a_bad_file_too() {
    let mut world = Fake::default();
    world.files.insert("lvs.cf".into(), format!("zzz = 1\n{GOOD}").into_bytes());
    let path = Path::new("lvs.cf");
    let inspector = Inspector { path, syntax: Syntax::LvsCf, outside: &world, look_up: nobody, observe: machine };
    let Inspection { out, status, .. } = inspector.check(PLAIN, |_| None);
    assert!(out.contains("[unknown-keyword]") && out.contains("[device-missing]"), "{out}");
    assert!(out.ends_with("lvs.cf: bad: 1 error, 1 warning\n"), "{out}");
    assert_eq!(status, ExitStatus::Configuration);
}
