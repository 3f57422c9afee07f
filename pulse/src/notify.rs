//! PURE. Who is told of what happens to this director: which lines of the log are
//! events, their words for `notify`, their line of JSON for `notify_fifo`, and the
//! queue in which they wait. A listener that is slow loses the oldest, and is told
//! how many.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use common::channel::services::News;
use common::config::json_text;

use crate::election::Line;
use crate::identity::Role;
use crate::messages::Message;
use crate::node::Command;

/// How many events of this director wait for a listener.
const QUEUE_MAX: usize = 64;

/// How many of its services do. They wait apart, so that ten thousand real servers that
/// fail at once leave room for the one event that says who is active.
const SERVICES_MAX: usize = 1024;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `state`, `partner`, `path`, `witness`, `configuration`, `links`, `check`,
    /// `services`; `server`, `virtual`, `sorry`, `vip`.
    pub event: &'static str,
    /// `active`, `standby`; `lost`, `back`, `left`, `deaf`, `claimed`; `differs`, `agrees`;
    /// `failing`, `mended`; `up`, `down`; `in`, `out`; `withdrawn`, `raised`.
    pub what: &'static str,
    /// Whom it happened to: `VIRTUAL/SERVER`, `VIRTUAL`, a virtual IP; empty if to this
    /// director.
    pub name: String,
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
        Self { event: "state", what, name: String::new(), text: String::new() }
    }

    /// `check_cmd` fails, or does not any more.
    pub fn of_check(fails: bool) -> Self {
        let what = if fails { "failing" } else { "mended" };
        Self { event: "check", what, name: String::new(), text: String::new() }
    }

    /// A virtual IP that was lost is on its device.
    pub fn of_return(vip: IpAddr, device: &str) -> Self {
        let text = format!("virtual IP {vip} is on {device} again");
        Self { event: "vip", what: "back", name: vip.to_string(), text }
    }

    /// What lvsd told.
    pub fn of_news(News { what, name, text, .. }: News) -> Self {
        let (event, what) = what.words();
        Self { event, what, name, text }
    }

    /// The events that a line of the log tells of, if it does.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a few lines of a hundred are events")]
    pub fn of_line(line: &Message) -> Vec<Self> {
        let of_vips = |what, vips: &[IpAddr]| {
            let names = vips.iter().map(IpAddr::to_string);
            names.map(|name| Self { event: "vip", what, name, text: line.to_string() }).collect()
        };
        let (event, what) = match line {
            Message::Withdrawing(vips) | Message::Withheld(vips) => return of_vips("withdrawn", vips),
            Message::Returning(vips) => return of_vips("raised", vips),
            Message::PutBack { address, .. }
            | Message::PutBackLent { address, .. }
            | Message::NotAdded { address, .. }
            | Message::NoDevice { address, .. }
            | Message::DeviceDown { address, .. } => return of_vips("lost", &[*address]),
            Message::Claimed { report, .. } => return of_vips("claimed", &[report.vip]),
            Message::Pair(Line::PartnerLost { .. }) => ("partner", "lost"),
            Message::Pair(Line::PartnerAlive | Line::PartnerRestarted) => ("partner", "back"),
            Message::Pair(Line::PartnerLeft) => ("partner", "left"),
            Message::Pair(Line::PartnerDeaf) => ("partner", "deaf"),
            Message::Pair(Line::ResendingArps | Line::Rivalled) => ("partner", "active"),
            Message::Pair(Line::Uncontested | Line::Unrivalled) => ("partner", "standby"),
            Message::Pair(Line::LinksFailed) => ("links", "failing"),
            Message::Pair(Line::LinksRestored) => ("links", "mended"),
            Message::Pair(Line::PathLost { .. }) => ("path", "lost"),
            Message::Pair(Line::PathRestored { .. }) => ("path", "back"),
            Message::Pair(Line::Isolated) => ("witness", "lost"),
            Message::Pair(Line::Connected) => ("witness", "back"),
            Message::Pair(Line::ConfigurationDiffers) => ("configuration", "differs"),
            Message::Pair(Line::ConfigurationAgrees) => ("configuration", "agrees"),
            Message::Unable(_) => ("services", "failing"),
            Message::Able => ("services", "mended"),
            // Everything else is for people.
            _ => return Vec::new(),
        };
        vec![Self { event, what, name: String::new(), text: line.to_string() }]
    }

    /// Whether it happened to this director itself.
    fn is_own(&self) -> bool {
        self.name.is_empty()
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

/// What `notify` gets behind its own words: EVENT WHAT ROLE STATE TEXT NAME.
pub fn arguments(notice: &Notice, standing: Standing) -> Vec<String> {
    let (role, state) = standing.words();
    [notice.event, notice.what, role, state, &notice.text, &notice.name].map(str::to_owned).into()
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
         \"name\":{},\"text\":{},\"dropped\":{dropped}}}",
        since.as_secs(),
        since.subsec_millis(),
        notice.event,
        notice.what,
        json_text(&notice.name),
        json_text(&notice.text),
    );
    line
}

/// What waits for a listener.
#[derive(Debug)]
pub struct Queue<T> {
    /// Of this director, and these first.
    own: VecDeque<T>,
    /// Of its services.
    services: VecDeque<T>,
    dropped: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { own: VecDeque::new(), services: VecDeque::new(), dropped: 0 }
    }
}

