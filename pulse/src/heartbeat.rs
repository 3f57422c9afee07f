//! PURE. The heartbeat datagram as bytes: encode, decode, and every way one can
//! be wrong. Whether a well-formed heartbeat may be believed (replays, restarts)
//! is `replay.rs`; what follows from it is `election.rs`.
//!
//! The first four bytes are the word of the original (piranha.md 2.2). It reads
//! those and cuts off the rest, so one director can be upgraded at a time. What
//! stands behind them is ours; every number is little endian, as the word is:
//!
//! ```text
//!  offset  bytes
//!    0       4    word         da db ad bd running, bd da bd ad stopped, ...
//!    4       2    'N' 'G'      this is ours and not stray bytes
//!    6       1    version      1
//!    7       1    state        0 standby 1 active 2 unfit 3 listening 4 lowering
//!    8       8    start        random for each start of the sender, never 0
//!   16       8    sequence     one per beat, from 1; the same on every path
//!   24       8    heard start      the partner's start and its newest sequence
//!   32       8    heard sequence   as the sender has them; 0: nobody heard
//!   40       8    fingerprint  of the sender's configuration; 0: not told
//!   48       4    interval     microseconds between two of the sender's beats
//!   52       2    flags        see Flags
//!   54       1    reason       why unfit; 0: it is fit
//!   55       1    path         which path the sender used; 0 is the public one
//!   56            extensions: type (1), length (1), that many bytes, ...
//!                   1    a second pair of heard start and sequence (16)
//!                   255  MAC: key id (1), HMAC-SHA256 (32) over every byte
//!                        before these 32; always the last extension
//! ```
//!
//! An extension of an unknown type is skipped, an unknown state or reason is read
//! by the word in front: a later version can say more without a new version
//! number. The start id and the echo (`heard`) are what makes a heartbeat
//! provably new without a clock; see `replay.rs`.

use std::time::Duration;

use thiserror::Error;

mod key;
mod key_file;
pub use key::{KEYS_MAX, Key, KeyError, Keyring, SECRET_MAX, SECRET_MIN, Trust};
pub use key_file::{KEY_FILE_MAX, KeyFileError, keyring};

/// The UDP port when the configuration names none (piranha.md 2.2).
pub const PORT: u16 = 539;

/// The longest heartbeat that is read, in bytes. Ours are at most 109; the rest
/// is room for later extensions. Receive into one byte more, so that a longer
/// datagram is seen to be longer.
pub const DATAGRAM_MAX: usize = 512;

/// How many heartbeat paths there may be: each costs a replay window, and more
/// than a public, a private and a few further ones is a mistake.
pub const PATHS_MAX: usize = 8;

const MAGIC: [u8; 2] = *b"NG";
const VERSION: u8 = 1;
const ALSO_HEARD: u8 = 1;
const MAC: u8 = 255;

/// The original's four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The sender is active or standby, running this kind of service.
    Lvs(Claim),
    /// The same for failover services.
    Fos(Claim),
    /// "Stop": obeyed by the original, by us never.
    StopMe,
    /// Accepted by the original as a sign of life and otherwise ignored; ours
    /// say it when they hold no opinion yet.
    Hold,
    /// The answer to it; nobody sends it.
    Held,
}

/// What a word says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is active.
    Running,
    /// It is standby.
    Stopped,
}

/// The kind of service a pair runs; the words differ, so that directors that do
/// not fit notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// `service = lvs`
    Lvs,
    /// `service = fos`
    Fos,
}

impl Service {
    /// The word for this service.
    pub fn word(self, claim: Claim) -> Word {
        match self {
            Self::Lvs => Word::Lvs(claim),
            Self::Fos => Word::Fos(claim),
        }
    }
}

impl Word {
    /// The bytes on the wire.
    pub fn to_bytes(self) -> [u8; 4] {
        let number: u32 = match self {
            Self::Lvs(Claim::Running) => 0xbdad_dbda,
            Self::Lvs(Claim::Stopped) => 0xadbd_dabd,
            Self::Fos(Claim::Running) => 0xbeef_babe,
            Self::Fos(Claim::Stopped) => 0xdead_beef,
            Self::StopMe => 0xdead_dada,
            Self::Hold => 0xdeaf_babe,
            Self::Held => 0xdeaf_dada,
        };
        number.to_le_bytes()
    }

