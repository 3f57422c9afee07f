//! What happened in a check, step by step, for whoever asks why a server is out:
//! each step with its time, and of what was sent and received the beginning. Pure
//! and bounded: a server may send what it likes.

use std::fmt::{self, Write as _};
use std::time::Instant;

/// The longest transcript, in bytes.
pub const TRANSCRIPT_MAX: usize = 2048;

/// How much of what was sent or received at once is kept, in bytes.
const BYTES_MAX: usize = 160;

/// The steps so far.
#[derive(Clone, Debug)]
pub struct Transcript {
    start: Instant,
    text: String,
    left_out: usize,
}

impl Transcript {
    /// Nothing happened.
    pub fn new(start: Instant) -> Self {
        // What most checks need, at once: no trail of outgrown pieces in the heap.
        Self { start, text: String::with_capacity(512), left_out: 0 }
    }

    /// All so far, which is taken out.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let (text, left_out) = (std::mem::take(&mut self.text), self.left_out);
        Self { start: self.start, text, left_out }
    }

    /// A step.
    pub fn note(&mut self, now: Instant, step: fmt::Arguments<'_>) {
        if self.left_out > 0 {
            self.left_out += 1;
            return;
        }
        let (before, after) = (self.text.len(), now.saturating_duration_since(self.start));
        let _ = write!(self.text, "+{:.3}s {step}", after.as_secs_f64());
        if self.text.get(before..).is_some_and(|line| line.contains(char::is_control)) {
            let line = self.text.split_off(before).replace(char::is_control, " ");
            self.text.push_str(&line);
        }
        self.text.push('\n');
        if self.text.len() > TRANSCRIPT_MAX {
            self.text.truncate(before);
            self.left_out = 1;
        }
    }

    /// Bytes went or came.
    pub fn bytes(&mut self, now: Instant, verb: &str, bytes: &[u8]) {
        let beginning = bytes.get(..bytes.len().min(BYTES_MAX)).unwrap_or_default();
        let more = if beginning.len() < bytes.len() { "..." } else { "" };
        self.note(now, format_args!("{verb} {} bytes: \"{}\"{more}", bytes.len(), beginning.escape_ascii()));
    }

    /// All of it, a line a step.
    pub fn finish(mut self) -> String {
        if self.left_out > 0 {
            let _ = writeln!(self.text, "({} steps more)", self.left_out);
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_step_has_its_time_and_the_beginning_of_its_bytes() {
        let start = Instant::now();
        let mut transcript = Transcript::new(start);
        transcript.note(start, format_args!("connecting to {}", "192.0.2.1:80"));
        transcript.bytes(start + Duration::from_millis(12), "sent", b"GET /\r\n");
        transcript.bytes(start + Duration::from_millis(1500), "received", &[b'x'; 1000]);
        let x = "x".repeat(BYTES_MAX);
        let expected = format!(
            "+0.000s connecting to 192.0.2.1:80\n+0.012s sent 7 bytes: \"GET /\\r\\n\"\n+1.500s received 1000 bytes: \"{x}\"...\n"
        );
        assert_eq!(transcript.finish(), expected);
    }

    proptest! {
        #[test]
        fn it_stays_short_and_printable(pieces in proptest::collection::vec(any::<Vec<u8>>(), 0..40)) {
            let start = Instant::now();
            let mut transcript = Transcript::new(start);
            for piece in &pieces {
                transcript.bytes(start, "received", piece);
            }
            let text = transcript.finish();
            prop_assert!(text.len() <= TRANSCRIPT_MAX + 40);
            prop_assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)));
        }
    }
}
