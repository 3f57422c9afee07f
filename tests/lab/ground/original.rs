//! The original's pulse on a director of the lab; see the part `original`.

use super::director::Director;
use super::part::Part;

/// It runs until it is stopped or killed, or this is dropped.
pub struct Original {
    part: Part,
}

impl Original {
    /// Starts it; the words are the part's.
    pub fn start(director: &Director, words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { part: director.machine.start_part("original", words) }
    }

    /// `service pulse stop`: it is down when this returns.
    pub fn stop(mut self) {
        assert_eq!(self.part.ask("stop"), "done");
    }
}
