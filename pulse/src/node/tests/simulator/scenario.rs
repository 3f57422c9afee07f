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
    /// SIGKILL to pulse alone: its guardian starts another.
    Shot {
        host: usize,
    },
    /// SIGKILL to the guardian.
    Unguarded {
        host: usize,
    },
    /// Somebody deletes the VIPs by hand.
    Deleted {
        host: usize,
    },
    /// Something ails lvsd.
    Ill {
        host: usize,
        illness: Illness,
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
    /// Ours are whole nodes, not elections alone.
    pub(super) is_whole: bool,
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
            look_every: if self.is_whole { self.keepalive.max(Duration::from_secs(1)) } else { self.keepalive },
            auto_failback: self.auto_failback.then_some(self.deadtime * 2),
            steady: if self.is_whole { Duration::from_secs(60) } else { self.deadtime },
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
        let lvsd = if self.is_whole { lvsd::MENDED_WITHIN } else { Duration::ZERO };
        allowed * 4 + keepalive * 6 + failback + lvsd
    }
}

/// Keepalive, and deadtime of two to six times that.
fn timers(scale: std::ops::Range<u64>) -> impl Strategy<Value = (Duration, Duration)> {
    (scale, 20..60_u32).prop_map(|(ms, tenths)| {
        let keepalive = Duration::from_millis(ms);
        (keepalive, keepalive * tenths / 10)
    })
}

/// Who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pairing {
    /// One is an original.
    pub(super) mixed: bool,
    /// Ours are whole nodes.
    pub(super) whole: bool,
}

fn illness() -> impl Strategy<Value = Illness> {
    prop_oneof![
        (10..40_000_u64).prop_map(|ms| Illness::Dies { after: Duration::from_millis(ms) }),
        Just(Illness::Unready),
        Just(Illness::Frozen),
        Just(Illness::Missing),
        // READY_WITHIN is 30 s.
        (1..29_u64).prop_map(|s| Illness::Slow { ready_in: Duration::from_secs(s) }),
    ]
}

fn trouble(Pairing { mixed, whole }: Pairing, keyed: bool, paths: usize) -> BoxedStrategy<Trouble> {
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
        1 => (host(), usize::from(whole)..2).prop_map(|(host, watched)| Trouble::Failing { host, watched }),
        1 => (host(), 0..paths).prop_map(|(host, path)| Trouble::LinkDown { host, path }),
        1 => host().prop_map(|host| Trouble::Relocated { host }),
        1 => host().prop_map(|host| Trouble::Released { host }),
    ];
    let common = if whole {
        let machines = prop_oneof![
            4 => (host(), illness()).prop_map(|(host, illness)| Trouble::Ill { host, illness }),
            3 => host().prop_map(|host| Trouble::Killed { host }),
            2 => host().prop_map(|host| Trouble::Shot { host }),
            1 => host().prop_map(|host| Trouble::Unguarded { host }),
            1 => host().prop_map(|host| Trouble::Deleted { host }),
        ];
        prop_oneof![2 => common, 1 => machines].boxed()
    } else {
        common.boxed()
    };
    if mixed {
        return common;
    }
    let ours = prop_oneof![
        2 => host().prop_map(|host| Trouble::Killed { host }),
        1 => host().prop_map(|host| Trouble::Detached { host }),
        2 => (1..4_u8).prop_map(move |hosts| {
            // A node's lvsd has illnesses enough.
            if whole { Trouble::Detached { host: usize::from(hosts) % HOSTS } } else { Trouble::Broken { hosts } }
        }),
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
    pairing: Pairing,
    keyed: bool,
    paths: usize,
) -> impl Strategy<Value = Fault> {
    let reload = (0..HOSTS, 2..40_u32, 20..60_u32).prop_map(move |(host, fifths, tenths)| {
        let keepalive = (keepalive * fifths / 10).max(Duration::from_millis(10));
        Trouble::Reloaded { host, keepalive, deadtime: keepalive * tenths / 10 }
    });
    let trouble = trouble(pairing, keyed, paths);
    let trouble = if pairing.mixed { trouble } else { prop_oneof![12 => trouble, 1 => reload].boxed() };
    // Many close together, some after a long quiet.
    let gap = prop_oneof![3 => 0..60_u32, 2 => 60..400_u32];
    let lasts = prop_oneof![2 => 0..20_u32, 2 => 20..80_u32];
    // A node's lvsd and its guardian have time scales of their own. But a thousand
    // beats of nothing new are a waste.
    let most = if pairing.whole { keepalive * 500 } else { Duration::ZERO };
    let slower = prop_oneof![5 => Just(0), 2 => 0..60_u64, 1 => 60..600_u64];
    let slower = slower.prop_map(move |secs| Duration::from_secs(secs).min(most));
    (gap, lasts, slower.clone(), slower, trouble).prop_map(move |(gap, lasts, later, longer, trouble)| Fault {
        gap: deadtime * gap / 10 + later,
        // What ails lvsd counts once it has been noticed, and then for a while.
        lasts: deadtime * lasts / 10
            + longer
            + if matches!(trouble, Trouble::Ill { .. }) { later } else { Duration::ZERO },
        trouble,
    })
}

/// Any scenario. The scale is that of the
/// keepalive in milliseconds.
pub(super) fn any_scenario(pairing: Pairing, scale: std::ops::Range<u64>) -> impl Strategy<Value = Scenario> {
    let kind = (any::<u64>(), timers(scale), 1..4_usize, any::<[bool; 3]>(), 0..HOSTS, 0..30_u8);
    kind.prop_flat_map(
        move |(seed, (keepalive, deadtime), paths, [key, has_witness, auto_failback], original, apart)| {
            let Pairing { mixed, whole: is_whole } = pairing;
            let is_keyed = key && !mixed && seed.is_multiple_of(4); // a MAC costs more than all the rest
            proptest::collection::vec(fault(keepalive, deadtime, pairing, is_keyed, paths), 0..20).prop_map(
                move |faults| Scenario {
                    seed,
                    keepalive,
                    deadtime,
                    paths,
                    is_keyed,
                    has_witness,
                    auto_failback: auto_failback && seed.is_multiple_of(2),
                    is_whole,
                    original: mixed.then_some(original),
                    first: usize::from(seed.is_multiple_of(3)),
                    apart,
                    faults,
                },
            )
        },
    )
}
