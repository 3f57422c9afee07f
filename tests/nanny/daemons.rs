//! Checks by name against the real servers of their kind: nginx, msmtpd,
//! dnsmasq, Redis, grpcio. Each runs in a folder of its own and ends with its test;
//! tests/needs.sh installs them.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::ground::{Nanny, free_port, wait_for, wait_until};
use tempfile::TempDir;

/// A server that ends with its test.
struct Daemon {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Daemon {
    /// Runs in the foreground and accepts connections on `port`.
    fn start(program: &str, port: u16, dir: TempDir, arguments: &[&str]) -> Self {
        let mut daemon = Self { child: spawn(program, &dir, arguments), dir, port };
        daemon.wait();
        daemon
    }

    fn wait(&mut self) {
        let Self { child, port, .. } = self;
        wait_until("the server listens", || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            TcpStream::connect(("127.0.0.1", *port)).is_ok()
        });
    }

    /// As a crash does.
    fn kill(&mut self) {
        // Its children too: they are in a group of their own.
        let group = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &str, dir: &TempDir, arguments: &[&str]) -> Child {
    use std::os::unix::process::CommandExt as _;
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let log = || Stdio::from(fs::File::create(dir.path().join("log")).unwrap());
    let mut command = Command::new(find(program, &path));
    command.args(arguments).process_group(0).stdin(Stdio::null()).stdout(log()).stderr(log());
    command.spawn().unwrap_or_else(|e| panic!("{program}: {e}; tests/needs.sh installs it"))
}

fn find(program: &str, path: &str) -> std::path::PathBuf {
    let found = path.split(':').map(|dir| Path::new(dir).join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{program} is not there: tests/needs.sh installs it"))
}

fn folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    // The servers give up root and still read in it.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// nginx with this in its server block.
fn start_nginx(server: &str) -> Daemon {
    let (dir, port) = (folder(), free_port());
    let at = dir.path().display();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temp = temp.map(|name| format!("{name}_temp_path {at}/{name};\n")).concat();
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error;\nevents {{}}\nhttp {{\naccess_log off;\n{temp}\
         server {{\nlisten 127.0.0.1:{port}{server}\n}}\n}}\n"
    );
    let conf = dir.path().join("nginx.conf");
    fs::write(&conf, text).unwrap();
    let (prefix, conf) = (format!("{at}/"), conf.display().to_string());
    Daemon::start("nginx", port, dir, &["-p", &prefix, "-c", &conf])
}

#[test]
fn nginx_is_well_by_status_and_body_and_dies() {
    let mut nginx = start_nginx(
        ";\nchunked_transfer_encoding on;\nlocation /health { add_header X-A b; return 200 'alive'; }\n\
         location /old { return 301 /health; }\nlocation /down { return 503; }\n\
         location /host { if ($host != 'www.example') { return 404; } return 200 'host'; }",
    );
    let start = |options: &[&str]| {
        let with = options.iter().flat_map(|option| ["--with", option]);
        Nanny::start(nginx.port, &["--check", "http", "-t", "0.5"].into_iter().chain(with).collect::<Vec<_>>())
    };
    start(&["path=/health", "status=200", "body=alive"]).wait_for("[ active ]");
    start(&["path=/health", "body=^a.*e$", "use_regex=1"]).wait_for("[ active ]");
    start(&["path=/health", "method=HEAD"]).wait_for("[ active ]");
    start(&["path=/old"]).wait_for("[ active ]");
    start(&["path=/old", "status=200-299"]).wait_for("HTTP status 301 Moved Permanently");
    start(&["path=/down"]).wait_for("HTTP status 503 Service Temporarily Unavailable");
    start(&["path=/host"]).wait_for("HTTP status 404 Not Found");
    start(&["path=/host", "host=www.example", "body=host"]).wait_for("[ active ]");
    let mut nanny = start(&["path=/health"]);
    nanny.wait_for("[ active ]");
    nginx.kill();
    // By a reset or a refusal, whichever its death makes of the check under way.
    nanny.wait_for("[inactive] shutting down");
}

/// The one that packages of Python's modules are for.
const PYTHON: &str = "/usr/bin/python3";

/// Whether grpcio is here; where no package has it, that is said loudly.
fn has_grpcio() -> bool {
    use std::io::Write as _;
    let mut command = Command::new(PYTHON);
    let is_here =
        command.args(["-c", "import grpc"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !is_here {
        // Debian has it: there tests/needs.sh saw to it.
        assert!(!Path::new("/etc/debian_version").exists(), "python3-grpcio is not here: tests/needs.sh installs it");
        let _ = std::io::stderr().write_all(b"\nSKIPPED: gRPC by a real server: there is no python3-grpcio\n");
    }
    is_here
}

fn start_grpcio(port: u16, more: &[&str]) -> Daemon {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nanny/grpc_server.py");
    Daemon::start(PYTHON, port, folder(), &[&[script, &format!("127.0.0.1:{port}")], more].concat())
}

/// A nanny with a check of this kind and these options.
fn start_check(server: &Daemon, kind: &str, options: &[&str]) -> Nanny {
    let with = options.iter().flat_map(|option| ["--with", option]);
    Nanny::start(server.port, &["--check", kind, "-t", "2"].into_iter().chain(with).collect::<Vec<_>>())
}

#[test]
fn grpcio_tells_the_health_of_each_service() {
    if !has_grpcio() {
        return;
    }
    let mut grpcio = start_grpcio(free_port(), &[]);
    let start = |options: &[&str]| start_check(&grpcio, "grpc", options);
    start(&[]).wait_for("[ active ]");
    start(&["service=shop.Cart", "host=shop.example"]).wait_for("[ active ]");
    for (service, why) in [
        ("shop.Closed", "): gRPC health NOT_SERVING"),
        ("shop.Gone", "): gRPC health SERVICE_UNKNOWN"),
        ("shop.New", "): gRPC health UNKNOWN"),
        ("shop.Other", "): gRPC status NOT_FOUND: unknown service (it knows no service of this name)"),
        ("shop.Broken", "): gRPC status INTERNAL: the till is on fire"),
        ("shop.Slow", "READ to 127.0.0.1"),
    ] {
        let mut nanny = start(&[&format!("service={service}")]);
        nanny.wait_for(why);
        nanny.wait_for("[inactive] leaving out");
    }
    let bare = start_grpcio(free_port(), &["bare"]);
    start_check(&bare, "grpc", &[])
        .wait_for("): gRPC status UNIMPLEMENTED: Method not found! (it has no health service)");
    start_check(&grpcio, "http", &[]).wait_for("): the answer is not HTTP");
    let mut nanny = Nanny::start(grpcio.port, &["--check", "grpc", "-t", "2", "-a", "0.1"]);
    nanny.wait_for("[ active ]");
    grpcio.kill();
    nanny.wait_for("failed: Connection refused");
    nanny.wait_for("[inactive] shutting down");
    let _again = start_grpcio(grpcio.port, &[]);
    nanny.wait_for("[ active ]");
}

#[test]
fn grpc_goes_through_a_proxy_and_a_web_server_is_none() {
    let plain = start_nginx(";\nlocation / { return 200 'alive'; }");
    start_check(&plain, "grpc", &[]).wait_for("): the answer is no gRPC: it speaks HTTP/1 and not HTTP/2");
    let web = start_nginx(" http2;\nlocation / { return 200 'alive'; }");
    start_check(&web, "grpc", &[]).wait_for("): the answer is no gRPC: its content-type is \"text/plain\"");
    if !has_grpcio() {
        return;
    }
    let mut grpcio = start_grpcio(free_port(), &[]);
    let proxy = start_nginx(&format!(" http2;\nlocation / {{ grpc_pass grpc://127.0.0.1:{}; }}", grpcio.port));
    start_check(&proxy, "grpc", &["service=shop.Closed"]).wait_for("): gRPC health NOT_SERVING");
    start_check(&proxy, "grpc", &["service=shop.Other"]).wait_for("): gRPC status NOT_FOUND: unknown service");
    let mut nanny = start_check(&proxy, "grpc", &["service=shop.Cart"]);
    nanny.wait_for("[ active ]");
    grpcio.kill();
    nanny.wait_for("): HTTP status 502");
    nanny.wait_for("[inactive] shutting down");
}

#[test]
fn grpc_in_tls_must_be_agreed_on() {
    let dir = certificates();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (ours, own) = (format!("ca_file={}", file("ca.pem")), format!("ca_file={}", file("self.pem")));
    let named = ["host=www.example", ours.as_str()];
    // HTTP/1 alone; then HTTP/2, and no gRPC in it.
    let web = secure_nginx(dir.path(), "good");
    start_check(&web, "grpcs", &named).wait_for("failed: the server does not agree to speak HTTP/2");
    if !has_grpcio() {
        return;
    }
    let secure = |name: &str, key: &str| start_grpcio(free_port(), &[&file(key), &file(name)]);
    let mut good = secure("good.pem", "good.key");
    start_check(&good, "grpcs", &[&named[..], &["service=shop.Closed"]].concat())
        .wait_for("): gRPC health NOT_SERVING");
    start_check(&good, "grpcs", &["tls_name=www.example", &ours]).wait_for("[ active ]");
    start_check(&good, "grpcs", &["host=other.example", &ours]).wait_for("failed: the certificate is for another name");
    start_check(&good, "grpcs", &["verify=0"]).wait_for("[ active ]");
    let unknown = "failed: the certificate is signed by nobody who is trusted";
    start_check(&good, "grpcs", &["host=www.example", &own]).wait_for(unknown);
    let itself = secure("self.pem", "self.key");
    start_check(&itself, "grpcs", &named).wait_for(unknown);
    start_check(&itself, "grpcs", &["host=www.example", &own]).wait_for("[ active ]");
    start_check(&secure("ended.pem", "good.key"), "grpcs", &named).wait_for("failed: the certificate has expired");
    // In clear text it hears nothing that it understands.
    start_check(&good, "grpc", &[]).wait_for("[inactive] leaving out");
    let mut nanny = start_check(&good, "grpcs", &named);
    nanny.wait_for("[ active ]");
    good.kill();
    nanny.wait_for("failed: Connection refused");
    nanny.wait_for("[inactive] shutting down");
}

#[test]
fn msmtpd_greets() {
    let (dir, port) = (folder(), free_port());
    let number = format!("--port={port}");
    let mut msmtpd = Daemon::start("msmtpd", port, dir, &["--interface=127.0.0.1", &number, "--command=cat"]);
    let mut nanny = Nanny::start(port, &["--check", "smtp", "--with", "helo=director.example", "-t", "0.5"]);
    nanny.wait_for("[ active ]");
    msmtpd.kill();
    nanny.wait_for("[inactive] shutting down");
}

#[test]
fn dnsmasq_answers_over_both() {
    let (dir, port) = (folder(), free_port());
    let (at, port_option) = (dir.path().join("pid").display().to_string(), format!("--port={port}"));
    let arguments = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--user=root",
        &port_option,
        &format!("--pid-file={at}"),
        "--conf-file=/dev/null",
        "--address=/www.example/192.0.2.7",
        "--mx-host=example,mail.example,10",
        "--txt-record=example,hello world",
    ];
    let mut dnsmasq = Daemon::start("dnsmasq", port, dir, &arguments);
    for transport in ["-u", "-v"] {
        let start = |options: &[&str]| {
            let with = options.iter().flat_map(|option| ["--with", option]);
            let words = ["--check", "dns", "-t", "0.5", transport].into_iter().chain(with);
            Nanny::start(port, &words.collect::<Vec<_>>())
        };
        start(&["query=www.example", "answer=192.0.2.7"]).wait_for("[ active ]");
        start(&["query=www.example"]).wait_for("[ active ]");
        start(&["query=example", "query_type=MX", "answer=10 mail.example"]).wait_for("[ active ]");
        start(&["query=example", "query_type=TXT", "answer=hello world"]).wait_for("[ active ]");
        start(&["query=www.example", "answer=192.0.2.8"]).wait_for("the DNS answer is not as expected: \"192.0.2.7\"");
        start(&["query=www.example.net"]).wait_for("DNS answer REFUSED");
        start(&["query=www.example.net", "rcode=REFUSED"]).wait_for("[ active ]");
    }
    let mut nanny = Nanny::start(port, &["--check", "dns", "--with", "query=www.example", "-u", "-t", "0.3"]);
    nanny.wait_for("[ active ]");
    dnsmasq.kill();
    // One question may have been under way.
    nanny.wait_for_all(&["READ returned error 111:Connection refused", "[inactive] shutting down"]);
    drop(dnsmasq);
    // Its children for connections end a little later than it does.
    let silent = wait_for("the port", || UdpSocket::bind(("127.0.0.1", port)).ok());
    nanny.wait_for("READ to 127.0.0.1");
    drop(silent);
}

#[test]
fn redis_says_pong() {
    let (dir, port) = (folder(), free_port());
    let (at, number) = (dir.path().display().to_string(), port.to_string());
    let arguments = ["--port", &number, "--bind", "127.0.0.1", "--save", "", "--dir", &at, "--daemonize", "no"];
    let mut redis = Daemon::start("redis-server", port, dir, &arguments);
    // As in etc/examples.
    let words = ["--check", "tcp", "--with", "send=PING\\r\\n", "--with", "expect=+PONG", "-t", "0.5"];
    let mut nanny = Nanny::start(port, &words);
    nanny.wait_for("[ active ]");
    redis.kill();
    nanny.wait_for("[inactive] shutting down");
    assert!(redis.dir.path().exists());
}

/// Runs openssl(1) in the folder.
fn openssl(dir: &Path, line: &str) {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// A folder with an authority and, signed by it, certificates of www.example and of
/// 127.0.0.1 that are good for a month, one that ended, and one that signed itself.
fn certificates() -> TempDir {
    let dir = folder();
    let at = dir.path();
    openssl(at, &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=authority -days 30"));
    openssl(
        at,
        &format!(
            "req -x509 {KEY} -keyout self.key -out self.pem -subj /CN=www.example -days 30 -addext subjectAltName=DNS:www.example"
        ),
    );
    openssl(at, &format!("req {KEY} -keyout good.key -out request -subj /CN=www.example"));
    for (name, names, days) in [
        ("good", "DNS:www.example", 30),
        ("soon", "DNS:www.example", 5),
        ("address", "IP:127.0.0.1", 30),
        ("ended", "DNS:www.example", -1),
    ] {
        fs::write(at.join("names"), format!("subjectAltName={names}\n")).unwrap();
        let sign = "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names";
        openssl(at, &format!("{sign} -days {days} -out {name}.pem"));
    }
    dir
}

/// nginx with this certificate of the folder.
fn secure_nginx(dir: &Path, name: &str) -> Daemon {
    let key = if name == "self" { "self" } else { "good" };
    let at = dir.display();
    start_nginx(&format!(
        " ssl;\nssl_certificate {at}/{name}.pem;\nssl_certificate_key {at}/{key}.key;\nlocation / {{ return 200 'alive'; }}"
    ))
}

#[test]
fn a_certificate_must_be_good_unless_it_need_not() {
    let dir = certificates();
    let ca = |name: &str| format!("ca_file={}/{name}.pem", dir.path().display());
    let (ours, own) = (ca("ca"), ca("self"));
    let named = ["host=www.example", "body=alive", ours.as_str()];
    let start = |server: &Daemon, kind: &str, options: &[&str]| {
        let with = options.iter().flat_map(|option| ["--with", option]);
        Nanny::start(server.port, &["--check", kind, "-t", "2"].into_iter().chain(with).collect::<Vec<_>>())
    };
    let mut good = secure_nginx(dir.path(), "good");
    start(&good, "https", &named).wait_for("[ active ]");
    start(&good, "tls", &["tls_name=www.example", &ours]).wait_for("[ active ]");
    let other = "failed: the certificate is for another name";
    start(&good, "https", &["host=other.example", &ours]).wait_for(other);
    start(&good, "https", &[&ours]).wait_for(other);
    start(&good, "https", &["verify=0"]).wait_for("[ active ]");
    let unknown = "failed: the certificate is signed by nobody who is trusted";
    start(&good, "https", &["host=www.example", &own]).wait_for(unknown);
    start(&good, "tls", &["tls_name=www.example", "ca_file=/nonexistent"])
        .wait_for("failed: /nonexistent: No such file");
    start(&good, "http", &["status=200"]).wait_for("HTTP status 400 Bad Request");
    let address = secure_nginx(dir.path(), "address");
    start(&address, "https", &[&ours]).wait_for("[ active ]");
    let ended = secure_nginx(dir.path(), "ended");
    start(&ended, "https", &named).wait_for("failed: the certificate has expired");
    let itself = secure_nginx(dir.path(), "self");
    start(&itself, "https", &named).wait_for(unknown);
    start(&itself, "https", &["host=www.example", &own]).wait_for("[ active ]");
    let soon = secure_nginx(dir.path(), "soon");
    let mut nanny = start(&soon, "https", &named);
    let line = nanny.wait_for("the certificate of 127.0.0.1");
    // It has five whole ones in the second in which it was signed.
    assert!(["expires in 4 days", "expires in 5 days"].iter().any(|end| line.contains(end)), "{line}");
    nanny.wait_for("[ active ]");
    let mut quiet = start(&soon, "https", &[&named[..], &["expiry_warning=3s"]].concat());
    quiet.wait_for("[ active ]");
    assert_eq!(quiet.stop(), Some(0));
    assert_eq!(quiet.said("expires"), 0);
    let mut nanny = start(&good, "https", &named);
    nanny.wait_for("[ active ]");
    good.kill();
    // A check under way may be reset first.
    nanny.wait_for_all(&["failed: Connection refused", "[inactive] shutting down"]);
}
