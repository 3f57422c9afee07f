//! What must never happen, whatever goes wrong. The judge sees the truth: who
//! holds the VIPs, which wires work, what was sent and delivered.
//!
//! 1. No takeover without evidence.
//! 2. Nobody says that it holds nothing while it does.
//! 3. Two holders only while every path is cut, or somebody does not run: a
//!    keepalive and a half after both hear each other there is one. If only one
//!    hears the other, there is one after a few deadtimes.
//! 4. While both hear each other and one is fit, there is exactly one holder, and
//!    it is fit, after a bound.
//! 5. After that bound nothing changes any more; and the takeovers are in
//!    proportion to what went wrong.
//! 6. Nobody yields without a cause: to a partner that is active by its own word,
//!    or because it is unfit, or was asked to.
//! 7. Whoever keeps the VIPs announces them again after the other let go of them.
//! 8. Where both see each other's announcements, two of ours that hear nothing of
//!    each other are not both holders for long; after a bound one of them is, if one
//!    is fit, and that does not change any more.
//! 9. Failover services are not handed over to a director that rests from their
//!    failure there.
//! 10. Who is gone for good, or frozen, and knew of a partner has nothing of the VIPs
//!     any more when that one's deadtime is over; who stopped in order has nothing at
//!     once.
//! 11. Nobody's loop turns for ever without time passing.

use super::machine::fenced_after;
use super::*;

/// What a director last had from the other.
#[derive(Clone, Copy)]
struct Last {
    datagram: Datagram,
    sent: Duration,
    is_hostile: bool,
}

/// Who owes one, how many it had made, and since when.
struct Announcement {
    host: usize,
    had: u64,
    since: Duration,
}

pub(super) struct Judge {
    pub(super) verdict: Option<String>,
    pub(super) takeovers: u64,
    pub(super) reannounced: [u64; HOSTS],
    /// The longest way of a packet on a wire that is not slow.
    pub(super) delay: Duration,
    dead_takeovers: u64,
    bound: Duration,
    resolve: Duration,
    /// The longest silence anybody allows.
    pub(super) allowed: Duration,
    faults: u64,
    is_mixed: bool,
    disturbed: Duration,
    /// When services failed, or a rest began or ended.
    stirred: Duration,
    pub(super) rests: services::Rests,
    /// Moves on their account; how many there may be, 9 says.
    service_moves: u64,
    relocated: Duration,
    /// Since when it is running, awake and connected.
    awake_from: [Duration; HOSTS],
    born: [Duration; HOSTS],
    heard: [Duration; HOSTS],
    /// What counted as dead before a reload.
    deadtime: [Duration; HOSTS],
    last: [Option<Last>; HOSTS],
    /// The last sent of those that were no recordings, and when.
    honest: [Option<(Duration, Datagram)>; HOSTS],
    left: [Option<Duration>; HOSTS],
    is_active: [bool; HOSTS],
    /// How much has happened at this moment.
    happened: u32,
    /// When each spoke last.
    spoke: [Duration; HOSTS],
    /// When each last heard of a partner that would take over from it, and has not
    /// said good-bye since.
    knew: [Option<Duration>; HOSTS],
    /// When each last ran, and by which keepalive and deadtime.
    ran: [Duration; HOSTS],
    terms: [Terms; HOSTS],
    /// When it last held the VIPs.
    held: [Option<Duration>; HOSTS],
    well_since: Option<Duration>,
    way_since: [Option<Duration>; HOSTS],
    /// Since when both run and see each other's announcements.
    seen_since: Option<Duration>,
    dual_since: Option<Duration>,
    must_announce: Option<Announcement>,
    /// Somebody started since both last heard each other for long: it may have
    /// proved nothing yet.
    has_newcomer: bool,
    /// Recordings were played since then.
    has_recording: bool,
}

/// A keepalive and a deadtime, and those of before a reload. Who is killed over a
/// reload has lent by the old ones or by the new.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    now: (Duration, Duration),
    before: (Duration, Duration),
    changed: Duration,
}

impl Terms {
    fn follow(&mut self, keepalive: Duration, deadtime: Duration, now: Duration) {
        if self.now != (keepalive, deadtime) {
            if self.changed < now {
                self.before = self.now; // else they never counted
            }
            (self.now, self.changed) = ((keepalive, deadtime), now);
        }
    }

    /// The two that may have counted for one that ran until then.
    fn in_force(&self, until: Duration) -> [(Duration, Duration); 2] {
        let is_settled = until > self.changed + self.now.0;
        [self.now, if is_settled { self.now } else { self.before }]
    }
}

