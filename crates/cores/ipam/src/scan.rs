//! The order in which a band is tried.

/// Tries `length` offsets, from a start chosen by the seed to the end and then from zero up to the start.
///
/// `free` is asked at most once for each offset.
pub(crate) fn first_free(length: u128, seed: u64, free: impl Fn(u128) -> bool) -> Option<u128> {
    if length == 0 {
        return None;
    }
    let start = spread(seed, length);
    (start..length).chain(0..start).find(|&offset| free(offset))
}

/// A number below `length`. Neighbouring seeds give distant numbers.
fn spread(seed: u64, length: u128) -> u128 {
    let high = u128::from(mix(seed));
    let low = u128::from(mix(seed ^ 0xA5A5_A5A5_A5A5_A5A5));
    (high << 64 | low) % length
}

/// The finaliser of SplitMix64: every bit of the input changes about half of the output's bits.
fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
