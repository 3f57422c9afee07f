//! PURE. The text of a key file: a key a line, its number and its secret; blank
//! lines and lines that begin with `#` say nothing. The first key signs, the
//! second one is checked too, while one takes the place of the other.

use thiserror::Error;

use super::{Key, KeyError, Keyring, Trust};

/// The longest key file that is read, in bytes: two keys and a page of remarks.
pub const KEY_FILE_MAX: u64 = 4096;

/// Why a text is no key file. Never says what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// A line is not a number and a secret.
    #[error("line {0} is not a number (0 to 255) and a secret")]
    Line(usize),
    /// A key cannot be used.
    #[error("line {0}: {1}")]
    Key(usize, KeyError),
    /// The keys together cannot.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// The keys in a text.
///
/// # Errors
/// See [`KeyFileError`].
pub fn keyring(text: &str, trust: Trust) -> Result<Keyring, KeyFileError> {
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (id, secret) = line.split_once([' ', '\t']).ok_or(KeyFileError::Line(number))?;
        let id = id.parse().map_err(|_| KeyFileError::Line(number))?;
        let key = Key::new(id, secret.trim_start().as_bytes()).map_err(|e| KeyFileError::Key(number, e))?;
        keys.push(key);
    }
    Ok(Keyring::new(keys, trust)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "a secret of blanks and words";

    #[test]
    fn a_file_has_one_key_or_two_and_remarks() {
        for text in [
            format!("1 {SECRET}\n"),
            format!("# ours\n\n 1\t {SECRET} \r\n2 another secret of words"),
            format!("255 {SECRET}"),
        ] {
            assert!(keyring(&text, Trust::Enforce).is_ok_and(|ring| ring.enforces()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line_and_no_secret_is_told() {
        for (text, why) in [
            (String::new(), "1 to 2 keys can be given, not 0"),
            (format!("{SECRET}\n"), "line 1 is not a number (0 to 255) and a secret"),
            (format!("# x\n256 {SECRET}"), "line 2 is not a number (0 to 255) and a secret"),
            ("7".to_owned(), "line 1 is not a number (0 to 255) and a secret"),
            ("7 short".to_owned(), "line 1: a secret has 16 to 64 bytes, not 5"),
            (format!("7 {SECRET}\n7 {SECRET}"), "key 7 is given twice"),
            (format!("7 {SECRET}\n8 {SECRET}\n9 {SECRET}"), "1 to 2 keys can be given, not 3"),
        ] {
            let error = keyring(&text, Trust::Enforce).unwrap_err().to_string();
            assert_eq!(error, why);
            assert!(!error.contains(SECRET));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = keyring(&text, Trust::Permissive);
        }

        #[test]
        fn the_number_is_in_what_is_signed(id in any::<u8>()) {
            let ring = keyring(&format!("{id} {SECRET}"), Trust::Enforce).unwrap();
            prop_assert_eq!(ring.signing().map(Key::id), Some(id));
        }
    }
}
