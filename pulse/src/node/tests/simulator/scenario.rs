//! What goes wrong, as a value that proptest can draw and make smaller.

use proptest::prelude::*;

use super::*;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Wires are cut; bit n of `ways` is the MASTER's path n, bit 4 + n the BACKUP's.
    Cut {
        ways: u8,
    },
    /// Heartbeats are dropped, and nothing else is: bits as above.
    Filtered {
        ways: u8,
    },
    /// Everything about one host is cut, witnesses too.
    Isolated {
        host: usize,
    },
    Lossy {
        ways: u8,
        loss: u8,
        duplication: u8,
    },
    Slow {
        ways: u8,
        beats: u8,
    },
    /// SIGSTOP, then SIGCONT; or a machine that is frozen.
    Frozen {
        host: usize,
        machine: bool,
        clock_stands: bool,
    },
    /// Power off, then on.
    Crashed {
        host: usize,
    },
    /// SIGKILL; the VIPs stay, somebody starts it again.
    Killed {
        host: usize,
    },
    /// A clean stop, then a start.
    Stopped {
        host: usize,
    },
    /// An upgrade.
    Detached {
        host: usize,
    },
    Relocated {
        host: usize,
    },
    Released {
        host: usize,
    },
    Failing {
        host: usize,
        watched: usize,
    },
    LinkDown {
        host: usize,
        path: usize,
    },
    /// Failover services that cannot run on a host: bit n is host n.
    Broken {
        hosts: u8,
    },
    /// Other timers; the other host gets them when it ends.
    Reloaded {
        host: usize,
        keepalive: Duration,
        deadtime: Duration,
    },
    /// What was heard before is sent again, so often.
    Replayed {
        to: usize,
        times: u8,
    },
    /// Four bytes that somebody made up; only where a key keeps them out.
    Forged {
        to: usize,
        word: u8,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// After the last one began.
    pub(super) gap: Duration,
    pub(super) lasts: Duration,
    pub(super) trouble: Trouble,
}

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) keepalive: Duration,
    pub(super) deadtime: Duration,
    pub(super) paths: usize,
    pub(super) is_keyed: bool,
    pub(super) has_witness: bool,
    pub(super) auto_failback: bool,
    /// Which host is an original, if one is.
    pub(super) original: Option<usize>,
    /// Which host starts first.
    pub(super) first: usize,
    /// In tenths of a keepalive, when the other one does.
    pub(super) apart: u8,
    pub(super) faults: Vec<Fault>,
}

impl Scenario {
    pub(super) fn settings(&self, role: Role) -> Settings {
        let path = |n: usize| Path { name: ["Primary", "Private", "Third"][n].to_owned(), serves: n == 0 };
        Settings {
            role,
            service: Service::Lvs,
            keepalive: self.keepalive,
            deadtime: self.deadtime,
            paths: (0..self.paths).map(path).collect(),
            witness: self.has_witness.then_some(self.keepalive / 2),
            look_every: self.keepalive,
            auto_failback: self.auto_failback.then_some(self.deadtime * 2),
            steady: self.deadtime,
            fingerprint: 1,
        }
    }

    pub(super) fn start_apart(&self) -> Duration {
        self.keepalive * self.apart.into() / 10
    }

    /// The longest keepalive anybody ever has, and the longest silence anybody
    /// allows (a reload may have reached only one of the two).
    pub(super) fn longest(&self) -> (Duration, Duration) {
        let reloads = self.faults.iter().filter_map(|fault| match fault.trouble {
            Trouble::Reloaded { keepalive, deadtime, .. } => Some((keepalive, deadtime)),
            _ => None,
        });
        let timers: Vec<_> = reloads.chain([(self.keepalive, self.deadtime)]).collect();
        let keepalive = timers.iter().map(|(keepalive, _)| *keepalive).max().unwrap();
        let deadtime = timers.iter().map(|(_, deadtime)| *deadtime).max().unwrap();
        (keepalive, deadtime.max(keepalive * 5 / 2))
    }

    /// By when everything has settled.
    pub(super) fn bound(&self) -> Duration {
        let (keepalive, allowed) = self.longest();
        let failback = if self.auto_failback { self.deadtime * 2 + allowed * 2 } else { Duration::ZERO };
        allowed * 4 + keepalive * 6 + failback
    }
}

/// Keepalive, and deadtime of two to six times that.
fn timers(scale: std::ops::Range<u64>) -> impl Strategy<Value = (Duration, Duration)> {
    (scale, 20..60_u32).prop_map(|(ms, tenths)| {
        let keepalive = Duration::from_millis(ms);
        (keepalive, keepalive * tenths / 10)
    })
}

