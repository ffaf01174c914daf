//! The hash of a text whose values stay the same for ever, in every version and on every machine.

/// The state that FNV-1a begins with.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a of a text; `state` makes another function of it, 0 the published one. Its high bits are poor: [`mix`] them, or let
/// a [`Stream`](crate::Stream) begin there.
pub fn fnv1a(state: u64, text: &str) -> u64 {
    text.bytes().fold(BASIS ^ state, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finishing step of SplitMix64: every bit of the result depends on every bit of the argument.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_published() {
        // Fowler, Noll and Vo's own test vectors.
        assert_eq!(fnv1a(0, ""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(0, "a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(0, "foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mix(0), 0);
        assert_ne!(mix(1), mix(2));
    }
}
