//! Any bytes as lvs.cf: no panic, no hang; and what is accepted is printed so
//! that it reads back as the same model.
#![no_main]

use std::path::Path;

use common::config::{Config, Fake, Syntax, dump, json, load_with};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], name: &str) -> Option<Config> {
    let mut world = Fake::default();
    world.files.insert(name.into(), bytes.to_vec());
    let path = Path::new(name);
    match load_with(path, Syntax::of(path), &world) {
        Ok(loaded) => {
            let _ = json(&loaded.warnings);
            Some(Config { path: "".into(), ..loaded.config })
        }
        Err(failed) => {
            assert!(failed.first().is_some());
            failed.diagnostics.iter().for_each(|d| assert!(!d.render(true).is_empty()));
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(config) = read(bytes, "lvs.cf") {
        for (syntax, name) in [(Syntax::LvsCf, "lvs.cf"), (Syntax::Toml, "lvs.toml")] {
            let text = dump(&config, syntax);
            assert_eq!(read(text.as_bytes(), name).as_ref(), Some(&config), "{text}");
        }
    }
});
