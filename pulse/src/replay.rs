//! PURE. Which well-formed heartbeats may be believed: not our own thrown back,
//! not one heard before, not one of a start that is over. No clock is involved.
//!
//! Every start of a director has a random id, and every heartbeat says which
//! start of the other side its sender hears, and up to which sequence (the
//! *echo*). From that follows all the rest:
//!
//! ```text
//!   us (start 7f, sent 41)                        partner (start c2)
//!        ── start 7f, sequence 41, heard nobody ──►
//!        ◄── start c2, sequence 9, heard 7f up to 41 ──   proved: it answers what
//!                                                         we said a moment ago
//! ```
//!
//! * A start we do not know is a [`Proof::None`] until it echoes something that we
//!   sent after its predecessor was accepted: nothing recorded earlier can, however
//!   long ago, and no list of old starts is needed for it.
//! * Within a start, a window for each path tells the repeated from the late.
//! * After we slept, [`Session::doubt`] makes the partner prove that it speaks now
//!   and not out of a buffer: [`Proof::Known`] until it echoes something sent since.
//!
//! What this cannot see is a heartbeat that never arrived and is let through later:
//! who sits on the wire and holds heartbeats back can delay what they say.
//!
//! Without a key this still keeps out whoever cannot read our heartbeats, since it
//! cannot name our start id; with one it also keeps out who can.

use std::fmt;

use crate::heartbeat::{DecodeError, Echo, Heartbeat, PATHS_MAX, StartId};

/// How many sequences behind the newest one a late heartbeat may be, per path.
/// A path that is slower than this by the others' measure is worth a warning.
const WINDOW: u64 = 64;

/// How far an echo may be ahead of what we remember to have sent. It is so after
/// this machine was rolled back to a snapshot; more than that is no echo.
const ROLLED_BACK_MAX: u64 = 1 << 32;

/// How sure it is that a heartbeat is new and its sender the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It answers something sent since the last [`Session::doubt`].
    Fresh,
    /// The partner's present start said it, maybe a while ago.
    Known,
    /// An unknown start, that has not shown that it hears us.
    None,
}

/// What is known of a heartbeat that was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// How sure it is.
    pub proof: Proof,
    /// Nothing later was heard of this start on any path: its state counts. A
    /// late one shows that its path works and nothing else.
    pub is_newest: bool,
    /// It shows that its sender has heard something new from us.
    pub hears_us: bool,
    /// The partner has been started again, and this is the first proved heartbeat.
    pub is_new_start: bool,
}

/// Why a well-formed heartbeat was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is one of ours.
    Reflected,
    /// It was heard before, or is of a start that is over, or too late.
    Replayed,
    /// It echoes what nobody can have sent.
    Impossible,
}

/// What one path has brought.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    newest: u64,
    /// Bit n: `newest - n` was heard.
    seen: u64,
}

