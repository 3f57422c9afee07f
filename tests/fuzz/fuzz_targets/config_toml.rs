//! Any bytes as lvs.toml: no panic, no hang; and what is accepted is printed so
//! that it reads back as the same model, and prints as the same text. What says nothing
//! where it stands is warned of and not printed: of such a file the text alone counts.
#![no_main]

use std::path::Path;

use common::config::{Config, Fake, Syntax, dump, json, load_with};
use libfuzzer_sys::fuzz_target;

/// And whether all that is in it says something.
fn read(bytes: &[u8], name: &str) -> Option<(Config, bool)> {
    let mut world = Fake::default();
    world.files.insert(name.into(), bytes.to_vec());
    let path = Path::new(name);
    match load_with(path, Syntax::of(path), &world) {
        Ok(loaded) => {
            let _ = json(&loaded.warnings);
            let is_effective = loaded.warnings.iter().all(|warning| warning.id != "ineffective");
            Some((Config { path: "".into(), ..loaded.config }, is_effective))
        }
        Err(failed) => {
            assert!(failed.first().is_some());
            failed.diagnostics.iter().for_each(|d| assert!(!d.render(true).is_empty()));
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Some((config, is_effective)) = read(bytes, "lvs.toml") {
        for (syntax, name) in [(Syntax::LvsCf, "lvs.cf"), (Syntax::Toml, "lvs.toml")] {
            let text = dump(&config, syntax);
            let Some((back, _)) = read(text.as_bytes(), name) else { panic!("it is refused:\n{text}") };
            assert_eq!(dump(&back, syntax), text);
            assert!(!is_effective || back == config, "{text}");
        }
    }
});
