//! Every rule that can speak about a configuration, by the id it speaks under,
//! with its paragraph of lvs.cf(5). An id is never given to another rule later.

/// The form of the text: errors, and tolerances with a warning.
const FORM: &[(&str, &str)] = &[
    ("after-brace", "Text behind a closing brace is not read, as it never was."),
    ("brace-on-next-line", "The opening brace stands on a line of its own. It is read; the original refuses it."),
    ("byte-order-mark", "The file begins with a byte order mark. It is skipped; the original refuses the first line."),
    (
        "escaped-quote",
        "A text in double quotes holds \\\". It is read, and nanny turns it into a quote; the original refuses it.",
    ),
    ("inline-comment", "A comment stands behind a value. It is read as a comment; the original refuses the line."),
    (
        "line-ends",
        "Lines end with CR LF or CR. All are read; the original reads the first line of a CR LF file and drops the rest in silence.",
    ),
    ("line-too-long", "A line is longer than any statement can be."),
    ("missing-blank", "There is no blank around = or before {. It is read; the original refuses the line."),
    (
        "missing-brace",
        "A block is not opened, or not closed. At the end of the file a missing closing brace is a warning, since the original does not mind; where another block begins it is an error.",
    ),
    ("missing-equal", "A line is neither KEYWORD = VALUE nor the beginning or end of a block."),
    ("missing-name", "A block has no name."),
    ("not-utf-8", "A value holds bytes that are not UTF-8. Comments may."),
    ("nul-byte", "What follows a NUL byte is not read, as it never was."),
    ("quotation-mismatch", "A quote has no end, or text follows it without a blank."),
    ("quoted-keyword", "A keyword stands in quotes."),
    ("toml-syntax", "The file is no TOML."),
    ("too-deep", "Blocks are nested deeper than the grammar has blocks."),
    ("unexpected-arguments", "There is more on a line than the keyword takes. A text with blanks stands in quotes."),
    ("unexpected-brace", "A brace opens or closes no block."),
];

/// The file as a whole.
const WHOLE: &[(&str, &str)] = &[
    ("empty", "The file is empty."),
    ("include", "An included file cannot be read, includes itself, or is one too many; or a pattern names no file."),
    ("more", "There are more problems than are shown."),
    ("too-long", "The files together are longer than any configuration."),
    ("too-many", "There are more virtual services, real servers or checks of one than a director can have."),
    ("unreadable", "The file cannot be read."),
];

/// A value or a keyword.
const VALUE: &[(&str, &str)] = &[
    ("bad-device", "A device name or label is not one, or is longer than the kernel's 15 bytes."),
    ("bad-mask", "A netmask is not one, or a persistence mask has ones behind a zero."),
    ("bad-pmask", "A persistence mask is not one. It is ignored, as it always was."),
    ("boolean-expected", "A keyword takes 0 or 1 and nothing else."),
    ("byte-cut", "Of a number above 255 the low byte counts, as it always did."),
    ("check-incomplete", "A check lacks what it cannot do without: a script its program."),
    ("empty-text", "An empty command is as good as none."),
    (
        "integer-expected",
        "A keyword takes a number: decimal, hexadecimal with 0x, or octal with a leading 0; a time may also have decimals and a unit.",
    ),
    ("invalid-argument", "A value is not one of those a keyword takes, a host or a service is not known."),
    ("invalid-host", "An address cannot be 0.0.0.0 here."),
    ("list-expected", "A list is words between [ and ], the brackets between blanks."),
    (
        "mask-holes",
        "A netmask has ones behind a zero. The kernel refuses it, so that the address gets the mask of its class, as it always did.",
    ),
    ("missing-address", "An active virtual or real server has no address, or 0.0.0.0."),
    ("missing-arguments", "A keyword has no value, or not all of them."),
    (
        "mixed-families",
        "A virtual address and a real server are of different families, which the kernel takes only under tunnel; or the two ends of a heartbeat path, or of a check, are.",
    ),
    ("octal", "A number with a leading zero is octal, as it always was: 010 is 8."),
    ("out-of-range", "A number or a time is outside of the keyword's range."),
    (
        "port-below-server",
        "A real server takes the virtual's port as it stands above its block. A port set below it does not count for it.",
    ),
    ("port-zero", "A service on every port (port 0) must be persistent: the kernel refuses others."),
    ("private-alone", "backup_private without primary_private has no effect."),
    ("serial-cut", "A serial number of more than 32 bits is cut, as it always was."),
    (
        "shared-disk",
        "primary_shared, backup_shared or reservation_conflict_action with service = fos: reservations of a shared SCSI disk are not supported. A shared disk needs a cluster file system, or fencing.",
    ),
    ("server-port-name", "The port of a real server is a name. It is read; the original takes only numbers there."),
    (
        "single-quotes",
        "Single quotes around send, expect, send_program, start_cmd and stop_cmd belong to the text, as they always did.",
    ),
    (
        "stray-keyword",
        "A keyword that the original's manual or web interface has, but its parser refuses. debug is read as debug_level; the others are ignored.",
    ),
    ("text-too-long", "A text, a name or a list is longer than it may be."),
    ("unknown-keyword", "There is no such keyword here."),
    ("unwritable-text", "A text holds control characters or both kinds of quotes in a way that lvs.cf cannot express."),
    ("whole-seconds", "The kernel counts this time in whole seconds."),
    (
        "withdraw-failover",
        "vip_withdraw stands in a failover block. It is about real servers, of which a failover service has none: one that cannot run goes to the other director, and its virtual IP with it.",
    ),
    ("wrong-type", "A value is of another type: a block where a number belongs, and the like."),
];