impl<T> Queue<T> {
    /// One more, of this event; the oldest of its kind goes for it if there are too many.
    pub fn push(&mut self, notice: &Notice, item: T) {
        let (waiting, max) =
            if notice.is_own() { (&mut self.own, QUEUE_MAX) } else { (&mut self.services, SERVICES_MAX) };
        if waiting.len() >= max {
            waiting.pop_front();
            self.dropped += 1;
        }
        waiting.push_back(item);
    }

    /// So many never came.
    pub fn missed(&mut self, count: u64) {
        self.dropped = self.dropped.saturating_add(count);
    }

    /// The oldest.
    pub fn front(&self) -> Option<&T> {
        self.own.front().or_else(|| self.services.front())
    }

    /// Takes the oldest away.
    pub fn pop(&mut self) -> Option<T> {
        self.own.pop_front().or_else(|| self.services.pop_front())
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
    use common::channel::services::Happened;

    use super::*;

    const STANDING: Standing = Standing { role: Role::Backup, is_active: true };

    fn one(line: &Message) -> Notice {
        let mut all = Notice::of_line(line);
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn an_event_is_words_for_a_script_and_a_line_for_a_program() {
        let notice = one(&Message::Unable("a \"service\"\nof two lines".into()));
        assert_eq!(arguments(&notice, STANDING)[..4], ["services", "failing", "BACKUP", "active"]);
        let line = json(&notice, STANDING, Duration::from_millis(1_500_000_000_042), 3);
        assert_eq!(
            line,
            "{\"time\":1500000000.042,\"event\":\"services\",\"what\":\"failing\",\"role\":\"BACKUP\",\"state\":\"active\",\
             \"name\":\"\",\"text\":\"lvsd says: a \\\"service\\\"\\u000aof two lines\",\"dropped\":3}\n"
        );
        let state = Notice::of_state(Command::Inactive);
        assert_eq!((state.event, state.what), ("state", "standby"));
        assert_eq!(Notice::of_line(&Message::Rereading), []);
    }

    #[test]
    fn what_happens_to_services_and_virtual_ips_is_an_event_each_with_a_name() {
        let news =
            News { what: Happened::ServerDown, name: "web/a".to_owned(), text: "it is down".to_owned(), lost: 0 };
        let words = arguments(&Notice::of_news(news), STANDING);
        assert_eq!(words, ["server", "down", "BACKUP", "active", "it is down", "web/a"]);
        let vips: Vec<IpAddr> = vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        let told = |line: &Message| -> Vec<String> {
            let all = Notice::of_line(line);
            all.iter().map(|it| format!("{} {} {} {}", it.event, it.what, it.name, it.text.is_empty())).collect()
        };
        let gone = ["vip withdrawn 192.0.2.1 false", "vip withdrawn 192.0.2.2 false"];
        assert_eq!(told(&Message::Withdrawing(vips.clone())), gone);
        assert_eq!(told(&Message::Withheld(vips.clone())), gone);
        assert_eq!(told(&Message::Returning(vips))[1], "vip raised 192.0.2.2 false");
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
            (Message::Pair(Line::ResendingArps), "partner", "active"),
            (Message::Pair(Line::Uncontested), "partner", "standby"),
            (Message::Pair(Line::Rivalled), "partner", "active"),
            (Message::Pair(Line::Unrivalled), "partner", "standby"),
            (Message::Pair(Line::LinksFailed), "links", "failing"),
            (Message::Pair(Line::LinksRestored), "links", "mended"),
            (Message::Pair(Line::ConfigurationDiffers), "configuration", "differs"),
            (Message::Pair(Line::ConfigurationAgrees), "configuration", "agrees"),
            (Message::PutBack { address, device: device() }, "vip", "lost"),
            (Message::NoDevice { address, more: 0, device: device() }, "vip", "lost"),
            (Message::DeviceDown { address, more: 0, device: device() }, "vip", "lost"),
        ] {
            let [notice] = Notice::of_line(&line).try_into().unwrap();
            assert_eq!((notice.event, notice.what, notice.text), (event, what, line.to_string()));
            assert_eq!(notice.name, if event == "vip" { "192.0.2.100" } else { "" });
        }
        let back = Notice::of_return(address, "eth0");
        assert_eq!((back.event, back.what, &*back.text), ("vip", "back", "virtual IP 192.0.2.100 is on eth0 again"));
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_and_is_told() {
        let mut queue = Queue::default();
        let own = Notice::of_state(Command::Active);
        (0..QUEUE_MAX + 3).for_each(|n| queue.push(&own, n));
        assert_eq!((queue.front().copied(), queue.count_dropped()), (Some(3), 3));
        assert_eq!((queue.dropped(), queue.dropped()), (3, 0));
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), QUEUE_MAX);
    }

    #[test]
    fn a_flood_of_events_of_services_leaves_room_for_those_of_the_director() {
        let mut queue = Queue::default();
        let own = Notice::of_state(Command::Active);
        let other = Notice { event: "server", name: "web/a".to_owned(), ..own.clone() };
        (0..40_000).for_each(|n| queue.push(&other, n));
        queue.push(&own, 40_000);
        queue.missed(5);
        assert_eq!(queue.count_dropped(), 40_000 - 1024 + 5);
        assert_eq!(
            (queue.front().copied(), queue.pop(), queue.pop()),
            (Some(40_000), Some(40_000), Some(40_000 - 1024))
        );
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 1023);
    }
}
