//! A number for a text, the same in every version of every sibling: FNV-1a, 64 bit
//! (draft-eastlake-fnv). For names and for what is to be spread evenly, not for secrets:
//! whoever wants to can make two texts with the same one.

/// The number of these bytes.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    /// The draft's own.
    #[test]
    fn the_number_is_the_same_everywhere() {
        for (text, number) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a(text.bytes()), number, "{text}");
        }
    }
}