/// What is read but will not work, or not as it looks.
const LINT: &[(&str, &str)] = &[
    (
        "backup-undefined",
        "backup_active is 1 and backup is not set: there is nobody to send heartbeats to, and the director runs alone.",
    ),
    (
        "backup-unused",
        "backup is set and backup_active is 0: no heartbeats are sent, and the backup director does not start.",
    ),
    (
        "bare-device",
        "A virtual address or nat_router is put on a device itself and not on a label like eth0:1. The original takes the device's own address away when it becomes active, and the device down when it becomes inactive. We do not, but the pair should agree.",
    ),
    (
        "classful-mask",
        "Without vip_nmask or nat_nmask an address gets the mask of its class, as ifconfig(8) has it: 255.0.0.0 for 10.1.2.3. Usually 255.255.255.255 is meant, or the network's own mask.",
    ),
    ("checks-needed", "checks_needed is more than there are checks: all of them are needed."),
    (
        "connection-limits",
        "min_connections is more than max_connections, of which the kernel takes neither. It is taken for as many.",
    ),
    (
        "deadtime-busy",
        "deadtime is less than 100 ms, and realtime_priority is not set. A processor that others keep busy may have pulse wait as long for its turn, and the partner takes a heartbeat that comes so late for a death.",
    ),
    ("deadtime-close", "deadtime is less than twice keepalive: a single lost heartbeat is a takeover."),
    (
        "deadtime-short",
        "deadtime is less than keepalive and 1.375 s. The kernel counts the time for which it keeps the virtual IPs of a director whose pulse is gone for good, or frozen, in seconds; it may then have them up to 1.3 s beside the partner, which announces them again and again meanwhile. A host that is gone altogether has nothing to do with it.",
    ),
    (
        "director-is-server",
        "Under direct routing or tunnelling a real server is one of the two directors. The standby one has the rules loaded and would balance once more what the other one sends it.",
    ),
    (
        "expect-unread",
        "expect waits for an answer that does not come: nothing is sent to a service in which the client speaks first; or expect is empty.",
    ),
    ("heartbeat-same", "Two heartbeat addresses are equal: a director would talk to itself."),
    (
        "floor-holds-all",
        "min_up is as many real servers as there are, or more: a failed one is never taken out of use.",
    ),
    (
        "http-line-end",
        "A request to an HTTP server does not end with an empty line (\\r\\n\\r\\n): many servers go on waiting for it.",
    ),
    ("ineffective", "A keyword is set that another one makes ineffective."),
    ("ipv6-mask", "An IPv4 netmask is set for an IPv6 address. It is ignored: the address has prefix length 128."),
    (
        "bad-regex",
        "use_regex is 1 and expect, or the body of a check, is no regular expression: every check would fail.",
    ),
    (
        "keepalive-deadtime",
        "keepalive is not less than deadtime: the partner is declared dead between two of its heartbeats.",
    ),
    ("no-active-failover", "service = fos, and no failover block is active: there is nothing to do."),
    ("no-active-server", "An active virtual has no active real server."),
    ("no-active-virtual", "No virtual is active: there is nothing to do."),
    (
        "no-destination",
        "The address of a real server or a sorry server is a multicast, broadcast or, in IPv6, link-local one: the kernel refuses it as a destination.",
    ),
    ("no-primary", "primary is not set: no node is the primary director."),
    (
        "no-start-cmd",
        "An active failover block has no start_cmd: nothing starts its service, here or on the other director.",
    ),
    (
        "no-stop-cmd",
        "An active failover block has no stop_cmd: its service runs on when the other director has taken over, and cannot be started afresh.",
    ),
    (
        "other-kind",
        "A block is active that is not run: a failover block under service = lvs, or a virtual block under service = fos.",
    ),
    (
        "persistence-differs",
        "Virtuals with one firewall mark are one service to the kernel, but differ in persistent or pmask: only one of them counts.",
    ),
    (
        "port-mapping",
        "Under direct routing and tunnelling the kernel does not change ports: packets arrive at the real server's virtual port. A server's own port is where the probe goes, and only that.",
    ),
    (
        "program-without-expect",
        "send_program without expect: there is nothing its output could be equal to, so that the server is never available.",
    ),
    ("quorum-unreachable", "quorum is more real servers than are active: it is never there."),
    (
        "reentry-short",
        "reentry is less than the time between two checks: a failed server is back after a single good check.",
    ),
    ("same-destination", "Two active servers of a virtual are one destination to the kernel."),
    ("same-failover", "Two active failover blocks are watched at the same address and port: only the first is run."),
    (
        "same-service",
        "Two active virtuals are one service to the kernel: the same mark, or the same protocol, address and port.",
    ),
    ("shared-label", "Two virtual addresses are put on one label. The original then takes both away with the first."),
    (
        "slow-stop",
        "stop_timeout is longer than a stop of pulse leaves lvsd: stop_cmd of a failover service is then left to itself, neither killed nor reported. When the service moves to the other director it has all of its time.",
    ),
    (
        "tls-name",
        "A check of tls, https or grpcs verifies a certificate and has neither tls_name nor a host name: the certificate must have the server's address in it, which few do.",
    ),
    ("udp-without-send", "A UDP service is checked by an answer to what is sent, and nothing is sent."),
    (
        "weight-zero",
        "Every active server has weight 0, which means no new connections: no client gets to any of them. The original took 0 for 1.",
    ),
    (
        "witness-inside",
        "A witness is an address of a director, or one that moves with the active director: it says nothing about who is cut off.",
    ),
];