    /// The word these bytes are, if they are one.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        Some(match u32::from_le_bytes(bytes) {
            0xbdad_dbda => Self::Lvs(Claim::Running),
            0xadbd_dabd => Self::Lvs(Claim::Stopped),
            0xbeef_babe => Self::Fos(Claim::Running),
            0xdead_beef => Self::Fos(Claim::Stopped),
            0xdead_dada => Self::StopMe,
            0xdeaf_babe => Self::Hold,
            0xdeaf_dada => Self::Held,
            _ => return None,
        })
    }

    fn claim(self) -> Option<Claim> {
        match self {
            Self::Lvs(claim) | Self::Fos(claim) => Some(claim),
            Self::StopMe | Self::Hold | Self::Held => None,
        }
    }
}

/// What a director of ours is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds no VIP and could.
    Standby,
    /// It holds the VIPs, or is raising them.
    Active,
    /// It holds no VIP and could not serve, or must not.
    Unfit,
    /// It may hold the VIPs from before (it was asleep, or was started again) and
    /// listens before it goes on.
    Listening,
    /// It is taking the VIPs away.
    Lowering,
}

impl State {
    fn code(self) -> u8 {
        match self {
            Self::Standby => 0,
            Self::Active => 1,
            Self::Unfit => 2,
            Self::Listening => 3,
            Self::Lowering => 4,
        }
    }

    /// A code we do not know is read by the word.
    fn from_code(code: u8, claim: Option<Claim>) -> Self {
        match (code, claim) {
            (0, _) => Self::Standby,
            (1, _) => Self::Active,
            (2, _) => Self::Unfit,
            (3, _) => Self::Listening,
            (4, _) => Self::Lowering,
            (_, Some(Claim::Running)) => Self::Active,
            (_, Some(Claim::Stopped)) => Self::Standby,
            (_, None) => Self::Listening,
        }
    }

    /// Active says running and nothing else does. Standby may still hold its
    /// tongue towards an original that has not been heard yet.
    fn fits(self, claim: Option<Claim>) -> bool {
        match self {
            Self::Active => claim == Some(Claim::Running),
            Self::Standby | Self::Unfit => claim != Some(Claim::Running),
            Self::Listening | Self::Lowering => claim.is_none(),
        }
    }
}

/// Why a director should not be active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A network link the VIPs need is down, or all links are.
    Link,
    /// lvsd cannot serve.
    Lvsd,
    /// `check_cmd` fails.
    Check,
    /// It was released by hand.
    Released,
    /// Its failover services could not run a while ago; it takes them if nobody else
    /// has them, or by hand.
    Rests,
    /// One that a later version knows.
    Other(u8),
}

impl Reason {
    fn code(reason: Option<Self>) -> u8 {
        match reason {
            None => 0,
            Some(Self::Link) => 1,
            Some(Self::Lvsd) => 2,
            Some(Self::Check) => 3,
            Some(Self::Released) => 4,
            Some(Self::Rests) => 5,
            Some(Self::Other(code)) => code,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => None,
            1 => Some(Self::Link),
            2 => Some(Self::Lvsd),
            3 => Some(Self::Check),
            4 => Some(Self::Released),
            5 => Some(Self::Rests),
            other => Some(Self::Other(other)),
        }
    }
}

/// What else a heartbeat says, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Bit 0: the sender is being stopped and holds nothing any more.
    pub leaving: bool,
    /// Bit 1: the sender has just let go of the VIPs for the receiver to take.
    pub handover: bool,
    /// Bit 2: the receiver should answer now and not at its next beat.
    pub ask: bool,
    /// Bit 3: the sender wants the VIPs and asks for them.
    pub want: bool,
    /// Bit 4: the sender is the MASTER by its configuration.
    pub master: bool,
}

