//! A program's file that whoever opens it, and so whoever runs it, waits for, as on a
//! mount whose server is dead: somebody holds a lease on it (fcntl(2), `F_SETLEASE`)
//! and does not let go when asked to. The kernel waits for him for
//! `/proc/sys/fs/lease-break-time`, 45 seconds.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// As long as this is there.
pub(crate) struct Held(Child);

/// 1024 is `F_SETLEASE`, 1 `F_WRLCK`; both have no safe way from here.
const HOLD: &str = "$SIG{IO} = 'IGNORE'; open(F, '<', $ARGV[0]) or die $!; fcntl(F, 1024, 1) or die $!; \
                    $| = 1; print qq(held\\n); sleep 1000";

impl Held {
    /// Nobody else has it open.
    pub(crate) fn new(path: &Path) -> Self {
        let mut holder = Command::new("perl")
            .args(["-e", HOLD])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perl");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n", "a lease on {}", path.display());
        Self(holder)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