fn trouble(mixed: bool, keyed: bool, paths: usize) -> BoxedStrategy<Trouble> {
    let host = || 0..HOSTS;
    let ways = || prop_oneof![Just(0xff_u8), Just(0x0f), Just(0xf0), any::<u8>()];
    let common = prop_oneof![
        4 => ways().prop_map(|ways| Trouble::Cut { ways }),
        3 => ways().prop_map(|ways| Trouble::Filtered { ways }),
        1 => host().prop_map(|host| Trouble::Isolated { host }),
        2 => (ways(), 1..40_u8, 0..40_u8).prop_map(|(ways, loss, duplication)| Trouble::Lossy { ways, loss, duplication }),
        2 => (ways(), 1..20_u8).prop_map(|(ways, beats)| Trouble::Slow { ways, beats }),
        3 => (host(), any::<bool>(), any::<bool>())
            .prop_map(|(host, machine, clock_stands)| Trouble::Frozen { host, machine, clock_stands }),
        2 => host().prop_map(|host| Trouble::Crashed { host }),
        1 => host().prop_map(|host| Trouble::Stopped { host }),
        1 => (host(), 0..2_usize).prop_map(|(host, watched)| Trouble::Failing { host, watched }),
        1 => (host(), 0..paths).prop_map(|(host, path)| Trouble::LinkDown { host, path }),
        1 => host().prop_map(|host| Trouble::Relocated { host }),
        1 => host().prop_map(|host| Trouble::Released { host }),
    ];
    if mixed {
        return common.boxed();
    }
    let ours = prop_oneof![
        2 => host().prop_map(|host| Trouble::Killed { host }),
        1 => host().prop_map(|host| Trouble::Detached { host }),
        2 => (1..4_u8).prop_map(|hosts| Trouble::Broken { hosts }),
        2 => (host(), 1..40_u8).prop_map(|(to, times)| Trouble::Replayed { to, times }),
        1 => (host(), 0..7_u8).prop_map(move |(to, word)| {
            if keyed { Trouble::Forged { to, word } } else { Trouble::Replayed { to, times: word } }
        }),
    ];
    prop_oneof![3 => common, 1 => ours].boxed()
}

fn fault(
    keepalive: Duration,
    deadtime: Duration,
    mixed: bool,
    keyed: bool,
    paths: usize,
) -> impl Strategy<Value = Fault> {
    let reload = (0..HOSTS, 2..40_u32, 20..60_u32).prop_map(move |(host, fifths, tenths)| {
        let keepalive = (keepalive * fifths / 10).max(Duration::from_millis(10));
        Trouble::Reloaded { host, keepalive, deadtime: keepalive * tenths / 10 }
    });
    let trouble = trouble(mixed, keyed, paths);
    let trouble = if mixed { trouble } else { prop_oneof![12 => trouble, 1 => reload].boxed() };
    // Many close together, some after a long quiet.
    let gap = prop_oneof![3 => 0..60_u32, 2 => 60..400_u32];
    let lasts = prop_oneof![2 => 0..20_u32, 2 => 20..80_u32];
    (gap, lasts, trouble).prop_map(move |(gap, lasts, trouble)| Fault {
        gap: deadtime * gap / 10,
        lasts: deadtime * lasts / 10,
        trouble,
    })
}

/// Any scenario; `mixed` with an original on one side. The scale is that of the
/// keepalive in milliseconds.
pub(super) fn any_scenario(mixed: bool, scale: std::ops::Range<u64>) -> impl Strategy<Value = Scenario> {
    let kind = (any::<u64>(), timers(scale), 1..4_usize, any::<[bool; 3]>(), 0..HOSTS, 0..30_u8);
    kind.prop_flat_map(
        move |(seed, (keepalive, deadtime), paths, [key, has_witness, auto_failback], original, apart)| {
            let is_keyed = key && !mixed && seed.is_multiple_of(4); // a MAC costs more than all the rest
            proptest::collection::vec(fault(keepalive, deadtime, mixed, is_keyed, paths), 0..20).prop_map(
                move |faults| Scenario {
                    seed,
                    keepalive,
                    deadtime,
                    paths,
                    is_keyed,
                    has_witness,
                    auto_failback: auto_failback && seed.is_multiple_of(2),
                    original: mixed.then_some(original),
                    first: usize::from(seed.is_multiple_of(3)),
                    apart,
                    faults,
                },
            )
        },
    )
}