impl Judge {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let (keepalive, allowed) = scenario.longest();
        Self {
            verdict: None,
            takeovers: 0,
            reannounced: [0; HOSTS],
            delay: scenario.keepalive / 20,
            dead_takeovers: 0,
            bound: scenario.bound(),
            resolve: keepalive * 3 / 2,
            allowed,
            faults: scenario.faults.len() as u64,
            is_mixed: scenario.original.is_some(),
            disturbed: Duration::ZERO,
            stirred: Duration::ZERO,
            rests: services::Rests::default(),
            service_moves: 0,
            relocated: Duration::ZERO,
            awake_from: [Duration::ZERO; HOSTS],
            born: [Duration::ZERO; HOSTS],
            heard: [Duration::ZERO; HOSTS],
            deadtime: [Duration::MAX; HOSTS],
            last: [None; HOSTS],
            honest: [None; HOSTS],
            left: [None; HOSTS],
            is_active: [false; HOSTS],
            happened: 0,
            spoke: [Duration::ZERO; HOSTS],
            knew: [None; HOSTS],
            ran: [Duration::ZERO; HOSTS],
            terms: [Terms::default(); HOSTS],
            held: [None; HOSTS],
            well_since: None,
            way_since: [None; HOSTS],
            seen_since: None,
            dual_since: None,
            must_announce: None,
            has_newcomer: true,
            has_recording: false,
        }
    }

    fn blame(&mut self, what: String) {
        self.verdict.get_or_insert(what);
    }

    pub(super) fn passes(&mut self, from: Duration, to: Duration) {
        self.happened = if from == to { self.happened + 1 } else { 0 };
        if self.happened > 10_000 {
            self.blame("11: somebody's loop does not wait".to_owned());
        }
    }

    pub(super) fn disturbed(&mut self, now: Duration) {
        self.disturbed = now;
    }

    pub(super) fn stirred(&mut self, now: Duration) {
        self.stirred = now;
    }

    pub(super) fn relocated(&mut self, now: Duration) {
        self.relocated = now;
    }

    pub(super) fn awake(&mut self, host: usize, now: Duration) {
        self.awake_from[host] = now;
    }

    /// A silence that was long enough before stays so; any other is counted anew.
    pub(super) fn reloaded(&mut self, host: usize, old_deadtime: Duration, now: Duration) {
        self.deadtime[host] = self.deadtime[host].min(old_deadtime);
        if now - self.heard[host].max(self.awake_from[host]) < old_deadtime {
            self.heard[host] = now;
            self.deadtime[host] = Duration::MAX;
        }
    }

    pub(super) fn started(&mut self, host: usize, now: Duration) {
        self.disturbed = now;
        self.rests.forget(host);
        self.awake_from[host] = now;
        self.born[host] = now;
        self.knew[host] = None;
        self.is_active[host] = false;
        self.has_newcomer = true;
    }

    pub(super) fn delivered(&mut self, to: usize, packet: &Packet, now: Duration) {
        self.last[to] =
            Some(Last { datagram: packet.datagram, sent: packet.sent, is_hostile: packet.kind == Kind::Hostile });
        self.has_recording |= packet.kind == Kind::Hostile;
        let has_order = matches!(packet.datagram, Datagram::Ours(_)); // four bytes count as they come
        let is_newest = self.honest[to].is_none_or(|(sent, _)| packet.sent >= sent);
        if packet.kind != Kind::Hostile && (is_newest || !has_order) {
            self.honest[to] = Some((packet.sent, packet.datagram));
        }
        let is_of_this_life = packet.sent >= self.born[1 - to];
        let means_to_act = match packet.datagram {
            Datagram::Ours(beat) => beat.state != Doing::Unfit && !beat.flags.leaving,
            Datagram::Original(_) => true,
        };
        if packet.kind != Kind::Hostile && (is_newest || !has_order) {
            let has_left = matches!(packet.datagram, Datagram::Ours(beat) if beat.flags.leaving);
            if has_left || means_to_act {
                self.knew[to] = (!has_left).then_some(now);
            }
        }
        if packet.kind == Kind::First && is_of_this_life && means_to_act {
            self.heard[to] = now;
            self.deadtime[to] = Duration::MAX;
        }
    }

    pub(super) fn sent(&mut self, from: usize, datagram: &Datagram, now: Duration, hosts: &[Host]) {
        self.spoke[from] = now;
        let holds_nothing = match datagram {
            Datagram::Ours(beat) => matches!(beat.state, Doing::Standby | Doing::Unfit),
            Datagram::Original(word) => *word == Word::Lvs(Claim::Stopped),
        };
        if holds_nothing && hosts[from].vips {
            self.blame(format!("2: {from} says it holds nothing, and does"));
        }
        if let Datagram::Ours(Heartbeat { flags: Flags { leaving: true, .. }, .. }) = datagram {
            self.left[from] = Some(self.disturbed);
        }
    }

    pub(super) fn became_active(&mut self, host: usize, why: Activation, now: Duration, hosts: &[Host]) {
        let last = self.last[host];
        let is_ours = !hosts[1 - host].is_original;
        let wrong = match why {
            Activation::PartnerDead { .. } => {
                let silent = now - self.heard[host].max(self.awake_from[host]);
                let deadtime = hosts[host].settings.deadtime.min(self.deadtime[host]);
                let cut = hosts[host].witness_cuts > 0 && now - self.disturbed > hosts[host].settings.keepalive;
                // One who starts deaf can be made to echo a recording, and looks like one.
                let is_confused = self.has_newcomer && self.has_recording;
                if silent < deadtime && !is_confused {
                    Some(format!("after a silence of {silent:?}"))
                } else if cut && hosts[host].settings.witness.is_some() {
                    Some("without a witness".to_owned())
                } else {
                    None
                }
            }
            Activation::PartnerInactive => match last {
                Some(last) if last.is_hostile => Some("on a forged heartbeat".to_owned()),
                Some(last) if is_ours && last.sent < self.awake_from[host] => Some("on an old heartbeat".to_owned()),
                Some(Last { datagram: Datagram::Ours(beat), .. })
                    if matches!(beat.state, Doing::Standby | Doing::Unfit) =>
                {
                    None
                }
                Some(Last { datagram: Datagram::Original(Word::Lvs(Claim::Stopped)), .. }) => None,
                other => Some(format!("on {:?}", other.map(|last| last.datagram))),
            },
            Activation::PartnerLeft => self.left[1 - host].is_none().then(|| "though it never left".to_owned()),
            Activation::Resumed => {
                // A node's kernel may have removed them meanwhile.
                let had_them = hosts[host].vips || self.is_active[host] || hosts[host].is_whole;
                (!had_them).then(|| "what it did not have".to_owned())
            }
            Activation::Failback | Activation::Relocated => is_ours.then(|| "from one of ours".to_owned()),
            Activation::Forced => Some("though nobody forced it".to_owned()),
        };
        if let Some(wrong) = wrong {
            self.blame(format!("1: {host} took over ({why:?}) {wrong}"));
        }
        let handed = matches!(last, Some(Last { datagram: Datagram::Ours(beat), .. }) if beat.flags.handover);
        if handed && self.rests.holds(host, now, hosts) {
            self.rests.forget(host);
        }
        self.is_active[host] = true;
        self.reannounced[host] += 1; // part of it
        if why == Activation::Resumed {
            return;
        }
        self.takeovers += 1;
        self.dead_takeovers += u64::from(matches!(why, Activation::PartnerDead { .. }));
        let unforced = (self.takeovers - self.dead_takeovers).saturating_sub(self.service_moves);
        if unforced > 2 + 3 * self.faults + self.dead_takeovers {
            self.blame(format!("5: {} takeovers for {} faults", self.takeovers, self.faults));
        }
        self.changed(now);
    }

    pub(super) fn yielded(&mut self, host: usize, why: Deactivation, now: Duration, hosts: &[Host]) {
        self.is_active[host] = false;
        // The newest, or one that came late and is news all the same: of a start that
        // is over, and whose successor has proved nothing yet.
        let newest = self.honest[host].map(|(_, datagram)| datagram);
        let latest = self.last[host].filter(|last| !last.is_hostile).map(|last| last.datagram);
        let says = |wanted: fn(Datagram) -> bool| newest.is_some_and(wanted) || latest.is_some_and(wanted);
        let has_cause = match why {
            Deactivation::PartnerActive => says(|datagram| match datagram {
                Datagram::Ours(beat) => matches!(beat.state, Doing::Active | Doing::Listening),
                Datagram::Original(word) => word == Word::Lvs(Claim::Running),
            }),
            // It may have been so until a moment ago.
            Deactivation::PartnerDeaf => self.quiet_for(now).is_none_or(|quiet| quiet < self.resolve),
            // And was until a moment ago, at least.
            Deactivation::PartnerAnnounces => self.held[1 - host].is_some_and(|last| now - last <= self.resolve),
            Deactivation::Unfit(_) => hosts[host].fitness(now) != Some(true),
            Deactivation::Wanted => says(|datagram| matches!(datagram, Datagram::Ours(beat) if beat.flags.want)),
            Deactivation::Relocated => now - self.relocated <= self.allowed,
            // A node says so when its hands are free.
            Deactivation::Stopped => self.disturbed == now || hosts[host].is_stopping(),
        };
        if !has_cause {
            self.blame(format!("6: {host} yields ({why:?}) after {:?}", self.honest[host]));
        }
        // Where only announcements show the partner, it is nobody to hand over to.
        let state = hosts[host].election().map(Election::state);
        let hands_over = matches!(state, Some(State::Lowering { then: Then::HandOver, .. }));
        if why == Deactivation::Unfit(Reason::Lvsd) && hosts[host].services_fail && hands_over {
            if self.rests.holds(1 - host, now, hosts) {
                self.blame(format!("9: {host} hands services over, and the other one rests"));
            }
            self.rests.begin(host, now, hosts);
            self.service_moves += 1;
        }
        if why == Deactivation::PartnerActive && !hosts[1 - host].is_original {
            self.must_announce = Some(Announcement { host: 1 - host, had: self.reannounced[1 - host], since: now });
        }
        self.changed(now);
    }

    /// Judges 7: the other one had all it needs to know that it must announce.
    fn judge_announcement(&mut self, now: Duration, hosts: &[Host]) {
        let Some(Announcement { host, had, since }) = self.must_announce else { return };
        let was_seen = self.well_since.is_some_and(|well| well <= since) && self.disturbed <= since;
        if !was_seen || !self.is_active[host] || !hosts[host].vips || self.reannounced[host] > had {
            self.must_announce = None;
        } else if now - since > self.resolve {
            self.blame(format!("7: {host} did not announce again"));
        }
    }

    /// A role changes.
    pub(super) fn changed(&mut self, now: Duration) {
        if self.quiet_for(now).is_some_and(|quiet| quiet > self.bound) {
            self.blame("5: a role changed, and nothing had happened".to_owned());
        }
        if self.seen_for(now).is_some_and(|seen| seen > self.bound * 2) {
            self.blame("8: a role changed, and nothing had happened".to_owned());
        }
    }

    /// For how long both hear each other and nothing else has happened.
    fn quiet_for(&self, now: Duration) -> Option<Duration> {
        self.well_since.map(|since| now - since.max(self.disturbed).max(self.stirred))
    }

    /// For how long both see each other's announcements and nothing else has happened.
    fn seen_for(&self, now: Duration) -> Option<Duration> {
        self.seen_since.filter(|_| !self.is_mixed).map(|since| now - since.max(self.disturbed).max(self.stirred))
    }

    pub(super) fn observe(&mut self, now: Duration, hosts: &[Host], wires: &[Vec<Wire>]) {
        if self.rests.turned(now, hosts) {
            self.stirred = now;
        }
        let runs: Vec<bool> = hosts.iter().map(Host::runs).collect();
        for (from, since) in self.way_since.iter_mut().enumerate() {
            let works = runs[0] && runs[1] && is_connected(from, hosts, wires);
            *since = works.then(|| since.unwrap_or(now));
        }
        self.well_since = match self.way_since {
            [Some(_), Some(_)] => Some(self.well_since.unwrap_or(now)),
            [_, _] => None,
        };
        for (held, _) in self.held.iter_mut().zip(hosts).filter(|(_, host)| host.vips) {
            *held = Some(now);
        }
        let shows = (0..HOSTS).all(|host| wires[host][0].shows() && !hosts[host].links_down[0]);
        self.seen_since = (runs[0] && runs[1] && shows).then(|| self.seen_since.unwrap_or(now));
        let answers = |host: &Host| host.vips && !host.machine_is_frozen;
        self.dual_since = (answers(&hosts[0]) && answers(&hosts[1])).then(|| self.dual_since.unwrap_or(now));
        self.judge_two(now);
        self.judge_seen(now, hosts);
        self.judge_announcement(now, hosts);
        self.judge_gone(now, hosts);
        let Some(quiet) = self.quiet_for(now).filter(|quiet| *quiet > self.bound) else { return };
        self.has_newcomer = false;
        self.has_recording = false;
        let fit: Vec<Option<bool>> = hosts.iter().map(|host| host.fitness(now)).collect();
        let holders: Vec<usize> = (0..HOSTS).filter(|host| hosts[*host].vips).collect();
        let is_right = match holders.as_slice() {
            [] => fit.iter().all(|fit| *fit != Some(true)),
            [holder] => {
                let other = 1 - *holder;
                fit[*holder] != Some(false) || fit[other] != Some(true) || self.rests.holds(other, now, hosts)
            }
            _ => false,
        };
        if !is_right {
            self.blame(format!("4: after {quiet:?} the VIPs are held by {holders:?}; fit: {fit:?}"));
        }
    }

    fn judge_seen(&mut self, now: Duration, hosts: &[Host]) {
        let Some(seen) = self.seen_for(now) else { return };
        let together = self.dual_since.map_or(Duration::ZERO, |dual| seen.min(now - dual));
        // Announcements are a second apart, and so are questions.
        let slower = if hosts[0].is_whole { Duration::from_secs(10) } else { Duration::ZERO };
        if together > self.allowed * 3 + self.resolve * 2 + slower {
            self.blame(format!("8: both hold the VIPs for {together:?} while they see each other"));
        }
        let is_held = hosts.iter().any(|host| host.vips);
        if seen > self.bound * 2 && !is_held && hosts.iter().any(|host| host.fitness(now) == Some(true)) {
            self.blame(format!("8: after {seen:?} nobody holds the VIPs"));
        }
    }

    /// Judges 9, of those that do not run.
    fn judge_gone(&mut self, now: Duration, hosts: &[Host]) {
        for (n, host) in hosts.iter().enumerate().filter(|(_, host)| host.is_whole) {
            if host.machine_is_frozen {
                self.spoke[n] = now; // so is its kernel
            } else if host.director.is_some() && !host.is_frozen {
                self.ran[n] = now;
                self.terms[n].follow(host.settings.keepalive, host.settings.deadtime, now);
            } else if host.vips {
                self.judge_left_behind(n, now);
            }
        }
    }

    fn judge_left_behind(&mut self, n: usize, now: Duration) {
        let (ran, terms) = (self.ran[n], self.terms[n].in_force(self.ran[n]));
        let [least, other] = terms.map(|(_, deadtime)| deadtime);
        let is_lent = self.knew[n].is_some_and(|knew| ran.saturating_sub(knew) < least.min(other));
        let [soon, late] = terms.map(|(keepalive, deadtime)| fenced_after(keepalive, deadtime));
        if is_lent && now > self.spoke[n] + soon.max(late) {
            self.blame(format!("10: {n} is gone since {:?}, and has the VIPs", self.spoke[n]));
        }
    }

    /// Judges 9, of one that was told to stop.
    pub(super) fn stopped(&mut self, host: usize, hosts: &[Host]) {
        if hosts[host].vips {
            self.blame(format!("10: {host} stopped, and has the VIPs"));
        }
    }

    fn judge_two(&mut self, now: Duration) {
        let Some(dual) = self.dual_since else { return };
        if let Some(well) = self.well_since {
            let together = now - dual.max(well).max(self.disturbed);
            if together > self.resolve {
                self.blame(format!("3: both hold the VIPs for {together:?} while they hear each other"));
            }
        }
        let one_way = self.way_since.iter().flatten().min();
        if let (Some(way), false, false) = (one_way, self.has_newcomer, self.is_mixed) {
            let together = now - dual.max(*way).max(self.disturbed);
            if together > self.allowed * 3 + self.resolve {
                self.blame(format!("3: both hold the VIPs for {together:?} while one hears the other"));
            }
        }
    }
}

