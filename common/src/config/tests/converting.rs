//! `--dump` and `--convert`: what is printed reads back as the same model.

use super::*;

/// A file with everything: names, numbers of other bases, repeated keywords, a
/// port below servers, quotes, comments in all places.
pub(super) const FILE: &str = r#"# the pair
primary = localhost
keepalive = 6 # overridden below

# twice
keepalive = 0x10
debug = NONE
nat_router = 10.1 eth1:1

virtual "my site" { # the site
     active = 1
     address = 192.0.2.9 eth0:1
     # before a server
     server a {
         # inside
         address = localhost
         # at the end
     }
     port = https
     deadtime = 18
     send = "GET /#1 \r\n\r\n" # not in the text: "x"
     server b {
         weight = 010
     }
     expect = 'x'
     dirs = [ /a '/b c' ]
}

failover f {
     start_cmd = "/etc/init.d/x start"
}
# the end
"#;

pub(super) const AS_TOML: &str = r#"# the pair
primary = "localhost"
# overridden below
# keepalive = 6

# twice
keepalive = 16
debug_level = "NONE"
nat_router = "10.0.0.1 eth1:1"

# the site
[[virtual]]
name = "my site"
active = true
address = "192.0.2.9 eth0:1"
# at the end
port = "https"
# deadtime = 18
# not in the text: "x"
send = 'GET /#1 \r\n\r\n'
expect = "'x'"
dirs = ["/a", "/b c"]

# before a server
[[virtual.server]]
name = "a"
port = 80
# inside
address = "localhost"

[[virtual.server]]
name = "b"
weight = 8

[[failover]]
name = "f"
start_cmd = "/etc/init.d/x start"
# the end
"#;

pub(super) fn convert_text(text: &str, name: &str, to: Syntax) -> String {
    let mut world = world();
    world.files.insert(name.into(), text.as_bytes().to_vec());
    let path = Path::new(name);
    convert(path, Syntax::of(path), to, &world).unwrap_or_else(|failed| panic!("{failed}\n{text}"))
}

/// The model of a text, without its file's name.
pub(super) fn model(text: &str, name: &str) -> Config {
    let loaded = read_bytes(text.as_bytes(), name).unwrap_or_else(|failed| panic!("{failed}\nin:\n{text}"));
    Config { path: "".into(), ..loaded.config }
}

#[test]
fn lvscf_becomes_toml_with_its_comments_and_means_the_same() {
    let toml = convert_text(FILE, "lvs.cf", Syntax::Toml);
    assert_eq!(toml, AS_TOML);
    assert_eq!(model(&toml, "lvs.toml"), model(FILE, "lvs.cf"));
}

#[test]
fn comments_that_stand_apart_stay_apart() {
    let text = "# what this is\n\n# the pair\nprimary = localhost\n\n# the site\n\nvirtual web {\n}\n\n# the end\n";
    let toml = convert_text(text, "lvs.cf", Syntax::Toml);
    let expected = "# what this is\n\n# the pair\nprimary = \"localhost\"\n\n# the site\n\n[[virtual]]\nname = \"web\"\n\n# the end\n";
    assert_eq!(toml, expected);
    assert_eq!(convert_text(&toml, "lvs.toml", Syntax::LvsCf), text);
}

#[test]
fn toml_becomes_lvscf_with_its_comments_and_means_the_same() {
    let back = convert_text(AS_TOML, "lvs.toml", Syntax::LvsCf);
    assert_eq!(model(&back, "lvs.cf"), model(FILE, "lvs.cf"));
    for comment in
        ["# the pair", "# twice", "     # before a server", "         # inside", "     # not in the text", "# the end"]
    {
        assert!(back.contains(&format!("\n{comment}")) || back.starts_with(comment), "{comment} is not in:\n{back}");
    }
    // a second time nothing changes: it is in its form
    assert_eq!(convert_text(&back, "lvs.cf", Syntax::LvsCf), back);
    let again = convert_text(&back, "lvs.cf", Syntax::Toml);
    assert_eq!(convert_text(&again, "lvs.toml", Syntax::Toml), again);
}

#[test]
fn an_include_stays_an_include() {
    let mut world = world();
    world.files.insert("more.cf".into(), b"keepalive = 3\n".to_vec());
    world.files.insert("lvs.cf".into(), b"include = more.cf\n".to_vec());
    let toml = convert(Path::new("lvs.cf"), Syntax::LvsCf, Syntax::Toml, &world).unwrap();
    assert_eq!(toml, "include = \"more.cf\"\n");
}

#[test]
fn a_wrong_file_is_not_converted() {
    let mut world = world();
    world.files.insert("lvs.cf".into(), b"keepalve = 3\n".to_vec());
    let failed = convert(Path::new("lvs.cf"), Syntax::LvsCf, Syntax::Toml, &world).unwrap_err();
    assert_eq!(failed.first().unwrap().id, "unknown-keyword");
}

#[test]
fn the_effective_configuration_has_every_default_and_reads_back() {
    let config = model(FILE, "lvs.cf");
    let text = dump(&config, Syntax::LvsCf);
    assert!(text.contains("\nheartbeat_port = 539\n") && text.contains("\n         weight = 1\n"), "{text}");
    assert_eq!(model(&text, "lvs.cf"), config);
    let toml = dump(&config, Syntax::Toml);
    assert!(toml.contains("\nheartbeat_port = 539\n") && toml.contains("\nhard_shutdown = true\n"), "{toml}");
    assert_eq!(model(&toml, "lvs.toml"), config);
}

#[test]
fn the_files_that_show_the_diagnostics_convert_and_mean_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config/diagnostics");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if path.extension().is_some_and(|e| e == "cf") && read(&text).is_ok() {
            let toml = convert_text(&text, "lvs.cf", Syntax::Toml);
            assert_eq!(model(&toml, "lvs.toml"), model(&text, "lvs.cf"), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}
