//! The files we ship are what we say they are, in both syntaxes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// etc/*.cf and the examples, with those in TOML.
fn shipped() -> Vec<PathBuf> {
    let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
    let inside = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = inside(&etc).chain(inside(&etc.join("examples")));
    let is_configuration = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "cf" || kind == "toml");
    let mut all: Vec<PathBuf> = all.filter(is_configuration).collect();
    all.sort();
    assert!(all.len() >= 17, "{all:?}");
    all
}

fn examples_in_lvscf() -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "cf");
    shipped().into_iter().filter(is_one).collect()
}

/// The rules a file says it breaks elsewhere than on its director.
fn announced(text: &str) -> BTreeSet<String> {
    let lists = text.lines().filter_map(|line| line.strip_prefix("# On another machine, --check also warns: "));
    lists.flat_map(|list| list.split(", ")).map(str::to_owned).collect()
}

#[test]
fn each_passes_the_check_of_both_and_warns_only_of_what_it_announces() {
    for path in shipped() {
        let announced = announced(&std::fs::read_to_string(&path).unwrap());
        for program in [PULSE, LVSD] {
            let ran = run(program, &["--check", "--format", "json", &name_of(&path)]);
            let value: Value = serde_json::from_str(&ran.out).unwrap();
            assert_eq!((ran.code, &value["good"]), (Some(0), &true.into()), "{}: {}", path.display(), ran.out);
            for diagnostic in value["diagnostics"].as_array().unwrap() {
                let id = diagnostic["id"].as_str().unwrap();
                assert!(announced.contains(id), "{} does not announce: {diagnostic}", path.display());
            }
        }
    }
}

#[test]
fn each_in_toml_is_what_convert_makes_of_the_other() {
    let mut seen = 0;
    for path in examples_in_lvscf().iter().filter(|path| path.parent().unwrap().ends_with("examples")) {
        let made = run(LVSD, &["--convert", &name_of(path)]);
        assert_eq!((made.code, made.err.as_str()), (Some(0), ""));
        let kept =
            std::fs::read_to_string(path.with_extension("toml")).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(made.out, kept, "lvsd --convert {} makes another one", path.display());
        seen += 1;
    }
    assert!(seen >= 11, "{seen}");
}

/// The fingerprint of a text, and what it means.
fn meaning(text: &str, toml: &[&str]) -> (String, String) {
    let checked = run_on(LVSD, &[&["--check", "-"], toml].concat(), text);
    let dumped = run_on(LVSD, &[&["--dump", "-"], toml].concat(), text);
    assert_eq!((checked.code, dumped.code), (Some(0), Some(0)), "{checked:?} {dumped:?}");
    (checked.fingerprint().to_owned(), dumped.out)
}

#[test]
fn what_is_converted_there_and_back_means_the_same() {
    for path in examples_in_lvscf() {
        let text = std::fs::read_to_string(&path).unwrap();
        let toml = run_on(LVSD, &["--convert", "-"], &text).out;
        let back = run_on(LVSD, &["--convert", "--toml", "-"], &toml).out;
        assert_eq!(meaning(&back, &[]), meaning(&text, &[]), "{}", path.display());
        assert_eq!(meaning(&toml, &["--toml"]).0, meaning(&text, &[]).0, "{}", path.display());
        assert_eq!(back, text, "our own files come back as they were: {}", path.display());
    }
}

#[test]
fn what_is_dumped_passes_the_check_as_the_same_configuration() {
    for path in shipped() {
        let toml: &[&str] = if path.extension().is_some_and(|kind| kind == "toml") { &["--toml"] } else { &[] };
        let path = name_of(&path);
        let original = run(LVSD, &["--check", &path]);
        let dumped = run(LVSD, &["--dump", &path]);
        assert_eq!((dumped.code, dumped.err.as_str()), (Some(0), ""), "{path}");
        let again = run_on(LVSD, &[&["--check", "-"], toml].concat(), &dumped.out);
        assert_eq!(again.code, Some(0), "{path}: {again:?}");
        // the same verdict in the same words: services, servers, warnings, fingerprint
        let sum = |ran: &Ran| ran.last_line().split_once(": good: ").map(|(_, sum)| sum.to_owned());
        assert!(sum(&again).is_some(), "{path}: {again:?}");
        assert_eq!(sum(&again), sum(&original), "{path}");
        assert_eq!(run_on(LVSD, &[&["--dump", "-"], toml].concat(), &dumped.out).out, dumped.out, "{path}");
    }
}
