//! PURE. The keys of the heartbeat's MAC, and how far they are enforced. Where
//! they come from (a 0600 file named by the configuration) is not known here.
//!
//! Keys reach a running pair in three sweeps over both directors, and none of
//! them loses a heartbeat: first everywhere [`Trust::ReceiveOnly`], then
//! everywhere [`Trust::Permissive`], then everywhere [`Trust::Enforce`]. A key is
//! changed under `Enforce` by adding the new one behind the old one everywhere,
//! then putting it in front everywhere, then dropping the old one.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

use super::DecodeError;

/// How many keys there can be at once: the one in use and the one that follows.
pub const KEYS_MAX: usize = 2;

/// The shortest secret in bytes: 128 bits, below which guessing begins to pay.
pub const SECRET_MIN: usize = 16;

/// The longest secret in bytes: HMAC-SHA256 hashes what is longer than a block
/// down to less (RFC 2104 2), so more gives nothing.
pub const SECRET_MAX: usize = 64;

/// How far a keyring is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A MAC that is there must be right; we send none.
    ReceiveOnly,
    /// The same, and we send one.
    Permissive,
    /// What carries no valid MAC is dropped, an original's four bytes too.
    Enforce,
}

/// A secret shared by both directors, and its number on the wire.
#[derive(Clone)]
pub struct Key {
    id: u8,
    /// Ready to go on; made once, since it costs two blocks of hashing.
    keyed: Hmac<Sha256>,
}

/// Why a key or a keyring is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The secret is not [`SECRET_MIN`] to [`SECRET_MAX`] bytes long.
    #[error("a secret has {SECRET_MIN} to {SECRET_MAX} bytes, not {0}")]
    Length(usize),
    /// Two keys have one number.
    #[error("key {0} is given twice")]
    Twice(u8),
    /// There are more than [`KEYS_MAX`], or none.
    #[error("1 to {KEYS_MAX} keys can be given, not {0}")]
    Number(usize),
}

impl Key {
    /// A key from its number and its secret.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, KeyError> {
        if !(SECRET_MIN..=SECRET_MAX).contains(&secret.len()) {
            return Err(KeyError::Length(secret.len()));
        }
        let keyed = Hmac::new_from_slice(secret).map_err(|_| KeyError::Length(secret.len()))?;
        Ok(Self { id, keyed })
    }

    pub(super) fn id(&self) -> u8 {
        self.id
    }

    pub(super) fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys in use.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<Key>,
    trust: Trust,
    is_lost: bool,
}

impl Keyring {
    /// No key: nothing is signed, and a MAC that comes is not looked at.
    pub fn none() -> Self {
        Self { keys: Vec::new(), trust: Trust::ReceiveOnly, is_lost: false }
    }

    /// There are keys, and they are not to be had: no MAC is good enough, and what
    /// has none is believed as far as it would be with them.
    pub fn lost(trust: Trust) -> Self {
        Self { keys: Vec::new(), trust, is_lost: true }
    }

    /// One key, or two; the first signs.
    ///
    /// # Errors
    /// Too many, none, or two with one number.
    pub fn new(keys: Vec<Key>, trust: Trust) -> Result<Self, KeyError> {
        if !(1..=KEYS_MAX).contains(&keys.len()) {
            return Err(KeyError::Number(keys.len()));
        }
        if let [first, second] = keys.as_slice()
            && first.id == second.id
        {
            return Err(KeyError::Twice(first.id));
        }
        Ok(Self { keys, trust, is_lost: false })
    }

    /// Whether what carries no valid MAC is dropped.
    pub fn enforces(&self) -> bool {
        self.trust == Trust::Enforce
    }

    pub(super) fn signing(&self) -> Option<&Key> {
        match self.trust {
            Trust::ReceiveOnly => None,
            Trust::Permissive | Trust::Enforce => self.keys.first(),
        }
    }

    /// Whether the MAC was checked: without any key it cannot be.
    pub(super) fn verify(&self, id: u8, signed: &[u8], mac: &[u8]) -> Result<bool, DecodeError> {
        if self.keys.is_empty() && !self.is_lost {
            return Ok(false);
        }
        let key = self.keys.iter().find(|key| key.id == id).ok_or(DecodeError::UnknownKey(id))?;
        let mut ours = key.keyed.clone();
        ours.update(signed);
        // Compares in constant time.
        ours.verify_slice(mac).map_err(|_| DecodeError::WrongMac)?;
        Ok(true)
    }
}