impl Window {
    /// Whether this sequence is heard for the first time, and not too late.
    fn accept(&mut self, sequence: u64) -> bool {
        if let Some(ahead) = sequence.checked_sub(self.newest).filter(|ahead| *ahead > 0) {
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.newest = sequence;
            return true;
        }
        let behind = self.newest - sequence;
        let bit = if behind < WINDOW { 1 << behind } else { return false };
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

/// One start of somebody.
#[derive(Clone, Debug)]
struct Stream {
    start: StartId,
    newest: u64,
    /// The newest of ours that it echoed.
    echoed: u64,
    windows: [Window; PATHS_MAX],
}

impl Stream {
    fn new(start: StartId) -> Self {
        Self { start, newest: 0, echoed: 0, windows: [Window::default(); PATHS_MAX] }
    }

    /// Whether it may come in, and whether it is the newest of all.
    fn accept(&mut self, beat: &Heartbeat) -> Result<bool, Dropped> {
        let window = self.windows.get_mut(usize::from(beat.path)).ok_or(Dropped::Impossible)?;
        if !window.accept(beat.sequence) {
            return Err(Dropped::Replayed);
        }
        let is_newest = beat.sequence > self.newest;
        self.newest = self.newest.max(beat.sequence);
        Ok(is_newest)
    }

    fn echo(&self) -> Echo {
        Echo { start: self.start, sequence: self.newest }
    }
}

/// Our own start, and the partner's as far as we know them.
#[derive(Clone, Debug)]
pub struct Session {
    ours: StartId,
    /// The newest sequence we have sent.
    sent: u64,
    partner: Option<Stream>,
    /// The last unknown start; the partner's next one, or somebody's recording.
    newcomer: Option<Stream>,
    /// An unknown start must echo at least this.
    floor: u64,
    /// The partner must echo at least this to be fresh.
    mark: u64,
}

impl Session {
    /// A start of ours; `ours` must be random for each.
    pub fn new(ours: StartId) -> Self {
        Self { ours, sent: 0, partner: None, newcomer: None, floor: 1, mark: 1 }
    }

    /// Our start id.
    pub fn ours(&self) -> StartId {
        self.ours
    }

    /// Whether the partner's present start is known and speaks for itself.
    pub fn is_proved(&self) -> bool {
        self.partner.as_ref().is_some_and(|partner| partner.echoed >= self.mark)
    }

    /// The partner's present start, if one is known.
    pub fn partner(&self) -> Option<StartId> {
        self.partner.as_ref().map(|partner| partner.start)
    }

    /// The sequence of the next beat.
    pub fn stamp(&mut self) -> u64 {
        self.sent = self.sent.saturating_add(1);
        self.sent
    }

    /// What our beats echo: the partner, and the last unknown start.
    pub fn echoes(&self) -> (Option<Echo>, Option<Echo>) {
        (self.partner.as_ref().map(Stream::echo), self.newcomer.as_ref().map(Stream::echo))
    }

    /// What was said until now may lie long back: what counts must be said anew.
    pub fn doubt(&mut self) {
        self.mark = self.sent.saturating_add(1);
    }

    /// Judges a heartbeat.
    ///
    /// # Errors
    /// It is not to be believed, see [`Dropped`]; nothing has changed but the
    /// memory of having heard it.
    pub fn admit(&mut self, beat: &Heartbeat) -> Result<Admitted, Dropped> {
        if beat.start == self.ours {
            return Err(Dropped::Reflected);
        }
        let echoed = self.echoed_by(beat)?;
        if let Some(partner) = self.partner.as_mut().filter(|partner| partner.start == beat.start) {
            let is_newest = partner.accept(beat)?;
            let hears_us = echoed > partner.echoed;
            partner.echoed = partner.echoed.max(echoed);
            self.catch_up(echoed);
            let proof = if echoed >= self.mark { Proof::Fresh } else { Proof::Known };
            return Ok(Admitted { proof, is_newest, hears_us, is_new_start: false });
        }
        let mut newcomer = match self.newcomer.take() {
            Some(stream) if stream.start == beat.start => stream,
            Some(_) | None => Stream::new(beat.start),
        };
        let mut accepted = newcomer.accept(beat);
        if echoed > 0 && echoed < self.floor {
            // Old, or young and taken in by a recording of us: it is echoed like any
            // newcomer, which tells it what is new, and else it does not count.
            accepted = Err(Dropped::Replayed);
        }
        if echoed == 0 || accepted.is_err() {
            self.newcomer = Some(newcomer);
            return accepted.map(|is_newest| Admitted {
                proof: Proof::None,
                is_newest,
                hears_us: false,
                is_new_start: false,
            });
        }
        newcomer.echoed = echoed;
        self.partner = Some(newcomer);
        self.catch_up(echoed);
        self.floor = self.sent.saturating_add(1);
        let proof = if echoed >= self.mark { Proof::Fresh } else { Proof::Known };
        Ok(Admitted { proof, is_newest: true, hears_us: true, is_new_start: true })
    }

    /// The newest of ours that a heartbeat echoes; 0: none.
    fn echoed_by(&self, beat: &Heartbeat) -> Result<u64, Dropped> {
        let newest = [beat.heard, beat.also_heard]
            .into_iter()
            .flatten()
            .filter(|echo| echo.start == self.ours)
            .map(|echo| echo.sequence)
            .max()
            .unwrap_or(0);
        if newest > self.sent.saturating_add(ROLLED_BACK_MAX) { Err(Dropped::Impossible) } else { Ok(newest) }
    }

    /// After a rollback to a snapshot the partner has heard more of us than we
    /// remember, and would take what we say next for replays.
    fn catch_up(&mut self, echoed: u64) {
        self.sent = self.sent.max(echoed);
    }
}

/// How many datagrams were dropped, and why; hostile ones are not worth a line
/// each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Heartbeats that counted.
    pub accepted: u64,
    /// From an address that is not the partner's; counted by who receives.
    pub stranger: u64,
    /// Too short, too long, or not a heartbeat.
    pub garbled: u64,
    /// A version of ours that we do not speak.
    pub version: u64,
    /// No MAC, a wrong one, or one by an unknown key.
    pub unsigned: u64,
    /// Heard before, of a start that is over, or our own.
    pub replayed: u64,
    /// Of an unknown start that has not answered us.
    pub unproved: u64,
    /// Four bytes although the partner is one of ours and alive.
    pub downgraded: u64,
    /// Of the other kind of service.
    pub incompatible: u64,
    /// STOPME; it stops nobody.
    pub stop_me: u64,
}

impl Counters {
    /// Counts a datagram that could not be read.
    pub fn count_unreadable(&mut self, error: DecodeError) {
        let counter = match error {
            DecodeError::Short
            | DecodeError::Long
            | DecodeError::UnknownWord
            | DecodeError::Foreign
            | DecodeError::Malformed
            | DecodeError::Contradiction => &mut self.garbled,
            DecodeError::Version(_) => &mut self.version,
            DecodeError::NoMac | DecodeError::UnknownKey(_) | DecodeError::WrongMac => &mut self.unsigned,
        };
        *counter = counter.saturating_add(1);
    }