impl Flags {
    fn bits(self) -> u16 {
        [self.leaving, self.handover, self.ask, self.want, self.master]
            .into_iter()
            .enumerate()
            .fold(0, |bits, (n, set)| bits | u16::from(set) << n)
    }

    fn from_bits(bits: u16) -> Self {
        let set = |n: u16| bits & (1 << n) != 0;
        Self { leaving: set(0), handover: set(1), ask: set(2), want: set(3), master: set(4) }
    }
}

/// One start of a daemon: random, so that nobody who does not hear it can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StartId(std::num::NonZeroU64);

impl StartId {
    /// From random bits; 0, which means "nobody" on the wire, becomes 1.
    pub fn new(random: u64) -> Self {
        Self(std::num::NonZeroU64::new(random).unwrap_or(std::num::NonZeroU64::MIN))
    }

    fn from_wire(number: u64) -> Option<Self> {
        std::num::NonZeroU64::new(number).map(Self)
    }
}

/// The newest heartbeat its sender had from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whose.
    pub start: StartId,
    /// Its sequence.
    pub sequence: u64,
}

/// A heartbeat of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// What an original reads.
    pub word: Word,
    /// What the sender is doing; must fit the word.
    pub state: State,
    /// The sender's start.
    pub start: StartId,
    /// From 1, one more with each beat, the same on every path.
    pub sequence: u64,
    /// The partner as the sender knows it.
    pub heard: Option<Echo>,
    /// Somebody new who has not proved yet to be the partner's next start.
    pub also_heard: Option<Echo>,
    /// Of the sender's configuration; 0: not told.
    pub fingerprint: u64,
    /// Between two beats; on the wire in microseconds, at most 71 minutes.
    pub interval: Duration,
    /// The rest.
    pub flags: Flags,
    /// Why the sender is unfit, if it is.
    pub reason: Option<Reason>,
    /// Below [`PATHS_MAX`].
    pub path: u8,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// Four bytes: an original, or one of ours that cannot be told from it.
    Original(Word),
    /// One of ours.
    Ours(Heartbeat),
}

/// Everything that can be wrong with a datagram. Hostile ones are counted by
/// these, never logged one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Less than four bytes, or ours cut off.
    #[error("too short")]
    Short,
    /// More than [`DATAGRAM_MAX`] bytes.
    #[error("too long")]
    Long,
    /// The first four bytes are no word.
    #[error("unknown word")]
    UnknownWord,
    /// A word, and then something that is not ours.
    #[error("not a heartbeat of ours behind the word")]
    Foreign,
    /// A version we do not speak.
    #[error("version {0}")]
    Version(u8),
    /// Fields or extensions that cannot be.
    #[error("malformed")]
    Malformed,
    /// The word says another thing than the state.
    #[error("word and state contradict each other")]
    Contradiction,
    /// A key is set and it carries no MAC.
    #[error("no MAC")]
    NoMac,
    /// It names a key we do not have.
    #[error("unknown key {0}")]
    UnknownKey(u8),
    /// The MAC is not that of its key.
    #[error("wrong MAC")]
    WrongMac,
}

impl Heartbeat {
    /// The same beat for another path.
    #[must_use]
    pub fn on(self, path: u8) -> Self {
        Self { path, ..self }
    }

    /// The datagram, with a MAC if the keyring says so.
    pub fn encode(&self, keyring: &Keyring) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(112);
        bytes.extend(self.word.to_bytes());
        bytes.extend(MAGIC);
        bytes.extend([VERSION, self.state.code()]);
        bytes.extend(self.start.0.get().to_le_bytes());
        bytes.extend(self.sequence.to_le_bytes());
        put_echo(&mut bytes, self.heard);
        bytes.extend(self.fingerprint.to_le_bytes());
        let interval = u32::try_from(self.interval.as_micros()).unwrap_or(u32::MAX);
        bytes.extend(interval.to_le_bytes());
        bytes.extend(self.flags.bits().to_le_bytes());
        bytes.extend([Reason::code(self.reason), self.path]);
        if self.also_heard.is_some() {
            bytes.extend([ALSO_HEARD, 16]);
            put_echo(&mut bytes, self.also_heard);
        }
        if let Some(key) = keyring.signing() {
            bytes.extend([MAC, 33, key.id()]);
            let mac = key.mac(&bytes);
            bytes.extend(mac);
        }
        bytes
    }
}