impl Host {
    pub(super) fn election(&self) -> Option<&Election> {
        match &self.director {
            Some(Director::Bare(election)) => Some(election),
            Some(Director::Whole(node)) => node.pair.as_ref(),
            None | Some(Director::Original(_)) => None,
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.election().is_some_and(|it| matches!(it.state(), State::Leaving { .. } | State::Over))
            || matches!(&self.director, Some(Director::Whole(node)) if node.is_stopping())
    }

    fn runs(&self) -> bool {
        self.director.is_some() && !self.is_stopping() && !self.is_frozen
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.links_down[0] || self.links_down.iter().all(|down| *down)
    }

    /// Whether it could serve; `None` while it may not know itself.
    fn fitness(&self, now: Duration) -> Option<bool> {
        match &self.director {
            None => Some(false),
            Some(Director::Original(original)) => Some(original.is_fit()),
            Some(Director::Bare(_) | Director::Whole(_)) => {
                let is_free = !self.is_cut_off()
                    && !self.is_released
                    && !self.fails[0]
                    && !self.fails[1]
                    && !self.services_fail
                    && now - self.mended >= self.settings.steady;
                if is_free { self.machine.serves(now) } else { Some(false) }
            }
        }
    }
}

fn is_connected(from: usize, hosts: &[Host], wires: &[Vec<Wire>]) -> bool {
    let is_down = |path: usize| hosts[0].links_down[path] || hosts[1].links_down[path];
    wires[from].iter().enumerate().any(|(path, wire)| wire.is_good() && !is_down(path))
}
