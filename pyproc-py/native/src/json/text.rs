//! Which bytes stand for themselves between quotes.

/// How many bytes at the beginning of `bytes` stand for themselves in JSON text: all but quotes,
/// backslashes and control characters. Eight are looked at together, for most text is long or has
/// none of the others.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let words = bytes.chunks_exact(8);
    let plain = words.take_while(|word| is_plain(word)).count() * 8;
    let rest = bytes[plain..].iter();
    plain + rest.take_while(|byte| !is_special(**byte)).count()
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether none of eight bytes is special.
///
/// Subtracting from a byte that is smaller sets its high bit; one that was set before counts for
/// nothing, and what a byte borrows from its neighbour only matters where one is special.
fn is_plain(word: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let Ok(word) = word.try_into().map(u64::from_ne_bytes) else {
        return false;
    };
    let control = below(word, 0x20);
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    control | quote | backslash == 0
}
