//! One real server with a daemon of each kind from Debian's packages, each as it
//! is run anywhere, on the port it is known by. What of a daemon is to be seen
//! badly is done before it: packets are dropped, or connections led to somebody
//! with bad manners, while the daemon itself goes on.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::Lab;
use crate::ground::lab::{Machine, Process};
use crate::ground::real_server::{Manner, RealServer};
use crate::ground::wait::{SOON, wait_until};

/// The farm's address.
pub const ADDRESS: &str = "192.168.142.158";

/// Where the one with the bad manners listens.
const RUDE: u16 = 9999;

const NGINX: &str = "daemon off;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log /run/nginx.error;\nevents {}\nhttp {\n\
    access_log off;\nclient_body_temp_path /run/t1;\nproxy_temp_path /run/t2;\nfastcgi_temp_path /run/t3;\n\
    uwsgi_temp_path /run/t4;\nscgi_temp_path /run/t5;\n\
    server { listen 80; location /health { return 200 'alive'; } location /down { return 503; } }\n";

/// Up to the backend: its health is that of its frontend's monitor.
const HAPROXY: &str = "global\n maxconn 100\ndefaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
    frontend web\n bind :8404\n monitor-uri /up\n acl none nbsrv(nginx) lt 1\n monitor fail if none\n \
    default_backend nginx\nbackend nginx\n option httpchk GET /health\n \
    server one 127.0.0.1:80 check inter 1s fall 2 rise 1\n";

/// The certificates: name, subject, days, and who signs.
const CERTIFICATES: &str = r"set -e
cd /run/farm
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=authority -days 30
openssl req -x509 $key -keyout self.key -out self.pem -subj /CN=www.example -days 30 -addext subjectAltName=DNS:www.example
openssl req $key -keyout good.key -out request -subj /CN=www.example
sign() {
    echo subjectAltName=DNS:$2 >names
    openssl x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days $3 -out $1.pem
}
sign good www.example 30
sign ended www.example -1
sign other other.example 30
";

/// Debian and RHEL keep PostgreSQL's programs in different places; `bin` is where.
const POSTGRES_BIN: &str = "bin=$(dirname $(ls -d /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /usr/bin/initdb 2>/dev/null | head -n 1))";

/// Makes a cluster. It is nobody's, or its maker's: never root's.
const INITDB: &str = r"mkdir $at
as=
if [ $(id -u) = 0 ]; then
    chown 65534 $at
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
fi
$as $bin/initdb -D $at/pg -U postgres -A trust --no-sync --no-locale --wal-segsize=1 >$at/said 2>&1 || cat $at/said
";

/// Starts the server on it.
const POSTGRES: &str = r"[ -e /run/farm/pg ] || cp -a $from /run/farm/pg
chown -R 65534 /run/farm/pg
exec setpriv --reuid=65534 --regid=65534 --clear-groups $bin/postgres -D /run/farm/pg -c listen_addresses=* \
    -c unix_socket_directories= -c shared_buffers=1MB -c max_connections=20 -c autovacuum=off -c fsync=off \
    -c dynamic_shared_memory_type=mmap
";

/// The one that packages of Python's modules are for.
const PYTHON: &str = "/usr/bin/python3";

/// Whether the gRPC server is here. tests/nanny says it loudly where it is not.
pub fn has_grpcio() -> bool {
    use std::sync::LazyLock;
    static IS_HERE: LazyLock<bool> = LazyLock::new(|| {
        let found = Command::new(PYTHON).args(["-c", "import grpc"]).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    });
    *IS_HERE
}

/// A PostgreSQL cluster without a server: made where starting processes is cheap, before
/// a guest boots.
pub struct Cluster {
    dir: tempfile::TempDir,
}

