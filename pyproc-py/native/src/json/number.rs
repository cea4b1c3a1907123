//! Numbers in JSON text.

/// A number that both sides understand alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// Reads the number that `text` begins with, and says how many bytes it has. `None` where there is
/// none, or where it lies beyond 64 bits or beyond every float.
pub(crate) fn read_number(text: &[u8]) -> Option<(Number, usize)> {
    let is_negative = text.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let digits = count_digits(&text[start..]);
    if digits == 0 || (digits > 1 && text[start] == b'0') {
        return None;
    }
    let mut end = start + digits;
    let mut is_float = false;
    if text.get(end) == Some(&b'.') {
        let decimals = count_digits(&text[end + 1..]);
        if decimals == 0 {
            return None;
        }
        is_float = true;
        end += 1 + decimals;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = count_digits(&text[end + 1 + sign..]);
        if exponent == 0 {
            return None;
        }
        is_float = true;
        end += 1 + sign + exponent;
    }
    let number = if is_float {
        let value: f64 = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
        Number::Float(value.is_finite().then_some(value)?)
    } else {
        integer(&text[start..end], is_negative)?
    };
    Some((number, end))
}

fn integer(digits: &[u8], is_negative: bool) -> Option<Number> {
    let mut value = 0_u64;
    for digit in digits {
        let digit = u64::from(digit - b'0');
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    if !is_negative {
        return Some(Number::Unsigned(value));
    }
    Some(Number::Signed(0_i64.checked_sub_unsigned(value)?))
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
