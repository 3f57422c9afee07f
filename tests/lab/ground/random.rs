//! Chance that a seed makes the same again.

/// xorshift64*: a seed says which run it was.
pub struct Random(u64);

impl Random {
    /// The run of this seed; 0 is that of 1, for the generator would stand still.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below that one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }

    /// One of these, of which there is one at least.
    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).expect("an index")]
    }

    /// Whether a coin falls on its head.
    pub fn toss(&mut self) -> bool {
        self.below(2) == 1
    }
}
