//! What an operator wants of the pulse that runs, asked by another `pulse` with an
//! option, at the meeting place where guardians come too; and the answer. One
//! packet is one message in words, as in [`common::channel`].

use std::fmt;

use common::channel::{Ask, DecodeError};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The virtual IPs should be on the other director.
    Relocate,
    /// This director should hand over and stay the standby until it is restored.
    StandBy,
    /// The end of that.
    Restore,
    /// How it stands.
    Status,
}

const WORDS: [(&str, Wish); 4] =
    [("relocate", Wish::Relocate), ("stand by", Wish::StandBy), ("restore", Wish::Restore), ("status", Wish::Status)];

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WORDS.iter().filter(|(_, wish)| wish == self).try_for_each(|(word, _)| f.write_str(word))
    }
}

/// Everything that comes in at pulse's meeting place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By a guardian.
    By(Guardian),
    /// By an operator.
    Wish(Wish),
}

/// What a guardian asks; the same words as everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guardian {
    /// To make room for another pulse.
    Release,
    /// To look at the kernel now.
    Check,
}

impl Asked {
    /// The message in a packet.
    ///
    /// # Errors
    /// It is none we know.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(packet).map_err(|_| DecodeError::NotText)?;
        if let Some((_, wish)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(Self::Wish(*wish));
        }
        Ok(Self::By(match Ask::decode(packet)? {
            Ask::Release => Guardian::Release,
            Ask::Check => Guardian::Check,
            // Asked of nannies, or of lvsd.
            Ask::Why
            | Ask::Renew
            | Ask::Serve
            | Ask::Rest
            | Ask::Stay(_)
            | Ask::Was(_)
            | Ask::Flapped(_)
            | Ask::Hold(_)
            | Ask::Drop { .. }
            | Ask::CheckService(_)
            | Ask::Order { .. }
            | Ask::Status(_) => {
                return Err(DecodeError::UnknownWord(text.chars().take(32).collect()));
            }
        }))
    }
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is being done.
    pub is_done: bool,
    /// In words; of a status several lines.
    pub text: String,
}

impl Answer {
    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        format!("{} {}", if self.is_done { "done" } else { "refused" }, self.text).into_bytes()
    }

    /// The message in a packet; `None` if it is another one: guardians are told more.
    pub fn decode(packet: &[u8]) -> Result<Option<Self>, DecodeError> {
        let text = std::str::from_utf8(packet).map_err(|_| DecodeError::NotText)?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let is_done = match word {
            "done" => true,
            "refused" => false,
            _ => return Ok(None),
        };
        Ok(Some(Self { is_done, text: rest.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use common::channel::Said;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wishes_and_what_guardians_ask_are_told_apart() {
        for (_, wish) in WORDS {
            assert_eq!(Asked::decode(wish.to_string().as_bytes()), Ok(Asked::Wish(wish)));
        }
        assert_eq!(Asked::decode(&Ask::Release.encode()), Ok(Asked::By(Guardian::Release)));
        assert_eq!(Asked::decode(&Ask::Check.encode()), Ok(Asked::By(Guardian::Check)));
        for said in [Said::Ready, Said::Alive, Said::Leaving("x".to_owned())] {
            assert_eq!(Answer::decode(&said.encode()), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn answers_read_back(is_done in any::<bool>(), text in "(?s).{0,100}") {
            let answer = Answer { is_done, text };
            prop_assert_eq!(Answer::decode(&answer.encode()), Ok(Some(answer)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (Asked::decode(&bytes), Answer::decode(&bytes));
        }
    }
}