fn put_echo(bytes: &mut Vec<u8>, echo: Option<Echo>) {
    bytes.extend(echo.map_or(0, |echo| echo.start.0.get()).to_le_bytes());
    bytes.extend(echo.map_or(0, |echo| echo.sequence).to_le_bytes());
}

/// Reads a datagram. Total: any bytes give a value or an error, in time linear
/// in their number; nothing is believed before the MAC is checked. This is also
/// the entry for a fuzzer.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8], keyring: &Keyring) -> Result<Datagram, DecodeError> {
    if bytes.len() > DATAGRAM_MAX {
        return Err(DecodeError::Long);
    }
    let mut rest = Reader(bytes);
    let word = Word::from_bytes(rest.take()?).ok_or(DecodeError::UnknownWord)?;
    if rest.0.is_empty() {
        return if keyring.enforces() { Err(DecodeError::NoMac) } else { Ok(Datagram::Original(word)) };
    }
    if rest.take()? != MAGIC {
        return Err(DecodeError::Foreign);
    }
    let [version] = rest.take()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    fields(word, rest, bytes, keyring).map(Datagram::Ours)
}

fn fields(word: Word, mut rest: Reader<'_>, whole: &[u8], keyring: &Keyring) -> Result<Heartbeat, DecodeError> {
    let [state] = rest.take()?;
    let start = rest.number()?;
    let sequence = rest.number()?;
    let heard = rest.echo()?;
    let fingerprint = rest.number()?;
    let interval = u32::from_le_bytes(rest.take()?);
    let flags = u16::from_le_bytes(rest.take()?);
    let [reason, path] = rest.take()?;
    let also_heard = extensions(rest, whole, keyring)?;

    let start = StartId::from_wire(start).ok_or(DecodeError::Malformed)?;
    if sequence == 0 || usize::from(path) >= PATHS_MAX {
        return Err(DecodeError::Malformed);
    }
    let state = State::from_code(state, word.claim());
    if !state.fits(word.claim()) {
        return Err(DecodeError::Contradiction);
    }
    Ok(Heartbeat {
        word,
        state,
        start,
        sequence,
        heard,
        also_heard,
        fingerprint,
        interval: Duration::from_micros(interval.into()),
        flags: Flags::from_bits(flags),
        reason: Reason::from_code(reason),
        path,
    })
}

/// Walks the extensions and checks the MAC; gives the second echo.
fn extensions(mut rest: Reader<'_>, whole: &[u8], keyring: &Keyring) -> Result<Option<Echo>, DecodeError> {
    let mut also_heard = None;
    let mut is_signed = false;
    while !rest.0.is_empty() {
        let [kind, length] = rest.take()?;
        let (value, after) = rest.0.split_at_checked(length.into()).ok_or(DecodeError::Short)?;
        rest.0 = after;
        match kind {
            ALSO_HEARD if value.len() == 16 => also_heard = Reader(value).echo()?,
            MAC if value.len() == 33 && after.is_empty() => {
                let mut value = Reader(value);
                let [id] = value.take()?;
                let signed = whole.get(..whole.len().saturating_sub(value.0.len())).unwrap_or_default();
                is_signed = keyring.verify(id, signed, value.0)?;
            }
            ALSO_HEARD | MAC => return Err(DecodeError::Malformed),
            _ => {}
        }
    }
    if keyring.enforces() && !is_signed {
        return Err(DecodeError::NoMac);
    }
    Ok(also_heard)
}

/// Bytes taken from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        self.take().map(u64::from_le_bytes)
    }

    fn echo(&mut self) -> Result<Option<Echo>, DecodeError> {
        let (start, sequence) = (self.number()?, self.number()?);
        Ok(StartId::from_wire(start).map(|start| Echo { start, sequence }))
    }
}

#[cfg(test)]
mod tests;
