//! The reader as a whole: the original's verdicts, and files of our own.

use std::path::Path;

use super::*;

mod beside_errors;
mod converting;
mod golden;
mod original;
mod property;
mod reading;

/// Reads a text as the file `lvs.cf` in a world without other files and names
/// but `localhost`, `http`, `https`, `tftp`.
fn read(text: &str) -> Result<Loaded, Failed> {
    read_bytes(text.as_bytes(), "lvs.cf")
}

fn read_bytes(bytes: &[u8], name: &str) -> Result<Loaded, Failed> {
    let mut world = world();
    world.files.insert(name.into(), bytes.to_vec());
    load_with(Path::new(name), Syntax::of(Path::new(name)), &world)
}

fn world() -> Fake {
    let mut world = Fake::default();
    world.hosts.insert("localhost".into(), "127.0.0.1".parse().unwrap());
    for (name, port) in [("http", 80), ("https", 443), ("tftp", 69)] {
        world.services.insert(name.into(), port);
    }
    world
}

pub(super) fn good(text: &str) -> Loaded {
    read(text).unwrap_or_else(|failed| panic!("refused:\n{failed}\nin:\n{text}"))
}

/// The ids of what is said about how a text is written, as they stand in the
/// text: errors, or the warnings that are no lints.
fn ids(text: &str) -> Vec<&'static str> {
    let said = match read(text) {
        Ok(loaded) => loaded.warnings,
        Err(failed) => failed.diagnostics,
    };
    said.iter().map(|d| d.id).filter(|id| !rules::is_lint(id)).collect()
}

#[test]
fn the_files_we_ship_are_read_without_a_word() {
    let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc");
    for (folder, at_least) in [(etc.clone(), 1), (etc.join("examples"), 16)] {
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "cf" || e == "toml")).collect();
        assert!(files.len() >= at_least, "{files:?}");
        for path in files {
            let loaded = load(&path).unwrap_or_else(|failed| panic!("{failed}"));
            assert_eq!(loaded.warnings, [], "{}", path.display());
        }
    }
}
