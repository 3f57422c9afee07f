//! The packages, built around the programs Cargo just built and installed into
//! trees of their own: what they contain is what was built, a configuration that
//! was there stays, and the original is replaced. Nothing of the machine changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail, and say why"
)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod scriptlets;

const PROGRAMS: [&str; 4] = [
    env!("CARGO_BIN_EXE_pulse"),
    env!("CARGO_BIN_EXE_lvsd"),
    env!("CARGO_BIN_EXE_nanny"),
    env!("CARGO_BIN_EXE_nanny-tls"),
];

const BY_HAND: &str = "# written by hand\nprimary = 192.0.2.1\n";

/// A folder for everything, and the stripped programs in it.
struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let this = Self { folder };
        fs::create_dir(this.at("built")).unwrap();
        for program in PROGRAMS {
            let to = this.at("built").join(Path::new(program).file_name().unwrap());
            must(Command::new("strip").arg("-o").arg(to).arg(program));
        }
        this
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A tree with a configuration in it already.
    fn tree_with_configuration(&self, name: &str) -> PathBuf {
        let tree = self.at(name);
        fs::create_dir_all(tree.join("etc/sysconfig/ha")).unwrap();
        fs::write(tree.join("etc/sysconfig/ha/lvs.cf"), BY_HAND).unwrap();
        tree
    }

    /// Every program in the tree is the one that was built.
    fn assert_programs(&self, tree: &Path) {
        for program in ["pulse", "lvsd", "nanny", "nanny-tls"] {
            let installed = fs::read(tree.join("usr/sbin").join(program)).unwrap();
            assert!(installed == fs::read(self.at("built").join(program)).unwrap(), "another {program}");
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a program that must succeed; what it printed on stdout.
fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn by_hand(tree: &Path) -> bool {
    fs::read_to_string(tree.join("etc/sysconfig/ha/lvs.cf")).unwrap() == BY_HAND
}

/// Whether packages can be installed here. One line that nobody can overlook where
/// they cannot: past the harness, which keeps what a passing test prints to itself.
fn can(what: &str, programs: &[&str]) -> bool {
    let root = nix::unistd::geteuid().is_root();
    let found = |program: &&str| Path::new("/usr/bin").join(program).exists();
    if root && programs.iter().all(found) {
        return true;
    }
    let why = format!("{what}: it takes root and {}", programs.join(", "));
    // Not every family of distributions has the tools of the other.
    let required = std::env::var("PIRANHA_REQUIRE").is_ok() && (programs.contains(&"rpm") || !root);
    assert!(!required, "{why}");
    let _ = std::io::stderr().write_all(format!("\nSKIPPED: {why}\n").as_bytes());
    false
}

/// An rpm of a spec, built; the files made.
fn rpmbuild(ground: &Ground, what: &[&str]) -> Vec<PathBuf> {
    let top = ground.at("top");
    let _ = fs::remove_dir_all(top.join("RPMS"));
    let mut command = Command::new("rpmbuild");
    command.args(["--quiet", "--nodeps", "--define"]).arg(format!("_topdir {}", top.display()));
    must(command.args(["--define", "_binary_payload w1.gzdio"]).args(what));
    let mut rpms = Vec::new();
    for arch in fs::read_dir(top.join("RPMS")).unwrap() {
        rpms.extend(fs::read_dir(arch.unwrap().path()).unwrap().map(|rpm| rpm.unwrap().path()));
    }
    rpms.sort();
    rpms
}

/// `rpm` on a tree with a database of its own. Its scripts would run in the tree,
/// where there is no shell; `scriptlets` runs them.
fn rpm(tree: &Path) -> Command {
    let mut command = Command::new("rpm");
    command.arg("--root").arg(tree).args(["--dbpath", "/var/lib/rpm"]);
    command
}

#[test]
fn the_rpm_is_what_was_built_and_keeps_a_configuration_and_replaces_the_original() {
    if !can("the rpm", &["rpm", "rpmbuild"]) {
        return;
    }
    let ground = Ground::new();
    let source = source(&ground);
    let (first, second) = (rpms(&ground, &source, "first"), rpms(&ground, &source, "second"));
    assert_eq!((first.len(), second.len()), (2, 2), "{first:?}");

    // Into an empty tree: complete and unchanged.
    let tree = ground.at("fresh");
    fs::create_dir(&tree).unwrap();
    must(rpm(&tree).args(["--nodeps", "--noscripts", "-i"]).args(&first));
    ground.assert_programs(&tree);
    assert_eq!(must(rpm(&tree).args(["--nodeps", "--noscripts", "-V", "piranha-ng", "piranha-ng-realserver"])), "");
    for file in
        ["etc/rc.d/init.d/pulse", "usr/lib/systemd/system/pulse.service", "usr/lib/systemd/system/realserver@.service"]
    {
        assert!(tree.join(file).is_file(), "{file}");
    }
    // Written by hand since, and upgraded, and removed.
    fs::write(tree.join("etc/sysconfig/ha/lvs.cf"), BY_HAND).unwrap();
    must(rpm(&tree).args(["--nodeps", "--noscripts", "-U"]).args(&second));
    assert!(by_hand(&tree));
    assert!(must(rpm(&tree).args(["-q", "piranha-ng"])).contains(".second."));
    must(rpm(&tree).args(["--nodeps", "--noscripts", "-e", "piranha-ng", "piranha-ng-realserver"]));
    assert!(!tree.join("usr/sbin/pulse").exists() && !tree.join("etc/rc.d/init.d/pulse").exists());
    let saved = fs::read_to_string(tree.join("etc/sysconfig/ha/lvs.cf.rpmsave")).unwrap();
    assert_eq!(saved, BY_HAND, "as RPM leaves what was changed");

    // Over a file nobody packaged.
    let tree = ground.tree_with_configuration("unpackaged");
    must(rpm(&tree).args(["--nodeps", "--noscripts", "-i"]).args(&first));
    assert!(by_hand(&tree));

    // Over the original, whose package had the file.
    let piranha = original(&ground);
    let tree = ground.at("old");
    fs::create_dir(&tree).unwrap();
    must(rpm(&tree).args(["--nodeps", "--noscripts", "-i"]).args(&piranha));
    fs::write(tree.join("etc/sysconfig/ha/lvs.cf"), BY_HAND).unwrap();
    must(rpm(&tree).args(["--nodeps", "--noscripts", "-U"]).args(&first));
    assert!(by_hand(&tree));
    ground.assert_programs(&tree);
    assert!(!rpm(&tree).args(["-q", "piranha"]).output().unwrap().status.success(), "the original is gone");
}

/// The source archive, of the version that this is.
fn source(ground: &Ground) -> PathBuf {
    let archive = Command::new(root().join("init/source")).arg("--no-vendor").output().unwrap();
    assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
    let spec = fs::read_to_string(root().join("init/piranha-ng.spec")).unwrap();
    let version = format!("Version:        {}\n", env!("CARGO_PKG_VERSION"));
    assert!(spec.contains(&version), "the spec is of another version");
    let source = ground.at(&format!("piranha-ng-{}.tar.gz", env!("CARGO_PKG_VERSION")));
    fs::write(&source, archive.stdout).unwrap();
    source
}

/// The packages of a release that is called so, in a folder of that name.
fn rpms(ground: &Ground, source: &Path, release: &str) -> Vec<PathBuf> {
    let (built, dist) = (format!("built {}", ground.at("built").display()), format!("dist .{release}"));
    let made = rpmbuild(ground, &["-tb", "--define", &built, "--define", &dist, source.to_str().unwrap()]);
    moved(ground, &made, release)
}

/// The package of the original, in a folder called so.
fn original(ground: &Ground) -> Vec<PathBuf> {
    let spec = ground.at("piranha.spec");
    fs::write(&spec, OLD_SPEC).unwrap();
    moved(ground, &rpmbuild(ground, &["-bb", spec.to_str().unwrap()]), "original")
}

fn moved(ground: &Ground, files: &[PathBuf], folder: &str) -> Vec<PathBuf> {
    fs::create_dir(ground.at(folder)).unwrap();
    let to = |file: &PathBuf| ground.at(folder).join(file.file_name().unwrap());
    files.iter().map(|file| fs::rename(file, to(file)).map(|()| to(file)).unwrap()).collect()
}

/// The package of the original, as far as it meets ours (piranha.md 0.4); it stops and
/// disables its service when it goes, as packages with a SysV script do.
const OLD_SPEC: &str = r"Name: piranha
Version: 0.8.6
Release: 7
Summary: the original
License: GPL
BuildArch: noarch
%description
The original.
%install
mkdir -p %{buildroot}/etc/sysconfig/ha %{buildroot}/usr/sbin %{buildroot}/etc/rc.d/init.d
: >%{buildroot}/etc/sysconfig/ha/lvs.cf
: >%{buildroot}/usr/sbin/pulse
: >%{buildroot}/etc/rc.d/init.d/pulse
%post
/sbin/chkconfig --add pulse
%preun
if [ $1 = 0 ]; then
    /sbin/chkconfig --del pulse
    /sbin/service pulse stop >/dev/null 2>&1
fi
%files
%config(noreplace) /etc/sysconfig/ha/lvs.cf
/usr/sbin/pulse
/etc/rc.d/init.d/pulse
";

/// `dpkg` on a tree with a database of its own.
fn dpkg(tree: &Path) -> Command {
    fs::create_dir_all(tree.join("var/lib/dpkg/info")).unwrap();
    for file in ["status", "available"] {
        let file = tree.join("var/lib/dpkg").join(file);
        if !file.exists() {
            fs::write(file, "").unwrap();
        }
    }
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", tree.display())).arg(format!("--log={}", tree.join("log").display()));
    // There is nobody to ask; the answer is the one a bare Enter gives.
    command.args(["--force-depends", "--force-script-chrootless", "--force-confold"]);
    command
}

/// The .deb packages with this behind their version, in a folder called so.
fn debs(ground: &Ground, folder: &str, revision: &str) -> Vec<PathBuf> {
    let mut command = Command::new(root().join("init/debian/build"));
    command.arg(ground.at(folder)).env("BUILT", ground.at("built")).env("REVISION", revision);
    must(&mut command).lines().map(PathBuf::from).collect()
}

#[test]
fn the_deb_is_what_was_built_and_keeps_a_configuration() {
    if !can("the .deb", &["dpkg", "dpkg-deb"]) {
        return;
    }
    let ground = Ground::new();
    let (first, second) = (debs(&ground, "first", ""), debs(&ground, "second", "+b"));
    assert_eq!((first.len(), second.len()), (2, 2), "{first:?}");

    let tree = ground.at("fresh");
    fs::create_dir(&tree).unwrap();
    must(dpkg(&tree).arg("-i").args(&first));
    ground.assert_programs(&tree);
    assert_eq!(must(dpkg(&tree).args(["--verify", "piranha-ng", "piranha-ng-realserver"])), "");
    fs::write(tree.join("etc/sysconfig/ha/lvs.cf"), BY_HAND).unwrap();
    must(dpkg(&tree).arg("-i").args(&second));
    assert!(by_hand(&tree));
    assert!(must(dpkg(&tree).args(["-s", "piranha-ng"])).contains("+b"));
    must(dpkg(&tree).args(["--remove", "piranha-ng", "piranha-ng-realserver"]));
    assert!(by_hand(&tree) && !tree.join("usr/sbin/pulse").exists());

    let tree = ground.tree_with_configuration("unpackaged");
    must(dpkg(&tree).arg("-i").args(&first));
    assert!(by_hand(&tree));
}

#[test]
fn the_units_are_units_and_the_scripts_are_scripts() {
    let ground = Ground::new();
    let prefix = ground.at("prefix");
    let mut install = Command::new(root().join("init/install"));
    install.env("PREFIX", &prefix).env("SYSCONFDIR", ground.at("etc")).env("INITDIR", ground.at("init.d"));
    must(install.env("BUILT", ground.at("built")));
    let units = prefix.join("lib/systemd/system");
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no"])
        .arg(units.join("pulse.service"))
        .arg(units.join("realserver@192.0.2.1.service"));
    fs::copy(units.join("realserver@.service"), units.join("realserver@192.0.2.1.service")).unwrap();
    let output = verify.output().unwrap();
    let complaints: String =
        said(&output).lines().filter(|line| line.contains("pulse") || line.contains("realserver")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{}", said(&output));
    for script in ["pulse", "realserver"] {
        let text = fs::read_to_string(ground.at("init.d").join(script)).unwrap();
        for header in
            ["# chkconfig: ", "# description: ", "### BEGIN INIT INFO", "# Provides:          ", "### END INIT INFO"]
        {
            assert!(text.contains(header), "{script} has no {header}");
        }
        must(Command::new("sh").arg("-n").arg(ground.at("init.d").join(script)));
        must(Command::new("bash").args(["--posix", "-n"]).arg(ground.at("init.d").join(script)));
    }
    // What is there is an operator's.
    fs::write(ground.at("etc/sysconfig/ha/lvs.cf"), BY_HAND).unwrap();
    must(&mut install);
    assert!(by_hand(ground.folder.path()));
}