impl World {
    pub(super) fn begin(&mut self, n: usize) {
        let trouble = self.faults[n].trouble.clone();
        self.tell(|world| format!("--- {trouble:?} for {:?}", world.faults[n].lasts));
        self.judge.disturbed(self.now);
        match trouble {
            Trouble::Cut { ways } => self.each_way(ways, |wire| wire.cuts += 1),
            Trouble::Filtered { ways } => self.each_way(ways, |wire| wire.filters += 1),
            Trouble::Isolated { host } => {
                self.each_way(0xff, |wire| wire.cuts += 1);
                self.hosts[host].witness_cuts += 1;
            }
            Trouble::Lossy { ways, loss, duplication } => {
                self.each_way(ways, |wire| (wire.loss, wire.duplication) = (loss, duplication));
            }
            Trouble::Slow { ways, beats } => {
                let slowness = self.hosts[0].settings.keepalive * beats.into() / 4;
                self.each_way(ways, |wire| wire.slowness = slowness);
            }
            Trouble::Frozen { host, machine, .. } => self.freeze(host, machine),
            Trouble::Crashed { host } => {
                self.gone(host);
                self.hosts[host].vips = false;
            }
            Trouble::Killed { host } => self.gone(host),
            Trouble::Stopped { host } => self.stop(host, Request::Stop),
            Trouble::Detached { host } => self.stop(host, Request::Detach),
            Trouble::Relocated { host } => {
                self.judge.relocated(self.now);
                self.relocate(host);
            }
            Trouble::Released { host } => {
                self.hosts[host].is_released = true;
                self.ask(host, Event::Asked(Request::Release));
            }
            Trouble::Failing { host, watched } => {
                self.hosts[host].fails[watched] = true;
                self.ask(host, Event::Failing([Watched::Lvsd, Watched::Check][watched]));
            }
            Trouble::LinkDown { host, path } => {
                self.hosts[host].links_down[path] = true;
                self.ask(host, Event::Link { path, is_up: false });
            }
            Trouble::Broken { hosts } => self.each_host(hosts, Self::break_services),
            Trouble::Reloaded { host, keepalive, deadtime } => self.reload(host, keepalive, deadtime),
            Trouble::Replayed { to, times } => self.replay(to, times),
            Trouble::Forged { to, word } => self.forge(to, word),
        }
    }

    pub(super) fn end(&mut self, n: usize) {
        let trouble = self.faults[n].trouble.clone();
        self.tell(|_| format!("--- over: {trouble:?}"));
        self.judge.disturbed(self.now);
        match trouble {
            Trouble::Cut { ways } => self.each_way(ways, |wire| wire.cuts -= 1),
            Trouble::Filtered { ways } => self.each_way(ways, |wire| wire.filters -= 1),
            Trouble::Isolated { host } => {
                self.each_way(0xff, |wire| wire.cuts -= 1);
                self.hosts[host].witness_cuts -= 1;
            }
            Trouble::Lossy { ways, .. } => self.each_way(ways, |wire| (wire.loss, wire.duplication) = (0, 0)),
            Trouble::Slow { ways, .. } => self.each_way(ways, |wire| wire.slowness = Duration::ZERO),
            Trouble::Frozen { host, clock_stands, .. } => self.thaw(host, clock_stands),
            Trouble::Crashed { host }
            | Trouble::Killed { host }
            | Trouble::Stopped { host }
            | Trouble::Detached { host } => {
                let how =
                    if self.hosts[host].vips && !self.hosts[host].is_original { Start::Holding } else { Start::Fresh };
                self.start(host, how);
            }
            Trouble::Released { host } => {
                self.thaw(host, false);
                self.hosts[host].is_released = false;
                self.judge.rests.forget(host);
                self.ask(host, Event::Asked(Request::Restore));
            }
            Trouble::Failing { host, watched } => {
                self.thaw(host, false);
                self.hosts[host].fails[watched] = false;
                self.hosts[host].mended = self.now;
                self.ask(host, Event::Mended([Watched::Lvsd, Watched::Check][watched]));
            }
            Trouble::LinkDown { host, path } => {
                self.thaw(host, false);
                let was_cut_off = self.hosts[host].is_cut_off();
                self.hosts[host].links_down[path] = false;
                if was_cut_off && !self.hosts[host].is_cut_off() {
                    self.judge.awake(host, self.now);
                }
                self.ask(host, Event::Link { path, is_up: true });
            }
            Trouble::Broken { hosts } => self.each_host(hosts, Self::mend_services),
            Trouble::Reloaded { host, keepalive, deadtime } => self.reload(1 - host, keepalive, deadtime),
            Trouble::Relocated { .. } | Trouble::Replayed { .. } | Trouble::Forged { .. } => {}
        }
    }

