//! PURE. What the loop waits for, and which of it has something to say: that is read
//! and nothing else, for a heartbeat a hundred times a second must cost next to
//! nothing.

use mio::Token;

/// What the loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The signals.
    Signals,
    /// The heartbeat sockets.
    Partner,
    /// The kernel's news about links and addresses.
    Kernel,
    /// Who claims addresses, and witnesses.
    Claims,
    /// lvsd's line.
    Lvsd,
    /// The lines of guardians and of those who look in; of a guardian, to its pulse.
    Parents,
    /// The hosts of the file that is being read again.
    Hosts,
    /// No descriptor: what is on loan is being renewed, and that goes on.
    Loans,
}

impl Source {
    /// By which the loop knows it.
    pub fn token(self) -> Token {
        Token(self as usize)
    }
}

/// Those that have something to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready(u8);

impl Ready {
    /// All of them, to be asked whether they do.
    pub const ALL: Self = Self(u8::MAX);

    /// This one as well.
    pub fn add(&mut self, source: Source) {
        self.add_token(source.token());
    }

    /// The one that the loop knows by this.
    pub fn add_token(&mut self, Token(number): Token) {
        let bit = u32::try_from(number).ok().and_then(|number| 1_u8.checked_shl(number));
        self.0 |= bit.unwrap_or_default();
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this one does.
    pub fn has(self, source: Source) -> bool {
        let mut one = Self::default();
        one.add(source);
        self.0 & one.0 != 0
    }

    /// Whether any does.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_told_from_all_others() {
        use Source::{Claims, Hosts, Kernel, Loans, Lvsd, Parents, Partner, Signals};
        let all = [Signals, Partner, Kernel, Claims, Lvsd, Parents, Hosts, Loans];
        for one in all {
            let mut ready = Ready::default();
            assert!(!ready.any());
            ready.add_token(one.token());
            assert!(ready.any() && Ready::ALL.has(one));
            assert!(all.iter().all(|other| ready.has(*other) == (*other == one)), "{one:?}");
            assert!(all.iter().all(|other| ready.and(Ready::ALL).has(*other)));
        }
        let mut ready = Ready::default();
        ready.add_token(Token(usize::MAX));
        assert!(!ready.any(), "nobody's");
    }
}