impl Cluster {
    /// Makes one in a folder that a guest sees, too.
    pub fn new() -> Self {
        let scratch = crate::ground::scratch();
        std::fs::create_dir_all(&scratch).expect("the tests' folder");
        let dir = tempfile::tempdir_in(scratch).expect("a folder");
        // Nobody may not see where the project lies.
        let script = format!(
            "set -e\n{POSTGRES_BIN}\nat=$(mktemp -d)/made\nchmod 755 ${{at%/made}}\n{INITDB}cp -a $at/pg {}\n\
             rm -r ${{at%/made}}\n",
            dir.path().display()
        );
        let made = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert!(
            made.status.success(),
            "{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        Self { dir }
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.dir.path().join("pg").display().to_string()
    }
}

/// The machine and what runs on it.
pub struct Farm {
    daemons: Vec<Process>,
    rude: RealServer,
}

impl Farm {
    /// All certificates made, and nothing started but the rude one.
    pub fn new(lab: &Lab, cluster: &str) -> Self {
        let mut rude = RealServer::new(lab, "farm", "front", &[&format!("{ADDRESS}/24")]);
        rude.direct_routing("192.168.142.100/32");
        rude.machine.write("/run/farm/make", CERTIFICATES);
        rude.machine.run("sh", &["/run/farm/make"]);
        rude.serve(&[&format!("tcp {RUDE}"), &format!("udp 0.0.0.0:{RUDE}")]);
        let mut nginx = NGINX.to_owned();
        for (port, name) in [(443, "good"), (444, "ended"), (445, "self"), (446, "other")] {
            let key = if name == "self" { "self" } else { "good" };
            let _ = writeln!(
                nginx,
                "server {{ listen {port} ssl; ssl_certificate /run/farm/{name}.pem; ssl_certificate_key /run/farm/{key}.key; \
                 location / {{ return 200 'alive'; }} }}"
            );
        }
        rude.machine.write("/run/farm/nginx.conf", &(nginx + "}\n"));
        rude.machine.write("/run/farm/haproxy.cfg", HAPROXY);
        rude.machine.write("/run/farm/health.py", include_str!("../../nanny/grpc_server.py"));
        rude.machine.write("/run/farm/postgres", &format!("{POSTGRES_BIN}\nfrom={cluster}\n{POSTGRES}"));
        Self { daemons: Vec::new(), rude }
    }

    fn machine(&self) -> &Machine {
        &self.rude.machine
    }

    /// The authority's certificate.
    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.machine().path("/run/farm/ca.pem")).expect("it was made")
    }

    /// The program that asks PostgreSQL whether it is ready: Debian's of that name is a
    /// script in Perl around it.
    pub fn pg_isready(&self) -> String {
        self.machine().run("sh", &["-c", &format!("{POSTGRES_BIN}\necho $bin/pg_isready")]).trim().to_owned()
    }

    /// Starts all daemons; each is waited for by whoever wants it.
    pub fn start(&mut self) {
        let lines = [
            "nginx -p /run/farm/ -c /run/farm/nginx.conf",
            "haproxy -db -f /run/farm/haproxy.cfg",
            "redis-server --port 6379 --save '' --dir /run/farm --protected-mode no",
            "msmtpd --interface=0.0.0.0 --port=25 --command=cat",
            "dnsmasq --keep-in-foreground --no-resolv --no-hosts --port=53 --user=root --pid-file=/run/farm/dnsmasq.pid \
             --conf-file=/dev/null --address=/www.example/192.0.2.7",
            "sh /run/farm/postgres",
            &format!("{PYTHON} /run/farm/health.py {ADDRESS}:50051"),
        ];
        let missing = usize::from(!has_grpcio());
        self.daemons = lines
            .iter()
            .take(lines.len() - missing)
            .map(|line| {
                let mut command = Command::new("sh");
                command
                    .args(["-c", &format!("exec {line} >>/run/farm/log 2>&1")])
                    .env("PATH", PATH)
                    .stdin(Stdio::null());
                self.machine().start(command)
            })
            .collect();
    }

    /// SIGKILL to every process of theirs, as the out-of-memory killer does it.
    pub fn kill(&mut self) {
        let names = ["nginx", "haproxy", "redis-server", "msmtpd", "dnsmasq", "postgres", "python3"];
        self.daemons.clear();
        wait_until(SOON, "the daemons are gone", || {
            let all = self.machine().all_processes().into_iter();
            let left: Vec<u32> = all.filter(|(_, name)| names.contains(&name.as_str())).map(|(pid, _)| pid).collect();
            // One may have ended with its parent meanwhile.
            for pid in &left {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            left.is_empty()
        });
    }

    /// Drops every packet to it, as a host does that is gone.
    pub fn silence(&self) {
        self.filter("-I INPUT -j DROP");
    }

    /// Leads every new connection and datagram to somebody with these manners.
    pub fn mislead(&mut self, manner: Manner) {
        self.rude.behave(RUDE, manner);
        for protocol in ["tcp", "udp"] {
            self.filter(&format!("-t nat -I PREROUTING -p {protocol} -j REDIRECT --to-ports {RUDE}"));
        }
    }

    /// The end of [`Self::silence`] and [`Self::mislead`].
    pub fn relent(&self) {
        self.filter("-F INPUT");
        self.filter("-t nat -F PREROUTING");
    }

    fn filter(&self, rule: &str) {
        self.machine().run("sh", &["-c", &format!("iptables-legacy -w {rule} || iptables -w {rule}")]);
    }
}

impl Drop for Farm {
    /// A scenario that failed shows what its daemons had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read_to_string(self.machine().path("/run/farm/log"));
            eprintln!("---- farm: its daemons\n{}", text.unwrap_or_default());
            let names: Vec<String> = self.machine().all_processes().into_iter().map(|(_, name)| name).collect();
            eprintln!("---- farm: {}", names.join(" "));
        }
    }
}

/// Debian's servers are not on everybody's.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