    /// Adds what somebody else counted.
    pub fn add(&mut self, others: &Self) {
        let Self {
            accepted,
            stranger,
            garbled,
            version,
            unsigned,
            replayed,
            unproved,
            downgraded,
            incompatible,
            stop_me,
        } = others;
        for (counter, more) in [
            (&mut self.accepted, accepted),
            (&mut self.stranger, stranger),
            (&mut self.garbled, garbled),
            (&mut self.version, version),
            (&mut self.unsigned, unsigned),
            (&mut self.replayed, replayed),
            (&mut self.unproved, unproved),
            (&mut self.downgraded, downgraded),
            (&mut self.incompatible, incompatible),
            (&mut self.stop_me, stop_me),
        ] {
            *counter = counter.saturating_add(*more);
        }
    }

    /// Counts a heartbeat that was not let in.
    pub fn count_dropped(&mut self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Reflected | Dropped::Replayed => &mut self.replayed,
            Dropped::Impossible => &mut self.garbled,
        };
        *counter = counter.saturating_add(1);
    }
}

impl Counters {
    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            accepted: self.accepted.saturating_sub(before.accepted),
            stranger: self.stranger.saturating_sub(before.stranger),
            garbled: self.garbled.saturating_sub(before.garbled),
            version: self.version.saturating_sub(before.version),
            unsigned: self.unsigned.saturating_sub(before.unsigned),
            replayed: self.replayed.saturating_sub(before.replayed),
            unproved: self.unproved.saturating_sub(before.unproved),
            downgraded: self.downgraded.saturating_sub(before.downgraded),
            incompatible: self.incompatible.saturating_sub(before.incompatible),
            stop_me: self.stop_me.saturating_sub(before.stop_me),
        }
    }

    /// How many there are of those that a healthy pair never sends; a restart of one
    /// of them brings a few of the others.
    pub fn strange(&self) -> u64 {
        [self.stranger, self.garbled, self.version, self.unsigned, self.stop_me].into_iter().sum()
    }

    fn dropped(&self) -> impl Iterator<Item = (u64, &'static str)> {
        [
            (self.stranger, "from strangers"),
            (self.garbled, "garbled"),
            (self.version, "of another version"),
            (self.unsigned, "without a valid MAC"),
            (self.replayed, "replayed"),
            (self.unproved, "unproved"),
            (self.downgraded, "downgraded"),
            (self.incompatible, "of another service"),
            (self.stop_me, "STOPME"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
    }

    /// `12 from strangers, 3 replayed`: those that were dropped and are not zero.
    pub(crate) fn write_dropped(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dropped().enumerate().try_for_each(|(at, (number, what))| {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{number} {what}")
        })
    }
}

impl fmt::Display for Counters {
    /// `17 accepted, 3 replayed`: those that are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted", self.accepted)?;
        self.dropped().try_for_each(|(number, what)| write!(f, ", {number} {what}"))
    }
}

#[cfg(test)]
mod tests;
