//! Lists and maps that claim more items than their body could hold. A decoder makes room for what
//! is claimed, so five bytes could cost megabytes.

use crate::codec::CodecError;

/// Refuses a body that claims more items than it has bytes left, since each item takes at least
/// one.
///
/// Only the markers with 16-bit and 32-bit counts can claim much, and most small bodies have no
/// byte of their value, which is quickly seen; the others are passed over once without decoding
/// anything, and without looking into texts and bytes, of which a large body mostly consists.
///
/// # Errors
///
/// [`CodecError`] for such a claim. A body that is malformed otherwise passes: the decoder says
/// better what is wrong with it.
pub(super) fn check(body: &[u8]) -> Result<(), CodecError> {
    let is_small = body.len() <= SMALL;
    if is_small && !body.iter().copied().any(can_claim_much) {
        return Ok(());
    }
    pass_over(body)
}

/// Whether a marker is that of a list or map with a count of 16 or 32 bits. A body that ends early
/// without one is malformed otherwise.
fn can_claim_much(marker: u8) -> bool {
    matches!(marker, 0xDC..=0xDF)
}

/// Up to this length a look at every byte is quicker than a walk from value to value.
const SMALL: usize = 256;

fn pass_over(mut rest: &[u8]) -> Result<(), CodecError> {
    // How many values are still to come, whatever they are nested in.
    let mut awaited = 1u64;
    while awaited > 0 {
        let Some((marker, after)) = rest.split_first() else {
            break;
        };
        let Some((skipped, contained)) = extent(*marker, after) else {
            break;
        };
        let Some(after) = after.get(skipped..) else {
            break;
        };
        awaited = awaited - 1 + contained;
        rest = after;
        if can_claim_much(*marker) && awaited > rest.len() as u64 {
            let left = rest.len();
            let message = format!("{awaited} more items are claimed in {left} bytes");
            return Err(CodecError::new(message));
        }
    }
    Ok(())
}

/// How many bytes after its marker a value takes before its first item, and how many items follow.
fn extent(marker: u8, after: &[u8]) -> Option<(usize, u64)> {
    let scalar = |bytes| Some((bytes, 0));
    match marker {
        0x00..=0x7F | 0xE0..=0xFF | 0xC0..=0xC3 => scalar(0),
        0x80..=0x8F => Some((0, 2 * u64::from(marker & 0x0F))),
        0x90..=0x9F => Some((0, u64::from(marker & 0x0F))),
        0xA0..=0xBF => scalar(usize::from(marker & 0x1F)),
        0xC4 | 0xD9 => scalar(1 + count(after, 1)?),
        0xC5 | 0xDA => scalar(2 + count(after, 2)?),
        0xC6 | 0xDB => scalar(4 + count(after, 4)?),
        // An extension has a byte for its type.
        0xC7 => scalar(2 + count(after, 1)?),
        0xC8 => scalar(3 + count(after, 2)?),
        0xC9 => scalar(5 + count(after, 4)?),
        0xCC | 0xD0 => scalar(1),
        0xCD | 0xD1 => scalar(2),
        0xCA | 0xCE | 0xD2 => scalar(4),
        0xCB | 0xCF | 0xD3 => scalar(8),
        0xD4..=0xD8 => scalar(1 + (1 << (marker - 0xD4))),
        0xDC => Some((2, count(after, 2)? as u64)),
        0xDD => Some((4, count(after, 4)? as u64)),
        0xDE => Some((2, 2 * count(after, 2)? as u64)),
        0xDF => Some((4, 2 * count(after, 4)? as u64)),
    }
}

/// A big-endian number of so many bytes.
fn count(after: &[u8], bytes: usize) -> Option<usize> {
    let digits = after.get(..bytes)?;
    Some(
        digits
            .iter()
            .fold(0, |number, digit| number << 8 | usize::from(*digit)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_beyond_the_body_is_refused_however_deep_it_stands() {
        for body in [
            &[0xDD, 0, 0, 0, 2, 1][..],
            &[0xDF, 0, 0, 0, 1, 1],
            &[0xDC, 0, 2, 1],
            &[0xDE, 0xDE, 0xDE, 0xDE],
            &[0x81, 0xA1, b'a', 0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x92, 0xDD, 0, 0, 0, 1, 1],
        ] {
            assert!(check(body).is_err(), "{body:x?}");
        }
    }

    #[test]
    fn a_claim_that_the_body_bears_out_passes_and_so_does_what_only_looks_like_one() {
        for body in [
            &[0xDD, 0, 0, 0, 2, 1, 1][..],
            &[0xDF, 0, 0, 0, 1, 1, 1],
            &[0xDC, 0, 2, 1, 1],
            &[0xDE, 0, 1, 1, 1],
            &[0xA1, 0xDD],
            &[0xC4, 1, 0xDF],
            &[0xCF, 0xDD, 0, 0, 0, 2, 0, 0, 0],
            &[0xD6, 1, 0xDD, 0, 0, 9],
            &[0xC7, 2, 1, 0xDD, 0xDD],
            &[0xDD, 0, 0],
            &[0x01, 0xDD],
            // Too deep, and cut off, but no claim.
            &[0x91; 1000],
        ] {
            assert!(check(body).is_ok(), "{body:x?}");
        }
    }
}
