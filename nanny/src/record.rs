//! What the checks of the server showed so far, whoever its destinations are: one that
//! joins later is judged by it, and not admitted by ignorance. Pure.
//!
//! ```text
//!             good                      bad × fall              good × returns after
//!  Unknown ─────────► Up ─────────────────────────────► Down ─────────────────────────► Up
//!     │ bad                                               ▲
//!     └──────────► Doubtful ──────────────────────────────┘
//!                            bad × fall
//! ```

/// Where the checks stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// None was made.
    #[default]
    Unknown,
    /// None was good; so many were bad, too few for a verdict.
    Doubtful {
        /// Below `fall`.
        bad: u32,
    },
    /// The last verdict was bad; so many good ones in a row since.
    Down {
        /// Below what it takes to return.
        good: u32,
    },
    /// The last verdict was good; so many bad ones in a row since.
    Up {
        /// Below `fall`.
        bad: u32,
    },
}

impl Standing {
    /// After one more check. `fall` bad ones in a row are a verdict, and `rise` good ones
    /// after a bad verdict; 0 is 1.
    #[must_use]
    pub fn after(self, good: bool, fall: u32, rise: u32) -> Self {
        match (self, good) {
            (Self::Unknown | Self::Doubtful { .. } | Self::Up { .. }, true) => Self::Up { bad: 0 },
            (Self::Down { good }, true) if good.saturating_add(1) >= rise => Self::Up { bad: 0 },
            (Self::Down { good }, true) => Self::Down { good: good + 1 },
            (Self::Down { .. }, false) => Self::Down { good: 0 },
            (Self::Unknown, false) if fall <= 1 => Self::Down { good: 0 },
            (Self::Doubtful { bad } | Self::Up { bad }, false) if bad.saturating_add(1) >= fall => {
                Self::Down { good: 0 }
            }
            (Self::Unknown, false) => Self::Doubtful { bad: 1 },
            (Self::Doubtful { bad }, false) => Self::Doubtful { bad: bad + 1 },
            (Self::Up { bad }, false) => Self::Up { bad: bad + 1 },
        }
    }
}

#[cfg(test)]
mod tests;