/// What the machine lacks.
const MACHINE: &[(&str, &str)] = &[
    ("device-missing", "A device of a virtual address or of nat_router does not exist on this machine."),
    (
        "inverted-check",
        "A send_program looks like the sample of the original's manual, in which OK and FAIL are swapped: it says OK when the count is not 1.",
    ),
    (
        "no-ip-forward",
        "network = nat, and this machine does not forward packets: set net.ipv4.ip_forward (net.ipv6.conf.all.forwarding).",
    ),
    ("no-scheduler", "This machine's kernel has no such scheduler (module ip_vs_NAME)."),
    ("not-ours", "Neither the primary's nor the backup's address is one of this machine: pulse does not start here."),
    ("program-missing", "A program does not exist."),
    ("program-not-executable", "A program is not executable."),
    ("program-writable", "A program that root runs can be written by others."),
    ("syncd-interface", "The device over which connections are synchronised does not exist on this machine."),
];

/// A part of lvs.cf(5)'s list of diagnostics.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) rules: &'static [(&'static str, &'static str)],
}

/// All rules, in the manual's order.
pub(super) const CHAPTERS: [Chapter; 5] = [
    Chapter { title: "Of the form", rules: FORM },
    Chapter { title: "Of the file", rules: WHOLE },
    Chapter { title: "Of keywords and values", rules: VALUE },
    Chapter { title: "Of what will not work", rules: LINT },
    Chapter { title: "Of this machine", rules: MACHINE },
];

/// Whether a rule is about what will not work, not about how the file is written.
#[cfg(test)]
pub(super) fn is_lint(id: &str) -> bool {
    LINT.iter().any(|(lint, _)| *lint == id)
}

/// Every id.
#[cfg(test)]
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    CHAPTERS.iter().flat_map(|chapter| chapter.rules).map(|(id, _)| *id)
}
