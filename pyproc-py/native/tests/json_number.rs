//! Numbers in JSON text, without an interpreter.

#[path = "../src/json/number.rs"]
mod number;

use number::{Number, read_number};

#[test]
fn numbers_are_read_up_to_what_follows() {
    let cases: [(&[u8], Number, usize); 10] = [
        (b"0", Number::Unsigned(0), 1),
        (b"42,", Number::Unsigned(42), 2),
        (b"-7]", Number::Signed(-7), 2),
        (b"-0", Number::Signed(0), 2),
        (b"18446744073709551615", Number::Unsigned(u64::MAX), 20),
        (b"-9223372036854775808", Number::Signed(i64::MIN), 20),
        (b"1.5e3 ", Number::Float(1500.0), 5),
        (b"1e0000002", Number::Float(100.0), 9),
        (b"-0.0", Number::Float(-0.0), 4),
        (b"2E-1}", Number::Float(0.2), 4),
    ];
    for (text, expected, length) in cases {
        assert_eq!(read_number(text), Some((expected, length)), "{text:?}");
    }
}

#[test]
fn what_is_no_number_or_has_no_type_elsewhere_is_none() {
    let cases: [&[u8]; 16] = [
        b"",
        b"-",
        b"+1",
        b".5",
        b"1.",
        b"1.e1",
        b"1e",
        b"1e+",
        b"01",
        b"-01",
        b"NaN",
        b"Infinity",
        b"18446744073709551616",
        b"-9223372036854775809",
        b"1e999",
        b"-1e999",
    ];
    for text in cases {
        assert_eq!(read_number(text), None, "{text:?}");
    }
}
