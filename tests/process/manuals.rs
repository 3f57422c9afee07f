//! The manuals say what the programs do: no option, keyword, number or line of
//! the log without its words, and none of them made up.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::child::Rules;
use common::config::{Place, keywords};

use crate::own_run::OwnRun;

mod log_reference;

/// A file of the repository.
fn at(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What roff would take for its own.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const PROGRAMS: [(&str, &str); 4] = [
    (env!("CARGO_BIN_EXE_pulse"), "pulse/pulse.8"),
    (env!("CARGO_BIN_EXE_lvsd"), "lvsd/lvsd.8"),
    (env!("CARGO_BIN_EXE_nanny"), "nanny/nanny.8"),
    (env!("CARGO_BIN_EXE_nanny-tls"), "nanny/nanny.8"),
];

const PAGES: [&str; 6] = [
    "pulse/pulse.8",
    "lvsd/lvsd.8",
    "nanny/nanny.8",
    "common/src/config/lvs.cf.5",
    "etc/piranha-ng.7",
    "etc/piranha-ng-log.7",
];

/// The options a text of --help names: `--word`, and `-x` where a line begins.
fn offered(help: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_?".contains(c);
    let words = help.split(|c: char| !is_word(c)).filter(|word| word.len() > 2 && word.starts_with("--"));
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let short = lines.filter_map(|line| line.split([',', ' ']).next()).filter(|word| word.len() == 2);
    words.chain(short).map(str::to_owned).collect()
}

/// The options behind each `Fl` of a line in mdoc(7).
fn flags(line: &str) -> Vec<String> {
    let mut behind = false;
    let mut found = Vec::new();
    for word in line.trim_start_matches('.').split_whitespace() {
        let word = word.trim_start_matches("\\&");
        match word {
            "Fl" => behind = true,
            "," | "|" => {}
            _ if word.len() == 2 && word.starts_with(char::is_uppercase) => behind = false,
            _ if behind && word.starts_with(|c: char| c == '-' || c == '?' || c.is_ascii_alphanumeric()) => {
                found.push(format!("-{word}"));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_option_of_help_is_in_the_manual_and_the_other_way_round() {
    for (program, page) in PROGRAMS {
        let mut command = Command::new(program);
        command.arg("--help").stdin(Stdio::null());
        let help = String::from_utf8(OwnRun::new().output(command).unwrap().stdout).unwrap();
        let offered = offered(&help);
        assert!(offered.len() > 10, "{page}: {offered:?}");
        let page_text = read(page);
        let macros = page_text.lines().filter(|line| line.starts_with('.'));
        let mentioned: BTreeSet<String> = macros.clone().flat_map(flags).collect();
        let explained: BTreeSet<String> = macros.filter(|line| line.starts_with(".It Fl")).flat_map(flags).collect();
        let silent: Vec<_> = offered.difference(&mentioned).collect();
        assert!(silent.is_empty(), "{page} does not have {silent:?}");
        let made_up: Vec<_> = explained.difference(&offered).collect();
        assert!(made_up.is_empty(), "{page} has what --help does not: {made_up:?}");
    }
}

/// What looks like a keyword and is a word of ip(8) or of sysctl(8).
const NO_KEYWORDS: [&str; 3] = ["valid_lft", "arp_ignore", "arp_announce"];

/// Words with an underscore in quotes are keywords wherever a manual has them.
#[test]
fn every_keyword_a_manual_speaks_of_exists() {
    let known: BTreeSet<&str> = keywords().iter().map(|keyword| keyword.name).collect();
    let mut seen = 0;
    for page in ["pulse/pulse.8", "lvsd/lvsd.8", "nanny/nanny.8", "etc/piranha-ng.7"] {
        for line in read(page).lines() {
            let Some(quoted) = line.strip_prefix(".Ql ").or_else(|| line.strip_prefix(".Pq Ql ")) else { continue };
            let word = quoted.split_whitespace().next().unwrap_or_default();
            if word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                assert!(NO_KEYWORDS.contains(&word) || known.contains(word), "{page} speaks of a keyword {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

/// What mandoc(1) would warn of in a page; groff(1) where there is no mandoc, as
/// on RHEL. A page made from the code has no date.
fn warnings(page: &str) -> String {
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "lint", "-W", "warning"]).arg(at(page));
    let mut groff = Command::new("groff");
    groff.args(["-mandoc", "-ww", "-z"]).arg(at(page));
    let output = mandoc.output().or_else(|_| groff.output());
    let output = output.expect("mandoc or groff: tests/needs.sh installs one of them");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines()
        .filter(|line| !line.contains("missing date, using \"\": TH"))
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn every_page_is_well_formed() {
    let all: String = PAGES.iter().map(|page| warnings(page)).collect();
    assert!(all.is_empty(), "{all}");
}

/// `2 s`, `500 ms`.
fn time(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

/// The rules of supervision, from the code.
fn numbers() -> String {
    let rules = Rules::default();
    let rows = [
        ("a child says that it is alive this often", time(rules.beat)),
        ("a child that was silent this long is killed and replaced", time(rules.frozen_after)),
        ("wait before the first start after a death", "0 s".to_owned()),
        ("before the second; each one after it waits twice as long", time(rules.backoff_first)),
        ("the longest wait", time(rules.backoff_max)),
        ("health that long, and failures are forgotten", time(rules.healthy_after)),
        ("a nanny that was told to end and does not is killed", time(rules.stop_within)),
        ("nannies of a replaced program are replaced at a time, at most", lvsd::renewal::AT_ONCE.to_string()),
        ("pulse compares addresses with the kernel this often", time(pulse::node::LOOK_EVERY)),
        ("pulse waits for lvsd's rules at most, before it raises addresses", time(pulse::node::RAISE_WITHIN)),
        ("a stop tries to remove addresses this long", time(pulse::node::LOWER_WITHIN)),
        (
            "each address is announced so often",
            format!("{} times, {} apart", pulse::announce::TIMES, time(pulse::announce::APART)),
        ),
        ("lvsd compares services with the kernel this often", time(lvsd::services::LOOK_EVERY)),
        ("nanny compares its destination with the kernel this often", time(nanny::schedule::LOOK_EVERY)),
        ("host names of a file are looked up at most that long", time(common::names::WITHIN)),
    ];
    rows.iter().fold(String::new(), |mut out, (what, number)| {
        let _ = writeln!(out, ".It {number}\n{what}");
        out
    })
}

const BEGIN: &str = ".\\\" These numbers are written by tests/process/manuals.rs from the code.\n";
const END: &str = ".\\\" Here they end.\n";

#[test]
fn the_rules_of_supervision_are_those_of_the_code() {
    let page = read("etc/piranha-ng.7");
    let (before, rest) = page.split_once(BEGIN).expect("where the numbers begin");
    let (_, behind) = rest.split_once(END).expect("where they end");
    let right = format!("{before}{BEGIN}{}{END}{behind}", numbers());
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::write(at("etc/piranha-ng.7"), &right).unwrap();
    }
    assert!(read("etc/piranha-ng.7") == right, "PIRANHA_UPDATE=1 writes the numbers anew:\n{}", numbers());
}

/// etc/lvs.cf.keywords: every keyword there is, as a comment one may uncomment.
fn all_keywords() -> String {
    let mut out = String::from(
        "# Every keyword of lvs.cf, in its order, with what may be written and what counts\n\
         # where it is not. To take into a file of one's own; lvs.cf(5) says the rest.\n",
    );
    for (place, begin, margin, end) in [
        (Place::Global, "", "", ""),
        (Place::Virtual, "#virtual NAME {\n", "     ", ""),
        (Place::Server, "#     server NAME {\n", "         ", "#     }\n"),
        (Place::Check, "#     check KIND {\n", "         ", "#     }\n#}\n"),
    ] {
        let _ = write!(out, "\n{begin}");
        for keyword in keywords().iter().filter(|keyword| keyword.place == place) {
            let default = if keyword.default.is_empty() { String::new() } else { format!(" [{}]", keyword.default) };
            let text = format!("{}{default}", keyword.doc);
            let mut line = format!("#{margin}#");
            for word in text.split_whitespace() {
                if line.len() + 1 + word.len() > 96 {
                    let _ = writeln!(out, "{line}");
                    line = format!("#{margin}#");
                }
                let _ = write!(line, " {word}");
            }
            let _ = writeln!(out, "{line}\n#{margin}{} = {}\n#", keyword.name, keyword.value);
        }
        out.push_str(end);
    }
    out
}

#[test]
fn the_file_of_all_keywords_is_what_the_table_says() {
    let path = at("etc/lvs.cf.keywords");
    if std::env::var_os("PIRANHA_UPDATE").is_some() {
        std::fs::write(&path, all_keywords()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == all_keywords(), "etc/lvs.cf.keywords is older than the table: PIRANHA_UPDATE=1 writes it anew");
    for keyword in keywords() {
        assert!(kept.contains(&format!("{} = ", keyword.name)), "{}", keyword.name);
    }
}

/// Each snippet for a firewall opens the port that counts where the file says none.
#[test]
fn the_firewall_files_open_the_port_of_the_heartbeats() {
    let port = keywords().into_iter().find(|keyword| keyword.name == "heartbeat_port").unwrap().default;
    assert!(read("etc/firewall/piranha-ng.xml").contains(&format!("<port protocol=\"udp\" port=\"{port}\"/>")));
    let nft = read("etc/firewall/piranha-ng.nft");
    assert_eq!(nft.matches(&format!("udp dport {port} ")).count(), 2);
    assert!(read("etc/piranha-ng.7").contains(&format!("{port} unless set")));
}

/// A stranger follows the README: what it names is there.
#[test]
fn every_file_the_readme_names_is_there() {
    let readme = read("README.md");
    let quoted =
        readme.split('`').skip(1).step_by(2).filter_map(|text| text.split_whitespace().find(|word| word.contains('/')));
    let ours = ["etc/", "tests/", "init/", "common/", "pulse/", "lvsd/", "nanny/"];
    let mut seen = 0;
    for name in quoted.filter(|name| ours.iter().any(|folder| name.starts_with(folder))) {
        let known = name.split('*').next().unwrap_or_default();
        let (folder, begin) = known.rsplit_once('/').unwrap();
        let mut entries = std::fs::read_dir(at(folder)).unwrap_or_else(|e| panic!("README.md: {name}: {e}"));
        let exact = known == name;
        let found = entries.any(|entry| {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            if exact && !begin.is_empty() { entry == begin } else { entry.starts_with(begin) }
        });
        assert!(found, "README.md speaks of {name}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
