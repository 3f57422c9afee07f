//! PURE. Who is told of what happens to this director: which lines of the log are
//! events, their words for `notify`, their line of JSON for `notify_fifo`, and the
//! queue in which they wait. A listener that is slow loses the oldest, and is told
//! how many.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use common::config::json_text;

use crate::election::Line;
use crate::identity::Role;
use crate::messages::Message;
use crate::node::Command;

/// How many events wait for a listener.
const QUEUE_MAX: usize = 64;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `state`, `partner`, `path`, `witness`, `configuration`, `vip`, `check`, `services`.
    pub event: &'static str,
    /// `active`, `standby`; `lost`, `back`, `left`, `claimed`; `differs`, `agrees`;
    /// `failing`, `mended`.
    pub what: &'static str,
    /// What the log says of it; empty for a change of state.
    pub text: String,
}

impl Notice {
    /// This director became active, or ceased to be.
    pub fn of_state(command: Command) -> Self {
        let what = match command {
            Command::Active => "active",
            Command::Inactive => "standby",
        };
        Self { event: "state", what, text: String::new() }
    }

    /// `check_cmd` fails, or does not any more.
    pub fn of_check(fails: bool) -> Self {
        Self { event: "check", what: if fails { "failing" } else { "mended" }, text: String::new() }
    }

    /// A virtual IP that was lost is on its device.
    pub fn of_return(vip: IpAddr, device: &str) -> Self {
        Self { event: "vip", what: "back", text: format!("virtual IP {vip} is on {device} again") }
    }

    /// The event that a line of the log tells of, if it does.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a few lines of a hundred are events")]
    pub fn of_line(line: &Message) -> Option<Self> {
        let (event, what) = match line {
            Message::Pair(Line::PartnerLost { .. }) => ("partner", "lost"),
            Message::Pair(Line::PartnerAlive | Line::PartnerRestarted) => ("partner", "back"),
            Message::Pair(Line::PartnerLeft) => ("partner", "left"),
            Message::Pair(Line::PathLost { .. }) => ("path", "lost"),
            Message::Pair(Line::PathRestored { .. }) => ("path", "back"),
            Message::Pair(Line::Isolated) => ("witness", "lost"),
            Message::Pair(Line::Connected) => ("witness", "back"),
            Message::Pair(Line::ConfigurationDiffers) => ("configuration", "differs"),
            Message::Pair(Line::ConfigurationAgrees) => ("configuration", "agrees"),
            Message::PutBack { .. } | Message::PutBackLent { .. } | Message::NotAdded { .. } => ("vip", "lost"),
            Message::Claimed { .. } => ("vip", "claimed"),
            Message::Unable(_) => ("services", "failing"),
            Message::Able => ("services", "mended"),
            // Everything else is for people.
            _ => return None,
        };
        Some(Self { event, what, text: line.to_string() })
    }
}

/// Which director this is, and whether it is the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its role.
    pub role: Role,
    /// Whether it is active.
    pub is_active: bool,
}

impl Standing {
    fn words(self) -> (&'static str, &'static str) {
        let role = match self.role {
            Role::Master => "MASTER",
            Role::Backup => "BACKUP",
            Role::Stranger => "NONE",
        };
        (role, if self.is_active { "active" } else { "standby" })
    }
}

/// What `notify` gets behind its own words: EVENT WHAT ROLE STATE TEXT.
pub fn arguments(notice: &Notice, standing: Standing) -> Vec<String> {
    let (role, state) = standing.words();
    [notice.event, notice.what, role, state, &notice.text].map(str::to_owned).into()
}

/// One line for `notify_fifo`. `since` is the time since 1970; `dropped` how many
/// events before this one were lost.
pub fn json(notice: &Notice, standing: Standing, since: Duration, dropped: u64) -> String {
    let (role, state) = standing.words();
    let mut line = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(
        line,
        "{{\"time\":{}.{:03},\"event\":\"{}\",\"what\":\"{}\",\"role\":\"{role}\",\"state\":\"{state}\",\
         \"text\":{},\"dropped\":{dropped}}}",
        since.as_secs(),
        since.subsec_millis(),
        notice.event,
        notice.what,
        json_text(&notice.text),
    );
    line
}

/// What waits for a listener.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<T>,
    dropped: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), dropped: 0 }
    }
}

impl<T> Queue<T> {
    /// One more; the oldest goes for it if there are too many.
    pub fn push(&mut self, item: T) {
        if self.waiting.len() >= QUEUE_MAX {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(item);
    }

    /// The oldest.
    pub fn front(&self) -> Option<&T> {
        self.waiting.front()
    }

    /// Takes the oldest away.
    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front()
    }

    /// How many were lost.
    pub fn count_dropped(&self) -> u64 {
        self.dropped
    }

    /// The same, and that it was told.
    pub fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDING: Standing = Standing { role: Role::Backup, is_active: true };

    #[test]
    fn an_event_is_words_for_a_script_and_a_line_for_a_program() {
        let notice = Notice::of_line(&Message::Unable("a \"service\"\nof two lines".into())).unwrap();
        assert_eq!(arguments(&notice, STANDING)[..4], ["services", "failing", "BACKUP", "active"]);
        let line = json(&notice, STANDING, Duration::from_millis(1_500_000_000_042), 3);
        assert_eq!(
            line,
            "{\"time\":1500000000.042,\"event\":\"services\",\"what\":\"failing\",\"role\":\"BACKUP\",\"state\":\"active\",\
             \"text\":\"lvsd says: a \\\"service\\\"\\u000aof two lines\",\"dropped\":3}\n"
        );
        let state = Notice::of_state(Command::Inactive);
        assert_eq!((state.event, state.what), ("state", "standby"));
        assert_eq!(Notice::of_line(&Message::Rereading), None);
    }

    #[test]
    fn what_comes_and_goes_is_told_both_ways() {
        let path = || "Private".to_owned();
        let (address, device) = (IpAddr::from([192, 0, 2, 100]), || "eth0".to_owned());
        for (line, event, what) in [
            (Message::Pair(Line::PathLost { path: path() }), "path", "lost"),
            (Message::Pair(Line::PathRestored { path: path() }), "path", "back"),
            (Message::Pair(Line::Isolated), "witness", "lost"),
            (Message::Pair(Line::Connected), "witness", "back"),
            (Message::Pair(Line::ConfigurationDiffers), "configuration", "differs"),
            (Message::Pair(Line::ConfigurationAgrees), "configuration", "agrees"),
            (Message::PutBack { address, device: device() }, "vip", "lost"),
        ] {
            let notice = Notice::of_line(&line).unwrap();
            assert_eq!((notice.event, notice.what, notice.text), (event, what, line.to_string()));
        }
        let back = Notice::of_return(address, "eth0");
        assert_eq!((back.event, back.what, &*back.text), ("vip", "back", "virtual IP 192.0.2.100 is on eth0 again"));
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_and_is_told() {
        let mut queue = Queue::default();
        (0..QUEUE_MAX + 3).for_each(|n| queue.push(n));
        assert_eq!((queue.front().copied(), queue.count_dropped()), (Some(3), 3));
        assert_eq!((queue.dropped(), queue.dropped()), (3, 0));
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), QUEUE_MAX);
    }
}