    fn each_host(&mut self, hosts: u8, change: impl Fn(&mut Self, usize)) {
        for host in (0..HOSTS).filter(|host| hosts & (1 << host) != 0) {
            change(self, host);
        }
    }

    fn each_way(&mut self, ways: u8, change: impl Fn(&mut Wire)) {
        for (host, wires) in self.wires.iter_mut().enumerate() {
            for (path, wire) in wires.iter_mut().enumerate() {
                if ways & (1 << (host * 4 + path)) != 0 {
                    change(wire);
                }
            }
        }
    }

    fn freeze(&mut self, host: usize, machine: bool) {
        let now = self.now;
        let host = &mut self.hosts[host];
        if !host.is_frozen && host.director.is_some() {
            host.is_frozen = true;
            host.frozen_at = now;
            host.machine_is_frozen = machine;
        }
    }

    pub(super) fn thaw(&mut self, host: usize, clock_stands: bool) {
        if !std::mem::take(&mut self.hosts[host].is_frozen) {
            return;
        }
        let machine = std::mem::take(&mut self.hosts[host].machine_is_frozen);
        let lasted = self.now - self.hosts[host].frozen_at;
        let is_told = machine && clock_stands && !self.hosts[host].is_original;
        // A shorter one it cannot notice by itself: it was asleep anyway.
        if is_told || lasted >= self.hosts[host].settings.keepalive + self.judge.allowed / 4 {
            self.judge.awake(host, self.now);
        }
        let inbox = std::mem::take(&mut self.hosts[host].inbox);
        // What it was doing comes before what it reads.
        let is_deed = |happening: &Happening| matches!(happening, Happening::Raised { .. } | Happening::Lowered { .. });
        let overdue = std::mem::take(&mut self.hosts[host].overdue);
        let (deeds, overdue): (Vec<_>, Vec<_>) = overdue.into_iter().partition(is_deed);
        if is_told {
            self.hosts[host].behind += lasted;
            self.feed(host, Event::Slept { lasted });
        }
        for happening in deeds {
            self.happen(happening);
        }
        for (path, packet) in inbox {
            self.arrive(host, path, packet);
        }
        for happening in overdue {
            self.happen(happening);
        }
        self.feed(host, Event::Tick);
    }

    fn gone(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        host.director = None;
        host.life += 1;
        host.is_frozen = false;
        host.machine_is_frozen = false;
        host.inbox.clear();
        host.overdue.clear();
    }

    fn stop(&mut self, host: usize, how: Request) {
        if self.hosts[host].is_frozen {
            return;
        }
        self.feed(host, Event::Asked(how));
        if self.hosts[host].is_original {
            self.gone(host);
        }
    }

    /// What nobody reads now is read later.
    pub(super) fn ask(&mut self, host: usize, event: Event) {
        self.thaw(host, false);
        self.feed(host, event);
    }

    fn reload(&mut self, host: usize, keepalive: Duration, deadtime: Duration) {
        if self.hosts[host].is_original {
            return;
        }
        let settings = Settings { keepalive, deadtime, ..self.hosts[host].settings.clone() };
        self.judge.reloaded(host, self.hosts[host].settings.deadtime, self.now);
        self.hosts[host].settings = settings.clone();
        self.judge.rests.forget(host);
        self.ask(host, Event::Reloaded(Box::new(settings)));
    }

    fn replay(&mut self, to: usize, times: u8) {
        for _ in 0..times {
            let from = self.dice.below(2) as usize; // our own, too
            let count = self.recorded[from].len() as u64;
            let Some(packet) = self.recorded[from].get(self.dice.below(count) as usize).cloned() else { continue };
            let path = self.dice.below(self.wires[to].len() as u64) as usize;
            let after = self.dice.up_to(self.hosts[to].settings.keepalive);
            self.later(self.now + after, Happening::Arrives { to, path, packet });
        }
    }

    fn forge(&mut self, to: usize, word: u8) {
        let words = [
            Word::Lvs(Claim::Running),
            Word::Lvs(Claim::Stopped),
            Word::Fos(Claim::Running),
            Word::Fos(Claim::Stopped),
            Word::StopMe,
            Word::Hold,
            Word::Held,
        ];
        let word = words[usize::from(word)];
        let bytes = Some(word.to_bytes().to_vec());
        let packet = Packet { datagram: Datagram::Original(word), bytes, sent: self.now, kind: Kind::Hostile };
        self.later(self.now, Happening::Arrives { to, path: 0, packet });
    }
}
